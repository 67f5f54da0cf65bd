"""01.7, a control for word frequency: answers, mistakes and draws (instructors only)."""

import math
from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.7", "a control for word frequency")


def word_scores(counts, one=1, total=lambda counts: counts.sum() + len(counts)):
    return torch.log((counts + one) / total(counts))


def cue(good, bad, scores, sentence=math.fsum):
    """The unigram margin. The exact sum has no rounding that depends on the order of the words."""
    return sentence(scores[good].tolist()) - sentence(scores[bad].tolist())


def group_of(margin, tie=1e-4):
    if abs(margin) < tie:
        return "silent"
    return "agrees" if margin > 0 else "opposes"


def won(margin):
    return (np.sign(margin) + 1) / 2


def points_of(pairs, scores=word_scores, cue=cue, group=group_of, points=won):
    """The points of the pairs in each group, for the arguments of the exercise."""
    good_ids, bad_ids, margins, counts = pairs
    table, groups = scores(counts), {"agrees": [], "opposes": [], "silent": []}
    for good, bad, margin in zip(good_ids, bad_ids, margins.tolist(), strict=True):
        groups[group(cue(good, bad, table))].append(points(margin))
    return groups


def shares(groups, empty=None):
    return {name: sum(won) / len(won) if won else empty for name, won in groups.items()}


@ANSWERS.right
def frequency_control(good_ids, bad_ids, margins, counts):
    return shares(points_of((good_ids, bad_ids, margins, counts)))


@ANSWERS.other
def with_python_numbers(good_ids, bad_ids, margins, counts):
    tokens, words, counts = int(counts.sum()), len(counts), counts.tolist()
    found = {"agrees": [], "opposes": [], "silent": []}
    for good, bad, margin in zip(good_ids, bad_ids, margins, strict=True):
        ups, downs = (
            [math.log((counts[w] + 1) / (tokens + words)) for w in s] for s in (good, bad)
        )
        unigram = sum(ups) - sum(downs)
        name = "silent" if abs(unigram) < 1e-4 else "agrees" if unigram > 0 else "opposes"
        found[name].append(0.5 if margin == 0 else 1.0 * (margin > 0))
    return {name: np.mean(values) if values else None for name, values in found.items()}


def by_sign(good_ids, bad_ids, margins, counts, least=1e-4):
    table = ((counts + 1.0) / (counts.sum() + counts.numel())).log()
    pairs = zip(good_ids, bad_ids, strict=True)
    unigram = torch.stack([table[good].sum() - table[bad].sum() for good, bad in pairs])
    sign, points = unigram.sign() * (unigram.abs() >= least), (margins.sign().double() + 1) / 2
    names = {"agrees": 1, "opposes": -1, "silent": 0}
    return {n: points[sign == s].mean() if (sign == s).any() else None for n, s in names.items()}


ANSWERS.other(by_sign)
ANSWERS.witness("call a margin below 1e-4")(partial(by_sign, least=0.0))


def variant(**options):
    return lambda *pairs: shares(points_of(pairs, **options))


def with_tie(size):
    return variant(group=partial(group_of, tie=size))


def scored(**options):
    return variant(scores=partial(word_scores, **options))


mistake = ANSWERS.mistake
SWAPPED = "The groups are swapped: in 'agrees' the unigram model prefers the good sentence."
WRONG_PAIRS = "You counted the pairs that the model gets wrong: a margin is good minus bad."
EMPTY = "A group without pairs has no accuracy: it must be None."
SILENT = "Sums of floats in another order differ by about 1e-6: call a margin below 1e-4 a tie."
LARGER = "Only a unigram margin below 1e-4 in size is silent; yours calls larger ones silent, too."
mistake(SWAPPED, lambda good, bad, *given: frequency_control(bad, good, *given))
mistake(WRONG_PAIRS, variant(points=lambda margin: won(-margin)))
for empty in (0.0, 0.5, math.nan):
    mistake(EMPTY, lambda *pairs, empty=empty: shares(points_of(pairs), empty))
