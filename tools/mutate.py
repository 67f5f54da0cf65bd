"""Change each right answer a little, and see whether the checks notice.

``python tools/mutate.py 04.1`` tries every small change of the source of ``right`` and of the
helpers it calls (comparisons, constants, signs, axes, types, dropped terms) on the visible and
the held-out checks and lists the changes that survive. ``--seeds 1000`` draws the inputs of that
many students instead and tries every right answer on them.
"""

from __future__ import annotations

import argparse
import ast
import copy
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tqdm import tqdm

from course_lib.checks.calling import Student
from course_lib.checks.engine import look_at, run_checks
from course_lib.checks.results import NotAttempted
from course_lib.grading.answers import Answers, load_answers

ROOT = Path(__file__).resolve().parent.parent
SEEDS = (1, 2, 3)
SECONDS = 20  # for one changed answer: some changes never end
COMPARED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
            ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In}  # fmt: skip
COMPUTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
            ast.FloorDiv: ast.Div, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}  # fmt: skip
NO_FRACTIONS = (
    "not fractions or min(fractions) <= 0 or max(fractions) > 1 -> "
    "min(fractions) <= 0 or max(fractions) > 1"
)
NO_CAUSES = (
    "not causes or min(causes) < 0 or max(causes) >= len(scores) -> "
    "min(causes) < 0 or max(causes) >= len(scores)"
)
SMALL_GAP = (
    "abs(np.mean(measure(edges)) - np.mean(measure([]))) < 1e-09 -> "
    "abs(np.mean(measure(edges)) - np.mean(measure([]))) <= 1e-09"
)
# Survivors that no input can tell from the right answer, with the reason: (exercise, change).
EQUIVALENT: dict[tuple[str, str], str] = {
    ("01.3", "good > bad -> good >= bad"): "equal scores are worth what `ties` says",
    ("01.3", "(good > bad).double() -> (good > bad).float()"): "a share of few pairs, to 1e-5",
    ("01.3", "(good > bad).double() -> good > bad"): "beside a float, true counts as 1.0",
    ("01.7", "margin > 0 -> margin >= 0"): "a margin of 0 was found to be silent before",
    ("01.7", "abs(margin) < tie -> abs(margin) <= tie"): "no margin of logarithms is 1e-4 exactly",
    ("02.6", NO_FRACTIONS): "the minimum of nothing is a ValueError already",
    ("02.7", NO_CAUSES): "the minimum of nothing is a ValueError already",
    ("03.5", "constant 0 -> -1"): "the scores have one axis: the first is the last",
    ("04.4", "constant 0.0 -> 1.0"): "no reader sees a change where none is given",
    ("04.4", "constant 0.0 -> -1.0"): "no reader sees a change where none is given",
    ("04.6", SMALL_GAP): "no gap of drawn metrics is 1e-9 to the last digit",
    ("06.4", "(table ** 2).sum() -> (table ** 2).mean()"): "both sides of the ratio, of one size",
    ("06.5", "losses[real].mean() -> losses[real].sum()"): "three sums over the same targets",
    ("06.5", "constant 0 -> -1"): "the last axis has one entry after the look-up",
}


