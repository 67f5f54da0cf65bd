"""06.7, steering, and a control of equal size: answers, mistakes and draws (instructors only)."""

from types import SimpleNamespace

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("06.7", "steering, and a control of equal size")


def with_error(s):
    return s.decode(s.new) + s.x - s.decode(s.f)


def as_far(s):
    return s.x + s.size * s.unit


@ANSWERS.right
def steer(x, encode, decode, feature, value, random, clamp=None, back=with_error, control=as_far):
    s = SimpleNamespace(x=x, f=encode(x), decode=decode, i=feature, value=value, random=random)
    if not 0 <= feature < s.f.shape[1] or random.norm() == 0:
        raise ValueError("no such feature, or no direction")
    s.now, s.new = s.f[:, [feature]], s.f.clone()
    s.new[:, [feature]] = clamp(s.now, value) if clamp else torch.full_like(s.now, value)
    s.steered = back(s)
    s.size, s.unit = (s.steered - x).norm(dim=1, keepdim=True), random / random.norm()
    return s.steered, control(s)


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


LARGEST = "`value` is the activation itself. Do not multiply it by the largest one."
ANSWERS.variants(steer, {
    "You added `value` to the activation; clamping sets it.": lambda now, value: now + value,
    "You multiplied the activation by `value`; clamping sets it.": lambda now, value: now * value,
    "You changed only tokens on which the feature is active.": lambda now, v: now.sign() * v,
    "You only raised activations below `value`, and some lie above it.":
        lambda now, value: now.clamp(min=value),
    "You only lowered activations above `value`, and some lie below it.":
        lambda now, value: now.clamp(max=value),
    "The sign is turned round: the activation changes by value - f.": lambda now, v: 2 * now - v,
    "You removed the feature and did not set it.": lambda now, value: 0 * now,
    "You changed the last token only. Clamp the feature on every token.":
        lambda now, value: torch.cat([now[:-1], torch.full_like(now[-1:], value)]),
    LARGEST: lambda now, value: torch.full_like(now, value * now.max().item()),
}, step="clamp")  # fmt: skip
ANSWERS.variants(steer, {
    "The error of the autoencoder is lost, and more than the feature changes: add x - decode(f).":
        lambda s: s.decode(s.new),
    "Nothing changed: the error has to be that of the unclamped code, x - decode(f).":
        lambda s: s.x.clone(),
    "The error is subtracted; add x - decode(f).": lambda s: s.decode(s.new) + s.decode(s.f) - s.x,
    "You returned the feature's share alone; the rest of the state stays.":
        lambda s: s.value * row(s).expand_as(s.x),
    "You decoded the clamped feature alone; all other activations stay.":
        (only, lambda s: only(s) + s.x - s.decode(s.f)),
    "You made the direction unit length; it has the length that decode gives it.":
        lambda s: s.x + (s.value - s.now) * row(s) / row(s).norm(),
    "You added the decoder's bias once more: decode(f) of a single feature contains it.":
        lambda s: with_error(s) + s.decode(torch.zeros_like(s.f)),
}, step="back")  # fmt: skip


@ANSWERS.mistake("You changed another feature.")
def the_next_feature(x, encode, decode, feature, *given):
    return steer(x, encode, decode, (feature + 1) % encode(x).shape[1], *given)


