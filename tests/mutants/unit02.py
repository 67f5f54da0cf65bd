"""Answers to assignment 02 that the checks must tell apart: right in another style, and wrong."""

from __future__ import annotations

import math
import random
from itertools import combinations, permutations, product

import numpy as np
import torch

from tests.mutants.answers import Answers

ANSWERS = Answers()
other, mutant = ANSWERS.other, ANSWERS.mutant


# --- 02.1 ----------------------------------------------------------------------------------


@other("02.1")
def metric_numpy(logits, target, foil=None, output="logprob"):
    if output not in ("prob", "logprob", "logit") or foil == target:
        raise ValueError(output)
    row = logits[-1].double().numpy()
    if output != "logit":
        row = row - row.max()
        row = row - np.log(np.exp(row).sum())
    if output == "prob":
        row = np.exp(row)
    return row[target] - (0.0 if foil is None else row[foil])


@other("02.1")
def metric_one_hot(logits, target, foil=None, output="logprob"):
    if foil is not None and foil == target:
        raise ValueError("same word")
    direction = torch.zeros(logits.shape[1], dtype=torch.float64)
    direction[target] = 1.0
    if foil is not None:
        direction[foil] = -1.0
    last = logits[-1].double()
    if output == "logit":
        return direction @ last
    if output == "logprob":
        return direction @ last.log_softmax(0)
    if output == "prob":
        return direction @ last.softmax(0)
    raise ValueError(output)


def _metric(logits, target, foil, output, row=-1, axis=-1):
    table = logits.double()
    scale = {"prob": torch.softmax, "logprob": torch.log_softmax, "logit": lambda x, _: x}
    if output not in scale or target == foil:
        raise ValueError
    found = scale[output](table, axis)[row]
    return found[target] - (found[foil] if foil is not None else 0.0)


@mutant("02.1", "target minus foil")
def foil_minus_target(logits, target, foil=None, output="logprob"):
    value = _metric(logits, target, foil, output)
    return value if foil is None else -value


@mutant("02.1", "another position than the last")
def first_position(logits, target, foil=None, output="logprob"):
    return _metric(logits, target, foil, output, row=0)


@mutant("02.1", "another position than the last")
def position_before(logits, target, foil=None, output="logprob"):
    return _metric(logits, target, foil, output, row=-2 if len(logits) > 1 else 0)


@mutant("02.1", "You averaged over the positions")
def mean_over_positions(logits, target, foil=None, output="logprob"):
    rows = [_metric(logits, target, foil, output, row=t) for t in range(len(logits))]
    return sum(rows) / len(rows)


@mutant("02.1", "normalised over the positions")
def wrong_axis(logits, target, foil=None, output="logprob"):
    return _metric(logits, target, foil, output, axis=0)


@mutant("02.1", "For output='logprob' you returned the prob")
def probability_for_logprob(logits, target, foil=None, output="logprob"):
    return _metric(logits, target, foil, "prob" if output == "logprob" else output)


@mutant("02.1", "For output='logprob' you returned the logit")
def logit_for_logprob(logits, target, foil=None, output="logprob"):
    return _metric(logits, target, foil, "logit" if output == "logprob" else output)


@mutant("02.1", "foil makes no difference")
def ignores_foil(logits, target, foil=None, output="logprob"):
    return _metric(logits, target, None, output)


@mutant("02.1", "softmax over two")
def only_two_words(logits, target, foil=None, output="logprob"):
    if foil is None:
        return _metric(logits, target, None, output)
    return _metric(logits[:, [target, foil]], 0, 1, output)


@mutant("02.1", "absolute value")
def without_sign(logits, target, foil=None, output="logprob"):
    value = _metric(logits, target, foil, output)
    return value if foil is None else abs(value)


@mutant("02.1", "base 2")
def in_bits(logits, target, foil=None, output="logprob"):
    unit = math.log(2) if output == "logprob" else 1.0
    return _metric(logits, target, foil, output) / unit


@mutant("02.1", "subtracted first")
def log_of_difference(logits, target, foil=None, output="logprob"):
    if foil is None or output != "logprob":
        return _metric(logits, target, foil, output)
    return _metric(logits, target, foil, "prob").abs().log()


@mutant("02.1", "You added the two scores")
def adds_foil(logits, target, foil=None, output="logprob"):
    value = _metric(logits, target, None, output)
    return value if foil is None else value + _metric(logits, foil, None, output)


@mutant("02.1", "compute in float64", "held-out")
def single_precision(logits, target, foil=None, output="logprob"):
    return _metric(logits.float(), target, foil, output)


@mutant("02.1", "Token id 0 is a word", "held-out")
def foil_zero_is_none(logits, target, foil=None, output="logprob"):
    return _metric(logits, target, foil if foil else None, output)


@mutant("02.1", "convert to float64", "held-out")
def keeps_precision(logits, target, foil=None, output="logprob"):
    if output == "prob":
        row = torch.softmax(logits[-1], -1)
    else:
        row = torch.log_softmax(logits[-1], -1) if output == "logprob" else logits[-1]
    if output not in ("prob", "logprob", "logit") or target == foil:
        raise ValueError
    return row[target] - (row[foil] if foil is not None else 0.0)


