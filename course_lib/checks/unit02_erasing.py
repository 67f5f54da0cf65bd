"""Checks of 02.1 and 02.2: the metric and erasure (see unit02.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_number, as_vector, compare
from course_lib.checks.results import Wrong

LAST = (
    "You read another position than the last one. Row t predicts the token after position t, so "
    "the question about the next word is answered by the last row."
)
UNSIGNED = "You returned an absolute value: the sign says which of the two words the model prefers."
TURNED = "The sign is turned round: the metric is target minus foil."

# --- shared inputs -------------------------------------------------------------------------


class Table:
    """A model of which nothing is known but its values: an own random number for every text."""

    def __init__(self, rng):
        self.seed = int(rng.integers(2**31))

    def __call__(self, tokens):
        tokens = [int(token) for token in tokens]
        noise = np.random.default_rng([self.seed, len(tokens), *[t + 1000 for t in tokens]])
        return float(noise.uniform(-3, 3))


class Sum:
    """A model that adds a weight [T, V] for each token at its place, and a constant."""

    def __init__(self, rng, length, vocabulary, by_place=True):
        self.weights = rng.uniform(0.5, 3, size=(length, vocabulary))
        self.weights *= rng.choice([-1, 1], size=(length, vocabulary))
        if not by_place:
            self.weights[:] = self.weights[0]
        self.constant = float(rng.uniform(4, 6))

    def __call__(self, tokens):
        tokens = [int(token) for token in tokens]
        if len(tokens) > len(self.weights):
            raise ValueError(f"score got {len(tokens)} tokens; the text has {len(self.weights)}.")
        return self.constant + sum(float(self.weights[i, t]) for i, t in enumerate(tokens))


def replaced(tokens, places, baseline):
    """The text with the baseline token at ``places``, or without them if it is None."""
    if baseline is None:
        return [token for i, token in enumerate(tokens) if i not in places]
    return [baseline if i in places else token for i, token in enumerate(tokens)]


# --- 02.1 contrastive_metric(logits [T, V], target, foil, output) -> float ---------------------

SCALES = ("prob", "logprob", "logit")


def readings(rng, tokens, vocabulary):
    """Probabilities [T, V] we choose, logits that give them, and the three scales of each."""
    scores = rng.normal(size=(tokens, vocabulary)) * 1.5
    probs = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    logits = np.log(probs) + rng.uniform(2, 5, size=(tokens, 1)) * rng.choice([-1, 1])
    return {"prob": probs, "logprob": np.log(probs), "logit": logits}


def metric_scales(student, rng):
    for tokens, vocabulary in ((4, 6), (1, 5), (7, 20)):
        scales = readings(rng, tokens, vocabulary)
        logits = torch.tensor(scales["logit"], dtype=torch.float32)
        target = int(rng.integers(1, vocabulary))
        for output in SCALES:
            got = as_number(student(logits, target, None, output), "the metric")
            column = scales[output][:, target]
            over_positions = torch.softmax(logits.double(), 0).numpy()[-1, target]
            mistakes = {
                LAST: column[0],
                LAST + " ": column[-2] if tokens > 1 else column[0],
                "You averaged over the positions; only the last one answers the question.": np.mean(
                    column
                ),
                "You added up the positions; only the last one answers the question.": column.sum(),
                "You used the logarithm to base 2. Use the natural one: nats.": column[-1]
                / np.log(2),
                "The sign is turned round: more support is a higher metric.": -column[-1],
                "You normalised over the positions (axis 0). Each row is one distribution over "
                "the vocabulary: use the last axis.": (
                    np.log(over_positions) if output == "logprob" else over_positions
                ),
                **{
                    f"For output={output!r} you returned the {other}; check the branches "
                    "of your function.": scales[other][-1, target]
                    for other in SCALES
                    if other != output
                },
            }
            compare(
                got, column[-1], mistakes, f"Wrong {output} of the target at the last position."
            )


def metric_contrast(student, rng):
    for tokens, vocabulary in ((5, 8), (2, 30), (3, 4)):
        scales = readings(rng, tokens, vocabulary)
        logits = torch.tensor(scales["logit"], dtype=torch.float32)
        target, foil = (int(i) for i in rng.choice(np.arange(1, vocabulary), 2, replace=False))
        if logits[-1, target] < logits[-1, foil]:  # so that a lost sign is told from a turned one
            target, foil = foil, target
        p, q = scales["prob"][-1, [target, foil]]
        for output in SCALES:
            got = as_number(student(logits, target, foil, output), "the metric")
            rows = scales[output][:, target] - scales[output][:, foil]
            mistakes = {
                TURNED: -rows[-1],
                "The foil makes no difference to your answer: subtract its score.": scales[output][
                    -1, target
                ],
                "You returned the foil's score alone.": scales[output][-1, foil],
                "You added the two scores; a contrast is a difference.": scales[output][
                    -1, [target, foil]
                ].sum(),
                "You compared the two words only with each other (a softmax over two). Normalise "
                "over the whole vocabulary, then subtract.": (p - q) / (p + q),
                "You returned the ratio of the probabilities; return the difference.": p / q,
                UNSIGNED: abs(rows[-1]),
                LAST: rows[0],
                "You averaged over the positions; only the last one answers the question.": np.mean(
                    rows
                ),
                "You returned the difference of probabilities for every output.": p - q,
                "You subtracted first and took the logarithm afterwards; take each logarithm, "
                "then subtract.": np.log(abs(p - q)),
                "You returned the difference of log-probabilities for output='prob'.": np.log(
                    p / q
                ),
            }
            compare(got, rows[-1], mistakes, f"Wrong difference of {output}s, target minus foil.")
            back = as_number(student(logits, foil, target, output), "the metric")
            compare(
                back,
                -got,
                {UNSIGNED: got},
                "Exchanging target and foil must only turn the sign round.",
            )


# --- 02.2 erasure(score, tokens, baseline) -> [T] ----------------------------------------------

NO_SUBTRACTION = "You returned m(x without i) itself; subtract it from m(x)."
ONLY = (
    "You kept token i and erased all the others. Erasure takes away one token and keeps the rest."
)
CUMULATIVE = (
    "Erased tokens stay erased in your loop. Each score starts again from the whole text: change "
    "exactly one token."
)


def erasure_mistakes(score, tokens, baseline):
    """What well-known slips return on this text."""
    n, value = len(tokens), score(tokens)
    without = np.array([score(replaced(tokens, {i}, baseline)) for i in range(n)])
    alone = np.array([score(replaced(tokens, set(range(n)) - {i}, baseline)) for i in range(n)])
    growing = np.array([score(replaced(tokens, set(range(i + 1)), baseline)) for i in range(n)])
    same = np.array(
        [
            score(replaced(tokens, {j for j in range(n) if tokens[j] == tokens[i]}, baseline))
            for i in range(n)
        ]
    )
    first = np.array([score(replaced(tokens, {tokens.index(t)}, baseline)) for t in tokens])
    drops = value - without
    return drops, {
        "The sign is turned round: S_E = m(x) - m(x without i), so a token that supports the "
        "target gets a positive score.": -drops,
        NO_SUBTRACTION: without,
        ONLY: value - alone,
        ONLY + " ": alone,
        CUMULATIVE: value - growing,
        CUMULATIVE + " ": -np.diff(growing, prepend=value),
        "You erased every token that equals token i. Erase the one at place i.": value - same,
        "You erased the first token that equals token i. Erase by place, not by value.": value
        - first,
        "You returned absolute values: the sign says whether a token supports the target.": abs(
            drops
        ),
        "You divided by m(x). The score keeps the unit of the metric.": drops / value,
        "You normalised the scores. Return the differences themselves.": drops / abs(drops).sum(),
        "You normalised the scores. Return the differences themselves. ": drops / drops.sum(),
        "The scores stand in reverse order.": drops[::-1],
    }


def erasure_replaced(student, rng):
    for length in (4, 7):
        tokens = rng.permutation(np.arange(1, length + 1)).tolist()
        tokens[-1] = tokens[0]  # one word twice
        baseline = int(rng.integers(20, 40))
        for score in (Sum(rng, length, 40), Table(rng)):
            got = as_vector(student(score, tokens, baseline), length, "erasure(...)")
            right, mistakes = erasure_mistakes(score, tokens, baseline)
            dropped = [score(replaced(tokens, {i}, None)) for i in range(length)]
            mistakes["You deleted the token although a baseline token was given."] = score(
                tokens
            ) - np.array(dropped)
            otherwise = (
                "Each score is m(x) minus m of the text in which that one token is replaced."
            )
            compare(got, right, mistakes, otherwise)
    tokens[1] = baseline
    got = as_vector(student(score, tokens, baseline), length, "erasure(...)")
    if abs(got[1]) > 1e-6:
        raise Wrong("A token that already is the baseline token must get exactly 0.")


def erasure_deleted(student, rng):
    for length in (3, 6):
        tokens = rng.integers(1, 30, size=length).tolist()
        tokens[-1] = tokens[0]
        for score in (Sum(rng, length, 40, by_place=False), Table(rng)):
            got = as_vector(student(score, tokens, None), length, "erasure(...)")
            right, mistakes = erasure_mistakes(score, tokens, None)
            zeros = [score(replaced(tokens, {i}, 0)) for i in range(length)]
            mistakes["With baseline=None leave the token out; do not put token 0 there."] = score(
                tokens
            ) - np.array(zeros)
            compare(got, right, mistakes, "With baseline=None a token is left out of the list.")
