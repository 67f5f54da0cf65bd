"""06.7, steering, and a control of equal size: answers, mistakes and draws (instructors only)."""

from types import SimpleNamespace

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("06.7", "steering, and a control of equal size")


def with_error(s):
    return s.decode(s.new) + s.x - s.decode(s.f)


def size_of(s):
    return s.size


@ANSWERS.right
def steer(x, encode, decode, feature, value, random, back=with_error, far=size_of, **step):
    s = SimpleNamespace(x=x, f=encode(x), decode=decode, i=feature, value=value, random=random)
    if not 0 <= feature < s.f.shape[1] or random.norm() == 0:
        raise ValueError("no such feature, or no direction")
    s.now, s.new = s.f[:, [feature]], s.f.clone()
    s.new[:, [feature]] = step["clamp"](s) if "clamp" in step else value
    s.steered = back(s)
    s.size, s.unit = (s.steered - x).norm(dim=1, keepdim=True), random / random.norm()
    return s.steered, step["control"](s) if "control" in step else x + far(s) * s.unit


@ANSWERS.other
def by_direction(x, encode, decode, feature, value, random):
    f = encode(x).numpy()
    if feature < 0 or feature >= f.shape[1] or float(random @ random) == 0:
        raise ValueError
    pair = np.zeros((2, f.shape[1]))
    pair[1, feature] = 1
    zero, one = decode(torch.tensor(pair)).numpy()
    change = np.outer(value - f[:, feature], one - zero)
    sizes = abs(value - f[:, feature]) * np.linalg.norm(one - zero)
    return x.numpy() + change, x.numpy() + np.outer(sizes, random / np.linalg.norm(random))


def only(s):
    """The code of the clamped feature alone."""
    code = torch.zeros_like(s.f)
    code[:, s.i] = s.value
    return s.decode(code)


def row(s):
    """The direction of the feature, as decode has it."""
    code = torch.zeros(2, s.f.shape[1], dtype=s.f.dtype)
    code[1, s.i] = 1
    zero, one = s.decode(code)
    return one - zero


def across(s):
    rest = s.random - (s.random @ row(s)) / row(s).norm() ** 2 * row(s)
    return rest / rest.norm()


ANSWERS.mistake("Clamping to 0 changes the tokens on which the feature is active.",
                lambda *all: steer(*all) if all[4] else all[:1] * 2, held_out=True)  # fmt: skip
SIZES = "The control moves each token as far as steering does, along `random`."
ANSWERS.variants(steer, far={
    f"You took one size for all tokens. {SIZES}":
        (lambda s: s.size.norm(), lambda s: s.size.mean(), lambda s: s.size.max()),
    f"Its sizes are yours squared. {SIZES}": lambda s: s.size**2,
    f"You left out the length of the direction. {SIZES}": lambda s: (s.value - s.now).abs(),
    f"You moved by `value`, whatever the activation was. {SIZES}":
        (lambda s: s.value, lambda s: s.value * row(s).norm()),
    f"A size is positive; yours has a sign. {SIZES}": lambda s: (s.value - s.now) * row(s).norm(),
    f"You used the length of the states. {SIZES}": lambda s: s.x.norm(dim=1, keepdim=True),
    "The control is missing: you returned the states as they were.": lambda s: 0,
    "The control moves against `random`; move along it.": lambda s: -s.size,
})  # fmt: skip
ANSWERS.variants(steer, control={
    f"You used `random` as long as it is. {SIZES}": lambda s: s.x + s.size * s.random,
    "The control starts from x, not from the steered.": lambda s: s.steered + s.size * s.unit,
    "The control starts from x, not from decode(f).": lambda s: s.decode(s.f) + s.size * s.unit,
    "You returned the steered states twice.": lambda s: s.steered,
    "You returned the shift alone; add it to x.": lambda s: s.size * s.unit,
    "You made `random` orthogonal to the feature first.": lambda s: s.x + s.size * across(s),
})  # fmt: skip
ANSWERS.variants(steer, clamp={
    "You added `value` to the activation; clamping sets it.": lambda s: s.now + s.value,
    "You multiplied the activation by `value`; clamping sets it.": lambda s: s.now * s.value,
    "You changed only tokens on which the feature is active.": lambda s: s.now.sign() * s.value,
    "You only raised activations below `value`.": lambda s: s.now.clamp(min=s.value),
    "You only lowered activations above `value`.": lambda s: s.now.clamp(max=s.value),
    "The sign is turned round: it changes by value - f.": lambda s: 2 * s.now - s.value,
    "You removed the feature and did not set it.": lambda s: 0,
    "You changed the last token only.": lambda s: torch.cat([s.now[:-1], 0 * s.now[-1:] + s.value]),
    "`value` is the activation itself, not times the largest.": lambda s: s.value * s.now.max(),
})  # fmt: skip
ANSWERS.variants(steer, back={
    "The error of the autoencoder is lost: add x - decode(f).": lambda s: s.decode(s.new),
    "Nothing changed: the error is that of the unclamped code.": lambda s: s.x.clone(),
    "The error is subtracted; add x - decode(f).": lambda s: s.decode(s.new) + s.decode(s.f) - s.x,
    "You returned the feature's share alone.": lambda s: s.value * row(s).expand_as(s.x),
    "You decoded the clamped feature alone; all other activations stay.":
        (only, lambda s: only(s) + s.x - s.decode(s.f)),
    "You made the direction unit length; it has the length that decode gives it.":
        lambda s: s.x + (s.value - s.now) * row(s) / row(s).norm(),
    "You added the decoder's bias once more: decode(f) of a single feature contains it.":
        lambda s: with_error(s) + s.decode(torch.zeros_like(s.f)),
})  # fmt: skip


