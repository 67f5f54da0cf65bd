"""02.6, comprehensiveness and sufficiency: answers, mistakes and draws (instructors only)."""

from math import ceil

import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("02.6", "comprehensiveness and sufficiency")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness
LOWEST = "Your order starts with the lowest score; the best token comes first."
NAMES = ("comprehensiveness", "sufficiency")


def without(tokens, places, baseline):
    """The text with the baseline token at these places, or without them if it is None."""
    filling = [] if baseline is None else [baseline]
    return [t for i, own in enumerate(tokens) for t in (filling if i in places else [own])]


def judge(score, tokens, scores, fractions, baseline=None, **change):
    if not fractions or min(fractions) <= 0 or max(fractions) > 1:
        raise ValueError(f"fractions must be above 0 and at most 1, got {fractions}")
    key = change.get("key", lambda value, place: -value)
    order = sorted(range(len(tokens)), key=lambda place: key(scores[place], place))
    used, sums = change.get("used", list)(fractions), [0.0, 0.0]
    for fraction in used:
        k = change.get("cut", ceil)(fraction * len(tokens))
        best = change.get("best", lambda order, k, _: order[:k])(order, k, scores)
        for side, places in enumerate((best, set(order) - set(best))):
            loss = score(tokens) - score(without(tokens, places, baseline))
            sums[side] += loss / change.get("count", len)(used)
    return dict(zip(NAMES, sums, strict=True))


@right
def comprehensiveness_sufficiency(score, tokens, scores, fractions, baseline=None):
    return judge(score, tokens, scores, fractions, baseline)


@other
def with_tensors(score, tokens, scores, fractions, baseline=None):
    if len(fractions) == 0 or not all(0 < share <= 1 for share in fractions):
        raise ValueError("shares of the tokens")
    rank = torch.tensor(scores).argsort(descending=True, stable=True).argsort()
    text, found = torch.tensor(tokens), []
    for k in [ceil(share * len(tokens)) for share in fractions]:
        for present in (rank >= k, rank < k):
            shown = text[present] if baseline is None else torch.where(present, text, baseline)
            found.append(score(tokens) - score(shown.tolist()))
    means = torch.tensor(found, dtype=torch.float64).view(-1, 2).mean(0)
    return {"sufficiency": means[1], "comprehensiveness": means[0]}


CHANGES = {
    "cut": {
        "You rounded the number of tokens down; round up, so that a small share is a token.": int,
        "You rounded the number of tokens to the nearest whole one; round up.": round,
        "You took at least one token, but rounded down otherwise.": lambda k: max(1, int(k)),
        "You took one token more than ceil(fraction * T).": lambda k: int(k) + 1,
        "You took a fraction as a number of tokens.": lambda k: 1,
    },
    "key": {
        "You ordered by absolute value; the order is by signed score.": lambda s, i: -abs(s),
        LOWEST: lambda s, i: s,
        "Tied tokens come in reverse; the earlier one comes first.": lambda s, i: (-s, -i),
        "You ignored the scores and took the order of the text.": lambda s, i: i,
    },
    "best": {  # o: places, the best first; s: scores
        "You took all tokens that are tied with the k-th; k tokens are the rationale.": (
            lambda o, k, s: [i for i in o if s[i] >= s[o[k - 1]]]
        ),
        "You left out tokens without a positive score; take ceil(fraction * T) of them.": (
            lambda o, k, s: [i for i in o[:k] if s[i] > 0]
        ),
        "You changed only the last of the k tokens; all go.": lambda o, k, s: o[k - 1 : k],
    },
    "used": {
        "You used the first fraction only; take the mean over all.": lambda shares: shares[:1],
        "You used the last fraction only; take the mean over all.": lambda shares: shares[-1:],
    },
    "count": {"You added the fractions up; take their mean.": lambda shares: 1},
}
for option, table in CHANGES.items():
    ANSWERS.variants(judge, {text: {option: change} for text, change in table.items()})
ANSWERS.variants(judge, {LOWEST: {"key": lambda s, i: (s, -i)}})


