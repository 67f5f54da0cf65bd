"""05.4, removing what the lens reads: answers, mistakes and draws (instructors only)."""

from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.4", "removing what the lens reads")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def component(x, d):
    return torch.outer(x @ d / d.dot(d), d)


def unit_rows(noise):
    lengths = noise.norm(dim=1, keepdim=True)
    if (lengths == 0).any():
        raise ValueError("a row of noise is all zeros and has no direction")
    return noise / lengths


def length(change, x, d):
    return change.norm(dim=1)


def removal(
    states, direction, noise, strength=1.0, gone=component, unit=unit_rows, size=length
):  # fmt: skip
    """The changed states and the controls; the last three are what mistakes replace."""
    x, d, rows = states.double(), direction.double(), unit(noise.double())
    change = -strength * gone(x, d) if d.any() else torch.zeros_like(x)
    return x + change, x.unsqueeze(1) + size(change, x, d)[:, None, None] * rows


@right
def remove_and_control(states, direction, noise, strength=1.0):
    return removal(states, direction, noise, strength)


@other
def removal_by_projector(states, direction, noise, strength=1.0):
    x, d, r = (t.detach().double().numpy() for t in (states, direction, noise))
    if (np.abs(r).sum(1) == 0).any():
        raise ValueError("no direction")
    change = -strength * x @ np.outer(d, d) / max(d @ d, 1e-300)
    r = r / np.sqrt((r**2).sum(1, keepdims=True))
    return x + change, x[:, None] + np.einsum("n,rd->nrd", np.sqrt((change**2).sum(1)), r)


@other
def removal_one_by_one(states, direction, noise, strength=1.0):
    rows = [row / row.norm() for row in noise.double() if row.any()]
    if len(rows) < len(noise):
        raise ValueError("zeros")
    unit = torch.nn.functional.normalize(direction.double(), dim=0)
    changed, controls = [], []
    for x in states.double():
        along = torch.dot(x, unit)
        changed.append(x - strength * along * unit)
        controls.append(torch.stack([x + strength * along.abs() * row for row in rows]))
    return torch.stack(changed), torch.stack(controls)


def after(compute):
    """``compute(x, change, steps)`` for the changed states and the controls."""

    def answer(states, direction, noise, strength=1.0):
        changed, controls = removal(states, direction, noise, strength)
        x = states.double()
        return compute(x, changed - x, controls - x.unsqueeze(1))

    return answer


# What is wrong in the controls alone. Mistakes that show in both numbers come later: of two that
# explain the controls equally well, the first is named.
for message, compute in {
    "The controls are the changes alone; add them to the states.": (
        lambda x, change, steps: (x + change, steps)
    ),
    "The random changes are added to the changed states. A control changes the state in a random "
    "direction instead, not in addition.": (
        lambda x, change, steps: (x + change, (x + change).unsqueeze(1) + steps)
    ),
    "You subtracted the random changes; add them, as the docstring says.": (
        lambda x, change, steps: (x + change, x.unsqueeze(1) - steps)
    ),
    "All rows of noise were added together.": (
        lambda x, change, steps: (
            x + change,
            x.unsqueeze(1) + steps.sum(1, keepdim=True) + 0 * steps,
        )
    ),
}.items():
    mistake(message, after(compute))
LENGTH = "they are to be as long as its change."
ANSWERS.variants(
    removal,
    {
        "The noise is added as it is. Scale each row to the length of the change.": {
            "unit": lambda r: r, "size": lambda change, x, d: torch.ones(len(x))
        },
        "The random changes have length 1; they are to be as long as the change of their state.": {
            "size": lambda change, x, d: torch.ones(len(x))
        },
        "The noise is multiplied by the length of the change without being brought to length 1 "
        "first.": {"unit": lambda r: r},
        f"The random changes are as long as the state; {LENGTH}": {
            "size": lambda change, x, d: x.norm(dim=1)
        },
        f"The random changes are as long as the changed state; {LENGTH}": {
            "size": lambda change, x, d: (x + change).norm(dim=1)
        },
        f"The random changes are as long as the direction; {LENGTH}": {
            "size": lambda change, x, d: d.norm().expand(len(x))
        },
        "You scaled the noise by its length over all rows. Each row is a change of its own.": {
            "unit": lambda r: r / r.norm()
        },
        "You scaled each dimension of the noise; scale each row (the last axis).": {
            "unit": lambda r: r / r.norm(dim=0)
        },
        "The squared length of the change was used; take the root.": {
            "size": lambda change, x, d: change.square().sum(1)
        },
    },
)  # fmt: skip
mistake(
    "All states get changes of one length; each state's own change sets the length.",
    partial(removal, size=lambda change, x, d: length(change, x, d).mean().expand(len(x))),
    partial(removal, size=lambda change, x, d: change.norm().expand(len(x))),
)


