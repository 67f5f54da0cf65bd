"""03.7, used, not used, undecided: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch

from course_lib.grading.answers import Answers, Draw

ANSWERS = Answers("03.7", "used, not used, undecided")


def by_margin(low, high, excess, margin):
    return "used" if low > margin else "not used" if high < margin else "undecided"


def percentiles(means, *_, levels=(2.5, 97.5)):
    return np.percentile(means, levels)


def judged(
    clean, removed, controls, draws, margin=0.05, say=by_margin, ends=percentiles,
    effect=lambda clean, removed, controls: (clean - removed).mean(),
    excess=lambda clean, removed, controls: (controls - removed).mean(),
    mean=lambda clean, removed, controls, i, c: (controls[c] - removed)[:, i].mean(),
):  # fmt: skip
    scores = clean, removed, controls
    if len(controls) == 0 or margin < 0:
        raise ValueError("no control, or a margin below 0")
    low, high = ends([mean(*scores, *draw) for draw in draws], *scores)
    verdict = say(low, high, (controls - removed).mean(), margin)
    found = {"effect": effect(*scores), "excess": excess(*scores), "low": low, "high": high}
    return found | {"verdict": verdict}


@ANSWERS.right
def amnesic_verdict(*given):
    return judged(*given)


@ANSWERS.other
def with_loops(clean, removed, controls, draws, margin=0.05):
    if not len(controls) or margin < 0:
        raise ValueError
    n, c = len(removed), len(controls)
    means = sorted(
        sum(float(controls[k][i]) - float(removed[i]) for k in subspaces for i in items) / n / c
        for items, subspaces in draws
    )

    def quantile(q):
        at = q * (len(means) - 1)
        low, high = int(at), min(int(at) + 1, len(means) - 1)
        return means[low] + (at - low) * (means[high] - means[low])

    low, high = quantile(0.025), quantile(0.975)
    return {
        "verdict": ["undecided", "not used", "used"][(low > margin) * 2 or int(high < margin)],
        "low": low,
        "high": high,
        "excess": sum(float(v) for row in controls for v in row) / n / c - float(sum(removed)) / n,
        "effect": torch.tensor(clean - removed).mean(),
    }


EFFECTS = {
    "The effect is turned round: a loss is positive.": lambda a, r, c: (r - a).mean(),
    "Under effect stands the excess; the effect compares with the untouched model.":
        lambda a, r, c: (c - r).mean(),
    "Under effect stands the score after the removal; subtract it from the untouched one.":
        lambda a, r, c: r.mean(),
    "The effect is divided by the untouched score; keep the unit of the score.":
        lambda a, r, c: 1 - r.mean() / a.mean(),
    "The effect is a sum; take the mean over items.": lambda a, r, c: (a - r).sum(),
    "The effect is a median; take the mean over items.": lambda a, r, c: np.median(a - r),
    "The effect takes absolute differences; items that gain count against.":
        lambda a, r, c: abs(a - r).mean(),
    "Under effect stands the effect of the controls.": lambda a, r, c: (a - c).mean(),
}  # fmt: skip
EXCESSES = {
    "The excess is turned round: what hurts more than the controls is positive.":
        lambda a, r, c: (r - c).mean(),
    "You compared with the untouched model; any removal hurts: compare with the controls.":
        lambda a, r, c: (a - r).mean(),
    "Under excess stands the effect of the controls.": lambda a, r, c: (a - c).mean(),
    "You took the control that hurts most; take the mean over all of them.":
        lambda a, r, c: c.mean(1).min() - r.mean(),
    "You took the control that hurts least; take the mean over all of them.":
        lambda a, r, c: c.mean(1).max() - r.mean(),
    "You took the first control only; take the mean over all of them.":
        lambda a, r, c: (c[0] - r).mean(),
    "You added the controls up; take their mean.": lambda a, r, c: (c.sum(0) - r).mean(),
    "You took the median of the controls; take the mean.":
        lambda a, r, c: np.median(c.mean(1)) - r.mean(),
    "The excess is a sum; take the mean over items.": lambda a, r, c: (c.mean(0) - r).sum(),
    "The excess is divided by the effect; keep the unit of the score.":
        lambda a, r, c: (c - r).mean() / (a - r).mean(),
    "You subtracted the effect of the controls twice.": lambda a, r, c: (2 * c - r - a).mean(),
    "The excess takes absolute differences; items that gain count against.":
        lambda a, r, c: abs(c.mean(0) - r).mean(),
}  # fmt: skip
MEANS = {
    "You left the controls as they are. Items and controls are both samples: redraw both.":
        lambda a, r, c, i, k: (c - r)[:, i].mean(),
    "You redrew the controls only; items are redrawn too.":
        lambda a, r, c, i, k: (c[k] - r).mean(),
    "The draw of the items went to one side only, but the comparison is paired.":
        lambda a, r, c, i, k: c[k].mean() - r[i].mean(),
    "The draw of the items went to the controls only, but the comparison is paired.":
        lambda a, r, c, i, k: c[k][:, i].mean() - r.mean(),
    "This is the interval of the effect; the verdict needs that of the excess.":
        lambda a, r, c, i, k: (a - r)[i].mean(),
    "You compared with the worst control only; use those that were drawn.":
        lambda a, r, c, i, k: (c[c.mean(1).argmin()] - r)[i].mean(),
    "An item or a control that was drawn twice counts twice; you counted it once.":
        lambda a, r, c, i, k: (c[[*set(k)]] - r)[:, [*set(i)]].mean(),
    "The sign of the draws is turned round: controls minus removed.":
        lambda a, r, c, i, k: (r - c[k])[:, i].mean(),
}  # fmt: skip


def around(centre, spread, times=1.96):
    return centre - times * spread, centre + times * spread


NORMAL = "You used standard deviations of the draws; take their percentiles."
ENDS = {
    "These are the 5th and 95th percentile, a 90 % interval; 95 % needs 2.5 and 97.5.":
        lambda means, *_: np.percentile(means, (5, 95)),
    "You took a percentage for a share: 2.5 and 97.5 are percentiles.":
        lambda means, *_: np.percentile(means, (0.025, 0.975)),
    "This is the range of all draws; take the 2.5th and 97.5th percentile.":
        lambda means, *_: (min(means), max(means)),
    "These are quartiles; take the 2.5th and 97.5th percentile.":
        lambda means, *_: np.percentile(means, (25, 75)),
    "The interval is turned round: low comes first.":
        lambda means, *_: np.percentile(means, (97.5, 2.5)),
    f"{NORMAL} They lie around the mean of the draws in your answer.":
        lambda means, *_: around(np.mean(means), np.std(means)),
    NORMAL: lambda means, a, r, c: around((c - r).mean(), np.std(means)),
    "You used one standard deviation of the draws; take their percentiles.":
        lambda means, a, r, c: around((c - r).mean(), np.std(means), 1),
    "You used standard errors over items, but the controls are a sample too; use the draws.":
        lambda means, a, r, c: around(
            (c - r).mean(), (c.mean(0) - r).std(ddof=1) / np.sqrt(len(r))),
    "You took sorted draws without interpolation; use the percentile as numpy does.":
        lambda means, *_: np.percentile(means, (2.5, 97.5), method="lower"),
}  # fmt: skip
ACROSS = "an interval across the margin is undecided."
WORDS = {
    "'used' and 'not used' are exchanged.": lambda low, high, e, m: by_margin(-high, -low, e, -m),
    f"You decided by the excess alone; {ACROSS}":
        lambda low, high, e, m: "used" if e > m else "not used",
    f"'Not used' needs evidence too: {ACROSS}":
        lambda low, high, e, m: "used" if low > m else "not used",
    f"'Used' needs the whole interval above the margin: {ACROSS}":
        lambda low, high, e, m: "not used" if high < m else "used",
    "You compared with 0 in place of the margin.":
        lambda low, high, e, m: by_margin(low, high, e, 0.0),
    "You asked whether the whole interval lies above 0, not above the margin.":
        lambda low, high, e, m: "used" if low > 0 else "not used",
    "'Used' is an interval above 0 for you; it has to lie above the margin.":
        lambda low, high, e, m: "used" if low > 0 else by_margin(low, high, e, m),
    "You asked whether the interval holds 0; ask where it lies with regard to the margin.":
        lambda low, high, e, m: "undecided" if low <= 0 <= high else "used",
    "You took the margin on both sides of 0. Helping more than the controls is no sign of use.":
        lambda low, high, e, m: "used" if low > m or high < -m
        else "not used" if -m < low and high < m else "undecided",
    "The margin makes no difference: you put 0.05 there.":
        lambda low, high, e, m: by_margin(low, high, e, 0.05),
    "The verdict must be one of 'used', 'not used', 'undecided'.":
        lambda low, high, e, m: low > m,
}  # fmt: skip
GROUPS = {"effect": EFFECTS, "excess": EXCESSES, "mean": MEANS, "ends": ENDS, "say": WORDS}
for option, functions in GROUPS.items():
    ANSWERS.variants(judged, {message: {option: f} for message, f in functions.items()})
for word in ("used", "not used", "undecided"):
    say = {"say": lambda *_, word=word: word}
    ANSWERS.variants(judged, {"Your verdict is the same for all inputs.": say})
HELD_OUT = {
    "An end that equals the margin lies neither above nor below it: undecided.":
        lambda low, high, e, m: "used" if low >= m else by_margin(low, high, e, m),
    "A margin of 0 is a margin like any other.":
        lambda low, high, e, m: by_margin(low, high, e, m or 0.05),
}  # fmt: skip
ANSWERS.variants(judged, {message: {"say": f} for message, f in HELD_OUT.items()}, held_out=True)
ANSWERS.mistake(
    "Without `margin` it is 0.05.",
    lambda a, r, c, draws, margin=0.1: judged(a, r, c, draws, margin),
    lambda a, r, c, draws, margin=0.0: judged(a, r, c, draws, margin),
    held_out=True,
)


def draws(*options, observe, builder="scene"):
    return [Draw(builder, some, tolerance=1e-9, observe=observe) for some in options]


def scenes(shapes, **more):
    return [{"shape": shape, "margin": 0.05, **more} for shape in shapes]


RULE = "The effect is the mean of clean - removed, the excess that of control - removed."
some = scenes(((3, 12), (5, 20), (2, 7)), cost=0.2, gain=0.5)
ANSWERS.part("effect and excess", 3, draws(*some, observe="costs"), RULE)
RULE = (
    "For every draw the mean of control - removed over its items and controls, then the 2.5th and "
    "97.5th percentile of these means."
)
some = [*scenes(((3, 12), (5, 20)), cost=0.1), *scenes([(4, 9)], cost=1.0, unit=1e4)]
ANSWERS.part("the interval", 3, draws(*some, observe="interval"), RULE)
RULE = (
    "'used' if low lies above the margin, 'not used' if high lies below it, otherwise 'undecided'."
)
PLACES = [  # cost, half the width of the interval, margin
    (0.3, 0.05, 0.05), (-0.02, 0.05, 0.15), (0.04, 0.025, 0.05), (0.06, 0.025, 0.05),
    (0.02, 0.08, 0.05), (0.05, 0.02, 0.2), (-0.4, 0.05, 0.05), (0.3, 0.05, 0.9),
]  # fmt: skip
words = [
    {"shape": (3, 40), "cost": cost, "width": width, "margin": margin, "harm": 0.25}
    for cost, width, margin in PLACES
]
ANSWERS.part("the verdict", 3, draws(*words, observe="word"), RULE)
counts = [{"subspaces": n, "items": 16, "margin": 0.1} for n in (1, 6)]
counts = [Draw("counted", some, "Items are right (1) or wrong (0).", 1e-9) for some in counts]
DEFAULT = "Without `margin` it is 0.05."
levels = [{"removed": 0.5, "control": control} for control in (0.5501, 0.5499)]
levels = [Draw("level", some, DEFAULT, 1e-9) for some in levels]
ANSWERS.part("single control, items right or wrong", 2, [*counts, *levels], RULE, held_out=True)
EDGE = "An end that equals the margin is undecided, and 0 is a margin like any other."
edge = [{"removed": 0.5, "control": c, "margin": m} for c, m in ((0.75, 0.25), (0.53125, 0.0))]
edge += [{"removed": 0.75, "control": 0.5, "margin": 0.0}]
edge = [Draw("level", some, EDGE, 1e-9) for some in edge]
BAD = "Without a single control there is no excess, and a margin below 0 is none: ValueError."
bad = [{"subspaces": 0, "margin": 0.05}, {"subspaces": 2, "margin": -0.1}]
bad = [Draw("level", {"removed": 0.5, "control": 0.5} | some, BAD, refused=True) for some in bad]
ANSWERS.part("at the margin, and beyond it", 2, [*edge, *bad], RULE, held_out=True)
