"""Checks of 06.5: how much of the model's loss a reconstruction recovers (see unit06.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_number, compare
from course_lib.checks.results import Wrong

# --- 06.5 loss_recovered(clean, replaced, ablated, tokens, real) -> float ------------------------

ROW = (
    "You compared row t with token t. Row t predicts the token after it: logits[:, :-1] go with "
    "tokens[:, 1:]."
)


def log_probs(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def model_runs(rng: np.random.Generator, texts: int, length: int, vocabulary: int, padded: bool):
    """Logits of three runs [B, T, V] that know less and less of the next token, and the tokens."""
    tokens = rng.integers(0, vocabulary, size=(texts, length))
    real = np.ones((texts, length), dtype=bool)
    if padded:
        for row, kept in enumerate(rng.permutation(np.arange(3, 3 + texts))):
            real[row, min(int(kept), length - 1) :] = False
        tokens[~real] = 0
    known = np.zeros((texts, length, vocabulary))
    rows, places = np.indices((texts, length - 1))
    known[rows, places, tokens[:, 1:]] = rng.uniform(1, 4, size=(texts, length - 1))
    given = torch.tensor(tokens), torch.tensor(real)
    while True:
        runs = [
            torch.tensor(rng.normal(size=known.shape) + strength * known + rng.normal() * 3)
            for strength in (1.0, 0.7, 0.05)
        ]
        clean, _, ablated = (next_losses(run, given[0])[real[:, 1:]].mean() for run in runs)
        if ablated > clean + 0.5:  # chance may make a short text harder for the better run
            return (*runs, *given)


def next_losses(logits, tokens) -> np.ndarray:
    """Minus the log-probability of token t + 1 at row t, [B, T - 1]."""
    logs = log_probs(logits.double().numpy())[:, :-1]
    return -np.take_along_axis(logs, tokens.numpy()[:, 1:, None], -1)[..., 0]


def right_recovered(clean, replaced, ablated, tokens, real) -> float:
    counted = real.numpy()[:, 1:]
    means = [next_losses(run, tokens)[counted].mean() for run in (clean, replaced, ablated)]
    return float((means[2] - means[1]) / (means[2] - means[0]))


def wrong_recovered(clean, replaced, ablated, tokens, real) -> dict[str, float]:
    """What well-known slips give for these runs."""
    runs, ids, there = (clean, replaced, ablated), tokens.numpy(), real.numpy()
    counted = there[:, 1:]

    def share(losses):
        return (losses[2] - losses[1]) / (losses[2] - losses[0])

    losses = np.array([next_losses(run, tokens) for run in runs])
    logs = [log_probs(run.numpy()) for run in runs]
    c, s, z = losses[:, counted].mean(1)
    same = [-np.take_along_axis(t, ids[..., None], -1)[..., 0] for t in logs]
    before = [-np.take_along_axis(t[:, 1:], ids[:, :-1, None], -1)[..., 0] for t in logs]
    raw = [
        -np.take_along_axis(run.numpy()[:, :-1], ids[:, 1:, None], -1)[..., 0][counted].mean()
        for run in runs
    ]
    axis = [
        -np.take_along_axis(log_probs(run.numpy().swapaxes(1, 2)).swapaxes(1, 2)[:, :-1],
                            ids[:, 1:, None], -1)[..., 0][counted].mean()
        for run in runs
    ]  # fmt: skip
    texts = [np.mean([row[k].mean() for row, k in zip(t, counted, strict=True)]) for t in losses]
    each = [share([t[k].mean() for t in rows]) for *rows, k in zip(*losses, counted, strict=True)]
    return {
        ROW: share([t[there].mean() for t in same]),
        ROW + " ": share([t[:, 1:][counted].mean() for t in same]),
        "You shifted the wrong way: row t predicts the token at t + 1, not the one before "
        "it.": share([t[there[:, :-1]].mean() for t in before]),
        "This is the share of the loss that is lost; return what is recovered.": 1
        - share([c, s, z]),
        "The three runs are exchanged: the numerator is ablated minus replaced, the denominator "
        "ablated minus clean.": (z - c) / (z - s),
        "You divided by the loss of the ablated run; divide by what ablation costs, ablated minus "
        "clean.": (z - s) / z,
        "You returned a ratio of two losses; both differences start from the ablated run.": c / s,
        "You returned a ratio of two losses; both differences start from the ablated run. ": s / c,
        "You returned how much the loss rises, in nats; return the recovered share.": s - c,
        "You averaged the shares of single tokens. A token that ablation hardly touches then "
        "decides: average the losses first.": float(
            np.mean((losses[2] - losses[1])[counted] / (losses[2] - losses[0])[counted])
        ),
        "You averaged the shares of single texts; average the losses first.": float(np.mean(each)),
        "You averaged within each text first; every predicted token counts the same.": share(texts),
        "You used perplexities; use cross-entropies, the mean negative log-probability.": share(
            np.exp([c, s, z])
        ),
        "You averaged probabilities; use the mean negative log-probability.": share(
            [-np.exp(-t[counted]).mean() for t in losses]
        ),
        "You used logits as if they were log-probabilities: log_softmax is missing.": share(raw),
        "You normalised over the tokens of a text; the vocabulary is the last axis.": share(axis),
        "You used the last prediction of each text only; average over all.": share(
            losses[:, :, -1].mean(1)
        ),
        "You clipped the share to at most 1.": min(1.0, share([c, s, z])),
        "You compared squared differences of logits with the clean run. The measure asks for the "
        "loss on the next token.": 1
        - float(((clean - replaced) ** 2).sum() / ((clean - ablated) ** 2).sum()),
        "Padding is counted: leave predictions out whose target is not real.": share(
            losses.mean((1, 2))
        ),
        "You looked whether row t is real. What counts is the predicted token, real[:, 1:]: the "
        "last real row of a short text has nothing to predict.": share(
            losses[:, there[:, :-1]].mean(1)
        ),
        "Padding is set to 0 and still divided by: the mean runs over real targets.": share(
            (losses * counted).mean((1, 2))
        ),
    }  # fmt: skip


def recovered_compare(student, *given) -> None:
    got = as_number(student(*given), "the recovered share")
    right = right_recovered(*given)
    otherwise = (
        "Wrong share: (ablated - replaced) / (ablated - clean), each the mean cross-entropy of the "
        "next token over all real targets."
    )
    compare(got, right, wrong_recovered(*given), otherwise)


def equal_lengths(student, rng):
    for texts, length, vocabulary in ((3, 5, 6), (1, 7, 4), (4, 4, 20)):
        given = model_runs(rng, texts, length, vocabulary, padded=False)
        recovered_compare(student, *given)
        clean, _, ablated, tokens, real = given
        for run, value in ((clean, 1.0), (ablated, 0.0)):
            got = as_number(student(clean, run, ablated, tokens, real), "the recovered share")
            if abs(got - value) > 1e-6:
                raise Wrong(
                    "The clean run itself recovers 1 and the ablated run 0; yours gives "
                    f"{got:.3f} instead of {value:.0f}."
                )


def padded_texts(student, rng):
    for texts, length, vocabulary in ((3, 8, 5), (4, 7, 12), (2, 6, 4)):
        recovered_compare(student, *model_runs(rng, texts, length, vocabulary, padded=True))
