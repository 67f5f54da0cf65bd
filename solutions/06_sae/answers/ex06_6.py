"""06.6, the best feature for a concept: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("06.6", "the best feature for a concept")


def f1(said, gold):
    return 2 * (said & gold).sum().item() / (said.sum() + gold.sum()).item()


def search(values, gold, score=f1, reaches=torch.ge, down=False):
    """Feature, threshold and score of the best pair; of equal ones the first."""
    pairs = [
        (feature, threshold, score(reaches(column, threshold), gold))
        for feature, column in enumerate(values.T)
        for threshold in sorted(set(column[column > 0].tolist()), reverse=down)
    ]
    return max(pairs, key=lambda pair: pair[2])


def check_halves(*halves):
    if not all(gold.any() for gold in halves):
        raise ValueError("a half without the concept")


@ANSWERS.right
def best_feature(fit, fit_gold, judge, judge_gold, last=f1, reaches=torch.ge, **options):
    check_halves(fit_gold, judge_gold)
    feature, threshold, _ = search(fit, fit_gold, reaches=reaches, **options)
    return feature, threshold, last(reaches(judge[:, feature], threshold), judge_gold)


@ANSWERS.other
def by_sorting(fit, fit_gold, judge, judge_gold):
    fit, gold, judge, truth = (t.numpy() for t in (fit, fit_gold, judge, judge_gold))
    if gold.sum() == 0 or truth.sum() == 0:
        raise ValueError
    found = []
    for column in fit.T:
        order = np.argsort(-column)
        values, hits = column[order], np.cumsum(gold[order])
        p, r = hits / np.arange(1, len(gold) + 1), hits / gold.sum()
        ends = np.append(values[1:] != values[:-1], True) & (values > 0)
        scores = np.where(ends, 2 * p * r / (p + r + 1e-300), -1.0)
        found.append((scores.max(), values[scores.argmax()]))
    best = int(np.argmax([score for score, _ in found]))
    said = judge[:, best] >= found[best][1]
    right, wrong = (said & truth).sum(), (said != truth).sum()
    return best, found[best][1], 2 * right / (2 * right + wrong)


def precision(said, gold):
    return (said & gold).sum().item() / max(said.sum().item(), 1)


def recall(said, gold):
    return precision(gold, said)


def best_at(column, gold):
    return search(column[:, None], gold)[1:]


def feature_first(*given, feature=None, threshold=None, reaches=torch.ge):
    """Feature and threshold chosen one after the other; the steps see all that is given."""
    fit, gold, judge, truth = given
    check_halves(gold, truth)
    i = int(feature(*given) if feature else search(fit, gold)[0])
    at = float(threshold(i, *given) if threshold else best_at(fit[:, i], gold)[0])
    return i, at, f1(reaches(judge[:, i], at), truth)


def middle(i, fit, gold, *_):
    best = best_at(fit[:, i], gold)[0]
    return (best + max(fit[fit[:, i] < best, i].tolist(), default=0.0)) / 2


def correlation(fit, gold, *_):
    table = torch.cat([fit, gold[:, None]], 1).T
    return torch.corrcoef(table)[-1, :-1].nan_to_num(-1.0).argmax()


def of_both(fit, gold, judge, truth):
    return search(torch.cat([fit, judge]), torch.cat([gold, truth]))


ABOVE = "A token is said to belong from the threshold on, f >= threshold; yours starts above it."
BOTH = "You chose on both halves together; `judge` must not take part."
OTHER = "You chose by precision, recall, accuracy or a plain mean of two scores; choose by F1."
CHOSEN = "You chose on the half that judges. Choose feature and threshold on `fit` alone."
for message, wrong in {
    "The F1 is that of the half on which you chose. The best is partly lucky there: judge it on "
    "`judge`.": lambda fit, gold, *_: search(fit, gold),
    CHOSEN: lambda fit, gold, *other: search(*other),
    BOTH: of_both,
    "Features are numbered from 0.":
        lambda *given: (best_feature(*given)[0] + 1, *best_feature(*given)[1:]),
}.items():  # fmt: skip
    ANSWERS.mistake(message, wrong)
ANSWERS.variants(feature_first, {
    BOTH: {"feature": lambda *g: of_both(*g)[0], "threshold": lambda i, *g: of_both(*g)[1]},
    ABOVE: {"reaches": torch.gt},
    "Every active token counts for you: choose the threshold among the values on `fit`.":
        {"feature": lambda fit, gold, *_: np.argmax([f1(column > 0, gold) for column in fit.T]),
         "threshold": lambda *_: 0.0, "reaches": torch.gt},
    "The threshold is chosen on the half that judges; it comes from `fit`, like the feature.":
        {"threshold": lambda i, fit, gold, judge, truth: best_at(judge[:, i], truth)[0]},
    "Your threshold lies between two of the values on `fit`.": {"threshold": middle},
    "You took the middle of the active values as threshold; choose it by F1.":
        {"threshold": lambda i, fit, *_: np.median(fit[fit[:, i] > 0, i])},
    "You chose the feature by its mean difference, or its correlation; choose by F1.": (
        {"feature": lambda fit, gold, *_: (fit[gold].mean(0) - fit[~gold].mean(0)).argmax()},
        {"feature": correlation}),
    "You chose the worst feature.":
        {"feature": lambda fit, gold, *_: np.argmin([best_at(c, gold)[1] for c in fit.T])},
})  # fmt: skip
ANSWERS.variants(best_feature, {
    ABOVE: {"reaches": torch.gt},
    "You returned the F1 of the tokens without the concept.": {"last": lambda s, g: f1(~s, ~g)},
})  # fmt: skip
for name, score in {
    "precision": precision,
    "recall": recall,
    "accuracy": lambda said, gold: (said == gold).double().mean().item(),
    "plain mean of precision and recall": lambda s, g: (precision(s, g) + recall(s, g)) / 2,
    "mean of the F1 of both classes": lambda said, gold: (f1(said, gold) + f1(~said, ~gold)) / 2,
    "intersection over union": lambda s, g: (s & g).sum().item() / (s | g).sum().item(),
}.items():
    third = f"The third number is the {name}. F1 is 2 TP / (2 TP + FP + FN)."
    ANSWERS.variants(best_feature, {third: {"last": score}})
    if name != "intersection over union":  # which rises with F1
        chosen = {"score": score}, {"score": score, "down": True}, {"score": score, "last": score}
        ANSWERS.variants(best_feature, {OTHER: chosen})


COPY = "Of equally good features the one with the lower number is chosen."


@ANSWERS.mistake(COPY, held_out=True)
def last_of_the_best(fit, gold, judge, truth):
    feature, *rest = best_feature(fit.flip(1), gold, judge.flip(1), truth)
    return fit.shape[1] - 1 - feature, *rest


def draw(*sizes, note="", refused=False, **options):
    return Draw("halves", {"sizes": sizes} | options, note, 1e-6, refused=refused)


RULE = "The rule: the pair with the highest F1 of f >= threshold on `fit`, and its F1 on `judge`."
ONE = [draw(n, 1) for n in (12, 16, 24, 32)]
ANSWERS.part("a threshold for one feature", 4, [*ONE, draw(40, 1, steps=1)], RULE)
MANY = [draw(*sizes) for sizes in ((24, 3), (24, 6), (40, 10), (32, 4), (40, 5))]
ANSWERS.part("choosing among many", 5, MANY, RULE)
GOOD = [draw(20, 3, order=order, note=COPY) for order in ([0, 1, 2, 0, 1, 2], [2, 2, 1, 1, 0, 0])]
GOOD += [draw(60, 2, silent=True, note="A feature that never speaks on `judge` has an F1 of 0.")]
GOOD += [draw(60, 12), draw(35, 4, steps=2), draw(24, 3, scale=1e-5), draw(24, 3, scale=1e5)]
GOOD += [draw(24, 4, dtype="float32"), draw(1, 1), draw(2, 2, more=-1), draw(9, 2, more=30)]
ANSWERS.part("equally good features", 3, GOOD, RULE, held_out=True)
WHY = "A half in which no token belongs to the concept cannot choose or judge: raise ValueError."
HALF = [draw(20, 3, without=half, refused=True, note=WHY) for half in ("fit", "judge")]
ANSWERS.part("a half without the concept", 2, [draw(20, 3), *HALF], RULE, held_out=True)
