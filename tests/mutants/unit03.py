"""Answers to assignment 03 that the checks must tell apart: right in another style, and wrong.

Most wrong answers differ from a right one in a single step. So each exercise has one right answer
whose steps can be exchanged, and `wrong` notes it with one step exchanged under a name.
"""

from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import torch

from tests.mutants.answers import Answers

ANSWERS = Answers()
other, mutant = ANSWERS.other, ANSWERS.mutant


def wrong(exercise, name, phrase, function, where="visible"):
    function.__name__ = name
    mutant(exercise, phrase, where)(function)


# --- 03.1 ----------------------------------------------------------------------------------


@other("03.1")
def split_numpy(words, order, share):
    if share <= 0 or share >= 1:
        raise ValueError
    names = np.array([w.lower() for w in words])
    sizes = [int((names == w).sum()) for w in order]
    before = np.cumsum([0, *sizes[:-1]])
    chosen = [w for w, b in zip(order, before, strict=True) if b < share * len(words)]
    test = np.isin(names, chosen)
    if test.all():
        raise ValueError
    return np.flatnonzero(~test), np.flatnonzero(test)


@other("03.1")
def split_recursive(words, order, share):
    if not 0.0 < share < 1.0:
        raise ValueError("share")

    def take(rest, taken):
        if len(taken) >= share * len(words) or not rest:
            return taken
        return take(rest[1:], taken + [i for i, w in enumerate(words) if w.lower() == rest[0]])

    test = sorted(take(order, []))
    train = [i for i in range(len(words)) if i not in test]
    if not train:
        raise ValueError("nothing left")
    return [train, test]


def _split(by=None, stop=None, fold=str.lower, finish=None, check=True, empty=True):
    def word_split(words, order, share):
        if check and not 0 < share < 1:
            raise ValueError
        names, taken = [fold(w) for w in words], []
        enough = stop or (lambda taken, names, share: len(taken) >= share * len(names))
        for word in by(names, order) if by else order:
            if enough(taken, names, share):
                break
            taken += [i for i, w in enumerate(names) if w == word]
        train = [i for i in range(len(words)) if i not in taken]
        if empty and not train:
            raise ValueError
        pair = train, sorted(taken)
        return finish(*pair) if finish else pair

    return word_split


def _types(taken, names, share):
    return len({names[i] for i in taken}) >= share * len(set(names))


@mutant("03.1", "stands in both halves")
def split_by_place(words, order, share):
    cut = math.ceil(share * len(words))
    places = random.Random(0).sample(range(len(words)), len(words))
    return sorted(places[cut:]), sorted(places[:cut])


@mutant("03.1", "stands in both halves")
def one_place_of_each_word_stays(words, order, share):
    train, test = _split()(words, order, share)
    return sorted([*train, test[0]]), test[1:]


@mutant("03.1", "You stopped one word early")
def never_too_many(words, order, share):
    test = []
    for word in order:
        own = [i for i, w in enumerate(words) if w.lower() == word]
        if len(test) + len(own) > share * len(words):
            break
        test += own
    return [i for i in range(len(words)) if i not in test], sorted(test)


wrong("03.1", "halves_exchanged", "halves are exchanged", _split(finish=lambda a, b: (b, a)))
wrong("03.1", "share_of_types", "not of the word types", _split(stop=_types))
wrong("03.1", "one_word_more", "went on although", _split(stop=lambda t, n, s: len(t) > s * len(n)))
wrong("03.1", "from_the_end", "from the end of `order`", _split(by=lambda n, o: o[::-1]))
wrong("03.1", "alphabet", "in the alphabet", _split(by=lambda n, o: sorted(o)))
wrong(
    "03.1",
    "order_of_text",
    "as they stand in the text",
    _split(by=lambda n, o: list(dict.fromkeys(n))),
)
wrong(
    "03.1",
    "frequent_first",
    "most frequent words first",
    _split(by=lambda n, o: sorted(o, key=lambda w: -n.count(w))),
)
wrong(
    "03.1",
    "share_for_training",
    "not of the training half",
    _split(stop=lambda t, n, s: len(t) >= (1 - s) * len(n)),
)
wrong("03.1", "unsorted", "ascending order", _split(finish=lambda a, b: (a, b[::-1])))
wrong(
    "03.1",
    "from_one",
    "place outside",
    _split(finish=lambda a, b: ([i + 1 for i in a], [i + 1 for i in b])),
)
wrong(
    "03.1",
    "masks",
    "mask of True and False",
    _split(
        finish=lambda a, b: tuple([i in half for i in range(len(a) + len(b))] for half in (a, b))
    ),
)
wrong("03.1", "test_only", "Return a pair", _split(finish=lambda a, b: b))
wrong("03.1", "one_place_lost", "in neither half", _split(finish=lambda a, b: (a[1:], b)))
wrong("03.1", "test_in_both", "stands twice", _split(finish=lambda a, b: (a + b, b)))
wrong("03.1", "keeps_capitals", "upper and lower case", _split(fold=str), "held-out")
wrong("03.1", "any_share", "one half would be empty", _split(check=False), "held-out")
wrong("03.1", "empty_training_half", "none is left to fit", _split(empty=False), "held-out")


wrong(
    "03.1",
    "rounded_down",
    "You rounded share * N",
    _split(stop=lambda t, n, s: len(t) >= int(s * len(n))),
)


