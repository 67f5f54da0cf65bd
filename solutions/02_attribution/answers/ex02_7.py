"""02.7, the rank of the cause, and chance: answers, mistakes and draws (instructors only)."""

from math import ceil, comb, floor

import numpy as np

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("02.7", "the rank of the cause, and chance")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def rank(top, rest, own=(), tie=0.5):
    return 1 + sum(score > top for score in rest) + tie * sum(score == top for score in rest)


def chance(n, c):
    """Mean of 1 / r, the first of c places among n: the others lie behind it."""
    return sum(comb(n - r, c - 1) / r for r in range(1, n - c + 2)) / comb(n, c)


def judged(scores, causes, rank=rank, chance=chance):
    if not causes or min(causes) < 0 or max(causes) >= len(scores):
        raise ValueError(f"causes must be places from 0 to {len(scores) - 1}, got {causes}")
    own = [scores[place] for place in causes]
    rest = [score for place, score in enumerate(scores) if place not in causes]
    return rank(max(own), rest, own), chance(len(scores), len(causes))


@right
def causal_rank(scores, causes):
    return judged(scores, causes)


@other
def by_survival(scores, causes):
    if len(causes) == 0 or any(not 0 <= place < len(scores) for place in causes):
        raise ValueError("no place of this text")
    values, n = np.array(scores), len(scores)
    rivals, top = np.delete(values, causes), values[causes].max()
    found, still = 0.0, 1.0  # still: no cause among the places before
    for place in range(1, n - len(causes) + 2):
        hit = len(causes) / (n - place + 1)
        found, still = found + still * hit / place, still * (1 - hit)
    return [1 + ((rivals > top).sum() + (rivals >= top).sum()) / 2, found]


BEST = "The rank is that of the best cause."
RANKS = {  # t: score of the best cause, r: scores of tokens that are no cause, o: of the causes
    "Ties are counted fully; each is one half.": lambda t, r, o: rank(t, r, tie=1),
    "Ties are not counted at all; each is one half.": lambda t, r, o: rank(t, r, tie=0),
    "Several tied tokens count one half each.": lambda t, r, o: rank(t, r, tie=0) + (t in r) / 2,
    "You rounded the rank up; a tie gives half a rank.": lambda *given: ceil(rank(*given)),
    "You rounded the rank down; a tie gives half a rank.": lambda *given: floor(rank(*given)),
    "Tokens that score higher count one each, also if they are tied with each other.": (
        lambda t, r, o: rank(t, {score for score in r if score > t}) + r.count(t) / 2
    ),
    "You rounded the scores; only equal ones tie.": lambda t, r, o: rank(
        round(t, 1), np.round(r, 1)
    ),
    "Ranks start at 1, for the top.": lambda *given: rank(*given) - 1,
    f"You took the worst of the causes. {BEST}": lambda t, r, o: rank(min(o), r),
    f"You took the first cause of the list. {BEST}": lambda t, r, o: rank(o[0], r),
    f"You averaged the ranks of the causes. {BEST}": lambda t, r, o: np.mean(
        [rank(s, r) for s in o]
    ),
    f"You averaged the ranks of the causes among all tokens. {BEST}": lambda t, r, o: (
        np.mean([rank(s, r + o) for s in o]) - 0.5
    ),
    "A cause does not compete with itself.": lambda t, r, o: rank(t, r + o),
    "You ranked from the lowest score up.": lambda t, r, o: rank(-t, [-score for score in r]),
    "You ranked all from the lowest score up.": lambda t, r, o: rank(-min(o), [-s for s in r]),
    "You ranked by absolute value: keep the sign.": lambda t, r, o: rank(max(np.abs(o)), np.abs(r)),
    "You returned 1 / rank; return the rank itself.": lambda *given: 1 / rank(*given),
}
LARGER = "The mean of 1 / rank is larger."
CHANCES = {
    "This is the chance for one cause; several come earlier.": lambda n, c: chance(n, 1),
    f"You returned 1 / the expected rank. {LARGER}": lambda n, c: (c + 1) / (n + 1),
    f"You returned 1 / the expected rank of one cause. {LARGER}": lambda n, c: 2 / (n + 1),
    "You returned the expected rank; average 1 / rank.": lambda n, c: (n + 1) / (c + 1),
    "You returned the chance to have a cause on top; average 1 / rank.": lambda n, c: c / n,
    f"You returned 1 / T. {LARGER}": lambda n, c: 1 / n,
    "You multiplied the chance for one; causes share an order.": lambda n, c: c * chance(n, 1),
    "You averaged over the possible ranks as if all were as likely.": (
        lambda n, c: np.mean([1 / r for r in range(1, n - c + 2)])
    ),
}
HIDDEN = {
    "Causes tied with each other do not compete.": lambda t, r, o: rank(t, r + o) - 0.5,
    "Only equal scores are ties, however small.": (
        lambda t, r, o: rank(0, [0 if np.isclose(score, t) else score - t for score in r])
    ),
}
ANSWERS.variants(judged, {text: {"rank": change} for text, change in RANKS.items()})
ANSWERS.variants(judged, {text: {"chance": change} for text, change in CHANCES.items()})
ANSWERS.variants(judged, {text: {"rank": f} for text, f in HIDDEN.items()}, held_out=True)
mistake("A place was taken as a rank.",
        lambda s, causes: (1 + max(causes, key=lambda i: s[i]), judged(s, causes)[1]))  # fmt: skip
