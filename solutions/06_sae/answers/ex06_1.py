"""06.1, encode and decode: answers, mistakes and draws (instructors only)."""

from types import SimpleNamespace

import numpy as np
import torch
from torch.nn.functional import gelu, normalize, softplus

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("06.1", "encode and decode")


def levels_of(s):
    return (s.x - s.db) @ s.e + s.eb


def top(f, k, levels=None):
    """The k largest of the last axis, of equal ones the first; all others become 0."""
    winners = f.argsort(dim=-1, descending=True, stable=True)[..., :k]
    return f * torch.zeros_like(f).scatter(-1, winners, 1.0)


def decoded(f, s):
    return f @ s.d + s.db


@ANSWERS.right
def autoencode(x, e, eb, d, db, k=None, before=levels_of, gate=torch.relu, keep=top, **step):
    if k is not None and not 1 <= k <= e.shape[1]:
        raise ValueError("k is a number of features")
    s = SimpleNamespace(x=x, e=e, eb=eb, d=d, db=db)
    s.levels = before(s)
    s.full = gate(s.levels)
    f = s.full if k is None else keep(s.full, k, s.levels)
    return f, step.get("out", decoded)(f, s)


@ANSWERS.other
def ranks_before_the_relu(*given):
    x, e, eb, d, db = (t.numpy() for t in given[:5])
    before = (x - db) @ e + eb
    if given[5:] and (k := given[5]) is not None:
        if k not in range(1, len(d) + 1):
            raise ValueError(k)
        ranks = np.argsort(np.argsort(-before, -1, kind="stable"), -1, kind="stable")
        before = np.where(ranks < k, before, 0)
    f = np.maximum(before, 0)
    return [f, f @ d + db]


def kth(f, k):
    return f.topk(k).values[..., -1:]


# Those of k come first: where both explain an answer, they are more to the point.
BATCH = "of the whole batch. Each state keeps its own k."
ANSWERS.variants(autoencode, keep={
    "k makes no difference: keep the k largest of each state.": lambda f, k, v: f,
    "You kept one feature too many.": lambda f, k, v: top(f, k + 1),
    "You kept one feature too few: the k-th stays too.": lambda f, k, v: f * (f > kth(f, k)),
    "You kept the k largest over the tokens (axis 0).": lambda f, k, v: top(f.mT, k).mT,
    f"You kept k N {BATCH}": lambda f, k, v: top(f.flatten(), k * len(f)).view(f.shape),
    f"You kept k {BATCH}": lambda f, k, v: top(f.flatten(), k).view(f.shape),
    "You kept the k smallest.":
        (lambda f, k, v: f * (top(9e9 - f, k) > 0), lambda f, k, v: f * (top(1 / f, k) > 0)),
    "You returned 1 for each kept feature; keep the activation.": lambda f, k, v: top(f, k).sign(),
    "You subtracted the k-th activation from those kept.": lambda f, k, v: (f - kth(f, k)).relu(),
    "The kept activations are sorted.": lambda f, k, v: top(f.sort(descending=True).values, k),
    "You chose by absolute value before the ReLU.": lambda f, k, v: f * (top(v.abs(), k) > 0),
    "You chose by absolute value and kept the sign.": lambda f, k, v: v * (top(v.abs(), k) > 0),
    "The k largest may be negative: the ReLU is missing.": lambda f, k, v: top(v, k),
})  # fmt: skip
ANSWERS.variants(autoencode, before={
    "The bias of the decoder is not subtracted from x.": lambda s: s.x @ s.e + s.eb,
    "You added the bias of the decoder to x; subtract it.": lambda s: (s.x + s.db) @ s.e + s.eb,
    "You subtracted the bias of the encoder; add it.": lambda s: (s.x - s.db) @ s.e - s.eb,
    "The bias of the encoder is missing.": lambda s: (s.x - s.db) @ s.e,
    "There is a ReLU at the input as well.": lambda s: (s.x - s.db).relu() @ s.e + s.eb,
    "You encoded with the directions of the decoder.": lambda s: (s.x - s.db) @ s.d.T + s.eb,
    "The encoder is transposed. It is [d, F]: x @ encoder.": lambda s: (s.x - s.db) @ s.e.T + s.eb,
})  # fmt: skip
ZERO = "Use the ReLU: most activations are exactly 0."
ANSWERS.variants(autoencode, gate={
    "Activations are negative: the ReLU is missing. A feature is absent or present.": torch.clone,
    "You took absolute values. A feature with a negative level is absent: 0.": torch.abs,
    "You returned 1 for each active feature; say how strongly.": lambda v: (v > 0).double(),
    f"This is a sigmoid. {ZERO}": torch.sigmoid,
    f"This is a GELU. {ZERO}": (gelu, lambda v: gelu(v, approximate="tanh")),
    f"This is a softplus. {ZERO}": softplus,
    "This is a softmax, but features do not compete for a sum of 1.": lambda v: v.softmax(-1),
    "The activations are divided by their length.": lambda v: normalize(v.relu(), dim=-1),
})  # fmt: skip
ANSWERS.variants(autoencode, {"The ReLU comes before the bias is added; it comes last.": {
    "before": lambda s: ((s.x - s.db) @ s.e).relu() + s.eb, "gate": torch.clone}})  # fmt: skip
