"""Functions stay short, and no public function of a technique is there for its tests alone."""

import ast
import json
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.code_lines import code_lines

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "course_lib"

LONGEST, MEDIAN = 45, 8  # lines of code: blank lines, comments and docstrings cost nothing

TECHNIQUES = {
    "attribution",
    "behaviour",
    "circuits",
    "concepts",
    "lens",
    "patching",
    "probing",
    "sae",
}
TECHNIQUES |= {"activations", "formulas", "regions", "scoring", "suites", "tasks"}
# Where a student or an author calls what the package offers.
READERS = ("notebooks", "lectures", "solutions", "exercises", "tools", "benchmarks", "docs")
# Public functions that no code outside the tests calls, and why they are there.
FOR_STUDENTS = {
    "load_blimp": "reads the published pairs; the lecture on behaviour points to it",
    "load_syntaxgym": "reads the published region suites, beside which the course suite stands",
}


def function_sizes(source: str) -> Iterator[tuple[str, int]]:
    """Every function of a source, with its lines of code; one inside another counts in both."""
    lines = code_lines(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, len(lines & set(range(node.lineno, node.end_lineno + 1)))


def part_of(path: Path) -> str:
    """`course_lib/lens/values.py` -> `lens`; `course_lib/tasks.py` -> `tasks`."""
    return Path(path.relative_to(PACKAGE).parts[0]).stem


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_sizes_count_code_only():
    source = (
        'def f(\n    x,\n):\n    """Doc."""\n\n    # why\n    def g():\n        return x\n    g()\n'
    )
    assert dict(function_sizes(source)) == {"f": 6, "g": 2}


def test_no_function_is_too_long_to_be_read_at_once():
    sizes = {path: list(function_sizes(path.read_text(encoding="utf-8"))) for path in modules()}
    long = [
        f"{path.relative_to(ROOT)}: {name} has {size} lines"
        for path, found in sizes.items()
        for name, size in found
        if size > LONGEST
    ]
    assert long == []
    every = [size for found in sizes.values() for _, size in found]
    assert len(every) > 1000 and statistics.median(every) <= MEDIAN


def named(tree: ast.AST) -> Counter:
    """How often each name is read, as a name or after a dot; imports and definitions are no use."""
    return Counter(
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
    )


def public(source: str) -> dict[str, Counter]:
    """Public functions and classes of a module, each with the names its own code reads."""
    return {
        node.name: named(node)
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }


def unused(sources: list[str], offered: list[str], readers: str) -> list[str]:
    """Public names of the modules `offered` that neither `sources` nor `readers` speak of.

    What a function says of itself does not count.
    """
    used = sum((named(ast.parse(source)) for source in sources), Counter())
    words = set(re.findall(r"\w+", readers))
    return [
        name
        for source in offered
        for name, own in public(source).items()
        if name not in words and used[name] <= own[name]
    ]


def read_by_people(path: Path) -> str:
    """The text of a file; of a notebook its code alone."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")


@pytest.mark.parametrize(
    ("other", "readers", "expected"),
    [
        ("from m import f, g\n__all__ = ['f', 'g']", "", ["f", "g"]),
        ("from m import f\nf(1)", "then call g(2)", []),
        ("import m\nm.f(1)", "m.gg(2)", ["g"]),
    ],
)
def test_the_rule_itself(other, readers, expected):
    module = "def f(x):\n    return f(x - 1)\n\ndef g(x): ...\n\ndef _h(): ...\n"
    assert unused([module, other], [module], readers) == expected


def test_public_functions_of_techniques_are_called_outside_the_tests():
    offered = [p.read_text(encoding="utf-8") for p in modules() if part_of(p) in TECHNIQUES]
    assert sum(len(public(source)) for source in offered) > 250, "the techniques were not found"
    suffixes = {".py", ".ipynb", ".md"}
    files = [p for top in READERS for p in (ROOT / top).rglob("*") if p.suffix in suffixes]
    text = "\n".join(read_by_people(path) for path in [ROOT / "README.md", *files])
    sources = [path.read_text(encoding="utf-8") for path in modules()]
    assert sorted(unused(sources, offered, text)) == sorted(FOR_STUDENTS)
