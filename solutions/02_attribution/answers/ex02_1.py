"""02.1, the contrastive metric: answers, mistakes and draws (instructors only)."""

from itertools import permutations

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("02.1", "the contrastive metric")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness
SCALES = {"prob": torch.softmax, "logprob": torch.log_softmax, "logit": lambda row, _: row}


def minus(mine, its):
    return mine - its


def metric(logits, target, foil=None, output="logprob", **change):
    if output not in SCALES or target == foil:
        raise ValueError("an unknown scale, or a word against itself")
    scale = change.get("scales", SCALES)[output]
    table = scale(change.get("cast", torch.Tensor.double)(logits), change.get("axis", 1))
    row = change.get("pick", lambda table: table[-1])(table)
    return row[target] if foil is None else change.get("contrast", minus)(row[target], row[foil])


@right
def contrastive_metric(logits, target, foil=None, output="logprob"):
    return metric(logits, target, foil, output)


@other
def with_numpy(logits, target, foil=None, output="logprob"):
    if output not in ("prob", "logprob", "logit") or foil == target:
        raise ValueError(output)
    row = logits[-1].detach().double().numpy()
    logs = row - row.max() - np.log(np.exp(row - row.max()).sum())
    found = {"logit": row, "logprob": logs, "prob": np.exp(logs)}[output]
    return found[target] if foil is None else found[target] - found[foil]


@other
def by_the_partition_sum(logits, target, foil=None, output="logprob"):
    if output not in SCALES or (foil is not None and foil == target):
        raise ValueError("no such question")
    words = logits[-1].double()[[target] if foil is None else [target, foil]]
    logs = words if output == "logit" else words - torch.logsumexp(logits[-1].double(), 0)
    found = (logs.exp() if output == "prob" else logs).tolist()
    return found[0] - sum(found[1:])


LAST = "Row t predicts the token after position t: the last row answers the question."
BITS = {"logprob": lambda row, axis: torch.log_softmax(row, axis) / np.log(2)}
ANSWERS.variants(
    metric,
    {
        "The sign is turned round: the metric is target minus foil.": {
            "contrast": lambda a, b: b - a
        },
        "You returned an absolute value: the sign says which word the model prefers.": {
            "contrast": lambda a, b: abs(a - b)
        },
        "The foil makes no difference: subtract its score.": {"contrast": lambda a, b: a},
        "You returned the foil's score alone.": {"contrast": lambda a, b: b},
        "You added the two scores; a contrast is a difference.": {"contrast": lambda a, b: a + b},
        "You returned the ratio of the two; return the difference.": {
            "contrast": lambda a, b: a / b
        },
        f"You read the first position. {LAST}": {"pick": lambda table: table[0]},
        f"You read the position before the last. {LAST}": {"pick": lambda table: table[-2:][0]},
        f"You averaged over the positions. {LAST}": {"pick": lambda table: table.mean(0)},
        f"You added up the positions. {LAST}": {"pick": lambda table: table.sum(0)},
        "You normalised over the positions (axis 0). Each row is one distribution over the "
        "vocabulary: use the last axis.": {"axis": 0},
        "You used the logarithm to base 2. Use the natural one: nats.": {"scales": SCALES | BITS},
    },
)
for asked, got in permutations(SCALES, 2):
    text = f"For output={asked!r} you returned the {got}; check the branches of your function."
    ANSWERS.variants(metric, {text: {"scales": SCALES | {asked: SCALES[got]}}})
for name, scale in SCALES.items():
    text = f"You returned the {name} whatever the output; `output` names the scale."
    ANSWERS.variants(metric, {text: {"scales": dict.fromkeys(SCALES, scale)}})
mistake("The sign is turned round: more support is a higher metric.", lambda *x: -metric(*x))


@mistake(
    "You compared the two words only with each other (a softmax over two). Normalise over the "
    "whole vocabulary, then subtract."
)
def only_two_words(logits, target, foil=None, output="logprob"):
    both = (logits, target, None) if foil is None else (logits[:, [target, foil]], 0, 1)
    return metric(*both, output)


