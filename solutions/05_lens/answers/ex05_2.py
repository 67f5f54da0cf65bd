"""05.2, where a word leads: answers, mistakes and draws (instructors only)."""

from itertools import groupby

import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.2", "where a word leads")
right, other, mistake = ANSWERS.right, ANSWERS.other, ANSWERS.mistake


def ranks_of(logits, word, ties=0.5):
    own = logits[:, [word]]
    return 1 + (logits > own).sum(1) + ties * ((logits == own).sum(1) - 1)


def places_of(leads):
    """The first and the settled state of a list that says at which states the word leads."""
    settled = max((state + 1 for state, lead in enumerate(leads) if not lead), default=0)
    return leads.index(True) if True in leads else None, settled if leads[-1] else None


@right
def leading_states(logits, word):
    ranks = ranks_of(logits, word)
    return ranks, *places_of([rank == 1 for rank in ranks.tolist()])


@other
def leading_in_lists(logits, word):
    rows = [(sorted(row, reverse=True), row[word]) for row in logits.tolist()]
    ranks = [order.index(own) + (order.count(own) + 1) / 2 for order, own in rows]
    marks = "".join("x" if rank == 1 else "-" for rank in ranks)
    first, settled = marks.find("x"), len(marks.rstrip("x"))
    return ranks, first if first >= 0 else None, settled if settled < len(marks) else None


def dense(x, w):
    above = [len(set(row[row > row[w]].tolist())) for row in x]
    return torch.tensor(above) + ranks_of(x, w) - (x > x[:, [w]]).sum(1)


def with_ranks(compute):
    return lambda x, w: (compute(x, w), *leading_states(x, w)[1:])


# fmt: off
for message, *computes in (
    ("Ties are counted fully against the word; count one half.", lambda x, w: ranks_of(x, w, 1.0)),
    ("Ties are not counted: each counts one half.", lambda x, w: ranks_of(x, w, 0.0)),
    ("The word is tied with itself in your count.", lambda x, w: ranks_of(x, w) + 0.5),
    ("Ranks start at 1, for the most probable word.", lambda x, w: ranks_of(x, w) - 1),
    ("You ranked from the lowest logit up; the highest has rank 1.", lambda x, w: ranks_of(-x, w)),
    ("You ranked by absolute value; rank the signed logits.", lambda x, w: ranks_of(x.abs(), w)),
    ("order[word], in the sorted list of ids, is which word has this rank. Find where the word "
     "stands in it.", lambda x, w: 1 + torch.argsort(-x, dim=1, stable=True)[:, w]),
    ("You returned the reciprocal rank.", lambda x, w: 1 / ranks_of(x, w)),
    ("You ranked the states for the word. Rank the words at each state (the last axis).",
     lambda x, w: torch.cat([ranks_of(x[:, w].unsqueeze(0), state) for state in range(len(x))])),
    ("Words above it count one each, also if they are tied with each other.", dense),
    ("You rounded the rank; a tie gives half a rank.",
     lambda x, w: ranks_of(x, w).floor(), lambda x, w: ranks_of(x, w).ceil()),
):
    mistake(message, *map(with_ranks, computes))
mistake("This is another word's rank: ids count from 0.", lambda x, w: leading_states(x, w - 1))


def with_places(compute):
    """``compute(leads, first, settled)`` in place of the two states."""
    leads = lambda x, w: (ranks_of(x, w) == 1).tolist()  # noqa: E731
    return lambda x, w: (ranks_of(x, w), *compute(leads(x, w), *places_of(leads(x, w))))


def last(leads, wanted=True):
    return max((state for state, lead in enumerate(leads) if lead == wanted), default=None)


def runs(leads):
    """The states of each run of leading."""
    both = [(lead, list(run)) for lead, run in groupby(range(len(leads)), leads.__getitem__)]
    return [run for lead, run in both if lead] or [[None]]


