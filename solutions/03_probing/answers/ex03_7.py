"""03.7, used, not used, undecided: answers, mistakes and draws (instructors only)."""

import statistics
from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import draws
from course_lib.grading.answers import Answers

ANSWERS = Answers("03.7", "used, not used, undecided")


def by_margin(low, high, margin, *_):
    return "used" if low > margin else "not used" if high < margin else "undecided"


@ANSWERS.right
def amnesic_verdict(
    clean, removed, controls, draws, margin=0.05, say=by_margin,
    ends=lambda means, *_: np.percentile(means, (2.5, 97.5)),
    effect=lambda clean, removed, controls: (clean - removed).mean(),
    excess=lambda clean, removed, controls: (controls - removed).mean(),
    mean=lambda clean, removed, controls, i, c: (controls[c] - removed)[:, i].mean(),
):  # fmt: skip
    scores = clean, removed, controls
    if len(controls) == 0 or margin < 0:
        raise ValueError("no control, or a margin below 0")
    low, high = ends([mean(*scores, *draw) for draw in draws], *scores)
    found = {"effect": effect(*scores), "excess": excess(*scores), "low": low, "high": high}
    return found | {"verdict": say(low, high, margin, *scores)}


@ANSWERS.other
def with_loops(clean, removed, controls, draws, margin=0.05):
    if not len(controls) or margin < 0:
        raise ValueError
    pairs = [(range(len(removed)), range(len(controls))), *draws]
    sums = [sum(float(controls[k][i]) - float(removed[i]) for k in c for i in n) for n, c in pairs]
    excess, *means = (total / controls.size for total in sums)
    cuts = statistics.quantiles(means, n=40, method="inclusive")
    word = {(True, False): "used", (False, True): "not used"}
    verdict = word.get((cuts[0] > margin, cuts[-1] < margin), "undecided")
    effect = torch.tensor(clean - removed).mean()
    found = {"effect": effect, "excess": excess, "low": cuts[0], "high": cuts[-1]}
    return found | {"verdict": verdict}


