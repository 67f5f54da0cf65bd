"""Held-out checks of assignment 02. For instructors: this file is never released.

``HELD_OUT`` maps an exercise id to parts of the same shape as the visible ones.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch

from course_lib.checks.calling import as_number, as_table, as_vector, compare
from course_lib.checks.results import Part, Wrong
from course_lib.checks.unit02_erasing import Sum, Table, readings, replaced
from course_lib.checks.unit02_games import Game, random_game
from course_lib.checks.unit02_gradients import Polynomial, ig_answer, path
from course_lib.checks.unit02_judging import (
    MEASURES,
    chance_level,
    faithful_compare,
    rank_answer,
    ranked,
)


def first_words_of_the_vocabulary(student, rng):
    for target, foil in ((3, 0), (0, 4)):
        scales = readings(rng, 4, 6)
        logits = torch.tensor(scales["logit"], dtype=torch.float64)
        for output, table in scales.items():
            got = as_number(student(logits, target, foil, output), "the metric")
            right = table[-1, target] - table[-1, foil]
            ignored = {
                "Token id 0 is a word like any other: only foil=None means that there is no foil "
                "(`if foil:` is false for 0).": table[-1, target],
            }
            compare(got, right, ignored, "The word with id 0 got the wrong score.")
        by_default = as_number(student(logits, target, foil), "the metric")
        right = scales["logprob"][-1, target] - scales["logprob"][-1, foil]
        compare(by_default, right, {}, "Without `output` the metric is in log-probabilities.")
        alone = as_number(student(logits, target), "the metric")
        right = scales["logprob"][-1, target]
        otherwise = "Without `foil` and `output` the metric is the target's own log-probability."
        compare(alone, right, {}, otherwise)
    for dtype in (torch.float16, torch.float32):
        logits = (torch.tensor(rng.normal(size=(3, 300))) * 3).to(dtype)
        logits[-1, 7] += 400
        exact = logits[-1].double()
        logs = exact - torch.logsumexp(exact, 0)
        for output, table in (("logprob", logs), ("prob", logs.exp()), ("logit", exact)):
            got = as_number(student(logits, 5, 9, output), "the metric")
            right = float(table[5] - table[9])
            if abs(got - right) > 1e-5 * max(1, abs(right)):
                raise Wrong(
                    f"With {dtype} logits that lie far apart the metric is {got:.6g} instead of "
                    f"{right:.6g}: convert to float64 first, and stay in logs."
                )
    logits = torch.tensor(rng.normal(size=(2, 50))) + 4000
    logits[-1, 5] = logits[-1, 9] + 1e-3
    for output in ("logprob", "logit"):
        if abs(as_number(student(logits, 5, 9, output), "the metric") - 1e-3) > 1e-5:
            raise Wrong(
                "Two words whose large logits differ by 0.001 got another contrast: compute in "
                "float64."
            )


def questions_without_an_answer(student, rng):
    logits = torch.tensor(rng.normal(size=(3, 6)))
    student.refuses(
        ValueError,
        logits,
        2,
        3,
        "probability",
        why="An unknown output must raise ValueError, or a typing mistake goes unseen.",
    )
    student.refuses(
        ValueError,
        logits,
        0,
        0,
        "logit",
        why="Target and foil are the same word, so the contrast is 0 for every text: raise "
        "ValueError.",
    )


def token_zero_is_a_token(student, rng):
    tokens = [*rng.integers(1, 9, size=3).tolist(), 0, 5]
    for score in (Sum(rng, 5, 10), Table(rng)):
        value = score(tokens)
        got = as_vector(student(score, tokens, 0), 5, "erasure(...)")
        deleted = [value - score(replaced(tokens, {i}, None)) for i in range(5)]
        mistakes = {
            "Baseline token 0 is a token like any other: only None means deletion (`if baseline:` "
            "is false for 0).": deleted,
        }
        right = [value - score(replaced(tokens, {i}, 0)) for i in range(5)]
        compare(got, right, mistakes, "With baseline token 0 the scores are wrong.")
        if abs(got[3]) > 1e-6:
            raise Wrong(
                "A word of the text that is token 0 already changes nothing: its score is 0."
            )
        by_default = as_vector(student(score, tokens), 5, "erasure(...)")
        compare(by_default, deleted, {}, "Without `baseline` tokens are left out of the list.")


def nothing_left(student, rng):
    score = Table(rng)
    for tokens in ([4], [6, 6], [6, 6, 6, 2, 6]):
        n = len(tokens)
        got = as_vector(student(score, tokens, None), n, "erasure(...)")
        right = [score(tokens) - score(replaced(tokens, {i}, None)) for i in range(n)]
        compare(got, right, {}, "A text of one token, or with a repeated one, got wrong scores.")

    def shifted(given):
        return score(given) - score([7, 8, 9])

    got = as_vector(student(shifted, [7, 8, 9], 3), 3, "erasure(...)")
    right = [-shifted(replaced([7, 8, 9], {i}, 3)) for i in range(3)]
    compare(got, right, {}, "Where the metric of the text is 0, the scores are still differences.")


def independent_words(student, rng):
    # All combinations of words, each once: the words are independent, and both kinds agree.
    words = [rng.choice(40, size=n, replace=False).tolist() for n in (2, 3, 2)]
    table = [list(row) for row in product(*words)]
    tokens = [column[0] for column in words]
    for score in (Sum(rng, 3, 40), Table(rng)):
        for keep in product([True, False], repeat=3):
            fits = [r for r in table if all(not k or r[i] == tokens[i] for i, k in enumerate(keep))]
            right = np.mean([score(row) for row in fits])
            given = score, tokens, list(keep), table
            for kind in ("interventional", "observational"):
                got = as_number(student(*given, kind), "v(x_S)")
                otherwise = (
                    "Where the words of the table are independent of each other, both kinds give "
                    f"the same value; yours is wrong for {kind} and keep={list(keep)}."
                )
                compare(got, right, {}, otherwise)
        part = table[:-3]
        got = as_number(student(score, tokens, [False, True, False], part), "v(x_S)")
        right = np.mean([score([row[0], tokens[1], row[2]]) for row in part])
        compare(got, right, {}, "Without `kind` the value is the interventional one.")


def no_row_agrees(student, rng):
    score, tokens = Table(rng), [1, 2, 3]
    table = [[1, 5, 6], [4, 2, 6], [4, 5, 3], [2, 1, 3], [3, 1, 2]]
    for keep in ([True, True, False], [True, True, True]):
        student.refuses(
            ValueError,
            score,
            tokens,
            keep,
            table,
            "observational",
            why="No row has all the present tokens, so the table says nothing about this value: "
            "raise ValueError.",
        )
    student.refuses(
        ValueError,
        score,
        tokens,
        [True, False, False],
        table,
        "conditional",
        why="An unknown kind must raise ValueError.",
    )


def gap_shrinks_with_steps(student, rng):
    model = Polynomial(rng, 3, 4, 3)
    x, baseline = path(rng, 3, 4)
    missed = float((model.weights * (x - baseline) ** 3).sum()) / 4
    for steps in (4, 40):
        scores, gap = ig_answer(student, model, x, baseline, steps)
        turned = {"The gap is turned round.": missed / steps**2}
        otherwise = f"With {steps} steps of the midpoint rule the gap is {-missed / steps**2:.6f}."
        compare(gap, -missed / steps**2, turned, otherwise, tolerance=1e-5)
        difference = float(model.value(x[None]) - model.value(baseline[None]))
        compare(scores.sum() - difference, gap, {}, "The gap does not belong to these scores.")
    answer = student(model.gradient, model.value, x, baseline)
    by_default = as_number(answer[1], "the gap")
    otherwise = "Without `steps` there are 32 of them."
    compare(by_default, -missed / 32**2, {}, otherwise, tolerance=1e-5)


def small_and_equal_inputs(student, rng):
    for tokens, width in ((1, 1), (1, 3), (4, 1)):
        model = Polynomial(rng, tokens, width, 2, together=True)
        x, baseline = (point.float() for point in path(rng, tokens, width))
        baseline[-1] = x[-1]
        scores, gap = ig_answer(student, model, x, baseline, 3)
        both = (model.weights * (x + baseline)).sum()
        right = (both * (model.weights * (x - baseline)).sum(-1)).numpy()
        compare(scores, right, {}, "Wrong scores for a text of one token or one dimension.")
        compare(gap, 0.0, {}, "The midpoint rule has no gap for a squared sum.")
        if abs(scores[-1]) > 1e-6:
            raise Wrong("A token that equals its baseline has no way to go and must get 0.")


def one_player_and_larger_games(student, rng):
    single = Game(1, {(): 3.0, (0,): -1.25})
    got = as_vector(student(single, 1), 1, "shapley(...)")
    compare(got, [-1.25], {}, "A single token gets v(present) - v(nothing).")
    for n in (2, 5):
        game = random_game(rng, n)
        got = as_vector(student(game, n), n, "shapley(...)")
        compare(got, game.shares(), {}, f"Wrong values for {n} tokens.", tolerance=1e-5)
    everyone = Game(4, {tuple(range(4)): 3.0})
    got = as_vector(student(everyone, 4), 4, "shapley(...)")
    otherwise = "A value that needs all 4 tokens is shared equally: 3 / 4 each."
    compare(got, np.full(4, 0.75), {}, otherwise, tolerance=1e-5)


def games_add_up(student, rng):
    first, second = random_game(rng, 4), random_game(rng, 4)

    def together(present):
        return 2 * first(present) - second(present)

    parts = [as_vector(student(game, 4), 4, "shapley(...)") for game in (first, second)]
    got = as_vector(student(together, 4), 4, "shapley(...)")
    if np.abs(got).max() < 1e-6:
        raise Wrong("The values of a game that depends on its players are not all 0.")
    compare(
        got,
        2 * parts[0] - parts[1],
        {},
        "The values of a sum of games must be the sums of their values (additivity).",
    )

    def best(present):  # no sum: the largest weight among those present
        return max([w for w, there in zip((1.0, 2.0, 4.0), present, strict=True) if there] + [0.0])

    got = as_vector(student(best, 3), 3, "shapley(...)")
    compare(
        got, [1 / 3, 5 / 6, 17 / 6], {}, "Where the largest weight counts, the values are wrong."
    )


def all_scores_tied(student, rng):
    for length in (4, 9):
        tokens = rng.integers(1, 20, size=length).tolist()
        score = Table(rng)
        scores = [-0.5] * length
        for fractions in ([0.3], [0.15, 0.6, 1.0]):
            faithful_compare(student, score, tokens, scores, fractions, 0)
        table = student(score, tokens, scores, [0.3])
        got = [as_table(table, set(MEASURES))[name] for name in MEASURES]
        named = [as_table(student(score, tokens, scores, [0.3], None), set(MEASURES))[name]
                 for name in MEASURES]  # fmt: skip
        compare(got, named, {}, "Without `baseline` tokens are left out.")


def fractions_in_range(student, rng):
    score, tokens, scores = Table(rng), [3, 1, 2], [0.1, 0.3, 0.2]
    for fractions in ([], [0.5, 0.0], [-0.2], [1.5]):
        student.refuses(
            ValueError,
            score,
            tokens,
            scores,
            fractions,
            None,
            why=f"The fractions {fractions} must raise ValueError: there has to be at least one, "
            "above 0 and at most 1.",
        )


def ties_between_causes(student, rng):
    for above, tied, below, causes in ((1, 2, 3, 3), (0, 0, 4, 2), (2, 1, 33, 4)):
        scores, places = ranked(rng, above, tied, below, causes, tied_causes=causes - 1)
        got = rank_answer(student, scores, places)
        otherwise = "Causes that are tied with each other do not push the best one down."
        compare(got[0], 1 + above + tied / 2, {}, otherwise)
        tokens = above + tied + below + causes
        otherwise = f"Wrong chance level for {causes} causes among {tokens} tokens."
        compare(got[1], chance_level(tokens, causes), {}, otherwise, tolerance=1e-5)
    got = rank_answer(student, [0.0] * 9, [4])
    compare(got[0], 5.0, {}, "With all scores equal the cause stands in the middle: (T + 1) / 2.")


def causes_that_exist(student, rng):
    scores = rng.normal(size=4).tolist()
    for causes in ([], [4], [1, -1]):
        student.refuses(
            ValueError,
            scores,
            causes,
            why=f"The causes {causes} of a text of 4 tokens must raise ValueError: a place that "
            "does not exist, or none at all, has no rank.",
        )


HELD_OUT = {
    "02.1": (
        Part("word 0, defaults, precision", 2, first_words_of_the_vocabulary),
        Part("no question", 1, questions_without_an_answer),
    ),
    "02.2": (
        Part("token 0 and defaults", 2, token_zero_is_a_token),
        Part("short and repeated texts", 2, nothing_left),
    ),
    "02.3": (
        Part("independent words", 3, independent_words),
        Part("no row agrees", 2, no_row_agrees),
    ),
    "02.4": (
        Part("more steps, smaller gap", 3, gap_shrinks_with_steps),
        Part("small and equal inputs", 2, small_and_equal_inputs),
    ),
    "02.5": (
        Part("one token and five", 3, one_player_and_larger_games),
        Part("additivity", 2, games_add_up),
    ),
    "02.6": (
        Part("all scores tied", 2, all_scores_tied),
        Part("fractions in range", 2, fractions_in_range),
    ),
    "02.7": (
        Part("tied causes, many tokens", 2, ties_between_causes),
        Part("causes that exist", 1, causes_that_exist),
    ),
}
