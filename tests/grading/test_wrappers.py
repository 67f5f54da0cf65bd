"""Answers that let the course's own code do the work: no points, and a reason beforehand."""

from __future__ import annotations

import copy
import json
import linecache
from pathlib import Path

import pytest

from course_lib.checks import check, exercises
from course_lib.grading.answers import read_answers
from course_lib.grading.checking import released_notebook

ROOT = Path(__file__).resolve().parents[2]
# The library: a technique that computes what is asked, in five ways to reach it.
# The checks: stored numbers, the engine, the builders, and the instructors' side.
WRAPPERS = {
    "named": ("02.5", "from course_lib.attribution.games import shapley_values\n"
              "def shapley(value, n): return shapley_values(value, n)"),
    "imported inside": ("03.6", "def leace(x, labels, new):\n"
                        "    from course_lib import concepts\n"
                        "    return concepts.leace(x, labels)"),
    "under another name": ("04.1", "import course_lib.tasks as own\n"
                           "def greater_than(*a): return own.greater_than(*a)"),
    "in a helper": ("05.1", "def helper(*a):\n    from course_lib.lens import readout\n"
                    "    return readout(*a)\ndef logit_lens(*a): return helper(*a)"),
    "as a class": ("06.1", "from course_lib.sae import TopKSAE\nclass Mine(TopKSAE): pass\n"
                   "def autoencode(*a): return Mine(*a)"),
    "itself": ("04.5", "from course_lib.circuits import eap as edge_attribution"),
    "stored numbers": ("01.3", "def minimal_pair_accuracy(*a):\n"
                       "    from course_lib.checks.cases import stored_exercises\n"
                       "    case = stored_exercises('01')['01.3'].parts[0].cases[0]\n"
                       "    return case.right.value"),
    "the engine": ("01.1", "from course_lib.checks.engine import run_checks\n"
                   "def next_token_logprobs(*a): return run_checks(*a)"),
    "builders": ("04.2", "from course_lib.checks.inputs import unit04\n"
                 "def ablation_values(*a): return unit04.readings(*a)"),
    "answers": ("06.2", "from functools import partial\n"
                "from course_lib.grading.answers import load_answers\n"
                "sparse_loss = partial(load_answers)"),
}  # fmt: skip


def defined(id: str, code: str):
    """The function of an exercise, from the text of a cell as a kernel would run it."""
    name = f"<cell {id}>"
    linecache.cache[name] = (len(code), None, code.splitlines(True), name)
    names: dict = {"__name__": "__main__"}
    exec(compile(code, name, "exec"), names)
    return names[exercises(id[:2])[id].function]


@pytest.mark.parametrize("way", WRAPPERS)
def test_the_check_says_why_a_wrapper_will_get_nothing(way):
    id, code = WRAPPERS[way]
    try:
        function = defined(id, code)
    except ImportError as error:
        pytest.fail(f"the library has no such name any more: {error}")
    result = check(id, function)
    assert (result.earned, result.status) == (0, "error")
    assert "asks you to write it yourself" in result.message and "course_lib" in result.message


@pytest.mark.parametrize("way", WRAPPERS)
def test_a_wrapper_gets_nothing_when_it_is_graded(graded, way):
    id, code = WRAPPERS[way]
    released = released_notebook(id[:2])
    book = copy.deepcopy(released)
    for cell in book["cells"]:
        if cell["id"] == f"answer-{id.replace('.', '-')}":
            cell["source"] = code
    (folder,) = ROOT.glob(f"solutions/{id[:2]}_*/answers")
    job = {"unit": id[:2], "released": released, "answers": read_answers(folder)}
    result = graded(json.loads(json.dumps(book)), id, **job)
    [exercise] = result["exercises"]
    assert (result["status"], exercise["earned"]) == ("partial", 0)
    said = " ".join(part["message"] for part in exercise["parts"])
    assert "asks you to write it yourself" in said, said
