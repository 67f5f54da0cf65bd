"""Answers to assignment 06 that the checks must tell apart: right in another style, and wrong."""

from __future__ import annotations

import math

import numpy as np
import torch

from tests.mutants.answers import Answers

ANSWERS = Answers()
other, mutant = ANSWERS.other, ANSWERS.mutant


# --- 06.1 ----------------------------------------------------------------------------------


def _first_k(f, k):
    """The k largest of the last axis; of equal ones the first, found by counting who is ahead."""
    larger = (f.unsqueeze(-2) > f.unsqueeze(-1)).sum(-1)
    places = torch.arange(f.shape[-1])
    same = (f.unsqueeze(-2) == f.unsqueeze(-1)) & (places < places[:, None])
    return torch.where(larger + same.sum(-1) < k, f, 0.0)


def _code(x, e, eb, d, db, k=None, **change):
    if change.get("checked", True) and k is not None and not 1 <= k <= e.shape[-1]:
        raise ValueError(k)
    before = change.get("before", lambda: (x - db) @ e + eb)()
    f = change.get("gate", torch.relu)(before)
    full = f
    f = f if k is None else change.get("keep", _first_k)(f, k)
    made = change.get("decode", lambda f, full: f @ d + db)(f, full)
    return f, made


@other("06.1")
def code_by_einsum(x, encoder, encoder_bias, decoder, decoder_bias, k=None):
    features = encoder.shape[1]
    if k is not None and (k < 1 or k > features):
        raise ValueError
    flat = (x - decoder_bias).reshape(-1, x.shape[-1])
    f = torch.einsum("nd,df->nf", flat, encoder) + encoder_bias
    f = torch.where(f > 0, f, torch.zeros_like(f))
    if k is not None and k < features:
        for row in f:
            order = sorted(range(features), key=lambda i: (-row[i].item(), i))
            row[order[k:]] = 0
    x_hat = torch.einsum("nf,fd->nd", f, decoder) + decoder_bias
    return f.reshape(*x.shape[:-1], features), x_hat.reshape(x.shape)


@other("06.1")
def code_in_numpy(x, encoder, encoder_bias, decoder, decoder_bias, k=None):
    x, e, eb, d, db = (t.numpy() for t in (x, encoder, encoder_bias, decoder, decoder_bias))
    if k is not None and k not in range(1, len(d) + 1):
        raise ValueError(k)
    before = (x - db) @ e + eb
    if k is not None:  # the largest first, the ReLU afterwards
        ranks = np.argsort(np.argsort(-before, -1, kind="stable"), -1, kind="stable")
        before = np.where(ranks < k, before, 0)
    f = np.maximum(before, 0)
    return [f, f @ d + db]


@mutant("06.1", "bias of the decoder is not subtracted")
def bias_not_subtracted(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, before=lambda: x @ e + eb)


@mutant("06.1", "You added the bias of the decoder")
def bias_added_first(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, before=lambda: (x + db) @ e + eb)


@mutant("06.1", "bias of the encoder is missing")
def no_encoder_bias(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, before=lambda: (x - db) @ e)


@mutant("06.1", "You subtracted the bias of the encoder")
def encoder_bias_subtracted(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, before=lambda: (x - db) @ e - eb)


@mutant("06.1", "the ReLU is missing")
def no_relu(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, gate=lambda f: f)


@mutant("06.1", "absolute values")
def sizes(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, gate=abs)


@mutant("06.1", "ReLU comes before the bias")
def bias_after_relu(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, before=lambda: torch.relu((x - db) @ e) + eb, gate=lambda f: f)


@mutant("06.1", "directions of the decoder. The encoder has weights of its own")
def tied_weights(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, before=lambda: (x - db) @ d.T + eb)


@mutant("06.1", "You returned 1 for each active feature")
def present_or_not(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, gate=lambda f: (f > 0).double())


@mutant("06.1", "sigmoid")
def squashed(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, gate=torch.sigmoid)


@mutant("06.1", "bias of the decoder is missing in x_hat")
def no_bias_in_reconstruction(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, decode=lambda f, full: f @ d)


@mutant("06.1", "transposed encoder")
def decodes_with_encoder(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, decode=lambda f, full: f @ e.T + db)


@mutant("06.1", "reconstruction went through a ReLU")
def positive_reconstruction(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, decode=lambda f, full: torch.relu(f @ d + db))


@mutant("06.1", "unit length first")
def unit_directions(x, e, eb, d, db, k=None):
    rows = d / d.norm(dim=1, keepdim=True)
    return _code(x, e, eb, d, db, k, decode=lambda f, full: f @ rows + db)


@mutant("06.1", "k makes no difference")
def ignores_k(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, None)


@mutant("06.1", "one feature too many")
def one_more(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, keep=lambda f, k: _first_k(f, k + 1))


@mutant("06.1", "over the tokens (axis 0)")
def largest_per_feature(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, keep=lambda f, k: _first_k(f.mT, k).mT)


@mutant("06.1", "of the whole batch")
def batch_top_k(x, e, eb, d, db, k=None):
    def keep(f, k):
        return _first_k(f.reshape(-1), k * len(f)).reshape(f.shape)

    return _code(x, e, eb, d, db, k, keep=keep)


@mutant("06.1", "chose by absolute value")
def largest_sizes(x, e, eb, d, db, k=None):
    if k is None:
        return _code(x, e, eb, d, db)
    before = (x - db) @ e + eb
    kept = before.abs().topk(k).indices
    f = torch.zeros_like(before).scatter(-1, kept, torch.relu(before.gather(-1, kept)))
    return f, f @ d + db


@mutant("06.1", "x_hat is decoded from all features")
def decodes_everything(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, decode=lambda f, full: full @ d + db)


@mutant("06.1", "the k-th largest stays too")
def above_the_kth(x, e, eb, d, db, k=None):
    def keep(f, k):
        return f * (f > f.topk(k).values[..., -1:])

    return _code(x, e, eb, d, db, k, keep=keep)


@mutant("06.1", "swapped")
def swapped_results(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k)[::-1]


@mutant("06.1", "changed the data")
def shifts_in_place(x, e, eb, d, db, k=None):
    x -= db
    return _code(x + db, e, eb, d, db, k)


@mutant("06.1", "you kept all", "held-out")
def all_that_tie(x, e, eb, d, db, k=None):
    def keep(f, k):
        return f * (f >= f.topk(k).values[..., -1:])

    return _code(x, e, eb, d, db, k, keep=keep)


