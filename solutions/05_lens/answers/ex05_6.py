"""05.6, the topic of a value vector: answers, mistakes and draws (instructors only)."""

from collections import Counter
from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.6", "the topic of a value vector")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def centred(rows):
    return rows - rows.mean(1, keepdim=True)


def scores_of(v, g, u):
    return v @ centred(g * u).T


def most_frequent(named, best):
    """The topic that is named most often, the lowest of several; -1 for none."""
    return max(sorted(set(named)), key=named.count, default=-1)


def purity(
    values, gain, unembed, kinds, k, scores=scores_of, take=lambda k: k, winner=most_frequent,
    counted=lambda best: [kind for kind in best if kind >= 0], whole=lambda k, *_: k,
):  # fmt: skip
    """Purity and topic of each vector; the last five are what mistakes replace."""
    if not 1 <= k <= len(unembed):
        raise ValueError(f"k must be from 1 to {len(unembed)}, got {k}")
    table = scores(values.double(), gain.double(), unembed.double())
    found, topics = [], []
    for words in table.topk(take(k)).indices.tolist():
        best = [kinds[word] for word in words]
        named = counted(best)
        topics.append(winner(named, best))
        found.append(named.count(topics[-1]) / whole(k, best, named, kinds.count(topics[-1])))
    return found, topics


@right
def topic_purity(values, gain, unembed, kinds, k):
    return purity(values, gain, unembed, kinds, k)


@other
def purity_with_counter(values, gain, unembed, kinds, k):
    if k < 1 or k > len(kinds):
        raise ValueError(k)
    v, g, u = (t.detach().double().numpy() for t in (values, gain, unembed))
    order = np.argsort(-((v - v.mean(1, keepdims=True)) * g @ u.T), axis=1)
    found, topics = [], []
    for row in order[:, :k]:
        counts = Counter(kinds[i] for i in row if kinds[i] != -1)
        best = min(counts, key=lambda name: (-counts[name], name), default=-1)
        found.append(counts[best] / k)
        topics.append(best)
    return np.array(found), np.array(topics)


@other
def purity_with_one_hot(values, gain, unembed, kinds, k):
    if not 0 < k <= len(unembed):
        raise ValueError
    directions = unembed.double() * gain.double()
    directions = directions - directions.mean(-1, keepdim=True)
    order = (values.double() @ directions.T).sort(-1, descending=True).indices
    found = torch.tensor(kinds)[order[:, :k]]
    counts = torch.stack([(found == name).sum(1) for name in range(max(max(kinds), 0) + 1)])
    top = counts.max(0).values
    return top / k, torch.where(top > 0, (counts == top).int().argmax(0), -1)


CENTRE = (
    "You did not centre. The final norm subtracts the mean over the d dimensions, so the mean of a "
    "value vector promotes nothing."
)
for message, scores in {
    "The gain of the final norm is missing.": lambda v, g, u: v @ centred(u).T,
    CENTRE: lambda v, g, u: v @ (g * u).T,
    "You centred the rows of the unembedding before the gain; the gain comes first.": (
        lambda v, g, u: v @ (g * centred(u)).T
    ),
    "Neither gain nor centring: this is the value vector times the unembedding.": (
        lambda v, g, u: v @ u.T
    ),
    "You took the lowest words. A positive activation promotes the highest.": (
        lambda v, g, u: -scores_of(v, g, u)
    ),
    "You divided the value vector by the gain; multiply.": lambda v, g, u: v @ (centred(u) / g).T,
}.items():
    mistake(message, partial(purity, scores=scores))
mistake(
    "You took the words with the largest size of score. Only the highest are promoted.",
    partial(purity, scores=lambda *given: scores_of(*given).abs()),
    partial(purity, scores=lambda *given: centred(scores_of(*given)).abs()),
)
ANSWERS.variants(
    purity,
    {
        "-1 marks a word without a topic; it is no topic. Such words still count among the k.": {
            "counted": list
        },
        "You divided by the number of words that have a topic; divide by k.": {
            "whole": lambda k, best, named, size: len(named) or 1
        },
        "You divided by the number of words of the topic in the vocabulary (recall); divide by "
        "k.": {"whole": lambda k, best, named, size: size or 1},
        "You returned the number of words; the purity is their share of the k.": {
            "whole": lambda *_: 1
        },
        "You took the topic of the highest word; take the most frequent one.": {
            "winner": lambda named, best: best[0]
        },
        "Of equally frequent topics take the one with the lowest number.": {
            "winner": lambda named, best: max(
                sorted(set(named), reverse=True), key=named.count, default=-1
            )
        },
    },
)
for message, take in {
    "You took one word too many.": lambda k: k + 1,
    "You took one word too few.": lambda k: k - 1,
}.items():
    by_all = partial(purity, take=take, whole=lambda k, best, *_: len(best))
    mistake(message, partial(purity, take=take), by_all)
