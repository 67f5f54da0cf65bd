"""04.6, judging a circuit: answers, mistakes and draws (instructors only)."""

from functools import partial

import numpy as np

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("04.6", "judge a circuit")


def without(edges, part):
    return [edge for edge in edges if edge not in part]


class Seen:
    """What was given, and metrics and shares of circuits: what wrong answers are made of."""

    def __init__(self, measure, edges, circuit, part, rivals, average):
        self.measure, self.average, self.edges = measure, average, edges
        self.circuit, self.part, self.n = circuit, part, len(rivals)
        self.rest, self.reduced = without(edges, part), without(circuit, part)
        self.outside, self.own = without(edges, circuit), self.share(circuit)
        self.rivals = np.array([self.share(rival) for rival in rivals])
        self.good, self.better = sum(self.rivals >= self.own), sum(self.rivals > self.own)

    def mean(self, kept):
        return self.average(self.measure(kept))

    def share(self, kept):
        return (self.mean(kept) - self.mean([])) / (self.mean(self.edges) - self.mean([]))

    def shares(self, kept):
        low, high, own = (np.array(self.measure(some)) for some in ([], self.edges, kept))
        return (own - low) / (high - low)


@ANSWERS.right
def judge_circuit(measure, edges, circuit, part, rivals, average=np.mean, wrong=None):
    if not set(part) <= set(circuit) or any(len(rival) != len(circuit) for rival in rivals):
        raise ValueError("K is a part of the circuit, and rivals have its size")
    if abs(np.mean(measure(edges)) - np.mean(measure([]))) < 1e-9:
        raise ValueError("no gap")
    floor, ceiling = average(measure([])), average(measure(edges))

    def share(kept):
        return (average(measure(kept)) - floor) / (ceiling - floor)

    as_good = sum(share(rival) >= share(circuit) for rival in rivals)
    found = {
        "faithfulness": share(circuit),
        "completeness": share(without(edges, part)) - share(without(circuit, part)),
        "chance": (1 + as_good) / (1 + len(rivals)),
    }
    return wrong(Seen(measure, edges, circuit, part, rivals, average), found) if wrong else found


@ANSWERS.other
def judged_by_arrays(measure, edges, circuit, part, rivals):
    if {len(rival) for rival in rivals} - {len(circuit)} or set(part) - set(circuit):
        raise ValueError("not comparable")
    lists = [[], edges, circuit, list(set(edges) - set(part)), list(set(circuit) - set(part))]
    means = np.array([measure(kept) for kept in [*lists, *rivals]]).mean(1)
    if abs(means[1] - means[0]) < 1e-9:
        raise ValueError("no gap")
    share = (means - means[0]) / (means[1] - means[0])
    chance = np.mean(np.append(share[5:], share[2]) >= share[2])
    return {"chance": chance, "completeness": share[3] - share[4], "faithfulness": share[2]}


def wrong_in(key, way):
    """The right answer but for one number."""
    return partial(judge_circuit, wrong=lambda seen, found: found | {key: way(seen)})


