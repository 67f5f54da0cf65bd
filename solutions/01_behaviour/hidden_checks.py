"""Held-out checks of assignment 01. For instructors: this file is never released.

``HELD_OUT`` maps an exercise id to parts of the same shape as the visible ones.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch

from course_lib.checks.calling import as_number, as_table, as_vector, compare
from course_lib.checks.results import Part, Wrong
from course_lib.checks.unit01_scores import chosen, language
from course_lib.checks.unit01_suites import GROUPS, interval, suite


def last_row_is_free(student, rng):
    for tokens in (2, 5, 10):
        probs, logits = language(rng, tokens, 8)
        ids = rng.integers(8, size=tokens)
        before = as_vector(student(logits, torch.tensor(ids)), tokens - 1)
        compare(before, chosen(probs, ids), {}, "These are not the next tokens' log-probabilities.")
        logits[-1] += torch.tensor(rng.normal(size=8) * 5)
        after = as_vector(student(logits, torch.tensor(ids)), tokens - 1)
        if not np.allclose(before, after, atol=1e-5):
            raise Wrong(
                "The logits after the last token changed your answer, but they predict a token "
                "that is not in the sentence: shift by one."
            )


def half_precision(student, rng):
    _, logits = language(rng, 9, 200, sharpness=4.0)
    ids = torch.tensor(rng.integers(200, size=9))
    for dtype in (torch.float64, torch.float16):
        given = logits.to(dtype)
        exact = chosen(torch.softmax(given.double(), -1).numpy(), ids.numpy())
        got = as_vector(student(given, ids), 8)
        error = np.abs(got - exact).max()
        if error > 5e-4:
            raise Wrong(
                f"With {dtype} logits the result is off by up to {error:.4f} nats: convert to "
                "float32 before the softmax."
            )


def all_sentences_sum_to_one(student, rng):
    # A tiny language of 3 words after BOS: all 27 sentences of three words, with logits that
    # depend on everything before. Their probabilities sum to one whatever the logits are.
    tables = {
        prefix: rng.normal(size=3) * 2
        for n in range(4)
        for prefix in itertools.product(range(3), repeat=n)
    }
    sentences = list(itertools.product(range(3), repeat=3))
    logits = torch.tensor(
        np.array([[tables[s[:n]] for n in range(4)] for s in sentences]), dtype=torch.float32
    )
    ids = torch.tensor([(0, *s) for s in sentences])
    got = as_vector(student(logits, ids, torch.ones(27, 4, dtype=torch.long), "sum"), 27)
    total = float(np.exp(got).sum())
    if np.ptp(got) < 1e-6 or abs(total - 1) > 1e-3:
        raise Wrong(
            f"The probabilities of all sentences of one length sum to {total:.3f}, not to 1: a "
            "factor is missing (the first word after BOS?) or counted twice."
        )


def reduction_is_checked(student, rng):
    _, logits = language(rng, 4, 5)
    ids, mask = torch.tensor([[1, 2, 3, 4]]), torch.ones(1, 4, dtype=torch.long)
    student.refuses(
        ValueError,
        logits[None],
        ids,
        mask,
        "average",
        why="An unknown reduction must raise ValueError, or a typing mistake goes unseen.",
    )


def pair_defaults(student, rng):
    scores = torch.tensor(rng.normal(size=6) - 20)
    for _ in range(2):
        half = as_number(student(scores, scores.clone()), "the accuracy")
        compare(half, 0.5, {}, "A suite of identical pairs must give 0.5 by default (ties='half').")
    student.refuses(
        ValueError,
        scores,
        scores,
        "random",
        why="An unknown value of ties must raise ValueError.",
    )


def pair_nan(student, rng):
    good = torch.tensor([-3.0, float("nan"), -2.0])
    for first, second in ((good, good.nan_to_num() - 1), (good.nan_to_num(), good)):
        student.refuses(
            ValueError,
            first,
            second,
            "wrong",
            why="A nan score must raise ValueError: it compares false with everything and would "
            "pass for a wrong answer.",
        )


def suite_invariant(student, rng):
    plan = {"npi": {"a": (3, 1), "b": (1, 4)}, "binding": {"c": (5, 5), "d": (2, 7), "e": (1, 0)}}
    correct, paradigms, phenomena = suite(rng, plan)
    correct = [value if i % 5 else 0.5 for i, value in enumerate(correct)]
    got = as_table(student(correct, paradigms, phenomena), {*plan, "overall"})
    shares = {
        p: np.mean([c for c, q in zip(correct, paradigms, strict=True) if q == p])
        for p in dict.fromkeys(paradigms)
    }
    micro = {"Overall is averaged over pairs (micro), not over paradigms.": np.mean(correct)}
    right = np.mean(list(shares.values()))
    compare(got["overall"], right, micro, "Half points are lost or rounded.")
    twice = [i for i, p in enumerate(paradigms) if p == "b"]
    more = [column + [column[i] for i in twice] * 3 for column in (correct, paradigms, phenomena)]
    again = as_table(student(*more), {*plan, "overall"})
    compare(
        [again[k] for k in sorted(again)],
        [got[k] for k in sorted(got)],
        {},
        "Repeating every pair of one paradigm changed the table: you average over pairs (micro).",
    )


def skewed_percentiles(student, rng):
    # Two of eight pairs right: 8 x the resampled mean is Binomial(8, 1/4), so the percentiles
    # 1.5 % and 98.5 % are 0 and 5 eighths. A symmetric interval would leave [0, 1].
    order = rng.permutation([1.0, 1.0, 0, 0, 0, 0, 0, 0])
    answer = student([torch.tensor(order, dtype=torch.float32)], 4000, 0.97, int(rng.integers(99)))
    low, high = interval(answer)
    if high > low and abs(low + high - 0.5) < 0.02:
        raise Wrong(
            "The interval is symmetric around the mean; take the percentiles of the resampled "
            "means, which are skewed here."
        )
    mistakes = {
        "You mirrored the percentiles at the mean (the basic bootstrap); the percentile interval "
        "takes them as they are.": [-0.125, 0.5],
    }
    otherwise = (
        f"The percentiles of the resampled means are [0, 0.625], yours [{low:.3f}, {high:.3f}]. "
        "Take percentiles, with (1 - level) / 2 on each side."
    )
    compare([low, high], [0.0, 0.625], mistakes, otherwise, tolerance=1e-3)


def certain_and_nested(student, rng):
    certain = [torch.ones(5), torch.zeros(7)]
    compare(
        interval(student(certain, 100, 0.95, 3)),
        [0.5, 0.5],
        {},
        "Without any spread inside the paradigms the interval must have width 0: resample pairs "
        "inside each paradigm, never paradigms or a pool of all pairs.",
    )
    groups = [torch.tensor(rng.normal(size=25)) for _ in range(2)]
    bounds = [interval(student(groups, 1000, level, 5)) for level in (0.99, 0.9, 0.5)]
    for (low, high), (inner_low, inner_high) in itertools.pairwise(bounds):
        if not low < inner_low <= inner_high < high:
            raise Wrong("A higher level must give a wider interval around the narrower one.")


def regions_out_of_order(student, rng):
    regions = [2, 1, 2, 4, 1, 4]
    logprobs = -rng.exponential(2, size=6)
    right = [-sum(x for x, r in zip(logprobs, regions, strict=True) if r == k) for k in range(1, 5)]
    got = as_vector(student(torch.tensor(logprobs), regions, 4), 4)
    otherwise = "A region whose tokens are not neighbours, or an empty one, got the wrong sum."
    compare(got, right, {}, otherwise)


def regions_range(student, rng):
    for bad in (0, 4):
        student.refuses(
            ValueError,
            torch.tensor([-1.0, -2.0, -3.0]),
            [1, 2, bad],
            3,
            why=f"Region {bad} of 3 does not exist and must raise ValueError, or its surprisal "
            "is lost or lands in another region.",
        )


def control_smoothing(student, rng):
    # One word against two: only the right denominator (tokens + vocabulary) gives the right sign.
    vocabulary = 60
    counts = torch.zeros(vocabulary, dtype=torch.long)
    counts[:3] = torch.tensor([1, 9, 6])
    # tokens 16, so 16 + 60 = 76 lies above 10 * 7 / 2 = 35 and 16 below it: p(0) > p(1) p(2).
    # Word 5 never occurred: without smoothing its log-probability is minus infinity.
    answer = student([[0], [5, 1]], [[1, 2], [1, 0]], torch.tensor([1.0, -1.0]), counts)
    got = as_table(answer, set(GROUPS), optional=True)
    if (got["agrees"], got["opposes"], got["silent"]) != (1.0, 0.0, None):
        raise Wrong(
            "With unseen words or unequal lengths the groups are wrong: add-one smoothing is "
            "log((count + 1) / (all tokens + size of the vocabulary)), summed over the words."
        )


def control_itself(student, rng):
    counts = torch.tensor(rng.permutation(30) + 1)
    good = [rng.choice(30, size=4, replace=False).tolist() for _ in range(20)]
    bad = [[*s[:3], (s[3] + 1) % 30] for s in good]
    logs = torch.log((counts + 1) / (counts.sum() + 30)).double().numpy()
    margins = np.array([logs[g].sum() - logs[b].sum() for g, b in zip(good, bad, strict=True)])
    pairs = [*good, [1, 2], [3, 4]], [*bad, [2, 1], [4, 3]]
    given = torch.tensor(np.append(margins, [0.0, 0.0]), dtype=torch.float32)
    for sign in (1, -1):
        got = as_table(student(*pairs, sign * given, counts), set(GROUPS), optional=True)
        right = {"agrees": float(sign == 1), "opposes": float(sign == -1), "silent": 0.5}
        if any(got[k] is None or abs(got[k] - right[k]) > 1e-6 for k in right):
            raise Wrong(
                "A model that is the unigram model itself must score 1 where frequency agrees, "
                "0 where it opposes and 0.5 where it is silent (a margin of 0 counts half)."
            )


HELD_OUT = {
    "01.1": (
        Part("the last row is free", 3, last_row_is_free),
        Part("other precisions", 2, half_precision),
    ),
    "01.2": (
        Part("all sentences sum to one", 3, all_sentences_sum_to_one),
        Part("unknown reduction", 2, reduction_is_checked),
    ),
    "01.3": (Part("defaults", 2, pair_defaults), Part("nan scores", 1, pair_nan)),
    "01.4": (Part("repeated pairs", 3, suite_invariant),),
    "01.5": (
        Part("skewed percentiles", 3, skewed_percentiles),
        Part("certain and nested", 2, certain_and_nested),
    ),
    "01.6": (
        Part("regions out of order", 2, regions_out_of_order),
        Part("regions out of range", 1, regions_range),
    ),
    "01.7": (
        Part("smoothing and length", 3, control_smoothing),
        Part("the unigram model itself", 2, control_itself),
    ),
}
