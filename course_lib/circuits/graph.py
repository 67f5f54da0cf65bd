"""The computational graph: who writes to the residual stream, and who reads from it.

Writers are the embedding, every attention head (or attention as a whole) and every MLP; a writer
adds its output to the stream. Readers take the stream as input: every head three times, for its
queries, keys and values, every MLP, and the final norm with the unembedding ("logits"). An edge
goes from a writer to each reader that comes after it: since outputs are added up, the reader's
input is a plain sum over its edges.

Names: writers "embed", "a3.h5" (head 5 of layer 3; "a3" for all of its attention), "m3"; readers
"a3.h5.q", "a3.h1.k", "a3.h1.v" ("a3"), "m3", "logits". Where heads share keys and values
(grouped-query attention), k and v are numbered by the shared head.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from course_lib.architectures import (
    UnsupportedArchitecture,
    bare_model,
    blocks,
    family_of,
    n_heads,
    n_layers,
)

GRANULARITIES = ("block", "head")


@dataclass(frozen=True)
class Writer:
    """`site` holds its output, or for a head (number `head`) its z."""

    name: str
    site: str
    layer: int
    head: int | None = None


@dataclass(frozen=True)
class Reader:
    """Its input passes a norm (path `norm` from the whole model) and then either feeds a whole
    module, or, for q, k, v of a head, the output `features` of a `projection`."""

    name: str
    norm: str
    projection: str | None = None
    features: tuple[int, int] = (0, 0)  # from, to


@dataclass(frozen=True)
class Graph:
    """Writers and readers of a model in the order in which they compute.

    Attributes
    ----------
    writers, readers : tuples of length W and R
    allowed : bool [W, R]
        True where the reader comes after the writer: the edges.
    granularity : "block" or "head"
    """

    writers: tuple[Writer, ...]
    readers: tuple[Reader, ...]
    allowed: Tensor
    granularity: str

    @property
    def n_edges(self) -> int:
        return int(self.allowed.sum())

    @cached_property
    def _numbers(self) -> tuple[dict[str, int], dict[str, int]]:
        return tuple({x.name: i for i, x in enumerate(xs)} for xs in (self.writers, self.readers))

    def edge(self, writer: str, reader: str) -> tuple[int, int]:
        """Row and column of an edge, given by names; ValueError where there is none."""
        writers, readers = self._numbers
        if writer not in writers or reader not in readers:
            raise ValueError(
                f"No edge {writer!r} -> {reader!r} in the {self.granularity} graph. Writers are "
                f"named like {self.writers[0].name!r}, {self.writers[1].name!r}, "
                f"{self.writers[-1].name!r}; readers like {self.readers[0].name!r}, "
                f"{self.readers[-2].name!r}, {self.readers[-1].name!r}."
            )
        u, v = writers[writer], readers[reader]
        if not self.allowed[u, v]:
            raise ValueError(f"{reader!r} does not come after {writer!r}: there is no such edge.")
        return u, v

    def edges(self, mask: Tensor | None = None) -> list[tuple[str, str]]:
        """Names (writer, reader) of the edges of a mask [W, R], in the order of computation."""
        # transposed, since readers come in the order of computation: [E, 2] of (reader, writer)
        pairs = (self.allowed if mask is None else mask & self.allowed).T.nonzero().tolist()
        return [(self.writers[u].name, self.readers[v].name) for v, u in pairs]

    def mask(self, edges: Iterable[tuple[str, str]]) -> Tensor:
        """Boolean mask [W, R] of edges given by names."""
        mask = torch.zeros_like(self.allowed)
        for writer, reader in edges:
            mask[self.edge(writer, reader)] = True
        return mask

    def check(self, masks: Tensor) -> None:
        """ValueError unless masks [..., W, R] are circuits of this graph."""
        shape = list(self.allowed.shape)
        if masks.dtype != torch.bool or list(masks.shape[-2:]) != shape:
            raise ValueError(
                f"A circuit of this graph is a boolean mask {shape}; got {masks.dtype} "
                f"{list(masks.shape[-2:])}. scores.top(n) and graph.mask(edges) make one."
            )
        wrong = (masks & ~self.allowed).nonzero()
        if len(wrong):
            u, v = wrong[0, -2:].tolist()
            raise ValueError(
                f"The graph has no edge {self.writers[u].name} -> {self.readers[v].name}."
            )

    def feeds(self) -> Tensor:
        """bool [R, W]: the reader is an input of the writer."""
        letters = [r.name[-1] for r in self.readers if r.name.startswith("a0.h")]
        # so many query heads share one head of keys and values
        group = letters.count("q") // letters.count("k") if letters else 1
        fed = torch.zeros(len(self.readers), len(self.writers), dtype=torch.bool)
        for v, reader in enumerate(self.readers):
            parts = reader.name.split(".")
            for u, writer in enumerate(self.writers):
                if len(parts) == 1:
                    # an MLP, or attention as a whole: reader and writer have one name
                    fed[v, u] = writer.name == reader.name
                elif writer.head is not None and writer.name.split(".")[0] == parts[0]:
                    shared = writer.head if parts[2] == "q" else writer.head // group
                    fed[v, u] = shared == int(parts[1][1:])
        return fed


def build_graph(model: Any, granularity: str = "head") -> Graph:
    """Return the graph of a left-to-right model.

    Parameters
    ----------
    model : LanguageModel or transformers model
    granularity : "head" or "block"
        Heads with three inputs each, or attention of a layer as one node.

    Raises
    ------
    ValueError
        For another granularity.
    UnsupportedArchitecture
        For a model in which the stream is not a plain sum (BERT family), or, for heads, whose
        projections to q, k and v are not in our table.

    Examples
    --------
    >>> from course_lib import load_model
    >>> lm = load_model("course-lm")
    >>> build_graph(lm, "block").n_edges, build_graph(lm, "head").n_edges
    (91, 3628)
    """
    if granularity not in GRANULARITIES:
        raise ValueError(f"Unknown granularity {granularity!r}. Choose head or block.")
    family, kind = family_of(model), bare_model(model).config.model_type
    if family.residual == "post_norm" or not family.is_causal:
        raise UnsupportedArchitecture(
            f"A {kind!r} model norms the stream after each addition, so the input of a part is "
            "not a sum over earlier outputs and there are no edges to patch. Patch nodes instead."
        )
    if granularity == "head" and family.qkv is None:
        raise UnsupportedArchitecture(
            f"We do not know where the q, k and v of a {kind!r} model are projected, so its heads "
            "have no inputs of their own. Use granularity='block'."
        )
    writers, readers, before = [Writer("embed", "embed", 0)], [], []
    for layer in range(n_layers(model)):
        reads = [len(writers)]  # how many writers come before: attention, then the MLP
        inputs = _attention_readers(model, layer, granularity)
        if granularity == "block":
            writers.append(Writer(f"a{layer}", f"attn_out.{layer}", layer))
        else:
            writers += [
                Writer(f"a{layer}.h{h}", f"z.{layer}", layer, h) for h in range(n_heads(model))
            ]
        # side by side, or after
        reads.append(reads[0] if family.residual == "parallel" else len(writers))
        norm = f"{family.blocks}.{layer}.{family.norm2}"
        before += [reads[0]] * len(inputs) + [reads[1]]
        readers += [*inputs, Reader(f"m{layer}", norm)]
        writers.append(Writer(f"m{layer}", f"mlp_out.{layer}", layer))
    readers.append(Reader("logits", family.final_norm))
    before.append(len(writers))
    # [W, 1] < [R] -> [W, R]: reader v comes after the first before[v] writers
    allowed = torch.arange(len(writers))[:, None] < torch.tensor(before)
    return Graph(tuple(writers), tuple(readers), allowed, granularity)


def _attention_readers(model: Any, layer: int, granularity: str) -> list[Reader]:
    family, inner = family_of(model), bare_model(model)
    block = f"{family.blocks}.{layer}"
    norm = f"{block}.{family.norm1}"
    if granularity == "block":
        return [Reader(f"a{layer}", norm)]
    layout, path = family.qkv
    heads = n_heads(model)
    shared = getattr(inner.config, "num_key_value_heads", None) or heads
    # each head's share of W_O has the width of its v, and q, k, v are equally wide
    out = blocks(model)[layer].get_submodule(family.attn_out)
    width = in_features(out) // heads  # d_head
    readers = []
    for number, letter in enumerate("qkv"):
        for head in range(heads if letter == "q" else shared):
            # where a head's stripe of the projection begins, in widths of a head: a matrix for each
            # of q, k, v; or q of all heads, then k, then v; or q, k, v of head 0, then of head 1,
            # ...
            first = {
                "apart": head,
                "stacked": number * heads + head,
                "by head": 3 * head + number,
            }[layout]
            features = (first * width, (first + 1) * width)
            projection = f"{block}.{path.format(letter)}"
            readers.append(Reader(f"a{layer}.h{head}.{letter}", norm, projection, features))
    return readers


def in_features(module: Any) -> int:
    """Width of the input of a Linear, or of GPT-2's Conv1D, which stores its weight transposed."""
    return module.weight.shape[0 if hasattr(module, "nf") else 1]


def weight_and_bias(module: Any) -> tuple[Tensor, Tensor | None]:
    """Weight [out, in] and bias [out] of a Linear or a Conv1D."""
    weight = module.weight.T if hasattr(module, "nf") else module.weight
    return weight, module.bias
