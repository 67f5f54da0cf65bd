"""Held-out checks of assignment 03. For instructors: this file is never released.

``HELD_OUT`` maps an exercise id to parts of the same shape as the visible ones.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from course_lib.checks.calling import as_table, compare
from course_lib.checks.results import Part, Wrong
from course_lib.checks.unit03_baselines import BASELINES, baseline_values, corpus_of
from course_lib.checks.unit03_codes import Learner, code_answer, code_mistakes, mix_answer, soft
from course_lib.checks.unit03_control import CONTROL, MEASURES, Trial, control_case, text_of
from course_lib.checks.unit03_removal import erase_answer, erase_mistakes, erased, states_of
from course_lib.checks.unit03_verdict import (
    excesses,
    interval_mistakes,
    scene,
    verdict_answer,
    verdict_values,
)
from course_lib.checks.unit03_words import (
    SPLIT,
    as_halves,
    draw_words,
    explained,
    split_case,
)


def capitals_at_sentence_starts(student, rng):
    for types, size, share in ((4, 14, 0.4), (7, 30, 0.3)):
        words, order = draw_words(rng, types, size)
        order = ["unheard", *order, "of"]
        words = [w.upper() if rng.random() < 0.4 else w for w in words]
        train, test = as_halves(student(words, order, share), size)
        both = {words[i].lower() for i in train} & {words[i].lower() for i in test}
        if both:
            raise Wrong(
                f"{sorted(both)[0]!r} is in one half and {sorted(both)[0].upper()!r} in the other: "
                "upper and lower case do not make two words."
            )
        explained([split_case(student, words, order, share)], SPLIT)


def halves_that_cannot_be(student, rng):
    words, order = draw_words(rng, 4, 12)
    for share in (0.0, 1.0, -0.2, 1.5):
        student.refuses(
            ValueError,
            words,
            order,
            share,
            why=f"With share {share} one half would be empty: raise ValueError.",
        )
    for text, among, share in ((["a"] * 4, ["a"], 0.25), (["a", "b", "b"], ["a", "b"], 0.5)):
        student.refuses(
            ValueError,
            text,
            among,
            share,
            why="Here every word is needed for the test half and none is left to fit a probe on: "
            "raise ValueError.",
        )


def ties_and_strange_classes(student, rng):
    cases = (
        (["a", "a", "b"], [7, 3, 3], ["a", "c", "b", "b"], [3, 7, 3, 9]),
        (["a", "a", "b", "b"], [-2, 5, 5, -2], ["a", "b", "c"], [-2, -2, 5]),
        (["a", "b", "b", "c"], [4, 4, 0, 0], ["b", "d", "d"], [0, 4, 0]),
        (["a", "a", "b"], [12, 11, 10], ["a", "x", "b", "x"], [11, 10, 10, 12]),
        (["x"], [9], ["y", "x"], [9, 2]),
        (["A", "a", "a"], [1, 0, 0], ["A", "a", "A"], [1, 0, 1]),
    )
    for case in cases:
        table, right = as_table(student(*case), BASELINES), baseline_values(*case)
        for name in sorted(BASELINES):
            otherwise = (
                f"Wrong {name} baseline where labels are tied: of equally frequent labels the "
                "smallest is taken, wherever it stands and whatever its number; and 'a' is not 'A'."
            )
            compare(table[name], right[name], {}, otherwise, tolerance=1e-9)
    data = corpus_of(rng, 50, 30, 12, classes=4, first=-1)
    new = [f"new {word}" for word in data[2]]  # a split by words: none is known
    table = as_table(student(data[0], data[1], new, data[3]), BASELINES)
    right = baseline_values(data[0], data[1], new, data[3])
    otherwise = "If training has none of the test words, the two baselines say the same."
    compare(table["word"], right["majority"], {}, otherwise, tolerance=1e-9)
    table, right = as_table(student(*data), BASELINES), baseline_values(*data)
    for name in sorted(BASELINES):
        otherwise = f"Wrong {name} baseline where a class is a negative number."
        compare(table[name], right[name], {}, otherwise, tolerance=1e-9)


def nothing_to_count(student, rng):
    for data in (([], [], ["a"], [1]), (["a"], [1], [], []), (["a", "b"], [1], ["a"], [1]),
                 (["a"], [1], ["a", "b"], [1])):  # fmt: skip
        student.refuses(
            ValueError,
            *data,
            why="An empty half, or words and labels that differ in number, must raise ValueError.",
        )


def lots_that_repeat(student, rng):
    words = text_of(rng, 6, 18)
    words = [w.upper() if rng.random() < 0.5 else w for w in words]
    trial = Trial(rng, rng.integers(3, size=18), 0.8, (0.2, 0.7), 3)
    answer = student(words, trial.labels, trial.accuracy, trial.draw, 2)
    control = as_table(answer, set(MEASURES))["control"]
    right = np.mean([trial.value(task) for task in trial.tasks(words, 2)])
    if abs(control - right) > 1e-9 and trial.drawn == 2 * len({w.lower() for w in words}):
        raise Wrong("Here 'a' and 'A' are two words; yours made one of them.")
    otherwise = "Wrong control accuracy for a text with capitals: words are taken as written."
    compare(control, right, {}, otherwise, tolerance=1e-9)
    lower = text_of(rng, 5, 15)
    trial = Trial(rng, rng.integers(3, size=15), 0.8, (0.2, 0.7), 3)
    table = as_table(student(lower, trial.labels, trial.accuracy, trial.draw), set(MEASURES))
    right = np.mean([trial.value(task) for task in trial.tasks(lower, 3)])
    otherwise = "Without `repeats` there are 3 control tasks."
    compare(table["control"], right, {}, otherwise, tolerance=1e-9)
    for lot in ([0] * 200, [0, 0, 1] * 70):
        trial = Trial(rng, [1, 0, 1, 0, 1], 0.6, (0.3, 0.9), 2)
        trial.lot = lot
        given = ["a", "b", "a", "c", "b"]
        table = as_table(student(given, trial.labels, trial.accuracy, trial.draw, 2), set(MEASURES))
        right = float(np.mean([trial.value(task) for task in trial.tasks(given, 2)]))
        otherwise = (
            "A lot of 0 is a label like any other, and two words may draw the same one: a word "
            "draws once in a repeat, whatever comes out."
        )
        compare(table["control"], right, {}, otherwise, tolerance=1e-9)
        compare(table["selectivity"], 0.6 - right, {}, otherwise, tolerance=1e-9)
    many = text_of(rng, 3, 9)
    trial = Trial(rng, rng.integers(2, size=9), 0.7, (0.2, 0.9), 5)
    explained([control_case(student, trial, many, 12)], CONTROL)


def no_control_task(student, rng):
    for repeats in (0, -1):
        trial = Trial(rng, [0, 1, 0], 0.6, (0.3, 0.9), 2)
        student.refuses(
            ValueError,
            ["a", "b", "c"],
            trial.labels,
            trial.accuracy,
            trial.draw,
            repeats,
            why="Without a control task there is no selectivity: raise ValueError.",
        )


def one_block_and_sure_probes(student, rng):
    for size, classes in ((7, 3), (1, 2)):
        labels = rng.integers(classes, size=size).tolist()
        table = code_answer(student, labels, classes, [size], Learner(rng, size, classes))
        otherwise = "With a single block no probe is used: N log2 K bits, compression 1."
        uniform = size * math.log2(classes)
        compare([table["bits"], table["compression"]], [uniform, 1.0], {}, otherwise, 1e-9)
    labels = [0, 1, 0, 1, 1, 0, 0, 1, 0, 1]
    for classes, spread in ((5, 1.0), (3, 900.0)):
        learner = Learner(rng, 10, classes, spread)
        table = code_answer(student, labels, classes, [2, 5, 10], learner)
        right, mistakes = code_mistakes(labels, classes, [2, 5, 10], learner)
        mistakes["K is `classes`, also where a class does not occur among the labels."] = (
            right + 2 - 2 * math.log2(classes)
        )
        otherwise = "Wrong code where a class does not occur, or where a probe is sure and wrong."
        compare(table["bits"], right, mistakes, otherwise, tolerance=1e-7)
        uniform = 10 * math.log2(classes)
        seen = {
            "The uniform code is that of K = `classes`, also where a class does not occur among "
            "the labels.": 10 / right,
        }
        compare(table["compression"], uniform / right, seen, otherwise, tolerance=1e-7)
    asked = []
    learner = Learner(rng, 10, 2)

    def counted(seen):
        asked.append(int(seen))
        return learner(seen)

    code_answer(student, labels, 2, [1, 3, 10], counted)
    if len(asked) > 2:
        raise Wrong(
            f"log_probs was called {len(asked)} times for 2 learnt blocks. Each call fits a probe: "
            "once for each block."
        )


def blocks_in_disorder(student, rng):
    learner = Learner(rng, 6, 2)
    for ends in ([], [0, 6], [2, 4], [2, 2, 6], [4, 2, 6], [2, 7], [3, 6, 6]):
        student.refuses(
            ValueError,
            [0, 1, 1, 0, 1, 0],
            2,
            ends,
            learner,
            why=f"ends = {ends} for 6 labels must raise ValueError: blocks follow each other, none "
            "is empty, and together they hold every label.",
        )


def scores_far_apart(student, rng):
    for scores in ([1000.0, 999.0, 1001.5], [-2000.0, -2000.0, -2003.0], [0.0, 5000.0, 0.0]):
        states = torch.tensor(rng.normal(size=(3, 4, 2)))
        mixed, centre = mix_answer(student, states, torch.tensor(scores).double(), 1.0)
        weights = soft(scores)
        right = np.einsum("l,lnd->nd", weights, states.numpy())
        otherwise = (
            f"Wrong mix for scores {scores}: a constant added to all scores changes nothing."
        )
        compare(mixed, right, {}, otherwise, tolerance=1e-8)
        compare(centre, weights @ np.arange(3), {}, otherwise, tolerance=1e-8)
    states = torch.tensor(rng.normal(size=(7, 2, 3)))
    mixed, centre = mix_answer(student, states, torch.full((7,), 0.3).double(), 2.0)
    compare(centre, 3.0, {}, "Equal scores: the centre is L / 2.", tolerance=1e-9)
    mixed, centre = mix_answer(student, states[:1], torch.tensor([4.0]).double(), -1.0)
    compare(centre, 0.0, {}, "With a single layer the centre is layer 0.", tolerance=1e-9)
    compare(mixed, -states[0].numpy(), {}, "With a single layer the mix is gamma times it.")
    answer = student(states, torch.zeros(7).double())
    compare(
        torch.as_tensor(answer[0]).double().numpy(),
        states.mean(0).numpy(),
        {},
        "Without `gamma` it is 1.",
    )


def half_precision_states(student, rng):
    for dtype in (torch.float16, torch.float32):
        states = torch.tensor(rng.normal(size=(5, 3, 4)) * 20 + 300).to(dtype)
        scores = torch.tensor(rng.normal(size=5)).to(dtype)
        weights = soft(scores.double().numpy())
        mixed, centre = mix_answer(student, states, scores, 0.001)
        right = 0.001 * np.einsum("l,lnd->nd", weights, states.double().numpy())
        otherwise = f"With {dtype} states the mix is inaccurate: convert to float64 first."
        compare(mixed, right, {}, otherwise, tolerance=1e-10)
        otherwise = f"With {dtype} scores the centre is inaccurate: convert to float64 first."
        compare(centre, weights @ np.arange(5), {}, otherwise, tolerance=1e-10)


def singular_covariance(student, rng):
    x, labels = states_of(rng, 40, 4, 3)
    new = states_of(rng, 9, 4, 3)[0]
    lift = np.linalg.qr(rng.normal(size=(7, 7)))[0][:4]
    for into, what in ((np.eye(4, 6), "two units are constant"), (lift, "four of seven directions "
                       "vary")):  # fmt: skip
        wide, other = x @ into + 2.0, new @ into + 2.0
        got = erase_answer(student, wide, labels, other)
        right, mistakes = erase_mistakes(wide, labels, other)
        otherwise = (
            f"Wrong states where {what}: directions without variance get 0 in the whitening."
        )
        compare(got, right, mistakes, otherwise, tolerance=1e-5)
    few = rng.normal(size=(8, 12))
    kinds = np.array([0, 1, 0, 1, 1, 0, 0, 1])
    got = erase_answer(student, few, kinds, few)
    otherwise = "Wrong states where there are fewer of them than units."
    compare(got, erased(few, kinds, few), {}, otherwise, tolerance=1e-5)


def names_of_classes(student, rng):
    x, labels = states_of(rng, 50, 5, 3)
    for values in ((0, 1, 2), (9, 2, 5), (-3, 100, 0)):
        named = np.array(values)[labels]
        got = erase_answer(student, x, named, x)
        otherwise = (
            f"Classes named {values} got another result than classes 0, 1 and 2: their numbers "
            "mean nothing, and none need be 0 ... K - 1."
        )
        compare(got, erased(x, labels, x), {}, otherwise, tolerance=1e-6)
    far = x + 5000.0
    single = torch.tensor(far, dtype=torch.float32)
    got = student(single, torch.tensor(labels), single)
    exact = single.double().numpy()
    if not isinstance(got, (torch.Tensor, np.ndarray)):
        raise Wrong("float32 states got no tensor in return.")
    got = torch.as_tensor(got).double().numpy()
    otherwise = "float32 states with a large mean got inaccurate results: convert to float64 first."
    if got.shape != exact.shape or np.abs(got - erased(exact, labels, exact)).max() > 1e-5:
        raise Wrong(otherwise)
    one = torch.zeros(50, dtype=torch.int64)
    student.refuses(
        ValueError,
        torch.tensor(x),
        one,
        torch.tensor(x),
        why="With labels that are all the same there is nothing to erase: raise ValueError.",
    )


def right_or_wrong_items(student, rng):
    for subspaces in (1, 6):
        clean = np.ones(16)
        removed = rng.integers(2, size=16).astype(float)
        controls = (rng.random((subspaces, 16)) < 0.8).astype(float)
        draws = [
            (rng.integers(16, size=16).tolist(), rng.integers(subspaces, size=subspaces).tolist())
            for _ in range(50)
        ]
        given = clean, removed, controls, draws
        answer, right = verdict_answer(student, *given, 0.1), verdict_values(*given, 0.1)
        names = ("effect", "excess", "low", "high")
        compare(
            [answer[name] for name in names],
            [right[name] for name in names],
            {},
            f"Wrong numbers for items that are right (1) or wrong (0), with {subspaces} controls.",
            tolerance=1e-9,
        )
        if answer["verdict"] != right["verdict"]:
            raise Wrong("Wrong verdict for items that are right (1) or wrong (0).")
        ends, mistakes = interval_mistakes(*given)
        compare([answer["low"], answer["high"]], ends, mistakes, "Wrong ends.", 1e-9)
    given = scene(rng, 12, 3, 0.0, 0.03)
    found = excesses(*given[1:])
    low, high = np.percentile(found, [2.5, 97.5])
    for shift in (0.05 + 1e-4 - low, 0.05 - 1e-4 - high):
        moved = (given[0], given[1] - shift, *given[2:])
        right = verdict_values(*moved, 0.05)["verdict"]
        if verdict_answer(student, *moved)["verdict"] != right:
            raise Wrong("Without `margin` it is 0.05.")


def at_the_margin(student, rng):
    every = [(list(range(4)), [0, 1])] * 5
    given = np.ones(4), np.full(4, 0.5), np.full((2, 4), 0.75), every
    if verdict_answer(student, *given, 0.25)["verdict"] != "undecided":
        raise Wrong("An end that equals the margin lies neither above nor below: undecided.")
    small = given[0], given[1], np.full((2, 4), 0.53125), every
    if verdict_answer(student, *small, 0.0)["verdict"] != "used":
        raise Wrong("A margin of 0 is a margin like any other: an excess of 0.031 lies above it.")
    for controls, margin, why in (
        (np.zeros((0, 4)), 0.05, "Without a single control there is no excess: raise ValueError."),
        (np.ones((2, 4)), -0.1, "A margin below 0 would call no effect at all use: ValueError."),
    ):
        draws = [(list(range(4)), [0] * len(controls))] * 5
        student.refuses(ValueError, np.ones(4), np.ones(4), controls, draws, margin, why=why)


HELD_OUT = {
    "03.1": (
        Part("capital letters", 2, capitals_at_sentence_starts),
        Part("halves that cannot be", 1, halves_that_cannot_be),
    ),
    "03.2": (
        Part("ties, unknown words, any labels", 3, ties_and_strange_classes),
        Part("nothing to count", 1, nothing_to_count),
    ),
    "03.3": (
        Part("defaults, label 0, equal lots", 3, lots_that_repeat),
        Part("no control task", 1, no_control_task),
    ),
    "03.4": (
        Part("one block, sure probes", 3, one_block_and_sure_probes),
        Part("blocks in disorder", 2, blocks_in_disorder),
    ),
    "03.5": (
        Part("scores far apart, one layer", 2, scores_far_apart),
        Part("precision", 2, half_precision_states),
    ),
    "03.6": (
        Part("directions without variance", 3, singular_covariance),
        Part("names of classes, float32, one class", 3, names_of_classes),
    ),
    "03.7": (
        Part("single control, items right or wrong", 2, right_or_wrong_items),
        Part("at the margin, and beyond it", 2, at_the_margin),
    ),
}
