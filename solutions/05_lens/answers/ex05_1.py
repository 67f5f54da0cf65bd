"""05.1, the logit lens: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.1", "the logit lens")
right, other, mistake = ANSWERS.right, ANSWERS.other, ANSWERS.mistake


def root(square, eps, d):
    return (square + eps).sqrt()


@right
def logit_lens(x, gain, bias, unembed, norm="layer", eps=1e-5, axis=-1, scale=root, kept=False):
    """Mistakes change the last three; ``kept`` leaves the mean in the numerator."""
    if norm not in ("layer", "rms"):
        raise ValueError(f"norm must be layer or rms, not {norm!r}")
    x = x.double()
    moved = x - x.mean(axis, keepdim=True) if norm == "layer" else x
    square = (moved * moved).mean(axis, keepdim=True)
    normed = gain * (x if kept else moved) / scale(square, eps, len(gain))
    if bias is not None:
        normed = normed + bias
    return normed @ unembed.double().T


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
    return lambda x, g, b, *more: logit_lens(x, gain(g), None if b is None else bias(b, g), *more)


OWN = "The lens reads every state as if it were the last one: its norm is recomputed."
# fmt: off
ANSWERS.variants(logit_lens, {
    "You did not subtract the mean of the state, which a LayerNorm does.": {"kept": True},
    "You did not divide by the scale of the state.": {"scale": lambda s, e, d: 1.0},
    "You divided by d - 1. A norm uses the mean of the squares: divide by d (correction=0).":
        {"scale": lambda s, e, d: root(s * d / (d - 1), e, d)},
    "You added eps to the deviation. It stands below the root.":
        {"scale": lambda s, e, d: s.sqrt() + e},
    "You divided by the length of the vector. The scale is the root of the MEAN square.":
        {"scale": lambda s, e, d: root(s * d, e, d)},
    "You divided by the variance; divide by its square root.": {"scale": lambda s, e, d: s + e},
    "Mean and variance are taken over the tokens. Take them over the d dimensions of each state.":
        {"axis": 0},
    f"Mean and variance are taken over the whole tensor. {OWN}": {"axis": None},
    f"One scale serves all states. {OWN}": {"scale": lambda s, e, d: root(s[-1:], e, d)},
})
for message, *wrong in (
    ("The eps that is given is not in your scale: the root of the variance plus eps.",
     lambda *given: logit_lens(*given[:5], 0.0), lambda *given: logit_lens(*given[:5], 1e-5)),
    ("The gain of the final norm is missing.", end_with(gain=torch.ones_like)),
    ("The bias of the final norm is missing.", end_with(bias=lambda b, g: 0 * b)),
    ("The bias is added after the gain, and is not multiplied by it.", end_with(bias=torch.mul)),
    ("You multiplied by 1 + gain; the gain itself is the factor.", end_with(gain=lambda g: 1 + g)),
    ("You multiplied the state by the unembedding without the final norm, which brings all states "
     "to one length.", lambda x, g, b, u, *more: x.double() @ u.double().T),
    ("You used an RMSNorm where a LayerNorm was asked for: subtract the mean of the state.",
     lambda x, g, b, u, norm="", *eps: logit_lens(x, g, b, u, "rms", *eps)),
    ("You subtracted the mean. An RMSNorm does not.",
     lambda x, g, b, u, norm="", *eps: logit_lens(x, g, b, u, "layer", *eps)),
    ("You divided by the standard deviation. An RMSNorm divides by the root of the mean square.",
     lambda x, g, b, u, n="", *eps: logit_lens(x, g, b, u, "layer", *eps, kept=n == "rms")),
    ("You applied the norm twice.", lambda x, g, b, u, *more:
     logit_lens(logit_lens(x, g, b, torch.eye(len(g)), *more), g, b, u, *more)),
    ("You returned probabilities; return the logits.", lambda *x: logit_lens(*x).softmax(-1)),
    ("You returned log-probabilities; return logits.", lambda *x: logit_lens(*x).log_softmax(-1)),
):
    mistake(message, *wrong)
# fmt: on


def draw(shape, vocabulary, *more, note="", refused=False, **options):
    options |= {"shape": shape, "vocabulary": vocabulary, "more": list(more)}
    return Draw("lens", options, note, 1e-8, refused=refused)


RULE = "The rule: unembed @ (gain * (x - mean) / root + bias) in float64; in an RMSNorm mean = 0."
GRAD = draw([3, 8], 5, "layer", 1e-5, grad=True, note="Parameters of a model require gradients.")
LAYER = [draw([4, 6], 9, "layer", 0.4), draw([5, 3], 12, "layer", 0.1), GRAD]
ANSWERS.part("LayerNorm", 4, LAYER, RULE)
RMS = [draw([4, 5], 7, "rms", 0.3, bias=bias) for bias in (False, True)]
ANSWERS.part("RMSNorm", 4, [*RMS, draw([2, 7], 4, "rms", 1e-6)], RULE)
ANY = "States may have any leading axes, also none."
FAR = "States with large means, or of another type: float64 before the mean is subtracted."
MANY = [
    *(draw([*axes, 6], 5, "layer", 0.2, note=ANY) for axes in ([], [1], [2, 3], [2, 1, 4])),
    *(draw([*axes, 6], 5, "rms", 0.2, note=ANY) for axes in ([], [2, 1, 4])),
    draw([3, 6], 5, size=1e-3, note="Without `norm` and `eps`: a LayerNorm with eps 1e-5."),
    draw([3, 6], 5, "rms", size=1e-5, note="Without `eps` it is 1e-5, also in an RMSNorm."),
    draw([3, 6], 5, size=1e5, turned=True, note="Long states that are not contiguous."),
    draw([3, 6], 4, flat=True, note="A state of equal numbers: only eps is below the root."),
    draw([3, 1], 4, note="Streams of a single dimension."),
    *(draw([2, 6], 5, offset=m, dtype=d, note=FAR) for m, d in ((3e4, "float32"), (99, "float16"))),
    draw([2, 6], 5, "rms", dtype="bfloat16", end="float32", note=FAR),
]
ANSWERS.part("any shape, defaults, precision", 2, MANY, RULE, ANY, held_out=True)
UNKNOWN = "An unknown norm must raise ValueError, or a typing mistake gives another model's logits."
BAD = [draw([2, 4], 3, n, note=UNKNOWN, refused=True) for n in ("batch", "", "LayerNorm")]
BAD += [draw([2, 4], 3, bias=False, note="With bias=None a LayerNorm adds nothing either.")]
ANSWERS.part("norms that exist", 2, BAD, RULE, held_out=True)
