"""Held-out checks of assignment 05. For instructors: this file is never released.

``HELD_OUT`` maps an exercise id to parts of the same shape as the visible ones.
"""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_number, as_vector, compare
from course_lib.checks.results import Part, Wrong
from course_lib.checks.unit05_divergence import (
    bias_mistakes,
    divergence_answer,
    kl_mistakes,
    some_readings,
)
from course_lib.checks.unit05_leading import (
    check_places,
    leading_answer,
    logits_that_lead,
    places_of,
    rank_of_word,
)
from course_lib.checks.unit05_reading import (
    as_array,
    as_pair,
    end_of_model,
    normed,
    some_states,
    tensors,
)
from course_lib.checks.unit05_removal import (
    control_mistakes,
    removal_answer,
    removal_inputs,
    removed,
)
from course_lib.checks.unit05_shares import direct_right, some_parts
from course_lib.checks.unit05_values import (
    judged,
    purity_answer,
    purity_compare,
    purity_mistakes,
    scores_of,
    solved,
    some_values,
    translation_answer,
    translation_inputs,
)

# --- 05.1 --------------------------------------------------------------------------------------


def one_state_and_many(student, rng):
    gain, bias, unembed = end_of_model(rng, 6, 5)
    for shape in ((6,), (1, 6), (2, 3, 6), (2, 1, 4, 6)):
        states = some_states(rng, *shape)
        for norm in ("layer", "rms"):
            answer = student(*tensors(states, gain, bias, unembed), norm, 0.2)
            right = normed(states, gain, bias, norm, 0.2) @ unembed.T
            got = as_array(answer, right.shape, "the logits", "States may have any leading axes.")
            compare(got, right, {}, f"States of shape {list(shape)} got other logits than alone.")
    tiny = some_states(rng, 3, 6) * 1e-3
    answer = student(*tensors(tiny, gain, bias, unembed))
    right = normed(tiny, gain, bias, "layer", 1e-5) @ unembed.T
    got = as_array(answer, (3, 5), "the logits")
    mistakes = {
        "Without `norm` the norm is a LayerNorm.": normed(tiny, gain, bias, "rms", 1e-5)
        @ unembed.T,
        "Without `eps` it is 1e-5, and small states show it.": normed(tiny, gain, bias, "layer", 0)
        @ unembed.T,
    }
    compare(got, right, mistakes, "Without `norm` and `eps`: a LayerNorm with eps 1e-5.")
    for offset, dtype in ((3e4, torch.float32), (100, torch.float16)):
        states = torch.tensor(rng.normal(size=(2, 6)) + offset).to(dtype)
        end = [t.to(dtype) for t in tensors(gain, bias, unembed)]
        got = as_array(student(states, *end), (2, 5), "the logits")
        exact = [t.double().numpy() for t in (states, *end)]
        right = normed(*exact[:3], "layer", 1e-5) @ exact[3].T
        if not np.allclose(got, right, rtol=1e-6, atol=1e-6):
            raise Wrong(
                f"{dtype} states whose mean is much larger than their differences got rounded "
                "logits: convert to float64 before the mean is subtracted."
            )


def norms_that_do_not_exist(student, rng):
    given = tensors(some_states(rng, 2, 4), *end_of_model(rng, 4, 3))
    for norm in ("batch", "", "LayerNorm"):
        student.refuses(
            ValueError,
            *given,
            norm,
            why=f"norm={norm!r} must raise ValueError, or a typing mistake gives the logits of "
            "another model.",
        )
    without = [*given[:2], None, given[3]]
    right = normed(given[0].numpy(), given[1].numpy(), None, "layer", 1e-5) @ given[3].numpy().T
    got = as_array(student(*without), (2, 3), "the logits")
    compare(got, right, {}, "With bias=None nothing is added to a LayerNorm either.")


# --- 05.2 --------------------------------------------------------------------------------------


def shared_lead(student, rng):
    for word, rival in ((0, 1), (3, 4), (4, 0)):
        for pattern, tie in (("0011", 1), ("1101", 2), ("0100", 3), ("0", 0)):
            leads = [mark == "1" for mark in pattern]
            logits = logits_that_lead(rng, leads, 5, word)
            logits[tie, [word, rival]] = logits[tie].max() + 1
            answer = leading_answer(student, logits, word)
            if abs(answer[0][tie] - 1.5) > 1e-6:
                raise Wrong("A word that shares the top with one other has rank 1.5.")
            claimed = [*leads]
            claimed[tie] = True
            if answer[1:] == places_of(claimed) != places_of(leads):
                raise Wrong(
                    "The word shares the top with another word there, so it does not lead: it "
                    "leads where its rank is exactly 1."
                )
            check_places(answer, leads)


