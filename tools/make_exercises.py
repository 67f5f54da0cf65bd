"""Build ``exercises/`` from ``solutions/`` with nbgrader's generator (``make exercises``).

The stored cases of the visible checks are brought up to date as well (``stored_cases.py``).

The generator removes what stands between ``### BEGIN SOLUTION`` and ``### END SOLUTION``, clears
outputs, locks the check cells and computes nbgrader's checksums. We give it a folder with the
notebooks alone, so that held-out checks and rubrics cannot be released by accident, and write the
result in one fixed form, so that the same source always gives the same bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stored_cases import store, units

# A second copy travels with the package: what is not answered is seen by comparing with it.
RELEASED = Path("course_lib") / "checks" / "released"


class ExerciseError(RuntimeError):
    """nbgrader could not generate an assignment; the message holds its log."""


def assignments(root: Path) -> list[str]:
    """Names of the folders in ``solutions/`` that hold a notebook, sorted."""
    return sorted({path.parent.name for path in (root / "solutions").glob("*/*.ipynb")})


def build(root: Path, release: Path, names: Sequence[str] | None = None) -> list[Path]:
    """Generate student notebooks.

    Parameters
    ----------
    root : folder of the course with ``solutions/`` and ``nbgrader_config.py``
    release : folder to write to; ``release/NAME/NAME.ipynb`` is replaced if it exists
    names : assignments to build; all of them by default

    Returns
    -------
    the notebooks written. Takes about four seconds, of which three are imports.

    Raises
    ------
    ExerciseError : the generator failed, for example because a marker is missing
    """
    # Absolute, because the generator changes the working directory.
    root, release = root.resolve(), release.resolve()
    written = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name in names or assignments(root):
            source = work / "solutions" / name
            source.mkdir(parents=True)
            notebooks = sorted((root / "solutions" / name).glob("*.ipynb"))
            for notebook in notebooks:
                shutil.copyfile(notebook, source / notebook.name)
            _generate(root, work, name)
            for notebook in notebooks:
                target = release / name / notebook.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(_fixed_form(work / "exercises" / name / notebook.name), "utf-8")
                written.append(target)
    return written


def _generate(root: Path, work: Path, name: str) -> None:
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(work)
    config.CourseDirectory.db_url = f"sqlite:///{work / 'gradebook.db'}"
    # nbgrader starts the program `alembic`, which lies beside this Python.
    path, before = os.environ.get("PATH", ""), os.getcwd()
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), path])
    try:
        result = NbGraderAPI(config=config).generate_assignment(name)
    finally:
        os.environ["PATH"] = path
        os.chdir(before)
    if not result["success"]:
        raise ExerciseError(
            f"nbgrader could not generate {name}. Its log:\n"
            f"{result.get('log', '')}\n{result.get('error', '')}"
        )


def _fixed_form(notebook: Path) -> str:
    """The notebook as sorted JSON; nothing in it depends on the machine that generated it."""
    data = json.loads(notebook.read_text("utf-8"))
    data["metadata"] = {
        "kernelspec": data["metadata"]["kernelspec"],
        "language_info": {"name": "python"},
    }
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(root: Path | None = None) -> int:
    """Regenerate assignments and stored cases: ``python tools/make_exercises.py``."""
    root = root or Path.cwd()
    if not (root / "solutions").is_dir():
        print(f"No solutions/ in {root}. Run this in the folder of the course.", file=sys.stderr)
        return 2
    for notebook in build(root, root / "exercises"):
        shutil.copyfile(notebook, root / RELEASED / notebook.name)
        print(notebook.relative_to(root.resolve()))
    for path in store(root.resolve(), units(root)):
        print(path.relative_to(root.resolve()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
