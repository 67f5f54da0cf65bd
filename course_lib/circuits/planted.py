"""A model whose circuit is known, because its weights are set by hand.

    from course_lib.circuits.planted import compare_methods, planted_model
    planted = planted_model()
    compare_methods(planted)

Prompts look like "[BOS] c d a b a": the last word came before, and the answer is the word that
followed it then (b). The corrupted prompts say "[BOS] c d e f e"; the metric is logit(b) -
logit(f). In a GPT-2 of 3 layers with 4 heads and ReLU, a1.h0, m1 and a2.h1 answer, with equal
weight:

====== ===================================================================================
part   what it does
====== ===================================================================================
a0.h0  looks at the position before and writes its word (the "previous word" code)
m0     copies the word itself into a place of its own
a1.h0  looks for the position whose previous word is this word, writes the word there
m1     reads what a1.h0 wrote and copies it for the logits
a2.h1  as a1.h0, but asks with the copy of m0
====== ===================================================================================

All others are there to mislead:

====== ===================================================================================
a0.h1  copies the word to a place that only a1.h3 reads
a1.h1  copies the word two positions back to a place that nobody reads
a1.h3  copies what a0.h1 wrote to a place that nobody reads
a2.h0  as a0.h0, but writes where nobody reads
m2     copies the word to a place that nobody reads
others look at random positions and write random values that depend on the position alone
====== ===================================================================================

Why is everything else exactly zero? A word is a unit vector of its own in every place, so that
exchanging a word for another one leaves the length of the stream, and with it the norm's scale,
as it was. A reader sees no difference except in the places that its weights read. A gradient
does not know that: on the way from one word to another the stream first becomes shorter. So it
gives a score to edges that do nothing. And where a head looks at one position with nearly all its
weight, a small change of its query or key changes nothing: there the gradient misses edges that
matter. `compare_methods` counts both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from course_lib.circuits.graph import Graph, build_graph
from course_lib.circuits.scores import EdgeScores, eap, exact_scores
from course_lib.circuits.search import acdc
from course_lib.tasks import Task, word_contrast

LAYERS, HEADS, WORDS, LENGTH = 3, 4, 13, 6  # word 0 is the start token
# Places in the stream: one direction for each word, or for each position.
PLACES = ("word", "previous", "copy", "found", "found again", "boosted",
          "silent 1", "silent 2", "silent 3", "silent 4", "silent 5", "position")  # fmt: skip
WIDTH, NOISE = 160, 8  # of the stream; the last directions are for the random heads
HEAD_WIDTH = WIDTH // HEADS
# Squared length of the stream in front of attention and MLP of each layer, at the last position;
# the norm makes a stream of this length one of length sqrt(WIDTH).
BEFORE_ATTENTION, BEFORE_MLP = (2, 5, 9), (4, 8, 11)
TRUTH = (
    ("embed", "a0.h0.v"),
    ("embed", "m0"),
    ("embed", "a1.h0.q"),
    ("a0.h0", "a1.h0.k"),
    ("embed", "a1.h0.v"),
    ("a1.h0", "m1"),
    ("m0", "a2.h1.q"),
    ("a0.h0", "a2.h1.k"),
    ("embed", "a2.h1.v"),
    ("a1.h0", "logits"),
    ("m1", "logits"),
    ("a2.h1", "logits"),
)


@dataclass(frozen=True)
class Planted:
    """A model, a task, and the edges that matter.

    Attributes
    ----------
    model : transformers GPT2LMHeadModel, float64
    task : Task
        With made-up words; no tokenizer.
    graph : Graph of heads, [W, R] = [16, 40]
    truth : bool [W, R]
        Edges whose exact effect is not zero: 12 of 262.
    sharpness : float
        How much the score of the position that a head looks for exceeds the others', in nats.
    """

    model: Any
    task: Task
    graph: Graph
    truth: Tensor
    sharpness: float


def planted_model(sharpness: float = 8.0, n: int = 4, seed: int = 0) -> Planted:
    """Set the weights of a GPT-2 so that exactly the edges of `TRUTH` do the task.

    Parameters
    ----------
    sharpness : float
        Larger values make the heads look at one position alone. Then small changes of a query or
        a key change nothing, and the gradient there vanishes, while a whole change still matters.
    n : int
        Prompts. They are alike up to the names of the words, so that few say it all.
    seed : int
        Of the prompts, the basis of the stream and the random heads.

    Raises
    ------
    ValueError
        For a sharpness that is not above 0, or n below 1.

    Notes
    -----
    The circuit is the one that Elhage et al. 2021 and Olsson et al. 2022 found in trained models
    (induction heads), here put in by hand, twice.

    Examples
    --------
    >>> planted = planted_model()
    >>> planted.graph.n_edges, int(planted.truth.sum())
    (262, 12)
    """
    if not sharpness > 0 or n < 1:
        raise ValueError(f"sharpness must be above 0 and n at least 1, got {sharpness} and {n}.")
    generator = torch.Generator().manual_seed(seed)
    model = _Builder(generator).build(sharpness)
    graph = build_graph(model, "head")
    return Planted(model, _task(n, generator), graph, graph.mask(TRUTH), sharpness)


def _task(n: int, generator: torch.Generator) -> Task:
    """Pairs of prompts "[BOS] c d a b a" and "[BOS] c d e f e"; in half of them c d come later."""
    clean, corrupted, right, wrong = [], [], [], []
    for k in range(n):
        a, b, c, d, e, f = (1 + torch.randperm(WORDS - 1, generator=generator)[:6]).tolist()
        for x, y, rows in ((a, b, clean), (e, f, corrupted)):
            rows.append([0, c, d, x, y, x] if k % 2 else [0, x, y, c, d, x])
        right.append([b])
        wrong.append([f])
    texts = [
        tuple(" ".join("[BOS]" if i == 0 else f"w{i}" for i in row) for row in rows)
        for rows in (clean, corrupted)
    ]
    return Task(
        "planted", torch.tensor(clean), torch.tensor(corrupted), word_contrast(right, wrong),
        "logit difference", "all words of the pair are other ones", *texts,
    )  # fmt: skip


class _Builder:
    """Weights in the coordinates of the places; a random rotation hides them in the stream."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        starts = {place: WORDS * k for k, place in enumerate(PLACES)}
        self.at = {place: slice(s, s + WORDS) for place, s in starts.items()}
        self.at["position"] = slice(starts["position"], starts["position"] + LENGTH)
        used = self.at["position"].stop
        self.at["noise"] = slice(used, used + NOISE)
        # The mean over features, which the norm takes out, stays zero: all directions are
        # orthogonal to the vector of ones.
        square = torch.cat([torch.ones(WIDTH, 1), self.random(WIDTH, WIDTH - 1)], 1)
        self.basis = torch.linalg.qr(square.double())[0][:, 1 : used + NOISE + 1].T  # [places, d]

    def random(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator).double()

    def build(self, sharpness: float) -> Any:
        import transformers

        config = transformers.GPT2Config(
            vocab_size=WORDS, n_positions=LENGTH, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
            n_inner=2 * WORDS, activation_function="relu", tie_word_embeddings=False,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
        )  # fmt: skip
        model = transformers.GPT2LMHeadModel(config).double().eval().requires_grad_(False)
        model.config.use_cache = False
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0)
        t = model.transformer
        t.wte.weight.copy_(self.basis[self.at["word"]])  # [WORDS, d]
        t.wpe.weight.copy_(self.basis[self.at["position"]])  # [LENGTH, d]
        before, same = self.looking_back(1), self.looking_back(0)
        heads = {
            (0, 0): (before, "word", "previous"), (0, 1): (same, "word", "silent 1"),
            (1, 0): (self.matching("word"), "word", "found"),
            (1, 1): (self.looking_back(2), "word", "silent 2"),
            (1, 3): (same, "silent 1", "silent 3"), (2, 0): (before, "word", "silent 4"),
            (2, 1): (self.matching("copy"), "word", "found again"),
        }  # fmt: skip
        mlps = (("word", "copy"), ("found", "boosted"), ("word", "silent 5"))
        for layer, block in enumerate(t.h):
            # the norm stretches what a head reads by this factor: its weights take it back
            stretched = (WIDTH / BEFORE_ATTENTION[layer]) ** 0.5
            for head in range(HEADS):
                looks, read, write = heads.get((layer, head), (None, "position", "noise"))
                parts = self.head(*looks, read, write, sharpness) if looks else self.random_head()
                self.put(block, head, [part / stretched for part in parts[:3]], parts[3])
            self.mlp(block, *mlps[layer], (WIDTH / BEFORE_MLP[layer]) ** 0.5)
        for place in ("found", "boosted", "found again"):
            # three places say the answer, each as loudly
            model.lm_head.weight += self.basis[self.at[place]]
        return model

    # Queries and keys [places, head width]: a score is their product.

    def looking_back(self, steps: int) -> tuple[Tensor, Tensor]:
        """Position t looks at position t - steps; the first ones at the start."""
        query, key = self.empty(), self.empty()
        start = self.at["position"].start
        for t in range(LENGTH):
            query[start + t, max(t - steps, 0)] = key[start + t, t] = 1.0
        return query, key

    def matching(self, asks_with: str) -> tuple[Tensor, Tensor]:
        """Look where the previous word is this word; where there is none, at the start token.

        The key of the start token stands halfway for every query.
        """
        query, key = self.empty(), self.empty()
        for word in range(1, WORDS):
            query[self.at[asks_with].start + word, word] = 1.0
            key[self.at["previous"].start + word, word] = 1.0
        key[self.at["position"].start, 1:WORDS] = 0.5
        return query, key

    def empty(self) -> Tensor:
        return torch.zeros(len(self.basis), HEAD_WIDTH).double()

    def head(
        self, query: Tensor, key: Tensor, read: str, write: str, sharpness: float
    ) -> tuple[Tensor, ...]:
        """A head that looks as given and copies words, not the start token, between places."""
        value, out = self.empty(), self.empty()  # [places, head width]
        for word in range(1, WORDS):
            value[self.at[read].start + word, word] = 1.0
            out[self.at[write].start + word, word] = 1.0
        # the model divides scores by the root of the head's width
        return sharpness * HEAD_WIDTH**0.5 * query, key, value, out

    def random_head(self) -> tuple[Tensor, ...]:
        """Reads positions alone, so it says the same in the clean and the corrupted run."""
        parts = [self.empty() for _ in range(4)]
        for part in parts[:3]:
            part[self.at["position"]] = self.random(LENGTH, HEAD_WIDTH)
        parts[3][self.at["noise"]] = 0.05 * self.random(NOISE, HEAD_WIDTH)
        return tuple(parts)

    def put(self, block: Any, head: int, parts: list[Tensor], out: Tensor) -> None:
        here = slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)
        for number, part in enumerate(parts):
            # c_attn is [d, 3 d]: q of all heads side by side, then k, then v
            columns = slice(number * WIDTH + here.start, number * WIDTH + here.stop)
            block.attn.c_attn.weight[:, columns] = self.basis.T @ part  # [d, places] @ [places, dh]
        block.attn.c_proj.weight[here] = out.T @ self.basis  # [dh, places] @ [places, d]

    def mlp(self, block: Any, read: str, write: str, stretched: float) -> None:
        """A neuron for each word: copies it from one place to another."""
        for word in range(1, WORDS):
            block.mlp.c_fc.weight[:, word] = self.basis[self.at[read].start + word] / stretched
            block.mlp.c_proj.weight[word] = self.basis[self.at[write].start + word]


