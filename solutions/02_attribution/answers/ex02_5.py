"""02.5, exact Shapley values: answers, mistakes and draws (instructors only)."""

from itertools import permutations, product
from math import comb, factorial

import numpy as np

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("02.5", "exact Shapley values")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def share(n, size):
    """Of all orders, the share in which just a given set of this size comes before a token."""
    return factorial(size) * factorial(n - size - 1) / factorial(n)


def pairs(n, size):
    """The weights that are right where no three tokens do anything together."""
    return [(3 - n) / 2, 0.5, *[0.0] * n][size]


def weighted(value, n, weight=share):
    phi = np.zeros(n)
    for i in range(n):
        for present in product([False, True], repeat=n):
            if not present[i]:
                gain = value([*present[:i], True, *present[i + 1 :]]) - value([*present])
                phi[i] += weight(n, sum(present)) * gain
    return phi


@right
def shapley(value, n):
    return weighted(value, n)


@other
def over_orders(value, n, orders=permutations, afresh=True):
    phi, present, chosen = np.zeros(n), [False] * n, list(orders(range(n)))
    for order in chosen:
        present = [False] * n if afresh else present
        for i in order:
            before = value(present)
            present[i] = True
            phi[i] += value(present) - before
    return phi / len(chosen)


ALONE = "You only looked at what a token adds to nothing."
WEIGHTS = {
    "All coalitions got equal weight (the Banzhaf value). All orders of entering weigh the same: a "
    "coalition of size s occurs in s! (n - s - 1)! of them.": lambda n, s: 2.0 ** (1 - n),
    "You added the gains of all coalitions up; they have to be weighted.": lambda n, s: 1,
    ALONE: lambda n, s: s == 0,
    "You only looked at what the whole loses with a token (erasure).": lambda n, s: s == n - 1,
    "The weight |S|! (n - |S|)! / n! is one factor too large: n - |S| - 1, S does not contain i.": (
        lambda n, s: share(n, s) * (n - s)
    ),
    "The factor (n - |S| - 1)! is missing.": lambda n, s: factorial(s) / factorial(n),
    "The factor |S|! is missing in the weight.": lambda n, s: share(n, s) / factorial(s),
    "The division by n! is missing.": lambda n, s: share(n, s) * factorial(n),
    "Each size of coalition got the same weight; divide by n.": lambda n, s: 1 / comb(n - 1, s),
    "The sign is turned round: a token adds v(S + i) - v(S).": lambda n, s: -share(n, s),
}
ANSWERS.variants(weighted, {text: {"weight": weight} for text, weight in WEIGHTS.items()})
ANSWERS.variants(
    over_orders,
    {
        "You used one order of entering, that of the text.": {"orders": lambda tokens: [tokens]},
        "Tokens worth the same to everyone get different values (symmetry): take all orders.": {
            "orders": lambda tokens: [[*tokens[k:], *tokens[:k]] for k in tokens]
        },
        "Each order starts with no token; your list keeps those of the last.": {"afresh": False},
    },
)
mistake("You took absolute values; Shapley values are signed.", lambda *x: abs(weighted(*x)))
mistake("v of the empty set was taken as 0. Subtract it like any other.",
        lambda value, n: weighted(value, n) + value([False] * n) / n)  # fmt: skip
mistake("You normalised the values; they have to sum to v(all) - v(none).",
        lambda *given: weighted(*given) / weighted(*given).sum())  # fmt: skip


@mistake("A token that never changes anything must get 0 (dummy); you share the rest evenly.")
def rest_evenly(value, n):
    alone = weighted(value, n, WEIGHTS[ALONE])
    return alone + (value([True] * n) - value([False] * n) - alone.sum()) / n


mistake("A single token gets v(present) - v(nothing).",
        lambda value, n: weighted(value, n) if n > 1 else [value([True])],
        held_out=True)  # fmt: skip
mistake("From 5 tokens on your values leave out what more than two tokens do together.",
        lambda value, n: weighted(value, n, share if n < 5 else pairs), held_out=True)  # fmt: skip
mistake("Where v is large and the gains are small, your values are off: keep float64.",
        lambda value, n: weighted(lambda present: float(np.float32(value(present))), n),
        held_out=True)  # fmt: skip


@witness("The rule")
def sampled_orders(value, n):
    chance = np.random.default_rng(0)
    return over_orders(value, n, lambda players: [chance.permutation(players) for _ in range(200)])


def draws(*sizes, builder="games", note="", **options):
    return [Draw(builder, {"n": n} | options, note) for n in sizes]


RULE = "The rule: the mean gain over all orders (efficiency, dummy and symmetry follow from it)."
SUMS = draws(3, 4, most=1, note="In a sum of weights every token is worth its own weight.")
AXIOMS = draws(3, 4, twins=True, note="Token 0 changes nothing; the last two are worth the same.")
ANSWERS.part("efficiency, dummy, symmetry", 5, SUMS + AXIOMS, RULE)
ANSWERS.part("games of known dividends", 5, draws(3, 4) + draws(3, 4, most=2), RULE)
LARGER = draws(1, 2, 5, 6) + draws(4, size=1e-5, nothing=0.0) + draws(4, size=1e5)
LARGER += draws(
    4, builder="everyone", worth=3.0, note="Only all tokens together are worth a thing."
)
LARGER += draws(3, size=1e-2, nothing=1e4, note="v is large, the gains are small.")
ANSWERS.part("one token and five", 3, LARGER, RULE, held_out=True)
OTHERS = draws(3, 5, builder="largest", note="Only the largest weight among those present counts.")
OTHERS += draws(2, builder="everyone", worth=0.0, note="v is always 0.") + draws(4, nothing=-2.0)
ANSWERS.part("additivity", 2, OTHERS, RULE, held_out=True)
