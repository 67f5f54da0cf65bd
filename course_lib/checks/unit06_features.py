"""Checks of 06.6: the best feature for a concept (see unit06.py)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from course_lib.checks.calling import as_number, compare
from course_lib.checks.results import Wrong

# --- 06.6 best_feature(fit, fit_gold, judge, judge_gold) -> (feature, threshold, f1) -------------

SAME_HALF = (
    "The F1 is that of the half on which you chose. The best of many features is partly lucky "
    "there: choose on `fit`, judge on `judge`."
)
CHOSEN_ON_JUDGE = (
    "You chose on the half that judges. Feature and threshold have to be chosen on `fit` alone."
)
Score = Callable[..., np.ndarray]


# Scores from counts: true positives, tokens said to belong, tokens that belong, all tokens.
def f1(hits, said, gold, total):
    return 2 * hits / np.maximum(said + gold, 1)


def precision(hits, said, gold, total):
    return hits / np.maximum(said, 1)


def recall(hits, said, gold, total):
    return hits / np.maximum(gold, 1)


def accuracy(hits, said, gold, total):
    return (total - said - gold + 2 * hits) / total


def overlap(hits, said, gold, total):
    return hits / np.maximum(said + gold - hits, 1)


def plain_mean(hits, said, gold, total):
    return (precision(hits, said, gold, total) + recall(hits, said, gold, total)) / 2


def both_classes(hits, said, gold, total):
    turned = f1(total - said - gold + hits, total - said, total - gold, total)
    return (f1(hits, said, gold, total) + turned) / 2


OTHER_SCORES = {
    "precision": precision,
    "recall": recall,
    "accuracy": accuracy,
    "intersection over union": overlap,
    "plain mean of precision and recall": plain_mean,
    "mean of the F1 of both classes": both_classes,
}


def score_of(said: np.ndarray, gold: np.ndarray, score: Score = f1) -> float:
    return float(score((said & gold).sum(), said.sum(), gold.sum(), len(gold)))


def all_pairs(values: np.ndarray, gold: np.ndarray, score: Score = f1):
    """Feature, threshold and score of every pair, feature after feature, highest values first."""
    feature, threshold, found = [], [], []
    for number, column in enumerate(values.T):
        order = np.argsort(-column, kind="stable")
        ordered = column[order]
        ends = np.append(ordered[1:] != ordered[:-1], True) & (ordered > 0)
        said = np.arange(1, len(gold) + 1)
        scores = score(np.cumsum(gold[order]), said, gold.sum(), len(gold))
        feature += [number] * int(ends.sum())
        threshold += ordered[ends].tolist()
        found += scores[ends].tolist()
    return np.array(feature), np.array(threshold), np.array(found)


def choose(values: np.ndarray, gold: np.ndarray, score: Score = f1) -> tuple[int, float, float]:
    """Feature, threshold and score of the best pair; of equal ones the first."""
    feature, threshold, found = all_pairs(values, gold, score)
    best = int((found > found.max() - 1e-12).argmax())
    return int(feature[best]), float(threshold[best]), float(found[best])


def clearly_best(values: np.ndarray, gold: np.ndarray) -> bool:
    """Whether one pair lies above all others, so that every right search finds the same one."""
    found = np.sort(all_pairs(values, gold)[2])
    return len(found) < 2 or found[-1] - found[-2] > 1e-3


def concept_half(rng: np.random.Generator, tokens: int, features: int, good: int, dose: float):
    """Sparse activations and a concept that feature ``good`` follows, with errors."""
    gold = np.zeros(tokens, dtype=bool)
    gold[rng.choice(tokens, size=max(3, tokens // 4), replace=False)] = True
    values = rng.uniform(0.1, 3, size=(tokens, features)) * (rng.random((tokens, features)) < 0.4)
    values[:, good] = rng.uniform(0.1, 2, size=tokens) * (rng.random(tokens) < 0.5)
    values[gold, good] += dose * (rng.random(gold.sum()) < 0.8)
    if features > 2:  # loud on few tokens, most of them of the concept
        most = max(2, 0.4 * gold.sum())
        few = (gold & (np.cumsum(gold) <= most)) | (~gold & (np.cumsum(~gold) < 2))
        values[:, (good + 2) % features] = 9 * few
    return values, gold


def concept_inputs(rng: np.random.Generator, tokens: int, features: int, dose: float = 1.5):
    """Two halves in which each usual mistake would choose another pair than the right one."""
    while True:
        good = int(rng.integers(features > 1, features))
        fit, gold = concept_half(rng, tokens, features, good, dose)
        best, threshold, score = choose(fit, gold)
        rivals = {most_different(fit, gold), most_correlated(fit, gold)}
        if features > 1 and (best == 0 or features > 2 and best in rivals):
            continue
        judge, truth = concept_half(rng, tokens + 3, features, good, dose * 0.6)
        if features > 1:  # a feature that is lucky on the half that judges
            lucky = (good + 1) % features
            judge[:, lucky] = np.where(truth, 2.0, 0.2 * (rng.random(len(truth)) < 0.2))
        own = judge[:, [best]]
        held = score_of(own[:, 0] >= threshold, truth)
        if abs(held - score) < 0.02 or held == 0:
            continue
        both = np.concatenate([fit, judge]), np.concatenate([gold, truth])
        others = [choose(judge, truth), choose(*both)]
        chosen = {threshold, choose(own, truth)[1], *(found[1] for found in others)}
        if len(chosen) < 3 + (features > 1):
            continue
        if features > 2 and rivals & {found[0] for found in others}:
            continue
        if all(clearly_best(*half) for half in ((fit, gold), (judge, truth), (own, truth), both)):
            return fit, gold, judge, truth


def most_different(values: np.ndarray, gold: np.ndarray) -> int:
    return int((values[gold].mean(0) - values[~gold].mean(0)).argmax())


def most_correlated(values: np.ndarray, gold: np.ndarray) -> int:
    centred = values - values.mean(0)
    lengths = np.maximum(np.linalg.norm(centred, axis=0), 1e-12)
    return int((centred.T @ (gold - gold.mean()) / lengths).argmax())


def best_answer(student, fit, gold, judge, truth) -> np.ndarray:
    given = (torch.tensor(fit), torch.tensor(gold), torch.tensor(judge), torch.tensor(truth))
    answer = student(*given)
    if not isinstance(answer, (tuple, list)) or len(answer) != 3:
        raise Wrong("Return three things: return feature, threshold, f1")
    what = ("the number of the feature", "the threshold", "the F1")
    return np.array([as_number(a, name) for a, name in zip(answer, what, strict=True)])


def wrong_features(fit, gold, judge, truth) -> dict[str, tuple[int, float, float]]:
    """What well-known slips return for these halves."""

    def judged(feature, threshold, score=f1):
        return feature, threshold, score_of(judge[:, feature] >= threshold, truth, score)

    best, threshold, score = choose(fit, gold)
    there, on = choose(judge, truth), fit > 0
    column, own = judge[:, best], fit[:, best]
    by_mean, by_correlation = most_different(fit, gold), most_correlated(fit, gold)
    both = choose(np.concatenate([fit, judge]), np.concatenate([gold, truth]))
    alive = int(np.argmax([score_of(c, gold) for c in on.T]))
    refit = choose(judge[:, [best]], truth)
    lower = own[own < threshold].max(initial=0)
    per_feature = [choose(fit[:, [i]], gold)[1:] for i in range(fit.shape[1])]
    worst = int(np.argmin([found for _, found in per_feature]))
    mistakes = {
        SAME_HALF: (best, threshold, score),
        "The threshold is chosen on the half that judges; it comes from `fit`, like the feature.": (
            best,
            *refit[1:],
        ),
        CHOSEN_ON_JUDGE: there,
        CHOSEN_ON_JUDGE + " ": judged(*there[:2]),
        "You chose on both halves together; `judge` must not take part.": judged(*both[:2]),
        "You chose on both halves together; `judge` must not take part. ": both,
        "A token is said to belong to the concept from the threshold on, f >= threshold; yours "
        "starts above it.": (best, threshold, score_of(column > threshold, truth)),
        "A token is said to belong to the concept from the threshold on, f >= threshold; yours "
        "starts above it. ": (best, lower, score_of(column > lower, truth)),
        "Every active token counts for you: the threshold has to be chosen among the values that "
        "the feature takes on `fit`.": (alive, 0.0, score_of(judge[:, alive] > 0, truth)),
        "The threshold is one of the values that the feature takes on `fit`; yours lies between "
        "two of them.": judged(best, (threshold + lower) / 2),
        "You took the middle of the active values as threshold; choose it by F1.": judged(
            best, float(np.median(own[own > 0]))
        ),
        "You chose the feature by its mean difference between tokens with and without the "
        "concept; choose by F1.": judged(by_mean, per_feature[by_mean][0]),
        "You chose the feature by its correlation with the concept; choose by F1.": judged(
            by_correlation, per_feature[by_correlation][0]
        ),
        "Features are numbered from 0.": (best + 1, *judged(best, threshold)[1:]),
        "You chose the worst feature.": judged(worst, per_feature[worst][0]),
        "Said and gold are exchanged somewhere: you returned the F1 of the tokens without the "
        "concept.": (best, threshold, score_of(column < threshold, ~truth)),
    }
    for name, other in OTHER_SCORES.items():
        text = f"The third number is the {name}. F1 is 2 TP / (2 TP + FP + FN)."
        mistakes[text] = judged(best, threshold, other)
    return mistakes


def chosen_by(got: np.ndarray, fit: np.ndarray, gold: np.ndarray) -> str:
    """The score that this pair maximises on ``fit`` in place of F1; "" if there is none."""
    feature, threshold = int(got[0]), got[1] * (1 - 1e-9)
    if got[0] != feature or not 0 <= feature < fit.shape[1]:
        return ""
    for name, score in OTHER_SCORES.items():
        most = all_pairs(fit, gold, score)[2].max()
        if score_of(fit[:, feature] >= threshold, gold, score) > most - 1e-9:
            return f"You chose by the {name}, which one easy half can make high: choose by F1. "
    return ""


def best_compare(student, fit, gold, judge, truth) -> None:
    got = best_answer(student, fit, gold, judge, truth)
    best, threshold, _ = choose(fit, gold)
    right = (best, threshold, score_of(judge[:, best] >= threshold, truth))
    named = ("feature", "threshold", "F1")
    wrong = [n for n, a, b in zip(named, got, right, strict=True) if not np.isclose(a, b, 1e-4)]
    other_pair = wrong not in ([], ["F1"])
    otherwise = (
        f"Wrong {' and '.join(wrong)}. {chosen_by(got, fit, gold) if other_pair else ''}"
        "Among all features and all positive values they take on `fit`, take the pair with the "
        "highest F1 of f >= threshold there, then its F1 on `judge`."
    )
    compare(got, right, wrong_features(fit, gold, judge, truth), otherwise)


def one_feature(student, rng):
    for tokens in (12, 16, 30):
        best_compare(student, *concept_inputs(rng, tokens, 1))


def many_features(student, rng):
    for tokens, features in ((20, 3), (20, 6), (40, 10)):
        best_compare(student, *concept_inputs(rng, tokens, features))
