"""03.2, what a probe has to beat: answers, mistakes and draws (instructors only)."""

from collections import Counter, defaultdict

import numpy as np

from course_lib.checks.drawing import draws
from course_lib.grading.answers import Answers

ANSWERS = Answers("03.2", "what a probe has to beat")


def commonest(labels):
    """The most frequent label; of several the smallest."""
    counts = Counter(labels)
    return max(sorted(counts), key=counts.get)


def lists_of(words, labels):
    own = defaultdict(list)
    for word, label in zip(words, labels, strict=True):
        own[word].append(label)
    return own


@ANSWERS.right
def baselines(
    a, b, words, labels, top=lambda a, b, c, d: commonest(b), table=lambda a, b, c, d: (a, b),
    pick=commonest, unknown=None, rate=lambda hits, words: sum(hits) / len(words),
):  # fmt: skip
    """Both baselines; ``a`` and ``b`` are words and labels of the training half.

    An empty training half and lists of different length raise ValueError on the way.
    """
    if not words:
        raise ValueError("no place to measure on")
    most, own = top(a, b, words, labels), lists_of(*table(a, b, words, labels))
    lookup = {word: pick(found) for word, found in own.items()}
    guesses = [lookup.get(word, most if unknown is None else unknown) for word in words]
    hits = [guess == label for guess, label in zip(guesses, labels, strict=True)]
    return {"majority": rate([most == y for y in labels], words), "word": rate(hits, words)}


@ANSWERS.other
def with_numpy(train_words, train_labels, test_words, test_labels):
    names, y, test = np.array(train_words), np.array(train_labels), np.array(test_labels)
    if not len(y) * len(test) or len(names) != len(y) or len(test_words) != len(test):
        raise ValueError

    def mode(values):
        kinds, counts = np.unique(values, return_counts=True)
        return kinds[counts.argmax()]

    guess = [mode(y[names == w]) if w in train_words else mode(y) for w in test_words]
    return {"word": np.mean(np.array(guess) == test), "majority": np.mean(mode(y) == test)}


def known(a, words, labels):
    """The test places of words that training has, if any."""
    return zip(*(pair for pair in zip(words, labels, strict=True) if pair[0] in a), strict=True)


KNOW = "the baseline may know the training labels only."
MAJORITY = "for them the baseline says the majority class."
WON = "label of a word won; take its most frequent one."
ANSWERS.variants(baselines, rate={
        "This is the share of errors; count hits.": lambda hits, w: 1 - sum(hits) / len(w),
        "You counted the hits; return their share.": lambda hits, words: sum(hits),
        "You averaged over words; take all places.":
            lambda hits, words: np.mean([*map(np.mean, lists_of(words, hits).values())])},
    pick={
        f"The last {WON}": lambda found: found[-1],
        f"The first {WON}": lambda found: found[0],
        f"The largest {WON}": max,
        "Of two equally frequent labels of a word take the smaller one.":
            lambda found: max(found, key=lambda label: (found.count(label), label))},
    top={
        f"You took the majority class of the test half; {KNOW}": lambda a, b, c, d: commonest(d),
        f"You took that of both halves together; {KNOW}": lambda a, b, c, d: commonest(b + d),
        "You used the label of the largest number, not the commonest.": lambda a, b, c, d: max(b)},
    table={
        "You looked the words up in the test half; use training.": lambda a, b, c, d: (c, d),
        "You looked the words up in both halves; use training.": lambda a, b, c, d: (a + c, b + d)},
    unknown={
        f"Words that training did not have count as errors; {MAJORITY}": "",
        f"Words that training did not have get label 0; {MAJORITY}": 0,
})  # fmt: skip
MISTAKES = {
    "You measured on the training half.": lambda a, b, *_: baselines(a, b, a, b),
    "This is chance, 1 / K.": lambda *x: baselines(*x) | {"majority": 1 / len({*x[1], *x[3]})},
    "You divided by the size of the training half.":
        lambda a, *rest: baselines(a, *rest, rate=lambda hits, words: sum(hits) / len(a)),
    "The word makes no difference in your answer.":
        lambda *x: dict.fromkeys(("majority", "word"), baselines(*x)["majority"]),
    "The two baselines are exchanged.":
        lambda *x: dict(zip(("word", "majority"), baselines(*x).values(), strict=True)),
    f"You left out words that training did not have; {MAJORITY}":
        lambda a, b, *c: baselines(a, b, *c) | {"word": baselines(a, b, *known(a, *c))["word"]},
}  # fmt: skip
HELD_OUT = {
    "Of equally frequent labels the smallest is the majority class, wherever it stands.":
        lambda *x: baselines(*x, top=lambda a, b, *_: Counter(b).most_common(1)[0][0]),
    "'a' and 'A' are two words here.":
        lambda a, b, c, d: baselines([*map(str.lower, a)], b, [*map(str.lower, c)], d),
    "A negative number is a class like any other.":
        lambda a, b, c, d: baselines(a, [*map(abs, b)], c, [*map(abs, d)]),
}  # fmt: skip
ANSWERS.mistakes_of(MISTAKES)
ANSWERS.mistakes_of(HELD_OUT, held_out=True)
RULE = "The majority baseline always says the most frequent label of the training half."
some = draws("corpus", (40, 25, 9), (30, 33, 9), (55, 20, 9), (31, 47, 9), observe="majority")
ANSWERS.part("the majority class", 3, some, RULE)
RULE = "For each test word its own most frequent training label, or else the majority class."
some = ((40, 25, 12), (30, 33, 12), (55, 20, 30), (31, 47, 25), (60, 51, 12))
ANSWERS.part("a table of words", 5, draws("corpus", *some, observe="by_word"), RULE)
hard = [
    *draws(
        "given", ("aab", [7, 3, 3], "acbb", [3, 7, 3, 9]), ("abbc", [4, 4, 0, 0], "bdd", [0, 4, 0]),
        ("aabb", [-2, 5, 5, -2], "abc", [-2, -2, 5]), ("x", [9], "yx", [9, 2]),
        ("aab", [12, 11, 10], "axbx", [11, 10, 10, 12]), note="Of equals take the smallest label.",
    ),
    *draws("given", ("Aaa", [1, 0, 0], "AaA", [1, 0, 1]), note="Here 'a' is not 'A'."),
    *draws("given", ("aaab", [-1, -1, 1, 2], "aaa", [1, -1, -1]), note="Here a class is negative."),
    *draws("corpus", {"of": (50, 30, 12), "unknown": True}, note="No test word is known."),
]  # fmt: skip
ANSWERS.part("ties, unknown words, any labels", 3, hard, RULE, held_out=True)
NOTE = "An empty half, or words and labels that differ in number, must raise ValueError."
bad = (("", [], "a", [1]), ("a", [1], "", []), ("ab", [1], "a", [1]), ("a", [1], "ab", [1]))
bad = draws("given", *bad, note=NOTE, refused=True)
ANSWERS.part("nothing to count", 1, bad, NOTE, held_out=True)
