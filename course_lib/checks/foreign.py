"""Whether an answer leans on the course's own code, which is not there when it is graded."""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from inspect import isclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

PACKAGE = "course_lib"
BORROWED = (
    "This exercise asks you to write it yourself. Your function uses {module}, which is not there "
    "when it is graded: it would get no points."
)


def borrowed(function: Callable[..., Any]) -> str:
    """The module of the course that a function, or a helper of it, uses; "" if there is none.

    Looks at names and imports without running anything.

    Examples
    --------
    >>> from course_lib import world
    >>> borrowed(world.documents), borrowed(sorted)
    ('course_lib.world.documents', '')
    """
    todo, seen = [function], set()
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        module = thing.__name__ if isinstance(thing, ModuleType) else _module(thing)
        if module.split(".")[0] == PACKAGE:
            return module
        if isinstance(thing, ModuleType):
            continue
        todo += _parts(thing)
        if isinstance(thing, FunctionType):
            imported = (name for name in _imports(thing.__code__) if name.startswith(PACKAGE))
            if found := next(imported, ""):
                return found
    return ""


def _module(thing: Any) -> str:
    module = getattr(thing, "__module__", "")
    return module if isinstance(module, str) else ""


def _parts(thing: Any) -> Iterator[Any]:
    """What a function, class or wrapper refers to by name; of other things nothing."""
    if isinstance(thing, FunctionType):
        names = {name for code in _codes(thing.__code__) for name in code.co_names}
        yield from (thing.__globals__[name] for name in names if name in thing.__globals__)
        yield from (cell.cell_contents for cell in thing.__closure__ or () if _is_full(cell))
    elif isclass(thing) and thing.__module__ == "__main__":
        yield from (*thing.__bases__, *vars(thing).values())
    elif callable(thing):
        wrapped = (getattr(thing, name, None) for name in ("func", "__wrapped__"))
        yield from (inner for inner in wrapped if inner is not None)


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  an empty cell raises
    except ValueError:
        return False
    return True


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _imports(code: CodeType) -> Iterator[str]:
    for part in _codes(code):
        for step in dis.get_instructions(part):
            if step.opname == "IMPORT_NAME":
                yield step.argval
