"""Inputs of assignment 05: states, the end of a model, logits, and vectors that an MLP adds."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.results import Wrong

# --- shared --------------------------------------------------------------------------------------


def tensor(array, dtype="float64", grad=False, turned=False):
    """A tensor of this type; ``turned`` stores the last two axes the other way round."""
    table = torch.tensor(array).to(getattr(torch, dtype))
    if turned and table.ndim > 1:
        table = table.transpose(-1, -2).contiguous().transpose(-1, -2)
    return table.requires_grad_(grad)


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


def lens(
    rng, shape, vocabulary, more=(), bias=True, offset=0.0, size=1.0, flat=False,
    dtype="float64", end="float64", grad=False, turned=False,
):  # fmt: skip
    """States and the end of a model; ``more`` holds norm and eps. ``flat``: state 0 is constant."""
    states = size * some_states(rng, *shape) + offset
    if flat:
        states[0] = 3.0
    gain, shift, unembed = end_of_model(rng, shape[-1], vocabulary)
    gain, shift = (tensor(vector, end, grad) for vector in (gain, shift))
    states, unembed = tensor(states, dtype, False, turned), tensor(unembed, end, grad, turned)
    return states, gain, shift if bias else None, unembed, *more


# --- 05.2 leading_states(logits [S, V], word) ----------------------------------------------------


def tied_logits(rng, states, vocabulary, dtype="float64"):
    """Logits in steps of one half: at state 1 the word has equals, at state 2 two equals above."""
    logits = np.round(rng.normal(size=(states, vocabulary)) * 2) / 2
    word = int(rng.integers(2, vocabulary - 1))
    logits[1, [word, word - 1, word + 1]] = 0.5
    logits[2] = np.minimum(logits[2], 1.0)
    logits[2, [word, 0, word + 1]] = 1.5, 2.0, 2.0
    return tensor(logits, dtype), word


def leading_logits(rng, pattern, vocabulary, word=None, gap=1.0, level=0.0, **form):
    """Logits [S, V] in which the word leads (x), shares the lead (=) or comes second (-)."""
    logits = rng.normal(size=(len(pattern), vocabulary)) + level
    word = int(rng.integers(1, vocabulary - 1)) if word is None else word
    for row, mark in zip(logits, pattern, strict=True):
        row[word] = row.max() + gap * rng.uniform(0.2, 2)
        if mark != "x":
            row[(word + 1) % vocabulary] = row[word] + gap * rng.uniform(0.2, 2) * (mark == "-")
    return tensor(logits, **form), word


def far_logits(rng, states, vocabulary, ruled_out=0, word=None):
    """Logits hundreds of units apart; ``ruled_out`` words of each state are at -inf."""
    logits = np.stack([-900.0 * rng.permutation(vocabulary) for _ in range(states)])
    for row in logits:
        row[rng.choice(vocabulary, size=ruled_out, replace=False)] = -np.inf
    return tensor(logits), int(rng.integers(vocabulary)) if word is None else word


def ranks_alone(call, *given):
    """The ranks that are returned, without the two states."""
    return _values(call(*given), 3)[0]


def places_alone(call, *given):
    """The first and the settled state that are returned, without the ranks."""
    return _values(call(*given), 3)[1:]


# --- 05.3 lens_divergence(readings [S, T, V], final [T, V]) --------------------------------------


def readings(rng, states, tokens, vocabulary, out=False, same=None, near=0.0, level=0.0, **form):
    """Readings that come closer to the final logits, each row with a level of its own.

    ``out`` rules out a word in each of the two, ``same`` is a state that predicts what the model
    does, ``near`` is the size of the differences where all states nearly agree with the model.
    """
    final = rng.normal(size=(tokens, vocabulary)) * 1.5
    noise = rng.normal(size=(states, tokens, vocabulary))
    read = final + noise * np.linspace(2, 0.5, states)[:, None, None]
    read += rng.normal(size=vocabulary) * np.linspace(1.5, 0.2, states)[:, None, None]
    if near:
        read = final + near * noise
    read += rng.uniform(1, 4, size=(states, tokens, 1)) + level
    if out:
        final[:, 1] -= 3000
        read[:, :, -1] -= 2000
    if same is not None:
        read[same] = final + rng.normal(size=(tokens, 1))
    final += level - rng.uniform(1, 4, size=(tokens, 1))
    return tensor(read, **form), tensor(final, **form)


# --- 05.4 remove_and_control(states [N, d], direction [d], noise [R, d], strength) ---------------


def removal(
    rng, states, width, draws, more=(), offset=0.0, size=1.0, long=1.0, loud=1.0, silent=None,
    dtype="float64", **form,
):  # fmt: skip
    """States with components of both signs, none of them small; noise of many lengths.

    ``long`` and ``loud`` are factors of direction and noise, ``silent`` is a row of noise of zeros.
    """
    x = some_states(rng, states, width)
    direction = rng.normal(size=width)
    direction *= rng.uniform(2, 3) / np.linalg.norm(direction)
    wanted = rng.uniform(0.5, 1.5, size=states) * np.where(np.arange(states) % 2, 1, -1)
    x += (wanted - x @ direction / (direction @ direction))[:, None] * direction
    noise = rng.normal(size=(draws, width)) * rng.uniform(0.2, 4, size=(draws, 1)) * loud
    if silent is not None:
        noise[silent] = 0
    x = tensor(size * x + offset, dtype, **form)
    return x, tensor(long * direction, dtype, **form), tensor(noise, **form), *more


# --- 05.5 direct_attribution(parts [P, d], gain, bias, unembed, word, foil, eps) -----------------


def parts(
    rng, parts, width, vocabulary, word=None, more=(), contrast=False, offset=0.0, size=2.5,
    zero=None, cancel=False, dtype="float64", end="float64", grad=False, turned=False,
):  # fmt: skip
    """Parts with means of their own, the end of a model, word and foil; ``more``: foil and eps.

    With ``contrast`` word and foil are drawn, neither is 0, and ``more`` holds eps alone. ``zero``
    is a part that wrote nothing; with ``cancel`` the last two parts cancel.
    """
    x = size * (some_states(rng, parts, width) + rng.normal(size=(parts, 1))) + offset
    if zero is not None:
        x[zero] = 0
    if cancel:
        x[-1] = -x[-2]
    gain, bias, unembed = end_of_model(rng, width, vocabulary)
    gain, bias = (tensor(vector, end, grad) for vector in (gain, bias))
    words = [int(i) for i in rng.choice(np.arange(1, vocabulary), 2, replace=False)]
    words = words if contrast else [words[0] if word is None else word]
    unembed = tensor(unembed, end, grad, turned)
    return tensor(x, dtype, False, turned), gain, bias, unembed, *words, *more


# --- 05.6 topic_purity(values [n, d], gain, unembed [V, d], kinds, k) ----------------------------


def values(
    rng, vectors, width, vocabulary, k, topics=3, none=0.0, kinds=None, offset=0.0, size=1.0,
    dtype="float64", end="float64", grad=False, turned=False,
):  # fmt: skip
    """Value vectors and rows of an unembedding with large means, and the topics of the words.

    ``topics`` is how many there are, or a list of their numbers; a share ``none`` of the words has
    no topic, but each topic has a word. ``kinds`` are topics to be dealt to the words.
    """
    v = size * (rng.normal(size=(vectors, width)) + 1.5 * rng.normal(size=(vectors, 1))) + offset
    gain = rng.uniform(0.2, 2.5, size=width) * rng.choice([-1, 1], size=width)
    unembed = rng.normal(size=(vocabulary, width)) + 0.7 * rng.normal(size=(vocabulary, 1))
    names = np.arange(topics) if isinstance(topics, int) else np.array(topics)
    if kinds is None:
        kinds = rng.choice(names, size=vocabulary)
        kinds[rng.random(vocabulary) < none] = -1
        kinds[rng.choice(vocabulary, size=len(names), replace=False)] = names
    v, gain = tensor(v, dtype, grad, turned), tensor(gain, end, grad)
    return v, gain, tensor(unembed, end, grad, turned), rng.permutation(kinds).tolist(), k


# --- 05.7 fit_translation(states [N, d], last [N, d], ridge) -------------------------------------


def translation(rng, tokens, width, more=(), noise=0.5, offset=0.0, size=1.0, still=False, **form):
    """States far from 0 and of unequal variances, and an affine map of them plus noise.

    ``more`` holds the ridge. With ``still`` the states already are the last ones.
    """
    mix = rng.normal(size=(width, width)) / np.sqrt(width) + np.eye(width)
    states = rng.normal(size=(tokens, width)) @ mix * rng.uniform(0.6, 1.6, size=width)
    states += rng.normal(size=width) * 2
    weight = rng.normal(size=(width, width)) / np.sqrt(width)
    last = states + states @ weight.T + rng.normal(size=width)
    last += noise * rng.normal(size=(tokens, width))
    states = size * states + offset
    last = states if still else size * last + offset
    return tensor(states, **form), tensor(last, **form), *more
