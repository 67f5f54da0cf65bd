"""Checks of 06.2 and 06.3: the loss, and a step of the decoder (see unit06.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_table, compare
from course_lib.checks.results import Wrong
from course_lib.checks.unit06_coding import as_array

# --- 06.2 sparse_loss(x, x_hat, f, decoder, penalty) -> dict ------------------------------------

TERMS = ("reconstruction", "sparsity", "loss")


def loss_inputs(rng: np.random.Generator, tokens: int, width: int, features: int):
    """States, reconstructions, activations (about half are 0) and directions of any length."""
    x = rng.normal(size=(tokens, width)) * 2
    x_hat = x + rng.normal(size=(tokens, width)) * rng.uniform(0.3, 3, size=(tokens, 1))
    f = np.maximum(rng.normal(size=(tokens, features)) * 2 + 0.3, 0)
    f[0, 0] += 1.5
    decoder = rng.normal(size=(features, width)) * rng.uniform(0.3, 3, size=(features, 1))
    return tuple(torch.tensor(table) for table in (x, x_hat, f, decoder))


def right_loss(x, x_hat, f, decoder, penalty) -> dict[str, float]:
    x, x_hat, f, decoder = (table.double().numpy() for table in (x, x_hat, f, decoder))
    error = float(((x - x_hat) ** 2).sum(1).mean())
    sparse = float((f * np.sqrt((decoder**2).sum(1))).sum(1).mean())
    return {"reconstruction": error, "sparsity": sparse, "loss": error + penalty * sparse}


def loss_answer(student, *given) -> dict[str, float]:
    return as_table(student(*given), set(TERMS))


def reconstruction_error(student, rng):
    for tokens, width, features in ((4, 3, 6), (7, 5, 4), (2, 6, 3)):
        x, x_hat, f, decoder = loss_inputs(rng, tokens, width, features)
        penalty = float(rng.uniform(0.2, 0.8))
        got = loss_answer(student, x, x_hat, f, decoder, penalty)["reconstruction"]
        right = right_loss(x, x_hat, f, decoder, penalty)["reconstruction"]
        errors, plain = ((x - x_hat) ** 2).numpy(), x.numpy()
        lengths = np.sqrt(errors.sum(1))
        spread = ((plain - plain.mean(0)) ** 2).sum()
        mistakes = {
            "You took the mean over the dimensions of the state. The squared length of the error "
            "is their sum; only tokens are averaged.": errors.mean(),
            "You added the tokens up. Sum over the dimensions, then take the mean over tokens, or "
            "the balance with the sparsity depends on the size of the batch.": errors.sum(),
            "You took the mean over the dimensions and the sum over the tokens; it is the other "
            "way round.": errors.mean(1).sum(),
            "You took the length of the error; the loss has its square.": lengths.mean(),
            "You took the length of the error of the whole batch.": np.sqrt(errors.sum()),
            "You took the root of the mean; there is no root.": np.sqrt(right),
            "You took absolute differences; the loss has squared ones.": abs(plain - x_hat.numpy())
            .sum(1)
            .mean(),
            "You divided by the variance of x. That is a fraction; the loss keeps the unit of "
            "x squared.": errors.sum() / spread,
            "You divided by 2; here there is no factor 1/2.": right / 2,
            "You averaged the vectors before you squared: errors of opposite sign must not "
            "cancel.": (((plain - x_hat.numpy()).mean(0)) ** 2).sum(),
            "You squared the sum of the differences; square each difference, then sum.": (
                (plain - x_hat.numpy()).sum(1) ** 2
            ).mean(),
            "This is the penalty times the error. The penalty weighs the sparsity.": penalty
            * right,
            "The difference is taken of the squares; square the difference.": (
                plain**2 - x_hat.numpy() ** 2
            )
            .sum(1)
            .mean(),
        }  # fmt: skip
        otherwise = (
            "Wrong reconstruction error: the squared length of x - x_hat for each token, and the "
            "mean of that over tokens."
        )
        compare(got, right, mistakes, otherwise)


def sparsity(student, rng):
    for tokens, width, features in ((4, 3, 6), (6, 4, 4), (3, 2, 9)):
        x, x_hat, f, decoder = loss_inputs(rng, tokens, width, features)
        penalty = float(rng.uniform(0.2, 0.8))
        got = loss_answer(student, x, x_hat, f, decoder, penalty)["sparsity"]
        right = right_loss(x, x_hat, f, decoder, penalty)["sparsity"]
        codes, rows = f.numpy(), decoder.numpy()
        lengths = np.sqrt((rows**2).sum(1))
        parts = codes * lengths
        mistakes = {
            "You left out the lengths of the directions. Without them the loss falls by making "
            "every activation small and every direction long.": codes.sum(1).mean(),
            "You multiplied by the squared length of each direction; use the length.": (
                codes * lengths**2
            )
            .sum(1)
            .mean(),
            "You divided by the length of each direction; multiply by it.": (codes / lengths)
            .sum(1)
            .mean(),
            "You used the sum of absolute entries as length of a direction; use the root of the "
            "sum of squares.": (codes * abs(rows).sum(1)).sum(1).mean(),
            "You took the mean over features. Sum over features, mean over tokens.": parts.mean(),
            "You added the tokens up. Sum over features, mean over tokens.": parts.sum(),
            "You took the mean over features and the sum over tokens; it is the other way "
            "round.": parts.mean(1).sum(),
            "You counted the active features (L0). The loss has the sum of the activations (L1): "
            "a count has no gradient.": (codes > 0).sum(1).mean(),
            "You squared the activations. The square hardly punishes small ones, so nothing "
            "becomes exactly 0.": (parts**2).sum(1).mean(),
            "You squared the activations. The square hardly punishes small ones, so nothing "
            "becomes exactly 0. ": (codes**2).sum(1).mean(),
            "You took the Euclidean length of the code; sum the activations.": np.sqrt(
                (parts**2).sum(1)
            ).mean(),
            "You averaged over the active features only; sum over features.": parts.sum()
            / (codes > 0).sum(),
            "The penalty is multiplied in already. It belongs to the loss; `sparsity` is the "
            "term without it.": penalty * right,
            "You multiplied with the length of the whole decoder; each feature has the length of "
            "its own row.": codes.sum(1).mean() * np.sqrt((rows**2).sum()),
            "You used one mean length for all features; each has the length of its own "
            "row.": codes.sum(1).mean() * lengths.mean(),
        }  # fmt: skip
        if rows.shape[0] == rows.shape[1]:
            columns = np.sqrt((rows**2).sum(0))
            by_columns = "You used the columns of the decoder; row i is the direction of feature i."
            mistakes[by_columns] = (codes * columns).sum(1).mean()
        otherwise = (
            "Wrong sparsity: each activation times the length of its direction, summed over "
            "features, mean over tokens."
        )
        compare(got, right, mistakes, otherwise)


def whole_loss(student, rng):
    for penalty in (0.4, 3.0, 0.02):
        given = loss_inputs(rng, 5, 4, 6)
        got = loss_answer(student, *given, penalty)
        right = right_loss(*given, penalty)
        error, sparse = right["reconstruction"], right["sparsity"]
        mistakes = {
            "The penalty is missing: loss = reconstruction + penalty * sparsity.": error + sparse,
            "The sparsity is missing in the loss.": error,
            "The reconstruction is missing in the loss.": penalty * sparse,
            "The penalty multiplies the reconstruction. It weighs the sparsity.": penalty * error
            + sparse,
            "The penalty multiplies both terms; it weighs the sparsity alone.": penalty
            * (error + sparse),
            "The penalty enters twice.": error + penalty**2 * sparse,
            "The sparsity is subtracted; a code with large activations costs more.": error
            - penalty * sparse,
            "You mixed the terms as (1 - penalty) and penalty; the reconstruction has weight 1.": (
                1 - penalty
            )
            * error
            + penalty * sparse,
            "You divided by the penalty; multiply.": error + sparse / penalty,
        }
        otherwise = "loss must be reconstruction + penalty * sparsity."
        compare(got["loss"], right["loss"], mistakes, otherwise)


# --- 06.3 decoder_step(decoder, gradient, rate) -> Tensor [F, d] --------------------------------


def unit_rows(table: np.ndarray) -> np.ndarray:
    return table / np.linalg.norm(table, axis=-1, keepdims=True)


def step_inputs(rng: np.random.Generator, features: int, width: int):
    """Directions of length 1 and a gradient that has a part along each of them."""
    decoder = unit_rows(rng.normal(size=(features, width)))
    along = rng.uniform(0.5, 2, size=(features, 1)) * rng.choice([-1, 1], size=(features, 1))
    gradient = rng.normal(size=(features, width)) + along * decoder
    return torch.tensor(decoder), torch.tensor(gradient)


def right_step(decoder, gradient, rate: float) -> np.ndarray:
    unit = unit_rows(decoder.double().numpy())
    slope = gradient.double().numpy()
    across = slope - (slope * unit).sum(1, keepdims=True) * unit
    return unit_rows(unit - rate * across)


def step_answer(student, decoder, gradient, rate: float) -> np.ndarray:
    answer = student(decoder, gradient, rate)
    hint = "The new decoder has the shape of the old one."
    return as_array(answer, tuple(decoder.shape), "the new decoder", hint)


def step_length(student, rng):
    for features, width, rate in ((5, 4, 0.3), (3, 6, 0.05), (4, 4, 1.0)):
        decoder, gradient = step_inputs(rng, features, width)
        got = step_answer(student, decoder, gradient, rate)
        lengths = np.linalg.norm(got, axis=1)
        if np.allclose(np.linalg.norm(got, axis=0), 1) and not np.allclose(lengths, 1):
            raise Wrong("You normalised the columns. Row i of the decoder is a direction.")
        if abs(np.linalg.norm(got) - 1) < 1e-6 and features > 1:
            raise Wrong("You normalised the decoder as a whole; each row gets the length 1.")
        if lengths.min() < 1 - 1e-6 and abs(lengths.max() - 1) < 1e-6:
            raise Wrong("You divided by the longest row; each row has a length of its own.")
        if np.allclose(abs(got).sum(1), 1) and not np.allclose(lengths, 1):
            raise Wrong("The absolute entries of each row sum to 1; its length has to be 1.")
        if not np.allclose(lengths, 1, atol=1e-6):
            raise Wrong(
                f"After the step row lengths lie between {lengths.min():.3f} and "
                f"{lengths.max():.3f}. Each row is divided by its length at the very end."
            )
        if np.allclose(got, decoder.numpy()):
            raise Wrong("The decoder did not move although the gradient is not 0.")


def step_direction(student, rng):
    for features, width, rate in ((5, 4, 0.4), (3, 6, 0.1), (4, 4, 1.5)):
        decoder, gradient = step_inputs(rng, features, width)
        got = step_answer(student, decoder, gradient, rate)
        unit, slope = decoder.numpy(), gradient.numpy()
        along = (slope * unit).sum(1, keepdims=True) * unit
        across = slope - along
        columns = slope - (slope * unit).sum(0, keepdims=True) * unit
        whole = slope - (slope * unit).sum() * unit
        moved = unit_rows(unit - rate * slope)
        mistakes = {
            "You moved along the whole gradient and normalised afterwards. First remove the part "
            "of the gradient along the direction: it only changes the length.": moved,
            "You climbed. A step goes against the gradient: minus rate times it.": unit_rows(
                unit + rate * across
            ),
            "You climbed, and along the whole gradient.": unit_rows(unit + rate * slope),
            "You added the part along the direction; subtract it.": unit_rows(
                unit - rate * (slope + along)
            ),
            "You kept the part of the gradient along the direction, and removed the other "
            "one.": unit_rows(unit - rate * along),
            "You summed over the features for the part along the direction; each feature has its "
            "own row: sum over d.": unit_rows(unit - rate * columns),
            "You took one inner product for the whole decoder; each row has its own.": unit_rows(
                unit - rate * whole
            ),
            "The rate is missing.": unit_rows(unit - across),
            "You removed the part along the direction from the new rows and not from the "
            "gradient.": unit_rows(moved - (moved * unit).sum(1, keepdims=True) * unit),
            "You made the gradient unit length. The step keeps the size of the "
            "gradient.": unit_rows(unit - rate * unit_rows(across)),
            "You made the gradient unit length. The step keeps the size of the "
            "gradient. ": unit_rows(unit - rate * unit_rows(slope)),
            "You divided the inner product by the length of the gradient.": unit_rows(
                unit - rate * (slope - along / np.linalg.norm(slope, axis=1, keepdims=True))
            ),
            "You did the step twice.": right_step(
                torch.tensor(unit - rate * across), gradient, rate
            ),
            "You returned the decoder as it was.": unit,
        }  # fmt: skip
        otherwise = (
            "Wrong new directions. Gradient minus its part along the direction; direction minus "
            "rate times that; each row divided by its length."
        )
        compare(got, right_step(decoder, gradient, rate), mistakes, otherwise)
        upright = torch.tensor(unit * rng.uniform(0.5, 2, size=(features, 1)))
        same = step_answer(student, decoder, upright, 0.3)
        otherwise = "A gradient along the direction changes nothing: all of it is removed."
        compare(same, unit, {}, otherwise)
