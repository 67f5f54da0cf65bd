"""Attribution by gradients of the metric with respect to the token embeddings x_1 ... x_T.

    gradient norm             || dm/dx_i ||_2                               no sign
    gradient x input          sum_d  x_id  dm/dx_id
    integrated gradients      sum_d (x_id - b_id) * mean over the path from b to x of dm/dx_id

With a foil m is the difference target - foil: the contrastive variants of Yin & Neubig (2022).
The gradient is that of the token embedding, before positions are added. The parameters are frozen
and `torch.autograd.grad` returns the gradient, so nothing is left behind in the model.
"""

from __future__ import annotations

import inspect

import numpy as np
import torch
from torch import Tensor

from course_lib.attribution.baselines import Static, as_baseline
from course_lib.attribution.question import BATCH_TOKENS, Question, ask, forward
from course_lib.attribution.result import Attribution, answer
from course_lib.models.text_model import TextModel

RULES = ("midpoint", "gauss-legendre", "left", "right", "trapezoid")


def embed(question: Question, ids: tuple[int, ...]) -> Tensor:
    """Token embeddings [L, d] as the model reads them (scaled where the family scales them)."""
    lm = question.lm
    if "inputs_embeds" not in inspect.signature(lm.model.forward).parameters:
        raise ValueError(
            f"{lm.name!r} does not take embeddings as input (inputs_embeds), so there is nothing "
            "to differentiate by. Use erasure, LIME or Shapley values, or a transformer."
        )
    with torch.no_grad():
        return lm.model.get_input_embeddings()(torch.tensor(ids, device=lm.device))


