"""Patching sweeps against TransformerLens: `make test-peers`.

Not a test of `make test`: TransformerLens has an environment of its own. Its bridge wraps a copy
of the same model, course-lm or a tiny random one, so that nothing is loaded from the network; its
`transformer_lens.patching` puts the clean residual stream into the corrupted run at every layer
and position, and the clean output of every head. The metric must agree to 1e-4 on every prompt.
"""

import copy
import platform
import sys
from importlib.metadata import version
from typing import Any

import torch
import transformers
from transformer_lens import TransformerBridge, patching

from course_lib import load_model
from course_lib.models.language_model import LanguageModel
from course_lib.patching import sweep_heads, sweep_positions
from course_lib.tasks import Task, capitals, greater_than, last_logits
from tests.families import random_model, word_tokenizer

TOLERANCE = 1e-4
SWEEPS = {
    "layer x position": (sweep_positions, patching.get_act_patch_resid_pre),
    "layer x head": (sweep_heads, patching.get_act_patch_attn_head_out_all_pos),
}


@torch.no_grad()
def compare(lm: LanguageModel, task: Task, tokenizer: Any) -> dict[str, float]:
    """Largest difference over cells and prompts, in the unit of the metric.

    The bridge asks for a `tokenizer` that lies in a folder, and does not use it: prompts are ids.
    """
    other = TransformerBridge.boot_transformers(
        lm.name, hf_model=copy.deepcopy(lm.model), tokenizer=copy.deepcopy(tokenizer),
        device="cpu", dtype=next(lm.model.parameters()).dtype,
    ).eval()  # fmt: skip

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return task.measure(logits[:, -1])

    logits, clean = other.run_with_cache(task.clean)
    found = {"clean logits": float((last_logits(lm, task.clean) - logits[:, -1]).abs().max())}
    for name, (ours, theirs) in SWEEPS.items():
        result = theirs(other, task.corrupted, clean, metric, reduce="none")
        found[name] = float((ours(lm, task).patched - result.values.double()).abs().max())
    return found


def main() -> int:
    print(f"transformer-lens {version('transformer-lens')}, python {platform.python_version()}, ",
          end="")  # fmt: skip
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    lm = load_model("course-lm")
    ids = torch.randint(8, 40, (6, 7), generator=torch.Generator().manual_seed(1))
    random = Task("random", ids[:3], ids[3:], lambda x: x[:, 9] - x[:, 12], "logit difference")
    pairs = [(lm, greater_than(lm, 8)), (lm, capitals(lm, 4))]
    pairs += [
        (LanguageModel(random_model(kind, torch.float32), word_tokenizer(), kind), random)
        for kind in ("gpt2", "gpt_neox", "qwen2")
    ]
    worst = 0.0
    for model, task in pairs:
        found = compare(model, task, lm.tokenizer)
        worst = max(worst, *found.values())
        shown = ", ".join(f"{name} {value:.1e}" for name, value in found.items())
        print(f"{model.name}, {task.name} ({task.unit}): {shown}")
    print(f"largest difference {worst:.1e}, allowed {TOLERANCE:.0e}")
    return int(not worst <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
