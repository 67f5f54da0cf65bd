"""03.3, control task and selectivity: answers, mistakes and draws (instructors only)."""

import random
from functools import partial

import numpy as np

from course_lib.checks.drawing import Draw
from course_lib.checks.inputs import unit03 as told
from course_lib.grading.answers import Answers

ANSWERS = Answers("03.3", "control task and selectivity")


def by_lot(words, draw):
    """A control task: the label of every place, drawn when its word first occurs."""
    own = {}
    return [own[word] if word in own else own.setdefault(word, draw()) for word in words]


def pair(task, controls, mean=np.mean):
    return {"selectivity": task - mean(controls), "control": mean(controls)}


def measured(words, labels, accuracy, draw, repeats=3, lots=by_lot, finish=pair):
    if repeats < 1:
        raise ValueError("no control task")
    controls = [accuracy(lots(words, draw)) for _ in range(repeats)]
    return finish(accuracy(labels), controls)


@ANSWERS.right
def selectivity(*given):
    return measured(*given)


@ANSWERS.other
def with_numpy(words, labels, accuracy, draw, repeats=3):
    if repeats <= 0:
        raise ValueError
    first = list(dict.fromkeys(words))
    where = np.array([first.index(word) for word in words])
    lots = np.array([[draw() for _ in first] for _ in range(repeats)])
    control = np.mean([accuracy(row[where].tolist()) for row in lots])
    return {"selectivity": accuracy(labels) - control, "control": control}


HELD_OUT = {
    "Without a control task there is no selectivity: raise ValueError.":
        lambda w, y, accuracy, draw, n=3: measured(w, y, accuracy, draw, max(1, n)),
    "Without `repeats` there are 3 control tasks.":
        lambda w, y, accuracy, draw, n=2: measured(w, y, accuracy, draw, n),
    "Here 'a' and 'A' are two words; yours made one of them.":
        lambda w, *rest: measured([word.lower() for word in w], *rest),
}  # fmt: skip
for message, function in HELD_OUT.items():
    ANSWERS.mistake(message, function, held_out=True)
TAKE = "the control tasks; take their mean."
FINISHES = {
    "The sign is turned round: the accuracy on the task minus that on the control task.":
        lambda task, c: {"selectivity": np.mean(c) - task, "control": np.mean(c)},
    "You returned an absolute value. A negative selectivity says that the control was easier.":
        lambda task, c: {"selectivity": abs(task - np.mean(c)), "control": np.mean(c)},
    "The two entries are exchanged.":
        lambda task, c: {"selectivity": np.mean(c), "control": task - np.mean(c)},
    "Under selectivity stands the accuracy on the task; subtract that on the control task.":
        lambda task, c: {"selectivity": task, "control": np.mean(c)},
    "You divided the two accuracies; selectivity is a difference.":
        lambda task, c: {"selectivity": task / np.mean(c), "control": np.mean(c)},
    "You made selectivity relative; it is the plain difference of two accuracies.":
        lambda task, c: {"selectivity": 1 - np.mean(c) / task, "control": np.mean(c)},
    "Under control stands the accuracy on the task.":
        lambda task, c: {"selectivity": task - np.mean(c), "control": task},
    f"You added up {TAKE}": lambda task, c: pair(task, c, sum),
    f"You took only one of {TAKE}": lambda task, c: pair(task, c[:1]),
    f"You took the best of {TAKE}": lambda task, c: pair(task, c, max),
    f"You took the worst of {TAKE}": lambda task, c: pair(task, c, min),
    f"You took the median of {TAKE}": lambda task, c: pair(task, c, np.median),
}  # fmt: skip
ANSWERS.variants(measured, {message: {"finish": finish} for message, finish in FINISHES.items()})


def drawn_for(order):
    def lots(words, draw):
        own = {word: draw() for word in order(words)}
        return [own[word] for word in words]

    return lots


def draws_for_nothing(words, draw):
    own = {}
    return [own.setdefault(word, draw()) for word in words]