ANSWERS.variants(autoencode, out={
    "x_hat is decoded from all features; decode from the k kept.": lambda f, s: decoded(s.full, s),
    "The bias of the decoder is missing in x_hat: add it again.": lambda f, s: f @ s.d,
    "You subtracted the bias of the decoder in x_hat; add it.": lambda f, s: f @ s.d - s.db,
    "You decoded from the values before the ReLU.": lambda f, s: decoded(s.levels, s),
    "The reconstruction went through a ReLU.": lambda f, s: decoded(f, s).relu(),
    "You decoded with the transposed encoder.": lambda f, s: f @ s.e.T + s.db,
    "The decoder is transposed. It is [F, d]: f @ decoder.": lambda f, s: f @ s.d.T + s.db,
    "You made the directions unit length first.": lambda f, s: f @ normalize(s.d) + s.db,
    "You averaged over the active features; the reconstruction is their sum.":
        lambda f, s: f @ s.d / (f > 0).sum(-1, keepdim=True).clamp(min=1) + s.db,
    "You returned what the reconstruction misses, x - x_hat.": lambda f, s: s.x - decoded(f, s),
    "You returned x itself.": lambda f, s: s.x.clone(),
})  # fmt: skip
ANSWERS.mistake("The two results are swapped: return f, x_hat.", lambda *x: autoencode(*x)[::-1])
ANSWERS.variants(autoencode, keep={
    "Of equal activations you kept all: k stay, the first.": lambda f, k, v: f * (f >= kth(f, k)),
    "Of equal activations the first stay.": lambda f, k, v: top(f.flip(-1), k).flip(-1),
    "You rounded, or added something to break ties: near is not equal.":
        (lambda f, k, v: f * (top(f.round(decimals=6) + 1, k) > 0),
         lambda f, k, v: f * (top(f - 1e-9 * torch.arange(f.shape[-1]), k) != 0)),
}, held_out=True)  # fmt: skip


def draw(*sizes, note="", tolerance=1e-6, observe="", refused=False, **options):
    return Draw("autoencoder", {"sizes": sizes} | options, note, tolerance, 0.0, observe, refused)


RULE = "The rule: f = ReLU((x - decoder_bias) @ encoder + encoder_bias)"
SUM = "x_hat = f @ decoder + decoder_bias, the bias plus each direction times its activation."
STAY = f"{RULE}, of which the k largest of each state stay, and {SUM}"
HINT = "One activation for each feature at the end: x @ encoder has it."
F = [draw(*sizes, observe="first_of_two") for sizes in ((5, 4, 7), (6, 5, 5), (1, 3, 20))]
ANSWERS.part("activations of all features", 4, F, f"{RULE}.", HINT)
X_HAT = [draw(*sizes, observe="second_of_two") for sizes in ((4, 3, 8), (5, 4, 4), (7, 6, 2))]
ANSWERS.part("reconstruction", 3, X_HAT, f"The rule: {SUM}")
SIZES = (5, 4, 12, 3), (6, 3, 9, 1), (4, 5, 10, 4), (4, 5, 5, 2)
LARGEST = [draw(*sizes, k=[k], lift=1.0) for *sizes, k in SIZES]
LARGEST += [draw(5, 4, 8, k=[5], lift=-1.0, note="In some states fewer than k are above 0.")]
ANSWERS.part("the k largest", 4, LARGEST, STAY)
NOTES = "Of equal activations the first stay.", "Nearly equal is not equal: the larger stays."
TIES = [draw(5, 3, 6, k=[k], copies=0, note=NOTES[0]) for k in range(1, 7)]
TIES += [draw(4, 3, 6, k=[4], copies=gap, note=NOTES[1]) for gap in (1e-10, -1e-10)]
TIES += [draw(5, 3, 6, k=[3], lift=-100, note="None is above 0 here: k is the most that stays.")]
ANSWERS.part("ties, and few active features", 2, TIES, STAY, held_out=True)
SHAPES = (2, 3, 4, 7), (4, 7), (2, 1, 2, 4, 7), (3, 1, 7)
FORMS = [draw(*sizes, k=k) for sizes in SHAPES for k in ([], [None], [2], [7])]
FORMS += [draw(3, 4, 1, k=[1]), draw(4, 3, 6, k=[2], turned=True)]
FORMS += [draw(4, 3, 6, k=[2], scale=scale, note="Other units.") for scale in (1e-5, 1e5)]
FORMS += [draw(4, 3, 6, k=[2], dtype="float32", tolerance=1e-5, note="Float32.")]
WHY = "A state cannot keep {} of 7 features: raise ValueError."
FORMS += [draw(5, 4, 7, k=[k], refused=True, note=WHY.format(k)) for k in (0, -1, 8)]
ANSWERS.part("shapes and limits", 2, FORMS, STAY, held_out=True)
