"""Checks of 03.1 and 03.2: a split by words, and the baselines (see unit03.py)."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from course_lib.checks.calling import as_table, compare
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