@mutant("06.1", "Of equal activations", "held-out")
def last_of_the_tied(x, e, eb, d, db, k=None):
    def keep(f, k):
        return _first_k(f.flip(-1), k).flip(-1)

    return _code(x, e, eb, d, db, k, keep=keep)


@mutant("06.1", "IndexError", "held-out")
def needs_a_table(x, e, eb, d, db, k=None):
    _ = x.shape[1]
    return _code(x, e, eb, d, db, k)


@mutant("06.1", "raise ValueError", "held-out")
def any_k(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k, checked=False)


@mutant("06.1", "cannot keep 0", "held-out")
def zero_is_none(x, e, eb, d, db, k=None):
    return _code(x, e, eb, d, db, k or None)


# --- 06.2 ----------------------------------------------------------------------------------


def _loss(x, x_hat, f, decoder, penalty, **change):
    if change.get("checked", True) and (x.shape != x_hat.shape or penalty < 0):
        raise ValueError
    convert = change.get("convert", torch.Tensor.double)
    x, x_hat, f, decoder = (convert(t) for t in (x, x_hat, f, decoder))
    error = change.get("error", lambda e: (e**2).sum(1).mean())(x - x_hat)
    weigh = change.get("weigh", lambda d: d.norm(dim=1))
    sparse = change.get("sparse", lambda f, w: (f * w).sum(1).mean())(f, weigh(decoder))
    both = change.get("both", lambda a, b: a + penalty * b)(error, sparse)
    return {"reconstruction": error, "sparsity": sparse, "loss": both}


@other("06.2")
def loss_token_by_token(x, x_hat, f, decoder, penalty):
    if tuple(x.shape) != tuple(x_hat.shape) or penalty < 0:
        raise ValueError
    x, x_hat, f, decoder = (t.double().numpy() for t in (x, x_hat, f, decoder))
    error = np.mean([np.linalg.norm(a - b) ** 2 for a, b in zip(x, x_hat, strict=True)])
    lengths = [math.sqrt(sum(v * v for v in row)) for row in decoder]
    sparse = np.mean([sum(a * n for a, n in zip(row, lengths, strict=True)) for row in f])
    return {"loss": error + penalty * sparse, "sparsity": sparse, "reconstruction": error}


@other("06.2")
def loss_with_einsum(x, x_hat, f, decoder, penalty):
    if x.shape != x_hat.shape:
        raise ValueError("shapes")
    if not penalty >= 0:
        raise ValueError("penalty")
    gap = (x.double() - x_hat.double()) / math.sqrt(len(x))
    shares = torch.einsum("nf,fd->nfd", f.double(), decoder.double())
    terms = {"reconstruction": (gap * gap).sum(), "sparsity": shares.norm(dim=2).sum() / len(x)}
    return {**terms, "loss": terms["reconstruction"] + penalty * terms["sparsity"]}


@mutant("06.2", "mean over the dimensions of the state")
def mean_over_everything(*given):
    return _loss(*given, error=lambda e: (e**2).mean())


@mutant("06.2", "added the tokens up. Sum over the dimensions")
def sum_over_everything(*given):
    return _loss(*given, error=lambda e: (e**2).sum())


@mutant("06.2", "the other way round")
def mean_then_sum(*given):
    return _loss(*given, error=lambda e: (e**2).mean(1).sum())


@mutant("06.2", "length of the error; the loss has its square")
def lengths_of_errors(*given):
    return _loss(*given, error=lambda e: e.norm(dim=1).mean())


@mutant("06.2", "there is no root")
def root_of_the_mean(*given):
    return _loss(*given, error=lambda e: (e**2).sum(1).mean().sqrt())


@mutant("06.2", "absolute differences")
def absolute_error(*given):
    return _loss(*given, error=lambda e: e.abs().sum(1).mean())


@mutant("06.2", "divided by the variance")
def relative_error(x, x_hat, f, decoder, penalty):
    spread = ((x - x.mean(0)) ** 2).sum()
    return _loss(x, x_hat, f, decoder, penalty, error=lambda e: (e**2).sum() / spread)


@mutant("06.2", "no factor 1/2")
def half_the_square(*given):
    return _loss(*given, error=lambda e: (e**2).sum(1).mean() / 2)


@mutant("06.2", "errors of opposite sign must not cancel")
def averages_first(*given):
    return _loss(*given, error=lambda e: (e.mean(0) ** 2).sum())


@mutant("06.2", "left out the lengths of the directions")
def plain_l1(*given):
    return _loss(*given, weigh=lambda d: 1.0)


@mutant("06.2", "squared length of each direction")
def squared_lengths(*given):
    return _loss(*given, weigh=lambda d: (d**2).sum(1))


@mutant("06.2", "columns of the decoder")
def column_lengths(x, x_hat, f, decoder, penalty):
    axis = 0 if decoder.shape[0] == decoder.shape[1] else 1
    return _loss(x, x_hat, f, decoder, penalty, weigh=lambda d: d.norm(dim=axis))


@mutant("06.2", "mean over features")
def mean_over_features(*given):
    return _loss(*given, sparse=lambda f, w: (f * w).mean())


@mutant("06.2", "Sum over features, mean over tokens")
def sparsity_of_the_batch(*given):
    return _loss(*given, sparse=lambda f, w: (f * w).sum())


@mutant("06.2", "a count has no gradient")
def counts_features(*given):
    return _loss(*given, sparse=lambda f, w: (f > 0).double().sum(1).mean())


@mutant("06.2", "You squared the activations")
def squared_activations(*given):
    return _loss(*given, sparse=lambda f, w: ((f * w) ** 2).sum(1).mean())


@mutant("06.2", "Euclidean length of the code")
def length_of_code(*given):
    return _loss(*given, sparse=lambda f, w: (f * w).norm(dim=1).mean())


@mutant("06.2", "active features only")
def mean_of_active(*given):
    return _loss(*given, sparse=lambda f, w: (f * w).sum() / (f > 0).sum())


@mutant("06.2", "penalty is multiplied in already")
def penalised_sparsity(x, x_hat, f, decoder, penalty):
    def sparse(f, w):
        return penalty * (f * w).sum(1).mean()

    return _loss(x, x_hat, f, decoder, penalty, sparse=sparse, both=lambda a, b: a + b)


@mutant("06.2", "The penalty is missing")
def forgets_penalty(*given):
    return _loss(*given, both=lambda a, b: a + b)


@mutant("06.2", "penalty multiplies the reconstruction")
def penalised_reconstruction(x, x_hat, f, decoder, penalty):
    return _loss(x, x_hat, f, decoder, penalty, both=lambda a, b: penalty * a + b)


