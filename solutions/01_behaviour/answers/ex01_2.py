"""01.2, the scores of a padded batch: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.2", "scores of a padded batch")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def each_token(logits, ids, rows=slice(None, -1), kind=torch.float64):
    """Log-probabilities [B, T - 1] of the tokens after BOS."""
    table = torch.log_softmax(logits.to(kind)[:, rows], 2)
    return table.gather(2, ids[:, 1:, None])[:, :, 0]


def chosen(terms, keep):
    return torch.where(keep.bool(), terms, 0).sum(1)


def score(
    logits,
    ids,
    mask,
    reduction="sum",
    *,
    known=("sum", "mean"),
    terms=each_token,
    keep=lambda mask: mask[:, 1:],
    add=chosen,
    count=lambda mask: mask[:, 1:].sum(1),
):
    if reduction not in known:
        raise ValueError(f"reduction must be 'sum' or 'mean', not {reduction!r}")
    sums = add(terms(logits, ids), keep(mask))
    return sums / count(mask) if reduction == "mean" else sums


@right
def sentence_logprobs(logits, ids, mask, reduction="sum"):
    return score(logits, ids, mask, reduction)


@other
def one_sentence_at_a_time(logits, ids, mask, reduction="sum"):
    reduce = {"sum": np.sum, "mean": np.mean}
    if reduction not in reduce:
        raise ValueError(reduction)
    scores = []
    for rows, words, length in zip(logits, ids, mask.sum(1).tolist(), strict=True):
        table = rows[: length - 1].detach().double().numpy()
        table = table - np.logaddexp.reduce(table, axis=1, keepdims=True)
        scores.append(reduce[reduction](table[range(length - 1), words[1:length].tolist()]))
    return scores


@other
def cross_entropy(logits, ids, mask, reduction="sum"):
    targets = ids[:, 1:].masked_fill(mask[:, 1:] == 0, -100)
    rows = logits[:, :-1].float().transpose(1, 2)
    sums = -torch.nn.functional.cross_entropy(rows, targets, reduction="none").sum(1)
    if reduction == "mean":
        return sums / (targets != -100).sum(1)
    if reduction != "sum":
        raise ValueError(reduction)
    return sums


def times_mask(terms, keep):
    return (terms * keep).sum(1)


MEAN = "You took the mean over the tokens; reduction='sum' asks for the sum."
ANSWERS.variants(
    score,
    {
        "You scored position t with the logits at t; shift by one: the logits at t are the "
        "prediction for the token at t + 1.": {
            "terms": lambda *given: each_token(*given, rows=slice(1, None))
        },
        "You counted padding: only tokens with mask 1 belong to the sentence.": {
            "add": lambda terms, _: terms.sum(1)
        },
        "You used mask[:, :-1]: that scores the first padding token as well. The mask has to be "
        "shifted with the token it belongs to: mask[:, 1:].": {"keep": lambda mask: mask[:, :-1]},
        "Padding may hold anything, and here it holds nan: a nan times a mask of 0 is still nan. "
        "Choose with the mask (torch.where, masked_fill).": {"add": times_mask},
        "You added probabilities; multiply them, that is, add their logarithms.": {
            "terms": lambda *given: each_token(*given).exp()
        },
        "You returned the sum for reduction='mean': divide by the number of scored tokens.": {
            "count": lambda mask: 1
        },
        "You divided by the number of tokens with BOS; BOS is given, not predicted: divide by the "
        "number of scored tokens.": {"count": lambda mask: mask.sum(1)},
        "The first word after BOS is missing from the score: BOS is there to predict it "
        "(p(w1 | BOS)), so T tokens with BOS give T - 1 terms.": {
            "terms": lambda *given: each_token(*given)[:, 1:],
            "keep": lambda mask: mask[:, 2:],
            "count": lambda mask: mask[:, 2:].sum(1),
        },
    },
)
PADDED = "You divided by the padded length: every sentence has its own length."
for shorter in (0, 1):
    mistake(PADDED, lambda *x, by=shorter: score(*x, count=lambda mask: mask.shape[1] - by))
mistake(MEAN, lambda logits, ids, mask, *_: score(logits, ids, mask, "mean"))
mistake(
    "The sign is turned round: log-probabilities are never positive (surprisals are minus that).",
    lambda *given: -score(*given),
)
mistake(
    "You returned probabilities; take the logarithm: log-probabilities add, in nats.",
    lambda *given: score(*given).exp(),
)
mistake(
    "You used the logarithm to base 2 (bits). Use the natural logarithm: nats.",
    lambda *given: score(*given) / np.log(2),
)
mistake(
    "One score per sentence, please: you added or averaged the batch.",
    lambda *given: score(*given).sum(),
    lambda *given: score(*given).mean(),
)
ANSWERS.variants(
    score,
    {
        "Half precision is too coarse: convert to float32 before the softmax.": {
            "terms": lambda logits, ids: each_token(logits, ids, kind=logits.dtype)
        },
        "An unknown reduction must raise ValueError, or a typing mistake goes unseen.": {
            "known": ("sum", "mean", "Sum", "average", "none", "", None)
        },
    },
    held_out=True,
)
mistake(
    "Without a word about it the reduction is 'sum'.",
    lambda logits, ids, mask, reduction="mean": score(logits, ids, mask, reduction),
    held_out=True,
)


@witness("their own mask")
def words_that_are_not_the_first(logits, ids, mask, reduction="sum"):
    return score(logits, ids, (ids != 0) | (torch.arange(ids.shape[1]) == 0), reduction)


def draw(lengths, vocabulary, reduction, note="", **options):
    options = {"lengths": lengths, "vocabulary": vocabulary, "reduction": reduction} | options
    return Draw("batch", options, note, 3e-6)


RULE = "A sentence's score is the sum of the log-probabilities of its tokens after BOS"
SUMS = [draw(lengths, 8, "sum") for lengths in ([4, 4], [6, 6, 6], [9])]
SUMS += [draw([5, 5], 6, "sum", "These logits require grad.", grad=True)]
ANSWERS.part("sum with BOS", 4, SUMS, f"{RULE}.", "One score per sentence.")
FILLINGS = [
    draw([3, 8, 5], 6, "sum", f"The padding is {filling}.", filling=filling)
    for filling in ("flat", "steep", "nan")
]
ANSWERS.part("padding does not matter", 3, FILLINGS, f"{RULE}, which their own mask tells.")
MEANS = [draw([7, 3, 5], 9, "mean"), draw([2, 9], 9, "mean", filling="nan")]
ANSWERS.part("mean per token", 3, MEANS, "The mean is the sum over the number of scored tokens.")
SENTENCES = [
    Draw("all_sentences", {"words": 3, "length": 3, "dtype": dtype}, dtype, 3e-6)
    for dtype in ("float32", "float16", "bfloat16")
]
MORE = [
    draw([2, 6, 3], 5, reduction, "Words that cannot come.", filling="nan", never=never)
    for reduction, never in (("sum", "others"), ("mean", "last"), (None, "others"))
]
ANSWERS.part(
    "all sentences sum to one",
    3,
    [*SENTENCES, *MORE],
    "The probabilities of all sentences of one length sum to 1: a factor is missing (the first "
    "word after BOS?) or counted twice.",
    held_out=True,
)
BAD = [
    Draw(
        "batch",
        {"lengths": [4, 3], "vocabulary": 5, "reduction": reduction},
        f"reduction={reduction!r} must raise ValueError, or a typing mistake goes unseen.",
        refused=True,
    )
    for reduction in ("average", "Sum", "")
]
ANSWERS.part("unknown reduction", 2, BAD, "Only 'sum' and 'mean' are known.", held_out=True)