@mistake("You subtracted first and took the logarithm afterwards: take each logarithm first.")
def log_of_difference(logits, target, foil=None, output="logprob"):
    wrong = foil is not None and output == "logprob"
    found = metric(logits, target, foil, "prob" if wrong else output)
    return found.abs().log() if wrong else found


TYPE = "The metric is off where logits are large or lie far apart: convert to float64 first."
for cast in (torch.clone, torch.Tensor.float):
    ANSWERS.variants(metric, {TYPE: {"cast": cast}}, held_out=True)
UNDERFLOW = "You took the logarithm of a probability that is 0: use log_softmax."
LOGS = {"logprob": lambda row, axis: torch.softmax(row, axis).log()}
ANSWERS.variants(metric, {UNDERFLOW: {"scales": SCALES | LOGS}}, held_out=True)
mistake(
    "Token id 0 is a word: only foil=None means that there is no foil (`if foil:` is false for 0).",
    lambda logits, target, foil=None, *output: metric(logits, target, foil or None, *output),
    held_out=True,
)
mistake(
    "Without `output` the metric is in log-probabilities.",
    lambda logits, target, foil=None, output="prob": metric(logits, target, foil, output),
    lambda logits, target, foil=None, output="logit": metric(logits, target, foil, output),
    held_out=True,
)


@witness("The rule")
def one_word_more(logits, *question):
    return metric(torch.cat([logits, torch.zeros(len(logits), 1)], 1), *question)


def draws(*sizes, note="", tolerance=1e-5, **options):
    """Each size (positions, words) on each of the three scales."""
    return [
        Draw("readings", dict(tokens=t, vocabulary=v, output=scale, **options), note, tolerance)
        for t, v in sizes
        for scale in SCALES
    ]


RULE = (
    "The rule: bring the last row to the asked scale over the whole vocabulary; then the entry of "
    "the target, minus that of the foil if there is one."
)
ALONE = draws((4, 6), (1, 5), (7, 20), foil=False)
ANSWERS.part("one word on three scales", 3, ALONE, RULE)
CONTRAST = draws((5, 8), (3, 4), favoured=True) + draws((2, 30), favoured=False)
ANSWERS.part("target against foil", 4, CONTRAST, RULE)
SIZE = {"tokens": 3, "vocabulary": 9}
DEFAULT = [Draw("readings", SIZE | {"foil": foil, "words": [0, 3]}) for foil in (True, False)]
EXACT = [
    draw
    for note, options in [
        ("Logits far apart.", {"far": 900.0, "dtype": "float64"}),
        ("Logits far apart, in float16.", {"far": 400.0, "dtype": "float16"}),
        ("Logits far apart, in bfloat16.", {"far": 400.0, "dtype": "bfloat16"}),
        ("Large logits.", {"shift": 4e3, "near": 1e-3, "dtype": "float64"}),
        ("A word that cannot come has the logit -inf.", {"minus_inf": True, "foil": False}),
        ("Logits that require grad.", {"grad": True}),
    ]
    for draw in draws((3, 9), note=note, tolerance=1e-6, **options)
]
ZERO = draws((3, 9), words=[3, 0], favoured=True) + draws((3, 9), words=[0, 4], favoured=False)
ANSWERS.part("word 0, defaults, precision", 2, [*ZERO, *DEFAULT, *EXACT], RULE, held_out=True)
UNKNOWN = "An unknown output must raise ValueError, or a typing mistake goes unseen."
SAME = "Target and foil are the same word, so the contrast is always 0: raise ValueError."
BAD = [
    Draw("readings", SIZE | options, note, refused=True)
    for note, options in [
        (UNKNOWN, {"output": "probability"}),
        (UNKNOWN, {"output": "", "foil": False}),
        (SAME, {"output": "logit", "words": [0, 0]}),
        (SAME, {"output": "prob", "words": [2, 2]}),
    ]
]
ANSWERS.part("no question", 1, BAD, "Target and foil differ; three scales.", held_out=True)
