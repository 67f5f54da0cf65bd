"""Inputs of assignment 01: logits of sentences, scores of pairs, suites, regions, word counts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import torch

from course_lib.checks.reading import read
from course_lib.checks.results import Wrong

# --- 01.1 next_token_logprobs(logits [T, V], ids [T]) ------------------------------------------


def logit_rows(rng, tokens, vocabulary, sharpness=2.0):
    """Logits [T, V] as float64; each row is shifted by an amount of its own."""
    rows = rng.normal(size=(tokens, vocabulary)) * sharpness
    return torch.tensor(rows + rng.normal(size=(tokens, 1)) * 5)


def sentence(rng, tokens, vocabulary, sharpness=2.0, dtype="float32", last=0.0, **special):
    """Logits and ids of one sentence; see :func:`make_special` for what may be special."""
    logits = logit_rows(rng, tokens, vocabulary, sharpness)
    ids = torch.tensor(rng.integers(vocabulary, size=tokens))
    logits[-1] += torch.tensor(rng.normal(size=vocabulary)) * last
    logits, ids = make_special(logits.to(getattr(torch, dtype)), ids, **special)
    return logits, ids


def make_special(logits, ids, apart=0.0, behind=False, never="", turned=False, grad=False):
    """One sentence with a favourite word, impossible words, another layout, or gradients.

    With ``apart`` each next word stands that far above the others; ``behind`` then lets the
    sentence use a word beside it. ``never`` gives words a logit of -inf: the "last" next word, or
    some "others". ``turned`` makes the logits non-contiguous.
    """
    rows = torch.arange(len(ids) - 1)
    logits[rows, ids[1:]] += apart
    if behind:
        ids[1:] = (ids[1:] + 1) % logits.shape[1]
    if never == "last":
        logits[-2, ids[-1]] = -torch.inf
    if never == "others":
        logits[rows, (ids[1:] + 1) % logits.shape[1]] = -torch.inf
    if turned:
        logits = logits.T.contiguous().T
    return logits.requires_grad_(grad), ids


def every_word(call, logits, ids):
    """The answers for all words that could stand in the middle of the sentence."""
    place, answers = len(ids) // 2, []
    for word in range(logits.shape[1]):
        ids[place] = word
        answers.append(call(logits, ids))
    return answers


# --- 01.2 sentence_logprobs(logits [B, T, V], ids [B, T], mask [B, T], reduction) --------------


def batch(rng, lengths, vocabulary, reduction="sum", filling="flat", dtype="float32", **special):
    """Right-padded sentences; ``reduction`` None leaves that argument out.

    Padded positions hold zeros ("flat"), logits that prefer some words ("steep"), or "nan"; the
    ids there are any words, since only the mask says what is real.
    """
    width = max(lengths)
    flat, steep = torch.zeros(vocabulary), torch.arange(float(vocabulary)) + 4
    fill = {"flat": flat, "steep": steep, "nan": flat * torch.nan}[filling]
    logits = fill.expand(len(lengths), width, vocabulary).to(getattr(torch, dtype), copy=True)
    ids = torch.tensor(rng.integers(vocabulary, size=(len(lengths), width)))
    for row, length in enumerate(lengths):
        own = logit_rows(rng, length, vocabulary).to(logits.dtype)
        logits[row, :length], ids[row, :length] = make_special(own, ids[row, :length], **special)
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    return (logits, ids, mask) + (() if reduction is None else (reduction,))


def all_sentences(rng, words, length, dtype="float32"):
    """Every sentence of some length after BOS; the logits depend on all that stands before."""
    sentences = list(itertools.product(range(words), repeat=length))
    prefixes = [[s[:n] for n in range(length + 1)] for s in sentences]
    rows = {prefix: rng.normal(size=words) * 2 for prefix in sum(prefixes, [])}
    logits = np.array([[rows[prefix] for prefix in each] for each in prefixes])
    ids = torch.tensor([(0, *s) for s in sentences])
    return torch.tensor(logits).to(getattr(torch, dtype)), ids, torch.ones_like(ids)


# --- 01.3 minimal_pair_accuracy(good [N], bad [N], ties) ---------------------------------------


def pair_scores(
    rng, right, wrong, tied=0, ties="half", dtype="float32", near=0, infinite=0, nan=""
):
    """Scores in which so many pairs prefer the good sentence, the bad one, or neither, shuffled.

    The first ``near`` right pairs are the smallest step apart that the type knows, ``infinite``
    tied pairs are -inf on both sides, and ``nan`` names the side that holds one nan.
    """
    n = right + wrong + tied
    bad = torch.tensor(rng.normal(-30, 8, size=n)).to(getattr(torch, dtype))
    gap = np.concatenate([rng.uniform(0.5, 5, right), -rng.uniform(0.5, 5, wrong), np.zeros(tied)])
    good = bad + torch.tensor(gap).to(bad.dtype)
    if near:
        good[:near] = torch.nextafter(bad[:near], torch.zeros_like(bad[:near]))
    for side in (good, bad):
        side[n - infinite :] = -torch.inf
    order = torch.tensor(rng.permutation(n))
    sides = {"good": good[order], "bad": bad[order]}
    if nan:
        sides[nan][n // 2] = torch.nan
    return (sides["good"], sides["bad"]) + (() if ties is None else (ties,))


# --- 01.4 suite_table(correct, paradigms, phenomena) -------------------------------------------


def suite(rng, plan, repeat=None):
    """Shuffled rows for ``plan``, {phenomenon: {paradigm: [right, wrong, tied]}}.

    ``repeat`` says of some paradigms how often all their pairs stand there.
    """
    rows = [
        (value, paradigm, phenomenon)
        for phenomenon, paradigms in plan.items()
        for paradigm, numbers in paradigms.items()
        for value, n in zip((1.0, 0.0, 0.5), numbers, strict=False)
        for _ in range(n * (repeat or {}).get(paradigm, 1))
    ]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    return tuple(list(column) for column in zip(*rows, strict=True))


def columns(call, *given):
    """The table without "overall"."""
    return part_of(call(*given), lambda key: key != "overall")


def overall(call, *given):
    """The table's "overall" alone."""
    return part_of(call(*given), lambda key: key == "overall")