SIZES = "The control moves each token as far as steering does, along `random`."
ANSWERS.variants(steer, {
    f"You used `random` as long as it is: divide by its length. {SIZES}":
        lambda s: s.x + s.size * s.random,
    f"You took one size for all tokens. {SIZES}": (
        lambda s: s.x + s.size.norm() * s.unit, lambda s: s.x + s.size.mean() * s.unit,
        lambda s: s.x + s.size.max() * s.unit),
    f"Its sizes are yours squared. {SIZES}": lambda s: s.x + s.size**2 * s.unit,
    f"You left out how long the direction of the feature is. {SIZES}":
        lambda s: s.x + (s.value - s.now).abs() * s.unit,
    f"You moved by `value`, whatever the activation was. {SIZES}": (
        lambda s: s.x + s.value * s.unit, lambda s: s.x + s.value * row(s).norm() * s.unit),
    f"You used the activation's change with its sign; a size is positive. {SIZES}":
        lambda s: s.x + (s.value - s.now) * row(s).norm() * s.unit,
    f"You used the length of the states. {SIZES}":
        lambda s: s.x + s.x.norm(dim=1, keepdim=True) * s.unit,
    "The control starts from x, not from the steered states.": lambda s: s.steered + s.size * s.unit,
    "The control starts from x, not from its reconstruction.":
        lambda s: s.decode(s.f) + s.size * s.unit,
    "The control is missing: you returned the states as they were.": lambda s: s.x.clone(),
    "You returned the steered states twice.": lambda s: s.steered,
    "You returned the shift alone; add it to x.": lambda s: s.size * s.unit,
    "The control moves against `random`; move along it.": lambda s: s.x - s.size * s.unit,
    "You made `random` orthogonal to the feature first. Take it as it is given.":
        lambda s: s.x + s.size * across(s),
}, step="control")  # fmt: skip


@ANSWERS.mistake("The control must not depend on how long `random` is.", held_out=True)
def safe_division(*given):
    return steer(*given, control=lambda s: s.x + s.size * s.random / (s.random.norm() + 1e-8))


@ANSWERS.mistake("Clamping to 0 changes the tokens on which the feature is active.", held_out=True)
def no_value_no_change(x, encode, decode, feature, value, random):
    return steer(x, encode, decode, feature, value, random) if value else (x, x)


@ANSWERS.witness(SIZES)
def by_absolute_entries(*given):
    return steer(*given, control=lambda s: s.x + (s.steered - s.x).abs().sum(1, True) * s.unit)


def draw(*sizes, times=1.0, note="", observe="", refused=False, tolerance=1e-6, **options):
    given = {"sizes": sizes, "times": times} | options
    return Draw("steering", given, note, tolerance, observe=observe, refused=refused)


CLAMP = "The rule: decode the code with the feature set to `value`, plus the error x - decode(f)."
CONTROL = f"{SIZES} That is x + ||steered - x|| * random / ||random||, token by token."
SETS = (6, 5, 4, 0.5), (4, 3, 6, 5.0), (5, 4, 9, 2.0)
STEERED = [draw(*sizes, times=times, observe="first_of_two") for *sizes, times in SETS]
ANSWERS.part("clamped, with the error kept", 5, STEERED, CLAMP)
SETS = (4, 5, 6, 3.0), (6, 3, 4, 0.6), (3, 4, 8, 1.5)
MOVED = [draw(*sizes, times=times, observe="second_of_two") for *sizes, times in SETS]
ANSWERS.part("a random direction", 3, MOVED, CONTROL)
BOTH = f"{CLAMP} {CONTROL}"
NOTE = "The feature is ablated (0), or clamped to the activation that a token has."
NOTHING = [draw(5, 4, 7, times=times, note=NOTE) for times in (0.0, 1.0)]
NOTHING += [draw(1, 4, 7, note="Clamped to the activation it has, a token stays, and its control.")]
SHORT = "The control must not depend on how long `random` is."
NOTHING += [draw(5, 4, 7, times=2.0, length=length, note=SHORT) for length in (1e-6, 1e-12, 1e5)]
NOTHING += [draw(5, 4, 7, times=2.0, turned=True), draw(4, 3, 5, times=1e5), draw(5, 1, 3)]
NOTHING += [draw(5, 4, 7, times=2.0, dtype="float32", tolerance=1e-5, note="Float32.")]
ANSWERS.part("ablation, and nothing to change", 2, NOTHING, BOTH, held_out=True)
EXIST = [draw(4, 3, 5, times=0.7, place=place, note=f"Feature {place} of 5.") for place in (0, 4)]
WHY = "There is no feature {} among 5 (Python would count -1 from the end): raise ValueError."
EXIST += [draw(4, 3, 5, place=i, refused=True, note=WHY.format(i)) for i in (5, -1, -5)]
ZERO = "A random vector of length 0 has no direction: raise ValueError."
EXIST += [draw(4, 3, 5, length=0.0, refused=True, note=ZERO)]
ANSWERS.part("features that exist", 2, EXIST, BOTH, held_out=True)
