"""Checks of 03.2: the majority baseline and the word baseline (see unit03.py)."""

from __future__ import annotations

from collections import Counter

import numpy as np

from course_lib.checks.calling import as_table
from course_lib.checks.unit03_words import explained

# --- 03.2 baselines(train_words, train_labels, test_words, test_labels) -> dict -----------------

BASELINES = {"majority", "word"}


def commonest(labels):
    """The most frequent label; of several the smallest."""
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


def table_of(words, labels, pick=commonest):
    """One label for each word."""
    own = {}
    for word, label in zip(words, labels, strict=True):
        own.setdefault(word, []).append(label)
    return {word: pick(found) for word, found in own.items()}


def hits(words, labels, table, unknown):
    return np.array([table.get(w, unknown) == y for w, y in zip(words, labels, strict=True)])


def baseline_values(train_words, train_labels, test_words, test_labels):
    top = commonest(train_labels)
    table = table_of(train_words, train_labels)
    return {
        "majority": float(np.mean([y == top for y in test_labels])),
        "word": float(hits(test_words, test_labels, table, top).mean()),
    }


def majority_mistakes(train_words, train_labels, test_words, test_labels):
    top, counts = commonest(train_labels), Counter(test_labels)
    own = [y == top for y in test_labels]
    every = commonest([*train_labels, *test_labels])
    by_word = {}
    for word, hit in zip(test_words, own, strict=True):
        by_word.setdefault(word, []).append(hit)
    of_types = Counter(table_of(train_words, train_labels).values())
    return np.mean(own), {
        "You took the majority class of the test half. The baseline may know the training labels "
        "only.": max(counts.values()) / len(test_labels),
        "You took the majority class of both halves together; the baseline may know the training "
        "labels only.": counts[every] / len(test_labels),
        "You measured on the training half; count the hits among the test labels.": np.mean(
            [y == top for y in train_labels]
        ),
        "This is chance, 1 / K. The majority class is the better guess.": 1
        / len(set(train_labels) | set(test_labels)),
        "This is the share of errors; return the share of hits.": 1 - np.mean(own),
        "You counted the hits; return their share.": sum(own),
        "You divided by the size of the training half.": sum(own) / len(train_labels),
        "Ties in the training half go to the smallest label.": counts[
            max(train_labels, key=lambda y: (train_labels.count(y), y))
        ]
        / len(test_labels),
        "You averaged over words; every place of the test half counts once.": np.mean(
            [np.mean(found) for found in by_word.values()]
        ),
        "You used the label of the largest number; the majority class is the most frequent "
        "one.": counts[max(train_labels)] / len(test_labels),
        "You counted every word once. The majority class is that of the places.": counts[
            max(of_types, key=of_types.get)
        ]
        / len(test_labels),
    }


def word_mistakes(train_words, train_labels, test_words, test_labels):
    top, table = commonest(train_labels), table_of(train_words, train_labels)
    seen = np.array([w in table for w in test_words])
    right = hits(test_words, test_labels, table, top)

    def by(pick):
        return hits(test_words, test_labels, table_of(train_words, train_labels, pick), top).mean()

    from_test = table_of(test_words, test_labels)
    both = table_of([*train_words, *test_words], [*train_labels, *test_labels])
    per_word = [right[[w == word for w in test_words]].mean() for word in set(test_words)]
    mistakes = {
        "Words that training did not have count as errors; for them the baseline says the majority "
        "class.": (right & seen).mean(),
        "Words that training did not have get label 0; for them the baseline says the majority "
        "class of the training half.": hits(test_words, test_labels, table, 0).mean(),
        "The last label of a word won; take its most frequent one.": by(lambda found: found[-1]),
        "The first label of a word won; take its most frequent one.": by(lambda found: found[0]),
        "The largest label of a word won; take its most frequent one.": by(max),
        "The smallest label of a word won; take its most frequent one.": by(min),
        "Where two labels of a word are equally frequent, take the smaller one.": by(
            lambda found: max(found, key=lambda y: (found.count(y), y))
        ),
        "You looked the words up in the test half; the table is made of training places.": hits(
            test_words, test_labels, from_test, top
        ).mean(),
        "You looked the words up in both halves; the table is made of training places.": hits(
            test_words, test_labels, both, top
        ).mean(),
        "You measured on the training half; count the hits among the test labels.": hits(
            train_words, train_labels, table, top
        ).mean(),
        "The word makes no difference to your answer: this is the majority baseline.": np.mean(
            [y == top for y in test_labels]
        ),
        "This is the share of errors; return the share of hits.": 1 - right.mean(),
        "You averaged over words; every place of the test half counts once.": np.mean(per_word),
        "You left out words that training did not have. They are test places too: for them the "
        "baseline says the majority class.": right[seen].mean() if seen.any() else 0.0,
        "You counted the hits; return their share.": right.sum(),
    }
    return right.mean(), mistakes


def corpus_of(rng, train=40, test=25, types=9, classes=4, first=0, tilt=None):
    """Words whose labels are their own favourite most of the time; some only in the test half."""
    names = [f"w{k}" for k in rng.permutation(50)[:types]]
    # The majority class of training is neither the first, nor the last, nor that of the test half.
    tilt = 1 + int(rng.integers(classes - 2)) if tilt is None else tilt
    likes = {name: int(rng.integers(classes)) for name in names}
    likes[names[1]] = tilt

    def draw(among, size, most):
        words = [among[k] for k in rng.integers(len(among), size=size)]
        noise = rng.random(size)
        rare = rng.integers(classes, size=size)
        labels = [
            first + (likes[w] if u < 0.5 else most if u < 0.85 else int(r))
            for w, u, r in zip(words, noise, rare, strict=True)
        ]
        return words, labels

    other = (tilt + 1) % classes
    return *draw(names[: types - 3], train, tilt), *draw(names[2:], test, other)


def baseline_compare(student, corpora, which, otherwise):
    cases = []
    for data in corpora:
        table, values = as_table(student(*data), BASELINES), baseline_values(*data)
        right, mistakes = (majority_mistakes if which == "majority" else word_mistakes)(*data)
        exchanged = values["word" if which == "majority" else "majority"]
        swapped = table["majority"] == values["word"] and table["word"] == values["majority"]
        exchanged = exchanged if swapped else np.inf
        cases.append(
            (table[which], right, {"The two baselines are exchanged.": exchanged, **mistakes})
        )
    explained(cases, otherwise)


def baseline_majority(student, rng):
    sizes = ((40, 25), (30, 33), (55, 20), (31, 47))
    corpora = [corpus_of(rng, *both, tilt=1 + k % 2) for k, both in enumerate(sizes)]
    otherwise = "Wrong majority baseline: the share of test labels that equal the majority class "
    baseline_compare(student, corpora, "majority", otherwise + "of the training labels.")


def baseline_words(student, rng):
    sizes = ((40, 25, 12), (30, 33, 12), (55, 20, 30), (31, 47, 25), (60, 51, 12))
    corpora = [corpus_of(rng, *three) for three in sizes]
    otherwise = "Wrong word baseline: each test word gets its own most frequent training label."
    baseline_compare(student, corpora, "word", otherwise)
