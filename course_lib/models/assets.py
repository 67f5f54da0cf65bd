"""The models that come with the course, and the check that their files are intact.

Every file of a bundled model is listed with its sha256 in ``assets/manifest.json``. Before a model
is loaded its files are compared with that list, once per process: a half-copied or edited weight
file would otherwise give wrong numbers without any sign.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

ASSETS = Path(__file__).resolve().parent.parent / "assets"
MANIFEST = "manifest.json"
# The autoencoder, which is no language model, stands last.
BUNDLED = ("course-lm", "course-lstm", "course-txl", "course-ngram", "course-bert", "course-sae")


class AssetError(RuntimeError):
    """A file of a bundled model is missing or differs from the one we shipped."""


def asset_folder(name: str) -> Path:
    """Return the folder of a bundled model after checking every file in it.

    Parameters
    ----------
    name : str
        One of `BUNDLED`.

    Raises
    ------
    ValueError
        If no bundled model has this name.
    AssetError
        If a file is missing or corrupted; the message says how to restore it.

    Notes
    -----
    Reads each file once per process (a few megabytes), no forward pass.

    Examples
    --------
    >>> asset_folder("course-lm").name
    'course-lm'
    """
    if name not in BUNDLED:
        raise ValueError(f"{name!r} is not a bundled model. Bundled: {', '.join(BUNDLED)}.")
    return _verified(ASSETS / name)


@cache
def _verified(folder: Path) -> Path:
    # an exception is not cached: after the file is restored, the next call succeeds
    for file, expected in _listed_files(folder).items():
        path = folder / file
        if not path.is_file():
            raise AssetError(f"The file {path} is missing. {_how_to_restore(folder)}")
        if sha256(path) != expected:
            raise AssetError(
                f"The file {path} is corrupted: its sha256 is not the one in {MANIFEST}. "
                f"{_how_to_restore(folder)}"
            )
    return folder


def _listed_files(folder: Path) -> dict[str, str]:
    manifest = folder.parent / MANIFEST
    try:
        listed = json.loads(manifest.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AssetError(f"{manifest} is missing. {_how_to_restore(folder)}") from None
    except ValueError as error:
        raise AssetError(f"{manifest} is corrupted. {_how_to_restore(folder)}") from error
    if not listed.get(folder.name):
        raise AssetError(f"{manifest} lists no {folder.name!r}. {_how_to_restore(folder)}")
    return listed[folder.name]


def _how_to_restore(folder: Path) -> str:
    return (
        "Restore it, in the folder of the course, with\n"
        f"    git checkout -- course_lib/assets/{folder.name} course_lib/assets/{MANIFEST}\n"
        "or train the models again with `make models`."
    )


def write_manifest(assets: Path | None = None) -> dict[str, dict[str, str]]:
    """Write the sha256 of every file of every bundled model to ``manifest.json``; return it.

    To be called by whoever trains the models, after the last file is in place. Model cards
    (``*.md``) and hidden files are left out: they may be edited without harm.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "course-lm").mkdir()
    >>> _ = (folder / "course-lm" / "config.json").write_text("{}")
    >>> list(write_manifest(folder)["course-lm"])
    ['config.json']
    """
    assets = ASSETS if assets is None else Path(assets)
    listed = {name: _hashes(assets / name) for name in BUNDLED if (assets / name).is_dir()}
    (assets / MANIFEST).write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    _verified.cache_clear()
    return listed


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    kept = [p for p in files if not p.name.startswith(".") and p.suffix != ".md"]
    return {p.relative_to(folder).as_posix(): sha256(p) for p in kept}


def sha256(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
