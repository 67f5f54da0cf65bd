"""05.5, direct logit attribution: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.5", "direct logit attribution")
right, other, mistake = ANSWERS.right, ANSWERS.other, ANSWERS.mistake


def spread(x, eps):
    """The scale of a state: the root of its variance and eps."""
    return (x.var(-1, correction=0) + eps).sqrt()


def of_sum(x, eps):
    return (x.sum(0).var(correction=0) + eps).sqrt()


def centred(x):
    return x - x.mean(1, keepdim=True)


@right
def direct_attribution(
    x, gain, bias, unembed, word, foil=None, eps=1e-5, scale=of_sum, centre=centred, mix=torch.sub
):
    """Mistakes change the last three."""
    if word == foil:
        raise ValueError("word and foil are the same token: every share would be 0")
    x, row = x.double(), unembed[word].double()
    if foil is not None:
        row = mix(row, unembed[foil])
    return centre(x) @ (gain * row) / scale(x, eps), bias.double().dot(row).item()


@other
def direct_by_einsum(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    if foil is not None and foil == word:
        raise ValueError("the same word")
    x, g, b, rows = (t.detach().double().numpy() for t in (parts, gain, bias, unembed))
    row = rows[word] if foil is None else rows[word] - rows[foil]
    scale = np.sqrt(x.sum(0).var() + eps)
    return np.einsum("pd,d->p", x, g * row - (g * row).mean()) / scale, b @ row


def reading(states, gain, bias, unembed, word, foil=None, eps=1e-5):
    """The logit, or the difference of two, that the lens reads from each of some states."""
    x = centred(states.double()) / spread(states.double(), eps).unsqueeze(1)
    logits = (x * gain.double() + bias.double()) @ unembed.double().T
    return logits[:, word] - (0 if foil is None else logits[:, foil])


def of_two(for_shares, for_constant):
    """The shares of one answer and the constant of another."""
    return lambda *given: (for_shares(*given)[0], for_constant(*given)[1])


# fmt: off
for message, *computes in (
    ("You took differences of the lens after each part. Its norm is recomputed each time: hold the "
     "scale of the last state.",
     lambda x, *end: torch.diff(reading(x.cumsum(0), *end), prepend=reading(0 * x[:1], *end)),
     lambda x, *end: torch.diff(reading(x.cumsum(0), *end), prepend=0 * x[0, :1])),
    ("You measured what is lost without a part, with the norm recomputed. The share is what the "
     "part adds at the fixed scale.",
     lambda x, *end: reading(x.sum(0, keepdim=True), *end) - reading(x.sum(0) - x, *end)),
    ("Each part is normalised by its own scale. The model divides the SUM of the parts by one.",
     reading, lambda x, *end: reading(x, *end) - reading(0 * x, *end)),
):
    wrong = (lambda x, *end, f=compute: (f(x.double(), *end), 0) for compute in computes)
    mistake(message, *(of_two(shares, direct_attribution) for shares in wrong))
ANSWERS.variants(direct_attribution, {
    "The mean of each part is still in it; a LayerNorm subtracts it.": {"centre": lambda x: x},
    "The mean was taken over the parts, not over d.": {"centre": lambda x: x - x.mean(0)},
    "You added the two rows of the unembedding; the contrast is a difference.": {"mix": torch.add},
})
SCALE = "The scale is the root of (the variance of the sum of all parts + eps)."
for message, scale in (
    ("You did not divide by the scale.", lambda x, eps: 1.0),
    ("You divided by the variance, not its root.", lambda x, eps: of_sum(x, eps).square()),
    ("You divided by the length of a state.", lambda x, eps: of_sum(x, eps) * x.shape[1] ** 0.5),
    ("You divided by d - 1; a norm divides by d.", lambda x, eps: (x.sum(0).var() + eps).sqrt()),
    ("eps stands outside the root.", lambda x, eps: of_sum(x, 0) + eps),
    ("The eps that is given is not in your scale.", lambda x, eps: of_sum(x, 0)),
    ("The eps that is given is not in your scale.", lambda x, eps: of_sum(x, 1e-5)),
    ("The mean is still in your scale.", lambda x, eps: (x.sum(0).square().mean() + eps).sqrt()),
    ("You took the mean of the parts' own scales.", lambda x, eps: spread(x, eps).mean()),
    ("The scale is that of the last part.", lambda x, eps: spread(x[-1], eps)),
    ("The scale is that of the mean of the parts.", lambda x, eps: spread(x.mean(0), eps)),
):
    ANSWERS.variants(direct_attribution, {f"{message} {SCALE}": {"scale": scale}})
for message, *computes in (
    ("The constant (the bias of the norm through the unembedding) is in the shares. It belongs to "
     "no part; return it apart.", lambda s, c: (s + c, c), lambda s, c: (s + c / len(s), c),
     lambda s, c: (s + c / len(s), 0.0)),
    ("You took absolute values; shares are signed.", lambda s, c: (s.abs(), c)),
    ("You normalised the shares so that they sum to 1.", lambda s, c: (s / s.sum(), c)),
    ("You divided by the number of parts.", lambda s, c: (s / len(s), c)),
    ("The constant is missing: the bias through the unembedding.", lambda s, c: (s, 0.0)),
    ("The sign of the constant is turned round.", lambda s, c: (s, -c)),
    ("Your constant is the whole logit.", lambda s, c: (s, c + s.sum().item())),
    ("The constant counts once, not once for each part.", lambda s, c: (s, c * len(s))),
):
    mistake(message, *(lambda *x, f=compute: f(*direct_attribution(*x)) for compute in computes))


def with_foil(compute):
    """``compute(at, word, foil)`` where a foil is given; ``at`` attributes the logit of words."""
    def answer(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
        at = lambda w, f=None: direct_attribution(parts, gain, bias, unembed, w, f, eps)  # noqa: E731
        return at(word) if foil is None else compute(at, word, foil)

    return answer


for message, *computes in (
    ("The constant holds the word's own bias only; subtract the foil's.",
     lambda at, word, foil: (at(word, foil)[0], at(word)[1])),
    ("The foil makes no difference to your shares: subtract its row of the unembedding.",
     lambda at, word, foil: at(word), lambda at, word, foil: (at(word)[0], at(word, foil)[1])),
    ("These are shares in the foil's logit alone.",
     lambda at, word, foil: (at(foil)[0], at(word, foil)[1])),
    ("The sign is turned round: positive shares speak for the word.",
     lambda at, word, foil: at(foil, word),
     lambda at, word, foil: (at(foil, word)[0], at(word, foil)[1])),
):
    mistake(message, *map(with_foil, computes))


def of_bias(change):
    """The constant of another bias."""
    wrong = lambda x, g, b, *more: direct_attribution(x, g, change(b, g), *more)  # noqa: E731
    return of_two(direct_attribution, wrong)


for message, wrong in {
    "The gain of the final norm is missing.":
        lambda x, g, *more: direct_attribution(x, torch.ones_like(g), *more),
    "Neither norm nor scale: this is the part times the unembedding.":
        lambda x, g, *more: direct_attribution(
            x, torch.ones_like(g), *more, scale=lambda x, eps: 1.0, centre=lambda x: x),
    "The gain does not touch the bias.": of_bias(torch.mul),
    "You centred the bias; only the state is centred.": of_bias(lambda b, g: b - b.mean()),
}.items():
    mistake(message, wrong)
# fmt: on


@mistake("The constant is not divided by the scale: the bias is added after the division.")
def constant_over_scale(parts, gain, bias, unembed, word, foil=None, eps=1e-5):
    shares, constant = direct_attribution(parts, gain, bias, unembed, word, foil, eps)
    return shares, constant / of_sum(parts.double(), eps).item()


def draw(parts, width, vocabulary, *more, note="", refused=False, **options):
    options |= {"parts": parts, "width": width, "vocabulary": vocabulary, "more": list(more)}
    return Draw("parts", options, note, 1e-8, refused=refused)


RULE = "Shares: part . centred(gain * row) / scale of the sum; constant: bias . row. In float64."
CONTRAST = [draw(5, 6, 8, 0.5), draw(3, 9, 5, 1e-5), draw(7, 4, 11, 1.0)]
ANSWERS.part("word against foil", 5, CONTRAST, RULE)
ALONE = [draw(4, 5, 6, None, 0.3, words=["any"]), draw(2, 7, 9, words=["any"], grad=True)]
ANSWERS.part("one word, and the constant", 5, ALONE, RULE)
ZERO = "Token id 0 is a word like any other; only foil=None means that there is no foil."
SUMS = [
    *(draw(4, 6, 5, words=words, note=ZERO) for words in ([0, 3], [3, 0], [0])),
    draw(1, 6, 5, note="A single part is the whole state."),
    draw(5, 6, 5, zero=1, note="A part of zeros gets 0, and two that cancel cancel here."),
    draw(4, 6, 5, size=1e-4, note="Small parts: eps is most of the variance."),
    draw(4, 6, 5, size=1e5, turned=True, note="Large parts that are not contiguous."),
    draw(3, 1, 5, note="Streams of a single dimension have no share in anything."),
]
ANSWERS.part("sums, word 0", 3, SUMS, RULE, held_out=True)
SAME = "Word and foil are the same token, so every share is 0: raise ValueError."
LARGE = "Parts with large means, or of another type: convert to float64 first."
TYPES = [
    *(draw(3, 5, 4, words=[w, w], note=SAME, refused=True) for w in (0, 2)),
    *(draw(3, 5, 4, offset=m, dtype=d, note=LARGE) for m, d in ((2e4, "float32"), (99, "float16"))),
    *(draw(3, 5, 4, words=w, dtype="bfloat16", end="float32", note=LARGE) for w in ([], [1])),
]
ANSWERS.part("a contrast with itself", 2, TYPES, RULE, held_out=True)
