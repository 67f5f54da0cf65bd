"""Checks of 02.6 and 02.7: faithfulness of an order, rank of a cause (see unit02.py)."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from course_lib.checks.calling import as_table, as_vector, compare
from course_lib.checks.unit02_erasing import Sum, Table, replaced

# --- 02.6 comprehensiveness_sufficiency(score, tokens, scores, fractions, baseline) -> dict -----

MEASURES = ("comprehensiveness", "sufficiency")
ALL_TOKENS = (
    "With fraction 1 all tokens are chosen: alone they are the whole text, so sufficiency is 0; "
    "comprehensiveness is m(x) minus m of the text without any token."
)


def faithful_values(score, tokens, order, ks, baseline):
    """Comprehensiveness and sufficiency of an order of places, for these numbers of tokens."""
    every, whole = set(range(len(tokens))), score(tokens)
    without = [score(replaced(tokens, set(order[:k]), baseline)) for k in ks]
    alone = [score(replaced(tokens, every - set(order[:k]), baseline)) for k in ks]
    return np.array([whole - np.mean(without), whole - np.mean(alone)])


def faithful_mistakes(score, tokens, scores, fractions, baseline):
    n, whole = len(tokens), score(tokens)
    everywhere = np.arange(n)
    order = sorted(range(n), key=lambda i: (-scores[i], i))
    ks = [math.ceil(fraction * n) for fraction in fractions]
    right = faithful_values(score, tokens, order, ks, baseline)
    floors, rounds = [math.floor(f * n) for f in fractions], [round(f * n) for f in fractions]

    def by(key, ks=ks):
        return faithful_values(score, tokens, sorted(everywhere, key=key), ks, baseline)

    single = [
        [score(replaced(tokens, {order[k - 1]}, baseline)) for k in ks],
        [score(replaced(tokens, set(everywhere) - {order[k - 1]}, baseline)) for k in ks],
    ]
    cuts = [[i for i in order if scores[i] >= scores[order[k - 1]]] for k in ks]
    tied = np.mean(
        [faithful_values(score, tokens, places, [len(places)], baseline) for places in cuts], 0
    )
    claimed = np.mean([sum(sorted(scores, reverse=True)[:k]) for k in ks])
    mistakes = {
        "Comprehensiveness and sufficiency are swapped: comprehensiveness takes the best tokens "
        "away, sufficiency keeps them alone.": right[::-1],
        "You rounded the number of tokens down; round up, so that a small fraction is still one "
        "token.": by(lambda i: (-scores[i], i), floors),
        "You rounded the number of tokens to the nearest whole one; round up.": by(
            lambda i: (-scores[i], i), rounds
        ),
        "You took at least one token, but rounded down otherwise; round up.": by(
            lambda i: (-scores[i], i), [max(1, k) for k in floors]
        ),
        "You ordered by absolute value. The order is by signed score: a token that speaks against "
        "the target comes last.": by(lambda i: (-abs(scores[i]), i)),
        "Your order starts with the lowest score; the best token comes first.": by(
            lambda i: (scores[i], i)
        ),
        "Your order starts with the lowest score; the best token comes first. ": by(
            lambda i: (scores[i], -i)
        ),
        "Tied tokens come in reverse; with equal scores the one earlier in the text comes "
        "first.": by(lambda i: (-scores[i], -i)),
        "You took all tokens that are tied with the k-th; k tokens are the rationale.": tied,
        "You ignored the scores and took the tokens in the order of the text.": by(lambda i: i),
        "You returned the metric of the changed texts; subtract it from m(x).": whole - right,
        "The sign is turned round: both measures are m(x) minus the metric of the changed "
        "text.": -right,
        "You changed only the last of the k tokens; all k best ones go together.": whole
        - np.mean(single, 1),
        "You added the fractions up; take their mean.": len(ks) * right,
        "You used the first fraction only; take the mean over all.": faithful_values(
            score, tokens, order, ks[:1], baseline
        ),
        "You used the last fraction only; take the mean over all.": faithful_values(
            score, tokens, order, ks[-1:], baseline
        ),
        "You took a fraction as a number of tokens.": faithful_values(
            score, tokens, order, [math.ceil(f) for f in fractions], baseline
        ),
        "You added up the attribution itself. The measures ask the model: call score on the "
        "changed texts.": np.array([claimed, sum(scores) - claimed]),
        "You divided by m(x); the measures keep the unit of the metric.": right / whole,
    }  # fmt: skip
    if baseline is None:
        mistakes["With baseline=None leave the tokens out; do not put token 0 there."] = (
            faithful_values(score, tokens, order, ks, 0)
        )
    else:
        mistakes["You deleted tokens although a baseline token was given."] = faithful_values(
            score, tokens, order, ks, None
        )
    return right, mistakes


def faithful_compare(student, score, tokens, scores, fractions, baseline):
    right, mistakes = faithful_mistakes(score, tokens, scores, fractions, baseline)
    answer = student(score, tokens, scores, fractions, baseline)
    table = as_table(answer, set(MEASURES))
    in_one = {
        f"The {name} alone is wrong. {text}": np.where(np.array(MEASURES) == name, value, right)
        for name in MEASURES
        for text, value in mistakes.items()
    }
    wrong = [
        name
        for name, value in zip(MEASURES, right, strict=True)
        if not np.isclose(table[name], value, rtol=1e-4, atol=1e-4)
    ]
    otherwise = (
        f"Wrong {' and '.join(wrong)}. For each fraction take the ceil(fraction * T) tokens with "
        "the highest scores: m(x) minus the metric without them, and m(x) minus the metric of them "
        "alone; then the means over the fractions."
    )
    compare([table[name] for name in MEASURES], right, {**mistakes, **in_one}, otherwise)


def faithful_sum(student, rng):
    for length, fractions in ((5, [0.3, 0.7]), (6, [1 / 2]), (7, [0.2, 0.5, 0.9])):
        tokens = rng.integers(1, 20, size=length).tolist()
        scores = (rng.permutation(length) - length / 3).tolist()
        for baseline in (25, None):
            score = Sum(rng, length, 30, by_place=baseline is not None)
            faithful_compare(student, score, tokens, scores, fractions, baseline)
            table = as_table(student(score, tokens, scores, [1.0], baseline), set(MEASURES))
            lost = score(tokens) - score(replaced(tokens, set(range(length)), baseline))
            compare([table[name] for name in MEASURES], [lost, 0.0], {}, ALL_TOKENS)


def faithful_order(student, rng):
    for length, fractions in ((5, [0.1, 0.5]), (7, [0.2, 0.5]), (8, [0.1, 0.3, 0.6])):
        tokens = rng.integers(1, 20, size=length).tolist()
        scores = rng.choice([-3.0, -2.0, 0.5, 1.0], size=length)
        # The best two are tied, and so are the two that a rounded fraction ends between.
        scores[rng.choice(length, size=4, replace=False)] = [2.0, 2.0, 1.5, 1.5]
        for baseline in (25, None):
            score = Table(rng)
            faithful_compare(student, score, tokens, scores.tolist(), fractions, baseline)


# --- 02.7 causal_rank(scores, causes) -> (rank, chance) -----------------------------------------


def ranked(rng, above, tied, below, causes, tied_causes=0):
    """Scores and places of causes: ``above`` other tokens lie above the best cause, and so on."""
    best = float(rng.uniform(-0.03, 0.03))  # smallest in size, wherever it is in rank
    values = [best + float(rng.uniform(0.5, 2))] * above + [best] * tied
    near = below // 3  # other causes lie between the near and the far tokens, the last below all
    values += [best - d for d in rng.uniform(0.001, 0.01, size=near)]
    values += [best - d for d in rng.uniform(3, 4, size=below - near)]
    own = [best] * (1 + tied_causes)
    middle = [best - d for d in rng.uniform(1.5, 2.5, size=causes)]
    own = (own + middle)[: causes - 1] + [best - 5] if len(own) < causes else own
    order = rng.permutation(len(values) + len(own))
    scores = np.array(values + own)[order]
    places = sorted(map(int, np.flatnonzero(order >= len(values))), key=lambda i: -scores[i])
    if len(places) > 2:  # the best cause is not named first, and neither is the worst
        places[:2] = places[1::-1]
    return scores.tolist(), places


def chance_level(tokens, causes):
    """Mean of 1 / rank of the best cause over all ways to place the causes in an order."""
    return float(np.mean([1 / (1 + min(s)) for s in combinations(range(tokens), causes)]))


def rank_answer(student, scores, causes):
    return as_vector(student(scores, causes), 2, "the pair (rank, chance)")


def rank_mistakes(scores, causes):
    values, own = np.array(scores), np.array(scores)[causes]
    others = np.delete(values, causes)
    best, worst = own.max(), own.min()

    def rank(among, value, half=0.5, start=1):
        return start + (among > value).sum() + half * (among == value).sum()

    right = rank(others, best)
    sizes, own_size = abs(others), abs(own).max()
    every = [1 + (values > value).sum() + ((values == value).sum() - 1) / 2 for value in own]
    return right, {
        "Ties are counted fully against the cause. A token with the same score counts one half: "
        "either order is as good.": rank(others, best, 1),
        "Ties are not counted at all. A token with the same score counts one half.": rank(
            others, best, 0
        ),
        "Several tokens with the cause's score count one half each.": 1
        + (others > best).sum()
        + 0.5 * (best in others),
        "You rounded the rank; a tie gives half a rank.": math.ceil(right),
        "You rounded the rank; a tie gives half a rank. ": math.floor(right),
        "Tokens that score higher than the cause count one each, also if they are tied with each "
        "other.": 1 + len(set(others[others > best])) + 0.5 * (others == best).sum(),
        "You rounded the scores. Only equal scores are ties.": rank(
            others.round(1), best.round(1)
        ),
        "Ranks start at 1, for the top.": rank(others, best, start=0),
        "You took the worst of the causes. The rank is that of the best.": rank(others, worst),
        "You took the first cause of the list. The rank is that of the best.": rank(others, own[0]),
        "You averaged the ranks of the causes. The rank is that of the best.": np.mean(every),
        "You averaged the ranks of the causes. The rank is that of the best. ": np.mean(
            [rank(others, value) for value in own]
        ),
        "A cause does not compete with itself: count the other tokens.": rank(values, best),
        "Causes do not compete with each other: count only tokens that are no cause.": every[
            int(own.argmax())
        ],
        "You ranked from the lowest score up; the highest score has rank 1.": rank(-others, -best),
        "You ranked by absolute value. A cause supports the right word: rank signed scores.": rank(
            sizes, own_size
        ),
        "You returned 1 / rank; the first of the two numbers is the rank itself.": 1 / right,
        "A place was taken as a rank.": 1 + causes[int(own.argmax())],
    }  # fmt: skip


def rank_ties(student, rng):
    for above, tied, below, causes in ((3, 0, 6, 1), (0, 3, 2, 1), (4, 1, 2, 2), (1, 2, 6, 3)):
        scores, places = ranked(rng, above, tied, below, causes)
        right, mistakes = rank_mistakes(scores, places)
        otherwise = (
            f"{above} other tokens score higher than the best cause and {tied} the same: the rank "
            f"is 1 + {above} + {tied} / 2."
        )
        compare(rank_answer(student, scores, places)[0], right, mistakes, otherwise)


def rank_chance(student, rng):
    for tokens, causes in ((5, 1), (7, 2), (9, 3), (4, 4)):
        scores, places = ranked(rng, 0, 0, tokens - causes, causes)
        got = rank_answer(student, scores, places)[1]
        right = chance_level(tokens, causes)
        single = chance_level(tokens, 1)
        mistakes = {
            "This is the chance for one cause; the best of several comes earlier.": single,
            "You returned 1 / the expected rank. The mean of 1 / rank is larger.": (causes + 1)
            / (tokens + 1),
            "You returned 1 / the expected rank of one cause. The mean of 1 / rank is "
            "larger.": 2 / (tokens + 1),
            "You returned the expected rank; the chance level is a mean of 1 / rank.": (tokens + 1)
            / (causes + 1),
            "You returned the chance to have a cause on top; the chance level is the mean of 1 / "
            "rank over all ranks.": causes / tokens,
            "You returned 1 / T. The mean of 1 / rank over all ranks is larger.": 1 / tokens,
            "You multiplied the chance for one cause by the number of causes; the causes share one "
            "order.": min(1.0, causes * single),
            "You multiplied the chance for one cause by the number of causes; the causes share one "
            "order. ": causes * single,
            "You averaged over the possible ranks as if all were as likely; the best of several "
            "comes early.": sum(1 / r for r in range(1, tokens - causes + 2))
            / (tokens - causes + 1),
            "You returned the reciprocal rank of these scores. Chance does not depend on the "
            "scores.": 1.0,
        }  # fmt: skip
        otherwise = (
            f"For {causes} causes among {tokens} tokens in random order, the mean of 1 / rank of "
            f"the best cause is {right:.4f}."
        )
        compare(got, right, mistakes, otherwise, tolerance=1e-6)
