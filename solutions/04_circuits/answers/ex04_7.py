"""04.7, a search for a circuit: answers, mistakes and draws (instructors only)."""

from functools import partial

import numpy as np

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("04.7", "ACDC: remove what is not needed")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def moved(now, then):
    return abs(np.mean(now) - np.mean(then))


def without(edges, gone):
    return [edge for edge in edges if edge != gone]


@right
def acdc(
    measure, edges, threshold, change=moved, order=lambda measure, edges: edges[::-1], alone=False,
    update=lambda goes: goes, stops=lambda goes: False,
    below=lambda x, t: x < t, result=lambda kept, edges: kept,
):  # fmt: skip
    if threshold < 0:
        raise ValueError("no change is smaller than a negative threshold")
    kept, now = edges, measure(edges)
    for edge in order(measure, edges):
        then = measure(without(edges if alone else kept, edge))
        goes = below(change(np.array(now), np.array(then)), threshold)
        kept = without(kept, edge) if goes else kept
        now = then if update(goes) else now
        if stops(goes):
            break
    return result(kept, edges)


@other
def by_flags(measure, edges, threshold):
    if not threshold >= 0:
        raise ValueError(threshold)
    stays, current = np.ones(len(edges), dtype=bool), np.average(measure(edges))
    for place in range(len(edges) - 1, -1, -1):
        stays[place] = False
        value = np.average(measure([e for e, here in zip(edges, stays, strict=True) if here]))
        if np.abs(value - current) >= threshold:
            stays[place] = True
        else:
            current = value
    return tuple(list(e) for e, here in zip(edges, stays, strict=True) if here)


def alone(measure, edges):
    """The change of the mean without each edge alone."""
    return [moved(measure(edges), measure(without(edges, edge))) for edge in edges]


def smallest_first(measure, edges):
    return [edge for _, edge in sorted(zip(alone(measure, edges), edges, strict=True))]


# fmt: off
for step, message, way in [
    ("change", "You removed every edge whose removal lowers the metric little, also those that "
     "speak against the answer. Take the absolute change.", lambda x, y: np.mean(x - y)),
    ("change", "You took the change with the wrong sign, and without its absolute value.",
     lambda x, y: np.mean(y - x)),
    ("change", "You averaged the absolute changes of single prompts. ACDC looks at the change of "
     "the mean.", lambda x, y: np.mean(abs(x - y))),
    ("change", "You looked at the largest change of any prompt. ACDC looks at the change of the "
     "mean.", lambda x, y: max(abs(x - y))),
    ("change", "You looked at the first prompt only; average over all of them.",
     lambda x, y: abs(x[0] - y[0])),
    ("change", "You added up the prompts; the threshold belongs to their mean.",
     lambda x, y: abs(sum(x - y))),
    ("order", "You went from the first edge to the last. ACDC starts at the end, at the edges next "
     "to the logits.", lambda measure, edges: edges),
    ("order", "You sorted the edges by their single effects. ACDC visits them in reverse order of "
     "computation.", smallest_first),
    ("update", "You compared with the whole model each time. Compare with the circuit found so "
     "far, from which this edge is taken.", lambda goes: False),
    ("update", "After an edge was put back you compared with the metric without it.",
     lambda goes: True),
    ("stops", "You stopped at the first edge that is needed; go on with the next one.",
     lambda goes: not goes),
    ("result", "You returned the edges that were taken out; return those that stay.",
     lambda kept, edges: [edge for edge in edges if edge not in kept]),
    ("result", "These are the right edges in another order: return them in that of the given list.",
     lambda kept, edges: kept[::-1]),
    ("result", "You returned no edge.", lambda kept, edges: []),
    ("result", "You returned all edges.", lambda kept, edges: edges),
]:
    mistake(message, partial(acdc, **{step: way}))
mistake("You took each edge out of the whole model. Edges that were removed stay out while the "
        "next one is tried.", partial(acdc, alone=True, update=lambda goes: False))
mistake("You divided the change by the model's metric; the threshold is in the unit of the metric.",
        lambda measure, edges, t: acdc(measure, edges, t * abs(np.mean(measure(edges)))))
mistake("You kept the edges with the smallest effects; the large ones stay.",
        lambda measure, edges, threshold: [
            edge for edge, x in zip(edges, alone(measure, edges), strict=True) if x < threshold])
for message, wrong in {
    "Threshold 0 keeps every edge: one goes only if the metric moves by less than the threshold.":
        partial(acdc, below=lambda x, t: x <= t),
    "An infinite threshold keeps no edge.":
        partial(acdc, result=lambda kept, edges: kept or edges[:1]),
    "You called `measure` more often than once for each edge and once before: keep the mean of the "
    "circuit found so far.": lambda measure, *more: [acdc(measure, *more) for _ in range(2)][1],
}.items():
    mistake(message, wrong, held_out=True)
# fmt: on


@witness("measure got an edge twice")
def doubles(measure, edges, threshold):
    measure([*edges, *edges[:1]])
    return acdc(measure, edges, threshold)


def draw(number, prompts, pairs=0, note="", observe="kept_edges", **options):
    options |= {"number": number, "prompts": prompts, "pairs": pairs}
    return Draw("searching", options, note, observe=observe)


RULE = (
    "The rule: from the last edge to the first, take it out of the circuit found so far; if the "
    "mean metric moves by less than the threshold, it stays out, and the next one is compared with "
    "the new mean. (1 in your answer is an edge that you keep.)"
)
ADD = [draw(*size) for size in ((9, 4), (12, 3), (10, 5), (14, 2))]
ANSWERS.part("edges that add up", 3, ADD, RULE)
PAIRS = [draw(*size) for size in ((18, 4, 12), (20, 3, 14), (15, 5, 10), (16, 2, 12))]
ANSWERS.part("edges that stand in for each other", 5, PAIRS, RULE)
ZERO = "Threshold 0 keeps every edge, also one that does nothing."
LIMITS = [
    draw(7, 3, 2, ZERO, threshold=0.0, idle=[2, 5]),
    draw(8, 4, 0, ZERO, threshold=0.0, idle=[0, 7], exact=True),
    draw(
        12,
        4,
        0,
        "Edges that move the metric by exactly the threshold stay.",
        threshold=0.5,
        exact=True,
    ),
    draw(7, 3, 2, "An infinite threshold keeps no edge.", threshold=float("inf")),
    draw(7, 3, threshold=1e-6, idle=[2, 5]),
    draw(12, 3, 6, "Small metrics.", unit=1e-5),
    draw(12, 3, 6, "Large metrics.", unit=1e5),
    *(draw(1, 2, 0, "A single edge.", threshold=t) for t in (1e-3, 5.0)),
    draw(0, 2, 0, "A graph without edges has the empty circuit."),
    *(
        Draw(
            "searching",
            {"number": 7, "prompts": 2, "threshold": t},
            refused=True,
            note="No change is smaller than a negative threshold: raise ValueError.",
        )
        for t in (-0.1, -1e-9)
    ),
]
ANSWERS.part("limits of the threshold", 2, LIMITS, RULE, held_out=True)
PAID = [
    draw(n, p, k, observe="kept_edges_and_calls")
    for n, p, k in ((15, 4, 9), (14, 1, 8), (18, 3, 14))
]
ANSWERS.part("no more runs than needed", 2, PAID, RULE, held_out=True)
