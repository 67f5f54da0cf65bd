"""LEACE against the concept-erasure package: `make test-peers`.

Not a test of `make test`: the package has an environment of its own. Both fit the same float64
states with one-hot labels; ours has no bound on the trace of the covariance, so theirs is switched
off. Their tolerance for singular values is absolute, so it is set to a value that cuts nothing
but rounding. The erased states must agree to 1e-5 of the largest of them.
"""

import platform
import sys
from importlib.metadata import version

import numpy as np
import torch
from concept_erasure import LeaceFitter

from course_lib import load_model
from course_lib.concepts import agreement_items, leace, one_hot, read_items

TOLERANCE = 1e-5


def theirs(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    fitter = LeaceFitter(
        x.shape[1], z.shape[1], dtype=torch.float64, shrinkage=False, svd_tol=1e-9,
        constrain_cov_trace=False,
    )  # fmt: skip
    return fitter.update(x, z).eraser(x)


def difference(x: torch.Tensor, labels: np.ndarray) -> tuple[float, float]:
    """Largest difference over the largest state, and how much the erasure moved the states."""
    x = x.double()
    ours = leace(x, labels)(x)
    gap = (ours - theirs(x, one_hot(labels))).abs().max()
    return float(gap / x.abs().max()), float((ours - x).norm() / (x - x.mean(0)).norm())


def main() -> int:
    print(
        f"concept-erasure {version('concept-erasure')}, python {platform.python_version()}, ",
        end="",
    )
    print(f"torch {torch.__version__}")
    found = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 2 + seed, 500)
        x = rng.normal(size=(500, 20)) @ rng.normal(size=(20, 20))
        x += 2 * rng.normal(size=(2 + seed, 20))[labels]
        found.append(difference(torch.as_tensor(x), labels))
        print(f"made-up states, {2 + seed} classes: {found[-1][0]:.0e}, moved {found[-1][1]:.2f}")
    scene = read_items(load_model("course-lm"), agreement_items(400))
    for concept in ("subject number", "attractor kind", "preposition"):
        for layer in (1, 5):
            found.append(difference(scene.states[layer], scene.labels(concept)))
            print(f"course-lm, layer {layer}, {concept}: {found[-1][0]:.0e}, ", end="")
            print(f"moved {found[-1][1]:.2f}")
    worst = max(gap for gap, _ in found)
    print(f"largest relative difference {worst:.1e}, allowed {TOLERANCE:.0e}")
    return int(not worst <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
