"""Checks of 05.6 and 05.7: topics of value vectors, a tuned lens (see unit05.py)."""

from __future__ import annotations

import numpy as np

from course_lib.checks.calling import as_vector, compare
from course_lib.checks.results import Wrong
from course_lib.checks.unit05_reading import as_array, as_pair, tensors

# --- 05.6 topic_purity(values [n, d], gain [d], unembed [V, d], kinds, k) -> (purity, kind) ------

CENTRE = (
    "You did not centre. The final norm subtracts the mean over the d dimensions, so the mean of a "
    "value vector promotes nothing."
)
NONE_COUNTS = "-1 marks a word without a topic; it is no topic. Such words still count among the k."


def some_values(rng, vectors, width, vocabulary):
    """Value vectors [n, d] with large means, a gain [d], and an unembedding whose rows have too."""
    values = rng.normal(size=(vectors, width)) + 1.5 * rng.normal(size=(vectors, 1))
    gain = rng.uniform(0.2, 2.5, size=width) * rng.choice([-1, 1], size=width)
    return (
        values,
        gain,
        rng.normal(size=(vocabulary, width)) + 0.7 * rng.normal(size=(vocabulary, 1)),
    )


def scores_of(values, gain, unembed):
    rows = gain * unembed
    return values @ (rows - rows.mean(1, keepdims=True)).T


def judged(scores, kinds, k, slip=""):
    """Purity [n] and kind [n] of the k highest words; ``slip`` names a mistake."""
    kinds = np.array(kinds)
    low = -1 if slip == "none is a kind" else 0
    purity, kind = [], []
    for row in scores:
        best = np.argsort(-row, kind="stable")[:k]
        found = [int((kinds[best] == name).sum()) for name in range(low, kinds.max() + 1)]
        most = int(np.argmax(found))
        if slip == "last of equals":
            most = len(found) - 1 - int(np.argmax(found[::-1]))
        name = most + low
        if slip == "kind of the top word":
            name = int(kinds[best[0]])
        count = int((kinds[best] == name).sum()) if name >= 0 or low < 0 else 0
        whole = {
            "among those with a kind": max(1, int((kinds[best] >= 0).sum())),
            "recall": max(1, int((kinds == name).sum())),
            "count": 1,
        }.get(slip, len(best))
        purity.append(count / whole)
        kind.append(name if count or slip == "no none" else -1)
    return np.array(purity), np.array(kind)


def purity_answer(student, values, gain, unembed, kinds, k):
    answer = student(*tensors(values, gain, unembed), list(kinds), k)
    purity, kind = as_pair(answer, "the purity and the topic of each vector")
    hint = "One number for each vector."
    return np.stack([
        as_vector(part, len(values), name, hint)
        for part, name in ((purity, "the purity"), (kind, "the topic"))
    ])  # fmt: skip


def purity_mistakes(values, gain, unembed, kinds, k):
    """Purity and kind [2, n], right and by well-known slips."""
    scores = scores_of(values, gain, unembed)
    right = np.stack(judged(scores, kinds, k))
    plain = unembed - unembed.mean(1, keepdims=True)
    spread = scores - scores.mean(1, keepdims=True)
    by_scores = {
        "The gain of the final norm is missing.": values @ plain.T,
        CENTRE: values @ (gain * unembed).T,
        "You centred the rows of the unembedding before the gain; the gain comes first.": values
        @ (gain * plain).T,
        "Neither gain nor centring: this is the value vector times the unembedding.": values
        @ unembed.T,
        "You took the lowest words. A positive activation promotes the highest.": -scores,
        "You took the words with the largest size of score. Only the highest are promoted.": abs(
            spread
        ),
        "You took the words with the largest size of score. Only the highest are promoted. ": abs(
            scores
        ),
        "You divided the value vector by the gain; multiply.": values @ (plain / gain).T,
    }
    found = {text: judged(table, kinds, k) for text, table in by_scores.items()}
    found |= {
        "You took one word too many.": judged(scores, kinds, k + 1),
        "You took one word too few.": judged(scores, kinds, max(1, k - 1)),
        NONE_COUNTS: judged(scores, kinds, k, "none is a kind"),
        "You divided by the number of words that have a topic; divide by k.": judged(
            scores, kinds, k, "among those with a kind"
        ),
        "You divided by the number of words of the topic in the vocabulary (recall); divide by "
        "k.": judged(scores, kinds, k, "recall"),
        "You returned the number of words; the purity is their share of the k.": judged(
            scores, kinds, k, "count"
        ),
        "You took the topic of the highest word; take the most frequent one.": judged(
            scores, kinds, k, "kind of the top word"
        ),
        "Of equally frequent topics take the one with the lowest number.": judged(
            scores, kinds, k, "last of equals"
        ),
        "Where none of the k words has a topic, the topic is -1.": judged(
            scores, kinds, k, "no none"
        ),
    }
    return right, {text: np.stack(answer) for text, answer in found.items()}


