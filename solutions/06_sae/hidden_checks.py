"""Held-out checks of assignment 06. For instructors: this file is never released.

``HELD_OUT`` maps an exercise id to parts of the same shape as the visible ones.
"""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_number, compare
from course_lib.checks.results import Part, Wrong
from course_lib.checks.unit06_coding import code_answer, dictionary, right_code, states
from course_lib.checks.unit06_features import (
    best_answer,
    best_compare,
    choose,
    concept_half,
    concept_inputs,
    score_of,
)
from course_lib.checks.unit06_quality import quality_answer, quality_inputs, right_quality
from course_lib.checks.unit06_recovered import model_runs, next_losses, right_recovered
from course_lib.checks.unit06_steering import right_steered, steer_answer, steering
from course_lib.checks.unit06_training import (
    loss_answer,
    loss_inputs,
    right_loss,
    right_step,
    step_answer,
    step_inputs,
)


def ties_and_few_positive(student, rng):
    sae = dictionary(rng, 3, 6)
    # Features 1, 2 and 4 are always equal, and 5 is never active.
    for table in (sae["encoder"], sae["encoder_bias"]):
        table[..., [2, 4]] = table[..., [1, 1]]
    sae["encoder_bias"][1:5] += 8
    sae["encoder"][:, 5], sae["encoder_bias"][5] = 0, -1
    sae["encoder"][:, [0, 3]], sae["encoder_bias"][[0, 3]] = 0, torch.tensor([0.5, 0.25]).double()
    x = states(rng, 5, 3) / 4
    for k in (1, 2, 4):
        got, x_hat = code_answer(student, x, sae, k)
        _, f, right = right_code(x, sae, k)
        every = right_code(x, sae)[1]
        cut = np.sort(every, 1)[:, [-k]]
        mistakes = {
            "Of equal activations you kept all: k features stay, those with the lower "
            "numbers.": every * (every >= cut),
            "Of equal activations you kept none that reaches beyond k. The features with the "
            "lower numbers stay.": every * (every > cut),
        }
        otherwise = "Of equal activations the features with the lower numbers stay, k in all."
        compare(got, f, mistakes, otherwise)
        compare(x_hat, right, {}, "x_hat does not belong to the kept features.")
    sae["encoder_bias"] -= 100
    got, x_hat = code_answer(student, x, sae, 3)
    if np.abs(got).max() > 0:
        raise Wrong(
            "No feature is above 0 here, so none is active: k is the most, not the least, that a "
            "state keeps."
        )
    compare(x_hat, right_code(x, sae, 3)[2], {}, "Without active features x_hat is the bias.")


def shapes_and_limits(student, rng):
    for shape in ((2, 3, 4), (4,), (2, 1, 2, 4)):
        sae, x = dictionary(rng, 4, 7), states(rng, *shape)
        for k in (None, 2, 7):
            got, x_hat = code_answer(student, x, sae, k)
            _, f, right = right_code(x, sae, k)
            otherwise = f"Wrong activations for states of shape {list(shape)} and k={k}."
            compare(got, f, {}, otherwise)
            compare(x_hat, right, {}, f"Wrong reconstruction for states of shape {list(shape)}.")
    for k in (0, -1, 8):
        student.refuses(
            ValueError,
            x,
            *sae.values(),
            k,
            why=f"A state cannot keep {k} of 7 features: raise ValueError.",
        )


def rescaled_features(student, rng):
    for scale in (0.01, 40.0):
        x, x_hat, f, decoder = loss_inputs(rng, 6, 5, 7)
        first = loss_answer(student, x, x_hat, f, decoder, 0.7)
        again = loss_answer(student, x, x_hat, f / scale, decoder * scale, 0.7)
        if abs(first["sparsity"]) < 1e-6:
            raise Wrong("The sparsity of a code with active features is above 0.")
        otherwise = (
            "Activations divided by a number and directions multiplied by it make the same "
            "reconstruction: the sparsity must not change."
        )
        compare(again["sparsity"], first["sparsity"], {}, otherwise)
        right = right_loss(x, x_hat, f, decoder, 0.7)
        compare(first["loss"], right["loss"], {}, "Wrong loss for directions of unequal length.")
        decoder[2] = 0
        right = right_loss(x, x_hat, f, decoder, 0.7)["sparsity"]
        got = loss_answer(student, x, x_hat, f, decoder, 0.7)["sparsity"]
        compare(got, right, {}, "A feature whose direction has the length 0 adds nothing.")


