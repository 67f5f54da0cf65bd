"""Answers to assignment 04 that the checks must tell apart: right in another style, and wrong."""

from __future__ import annotations

import random

import numpy as np
import torch

from tests.mutants.answers import Answers

ANSWERS = Answers()
other, mutant = ANSWERS.other, ANSWERS.mutant


# --- 04.1 ----------------------------------------------------------------------------------


@other("04.1")
def metric_numpy(logits, years, starts):
    if len(starts) != logits.shape[0] or min(starts) < 0 or max(starts) >= len(years):
        raise ValueError(starts)
    found = []
    for row, start in zip(logits[:, -1].double().numpy(), starts, strict=True):
        weights = np.exp(row - row.max())
        probs = weights / weights.sum()
        found.append(sum(probs[i] * (1 if y > start else -1) for y, i in enumerate(years)))
    return found


@other("04.1")
def metric_cumulative(logits, years, starts):
    if len(starts) != len(logits) or any(s not in range(len(years)) for s in starts):
        raise ValueError
    sums = logits[:, -1].double().softmax(-1)[:, years].cumsum(1)
    upto = sums[torch.arange(len(starts)), torch.tensor(starts)]
    return sums[:, -1] - 2 * upto


def _metric(logits, years, starts, at=-1, axis=-1, late=lambda y, s: y > s, scale=torch.softmax):
    if len(starts) != len(logits) or not all(0 <= s < len(years) for s in starts):
        raise ValueError
    by_year = scale(logits.double(), axis)[:, at][:, years]
    y, s = torch.arange(len(years)), torch.tensor(starts)[:, None]
    return by_year, late(y, s).expand(len(starts), -1)


def _signed(by_year, late):
    return (by_year * torch.where(late, 1.0, -1.0)).sum(1)


@mutant("04.1", "The first year itself counts as wrong")
def counts_first_year(logits, years, starts):
    return _signed(*_metric(logits, years, starts, late=lambda y, s: y >= s))


@mutant("04.1", "yours begin one further on")
def begins_late(logits, years, starts):
    return _signed(*_metric(logits, years, starts, late=lambda y, s: y > s + 1))


@mutant("04.1", "sign is turned round")
def earlier_minus_later(logits, years, starts):
    return -_signed(*_metric(logits, years, starts))


@mutant("04.1", "left out the years that are not later")
def later_only(logits, years, starts):
    by_year, late = _metric(logits, years, starts)
    return (by_year * late).sum(1)


@mutant("04.1", "means over the years")
def means_of_years(logits, years, starts):
    by_year, late = _metric(logits, years, starts)
    counts = late.sum(1)
    return (by_year * late).sum(1) / counts - (by_year * ~late).sum(1) / (~late).sum(1)


@mutant("04.1", "normalised over the years alone")
def softmax_of_years(logits, years, starts):
    _, late = _metric(logits, years, starts)
    return _signed(logits[:, -1, years].double().softmax(-1), late)


@mutant("04.1", "normalised over the years alone, or divided")
def share_of_years(logits, years, starts):
    by_year, late = _metric(logits, years, starts)
    return _signed(by_year, late) / by_year.sum(1)


@mutant("04.1", "You summed logits")
def sums_logits(logits, years, starts):
    return _signed(*_metric(logits, years, starts, scale=lambda x, _: x))


@mutant("04.1", "summed log-probabilities")
def sums_logs(logits, years, starts):
    return _signed(*_metric(logits, years, starts, scale=torch.log_softmax))


@mutant("04.1", "You read the first position")
def first_position(logits, years, starts):
    return _signed(*_metric(logits, years, starts, at=0))


@mutant("04.1", "position before the last one")
def second_last(logits, years, starts):
    return _signed(*_metric(logits, years, starts, at=-2 if logits.shape[1] > 1 else 0))


@mutant("04.1", "normalised over the positions")
def wrong_axis(logits, years, starts):
    return _signed(*_metric(logits, years, starts, axis=1))


@mutant("04.1", "normalised over the prompts")
def batch_axis(logits, years, starts):
    return _signed(*_metric(logits, years, starts, axis=0))


@mutant("04.1", "You averaged over the positions")
def mean_position(logits, years, starts):
    found = [_signed(*_metric(logits[:, : t + 1], years, starts)) for t in range(logits.shape[1])]
    return sum(found) / len(found)


@mutant("04.1", "took a year for a token id")
def year_is_id(logits, years, starts):
    return _signed(*_metric(logits, list(range(len(years))), starts))


@mutant("04.1", "compared token ids")
def compares_ids(logits, years, starts):
    ids = torch.tensor(years)
    by_year, _ = _metric(logits, years, starts)
    return _signed(by_year, ids > ids[starts][:, None])


@mutant("04.1", "first prompt's year for all")
def first_start(logits, years, starts):
    return _signed(*_metric(logits, years, [starts[0]] * len(starts)))


@mutant("04.1", "One number per prompt")
def mean_of_prompts(logits, years, starts):
    return _signed(*_metric(logits, years, starts)).mean()


@mutant("04.1", "absolute values")
def unsigned(logits, years, starts):
    return _signed(*_metric(logits, years, starts)).abs()


@mutant("04.1", "changed the data")
def in_place(logits, years, starts):
    value = _signed(*_metric(logits, years, starts))
    logits -= logits.max()
    return value


@mutant("04.1", "Wrong metric")
def a_hundred_years(logits, years, starts):
    padded = (years * 100)[:100]
    by_year, late = _metric(logits, padded, starts)
    return _signed(by_year, late)


@mutant("04.1", "float64 before the softmax", "held-out")
def half_precision(logits, years, starts):
    _metric(logits, years, starts)
    probs = logits[:, -1].softmax(-1)[:, years]
    late = torch.arange(len(years)) > torch.tensor(starts)[:, None]
    return _signed(probs, late)


@mutant("04.1", "do not go through float32", "held-out")
def single_precision(logits, years, starts):
    return _signed(*_metric(logits.float(), years, starts))


@mutant("04.1", "Wrong metric")
def no_more_than_a_hundred(logits, years, starts):
    by_year, late = _metric(logits, years, starts)
    return _signed(by_year[:, :100], late[:, :100])


@mutant("04.1", "must raise ValueError", "held-out")
def any_start(logits, years, starts):
    starts = (list(starts) + [0] * len(logits))[: len(logits)]
    return _signed(*_metric(logits, years, [min(max(s, 0), len(years) - 1) for s in starts]))


@mutant("04.1", "Wrong metric", "held-out")
def start_zero_is_missing(logits, years, starts):
    found = _signed(*_metric(logits, years, starts))
    return torch.stack([m if s else m * 0 for m, s in zip(found, starts, strict=True)])


# --- 04.2 ----------------------------------------------------------------------------------


def _fixed(values, kind):
    if kind == "zero":
        return torch.zeros_like(values)
    if kind == "mean":
        return values.mean(0, keepdim=True).expand_as(values)
    if kind != "resample" or len(values) < 2:
        raise ValueError(kind)
    return None


