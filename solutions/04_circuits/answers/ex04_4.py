"""04.4, patching an edge: answers, mistakes and draws (instructors only)."""

from functools import partial

import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("04.4", "patch an edge")


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


@ANSWERS.right
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


@ANSWERS.other
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


def direct(layers, readout, start, sees, change):
    """The receiver reads the change, and nobody but the readout what it then writes."""
    own, pairs = outputs(layers, start), enumerate(layers, 1)
    written = [start] + [layer(sum(own[:k]) + change * sees(k)) for k, layer in pairs]
    return readout(sum(written) + change * sees(len(layers) + 1))


def in_place(layers, readout, start, sees, output):
    """The receiver writes this output, whatever it reads."""
    pairs = enumerate(layers, 1)
    puts = [lambda x, k=k, layer=layer: output if sees(k) else layer(x) for k, layer in pairs]
    return readout(sum(outputs(puts, start)))


def turned(clean, corrupted, *edge):
    return corrupted, clean, *edge


def alone(layers, *given):
    """The sender's layer reads the corrupted embeddings and nothing else."""
    first = [lambda x: x, *layers]
    return patch_edge(layers, *given, change=lambda own, lent, s, r: first[s](lent[0]) - own[s])


# fmt: off
for message, *ways in [
    ("The sign is turned round: positive means that the clean value supports the answer.",
     {"effect": lambda b, a, p: p - b}),
    ("You returned the metric of the patched run; return how far it moved.",
     {"effect": lambda b, a, p: p}),
    ("You divided by the gap between the two runs. Keep the unit of the metric.",
     {"effect": lambda b, a, p: (b - p) / (b - a)}),
    ("You returned absolute values: the sign says what the clean value supports.",
     {"effect": lambda b, a, p: (b - p).abs()}),
    ("One number per prompt, please: without them there is no interval.",
     {"effect": lambda b, a, p: (b - p).mean()}),
    ("Every later reader sees your change: that patches the node. On an edge only this one "
     "receiver reads the corrupted value.", {"sees": lambda k, sender, receiver: k > sender}),
    ("Your change stays in the stream after the receiver has read it, so the layers after it see "
     "it too. They read the stream without it.",
     {"sees": lambda k, sender, receiver: k >= receiver}),
    ("You changed the input of the reader after this one: reader k is layers[k - 1].",
     {"sees": lambda k, sender, receiver: k == receiver + 1}),
    ("You changed the input of the reader before this one: reader k is layers[k - 1].",
     {"sees": lambda k, sender, receiver: k == max(receiver - 1, 1)}),
    ("Your later layers still write what they wrote before the patch. They read the changed "
     "stream, so they have to compute again.", {"run": direct}),
    ("Plus and minus are exchanged: the receiver's input minus the sender's clean output plus its "
     "corrupted output.", {"change": lambda own, lent, s, r: own[s] - lent[s]}),
    ("You added the sender's corrupted output and did not take its clean output away.",
     {"change": lambda own, lent, s, r: lent[s]}),
    ("You took the sender's clean output away and did not put its corrupted output in.",
     {"change": lambda own, lent, s, r: -own[s]}),
    ("You replaced the receiver's whole input, or its output, by that of the corrupted run. Only "
     "the part of its input changes that this sender wrote.",
     {"change": lambda own, lent, s, r: sum(lent[:r]) - sum(own[:r])}),
    ("The receiver reads nothing but the sender's corrupted output. The rest of its input stays.",
     {"change": lambda own, lent, s, r: lent[s] - sum(own[:r])}),
    ("You changed the last position only. The edge carries the sender's output at all positions.",
     {"change": lambda own, lent, s, r: swap(own, lent, s, r).index_fill(
         1, torch.arange(own[0].shape[1] - 1), 0)}),
    ("Your patch changes nothing. The sender's corrupted output comes from a run on the corrupted "
     "prompts.", {"change": lambda own, lent, s, r: 0 * own[s]}),
    ("You took the output of a neighbouring sender: node k is what layers[k - 1] writes.",
     {"change": lambda own, lent, s, r: swap(own, lent, min(s + 1, len(own) - 1), r)},
     {"change": lambda own, lent, s, r: swap(own, lent, max(s - 1, 0), r)}),
    ("You put the sender's corrupted output in place of the receiver's output.",
     {"change": lambda own, lent, s, r: lent[s], "run": in_place}),
]:
    ANSWERS.mistake(message, *(partial(patch_edge, **way) for way in ways))
ANSWERS.mistake(
    "You ran the corrupted prompts and put the clean output in. Here the clean prompts run and the "
    "edge carries the corrupted output.",
    lambda layers, readout, *two_and_edge: patch_edge(layers, readout, *turned(*two_and_edge)),
    lambda layers, readout, *two_and_edge: -patch_edge(layers, readout, *turned(*two_and_edge)))
ANSWERS.mistake(
    "The sender's corrupted output comes from its layer on the bare corrupted embeddings. Run the "
    "corrupted prompts through all layers before it.", alone)
# fmt: on


@ANSWERS.witness("With a linear readout")
def halved_at_the_readout(layers, *given):
    return patch_edge(layers, *given) / (2 if given[-1] == len(layers) + 1 else 1)


def draws(*given, note="", tolerance=1e-5, refused=False, **options):
    several = ({"sizes": sizes, "more": edge} | options for sizes, *edge in given)
    return [Draw("stack", some, note, tolerance, refused=refused) for some in several]


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
SIZES = [3, 2, 3, 1], [1, 1, 3, 2], [2, 3, 3, 5]
ENDS = [
    (size, *edge)
    for size in SIZES
    for edge in ((0, 1), (size[3] - 1, size[3]), (0, size[3] + 1), (size[3], size[3] + 1))
]
SOME = ([3, 3, 2, 3], 1, 2), ([3, 3, 2, 3], 0, 3)
ENDS = [
    *draws(*ENDS),
    *draws(([2, 2, 3, 0], 0, 1), note="No layers."),
    *draws(*SOME, same=True, note="Where both prompts are the same, no edge has an effect."),
    *draws(*SOME, size=1e-5, note="Small embeddings."),
    *draws(*SOME, size=1e5, grad=True, note="Large embeddings that require gradients."),
    *draws(*SOME, dtype="float32", tolerance=1e-4, note="In float32."),
]
ANSWERS.part("the shortest and the longest edges", 3, ENDS, RULE, HINT, held_out=True)
NONE = "With 3 layers there is no such edge: raise ValueError."
BAD = [([2, 2, 2, 3], *e) for e in ((2, 2), (3, 1), (-1, 2), (0, 5), (4, 4), (4, 5), (0, 0))]
BAD = draws(*BAD, note=NONE, refused=True)
ANSWERS.part("edges that do not exist", 2, BAD, RULE, held_out=True)
