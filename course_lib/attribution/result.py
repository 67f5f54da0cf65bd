"""What every method of attribution returns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.attribution.question import OUTPUTS, Question
from course_lib.tables import html_table


@dataclass(frozen=True)
class Attribution:
    """One score for each token of a text: how much it supports the prediction.

    Attributes
    ----------
    method, text : str
    tokens : tuple of str, length T
        The start token is not among them.
    scores : Tensor, float64 [T]
        Positive = supports the target (over the foil): without it the metric is lower.
    target, foil : str
        `foil` is None for a question that is not contrastive.
    output : "prob", "logprob" or "logit"
        The scale of the metric, and thereby the unit of scores, value and std_errors.
    value : float
        The metric on the text itself.
    baseline : str
        What stood in place of missing tokens.
    passes : int
        Different inputs the model has read; for gradients each one forward and backward. What an
        observational baseline reads to draw its words is not counted.
    std_errors : Tensor [T] or None
        Of the scores, where they were sampled.
    base_value, gap : float or None
        For methods that share out value - base_value (metric with nothing present): the sum of
        the scores minus that difference. 0 when complete.
    seed : int or None
    note : str
        What else must be known to read the scores.
    """

    method: str
    text: str
    tokens: tuple[str, ...]
    scores: Tensor
    target: str
    foil: str | None
    output: str
    value: float
    baseline: str
    passes: int
    std_errors: Tensor | None = None
    base_value: float | None = None
    gap: float | None = None
    seed: int | None = None
    note: str = ""

    @property
    def order(self) -> list[int]:
        """Places of the tokens, the strongest support first; ties in the order of the text."""
        return self.scores.argsort(descending=True, stable=True).tolist()

    @property
    def caption(self) -> str:
        """All that must stand beside the numbers."""
        rather = f" rather than {self.foil!r}" if self.foil else ""
        parts = [f"{self.method}: {self.target!r}{rather}", OUTPUTS[self.output]]
        parts += [f"baseline {self.baseline}", f"metric {self.value:.3f}"]
        if self.base_value is not None:
            parts += [f"without any token {self.base_value:.3f}", f"gap {self.gap:.1e}"]
        parts += [f"{self.passes} passes"] + [f"seed {self.seed}"] * (self.seed is not None)
        return ", ".join(parts + [self.note] * bool(self.note))

    def rows(self) -> list[tuple[str, str]]:
        """(token, score as text with its standard error) in the order of the text."""
        errors = [""] * len(self.tokens)
        if self.std_errors is not None:
            errors = [f" ± {error:.3f}" for error in self.std_errors.tolist()]
        scores = self.scores.tolist()
        return [(t, f"{s:+.3f}{e}") for t, s, e in zip(self.tokens, scores, errors, strict=True)]

    def __repr__(self) -> str:
        width = max(map(len, self.tokens))
        return "\n".join([self.caption, *(f"  {t:<{width}}  {s}" for t, s in self.rows())])

    def _repr_html_(self) -> str:
        return html_table(("token", "score"), self.rows(), self.caption)


def answer(question: Question, method: str, scores: Tensor, **details) -> Attribution:
    """Build the result of a method; `details` are the remaining fields of `Attribution`.

    Where `base_value` is given, the gap of the sum is worked out here.
    """
    value = float(question.values([question.ids]))
    if details.get("base_value") is not None:
        details["gap"] = float(scores.sum()) - (value - details["base_value"])
    details.setdefault("passes", question.passes)
    q = question
    return Attribution(
        method, q.text, q.tokens, scores, q.target, q.foil, q.output, value, **details
    )


def mean_and_error(draws: Tensor) -> tuple[Tensor, Tensor | None]:
    """Mean over the last dimension [..., K] and its standard error; None for a single draw."""
    n = draws.shape[-1]
    error = draws.std(-1) / n**0.5 if n > 1 else None  # [..., K] -> [...]
    return draws.mean(-1), error


def combine_errors(*errors: Tensor | None) -> Tensor | None:
    """Standard error from several independent sources of sampling noise."""
    present = [error for error in errors if error is not None]
    # variances of independent sources add up
    return torch.stack(present).square().sum(0).sqrt() if present else None