@mutant("02.1", "inf - inf", "held-out")
def log_of_softmax(logits, target, foil=None, output="logprob"):
    row = torch.softmax(logits[-1].float(), -1)
    if output != "prob":
        row = row.log() if output == "logprob" else logits[-1].double()
    if output not in ("prob", "logprob", "logit") or target == foil:
        raise ValueError
    return row[target] - (row[foil] if foil is not None else 0.0)


@mutant("02.1", "Target and foil are the same word", "held-out")
def same_word_is_zero(logits, target, foil=None, output="logprob"):
    return 0.0 if target == foil else _metric(logits, target, foil, output)


@mutant("02.1", "unknown output must raise ValueError", "held-out")
def any_output(logits, target, foil=None, output="logprob"):
    if target == foil:
        raise ValueError
    return _metric(logits, target, foil, output if output in ("prob", "logit") else "logprob")


# --- 02.2 ----------------------------------------------------------------------------------


def _without(tokens, places, baseline):
    if baseline is None:
        return [t for i, t in enumerate(tokens) if i not in places]
    return [baseline if i in places else t for i, t in enumerate(tokens)]


@other("02.2")
def erasure_on_copies(score, tokens, baseline=None):
    found = []
    for i in range(len(tokens)):
        text = tokens.copy()
        if baseline is None:
            del text[i]
        else:
            text[i] = baseline
        found.append(-(score(text) - score(tokens)))
    return torch.tensor(found, dtype=torch.float64)


@other("02.2")
def erasure_with_masks(score, tokens, baseline=None):
    values = np.array(tokens)
    if baseline is None:
        texts = [np.delete(values, i) for i in range(len(values))]
    else:
        texts = np.where(np.eye(len(values), dtype=bool), baseline, values)
    return score(tokens) - np.array([score(text.tolist()) for text in texts])


@mutant("02.2", "sign is turned round")
def turned_erasure(score, tokens, baseline=None):
    return -erasure_with_masks(score, tokens, baseline)


@mutant("02.2", "subtract it from m(x)")
def value_without(score, tokens, baseline=None):
    return score(tokens) - erasure_with_masks(score, tokens, baseline)


@mutant("02.2", "kept token i and erased all the others")
def erases_the_others(score, tokens, baseline=None):
    every = set(range(len(tokens)))
    return [score(tokens) - score(_without(tokens, every - {i}, baseline)) for i in every]


@mutant("02.2", "Erased tokens stay erased")
def cumulative(score, tokens, baseline=None):
    return [
        score(tokens) - score(_without(tokens, set(range(i + 1)), baseline))
        for i in range(len(tokens))
    ]


@mutant("02.2", "Erased tokens stay erased")
def cumulative_steps(score, tokens, baseline=None):
    values = [score(_without(tokens, set(range(i)), baseline)) for i in range(len(tokens) + 1)]
    return [a - b for a, b in zip(values[:-1], values[1:], strict=True)]


@mutant("02.2", "every token that equals")
def erases_by_value(score, tokens, baseline=None):
    return [
        score(tokens)
        - score(_without(tokens, {j for j, u in enumerate(tokens) if u == t}, baseline))
        for t in tokens
    ]


@mutant("02.2", "first token that equals")
def erases_first_of_kind(score, tokens, baseline=None):
    return [score(tokens) - score(_without(tokens, {tokens.index(t)}, baseline)) for t in tokens]


@mutant("02.2", "deleted the token although")
def always_deletes(score, tokens, baseline=None):
    return erasure_with_masks(score, tokens, None)


@mutant("02.2", "do not put token 0")
def never_deletes(score, tokens, baseline=None):
    return erasure_with_masks(score, tokens, 0 if baseline is None else baseline)


@mutant("02.2", "absolute values")
def size_of_erasure(score, tokens, baseline=None):
    return abs(erasure_with_masks(score, tokens, baseline))


@mutant("02.2", "You normalised the scores")
def relative_importance(score, tokens, baseline=None):
    found = erasure_with_masks(score, tokens, baseline)
    return found / abs(found).sum()


@mutant("02.2", "divided by m(x)")
def relative_loss(score, tokens, baseline=None):
    return erasure_with_masks(score, tokens, baseline) / score(tokens)


@mutant("02.2", "changed the data")
def erases_in_place(score, tokens, baseline=None):
    value, found = score(tokens), []
    for i in range(len(tokens)):
        tokens[i] = baseline or 0
        found.append(value - score(tokens))
    return found


@mutant("02.2", "must have shape")
def skips_first_token(score, tokens, baseline=None):
    return erasure_with_masks(score, tokens, baseline)[1:]


@mutant("02.2", "that one token is replaced")
def scores_shifted(score, tokens, baseline=None):
    return np.roll(erasure_with_masks(score, tokens, baseline), 1)


@mutant("02.2", "must get exactly 0")
def deletes_baseline_tokens(score, tokens, baseline=None):
    return [
        score(tokens) - score(_without(tokens, {i}, None if t == baseline else baseline))
        for i, t in enumerate(tokens)
    ]


@mutant("02.2", "first token that equals")
def scores_by_word(score, tokens, baseline=None):
    scores = {}
    for i, token in enumerate(tokens):
        scores.setdefault(token, score(tokens) - score(_without(tokens, {i}, baseline)))
    return [scores[token] for token in tokens]


@mutant("02.2", "only None means deletion", "held-out")
def baseline_zero_is_none(score, tokens, baseline=None):
    return erasure_with_masks(score, tokens, baseline if baseline else None)