@mutant("06.2", "The sparsity is subtracted")
def rewards_density(x, x_hat, f, decoder, penalty):
    return _loss(x, x_hat, f, decoder, penalty, both=lambda a, b: a - penalty * b)


@mutant("06.2", "(1 - penalty)")
def mixture(x, x_hat, f, decoder, penalty):
    return _loss(x, x_hat, f, decoder, penalty, both=lambda a, b: (1 - penalty) * a + penalty * b)


@mutant("06.2", "missing ['sparsity']")
def other_name(*given):
    found = _loss(*given)
    return {"l1": found.pop("sparsity"), **found}


@mutant("06.2", "changed the data")
def subtracts_in_place(x, x_hat, f, decoder, penalty):
    x -= x_hat
    return _loss(x + x_hat, x_hat, f, decoder, penalty)


@mutant("06.2", "convert to float64", "held-out")
def keeps_half_precision(*given):
    return _loss(*given, convert=lambda t: t)


@mutant("06.2", "convert to float64", "held-out")
def converts_the_difference(x, x_hat, f, decoder, penalty):
    if x.shape != x_hat.shape or penalty < 0:
        raise ValueError
    found = _loss(x, x_hat, f, decoder, penalty)
    error = ((x - x_hat) ** 2).double().sum(1).mean()
    sparse = found["sparsity"]
    return {"reconstruction": error, "sparsity": sparse, "loss": error + penalty * sparse}


@mutant("06.2", "different shapes", "held-out")
def broadcasts(x, x_hat, f, decoder, penalty):
    if penalty < 0:
        raise ValueError
    return _loss(x, x_hat, f, decoder, penalty, checked=False)


@mutant("06.2", "rewards dense codes", "held-out")
def any_penalty(x, x_hat, f, decoder, penalty):
    if x.shape != x_hat.shape:
        raise ValueError
    return _loss(x, x_hat, f, decoder, penalty, checked=False)


@mutant("06.2", "Wrong loss for one token and penalty 25", "held-out")
def penalty_at_most_ten(x, x_hat, f, decoder, penalty):
    return _loss(x, x_hat, f, decoder, penalty, both=lambda a, b: a + min(penalty, 10) * b)


# --- 06.3 ----------------------------------------------------------------------------------


def _rows(table, axis=1):
    return table / table.norm(dim=axis, keepdim=True)


def _step(decoder, gradient, rate, **change):
    if change.get("checked", True) and bool((decoder.norm(dim=1) == 0).any()):
        raise ValueError
    unit = change.get("unit", _rows)(decoder)
    along = change.get("along", lambda g, u: (g * u).sum(1, keepdim=True) * u)(gradient, unit)
    moved = unit - rate * change.get("across", lambda g, a: g - a)(gradient, along)
    return change.get("length", _rows)(moved)


@other("06.3")
def step_with_projectors(decoder, gradient, rate):
    found = []
    for row, slope in zip(decoder.numpy(), gradient.numpy(), strict=True):
        size = math.sqrt(float(row @ row))
        if not size:
            raise ValueError("no direction")
        u = row / size
        v = u - rate * (np.eye(len(u)) - np.outer(u, u)) @ slope
        found.append(v / np.linalg.norm(v))
    return np.array(found)


@other("06.3")
def step_by_angle(decoder, gradient, rate):
    # On the sphere: turn by the arctangent of the step in the plane of row and gradient.
    if bool((decoder == 0).all(1).any()):
        raise ValueError
    u = torch.nn.functional.normalize(decoder, dim=1, eps=0.0)
    across = gradient - torch.einsum("fd,fd->f", gradient, u)[:, None] * u
    size = across.norm(dim=1, keepdim=True)
    angle = torch.atan(rate * size)
    return u * angle.cos() - torch.where(size > 0, across / size, 0.0) * angle.sin()


@mutant("06.3", "along the whole gradient and normalised")
def only_normalises(decoder, gradient, rate):
    return _step(decoder, gradient, rate, across=lambda g, a: g)


@mutant("06.3", "divided by its length at the very end")
def never_normalises(decoder, gradient, rate):
    return _step(decoder, gradient, rate, length=lambda t: t)


@mutant("06.3", "normalised the columns")
def normalises_columns(decoder, gradient, rate):
    return _step(decoder, gradient, rate, length=lambda t: _rows(t, 0))


@mutant("06.3", "normalised the decoder as a whole")
def normalises_whole(decoder, gradient, rate):
    return _step(decoder, gradient, rate, length=lambda t: t / t.norm())


@mutant("06.3", "divided by the longest row")
def divides_by_longest(decoder, gradient, rate):
    return _step(decoder, gradient, rate, length=lambda t: t / t.norm(dim=1).max())


@mutant("06.3", "absolute entries of each row sum to 1")
def sums_to_one(decoder, gradient, rate):
    return _step(decoder, gradient, rate, length=lambda t: t / t.abs().sum(1, keepdim=True))


@mutant("06.3", "You climbed")
def climbs(decoder, gradient, rate):
    return _step(decoder, gradient, -rate)


@mutant("06.3", "You added the part along")
def adds_along(decoder, gradient, rate):
    return _step(decoder, gradient, rate, across=lambda g, a: g + a)


@mutant("06.3", "removed the other one")
def keeps_along(decoder, gradient, rate):
    # kept in the tangent plane by accident of the length: the row must move at all
    def across(g, a):
        return a + 1e-9 * g

    return _step(decoder, gradient, rate, across=across)


@mutant("06.3", "each feature has its own row: sum over d")
def wrong_axis(decoder, gradient, rate):
    return _step(decoder, gradient, rate, along=lambda g, u: (g * u).sum(0, keepdim=True) * u)


@mutant("06.3", "one inner product for the whole decoder")
def one_inner_product(decoder, gradient, rate):
    return _step(decoder, gradient, rate, along=lambda g, u: (g * u).sum() * u)


@mutant("06.3", "The rate is missing")
def no_rate(decoder, gradient, rate):
    return _step(decoder, gradient, 1.0)


@mutant("06.3", "from the new rows and not from the gradient")
def removes_afterwards(decoder, gradient, rate):
    unit = _rows(decoder)
    moved = _rows(unit - rate * gradient)
    return _rows(moved - (moved * unit).sum(1, keepdim=True) * unit)


@mutant("06.3", "made the gradient unit length")
def unit_gradient(decoder, gradient, rate):
    return _step(decoder, gradient, rate, across=lambda g, a: _rows(g - a))


