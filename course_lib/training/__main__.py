"""Train the bundled models: `python -m course_lib.training [NAME ...]`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def main(arguments: list[str] | None = None) -> None:
    import torch

    from course_lib.training.bundle import bundle
    from course_lib.training.models import RECIPES, new_model
    from course_lib.training.train import train

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[*RECIPES], help="models to train")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of checkpoints")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    for name in options.names:
        model = new_model(name)
        train(model, RECIPES[name], options.runs / name, snapshot=lambda m, n=name: bundle(m, n))
        bundle(model, name)


if __name__ == "__main__":
    main()