def limits_of_the_loss(student, rng):
    x, x_hat, f, decoder = loss_inputs(rng, 1, 4, 3)
    for penalty in (0.0, 0, 25):
        got = loss_answer(student, x, x_hat, f, decoder, penalty)
        right = right_loss(x, x_hat, f, decoder, penalty)
        for name, value in right.items():
            compare(got[name], value, {}, f"Wrong {name} for one token and penalty {penalty}.")
    tables = [table.half() for table in loss_inputs(rng, 900, 20, 3)]
    tables[0] = torch.ones_like(tables[0])
    tables[1] = tables[0] + 15.1  # whose square is no number of half precision
    got, right = loss_answer(student, *tables, 0.1), right_loss(*tables, 0.1)
    for name, value in right.items():
        if abs(got[name] - value) > 1e-5 * value:
            raise Wrong(
                f"With half-precision states the {name} is {got[name]:.6g} instead of "
                f"{value:.6g}: convert to float64 before you square and add."
            )
    for other in (x_hat[0], x_hat[:, :1], torch.cat([x_hat, x_hat])):
        student.refuses(
            ValueError,
            x,
            other,
            f,
            decoder,
            0.1,
            why="x and x_hat have different shapes. Broadcasting would subtract something and say "
            "nothing, so raise ValueError.",
        )
    student.refuses(
        ValueError,
        x,
        x_hat,
        f,
        decoder,
        -0.1,
        why="A negative penalty rewards dense codes: raise ValueError.",
    )


def rows_of_any_length(student, rng):
    for features, width in ((4, 3), (2, 5), (1, 2)):
        decoder, gradient = step_inputs(rng, features, width)
        longer = decoder * torch.tensor(rng.uniform(0.2, 4, size=(features, 1)))
        right = right_step(decoder, gradient, 0.6)
        unit, slope, rows = decoder.numpy(), gradient.numpy(), longer.numpy()
        along = (slope * rows).sum(1, keepdims=True) * rows
        moved = unit - 0.6 * (slope - along)
        mistakes = {
            "The part of the gradient along a row is (g . u) u with u of length 1. Divide the rows "
            "by their length first.": moved / np.linalg.norm(moved, axis=1, keepdims=True),
        }
        got = step_answer(student, longer, gradient, 0.6)
        otherwise = "Rows of another length than 1 are divided by their length before the step."
        compare(got, right, mistakes, otherwise)
        still = step_answer(student, longer, gradient, 0.0)
        compare(still, unit, {}, "With rate 0 the rows only get the length 1.")
    decoder, _ = step_inputs(rng, 5, 4)
    steep = -40.0 * decoder
    steep[0], steep[1] = 0, 40.0 * decoder[1]
    got = step_answer(student, decoder, steep, 0.5)
    otherwise = (
        "A gradient along the row, however large, changes nothing, and neither does a gradient of "
        "0 (a dead feature)."
    )
    compare(got, decoder.numpy(), {}, otherwise)


def directions_that_point_nowhere(student, rng):
    decoder, gradient = step_inputs(rng, 4, 3)
    tiny = decoder * 1e-9
    got = step_answer(student, tiny, gradient, 0.2)
    otherwise = "A short row points somewhere too: it is divided by its length, whatever that is."
    compare(got, right_step(decoder, gradient, 0.2), {}, otherwise)
    for row in (0, 3):
        broken = decoder.clone()
        broken[row] = 0
        student.refuses(
            ValueError,
            broken,
            gradient,
            0.2,
            why="A row of zeros has no direction and would become nan: raise ValueError.",
        )


def constant_errors_and_scale(student, rng):
    x, _, f = quality_inputs(rng, 12, 4, 6, 2)
    shift = torch.tensor(rng.uniform(0.5, 1, size=4))
    got = quality_answer(student, x, x + shift, f)["fvu"]
    right = right_quality(x, x + shift, f)["fvu"]
    forgiven = {"A constant error of x_hat is an error: do not subtract its mean.": 0.0}
    compare(got, right, forgiven, "Wrong fvu where x_hat is x plus a constant.")
    got = quality_answer(student, x, x.clone(), f)
    compare(got["fvu"], 0.0, {}, "A perfect reconstruction leaves nothing unexplained.")
    worse = quality_answer(student, x, -3 * x, f)["fvu"]
    right = right_quality(x, -3 * x, f)["fvu"]
    compare(worse, right, {"fvu may exceed 1: do not clip it.": 1.0}, "Wrong fvu above 1.")
    moved = quality_answer(student, 7 * x + 30, 7 * (x + 0.5) + 30, f)["fvu"]
    right = right_quality(x, x + 0.5, f)["fvu"]
    compare(moved, right, {}, "fvu must not depend on the unit of the states or their origin.")
    far = torch.tensor(rng.normal(size=(400, 3)) + 900).float()
    near = far + torch.tensor(rng.normal(size=(400, 3)) * 0.1).float()
    got, right = quality_answer(student, far, near, f)["fvu"], right_quality(far, near, f)["fvu"]
    if abs(got - right) > 1e-3 * right:
        raise Wrong("States far from 0 got another fvu: compute in float64.")
    f = torch.zeros(3, 5).double()
    f[1, 2], f[2, 2] = 1e-12, 1e-12
    got = quality_answer(student, x[:3], x[:3] + 1, f)
    compare(got["l0"], 2 / 3, {}, "An activation of 1e-12 is above 0: the feature is active.")
    compare(got["dead"], 4 / 5, {}, "A feature with one activation of 1e-12 is not dead.")