# --- how well a method finds it -------------------------------------------------------------------


def precision_recall(found: Tensor, truth: Tensor) -> tuple[float, float]:
    """Share of the found edges that matter, and share of the edges that matter that are found.

    Parameters
    ----------
    found, truth : bool, of the same shape

    Raises
    ------
    ValueError
        For masks of other types or unequal shapes, and where one of them is empty: a share of
        nothing has no value.

    Examples
    --------
    >>> precision_recall(torch.tensor([True, True, False]), torch.tensor([True, False, False]))
    (0.5, 1.0)
    """
    if found.dtype != torch.bool or truth.dtype != torch.bool or found.shape != truth.shape:
        raise ValueError(
            f"Two boolean masks of one shape are compared; got {found.dtype} {list(found.shape)} "
            f"and {truth.dtype} {list(truth.shape)}. scores.top(n) makes one."
        )
    if not found.any() or not truth.any():
        raise ValueError("A circuit without edges has no precision or recall. Keep more edges.")
    both = float((found & truth).sum())
    return both / float(found.sum()), both / float(truth.sum())


def average_precision(scores: EdgeScores, truth: Tensor) -> float:
    """Mean, over the edges that matter, of the precision of the ranking down to each of them.

    Edges are ranked by absolute score; edges with one score share the worst of their ranks. 1 =
    all true edges stand first.

    Examples
    --------
    >>> planted = planted_model(n=2)
    >>> round(average_precision(exact_scores(planted.model, planted.task, planted.graph),
    ...                         planted.truth), 6)
    1.0
    """
    size = scores.scores.abs()[scores.scored]  # [E] of the scored edges
    true = truth[scores.scored]
    levels = size[true]  # [t] of those that matter
    above = (size[None] >= levels[:, None]).sum(1).double()  # [t, E] -> [t]: worst ranks
    hits = (levels[None] >= levels[:, None]).sum(1).double()  # of which matter
    # true edges that were not scored count as never found
    return float((hits / above).sum() / truth.sum())