@mutant("02.2", "TypeError", "held-out")
def baseline_is_needed(score, tokens, baseline):
    return erasure_with_masks(score, tokens, baseline)


# --- 02.3 ----------------------------------------------------------------------------------


def _expected(score, tokens, keep, background, kind, **change):
    if kind not in ("interventional", "observational"):
        raise ValueError(kind)
    present = [i for i, kept in enumerate(keep) if kept]
    fits = change.get("fits", lambda row: all(row[i] == tokens[i] for i in present))
    rows = [row for row in background if kind == "interventional" or fits(row)]
    if not rows:
        raise ValueError("no row")

    def joined(row):
        return [t if k else r for t, r, k in zip(tokens, row, keep, strict=True)]

    fill = change.get("fill", joined)
    average = change.get("average", lambda values: sum(values) / len(values))
    return average([score(fill(row)) for row in rows])


@other("02.3")
def expected_with_arrays(score, tokens, keep, background, kind="interventional"):
    table, text, mask = np.array(background), np.array(tokens), np.array(keep)
    if kind == "observational":
        table = table[(table[:, mask] == text[mask]).all(1)]
    elif kind != "interventional":
        raise ValueError(kind)
    if len(table) == 0:
        raise ValueError("nothing agrees")
    return np.mean([score(row.tolist()) for row in np.where(mask, text, table)])


@other("02.3")
def expected_as_weights(score, tokens, keep, background, kind="interventional"):
    if kind not in {"interventional", "observational"}:
        raise ValueError
    top = bottom = 0.0
    for row in background:
        filled = list(row)
        for i in range(len(tokens)):
            if keep[i]:
                filled[i] = tokens[i]
        weight = 1.0 if kind == "interventional" or filled == list(row) else 0.0
        top, bottom = top + weight * score(filled), bottom + weight
    if bottom == 0:
        raise ValueError
    return torch.tensor(top / bottom)


@mutant("02.3", "replaced the tokens that are present")
def keep_turned_round(score, tokens, keep, background, kind="interventional"):
    def fill(row):
        return [r if k else t for t, r, k in zip(tokens, row, keep, strict=True)]

    return _expected(score, tokens, keep, background, kind, fill=fill)


@mutant("02.3", "interventional one uses every row")
def always_observational(score, tokens, keep, background, kind="interventional"):
    return _expected(score, tokens, keep, background, "observational")


@mutant("02.3", "observational one keeps the rows that agree")
def always_interventional(score, tokens, keep, background, kind="interventional"):
    return _expected(score, tokens, keep, background, "interventional")


@mutant("02.3", "they have to agree in all")
def agrees_somewhere(score, tokens, keep, background, kind="interventional"):
    def fits(row):
        return any(row[i] == tokens[i] for i, kept in enumerate(keep) if kept)

    return _expected(score, tokens, keep, background, kind, fits=fits)


@mutant("02.3", "wherever they stand")
def agrees_in_words(score, tokens, keep, background, kind="interventional"):
    def fits(row):
        return {t for t, kept in zip(tokens, keep, strict=True) if kept} <= set(row)

    return _expected(score, tokens, keep, background, kind, fits=fits)


@mutant("02.3", "rows that agree with x_S")
def agrees_at_first_place(score, tokens, keep, background, kind="interventional"):
    first = keep.index(True) if True in keep else 0

    def fits(row):
        return row[first] == tokens[first]

    return _expected(score, tokens, keep, background, kind, fits=fits)


@mutant("02.3", "stopped with ValueError")
def agrees_on_missing(score, tokens, keep, background, kind="interventional"):
    def fits(row):
        return all(row[i] == tokens[i] for i, kept in enumerate(keep) if not kept)

    return _expected(score, tokens, keep, background, kind, fits=fits)


@mutant("02.3", "divide by the number of rows that agree")
def divides_by_all_rows(score, tokens, keep, background, kind="interventional"):
    return _expected(
        score, tokens, keep, background, kind, average=lambda values: sum(values) / len(background)
    )


@mutant("02.3", "an expectation is their mean")
def adds_rows_up(score, tokens, keep, background, kind="interventional"):
    return _expected(score, tokens, keep, background, kind, average=sum)


@mutant("02.3", "You used one row only")
def one_row(score, tokens, keep, background, kind="interventional"):
    return _expected(score, tokens, keep, background, kind, average=lambda values: values[0])


@mutant("02.3", "twice as probable")
def distinct_rows(score, tokens, keep, background, kind="interventional"):
    rows = [list(row) for row in dict.fromkeys(map(tuple, background))]
    return _expected(score, tokens, keep, rows, kind)


@mutant("02.3", "present tokens have to come from the text")
def whole_rows(score, tokens, keep, background, kind="interventional"):
    return _expected(score, tokens, keep, background, kind, fill=list)


@mutant("02.3", "return the value v(x_S) itself")
def loss_for_value(score, tokens, keep, background, kind="interventional"):
    return score(tokens) - _expected(score, tokens, keep, background, kind)


@mutant("02.3", "one row fills all gaps")
def independent_gaps(score, tokens, keep, background, kind="interventional"):
    choices = [[t] if k else [row[i] for row in background]
               for i, (t, k) in enumerate(zip(tokens, keep, strict=True))]  # fmt: skip
    if kind == "observational":
        return _expected(score, tokens, keep, background, kind)
    return np.mean([score(list(text)) for text in product(*choices)])