def changes_of(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every small change of one node, with a description."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED:
        changed = copy.deepcopy(node)
        changed.ops[0] = COMPARED[type(node.ops[0])]()
        yield f"{ast.unparse(node)} -> {ast.unparse(changed)}", changed
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        for step in (1, -1):
            changed = ast.Constant(node.value + step)
            yield f"constant {node.value} -> {changed.value}", changed
    if isinstance(node, ast.BinOp):
        if type(node.op) in COMPUTED:
            changed = copy.deepcopy(node)
            changed.op = COMPUTED[type(node.op)]()
            yield f"{ast.unparse(node)} -> {ast.unparse(changed)}", changed
        if isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
            yield f"{ast.unparse(node)} -> {ast.unparse(node.left)}", node.left
            yield f"{ast.unparse(node)} -> {ast.unparse(node.right)}", node.right
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield f"{ast.unparse(node)} -> {ast.unparse(node.operand)}", node.operand
    if isinstance(node, ast.BoolOp):
        for i in range(len(node.values)):
            left = node.values[:i] + node.values[i + 1 :]
            changed = left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
            yield f"{ast.unparse(node)} -> {ast.unparse(changed)}", changed
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        names = {"double": "float", "all": "any", "any": "all", "max": "min", "min": "max",
                 "argmax": "argmin", "sum": "mean", "mean": "sum"}  # fmt: skip
        if (other := names.get(node.func.attr)) is not None:
            changed = copy.deepcopy(node)
            changed.func.attr = other
            yield f"{ast.unparse(node)} -> {ast.unparse(changed)}", changed
        if node.func.attr in ("double", "detach", "abs", "clone", "copy", "lower", "sort", "clamp"):
            yield f"{ast.unparse(node)} -> {ast.unparse(node.func.value)}", node.func.value


class _Replace(ast.NodeTransformer):
    def __init__(self, place: int, new: ast.AST) -> None:
        self.place, self.new, self.at = place, new, -1

    def visit(self, node: ast.AST) -> ast.AST:
        self.at += 1
        if self.at == self.place:
            return self.new
        return node if isinstance(node, ast.Raise) else super().generic_visit(node)


def mutants(source: str, functions: set[str]) -> Iterator[tuple[str, str]]:
    """(description, changed source) of an answers file; only these functions are changed."""
    tree = ast.parse(source)
    for index, top in enumerate(tree.body):
        if not isinstance(top, ast.FunctionDef) or top.name not in functions:
            continue
        decorators, top.decorator_list = top.decorator_list, []
        places = _in_order(top)
        for place, node in enumerate(places):
            for text, new in changes_of(node):
                changed = copy.deepcopy(tree)
                changed.body[index] = _Replace(place, new).visit(copy.deepcopy(top))
                changed.body[index].decorator_list = decorators
                yield text, ast.unparse(ast.fix_missing_locations(changed))
        top.decorator_list = decorators


def _in_order(node: ast.AST) -> list[ast.AST]:
    found = [node]
    if isinstance(node, ast.Raise):  # what an error says is not checked, only that it is raised
        return found
    for child in ast.iter_child_nodes(node):
        found += _in_order(child)
    return found


def used_by(source: str, name: str) -> set[str]:
    """The functions of a file that one function calls, itself included."""
    tree = ast.parse(source)
    bodies = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    found, todo = set(), [name]
    while todo:
        if (current := todo.pop()) in bodies and current not in found:
            found.add(current)
            names = (n.id for n in ast.walk(bodies[current]) if isinstance(n, ast.Name))
            todo += names
    return found


def survivors(path: Path) -> tuple[int, list[str]]:
    """How many changes of an answers file were tried, and which no check noticed."""
    source = path.read_text("utf-8")
    (answers,) = load_answers({path.name: source}).values()
    parts = [p for s in SEEDS for held_out in (False, True) for p in answers.parts(s, held_out)]
    tried, kept = 0, []
    for text, changed in tqdm(list(mutants(source, used_by(source, answers.reference.__name__)))):
        module = ModuleType("changed")
        try:
            exec(compile(changed, path.name, "exec"), module.__dict__)
            function = module.ANSWERS.reference
        except Exception:  # it cannot even be defined: nothing to notice
            continue
        tried += 1
        if _passes(function, parts):
            kept.append(text)
    return tried, kept


def _passes(function, parts) -> bool:
    """Whether no part finds a problem. Parts are looked at alone, those that only refuse too."""

    def late(*_):
        raise TimeoutError("too slow")

    signal.signal(signal.SIGALRM, late)
    for part in parts:
        signal.alarm(SECONDS)
        try:
            if look_at(part, Student(function)).first is not None:
                return False
        except (NotAttempted, TimeoutError):
            return False
        finally:
            signal.alarm(0)
    return True


def right_on_many_seeds(answers: Answers, n_seeds: int) -> list[str]:
    """What went wrong when every right answer was tried on the inputs of ``n_seeds`` students."""
    exercise, wrong = answers.exercise(), []
    for seed in tqdm(range(1000, 1000 + n_seeds)):
        parts = [*answers.parts(seed, False), *answers.parts(seed, True)]
        for function in (answers.reference, *answers.others):
            if not (result := run_checks(exercise, function, parts)).ok:
                wrong.append(f"seed {seed}, {function.__name__}: {result.message}")
    return wrong


def main() -> int:
    """Print the survivors, or the seeds on which a right answer fails; 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exercises", nargs="*", help="for example 04.1; default: all")
    parser.add_argument("--seeds", type=int, default=0, help="try right answers on so many seeds")
    given = parser.parse_args()
    total, left, failed = 0, 0, False
    for path in sorted(ROOT.glob("solutions/*/answers/ex*.py")):
        (answers,) = load_answers({path.name: path.read_text("utf-8")}).values()
        if given.exercises and answers.id not in given.exercises:
            continue
        if given.seeds:
            wrong = right_on_many_seeds(answers, given.seeds)
            print(f"{answers.id}: {len(wrong)} failures on {given.seeds} seeds")
            print(*wrong[:5], sep="\n")
            failed |= bool(wrong)
            continue
        tried, kept = survivors(path)
        unexplained = [text for text in kept if (answers.id, text) not in EQUIVALENT]
        total, left = total + tried, left + len(kept)
        print(f"{answers.id}: {len(kept)} of {tried} survive")
        for text in kept:
            print(f"  {text}   {EQUIVALENT.get((answers.id, text), 'NOT EXPLAINED')}")
        failed |= bool(unexplained)
    if total:
        print(f"all: {left} of {total} survive ({left / total:.1%})")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