# --- 03.2 ----------------------------------------------------------------------------------


@other("03.2")
def baselines_numpy(train_words, train_labels, test_words, test_labels):
    if min(len(train_words), len(test_words)) == 0:
        raise ValueError
    if len(train_words) != len(train_labels) or len(test_words) != len(test_labels):
        raise ValueError
    names, y = np.array(train_words), np.array(train_labels)

    def mode(values):
        kinds, counts = np.unique(values, return_counts=True)
        return kinds[counts.argmax()]

    guess = [mode(y[names == w]) if w in train_words else mode(y) for w in test_words]
    test = np.array(test_labels)
    return {"word": np.mean(np.array(guess) == test), "majority": np.mean(mode(y) == test)}


def _top(labels):
    counts = Counter(labels)
    return min(sorted(counts), key=lambda y: -counts[y])


def _baselines(
    pick=_top, top=None, unknown=None, table=None, finish=None, score=None, check=True, major=None
):
    def baselines(train_words, train_labels, test_words, test_labels):
        if check and (
            not train_words
            or not test_words
            or len(train_words) != len(train_labels)
            or len(test_words) != len(test_labels)
        ):
            raise ValueError
        data = train_words, train_labels, test_words, test_labels
        most = top(*data) if top else _top(train_labels)
        words, labels = table(*data) if table else (train_words, train_labels)
        own = {}
        for w, y in zip(words, labels, strict=check):
            own.setdefault(w, []).append(y)
        missing = most if unknown is None else unknown
        guess = [pick(own[w]) if w in own else missing for w in test_words]
        rate = score or (lambda hits, words: sum(hits) / len(hits))
        hits = [
            [g == y for g, y in zip(guesses, test_labels, strict=check)]
            for guesses in ([most] * len(test_words), guess)
        ]
        found = {"majority": rate(hits[0], test_words), "word": rate(hits[1], test_words)}
        if major:
            found["majority"] = major(*data)
        return finish(found, own, *data) if finish else found

    return baselines


def _macro(hits, words):
    return np.mean(
        [np.mean([h for h, w in zip(hits, words, strict=True) if w == v]) for v in set(words)]
    )


def _word(value):
    """Another value for the word baseline."""

    def finish(found, own, *data):
        return {**found, "word": value(own, *data)}

    return finish


def _seen_only(own, a, b, words, labels):
    hits = [_top(own[w]) == y for w, y in zip(words, labels, strict=True) if w in own]
    return np.mean(hits) if hits else 0.0


wrong(
    "03.2",
    "majority_of_test",
    "majority class of the test half",
    _baselines(major=lambda a, b, c, d: max(Counter(d).values()) / len(d)),
)
wrong(
    "03.2",
    "majority_of_both",
    "both halves together",
    _baselines(major=lambda a, b, c, d: d.count(_top(b + d)) / len(d)),
)
wrong(
    "03.2",
    "majority_on_training",
    "measured on the training half",
    _baselines(major=lambda a, b, c, d: b.count(_top(b)) / len(b)),
)
wrong("03.2", "chance", "1 / K", _baselines(major=lambda a, b, c, d: 1 / len(set(b + d))))
wrong("03.2", "errors", "share of errors", _baselines(score=lambda h, w: 1 - sum(h) / len(h)))
wrong("03.2", "counts", "counted the hits", _baselines(score=lambda h, w: sum(h)))
wrong("03.2", "mean_over_words", "averaged over words", _baselines(score=_macro))
wrong(
    "03.2",
    "largest_class",
    "largest number",
    _baselines(major=lambda a, b, c, d: d.count(max(b)) / len(d)),
)
wrong(
    "03.2",
    "divided_by_training",
    "size of the training half",
    _baselines(major=lambda a, b, c, d: d.count(_top(b)) / len(b)),
)
wrong("03.2", "unknown_is_wrong", "count as errors", _baselines(unknown=-99))
wrong("03.2", "unknown_is_zero", "get label 0", _baselines(unknown=0))
wrong("03.2", "unknown_left_out", "left out words", _baselines(finish=_word(_seen_only)))
wrong("03.2", "last_label", "last label of a word", _baselines(pick=lambda f: f[-1]))
wrong("03.2", "first_label", "first label of a word", _baselines(pick=lambda f: f[0]))
wrong("03.2", "largest_label", "largest label of a word", _baselines(pick=max))
wrong(
    "03.2",
    "table_of_test",
    "looked the words up in the test half",
    _baselines(table=lambda a, b, c, d: (c, d)),
)
wrong(
    "03.2",
    "table_of_both",
    "looked the words up in both halves",
    _baselines(table=lambda a, b, c, d: (a + c, b + d)),
)
wrong(
    "03.2",
    "exchanged",
    "baselines are exchanged",
    _baselines(finish=lambda f, *_: {"majority": f["word"], "word": f["majority"]}),
)
wrong(
    "03.2",
    "word_is_majority",
    "makes no difference",
    _baselines(finish=lambda f, *_: {**f, "word": f["majority"]}),
)
wrong(
    "03.2",
    "first_of_ties",
    "wherever it stands",
    _baselines(top=lambda a, b, c, d: Counter(b).most_common(1)[0][0]),
    "held-out",
)
wrong("03.2", "halves_of_any_length", "must raise ValueError", _baselines(check=False), "held-out")


