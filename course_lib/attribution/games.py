"""Attribution as a game between tokens: LIME and Shapley values.

A set S of tokens that are present has the value v(S); what is missing is filled by a baseline.
LIME fits a linear function of the presence of each token to v, near the whole text. The Shapley
value is the mean, over all orders in which the tokens could enter, of what a token adds:

    phi_i = sum over S without i of  |S|! (T - |S| - 1)! / T!  *  (v(S + i) - v(S))
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib.attribution.baselines import Baseline, as_baseline, coalition_values
from course_lib.attribution.question import ask
from course_lib.attribution.result import Attribution, answer, combine_errors, mean_and_error
from course_lib.models.text_model import TextModel

EXACT_LIMIT = 12  # tokens: 4,096 coalitions


def all_coalitions(size: int) -> Tensor:
    """All 2^size masks, bool [2^size, size]: bit i of the row number says if i is present.

    Examples
    --------
    >>> all_coalitions(2).long().tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    # [2^T, 1] >> [T] -> [2^T, T]: shifted by i places, bit i is the last one
    return (torch.arange(2**size)[:, None] >> torch.arange(size)) % 2 == 1


def shapley_values(values: Tensor) -> Tensor:
    """Exact Shapley values [T, ...] of a game given as values [2^T, ...] of `all_coalitions(T)`.

    Their sum is the value of all minus that of none (efficiency).

    Examples
    --------
    >>> shapley_values(torch.tensor([0.0, 1.0, 2.0, 5.0])).tolist()
    [2.0, 3.0]
    """
    size = len(values).bit_length() - 1
    if len(values) != 2**size or size == 0:
        raise ValueError(f"A game of T players has 2^T values, not {len(values)}.")
    codes = torch.arange(2**size)
    present = all_coalitions(size)  # [2^T, T]
    count = present.sum(1)  # |S|, [2^T]
    phi = []
    for i in range(size):
        without = codes[~present[:, i]]  # the 2^(T-1) sets S without i
        # n! (T - n - 1)! / T!, written with a binomial coefficient, which stays small
        weights = [1 / (size * math.comb(size - 1, n)) for n in count[without].tolist()]
        gains = values[without + 2**i] - values[without]  # adding 2^i sets bit i: v(S + i) - v(S)
        phi.append(torch.tensordot(gains.new_tensor(weights), gains, 1))
    return torch.stack(phi)


def shapley(
    lm: TextModel,
    text: str,
    target: str,
    foil: str | None = None,
    *,
    output: str = "logprob",
    baseline: Baseline | str | None = None,
    samples: int | None = None,
    seed: int = 0,
) -> Attribution:
    """Shapley values of the tokens, exact or by sampling orders.

    Parameters
    ----------
    lm, text, target, foil, output, baseline :
        As in `erasure`.
    samples : int, optional
        Number of orders drawn; default: exact, for at most 12 tokens.
    seed : int
        Of the orders.

    Returns
    -------
    Attribution
        Signed scores in the unit of `output`; positive = supports the target. They sum to value
        - base_value up to rounding (`gap`). Standard errors where orders or baselines are drawn.

    Raises
    ------
    ValueError
        As `erasure`; for more than 12 tokens without `samples`, with the cost of both ways.

    Notes
    -----
    Cost: 2^T forward passes, or at most samples * (T - 1) + 2, times the draws of the baseline;
    batched, equal texts and shared beginnings once. Sources: Shapley 1953; sampling: Castro et
    al. 2009; for models: Lundberg & Lee 2017.

    Examples
    --------
    >>> from course_lib import load_model
    >>> result = shapley(load_model(), "The two dogs", "sleep", "sleeps")
    >>> result.passes, abs(result.gap) < 1e-5
    (8, True)
    """
    question = ask(lm, text, target, foil, output)
    baseline = as_baseline(baseline)
    size = len(question.ids) - 1
    if samples is None:
        if size > EXACT_LIMIT:
            raise ValueError(
                f"Exact Shapley values of {size} tokens need 2^{size} = {2**size:,} forward "
                f"passes; the limit is {EXACT_LIMIT} tokens. Sample orders instead: samples=200 "
                f"needs at most {200 * (size - 1) + 2:,}."
            )
        values = coalition_values(question, all_coalitions(size), baseline)  # [2^T, K]
        empty, how, seed = values[0], "exact", getattr(baseline, "seed", None)
        # [T, K]: the Shapley values of each draw of the baseline, then their mean
        scores, errors = mean_and_error(shapley_values(values))
    elif samples < 2:
        raise ValueError(f"samples must be at least 2 for a standard error, got {samples}.")
    else:
        gains, empty = _gains(question, baseline, size, samples, seed)  # [M, T, K], [K]
        how = f"{samples} sampled orders"
        scores, from_draws = mean_and_error(gains.mean(0))
        # two sources of noise: the orders [T, M], and the draws of the baseline [T, K]
        errors = combine_errors(mean_and_error(gains.mean(-1).T)[1], from_draws)
    return answer(
        question, f"Shapley values ({how})", scores, baseline=baseline.describe(lm),
        std_errors=errors, base_value=float(empty.mean()), seed=seed,
    )  # fmt: skip