def zero_is_no_label(words, draw):
    own = {}
    for word in words:
        own[word] = own.get(word) or draw()
    return [own[word] for word in words]


ORDER = "The labels are drawn in another order: words draw as they first occur in the text."
for message, *lots in (
    (
        ORDER,
        drawn_for(lambda words: sorted(set(words))),
        drawn_for(lambda w: dict.fromkeys(w[::-1])),
    ),
    (told.PER_PLACE, lambda words, draw: [draw() for _ in words]),
    (told.ONE_LABEL, lambda words, draw: [draw()] * len(words)),
    (told.DRAWN, draws_for_nothing, zero_is_no_label),
):
    ANSWERS.mistake(message, *(partial(measured, lots=lot) for lot in lots))


def same_task(words, labels, accuracy, draw, repeats=3):
    task = by_lot(words, draw)
    return pair(accuracy(labels), [accuracy(task) for _ in range(repeats)])


def shuffled(words, labels, accuracy, draw, repeats=3):
    tasks = [random.Random(k).sample(labels, len(labels)) for k in range(repeats)]
    return pair(accuracy(labels), [accuracy(task) for task in tasks])


WHOLE = {
    told.SHUFFLED: shuffled,
    told.SAME_TASK: same_task,
    told.NEVER: lambda *given: pair(0.9, [0.5]),
    told.NO_CONTROL: lambda w, labels, accuracy, *_: pair(accuracy(labels), [0.5]),
    told.NO_TASK: lambda w, y, a, draw, n=3: pair(1.0, [a(by_lot(w, draw)) for _ in range(n)]),
    told.REPEATS: lambda w, labels, accuracy, draw, n=3: measured(w, labels, accuracy, draw, n + 1),
    "You subtracted chance, not the accuracy on the control task.":
        lambda *x: measured(*x) | {"selectivity": x[2](x[1]) - 1 / len(set(x[1]))},
}  # fmt: skip
for message, function in WHOLE.items():
    ANSWERS.mistake(message, function)


def draws(*shapes):
    """The task is easier than its control, and harder: selectivity may be negative."""
    accuracies = ({"own": 0.9, "span": (0.2, 0.7)}, {"own": 0.35, "span": (0.5, 0.8)})
    options = [{"shape": s, "repeats": n} | one for *s, n in shapes for one in accuracies]
    return [Draw("trial", some, tolerance=1e-9, observe="control_tasks") for some in options]


RULE = "Control is the mean over control tasks, selectivity the accuracy on the task minus that."
once = draws((5, 14, 2, 1), (9, 30, 4, 1), (12, 25, 3, 1))
ANSWERS.part("one label for each word", 5, once, RULE)
ANSWERS.part("several control tasks", 4, draws((5, 14, 2, 3), (8, 20, 5, 4), (10, 26, 3, 2)), RULE)
EQUAL = "0 is a label like any other, and two words may draw the same one."
FEW = {"shape": (3, 5, 2), "repeats": 2, "span": (0.3, 0.9)}
special = [
    ({"shape": (6, 18, 3), "repeats": 2, "capitals": True}, "Here 'a' and 'A' are two words."),
    ({"shape": (5, 15, 3)}, "Without `repeats` there are 3 control tasks."),
    (FEW | {"lot": [0]}, EQUAL),
    (FEW | {"lot": [0, 0, 1]}, EQUAL),
    ({"shape": (3, 9, 2), "repeats": 12}, "Here are many control tasks."),
]
special = [Draw("trial", options, note, 1e-9) for options, note in special]
ANSWERS.part("defaults, label 0, equal lots", 3, special, RULE, held_out=True)
NOTE = "Without a control task there is no selectivity: raise ValueError."
bad = [Draw("trial", {"shape": (3, 5, 2), "repeats": n}, NOTE, refused=True) for n in (0, -1)]
ANSWERS.part("no control task", 1, bad, RULE, held_out=True)
