"""01.2, the scores of a padded batch: answers, mistakes and draws (instructors only)."""

from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.2", "scores of a padded batch")
KNOWN, ROWS, NEXT = ("sum", "mean"), slice(0, -1), slice(1, None)


def each_token(logits, ids, rows=slice(0, -1), kind=torch.float64):
    """Log-probabilities [B, T - 1] of the tokens after BOS."""
    table = torch.log_softmax(logits.to(kind)[:, rows], 2)
    return table.gather(2, ids[:, 1:, None]).squeeze(2)


def chosen(terms, keep):
    return torch.where(keep.bool(), terms, 0).sum(1)


def total(logits, ids, mask, first, terms=each_token, keep=slice(1, None), add=chosen):
    return add(terms(logits, ids)[:, first:], mask[:, keep][:, first:])


def score(logits, ids, mask, reduction="sum", known=KNOWN, total=total, count=None, first=0):
    if reduction not in known:
        raise ValueError(f"reduction must be 'sum' or 'mean', not {reduction!r}")
    sums = total(logits, ids, mask, first)
    if reduction != "mean":
        return sums
    return sums / (count(mask) if count else mask[:, 1:][:, first:].sum(1))


@ANSWERS.right
def sentence_logprobs(logits, ids, mask, reduction="sum"):
    return score(logits, ids, mask, reduction)


@ANSWERS.other
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


def summed(**options):
    return {"total": partial(total, **options)}


def then(change):
    return lambda *given: change(score(*given))


COUNTED = "You counted padding: only tokens with mask 1 belong to the sentence."
MASK = "You used mask[:, :-1]. The mask has to be shifted with its token: mask[:, 1:]."
NAN = "Padding may hold nan, and a nan times a mask of 0 is still nan. Choose: torch.where."
SUM = "You returned the sum for reduction='mean': divide by the number of scored tokens."
BOS = "You counted BOS: BOS is given, not predicted. Divide by the number of scored tokens."
FIRST = "The first word after BOS is missing: BOS is there to predict it, p(w1 | BOS)."
SHIFT = "You scored position t with the logits at t; shift by one: they predict the token at t + 1."
ADDED = "You added probabilities; multiply them, that is, add their logarithms."
ANSWERS.variants(
    score,
    {
        SHIFT: summed(terms=partial(each_token, rows=NEXT)),
        COUNTED: summed(add=lambda terms, _: terms.sum(1)),
        MASK: summed(keep=ROWS),
        NAN: summed(add=lambda terms, keep: (terms * keep).sum(1)),
        ADDED: summed(terms=lambda *given: each_token(*given).exp()),
        SUM: {"count": lambda mask: 1},
        BOS: {"count": lambda mask: mask.sum(1)},
        FIRST: {"first": 1},
    },
)
mistake = ANSWERS.mistake
PADDED = "You divided by the padded length: every sentence has its own length."
mistake(PADDED, partial(score, count=lambda mask: mask.shape[1]))
mistake(PADDED, partial(score, count=lambda mask: mask.shape[1] - 1))
MEAN = "You took the mean over the tokens; reduction='sum' asks for the sum."
mistake(MEAN, lambda logits, ids, mask, *_: score(logits, ids, mask, "mean"))
mistake("The sign is turned round: log-probabilities are never positive.", then(torch.neg))
mistake("You returned probabilities; take the logarithm.", then(torch.exp))
mistake("You used base 2 (bits). Use the natural logarithm: nats.", then(lambda x: x / np.log(2)))
mistake("One score per sentence: you put the batch together.", then(torch.sum), then(torch.mean))
HALF = "Half precision is too coarse: convert to float32 before the softmax."
UNKNOWN = "An unknown reduction must raise ValueError, or a typing mistake goes unseen."
DEFAULT = "Without a word about it the reduction is 'sum'."
HALVES = partial(total, terms=lambda logits, ids: each_token(logits, ids, kind=logits.dtype))
mistake(HALF, partial(score, total=HALVES), held_out=True)
mistake(DEFAULT, lambda x, ids, mask, named="mean": score(x, ids, mask, named), held_out=True)
mistake(UNKNOWN, partial(score, known=("sum", "mean", "average", "Sum", "")), held_out=True)

RULE = "A sentence's score is the sum over its tokens after BOS. Its mask says which they are."


def draw(lengths, vocabulary, reduction, note="", refused=False, **options):
    options = {"lengths": lengths, "vocabulary": vocabulary, "reduction": reduction} | options
    return Draw("batch", options, note, 3e-6, refused=refused)


SUMS = [draw(lengths, 8, "sum") for lengths in ([4, 4], [6, 6, 6], [9])]
GRAD = draw([5, 5], 6, "sum", "These logits require grad: numpy needs them detached.", grad=True)
ANSWERS.part("sum with BOS", 4, [*SUMS, GRAD], RULE, "One score per sentence.")
FILLINGS = [draw([3, 8, 5], 6, "sum", filling=filling) for filling in ("flat", "steep", "nan")]
ANSWERS.part("padding does not matter", 3, FILLINGS, RULE)
MEANS = [draw([7, 3, 5], 9, "mean"), draw([2, 9], 9, "mean", filling="nan")]
ANSWERS.part("mean per token", 3, MEANS, "The mean is the sum over the number of scored tokens.")
SENTENCES = [
    Draw("all_sentences", {"words": 3, "length": 3, "dtype": dtype}, f"Logits: {dtype}.", 3e-6)
    for dtype in ("float32", "float16", "bfloat16")
]
MORE = [
    draw([2, 6, 3], 5, reduction, "Words that cannot come.", filling="nan", never=never)
    for reduction, never in (("sum", "others"), ("mean", "last"), (None, "others"))
]
ONE = "The probabilities of all sentences of one length sum to 1: look for a missing factor."
ANSWERS.part("all sentences sum to one", 3, [*SENTENCES, *MORE], ONE, held_out=True)
BAD = [draw([4, 3], 5, reduction, UNKNOWN, True) for reduction in ("average", "Sum", "")]
ANSWERS.part("unknown reduction", 2, BAD, UNKNOWN, held_out=True)
