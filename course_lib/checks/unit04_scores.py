"""Checks of 04.5: edge attribution patching, with and without a path (see unit04.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import compare
from course_lib.checks.results import Wrong
from course_lib.checks.unit04_values import as_array

# --- 04.5 edge_attribution(gradients, clean, corrupted, allowed, steps) -> [W, R] ---------------

ONE_SCORE = "One score for each edge, writers in rows, readers in columns."
NOT_MIDPOINT = (
    "The points of your path are {} ones. The midpoint rule takes the middle of each of the equal "
    "steps: (k + 1/2) / steps."
)


class Gradients:
    """Gradients [R, N, T, d] that depend on the embeddings by a polynomial we know."""

    def __init__(self, rng, readers, prompts, tokens, width, power=3):
        self.shape = (prompts, tokens, width)
        size = (power + 1, readers, prompts, tokens, width)
        self.weights = torch.tensor(rng.uniform(0.3, 1, size=size) * rng.choice([-1, 1], size=size))

    def __call__(self, embeddings):
        if not isinstance(embeddings, torch.Tensor) or tuple(embeddings.shape) != self.shape:
            raise ValueError(
                f"gradients takes the embeddings of all prompts, a tensor {list(self.shape)}: "
                "writer 0, or a point on the path between its two values."
            )
        e = embeddings.detach().double()
        return sum(weights * e**k for k, weights in enumerate(self.weights))


def edges(rng, writers, readers):
    """A graph [W, R] with holes in it: later readers have more writers before them."""
    allowed = torch.arange(writers)[:, None] <= torch.arange(readers)[None] * writers // readers
    allowed = allowed.clone()
    allowed[0, readers // 2] = False
    return allowed


def problem(rng, writers, readers, prompts, tokens, width, power=3):
    gradients = Gradients(rng, readers, prompts, tokens, width, power)
    clean, corrupted = torch.tensor(rng.normal(size=(2, writers, prompts, tokens, width)))
    # Differences that do not cancel out, so that a lost sign or a lost factor shows.
    corrupted = clean + torch.where(corrupted > 0, 0.4 + corrupted, corrupted - 0.4)
    return gradients, clean, corrupted, edges(rng, writers, readers)


def products(difference, gradient, allowed):
    """Sum over positions and dimensions of difference [W, N, T, d] times gradient [R, ...]."""
    each = torch.einsum("wntd,rntd->wrn", difference, gradient.double())
    return (each.mean(-1) * allowed).numpy()


def along(gradients, clean, corrupted, nodes):
    """Mean gradient at these nodes of the way from the corrupted (0) to the clean (1) embedding."""
    return sum(gradients(corrupted[0] + t * (clean[0] - corrupted[0])) for t in nodes) / len(nodes)


def attribution_mistakes(gradients, clean, corrupted, allowed, steps):
    change = clean - corrupted
    nodes = (np.arange(steps) + 0.5) / steps if steps else np.ones(1)
    mean = along(gradients, clean, corrupted, nodes)
    right = products(change, mean, allowed)
    prompts, tokens, width = clean.shape[1:]
    full = torch.einsum("wntd,rntd->wrntd", change, mean)
    first = change[:1].expand_as(change)
    mask = allowed.numpy()
    mistakes = {
        "The sign is turned round: an edge whose corrupted value lowers the metric gets a positive "
        "score, so the factor is clean - corrupted.": -right,
        "You multiplied by the clean outputs. The factor is the difference between the two "
        "runs.": products(clean, mean, allowed),
        "You multiplied by the corrupted outputs. The factor is the difference between the two "
        "runs.": products(corrupted, mean, allowed),
        "You added the prompts up; a score is the mean over prompts.": right * prompts,
        "You averaged over the positions. Sum over them: the edge carries all of them at once.":
            right / tokens,
        "You averaged over the dimensions. Sum over them, as a product of vectors does.":
            right / width,
        "You averaged over positions and dimensions; sum over both, and average over prompts "
        "only.": right / tokens / width,
        "You used the last position only; sum over all of them.": products(
            change[:, :, -1:], mean[:, :, -1:], allowed),
        "You used the first prompt only; average over all of them.": products(
            change[:, :1], mean[:, :1], allowed),
        "You averaged outputs and gradients over the prompts before multiplying. Multiply within "
        "each prompt, then average.": products(
            change.mean(1, keepdim=True), mean.mean(1, keepdim=True), allowed),
        "You summed over positions before multiplying. What an edge carries at a position meets "
        "the gradient at that position.": products(
            change.sum(2, keepdim=True), mean.sum(2, keepdim=True), allowed),
        "You took absolute values; the sign says whether an edge supports the answer.": abs(right),
        "You took absolute values before summing; products of either sign cancel.":
            full.abs().sum((3, 4)).mean(2).numpy() * mask,
        "You took absolute values of each prompt; prompts of either sign cancel.":
            full.sum((3, 4)).abs().mean(2).numpy() * mask,
        "You used the embedding's difference for every writer; each row has its own.": products(
            first, mean, allowed),
        "You used the first reader's gradient for every reader; each column has its own.": products(
            change, mean[:1].expand_as(mean), allowed),
        "You left out the gradient.": np.broadcast_to(
            change.sum((2, 3)).mean(1)[:, None], mask.shape) * mask,
        "You divided by the largest score. Scores keep the unit of the metric.": right
        / abs(right).max(),
    }  # fmt: skip
    unmasked = products(change, mean, torch.ones_like(allowed))
    mistakes["Some of your edges do not exist: a reader cannot read what is written after it. "
             "Where `allowed` is False the score is 0."] = unmasked  # fmt: skip
    mistakes["The mask is inverted: `allowed` is True where there is an edge."] = unmasked * ~mask

    def at(points):
        return products(change, along(gradients, clean, corrupted, points), allowed)

    if steps == 0:
        mistakes["You took the gradient at the corrupted run. EAP is the first-order approximation "
                 "at the clean run."] = at([0.0])  # fmt: skip
        mistakes["You took the gradient in the middle between the runs; steps = 0 asks for that at "
                 "the clean run."] = at([0.5])  # fmt: skip
    else:
        mistakes["You took the gradient at the clean run alone, whatever `steps` is."] = at([1.0])
        mistakes["You took the gradient at the corrupted run alone. Average it along the path."] = (
            at([0.0])
        )
        mistakes["You added the gradients of all steps up; take their mean."] = right * steps
        mistakes[NOT_MIDPOINT.format("left")] = at(np.arange(steps) / steps)
        mistakes[NOT_MIDPOINT.format("right")] = at((np.arange(steps) + 1) / steps)
        mistakes[NOT_MIDPOINT.format("evenly spaced inner")] = at(
            np.arange(1, steps + 1) / (steps + 1)
        )
        if steps > 1:
            mistakes[NOT_MIDPOINT.format("evenly spaced end-to-end")] = at(
                np.arange(steps) / (steps - 1)
            )
        from_zero = sum(gradients(t * clean[0]) for t in nodes) / steps
        mistakes["The path starts at 0 and not at the corrupted embeddings."] = products(
            change, from_zero, allowed
        )
        past = sum(gradients(clean[0] + t * (clean[0] - corrupted[0])) for t in nodes) / steps
        mistakes["The path leads past the clean embeddings: points are corrupted + t * (clean - "
                 "corrupted)."] = products(change, past, allowed)  # fmt: skip
        away = sum(gradients(corrupted[0] - t * (clean[0] - corrupted[0])) for t in nodes) / steps
        mistakes[
            "The path leads from the corrupted embeddings to the wrong side: points are corrupted "
            "+ t * (clean - corrupted)."
        ] = products(change, away, allowed)
    return right, mistakes


def attribution_compare(student, gradients, clean, corrupted, allowed, steps):
    answer = student(gradients, clean, corrupted, allowed, steps)
    got = as_array(answer, tuple(allowed.shape), "the scores", ONE_SCORE)
    right, mistakes = attribution_mistakes(gradients, clean, corrupted, allowed, steps)
    where = f"averaged over {steps} midpoints of the path" if steps else "at the clean embeddings"
    otherwise = (
        "Wrong scores. For each edge: sum over positions and dimensions of (clean - corrupted) of "
        f"the writer times the gradient of the reader, {where}; then the mean over prompts."
    )
    compare(got, right, mistakes, otherwise, tolerance=1e-6)
    return got


SIZES = ((4, 3, 3, 4, 2), (3, 5, 2, 3, 5), (2, 2, 5, 2, 3))  # writers, readers, prompts, T, d


def attribution_clean(student, rng):
    for size in SIZES:
        attribution_compare(student, *problem(rng, *size), 0)


def attribution_path(student, rng):
    for size, steps in zip(SIZES, (3, 4, 2), strict=True):
        attribution_compare(student, *problem(rng, *size), steps)


def attribution_allowed(student, rng):
    gradients, clean, corrupted, _ = problem(rng, 5, 4, 3, 2, 3)
    every = torch.ones(5, 4, dtype=torch.bool)
    for steps in (0, 2):
        scores = attribution_compare(student, gradients, clean, corrupted, every, steps)
        for _ in range(2):
            some = torch.tensor(rng.random((5, 4)) < 0.6)
            got = attribution_compare(student, gradients, clean, corrupted, some, steps)
            if np.abs(got[~some.numpy()]).max(initial=0) > 1e-12:
                raise Wrong("Where there is no edge the score is exactly 0.")
            otherwise = "The score of an edge does not depend on which other edges exist."
            compare(got, scores * some.numpy(), {}, otherwise, tolerance=1e-6)
