"""How fast attribution is, against one perturbation per forward pass.

    python benchmarks/attribution.py [--quick] [repetitions]

Three jobs over the same 20 review prompts of 10 tokens: erasure, integrated gradients with 32
steps, exact Shapley values (1,024 coalitions). The plain loop runs the model once for each
changed prompt, or step, and reads the last row of its logits. The library reads many at once, each
different text and each shared beginning once, and computes the logits it needs. Both see the
same prompts in one process, in turns, and must agree. `--quick` takes fewer prompts.
"""

from __future__ import annotations

import math
import platform
import statistics
import sys
import time
from collections.abc import Callable
from itertools import combinations

import torch
import transformers

from course_lib import load_model
from course_lib.attribution import Case, erasure, integrated_gradients, planted_cases, shapley
from course_lib.attribution.gradients import path_points

TOKENS, STEPS, TOLERANCE = 10, 32, 1e-3  # nats, float32


def metric(lm, case: Case, logits: torch.Tensor) -> torch.Tensor:
    """Log-probability of target minus foil from logits [1, L, V]."""
    logp = logits[0, -1].double().log_softmax(-1)
    return logp[lm.token_id(case.target)] - logp[lm.token_id(case.foil)]


@torch.no_grad()
def value(lm, case: Case, ids: list[int]) -> float:
    return float(metric(lm, case, lm(torch.tensor([ids])).logits))


def without(lm, ids: list[int], places) -> list[int]:
    return [lm.tokenizer.unk_token_id if i in places else token for i, token in enumerate(ids)]


def plain_erasure(lm, case: Case) -> list[float]:
    ids = lm.encode(case.text)
    full = value(lm, case, ids)
    return [full - value(lm, case, without(lm, ids, {i})) for i in range(1, len(ids))]


def plain_ig(lm, case: Case) -> list[float]:
    ids = lm.encode(case.text)
    embedding = lm.model.get_input_embeddings()
    x = embedding(torch.tensor([ids]))
    start = embedding(torch.tensor([without(lm, ids, range(1, len(ids)))]))
    mean = torch.zeros_like(x)
    for node, weight in zip(*map(torch.Tensor.tolist, path_points(STEPS)), strict=True):
        point = (start + node * (x - start)).requires_grad_()
        logits = lm.model(inputs_embeds=point).logits
        mean += weight * torch.autograd.grad(metric(lm, case, logits), point)[0]
    return ((x - start) * mean).sum(-1)[0, 1:].tolist()


def plain_shapley(lm, case: Case) -> list[float]:
    ids = lm.encode(case.text)
    places = range(1, len(ids))
    values = {
        gone: value(lm, case, without(lm, ids, gone))
        for size in range(len(ids))
        for gone in map(frozenset, combinations(places, size))
    }
    phi = [0.0] * len(places)
    for gone, v in values.items():
        for i in gone:
            ways = len(places) * math.comb(len(places) - 1, len(gone) - 1)
            phi[i - 1] += (values[gone - {i}] - v) / ways
    return phi


JOBS: dict[str, tuple[Callable, Callable, int]] = {  # name: plain, ours, prompts with --quick
    "erasure": (plain_erasure, erasure, 20),
    f"IG, {STEPS} steps": (plain_ig, lambda *a: integrated_gradients(*a, steps=STEPS), 4),
    f"Shapley, {TOKENS} tokens": (plain_shapley, shapley, 1),
}


def run(plain: Callable, ours: Callable, lm, cases: list[Case]) -> tuple[float, float, float]:
    """Seconds of both over all prompts, and their largest difference."""
    start = time.perf_counter()
    expected = [plain(lm, case) for case in cases]
    middle = time.perf_counter()
    found = [ours(lm, case.text, case.target, case.foil).scores for case in cases]
    end = time.perf_counter()
    worst = max(
        float((torch.tensor(a) - b).abs().max()) for a, b in zip(expected, found, strict=True)
    )
    return middle - start, end - middle, worst


def main(quick: bool = False, repetitions: int = 5) -> None:
    lm = load_model("course-lm")
    cases = [c for c in planted_cases("review", 200) if len(lm.encode(c.text)) == TOKENS + 1][:20]
    print(f"python {platform.python_version()}, torch {torch.__version__}, ", end="")
    print(f"transformers {transformers.__version__}, {torch.get_num_threads()} threads")
    print(f"{lm.name}: prompts of {TOKENS} tokens such as {cases[0].text!r}")
    for name, (plain, ours, few) in JOBS.items():
        chosen = cases[:few] if quick else cases
        run(plain, ours, lm, chosen[:1])  # warms up
        runs = [run(plain, ours, lm, chosen) for _ in range(repetitions)]
        worst = max(difference for _, _, difference in runs)
        if worst > TOLERANCE:
            raise SystemExit(f"{name}: the two differ by {worst:.1e}; timings mean nothing")
        slow, fast = (statistics.median(r[i] for r in runs) for i in (0, 1))
        print(f"{name}: {len(chosen)} prompts, plain {slow:.3f} s, ours {fast:.3f} s, ", end="")
        print(f"largest difference {worst:.1e} nats")
        print(f"ratio {statistics.median(a / b for a, b, _ in runs):.2f}")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument != "--quick"]
    main("--quick" in sys.argv, *numbers)
