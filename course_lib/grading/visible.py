"""What of the course a submission can see: models and how to run them, nothing that has an answer.

Checks, techniques, worlds and widgets are left out. In bubblewrap their files are not there; in a
container and without isolation the import is refused, which keeps honest answers honest.
"""

from __future__ import annotations

import importlib.abc
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
# Files and folders of the package, with the modules that they are.
GIVEN = (
    "__init__.py activations.py architectures.py tables.py models assets checks/places.py "
    "grading/__init__.py grading/filtering.py grading/shell.py grading/visible.py grading/wire.py "
    "grading/worker.py"
).split()
NOT_THERE = (
    "{name} is not there when an answer is graded: this exercise asks you to write it yourself."
)


def given_paths() -> list[str]:
    """The paths that are there, for a sandbox to show."""
    return [str(path) for name in GIVEN if (path := PACKAGE / name).exists()]


def is_given(module: str) -> bool:
    """Whether a submission may import a module.

    >>> is_given("course_lib.models.loading"), is_given("course_lib.circuits"), is_given("torch")
    (True, False, True)
    """
    own = module.split(".")
    if own[0] != PACKAGE.name or len(own) == 1:
        return True
    names = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in GIVEN}
    names |= {"checks"}
    rest = ".".join(own[1:])
    return rest in names or own[1] == "models"


class _Refusing(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if not is_given(fullname):
            # Not ModuleNotFoundError: `from course_lib import circuits` would hide its text.
            raise ImportError(NOT_THERE.format(name=fullname), name=fullname)


def hide_the_rest() -> None:
    """Refuse what is not given from now on.

    The two things that cells of an assignment call beside the answers, ``check`` and ``predict``,
    are still there and do nothing.
    """
    for name in [n for n in sys.modules if n.startswith(f"{PACKAGE.name}.") and not is_given(n)]:
        del sys.modules[name]
    for name, function in (("checks", "check"), ("progress", "predict")):
        module = ModuleType(f"{PACKAGE.name}.{name}")
        setattr(module, function, _nothing)
        module.__path__ = []  # a package, so that what should be in it is refused with a reason
        sys.modules[module.__name__] = module
    sys.meta_path.insert(0, _Refusing())


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Stands for what belongs to the notebook and not to the answer."""
