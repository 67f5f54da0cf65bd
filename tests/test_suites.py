"""Reading BLiMP and SyntaxGym files, and what happens when they are damaged."""

import gzip
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from course_lib.behaviour.formulas import evaluate_formula, region_references
from course_lib.behaviour.pairs import score_suite
from course_lib.behaviour.published import BLIMP, PHENOMENA
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
        ([("a", "b"), None], "Pair 1 is None"),
        ([7], "Pair 0 is 7"),
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


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"UID": ' + "9" * 5_000 + "}", '{"sentence_good": "half \\ud83d"}', "{]"],
)
def test_what_no_program_can_read_is_named(tmp_path, text):
    for name, load in (("odd.jsonl", load_blimp), ("odd.json", load_syntaxgym)):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=rf"{name}.*: this is not JSON \("):
            load(tmp_path)


# ---- what stands in files of elsewhere


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\xa0"])
def test_only_a_newline_ends_a_record(tmp_path, char):
    sentence = f"The dog{char}sleeps."
    lines = [json.dumps(record(sentence_good=sentence), ensure_ascii=False)] * 2
    for ending in ("\n", "\r\n", "\r"):
        file = tmp_path / "agreement.jsonl"
        file.write_bytes(ending.join([*lines, ""]).encode())
        assert [pair.good for pair in load_blimp(file)] == [sentence] * 2
    file.write_bytes("\n".join([lines[0], lines[0][:-9]]).encode())
    with pytest.raises(ValueError, match="line 2: this is not JSON"):
        load_blimp(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(record()).encode("utf-16"), "UTF-16"),
        (json.dumps(record()).encode("utf-16-be"), "UTF-16"),
        (json.dumps({"a": "\u00fc\u0101"}, ensure_ascii=False).encode("utf-16-le"), "UTF-16"),
        (json.dumps({"a": "\u0144\u00e9"}, ensure_ascii=False).encode("utf-32-be"), "UTF-16"),
        (gzip.compress(json.dumps(record()).encode()), "gunzip"),
        (b"PK\x03\x04\xff\xfe", "zip archive"),
        (b"\x00\x05\x16\x07Mac OS X\x9f", "macOS"),
        (b'{"a": 1}\n{"a": "caf\xe9"}\n', "line 2: .* latin-1"),
        (b'{"a": "\x93quoted\x94"}\n', "line 1: .* latin-1"),
    ],
)
def test_a_file_in_another_encoding_is_named(tmp_path, content, message):
    for name, load in (("odd.jsonl", load_blimp), ("odd.json", load_syntaxgym)):
        (tmp_path / name).write_bytes(content)
        for source in (tmp_path / name, tmp_path):
            with pytest.raises(
                ValueError, match=rf"{name}.*: this is no text in UTF-8; "
            ) as caught:
                load(source)
            assert re.search(message, str(caught.value))


def test_a_mark_of_utf_8_at_the_start_is_no_part_of_the_text(tmp_path):
    line = json.dumps(record(), ensure_ascii=False)
    (tmp_path / "a.jsonl").write_text(line + "\n", encoding="utf-8-sig")
    assert load_blimp(tmp_path) == as_pairs([record()])
    (tmp_path / "a.json").write_text(json.dumps(suite_dict()), encoding="utf-8-sig")
    assert load_syntaxgym(tmp_path)[0].name == "agreement"


def test_hidden_files_and_folders_are_not_the_data(tmp_path):
    write_lines(tmp_path / "a.jsonl", [json.dumps(record())])
    for hidden in ("._a.jsonl", ".b.jsonl"):
        (tmp_path / hidden).write_bytes(b"\x00\x05\x16\x07\x9f")
    (tmp_path / "folder.jsonl").mkdir()
    assert len(load_blimp(tmp_path)) == 1
    with pytest.raises(FileNotFoundError, match=r"no \.json files.*a\.jsonl"):
        load_syntaxgym(tmp_path)


def test_an_empty_file_among_others_is_named(tmp_path):
    write_lines(tmp_path / "a.jsonl", [json.dumps(record())])
    (tmp_path / "b.jsonl").write_text("\n \n")
    with pytest.raises(ValueError, match=r"b\.jsonl holds no pairs"):
        load_blimp(tmp_path)
    assert len(load_blimp(tmp_path, ["a"])) == 1