def shifted(one, two):
    return lambda p, f, s: (None if f is None else f + one, None if s is None else s + two)


for message, *computes in (
    ("States are counted from 0.", shifted(1, 0), shifted(0, 1), shifted(1, 1)),
    ("'first' is the last state at which the word leads.", lambda p, f, s: (last(p), s)),
    ("'first' is the settled state. The word leads for the first time earlier, even if it loses "
     "the lead again.", lambda p, f, s: (s, s)),
    ("'first' is the first state at which the word does NOT lead.",
     lambda p, f, s: ([*p, False].index(False), s)),
    ("'settled' is the first state at which the word leads; it must lead at all later ones too.",
     lambda p, f, s: (f, f)),
    ("'settled' is the last state at which the word leads. It is the start of the last run, if "
     "that goes on to the end.", lambda p, f, s: (f, last(p))),
    ("'settled' is the last state at which the word does not lead; the next one is meant.",
     lambda p, f, s: (f, last(p, False)), lambda p, f, s: (f, s and s - 1)),
    ("Where the word does not lead at the end, 'settled' is None.",
     lambda p, f, s: (f, len(p) if s is None else s), lambda p, f, s: (f, runs(p)[-1][0])),
    ("'settled' is the start of the longest run of leading; it must reach the end.",
     lambda p, f, s: (f, max(runs(p), key=len)[0]),
     lambda p, f, s: (f, max(runs(p), key=len)[0] if p[-1] else None)),
    ("Where there is no such state the answer is None; yours is a number.",
     lambda p, f, s: (-1 if f is None else f, s), lambda p, f, s: (f, -1 if s is None else s),
     lambda p, *places: [-1 if s is None else s for s in places]),
):
    mistake(message, *map(with_places, computes))
# fmt: on

RULE = "The rank: 1 + the number of higher logits + one half for each other equal one."
SIZES = [{"states": s, "vocabulary": v, "grad": v == 7} for s, v in ((5, 12), (4, 7), (6, 30))]
TIED = [Draw("tied_logits", size, observe="ranks_alone") for size in SIZES]
ANSWERS.part("rank with ties", 4, TIED, RULE)


def draw(pattern, note="At = the word shares the lead, so it does not lead:", see="", **options):
    options = {"pattern": pattern, "vocabulary": 5} | options
    return Draw("leading_logits", options, f"{note} {pattern}.", observe=see)


LEADS = "The states: the first where the word alone is highest, and that from which it stays so."
ALONE = "-xxx -x-xx -x-xx- -x-xx-x ----- xx--x -xx-- xxxxx x -xxx-x".split()
ALONE = [draw(p, "The word leads at the x of", "places_alone", vocabulary=9) for p in ALONE]
ANSWERS.part("first and for good", 4, ALONE, LEADS)
ENDS = (("-x-=", 3), ("=", 2), ("x-xx=xx", 1), ("-=xx", 0), ("xx=x", 4), ("x=", 4), ("=x", 0))
SHARED = [draw(pattern, word=word) for pattern, word in ENDS]
ANSWERS.part("a shared lead", 2, SHARED, LEADS, held_out=True)
FAR = [{"states": 3, "vocabulary": 6, "word": word, "ruled_out": 2 * word} for word in range(4)]
NEAR = [
    *(Draw("far_logits", far, "Probabilities become 0 and tie: rank the logits.") for far in FAR),
    draw("x-xx", "Logits near 5000 that differ by a millionth:", gap=1e-6, level=5000),
    draw("x-x=xx", "Float64 tells what hardly differs; do not round:", gap=1e-5, level=-3),
    *(draw("x-x=xx", f"Logits in {d}:", dtype=d, turned=True) for d in ("bfloat16", "float16")),
    draw("x", "The only word of a vocabulary:", vocabulary=1, word=0),
]
ANSWERS.part("near and far logits", 2, NEAR, f"{RULE} {LEADS}", held_out=True)
