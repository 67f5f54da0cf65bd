"""04.3, patching a node: answers, mistakes and draws (instructors only)."""

from functools import partial

import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("04.3", "patch a node, in both directions")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def outputs(layers, start, node=None, change=None):
    """What every node writes where one of them writes ``change(its output)``."""
    written = []
    for k in range(len(layers) + 1):
        output = layers[k - 1](sum(written)) if k else start
        written.append(change(output.clone()) if k == node else output)
    return written


def lent_by(layers, donor, host, node):
    return outputs(layers, donor)[node]


def moved(before, after, patched, sign):
    return sign * (before - patched)


def places(position):
    return slice(None) if position is None else position


@right
def patch_node(
    layers, readout, clean, corrupted, node, position=None, direction="noising",
    lend=lent_by, at=places, run=outputs, effect=moved,
):  # fmt: skip
    if direction not in ("noising", "denoising") or not 0 <= node <= len(layers):
        raise ValueError("directions are noising and denoising, nodes 0 to L")
    if position is not None and not 0 <= position < clean.shape[1]:
        raise ValueError("positions are 0 to T - 1")
    sign, host, donor = 1, clean, corrupted
    if direction == "denoising":
        sign, host, donor = -1, corrupted, clean
    lent = lend(layers, donor, host, node)

    def change(output):
        output[:, at(position)] = lent[:, at(position)]
        return output

    metrics = (readout(sum(outputs(layers, start))) for start in (host, donor))
    return effect(*metrics, readout(sum(run(layers, host, node, change))), sign)


def up_to(layers, start, node):
    """The stream before a node, and what the node writes."""
    stream, written = 0 * start, start
    for layer in layers[:node]:
        stream = stream + written
        written = layer(stream)
    return stream, written


@other
def from_the_node_on(layers, readout, clean, corrupted, node, position=None, direction="noising"):
    """One prompt after the other, from the stream before the node."""
    tokens, hosts = range(clean.shape[1]), ("noising", "denoising").index(direction)
    if node not in range(len(layers) + 1) or position not in {None, *tokens}:
        raise ValueError
    where = torch.tensor([position in (None, t) for t in tokens])[:, None]
    found = []
    for pair in zip(clean.split(1), corrupted.split(1), strict=True):
        stream, own = up_to(layers, pair[hosts], node)
        swapped = torch.where(where, up_to(layers, pair[1 - hosts], node)[1], own)
        both = [stream + own, stream + swapped]
        for layer in layers[node:]:
            both = [x + layer(x) for x in both]
        found.append((-1) ** hosts * float(readout(both[0]) - readout(both[1])))
    return found


def direct(layers, host, node, change):
    written = outputs(layers, host)
    return [change(x.clone()) if k == node else x for k, x in enumerate(written)]


def streams(layers, donor, host, node):
    """Puts the other run's stream after the node in place, by what the node itself adds."""
    return sum(outputs(layers, donor)[: node + 1]) - sum(outputs(layers, host)[:node])


def put(combine):
    """Puts in what is made of the node's outputs in the lending and in the running prompt."""
    return lambda layers, *two: combine(*(outputs(layers, start)[two[-1]] for start in two[:2]))


def asked(change):
    """The answer to a question in which ``change`` exchanged some of the seven arguments."""

    def answer(layers, readout, clean, corrupted, node, position=None, direction="noising"):
        question = [layers, readout, clean, corrupted, node, position, direction]
        return patch_node(*change(*question[:4], question[4:]))

    return answer


OTHER = {"noising": "denoising", "denoising": "noising"}
TURNED = "The sign is turned round: positive means that the clean value supports the answer."
# fmt: off
for step, message, *ways in [
    ("effect", TURNED, lambda b, a, p, sign: sign * (p - b), lambda b, a, p, sign: b - p,
     lambda b, a, p, sign: p - b),
    ("effect", "You returned the metric of the patched run; return how far it moved.",
     lambda b, a, p, sign: p),
    ("effect", "You measured from the other run: noising is clean - patched, denoising patched - "
     "corrupted.", lambda b, a, p, sign: sign * (p - a)),
    ("effect", "You divided by the gap between the two runs. Return the effect in the unit of the "
     "metric.", lambda b, a, p, sign: (b - p) / (b - a)),
    ("effect", "You returned absolute values: the sign says whether the clean value supports the "
     "answer.", lambda b, a, p, sign: (b - p).abs()),
    ("effect", "One number per prompt, please: without them there is no interval.",
     lambda b, a, p, sign: sign * (b - p).mean()),
    ("run", "Your later layers still write what they wrote before the patch. They read the changed "
     "stream, so they have to compute again.", direct),
    ("lend", "You replaced the whole stream after this node. Replace what the node itself adds, "
     "and leave what the others wrote.", streams),
    ("lend", "You put 0 in place. A patch puts in what the node writes in the other run.",
     put(lambda lent, own: 0 * own)),
    ("lend", "You added the other run's value on top. It takes the place of the node's own.",
     put(lambda lent, own: lent + own)),
    ("lend", "You put in the difference of the two runs; the other run's value itself belongs "
     "there.", put(lambda lent, own: lent - own)),
    ("lend", "Your patch changes nothing. The value that is put in comes from a run on the other "
     "prompts; keep what each node writes there.", put(lambda lent, own: own)),
    ("lend", "The value comes from the node's layer on the bare embeddings of the other run. Run "
     "that prompt through all layers before it.",
     lambda layers, donor, host, node: layers[node - 1](donor) if node else donor),
    ("at", "You patched all positions. Only the given one changes.", lambda p: slice(None)),
    ("at", "You patched the last position, whatever `position` says.",
     lambda p: slice(None) if p is None else -1),
    ("at", "You patched the last position only; None asks for all positions.",
     lambda p: -1 if p is None else p),
    ("at", "You patched position 0 only; None asks for all positions.", lambda p: p or 0),
    ("at", "You patched a neighbouring position; positions are counted from 0.",
     lambda p: slice(None) if p is None else p - 1, lambda p: slice(None) if p is None else p + 1),
]:
    mistake(message, *(partial(patch_node, **{step: way}) for way in ways))
