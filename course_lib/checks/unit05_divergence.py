"""Checks of 05.3: how far a lens is off, and its bias (see unit05.py)."""

from __future__ import annotations

import numpy as np

from course_lib.checks.calling import as_vector, compare
from course_lib.checks.unit05_reading import as_pair, tensors

# --- 05.3 lens_divergence(readings [S, T, V], final [T, V]) -> (kl [S], bias [S]) ----------------

BITS = "You used logarithms to base 2. Use the natural one: nats."
TURNED = (
    "The two distributions are exchanged. KL(model || lens) weighs by the model's probabilities: "
    "what does someone lose who expects the lens and meets the model?"
)


def log_softmax(x):
    return x - np.logaddexp.reduce(x, -1, keepdims=True)


def kl(p, q):
    """KL of distributions given as logs, over the last axis."""
    return (np.exp(p) * (p - q)).sum(-1)


def some_readings(rng, states, tokens, vocabulary):
    """Readings [S, T, V] that come closer to the final logits [T, V], each with a level."""
    final = rng.normal(size=(tokens, vocabulary)) * 1.5
    noise = rng.normal(size=(states, tokens, vocabulary))
    readings = final + noise * np.linspace(2, 0.5, states)[:, None, None]
    readings += rng.normal(size=vocabulary) * np.linspace(1.5, 0.2, states)[:, None, None]
    levels = rng.uniform(1, 4, size=(states, tokens, 1))
    return readings + levels, final - rng.uniform(1, 4, size=(tokens, 1))


def mean_logs(x):
    """Logs of the mean over tokens (axis -2) of the distributions of logits x."""
    return np.logaddexp.reduce(log_softmax(x), -2) - np.log(x.shape[-2])


def divergence_answer(student, readings, final):
    kls, bias = as_pair(student(*tensors(readings, final)), "the KL and the bias of each state")
    hint = "One number for each state."
    return tuple(
        as_vector(part, len(readings), name, hint)
        for part, name in ((kls, "the KL"), (bias, "the bias"))
    )


def kl_mistakes(readings, final):
    p, q = log_softmax(final), log_softmax(readings)
    right = kl(p, q).mean(-1)
    middle = np.log((np.exp(p) + np.exp(q)) / 2)
    over_tokens = [x - np.logaddexp.reduce(x, -2, keepdims=True) for x in (final, readings)]
    return right, {
        TURNED: kl(q, p).mean(-1),
        "The sign is turned round: a KL is never negative.": -right,
        BITS: right / np.log(2),
        "You added the tokens up; take the mean over the tokens.": right * len(final),
        "You took the mean over the vocabulary; a KL is a sum over all words.": right
        / final.shape[-1],
        "This is the cross-entropy: subtract the entropy of the model (weigh the difference of the "
        "two logs).": -(np.exp(p) * q).sum(-1).mean(-1),
        "You used the logits as if they were log-probabilities. Normalise both first.": (
            np.exp(p) * (final - readings)
        )
        .sum(-1)
        .mean(-1),
        "You normalised over the tokens. Each row is one distribution over the vocabulary: use the "
        "last axis.": (np.exp(over_tokens[0]) * (over_tokens[0] - over_tokens[1])).sum(-1).mean(-1),
        "You read the last token only; take the mean over all tokens.": kl(p, q)[:, -1],
        "You averaged the logits over the tokens before comparing. Compare token by token, then "
        "average.": kl(log_softmax(final.mean(0)), log_softmax(readings.mean(1))),
        "You averaged the distributions before comparing: that is the bias. Compare token by "
        "token, then average.": kl(mean_logs(final), mean_logs(readings)),
        "You left out the weights: each word's difference of logs is weighed by the model's "
        "probability.": (p - q).sum(-1).mean(-1),
        "This is the mean of both directions.": (kl(p, q) + kl(q, p)).mean(-1) / 2,
        "This is the sum of both directions.": (kl(p, q) + kl(q, p)).mean(-1),
        "This is the Jensen-Shannon divergence.": (kl(p, middle) + kl(q, middle)).mean(-1) / 2,
        "You summed absolute differences of probabilities; KL weighs differences of logs.": abs(
            np.exp(p) - np.exp(q)
        )
        .sum(-1)
        .mean(-1),
        "You compared each state with the last reading; compare with `final`.": kl(
            q[-1], q
        ).mean(-1),
    }  # fmt: skip


def divergence_kl(student, rng):
    for states, tokens, vocabulary in ((3, 5, 7), (4, 2, 11), (1, 3, 4)):
        readings, final = some_readings(rng, states, tokens, vocabulary)
        got, _ = divergence_answer(student, readings, final)
        right, mistakes = kl_mistakes(readings, final)
        otherwise = "Wrong KL: the sum over the words of p (log p - log q), the mean over tokens."
        compare(got, right, mistakes, otherwise, tolerance=1e-5)


def bias_mistakes(readings, final):
    p, q = mean_logs(final), mean_logs(readings)
    right = kl(p, q)
    geometric = [log_softmax(log_softmax(x).mean(-2)) for x in (final, readings)]
    raw = [log_softmax(x).mean(-2) for x in (final, readings)]
    levels = [log_softmax(x.mean(-2)) for x in (final, readings)]
    texts = log_softmax(final), log_softmax(readings)
    return right, {
        "The bias: " + TURNED: kl(q, p),
        "The bias: " + BITS: right / np.log(2),
        "The bias: the sign is turned round.": -right,
        "You returned the mean KL as bias. Average the distributions over the tokens first, then "
        "compare the two averages.": kl(*texts).mean(-1),
        "You averaged log-probabilities over the tokens. Average probabilities, then take the "
        "logarithm.": kl(*geometric),
        "You averaged log-probabilities over the tokens. Average probabilities, then take the "
        "logarithm. ": kl(*raw),
        "You averaged logits over the tokens. Average probabilities, then take the "
        "logarithm.": kl(*levels),
        "You summed the distributions over the tokens and did not divide: the average is a "
        "distribution again.": right * len(final),
        "You compared the model's average with the lens at each token.": kl(
            p, log_softmax(readings)
        ).mean(-1),
        "You compared the model at each token with the lens's average.": kl(
            log_softmax(final), q[:, None]
        ).mean(-1),
        "You averaged over the states. The bias is one number for each state.": np.full(
            len(right), right.mean()
        ),
    }  # fmt: skip


def divergence_bias(student, rng):
    for states, tokens, vocabulary in ((3, 4, 6), (2, 6, 9)):
        readings, final = some_readings(rng, states, tokens, vocabulary)
        _, got = divergence_answer(student, readings, final)
        right, mistakes = bias_mistakes(readings, final)
        otherwise = (
            "Wrong bias: KL(mean over the tokens of the model's distributions || the same mean of "
            "the lens's)."
        )
        compare(got, right, mistakes, otherwise, tolerance=1e-5)