def with_controls(compute):
    """``compute(x, d, unit, strength)`` in place of the controls."""

    def answer(states, direction, noise, strength=1.0):
        given = states.double(), direction.double(), unit_rows(noise.double()), strength
        return removal(states, direction, noise, strength)[0], compute(*given)

    return answer


def random_removed(x, unit):
    return (x @ unit.T).unsqueeze(2) * unit


def signed(x, d, unit):
    return (x @ d / d.norm())[:, None, None] * unit


mistake(
    "You removed a random direction from the state. A state has little along a random direction, "
    "so that change is much shorter. The control is as long as the change it is compared with.",
    with_controls(lambda x, d, unit, s: x.unsqueeze(1) - s * random_removed(x, unit)),
    with_controls(lambda x, d, unit, s: x.unsqueeze(1) - random_removed(x, unit)),
)
mistake(
    "A length is never negative: the component itself has a sign, which turns your random changes "
    "round.",
    with_controls(lambda x, d, unit, s: x.unsqueeze(1) + s * signed(x, d, unit)),
    with_controls(lambda x, d, unit, s: x.unsqueeze(1) - s * signed(x, d, unit)),
)
mistake(
    "The strength is missing in the length of the random changes.",
    lambda x, d, r, s=1.0: (removal(x, d, r, s)[0], removal(x, d, r, 1.0)[1]),
)

# What is wrong in the changed states, and often in the length of the controls with it.
ROWS = "Each state has its own component along the direction; you used one for all states."
WHATEVER = "You took the direction itself away, whatever the state has of it."
UNIT = (
    "The direction is not of length 1. Divide by its squared length: the component along d is "
    "(x . d / d . d) d."
)
for message, gone in (
    (UNIT, lambda x, d: torch.outer(x @ d, d)),
    (UNIT, lambda x, d: torch.outer(x @ d, d) / d.norm()),
    (
        "You divided by the length of the direction twice as often as needed; d . d is its "
        "squared length already.",
        lambda x, d: component(x, d) / d.dot(d),
    ),
    (
        "You divided by the squared length of the state; divide by that of the direction.",
        lambda x, d: torch.outer(x @ d, d) / x.square().sum(1, keepdim=True),
    ),
    (
        "You took the absolute value of the component: where it is negative, the change goes the "
        "other way.",
        lambda x, d: torch.outer((x @ d).abs() / d.dot(d), d),
    ),
    (WHATEVER, lambda x, d: d.expand_as(x)),
    (WHATEVER, lambda x, d: (d / d.norm()).expand_as(x)),
    (ROWS, lambda x, d: component(x, d).mean(0).expand_as(x)),
    (ROWS, lambda x, d: component(x, d)[:1].expand_as(x)),
    (
        "You took off each state's own size times the direction; take off its component.",
        lambda x, d: torch.outer(x.norm(dim=1), d / d.norm()),
    ),
    (
        "The component was measured from the mean of the states; measure it from 0.",
        lambda x, d: component(x - x.mean(0), d),
    ),
):
    mistake(message, partial(removal, gone=gone))
mistake(
    "You subtracted the mean of the states first.",
    lambda x, *given: removal(x - x.mean(0), *given),
    lambda x, *given: (removal(x - x.mean(0), *given)[0], removal(x, *given)[1]),
)
for message, compute in {
    "You kept the component and removed the rest.": lambda x, change: -change,
    "You added the component; take it away.": lambda x, change: x - change,
    "You set the dimensions in which the direction is not 0 to 0. Only the component along the "
    "direction goes.": lambda x, change: 0 * x,
    "You brought the changed states back to their old length; that changes all other directions "
    "too.": lambda x, change: torch.nn.functional.normalize(x + change) * x.norm(dim=1)[:, None],
}.items():
    both = lambda x, change, steps, f=compute: (f(x, change), x.unsqueeze(1) + steps)  # noqa: E731
    mistake(message, after(both))
