"""01.3, minimal-pair accuracy and ties: answers, mistakes and draws (instructors only)."""

import math

import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.3", "minimal-pair accuracy and ties")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness
WORTH = {"half": 0.5, "wrong": 0.0, "right": 1.0}


def level(good, bad):
    return good == bad


def points(good, bad, ties="half", *, worth=WORTH, tied=level, refuse_nan=True):
    """What each pair is worth, [N]."""
    if ties not in worth:
        raise ValueError(f"ties must be 'half', 'wrong' or 'right', not {ties!r}")
    if refuse_nan and (good.isnan().any() or bad.isnan().any()):
        raise ValueError("a score is nan, and nan compares false with every number")
    return torch.where(tied(good, bad), worth[ties], (good > bad).double())


def accuracy(*given, **options):
    return points(*given, **options).mean().item()


@right
def minimal_pair_accuracy(good, bad, ties="half"):
    return accuracy(good, bad, ties)


@other
def counting(good, bad, ties="half"):
    worth, won = {"half": 0.5, "wrong": 0, "right": 1}, 0
    if ties not in worth:
        raise ValueError(ties)
    for g, b in zip(good.tolist(), bad.tolist(), strict=True):
        if math.isnan(g) or math.isnan(b):
            raise ValueError("nan")
        won += worth[ties] if g == b else g > b
    return won / len(good)


@other
def between_two_bounds(good, bad, ties="half"):
    least, most = (good > bad).float().mean(), (good >= bad).float().mean()
    if torch.isnan(torch.cat([good, bad])).any():
        raise ValueError("nan")
    if ties == "half":
        return (least + most) / 2
    if ties == "wrong":
        return least
    if ties == "right":
        return most
    raise ValueError(ties)


ANSWERS.variants(
    accuracy,
    {
        f"Your tied pairs are always counted as {says}; `ties` says what they are worth.": {
            "worth": dict.fromkeys(WORTH, value)
        }
        for says, value in {"right": 1.0, "wrong": 0.0, "half a point": 0.5}.items()
    },
)
ANSWERS.variants(
    accuracy,
    {
        "ties='right' and ties='wrong' are swapped: 'right' counts a tied pair as one.": {
            "worth": {"half": 0.5, "wrong": 1.0, "right": 0.0}
        },
        "You called scores tied that differ a little: only equal scores are a tie.": {
            "tied": torch.isclose
        },
    },
)
mistake(
    "You counted the pairs in which the bad sentence scores higher. Log-probabilities are "
    "negative: the larger (nearer to 0) is the more probable.",
    lambda good, bad, *ties: accuracy(bad, good, *ties),
)
mistake(
    "This is a count; divide by the number of pairs.", lambda *given: points(*given).sum().item()
)
mistake(
    "This is a percentage; return a share between 0 and 1.", lambda *given: 100 * accuracy(*given)
)
mistake(
    "You compared the averages of all scores. Compare pair by pair, then average.",
    lambda good, bad, *ties: accuracy(good.mean()[None], bad.mean()[None], *ties),
)


@mistake("You left the tied pairs out; they stay in the denominator.")
def without_ties(good, bad, ties="half"):
    keep = good != bad
    return accuracy(good[keep], bad[keep], ties)


ANY = WORTH | dict.fromkeys(["random", "Half", "", "skip"], 0.0)
mistake(
    "An unknown value of ties must raise ValueError.",
    lambda good, bad, ties="half": accuracy(good, bad, ties, worth=ANY),
    lambda good, bad, ties="half": accuracy(good, bad, ties if ties in WORTH else "half"),
    held_out=True,
)
mistake(
    "A suite of identical pairs must give 0.5 by default (ties='half').",
    lambda good, bad, ties="wrong": accuracy(good, bad, ties),
    lambda good, bad, ties="right": accuracy(good, bad, ties),
    held_out=True,
)
mistake(
    "A nan score must raise ValueError: it compares false with everything and would pass for a "
    "wrong answer.",
    lambda good, bad, ties="half": accuracy(good, bad, ties, refuse_nan=False),
    lambda good, bad, ties="half": accuracy(good.nan_to_num(), bad.nan_to_num(), ties),
    held_out=True,
)
mistake(
    "You subtracted the scores: -inf minus -inf is nan. Compare them instead.",
    lambda good, bad, *ties: accuracy(good - bad, bad - bad, *ties, refuse_nan=False),
    held_out=True,
)


@witness("A pair is worth")
def rounded(good, bad, ties="half"):
    return round(accuracy(good, bad, ties), 4)


def draw(right, wrong, tied, ties, note="", refused=False, **options):
    options = {"right": right, "wrong": wrong, "tied": tied, "ties": ties} | options
    return Draw("pair_scores", options, note, 1e-6, refused=refused)


RULE = (
    "A pair is worth 1 if its good sentence scores higher and 0 if its bad one does, and the "
    "accuracy is the mean over all pairs."
)
SHARES = [
    draw(3, 1, 0, "half"), draw(2, 9, 0, "wrong"), draw(10, 0, 0, "right"),
    draw(17, 8, 0, "half", dtype="float64"), draw(1, 0, 0, "half"),
]  # fmt: skip
ANSWERS.part("share of pairs", 3, SHARES, RULE)
TIES = [
    draw(right, wrong, tied, ties, f"Here ties={ties!r}.", near=2)
    for right, wrong, tied in ((4, 3, 5), (3, 6, 2))
    for ties in WORTH
]
ANSWERS.part("three ways with ties", 4, TIES, f"{RULE} Equal scores count as `ties` says.")
DEFAULTS = [
    draw(0, 0, 6, None, "All pairs are tied, and ties='half' is the default."),
    draw(3, 5, 7, None, "Without a word about it ties is 'half'."),
    draw(3, 2, 4, "half", "Some scores are -inf on both sides: a tie.", infinite=2),
    draw(3, 1, 2, "wrong", "The smallest differences of float64.", dtype="float64", near=2),
    draw(3, 4, 1, "right", dtype="bfloat16"),
    *(draw(2, 1, 1, bad, f"ties={bad!r} must raise ValueError.", True) for bad in ("random", "")),
]
ANSWERS.part("defaults", 2, DEFAULTS, RULE, held_out=True)
NANS = [
    draw(3, 2, 1, ties, "A nan score must raise ValueError.", True, nan=side)
    for side, ties in (("good", "wrong"), ("bad", "half"))
]
ANSWERS.part("nan scores", 1, NANS, RULE, held_out=True)