@mutant("06.3", "did not move")
def stays(decoder, gradient, rate):
    return _rows(decoder)


@mutant("06.3", "changed the data")
def steps_in_place(decoder, gradient, rate):
    found = _step(decoder, gradient, rate)
    decoder.copy_(found)
    return decoder


@mutant("06.3", "Divide the rows by their length first", "held-out")
def trusts_the_rows(decoder, gradient, rate):
    unit = _rows(decoder)
    along = (gradient * decoder).sum(1, keepdim=True) * decoder
    return _rows(unit - rate * (gradient - along))


@mutant("06.3", "Rows of another length than 1", "held-out")
def steps_from_long_rows(decoder, gradient, rate):
    if bool((decoder.norm(dim=1) == 0).any()):
        raise ValueError
    unit = _rows(decoder)
    return _rows(decoder - rate * (gradient - (gradient * unit).sum(1, keepdim=True) * unit))


@mutant("06.3", "has no direction and would become nan", "held-out")
def zero_rows_pass(decoder, gradient, rate):
    def unit(table):
        return table / table.norm(dim=1, keepdim=True).clamp(min=1e-300)

    return _step(decoder, gradient, rate, unit=unit, checked=False)


@mutant("06.3", "A short row points somewhere", "held-out")
def small_constant(decoder, gradient, rate):
    if bool((decoder.norm(dim=1) == 0).any()):
        raise ValueError
    return _step(decoder, gradient, rate, unit=lambda t: t / (t.norm(dim=1, keepdim=True) + 1e-8))


# --- 06.4 ----------------------------------------------------------------------------------


def _quality(x, x_hat, f, **change):
    convert = change.get("convert", torch.Tensor.double)
    x, x_hat = convert(x), convert(x_hat)
    if change.get("checked", True) and bool((x == x[0]).all()):
        raise ValueError
    ratio = change.get("ratio", lambda e, c: (e**2).sum() / (c**2).sum())
    fvu = ratio(x - x_hat, x - change.get("centre", lambda x: x.mean(0))(x))
    on = change.get("active", lambda f: f > 0)(f)
    l0 = change.get("l0", lambda on: on.double().sum(1).mean())(on)
    dead = change.get("dead", lambda on: 1 - on.any(0).double().mean())(on)
    return {"l0": l0, "fvu": fvu, "dead": dead}


@other("06.4")
def quality_by_counting(x, x_hat, f):
    x, x_hat, f = (t.double().numpy() for t in (x, x_hat, f))
    if np.ptp(x, axis=0).max() == 0:
        raise ValueError("no variance")
    dims = range(x.shape[1])
    errors = sum(float(np.mean((x[:, j] - x_hat[:, j]) ** 2)) for j in dims)
    spread = sum(float(np.var(x[:, j])) for j in dims)
    unused = [j for j in range(f.shape[1]) if not (f[:, j] > 0).any()]
    return {
        "dead": len(unused) / f.shape[1],
        "fvu": errors / spread,
        "l0": np.count_nonzero(f) / len(f),
    }


@other("06.4")
def quality_with_moments(x, x_hat, f):
    x, x_hat = x.double(), x_hat.double()
    spread = torch.cov(x.T, correction=0).trace() if x.shape[1] > 1 else x.var(correction=0)
    if bool((x.max(0).values == x.min(0).values).all()):
        raise ValueError
    on = (f > 0).double()
    return {
        "l0": on.mean() * f.shape[1],
        "fvu": torch.nn.functional.mse_loss(x_hat, x) * x.shape[1] / spread,
        "dead": (on.sum(0) == 0).double().mean(),
    }


@mutant("06.4", "ratio for each token")
def ratio_by_token(*given):
    return _quality(*given, ratio=lambda e, c: ((e**2).sum(1) / (c**2).sum(1)).mean())


@mutant("06.4", "ratio for each dimension")
def ratio_by_dimension(*given):
    return _quality(*given, ratio=lambda e, c: ((e**2).sum(0) / (c**2).sum(0)).mean())


@mutant("06.4", "forgives a constant error")
def variance_of_error(*given):
    def ratio(e, c):
        return ((e - e.mean(0)) ** 2).sum() / (c**2).sum()

    return _quality(*given, ratio=ratio)


@mutant("06.4", "did not subtract the mean from x")
def not_centred(*given):
    return _quality(*given, centre=lambda x: 0.0)


@mutant("06.4", "one mean for all dimensions")
def one_mean(*given):
    return _quality(*given, centre=lambda x: x.mean())


@mutant("06.4", "mean over the dimensions; subtract the mean over tokens")
def mean_of_each_token(*given):
    return _quality(*given, centre=lambda x: x.mean(1, keepdim=True))


@mutant("06.4", "Unexplained is 1 minus that")
def explained(*given):
    return _quality(*given, ratio=lambda e, c: 1 - (e**2).sum() / (c**2).sum())


@mutant("06.4", "root of the ratio")
def root_of_ratio(*given):
    return _quality(*given, ratio=lambda e, c: e.norm() / c.norm())


@mutant("06.4", "did not divide by the variance")
def mean_squared_error(*given):
    return _quality(*given, ratio=lambda e, c: (e**2).mean())


@mutant("06.4", "divided by N and the other by N - 1")
def two_kinds_of_mean(*given):
    def ratio(e, c):
        return (e**2).sum(1).mean() / ((c**2).sum() / (len(c) - 1))

    return _quality(*given, ratio=ratio)


@mutant("06.4", "variance of the reconstruction")
def variance_of_x_hat(x, x_hat, f):
    spread = ((x_hat - x_hat.mean(0)) ** 2).sum()
    return _quality(x, x_hat, f, ratio=lambda e, c: (e**2).sum() / spread)


@mutant("06.4", "turned the ratio round")
def ratio_turned(*given):
    return _quality(*given, ratio=lambda e, c: (c**2).sum() / (e**2).sum())


@mutant("06.4", "share of active features; L0")
def density(*given):
    return _quality(*given, l0=lambda on: on.double().mean())


@mutant("06.4", "counted over all tokens")
def count_of_batch(*given):
    return _quality(*given, l0=lambda on: on.sum())


@mutant("06.4", "active anywhere")
def count_of_alive(*given):
    return _quality(*given, l0=lambda on: on.any(0).sum())


@mutant("06.4", "counted tokens for each feature")
def tokens_per_feature(*given):
    return _quality(*given, l0=lambda on: on.double().sum(0).mean())


