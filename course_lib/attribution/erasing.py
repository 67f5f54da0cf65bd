"""Erasure: how much lower is the metric without a token?

    S_E(i) = m(x) - v(x without i)

With a foil the metric is contrastive and the score is S_E* (Yin & Neubig 2022).
"""

from __future__ import annotations

import torch

from course_lib.attribution.baselines import Baseline, as_baseline, coalition_values
from course_lib.attribution.question import ask
from course_lib.attribution.result import Attribution, answer, mean_and_error
from course_lib.models.text_model import TextModel


def erasure(
    lm: TextModel,
    text: str,
    target: str,
    foil: str | None = None,
    *,
    output: str = "logprob",
    baseline: Baseline | str | None = None,
) -> Attribution:
    """Score each token by what the metric loses when the token alone is missing.

    Parameters
    ----------
    lm, text, target, foil, output :
        As in `ask`. With a foil: S_E*, the contrastive score.
    baseline : Static, Interventional, Observational, or a string
        What stands in the token's place; default the tokenizer's unknown token.

    Returns
    -------
    Attribution
        Scores in the unit of `output`; positive = the token supports the target (over the foil).
        Standard errors where the baseline draws, from the K draws of each token.

    Raises
    ------
    ValueError
        As `ask`, and for an unknown baseline.

    Notes
    -----
    Cost: T + 1 forward passes for T tokens with a static baseline, K T + 1 with K draws; batched.
    Source: Li et al. 2016; contrastive: Yin & Neubig 2022, who use probabilities.

    Examples
    --------
    >>> from course_lib import load_model
    >>> result = erasure(load_model(), "Can you stop the dog from", "barking", "crying")
    >>> len(result.scores), result.passes
    (6, 7)
    """
    question = ask(lm, text, target, foil, output)
    baseline = as_baseline(baseline)
    without = ~torch.eye(len(question.ids) - 1, dtype=torch.bool)  # [T, T], row i lacks token i
    value = question.values([question.ids])
    # [1] - [T, K]; the mean over the K draws
    scores, errors = mean_and_error(value - coalition_values(question, without, baseline))
    method = "erasure S_E*" if foil else "erasure S_E"
    return answer(
        question, method, scores, baseline=baseline.describe(lm), std_errors=errors,
        seed=getattr(baseline, "seed", None),
    )  # fmt: skip
