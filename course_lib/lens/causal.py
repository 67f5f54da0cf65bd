"""Does the model use what the lens reads? Take it out of a state and run the rest of the model.

The lens reads the preference for a word over a foil along one direction of the stream,
d = direction_word - direction_foil (see `readout`). Removing the component of a state x along d,

    x  ->  x - (x . d / d . d) d

takes away what the lens saw there and nothing else. If the answer does not change, later layers
did not need it, or wrote it again. A change of the same length in a random direction is the
control: any large change does some damage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from course_lib.activations import record, replace
from course_lib.lens.readout import Readout, lens_sites, readout, token_at, word_ids
from course_lib.models.text_model import as_list


def lens_direction(lm: Any, word: str, foil: str | None = None) -> Tensor:
    """The direction [d] of the stream along which the lens reads a word, float64.

    Parameters
    ----------
    word, foil : str
        Words of one token. With a foil: the direction that raises the logit of the word against
        the foil's. Without: against the mean logit of the vocabulary, since adding the same to
        all logits changes no prediction.

    Returns
    -------
    Tensor
        Adding it to a state raises the logit difference; its length is that of the difference,
        not 1.

    Raises
    ------
    ValueError, UnsupportedArchitecture
        For words of several tokens or the same token twice; as in `readout`.

    Examples
    --------
    >>> from course_lib import load_model
    >>> lm = load_model()
    >>> forth, back = lens_direction(lm, "Warsaw", "Paris"), lens_direction(lm, "Paris", "Warsaw")
    >>> bool((forth == -back).all())
    True
    """
    return _direction(readout(lm), word_ids(lm, word, foil))


def _direction(read: Readout, ids: Sequence[int]) -> Tensor:
    rows = read.directions(ids)
    # [d]; directions() holds all V words
    return rows[0] - (rows[1] if len(ids) > 1 else read.directions().mean(0))


def without(states: Tensor, direction: Tensor, strength: float = 1.0) -> Tensor:
    """Take a direction [d] out of states [..., d].

    Strength 0 changes nothing, 1 removes the component along the direction, and 2 turns it round
    (a reflection, which keeps the length). A direction of zeros changes nothing.

    Examples
    --------
    >>> without(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 2.0])).tolist()
    [3.0, 0.0]
    """
    d = direction.to(states)
    size = d.square().sum()
    if not bool(size):
        return states
    # [..., d] @ [d] -> [...]: how many times d is in the state
    return states - strength * ((states @ d) / size)[..., None] * d


@torch.no_grad()
def run_changed(lm: Any, text: str, changes: Mapping[str, Tensor], token: int = -1) -> Tensor:
    """Add vectors to states at one token, each in a run of its own.

    Parameters
    ----------
    changes : dict from site to Tensor [R, d]
        R alternatives for each of S sites; what is added to the state at `token`.
    token : int
        Index into `lm.tokens(text)`, the start token being 0.

    Returns
    -------
    Tensor [S, R, V]
        Logits after the last token of the text. Each run changes one site only.

    Notes
    -----
    Cost: S x R forward passes, run as one batch.
    """
    ids, token = token_at(lm, text, token)
    runs = len(next(iter(changes.values())))
    edits = {}
    for number, (site, vectors) in enumerate(changes.items()):

        def add(x: Tensor, mine=slice(number * runs, (number + 1) * runs), v=vectors) -> Tensor:
            x[mine, token] += v.to(x)  # rows of this site alone: [R, d]
            return x

        edits[site] = add
    rows = torch.tensor([ids], device=lm.device).expand(len(changes) * runs, -1)  # [S * R, T]
    with replace(lm, edits):
        # [S * R, T, V] -> [S, R, V]
        return lm(rows).logits[:, -1].unflatten(0, (len(changes), runs))


@dataclass(frozen=True)
class Removal:
    """The answer to N texts after the lens's direction is taken out of one state, S states each.

    Attributes
    ----------
    texts, words : tuple of str, length N
    foils : tuple of str or None
    sites : tuple of str, length S
    read : Tensor [N, S]
        What the lens read at each state before anything was changed.
    before : Tensor [N]
        The model's own answer.
    after : Tensor [N, S]
        The answer with the direction removed from this state.
    control : Tensor [N, S, R]
        The answer after random changes of the same length.
    length : Tensor [N, S]
        L2 length of the change, as a share of the state's.
    strength : float
    token, seed : int

    All answers are float64, log p(word) - log p(foil), or log p(word) without a foil, in nats.
    """

    texts: tuple[str, ...]
    words: tuple[str, ...]
    foils: tuple[str, ...] | None
    sites: tuple[str, ...]
    read: Tensor
    before: Tensor
    after: Tensor
    control: Tensor
    length: Tensor
    strength: float
    token: int
    seed: int

    @property
    def effect(self) -> Tensor:
        """before - after [N, S]; positive = the answer needed what was removed."""
        return self.before[:, None] - self.after

    @property
    def control_effect(self) -> Tensor:
        """The same for the random changes, mean over them [N, S]."""
        return (self.before[:, None, None] - self.control).mean(-1)

    @property
    def caption(self) -> str:
        """All that must stand beside the numbers."""
        metric = "log p(word) - log p(foil)" if self.foils else "log p(word)"
        return (
            f"change of {metric} (nats) when the lens's direction is removed (strength "
            f"{self.strength:g}) from one state at token {self.token}; mean over {len(self.texts)} "
            f"texts; control: {self.control.shape[-1]} random changes of the same length (seed "
            f"{self.seed})"
        )

    def __repr__(self) -> str:
        width = max(map(len, self.sites))
        columns = (x.mean(0).tolist() for x in (self.read, self.effect, self.control_effect))
        lines = [
            f"  {site:<{width}}  lens {r:+7.2f}   effect {e:+7.2f}   control {c:+7.2f}"
            for site, r, e, c in zip(self.sites, *columns, strict=True)
        ]
        return "\n".join([self.caption, *lines])


@torch.no_grad()
def remove_reading(
    lm: Any,
    texts: str | Sequence[str],
    words: str | Sequence[str],
    foils: str | Sequence[str] | None = None,
    sites: str | Iterable[str] = "stream",
    *,
    strength: float = 1.0,
    token: int = -1,
    controls: int = 5,
    seed: int = 0,
) -> Removal:
    """Remove from a state what the lens reads there, and see what becomes of the answer.

    Parameters
    ----------
    lm : causal LanguageModel
    texts, words : str or sequence of str, of equal length
        Each text ends right before its word.
    foils : str or sequence of str, optional
        The preference for the word over the foil is removed, and is what is measured.
    sites : str or iterable of str
        As in `lens_sites`; one at a time, each in a run of its own.
    strength : float
        1 removes the direction, 2 turns it round: the lens then prefers the foil by as much.
    token : int
        Where the state is changed. The answer is always measured after the last token.
    controls, seed : int
        Number of random changes per state: isotropic directions (without mean where the norm
        subtracts it), as long as the change they are compared with.

    Returns
    -------
    Removal

    Raises
    ------
    ValueError
        For lists of different lengths, bad words or sites, or a token that is not there.
    UnsupportedArchitecture
        As in `readout`.

    Notes
    -----
    Cost: 1 + S (1 + controls) forward passes per text.

    A large effect shows that the answer depends on this direction of this state. No effect shows
    less: the rest of the model may have restored it, or another token may carry the same fact.

    Examples
    --------
    >>> from course_lib import load_model
    >>> text = "Q: What is the capital of France? A: Paris Q: What is the capital of Poland? A:"
    >>> found = remove_reading(load_model(), text, "Warsaw", "Paris", ["resid_post.5"], strength=2)
    >>> bool(found.effect > 5 * found.control_effect.abs())
    True
    """
    texts, words = as_list(texts), as_list(words)
    foils = None if foils is None else as_list(foils)
    if len(words) != len(texts) or (foils is not None and len(foils) != len(texts)):
        raise ValueError("Give one word (and one foil, where there are foils) for each text.")
    if controls < 1:
        raise ValueError("controls must be at least 1: without one, any large change looks causal.")
    read, names = readout(lm), lens_sites(lm, sites)
    generator = torch.Generator().manual_seed(seed)
    rows = [
        _remove_one(lm, read, text, word_ids(lm, word, foil), names, strength, token, controls,
                    generator)
        for text, word, foil in zip(texts, words, foils or [None] * len(texts), strict=True)
    ]  # fmt: skip
    columns = (torch.stack(column) for column in zip(*rows, strict=True))
    foils = None if foils is None else tuple(foils)
    return Removal(tuple(texts), tuple(words), foils, names, *columns, strength, token, seed)


def _remove_one(lm, read, text, ids, names, strength, token, controls, generator):
    """The tensors of `Removal` for one text."""

    def metric(logits: Tensor) -> Tensor:
        logp = logits.double().log_softmax(-1)[..., ids].cpu()  # [..., 1 or 2]
        return logp[..., 0] - (logp[..., 1] if len(ids) > 1 else 0)

    row, place = token_at(lm, text, token)
    with record(lm, names) as seen:
        before = metric(lm(torch.tensor([row], device=lm.device)).logits[0, -1])
    states = torch.stack([seen[name][0, place] for name in names])  # [S, d]
    # the change is a difference of two nearly equal states
    exact = states.double()
    change = without(exact, _direction(read, ids), strength) - exact
    # [S, R, d], each as long as the change of its state; the norm would not see a mean
    noise = torch.randn(len(names), controls, states.shape[-1], generator=generator).to(exact)
    noise = read.centred(noise)
    size = change.norm(dim=-1)
    noise = noise / noise.norm(dim=-1, keepdim=True) * size[:, None, None]
    vectors = torch.cat([change[:, None], noise], 1)  # [S, 1 + R, d]
    # [S, 1 + R]: the removal, then the controls
    after = metric(run_changed(lm, text, dict(zip(names, vectors, strict=True)), token))
    share = (size / exact.norm(dim=-1)).cpu()
    return metric(read(states)), before, after[:, 0], after[:, 1:], share
