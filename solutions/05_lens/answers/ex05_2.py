"""05.2, where a word leads: answers, mistakes and draws (instructors only)."""

from collections import Counter
from itertools import groupby

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.2", "where a word leads")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def ranks_of(logits, word, ties=0.5):
    own = logits[:, [word]]
    return 1 + (logits > own).sum(1) + ties * ((logits == own).sum(1) - 1)


def places_of(leads):
    """The first and the settled state of a list that says at which states the word leads."""
    settled = len(leads)
    while settled and leads[settled - 1]:
        settled -= 1
    return leads.index(True) if True in leads else None, settled if settled < len(leads) else None


@right
def leading_states(logits, word):
    ranks = ranks_of(logits, word)
    return ranks, *places_of([rank == 1 for rank in ranks.tolist()])


@other
def leading_sorted(logits, word):
    table = logits.detach().double().numpy()
    ranks = ((table > table[:, [word]]).sum(1) + (table >= table[:, [word]]).sum(1) + 1) / 2
    lost = np.flatnonzero(ranks != 1)
    start = 0 if len(lost) == 0 else int(lost[-1]) + 1
    first = int(np.argmax(ranks == 1)) if len(lost) < len(ranks) else None
    return ranks, first, start if start < len(ranks) else None


@other
def leading_recursive(logits, word):
    rows = [Counter(row) for row in logits.double().tolist()]
    own = logits[:, word].double().tolist()
    ranks = [
        1.0 + sum(n for value, n in row.items() if value > mine) + (row[mine] - 1) * 0.5
        for row, mine in zip(rows, own, strict=True)
    ]

    def settled(place):
        return place + 1 if place < 0 or ranks[place] != 1 else settled(place - 1)

    from_here = settled(len(ranks) - 1)
    first = next((state for state, rank in enumerate(ranks) if rank == 1), None)
    return ranks, first, None if from_here == len(ranks) else from_here


def with_ranks(compute):
    return lambda logits, word: (compute(logits, word), *leading_states(logits, word)[1:])


def with_places(compute):
    """``compute(leads, first, settled)`` in place of the two states."""

    def answer(logits, word):
        ranks, *places = leading_states(logits, word)
        return ranks, *compute([rank == 1 for rank in ranks.tolist()], *places)

    return answer


def ranks_of_states(logits, word):
    column = logits[:, word].unsqueeze(0)
    return torch.cat([ranks_of(column, state) for state in range(len(logits))])


def dense(logits, word):
    above = [len(set(row[row > row[word]].tolist())) for row in logits]
    return torch.tensor(above) + ranks_of(logits, word) - (logits > logits[:, [word]]).sum(1)


HALF = "A word with the same logit counts one half"
for message, compute in {
    f"Ties are counted fully against the word. {HALF}: either order is as good.": (
        lambda logits, word: ranks_of(logits, word, 1.0)
    ),
    f"Ties are not counted. {HALF}.": lambda logits, word: ranks_of(logits, word, 0.0),
    "The word is tied with itself in your count: only other words count one half.": (
        lambda logits, word: ranks_of(logits, word) + 0.5
    ),
    "Ranks start at 1, for the most probable word.": lambda *given: ranks_of(*given) - 1,
    "You ranked from the lowest logit up; the most probable word has rank 1.": (
        lambda logits, word: ranks_of(-logits, word)
    ),
    "You ranked by absolute value; rank the signed logits.": (
        lambda logits, word: ranks_of(logits.abs(), word)
    ),
    "You looked up the word in the sorted list of ids (order[word]): that is which word has this "
    "rank. Find where in the order the word stands.": (
        lambda logits, word: 1 + torch.argsort(-logits, dim=1, stable=True)[:, word]
    ),
    "You returned the reciprocal rank.": lambda *given: 1 / ranks_of(*given),
    "You ranked the states for the word. Rank the words at each state (the last axis).": (
        ranks_of_states
    ),
    "Words above it count one each, also if they are tied with each other.": dense,
}.items():
    mistake(message, with_ranks(compute))
mistake(
    "You rounded the rank; a tie gives half a rank.",
    with_ranks(lambda *given: ranks_of(*given).floor()),
    with_ranks(lambda *given: ranks_of(*given).ceil()),
)
mistake(
    "This is the rank of another word: ids count from 0.",
    lambda logits, word: leading_states(logits, word - 1),
)


def more(state):
    return None if state is None else state + 1


def last_of(leads, wanted=True):
    return max((state for state, lead in enumerate(leads) if lead == wanted), default=None)


def runs(leads):
    """The states of each run of leading."""
    both = [(lead, list(run)) for lead, run in groupby(range(len(leads)), leads.__getitem__)]
    return [run for lead, run in both if lead]


def longest(leads):
    return max(runs(leads), key=len, default=[None])[0]