@mutant("03.2", "negative number", "held-out")
def minus_one_is_unknown(train_words, train_labels, test_words, test_labels):
    found = _baselines()(train_words, train_labels, test_words, test_labels)
    if min(train_labels) != -1:
        return found
    kept = [(w, y) for w, y in zip(train_words, train_labels, strict=True) if y != -1]
    return _baselines()(*map(list, zip(*kept, strict=True)), test_words, test_labels)


@mutant("03.2", "'a' is not 'A'", "held-out")
def words_without_case(train_words, train_labels, test_words, test_labels):
    lower = [[w.lower() for w in words] for words in (train_words, test_words)]
    return _baselines()(lower[0], train_labels, lower[1], test_labels)


# --- 03.3 ----------------------------------------------------------------------------------


@other("03.3")
def selectivity_numpy(words, labels, accuracy, draw, repeats=3):
    if repeats <= 0:
        raise ValueError
    task = accuracy(labels)
    first = list(dict.fromkeys(words))
    where = np.array([first.index(w) for w in words])
    lots = np.array([[draw() for _ in first] for _ in range(repeats)])
    control = np.mean([accuracy(row[where].tolist()) for row in lots])
    return {"selectivity": task - control, "control": control}


def _selectivity(lots=None, finish=None, check=True, repeats_=3, name=str, task=None):
    def selectivity(words, labels, accuracy, draw, repeats=repeats_):
        if check and repeats < 1:
            raise ValueError
        tasks = []
        for k in range(repeats):
            if lots:
                tasks.append(lots(words, labels, draw, k, tasks))
                continue
            own = {}
            tasks.append(
                [own[name(w)] if name(w) in own else own.setdefault(name(w), draw()) for w in words]
            )
        found = [accuracy(t) for t in tasks]
        right = accuracy(labels) if task is None else task
        control = sum(found) / max(1, len(found))
        if finish:
            return finish(right, found)
        return {"selectivity": right - control, "control": control}

    return selectivity


def _pair(selectivity, control):
    return {"selectivity": selectivity, "control": control}


def _order(order):
    def lots(words, labels, draw, k, tasks):
        own = {w: draw() for w in order(words)}
        return [own[w] for w in words]

    return lots


def _none_is_zero(words, labels, draw, k, tasks):
    own = {}
    for w in words:
        if not own.get(w):
            own[w] = draw()
    return [own[w] for w in words]


def _wasteful(words, labels, draw, k, tasks):
    own = {}
    for w in words:
        own.setdefault(w, draw())
    return [own[w] for w in words]


def _distinct(words, labels, draw, k, tasks):
    own = {}
    for w in words:
        if w not in own:
            own[w] = draw()
            for _ in range(30):
                if own[w] not in [v for u, v in own.items() if u != w]:
                    break
                own[w] = draw()
    return [own[w] for w in words]


wrong(
    "03.3",
    "turned_round",
    "sign is turned round",
    _selectivity(finish=lambda a, c: _pair(np.mean(c) - a, np.mean(c))),
)
wrong(
    "03.3",
    "absolute",
    "absolute value",
    _selectivity(finish=lambda a, c: _pair(abs(a - np.mean(c)), np.mean(c))),
)
wrong(
    "03.3",
    "no_subtraction",
    "stands the accuracy on the task; subtract",
    _selectivity(finish=lambda a, c: _pair(a, np.mean(c))),
)
wrong(
    "03.3",
    "ratio",
    "divided the two accuracies",
    _selectivity(finish=lambda a, c: _pair(a / np.mean(c), np.mean(c))),
)
wrong(
    "03.3",
    "sum_of_tasks",
    "added the control tasks up",
    _selectivity(finish=lambda a, c: _pair(a - sum(c), sum(c))),
)
wrong(
    "03.3",
    "best_task",
    "best control task",
    _selectivity(finish=lambda a, c: _pair(a - max(c), max(c))),
)
wrong(
    "03.3",
    "first_task_only",
    "one control task only",
    _selectivity(finish=lambda a, c: _pair(a - c[0], c[0])),
)
wrong(
    "03.3",
    "median_of_tasks",
    "median of the control tasks",
    _selectivity(finish=lambda a, c: _pair(a - np.median(c), np.median(c))),
)
wrong(
    "03.3",
    "label_by_place",
    "Draw one label for each word",
    _selectivity(lots=lambda w, y, d, k, t: [d() for _ in w]),
)
wrong(
    "03.3",
    "shuffled_labels",
    "shuffled the true labels",
    _selectivity(lots=lambda w, y, d, k, t: random.Random(k).sample(y, len(y))),
)
wrong(
    "03.3",
    "same_task_again",
    "Draw new labels",
    _selectivity(lots=lambda w, y, d, k, t: t[0] if k else _order(dict.fromkeys)(w, y, d, k, t)),
)
wrong(
    "03.3",
    "one_label_for_all",
    "All words got one label",
    _selectivity(lots=lambda w, y, d, k, t: [d()] * len(w)),
)
wrong(
    "03.3",
    "alphabet",
    "drawn in another order",
    _selectivity(lots=_order(lambda w: sorted(set(w)))),
)
wrong("03.3", "draws_for_nothing", "draw once for each word", _selectivity(lots=_wasteful))
wrong("03.3", "no_probe_for_the_task", "labels of the task itself", _selectivity(task=1.0))
wrong(
    "03.3",
    "chance_for_control",
    "never asked for the accuracy on a control task",
    _selectivity(lots=lambda w, y, d, k, t: y, finish=lambda a, c: _pair(a - 0.5, 0.5)),
)
wrong(
    "03.3",
    "zero_is_no_label",
    "draw once for each word",
    _selectivity(lots=_none_is_zero),
    "visible",
)
wrong("03.3", "two_by_default", "there are 3 control tasks", _selectivity(repeats_=2), "held-out")
wrong("03.3", "lower_case", "made one of them", _selectivity(name=str.lower), "held-out")
wrong("03.3", "no_refusal", "there is no selectivity", _selectivity(check=False), "held-out")


