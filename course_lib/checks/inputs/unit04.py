"""Inputs of assignment 04: logits of a small vocabulary, residual streams, tables of circuits."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.reading import read
from course_lib.checks.results import Wrong

# --- 04.1 greater_than(logits [N, T, V], years, starts) ----------------------------------------


def readings(
    rng, prompts, tokens, n_years, dtype="float32", more=12, starts=None, far=0.0, shift=0.0
):
    """Logits, the ids of the years in no order, and a first year for each prompt.

    Half of the years are likely, and so are some words that are no years at all. With ``far`` one
    year stands that many units above the rest, and a second one half a unit above it; ``shift`` is
    added to all logits.
    """
    vocabulary = n_years + more
    ids = rng.permutation(vocabulary)[:n_years]
    logits = rng.normal(size=(prompts, tokens, vocabulary)) * 1.5
    logits += rng.uniform(3, 6, size=(prompts, tokens, 1))
    if starts is None:
        starts = rng.choice(np.arange(1, n_years - 2), size=prompts, replace=prompts > n_years - 3)
        starts = starts.tolist()
    table = torch.tensor(logits + shift).to(getattr(torch, dtype))
    if far:
        table[:, :, ids[2]] += far
        table[:, -1, ids[5]] = table[:, -1, ids[2]] + 0.5
    return table, ids.tolist(), starts


# --- 04.2 ablation_values(values [N, T, d], kind, seed) ----------------------------------------


def node_outputs(rng, shape, kind=None, seeds=0, size=1.0, dtype="float32", grad=False):
    """What a node wrote, no two prompts or positions alike, and the kind or so many seeds."""
    centre = rng.uniform(1, 3, size=shape[1:]) * rng.choice([-1, 1], size=shape[1:])
    values = torch.tensor(size * (centre + rng.normal(size=shape))).to(getattr(torch, dtype))
    return values.requires_grad_(grad), kind or rng.permutation(10_000)[:seeds].tolist()


FINE = "the values of another prompt for each, every prompt's once"


def lenders(call, values, *seed):
    """[N] whose values each prompt got; -1 of nobody, -2 of several, -3 its own in disorder."""
    x = values.detach().double().numpy()
    got = read(call(values, "resample", *seed), x, "the result")
    if got is None or got.shape != x.shape:
        raise Wrong(f"For 'resample' the shape must be {list(x.shape)}, as for the other kinds.")
    same = np.abs(got[:, None] - x) <= 1e-5 * np.abs(x).max()  # [N, N, T, d]
    if same.all((2, 3)).any(1).all():
        return same.all((2, 3)).argmax(1)
    orders = [np.sort(table.reshape(len(x), -1)) for table in (got, x)]
    pieces = same.all(3).any(1).all()
    return np.full(len(x), -2 if pieces else -3 if np.allclose(*orders) else -1)


def what_was_lent(call, values, seeds):
    """What is true of the draws with these seeds, in words; all are drawn twice."""
    drawn, again = np.array([[lenders(call, values, seed) for seed in seeds] for _ in range(2)])
    own = drawn == np.arange(len(values))
    found = {
        "values that no prompt has": (drawn == -1).any(),
        "positions of several prompts in one": (drawn == -2).any(),
        "the numbers of a prompt in another order": (drawn == -3).any(),
        "each prompt with its own values": own.all(),
        "a prompt with its own values": own.any(),
        "one prompt's values handed on twice": any(len(set(row)) < len(row) for row in drawn),
        "another draw when the seed is repeated": (drawn != again).any(),
        "the same draw with every seed": len(values) > 4 and (drawn == drawn[0]).all(),
    }
    return next((words for words, true in found.items() if true), FINE)


def how_often_each_lends(call, values, seeds):
    """Whether all the other prompts lend about as often; the bound is 5.5 standard deviations."""
    said, counts, n = what_was_lent(call, values, seeds[:2]), 0, len(values)
    for seed in seeds if said == FINE else ():
        counts = counts + np.eye(n)[lenders(call, values, seed)]
    share, others = 1 / (n - 1), 1 - np.eye(n)
    far = np.abs(counts - others * len(seeds) * share)
    allowed = 5.5 * (len(seeds) * share * (1 - share)) ** 0.5
    return said if said != FINE else "not all as often" if (far > allowed).any() else "all alike"


def differs_from_seed_0(call, values, _):
    """How many prompts get something else without a seed than with seed 0."""
    return float((lenders(call, values) != lenders(call, values, 0)).sum())


# --- 04.3 patch_node and 04.4 patch_edge (layers, readout, clean [N, T, d], corrupted, ...) ----


def some_of_either_sign(rng, *size, least=0.5, most=1.5):
    return torch.tensor(rng.uniform(least, most, size=size) * rng.choice([-1.0, 1.0], size=size))


class Layer:
    """What a layer adds to the stream [N, T, d]: it mixes earlier positions and bends them."""

    def __init__(self, rng, tokens, width):
        mix = np.tril(rng.uniform(0.3, 1, size=(tokens, tokens)))
        self.mix = torch.tensor(mix / mix.sum(1, keepdims=True))
        self.inner = torch.tensor(rng.normal(size=(width, 2 * width)) / width**0.5)
        self.outer = torch.tensor(rng.normal(size=(2 * width, width)) * 1.3 / (2 * width) ** 0.5)

    def __call__(self, stream):
        x = stream_of(stream, len(self.mix), len(self.inner))
        return (torch.tanh(self.mix @ x @ self.inner + 0.2) @ self.outer).to(stream.dtype)


class Readout:
    """The metric [N], read from the last position of the final stream [N, T, d]."""

    def __init__(self, rng, tokens, width, linear):
        self.tokens, self.bend = tokens, 0 if linear else 0.3
        self.weights = some_of_either_sign(rng, 2, width)

    def __call__(self, stream):
        x = stream_of(stream, self.tokens, self.weights.shape[1])[:, -1] @ self.weights.T
        return (x[:, 0] + self.bend * x[:, 1] ** 2).to(stream.dtype)


def stream_of(stream, tokens, width):
    if not isinstance(stream, torch.Tensor) or stream.shape[1:] != (tokens, width):
        raise ValueError(f"Layers and readout read a stream, a tensor [N, {tokens}, {width}].")
    return stream.detach().double()


def stack(rng, sizes, more, linear=False, same=False, size=1.0, dtype="float64", grad=False):
    """A random model of ``sizes`` (prompts, tokens, width, depth), its embeddings, and ``more``.

    With ``same`` the corrupted prompts are the clean ones.
    """
    prompts, tokens, width, depth = sizes
    layers = [Layer(rng, tokens, width) for _ in range(depth)]
    readout = Readout(rng, tokens, width, linear)
    tables = torch.tensor(size * rng.normal(size=(2, prompts, tokens, width)))
    clean, corrupted = tables.to(getattr(torch, dtype))
    corrupted = clean.clone() if same else corrupted
    return layers, readout, clean.requires_grad_(grad), corrupted.requires_grad_(grad), *more


# --- 04.5 edge_attribution(gradients, clean [W, N, T, d], corrupted, allowed [W, R], steps) ----


class Gradients:
    """Gradients [R, N, T, d], a polynomial of the embeddings; calls are counted."""

    def __init__(self, rng, readers, shape, power, dtype):
        self.weights = some_of_either_sign(rng, power + 1, readers, *shape, least=0.3, most=1)
        self.shape, self.dtype, self.calls = shape, getattr(torch, dtype), 0

    def __call__(self, embeddings):
        if not isinstance(embeddings, torch.Tensor) or tuple(embeddings.shape) != self.shape:
            raise ValueError(f"gradients takes embeddings, a tensor {list(self.shape)}.")
        self.calls += 1
        e = embeddings.detach().double()
        return sum(weights * e**k for k, weights in enumerate(self.weights)).to(self.dtype)


def attribution(
    rng, sizes, more=(), power=3, exist="some", dtype="float64", slopes="float64", offset=0.0,
    size=1.0, grad=False,
):  # fmt: skip
    """A graph of ``sizes`` (writers, readers, prompts, tokens, width); ``more`` holds steps.

    ``exist`` says which edges there are: some in order, any at random, all or none. The
    differences do not cancel out, so that a lost sign or factor shows.
    """
    writers, readers, *shape = sizes
    gradients = Gradients(rng, readers, tuple(shape), power, slopes)
    clean, noise = rng.normal(size=(2, writers, *shape))
    corrupted = clean + noise + np.where(noise > 0, 0.4, -0.4)
    clean, corrupted = (
        torch.tensor(size * x + offset).to(getattr(torch, dtype)).requires_grad_(grad)
        for x in (clean, corrupted)
    )
    allowed = np.arange(writers)[:, None] <= np.arange(readers) * writers // readers
    allowed[0, readers // 2] = False
    if exist != "some":
        allowed = rng.random((writers, readers)) < {"any": 0.6, "all": 1, "none": 0}[exist]
    return gradients, clean, corrupted, torch.tensor(allowed), *more


def scores_and_calls(call, gradients, *given):
    """The scores, and how often ``gradients`` was called for them."""
    return call(gradients, *given), gradients.calls


# --- 04.6 judge_circuit(measure, edges, circuit, part, rivals), 04.7 acdc(measure, edges, ...) --


class Circuits:
    """``measure``: the metric of N prompts where just the given edges carry clean values.

    ``values`` [N] of a set of edges, as sorted numbers, is kept for the next time.
    """

    def __init__(self, number, values):
        pairs = [(u, v) for v in range(1, 9) for u in range(v)][:number]
        self.edges = [(f"a{u}" if u else "embed", f"m{v}") for u, v in pairs]
        self.values, self.calls, self.known = values, 0, {}

    def places(self, kept):
        """The edges as sorted numbers; ValueError for what is no edge, or is there twice."""
        kept = [tuple(edge) for edge in kept]
        if unknown := [edge for edge in kept if edge not in self.edges]:
            raise ValueError(f"measure takes a list of edges; {unknown[0]} is none of them.")
        if len(set(kept)) < len(kept):
            raise ValueError("measure got an edge twice.")
        return tuple(sorted(self.edges.index(edge) for edge in kept))

    def __call__(self, kept):
        self.calls += 1
        places = self.places(kept)
        if places not in self.known:
            self.known[places] = self.values(places)
        return self.known[places].tolist()


def judged(
    rng, number, size, prompts, rivals=(0, 0, 0), shift=0.0, backup=0, turned=False, unit=1.0,
    gap=None, near=1.0, circuit="drawn", part=None, added=0,
):  # fmt: skip
    """A table with a random metric for every circuit, and a circuit of ``size`` edges.

    ``rivals``: how many are better, the circuit in another order, and worse; ``near`` brings them
    nearer. With ``backup`` the model without the part keeps so much more than the circuit without
    it. ``turned``: corruption raises the metric, by 0.7 to 4 units a prompt; or ``gap`` is its
    mean. ``added`` edges make one rival larger.
    """
    low = unit * rng.uniform(-1.5, 0.5, size=prompts)
    high = low + unit * rng.uniform(0.7, 4, size=prompts) if gap is None else low[::-1] + gap
    low, high = (high, low) if turned else (low, high)
    seed, levels = int(rng.integers(2**31)), {}

    def values(places):
        if len(places) in (0, number):
            return high if places else low
        share = np.random.default_rng([seed, *places]).uniform(-0.2, 1.1, size=prompts) + shift
        found = low + share * (high - low)
        kept = levels.get(places)
        return found if kept is None else found - np.mean(found - low - kept * (high - low))

    edges = (measure := Circuits(number, values)).edges

    def drawn():
        return [edges[i] for i in rng.permutation(number)[:size]]

    chosen = {"drawn": drawn(), "all": edges[::-1], "none": []}[circuit]
    taken = [chosen[i] for i in rng.permutation(len(chosen))[: (size + 1) // 2 if chosen else 0]]
    level = rng.uniform(0.3, 0.7) + shift
    for kept, more in ((edges, backup), (chosen, 0)) if backup else ():
        levels[measure.places([edge for edge in kept if edge not in taken])] = level + more
    others = [chosen[::-1]] * rivals[1]
    levels |= {measure.places(chosen): level} if any(rivals) else {}
    for sign in (1,) * rivals[0] + (-1,) * rivals[2]:
        while measure.places(rival := drawn()) in levels:
            pass
        levels[measure.places(rival)] = level + sign * near * rng.uniform(0.1, 0.5)
        others.append(rival)
    others = [others[i] for i in rng.permutation(len(others))]
    others += [edges[: size + added]] if added else []
    outside = [edge for edge in edges if edge not in chosen][:1]
    return measure, edges, chosen, {"none": [], "foreign": outside}.get(part, taken), others


def _one_of(key):
    def observe(call, *given):
        table = read(call(*given), dict.fromkeys(("faithfulness", "completeness", "chance"), 0.0))
        return table and table[key]

    return observe


faithfulness, completeness, chance = map(_one_of, ("faithfulness", "completeness", "chance"))


def searching(rng, number, prompts, pairs=0, threshold=None, unit=1.0, idle=(), exact=False):
    """Edges whose effects add up, prompt by prompt; some pairs can stand in for each other.

    ``idle`` edges do nothing. ``exact``: metrics and changes are multiples of 1/4.
    """
    size = rng.uniform(0.1, 1, size=number) * rng.choice([-1, 1], size=number, p=[0.35, 0.65])
    weights = size + rng.normal(size=(prompts, number)) * 0.35
    start = rng.normal(size=prompts)
    if exact:
        weights = np.tile(rng.choice([-0.75, -0.5, 0.25, 0.5, 0.75], size=number), (prompts, 1))
        start = np.round(start)
    weights[:, list(idle)] = 0
    backed = [
        (*rng.choice(number, size=2, replace=False), rng.choice([-1, 1]) * rng.uniform(0.3, 1.2))
        for _ in range(pairs)
    ]

    def values(places):
        common = sum(both for i, j, both in backed if i in places or j in places)
        return unit * (start + weights[:, list(places)].sum(1) + common)

    threshold = rng.uniform(0.25, 0.6) if threshold is None else threshold
    measure = Circuits(number, values)
    return measure, measure.edges, float(unit * threshold)


def kept_edges(call, measure, edges, threshold):
    """Which edges are kept, 1 or 0 for each, and whether they come in the order of the list."""
    answer = call(measure, edges, threshold)
    try:
        places = [measure.places([edge])[0] for edge in answer]
    except Exception:  # whatever a strange object does here is the answer's fault
        raise Wrong("Return a list of edges, each a pair of names from the given list.") from None
    if len(set(places)) < len(places):
        raise Wrong("Your list names an edge twice.")
    order = "that of the list" if places == sorted(places) else "another one"
    return {"kept": np.isin(np.arange(len(edges)), places).astype(float), "order": order}


def kept_edges_and_calls(call, measure, edges, threshold):
    """Which edges are kept, and whether ``measure`` was called at most once for each, and once."""
    found = kept_edges(call, measure, edges, threshold)
    return found | {"calls": "more" if measure.calls > len(edges) + 1 else "at most E + 1"}
