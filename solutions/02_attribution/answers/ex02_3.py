"""02.3, the value of a set of tokens: answers, mistakes and draws (instructors only)."""

from itertools import product
from operator import eq

import numpy as np

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("02.3", "the value of a set of tokens")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def present(words, keep):
    return [word for word, there in zip(words, keep, strict=True) if there]


def filled(tokens, row, keep):
    return [own if there else drawn for own, drawn, there in zip(tokens, row, keep, strict=True)]


def every(tokens, row, keep):
    return True


def agrees(tokens, row, keep):
    return present(tokens, keep) == present(row, keep)


def mean(values, rows):
    return sum(values) / len(values)


FITS = {"interventional": every, "observational": agrees}


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
    elif kind != "interventional":
        raise ValueError(kind)
    if len(table) == 0:
        raise ValueError("nothing agrees")
    return np.mean([score(row.tolist()) for row in np.where(mask, text, table)])


MIXED = (
    "Each missing token must come from its own place in the same row: one row fills all gaps, the "
    "next row fills them again."
)


def gaps_reversed(tokens, row, keep):
    drawn = present(row, [not there for there in keep])
    return [own if there else drawn.pop() for own, there in zip(tokens, keep, strict=True)]


ANSWERS.variants(
    value,
    {
        "You replaced the tokens that are present. keep[i] is True where the token of the text "
        "stays.": {"fill": lambda tokens, row, keep: filled(row, tokens, keep)},
        "You averaged the score of whole background rows; the present tokens have to come from "
        "the text.": {"fill": lambda tokens, row, keep: row},
        MIXED: {"fill": gaps_reversed},
        "You added the values up; an expectation is their mean.": {"average": lambda v, _: sum(v)},
        "You used one row only. Take the mean over the rows.": {"average": lambda v, _: v[0]},
        "You divided by the number of all rows; divide by the number of rows that agree.": {
            "average": lambda values, rows: sum(values) / len(rows)
        },
        "You left out rows that disagree with the present tokens. That is the observational "
        "value; the interventional one uses every row.": {"fits": dict.fromkeys(FITS, agrees)},
        "You used every row, whatever the present tokens. That is the interventional value; the "
        "observational one keeps the rows that agree.": {"fits": dict.fromkeys(FITS, every)},
    },
)
OBSERVED = {
    "You compared which words occur, wherever they stand. A row agrees if it has each present "
    "token at its own place.": lambda text, row, keep: {*present(text, keep)} <= {*row},
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


mistake(
    "You counted equal rows once. A row that occurs twice is twice as probable.",
    lambda score, tokens, keep, rows, *kind: value(
        score, tokens, keep, [list(row) for row in dict.fromkeys(map(tuple, rows))], *kind
    ),
)
mistake(
    "You returned m(x) - v(x_S); return the value v(x_S) itself.",
    lambda score, tokens, *given: score(tokens) - value(score, tokens, *given),
)
mistake(
    "You returned m(x), the score of the whole text.",
    lambda score, tokens, *given: score(tokens),
)
mistake(
    "Without `kind` the value is the interventional one.",
    lambda score, tokens, keep, rows, kind="observational": value(score, tokens, keep, rows, kind),
    held_out=True,
)


@witness("The rule")
def agrees_at_the_first_place(*given):
    fits = FITS | {"observational": lambda *x: present(*x[::2])[0] == present(*x[1:])[0]}
    return value(*given, fits=fits)


RULE = (
    "The rule: each row (for the observational value each row with all the present tokens) fills "
    f"the gaps of the text; the value is the mean of the metric. {MIXED}"
)


def draws(*keeps, kinds=tuple(FITS), note="", builder="backgrounds", **options):
    return [
        Draw(builder, {"keep": keep, "kind": kind} | options, note, 1e-6)
        for keep in ([there == "x" for there in text] for text in keeps)
        for kind in kinds
    ]


# x marks a token that is present.
for kind in FITS:
    table = draws("x.x.", kinds=[kind], rows=9, agreeing=4)
    table += draws(".x.xx.", kinds=[kind], rows=12, agreeing=5)
    ANSWERS.part(kind, 5, table + draws(".x.", kinds=[kind], rows=8, agreeing=3), RULE)
ALL = ["".join(places) for places in product("x.", repeat=3)]
NOTE = "The words of this table are independent of each other: both kinds give the same value."
INDEPENDENT = draws(*ALL, note=NOTE, builder="independent")
DEFAULT = draws("x.x", rows=6, agreeing=2, kinds=[None], note="Without `kind`: interventional.")
OTHERS = draws("x", ".", rows=5, agreeing=3, note="A text of one token.")
OTHERS += draws("..x.", rows=1, agreeing=1) + draws("xxx", "...", rows=7, agreeing=3)
for size in (1e-5, 1e5):
    OTHERS += draws("x..x", rows=6, agreeing=3, size=size)
ANSWERS.part("independent words", 3, INDEPENDENT + DEFAULT + OTHERS, RULE, held_out=True)
NONE = "No row has all the present tokens, so the table says nothing: raise ValueError."
BAD = [
    Draw("backgrounds", draw.options | {"rows": 5, "agreeing": agreeing}, note, refused=True)
    for keep, kind, agreeing, note in [
        ("xx.", "observational", 0, NONE),
        ("xxx", "observational", 0, NONE),
        ("x..", "observational", 0, NONE),
        ("x..", "conditional", 2, "An unknown kind must raise ValueError."),
        ("x..", "", 2, "An unknown kind must raise ValueError."),
    ]
    for draw in draws(keep, kinds=[kind])
]
ANSWERS.part("no row agrees", 2, BAD, "A value needs rows and a known kind.", held_out=True)