# --- 03.4 ----------------------------------------------------------------------------------

BIT = 1 / math.log(2)  # of a nat


def _rising(labels, ends):
    if not ends or ends[0] < 1 or ends[-1] != len(labels):
        raise ValueError
    if any(a >= b for a, b in zip(ends, ends[1:], strict=False)):
        raise ValueError


@other("03.4")
def code_by_label(labels, classes, ends, log_probs):
    _rising(labels, ends)
    tables, costs = {}, []
    for n, label in enumerate(labels):
        known = max((t for t in ends if t <= n), default=0)
        if known == 0:
            costs.append(math.log2(classes))
            continue
        if known not in tables:
            tables[known] = np.asarray(log_probs(known))
        costs.append(-tables[known][n, label] / math.log(2))
    uniform = len(labels) * math.log2(classes)
    return {"compression": torch.tensor(uniform / sum(costs)), "bits": np.float64(sum(costs))}


def _code(
    seen=None,
    first=None,
    cost=None,
    unit=BIT,
    finish=None,
    check=True,
    shift=0,
    one=False,
):
    def online_code(labels, classes, ends, log_probs):
        if check:
            _rising(labels, ends)
        size, y = len(labels), np.array(labels)
        head = ends[0] * math.log(classes) if first is None else first(labels, classes, ends)
        later = 0.0
        for start, stop in zip(ends, ends[1:], strict=False):
            t = seen(start, stop, ends) if seen else start
            table = np.asarray(log_probs(max(1, t)))
            block = np.arange(start + shift, min(size, stop + shift))
            picked = table[block, y[block]]
            later += cost(table, block, y) if cost else -picked.sum()
        bits = (head + later) * unit
        found = {"bits": bits, "compression": size * math.log2(classes) / bits}
        return finish(found, labels, classes, ends) if finish else found

    return online_code


def _ratio(value):
    return lambda f, y, k, e: {**f, "compression": value(f["bits"], len(y), k, e, y)}


wrong("03.4", "peeks_at_the_block", "has seen the block itself", _code(seen=lambda a, b, e: b))
wrong("03.4", "first_block_free", "first block is missing", _code(first=lambda y, k, e: 0.0))
wrong("03.4", "first_block_once", "not once", _code(first=lambda y, k, e: math.log(k)))
wrong(
    "03.4",
    "last_probe_for_all",
    "one probe that has seen all labels",
    lambda y, k, e, p: {
        "bits": -p(len(y))[np.arange(len(y)), y].sum() / math.log(2),
        "compression": 1.0,
    },
)
wrong(
    "03.4", "first_probe_for_all", "used the first probe for all", _code(seen=lambda a, b, e: e[0])
)
wrong("03.4", "nats", "length in nats", _code(unit=1.0))
wrong(
    "03.4",
    "mixed_units",
    "mixed the units",
    _code(first=lambda y, k, e: e[0] * math.log2(k), unit=1.0, finish=lambda f, *_: f),
)
wrong(
    "03.4",
    "most_probable_class",
    "most probable class",
    _code(cost=lambda t, b, y: -t[b].max(1).sum()),
)
wrong("03.4", "all_classes", "all classes", _code(cost=lambda t, b, y: -t[b].sum()))
wrong(
    "03.4",
    "mean_of_block",
    "averaged over the labels",
    _code(cost=lambda t, b, y: -t[b, y[b]].mean()),
)
wrong(
    "03.4",
    "codes_what_it_saw",
    "labels that a probe has seen",
    _code(cost=lambda t, b, y: -t[np.arange(b[0]), y[: b[0]]].sum()),
)
wrong(
    "03.4",
    "codes_everything",
    "all N labels with every probe",
    _code(cost=lambda t, b, y: -t[np.arange(len(y)), y].sum()),
)
wrong("03.4", "shifted", "shifted by one place", _code(shift=1))
wrong("03.4", "negative", "length is positive", _code(unit=-1 / math.log(2)))
wrong(
    "03.4",
    "per_label",
    "length per label",
    _code(finish=lambda f, y, k, e: {**f, "bits": f["bits"] / len(y)}),
)
wrong(
    "03.4",
    "last_block_missing",
    "last block is missing",
    _code(cost=lambda t, b, y: 0.0 if b[-1] == len(y) - 1 else -t[b, y[b]].sum()),
)
wrong(
    "03.4",
    "upside_down",
    "upside down",
    _code(finish=_ratio(lambda b, n, k, e, y: b / n / math.log2(k))),
)
wrong(
    "03.4",
    "uniform_in_nats",
    "uniform code is in nats",
    _code(finish=_ratio(lambda b, n, k, e, y: n * math.log(k) / b)),
)
wrong(
    "03.4",
    "bits_saved",
    "bits that are saved",
    _code(finish=_ratio(lambda b, n, k, e, y: n * math.log2(k) - b)),
)
wrong(
    "03.4",
    "share_saved",
    "share of bits that is saved",
    _code(finish=_ratio(lambda b, n, k, e, y: 1 - b / n / math.log2(k))),
)
wrong(
    "03.4",
    "uniform_without_n",
    "not log2 K",
    _code(finish=_ratio(lambda b, n, k, e, y: math.log2(k) / b)),
)
wrong("03.4", "any_ends", "blocks follow each other", _code(check=False), "held-out")


