"""Reading BLiMP and SyntaxGym files, and what happens when they are damaged."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from course_lib.behaviour.formulas import evaluate_formula, region_references
from course_lib.behaviour.suites import Pair, RegionSuite, as_pairs, load_blimp, load_syntaxgym

DATA = Path(__file__).parents[2] / "shared" / "data"
needs_blimp = pytest.mark.skipif(not (DATA / "blimp").is_dir(), reason="no BLiMP files here")
needs_gym = pytest.mark.skipif(not (DATA / "syntaxgym").is_dir(), reason="no SyntaxGym files here")


def record(n=0, uid="agreement", **changes):
    fields = {
        "sentence_good": f"The dog sleeps {n}.",
        "sentence_bad": f"The dog sleep {n}.",
        "linguistics_term": "subject_verb_agreement",
        "UID": uid,
        "pairID": str(n),
    }
    return fields | changes


def suite_dict(formula="(2;%match%) < (2;%mismatch%)", **changes):
    def condition(name, verb):
        contents = enumerate(["The dog", verb, "."], start=1)
        regions = [{"region_number": n, "content": c} for n, c in contents]
        return {"condition_name": name, "regions": regions}

    item = {
        "item_number": 1,
        "conditions": [condition("match", "sleeps"), condition("mismatch", "sleep")],
    }
    return {
        "meta": {"name": "agreement", "metric": "sum"},
        "region_meta": {"1": "subject", "2": "verb", "3": "end"},
        "predictions": [{"type": "formula", "formula": formula}],
        "items": [item],
    } | changes


def write_lines(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# ------------------------------------------------------------------ pairs


def test_pairs_from_every_form():
    pair = Pair("Dogs sleep.", "Dogs sleeps.")
    assert as_pairs([pair, ("Dogs sleep.", "Dogs sleeps.")]) == [pair, pair]
    read = as_pairs([record(3)])[0]
    assert (read.paradigm, read.phenomenon) == ("agreement", "subject_verb_agreement")
    assert read.bad == "The dog sleep 3."


@pytest.mark.parametrize(
    "items, message",
    [
        ([], "no pairs"),
        ([("a", "b"), ("only one",)], "Pair 1"),
        (["not a pair"], "Pair 0"),
        ([("Dogs sleep.", " ")], "empty sentence"),
        ([("Dogs sleep.", None)], "empty sentence"),
        ([{"sentence_good": "Dogs sleep."}], "sentence_bad"),
    ],
)
def test_bad_pairs_are_named(items, message):
    with pytest.raises(ValueError, match=message):
        as_pairs(items)


def test_blimp_folder_file_limit_and_choice(tmp_path):
    for uid in ("b_second", "a_first"):
        write_lines(
            tmp_path / f"{uid}.jsonl", [json.dumps(record(n, uid)) for n in range(4)] + [""]
        )
    pairs = load_blimp(tmp_path)
    assert [p.paradigm for p in pairs] == ["a_first"] * 4 + ["b_second"] * 4
    assert len(load_blimp(tmp_path, limit=3)) == 6
    assert {p.paradigm for p in load_blimp(tmp_path, ["b_second"])} == {"b_second"}
    assert load_blimp(tmp_path / "a_first.jsonl") == pairs[:4]
    with pytest.raises(FileNotFoundError, match="c_third"):
        load_blimp(tmp_path, ["c_third"])
    with pytest.raises(FileNotFoundError, match="owner/name"):
        load_blimp(tmp_path / "nowhere")


def test_a_damaged_line_is_named_with_file_and_number(tmp_path):
    good = json.dumps(record())
    broken = write_lines(tmp_path / "broken.jsonl", [good, "", good[:-9]])
    with pytest.raises(ValueError, match=r"broken\.jsonl, line 3.*not JSON"):
        load_blimp(broken)
    incomplete = {"sentence_good": "Dogs sleep."}
    missing = write_lines(tmp_path / "missing.jsonl", [good, json.dumps(incomplete)])
    with pytest.raises(ValueError, match=r"missing\.jsonl, line 2.*sentence_bad"):
        load_blimp(missing)
    with pytest.raises(ValueError, match=r"list\.jsonl, line 1.*object"):
        load_blimp(write_lines(tmp_path / "list.jsonl", ["[1, 2]"]))
    with pytest.raises(ValueError, match="no pairs"):
        load_blimp(write_lines(tmp_path / "empty.jsonl", [""]))


@needs_blimp
def test_real_blimp():
    pairs = load_blimp(DATA / "blimp")
    assert len(pairs) == 10_000
    assert len({p.paradigm for p in pairs}) == 10
    identical = [p.paradigm for p in pairs if p.good == p.bad]
    assert identical == ["principle_A_case_2"] * 5


# ---------------------------------------------------------------- regions


def test_region_suite_from_dict():
    suite = RegionSuite.from_dict(suite_dict())
    assert suite.items[0].conditions["mismatch"] == ("The dog", "sleep", ".")
    assert suite.regions == {1: "subject", 2: "verb", 3: "end"}
    assert suite.metric == "sum"


def test_region_suite_files(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(suite_dict()), encoding="utf-8")
    assert [s.name for s in load_syntaxgym(tmp_path)] == ["agreement"]
    (tmp_path / "b.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"b\.json.*not JSON"):
        load_syntaxgym(tmp_path)
    assert len(load_syntaxgym(tmp_path, ["a"])) == 1


def without(data, *path):
    """The same data with one nested field taken out."""
    data = json.loads(json.dumps(data))
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return data


@pytest.mark.parametrize(
    "data, message",
    [
        (without(suite_dict(), "items"), "no field 'items'"),
        (without(suite_dict(), "region_meta"), "no field 'region_meta'"),
        (without(suite_dict(), "items", 0, "conditions", 0, "condition_name"), "condition_name"),
        (without(suite_dict(), "items", 0, "conditions", 0, "regions", 1), r"regions \[1, 3\]"),
        (suite_dict(items=[]), "no items"),
        (suite_dict("(7;%match%) > (2;%match%)"), "uses region 7"),
        (suite_dict("(2;%match%) > (2;%mitsmatch%)"), "'mitsmatch'"),
        (suite_dict(predictions=[{"formula": None, "type": "formula"}]), "formula"),
        (
            suite_dict(
                predictions=[
                    {"relation": "near", "region_number": 2, "l_operand": "a", "r_operand": "b"}
                ]
            ),
            "relation 'near'",
        ),
    ],
)
def test_damaged_suites_are_named(data, message):
    with pytest.raises(ValueError, match=message):
        RegionSuite.from_dict(data)


def test_older_predictions_become_formulas():
    relation = {
        "relation": "lessthan",
        "region_number": 2,
        "l_operand": "match",
        "r_operand": "mismatch",
    }
    suite = RegionSuite.from_dict(suite_dict(predictions=[relation]))
    assert suite.predictions == ("(2;%match%) < (2;%mismatch%)",)


@needs_gym
def test_real_syntaxgym():
    suites = load_syntaxgym(DATA / "syntaxgym")
    assert {s.name: len(s.items) for s in suites} == {
        "fgd_subject": 24,
        "mvrr": 28,
        "npi_orc_any": 38,
        "number_prep": 19,
        "number_src": 19,
    }
    assert all(s.predictions for s in suites)


# -------------------------------------------------------------------- hub


@pytest.fixture
def fake_hub(monkeypatch):
    """Stands in for the `datasets` package, with rows as the hub delivers them."""
    conditions = suite_dict()["items"][0]["conditions"]
    row = {
        "suite_name": "agreement",
        "item_number": 1,
        "conditions": {
            "condition_name": [c["condition_name"] for c in conditions],
            "content": ["The dog sleeps .", "The dog sleep ."],
            "regions": [
                {
                    "region_number": [r["region_number"] for r in c["regions"]],
                    "content": [r["content"] for r in c["regions"]],
                }
                for c in conditions
            ],
        },
        "predictions": ["(2;%match%) < (2;%mismatch%)"],
    }
    tables = {
        ("nyu-mll/blimp", "agreement", "train"): [record(n) for n in range(5)],
        ("cpllab/syntaxgym", "agreement", "test"): [row],
    }
    module = SimpleNamespace(
        load_dataset=lambda name, config, split: tables[name, config, split],
        get_dataset_config_names=lambda name: ["agreement"],
    )
    monkeypatch.setitem(sys.modules, "datasets", module)


def test_hub_names(fake_hub):
    assert load_blimp("nyu-mll/blimp", limit=2) == as_pairs([record(0), record(1)])
    (suite,) = load_syntaxgym("cpllab/syntaxgym", ["agreement"])
    expected = RegionSuite.from_dict(suite_dict())
    assert suite.items == expected.items
    assert suite.predictions == expected.predictions
    with pytest.raises(ValueError, match="Name the suites"):
        load_syntaxgym("cpllab/syntaxgym")


def test_the_hub_needs_an_optional_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"course-lib\[hub\]"):
        load_blimp("nyu-mll/blimp")


# --------------------------------------------------------------- formulas

VALUES = {"a": {1: 2.0, 2: 3.0, 3: 0.5}, "b": {1: 2.0005, 2: 1.0, 3: 8.0}}


@pytest.mark.parametrize(
    "formula, expected",
    [
        ("(2;%a%) > (2;%b%)", True),
        ("(2;%a%) < (2;%b%)", False),
        ("(1;%a%) = (1;%b%)", True),
        ("(1;%a%) != (1;%b%)", False),
        ("(2;%a%) = (2;%b%)", False),
        ("(2;%a%) >= (2;%a%)", True),
        ("(*;%a%) < (*;%b%)", True),
        ("(*;%a%)", 5.5),
        ("( 2 ; %a% ) - (3;%a%) - (1;%a%)", 0.5),
        ("(2;%a%) + (3;%a%) * 2", 4.0),
        ("[(2;%a%) + (3;%a%)] * 2", 7.0),
        ("(2;%a%) / (3;%a%) / 2", 3.0),
        ("-(2;%a%) + 1.5", -1.5),
        ("[(2;%a%) > (2;%b%)] & [(3;%a%) > (3;%b%)]", False),
        ("[(2;%a%) > (2;%b%)] | [(3;%a%) > (3;%b%)]", True),
        ("((2;%a%) > 1) | ((2;%a%) > 9) & ((2;%a%) > 9)", True),
        ("[[(2;%a%) - (2;%b%)] > [(3;%a%) - (3;%b%)]]", True),
    ],
)
def test_formulas(formula, expected):
    value = evaluate_formula(formula, VALUES)
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    "formula, message",
    [
        ("(4;%a%) > 1", "no region 4"),
        ("(1;%c%) > 1", "no condition 'c'"),
        ("(1;%a%) >", "ends too early"),
        ("", "ends too early"),
        ("[(1;%a%) > 1)", "not closed"),
        ("(1;%a%) > 1]", "unexpected"),
        ("(1;%a%) (2;%a%)", "unexpected"),
        ("1 < 2 < 3", "unexpected"),
        ("(1;%a%) & (2;%a%)", "join comparisons"),
        ("((1;%a%) > 1) + 1", "truth value"),
        ("((1;%a%) > 1) > ((2;%a%) > 1)", "truth value"),
        ("(1;%a%) / (1 - 1)", "division by zero"),
        ("__import__('os')", "unexpected"),
    ],
)
def test_malformed_formulas_are_refused(formula, message):
    with pytest.raises(ValueError, match=message):
        evaluate_formula(formula, VALUES)


def test_region_references():
    assert region_references("[(6;%x y%) < ( * ; %b%)]") == [("6", "x y"), ("*", "b")]