def _rows(values, kind, drawn):
    found = _fixed(values, kind)
    return values[drawn(len(values))] if found is None else found


@other("04.2")
def redraw_until_deranged(values, kind, seed=0):
    def drawn(n):
        rng = random.Random(seed)
        order = list(range(n))
        while any(i == j for i, j in enumerate(order)):
            rng.shuffle(order)
        return order

    return _rows(values, kind, drawn)


@other("04.2")
def random_shift_of_an_order(values, kind, seed=0):
    if (found := _fixed(values, kind)) is not None:
        return found.numpy()
    generator = torch.Generator().manual_seed(seed)
    n = len(values)
    shift = int(torch.randint(1, n, (1,), generator=generator))
    order = torch.randperm(n, generator=generator).tolist()
    lender = {order[i]: order[(i + shift) % n] for i in range(n)}
    return np.stack([values[lender[i]].numpy() for i in range(n)])


@mutant("04.2", "averaged over the positions of each prompt")
def mean_of_positions(values, kind, seed=0):
    if kind == "mean":
        return values.mean(1, keepdim=True).expand_as(values)
    return redraw_until_deranged(values, kind, seed)


@mutant("04.2", "prompts and positions together")
def mean_of_both(values, kind, seed=0):
    if kind == "mean":
        return values.mean((0, 1)).expand_as(values)
    return redraw_until_deranged(values, kind, seed)


@mutant("04.2", "averaged over everything")
def mean_of_all(values, kind, seed=0):
    if kind == "mean":
        return torch.full_like(values, float(values.mean()))
    return redraw_until_deranged(values, kind, seed)


@mutant("04.2", "added the prompts up")
def sum_of_prompts(values, kind, seed=0):
    if kind == "mean":
        return values.sum(0).expand_as(values)
    return redraw_until_deranged(values, kind, seed)


@mutant("04.2", "left out the prompt itself")
def mean_of_others(values, kind, seed=0):
    if kind == "mean" and len(values) > 1:
        return (values.sum(0) - values) / (len(values) - 1)
    return redraw_until_deranged(values, kind, seed)


@mutant("04.2", "You subtracted the mean")
def centred(values, kind, seed=0):
    if kind == "mean":
        return values - values.mean(0)
    return redraw_until_deranged(values, kind, seed)


@mutant("04.2", "one [T, d] for each of the N prompts")
def one_mean(values, kind, seed=0):
    if kind == "mean":
        return values.mean(0)
    return redraw_until_deranged(values, kind, seed)


@mutant("04.2", "took the median")
def median(values, kind, seed=0):
    if kind == "mean":
        return torch.tensor(np.median(values.numpy(), 0)).expand_as(values)
    return redraw_until_deranged(values, kind, seed)


@mutant("04.2", "For kind='zero' you returned the mean")
def zero_is_mean(values, kind, seed=0):
    return redraw_until_deranged(values, "mean" if kind == "zero" else kind, seed)


@mutant("04.2", "A prompt kept its own values")
def plain_permutation(values, kind, seed=0):
    return _rows(values, kind, lambda n: np.random.default_rng(seed).permutation(n))


@mutant("04.2", "same prompt")
def with_replacement(values, kind, seed=0):
    def drawn(n):
        rng = np.random.default_rng(seed)
        return [(i + int(rng.integers(1, n))) % n for i in range(n)]

    return _rows(values, kind, drawn)


@mutant("04.2", "Every seed gives the same draw")
def next_prompt(values, kind, seed=0):
    return _rows(values, kind, lambda n: np.roll(np.arange(n), 1))


@mutant("04.2", "Every seed gives the same draw")
def reversed_prompts(values, kind, seed=0):
    def drawn(n):
        return (
            np.arange(n)[::-1].copy() if n % 2 == 0 else np.roll(np.arange(n), 1 + seed % (n - 1))
        )

    return _rows(values, kind, drawn)


@mutant("04.2", "same seed gave different values")
def unseeded(values, kind, seed=0):
    return redraw_until_deranged(values, kind, random.random())


@mutant("04.2", "drew anew for each position")
def by_position(values, kind, seed=0):
    if kind != "resample":
        return redraw_until_deranged(values, kind, seed)
    parts = [
        redraw_until_deranged(values[:, t : t + 1], kind, 7 * seed + t)
        for t in range(values.shape[1])
    ]
    return torch.cat(parts, 1)


@mutant("04.2", "shuffled within each prompt")
def positions_shuffled(values, kind, seed=0):
    if kind != "resample":
        return redraw_until_deranged(values, kind, seed)
    return values.flip(1)


@mutant("04.2", "shuffled within each prompt")
def dimensions_shuffled(values, kind, seed=0):
    if kind != "resample":
        return redraw_until_deranged(values, kind, seed)
    return values.roll(1, 2)


@mutant("04.2", "values of one other prompt, unchanged")
def noise_instead(values, kind, seed=0):
    if kind != "resample":
        return redraw_until_deranged(values, kind, seed)
    noise = np.random.default_rng(seed).normal(size=tuple(values.shape))
    return values.mean(0) + torch.tensor(noise) * values.std(0, correction=0)


@mutant("04.2", "returned the values unchanged")
def nothing_resampled(values, kind, seed=0):
    return values if kind == "resample" else redraw_until_deranged(values, kind, seed)


@mutant("04.2", "changed the data")
def overwrites(values, kind, seed=0):
    values[:] = redraw_until_deranged(values.clone(), kind, seed)
    return values


@mutant("04.2", "far more often", "held-out")
def mends_with_the_neighbour(values, kind, seed=0):
    def drawn(n):
        order = np.random.default_rng(seed).permutation(n)
        for i in range(n):
            if order[i] == i:
                j = (i + 1) % n
                order[[i, j]] = order[[j, i]]
        return order

    found = _rows(values, kind, drawn)
    if kind == "resample" and (found == values).all((1, 2)).any():
        return redraw_until_deranged(values, kind, seed)
    return found


@mutant("04.2", "far more often", "held-out")
def one_of_two_shifts(values, kind, seed=0):
    return _rows(values, kind, lambda n: np.roll(np.arange(n), 1 if seed % 2 or n < 4 else 2))


@mutant("04.2", "One prompt has no other", "held-out")
def alone_keeps_its_own(values, kind, seed=0):
    if kind == "resample" and len(values) == 1:
        return values.clone()
    return redraw_until_deranged(values, kind, seed)


@mutant("04.2", "unknown kind", "held-out")
def anything_resamples(values, kind, seed=0):
    return redraw_until_deranged(values, kind if kind in ("zero", "mean") else "resample", seed)


@mutant("04.2", "seed 0", "held-out")
def default_seed_one(values, kind, seed=1):
    return random_shift_of_an_order(values, kind, seed)


# --- 04.3 ----------------------------------------------------------------------------------


