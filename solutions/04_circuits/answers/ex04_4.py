"""04.4, patching an edge: answers, mistakes and draws (instructors only)."""

from functools import partial

import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("04.4", "patch an edge")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def outputs(layers, start, sees=lambda reader: False, change=0.0):
    """What every node writes, where some readers see a change that is not in the stream."""
    written = [start]
    for reader, layer in enumerate(layers, 1):
        written.append(layer(sum(written) + change if sees(reader) else sum(written)))
    return written


def rerun(layers, readout, start, sees, change):
    stream = sum(outputs(layers, start, sees, change))
    return readout(stream + change if sees(len(layers) + 1) else stream)


def swap(own, lent, sender, receiver):
    return lent[sender] - own[sender]


def only(reader, sender, receiver):
    return reader == receiver


@right
def patch_edge(
    layers, readout, clean, corrupted, sender, receiver, change=swap, sees=only, run=rerun,
    effect=lambda before, after, patched: before - patched,
):  # fmt: skip
    if not 0 <= sender < receiver <= len(layers) + 1:
        raise ValueError("an edge leads from a node to a reader after it")
    own, lent = outputs(layers, clean), outputs(layers, corrupted)
    where = partial(sees, sender=sender, receiver=receiver)
    patched = run(layers, readout, clean, where, change(own, lent, sender, receiver))
    return effect(readout(sum(own)), readout(sum(lent)), patched)


@other
def every_input_as_a_sum_of_edges(layers, readout, clean, corrupted, sender, receiver):
    if sender < 0 or receiver <= sender or receiver - 1 > len(layers):
        raise ValueError((sender, receiver))

    def run(start, lent=None):
        written = []
        for reader, reads in enumerate([lambda _: start, *layers, readout]):
            parts = [0 * start, *written]
            if lent is not None and reader == receiver:
                parts[sender + 1] = lent
            written.append(reads(torch.stack(parts).sum(0)))
        return written

    patched = run(clean, run(corrupted)[sender])[-1]
    return [float(a - b) for a, b in zip(run(clean)[-1], patched, strict=True)]


@other
def from_the_receiver_on(layers, readout, clean, corrupted, sender, receiver):
    if not -1 < sender < receiver < len(layers) + 2:
        raise ValueError
    streams, adds = [clean], []
    lender, lent = 0 * corrupted, corrupted
    for layer in layers:
        adds.append(layer(streams[-1]))
        streams.append(streams[-1] + adds[-1])
    for layer in layers[:sender]:
        lender = lender + lent
        lent = layer(lender)
    stream = streams[receiver - 1]
    changed = stream + lent - (adds[sender - 1] if sender else clean)
    for k, reads in enumerate([*layers, readout][receiver - 1 :]):
        out = reads(stream if k else changed)
        stream = stream + out if out.dim() == 3 else stream
    return (readout(streams[-1]) - out).numpy()


def direct(layers, readout, start, sees, change):
    """The receiver reads the change, and nobody reads what it then writes but the readout."""
    own = outputs(layers, start)
    written = [start] + [
        layer(sum(own[: k + 1]) + change * sees(k + 1)) for k, layer in enumerate(layers)
    ]
    return readout(sum(written) + change * sees(len(layers) + 1))


# fmt: off
for step, message, *ways in [
    ("effect", "The sign is turned round: positive means that the clean value supports the answer.",
     lambda b, a, p: p - b),
    ("effect", "You returned the metric of the patched run; return how far it moved.",
     lambda b, a, p: p),
    ("effect", "You divided by the gap between the two runs. Return the effect in the unit of the "
     "metric.", lambda b, a, p: (b - p) / (b - a)),
    ("effect", "You returned absolute values: the sign says whether the clean value supports the "
     "answer.", lambda b, a, p: (b - p).abs()),
    ("effect", "One number per prompt, please: without them there is no interval.",
     lambda b, a, p: (b - p).mean()),
    ("sees", "Every later reader sees your change: that patches the node. On an edge only this one "
     "receiver reads the corrupted value.", lambda reader, sender, receiver: reader > sender),
    ("sees", "Your change stays in the stream after the receiver has read it, so the layers after "
     "it see it too. They read the stream without it.",
     lambda reader, sender, receiver: reader >= receiver),
    ("sees", "You changed the input of the reader after this one: reader k is layers[k - 1].",
     lambda reader, sender, receiver: reader == receiver + 1),
    ("sees", "You changed the input of the reader before this one: reader k is layers[k - 1].",
     lambda reader, sender, receiver: reader == max(receiver - 1, 1)),
    ("run", "Your later layers still write what they wrote before the patch. They read the changed "
     "stream, so they have to compute again.", direct),
    ("change", "Plus and minus are exchanged: the receiver's input minus the sender's clean output "
     "plus its corrupted output.", lambda own, lent, s, r: own[s] - lent[s]),
    ("change", "You added the sender's corrupted output and did not take its clean output away.",
     lambda own, lent, s, r: lent[s]),
    ("change", "You took the sender's clean output away and did not put its corrupted output in.",
     lambda own, lent, s, r: -own[s]),
    ("change", "You replaced the receiver's whole input, or its output, by that of the corrupted "
     "run. Only the part of its input changes that this sender wrote.",
     lambda own, lent, s, r: sum(lent[:r]) - sum(own[:r])),
    ("change", "The receiver reads nothing but the sender's corrupted output. The rest of its "
     "input stays.", lambda own, lent, s, r: lent[s] - sum(own[:r])),
    ("change", "You changed the last position only. The edge carries what the sender writes at all "
     "positions.", lambda own, lent, s, r: torch.cat(
         [0 * own[s][:, :-1], (lent[s] - own[s])[:, -1:]], 1)),
    ("change", "Your patch changes nothing. The sender's corrupted output comes from a run on the "
     "corrupted prompts.", lambda own, lent, s, r: 0 * own[s]),
    ("change", "You took the output of a neighbouring sender: node 0 is the embedding, and node k "
     "what layers[k - 1] writes.",
     lambda own, lent, s, r: swap(own, lent, min(s + 1, len(own) - 1), r),
     lambda own, lent, s, r: swap(own, lent, max(s - 1, 0), r)),
]:
    mistake(message, *(partial(patch_edge, **{step: way}) for way in ways))
