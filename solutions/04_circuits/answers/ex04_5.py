"""04.5, edge attribution patching: answers, mistakes and draws (instructors only)."""

from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("04.5", "all edges at once: EAP and EAP-IG")


def midpoints(steps):
    return [(k + 0.5) / steps for k in range(steps)] if steps else [1.0]


def straight(t, clean, corrupted):
    return corrupted + t * (clean - corrupted)


def average(slopes):
    return sum(slopes) / len(slopes)


def products(change, slope):
    return torch.einsum("wntd,rntd->wr", change, slope) / change.shape[1]


def existing(table, allowed):
    return table.masked_fill(~allowed, 0.0)


@ANSWERS.right
def edge_attribution(
    gradients, clean, corrupted, allowed, steps=0, points=midpoints, path=straight, mean=average,
    change=torch.sub, combine=products, mask=existing,
):  # fmt: skip
    clean, corrupted = torch.stack([clean, corrupted]).double()
    slopes = [gradients(path(t, clean[0], corrupted[0])).double() for t in points(steps)]
    return mask(combine(change(clean, corrupted), mean(slopes)), allowed)


@ANSWERS.other
def edge_by_edge(gradients, clean, corrupted, allowed, steps=0):
    start, end = corrupted[0].double(), clean[0].double()
    weights = np.linspace(0, 1, 2 * steps + 1)[1::2] if steps else np.ones(1)
    slope = torch.stack([gradients(torch.lerp(start, end, w)).double() for w in weights]).mean(0)
    found = np.zeros(tuple(allowed.shape))
    for w, r in allowed.nonzero().tolist():
        each = (clean[w].double() - corrupted[w].double()) * slope[r]
        found[w, r] = each.flatten(1).sum(1).mean().item()
    return found


def full(reduce):
    """Scores from all products [W, R, N, T, d]."""
    return lambda *two: reduce(torch.einsum("wntd,rntd->wrntd", *two))


CLEAN_ALONE = "You took the gradient at the clean run alone, whatever `steps` is."
# fmt: off
for step, message, *ways in [
    ("change", "The sign is turned round: the factor is clean - corrupted.", lambda a, b: b - a),
    ("change", "You multiplied by the outputs of one run. The factor is the difference of the two.",
     lambda a, b: a, lambda a, b: b),
    ("change", "You used the embedding's difference for every writer; each row has its own.",
     lambda a, b: (a - b)[:1].expand_as(a)),
    ("combine", "You added the prompts up; a score is the mean over prompts.",
     full(lambda x: x.sum((2, 3, 4)))),
    ("combine", "You averaged over positions or dimensions. Sum over both, average over prompts.",
     full(lambda x: x.sum(4).mean((2, 3))), full(lambda x: x.sum(3).mean((2, 3))),
     full(lambda x: x.mean((2, 3, 4)))),
    ("combine", "You used the last position only; sum over all of them.",
     lambda d, g: products(d[:, :, -1:], g[:, :, -1:])),
    ("combine", "You used the first prompt only; average over all of them.",
     lambda d, g: products(d[:, :1], g[:, :1])),
    ("combine", "You averaged over the prompts before multiplying. Multiply within each prompt, "
     "then average.", lambda d, g: products(d.mean(1, True), g.mean(1, True))),
    ("combine", "You summed over positions before multiplying. What an edge carries at a position "
     "meets the gradient at that position.", lambda d, g: products(d.sum(2, True), g.sum(2, True))),
    ("combine", "You took absolute values, of products, prompts or scores; the sign says whether "
     "an edge supports the answer.", full(lambda x: x.abs().sum((3, 4)).mean(2)),
     full(lambda x: x.sum((3, 4)).abs().mean(2)), lambda d, g: products(d, g).abs()),
    ("combine", "You used the first reader's gradient for every reader; each column has its own.",
     lambda d, g: products(d, g[:1].expand_as(g))),
    ("combine", "You left out the gradient.", lambda d, g: products(d, torch.ones_like(g))),
    ("mask", "You divided by the largest score. Scores keep the unit of the metric.",
     lambda table, allowed: existing(table, allowed) / existing(table, allowed).abs().max()),
    ("mask", "Some of your edges do not exist: where `allowed` is False the score is 0.",
     lambda table, allowed: table),
    ("mask", "The mask is inverted: `allowed` is True where there is an edge.",
     lambda table, allowed: existing(table, ~allowed)),
    ("mask", "Writers stand in rows, readers in columns; yours are exchanged.",
     lambda table, allowed: existing(table, allowed).T),
    ("points", "You took the gradient at the corrupted run. EAP takes it at the clean one, and "
     "EAP-IG along the path.", lambda n: [0.0], lambda n: midpoints(n) if n else [0.0]),
    ("points", "You took the gradient in the middle between the runs; steps = 0 asks for that at "
     "the clean run.", lambda n: midpoints(n or 1)),
    ("points", CLEAN_ALONE, lambda n: [1.0]),
    ("points", "The points of your path are left, right or evenly spaced ones. The midpoint rule "
     "takes the middle of each of the equal steps: (k + 1/2) / steps.",
     lambda n: [k / n for k in range(n)] or [1.0], lambda n: [(k + 1) / n for k in range(n)] or [1],
     lambda n: np.linspace(0, 1, n + 2)[1:-1] if n else [1.0],
     lambda n: np.linspace(0, 1, n) if n else [1.0]),
    ("mean", "You added the gradients of all steps up; take their mean.", sum),
    ("path", "The path starts at 0 and not at the corrupted embeddings.", lambda t, a, b: t * a),
    ("path", "The path leads out at one of its ends: points are corrupted + t * (clean - "
     "corrupted).", lambda t, a, b: a + t % 1 * (a - b), lambda t, a, b: b - t * (a - b)),
]:
    ANSWERS.mistake(message, *(partial(edge_attribution, **{step: way}) for way in ways))