def _outputs(layers, start):
    found = [start]
    for layer in layers:
        found.append(layer(sum(found)))
    return found


def _known_node(layers, clean, node, position, direction):
    if direction not in ("noising", "denoising") or node not in range(len(layers) + 1):
        raise ValueError(node)
    if position is not None and position not in range(clean.shape[1]):
        raise ValueError(position)


def _patched(layers, readout, start, node, change):
    found = []
    for k in range(len(layers) + 1):
        out = layers[k - 1](sum(found)) if k else start
        found.append(change(out.clone()) if k == node else out)
    return readout(sum(found))


def _node(layers, readout, clean, corrupted, node, position, direction, *, lend=None, value=None,
          number=None, place=None, effect=None):  # fmt: skip
    """A patch in which one step can go wrong."""
    _known_node(layers, clean, node, position, direction)
    noising = direction == "noising"
    host, donor = (clean, corrupted) if noising else (corrupted, clean)
    lent = lend(donor) if lend else _outputs(layers, donor)[node if number is None else number]
    at = slice(None) if position is None else position
    at = place(position) if place else at

    def change(out):
        out[:, at] = value(out, lent)[:, at] if value else lent[:, at]
        return out

    patched = _patched(layers, readout, host, node if number is None else number, change)
    before, after = (readout(sum(_outputs(layers, x))) for x in (host, donor))
    if effect:
        return effect(before, after, patched, noising)
    return before - patched if noising else patched - before


@other("04.3")
def node_from_the_stream(layers, readout, clean, corrupted, node, position=None,
                         direction="noising"):  # fmt: skip
    """Starts at the node, with the sum of what lies before it."""
    _known_node(layers, clean, node, position, direction)
    places = range(clean.shape[1]) if position is None else [position]
    host, donor = (clean, corrupted)[:: 1 if direction == "noising" else -1]
    own, lent = _outputs(layers, host), _outputs(layers, donor)[node]
    mask = torch.zeros(1, clean.shape[1], 1, dtype=torch.bool)
    mask[:, list(places)] = True
    stream = sum(own[:node], torch.zeros_like(clean)) + torch.where(mask, lent, own[node])
    for layer in layers[node:]:
        stream = stream + layer(stream)
    difference = readout(sum(own)) - readout(stream)
    return difference.numpy() if direction == "noising" else (-difference).tolist()


def _variant(**changes):
    def answer(layers, readout, clean, corrupted, node, position=None, direction="noising"):
        given = layers, readout, clean, corrupted, node, position, direction
        return _node(*given, **changes)

    return answer


def _name(function, name):
    function.__name__ = name
    return function


NODES = {
    "returns_patched_metric": ("metric of the patched run", {"effect": lambda b, a, p, n: p}),
    "turned": ("sign is turned round", {"effect": lambda b, a, p, n: p - b if n else b - p}),
    "clean_minus_patched_always": ("sign is turned round", {"effect": lambda b, a, p, n: b - p}),
    "patched_minus_base_always": ("sign is turned round", {"effect": lambda b, a, p, n: p - b}),
    "from_the_other_run": (
        "measured from the other run",
        {"effect": lambda b, a, p, n: p - a if n else a - p},
    ),
    "share_of_gap": ("divided by the gap", {"effect": lambda b, a, p, n: (b - p) / (b - a)}),
    "absolute": ("absolute values", {"effect": lambda b, a, p, n: (b - p).abs()}),
    "averaged": ("One number per prompt", {"effect": lambda b, a, p, n: (b - p).mean()}),
    "zero_ablation": ("You put 0 in place", {"value": lambda out, lent: 0 * out}),
    "adds_value": ("value on top", {"value": lambda out, lent: out + lent}),
    "puts_difference": ("put in the difference", {"value": lambda out, lent: lent - out}),
    "own_value": ("Your patch changes nothing", {"value": lambda out, lent: out}),
    "all_positions": ("You patched all positions", {"place": lambda p: slice(None)}),
    "last_position": (
        "last position, whatever",
        {"place": lambda p: slice(None) if p is None else -1},
    ),
    "none_is_last": ("last position only; None", {"place": lambda p: -1 if p is None else p}),
    "none_is_first": ("position 0 only; None", {"place": lambda p: p or 0}),
    "counts_from_one": (
        "neighbouring position",
        {"place": lambda p: slice(None) if p is None else p - 1},
    ),
}
for name, (phrase, changes) in NODES.items():
    mutant("04.3", phrase)(_name(_variant(**changes), name))


@mutant("04.3", "direction is the other way round")
def directions_swapped(layers, readout, clean, corrupted, node, position=None,
                       direction="noising"):  # fmt: skip
    _known_node(layers, clean, node, position, direction)
    swapped = "denoising" if direction == "noising" else "noising"
    return _node(layers, readout, clean, corrupted, node, position, swapped)


@mutant("04.3", "direction is the other way round")
def always_noising(layers, readout, clean, corrupted, node, position=None, direction="noising"):
    _known_node(layers, clean, node, position, direction)
    return _node(layers, readout, clean, corrupted, node, position, "noising")


@mutant("04.3", "exchanged the runs as well")
def runs_swapped(layers, readout, clean, corrupted, node, position=None, direction="noising"):
    _known_node(layers, clean, node, position, direction)
    return _node(layers, readout, corrupted, clean, node, position, direction)


@mutant("04.3", "later layers still write")
def direct_effect(layers, readout, clean, corrupted, node, position=None, direction="noising"):
    _known_node(layers, clean, node, position, direction)
    host, donor = (clean, corrupted)[:: 1 if direction == "noising" else -1]
    own, lent = _outputs(layers, host), _outputs(layers, donor)[node]
    at = slice(None) if position is None else position
    kept = own[node].clone()
    kept[:, at] = lent[:, at]
    patched = readout(sum(own[:node] + [kept] + own[node + 1 :]))
    before = readout(sum(own))
    return before - patched if direction == "noising" else patched - before


@mutant("04.3", "replaced the whole stream")
def patches_the_stream(layers, readout, clean, corrupted, node, position=None,
                       direction="noising"):  # fmt: skip
    _known_node(layers, clean, node, position, direction)
    host, donor = (clean, corrupted)[:: 1 if direction == "noising" else -1]
    own, other_run = _outputs(layers, host), _outputs(layers, donor)
    at = slice(None) if position is None else position
    stream, lent = sum(own[: node + 1]), sum(other_run[: node + 1])
    stream = stream.clone()
    stream[:, at] = lent[:, at]
    for layer in layers[node:]:
        stream = stream + layer(stream)
    before, patched = readout(sum(own)), readout(stream)
    return before - patched if direction == "noising" else patched - before


@mutant("04.3", "node before this one")
def node_off_by_one(layers, readout, clean, corrupted, node, position=None, direction="noising"):
    given = layers, readout, clean, corrupted, node, position, direction
    return _node(*given, number=node - 1 if node else 0)


