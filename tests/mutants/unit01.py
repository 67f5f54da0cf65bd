"""Answers to assignment 01 that the checks must tell apart: right in another style, and wrong."""

from __future__ import annotations

import functools
import math
import random
from collections import Counter

import numpy as np
import torch

from tests.mutants.answers import Answers

ANSWERS = Answers()
other, mutant = ANSWERS.other, ANSWERS.mutant


# --- 01.1 ----------------------------------------------------------------------------------


@other("01.1")
def numpy_loop(logits, ids):
    table, words, found = logits.double().numpy(), ids.tolist(), []
    for t in range(len(words) - 1):
        row = table[t] - table[t].max()
        found.append(float(row[words[t + 1]] - np.log(np.exp(row).sum())))
    return found


@other("01.1")
def cross_entropy(logits, ids):
    return -torch.nn.functional.cross_entropy(logits[:-1].double(), ids[1:], reduction="none")


def _rows(logits):
    return torch.log_softmax(logits.float(), -1)


def _pick(table, ids):
    return table[torch.arange(len(ids)), ids]


@mutant("01.1", "shift by one")
def no_shift(logits, ids):
    return _pick(_rows(logits)[1:], ids[1:])


@mutant("01.1", "predict a token that is not there")
def every_position(logits, ids):
    return _pick(_rows(logits), ids)


@mutant("01.1", "look up the next token")
def current_token(logits, ids):
    return _pick(_rows(logits)[:-1], ids[:-1])


@mutant("01.1", "wrong way")
def shift_back(logits, ids):
    return _pick(_rows(logits)[1:], ids[:-1])


@mutant("01.1", "sign is turned round")
def surprisal(logits, ids):
    return -_pick(_rows(logits)[:-1], ids[1:])


@mutant("01.1", "normalised over the positions")
def wrong_axis(logits, ids):
    return _pick(torch.log_softmax(logits.float(), 0)[:-1], ids[1:])


@mutant("01.1", "base 2")
def bits(logits, ids):
    return _pick(_rows(logits)[:-1], ids[1:]) / math.log(2)


@mutant("01.1", "returned probabilities")
def probabilities(logits, ids):
    return _pick(_rows(logits)[:-1], ids[1:]).exp()


@mutant("01.1", "raw logits")
def raw_logits(logits, ids):
    return _pick(logits[:-1], ids[1:])


@mutant("01.1", "not log of softmax")
def log_of_softmax(logits, ids):
    return _pick(torch.softmax(logits, -1).log()[:-1], ids[1:])


@mutant("01.1", "must have shape")
def summed(logits, ids):
    return _pick(_rows(logits)[:-1], ids[1:]).sum()


@mutant("01.1", "changed the data")
def in_place(logits, ids):
    logits -= logits.logsumexp(-1, keepdim=True)
    return _pick(logits[:-1], ids[1:])


@mutant("01.1", "does not depend on which token")
def uniform(logits, ids):
    return torch.full((len(ids) - 1,), -math.log(logits.shape[1]))


@mutant("01.1", "convert to float32", "held-out")
def half_precision(logits, ids):
    return _pick(torch.log_softmax(logits, -1)[:-1], ids[1:])


# --- 01.2 ----------------------------------------------------------------------------------


@other("01.2")
def one_by_one(logits, ids, mask, reduction="sum"):
    if reduction != "sum" and reduction != "mean":
        raise ValueError(reduction)
    scores = []
    for row in range(len(ids)):
        n = int(mask[row].sum())
        terms = numpy_loop(logits[row, :n], ids[row, :n])
        scores.append(sum(terms) / (len(terms) if reduction == "mean" else 1))
    return np.array(scores)


def _terms(logits, ids):
    return _rows(logits[:, :-1]).gather(-1, ids[:, 1:, None])[..., 0]


def _reduce(terms, keep, reduction):
    totals = torch.where(keep.bool(), terms, 0.0).sum(-1)
    return totals / keep.sum(-1) if reduction == "mean" else totals


@mutant("01.2", "first word after BOS is missing")
def missing_bos(logits, ids, mask, reduction="sum"):
    return _reduce(_terms(logits, ids)[:, 1:], mask[:, 2:], reduction)


@mutant("01.2", "counted padding")
def counts_padding(logits, ids, mask, reduction="sum"):
    return _reduce(_terms(logits, ids), torch.ones_like(mask[:, 1:]), reduction)


