"""06.2, the loss, and what it is a mean of: answers, mistakes and draws (instructors only)."""

import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("06.2", "the loss, and what it is a mean of")


def squares(x, x_hat):
    return (x - x_hat).pow(2).sum(1).mean()


def lengths(d):
    return d.norm(dim=1)


def weighted(f, w):
    return (f * w).sum(1).mean()


def total(a, b, p):
    return a + p * b


@ANSWERS.right
def sparse_loss(x, x_hat, f, decoder, penalty, to=torch.Tensor.double, error=squares, **step):
    if x.shape != x_hat.shape or penalty < 0:
        raise ValueError("shapes must agree, and the penalty is 0 or above")
    x, x_hat, f, decoder = (to(table) for table in (x, x_hat, f, decoder))
    a = error(x, x_hat)
    b = step.get("sparse", weighted)(f, step.get("weigh", lengths)(decoder))
    return {"reconstruction": a, "sparsity": b, "loss": step.get("both", total)(a, b, penalty)}


@ANSWERS.other
def shares_of_features(x, x_hat, f, decoder, penalty):
    if x.shape != x_hat.shape or not penalty >= 0:
        raise ValueError
    gap = (x.double() - x_hat.double()) / len(x) ** 0.5
    shares = torch.einsum("nf,fd->nfd", f.double(), decoder.double())
    a, b = (gap * gap).sum(), shares.norm(dim=2).sum() / len(x)
    return {"reconstruction": a, "sparsity": b, "loss": a + penalty * b}


ROUND, SUM = "it is the other way round.", "Sum over features, mean over tokens."
# Those of the loss come first: where two explain it, they are more to the point.
ANSWERS.variants(sparse_loss, both={
    "The penalty is missing: loss = reconstruction + penalty * sparsity.": lambda a, b, p: a + b,
    "The sparsity is missing in the loss.": lambda a, b, p: a,
    "The reconstruction is missing in the loss.": lambda a, b, p: p * b,
    "The penalty multiplies the reconstruction, not the sparsity.": lambda a, b, p: p * a + b,
    "The penalty multiplies both terms; it weighs the sparsity alone.": lambda a, b, p: p * (a + b),
    "The penalty enters twice.": lambda a, b, p: a + p**2 * b,
    "The sparsity is subtracted; large activations cost more.": lambda a, b, p: a - p * b,
    "You mixed the terms as (1 - penalty) and penalty.": lambda a, b, p: (1 - p) * a + p * b,
    "You divided by the penalty; multiply.": lambda a, b, p: a + b / p,
})  # fmt: skip
ANSWERS.variants(sparse_loss, error={
    "You took the mean over the dimensions of the state.": lambda x, y: (x - y).pow(2).mean(),
    "You added the tokens up; take the mean over tokens.": lambda x, y: (x - y).pow(2).sum(),
    f"Mean over dimensions, sum over tokens: {ROUND}": lambda x, y: (x - y).pow(2).mean(1).sum(),
    "You took the length of the error, not its square.": lambda x, y: (x - y).norm(dim=1).mean(),
    "You took the length of the error of the whole batch.": lambda x, y: (x - y).norm(),
    "You took the root of the mean; there is no root.": lambda x, y: squares(x, y).sqrt(),
    "You took absolute differences, not squares.": lambda x, y: (x - y).abs().sum(1).mean(),
    "You divided by the variance of x. That is a fraction; the loss keeps the unit of x squared.":
        lambda x, y: squares(x, y) / x.var(0, correction=0).sum(),
    "You divided by 2; here there is no factor 1/2.": lambda x, y: squares(x, y) / 2,
    "You averaged the vectors before you squared: errors of opposite sign must not cancel.":
        lambda x, y: (x - y).mean(0).pow(2).sum(),
    "You squared the sum of the differences, not each.": lambda x, y: (x - y).sum(1).pow(2).mean(),
    "The difference of squares is not the square.": lambda x, y: (x**2 - y**2).sum(1).mean(),
})  # fmt: skip
ANSWERS.variants(sparse_loss, weigh={
    "You left out the lengths of the directions.": lambda d: torch.ones(len(d)),
    "You multiplied by the squared length of each direction.": lambda d: lengths(d) ** 2,
    "You divided by the length of each direction; multiply by it.": lambda d: 1 / lengths(d),
    "You used the sum of absolute entries as length of a direction.": lambda d: d.abs().sum(1),
    "You used the length of the whole decoder; each row has its own.": torch.norm,
    "You used one mean length for all features; each row has its own.": lambda d: lengths(d).mean(),
    "You used the columns of the decoder; row i is the direction of feature i.":
        (lambda d: d.norm(dim=0), lambda d: d.norm(dim=int(d.shape[0] != d.shape[1]))),
})  # fmt: skip
ANSWERS.variants(sparse_loss, sparse={
    f"You took the mean over features. {SUM}": lambda f, w: (f * w).mean(),
    f"You added the tokens up. {SUM}": lambda f, w: (f * w).sum(),
    f"Mean over features, sum over tokens: {ROUND}": lambda f, w: (f * w).mean(1).sum(),
    "You counted features (L0), but a count has no gradient.": lambda f, w: f.sign().sum(1).mean(),
    "You squared the activations. The square hardly punishes small ones.":
        (lambda f, w: (f * w).pow(2).sum(1).mean(), lambda f, w: f.pow(2).sum(1).mean()),
    "You took the Euclidean length of the code; sum it.": lambda f, w: (f * w).norm(dim=1).mean(),
    "You averaged over the active features only.": lambda f, w: (f * w).sum() / (f > 0).sum(),
})  # fmt: skip
ANSWERS.variants(sparse_loss, held_out=True, to={
    "Convert to float64 before you square and add, or numbers are off.":
        (torch.clone, torch.Tensor.float),
})  # fmt: skip


