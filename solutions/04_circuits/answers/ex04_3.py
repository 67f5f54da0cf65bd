"""04.3, patching a node: answers, mistakes and draws (instructors only)."""

from functools import partial

import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("04.3", "patch a node, in both directions")


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


@ANSWERS.right
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


@ANSWERS.other
def with_a_hook(layers, readout, clean, corrupted, node, position=None, direction="noising"):
    tokens, kind = range(clean.shape[1]), ("noising", "denoising").index(direction)
    if node not in range(len(layers) + 1) or position not in {None, *tokens}:
        raise ValueError

    def run(start, hook):
        stream = torch.zeros_like(start)
        for k, writes in enumerate([lambda _: start, *layers]):
            stream = stream + (hook if k == node else torch.clone)(writes(stream))
        return readout(stream)

    host, donor = (clean, corrupted)[:: (1, -1)[kind]]
    where, seen = torch.tensor([position in (None, t) for t in tokens])[:, None], []
    run(donor, lambda output: seen.append(output) or output)
    patched = run(host, lambda output: torch.where(where, seen[0], output))
    return ((run(host, torch.clone) - patched) * (-1) ** kind).tolist()


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
        asked = change(layers, readout, clean, corrupted, node, position, way=direction)
        return patch_node(*asked)

    return answer


ALL = "You patched all positions. Only the given one changes."
DEFAULT = "Without `position` and `direction`: all positions, noising."
# fmt: off
for step, message, *ways in [
    ("effect", "The sign is turned round: positive means that the clean value supports the answer.",
     lambda b, a, p, sign: sign * (p - b), lambda b, a, p, sign: b - p,
     lambda b, a, p, sign: p - b),
    ("effect", "You returned the metric of the patched run; return how far it moved.",
     lambda b, a, p, sign: p),
    ("effect", "You measured from the other run: noising is clean - patched, denoising patched - "
     "corrupted.", lambda b, a, p, sign: sign * (p - a)),
    ("effect", "You divided by the gap between the two runs. Keep the unit of the metric.",
     lambda b, a, p, sign: (b - p) / (b - a)),
    ("effect", "You returned absolute values: the sign says what the clean value supports.",
     lambda b, a, p, sign: (b - p).abs()),
    ("effect", "One number per prompt, please: without them there is no interval.",
     lambda b, a, p, sign: sign * (b - p).mean()),
    ("run", "Your later layers still write what they wrote before the patch. They read the changed "
     "stream, so they have to compute again.", direct),
    ("lend", "You replaced the whole stream after this node. Replace only what the node adds.",
     streams),
    ("lend", "You put 0 in place. A patch puts in what the node writes in the other run.",
     put(lambda lent, own: 0 * own)),
    ("lend", "You added the other run's value on top. It takes the place of the node's own.",
     put(lambda lent, own: lent + own)),
    ("lend", "You put in the difference of the two runs, not the other run's value itself.",
     put(lambda lent, own: lent - own)),
    ("lend", "Your patch changes nothing. The value that is put in comes from a run on the other "
     "prompts.", put(lambda lent, own: own)),
    ("lend", "The value comes from the node's layer on the bare embeddings of the other run. Run "
     "that prompt through all layers before it.",
     lambda layers, donor, host, node: layers[node - 1](donor) if node else donor),
    ("at", ALL, lambda p: slice(None)),
    ("at", "You patched the last position, whatever `position` says.",
     lambda p: slice(None) if p is None else -1),
    ("at", "You patched the last position only; None asks for all positions.",
     lambda p: -1 if p is None else p),
    ("at", "You patched position 0 only; None asks for all positions.", lambda p: p or 0),
    ("at", "You patched a neighbouring position; positions are counted from 0.",
     lambda p: slice(None) if p is None else p - 1, lambda p: slice(None) if p is None else p + 1),
]:
    ANSWERS.mistake(message, *(partial(patch_node, **{step: way}) for way in ways))
