"""06.5, how much of the loss is recovered: answers, mistakes and draws (instructors only)."""

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
    return mean(-rows.gather(-1, targets.unsqueeze(-1))[..., 0], counted)


@ANSWERS.right
def loss_recovered(clean, replaced, ablated, tokens, real, ratio=share, **steps):
    c, s, z = (loss(run, tokens, real, **steps) for run in (clean, replaced, ablated))
    if z <= c:
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


def by_text(losses, real):
    return torch.stack([t[k].mean() for t, k in zip(losses, real, strict=True)])


def mean_of_shares(clean, replaced, ablated, *texts, mean):
    return share(*(loss(run, *texts, mean=mean) for run in (clean, replaced, ablated))).mean()


ROW = "You compared row t with token t. Row t predicts the token after it."
ANSWERS.variants(loss_recovered, pair={
    ROW: (lambda logs, t, real: (logs, t, real),
          lambda logs, t, real: (logs[:, 1:], t[:, 1:], real[:, 1:])),
    "You shifted the wrong way: row t predicts the token at t + 1, not the one before it.":
        lambda logs, t, real: (logs[:, 1:], t[:, :-1], real[:, :-1]),
    "You looked whether row t is real. What counts is the predicted token, real[:, 1:].":
        lambda logs, t, real: (logs[:, :-1], t[:, 1:], real[:, :-1]),
})  # fmt: skip
ANSWERS.variants(loss_recovered, ratio={
    "This is the share of the loss that is lost.": lambda c, s, z: 1 - share(c, s, z),
    "The three runs are exchanged: ablated minus the two others.": lambda c, s, z: share(s, c, z),
    "You divided by the loss of the ablated run, not what it costs.": lambda c, s, z: (z - s) / z,
    "You returned a ratio of two losses.": (lambda c, s, z: c / s, lambda c, s, z: s / c),
    "You returned how much the loss rises, in nats; return a share.": lambda c, s, z: s - c,
    "You used perplexities; use cross-entropies.": lambda *losses: share(*map(torch.exp, losses)),
})  # fmt: skip
ANSWERS.variants(loss_recovered, mean={
    "You averaged within each text first; every predicted token counts the same.":
        lambda t, k: by_text(t, k).mean(),
    "You averaged probabilities, not their logs.": lambda t, k: -(-t[k]).exp().mean(),
    "You used the last prediction of each text only.": lambda t, k: t[:, -1].mean(),
    "Padding is counted: leave predictions out whose target is not real.": lambda t, k: t.mean(),
})  # fmt: skip
ANSWERS.variants(loss_recovered, logs={
    "You used logits as if they were log-probabilities: log_softmax is missing.": torch.clone,
    "You normalised over tokens; the vocabulary is the last axis.": lambda run: run.log_softmax(1),
})  # fmt: skip
ANSWERS.variants(mean_of_shares, mean={
    "You averaged the shares of single tokens; average the losses first.": lambda t, k: t[k],
    "You averaged the shares of single texts; average the losses first.": by_text,
})  # fmt: skip
ANSWERS.mistake("You compared squared differences of logits. The measure asks for the loss.",
    lambda c, s, z, *_: 1 - (c - s).square().sum() / (c - z).square().sum())  # fmt: skip
CLIP = "The share may lie above 1 and below 0: do not clip it."
ANSWERS.variants(loss_recovered, ratio={CLIP: (
    lambda *losses: share(*losses).clamp(0, 1), lambda *losses: share(*losses).clamp(max=1),
    lambda *losses: share(*losses).clamp(min=0))}, held_out=True)  # fmt: skip
ANSWERS.variants(loss_recovered, logs={
    "Logits lie far apart: convert to float64 before log_softmax.":
        (lambda run: run.log_softmax(-1), lambda run: run.float().log_softmax(-1)),
    "Logits lie far apart: stay in logs, the softmax of one may be 0.":
        (lambda run: run.double().softmax(-1).log(), lambda run: run.float().softmax(-1).log()),
}, held_out=True)  # fmt: skip


def draw(*sizes, note="", refused=False, tolerance=1e-6, **options):
    return Draw("runs", {"sizes": sizes} | options, note, tolerance, refused=refused)


RULE = "The rule: (ablated - replaced) / (ablated - clean), each the mean loss over real targets."
EQUAL = [draw(*sizes) for sizes in ((3, 5, 6), (1, 7, 4), (4, 4, 20))]
ENDS = "The clean run itself recovers 1 and the ablated run 0."
EQUAL += [draw(2, 4, 5, order=order, note=ENDS) for order in ((0, 0, 2), (0, 2, 2))]
ANSWERS.part("texts of equal length", 5, EQUAL, RULE)
PADDED = [draw(*sizes, padded=3) for sizes in ((3, 8, 5), (4, 7, 12), (2, 6, 4))]
ANSWERS.part("padded texts", 4, PADDED, RULE)
BEYOND = [draw(3, 6, 5, padded=1, strength=s, note=CLIP) for s in (3.0, -3.0)]
FAR = "Logits hundreds apart: float64 first, then log_softmax."
KINDS = {"float16": 300.0, "bfloat16": 100.0, "float32": 900.0, "float64": 3e4}
BEYOND += [draw(2, 5, 40, dtype=k, far=KINDS[k], tolerance=1e-9, note=FAR) for k in KINDS]
BEYOND += [draw(2, 5, 9, far=-np.inf), draw(3, 5, 4, turned=True), draw(1, 2, 2), draw(2, 2, 3)]
BEYOND += [draw(4, 9, 6, padded=1, cost=c, note="Ablation costs little.") for c in (0.01, 1e-5)]
ANSWERS.part("beyond the ends", 2, BEYOND, RULE, held_out=True)
WHY = "Ablation is as good as nothing, or better: nothing to recover, so raise ValueError."
BAD = {"order": (0, 1, 0)}, {"order": (2, 1, 0)}, {"cost": -0.01}
COSTS = [draw(4, 6, 5, padded=1)]
COSTS += [draw(4, 6, 5, padded=1, refused=True, note=WHY, **bad) for bad in BAD]
ANSWERS.part("ablation that costs nothing", 2, COSTS, RULE, held_out=True)
