"""03.1, a split without leakage: answers, mistakes and draws (instructors only)."""

import math
import random

import numpy as np

from course_lib.checks.drawing import Draw
from course_lib.checks.inputs.unit03 import ASCENDING, BOTH, MASK, MISSING, OUTSIDE, TWICE
from course_lib.grading.answers import Answers

ANSWERS = Answers("03.1", "a split without leakage")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def enough_places(taken, names, share):
    return len(taken) >= share * len(names)


def in_order(names, order):
    return order


def halves(words, order, share, fold=str.lower, by=in_order, enough=enough_places):
    """The places for training and for the test; ``enough`` says when to stop taking words."""
    names, taken = [fold(word) for word in words], []
    for name in by(names, order):
        if enough(taken, names, share):
            break
        taken += [place for place, word in enumerate(names) if word == name]
    return [place for place in range(len(names)) if place not in taken], sorted(taken)


def checked(words, order, share, **options):
    if not 0 < share < 1:
        raise ValueError("a share between 0 and 1")
    train, test = halves(words, order, share, **options)
    if not train:
        raise ValueError("nothing is left to fit a probe on")
    return train, test


@right
def word_split(words, order, share):
    return checked(words, order, share)


@other
def sizes_before_each_word(words, order, share):
    names = np.array([word.lower() for word in words])
    sizes = [int((names == word).sum()) for word in order]
    before = np.cumsum([0, *sizes[:-1]])
    chosen = [word for word, b in zip(order, before, strict=True) if b < share * len(words)]
    test = np.isin(names, chosen)
    if share <= 0 or share >= 1 or test.all():
        raise ValueError
    return np.flatnonzero(~test), np.flatnonzero(test)


@other
def one_word_after_the_other(words, order, share):
    def take(rest, taken):
        if len(taken) >= share * len(words) or not rest:
            return taken
        return take(rest[1:], taken + [i for i, w in enumerate(words) if w.lower() == rest[0]])

    test = sorted(take(order, []))
    train = [i for i in range(len(words)) if i not in test]
    if not 0.0 < share < 1.0 or not train:
        raise ValueError("share")
    return [train, test]


TAKE = "take them as `order` says."
ROUNDED = "You rounded share * N; the test half needs at least share * N places."
ANSWERS.variants(
    checked,
    {
        "The share is one of the places, not of the word types: a frequent word counts as often "
        "as it occurs.": {
            "enough": lambda taken, names, share: (
                len({names[i] for i in taken}) >= share * len(set(names))
            )
        },
        "You went on although the test half had share * N places already.": {
            "enough": lambda taken, names, share: len(taken) > share * len(names)
        },
        "`share` is the share of the test half, not of the training half.": {
            "enough": lambda taken, names, share: enough_places(taken, names, 1 - share)
        },
        "You took the words from the end of `order`; begin with its first.": {
            "by": lambda names, order: order[::-1]
        },
        f"You took the words in the alphabet; {TAKE}": {"by": lambda names, order: sorted(order)},
        f"You took the words as they stand in the text; {TAKE}": {
            "by": lambda names, order: list(dict.fromkeys(names))
        },
        f"You took the most frequent words first; {TAKE}": {
            "by": lambda names, order: sorted(order, key=lambda word: -names.count(word))
        },
    },
)
for rounding in (round, math.floor):
    ANSWERS.variants(
        checked,
        {
            ROUNDED: {
                "enough": lambda taken, n, share, to=rounding: len(taken) >= to(share * len(n))
            }
        },
    )


@mistake(
    "You stopped one word early. Words are taken until the test half has at least share * N places."
)
def never_too_many(words, order, share):
    names, test = [word.lower() for word in words], []
    for name in order:
        own = [place for place, word in enumerate(names) if word == name]
        if len(test) + len(own) > share * len(words):
            break
        test += own
    return [place for place in range(len(words)) if place not in test], sorted(test)


@mistake(BOTH)
def split_by_place(words, order, share):
    places = random.Random(0).sample(range(len(words)), len(words))
    cut = math.ceil(share * len(words))
    return sorted(places[cut:]), sorted(places[:cut])


