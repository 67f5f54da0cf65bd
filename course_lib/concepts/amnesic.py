"""Amnesic probing: remove a concept from the states, let the model go on, and see what it misses.

A probe shows that a concept can be read off the states. Only this shows whether the model does
read it: if the behaviour stays when the concept is gone, it was not used there and for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.activations import record, replace
from course_lib.architectures import n_layers
from course_lib.concepts.items import Item, item_labels
from course_lib.concepts.removal import Eraser, inlp, leace, random_subspace, shuffled
from course_lib.intervals import bootstrap_interval

N_BOOT = 1000
Number = tuple[float, float, float]  # a value with the ends of its 95 % interval


@dataclass(frozen=True)
class Scene:
    """Items as one model reads them, with its states at the place of the verb.

    A left-to-right model predicts the verb after the last word before it; a masked model reads
    the whole sentence with the verb hidden, and its place is that of the mask.

    Attributes
    ----------
    ids, mask : int64 [N, T]; place : int64 [N]
    right, wrong : int64 [N], ids of the two verb forms
    states : float32 [L + 1, N, d], at `place`; layer 0 is what block 0 reads
    logp : float32 [N, V], the model's own predictions at `place`, in nats
    skipped : items whose verb forms are not one token of this model
    """

    lm: Any
    items: tuple[Item, ...]
    ids: Tensor
    mask: Tensor
    place: Tensor
    right: Tensor
    wrong: Tensor
    states: Tensor
    logp: Tensor
    skipped: int

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"Scene({self.lm.name!r}, {len(self)} items, {len(self.states)} layers)"

    def labels(self, concept: str) -> np.ndarray:
        """The class of every item for one property, int [N]."""
        return item_labels(list(self.items), concept)[0]


def sites(lm: Any) -> list[str]:
    """Layer 0 is what the first block reads, layer l what block l has written."""
    return ["embed", *(f"resid_post.{layer}" for layer in range(n_layers(lm)))]


@torch.no_grad()
def read_items(lm: Any, items: Sequence[Item]) -> Scene:
    """Read items once and keep the states at the place of the verb. One forward pass over them.

    Raises
    ------
    ValueError
        If no item has verb forms that are single tokens of this model.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.concepts import agreement_items
    >>> read_items(load_model("course-lm"), agreement_items(8)).states.shape
    torch.Size([7, 8, 256])
    """
    usable = []
    for item in items:
        pair = [_verb_id(lm, item.before, form) for form in (item.right, item.wrong)]
        if None not in pair:
            usable.append((item, *pair))
    if not usable:
        raise ValueError(
            f"No verb form of the {len(items)} items is a single token of {lm.name!r}. Use a "
            "course model, or items of your own with shorter verbs."
        )
    kept = [item for item, *_ in usable]
    rows = [_encode(lm, item) for item in kept]
    ids, mask = lm.pad([row for row, _ in rows])
    place = torch.tensor([p for _, p in rows], device=lm.device)
    names, each = sites(lm), torch.arange(len(kept))
    with record(lm, names) as seen:
        logits = lm(ids, mask).logits[each, place]  # [N, T, V] -> [N, V]
    states = torch.stack([seen[name][each, place] for name in names]).float()  # [L + 1, N, d]
    right, wrong = (torch.tensor([u[k] for u in usable], device=lm.device) for k in (1, 2))
    return Scene(lm, tuple(kept), ids, mask, place, right, wrong, states,
                 logits.float().log_softmax(-1), len(items) - len(kept))  # fmt: skip


def _verb_id(lm: Any, before: str, form: str) -> int | None:
    """The id of a form after a text, if it is one known token."""
    offset = 1 if lm.is_causal else 2  # a masked model ends its texts with a token of its own
    start, longer = lm.encode(before), lm.encode(f"{before} {form}")
    known = len(longer) == len(start) + 1 and longer[-offset] != lm.tokenizer.unk_token_id
    return longer[-offset] if known else None


def _encode(lm: Any, item: Item) -> tuple[list[int], int]:
    """The ids of an item and the position at which its verb is predicted."""
    if lm.is_causal:
        ids = lm.encode(item.before)
        return ids, len(ids) - 1
    ids = lm.encode(f"{item.before} {lm.tokenizer.mask_token}{item.after}")
    return ids, ids.index(lm.tokenizer.mask_token_id)


@torch.no_grad()
def predict_without(scene: Scene, erasers: dict[int, Eraser], rows: Tensor | None = None) -> Tensor:
    """Log-probabilities [M, V] in nats at the verb when states there were erased on the way.

    Parameters
    ----------
    erasers : layer -> Eraser (or any function of states [M, d]); {} leaves the model as it is.
        The state is changed at the place of the verb and nowhere else.
    rows : int64 [M], the items to run; default all.

    Notes
    -----
    Cost: one forward pass over the items.
    """
    rows = torch.arange(len(scene)) if rows is None else rows
    place, each, names = scene.place[rows], torch.arange(len(rows)), sites(scene.lm)

    def edit(eraser: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def change(x: Tensor) -> Tensor:
            # [M, d] of [M, T, d]: the place of the verb in each row
            x[each, place] = eraser(x[each, place])
            return x

        return change

    with replace(scene.lm, {names[layer]: edit(e) for layer, e in erasers.items()}):
        logits = scene.lm(scene.ids[rows], scene.mask[rows]).logits[each, place]
    return logits.float().log_softmax(-1)


@dataclass(frozen=True)
class Effect:
    """What the model does at the verb after a removal, over M items.

    Attributes
    ----------
    what : str; rank : int, of the removal
    accuracy : share of items whose right form is likelier than the wrong one
    preference : mean of p(right) / (p(right) + p(wrong))
    change : mean Kullback-Leibler divergence in nats from the untouched prediction of all words
        to the new one: 0 = nothing at all has changed
    n : int, M
    Each number comes with a 95 % bootstrap interval over items.
    """

    what: str
    rank: int
    accuracy: Number
    preference: Number
    change: Number
    n: int


def effect(scene: Scene, logp: Tensor, rows: Tensor, what: str, rank: int, seed: int = 0) -> Effect:
    """Compare predictions [M, V] of some items with the untouched ones."""
    each = torch.arange(len(rows))
    right, wrong = logp[each, scene.right[rows]], logp[each, scene.wrong[rows]]
    # [M, V], nothing erased
    clean = scene.logp[rows]
    values = (
        # accuracy, preference and change of each item, [M]; of two probabilities the share p / (p +
        # q) is the sigmoid of the difference of their logarithms
        (right > wrong).float(),
        torch.sigmoid(right - wrong),
        (clean.exp() * (clean - logp)).sum(-1),
    )
    spans = []
    for value in values:
        array = value.double().cpu().numpy()
        spans.append(bootstrap_interval(array, N_BOOT, seed))
    return Effect(what, rank, *spans, len(rows))


def halves(scene: Scene, share: float = 0.6) -> tuple[Tensor, Tensor]:
    """Items to fit erasers on, and items to measure on."""
    # items are drawn independently, so the first ones are as good a sample as any
    cut = int(share * len(scene))
    return torch.arange(cut), torch.arange(cut, len(scene))


@dataclass(frozen=True)
class AmnesicRow:
    """One concept: its removal, and the controls of the same rank.

    Attributes
    ----------
    effect : Effect of removing the concept
    controls : Effects of removing random subspaces of the same rank, and, but for INLP, of the same
        method on shuffled labels; all at the same layer
    used : bool
        The accuracy falls below that of every control, and the two intervals do not touch:
        upper end after the removal below the lower end of the worst control.
    """

    concept: str
    effect: Effect
    controls: tuple[Effect, ...]

    @property
    def used(self) -> bool:
        return self.effect.accuracy[2] < min(control.accuracy[1] for control in self.controls)

    @property
    def worst_control(self) -> Effect:
        """The control after which the model does worst."""
        return min(self.controls, key=lambda control: control.accuracy[0])


def amnesic(
    scene: Scene,
    concepts: Sequence[str],
    layer: int,
    *,
    method: Callable[..., Eraser] = leace,
    controls: int = 5,
) -> list[AmnesicRow]:
    """Remove each concept at one layer, at the place of the verb, and measure the agreement.

    Parameters
    ----------
    concepts : names in `PROPERTIES`.
    layer : from 0 to L, see `sites`. Where the subject's number has not arrived yet, its removal
        changes nothing: later layers fetch it from the subject.
    method : `leace`, `mean_projection` or `inlp`; fitted on three fifths of the items.
    controls : so many random subspaces of the concept's rank, and so many shufflings.

    Returns
    -------
    list of AmnesicRow, measured on the other two fifths.

    Raises
    ------
    ValueError
        For a layer that the model does not have, or less than one control.

    Notes
    -----
    Cost: a forward pass over two fifths of the items for each concept, and 2 `controls` such
    passes for each rank that occurs: concepts of one rank share them.
    Source: Elazar et al. 2021, who remove at every token; here only the place that predicts is
    changed, so that "used" means used there.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.concepts import agreement_items
    >>> scene = read_items(load_model("course-lm"), agreement_items(300))
    >>> rows = amnesic(scene, ["subject number", "preposition"], layer=5, controls=1)
    >>> [row.used for row in rows]
    [True, False]
    """
    if not 0 <= layer < len(scene.states):
        raise ValueError(f"This model has layers 0 to {len(scene.states) - 1}, got {layer}.")
    if controls < 1:
        raise ValueError("A removal without a control says nothing: controls must be 1 or more.")
    fit, test = halves(scene)
    x = scene.states[layer, fit]  # [n, d]

    def run(eraser: Eraser, what: str) -> Effect:
        logp = predict_without(scene, {layer: eraser}, test)
        return effect(scene, logp, test, what, eraser.rank)

    rows = []
    of_rank: dict[int, tuple[Effect, ...]] = {}
    for concept in concepts:
        labels = scene.labels(concept)[fit.numpy()]
        eraser = method(x, labels, concept)
        # a control removes as many directions; concepts of one rank share theirs
        if eraser.rank not in of_rank:
            noise = [random_subspace(x, eraser.rank, seed) for seed in range(controls)]
            if method is not inlp:  # on shuffled labels it would go on to a rank of its own
                noise += [shuffled(x, labels, seed, method) for seed in range(controls)]
            of_rank[eraser.rank] = tuple(run(e, f"{e.method} {e.concept}") for e in noise)
        rows.append(AmnesicRow(concept, run(eraser, eraser.method), of_rank[eraser.rank]))
    return rows
