"""01.1, the log-probability of each next token: answers, mistakes and draws (instructors only)."""

from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.1", "log-probability of each next token")
ALL, ROWS, NEXT = slice(None), slice(0, -1), slice(1, None)
F32, F64 = torch.float32, torch.float64


def looked_up(
    logits, ids, rows=slice(0, -1), words=slice(1, None), axis=1, scale=torch.log_softmax, kind=F64
):
    """The entries of the table at some words, one from each of some rows."""
    table = scale(logits.to(kind), axis)[rows]
    return table[torch.arange(len(table)), ids[words]]


@ANSWERS.right
def next_token_logprobs(logits, ids):
    return looked_up(logits, ids)


@ANSWERS.other
def one_row_at_a_time(logits, ids):
    found = []
    for row, word in zip(logits.detach().double().numpy(), ids.tolist()[1:], strict=False):
        found.append(row[word] - row.max() - np.log(np.exp(row - row.max()).sum()))
    return found


@ANSWERS.other
def cross_entropy(logits, ids):
    return -torch.nn.functional.cross_entropy(logits[:-1].float(), ids[1:], reduction="none")


def then(change, **options):
    return lambda logits, ids: change(looked_up(logits, ids, **options))


SHIFT = "Shift by one: the logits at t are the prediction for the token at t + 1."
NOT_THERE = "The logits after the last token predict a token that is not there."
BACK = "You shifted the wrong way: row t predicts the token at t + 1, not at t - 1."
ANSWERS.variants(
    looked_up,
    {
        f"You scored position t with the logits at t. {SHIFT}": {"rows": NEXT},
        f"T tokens have T - 1 predictions. {NOT_THERE}": {"rows": ALL, "words": ALL},
        "In the row before it look up the next token, ids[1:].": {"words": ROWS},
        BACK: {"rows": NEXT, "words": ROWS},
        "These are raw logits; normalise over the vocabulary.": {"scale": lambda x, _: x},
        "You normalised over the positions; take the last axis, the vocabulary.": {"axis": 0},
        "You returned probabilities; take the logarithm.": {"scale": torch.softmax},
    },
)
SIGN = "The sign is turned round: log-probabilities are never positive."
STABLE = "A probability of 0 has no logarithm. Take log_softmax in one step, not log of softmax."
HALF = "Half precision is too coarse: convert to float32 before the softmax."
mistake = ANSWERS.mistake
mistake(SIGN, then(torch.neg))
mistake(STABLE, *(then(torch.log, scale=torch.softmax, kind=kind) for kind in (F32, F64)))
mistake("You used base 2 (bits). Use the natural logarithm: nats.", then(lambda x: x / np.log(2)))
mistake(
    "You added the tokens up; we need one number per token.",
    then(torch.sum),
    then(lambda x: x.sum().expand(len(x))),
)
mistake(
    "Your score of a token does not depend on which token stands there.",
    lambda logits, ids: torch.full((len(ids) - 1,), -np.log(logits.shape[1])),
)
mistake(HALF, lambda logits, ids: looked_up(logits, ids, kind=logits.dtype), held_out=True)
mistake(HALF, lambda logits, ids: looked_up(logits, ids).to(logits.dtype), held_out=True)
ANSWERS.witness("log-probability of the next token")(then(partial(torch.round, decimals=4)))

draw = partial(Draw, "sentence", tolerance=3e-6)
RULE = "Entry t is the log-probability of the next token, ids[t + 1], in row t of the logits."
HINT = f"T tokens have T - 1 predictions. {SHIFT}"


def size(tokens, vocabulary, **special):
    return {"tokens": tokens, "vocabulary": vocabulary} | special


VALUES = [draw(size(*both)) for both in ((5, 7), (9, 4), (6, 6), (12, 30))]
GRAD = draw(size(4, 5, grad=True), "These logits require grad: numpy needs them detached.")
ANSWERS.part("values we chose", 5, [*VALUES, GRAD], RULE, HINT)
ONE = "Over all words that could stand at one position, exp of the scores sums to 1."
WORDS = [draw(size(*both), observe="every_word") for both in ((4, 6), (7, 11))]
ANSWERS.part("all next words sum to one", 3, WORDS, ONE, HINT)
FAR = [
    draw(size(6, 5, apart=apart, behind=behind), scale=apart, tolerance=1e-6)
    for apart in (200.0, 3000.0)
    for behind in (False, True)
]
ANSWERS.part("very large logits", 2, FAR, f"Stay in logs. {RULE}", HINT)
ENDS = [draw(size(n, 8, last=30.0), "The last row is of another size.") for n in (2, 5, 10)]
NEVER = [draw(size(5, 8, never=which), "Words that cannot come.") for which in ("last", "others")]
LAYOUT = draw(size(7, 9, turned=True), "The logits are not contiguous.")
ANSWERS.part("the last row is free", 3, [*ENDS, *NEVER, LAYOUT], RULE, HINT, held_out=True)
TYPES = [
    draw(size(9, 200, sharpness=4.0, dtype=dtype, grad=grad), f"The logits are {dtype}.")
    for dtype, grad in (("float64", False), ("float16", False), ("bfloat16", True))
]
ANSWERS.part("other precisions", 2, TYPES, RULE, HINT, held_out=True)