EDGE = "An end that equals the margin is undecided, and 0 is a margin like any other."
ANSWERS.variants(amnesic_verdict, held_out=True, say={
        EDGE: lambda low, high, m, *_: "used" if low >= m else by_margin(low, high, m),
        "0 is a margin like any other.": lambda low, high, m, *_: by_margin(low, high, m or 1),
})  # fmt: skip
DEFAULT = "Without `margin` it is 0.05."
ANSWERS.mistake(DEFAULT, lambda *x: amnesic_verdict(*x, *[0.1][len(x) - 4 :]), held_out=True)
MEAN = "take the mean over all controls."
PAIRED = "The draw of the items went to one side only, but the comparison is paired"
TAKE = "take the 2.5th and 97.5th percentile."
ACROSS = "An interval across the margin is undecided. You decided by"
ANSWERS.variants(amnesic_verdict, say={
        "'used' and 'not used' are exchanged.": lambda low, high, m, *_: by_margin(-high, -low, -m),
        f"{ACROSS} the excess alone.":
            lambda low, high, m, a, r, c: "used" if (c - r).mean() > m else "not used",
        f"'Not used' needs evidence too. {ACROSS} low alone.":
            lambda low, high, m, *_: "used" if low > m else "not used",
        f"{ACROSS} high alone.": lambda low, high, m, *_: "not used" if high < m else "used",
        "You compared with 0, not with the margin.": lambda low, high, *_: by_margin(low, high, 0),
        "You asked whether low lies above 0.": lambda low, *_: "used" if low > 0 else "not used",
        "'Used' is an interval above 0 for you; it has to lie above the margin.":
            lambda low, high, m, *_: "used" if low > 0 else by_margin(low, high, m),
        "You asked whether the interval holds 0; ask about the margin.":
            lambda low, high, *_: "undecided" if low <= 0 <= high else "used",
        "You took the margin on both sides of 0. A removal that helps is no sign of use.":
            lambda low, high, m, *_: "used" if high < -m
            else by_margin(low, high, m) if low > -m else "undecided",
        "The margin makes no difference; use it.": lambda low, high, *_: by_margin(low, high, 0.05),
        "The verdict must be 'used', 'not used' or 'undecided'.": lambda low, high, m, *_: low > m},
    effect={
        "The effect is turned round: a loss is positive.": lambda a, r, c: (r - a).mean(),
        "Under effect stands the excess.": lambda a, r, c: (c - r).mean(),
        "Under effect stands the score after the removal; subtract.": lambda a, r, c: r.mean(),
        "The effect is divided by the untouched score.": lambda a, r, c: 1 - r.mean() / a.mean(),
        "The effect is a sum; take the mean over items.": lambda a, r, c: (a - r).sum(),
        "The effect takes absolute differences.": lambda a, r, c: abs(a - r).mean()},
    excess={
        "The excess is turned round: control minus removed.": lambda a, r, c: (r - c).mean(),
        "You compared with the untouched model, not with controls.": lambda a, r, c: (a - r).mean(),
        f"You took what hurts most; {MEAN}": lambda a, r, c: (c.mean(1).min() - r).mean(),
        f"You took what hurts least; {MEAN}": lambda a, r, c: (c.mean(1).max() - r).mean(),
        f"You took the first control only; {MEAN}": lambda a, r, c: (c[0] - r).mean(),
        "You added the controls up; take their mean.": lambda a, r, c: (c.sum(0) - r).mean(),
        "The excess is a sum; take the mean over items.": lambda a, r, c: (c.mean(0) - r).sum()},
    mean={
        "The controls are redrawn too, as samples.": lambda a, r, c, i, k: (c - r)[:, i].mean(),
        "The items are redrawn too, as samples.": lambda a, r, c, i, k: (c[k] - r).mean(),
        f"{PAIRED}.": lambda a, r, c, i, k: c[k].mean() - r[i].mean(),
        f"{PAIRED} (controls).": lambda a, r, c, i, k: c[k][:, i].mean() - r.mean(),
        "This is the interval of the effect.": lambda a, r, c, i, k: (a - r)[i].mean(),
        "What was drawn twice counts twice; you counted it once.":
            lambda a, r, c, i, k: (c[[*set(k)]] - r)[:, [*set(i)]].mean()},
    ends={
        f"This is a 90 % interval; {TAKE}": lambda means, *_: np.percentile(means, (5, 95)),
        f"You took a percentage for a share; {TAKE}":
            lambda means, *_: np.percentile(means, (0.025, 0.975)),
        f"This is the range of all draws; {TAKE}": lambda means, *_: (min(means), max(means)),
        "The interval is turned round: low is first.": lambda m, *_: np.percentile(m, (97.5, 2.5)),
        f"You used 1.96 standard deviations around the excess; {TAKE}":
            lambda means, a, r, c: (c - r).mean() + np.std(means) * np.array([-1.96, 1.96]),
        "Use the percentile as numpy does, which interpolates between draws.":
            lambda means, *_: np.percentile(means, (2.5, 97.5), method="nearest"),
})  # fmt: skip
SAME = [partial(amnesic_verdict, say=lambda *_, w=w: w) for w in ("used", "not used", "undecided")]
ANSWERS.mistake("Your verdict is the same for all inputs.", *SAME)
RULE = "The effect is the mean of clean - removed, the excess that of control - removed."
some = [{"of": (c, n, 0.2, 0.1), "gain": 0.5} for c, n in ((3, 12), (5, 20), (2, 7))]
ANSWERS.part("effect and excess", 3, draws("scene", *some, observe="costs"), RULE)
RULE = "Each draw has a mean of control - removed; take their 2.5th and 97.5th percentile."
some = ((3, 12, 0.1, 0.1), (5, 20, 0.1, 0.1), {"of": (4, 9, 1.0, 0.1), "unit": 1e4})
ANSWERS.part("the interval", 3, draws("scene", *some, observe="interval"), RULE)
RULE = "'used' if low is above the margin, 'not used' if high is below it, otherwise 'undecided'."
some = (  # controls, items, cost, half the width of the interval, margin
    (3, 40, 0.3, 0.05, 0.05), (3, 40, -0.02, 0.05, 0.15), (3, 40, 0.04, 0.025, 0.05),
    (3, 40, 0.06, 0.025, 0.05), (3, 40, 0.02, 0.08, 0.05), (3, 40, 0.05, 0.02, 0.2),
    (3, 40, -0.4, 0.05, 0.05), (3, 40, 0.3, 0.05, 0.9),
)  # fmt: skip
ANSWERS.part("the verdict", 3, draws("scene", *some, observe="word"), RULE)
some = draws("counted", (1, 16, 0.1), (6, 16, 0.1), note="Items are right (1) or wrong (0).")
some += draws("level", (2, 0.5, 0.5501), (2, 0.5, 0.5499), note=DEFAULT)
ANSWERS.part("single control, items right or wrong", 2, some, RULE, held_out=True)
BAD = "Without a single control there is no excess, and a margin below 0 is none: ValueError."
some = draws("level", (2, 0.5, 0.75, 0.25), (2, 0.5, 0.53125, 0.0), (2, 0.75, 0.5, 0.0), note=EDGE)
some += draws("level", (0, 0.5, 0.5, 0.05), (2, 0.5, 0.5, -0.1), note=BAD, refused=True)
ANSWERS.part("at the margin, and beyond it", 2, some, RULE, held_out=True)
