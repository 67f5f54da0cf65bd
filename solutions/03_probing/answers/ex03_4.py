"""03.4, the online code: answers, mistakes and draws (instructors only)."""

from math import log, log2

import numpy as np
import torch

from course_lib.checks.drawing import draws
from course_lib.checks.inputs.unit03 import ONCE
from course_lib.grading.answers import Answers

ANSWERS = Answers("03.4", "the online code")


def own(table, labels, start, stop):
    """The log-probabilities of the labels from start to stop, added up."""
    return sum(table[place][labels[place]] for place in range(start, stop))


@ANSWERS.right
def online_code(
    labels, classes, ends, probe, seen=lambda start, *_: start, logp=own, unit=lambda n: log(2),
    first=lambda y, k, ends: ends[0] * log(k), ratio=lambda bits, n, k, ends: n * log2(k) / bits,
):  # fmt: skip
    pairs = list(zip(ends, ends[1:], strict=False))
    rising = all(start < stop for start, stop in pairs)
    if not ends or ends[0] < 1 or ends[-1] != len(labels) or not rising:
        raise ValueError("blocks follow each other and hold every label")
    nats = first(labels, classes, ends)
    nats -= sum(logp(probe(seen(*pair, ends)), labels, *pair) for pair in pairs)
    bits = nats / unit(len(labels))
    return {"bits": bits, "compression": ratio(bits, len(labels), classes, ends)}


@ANSWERS.other
def one_label_after_the_other(labels, classes, ends, log_probs):
    if not ends or min(ends) < 1 or sorted({*ends}) != [*ends] or ends[-1] != len(labels):
        raise ValueError
    tables, costs = {}, []
    for place, label in enumerate(labels):
        known = max((end for end in ends if end <= place), default=0)
        if known and known not in tables:
            tables[known] = np.asarray(log_probs(known)) / log(2)
        costs.append(-tables[known][place, label] if known else log2(classes))
    uniform = len(labels) * log2(classes)
    return {"compression": torch.tensor(uniform / sum(costs)), "bits": np.float64(sum(costs))}


ANSWERS.variants(online_code, ratio={
        "Compression is upside down.": lambda bits, n, k, e: bits / n / log2(k),
        "The uniform code is in nats.": lambda bits, n, k, e: n * log(k) / bits,
        "You returned the bits that are saved.": lambda bits, n, k, e: n * log2(k) - bits,
        "You returned the share that is saved.": lambda bits, n, k, e: 1 - bits / n / log2(k),
        "The uniform code is N log2 K, not log2 K.": lambda bits, n, k, e: log2(k) / bits},
    first={
        "The first block is missing: each of its labels costs log2 K.": lambda y, k, e: 0.0,
        "The first block costs log2 K for each of its labels, not once.": lambda y, k, e: log(k),
        "K is `classes`, not those of the block.": lambda y, k, e: e[0] * log(len({*y[: e[0]]})),
        "You mixed the units: the first block is in nats.": lambda y, k, e: e[0] * log(k) * log(2)},
    logp={
        "You took the most probable class, not the label.": lambda t, y, a, b: t[a:b].max(1).sum(),
        "You added up all classes; take the label.": lambda t, y, a, b: t[a:b].sum(),
        "You averaged over the labels of a block.": lambda t, y, a, b: own(t, y, a, b) / (b - a),
        "You coded all N labels with every probe.": lambda t, y, a, b: own(t, y, 0, len(y)),
        "You coded the labels that a probe has seen.": lambda t, y, a, b: own(t, y, 0, a),
        "The last block is missing.": lambda t, y, a, b: own(t, y, a, b) if b < len(y) else 0.0,
        "Your blocks are shifted by one place.":
            lambda t, y, a, b: own(t, y, a + 1, min(b + 1, len(y))),
        "You mixed the units: later blocks are in nats.": lambda *block: own(*block) * log(2),
        "The sign of the learnt blocks is turned round.": lambda *block: -own(*block)},
    unit={
        "The sign is turned round: a code length is positive.": lambda n: -log(2),
        "This is the length in nats; divide by ln 2 for bits.": lambda n: 1.0,
        "This is the length per label, not that of the code.": lambda n: n * log(2)},
    seen={
        "Your probe has seen the block itself.": lambda a, b, e: b,
        "You used the first probe for all blocks; each has its own.": lambda a, b, e: e[0],
})  # fmt: skip


@ANSWERS.mistake("You used one probe that has seen all labels. The receiver does not have it.")
def last_probe_for_all(labels, classes, ends, log_probs):
    table = log_probs(len(labels))
    first = -own(table, labels, 0, ends[0]) if ends else 0.0
    return online_code(labels, classes, ends, lambda seen: table, first=lambda *_: first)


HELD_OUT = {
    "The code is infinite: exp(log p) is 0 for a probe that is sure.": lambda y, k, ends, p:
        online_code(y, k, ends, lambda seen: torch.tensor(p(seen)).exp().log().numpy()),
    ONCE: lambda y, k, ends, probe: [online_code(y, k, ends, probe) for _ in range(2)][0],
    "K is `classes`, also where a class does not occur among the labels.":
        lambda y, k, ends, probe: online_code(y, max(2, len({*y})), ends, probe),
}  # fmt: skip
ANSWERS.mistakes_of(HELD_OUT, held_out=True)
RULE = "The first block costs log2 K a label, later ones -log2 p by the probe of all labels before."
SIZES = ((3, [3, 6, 12]), (5, [2, 6, 9, 20]), (2, [5, 9, 14, 15]), (4, [1, 9]))
ANSWERS.part("bits", 6, draws("code", *SIZES, observe="bits"), RULE)
RATIO = "Compression is the uniform code, N log2 K bits, over the length of your code."
ANSWERS.part("compression", 3, draws("code", *SIZES, observe="compression"), RATIO)
HARD = {
    "One block: no probe.": {"of": (3, [7])},
    "A single label.": {"of": (2, [1]), "kinds": 1},
    "K is `classes`; not every class occurs.": {"of": (5, [2, 5, 10]), "kinds": 2},
    "This probe is sure, and wrong.": {"of": (3, [2, 5, 10]), "spread": 900.0},
    "Blocks of one label.": {"of": (2, [1, 2, 3, 40])},
}
hard = [
    one for note, some in HARD.items() for one in draws("code", some, note=note, observe="once")
]
ANSWERS.part("one block, sure probes", 3, hard, RULE, held_out=True)
BAD = "Blocks follow each other, none is empty, and the last ends at N; else raise ValueError."
bad = ([], [0, 6], [2, 4], [2, 2, 6], [4, 2, 6], [2, 7], [3, 6, 6], [-1, 6])
bad = draws("code", *({"of": (2, ends), "size": 6} for ends in bad), note=BAD, refused=True)
ANSWERS.part("blocks in disorder", 2, bad, RULE, held_out=True)
