"""Checks of 01.4 to 01.7: tables, intervals, regions and the control (see unit01.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_table, as_vector, compare
from course_lib.checks.results import Wrong
from course_lib.checks.unit01_scores import BASE_2

# --- 01.4 suite_table(correct, paradigms, phenomena) -> dict -----------------------------------


def suite(rng, plan):
    """Shuffled rows for ``plan``: {phenomenon: {paradigm: (right, wrong)}}."""
    rows = [
        (value, paradigm, phenomenon)
        for phenomenon, paradigms in plan.items()
        for paradigm, (right, wrong) in paradigms.items()
        for value in [1.0] * right + [0.0] * wrong
    ]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    return [list(column) for column in zip(*rows, strict=True)]


PLANS = (
    {"npi": {"npi_1": (9, 1)}, "island": {"isl_1": (1, 1), "isl_2": (3, 9), "isl_3": (2, 3)}},
    {"binding": {"b_1": (30, 0), "b_2": (1, 4)}, "ellipsis": {"e_1": (2, 6)}},
)


def suite_columns(student, rng):
    for plan in PLANS:
        got = as_table(student(*suite(rng, plan)), {*plan, "overall"})
        for name, paradigms in plan.items():
            shares = [right / (right + wrong) for right, wrong in paradigms.values()]
            rights = sum(right for right, _ in paradigms.values())
            pairs = sum(sum(counts) for counts in paradigms.values())
            mistakes = {
                "You averaged over pairs (micro): large paradigms count more. Average each "
                "paradigm first, then the paradigms.": rights / pairs,
                "This is a percentage; return shares between 0 and 1.": 100 * np.mean(shares),
                "You summed the paradigms; take their mean.": np.sum(shares),
            }
            otherwise = (
                f"The column {name!r} is not the mean over its paradigms. The rows are shuffled: "
                "collect all rows of a paradigm, not only neighbouring ones."
            )
            compare(got[name], np.mean(shares), mistakes, otherwise)


def suite_overall(student, rng):
    for plan in PLANS:
        got = as_table(student(*suite(rng, plan)), {*plan, "overall"})["overall"]
        columns = [[r / (r + w) for r, w in paradigms.values()] for paradigms in plan.values()]
        counts = [pair for paradigms in plan.values() for pair in paradigms.values()]
        mistakes = {
            "Overall is averaged over pairs (micro): large paradigms count more. BLiMP's overall "
            "is the mean over all paradigms (macro).": sum(r for r, _ in counts)
            / sum(r + w for r, w in counts),
            "Overall is the mean of the phenomenon columns; it has to be the mean over all "
            "paradigms, so that each paradigm counts the same.": np.mean(
                [np.mean(column) for column in columns]
            ),
        }
        otherwise = "Overall is not the mean over all paradigms."
        compare(got, np.mean(sum(columns, [])), mistakes, otherwise)


# --- 01.5 bootstrap_interval(correct, n_resamples, level, seed) -> (low, high) -----------------

NORMAL = {0.8: 1.2816, 0.95: 1.96}  # half width of a normal interval in standard errors


def interval(answer):
    low, high = as_vector(answer, 2, "the interval (low, high)")
    if low > high:
        raise Wrong("The interval is turned round: return (low, high).")
    return low, high


def paradigm_groups(rng):
    """Three paradigms of different size and difficulty, with continuous scores in [0, 1]."""
    sizes, means = (30, 60, 20), (0.2, 0.5, 0.85)
    return [
        torch.tensor(np.clip(rng.normal(m, 0.1, n), 0, 1), dtype=torch.float32)
        for n, m in zip(sizes, means, strict=True)
    ]


def interval_width(student, rng):
    for level in (0.95, 0.8):
        groups = paradigm_groups(rng)
        arrays = [group.double().numpy() for group in groups]
        low, high = interval(student(groups, 3000, level, int(rng.integers(10_000))))
        centre = np.mean([a.mean() for a in arrays])
        error = np.sqrt(sum(a.var() / len(a) for a in arrays)) / len(arrays)
        full = 2 * NORMAL[level] * error
        width, pooled = high - low, np.concatenate(arrays)
        if width < 1e-9:
            raise Wrong("Every resample gave the same mean: draw with replacement.")
        if abs((low + high) / 2 - pooled.mean()) < abs((low + high) / 2 - centre) - error:
            raise Wrong(
                "The interval lies around the mean over pairs (micro), not around the mean over "
                "paradigms: resample inside each paradigm, average each, then average those."
            )
        if not low < centre < high:
            raise Wrong(f"The interval [{low:.3f}, {high:.3f}] misses the mean {centre:.3f}.")
        one_tail = {0.95: 1.6449, 0.8: 0.8416}[level]
        ratios = {
            one_tail / NORMAL[level]: "You cut 1 - level off each side. Half of it belongs to "
            "each: (1 - level) / 2.",
            np.sqrt(len(arrays)): "The interval is too wide by the square root of the number of "
            "paradigms: average over the paradigms inside each resample.",
            np.sqrt(pooled.var() / len(pooled)) / error: "The interval is as wide as if all pairs "
            "were one pool. Resample inside each paradigm.",
            np.std([a.mean() for a in arrays]) / np.sqrt(len(arrays)) / error: "You resampled "
            "the paradigms; keep them fixed and resample the pairs inside each.",
            np.mean([a.std() for a in arrays]) / error: "This is the spread of single pairs, not "
            "of the mean over as many pairs as the paradigm has.",
        }
        if abs(width / full - 1) > 0.1:
            nearest = min(ratios, key=lambda r: abs(np.log(r / (width / full))))
            if abs(np.log(nearest / (width / full))) < 0.09:
                raise Wrong(ratios[nearest])
            size = "wide" if width > full else "narrow"
            raise Wrong(
                f"The {level:.0%} interval is {width:.4f} wide, about {full:.4f} is right: too "
                f"{size}. Draw as many pairs as the paradigm has, with replacement."
            )


def interval_seed(student, rng):
    for _ in range(2):
        groups, seed = paradigm_groups(rng), int(rng.integers(10_000))
        first, again = (interval(student(groups, 200, 0.9, seed)) for _ in range(2))
        other = interval(student(groups, 200, 0.9, seed + 1))
        if first[1] - first[0] < 1e-9:
            raise Wrong("Every resample gave the same mean: draw with replacement.")
        if first != again:
            raise Wrong("The same seed gave two different intervals: make the generator from seed.")
        if first == other:
            raise Wrong("Two different seeds gave the same interval: use the seed you were given.")


# --- 01.6 region_surprisals(logprobs [T - 1], regions [T - 1], n_regions) -> [n_regions] --------


def regions_values(student, rng):
    for n_regions, counts in ((3, (2, 1, 3)), (5, (1, 2, 0, 3, 1))):
        regions = np.repeat(np.arange(1, n_regions + 1), counts)
        logprobs = -rng.exponential(3, size=len(regions))
        got = as_vector(
            student(torch.tensor(logprobs, dtype=torch.float32), regions.tolist(), n_regions),
            n_regions,
            "region_surprisals(...)",
            "Every region needs a value; one without a token has surprisal 0.",
        )
        right = np.bincount(regions - 1, -logprobs, n_regions)
        filled = np.maximum(counts, 1)
        mistakes = {
            "The sign is turned round: surprisal is minus the log-probability.": -right,
            BASE_2: right / np.log(2),
            "You took the mean in each region; surprisals of a region add up.": right / filled,
            "You are off by one: regions are numbered from 1, region 1 stands first.": np.roll(
                right, 1
            ),
            "You are off by one: regions are numbered from 1, region 1 stands first. ": np.append(
                0, right[:-1]
            ),
            "You used probabilities; surprisal is minus the log-probability.": np.bincount(
                regions - 1, np.exp(logprobs), n_regions
            ),
            "You added probabilities first; add the surprisals of the tokens.": [
                -np.log(np.exp(logprobs[regions == r]).sum()) if (regions == r).any() else 0.0
                for r in range(1, n_regions + 1)
            ],
            "You kept one token of each region; add all of them.": [
                -logprobs[regions == r][-1] if (regions == r).any() else 0.0
                for r in range(1, n_regions + 1)
            ],
        }
        otherwise = "A region's surprisal is the sum of the surprisals of its tokens."
        compare(got, right, mistakes, otherwise)


def regions_total(student, rng):
    for n_regions, tokens in ((4, 12), (7, 20)):
        regions = np.sort(rng.integers(1, n_regions + 1, size=tokens))
        logprobs = torch.tensor(-rng.exponential(2, size=tokens), dtype=torch.float32)
        got = as_vector(student(logprobs, regions.tolist(), n_regions), n_regions, "the result")
        total, sum_ = float(-logprobs.sum()), float(got.sum())
        mistakes = {
            "The regions sum to the log-probability; surprisal is minus that (the sign).": -total,
            "The regions sum to the total in bits: use the natural logarithm.": total / np.log(2),
        }
        otherwise = (
            f"The regions sum to {sum_:.3f}, the sentence has surprisal {total:.3f}. Surprisals "
            "add: each token belongs to exactly one region."
        )
        compare(sum_, total, mistakes, otherwise)
        if np.count_nonzero(got) < len(set(regions.tolist())):
            raise Wrong("Some region that has tokens got surprisal 0.")


# --- 01.7 frequency_control(good_ids, bad_ids, margins, counts) -> dict -------------------------

GROUPS = {"agrees": 1, "opposes": -1, "silent": 0}  # sign of the unigram margin


def frequency_pairs(rng, vocabulary=60, length=12):
    """Pairs that differ in one word (seven only in order), and the unigram margin's sign."""
    counts = torch.tensor(rng.permutation(vocabulary) * 3 + 1)
    good, bad, sign = [], [], []
    for kind in rng.permutation([0] * 7 + [1] * 9 + [-1] * 8):
        sentence = rng.choice(vocabulary, size=length, replace=False).tolist()
        other = list(sentence)
        if kind == 0:  # the same words in another order
            other = [sentence[i] for i in rng.permutation(length)]
        else:
            free = [w for w in range(vocabulary) if w not in sentence]
            side = [w for w in free if np.sign(int(counts[sentence[2]] - counts[w])) == kind]
            if not side:
                continue
            other[2] = int(rng.choice(side))
        good.append(sentence)
        bad.append(other)
        sign.append(int(kind))
    return good, bad, counts, np.array(sign)


