"""Checks of 05.1: the logit lens, and what all checks of the unit share (see unit05.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_vector, compare
from course_lib.checks.results import Wrong


def as_array(answer, shape, what, hint=""):
    """The answer as a finite float64 array of this shape, or :class:`Wrong`."""
    if isinstance(answer, (list, tuple)) and len(shape) > 1:
        if len(answer) != shape[0]:
            raise Wrong(f"{what} must have shape {list(shape)}; yours has {len(answer)} rows.")
        return np.stack([as_array(row, shape[1:], what, hint) for row in answer])
    if isinstance(answer, (torch.Tensor, np.ndarray)) and len(shape) != 1:
        if tuple(answer.shape) != tuple(shape):
            found = list(map(int, answer.shape))
            raise Wrong(f"{what} must have shape {list(shape)}; yours has {found}. {hint}".strip())
        return as_vector(answer.reshape(-1), int(np.prod(shape)), what).reshape(shape)
    if len(shape) != 1:
        raise Wrong(f"{what} must be an array of shape {list(shape)}. {hint}".strip())
    return as_vector(answer, shape[0], what, hint)


def as_pair(answer, what):
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Wrong(f"Return two things: {what}.")
    return answer


def tensors(*arrays):
    return [None if array is None else torch.tensor(array) for array in arrays]


# --- 05.1 logit_lens(states [..., d], gain [d], bias [d], unembed [V, d], norm, eps) -> [..., V] --

NO_NORM = (
    "You multiplied the state by the unembedding without the final norm. The model never does "
    "that: the norm brings every state to one length, and its gain weighs the dimensions."
)
ACROSS = (
    "Mean and variance are taken over the tokens. Each state is normalised by itself, over its d "
    "dimensions (the last axis)."
)
FROZEN = (
    "One scale serves all states. The lens reads every state as if it were the last one: its norm "
    "is recomputed."
)

EPS = "The eps that is given is not in your scale: the root of the variance plus eps."


def end_of_model(rng, width, vocabulary):
    """Gain [d] of both signs, bias [d] and unembedding [V, d] of a small model."""
    gain = rng.uniform(0.4, 2, size=width) * rng.choice([-1, 1], size=width)
    return gain, rng.normal(size=width), rng.normal(size=(vocabulary, width))


def some_states(rng, *shape):
    """States whose means and lengths differ much from one to the next."""
    size = rng.uniform(0.5, 3, size=(*shape[:-1], 1))
    return size * (rng.normal(size=shape) + rng.uniform(0.5, 1.5, size=size.shape))


def normed(x, gain, bias, norm, eps, slip=""):
    """The final norm in numpy; ``slip`` names a mistake to make on the way."""
    axis = {"tokens": 0, "everything": None}.get(slip, -1)
    keep = axis is not None
    mean = x.mean(axis, keepdims=keep)
    if norm == "rms":
        centred, spread = x, (x**2).mean(axis, keepdims=keep)
    else:
        centred = x - mean
        spread = (centred**2).mean(axis, keepdims=keep)
    if slip == "mean kept":
        centred = x
    if slip == "rms" or (slip == "centred" and norm == "rms"):
        centred = x if slip == "rms" else x - mean
        spread = (centred**2).mean(-1, keepdims=True)
    if slip == "deviation":
        spread = x.var(-1, keepdims=True)
    if slip == "last":
        spread = np.broadcast_to(spread[-1:], spread.shape)
    if slip == "sample":
        spread = spread * x.shape[-1] / (x.shape[-1] - 1)
    eps = {"no eps": 0.0, "usual eps": 1e-5}.get(slip, eps)
    scale = np.sqrt(spread + eps)
    if slip == "eps outside":
        scale = np.sqrt(spread) + eps
    if slip == "length":
        scale = np.sqrt(spread * x.shape[-1] + eps)
    if slip == "variance":
        scale = spread + eps
    plain = centred if slip == "no scale" else centred / scale
    if slip == "bias first":
        return (plain + bias) * gain
    weight = {"no gain": 1.0, "gain plus one": 1 + gain}.get(slip, gain)
    return plain * weight + (0.0 if slip == "no bias" or bias is None else bias)


LENS_SLIPS = {
    "mean kept": "You did not subtract the mean of the state, which a LayerNorm does.",
    "rms": "You used an RMSNorm where a LayerNorm was asked for: subtract the mean of the state.",
    "no scale": "You did not divide by the scale of the state.",
    "no gain": "The gain of the final norm is missing.",
    "no bias": "The bias of the final norm is missing.",
    "bias first": "The bias is added after the gain, and is not multiplied by it.",
    "gain plus one": "You multiplied by 1 + gain; the gain itself is the factor.",
    "sample": "You divided by d - 1. A norm uses the mean of the squares: divide by d "
    "(unbiased=False, or correction=0).",
    "no eps": EPS,
    "usual eps": EPS + " ",
    "eps outside": "You added eps to the deviation. It stands below the root: sqrt(variance + "
    "eps).",
    "length": "You divided by the length of the vector. The scale is the root of the MEAN square, "
    "so that it does not grow with d.",
    "variance": "You divided by the variance; divide by its square root.",
    "tokens": ACROSS,
    "everything": "Mean and variance are taken over the whole tensor. " + FROZEN,
    "last": FROZEN,
}
RMS_SLIPS = {
    "centred": "You subtracted the mean. An RMSNorm does not.",
    "deviation": "You divided by the standard deviation. An RMSNorm divides by the root of the "
    "mean square, without subtracting the mean.",
}


def lens_compare(student, states, gain, bias, unembed, norm, eps):
    got = student(*tensors(states, gain, bias, unembed), norm, eps)
    shape = (*states.shape[:-1], len(unembed))
    hint = "One row of V logits for each state: the norm of the state times unembed transposed."
    got = as_array(got, shape, "the logits", hint)
    right = normed(states, gain, bias, norm, eps) @ unembed.T
    slips = {**LENS_SLIPS, **(RMS_SLIPS if norm == "rms" else {})}
    if bias is None:
        slips = {name: text for name, text in slips.items() if "bias" not in name}
    mistakes = {
        text: normed(states, gain, bias, norm, eps, slip) @ unembed.T
        for slip, text in slips.items()
    }
    twice = normed(normed(states, gain, bias, norm, eps), gain, bias, norm, eps) @ unembed.T
    logs = right - np.logaddexp.reduce(right, -1, keepdims=True)
    mistakes = {
        NO_NORM: states @ unembed.T,
        "You applied the norm twice.": twice,
        "You returned probabilities; return the logits.": np.exp(logs),
        "You returned log-probabilities; return the logits.": logs,
        **mistakes,
    }
    otherwise = "Wrong logits: unembed @ (gain * (x - mean) / sqrt(variance + eps) + bias)."
    if norm == "rms":
        otherwise = "Wrong logits: unembed @ (gain * x / sqrt(mean of squares + eps) + bias)."
    compare(got, right, mistakes, otherwise)


def lens_layer_norm(student, rng):
    for tokens, width, vocabulary, eps in ((4, 6, 9, 0.4), (3, 8, 5, 1e-5), (5, 3, 12, 0.1)):
        end = end_of_model(rng, width, vocabulary)
        lens_compare(student, some_states(rng, tokens, width), *end, "layer", eps)


def lens_rms_norm(student, rng):
    for tokens, width, vocabulary, eps in ((4, 5, 7, 0.3), (2, 7, 4, 1e-6)):
        gain, bias, unembed = end_of_model(rng, width, vocabulary)
        states = some_states(rng, tokens, width)
        lens_compare(student, states, gain, None, unembed, "rms", eps)
        lens_compare(student, states, gain, bias, unembed, "rms", eps)
