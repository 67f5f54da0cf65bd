"""Running a model in which chosen edges carry other values: the exact patch of an edge.

    input of the reader := its input - sender's output here + sender's output in the other run

Only this reader sees the change; everyone else reads the stream as it is. The model stays as it
is: hooks compute the reader's norm (and, for q, k, v of a head, its slice of the projection) a
second time on the changed input, and put the result in place of the model's own. Readers without
a changed edge keep the model's own numbers, bit by bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from course_lib.activations import record
from course_lib.architectures import bare_model, blocks, family_of, n_heads
from course_lib.circuits.graph import Graph, weight_and_bias
from course_lib.tasks import Task, last_logits

BATCH_TOKENS = 512  # tokens of one forward pass; W tensors of this size are kept


def writer_outputs(
    model: Any, graph: Graph, seen: Mapping[str, Tensor], which: Sequence[int] | None = None
) -> Tensor:
    """What the writers add to the stream, [W, B, T, d], from the recorded sites.

    A head adds z_h W_O,h; the bias of the projection belongs to no head and is the same in
    every run.
    """
    family, outputs = family_of(model), []
    for u in range(len(graph.writers)) if which is None else which:
        writer = graph.writers[u]
        x = seen[writer.site]  # [B, T, d], or for a head z [B, T, H, dh]
        if writer.head is not None:
            module = blocks(model)[writer.layer].get_submodule(family.attn_out)
            weight = weight_and_bias(module)[0].unflatten(1, (n_heads(model), -1))  # [d, H, dh]
            x = x[..., writer.head, :] @ weight[:, writer.head].T  # [B, T, dh] @ [dh, d]
        outputs.append(x)  # [B, T, d]
    return torch.stack(outputs)


def writer_sites(graph: Graph) -> list[str]:
    return list(dict.fromkeys(writer.site for writer in graph.writers))


@torch.no_grad()
def recorded_run(model: Any, graph: Graph, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [N, V] after the last token, and the writers' outputs [W, N, T, d]."""
    with record(model, writer_sites(graph)) as seen:
        logits = last_logits(model, ids)
    return logits, writer_outputs(model, graph, seen)


Carried = tuple[Tensor, Tensor]  # amounts [C, W, R] and the outputs [W, N, T, d] to carry


@contextmanager
def carrying(model: Any, graph: Graph, carried: Sequence[Carried]) -> Iterator[None]:
    """Within the block, edges carry other outputs than the ones of the run itself.

    `carried` lists pairs: an amount for each of C variants and each edge, 1 (or True) where the
    edge carries the given outputs instead of those of this run, 0 where it does not (in between:
    a mixture); and these outputs. The batch holds the N prompts of variant 0, then of 1, ...
    """
    with ExitStack() as stack:
        # the recording comes first: our hooks need what the writers before them have written
        seen = stack.enter_context(record(model, writer_sites(graph)))
        _Carrier(model, graph, carried, seen).attach(stack)
        yield


