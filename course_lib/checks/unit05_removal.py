"""Checks of 05.4: removing a direction, and the random control (see unit05.py)."""

from __future__ import annotations

import numpy as np

from course_lib.checks.calling import compare
from course_lib.checks.unit05_reading import as_array, as_pair, some_states, tensors

# --- 05.4 remove_and_control(states [N, d], direction [d], noise [R, d], strength) ---------------
# -> (changed [N, d], controls [N, R, d])

UNIT = (
    "The direction is not of length 1. Divide by its squared length: the component along d is "
    "(x . d / d . d) d."
)
SHORTER = (
    "You removed a random direction from the state. A state has little along a random direction, "
    "so that change is much shorter. The control is as long as the change it is compared with."
)
ROWS = "Each state has its own component along the direction; you used one for all states."


def removal_inputs(rng, states, width, draws):
    """States [N, d], a direction [d] of length 2 to 3, noise [R, d] of many lengths."""
    x = some_states(rng, states, width)
    direction = rng.normal(size=width)
    direction *= rng.uniform(2, 3) / np.linalg.norm(direction)
    # the first state has a negative component, the last a positive one, and neither is small
    along = x @ direction / (direction @ direction)
    wanted = rng.uniform(0.5, 1.5, size=states) * np.where(np.arange(states) % 2, 1, -1)
    x += (wanted - along)[:, None] * direction
    noise = rng.normal(size=(draws, width)) * rng.uniform(0.2, 4, size=(draws, 1))
    return x, direction, noise


def removal_answer(student, x, direction, noise, *strength):
    answer = as_pair(
        student(*tensors(x, direction, noise), *strength), "the changed states and the controls"
    )
    shape = (len(x), len(noise), x.shape[1])
    hint = "One row of R random changes for each state."
    return (
        as_array(answer[0], x.shape, "the changed states"),
        as_array(answer[1], shape, "the controls", hint),
    )


def removed(x, direction, strength=1.0):
    return x - strength * np.outer(x @ direction / (direction @ direction), direction)


def changed_mistakes(x, direction, strength):
    size = np.linalg.norm(direction)
    along = np.outer(x @ direction, direction)
    gone = along / size**2
    right = x - strength * gone
    sizes = np.linalg.norm(x, axis=1, keepdims=True)
    mistakes = {
        UNIT: x - strength * along,
        UNIT + " ": x - strength * along / size,
        "You divided by the length of the direction twice as often as needed; d . d is its squared "
        "length already.": x - strength * along / size**4,
        "You divided by the squared length of the state; divide by that of the direction.": x
        - strength * along / sizes**2,
        "You kept the component and removed the rest.": strength * gone,
        "You added the component; take it away.": x + strength * gone,
        "You took the absolute value of the component: where it is negative, the change goes the "
        "other way.": x - strength * abs(x @ direction)[:, None] * direction / size**2,
        "You took the direction itself away, whatever the state has of it.": x
        - strength * direction,
        "You took the direction itself away, whatever the state has of it. ": x
        - strength * direction / size,
        ROWS: x - strength * gone.mean(0),
        ROWS + " ": x - strength * gone[0],
        "You took off each state's own size times the direction; take off its component.": x
        - strength * sizes * direction / size,
        "You set the dimensions in which the direction is not 0 to 0. Only the component along the "
        "direction goes.": np.zeros_like(x),
        "You brought the changed states back to their old length; that changes all other "
        "directions too.": right * sizes / np.linalg.norm(right, axis=1, keepdims=True),
        "You subtracted the mean of the states first.": removed(x - x.mean(0), direction, strength),
        "The component was measured from the mean of the states; measure it from 0.": removed(
            x - x.mean(0), direction, strength
        )
        + x.mean(0),
    }
    if strength != 1:
        mistakes["The strength makes no difference: it multiplies what is taken away."] = x - gone
        mistakes["The strength multiplies the whole state; it multiplies what is taken away."] = (
            strength * (x - gone)
        )
    return right, mistakes


def removal_changed(student, rng):
    for states, width, draws, strength in ((4, 5, 2, 1.0), (3, 8, 4, 1.0), (5, 3, 1, 2.0)):
        x, direction, noise = removal_inputs(rng, states, width, draws)
        got, _ = removal_answer(student, x, direction, noise, strength)
        right, mistakes = changed_mistakes(x, direction, strength)
        otherwise = (
            "Wrong changed states: x - strength (x . d / d . d) d. With strength 1 nothing along d "
            "is left."
        )
        compare(got, right, mistakes, otherwise)


def control_mistakes(x, direction, noise, strength):
    """Right controls [N, R, d] and those of well-known slips; ``along`` may be of either sign."""
    change = removed(x, direction, strength) - x
    lengths = np.linalg.norm(change, axis=1)[:, None, None]
    along = (x @ direction / np.linalg.norm(direction))[:, None, None]
    unit = noise / np.linalg.norm(noise, axis=1, keepdims=True)
    start = x[:, None]
    right = start + lengths * unit
    own = (x @ unit.T)[:, :, None] * unit
    sizes = np.linalg.norm(x, axis=1)[:, None, None]
    across = noise / np.linalg.norm(noise, axis=0)
    return right, {
        "The controls are the changes alone; add them to the states.": lengths * unit,
        "The random changes are added to the changed states. A control changes the state in a "
        "random direction instead, not in addition.": right + change[:, None],
        SHORTER: start - strength * own,
        SHORTER + " ": start - own,
        "The noise is added as it is. Scale each row to the length of the change.": start + noise,
        "The random changes have length 1; they are to be as long as the change of their "
        "state.": start + unit,
        "The noise is multiplied by the length of the change without being brought to length 1 "
        "first.": start + lengths * noise,
        "The random changes are as long as the state; they are to be as long as its change.": start
        + sizes * unit,
        "The random changes are as long as the changed state; they are to be as long as its "
        "change.": start + np.linalg.norm(x + change, axis=1)[:, None, None] * unit,
        "The random changes are as long as the direction; they are to be as long as the change of "
        "the state.": start + np.linalg.norm(direction) * unit,
        "All states get changes of one length; each state's own change sets the length.": start
        + lengths.mean() * unit,
        "All states get changes of one length; each state's own change sets the length. ": start
        + np.linalg.norm(change) * unit,
        "A length is never negative: the component itself has a sign, which turns your random "
        "changes round.": start + strength * along * unit,
        "A length is never negative: the component itself has a sign, which turns your random "
        "changes round. ": start - strength * along * unit,
        "You subtracted the random changes; add them, as the docstring says.": start
        - lengths * unit,
        "You scaled the noise by its length over all rows. Each row is a change of its own.": start
        + lengths * noise / np.linalg.norm(noise),
        "You scaled each dimension of the noise; scale each row (the last axis).": start
        + lengths * across,
        "The squared length of the change was used; take the root.": start + lengths**2 * unit,
        "The strength is missing in the length of the random changes.": start
        + lengths / (strength or 1) * unit,
        "All rows of noise were added together.": start + lengths * unit.sum(0),
    }


def removal_controls(student, rng):
    for states, width, draws, strength in ((3, 6, 4, 1.0), (4, 5, 3, 2.0), (2, 9, 1, 1.0)):
        x, direction, noise = removal_inputs(rng, states, width, draws)
        _, got = removal_answer(student, x, direction, noise, strength)
        right, mistakes = control_mistakes(x, direction, noise, strength)
        otherwise = (
            "Wrong controls: controls[n, r] is states[n] plus noise[r], scaled to the length of "
            "the change of state n."
        )
        compare(got, right, mistakes, otherwise)
