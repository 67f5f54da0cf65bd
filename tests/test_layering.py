"""Imports point one way and never in a circle, files stay readable in one sitting, and importing
is quick."""

import ast
import graphlib
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from budgets import within_budget

from tests.code_lines import code_lines

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "course_lib"

# The root of the package is the list of doors: whatever has an inside is a folder.
DOORS = "__init__ activations architectures tasks display tables intervals journal cli".split()
# From the bottom to the top. A module may import from its own layer and from those below it.
LAYERS = [
    {"world", "architectures", "tables", "intervals", "journal"},
    {"models", "activations", "tasks"},
    {"behaviour", "attribution", "probing", "concepts", "patching", "circuits", "lens", "sae"},
    {"display", "plots"},
    {"widgets", "checks", "progress"},
    {"training", "doctor", "grading", "audit"},
    {"cli"},
]
TECHNIQUES = LAYERS[2]
ALLOWED_BETWEEN_TECHNIQUES = {("circuits", "patching")}
# The generator of the world, and the files that others stand on, stand alone.
ALONE = {"world", "architectures", "tables", "intervals", "journal"}
# Lines of code: blank lines, comments and docstrings are for the reader and cost nothing.
# Each limit is what is there. They may fall, not rise; a new folder gets a limit of its own.
LINE_LIMITS = {
    "techniques": 5968,
    "world": 1790,
    "models": 1244,
    "checks": 1650,
    # 270 more count and refuse what a submission takes from the kernel and what it may answer
    # (filtering, groups, usage, shell, wire); what only authors run went to tools/.
    "grading": 3124,
    "audit": 900,
    "package": 17_651,
}
ANSWER_LINES = 4761  # of all answers files together
MODULE_LINES = 250
LONGER_MODULES = {"world/grammar.py": 400, "world/suites.py": 440}  # to shrink, not to grow
IMPORT_SECONDS = 0.3


def modules() -> dict[str, Path]:
    """Every file of the package by its dotted name; a folder's name stands for its __init__."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
EVERY_FILE = pytest.mark.parametrize("name", MODULES)


def part_of(module: str) -> str:
    """`course_lib.world.grammar` -> `world`; the package itself -> ``""``."""
    return module.split(".")[1] if "." in module else ""


def layer_of(part: str) -> int:
    found = [level for level, layer in enumerate(LAYERS) if part in layer]
    assert found, f"course_lib/{part} has no layer yet: add it to LAYERS in {Path(__file__).name}"
    return found[0]


def imports_of(source: str, package: str, known: Mapping[str, object]) -> Iterator[str]:
    """The files of the package that a source imports, wherever in the file the import stands.

    `from course_lib.lens import readout` means the file readout.py, `from course_lib.lens import
    lens_map` the __init__ of lens, which says where that name comes from. The names that a file has
    for import_module count as well, whole or, after `{__name__}.`, seen from its folder `package`.
    """
    tree = ast.parse(source)
    by_name = "import_module" in source
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - max(node.level - 1, 0)]
            module = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            inside = [f"{module}.{alias.name}" for alias in node.names]
            names = [name if name in known else module for name in inside]
        elif by_name and isinstance(node, ast.Constant) and isinstance(node.value, str):
            inside = [f"{package}.{node.value}"] if "{__name__}." in source else []
            names = [n for n in (node.value, *inside) if n in known]
        else:
            continue
        yield from (n for n in names if n.split(".")[0] == "course_lib")


def package_of(name: str) -> str:
    return name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]


def imports_of_file(name: str) -> set[str]:
    return set(imports_of(MODULES[name].read_text(), package_of(name), MODULES)) - {name}


def problem(importer: str, imported: str) -> str:
    """Why the part `importer` may not import the part `imported`; "" if it may."""
    imported = imported or "models"  # the package itself hands out load_model
    if importer == imported:
        return ""
    if layer_of(imported) > layer_of(importer):
        return f"{importer} imports {imported}, which lies above it"
    between = importer in TECHNIQUES and imported in TECHNIQUES
    if between and (importer, imported) not in ALLOWED_BETWEEN_TECHNIQUES:
        return f"{importer} imports {imported}: techniques do not import each other"
    if importer in ALONE:
        return f"{importer} imports {imported}: {importer} stands alone"
    return ""


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """A circle of arrows, from a node back to it; empty if there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_the_root_is_the_list_of_doors():
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(DOORS)


def test_the_layers_in_contributing_are_the_layers():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (table,) = re.findall(r"\|---\|---\|\n(.*?)\n\n", text, re.S)
    told = [set(re.findall(r"`(\w+)`", line)) for line in table.splitlines()]
    assert told == [{part for part in layer if exists(part)} for layer in LAYERS]


