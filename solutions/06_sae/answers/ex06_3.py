"""06.3, a step with directions of length 1: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("06.3", "a step with directions of length 1")


def rows(table, axis=1):
    return table / table.norm(dim=axis, keepdim=True)


def part_along(g, u):
    return (g * u).sum(1, keepdim=True) * u


def without(g, u):
    return g - part_along(g, u)


@ANSWERS.right
def decoder_step(decoder, gradient, rate, unit=rows, across=without, length=rows):
    if bool((decoder.norm(dim=1) == 0).any()):
        raise ValueError("a direction of length 0")
    here = unit(decoder)
    return length(here - rate * across(gradient, here))


@ANSWERS.other
def with_projectors(decoder, gradient, rate):
    found = []
    for row, slope in zip(decoder.numpy(), gradient.numpy(), strict=True):
        if not (size := np.linalg.norm(row)):
            raise ValueError("no direction")
        u = row / size
        v = u - rate * (np.eye(len(u)) - np.outer(u, u)) @ slope
        found.append(v / np.linalg.norm(v))
    return np.array(found)


EACH, WHOLE = "each row gets the length 1", "the part of the gradient along the direction"
ANSWERS.variants(decoder_step, length={
    "Row lengths differ: each is divided by its length at the very end.": torch.clone,
    "You normalised the columns. Row i of the decoder is a direction.": lambda t: rows(t, 0),
    f"You normalised the decoder as a whole; {EACH}.": lambda t: t / t.norm(),
    f"You divided by the longest row; {EACH}.": lambda t: t / t.norm(dim=1).max(),
    "The absolute entries of each row sum to 1: no length.": lambda t: t / t.abs().sum(1, True),
})  # fmt: skip
ANSWERS.variants(decoder_step, across={
    f"You moved along the whole gradient and normalised afterwards. First remove {WHOLE}.":
        lambda g, u: g,
    "You added the part along the direction; subtract it.": lambda g, u: g + part_along(g, u),
    f"You kept {WHOLE}, and removed the other one.": lambda g, u: part_along(g, u) + 1e-9 * g,
    "You summed over the features; the sum is over d.": lambda g, u: g - (g * u).sum(0) * u,
    "You took one inner product for the whole decoder.": lambda g, u: g - (g * u).sum() * u,
    "You made the gradient unit length. The step keeps the size of the gradient.":
        (lambda g, u: rows(without(g, u)), lambda g, u: rows(g), lambda g, u: without(rows(g), u)),
    "You divided by the length of the gradient.": lambda g, u: g - part_along(rows(g), u),
})  # fmt: skip
for message, wrong in {
    "The rate is missing.": lambda d, g, rate: decoder_step(d, g, 1),
    "You climbed. A step goes against the gradient.": lambda d, g, rate: decoder_step(d, g, -rate),
    "You climbed, and along the whole gradient.": lambda d, g, rate: rows(rows(d) + rate * g),
    "The decoder did not move although the gradient is not 0.": lambda d, g, rate: rows(d),
    "You did the step twice.": lambda d, g, r: decoder_step(decoder_step(d, g, r), g, r),
}.items():
    ANSWERS.mistake(message, wrong)


@ANSWERS.mistake(f"You removed {WHOLE} from the new rows and not from the gradient.")
def removes_afterwards(*given):
    return rows(without(decoder_step(*given, across=lambda g, u: g), rows(given[0])))


LENGTH = "Rows of another length than 1 are divided by their length before the step."
ANSWERS.variants(decoder_step, unit={
    "A short row points somewhere too: divide it by its length, whatever that is.": (
        lambda t: t / (t.norm(dim=1, keepdim=True) + 1e-8),
        lambda t: torch.nn.functional.normalize(t, eps=1e-6)),
    LENGTH: torch.clone,
}, held_out=True)  # fmt: skip


@ANSWERS.mistake(
    "The part along a row is (g . u) u with u of length 1. Divide the rows first.", held_out=True
)
def trusts_the_rows(decoder, gradient, rate):
    along = part_along(gradient, decoder)
    return decoder_step(decoder, gradient, rate, across=lambda g, u: g - along)


@ANSWERS.mistake(LENGTH, held_out=True)
def steps_from_long_rows(decoder, gradient, rate):
    return rows(decoder - rate * without(gradient, rows(decoder)))


def draw(*sizes, note="", tolerance=1e-6, observe="", refused=False, **options):
    return Draw("directions", {"sizes": sizes} | options, note, tolerance, 0.0, observe, refused)


RULE = "The rule: gradient minus its part along the row; row minus rate times that; length 1."
SEEN = {"observe": "lengths_and_motion"}
LENGTHS = [
    draw(5, 4, rate=0.3, **SEEN),
    draw(3, 6, rate=0.05, **SEEN),
    draw(4, 4, rate=1.0, **SEEN),
]
ANSWERS.part("length 1 after the step", 3, LENGTHS, "The rule: rows move, and have the length 1.")
STEPS = [draw(5, 4, rate=0.4), draw(3, 6, rate=0.1), draw(4, 4, rate=1.5)]
ANSWERS.part("along and across the direction", 5, STEPS, RULE)
STILL = "A gradient along the row, or of 0 (a dead feature), changes nothing, however large."
SIZES = (4, 3), (2, 5), (1, 2)
ANY = [draw(*sizes, rate=0.6, longest=9.0, note=LENGTH) for sizes in SIZES]
ANY += [draw(5, 4, rate=0.5, along=along, note=STILL) for along in (-1.0, 40.0)]
RATES = (0.5, 1e-5), (1e-5, 1e5), (2.0, 1e5), (0.0, 1.0)
ANY += [draw(4, 3, rate=rate, steep=steep, longest=2.0) for rate, steep in RATES]
ANY += [draw(3, 1, rate=0.2), draw(5, 3, rate=0.7, longest=3.0, turned=True)]
ANY += [draw(4, 3, rate=0.6, longest=3.0, dtype="float32", tolerance=1e-5, note="Float32.")]
ANSWERS.part("rows of any length", 2, ANY, RULE, held_out=True)
TINY = [draw(4, 3, rate=0.2, longest=longest, note=LENGTH) for longest in (1e-9, 1e-30, 1e20)]
WHY = "A row of zeros has no direction and would become nan: raise ValueError."
TINY += [draw(4, 3, rate=0.2, blank=[row], refused=True, note=WHY) for row in (0, 3)]
ANSWERS.part("rows that point nowhere", 2, TINY, RULE, held_out=True)