def _gains(question, baseline, size: int, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """What each token adds in each sampled order [M, T, K], and the values of nothing [K]."""
    generator = torch.Generator().manual_seed(seed)
    # [M, T]
    orders = torch.stack([torch.randperm(size, generator=generator) for _ in range(samples)])
    rank = orders.argsort(1)  # when token i enters
    # step k of an order has the tokens that entered before: [M, 1, T] < [T + 1, 1]
    keep = rank[:, None, :] < torch.arange(size + 1)[:, None]  # [M, T + 1, T]
    # many orders share their first and last steps: each set is looked at once
    masks, back = torch.unique(keep.view(-1, size), dim=0, return_inverse=True)
    # [sets, K] -> [M * (T + 1), K] -> [M, T + 1, K]
    values = coalition_values(question, masks, baseline)[back].unflatten(0, (samples, size + 1))
    gains = values.diff(dim=1)  # [M, T, K] in order of entering
    # sorted by token: token i entered at place rank[:, i]
    return gains[torch.arange(samples)[:, None], rank], values[0, 0]


def lime_weights(keep: Tensor, width: float = 0.25) -> Tensor:
    """Weight of masks [N, T] by their nearness to the whole text: exp(-(1 - cosine)^2 / width^2).

    The cosine between a mask with n of T tokens and the whole text is sqrt(n / T).
    """
    distance = 1 - keep.double().mean(1).sqrt()  # [N]
    return torch.exp(-((distance / width) ** 2))


def weighted_fit(keep: Tensor, values: Tensor, weights: Tensor, ridge: float = 0.0):
    """Weighted least squares of values [N] on presence [N, T]: coefficients, errors, R^2.

    beta = argmin sum_n weight_n (v_n - beta_0 - beta . keep_n)^2 + ridge * |beta|^2

    Returns beta [T + 1] (the intercept first), its heteroscedasticity-consistent standard errors
    [T + 1] and the share of the weighted variance explained.
    """
    design = torch.cat([torch.ones(len(keep), 1).double(), keep.double()], 1)  # [N, 1 + T]
    penalty = ridge * torch.eye(design.shape[1]).double()
    penalty[0, 0] = 0  # the intercept is free
    # [1 + T, 1 + T]; a pseudo-inverse, since a token that no mask lacks looks like the intercept
    inverse = torch.linalg.pinv(design.T @ (weights[:, None] * design) + penalty, hermitian=True)
    beta = inverse @ (design.T @ (weights * values))
    residual = values - design @ beta
    # the sandwich of White (1980): residuals need not have the same variance everywhere, and here
    # they never have, since the model is no linear function
    meat = design.T @ ((weights * residual) ** 2)[:, None].mul(design)
    errors = (inverse @ meat @ inverse).diagonal().clamp_min(0).sqrt()
    centred = values - (weights * values).sum() / weights.sum()  # about the weighted mean
    unexplained = (weights * residual**2).sum() / (weights * centred**2).sum().clamp_min(1e-300)
    return beta, errors, 1 - float(unexplained)


def lime(
    lm: TextModel,
    text: str,
    target: str,
    foil: str | None = None,
    *,
    output: str = "logprob",
    baseline: Baseline | str | None = None,
    samples: int = 256,
    width: float = 0.25,
    ridge: float = 0.0,
    seed: int = 0,
) -> Attribution:
    """LIME: coefficients of a linear fit to the metric on texts with random tokens missing.

    Parameters
    ----------
    lm, text, target, foil, output, baseline :
        As in `erasure`.
    samples : int
        Masks drawn: first how many tokens are missing, then which. All 2^T - 1 texts with a
        missing token are taken, each once, if they are not more than that. The whole text is
        always among them.
    width : float
        Of the kernel that weighs masks by nearness (`lime_weights`).
    ridge : float
        Penalty on the squared coefficients; the intercept is free.
    seed : int

    Returns
    -------
    Attribution
        Signed coefficients in the unit of `output`; positive = supports the target. Standard
        errors are those of the fit. The note gives the explained share R^2: a low one says that
        no linear function describes the model here.

    Raises
    ------
    ValueError
        As `erasure`; for fewer samples than coefficients (T + 1).

    Notes
    -----
    Cost: at most samples + 1 forward passes, times the draws of the baseline.
    Source: Ribeiro et al. 2016.

    Examples
    --------
    >>> from course_lib import load_model
    >>> result = lime(load_model(), "Can you stop the dog from", "barking", "crying", samples=64)
    >>> len(result.scores), result.note.startswith("R^2")
    (6, True)
    """
    question = ask(lm, text, target, foil, output)
    baseline = as_baseline(baseline)
    size = len(question.ids) - 1
    if samples < size + 1:
        raise ValueError(
            f"LIME fits {size + 1} numbers for {size} tokens and needs at least as many samples, "
            f"got {samples}. Use samples=256 or more."
        )
    keep = _lime_masks(size, samples, seed)
    values = coalition_values(question, keep, baseline).mean(-1)  # [N, K] -> [N]
    beta, errors, explained = weighted_fit(keep, values, lime_weights(keep, width), ridge)
    return answer(
        question, "LIME", beta[1:], baseline=baseline.describe(lm), std_errors=errors[1:],
        seed=seed, note=f"R^2 {explained:.2f}, kernel width {width}, {len(keep)} masks",
    )  # fmt: skip


def _lime_masks(size: int, samples: int, seed: int) -> Tensor:
    if 2**size - 1 <= samples:
        return all_coalitions(size)
    generator = torch.Generator().manual_seed(seed)
    missing = torch.randint(1, size + 1, (samples, 1), generator=generator)  # how many, 1 ... T
    # argsort twice turns random numbers into random ranks: those below `missing` are taken out
    rank = torch.rand(samples, size, generator=generator).argsort(1).argsort(1)
    # the whole text first
    return torch.cat([torch.ones(1, size, dtype=torch.bool), rank >= missing])