def exists(part: str) -> bool:
    return (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file()


@EVERY_FILE
def test_imports_point_downwards(name: str):
    importer = part_of(name)
    imported = {part_of(n) for n in imports_of_file(name)}
    if not importer:  # the package itself hands out load_model, and nothing else
        assert imported == {"models"}
        return
    assert [text for part in imported if (text := problem(importer, part))] == []


def test_no_file_imports_itself_through_others():
    assert circle_in({name: imports_of_file(name) for name in MODULES}) == []


@pytest.mark.parametrize(
    ("importer", "source", "message"),
    [
        ("behaviour", "from course_lib.plots import bars", "above"),
        ("behaviour", "def f():\n    from course_lib import widgets", "above"),
        ("behaviour", "from ..plots import bars", "above"),
        ("behaviour", "import course_lib.cli", "above"),
        ("behaviour", "from course_lib.patching import patch", "each other"),
        ("circuits", "from course_lib.patching import patch", ""),
        ("patching", "from course_lib.behaviour.formulas import evaluate_formula", "each other"),
        ("models", "from course_lib.patching import patch", "above"),
        ("checks", "from importlib import import_module\nimport_module('course_lib.cli')", "above"),
        ("checks", "from course_lib.grading import wire", "above"),
        ("progress", "from course_lib.checks import exercises", ""),
        ("world", "from course_lib import load_model", "above"),
        ("world", "from course_lib.architectures import FAMILIES", "alone"),
        ("tables", "from course_lib import intervals", "alone"),
        ("behaviour", "from course_lib import load_model\nimport torch", ""),
        ("cli", "from course_lib.world import sentences", ""),
    ],
)
def test_the_rule_itself(importer, source, message):
    found = imports_of(source, f"course_lib.{importer}", MODULES)
    found = "".join(problem(importer, part_of(name)) for name in found)
    assert (message in found) if message else found == ""


def test_an_import_names_the_file_that_is_read():
    known = dict.fromkeys(["course_lib", "course_lib.a", "course_lib.a.b", "course_lib.c"])

    def read(source: str) -> list[str]:
        return list(imports_of(source, "course_lib.a", known))

    assert read("from course_lib.a import b, name") == ["course_lib.a.b", "course_lib.a"]
    assert read("from . import b\nfrom .b import x") == ["course_lib.a.b"] * 2
    assert read("from .. import c\nimport course_lib.c as d, os") == ["course_lib.c"] * 2
    assert read("import_module('course_lib.c')\nx = 'b'") == ["course_lib.c"]
    assert read("HOME = {'x': 'b'}\nimport_module(f'{__name__}.b')") == ["course_lib.a.b"]
    assert read("HOME = {'x': 'b'}") == []


@pytest.mark.parametrize(
    ("graph", "circle"),
    [
        ({"a": {"b", "c"}, "b": {"c"}, "c": set()}, set()),
        ({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}, {"b", "c", "d"}),
        ({"door": {"room"}, "room": {"door"}}, {"door", "room"}),
        ({"a": {"outside"}}, set()),
    ],
)
def test_the_finder_of_circles_finds_them(graph, circle):
    found = circle_in(graph)
    assert set(found) == circle
    assert not circle or found[0] == found[-1]


def lines_of_code(source: str) -> int:
    """Number of lines that hold code, without blank lines, comments and docstrings."""
    return len(code_lines(source))


def test_lines_of_code_counts_code_only():
    source = '"""Doc\nstring."""\n\n# comment\nx = [  # one\n    1,\n]\n\n'
    source += 'def f():\n    "D"\n    return 2\n'
    assert lines_of_code(source) == 5


def test_the_package_stays_small():
    sizes = dict.fromkeys(LINE_LIMITS, 0)
    for name, path in MODULES.items():
        part = part_of(name)
        for group in {"package", "techniques" if part in TECHNIQUES else part} & set(sizes):
            sizes[group] += lines_of_code(path.read_text())
    assert [f"{n}: {sizes[n]} lines" for n, most in LINE_LIMITS.items() if sizes[n] > most] == []
    assert sizes["world"] > 500, "counting went wrong"


def test_the_answers_stay_small():
    files = (ROOT / "solutions").glob("*/answers/*.py")
    assert 4000 < sum(lines_of_code(path.read_text()) for path in files) <= ANSWER_LINES


@EVERY_FILE
def test_a_module_is_readable_in_one_sitting(name: str):
    path = MODULES[name]
    limit = LONGER_MODULES.get(path.relative_to(PACKAGE).as_posix(), MODULE_LINES)
    assert lines_of_code(path.read_text()) <= limit


def seconds_to_import(before: str, name: str) -> float:
    source = f"import time, {before}; t = time.perf_counter(); import {name}"
    source += "; print(time.perf_counter() - t)"
    run = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    return float(run.stdout)


def test_importing_the_package_costs_little_over_torch():
    times = [seconds_to_import("torch", "course_lib, course_lib.models.loading") for _ in range(3)]
    within_budget("importing the package over torch", statistics.median(times), IMPORT_SECONDS)


@pytest.mark.parametrize(
    "name",
    [
        "course_lib",
        "course_lib.cli",
        "course_lib.doctor",
        "course_lib.journal",
        "course_lib.tables",
    ],
)
def test_light_modules_do_not_import_torch(name):
    source = (
        f"import sys, {name}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", source]).returncode == 0


def test_transformers_waits_until_a_model_is_loaded():
    source = "import sys, course_lib.models.loading; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source]).returncode == 0
