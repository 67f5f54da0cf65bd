"""What a terminal is told: signs that its encoding has, and errors as a message with a next step.

A command never ends in a traceback. What the machine refuses (a full disk, a folder that is not
ours, Ctrl-C) is explained here; what is a mistake of ours says how to report it.
"""

from __future__ import annotations

import argparse
import codecs
import errno
import os
import sys
import unicodedata
import warnings
from typing import TextIO

SIGNS = {"✓": "+", "✗": "x", "–": "-", "—": "-", "→": "->", "≤": "<=", "≥": ">=", "×": "x",
         "…": "...", "‘": "'", "’": "'", "“": '"', "”": '"', "█": "#", "⁄": "/",
         "ß": "ss"}  # fmt: skip
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}
DEBUG = "COURSE_DEBUG"
CLOSED_PIPE = 141  # what a shell reports of a program whose reader has gone


def in_ascii(error: UnicodeError) -> tuple[str, int]:
    """A handler for `codecs.register_error`: the nearest letters of ASCII, else a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(map(_in_ascii, text)), error.end


def _in_ascii(sign: str) -> str:
    """`é` is an e with an accent, which goes; what has no nearest sign becomes a question mark."""
    parts = [
        SIGNS.get(part, part) for part in SIGNS.get(sign) or unicodedata.normalize("NFKD", sign)
    ]
    return "".join(p if p.isascii() else "" if unicodedata.combining(p) else "?" for p in parts)


codecs.register_error("course-ascii", in_ascii)


def make_legible() -> None:
    """Let standard output and error write whatever we print, and warnings as one plain line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="course-ascii")
    warnings.showwarning = _show_warning


def _show_warning(message, category, filename, lineno, file: TextIO | None = None, line=None):
    print(f"Warning: {message}", file=file or sys.stderr)


def finish(options: argparse.Namespace | None, error: BaseException | None) -> int | None:
    """Flush what was printed and explain what went wrong; the exit status, None if all is well."""
    if error is None:
        try:
            sys.stdout.flush()
            return None
        except OSError as late:
            error = late
    if isinstance(error, BrokenPipeError):
        _drop_output()
        return CLOSED_PIPE
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    try:
        print(explain(error, options), file=sys.stderr, flush=True)
    except OSError:
        pass
    return 130 if isinstance(error, KeyboardInterrupt) else 2


def _drop_output() -> None:
    """Send what is still to be printed nowhere, or Python would complain of it once more."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # not a file, as in a test
        pass


def explain(error: BaseException, options: argparse.Namespace | None = None) -> str:
    """What happened, and the next step, for an error that ended a command.

    Examples
    --------
    >>> import errno
    >>> print(explain(OSError(errno.ENOSPC, "No space left on device")))
    The disk is full: nothing more can be written.
    Free some space, then give the same command again.
    """
    if isinstance(error, KeyboardInterrupt):
        return "\nStopped. What was finished is kept; give the same command to start again."
    if isinstance(error, OSError):
        return _explain_os(error, options)
    if isinstance(error, ImportError):
        return f"The installation is not complete: {error}.\nRun `make lab`, or look: course doctor"
    if isinstance(error, MemoryError):
        return "The memory is full.\nClose other programs and kernels, then try again."
    kind = type(error).__name__
    if type(error).__module__.startswith("course_lib"):  # its text is for its reader already
        return str(error)
    if isinstance(error, UnicodeError) and "surrogates" in str(error):
        return (
            "A name needs an encoding that is off here.\nTry: PYTHONUTF8=1 course ..., or rename it"
        )
    return (
        f"This should not have happened ({kind}: {error}).\nPlease report it, with the command and "
        f"the output of `course doctor`. With {DEBUG}=1 in front, the command says where it was."
    )


def _explain_os(error: OSError, options: argparse.Namespace | None) -> str:
    names = [n for n in (error.filename, error.filename2) if isinstance(n, (str, os.PathLike))]
    place, reason = short(names[-1]) if names else "", error.strerror or str(error)
    if error.errno in FULL:
        what = f"{place} was not written" if place else "nothing more can be written"
        return f"The disk is full: {what}.\nFree some space, then give the same command again."
    if error.errno in REFUSED:
        return f"Cannot write to {place or 'a file'} ({reason.lower()}).\n{_elsewhere(options)}"
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN):
        return f"The machine has nothing left to give ({reason}).\nClose other programs first."
    told = f"{place}: {reason}" if place else reason
    return f"The machine refused something: {told}.\nRepair that, then give the same command again."


def _elsewhere(options: argparse.Namespace | None) -> str:
    """How to write to, or read from, another place with this command."""
    if hasattr(options, "out"):
        return "Name a place of your own with --out, or make this one yours: chmod u+rw"
    if hasattr(options, "folder"):
        return "Name a folder of your own with --class, or make this one yours: chmod u+rw"
    return "Make it yours (chmod u+rw), or copy the course into a folder of your own."


def short(path: str | os.PathLike[str]) -> str:
    """A path as one would type it here, in signs that cannot steer a terminal."""
    text = os.fspath(path)
    try:
        near = os.path.relpath(text)
    except (OSError, ValueError):
        near = text
    text = text if near.startswith("..") else near
    return "".join(sign if sign.isprintable() else "?" for sign in text)
