"""Checks of 02.3 and 02.5: the value of a set of tokens, and Shapley values (see unit02.py)."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from course_lib.checks.calling import as_number, as_vector, compare
from course_lib.checks.unit02_erasing import Sum, Table

# --- 02.3 expected_value(score, tokens, keep, background, kind) -> float -----------------------

INVERTED = (
    "You replaced the tokens that are present. keep[i] is True where the token of the text stays."
)
ALL_ROWS = (
    "You left out rows that disagree with the present tokens. That is the observational value; the "
    "interventional one uses every row."
)
SOME_ROWS = (
    "You used every row, whatever the present tokens. That is the interventional value; the "
    "observational one keeps the rows that agree."
)
MIXED = (
    "Each missing token must come from its own place in the same row: one row fills all gaps, the "
    "next row fills them again."
)


def correlated_table(rng, tokens, keep, rows, agreeing):
    """A background in which just ``agreeing`` rows have all the present tokens of the text.

    The other rows have at least one present token less, and missing tokens of another kind.
    """
    length, present = len(tokens), [i for i, kept in enumerate(keep) if kept]
    table = []
    for n in range(rows):
        row = rng.integers(20, 30, size=length).tolist()
        for i in present:
            row[i] = tokens[i]
        if n >= agreeing:
            row = [t if i in present else t + 10 for i, t in enumerate(row)]
            # Half of these rows differ in one present place, the others have the present words
            # all in other places.
            changed = int(rng.integers(50, 60))
            if n % 2 and len(present) > 1:
                for i, j in zip(present, present[1:] + present[:1], strict=True):
                    row[i] = tokens[j]
            else:
                row[present[n // 2 % len(present)]] = changed
        table.append(row)
    table[agreeing - 1] = list(table[0])  # one agreeing row occurs twice
    return [table[i] for i in rng.permutation(rows)]


def expected_inputs(rng):
    for keep, rows, agreeing in (
        ([True, False, True, False], 9, 4),
        ([False, True, False, True, True, False], 12, 5),
        ([False, True, False], 8, 3),
    ):
        tokens = rng.permutation(np.arange(1, len(keep) + 1)).tolist()
        yield tokens, keep, correlated_table(rng, tokens, keep, rows, agreeing)


def expected_mistakes(score, tokens, keep, background):
    """Values of both kinds, and of well-known slips: (interventional, observational, dict)."""

    def joined(row, other, mask):
        return [a if kept else b for a, b, kept in zip(row, other, mask, strict=True)]

    present = [i for i, kept in enumerate(keep) if kept]
    fits = [all(row[i] == tokens[i] for i in present) for row in background]
    values = np.array([score(joined(tokens, row, keep)) for row in background])
    rows = np.array([score(row) for row in background])
    turned = np.array([score(joined(row, tokens, keep)) for row in background])
    some = [any(row[i] == tokens[i] for i in present) for row in background]
    words = [{tokens[i] for i in present} <= set(row) for row in background]
    distinct = {tuple(row): value for row, value in zip(background, values, strict=True)}
    counted = [v for row, v in distinct.items() if all(row[i] == tokens[i] for i in present)]
    mistakes = {
        INVERTED: turned.mean(),
        INVERTED + " ": turned[fits].mean(),
        "You averaged the score of whole background rows; the present tokens have to come from "
        "the text.": rows.mean(),
        "You added the values up; an expectation is their mean.": values.sum(),
        "You added the values up; an expectation is their mean. ": values[fits].sum(),
        "You counted equal rows once. A row that occurs twice is twice as probable.": np.mean(
            list(distinct.values())
        ),
        "You counted equal rows once. A row that occurs twice is twice as probable. ": np.mean(
            counted
        ),
        "You used one row only. Take the mean over the rows.": values[0],
        "You used one row only. Take the mean over the rows. ": values[fits][0],
        "You returned m(x) - v(x_S); return the value v(x_S) itself.": score(tokens)
        - values.mean(),
        "You returned m(x), the score of the whole text.": score(tokens),
    }
    only_observational = {
        "You divided by the number of all rows; divide by the number of rows that agree.": values[
            fits
        ].sum()
        / len(values),
        "You compared which words occur, wherever they stand. A row agrees if it has each present "
        "token at its own place.": values[words].mean(),
        "Your rows agree with the text in some present token; they have to agree in all.": values[
            some
        ].mean(),
        "You took the rows that do not agree with the present tokens.": values[
            ~np.array(fits)
        ].mean(),
    }
    return values.mean(), values[fits].mean(), mistakes, only_observational


def expected_interventional(student, rng):
    for tokens, keep, background in expected_inputs(rng):
        for score in (Sum(rng, len(tokens), 60), Table(rng)):
            answer = student(score, tokens, keep, background, "interventional")
            right, other, mistakes, _ = expected_mistakes(score, tokens, keep, background)
            mistakes[ALL_ROWS] = other
            gaps = [i for i, kept in enumerate(keep) if not kept]
            shifted = [
                dict(zip(gaps, (row[i] for i in gaps[::-1]), strict=True)) for row in background
            ]
            mistakes[MIXED] = np.mean(
                [score([s.get(i, t) for i, t in enumerate(tokens)]) for s in shifted]
            )
            otherwise = (
                "The interventional value is the mean of the score over all rows, each row filling "
                f"the gaps of the text. {MIXED}"
            )
            compare(as_number(answer, "v(x_S)"), right, mistakes, otherwise)


def expected_observational(student, rng):
    for tokens, keep, background in expected_inputs(rng):
        for score in (Sum(rng, len(tokens), 60), Table(rng)):
            answer = student(score, tokens, keep, background, "observational")
            other, right, mistakes, more = expected_mistakes(score, tokens, keep, background)
            mistakes[SOME_ROWS] = other
            otherwise = "The observational value is the mean over the rows that agree with x_S."
            compare(as_number(answer, "v(x_S)"), right, {**mistakes, **more}, otherwise)


# --- 02.5 shapley(value, n) -> [n] ------------------------------------------------------------


class Game:
    """A set function made of dividends: v(S) is the sum of the dividends of all sets inside S.

    Each dividend is shared equally among the members of its set (Harsanyi 1963), so the Shapley
    values are known from how the game was made.
    """

    def __init__(self, n, dividends):
        self.n, self.dividends = n, dividends

    def __call__(self, present):
        if len(present) != self.n:
            raise ValueError(f"value needs a list of {self.n} bools, got {len(present)} entries.")
        inside = {i for i, there in enumerate(present) if bool(there)}
        return float(sum(d for members, d in self.dividends.items() if set(members) <= inside))

    def shares(self):
        phi = np.zeros(self.n)
        for members, dividend in self.dividends.items():
            for i in members:
                phi[i] += dividend / len(members)
        return phi


def random_game(rng, n, most=None):
    """Dividends for nothing, for each player and for some larger sets (of ``most`` at most)."""
    sets = [s for size in range(1, (most or n) + 1) for s in combinations(range(n), size)]
    larger = [s for s in sets if len(s) > 1]
    chosen = [s for s in sets if len(s) == 1]
    chosen += [
        larger[i] for i in rng.choice(len(larger), size=min(len(larger), 2 * n), replace=False)
    ]
    sizes = rng.uniform(0.5, 3, size=len(chosen)) * rng.choice([-1, 1], size=len(chosen))
    dividends = {s: float(d) for s, d in zip(chosen, sizes, strict=True)}
    return Game(n, {(): float(rng.uniform(4, 6)), **dividends})


def shapley_mistakes(value, n):
    """What well-known slips return for this game."""
    sets = [s for size in range(n + 1) for s in combinations(range(n), size)]
    v = {s: value([i in s for i in range(n)]) for s in sets}
    gains = [
        [(len(s), v[tuple(sorted((*s, i)))] - v[s]) for s in sets if i not in s] for i in range(n)
    ]
    ways = np.array([[len(g), g[0][1], g[-1][1], sum(d for _, d in g)] for g in gains])

    def factorial(k):
        return float(np.prod(np.arange(1, k + 1)))

    def weighted(weight):
        return np.array([sum(weight(s) * d for s, d in g) for g in gains])

    in_order = np.diff([v[tuple(range(k))] for k in range(n + 1)])
    right = weighted(lambda s: factorial(s) * factorial(n - s - 1) / factorial(n))
    everything, nothing = v[tuple(range(n))], v[()]
    return {
        "You averaged over all coalitions with equal weight (the Banzhaf value). Every order of "
        "entering has the same weight, and a coalition of size s occurs in s! (n - s - 1)! of "
        "them.": ways[:, 3] / ways[:, 0],
        "You added the gains of all coalitions up; they have to be weighted.": ways[:, 3],
        "You only looked at what a token adds to nothing.": ways[:, 1],
        "You only looked at what is lost when a token leaves the whole (erasure).": ways[:, 2],
        "You used one order of entering, that of the text. Average over all orders.": in_order,
        "The weight is wrong: |S|! (n - |S|)! / n! is one factor too large; it is |S|! (n - |S| - "
        "1)! / n!, with S not containing i.": weighted(
            lambda s: factorial(s) * factorial(n - s) / factorial(n)
        ),
        "The factor (n - |S| - 1)! is missing in the weight.": weighted(
            lambda s: factorial(s) / factorial(n)
        ),
        "The factor |S|! is missing in the weight.": weighted(
            lambda s: factorial(n - s - 1) / factorial(n)
        ),
        "The division by n! is missing.": weighted(lambda s: factorial(s) * factorial(n - s - 1)),
        "Each size of coalition got the same weight, but not each order: divide by n, the number "
        "of sizes.": n * right,
        "The sign is turned round: a token is worth v(S + i) - v(S).": -right,
        "You took absolute values; Shapley values are signed.": abs(right),
        "v of the empty set was taken as 0. It is the metric with nothing present, and is "
        "subtracted like any other.": right + nothing / n,
        "You normalised the values; they have to sum to v(all) - v(none).": right
        / (everything - nothing),
    }  # fmt: skip


def shapley_axioms(student, rng):
    for n in (3, 4):
        weights = rng.uniform(0.5, 3, size=n) * rng.choice([-1, 1], size=n)
        constant = float(rng.uniform(4, 6))
        game = Game(n, {(): constant, **{(i,): float(w) for i, w in enumerate(weights)}})
        got = as_vector(student(game, n), n, "shapley(...)")
        compare(got, weights, shapley_mistakes(game, n),
                "In a sum of weights every token is worth its own weight.")  # fmt: skip
        game = random_game(rng, n)
        # Token 0 is a dummy, and the last two tokens are worth the same to everyone.
        kept = {s: d for s, d in game.dividends.items() if 0 not in s and n - 1 not in s}
        twins = {tuple(n - 1 if i == n - 2 else i for i in s): d for s, d in kept.items()}
        game = Game(n, {**kept, **twins, (n - 2, n - 1): 2.5})
        got = as_vector(student(game, n), n, "shapley(...)")
        total, difference = got.sum(), game([True] * n) - game([False] * n)
        mistakes = shapley_mistakes(game, n)
        compare(got, game.shares(), mistakes, _axiom(got, total, difference))


def _axiom(got, total, difference):
    if abs(total - difference) > 1e-4:
        return (
            f"The values sum to {total:.3f}, v(all) - v(none) is {difference:.3f} (efficiency). "
            "The weights of the coalitions without i must sum to 1."
        )
    if abs(got[0]) > 1e-4:
        return "A token that never changes the value must get 0 (dummy)."
    if abs(got[-1] - got[-2]) > 1e-4:
        return (
            "Two tokens that are worth the same to every coalition got different values (symmetry)."
        )
    return "The values are efficient and symmetric, but the gains are wrong."


def shapley_dividends(student, rng):
    for n in (3, 4):
        for game in (random_game(rng, n), random_game(rng, n, most=2)):
            got = as_vector(student(game, n), n, "shapley(...)")
            otherwise = _axiom(
                [0.0, *got, got[-1]], got.sum(), game([True] * n) - game([False] * n)
            )
            compare(got, game.shares(), shapley_mistakes(game, n), otherwise)
