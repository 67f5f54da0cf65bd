"""03.2, what a probe has to beat: answers, mistakes and draws (instructors only)."""

from collections import Counter, defaultdict

import numpy as np

from course_lib.checks.drawing import Draw
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


def share(hits, words):
    return sum(hits) / len(words)


def compared(top, table, words, labels, unknown=None, rate=share, pick=commonest):
    """The shares of places at which ``top``, and at which the table has the label."""
    table = {word: pick(found) for word, found in table.items()}
    guesses = [table.get(word, top if unknown is None else unknown) for word in words]
    hits = [guess == label for guess, label in zip(guesses, labels, strict=True)]
    return {"majority": rate([top == y for y in labels], words), "word": rate(hits, words)}


def measured(a, b, words, labels, **options):
    """Both baselines; ``a`` and ``b`` are words and labels of the training half.

    An empty training half and lists of different length raise ValueError on the way.
    """
    if not words:
        raise ValueError("no place to measure on")
    return compared(commonest(b), lists_of(a, b), words, labels, **options)


@ANSWERS.right
def baselines(train_words, train_labels, test_words, test_labels):
    return measured(train_words, train_labels, test_words, test_labels)


@ANSWERS.other
def with_numpy(train_words, train_labels, test_words, test_labels):
    names, y, test = np.array(train_words), np.array(train_labels), np.array(test_labels)
    if 0 in (len(y), len(test)) or len(names) != len(y) or len(test_words) != len(test):
        raise ValueError

    def mode(values):
        kinds, counts = np.unique(values, return_counts=True)
        return kinds[counts.argmax()]

    guess = [mode(y[names == w]) if w in train_words else mode(y) for w in test_words]
    return {"word": np.mean(np.array(guess) == test), "majority": np.mean(mode(y) == test)}


def largest_of_ties(labels):
    return max(labels, key=lambda label: (labels.count(label), label))


def over_words(hits, words):
    return np.mean([np.mean(found) for found in lists_of(words, hits).values()])


WON = "label of a word won; take its most frequent one."
UNKNOWN = "for words that training did not have the baseline says the majority class."
ANSWERS.variants(
    measured,
    {
        "This is the share of errors; return hits.": {"rate": lambda h, w: 1 - share(h, w)},
        "You counted the hits; return their share.": {"rate": lambda hits, words: sum(hits)},
        "You averaged over words; every place of the test half counts once.": {"rate": over_words},
        f"Unknown words count as errors: {UNKNOWN}": {"unknown": "none"},
        f"Unknown words get label 0: {UNKNOWN}": {"unknown": 0},
        f"The last {WON}": {"pick": lambda labels: labels[-1]},
        f"The first {WON}": {"pick": lambda labels: labels[0]},
        f"The largest {WON}": {"pick": max},
        f"The smallest {WON}": {"pick": min},
        "Of equally frequent labels of a word the smallest is taken.": {"pick": largest_of_ties},
    },
)


def known(a, words, labels):
    """The places of words that training has; a place that no label hits if there are none."""
    kept = [pair for pair in zip(words, labels, strict=True) if pair[0] in a]
    return map(list, zip(*(kept or [("", None)]), strict=True))


