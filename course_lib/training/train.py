"""One training loop for every neural model of the course: seeded, resumable, with a progress bar.

The learning rate rises for `warmup` steps, stays constant, and falls linearly to zero over the
last `decay` of the token budget. A run can therefore be continued with a larger budget from any
checkpoint of its constant part.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
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


class Run:
    """A training run that can stop at any step and go on later; `train` drives it.

    `state` holds where it is: `chunk` of the corpus and `batch` in it, `step`, `tokens`, `seconds`
    of computing, and the `curve`. It is what a checkpoint keeps beside weights and optimizer.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, folder: Path, snapshot=None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.model, self.recipe, self.folder, self.snapshot = model, recipe, folder, snapshot
        self.checkpoint = folder / "checkpoint.pt"
        # gains and biases are vectors; pulling them to 0 would only shrink the outputs of norms
        decayed = [p for p in model.parameters() if p.ndim >= 2]
        others = [p for p in model.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": recipe.weight_decay},
             {"params": others, "weight_decay": 0.0}],
            betas=(0.9, 0.98), fused=True,
        )  # fmt: skip
        self.state = {"chunk": 0, "batch": 0, "step": 0, "tokens": 0, "curve": [], "seconds": 0.0}
        self.losses: list[float] = []  # since the last row of the curve
        self.validation = validation_batches(share=recipe.hide)
        self.saved = time.monotonic()

    @property
    def unfinished(self) -> bool:
        return self.state["tokens"] < self.recipe.tokens

    def resume(self) -> None:
        """Go on from the checkpoint in the folder; without one, from the beginning."""
        if self.checkpoint.exists():
            saved = torch.load(self.checkpoint, weights_only=True)
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.state = saved["state"]

    def save(self) -> None:
        """Write checkpoint and loss curve."""
        parts = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                 "state": self.state}  # fmt: skip
        torch.save(parts, self.checkpoint.with_suffix(".tmp"))
        self.checkpoint.with_suffix(".tmp").replace(self.checkpoint)  # never leave half of one
        rows = "".join(json.dumps(row) + "\n" for row in self.state["curve"])
        (self.folder / "log.jsonl").write_text(rows)
        if self.snapshot is not None:
            self.snapshot(self.model)
        self.saved = time.monotonic()

    def batches(self) -> Iterator[Batch]:
        """What is left of the text, chunk by chunk, until the budget of tokens is used up."""
        state, recipe = self.state, self.recipe
        while self.unfinished:
            more = more_of(recipe, state["chunk"], state["tokens"])
            chunk = chunk_batches(
                state["chunk"], recipe.batch_tokens, recipe.pack, more, recipe.hide
            )
            while state["batch"] < len(chunk) and self.unfinished:
                yield chunk[state["batch"]]
            if self.unfinished:
                state["chunk"], state["batch"] = state["chunk"] + 1, 0

    def step(self, batch: Batch) -> int:
        """One step of the optimizer; returns the number of tokens it has learnt from."""
        started = time.monotonic()
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate(self.recipe, self.state["step"], self.state["tokens"])
        loss, n = mean_loss(self.model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=False)  # keeps the memory, page faults are slow
        self.losses.append(loss.item())
        self.state["step"] += 1
        self.state["batch"] += 1
        self.state["tokens"] += n
        self.state["seconds"] += time.monotonic() - started
        return n

    def log(self) -> None:
        """Add a row to the curve: the mean training loss since the last row, and validation."""
        row = {"step": self.state["step"], "tokens": self.state["tokens"],
               "train": sum(self.losses) / len(self.losses),
               "validation": validation_loss(self.model, self.validation)}  # fmt: skip
        self.state["curve"].append({key: round(value, 4) for key, value in row.items()})
        self.losses.clear()


def train(model: nn.Module, recipe: Recipe, folder: Path, snapshot=None) -> list[dict]:
    """Train `model` in place and return its loss curve.

    `folder` keeps a checkpoint (every `checkpoint_seconds`) and `log.jsonl`; calling again with
    the same folder continues where the run was. `snapshot(model)` is called at each checkpoint.
    """
    run = Run(model, recipe, folder, snapshot)
    run.resume()
    model.train()
    done = run.state["tokens"]
    with tqdm(total=recipe.tokens, initial=done, unit="tok", unit_scale=True) as bar:
        for batch in run.batches():
            bar.update(run.step(batch))
            recent = run.losses[-50:]
            bar.set_postfix(loss=f"{sum(recent) / len(recent):.3f}")
            if run.state["step"] % 100 == 0 or not run.unfinished:
                run.log()
            if time.monotonic() - run.saved > recipe.checkpoint_seconds:
                run.save()
    run.save()
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))
    model.eval()
    return run.state["curve"]
