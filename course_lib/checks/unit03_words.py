"""Checks of 03.1: a split by words (see unit03.py)."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from course_lib.checks.calling import compare
from course_lib.checks.results import Wrong


def explained(cases, otherwise, tolerance=1e-9):
    """Compare the answers to several inputs; a mistake is named if it explains all of them.

    ``cases`` has (got, right, mistakes) for each input, with the same messages everywhere.
    """
    got, right = (np.concatenate([np.atleast_1d(case[k]) for case in cases]) for k in (0, 1))
    mistakes = {
        message: np.concatenate([np.atleast_1d(case[2][message]) for case in cases])
        for message in cases[0][2]
    }
    compare(got.astype(float), right.astype(float), mistakes, otherwise, tolerance)


# --- 03.1 word_split(words, order, share) -> (train, test) --------------------------------------

PAIR = "Return a pair of lists of places: those for training, then those for testing."


def as_places(answer, size, half):
    """One half as a list of ints, or Wrong."""
    try:
        items = answer.tolist() if hasattr(answer, "tolist") else list(answer)
        if items and all(isinstance(item, (bool, np.bool_)) for item in items):
            raise Wrong("You returned a mask of True and False; return the places themselves.")
        if any(isinstance(item, str) for item in items):
            raise Wrong("You returned the words; return their places, from 0 to N - 1.")
        places = [int(item) for item in items]
    except Wrong:
        raise
    except Exception:
        raise Wrong(f"The {half} half is no list of places. {PAIR}") from None
    if any(not 0 <= place < size for place in places):
        raise Wrong(f"The {half} half has a place outside 0 ... {size - 1}.")
    return places


def as_halves(answer, size):
    """Both halves, each place in exactly one of them."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Wrong(PAIR)
    train, test = (as_places(a, size, h) for a, h in zip(answer, ("first", "second"), strict=True))
    counts = Counter(train + test)
    if any(count > 1 for count in counts.values()):
        raise Wrong("A place stands twice in your answer; each belongs to exactly one half.")
    if len(counts) < size:
        raise Wrong("Some places are in neither half. Each belongs to exactly one of them.")
    return train, test


def drawn_words(words, order, enough):
    """The places of the types that are taken in this order until ``enough(places)`` holds."""
    taken = set()
    for word in order:
        if enough(taken):
            break
        taken |= {i for i, w in enumerate(words) if w == word}
    every = set(range(len(words)))
    return sorted(every - taken), sorted(taken)


def split_mistakes(words, order, share):
    size, first = len(words), list(dict.fromkeys(words))

    def until(count, among=order):
        return drawn_words(words, among, lambda taken: len(taken) >= count)

    types = drawn_words(
        words, order, lambda taken: len({words[i] for i in taken}) >= share * len(first)
    )
    below = max(
        k for k in range(len(order) + 1) if sum(w in order[:k] for w in words) <= share * size
    )
    right = until(share * size)
    return right, {
        "The halves are exchanged: the pair is (train, test).": right[::-1],
        "The share is one of the places, not of the word types: a frequent word counts as often "
        "as it occurs.": types,
        "You stopped one word early. Words are taken until the test half has at least share * N "
        "places.": drawn_words(words, order[:below], lambda taken: False),
        "You rounded share * N; the test half needs at least share * N places.": until(
            round(share * size)
        ),
        "You rounded share * N down; the test half needs at least share * N places.": until(
            math.floor(share * size)
        ),
        "You went on although the test half had share * N places already.": drawn_words(
            words, order, lambda taken: len(taken) > share * size
        ),
        "You took the words from the end of `order`; begin with its first.": until(
            share * size, order[::-1]
        ),
        "You took the words in the alphabet; take them as `order` says, which was shuffled.": until(
            share * size, sorted(order)
        ),
        "You took the words as they stand in the text; take them as `order` says.": until(
            share * size, first
        ),
        "You took the most frequent words first; take them as `order` says.": until(
            share * size, sorted(order, key=lambda w: -words.count(w))
        ),
        "`share` is the share of the test half, not of the training half.": until(
            (1 - share) * size
        ),
    }


def split_case(student, words, order, share):
    """Which places are in the test half: what was answered, what is right, what slips give."""
    train, test = as_halves(student(words, order, share), len(words))
    types = [word.lower() for word in words]
    both = {types[i] for i in train} & {types[i] for i in test}
    if both:
        raise Wrong(
            f"{sorted(both)[0]!r} stands in both halves, so a probe can look its label up. Divide "
            "the words, and let all places of a word follow it."
        )
    if train != sorted(train) or test != sorted(test):
        raise Wrong("The places of a half must come in ascending order.")
    right, mistakes = split_mistakes(types, order, share)

    def member(halves):
        return np.isin(np.arange(len(words)), halves[1])

    return member((train, test)), member(right), {m: member(v) for m, v in mistakes.items()}


SPLIT = (
    "Wrong halves: the test half has the places of the first words of `order`, until there are at "
    "least share * N of them."
)


def draw_words(rng, types, size, frequent=False):
    """A text over so many types, each at least once, and the types in a random order."""
    names = [f"w{k}" for k in rng.permutation(90)[:types]]
    rates = 1.0 / np.arange(1, types + 1) ** (1.5 if frequent else 0.0)
    rest = rng.choice(types, size=size - types, p=rates / rates.sum())
    words = [names[k] for k in rng.permutation(np.concatenate([np.arange(types), rest]))]
    return words, [names[k] for k in rng.permutation(types)]


def split_words(student, rng):
    cases = []
    for types, size, share in ((5, 12, 0.3), (8, 30, 0.4), (6, 15, 0.45)):
        for _ in range(3):
            cases.append(split_case(student, *draw_words(rng, types, size), share))
    explained(cases, SPLIT)


def split_share(student, rng):
    cases = []
    for types, size, share in ((7, 20, 0.25), (9, 40, 0.5), (12, 50, 0.2)):
        for _ in range(3):
            words, order = draw_words(rng, types, size, frequent=True)
            kept = drawn_words(words, order, lambda t, most=share * size: len(t) > most)[0]
            while not kept:  # training is never empty
                order = [order[k] for k in rng.permutation(types)]
                kept = drawn_words(words, order, lambda t, most=share * size: len(t) > most)[0]
            cases.append(split_case(student, words, order, share))
    words = ["a", "b", "a", "c", "b", "d", "a", "d"]  # b and c have 3 places, with d 5
    for order, share in ((["d", "c", "b", "a"], 0.375), (["b", "d", "a", "c"], 0.5)):
        cases.append(split_case(student, words, order, share))
    single = draw_words(rng, 7, 7)  # 7 * 0.35 = 2.45: two places are too few
    cases.append(split_case(student, *single, 0.35))
    explained(cases, SPLIT)