def nearly_the_same(student, rng):
    logits = rng.normal(size=(4, 8)) + 5000
    others = np.delete(logits, 2, axis=1)
    logits[:, 2] = others.max(1) + np.array([1e-6, -1e-6, 1e-6, 1e-6])
    answer = leading_answer(student, logits, 2)
    if not np.allclose(answer[0], rank_of_word(logits, 2)):
        raise Wrong(
            "Logits near 5000 that differ by a millionth are not tied: compare them in float64, "
            "and do not round."
        )
    check_places(answer, [True, False, True, True])
    logits = -900 * rng.permutation(np.arange(1.0, 7.0))[None].repeat(3, 0)
    logits[1] = logits[1, ::-1]
    for word in range(6):
        got = leading_answer(student, logits, word)[0]
        compare(
            got,
            rank_of_word(logits, word),
            {},
            "Logits hundreds of units apart: probabilities become 0 and tie. Rank the logits.",
        )
    single = leading_answer(student, np.array([[1.0]]), 0)
    compare(single[0], [1.0], {}, "The only word of a vocabulary has rank 1.")
    check_places(single, [True])


# --- 05.3 --------------------------------------------------------------------------------------


def words_that_are_ruled_out(student, rng):
    readings, final = some_readings(rng, 3, 4, 6)
    final[:, 1] -= 3000
    readings[:, :, 4] -= 2000
    kls, bias = divergence_answer(student, readings, final)
    otherwise = (
        "Words whose logits lie thousands of units below the others got a wrong {}: stay in logs "
        "(log_softmax, logsumexp)."
    )
    compare(kls, kl_mistakes(readings, final)[0], {}, otherwise.format("KL"), tolerance=1e-5)
    right = bias_mistakes(readings, final)[0]
    compare(bias, right, {}, otherwise.format("bias"), tolerance=1e-5)
    near = torch.tensor(final[:, :2] * 0 + rng.normal(size=(4, 2)) + 1000)
    close = near[None] + 1e-3 * torch.tensor(rng.normal(size=(2, 4, 2)))
    kls, _ = divergence_answer(student, close.numpy(), near.numpy())
    right = kl_mistakes(close.numpy(), near.numpy())[0]
    if not np.allclose(kls, right, rtol=1e-3, atol=1e-12):
        raise Wrong("Two distributions that nearly agree got another KL: compute in float64.")


def what_must_hold(student, rng):
    readings, final = some_readings(rng, 4, 5, 7)
    readings[2] = final + rng.normal(size=(5, 1))
    kls, bias = divergence_answer(student, readings, final)
    if abs(kls[2]) > 1e-6 or abs(bias[2]) > 1e-6:
        raise Wrong(
            "A reading that differs from the final logits by one number for each token predicts "
            "the same: both its KL and its bias are 0."
        )
    if (bias > kls + 1e-6).any():
        raise Wrong("The bias is never more than the mean KL.")
    compare(kls, kl_mistakes(readings, final)[0], {}, "Wrong KL for five tokens.")
    kls, bias = divergence_answer(student, readings[:, :1], final[:1])
    compare(kls, bias, {}, "With a single token, KL and bias are the same number.")
    right = kl_mistakes(readings[:, :1], final[:1])[0]
    compare(kls, right, {}, "With a single token the KL is wrong.")
    swapped = readings[:, [3, 1, 4, 0, 2]]
    _, bias = divergence_answer(student, swapped, final)
    right = bias_mistakes(swapped, final)[0]
    compare(bias, right, {}, "The bias does not depend on the order of the lens's tokens.")


# --- 05.4 --------------------------------------------------------------------------------------


def nothing_and_twice(student, rng):
    for strength in (0.0, 0.5, 2.0):
        x, direction, noise = removal_inputs(rng, 3, 6, 2)
        changed, controls = removal_answer(student, x, direction, noise, strength)
        without = {"The strength makes no difference.": removed(x, direction)}
        otherwise = f"With strength {strength:g} the changed states are wrong."
        compare(changed, removed(x, direction, strength), without, otherwise)
        right, slips = control_mistakes(x, direction, noise, strength)
        otherwise = f"With strength {strength:g} the controls are wrong."
        compare(controls, right, slips, otherwise)
    changed, _ = removal_answer(student, x, direction, noise)
    compare(changed, removed(x, direction), {}, "Without `strength` it is 1.")
    for scale in (-3.0, 0.01):
        changed, _ = removal_answer(student, x, scale * direction, noise)
        otherwise = "A longer, shorter or turned direction is the same direction."
        compare(changed, removed(x, direction), {}, otherwise)
    for empty in (np.zeros(6), 0 * direction):
        changed, controls = removal_answer(student, x, empty, noise)
        otherwise = "A direction of zeros changes nothing, and so do controls of length 0."
        compare(changed, x, {}, otherwise)
        compare(controls, np.repeat(x[:, None], 2, 1), {}, otherwise)


