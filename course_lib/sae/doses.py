"""Dose and response: clamp a feature harder and harder, and watch what the model says next.

The lecture's example: with "transit infrastructure" clamped to five times its maximum, the answer
to "What's the best way to get to the grocery store?" becomes "Walk across the bridge." One such
answer shows little. Here a dose is a multiple of the feature's maximum, the response is the
probability of some next words over many prompts, and other features of the same autoencoder, moved
by exactly as much, are the control.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.activations import replace
from course_lib.intervals import bootstrap_counts, ends
from course_lib.models.text_model import as_list
from course_lib.sae.base import SparseAutoencoder
from course_lib.sae.steer import check_feature, clamp
from course_lib.world.genres import CROSSINGS, GENRES, OTHER_RATE, TRANSIT_RATE
from course_lib.world.grammar import statement
from course_lib.world.lexicon import TOPICS
from course_lib.world.phrases import Speaker, finish
from course_lib.world.sentence import render

CROSSING_WORDS = tuple(preposition for preposition, _ in CROSSINGS)  # across, through
GENERATOR_RATES = {"transit": TRANSIT_RATE, "other": OTHER_RATE}


def directions_prompts(
    n: int = 50, topic: str | None = None, seed: int | str = "directions"
) -> list[str]:
    """ "Human: What's the best way to get to the store down the street? ... 1. Walk", n of them.

    The next word decides: in the generator "across" or "through" follow in 96 % of the documents
    about transit and in 8 % of the others (`GENERATOR_RATES`).

    Parameters
    ----------
    n : int
    topic : str, optional
        Put six sentences about this topic before each prompt; default none.

    Raises
    ------
    ValueError
        For an unknown topic.

    Examples
    --------
    >>> directions_prompts(1)[0].endswith("Assistant: 1. Walk")
    True
    """
    if topic is not None and topic not in TOPICS:
        raise ValueError(f"Unknown topic {topic!r}; there are {', '.join(TOPICS)}.")
    others = [t for t in TOPICS if t != "transit"]
    prompts = []
    for index in range(n):
        d = Speaker(f"{seed}:{index}", topic or others[index % len(others)])
        before = [finish(phrase, d.topic, name, end) for phrase, name, end in
                  (statement(d) for _ in range(6 if topic else 0))]  # fmt: skip
        words = list(GENRES["directions"](d)[0].words)
        prompt = render(words[: words.index("Walk") + 1])
        prompts.append(" ".join([*(sentence.text for sentence in before), prompt]))
    return prompts


@dataclass(frozen=True)
class Dose:
    """Response to one dose: mean probability with its 95 % interval, and the same of the control.

    The feature's interval is over prompts. The control's is over features: the mean over prompts of
    each is one number, and the 2.5 % and 97.5 % points of these numbers are shown.
    """

    multiple: float
    value: tuple[float, float, float]
    control: tuple[float, float, float]


@dataclass(frozen=True)
class DoseResponse:
    """The probability of some next words while a feature is clamped.

    Attributes
    ----------
    feature : int
    maximum : float
        Dose 1.
    words : tuple of str
    multiples : tuple of float, length M
    before : float64 [N]
        Summed probability of the words after each prompt, nothing changed.
    after : float64 [M, N]
        The same at each dose.
    control : float64 [M, R, N]
        With the state moved as far along the directions of R other features.
    controls : tuple of int
        These features.
    seed : int
    """

    feature: int
    maximum: float
    words: tuple[str, ...]
    multiples: tuple[float, ...]
    before: np.ndarray
    after: np.ndarray
    control: np.ndarray
    controls: tuple[int, ...]
    seed: int

    def doses(self, n_boot: int = 1000) -> list[Dose]:
        """Means and intervals, one for each dose."""
        n = len(self.before)
        weights = bootstrap_counts(n, n_boot, self.seed) / n
        rows = []
        for multiple, after, control in zip(self.multiples, self.after, self.control, strict=True):
            others = control.mean(-1)  # [R, N] -> [R], one number for each other feature
            value = (float(after.mean()), *ends(weights @ after))
            rows.append(Dose(multiple, value, (float(others.mean()), *ends(others))))
        return rows

    def __repr__(self) -> str:
        lines = [
            f"p({' or '.join(self.words)}), feature {self.feature}, {len(self.before)} prompts, "
            f"{len(self.controls)} other features as control; unchanged {self.before.mean():.3f}"
        ]
        for dose in self.doses():
            (mean, low, high), (other, least, most) = dose.value, dose.control
            multiple = f"{dose.multiple:.{1 if round(dose.multiple, 1) == dose.multiple else 2}f}"
            lines.append(
                f"  {multiple:>4} x max  {mean:.3f} [{low:.3f}, {high:.3f}]   control "
                f"{other:.3f} [{least:.3f}, {most:.3f}]"
            )
        return "\n".join(lines)


@torch.no_grad()
def dose_response(
    lm: Any,
    sae: SparseAutoencoder,
    feature: int,
    maxima: Tensor,
    prompts: Sequence[str],
    words: Sequence[str] = CROSSING_WORDS,
    *,
    multiples: Sequence[float] = (0, 0.5, 1, 2, 5),
    controls: int = 10,
    seed: int = 0,
) -> DoseResponse:
    """Clamp a feature to multiples of its maximum, and measure the next word.

    Parameters
    ----------
    lm : causal LanguageModel
    sae : SparseAutoencoder
    feature : int
    maxima : Tensor [F]
        Dose 1 of each feature, such as `FeatureIndex.maxima`.
    prompts : sequence of str
        Each ends right before the word in question.
    words : sequence of str
        Words of one token; their probabilities are summed.
    multiples : sequence of float
        Doses; 0 ablates the feature. Which are enough depends on the autoencoder: one time the
        maximum for the transit feature of course-sae, five times in the lecture's example.
    controls : int
        Other features, drawn among those that are ever on. The state is moved along their
        directions by exactly what the clamped feature is moved at each token.
    seed : int

    Returns
    -------
    DoseResponse

    Raises
    ------
    ValueError
        For a feature that is never on (it has no dose), no prompts, or fewer than 2 controls.

    Notes
    -----
    Cost: 1 + M (1 + R) forward passes over the prompts.
    """
    feature, prompts = check_feature(sae, feature), as_list(prompts)
    maximum = float(maxima[feature])
    if not maximum > 0:
        raise ValueError(f"Feature {feature} was never on, so it has no maximum to take doses of.")
    # a feature that is never on would be a direction at random, and no feature's
    alive = [f for f in (maxima > 0).nonzero()[:, 0].tolist() if f != feature]
    if not prompts or not 2 <= controls <= len(alive):
        raise ValueError(
            f"A dose-response needs prompts and 2 to {len(alive)} control features, got "
            f"{len(prompts)} prompts and {controls} controls."
        )
    drawn = np.random.default_rng(seed).choice(alive, controls, replace=False).tolist()
    ids = [lm.token_id(word) for word in words]

    def response(edits: dict) -> np.ndarray:
        with replace(lm, edits):
            # [N, V] -> [N, words] -> [N]
            return lm.next_token_probs(prompts)[:, ids].double().sum(-1).numpy()

    def at(multiple: float, along: int) -> np.ndarray:
        # as far as the feature is moved, along another one's direction
        direction = sae.W_dec[along].detach()
        return response({sae.site: clamp(sae, feature, multiple * maximum, direction)})

    return DoseResponse(
        feature, maximum, tuple(words), tuple(map(float, multiples)), response({}),
        np.stack([at(m, feature) for m in multiples]),  # [M, N]
        np.stack([np.stack([at(m, other) for other in drawn]) for m in multiples]),  # [M, R, N]
        tuple(drawn), seed,
    )  # fmt: skip
