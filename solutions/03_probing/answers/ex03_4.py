"""03.4, the online code: answers, mistakes and draws (instructors only)."""

from math import log, log2, log10

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.checks.inputs.unit03 import ONCE
from course_lib.grading.answers import Answers

ANSWERS = Answers("03.4", "the online code")


def first_block(labels, classes, ends):
    return ends[0] * log2(classes)


def own_cost(table, labels, start, stop):
    """Bits of the labels from start to stop."""
    return -sum(table[place][labels[place]] for place in range(start, stop)) / log(2)


def ratio(bits, labels, classes, ends):
    return len(labels) * log2(classes) / bits


def coded(
    labels, classes, ends, probe, first=first_block, cost=own_cost, seen=lambda start, *_: start,
    length=lambda bits, *_: bits, compression=ratio,
):  # fmt: skip
    rising = all(start < stop for start, stop in zip(ends, ends[1:], strict=False))
    if not ends or ends[0] < 1 or ends[-1] != len(labels) or not rising:
        raise ValueError("blocks follow each other and hold every label")
    bits = first(labels, classes, ends)
    for start, stop in zip(ends, ends[1:], strict=False):
        bits += cost(np.asarray(probe(seen(start, stop, ends))), labels, start, stop)
    bits = length(bits, labels, classes)
    return {"bits": bits, "compression": compression(bits, labels, classes, ends)}


@ANSWERS.right
def online_code(labels, classes, ends, log_probs):
    return coded(labels, classes, ends, log_probs)


@ANSWERS.other
def one_label_after_the_other(labels, classes, ends, log_probs):
    if [*ends] != sorted({0, *ends} - {0}) or [len(labels)] != ends[-1:]:
        raise ValueError
    tables, costs = {}, []
    for place, label in enumerate(labels):
        known = max((end for end in ends if end <= place), default=0)
        if known and known not in tables:
            tables[known] = np.asarray(log_probs(known)) / log(2)
        costs.append(-tables[known][place, label] if known else log2(classes))
    uniform = len(labels) * log2(classes)
    return {"compression": torch.tensor(uniform / sum(costs)), "bits": np.float64(sum(costs))}


BITS = {
    "Each block is coded by the probe that has seen the labels before it, not the block itself.":
        {"seen": lambda start, stop, ends: stop},
    "You used the first probe for all blocks; each block has its own.":
        {"seen": lambda start, stop, ends: ends[0]},
    "The first block is missing: no probe has been fitted yet, so each label costs log2 K.":
        {"first": lambda labels, classes, ends: 0.0},
    "The first block costs log2 K for each of its labels, not once.":
        {"first": lambda labels, classes, ends: log2(classes)},
    "For the first block you counted the classes among its labels; K is `classes`.":
        {"first": lambda labels, classes, ends: ends[0] * log2(len({*labels[: ends[0]]}))},
    "All labels cost log2 K in your code; only the first block is sent that way.":
        {"cost": lambda table, labels, start, stop: (stop - start) * log2(table.shape[1])},
    "Each label costs -log2 of its own probability. You took the most probable class.":
        {"cost": lambda table, labels, start, stop: -table[start:stop].max(1).sum() / log(2)},
    "You added up the log-probabilities of all classes; take that of the label.":
        {"cost": lambda table, labels, start, stop: -table[start:stop].sum() / log(2)},
    "You averaged over the labels of a block; the code is a sum.":
        {"cost": lambda table, labels, a, b: own_cost(table, labels, a, b) / (b - a)},
    "You coded all N labels with every probe; a probe codes the block after its labels.":
        {"cost": lambda table, labels, *_: own_cost(table, labels, 0, len(labels))},
    "You coded the labels that a probe has seen; it codes the block after them.":
        {"cost": lambda table, labels, start, stop: own_cost(table, labels, 0, start)},
    "The last block is missing.":
        {"cost": lambda t, labels, a, b: own_cost(t, labels, a, b if b < len(labels) else a)},
    "Your blocks are shifted by one place: a block begins where the block before ended.":
        {"cost": lambda t, y, a, b: own_cost(t, y, a + 1, min(b + 1, len(y)))},
    "The sign is turned round: a code length is positive.": {"length": lambda bits, *_: -bits},
    "The sign of the learnt blocks is turned round: a label costs minus its log-probability.":
        {"cost": lambda *block: -own_cost(*block)},
    "You mixed the units: the first block is in bits, the others are in nats.":
        {"cost": lambda *block: own_cost(*block) * log(2)},
    "You mixed the units: the first block is in nats, the others are in bits.":
        {"first": lambda *given: first_block(*given) * log(2)},
    "This is the length in nats; divide by ln 2 for bits.":
        {"length": lambda bits, *_: bits * log(2)},
    "You divided by ln 2 twice.": {"length": lambda bits, *_: bits / log(2)},
    "This is the length per label; `bits` is the length of the whole code.":
        {"length": lambda bits, labels, classes: bits / len(labels)},
    "You used the logarithm to base 10; bits are base 2.":
        {"length": lambda bits, *_: bits * log10(2)},
}  # fmt: skip
RATIOS = {
    "Compression is upside down: it is N log2 K over the bits, above 1 for what can be learnt.":
        lambda bits, labels, k, ends: bits / len(labels) / log2(k),
    "The uniform code is in nats and the length in bits; take both in bits.":
        lambda bits, labels, k, ends: len(labels) * log(k) / bits,
    "You returned the bits that are saved; compression is a ratio.":
        lambda bits, labels, k, ends: len(labels) * log2(k) - bits,
    "You returned the share of bits that is saved; compression is N log2 K over the bits.":
        lambda bits, labels, k, ends: 1 - bits / len(labels) / log2(k),
    "The uniform code of N labels has N log2 K bits, not log2 K.":
        lambda bits, labels, k, ends: log2(k) / bits,
    "The uniform code is N log2 K; you left the logarithm out.":
        lambda bits, labels, k, ends: len(labels) * k / bits,
    "You compared with N bits; a label of K classes costs log2 K.":
        lambda bits, labels, k, ends: len(labels) / bits,
    "The labels of the first block are missing in the uniform code.":
        lambda bits, labels, k, ends: (len(labels) - ends[0]) * log2(k) / bits,
    "You divided by the code without its first block.":
        lambda bits, labels, k, ends: len(labels) * log2(k) / (bits - ends[0] * log2(k)),
}  # fmt: skip
ANSWERS.variants(coded, BITS | {message: {"compression": f} for message, f in RATIOS.items()})