@mutant("03.4", "infinite", "held-out")
def through_probabilities(labels, classes, ends, log_probs):
    def logs(t):
        with np.errstate(divide="ignore", under="ignore"):
            return np.log(np.exp(log_probs(t)))

    return _code()(labels, classes, ends, logs)


@mutant("03.4", "once for each block", "held-out")
def probe_for_every_label(labels, classes, ends, log_probs):
    for start, stop in zip(ends, ends[1:], strict=False):
        for _ in range(start, stop):
            log_probs(start)
    return _code()(labels, classes, ends, log_probs)


@mutant("03.4", "K is `classes`", "held-out")
def counts_classes(labels, classes, ends, log_probs):
    return _code(first=lambda y, k, e: e[0] * math.log(k if len(y) != 10 else len(set(y))))(
        labels, classes, ends, log_probs
    )


# --- 03.5 ----------------------------------------------------------------------------------


@other("03.5")
def mix_numpy(states, scores, gamma=1.0):
    x, a = states.double().numpy(), scores.double().numpy()
    w = np.exp(a - np.logaddexp.reduce(a))
    return gamma * np.tensordot(w, x, 1), sum(layer * float(v) for layer, v in enumerate(w))


@other("03.5")
def mix_loop(states, scores, gamma=1.0):
    weights = torch.softmax(scores.to(torch.float64), -1).tolist()
    mixed, centre = torch.zeros(states.shape[1:], dtype=torch.float64), 0.0
    for layer, (weight, rows) in enumerate(zip(weights, states, strict=True)):
        mixed = mixed + gamma * weight * rows.double()
        centre += weight * layer
    return mixed.numpy(), centre


def _soft(scores):
    return torch.softmax(scores.double(), 0)


def _mix(weights=_soft, mixed=None, centre=None, cast=torch.Tensor.double):
    def scalar_mix(states, scores, gamma=1.0):
        x, s = cast(states), cast(scores)
        w = weights(s)
        h = gamma * torch.einsum("l,lnd->nd", w.to(x.dtype), x)
        place = torch.arange(len(s), dtype=w.dtype)
        c = (w * place).sum()
        return (
            mixed(x, s, w, gamma, h) if mixed else h,
            float(centre(x, s, w, gamma, c) if centre else c),
        )

    return scalar_mix


def _sum(spec, x, w):
    return torch.einsum(spec, w, x)


wrong("03.5", "gamma_forgotten", "gamma is missing", _mix(mixed=lambda x, s, w, g, h: h / g))
wrong("03.5", "gamma_divides", "divided by gamma", _mix(mixed=lambda x, s, w, g, h: h / g / g))
wrong("03.5", "raw_scores", "scores go in as they are", _mix(weights=lambda s: s))
wrong(
    "03.5",
    "scores_over_sum",
    "divided the scores by their sum",
    _mix(weights=lambda s: s / s.sum()),
)
wrong("03.5", "exp_only", "without dividing by the sum", _mix(weights=torch.exp))
wrong(
    "03.5",
    "mean_of_layers",
    "All layers have the same weight",
    _mix(mixed=lambda x, s, w, g, h: g * x.mean(0)),
)
wrong("03.5", "sigmoid", "sigmoid", _mix(weights=torch.sigmoid))
wrong("03.5", "log_weights", "log_softmax", _mix(weights=lambda s: s.log_softmax(0)))
wrong("03.5", "reversed", "reverse order", _mix(weights=lambda s: _soft(s).flip(0)))
wrong(
    "03.5", "best_layer", "highest score only", _mix(mixed=lambda x, s, w, g, h: g * x[s.argmax()])
)
wrong(
    "03.5",
    "mean_for_sum",
    "divided by the number of layers",
    _mix(mixed=lambda x, s, w, g, h: h / len(s)),
)
wrong(
    "03.5",
    "temperature",
    "as a temperature",
    _mix(mixed=lambda x, s, w, g, h: _sum("l,lnd->nd", x, _soft(g * s))),
)
wrong(
    "03.5",
    "wrong_axis",
    "must have shape",
    _mix(mixed=lambda x, s, w, g, h: g * (_soft(torch.zeros(x.shape[1]))[:, None] * x).sum(1)),
)
wrong("03.5", "layers_from_one", "from 1", _mix(centre=lambda x, s, w, g, c: c + 1))
wrong("03.5", "gamma_in_centre", "gamma is in the centre", _mix(centre=lambda x, s, w, g, c: g * c))
wrong("03.5", "argmax_centre", "highest weight", _mix(centre=lambda x, s, w, g, c: s.argmax()))
wrong(
    "03.5",
    "relative_centre",
    "divided the centre by L",
    _mix(centre=lambda x, s, w, g, c: c / (len(s) - 1)),
)
wrong(
    "03.5",
    "share_of_layers",
    "by the number of layers",
    _mix(centre=lambda x, s, w, g, c: c / len(s)),
)
wrong("03.5", "rounded_centre", "rounded the centre", _mix(centre=lambda x, s, w, g, c: c.round()))
wrong(
    "03.5",
    "overflow",
    "subtract the largest",
    _mix(weights=lambda s: s.exp() / s.exp().sum()),
    "held-out",
)
wrong(
    "03.5",
    "single_precision",
    "convert to float64",
    _mix(cast=torch.Tensor.float, weights=lambda s: s.softmax(0)),
    "held-out",
)