for message, *ways in [
    ("The direction is the other way round: noising runs the clean prompts and puts the corrupted "
     "value in, denoising the reverse.",
     lambda *x, way: [*x, {"noising": "denoising", "denoising": "noising"}.get(way, way)],
     lambda *x, way: [*x, {"denoising": "noising"}.get(way, way)],
     lambda *x, way: [*x, {"noising": "denoising"}.get(way, way)]),
    ("You subtracted in the wrong order for this direction, and exchanged the runs as well.",
     lambda layers, readout, *two, way: [layers, readout, two[1], two[0], *two[2:], way]),
    ("You patched the node before this one: node k is what layers[k - 1] writes.",
     lambda *x, way: [*x[:4], x[4] - (0 < x[4] <= len(x[0])), x[5], way]),
    ("You patched the node after this one: node k is what layers[k - 1] writes.",
     lambda *x, way: [*x[:4], x[4] + (0 <= x[4] < len(x[0])), x[5], way]),
]:
    ANSWERS.mistake(message, *map(asked, ways))
# fmt: on
held_out = partial(ANSWERS.mistake, held_out=True)
held_out(ALL, partial(patch_node, at=lambda position: position or slice(None)))
held_out(DEFAULT, lambda *given: patch_node(*given, *(None, "denoising")[len(given) - 5 :]))


@ANSWERS.witness("The rule")
def halfway(*given):
    return patch_node(*given, lend=put(lambda lent, own: (lent + own) / 2))


def draw(sizes, *more, note="", tolerance=1e-5, refused=False, **options):
    options |= {"sizes": sizes, "more": more}
    return Draw("stack", options, note, tolerance, refused=refused)


RULE = (
    "The rule: run the other prompts and keep the node's output; run again, put it in place at "
    "this position, let all later layers compute on it, and compare with the unpatched run."
)
HINT = "One effect for each prompt."
SAME = "Clean values put into the clean prompts change nothing."
WAYS = "noising", "denoising"
for way in WAYS:
    inner = ([4, 4, 3, 2], 1, 1), ([3, 6, 3, 3], 1, 3), ([3, 6, 3, 3], 2, 2)
    one = [draw(*place, way) for place in inner]
    one += [draw([3, 4, 3, 2], 1, 2, way, same=True, note=SAME)]
    ANSWERS.part(f"{way} at one position", 3, one, RULE, HINT)
WHOLE = [
    draw(size, node, position, way)
    for size, way in zip(([3, 4, 3, 2], [5, 2, 3, 3]), WAYS, strict=True)
    for node, position in ((size[3] - 1, None), (0, None), (0, size[1] - 1))
]
ANSWERS.part("all positions, and the embedding", 3, WHOLE, RULE, HINT)
ENDS = [
    draw(size, node, position, way)
    for size in ([3, 3, 3, 2], [1, 1, 3, 1], [2, 4, 3, 5])
    for way in WAYS
    for node, position in ((0, 0), (size[3], 0), (size[3], size[1] - 1), (size[3], None))
]
ENDS += [
    *(draw([3, 2, 4, 0], 0, at, "denoising", note="No layers.") for at in (None, 0, 1)),
    draw([3, 3, 2, 2], 1, note=DEFAULT),
    draw([3, 3, 2, 2], 0, 1, note=DEFAULT),
    draw([3, 3, 2, 2], 1, 2, "noising", size=1e-5, note="Small embeddings."),
    draw([3, 3, 2, 2], 0, 2, "denoising", size=1e5, grad=True, note="They require gradients."),
    draw([3, 3, 2, 2], 1, None, "noising", dtype="float32", tolerance=1e-4, note="In float32."),
]
ANSWERS.part("ends of the stream, defaults", 3, ENDS, RULE, HINT, held_out=True)
EXIST = "Nodes are 0 to 2, positions 0 to 2, directions noising and denoising: raise ValueError for"
PLACES = [3, 0], [-1, 0], [1, 3], [1, -1, "denoising"], [1, 0, "clean"], [1, None, ""]
BAD = [draw([2, 3, 2, 2], *where, note=f"{EXIST} {where}.", refused=True) for where in PLACES]
ANSWERS.part("nodes that exist", 2, BAD, RULE, held_out=True)
