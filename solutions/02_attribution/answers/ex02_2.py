"""02.2, erasure, one token at a time: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("02.2", "erasure, one token at a time")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def without(tokens, places, baseline):
    """The text with the baseline token at these places, or without them if it is None."""
    filling = [] if baseline is None else [baseline]
    return [t for i, own in enumerate(tokens) for t in (filling if i in places else [own])]


def only(tokens, place):
    return {place}


def losses(score, tokens, baseline=None, places=only):
    texts = [without(tokens, places(tokens, place), baseline) for place in range(len(tokens))]
    return score(tokens) - np.array([score(text) for text in texts])


@right
def erasure(score, tokens, baseline=None):
    return losses(score, tokens, baseline)


@other
def on_copies(score, tokens, baseline=None):
    found = []
    for place in range(len(tokens)):
        text = tokens.copy()
        text[place : place + 1] = [] if baseline is None else [baseline]
        found.append(-(score(text) - score(tokens)))
    return torch.tensor(found, dtype=torch.float64)


KEEPS = "You kept token i and erased all the others: take away one token and keep the rest."
STAY = "Erased tokens stay erased in your loop: each score starts again from the whole text."
PLACES = {
    KEEPS: lambda tokens, i: {*range(len(tokens))} - {i},
    STAY: lambda tokens, i: {*range(i + 1)},
    "You erased every token that equals token i. Erase the one at place i.": (
        lambda tokens, i: {j for j, token in enumerate(tokens) if token == tokens[i]}
    ),
    "You erased the first token that equals token i. Erase by place.": (
        lambda tokens, i: {tokens.index(tokens[i])}
    ),
}
ANSWERS.variants(losses, {text: {"places": change} for text, change in PLACES.items()})
CHANGES = {
    "The sign is turned round: S_E = m(x) - m(x without i).": lambda drops, whole: -drops,
    "You returned m(x without i); subtract it from m(x).": lambda drops, whole: whole - drops,
    "You returned absolute values: the sign says what supports.": lambda drops, _: abs(drops),
    "You divided by m(x). Keep the unit of the metric.": lambda drops, whole: drops / whole,
    "The scores stand in reverse order.": lambda drops, _: drops[::-1],
    "The scores stand one place off.": lambda drops, _: np.roll(drops, 1),
    "You normalised the scores; return the differences.": lambda drops, _: drops / drops.sum(),
    "You normalised the scores; return the differences themselves.": (
        lambda drops, _: drops / abs(drops).sum()
    ),
}
for text, change in CHANGES.items():
    mistake(text, lambda s, t, *b, change=change: change(losses(s, t, *b), s(t)))
mistake(KEEPS, lambda s, t, *b: s(t) - losses(s, t, *b, places=PLACES[KEEPS]))
mistake(STAY, lambda *given: np.diff(losses(*given, places=PLACES[STAY]), prepend=0))
mistake("You deleted the token although a baseline token was given.", lambda *x: losses(*x[:2]))
mistake("With baseline=None leave the token out; do not put token 0 there.",
        lambda score, tokens, baseline=None: losses(score, tokens, baseline or 0))  # fmt: skip
mistake("Baseline token 0 is a token like any other: only None means deletion.",
        lambda score, tokens, baseline=None: losses(score, tokens, baseline or None),
        held_out=True)  # fmt: skip
mistake("Where the metric is large and the scores small, they are off: keep float64.",
        lambda score, *given: losses(lambda text: float(np.float32(score(text))), *given),
        held_out=True)  # fmt: skip
mistake("Without `baseline` tokens are left out of the list.",
        lambda score, tokens, baseline=0: losses(score, tokens, baseline),
        held_out=True)  # fmt: skip


@mistake("A token that already is the baseline token must get exactly 0: do not leave it out.")
def left_out(score, tokens, baseline=None):
    kept, deleted = losses(score, tokens, baseline), losses(score, tokens)
    return np.where(np.array(tokens) == baseline, deleted, kept)


@witness("The rule")
def to_four_decimals(*given):
    return losses(*given).round(4)


def draws(*options, note=""):
    return [Draw("texts", one, note, 1e-6) for one in options]


RULE = "The rule: score i is m(x) minus the metric of the text with only token i replaced or gone."
SHAPE = "One score per token, in the order of the text."
REPLACED = [{"length": 4, "baseline": 33}, {"length": 7, "baseline": 25}]
BLANK = draws({"length": 7, "baseline": 20, "blank": 2}, note="One token already is the baseline.")
ANSWERS.part("replace by a baseline token", 5, draws(*REPLACED) + BLANK, RULE, SHAPE)
ANSWERS.part("delete", 3, draws({"length": 3}, {"length": 6}), RULE, SHAPE)
ZERO = [{"length": 5, "baseline": 0, **blank} for blank in ({}, {"blank": 3})]
HARD = draws(*ZERO, note="The baseline is token 0.") + draws({"length": 5, "default": True})
HARD += draws({"length": 4, "size": 1e-5}, {"length": 4, "size": 1e5, "baseline": 9})
HARD += draws({"length": 4, "size": 1e-2, "middle": 1e4}, note="A large metric.")
ANSWERS.part("token 0 and defaults", 2, HARD, RULE, SHAPE, held_out=True)
SHORT = draws({"length": 1}, {"length": 1, "baseline": 5}, {"length": 2}, note="A short text.")
SHORT += draws({"length": 5, "equal": True}, {"length": 5, "equal": True, "baseline": 8})
SHORT += draws({"length": 3, "zero": True, "baseline": 7}, note="The text is worth 0.")
ANSWERS.part("short and repeated texts", 2, SHORT, RULE, SHAPE, held_out=True)
