"""How fast patching is, against one forward pass per cell.

    python benchmarks/patching.py [--quick] [repetitions]

Sweeps over layer x position and layer x head: the plain loop runs the whole model once for each
cell and reads the last row of its logits. The library batches the cells of a layer, starts at
that layer, computes the logits it needs, and leaves out the positions before the first changed
token, where both runs hold the same: their keys and values are computed once, and no cell changes
anything there. The second line counts only the positions that can change anything, for both.

EAP: scores of all edges of the graph of heads, against one plain forward pass (logits of all
positions) over the same prompts. All in one process, in turns; results must agree.
`--quick` takes fewer prompts.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch
import transformers

from course_lib import load_model
from course_lib.activations import record, replace
from course_lib.circuits import build_graph, eap
from course_lib.patching import sweep_heads, sweep_positions
from course_lib.tasks import Task, capitals, greater_than

PROMPTS, TOLERANCE = 16, 1e-4


@torch.no_grad()
def plain_sweep(lm, task: Task, sites: list[str], positions: list) -> torch.Tensor:
    """Denoising, one forward pass over all prompts for each site and position."""
    with record(lm, sites) as seen:
        lm(task.clean)
    clean = dict(seen)
    values = []
    for site in sites:
        for position in positions:

            def put(x, new=clean[site], position=position):
                x[:, position] = new[:, position]
                return x

            with replace(lm, {site: put}):
                values.append(task.measure(lm(task.corrupted).logits[:, -1]))
    return torch.stack(values).view(len(sites), len(positions), -1)


def seconds(call: Callable) -> tuple[float, torch.Tensor]:
    start = time.perf_counter()
    value = call()
    return time.perf_counter() - start, value


def sweeps(lm, task: Task) -> dict[str, tuple[Callable, Callable]]:
    layers, heads = range(6), range(8)
    stream = [f"resid_pre.{layer}" for layer in layers]
    z = [f"z.{layer}.{head}" for layer in layers for head in heads]
    everywhere = list(range(task.length))
    changed = everywhere[task.first_change :]
    return {
        "layer x position": (
            lambda: plain_sweep(lm, task, stream, everywhere),
            lambda: sweep_positions(lm, task).patched,
        ),
        "layer x changed position": (
            lambda: plain_sweep(lm, task, stream, changed),
            lambda: sweep_positions(lm, task).patched[:, task.first_change :],
        ),
        "layer x head": (
            lambda: plain_sweep(lm, task, z, [slice(None)]).view(6, 8, -1),
            lambda: sweep_heads(lm, task).patched,
        ),
    }


def main(quick: bool = False, repetitions: int = 3) -> None:
    lm = load_model("course-lm")
    print(f"python {platform.python_version()}, torch {torch.__version__}, ", end="")
    print(f"transformers {transformers.__version__}, {torch.get_num_threads()} threads")
    for make in (greater_than, capitals):
        task = make(lm, 4 if quick else PROMPTS)
        print(f"{lm.name}, {task}, tokens change from position {task.first_change}")
        for name, (plain, ours) in sweeps(lm, task).items():
            runs = [(seconds(plain), seconds(ours)) for _ in range(repetitions)]
            worst = max(float((a[1] - b[1]).abs().max()) for a, b in runs)
            if worst > TOLERANCE * max(1.0, float(runs[0][0][1].abs().max())):
                raise SystemExit(f"{name}: the two differ by {worst:.1e}; timings mean nothing")
            slow, fast = (statistics.median(r[i][0] for r in runs) for i in (0, 1))
            ratio = statistics.median(a[0] / b[0] for a, b in runs)
            print(f"  {name}: plain {slow:.2f} s, ours {fast:.2f} s, ratio {ratio:.2f}, ", end="")
            print(f"largest difference {worst:.1e} ({task.unit})")
        graph = build_graph(lm, "head")
        with torch.no_grad():
            runs = [
                (seconds(lambda t=task: lm(t.clean))[0],
                 seconds(lambda t=task, g=graph: eap(lm, t, g))[0])
                for _ in range(2 * repetitions)
            ]  # fmt: skip
        one, scores = (statistics.median(run[i] for run in runs) for i in (0, 1))
        ratio = statistics.median(b / a for a, b in runs)
        print(f"  EAP, {graph.n_edges} edges: {scores:.3f} s, a forward pass {one:.3f} s, ", end="")
        print(f"ratio {ratio:.2f} (forward passes)")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument != "--quick"]
    main("--quick" in sys.argv, *numbers)
