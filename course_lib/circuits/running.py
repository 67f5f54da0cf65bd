"""Running a model in which chosen edges carry other values: the exact patch of an edge.

    input of the reader := its input - sender's output here + sender's output in the other run

Only this reader sees the change; everyone else reads the stream as it is. The model stays as it
is: hooks compute the reader's norm (and, for q, k, v of a head, its slice of the projection) a
second time on the changed input, and put the result in place of the model's own. Readers without
a changed edge keep the model's own numbers, bit by bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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
        x = seen[writer.site]
        if writer.head is not None:
            module = blocks(model)[writer.layer].get_submodule(family.attn_out)
            weight = weight_and_bias(module)[0].unflatten(1, (n_heads(model), -1))  # [d, H, dh]
            x = x[..., writer.head, :] @ weight[:, writer.head].T
        outputs.append(x)
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
    inner = bare_model(model)
    by_module: dict[str, list[int]] = defaultdict(list)
    for v, reader in enumerate(graph.readers):
        if any(amount[:, :, v].any() for amount, _ in carried):
            by_module[reader.projection or reader.norm].append(v)
    copies = len(carried[0][0])
    stream: dict[str, Tensor] = {}
    state: dict[Any, Any] = {}

    def changes(k: int, last: int) -> Tensor:
        """Given minus own output of the writers up to `last`, [last + 1, C, N, T, d]."""
        other = carried[k][1]
        if state.get("run") is not seen["embed"]:  # a new forward pass
            state.clear()
            state["run"] = seen["embed"]
        if k not in state:
            state[k] = (other.new_empty(len(other), copies, *other.shape[1:]), 0)
        buffer, known = state[k]
        for u in range(known, last + 1):
            here = writer_outputs(model, graph, seen, [u])[0]
            buffer[u] = other[u] - here.unflatten(0, (copies, -1))
        state[k] = (buffer, max(known, last + 1))
        return buffer[: last + 1]

    def changed_input(x: Tensor, v: int) -> tuple[Tensor, Tensor]:
        """The reader's input [C', N, T, d] in the variants that change it, and their numbers."""
        wanted = torch.stack([a[:, :, v].bool().any(1) for a, _ in carried]).any(0).nonzero()[:, 0]
        new = x.reshape(copies, -1, *carried[0][1].shape[2:])[wanted]
        for k, (amount, _) in enumerate(carried):
            part = amount[wanted][:, :, v].to(x.dtype)  # [C', W]
            senders = part.any(0).nonzero()[:, 0]
            if len(senders):
                last = int(senders[-1])
                change = changes(k, last)
                change = change if len(wanted) == copies else change[:, wanted]
                new = new + torch.einsum("cs,scntd->cntd", part[:, : last + 1], change)
        return new, wanted

    def on_norm(path: str, numbers: Sequence[int]) -> Callable:
        def hook(module: Any, args: tuple, output: Tensor) -> Tensor | None:
            stream[path] = args[0]
            if not numbers:
                return None
            new, wanted = changed_input(args[0], numbers[0])
            # the module's own forward: calling the module would call this hook again
            return put(output, wanted, module.forward(new))

        return hook

    def put(output: Tensor, wanted: Tensor, value: Tensor, features: tuple = ()) -> Tensor:
        output = output.clone()
        rows = output.view(copies, -1, *carried[0][1].shape[2:3], output.shape[-1])
        rows[wanted, ..., slice(*features) if features else slice(None)] = value
        return output

    def on_projection(numbers: Sequence[int]) -> Callable:
        def hook(module: Any, args: tuple, output: Tensor) -> Tensor:
            weight, bias = weight_and_bias(module)
            for v in numbers:
                reader = graph.readers[v]
                new, wanted = changed_input(stream[reader.norm], v)
                a, b = reader.features
                normed = inner.get_submodule(reader.norm).forward(new)
                part = None if bias is None else bias[a:b]
                value = torch.nn.functional.linear(normed, weight[a:b], part)
                output = put(output, wanted, value, (a, b))
            return output

        return hook

    with ExitStack() as stack:
        seen = stack.enter_context(record(model, writer_sites(graph)))
        norms = {reader.norm for reader in graph.readers}
        for path in norms:
            hook = on_norm(path, by_module.get(path, []))
            handle = inner.get_submodule(path).register_forward_hook(hook)
            stack.callback(handle.remove)
        for path, numbers in by_module.items():
            if path not in norms:
                handle = inner.get_submodule(path).register_forward_hook(on_projection(numbers))
                stack.callback(handle.remove)
        yield


@torch.no_grad()
def run_edges(
    model: Any, graph: Graph, task: Task, carried: Sequence[Carried], ids: Tensor | None = None
) -> Tensor:
    """The metric, float64 [C, N], where edges carry other outputs: see `carrying`.

    Cost: C forward passes over the prompts (`ids`, default the clean ones).
    """
    ids = task.clean if ids is None else ids
    size = max(1, BATCH_TOKENS // ids.numel())
    values = []
    for start in range(0, len(carried[0][0]), size):
        part = [(amount[start : start + size], other) for amount, other in carried]
        copies = len(part[0][0])
        with carrying(model, graph, part):
            logits = last_logits(model, ids.repeat(copies, 1))
        values += [task.measure(rows).cpu() for rows in logits.split(len(ids))]
    return torch.stack(values)