def values_and_gradients(question: Question, points: Tensor) -> tuple[Tensor, Tensor]:
    """The metric [P] at embeddings `points` [P, L, d] and its gradient [P, L, d]; float64."""
    size = max(1, BATCH_TOKENS // points.shape[1])
    values, gradients = [], []
    for part in points.split(size):
        with torch.enable_grad():
            x = part.detach().clone().requires_grad_()
            m = question.measure(forward(question.lm, inputs_embeds=x)[:, -1])  # [P]
            # points do not see each other, so the gradient of the sum holds that of each of them
            (gradient,) = torch.autograd.grad(m.sum(), x)
        values.append(m.detach().cpu())
        gradients.append(gradient.double().cpu())
    return torch.cat(values), torch.cat(gradients)


def _at_the_text(question: Question) -> tuple[Tensor, Tensor]:
    x = embed(question, question.ids)
    value, gradient = values_and_gradients(question, x[None])  # [1], [1, L, d]
    question.seen[question.ids] = float(value)
    return x[1:].double().cpu(), gradient[0, 1:]  # [T, d] each, without the start token


def gradient_norm(
    lm: TextModel, text: str, target: str, foil: str | None = None, *, output: str = "logprob"
) -> Attribution:
    """Score each token by the L2 norm of the gradient at its embedding.

    Parameters
    ----------
    lm, text, target, foil, output :
        As in `ask`.

    Returns
    -------
    Attribution
        Scores >= 0, in units of `output` per unit of embedding: how sensitive the metric is, not
        in which direction. The sign rule does not apply. No baseline.

    Raises
    ------
    ValueError
        As `ask`, and for a model that does not take embeddings.

    Notes
    -----
    Cost: one forward and one backward pass. Source: Li et al. 2016; contrastive: Yin & Neubig
    2022, whose code takes the L1 norm.

    Examples
    --------
    >>> from course_lib import load_model
    >>> result = gradient_norm(load_model(), "Can you stop the dog from", "barking")
    >>> bool((result.scores > 0).all())
    True
    """
    question = ask(lm, text, target, foil, output)
    _, gradient = _at_the_text(question)
    method = "gradient L2 norm (no sign)"
    # [T, d] -> [T]
    return answer(question, method, gradient.norm(dim=-1), baseline="none")


def gradient_x_input(
    lm: TextModel, text: str, target: str, foil: str | None = None, *, output: str = "logprob"
) -> Attribution:
    """Score each token by the inner product of its embedding with the gradient there.

    Parameters
    ----------
    lm, text, target, foil, output :
        As in `ask`.

    Returns
    -------
    Attribution
        Signed scores in the unit of `output`: to first order what the metric would lose if the
        embedding were 0. Positive = supports the target.

    Raises
    ------
    ValueError
        As `ask`, and for a model that does not take embeddings.

    Notes
    -----
    Cost: one forward and one backward pass. Source: Denil et al. 2014; contrastive: Yin & Neubig
    2022.

    Examples
    --------
    >>> from course_lib import load_model
    >>> lm, text = load_model(), "Can you stop the dog from"
    >>> one = gradient_x_input(lm, text, "barking", "crying")
    >>> other = gradient_x_input(lm, text, "crying", "barking")
    >>> one.scores.allclose(-other.scores)
    True
    """
    question = ask(lm, text, target, foil, output)
    x, gradient = _at_the_text(question)
    scores = (x * gradient).sum(-1)  # [T, d] -> [T]
    return answer(question, "gradient x input", scores, baseline="zero embedding, to first order")


def path_points(steps: int, rule: str = "midpoint") -> tuple[Tensor, Tensor]:
    """Nodes in [0, 1] and weights that sum to 1 of a quadrature rule, float64 [steps] each.

    Examples
    --------
    >>> path_points(2, "midpoint")[0].tolist()
    [0.25, 0.75]
    """
    if rule not in RULES:
        raise ValueError(f"Unknown rule {rule!r}. Choose one of {', '.join(RULES)}.")
    least = 2 if rule == "trapezoid" else 1
    if steps < least:
        raise ValueError(f"The rule {rule!r} needs at least {least} step(s), got {steps}.")
    k, weights = np.arange(steps), np.full(steps, 1 / steps)
    if rule == "gauss-legendre":
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        nodes, weights = (nodes + 1) / 2, weights / 2  # from [-1, 1] to [0, 1]
    elif rule == "trapezoid":
        nodes, weights = k / (steps - 1), np.full(steps, 1 / (steps - 1))
        weights[[0, -1]] /= 2  # both ends count half
    else:
        nodes = (k + {"left": 0.0, "midpoint": 0.5, "right": 1.0}[rule]) / steps
    return torch.tensor(nodes), torch.tensor(weights)


def integrated_gradients(
    lm: TextModel,
    text: str,
    target: str,
    foil: str | None = None,
    *,
    output: str = "logprob",
    baseline: Static | str | None = None,
    steps: int = 32,
    rule: str = "midpoint",
) -> Attribution:
    """Share out m(x) - m(baseline) along the straight path between the embeddings.

    Parameters
    ----------
    lm, text, target, foil, output :
        As in `ask`.
    baseline : "zero", a Static baseline or the name of its token
        Where the path starts: embeddings of 0 or of one token at every place. The start token
        stays. Default: Static().
    steps : int
    rule : str
        Nodes and weights of the integral: "midpoint", "gauss-legendre" (better where the path is
        smooth, which deep models at few steps are not), "left", "right" or "trapezoid".

    Returns
    -------
    Attribution
        Signed scores in the unit of `output`; positive = supports the target. `gap` is the sum
        of the scores minus (value - base_value): what the steps miss of the integral.

    Raises
    ------
    ValueError
        As `ask`; for an unknown rule or a baseline that draws; for a model that does not take
        embeddings.

    Notes
    -----
    Cost: `steps` forward and backward passes in batches, and two forward passes.
    Source: Sundararajan et al. 2017.

    Examples
    --------
    >>> from course_lib import load_model
    >>> result = integrated_gradients(load_model(), "The two dogs", "sleep", "sleeps")
    >>> len(result.scores), result.passes
    (3, 34)
    """
    question = ask(lm, text, target, foil, output)
    nodes, weights = path_points(steps, rule)
    x = embed(question, question.ids)
    start, described = _path_start(question, x, baseline)
    at = nodes.to(x)[:, None, None]  # [steps, 1, 1]
    # all points of the path in one batch: [steps, L, d], from the baseline to the text
    _, gradients = values_and_gradients(question, start + at * (x - start))
    mean = (weights[:, None, None] * gradients).sum(0)  # [L, d]
    scores = ((x - start).double().cpu() * mean).sum(-1)[1:]  # [L] -> [T]
    with torch.no_grad():
        # logits [2, V] of both ends: their difference is what the scores should sum to
        ends = question.measure(forward(lm, inputs_embeds=torch.stack([x, start]))[:, -1]).tolist()
    question.seen[question.ids] = ends[0]
    return answer(
        question, "integrated gradients", scores, baseline=described, base_value=ends[1],
        passes=steps + 2, note=f"{steps} steps, {rule}",
    )  # fmt: skip


def _path_start(question: Question, x: Tensor, baseline: Static | str | None) -> tuple[Tensor, str]:
    """Embeddings [L, d] where the path starts, and what they are."""
    if isinstance(baseline, str) and baseline == "zero":
        return torch.cat([x[:1], torch.zeros_like(x[1:])]), "zero embedding"
    baseline = as_baseline(baseline)
    token = baseline.token_id(question.lm) if isinstance(baseline, Static) else None
    if token is None:
        raise ValueError(
            "Integrated gradients need one point where the path starts: 'zero' or a static token "
            f"such as Static('unk'), not {baseline!r}. Use erasure or Shapley values with it."
        )
    ids = (question.ids[0], *[token] * (len(question.ids) - 1))
    return embed(question, ids), baseline.describe(question.lm)
