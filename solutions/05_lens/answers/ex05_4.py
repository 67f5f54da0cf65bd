"""05.4, removing what the lens reads: answers, mistakes and draws (instructors only)."""

from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.4", "removing what the lens reads")
right, other, mistake = ANSWERS.right, ANSWERS.other, ANSWERS.mistake


def component(x, d):
    return torch.outer(x @ d / d.dot(d), d)


def lengths(x):
    return x.norm(dim=1, keepdim=True)


def unit_rows(noise):
    if (lengths(noise) == 0).any():
        raise ValueError("a row of noise is all zeros and has no direction")
    return noise / lengths(noise)


@right
def remove_and_control(x, d, noise, strength=1.0, gone=component, unit=unit_rows, size=None):
    """Mistakes replace the last three; ``size(change, x, d, strength, rows)`` gives lengths."""
    x, d, rows = x.double(), d.double(), unit(noise.double())
    change = -strength * gone(x, d) if d.any() else torch.zeros_like(x)
    long = size(change, x, d, strength, rows) if size else lengths(change)
    return x + change, x.unsqueeze(1) + long[:, :, None] * rows


@other
def removal_by_projector(states, direction, noise, strength=1.0):
    x, d, r = (t.detach().double().numpy() for t in (states, direction, noise))
    if (np.abs(r).sum(1) == 0).any():
        raise ValueError("no direction")
    change = -strength * x @ np.outer(d, d) / max(d @ d, 1e-300)
    r = r / np.sqrt((r**2).sum(1, keepdims=True))
    return x + change, x[:, None] + np.einsum("n,rd->nrd", np.sqrt((change**2).sum(1)), r)


def after(compute):
    """``compute(x, changed, controls)`` in place of what is right."""
    return lambda x, *given: compute(x.double(), *remove_and_control(x, *given))


# What is wrong in the controls alone. Mistakes that show in both numbers come later: of two that
# explain the controls equally well, the first is named.
# fmt: off
for message, compute in {
    "The controls are the changes alone; add the states.": lambda x, y, z: (y, z - x[:, None]),
    "The random changes are added to the changed states. A control changes the state in a random "
    "direction instead, not in addition.": lambda x, y, z: (y, z + (y - x)[:, None]),
    "You subtracted the random changes; add them.": lambda x, y, z: (y, 2 * x[:, None] - z),
    "All rows of noise were added together.":
        lambda x, y, z: (y, 0 * z + x[:, None] + (z - x[:, None]).sum(1, keepdim=True)),
}.items():
    mistake(message, after(compute))
LONG = "The random changes are to be as long as the change of their state."
for message, *sizes in (
    ("Yours have length 1.", lambda c, x, d, s, r: torch.ones(len(x), 1)),
    ("Yours are as long as the state.", lambda c, x, d, s, r: lengths(x)),
    ("Yours are as long as the changed state.", lambda c, x, d, s, r: lengths(x + c)),
    ("Yours are as long as the direction.", lambda c, x, d, s, r: d.norm().expand(len(x), 1)),
    ("All states get changes of one length.", lambda c, x, d, s, r: c.norm().expand(len(x), 1),
     lambda c, x, d, s, r: lengths(c).mean().expand(len(x), 1)),
    ("You removed a random direction, of which a state has little.",
     lambda c, x, d, s, r: -s * x @ r.T, lambda c, x, d, s, r: -x @ r.T),
    ("A length is never negative: the component has a sign, which turns your changes round.",
     lambda c, x, d, s, r: s * x @ d.unsqueeze(1) / d.norm(),
     lambda c, x, d, s, r: -s * x @ d.unsqueeze(1) / d.norm()),
    ("The squared length was used; take the root.", lambda c, x, d, s, r: lengths(c).square()),
    ("The strength is missing in their length.", lambda c, x, d, s, r: lengths(c) / s),
):
    mistake(f"{LONG} {message}", *(partial(remove_and_control, size=size) for size in sizes))