@mutant("02.3", "do not agree with the present tokens")
def rows_that_disagree(score, tokens, keep, background, kind="interventional"):
    def fits(row):
        return any(row[i] != tokens[i] for i, kept in enumerate(keep) if kept)

    return _expected(score, tokens, keep, background, kind, fits=fits)


@mutant("02.3", "raise ValueError", "held-out")
def falls_back_to_all_rows(score, tokens, keep, background, kind="interventional"):
    try:
        return _expected(score, tokens, keep, background, kind)
    except ValueError:
        return _expected(score, tokens, keep, background, "interventional")


@mutant("02.3", "ZeroDivisionError", "held-out")
def divides_by_nothing(score, tokens, keep, background, kind="interventional"):
    present = [i for i, kept in enumerate(keep) if kept]
    rows = [
        row
        for row in background
        if kind == "interventional" or all(row[i] == tokens[i] for i in present)
    ]
    return sum(_expected(score, tokens, keep, [row], "interventional") for row in rows) / len(rows)


@mutant("02.3", "Without `kind`", "held-out")
def observational_by_default(score, tokens, keep, background, kind="observational"):
    return _expected(score, tokens, keep, background, kind)


# --- 02.4 ----------------------------------------------------------------------------------


def _path(gradient, value, x, baseline, steps, **change):
    t = change.get("t", (np.arange(steps) + 0.5) / steps)
    start = change.get("start", baseline)
    points = torch.stack([start + float(a) * (x - start) for a in t])
    mean = change.get("mean", lambda table: table.mean(0))(gradient(points))
    scores = change.get("reduce", lambda table: table.sum(-1))(
        change.get("factor", x - baseline) * mean
    )
    difference = value(x[None])[0] - value(baseline[None])[0]
    gap = change.get("gap", lambda total, d: total - d)(scores.sum(), difference)
    return scores, float(gap)


@other("02.4")
def ig_in_a_loop(gradient, value, x, baseline, steps=32):
    total = np.zeros(tuple(x.shape))
    for k in range(steps):
        t = (2 * k + 1) / (2 * steps)
        point = t * x + (1 - t) * baseline
        total += gradient(point[None])[0].numpy() / steps
    scores = ((x - baseline).numpy() * total).sum(1)
    ends = [float(value(p[None])[0]) for p in (baseline, x)]
    return scores.tolist(), scores.sum() - ends[1] + ends[0]


@other("02.4")
def ig_as_einsum(gradient, value, x, baseline, steps=32):
    t = torch.linspace(0, 1, 2 * steps + 1, dtype=torch.float64)[1::2]
    points = torch.lerp(baseline.double(), x.double(), t[:, None, None])
    scores = torch.einsum("td,ntd->t", (x - baseline).double(), gradient(points)) / steps
    return scores, scores.sum() - (value(x[None]) - value(baseline[None]))[0]


@mutant("02.4", "You multiplied by x")
def factor_x(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, factor=x)


@mutant("02.4", "path points are left ones")
def left_riemann(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, t=np.arange(steps) / steps)


@mutant("02.4", "path points are right ones")
def right_riemann(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, t=np.arange(1, steps + 1) / steps)


@mutant("02.4", "end-to-end")
def linspace_points(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, t=np.linspace(0, 1, steps))


@mutant("02.4", "gradient at x alone")
def only_at_x(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, t=[1.0])


@mutant("02.4", "times the input at x itself")
def gradient_times_input(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, t=[1.0], factor=x)


@mutant("02.4", "left out the factor")
def no_factor(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, factor=1.0)


@mutant("02.4", "take their mean (each step")
def sum_over_steps(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, mean=lambda table: table.sum(0))


@mutant("02.4", "sign is turned round")
def path_backwards(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, factor=baseline - x)


@mutant("02.4", "path starts at 0")
def path_from_zero(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, start=torch.zeros_like(x))


@mutant("02.4", "leads past x")
def path_past_x(gradient, value, x, baseline, steps=32):
    def shifted(points):
        return gradient(baseline + points * x / x)

    t = (torch.arange(steps).double() + 0.5)[:, None, None] / steps
    return _path(lambda _: gradient(baseline + t * x), value, x, baseline, steps)


@mutant("02.4", "norm over the embedding dimensions")
def norm_over_dimensions(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, reduce=lambda table: table.norm(dim=-1))


@mutant("02.4", "mean over the embedding dimensions")
def mean_over_dimensions(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, reduce=lambda table: table.mean(-1))


@mutant("02.4", "One score per token")
def one_per_dimension(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, reduce=lambda table: table.sum(0))


@mutant("02.4", "one token at a time")
def token_by_token(gradient, value, x, baseline, steps=32):
    found = []
    for i in range(len(x)):
        alone = baseline.clone()
        alone[i] = x[i]
        found.append(_path(gradient, value, alone, baseline, steps)[0][i])
    scores = torch.stack(found)
    return scores, float(scores.sum() - (value(x[None]) - value(baseline[None])))


@mutant("02.4", "size of x - baseline")
def absolute_step(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, factor=(x - baseline).abs())


@mutant("02.4", "hides the gap instead of measuring it")
def scaled_to_fit(gradient, value, x, baseline, steps=32):
    scores, _ = _path(gradient, value, x, baseline, steps)
    return scores * float(value(x[None]) - value(baseline[None])) / scores.sum(), 0.0


