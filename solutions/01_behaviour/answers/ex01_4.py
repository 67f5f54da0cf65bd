"""01.4, the accuracy table of a suite: answers, mistakes and draws (instructors only)."""

from functools import partial
from itertools import groupby

import numpy as np

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.4", "the accuracy table of a suite")


def mean(values):
    return sum(values) / len(values)


def grouped(keys, values):
    """{key: all its values}, wherever they stand."""
    groups = {}
    for key, value in zip(keys, values, strict=True):
        groups.setdefault(key, []).append(value)
    return groups


def table_of(homes, means, average=mean):
    columns = {name: average(values) for name, values in grouped(homes, means).items()}
    return columns | {"overall": average(means)}


def by_paradigm(correct, paradigms, phenomena, of=float, average=mean):
    groups = grouped(paradigms, map(of, correct))
    homes = dict(zip(paradigms, phenomena, strict=True))
    means = [mean(values) for values in groups.values()]
    return table_of([homes[name] for name in groups], means, average)


@ANSWERS.right
def suite_table(correct, paradigms, phenomena):
    return by_paradigm(correct, paradigms, phenomena)


@ANSWERS.other
def with_arrays(correct, paradigms, phenomena):
    correct, paradigms, phenomena = map(np.array, (correct, paradigms, phenomena))

    def average(names):
        return np.mean([correct[paradigms == name].mean() for name in names])

    table = {str(p): average(np.unique(paradigms[phenomena == p])) for p in np.unique(phenomena)}
    return {**table, "overall": average(np.unique(paradigms))}


@ANSWERS.other
def weighted(correct, paradigms, phenomena):
    weights = [1 / paradigms.count(name) for name in paradigms]
    table = {"overall": np.average(correct, weights=weights)}
    for column in set(phenomena):
        table[column] = np.average(correct, weights=np.equal(phenomena, column) * weights)
    return table


def micro(correct, paradigms, phenomena):
    return table_of(phenomena, correct)


def without_overall(*given):
    return {name: share for name, share in by_paradigm(*given).items() if name != "overall"}


MICRO_OVERALL = "Overall is averaged over pairs (micro); take the mean over paradigms (macro)."
MICRO_COLUMNS = "The columns are averaged over pairs (micro): average each paradigm first."
MICRO = "You averaged over pairs (micro): large paradigms count more. Average each paradigm first."
OF_COLUMNS = "Overall is the mean of the phenomenon columns; it has to be that of all paradigms."
NEIGHBOURS = "Collect all rows of a paradigm, not only neighbouring ones: they are in no order."
HALF = "Half points are lost or rounded: a tie counts 0.5."
mistake = ANSWERS.mistake
mistake(MICRO_OVERALL, lambda *given: without_overall(*given) | {"overall": mean(given[0])})
mistake(MICRO_COLUMNS, lambda *given: micro(*given) | {"overall": suite_table(*given)["overall"]})
mistake(MICRO, micro)
mistake("You summed the paradigms; take their mean.", partial(by_paradigm, average=sum))
PERCENT = "This is a percentage; return shares between 0 and 1."
mistake(PERCENT, partial(by_paradigm, of=lambda value: 100 * value))
mistake("The key 'overall' is missing.", without_overall)


@mistake(OF_COLUMNS)
def mean_of_columns(*given):
    columns = without_overall(*given)
    return columns | {"overall": mean(columns.values())}


@mistake(NEIGHBOURS)
def only_neighbours(correct, paradigms, phenomena):
    rows = zip(paradigms, phenomena, correct, strict=True)
    runs = [[*run] for _, run in groupby(rows, lambda row: row[0])]
    return table_of([run[0][1] for run in runs], [mean([row[2] for row in run]) for run in runs])


ROUNDED = partial(by_paradigm, average=lambda values: round(mean(values), 4))
ANSWERS.witness("mean over its paradigms")(ROUNDED)
for of in (int, round, np.ceil):
    mistake(HALF, partial(by_paradigm, of=of), held_out=True)


draw = partial(Draw, "suite", tolerance=1e-6)
PLANS = [
    {"npi": {"npi_1": [9, 1]}, "island": {"isl_1": [1, 1], "isl_2": [3, 9], "isl_3": [2, 3]}},
    {"binding": {"b_1": [30, 0], "b_2": [1, 4]}, "ellipsis": {"e_1": [2, 6]}},
]
COLUMN = "A column is the mean over its paradigms, and a paradigm is the mean over all its pairs."
OVERALL = "Overall is the mean over all paradigms."
for name, points, observe, rule in (
    ("phenomenon columns", 3, "columns", COLUMN),
    ("overall over paradigms", 4, "overall", OVERALL),
):
    ANSWERS.part(name, points, [draw({"plan": plan}, observe=observe) for plan in PLANS], rule)
TIED = {"npi": {"a": [3, 1, 2], "b": [1, 4]}, "binding": {"c": [5, 5, 1], "d": [2, 7], "e": [1, 0]}}
NAMED = {"npi": {"npi": [2, 1], "island": [0, 3]}, "island": {"x": [4, 1], "overall_1": [1, 1]}}
REPEATED = [
    draw({"plan": TIED}, "Some points are halves."),
    draw({"plan": TIED, "repeat": {"b": 4, "c": 2}}, "All pairs of two paradigms repeat."),
    draw({"plan": NAMED}, "Paradigms bear names of phenomena."),
    draw({"plan": {"npi": {"a": [0, 0, 1]}}}, "A single pair."),
]
ANSWERS.part("repeated pairs", 3, REPEATED, f"{COLUMN} {OVERALL}", held_out=True)
