"""Checks of 04.4: patching edges of a small residual stream (see unit04.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_vector, compare
from course_lib.checks.unit04_nodes import PATCHED, SHARE, STALE, TURNED, UNSIGNED, Stack
from course_lib.checks.unit04_values import PER_PROMPT

# --- 04.4 patch_edge(layers, readout, clean, corrupted, sender, receiver) -> [N] ----------------


def edge_mistakes(stack, sender, receiver):
    depth, clean = len(stack.layers), stack.clean
    own, other = stack.outputs(clean), stack.outputs(stack.corrupted)
    before, after = stack.metric(clean), stack.metric(stack.corrupted)
    delta = other[sender] - own[sender]
    patched = stack.with_input(clean, receiver, delta)
    right = before - patched

    def run(change, reader=receiver):
        return before - stack.with_input(clean, reader, change)

    last = torch.zeros_like(delta)
    last[:, -1] = delta[:, -1]
    everything = sum(other[:receiver]) - sum(own[:receiver])
    back = stack.with_input(stack.corrupted, receiver, -delta)
    mistakes = {
        PATCHED: patched,
        TURNED: -right,
        SHARE: right / (before - after),
        "Every later reader sees your change: that patches the node. On an edge only this one "
        "receiver reads the corrupted value.": before
        - stack.with_output(clean, sender, lambda _: other[sender]),
        "Plus and minus are exchanged: the receiver's input minus the sender's clean output plus "
        "its corrupted output.": run(-delta),
        "You added the sender's corrupted output and did not take its clean output away.": run(
            other[sender]
        ),
        "You took the sender's clean output away and did not put its corrupted output in.": run(
            -own[sender]
        ),
        "You replaced the receiver's whole input, or its output, by that of the corrupted run. "
        "Only the part of its input changes that this sender wrote.": run(everything),
        "The receiver reads nothing but the sender's corrupted output. The rest of its "
        "input stays.": run(other[sender] - sum(own[:receiver])),
        "You ran the corrupted prompts and put the clean output in. Here the clean prompts run and "
        "the edge carries the corrupted output.": back - after,
        "You ran the corrupted prompts and put the clean output in. Here the clean prompts run and "
        "the edge carries the corrupted output. ": after - back,
        "You changed the last position only. The edge carries what the sender writes at all "
        "positions.": run(last),
        UNSIGNED: abs(right),
    }  # fmt: skip
    if receiver <= depth:
        permanent = sum(own[:receiver]) + delta
        for layer in stack.layers[receiver - 1 :]:
            permanent = permanent + layer(permanent)
        mistakes["Your change stays in the stream after the receiver has read it, so the layers "
                 "after it see it too. They read the stream without it."] = (
            before - stack.readout(permanent))  # fmt: skip
        written = stack.layers[receiver - 1](sum(own[:receiver]) + delta)
        mistakes[STALE] = before - stack.readout(sum(own) - own[receiver] + written)
        mistakes["You put the sender's corrupted output in place of the receiver's output."] = (
            before - stack.with_output(clean, receiver, lambda _: other[sender]))  # fmt: skip
        later = "You changed the input of the reader after this one: reader k is layers[k - 1]."
        mistakes[later] = run(delta, receiver + 1)
    if receiver > 1:
        earlier = "You changed the input of the reader before this one: reader k is layers[k - 1]."
        mistakes[earlier] = run(delta, receiver - 1)
    if sender:
        direct = stack.layers[sender - 1](stack.corrupted)
        mistakes["The sender's corrupted output comes from its layer on the bare corrupted "
                 "embeddings. Run the corrupted prompts through all layers before "
                 "it."] = run(direct - own[sender])  # fmt: skip
    for shift in (-1, 1):
        if 0 <= sender + shift <= depth:
            mistakes["You took the output of a neighbouring sender: node 0 is the embedding, and "
                     "node k what layers[k - 1] writes." + " " * (shift > 0)] = run(
                other[sender + shift] - own[sender + shift])  # fmt: skip
    return right, mistakes


def edge_compare(student, stack, sender, receiver):
    answer = student(*stack.given, sender, receiver)
    got = as_vector(answer, len(stack.clean), "the effect", PER_PROMPT)
    right, mistakes = edge_mistakes(stack, sender, receiver)
    if np.abs(got).max() < 1e-9:
        mistakes["Your patch changes nothing. The sender's corrupted output comes from a run on "
                 "the corrupted prompts."] = np.zeros_like(got)  # fmt: skip
    otherwise = (
        f"Wrong effect of the edge from node {sender} to reader {receiver}. Its input: the clean "
        "stream, minus the sender's clean output, plus its corrupted output. What it then writes "
        "goes into the stream, and all later layers compute on that."
    )
    compare(got, right, mistakes, otherwise, tolerance=1e-6)


def edge_into_layer(student, rng):
    for prompts, tokens, depth in ((4, 3, 4), (3, 4, 3)):
        stack = Stack(rng, prompts, tokens, 3, depth)
        for sender, receiver in ((0, 2), (1, 2), (1, 3)):
            edge_compare(student, stack, sender, receiver)


def edge_into_readout(student, rng):
    for prompts, tokens, depth in ((4, 3, 3), (3, 2, 2)):
        stack = Stack(rng, prompts, tokens, 3, depth)
        for sender in range(depth + 1):
            edge_compare(student, stack, sender, depth + 1)


def edge_shares(student, rng):
    stack = Stack(rng, 4, 3, 3, 3, linear=True)
    answers = [as_vector(student(*stack.given, sender, 4), 4, "the effect") for sender in range(4)]
    gap = (stack.metric(stack.clean) - stack.metric(stack.corrupted)).numpy()
    otherwise = (
        "With a linear readout the effects of all edges into it must add up to the whole gap "
        "between the clean and the corrupted metric; yours do not."
    )
    mistakes = {TURNED: -gap}
    compare(sum(answers), gap, mistakes, otherwise, tolerance=1e-6)
    edge_compare(student, stack, 1, 3)