# fmt: off
for key, table in {"faithfulness": [
    ("You divided by the model's metric alone: subtract m(nothing) above and below.",
     lambda s: s.mean(s.circuit) / s.mean(s.edges)),
    ("You subtracted m(nothing) above and not below: divide by m(model) - m(nothing).",
     lambda s: (s.mean(s.circuit) - s.mean([])) / s.mean(s.edges)),
    ("You subtracted m(nothing) below and not above: the circuit keeps m(C) - m(nothing).",
     lambda s: s.mean(s.circuit) / (s.mean(s.edges) - s.mean([]))),
    ("You returned m(C) itself; faithfulness is a share of the gap.", lambda s: s.mean(s.circuit)),
    ("You returned m(C) - m(nothing); divide by the gap.",
     lambda s: s.mean(s.circuit) - s.mean([])),
    ("You returned the part of the gap that is lost, not what is kept.", lambda s: 1 - s.own),
    ("You averaged the shares of single prompts. Where a prompt's own gap is small its share "
     "explodes: divide the means.", lambda s: s.shares(s.circuit).mean()),
    ("You ran what is left without the circuit; faithfulness keeps the circuit.",
     lambda s: s.share(s.outside)),
    ("You returned per cent; 1 is as good as the model.", lambda s: 100 * s.own),
    ("You cut F off at 0 and 1. A circuit can do better than the model, or worse than nothing.",
     lambda s: min(max(s.own, 0), 1)),
    ("You took the circuit without its part K.", lambda s: s.share(s.reduced)),
], "completeness": [
    ("The sign is turned round: it is the model without K minus the circuit without K.",
     lambda s: s.share(s.reduced) - s.share(s.rest)),
    ("You took absolute values; the sign says which of the two copes better.",
     lambda s: abs(s.share(s.rest) - s.share(s.reduced))),
    ("You compared the circuit with and without K. What is left of the model stands against it.",
     lambda s: s.own - s.share(s.reduced)),
    ("You compared the model with and without K. What is left of the circuit stands against it.",
     lambda s: 1 - s.share(s.rest)),
    ("You returned the model without K alone; subtract the circuit without K.",
     lambda s: s.share(s.rest)),
    ("You returned the circuit without K alone; subtract it from the model without K.",
     lambda s: s.share(s.reduced)),
    ("You compared the model with the circuit; both lose K first.", lambda s: 1 - s.own),
    ("You took the difference of metrics. Divide by the gap m(model) - m(nothing).",
     lambda s: s.mean(s.rest) - s.mean(s.reduced)),
    ("You kept K and took the rest away. K is taken out.",
     lambda s: s.share(s.rest) - s.share(s.part)),
    ("You took the whole circuit out; take out K, a part of it.", lambda s: s.share(s.outside)),
    ("You averaged the shares of single prompts; divide the means.",
     lambda s: (s.shares(s.rest) - s.shares(s.reduced)).mean()),
    ("You added the two; completeness is a difference.",
     lambda s: s.share(s.rest) + s.share(s.reduced)),
], "chance": [
    ("The circuit itself counts as one more draw: (1 + rivals as good) / (1 + rivals).",
     lambda s: s.good / s.n, lambda s: s.good / (1 + s.n), lambda s: (1 + s.good) / s.n,
     lambda s: s.better / s.n),
    ("A rival that is exactly as good counts too: chance does as well as the circuit there.",
     lambda s: (1 + s.better) / (1 + s.n)),
    ("You counted the rivals that are worse. Count those that do at least as well.",
     lambda s: (1 + s.n - s.good) / (1 + s.n), lambda s: (s.n - s.good) / s.n),
    ("You counted the rivals that are not better, or nearer to 1. Count those at least as good.",
     lambda s: (1 + s.n - s.better) / (1 + s.n),
     lambda s: (1 + sum(abs(s.rivals - 1) <= abs(s.own - 1))) / (1 + s.n)),
    ("You returned the mean faithfulness of the rivals; count how many reach the circuit's.",
     lambda s: sum(s.rivals) / max(s.n, 1)),
    ("You returned the best rival's faithfulness; count how many reach the circuit's.",
     lambda s: max(s.rivals, default=0)),
    ("You returned a count; divide by 1 + the number of rivals.",
     lambda s: s.good, lambda s: 1 + s.good),
]}.items():
    for message, *ways in table:
        ANSWERS.mistake(message, *(wrong_in(key, way) for way in ways))
ANSWERS.mistake("You used the first prompt only; average over all of them.",
                partial(judge_circuit, average=lambda values: values[0]))
ANSWERS.mistake("You took the median over prompts; take the mean.",
                partial(judge_circuit, average=np.median))