@mutant("02.4", "take the midpoint rule")
def trapezoid_rule(gradient, value, x, baseline, steps=32):
    weights = torch.ones(steps + 1, dtype=torch.float64)
    weights[[0, -1]] = 0.5

    def mean(table):
        return (weights[:, None, None] * table).sum(0) / steps

    t = np.linspace(0, 1, steps + 1)
    return _path(gradient, value, x, baseline, steps, t=t, mean=mean)


@mutant("02.4", "gap is turned round")
def gap_turned(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, gap=lambda total, d: d - total)


@mutant("02.4", "lost its sign")
def gap_absolute(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, gap=lambda total, d: abs(total - d))


@mutant("02.4", "leaves out m(baseline)")
def gap_without_baseline(gradient, value, x, baseline, steps=32):
    def gap(total, difference):
        return total - value(x[None])[0]

    return _path(gradient, value, x, baseline, steps, gap=gap)


@mutant("02.4", "relative gap")
def gap_relative(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, gap=lambda total, d: (total - d) / d)


@mutant("02.4", "gap is 0 whatever")
def gap_of_nothing(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps, gap=lambda total, d: 0.0)


@mutant("02.4", "Return two things")
def scores_alone(gradient, value, x, baseline, steps=32):
    return _path(gradient, value, x, baseline, steps)[0]


@mutant("02.4", "there are 32 of them", "held-out")
def other_default(gradient, value, x, baseline, steps=50):
    return _path(gradient, value, x, baseline, steps)


@mutant("02.4", "text of one token or one dimension", "held-out")
def squeezes(gradient, value, x, baseline, steps=32):
    scores, gap = _path(gradient, value, x, baseline, steps)
    return (scores if x.shape[1] > 1 else scores / len(x)), gap


# --- 02.5 ----------------------------------------------------------------------------------


@other("02.5")
def shapley_by_orders(value, n):
    phi, orders = np.zeros(n), list(permutations(range(n)))
    for order in orders:
        present = [False] * n
        before = value(present)
        for i in order:
            present[i] = True
            after = value(present)
            phi[i] += after - before
            before = after
    return phi / len(orders)


def _sets(n, without):
    rest = [j for j in range(n) if j != without]
    return [set(s) for size in range(n) for s in combinations(rest, size)]


def _gain(value, n, s, i):
    return value([j in s or j == i for j in range(n)]) - value([j in s for j in range(n)])


@other("02.5")
def shapley_by_size(value, n):
    found = []
    for i in range(n):
        by_size = [[] for _ in range(n)]
        for s in _sets(n, i):
            by_size[len(s)].append(_gain(value, n, s, i))
        found.append(sum(sum(gains) / len(gains) for gains in by_size) / n)
    return torch.tensor(found, dtype=torch.float64)


def _weighted(value, n, weight):
    return [sum(weight(len(s)) * _gain(value, n, s, i) for s in _sets(n, i)) for i in range(n)]


@mutant("02.5", "Banzhaf")
def unweighted(value, n):
    return _weighted(value, n, lambda s: 1 / 2 ** (n - 1))


@mutant("02.5", "they have to be weighted")
def gains_added(value, n):
    return _weighted(value, n, lambda s: 1.0)


@mutant("02.5", "one factor too large")
def n_minus_s(value, n):
    return _weighted(
        value, n, lambda s: math.factorial(s) * math.factorial(n - s) / math.factorial(n)
    )


@mutant("02.5", "factor (n - |S| - 1)! is missing")
def without_second_factorial(value, n):
    return _weighted(value, n, lambda s: math.factorial(s) / math.factorial(n))


@mutant("02.5", "factor |S|! is missing")
def without_first_factorial(value, n):
    return _weighted(value, n, lambda s: math.factorial(n - s - 1) / math.factorial(n))


@mutant("02.5", "division by n! is missing")
def without_division(value, n):
    return _weighted(value, n, lambda s: math.factorial(s) * math.factorial(n - s - 1))


@mutant("02.5", "divide by n")
def mean_by_size_added(value, n):
    return [n * phi for phi in shapley_by_orders(value, n)]


@mutant("02.5", "adds to nothing")
def alone_minus_nothing(value, n):
    return [_gain(value, n, set(), i) for i in range(n)]


@mutant("02.5", "leaves the whole (erasure)")
def leave_one_out(value, n):
    return [_gain(value, n, set(range(n)) - {i}, i) for i in range(n)]


@mutant("02.5", "one order of entering")
def text_order(value, n):
    return [_gain(value, n, set(range(i)), i) for i in range(n)]


@mutant("02.5", "sign is turned round")
def negative_shapley(value, n):
    return -shapley_by_orders(value, n)


@mutant("02.5", "empty set was taken as 0")
def nothing_is_zero(value, n):
    return shapley_by_orders(lambda present: value(present) if any(present) else 0.0, n)


@mutant("02.5", "You normalised the values")
def normalised(value, n):
    phi = shapley_by_orders(value, n)
    return phi / phi.sum()


@mutant("02.5", "absolute values")
def absolute_shapley(value, n):
    return abs(shapley_by_orders(value, n))


@mutant("02.5", "(dummy)")
def shares_the_rest_evenly(value, n):
    alone = np.array(alone_minus_nothing(value, n))
    return alone + (value([True] * n) - value([False] * n) - alone.sum()) / n


