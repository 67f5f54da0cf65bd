"""01.7, a control for word frequency: answers, mistakes and draws (instructors only)."""

import math
from collections import Counter

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.7", "a control for word frequency")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def word_scores(counts, one=1, total=lambda counts: counts.sum() + len(counts)):
    return torch.log((counts + one) / total(counts))


def won(margin):
    return (np.sign(margin) + 1) / 2


def cue(good, bad, scores, sentence=math.fsum):
    """The unigram margin. The exact sum has no rounding that depends on the order of the words."""
    return sentence(scores[good].tolist()) - sentence(scores[bad].tolist())


def group_of(margin, tie=1e-4):
    if abs(margin) < tie:
        return "silent"
    return "agrees" if margin > 0 else "opposes"


def control(
    good_ids, bad_ids, margins, counts, *, scores=word_scores, cue=cue, group=group_of, points=won
):
    """The points of the pairs in each group."""
    table, groups = scores(counts), {"agrees": [], "opposes": [], "silent": []}
    for good, bad, margin in zip(good_ids, bad_ids, margins.tolist(), strict=True):
        groups[group(cue(good, bad, table))].append(points(margin))
    return groups


def shares(groups, empty=None):
    return {name: sum(won) / len(won) if won else empty for name, won in groups.items()}


@right
def frequency_control(good_ids, bad_ids, margins, counts):
    return shares(control(good_ids, bad_ids, margins, counts))


@other
def with_counters(good_ids, bad_ids, margins, counts):
    tokens, words = int(counts.sum()), len(counts)
    found = {"agrees": [], "opposes": [], "silent": []}
    for good, bad, margin in zip(good_ids, bad_ids, margins.numpy(), strict=True):
        difference = Counter(good)
        difference.subtract(bad)
        unigram = sum(
            n * math.log((int(counts[word]) + 1) / (tokens + words))
            for word, n in difference.items()
        )
        name = "silent" if abs(unigram) < 1e-4 else "agrees" if unigram > 0 else "opposes"
        found[name].append((np.sign(margin) + 1) / 2)
    return {name: np.mean(values) if values else None for name, values in found.items()}


@other
def with_masks(good_ids, bad_ids, margins, counts):
    table = ((counts + 1.0) / (counts.sum() + counts.numel())).log()
    pairs = zip(good_ids, bad_ids, strict=True)
    unigram = torch.stack([table[good].sum() - table[bad].sum() for good, bad in pairs])
    sign = unigram.sign() * (unigram.abs() >= 1e-4)
    points = (margins.sign().double() + 1) / 2
    names = {"agrees": 1, "opposes": -1, "silent": 0}
    return {n: points[sign == s].mean() if (sign == s).any() else None for n, s in names.items()}


mistake(
    "The groups are swapped: 'agrees' holds the pairs in which the unigram model prefers the good "
    "sentence.",
    lambda good, bad, *given: frequency_control(bad, good, *given),
)
mistake(
    "You counted the pairs that the model gets wrong: a margin is good minus bad.",
    lambda good, bad, margins, counts: frequency_control(good, bad, -margins, counts),
)
mistake(
    "A group without pairs has no accuracy: it must be None.",
    lambda *given: shares(control(*given), empty=0.0),
    lambda *given: shares(control(*given), empty=0.5),
    lambda *given: shares(control(*given), empty=math.nan),
)
mistake(
    "You returned counts; divide by the number of pairs of the group.",
    lambda *given: {name: sum(won) if won else None for name, won in control(*given).items()},
)


@mistake("You returned the overall accuracy in every group.")
def no_groups(*given):
    groups = control(*given)
    everything = sum(groups.values(), [])
    return shares({name: everything if won else [] for name, won in groups.items()})


@mistake("You split by the language model's margin; split by the unigram margin.")
def by_model(good_ids, bad_ids, margins, counts):
    groups = {"agrees": [], "opposes": [], "silent": []}
    for margin in margins.tolist():
        groups[group_of(margin)].append(won(margin))
    return shares(groups)


def variant(**options):
    return lambda *given: shares(control(*given, **options))


def with_tie(size):
    return variant(group=lambda margin: group_of(margin, size))