@dataclass(frozen=True)
class Found:
    """What one method finds of the planted circuit.

    `average_precision` is None for a search, which gives a set of edges and no ranking.
    """

    method: str
    edges: int
    precision: float
    recall: float
    average_precision: float | None
    passes: float


def compare_methods(planted: Planted, steps: int = 5, threshold: float = 0.01) -> list[Found]:
    """Precision and recall of exact patching, EAP, EAP-IG and ACDC on the planted circuit.

    Rankings are cut after as many edges as matter, so that their precision is their recall.

    Parameters
    ----------
    steps : of EAP-IG, midpoint rule
    threshold : of ACDC, in logits

    Notes
    -----
    Cost: about two forward passes for each edge of the graph. The passes of ACDC are given for one
    removal after the other.

    Examples
    --------
    >>> best = compare_methods(planted_model(n=2))[0]
    >>> best.method, best.precision, best.recall
    ('exact edge patching', 1.0, 1.0)
    """
    model, task, graph, truth = planted.model, planted.task, planted.graph, planted.truth
    rankings = [exact_scores(model, task, graph), eap(model, task, graph),
                eap(model, task, graph, steps=steps)]  # fmt: skip
    rows = [
        Found(scores.method, int(truth.sum()),
              *precision_recall(scores.top(int(truth.sum())), truth),
              average_precision(scores, truth), scores.passes)
        for scores in rankings
    ]  # fmt: skip
    circuit = acdc(model, task, graph, threshold)
    return [*rows, Found(f"ACDC at {threshold}", int(circuit.sum()),
                         *precision_recall(circuit, truth), None, graph.n_edges + 2)]  # fmt: skip
