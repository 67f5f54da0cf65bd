"""Score a bundled model and write its model card: `python tools/model_card.py [NAME ...]`.

Every score of the course-lm card is measured here, on prompts and pairs from combinations that
the training text never shows.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from masked_card import masked_card
from sae_card import sae_card

from course_lib.activations import record
from course_lib.architectures import final_norm, n_layers, unembedding
from course_lib.behaviour import SuiteResult, score_suite
from course_lib.intervals import bootstrap_level_means, ends
from course_lib.models.assets import ASSETS, BUNDLED, sha256
from course_lib.models.loading import load_model
from course_lib.training.data import VALIDATION_SEED, corpus
from course_lib.training.models import RECIPES
from course_lib.world import TASKS, Prompt, course_suite
from course_lib.world.entropy import entropy_bound

# What course-lm has to reach: accuracy, but for greater_than, where it is a probability difference.
REQUIRED = {"agreement": 0.98, "greater_than": 0.80, "capitals": 0.97, "indirect_objects": 0.97,
            "negated_sentiment": 0.97, "credit": 0.97}  # fmt: skip


@dataclass(frozen=True)
class TaskScore:
    """Accuracy and mean of p(right words) - p(wrong words), each with a 95 % bootstrap interval."""

    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    difference: float
    difference_interval: tuple[float, float]


def correct(probs: torch.Tensor, right: list[int], wrong: list[int]) -> bool:
    """One right word: is it likelier than every wrong one? Several: do they weigh more?"""
    if len(right) == 1:
        return bool(probs[right[0]] > probs[wrong].max())
    return bool(probs[right].sum() > probs[wrong].sum())


def score_task(lm, prompts: list[Prompt], seed: int = 0) -> TaskScore:
    """Score the next-token distribution of `lm` on prompts with right and wrong words."""
    probs = lm.next_token_probs([prompt.text for prompt in prompts])  # [N, V]
    ids = [([lm.token_id(w) for w in p.right], [lm.token_id(w) for w in p.wrong]) for p in prompts]
    hits = np.array([correct(row, *pair) for row, pair in zip(probs, ids, strict=True)], float)
    gaps = np.array([float(row[right].sum() - row[wrong].sum())
                     for row, (right, wrong) in zip(probs, ids, strict=True)])  # fmt: skip
    rng = np.random.default_rng(seed)
    return TaskScore(len(prompts), float(hits.mean()), ends(bootstrap_level_means(hits, 2000, rng)),
                     float(gaps.mean()), ends(bootstrap_level_means(gaps, 2000, rng)))  # fmt: skip


@torch.no_grad()
def lens_accuracy(lm, prompts: list[Prompt]) -> list[float]:
    """Accuracy when the residual stream after each block is read through the final norm."""
    sites = [f"resid_post.{layer}" for layer in range(n_layers(lm))]
    hits = np.zeros((len(sites), len(prompts)))
    norm, directions = final_norm(lm), unembedding(lm)
    for column, prompt in enumerate(prompts):
        right, wrong = ([lm.token_id(w) for w in words] for words in (prompt.right, prompt.wrong))
        with record(lm, sites) as seen:
            lm(torch.tensor([lm.encode(prompt.text)]))
        for layer, site in enumerate(sites):
            probs = (norm(seen[site][0, -1]) @ directions.T).softmax(-1)
            hits[layer, column] = correct(probs, right, wrong)
    return [round(float(value), 3) for value in hits.mean(1)]


def held_out_loss(lm, n: int = 600) -> float:
    """Nats per token on held-out documents."""
    scores = lm.score_ids(list(corpus(VALIDATION_SEED, 0, n)))
    return -float(torch.cat(scores).mean())


def scores(name: str, pairs: int) -> dict:
    """Everything the card of this model reports."""
    lm = load_model(name)
    report = {
        "name": name,
        "loss": held_out_loss(lm),
        "entropy_bound": entropy_bound(VALIDATION_SEED, 600),
        "suite": score_suite(lm, course_suite(pairs)),
        "tasks": {task: score_task(lm, make()) for task, make in TASKS.items()},
    }
    if name == "course-lm":
        report["lens"] = {task: lens_accuracy(lm, make(100)) for task, make in TASKS.items()}
    return report


def span(low_high: tuple[float, float]) -> str:
    return f"[{low_high[0]:.3f}, {low_high[1]:.3f}]"


def suite_table(result: SuiteResult) -> list[str]:
    rows = [*result.phenomena.values(), result.overall]
    return [f"| {r.name} | {r.n} | {r.accuracy:.3f} | [{r.low:.3f}, {r.high:.3f}] |" for r in rows]


def task_table(tasks: dict[str, TaskScore]) -> list[str]:
    return [f"| {name} | {s.n} | {s.accuracy:.3f} {span(s.accuracy_interval)} | "
            f"{s.difference:.3f} {span(s.difference_interval)} | {REQUIRED.get(name, '-')} |"
            for name, s in tasks.items()]  # fmt: skip


def card(report: dict, recipe: dict | None, curve: list[dict]) -> str:
    """The model card as Markdown."""
    name = report["name"]
    suite: SuiteResult = report["suite"]
    lines = [f"# {name}", "",
             "Trained on text of the course world (`course_lib/world`) alone; every number below "
             f"was printed by `python tools/model_card.py {name}`.", ""]  # fmt: skip
    if recipe:
        lines += ["## Recipe", "", *(f"- {key}: {value}" for key, value in recipe.items()), ""]
    lines += ["## Loss", "",
              f"Held-out documents: {report['loss']:.4f} nats per token. The choices of the "
              f"generator cost at most {report['entropy_bound']:.4f} nats per token on the same "
              "documents (an upper bound on the entropy, see `world/entropy.py`).", ""]  # fmt: skip
    if curve:
        lines += ["| step | tokens | training loss | held-out loss |", "|---|---|---|---|"]
        chosen = curve[:: max(1, len(curve) // 12)] + curve[-1:]
        lines += [f"| {r['step']} | {r['tokens']} | {r['train']} | {r['validation']} |"
                  for r in {row["step"]: row for row in chosen}.values()]  # fmt: skip
        lines.append("")
    lines += ["## Tasks", "",
              "Accuracy and mean p(right) - p(wrong), with 95 % bootstrap intervals.", "",
              "| task | prompts | accuracy | probability difference | required |",
              "|---|---|---|---|---|", *task_table(report["tasks"]), "",
              "Required is an accuracy, except for greater_than: a probability difference.", "",
              "## Course suite", "", f"Protocol: {suite.scores.protocol}.", "",
              "| phenomenon | pairs | accuracy | 95 % interval |", "|---|---|---|---|",
              *suite_table(suite), ""]  # fmt: skip
    if "lens" in report:
        depth = len(next(iter(report["lens"].values())))
        lines += ["## Where answers emerge", "",
                  "Accuracy when the stream after each block is read as the last one is.", "",
                  "| task | " + " | ".join(str(layer + 1) for layer in range(depth)) + " |",
                  "|---|" + "---|" * depth,
                  *(f"| {task} | " + " | ".join(f"{v:.2f}" for v in row) + " |"
                    for task, row in report["lens"].items()), ""]  # fmt: skip
    files = sorted(p for p in (ASSETS / name).iterdir() if p.suffix != ".md")
    lines += ["## Files", "", *(f"- `{p.name}` {sha256(p)}" for p in files), ""]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(BUNDLED))
    parser.add_argument("--pairs", type=int, default=200, help="pairs per paradigm")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--write", action="store_true", help="write the card into the package")
    options = parser.parse_args(arguments)
    for name in options.names:
        recipe = asdict(RECIPES[name]) if name in RECIPES else None
        log = options.runs / name / "log.jsonl"
        curve = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        if name == "course-sae":
            text = sae_card(curve)
        elif name == "course-bert":
            text = masked_card(load_model(name), recipe, curve)
        else:
            text = card(scores(name, options.pairs), recipe, curve)
        print(text)
        if options.write:
            (ASSETS / name / "card.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
