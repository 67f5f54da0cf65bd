"""Patching: does what this place holds decide the model's answer? Change it and look.

    from course_lib.patching import patch, sweep_positions
    patch(lm, task, "resid_post.2", position=6)

A task has clean and corrupted prompts. The output of a place (a site of
``course_lib.models.sites``) is exchanged for another one, and the rest of the model computes on:

- denoising: the corrupted prompts run, with the clean value put in. Is it *sufficient*?
- noising: the clean prompts run, with the corrupted value put in. Is it *necessary*? Instead of
  the corrupted value also zero, the mean over prompts, or the value of another clean prompt.

One sign rule, that of attribution: positive = the clean value at this place supports the answer.

- `nodes`: patching one place, several together, and sweeps over layers, positions and heads;
- `running`: many changed copies in one forward pass, started at the first layer that changes;
- `result`: effects per prompt, shares of the gap, intervals.
"""

from course_lib.intervals import bootstrap_means
from course_lib.patching.nodes import (
    ABLATIONS,
    DIRECTIONS,
    patch,
    sweep,
    sweep_heads,
    sweep_positions,
)
from course_lib.patching.result import PatchResult
from course_lib.patching.running import restart

__all__ = [
    "ABLATIONS", "DIRECTIONS", "PatchResult", "bootstrap_means", "patch", "restart", "sweep",
    "sweep_heads", "sweep_positions",
]  # fmt: skip