@mistake(BOTH)
def one_place_of_a_word_stays(words, order, share):
    train, test = halves(words, order, share)
    return sorted([*train, test[0]]), test[1:]


def finished(finish):
    """The right halves, and then one step more."""
    return lambda words, order, share: finish(words, *checked(words, order, share))


mistake(
    "The halves are exchanged: the pair is (train, test).",
    finished(lambda words, train, test: (test, train)),
)
mistake(ASCENDING, finished(lambda words, train, test: (train[::-1], test[::-1])))
mistake(OUTSIDE, finished(lambda words, *both: [[i + 1 for i in half] for half in both]))
mistake(MASK, finished(lambda words, *both: [np.isin(range(len(words)), half) for half in both]))
mistake(MISSING, finished(lambda words, train, test: (train[1:], test)))
mistake(TWICE, finished(lambda words, train, test: (train + test, test)))
mistake(
    "You returned the words; return their places, from 0 to N - 1.",
    finished(lambda words, *both: [[words[i] for i in half] for half in both]),
)
mistake(
    "Return a pair of lists of places: those for training, then those for testing.",
    finished(lambda words, train, test: np.array(test)),
)

ANSWERS.variants(
    checked,
    {
        "Upper and lower case do not make two words.": {"fold": str},
        "A word may have several capital letters.": {"fold": lambda w: w[0].lower() + w[1:]},
    },
    held_out=True,
)
mistake("A share outside 0 to 1 leaves one half empty: raise ValueError.", halves, held_out=True)


@mistake("Without a single place for training: raise ValueError.", held_out=True)
def nothing_to_fit(words, order, share):
    if not 0 < share < 1:
        raise ValueError
    return halves(words, order, share)


def draws(*settings, observe="halves", **more):
    names = ("types", "size", "share")
    return [
        Draw("text", dict(zip(names, setting, strict=True)) | more, observe=observe)
        for setting in settings
    ]


def fixed(words, order, share, note="", **more):
    return Draw("given", {"arguments": [words, order, share]}, note, **more)


RULE = (
    "The test half has the places of the first words of `order`, until there are at least "
    "share * N of them."
)
some = draws((5, 12, 0.3), (8, 30, 0.4), (6, 15, 0.45), (9, 33, 0.7))
ANSWERS.part("no word in both halves", 4, some, RULE)
frequent = draws((7, 20, 0.25), (9, 40, 0.5), (12, 50, 0.2), (6, 21, 0.35), frequent=True)
words = ["a", "b", "a", "c", "b", "d", "a", "d"]  # b and c have 3 places, with d 5
exact = [
    fixed(words, order, share, "Here share * N is a whole number.", observe="halves")
    for order, share in ((["d", "c", "b", "a"], 0.375), (["b", "d", "a", "c"], 0.5))
]
single = draws((7, 7, 0.35))  # 7 * 0.35 = 2.45: two places are too few
ANSWERS.part("a share of the places", 3, [*frequent, *exact, *single], RULE)
NOTE = "'The', 'THE' and 'the' are one word, and `order` has words that the text has not."
capitals = [
    Draw("text", draw.options, NOTE)
    for draw in draws((4, 14, 0.4), (7, 30, 0.3), (9, 60, 0.5), capitals=True, unheard=["a", "of"])
]
ANSWERS.part("capital letters", 2, capitals, RULE, held_out=True)
SHARE = "With such a share one half would be empty: raise ValueError."
EVERY = "Here every word is needed for the test half and none is left: raise ValueError."
bad = [fixed(["a", "b", "a"], ["b", "a"], s, SHARE, refused=True) for s in (0.0, 1.0, -0.2, 1.5)]
bad += [
    fixed(text, among, share, EVERY, refused=True)
    for text, among, share in ((["a"] * 4, ["a"], 0.25), (["a", "b", "b"], ["a", "b"], 0.5))
]
ANSWERS.part("halves that cannot be", 1, bad, RULE, held_out=True)
