"""Inputs of assignment 03: texts, probes that learn nothing, states, scores of items."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.reading import Plain, read
from course_lib.checks.results import Wrong

ROW, TABLE = np.zeros(1), np.zeros((1, 1))


def given(rng, of):
    """Arguments that are written down in the draw; of a text each letter is a word."""
    return tuple(list(one) if isinstance(one, str) else one for one in of)


def _read(answer, like) -> Plain:
    found = read(answer, like)
    nothing = found is None or (isinstance(found, tuple) and type(None) in map(type, found))
    _refuse({"Your function returned None: does every way through it end with return?": nothing})
    return found


def _refuse(faults):
    """Raise the message of the first fault that was found."""
    for message, found in faults.items():
        if found:
            raise Wrong(message)


def _entries(like, **wanted):
    """An observer of some entries of the answer: the others are read, and not compared."""

    def observe(call, *arguments):
        found = _read(call(*arguments), like)
        return {name: found[key] for name, key in wanted.items()}

    return observe


def _text(rng, types, size):
    """The word at each place, each type at least once, and some much oftener than others."""
    names = [f"word{k}" for k in rng.permutation(90)[:types]]
    rates = np.arange(1, types + 1) ** -1.5
    rest = rng.choice(types, size=size - types, p=rates / rates.sum())
    return [names[k] for k in rng.permutation(np.concatenate([np.arange(types), rest]))]


def _spelled(rng, words):
    """Some of the words with one capital letter, some with several."""
    ways = (str, str, str.capitalize, str.upper)
    return [ways[k](word) for k, word in zip(rng.integers(4, size=len(words)), words, strict=True)]


# --- 03.1 word_split(words, order, share) -> (train, test) -------------------------------------

MASK = "You returned a mask of True and False; return the places themselves."
OUTSIDE = "A place lies outside 0 ... N - 1."
TWICE = "A place stands twice in your answer; each belongs to exactly one half."
MISSING = "Some places are in neither half. Each belongs to exactly one of them."
BOTH = "A word stands in both halves: divide the words, and let all places of a word follow it."
ASCENDING = "The places of a half must come in ascending order."


def text(rng, of, capitals=False, unheard=()):
    """A text of ``of`` (types, places, share), the types in a random order, and the share.

    The last word of the order is never needed.
    """
    types, size, share = of
    words = _text(rng, types, size)
    order = [*dict.fromkeys(words), *unheard]
    while order[-1] in unheard or words.count(order[-1]) >= (1 - share) * size - 1:
        order = [str(word) for word in rng.permutation(order)]
    return _spelled(rng, words) if capitals else words, order, share


def halves(call, words, order, share):
    """The answer, once it is a division of the places in which no word stands on both sides."""
    answer = call(words, order, share)
    train, test = (list(np.atleast_1d(half)) for half in _read(answer, (ROW, ROW)))
    places, size = train + test, len(words)
    types = [{words[int(i)].lower() for i in half if i in range(size)} for half in (train, test)]
    _refuse({
        MASK: len(train) == len(test) == size and {*places} <= {0, 1},
        OUTSIDE: not all(place in range(size) for place in places),
        TWICE: len(set(places)) < len(places),
        MISSING: len(places) < size,
        BOTH: types[0] & types[1],
        ASCENDING: train != sorted(train) or test != sorted(test),
    })  # fmt: skip
    return answer


# --- 03.2 baselines(train_words, train_labels, test_words, test_labels) -> dict ----------------

SHARES = {"majority": 0.0, "word": 0.0}
majority = _entries(SHARES, majority="majority")
by_word = _entries(SHARES, word="word")


def corpus(rng, of, unknown=False):
    """Texts of ``of`` (training places, test places, types) over four classes.

    Half of the time a word has its own favourite label; some words stand in one half only. The
    majority class of training is neither the first, nor the last, nor that of the test half. With
    ``unknown`` training has none of the words of the test half.
    """
    names = [f"word{k}" for k in rng.permutation(90)[: of[2]]]
    most = 1 + int(rng.integers(2))
    likes = dict(zip(names, rng.integers(4, size=of[2]).tolist(), strict=True))
    likes[names[1]] = most

    def half(among, size, most):
        words = [among[k] for k in rng.integers(len(among), size=size)]
        lot, rare = rng.random(size), rng.integers(4, size=size).tolist()
        pairs = zip(words, lot, rare, strict=True)
        return words, [likes[w] if u < 0.5 else most if u < 0.85 else r for w, u, r in pairs]

    known = half(names[:-3], of[0], most)
    words, labels = half(names[2:], of[1], most + 1)
    return *known, [f"new {word}" for word in words] if unknown else words, labels


# --- 03.3 selectivity(words, labels, accuracy, draw, repeats) -> dict --------------------------

NO_TASK = "You never asked for the accuracy on the labels of the task itself."
NO_CONTROL = "You never asked for the accuracy on a control task."
SHUFFLED = "You shuffled the true labels; a control task gives every word a label from `draw`."
ONE_LABEL = "All words got one label; draw a label for each word."
PER_PLACE = "Draw one label for each word: its places share it, or nothing can be memorised."
SAME_TASK = "The control tasks are all the same. Draw new labels for the words in each repeat."
REPEATS = "The number of control tasks is not what `repeats` asks for."
DRAWN = "Draw once for each word, when it first occurs in a repeat, and remember it."


class Trial:
    """A probe that has its own random accuracy for every list of labels, and its lot of labels."""

    def __init__(self, rng, labels, own, span, lot):
        self.labels, self.own, self.span, self.lot = labels, own, span, lot
        self.asked, self.drawn, self.seed = [], 0, int(rng.integers(2**31))

    def accuracy(self, labels):
        labels = [int(label) for label in labels]
        if len(labels) != len(self.labels):
            raise ValueError(f"accuracy got {len(labels)} labels for {len(self.labels)} places")
        self.asked.append(labels)
        if labels == self.labels:
            return self.own
        noise = np.random.default_rng([self.seed, *[label + 7 for label in labels]])
        return float(noise.uniform(*self.span))

    def draw(self):
        self.drawn += 1
        return self.lot[(self.drawn - 1) % len(self.lot)]


def trial(rng, of, own=0.9, span=(0.2, 0.7), lot=None, capitals=False):
    """A text, a probe, a lot, of ``of`` (types, places, classes, and the repeats if any).

    The accuracy is ``own`` on its labels, which no control task can have, and in ``span`` else.
    """
    types, size, classes, *repeats = of
    words = _text(rng, types, size)
    again = next(i for i, word in enumerate(words) if word in words[:i])
    labels = rng.integers(classes, size=size).tolist()
    labels[again] = (labels[words.index(words[again])] + 1) % classes
    made = Trial(rng, labels, own, span, lot or rng.integers(classes, size=1999).tolist())
    words = _spelled(rng, words) if capitals else words
    return words, labels, made.accuracy, made.draw, *repeats


def control_tasks(call, words, labels, accuracy, draw, repeats):
    """The answer, once the labels that the probe was asked about can be those of control tasks."""
    answer = call(words, labels, accuracy, draw, repeats)
    asked, drawn = accuracy.__self__.asked, draw.__self__.drawn
    controls, types = [task for task in asked if task != labels], len(set(words))
    _refuse({
        NO_TASK: labels not in asked,
        NO_CONTROL: not controls,
        SHUFFLED: drawn == 0 and any(sorted(task) == sorted(labels) for task in controls),
        PER_PLACE: any(len(set(zip(words, task, strict=True))) > types for task in controls),
        ONE_LABEL: drawn <= repeats < types * repeats,
        SAME_TASK: drawn == types < types * repeats,
        REPEATS: len(controls) != repeats,
        DRAWN: drawn > types * repeats,
    })  # fmt: skip
    return answer


# --- 03.4 online_code(labels, classes, ends, log_probs) -> dict --------------------------------

ONCE = "Each call of log_probs fits a probe, which is slow: once for each block."
LENGTHS = {"bits": 0.0, "compression": 0.0}
bits = _entries(LENGTHS, bits="bits")
compression = _entries(LENGTHS, compression="compression")


class Learner:
    """Random log-probabilities [N, K] in nats that depend on how many labels were seen."""

    def __init__(self, rng, size, classes, spread):
        self.seed, self.spread, self.asked = int(rng.integers(2**31)), spread, []
        self.size, self.classes = size, classes

    def __call__(self, seen):
        self.asked.append(int(seen))
        if not 1 <= seen <= self.size:
            raise IndexError(f"log_probs({seen}): a probe needs 1 to {self.size} labels")
        rng = np.random.default_rng([self.seed, int(seen)])
        scores = torch.tensor(rng.normal(size=(self.size, self.classes)) * self.spread)
        return scores.log_softmax(1).numpy()


def code(rng, of, size=None, kinds=None, spread=1.0):
    """Labels of ``kinds`` (default: all) classes, and a probe, for ``of`` (classes, ends)."""
    classes, ends = of
    size = ends[-1] if size is None else size
    kinds = rng.permutation(classes)[: kinds or classes]
    labels = rng.permutation([*kinds, *rng.choice(kinds, size=size - len(kinds))]).tolist()
    return labels, classes, ends, Learner(rng, size, classes, spread)


def once(call, labels, classes, ends, log_probs):
    """The answer, once no probe was fitted for nothing."""
    answer = call(labels, classes, ends, log_probs)
    _refuse({ONCE: len(log_probs.asked) >= len(ends)})
    return answer


# --- 03.5 scalar_mix(states, scores, gamma) -> (mixed, centre) ---------------------------------

mixed = _entries((TABLE, 0.0), mixed=0)
centre = _entries((TABLE, 0.0), centre=1)


def layers(rng, of, scores=None, gamma=0.0, dtype="float64", size=1.0, shift=0.0, kind=""):
    """States [L + 1, N, d], their scores, and gamma (random, unless it is given; None: left out).

    ``kind`` "learnt": the scores require a gradient; "turned": the states lie in memory in another
    order.
    """
    states = torch.tensor(rng.normal(size=of) * size + shift).to(getattr(torch, dtype))
    scores = rng.normal(size=of[0]) * 1.5 + 0.7 if scores is None else scores
    scores = torch.tensor(scores, dtype=states.dtype, requires_grad=kind == "learnt")
    if kind == "turned":
        states = states.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    if gamma is None:
        return states, scores
    return states, scores, gamma or float(rng.uniform(1.3, 3.0) * rng.choice([-1, 1]))


# --- 03.6 leace(x, labels, new) -> [M, d] ------------------------------------------------------


def _mixture(rng, size, width, classes):
    """States of classes of different size, with a covariance that is far from round."""
    labels = np.where(rng.random(size) < 0.3, 0, rng.integers(classes, size=size))
    labels[: 2 * classes] = rng.permutation(np.arange(2 * classes) % classes)
    stretch = rng.normal(size=(width, width)) * np.linspace(0.4, 2.5, width)
    means = rng.normal(size=(classes, width)) * 1.5 + 3.0 * rng.normal(size=width)
    return means[labels] + rng.normal(size=(size, width)) @ stretch, labels


def classes(rng, of, new=0, names=None, dtype="float64", far=0.0, scale=1.0, thin=1.0, kind=""):
    """States of ``of`` (N, d, K), labels, and ``new`` states; 0: the same ones again.

    ``thin`` shrinks one unit. ``kind`` "constant" adds two constant units, "tilted" three
    directions without variance; "learnt" states require a gradient, "turned" ones lie in memory by
    columns.
    """
    x, labels = _mixture(rng, *of)
    other = _mixture(rng, new, *of[1:])[0] if new else x
    into = np.eye(of[1], of[1] + 2 * (kind == "constant"))
    if kind == "tilted":
        into = np.linalg.qr(rng.normal(size=[of[1] + 3] * 2))[0][: of[1]]
    into[0] *= thin

    def made(rows):
        rows = torch.tensor((rows @ into + far) * scale, dtype=getattr(torch, dtype))
        rows = rows.T.contiguous().T if kind == "turned" else rows
        return rows.requires_grad_(kind == "learnt")

    return made(x), torch.tensor(np.array(names or range(of[2]))[labels]), made(other)


def guarded(call, x, labels, new):
    """What a linear probe finds after the eraser, and the rank of what it changed."""
    got, before = _read(call(x, labels, new), TABLE), new.detach().double().numpy()
    shape = f"Return new states of shape {list(before.shape)}."
    nan = "Your states are nan or infinite: leave directions without variance out."
    _refuse({shape: np.shape(got) != before.shape, nan: not np.isfinite(got).all()})
    means = np.stack([got[labels.numpy() == label].mean(0) for label in labels.unique().tolist()])
    apart = np.abs(means - before.mean(0)).max()
    rank = np.linalg.matrix_rank(before - got, tol=1e-3)
    return {"how far the mean of a class is from that of all": round(apart, 8), "the rank": rank}


# --- 03.7 amnesic_verdict(clean, removed, controls, draws, margin) -> dict ---------------------

VERDICT = dict.fromkeys(("effect", "excess", "low", "high"), 0.0) | {"verdict": ""}
costs = _entries(VERDICT, effect="effect", excess="excess")
interval = _entries(VERDICT, low="low", high="high")
word = _entries(VERDICT, verdict="verdict")


def _draws(rng, *sizes):
    return [tuple(rng.integers(n, size=n).tolist() for n in sizes) for _ in range(60)]


def scene(rng, of, gain=0.0, unit=1.0):
    """Scores of ``of`` (C, n, cost, width, and the margin if any).

    The controls cost .25, the removal ``cost`` more on average; ``width`` is about half the
    interval of a bootstrap. Every third item gains ``gain`` by the removal.
    """
    subspaces, items, cost, width, *margin = of

    def noise(*size):
        values = rng.exponential(size=size)
        return (values - values.mean()) / values.std() * width

    clean = rng.uniform(0.5, 1.0, size=items)
    steps = rng.permutation(np.linspace(-1, 1, subspaces) ** 3)[:, None] * width
    controls = clean - 0.25 - (steps - steps.mean()) / 2 + noise(subspaces, items)
    removed = clean - 0.25 - cost - noise(items) * np.sqrt(items) / 2
    removed[::3] += gain
    scores = (clean * unit, removed * unit, controls * unit)
    return *scores, _draws(rng, items, subspaces), *margin


def counted(rng, of):
    """Scores of items that are right (1) or wrong (0), for ``of`` (C, n, margin)."""
    subspaces, items, margin = of
    removed = rng.integers(2, size=items).astype(float)
    controls = (rng.random((subspaces, items)) < 0.8).astype(float)
    return np.ones(items), removed, controls, _draws(rng, items, subspaces), margin


def level(rng, of):
    """Four items with equal scores, of ``of`` (C, removed, control, and the margin if any)."""
    subspaces, removed, control, *margin = of
    draws = [([0, 1, 2, 3], list(range(subspaces)))] * 5
    return np.ones(4), np.full(4, removed), np.full((subspaces, 4), control), draws, *margin