@pytest.fixture
def three(tmp_path):
    for uid in "abc":
        write_lines(tmp_path / f"{uid}.jsonl", [json.dumps(record(n, uid)) for n in range(4)])
        (tmp_path / f"{uid}.json").write_text(json.dumps(suite_dict(meta={"name": uid})))
    return tmp_path


@pytest.mark.parametrize("limit", [-1, 0, -4, 1.5, True, "3"])
def test_a_limit_that_is_no_number_of_pairs(three, limit):
    with pytest.raises(ValueError, match="limit is a whole number of at least 1"):
        load_blimp(three, limit=limit)


def test_a_selection_selects_what_it_says(three):
    for nothing in ([], (), iter([]), {}):
        with pytest.raises(ValueError, match="list of paradigms is empty"):
            load_blimp(three, nothing)
    with pytest.raises(ValueError, match="list of suites is empty"):
        load_syntaxgym(three, [])

    def read(source, names):
        return [pair.paradigm for pair in load_blimp(source, names, limit=1)]

    assert read(three, ["c", "a"]) == read(three, iter("ca")) == ["c", "a"]
    assert read(three, ["b", "b"]) == read(three, "b") == ["b"]
    assert read(three / "a.jsonl", ["a"]) == ["a"]
    for source, names in (
        (three / "a.jsonl", ["b"]),
        (three / "a.jsonl", ["a", "b"]),
        (three, "ab"),
    ):
        with pytest.raises(FileNotFoundError, match=r"b\.jsonl; it has"):
            load_blimp(source, names)
    assert [s.name for s in load_syntaxgym(three, "b")] == ["b"]
    with pytest.raises(FileNotFoundError, match=r"no c\.json; it has \['a'\]"):
        load_syntaxgym(three / "a.json", ["c"])


@pytest.mark.parametrize("space", [" ", "\n", "\t ", "\xa0", "\u2028"])
def test_white_space_at_the_ends_of_a_sentence_is_taken_off(tmp_path, space):
    expected = as_pairs([record()])
    for good, bad in ((" {}", "{}"), ("{}", "{} "), (" {} ", " {}")):
        odd = record()
        odd["sentence_good"] = good.replace(" ", space).format(odd["sentence_good"])
        odd["sentence_bad"] = bad.replace(" ", space).format(odd["sentence_bad"])
        write_lines(tmp_path / "agreement.jsonl", [json.dumps(odd)])
        assert load_blimp(tmp_path) == as_pairs([odd]) == expected
        pair = (odd["sentence_good"], odd["sentence_bad"])
        assert (
            as_pairs([pair]) == as_pairs([Pair(*pair)]) == [Pair(expected[0].good, expected[0].bad)]
        )


@pytest.mark.parametrize("run", ["  ", " \xa0", "\t \t", " \n"])
def test_a_run_of_white_space_inside_a_sentence_is_one_space(tmp_path, run):
    pair = as_pairs([(f"The{run}dog sleeps{run}.", "The dog\xa0sleep .")])[0]
    assert (pair.good, pair.bad) == ("The dog sleeps .", "The dog\xa0sleep .")


@pytest.mark.parametrize(
    ("term", "phenomenon"),
    [
        (["binding", "ellipsis"], "binding + ellipsis"),
        (["binding"], "binding"),
        ([], ""),
        (None, ""),
        (7, "7"),
        ("s-selection", "argument_structure"),
        (["s-selection", "binding"], "argument_structure + binding"),
        (["s-selection", "argument_structure"], "argument_structure"),
        (" binding ", "binding"),
    ],
)
def test_labels_of_all_kinds_become_names(lm, term, phenomenon):
    fields = {"sentence_good": "The dog sleeps.", "sentence_bad": "The dog sleep."}
    pairs = as_pairs([fields | {"linguistics_term": term, "UID": ["x", 1]}])
    assert (pairs[0].paradigm, pairs[0].phenomenon) == ("x + 1", phenomenon)
    assert list(score_suite(lm, pairs, n_boot=10).phenomena) == [phenomenon or "x + 1"]