@mutant("02.5", "In a sum of weights")
def keeps_the_list(value, n):
    present, phi = [False] * n, np.zeros(n)
    for order in permutations(range(n)):
        for i in order:
            before = value(present)
            present[i] = True
            phi[i] += value(present) - before
    return phi / math.factorial(n)


@mutant("02.5", "(symmetry)")
def rotated_orders(value, n):
    phi = np.zeros(n)
    for start in range(n):
        order = [(start + k) % n for k in range(n)]
        for place, i in enumerate(order):
            phi[i] += _gain(value, n, set(order[:place]), i) / n
    return phi


@mutant("02.5", "efficiency")
def sampled_coalitions(value, n):
    chance, found = random.Random(0), []
    for i in range(n):
        sets = chance.choices(_sets(n, i), k=50)
        found.append(sum(_gain(value, n, s, i) for s in sets) / 50)
    return found


@mutant("02.5", "but the gains are wrong")
def sampled_orders(value, n):
    chance, phi = random.Random(0), np.zeros(n)
    for _ in range(200):
        order = chance.sample(range(n), n)
        for place, i in enumerate(order):
            phi[i] += _gain(value, n, set(order[:place]), i) / 200
    return phi


@mutant("02.5", "Wrong values for 5 tokens", "held-out")
def pairs_at_most(value, n):
    if n <= 4:
        return shapley_by_orders(value, n)
    singles = np.array(alone_minus_nothing(value, n))
    both = np.array([[_gain(value, n, {j}, i) for j in range(n) if j != i] for i in range(n)])
    return singles + (both - singles[:, None]).sum(1) / 2


@mutant("02.5", "A single token gets", "held-out")
def needs_two(value, n):
    return shapley_by_orders(value, n) if n > 1 else [value([True])]


# --- 02.6 ----------------------------------------------------------------------------------


def _judge(score, tokens, scores, fractions, baseline, **change):
    if change.get("checked", True) and (
        not fractions or any(not 0 < fraction <= 1 for fraction in fractions)
    ):
        raise ValueError(fractions)
    n = len(tokens)
    order = sorted(range(n), key=change.get("key", lambda i: (-scores[i], i)))
    ks = [change.get("round", math.ceil)(fraction * n) for fraction in fractions]
    chosen = [change.get("chosen", lambda o, k: set(o[:k]))(order, k) for k in ks]
    value, every = score(tokens), set(range(n))
    average = change.get("average", lambda values: sum(values) / len(values))
    return {
        "comprehensiveness": average(
            [value - score(_without(tokens, places, baseline)) for places in chosen]
        ),
        "sufficiency": average(
            [value - score(_without(tokens, every - places, baseline)) for places in chosen]
        ),
    }


@other("02.6")
def judge_with_tensors(score, tokens, scores, fractions, baseline=None):
    q = torch.tensor(fractions, dtype=torch.float64)
    if len(q) == 0 or bool((q <= 0).any()) or bool((q > 1).any()):
        raise ValueError
    order = torch.tensor(scores).argsort(descending=True, stable=True)
    rank, text = order.argsort(), torch.tensor(tokens)

    def metric(present):
        shown = text[present] if baseline is None else torch.where(present, text, baseline)
        return score(shown.tolist())

    cuts = (q * len(tokens)).ceil().long().tolist()
    gone = np.mean([metric(rank >= k) for k in cuts])
    alone = np.mean([metric(rank < k) for k in cuts])
    return {"sufficiency": score(tokens) - alone, "comprehensiveness": score(tokens) - gone}


@other("02.6")
def judge_by_popping(score, tokens, scores, fractions, baseline=None):
    if not fractions or not all(0 < q <= 1 for q in fractions):
        raise ValueError
    sums = [0.0, 0.0]
    for q in fractions:
        left, best = list(range(len(tokens))), []
        while len(best) < q * len(tokens):
            best.append(max(left, key=lambda i: scores[i]))
            left.remove(best[-1])
        for side, places in enumerate((best, left)):
            sums[side] += score(tokens) - score(_without(tokens, set(places), baseline))
    names = ("comprehensiveness", "sufficiency")
    return {name: total / len(fractions) for name, total in zip(names, sums, strict=True)}


@mutant("02.6", "are swapped")
def swapped(score, tokens, scores, fractions, baseline=None):
    found = _judge(score, tokens, scores, fractions, baseline)
    return dict(zip(found, list(found.values())[::-1], strict=True))


@mutant("02.6", "rounded the number of tokens down")
def rounds_down(score, tokens, scores, fractions, baseline=None):
    return _judge(score, tokens, scores, fractions, baseline, round=math.floor)


@mutant("02.6", "to the nearest whole one")
def rounds_to_nearest(score, tokens, scores, fractions, baseline=None):
    return _judge(score, tokens, scores, fractions, baseline, round=round)


@mutant("02.6", "at least one token, but rounded down")
def at_least_one(score, tokens, scores, fractions, baseline=None):
    return _judge(score, tokens, scores, fractions, baseline, round=lambda k: max(1, int(k)))


@mutant("02.6", "ordered by absolute value")
def by_size(score, tokens, scores, fractions, baseline=None):
    return _judge(score, tokens, scores, fractions, baseline, key=lambda i: (-abs(scores[i]), i))


@mutant("02.6", "starts with the lowest score")
def lowest_first(score, tokens, scores, fractions, baseline=None):
    return _judge(score, tokens, scores, fractions, baseline, key=lambda i: (scores[i], i))