@mutant("01.2", "mask has to be shifted")
def mask_not_shifted(logits, ids, mask, reduction="sum"):
    return _reduce(_terms(logits, ids), mask[:, :-1], reduction)


@mutant("01.2", "nan times a mask of 0")
def multiplies_mask(logits, ids, mask, reduction="sum"):
    totals = (_terms(logits, ids) * mask[:, 1:]).sum(-1)
    return totals / mask[:, 1:].sum(-1) if reduction == "mean" else totals


@mutant("01.2", "You took the mean over the tokens")
def mean_for_sum(logits, ids, mask, reduction="sum"):
    return _reduce(_terms(logits, ids), mask[:, 1:], "mean")


@mutant("01.2", "You returned the sum for reduction='mean'")
def sum_for_mean(logits, ids, mask, reduction="sum"):
    return _reduce(_terms(logits, ids), mask[:, 1:], "sum")


@mutant("01.2", "BOS is given, not predicted")
def divides_by_bos(logits, ids, mask, reduction="sum"):
    totals = _reduce(_terms(logits, ids), mask[:, 1:], "sum")
    return totals / mask.sum(-1) if reduction == "mean" else totals


@mutant("01.2", "divided by the padded length")
def divides_by_width(logits, ids, mask, reduction="sum"):
    totals = _reduce(_terms(logits, ids), mask[:, 1:], "sum")
    return totals / (ids.shape[1] - 1) if reduction == "mean" else totals


@mutant("01.2", "shift by one")
def batch_no_shift(logits, ids, mask, reduction="sum"):
    terms = _rows(logits).gather(-1, ids[..., None])[:, 1:, 0]
    return _reduce(terms, mask[:, 1:], reduction)


@mutant("01.2", "add their logarithms")
def adds_probabilities(logits, ids, mask, reduction="sum"):
    return _reduce(_terms(logits, ids).exp(), mask[:, 1:], reduction)


@mutant("01.2", "sign is turned round")
def batch_surprisal(logits, ids, mask, reduction="sum"):
    return -_reduce(_terms(logits, ids), mask[:, 1:], reduction)


@mutant("01.2", "must have shape [2]")
def one_number(logits, ids, mask, reduction="sum"):
    return _reduce(_terms(logits, ids), mask[:, 1:], reduction).sum()


@mutant("01.2", "unknown reduction", "held-out")
def any_reduction(logits, ids, mask, reduction="sum"):
    return _reduce(_terms(logits, ids), mask[:, 1:], reduction)


# --- 01.3 ----------------------------------------------------------------------------------


@other("01.3")
def counting(good, bad, ties="half"):
    worth, points = {"half": 0.5, "wrong": 0, "right": 1}, 0.0
    if ties not in worth:
        raise ValueError(ties)
    for g, b in zip(good.tolist(), bad.tolist(), strict=True):
        if math.isnan(g) or math.isnan(b):
            raise ValueError("nan")
        points += worth[ties] if g == b else g > b
    return points / len(good)


@mutant("01.3", "bad sentence scores higher")
def turned_round(good, bad, ties="half"):
    return counting(bad, good, ties)


@mutant("01.3", "your tied pairs are counted as right")
def ties_right(good, bad, ties="half"):
    return (good >= bad).double().mean()


@mutant("01.3", "your tied pairs are counted as wrong")
def ties_wrong(good, bad, ties="half"):
    return (good > bad).double().mean()


@mutant("01.3", "counted as half a point; they have to be counted as right")
def ties_half(good, bad, ties="half"):
    return counting(good, bad, "half")


@mutant("01.3", "left the tied pairs out")
def ties_dropped(good, bad, ties="half"):
    keep = good != bad
    return (good[keep] > bad[keep]).double().mean()


@mutant("01.3", "divide by the number of pairs")
def a_count(good, bad, ties="half"):
    return counting(good, bad, ties) * len(good)


@mutant("01.3", "percentage")
def percent(good, bad, ties="half"):
    return 100 * counting(good, bad, ties)


@mutant("01.3", "pair by pair")
def average_scores(good, bad, ties="half"):
    return float(good.mean() > bad.mean())


@mutant("01.3", "identical pairs", "held-out")
def default_wrong(good, bad, ties="wrong"):
    return counting(good, bad, ties)


@mutant("01.3", "unknown value of ties", "held-out")
def any_ties(good, bad, ties="half"):
    return counting(good, bad, ties if ties in ("half", "right") else "wrong")


