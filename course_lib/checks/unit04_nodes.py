"""Checks of 04.3: patching nodes of a small residual stream (see unit04.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_vector, compare
from course_lib.checks.unit04_values import PER_PROMPT

TURNED = "The sign is turned round: positive means that the clean value supports the answer."
UNSIGNED = (
    "You returned absolute values: the sign says whether the clean value supports the answer."
)
PATCHED = "You returned the metric of the patched run; return how far it moved."
SHARE = "You divided by the gap between the two runs. Return the effect in the unit of the metric."
STALE = (
    "Your later layers still write what they wrote before the patch. They read the changed stream, "
    "so they have to compute again."
)

# --- shared inputs -------------------------------------------------------------------------


class Layer:
    """What a layer adds to the stream [N, T, d]: it mixes earlier positions and bends them."""

    def __init__(self, rng, tokens, width):
        mix = np.tril(rng.uniform(0.3, 1, size=(tokens, tokens)))
        self.mix = torch.tensor(mix / mix.sum(1, keepdims=True))
        self.inner = torch.tensor(rng.normal(size=(width, 2 * width)) / width**0.5)
        self.outer = torch.tensor(rng.normal(size=(2 * width, width)) * 1.3 / (2 * width) ** 0.5)

    def __call__(self, stream):
        x = stream_of(stream, len(self.mix), len(self.inner))
        return torch.tanh(self.mix @ x @ self.inner + 0.2) @ self.outer


class Readout:
    """The metric [N], read from the last position of the final stream [N, T, d]."""

    def __init__(self, rng, tokens, width, linear=False):
        self.tokens, self.linear = tokens, linear
        self.weights = torch.tensor(rng.uniform(0.5, 1.5, size=(2, width)))
        self.weights *= torch.tensor(rng.choice([-1.0, 1.0], size=(2, width)))

    def __call__(self, stream):
        x = stream_of(stream, self.tokens, self.weights.shape[1])[:, -1]
        first, second = x @ self.weights.T.unbind(1)[0], x @ self.weights.T.unbind(1)[1]
        return first if self.linear else first + 0.3 * second**2


def stream_of(stream, tokens, width):
    if not isinstance(stream, torch.Tensor) or stream.dim() != 3:
        raise ValueError("A layer reads a stream, a tensor [N, T, d].")
    if stream.shape[1:] != (tokens, width):
        raise ValueError(f"This stream is [N, {tokens}, {width}]; got {list(stream.shape)}.")
    return stream.detach().double()


class Stack:
    """Layers, readout, and clean and corrupted embeddings [N, T, d] of a random model."""

    def __init__(self, rng, prompts, tokens, width, depth, linear=False):
        self.layers = [Layer(rng, tokens, width) for _ in range(depth)]
        self.readout = Readout(rng, tokens, width, linear)
        self.clean, self.corrupted = torch.tensor(rng.normal(size=(2, prompts, tokens, width)))

    @property
    def given(self):
        return self.layers, self.readout, self.clean, self.corrupted

    def outputs(self, embeddings):
        """What each node writes, from the embedding on: a list of L + 1 tensors."""
        found = [embeddings]
        for layer in self.layers:
            found.append(layer(sum(found)))
        return found

    def metric(self, embeddings):
        return self.readout(sum(self.outputs(embeddings)))

    def with_output(self, embeddings, node, change):
        """The metric where a node writes what ``change(its output)`` says, and all follow it."""
        found = []
        for k in range(len(self.layers) + 1):
            own = self.layers[k - 1](sum(found)) if k else embeddings
            found.append(change(own.clone()) if k == node else own)
        return self.readout(sum(found))

    def with_input(self, embeddings, reader, change):
        """The metric where one reader's input has ``change`` [N, T, d] on top, and no other's."""
        found = [embeddings]
        for k, layer in enumerate(self.layers, 1):
            found.append(layer(sum(found) + change if k == reader else sum(found)))
        return self.readout(sum(found) + change * (reader > len(self.layers)))


# --- 04.3 patch_node(layers, readout, clean, corrupted, node, position, direction) -> [N] ------


def at(position):
    return slice(None) if position is None else position


def put(value, position):
    """A change of an output: ``value`` [N, T, d] in its place at a position."""

    def change(own):
        own[:, at(position)] = value[:, at(position)]
        return own

    return change


def node_effect(stack, node, position, direction):
    """The right effects [N], and the function that makes effects of patched metrics."""
    noising = direction == "noising"
    host, donor = (stack.clean, stack.corrupted)[:: 1 if noising else -1]
    before = stack.metric(host)

    def effect(patched):
        return before - patched if noising else patched - before

    value = stack.outputs(donor)[node]
    return effect(stack.with_output(host, node, put(value, position))), effect


def node_mistakes(stack, node, position, direction):
    noising = direction == "noising"
    host, donor = (stack.clean, stack.corrupted)[:: 1 if noising else -1]
    right, effect = node_effect(stack, node, position, direction)
    own, other = stack.outputs(host), stack.outputs(donor)
    before, after = stack.metric(host), stack.metric(donor)
    patched = before - right if noising else before + right
    depth, tokens = len(stack.layers), host.shape[1]

    def run(change, number=node):
        return effect(stack.with_output(host, number, change))

    swapped = node_effect(stack, node, position, "denoising" if noising else "noising")[0]
    streams = sum(other[: node + 1]) - sum(own[:node]) if node else other[0]
    kept = own[node].clone()
    kept[:, at(position)] = other[node][:, at(position)]
    stale = stack.readout(sum(own) - own[node] + kept)
    mistakes = {
        PATCHED: patched,
        TURNED: -right,
        "You measured from the other run: noising is clean - patched, denoising patched - "
        "corrupted.": patched - after if noising else after - patched,
        SHARE: right / (before - after) * (1 if noising else -1),
        STALE: effect(stale),
        "The direction is the other way round: noising runs the clean prompts and puts the "
        "corrupted value in, denoising the reverse.": swapped,
        "You subtracted in the wrong order for this direction, and exchanged the runs as "
        "well.": -swapped,
        "You replaced the whole stream after this node. Replace what the node itself adds, and "
        "leave what the others wrote.": run(put(streams, position)),
        "You put 0 in place. A patch puts in what the node writes in the other run.": run(
            put(torch.zeros_like(host), position)
        ),
        "You added the other run's value on top. It takes the place of the node's own.": run(
            put(own[node] + other[node], position)
        ),
        "You put in the difference of the two runs; the other run's value itself belongs "
        "there.": run(put(other[node] - own[node], position)),
        UNSIGNED: abs(right),
    }
    if node:
        direct = stack.layers[node - 1](donor)
        mistakes[
            "The value comes from the node's layer on the bare embeddings of the other run. "
            "Run that prompt through all layers before it."
        ] = run(put(direct, position))
        mistakes[
            "You patched the node before this one: node 0 is the embedding, and node k what "
            "layers[k - 1] writes."
        ] = run(put(other[node - 1], position), node - 1)
    if node < depth:
        mistakes[
            "You patched the node after this one: node 0 is the embedding, and node k what "
            "layers[k - 1] writes."
        ] = run(put(other[node + 1], position), node + 1)
    if position is None:
        mistakes["You patched the last position only; None asks for all positions."] = run(
            put(other[node], tokens - 1)
        )
        mistakes["You patched position 0 only; None asks for all positions."] = run(
            put(other[node], 0)
        )
    else:
        mistakes["You patched all positions. Only the given one changes."] = run(
            put(other[node], None)
        )
        for shift in (-1, 1):
            mistakes[
                "You patched a neighbouring position; positions are counted from 0."
                + " " * (shift > 0)
            ] = run(put(other[node], (position + shift) % tokens))
        mistakes["You patched the last position, whatever `position` says."] = run(
            put(other[node], tokens - 1)
        )
    return right, mistakes  # fmt: skip


def node_compare(student, stack, node, position, direction):
    answer = student(*stack.given, node, position, direction)
    got = as_vector(answer, len(stack.clean), "the effect", PER_PROMPT)
    right, mistakes = node_mistakes(stack, node, position, direction)
    if node and np.abs(got).max() < 1e-9:
        mistakes["Your patch changes nothing. The value that is put in comes from a run on the "
                 "other prompts; keep what each node writes there."] = 0 * got  # fmt: skip
    where = "all positions" if position is None else f"position {position}"
    otherwise = (
        f"Wrong effect of node {node} at {where} ({direction}). Run the other prompts and keep the "
        "node's output; run again, put it in place at this position, let all later layers compute "
        "on it, and compare the metric with that of the unpatched run."
    )
    compare(got, right, mistakes, otherwise, tolerance=1e-6)


def node_direction(student, rng, direction):
    for prompts, tokens, depth in ((4, 4, 2), (3, 6, 3)):
        stack = Stack(rng, prompts, tokens, 3, depth)
        for node in range(1, depth):
            position = int(rng.integers(1, tokens - 2))
            node_compare(student, stack, node, position, direction)


def node_noising(student, rng):
    node_direction(student, rng, "noising")


def node_denoising(student, rng):
    node_direction(student, rng, "denoising")
    stack = Stack(rng, 3, 4, 3, 2)
    stack.corrupted = stack.clean.clone()
    got = as_vector(student(*stack.given, 1, 2, "denoising"), 3, "the effect", PER_PROMPT)
    compare(got, np.zeros(3), {}, "Clean values put into the clean prompts change nothing.")


def node_whole(student, rng):
    for prompts, tokens, depth in ((3, 4, 2), (5, 2, 3)):
        stack = Stack(rng, prompts, tokens, 3, depth)
        for direction in ("noising", "denoising"):
            node_compare(student, stack, depth - 1, None, direction)
            node_compare(student, stack, 0, None, direction)
            node_compare(student, stack, 0, tokens - 1, direction)
