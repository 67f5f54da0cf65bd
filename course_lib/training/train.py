"""One training loop for every neural model of the course: seeded, resumable, with a progress bar.

The learning rate rises for `warmup` steps, stays constant, and falls linearly to zero over the
last `decay` of the token budget. A run can therefore be continued with a larger budget from any
checkpoint of its constant part.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from course_lib.training.data import NOTHING, Batch, chunk_batches, validation_batches


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; `tokens` counts predicted tokens, padding excluded.

    `pack` puts documents side by side in a row (`data.packed`) instead of one a row. Six in
    ten documents of the first `opening` chunks ask who received something: in our trials a
    transformer whose attention had settled on other words first did not learn to look names up
    within millions of tokens, and one that began with such text did within a tenth of a million.
    After `closing` tokens every second document is a span of years. A masked model hides the
    share `hide` of the words and predicts these alone. With `counted` the embeddings start from
    counts of the corpus (`counts.start_from_counts`).
    """

    tokens: int
    learning_rate: float = 1e-3
    batch_tokens: int = 2048
    warmup: int = 150
    decay: float = 0.35
    weight_decay: float = 0.05
    seed: int = 0
    pack: bool = False
    opening: int = 0
    closing: int | None = None
    hide: float = 0.0
    counted: bool = False
    checkpoint_seconds: float = 120.0


def mean_loss(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, int]:
    """Mean cross-entropy (nats) of the tokens to be predicted, and how many they are."""
    real = batch.targets != NOTHING
    if hasattr(model, "cls"):  # BERT: few words are asked for, and only these need logits
        states = model.bert(input_ids=batch.ids, **batch.options).last_hidden_state
        logits = model.cls(states[real])
        return F.cross_entropy(logits, batch.targets[real]), len(logits)
    logits = model(input_ids=batch.ids, **batch.options).logits  # [B, T, V]
    return F.cross_entropy(logits[real], batch.targets[real]), int(real.sum())


@torch.no_grad()
def validation_loss(model: nn.Module, batches: list[Batch]) -> float:
    """Mean cross-entropy in nats per token over held-out documents."""
    model.eval()
    total = count = 0.0
    for batch in batches:
        loss, n = mean_loss(model, batch)
        total, count = total + loss.item() * n, count + n
    model.train()
    return total / count


def more_of(recipe: Recipe, chunk: int, tokens: int) -> tuple[str, float] | None:
    """Which type of text this chunk holds more of, and its share; None for the plain corpus."""
    if chunk < recipe.opening:
        return "indirect_object", 0.6
    if recipe.closing is not None and tokens >= recipe.closing:
        return "years", 0.5
    return None


def rate(recipe: Recipe, step: int, tokens: int) -> float:
    """The learning rate at this step, after this many tokens."""
    left = (recipe.tokens - tokens) / (recipe.decay * recipe.tokens)
    return recipe.learning_rate * max(0.0, min(1.0, (step + 1) / recipe.warmup, left))


def train(model: nn.Module, recipe: Recipe, folder: Path, snapshot=None) -> list[dict]:
    """Train `model` in place and return its loss curve.

    `folder` keeps a checkpoint (every `checkpoint_seconds`) and `log.jsonl`; calling again with
    the same folder continues where the run was. `snapshot(model)` is called at each checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay},
         {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.98), fused=True,
    )  # fmt: skip
    state = {"chunk": 0, "batch": 0, "step": 0, "tokens": 0, "curve": [], "seconds": 0.0}
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"]

    def save() -> None:
        parts = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "state": state}
        torch.save(parts, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)  # never leave half a checkpoint
        (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in state["curve"]))
        if snapshot is not None:
            snapshot(model)

    validation = validation_batches(share=recipe.hide)
    model.train()
    last_save = time.monotonic()
    running: list[float] = []
    with tqdm(total=recipe.tokens, initial=state["tokens"], unit="tok", unit_scale=True) as bar:
        while state["tokens"] < recipe.tokens:
            more = more_of(recipe, state["chunk"], state["tokens"])
            batches = chunk_batches(
                state["chunk"], recipe.batch_tokens, recipe.pack, more, recipe.hide
            )
            while state["batch"] < len(batches) and state["tokens"] < recipe.tokens:
                started = time.monotonic()
                learning_rate = rate(recipe, state["step"], state["tokens"])
                for parameters in optimizer.param_groups:
                    parameters["lr"] = learning_rate
                loss, n = mean_loss(model, batches[state["batch"]])
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)  # keeps the memory, page faults are slow
                running.append(loss.item())
                state["step"] += 1
                state["batch"] += 1
                state["tokens"] += n
                state["seconds"] += time.monotonic() - started
                bar.update(n)
                bar.set_postfix(loss=f"{sum(running[-50:]) / len(running[-50:]):.3f}")
                if state["step"] % 100 == 0 or state["tokens"] >= recipe.tokens:
                    row = {"step": state["step"], "tokens": state["tokens"],
                           "train": sum(running) / len(running),
                           "validation": validation_loss(model, validation)}  # fmt: skip
                    state["curve"].append({key: round(value, 4) for key, value in row.items()})
                    running.clear()
                if time.monotonic() - last_save > recipe.checkpoint_seconds:
                    save()
                    last_save = time.monotonic()
            if state["tokens"] < recipe.tokens:
                state["chunk"], state["batch"] = state["chunk"] + 1, 0
    save()
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))
    model.eval()
    return state["curve"]
