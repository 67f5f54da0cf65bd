"""Judging a circuit: does it do the task, does it hold everything that does, is all of it needed?

    m(C)            metric on clean prompts, where edges outside C carry corrupted values
    faithfulness    F(C) = (m(C) - m(nothing)) / (m(model) - m(nothing))
    completeness    F(model without K) - F(C without K) for parts K of C: 0 if nothing is missing
    minimality      F(C) - F(C without e) for each edge e of C: 0 if e is not needed

With no edge left the logits read the corrupted run: m(nothing) is the corrupted metric. High
faithfulness alone says little, large circuits have it by their size: compare random circuits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from course_lib.circuits.graph import Graph
from course_lib.circuits.running import recorded_run, run_edges
from course_lib.intervals import bootstrap_means, tensor_ends
from course_lib.tasks import Task


@dataclass(frozen=True)
class Faithfulness:
    """What C circuits keep of the metric.

    Attributes
    ----------
    task, unit : str
    sizes : tuple of int
        Edges of each circuit.
    values : float64 [C, N]
        m(C) of every prompt.
    clean, corrupted : float64 [N]
        m(model) and m(nothing).
    n_edges : int
        Of the graph.
    passes : float
        Forward passes over the prompts.
    """

    task: str
    unit: str
    sizes: tuple[int, ...]
    values: Tensor
    clean: Tensor
    corrupted: Tensor
    n_edges: int
    passes: float

    @property
    def share(self) -> Tensor:
        """F(C) [C]: 1 = as good as the model, 0 = as the corrupted run; can lie outside."""
        gap = (self.clean - self.corrupted).mean()
        if gap.abs() < 1e-9:
            raise ValueError(
                f"The corruption of {self.task!r} does not change the metric, so there is nothing "
                "that a circuit could keep. Corrupt a word that decides the answer."
            )
        # [C, N] - [N], mean -> [C]. A ratio of means: the gap of a single prompt can be near 0
        return (self.values - self.corrupted).mean(-1) / gap

    def interval(self, n_boot: int = 1000, seed: int = 0) -> Tensor:
        """95 % bootstrap interval of F over prompts [C, 2]; both ends of the ratio are drawn."""
        return tensor_ends(self.drawn(n_boot, seed))

    def drawn(self, n_boot: int = 1000, seed: int = 0) -> Tensor:
        """F of prompts drawn with replacement, float64 [n_boot, C]; all circuits share draws."""
        self.share  # noqa: B018  (raises where there is nothing to keep)
        kept = bootstrap_means(self.values - self.corrupted, n_boot, seed)
        return kept / bootstrap_means(self.clean - self.corrupted, n_boot, seed)[:, None]

    @property
    def caption(self) -> str:
        """All that must stand beside the numbers."""
        return (
            f"{self.task}, {self.unit}: model {self.clean.mean():.3f}, corrupted "
            f"{self.corrupted.mean():.3f}, {len(self.clean)} prompts, {self.passes:.0f} passes"
        )

    def __repr__(self) -> str:
        shares = zip(self.sizes, self.share.tolist(), strict=True)
        lines = [f"  {n} of {self.n_edges} edges: F = {f:.3f}" for n, f in shares]
        return "\n".join([self.caption, *lines])


def faithfulness(
    lm: Any, task: Task, graph: Graph, circuits: Tensor | Sequence[Tensor]
) -> Faithfulness:
    """Run circuits: edges outside carry the sender's corrupted output.

    Parameters
    ----------
    graph : Graph
    circuits : bool [W, R], or several of them

    Raises
    ------
    ValueError
        For a mask of another shape or type, or with an edge that the graph does not have.

    Notes
    -----
    Cost: one forward pass for each circuit, and two. Source: the normalised form of Hanna,
    Pezzelle & Belinkov 2024; edges that carry corrupted values: Conmy et al. 2023.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.circuits import build_graph
    >>> from course_lib.tasks import greater_than
    >>> lm = load_model("course-lm")
    >>> graph = build_graph(lm, "block")
    >>> nothing = graph.mask([])
    >>> found = faithfulness(lm, greater_than(lm, 4), graph, [graph.allowed, nothing])
    >>> [round(abs(x), 4) for x in found.share.tolist()]
    [1.0, 0.0]
    """
    single = isinstance(circuits, Tensor) and circuits.dim() == 2
    masks = torch.stack([circuits] if single else list(circuits))
    graph.check(masks)
    clean = task.measure(recorded_run(lm, graph, task.clean)[0]).cpu()
    logits, other = recorded_run(lm, graph, task.corrupted)
    # [C, N]; outside are the edges of the graph that a mask [C, W, R] does not have
    values = run_edges(lm, graph, task, [(graph.allowed & ~masks, other)])
    return Faithfulness(task.name, task.unit, tuple(masks.sum((1, 2)).tolist()), values, clean,
                        task.measure(logits).cpu(), graph.n_edges, len(masks) + 2)  # fmt: skip


def random_circuit(graph: Graph, n: int, seed: int = 0, connected: bool = False) -> Tensor:
    """Mask [W, R] of n edges of the graph drawn at random.

    Parameters
    ----------
    connected : bool
        Each edge lies on a way of kept edges from the embedding to the logits, so that `prune`
        takes none of them out. Few edges drawn one by one form no such way and leave the metric
        at its corrupted value, whatever they are: that control is easily beaten.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.circuits import build_graph
    >>> graph = build_graph(load_model("course-lm"))
    >>> loose, tied = (random_circuit(graph, 40, connected=c) for c in (False, True))
    >>> [int(prune(graph, mask).sum()) for mask in (loose, tied)]
    [0, 40]
    """
    if not 0 <= n <= graph.n_edges:
        raise ValueError(f"n must be from 0 to {graph.n_edges} edges, got {n}.")
    places = graph.allowed.nonzero()
    generator = torch.Generator().manual_seed(seed)
    if connected:
        return _grown(graph, n, generator)
    chosen = places[torch.randperm(len(places), generator=generator)[:n]]
    mask = torch.zeros_like(graph.allowed)
    # [n, 2] of (writer, reader)
    mask[chosen[:, 0], chosen[:, 1]] = True
    return mask


def _grown(graph: Graph, n: int, generator: torch.Generator) -> Tensor:
    """n edges, added way by way: each way walks backwards from the logits to a random writer of
    the reader, on to one of its inputs, and so on, until a writer that is in use, or the embedding.
    """
    mask, feeds, allowed = torch.zeros_like(graph.allowed), graph.feeds(), graph.allowed
    end = torch.tensor([reader.name == "logits" for reader in graph.readers])

    def draw(choices: Tensor) -> int:
        found = choices.nonzero()[:, 0]
        return int(found[torch.randint(len(found), (), generator=generator)])

    while (left := n - int(mask.sum())) > 0:
        # writers that already have an input, and readers whose node is already read
        written = (mask.any(0)[:, None] & feeds).any(0)  # [R, 1] & [R, W] -> [W]
        written[0] = True  # the embedding
        read = end | (mask.any(1)[None] & feeds).any(1)  # [1, W] & [R, W] -> [R]
        if left == 1 or (written.all() and read.all()):  # edges between parts that are in use
            free = (allowed & ~mask & written[:, None] & read[None]).nonzero()
            if not len(free):  # too few parts for another edge: begin again
                return _grown(graph, n, generator)
            chosen = free[torch.randperm(len(free), generator=generator)[:left]]
            mask[chosen[:, 0], chosen[:, 1]] = True
            continue
        way, v = mask.clone(), draw(read)
        while True:
            u = draw(allowed[:, v])  # a writer before this reader
            way[u, v] = True
            if written[u]:
                break
            v = draw(feeds[:, u])  # one of its inputs
        if int(way.sum()) <= n:
            mask = way
    return mask


@dataclass(frozen=True)
class Completeness:
    """F of the circuit and of the whole model after parts K were taken out of both.

    Unpacks into the two rows of shares: `own, model = completeness(...)`.

    Attributes
    ----------
    runs : Faithfulness
        P circuits without K, then P times the model without K.
    """

    runs: Faithfulness

    @property
    def parts(self) -> int:
        """P, the number of parts K."""
        return len(self.runs.sizes) // 2

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.runs.share.split(self.parts))

    def __getitem__(self, index: Any) -> Any:
        return tuple(self)[index]

    @property
    def gap(self) -> Tensor:
        """F(model without K) - F(C without K), float64 [P]: 0 if nothing is missing."""
        own, model = self
        return model - own

    def interval(self, n_boot: int = 1000, seed: int = 0) -> Tensor:
        """95 % bootstrap interval of the gap over prompts [P, 2]."""
        # [n_boot, 2 P] -> [n_boot, 2, P]: own and model; diff is model - own, draw by draw
        return tensor_ends(self.runs.drawn(n_boot, seed).unflatten(1, (2, -1)).diff(dim=1)[:, 0])


def completeness(
    lm: Any, task: Task, graph: Graph, circuit: Tensor, draws: int = 8, seed: int = 0
) -> Completeness:
    """Take parts K out of the circuit, and out of the whole model: does it matter alike?

    K is the whole circuit first, then `draws` random halves of it. A complete circuit loses
    what the model loses; where the model copes better, something outside does the same work.

    Returns
    -------
    Completeness
        Unpacks into F(C without K) and F(model without K), float64 [1 + draws] each; `gap` is
        their difference and `interval()` its bootstrap interval.

    Raises
    ------
    ValueError
        As `faithfulness`, and for a circuit without edges.

    Notes
    -----
    Cost: 2 * (1 + draws) forward passes, and two. Source: Wang et al. 2022, section 4.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.circuits import build_graph
    >>> from course_lib.tasks import greater_than
    >>> lm = load_model("course-lm")
    >>> graph = build_graph(lm, "block")
    >>> own, model = completeness(lm, greater_than(lm, 4), graph, graph.allowed, draws=2)
    >>> bool((own == model).all())  # the whole model as circuit is complete
    True
    """
    _check_parts(graph, circuit)
    generator = torch.Generator().manual_seed(seed)
    halves = [torch.rand(circuit.shape, generator=generator) < 0.5 for _ in range(draws)]
    parts = [circuit] + [circuit & half for half in halves]
    # first the circuit without each K, then the whole graph without each K: 2 P masks
    masks = [circuit & ~part for part in parts] + [graph.allowed & ~part for part in parts]
    return Completeness(faithfulness(lm, task, graph, masks))


@dataclass(frozen=True)
class Minimality:
    """What a circuit loses with each of its edges.

    Attributes
    ----------
    circuit : bool [W, R]
    runs : Faithfulness
        Of the circuit, then of the circuit without each of its E edges.
    """

    circuit: Tensor
    runs: Faithfulness

    @property
    def loss(self) -> Tensor:
        """F(C) - F(C without e) for each edge e, float64 [W, R]; 0 outside the circuit."""
        share = self.runs.share  # [1 + E], the whole circuit first
        return self._spread(share[0] - share[1:])

    def interval(self, n_boot: int = 1000, seed: int = 0) -> Tensor:
        """95 % bootstrap interval of the loss over prompts [W, R, 2]; 0 outside the circuit."""
        drawn = self.runs.drawn(n_boot, seed)  # [n_boot, 1 + E]
        return self._spread(tensor_ends(drawn[:, :1] - drawn[:, 1:]))

    def needed(self, n_boot: int = 1000, seed: int = 0) -> Tensor:
        """bool [W, R]: edges without which the circuit does worse, by an interval above 0.

        Above rounding, to be exact: a share of 0.000001 of the gap.
        """
        return self.interval(n_boot, seed)[..., 0] > 1e-6

    def _spread(self, values: Tensor) -> Tensor:
        full = torch.zeros(*self.circuit.shape, *values.shape[1:], dtype=torch.float64)
        full[self.circuit] = values  # [E, ...], in the order of the rows of the mask
        return full


def leave_one_out(lm: Any, task: Task, graph: Graph, circuit: Tensor) -> Minimality:
    """Take each edge out of the circuit in turn: is it needed?

    Raises
    ------
    ValueError
        As `faithfulness`, and for a circuit without edges.

    Notes
    -----
    Cost: one forward pass for each edge of the circuit, and three. Wang et al. 2022 ask for less:
    that each part matters after some other parts are gone.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.circuits import build_graph
    >>> from course_lib.tasks import greater_than
    >>> lm = load_model("course-lm")
    >>> graph = build_graph(lm, "block")
    >>> circuit = graph.mask([("embed", "m0"), ("m0", "m1"), ("m0", "logits")])
    >>> found = leave_one_out(lm, greater_than(lm, 4), graph, circuit)
    >>> loose = graph.edge("m0", "m1")  # nobody reads m1: this edge leads nowhere
    >>> bool(found.loss[loose].abs() < 1e-6), bool(found.needed()[loose])
    (True, False)
    """
    _check_parts(graph, circuit)
    places = circuit.nonzero()
    # [1 + E, W, R]: the circuit, then without its first edge, without its second, ...
    masks = circuit.repeat(len(places) + 1, 1, 1)
    masks[torch.arange(len(places)) + 1, places[:, 0], places[:, 1]] = False
    return Minimality(circuit, faithfulness(lm, task, graph, masks))


def minimality(lm: Any, task: Task, graph: Graph, circuit: Tensor) -> Tensor:
    """F(C) - F(C without e) for each edge e, float64 [W, R]; 0 outside the circuit.

    Near 0: the circuit does as well without this edge. Negative: it does better. Intervals,
    cost, errors and source: see `leave_one_out`, of which this is the `loss`.
    """
    return leave_one_out(lm, task, graph, circuit).loss


def _check_parts(graph: Graph, circuit: Tensor) -> None:
    graph.check(circuit)
    if not circuit.any():
        raise ValueError("The circuit has no edge that could be taken out. Keep more edges.")


def prune(graph: Graph, circuit: Tensor) -> Tensor:
    """The circuit without edges that lead nowhere, or come from nowhere; F stays the same.

    An edge from a writer whose own inputs are all corrupted carries the corrupted value anyway,
    and an input is of no use where the output is not read.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.circuits import build_graph
    >>> graph = build_graph(load_model("course-lm"), "block")
    >>> graph.edges(prune(graph, graph.mask([("embed", "m0"), ("m0", "logits"), ("a1", "m4")])))
    [('embed', 'm0'), ('m0', 'logits')]
    """
    feeds, mask = graph.feeds(), circuit & graph.allowed
    start = torch.tensor([writer.name == "embed" for writer in graph.writers])
    end = torch.tensor([reader.name == "logits" for reader in graph.readers])
    while True:
        written = start | (mask.any(0)[:, None] & feeds).any(0)  # [W] some input is clean
        read = end | (mask.any(1)[None] & feeds).any(1)  # [R] some output of it is read
        smaller = mask & written[:, None] & read[None]
        if torch.equal(smaller, mask):
            return mask
        mask = smaller
