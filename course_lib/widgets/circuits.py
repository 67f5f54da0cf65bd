"""Explorers for patching and circuits: which place matters, which edges are enough."""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets
from matplotlib.patches import Rectangle

from course_lib.circuits import EdgeScores, faithfulness, prune, random_circuit
from course_lib.display import AltFigure, show
from course_lib.patching import DIRECTIONS, PatchResult, sweep_heads, sweep_positions
from course_lib.plots import circuit_drawing, heat_map
from course_lib.tables import Table
from course_lib.tasks import Task
from course_lib.widgets.live import Explorer

#: What the drop-down list offers -> the site that is swept; None sweeps the heads.
PLACES = {"residual stream": "resid_pre", "attention": "attn_out", "MLP": "mlp_out", "heads": None}
RANDOM = 3  # random circuits that the circuit explorer shows beside the one that is drawn

_LABEL = {"description_width": "110px"}


def patching_sweep(lm, task: Task, direction: str = "denoising", place: str = "heads"):
    """The sweep behind `patching_figure`: a `PatchResult`, layers by positions or by heads.

    Raises
    ------
    ValueError
        For a place that is not in `PLACES`; else as `course_lib.patching.patch`.
    """
    if place not in PLACES:
        raise ValueError(f"Unknown place {place!r}. Choose one of {', '.join(PLACES)}.")
    if PLACES[place] is None:
        return sweep_heads(lm, task, direction=direction)
    return sweep_positions(lm, task, PLACES[place], direction=direction)


def patching_figure(
    task: Task, result: PatchResult, layer: int, column: int, example: int = 0
) -> AltFigure:
    """Heat map of a sweep, and under it one cell of it: its effect on every prompt.

    Parameters
    ----------
    result : of `patching_sweep` on this task.
    layer, column : the cell that is looked at; the column is a position or a head.
    example : 0 shows means over prompts, k the effects on prompt k alone.

    Returns
    -------
    AltFigure with two tables: the numbers of the map, and the prompts with the metric of the clean,
    the corrupted and the patched run. Effects are in the unit of the metric, positive = the clean
    value supports the answer.

    Raises
    ------
    ValueError
        If there is no such cell or no such prompt.
    """
    rows, n, first = len(result.rows), len(task), first_column(task, result)
    names = [_column_name(task, result, k) for k in range(first, len(result.columns))]
    last = first + len(names) - 1
    for name, value, low, high in (
        ("layer", layer, 0, rows - 1), ("column", column, first, last), ("prompt", example, 0, n)
    ):  # fmt: skip
        if not low <= value <= high:
            raise ValueError(f"There is no {name} {value}: choose from {low} to {high}.")
    values = (result.mean if example == 0 else result.effects[:, :, example - 1])[:, first:]
    place = f"layer {result.rows[layer]}, {names[column - first]}"
    top = int(values.argmax())
    over = f"mean over {n} prompts" if example == 0 else f"prompt {example} alone"
    alt = (
        f"{result.task}, {result.direction} {result.site}, {over}: effect of each cell on the "
        f"metric in {result.unit}. The largest is {float(values.max()):+.2f} at layer "
        f"{result.rows[top // len(names)]}, {names[top % len(names)]}. "
        f"The chosen cell, {place}, has {float(values[layer, column - first]):+.2f}."
    )
    drawn = heat_map(
        values.tolist(), [f"layer {row}" for row in result.rows], names, alt=alt,
        n=n if example == 0 else 1, seed="none", title=f"{result.task}: {result.direction} "
        f"{result.site}, {over}", metric=f"effect, {result.unit}; positive = supports",
    )  # fmt: skip
    frame = Rectangle((column - first - 0.5, layer - 0.5), 1, 1, fc="none", ec="black", lw=1.8)
    drawn.figure.axes[0].add_patch(frame)
    low, high = result.interval()[layer, column].tolist()
    mean = float(result.mean[layer, column])
    caption = f"{place}: mean effect {mean:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}. "
    caption += result.caption + "."
    if first:
        caption += f" Up to position {first - 1} both runs hold the same, and the effect is 0."
    if example:
        clean, corrupted = _texts(task, example - 1)
        numbers = [float(x[example - 1]) for x in (result.clean, result.corrupted)]
        caption = (
            f"Prompt {example}, clean: “{clean}” (metric {numbers[0]:.3f}); corrupted: "
            f"“{corrupted}” ({numbers[1]:.3f}); patched at {place}: "
            f"{float(result.patched[layer, column, example - 1]):.3f}. {caption}"
        )
    return show(drawn.figure, alt, caption, [_prompts(task, result, layer, column, place),
                                             *drawn.tables])  # fmt: skip


def first_column(task: Task, result: PatchResult) -> int:
    """The first column that can have an effect: a head, or the first changed position."""
    return 0 if result.site == "heads" else min(task.first_change, task.length - 1)


def _column_name(task: Task, result: PatchResult, column: int) -> str:
    """A head, or a position with its token, where all clean prompts have the same one there."""
    if result.site == "heads":
        return f"head {column}"
    same = bool(task.tokens) and (task.clean[:, column] == task.clean[0, column]).all()
    return f"position {column}" + (f" “{task.tokens[column]}”" if same else "")


def _texts(task: Task, k: int) -> tuple[str, str]:
    """Prompt pair k; a task made from ids has no texts."""
    if not task.clean_texts:
        return f"clean prompt {k + 1}", f"corrupted prompt {k + 1}"
    return task.clean_texts[k], task.corrupted_texts[k]


