"""Held-out checks of assignment 04. For instructors: this file is never released.

``HELD_OUT`` maps an exercise id to parts of the same shape as the visible ones.
"""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_table, as_vector, compare
from course_lib.checks.results import Part, Wrong
from course_lib.checks.unit04_edges import edge_compare
from course_lib.checks.unit04_judging import (
    MEASURES,
    Case,
    chance_mistakes,
    completeness_mistakes,
    faithfulness_mistakes,
    named_edges,
    ranked_case,
)
from course_lib.checks.unit04_nodes import Stack, node_compare
from course_lib.checks.unit04_scores import (
    Gradients,
    attribution_compare,
    attribution_mistakes,
    problem,
)
from course_lib.checks.unit04_search import Effects, as_edges, search, search_compare, telling
from course_lib.checks.unit04_values import (
    ablated,
    as_array,
    donors,
    metric_compare,
    metric_mistakes,
    outputs,
    readings,
)


def far_logits_and_end_years(student, rng):
    logits, years, _ = readings(rng, 3, 2, 9)
    for starts in ([0, 8, 4], [8, 0, 8], [0, 0, 0]):  # after the last year nothing is right
        metric_compare(student, logits, years, starts)
    for dtype in (torch.float16, torch.float32, torch.float64):
        far = logits.to(dtype, copy=True)
        far[:, :, years[2]] += 300
        far[:, -1, years[5]] = far[:, -1, years[2]] + 0.5
        got = as_vector(student(far, years, [1, 3, 6]), 3, "the metric")
        right, _ = metric_mistakes(far, years, [1, 3, 6])
        if np.abs(got - right).max() > 1e-6:
            raise Wrong(
                f"With {dtype} logits that lie far apart the metric is off: convert the logits to "
                "float64 before the softmax."
            )
    high = logits.double() + 40_000
    got = as_vector(student(high, years, [1, 3, 6]), 3, "the metric")
    right, _ = metric_mistakes(high, years, [1, 3, 6])
    if np.abs(got - right).max() > 1e-6:
        raise Wrong(
            "The metric of large float64 logits that differ by little is off: stay in float64, and "
            "do not go through float32."
        )


def starts_of_every_prompt(student, rng):
    logits, years, starts = readings(rng, 3, 2, 9)
    for wrong in ([*starts[:2], 9], [-1, *starts[:2]], starts[:2], [*starts, 1]):
        student.refuses(
            ValueError,
            logits,
            years,
            wrong,
            why=f"For 3 prompts and years 0 to 8 the starts {wrong} must raise ValueError.",
        )


def every_other_prompt(student, rng):
    values, draws = outputs(rng, 5, 1, 2), 360
    counts, first = np.zeros((5, 5)), int(rng.integers(1000))
    for seed in range(first, first + draws):
        counts[np.arange(5), donors(student, values, seed)] += 1
    expected = draws / 4
    if np.abs(counts[~np.eye(5, dtype=bool)] - expected).max() > 5.5 * (expected * 0.75) ** 0.5:
        raise Wrong(
            f"Over {draws} seeds some prompts lend their values to another far more often than the "
            f"rest: between {counts[~np.eye(5, dtype=bool)].min():.0f} and {counts.max():.0f} "
            f"times, where {expected:.0f} are expected."
        )
    if not np.array_equal(donors(student, values, 0), plain_donors(student, values)):
        raise Wrong("Without `seed` the draw is that of seed 0.")


def plain_donors(student, values):
    got = as_array(student(values, "resample"), tuple(values.shape), "the values")
    same = np.isclose(got[:, None], values.double().numpy()[None], rtol=1e-5, atol=1e-5)
    return same.all((2, 3)).argmax(1)


def one_prompt_alone(student, rng):
    values = outputs(rng, 1, 3, 2)
    compare(ablated(student, values, "mean"), values.numpy(), {}, "The mean of one prompt is it.")
    compare(ablated(student, values, "zero"), 0 * values.numpy(), {}, "Zero for one prompt too.")
    two = outputs(rng, 2, 2, 2)
    student.refuses(
        ValueError,
        values,
        "resample",
        why="One prompt has no other whose values it could get: raise ValueError.",
    )
    student.refuses(
        ValueError, two, "median", why="An ablation of an unknown kind must raise ValueError."
    )


def ends_of_the_stream(student, rng):
    for prompts, tokens, depth in ((3, 3, 2), (1, 1, 1), (2, 4, 3)):
        stack = Stack(rng, prompts, tokens, 3, depth)
        for direction in ("noising", "denoising"):
            for node in (0, depth):
                for position in {0, tokens - 1}:
                    node_compare(student, stack, node, position, direction)
    stack = Stack(rng, 3, 2, 4, 0)  # no layers: the embedding goes straight to the readout
    for position in (None, 0, 1):
        node_compare(student, stack, 0, position, "denoising")
    stack = Stack(rng, 3, 3, 2, 2)
    got = as_vector(student(*stack.given, 1), 3, "the effect")
    named = as_vector(student(*stack.given, 1, None, "noising"), 3, "the effect")
    otherwise = "Without `position` and `direction`: all positions, noising."
    compare(got, named, {}, otherwise, tolerance=1e-6)