def control_groups(student, rng):
    for _ in range(3):
        good, bad, counts, sign = frequency_pairs(rng)
        keep = [i for i, s in enumerate(sign) if s != 0]
        good, bad, sign = [good[i] for i in keep], [bad[i] for i in keep], sign[keep]
        margins = rng.choice([-1.0, 1.0], size=len(sign)) * rng.uniform(1, 4, size=len(sign))
        margins[:4] = [2.0, 3.0, 1.5, -1.0]
        answer = student(good, bad, torch.tensor(margins, dtype=torch.float32), counts)
        got = as_table(answer, set(GROUPS), optional=True)
        shares = {s: float((margins[sign == s] > 0).mean()) for s in (1, -1)}
        if got["agrees"] is None or got["opposes"] is None or got["silent"] is not None:
            raise Wrong(
                "Frequency prefers one sentence in every one of these pairs: 'agrees' and "
                "'opposes' need a share, 'silent' has no pair and must be None."
            )
        values = [got["agrees"], got["opposes"]]
        right = [shares[1], shares[-1]]
        overall = float((margins > 0).mean())
        mistakes = {
            "The groups are swapped: 'agrees' holds the pairs in which the unigram model prefers "
            "the good sentence.": right[::-1],
            "You split by the language model's margin; split by the unigram margin.": [1.0, 0.0],
            "You returned the overall accuracy in every group.": [overall, overall],
            "You counted the pairs that the model gets wrong: a margin is good minus bad.": [
                1 - right[0],
                1 - right[1],
            ],
        }
        otherwise = "The accuracies of the groups are wrong: check the sign of the unigram margin."
        compare(values, right, mistakes, otherwise)


def control_silent(student, rng):
    for _ in range(3):
        good, bad, counts, sign = frequency_pairs(rng)
        margins = rng.choice([-2.0, 2.0], size=len(sign))
        margins[np.flatnonzero(sign == 0)[:3]] = 2.0, 2.0, -2.0
        answer = student(good, bad, torch.tensor(margins, dtype=torch.float32), counts)
        got = as_table(answer, set(GROUPS), optional=True)
        right = {n: (margins[sign == s] > 0).mean() for n, s in GROUPS.items()}
        if any(got[name] is None or abs(got[name] - right[name]) > 1e-6 for name in right):
            raise Wrong(
                "Seven pairs hold the same words in another order, so frequency says nothing: "
                "they are 'silent'. Sums of floats in another order differ by about 1e-6 and "
                "slip into the other groups: call a margin below 1e-4 in size a tie."
            )
