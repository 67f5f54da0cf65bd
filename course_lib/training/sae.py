"""Train `course-sae`, the sparse autoencoder on the stream of course-lm."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from course_lib.models.assets import ASSETS
from course_lib.sae.store import save_sae
from course_lib.sae.stream import states_of
from course_lib.sae.topk import TopKSAE
from course_lib.sae.train import Trainer
from course_lib.training.bundle import seal
from course_lib.world.documents import document

TRAIN = "sae-train"  # seed of documents that course-lm never saw


@dataclass(frozen=True)
class SAERecipe:
    """How course-sae is trained: every state of `documents` texts is seen `rounds` times.

    States come in a new random order each round. A stopped run goes on with the next round. Seed 0
    would start the first directions where `counts.start_from_counts`, with the same seed, has put
    the topics into the embeddings of course-lm: such an autoencoder need not find them.
    """

    site: str = "resid_post.2"
    features: int = 512
    k: int = 16
    documents: int = 9000
    rounds: int = 3
    batch: int = 512
    rate: float = 3e-3
    patience: int = 100
    seed: int = 3


RECIPE = SAERecipe()


def training_states(lm: Any, recipe: SAERecipe) -> torch.Tensor:
    """All states of the training texts [N, d], in half precision, which halves the memory."""
    texts = (document(f"{TRAIN}:{number}").text for number in range(recipe.documents))
    stream = states_of(lm, recipe.site, texts, ahead=recipe.documents)
    return torch.cat([states.half() for states in stream])


def train_course_sae(lm: Any, folder: Path, recipe: SAERecipe = RECIPE) -> TopKSAE:
    """Train, with a checkpoint in `folder` after every round; called again, it goes on there."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    states = training_states(lm, recipe)
    batches = len(states) // recipe.batch
    sae = TopKSAE(states.shape[1], recipe.features, recipe.k, recipe.seed)
    first = states[torch.randperm(len(states), generator=_dice(recipe, 0))[: recipe.batch]].float()
    trainer = Trainer(sae, first, batches * recipe.rounds, recipe.rate, recipe.patience)
    if checkpoint.exists():
        trainer.resume(torch.load(checkpoint, weights_only=True))
    start = trainer.done // batches
    for number in tqdm(range(start, recipe.rounds), initial=start, total=recipe.rounds):
        order = torch.randperm(len(states), generator=_dice(recipe, number))
        for rows in order[: batches * recipe.batch].split(recipe.batch):
            trainer.step(states[rows].float())
        torch.save(trainer.state(), checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)  # never leave half a checkpoint
        names = ("step", "loss", "unexplained", "l0", "restarted")
        rows = (dict(zip(names, row, strict=True)) for row in trainer.rows)
        (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    trainer.finish()
    sae.site = recipe.site
    return sae


def _dice(recipe: SAERecipe, number: int) -> torch.Generator:
    return torch.Generator().manual_seed(recipe.seed * 1000 + number)


def bundle_sae(sae: TopKSAE) -> None:
    """Write the weights into the package, in half precision."""
    save_sae(sae, ASSETS / "course-sae", dtype=torch.float16)
    seal(ASSETS / "course-sae")