SILENT = (
    "A unigram margin below 1e-4 in size is a tie, 'silent'; sums of floats in another order "
    "differ by about 1e-6 and slip into the other groups."
)
mistake(SILENT, with_tie(1e-300), with_tie(1e-6), with_tie(1e-8))
mistake(
    "Only a unigram margin below 1e-4 in size is silent; yours calls larger ones silent, too.",
    with_tie(1e-3),
    with_tie(1e-2),
)


def smoothing(message, *options):
    rule = "Add-one smoothing is log((count + 1) / (all tokens + size of the vocabulary))"
    wrong = [variant(**option) for option in options]
    mistake(f"{message} {rule}, summed over the words.", *wrong, held_out=True)


smoothing(
    "The denominator is wrong.",
    {"scores": lambda counts: word_scores(counts, total=torch.sum)},
    {"scores": lambda counts: word_scores(counts, total=lambda c: c.sum() + (c > 0).sum())},
    {"scores": lambda counts: word_scores(counts, total=len)},
)
smoothing(
    "A word that never occurs must not get minus infinity.",
    {"scores": lambda counts: word_scores(counts, one=0, total=torch.sum)},
    {"scores": lambda counts: word_scores(counts, one=0)},
)
smoothing("You averaged over the words.", {"cue": lambda *x: cue(*x, sentence=np.mean)})
TIED = "A language-model margin of exactly 0 counts one half."
mistake(
    TIED,
    variant(points=lambda margin: float(margin >= 0)),
    variant(points=lambda margin: float(margin > 0)),
    held_out=True,
)
mistake(
    "Only a language-model margin of exactly 0 is a tie; 1e-4 is meant for the unigram margin.",
    variant(points=lambda margin: 0.5 if abs(margin) < 1e-4 else float(margin > 0)),
    held_out=True,
)


@mistake(TIED, held_out=True)
def without_ties(*given):
    groups = control(*given)
    return shares({name: [x for x in won if x != 0.5] for name, won in groups.items()})


@witness("call a margin below 1e-4")
def compared_with_zero(good_ids, bad_ids, margins, counts):
    table = torch.log((counts + 1.0) / (counts.sum() + len(counts)))
    pairs = zip(good_ids, bad_ids, strict=True)
    unigram = torch.stack([table[good].sum() - table[bad].sum() for good, bad in pairs])
    names = {"agrees": unigram > 0, "opposes": unigram < 0, "silent": unigram == 0}
    points = [won(margin) for margin in margins.tolist()]
    return shares({n: [p for p, own in zip(points, here) if own] for n, here in names.items()})  # noqa: B905


def draw(kinds, note="", **options):
    return Draw("frequency_pairs", {"kinds": kinds} | options, note, 1e-6)


RULE = (
    "A pair's group is the sign of its unigram margin, good minus bad, and a group's share is the "
    "mean of its pairs' points. A group without pairs is None."
)
GROUPS = [
    draw({"agrees": 9, "opposes": 6}, "No pair is silent."),
    draw({"agrees": 4, "opposes": 9}, "No pair is silent."),
    draw({"opposes": 5}, "All pairs oppose.", dtype="float64"),
]
ANSWERS.part("two groups", 6, GROUPS, RULE)
KINDS = {"agrees": 4, "opposes": 5, "order": 5, "near": 3, "same": 1, "small": 2, "smaller": 3}
CUES = [draw(KINDS), draw({"agrees": 3, "order": 4, "near": 3}, length=12)]
ANSWERS.part(
    "pairs without a frequency cue",
    4,
    CUES,
    "Where both sentences have the same words, frequency says nothing: the pair is 'silent'. Sums "
    "of floats in another order differ by about 1e-6: call a margin below 1e-4 in size a tie.",
)
SIGNS = [1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0]
UNEQUAL = "Some words never occur, and some sentences differ in length."
ANSWERS.part(
    "smoothing and length",
    3,
    [Draw("unequal_pairs", {"margins": SIGNS[k:] + SIGNS[:k]}, UNEQUAL, 1e-6) for k in (0, 3, 4)],
    RULE,
    held_out=True,
)
ITSELF = [
    draw(KINDS, "The margins follow word frequency: ties of 0 count half.", wins=sign, size=size)
    for sign, size in ((1, 1.0), (-1, 1.0), (1, 1e-5))
]
ANSWERS.part("the unigram model itself", 2, ITSELF, RULE, held_out=True)
