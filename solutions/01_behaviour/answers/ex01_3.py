"""01.3, minimal-pair accuracy and ties: answers, mistakes and draws (instructors only)."""

import math
from functools import partial

import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.3", "minimal-pair accuracy and ties")
WORTH = {"half": 0.5, "wrong": 0.0, "right": 1.0}


def holds_nan(scores):
    return scores.isnan().any()


def keeps(scores):
    return False


def points(good, bad, ties="half", *, worth=WORTH, tied=torch.eq, refuse=holds_nan):
    """What each pair is worth, [N]."""
    if ties not in worth:
        raise ValueError(f"ties must be 'half', 'wrong' or 'right', not {ties!r}")
    if refuse(good) or refuse(bad):
        raise ValueError("a score is nan, and nan compares false with every number")
    return torch.where(tied(good, bad), worth[ties], (good > bad).double())


def accuracy(*given, **options):
    return points(*given, **options).mean().item()


@ANSWERS.right
def minimal_pair_accuracy(good, bad, ties="half"):
    return accuracy(good, bad, ties)


@ANSWERS.other
def counting(good, bad, ties="half"):
    worth, won = {"half": 0.5, "wrong": 0, "right": 1}, 0
    if ties not in worth or any(math.isnan(x) for x in [*good, *bad]):
        raise ValueError(ties)
    for g, b in zip(good.tolist(), bad.tolist(), strict=True):
        won += worth[ties] if g == b else g > b
    return won / len(good)


@ANSWERS.other
def between_two_bounds(good, bad, ties="half"):
    least, most = (good > bad).float().mean(), (good >= bad).float().mean()
    if torch.isnan(torch.cat([good, bad])).any() or ties not in ("half", "wrong", "right"):
        raise ValueError(ties)
    return {"half": (least + most) / 2, "wrong": least, "right": most}[ties]


def always(value):
    return {"worth": dict.fromkeys(WORTH, value)}


SWAPPED = "ties='right' and ties='wrong' are swapped: 'right' counts a tied pair as one."
ANSWERS.variants(
    accuracy,
    {
        "Your tied pairs are counted as right, whatever `ties` says.": always(1.0),
        "Your tied pairs are counted as wrong, whatever `ties` says.": always(0.0),
        "Your tied pairs are counted as half a point, whatever `ties` says.": always(0.5),
        SWAPPED: {"worth": {"half": 0.5, "wrong": 1.0, "right": 0.0}},
        "Scores that differ a little are no tie: only equal ones are.": {"tied": torch.isclose},
    },
)
mistake = ANSWERS.mistake
TURNED = (
    "You counted the pairs in which the bad sentence scores higher. The score nearer to 0 wins."
)
PAIRWISE = "You compared the averages of all scores. Compare pair by pair, then average."
mistake(TURNED, lambda good, bad, *ties: accuracy(bad, good, *ties))
mistake("This is a count; divide by the number of pairs.", lambda *x: points(*x).sum())
mistake("This is a percentage; return a share between 0 and 1.", lambda *x: 100 * accuracy(*x))
mistake(PAIRWISE, lambda good, bad, *ties: accuracy(good.mean()[None], bad.mean()[None], *ties))


@mistake("You left the tied pairs out; they stay in the denominator.")
def without_ties(good, bad, *ties):
    keep = good != bad
    return accuracy(good[keep], bad[keep], *ties)


UNKNOWN = "An unknown value of ties must raise ValueError."
DEFAULT = "A suite of identical pairs must give 0.5 by default (ties='half')."
NAN = "A nan score must raise ValueError: it compares false with everything and passes for wrong."
MINUS = "You subtracted the scores: -inf minus -inf is nan. Compare them instead."
held_out = partial(mistake, held_out=True)
held_out(UNKNOWN, partial(accuracy, worth=WORTH | {"random": 0.0, "": 0.0}))
held_out(UNKNOWN, partial(accuracy, worth=WORTH | {"random": 0.5, "": 0.5}))
held_out(DEFAULT, lambda good, bad, ties="wrong": accuracy(good, bad, ties))
held_out(DEFAULT, lambda good, bad, ties="right": accuracy(good, bad, ties))
held_out(NAN, partial(accuracy, refuse=keeps))
held_out(NAN, lambda good, bad, *ties: accuracy(good.nan_to_num(), bad.nan_to_num(), *ties))
held_out(MINUS, lambda a, b, *ties: accuracy(a - b, torch.zeros(len(a)), *ties, refuse=keeps))
ANSWERS.witness("A pair is worth")(lambda *given: round(accuracy(*given), 4))

RULE = (
    "A pair is worth 1 if its good sentence scores higher; the accuracy is the mean of all pairs."
)


def draw(right, wrong, tied, ties, note="", refused=False, **options):
    options = {"right": right, "wrong": wrong, "tied": tied, "ties": ties} | options
    return Draw("pair_scores", options, note, 1e-6, refused=refused)


SHARES = [draw(3, 1, 0, "half"), draw(2, 9, 0, "wrong"), draw(10, 0, 0, "right")]
SHARES += [draw(17, 8, 0, "half", dtype="float64"), draw(1, 0, 0, "half")]
ANSWERS.part("share of pairs", 3, SHARES, RULE)
TIES = [
    draw(right, wrong, tied, ties, f"Here ties={ties!r}.", near=2)
    for right, wrong, tied in ((4, 3, 5), (3, 6, 2))
    for ties in WORTH
]
ANSWERS.part("three ways with ties", 4, TIES, f"{RULE} Equal scores count as `ties` says.")
DEFAULTS = [
    *(draw(*numbers, None, "The default is ties='half'.") for numbers in ((0, 0, 6), (3, 5, 7))),
    draw(3, 2, 4, "half", "Some scores are -inf on both sides: a tie.", infinite=2),
    draw(3, 1, 2, "wrong", "The smallest differences of float64.", dtype="float64", near=2),
    draw(3, 4, 3, "right", dtype="bfloat16"),
    *(draw(2, 1, 1, bad, UNKNOWN, True) for bad in ("random", "")),
]
ANSWERS.part("defaults", 2, DEFAULTS, RULE, held_out=True)
NANS = [draw(3, 2, 1, "wrong", NAN, True, nan=side) for side in ("good", "bad")]
ANSWERS.part("nan scores", 1, NANS, RULE, held_out=True)