for message, wrong in {
    CLEAN_ALONE: partial(edge_attribution, points=lambda n: midpoints(n if n > 1 else 0)),
    "Without `steps` the scores are those of EAP.": (
        lambda *given: edge_attribution(*given, *[5][len(given) - 4:])),
    "Small differences of large outputs got lost: subtract first, and sum in float64.": partial(
        edge_attribution, change=lambda a, b: torch.stack([a, b]),
        combine=lambda both, g: products(both[0], g).float() - products(both[1], g).float()),
    "You called `gradients` more often than `steps` asks for; each call costs a backward pass.": (
        lambda gradients, clean, *more: torch.stack(
            [edge_attribution(gradients, clean, *more)[w] for w in range(len(clean))])),
}.items():
    ANSWERS.mistake(message, wrong, held_out=True)
# fmt: on


@ANSWERS.witness("The rule")
def half_of_the_path(*given):
    return edge_attribution(*given, points=lambda n: midpoints(2 * n)[:n] if n else [1.0])


def draw(sizes, *more, note="", tolerance=1e-5, **options):
    options |= {"sizes": sizes, "more": more}
    return Draw("attribution", options, note, tolerance, observe=options.pop("observe", ""))


RULE = (
    "The rule: for each edge the sum over positions and dimensions of (clean - corrupted) of the "
    "writer times the gradient of the reader; then the mean over prompts. The gradient is that at "
    "the clean embeddings, or its mean over the midpoints of the path."
)
HINT = "One score for each edge, writers in rows, readers in columns."
SIZES = [4, 3, 3, 4, 2], [3, 5, 2, 3, 5], [2, 2, 5, 2, 3]
ANSWERS.part("the gradient at the clean run", 5, [draw(size, 0) for size in SIZES], RULE, HINT)
PATHS = [draw(size, steps) for size, steps in zip(SIZES, (3, 4, 2), strict=True)]
ANSWERS.part("the gradient along the path", 4, PATHS, RULE, HINT)
GRAPHS = [draw([5, 4, 3, 2, 3], n, exist=edges) for n in (0, 2) for edges in ("all", "any", "any")]
ANSWERS.part("edges that exist", 2, GRAPHS, RULE, HINT)
LONG = [
    *(draw([2, 3, 2, 3, 2], steps, exist="all") for steps in (1, 40)),
    draw([2, 3, 2, 3, 2], note="Without `steps` the scores are those of EAP."),
    draw([3, 2, 2, 3, 2], 2, size=1e-5, power=1, note="Small outputs."),
    draw([3, 2, 2, 3, 2], 2, size=1e5, power=0, grad=True, note="Large outputs, with gradients."),
    draw([3, 2, 2, 3, 2], 2, exist="none", note="A graph without edges."),
]
ANSWERS.part("one step and many, defaults", 3, LONG, RULE, HINT, held_out=True)
EXACT = {"exist": "all", "power": 0, "observe": "scores_and_calls", "size": 0.01, "offset": 3000}
COST = (
    "Small differences of large outputs: subtract first, and sum in float64. (Value 2 is how often "
    "`gradients` was called.)"
)
CAREFUL = [
    *(
        draw([w, 3, *shape], n, note=COST, tolerance=1e-6, dtype=kind, slopes=kind, **EXACT)
        for w, *shape, n in ((1, 1, 1, 4, 0), (2, 1, 3, 4, 2), (3, 4, 1, 4, 3))
        for kind in ("float32", "float64")
    ),
    draw([2, 3, 2, 2, 3], 0, dtype="bfloat16", slopes="bfloat16", note="Outputs in bfloat16."),
    draw([2, 3, 2, 2, 3], 0, dtype="float16", slopes="float32", note="Outputs in float16."),
]
ANSWERS.part("precision and cost", 2, CAREFUL, RULE, HINT, held_out=True)