@mutant("01.3", "compares false with everything", "held-out")
def accepts_nan(good, bad, ties="half"):
    return counting(good.nan_to_num(), bad.nan_to_num(), ties)


# --- 01.4 ----------------------------------------------------------------------------------


def _mean(values):
    values = list(values)
    return sum(values) / len(values)


def _by(keys, values):
    groups = {}
    for key, value in zip(keys, values, strict=True):
        groups.setdefault(key, []).append(value)
    return groups


@other("01.4")
def with_arrays(correct, paradigms, phenomena):
    correct, paradigms, phenomena = map(np.array, (correct, paradigms, phenomena))

    def average(names):
        return np.mean([correct[paradigms == name].mean() for name in names])

    table = {str(p): average(np.unique(paradigms[phenomena == p])) for p in np.unique(phenomena)}
    return {**table, "overall": average(np.unique(paradigms))}


@mutant("01.4", "averaged over pairs (micro)", "held-out")
@mutant("01.4", "averaged over pairs (micro)")
def micro(correct, paradigms, phenomena):
    table = {k: _mean(v) for k, v in _by(phenomena, correct).items()}
    return {**table, "overall": _mean(correct)}


@mutant("01.4", "BLiMP's overall is the mean over all paradigms (macro)")
def micro_overall(correct, paradigms, phenomena):
    return {**with_arrays(correct, paradigms, phenomena), "overall": _mean(correct)}


@mutant("01.4", "mean of the phenomenon columns")
def macro_overall(correct, paradigms, phenomena):
    table = with_arrays(correct, paradigms, phenomena)
    del table["overall"]
    return {**table, "overall": _mean(table.values())}


@mutant("01.4", "percentage")
def percent_table(correct, paradigms, phenomena):
    return {k: 100 * v for k, v in with_arrays(correct, paradigms, phenomena).items()}


@mutant("01.4", "missing ['overall']")
def no_overall(correct, paradigms, phenomena):
    table = with_arrays(correct, paradigms, phenomena)
    return {k: v for k, v in table.items() if k != "overall"}


@mutant("01.4", "not only neighbouring ones")
def only_neighbours(correct, paradigms, phenomena):
    runs, start = [], 0
    for end in range(1, len(correct) + 1):
        if end == len(correct) or paradigms[end] != paradigms[start]:
            runs.append((phenomena[start], _mean(correct[start:end])))
            start = end
    names, means = zip(*runs, strict=True)
    return {**{k: _mean(v) for k, v in _by(names, means).items()}, "overall": _mean(means)}


@mutant("01.4", "Half points", "held-out")
def ties_as_wrong(correct, paradigms, phenomena):
    return with_arrays([int(value) for value in correct], paradigms, phenomena)


# --- 01.5 ----------------------------------------------------------------------------------


@other("01.5")
def plain_python(correct, n_resamples=1000, level=0.95, seed=0):
    chance, means = random.Random(seed), []
    groups = [group.tolist() for group in correct]
    for _ in range(n_resamples):
        means.append(_mean(_mean(chance.choices(group, k=len(group))) for group in groups))
    means.sort()
    cut = int(n_resamples * (1 - level) / 2)
    return means[cut], means[-1 - cut]


def _bootstrap(correct, n_resamples, seed, draw=None, combine=None):
    rng = np.random.default_rng(seed)
    draw = draw or (lambda values: rng.choice(values, len(values)))
    combine = combine or _mean
    groups = [group.double().numpy() for group in correct]
    return np.array([combine([draw(g) for g in groups]) for _ in range(n_resamples)]), rng


def _means(drawn):
    return _mean(values.mean() for values in drawn)


def _cut(means, level):
    return np.quantile(means, [(1 - level) / 2, (1 + level) / 2])


@mutant("01.5", "draw with replacement")
def without_replacement(correct, n_resamples=1000, level=0.95, seed=0):
    rng = np.random.default_rng(seed)
    return _cut(_bootstrap(correct, n_resamples, 0, rng.permutation, _means)[0], level)


@mutant("01.5", "Half of it belongs to each")
def whole_tail_each_side(correct, n_resamples=1000, level=0.95, seed=0):
    means = _bootstrap(correct, n_resamples, seed, combine=_means)[0]
    return np.quantile(means, [1 - level, level])


