"""A score for every edge: exact (one run each) or by gradients (all edges from one backward pass).

    exact                 m(clean) - m(edge carries the sender's corrupted output)
    EAP                   - sum_{t,d} (corrupted - clean output of the sender) . dm / d input
    EAP with IG           the same, with the gradient averaged on the way from the corrupted to
                          the clean embeddings

EAP (edge attribution patching) is the first-order approximation of the exact effect at the clean
run. Positive = the edge supports the answer: carrying the corrupted value makes the metric lower.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.activations import record, replace
from course_lib.architectures import bare_model
from course_lib.circuits.graph import Graph, build_graph, weight_and_bias
from course_lib.circuits.running import recorded_run, run_edges, writer_outputs, writer_sites
from course_lib.tasks import Task, last_logits

RULES = ("midpoint", "gauss-legendre", "left")


@dataclass(frozen=True)
class EdgeScores:
    """Scores of the edges of a graph.

    Attributes
    ----------
    graph : Graph
    scores : float64 [W, R]
        Mean over prompts, in the unit of the metric; positive = supports. 0 where there is no
        edge, or where it was not scored.
    scored : bool [W, R]
    task, method, unit : str
    clean, corrupted : float
        Mean metric of the two plain runs.
    passes : float
        Forward passes over the prompts; a backward pass counts as one more.
    """

    graph: Graph
    scores: Tensor
    scored: Tensor
    task: str
    method: str
    unit: str
    clean: float
    corrupted: float
    passes: float

    def top(self, n: int) -> Tensor:
        """Mask [W, R] of the n scored edges with the largest absolute scores.

        ValueError where n is not between 1 and the number of scored edges.
        """
        if not 1 <= n <= int(self.scored.sum()):
            raise ValueError(f"n must be from 1 to {int(self.scored.sum())} edges, got {n}.")
        # [W * R]; -1 puts edges that were not scored behind those with score 0
        size = self.scores.abs().masked_fill(~self.scored, -1.0).flatten()
        mask = torch.zeros_like(self.scored).flatten()
        # stable: of equal scores the first edge, on every machine
        mask[size.argsort(descending=True, stable=True)[:n]] = True
        return mask.view_as(self.scored)

    def above(self, threshold: float) -> Tensor:
        """Mask [W, R] of the scored edges with an absolute score of at least `threshold`."""
        mask = self.scored & (self.scores.abs() >= threshold)
        if not mask.any():
            raise ValueError(
                f"No edge reaches {threshold}: the largest score is "
                f"{float(self.scores.abs().max()):.4f}. Lower the threshold."
            )
        return mask

    def by_writer(self) -> Tensor:
        """Sums over the edges of each writer [W]: by gradients, its node attribution."""
        return self.scores.sum(1)

    def ranked(self, k: int = 10) -> list[tuple[str, str, float]]:
        """The k edges with the largest absolute scores, as (writer, reader, score)."""
        order = self.scores.abs().flatten().argsort(descending=True, stable=True)[:k].tolist()
        width, scores = len(self.graph.readers), self.scores.flatten().tolist()
        writers, readers = self.graph.writers, self.graph.readers
        return [(writers[i // width].name, readers[i % width].name, scores[i]) for i in order]

    @property
    def caption(self) -> str:
        """All that must stand beside the numbers."""
        return (
            f"{self.task}: {self.method}, {int(self.scored.sum())} of {self.graph.n_edges} edges, "
            f"{self.unit}, clean {self.clean:.3f}, corrupted {self.corrupted:.3f}, "
            f"{self.passes:.0f} passes"
        )

    def __repr__(self) -> str:
        lines = [f"  {u:>8} -> {v:<9} {s:+.4f}" for u, v, s in self.ranked()]
        return "\n".join([self.caption, *lines])


def exact_scores(
    lm: Any, task: Task, graph: Graph | None = None, edges: Tensor | None = None
) -> EdgeScores:
    """Patch edges one at a time: the receiver's input, minus the sender's clean output, plus its
    corrupted output.

    Parameters
    ----------
    lm : LanguageModel or transformers model
    task : Task
    graph : Graph, default the graph of blocks
    edges : bool [W, R], default all edges of the graph

    Returns
    -------
    EdgeScores
        In the unit of the metric; positive = the edge supports the answer.

    Raises
    ------
    UnsupportedArchitecture
        As `build_graph`.

    Notes
    -----
    Cost: one forward pass for each edge, and two. Source: Goldowsky-Dill et al. 2023; Wang et al.
    2022.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.tasks import greater_than
    >>> lm = load_model("course-lm")
    >>> graph = build_graph(lm, "block")
    >>> found = exact_scores(lm, greater_than(lm, 4), graph, graph.mask([("embed", "m0")]))
    >>> bool(found.by_writer()[0] > 0)
    True
    """
    graph = graph or build_graph(lm, "block")
    edges = graph.allowed if edges is None else edges & graph.allowed
    clean = task.measure(recorded_run(lm, graph, task.clean)[0]).cpu()
    logits, other = recorded_run(lm, graph, task.corrupted)
    corrupted = task.measure(logits).cpu()
    places = edges.nonzero()  # [E, 2]
    # [E, W, R]: in variant e the edge e alone carries the corrupted output
    amount = torch.zeros(len(places), *edges.shape, dtype=torch.bool)
    amount[torch.arange(len(places)), places[:, 0], places[:, 1]] = True
    scores = torch.zeros(edges.shape, dtype=torch.float64)
    if len(places):
        # clean [N] - patched [E, N], mean over prompts; a mask counts its entries as nonzero() does
        scores[edges] = (clean - run_edges(lm, graph, task, [(amount, other)])).mean(1)
    return EdgeScores(graph, scores, edges, task.name, "exact edge patching", task.unit,
                      float(clean.mean()), float(corrupted.mean()), len(places) + 2)  # fmt: skip


def eap(
    lm: Any, task: Task, graph: Graph | None = None, *, steps: int = 0, rule: str = "midpoint"
) -> EdgeScores:
    """Edge attribution patching: scores of all edges from two forward and one backward pass.

    Parameters
    ----------
    lm : LanguageModel or transformers model
    task : Task
    graph : Graph, default the graph of heads
    steps : int
        0 takes the gradient at the clean run (EAP). n averages it over n points between the
        corrupted and the clean embeddings (EAP-IG), which sees past places where the metric is
        flat.
    rule : "midpoint", "gauss-legendre" or "left"
        Where on the path the points are, from 0 (corrupted) to 1 (clean). The published code
        takes the left ends.

    Returns
    -------
    EdgeScores
        In the unit of the metric; positive = the edge supports the answer. The scores of a
        writer's edges sum to its node attribution (output difference times gradient).

    Raises
    ------
    ValueError
        For an unknown rule or a negative number of steps.
    UnsupportedArchitecture
        As `build_graph`.

    Notes
    -----
    Cost: 2 forward passes and 1 backward; with steps n, n + 2 forward and n backward. Source:
    Syed, Rager & Conmy 2023; with IG: Hanna, Pezzelle & Belinkov 2024.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.tasks import greater_than
    >>> lm = load_model("course-lm")
    >>> found = eap(lm, greater_than(lm, 4))
    >>> int(found.scored.sum()), found.passes
    (3628, 3)
    """
    graph = graph or build_graph(lm, "head")
    nodes, weights = path_points(steps, rule)
    logits, other = recorded_run(lm, graph, task.corrupted)
    corrupted = task.measure(logits).cpu()
    if steps:
        # sender outputs come from the clean run itself; along the path only gradients are taken
        logits, here = recorded_run(lm, graph, task.clean)
        clean, scores = task.measure(logits), torch.zeros(graph.allowed.shape, dtype=torch.float64)
        for node, weight in zip(nodes, weights, strict=True):
            embeddings = other[0] + node * (here[0] - other[0])  # writer 0 is the embedding
            scores += weight * _products(lm, graph, task, other, here, embeddings)[1]
    else:
        clean, scores = _products(lm, graph, task, other)
    scores, clean = scores / len(task), clean.cpu()  # sums over prompts -> means
    method = f"EAP-IG, {steps} steps, {rule}" if steps else "EAP"
    return EdgeScores(graph, scores, graph.allowed, task.name,
                      method, task.unit, float(clean.mean()), float(corrupted.mean()),
                      2 + 2 * steps if steps else 3)  # fmt: skip


def path_points(steps: int, rule: str) -> tuple[list[float], list[float]]:
    """Nodes from 0 to 1 and weights that sum to 1; one node at 1 for no steps.

    Examples
    --------
    >>> path_points(2, "left")
    ([0.0, 0.5], [0.5, 0.5])
    """
    if rule not in RULES or steps < 0:
        raise ValueError(f"steps must be 0 or more and rule one of {RULES}: {steps}, {rule!r}.")
    if steps == 0:
        return [1.0], [1.0]
    if rule == "gauss-legendre":
        # leggauss integrates over [-1, 1]: here over [0, 1]
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        return ((nodes + 1) / 2).tolist(), (weights / 2).tolist()
    shift = 0.5 if rule == "midpoint" else 0.0
    return [(k + shift) / steps for k in range(steps)], [1 / steps] * steps


def _products(
    model: Any, graph: Graph, task: Task, other: Tensor, here: Tensor | None = None,
    embeddings: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Metric [N], and the sum over prompts of (here - other) . dm / d input, float64 [W, R].

    `here` and `other` [W, N, T, d] are what the writers write on clean and corrupted prompts.
    """
    values, written, inputs, at = _backward(model, graph, task, embeddings)
    if here is None:
        with torch.no_grad():
            here = writer_outputs(model, graph, written)
    gradients = _input_gradients(bare_model(model), graph, inputs, at)
    return values, _inner_products(graph, here - other, gradients)