def purity_compare(student, values, gain, unembed, kinds, k):
    got = purity_answer(student, values, gain, unembed, kinds, k)
    right, mistakes = purity_mistakes(values, gain, unembed, kinds, k)
    if np.allclose(got, right[::-1]):
        raise Wrong("Purity and topic are exchanged: return the purity first.")
    for row, name in enumerate(("purity", "topic")):
        otherwise = (
            f"Wrong {name}. Score of a word: value . centred(gain * its row). Of the {k} words "
            "with the highest scores, count each topic; the purity is the largest count / k."
        )
        slips = {text: value[row] for text, value in mistakes.items()}
        compare(got[row], right[row], slips, otherwise)


def purity_of_topics(student, rng):
    for vectors, width, vocabulary, topics, k in ((12, 5, 20, 3, 4), (9, 7, 31, 4, 7)):
        kinds = rng.integers(0, topics, size=vocabulary).tolist()
        purity_compare(student, *some_values(rng, vectors, width, vocabulary), kinds, k)


def purity_with_gaps(student, rng):
    for vectors, width, vocabulary, topics, k in ((14, 4, 24, 3, 5), (10, 6, 40, 5, 8)):
        kinds = rng.integers(0, topics, size=vocabulary)
        kinds[rng.random(vocabulary) < 0.5] = -1
        kinds[rng.choice(vocabulary, size=topics, replace=False)] = np.arange(topics)
        values = some_values(rng, vectors, width, vocabulary)
        purity_compare(student, *values, kinds.tolist(), k)


# --- 05.7 fit_translation(states [N, d], last [N, d], ridge) -> (A [d, d], b [d]) ----------------

TRANSPOSED = (
    "A is transposed. It stands in x + A x + b for one state x [d]: for rows of states that is "
    "states + states @ A.T + b."
)
WHOLE = (
    "You returned the whole map I + A. The state itself is added already: fit what is missing, "
    "last - x."
)
SHRUNK = (
    "The penalty draws I + A to 0, and with it every translated state. Fit last - x on x, so that "
    "it draws A to 0: then a strong penalty leaves the plain lens."
)


def translation_inputs(rng, tokens, width, noise):
    """States [N, d] far from 0 and of unequal variances, and an affine map of them plus noise."""
    mix = rng.normal(size=(width, width)) / np.sqrt(width) + np.eye(width)
    states = rng.normal(size=(tokens, width)) @ mix * rng.uniform(0.6, 1.6, size=width)
    states += rng.normal(size=width) * 2
    weight = rng.normal(size=(width, width)) / np.sqrt(width)
    shift = rng.normal(size=width)
    last = states + states @ weight.T + shift + noise * rng.normal(size=(tokens, width))
    return states, last, weight, shift


def solved(x, y, penalty, intercept="free"):
    """M, c with the least mean |M x + c - y|^2 + penalty |M|^2, by least squares on more rows.

    The intercept is "free", "penalised" or "none".
    """
    tokens, width = x.shape
    ones = np.ones((tokens, 1)) if intercept != "none" else np.zeros((tokens, 1))
    extra = np.eye(width + 1) * np.sqrt(penalty * tokens)
    if intercept == "free":
        extra = extra[:width]
    table = np.vstack([np.hstack([x, ones]), extra])
    target = np.vstack([y, np.zeros((len(extra), y.shape[1]))])
    both = np.linalg.lstsq(table, target, rcond=None)[0]
    return both[:width].T, both[width]


def translation(x, last, ridge):
    return solved(x, last - x, ridge * x.var(0).mean())