# fmt: on
mistake(
    "You ran the corrupted prompts and put the clean output in. Here the clean prompts run and the "
    "edge carries the corrupted output.",
    lambda layers, readout, clean, corrupted, *edge: patch_edge(
        layers, readout, corrupted, clean, *edge
    ),
    lambda layers, readout, clean, corrupted, *edge: (
        -patch_edge(layers, readout, corrupted, clean, *edge)
    ),
)


@mistake(
    "The sender's corrupted output comes from its layer on the bare corrupted embeddings. Run the "
    "corrupted prompts through all layers before it."
)
def sender_alone(layers, *given):
    def change(own, lent, s, r):
        return (layers[s - 1](lent[0]) if s else lent[0]) - own[s]

    return patch_edge(layers, *given, change=change)


@mistake("You put the sender's corrupted output in place of the receiver's output.")
def in_place_of_the_receiver(layers, readout, clean, corrupted, sender, receiver):
    def run(layers, readout, start, sees, change):
        lent = outputs(layers, corrupted)[sender]
        pairs = enumerate(layers, 1)
        puts = [lambda x, k=k, layer=layer: lent if sees(k) else layer(x) for k, layer in pairs]
        return readout(sum(outputs(puts, start)))

    return patch_edge(layers, readout, clean, corrupted, sender, receiver, run=run)


@witness("With a linear readout")
def halved_at_the_readout(layers, *given):
    return patch_edge(layers, *given) / (2 if given[-1] == len(layers) + 1 else 1)


def draws(*edges, note="", tolerance=1e-8, **options):
    return [
        Draw("stack", {"sizes": sizes, "more": edge, **options}, note, tolerance)
        for sizes, *edge in edges
    ]


RULE = (
    "The rule: the receiver's input is the clean stream, minus the sender's clean output, plus its "
    "corrupted one. What it then writes goes into the stream, and all later layers compute on that."
)
HINT = "One effect for each prompt."
INTO = [(size, *edge) for size in ([4, 3, 3, 4], [3, 4, 3, 3]) for edge in ((0, 2), (1, 2), (1, 3))]
ANSWERS.part("from a sender to a layer", 5, draws(*INTO), RULE, HINT)
LAST = [(size, s, size[3] + 1) for size in ([4, 3, 3, 3], [3, 2, 3, 2]) for s in range(size[3] + 1)]
ANSWERS.part("from a sender to the readout", 3, draws(*LAST), RULE, HINT)
SHARES = draws(*(([4, 3, 3, 3], s, 4) for s in range(4)), ([4, 3, 3, 3], 1, 3), linear=True)
ADD = "With a linear readout the effects of all edges into it add up to the whole gap. "
ANSWERS.part("edges that share out the gap", 2, SHARES, ADD + RULE, HINT)
ENDS = [
    ([prompts, tokens, 3, depth], sender, receiver)
    for prompts, tokens, depth in ((3, 2, 1), (1, 1, 2), (2, 3, 5))
    for sender, receiver in ((0, 1), (depth - 1, depth), (0, depth + 1), (depth, depth + 1))
]
SOME = ([3, 3, 2, 3], 1, 2), ([3, 3, 2, 3], 0, 3)
ENDS = [
    *draws(*ENDS),
    *draws(([2, 2, 3, 0], 0, 1), note="No layers."),
    *draws(*SOME, same=True, note="Where both prompts are the same, no edge has an effect."),
    *draws(*SOME, size=1e-5, tolerance=1e-6, note="Small embeddings."),
    *draws(*SOME, size=1e5, grad=True, note="Large embeddings that require gradients."),
    *draws(*SOME, dtype="float32", tolerance=1e-4, note="In float32."),
]
ANSWERS.part("the shortest and the longest edges", 3, ENDS, RULE, HINT, held_out=True)
BAD = [
    Draw(
        "stack",
        {"sizes": [2, 2, 2, 3], "more": edge},
        refused=True,
        note="With 3 layers there is "
        f"no edge from node {edge[0]} to reader {edge[1]}: raise ValueError.",
    )
    for edge in ([2, 2], [3, 1], [-1, 2], [0, 5], [4, 4], [4, 5], [0, 0])
]
ANSWERS.part("edges that do not exist", 2, BAD, RULE, held_out=True)
