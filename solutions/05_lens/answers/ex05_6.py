"""05.6, the topic of a value vector: answers, mistakes and draws (instructors only)."""

from functools import partial

import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.6", "the topic of a value vector")
right, other, mistake = ANSWERS.right, ANSWERS.other, ANSWERS.mistake


def centred(rows):
    return rows - rows.mean(1, keepdim=True)


def scores_of(v, g, u):
    return v @ centred(g * u).T


def most_frequent(named, best):
    """The topic that is named most often, the lowest of several; -1 for none."""
    return max(sorted(set(named)), key=named.count, default=-1)


@right
def topic_purity(
    values, gain, unembed, kinds, k, scores=scores_of, take=int, winner=most_frequent, counted=0,
    whole=lambda k, *_: k,
):  # fmt: skip
    """Mistakes change the last five; topics from ``counted`` on are counted."""
    if not 1 <= k <= len(unembed):
        raise ValueError(f"k must be from 1 to {len(unembed)}, got {k}")
    table = scores(values.double(), gain, unembed.double())
    found, topics = [], []
    for words in table.topk(take(k)).indices.tolist():
        best = [kinds[word] for word in words]
        named = [kind for kind in best if kind >= counted]
        topic = winner(named, best)
        topics.append(topic)
        found.append(named.count(topic) / whole(k, best, named, kinds.count(topic)))
    return found, topics


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


# fmt: off
for message, *scores in (
    ("The gain of the final norm is missing.", lambda v, g, u: v @ centred(u).T),
    ("You did not centre. The final norm subtracts the mean over the d dimensions, so the mean of "
     "a value vector promotes nothing.", lambda v, g, u: v @ (g * u).T),
    ("You centred the rows of the unembedding before the gain; the gain comes first.",
     lambda v, g, u: v @ (g * centred(u)).T),
    ("Neither gain nor centring: the value times the unembedding.", lambda v, g, u: v @ u.T),
    ("You took the lowest words. A positive activation promotes the highest.",
     lambda v, g, u: -scores_of(v, g, u)),
    ("You divided the value vector by the gain; multiply.", lambda v, g, u: v @ (centred(u) / g).T),
    ("You took the words with the largest size of score. Only the highest are promoted.",
     lambda v, g, u: scores_of(v, g, u).abs(), lambda v, g, u: centred(scores_of(v, g, u)).abs()),
):
    mistake(message, *(partial(topic_purity, scores=table) for table in scores))
ANSWERS.variants(topic_purity, {
    "-1 marks a word without a topic; it is no topic. Such words still count among the k.":
        {"counted": -1},
    "You divided by the number of words that have a topic; divide by k.":
        {"whole": lambda k, best, named, size: len(named) or 1},
    "You divided by the number of words of the topic in the vocabulary (recall); divide by k.":
        {"whole": lambda k, best, named, size: size or 1},
    "You returned the number of words; the purity is a share.": {"whole": lambda *_: 1},
    "You took the topic of the highest word; take the most frequent one.":
        {"winner": lambda named, best: best[0]},
    "Of equally frequent topics take the one with the lowest number.":
        {"winner": lambda named, best: max(sorted(set(named))[::-1], key=named.count, default=-1)},
})
for message, by in {"You took one word too many.": 1, "You took one word too few.": -1}.items():
    wrong = partial(topic_purity, take=lambda k, by=by: k + by)
    mistake(message, wrong, partial(wrong, whole=lambda k, best, *_: len(best)))
mistake("Purity and topic are exchanged: purity first.", lambda *x: topic_purity(*x)[::-1])
mistake("Where none of the k words has a topic, the topic is -1.",
        partial(topic_purity, winner=lambda *given: max(0, most_frequent(*given))))
# fmt: on


def draw(vectors, width, vocabulary, k, note="", refused=False, **options):
    options |= {"vectors": vectors, "width": width, "vocabulary": vocabulary, "k": k}
    # A quotient of torch integers is float32, and right.
    return Draw("values", options, note, 1e-6, refused=refused)


RULE = "Scores: v . centred(gain * row), in float64; then the largest count of a topic over k."
GRAD = draw(9, 7, 31, 7, "Parameters of a model require gradients.", grad=True)
ANSWERS.part("every word has a topic", 4, [draw(12, 5, 20, 4), GRAD], RULE)
NONE = "Where none of the words has a topic: purity 0, topic -1."
GAPS = [draw(14, 4, 24, 5, none=0.5), draw(10, 6, 40, 8, topics=[0, 1, 2, 3, 4], none=0.5)]
GAPS += [draw(12, 5, 30, 3, NONE, none=0.8)]
ANSWERS.part("words without a topic", 3, GAPS, RULE)
EQUAL = "Topics that are equally frequent: the one with the lowest number."
FEW = [
    *(draw(8, 4, 12, 1, "A single word.", none=none) for none in (0, 0.7)),
    draw(8, 4, 12, 12, "All words of the vocabulary."),
    *(draw(8, 4, 12, 3, NONE, kinds=[-1] * 11 + [last]) for last in (0, -1)),
    draw(6, 5, 6, 6, EQUAL, kinds=[2, 2, 1, 1, 0, 0]),
    draw(20, 5, 12, 2, EQUAL, kinds=[0, 1, 2, 3] * 3),
    draw(9, 3, 30, 6, "Topics whose numbers have gaps.", topics=[3, 8, 20], none=0.3),
    draw(1, 2, 9, 4, "A single vector of two dimensions."),
]
ANSWERS.part("one word, all words, ties", 2, FEW, RULE, held_out=True)
MEAN = "Adding a number to all entries of a value vector changes no score: centre, in float64."
TYPE = "Vectors of another type: convert to float64 first."
BAD = "k must be at least 1 and at most all words: raise ValueError."
NUMBERS = [
    *(draw(3, 4, 7, k, BAD, refused=True) for k in (0, -1, 8)),
    draw(20, 6, 30, 7, "Scores that differ in the tenth digit.", twins=True),
    *(draw(20, 6, 30, 7, MEAN, offset=m, dtype=d) for m, d in ((1e7, "float64"), (300, "float32"))),
    draw(20, 6, 30, 7, MEAN, size=1e-5, turned=True),
    *(draw(20, 6, 30, 7, TYPE, dtype=kind, end="float32") for kind in ("bfloat16", "float16")),
]
ANSWERS.part("numbers of words", 2, NUMBERS, RULE, held_out=True)