def nodes_that_exist(student, rng):
    stack = Stack(rng, 2, 3, 2, 2)
    for node, position, direction in (
        (3, 0, "noising"),
        (-1, 0, "noising"),
        (1, 3, "noising"),
        (1, -1, "denoising"),
        (1, 0, "clean"),
    ):
        student.refuses(
            ValueError,
            *stack.given,
            node,
            position,
            direction,
            why=f"Node {node} of 0 to 2, position {position} of 0 to 2, direction {direction!r}: "
            "this must raise ValueError.",
        )


def short_and_long_edges(student, rng):
    for prompts, tokens, depth in ((3, 2, 1), (1, 1, 2), (2, 3, 5)):
        stack = Stack(rng, prompts, tokens, 3, depth)
        for sender, receiver in {(0, 1), (depth - 1, depth), (0, depth + 1), (depth, depth + 1)}:
            edge_compare(student, stack, sender, receiver)
    stack.corrupted = stack.clean.clone()
    got = as_vector(student(*stack.given, 1, 3), 2, "the effect")
    if np.abs(got).max() > 1e-9:
        raise Wrong("Where both prompts are the same, no edge has an effect.")
    stack = Stack(rng, 2, 2, 3, 0)
    edge_compare(student, stack, 0, 1)


def edges_that_exist(student, rng):
    stack = Stack(rng, 2, 2, 2, 3)
    for sender, receiver in ((2, 2), (3, 1), (-1, 2), (0, 5), (4, 4), (4, 5), (0, 0)):
        student.refuses(
            ValueError,
            *stack.given,
            sender,
            receiver,
            why=f"With 3 layers there is no edge from node {sender} to reader {receiver}: raise "
            "ValueError.",
        )


def complete_along_the_path(student, rng):
    for steps in (1, 40):
        size = 2, 3, 2, 3, 2
        gradients, clean, corrupted, _ = problem(rng, *size)
        every = torch.ones(2, 3, dtype=torch.bool)
        got = attribution_compare(student, gradients, clean, corrupted, every, steps)
        powers = torch.arange(1, len(gradients.weights) + 1).view(-1, 1, 1, 1, 1)
        ends = [
            (gradients.weights / powers * e[0] ** powers).sum((0, 3, 4)).mean(-1)
            for e in (clean, corrupted)
        ]
        if steps > 1:
            otherwise = (
                "With many steps the scores of the embedding's edges must come close to what the "
                "metric gains from the corrupted to the clean embeddings (completeness)."
            )
            compare(got[0], (ends[0] - ends[1]).numpy(), {}, otherwise, tolerance=2e-2)
    gradients, clean, corrupted, allowed = problem(rng, *size)
    given = gradients, clean, corrupted, allowed
    got = as_array(student(*given), tuple(allowed.shape), "the scores")
    right = attribution_mistakes(*given, 0)[0]
    compare(got, right, {}, "Without `steps` the scores are those of EAP.", tolerance=1e-6)


class Counted(Gradients):
    """Gradients that are counted, and come in single precision."""

    calls = 0

    def __call__(self, embeddings):
        self.calls += 1
        return super().__call__(embeddings).float()


def precise_and_thrifty(student, rng):
    for writers, prompts, tokens, steps in ((1, 1, 1, 0), (2, 1, 3, 2), (3, 4, 1, 3)):
        gradients = Counted(rng, 3, prompts, tokens, 4, power=0)
        clean, corrupted = (
            torch.tensor(rng.normal(size=(2, writers, prompts, tokens, 4)) * 0.01) + 3000
        ).float()
        every = torch.ones(writers, 3, dtype=torch.bool)
        got = as_array(
            student(gradients, clean, corrupted, every, steps), (writers, 3), "the scores"
        )
        called = gradients.calls
        right = attribution_mistakes(gradients, clean.double(), corrupted.double(), every, steps)[0]
        if np.abs(got - right).max() > 1e-6 * np.abs(right).max() + 1e-7:
            raise Wrong(
                "Small differences of large outputs got lost: subtract first, and sum in float64."
            )
        if called > max(steps, 1):
            raise Wrong(
                f"You called `gradients` {called} times for steps={steps}; each call costs a "
                "backward pass."
            )


