"""Inputs of assignment 03: texts, probes that learn nothing, states, scores of items."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.reading import Plain, read
from course_lib.checks.results import Wrong

ROW, TABLE = np.zeros(1), np.zeros((1, 1))


def given(rng, arguments):
    """Arguments that are written down in the draw."""
    return tuple(arguments)


def _read(answer, like) -> Plain:
    found = read(answer, like)
    if found is None or (isinstance(found, tuple) and any(half is None for half in found)):
        raise Wrong("Your function returned None: does every way through it end with return?")
    return found


def _entries(like, **wanted):
    """An observer of some entries of the answer: the others are read, and not compared."""

    def observe(call, *arguments):
        found = _read(call(*arguments), like)
        return {name: found[key] for name, key in wanted.items()}

    return observe


def _text(rng, types, size, frequent=False):
    """The word at each place, each type at least once; ``frequent``: some occur much oftener."""
    names = [f"word{k}" for k in rng.permutation(90)[:types]]
    rates = 1.0 / np.arange(1, types + 1) ** (1.5 if frequent else 0.0)
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
BOTH = (
    "A word stands in both halves, so a probe can look its label up. Divide the words, and let all "
    "places of a word follow it."
)
ASCENDING = "The places of a half must come in ascending order."


def text(rng, types, size, share, frequent=False, capitals=False, unheard=()):
    """A text, its types in a random order (the last one is never needed), and a share."""
    words = _text(rng, types, size, frequent)
    order = [str(word) for word in rng.permutation([*dict.fromkeys(words), *unheard])]
    while words.count(order[-1]) >= (1 - share) * size - 1:
        order = [str(word) for word in rng.permutation(order)]
    return _spelled(rng, words) if capitals else words, order, share


def halves(call, words, order, share):
    """The answer, once it is a division of the places in which no word stands on both sides."""
    answer = call(words, order, share)
    train, test = (list(np.atleast_1d(half)) for half in _read(answer, (ROW, ROW)))
    places, size = train + test, len(words)

    def holds(condition, otherwise):
        if not condition:
            raise Wrong(otherwise)

    holds(not (len(train) == len(test) == size and {*places} <= {0, 1}), MASK)
    holds(all(place in range(size) for place in places), OUTSIDE)
    holds(len(set(places)) == len(places), TWICE)
    holds(len(places) == size, MISSING)
    types = [{words[int(place)].lower() for place in half} for half in (train, test)]
    holds(not types[0] & types[1], BOTH)
    holds(train == sorted(train) and test == sorted(test), ASCENDING)
    return answer


# --- 03.2 baselines(train_words, train_labels, test_words, test_labels) -> dict ----------------

SHARES = {"majority": 0.0, "word": 0.0}
majority = _entries(SHARES, majority="majority")
by_word = _entries(SHARES, word="word")


def corpus(rng, train, test, types=12, classes=4, first=0, unknown=False):
    """Words whose labels are their own favourite half of the time; some stand in one half only.

    The majority class of training is neither the first, nor the last, nor that of the test half.
    With ``unknown`` training has none of the words of the test half.
    """
    names = [f"word{k}" for k in rng.permutation(90)[:types]]
    tilt = 1 + int(rng.integers(classes - 2))
    likes = dict(zip(names, rng.integers(classes, size=types).tolist(), strict=True))
    likes[names[1]] = tilt

    def half(among, size, most):
        words = [among[k] for k in rng.integers(len(among), size=size)]
        lot, rare = rng.random(size), rng.integers(classes, size=size).tolist()
        kinds = [
            likes[word] if u < 0.5 else most if u < 0.85 else r
            for word, u, r in zip(words, lot, rare, strict=True)
        ]
        return words, [first + kind for kind in kinds]

    known = half(names[: types - 3], train, tilt)
    words, labels = half(names[2:], test, (tilt + 1) % classes)
    return *known, [f"new {word}" for word in words] if unknown else words, labels


# --- 03.3 selectivity(words, labels, accuracy, draw, repeats) -> dict --------------------------

NEVER = "You never called accuracy: it fits a probe on labels and tests it."
NO_TASK = "You never asked for the accuracy on the labels of the task itself."
NO_CONTROL = "You never asked for the accuracy on a control task."
SHUFFLED = (
    "You shuffled the true labels. That is another control: a control task gives every word a "
    "label of its own, from `draw`."
)
ONE_LABEL = "All words got one label; draw a label for each word."
PER_PLACE = (
    "Places of one word got different control labels. Draw one label for each word; all its places "
    "share it, or there is nothing to memorise."
)
SAME_TASK = "The control tasks are all the same. Draw new labels for the words in each repeat."
REPEATS = "The number of control tasks is not what `repeats` asks for."
DRAWN = "Draw once for each word, when it first occurs in a repeat, and remember it."


class Trial:
    """A probe that has its own random accuracy for every list of labels, and its lot of labels."""

    def __init__(self, rng, labels, own, span, lot):
        self.seed = int(rng.integers(2**31))
        self.labels, self.own, self.span, self.lot = labels, own, span, lot
        self.asked, self.drawn = [], 0

    def accuracy(self, labels):
        labels = [int(label) for label in labels]
        self.asked.append(labels)
        if len(labels) != len(self.labels):
            raise ValueError(f"accuracy got {len(labels)} labels for {len(self.labels)} places")
        if labels == self.labels:
            return self.own
        noise = np.random.default_rng([self.seed, *[label + 7 for label in labels]])
        return float(noise.uniform(*self.span))

    def draw(self):
        self.drawn += 1
        return self.lot[(self.drawn - 1) % len(self.lot)]


def trial(
    rng, types, size, classes, repeats=None, own=0.9, span=(0.2, 0.7), lot=None, capitals=False
):
    """A text with labels that no control task can have, a probe, and a lot; perhaps no repeats."""
    words = _text(rng, types, size)
    again = next(i for i, word in enumerate(words) if word in words[:i])
    labels = rng.integers(classes, size=size).tolist()
    labels[again] = (labels[words.index(words[again])] + 1) % classes
    made = Trial(rng, labels, own, span, lot or rng.integers(classes, size=1999).tolist())
    words = _spelled(rng, words) if capitals else words
    return words, labels, made.accuracy, made.draw, *([] if repeats is None else [repeats])


def control_tasks(call, words, labels, accuracy, draw, repeats):
    """The answer, once the labels that the probe was asked about can be those of control tasks."""
    answer = call(words, labels, accuracy, draw, repeats)
    asked, drawn = accuracy.__self__.asked, draw.__self__.drawn
    controls, types = [task for task in asked if task != labels], len(set(words))
    several = any(len(set(zip(words, task, strict=True))) > types for task in controls)
    faults = {
        NEVER: not asked,
        NO_TASK: labels not in asked,
        NO_CONTROL: not controls,
        SHUFFLED: drawn == 0 and any(sorted(task) == sorted(labels) for task in controls),
        PER_PLACE: several,
        ONE_LABEL: drawn <= repeats < types * repeats,
        SAME_TASK: drawn == types < types * repeats,
        REPEATS: len(controls) != repeats,
        DRAWN: drawn > types * repeats,
    }
    for message, found in faults.items():
        if found:
            raise Wrong(message)
    return answer


# --- 03.4 online_code(labels, classes, ends, log_probs) -> dict --------------------------------

ONCE = (
    "log_probs was called more often than there are blocks to be coded with it. Each call fits a "
    "probe: once for each block."
)
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
            raise ValueError(f"log_probs({seen}): a probe needs 1 to {self.size} labels")
        rng = np.random.default_rng([self.seed, int(seen)])
        scores = torch.tensor(rng.normal(size=(self.size, self.classes)) * self.spread)
        return scores.log_softmax(1).numpy()


def code(rng, classes, ends, size=None, kinds=None, spread=1.0):
    """Labels of so many ``kinds`` (default: of all classes), where blocks end, and a probe."""
    size = ends[-1] if size is None else size
    kinds = rng.permutation(classes)[: kinds or classes]
    labels = rng.permutation([*kinds, *rng.choice(kinds, size=size - len(kinds))]).tolist()
    return labels, classes, ends, Learner(rng, size, classes, spread)


def once(call, labels, classes, ends, log_probs):
    """The answer, once no probe was fitted for nothing."""
    answer = call(labels, classes, ends, log_probs)
    if len(log_probs.asked) >= len(ends):
        raise Wrong(ONCE)
    return answer


# --- 03.5 scalar_mix(states, scores, gamma) -> (mixed, centre) ---------------------------------

mixed = _entries((TABLE, 0.0), mixed=0)
centre = _entries((TABLE, 0.0), centre=1)


def layers(
    rng, shape, scores=None, gamma=0.0, default=False, dtype="float64", size=1.0, shift=0.0, **kinds
):
    """States [L + 1, N, d], their scores, and gamma (random, unless it is given or left out).

    ``learnt`` scores require a gradient; ``turned`` states lie in memory in another order.
    """
    states = torch.tensor(rng.normal(size=shape) * size + shift).to(getattr(torch, dtype))
    if scores is None:
        scores = rng.normal(size=shape[0]) * 1.5 + 0.7
    scores = torch.tensor(scores, dtype=torch.float64).to(states.dtype)
    if kinds.get("turned"):
        states = states.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    gamma = gamma or float(rng.uniform(1.3, 3.0) * rng.choice([-1, 1]))
    scores = scores.requires_grad_(bool(kinds.get("learnt")))
    return (states, scores) if default else (states, scores, gamma)


# --- 03.6 leace(x, labels, new) -> [M, d] ------------------------------------------------------


def _mixture(rng, size, width, classes):
    """States of classes of different size, with a covariance that is far from round."""
    labels = np.where(rng.random(size) < 0.3, 0, rng.integers(classes, size=size))
    labels[: 2 * classes] = rng.permutation(np.arange(2 * classes) % classes)
    stretch = rng.normal(size=(width, width)) * np.linspace(0.4, 2.5, width)
    means = rng.normal(size=(classes, width)) * 1.5
    x = means[labels] + rng.normal(size=(size, width)) @ stretch
    return x + 3.0 * rng.normal(size=width), labels


def classes(
    rng,
    shape,
    new=0,
    lift="",
    names=None,
    dtype="float64",
    far=0.0,
    scale=1.0,
    thin=1.0,
    **kinds,
):
    """States of ``shape`` (N, d, K), labels, and ``new`` states; 0: the same ones again.

    ``lift`` "constant" adds two constant units, "tilted" three directions without variance;
    ``thin`` shrinks one unit; ``learnt`` states require a gradient, ``turned`` ones lie in memory
    in another order.
    """
    _, width, n_classes = shape
    x, labels = _mixture(rng, *shape)
    other = _mixture(rng, new, width, n_classes)[0] if new else x
    into = np.eye(width, width + 2 * (lift == "constant"))
    if lift == "tilted":
        into = np.linalg.qr(rng.normal(size=(width + 3, width + 3)))[0][:width]
    into[0] *= thin
    x, other = (
        torch.tensor(((rows @ into + far) * scale).T.copy()).T.to(getattr(torch, dtype))
        for rows in (x, other)
    )
    if not kinds.get("turned"):
        x, other = x.contiguous(), other.contiguous()
    x, other = (rows.detach().requires_grad_(bool(kinds.get("learnt"))) for rows in (x, other))
    return x, torch.tensor(np.array(names or range(n_classes))[labels]), other


def guarded(call, x, labels, new):
    """What a linear probe finds after the eraser, and the rank of what it changed."""
    got, before = _read(call(x, labels, new), TABLE), new.detach().double().numpy()
    if np.shape(got) != before.shape:
        raise Wrong(f"Return new states of shape {list(before.shape)}; yours: {np.shape(got)}.")
    if not np.isfinite(got).all():
        raise Wrong("Your states are nan or infinite: leave directions without variance out.")
    means = np.stack([got[labels.numpy() == label].mean(0) for label in labels.unique()])
    apart = np.abs(means - before.mean(0)).max()
    rank = np.linalg.matrix_rank(before - got, tol=1e-3)
    return {"the distance of a class mean from the mean": round(apart, 8), "the rank": int(rank)}


# --- 03.7 amnesic_verdict(clean, removed, controls, draws, margin) -> dict ---------------------

VERDICT = dict.fromkeys(("effect", "excess", "low", "high"), 0.0) | {"verdict": ""}
costs = _entries(VERDICT, effect="effect", excess="excess")
interval = _entries(VERDICT, low="low", high="high")
word = _entries(VERDICT, verdict="verdict")


def _draws(rng, items, subspaces, number):
    return [
        (rng.integers(items, size=items).tolist(), rng.integers(subspaces, size=subspaces).tolist())
        for _ in range(number)
    ]


def scene(
    rng, shape, cost, width=0.1, margin=None, harm=0.1, draws=60, gain=0.0, unit=1.0, apart=0.5
):
    """Scores of ``shape`` (C, n): a removal that costs ``cost`` beyond its controls on average.

    ``width`` is about half the interval of a bootstrap, ``harm`` what the controls cost, between
    which ``apart`` says how far they differ; every third item gains ``gain`` by the removal.
    """
    subspaces, items = shape
    noise = rng.exponential(size=items)
    noise = (noise - noise.mean()) / noise.std() * width * np.sqrt(items) / 2
    other = rng.exponential(size=shape) * width
    clean = rng.uniform(0.5, 1.0, size=items)
    steps = rng.permutation(np.linspace(-1, 1, subspaces) ** 3 if subspaces > 1 else [0.0])
    controls = clean - harm - (apart * width * (steps - steps.mean()))[:, None]
    controls = controls + other - other.mean()
    removed = clean - harm - cost - noise
    removed[::3] += gain
    scores = (clean * unit, removed * unit, controls * unit, _draws(rng, items, subspaces, draws))
    return scores if margin is None else (*scores, margin)


def counted(rng, subspaces, items, margin, draws=50):
    """Items that are right (1) or wrong (0)."""
    removed = rng.integers(2, size=items).astype(float)
    controls = (rng.random((subspaces, items)) < 0.8).astype(float)
    return np.ones(items), removed, controls, _draws(rng, items, subspaces, draws), margin


def level(rng, removed, control, subspaces=2, margin=None):
    """Four items with the same score everywhere: the interval is a single number."""
    draws = [([0, 1, 2, 3], list(range(subspaces)))] * 5
    scores = np.ones(4), np.full(4, removed), np.full((subspaces, 4), control), draws
    return scores if margin is None else (*scores, margin)
