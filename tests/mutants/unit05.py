"""Answers to assignment 05 that the checks must tell apart: right in another style, and wrong."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import torch

from tests.mutants.answers import Answers

ANSWERS = Answers()
other, mutant = ANSWERS.other, ANSWERS.mutant


# --- 05.1 ----------------------------------------------------------------------------------


@other("05.1")
def lens_functional(states, gain, bias, unembed, norm="layer", eps=1e-5):
    if norm == "layer":
        x = torch.nn.functional.layer_norm(states.double(), gain.shape, None, None, eps)
    elif norm == "rms":
        x = torch.nn.functional.rms_norm(states.double(), gain.shape, None, eps)
    else:
        raise ValueError(norm)
    logits = torch.nn.functional.linear(x, unembed.double() * gain.double())
    return logits if bias is None else logits + unembed.double() @ bias.double()


@other("05.1")
def lens_numpy(states, gain, bias, unembed, norm="layer", eps=1e-5):
    if norm not in {"layer", "rms"}:
        raise ValueError("unknown norm")
    x = states.double().numpy()
    x = x - (x.mean(-1, keepdims=True) if norm == "layer" else 0)
    x = x * gain.double().numpy() / np.sqrt((x**2).mean(-1, keepdims=True) + eps)
    return (x + (0 if bias is None else bias.double().numpy())) @ unembed.double().numpy().T


def _lens(states, gain, bias, unembed, norm="layer", eps=1e-5, **change):
    if norm not in ("layer", "rms"):
        raise ValueError(norm)
    x, gain = states.double(), gain.double()
    centre = change.get("centre", norm == "layer")
    axis = change.get("axis", -1)
    mean = x.mean(axis, keepdim=True) if axis is not None else x.mean()
    moved = x - mean if centre else x
    square = moved.square()
    spread = square.mean(axis, keepdim=True) if axis is not None else square.mean()
    scale = change.get("scale", lambda spread: (spread + eps).sqrt())(spread)
    normed = change.get("top", lambda moved, x: moved)(moved, x) / scale
    bias = torch.zeros_like(gain) if bias is None else bias.double()
    return change.get("affine", lambda y: y * gain + bias)(normed) @ unembed.double().T


@mutant("05.1", "without the final norm")
def norm_forgotten(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return states.double() @ unembed.double().T


@mutant("05.1", "did not subtract the mean")
def mean_not_subtracted(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, eps, top=lambda moved, x: x)


@mutant("05.1", "RMSNorm where a LayerNorm")
def always_rms(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, eps, centre=False)


@mutant("05.1", "An RMSNorm does not")
def always_layer_norm(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, eps, centre=True)


@mutant("05.1", "RMSNorm divides by the root of the mean square")
def rms_by_deviation(states, gain, bias, unembed, norm="layer", eps=1e-5):
    if norm == "layer":
        return _lens(states, gain, bias, unembed, norm, eps)
    return _lens(states, gain, bias, unembed, "layer", eps, top=lambda moved, x: x)


@mutant("05.1", "did not divide by the scale")
def scale_forgotten(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, eps, scale=lambda s: 1.0)


@mutant("05.1", "gain of the final norm is missing")
def gain_forgotten(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, torch.ones_like(gain), bias, unembed, norm, eps)


@mutant("05.1", "Wrong logits")
def size_of_the_gain(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain.abs(), bias, unembed, norm, eps)


@mutant("05.1", "bias of the final norm is missing")
def bias_forgotten(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, None, unembed, norm, eps)


@mutant("05.1", "bias is added after the gain")
def bias_before_gain(states, gain, bias, unembed, norm="layer", eps=1e-5):
    shift = 0 if bias is None else bias
    return _lens(states, gain, bias, unembed, norm, eps, affine=lambda y: (y + shift) * gain)


@mutant("05.1", "multiplied by 1 + gain")
def gain_plus_one(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain + 1, bias, unembed, norm, eps)


@mutant("05.1", "divided by d - 1")
def sample_variance(states, gain, bias, unembed, norm="layer", eps=1e-5):
    d = states.shape[-1]
    return _lens(
        states, gain, bias, unembed, norm, eps, scale=lambda s: (s * d / (d - 1) + eps).sqrt()
    )


@mutant("05.1", "is not in your scale")
def eps_forgotten(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, 0.0)


@mutant("05.1", "is not in your scale")
def eps_hard_coded(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, 1e-5)


@mutant("05.1", "stands below the root")
def eps_outside(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, eps, scale=lambda s: s.sqrt() + eps)


@mutant("05.1", "root of the MEAN square")
def by_length(states, gain, bias, unembed, norm="layer", eps=1e-5):
    d = states.shape[-1]
    return _lens(states, gain, bias, unembed, norm, eps, scale=lambda s: (s * d + eps).sqrt())


@mutant("05.1", "divided by the variance")
def by_variance(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, eps, scale=lambda s: s + eps)


@mutant("05.1", "taken over the tokens")
def across_tokens(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, eps, axis=0)


@mutant("05.1", "over the whole tensor")
def across_everything(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, eps, axis=None)


@mutant("05.1", "One scale serves all states")
def scale_of_the_last(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, eps, scale=lambda s: (s[-1:] + eps).sqrt())


@mutant("05.1", "applied the norm twice")
def norm_twice(states, gain, bias, unembed, norm="layer", eps=1e-5):
    once = _lens(states, gain, bias, torch.eye(len(gain)), norm, eps)
    return _lens(once, gain, bias, unembed, norm, eps)


@mutant("05.1", "You returned probabilities")
def lens_probabilities(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, eps).softmax(-1)


@mutant("05.1", "You returned log-probabilities")
def lens_logprobs(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, eps).log_softmax(-1)


@mutant("05.1", "must have shape")
def lens_transposed(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, eps).mT


@mutant("05.1", "changed the data")
def lens_in_place(states, gain, bias, unembed, norm="layer", eps=1e-5):
    if norm == "layer":
        states -= states.mean(-1, keepdim=True)
    return _lens(states, gain, bias, unembed, "rms", eps)


@mutant("05.1", "convert to float64", "held-out")
def lens_single_precision(states, gain, bias, unembed, norm="layer", eps=1e-5):
    if norm not in ("layer", "rms"):
        raise ValueError
    x = states.float() - (states.float().mean(-1, keepdim=True) if norm == "layer" else 0)
    x = gain.float() * x / (x.square().mean(-1, keepdim=True) + eps).sqrt()
    return (x + (0 if bias is None else bias.float())) @ unembed.float().T


@mutant("05.1", "got other logits than alone", "held-out")
def lens_over_all_but_the_first_axis(states, gain, bias, unembed, norm="layer", eps=1e-5):
    axes = tuple(range(1, states.dim())) or (0,)
    x = states.double()
    if norm not in ("layer", "rms"):
        raise ValueError
    x = x - (x.mean(axes, keepdim=True) if norm == "layer" else 0)
    x = gain * x / (x.square().mean(axes, keepdim=True) + eps).sqrt()
    return (x + (0 if bias is None else bias)) @ unembed.double().T


@mutant("05.1", "IndexError", "held-out")
def lens_for_rows_only(states, gain, bias, unembed, norm="layer", eps=1e-5):
    if norm not in ("layer", "rms"):
        raise ValueError
    x = states.double() - (states.double().mean(1, keepdim=True) if norm == "layer" else 0)
    x = gain * x / (x.square().mean(1, keepdim=True) + eps).sqrt()
    return (x + (0 if bias is None else bias)) @ unembed.double().T


@mutant("05.1", "Without `norm`", "held-out")
def rms_by_default(states, gain, bias, unembed, norm="rms", eps=1e-5):
    return _lens(states, gain, bias, unembed, norm, eps)


@mutant("05.1", "Without `eps`", "held-out")
def no_eps_by_default(states, gain, bias, unembed, norm="layer", eps=0.0):
    return _lens(states, gain, bias, unembed, norm, eps)


@mutant("05.1", "or a typing mistake", "held-out")
def any_norm(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return _lens(states, gain, bias, unembed, "layer" if norm == "layer" else "rms", eps)


@mutant("05.1", "TypeError", "held-out")
def layer_norm_needs_bias(states, gain, bias, unembed, norm="layer", eps=1e-5):
    if norm == "layer":
        return _lens(states, gain, 1.0 * bias, unembed, norm, eps)
    return _lens(states, gain, bias, unembed, norm, eps)


# --- 05.2 ----------------------------------------------------------------------------------


@other("05.2")
def leading_sorted(logits, word):
    table = logits.double().numpy()
    own = table[:, [word]]
    ranks = ((table > own).sum(1) + (table >= own).sum(1) + 1) / 2
    leads = ranks == 1
    last = np.flatnonzero(~leads)
    start = 0 if len(last) == 0 else int(last[-1]) + 1
    first = int(np.argmax(leads)) if leads.any() else None
    return ranks, first, start if start < len(leads) else None


@other("05.2")
def leading_recursive(logits, word):
    rows = [Counter(row) for row in logits.double().tolist()]
    own = logits[:, word].double().tolist()
    ranks = [
        1.0 + sum(n for value, n in row.items() if value > mine) + (row[mine] - 1) * 0.5
        for row, mine in zip(rows, own, strict=True)
    ]

    def settled(place):
        if place < 0 or ranks[place] != 1:
            return place + 1
        return settled(place - 1)

    from_here = settled(len(ranks) - 1)
    first = next((s for s, rank in enumerate(ranks) if rank == 1), None)
    return torch.tensor(ranks), first, None if from_here == len(ranks) else from_here


def _leading(logits, word, ties=0.5, lead=lambda rank: rank == 1):
    table = logits.double()
    own = table[:, [word]]
    ranks = 1 + (table > own).sum(1) + ties * ((table == own).sum(1) - 1)
    pattern = [bool(lead(rank)) for rank in ranks]
    first = pattern.index(True) if True in pattern else None
    lost = max((s for s, leads in enumerate(pattern) if not leads), default=-1)
    return ranks.double(), first, lost + 1 if lost + 1 < len(pattern) else None, pattern


def _replace_first(logits, word, value):
    ranks, _, settled, pattern = _leading(logits, word)
    return ranks, value(pattern), settled


def _replace_settled(logits, word, value):
    ranks, first, _, pattern = _leading(logits, word)
    return ranks, first, value(pattern)


@mutant("05.2", "counted fully against the word")
def ties_against(logits, word):
    ranks, *_ = _leading(logits, word, 1.0)
    return ranks, *_leading(logits, word)[1:3]


@mutant("05.2", "Ties are not counted")
def ties_for(logits, word):
    ranks, *_ = _leading(logits, word, 0.0)
    return ranks, *_leading(logits, word)[1:3]


@mutant("05.2", "tied with itself")
def tied_with_itself(logits, word):
    ranks, first, settled, _ = _leading(logits, word)
    return ranks + 0.5, first, settled


@mutant("05.2", "Ranks start at 1")
def ranks_from_zero(logits, word):
    ranks, first, settled, _ = _leading(logits, word)
    return ranks - 1, first, settled


@mutant("05.2", "from the lowest logit up")
def ranks_upwards(logits, word):
    ranks = _leading(-logits, word)[0]
    return ranks, *_leading(logits, word)[1:3]


@mutant("05.2", "by absolute value")
def ranks_by_size(logits, word):
    return _leading(logits.abs(), word)[0], *_leading(logits, word)[1:3]


@mutant("05.2", "which word has this rank")
def order_for_rank(logits, word):
    order = torch.argsort(-logits, dim=1, stable=True)
    return 1 + order[:, word], *_leading(logits, word)[1:3]


@mutant("05.2", "reciprocal rank")
def reciprocal_rank(logits, word):
    return 1 / _leading(logits, word)[0], *_leading(logits, word)[1:3]


@mutant("05.2", "ranked the states for the word")
def ranks_states(logits, word):
    column = logits[:, word]
    ranks = [1 + (column > x).sum() + 0.5 * ((column == x).sum() - 1) for x in column]
    return ranks, *_leading(logits, word)[1:3]


@mutant("05.2", "ids count from 0")
def ids_from_one(logits, word):
    return _leading(logits, word - 1)[:3]


@mutant("05.2", "must have shape")
def one_rank(logits, word):
    ranks, first, settled, _ = _leading(logits, word)
    return ranks[-1:], first, settled


@mutant("05.2", "gives half a rank")
def whole_ranks(logits, word):
    ranks, first, settled, _ = _leading(logits, word)
    return ranks.int(), first, settled


@mutant("05.2", "also if they are tied with each other")
def dense_ranks(logits, word):
    ranks, first, settled, _ = _leading(logits, word)
    own = logits[:, word]
    higher = [len(set(row[row > x].tolist())) for row, x in zip(logits, own, strict=True)]
    level = (logits == own[:, None]).sum(1) - 1
    return 1 + torch.tensor(higher) + level / 2, first, settled


@mutant("05.2", "take the first")
def last_for_first(logits, word):
    return _replace_first(
        logits, word, lambda p: len(p) - 1 - p[::-1].index(True) if True in p else None
    )


@mutant("05.2", "States are counted from 0")
def states_from_one(logits, word):
    ranks, first, settled, _ = _leading(logits, word)
    return ranks, first and first + 1 if first is None else first + 1, settled


@mutant("05.2", "'first' is the settled state")
def settled_for_first(logits, word):
    ranks, _, settled, _ = _leading(logits, word)
    return ranks, settled, settled


@mutant("05.2", "None where there is no such state")
def minus_one_for_none(logits, word):
    ranks, first, settled, _ = _leading(logits, word)
    return ranks, -1 if first is None else first, settled


@mutant("05.2", "it must lead at all later ones too")
def first_for_settled(logits, word):
    ranks, first, _, _ = _leading(logits, word)
    return ranks, first, first


@mutant("05.2", "start of the last run, if that goes on")
def last_for_settled(logits, word):
    return _replace_settled(
        logits, word, lambda p: len(p) - 1 - p[::-1].index(True) if True in p else None
    )


@mutant("05.2", "the next one is meant")
def lost_for_settled(logits, word):
    return _replace_settled(
        logits,
        word,
        lambda p: (len(p) - 1 - p[::-1].index(False) if False in p else 0) if p[-1] else None,
    )


@mutant("05.2", "does not lead at the end, 'settled' is None")
def settled_past_the_end(logits, word):
    ranks, first, settled, pattern = _leading(logits, word)
    return ranks, first, len(pattern) if settled is None else settled


@mutant("05.2", "does not lead at the end, 'settled' is None")
def start_of_last_run(logits, word):
    def start(pattern):
        place = len(pattern) - 1
        while place >= 0 and not pattern[place]:
            place -= 1
        while place > 0 and pattern[place - 1]:
            place -= 1
        return place if place >= 0 else None

    return _replace_settled(logits, word, start)


@mutant("05.2", "longest run")
def longest_run(logits, word):
    def start(pattern):
        if not pattern[-1]:
            return None
        found, place = (0, None), 0
        while place < len(pattern):
            end = place
            while end < len(pattern) and pattern[end]:
                end += 1
            if end - place > found[0]:
                found = end - place, place
            place = end + 1
        return found[1]

    return _replace_settled(logits, word, start)


@mutant("05.2", "Return three things")
def ranks_alone(logits, word):
    return _leading(logits, word)[0]


@mutant("05.2", "it leads where its rank is exactly 1", "held-out")
def shared_lead_counts(logits, word):
    return _leading(logits, word, lead=lambda rank: rank < 2)[:3]


@mutant("05.2", "it leads where its rank is exactly 1", "held-out")
def leads_by_argmax(logits, word):
    ranks, _, _, _ = _leading(logits, word)
    pattern = (logits[:, word] == logits.max(1).values).tolist()
    lost = max((s for s, leads in enumerate(pattern) if not leads), default=-1)
    first = pattern.index(True) if True in pattern else None
    return ranks, first, lost + 1 if lost + 1 < len(pattern) else None


@mutant("05.2", "compare them in float64", "held-out")
def ranks_in_single_precision(logits, word):
    return _leading(logits.float(), word)[:3]


@mutant("05.2", "probabilities become 0 and tie", "held-out")
def ranks_of_probabilities(logits, word):
    table = logits.double().softmax(-1)
    ranks = _leading(table, word)[0]
    return ranks, *_leading(logits, word)[1:3]


# --- 05.3 ----------------------------------------------------------------------------------


@other("05.3")
def divergence_torch(readings, final):
    p = final.double().log_softmax(-1)
    q = readings.double().log_softmax(-1)
    each = torch.nn.functional.kl_div(q, p.expand_as(q), reduction="none", log_target=True)
    means = [(x.logsumexp(-2) - math.log(x.shape[-2])) for x in (p, q)]
    bias = torch.nn.functional.kl_div(
        means[1], means[0].expand_as(means[1]), reduction="none", log_target=True
    )
    return each.sum(-1).mean(-1), bias.sum(-1)


@other("05.3")
def divergence_loops(readings, final):
    def logs(row):
        row = row.double().numpy()
        return row - np.logaddexp.reduce(row)

    def kl(p, q):
        return sum(math.exp(a) * (a - b) for a, b in zip(p, q, strict=True))

    def average(rows):
        return np.logaddexp.reduce(rows, axis=0) - math.log(len(rows))

    p = [logs(row) for row in final]
    kls, biases = [], []
    for table in readings:
        q = [logs(row) for row in table]
        kls.append(sum(map(kl, p, q)) / len(p))
        biases.append(kl(average(p), average(q)))
    return kls, biases


def _divergence(readings, final, **change):
    p = final.double().log_softmax(-1)
    q = readings.double().log_softmax(-1)

    def kl(p, q):
        return (p.exp() * (p - q)).sum(-1)

    each = change.get("kl", kl)(p, q)
    value = change.get("mean", lambda x: x.mean(-1))(each)
    mean_p, mean_q = (x.logsumexp(-2) - math.log(x.shape[-2]) for x in (p, q))
    bias = change.get("bias", lambda mp, mq, p, q: kl(mp, mq))(mean_p, mean_q, p, q)
    unit = change.get("unit", 1.0)
    return value * unit, bias * unit


@mutant("05.3", "two distributions are exchanged")
def reversed_kl(readings, final):
    return _divergence(readings, final, kl=lambda p, q: (q.exp() * (q - p)).sum(-1))


@mutant("05.3", "sign is turned round")
def negative_kl(readings, final):
    return _divergence(readings, final, kl=lambda p, q: (p.exp() * (q - p)).sum(-1))


@mutant("05.3", "base 2")
def kl_in_bits(readings, final):
    return _divergence(readings, final, unit=1 / math.log(2))


@mutant("05.3", "take the mean over the tokens")
def kl_summed_over_tokens(readings, final):
    return _divergence(readings, final, mean=lambda x: x.sum(-1))


@mutant("05.3", "a KL is a sum over all words")
def kl_mean_over_words(readings, final):
    return _divergence(readings, final, kl=lambda p, q: (p.exp() * (p - q)).mean(-1))


@mutant("05.3", "This is the cross-entropy")
def cross_entropy(readings, final):
    return _divergence(readings, final, kl=lambda p, q: -(p.exp() * q).sum(-1))


@mutant("05.3", "Normalise both first")
def kl_of_logits(readings, final):
    kl, bias = _divergence(readings, final)
    p = final.double().softmax(-1)
    return (p * (final - readings)).sum(-1).mean(-1), bias


@mutant("05.3", "normalised over the tokens")
def kl_wrong_axis(readings, final):
    p, q = final.double().log_softmax(-2), readings.double().log_softmax(-2)
    return (p.exp() * (p - q)).sum(-1).mean(-1), _divergence(readings, final)[1]


@mutant("05.3", "read the last token only")
def kl_of_last_token(readings, final):
    return _divergence(readings, final, mean=lambda x: x[:, -1])


@mutant("05.3", "averaged the distributions before comparing")
def kl_of_averages(readings, final):
    bias = _divergence(readings, final)[1]
    return bias, bias


@mutant("05.3", "averaged the logits over the tokens before comparing")
def kl_of_mean_logits(readings, final):
    means = _divergence(readings.mean(1)[:, None], final.mean(0)[None])[0]
    return means, _divergence(readings, final)[1]


@mutant("05.3", "left out the weights")
def kl_unweighted(readings, final):
    return _divergence(readings, final, kl=lambda p, q: (p - q).sum(-1))


@mutant("05.3", "mean of both directions")
def kl_symmetric(readings, final):
    return _divergence(readings, final, kl=lambda p, q: ((p.exp() - q.exp()) * (p - q)).sum(-1) / 2)


@mutant("05.3", "differences of probabilities")
def total_variation(readings, final):
    return _divergence(readings, final, kl=lambda p, q: (p.exp() - q.exp()).abs().sum(-1))


@mutant("05.3", "compare with `final`")
def kl_to_last_reading(readings, final):
    return _divergence(readings, readings[-1])[0], _divergence(readings, final)[1]


@mutant("05.3", "One number for each state")
def kl_for_each_token(readings, final):
    return _divergence(readings, final, mean=lambda x: x)


@mutant("05.3", "Return two things")
def kl_alone(readings, final):
    return _divergence(readings, final)[0]


@mutant("05.3", "The bias: The two distributions are exchanged")
def bias_reversed(readings, final):
    return _divergence(readings, final, bias=lambda mp, mq, p, q: (mq.exp() * (mq - mp)).sum(-1))


@mutant("05.3", "returned the mean KL as bias")
def bias_is_kl(readings, final):
    kl, _ = _divergence(readings, final)
    return kl, kl


@mutant("05.3", "averaged log-probabilities")
def bias_of_mean_logs(readings, final):
    def bias(mp, mq, p, q):
        mp, mq = (x.mean(-2).log_softmax(-1) for x in (p, q))
        return (mp.exp() * (mp - mq)).sum(-1)

    return _divergence(readings, final, bias=bias)


@mutant("05.3", "averaged log-probabilities")
def bias_of_mean_logs_as_they_are(readings, final):
    def bias(mp, mq, p, q):
        mp, mq = (x.mean(-2) for x in (p, q))
        return (mp.exp() * (mp - mq)).sum(-1)

    return _divergence(readings, final, bias=bias)


@mutant("05.3", "the average is a distribution again")
def bias_of_sums(readings, final):
    return _divergence(
        readings, final, bias=lambda mp, mq, p, q: len(final) * (mp.exp() * (mp - mq)).sum(-1)
    )


@mutant("05.3", "model's average with the lens at each token")
def bias_half_averaged(readings, final):
    return _divergence(
        readings, final, bias=lambda mp, mq, p, q: (mp.exp() * (mp - q)).sum(-1).mean(-1)
    )


@mutant("05.3", "holds nan", "held-out")
def bias_outside_logs(readings, final):
    def bias(mp, mq, p, q):
        mp, mq = (x.exp().mean(-2) for x in (p, q))
        return (mp * (mp.log() - mq.log())).sum(-1)

    return _divergence(readings, final, bias=bias)


@mutant("05.3", "holds nan", "held-out")
def kl_outside_logs(readings, final):
    p, q = final.double().softmax(-1), readings.double().softmax(-1)
    return (p * (p / q).log()).sum(-1).mean(-1), _divergence(readings, final)[1]


@mutant("05.3", "got a wrong KL", "held-out")
def kl_clamped(readings, final):
    return _divergence(readings, final, kl=lambda p, q: (p.exp() * (p - q.clamp_min(-20))).sum(-1))


@mutant("05.3", "compute in float64", "held-out")
def kl_in_single_precision(readings, final):
    p, q = final.float().log_softmax(-1), readings.float().log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1).mean(-1), _divergence(readings, final)[1]


# --- 05.4 ----------------------------------------------------------------------------------


@other("05.4")
def removal_by_projector(states, direction, noise, strength=1.0):
    x, d, r = states.double().numpy(), direction.double().numpy(), noise.double().numpy()
    if (np.abs(r).sum(1) == 0).any():
        raise ValueError("no direction")
    projector = np.outer(d, d) / max(d @ d, 1e-300)
    changed = x - strength * x @ projector
    lengths = np.sqrt(((changed - x) ** 2).sum(1))
    r = r / np.sqrt((r**2).sum(1, keepdims=True))
    return changed, x[:, None] + np.einsum("n,rd->nrd", lengths, r)


@other("05.4")
def removal_one_by_one(states, direction, noise, strength=1.0):
    rows = [row / row.norm() for row in noise.double() if row.any()]
    if len(rows) < len(noise):
        raise ValueError("zeros")
    unit = torch.nn.functional.normalize(direction.double(), dim=0)
    changed, controls = [], []
    for x in states.double():
        along = torch.dot(x, unit)
        changed.append(x - strength * along * unit)
        controls.append(torch.stack([x + strength * along.abs() * row for row in rows]))
    return torch.stack(changed), torch.stack(controls)


def _removal(states, direction, noise, strength=1.0, **change):
    x, d, r = states.double(), direction.double(), noise.double()
    if (r.norm(dim=1) == 0).any() and not change.get("accepts"):
        raise ValueError
    size = d.square().sum()
    step = torch.zeros_like(x)
    if size > 0:
        step = -strength * change.get("step", lambda x, d: (x @ d / (d @ d))[:, None] * d)(x, d)
    changed = change.get("changed", lambda x, step: x + step)(x, step)
    lengths = change.get("length", lambda step, x: step.norm(dim=1))(step, x)
    unit = r / r.norm(dim=1, keepdim=True)
    default = x[:, None] + lengths[:, None, None] * unit
    controls = change.get("controls", lambda x, step, unit, lengths: default)(
        x, step, unit, lengths
    )
    return changed, controls


@mutant("05.4", "direction is not of length 1")
def direction_not_normalised(states, direction, noise, strength=1.0):
    return _removal(states, direction, noise, strength, step=lambda x, d: (x @ d)[:, None] * d)


@mutant("05.4", "direction is not of length 1")
def divided_by_length_once(states, direction, noise, strength=1.0):
    return _removal(
        states, direction, noise, strength, step=lambda x, d: (x @ d / d.norm())[:, None] * d
    )


@mutant("05.4", "twice as often as needed")
def divided_by_length_four_times(states, direction, noise, strength=1.0):
    return _removal(
        states, direction, noise, strength, step=lambda x, d: (x @ d / (d @ d) ** 2)[:, None] * d
    )


@mutant("05.4", "kept the component and removed the rest")
def keeps_the_component(states, direction, noise, strength=1.0):
    return _removal(states, direction, noise, strength, changed=lambda x, step: -step)


@mutant("05.4", "added the component")
def adds_the_component(states, direction, noise, strength=1.0):
    return _removal(states, direction, noise, strength, changed=lambda x, step: x - step)


@mutant("05.4", "absolute value of the component")
def absolute_component(states, direction, noise, strength=1.0):
    return _removal(
        states, direction, noise, strength, step=lambda x, d: ((x @ d).abs() / (d @ d))[:, None] * d
    )


@mutant("05.4", "whatever the state has of it")
def subtracts_the_direction(states, direction, noise, strength=1.0):
    return _removal(states, direction, noise, strength, step=lambda x, d: d.expand_as(x))


@mutant("05.4", "whatever the state has of it")
def subtracts_the_unit_direction(states, direction, noise, strength=1.0):
    return _removal(
        states, direction, noise, strength, step=lambda x, d: (d / d.norm()).expand_as(x)
    )


@mutant("05.4", "Each state has its own component")
def mean_component(states, direction, noise, strength=1.0):
    return _removal(
        states,
        direction,
        noise,
        strength,
        step=lambda x, d: ((x @ d).mean() / (d @ d) * d).expand_as(x),
    )


@mutant("05.4", "back to their old length")
def keeps_the_length(states, direction, noise, strength=1.0):
    def changed(x, step):
        y = x + step
        return y * x.norm(dim=1, keepdim=True) / y.norm(dim=1, keepdim=True)

    return _removal(states, direction, noise, strength, changed=changed)


@mutant("05.4", "mean of the states first")
def subtracts_the_mean_state(states, direction, noise, strength=1.0):
    return _removal(states - states.mean(0), direction, noise, strength)


@mutant("05.4", "measure it from 0")
def component_from_the_mean(states, direction, noise, strength=1.0):
    return _removal(
        states,
        direction,
        noise,
        strength,
        step=lambda x, d: ((x - x.mean(0)) @ d / (d @ d))[:, None] * d,
    )


@mutant("05.4", "strength makes no difference")
def strength_ignored(states, direction, noise, strength=1.0):
    return _removal(states, direction, noise, 1.0)


@mutant("05.4", "strength multiplies the whole state")
def strength_times_state(states, direction, noise, strength=1.0):
    changed, controls = _removal(states, direction, noise, 1.0)
    return strength * changed, controls


@mutant("05.4", "changed the data")
def removes_in_place(states, direction, noise, strength=1.0):
    changed, controls = _removal(states, direction, noise, strength)
    states.copy_(changed)
    return states, controls


@mutant("05.4", "add them to the states")
def controls_are_changes(states, direction, noise, strength=1.0):
    return _removal(
        states,
        direction,
        noise,
        strength,
        controls=lambda x, step, unit, n: n[:, None, None] * unit,
    )


@mutant("05.4", "not in addition")
def controls_on_top(states, direction, noise, strength=1.0):
    return _removal(
        states, direction, noise, strength,
        controls=lambda x, step, unit, n: (x + step)[:, None] + n[:, None, None] * unit,
    )  # fmt: skip


@mutant("05.4", "You removed a random direction")
def removes_random_directions(states, direction, noise, strength=1.0):
    return _removal(
        states, direction, noise, strength,
        controls=lambda x, step, unit, n: x[:, None] - strength * (x @ unit.T)[..., None] * unit,
    )  # fmt: skip


@mutant("05.4", "noise is added as it is")
def noise_as_it_is(states, direction, noise, strength=1.0):
    changed, _ = _removal(states, direction, noise, strength)
    return changed, states[:, None] + noise


@mutant("05.4", "random changes have length 1")
def unit_noise(states, direction, noise, strength=1.0):
    return _removal(
        states, direction, noise, strength, length=lambda step, x: torch.ones(len(x)).double()
    )


@mutant("05.4", "without being brought to length 1")
def noise_not_normalised(states, direction, noise, strength=1.0):
    changed, _ = _removal(states, direction, noise, strength)
    lengths = (changed - states).norm(dim=1)
    return changed, states[:, None] + lengths[:, None, None] * noise


@mutant("05.4", "as long as the state")
def as_long_as_the_state(states, direction, noise, strength=1.0):
    return _removal(states, direction, noise, strength, length=lambda step, x: x.norm(dim=1))


@mutant("05.4", "as long as the changed state")
def as_long_as_the_changed_state(states, direction, noise, strength=1.0):
    return _removal(
        states, direction, noise, strength, length=lambda step, x: (x + step).norm(dim=1)
    )


@mutant("05.4", "each state's own change sets the length")
def one_length_for_all(states, direction, noise, strength=1.0):
    return _removal(
        states, direction, noise, strength,
        length=lambda step, x: step.norm(dim=1).mean().expand(len(x)),
    )  # fmt: skip


@mutant("05.4", "A length is never negative")
def signed_length(states, direction, noise, strength=1.0):
    d = direction / direction.norm()
    return _removal(states, direction, noise, strength, length=lambda step, x: strength * (x @ d))


@mutant("05.4", "subtracted the random changes")
def subtracts_noise(states, direction, noise, strength=1.0):
    return _removal(states, direction, -noise, strength)[0], _removal(
        states, direction, -noise, strength
    )[1]


@mutant("05.4", "its length over all rows")
def noise_scaled_together(states, direction, noise, strength=1.0):
    changed, _ = _removal(states, direction, noise, strength)
    lengths = (changed - states).norm(dim=1)
    return changed, states[:, None] + lengths[:, None, None] * noise / noise.norm()


@mutant("05.4", "scale each row (the last axis)")
def noise_scaled_by_dimension(states, direction, noise, strength=1.0):
    changed, _ = _removal(states, direction, noise, strength)
    lengths = (changed - states).norm(dim=1)
    return changed, states[:, None] + lengths[:, None, None] * noise / noise.norm(dim=0)


@mutant("05.4", "squared length of the change")
def squared_length(states, direction, noise, strength=1.0):
    return _removal(states, direction, noise, strength, length=lambda step, x: step.square().sum(1))


@mutant("05.4", "strength is missing in the length")
def length_without_strength(states, direction, noise, strength=1.0):
    return _removal(
        states, direction, noise, strength, length=lambda step, x: step.norm(dim=1) / strength
    )


@mutant("05.4", "must have shape")
def controls_by_row_first(states, direction, noise, strength=1.0):
    changed, controls = _removal(states, direction, noise, strength)
    return changed, controls.transpose(0, 1)


@mutant("05.4", "holds nan", "held-out")
def zero_direction_divides(states, direction, noise, strength=1.0):
    x, d, r = states.double(), direction.double(), noise.double()
    if (r.norm(dim=1) == 0).any():
        raise ValueError
    step = -strength * torch.outer(x @ d / (d @ d), d)
    unit = r / r.norm(dim=1, keepdim=True)
    return x + step, x[:, None] + step.norm(dim=1)[:, None, None] * unit


@mutant("05.4", "has no direction", "held-out")
def zero_noise_accepted(states, direction, noise, strength=1.0):
    return _removal(states, direction, noise, strength, accepts=True)


@mutant("05.4", "Noise of any length but 0", "held-out")
def noise_with_a_floor(states, direction, noise, strength=1.0):
    changed, controls = _removal(states, direction, noise, strength)
    lengths = (changed - states).norm(dim=1)[:, None, None]
    return changed, states.double()[:, None] + lengths * noise / (
        noise.norm(dim=1, keepdim=True) + 1e-6
    )


@mutant("05.4", "rounded on the way", "held-out")
def removal_in_single_precision(states, direction, noise, strength=1.0):
    if (noise.norm(dim=1) == 0).any():
        raise ValueError
    x, d = states.float(), direction.float()
    step = torch.zeros_like(x)
    if d.any():
        step = -strength * torch.outer(x @ d / (d @ d), d)
    unit = noise.float() / noise.float().norm(dim=1, keepdim=True)
    return x + step, x[:, None] + step.norm(dim=1)[:, None, None] * unit


@mutant("05.4", "TypeError", "held-out")
def strength_is_needed(states, direction, noise, strength):
    return _removal(states, direction, noise, strength)


# --- 05.5 ----------------------------------------------------------------------------------


@other("05.5")
def direct_by_einsum(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    if foil is not None and foil == word:
        raise ValueError("the same word")
    x = parts.double().numpy()
    row = unembed.double().numpy()[word]
    row = row if foil is None else row - unembed.double().numpy()[foil]
    direction = gain.double().numpy() * row
    direction = direction - direction.mean()
    last = x.sum(0)
    return np.einsum("pd,d->p", x, direction) / np.sqrt(
        last.var() + eps
    ), bias.double().numpy() @ row


@other("05.5")
def direct_by_difference(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    if word == foil:
        raise ValueError
    parts = parts.double()
    last = parts.sum(0)
    scale = (last.var(unbiased=False) + eps) ** 0.5
    jacobian = (torch.eye(len(last)).double() - 1 / len(last)) * gain.double()[:, None] / scale
    rows = unembed.double()[[word] if foil is None else [word, foil]]
    both = parts @ jacobian.T @ rows.T
    constants = rows @ bias.double()
    if foil is None:
        return both[:, 0].tolist(), float(constants[0])
    return (both[:, 0] - both[:, 1]).tolist(), float(constants[0] - constants[1])


def _direct(parts, gain, bias, unembed, word, foil=None, eps=1e-5, **change):
    if word == foil and not change.get("accepts"):
        raise ValueError
    x, gain, bias = parts.double(), gain.double(), bias.double()
    row = unembed.double()[word]
    if foil is not None:
        row = row - unembed.double()[foil]
    row = change.get("row", row)
    scale = change.get("scale", lambda x: (x.sum(0).var(correction=0) + eps).sqrt())(x)
    centred = change.get("centre", lambda x: x - x.mean(1, keepdim=True))(x)
    shares = centred @ (change.get("weigh", gain) * row) / scale
    shares = change.get("shares", lambda s, c: s)(shares, float(bias @ row))
    constant = change.get("constant", lambda c, row: float(bias @ row))(shares, row)
    return shares, constant


@mutant("05.5", "normalised by its own scale")
def own_scale(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(
        parts, gain, bias, unembed, word, foil, eps,
        scale=lambda x: (x.var(1, correction=0) + eps).sqrt(),
    )  # fmt: skip


@mutant("05.5", "normalised by its own scale")
def lens_of_each_part(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    logits = _lens(parts, gain, bias, unembed, "layer", eps)
    _, constant = _direct(parts, gain, bias, unembed, word, foil, eps)
    return logits[:, word] - (0 if foil is None else logits[:, foil]), constant


@mutant("05.5", "differences of the lens after each part")
def lens_steps(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    logits = _lens(parts.cumsum(0), gain, bias, unembed, "layer", eps)
    _, constant = _direct(parts, gain, bias, unembed, word, foil, eps)
    wanted = logits[:, word] - (0 if foil is None else logits[:, foil])
    return torch.diff(wanted, prepend=torch.tensor([constant]).double()), constant


@mutant("05.5", "what is lost without a part")
def erased_parts(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    last = parts.sum(0)
    logits = _lens(torch.cat([last[None], last - parts]), gain, bias, unembed, "layer", eps)
    wanted = logits[:, word] - (0 if foil is None else logits[:, foil])
    constant = _direct(parts, gain, bias, unembed, word, foil, eps)[1]
    return wanted[0] - wanted[1:], constant


@mutant("05.5", "mean of each part is still in it")
def parts_not_centred(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil, eps, centre=lambda x: x)


@mutant("05.5", "over the d dimensions")
def centred_over_parts(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil, eps, centre=lambda x: x - x.mean(0))


@mutant("05.5", "did not divide by the scale")
def no_scale(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil, eps, scale=lambda x: 1.0)


@mutant("05.5", "gain of the final norm is missing")
def shares_without_gain(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil, eps, weigh=1.0)


@mutant("05.5", "Neither norm nor scale")
def parts_times_unembedding(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(
        parts, gain, bias, unembed, word, foil, eps,
        centre=lambda x: x, weigh=1.0, scale=lambda x: 1.0,
    )  # fmt: skip


@mutant("05.5", "The constant (the bias of the norm")
def constant_in_every_share(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil, eps, shares=lambda s, c: s + c)


@mutant("05.5", "The constant (the bias of the norm")
def constant_shared_out(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(
        parts, gain, bias, unembed, word, foil, eps,
        shares=lambda s, c: s + c / len(s), constant=lambda s, row: 0.0,
    )  # fmt: skip


@mutant("05.5", "absolute values")
def absolute_shares(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil, eps, shares=lambda s, c: s.abs())


@mutant("05.5", "so that they sum to 1")
def relative_shares(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil, eps, shares=lambda s, c: s / s.sum())


@mutant("05.5", "divided by the variance")
def shares_by_variance(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(
        parts, gain, bias, unembed, word, foil, eps,
        scale=lambda x: x.sum(0).var(correction=0) + eps,
    )  # fmt: skip


@mutant("05.5", "root of the MEAN square")
def shares_by_length(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    def length(x):
        last = x.sum(0)
        return ((last - last.mean()).square().sum() + eps * len(last)).sqrt()

    return _direct(parts, gain, bias, unembed, word, foil, eps, scale=length)


@mutant("05.5", "a norm divides by d")
def shares_by_sample_variance(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(
        parts, gain, bias, unembed, word, foil, eps, scale=lambda x: (x.sum(0).var() + eps).sqrt()
    )


@mutant("05.5", "is not in your scale")
def scale_without_eps(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil, 0.0)


@mutant("05.5", "eps stands outside the root")
def scale_eps_outside(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(
        parts, gain, bias, unembed, word, foil, eps,
        scale=lambda x: x.sum(0).std(correction=0) + eps,
    )  # fmt: skip


@mutant("05.5", "is not in your scale")
def scale_usual_eps(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil, 1e-5)


@mutant("05.5", "mean of the last state is still in your scale")
def scale_not_centred(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(
        parts, gain, bias, unembed, word, foil, eps,
        scale=lambda x: (x.sum(0).square().mean() + eps).sqrt(),
    )  # fmt: skip


@mutant("05.5", "mean of the parts' own scales")
def mean_of_scales(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(
        parts, gain, bias, unembed, word, foil, eps,
        scale=lambda x: (x.var(1, correction=0) + eps).sqrt().mean(),
    )  # fmt: skip


@mutant("05.5", "scale is that of the last part")
def scale_of_last_part(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(
        parts, gain, bias, unembed, word, foil, eps,
        scale=lambda x: (x[-1].var(correction=0) + eps).sqrt(),
    )  # fmt: skip


@mutant("05.5", "scale is that of the mean of the parts")
def scale_of_mean_part(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(
        parts, gain, bias, unembed, word, foil, eps,
        scale=lambda x: (x.mean(0).var(correction=0) + eps).sqrt(),
    )  # fmt: skip


@mutant("05.5", "positive shares speak for the word")
def foil_minus_word(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    if foil is None:
        return _direct(parts, gain, bias, unembed, word, foil, eps)
    return _direct(parts, gain, bias, unembed, foil, word, eps)


@mutant("05.5", "foil makes no difference")
def foil_ignored(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, None, eps)


@mutant("05.5", "added the two rows")
def rows_added(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    row = unembed[word] + (0 if foil is None else unembed[foil])
    return _direct(parts, gain, bias, unembed, word, foil, eps, row=row)


@mutant("05.5", "The constant is missing")
def no_constant(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil, eps)[0], 0.0


@mutant("05.5", "The constant is not divided by the scale")
def constant_over_scale(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    shares, constant = _direct(parts, gain, bias, unembed, word, foil, eps)
    return shares, constant / float((parts.sum(0).var(correction=0) + eps).sqrt())


@mutant("05.5", "The gain does not touch the bias")
def constant_with_gain(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    shares, _ = _direct(parts, gain, bias, unembed, word, foil, eps)
    return shares, _direct(parts, gain, bias * gain, unembed, word, foil, eps)[1]


@mutant("05.5", "whole logit")
def constant_is_the_logit(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    shares, constant = _direct(parts, gain, bias, unembed, word, foil, eps)
    return shares, constant + float(shares.sum())


@mutant("05.5", "subtract the foil's")
def constant_of_the_word(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil, eps)[0], float(bias @ unembed[word])


@mutant("05.5", "Return two things")
def shares_only(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil, eps)[0]


@mutant("05.5", "must have shape")
def shares_by_dimension(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    x = parts - parts.mean(1, keepdim=True)
    row = unembed[word] - (0 if foil is None else unembed[foil])
    _, constant = _direct(parts, gain, bias, unembed, word, foil, eps)
    return x * gain * row, constant


@mutant("05.5", "changed the data")
def centres_in_place(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    parts -= parts.mean(1, keepdim=True)
    return _direct(parts, gain, bias, unembed, word, foil, eps)


@mutant("05.5", "Token id 0 is a word", "held-out")
def foil_zero_is_none(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil or None, eps)


@mutant("05.5", "every share is 0 whatever", "held-out")
def same_word_accepted(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return _direct(parts, gain, bias, unembed, word, foil, eps, accepts=True)


@mutant("05.5", "compute in float64", "held-out")
def direct_in_single_precision(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    if word == foil:
        raise ValueError
    x, gain, row = parts.float(), gain.float(), unembed[word].float()
    row = row if foil is None else row - unembed[foil].float()
    scale = (x.sum(0).var(correction=0) + eps).sqrt()
    return (x - x.mean(1, keepdim=True)) @ (gain * row) / scale, float(bias.float() @ row)


# --- 05.6 ----------------------------------------------------------------------------------


@other("05.6")
def purity_with_counter(values, gain, unembed, kinds, k):
    if k < 1 or k > len(kinds):
        raise ValueError(k)
    v = values.double().numpy()
    v = (v - v.mean(1, keepdims=True)) * gain.double().numpy()
    order = np.argsort(-(v @ unembed.double().numpy().T), axis=1)[:, :k]
    purity, kind = [], []
    for row in order:
        counts = Counter(kinds[i] for i in row if kinds[i] != -1)
        best = min(counts, key=lambda name: (-counts[name], name), default=-1)
        purity.append(counts[best] / k)
        kind.append(best)
    return np.array(purity), np.array(kind)


@other("05.6")
def purity_with_one_hot(values, gain, unembed, kinds, k):
    if not 0 < k <= len(unembed):
        raise ValueError
    names = torch.tensor(kinds)
    directions = unembed.double() * gain.double()
    directions = directions - directions.mean(-1, keepdim=True)
    threshold = (values.double() @ directions.T).sort(-1, descending=True)
    found = names[threshold.indices[:, :k]]
    counts = torch.stack([(found == name).sum(1) for name in range(max(kinds, default=0) + 1 or 1)])
    top = counts.max(0).values
    kind = (counts == top).int().argmax(0)
    return top / k, torch.where(top > 0, kind, -1)


def _purity(values, gain, unembed, kinds, k, **change):
    if not 1 <= k <= len(unembed) and not change.get("accepts"):
        raise ValueError
    v, g, u = values.double(), gain.double(), unembed.double()
    scores = change.get("scores", lambda v, g, u: v @ (g * u - (g * u).mean(1, keepdim=True)).T)(
        v, g, u
    )
    purity, kind = [], []
    for row in scores:
        best = torch.argsort(-row)[: change.get("take", k)].tolist()
        named = [kinds[i] for i in best if kinds[i] >= 0 or change.get("none_counts")]
        name = change.get(
            "winner", lambda named, best: max(sorted(set(named)), key=named.count, default=-1)
        )(named, best)
        kind.append(name)
        whole = change["whole"](named, name) if "whole" in change else len(best)
        purity.append(named.count(name) / whole if named else 0.0)
    return purity, kind


@mutant("05.6", "You did not centre")
def values_not_centred(values, gain, unembed, kinds, k):
    return _purity(values, gain, unembed, kinds, k, scores=lambda v, g, u: v @ (g * u).T)


@mutant("05.6", "gain of the final norm is missing")
def values_without_gain(values, gain, unembed, kinds, k):
    return _purity(values, torch.ones_like(gain), unembed, kinds, k)


@mutant("05.6", "the gain comes first")
def centred_before_gain(values, gain, unembed, kinds, k):
    return _purity(
        values, gain, unembed, kinds, k,
        scores=lambda v, g, u: v @ (g * (u - u.mean(1, keepdim=True))).T,
    )  # fmt: skip


@mutant("05.6", "Neither gain nor centring")
def values_times_unembedding(values, gain, unembed, kinds, k):
    return _purity(values, gain, unembed, kinds, k, scores=lambda v, g, u: v @ u.T)


@mutant("05.6", "You took the lowest words")
def lowest_words(values, gain, unembed, kinds, k):
    return _purity(-values, gain, unembed, kinds, k)


@mutant("05.6", "largest size of score")
def largest_scores(values, gain, unembed, kinds, k):
    def scores(v, g, u):
        return (v @ (g * u - (g * u).mean(1, keepdim=True)).T).abs()

    return _purity(values, gain, unembed, kinds, k, scores=scores)


@mutant("05.6", "one word too many")
def one_word_more(values, gain, unembed, kinds, k):
    return _purity(values, gain, unembed, kinds, k, take=k + 1)


@mutant("05.6", "one word too few")
def one_word_less(values, gain, unembed, kinds, k):
    return _purity(values, gain, unembed, kinds, k, take=k - 1)


@mutant("05.6", "it is no topic")
def none_is_a_topic(values, gain, unembed, kinds, k):
    return _purity(values, gain, unembed, kinds, k, none_counts=True)


@mutant("05.6", "number of words that have a topic")
def among_words_with_topic(values, gain, unembed, kinds, k):
    return _purity(values, gain, unembed, kinds, k, whole=lambda named, name: len(named))


@mutant("05.6", "(recall)")
def recall_of_topic(values, gain, unembed, kinds, k):
    return _purity(values, gain, unembed, kinds, k, whole=lambda named, name: kinds.count(name))


@mutant("05.6", "returned the number of words")
def number_of_words(values, gain, unembed, kinds, k):
    return _purity(values, gain, unembed, kinds, k, whole=lambda named, name: 1)


@mutant("05.6", "topic of the highest word")
def topic_of_top_word(values, gain, unembed, kinds, k):
    return _purity(values, gain, unembed, kinds, k, winner=lambda named, best: kinds[best[0]])


@mutant("05.6", "the lowest number")
def last_of_equals(values, gain, unembed, kinds, k):
    return _purity(
        values, gain, unembed, kinds, k,
        winner=lambda named, best: max(sorted(set(named))[::-1], key=named.count, default=-1),
    )  # fmt: skip


@mutant("05.6", "Purity and topic are exchanged")
def topic_first(values, gain, unembed, kinds, k):
    return _purity(values, gain, unembed, kinds, k)[::-1]


@mutant("05.6", "must have shape")
def purity_of_all(values, gain, unembed, kinds, k):
    purity, kind = _purity(values, gain, unembed, kinds, k)
    return [float(np.mean(purity))], kind


@mutant("05.6", "changed the data")
def multiplies_in_place(values, gain, unembed, kinds, k):
    unembed *= gain
    return _purity(values, torch.ones_like(gain), unembed, kinds, k)


@mutant("05.6", "must raise ValueError: at least 1", "held-out")
def any_number_of_words(values, gain, unembed, kinds, k):
    return _purity(values, gain, unembed, kinds, max(1, min(k, len(unembed))))


@mutant("05.6", "no word has a topic", "held-out")
def topic_zero_of_none(values, gain, unembed, kinds, k):
    purity, kind = _purity(values, gain, unembed, kinds, k)
    return purity, [max(0, name) if max(kinds) < 0 else name for name in kind]


@mutant("05.6", "Adding a number to all entries", "held-out")
def purity_in_single_precision(values, gain, unembed, kinds, k):
    if not 1 <= k <= len(unembed):
        raise ValueError
    rows = gain.float() * unembed.float()
    scores = values.float() @ (rows - rows.mean(1, keepdim=True)).T
    return _purity(values, gain, unembed, kinds, k, scores=lambda v, g, u: scores)


# --- 05.7 ----------------------------------------------------------------------------------


@other("05.7")
def translation_by_least_squares(states, last, ridge=1e-3):
    if ridge < 0:
        raise ValueError("negative")
    x, y = states.double().numpy(), last.double().numpy()
    mean_x, mean_r = x.mean(0), (y - x).mean(0)
    extra = np.sqrt(ridge * x.var(0).mean() * len(x)) * np.eye(x.shape[1])
    table = np.vstack([x - mean_x, extra])
    target = np.vstack([y - x - mean_r, np.zeros_like(extra)])
    weight = np.linalg.lstsq(table, target, rcond=None)[0].T
    return weight, mean_r - weight @ mean_x


@other("05.7")
def translation_by_spectrum(states, last, ridge=1e-3):
    if ridge < 0:
        raise ValueError
    x = states.double()
    r = last.double() - x
    u, s, vt = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    penalty = ridge * s.square().sum() / x.shape[1]
    shrunk = torch.where(s > 1e-12, s / (s.square() + penalty), 0.0)
    weight = (vt.T @ (shrunk[:, None] * (u.T @ (r - r.mean(0))))).T
    return weight, r.mean(0) - x.mean(0) @ weight.T


def _translation(states, last, ridge=1e-3, **change):
    if ridge < 0 and not change.get("accepts"):
        raise ValueError
    x = states.double()
    y = change.get("target", lambda x, last: last - x)(x, last.double())
    mean_x, mean_y = x.mean(0), y.mean(0)
    if not change.get("shift", True):
        mean_x, mean_y = 0 * mean_x, 0 * mean_y
    a, b = x - mean_x, y - mean_y
    gram, cross = a.T @ a / len(x), a.T @ b / len(x)
    penalty = change.get("penalty", lambda x: ridge * x.var(0, correction=0).mean())(x)
    extra = penalty * torch.eye(x.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(gram + extra, cross).T
    weight = change.get("weight", lambda w: w)(weight)
    shift = change.get("b", lambda w, mx, my: my - w @ mx)(weight, x.mean(0), y.mean(0))
    return weight, shift if change.get("shift", True) else 0 * shift


@mutant("05.7", "A is transposed")
def map_transposed(states, last, ridge=1e-3):
    weight, shift = _translation(states, last, ridge)
    return weight.T, shift


@mutant("05.7", "whole map I + A")
def whole_map(states, last, ridge=1e-3):
    return _translation(states, last, ridge, target=lambda x, last: last)


@mutant("05.7", "draws I + A to 0")
def penalty_on_the_whole_map(states, last, ridge=1e-3):
    weight, shift = _translation(states, last, ridge, target=lambda x, last: last)
    return weight - torch.eye(len(weight)), shift


@mutant("05.7", "penalty is ridge alone")
def absolute_ridge(states, last, ridge=1e-3):
    return _translation(states, last, ridge, penalty=lambda x: ridge)


@mutant("05.7", "sum of the variances")
def ridge_times_trace(states, last, ridge=1e-3):
    return _translation(states, last, ridge, penalty=lambda x: ridge * x.var(0, correction=0).sum())


@mutant("05.7", "yours is a sum")
def errors_summed(states, last, ridge=1e-3):
    return _translation(
        states, last, ridge, penalty=lambda x: ridge * x.var(0, correction=0).mean() / len(x)
    )


@mutant("05.7", "counts once for each token")
def penalty_for_each_token(states, last, ridge=1e-3):
    return _translation(
        states, last, ridge, penalty=lambda x: ridge * x.var(0, correction=0).mean() * len(x)
    )


@mutant("05.7", "no penalty in your fit")
def no_penalty(states, last, ridge=1e-3):
    return _translation(states, last, ridge, penalty=lambda x: 0.0)


@mutant("05.7", "only A is penalised")
def penalised_shift(states, last, ridge=1e-3):
    x = torch.cat([states, torch.ones(len(states), 1)], 1).double()
    penalty = ridge * states.double().var(0, correction=0).mean() * len(x)
    gram = x.T @ x + penalty * torch.eye(x.shape[1])
    both = torch.linalg.solve(gram, x.T @ (last - states).double()).T
    return both[:, :-1], both[:, -1]


@mutant("05.7", "the map is affine")
def no_shift(states, last, ridge=1e-3):
    return _translation(states, last, ridge, shift=False)


@mutant("05.7", "the map is affine")
def shift_forgotten(states, last, ridge=1e-3):
    weight, shift = _translation(states, last, ridge)
    return weight, torch.zeros_like(shift)


@mutant("05.7", "left out the second term")
def shift_is_mean_difference(states, last, ridge=1e-3):
    return _translation(states, last, ridge, b=lambda w, mx, my: my)


@mutant("05.7", "yours has the other sign")
def shift_with_wrong_sign(states, last, ridge=1e-3):
    return _translation(states, last, ridge, b=lambda w, mx, my: my + w @ mx)


@mutant("05.7", "yours is mean @ A")
def shift_with_transposed_map(states, last, ridge=1e-3):
    return _translation(states, last, ridge, b=lambda w, mx, my: my - mx @ w)


@mutant("05.7", "divides by N - 1")
def sample_variance_in_penalty(states, last, ridge=1e-3):
    return _translation(states, last, ridge, penalty=lambda x: ridge * x.var(0).mean())


@mutant("05.7", "b holds the mean of the last state")
def shift_of_last(states, last, ridge=1e-3):
    return _translation(states, last, ridge, b=lambda w, mx, my: last.mean(0) - w @ mx)


@mutant("05.7", "measured from the mean")
def variance_from_zero(states, last, ridge=1e-3):
    return _translation(states, last, ridge, penalty=lambda x: ridge * x.square().mean())


@mutant("05.7", "standard deviation was taken")
def deviation_for_variance(states, last, ridge=1e-3):
    return _translation(
        states, last, ridge, penalty=lambda x: ridge * x.std(0, correction=0).mean()
    )


@mutant("05.7", "exchanged the two states")
def translates_back(states, last, ridge=1e-3):
    return _translation(last, states, ridge)


@mutant("05.7", "variance is that of the last states")
def variance_of_last(states, last, ridge=1e-3):
    return _translation(
        states, last, ridge, penalty=lambda x: ridge * last.double().var(0, correction=0).mean()
    )


@mutant("05.7", "variance of each dimension over the tokens")
def variance_of_all(states, last, ridge=1e-3):
    return _translation(states, last, ridge, penalty=lambda x: ridge * x.var(correction=0))


@mutant("05.7", "taken within each state")
def variance_within_states(states, last, ridge=1e-3):
    return _translation(
        states, last, ridge, penalty=lambda x: ridge * x.var(1, correction=0).mean()
    )


@mutant("05.7", "penalty of its own variance")
def standardised(states, last, ridge=1e-3):
    x = states.double()
    size = x.std(0, correction=0)
    r = last.double() - x
    a = (x - x.mean(0)) / size
    gram = a.T @ a / len(a) + ridge * torch.eye(a.shape[1])
    weight = torch.linalg.solve(gram, a.T @ (r - r.mean(0)) / len(a)).T / size
    return weight, r.mean(0) - weight @ x.mean(0)


@mutant("05.7", "you fitted x - last")
def fits_the_error(states, last, ridge=1e-3):
    weight, shift = _translation(states, last, ridge)
    return -weight, -shift


@mutant("05.7", "Return two things")
def map_alone(states, last, ridge=1e-3):
    return _translation(states, last, ridge)[0]


@mutant("05.7", "changed the data")
def subtracts_in_place(states, last, ridge=1e-3):
    last -= states
    return _translation(states, last, ridge, target=lambda x, missing: missing)


@mutant("05.7", "fewer states than dimensions", "held-out")
def pseudo_inverse(states, last, ridge=1e-3):
    if len(states) > states.shape[1]:
        return _translation(states, last, ridge)
    x, r = states.double(), (last - states).double()
    weight = (torch.linalg.pinv(x - x.mean(0)) @ (r - r.mean(0))).T
    return weight, r.mean(0) - weight @ x.mean(0)


@mutant("05.7", "Without `ridge`", "held-out")
def other_default(states, last, ridge=1e-2):
    return _translation(states, last, ridge)


@mutant("05.7", "negative ridge", "held-out")
def negative_ridge_accepted(states, last, ridge=1e-3):
    return _translation(states, last, ridge, accepts=True)


@mutant("05.7", "convert to float64", "held-out")
def fit_in_single_precision(states, last, ridge=1e-3):
    if ridge < 0:
        raise ValueError
    if states.dtype == torch.float64:
        return _translation(states, last, ridge)
    x, r = states.float(), (last - states).float()
    gram = x.T @ x / len(x) - torch.outer(x.mean(0), x.mean(0))
    cross = x.T @ r / len(x) - torch.outer(x.mean(0), r.mean(0))
    penalty = ridge * x.var(0, correction=0).mean()
    weight = torch.linalg.solve(gram + penalty * torch.eye(x.shape[1]), cross).T
    return weight, r.mean(0) - weight @ x.mean(0)