mistake("You returned the reciprocal rank of these scores; chance does not depend on them.",
        lambda *given: (judged(*given)[0], 1 / judged(*given)[0]))  # fmt: skip


@witness("The rule: chance")
def simulated(scores, causes):
    order = np.random.default_rng(0).random((2000, len(scores))).argsort(1)
    return judged(scores, causes, chance=lambda n, c: (1 / (order[:, :c].min(1) + 1)).mean())


def draws(observe, *sizes, note="", **options):
    """Each size: other tokens above the best cause, level with it and below, and causes."""
    names = ("above", "tied", "below", "causes")
    sized = [dict(zip(names, size, strict=True)) | options for size in sizes]
    return [Draw("ranked", one, note, 1e-9, observe=observe) for one in sized]


RANK = "The rule: the rank is 1, plus 1 for each other token above the best cause, 1/2 if tied."
CHANCE = "The rule: chance is the mean of 1 / rank of the best of c places in a random order of T."
TIES = draws("first_value", (3, 0, 6, 1), (0, 3, 2, 1), (4, 1, 2, 2), (1, 2, 6, 3))
ANSWERS.part("rank with ties", 4, TIES, RANK)
ANY = draws("second_value", (0, 0, 4, 1), (0, 0, 5, 2), (0, 0, 6, 3), (0, 0, 0, 4))
ANSWERS.part("chance level", 3, ANY, CHANCE)
MORE = []
for observe in ("first_value", "second_value"):
    for size in ((1, 2, 3, 3), (0, 0, 4, 2), (2, 1, 33, 4)):
        MORE += draws(observe, size, tied_causes=size[3] - 1, note="Causes are tied.")
    MORE += draws(observe, (4, 1, 20, 25), (0, 0, 0, 1), (0, 8, 0, 1), (1, 1, 0, 1))
    MORE += draws(observe, (3, 1, 6, 2), scale=1e-9) + draws(observe, (3, 1, 6, 2), scale=1e5)
ANSWERS.part("tied causes, many tokens", 2, MORE, f"{RANK} {CHANCE}", held_out=True)
NOTE = "Causes of a text of 4 tokens: a place outside, or none at all, must raise ValueError."
BAD = [
    Draw("given", {"values": [[0.3, -1.0, 2.0, 0.5], causes]}, f"{causes}: {NOTE}", refused=True)
    for causes in ([], [4], [1, -1], [0, 7])
]
ANSWERS.part("causes that exist", 1, BAD, NOTE, held_out=True)
