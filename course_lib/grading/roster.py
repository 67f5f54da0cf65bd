"""Who is in the class, and whose file a path means.

A learning platform names folders and files after students, each in its own spelling. Only that part
of a path is looked at, and there only whole components, or the places where a platform is known to
write a name or a number. What fits nobody, or several, is left for a person to decide.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
ALLOWED = "letters a-z, digits and . _ @ -, at most 64, beginning with a letter or digit"
# Where platforms write the name (or the id) and the number of a student.
FOLDER = re.compile(r"(?P<name>[^_]+)_(?P<number>\d+)_.*")
FILE = re.compile(r"(?P<name>[^_]+)_(?:LATE_)?(?P<number>\d+)_(?:\d+|assign[a-z]+_.*)(?:_.*)?")
ILIAS = re.compile(r"(?P<name>[^_]+_[^_]+)_(?P<id>[^_]+)_(?P<number>\d+)")
BLACKBOARD = re.compile(r"(?:.*_)?(?P<id>[^_]+)_attempt_\d{4}.*")
# What programs append to a name: the date of our bundles, the number of a second download.
APPENDED = re.compile(r"(?:[-_ ]*\(\d+\)|-\d[-\d]*|[-_ ]*copy\d*|\.(?:ipynb|zip))$", re.I)
SHORT = 3  # a number of fewer digits names nobody by itself: it may count weeks or attempts
PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "ı": "i"})
GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})


class CollectError(ValueError):
    """The roster or the source cannot be used; the message says why."""


def read_roster(path: Path) -> list[dict[str, str]]:
    """The students of ``roster.csv``: columns ``id`` and, if they are there, ``name``, ``number``.

    Further columns are kept, and never used to find out whose a file is.

    Raises
    ------
    CollectError : the message names every fault with its line and says what is allowed
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except FileNotFoundError:
        raise CollectError(
            f"There is no roster {path}: a table with the columns id and name, see docs/grading.md."
        ) from None
    except UnicodeDecodeError:
        raise CollectError(f"The roster {path} is not in UTF-8: save it as 'CSV UTF-8'.") from None
    except (OSError, csv.Error) as error:
        raise CollectError(f"The roster {path} cannot be read: {error}") from None
    lines = [(number, row) for number, row in lines if any(row)]
    head = lines[0][1] if lines else []
    if faults := _faults_of_head(head) or _faults_of_rows(head, lines[1:]):
        raise CollectError(f"The roster {path} cannot be used: " + "\n".join(faults))
    return [dict(zip(head, row, strict=False)) for _, row in lines[1:]]


def _faults_of_head(head: list[str]) -> list[str]:
    for sign in (";", "\t"):
        if len(head) < 2 and any(sign in cell for cell in head):
            name = sign if sign == ";" else "tabs"
            return [f"the columns are separated by {name} and must be separated by commas"]
    if "id" not in head:
        return [f"no column id; there are {', '.join(map(repr, head)) or 'none: it is empty'}"]
    return [
        f"the column {h!r} is there twice" for h in sorted(set(head)) if h and head.count(h) > 1
    ]


def _faults_of_rows(head: list[str], rows: list[tuple[int, list[str]]]) -> list[str]:
    faults = [] if rows else ["there is no student in it"]
    seen: dict[str, str] = {}
    for line, row in rows:
        id = row[head.index("id")] if len(row) > head.index("id") else ""
        if len(row) > len(head) and any(row[len(head) :]):
            faults.append(f"line {line}: more cells than columns; a name with a comma needs quotes")
        elif not id:
            faults.append(f"line {line}: no id ({', '.join(filter(None, row))})")
        elif not SAFE_ID.fullmatch(id):
            faults.append(f"line {line}: the id {id!r} may hold {ALLOWED}")
        elif id.casefold() in seen:
            faults.append(f"line {line}: the id {id!r} is there twice ({seen[id.casefold()]!r})")
        seen.setdefault(id.casefold(), id)
    return faults