def no_variance(student, rng):
    one = torch.tensor(rng.integers(-8, 8, size=5)).double()
    for tokens in (2, 4):
        same = one.expand(tokens, 5).clone()
        student.refuses(
            ValueError,
            same,
            same + 1,
            torch.ones(tokens, 3).double(),
            why="All states are equal, so there is no variance to explain: raise ValueError.",
        )
    f = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).double()
    x = torch.stack([one, one + 2])
    got = quality_answer(student, x, x + 1, f)
    for name, value in {"l0": 0.5, "fvu": 1.0, "dead": 0.5}.items():
        compare(got[name], value, {}, f"Wrong {name} for two tokens and two features.")


def beyond_the_ends(student, rng):
    clean, replaced, ablated, tokens, real = model_runs(rng, 3, 6, 5, padded=True)
    target = torch.nn.functional.one_hot(tokens[:, 1:], 5).double()
    sharper, worse = clean.clone(), ablated.clone()
    sharper[:, :-1] += 2 * target
    worse[:, :-1] -= 2 * target
    for run, clipped in ((sharper, 1.0), (worse, 0.0)):
        given = clean, run, ablated, tokens, real
        right = right_recovered(*given)
        message = "The share may lie above 1 and below 0: do not clip it."
        got = as_number(student(*given), "the recovered share")
        compare(got, right, {message: clipped}, f"Wrong share where it is {right:.2f}.")
    # What stands in rows that predict nothing, or behind the end of a text, must not matter.
    other = [run.clone() for run in (clean, replaced, ablated)]
    last = torch.cat([~real[:, 1:], torch.ones(3, 1, dtype=torch.bool)], dim=1)
    for run in other:
        run[last] = torch.tensor(rng.normal(size=(int(last.sum()), 5)) * 9)
    got = as_number(student(*other, tokens, real), "the recovered share")
    right = right_recovered(clean, replaced, ablated, tokens, real)
    compare(got, right, {}, "Rows that predict padding, or nothing, change your answer.")
    for dtype in (torch.float16, torch.float32):
        runs = [run.to(dtype) for run in model_runs(rng, 2, 5, 40, padded=False)[:3]]
        for run in runs:
            run[:, :, 7] += 300
        tokens = torch.tensor(rng.integers(8, 40, size=(2, 5)))
        real = torch.ones(2, 5, dtype=torch.bool)
        losses = [next_losses(run, tokens).mean() for run in runs]
        order = np.argsort(losses)
        runs = [runs[i] for i in (order[0], order[1], order[2])]
        right = right_recovered(*runs, tokens, real)
        got = as_number(student(*runs, tokens, real), "the recovered share")
        if abs(got - right) > 1e-3 * max(1, abs(right)):
            raise Wrong(
                f"With {dtype} logits that lie far apart the share is {got:.5g} instead of "
                f"{right:.5g}: convert to float64 first, and stay in logs."
            )


def ablation_that_costs_nothing(student, rng):
    clean, replaced, ablated, tokens, real = model_runs(rng, 2, 6, 5, padded=True)
    compare(
        as_number(student(clean, replaced, ablated, tokens, real), "the recovered share"),
        right_recovered(clean, replaced, ablated, tokens, real),
        {},
        "Wrong share for two padded texts.",
    )
    for base, run in ((clean, clean), (ablated, clean)):
        student.refuses(
            ValueError,
            base,
            replaced,
            run,
            tokens,
            real,
            why="The ablated run is as good as the clean one, or better: there is nothing to "
            "recover, so raise ValueError.",
        )