mistake(
    "The strength makes no difference: it multiplies what is taken away.",
    lambda x, d, r, s=1.0: removal(x, d, r),
    lambda x, d, r, s=1.0: (removal(x, d, r)[0], removal(x, d, r, s)[1]),
)
mistake(
    "The strength multiplies the whole state; it multiplies what is taken away.",
    lambda x, d, r, s=1.0: (s * removal(x, d, r)[0], removal(x, d, r)[1]),
    lambda x, d, r, s=1.0: (s * removal(x, d, r)[0], removal(x, d, r, s)[1]),
)


@witness("zeros changes nothing")
def divides_by_zero(states, direction, noise, strength=1.0):
    x, d, rows = states.double(), direction.double(), unit_rows(noise.double())
    change = -strength * component(x, d)
    return x + change, x.unsqueeze(1) + length(change, x, d)[:, None, None] * rows


@witness("any length but 0")
def noise_with_a_floor(states, direction, noise, strength=1.0):
    changed, controls = removal(states, direction, noise, strength)
    r = noise.double()
    size, x = r.norm(dim=1, keepdim=True), states.double().unsqueeze(1)
    return changed, x + (controls - x) * size / (size + 1e-9)


def draw(states, width, draws, *more, note="", observe="", **options):
    options |= {"states": states, "width": width, "draws": draws, "more": list(more)}
    return Draw("removal", options, note, 1e-8, observe=observe)


CHANGED = (
    "The rule: x - strength (x . d / d . d) d, in float64. With strength 1 nothing along d is left."
)
CONTROLS = (
    "The rule: controls[n, r] is states[n] plus noise[r], scaled to the length of the change of "
    "state n, in float64."
)
HINT = "One row of R random changes for each state."
sizes = ((4, 5, 2, 1.0), (3, 8, 4, 1.0), (5, 3, 1, 2.0))
ANSWERS.part(
    "the direction is gone", 5, [draw(*size, observe="first_of_two") for size in sizes], CHANGED
)
sizes = ((3, 6, 4, 1.0), (4, 5, 3, 2.0), (2, 9, 1, 1.0))
given = [draw(*size, observe="second_of_two") for size in sizes]
ANSWERS.part("random changes as long", 4, given, CONTROLS, HINT)
BOTH = f"{CHANGED} The controls: {CONTROLS[10:]}"
STRENGTHS = [
    *(draw(3, 6, 2, s, note=f"The strength is {s}.") for s in (0.0, 0.5, 1.5, 2.0)),
    draw(3, 6, 2, note="Without `strength` it is 1."),
    *(
        draw(3, 6, 2, long=long, note="A longer, shorter or turned direction is the same one.")
        for long in (-3.0, 1e-5, 1e5)
    ),
    *(
        draw(3, 6, 2, *more, long=0.0, note="A direction of zeros changes nothing, and so do "
             "controls of length 0.")
        for more in ((), (2.0,))
    ),
]  # fmt: skip
ANSWERS.part("strength and zero", 3, STRENGTHS, BOTH, HINT, held_out=True)
ANY = "Noise of any length but 0 gives a control of the same length."
LARGE = "Large states, or states of another type: convert to float64 first."
NOISE = [
    *(
        Draw(
            "removal",
            {"states": 2, "width": 5, "draws": 3, "silent": row},
            "A row of noise that is all zeros has no direction, so it makes no control: raise "
            "ValueError.",
            refused=True,
        )
        for row in (1, 2)
    ),
    draw(2, 5, 3, loud=1e-9, note=ANY),
    draw(2, 5, 3, 2.0, loud=1e6, note=ANY),
    draw(2, 5, 1, offset=3e4, dtype="float32", note=LARGE),
    draw(3, 4, 2, dtype="bfloat16", note=LARGE, grad=True),
    draw(3, 4, 2, size=1e5, turned=True, note=LARGE),
    draw(3, 4, 2, size=1e-5, dtype="float16", note=LARGE),
    draw(1, 2, 6, 0.5, note="One state, more rows of noise than dimensions."),
]
ANSWERS.part("noise with a direction", 2, NOISE, BOTH, HINT, held_out=True)
