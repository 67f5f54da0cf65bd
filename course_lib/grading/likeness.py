"""Whether two functions are the same but for names: answers that are somebody else's text."""

from __future__ import annotations

import ast
import copy
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# Some versions of Python count the depth of a syntax tree for all threads together.
ONE_AT_A_TIME = threading.Lock()
SHORTEST = 40  # nodes of a syntax tree; shorter functions are alike by chance


def shape_of(function: ast.FunctionDef) -> str:
    """The syntax tree of a function without its docstring, its types and the names it chose.

    Names of arguments and variables are numbered in the order in which they appear; names of what
    is called from elsewhere stay.

    Examples
    --------
    >>> one = ast.parse("def f(a): b = a + 1; return b").body[0]
    >>> two = ast.parse("def g(x): y = x + 1; return y").body[0]
    >>> shape_of(one) == shape_of(two)
    True
    """
    function = copy.deepcopy(function)
    function.name, function.returns, function.decorator_list = "f", None, []
    if ast.get_docstring(function, clean=False) is not None:
        function.body = function.body[1:] or [ast.Pass()]
    own: dict[str, str] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            node.annotation = None
            node.arg = own.setdefault(node.arg, f"v{len(own)}")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.setdefault(node.id, f"v{len(own)}")
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            node.id = own.get(node.id, node.id)
    return ast.dump(function)


def functions_in(source: str) -> Iterator[ast.FunctionDef]:
    """Every function in a text, methods and inner ones too; none if it is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and sum(1 for _ in ast.walk(node)) >= SHORTEST:
            yield node


@cache
def shapes_of_package(package: Path) -> dict[str, str]:
    """Every longer function below a folder: its shape, and where it stands."""
    return {
        shape_of(function): f"{path.relative_to(package)}: {function.name}"
        for path in sorted(package.rglob("*.py"))
        for function in functions_in(path.read_text("utf-8"))
    }


def copied(source: str, package: Path) -> list[str]:
    """The functions of the package that stand in an answer, for a person to look at."""
    with ONE_AT_A_TIME:
        known = shapes_of_package(package)
        shapes = [shape_of(function) for function in functions_in(source)]
    return [known[shape] for shape in shapes if shape in known]