mistake("Purity and topic are exchanged: return the purity first.", lambda *x: purity(*x)[::-1])


def lowest_for_none(*given):
    found, topics = purity(*given)
    return found, [max(0, topic) for topic in topics]


mistake("Where none of the k words has a topic, the topic is -1.", lowest_for_none)


@witness("changed the data")
def multiplies_in_place(values, gain, unembed, kinds, k):
    unembed *= gain
    return purity(values, torch.ones_like(gain), unembed, kinds, k)


@witness("float64")
def in_single_precision(values, gain, unembed, kinds, k):
    if not 1 <= k <= len(unembed):
        raise ValueError(k)
    table = scores_of(values.float(), gain.float(), unembed.float())
    return purity(values, gain, unembed, kinds, k, scores=lambda v, g, u: table)


def draw(vectors, width, vocabulary, k, note="", **options):
    options |= {"vectors": vectors, "width": width, "vocabulary": vocabulary, "k": k}
    return Draw("values", options, note, 1e-6)  # a quotient of torch integers is float32


RULE = (
    "The rule: the score of a word is value . centred(gain * its row), in float64. Of the k words "
    "with the highest scores, count each topic; the purity is the largest count / k."
)
HINT = "One purity and one topic for each vector."
ALL = [
    draw(12, 5, 20, 4),
    draw(9, 7, 31, 7, topics=4, grad=True, note="Parameters of a model may require gradients."),
]
ANSWERS.part("every word has a topic", 4, ALL, RULE, HINT)
GAPS = [
    draw(14, 4, 24, 5, none=0.5),
    draw(10, 6, 40, 8, topics=5, none=0.5),
    draw(12, 5, 30, 3, none=0.8, note="Where none of the words has a topic: 0 and -1."),
]
ANSWERS.part("words without a topic", 3, GAPS, RULE, HINT)
EQUAL = "Topics that are equally frequent: the one with the lowest number."
FEW = [
    draw(8, 4, 12, 1, note="A single word."),
    draw(8, 4, 12, 1, none=0.7, note="A single word, often without a topic."),
    draw(8, 4, 12, 12, note="All words of the vocabulary."),
    draw(8, 4, 12, 3, topics=1, kinds=[-1] * 11 + [0], note="A single word has a topic."),
    draw(8, 4, 12, 4, kinds=[-1] * 12, note="Where no word has a topic: purity 0, topic -1."),
    draw(6, 5, 6, 6, kinds=[2, 2, 1, 1, 0, 0], note=EQUAL),
    draw(20, 5, 12, 2, kinds=[0, 1, 2, 3] * 3, note=EQUAL),
    draw(9, 3, 30, 6, topics=[3, 8, 20], none=0.3, note="Topics whose numbers have gaps."),
    draw(1, 2, 9, 4, note="A single vector of two dimensions."),
]
ANSWERS.part("one word, all words, ties", 2, FEW, RULE, HINT, held_out=True)
NUMBERS = [
    Draw(
        "values",
        {"vectors": 3, "width": 4, "vocabulary": 7, "k": k},
        f"k={k} of 7 words must raise ValueError: at least 1, at most all.",
        refused=True,
    )
    for k in (0, -1, 8)
]
MEAN = (
    "Adding a number to all entries of a value vector changes no score: centre, and compute in "
    "float64."
)
TYPE = "Vectors of another type: convert to float64 first."
LARGE = [
    draw(20, 6, 30, 7, topics=4, offset=1e7, note=MEAN),
    draw(20, 6, 30, 7, topics=4, offset=300, dtype="float32", end="float32", note=MEAN),
    draw(20, 6, 30, 7, topics=4, size=1e-5, turned=True),
    draw(20, 6, 30, 7, topics=4, dtype="bfloat16", end="float32", note=TYPE),
    draw(20, 6, 30, 7, topics=4, size=1e3, dtype="float16", end="float16", note=TYPE),
]
ANSWERS.part("numbers of words", 2, [*NUMBERS, *LARGE], RULE, HINT, held_out=True)