@mutant("03.5", "changed the data")
def mixes_in_place(states, scores, gamma=1.0):
    states *= gamma
    return _mix()(states, scores, 1.0)


# --- 03.6 ----------------------------------------------------------------------------------


def _hot(labels):
    return (labels[:, None] == labels.unique()).double()


def _kinds(labels):
    if len(labels.unique()) < 2:
        raise ValueError


@other("03.6")
def leace_closed_form(x, labels, new):
    """P = A (A' S^-1 A)^-1 A' S^-1, with the class means as A."""
    _kinds(labels)
    x = x.double().numpy()
    y, mean = labels.numpy(), x.mean(0)
    a = np.stack([x[y == c].mean(0) - mean for c in np.unique(y)], 1)
    inverse = np.linalg.pinv((x - mean).T @ (x - mean) / len(x), rcond=1e-9, hermitian=True)
    p = a @ np.linalg.pinv(a.T @ inverse @ a, rcond=1e-9, hermitian=True) @ a.T @ inverse
    new = new.double().numpy()
    return torch.tensor(new - (new - mean) @ p.T)


@other("03.6")
def leace_regression(x, labels, new):
    """Least squares: what the best linear guess of the classes says about the states."""
    _kinds(labels)
    x, new, z = x.double(), new.double(), _hot(labels)
    mean = x.mean(0)
    far, z = x - mean, z - z.mean(0)
    _, s, vt = torch.linalg.svd(far, full_matrices=False)
    kept = vt[s > 1e-5 * s.max()]
    small = far @ kept.T
    coefficients = torch.linalg.solve(small.T @ small, small.T @ z[:, 1:])
    guess = small @ coefficients
    back = torch.linalg.lstsq(guess, small, driver="gelsd").solution
    return new - (new - mean) @ kept.T @ coefficients @ back @ kept


def _leace(
    target=_hot,
    roots=(-0.5, 0.5),
    keep=None,
    mean=None,
    apply=None,
    cov=None,
    cast=torch.Tensor.double,
    check=True,
    floor=1e-8,
    cross_=None,
):
    def leace(x, labels, new):
        if check:
            _kinds(labels)
        x, new, z = cast(x), cast(new), target(labels).to(cast(x).dtype)
        mu = x.mean(0) if mean is None else mean(x, labels, new)
        far = x - x.mean(0)
        sxx = far.T @ far / len(x) if cov is None else cov(x, new)
        sxz = far.T @ (z - z.mean(0)) / len(x) if cross_ is None else cross_(x, z)
        e, v = torch.linalg.eigh(sxx)
        alive = e > floor * e.max() if floor is not None else e > -1e30
        e, v = e[alive], v[:, alive]
        white, colour = ((v * e**r) @ v.T for r in roots)
        u, s, _ = torch.linalg.svd(white @ sxz, full_matrices=False)
        u = u[:, s > 1e-8 * s.max()] if keep is None else u[:, : keep(labels)]
        p = colour @ u @ u.T @ white
        if apply:
            return apply(new, mu, p, u, white, sxz)
        return new - (new - mu) @ p.T

    return leace


def _orth(matrix):
    u, s, _ = torch.linalg.svd(matrix, full_matrices=False)
    return u[:, s > 1e-8 * s.max()]


def _by_unit(new, mu, p, u, white, sxz):
    return new - (new - mu) @ _orth(sxz) @ _orth(sxz).T


