"""05.3, how far the lens is off: answers, mistakes and draws (instructors only)."""

import math

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.3", "how far the lens is off")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


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
    return kl(p, q).mean(-1), kl(average(p), average(q))


@other
def divergence_torch(readings, final):
    p, q = final.double().log_softmax(-1), readings.double().log_softmax(-1)
    means = [x.logsumexp(-2) - math.log(x.shape[-2]) for x in (p, q)]
    each, bias = (
        torch.nn.functional.kl_div(b, a.expand_as(b), reduction="none", log_target=True)
        for a, b in ((p, q), means)
    )
    return each.sum(-1).mean(-1), bias.sum(-1)


@other
def divergence_loops(readings, final):
    def logs(row):
        return row - np.logaddexp.reduce(row)

    def kl(p, q):
        return sum(math.exp(a) * (a - b) for a, b in zip(p, q, strict=True))

    def average(rows):
        return np.logaddexp.reduce(rows, axis=0) - math.log(len(rows))

    readings, final = (x.detach().double().numpy() for x in (readings, final))
    p, kls, biases = [logs(row) for row in final], [], []
    for table in readings:
        q = [logs(row) for row in table]
        kls.append(sum(map(kl, p, q)) / len(p))
        biases.append(kl(average(p), average(q)))
    return kls, biases


def with_kl(compute):
    """``compute(p, q)``, from the logs of the distributions, in place of the KL."""

    def answer(readings, final):
        return compute(logs(final), logs(readings)), lens_divergence(readings, final)[1]

    return answer


def with_bias(compute):
    def answer(readings, final):
        return lens_divergence(readings, final)[0], compute(logs(final), logs(readings))

    return answer


def over_tokens(x):
    return x - torch.logsumexp(x, -2, keepdim=True)


def shannon(p, q):
    middle = ((p.exp() + q.exp()) / 2).log()
    return (kl(p, middle) + kl(q, middle)) / 2


for message, compute in {
    "This is the cross-entropy: subtract the entropy of the model (weigh the difference of the two "
    "logs).": lambda p, q: -(p.exp() * q).sum(-1),
    "You took the mean over the vocabulary; a KL is a sum over all words.": (
        lambda p, q: (p.exp() * (p - q)).mean(-1)
    ),
    "You left out the weights: each word's difference of logs is weighed by the model's "
    "probability.": lambda p, q: (p - q).sum(-1),
    "This is the mean of both directions.": lambda p, q: (kl(p, q) + kl(q, p)) / 2,
    "This is the sum of both directions.": lambda p, q: kl(p, q) + kl(q, p),
    "This is the Jensen-Shannon divergence.": shannon,
    "You summed absolute differences of probabilities; KL weighs differences of logs.": (
        lambda p, q: (p.exp() - q.exp()).abs().sum(-1)
    ),
    "You compared each state with the last reading; compare with `final`.": (
        lambda p, q: kl(q[-1], q)
    ),
}.items():
    mistake(message, with_kl(lambda p, q, each=compute: each(p, q).mean(-1)))
for message, compute in {
    "You added the tokens up; take the mean over the tokens.": lambda p, q: kl(p, q).sum(-1),
    "You read the last token only; take the mean over all tokens.": lambda p, q: kl(p, q)[:, -1],
    "You averaged the logits over the tokens before comparing. Compare token by token, then "
    "average.": lambda p, q: kl(logs(p.mean(-2)), logs(q.mean(-2))),
    "You averaged the distributions before comparing: that is the bias. Compare token by token, "
    "then average.": lambda p, q: kl(average(p), average(q)),
}.items():
    mistake(message, with_kl(compute))
mistake(
    "You normalised over the tokens. Each row is one distribution over the vocabulary: use the "
    "last axis.",
    lambda readings, final: (
        kl(over_tokens(final), over_tokens(readings)).mean(-1),
        lens_divergence(readings, final)[1],
    ),
)
mistake(
    "You used the logits as if they were log-probabilities. Normalise both first.",
    lambda readings, final: (
        (logs(final).exp() * (final - readings)).sum(-1).mean(-1),
        lens_divergence(readings, final)[1],
    ),
)
for message, compute in {
    "You returned the mean KL as bias. Average the distributions over the tokens first, then "
    "compare the two averages.": lambda p, q: kl(p, q).mean(-1),
    "You summed the distributions over the tokens and did not divide: the average is a "
    "distribution again.": lambda p, q: kl(average(p), average(q)) * len(p),
    "You compared the model's average with the lens at each token.": (
        lambda p, q: kl(average(p), q).mean(-1)
    ),
    "You compared the model at each token with the lens's average.": (
        lambda p, q: kl(p, average(q).unsqueeze(1)).mean(-1)
    ),
    "You averaged over the states. The bias is one number for each state.": (
        lambda p, q: kl(average(p), average(q)).mean().expand(len(q))
    ),
}.items():
    mistake(message, with_bias(compute))
