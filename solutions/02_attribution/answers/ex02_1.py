"""02.1, the contrastive metric: answers, mistakes and draws (instructors only)."""

from functools import partial
from itertools import permutations

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("02.1", "the contrastive metric")
right, other, mistake = ANSWERS.right, ANSWERS.other, ANSWERS.mistake
SCALES = {"prob": torch.softmax, "logprob": torch.log_softmax, "logit": lambda row, _: row}


def metric(logits, target, foil=None, output="logprob", **change):
    if output not in SCALES or target == foil:
        raise ValueError("an unknown scale, or a word against itself")
    scale = change.get("scales", SCALES)[output]
    table = scale(change.get("cast", torch.Tensor.double)(logits), change.get("axis", 1))
    row = change.get("pick", lambda table: table[-1])(table)
    contrast = change.get("contrast", lambda mine, its: mine - its)
    return row[target] if foil is None else contrast(row[target], row[foil])


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


LAST = "Row t predicts the token after position t: the last row answers the question."
CHANGES = {
    "contrast": {
        "The sign is turned round: the metric is target minus foil.": lambda a, b: b - a,
        "You returned an absolute value: the sign says which word wins.": lambda a, b: abs(a - b),
        "The foil makes no difference to your answer: subtract its score.": lambda a, b: a,
        "You returned the foil's score alone.": lambda a, b: b,
        "You added the two scores; a contrast is a difference.": lambda a, b: a + b,
        "You returned the ratio of the two; return the difference.": lambda a, b: a / b,
    },
    "pick": {
        f"You read the first position. {LAST}": lambda table: table[0],
        f"You read the position before the last. {LAST}": lambda table: table[-2:][0],
        f"You averaged over the positions. {LAST}": lambda table: table.mean(0),
        f"You added up the positions. {LAST}": lambda table: table.sum(0),
    },
    "axis": {"You normalised over the positions (axis 0): each row is one distribution.": 0},
}
for option, table in CHANGES.items():
    ANSWERS.variants(metric, {text: {option: change} for text, change in table.items()})
for asked, got in permutations(SCALES, 2):
    text = f"For output={asked!r} you returned the {got}; check the branches of your function."
    mistake(text, partial(metric, scales=SCALES | {asked: SCALES[got]}))
for name, scale in SCALES.items():
    text = f"You returned the {name} whatever the output; it names the scale."
    mistake(text, partial(metric, scales=dict.fromkeys(SCALES, scale)))
mistake("The sign is turned round: more support is a higher metric.", lambda *x: -metric(*x))


@mistake("You used the logarithm to base 2. Use the natural one: nats.")
def in_bits(logits, target, foil=None, output="logprob"):
    return metric(logits, target, foil, output) / (np.log(2) if output == "logprob" else 1)


@mistake("You compared the two words only with each other (a softmax over two).")
def only_two_words(logits, target, foil=None, output="logprob"):
    alone = metric(logits, target, foil, output)
    return alone if foil is None else metric(logits[:, [target, foil]], 0, 1, output)


@mistake("You subtracted first and took the logarithm afterwards: take each logarithm first.")
def log_of_difference(logits, target, foil=None, output="logprob"):
    wrong = foil is not None and output == "logprob"
    found = metric(logits, target, foil, "prob" if wrong else output)
    return found.abs().log() if wrong else found


CASTS = (torch.clone, torch.Tensor.float, lambda logits: logits.float().double())
mistake("The metric is off where logits are large or far apart: convert to float64 first.",
        *(partial(metric, cast=cast) for cast in CASTS), held_out=True)  # fmt: skip
LOGS = SCALES | {"logprob": lambda row, axis: torch.softmax(row, axis).log()}
mistake("You took the logarithm of a probability that is 0: use log_softmax.",
        partial(metric, scales=LOGS), held_out=True)  # fmt: skip
mistake("Token id 0 is a word like any other: only foil=None means that there is no foil.",
        lambda logits, target, foil=None, *output: metric(logits, target, foil or None, *output),
        held_out=True)  # fmt: skip
mistake("Without `output` the metric is in log-probabilities.",
        lambda logits, target, foil=None, output="prob": metric(logits, target, foil, output),
        lambda logits, target, foil=None, output="logit": metric(logits, target, foil, output),
        held_out=True)  # fmt: skip


def draws(*sizes, note="", scales=tuple(SCALES), refused=False, **options):
    """Each size (positions, words) on each scale."""
    sized = [{"tokens": size[0], "vocabulary": size[1]} | options for size in sizes]
    given = [one | {"output": scale} for one in sized for scale in scales]
    return [Draw("readings", one, note, refused=refused) for one in given]


RULE = "The rule: the target's entry of the last row on the asked scale, minus that of a foil."
ALONE = draws((4, 6), (1, 5), (7, 20), foil=False)
ANSWERS.part("one word on three scales", 3, ALONE, RULE)
CONTRAST = draws((5, 8), (3, 4), favoured=True) + draws((2, 30), favoured=False)
ANSWERS.part("target against foil", 4, CONTRAST, RULE)
HARD = draws((3, 9), words=[3, 0], favoured=True) + draws((3, 9), words=[0, 4], favoured=False)
HARD += draws((3, 9), (4, 5), scales=[None], words=[0, 3])
HARD += draws((3, 9), scales=[None], foil=False, note="Only the target is given.")
for kind, far in (("float64", 900.0), ("float16", 400.0), ("bfloat16", 400.0)):
    HARD += draws((3, 9), note=f"Logits far apart, in {kind}.", far=far, dtype=kind)
HARD += draws((3, 9), note="Large logits.", shift=4e3, near=1e-3, dtype="float64")
HARD += draws((3, 9), note="A word that cannot come: -inf.", minus_inf=True, foil=False)
HARD += draws((3, 9), note="Logits that require grad.", grad=True)
ANSWERS.part("word 0, defaults, precision", 2, HARD, RULE, held_out=True)
UNKNOWN = "An unknown output must raise ValueError, or a typing mistake goes unseen."
SAME = "Target and foil are the same word, so the contrast is always 0: raise ValueError."
BAD = draws((3, 9), note=UNKNOWN, scales=["probability", ""], refused=True)
BAD += draws((3, 9), note=SAME, words=[0, 0], refused=True)
ANSWERS.part("no question", 1, BAD, "Target and foil differ; three scales.", held_out=True)