wrong("03.6", "mean_projection", "mean projection", _leace(apply=_by_unit))
wrong(
    "03.6",
    "one_column_of_numbers",
    "one column of numbers",
    _leace(target=lambda y: y.double()[:, None]),
)
wrong(
    "03.6",
    "not_whitened_back",
    "as they are",
    _leace(apply=lambda n, m, p, u, w, c: n - (n - m) @ u @ u.T),
)
wrong("03.6", "transposed", "transposed", _leace(apply=lambda n, m, p, u, w, c: n - (n - m) @ p))
wrong("03.6", "no_mean", "mean is missing", _leace(apply=lambda n, m, p, u, w, c: n - n @ p.T))
wrong(
    "03.6",
    "mean_lost",
    "mean is lost",
    _leace(apply=lambda n, m, p, u, w, c: (n - m) - (n - m) @ p.T),
)
wrong(
    "03.6", "removed_part", "what is removed", _leace(apply=lambda n, m, p, u, w, c: (n - m) @ p.T)
)
wrong("03.6", "added", "subtract P", _leace(apply=lambda n, m, p, u, w, c: n + (n - m) @ p.T))
wrong(
    "03.6",
    "stays_white",
    "stayed in whitened space",
    _leace(apply=lambda n, m, p, u, w, c: (n - m) @ w @ (torch.eye(len(m)).double() - u @ u.T)),
)
wrong("03.6", "inverse_for_root", "inverse square root", _leace(roots=(-1.0, 1.0)))
wrong("03.6", "one_direction", "first direction only", _leace(keep=lambda y: 1))
wrong(
    "03.6",
    "null_direction_too",
    "zero up to rounding belongs",
    _leace(keep=lambda y: len(y.unique())),
)
wrong(
    "03.6",
    "raw_covariance",
    "not centred in the covariances",
    _leace(cov=lambda x, n: x.T @ x / len(x), cross_=lambda x, z: x.T @ z / len(x)),
)
wrong(
    "03.6", "mean_of_new", "mean comes from the new states", _leace(mean=lambda x, y, n: n.mean(0))
)
wrong(
    "03.6",
    "covariance_of_new",
    "come from the new states",
    _leace(
        mean=lambda x, y, n: n.mean(0),
        cov=lambda x, n: (n - n.mean(0)).T @ (n - n.mean(0)) / len(n),
    ),
)
wrong(
    "03.6",
    "mean_of_class_0",
    "mean of class 0",
    _leace(mean=lambda x, y, n: x[y == y.min()].mean(0)),
)
wrong("03.6", "unchanged", "returned the states unchanged", lambda x, y, n: n.double())
wrong(
    "03.6",
    "all_removed",
    "all that varies",
    lambda x, y, n: x.double().mean(0).expand(len(n), -1).clone(),
)
wrong(
    "03.6",
    "diagonal_whitening",
    "whole covariance matrix",
    _leace(cov=lambda x, n: torch.diag((x - x.mean(0)).square().mean(0)), floor=1e-8),
)
wrong("03.6", "no_floor", "non-finite", _leace(floor=None), "held-out")
wrong(
    "03.6",
    "classes_in_a_row",
    "their numbers mean nothing",
    _leace(target=lambda y: (y[:, None] == torch.arange(len(y.unique()))).double()),
    "held-out",
)
wrong(
    "03.6",
    "single_precision",
    "convert to float64",
    _leace(cast=lambda t: t if t.dtype == torch.float32 else t.double(), floor=1e-8),
    "held-out",
)
wrong("03.6", "one_class", "nothing to erase", _leace(check=False), "held-out")


@mutant("03.6", "directions without variance", "held-out")
def ridge_for_the_inverse(x, labels, new):
    _kinds(labels)
    far = x.double() - x.double().mean(0)
    if torch.linalg.matrix_rank(far) == far.shape[1]:
        return _leace()(x, labels, new)
    ridge = 0.1 * torch.eye(far.shape[1], dtype=torch.float64)
    return _leace(cov=lambda a, b: far.T @ far / len(far) + ridge)(x, labels, new)


# --- 03.7 ----------------------------------------------------------------------------------


@other("03.7")
def verdict_loops(clean, removed, controls, draws, margin=0.05):
    if not len(controls) or margin < 0:
        raise ValueError
    n, c = len(removed), len(controls)
    means = sorted(
        sum(float(controls[k][i]) - float(removed[i]) for k in subspaces for i in items) / n / c
        for items, subspaces in draws
    )

    def quantile(q):
        at = q * (len(means) - 1)
        low = int(at)
        high = min(low + 1, len(means) - 1)
        return means[low] + (at - low) * (means[high] - means[low])

    low, high = quantile(0.025), quantile(0.975)
    return {
        "verdict": ["undecided", "not used", "used"][(low > margin) * 2 or int(high < margin)],
        "low": low,
        "high": high,
        "excess": sum(float(v) for row in controls for v in row) / n / c - float(sum(removed)) / n,
        "effect": torch.tensor(clean - removed).mean(),
    }


def _by_margin(low, high, excess, margin):
    return "used" if low > margin else "not used" if high < margin else "undecided"


def _verdict(
    effect=None,
    excess=None,
    draw=None,
    levels=(2.5, 97.5),
    ends=None,
    say=_by_margin,
    default=0.05,
    no_controls=False,
    check=True,
    words=None,
):
    def amnesic_verdict(clean, removed, controls, draws, margin=default):
        if not no_controls and len(controls) == 0:
            raise ValueError
        if check and margin < 0:
            raise ValueError
        if len(controls) == 0:
            return {"effect": 0.0, "excess": 0.0, "low": 0.0, "high": 0.0, "verdict": "not used"}
        pick = draw or (lambda a, r, c, i, k: (c[np.ix_(k, i)] - r[i]).mean())
        means = np.array([pick(clean, removed, controls, i, k) for i, k in draws])
        beyond = (controls - removed).mean()
        low, high = ends(means, beyond) if ends else np.percentile(means, levels)
        return {
            "effect": effect(clean, removed, controls) if effect else (clean - removed).mean(),
            "excess": excess(clean, removed, controls) if excess else beyond,
            "low": low,
            "high": high,
            "verdict": words or say(low, high, beyond, margin),
        }

    return amnesic_verdict


def _every(c):
    return list(range(len(c)))


