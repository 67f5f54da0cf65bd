"""Checks of 05.5: direct logit attribution (see unit05.py)."""

from __future__ import annotations

import numpy as np

from course_lib.checks.calling import as_number, as_vector, compare
from course_lib.checks.unit05_reading import (
    EPS,
    as_pair,
    end_of_model,
    normed,
    some_states,
    tensors,
)

# --- 05.5 direct_attribution(parts [P, d], gain, bias, unembed, word, foil, eps) -----------------
# -> (shares [P], constant)

RESCALED = (
    "Each part is normalised by its own scale. The model divides the SUM of the parts by one "
    "scale: keep that one for all parts, or the shares do not sum to the logit."
)
STEPS = (
    "You took differences of the lens after each part. Its norm is recomputed each time, so that "
    "one part changes the shares of all others: hold the scale of the last state."
)
NOT_CENTRED = (
    "The mean of each part is still in it. A LayerNorm subtracts the mean of the sum, and with it "
    "the mean of every part."
)
IN_SHARES = (
    "The constant (the bias of the norm through the unembedding) is in the shares. It belongs to "
    "no part; return it apart."
)


def some_parts(rng, parts, width):
    """Parts [P, d] with means of their own, that add to a state of a scale far from 1."""
    x = some_states(rng, parts, width) + rng.normal(size=(parts, 1))
    return x * 2.5


def direct_answer(student, parts, end, word, foil, eps):
    answer = student(*tensors(parts, *end), word, foil, eps)
    shares, constant = as_pair(answer, "the shares of the parts and the constant")
    hint = "One share for each part."
    return as_vector(shares, len(parts), "the shares", hint), as_number(constant, "the constant")


def direct_right(parts, end, word, foil, eps):
    """Shares [P] and constant."""
    gain, bias, unembed = end
    row = unembed[word] - (0 if foil is None else unembed[foil])
    centred = parts - parts.mean(1, keepdims=True)
    scale = np.sqrt(parts.sum(0).var() + eps)
    return centred @ (gain * row) / scale, float(bias @ row)


def direct_mistakes(parts, end, word, foil, eps):
    gain, bias, unembed = end
    last, row = parts.sum(0), unembed[word] - (0 if foil is None else unembed[foil])
    right, constant = direct_right(parts, end, word, foil, eps)
    scale = np.sqrt(last.var() + eps)
    centred = parts - parts.mean(1, keepdims=True)

    def read(states, slip=""):
        return normed(states, gain, bias, "layer", eps, slip) @ row

    heads = np.cumsum(parts, 0)
    steps = np.diff(read(heads), prepend=0.0)
    own = read(parts)
    erased = read(last) - read(last - parts)
    mistakes = {
        RESCALED: own - constant,
        RESCALED + " ": own,
        STEPS: steps,
        STEPS + " ": np.r_[steps[0] - constant, steps[1:]],
        "You measured what is lost without a part, with the norm recomputed. The share is what the "
        "part adds at the fixed scale.": erased,
        NOT_CENTRED: parts @ (gain * row) / scale,
        "You did not divide by the scale of the last state.": centred @ (gain * row),
        "The gain of the final norm is missing.": centred @ row / scale,
        "Neither norm nor scale: this is the part times the unembedding.": parts @ row,
        IN_SHARES: right + constant,
        IN_SHARES + " ": right + constant / len(parts),
        "You took absolute values; shares are signed.": abs(right),
        "You normalised the shares so that they sum to 1; they are in units of the logit.": right
        / right.sum(),
        "You divided by the number of parts.": right / len(parts),
        "You divided by the variance; divide by its root.": right / scale,
        "You divided by the length of the last state; the scale is the root of the MEAN "
        "square.": right / np.sqrt(len(last)),
        "You divided by d - 1 in the variance; a norm divides by d.": right
        * scale
        / np.sqrt(last.var(ddof=1) + eps),
        EPS: right * scale / last.std(),
        "eps stands outside the root.": right * scale / (last.std() + eps),
        EPS + " ": right * scale / np.sqrt(last.var() + 1e-5),
        "The mean of the last state is still in your scale: it is a standard deviation.": right
        * scale
        / np.sqrt((last**2).mean() + eps),
        "You took the mean of the parts' own scales; the scale is that of their sum.": right
        * scale
        / np.sqrt(parts.var(1) + eps).mean(),
        "The scale is that of the last part; it is that of the sum of all parts.": right
        * scale
        / np.sqrt(parts[-1].var() + eps),
        "The scale is that of the mean of the parts; it is that of their sum.": right
        * scale
        / np.sqrt((last / len(parts)).var() + eps),
        "The mean was taken over the parts. The norm subtracts the mean over the d dimensions (the "
        "last axis).": (parts - parts.mean(0)) @ (gain * row) / scale,
    }
    if foil is not None:
        one = centred @ (gain * unembed[word]) / scale
        mistakes |= {
            "The sign is turned round: positive shares speak for the word.": -right,
            "The foil makes no difference to your shares: subtract its row of the "
            "unembedding.": one,
            "These are shares in the foil's logit alone.": one - right,
            "You added the two rows of the unembedding; the contrast is their difference.": 2 * one
            - right,
        }
    return right, constant, mistakes


def direct_compare(student, parts, end, word, foil, eps):
    shares, constant = direct_answer(student, parts, end, word, foil, eps)
    right, right_constant, mistakes = direct_mistakes(parts, end, word, foil, eps)
    otherwise = (
        "Wrong shares: part . centred(gain * row) / scale of the sum of all parts. Shares and "
        "constant must sum to the logit."
    )
    compare(shares, right, mistakes, otherwise)
    gain, bias, unembed = end
    row = unembed[word] - (0 if foil is None else unembed[foil])
    scale = np.sqrt(parts.sum(0).var() + eps)
    slips = {
        "The constant is missing: the bias of the norm, through the unembedding.": 0.0,
        "The constant is not divided by the scale: the bias is added after the division.": (
            right_constant / scale
        ),
        "The gain does not touch the bias.": float((gain * bias) @ row),
        "The sign of the constant is turned round.": -right_constant,
        "You returned the whole logit; the constant is what no part brings.": right_constant
        + right.sum(),
        "The constant holds the word's own bias only; subtract the foil's.": float(
            bias @ unembed[word]
        ),
        "You centred the bias: the norm subtracts the mean of the state, not that of its "
        "bias.": float((bias - bias.mean()) @ row),
        "The constant counts once, not once for each part.": right_constant * len(parts),
    }
    compare(constant, right_constant, slips, "The constant is bias . row of the unembedding.")


def direct_contrast(student, rng):
    for parts, width, vocabulary, eps in ((5, 6, 8, 0.5), (3, 9, 5, 1e-5), (7, 4, 11, 1.0)):
        end = end_of_model(rng, width, vocabulary)
        word, foil = (int(i) for i in rng.choice(np.arange(1, vocabulary), 2, replace=False))
        direct_compare(student, some_parts(rng, parts, width), end, word, foil, eps)


def direct_constant(student, rng):
    for parts, width, vocabulary, eps in ((4, 5, 6, 0.3), (2, 7, 9, 1e-5)):
        end = end_of_model(rng, width, vocabulary)
        word = int(rng.integers(1, vocabulary))
        x = some_parts(rng, parts, width)
        direct_compare(student, x, end, word, None, eps)
        answer = as_pair(student(*tensors(x, *end), word), "the shares and the constant")
        by_default = as_vector(answer[0], parts, "the shares")
        right, _ = direct_right(x, end, word, None, 1e-5)
        compare(by_default, right, {}, "Without foil and eps: the word's own logit, eps 1e-5.")
