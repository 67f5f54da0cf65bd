"""06.5, how much of the model's loss is recovered: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("06.5", "how much of the model's loss is recovered")


def log_probs(run):
    return run.double().log_softmax(-1)


def next_token(logs, tokens, real):
    return logs[:, :-1], tokens[:, 1:], real[:, 1:]


def over_real(losses, real):
    return losses[real].mean()


def share(c, s, z):
    return (z - s) / (z - c)


def loss(run, tokens, real, logs=log_probs, pair=next_token, mean=over_real):
    rows, targets, counted = pair(logs(run), tokens, real)
    return mean(-rows.gather(-1, targets.unsqueeze(-1)).squeeze(-1), counted)


@ANSWERS.right
def loss_recovered(clean, replaced, ablated, tokens, real, ratio=share, checked=True, **steps):
    c, s, z = (loss(run, tokens, real, **steps) for run in (clean, replaced, ablated))
    if checked and z <= c:
        raise ValueError("nothing to recover")
    return ratio(c, s, z)


@ANSWERS.other
def token_by_token(clean, replaced, ablated, tokens, real):
    sums = []
    for run in (clean, replaced, ablated):
        table, total = run.double().numpy(), 0.0
        for b, t in zip(*np.nonzero(real[:, 1:].numpy()), strict=True):
            row = table[b, t]
            total += row.max() + np.log(np.exp(row - row.max()).sum()) - row[tokens[b, t + 1]]
        sums.append(total)
    if sums[2] <= sums[0]:
        raise ValueError
    return 1 - (sums[1] - sums[0]) / (sums[2] - sums[0])


@ANSWERS.other
def with_cross_entropy(clean, replaced, ablated, tokens, real):
    targets = tokens.masked_fill(~real, -100)[:, 1:].flatten()
    flat = (run[:, :-1].double().flatten(0, 1) for run in (clean, replaced, ablated))
    c, s, z = (torch.nn.functional.cross_entropy(rows, targets) for rows in flat)
    if not z > c:
        raise ValueError("nothing to recover")
    return (s - z) / (c - z)


def by_token(c, s, z):
    return share(c, s, z).mean()


ROW = "You compared row t with token t. Row t predicts the token after it."
TWO = "You returned a ratio of two losses; both differences start from the ablated run."
ANSWERS.variants(loss_recovered, {
    ROW: (lambda logs, t, real: (logs, t, real),
          lambda logs, t, real: (logs[:, 1:], t[:, 1:], real[:, 1:])),
    "You shifted the wrong way: row t predicts the token at t + 1, not the one before it.":
        lambda logs, t, real: (logs[:, 1:], t[:, :-1], real[:, :-1]),
    "You looked whether row t is real. What counts is the predicted token, real[:, 1:].":
        lambda logs, t, real: (logs[:, :-1], t[:, 1:], real[:, :-1]),
}, step="pair")  # fmt: skip
ANSWERS.variants(loss_recovered, {
    "This is the share of the loss that is lost; return what is recovered.":
        lambda c, s, z: 1 - share(c, s, z),
    "The three runs are exchanged: it is ablated minus replaced over ablated minus clean.":
        lambda c, s, z: share(s, c, z),
    "You divided by the loss of the ablated run; divide by what ablation costs.":
        lambda c, s, z: (z - s) / z,
    TWO: (lambda c, s, z: c / s, lambda c, s, z: s / c),
    "You returned how much the loss rises, in nats; return the recovered share.":
        lambda c, s, z: s - c,
    "You used perplexities; use cross-entropies.": lambda *losses: share(*map(torch.exp, losses)),
}, step="ratio")  # fmt: skip
ANSWERS.variants(loss_recovered, {
    "You averaged within each text first; every predicted token counts the same.":
        lambda t, k: torch.stack([a[b].mean() for a, b in zip(t, k, strict=True) if any(b)]).mean(),
    "You averaged probabilities; use the mean negative log-probability.":
        lambda t, k: -(-t[k]).exp().mean(),
    "You used the last prediction of each text only; average over all.": lambda t, k: t[:, -1].mean(),
    "Padding is counted: leave predictions out whose target is not real.": lambda t, k: t.mean(),
    "Padding is set to 0 and still divided by: the mean runs over real targets.":
        lambda t, k: (t * k).mean(),
}, step="mean")  # fmt: skip
ANSWERS.variants(loss_recovered, {
    "You used logits as if they were log-probabilities: log_softmax is missing.": torch.clone,
    "You normalised over the tokens of a text; the vocabulary is the last axis.":
        lambda run: run.log_softmax(1),
}, step="logs")  # fmt: skip
ANSWERS.variants(loss_recovered, {
    "You averaged the shares of single tokens; average the losses first.":
        {"mean": lambda t, k: t[k]},
    "You averaged the shares of single texts; average the losses first.": {"mean": lambda t, k:
        torch.stack([a[b].mean() for a, b in zip(t, k, strict=True) if any(b)])},
})  # fmt: skip
