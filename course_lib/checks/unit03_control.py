"""Checks of 03.3: control tasks and selectivity (see unit03.py)."""

from __future__ import annotations

import numpy as np

from course_lib.checks.calling import as_table
from course_lib.checks.results import Wrong
from course_lib.checks.unit03_words import explained

# --- 03.3 selectivity(words, labels, accuracy, draw, repeats) -> dict ---------------------------

MEASURES = ("selectivity", "control")
PER_PLACE = (
    "Places of one word got different control labels. Draw one label for each word; all its places "
    "share it, or there is nothing to memorise."
)


class Trial:
    """A probe that has its own random accuracy for every list of labels, and its lot of labels."""

    def __init__(self, rng, labels, own, span, classes):
        self.seed = int(rng.integers(2**31))
        self.labels, self.own, self.span = [int(y) for y in labels], own, span
        self.lot = rng.integers(classes, size=2000).tolist()
        self.asked, self.drawn = [], 0

    def value(self, labels):
        labels = [int(y) for y in labels]
        if labels == self.labels:
            return self.own
        noise = np.random.default_rng([self.seed, *[y + 7 for y in labels]])
        return float(noise.uniform(*self.span))

    def accuracy(self, labels):
        labels = [int(y) for y in labels]
        self.asked.append(labels)
        if len(labels) != len(self.labels):
            raise ValueError(f"accuracy got {len(labels)} labels for {len(self.labels)} places")
        return self.value(labels)

    def draw(self):
        self.drawn += 1
        return self.lot[self.drawn - 1]

    def tasks(self, words, repeats, order=None):
        """The control labels that the lot gives, one list for each repeat."""
        order = list(dict.fromkeys(words)) if order is None else order
        found = []
        for k in range(repeats):
            start = k * len(order)
            own = dict(zip(order, self.lot[start : start + len(order)], strict=True))
            found.append([own[word] for word in words])
        return found


def control_mistakes(trial, words, repeats):
    controls = [trial.value(task) for task in trial.tasks(words, repeats)]
    mean, own = float(np.mean(controls)), trial.own
    right = np.array([own - mean, mean])
    return right, {
        "The sign is turned round: selectivity is the accuracy on the task minus that on the "
        "control task.": np.array([mean - own, mean]),
        "You returned an absolute value. A negative selectivity says that the control task was "
        "easier.": np.array([abs(own - mean), mean]),
        "The two entries are exchanged.": right[::-1],
        "Under selectivity stands the accuracy on the task; subtract that on the control "
        "task.": np.array([own, mean]),
        "You divided the two accuracies; selectivity is a difference.": np.array(
            [own / mean, mean]
        ),
        "You made selectivity relative; it is the plain difference of two accuracies.": np.array(
            [(own - mean) / own, mean]
        ),
        "Under control stands the accuracy on the task.": np.array([own - mean, own]),
        "You added the control tasks up; take their mean.": np.array(
            [own - sum(controls), sum(controls)]
        ),
        "You used one control task only; take the mean over all repeats.": np.array(
            [own - controls[0], controls[0]]
        ),
        "You used one control task only; take the mean over all repeats. ": np.array(
            [own - controls[-1], controls[-1]]
        ),
        "You took the best control task; take the mean.": np.array(
            [own - max(controls), max(controls)]
        ),
        "You took the worst control task; take the mean.": np.array(
            [own - min(controls), min(controls)]
        ),
        "You took the median of the control tasks; take the mean.": np.array(
            [own - np.median(controls), np.median(controls)]
        ),
        "You subtracted chance, not the accuracy on the control task.": np.array(
            [own - 1 / len(set(trial.labels)), mean]
        ),
    }


def explain(trial, words, repeats):
    """Say what is wrong with the labels that the probe was given; nothing if they are right."""
    if not trial.asked:
        raise Wrong("You never called accuracy: it fits a probe on labels and tests it.")
    controls = [asked for asked in trial.asked if asked != trial.labels]
    expected = trial.tasks(words, repeats)
    if controls == expected and trial.labels in trial.asked:
        return
    if trial.labels not in trial.asked:
        raise Wrong("You never asked for the accuracy on the labels of the task itself.")
    if not controls:
        raise Wrong("You never asked for the accuracy on a control task.")
    types = len(set(words))
    if any(sorted(task) == sorted(trial.labels) for task in controls) and trial.drawn == 0:
        raise Wrong(
            "You shuffled the true labels. That is another control: a control task gives every "
            "word a label of its own, from `draw`."
        )
    for task in controls:
        own = {}
        if any(own.setdefault(w, y) != y for w, y in zip(words, task, strict=True)):
            raise Wrong(PER_PLACE)
    if any(len(set(task)) == 1 for task in controls) and trial.drawn <= repeats + 1:
        raise Wrong("All words got one label; draw a label for each word.")
    if trial.drawn == types and repeats > 1:
        raise Wrong(
            "The control tasks are all the same. Draw new labels for the words in each repeat."
        )
    if len(controls) != repeats:
        raise Wrong(f"You ran {len(controls)} control tasks; `repeats` asks for {repeats}.")
    for order in (sorted(set(words)), list(dict.fromkeys(words[::-1]))):
        if controls == trial.tasks(words, repeats, order) != expected:
            raise Wrong(
                "The labels are drawn in another order. Words get theirs in the order in which "
                "they first occur."
            )
    if trial.drawn > types * repeats:
        raise Wrong(
            f"You drew {trial.drawn} labels for {types} words and {repeats} control tasks: draw "
            "once for each word, when it first occurs, and remember it."
        )


def control_case(student, trial, words, repeats, by_default=False):
    given = () if by_default else (repeats,)
    table = as_table(
        student(words, trial.labels, trial.accuracy, trial.draw, *given), set(MEASURES)
    )
    got = np.array([table[name] for name in MEASURES])
    right, mistakes = control_mistakes(trial, words, repeats)
    if not np.allclose(got, right, rtol=1e-9, atol=1e-9):
        explain(trial, words, repeats)
    return got, right, mistakes


CONTROL = (
    "Wrong numbers, although the probe got the right labels: control is the mean accuracy over the "
    "control tasks, selectivity the accuracy on the task minus that."
)


def text_of(rng, types, size):
    names = [f"w{k}" for k in rng.permutation(90)[:types]]
    names.sort(key=lambda name: rng.random())
    rest = rng.integers(types, size=size - types)
    return [names[k] for k in rng.permutation(np.concatenate([np.arange(types), rest]))]


def trials(student, rng, settings):
    cases = []
    for types, size, classes, repeats in settings:
        for own, span in ((0.9, (0.2, 0.7)), (0.35, (0.5, 0.8))):  # a negative selectivity too
            words = text_of(rng, types, size)
            trial = Trial(rng, rng.integers(classes, size=size), own, span, classes)
            cases.append(control_case(student, trial, words, repeats))
    explained(cases, CONTROL)


def control_once(student, rng):
    trials(student, rng, ((5, 14, 2, 1), (9, 30, 4, 1), (12, 25, 3, 1)))


def control_repeated(student, rng):
    trials(student, rng, ((5, 14, 2, 3), (8, 20, 5, 4), (10, 26, 3, 2)))
