"""01.4, the accuracy table of a suite: answers, mistakes and draws (instructors only)."""

import itertools

import numpy as np

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.4", "the accuracy table of a suite")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def mean(values):
    return sum(values) / len(values)


def grouped(keys, values):
    """{key: all its values}, wherever they stand."""
    groups = {}
    for key, value in zip(keys, values, strict=True):
        groups.setdefault(key, []).append(value)
    return groups


def paradigm_means(correct, paradigms, phenomena, of=lambda value: value):
    """The phenomenon and the mean of each paradigm."""
    groups, home = (
        grouped(paradigms, map(of, correct)),
        dict(zip(paradigms, phenomena, strict=True)),
    )
    return [home[name] for name in groups], [mean(values) for values in groups.values()]


def table_of(homes, means, average=mean):
    columns = {name: average(values) for name, values in grouped(homes, means).items()}
    return columns | {"overall": average(means)}


@right
def suite_table(correct, paradigms, phenomena):
    return table_of(*paradigm_means(correct, paradigms, phenomena))


@other
def with_arrays(correct, paradigms, phenomena):
    correct, paradigms, phenomena = map(np.array, (correct, paradigms, phenomena))

    def average(names):
        return np.mean([correct[paradigms == name].mean() for name in names])

    table = {str(p): average(np.unique(paradigms[phenomena == p])) for p in np.unique(phenomena)}
    return {**table, "overall": average(np.unique(paradigms))}


@other
def weighted(correct, paradigms, phenomena):
    weights = [1 / paradigms.count(name) for name in paradigms]
    table = {"overall": sum(np.multiply(weights, correct)) / sum(weights)}
    for column in set(phenomena):
        own = [w * (p == column) for w, p in zip(weights, phenomena, strict=True)]
        table[column] = sum(np.multiply(own, correct)) / sum(own)
    return table


def micro(correct, paradigms, phenomena):
    return table_of(phenomena, correct)


mistake(
    "Overall is averaged over pairs (micro): large paradigms count more. BLiMP's overall is the "
    "mean over all paradigms (macro).",
    lambda *given: suite_table(*given) | {"overall": mean(given[0])},
)
mistake(
    "Overall is right, and the columns are averaged over pairs (micro): average each paradigm "
    "first.",
    lambda *given: micro(*given) | {"overall": suite_table(*given)["overall"]},
)
mistake(
    "You averaged over pairs (micro): large paradigms count more. Average each paradigm first, "
    "then the paradigms.",
    micro,
)
mistake(
    "You summed the paradigms; take their mean.",
    lambda *given: table_of(*paradigm_means(*given), average=sum),
)
mistake(
    "This is a percentage; return shares between 0 and 1.",
    lambda *given: {name: 100 * share for name, share in suite_table(*given).items()},
)


@mistake(
    "Overall is the mean of the phenomenon columns; it has to be the mean over all paradigms, so "
    "that each paradigm counts the same."
)
def mean_of_columns(*given):
    columns = suite_table(*given)
    del columns["overall"]
    return columns | {"overall": mean(columns.values())}


@mistake("The key 'overall' is missing.")
def no_overall(*given):
    columns = suite_table(*given)
    del columns["overall"]
    return columns


@mistake(
    "The rows are in no order: collect all rows of a paradigm, not only neighbouring ones.",
)
def neighbours(correct, paradigms, phenomena):
    rows = zip(paradigms, phenomena, correct, strict=True)
    runs = [
        (key[1], mean([row[2] for row in run]))
        for key, run in itertools.groupby(rows, lambda row: row[:2])
    ]
    return table_of(*zip(*runs, strict=True))


HALF = "Half points are lost or rounded: a tie counts 0.5."
for of in (int, round, np.ceil):
    mistake(HALF, lambda *given, of=of: table_of(*paradigm_means(*given, of=of)), held_out=True)


@witness("mean over its paradigms")
def rounded(*given):
    return {name: round(share, 4) for name, share in suite_table(*given).items()}


PLANS = [
    {"npi": {"npi_1": [9, 1]}, "island": {"isl_1": [1, 1], "isl_2": [3, 9], "isl_3": [2, 3]}},
    {"binding": {"b_1": [30, 0], "b_2": [1, 4]}, "ellipsis": {"e_1": [2, 6]}},
]


def draws(observe):
    return [Draw("suite", {"plan": plan}, tolerance=1e-6, observe=observe) for plan in PLANS]


COLUMN = "A column is the mean over its paradigms, and a paradigm is the mean over all its pairs."
ANSWERS.part("phenomenon columns", 3, draws("columns"), COLUMN)
OVERALL = "Overall is the mean over all paradigms."
ANSWERS.part("overall over paradigms", 4, draws("overall"), OVERALL)
HARDER = {
    "npi": {"a": [3, 1, 2], "b": [1, 4]},
    "binding": {"c": [5, 5, 1], "d": [2, 7], "e": [1, 0]},
}
NAMESAKES = {"npi": {"npi": [2, 1], "island": [0, 3]}, "island": {"x": [4, 1], "overall_1": [1, 1]}}
REPEATED = [
    ({"plan": HARDER}, "Some points are halves."),
    ({"plan": HARDER, "repeat": {"b": 4, "c": 2}}, "All pairs of two paradigms repeat."),
    ({"plan": NAMESAKES}, "Paradigms bear names of phenomena."),
    ({"plan": {"npi": {"a": [0, 0, 1]}}}, "A single pair."),
]
DRAWS = [Draw("suite", options, note, 1e-6) for options, note in REPEATED]
ANSWERS.part("repeated pairs", 3, DRAWS, f"{COLUMN} {OVERALL}", held_out=True)
