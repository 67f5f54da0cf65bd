"""03.5, scalar mix and centre of gravity: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch

from course_lib.checks.drawing import draws
from course_lib.grading.answers import Answers

ANSWERS = Answers("03.5", "scalar mix and centre of gravity")


def soft(scores):
    return scores.softmax(0)


def total(weights, states):
    return torch.einsum("l,lnd->nd", weights, states)


@ANSWERS.right
def scalar_mix(states, scores, gamma=1.0, weights=soft, mixed=None, centre=None):
    x, shares = states.double(), weights(scores.double())
    h, place = gamma * total(shares, x), shares @ torch.arange(len(x)).double()
    h = h if mixed is None else mixed(h, gamma, x, shares)
    return h, place if centre is None else centre(place, gamma, x, shares)


@ANSWERS.other
def with_numpy(states, scores, gamma=1.0):
    x, a = states.double().numpy(), scores.detach().double().numpy()
    w = np.exp(a - np.logaddexp.reduce(a))
    return gamma * np.tensordot(w, x, 1), sum(layer * float(v) for layer, v in enumerate(w))


@ANSWERS.other
def one_layer_after_the_other(states, scores, gamma=1.0):
    """The mix requires a gradient where the scores do."""
    shares = torch.softmax(scores.to(torch.float64), -1)
    rows = [gamma * share * layer.double() for share, layer in zip(shares, states, strict=True)]
    return sum(rows), sum(layer * share for layer, share in enumerate(shares.tolist()))


WEIGHTS = {
    "The scores go in as they are. Their softmax gives the weights.": lambda a: a,
    "You divided the scores by their sum; take their softmax.": lambda a: a / a.sum(),
    "You used exp(score) without dividing by the sum.": torch.exp,
    "All layers have the same weight in your answer.": lambda a: torch.full_like(a, 1 / len(a)),
    "You used the sigmoid of each score; the weights of a softmax sum to 1.": torch.sigmoid,
    "You used log_softmax; the weights are probabilities.": lambda a: a.log_softmax(0),
    "The layers are in reverse order: layer 0 is the embedding.": lambda a: soft(a).flip(0),
    "You took the layer with the highest score only.": lambda a: (a == a.max()).double(),
}  # fmt: skip
MIXED = {
    "gamma is missing: it scales the whole sum.": lambda h, gamma, *_: h / gamma,
    "You divided by gamma; it multiplies the sum.": lambda h, gamma, *_: h / gamma**2,
    "You divided by the number of layers; the weights sum to 1.": lambda h, g, x, _: h / len(x),
    "You mixed the places; mix the layers.": lambda h, g, x, w: g * total(w, x.transpose(0, 1)),
    "You mixed the units; mix the layers.": lambda h, g, x, w: g * total(w, x.permute(2, 0, 1)),
}  # fmt: skip
CENTRES = {
    "You counted the layers from 1; the embedding is layer 0.": lambda c, *_: c + 1,
    "gamma is in the centre of gravity; it scales the states only.": lambda c, g, *_: g * c,
    "You divided the centre by the number of layers.": lambda c, g, x, _: c / len(x),
    "You divided the centre by L; it is a layer, from 0 to L.": lambda c, g, x, _: c / (len(x) - 1),
    "You rounded the centre; it may lie between two layers.": lambda c, *_: c.round(),
}  # fmt: skip
ANSWERS.variants(scalar_mix, weights=WEIGHTS, mixed=MIXED, centre=CENTRES)
ANSWERS.mistake(
    "gamma is inside the softmax (as a temperature); it scales the sum only.",
    lambda x, scores, gamma=1.0: scalar_mix(x, scores * gamma, 1.0),
    lambda x, scores, gamma=1.0: scalar_mix(x, scores * gamma, gamma),
)
TOO_LARGE = {"Before exp subtract the largest score.": lambda a: a.exp() / a.exp().sum()}
ANSWERS.variants(scalar_mix, weights=TOO_LARGE, held_out=True)


@ANSWERS.mistake("You computed in the type of the states: convert to float64 first.", held_out=True)
def in_their_own_type(states, scores, gamma=1.0):
    weights = soft(scores)
    return gamma * total(weights, states), (weights * torch.arange(len(weights))).sum()


@ANSWERS.witness("changed the data")
def in_place(states, scores, gamma=1.0):
    states *= gamma
    return scalar_mix(states, scores)


RULE = (
    "With weights s = softmax(scores): gamma times the sum of s[l] states[l], and that of l s[l]."
)
shapes = ((4, 3, 5), (4, 4, 4), (5, 1, 3), {"of": (7, 2, 6), "kind": "learnt"})
for name, points, what in (
    ("the mixed states", 4, "mixed"),
    ("the centre of gravity", 3, "centre"),
):
    some = draws("layers", *shapes, tolerance=1e-5, observe=what)
    ANSWERS.part(name, points, some, RULE, "The layers are added up, places and units stay.")
scores = ([1000.0, 999.0, 1001.5], [-2000.0, -2000.0, -2003.0], [0.0, 5000.0, 0.0], [0.3] * 3)
far = ({"of": (3, 4, 2), "scores": row} for row in scores)
far = draws("layers", *far, note="A constant added to all scores changes nothing.")
far += draws("layers", (1, 2, 3), note="A single layer is layer 0.")
far += draws("layers", {"of": (3, 2, 3), "gamma": None}, note="Without `gamma` it is 1.")
ANSWERS.part("scores far apart, one layer", 2, far, RULE, held_out=True)
SHIFTED = {"of": (5, 3, 4), "size": 20.0, "shift": 300.0, "gamma": 0.001}
some = [SHIFTED | {"dtype": kind} for kind in ("float16", "bfloat16", "float32", "float64")]
some += [{"of": (4, 2, 3), "size": size, "kind": "turned"} for size in (1e-5, 1e5)]
NOTE = "States of any float type and size: convert to float64 first."
some = draws("layers", *some, note=NOTE, tolerance=1e-10)
ANSWERS.part("precision", 2, some, RULE, held_out=True)
