"""Inputs of assignment 06: small dictionaries, states, activations, and runs of a model."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from course_lib.checks.reading import plain, read
from course_lib.checks.results import Wrong


def _tensor(array, dtype="float64", turned=False):
    """A tensor of this type; ``turned`` lays its last two axes the other way round in memory."""
    table = torch.tensor(array).to(getattr(torch, dtype))
    return table.mT.contiguous().mT if turned and table.ndim > 1 else table


# --- observers: one of several results ---------------------------------------------------------


TERMS, MEASURES = ("reconstruction", "sparsity", "loss"), ("l0", "fvu", "dead")


def _of_two(place, call, *given):
    answer = call(*given)
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Wrong("Return two things, in the order of the docstring.")
    return answer[place]


def _entries(names, chosen, call, *given):
    table = read(call(*given), dict.fromkeys(names, 0.0))
    if table is None:
        raise Wrong(f"Return a dict with the keys {', '.join(names)}; yours is None.")
    return {key: table[key] for key in chosen}


first_of_two, second_of_two = partial(_of_two, 0), partial(_of_two, 1)
error_term, sparsity_term, whole_loss = (partial(_entries, TERMS, [key]) for key in TERMS)
unexplained = partial(_entries, MEASURES, ["fvu"])
active_and_dead = partial(_entries, MEASURES, ["l0", "dead"])


def lengths_and_motion(call, decoder, gradient, rate):
    """How long the new rows are, and whether they are other rows than before."""
    rows = read(call(decoder, gradient, rate), plain(decoder))
    if rows is None or rows.shape != tuple(decoder.shape):
        raise Wrong(f"The new decoder has the shape of the old one, {list(decoder.shape)}.")
    moved = np.abs(rows - decoder.double().numpy()).max() > 1e-9
    return {"lengths of the rows": np.linalg.norm(rows, axis=1), "moved": float(moved)}


# --- 06.1 autoencode(x, encoder, encoder_bias, decoder, decoder_bias, k) -----------------------


def autoencoder(rng, sizes, k=(), lift=0.0, scale=1.0, copies=None, **kind):
    """States [*sizes[:-1]], an autoencoder of sizes[-1] features; ``k`` holds the last argument.

    With ``copies`` all numbers lie on a grid, so that every sum is exact: features 1, 2 and 4 of
    six are equal and strong, feature 3 is stronger than feature 0 by ``copies``, 5 is never active.
    """
    *shape, width, features = sizes

    def numbers(*size):
        return rng.normal(size=size) if copies is None else rng.integers(-4, 5, size) / 4

    x = numbers(*shape, width) * 1.5
    encoder, decoder = numbers(width, features), numbers(features, width)
    encoder_bias = numbers(features) + rng.choice([-1.0, 1.0], size=features)
    decoder_bias = numbers(width) + rng.choice([-2.0, 2.0], size=width)
    if copies is not None:
        encoder[:, [2, 4]], encoder[:, [0, 3, 5]] = encoder[:, [1, 1]], 0
        encoder_bias[[1, 2, 4]], encoder_bias[[0, 3, 5]] = 24, [0.5, 0.5 + copies, -1]
    tables = [encoder, (encoder_bias + lift) * scale, decoder, decoder_bias * scale]
    return (*(_tensor(table, **kind) for table in (x * scale, *tables)), *k)


# --- 06.2 sparse_loss(x, x_hat, f, decoder, penalty) -------------------------------------------


def coded(rng, sizes, penalty=None, stretch=1.0, scale=1.0, far=0.0, blank=(), made="", **kind):
    """States, reconstructions, activations (about half are 0) and directions of any length.

    ``stretch`` divides activations and multiplies directions; the directions ``blank`` are 0;
    ``far`` sets all states to 1 and their reconstructions that much higher; ``made`` gives the
    reconstructions another shape.
    """
    tokens, width, features = sizes
    x = rng.normal(size=(tokens, width)) * 2 * scale
    x_hat = x + rng.normal(size=x.shape) * rng.uniform(0.3, 3, size=(tokens, 1)) * scale
    f = np.maximum(rng.normal(size=(tokens, features)) * 2 + 0.3, 0) * scale
    f[0, 0] += 1.5 * scale
    decoder = rng.normal(size=(features, width)) * rng.uniform(0.3, 3, size=(features, 1))
    decoder[list(blank)] = 0
    if far:
        x, x_hat = np.ones_like(x), np.ones_like(x) + far
    shapes = {"row": x_hat[0], "column": x_hat[:, :1], "double": np.concatenate([x_hat, x_hat])}
    tables = (x, shapes.get(made, x_hat), f / stretch, decoder * stretch)
    penalty = float(rng.uniform(0.2, 0.8)) if penalty is None else penalty
    return (*(_tensor(table, **kind) for table in tables), penalty)


# --- 06.3 decoder_step(decoder, gradient, rate) ------------------------------------------------


def directions(rng, sizes, rate, longest=1.0, steep=1.0, along=None, blank=(), **kind):
    """Directions of length 1, or of any up to ``longest``, and a gradient with a part along each.

    With ``along`` nothing else is left of the gradient, and for the first direction nothing at all.
    """
    features, width = sizes
    decoder = rng.normal(size=(features, width))
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    sizes = rng.uniform(0.5, 2, size=(features, 1)) * rng.choice([-1, 1], size=(features, 1))
    gradient = (rng.normal(size=decoder.shape) + sizes * decoder) * steep
    if along is not None:
        gradient = along * sizes * decoder
        gradient[0] = 0
    if longest != 1:
        decoder = decoder * rng.uniform(0.05, 1, size=(features, 1)) * longest
    decoder[list(blank)] = 0
    return _tensor(decoder, **kind), _tensor(gradient, **kind), rate


# --- 06.4 quality(x, x_hat, f) -----------------------------------------------------------------


def measured(rng, sizes, made="noisy", scale=1.0, shift=0.0, faint=1.0, equal=False, **kind):
    """States far from 0, their reconstructions, and activations of which ``dead`` are unused.

    ``made`` says how the reconstructions come about; activations are multiplied by ``faint``.
    """
    tokens, width, features, dead = sizes
    x = rng.normal(size=(tokens, width)) * rng.uniform(0.5, 3, size=width)
    x += rng.uniform(2, 4, size=width) * rng.choice([-1, 1], size=width)
    x *= rng.uniform(0.6, 1.6, size=(tokens, 1))
    if equal:
        x[:] = x[0]
    constant = rng.uniform(0.3, 0.8, size=width)
    x_hat = {
        "noisy": x + rng.normal(size=x.shape) * 0.6 + constant,
        "constant": x + constant,
        "mean": np.broadcast_to(x.mean(0), x.shape),
        "same": x,
        "worse": -3 * x,
    }[made]
    f = rng.uniform(0.05, 3, size=(tokens, features))
    f *= rng.random(size=f.shape) < rng.uniform(0.15, 0.6, size=features)
    places = rng.permutation(features)
    empty, *full = rng.permutation(tokens)[:3]
    for number, place in enumerate(places[dead:]):
        if number % 3 == 1:  # weak on all tokens
            f[:, place] = rng.uniform(0.02, 0.08, size=tokens)
        if number % 3 == 2:  # strong on one
            f[:, place] = 0
        f[full[number % len(full)], place] = 2.5 if number % 3 == 2 else rng.uniform(0.02, 0.08)
    f[:, places[:dead]] = 0
    f[empty] = 0  # a token with no active feature
    tables = (x * scale + shift, x_hat * scale + shift, f * faint)
    return tuple(_tensor(table, **kind) for table in tables)


# --- 06.5 loss_recovered(clean, replaced, ablated, tokens, real) -------------------------------


def runs(rng, sizes, padded=0, order=(0, 1, 2), cost=None, strength=0.6, far=0.0, **kind):
    """Logits of three runs that know less and less of the next token, the texts, what is real.

    The shortest text has ``padded`` real tokens, each other one more; 0 pads nothing.
    ``order`` says which runs are given as clean, replaced and ablated. ``strength`` is what the
    replaced run knows; above 1 it beats the clean one. With ``cost`` the ablated run is the clean
    one, off at the real targets by that much. ``far`` is added to a token that never
    follows. What stands in padding, and in rows that predict none, is arbitrary.
    """
    texts, length, vocabulary = sizes
    tokens = rng.integers(1 if far else 0, vocabulary, size=(texts, length))
    real = np.ones((texts, length), dtype=bool)
    if padded:
        for row, kept in enumerate(rng.permutation(texts)):
            real[row, kept + padded :] = False
    known = np.zeros((texts, length, vocabulary))
    rows, places = np.indices((texts, length - 1))
    known[rows, places, tokens[:, 1:]] = rng.uniform(1, 4, size=(texts, length - 1))
    kinds = ((1.0, 0.4, 2.0), (strength, 0.7, 0.0), (0.0, 1.0, -2.0))
    logits = [s * known + rng.normal(size=known.shape) * n + up for s, n, up in kinds]
    # The ablated run is sure of a wrong token: its loss is the largest, whatever is the target.
    wrong = (tokens[:, 1:] + rng.integers(1, vocabulary, size=rows.shape)) % vocabulary
    logits[2][rows, places, wrong] += 8
    if cost is not None:
        logits[2] = logits[0] - cost * (known > 0)
    for run, more in zip(logits, (0, 1, 3), strict=True):
        run[:, :, 0] += (far + more) * bool(far)
        run[:, -1] = rng.normal(size=run[:, -1].shape) * (1 + 3 * more)
        run[~real] = rng.normal(size=(int((~real).sum()), vocabulary)) * (1 + 3 * more)
    given = (_tensor(logits[i], **kind) for i in order)
    return (*given, torch.tensor(tokens), torch.tensor(real))


# --- 06.6 best_feature(fit, fit_gold, judge, judge_gold) ---------------------------------------


def halves(rng, sizes, more=3, order=None, silent=False, without="", steps=0, scale=1.0, **kind):
    """Two halves of a text: sparse activations, and which tokens belong to a concept.

    One feature follows the concept, with false alarms; the next is right wherever it speaks, on
    half of the concept, and on all of it when judged; a third is loud on few tokens. ``order`` puts
    (copies of) the features elsewhere, of which only the first speaks when judged; ``silent`` keeps
    all silent there; ``without`` names a half that has no token of the concept; ``steps`` rounds
    activations to so many steps a unit.
    """
    tokens, features = sizes
    good = int(rng.integers(features))

    def half(size, found, alarms, precise):
        mixed, n = rng.permutation(size), max(1, size // 4)
        values = rng.uniform(0.1, 0.9, size=(size, features)) * (rng.random((size, features)) < 0.4)
        if features > 2:
            values[mixed[: round(0.4 * n)], (good + 2) % features] = rng.uniform(8, 9)
        if features > 1:
            strong = mixed[: round(precise * n)]
            values[strong, (good + 1) % features] = rng.uniform(1, 3, size=len(strong))
        for first, share, low in ((0, found, 1.0), (n, alarms, 1.2)):
            tokens = mixed[first : first + int(np.ceil(share * n))]
            values[tokens, good] = rng.uniform(low, low + 1.6, size=len(tokens))
        return values, np.isin(np.arange(size), mixed[:n])

    fit, gold = half(tokens, 0.9, 0.7, 0.5)
    judge, truth = half(max(1, tokens + more), 0.7, 0.8, 1.0)
    if order is not None:
        fit, judge = fit[:, order], judge[:, order]
        judge[:, [source in order[:place] for place, source in enumerate(order)]] = 0
    if steps:
        fit, judge = np.round(fit * steps) / steps, np.round(judge * steps) / steps
    gold, truth = gold & (without != "fit"), truth & (without != "judge")
    if not (fit > 0).any():
        fit[0, 0] = 1.0
    fit, judge = _tensor(fit * scale, **kind), _tensor(judge * scale * (not silent), **kind)
    return fit, torch.tensor(gold), judge, torch.tensor(truth)


# --- 06.7 steer(x, encode, decode, feature, value, random) -------------------------------------


def _coder(rng, width, features, dtype):
    """Two halves of an autoencoder whose features are silent below a level of 0.5."""
    encoder, shift = rng.normal(size=(width, features)), rng.normal(size=features)
    decoder = rng.normal(size=(features, width)) * rng.uniform(0.5, 2, (features, 1))
    bias = rng.normal(size=width) * 2

    def encode(x):
        level = x.detach().double().numpy() @ encoder + shift
        return _tensor(level * (level > 0.5), dtype)

    def decode(f):
        return _tensor(f.detach().double().numpy() @ decoder + bias, dtype)

    return encode, decode


def steering(rng, sizes, times, place=None, length=3.0, scale=1.0, **kind):
    """States, an autoencoder, a feature, an activation for it, and a random direction.

    The feature is off on one token, weak on another and strong on a third, or it is number
    ``place``. It gets ``times`` its largest activation. One token is only ever strong.
    """
    tokens, width, features = sizes
    while True:
        encode, decode = _coder(rng, width, features, kind.get("dtype", "float64"))
        x = _tensor(rng.normal(size=(tokens, width)) * 2 * scale, **kind)
        f = encode(x).double().numpy()
        some = ((f > 0) & (f < 0.4 * f.max(0))).any(0) & (f == 0).any(0)
        if tokens < 3:
            some = f.max(0) > 0
        if some.any():
            break
    feature = int(rng.choice(np.flatnonzero(some))) if place is None else place
    largest = float(f[:, feature].max()) if 0 <= feature < features else 1.0
    random = _tensor(rng.normal(size=width) * length).to(x.dtype)
    return x, encode, decode, feature, times * largest, random