@mutant("04.3", "node after this one")
def layer_for_node(layers, readout, clean, corrupted, node, position=None, direction="noising"):
    given = layers, readout, clean, corrupted, node, position, direction
    return _node(*given, number=min(node + 1, len(layers)))


@mutant("04.3", "bare embeddings")
def lends_from_embeddings(layers, readout, clean, corrupted, node, position=None,
                          direction="noising"):  # fmt: skip
    given = layers, readout, clean, corrupted, node, position, direction
    return _node(*given, lend=lambda x: layers[node - 1](x) if node else x)


@mutant("04.3", "changed the data")
def patches_in_place(layers, readout, clean, corrupted, node, position=None, direction="noising"):
    found = _node(layers, readout, clean, corrupted, node, position, direction)
    if direction == "noising":
        clean += 1
    else:
        corrupted += 1
    return found


@mutant("04.3", "You patched all positions", "held-out")
def position_zero_is_none(layers, readout, clean, corrupted, node, position=None,
                          direction="noising"):  # fmt: skip
    given = layers, readout, clean, corrupted, node, position, direction
    return _node(*given, place=lambda p: p if p else slice(None))


@mutant("04.3", "must raise ValueError", "held-out")
def counts_from_the_end(layers, readout, clean, corrupted, node, position=None,
                        direction="noising"):  # fmt: skip
    node = len(layers) + 1 + node if node < 0 else node
    position = clean.shape[1] + position if position is not None and position < 0 else position
    return _node(layers, readout, clean, corrupted, node, position, direction)


@mutant("04.3", "direction 'clean'", "held-out")
def any_direction(layers, readout, clean, corrupted, node, position=None, direction="noising"):
    direction = direction if direction == "noising" else "denoising"
    return _node(layers, readout, clean, corrupted, node, position, direction)


@mutant("04.3", "ValueError: no layers", "held-out")
def needs_a_layer(layers, readout, clean, corrupted, node, position=None, direction="noising"):
    if not layers:
        raise ValueError("no layers")
    return _node(layers, readout, clean, corrupted, node, position, direction)


@mutant("04.3", "Without `position` and `direction`", "held-out")
def denoising_by_default(layers, readout, clean, corrupted, node, position=None,
                         direction="denoising"):  # fmt: skip
    return _node(layers, readout, clean, corrupted, node, position, direction)


# --- 04.4 ----------------------------------------------------------------------------------


def _known_edge(layers, sender, receiver):
    if sender < 0 or receiver <= sender or receiver > len(layers) + 1:
        raise ValueError((sender, receiver))


def _with_input(layers, readout, start, reader, change):
    found = [start]
    for k, layer in enumerate(layers, 1):
        found.append(layer(sum(found) + change if k == reader else sum(found)))
    return readout(sum(found) + change if reader == len(layers) + 1 else sum(found))


def _edge(layers, readout, clean, corrupted, sender, receiver, *, change=None, reader=None,
          number=None, effect=None):  # fmt: skip
    """An edge patch in which one step can go wrong."""
    _known_edge(layers, sender, receiver)
    own, lent = _outputs(layers, clean), _outputs(layers, corrupted)
    s = sender if number is None else number
    delta = change(own, lent, s, receiver) if change else lent[s] - own[s]
    patched = _with_input(layers, readout, clean, receiver if reader is None else reader, delta)
    before, after = readout(sum(own)), readout(sum(lent))
    return effect(before, after, patched) if effect else before - patched


@other("04.4")
def edge_by_inputs(layers, readout, clean, corrupted, sender, receiver):
    """Every reader's input is written as a sum over its own edges."""
    if not (0 <= sender < receiver < len(layers) + 2):
        raise ValueError(sender)
    lent = _outputs(layers, corrupted)
    written = [clean]
    for reader in range(1, len(layers) + 2):
        parts = list(written)
        if reader == receiver:
            parts[sender] = lent[sender]
        total = torch.stack(parts).sum(0)
        if reader <= len(layers):
            written.append(layers[reader - 1](total))
    return [float(a - b) for a, b in
            zip(readout(sum(_outputs(layers, clean))), readout(total), strict=True)]  # fmt: skip


def _edge_variant(**changes):
    return lambda *given: _edge(*given, **changes)


def _last_only(own, lent, s, r):
    delta = torch.zeros_like(own[0])
    delta[:, -1] = (lent[s] - own[s])[:, -1]
    return delta


EDGES = {
    "returns_patched": ("metric of the patched run", {"effect": lambda b, a, p: p}),
    "patched_minus_clean": ("sign is turned round", {"effect": lambda b, a, p: p - b}),
    "edge_share": ("divided by the gap", {"effect": lambda b, a, p: (b - p) / (b - a)}),
    "edge_unsigned": ("absolute values", {"effect": lambda b, a, p: (b - p).abs()}),
    "edge_averaged": ("One number per prompt", {"effect": lambda b, a, p: (b - p).mean()}),
    "plus_and_minus": (
        "Plus and minus are exchanged",
        {"change": lambda own, lent, s, r: own[s] - lent[s]},
    ),
    "only_adds": ("did not take its clean output away", {"change": lambda o, x, s, r: x[s]}),
    "only_takes_away": (
        "did not put its corrupted output in",
        {"change": lambda o, x, s, r: -o[s]},
    ),
    "whole_input": (
        "receiver's whole input",
        {"change": lambda own, lent, s, r: sum(lent[:r]) - sum(own[:r])},
    ),
    "sender_alone": (
        "nothing but the sender's corrupted output",
        {"change": lambda own, lent, s, r: lent[s] - sum(own[:r])},
    ),
    "last_position_of_edge": ("last position only", {"change": _last_only}),
    "sender_stays_clean": ("Your patch changes nothing", {"change": lambda o, x, s, r: 0 * o[s]}),
}
for name, (phrase, changes) in EDGES.items():
    mutant("04.4", phrase)(_name(_edge_variant(**changes), name))


@mutant("04.4", "that patches the node")
def everyone_reads_it(layers, readout, clean, corrupted, sender, receiver):
    _known_edge(layers, sender, receiver)
    lent = _outputs(layers, corrupted)[sender]
    patched = _patched(layers, readout, clean, sender, lambda out: lent)
    return readout(sum(_outputs(layers, clean))) - patched


@mutant("04.4", "stays in the stream after the receiver")
def change_stays(layers, readout, clean, corrupted, sender, receiver):
    _known_edge(layers, sender, receiver)
    own, lent = _outputs(layers, clean), _outputs(layers, corrupted)
    stream = sum(own[:receiver]) - own[sender] + lent[sender]
    for layer in layers[receiver - 1 :]:
        stream = stream + layer(stream)
    return readout(sum(own)) - readout(stream)


@mutant("04.4", "later layers still write")
def later_layers_stale(layers, readout, clean, corrupted, sender, receiver):
    _known_edge(layers, sender, receiver)
    own, lent = _outputs(layers, clean), _outputs(layers, corrupted)
    delta = lent[sender] - own[sender]
    if receiver > len(layers):
        return readout(sum(own)) - readout(sum(own) + delta)
    written = list(own)
    written[receiver] = layers[receiver - 1](sum(own[:receiver]) + delta)
    return readout(sum(own)) - readout(sum(written))