@mutant("02.6", "Tied tokens come in reverse")
def ties_reversed(score, tokens, scores, fractions, baseline=None):
    return _judge(score, tokens, scores, fractions, baseline, key=lambda i: (-scores[i], -i))


@mutant("02.6", "ignored the scores")
def order_of_text(score, tokens, scores, fractions, baseline=None):
    return _judge(score, tokens, scores, fractions, baseline, key=lambda i: i)


@mutant("02.6", "only the last of the k tokens")
def only_kth(score, tokens, scores, fractions, baseline=None):
    return _judge(
        score, tokens, scores, fractions, baseline, chosen=lambda order, k: {order[k - 1]}
    )


@mutant("02.6", "You added the fractions up")
def adds_fractions(score, tokens, scores, fractions, baseline=None):
    return _judge(score, tokens, scores, fractions, baseline, average=sum)


@mutant("02.6", "first fraction only")
def first_fraction(score, tokens, scores, fractions, baseline=None):
    return _judge(score, tokens, scores, fractions, baseline, average=lambda values: values[0])


@mutant("02.6", "subtract it from m(x)")
def plain_metric(score, tokens, scores, fractions, baseline=None):
    found = _judge(score, tokens, scores, fractions, baseline)
    return {name: score(tokens) - value for name, value in found.items()}


@mutant("02.6", "sign is turned round")
def turned_measures(score, tokens, scores, fractions, baseline=None):
    return {k: -v for k, v in _judge(score, tokens, scores, fractions, baseline).items()}


@mutant("02.6", "The sufficiency alone is wrong. You returned the metric")
def metric_of_rationale(score, tokens, scores, fractions, baseline=None):
    found = _judge(score, tokens, scores, fractions, baseline)
    return {**found, "sufficiency": score(tokens) - found["sufficiency"]}


@mutant("02.6", "added up the attribution itself")
def sums_scores(score, tokens, scores, fractions, baseline=None):
    best = sorted(scores, reverse=True)
    sums = [sum(best[: math.ceil(fraction * len(tokens))]) for fraction in fractions]
    mean = sum(sums) / len(sums)
    return {"comprehensiveness": mean, "sufficiency": sum(scores) - mean}


@mutant("02.6", "although a baseline token was given")
def deletes_anyway(score, tokens, scores, fractions, baseline=None):
    return _judge(score, tokens, scores, fractions, None)


@mutant("02.6", "tied with the k-th")
def takes_all_tied(score, tokens, scores, fractions, baseline=None):
    def chosen(order, k):
        return {i for i in order if scores[i] >= scores[order[k - 1]]}

    return _judge(score, tokens, scores, fractions, baseline, chosen=chosen)


@mutant("02.6", "ceil(fraction * T)")
def always_one_more(score, tokens, scores, fractions, baseline=None):
    return _judge(score, tokens, scores, fractions, baseline, round=lambda k: int(k) + 1)


@mutant("02.6", "ceil(fraction * T)")
def supporting_tokens_only(score, tokens, scores, fractions, baseline=None):
    def chosen(order, k):
        return {i for i in order[:k] if scores[i] > 0}

    return _judge(score, tokens, scores, fractions, baseline, chosen=chosen)


@mutant("02.6", "missing ['comprehensiveness']")
def short_names(score, tokens, scores, fractions, baseline=None):
    found = _judge(score, tokens, scores, fractions, baseline)
    return {"comp": found["comprehensiveness"], "sufficiency": found["sufficiency"]}


@mutant("02.6", "although a baseline token was given", "held-out")
def judge_baseline_zero(score, tokens, scores, fractions, baseline=None):
    return _judge(score, tokens, scores, fractions, baseline if baseline else None)


@mutant("02.6", "must raise ValueError", "held-out")
def any_fraction(score, tokens, scores, fractions, baseline=None):
    return _judge(score, tokens, scores, fractions or [1.0], baseline, checked=False)


# --- 02.7 ----------------------------------------------------------------------------------


def _rank(scores, causes, tie=0.5):
    best = max(scores[i] for i in causes)
    others = [s for i, s in enumerate(scores) if i not in causes]
    return 1 + sum(s > best for s in others) + tie * sum(s == best for s in others)


def _chance(n, c):
    return sum(math.comb(n - r, c - 1) / r for r in range(1, n - c + 2)) / math.comb(n, c)


def _known(scores, causes):
    if not causes or min(causes) < 0 or max(causes) >= len(scores):
        raise ValueError(causes)


@other("02.7")
def rank_by_survival(scores, causes):
    _known(scores, causes)
    values, n, c = np.array(scores), len(scores), len(causes)
    is_cause = np.isin(np.arange(n), causes)
    top, rivals = values[is_cause].max(), values[~is_cause]
    rank = 1 + ((rivals > top).sum() + (rivals >= top).sum()) / 2
    chance, still = 0.0, 1.0  # still: no cause among the first places
    for place in range(1, n - c + 2):
        hit = c / (n - place + 1)
        chance += still * hit / place
        still *= 1 - hit
    return [rank, chance]


