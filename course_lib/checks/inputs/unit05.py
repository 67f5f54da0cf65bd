"""Inputs of assignment 05: states, the end of a model, logits, and vectors that an MLP adds."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.results import Wrong

# --- shared --------------------------------------------------------------------------------------


def typed(first, *others, dtype="float64", end=None, grad=False, turned=False):
    """Tensors, the first of type ``dtype`` and the others of type ``end`` (None: the same).

    ``turned`` stores the last two axes the other way round, so that no table is contiguous.
    """
    tensors = [torch.tensor(first).to(getattr(torch, dtype))]
    tensors += [torch.tensor(x).to(getattr(torch, end or dtype)) for x in others]
    if turned:
        tensors = [x.mT.contiguous().mT if x.ndim > 1 else x for x in tensors]
    return [x.requires_grad_(grad) for x in tensors]


def end_of_model(rng, width, vocabulary):
    """Gain [d] of both signs, bias [d] and unembedding [V, d] of a small model."""
    gain = rng.uniform(0.4, 2, size=width) * rng.choice([-1, 1], size=width)
    return gain, rng.normal(size=width), rng.normal(size=(vocabulary, width))


def some_states(rng, *shape):
    """States whose means and lengths differ much from one to the next."""
    size = rng.uniform(0.5, 3, size=(*shape[:-1], 1))
    return size * (rng.normal(size=shape) + rng.uniform(0.5, 1.5, size=size.shape))


def _values(answer, count):
    if not isinstance(answer, (tuple, list)) or len(answer) != count:
        raise Wrong(f"Return {count} values; yours is of type {type(answer).__name__}.")
    return tuple(answer)


def first_of_two(call, *given):
    """The first of two values that are returned."""
    return _values(call(*given), 2)[0]


def second_of_two(call, *given):
    """The second of two values that are returned."""
    return _values(call(*given), 2)[1]


# --- 05.1 logit_lens(states [..., d], gain, bias, unembed [V, d], norm, eps) ---------------------


def lens(rng, shape, vocabulary, more=(), bias=True, offset=0, size=1, flat=False, **form):
    """States and the end of a model; ``more`` holds norm and eps. ``flat``: state 0 is constant."""
    states = size * some_states(rng, *shape) + offset
    if flat:
        states[0] = 3
    states, gain, shift, rows = typed(states, *end_of_model(rng, shape[-1], vocabulary), **form)
    return states, gain, shift if bias else None, rows, *more


# --- 05.2 leading_states(logits [S, V], word) ----------------------------------------------------


def tied_logits(rng, states, vocabulary, grad=False):
    """Logits in steps of one half: at state 1 the word has equals, at state 2 two equals above."""
    logits = np.round(rng.normal(size=(states, vocabulary)) * 2) / 2
    word = int(rng.integers(2, vocabulary - 1))
    logits[1, [word, word - 1, word + 1]] = 0.5
    logits[2] = np.minimum(logits[2], 1.0)
    logits[2, [word, 0, word + 1]] = 1.5, 2.0, 2.0
    return *typed(logits, grad=grad), word


def leading_logits(rng, pattern, vocabulary, word=None, gap=1, level=0, **form):
    """Logits [S, V] in which the word leads (x), shares the lead (=) or comes second (-)."""
    logits = rng.normal(size=(len(pattern), vocabulary)) + level
    word = int(rng.integers(1, vocabulary - 1)) if word is None else word
    for row, mark in zip(logits, pattern, strict=True):
        row[word] = row.max() + gap * rng.uniform(0.2, 2)
        if mark != "x":
            row[(word + 1) % vocabulary] = row[word] + gap * rng.uniform(0.2, 2) * (mark == "-")
    return *typed(logits, **form), word


def far_logits(rng, states, vocabulary, word, ruled_out=0):
    """Logits hundreds of units apart; ``ruled_out`` words of each state are at -inf."""
    logits = np.stack([-900.0 * rng.permutation(vocabulary) for _ in range(states)])
    for row in logits:
        row[rng.choice(vocabulary, size=ruled_out, replace=False)] = -np.inf
    return *typed(logits), word


def ranks_alone(call, *given):
    """The ranks that are returned, without the two states."""
    return _values(call(*given), 3)[0]


def places_alone(call, *given):
    """The first and the settled state that are returned, without the ranks."""
    return _values(call(*given), 3)[1:]


# --- 05.3 lens_divergence(readings [S, T, V], final [T, V]) --------------------------------------


def readings(rng, states, tokens, vocabulary, out=False, same=None, near=0, level=0, **form):
    """Readings that come closer to the final logits, each row with a level of its own.

    ``out`` rules out a word in each of the two, ``same`` is a state that predicts what the model
    does, ``near`` is the size of the differences where all states nearly agree with the model.
    """
    final = rng.normal(size=(tokens, vocabulary)) * 1.5
    noise = rng.normal(size=(states, tokens, vocabulary))
    closer = noise * np.linspace(2, 0.5, states)[:, None, None]
    closer += rng.normal(size=vocabulary) * np.linspace(1.5, 0.2, states)[:, None, None]
    read = final + (near * noise if near else closer)
    read += rng.uniform(1, 4, size=(states, tokens, 1)) + level
    if out:
        final[:, 1] -= 3000
        read[:, :, -1] -= 2000
    if same is not None:
        read[same] = final + rng.normal(size=(tokens, 1))
    return typed(read, final + level - rng.uniform(1, 4, size=(tokens, 1)), **form)


# --- 05.4 remove_and_control(states [N, d], direction [d], noise [R, d], strength) ---------------


def removal(
    rng, states, width, draws, more=(), offset=0, size=1, long=1, loud=1, silent=None, **form
):
    """States with components of both signs, none of them small; noise of many lengths.

    ``long`` and ``loud`` are factors of direction and noise, ``silent`` is a row of noise of zeros.
    """
    x, direction = some_states(rng, states, width), rng.normal(size=width)
    direction *= rng.uniform(2, 3) / np.linalg.norm(direction)
    wanted = rng.uniform(0.5, 1.5, size=states) * np.where(np.arange(states) % 2, 1, -1)
    x += (wanted - x @ direction / (direction @ direction))[:, None] * direction
    noise = rng.normal(size=(draws, width)) * rng.uniform(0.2, 4, size=(draws, 1)) * loud
    if silent is not None:
        noise[silent] = 0
    return *typed(size * x + offset, long * direction, noise, **form), *more


# --- 05.5 direct_attribution(parts [P, d], gain, bias, unembed, word, foil, eps) -----------------


def parts(rng, parts, width, vocabulary, words=(), more=(), offset=0, size=2.5, zero=None, **form):
    """Parts with means of their own, the end of a model, word and foil; ``more`` holds eps.

    Without ``words`` both are drawn, neither is 0. ``zero`` is a part that wrote nothing; then the
    last two parts cancel.
    """
    x = size * (some_states(rng, parts, width) + rng.normal(size=(parts, 1))) + offset
    if zero is not None:
        x[zero], x[-1] = 0, -x[-2]
    drawn = [int(i) for i in rng.choice(np.arange(1, vocabulary), 2, replace=False)]
    words = [drawn[0] if word == "any" else word for word in words] or drawn
    return *typed(x, *end_of_model(rng, width, vocabulary), **form), *words, *more


# --- 05.6 topic_purity(values [n, d], gain, unembed [V, d], kinds, k) ----------------------------


def values(
    rng, vectors, width, vocabulary, k, topics=(0, 1, 2, 3), none=0, kinds=(), offset=0, size=1,
    twins=False, **form,
):  # fmt: skip
    """Value vectors and rows of an unembedding with large means, and the topics of the words.

    A share ``none`` of the words has no topic, but each topic has a word; or ``kinds`` are topics
    to be dealt to the words. With ``twins`` the rows come in pairs that hardly differ.
    """
    v = size * (rng.normal(size=(vectors, width)) + 1.5 * rng.normal(size=(vectors, 1))) + offset
    gain = rng.uniform(0.2, 2.5, size=width) * rng.choice([-1, 1], size=width)
    unembed = rng.normal(size=(vocabulary, width)) + 0.7 * rng.normal(size=(vocabulary, 1))
    if twins:
        unembed[1::2] = unembed[::2] * (1 + 1e-9)
    drawn = np.where(rng.random(vocabulary) < none, -1, rng.choice(topics, size=vocabulary))
    drawn[: len(topics)] = topics
    return *typed(v, gain, unembed, **form), rng.permutation(kinds or drawn).tolist(), k


# --- 05.7 fit_translation(states [N, d], last [N, d], ridge) -------------------------------------


def translation(rng, tokens, width, more=(), noise=0.5, offset=0, size=1, still=False, **form):
    """States far from 0 and of unequal variances, and an affine map of them plus noise.

    ``more`` holds the ridge. With ``still`` the states already are the last ones.
    """
    mix = rng.normal(size=(width, width)) / np.sqrt(width) + np.eye(width)
    states = rng.normal(size=(tokens, width)) @ mix * rng.uniform(0.6, 1.6, size=width)
    states += rng.normal(size=width) * 2
    last = states + states @ rng.normal(size=(width, width)) / np.sqrt(width)
    last += rng.normal(size=width) + noise * rng.normal(size=(tokens, width))
    last = states if still else last
    return *typed(size * states + offset, size * last + offset, **form), *more