@mutant("06.4", "(L1)")
def sum_of_activations(x, x_hat, f):
    return _quality(x, x_hat, f, l0=lambda on: f.sum(1).mean())


@mutant("06.4", "They count, with 0")
def tokens_with_features(*given):
    return _quality(*given, l0=lambda on: on.sum(1)[on.any(1)].double().mean())


@mutant("06.4", "Small activations were left out")
def thresholded(*given):
    return _quality(*given, active=lambda f: f > 0.5)


@mutant("06.4", "share of features that are alive")
def alive(*given):
    return _quality(*given, dead=lambda on: on.any(0).double().mean())


@mutant("06.4", "number of dead features; return their share")
def number_of_dead(*given):
    return _quality(*given, dead=lambda on: (~on.any(0)).sum())


@mutant("06.4", "zeros of all tokens")
def share_of_zeros(*given):
    return _quality(*given, dead=lambda on: 1 - on.double().mean())


@mutant("06.4", "Dead is a feature without an active token")
def empty_tokens(*given):
    return _quality(*given, dead=lambda on: 1 - on.any(1).double().mean())


@mutant("06.4", "0 on some token")
def sometimes_zero(*given):
    return _quality(*given, dead=lambda on: 1 - on.all(0).double().mean())


@mutant("06.4", "changed the data")
def centres_in_place(x, x_hat, f):
    found = _quality(x, x_hat, f)
    x -= x.mean(0)
    return found


@mutant("06.4", "compute in float64", "held-out")
def single_precision(*given):
    return _quality(*given, convert=lambda t: t, ratio=lambda e, c: _moments(given))


def _moments(given):
    """E[x^2] - E[x]^2 in the precision of x, which cancels where states lie far from 0."""
    x, x_hat, _ = given
    spread = (x**2).sum(1).mean() - (x.mean(0) ** 2).sum()
    return ((x - x_hat) ** 2).sum(1).mean() / spread


@mutant("06.4", "do not clip it", "held-out")
def at_most_one(*given):
    return _quality(*given, ratio=lambda e, c: min(1.0, float((e**2).sum() / (c**2).sum())))


@mutant("06.4", "1e-12 is above 0", "held-out")
def nearly_zero(*given):
    return _quality(*given, active=lambda f: f > 1e-8)


@mutant("06.4", "no variance to explain: raise ValueError", "held-out")
def nothing_to_explain(x, x_hat, f):
    if bool((x == x[0]).all()):
        return {**_quality(x, x_hat, f, checked=False), "fvu": 0.0}
    return _quality(x, x_hat, f)


# --- 06.5 ----------------------------------------------------------------------------------


def _ce(logits, tokens, real, **change):
    logits = change.get("convert", torch.Tensor.double)(logits)
    logs = change.get("logs", lambda t: torch.log_softmax(t, -1))(logits)
    rows, targets, counted = change.get(
        "pair", lambda logs: (logs[:, :-1], tokens[:, 1:], real[:, 1:])
    )(logs)
    losses = -rows.gather(-1, targets[..., None])[..., 0]
    return change.get("average", lambda losses, counted: losses[counted].mean())(losses, counted)


def _recovered(clean, replaced, ablated, tokens, real, **change):
    c, s, z = (_ce(run, tokens, real, **change) for run in (clean, replaced, ablated))
    if change.get("checked", True) and z <= c:
        raise ValueError
    return change.get("share", lambda c, s, z: (z - s) / (z - c))(c, s, z)


@other("06.5")
def recovered_in_bits(clean, replaced, ablated, tokens, real):
    sums = []
    for run in (clean, replaced, ablated):
        table, total = run.double().numpy(), 0.0
        for b in range(len(tokens)):
            for t in range(1, tokens.shape[1]):
                if real[b, t]:
                    row = table[b, t - 1]
                    top = row.max()
                    total += top + math.log(np.exp(row - top).sum()) - row[int(tokens[b, t])]
        sums.append(total / math.log(2))
    if sums[2] <= sums[0]:
        raise ValueError
    return 1 - (sums[1] - sums[0]) / (sums[2] - sums[0])


@other("06.5")
def recovered_with_cross_entropy(clean, replaced, ablated, tokens, real):
    targets = tokens.masked_fill(~real, -100)[:, 1:].reshape(-1)

    def loss(run):
        flat = run[:, :-1].double().reshape(-1, run.shape[-1])
        return torch.nn.functional.cross_entropy(flat, targets)

    c, s, z = map(loss, (clean, replaced, ablated))
    if not z > c:
        raise ValueError("nothing to recover")
    return (s - z) / (c - z)


@mutant("06.5", "row t with token t")
def unshifted(clean, replaced, ablated, tokens, real):
    pair = {"pair": lambda logs: (logs, tokens, real), "checked": False}
    return _recovered(clean, replaced, ablated, tokens, real, **pair)


@mutant("06.5", "row t with token t")
def unshifted_without_first(clean, replaced, ablated, tokens, real):
    pair = {"pair": lambda logs: (logs[:, 1:], tokens[:, 1:], real[:, 1:]), "checked": False}
    return _recovered(clean, replaced, ablated, tokens, real, **pair)


@mutant("06.5", "shifted the wrong way")
def shifted_back(clean, replaced, ablated, tokens, real):
    pair = {"pair": lambda logs: (logs[:, 1:], tokens[:, :-1], real[:, :-1]), "checked": False}
    return _recovered(clean, replaced, ablated, tokens, real, **pair)


@mutant("06.5", "share of the loss that is lost")
def share_lost(*given):
    return _recovered(*given, share=lambda c, s, z: (s - c) / (z - c))


@mutant("06.5", "three runs are exchanged")
def runs_exchanged(*given):
    return _recovered(*given, share=lambda c, s, z: (z - c) / (z - s))


@mutant("06.5", "divide by what ablation costs")
def share_of_ablated_loss(*given):
    return _recovered(*given, share=lambda c, s, z: (z - s) / z)


@mutant("06.5", "ratio of two losses")
def ratio_of_losses(*given):
    return _recovered(*given, share=lambda c, s, z: c / s)


@mutant("06.5", "in nats; return the recovered share")
def rise_of_loss(*given):
    return _recovered(*given, share=lambda c, s, z: s - c)


@mutant("06.5", "shares of single tokens")
def mean_share_of_tokens(*given):
    share = {"share": lambda c, s, z: ((z - s) / (z - c)).mean(), "checked": False}
    return _recovered(*given, average=lambda losses, counted: losses[counted], **share)


