"""Checks of 03.4 and 03.5: the online code, the scalar mix (see unit03.py)."""

from __future__ import annotations

import math

import numpy as np
import torch

from course_lib.checks.calling import as_number, as_table, compare
from course_lib.checks.results import Wrong

# --- 03.4 online_code(labels, classes, ends, log_probs) -> dict ---------------------------------


class Learner:
    """Random log-probabilities [N, K] in nats that depend on how many labels were seen."""

    def __init__(self, rng, size, classes, spread=1.0):
        self.seed = int(rng.integers(2**31))
        self.size, self.classes, self.spread = size, classes, spread

    def __call__(self, seen):
        seen = int(seen)
        if not 1 <= seen <= self.size:
            raise ValueError(
                f"log_probs({seen}): a probe needs at least one label, and there are {self.size}."
            )
        scores = np.random.default_rng([self.seed, seen]).normal(size=(self.size, self.classes))
        scores *= self.spread
        top = scores.max(1, keepdims=True)
        return scores - top - np.log(np.exp(scores - top).sum(1, keepdims=True))


def block_nats(labels, ends, learner, seen=None, shift=0):
    """The nats of each block after the first, by probes fitted on ``seen`` labels each."""
    seen = ends[:-1] if seen is None else seen
    blocks = []
    for start, stop, t in zip(ends, ends[1:], seen, strict=False):
        places = [n for n in range(start + shift, stop + shift) if n < len(labels)]
        table = learner(max(1, t))
        blocks.append([-table[n, labels[n]] for n in places])
    return blocks


def code_mistakes(labels, classes, ends, learner):
    size, first = len(labels), ends[0] * math.log(classes)
    blocks = block_nats(labels, ends, learner)
    later = sum(map(sum, blocks))
    right = (first + later) / math.log(2)
    whole = learner(size)[np.arange(size), labels]
    all_rows = [learner(t).sum(1) for t in ends[:-1]]
    best = [-learner(t)[s:e].max(1).sum() for t, s, e in zip(ends, ends, ends[1:], strict=False)]
    everything = [-learner(t)[np.arange(size), labels].sum() for t in ends[:-1]]
    before = [-learner(t)[np.arange(t), labels[:t]].sum() for t in ends[:-1]]
    nats = {
        "Each block is coded by the probe that has seen the labels before it. Yours has seen the "
        "block itself.": first + sum(map(sum, block_nats(labels, ends, learner, ends[1:]))),
        "The first block is missing: no probe has been fitted yet, so each label costs log2 "
        "K.": later,
        "The first block costs log2 K for each of its labels, not once.": math.log(classes) + later,
        "All labels cost log2 K in your code; only the first block is sent that way.": size
        * math.log(classes),
        "You used one probe that has seen all labels. Who receives the code does not have "
        "it.": -whole.sum(),
        "You used the first probe for all blocks; each block has its own, fitted on all labels "
        "before it.": first
        + sum(map(sum, block_nats(labels, ends, learner, [ends[0]] * (len(ends) - 1)))),
        "Each label costs -log2 of its own probability. You took the most probable class.": first
        + sum(best),
        "You added up the log-probabilities of all classes; take that of the label.": first
        - sum(r[s:e].sum() for r, s, e in zip(all_rows, ends, ends[1:], strict=False)),
        "You averaged over the labels of a block; the code is a sum.": first
        + sum(map(np.mean, blocks)),
        "You coded all N labels with every probe; a probe codes the block after its labels.": first
        + sum(everything),
        "You coded the labels that a probe has seen; it codes the block after them.": first
        + sum(before),
        "The last block is missing.": first + sum(map(sum, blocks[:-1])),
        "Your blocks are shifted by one place: a block begins at the place where the block before "
        "ended.": first + sum(map(sum, block_nats(labels, ends, learner, shift=1))),
        "The sign is turned round: a code length is positive.": -(first + later),
        "The sign of the learnt blocks is turned round: a label costs minus its "
        "log-probability.": first - later,
        "For the first block you counted the classes among its labels; K is `classes`.": ends[0]
        * math.log(max(1, len(set(labels[: ends[0]]))))
        + later,
        "You mixed the units: the first block is in bits, the others are in nats.": (
            first / math.log(2) + later
        )
        * math.log(2),
        "You mixed the units: the first block is in nats, the others are in bits.": (
            first * math.log(2) + later
        ),
    }
    mistakes = {message: value / math.log(2) for message, value in nats.items()}
    mistakes["This is the length in nats; divide by ln 2 for bits."] = right * math.log(2)
    mistakes["You multiplied by ln 2 twice, or divided twice."] = right / math.log(2)
    mistakes["This is the length per label; `bits` is the length of the whole code."] = right / size
    mistakes["You used the logarithm to base 10; bits are base 2."] = right * math.log10(2)
    return right, mistakes