ANSWERS.mistake(
    "You compared the metrics of the rivals. Where the gap is negative, a lower one is better.",
    lambda measure, edges, circuit, part, rivals: (
        judge_circuit(measure, edges, circuit, part, rivals) | {"chance": (1 + sum(
            np.mean(measure(rival)) >= np.mean(measure(circuit)) for rival in rivals
        )) / (1 + len(rivals))}), held_out=True)
# fmt: on


@ANSWERS.witness("The rule")
def distance_to_the_model(*given):
    found = judge_circuit(*given)
    return found | {"faithfulness": 1 - abs(1 - found["faithfulness"])}


def draw(number, size, prompts, *rivals, note="", observe="", refused=False, **options):
    options |= {"number": number, "size": size, "prompts": prompts, "rivals": rivals or (0, 0, 0)}
    zero = options.get("circuit", "drawn") != "drawn"
    return Draw("judged", options, note, scale=float(zero), observe=observe, refused=refused)


F = "The rule: faithfulness is (m(C) - m(nothing)) / (m(model) - m(nothing)), of means. "
K = "The rule: completeness is F(model without K) - F(circuit without K). "
CHANCE = "The rule: chance is (1 + rivals with F >= F(C)) / (1 + rivals). "
KEPT = [
    draw(8, 4, 5, observe="faithfulness"),
    draw(6, 2, 3, observe="faithfulness", shift=0.9),
    draw(10, 7, 8, observe="faithfulness", shift=-0.9),
    draw(6, 6, 4, observe="faithfulness", circuit="all", note="All edges."),
    draw(6, 2, 4, observe="faithfulness", circuit="none", note="No edge."),
]
ANSWERS.part("faithfulness", 3, KEPT, F)
LOST = [
    draw(8, 5, 5, observe="completeness", backup=0.3),
    draw(6, 3, 3, observe="completeness", backup=-0.2),
    draw(10, 6, 7, observe="completeness", backup=0.5),
    draw(6, 3, 4, observe="completeness", circuit="all", note="All edges."),
]
ANSWERS.part("completeness", 3, LOST, K)
RIVALS = [
    draw(9, 4, 5, *rivals, observe="chance", shift=shift)
    for *rivals, shift in ((2, 0, 5, 0), (0, 0, 6, 0), (1, 2, 5, 0.9), (5, 1, 3, 0))
]
ANSWERS.part("the control", 3, RIVALS, CHANCE)
FALLS = "Corruption raises the metric: the gap is negative, and F still a share of it."
FALLING = [
    draw(7, 3, 4, part="none", note="An empty K, and no rival: chance is 1."),
    draw(8, 4, 5, turned=True, note=FALLS),
    draw(6, 3, 1, turned=True, note=FALLS),
    draw(9, 4, 5, 2, 1, 6, turned=True, note=FALLS),
    draw(9, 4, 5, 3, 2, 2, near=1e-4, note="Rivals that are nearly as good, and not as good."),
    draw(9, 4, 5, 1, 1, 1, unit=1e-5, note="A small metric with a small gap."),
    draw(9, 4, 5, 2, 1, 1, unit=1e5, note="A large metric."),
    draw(5, 2, 4, unit=1e-7, gap=5e-9, note="A gap of more than 1e-9 is a gap."),
]
ANSWERS.part("a metric that falls", 3, FALLING, F + K + CHANCE, held_out=True)
GAP = "The ends of the gap are equal, though prompts differ: nothing to keep, raise ValueError."
SIZE = "A rival with more or fewer edges is no fair rival: raise ValueError."
FOREIGN = "K holds an edge that the circuit does not have: raise ValueError."
NOTHING = [
    draw(7, 3, 4, note=FOREIGN, refused=True, part="foreign"),
    *(draw(7, 3, 4, 1, 0, 1, note=SIZE, refused=True, added=more) for more in (1, -1)),
    *(draw(7, 3, 4, note=GAP, refused=True, unit=1e-3, gap=gap) for gap in (0.0, 5e-10, -5e-10)),
]
ANSWERS.part("nothing to judge", 2, NOTHING, F, held_out=True)