def noise_without_direction(student, rng):
    x, direction, noise = removal_inputs(rng, 2, 5, 3)
    noise[1] = 0
    student.refuses(
        ValueError,
        *tensors(x, direction, noise),
        why="A row of noise that is all zeros has no direction, so it makes no control: raise "
        "ValueError.",
    )
    tiny = removal_inputs(rng, 2, 5, 3)[2] * 1e-9
    _, controls = removal_answer(student, x, direction, tiny)
    right, _ = control_mistakes(x, direction, tiny, 1.0)
    compare(controls, right, {}, "Noise of any length but 0 gives a control of the same length.")
    rounded = [t.float() for t in tensors(x + 3e4, direction)]
    changed = as_pair(student(*rounded, torch.tensor(noise[:1])), "states and controls")[0]
    changed = as_array(changed, x.shape, "the changed states")
    right = removed(*(t.double().numpy() for t in rounded))
    if not np.allclose(changed, right, rtol=0, atol=1e-4):
        raise Wrong("Large float32 states were rounded on the way: convert to float64 first.")


# --- 05.5 --------------------------------------------------------------------------------------


def shares_and_logit(student, rng):
    for word, foil in ((0, 3), (3, 0), (0, None)):
        parts, end = some_parts(rng, 4, 6), end_of_model(rng, 6, 5)
        answer = as_pair(student(*tensors(parts, *end), word, foil), "shares and constant")
        shares, constant = as_vector(answer[0], 4, "the shares"), as_number(answer[1])
        logits = normed(parts.sum(0), end[0], end[1], "layer", 1e-5) @ end[2].T
        logit = logits[word] - (0 if foil is None else logits[foil])
        alone = {
            "Token id 0 is a word like any other: only foil=None means that there is no foil "
            "(`if foil:` is false for 0).": logits[word],
        }
        otherwise = "Shares and constant do not sum to the logit, or the difference of two logits."
        compare(shares.sum() + constant, logit, alone, otherwise)
        right, right_constant = direct_right(parts, end, word, foil, 1e-5)
        compare([*shares, constant], [*right, right_constant], {}, "Wrong shares for word 0.")
    whole = parts.sum(0)
    answer = as_pair(student(*tensors(whole[None], *end), 1, 2), "shares and constant")
    right, _ = direct_right(whole[None], end, 1, 2, 1e-5)
    share = as_vector(answer[0], 1, "the shares")
    compare(share, right, {}, "A single part is the whole state: its share is wrong.")
    cut = np.stack([parts[0], parts[1] * 0, parts[1], parts[2] + parts[3]])
    answer = as_pair(student(*tensors(cut, *end), 1, 2), "shares and constant")
    right, _ = direct_right(cut, end, 1, 2, 1e-5)
    got = as_vector(answer[0], 4, "the shares")
    compare(got, right, {}, "A part of zeros gets 0, and parts that are put together add up.")


def one_word_twice(student, rng):
    parts, end = some_parts(rng, 3, 5), end_of_model(rng, 5, 4)
    for word in (0, 2):
        student.refuses(
            ValueError,
            *tensors(parts, *end),
            word,
            word,
            why="Word and foil are the same token, so every share is 0 whatever the model does: "
            "raise ValueError.",
        )
    rounded = [t.float() for t in tensors(parts + 2e4, *end)]
    answer = as_pair(student(*rounded, 1, 3), "shares and constant")
    exact = [t.double().numpy() for t in rounded]
    right, _ = direct_right(exact[0], exact[1:], 1, 3, 1e-5)
    if not np.allclose(as_vector(answer[0], 3, "the shares"), right, rtol=1e-5, atol=1e-5):
        raise Wrong("Parts in float32 with large means got rounded shares: compute in float64.")


# --- 05.6 --------------------------------------------------------------------------------------


def few_words_and_ties(student, rng):
    values = some_values(rng, 8, 4, 12)
    kinds = ([0, 1, 2] * 4)[:12]
    for k in (1, 12):
        purity_compare(student, *values, kinds, k)
    lonely = [-1] * 11 + [0]
    for k in (1, 3):
        purity_compare(student, *values, lonely, k)
    got = purity_answer(student, *values, [-1] * 12, 4)
    compare(got, [[0] * 8, [-1] * 8], {}, "Where no word has a topic, purity is 0 and topic -1.")
    kinds = rng.permutation([2, 2, 1, 1, 0, 0]).tolist()
    values = some_values(rng, 6, 5, 6)
    got = purity_answer(student, *values, kinds, 6)
    compare(
        got,
        [[1 / 3] * 6, [0] * 6],
        {"Of topics that are equally frequent the lowest number counts.": [[1 / 3] * 6, [2] * 6]},
        "Three topics are equally frequent among the words: purity 1 / 3, and the lowest number.",
    )
    turned = purity_answer(student, -values[0], *values[1:], kinds, 2)
    right = judged(scores_of(-values[0], *values[1:]), kinds, 2)
    compare(turned, np.stack(right), {}, "A value vector that is turned round got a wrong answer.")


