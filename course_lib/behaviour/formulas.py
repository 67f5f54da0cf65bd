"""SyntaxGym's prediction formulas: reading and evaluating them.

A prediction compares the surprisals of regions across conditions, for example

    [(6;%match%) < (6;%mismatch%)] & [(7;%match%) = (7;%mismatch%)]

where (6;%match%) is the surprisal of region 6 in the condition "match" and (*;%match%) that of
the whole sentence. Round and square brackets both group. We parse the formula by recursive
descent, one function per level of precedence, so nothing but arithmetic and comparisons can be
executed.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping

REGION = re.compile(r"\(\s*(\*|\d+)\s*;\s*%([^%]+)%\s*\)")
TOKEN = re.compile(REGION.pattern + r"|(\d+\.\d*|\.\d+|\d+)|(<=|>=|!=|[-+*/<>=&|()\[\]])|(\S)")

# Two surprisals count as equal within SyntaxGym's own tolerance.
RELATIVE, ABSOLUTE = 1e-5, 1e-3


def close(a: float, b: float) -> bool:
    """Whether two surprisals are equal up to the tolerance of SyntaxGym."""
    return math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "=": close,
    "!=": lambda a, b: not close(a, b),
}


def region_references(formula: str) -> list[tuple[str, str]]:
    """The (region, condition) pairs a formula mentions; the region is a number or "*".

    >>> region_references("(6;%match%) < (*;%mismatch%)")
    [('6', 'match'), ('*', 'mismatch')]
    """
    return REGION.findall(formula)


def evaluate_formula(formula: str, surprisals: Mapping[str, Mapping[int, float]]) -> bool | float:
    """Evaluate a formula on the region surprisals of one item.

    Parameters
    ----------
    formula : str
        Regions and numbers joined by + - * /, compared by < > <= >= = !=, combined by & and |
        (& binds tighter). "=" holds within a relative 1e-5 or an absolute 1e-3.
    surprisals : dict
        Condition -> region number -> surprisal. Any unit, the same for all.

    Returns
    -------
    bool, or a float if the formula compares nothing.

    Raises
    ------
    ValueError
        If the formula is malformed, mentions a region or condition that is not there, or mixes
        numbers and truth values.

    Examples
    --------
    >>> values = {"match": {1: 2.0, 2: 3.5}, "mismatch": {1: 2.0, 2: 6.0}}
    >>> evaluate_formula("[(2;%match%) < (2;%mismatch%)] & [(1;%match%) = (1;%mismatch%)]", values)
    True
    >>> evaluate_formula("(*;%mismatch%) - (*;%match%)", values)
    2.5
    """
    return _Parser(formula, surprisals).parse()


class _Parser:
    """Reads the formula from left to right and computes as it goes."""

    def __init__(self, formula: str, surprisals: Mapping[str, Mapping[int, float]]) -> None:
        self.formula, self.surprisals = formula, surprisals
        self.tokens = list(TOKEN.finditer(formula))
        self.next = 0

    def parse(self) -> bool | float:
        value = self.either()
        if self.next < len(self.tokens):
            self.fail(f"unexpected {self.tokens[self.next].group()!r}")
        return value

    # From weak to strong binding: | then & then comparisons, sums, products, single factors.
    def either(self) -> bool | float:
        value = self.both()
        while self.take("|"):
            # the right side is read even where the left one decides: the parser has to pass it
            left, right = self.truth(value), self.truth(self.both())
            value = left or right
        return value

    def both(self) -> bool | float:
        value = self.comparison()
        while self.take("&"):
            left, right = self.truth(value), self.truth(self.comparison())
            value = left and right
        return value

    def comparison(self) -> bool | float:
        value = self.sum()
        if symbol := self.take(*COMPARISONS):
            # once: a < b < c is not in the language
            return COMPARISONS[symbol](self.number(value), self.number(self.sum()))
        return value

    def sum(self) -> bool | float:
        value = self.product()
        while symbol := self.take("+", "-"):
            right = self.number(self.product())
            value = self.number(value) + (right if symbol == "+" else -right)
        return value

    def product(self) -> bool | float:
        value = self.factor()
        while symbol := self.take("*", "/"):
            left, right = self.number(value), self.number(self.factor())
            if symbol == "/" and right == 0:
                self.fail("division by zero")
            value = left * right if symbol == "*" else left / right
        return value

    def factor(self) -> bool | float:
        if self.take("-"):
            return -self.number(self.factor())
        if opened := self.take("(", "["):
            value = self.either()
            if not self.take({"(": ")", "[": "]"}[opened]):
                self.fail(f"{opened!r} is not closed")
            return value
        if self.next == len(self.tokens):
            self.fail("it ends too early")
        # groups of TOKEN: region and condition, a number, a symbol (4), anything else (5)
        region, condition, number = self.tokens[self.next].group(1, 2, 3)
        if region is None and number is None:
            self.fail(f"unexpected {self.tokens[self.next].group()!r}")
        self.next += 1
        return float(number) if region is None else self.look_up(region, condition)

    def look_up(self, region: str, condition: str) -> float:
        if condition not in self.surprisals:
            self.fail(f"no condition {condition!r}, only {sorted(self.surprisals)}")
        values = self.surprisals[condition]
        if region == "*":
            return float(sum(values.values()))
        if int(region) not in values:
            self.fail(f"no region {region} in {condition!r}, only {sorted(values)}")
        return float(values[int(region)])

    def take(self, *symbols: str) -> str:
        """The next token if it is one of these symbols, else an empty string."""
        if self.next < len(self.tokens) and self.tokens[self.next].group(4) in symbols:
            self.next += 1
            return self.tokens[self.next - 1].group(4)
        return ""

    def number(self, value: bool | float) -> float:
        if isinstance(value, bool):
            self.fail("a truth value stands where a number is needed; add brackets or '&'")
        return value

    def truth(self, value: bool | float) -> bool:
        if not isinstance(value, bool):
            self.fail("'&' and '|' join comparisons, not numbers")
        return value

    def fail(self, problem: str) -> None:
        raise ValueError(f"The formula {self.formula!r} cannot be evaluated: {problem}.")