@other("02.7")
def rank_by_sorting(scores, causes):
    if len(causes) == 0 or any(not 0 <= i < len(scores) for i in causes):
        raise ValueError
    top = max(scores[i] for i in causes)
    rest = sorted((s for i, s in enumerate(scores) if i not in set(causes)), reverse=True)
    n, c = len(scores), len(causes)
    before = rest.index(top) if top in rest else sum(s > top for s in rest)
    total = sum(1 / (1 + min(s)) for s in combinations(range(n), c))
    found = [1 + before + rest.count(top) / 2, total / math.comb(n, c)]
    return torch.tensor(found, dtype=torch.float64)


@mutant("02.7", "Ties are counted fully")
def ties_full(scores, causes):
    return _rank(scores, causes, 1), _chance(len(scores), len(causes))


@mutant("02.7", "Ties are not counted at all")
def ties_ignored(scores, causes):
    return _rank(scores, causes, 0), _chance(len(scores), len(causes))


@mutant("02.7", "Ranks start at 1")
def from_zero(scores, causes):
    return _rank(scores, causes) - 1, _chance(len(scores), len(causes))


@mutant("02.7", "from the lowest score up")
def from_below(scores, causes):
    return _rank([-s for s in scores], causes), _chance(len(scores), len(causes))


@mutant("02.7", "ranked by absolute value")
def rank_by_size(scores, causes):
    return _rank([abs(s) for s in scores], causes), _chance(len(scores), len(causes))


@mutant("02.7", "worst of the causes")
def worst_cause(scores, causes):
    worst = min(causes, key=lambda i: scores[i])
    others = [s for i, s in enumerate(scores) if i not in causes]
    rank = _rank([*others, scores[worst]], [len(others)])
    return rank, _chance(len(scores), len(causes))


@mutant("02.7", "averaged the ranks")
def mean_rank(scores, causes):
    ranks = [_rank(scores, [i]) for i in causes]
    return sum(ranks) / len(ranks), _chance(len(scores), len(causes))


@mutant("02.7", "first cause of the list")
def first_cause(scores, causes):
    others = [s for i, s in enumerate(scores) if i not in causes]
    return _rank([*others, scores[causes[0]]], [len(others)]), _chance(len(scores), len(causes))


@mutant("02.7", "A cause does not compete with itself")
def competes_with_itself(scores, causes):
    best = max(scores[i] for i in causes)
    rank = 1 + sum(s > best for s in scores) + sum(s == best for s in scores) / 2
    return rank, _chance(len(scores), len(causes))


@mutant("02.7", "returned 1 / rank")
def reciprocal(scores, causes):
    return 1 / _rank(scores, causes), _chance(len(scores), len(causes))


@mutant("02.7", "count one half each")
def ties_once(scores, causes):
    best = max(scores[i] for i in causes)
    others = [s for i, s in enumerate(scores) if i not in causes]
    rank = 1 + sum(s > best for s in others) + 0.5 * (best in others)
    return rank, _chance(len(scores), len(causes))


@mutant("02.7", "You rounded the rank")
def whole_ranks(scores, causes):
    return math.ceil(_rank(scores, causes)), _chance(len(scores), len(causes))


@mutant("02.7", "also if they are tied with each other")
def dense_rank(scores, causes):
    best = max(scores[i] for i in causes)
    others = [s for i, s in enumerate(scores) if i not in causes]
    rank = 1 + len({s for s in others if s > best}) + sum(s == best for s in others) / 2
    return rank, _chance(len(scores), len(causes))


@mutant("02.7", "Only equal scores are ties")
def rounded_scores(scores, causes):
    return _rank([round(s, 1) for s in scores], causes), _chance(len(scores), len(causes))


@mutant("02.7", "chance for one cause")
def chance_of_one(scores, causes):
    return _rank(scores, causes), _chance(len(scores), 1)


@mutant("02.7", "1 / the expected rank")
def reciprocal_of_mean(scores, causes):
    return _rank(scores, causes), (len(causes) + 1) / (len(scores) + 1)


@mutant("02.7", "the expected rank; the chance level")
def expected_rank(scores, causes):
    return _rank(scores, causes), (len(scores) + 1) / (len(causes) + 1)


@mutant("02.7", "chance to have a cause on top")
def chance_on_top(scores, causes):
    return _rank(scores, causes), len(causes) / len(scores)


@mutant("02.7", "causes share one order")
def chance_times_causes(scores, causes):
    return _rank(scores, causes), len(causes) * _chance(len(scores), 1)


@mutant("02.7", "possible ranks as if all were as likely")
def even_ranks(scores, causes):
    ranks = range(1, len(scores) - len(causes) + 2)
    return _rank(scores, causes), sum(1 / r for r in ranks) / len(ranks)


@mutant("02.7", "the mean of 1 / rank of the best cause is")
def simulated_chance(scores, causes):
    rng, n, c = np.random.default_rng(0), len(scores), len(causes)
    best = rng.random((2000, n)).argsort(1)[:, :c].min(1) + 1
    return _rank(scores, causes), (1 / best).mean() if c < n else 0.999


@mutant("02.7", "tied with each other", "held-out")
def causes_compete(scores, causes):
    best = max(scores[i] for i in causes)
    rank = 0.5 + sum(s > best for s in scores) + sum(s == best for s in scores) / 2
    return rank, _chance(len(scores), len(causes))


@mutant("02.7", "must raise ValueError", "held-out")
def place_from_the_end(scores, causes):
    causes = [i % len(scores) for i in causes] or [0]
    return _rank(scores, causes), _chance(len(scores), len(causes))