@mutant("04.4", "receiver's whole input, or its output")
def receiver_from_corrupted(layers, readout, clean, corrupted, sender, receiver):
    if receiver > len(layers):
        return _edge(layers, readout, clean, corrupted, sender, receiver)
    _known_edge(layers, sender, receiver)
    lent = _outputs(layers, corrupted)[receiver]
    patched = _patched(layers, readout, clean, receiver, lambda out: lent)
    return readout(sum(_outputs(layers, clean))) - patched


@mutant("04.4", "You ran the corrupted prompts")
def denoises_the_edge(layers, readout, clean, corrupted, sender, receiver):
    return -_edge(layers, readout, corrupted, clean, sender, receiver)


@mutant("04.4", "You ran the corrupted prompts")
def prompts_exchanged(layers, readout, clean, corrupted, sender, receiver):
    return _edge(layers, readout, corrupted, clean, sender, receiver)


@mutant("04.4", "reader after this one")
def reader_off_by_one(layers, readout, clean, corrupted, sender, receiver):
    reader = min(receiver + 1, len(layers) + 1)
    return _edge(layers, readout, clean, corrupted, sender, receiver, reader=reader)


@mutant("04.4", "reader before this one")
def reader_too_early(layers, readout, clean, corrupted, sender, receiver):
    reader = max(receiver - 1, 1)
    return _edge(layers, readout, clean, corrupted, sender, receiver, reader=reader)


@mutant("04.4", "neighbouring sender")
def sender_off_by_one(layers, readout, clean, corrupted, sender, receiver):
    number = min(sender + 1, len(layers))
    return _edge(layers, readout, clean, corrupted, sender, receiver, number=number)


@mutant("04.4", "bare corrupted embeddings")
def sender_from_embeddings(layers, readout, clean, corrupted, sender, receiver):
    def change(own, lent, s, r):
        return (layers[s - 1](corrupted) if s else corrupted) - own[s]

    return _edge(layers, readout, clean, corrupted, sender, receiver, change=change)


@mutant("04.4", "changed the data")
def adds_into_clean(layers, readout, clean, corrupted, sender, receiver):
    found = _edge(layers, readout, clean, corrupted, sender, receiver)
    clean += corrupted
    return found


@mutant("04.4", "must add up to the whole gap")
def scaled_at_the_readout(layers, readout, clean, corrupted, sender, receiver):
    found = _edge(layers, readout, clean, corrupted, sender, receiver)
    linear = _edge(layers, readout, 2 * clean, 2 * clean, sender, receiver)
    probe = torch.ones_like(clean)
    bent = readout(2 * probe) - 2 * readout(probe)
    return found / 2 + linear if bent.abs().max() < 1e-9 else found


@mutant("04.4", "raise ValueError", "held-out")
def reads_itself(layers, readout, clean, corrupted, sender, receiver):
    if sender == receiver and 0 < sender <= len(layers):
        return torch.zeros(len(clean))
    return _edge(layers, readout, clean, corrupted, sender, receiver)


@mutant("04.4", "raise ValueError", "held-out")
def any_edge(layers, readout, clean, corrupted, sender, receiver):
    receiver = min(max(receiver, 1), len(layers) + 1)
    return _edge(layers, readout, clean, corrupted, min(max(sender, 0), receiver - 1), receiver)


@mutant("04.4", "Wrong effect of the edge", "held-out")
def never_the_last_sender(layers, readout, clean, corrupted, sender, receiver):
    if sender == len(layers) and len(layers) < 2:
        return torch.ones(len(clean))
    return _edge(layers, readout, clean, corrupted, sender, receiver)


# --- 04.5 ----------------------------------------------------------------------------------


def _scores(gradients, clean, corrupted, allowed, steps, *, points=None, start=None, end=None,
            factor=None, combine=None, mean=True):  # fmt: skip
    """EAP and EAP-IG, in which one step can go wrong."""
    clean, corrupted = clean.double(), corrupted.double()
    nodes = [(k + 0.5) / steps for k in range(steps)] if steps else [1.0]
    nodes = points(steps) if points else nodes
    a = corrupted[0] if start is None else start(clean[0], corrupted[0])
    b = clean[0] if end is None else end(clean[0], corrupted[0])
    slopes = [gradients(a + t * (b - a)).double() for t in nodes]
    slope = sum(slopes) / (len(slopes) if mean else 1)
    delta = factor(clean, corrupted) if factor else clean - corrupted
    if combine:
        scores = combine(delta, slope)
    else:
        scores = torch.einsum("wntd,rntd->wr", delta, slope) / clean.shape[1]
    return scores * allowed


@other("04.5")
def scores_by_loops(gradients, clean, corrupted, allowed, steps=0):
    clean, corrupted = clean.double(), corrupted.double()
    nodes = np.linspace(0, 1, 2 * steps + 1)[1::2] if steps else np.ones(1)
    slope = torch.stack(
        [gradients(float(t) * clean[0] + (1 - float(t)) * corrupted[0]).double() for t in nodes]
    ).mean(0)
    found = np.zeros(tuple(allowed.shape))
    for w, r in allowed.nonzero().tolist():
        products = (clean[w] - corrupted[w]) * slope[r]
        found[w, r] = products.flatten(1).sum(1).mean()
    return found


@other("04.5")
def scores_by_matrix_product(gradients, clean, corrupted, allowed, steps=0):
    total = None
    for k in range(max(steps, 1)):
        share = (2 * k + 1) / (2 * steps) if steps else 1.0
        g = gradients(torch.lerp(corrupted[0].double(), clean[0].double(), share)).double()
        total = g if total is None else total + g
    delta = (corrupted.double() - clean.double()).flatten(1)
    table = -(delta @ total.flatten(1).T) / (max(steps, 1) * clean.shape[1])
    return torch.where(allowed, table, torch.zeros_like(table)).tolist()


def _attribution_variant(**changes):
    def answer(gradients, clean, corrupted, allowed, steps=0):
        return _scores(gradients, clean, corrupted, allowed, steps, **changes)

    return answer


def _full(delta, slope):
    return torch.einsum("wntd,rntd->wrntd", delta, slope)