@mutant("01.5", "resample inside each paradigm")
def one_pool(correct, n_resamples=1000, level=0.95, seed=0):
    pool = [torch.cat([group.double() for group in correct])]
    return _cut(_bootstrap(pool, n_resamples, seed, combine=_means)[0], level)


@mutant("01.5", "mean over pairs (micro)")
def micro_interval(correct, n_resamples=1000, level=0.95, seed=0):
    def combine(drawn):
        return np.concatenate(drawn).mean()

    return _cut(_bootstrap(correct, n_resamples, seed, combine=combine)[0], level)


@mutant("01.5", "resampled the paradigms")
def resamples_paradigms(correct, n_resamples=1000, level=0.95, seed=0):
    means = torch.stack([group.double().mean() for group in correct])
    return _cut(_bootstrap([means], n_resamples, seed, combine=_means)[0], level)


@mutant("01.5", "as many pairs as the paradigm has")
def draws_too_many(correct, n_resamples=1000, level=0.95, seed=0):
    rng = np.random.default_rng(seed)
    groups = [rng.choice(group.numpy(), (300, 1000)).mean(1) for group in correct]
    return _cut(np.mean(groups, 0), level)


@mutant("01.5", "spread of single pairs")
def spread_of_pairs(correct, n_resamples=1000, level=0.95, seed=0):
    rng = np.random.default_rng(seed)
    centre, spread = (_mean(f(g.numpy()) for g in correct) for f in (np.mean, np.std))
    return _cut(rng.normal(centre, spread, n_resamples), level)


@mutant("01.5", "(low, high)")
def high_low(correct, n_resamples=1000, level=0.95, seed=0):
    return plain_python(correct, n_resamples, level, seed)[::-1]


@mutant("01.5", "use the seed you were given")
def fixed_seed(correct, n_resamples=1000, level=0.95, seed=0):
    return plain_python(correct, n_resamples, level, 7)


@mutant("01.5", "same seed gave two different intervals")
def no_seed(correct, n_resamples=1000, level=0.95, seed=0):
    return plain_python(correct, n_resamples, level, None)


@mutant("01.5", "symmetric around the mean", "held-out")
def normal_interval(correct, n_resamples=1000, level=0.95, seed=0):
    means = _bootstrap(correct, n_resamples, seed, combine=_means)[0]
    half = means.std() * torch.distributions.Normal(0, 1).icdf(torch.tensor((1 + level) / 2)).item()
    return means.mean() - half, means.mean() + half


@mutant("01.5", "mirrored the percentiles", "held-out")
def basic_interval(correct, n_resamples=1000, level=0.95, seed=0):
    low, high = plain_python(correct, n_resamples, level, seed)
    centre = _mean(group.double().mean().item() for group in correct)
    return 2 * centre - high, 2 * centre - low


# --- 01.6 ----------------------------------------------------------------------------------


@other("01.6")
def with_bincount(logprobs, regions, n_regions):
    places = np.array(regions)
    if places.min() < 1 or places.max() > n_regions:
        raise ValueError("region out of range")
    return np.bincount(places - 1, -logprobs.double().numpy(), n_regions)


def _region_sums(logprobs, regions, n_regions, by=lambda values: -sum(values)):
    groups = _by(regions, logprobs.tolist())
    return [by(groups[r]) if r in groups else 0.0 for r in range(1, n_regions + 1)]


@mutant("01.6", "sign is turned round")
def region_logprobs(logprobs, regions, n_regions):
    return _region_sums(logprobs, regions, n_regions, sum)


@mutant("01.6", "base 2")
def region_bits(logprobs, regions, n_regions):
    return _region_sums(logprobs / math.log(2), regions, n_regions)


@mutant("01.6", "took the mean in each region")
def region_means(logprobs, regions, n_regions):
    return _region_sums(logprobs, regions, n_regions, lambda v: -_mean(v))


@mutant("01.6", "off by one")
def regions_from_zero(logprobs, regions, n_regions):
    return np.bincount(np.array(regions) % n_regions, -logprobs.double().numpy(), n_regions)


@mutant("01.6", "Every region needs a value")
def drops_empty(logprobs, regions, n_regions):
    return [-sum(values) for values in _by(regions, logprobs.tolist()).values()]


@mutant("01.6", "kept one token")
def last_token(logprobs, regions, n_regions):
    return _region_sums(logprobs, regions, n_regions, lambda v: -v[-1])


