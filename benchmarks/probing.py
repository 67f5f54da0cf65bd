"""How fast linear probes of all layers are: one scikit-learn fit a layer, or all in one batch?

    python benchmarks/probing.py [--quick] [repetitions]

Both minimise the same loss, the mean cross-entropy with an L2 penalty, on the same states of
course-lm and on the same words, in one process, in turns. The batch holds all layers in one tensor
and runs L-BFGS on the sum of their losses, which has the same minimum; it stops when it is as near
as scikit-learn's solver comes with the tolerance the library uses. The library keeps code of its
own only where that is at least twice as fast; the table says where that is.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time

import numpy as np
import sklearn
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from course_lib import load_model
from course_lib.probing import annotate, features, read_states, split, targets

C, STEPS = 0.1, 60


def penalised(x: np.ndarray, y: np.ndarray, w: np.ndarray, b: np.ndarray) -> float:
    """The loss that both minimise: C times the summed cross-entropy plus half the squared norm."""
    z = x @ w.T + b
    z = z - z.max(1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(1, keepdims=True))
    return float(-C * logp[np.arange(len(y)), y].sum() + 0.5 * (w**2).sum())


def one_by_one(x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights [K, D] and biases [K] of each layer, as the library fits them."""
    found = []
    for layer in x:
        probe = LogisticRegression(C=C, max_iter=200, tol=1e-3).fit(layer, y)
        w, b = probe.coef_, probe.intercept_
        if len(w) == 1:  # two classes: one row of scores stands for a pair of opposite halves
            w, b = np.concatenate([-w, w]) / 2, np.concatenate([-b, b]) / 2
        found.append((w, b))
    return found


def all_at_once(x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same from one tensor [L, N, D]."""
    states, labels = torch.as_tensor(x), torch.as_tensor(y)
    size = int(labels.max()) + 1
    w = torch.zeros(len(x), x.shape[2], size, requires_grad=True)
    b = torch.zeros(len(x), 1, size, requires_grad=True)
    solver = torch.optim.LBFGS([w, b], max_iter=STEPS, tolerance_grad=1e-2, history_size=10,
                               line_search_fn="strong_wolfe")  # fmt: skip
    place = labels.expand(len(x), -1)[..., None]

    def loss() -> torch.Tensor:
        solver.zero_grad()
        logp = (states @ w + b).log_softmax(-1)
        # two rows of weights for two classes: half of scikit-learn's one row each, twice the norm
        value = -C * logp.gather(-1, place).sum() + (1.0 if size == 2 else 0.5) * w.square().sum()
        value.backward()
        return value

    solver.step(loss)
    weights, biases = w.detach().transpose(1, 2).numpy(), b.detach()[:, 0].numpy()
    return list(zip(weights, biases, strict=True))


def timed(fit, x: np.ndarray, y: np.ndarray) -> tuple[float, list]:
    start = time.perf_counter()
    found = fit(x, y)
    return time.perf_counter() - start, found


def main(quick: bool = False, repetitions: int = 5) -> None:
    lm = load_model("course-lm")
    print(f"python {platform.python_version()}, torch {torch.__version__}, ", end="")
    print(f"scikit-learn {sklearn.__version__}, {torch.get_num_threads()} threads")
    corpus = annotate(lm, 60 if quick else 200)
    states = read_states(lm, corpus)
    for concept in ("number", "distance", "pos"):
        data = targets(corpus, concept, 300 if quick else 1000)
        train, test = split(data)
        every = features(states, data).numpy()
        scaled = [StandardScaler().fit(layer[train]) for layer in every]
        both = list(zip(scaled, every, strict=True))
        x, new = (
            np.stack([s.transform(layer[rows]) for s, layer in both]).astype(np.float32)
            for rows in (train, test)
        )
        y = data.labels[train]
        all_at_once(x[:, :50], y[:50])  # warms up
        runs = [(timed(one_by_one, x, y), timed(all_at_once, x, y)) for _ in range(repetitions)]
        (_, theirs), (_, ours) = runs[-1]
        agree = np.mean([((n @ a.T + c).argmax(1) == (n @ d.T + e).argmax(1)).mean()
                         for n, (a, c), (d, e) in zip(new, theirs, ours, strict=True)])  # fmt: skip
        losses = [np.mean([penalised(layer, y, *pair) for layer, pair in zip(x, fits, strict=True)])
                  for fits in (theirs, ours)]  # fmt: skip
        slow, fast = (statistics.median(r[k][0] for r in runs) for k in (0, 1))
        print(f"{concept}: {len(x)} layers x {x.shape[1]} places x {x.shape[2]} units, ", end="")
        print(
            f"{len(data.classes)} classes; scikit-learn {slow:.3f} s, batch {fast:.3f} s; ", end=""
        )
        print(f"loss {losses[0]:.2f} and {losses[1]:.2f}, same answers {agree:.3f}")
        ratio = statistics.median(a[0] / b[0] for a, b in runs)
        print(f"ratio {ratio:.2f}: {'a batch would pay' if ratio >= 2 else 'scikit-learn it is'}")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument != "--quick"]
    main("--quick" in sys.argv, *numbers)