def numbers_of_words(student, rng):
    values, gain, unembed = some_values(rng, 3, 4, 7)
    for k in (0, -1, 8):
        student.refuses(
            ValueError,
            *tensors(values, gain, unembed),
            [0] * 7,
            k,
            why=f"k={k} of 7 words must raise ValueError: at least 1, at most all.",
        )
    values, gain, unembed = some_values(rng, 20, 6, 30)
    kinds = rng.integers(0, 4, size=30).tolist()
    right, _ = purity_mistakes(values, gain, unembed, kinds, 7)
    got = purity_answer(student, values + 1e7, gain, unembed, kinds, 7)
    otherwise = (
        "Adding a number to all entries of a value vector changes no score: centre, and compute in "
        "float64."
    )
    compare(got, right, {}, otherwise)


# --- 05.7 --------------------------------------------------------------------------------------


def more_dimensions_than_states(student, rng):
    for tokens, width, ridge in ((4, 6, 0.1), (3, 8, 1e-3)):
        x, last, *_ = translation_inputs(rng, tokens, width, 0.3)
        weight, shift = translation_answer(student, x, last, ridge)
        right = solved(x, last - x, ridge * x.var(0).mean())
        both = np.column_stack([weight, shift])
        otherwise = "With fewer states than dimensions A and b are wrong; the penalty decides."
        compare(both, np.column_stack(right), {}, otherwise, tolerance=1e-5)
    x, last, *_ = translation_inputs(rng, 30, 3, 1.0)
    weight, shift = translation_answer(student, x, last)
    right = solved(x, last - x, 1e-3 * x.var(0).mean())
    otherwise = "Without `ridge` it is 0.001."
    compare(np.column_stack([weight, shift]), np.column_stack(right), {}, otherwise, 1e-6)
    weight, shift = translation_answer(student, 1e3 * x, 1e3 * last, 0.4)
    right = solved(x, last - x, 0.4 * x.var(0).mean())
    otherwise = (
        "All states a thousand times as large: A must be the same and b a thousand times as large. "
        "The penalty is relative to the variance."
    )
    compare(np.column_stack([weight, shift / 1e3]), np.column_stack(right), {}, otherwise, 1e-5)
    far = torch.tensor(x + 500).float(), torch.tensor(last + 500).float()
    answer = as_pair(student(*far, 0.1), "A and b")
    exact = [t.double().numpy() for t in far]
    right = solved(exact[0], exact[1] - exact[0], 0.1 * exact[0].var(0).mean())
    if not np.allclose(as_array(answer[0], (3, 3), "A"), right[0], rtol=1e-5, atol=1e-5):
        raise Wrong("float32 states with large means got a rounded A: convert to float64 first.")


def nothing_to_translate(student, rng):
    x, last, *_ = translation_inputs(rng, 12, 4, 0.2)
    weight, shift = translation_answer(student, x, x, 0.2)
    otherwise = "Where the states already are the last ones, A and b are 0, whatever the penalty."
    compare(np.column_stack([weight, shift]), np.zeros((4, 5)), {}, otherwise, 1e-6)
    weight, shift = translation_answer(student, x, last, 1e9)
    right = np.column_stack([np.zeros((4, 4)), (last - x).mean(0)])
    otherwise = "Under a very strong penalty A is 0, and b is the mean of last - x."
    compare(np.column_stack([weight, shift]), right, {}, otherwise, 1e-5)
    student.refuses(
        ValueError,
        *tensors(x, last),
        -0.1,
        why="A negative ridge would reward large maps: raise ValueError.",
    )


HELD_OUT = {
    "05.1": (
        Part("any shape, defaults, precision", 2, one_state_and_many),
        Part("norms that exist", 2, norms_that_do_not_exist),
    ),
    "05.2": (
        Part("a shared lead", 2, shared_lead),
        Part("near and far logits", 2, nearly_the_same),
    ),
    "05.3": (
        Part("words ruled out", 2, words_that_are_ruled_out),
        Part("identities", 2, what_must_hold),
    ),
    "05.4": (
        Part("strength and zero", 3, nothing_and_twice),
        Part("noise with a direction", 2, noise_without_direction),
    ),
    "05.5": (
        Part("sums, word 0", 3, shares_and_logit),
        Part("a contrast with itself", 2, one_word_twice),
    ),
    "05.6": (
        Part("one word, all words, ties", 2, few_words_and_ties),
        Part("numbers of words", 2, numbers_of_words),
    ),
    "05.7": (
        Part("few states, defaults, precision", 3, more_dimensions_than_states),
        Part("nothing to translate", 2, nothing_to_translate),
    ),
}