@mutant("01.6", "add the surprisals of the tokens")
def adds_region_probabilities(logprobs, regions, n_regions):
    return _region_sums(logprobs.exp(), regions, n_regions, lambda v: -math.log(sum(v)))


@mutant("01.6", "Region 0 of 3 does not exist", "held-out")
def wraps_round(logprobs, regions, n_regions):
    surprisals = [0.0] * n_regions
    for value, region in zip(logprobs.tolist(), regions, strict=True):
        surprisals[region - 1] -= value
    return surprisals


@mutant("01.6", "not neighbours", "held-out")
def neighbours_only(logprobs, regions, n_regions):
    if min(regions) < 1 or max(regions) > n_regions:
        raise ValueError
    surprisals = [0.0] * n_regions
    for start, region in enumerate(regions):
        if start and regions[start - 1] == region:
            surprisals[region - 1] -= logprobs[start].item()
        else:
            surprisals[region - 1] = -logprobs[start].item()
    return surprisals


# --- 01.7 ----------------------------------------------------------------------------------


@other("01.7")
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


def _unigram(ids, counts, smooth=1, extra=None):
    total = counts.sum() + (len(counts) if extra is None else extra)
    return sum(math.log((int(counts[w]) + smooth) / float(total)) for w in ids)


def _control(good_ids, bad_ids, margins, counts, **change):
    score = change.get("score", _unigram)
    found = {"agrees": [], "opposes": [], "silent": []}
    for good, bad, margin in zip(good_ids, bad_ids, margins.tolist(), strict=True):
        unigram = change.get("by", score(good, counts) - score(bad, counts))
        unigram = margin if unigram == "lm" else unigram
        tie = change.get("tie", 1e-4)
        name = "silent" if abs(unigram) <= tie else "agrees" if unigram > 0 else "opposes"
        found[name].append(change.get("points", lambda m: (np.sign(m) + 1) / 2)(margin))
    none = change.get("empty")
    return {k: float(np.mean(v)) if v else none for k, v in found.items()}


@mutant("01.7", "groups are swapped")
def swapped_groups(good_ids, bad_ids, margins, counts):
    return _control(bad_ids, good_ids, margins, counts)


@mutant("01.7", "split by the unigram margin")
def split_by_model(good_ids, bad_ids, margins, counts):
    return _control(good_ids, bad_ids, margins, counts, by="lm")


@mutant("01.7", "call a margin below 1e-4")
def exact_zero(good_ids, bad_ids, margins, counts):
    def score(ids, counts):
        return float(torch.log((counts + 1.0) / (counts.sum() + len(counts)))[ids].sum())

    return _control(good_ids, bad_ids, margins, counts, score=score, tie=0.0)


@mutant("01.7", "must be None")
def zero_for_empty(good_ids, bad_ids, margins, counts):
    return _control(good_ids, bad_ids, margins, counts, empty=0.0)


@mutant("01.7", "overall accuracy in every group")
def no_groups(good_ids, bad_ids, margins, counts):
    groups = _control(good_ids, bad_ids, margins, counts)
    share = _mean((margins > 0).double().tolist())
    return {k: None if v is None else share for k, v in groups.items()}


@mutant("01.7", "a margin is good minus bad")
def counts_wrong_pairs(good_ids, bad_ids, margins, counts):
    return _control(good_ids, bad_ids, -margins, counts)


@mutant("01.7", "add-one smoothing", "held-out")
def denominator_without_vocabulary(good_ids, bad_ids, margins, counts):
    score = functools.partial(_unigram, extra=0)
    return _control(good_ids, bad_ids, margins, counts, score=score)


@mutant("01.7", "add-one smoothing", "held-out")
def mean_per_word(good_ids, bad_ids, margins, counts):
    return _control(
        good_ids, bad_ids, margins, counts, score=lambda ids, c: _unigram(ids, c) / len(ids)
    )


@mutant("01.7", "stopped with ValueError", "held-out")
def unsmoothed(good_ids, bad_ids, margins, counts):
    score = functools.partial(_unigram, smooth=0, extra=0)
    return _control(good_ids, bad_ids, margins, counts, score=score)


@mutant("01.7", "margin of 0 counts half", "held-out")
def ties_counted_right(good_ids, bad_ids, margins, counts):
    return _control(good_ids, bad_ids, margins, counts, points=lambda m: float(m >= 0))
