"""Score the masked model and write its card: what it can guess, on text that no training run saw.

The tasks of the other cards continue a text from the left, which a masked model cannot do. Its
card has the words it guesses, and agreement: the verb is hidden, the rest can be read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from course_lib.concepts import agreement_items, effect, read_items
from course_lib.intervals import bootstrap_level_means, ends
from course_lib.models.assets import ASSETS, sha256
from course_lib.training.data import NOTHING, validation_batches
from course_lib.training.models import RECIPES

ITEMS, DOCUMENTS = 600, 600


@torch.no_grad()
def guesses(lm: Any, share: float, n: int = DOCUMENTS) -> dict[str, tuple[float, float, float]]:
    """Loss in nats and accuracy on hidden words of held-out documents, with intervals.

    The same words are hidden in every run. "unigram" is the loss of the frequencies of the hidden
    words themselves: what guessing without any context costs at the least.
    """
    losses, hits, asked = [], [], []
    for batch in validation_batches(n, share=share):
        real = batch.targets != NOTHING
        words = batch.targets[real]
        logp = lm.model(input_ids=batch.ids, **batch.options).logits[real].log_softmax(-1)
        losses.append(-logp.gather(1, words[:, None])[:, 0])
        hits.append((logp.argmax(-1) == words).double())
        asked.append(words)
    rng = np.random.default_rng(0)
    found = {}
    for name, parts in (("loss", losses), ("accuracy", hits)):
        values = torch.cat(parts).double().numpy()
        found[name] = (float(values.mean()), *ends(bootstrap_level_means(values, 1000, rng)))
    counts = torch.cat(asked).bincount().double()
    rates = counts[counts > 0] / counts.sum()
    found["unigram"] = (float(-(rates * rates.log()).sum()),) * 3
    return found


def masked_card(lm: Any, recipe: dict, curve: list[dict]) -> str:
    """The model card as Markdown."""
    found = guesses(lm, RECIPES[lm.name].hide)
    scene = read_items(lm, agreement_items(ITEMS))
    agreement = effect(scene, scene.logp, torch.arange(len(scene)), "untouched", 0)
    lines = [f"# {lm.name}", "",
             "Trained on text of the course world (`course_lib/world`) alone, to guess hidden "
             "words from both sides; every number below was printed by "
             f"`python tools/model_card.py {lm.name}`.", "",
             "## Recipe", "", *(f"- {key}: {value}" for key, value in recipe.items()), "",
             "## Loss", "",
             "Hidden words of held-out documents, nats per word, 95 % bootstrap intervals.", "",
             "| | value | interval |", "|---|---|---|",
             row("loss", found["loss"]), row("accuracy of the first guess", found["accuracy"]),
             f"| loss of the words' frequencies alone | {found['unigram'][0]:.4f} | |",
             ""]  # fmt: skip
    if curve:
        lines += ["| step | words | training loss | held-out loss |", "|---|---|---|---|"]
        chosen = curve[:: max(1, len(curve) // 12)] + curve[-1:]
        lines += [f"| {r['step']} | {r['tokens']} | {r['train']} | {r['validation']} |"
                  for r in {r["step"]: r for r in chosen}.values()]  # fmt: skip
        lines.append("")
    lines += ["## Agreement", "",
              f"{len(scene)} sentences such as '{scene.items[0].before} "
              f"[{scene.items[0].right} / {scene.items[0].wrong}]{scene.items[0].after}', subject "
              "and verb from combinations that training never shows.", "",
              "| | value | interval |", "|---|---|---|",
              row("accuracy", agreement.accuracy),
              row("p(right) / (p(right) + p(wrong))", agreement.preference), "",
              "## Files", ""]  # fmt: skip
    files = sorted(p for p in (ASSETS / lm.name).iterdir() if p.suffix != ".md")
    return "\n".join([*lines, *(f"- `{p.name}` {sha256(p)}" for p in files), ""])


def row(name: str, number: tuple[float, float, float]) -> str:
    return f"| {name} | {number[0]:.4f} | [{number[1]:.4f}, {number[2]:.4f}] |"