def copies_and_rare_concepts(student, rng):
    fit, gold, judge, truth = concept_inputs(rng, 20, 3)
    for order in ([0, 1, 2, 0, 1, 2], [2, 2, 1, 1, 0, 0]):
        # On the half that judges, the copies with higher numbers are no copies.
        other = judge[:, order].copy()
        seen: set[int] = set()
        for place, source in enumerate(order):
            if source in seen:
                other[:, place] = 0
            seen.add(source)
        got = best_answer(student, fit[:, order], gold, other, truth)
        best, threshold, _ = choose(fit[:, order], gold)
        right = best, threshold, score_of(other[:, best] >= threshold, truth)
        compare(got, right, {}, "Of equally good features the one with the lower number is chosen.")
    values, gold = concept_half(rng, 200, 2, 1, 0.4)
    judge = np.zeros((50, 2))
    truth = np.zeros(50, dtype=bool)
    truth[7] = True
    got = best_answer(student, values, gold, judge, truth)
    if got[2] != 0:
        raise Wrong("A feature that never speaks on `judge` finds nothing there: its F1 is 0.")
    for tokens, features in ((60, 12), (35, 4)):
        best_compare(student, *concept_inputs(rng, tokens, features))


def half_without_the_concept(student, rng):
    fit, gold, judge, truth = concept_inputs(rng, 20, 3)
    best_compare(student, fit, gold, judge, truth)
    for first, second in ((gold & False, truth), (gold, truth & False)):
        student.refuses(
            ValueError,
            *(torch.tensor(table) for table in (fit, first, judge, second)),
            why="In one half no token belongs to the concept; it can neither choose nor judge: "
            "raise ValueError.",
        )


def clamped_to_what_it_is(student, rng):
    coder, x, feature, largest, random = steering(rng, 5, 4, 7)
    plain = x.numpy()
    for value in (0.0, largest):
        steered, control = steer_answer(student, coder, x, feature, value, random)
        right = right_steered(coder, x, feature, value)
        active = coder.encode(x).numpy()[:, feature] > 0
        mistakes = {
            "Ablation (value 0) removes the share of the feature and nothing else: the error of "
            "the autoencoder stays.": coder.decode(coder.encode(x)).numpy() + right - plain,
            "Clamping to 0 changes the tokens on which the feature is active.": plain,
        }
        otherwise = f"Wrong states for a feature clamped to {value:.3g}."
        compare(steered, right, mistakes, otherwise)
        sizes = np.linalg.norm(right - plain, axis=1)
        far = np.linalg.norm(control - plain, axis=1)
        compare(far, sizes, {}, "The control must stay where steering changes nothing.")
        if value == 0 and np.abs(control[~active] - plain[~active]).max() > 1e-6:
            raise Wrong("Tokens without the feature do not move when it is ablated.")
    alone = x[int(coder.encode(x)[:, feature].argmax())][None]
    steered, control = steer_answer(student, coder, alone, feature, largest, random)
    compare(steered, alone.numpy(), {}, "Clamped to the activation it has, a token stays.")
    compare(control, alone.numpy(), {}, "The control of a token that stays must stay too.")
    short = [steer_answer(student, coder, x, feature, 2.0, r)[1] for r in (random, random * 1e-6)]
    otherwise = "The control must not depend on how long `random` is."
    compare(short[1], short[0], {}, otherwise)


def features_that_exist(student, rng):
    coder, x, _, largest, random = steering(rng, 4, 3, 5)
    for feature in (0, 4):
        steered, _ = steer_answer(student, coder, x, feature, largest, random)
        right = right_steered(coder, x, feature, largest)
        compare(steered, right, {}, f"Wrong states for feature {feature} of 5.")
    for feature in (5, -1):
        student.refuses(
            ValueError,
            x,
            coder.encode,
            coder.decode,
            feature,
            1.0,
            random,
            why=f"There is no feature {feature} among 5 (Python would count -1 from the end): "
            "raise ValueError.",
        )
    student.refuses(
        ValueError,
        x,
        coder.encode,
        coder.decode,
        0,
        1.0,
        random * 0,
        why="A random vector of length 0 has no direction: raise ValueError.",
    )


HELD_OUT = {
    "06.1": (
        Part("ties, and few active features", 2, ties_and_few_positive),
        Part("shapes and limits", 2, shapes_and_limits),
    ),
    "06.2": (
        Part("features on another scale", 2, rescaled_features),
        Part("precision and limits", 2, limits_of_the_loss),
    ),
    "06.3": (
        Part("rows of any length", 2, rows_of_any_length),
        Part("rows that point nowhere", 2, directions_that_point_nowhere),
    ),
    "06.4": (
        Part("constant errors, other units", 2, constant_errors_and_scale),
        Part("no variance", 2, no_variance),
    ),
    "06.5": (
        Part("beyond the ends", 2, beyond_the_ends),
        Part("ablation that costs nothing", 2, ablation_that_costs_nothing),
    ),
    "06.6": (
        Part("equally good features", 3, copies_and_rare_concepts),
        Part("a half without the concept", 2, half_without_the_concept),
    ),
    "06.7": (
        Part("ablation, and nothing to change", 2, clamped_to_what_it_is),
        Part("features that exist", 2, features_that_exist),
    ),
}