mistake(SILENT, with_tie(1e-300), with_tie(1e-8), with_tie(1e-6))
mistake(LARGER, with_tie(1e-3), with_tie(1e-2))


@mistake("You returned counts; divide by the number of pairs of the group.")
def numbers(*pairs):
    return {name: sum(won) if won else None for name, won in points_of(pairs).items()}


@mistake("You returned the overall accuracy in every group.")
def no_groups(*pairs):
    groups = points_of(pairs)
    everything = sum(groups.values(), [])
    return shares({name: everything if own else [] for name, own in groups.items()})


@mistake("You split by the language model's margin; split by the unigram margin.")
def by_model(good_ids, bad_ids, margins, counts):
    found = {"agrees": 1.0, "opposes": 0.0, "silent": 0.5}
    groups = set(map(group_of, margins.tolist()))
    return {name: share if name in groups else None for name, share in found.items()}


held_out = partial(mistake, held_out=True)
RATIO = "Add-one smoothing is log((count + 1) / (all tokens + size of the vocabulary))"
TOTAL = f"The denominator is wrong. {RATIO}."
UNSEEN = f"A word that never occurs must not get minus infinity. {RATIO}."
AVERAGED = f"You averaged over the words. {RATIO}, summed over the words."
TIED = "A language-model margin of exactly 0 counts one half."
NEARLY = f"{TIED} Only exactly 0: the 1e-4 is meant for the unigram margin."
held_out(TOTAL, scored(total=torch.sum), scored(total=len))
held_out(TOTAL, scored(total=lambda counts: counts.sum() + (counts > 0).sum()))
held_out(UNSEEN, scored(one=0), scored(one=0, total=torch.sum))
held_out(AVERAGED, variant(cue=partial(cue, sentence=np.mean)))
held_out(TIED, variant(points=lambda margin: float(margin >= 0)))
held_out(TIED, variant(points=lambda margin: float(margin > 0)))
held_out(NEARLY, variant(points=lambda margin: won(margin * (abs(margin) >= 1e-4))))

RULE = (
    "A pair's group is the sign of its unigram margin, good minus bad; a group's share is the mean "
    "of its pairs' points, or None without pairs."
)


def draw(kinds, note="", **options):
    return Draw("frequency_pairs", {"kinds": kinds} | options, note, 1e-6)


GROUPS = [draw({"agrees": n, "opposes": m}, "No pair is silent.") for n, m in ((9, 6), (4, 9))]
GROUPS += [draw({"opposes": 5}, "All pairs oppose.", dtype="float64")]
ANSWERS.part("two groups", 6, GROUPS, RULE)
KINDS = {"agrees": 4, "opposes": 5, "order": 5, "near": 3, "same": 1, "small": 2, "smaller": 3}
CUES = [draw(KINDS), draw({"agrees": 3, "order": 4, "near": 3}, length=12)]
SAME = f"Pairs with the same words, in another order, are 'silent'. {SILENT}"
ANSWERS.part("pairs without a frequency cue", 4, CUES, SAME)
SIGNS = [1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0]
ORDERS = [{"margins": SIGNS[k:] + SIGNS[:k]} for k in (0, 3, 4)]
UNEQUAL = "Some words never occur, and some sentences differ in length."
UNLIKE = [Draw("unequal_pairs", order, UNEQUAL, 1e-6) for order in ORDERS]
ANSWERS.part("smoothing and length", 3, UNLIKE, RULE, held_out=True)
ITSELF = [
    draw(KINDS, "The margins follow word frequency, and some are 0.", wins=sign, size=size)
    for sign, size in ((1, 1.0), (-1, 1.0), (1, 1e-5))
]
ANSWERS.part("the unigram model itself", 2, ITSELF, RULE, held_out=True)
