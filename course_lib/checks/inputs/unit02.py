"""Inputs of assignment 02: logits, models of which only the values are known, games, polynomials.

A model that a function may ask is a small object here, for example a table with a random value for
every text. It says what a text is worth, and never what a token of it is worth.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import torch

from course_lib.checks.results import Wrong

# --- 02.1 contrastive_metric(logits [T, V], target, foil, output) ------------------------------


def readings(
    rng, tokens, vocabulary, words=None, output=None, foil=True, favoured=None, dtype="float32",
    far=0.0, shift=0.0, near=0.0, minus_inf=False, grad=False,
):  # fmt: skip
    """Logits, two words of the vocabulary, and a scale. Without ``output`` the default is tried.

    With ``favoured`` the target is the likelier of the two words; with ``far`` a third word stands
    that many units above them; with ``near`` the target stands so little above the foil.
    """
    logits = rng.normal(size=(tokens, vocabulary)) * 1.5
    logits += rng.uniform(2, 5, size=(tokens, 1)) * rng.choice([-1, 1]) + shift
    one, two = words or rng.choice(np.arange(1, vocabulary), size=2, replace=False).tolist()
    last, third = logits[-1], next(i for i in range(vocabulary) if i not in (one, two))
    if favoured is not None:  # well apart, so that no rounding turns them round
        last[one] = last[two] + (1 if favoured else -1) * rng.uniform(0.5, 2)
    if near:
        last[one] = last[two] + near
    last[third] += far
    if minus_inf:
        logits[:, third] = -np.inf
    table = torch.tensor(logits).to(getattr(torch, dtype)).requires_grad_(grad)
    given = (table, one, two) if foil or output else (table, one)
    return given if output is None else (*given[:2], two if foil else None, output)


# --- texts and models of them (02.2, 02.3, 02.6) -----------------------------------------------


class Table:
    """A model of which nothing is known but its values: a random number for every text."""

    def __init__(self, rng, size=3.0, middle=0.0):
        self.seed, self.size, self.middle = int(rng.integers(2**31)), size, middle

    def __call__(self, tokens):
        key = [int(token) + 1000 for token in tokens]
        noise = np.random.default_rng([self.seed, len(key), *key]).uniform(-1, 1)
        return self.middle + self.size * float(noise)


def texts(rng, length, baseline=None, blank=None, default=False, zero=False, equal=False, **model):
    """A model, a text in which the first word comes again at the end, and a baseline token.

    ``blank`` is a place of the text that already holds the baseline token; ``zero`` moves the
    model so that the text is worth 0; ``equal`` writes one word everywhere but in the middle.
    """
    score, tokens = Table(rng, **model), rng.permutation(np.arange(1, length + 1)).tolist()
    if equal:
        tokens = [tokens[0] if i != length // 2 else tokens[i] for i in range(length)]
    tokens[-1] = tokens[0]
    if blank is not None:
        tokens[blank] = baseline
    if zero:
        score.middle -= score(tokens)
    return (score, tokens) if default else (score, tokens, baseline)


def backgrounds(rng, keep, rows, agreeing, kind=None, **model):
    """A model, a text, which places are present, and texts of which some have all present tokens.

    Missing tokens are of another kind in the rows that agree. One of these rows occurs twice. With
    ``agreeing`` 0 each row lacks a present token; without ``kind`` the default is tried.
    """
    tokens = rng.permutation(np.arange(1, len(keep) + 1)).tolist()
    present, table = [i for i, kept in enumerate(keep) if kept], []
    for n in range(rows):
        row = rng.integers(20, 30, size=len(keep)).tolist()
        for i in present:
            row[i] = tokens[i]
        if n >= agreeing:
            row = [t if i in present else t + 10 for i, t in enumerate(row)]
            # Half of these rows differ in one present place, the others have the present words
            # all in other places.
            if n % 2 and len(present) > 1:
                for i, j in zip(present, present[1:] + present[:1], strict=True):
                    row[i] = tokens[j]
            elif present:
                row[present[n // 2 % len(present)]] = int(rng.integers(50, 60))
        table.append(row)
    if agreeing > 1:
        table[agreeing - 1] = list(table[0])
    given = Table(rng, **model), tokens, list(keep), [table[i] for i in rng.permutation(rows)]
    return given if kind is None else (*given, kind)


def independent(rng, keep, kind):
    """Every combination of the words of three places, each once: no word tells of another."""
    words = [rng.choice(40, size=n, replace=False).tolist() for n in (2, 3, 2)]
    return Table(rng), [w[0] for w in words], list(keep), [*map(list, product(*words))], kind


def judged(rng, length, fractions, baseline=None, ties=0, default=False, **model):
    """A model, a text, an attribution of it, and shares of its tokens.

    ``ties`` 2 ties the best two tokens, and two that a rounded share ends between; 1 ties all.
    """
    tokens = rng.integers(1, 20, size=length).tolist()
    scores = rng.permutation(length) - length / 3
    if ties == 1:
        scores = np.full(length, -0.5)
    if ties == 2:
        scores = rng.choice([-3.0, -2.0, 0.5, 1.0], size=length)
        scores[rng.choice(length, size=4, replace=False)] = [2.0, 2.0, 1.5, 1.5]
    given = Table(rng, **model), tokens, scores.tolist(), list(fractions)
    return given if default else (*given, baseline)


# --- 02.4 integrated_gradients(gradient, value, x, baseline, steps) ----------------------------


def polynomial(weights, constant, power, together):
    """(gradient, value) of m(x) = sum of weight * x^power + constant at points [N, T, d].

    With ``together`` it is the power of the weighted sum. Both keep the type of the points.
    """

    def inner(points):
        if points.dim() != 3 or points.shape[1:] != weights.shape:
            raise ValueError("Points are a tensor [N, T, d]; for a single point use x[None].")
        x = points.detach().double()
        return (weights * x).sum((1, 2), keepdim=True) if together else x

    def value(points):
        powers = inner(points) ** power
        total = (powers if together else weights * powers).sum((1, 2))
        return (total + constant).to(points.dtype)

    def gradient(points):
        return (power * inner(points) ** (power - 1) * weights).to(points.dtype)

    return gradient, value


def paths(
    rng, tokens, width, power, steps=None, together=False, above=None, size=1.0, still=None,
    dtype="float64",
):  # fmt: skip
    """A polynomial as two callables, a text and a baseline that nowhere nearly agree, and steps.

    The sum of weight * (x - baseline)^3 has the sign that ``above`` asks for; ``size`` multiplies
    the metric; the token at ``still`` equals its baseline. The text is not contiguous.
    """
    shape, kind = (tokens, width), getattr(torch, dtype)
    weights = rng.uniform(0.3, 1, size=shape) * rng.choice([-size, size], size=shape)
    x, step = rng.uniform(0.8, 2, size=shape), rng.uniform(0.3, 1.2, size=shape)
    step *= rng.choice([-1, 1], size=shape)
    if above is not None and ((weights * step**3).sum() > 0) != above:
        weights *= -1
    if still is not None:
        step[still] = 0.0
    model = polynomial(torch.tensor(weights), size * rng.uniform(1, 2), power, together)
    given = *model, torch.tensor(x.T).to(kind).T, torch.tensor(x - step).to(kind)
    return given if steps is None else (*given, steps)


# --- 02.5 shapley(value, n) --------------------------------------------------------------------


def dividends_of(n, dividends):
    """The game in which v(S) is the sum of the dividends of all sets inside S, and its size."""

    def value(present):
        if len(present) != n:
            raise ValueError(f"value needs a list of {n} bools, got {len(present)} entries.")
        inside = {i for i, there in enumerate(present) if bool(there)}
        return float(sum(d for members, d in dividends.items() if inside.issuperset(members)))

    return value, n


def games(rng, n, most=None, twins=False, size=1.0, nothing=5.0):
    """A game with dividends for nothing, each token and some sets of at most ``most`` tokens.

    With ``twins`` token 0 changes nothing, and the last two are worth the same to everyone.
    """
    larger = [s for k in range(2, (most or n) + 1) for s in combinations(range(n), k)]
    chosen = [(i,) for i in range(n)] + [larger[i] for i in rng.permutation(len(larger))[: 2 * n]]
    worth = {s: float(rng.uniform(0.5, 3) * rng.choice([-1, 1])) for s in chosen}
    if twins:
        kept = {s: d for s, d in worth.items() if 0 not in s and n - 1 not in s}
        same = {tuple(n - 1 if i == n - 2 else i for i in s): d for s, d in kept.items()}
        worth = {**kept, **same, (n - 2, n - 1): 2.5}
    return dividends_of(n, {s: size * d for s, d in {(): nothing, **worth}.items()})


def everyone(rng, n, worth):
    """A game that is worth something only with all tokens, and for ``worth`` 0 never is."""
    return dividends_of(n, {tuple(range(n)): worth})


def largest(rng, n):
    """A game in which only the largest weight among those present counts."""
    weights = rng.uniform(0.5, 5, size=n)
    return (lambda present: float(np.max(weights * [bool(p) for p in present]))), n


# --- 02.7 causal_rank(scores, causes) ----------------------------------------------------------


def ranked(rng, above, tied, below, causes, tied_causes=0, scale=1.0):
    """Scores and places of causes: ``above`` other tokens lie above the best cause, and so on."""
    best = float(rng.uniform(-0.03, 0.03))  # smallest in size, wherever it is in rank
    values = [best + float(rng.uniform(0.5, 2)) for _ in range(above // 2)]
    values += [best + float(rng.uniform(0.5, 2))] * (above - above // 2) + [best] * tied
    near = below // 3  # other causes lie between the near and the far tokens, the last below all
    values += [best - d for d in rng.uniform(0.001, 0.01, size=near)]
    values += [best - d for d in rng.uniform(3, 4, size=below - near)]
    own = [best] * (1 + tied_causes)
    own += [best - d for d in rng.uniform(1.5, 2.5, size=causes)]
    own = own[: causes - 1] + [best - 5] if causes > 1 + tied_causes else own[:causes]
    order = rng.permutation(len(values) + len(own))
    scores = np.array(values + own)[order] * scale
    places = sorted(map(int, np.flatnonzero(order >= len(values))), key=lambda i: -scores[i])
    if len(places) > 2:  # the best cause is not named first, and neither is the worst
        places[:2] = places[1::-1]
    return scores.tolist(), places


def given(rng, values):
    """These arguments, as they are."""
    return tuple(values)


# --- observers: one of two things that an answer returns ----------------------------------------


def first_value(call, *arguments, number=0):
    """The first of two things, scores or a rank, whatever the second is."""
    pair = call(*arguments)
    pair = tuple(pair) if isinstance(pair, torch.Tensor | np.ndarray) and pair.ndim else pair
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise Wrong("Return two things: return first, second")
    return pair[number]


def second_value(call, *arguments):
    """The second of two things, whatever the first is."""
    return first_value(call, *arguments, number=1)
