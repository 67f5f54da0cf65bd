"""Patching nodes: the output of one place, of several together, and sweeps over many places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from course_lib.architectures import family_of, n_heads, n_layers, parts
from course_lib.models.sites import find_place
from course_lib.models.text_model import require_causal
from course_lib.patching.result import PatchResult
from course_lib.patching.running import Cell, Point, plain_run, run_cells
from course_lib.tasks import Task

DIRECTIONS = ("denoising", "noising")
ABLATIONS = ("zero", "mean", "resample")
BY_POSITION = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "z", "neurons")


def patch(
    lm: Any,
    task: Task,
    sites: str | Sequence[str],
    position: int | None = None,
    *,
    direction: str = "denoising",
    value: str = "other",
    seed: int = 0,
) -> PatchResult:
    """Patch one place, or several together, and measure.

    Parameters
    ----------
    lm : LanguageModel or transformers model
    task : Task
    sites : str or several
        For example "resid_post.2", or ["z.3.5", "z.4.1"]: both heads in the same run.
    position : int or None
        Position in the prompt, 0 is the start token, -1 the last; None patches all of them.
    direction : "denoising" or "noising"
        Denoising runs the corrupted prompts and puts clean values in; noising the reverse.
    value : "other", "zero", "mean" or "resample"
        What is put in place: the other prompt's value, or, when noising, 0, the mean over the
        clean prompts at this position, or the value of a different clean prompt. Zero is no value
        that the place ever takes, so its effect mixes what the place says with that it is gone.
    seed : int
        Of the prompts drawn for "resample".

    Returns
    -------
    PatchResult
        One row, one column; effects in the unit of the metric, positive = the clean value
        supports the answer.

    Raises
    ------
    ValueError
        For an unknown site, direction or value, a position outside the prompt, denoising with
        something else than the clean value, or attention weights, which cannot be replaced.

    Notes
    -----
    Cost: two plain forward passes and one that starts at the layer of the site. Source: Vig et al.
    2020; Meng et al. 2022 (denoising with noise); Heimersheim & Nanda 2024 on the directions.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.tasks import greater_than
    >>> lm = load_model("course-lm")
    >>> result = patch(lm, greater_than(lm, 8), "resid_pre.0")
    >>> round(float(result.share), 4)  # everything is put back
    1.0
    """
    sites = (sites,) if isinstance(sites, str) else tuple(sites)
    where = "all positions" if position is None else f"position {position}"
    cell = tuple((site, position) for site in sites)
    return sweep(lm, task, [[cell]], [" + ".join(sites)], [where], direction=direction,
                 value=value, seed=seed, site=" + ".join(sites))  # fmt: skip


def sweep_positions(
    lm: Any, task: Task, name: str = "resid_pre", layers: Sequence[int] | None = None, **options
) -> PatchResult:
    """Patch a site of every layer at every position: rows are layers, columns are positions.

    Parameters
    ----------
    name : str
        "resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "z" or "neurons".
    layers : ints, default all
    options : direction, value, seed
        As in `patch`; results and errors too.

    Notes
    -----
    Cost: one forward pass for each cell, counted as a share of the blocks that run. With the other
    prompt's value, the positions before the first changed token hold the same in both runs of
    a left-to-right model: their effect is 0 and costs nothing.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.tasks import greater_than
    >>> lm = load_model("course-lm")
    >>> result = sweep_positions(lm, greater_than(lm, 8), layers=[0, 3])
    >>> result.top(1)[0][:2]  # before the first layer only the changed token matters
    ('0', '6 66')
    """
    if name not in BY_POSITION:
        raise ValueError(f"{name!r} is not swept by position. Choose: {', '.join(BY_POSITION)}.")
    layers = range(n_layers(lm)) if layers is None else layers
    tokens = task.tokens or [""] * task.length
    columns = [f"{i} {token}".strip() for i, token in enumerate(tokens)]
    cells = [[((f"{name}.{layer}", i),) for i in range(task.length)] for layer in layers]
    return sweep(lm, task, cells, [str(x) for x in layers], columns, site=name, **options)


def sweep_heads(lm: Any, task: Task, position: int | None = None, **options) -> PatchResult:
    """Patch the output z of each attention head: rows are layers, columns are heads.

    Parameters
    ----------
    position : int or None
        None patches a head at all positions.
    options : direction, value, seed
        As in `patch`; results and errors too. Cost: as in `sweep_positions`.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.tasks import greater_than
    >>> lm = load_model("course-lm")
    >>> sweep_heads(lm, greater_than(lm, 4), direction="noising").mean.shape
    torch.Size([6, 8])
    """
    layers, heads = range(n_layers(lm)), range(n_heads(lm))
    cells = [[((f"z.{layer}.{head}", position),) for head in heads] for layer in layers]
    rows, columns = ([str(i) for i in numbers] for numbers in (layers, heads))
    return sweep(lm, task, cells, rows, columns, site="heads", **options)


def sweep(
    lm: Any,
    task: Task,
    cells: Sequence[Sequence[Cell]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    site: str,
    direction: str = "denoising",
    value: str = "other",
    seed: int = 0,
) -> PatchResult:
    """Patch a table of cells, each a tuple of (site, position): see `patch`."""
    if direction not in DIRECTIONS:
        raise ValueError(f"Unknown direction {direction!r}. Choose denoising or noising.")
    if value not in ("other", *ABLATIONS):
        raise ValueError(f"Unknown value {value!r}. Choose other, {', '.join(ABLATIONS)}.")
    if value != "other" and direction == "denoising":
        raise ValueError(
            f"Denoising puts the clean value back, so value={value!r} has no meaning there. "
            "Ablate with direction='noising'."
        )
    require_causal(lm, "Patching")
    lm = parts(lm)  # looked up once, not for every site of every run
    # cell by cell, row after row: `view` puts them back into the table at the end
    flat = [tuple(_checked(lm, task, point) for point in cell) for row in cells for cell in row]
    sites = sorted({name for cell in flat for name, _ in cell})
    # a run that starts at a later layer starts from its stream
    streams = [f"resid_pre.{layer}" for layer in range(n_layers(lm))]
    clean, clean_seen = plain_run(lm, task, task.clean, [*streams, *sites])
    corrupted, corrupted_seen = plain_run(lm, task, task.corrupted, [*streams, *sites])
    # `seen` is the run that is changed, `other` the one whose values are put in
    denoising = direction == "denoising"
    base, seen = (corrupted, corrupted_seen) if denoising else (clean, clean_seen)
    ids = task.corrupted if denoising else task.clean
    other = clean_seen if denoising else corrupted_seen
    values = {name: _value(value, seen[name], other[name], seed) for name in sites}
    patched = base.repeat(len(flat), 1)  # [cells, N], as if no patch did anything
    # all other cells keep the metric of the plain run, and cost nothing
    changing = [c for c, cell in enumerate(flat) if _can_change(lm, task, cell, value)]
    # before the first changed token the other prompt's value is the value that is there
    start = task.first_change if value == "other" else 0
    found, passes = run_cells(lm, task, ids, seen, values, [flat[c] for c in changing], start)
    patched[changing] = found
    return PatchResult(
        task.name, site, direction, value, tuple(rows), tuple(columns),
        patched.view(len(rows), len(columns), -1), clean, corrupted, task.unit, passes + 2,
        seed if value == "resample" else None,
    )  # fmt: skip


def _checked(lm: Any, task: Task, point: Point) -> Point:
    """The point with its position counted from 0; ValueError where it does not exist."""
    site, position = point
    find_place(lm, site)
    if site.startswith("pattern"):
        raise ValueError(
            "Attention weights can be recorded but not replaced: the model returns them after "
            "use. Patch z, the heads' outputs."
        )
    if position is None:
        return point
    if not -task.length <= position < task.length:
        raise ValueError(
            f"There is no position {position}: the prompts of {task.name!r} have {task.length} "
            f"tokens, from 0 (the start token) to {task.length - 1}."
        )
    return site, position % task.length


def _can_change(lm: Any, task: Task, cell: Cell, value: str) -> bool:
    """False where both runs hold the same by causality: before the first changed token."""
    if value != "other" or not family_of(lm).is_causal:
        return True
    return any(position is None or position >= task.first_change for _, position in cell)


def _value(value: str, base: Tensor, other: Tensor, seed: int) -> Tensor:
    """What is put in place of `base` [N, T, ...]."""
    if value == "other":
        return other
    if value == "zero":
        return torch.zeros_like(base)
    if value == "mean":
        return base.mean(0, keepdim=True).expand_as(base)  # [1, T, ...] -> [N, T, ...]
    if len(base) < 2:
        raise ValueError("value='resample' takes another prompt's value: use two prompts or more.")
    return base[other_rows(len(base), seed)]


def other_rows(n: int, seed: int) -> Tensor:
    """For each of n rows another one, drawn at random: one cycle through all of them.

    Examples
    --------
    >>> drawn = other_rows(50, seed=0)
    >>> bool((drawn != torch.arange(50)).all()), drawn.unique().numel()
    (True, 50)
    """
    cycle = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    drawn = torch.empty(n, dtype=torch.long)
    drawn[cycle] = cycle.roll(1)  # each row takes the one before it in the cycle, never itself
    return drawn
