"""How fast a sparse autoencoder trains, against a plain PyTorch loop of the same model.

    python benchmarks/sae.py [--quick] [repetitions]

Both train TopK autoencoders of the same size from the same start on the same stored states of
course-lm, batch after batch. The plain loop is what one would write by hand: forward, backward,
Adam at the same rates, decoder rows back to length 1; nothing else. `train_sae` also projects the
gradient, looks after dead features, which have a loss of their own, and keeps a history. Both run
in one process, in turns; that they learn the same is checked by the error they end at.

The ratio is states a second, ours over plain. 1 would mean that all of that costs nothing.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time

import torch
import transformers

from course_lib import load_model
from course_lib.sae import TopKSAE, collect_activations, train_sae
from course_lib.sae.train import DECAY, WARMUP, batches_of

SITE, FEATURES, K, BATCH, RATE = "resid_post.2", 512, 16, 512, 3e-3
TOLERANCE = 0.15  # relative difference of the unexplained variance at the end


def plain(states: torch.Tensor, steps: int) -> TopKSAE:
    """Encoder, k largest, decoder and Adam by hand, on states divided by their spread."""
    sae = TopKSAE(states.shape[1], FEATURES, K)
    scale = float((states[:BATCH] - states[:BATCH].mean(0)).square().mean().sqrt())
    with torch.no_grad():
        sae.b_dec.copy_(states[:BATCH].mean(0) / scale)
    adam = torch.optim.Adam(sae.parameters(), lr=RATE, betas=(0.9, 0.99), fused=True)
    for step, x in enumerate(batches_of(states, BATCH, steps, seed=0)):
        x = x / scale
        left = (steps - step) / (DECAY * steps)
        adam.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / WARMUP, left)
        u = (x - sae.b_dec) @ sae.W_enc + sae.b_enc
        best = u.topk(K, sorted=False)
        f = torch.zeros_like(u).scatter(-1, best.indices, best.values.relu())
        loss = (x - f @ sae.W_dec - sae.b_dec).square().sum(-1).mean()
        adam.zero_grad(set_to_none=False)
        loss.backward()
        adam.step()
        with torch.no_grad():
            sae.W_dec /= sae.W_dec.norm(dim=1, keepdim=True)
    sae.rescale(scale)
    return sae


def ours(states: torch.Tensor, steps: int) -> TopKSAE:
    sae = TopKSAE(states.shape[1], FEATURES, K)
    train_sae(sae, states, steps, batch=BATCH, rate=RATE, bar=False)
    return sae


@torch.no_grad()
def unexplained(sae: TopKSAE, states: torch.Tensor) -> float:
    spread = (states - states.mean(0)).square().sum()
    return float((states - sae(states)).square().sum() / spread)


def timed(train, states: torch.Tensor, steps: int) -> tuple[float, float]:
    """Seconds, and the variance unexplained on the first states."""
    start = time.perf_counter()
    sae = train(states, steps)
    return time.perf_counter() - start, unexplained(sae, states[:2000])


def main(quick: bool = False, repetitions: int = 7) -> None:
    lm = load_model("course-lm")
    steps = 60 if quick else 200
    start = time.perf_counter()
    states = collect_activations(lm, SITE, 6_000 if quick else 20_000)
    taken = time.perf_counter() - start
    print(f"python {platform.python_version()}, torch {torch.__version__}, ", end="")
    print(f"transformers {transformers.__version__}, {torch.get_num_threads()} threads")
    print(f"{lm.name}, {SITE}: {len(states) / taken:.0f} states/s from the model")
    timed(plain, states, 10), timed(ours, states, 10)  # warms up
    runs = [(timed(plain, states, steps), timed(ours, states, steps)) for _ in range(repetitions)]
    errors = [statistics.median(run[k][1] for run in runs) for k in (0, 1)]
    if errors[1] > errors[0] * (1 + TOLERANCE):
        raise SystemExit(f"They end at {errors}: not the same training; timings mean nothing")
    speeds = [steps * BATCH / statistics.median(run[k][0] for run in runs) for k in (0, 1)]
    ratio = statistics.median(a[0] / b[0] for a, b in runs)
    print(f"TopK, {FEATURES} features, k {K}, {steps} steps of {BATCH} states: ", end="")
    print(f"plain {speeds[0]:.0f} states/s, ours {speeds[1]:.0f} states/s")
    print(f"unexplained variance at the end: plain {errors[0]:.4f}, ours {errors[1]:.4f}")
    print(f"ratio {ratio:.2f}")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument != "--quick"]
    main("--quick" in sys.argv, *numbers)