@mutant("06.5", "shares of single texts")
def mean_share_of_texts(*given):
    def average(losses, counted):
        return torch.stack([row[k].mean() for row, k in zip(losses, counted, strict=True)])

    share = {"share": lambda c, s, z: ((z - s) / (z - c)).mean(), "checked": False}
    return _recovered(*given, average=average, **share)


@mutant("06.5", "within each text first")
def texts_count_the_same(*given):
    def average(losses, counted):
        return sum(row[k].mean() for row, k in zip(losses, counted, strict=True)) / len(losses)

    return _recovered(*given, average=average)


@mutant("06.5", "perplexities")
def perplexities(*given):
    return _recovered(*given, share=lambda c, s, z: (z.exp() - s.exp()) / (z.exp() - c.exp()))


@mutant("06.5", "averaged probabilities")
def probabilities(*given):
    return _recovered(*given, logs=lambda t: torch.softmax(t, -1))


@mutant("06.5", "log_softmax is missing")
def raw_logits(*given):
    return _recovered(*given, logs=lambda t: t, checked=False)


@mutant("06.5", "vocabulary is the last axis")
def normalised_over_tokens(*given):
    return _recovered(*given, logs=lambda t: torch.log_softmax(t, 1), checked=False)


@mutant("06.5", "last prediction of each text only")
def last_only(*given):
    return _recovered(*given, average=lambda losses, counted: losses[:, -1].mean(), checked=False)


@mutant("06.5", "Padding is counted")
def with_padding(*given):
    return _recovered(*given, average=lambda losses, counted: losses.mean(), checked=False)


@mutant("06.5", "whether row t is real")
def real_rows(clean, replaced, ablated, tokens, real):
    pair = {"pair": lambda logs: (logs[:, :-1], tokens[:, 1:], real[:, :-1]), "checked": False}
    return _recovered(clean, replaced, ablated, tokens, real, **pair)


@mutant("06.5", "squared differences of logits")
def distance_of_logits(clean, replaced, ablated, tokens, real):
    return 1 - ((clean - replaced) ** 2).sum() / ((clean - ablated) ** 2).sum()


@mutant("06.5", "changed the data")
def shifts_tokens_in_place(clean, replaced, ablated, tokens, real):
    found = _recovered(clean, replaced, ablated, tokens, real)
    tokens[~real] = -100
    tokens[:, 0] = -100
    return found


@mutant("06.5", "do not clip it", "held-out")
def between_zero_and_one(*given):
    return min(1.0, max(0.0, float(_recovered(*given))))


@mutant("06.5", "stay in logs", "held-out")
def half_precision(*given):
    return _recovered(*given, convert=lambda t: t)


@mutant("06.5", "inf - inf", "held-out")
def log_of_softmax(*given):
    def logs(table):
        return torch.softmax(table.float(), -1).log()

    return _recovered(*given, logs=logs, checked=False)


@mutant("06.5", "nothing to recover, so raise", "held-out")
def any_ablation(*given):
    return _recovered(*given, checked=False)


@mutant("06.5", "nothing to recover, so raise", "held-out")
def only_exact_zero(clean, replaced, ablated, tokens, real):
    if _ce(clean, tokens, real) == _ce(ablated, tokens, real):
        raise ValueError
    return _recovered(clean, replaced, ablated, tokens, real, checked=False)


# --- 06.6 ----------------------------------------------------------------------------------


def _f1(said, gold):
    either = said.sum() + gold.sum()
    return float(2 * (said & gold).sum() / either) if either else 0.0


def _search(values, gold, score=_f1, compare=torch.ge):
    """Feature and threshold of the best score, of equal ones the first, and the score."""
    best = (0, math.inf, -1.0)
    for feature in range(values.shape[1]):
        column = values[:, feature]
        for threshold in column[column > 0].unique():
            found = score(compare(column, threshold), gold)
            if found > best[2]:
                best = feature, float(threshold), found
    return best


def _checked(gold, truth):
    if not gold.any() or not truth.any():
        raise ValueError


def _best(fit, gold, judge, truth, score=_f1, last=_f1, compare=torch.ge, checked=True):
    if checked:
        _checked(gold, truth)
    feature, threshold, _ = _search(fit, gold, score, compare)
    return feature, threshold, last(compare(judge[:, feature], threshold), truth)


def _precision(said, gold):
    return float((said & gold).sum() / said.sum().clamp(min=1))


def _recall(said, gold):
    return float((said & gold).sum() / gold.sum())


def _accuracy(said, gold):
    return float((said == gold).double().mean())


@other("06.6")
def best_by_sorting(fit, fit_gold, judge, judge_gold):
    fit, gold, judge, truth = (t.numpy() for t in (fit, fit_gold, judge, judge_gold))
    if gold.sum() == 0 or truth.sum() == 0:
        raise ValueError
    found = []
    for i in range(fit.shape[1]):
        order = np.argsort(-fit[:, i])
        values = fit[order, i]
        scores = 2 * np.cumsum(gold[order]) / (np.arange(1, len(gold) + 1) + gold.sum())
        ends = np.append(values[1:] != values[:-1], True) & (values > 0)
        scores = np.where(ends, scores, -1.0)
        found.append((scores.max(), values[scores.argmax()]))
    best = int(np.argmax([round(score, 12) for score, _ in found]))
    said = judge[:, best] >= found[best][1]
    wrong = (said != truth).sum()
    right = (said & truth).sum()
    return best, found[best][1], 2 * right / (2 * right + wrong)


@other("06.6")
def best_with_a_table(fit, fit_gold, judge, judge_gold):
    if not (bool(fit_gold.sum()) and bool(judge_gold.sum())):
        raise ValueError("no token of the concept")
    says = fit.T[:, :, None] >= fit.T[:, None, :]  # feature, token, threshold
    hits = (says & fit_gold[:, None]).sum(1).double()
    scores = 2 * hits / (says.sum(1) + fit_gold.sum())
    scores[fit.T <= 0] = -1
    feature, place = divmod(int(scores.argmax()), fit.shape[0])
    threshold = fit[place, feature].item()
    said = judge[:, feature] >= threshold
    precision = (said & judge_gold).sum().double() / said.sum().clamp(min=1)
    recall = (said & judge_gold).sum().double() / judge_gold.sum()
    return [feature, threshold, 2 * precision * recall / (precision + recall + 1e-300)]


@mutant("06.6", "half on which you chose")
def judged_on_fit(fit, gold, judge, truth):
    return _search(fit, gold)


@mutant("06.6", "chose on the half that judges")
def chosen_on_judge(fit, gold, judge, truth):
    return _search(judge, truth)