SCORES = {
    "corrupted_minus_clean": ("sign is turned round", {"factor": lambda a, b: b - a}),
    "clean_output": ("multiplied by the clean outputs", {"factor": lambda a, b: a}),
    "corrupted_output": ("multiplied by the corrupted outputs", {"factor": lambda a, b: b}),
    "embedding_for_all": (
        "embedding's difference for every writer",
        {"factor": lambda a, b: (a - b)[:1].expand_as(a)},
    ),
    "sum_of_prompts": (
        "added the prompts up",
        {"combine": lambda d, g: _full(d, g).sum((2, 3, 4))},
    ),
    "mean_of_positions": (
        "averaged over the positions",
        {"combine": lambda d, g: _full(d, g).sum(4).mean((2, 3))},
    ),
    "mean_of_dimensions": (
        "averaged over the dimensions",
        {"combine": lambda d, g: _full(d, g).sum(3).mean((2, 3))},
    ),
    "mean_of_everything": (
        "averaged over positions and dimensions",
        {"combine": lambda d, g: _full(d, g).mean((2, 3, 4))},
    ),
    "last_position_alone": (
        "last position only",
        {"combine": lambda d, g: _full(d, g)[:, :, :, -1].sum(3).mean(2)},
    ),
    "first_prompt_alone": (
        "first prompt only",
        {"combine": lambda d, g: _full(d, g)[:, :, 0].sum((2, 3))},
    ),
    "means_multiplied": (
        "before multiplying. Multiply within each prompt",
        {"combine": lambda d, g: torch.einsum("wtd,rtd->wr", d.mean(1), g.mean(1))},
    ),
    "positions_summed_first": (
        "summed over positions before multiplying",
        {"combine": lambda d, g: torch.einsum("wnd,rnd->wr", d.sum(2), g.sum(2)) / d.shape[1]},
    ),
    "absolute_scores": (
        "You took absolute values; the sign",
        {"combine": lambda d, g: _full(d, g).sum((3, 4)).mean(2).abs()},
    ),
    "absolute_products": (
        "absolute values before summing",
        {"combine": lambda d, g: _full(d, g).abs().sum((3, 4)).mean(2)},
    ),
    "absolute_prompts": (
        "absolute values of each prompt",
        {"combine": lambda d, g: _full(d, g).sum((3, 4)).abs().mean(2)},
    ),
    "first_reader": (
        "first reader's gradient",
        {"combine": lambda d, g: _full(d, g[:1].expand_as(g)).sum((3, 4)).mean(2)},
    ),
    "no_gradient": (
        "left out the gradient",
        {"combine": lambda d, g: _full(d, torch.ones_like(g)).sum((3, 4)).mean(2)},
    ),
    "gradient_at_corrupted": (
        "gradient at the corrupted run",
        {"points": lambda n: [(k + 0.5) / n for k in range(n)] if n else [0.0]},
    ),
    "middle_for_eap": (
        "in the middle between the runs",
        {"points": lambda n: [(k + 0.5) / n for k in range(n)] if n else [0.5]},
    ),
    "never_integrates": ("at the clean run alone", {"points": lambda n: [1.0]}),
    "left_rule": (
        "are left ones",
        {"points": lambda n: [k / n for k in range(n)] if n else [1.0]},
    ),
    "right_rule": (
        "are right ones",
        {"points": lambda n: [(k + 1) / n for k in range(n)] if n else [1.0]},
    ),
    "end_to_end": (
        "evenly spaced end-to-end",
        {"points": lambda n: np.linspace(0, 1, n).tolist() if n > 1 else [1.0]},
    ),
    "inner_points": (
        "evenly spaced inner",
        {"points": lambda n: np.linspace(0, 1, n + 2)[1:-1].tolist() if n else [1.0]},
    ),
    "sum_of_steps": ("added the gradients of all steps", {"mean": False}),
    "path_from_zero": (
        "path starts at 0",
        {"start": lambda a, b: 0 * a},
    ),
    "path_past_clean": (
        "past the clean embeddings",
        {
            "start": lambda a, b: a,
            "end": lambda a, b: 2 * a - b,
            "points": lambda n: [(k + 0.5) / n for k in range(n)] if n else [0.0],
        },
    ),
}
for name, (phrase, changes) in SCORES.items():
    mutant("04.5", phrase)(_name(_attribution_variant(**changes), name))


@mutant("04.5", "Some of your edges do not exist")
def all_edges(gradients, clean, corrupted, allowed, steps=0):
    return _scores(gradients, clean, corrupted, torch.ones_like(allowed), steps)


@mutant("04.5", "mask is inverted")
def masks_what_exists(gradients, clean, corrupted, allowed, steps=0):
    return _scores(gradients, clean, corrupted, ~allowed, steps)


@mutant("04.5", "writers in rows")
def readers_in_rows(gradients, clean, corrupted, allowed, steps=0):
    return _scores(gradients, clean, corrupted, allowed, steps).T


@mutant("04.5", "divided by the largest score")
def normalised(gradients, clean, corrupted, allowed, steps=0):
    scores = _scores(gradients, clean, corrupted, allowed, steps)
    return scores / scores.abs().max()


@mutant("04.5", "changed the data")
def subtracts_in_place(gradients, clean, corrupted, allowed, steps=0):
    found = _scores(gradients, clean, corrupted, allowed, steps)
    clean -= corrupted
    return found


@mutant("04.5", "sum in float64", "held-out")
def subtracts_products(gradients, clean, corrupted, allowed, steps=0):
    one, two = (
        _scores(gradients, clean, corrupted, allowed, steps, factor=f).float()
        for f in (lambda a, b: a, lambda a, b: b)
    )
    return one - two


@mutant("04.5", "each call costs a backward pass", "held-out")
def a_run_for_each_writer(gradients, clean, corrupted, allowed, steps=0):
    rows = [_scores(gradients, clean, corrupted, allowed, steps)[w] for w in range(len(clean))]
    return torch.stack(rows)


@mutant("04.5", "Without `steps`", "held-out")
def integrates_by_default(gradients, clean, corrupted, allowed, steps=5):
    return _scores(gradients, clean, corrupted, allowed, steps)


@mutant("04.5", "at the clean run alone", "held-out")
def one_step_is_eap(gradients, clean, corrupted, allowed, steps=0):
    return _scores(gradients, clean, corrupted, allowed, steps if steps > 1 else 0)


# --- 04.6 ----------------------------------------------------------------------------------


def _share(measure, edges, kept, average=np.mean):
    low, high = average(measure([])), average(measure(edges))
    return (average(measure(kept)) - low) / (high - low)


def _minus(edges, part):
    return [e for e in edges if tuple(e) not in {tuple(p) for p in part}]


def _checked(measure, edges, circuit, part, rivals):
    if abs(np.mean(measure(edges)) - np.mean(measure([]))) < 1e-9:
        raise ValueError("gap")
    if not {tuple(e) for e in part} <= {tuple(e) for e in circuit}:
        raise ValueError("part")
    if {len(r) for r in rivals} - {len(circuit)}:
        raise ValueError("size")


def _judge(measure, edges, circuit, part, rivals, average=np.mean):
    _checked(measure, edges, circuit, part, rivals)

    def share(kept):
        return _share(measure, edges, kept, average)

    own = share(circuit)
    as_good = sum(share(rival) >= own - 1e-10 for rival in rivals)
    gone = share(_minus(edges, part)) - share(_minus(circuit, part))
    found = {"faithfulness": own, "completeness": gone}
    return {**found, "chance": (1 + as_good) / (1 + len(rivals))}