NONE_AT_THE_END = "Where the word does not lead at the end, 'settled' is None."
for message, computes in {
    "States are counted from 0.": (
        lambda leads, first, settled: (more(first), settled),
        lambda leads, first, settled: (first, more(settled)),
        lambda leads, first, settled: (more(first), more(settled)),
    ),
    "'first' is the last state at which the word leads; take the first.": (
        lambda leads, first, settled: (last_of(leads), settled),
    ),
    "'first' is the settled state. The word leads for the first time earlier, even if it loses "
    "the lead again.": (lambda leads, first, settled: (settled, settled),),
    "'first' is the first state at which the word does NOT lead.": (
        lambda leads, first, settled: (
            leads.index(False) if False in leads else None,
            settled,
        ),
    ),
    "'settled' is the first state at which the word leads; it must lead at all later ones too.": (
        lambda leads, first, settled: (first, first),
    ),
    "'settled' is the last state at which the word leads. It is the start of the last run, if "
    "that goes on to the end.": (lambda leads, first, settled: (first, last_of(leads)),),
    "'settled' is the last state at which the word does not lead; the next one is meant.": (
        lambda leads, first, settled: (first, last_of(leads, False)),
        lambda leads, first, settled: (first, last_of(leads, False) if leads[-1] else None),
        lambda leads, first, settled: (first, (last_of(leads, False) or 0) if leads[-1] else None),
    ),
    NONE_AT_THE_END: (
        lambda leads, first, settled: (first, len(leads) if settled is None else settled),
        lambda leads, first, settled: (first, runs(leads)[-1][0] if first is not None else None),
    ),
    "'settled' is the start of the longest run of leading; it must reach the end.": (
        lambda leads, first, settled: (first, longest(leads)),
        lambda leads, first, settled: (first, longest(leads) if leads[-1] else None),
    ),
    "Where there is no such state the answer is None; yours is a number.": (
        lambda leads, first, settled: (-1 if first is None else first, settled),
        lambda leads, first, settled: (first, -1 if settled is None else settled),
        lambda leads, first, settled: tuple(-1 if s is None else s for s in (first, settled)),
    ),
}.items():
    mistake(message, *map(with_places, computes))


@mistake(
    "The word shares the top with another word there, so it does not lead: it leads where its "
    "rank is exactly 1.",
    held_out=True,
)
def shared_lead_counts(logits, word):
    ranks = ranks_of(logits, word)
    return ranks, *places_of([rank < 2 for rank in ranks.tolist()])


mistake(
    "Logits near 5000 that differ by a millionth are not tied: compare them in float64, and do not "
    "round.",
    lambda logits, word: leading_states(logits.float(), word),
    held_out=True,
)
mistake(
    "Logits hundreds of units apart: probabilities become 0 and tie. Rank the logits.",
    lambda logits, word: leading_states(logits.double().softmax(-1), word),
    held_out=True,
)


@witness("the top with another word")
def leads_by_maximum(logits, word):
    leads = (logits[:, word] == logits.amax(1)).tolist()
    return ranks_of(logits, word), *places_of(leads)


RULE = (
    "The rule: 1 plus the number of words with a higher logit plus one half for each other word "
    "with the same logit."
)
TIED = [
    Draw("tied_logits", {"states": states, "vocabulary": vocabulary}, observe="ranks_alone")
    for states, vocabulary in ((5, 12), (4, 7), (6, 30))
]
ANSWERS.part("rank with ties", 4, TIED, RULE, "One rank for each state.")
LEADS = (
    "The rule: 'first' is the first state at which the word alone has the highest logit, "
    "'settled' the first from which on it has it up to the last state."
)


def leading(pattern, note="", observe="", vocabulary=9, **options):
    return Draw(
        "leading_logits",
        {"pattern": pattern, "vocabulary": vocabulary, **options},
        note or f"The word leads at the states marked x of {pattern}.",
        observe=observe,
    )


PATTERNS = (
    "-xxx", "-x-xx", "-x-xx-", "-x-xx-x", "-----", "xx--x", "-xx--", "xxxxx", "x", "-xxx-x",
)  # fmt: skip
ANSWERS.part("first and for good", 4, [leading(p, "", "places_alone") for p in PATTERNS], LEADS)
SHARED = [
    leading(pattern, f"At the states marked = of {pattern} the word shares the lead.", "", 5, **ids)
    for pattern, ids in (
        ("-=xx", {"word": 0}), ("xx=x", {"word": 4}), ("-x-=", {"word": 3}), ("=", {}),
        ("x=", {"word": 4}), ("=x", {"word": 0}), ("x-xx=xx", {"word": 3}),
    )
]  # fmt: skip
ANSWERS.part("a shared lead", 2, SHARED, LEADS, held_out=True)
NEAR = [
    leading("x-xx", "Logits near 5000 that differ by a millionth.", gap=1e-6, level=5000),
    leading("x=x", "Logits near 0 that differ by little.", gap=1e-5, level=-3),
    leading("-xx", "Logits in bfloat16.", dtype="bfloat16"),
    leading("-x=x", "Logits in float16 that require gradients.", dtype="float16", grad=True),
    leading("-xx", "Rows that are not contiguous.", dtype="float32", turned=True),
    leading("x", "The only word of a vocabulary.", vocabulary=1, word=0),
]
FAR = [
    Draw("far_logits", {"states": 3, "vocabulary": 6, **options}, note)
    for options, note in (
        *(({"word": word}, "Logits hundreds of units apart.") for word in (0, 3, 5)),
        ({"ruled_out": 3}, "Words at -inf are tied with each other."),
        ({"ruled_out": 6}, "All words at -inf are tied with each other."),
    )
]
ANSWERS.part("near and far logits", 2, [*NEAR, *FAR], f"{RULE} {LEADS}", held_out=True)