def metric_that_falls(student, rng):
    for number, size, prompts in ((8, 4, 5), (6, 3, 1)):
        case = Case(rng, number, size, prompts, turned=True)
        table = case.answer(student)
        otherwise = "Where corruption raises the metric, the gap is negative and F still a share."
        compare(table["faithfulness"], faithfulness_mistakes(case)[0], {}, otherwise)
        compare(table["completeness"], completeness_mistakes(case)[0], {}, otherwise)
    case = ranked_case(rng, 2, 1, 6, turned=True)
    own = case.mean(case.circuit)
    raw = (1 + sum(case.mean(rival) >= own - 1e-9 for rival in case.rivals)) / 10
    mistakes = {
        "You compared the metrics of the rivals. Where the gap is negative, a lower one is the "
        "better: compare faithfulness.": raw,
    }
    otherwise = "Wrong chance where corruption raises the metric."
    compare(case.answer(student)["chance"], chance_mistakes(case)[0], mistakes, otherwise)
    case.rivals = []
    got = as_table(student(case.measure, case.edges, case.circuit, [], []), set(MEASURES))
    compare(got["chance"], 1.0, {}, "Without any rival chance is 1.")
    missing = 1 - case.share(case.circuit)
    otherwise = "Where K is empty, completeness is what the circuit lacks: F(M) - F(C)."
    compare(got["completeness"], missing, {}, otherwise)


def judged_where_it_means_something(student, rng):
    case = Case(rng, 7, 3, 4, rivals=2)
    case.answer(student)
    outside = [edge for edge in case.edges if edge not in case.circuit]
    student.refuses(
        ValueError,
        case.measure,
        case.edges,
        case.circuit,
        outside[:1],
        [],
        why="K holds an edge that the circuit does not have: raise ValueError.",
    )
    for rival in (case.edges[:4], case.edges[:2]):
        student.refuses(
            ValueError,
            case.measure,
            case.edges,
            case.circuit,
            case.part,
            [*case.rivals, rival],
            why="A rival with more or fewer edges is no fair rival: raise ValueError.",
        )
    case.measure.high = case.measure.low[::-1].copy()
    student.refuses(
        ValueError,
        case.measure,
        case.edges,
        case.circuit,
        case.part,
        [],
        why="All edges and none give the same mean metric, so there is no gap: raise ValueError, "
        "also where single prompts differ.",
    )


def limits_of_the_threshold(student, rng):
    circuits = Effects(rng, named_edges(7), 3, 3)
    circuits.weights[:, [2, 5]] = 0  # two edges that do nothing
    circuits.pairs = [p for p in circuits.pairs if not {2, 5} & set(p[:2])]
    got = as_edges(student(circuits, circuits.edges, 0.0), circuits)
    if got != list(range(7)):
        raise Wrong(
            "Threshold 0 keeps every edge, also one that does nothing: an edge goes only if the "
            "metric moves by less than the threshold."
        )
    got = as_edges(student(circuits, circuits.edges, float("inf")), circuits)
    if got:
        raise Wrong("An infinite threshold keeps no edge.")
    search_compare(student, circuits, 1e-6)
    single = Effects(rng, named_edges(1), 2)
    size = abs(single.weights.mean())
    for threshold, right in ((0.5 * size, [0]), (2 * size, [])):
        if as_edges(student(single, single.edges, threshold), single) != right:
            raise Wrong("A graph of a single edge got the wrong circuit.")
    empty = Effects(rng, [], 2)
    if as_edges(student(empty, [], 0.1), empty):
        raise Wrong("A graph without edges has the empty circuit.")
    student.refuses(
        ValueError,
        circuits,
        circuits.edges,
        -0.1,
        why="No change is smaller than a negative threshold: raise ValueError.",
    )


def runs_that_are_paid_for(student, rng):
    circuits, threshold = telling(rng, 15, 4, 9)
    right = search(circuits, threshold)
    circuits.calls = 0
    got = as_edges(student(circuits, circuits.edges, threshold), circuits)
    if got != right:
        raise Wrong(f"Of 15 edges you kept {len(got)}; {len(right)} are needed.")
    if circuits.calls > 16:
        raise Wrong(
            f"You called `measure` {circuits.calls} times for 15 edges; once for each of them and "
            "once before is enough. Keep the mean of the circuit found so far."
        )
    search_compare(student, *telling(rng, 14, 1, 8))


HELD_OUT = {
    "04.1": (
        Part("first and last year, precision", 1, far_logits_and_end_years),
        Part("starts of every prompt", 1, starts_of_every_prompt),
    ),
    "04.2": (
        Part("every other prompt alike", 2, every_other_prompt),
        Part("one prompt, unknown kinds", 2, one_prompt_alone),
    ),
    "04.3": (
        Part("ends of the stream, defaults", 3, ends_of_the_stream),
        Part("nodes that exist", 2, nodes_that_exist),
    ),
    "04.4": (
        Part("the shortest and the longest edges", 3, short_and_long_edges),
        Part("edges that do not exist", 2, edges_that_exist),
    ),
    "04.5": (
        Part("completeness, defaults", 3, complete_along_the_path),
        Part("precision and cost", 2, precise_and_thrifty),
    ),
    "04.6": (
        Part("a metric that falls", 3, metric_that_falls),
        Part("nothing to judge", 2, judged_where_it_means_something),
    ),
    "04.7": (
        Part("limits of the threshold", 2, limits_of_the_threshold),
        Part("no more runs than needed", 2, runs_that_are_paid_for),
    ),
}
