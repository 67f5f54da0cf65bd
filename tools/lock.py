"""Write requirements.lock: the exact versions installed in this environment.

    .venv/bin/python tools/lock.py

Run it in an environment that has every extra (``pip install -e .[all]``) and in which the tests
pass. The file is a pip constraints file: it installs nothing by itself, and packages that only
another operating system needs stay free.
"""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
HEADER = """\
# Exact versions the tests ran with; `make` passes this file to pip as constraints (-c).
# Written by tools/lock.py. Do not edit by hand.
"""
NOT_LOCKED = {"pip", "course-lib"}


def locked_lines() -> list[str]:
    """Return one ``name==version`` line a distribution, sorted, without local version labels."""
    versions = {}
    for distribution in distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
        # "2.13.0+cpu" names one build; the lock names the release, so that any build fits.
        versions[name] = distribution.version.split("+")[0]
    return [f"{name}=={versions[name]}" for name in sorted(versions) if name not in NOT_LOCKED]


if __name__ == "__main__":
    LOCK.write_text(HEADER + "\n".join(locked_lines()) + "\n", encoding="utf-8")