def code_answer(student, labels, classes, ends, learner):
    answer = student(labels, classes, ends, learner)
    return as_table(answer, {"bits", "compression"})


CODES = ((12, 3, [3, 6, 12]), (20, 5, [2, 4, 8, 20]), (15, 2, [5, 9, 14, 15]), (9, 4, [1, 9]))


def code_bits(student, rng):
    for size, classes, ends in CODES:
        labels = rng.integers(classes, size=size).tolist()
        learner = Learner(rng, size, classes)
        table = code_answer(student, labels, classes, ends, learner)
        right, mistakes = code_mistakes(labels, classes, ends, learner)
        otherwise = (
            f"For {size} labels of {classes} classes in blocks that end at {ends}, the code has "
            f"{right:.3f} bits."
        )
        compare(table["bits"], right, mistakes, otherwise, tolerance=1e-7)


def code_compression(student, rng):
    for size, classes, ends in CODES:
        labels = rng.integers(classes, size=size).tolist()
        learner = Learner(rng, size, classes)
        table = code_answer(student, labels, classes, ends, learner)
        right, bits = code_mistakes(labels, classes, ends, learner)
        uniform = size * math.log2(classes)
        mistakes = {
            "Compression is upside down: it is N log2 K over the bits, above 1 for labels that can "
            "be learnt.": right / uniform,
            "The uniform code is in nats and the length in bits; take both in bits.": uniform
            * math.log(2)
            / right,
            "You returned the bits that are saved; compression is a ratio.": uniform - right,
            "You returned the share of bits that is saved; compression is N log2 K over the "
            "bits.": 1 - right / uniform,
            "The uniform code of N labels has N log2 K bits, not log2 K.": math.log2(classes)
            / right,
            "The uniform code is N log2 K; you left the logarithm out.": size * classes / right,
            "You compared with N bits; a label of K classes costs log2 K.": size / right,
            "The labels of the first block are missing in the uniform code.": (size - ends[0])
            * math.log2(classes)
            / right,
            "You divided by the code without its first block.": uniform
            / (right - ends[0] * math.log2(classes)),
            **{f"The length in it is wrong. {m}": uniform / v for m, v in bits.items() if v},
        }
        otherwise = f"The uniform code has {uniform:.3f} bits, yours has {table['bits']:.3f}."
        compare(table["compression"], uniform / right, mistakes, otherwise, tolerance=1e-7)


# --- 03.5 scalar_mix(states [L + 1, N, d], scores [L + 1], gamma) -> (mixed [N, d], centre) -----


def mix_answer(student, states, scores, gamma):
    answer = student(states, scores, gamma)
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Wrong("Return a pair: the mixed states [N, d] and the centre of gravity.")
    mixed, centre = answer
    if not isinstance(mixed, (torch.Tensor, np.ndarray)):
        raise Wrong(f"The mixed states must be a tensor; yours is a {type(mixed).__name__}.")
    if isinstance(mixed, torch.Tensor):
        mixed = mixed.detach().double().numpy()
    if tuple(mixed.shape) != tuple(states.shape[1:]):
        shape = list(states.shape[1:])
        raise Wrong(
            f"The mixed states must have shape {shape}; yours have {list(mixed.shape)}: the layers "
            "are added up, places and units stay."
        )
    if not np.isfinite(mixed).all():
        raise Wrong("The mixed states are nan or infinite: subtract the largest score before exp.")
    return mixed, as_number(centre, "the centre of gravity")


def soft(scores):
    scores = np.asarray(scores, dtype=float)
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


def mix_cases(rng):
    for layers, places, width in ((4, 3, 5), (7, 2, 6), (4, 4, 4), (5, 1, 3)):
        states = torch.tensor(rng.normal(size=(layers, places, width)))
        scores = torch.tensor(rng.normal(size=layers) * 1.5 + 0.7)
        yield states, scores, float(rng.uniform(1.3, 3.0) * rng.choice([-1, 1]))


