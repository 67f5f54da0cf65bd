"""Checks of 03.7: does the model use what was removed? (see unit03.py)"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from course_lib.checks.calling import as_table, compare
from course_lib.checks.results import Wrong
from course_lib.checks.unit03_words import explained

# --- 03.7 amnesic_verdict(clean [n], removed [n], controls [C, n], draws, margin) -> dict --------

NUMBERS = {"effect", "excess", "low", "high"}
VERDICTS = ("used", "not used", "undecided")


def scene(rng, items, subspaces, shift, noise, draws=60, harm=0.0):
    """Scores of items: untouched, after the removal, after each control; and bootstrap draws."""
    clean = rng.uniform(0.5, 1.0, size=items)
    spread = np.roll(np.linspace(0.6, 1.4, subspaces), -(subspaces // 2))[:, None]
    controls = clean - harm * spread - noise * rng.exponential(size=(subspaces, items))
    removed = (
        clean - harm - shift - noise * rng.exponential(size=items) * rng.integers(1, 4, size=items)
    )
    drawn = [
        (
            rng.integers(items, size=items).tolist(),
            rng.integers(subspaces, size=subspaces).tolist(),
        )
        for _ in range(draws)
    ]
    return clean, removed, controls, drawn


def excesses(removed, controls, draws):
    """The excess in every draw, [B]."""
    return np.array([(controls[np.ix_(c, i)] - removed[i]).mean() for i, c in draws])


def rule(low, high, margin):
    return "used" if low > margin else "not used" if high < margin else "undecided"


def verdict_values(clean, removed, controls, draws, margin):
    low, high = np.percentile(excesses(removed, controls, draws), [2.5, 97.5])
    return {
        "effect": float((clean - removed).mean()),
        "excess": float((controls.mean(0) - removed).mean()),
        "low": float(low),
        "high": float(high),
        "verdict": rule(low, high, margin),
    }


def verdict_answer(student, *given):
    answer = student(*given)
    if not isinstance(answer, Mapping):
        raise Wrong(f"Return a dict; yours is of type {type(answer).__name__}.")
    if "verdict" not in answer:
        raise Wrong("The key 'verdict' is missing from the dict.")
    word = answer["verdict"]
    if not isinstance(word, str) or word not in VERDICTS:
        raise Wrong(f"The verdict must be one of {', '.join(map(repr, VERDICTS))}.")
    table = as_table({k: answer[k] for k in list(answer) if k != "verdict"}, NUMBERS)
    return {**table, "verdict": str(word)}


def verdict_excess(student, rng):
    effects, found = [], []
    for items, subspaces in ((12, 3), (20, 5), (7, 2)):
        given = scene(rng, items, subspaces, 0.2, 0.05, harm=0.1)
        clean, removed, controls, draws = given
        removed[::3] += 0.5  # some items gain
        answer = verdict_answer(student, *given, 0.05)
        effect, excess = (clean - removed).mean(), (controls.mean(0) - removed).mean()
        each = controls.mean(1)
        mistakes = {
            "The effect is turned round: untouched minus removed; a loss is positive.": -effect,
            "Under effect stands the excess; the effect compares with the untouched model.": excess,
            "Under effect stands the score after the removal; subtract it from the untouched "
            "one.": removed.mean(),
            "The effect is divided by the untouched score; keep the unit of the score.": effect
            / clean.mean(),
            "The effect is a sum; take the mean over items.": effect * items,
            "The effect takes absolute differences; items that gain count against.": abs(
                clean - removed
            ).mean(),
            "The effect of the controls was taken.": (clean - controls).mean(),
            "The effect is a median; take the mean over items.": np.median(clean - removed),
        }
        effects.append((answer["effect"], effect, mistakes))
        mistakes = {
            "The excess is turned round: controls minus removed, so that a removal that hurts more "
            "is positive.": -excess,
            "You compared with the untouched model. Any removal of so many directions hurts: "
            "compare with the controls.": effect,
            "Under excess stands the effect of the controls.": (clean - controls).mean(),
            "You took the control that hurts most; take the mean over all of them.": each.min()
            - removed.mean(),
            "You took the control that hurts least; take the mean over all of them.": each.max()
            - removed.mean(),
            "You took the first control only; take the mean over all of them.": each[0]
            - removed.mean(),
            "You added the controls up; take their mean.": (controls.sum(0) - removed).mean(),
            "You took the median of the controls; take the mean.": np.median(each) - removed.mean(),
            "The excess is a sum; take the mean over items.": excess * items,
            "The excess is divided by the effect; keep the unit of the score.": excess / effect,
            "You subtracted the effect of the controls twice.": 2 * excess - effect,
            "You took absolute differences; items that gain count against.": abs(
                controls.mean(0) - removed
            ).mean(),
        }  # fmt: skip
        found.append((answer["excess"], excess, mistakes))
    explained(effects, "Wrong effect: the mean over items of untouched minus removed.")
    explained(found, "The excess is the mean score under the controls minus that after removal.")


def interval_mistakes(clean, removed, controls, draws):
    found = excesses(removed, controls, draws)
    n_items, n_controls = len(removed), len(controls)
    every = list(range(n_controls))

    def ends(values, levels=(2.5, 97.5)):
        return np.percentile(values, levels)

    right = ends(found)
    centre = (controls.mean(0) - removed).mean()
    items_only = excesses(removed, controls, [(i, every) for i, _ in draws])
    controls_only = excesses(removed, controls, [(list(range(n_items)), c) for _, c in draws])
    unpaired = np.array([controls[c].mean() - removed[i].mean() for i, c in draws])
    paired_wrong = np.array([controls[np.ix_(c, i)].mean() - removed.mean() for i, c in draws])
    effects = np.array([(clean - removed)[i].mean() for i, _ in draws])
    worst = int(controls.mean(1).argmin())
    against_worst = excesses(removed, controls, [(i, [worst]) for i, _ in draws])
    distinct = np.array(
        [(controls[np.ix_(sorted(set(c)), sorted(set(i)))] - removed[sorted(set(i))]).mean()
         for i, c in draws]
    )  # fmt: skip
    differences = controls.mean(0) - removed
    spread = found.std()
    error = differences.std(ddof=1) / np.sqrt(n_items)
    steps = np.array([-1.96, 1.96])
    low, high = np.sort(found)[[int(0.025 * len(draws)), int(0.975 * len(draws)) - 1]]
    several = "The controls are redrawn too: items and controls are both samples."
    return right, {
        "You left the controls as they are. " + several: ends(items_only),
        "You redrew the controls only; items are redrawn too.": ends(controls_only),
        "The draw of the items went to one side only. An item is drawn with its score after the "
        "removal and those under the controls: the comparison is paired.": ends(unpaired),
        "The draw of the items went to one side only. An item is drawn with its score after the "
        "removal and those under the controls: the comparison is paired. ": ends(paired_wrong),
        "This is the interval of the effect; the verdict needs that of the excess.": ends(effects),
        "You compared with the worst control only; use those that were drawn.": ends(against_worst),
        "An item or a control that was drawn twice counts twice; you counted it once.": ends(
            distinct
        ),
        "These are the 5th and 95th percentile, a 90 % interval; 95 % needs 2.5 and 97.5.": ends(
            found, (5, 95)
        ),
        "You took a percentage for a share: 2.5 and 97.5 are percentiles.": ends(
            found, (0.025, 0.975)
        ),
        "This is the range of all draws; take the 2.5th and 97.5th percentile.": ends(
            found, (0, 100)
        ),
        "These are quartiles; take the 2.5th and 97.5th percentile.": ends(found, (25, 75)),
        "The interval is turned round: low comes first.": right[::-1],
        "The sign of the draws is turned round: controls minus removed.": ends(-found),
        "You used 1.96 standard deviations of the draws; take their percentiles.": centre
        + steps * spread,
        "You used 1.96 standard deviations of the draws; take their percentiles. ": found.mean()
        + steps * spread,
        "You used 1.96 standard errors over items. That ignores that the controls are a sample; "
        "use the draws.": centre + steps * error,
        "You took sorted draws without interpolation; use the percentile as numpy does.": np.array(
            [low, high]
        ),
        "You used one standard deviation of the draws; take their percentiles.": centre
        + steps / 1.96 * spread,
    }


def verdict_interval(student, rng):
    for items, subspaces in ((12, 3), (20, 5), (9, 4)):
        given = scene(rng, items, subspaces, 0.1, 0.08, harm=0.15)
        answer = verdict_answer(student, *given, 0.05)
        right, mistakes = interval_mistakes(*given)
        otherwise = (
            "Wrong interval: for every draw the mean over its items and its controls of (control - "
            "removed), then the 2.5th and 97.5th percentile of these means."
        )
        got = np.array([answer["low"], answer["high"]])
        compare(got, right, mistakes, otherwise, tolerance=1e-9)
