"""03.1, a split without leakage: answers, mistakes and draws (instructors only)."""

import numpy as np

from course_lib.checks.drawing import draws
from course_lib.checks.inputs.unit03 import ASCENDING, BOTH, MASK, MISSING, OUTSIDE, TWICE
from course_lib.grading.answers import Answers

ANSWERS = Answers("03.1", "a split without leakage")


@ANSWERS.right
def word_split(
    words, order, share, fold=str.lower, by=lambda names, order, share: order,
    stop=lambda taken, names, share: len(taken) >= share * len(names),
    finish=lambda words, *halves: halves,
):  # fmt: skip
    """The places for training and for the test; ``stop`` says when no more words are taken."""
    names, taken = [fold(word) for word in words], []
    for name in by(names, order, share):
        if stop(taken, names, share):
            break
        taken += [place for place, word in enumerate(names) if word == name]
    train = [place for place in range(len(names)) if place not in taken]
    if share <= 0 or not train:  # so it is with a share of 1 or more
        raise ValueError("one half has no place")
    return finish(words, train, sorted(taken))


@ANSWERS.other
def sizes_before_each_word(words, order, share):
    names = np.array([word.lower() for word in words])
    before = np.cumsum([0, *[(names == word).sum() for word in order[:-1]]])
    test = np.isin(names, np.array(order)[before < share * len(words)])
    if share <= 0 or share >= 1 or test.all():
        raise ValueError
    return np.flatnonzero(~test), np.flatnonzero(test)


TAKE = "take them as `order` says."
ANSWERS.variants(word_split, by={
        "You took the words from the end of `order`.": lambda n, order, share: order[::-1],
        f"You took the words in the alphabet; {TAKE}": lambda n, order, share: sorted(order),
        f"You took the words as they stand in the text; {TAKE}": lambda n, *_: dict.fromkeys(n),
        "You took the most frequent words first.": lambda n, o, s: sorted(o, key=n.count)[::-1],
        "You stopped one word early: take at least share * N places.": lambda n, o, s: [
            o[i] for i in range(len(o)) if sum(map(n.count, o[: i + 1])) <= s * len(n)
        ]},
    stop={
        "The share is one of the places, not of the word types.":
            lambda t, n, s: len({n[place] for place in t}) >= s * len({*n}),
        "You went on although the test half had enough.": lambda t, n, s: len(t) > s * len(n),
        "`share` is the test half's, not of the training half.":
            lambda t, n, s: len(t) >= (1 - s) * len(n),
        "You rounded share * N to a whole number.": lambda t, n, s: len(t) >= round(s * len(n)),
        "You rounded share * N down to a whole number.": lambda t, n, s: len(t) >= s * len(n) // 1},
    finish={
        "The halves are exchanged: (train, test).": lambda w, train, test: (test, train),
        ASCENDING: lambda w, train, test: (train[::-1], test[::-1]),
        OUTSIDE: lambda w, *halves: [[place + 1 for place in half] for half in halves],
        MASK: lambda w, *halves: [np.isin(range(len(w)), half) for half in halves],
        MISSING: lambda w, train, test: (train[1:], test),
        TWICE: lambda w, train, test: (train + test, test),
        BOTH: lambda w, train, test: (sorted([*train, test[0]]), test[1:]),
        "Return places, not words.": lambda w, *halves: [[w[i] for i in half] for half in halves],
        "Return a pair: places for training, then the test.": lambda w, train, test: test,
})  # fmt: skip
ANSWERS.variants(word_split, held_out=True, fold={
        "Upper and lower case do not make two words.": str,
        "A word may have several capital letters.": lambda word: word[0].lower() + word[1:],
})  # fmt: skip
RULE = "The test half has the places of the first words of `order`, until they are share * N."
some = draws("text", (5, 12, 0.3), (8, 30, 0.4), (6, 15, 0.45), (9, 33, 0.7), observe="halves")
ANSWERS.part("no word in both halves", 4, some, RULE)
some = ((9, 40, 0.5), (12, 50, 0.2), (7, 7, 0.35), (21, 21, 0.3), (25, 25, 0.3))
some = draws("text", *some, observe="halves")
whole = (("abacbdad", "dcba", 0.375), ("abacbdad", "bdac", 0.5))  # b and c have 3 places, with d 5
some += draws("given", *whole, note="Here share * N is a whole number.", observe="halves")
ANSWERS.part("a share of the places", 3, some, RULE)
NOTE = "'The', 'THE' and 'the' are one word, and `order` has words that the text has not."
some = [{"of": of, "capitals": True} for of in ((4, 14, 0.4), (7, 30, 0.3), (9, 60, 0.5))]
some = draws("text", *(one | {"unheard": ["a", "of"]} for one in some), note=NOTE)
ANSWERS.part("capital letters", 2, some, RULE, held_out=True)
NOTE = "One half would be empty, or none is left to fit a probe on: raise ValueError."
bad = [("aba", "ba", share) for share in (0.0, 1.0, -0.2, 1.5)]
bad = draws("given", *bad, ("aaaa", "a", 0.25), ("abb", "ab", 0.5), note=NOTE, refused=True)
ANSWERS.part("halves that cannot be", 1, bad, RULE, held_out=True)
