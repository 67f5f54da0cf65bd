"""Minimum description length: how many bits does it cost to send the labels, given the states?

Accuracy does not tell a property that lies open in the states from one that a large training set
can dig out. The online code does: labels are sent block by block, each coded by a probe fitted on
the blocks before, so a property that few examples suffice to find is cheap. Voita & Titov 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from course_lib.probing.gold import Targets
from course_lib.probing.probe import Estimate, estimate, fit_probe

FRACTIONS = (0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)  # of the places: where blocks end
CODE_C = 0.03  # a code pays for being sure and wrong: a stronger penalty than for accuracy


@dataclass(frozen=True)
class Code:
    """The length of an online code.

    Attributes
    ----------
    bits : Estimate of the bits per label; `total` = bits of all labels
    uniform : log2 K, bits per label of a code that knows nothing
    compression : uniform / bits, 1 = nothing was learnt; Estimate
    blocks : for each block (places before it, bits per label in it): a learning curve
    """

    bits: Estimate
    uniform: float
    compression: Estimate
    blocks: tuple[tuple[int, float], ...]

    @property
    def total(self) -> float:
        """Bits of all labels together."""
        return self.bits.value * self.bits.n


def online_code(
    x: Tensor | np.ndarray, data: Targets, *, labels: np.ndarray | None = None, seed: int = 0
) -> Code:
    """Return the length of the labels when each block is coded by a probe of the ones before.

    Parameters
    ----------
    x : [N, D], one layer of `features`.
    labels : int [N], in place of the gold labels, for example those of a control task.
    seed : of the order in which labels are sent.

    Notes
    -----
    The first block is sent with the uniform code, log2 K bits a label. A later label with the
    class y costs -log2 q(y), q = (t p + K / K) / (t + K) for a linear probe p fitted on the t
    labels before it: so a class not seen yet has a price, too. Seven fits at most.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.probing import annotate, features, read_states, targets
    >>> lm = load_model("course-lm")
    >>> corpus = annotate(lm, 20)
    >>> data = targets(corpus, "number", 200)
    >>> online_code(features(read_states(lm, corpus), data)[3], data).compression.value > 1
    True
    """
    x = np.asarray(x, dtype=np.float32)
    y = data.labels if labels is None else np.asarray(labels)
    if len(x) != len(y):
        raise ValueError(f"There are {len(x)} states and {len(y)} labels; give each state one.")
    size = len(data.classes)
    order = np.random.default_rng(seed).permutation(len(y))
    ends = [int(share * len(y)) for share in FRACTIONS]
    # a first block of two labels a class at least: with fewer there is nothing to fit a probe on
    ends = [end for end in ends if end >= 2 * size] or [len(y)]
    bits = np.full(len(y), np.log2(size))  # [N]; the first block keeps this price
    blocks = [(0, float(np.log2(size)))]
    for before, end in zip(ends, ends[1:], strict=False):
        past, block = order[:before], order[before:end]
        probs = np.full((len(block), size), 1.0 / size)  # [block, K]
        if len(np.unique(y[past])) > 1:
            fitted = fit_probe(x[past], y[past], c=CODE_C)
            seen = np.zeros((len(block), size))  # classes that the probe never saw stay at 0
            seen[:, fitted.classes_] = fitted.predict_proba(x[block])
            # the t labels before, and one more of each class
            probs = (before * seen + 1) / (before + size)
        bits[block] = -np.log2(probs[np.arange(len(block)), y[block]])
        blocks.append((before, float(bits[block].mean())))
    mean = estimate(bits, data.groups, seed)
    uniform = float(np.log2(size))
    # bits stand below the line, so the ends of the interval change places
    ratio = Estimate(uniform / mean.value, uniform / mean.high, uniform / mean.low, mean.n)
    return Code(mean, uniform, ratio, tuple(blocks))