ONES = {"size": lambda c, x, d, s, r: torch.ones(len(x), 1)}
ANSWERS.variants(remove_and_control, {
    "The noise is multiplied by a length but not brought to length 1 first.": {"unit": lambda r: r},
    "The noise is added as it is. Scale each row.": {"unit": lambda r: r} | ONES,
    "You scaled the noise by its length over all rows.": {"unit": lambda r: r / r.norm()},
    "You scaled each dimension of the noise, not each row.": {"unit": lambda r: r / r.norm(dim=0)},
})
# What is wrong in the changed states, and often in the length of the controls with it.
for message, *gone in (
    ("The direction is not of length 1. The component along d is (x . d / d . d) d.",
     lambda x, d: torch.outer(x @ d, d), lambda x, d: torch.outer(x @ d, d) / d.norm()),
    ("You divided by the length of the direction twice as often as needed; d . d is its square.",
     lambda x, d: component(x, d) / d.dot(d)),
    ("You divided by the squared length of the state; divide by that of the direction.",
     lambda x, d: torch.outer(x @ d, d) / lengths(x).square()),
    ("You took the absolute value of the component: it may be negative.",
     lambda x, d: torch.outer((x @ d).abs() / d.dot(d), d)),
    ("You took the direction itself away, whatever the state has of it.",
     lambda x, d: d + 0 * x, lambda x, d: d / d.norm() + 0 * x),
    ("Each state has its own component along the direction; you used one for all states.",
     lambda x, d: component(x, d).mean(0) + 0 * x, lambda x, d: component(x, d)[0] + 0 * x),
    ("You took off each state's own size times the direction; take off its component.",
     lambda x, d: lengths(x) * d / d.norm()),
    ("The component was measured from the mean of the states; measure it from 0.",
     lambda x, d: component(x - x.mean(0), d)),
):
    mistake(message, *(partial(remove_and_control, gone=one) for one in gone))
for message, changed in {
    "You kept the component and removed the rest.": lambda x, y: x - y,
    "You added the component; take it away.": lambda x, y: 2 * x - y,
    "You set whole dimensions to 0. Only the component along d goes.": lambda x, y: 0 * x,
    "You brought the changed states back to their old length; that changes all other directions.":
        lambda x, y: y * lengths(x) / lengths(y),
}.items():
    mistake(message, after(lambda x, y, z, f=changed: (f(x, y), z)))
for message, change in {
    "You subtracted the mean of the states first.":
        lambda x, d, r, s=1.0: remove_and_control(x - x.mean(0), d, r, s),
    "The strength makes no difference: it multiplies what is taken away.":
        lambda x, d, r, s=1.0: remove_and_control(x, d, r),
    "The strength multiplies the whole state; it multiplies what is taken away.":
        lambda x, d, r, s=1.0: [s * remove_and_control(x, d, r)[0], remove_and_control(x, d, r)[1]],
}.items():
    mistake(message, change, lambda *x, f=change: (f(*x)[0], remove_and_control(*x)[1]))
# fmt: on


def draw(states, width, draws, *more, note="", see="", refused=False, **options):
    options |= {"states": states, "width": width, "draws": draws, "more": list(more)}
    return Draw("removal", options, note, 1e-8, observe=see, refused=refused)


CHANGED = "Changed states: x - strength (x . d / d . d) d, in float64."
CONTROLS = "controls[n, r] is states[n] plus noise[r], as long as the change of state n."
SIZES = ((4, 5, 2, 1.0), (3, 8, 4, 1.0), (5, 6, 3, 2.0))
DRAWN = [draw(*size, see="first_of_two", grad=size[0] == 4) for size in SIZES]
ANSWERS.part("the direction is gone", 5, DRAWN, CHANGED)
DRAWN = [draw(*size, see="second_of_two") for size in SIZES]
ANSWERS.part("random changes as long", 4, DRAWN, CONTROLS)
SAME = "A longer, shorter or turned direction is the same one."
ZEROS = "A direction of zeros changes nothing, and so do controls of length 0."
STRENGTHS = [
    *(draw(3, 6, 2, s, note=f"The strength is {s}.") for s in (0.0, 0.5, 1.5, 2.0)),
    draw(3, 6, 2, note="Without `strength` it is 1."),
    *(draw(3, 6, 2, long=long, note=SAME) for long in (-3, 1e-5, 1e5, [0, 1, 0, 1, 1, 1])),
    *(draw(3, 6, 2, *more, long=0, note=ZEROS) for more in ((), (2.0,))),
]
ANSWERS.part("strength and zero", 3, STRENGTHS, f"{CHANGED} {CONTROLS}", held_out=True)
SILENT = "A row of noise that is all zeros has no direction: raise ValueError."
ANY = "Noise of any length but 0 gives a control of the same length."
LARGE = "Large states, or states of another type: convert to float64 first."
NOISE = [
    *(draw(2, 5, 3, silent=row, note=SILENT, refused=True) for row in (1, 2)),
    *(draw(2, 5, 3, 2.0, loud=loud, note=ANY) for loud in (1e-9, 1e6)),
    draw(2, 5, 1, offset=3e4, dtype="float32", note=LARGE),
    *(draw(3, 4, 2, dtype=kind, end="float32", note=LARGE) for kind in ("bfloat16", "float16")),
    *(draw(3, 4, 2, size=size, turned=True, note=LARGE) for size in (1e5, 1e-5)),
    draw(1, 2, 6, 0.5, note="One state, more rows of noise than dimensions."),
]
ANSWERS.part("noise with a direction", 2, NOISE, f"{CHANGED} {CONTROLS}", held_out=True)