mistake(
    "You averaged logits or log-probabilities over the tokens. Average probabilities, then take "
    "the logarithm.",
    with_bias(lambda p, q: kl(p.mean(-2), q.mean(-2))),
    with_bias(lambda p, q: kl(logs(p.mean(-2)), logs(q.mean(-2)))),
)
# What may be wrong in one of the two numbers, or in both.
for message, change in {
    "The two distributions are exchanged. KL(model || lens) weighs by the model's probabilities: "
    "what does someone lose who expects the lens and meets the model?": lambda p, q: kl(q, p),
    "The sign is turned round: a KL is never negative.": lambda p, q: -kl(p, q),
    "You used logarithms to base 2. Use the natural one: nats.": (
        lambda p, q: kl(p, q) / math.log(2)
    ),
}.items():
    kls = with_kl(lambda p, q, change=change: change(p, q).mean(-1))
    bias = with_bias(lambda p, q, change=change: change(average(p), average(q)))
    mistake(message, kls, bias, lambda *given, a=kls, b=bias: (a(*given)[0], b(*given)[1]))


@witness("float64")
def in_single_precision(readings, final):
    return lens_divergence(readings.float(), final.float())


@witness("thousands of units")
def clamped(readings, final):
    return with_kl(lambda p, q: kl(p, q.clamp(min=-20)).mean(-1))(readings, final)


@witness("nan")
def outside_logs(readings, final):
    p, q = (x.double().softmax(-1).mean(-2) for x in (final, readings))
    return lens_divergence(readings, final)[0], (p * (p / q).log()).sum(-1)


def draws(observe, *sizes):
    names = ("states", "tokens", "vocabulary")
    given = [dict(zip(names, size, strict=True)) for size in sizes]
    return [Draw("readings", options, tolerance=1e-8, observe=observe) for options in given]


KL = "The rule: the sum over the words of p (log p - log q), the mean over tokens, in float64."
BIAS = (
    "The rule: KL(mean over the tokens of the model's distributions || the same mean of the "
    "lens's), in float64."
)
EACH = "One number for each state."
of_kl, of_bias = "first_of_two", "second_of_two"
ANSWERS.part("mean KL", 5, draws(of_kl, (3, 5, 7), (4, 2, 11), (1, 3, 4)), KL, EACH)
ANSWERS.part("bias", 4, draws(of_bias, (3, 4, 6), (2, 6, 9)), BIAS, EACH)


def draw(note, states=3, tokens=4, vocabulary=6, tolerance=1e-8, **options):
    options |= {"states": states, "tokens": tokens, "vocabulary": vocabulary}
    return Draw("readings", options, note, tolerance, scale=0.1)


OUT = "Words whose logits lie thousands of units below the others: stay in logs (log_softmax)."
TYPE = "Logits of another type: convert them to float64 first."
RULED_OUT = [
    draw(OUT, out=True),
    draw(OUT, 2, 1, 5, out=True, dtype="float32"),
    draw(OUT, vocabulary=40, out=True, level=5e3),
    Draw(
        "readings",
        {"states": 2, "tokens": 4, "vocabulary": 2, "near": 1e-3, "level": 1000.0},
        "Two distributions that nearly agree: compute in float64.",
    ),
    draw(TYPE, dtype="bfloat16"),
    draw(TYPE, dtype="float16", turned=True),
    draw(TYPE, dtype="float32", grad=True),
]
BOTH = f"{KL} The bias is {BIAS[10:]}"
ANSWERS.part("words ruled out", 2, RULED_OUT, BOTH, EACH, held_out=True)
SAME = "A reading that differs by one number for each token predicts the same: KL and bias are 0."
IDENTITIES = [
    draw(SAME, 4, 5, 7, same=2),
    draw(SAME, 1, 3, 5, same=0),
    draw("With a single token, KL and bias are the same number.", 4, 1, 7),
    draw("A single state, two words.", 1, 2, 2),
    draw("As many states as tokens and words.", 5, 5, 5),
]
ANSWERS.part("identities", 2, IDENTITIES, BOTH, EACH, held_out=True)