def part_of(table, wanted):
    if not isinstance(table, Mapping):
        return table
    return {key: value for key, value in table.items() if wanted(key)}


# --- 01.5 bootstrap_interval(correct, n_resamples, level, seed) --------------------------------


def paradigms(rng, numbers, n_resamples, level):
    """For each [right, wrong, tied] a paradigm of shuffled points, and a seed."""
    groups = [rng.permutation(np.repeat([1.0, 0.0, 0.5], group)) for group in numbers]
    groups = [torch.tensor(groups[i], dtype=torch.float32) for i in rng.permutation(len(groups))]
    return groups, n_resamples, level, int(rng.integers(10_000))


def mirrored(rng, n, n_resamples, level):
    """Two paradigms of one size; a pair is right in the one where it is wrong in the other."""
    first = torch.tensor(rng.permutation(np.arange(n) % 2), dtype=torch.float32)
    return [first, 1 - first], n_resamples, level, int(rng.integers(10_000))


def ends(call, *given):
    """(low, high) of one interval as two numbers."""
    answer = call(*given)
    if isinstance(answer, (np.ndarray, torch.Tensor)):
        answer = answer.tolist()
    pair = read(answer, (0.0, 0.0), "the interval")
    if not isinstance(pair, tuple) or not all(isinstance(end, float) for end in pair):
        raise Wrong("Return the interval (low, high), two numbers.")
    return pair


def repeats(call, groups, n_resamples, level, seed):
    """Whether one seed gives one interval, and whether of some seeds any gives another one."""
    first, *others = [ends(call, groups, n_resamples, level, seed + k) for k in (0, 0, 1, 2, 3)]
    agree = [float(first == other) for other in others]
    return agree[0], 1 - min(agree[1:])


def nested(call, groups, n_resamples, level, seed):
    """Whether each of three intervals lies inside that of the higher level."""
    bounds = [ends(call, groups, n_resamples, share, seed) for share in (0.99, level, 0.5)]
    return [float(out[0] < low <= high < out[1]) for out, (low, high) in itertools.pairwise(bounds)]


