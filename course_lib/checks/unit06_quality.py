"""Checks of 06.4: sparsity, faithfulness and dead features of a dictionary (see unit06.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_table, compare

# --- 06.4 quality(x, x_hat, f) -> dict -----------------------------------------------------------

MEASURES = ("l0", "fvu", "dead")


def quality_inputs(rng: np.random.Generator, tokens: int, width: int, features: int, dead: int):
    """States far from 0, reconstructions with a bias, activations with ``dead`` unused features."""
    x = rng.normal(size=(tokens, width)) * rng.uniform(0.5, 3, size=width)
    x += rng.uniform(2, 4, size=width) * rng.choice([-1, 1], size=width)
    x *= rng.uniform(0.6, 1.6, size=(tokens, 1))
    x_hat = x + rng.normal(size=(tokens, width)) * 0.6 + rng.uniform(0.3, 0.8, size=width)
    f = rng.uniform(0.05, 3, size=(tokens, features))
    f *= rng.random(size=f.shape) < rng.uniform(0.15, 0.6, size=features)
    places = rng.permutation(features)
    empty, full = rng.choice(tokens, size=2, replace=False)
    f[full, places[dead:]] = rng.uniform(0.05, 0.3, size=features - dead)
    f[:, places[:dead]] = 0
    f[empty] = 0  # a token with no active feature
    return tuple(torch.tensor(table) for table in (x, x_hat, f))


def right_quality(x, x_hat, f) -> dict[str, float]:
    x, x_hat, f = (table.double().numpy() for table in (x, x_hat, f))
    return {
        "l0": float((f > 0).sum(1).mean()),
        "fvu": float(((x - x_hat) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()),
        "dead": float((~(f > 0).any(0)).mean()),
    }


def quality_answer(student, *given) -> dict[str, float]:
    return as_table(student(*given), set(MEASURES))


def variance_unexplained(student, rng):
    for tokens, width, features, dead in ((6, 3, 8, 2), (9, 5, 6, 1), (20, 2, 5, 3)):
        x, x_hat, f = quality_inputs(rng, tokens, width, features, dead)
        got = quality_answer(student, x, x_hat, f)["fvu"]
        right = right_quality(x, x_hat, f)["fvu"]
        rest, centred = (x - x_hat).numpy(), (x - x.mean(0)).numpy()
        squares, around = rest**2, centred**2
        of_rest = ((rest - rest.mean(0)) ** 2).sum()
        mistakes = {
            "You took a ratio for each token and averaged the ratios. A token near the mean then "
            "counts beyond measure: add up both sums over all tokens, then divide.": (
                squares.sum(1) / around.sum(1)
            ).mean(),
            "You took a ratio for each dimension and averaged the ratios. Dimensions that hardly "
            "vary then count as much as the others: add up both sums, then divide.": (
                squares.sum(0) / around.sum(0)
            ).mean(),
            "You took the variance of the error, which forgives a constant error. Sum its "
            "squares.": of_rest / around.sum(),
            "You did not subtract the mean from x in the denominator. States lie far from 0, and "
            "the length of the mean is no variance.": squares.sum() / (x.numpy() ** 2).sum(),
            "You subtracted one mean for all dimensions; each dimension has its own "
            "mean.": squares.sum() / ((x.numpy() - x.numpy().mean()) ** 2).sum(),
            "You subtracted the mean over the dimensions; subtract the mean over tokens "
            "(axis 0).": squares.sum()
            / ((x.numpy() - x.numpy().mean(1, keepdims=True)) ** 2).sum(),
            "You divided by the variance of the reconstruction; divide by that of x.": squares.sum()
            / ((x_hat - x_hat.mean(0)) ** 2).sum().item(),
            "This is the explained fraction. Unexplained is 1 minus that.": 1 - right,
            "This is 1 minus the variance of the error over that of x: the explained fraction, "
            "and it forgives a constant error.": 1 - of_rest / around.sum(),
            "You took the root of the ratio; variances are squares.": np.sqrt(right),
            "You did not divide by the variance of x.": squares.sum(1).mean(),
            "You did not divide by the variance of x. ": squares.mean(),
            "One sum is divided by N and the other by N - 1. Both run over the same "
            "tokens.": right * (tokens - 1) / tokens,
                "You divided the mean over dimensions by a sum over dimensions.": right / width,
            "You divided the sum over dimensions by a mean over dimensions.": right * width,
            "You averaged lengths instead of squares.": np.sqrt(squares.sum(1)).mean()
            / np.sqrt(around.sum(1)).mean(),
            "You took the variance that x_hat has and x has not: 1 minus the ratio of their "
            "variances. Sum the squares of x - x_hat.": 1
            - ((x_hat - x_hat.mean(0)) ** 2).sum().item() / around.sum(),
            "You turned the ratio round: the error is the numerator.": 1 / right,
        }  # fmt: skip
        otherwise = (
            "Wrong fvu: the squared errors of all tokens, over the squared distances of all tokens "
            "from the mean state."
        )
        compare(got, right, mistakes, otherwise)
        by_mean = quality_answer(student, x, x.mean(0).expand_as(x).clone(), f)["fvu"]
        compare(by_mean, 1.0, {}, "Predicting the mean state leaves everything unexplained: 1.")


def active_features(student, rng):
    for tokens, width, features, dead in ((5, 3, 9, 2), (8, 2, 6, 1), (4, 4, 11, 5)):
        x, x_hat, f = quality_inputs(rng, tokens, width, features, dead)
        got, right = quality_answer(student, x, x_hat, f), right_quality(x, x_hat, f)
        codes = f.numpy()
        on = codes > 0
        mistakes = {
            "You returned the share of active features; L0 is their number for a token.": (
                on.mean()
            ),
            "You counted over all tokens; take the mean over tokens.": on.sum(),
            "You counted the features that are active anywhere. L0 counts for each token and "
            "averages over tokens.": features - dead,
            "You counted tokens for each feature; count features for each token.": on.sum(0).mean(),
            "You added the activations up (L1). L0 counts those above 0, whatever their "
            "size.": codes.sum(1).mean(),
            "You left the tokens without any active feature out. They count, with 0.": on.sum(1)[
                on.any(1)
            ].mean(),
            "You counted activations of 0 as active.": float(features),
            "You counted the features that are 0.": (~on).sum(1).mean(),
            "You took the most that any token has; take the mean.": on.sum(1).max(),
            "You took the median over tokens; take the mean.": np.median(on.sum(1)),
            "Small activations were left out. Active is everything above 0.": (codes > 0.5)
            .sum(1)
            .mean(),
            "Small activations were left out. Active is everything above 0. ": (codes > 1)
            .sum(1)
            .mean(),
            "Small activations were left out. Active is everything above 0.  ": (codes > 0.1)
            .sum(1)
            .mean(),
        }
        otherwise = "Wrong l0: for each token the number of features above 0, and the mean of that."
        compare(got["l0"], right["l0"], mistakes, otherwise)
        mistakes = {
            "You returned the share of features that are alive.": 1 - right["dead"],
            "You returned the number of dead features; return their share.": float(dead),
            "You counted the zeros of all tokens. A feature is dead if it is 0 on every "
            "token.": (~on).mean(),
            "You counted tokens without an active feature. Dead is a feature without an active "
            "token.": (~on.any(1)).mean(),
            "You counted features that are 0 on some token. Dead are those that are 0 on every "
            "token.": (~on).any(0).mean(),
            "You counted features of small mean activation. A rare feature is not dead: one token "
            "is enough.": (codes.mean(0) < 0.1).mean(),
            "You divided by the number of tokens; divide by the number of features.": dead / tokens,
            "You counted features active on one token at most; one token is enough to be "
            "alive.": (on.sum(0) <= 1).mean(),
        }  # fmt: skip
        otherwise = "Wrong dead: the share of features that are 0 on every token."
        compare(got["dead"], right["dead"], mistakes, otherwise)
