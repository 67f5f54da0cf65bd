"""Checks of 06.7: steering with a feature, and its control (see unit06.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import compare
from course_lib.checks.unit06_coding import as_array, as_pair

# --- 06.7 steer(x, encode, decode, feature, value, random) -> (steered, control) ------------------

SIZES = "The control moves each token as far as steering does, along `random`. "


class Coder:
    """An autoencoder as two functions; ``scale`` makes the decoder depart from a sum."""

    def __init__(self, rng: np.random.Generator, width: int, features: int) -> None:
        self.encoder = rng.normal(size=(width, features))
        self.shift = rng.normal(size=features)
        self.decoder = rng.normal(size=(features, width)) * rng.uniform(0.5, 2, (features, 1))
        self.bias = rng.normal(size=width) * 2

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        x = self._table(x, len(self.encoder), "encode", "x")
        return torch.tensor(np.maximum((x - self.bias) @ self.encoder + self.shift, 0))

    def decode(self, f: torch.Tensor) -> torch.Tensor:
        return torch.tensor(
            self._table(f, len(self.decoder), "decode", "f") @ self.decoder + self.bias
        )

    def _table(self, given, last: int, function: str, name: str) -> np.ndarray:
        if not isinstance(given, torch.Tensor) or given.dim() != 2 or given.shape[1] != last:
            raise ValueError(f"{function} takes a tensor [N, {last}] of any N, as {name}.")
        return given.detach().double().numpy()


def steering(rng: np.random.Generator, tokens: int, width: int, features: int):
    """A coder, states, a feature active on some tokens and not on others, and a direction."""
    while True:
        coder = Coder(rng, width, features)
        x = torch.tensor(rng.normal(size=(tokens, width)) * 2)
        f = coder.encode(x).numpy()
        largest = f.max(0)
        below = ((f > 0) & (f < 0.4 * largest)).any(0) & (f == 0).any(0)
        if below.any():  # off on one token, weak on another, strong on a third
            feature = int(rng.choice(np.flatnonzero(below)))
            largest = float(largest[feature])
            return coder, x, feature, largest, torch.tensor(rng.normal(size=width) * 3)


def right_steered(coder, x, feature, value) -> np.ndarray:
    f = coder.encode(x).numpy()
    return x.numpy() + (value - f[:, [feature]]) * coder.decoder[feature]


def steer_answer(student, coder, x, feature, value, random) -> tuple[np.ndarray, np.ndarray]:
    answer = student(x, coder.encode, coder.decode, feature, value, random)
    steered, control = as_pair(answer, "the steered and the control states")
    shape = tuple(x.shape)
    return as_array(steered, shape, "the steered states"), as_array(control, shape, "the control")


def clamped(student, rng):
    for tokens, width, features, times in ((6, 5, 4, 0.5), (4, 3, 6, 5.0), (5, 4, 9, 2.0)):
        coder, x, feature, largest, random = steering(rng, tokens, width, features)
        value = times * largest
        got, _ = steer_answer(student, coder, x, feature, value, random)
        plain, f = x.numpy(), coder.encode(x).numpy()
        now, row = f[:, [feature]], coder.decoder[feature]
        rebuilt = f @ coder.decoder + coder.bias
        neighbour = (feature + 1) % features
        right = right_steered(coder, x, feature, value)
        only = np.zeros_like(f)
        only[:, feature] = value
        mistakes = {
            "The error of the autoencoder is lost: you replaced the state by a reconstruction, "
            "which changes more than the feature. Add x - decode(f).": right - plain + rebuilt,
            "You added `value` to the activation; clamping sets it to `value`.": plain
            + value * row,
            "You multiplied the activation by `value`; clamping sets it to `value`.": plain
            + (value - 1) * now * row,
            "You changed only tokens on which the feature is active. Clamping sets it "
            "everywhere.": np.where(now > 0, right, plain),
            "You only raised activations below `value`. Clamping also lowers those above "
            "it.": plain + (np.maximum(now, value) - now) * row,
            "You only lowered activations above `value`. Clamping also raises those below "
            "it.": plain + (np.minimum(now, value) - now) * row,
            "Nothing changed: the error has to be that of the unclamped code, x - "
            "decode(f).": plain,
            "The error is subtracted; add x - decode(f).": right - 2 * (plain - rebuilt),
            "The sign is turned round: the activation changes by value - f.": plain
            + (now - value) * row,
            "You removed the feature and did not set it.": plain - now * row,
            "You returned the feature's share alone; the rest of the state stays.": value
            * np.ones_like(now)
            * row,
            "You decoded the clamped feature alone; all other activations stay.": only
            @ coder.decoder
            + coder.bias,
            "You decoded the clamped feature alone; all other activations stay. ": only
            @ coder.decoder
            + coder.bias
            + plain
            - rebuilt,
            "You made the direction unit length; it has the length that decode gives it.": plain
            + (value - now) * row / np.linalg.norm(row),
            "You changed another feature.": plain
            + (value - f[:, [neighbour]]) * coder.decoder[neighbour],
            "You changed the last token only. Clamp the feature on every token.": np.concatenate(
                [plain[:-1], right[-1:]]
            ),
            "`value` is the activation itself. Do not multiply it by the largest one.": plain
            + (value * largest - now) * row,
            "`value` is the activation itself. Do not multiply it by the largest one. ": plain
            + (value * now.max() - now) * row,
            "You added the decoder's bias once more: decode(f) of a single feature contains "
            "it.": right + coder.bias,
        }  # fmt: skip
        otherwise = (
            "Wrong steered states: decode the code with the feature set to `value`, and add the "
            "error x - decode(f) of the unchanged code."
        )
        compare(got, right, mistakes, otherwise)


def random_control(student, rng):
    for tokens, width, features, times in ((4, 5, 6, 3.0), (6, 3, 4, 0.6), (3, 4, 8, 1.5)):
        coder, x, feature, largest, random = steering(rng, tokens, width, features)
        value = times * largest
        _, got = steer_answer(student, coder, x, feature, value, random)
        plain, r = x.numpy(), random.numpy()
        moved = right_steered(coder, x, feature, value) - plain
        sizes = np.linalg.norm(moved, axis=1, keepdims=True)
        unit, row = r / np.linalg.norm(r), coder.decoder[feature]
        across = r - (r @ row) / (row @ row) * row
        mistakes = {
            SIZES + "You used `random` as long as it is: divide by its length.": plain + sizes * r,
            SIZES + "You took one size for all tokens.": plain + np.linalg.norm(moved) * unit,
            SIZES + "You took one size for all tokens. ": plain + sizes.mean() * unit,
            SIZES + "You took one size for all tokens.  ": plain + sizes.max() * unit,
            SIZES + "Its sizes are yours squared.": plain + sizes**2 * unit,
            SIZES + "You used the size of the activation and left out how long the direction of "
            "the feature is.": plain + sizes / np.linalg.norm(row) * unit,
            SIZES + "You moved by `value`, whatever the activation was.": plain + value * unit,
            SIZES + "You moved by `value`, whatever the activation was. ": plain
            + value * np.linalg.norm(row) * unit,
            SIZES + "You used the activation's change with its sign; a size is positive.": plain
            + (value - coder.encode(x).numpy()[:, [feature]]) * np.linalg.norm(row) * unit,
            SIZES + "You used the length of the states.": plain
            + np.linalg.norm(plain, axis=1, keepdims=True) * unit,
            "The control starts from x, not from the steered states.": plain + moved + sizes * unit,
            "The control starts from x, not from its reconstruction.": coder.decode(
                coder.encode(x)
            ).numpy()
            + sizes * unit,
            "The control is missing: you returned the states as they were.": plain,
            "You returned the steered states twice.": plain + moved,
            "You returned the shift alone; add it to x.": sizes * unit,
            "The control moves against `random`; move along it.": plain - sizes * unit,
            "You made `random` orthogonal to the feature first. Take it as it is given.": plain
            + sizes * across / np.linalg.norm(across),
        }
        otherwise = SIZES + "That is x + ||steered - x|| * random / ||random||, token by token."
        compare(got, plain + sizes * unit, mistakes, otherwise)
