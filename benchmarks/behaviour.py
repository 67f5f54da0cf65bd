"""How fast `score_pairs` is, against the loop one would write first.

    python benchmarks/behaviour.py [pairs per paradigm] [repetitions]

The plain loop takes 32 pairs at a time in file order, pads them, runs the model, takes the
log-softmax of all logits and picks those of the words. `score_pairs` scores each different sentence
once, in batches of one length without padding, and normalises only the logits it needs. Both
see the same sentences, tokenised beforehand for the plain loop, and must agree.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time

import torch
import transformers

from course_lib import load_model
from course_lib.behaviour import Protocol, score_pairs
from course_lib.behaviour.suites import as_pairs
from course_lib.models.assets import AssetError
from course_lib.models.language_model import LanguageModel
from course_lib.world.suites import course_suite

PLAIN_BATCH = 32  # pairs


def model() -> LanguageModel:
    """The bundled model, or one of the same size with random weights."""
    try:
        return load_model("course-lm")
    except AssetError:
        from course_lib.world.tokenizer import build_tokenizer

        torch.manual_seed(0)
        tokenizer = build_tokenizer()
        config = transformers.GPT2Config(
            vocab_size=len(tokenizer), n_positions=256, n_embd=256, n_layer=6, n_head=8
        )
        return LanguageModel(transformers.GPT2LMHeadModel(config), tokenizer, "random GPT-2")


@torch.no_grad()
def plain_loop(lm: LanguageModel, ids: list[list[int]]) -> torch.Tensor:
    """Summed log-probability of each sentence, two per pair, in file order: shape [2 N]."""
    totals = []
    for start in range(0, len(ids), 2 * PLAIN_BATCH):
        rows = ids[start : start + 2 * PLAIN_BATCH]
        width = max(map(len, rows))
        batch = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        logp = lm(batch, mask).logits.log_softmax(-1)
        picked = logp[:, :-1].gather(-1, batch[:, 1:, None]).squeeze(-1)
        totals.append((picked * mask[:, 1:]).sum(1))
    return torch.cat(totals)


def seconds(function, *arguments) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def main(pairs_per_paradigm: int = 20, repetitions: int = 7) -> None:
    lm = model()
    pairs = as_pairs(course_suite(pairs_per_paradigm))
    sentences = [text for pair in pairs for text in (pair.good, pair.bad)]
    ids = [lm.encode(text) for text in sentences]
    lengths = [len(item) for item in ids]
    print(f"python {platform.python_version()}, torch {torch.__version__}, ", end="")
    print(f"transformers {transformers.__version__}, {torch.get_num_threads()} threads")
    print(f"{lm.name}: {len(pairs)} pairs of the course suite, {sum(lengths)} tokens, ", end="")
    print(f"length {min(lengths)} to {max(lengths)}, {len(set(map(tuple, ids)))} different")
    print(Protocol())

    expected = plain_loop(lm, ids).view(-1, 2)  # also warms up
    scores = score_pairs(lm, pairs)
    difference = (torch.stack([scores.good, scores.bad], 1) - expected).abs().max().item()
    print(f"largest difference between the two: {difference:.1e} nats")
    if difference > 1e-3:
        raise SystemExit("the two do not agree: the timings would mean nothing")

    # In turns, so that a busy moment of the machine hits both; the ratio is the median over turns.
    times = [(seconds(plain_loop, lm, ids), seconds(score_pairs, lm, pairs))
             for _ in range(repetitions)]  # fmt: skip
    plain, ours = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{'plain padded loop':<20} {plain:7.2f} s  {len(sentences) / plain:7.0f} sentences/s")
    print(f"{'score_pairs':<20} {ours:7.2f} s  {len(sentences) / ours:7.0f} sentences/s")
    print(f"ratio {statistics.median(a / b for a, b in times):.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