def one_mean(call, groups, n_resamples, level, seed):
    """How wide the interval of a single resample is."""
    low, high = ends(call, groups, 1, level, seed)
    return high - low


def defaults(call, groups, n_resamples, level, seed):
    """Whether an argument left out is the one the docstring names, from the last to the first."""
    written = (1000, 0.95, 0)
    full = ends(call, groups, *written)
    return [float(ends(call, groups, *written[:n]) == full) for n in (2, 1, 0)]


# --- 01.6 region_surprisals(logprobs [T - 1], regions, n_regions) ------------------------------


def regions(rng, places, n_regions, dtype="float32", shuffled=False, never=0, size=3.0):
    """Log-probabilities of ``size`` for tokens in these regions; the first ``never`` are -inf."""
    logprobs = -rng.exponential(size, size=len(places))
    logprobs[:never] = -np.inf
    order = rng.permutation(len(places)) if shuffled else np.arange(len(places))
    table = torch.tensor(logprobs[order]).to(getattr(torch, dtype))
    return table, [places[i] for i in order], n_regions


def total(call, *given):
    """The sum of all that the answer holds."""
    answer = read(call(*given), np.zeros(1), "the result")
    if answer is None:
        raise Wrong("Return a list of numbers, one for each region; yours is None.")
    return float(answer.sum())


# --- 01.7 frequency_control(good_ids, bad_ids, margins, counts) --------------------------------

RARE, NEAR, SMALL = 60, (20_000, 20_001), (5_010, 5_015)  # words; counts 5e-5 and 1e-3 nats apart
KINDS = {"agrees": 1, "opposes": -1, "order": 0, "same": 0, "near": 0, "small": 1, "smaller": -1}


def frequency_pairs(rng, kinds, length=8, wins=None, size=1.0, dtype="float32"):
    """Pairs that differ in one word, or only in the order of their words, shuffled.

    ``kinds`` says how many pairs there are of each kind: in "near" ones the two words are so
    nearly as frequent that the cue is silent, in "small" and "smaller" ones it is just not. With
    ``wins`` the language model's margins follow the cue with that sign and are 0 without one.
    """
    places = rng.permutation(RARE + 4)
    counts = torch.zeros(RARE + 4, dtype=torch.long)
    counts[places] = torch.tensor([*(np.arange(RARE) * 3 + 1), *NEAR, *SMALL])
    good, bad, margins = [], [], []
    for kind in rng.permutation([kind for kind, n in kinds.items() for _ in range(n)]):
        words = rng.choice(RARE, size=length, replace=False)
        words[0] = rng.integers(10, 50)
        others = words.copy()
        if kind == "order":
            others = rng.permutation(words)
        elif kind != "same":
            words[0], others[0] = changed_words(rng, kind, words[0])
        good.append(places[words].tolist())
        bad.append(places[others].tolist())
        sign = rng.choice([-1.0, 1.0]) if wins is None else wins * KINDS[kind]
        margins.append(size * sign * rng.uniform(1, 4))
    return good, bad, torch.tensor(margins).to(getattr(torch, dtype)), counts


def changed_words(rng, kind, word):
    """Places in the list of words by frequency: one for the good and one for the bad sentence."""
    frequent = {"small": (3, 2), "smaller": (2, 3), "near": rng.permutation(2)}
    if kind in frequent:
        return np.array(frequent[kind]) + RARE
    return word, word - rng.integers(1, 10) * KINDS[kind]


def unequal_pairs(rng, margins):
    """One word against two, and words that never occur; other words have small counts."""
    vocabulary = int(rng.integers(52, 68))
    a, b, c, d, never, nor = rng.permutation(vocabulary)[:6].tolist()
    counts = torch.zeros(vocabulary, dtype=torch.long)
    counts[[a, b, c, d]] = torch.tensor([1, 9, 6, 4])
    good = [[a], [a], [b, c], [never, b], [a, b], [never, b], [never], [b], [never], [never, b]]
    bad = [[b, c], [c, b], [a], [b, a], [b, never], [nor, b], [nor], [b, b], [b, c], [a, d]]
    return good, bad, torch.tensor(margins), counts