# The labels of the data, and the paradigms that carry each.
LABELS = {
    "anaphor_agreement": "anaphor_gender_agreement anaphor_number_agreement",
    "argument_structure": "causative drop_argument inchoative intransitive passive_1 passive_2 "
    "transitive",
    "s-selection": "animate_subject_passive animate_subject_trans",
    "binding": "principle_A_c_command principle_A_case_1 principle_A_case_2 principle_A_domain_1 "
    "principle_A_domain_2 principle_A_domain_3 principle_A_reconstruction",
    "control_raising": "existential_there_object_raising existential_there_subject_raising "
    "expletive_it_object_raising tough_vs_raising_1 tough_vs_raising_2",
    "determiner_noun_agreement": "determiner_noun_agreement_1 determiner_noun_agreement_2 "
    "determiner_noun_agreement_irregular_1 determiner_noun_agreement_irregular_2 "
    "determiner_noun_agreement_with_adj_irregular_1 determiner_noun_agreement_with_adj_irregular_2 "
    "determiner_noun_agreement_with_adj_2 determiner_noun_agreement_with_adjective_1",
    "ellipsis": "ellipsis_n_bar_1 ellipsis_n_bar_2",
    "filler_gap_dependency": "wh_questions_object_gap wh_questions_subject_gap "
    "wh_questions_subject_gap_long_distance wh_vs_that_no_gap wh_vs_that_no_gap_long_distance "
    "wh_vs_that_with_gap wh_vs_that_with_gap_long_distance",
    "irregular_forms": "irregular_past_participle_adjectives irregular_past_participle_verbs",
    "island_effects": "adjunct_island complex_NP_island "
    "coordinate_structure_constraint_complex_left_branch "
    "coordinate_structure_constraint_object_extraction left_branch_island_echo_question "
    "left_branch_island_simple_question sentential_subject_island wh_island",
    "npi_licensing": "matrix_question_npi_licensor_present npi_present_1 npi_present_2 "
    "only_npi_licensor_present only_npi_scope sentential_negation_npi_licensor_present "
    "sentential_negation_npi_scope",
    "quantifiers": "existential_there_quantifiers_1 existential_there_quantifiers_2 "
    "superlative_quantifiers_1 superlative_quantifiers_2",
    "subject_verb_agreement": "distractor_agreement_relational_noun "
    "distractor_agreement_relative_clause irregular_plural_subject_verb_agreement_1 "
    "irregular_plural_subject_verb_agreement_2 regular_plural_subject_verb_agreement_1 "
    "regular_plural_subject_verb_agreement_2",
}


def test_the_67_paradigms_give_the_twelve_phenomena_of_the_table(lm, tmp_path):
    """13 labels in the data, 12 columns in the paper."""
    for term, uids in LABELS.items():
        for uid in uids.split():
            row = record(uid=uid, linguistics_term=term)
            row |= {"sentence_good": "The dog sleeps.", "sentence_bad": "The dog sleep."}
            write_lines(tmp_path / f"{uid}.jsonl", [json.dumps(row)])
    pairs = load_blimp(tmp_path)
    count, *items = BLIMP.items
    assert len(pairs) == count == 67
    found = score_suite(lm, pairs, n_boot=10).phenomena  # one pair a paradigm
    assert {name: row.n for name, row in found.items()} == dict(zip(PHENOMENA, items, strict=True))


@needs_blimp
def test_the_paradigms_are_those_of_the_paper():
    rows = (DATA / "blimp" / "paper_appendix_accuracies.csv").read_text().splitlines()[1:]
    assert {row.split(",")[0] for row in rows} == set(" ".join(LABELS.values()).split())
    for pair in load_blimp(DATA / "blimp", limit=1):
        assert pair.paradigm in LABELS[pair.phenomenon].split()


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


@pytest.mark.parametrize(
    "changes",
    [{"meta": 3}, {"region_meta": [1]}, {"region_meta": {"x": "a"}}, {"items": 3}, {"items": [3]},
     {"items": None}, {"predictions": "(1;%a%) < (2;%a%)"}],
)  # fmt: skip
def test_json_that_is_no_suite_is_named_with_its_file(tmp_path, changes):
    (tmp_path / "odd.json").write_text(json.dumps(suite_dict(**changes)))
    with pytest.raises(ValueError, match=r"odd\.json"):
        load_syntaxgym(tmp_path)


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
