"""Checks of 04.6: is a circuit faithful, complete, and better than chance (see unit04.py)?"""

from __future__ import annotations

import numpy as np

from course_lib.checks.calling import as_table, compare

# --- shared inputs -------------------------------------------------------------------------


def named_edges(number):
    """So many edges (writer, reader) of a graph, in the order in which they compute."""
    pairs = [(u, v) for v in range(1, 9) for u in range(v)]
    return [(f"a{u}" if u else "embed", f"m{v}") for u, v in pairs[:number]]


class Circuits:
    """``measure``: the metric of N prompts where just the given edges carry clean values."""

    def __init__(self, edges, prompts):
        self.edges, self.prompts, self.calls = edges, prompts, 0

    def __call__(self, kept):
        self.calls += 1
        return self.values(kept).tolist()

    def places(self, kept):
        """The edges as sorted numbers; ValueError for what is no edge, or is there twice."""
        kept = [tuple(edge) for edge in kept]
        if unknown := [edge for edge in kept if edge not in self.edges]:
            raise ValueError(f"measure takes a list of edges; {unknown[0]} is none of them.")
        if len(set(kept)) < len(kept):
            raise ValueError("measure got an edge twice.")
        return sorted(self.edges.index(edge) for edge in kept)

    def mean(self, kept):
        return float(self.values(kept).mean())


class Table(Circuits):
    """Nothing is known of these circuits but their values: an own random number for every one."""

    def __init__(self, rng, edges, prompts, turned=False, shift=0.0):
        super().__init__(edges, prompts)
        self.seed, self.shift = int(rng.integers(2**31)), shift
        self.low = rng.uniform(-1.5, 0.5, size=prompts)
        self.high = self.low + rng.uniform(0.7, 4, size=prompts)
        if turned:
            self.low, self.high = self.high, self.low

    def values(self, kept):
        places = self.places(kept)
        if len(places) in (0, len(self.edges)):
            return self.high if places else self.low
        share = np.random.default_rng([self.seed, *places]).uniform(-0.2, 1.1, size=self.prompts)
        return self.low + (share + self.shift) * (self.high - self.low)


def minus(edges, part):
    return [edge for edge in edges if edge not in part]


# --- 04.6 judge_circuit(measure, edges, circuit, part, rivals) -> dict ---------------------------

MEASURES = ("faithfulness", "completeness", "chance")


