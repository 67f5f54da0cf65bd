"""03.3, control task and selectivity: answers, mistakes and draws (instructors only)."""

from itertools import cycle

import numpy as np

from course_lib.checks.drawing import draws
from course_lib.checks.inputs import unit03 as told
from course_lib.grading.answers import Answers

ANSWERS = Answers("03.3", "control task and selectivity")


def by_lot(words, draw):
    """A control task: the label of every place, drawn when its word first occurs."""
    own = {}
    return [own[word] if word in own else own.setdefault(word, draw()) for word in words]


@ANSWERS.right
def selectivity(
    words, labels, accuracy, draw, repeats=3, lots=by_lot,
    finish=lambda task, mean, controls: (task - mean, mean),
):  # fmt: skip
    if repeats < 1:
        raise ValueError("no control task")
    controls = [accuracy(lots(words, draw)) for _ in range(repeats)]
    found = finish(accuracy(labels), np.mean(controls), controls)
    return dict(zip(("selectivity", "control"), found, strict=True))


@ANSWERS.other
def with_numpy(words, labels, accuracy, draw, repeats=3):
    if repeats <= 0:
        raise ValueError
    first = list(dict.fromkeys(words))
    where = np.array([first.index(word) for word in words])
    lots = np.array([[draw() for _ in first] for _ in range(repeats)])
    control = np.mean([accuracy(row[where].tolist()) for row in lots])
    return {"selectivity": accuracy(labels) - control, "control": control}


def drawn_for(order):
    return lambda words, draw: list(map({word: draw() for word in order(words)}.get, words))


def draws_for_nothing(words, draw):
    own = {}
    return [own.setdefault(word, draw()) for word in words]


def zero_is_no_label(words, draw):
    own = {}
    return [own.get(word) or own.setdefault(word, draw()) for word in words]


TAKE = "the control tasks; take their mean."
ORDER = "The labels are drawn in another order: words draw as they first occur,"
ANSWERS.variants(selectivity, finish={
        "The sign is turned round: task minus control.": lambda a, mean, c: (mean - a, mean),
        "You returned an absolute value: keep the sign.": lambda a, mean, c: (abs(a - mean), mean),
        "The two entries are exchanged.": lambda a, mean, c: (mean, a - mean),
        "Under selectivity stands the accuracy on the task; subtract.": lambda a, m, c: (a, m),
        "You divided the two accuracies; subtract.": lambda a, mean, c: (a / mean, mean),
        f"You added up {TAKE}": lambda a, mean, c: (a - sum(c), sum(c)),
        f"You took only one of {TAKE}": lambda a, mean, c: (a - c[0], c[0]),
        f"You took the best of {TAKE}": lambda a, mean, c: (a - max(c), max(c)),
        f"You took the median of {TAKE}": lambda a, mean, c: (a - np.median(c), np.median(c))},
    lots={
        f"{ORDER} not by the alphabet.": drawn_for(lambda words: sorted(set(words))),
        f"{ORDER} not from the end.": drawn_for(lambda words: dict.fromkeys(words[::-1])),
        told.PER_PLACE: lambda words, draw: [draw() for _ in words],
        told.ONE_LABEL: lambda words, draw: [draw()] * len(words),
        told.DRAWN: draws_for_nothing,
})  # fmt: skip
ANSWERS.variants(selectivity, lots={told.DRAWN: zero_is_no_label})


WHOLE = {
    told.SHUFFLED: lambda w, y, *rest: selectivity(w, y, *rest, lots=lambda *_: y[1:] + y[:1]),
    told.SAME_TASK: lambda w, y, a, draw, *n: selectivity(
        w, y, a, cycle([draw() for _ in {*w}]).__next__, *n),
    told.NO_CONTROL: lambda w, y, a, *rest: selectivity(w, y, a, *rest, lots=lambda *_: y),
    told.NO_TASK: lambda w, y, a, *rest: selectivity(w, y, lambda z: z == y or a(z), *rest),
    told.REPEATS: lambda w, y, a, draw, n=3: selectivity(w, y, a, draw, n and n + 1),
}  # fmt: skip
HELD_OUT = {
    "Without `repeats` there are 3 control tasks.": lambda *x: selectivity(*x, *[2][len(x) - 4 :]),
    "Here 'a' and 'A' are two words; yours made one of them.":
        lambda words, *rest: selectivity([word.lower() for word in words], *rest),
}  # fmt: skip
ANSWERS.mistakes_of(WHOLE)
ANSWERS.mistakes_of(HELD_OUT, held_out=True)
RULE = "Control is the mean over control tasks, selectivity the accuracy on the task minus that."
SPANS = {"own": 0.9, "span": (0.2, 0.7)}, {"own": 0.35, "span": (0.5, 0.8)}
PARTS = {
    ("one label for each word", 5): ((5, 14, 2, 1), (9, 30, 4, 1), (12, 25, 3, 1)),
    ("several control tasks", 4): ((5, 14, 2, 3), (8, 20, 5, 4), (10, 26, 3, 2)),
}
for part, shapes in PARTS.items():
    some = [{"of": of} | span for of in shapes for span in SPANS]
    ANSWERS.part(*part, draws("trial", *some, observe="control_tasks"), RULE)
EQUAL = "0 is a label like any other, and two words may draw the same one."
FEW = {"of": (3, 5, 2, 2), "span": (0.3, 0.9)}
hard = [
    *draws("trial", {"of": (6, 18, 3, 2), "capitals": True}, note="Here 'a' is not 'A'."),
    *draws("trial", (5, 15, 3), note="Without `repeats` there are 3 control tasks."),
    *draws("trial", FEW | {"lot": [0]}, FEW | {"lot": [0, 0, 1]}, note=EQUAL),
    *draws("trial", (3, 9, 2, 12), note="Here are many control tasks."),
]
ANSWERS.part("defaults, label 0, equal lots", 3, hard, RULE, held_out=True)
NOTE = "Without a control task there is no selectivity: raise ValueError."
bad = draws("trial", (3, 5, 2, 0), (3, 5, 2, -1), note=NOTE, refused=True)
ANSWERS.part("no control task", 1, bad, RULE, held_out=True)