@mutant("06.6", "threshold is chosen on the half that judges")
def threshold_of_judge(fit, gold, judge, truth):
    best = _search(fit, gold)[0]
    _, threshold, score = _search(judge[:, [best]], truth)
    return best, threshold, score


@mutant("06.6", "both halves together")
def chosen_on_both(fit, gold, judge, truth):
    best = _search(torch.cat([fit, judge]), torch.cat([gold, truth]))
    return best[0], best[1], _f1(judge[:, best[0]] >= best[1], truth)


@mutant("06.6", "yours starts above it")
def above_the_threshold(fit, gold, judge, truth):
    return _best(fit, gold, judge, truth, compare=torch.gt)


@mutant("06.6", "Every active token counts")
def no_threshold(fit, gold, judge, truth):
    scores = [_f1(column > 0, gold) for column in fit.T]
    best = scores.index(max(scores))
    return best, 0.0, _f1(judge[:, best] > 0, truth)


@mutant("06.6", "You chose by the precision")
def chosen_by_precision(fit, gold, judge, truth):
    return _best(fit, gold, judge, truth, score=_precision)


@mutant("06.6", "You chose by the recall")
def chosen_by_recall(fit, gold, judge, truth):
    return _best(fit, gold, judge, truth, score=_recall)


@mutant("06.6", "accuracy")
def accuracy_throughout(fit, gold, judge, truth):
    return _best(fit, gold, judge, truth, score=_accuracy, last=_accuracy)


@mutant("06.6", "The third number is the precision")
def reports_precision(fit, gold, judge, truth):
    return _best(fit, gold, judge, truth, last=_precision)


@mutant("06.6", "plain mean of precision and recall")
def arithmetic_mean(fit, gold, judge, truth):
    def mean(said, labels):
        return (_precision(said, labels) + _recall(said, labels)) / 2

    return _best(fit, gold, judge, truth, last=mean)


@mutant("06.6", "intersection over union")
def overlap(fit, gold, judge, truth):
    def jaccard(said, labels):
        return float((said & labels).sum() / (said | labels).sum().clamp(min=1))

    return _best(fit, gold, judge, truth, score=jaccard, last=jaccard)


@mutant("06.6", "mean of the F1 of both classes")
def macro_f1(fit, gold, judge, truth):
    def macro(said, labels):
        return (_f1(said, labels) + _f1(~said, ~labels)) / 2

    return _best(fit, gold, judge, truth, last=macro)


@mutant("06.6", "between two of them")
def middle_threshold(fit, gold, judge, truth):
    best, threshold, _ = _search(fit, gold)
    column = fit[:, best]
    lower = column[column < threshold].max() if (column < threshold).any() else 0.0
    between = (threshold + lower) / 2
    return best, between, _f1(judge[:, best] >= between, truth)


@mutant("06.6", "by its mean difference")
def largest_difference(fit, gold, judge, truth):
    best = int((fit[gold].mean(0) - fit[~gold].mean(0)).argmax())
    threshold = _search(fit[:, [best]], gold)[1]
    return best, threshold, _f1(judge[:, best] >= threshold, truth)


@mutant("06.6", "by its")
def most_correlated(fit, gold, judge, truth):
    pairs = [torch.stack([column, gold.double()]) for column in fit.T]
    found = torch.stack([torch.corrcoef(pair)[0, 1].nan_to_num(-1.0) for pair in pairs])
    best = int(found.argmax())
    threshold = _search(fit[:, [best]], gold)[1]
    return best, threshold, _f1(judge[:, best] >= threshold, truth)


@mutant("06.6", "numbered from 0")
def from_one(fit, gold, judge, truth):
    best, threshold, score = _best(fit, gold, judge, truth)
    return best + 1, threshold, score


@mutant("06.6", "Return three things")
def only_score(fit, gold, judge, truth):
    return _best(fit, gold, judge, truth)[2]


@mutant("06.6", "changed the data")
def sorts_in_place(fit, gold, judge, truth):
    found = _best(fit, gold, judge, truth)
    fit.copy_(fit.sort(0).values)
    return found


@mutant("06.6", "equally good features", "held-out")
def last_of_the_best(fit, gold, judge, truth):
    _checked(gold, truth)
    best, threshold, _ = _search(fit.flip(1), gold)
    feature = fit.shape[1] - 1 - best
    return feature, threshold, _f1(judge[:, feature] >= threshold, truth)


@mutant("06.6", "can neither choose nor judge", "held-out")
def half_may_be_empty(fit, gold, judge, truth):
    return _best(fit, gold, judge, truth, checked=False)


@mutant("06.6", "can neither choose nor judge", "held-out")
def looks_at_fit_only(fit, gold, judge, truth):
    if not gold.any():
        raise ValueError
    return _best(fit, gold, judge, truth, checked=False)


@mutant("06.6", "ZeroDivisionError", "held-out")
def divides_by_zero(fit, gold, judge, truth):
    def by_parts(said, labels):
        hits = int((said & labels).sum())
        precision, recall = hits / int(said.sum()), hits / int(labels.sum())
        return 2 * precision * recall / (precision + recall) if hits else 0.0

    return _best(fit, gold, judge, truth, last=by_parts)


# --- 06.7 ----------------------------------------------------------------------------------


def _steer(x, encode, decode, feature, value, random, **change):
    f = encode(x)
    if change.get("checked", True) and (not 0 <= feature < f.shape[1] or not random.any()):
        raise ValueError
    new = f.clone()
    new[:, feature] = change.get("clamp", lambda now: torch.full_like(now, value))(f[:, feature])
    put_back = change.get("put_back", lambda x, f, new: decode(new) + x - decode(f))
    steered = put_back(x, f, new)
    far = change.get("far", lambda moved: moved.norm(dim=1, keepdim=True))(steered - x)
    unit = change.get("unit", lambda r: r / r.norm())(random)
    return steered, change.get("start", lambda x, s: x)(x, steered) + far * unit


@other("06.7")
def steer_by_direction(x, encode, decode, feature, value, random):
    f = encode(x).numpy()
    if feature < 0 or feature >= f.shape[1] or float(random @ random) == 0:
        raise ValueError
    pair = np.zeros((2, f.shape[1]))
    pair[1, feature] = 1
    zero, one = decode(torch.tensor(pair)).numpy()
    change = np.outer(value - f[:, feature], one - zero)
    sizes = abs(value - f[:, feature]) * np.linalg.norm(one - zero)
    unit = random.numpy() / np.linalg.norm(random)
    return x.numpy() + change, x.numpy() + np.outer(sizes, unit)


