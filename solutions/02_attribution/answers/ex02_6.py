"""02.6, comprehensiveness and sufficiency: answers, mistakes and draws (instructors only)."""

from math import ceil

import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("02.6", "comprehensiveness and sufficiency")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness
NAMES = ("comprehensiveness", "sufficiency")


def without(tokens, places, baseline):
    """The text with the baseline token at these places, or without them if it is None."""
    if baseline is None:
        return [token for i, token in enumerate(tokens) if i not in places]
    return [baseline if i in places else token for i, token in enumerate(tokens)]


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
    shares = torch.tensor(fractions, dtype=torch.float64)
    if len(shares) == 0 or bool((shares <= 0).any()) or bool((shares > 1).any()):
        raise ValueError("shares of the tokens")
    rank = torch.tensor(scores).argsort(descending=True, stable=True).argsort()
    text, found = torch.tensor(tokens), []
    for k in (shares * len(tokens)).ceil().tolist():
        for present in (rank >= k, rank < k):
            shown = text[present] if baseline is None else torch.where(present, text, baseline)
            found.append(score(tokens) - score(shown.tolist()))
    means = torch.tensor(found, dtype=torch.float64).view(-1, 2).mean(0)
    return {"sufficiency": means[1], "comprehensiveness": means[0]}


CUTS = {
    "You rounded the number of tokens down; round up, so that a small share is one token.": int,
    "You rounded the number of tokens to the nearest whole one; round up.": round,
    "You took at least one token, but rounded down otherwise; round up.": lambda k: max(1, int(k)),
    "You took one more than k tokens: ceil(fraction * T) is k where it is whole.": (
        lambda k: int(k) + 1
    ),
    "You took a fraction as a number of tokens.": lambda k: 1,
}
KEYS = {
    "You ordered by absolute value: a token that speaks against the target comes last.": (
        lambda value, i: -abs(value)
    ),
    "Your order starts with the lowest score; the best comes first.": lambda value, i: value,
    "Tied tokens come in reverse; with equal scores the earlier one comes first.": (
        lambda value, i: (-value, -i)
    ),
    "You ignored the scores and took the order of the text.": lambda value, i: i,
}
BEST = {
    "You took all tokens that are tied with the k-th; k tokens are the rationale.": (
        lambda order, k, scores: [i for i in order if scores[i] >= scores[order[k - 1]]]
    ),
    "You left out tokens without a positive score; the rationale has ceil(fraction * T).": (
        lambda order, k, scores: [i for i in order[:k] if scores[i] > 0]
    ),
    "You changed only the last of the k tokens; all k go together.": lambda o, k, _: o[k - 1 : k],
}
USED = {
    "You used the first fraction only; take the mean over all.": lambda fractions: fractions[:1],
    "You used the last fraction only; take the mean over all.": lambda fractions: fractions[-1:],
}
ADDED = {"You added the fractions up; take their mean.": lambda fractions: 1}
CHANGES = {"cut": CUTS, "key": KEYS, "best": BEST, "used": USED, "count": ADDED}
for option, table in CHANGES.items():
    ANSWERS.variants(judge, {text: {option: change} for text, change in table.items()})
ANSWERS.variants(judge, {list(KEYS)[1]: {"key": lambda value, i: (value, -i)}})


def changed(names, change):
    """Another value for these measures: ``change`` of the right one and m(x)."""

    def wrong(score, tokens, *given):
        found = judge(score, tokens, *given)
        return found | {name: change(found[name], score(tokens)) for name in names}

    return wrong


OF_LOSSES = {
    "You returned the metric of the changed texts; subtract it from m(x).": lambda v, m: m - v,
    "The sign is turned round: both measures are m(x) minus the metric of the changed text.": (
        lambda value, whole: -value
    ),
    "You divided by m(x); the measures keep the unit of the metric.": lambda v, m: v / m,
}
for text, change in OF_LOSSES.items():
    mistake(text, changed(NAMES, change))
    for name in NAMES:
        mistake(f"The {name} alone is wrong. {text}", changed([name], change))
mistake(
    "Comprehensiveness and sufficiency are swapped: comprehensiveness takes the best tokens away, "
    "sufficiency keeps them alone.",
    lambda *given: dict(zip(NAMES, list(judge(*given).values())[::-1], strict=True)),
)
mistake(
    "You deleted tokens although a baseline token was given.",
    lambda *given: judge(*given[:4]),
)
mistake(
    "With baseline=None leave the tokens out; do not put token 0 there.",
    lambda *given: judge(*given[:4], given[4] or 0),
)


@mistake(
    "You added up the attribution itself. The measures ask the model: call score on the changed "
    "texts."
)
def sums_of_scores(score, tokens, scores, fractions, *baseline):
    best = sorted(scores, reverse=True)
    sums = [sum(best[: ceil(fraction * len(tokens))]) for fraction in fractions]
    found = sum(sums) / len(sums)
    return dict(zip(NAMES, (found, sum(scores) - found), strict=True))


mistake(
    "Baseline token 0 is a token like any other: only None means deletion.",
    lambda *given: judge(*given[:4], *[token or None for token in given[4:]]),
    held_out=True,
)
mistake(
    "Without `baseline` tokens are left out.",
    lambda *given: judge(*given[:4], *(given[4:] or [0])),
    held_out=True,
)


@witness("missing ['comprehensiveness']")
def short_names(*given):
    found = judge(*given)
    return {"comp": found["comprehensiveness"], "sufficiency": found["sufficiency"]}


@witness("The rule")
def same_words_together(score, tokens, *given):
    return judge(lambda text: score([t for t in text if t in tokens]), tokens, *given)


def draws(*texts, note="", **options):
    """Each text is (length, shares of its tokens)."""
    return [
        Draw("judged", {"length": length, "fractions": shares} | options, note, 1e-6)
        for length, shares in texts
    ]


RULE = (
    "The rule: for each fraction take the ceil(fraction * T) tokens with the highest scores: m(x) "
    "minus the metric without them, and m(x) minus the metric of them alone; then the means."
)
PLAIN, ORDERED = [], []
for baseline in (25, None):
    PLAIN += draws((5, [0.3, 0.7]), (6, [0.5]), (7, [0.2, 0.5, 0.9]), baseline=baseline)
    PLAIN += draws((4, [1.0]), baseline=baseline, note="With fraction 1 all tokens are chosen.")
    TIED = [(5, [0.1, 0.5]), (7, [0.2, 0.5]), (8, [0.1, 0.3, 0.6])]
    ORDERED += draws(*TIED, baseline=baseline, ties=2, note="Some scores are tied.")
ANSWERS.part("a sum of known effects", 5, PLAIN, RULE)
ANSWERS.part("order and rounding", 4, ORDERED, RULE)
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
