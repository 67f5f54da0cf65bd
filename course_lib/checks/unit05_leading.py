"""Checks of 05.2: the rank of a word, and where it leads (see unit05.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_number, as_vector, compare
from course_lib.checks.results import Wrong

# --- 05.2 leading_states(logits [S, V], word) -> (ranks [S], first, settled) ---------------------


def leading_answer(student, logits, word):
    answer = student(torch.tensor(logits), word)
    if not isinstance(answer, (tuple, list)) or len(answer) != 3:
        raise Wrong("Return three things: the ranks, the first state, the settled state.")
    ranks = as_vector(answer[0], len(logits), "the ranks", "One rank for each state.")
    return ranks, *(
        as_place(value, name) for value, name in zip(answer[1:], ("first", "settled"), strict=True)
    )


def as_place(value, name):
    """The number of a state, or -1 for None."""
    if value is None:
        return -1.0
    found = as_number(value, f"the state {name!r}")
    if found < 0 or found != round(found):
        raise Wrong(
            f"{name!r} is {found:g}; it is the number of a state, counted from 0, or None where "
            "there is no such state."
        )
    return found


def rank_of_word(logits, word, ties=0.5):
    own = logits[:, [word]]
    return 1 + (logits > own).sum(1) + ties * ((logits == own).sum(1) - 1)


def rank_mistakes(logits, word):
    """What well-known slips return as ranks."""
    right = rank_of_word(logits, word)
    order = np.argsort(-logits, axis=1, kind="stable")
    higher = logits > logits[:, [word]]
    distinct = [1 + len(set(row[more])) for row, more in zip(logits, higher, strict=True)]
    return right, {
        "Ties are counted fully against the word. A word with the same logit counts one half: "
        "either order is as good.": rank_of_word(logits, word, 1.0),
        "Ties are not counted. A word with the same logit counts one half.": rank_of_word(
            logits, word, 0.0
        ),
        "The word is tied with itself in your count: only other words count one half.": right + 0.5,
        "Ranks start at 1, for the most probable word.": right - 1,
        "You ranked from the lowest logit up; the most probable word has rank 1.": rank_of_word(
            -logits, word
        ),
        "You ranked by absolute value; rank the signed logits.": rank_of_word(abs(logits), word),
        "You looked up the word in the sorted list of ids (order[word]): that is which word has "
        "this rank. Find where in the order the word stands.": 1 + order[:, word],
        "You returned the reciprocal rank.": 1 / right,
        "You ranked the states for the word. Rank the words at each state (the last axis).": [
            1 + (logits[:, word] > own).sum() + 0.5 * ((logits[:, word] == own).sum() - 1)
            for own in logits[:, word]
        ],
        "This is the rank of another word: ids count from 0.": rank_of_word(logits, word - 1),
        "You rounded the rank; a tie gives half a rank.": np.floor(right),
        "You rounded the rank; a tie gives half a rank. ": np.ceil(right),
        "Words above it count one each, also if they are tied with each other.": np.array(distinct)
        + 0.5 * ((logits == logits[:, [word]]).sum(1) - 1),
    }


def leading_ranks(student, rng):
    for states, vocabulary in ((5, 12), (4, 7), (6, 30)):
        logits = np.round(rng.normal(size=(states, vocabulary)) * 2) / 2
        word = int(rng.integers(2, vocabulary - 1))
        # a state at which the word is tied with two others, and one at which two lie above, tied
        logits[1, [word, word - 1, word + 1]] = 0.5
        logits[2] = np.minimum(logits[2], 1.0)
        logits[2, [word, 0, word + 1]] = 1.5, 2.0, 2.0
        right, mistakes = rank_mistakes(logits, word)
        otherwise = (
            "The rank is 1 plus the number of words with a higher logit plus one half for each "
            "other word with the same logit."
        )
        compare(leading_answer(student, logits, word)[0], right, mistakes, otherwise)


def logits_that_lead(rng, pattern, vocabulary, word, tie=()):
    """Logits [S, V] in which the word leads exactly at the states where ``pattern`` is True."""
    logits = rng.normal(size=(len(pattern), vocabulary))
    rival = (word + 1) % vocabulary
    for row, leads in zip(logits, pattern, strict=True):
        top = row.max()
        row[word] = top + rng.uniform(0.2, 2)
        if not leads:
            row[rival] = row[word] + rng.uniform(0.2, 2)
    for state in tie:
        logits[state, [word, rival]] = logits[state].max()
    return logits


def runs(pattern):
    """(start, length) of each run of True."""
    found, start = [], None
    for place, leads in enumerate([*pattern, False]):
        if leads and start is None:
            start = place
        if not leads and start is not None:
            found.append((start, place - start))
            start = None
    return found


def places_of(pattern):
    """First and settled state of a pattern of leading, -1 for none."""
    ends = [start for start, length in runs(pattern) if start + length == len(pattern)]
    return (pattern.index(True) if True in pattern else -1), (ends[0] if ends else -1)


def place_mistakes(pattern):
    """What well-known slips return: (for first, for settled)."""
    count, found = len(pattern), runs(pattern)
    first, settled = places_of(pattern)
    last = max((i for i, leads in enumerate(pattern) if leads), default=-1)
    lost = max((i for i, leads in enumerate(pattern) if not leads), default=-1)
    for_first = {
        "States are counted from 0.": first + 1,
        "'first' is the last state at which the word leads; take the first.": last,
        "'first' is the settled state. The word leads for the first time earlier, even if it "
        "loses the lead again.": settled,
        "'first' is the first state at which the word does NOT lead.": pattern.index(False)
        if False in pattern
        else -1,
    }
    for_settled = {
        "States are counted from 0. ": settled + 1 if settled >= 0 else count + 1,
        "'settled' is the first state at which the word leads; it must lead at all later ones "
        "too.": first,
        "'settled' is the last state at which the word leads. It is the start of the last run, if "
        "that goes on to the end.": last,
        "'settled' is the last state at which the word does not lead; the next one is meant.": lost,
        "Where the word does not lead at the end, 'settled' is None.": count,
        "Where the word does not lead at the end, 'settled' is None. ": found[-1][0]
        if found
        else -1,
        "'settled' is the start of the longest run of leading; it must reach the end.": max(
            found, key=lambda run: run[1]
        )[0]
        if found
        else -1,
    }
    return for_first, for_settled


PATTERNS = (
    "0111",
    "01011",
    "010110",
    "0101101",
    "00000",
    "11001",
    "01100",
    "11111",
    "1",
    "011101",
    "0001",
    "0",
)


def leading_places(student, rng):
    for text in PATTERNS:
        pattern = [leads == "1" for leads in text]
        vocabulary = int(rng.integers(5, 15))
        logits = logits_that_lead(rng, pattern, vocabulary, word := int(rng.integers(1, 4)))
        check_places(leading_answer(student, logits, word), pattern)


def check_places(answer, pattern):
    right, mistakes = places_of(pattern), place_mistakes(pattern)
    shown = "".join("x" if leads else "-" for leads in pattern)
    for name, got, value, slips in zip(
        ("first", "settled"), answer[1:], right, mistakes, strict=True
    ):
        wanted = "None" if value < 0 else value
        otherwise = (
            f"The word leads at the states marked x of {shown}: {name!r} must be {wanted}. It "
            "leads where it alone has the highest logit."
        )
        compare(got, value, slips, otherwise)