class _Carrier:
    """The hooks of `carrying`. Row c * N + n of each tensor of the run: prompt n in variant c."""

    def __init__(
        self, model: Any, graph: Graph, carried: Sequence[Carried], seen: Mapping[str, Tensor]
    ) -> None:
        self.model, self.graph, self.carried, self.seen = model, graph, carried, seen
        self.inner = bare_model(model)
        self.copies = len(carried[0][0])  # C
        self.positions, self.width = carried[0][1].shape[2:]  # T, d
        self.stream: dict[str, Tensor] = {}  # path of a norm -> what it reads in this run
        self.run: Tensor | None = None  # the embeddings: they tell one forward pass from the next
        self.known: dict[int, tuple[Tensor, int]] = {}  # see `changes`

    def attach(self, stack: ExitStack) -> None:
        """Hook every norm, and each projection of which some features have a changed edge."""
        changed: dict[str, list[int]] = defaultdict(list)
        for v, reader in enumerate(self.graph.readers):
            if any(amount[:, :, v].any() for amount, _ in self.carried):
                changed[reader.projection or reader.norm].append(v)
        norms = {reader.norm for reader in self.graph.readers}
        hooks = {path: partial(self.after_norm, path, changed.get(path, [])) for path in norms}
        for path in changed.keys() - norms:
            hooks[path] = partial(self.after_projection, changed[path])
        for path, hook in hooks.items():
            stack.callback(self.inner.get_submodule(path).register_forward_hook(hook).remove)

    def after_norm(
        self, path: str, numbers: Sequence[int], module: Any, args: tuple, output: Tensor
    ) -> Tensor | None:
        """Keep what the norm reads; recompute it where its readers have a changed edge."""
        self.stream[path] = args[0]  # [C * N, T, d]
        if not numbers:
            return None
        new, wanted = self.changed_input(args[0], numbers[0])
        # the module's own forward: calling the module would call this hook again
        return self.put(output, wanted, module.forward(new))

    def after_projection(
        self, numbers: Sequence[int], module: Any, args: tuple, output: Tensor
    ) -> Tensor:
        """Recompute the features of each reader with a changed edge; the rest stays."""
        weight, bias = weight_and_bias(module)  # [out, d], [out]
        for v in numbers:
            reader = self.graph.readers[v]
            new, wanted = self.changed_input(self.stream[reader.norm], v)
            a, b = reader.features
            normed = self.inner.get_submodule(reader.norm).forward(new)
            part = None if bias is None else bias[a:b]
            value = torch.nn.functional.linear(normed, weight[a:b], part)  # [C', N, T, b - a]
            output = self.put(output, wanted, value, slice(a, b))
        return output

    def changed_input(self, x: Tensor, v: int) -> tuple[Tensor, Tensor]:
        """The reader's input [C', N, T, d] in the variants that change it, and their numbers."""
        wanted = torch.stack([a[:, :, v].bool().any(1) for a, _ in self.carried])  # [K, C]
        wanted = wanted.any(0).nonzero()[:, 0]  # [C']
        new = x.reshape(self.copies, -1, self.positions, self.width)[wanted]  # [C', N, T, d]
        for k, (amount, _) in enumerate(self.carried):
            part = amount[wanted][:, :, v].to(x.dtype)  # [C', W]
            senders = part.any(0).nonzero()[:, 0]
            if len(senders):
                last = int(senders[-1])
                change = self.changes(k, last)  # [S, C, N, T, d] of the S = last + 1 first writers
                change = change if len(wanted) == self.copies else change[:, wanted]
                new = new + torch.einsum("cs,scntd->cntd", part[:, : last + 1], change)
        return new, wanted

    def changes(self, k: int, last: int) -> Tensor:
        """Given minus own output of the writers up to `last`, [last + 1, C, N, T, d].

        Own outputs appear one by one as the model runs. Each is subtracted once, when the first
        reader asks, and kept for the readers that follow.
        """
        if self.run is not self.seen["embed"]:  # a new forward pass
            self.run = self.seen["embed"]
            self.known.clear()
        other = self.carried[k][1]  # [W, N, T, d], the same in all variants
        if k not in self.known:
            self.known[k] = (other.new_empty(len(other), self.copies, *other.shape[1:]), 0)
        buffer, count = self.known[k]
        for u in range(count, last + 1):
            here = writer_outputs(self.model, self.graph, self.seen, [u])[0]  # [C * N, T, d]
            buffer[u] = other[u] - here.unflatten(0, (self.copies, -1))
        self.known[k] = (buffer, max(count, last + 1))
        return buffer[: last + 1]

    def put(
        self, output: Tensor, wanted: Tensor, value: Tensor, features: slice = slice(None)
    ) -> Tensor:
        """A copy of the output [C * N, T, out] with some features of some variants exchanged."""
        output = output.clone()
        rows = output.view(self.copies, -1, self.positions, output.shape[-1])  # [C, N, T, out]
        rows[wanted, ..., features] = value
        return output


@torch.no_grad()
def run_edges(
    model: Any, graph: Graph, task: Task, carried: Sequence[Carried], ids: Tensor | None = None
) -> Tensor:
    """The metric, float64 [C, N], where edges carry other outputs: see `carrying`.

    Cost: C forward passes over the prompts (`ids`, default the clean ones).
    """
    ids = task.clean if ids is None else ids
    # so many variants fit in one batch
    size = max(1, BATCH_TOKENS // ids.numel())
    values = []
    for start in range(0, len(carried[0][0]), size):
        # amounts [C, W, R] are cut by variant, outputs [W, N, T, d] serve all of them
        part = [(amount[start : start + size], other) for amount, other in carried]
        copies = len(part[0][0])
        with carrying(model, graph, part):
            logits = last_logits(model, ids.repeat(copies, 1))  # [C * N, V]
        # the rows of one variant at a time: a metric is always given all N prompts in order
        values += [task.measure(rows).cpu() for rows in logits.split(len(ids))]
    return torch.stack(values)
