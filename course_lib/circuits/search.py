"""Searching circuits edge by edge: from the logits backwards, and ACDC."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from course_lib.circuits.graph import Graph, build_graph
from course_lib.circuits.running import BATCH_TOKENS, recorded_run, run_edges
from course_lib.circuits.scores import EdgeScores, exact_scores
from course_lib.tasks import Task


def backward_search(
    lm: Any, task: Task, graph: Graph | None = None, threshold: float = 0.05
) -> EdgeScores:
    """Search from the logits backwards: which senders matter to a receiver that matters?

    The logits come first. For each receiver reached, all edges into it are patched one at a time;
    where the metric moves by at least `threshold` of the gap between clean and corrupted runs, the
    edge is kept and the inputs of its sender are the next receivers.

    Parameters
    ----------
    graph : Graph, default the graph of blocks
    threshold : float
        Share of the gap, not below 0.

    Returns
    -------
    EdgeScores
        `scored` is the circuit: the kept edges, with their exact scores. Smaller thresholds keep
        all that larger ones do.

    Raises
    ------
    ValueError
        For a negative threshold, and where no edge into the logits reaches it.

    Notes
    -----
    Cost: one forward pass for each edge into a receiver that is reached.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.tasks import greater_than
    >>> lm = load_model("course-lm")
    >>> found = backward_search(lm, greater_than(lm, 4), threshold=0.1)
    >>> "logits" in {reader for _, reader in found.graph.edges(found.scored)}
    True
    """
    if threshold < 0:
        raise ValueError(f"The threshold is a share of the gap and at least 0, got {threshold}.")
    graph = graph or build_graph(lm, "block")
    feeds = graph.feeds()
    reached = torch.tensor([reader.name == "logits" for reader in graph.readers])
    done = torch.zeros_like(reached)
    kept, passes = torch.zeros_like(graph.allowed), 0.0
    scores = torch.zeros(graph.allowed.shape, dtype=torch.float64)
    while (reached & ~done).any():
        new = reached & ~done
        # [W, R] & [1, R]: all edges into the receivers that are new
        found = exact_scores(lm, task, graph, graph.allowed & new[None])
        gap = abs(found.clean - found.corrupted)
        keep = found.scored & (found.scores.abs() >= threshold * gap)
        kept, scores, passes = kept | keep, scores + found.scores * keep, passes + found.passes
        done |= new
        # [R, W] & [1, W]: the inputs of every sender with a kept edge are receivers now
        reached = done | (feeds & keep.any(1)[None]).any(1)
    if not kept.any():
        raise ValueError(
            f"No edge into the logits moves the metric by {threshold} of the gap, so the circuit "
            "is empty. Lower the threshold."
        )
    return EdgeScores(graph, scores, kept, task.name, f"backward search at {threshold}",
                      task.unit, found.clean, found.corrupted, passes)  # fmt: skip


def acdc(
    lm: Any, task: Task, graph: Graph | None = None, threshold: float = 0.01,
    candidates: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Remove edges one after the other wherever the metric hardly changes.

    Receivers are visited from the logits backwards. The edge is taken out of the circuit found so
    far; if the mean metric moves by less than `threshold`, it stays out.

    Parameters
    ----------
    graph : Graph, default the graph of blocks
    threshold : float
        In the unit of the metric. 0 keeps every edge, infinity none.
    candidates : bool [W, R]
        Circuit to start from, for example eap(lm, task).top(400): the rest is out from the start.

    Returns
    -------
    bool [W, R]
        The circuit; it can be empty.

    Raises
    ------
    ValueError
        For a negative threshold, or candidates that are no circuit of the graph.

    Notes
    -----
    Cost: at least one forward pass for each candidate edge, so 91 for the blocks of course-lm and
    3,628 for its heads: start there from the best few hundred edges of EAP, which then decides
    what can be found at all. Several removals are tried in one batch, each as if those before it
    had succeeded; after the first that did not, the rest of the batch is thrown away, so that the
    result is that of one removal after the other, for up to three times the passes. Source: Conmy
    et al. 2023, who use the divergence of the output distribution, or the signed change of the
    metric; the absolute change keeps edges in either direction.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.tasks import greater_than
    >>> lm = load_model("course-lm")
    >>> some = build_graph(lm, "block").mask([("embed", "m0"), ("m0", "logits")])
    >>> int(acdc(lm, greater_than(lm, 4), threshold=0.0, candidates=some).sum())
    2
    """
    if threshold < 0:
        raise ValueError(f"The threshold must be at least 0, got {threshold}.")
    graph = graph or build_graph(lm, "block")
    circuit = (graph.allowed if candidates is None else candidates).clone()
    graph.check(circuit)
    _, other = recorded_run(lm, graph, task.corrupted)

    def values(masks: Tensor) -> list[float]:
        outside = graph.allowed & ~masks
        return run_edges(lm, graph, task, [(outside, other)]).mean(1).tolist()

    (current,) = values(circuit[None])
    # receivers from the logits backwards, and the senders of each from late to early
    left = [(u, v) for v, u in reversed(circuit.T.nonzero().tolist())]
    # trials in one batch: at most so many, and few where edges have just turned out to matter
    most, ahead = max(1, BATCH_TOKENS // task.clean.numel()), 1
    while left:
        trial, masks = left[:ahead], circuit.repeat(len(left[:ahead]), 1, 1)
        for k, (u, v) in enumerate(trial):
            masks[k:, u, v] = False  # trial k is without the edges 0 ... k
        ahead = min(2 * ahead, most)
        for k, without in enumerate(values(masks)):
            if abs(without - current) >= threshold:  # this edge stays: what comes after is void
                trial, ahead = trial[: k + 1], max(1, k)
                break
            current, circuit = without, masks[k]  # out for good; the next one is compared with this
        left = left[len(trial) :]
    return circuit