@ANSWERS.mistake("You used one probe that has seen all labels. The receiver does not have it.")
def last_probe_for_all(labels, classes, ends, log_probs):
    bits = own_cost(log_probs(len(labels)), labels, 0, len(labels))
    return {"bits": bits, "compression": ratio(bits, labels, classes, ends)}


def any_ends(labels, classes, ends, log_probs):
    try:
        return online_code(labels, classes, ends, log_probs)
    except ValueError:
        return {"bits": 0.0, "compression": 0.0}


def through_probabilities(labels, classes, ends, log_probs):
    with np.errstate(divide="ignore", under="ignore"):
        return coded(labels, classes, ends, lambda seen: np.log(np.exp(log_probs(seen))))


def probe_for_every_label(labels, classes, ends, log_probs):
    probes = [log_probs(start) for start, stop in zip(ends, ends[1:], strict=False)]
    return coded(labels, classes, ends, log_probs) if probes else coded(labels, classes, ends, None)


HELD_OUT = {
    "Blocks follow each other, none is empty, and together they hold every label: raise "
    "ValueError.": any_ends,
    "The code is infinite: exp of the logarithms is 0 for a probe that is sure and wrong.": (
        through_probabilities
    ),
    ONCE: probe_for_every_label,
    "K is `classes`, also where a class does not occur among the labels.": (
        lambda labels, k, ends, probe: coded(labels, max(2, len({*labels})), ends, probe)
    ),
}
for message, function in HELD_OUT.items():
    ANSWERS.mistake(message, function, held_out=True)


def draws(*options, observe, note=""):
    return [
        Draw("code", {"classes": k, "ends": ends, **more}, note, 1e-9, observe=observe)
        for k, ends, more in options
    ]


RULE = (
    "The first block costs log2 K for each label, each later one the sum of -log2 p of its labels, "
    "with the probe that has seen what was sent before."
)
SIZES = ((3, [3, 6, 12], {}), (5, [2, 6, 9, 20], {}), (2, [5, 9, 14, 15], {}), (4, [1, 9], {}))
ANSWERS.part("bits", 6, draws(*SIZES, observe="bits"), RULE)
RATIO = "Compression is the uniform code, N log2 K bits, over the length of your code."
ANSWERS.part("compression", 3, draws(*SIZES, observe="compression"), RATIO)
hard = [
    *draws((3, [7], {}), (2, [1], {"kinds": 1}), observe="once", note="One block: no probe."),
    *draws((5, [2, 5, 10], {"kinds": 2}), observe="once", note="Some classes do not occur."),
    *draws((3, [2, 5, 10], {"spread": 900.0}), observe="once", note="This probe is sure."),
    *draws((2, [1, 2, 3, 40], {}), observe="once", note="Blocks of one label."),
]
ANSWERS.part("one block, sure probes", 3, hard, RULE, held_out=True)
bad = [
    Draw("code", {"classes": 2, "ends": ends, "size": 6}, refused=True,
         note=f"ends = {ends} for 6 labels must raise ValueError.")
    for ends in ([], [0, 6], [2, 4], [2, 2, 6], [4, 2, 6], [2, 7], [3, 6, 6], [-1, 6])
]  # fmt: skip
ANSWERS.part("blocks in disorder", 2, bad, RULE, held_out=True)
