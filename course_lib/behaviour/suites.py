"""Test suites on disk: BLiMP's minimal pairs and SyntaxGym's regions.

BLiMP (Warstadt et al. 2020) stores one paradigm per file, one pair per line, as JSON. SyntaxGym
(Gauthier et al. 2020) stores one suite per file: items, each in several conditions, each cut
into numbered regions, and predictions, which are formulas over the surprisals of regions. The
loaders read both as published and refuse what they cannot read, naming file and line.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from course_lib.behaviour.formulas import region_references
from course_lib.behaviour.published import COUNTED_UNDER

RELATIONS = {"greaterthan": ">", "lessthan": "<", "equals": "="}
# First bytes of files that are no text in UTF-8, and what to do with them.
FOREIGN = {
    b"\x1f\x8b": "it is compressed; unpack it with gunzip",
    b"PK": "it is a zip archive; unpack it",
    b"\x00\x05": "it is a note of macOS about the file of that name without ._",
    b"\xff\xfe": "it looks like UTF-16; save it again as UTF-8",
    b"\xfe\xff": "it looks like UTF-16; save it again as UTF-8",
}


@dataclass(frozen=True)
class Pair:
    """An acceptable and an unacceptable sentence that differ in one respect.

    Attributes
    ----------
    good, bad : str
        The two sentences, without stray white space (see `as_pairs`).
    paradigm : str
        BLiMP's UID: the template the pair was made from.
    phenomenon : str
        BLiMP's linguistics_term: the phenomenon that several paradigms test. Several terms are
        joined by " + ". The label "s-selection" is read as "argument_structure", where the paper
        counts it.
    """

    good: str
    bad: str
    paradigm: str = ""
    phenomenon: str = ""


def as_pairs(items: Iterable[Pair | Mapping[str, Any] | Sequence[str]]) -> list[Pair]:
    """Read pairs from `Pair` objects, records with BLiMP's fields, or (good, bad) tuples.

    White space at the ends of a sentence is taken off, and a run of it inside becomes one space:
    where tokens carry the space before a word, it is a token of its own and costs several nats, in
    one sentence of the pair and not the other.

    Raises
    ------
    ValueError
        If there are no pairs, a field is missing, or a sentence is empty or not a string.

    Examples
    --------
    >>> as_pairs([("The dog sleeps.", "The dog sleep.")])[0].bad
    'The dog sleep.'
    >>> as_pairs([(" The dog sleeps. ", "The dog sleep.")])[0].good
    'The dog sleeps.'
    """
    pairs = [_as_pair(item, f"Pair {number}") for number, item in enumerate(items)]
    if not pairs:
        raise ValueError("There are no pairs: we need at least one to score.")
    return pairs


def _as_pair(item: Any, where: str) -> Pair:
    if isinstance(item, Mapping):
        good, bad = (_field(item, f"sentence_{side}", where) for side in ("good", "bad"))
        item = Pair(good, bad, item.get("UID", ""), item.get("linguistics_term", ""))
    elif not isinstance(item, Pair):
        # a string of two letters would unpack, too
        if isinstance(item, str) or not isinstance(item, Sequence) or len(item) != 2:
            raise ValueError(f"{where} is {item!r}; write it as (good sentence, bad sentence).")
        item = Pair(*item)
    for side in (item.good, item.bad):
        if not isinstance(side, str) or not side.strip():
            raise ValueError(f"{where} has an empty sentence: {item}. Both sides need words.")
    good, bad = (re.sub(r"\s{2,}", " ", side.strip()) for side in (item.good, item.bad))
    return Pair(good, bad, _label(item.paradigm), _label(item.phenomenon))


def _label(name: Any) -> str:
    """A name as one text: some data sets give numbers, or several terms to one pair."""
    names = name if isinstance(name, list | tuple) else [name]
    given = [str(n).strip() for n in names if n is not None]
    return " + ".join(dict.fromkeys(COUNTED_UNDER.get(n, n) for n in given))


# ------------------------------------------------------------------ BLiMP


def load_blimp(
    source: str | Path, paradigms: Sequence[str] | None = None, limit: int | None = None
) -> list[Pair]:
    """Load minimal pairs in BLiMP's format.

    Parameters
    ----------
    source : path or str
        A `.jsonl` file, a folder of them, or the name of a data set on the Hugging Face hub
        ("nyu-mll/blimp"), which needs the optional package `datasets` and a network.
    paradigms : list of str, optional
        Which paradigms to read (file names without `.jsonl`); all by default.
    limit : int, optional
        Keep the first `limit` pairs of each paradigm; at least 1, all by default.

    Raises
    ------
    FileNotFoundError
        If there is no such file, folder or paradigm.
    ValueError
        For a line that is not JSON or lacks a field, and a file that is empty or no text in UTF-8;
        the message names file and line. For an empty list of paradigms, or a limit below 1.

    Notes
    -----
    Only a newline ends a line: the other separators of Unicode may stand in a sentence. Hidden
    files, such as the `._x.jsonl` that macOS puts beside `x.jsonl`, are passed over.
    """
    paradigms = _names(paradigms, "paradigms")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"limit is a whole number of at least 1, or None for all; got {limit!r}.")
    path = Path(source)
    if not path.exists() and _is_hub_name(source):
        return _blimp_from_hub(str(source), paradigms, limit)
    pairs = []
    for file in _files(path, ".jsonl", paradigms):
        # empty lines are no pairs, but count in the numbers that messages give
        lines = enumerate(_read(file).split("\n"), start=1)
        numbered = [(n, line) for n, line in lines if line.strip()]
        if not numbered:
            raise ValueError(f"{file} holds no pairs: it is empty.")
        for number, line in numbered[:limit]:
            where = f"{file}, line {number}:"
            # the file is named after its paradigm
            record = {"UID": file.stem} | _parse(line, where)
            pairs.append(_as_pair(record, where))
    return pairs


def _blimp_from_hub(name: str, paradigms: Sequence[str] | None, limit: int | None) -> list[Pair]:
    datasets = _datasets_package(name)
    pairs = []
    for paradigm in paradigms or datasets.get_dataset_config_names(name):
        # the hub calls the only part of BLiMP "train"
        rows = list(datasets.load_dataset(name, paradigm, split="train"))[:limit]
        pairs += [_as_pair(row, f"{name}/{paradigm}, row {n}:") for n, row in enumerate(rows)]
    return pairs


# -------------------------------------------------------------- SyntaxGym


@dataclass(frozen=True)
class Item:
    """One item of a region suite: for each condition, the texts of its regions in order."""

    number: int
    conditions: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class RegionSuite:
    """A SyntaxGym suite.

    Attributes
    ----------
    name : str
    metric : str
        How the token surprisals of a region become one number; "sum" in nearly all suites.
    regions : dict
        Region number -> its name; the keys give the order.
    predictions : tuple of str
        Formulas over regions; see `course_lib.behaviour.formulas.evaluate_formula`.
    items : tuple of Item
    """

    name: str
    metric: str
    regions: Mapping[int, str]
    predictions: tuple[str, ...]
    items: tuple[Item, ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "suite") -> RegionSuite:
        """Read the structure of SyntaxGym's JSON.

        Raises
        ------
        ValueError
            If a field is missing, items differ in their conditions or regions, or a prediction
            names a region or condition that does not exist. The message says where.
        """
        meta = _field(data, "meta", where)
        name, metric = meta.get("name", where), meta.get("metric", "sum")
        regions = {int(n): label for n, label in _field(data, "region_meta", where).items()}
        # JSON has text as keys, and "10" comes before "9"
        regions = dict(sorted(regions.items()))
        items = tuple(_item(i, regions, f"{where}, item") for i in _field(data, "items", where))
        if not items:
            raise ValueError(f"{where} has no items.")
        formulas = tuple(_formula(p, where) for p in _field(data, "predictions", where))
        suite = cls(name, "sum" if metric == "all" else metric, regions, formulas, items)
        _check_references(suite, where)
        return suite


def load_syntaxgym(source: str | Path, suites: Sequence[str] | None = None) -> list[RegionSuite]:
    """Load region suites in SyntaxGym's JSON format.

    Parameters
    ----------
    source : path or str
        A `.json` file, a folder of them, or a hub name ("cpllab/syntaxgym"), which needs the
        optional package `datasets`, a network, and `suites`.
    suites : list of str, optional
        Which suites to read (file names without `.json`); all by default.

    Raises
    ------
    FileNotFoundError
        If there is no such file, folder or suite.
    ValueError
        For an empty list of suites, and a file that is not JSON in UTF-8 or not a suite; see
        `RegionSuite.from_dict`.
    """
    suites = _names(suites, "suites")
    path = Path(source)
    if not path.exists() and _is_hub_name(source):
        return [_suite_from_hub(str(source), name) for name in suites or _no_names(source)]
    loaded = []
    for file in _files(path, ".json", suites):
        data = _parse(_read(file), f"{file}:")
        try:
            loaded.append(RegionSuite.from_dict(data, str(file)))
        except (AttributeError, TypeError, ValueError) as error:
            told = f"{file}: this is not built as a suite ({error})."
            raise ValueError(str(error) if str(file) in str(error) else told) from error
    return loaded


def _suite_from_hub(source: str, name: str) -> RegionSuite:
    """On the hub each row is an item, with lists where the JSON has lists of objects."""
    datasets = _datasets_package(source)
    rows = list(datasets.load_dataset(source, name, split="test"))
    items = []
    for row in rows:
        names, regions = row["conditions"]["condition_name"], row["conditions"]["regions"]
        conditions = [
            {
                "condition_name": condition,
                "regions": [
                    {"region_number": n, "content": content}
                    for n, content in zip(r["region_number"], r["content"], strict=True)
                ],
            }
            for condition, r in zip(names, regions, strict=True)
        ]
        items.append({"item_number": row["item_number"], "conditions": conditions})
    # the hub has no names of regions: their numbers stand in
    numbers = [r["region_number"] for r in items[0]["conditions"][0]["regions"]]
    formulas = [{"type": "formula", "formula": f} for f in rows[0]["predictions"]]
    data = {"meta": {"name": name}, "predictions": formulas, "items": items}
    data["region_meta"] = {str(n): str(n) for n in numbers}
    return RegionSuite.from_dict(data, f"{source}/{name}")


def _item(data: Mapping[str, Any], regions: Mapping[int, str], where: str) -> Item:
    number = int(_field(data, "item_number", where))
    conditions = {}
    for condition in _field(data, "conditions", f"{where} {number}"):
        name = _field(condition, "condition_name", f"{where} {number}")
        here = f"{where} {number}, condition {name!r}"
        contents = {
            int(_field(r, "region_number", here)): _field(r, "content", here)
            for r in _field(condition, "regions", here)
        }
        # regions that are absent in a condition are there with an empty text
        if sorted(contents) != list(regions):
            raise ValueError(
                f"{here} has the regions {sorted(contents)}, and region_meta lists "
                f"{list(regions)}. Give every region, with an empty content where it is absent."
            )
        conditions[name] = tuple(contents[n] for n in regions)
    return Item(number, conditions)


def _formula(prediction: Mapping[str, Any], where: str) -> str:
    """The formula of a prediction; older files name one relation between two conditions."""
    if isinstance(prediction.get("formula"), str):
        return prediction["formula"]
    left, right, region, relation = (
        _field(prediction, f, f"{where}, prediction")
        for f in ("l_operand", "r_operand", "region_number", "relation")
    )
    if relation not in RELATIONS:
        raise ValueError(f"{where}: unknown relation {relation!r}; we know {sorted(RELATIONS)}.")
    return f"({region};%{left}%) {RELATIONS[relation]} ({region};%{right}%)"


def _check_references(suite: RegionSuite, where: str) -> None:
    for formula in suite.predictions:
        for region, condition in region_references(formula):
            if region != "*" and int(region) not in suite.regions:
                raise ValueError(
                    f"{where}: the prediction {formula!r} uses region {region}, and the suite "
                    f"has the regions {list(suite.regions)}."
                )
            for item in suite.items:
                if condition not in item.conditions:
                    raise ValueError(
                        f"{where}: the prediction {formula!r} uses the condition {condition!r}, "
                        f"and item {item.number} has {sorted(item.conditions)}."
                    )


# ------------------------------------------------------------------ shared


def _names(names: Iterable[str] | None, what: str) -> list[str] | None:
    """A selection as a list without repetitions; a single name is a list of one, None is all."""
    if names is None:
        return None
    chosen = list(dict.fromkeys([names] if isinstance(names, str) else names))
    if not chosen:
        raise ValueError(f"The list of {what} is empty, so nothing would be read. Leave it out "
                         "to read all, or name some.")  # fmt: skip
    return chosen


def _read(file: Path) -> str:
    """The text of a data file, lines ended by newlines; ValueError unless it is UTF-8."""
    try:
        text = file.read_text(encoding="utf-8-sig")  # without the mark that some editors put first
        if "\0" not in text:
            return text
        where = ""
    except UnicodeDecodeError as error:
        where = f", line {error.object[: error.start].count(10) + 1}"
    raw = file.read_bytes()
    kind = "holds zero bytes, as UTF-16 does" if b"\0" in raw else "may be in latin-1 or the like"
    told = FOREIGN.get(raw[:2], f"it {kind}; save it again as UTF-8")
    raise ValueError(f"{file}{where}: this is no text in UTF-8; {told}.")


def _files(path: Path, suffix: str, names: list[str] | None) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(
            f"There is no file or folder {str(path)!r}. Give a {suffix} file, a folder of them, "
            "or a data set of the hub as 'owner/name'."
        )
    found = [path] if path.is_file() else sorted(path.glob(f"*{suffix}"))
    # hidden files are not the data: macOS writes ._x.jsonl beside x.jsonl
    files = {f.stem: f for f in found if f == path or (f.is_file() and f.name[0] != ".")}
    missing = [name for name in names or () if name not in files]
    if missing or not files:
        what = f"{missing[0]}{suffix}" if missing else f"{suffix} files"
        there = sorted(files) or sorted(f.name for f in path.iterdir())[:10]
        raise FileNotFoundError(f"{path} has no {what}; it has {there}.")
    return [files[name] for name in names or files]


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
        json.dumps(record, ensure_ascii=False).encode()  # half of a character is no text
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} this is not JSON ({error}).") from error
    if not isinstance(record, dict):
        raise ValueError(f"{where} we need an object {{...}}, got {type(record).__name__}.")
    return record


def _field(record: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in record:
        raise ValueError(f"{where} has no field {name!r}; it has {sorted(record)}.")
    return record[name]


def _is_hub_name(source: str | Path) -> bool:
    return isinstance(source, str) and bool(re.fullmatch(r"[^\W_][^/]*/[^\W_][^/]*", source))


def _no_names(source: str | Path) -> Sequence[str]:
    raise ValueError(f"Name the suites of {source} to load, for example suites=['number_prep'].")


def _datasets_package(name: str) -> ModuleType:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise ImportError(
            f"{name!r} is no local path, and reading it from the hub needs the optional package "
            "`datasets`: pip install 'course-lib[hub]'. Or download the files and pass the folder."
        ) from error