def translation_mistakes(x, last, ridge):
    tokens, width = x.shape
    variance = x.var(0).mean()
    penalty, y, one = ridge * variance, last - x, np.eye(width)
    weight, shift = translation(x, last, ridge)
    whole = solved(x, last, penalty)
    centred = x - x.mean(0), y - y.mean(0)
    return (weight, shift), {
        TRANSPOSED: (weight.T, shift),
        WHOLE: (weight + one, shift),
        WHOLE + " " * 2: whole,
        SHRUNK: (whole[0] - one, whole[1]),
        "The penalty is ridge alone; multiply it by the mean variance of the dimensions.": solved(
            x, y, ridge
        ),
        "The penalty takes the sum of the variances; take their mean over the dimensions.": solved(
            x, y, penalty * width
        ),
        "The error is a mean over the tokens, and yours is a sum: with more tokens your penalty "
        "counts for less.": solved(x, y, penalty / tokens),
        "The penalty counts once for each token: the error is a mean, or multiply both by "
        "N.": solved(x, y, penalty * tokens),
        "There is no penalty in your fit.": solved(x, y, 0.0),
        "The penalty falls on b as well; only A is penalised.": solved(x, y, penalty, "penalised"),
        "The shift b is missing: the map is affine.": solved(x, y, penalty, "none"),
        "The shift b is missing: the map is affine. ": (weight, 0 * shift),
        "You fitted A to centred states and forgot b: it carries the means.": (
            solved(*centred, penalty)[0],
            0 * shift,
        ),
        "b is the mean of last - x minus A times the mean state; you left out the second term.": (
            weight,
            y.mean(0),
        ),
        "b is the mean of last - x minus A times the mean state; yours has the other sign.": (
            weight,
            y.mean(0) + weight @ x.mean(0),
        ),
        "In b the matrix stands before the mean state, A @ mean; yours is mean @ A.": (
            weight,
            y.mean(0) - x.mean(0) @ weight,
        ),
        "b holds the mean of the last state; take the mean of last - x.": (
            weight,
            last.mean(0) - weight @ x.mean(0),
        ),
        "You penalised the squared mean of the states too: the variance is measured from the "
        "mean.": solved(x, y, ridge * (x**2).mean()),
        "Your variance divides by N - 1; divide by N.": solved(
            x, y, ridge * x.var(0, ddof=1).mean()
        ),
        "The standard deviation was taken for the variance.": solved(x, y, ridge * x.std(0).mean()),
        "You exchanged the two states: the map leads from the state to the last one.": solved(
            last, -y, ridge * last.var(0).mean()
        ),
        "The variance is that of the last states; it is that of the states that are "
        "translated.": solved(x, y, ridge * last.var(0).mean()),
        "The variance is that of all numbers together; take the variance of each dimension over "
        "the tokens, and the mean of these.": solved(x, y, ridge * x.var()),
        "The variance was taken within each state; take it of each dimension, over the "
        "tokens.": solved(x, y, ridge * x.var(1).mean()),
        "Each dimension has a penalty of its own variance; use their mean for all.": _own_scale(
            x, y, ridge
        ),
        "A is the map of the errors: you fitted x - last.": (-weight, -shift),
    }


def _own_scale(x, y, ridge):
    """The fit on standardised states, each dimension with the same penalty."""
    size = x.std(0)
    weight, shift = solved(x / size, y, ridge)
    return weight / size, shift


def translation_answer(student, x, last, *ridge):
    answer = student(*tensors(x, last), *ridge)
    weight, shift = as_pair(answer, "A and b")
    width = x.shape[1]
    return as_array(weight, (width, width), "A"), as_vector(shift, width, "b")


def translation_compare(student, x, last, ridge):
    weight, shift = translation_answer(student, x, last, ridge)
    right, mistakes = translation_mistakes(x, last, ridge)
    otherwise = (
        "Wrong A and b: the least mean |x + A x + b - last|^2 + ridge * (mean variance) * |A|^2."
    )
    both = np.column_stack([weight, shift])
    slips = {text: np.column_stack(pair) for text, pair in mistakes.items()}
    compare(both, np.column_stack(right), slips, otherwise, tolerance=1e-5)


def translation_exact(student, rng):
    for tokens, width in ((20, 3), (15, 6), (9, 1)):
        x, last, *_ = translation_inputs(rng, tokens, width, 0.0)
        translation_compare(student, x, last, 0.0)


def translation_ridge(student, rng):
    for tokens, width, ridge in ((25, 4, 0.3), (12, 7, 1.5), (40, 2, 0.05)):
        x, last, *_ = translation_inputs(rng, tokens, width, 0.5)
        translation_compare(student, x, last, ridge)
