"""05.3, how far the lens is off: answers, mistakes and draws (instructors only)."""

import math

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.3", "how far the lens is off")
right, other, mistake = ANSWERS.right, ANSWERS.other, ANSWERS.mistake


def logs(logits):
    return torch.log_softmax(logits.double(), -1)


def average(p):
    """Logs of the mean over the tokens of distributions that are given as logs."""
    return torch.logsumexp(p, -2) - math.log(p.shape[-2])


def kl(p, q):
    return (p.exp() * (p - q)).sum(-1)


@right
def lens_divergence(readings, final):
    p, q = logs(final), logs(readings)
    return kl(p, q).mean(1), kl(average(p), average(q))


@other
def divergence_numpy(readings, final):
    def average(x):
        return np.logaddexp.reduce(x, -2) - math.log(len(final))

    p, q = (x.detach().double().numpy() for x in (final, readings))
    p, q = (x - np.logaddexp.reduce(x, -1, keepdims=True) for x in (p, q))
    kls = [np.mean([np.exp(a) @ (a - b) for a, b in zip(p, one, strict=True)]) for one in q]
    return kls, [np.exp(average(p)) @ (average(p) - average(one)) for one in q]


def with_kl(compute):
    """``compute(p, q)``, from the logs of the distributions, in place of the KL."""
    return lambda read, final: (compute(logs(final), logs(read)), lens_divergence(read, final)[1])


def with_bias(compute):
    return lambda read, final: (lens_divergence(read, final)[0], compute(logs(final), logs(read)))


# fmt: off
for message, compute in {
    "This is the cross-entropy: subtract the model's entropy.": lambda p, q: -(p.exp() * q).sum(-1),
    "You took the mean over the vocabulary; a KL is a sum.": lambda p, q: kl(p, q) / p.shape[-1],
    "You left out the weights: the model's probabilities.": lambda p, q: (p - q).sum(-1),
    "This is the mean of both directions.": lambda p, q: (kl(p, q) + kl(q, p)) / 2,
    "This is the sum of both directions.": lambda p, q: kl(p, q) + kl(q, p),
    "This is the Jensen-Shannon divergence.":
        lambda p, q: sum(kl(x, ((p.exp() + q.exp()) / 2).log()) for x in (p, q)) / 2,
    "You summed absolute differences of probabilities; KL weighs differences of logs.":
        lambda p, q: (p.exp() - q.exp()).abs().sum(-1),
    "You compared with the last reading; compare with `final`.": lambda p, q: kl(q[-1], q),
    "You read the last token only; take the mean.": lambda p, q: kl(p, q)[:, -1:],
    "You added the tokens up; take the mean over them.": lambda p, q: kl(p, q) * len(p),
    "You averaged the logits over the tokens before comparing. Compare token by token.":
        lambda p, q: kl(logs(p.mean(-2)), logs(q.mean(-2))).unsqueeze(1),
    "You averaged the distributions before comparing: that is the bias. Compare token by token.":
        lambda p, q: kl(average(p), average(q)).unsqueeze(1),
}.items():
    mistake(message, with_kl(lambda p, q, each=compute: each(p, q).mean(-1)))
for message, compute in {
    "You normalised over the tokens. Each row is one distribution: use the last axis.":
        lambda p, q: kl(p.log_softmax(-2), q.log_softmax(-2)),
    "You used the logits as if they were log-probabilities. Normalise both first.":
        lambda p, q: (logs(p).exp() * (p - q)).sum(-1),
}.items():
    mistake(message, lambda q, p, f=compute: (f(p, q).mean(-1), lens_divergence(q, p)[1]))
for message, *computes in (
    ("You returned the mean KL as bias. Average the distributions over the tokens first.",
     lambda p, q: kl(p, q).mean(-1)),
    ("You summed the distributions over the tokens; their mean is a distribution, not their sum.",
     lambda p, q: kl(average(p), average(q)) * len(p)),
    ("You compared the model's average with the lens at each token.",
     lambda p, q: kl(average(p), q).mean(-1)),
    ("You compared the model at each token with the lens's average.",
     lambda p, q: kl(p, average(q).unsqueeze(1)).mean(-1)),
    ("You averaged over the states. The bias is one number for each state.",
     lambda p, q: kl(average(p), average(q)).mean().expand(len(q))),
    ("You averaged logits or log-probabilities over the tokens. Average probabilities, then take "
     "the logarithm.", lambda p, q: kl(p.mean(-2), q.mean(-2)),
     lambda p, q: kl(logs(p.mean(-2)), logs(q.mean(-2)))),
):
    mistake(message, *map(with_bias, computes))
# What may be wrong in one of the two numbers, or in both.
for message, change in {
    "The two distributions are exchanged. KL(model || lens) weighs by the model's probabilities.":
        lambda p, q: kl(q, p),
    "The sign is turned round: a KL is never negative.": lambda p, q: -kl(p, q),
    "You used logarithms to base 2, not natural ones.": lambda p, q: kl(p, q) / math.log(2),
}.items():
    kls = with_kl(lambda p, q, f=change: f(p, q).mean(-1))
    bias = with_bias(lambda p, q, f=change: f(average(p), average(q)))
    mistake(message, kls, bias, lambda *given, a=kls, b=bias: (a(*given)[0], b(*given)[1]))
# fmt: on


def draw(states, tokens, vocabulary, note="", see="", scale=0.0, **options):
    options |= {"states": states, "tokens": tokens, "vocabulary": vocabulary}
    return Draw("readings", options, note, 1e-8, scale, see)


KL = "KL: the sum over the words of p (log p - log q), the mean over tokens, in float64."
BIAS = "Bias: KL(mean over the tokens of the model's distributions || the same mean of the lens's)."
SIZES = ((3, 5, 7, False), (4, 2, 11, True), (1, 3, 4, False))
MEAN = [draw(*size, see="first_of_two", grad=grad) for *size, grad in SIZES]
ANSWERS.part("mean KL", 5, MEAN, KL)
MEANS = [draw(*size, see="second_of_two", grad=grad) for *size, grad in SIZES]
ANSWERS.part("bias", 4, MEANS, BIAS)
OUT = "Words whose logits lie thousands of units below the others: stay in logs (log_softmax)."
TYPE = "Logits of another type: convert them to float64 first."
RULED_OUT = [
    draw(3, 4, 6, OUT, out=True),
    draw(2, 1, 5, OUT, out=True, dtype="float32"),
    draw(3, 4, 40, OUT, out=True, level=5e3),
    draw(2, 4, 2, "Distributions that nearly agree: float64.", near=1e-3, level=1e3, scale=1e-2),
    *(draw(3, 4, 6, TYPE, dtype=kind, turned=True) for kind in ("bfloat16", "float16")),
]
ANSWERS.part("words ruled out", 2, RULED_OUT, f"{KL} {BIAS}", held_out=True)
SAME = "A reading that differs by one number for each token predicts the same: KL and bias are 0."
IDENTITIES = [
    *(draw(n, 5, 7, SAME, same=0, scale=0.1) for n in (1, 4)),
    draw(4, 1, 7, "With a single token, KL and bias are the same number."),
    *(draw(1, 2, 2, "A single state, two words."), draw(5, 5, 5)),
]
ANSWERS.part("identities", 2, IDENTITIES, f"{KL} {BIAS}", held_out=True)
