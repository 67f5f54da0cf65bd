"""Many changed copies of the prompts in one forward pass, from the first layer that changes.

A *point* is a site and a position (None: all positions). A *cell* is the points that are changed
together. C cells on N prompts are C * N rows of one batch. Below the first changed layer every
row is the row of the plain run: we start there, with the recorded stream of that run. Before the
first changed token too: its keys and values are computed once and given to every row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.activations import record, replace
from course_lib.architectures import bare_model, blocks, family_of, n_layers
from course_lib.tasks import Task, last_logits

Point = tuple[str, int | None]
Cell = tuple[Point, ...]
BATCH_TOKENS = 2048  # tokens of one forward pass; larger batches fall out of a CPU's cache


@contextmanager
def restart(model: Any, layer: int) -> Iterator[None]:
    """Within the block the model runs only its blocks from `layer` on.

    What the model hands to its first block then goes to block `layer`, where the caller puts the
    recorded stream in its place. Hooks on these blocks must be in place before, since the sites
    are counted from the whole list.

    Examples
    --------
    >>> from course_lib import load_model
    >>> lm = load_model("course-lm")
    >>> ids, _ = lm.batch("The dog sleeps.")
    >>> with record(lm, "resid_pre.4") as seen:
    ...     expected = last_logits(lm, ids)
    >>> with replace(lm, {"resid_pre.4": seen["resid_pre.4"]}), restart(lm, 4):
    ...     found = last_logits(lm, ids)  # a third of the work
    >>> bool((found == expected).all())
    True
    """
    inner, path = bare_model(model), family_of(model).blocks
    owner, _, name = path.rpartition(".")
    whole, parent = blocks(model), inner.get_submodule(owner)
    setattr(parent, name, nn.ModuleList(list(whole)[layer:]))
    try:
        yield
    finally:
        setattr(parent, name, whole)


def can_restart(model: Any) -> bool:
    """Are all blocks called alike, so that the later ones can be called alone?"""
    kinds = getattr(bare_model(model).config, "layer_types", None) or ()
    return len(set(kinds)) <= 1


def layer_of(model: Any, cells: Sequence[Cell]) -> int:
    """The first layer that some of the cells change."""
    last = n_layers(model) - 1
    ends = {"embed": 0, "final_norm": last}
    return min(
        ends[site] if site in ends else int(site.split(".")[1])
        for cell in cells
        for site, _ in cell
    )


@torch.no_grad()
def run_cells(
    model: Any,
    task: Task,
    ids: Tensor,
    streams: Mapping[str, Tensor],
    values: Mapping[str, Tensor],
    cells: Sequence[Cell],
    start: int = 0,
) -> tuple[Tensor, float]:
    """The metric of each cell on each prompt.

    Parameters
    ----------
    ids : [N, T] of the run that is changed
    streams : resid_pre of every layer in that run, [N, T, d] each
    values : what is put in place, by site, [N, T, ...] each
    cells : C of them
    start : the first position at which a value put in place differs from the one it replaces

    Returns
    -------
    patched : float64 [C, N]
    passes : float
        Forward passes over the N prompts, counting blocks and tokens.
    """
    restarts, depth, length = can_restart(model), n_layers(model), ids.shape[1]
    # the last token runs in any case, its logits are asked for; in a model that is not causal early
    # tokens see late ones, and all of them run
    start = min(start, length - 1) if restarts and family_of(model).is_causal else 0
    prefix = keys_and_values(model, ids[:, :start]) if start and cells else []
    # [N, T - start, ...]
    streams, values = ({k: x[:, start:] for k, x in kept.items()} for kept in (streams, values))
    ids = ids[:, start:]
    size = max(1, BATCH_TOKENS // ids.numel())
    # cells that start at one layer share batches
    by_layer: dict[int, list[int]] = defaultdict(list)
    for c, cell in enumerate(cells):
        by_layer[layer_of(model, [cell]) if restarts else 0].append(c)
    patched = torch.zeros(len(cells), len(ids), dtype=torch.float64)
    for layer, numbers in by_layer.items():
        for first in range(0, len(numbers), size):
            batch = numbers[first : first + size]
            changed = [later(cells[c], start) for c in batch]
            logits = _forward(model, ids, streams, values, changed, layer, prefix)
            for c, rows in zip(batch, logits.split(len(ids)), strict=True):
                patched[c] = task.measure(rows).cpu()  # [N, V] -> [N]
    # from layer l on, depth - l of depth blocks run; without the first `start` tokens, a part of
    # these; the keys of the first tokens cost one run over them
    passes = sum(len(numbers) * (depth - layer) / depth for layer, numbers in by_layer.items())
    return patched, (passes * (length - start) + (start if prefix else 0)) / length


def keys_and_values(model: Any, ids: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Keys and values [N, H, T, d_head] of every layer on ids [N, T]. One forward pass."""
    layers = bare_model(model)(input_ids=ids, use_cache=True).past_key_values.layers
    return [(layer.keys, layer.values) for layer in layers]


def later(cell: Cell, start: int) -> Cell:
    """The points of a cell from position `start` on, counted from there."""
    return tuple(
        (site, position if position is None else position - start)
        for site, position in cell
        if position is None or position >= start
    )


def _forward(
    model: Any,
    ids: Tensor,
    streams: Mapping[str, Tensor],
    values: Mapping[str, Tensor],
    cells: list[Cell],
    layer: int,
    prefix: Sequence[tuple[Tensor, Tensor]],
) -> Tensor:
    """Logits [C * N, V]: the rows of the first cell, then those of the second, ..."""
    from transformers import DynamicCache

    places: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
    for c, cell in enumerate(cells):
        for site, position in cell:
            places[site].append((c, position))

    def edit(site: str):
        def put(x: Tensor) -> Tensor:  # [C * N, T, ...]
            # [C, N, T, ...], a view: writing to it changes x
            by_cell = x.unflatten(0, (len(cells), -1))
            for c, position in places[site]:
                at = slice(None) if position is None else position
                # [N, ...] at one position, [N, T, ...] at all
                by_cell[c, :, at] = values[site][:, at]
            return x

        return put

    def repeat(x: Tensor) -> Tensor:
        return x.repeat(len(cells), *[1] * (x.dim() - 1))  # [N, ...] -> [C * N, ...]

    with ExitStack() as stack:
        if layer:
            stream = repeat(streams[f"resid_pre.{layer}"])
            stack.enter_context(replace(model, {f"resid_pre.{layer}": stream}))
        stack.enter_context(replace(model, {site: edit(site) for site in places}))
        if layer:
            # after the edits: `replace` counts layers from the whole list
            stack.enter_context(restart(model, layer))
        options = {}
        if prefix:
            options["past_key_values"] = DynamicCache()
            for number, (k, v) in enumerate(prefix):
                # [C * N, H, start, dh] each
                options["past_key_values"].update(repeat(k), repeat(v), number)
        return last_logits(model, repeat(ids), **options)


@torch.no_grad()
def plain_run(model: Any, task: Task, ids: Tensor, sites: Sequence[str]):
    """Metric [N] of an unchanged run, and the recorded tensors at some sites."""
    with record(model, sites) as seen:
        value = task.measure(last_logits(model, ids)).cpu()
    return value, seen