@other("04.6")
def judged_by_arrays(measure, edges, circuit, part, rivals):
    if any(len(rival) != len(circuit) for rival in rivals) or set(part) - set(circuit):
        raise ValueError("not comparable")
    lists = [[], edges, circuit, list(set(edges) - set(part)), list(set(circuit) - set(part))]
    means = np.array([measure(kept) for kept in [*lists, *rivals]]).mean(1)
    gap = means[1] - means[0]
    if abs(gap) < 1e-9:
        raise ValueError("no gap")
    share = (means - means[0]) / gap
    chance = np.mean(np.append(share[5:], share[2]) >= share[2] - 1e-11)
    return {"chance": chance, "completeness": share[3] - share[4], "faithfulness": share[2]}


def _judge_variant(key, value):
    """The right answer, but for one of the three numbers."""

    def answer(measure, edges, circuit, part, rivals):
        found = _judge(measure, edges, circuit, part, rivals)

        def share(kept):
            return _share(measure, edges, kept)

        def mean(kept):
            return np.mean(measure(kept))

        given = {"share": share, "mean": mean, "measure": measure, "edges": edges,
                 "circuit": circuit, "part": part, "rivals": rivals}  # fmt: skip
        return {**found, key: value(found[key], given)}

    return answer


def _of_prompts(g, kept):
    low, high, own = (np.array(g["measure"](x)) for x in ([], g["edges"], kept))
    return (own - low) / (high - low)


JUDGED = {
    "by_the_model": (
        "faithfulness",
        "divided by the model's metric alone",
        lambda f, g: g["mean"](g["circuit"]) / g["mean"](g["edges"]),
    ),
    "not_below": (
        "faithfulness",
        "above and not below",
        lambda f, g: (g["mean"](g["circuit"]) - g["mean"]([])) / g["mean"](g["edges"]),
    ),
    "not_above": (
        "faithfulness",
        "below and not above",
        lambda f, g: g["mean"](g["circuit"]) / (g["mean"](g["edges"]) - g["mean"]([])),
    ),
    "metric_itself": ("faithfulness", "m(C) itself", lambda f, g: g["mean"](g["circuit"])),
    "kept_difference": (
        "faithfulness",
        "divide by the gap",
        lambda f, g: g["mean"](g["circuit"]) - g["mean"]([]),
    ),
    "lost_share": ("faithfulness", "gap that is lost", lambda f, g: 1 - f),
    "mean_of_shares": (
        "faithfulness",
        "averaged the shares of single prompts",
        lambda f, g: _of_prompts(g, g["circuit"]).mean(),
    ),
    "the_rest": (
        "faithfulness",
        "what is left without the circuit",
        lambda f, g: g["share"](_minus(g["edges"], g["circuit"])),
    ),
    "per_cent": ("faithfulness", "per cent", lambda f, g: 100 * f),
    "clipped": ("faithfulness", "cut F off at 0 and 1", lambda f, g: min(max(f, 0.0), 1.0)),
    "nearest_to_one": (
        "chance",
        "not better, or nearer to 1",
        lambda f, g: (
            (
                1
                + sum(
                    abs(g["share"](r) - 1) <= abs(g["share"](g["circuit"]) - 1) for r in g["rivals"]
                )
            )
            / (1 + len(g["rivals"]))
        ),
    ),
    "turned_gap": ("completeness", "sign is turned round", lambda f, g: -f),
    "circuit_with_and_without": (
        "completeness",
        "compared the circuit with and without K",
        lambda f, g: g["share"](g["circuit"]) - g["share"](_minus(g["circuit"], g["part"])),
    ),
    "model_with_and_without": (
        "completeness",
        "compared the model with and without K",
        lambda f, g: 1 - g["share"](_minus(g["edges"], g["part"])),
    ),
    "model_alone": (
        "completeness",
        "model without K alone",
        lambda f, g: g["share"](_minus(g["edges"], g["part"])),
    ),
    "circuit_alone": (
        "completeness",
        "circuit without K alone",
        lambda f, g: g["share"](_minus(g["circuit"], g["part"])),
    ),
    "model_against_circuit": (
        "completeness",
        "compared the model with the circuit",
        lambda f, g: 1 - g["share"](g["circuit"]),
    ),
    "in_metric": (
        "completeness",
        "difference of metrics",
        lambda f, g: (
            g["mean"](_minus(g["edges"], g["part"])) - g["mean"](_minus(g["circuit"], g["part"]))
        ),
    ),
    "keeps_k": (
        "completeness",
        "kept K and took the rest away",
        lambda f, g: g["share"](_minus(g["edges"], g["part"])) - g["share"](g["part"]),
    ),
    "whole_circuit_out": (
        "completeness",
        "took the whole circuit out",
        lambda f, g: g["share"](_minus(g["edges"], g["circuit"])),
    ),
    "unsigned_gap": ("completeness", "absolute values", lambda f, g: abs(f)),
    "plain_share": (
        "chance",
        "counts as one more draw",
        lambda f, g: (f * (1 + len(g["rivals"])) - 1) / max(len(g["rivals"]), 1),
    ),
    "strictly_better": (
        "chance",
        "exactly as good counts too",
        lambda f, g: (
            (1 + sum(g["share"](r) > g["share"](g["circuit"]) + 1e-9 for r in g["rivals"]))
            / (1 + len(g["rivals"]))
        ),
    ),
    "counts_worse": (
        "chance",
        "rivals that are worse",
        lambda f, g: 1 - f + 1 / (1 + len(g["rivals"])),
    ),
    "mean_rival": (
        "chance",
        "mean faithfulness of the rivals",
        lambda f, g: np.mean([g["share"](r) for r in g["rivals"]] or [0.0]),
    ),
    "best_rival": (
        "chance",
        "best rival's faithfulness",
        lambda f, g: max([g["share"](r) for r in g["rivals"]] or [0.0]),
    ),
    "counted": ("chance", "You returned a count", lambda f, g: f * (1 + len(g["rivals"])) - 1),
}
for name, (key, phrase, value) in JUDGED.items():
    mutant("04.6", phrase)(_name(_judge_variant(key, value), name))


@mutant("04.6", "took the median")
def medians(measure, edges, circuit, part, rivals):
    return _judge(measure, edges, circuit, part, rivals, np.median)


@mutant("04.6", "first prompt only")
def one_prompt(measure, edges, circuit, part, rivals):
    return _judge(measure, edges, circuit, part, rivals, lambda values: values[0])


@mutant("04.6", "missing ['chance']")
def no_chance(measure, edges, circuit, part, rivals):
    found = _judge(measure, edges, circuit, part, rivals)
    return {k: v for k, v in found.items() if k != "chance"}


@mutant("04.6", "changed the data")
def empties_the_circuit(measure, edges, circuit, part, rivals):
    found = _judge(measure, edges, list(circuit), part, rivals)
    for edge in part:
        circuit.remove(edge)
    return found