def _backward(
    model: Any, graph: Graph, task: Task, embeddings: Tensor | None
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Step 1, one run forward and back: the metric [N]; by site what the writers wrote; by path of
    a norm or projection its input, and the metric's gradient at its output."""
    inner = bare_model(model)
    paths = {path for r in graph.readers for path in (r.norm, r.projection) if path}
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def keep(path: str):
        def hook(module: Any, args: tuple, output: Tensor) -> None:
            inputs[path], outputs[path] = args[0], output

        return hook

    def leaf(x: Tensor) -> Tensor:  # the weights are frozen: the gradient needs a place to start
        return (x if embeddings is None else embeddings).detach().clone().requires_grad_()

    with torch.enable_grad(), ExitStack() as stack:
        stack.enter_context(replace(model, {"embed": leaf}))
        seen = stack.enter_context(record(model, writer_sites(graph)))
        for path in paths:
            handle = inner.get_submodule(path).register_forward_hook(keep(path))
            stack.callback(handle.remove)
        values = task.measure(last_logits(model, task.clean))
        # prompts do not see each other, so the gradient of the sum holds that of each of them
        found = torch.autograd.grad(values.sum(), list(outputs.values()))
    at = dict(zip(outputs, found, strict=True))
    return values.detach(), {site: x.detach() for site, x in seen.items()}, inputs, at


def _input_gradients(
    inner: Any, graph: Graph, inputs: dict[str, Tensor], at: dict[str, Tensor]
) -> Iterator[tuple[list[int], Tensor]]:
    """Step 2, back through the norms: for each norm the numbers of its r readers, and the gradient
    at its input through each of them alone, [r, N, T, d]."""
    for norm in dict.fromkeys(reader.norm for reader in graph.readers):
        numbers = [v for v, reader in enumerate(graph.readers) if reader.norm == norm]
        pulled = torch.stack([_at_norm(inner, graph.readers[v], at) for v in numbers])
        x = inputs[norm].detach().expand_as(pulled).clone().requires_grad_()  # [r, N, T, d]
        with torch.enable_grad():
            y = inner.get_submodule(norm).forward(x)
        # the model's own gradient there is the sum over readers: an edge needs them apart
        yield numbers, torch.autograd.grad(y, x, pulled)[0]


def _inner_products(
    graph: Graph, difference: Tensor, gradients: Iterable[tuple[list[int], Tensor]]
) -> Tensor:
    """Step 3: difference [W, N, T, d] of each writer times gradient of each reader, [W, R]."""
    difference = difference.flatten(1)  # [W, N * T * d]
    scores = torch.zeros(graph.allowed.shape, dtype=torch.float64)
    for numbers, gradient in gradients:
        before = int(graph.allowed[:, numbers[0]].sum())  # the readers of a norm read the same
        products = difference[:before] @ gradient.flatten(1).T  # [before, r]
        scores[:before, numbers] = products.double().cpu()
    return scores


def _at_norm(inner: Any, reader: Any, at: dict[str, Tensor]) -> Tensor:
    """Gradient at the output of a reader's norm, through this reader alone."""
    if reader.projection is None:
        return at[reader.norm]
    # back through this reader's rows of the projection: [N, T, b - a] @ [b - a, d]
    weight, _ = weight_and_bias(inner.get_submodule(reader.projection))
    a, b = reader.features
    return at[reader.projection][..., a:b] @ weight[a:b]