class Case:
    """A graph, a circuit in it, a part K of the circuit, and rivals of the same size."""

    def __init__(self, rng, number, size, prompts, rivals=0, turned=False, shift=0.0):
        self.edges = named_edges(number)
        self.measure = Table(rng, self.edges, prompts, turned, shift)
        self.circuit = self.draw(rng, size)
        self.part = [self.circuit[i] for i in rng.permutation(size)[: (size + 1) // 2]]
        self.rivals = [self.draw(rng, size) for _ in range(rivals)]

    def draw(self, rng, size):
        return [self.edges[i] for i in rng.permutation(len(self.edges))[:size]]

    def mean(self, kept):
        return self.measure.mean(kept)

    def share(self, kept):
        nothing = self.mean([])
        return (self.mean(kept) - nothing) / (self.mean(self.edges) - nothing)

    def shares(self, kept):
        """The share of each prompt: its mean is not the share of the means."""
        low, high = self.measure.low, self.measure.high
        return (self.measure.values(kept) - low) / (high - low)

    def answer(self, student):
        found = student(self.measure, self.edges, self.circuit, self.part, self.rivals)
        return as_table(found, set(MEASURES))


def faithfulness_mistakes(case):
    right, circuit, edges = case.share(case.circuit), case.circuit, case.edges
    own, model, nothing = case.mean(circuit), case.mean(edges), case.mean([])
    return right, {
        "You divided by the model's metric alone. Both ends count: subtract m(nothing) above and "
        "below.": own / model,
        "You subtracted m(nothing) above and not below: divide by m(model) - m(nothing).": (
            own - nothing
        )
        / model,
        "You subtracted m(nothing) below and not above: m(C) - m(nothing) is what the circuit "
        "keeps.": own / (model - nothing),
        "You returned m(C) itself; faithfulness is a share of the gap.": own,
        "You returned m(C) - m(nothing); divide by the gap.": own - nothing,
        "You returned the part of the gap that is lost; faithfulness is what is kept.": 1 - right,
        "You averaged the shares of single prompts. Where a prompt's own gap is small its share "
        "explodes: divide the means.": case.shares(circuit).mean(),
        "You ran what is left without the circuit; faithfulness keeps the circuit.": case.share(
            minus(edges, circuit)
        ),
        "You returned per cent; 1 is as good as the model.": 100 * right,
        "You used the first prompt only; average over all of them.": case.shares(circuit)[0],
        "You cut F off at 0 and 1. A circuit can do better than the model, or worse than "
        "nothing.": min(max(right, 0.0), 1.0),
        "You took the circuit without its part K.": case.share(minus(circuit, case.part)),
        "You took the median over prompts; take the mean.": (
            np.median(case.measure.values(circuit)) - np.median(case.measure.low)
        )
        / (np.median(case.measure.high) - np.median(case.measure.low)),
    }  # fmt: skip


def judged_faithfulness(student, rng):
    for number, size, prompts, shift in ((8, 4, 5, 0), (6, 2, 3, 0.9), (10, 7, 8, -0.9)):
        case = Case(rng, number, size, prompts, shift=shift)
        right, mistakes = faithfulness_mistakes(case)
        otherwise = "Faithfulness is (m(C) - m(nothing)) / (m(model) - m(nothing)), of means."
        compare(case.answer(student)["faithfulness"], right, mistakes, otherwise)
    for circuit, right in ((case.edges, 1.0), ([], 0.0)):
        case.circuit, case.part = list(circuit), list(circuit[:2])
        otherwise = f"The circuit of {'all' if circuit else 'no'} edges has faithfulness {right}."
        compare(case.answer(student)["faithfulness"], right, {}, otherwise)


def completeness_mistakes(case):
    circuit, edges, part = case.circuit, case.edges, case.part
    rest, reduced = minus(edges, part), minus(circuit, part)
    right = case.share(rest) - case.share(reduced)
    turned = (
        "The sign is turned round: the model without K minus the circuit without K. Positive: "
        "something outside the circuit does the work of K."
    )
    unsigned = "You took absolute values; the sign says which of the two copes better."
    return right, {
        turned if right > 0 else unsigned: -right,
        "You compared the circuit with and without K. Compare what is left of the circuit with "
        "what is left of the model.": case.share(circuit) - case.share(reduced),
        "You compared the model with and without K. Compare what is left of the model with what "
        "is left of the circuit.": 1 - case.share(rest),
        "You returned the model without K alone; subtract the circuit without K.": case.share(rest),
        "You returned the circuit without K alone; subtract it from the model without K.":
            case.share(reduced),
        "You compared the model with the circuit; both lose K first.": 1 - case.share(circuit),
        "You took the difference of metrics. Divide by the gap m(model) - m(nothing).":
            case.mean(rest) - case.mean(reduced),
        "You kept K and took the rest away. K is taken out.": case.share(rest) - case.share(part),
        "You took the whole circuit out; take out K, a part of it.":
            case.share(minus(edges, circuit)),
        "You averaged the shares of single prompts; divide the means.":
            (case.shares(rest) - case.shares(reduced)).mean(),
        "You used the first prompt only; average over all of them.":
            case.shares(rest)[0] - case.shares(reduced)[0],
        "You added the two; completeness is a difference.": case.share(rest) + case.share(reduced),
    }  # fmt: skip


def judged_completeness(student, rng):
    for number, size, prompts, sign in ((8, 5, 5, 1), (6, 3, 3, -1), (10, 6, 7, 1)):
        case, right = None, 0.0
        while sign * right < 0.05:
            case = Case(rng, number, size, prompts)
            right, mistakes = completeness_mistakes(case)
        otherwise = "Completeness is F(model without K) - F(circuit without K)."
        compare(case.answer(student)["completeness"], right, mistakes, otherwise)
    case.circuit = case.edges[::-1]
    got = case.answer(student)["completeness"]
    compare(got, 0.0, {}, "The whole model as circuit is complete: 0 for every part K.")


def chance_mistakes(case):
    own, rivals = case.share(case.circuit), np.array([case.share(r) for r in case.rivals])
    n, as_good, better = len(rivals), (rivals >= own - 1e-9).sum(), (rivals > own + 1e-9).sum()
    counted_in = "The circuit itself counts as one more draw: (1 + rivals as good) / (1 + rivals)."
    return (1 + as_good) / (1 + n), {
        counted_in: as_good / n,
        counted_in + " ": as_good / (1 + n),
        counted_in + "  ": (1 + as_good) / n,
        "A rival that is exactly as good counts too: chance does as well as the circuit there.":
            (1 + better) / (1 + n),
        counted_in + "   ": better / n,
        "You counted the rivals that are worse. Count those that do at least as well.":
            (1 + n - as_good) / (1 + n),
        "You counted the rivals that are worse. Count those that do at least as well. ":
            (n - as_good) / n,
        "You counted the rivals that are not better, or nearer to 1. Count those at least as good.":
            (1 + n - better) / (1 + n),
        "You returned the mean faithfulness of the rivals; count how many reach that of the "
        "circuit.": rivals.mean(),
        "You returned the best rival's faithfulness; count how many reach that of the circuit.":
            rivals.max(),
        "You returned a count; divide by 1 + the number of rivals.": as_good,
        "You returned a count; divide by 1 + the number of rivals. ": 1 + as_good,
    }  # fmt: skip


def ranked_case(rng, above, tied, below, turned=False, shift=0.0):
    """A case whose rivals are, this often, better than the circuit, as good, and worse."""
    case = Case(rng, 9, 4, 5, 60, turned, shift)
    order = sorted([case.circuit, *case.rivals], key=case.share)
    at = len(order) // 2
    case.circuit = order[at]
    case.part = case.circuit[:2]
    picked = [*order[at + 1 :][:above], *[case.circuit[::-1]] * tied, *order[:below]]
    case.rivals = [picked[i] for i in rng.permutation(len(picked))]
    return case


def judged_chance(student, rng):
    for above, tied, below, shift in ((2, 0, 5, 0), (0, 0, 6, 0), (1, 2, 5, 0.9), (5, 1, 3, 0)):
        case = ranked_case(rng, above, tied, below, shift=shift)
        right, mistakes = chance_mistakes(case)
        otherwise = (
            f"Of {above + tied + below} rivals {above} are better than the circuit and {tied} as "
            f"good: chance is {right:.3f}."
        )
        compare(case.answer(student)["chance"], right, mistakes, otherwise)
