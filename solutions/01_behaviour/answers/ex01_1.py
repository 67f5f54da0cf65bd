"""01.1, the log-probability of each next token: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.1", "log-probability of each next token")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness
ROWS, NEXT = slice(None, -1), slice(1, None)


def looked_up(
    logits,
    ids,
    rows=slice(None, -1),
    words=slice(1, None),
    axis=1,
    scale=torch.log_softmax,
    kind=torch.float64,
):
    """The entries of the table at some words, one from each of some rows."""
    table = scale(logits.to(kind), axis)[rows]
    return table[torch.arange(len(table)), ids[words]]


@right
def next_token_logprobs(logits, ids):
    return looked_up(logits, ids)


@other
def one_row_at_a_time(logits, ids):
    found = []
    for row, word in zip(logits.detach().double().numpy(), ids.tolist()[1:], strict=False):
        row = row - row.max()
        found.append(float(row[word] - np.log(np.exp(row).sum())))
    return found


@other
def cross_entropy(logits, ids):
    return -torch.nn.functional.cross_entropy(logits[:-1].float(), ids[1:], reduction="none")


SHIFT = (
    "You scored position t with the logits at t; shift by one: the logits at t are the prediction "
    "for the token at t + 1."
)
STABLE = "A probability of 0 has no logarithm. Stay in logs: log_softmax, not log of softmax."
ANSWERS.variants(
    looked_up,
    {
        SHIFT: {"rows": NEXT},
        "T tokens have T - 1 predictions: nothing predicts the first one, and the logits after the "
        "last one predict a token that is not there.": {"rows": slice(None), "words": slice(None)},
        "You looked up the current token in its own row; look up the next token, ids[1:], in the "
        "row before it.": {"words": ROWS},
        "You shifted the wrong way: row t predicts the token at t + 1, not at t - 1.": {
            "rows": NEXT,
            "words": ROWS,
        },
        "These are raw logits; normalise over the vocabulary first (log_softmax).": {
            "scale": lambda x, _: x
        },
        "You normalised over the positions (axis 0). Each row is one distribution over the "
        "vocabulary: use the last axis.": {"axis": 0},
        "You returned probabilities; take the logarithm: log-probabilities add, in nats.": {
            "scale": torch.softmax
        },
    },
)
mistake(
    STABLE,
    lambda *given: looked_up(*given, scale=torch.softmax, kind=torch.float32).log(),
    lambda *given: looked_up(*given, scale=torch.softmax).log(),
    lambda *given: (looked_up(*given, scale=torch.softmax) + 1e-12).log(),
)
mistake(
    "The sign is turned round: log-probabilities are never positive (surprisals are minus that).",
    lambda *given: -looked_up(*given),
)
mistake(
    "You used the logarithm to base 2 (bits). Use the natural logarithm: nats.",
    lambda *given: looked_up(*given) / np.log(2),
)
mistake(
    "You added the tokens up; we need one number per token.",
    lambda *given: looked_up(*given).sum(),
    lambda logits, ids: looked_up(logits, ids).sum().expand(len(ids) - 1),
)
mistake(
    "Your score of a token does not depend on which token stands there.",
    lambda logits, ids: torch.full((len(ids) - 1,), -np.log(logits.shape[1])),
)
mistake(
    "Half precision is too coarse: convert to float32 before the softmax.",
    lambda logits, ids: looked_up(logits, ids, kind=logits.dtype),
    lambda logits, ids: looked_up(logits, ids).to(logits.dtype),
    held_out=True,
)


@witness("log-probability of the next token")
def rounded(logits, ids):
    return [round(value, 4) for value in looked_up(logits, ids).tolist()]


@witness("log-probability of the next token")
def normalised_over_everything(logits, ids):
    return torch.log_softmax(logits.double().flatten(), 0).view_as(logits)[ROWS].max(1).values


def draw(tokens, vocabulary, note="", tolerance=3e-6, observe="", scale=0.0, **options):
    options = {"tokens": tokens, "vocabulary": vocabulary} | options
    return Draw("sentence", options, note, tolerance, scale, observe)


RULE = "Entry t is the log-probability of the next token, ids[t + 1], in row t of the logits."
SIZES = [(5, 7), (9, 4), (6, 6), (12, 30)]
HINT = f"T tokens have T - 1 predictions. {SHIFT}"
GRAD = draw(4, 5, "These logits require grad: numpy needs them detached.", grad=True)
ANSWERS.part("values we chose", 5, [*(draw(*size) for size in SIZES), GRAD], RULE, HINT)
ANSWERS.part(
    "all next words sum to one",
    3,
    [draw(*size, observe="every_word") for size in ((4, 6), (7, 11))],
    "Over all words that could stand at one position, exp of the scores sums to 1: check the axis "
    "of the softmax and the base of the logarithm.",
    HINT,
)
BEST, RARE = "The next token has probability 1.", "The next token is very far behind the best one."
FAR = [
    draw(6, 5, RARE if behind else BEST, 1e-6, scale=size, apart=size, behind=behind)
    for size in (200.0, 3000.0)
    for behind in (False, True)
]
ANSWERS.part("very large logits", 2, FAR, f"Stay in logs. {RULE}", HINT)
ENDS = [draw(n, 8, "The last row is of another size.", last=30.0) for n in (2, 5, 10)]
NEVER = [draw(5, 8, "Words that cannot come.", never=which) for which in ("last", "others")]
LAYOUT = draw(7, 9, "The logits are not contiguous.", turned=True)
ANSWERS.part("the last row is free", 3, [*ENDS, *NEVER, LAYOUT], RULE, HINT, held_out=True)
TYPES = [
    draw(9, 200, f"The logits are {dtype}.", sharpness=4.0, dtype=dtype, grad=dtype == "bfloat16")
    for dtype in ("float64", "float16", "bfloat16")
]
ANSWERS.part("other precisions", 2, TYPES, RULE, HINT, held_out=True)
