"""Train the bundled models: `python -m course_lib.training [NAME ...]`.

A run that was stopped continues from its last checkpoint under `runs/`. At the end the weights
are written to `course_lib/assets`, then `python tools/model_card.py --write` scores them.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

import torch

from course_lib.models.assets import BUNDLED
from course_lib.models.loading import load_model
from course_lib.training.bundle import bundle, bundle_ngram
from course_lib.training.counts import start_from_counts
from course_lib.training.models import NGRAM_TOKENS, RECIPES, new_model, train_ngram
from course_lib.training.sae import bundle_sae, train_course_sae
from course_lib.training.train import train


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", default=list(BUNDLED), help="models to train")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of checkpoints")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    for name in options.names:
        if name == "course-ngram":
            bundle_ngram(train_ngram(NGRAM_TOKENS))
            continue
        if name == "course-sae":
            bundle_sae(train_course_sae(load_model("course-lm"), options.runs / name))
            continue
        model = new_model(name)
        if RECIPES[name].counted:
            start_from_counts(model.get_input_embeddings())
        train(model, RECIPES[name], options.runs / name, functools.partial(bundle, name=name))
        bundle(model, name)


if __name__ == "__main__":
    main()
