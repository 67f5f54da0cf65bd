"""Probes: small classifiers that read a property off hidden states, and what to hold against them.

An accuracy alone says little. Beside each stand: the majority class; a baseline that knows nothing
but the word; the same probe on a model that was never trained; and a control task, whose labels
mean nothing and can only be memorised.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from course_lib.intervals import bootstrap_counts, ends
from course_lib.probing.gold import Targets, control_labels, split

KINDS = ("linear", "mlp")
HIDDEN_UNITS = 64
N_BOOT = 1000


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % bootstrap interval; `n` is the number of test places behind it."""

    value: float
    low: float
    high: float
    n: int

    @property
    def triple(self) -> tuple[float, float, float]:
        """(value, low, high), as the plot functions take it."""
        return self.value, self.low, self.high

    def __repr__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimate(hits: np.ndarray, groups: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of one number per place, with an interval that draws whole groups.

    Places with the same word are not independent: a probe that knows one knows the others. So the
    bootstrap draws groups, with all of their places.

    Examples
    --------
    >>> estimate(np.array([1.0, 1.0, 0.0, 0.0]), np.array(["a", "a", "b", "b"]))
    0.500 [0.000, 1.000]
    """
    names, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, weights=hits, minlength=len(names))
    sizes = np.bincount(group, minlength=len(names))
    drawn = bootstrap_counts(len(names), N_BOOT, seed)  # [N_BOOT, groups]
    means = drawn @ sums / np.maximum(drawn @ sizes, 1)
    return Estimate(float(hits.mean()), *ends(means), len(hits))


def fit_probe(x: np.ndarray, y: np.ndarray, kind: str = "linear", c: float = 0.1, seed: int = 0):
    """Fit a scikit-learn pipeline: every unit to mean 0 and variance 1, then the classifier.

    Parameters
    ----------
    x : float [N, D]; y : int [N].
    kind : "linear" (multinomial logistic regression) or "mlp" (one hidden layer of 64 units).
    c : inverse strength of the L2 penalty of the linear probe.

    Raises
    ------
    ValueError
        For an unknown kind, or if `y` has one class only.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> fit_probe(x, np.array([0, 0, 1, 1])).predict(x).tolist()
    [0, 0, 1, 1]
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if kind not in KINDS:
        raise ValueError(f"Unknown probe {kind!r}. Choose one of {', '.join(KINDS)}.")
    if len(np.unique(y)) < 2:
        raise ValueError("All training labels are the same: a probe needs two classes to tell.")
    if kind == "linear":
        classifier = LogisticRegression(C=c, max_iter=200, tol=1e-3)
    else:
        classifier = MLPClassifier((HIDDEN_UNITS,), alpha=1.0, max_iter=60, random_state=seed)
    # both steps are fitted on the training half alone; the penalty of the classifier means the same
    # for all units only if these vary alike
    probe = make_pipeline(StandardScaler(), classifier)
    with warnings.catch_warnings():
        # a probe stopped early is still a probe; its accuracy is measured on other words
        warnings.simplefilter("ignore", ConvergenceWarning)
        return probe.fit(x, y)


@dataclass(frozen=True)
class ProbeResult:
    """One probe on one layer.

    Attributes
    ----------
    accuracy : Estimate, on words (documents) that training did not have.
    predicted, labels : int [M], of the test places; `confusion` counts them.
    """

    concept: str
    layer: int
    kind: str
    accuracy: Estimate
    predicted: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def confusion(self) -> np.ndarray:
        """Counts [true class, predicted class]."""
        size = len(self.classes)
        # (true, predicted) as one number, row by row
        return np.bincount(self.labels * size + self.predicted, minlength=size**2).reshape(
            size, size
        )


def probe(
    x: Tensor | np.ndarray,
    data: Targets,
    *,
    labels: np.ndarray | None = None,
    by: str = "group",
    kind: str = "linear",
    layer: int = 0,
    seed: int = 0,
) -> ProbeResult:
    """Fit a probe on one part of a data set and test it on the other.

    Parameters
    ----------
    x : [N, D], one layer of `features`.
    labels : int [N], in place of the gold labels: those of a control task, or shuffled ones.
    by : "group" or "place", see `split`.
    layer : stands in the result, nothing more.

    Raises
    ------
    ValueError
        If `x` has another number of rows than the data set; as `split` and `fit_probe`.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.probing import annotate, features, read_states, targets
    >>> lm = load_model("course-lm")
    >>> corpus = annotate(lm, 20)
    >>> data = targets(corpus, "number", 200)
    >>> result = probe(features(read_states(lm, corpus), data)[3], data)
    >>> result.accuracy.value > 0.8
    True
    """
    x = np.asarray(x, dtype=np.float32)
    y = data.labels if labels is None else np.asarray(labels)
    if len(x) != len(data) or len(y) != len(data):
        raise ValueError(
            f"{data!r} has {len(data)} places, the states have {len(x)} rows and the labels "
            f"{len(y)}. Take one layer of features(states, data)."
        )
    # words of the test half are new to the probe (by="group"), so that knowing words does not help
    train, test = split(data, by, seed=seed)
    predicted = fit_probe(x[train], y[train], kind, seed=seed).predict(x[test])
    accuracy = estimate((predicted == y[test]).astype(float), data.groups[test], seed)
    return ProbeResult(data.concept, layer, kind, accuracy, predicted, y[test], data.classes)


def majority(data: Targets, by: str = "group", seed: int = 0) -> Estimate:
    """Accuracy of always answering the most frequent class of the training half."""
    train, test = split(data, by, seed=seed)
    answer = np.bincount(data.labels[train]).argmax()
    return estimate((data.labels[test] == answer).astype(float), data.groups[test], seed)


def word_baseline(data: Targets, by: str = "place", seed: int = 0) -> Estimate:
    """Accuracy of answering, for each word, its most frequent class in the training half.

    For a word that training does not have: the majority class. What a probe must beat before it
    can be said to read more than which word it is.
    """
    train, test = split(data, by, seed=seed)
    counts: dict[str, Counter] = {}
    for i in train:
        counts.setdefault(data.words[i], Counter())[data.labels[i]] += 1
    # for words that training does not have
    usual = np.bincount(data.labels[train]).argmax()
    answers = np.array([counts[w].most_common(1)[0][0] if w in counts else usual
                        for w in data.words[test]])  # fmt: skip
    return estimate((answers == data.labels[test]).astype(float), data.groups[test], seed)


@dataclass(frozen=True)
class Selectivity:
    """Accuracy on the task minus accuracy on its control task, both split by place.

    Attributes
    ----------
    task, control, selectivity : Estimate
        The interval of the difference draws the same groups for both.
    """

    task: Estimate
    control: Estimate
    selectivity: Estimate


def selectivity(
    x: Tensor | np.ndarray, data: Targets, *, kind: str = "linear", seed: int = 0
) -> Selectivity:
    """How much better a probe learns the task than labels that mean nothing.

    Both are tested on new places of words that training may have had: for a word that it did not
    have, the control label cannot be known. Two fits. Source: Hewitt & Liang 2019.
    """
    control = control_labels(data, seed)
    hits = []
    for labels in (data.labels, control):
        result = probe(x, data, labels=labels, by="place", kind=kind, seed=seed)
        hits.append((result.predicted == result.labels).astype(float))
    # the same seed, so the test places of both probes above
    groups = data.groups[split(data, "place", seed=seed)[1]]
    return Selectivity(*(estimate(h, groups, seed) for h in (*hits, hits[0] - hits[1])))
