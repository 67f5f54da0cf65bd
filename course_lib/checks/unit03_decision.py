"""Checks of 03.7: the verdict, decided by an interval and a margin (see unit03.py)."""

from __future__ import annotations

import numpy as np

from course_lib.checks.results import Wrong
from course_lib.checks.unit03_verdict import rule, scene, verdict_answer, verdict_values


def verdict_scenes(rng):
    """Scenes in which the interval lies below, across and above the margin, in several ways."""
    wanted = [
        (0.3, 0.02, 0.05, lambda v: v["verdict"] == "used"),
        (-0.02, 0.02, 0.15, lambda v: v["verdict"] == "not used"),
        (0.015, 0.03, 0.05, lambda v: 0 < v["low"] < v["excess"] < 0.05 < v["high"]),
        (0.03, 0.03, 0.05, lambda v: 0 < v["low"] < 0.05 < v["excess"]),
        (-0.06, 0.08, 0.05, lambda v: v["low"] < 0 and v["verdict"] == "undecided"),
        (0.05, 0.01, 0.2, lambda v: v["low"] > 0 and v["verdict"] == "not used"),
        (-0.4, 0.02, 0.05, lambda v: v["excess"] < -0.2),
        (0.3, 0.02, 0.9, lambda v: v["verdict"] == "not used"),
    ]
    for shift, noise, margin, fits in wanted:
        for _ in range(100):
            moved = shift + 0.01 * float(rng.normal())
            given = scene(rng, 14, 3, moved, noise, draws=40, harm=0.02)
            values = verdict_values(*given, margin)
            if fits(values):
                break
        yield given, margin, values


def verdict_words(student, rng):
    found, right, rules = [], [], {}

    def note(message, word):
        rules.setdefault(message, []).append(word)

    for given, margin, v in verdict_scenes(rng):
        clean, removed, controls, draws = given
        found.append(verdict_answer(student, *given, margin)["verdict"])
        right.append(v["verdict"])
        low, high, excess = v["low"], v["high"], v["excess"]
        turned = {"used": "not used", "not used": "used", "undecided": "undecided"}
        effects = [(clean - removed)[i].mean() for i, _ in draws]
        note("'used' and 'not used' are exchanged.", turned[v["verdict"]])
        note(
            "You decided by the excess alone; an interval across the margin is undecided.",
            "used" if excess > margin else "not used",
        )
        note(
            "'Not used' needs evidence too: the whole interval below the margin. If it reaches "
            "across, the verdict is 'undecided'.",
            "used" if low > margin else "not used",
        )
        note(
            "'Used' needs the whole interval above the margin. If it reaches across, the verdict "
            "is 'undecided'.",
            "not used" if high < margin else "used",
        )
        significant = "used" if low > 0 else "not used"
        note("You compared with 0 in place of the margin.", significant)
        note("You compared with 0 in place of the margin. ", rule(low, high, 0.0))
        note(
            "'Used' is an interval above 0 for you; it has to lie above the margin.",
            "used" if low > 0 else "not used" if high < margin else "undecided",
        )
        note(
            "You asked whether the interval holds 0; ask where it lies with regard to the margin.",
            "undecided" if low <= 0 <= high else "used",
        )
        note(
            "You asked whether the interval holds 0; ask where it lies with regard to the margin. ",
            "not used" if low <= 0 <= high else "used",
        )
        note(
            "You decided by the effect against the untouched model; decide by the excess over the "
            "controls.",
            rule(*np.percentile(effects, [2.5, 97.5]), margin),
        )
        note(
            "You took the margin on both sides of 0. A removal that helps more than the controls "
            "is no sign of use.",
            "used"
            if low > margin or high < -margin
            else "not used"
            if -margin < low and high < margin
            else "undecided",
        )
        note(
            "You took the margin on both sides of 0. A removal that helps more than the controls "
            "is no sign of use. ",
            rule(low, high, margin) if low > -margin else "undecided",
        )
        note("The margin makes no difference: you put 0.05 there.", rule(low, high, 0.05))
        note("Your verdict is the same for all inputs.", found[0])
    if found == right:
        return
    for message, words in rules.items():
        if found == words:
            raise Wrong(message)
    k = next(k for k, word in enumerate(found) if word != right[k])
    raise Wrong(
        f"You said {found[k]!r} where it must be {right[k]!r}: 'used' if low lies above the "
        "margin, 'not used' if high lies below it, otherwise 'undecided'."
    )