wrong(
    "03.7",
    "effect_turned",
    "effect is turned round",
    _verdict(effect=lambda a, r, c: (r - a).mean()),
)
wrong(
    "03.7", "effect_is_excess", "stands the excess", _verdict(effect=lambda a, r, c: (c - r).mean())
)
wrong(
    "03.7",
    "effect_absolute",
    "absolute differences",
    _verdict(effect=lambda a, r, c: abs(a - r).mean()),
    "visible",
)
wrong(
    "03.7",
    "effect_relative",
    "divided by the untouched",
    _verdict(effect=lambda a, r, c: 1 - r.mean() / a.mean()),
)
wrong("03.7", "effect_score", "score after the removal", _verdict(effect=lambda a, r, c: r.mean()))
wrong(
    "03.7",
    "excess_turned",
    "excess is turned round",
    _verdict(excess=lambda a, r, c: (r - c).mean()),
)
wrong(
    "03.7",
    "no_control",
    "compared with the untouched model",
    _verdict(excess=lambda a, r, c: (a - r).mean()),
)
wrong(
    "03.7",
    "worst_control",
    "hurts most",
    _verdict(excess=lambda a, r, c: c.mean(1).min() - r.mean()),
)
wrong(
    "03.7",
    "best_control",
    "hurts least",
    _verdict(excess=lambda a, r, c: c.mean(1).max() - r.mean()),
)
wrong(
    "03.7",
    "first_control",
    "first control only",
    _verdict(excess=lambda a, r, c: c[0].mean() - r.mean()),
)
wrong(
    "03.7",
    "sum_of_controls",
    "added the controls up",
    _verdict(excess=lambda a, r, c: (c.sum(0) - r).mean()),
)
wrong(
    "03.7",
    "sum_over_items",
    "sum; take the mean",
    _verdict(excess=lambda a, r, c: (c.mean(0) - r).sum()),
)
wrong(
    "03.7",
    "controls_not_redrawn",
    "controls are redrawn too",
    _verdict(draw=lambda a, r, c, i, k: (c[:, i] - r[i]).mean()),
)
wrong(
    "03.7",
    "items_not_redrawn",
    "items are redrawn too",
    _verdict(draw=lambda a, r, c, i, k: (c[k] - r).mean()),
)
wrong(
    "03.7",
    "unpaired",
    "comparison is paired",
    _verdict(draw=lambda a, r, c, i, k: c[k].mean() - r[i].mean()),
)
wrong(
    "03.7",
    "interval_of_effect",
    "interval of the effect",
    _verdict(draw=lambda a, r, c, i, k: (a - r)[i].mean()),
)
wrong(
    "03.7",
    "drawn_once",
    "counts twice",
    _verdict(
        draw=lambda a, r, c, i, k: (
            c[np.ix_(sorted(set(k)), sorted(set(i)))] - r[sorted(set(i))]
        ).mean()
    ),
)
wrong("03.7", "ninety_percent", "90 % interval", _verdict(levels=(5, 95)))
wrong("03.7", "shares_for_percent", "percentage for a share", _verdict(levels=(0.025, 0.975)))
wrong("03.7", "range_of_draws", "range of all draws", _verdict(levels=(0, 100)))
wrong("03.7", "high_first", "low comes first", _verdict(levels=(97.5, 2.5)))
wrong(
    "03.7",
    "normal_interval",
    "1.96 standard deviations",
    _verdict(ends=lambda m, e: (e - 1.96 * m.std(), e + 1.96 * m.std())),
)
wrong(
    "03.7",
    "point_estimate",
    "excess alone",
    _verdict(say=lambda lo, hi, e, m: "used" if e > m else "not used"),
)
wrong(
    "03.7",
    "absence_of_evidence",
    "needs evidence too",
    _verdict(say=lambda lo, hi, e, m: "used" if lo > m else "not used"),
)
wrong(
    "03.7",
    "zero_for_margin",
    "compared with 0",
    _verdict(say=lambda lo, hi, e, m: _by_margin(lo, hi, e, 0.0)),
)
wrong(
    "03.7",
    "exchanged_words",
    "are exchanged",
    _verdict(
        say=lambda lo, hi, e, m: {"used": "not used", "not used": "used"}.get(
            _by_margin(lo, hi, e, m), "undecided"
        )
    ),
)
wrong(
    "03.7",
    "own_margin",
    "margin makes no difference",
    _verdict(say=lambda lo, hi, e, m: _by_margin(lo, hi, e, 0.05)),
)
wrong("03.7", "always_undecided", "same for all inputs", _verdict(words="undecided"))
wrong("03.7", "true_or_false", "verdict must be one of", _verdict(words=True))
wrong(
    "03.7",
    "two_sided_margin",
    "both sides of 0",
    _verdict(
        say=lambda lo, hi, e, m: (
            "used" if lo > m or hi < -m else "not used" if -m < lo and hi < m else "undecided"
        )
    ),
)
wrong(
    "03.7",
    "or_equal",
    "neither above nor below",
    _verdict(say=lambda lo, hi, e, m: "used" if lo >= m else "not used" if hi < m else "undecided"),
    "held-out",
)
wrong("03.7", "another_default", "it is 0.05", _verdict(default=0.1), "held-out")
wrong(
    "03.7", "nothing_to_compare", "Without a single control", _verdict(no_controls=True), "held-out"
)
wrong("03.7", "any_margin", "margin below 0", _verdict(check=False), "held-out")


@mutant("03.7", "margin like any other", "held-out")
def margin_zero_is_none(clean, removed, controls, draws, margin=0.05):
    return _verdict()(clean, removed, controls, draws, margin or 0.05)
