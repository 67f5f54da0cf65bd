"""03.1, a split without leakage: answers, mistakes and draws (instructors only)."""

import random
from functools import partial
from math import ceil, floor

import numpy as np

from course_lib.checks.inputs.unit03 import ASCENDING, BOTH, MASK, MISSING, OUTSIDE, TWICE
from course_lib.grading.answers import Answers, Draw

ANSWERS = Answers("03.1", "a split without leakage")
mistake = ANSWERS.mistake


def enough_places(taken, names, share):
    return len(taken) >= share * len(names)


def halves(words, order, share, fold=str.lower, by=lambda names, order: order, stop=enough_places):
    """The places for training and for the test; ``stop`` says when no more words are taken."""
    names, taken = [fold(word) for word in words], []
    for name in by(names, order):
        if stop(taken, names, share):
            break
        taken += [place for place, word in enumerate(names) if word == name]
    return [place for place in range(len(names)) if place not in taken], sorted(taken)


def split(words, order, share, **options):
    train, test = halves(words, order, share, **options)
    if share <= 0 or not train:  # so it is with a share of 1 or more
        raise ValueError("one half has no place")
    return train, test


@ANSWERS.right
def word_split(words, order, share):
    return split(words, order, share)


@ANSWERS.other
def sizes_before_each_word(words, order, share):
    names = np.array([word.lower() for word in words])
    before = np.cumsum([0, *[(names == word).sum() for word in order[:-1]]])
    test = np.isin(names, np.array(order)[before < share * len(words)])
    if share <= 0 or share >= 1 or test.all():
        raise ValueError
    return np.flatnonzero(~test), np.flatnonzero(test)


TAKE = "take them as `order` says."
ORDERS = {
    "You took the words from the end of `order`; begin with its first.": lambda n, o: o[::-1],
    f"You took the words in the alphabet; {TAKE}": lambda n, o: sorted(o),
    f"You took the words as they stand in the text; {TAKE}": lambda n, o: list(dict.fromkeys(n)),
    f"You took the most frequent words first; {TAKE}":
        lambda n, o: sorted(o, key=lambda word: -n.count(word)),
}  # fmt: skip
ANSWERS.variants(split, {message: {"by": by} for message, by in ORDERS.items()})
STOPS = {
    "The share is one of the places, not of the word types.":
        lambda t, n, share: len({n[place] for place in t}) >= share * len(set(n)),
    "You went on although the test half had its share.": lambda t, n, share: len(t) > share * len(n),
    "`share` is the share of the test half, not of the training half.":
        lambda t, n, share: len(t) >= (1 - share) * len(n),
}  # fmt: skip
ANSWERS.variants(split, {message: {"stop": stop} for message, stop in STOPS.items()})
for to in (round, floor):
    rounded = partial(lambda to, t, n, share: len(t) >= to(share * len(n)), to)
    message = "You rounded share * N; the test half needs at least share * N places."
    ANSWERS.variants(split, {message: {"stop": rounded}})
FINISHES = {
    "The halves are exchanged: the pair is (train, test).": lambda w, train, test: (test, train),
    ASCENDING: lambda w, train, test: (train[::-1], test[::-1]),
    OUTSIDE: lambda w, *both: [[place + 1 for place in half] for half in both],
    MASK: lambda w, *both: [np.isin(range(len(w)), half) for half in both],
    MISSING: lambda w, train, test: (train[1:], test),
    TWICE: lambda w, train, test: (train + test, test),
    BOTH: lambda w, train, test: (sorted([*train, test[0]]), test[1:]),
    "Return places, not words.": lambda w, *both: [[w[i] for i in half] for half in both],
    "Return a pair: the places for training, those for testing.": lambda w, train, test: test,
}
for message, finish in FINISHES.items():
    mistake(message, lambda w, o, share, finish=finish: finish(w, *split(w, o, share)))


@mistake(BOTH)
def split_by_place(words, order, share):
    places = random.Random(0).sample(range(len(words)), len(words))
    cut = ceil(share * len(words))
    return sorted(places[cut:]), sorted(places[:cut])


@mistake("You stopped one word early. Take words until the test half has at least share * N.")
def never_too_many(words, order, share):
    known = [word.lower() for word in words]
    sizes = np.cumsum([known.count(word) for word in order])
    return halves(words, order[: int((sizes <= share * len(words)).sum())], 1.0)


CASES = {
    "Upper and lower case do not make two words.": {"fold": str},
    "A word may have several capital letters.": {"fold": lambda w: w[0].lower() + w[1:]},
}
ANSWERS.variants(split, CASES, held_out=True)
mistake("A share that leaves one half empty must raise ValueError.", halves, held_out=True)


def draws(*shapes):
    return [Draw("text", {"shape": shape}, observe="halves") for shape in shapes]


def fixed(words, order, share, note, **more):
    return Draw("given", {"arguments": [words, order, share]}, note, **more)


RULE = "The test half has the places of the first words of `order`, until they are share * N."
some = draws((5, 12, 0.3), (8, 30, 0.4), (6, 15, 0.45), (9, 33, 0.7))
ANSWERS.part("no word in both halves", 4, some, RULE)
words = ["a", "b", "a", "c", "b", "d", "a", "d"]  # b and c have 3 places, with d 5
whole = [
    fixed(words, order, share, "Here share * N is a whole number.", observe="halves")
    for order, share in ((["d", "c", "b", "a"], 0.375), (["b", "d", "a", "c"], 0.5))
]
more = draws((9, 40, 0.5), (12, 50, 0.2), (7, 7, 0.35))  # 2.45: two places are too few
ANSWERS.part("a share of the places", 3, [*more, *whole], RULE)
NOTE = "'The', 'THE' and 'the' are one word, and `order` has words that the text has not."
capitals = [
    Draw("text", {"shape": shape, "capitals": True, "unheard": ["a", "of"]}, NOTE)
    for shape in ((4, 14, 0.4), (7, 30, 0.3), (9, 60, 0.5))
]
ANSWERS.part("capital letters", 2, capitals, RULE, held_out=True)
NOTE = "No place would be left in one half: raise ValueError."
bad = [("aba", "ba", share) for share in (0.0, 1.0, -0.2, 1.5)]
bad += [("aaaa", "a", 0.25), ("abb", "ab", 0.5)]
bad = [fixed([*words], [*order], share, NOTE, refused=True) for words, order, share in bad]
ANSWERS.part("halves that cannot be", 1, bad, RULE, held_out=True)