def changed(names, change):
    """A mistake: for these measures ``change`` of the loss and of m(x)."""

    def wrong(score, tokens, *given):
        found = judge(score, tokens, *given)
        return found | {name: change(found[name], score(tokens)) for name in names}

    return wrong


OF_LOSSES = {
    "You returned the metric of the changed texts; subtract it from m(x).": lambda v, m: m - v,
    "The sign is turned round: m(x) minus the metric of the changed text.": lambda v, m: -v,
    "You divided by m(x); the measures keep the unit of the metric.": lambda v, m: v / m,
}
for text, change in OF_LOSSES.items():
    mistake(text, changed(NAMES, change))
    for name in NAMES:
        mistake(f"The {name} alone is wrong. {text}", changed([name], change))
mistake("The two are swapped: comprehensiveness takes the best away, sufficiency keeps them.",
        lambda *given: dict(zip(NAMES, [*judge(*given).values()][::-1], strict=True)))  # fmt: skip
mistake("You deleted tokens although a baseline token was given.", lambda *x: judge(*x[:4]))
mistake("With baseline=None leave the tokens out; do not put token 0 there.",
        lambda *given: judge(*given[:4], given[4] or 0))  # fmt: skip
mistake("Baseline token 0 is a token like any other: only None means deletion.",
        lambda *given: judge(*given[:4], *[token or None for token in given[4:]]),
        held_out=True)  # fmt: skip
mistake("Without `baseline` tokens are left out.",
        lambda *given: judge(*given[:4], *(given[4:] or [0])), held_out=True)  # fmt: skip


@mistake("You added up the attribution itself: call score on the changed texts.")
def sums_of_scores(score, tokens, scores, fractions, *baseline):
    best = [sorted(scores, reverse=True)[: ceil(share * len(tokens))] for share in fractions]
    found = sum(map(sum, best)) / len(best)
    return dict(zip(NAMES, (found, sum(scores) - found), strict=True))


@witness("The rule")
def to_four_decimals(*given):
    return {name: round(loss, 4) for name, loss in judge(*given).items()}


def draws(*texts, note="", **options):
    """Each text is (length, shares of its tokens)."""
    given = [{"length": length, "fractions": shares} | options for length, shares in texts]
    return [Draw("judged", one, note, 1e-6) for one in given]


RULE = "The rule: take the ceil(fraction * T) best tokens away, or keep them alone; then the means."
PLAIN, TIED = [], []
for token in (25, None):
    PLAIN += draws((5, [0.3, 0.7]), (6, [0.5]), (7, [0.2, 0.5, 0.9]), (4, [1.0]), baseline=token)
    TIED += draws((5, [0.1, 0.5]), (7, [0.2, 0.5]), (8, [0.1, 0.3, 0.6]), baseline=token, ties=2)
ANSWERS.part("a sum of known effects", 5, PLAIN, RULE)
ANSWERS.part("order and rounding", 4, TIED, f"{RULE} Some scores here are tied.")
SHARES = [(4, [0.3]), (9, [0.15, 0.6, 1.0])]
HARD = draws(*SHARES, ties=1, baseline=0, note="All scores are tied; the baseline is token 0.")
HARD += draws(*SHARES, ties=1, default=True, note="All scores are tied; no baseline is given.")
HARD += draws((1, [0.01]), (2, [0.5, 1.0]), (6, [0.4, 0.4]), baseline=3)
HARD += draws((5, [0.5]), size=1e-5) + draws((5, [0.5]), size=1e5, baseline=0)
ANSWERS.part("all scores tied", 2, HARD, RULE, held_out=True)
NOTE = "There has to be at least one fraction, above 0 and at most 1: raise ValueError."
BAD = [
    Draw("judged", {"length": 3, "fractions": fractions}, f"{fractions}: {NOTE}", refused=True)
    for fractions in ([], [0.5, 0.0], [-0.2], [1.5], [0.5, 1.01])
]
ANSWERS.part("fractions in range", 2, BAD, NOTE, held_out=True)