for message, *ways in [
    ("The direction is the other way round: noising runs the clean prompts and puts the corrupted "
     "value in, denoising the reverse.",
     lambda *x: [*x[:4], *x[4][:2], OTHER.get(x[4][2], x[4][2])],
     lambda *x: [*x[:4], *x[4][:2], {"denoising": "noising"}.get(x[4][2], x[4][2])],
     lambda *x: [*x[:4], *x[4][:2], {"noising": "denoising"}.get(x[4][2], x[4][2])]),
    ("You subtracted in the wrong order for this direction, and exchanged the runs as well.",
     lambda layers, readout, clean, corrupted, where: [layers, readout, corrupted, clean, *where]),
    ("You patched the node before this one: node 0 is the embedding, and node k what layers[k - 1] "
     "writes.", lambda *x: [*x[:4], x[4][0] - (0 < x[4][0] <= len(x[0])), *x[4][1:]]),
    ("You patched the node after this one: node 0 is the embedding, and node k what layers[k - 1] "
     "writes.", lambda *x: [*x[:4], x[4][0] + (0 <= x[4][0] < len(x[0])), *x[4][1:]]),
]:
    mistake(message, *map(asked, ways))
# fmt: on
mistake(
    "You patched all positions. Only the given one changes.",
    partial(patch_node, at=lambda position: position or slice(None)),
    held_out=True,
)


@mistake("Without `position` and `direction`: all positions, noising.", held_out=True)
def denoising_by_default(*given):
    return patch_node(*given, *(None, "denoising")[len(given) - 5 :])


@witness("The rule")
def halfway(*given):
    return patch_node(*given, lend=put(lambda lent, own: (lent + own) / 2))


def draw(sizes, *more, note="", tolerance=1e-8, **options):
    return Draw("stack", {"sizes": sizes, "more": more, **options}, note, tolerance)


RULE = (
    "The rule: run the other prompts and keep the node's output; run again, put it in place at "
    "this position, let all later layers compute on it, and compare with the unpatched run."
)
HINT = "One effect for each prompt."
SAME = "Clean values put into the clean prompts change nothing."
for way in ("noising", "denoising"):
    one = [
        draw([4, 4, 3, 2], 1, 1, way),
        draw([3, 6, 3, 3], 1, 3, way),
        draw([3, 6, 3, 3], 2, 2, way),
        draw([3, 4, 3, 2], 1, 2, way, same=True, note=SAME),
    ]
    ANSWERS.part(f"{way} at one position", 3, one, RULE, HINT)
WHOLE = [
    draw([prompts, tokens, 3, depth], node, position, way)
    for prompts, tokens, depth in ((3, 4, 2), (5, 2, 3))
    for way in ("noising", "denoising")
    for node, position in ((depth - 1, None), (0, None), (0, tokens - 1))
]
ANSWERS.part("all positions, and the embedding", 3, WHOLE, RULE, HINT)
ENDS = [
    *(
        draw([prompts, tokens, 3, depth], node, position, way)
        for prompts, tokens, depth in ((3, 3, 2), (1, 1, 1), (2, 4, 5))
        for way in ("noising", "denoising")
        for node, position in ((0, 0), (depth, 0), (depth, tokens - 1), (depth, None))
    ),
    *(draw([3, 2, 4, 0], 0, at, "denoising", note="No layers.") for at in (None, 0, 1)),
    draw([3, 3, 2, 2], 1, note="By default: all positions, noising."),
    draw([3, 3, 2, 2], 0, 1, note="By default: noising."),
    draw([3, 3, 2, 2], 1, 2, "noising", size=1e-5, tolerance=1e-6, note="Small embeddings."),
    draw([3, 3, 2, 2], 0, 2, "denoising", size=1e5, grad=True, note="They require gradients."),
    draw([3, 3, 2, 2], 1, None, "noising", dtype="float32", tolerance=1e-4, note="In float32."),
]
ANSWERS.part("ends of the stream, defaults", 3, ENDS, RULE, HINT, held_out=True)
BAD = [
    Draw(
        "stack",
        {"sizes": [2, 3, 2, 2], "more": more},
        refused=True,
        note=f"Nodes 0 to 2, positions 0 to 2, noising or denoising: {more} must raise ValueError.",
    )
    for more in ([3, 0], [-1, 0], [1, 3], [1, -1, "denoising"], [1, 0, "clean"], [1, None, ""])
]
ANSWERS.part("nodes that exist", 2, BAD, RULE, held_out=True)