KNOW = "the baseline may know the training labels only."
MISTAKES = {
    f"You took the majority class of the test half; {KNOW}":
        lambda a, b, c, d: compared(commonest(d), lists_of(a, b), c, d),
    f"You took the majority class of both halves together; {KNOW}":
        lambda a, b, c, d: compared(commonest(b + d), lists_of(a, b), c, d),
    "You used the label of the largest number, not the most frequent one.":
        lambda a, b, c, d: compared(max(b), lists_of(a, b), c, d),
    "You measured on the training half; count the hits among the test labels.":
        lambda a, b, c, d: measured(a, b, a, b),
    "This is chance, 1 / K. The majority class is the better guess.":
        lambda *x: measured(*x) | {"majority": 1 / len({*x[1], *x[3]})},
    "You divided by the size of the training half.":
        lambda a, b, c, d: measured(a, b, c, d, rate=lambda hits, words: sum(hits) / len(b)),
    "The word makes no difference to your answer: this is the majority baseline.":
        lambda *x: dict.fromkeys(("majority", "word"), measured(*x)["majority"]),
    "The two baselines are exchanged.":
        lambda *x: dict(zip(("word", "majority"), measured(*x).values(), strict=True)),
    "You looked the words up in the test half; the table is made of training places.":
        lambda a, b, c, d: compared(commonest(b), lists_of(c, d), c, d),
    "You looked the words up in both halves; the table is made of training places.":
        lambda a, b, c, d: compared(commonest(b), lists_of(a + c, b + d), c, d),
    f"You left out words that training did not have: {UNKNOWN}":
        lambda a, b, c, d: measured(a, b, c, d) | {"word": measured(a, b, *known(a, c, d))["word"]},
}  # fmt: skip
HELD_OUT = {
    "Of equally frequent labels the smallest is the majority class.":
        lambda a, b, c, d: compared(Counter(b).most_common(1)[0][0], lists_of(a, b), c, d),
    "'a' and 'A' are two words here.":
        lambda a, b, c, d: measured([w.lower() for w in a], b, [w.lower() for w in c], d),
    "A negative number is a class like any other.":
        lambda a, b, c, d: measured(a, list(map(abs, b)), c, list(map(abs, d))),
    "Words and labels that differ in number must raise ValueError.":
        lambda a, b, c, d: measured(a[: len(b)], b[: len(a)], c[: len(d)], d[: len(c)]),
}  # fmt: skip
for message, function in (MISTAKES | HELD_OUT).items():
    ANSWERS.mistake(message, function, held_out=message in HELD_OUT)


def draws(*shapes, **more):
    return [Draw("corpus", {"shape": shape}, tolerance=1e-9, **more) for shape in shapes]


def fixed(halves, note, **more):
    return Draw("given", {"arguments": halves}, note, 1e-9, **more)


RULE = "The majority baseline always says the most frequent label of the training half."
sizes = ((40, 25, 9), (30, 33, 9), (55, 20, 9), (31, 47, 9))
ANSWERS.part("the majority class", 3, draws(*sizes, observe="majority"), RULE)
RULE = "For each test word its own most frequent training label, or else the majority class."
sizes = ((40, 25, 12), (30, 33, 12), (55, 20, 30), (31, 47, 25), (60, 51, 12))
ANSWERS.part("a table of words", 5, draws(*sizes, observe="by_word"), RULE)
TIES = "Of equally frequent labels the smallest is taken, wherever it stands and whatever it is."
tied = [
    (["a", "a", "b"], [7, 3, 3], ["a", "c", "b", "b"], [3, 7, 3, 9]),
    (["a", "a", "b", "b"], [-2, 5, 5, -2], ["a", "b", "c"], [-2, -2, 5]),
    (["a", "b", "b", "c"], [4, 4, 0, 0], ["b", "d", "d"], [0, 4, 0]),
    (["a", "a", "b"], [12, 11, 10], ["a", "x", "b", "x"], [11, 10, 10, 12]),
    (["x"], [9], ["y", "x"], [9, 2]),
]
strange = [
    *(fixed(halves, TIES) for halves in tied),
    fixed((["A", "a", "a"], [1, 0, 0], ["A", "a", "A"], [1, 0, 1]), "'a' is not 'A'."),
    fixed((["a", "a", "a", "b"], [-1, -1, 1, 2], ["a", "a"], [1, -1]), "A class is negative."),
    Draw("corpus", {"shape": (50, 30, 12), "unknown": True}, "No test word is known.", 1e-9),
]
ANSWERS.part("ties, unknown words, any labels", 3, strange, RULE, held_out=True)
NOTE = "An empty half, or words and labels that differ in number, must raise ValueError."
bad = [([], [], ["a"], [1]), (["a"], [1], [], []), (["a", "b"], [1], ["a"], [1])]
bad += [(["a"], [1], ["a", "b"], [1]), (["a"], [1, 1], ["a"], [1])]
bad = [fixed(halves, NOTE, refused=True) for halves in bad]
ANSWERS.part("nothing to count", 1, bad, NOTE, held_out=True)
