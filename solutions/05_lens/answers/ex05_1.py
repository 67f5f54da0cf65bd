"""05.1, the logit lens: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch
from torch.nn import functional as F

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.1", "the logit lens")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def root(square, eps, d):
    return (square + eps).sqrt()


def lens(
    states, gain, bias, unembed, norm="layer", eps=1e-5, axis=-1, scale=root, kept=False
):  # fmt: skip
    """The logits; ``kept`` leaves the mean in the numerator."""
    if norm not in ("layer", "rms"):
        raise ValueError(f"norm must be layer or rms, not {norm!r}")
    x = states.double()
    moved = x - x.mean(axis, keepdim=True) if norm == "layer" else x
    square = (moved * moved).mean(axis, keepdim=True)
    normed = gain.double() * (x if kept else moved) / scale(square, eps, x.shape[-1])
    if bias is not None:
        normed = normed + bias.double()
    return normed @ unembed.double().T


@right
def logit_lens(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return lens(states, gain, bias, unembed, norm, eps)


@other
def lens_functional(states, gain, bias, unembed, norm="layer", eps=1e-5):
    if norm == "layer":
        x = F.layer_norm(states.double(), gain.shape, None, None, eps)
    elif norm == "rms":
        x = F.rms_norm(states.double(), gain.shape, None, eps)
    else:
        raise ValueError(norm)
    logits = F.linear(x, unembed.double() * gain.double())
    return logits if bias is None else logits + unembed.double() @ bias.double()


@other
def lens_numpy(states, gain, bias, unembed, norm="layer", eps=1e-5):
    if norm not in {"layer", "rms"}:
        raise ValueError("unknown norm")
    x, g, u = (t.detach().double().numpy() for t in (states, gain, unembed))
    x = x - (x.mean(-1, keepdims=True) if norm == "layer" else 0)
    x = x * g / np.sqrt((x**2).mean(-1, keepdims=True) + eps)
    return (x + (0 if bias is None else bias.detach().double().numpy())) @ u.T


def end_with(gain=lambda g: g, bias=lambda b, g: b):
    """The lens with another gain or bias at the end of the model."""
    return lambda x, g, b, u, *more: lens(x, gain(g), None if b is None else bias(b, g), u, *more)


AXIS = "Each state is normalised by itself, over its d dimensions (the last axis)."
OWN = "The lens reads every state as if it were the last one: its norm is recomputed."
ANSWERS.variants(
    lens,
    {
        "You did not subtract the mean of the state, which a LayerNorm does.": {"kept": True},
        "You did not divide by the scale of the state.": {"scale": lambda s, e, d: 1.0},
        "You divided by d - 1. A norm uses the mean of the squares: divide by d "
        "(unbiased=False, or correction=0).": {
            "scale": lambda s, e, d: root(s * d / (d - 1), e, d)
        },
        "You added eps to the deviation. It stands below the root: sqrt(variance + eps).": {
            "scale": lambda s, e, d: s.sqrt() + e
        },
        "You divided by the length of the vector. The scale is the root of the MEAN square, so "
        "that it does not grow with d.": {"scale": lambda s, e, d: root(s * d, e, d)},
        "You divided by the variance; divide by its square root.": {"scale": lambda s, e, d: s + e},
        f"Mean and variance are taken over the tokens. {AXIS}": {"axis": 0},
        f"Mean and variance are taken over the whole tensor. {OWN}": {"axis": None},
        f"One scale serves all states. {OWN}": {"scale": lambda s, e, d: root(s[-1:], e, d)},
    },
)
mistake(
    "The eps that is given is not in your scale: the root of the variance plus eps.",
    lambda *given: lens(*given[:5], 0.0),
    lambda *given: lens(*given[:5], 1e-5),
)
mistake("The gain of the final norm is missing.", end_with(gain=torch.ones_like))
mistake("The bias of the final norm is missing.", end_with(bias=lambda b, g: 0 * b))
mistake(
    "The bias is added after the gain, and is not multiplied by it.",
    end_with(bias=lambda b, g: b * g),
)
mistake(
    "You multiplied by 1 + gain; the gain itself is the factor.", end_with(gain=lambda g: 1 + g)
)
mistake(
    "You multiplied the state by the unembedding without the final norm. The model never does "
    "that: the norm brings every state to one length, and its gain weighs the dimensions.",
    lambda states, gain, bias, unembed, *more: states.double() @ unembed.double().T,
)
mistake(
    "You used an RMSNorm where a LayerNorm was asked for: subtract the mean of the state.",
    lambda x, g, b, u, norm="layer", *eps: lens(x, g, b, u, "rms", *eps),
)
mistake(
    "You subtracted the mean. An RMSNorm does not.",
    lambda x, g, b, u, norm="layer", *eps: lens(x, g, b, u, "layer", *eps),
)
mistake(
    "You divided by the standard deviation. An RMSNorm divides by the root of the mean square, "
    "without subtracting the mean.",
    lambda x, g, b, u, norm="layer", eps=1e-5: lens(x, g, b, u, "layer", eps, kept=norm == "rms"),
)
mistake(
    "You applied the norm twice.",
    lambda x, g, b, u, *more: lens(lens(x, g, b, torch.eye(len(g)), *more), g, b, u, *more),
)
mistake("You returned probabilities; return the logits.", lambda *given: lens(*given).softmax(-1))
mistake(
    "You returned log-probabilities; return the logits.",
    lambda *given: lens(*given).log_softmax(-1),
)


@mistake("Without `norm` the norm is a LayerNorm.", held_out=True)
def rms_by_default(states, gain, bias, unembed, norm="rms", eps=1e-5):
    return lens(states, gain, bias, unembed, norm, eps)


@mistake("Without `eps` it is 1e-5, and small states show it.", held_out=True)
def no_eps_by_default(states, gain, bias, unembed, norm="layer", eps=0.0):
    return lens(states, gain, bias, unembed, norm, eps)


@witness("The rule")
def size_of_the_gain(states, gain, bias, unembed, norm="layer", eps=1e-5):
    return logit_lens(states, gain.abs(), bias, unembed, norm, eps)


@witness("float64")
def in_single_precision(states, gain, bias, unembed, norm="layer", eps=1e-5):
    bias = None if bias is None else bias.float()
    return logit_lens(states.float(), gain.float(), bias, unembed.float(), norm, eps).float()


def draw(shape, vocabulary, *more, note="", tolerance=1e-8, **options):
    options |= {"shape": shape, "vocabulary": vocabulary, "more": list(more)}
    return Draw("lens", options, note, tolerance)


RULE = (
    "The rule: unembed @ (gain * (x - mean) / sqrt(variance + eps) + bias), each state by itself; "
    "an RMSNorm subtracts no mean, in neither place. All in float64."
)
HINT = "One row of V logits for each state: the norm of the state times unembed transposed."
LAYER = [
    draw([4, 6], 9, "layer", 0.4),
    draw([3, 8], 5, "layer", 1e-5, grad=True, note="Parameters of a model may require gradients."),
    draw([5, 3], 12, "layer", 0.1),
]
ANSWERS.part("LayerNorm", 4, LAYER, RULE, HINT)
RMS = [
    draw([tokens, width], vocabulary, "rms", eps, bias=bias)
    for tokens, width, vocabulary, eps in ((4, 5, 7, 0.3), (2, 7, 4, 1e-6))
    for bias in (False, True)
]
ANSWERS.part("RMSNorm", 4, RMS, RULE, HINT)
ANY = "States may have any leading axes, also none."
FAR = "States whose mean is much larger than their differences: float64 before it is subtracted."
MANY = [
    *(
        draw(shape, 5, norm, 0.2, note=ANY)
        for shape in ([6], [1, 6], [2, 3, 6], [2, 1, 4, 6])
        for norm in ("layer", "rms")
    ),
    draw([3, 6], 5, size=1e-3, note="Without `norm` and `eps`: a LayerNorm with eps 1e-5."),
    draw([3, 6], 5, "rms", size=1e-5, note="Without `eps` it is 1e-5, also in an RMSNorm."),
    draw([3, 6], 5, size=1e5, turned=True),
    draw([3, 6], 4, flat=True, note="A state of equal numbers: only eps is below the root."),
    draw([3, 1], 4, note="Streams of a single dimension."),
    draw([2, 6], 5, offset=3e4, dtype="float32", end="float32", note=FAR),
    draw([2, 6], 5, offset=100, dtype="float16", end="float16", note=FAR),
    draw([2, 6], 5, "rms", dtype="bfloat16", end="float32", note="States in bfloat16."),
]
ANSWERS.part("any shape, defaults, precision", 2, MANY, RULE, ANY, held_out=True)
BAD = [
    Draw(
        "lens",
        {"shape": [2, 4], "vocabulary": 3, "more": [norm]},
        refused=True,
        note=f"norm={norm!r} must raise ValueError, or a typing mistake gives the logits of "
        "another model.",
    )
    for norm in ("batch", "", "LayerNorm")
]
NO_BIAS = draw([2, 4], 3, bias=False, note="With bias=None nothing is added in a LayerNorm either.")
ANSWERS.part("norms that exist", 2, [*BAD, NO_BIAS], RULE, held_out=True)
