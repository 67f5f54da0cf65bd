"""Checks of 06.1: encoding and decoding; and the reading of arrays and pairs (see unit06.py)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from course_lib.checks.calling import as_vector, compare
from course_lib.checks.results import Wrong

# --- reading answers -----------------------------------------------------------------------


def as_array(answer: Any, shape: tuple[int, ...], what: str, hint: str = "") -> np.ndarray:
    """The answer as a finite float64 array of this shape, or :class:`Wrong`."""
    if isinstance(answer, (list, tuple)):
        try:
            answer = np.array(
                [torch.as_tensor(row).detach().cpu().double().numpy() for row in answer]
            )
        except Exception as error:  # rows of unequal length, or strange objects
            raise Wrong(f"{what} is not a table of numbers ({type(error).__name__}).") from None
    if isinstance(answer, (torch.Tensor, np.ndarray)) and answer.ndim != 1:
        found = tuple(int(n) for n in answer.shape)
        if found != shape:
            raise Wrong(f"{what} must have shape {list(shape)}; yours has {list(found)}. {hint}")
        answer = answer.reshape(-1)
    elif len(shape) != 1 and isinstance(answer, (torch.Tensor, np.ndarray)):
        raise Wrong(f"{what} must have shape {list(shape)}; yours has {list(answer.shape)}. {hint}")
    return as_vector(answer, math.prod(shape), what, hint).reshape(shape)


def as_pair(answer: Any, what: str) -> tuple[Any, Any]:
    """The answer as two things, or :class:`Wrong`."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Wrong(f"Return two things, {what}.")
    return answer[0], answer[1]


# --- 06.1 autoencode(x, encoder, encoder_bias, decoder, decoder_bias, k) -> (f, x_hat) ----------

ORDER = "f and x_hat: return f, x_hat"


def dictionary(rng: np.random.Generator, width: int, features: int) -> dict[str, torch.Tensor]:
    """A random autoencoder: encoder [d, F], its bias [F], decoder [F, d], its bias [d]."""
    sizes = {
        "encoder": (width, features),
        "encoder_bias": (features,),
        "decoder": (features, width),
        "decoder_bias": (width,),
    }
    arrays = {name: rng.normal(size=size) for name, size in sizes.items()}
    arrays["encoder_bias"] += rng.choice([-1.0, 1.0], size=features)
    arrays["decoder_bias"] += rng.choice([-2.0, 2.0], size=width)
    return {name: torch.tensor(array) for name, array in arrays.items()}