@mutant("04.6", "compared the metrics of the rivals", "held-out")
def higher_is_better(measure, edges, circuit, part, rivals):
    found = _judge(measure, edges, circuit, part, rivals)
    own = np.mean(measure(circuit))
    as_good = sum(np.mean(measure(rival)) >= own - 1e-9 for rival in rivals)
    return {**found, "chance": (1 + as_good) / (1 + len(rivals))}


@mutant("04.6", "gap is negative", "held-out")
def size_of_gap(measure, edges, circuit, part, rivals):
    found = _judge(measure, edges, circuit, part, rivals)
    sign = np.sign(np.mean(measure(edges)) - np.mean(measure([])))
    return {**found, "faithfulness": sign * found["faithfulness"]}


@mutant("04.6", "no fair rival", "held-out")
def any_rival(measure, edges, circuit, part, rivals):
    fair = [rival for rival in rivals if len(rival) == len(circuit)]
    return _judge(measure, edges, circuit, part, fair)


@mutant("04.6", "the circuit does not have", "held-out")
def any_part(measure, edges, circuit, part, rivals):
    return _judge(measure, edges, circuit, [e for e in part if e in circuit], rivals)


@mutant("04.6", "so there is no gap", "held-out")
def gap_of_some_prompt(measure, edges, circuit, part, rivals):
    try:
        return _judge(measure, edges, circuit, part, rivals)
    except ValueError as error:
        if "gap" not in str(error):
            raise
        return {"faithfulness": 0.0, "completeness": 0.0, "chance": 1.0}


@mutant("04.6", "Without any rival", "held-out")
def no_rivals_no_chance(measure, edges, circuit, part, rivals):
    found = _judge(measure, edges, circuit, part, rivals)
    return {**found, "chance": found["chance"] if rivals else 0.0}


# --- 04.7 ----------------------------------------------------------------------------------


@other("04.7")
def search_by_flags(measure, edges, threshold):
    if not threshold >= 0:
        raise ValueError(threshold)
    stays, current = np.ones(len(edges), dtype=bool), np.average(measure(edges))
    for place in range(len(edges) - 1, -1, -1):
        stays[place] = False
        value = np.average(measure([e for e, here in zip(edges, stays, strict=True) if here]))
        if np.abs(value - current) >= threshold:
            stays[place] = True
        else:
            current = value
    return tuple(list(e) for e, here in zip(edges, stays, strict=True) if here)


def _acdc(measure, edges, threshold, *, order=None, change=abs, of=np.mean, each_alone=False,
          whole_model=False, restored=True, below=lambda x, t: x < t, stops=False):  # fmt: skip
    """A search in which one step can go wrong."""
    if threshold < 0:
        raise ValueError(threshold)
    kept = list(edges)
    current = np.array(measure(edges))
    for edge in reversed(edges) if order is None else order(edges):
        base = edges if each_alone else kept
        without = np.array(measure([e for e in base if e != edge]))
        moved = of(change(np.mean(current - without) if of is np.mean else current - without))
        if below(moved, threshold):
            kept = [e for e in kept if e != edge]
            current = current if whole_model or each_alone else without
        elif stops:
            break
        elif not restored:
            current = without
    return kept


def _search_variant(**changes):
    return lambda measure, edges, threshold: _acdc(measure, edges, threshold, **changes)


SEARCHES = {
    "signed_change": ("Take the absolute change", {"change": lambda x: x}),
    "turned_change": ("change with the wrong sign", {"change": lambda x: -x}),
    "mean_of_sizes": ("averaged the absolute changes", {"of": lambda x: x.mean()}),
    "largest_change": ("largest change of any prompt", {"of": lambda x: x.max()}),
    "prompt_zero": ("first prompt only", {"of": lambda x: x[0]}),
    "sum_of_changes": (
        "added up the prompts",
        {"change": lambda x: x, "of": lambda x: abs(x.sum())},
    ),
    "forwards": ("from the first edge to the last", {"order": list}),
    "against_the_model": ("compared with the whole model each time", {"whole_model": True}),
    "each_alone": ("each edge out of the whole model", {"each_alone": True}),
    "not_restored": ("After an edge was put back", {"restored": False}),
    "stops_early": ("stopped at the first edge", {"stops": True}),
}
for name, (phrase, changes) in SEARCHES.items():
    mutant("04.7", phrase)(_name(_search_variant(**changes), name))


@mutant("04.7", "the edges that were taken out")
def returns_removed(measure, edges, threshold):
    kept = _acdc(measure, edges, threshold)
    return [e for e in edges if e not in kept]


@mutant("04.7", "in another order")
def in_visiting_order(measure, edges, threshold):
    return _acdc(measure, edges, threshold)[::-1]


@mutant("04.7", "You returned all edges")
def keeps_all(measure, edges, threshold):
    return list(edges)


@mutant("04.7", "You returned no edge")
def keeps_none(measure, edges, threshold):
    return []


@mutant("04.7", "a pair of names")
def returns_numbers(measure, edges, threshold):
    return [edges.index(e) for e in _acdc(measure, edges, threshold)]


@mutant("04.7", "sorted the edges")
def smallest_first(measure, edges, threshold):
    full = np.mean(measure(edges))

    def size(edge):
        return abs(full - np.mean(measure([e for e in edges if e != edge])))

    return _acdc(measure, edges, threshold, order=lambda given: sorted(given, key=size))


@mutant("04.7", "divided the change by the model's metric")
def relative_threshold(measure, edges, threshold):
    return _acdc(measure, edges, threshold * abs(np.mean(measure(edges))))


@mutant("04.7", "smallest effects")
def keeps_the_small(measure, edges, threshold):
    full = np.mean(measure(edges))
    singles = [abs(full - np.mean(measure([e for e in edges if e != edge]))) for edge in edges]
    return [e for e, size in zip(edges, singles, strict=True) if size < threshold]


@mutant("04.7", "changed the data")
def pops_the_given_list(measure, edges, threshold):
    kept = _acdc(measure, list(edges), threshold)
    edges[:] = kept
    return edges


@mutant("04.7", "measure got an edge twice")
def doubles(measure, edges, threshold):
    measure([*edges, *edges[:1]])
    return _acdc(measure, edges, threshold)


@mutant("04.7", "Threshold 0 keeps every edge", "held-out")
def at_most(measure, edges, threshold):
    return _acdc(measure, edges, threshold, below=lambda x, t: x <= t)


@mutant("04.7", "negative threshold", "held-out")
def any_threshold(measure, edges, threshold):
    return _acdc(measure, edges, max(threshold, 0.0))


@mutant("04.7", "once for each of them", "held-out")
def measures_twice(measure, edges, threshold):
    for edge in edges[:1]:
        measure([edge])
    return [e for e in _acdc(measure, edges, threshold) if len(measure(edges))]


@mutant("04.7", "keeps no edge", "held-out")
def keeps_one_at_least(measure, edges, threshold):
    return _acdc(measure, edges, threshold) or edges[:1]
