"""04.7, a search for a circuit: answers, mistakes and draws (instructors only)."""

from functools import partial

import numpy as np

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("04.7", "ACDC: remove what is not needed")


def moved(now, then):
    return abs(np.mean(now) - np.mean(then))


def without(edges, gone):
    return [edge for edge in edges if edge != gone]


@ANSWERS.right
def acdc(
    measure, edges, threshold, change=moved, order=lambda measure, edges: edges[::-1],
    out_of=lambda kept, edges: kept, update=lambda goes: goes, stops=lambda goes: False,
    below=lambda x, t: x < t, result=lambda kept, edges: kept,
):  # fmt: skip
    if threshold < 0:
        raise ValueError("no change is smaller than a negative threshold")
    kept, now = edges, measure(edges)
    for edge in order(measure, edges):
        then = measure(without(out_of(kept, edges), edge))
        goes = below(change(np.array(now), np.array(then)), threshold)
        kept = without(kept, edge) if goes else kept
        now = then if update(goes) else now
        if stops(goes):
            break
    return result(kept, edges)


@ANSWERS.other
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
    """Each edge after the change of the mean without it alone."""
    return [(moved(measure(edges), measure(without(edges, edge))), edge) for edge in edges]


HELD_OUT = [
    "Threshold 0 keeps every edge: one goes only if the metric moves by less than the threshold.",
    "An infinite threshold keeps no edge.",
    "You called `measure` more often than once for each edge and once before.",
]
# fmt: off
for message, wrong in {
    "You removed every edge whose removal lowers the metric little, also those that speak against "
    "the answer. Take the absolute change.": {"change": lambda x, y: np.mean(x - y)},
    "You took the change with the wrong sign, and without its absolute value.":
        {"change": lambda x, y: np.mean(y - x)},
    "You averaged the absolute changes of single prompts, not the changes.":
        {"change": lambda x, y: np.mean(abs(x - y))},
    "You looked at the largest change of any prompt. ACDC looks at the change of the mean.":
        {"change": lambda x, y: max(abs(x - y))},
    "You looked at the first prompt only; average over all of them.":
        {"change": lambda x, y: abs(x[0] - y[0])},
    "You added up the prompts; the threshold belongs to their mean.":
        {"change": lambda x, y: abs(sum(x - y))},
    "You went from the first edge to the last. ACDC starts at the end, next to the logits.":
        {"order": lambda measure, edges: edges},
    "You sorted the edges by their single effects. ACDC visits them in reverse order of "
    "computation.": {"order": lambda *given: [edge for _, edge in sorted(alone(*given))]},
    "You compared with the whole model each time. Compare with the circuit found so far.":
        {"update": lambda goes: False},
    "You took each edge out of the whole model. Edges that were removed stay out while the next "
    "one is tried.": {"out_of": lambda kept, edges: edges, "update": lambda goes: False},
    "After an edge was put back you compared with the metric without it.":
        {"update": lambda goes: True},
    "You stopped at the first edge that is needed; go on with the next one.":
        {"stops": lambda goes: not goes},
    "You returned the edges that were taken out; return those that stay.":
        {"result": lambda kept, edges: [edge for edge in edges if edge not in kept]},
    "These are the right edges in another order: return them in that of the given list.":
        {"result": lambda kept, edges: kept[::-1]},
    "You returned no edge.": {"result": lambda kept, edges: []},
    "You returned all edges.": {"result": lambda kept, edges: edges},
    HELD_OUT[0]: {"below": lambda x, t: x <= t},
    HELD_OUT[1]: {"result": lambda kept, edges: kept or edges[:1]},
}.items():
    ANSWERS.mistake(message, partial(acdc, **wrong), held_out=message in HELD_OUT)
for message, wrong in {
    "You divided the change by the model's metric; the threshold is in the unit of the metric.":
        lambda measure, edges, t: acdc(measure, edges, t * abs(np.mean(measure(edges)))),
    "You kept the edges with the smallest effects; the large ones stay.":
        lambda measure, edges, t: [edge for x, edge in alone(measure, edges) if x < t],
    HELD_OUT[2]: lambda measure, *more: [acdc(measure, *more) for _ in range(2)][1],
}.items():
    ANSWERS.mistake(message, wrong, held_out=message in HELD_OUT)
# fmt: on


@ANSWERS.witness("measure got an edge twice")
def doubles(measure, edges, threshold):
    measure([*edges, *edges[:1]])
    return acdc(measure, edges, threshold)


def draw(number, prompts, pairs=0, note="", observe="kept_edges", refused=False, **options):
    options |= {"number": number, "prompts": prompts, "pairs": pairs}
    return Draw("searching", options, note, observe=observe, refused=refused)


RULE = (
    "The rule: from the last edge to the first, take it out of the circuit found so far; if the "
    "mean metric moves by less than the threshold, it stays out, and the next one is compared with "
    "the new mean. (1 in your answer is an edge that you keep.)"
)
ADD = [draw(*size) for size in ((9, 4), (12, 3), (10, 5), (14, 2))]
ANSWERS.part("edges that add up", 3, ADD, RULE)
PAIRS = [draw(*size) for size in ((18, 4, 12), (20, 3, 14), (15, 5, 10), (16, 2, 12))]
ANSWERS.part("edges that stand in for each other", 5, PAIRS, RULE)
NEGATIVE = "No change is smaller than a negative threshold: raise ValueError."
LIMITS = [
    draw(7, 3, 2, HELD_OUT[0], threshold=0.0, idle=[2, 5]),
    draw(8, 4, 0, HELD_OUT[0], threshold=0.0, idle=[0, 7], exact=True),
    draw(12, 4, 0, "Changes of exactly the threshold.", threshold=0.5, exact=True),
    draw(7, 3, 2, HELD_OUT[1], threshold=float("inf")),
    draw(7, 3, threshold=1e-6, idle=[2, 5]),
    *(draw(12, 3, 6, "Small or large metrics.", unit=unit) for unit in (1e-5, 1e5)),
    *(draw(1, 2, 0, "A single edge.", threshold=t) for t in (1e-3, 5.0)),
    draw(0, 2, 0, "A graph without edges has the empty circuit."),
    *(draw(7, 2, 0, NEGATIVE, "", refused=True, threshold=t) for t in (-0.1, -1e-9)),
]
ANSWERS.part("limits of the threshold", 2, LIMITS, RULE, held_out=True)
PAID = [draw(*n, observe="kept_edges_and_calls") for n in ((15, 4, 9), (14, 1, 8), (18, 3, 14))]
ANSWERS.part("no more runs than needed", 2, PAID, RULE, held_out=True)