def states(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.tensor(rng.normal(size=shape) * 1.5)


def keep_largest(f: np.ndarray, k: int) -> np.ndarray:
    """The k largest entries of each last axis, the others 0; of equal ones the first stay."""
    order = np.argsort(-f, axis=-1, kind="stable")
    kept = np.zeros_like(f)
    np.put_along_axis(kept, order[..., :k], np.take_along_axis(f, order[..., :k], -1), -1)
    return kept


def right_code(x, sae, k=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pre-activations, f and x_hat."""
    x, (e, eb, d, db) = x.double().numpy(), (table.double().numpy() for table in sae.values())
    before = (x - db) @ e + eb
    f = np.maximum(before, 0)
    f = f if k is None else keep_largest(f, k)
    return before, f, f @ d + db


def code_answer(student, x, sae, k=None) -> tuple[np.ndarray, np.ndarray]:
    """What the student's function returns, as arrays of the right shapes."""
    given = (x, *sae.values())
    answer = student(*given) if k is None else student(*given, k)
    f, x_hat = as_pair(answer, ORDER)
    features = sae["encoder"].shape[1]
    shape = (*x.shape[:-1], features)
    if getattr(f, "shape", None) == x.shape != shape and getattr(x_hat, "shape", None) == shape:
        raise Wrong(f"The two results are swapped. Return {ORDER}")
    hint = "One activation for each feature at the end: x @ encoder has it."
    return as_array(f, shape, "f", hint), as_array(x_hat, tuple(x.shape), "x_hat")


def wrong_codes(x, sae) -> dict[str, np.ndarray]:
    """What well-known slips give as activations of all features."""
    x, (e, eb, d, db) = x.numpy(), (table.numpy() for table in sae.values())
    before = (x - db) @ e + eb

    def relu(values):
        return np.maximum(values, 0)

    def tanh_gelu(v):
        return 0.5 * v * (1 + np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))

    exponents = np.exp(before - before.max(-1, keepdims=True))
    mistakes = {
        "The bias of the decoder is not subtracted: features describe how x differs from "
        "decoder_bias, so the encoder reads x - decoder_bias.": relu(x @ e + eb),
        "You added the bias of the decoder before the encoder; subtract it.": relu(
            (x + db) @ e + eb
        ),
        "You subtracted the bias of the encoder; add it.": relu((x - db) @ e - eb),
        "The bias of the encoder is missing.": relu((x - db) @ e),
        "Activations are negative: the ReLU is missing. A feature is absent (0) or present (> 0), "
        "never present to a negative degree.": before,
        "You took absolute values. A feature with a negative pre-activation is absent: its "
        "activation is 0.": abs(before),
        "The ReLU comes before the bias is added; it comes last.": relu((x - db) @ e) + eb,
        "There is a ReLU at the input as well: x - decoder_bias may be negative.": relu(
            relu(x - db) @ e + eb
        ),
        "You encoded with the directions of the decoder. The encoder has weights of its own.": relu(
            (x - db) @ d.T + eb
        ),
        "You returned 1 for each active feature; the activation says how strongly.": (
            before > 0
        ).astype(float),
        "This is a sigmoid. Use the ReLU: most activations are exactly 0.": 1
        / (1 + np.exp(-before)),
        "This is a softmax. Features do not compete for a sum of 1; use the ReLU.": exponents
        / exponents.sum(-1, keepdims=True),
        "This is a GELU. Use the ReLU: most activations are exactly 0.": tanh_gelu(before),
        "This is a softplus. Use the ReLU: most activations are exactly 0.": np.logaddexp(
            0, before
        ),
        "The activations are divided by their length; they keep the scale of x.": relu(before)
        / np.maximum(np.linalg.norm(relu(before), axis=-1, keepdims=True), 1e-12),
    }  # fmt: skip
    if e.shape[0] == e.shape[1]:
        turned = relu((x - db) @ e.T + eb)
        mistakes["The encoder is transposed. It is [d, F]: x @ encoder."] = turned
    return mistakes


def activations(student, rng):
    for tokens, width, features in ((5, 4, 7), (6, 5, 5), (1, 3, 20)):
        sae, x = dictionary(rng, width, features), states(rng, tokens, width)
        f, _ = code_answer(student, x, sae)
        otherwise = "Wrong activations: f = ReLU((x - decoder_bias) @ encoder + encoder_bias)."
        compare(f, right_code(x, sae)[1], wrong_codes(x, sae), otherwise)


def wrong_reconstructions(x, sae, before, f, x_hat) -> dict[str, np.ndarray]:
    """What well-known slips give as x_hat, from the right activations."""
    e, _, d, db = (table.numpy() for table in sae.values())
    lengths = np.linalg.norm(d, axis=1, keepdims=True)
    mistakes = {
        "The bias of the decoder is missing in x_hat: it was subtracted before the encoder, and "
        "comes back here.": f @ d,
        "You subtracted the bias of the decoder in x_hat; add it.": f @ d - db,
        "You decoded from the values before the ReLU. The reconstruction is made of the "
        "activations.": before @ d + db,
        "The reconstruction went through a ReLU; states of a model are negative as often as "
        "positive.": np.maximum(x_hat, 0),
        "You decoded with the transposed encoder. The decoder has directions of its own.": f @ e.T
        + db,
        "You made the directions of the decoder unit length first; take them as given.": f
        @ (d / lengths)
        + db,
        "You averaged over the active features; the reconstruction is their sum.": (
            f @ d / np.maximum((f > 0).sum(-1, keepdims=True), 1) + db
        ),
        "You returned what the reconstruction misses, x - x_hat.": x.numpy() - x_hat,
        "You returned x itself.": x.numpy(),
    }
    if d.shape[0] == d.shape[1]:
        mistakes["The decoder is transposed. It is [F, d]: f @ decoder."] = f @ d.T + db
    return mistakes


def reconstruction(student, rng):
    for tokens, width, features in ((4, 3, 8), (5, 4, 4), (7, 6, 2)):
        sae, x = dictionary(rng, width, features), states(rng, tokens, width)
        _, got = code_answer(student, x, sae)
        before, f, x_hat = right_code(x, sae)
        otherwise = (
            "Wrong reconstruction: x_hat = f @ decoder + decoder_bias, the bias plus each "
            "direction times its activation."
        )
        compare(got, x_hat, wrong_reconstructions(x, sae, before, f, x_hat), otherwise)


def largest(student, rng):
    for tokens, width, features, k in ((5, 4, 12, 3), (6, 3, 9, 1), (4, 5, 10, 4)):
        sae, x = dictionary(rng, width, features), states(rng, tokens, width)
        sae["encoder_bias"] += 1  # so that most vectors have more than k positive values
        got, x_hat = code_answer(student, x, sae, k)
        before, f, right = right_code(x, sae, k)
        full = np.maximum(before, 0)
        strongest = np.argsort(-abs(before), -1, kind="stable")[:, :k]
        by_size, signed = np.zeros_like(full), np.zeros_like(full)
        np.put_along_axis(by_size, strongest, np.take_along_axis(full, strongest, -1), -1)
        np.put_along_axis(signed, strongest, np.take_along_axis(before, strongest, -1), -1)
        least = full * (np.argsort(np.argsort(full, -1, kind="stable"), -1) < k)
        lowest = np.sort(full, -1)[:, [-k]]
        kept = np.where(full > 0, full, np.inf)
        mistakes = {
            "k makes no difference to your activations: keep the k largest of each vector.": full,
            "You kept one feature too many.": keep_largest(full, k + 1),
            "You kept one feature too few: the k-th largest stays too.": keep_largest(full, k - 1),
            "You kept the k largest of each feature over the tokens (axis 0). Each vector keeps "
            "its own k: the last axis.": keep_largest(full.T, k).T,
            "You kept k times N activations of the whole batch. Each vector keeps its own k, or "
            "it would depend on its neighbours.": keep_largest(
                full.reshape(-1), k * tokens
            ).reshape(full.shape),
            "You kept k activations of the whole batch. Each vector keeps its own k.": keep_largest(
                full.reshape(-1), k
            ).reshape(full.shape),
            "You chose by absolute value before the ReLU. A strongly negative value is no active "
            "feature.": by_size,
            "You chose by absolute value and kept the sign. Activations are never "
            "negative.": signed,
            "You kept the k smallest.": least,
            "You kept the k smallest. ": np.where(
                np.argsort(np.argsort(kept, -1, kind="stable"), -1) < k, full, 0
            ),
            "You returned 1 for each kept feature; keep the activation itself.": (f > 0).astype(
                float
            ),
            "You subtracted the k-th activation; the kept ones stay as they are.": np.maximum(
                full - lowest, 0
            ),
            "The kept activations are sorted; each stays at the place of its feature.": -np.sort(
                -f, -1
            ),
            "The k largest values before the ReLU include negative ones: the ReLU is "
            "missing.": keep_largest(before, k),
        }  # fmt: skip
        otherwise = f"Wrong activations for k={k}: the {k} largest stay, all others become 0."
        compare(got, f, mistakes, otherwise)
        decoder, bias = sae["decoder"].numpy(), sae["decoder_bias"].numpy()
        unkept = {
            "x_hat is decoded from all features; decode from the k that were kept.": full @ decoder
            + bias
        }
        compare(x_hat, right, unkept, "x_hat does not belong to the k kept features.")