SHORT = "The control must not depend on how long `random` is."
ANSWERS.variants(steer, held_out=True, control={
    SHORT: lambda s: s.x + s.size * s.random / (s.random.norm() + 1e-8),
})  # fmt: skip


@ANSWERS.mistake("You changed another feature.")
def the_next_feature(x, encode, decode, feature, *given):
    return steer(x, encode, decode, (feature + 1) % encode(x).shape[1], *given)


@ANSWERS.witness(SIZES)
def by_absolute_entries(*given):
    return steer(*given, far=lambda s: (s.steered - s.x).abs().sum(1, keepdim=True))


def draw(*sizes, note="", tolerance=1e-6, observe="", refused=False, **options):
    return Draw("steering", {"sizes": sizes} | options, note, tolerance, 0.0, observe, refused)


CLAMP = "The rule: decode the code with the feature set to `value`, plus the error x - decode(f)."
CONTROL = f"{SIZES} That is x + ||steered - x|| * random / ||random||, token by token."
SETS = (6, 5, 4, 0.5), (4, 3, 6, 5.0), (5, 4, 9, 2.0)
STEERED = [draw(*sizes, times=times, observe="first_of_two") for *sizes, times in SETS]
ANSWERS.part("clamped, with the error kept", 5, STEERED, CLAMP)
SETS = (4, 5, 6, 3.0), (6, 3, 4, 0.3), (3, 4, 8, 1.5)
MOVED = [draw(*sizes, times=times, observe="second_of_two") for *sizes, times in SETS]
ANSWERS.part("a random direction", 3, MOVED, CONTROL)
BOTH = f"{CLAMP} {CONTROL}"
NOTE = "The feature is ablated (0), or clamped to the activation that a token has."
NOTHING = [draw(5, 4, 7, times=times, note=NOTE) for times in (0.0, 1.0)]
NOTHING += [
    draw(
        1, 4, 7, times=1.0, note="Clamped to the activation it has, a token stays, and its control."
    )
]
NOTHING += [draw(5, 4, 7, times=2.0, length=length, note=SHORT) for length in (1e-6, 1e-12, 1e5)]
NOTHING += [
    draw(5, 4, 7, times=2.0, turned=True),
    draw(4, 3, 5, times=1e5),
    draw(5, 1, 3, times=2.0),
]
NOTHING += [draw(5, 4, 7, times=2.0, dtype="float32", tolerance=1e-5, note="Float32.")]
ANSWERS.part("ablation, and nothing to change", 2, NOTHING, BOTH, held_out=True)
EXIST = [draw(4, 3, 5, times=0.7, place=place, note=f"Feature {place} of 5.") for place in (0, 4)]
WHY = "There is no feature {} among 5 (Python would count -1 from the end): raise ValueError."
EXIST += [draw(4, 3, 5, times=1.0, place=i, refused=True, note=WHY.format(i)) for i in (5, -1, -5)]
ZERO = "A random vector of length 0 has no direction: raise ValueError."
EXIST += [draw(4, 3, 5, times=1.0, length=0.0, refused=True, note=ZERO)]
ANSWERS.part("features that exist", 2, EXIST, BOTH, held_out=True)