@other("06.7")
def steer_with_a_mask(x, encode, decode, feature, value, random):
    f = encode(x)
    if feature not in range(f.shape[1]) or random.norm() == 0:
        raise ValueError
    here = torch.arange(f.shape[1]) == feature
    moved = decode(torch.where(here, value, f)) - decode(f)
    along = torch.nn.functional.normalize(random, dim=0, eps=0.0)
    return [x + moved, x + moved.pow(2).sum(1).sqrt()[:, None] * along[None]]


@mutant("06.7", "error of the autoencoder is lost")
def loses_the_error(x, encode, decode, feature, value, random):
    return _steer(x, encode, decode, feature, value, random, put_back=lambda x, f, n: decode(n))


@mutant("06.7", "You added `value` to the activation")
def adds_value(x, encode, decode, feature, value, random):
    return _steer(x, encode, decode, feature, value, random, clamp=lambda now: now + value)


@mutant("06.7", "You multiplied the activation")
def multiplies(x, encode, decode, feature, value, random):
    return _steer(x, encode, decode, feature, value, random, clamp=lambda now: now * value)


@mutant("06.7", "only tokens on which the feature is active")
def only_where_active(x, encode, decode, feature, value, random):
    def clamp(now):
        return torch.where(now > 0, value, 0.0).to(now)

    return _steer(x, encode, decode, feature, value, random, clamp=clamp)


@mutant("06.7", "only raised activations below")
def at_least(x, encode, decode, feature, value, random):
    return _steer(x, encode, decode, feature, value, random, clamp=lambda now: now.clamp(min=value))


@mutant("06.7", "only lowered activations above")
def at_most(x, encode, decode, feature, value, random):
    return _steer(x, encode, decode, feature, value, random, clamp=lambda now: now.clamp(max=value))


@mutant("06.7", "Nothing changed")
def error_of_the_clamped(x, encode, decode, feature, value, random):
    def put_back(x, f, new):
        return decode(new) + x - decode(new)

    return _steer(x, encode, decode, feature, value, random, put_back=put_back)


@mutant("06.7", "The error is subtracted")
def error_turned(x, encode, decode, feature, value, random):
    def put_back(x, f, new):
        return decode(new) - (x - decode(f))

    return _steer(x, encode, decode, feature, value, random, put_back=put_back)


@mutant("06.7", "`value` is the activation itself")
def times_largest(x, encode, decode, feature, value, random):
    def clamp(now):
        return torch.full_like(now, value * now.max().item())

    return _steer(x, encode, decode, feature, value, random, clamp=clamp)


@mutant("06.7", "all other activations stay")
def feature_alone(x, encode, decode, feature, value, random):
    def put_back(x, f, new):
        only = torch.zeros_like(f)
        only[:, feature] = value
        return decode(only) + x - decode(f)

    return _steer(x, encode, decode, feature, value, random, put_back=put_back)


@mutant("06.7", "last token only")
def last_token(x, encode, decode, feature, value, random):
    def clamp(now):
        new = now.clone()
        new[-1] = value
        return new

    return _steer(x, encode, decode, feature, value, random, clamp=clamp)


@mutant("06.7", "You changed another feature")
def off_by_one(x, encode, decode, feature, value, random):
    features = encode(x).shape[1]
    return _steer(x, encode, decode, (feature + 1) % features, value, random)


@mutant("06.7", "unit length")
def unit_direction(x, encode, decode, feature, value, random):
    f = encode(x)
    pair = torch.zeros(2, f.shape[1], dtype=f.dtype)
    pair[1, feature] = 1
    zero, one = decode(pair)
    row = (one - zero) / (one - zero).norm()
    steered = x + (value - f[:, [feature]]) * row
    return steered, x + (steered - x).norm(dim=1, keepdim=True) * random / random.norm()


@mutant("06.7", "as long as it is")
def long_control(x, encode, decode, feature, value, random):
    return _steer(x, encode, decode, feature, value, random, unit=lambda r: r)


@mutant("06.7", "one size for all tokens")
def one_size(x, encode, decode, feature, value, random):
    return _steer(x, encode, decode, feature, value, random, far=lambda moved: moved.norm())


@mutant("06.7", "moved by `value`")
def control_by_value(x, encode, decode, feature, value, random):
    return _steer(x, encode, decode, feature, value, random, far=lambda moved: value)


@mutant("06.7", "starts from x, not from the steered")
def control_on_top(x, encode, decode, feature, value, random):
    return _steer(x, encode, decode, feature, value, random, start=lambda x, s: s)


@mutant("06.7", "You returned the shift alone")
def control_without_x(x, encode, decode, feature, value, random):
    return _steer(x, encode, decode, feature, value, random, start=lambda x, s: 0.0)


@mutant("06.7", "The control is missing")
def no_control(x, encode, decode, feature, value, random):
    return _steer(x, encode, decode, feature, value, random, far=lambda moved: 0.0)


@mutant("06.7", "along `random`")
def wrong_norm(x, encode, decode, feature, value, random):
    return _steer(
        x, encode, decode, feature, value, random, far=lambda m: m.abs().sum(1, keepdim=True)
    )


@mutant("06.7", "changed the data")
def writes_into_x(x, encode, decode, feature, value, random):
    steered, control = _steer(x, encode, decode, feature, value, random)
    x += steered - x
    return x.clone(), control


@mutant("06.7", "Python would count -1 from the end", "held-out")
def from_the_end(x, encode, decode, feature, value, random):
    if feature >= encode(x).shape[1] or not random.any():
        raise ValueError
    return _steer(x, encode, decode, feature, value, random, checked=False)


@mutant("06.7", "length 0 has no direction", "held-out")
def zero_vector(x, encode, decode, feature, value, random):
    if not 0 <= feature < encode(x).shape[1]:
        raise ValueError
    unit = {"unit": lambda r: r / r.norm().clamp(min=1e-300)}
    return _steer(x, encode, decode, feature, value, random, checked=False, **unit)


@mutant("06.7", "changes the tokens on which the feature is active", "held-out")
def no_value_no_change(x, encode, decode, feature, value, random):
    if not value:
        return x, x
    return _steer(x, encode, decode, feature, value, random)


@mutant("06.7", "must not depend on how long `random` is", "held-out")
def safe_division(x, encode, decode, feature, value, random):
    return _steer(x, encode, decode, feature, value, random, unit=lambda r: r / (r.norm() + 1e-5))