def penalised(term, given, **options):
    found = sparse_loss(*given, **options)
    return found | {term: given[4] * found[term]}


ANSWERS.mistake("The penalty multiplies the error. It weighs the sparsity.",
    lambda *given: penalised("reconstruction", given, both=lambda a, b, p: p * a + b))  # fmt: skip
ANSWERS.mistake("The penalty is multiplied in already. `sparsity` is the term without it.",
    lambda *given: penalised("sparsity", given))  # fmt: skip


@ANSWERS.mistake("Convert to float64 before you subtract: your error is off.", held_out=True)
def converts_too_late(x, x_hat, *given):
    sparse_loss(x, x_hat, *given)
    return sparse_loss((x - x_hat).double(), torch.zeros_like(x), *given)


@ANSWERS.witness("The rule")
def at_most_ten(*given):
    return sparse_loss(*given, both=lambda a, b, p: a + min(p, 10) * b)


def draw(*sizes, note="", tolerance=1e-6, observe="", refused=False, **options):
    return Draw("coded", {"sizes": sizes} | options, note, tolerance, 0.0, observe, refused)


ERROR = "The rule: the squared length of x - x_hat for each token, and the mean over tokens."
COST = "The rule: activation times length of its direction, summed over features, mean over tokens."
LOSS = "The rule: loss = reconstruction + penalty * sparsity."
SIZES = (4, 3, 6), (7, 5, 4), (2, 6, 3), (5, 3, 3)
ANSWERS.part("reconstruction error", 3, [draw(*s, observe="error_term") for s in SIZES], ERROR)
SIZES = (4, 3, 6), (6, 4, 4), (3, 2, 9)
ANSWERS.part("sparsity", 3, [draw(*s, observe="sparsity_term") for s in SIZES], COST)
PAIRS = (0.4, 6), (3.0, 4), (0.02, 6)
LOSSES = [draw(5, 4, features, penalty=p, observe="whole_loss") for p, features in PAIRS]
ANSWERS.part("both together", 2, LOSSES, LOSS)
UNIT = "Activations divided by a number and directions multiplied by it cost the same."
SCALES = {"stretch": 0.01}, {"stretch": 40.0, "blank": [2]}, {"scale": 1e-5}, {"scale": 1e5}
SCALED = [draw(6, 5, 7, tolerance=1e-9, note=UNIT, **scales) for scales in SCALES]
ANSWERS.part("features on another scale", 2, SCALED, COST, held_out=True)
LIMITS = [draw(1, 4, 3, penalty=penalty, tolerance=1e-9) for penalty in (0.0, 0, 25)]
LIMITS += [draw(1, 1, 1, tolerance=1e-9), draw(6, 3, 5, turned=True, tolerance=1e-9)]
# The square of 15.1 is no number of half precision, and neither is the sum of so many tokens.
for kind in ("float16", "bfloat16", "float32"):
    LIMITS.append(draw(900, 20, 3, far=15.1, dtype=kind, tolerance=1e-9, note=kind))
    LIMITS.append(draw(50, 7, 9, dtype=kind, tolerance=1e-9, note=kind))
APART = "x and x_hat have different shapes. Broadcasting says nothing, so raise ValueError."
SHAPES = "row", "column", "double"
LIMITS += [draw(1, 4, 3, made=shape, refused=True, note=APART) for shape in SHAPES]
DENSE = "A negative penalty rewards dense codes: raise ValueError."
LIMITS += [draw(1, 4, 3, penalty=-0.1, refused=True, note=DENSE)]
ANSWERS.part("precision and limits", 2, LIMITS, f"{LOSS} Convert to float64 first.", held_out=True)