def whose(path: PurePosixPath, roster: Iterable[dict[str, str]], assignment: str = "") -> list[str]:
    """The ids of all students whom a path of the platform can mean; exactly one is a match.

    Folders go before the name of the file, which is a student's own choice in a folder of hers.

    >>> from pathlib import PurePosixPath as P
    >>> ada = {"id": "ada", "name": "Ada Lovelace", "number": "4711", "section": "01"}
    >>> whose(P("Lovelace, Ada_4711_assignsubmission_file_/01_behaviour.ipynb"), [ada])
    ['ada']
    >>> whose(P("joe_1_2_01_behaviour.ipynb"), [ada])
    []
    """
    roster, found = list(roster), set()
    for part in path.parts[:-1]:
        fits = _fits(part, roster, FOLDER)
        if fits and "_assignsubmission_" in part:  # the platform's own word: below is the student's
            found = set(fits)
            break
        found |= set(fits)
    if not found:
        name = re.sub(rf"[-_ ]*{re.escape(assignment)}", "", path.name, flags=re.I)
        name = path.name if name == "" or not assignment else name
        while (shorter := APPENDED.sub("", name)) != name:
            name = shorter
        found = set(_fits(name.strip(" _-"), roster, FILE))
    return [row["id"] for row in roster if row["id"] in found]


def _fits(part: str, roster: list[dict[str, str]], pattern: re.Pattern[str]) -> list[str]:
    """The ids that one component of a path can mean."""
    exact = _composed(part).casefold()
    if same := [row["id"] for row in roster if row["id"].casefold() == exact]:
        return same
    match = next((m for p in (BLACKBOARD, pattern, ILIAS) if (m := p.fullmatch(part))), None)
    places = match.groupdict() if match else dict.fromkeys(("name", "id", "number"), part)
    places["id"] = places.get("id") or places["name"]
    named = _by_name(places.get("name") or "", roster)
    named += [r["id"] for r in roster if _folded(r["id"]) == _folded(places["id"]) != ""]
    number = _folded(places.get("number") or "")
    counted = [r["id"] for r in roster if number and _folded(r.get("number", "")) == number]
    if not named and match and len(number) < SHORT:
        return []
    return [id for id in named if id in counted] or named + counted


def _by_name(text: str, roster: list[dict[str, str]]) -> list[str]:
    """By the whole name, in any order of its words and with or without accents; then by initials.

    A platform may have dropped the accents: only a text that has some tells Núñez from Nunez.
    """
    words, people = _words(text), [(row["id"], _words(row.get("name", ""))) for row in roster]
    if not words:
        return []
    given, folded = _spellings("".join(words)), _folded(text)
    fits = [(id, name) for id, name in people if given & {s for t in _turns(name) for s in t[1]}]
    strict = [id for id, name in fits if folded in {t[0] for t in _turns(name)}]
    if strict and not folded.isascii():
        return strict
    return [id for id, _ in fits] or [id for id, name in people if name and _agree(words, name)]


def _turns(words: list[str]) -> list[tuple[str, set[str]]]:
    """A name with each of its words in front, joined; with the spellings without accents."""
    joined = ["".join(words[n:] + words[:n]) for n in range(len(words))]
    return [(_folded(text), _spellings(text)) for text in joined]


def _agree(given: list[str], name: list[str]) -> bool:
    """Whether two names are one, if a letter stands for a word or a middle initial is left out."""
    full = [[word for word in words if len(word) > 1] for words in (given, name)]
    if all(full) and full != [given, name]:
        spelled = {s for _, spellings in _turns(full[1]) for s in spellings}
        if _spellings("".join(full[0])) & spelled:
            return True
    for n in range(len(name) if len(name) == len(given) else 0):
        pairs = list(zip(given, name[n:] + name[:n], strict=True))
        same = [a == b for a, b in pairs]
        short = [1 in (len(a), len(b)) and a[0] == b[0] for a, b in pairs]
        if all(map(max, same, short)) and any(a == b and len(a) > 1 for a, b in pairs):
            return True
    return False


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _folded(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def _words(text: str) -> list[str]:
    return [word for part in re.split(r"[\s,._]+", _composed(text)) if (word := _folded(part))]


def _spellings(text: str) -> set[str]:
    """Without accents, in both ways that are in use: Müller is Muller and Mueller."""
    text = _folded(text)
    plain = (
        unicodedata.normalize("NFKD", t).translate(PLAIN) for t in (text, text.translate(GERMAN))
    )
    return {_folded("".join(c for c in t if not unicodedata.combining(c))) for t in plain}