def _prompts(task: Task, result: PatchResult, layer: int, column: int, place: str) -> Table:
    runs = result.clean, result.corrupted, result.patched[layer, column]
    effects = result.effects[layer, column].tolist()
    rows = [
        [k + 1, *_texts(task, k), *(f"{float(run[k]):.3f}" for run in runs), f"{effects[k]:+.3f}"]
        for k in range(len(task))
    ]
    columns = ["prompt", "clean", "corrupted", "metric clean", "corrupted", "patched", "effect"]
    return Table(columns, rows, caption=f"Every prompt at {place}; {result.unit}")


def patching_explorer(lm, tasks: Mapping[str, Task]) -> Explorer:
    """Choose a task, a direction and a kind of place; then a cell and a prompt to look at.

    Parameters
    ----------
    lm : a left-to-right model of `load_model`.
    tasks : name -> Task. Each sweep is computed once, when it is first asked for.

    Raises
    ------
    ValueError
        If `tasks` is empty.
    """
    if not tasks:
        raise ValueError("The explorer needs at least one task, for example greater_than(lm, 8).")
    known: dict[tuple[str, str, str], PatchResult] = {}

    def swept(task: str, direction: str, place: str) -> PatchResult:
        key = task, direction, place
        if key not in known:
            known[key] = patching_sweep(lm, tasks[task], direction, place)
        return known[key]

    lists = {"task": list(tasks), "direction": list(DIRECTIONS), "place": list(PLACES)}
    chosen = {
        name: ipywidgets.Dropdown(options=options, description=name.capitalize(), style=_LABEL)
        for name, options in lists.items()
    }
    labels = {"layer": "Layer", "column": "Position or head", "example": "Prompt (0: all)"}
    cell = {
        name: ipywidgets.BoundedIntText(value=0, min=0, description=label, style=_LABEL)
        for name, label in labels.items()
    }

    def to_strongest(change=None) -> None:
        """Set the bounds of the cell for the new sweep, and go to its largest effect."""
        result = swept(*(control.value for control in chosen.values()))
        rows, columns, n = result.effects.shape
        cell["column"].min = 0
        for control, last in zip(cell.values(), (rows - 1, columns - 1, n), strict=True):
            control.max = last
        cell["column"].min = first_column(tasks[chosen["task"].value], result)
        best = int(result.mean.argmax())
        cell["layer"].value, cell["column"].value = best // columns, best % columns

    def on_change(change) -> None:
        with explorer.hold():
            try:
                to_strongest()
            except ValueError:  # the figure says what is wrong
                pass

    to_strongest()
    for control in chosen.values():  # before the explorer listens, which then draws only once
        control.observe(on_change, names="value")

    def draw(task: str, direction: str, place: str, **where: int) -> AltFigure:
        return patching_figure(tasks[task], swept(task, direction, place), **where)

    explorer = Explorer(draw, **chosen, **cell)
    return explorer


def circuit_figure(lm, task: Task, scores: EdgeScores, n: int, random: int = RANDOM) -> AltFigure:
    """The n best-scored edges as a drawing, with their faithfulness beside that of random circuits.

    Parameters
    ----------
    scores : of `eap`, `exact_scores` or a search on this task.
    n : edges to keep, before those that lead nowhere are taken out.
    random : circuits with as many edges drawn at random, all on ways from the embedding to the
        logits.

    Raises
    ------
    ValueError
        If n is not between 1 and the number of scored edges, or no edge is on a way from the
        embedding to the logits.

    Notes
    -----
    Cost: 3 + random forward passes over the prompts.
    """
    chosen = scores.top(n)
    circuit = prune(scores.graph, chosen)
    if not circuit.any():
        raise ValueError(
            f"None of the {n} best edges lies on a way from the embedding to the logits, so the "
            "circuit is empty. Keep more edges."
        )
    size = int(circuit.sum())
    others = [random_circuit(scores.graph, size, seed, connected=True) for seed in range(random)]
    runs = faithfulness(lm, task, scores.graph, [circuit, *others])
    shares, (low, high) = runs.share.tolist(), runs.interval()[0].tolist()
    caption = (
        f"Faithfulness F = {shares[0]:.3f}, 95 % interval {low:.3f} to {high:.3f}. Of {n} edges "
        f"{size} lie on a way from the embedding to the logits. "
    )
    if others:
        found = ", ".join(f"{share:.3f}" for share in shares[1:])
        caption += f"Random circuits of {size} connected edges: F = {found}. "
    title = f"{task.name}, {scores.method}: F = {shares[0]:.2f}"
    drawn = circuit_drawing(scores.graph, circuit, scores, title=title)
    alt = f"{drawn.alt} {caption}".strip()
    return show(drawn.figure, alt, f"{caption}{drawn.caption} {runs.caption}.", drawn.tables)


def circuit_explorer(lm, task: Task, scores: EdgeScores) -> Explorer:
    """Choose how many edges a circuit keeps; see it drawn and how much of the task it keeps.

    Parameters
    ----------
    lm : a left-to-right model of `load_model`.
    scores : of `eap`, `exact_scores` or a search on this task. Figures are kept: going back to
        a size costs nothing.
    """
    last = int(scores.scored.sum())
    edges = ipywidgets.BoundedIntText(
        value=min(40, last), min=1, max=last, step=10, description="Edges kept", style=_LABEL
    )
    known: dict[int, AltFigure] = {}

    def draw(edges: int) -> AltFigure:
        if edges not in known:
            known[edges] = circuit_figure(lm, task, scores, edges)
        return known[edges]

    return Explorer(draw, edges=edges)