def mix_states(student, rng):
    for states, scores, gamma in mix_cases(rng):
        x, s = states.numpy(), scores.numpy()
        weights, layers = soft(s), len(s)

        def mixed(w, x=x):
            return np.einsum("l,lnd->nd", w, x)

        right = gamma * mixed(weights)
        mistakes = {
            "gamma is missing: it scales the whole sum.": mixed(weights),
            "You divided by gamma; it multiplies the sum.": mixed(weights) / gamma,
            "You used gamma without its sign.": abs(gamma) * mixed(weights),
            "The scores go in as they are. Their softmax gives the weights.": gamma * mixed(s),
            "You divided the scores by their sum; the softmax of them gives the weights.": gamma
            * mixed(s / s.sum()),
            "You used exp(score) without dividing by the sum.": gamma * mixed(np.exp(s)),
            "All layers have the same weight in your mix.": gamma * x.mean(0),
            "You used the sigmoid of each score; the weights of a softmax sum to 1.": gamma
            * mixed(1 / (1 + np.exp(-s))),
            "gamma is inside the softmax (as a temperature); it scales the sum.": mixed(
                soft(gamma * s)
            ),
            "gamma is inside the softmax and outside too; it scales the sum only.": gamma
            * mixed(soft(gamma * s)),
            "The layers are in reverse order.": gamma * mixed(weights[::-1]),
            "You took the layer with the highest score only.": gamma * x[s.argmax()],
            "You divided by the number of layers; the weights sum to 1 already.": right / layers,
            "You used log_softmax; the weights are probabilities.": gamma * mixed(np.log(weights)),
            "You normalised each state to length 1 before mixing; leave the states as they "
            "are.": gamma * mixed(weights, x / np.linalg.norm(x, axis=-1, keepdims=True)),
            "You used softmax of the negative scores.": gamma * mixed(soft(-s)),
        }  # fmt: skip
        if layers == x.shape[1]:
            wrong = gamma * np.einsum("n,lnd->ld", weights, x)
            mistakes["You mixed the places (axis 1); mix the layers (axis 0)."] = wrong
        if layers == x.shape[1] == x.shape[2]:
            for spec in ("d,lnd->ln", "d,lnd->nl"):
                wrong = gamma * np.einsum(spec, weights, x)
                mistakes[f"You mixed the units (axis 2); mix the layers (axis 0). {spec}"] = wrong
        got, _ = mix_answer(student, states, scores, gamma)
        otherwise = "The mix is gamma times the sum over layers of softmax(scores)[l] states[l]."
        compare(got, right, mistakes, otherwise, tolerance=1e-5)


def mix_centre(student, rng):
    for states, scores, gamma in mix_cases(rng):
        s = scores.numpy()
        weights, layers = soft(s), len(s)
        places = np.arange(layers)
        right = float(weights @ places)
        mistakes = {
            "You counted the layers from 1; the embedding is layer 0.": right + 1,
            "gamma is in the centre of gravity; it scales the states only.": gamma * right,
            "The centre is weighted by the raw scores; use their softmax.": float(s @ places),
            "The centre is weighted by the scores over their sum; use their softmax.": float(
                s @ places / s.sum()
            ),
            "The weights of the centre do not sum to 1: divide by the sum of exp(score).": float(
                np.exp(s) @ places
            ),
            "You returned the layer with the highest weight; the centre is a mean over all "
            "layers.": float(s.argmax()),
            "You divided the centre by the number of layers; it is a layer, from 0 to L.": right
            / layers,
            "You divided the centre by L; it is a layer, from 0 to L.": right / (layers - 1),
            "The layers are in reverse order: layer 0 is the embedding.": layers - 1 - right,
            "All layers have the same weight in your centre.": (layers - 1) / 2,
            "You returned the largest weight.": float(weights.max()),
            "You rounded the centre; it may lie between two layers.": round(right),
            "You used softmax of the negative scores.": float(soft(-s) @ places),
            "gamma is inside the softmax; it scales the states only.": float(
                soft(gamma * s) @ places
            ),
            "You weighted the layers by the size of the mixed states; weight them by the softmax "
            "of the scores.": float(
                (weights * np.abs(states.numpy()).mean((1, 2))) @ places
                / (weights * np.abs(states.numpy()).mean((1, 2))).sum()
            ),
        }  # fmt: skip
        _, got = mix_answer(student, states, scores, gamma)
        otherwise = f"The centre of gravity is the sum of l * weight[l] = {right:.4f}."
        compare(got, right, mistakes, otherwise, tolerance=1e-5)
