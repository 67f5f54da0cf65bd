"""02.3, the value of a set of tokens: answers, mistakes and draws (instructors only)."""

from itertools import product
from operator import eq

import numpy as np

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("02.3", "the value of a set of tokens")
right, other, mistake = ANSWERS.right, ANSWERS.other, ANSWERS.mistake


def present(words, keep):
    return [word for word, there in zip(words, keep, strict=True) if there]


def filled(tokens, row, keep):
    return [own if there else drawn for own, drawn, there in zip(tokens, row, keep, strict=True)]


def agrees(tokens, row, keep):
    return present(tokens, keep) == present(row, keep)


def mean(values, rows):
    return sum(values) / len(values)


FITS = {"interventional": lambda *_: True, "observational": agrees}


def value(score, tokens, keep, rows, kind="interventional", fits=FITS, fill=filled, average=mean):
    if kind not in fits:
        raise ValueError(f"kind must be one of {list(fits)}")
    donors = [row for row in rows if fits[kind](tokens, row, keep)]
    if not donors:
        raise ValueError("no row of the background has all the present tokens")
    return average([score(fill(tokens, row, keep)) for row in donors], rows)


@right
def expected_value(score, tokens, keep, background, kind="interventional"):
    return value(score, tokens, keep, background, kind)


@other
def with_arrays(score, tokens, keep, background, kind="interventional"):
    table, text, mask = np.array(background), np.array(tokens), np.array(keep)
    if kind == "observational":
        table = table[(table[:, mask] == text[mask]).all(1)]
    if kind not in ("observational", "interventional") or len(table) == 0:
        raise ValueError("no such value")
    return np.mean([score(row.tolist()) for row in np.where(mask, text, table)])


MIXED = "Each missing token comes from its own place: one row fills all gaps, then the next."
WHOLE = "You averaged the score of whole background rows; present tokens come from the text."
ALL = (
    "You used every row; the observational value keeps the rows that agree with the present tokens."
)
SOME = "You left out rows that disagree; the interventional value uses every row."


def gaps_reversed(tokens, row, keep):
    drawn = present(row, [not there for there in keep])
    return [own if there else drawn.pop() for own, there in zip(tokens, keep, strict=True)]


CHANGES = {
    "fill": {
        "You replaced the tokens that are present.": lambda text, row, keep: filled(
            row, text, keep
        ),
        WHOLE: lambda text, row, keep: row,
        MIXED: gaps_reversed,
    },
    "average": {
        "You added the values up; an expectation is their mean.": lambda values, rows: sum(values),
        "You used one row only. Take the mean over the rows.": lambda values, rows: values[0],
        "You divided by the number of all rows; divide by the number of rows that agree.": (
            lambda values, rows: sum(values) / len(rows)
        ),
    },
    "fits": {SOME: dict.fromkeys(FITS, agrees), ALL: dict.fromkeys(FITS, lambda *_: True)},
}
for option, table in CHANGES.items():
    ANSWERS.variants(value, {text: {option: change} for text, change in table.items()})
OBSERVED = {
    "You compared which words occur, wherever they stand; each has its own place.": (
        lambda text, row, keep: {*present(text, keep)} <= {*row}
    ),
    "Your rows agree with the text in some present token; they have to agree in all.": (
        lambda text, row, keep: any(map(eq, present(text, keep), present(row, keep)))
    ),
    "You took the rows that do not agree with the present tokens.": lambda *x: not agrees(*x),
}
for text, chosen in OBSERVED.items():
    ANSWERS.variants(value, {text: {"fits": FITS | {"observational": chosen}}})


@mistake(MIXED)
def gaps_apart(score, tokens, keep, rows, kind="interventional"):
    table = np.array([row for row in rows if FITS[kind](tokens, row, keep)])
    columns = [[t] if there else c for t, there, c in zip(tokens, keep, table.T, strict=True)]
    return np.mean([score(text) for text in product(*columns)])


@mistake("You counted equal rows once. A row that occurs twice is twice as probable.")
def distinct(score, tokens, keep, rows, *kind):
    return value(score, tokens, keep, [*map(list, dict.fromkeys(map(tuple, rows)))], *kind)


mistake("You returned m(x), the score of the whole text.", lambda score, text, *_: score(text))
mistake("You returned m(x) - v(x_S); return the value v(x_S) itself.",
        lambda score, tokens, *given: score(tokens) - value(score, tokens, *given))  # fmt: skip
mistake("Without `kind` the value is the interventional one.",
        lambda *given: value(*given[:4], *(given[4:] or ["observational"])),
        held_out=True)  # fmt: skip


RULE = f"The rule: the mean of the metric over all rows, or those that agree with x_S. {MIXED}"


def draws(*keeps, kinds=tuple(FITS), note="", builder="backgrounds", refused=False, **options):
    """In a text of ``keeps`` x marks a token that is present."""
    present = [[there == "x" for there in text] for text in keeps]
    given = [{"keep": keep, "kind": kind} | options for keep in present for kind in kinds]
    return [Draw(builder, one, note, 1e-6, refused=refused) for one in given]


for kind in FITS:
    rows = draws("x.x.", kinds=[kind], rows=9, agreeing=4)
    rows += draws(".x.xx.", kinds=[kind], rows=12, agreeing=5)
    ANSWERS.part(kind, 5, rows + draws(".x.", kinds=[kind], rows=8, agreeing=3), RULE)
NOTE = "The words of this table are independent of each other: both kinds give the same value."
HARD = draws(*map("".join, product("x.", repeat=3)), note=NOTE, builder="independent")
HARD += draws("x.x", rows=6, agreeing=2, kinds=[None], note="Without `kind`: interventional.")
HARD += draws("x", ".", rows=5, agreeing=3, note="A text of one token.")
HARD += draws("..x.", rows=1, agreeing=1) + draws("xxx", "...", rows=7, agreeing=3)
HARD += draws("x..x", rows=6, agreeing=3, size=1e-5) + draws("x..x", rows=6, agreeing=3, size=1e5)
ANSWERS.part("independent words", 3, HARD, RULE, held_out=True)
NOTE = "No row has all the present tokens, so the table says nothing: raise ValueError."
BAD = {"rows": 5, "agreeing": 0, "refused": True}
NONE = draws("xx.", "xxx", "x..", kinds=["observational"], note=NOTE, **BAD)
NOTE = "An unknown kind must raise ValueError."
UNKNOWN = draws("x..", kinds=["conditional", ""], note=NOTE, **BAD)
ANSWERS.part("no row agrees", 2, NONE + UNKNOWN, NOTE, held_out=True)
