"""Checks of 04.7: searching a circuit with ACDC (see unit04.py)."""

from __future__ import annotations

import numpy as np

from course_lib.checks.calling import compare
from course_lib.checks.results import Wrong
from course_lib.checks.unit04_judging import Circuits, named_edges

# --- 04.7 acdc(measure, edges, threshold) -> list of edges --------------------------------------


class Effects(Circuits):
    """Circuits whose edges add up, prompt by prompt; pairs can stand in for each other."""

    def __init__(self, rng, edges, prompts, pairs=0):
        super().__init__(edges, prompts)
        n = len(edges)
        size = rng.uniform(0.1, 1, size=n) * rng.choice([-1, 1], size=n, p=[0.35, 0.65])
        self.weights = size + rng.normal(size=(prompts, n)) * 0.35
        self.constant = rng.normal(size=prompts)
        self.pairs, self.known = [], {}
        for _ in range(pairs):
            i, j = (int(k) for k in rng.choice(n, size=2, replace=False))
            self.pairs.append((i, j, float(rng.choice([-1, 1]) * rng.uniform(0.3, 1.2))))

    def values(self, kept):
        return self.at(self.places(kept))

    def at(self, places):
        """The metric of N prompts with the edges of these numbers, kept for the next time."""
        places = frozenset(places)
        if places not in self.known:
            backed = sum(b for i, j, b in self.pairs if i in places or j in places)
            own = self.weights[:, sorted(places)].sum(1)
            self.known[places] = self.constant + own + backed
        return self.known[places]


def search(circuits, threshold, *, forwards=False, compared="found so far", restored=True,
           change=abs, of=np.mean, order=None, stops=False):  # fmt: skip
    """The kept edges, by number, of ACDC or of a search that goes astray in a named way."""
    numbers = list(range(len(circuits.edges)))
    visit = order if order is not None else numbers if forwards else numbers[::-1]
    kept = set(numbers)

    current = circuits.at(kept)
    for i in visit:
        without = circuits.at((set(numbers) if compared == "each alone" else kept) - {i})
        if of(change(of_prompts(of, current - without))) < threshold:
            kept -= {i}
            current = without if compared == "found so far" else current
        elif stops:
            break
        elif not restored:
            current = without
    return sorted(kept)


def of_prompts(of, differences):
    """A search by means averages before it looks at the size; others look at each prompt."""
    return np.array([differences.mean()]) if of is np.mean else differences


def search_mistakes(circuits, threshold):
    numbers = list(range(len(circuits.edges)))
    full = circuits.mean(circuits.edges)
    single = [abs(full - circuits.at(set(numbers) - {i}).mean()) for i in numbers]
    right = search(circuits, threshold)
    return right, {
        "You returned the edges that were taken out; return those that stay.": sorted(
            set(numbers) - set(right)
        ),
        "You removed every edge whose removal lowers the metric little, also those that speak "
        "against the answer. Take the absolute change.": search(
            circuits, threshold, change=lambda x: x
        ),
        "You took the change with the wrong sign, and without its absolute value.": search(
            circuits, threshold, change=lambda x: -x
        ),
        "You averaged the absolute changes of single prompts. ACDC looks at the change of the "
        "mean.": search(circuits, threshold, of=lambda x: x.mean()),
        "You looked at the largest change of any prompt. ACDC looks at the change of the "
        "mean.": search(circuits, threshold, of=lambda x: x.max()),
        "You looked at the first prompt only; average over all of them.": search(
            circuits, threshold, of=lambda x: x[0]
        ),
        "You added up the prompts; the threshold belongs to their mean.": search(
            circuits, threshold / circuits.prompts
        ),
        "You divided the change by the model's metric; the threshold is in the unit of the "
        "metric.": search(circuits, threshold * abs(full)),
        "You went from the first edge to the last. ACDC starts at the end, at the edges next to "
        "the logits.": search(circuits, threshold, forwards=True),
        "You compared with the whole model each time. Compare with the circuit found so far, from "
        "which this edge is taken.": search(circuits, threshold, compared="the model"),
        "You took each edge out of the whole model. Edges that were removed stay out while the "
        "next one is tried.": search(circuits, threshold, compared="each alone"),
        "After an edge was put back you compared with the metric without it.": search(
            circuits, threshold, restored=False
        ),
        "You sorted the edges by their single effects. ACDC visits them in reverse order of "
        "computation.": search(circuits, threshold, order=sorted(numbers, key=single.__getitem__)),
        "You stopped at the first edge that is needed; go on with the next one.": search(
            circuits, threshold, stops=True
        ),
        "You kept the edges with the smallest effects; the large ones stay.": [
            i for i in numbers if single[i] < threshold
        ],
        "You returned no edge.": [],
        "You returned all edges.": numbers,
    }  # fmt: skip


def as_edges(answer, circuits):
    """The numbers of the edges that were returned; Wrong for what is no list of edges."""
    try:
        pairs = [tuple(str(name) for name in edge) for edge in answer]
        places = [circuits.edges.index(pair) for pair in pairs]
    except Exception:  # whatever a strange object does here is the answer's fault
        raise Wrong("Return a list of edges, each a pair of names from the given list.") from None
    if len(set(places)) < len(places):
        raise Wrong("Your list names an edge twice.")
    return places


def search_compare(student, circuits, threshold):
    got = as_edges(student(circuits, circuits.edges, threshold), circuits)
    right, mistakes = search_mistakes(circuits, threshold)
    n = len(circuits.edges)
    if got != right and sorted(got) == right:
        raise Wrong("The right edges in another order: return them in the order of the given list.")

    def mask(places):
        return np.isin(np.arange(n), places)

    otherwise = (
        f"Kept {len(got)} of {n} edges, expected {len(right)}. From the last edge to the first: "
        "take it out of the circuit found so far; if the mean metric moves by less than the "
        "threshold, it stays out, and the next one is compared with the new mean."
    )
    compare(mask(got), mask(right), {k: mask(v) for k, v in mistakes.items()}, otherwise)


def telling(rng, number, prompts, pairs):
    """A problem and a threshold on which the mistakes give as many circuits as possible."""
    best, most = None, -1
    for _ in range(4):
        circuits = Effects(rng, named_edges(number), prompts, pairs)
        threshold = float(rng.uniform(0.25, 0.6))
        right, mistakes = search_mistakes(circuits, threshold)
        different = {tuple(v) for v in [right, *mistakes.values()]}
        if len(different) > most:
            best, most = (circuits, threshold), len(different)
        if most > len(mistakes):
            break
    return best


def search_additive(student, rng):
    for number, prompts in ((9, 4), (12, 3)):
        search_compare(student, *telling(rng, number, prompts, 0))


def search_together(student, rng):
    for number, prompts, pairs in ((18, 4, 12), (20, 3, 14)):
        search_compare(student, *telling(rng, number, prompts, pairs))
