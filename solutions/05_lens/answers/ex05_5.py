"""05.5, direct logit attribution: answers, mistakes and draws (instructors only)."""

from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.5", "direct logit attribution")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def spread(x, eps):
    """The scale of a state: the root of its variance and eps."""
    return (x.var(-1, correction=0) + eps).sqrt()


def of_sum(x, eps):
    return spread(x.sum(0), eps)


def centred(x):
    return x - x.mean(1, keepdim=True)


def attribution(
    parts, gain, bias, unembed, word, foil=None, eps=1e-5, scale=of_sum, centre=centred,
    contrast=torch.sub, weigh=torch.mul,
):  # fmt: skip
    """Shares and constant; the last four are what mistakes replace."""
    if word == foil:
        raise ValueError("word and foil are the same token: every share would be 0")
    x, row = parts.double(), unembed[word].double()
    if foil is not None:
        row = contrast(row, unembed[foil].double())
    shares = centre(x) @ weigh(gain.double(), row) / scale(x, eps)
    return shares, bias.double().dot(row).item()


@right
def direct_attribution(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return attribution(parts, gain, bias, unembed, word, foil, eps)


@other
def direct_by_einsum(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    if foil is not None and foil == word:
        raise ValueError("the same word")
    x, g, b, rows = (t.detach().double().numpy() for t in (parts, gain, bias, unembed))
    row = rows[word] if foil is None else rows[word] - rows[foil]
    direction = g * row - (g * row).mean()
    last = x.sum(0)
    return np.einsum("pd,d->p", x, direction) / np.sqrt(last.var() + eps), b @ row


@other
def direct_by_jacobian(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    if word == foil:
        raise ValueError
    parts = parts.double()
    last = parts.sum(0)
    scale = (last.var(unbiased=False) + eps) ** 0.5
    jacobian = (torch.eye(len(last)).double() - 1 / len(last)) * gain.double()[:, None] / scale
    rows = unembed.double()[[word] if foil is None else [word, foil]]
    both, constants = parts @ jacobian.T @ rows.T, rows @ bias.double()
    if foil is None:
        return both[:, 0].tolist(), constants[0].item()
    return (both[:, 0] - both[:, 1]).tolist(), (constants[0] - constants[1]).item()


def reading(states, gain, bias, unembed, word, foil=None, eps=1e-5):
    """The logit, or the difference of two, that the lens reads from each of some states."""
    x = centred(states.double()) / spread(states.double(), eps).unsqueeze(1)
    logits = (x * gain.double() + bias.double()) @ unembed.double().T
    return logits[:, word] - (0 if foil is None else logits[:, foil])


def after(compute):
    """``compute(shares, constant)`` in place of what is right."""
    return lambda *given: compute(*attribution(*given))


def with_shares(compute):
    """``compute(parts, constant, *more)`` in place of the shares."""

    def answer(parts, *more):
        constant = attribution(parts, *more)[1]
        return compute(parts.double(), constant, *more), constant

    return answer


def steps(parts, start, *more):
    read = reading(parts.cumsum(0), *more)
    return torch.diff(read, prepend=torch.tensor([start]).double())


def erased(parts, constant, *more):
    last = parts.sum(0, keepdim=True)
    return reading(last, *more) - reading(last - parts, *more)


mistake(
    "Each part is normalised by its own scale. The model divides the SUM of the parts by one "
    "scale: keep that one for all parts, or the shares do not sum to the logit.",
    partial(attribution, scale=spread),
    with_shares(lambda parts, constant, *more: reading(parts, *more)),
)
mistake(
    "You took differences of the lens after each part. Its norm is recomputed each time, so that "
    "one part changes the shares of all others: hold the scale of the last state.",
    with_shares(lambda parts, constant, *more: steps(parts, 0.0, *more)),
    with_shares(steps),
)
mistake(
    "You measured what is lost without a part, with the norm recomputed. The share is what the "
    "part adds at the fixed scale.",
    with_shares(erased),
)
EPS = "The eps that is given is not in your scale: the root of the variance plus eps."
GAIN = "The gain of the final norm is missing."
ANSWERS.variants(
    attribution,
    {
        "The mean of each part is still in it. A LayerNorm subtracts the mean of the sum, and with "
        "it the mean of every part.": {"centre": lambda x: x},
        "The mean was taken over the parts. The norm subtracts the mean over the d dimensions (the "
        "last axis).": {"centre": lambda x: x - x.mean(0)},
        "You did not divide by the scale of the last state.": {"scale": lambda x, eps: 1.0},
        GAIN: {"weigh": lambda gain, row: row},
        "Neither norm nor scale: this is the part times the unembedding.": {
            "centre": lambda x: x, "weigh": lambda gain, row: row, "scale": lambda x, eps: 1.0,
        },
        "You divided by the variance; divide by its root.": {
            "scale": lambda x, eps: of_sum(x, eps).square()
        },
        "You divided by the length of the last state; the scale is the root of the MEAN "
        "square.": {"scale": lambda x, eps: of_sum(x, eps) * x.shape[1] ** 0.5},
        "You divided by d - 1 in the variance; a norm divides by d.": {
            "scale": lambda x, eps: (x.sum(0).var() + eps).sqrt()
        },
        "eps stands outside the root.": {"scale": lambda x, eps: of_sum(x, 0) + eps},
        "The mean of the last state is still in your scale: it is a standard deviation.": {
            "scale": lambda x, eps: (x.sum(0).square().mean() + eps).sqrt()
        },
        "You took the mean of the parts' own scales; the scale is that of their sum.": {
            "scale": lambda x, eps: spread(x, eps).mean()
        },
        "The scale is that of the last part; it is that of the sum of all parts.": {
            "scale": lambda x, eps: spread(x[-1], eps)
        },
        "The scale is that of the mean of the parts; it is that of their sum.": {
            "scale": lambda x, eps: spread(x.mean(0), eps)
        },
        "You added the two rows of the unembedding; the contrast is their difference.": {
            "contrast": torch.add
        },
    },
)  # fmt: skip
mistake(
    EPS,
    partial(attribution, scale=lambda x, eps: of_sum(x, 0)),
    partial(attribution, scale=lambda x, eps: of_sum(x, 1e-5)),
)
mistake(
    "The constant (the bias of the norm through the unembedding) is in the shares. It belongs to "
    "no part; return it apart.",
    after(lambda shares, constant: (shares + constant, constant)),
    after(lambda shares, constant: (shares + constant / len(shares), constant)),
    after(lambda shares, constant: (shares + constant / len(shares), 0.0)),
)
for message, compute in {
    "You took absolute values; shares are signed.": lambda shares, c: (shares.abs(), c),
    "You normalised the shares so that they sum to 1; they are in units of the logit.": (
        lambda shares, c: (shares / shares.sum(), c)
    ),
    "You divided by the number of parts.": lambda shares, c: (shares / len(shares), c),
    "The constant is missing: the bias of the norm, through the unembedding.": (
        lambda shares, c: (shares, 0.0)
    ),
    "The sign of the constant is turned round.": lambda shares, c: (shares, -c),
    "You returned the whole logit; the constant is what no part brings.": (
        lambda shares, c: (shares, c + shares.sum().item())
    ),
    "The constant counts once, not once for each part.": (
        lambda shares, c: (shares, c * len(shares))
    ),
}.items():
    mistake(message, after(compute))


def with_foil(compute):
    """``compute(given, foil, eps)`` where a foil is given, and what is right where it is not."""

    def answer(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
        given = parts, gain, bias, unembed, word
        return attribution(*given, foil, eps) if foil is None else compute(given, foil, eps)

    return answer


FOIL = "The foil makes no difference to your shares: subtract its row of the unembedding."
mistake(
    "The constant holds the word's own bias only; subtract the foil's.",
    with_foil(lambda given, foil, eps: (attribution(*given, foil, eps)[0], attribution(*given)[1])),
)
mistake(
    FOIL,
    with_foil(lambda given, foil, eps: attribution(*given, None, eps)),
    with_foil(
        lambda given, foil, eps: (
            attribution(*given, None, eps)[0], attribution(*given, foil, eps)[1],
        )
    ),
)  # fmt: skip
mistake(
    "These are shares in the foil's logit alone.",
    with_foil(
        lambda given, foil, eps: (
            attribution(*given[:4], foil, None, eps)[0], attribution(*given, foil, eps)[1],
        )
    ),
)  # fmt: skip
mistake(
    "The sign is turned round: positive shares speak for the word.",
    with_foil(lambda given, foil, eps: attribution(*given[:4], foil, given[4], eps)),
    with_foil(
        lambda given, foil, eps: (
            -attribution(*given, foil, eps)[0], attribution(*given, foil, eps)[1],
        )
    ),
)  # fmt: skip


def with_constant(change):
    """The constant of another bias: ``change(bias, gain, scale)``."""

    def answer(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
        right = attribution(parts, gain, bias, unembed, word, foil, eps)
        other = change(bias.double(), gain.double(), of_sum(parts.double(), eps))
        return right[0], attribution(parts, gain, other, unembed, word, foil, eps)[1]

    return answer


for message, change in {
    "The constant is not divided by the scale: the bias is added after the division.": (
        lambda bias, gain, scale: bias / scale
    ),
    "The gain does not touch the bias.": lambda bias, gain, scale: bias * gain,
    "You centred the bias: the norm subtracts the mean of the state, not that of its bias.": (
        lambda bias, gain, scale: bias - bias.mean()
    ),
}.items():
    mistake(message, with_constant(change))


@mistake(
    "Token id 0 is a word like any other: only foil=None means that there is no foil (`if foil:` "
    "is false for 0).",
    held_out=True,
)
def no_foil_zero(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    return attribution(parts, gain, bias, unembed, word, foil or None, eps)


@witness("float64")
def in_single_precision(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    if word == foil:
        raise ValueError
    x, gain, row = parts.float(), gain.float(), unembed[word].float()
    row = row if foil is None else row - unembed[foil].float()
    return centred(x) @ (gain * row) / of_sum(x, eps), float(bias.float() @ row)


def draw(parts, width, vocabulary, *more, note="", **options):
    options |= {"parts": parts, "width": width, "vocabulary": vocabulary, "more": list(more)}
    return Draw("parts", options, note, 1e-8)


RULE = (
    "The rule: part . centred(gain * row) / scale of the sum of all parts; the constant is bias . "
    "row. Shares and constant sum to the logit. All in float64."
)
HINT = "One share for each part."
sizes = ((5, 6, 8, 0.5), (3, 9, 5, 1e-5), (7, 4, 11, 1.0))
ANSWERS.part("word against foil", 5, [draw(*size, contrast=True) for size in sizes], RULE, HINT)
ALONE = [
    draw(4, 5, 6, None, 0.3),
    draw(2, 7, 9, None, 1e-5, grad=True, note="Parameters of a model may require gradients."),
    draw(3, 5, 6, note="Without foil and eps: the word's own logit, eps 1e-5."),
]
ANSWERS.part("one word, and the constant", 5, ALONE, RULE, HINT)
LARGE = "Parts with large means, or of another type: convert to float64 first."
SUMS = [
    draw(4, 6, 5, 3, word=0, note="Word 0 against another."),
    draw(4, 6, 5, 0, word=3, note="Another word against word 0."),
    draw(4, 6, 5, word=0, note="Word 0 without a foil."),
    draw(1, 6, 5, contrast=True, note="A single part is the whole state."),
    draw(4, 6, 5, contrast=True, zero=1, note="A part of zeros gets 0."),
    draw(5, 6, 5, contrast=True, cancel=True, note="Two parts that cancel have opposite shares."),
    draw(4, 6, 5, contrast=True, size=1e-4, note="Small parts: eps is most of the variance."),
    draw(4, 6, 5, contrast=True, size=1e5, turned=True),
    draw(3, 1, 5, contrast=True, note="Streams of a single dimension have no share in anything."),
]
ANSWERS.part("sums, word 0", 3, SUMS, RULE, HINT, held_out=True)
SAME = [
    Draw(
        "parts",
        {"parts": 3, "width": 5, "vocabulary": 4, "word": word, "more": [word]},
        "Word and foil are the same token, so every share is 0 whatever the model does: raise "
        "ValueError.",
        refused=True,
    )
    for word in (0, 2)
]
TYPES = [
    draw(3, 5, 4, contrast=True, offset=2e4, dtype="float32", end="float32", note=LARGE),
    draw(3, 5, 4, contrast=True, dtype="bfloat16", end="float32", note=LARGE),
    draw(3, 5, 4, contrast=True, offset=100, dtype="float16", end="float16", note=LARGE),
]
ANSWERS.part("a contrast with itself", 2, [*SAME, *TYPES], RULE, HINT, held_out=True)
