"""A roster says what is wrong with it; a path names one student, several, or nobody."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

import pytest

from course_lib.grading.roster import CollectError, read_roster, whose

ROSTER = [
    {"id": "ada", "name": "Ada Lovelace", "number": "4711"},
    {"id": "bob", "name": "Bob Ross", "number": "4712"},
    {"id": "ada2", "name": "Ada de la Vega", "number": "4713"},
]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ada/01_behaviour.ipynb", ["ada"]),
        ("submitted/bob/01_behaviour/01_behaviour.ipynb", ["bob"]),
        ("Ada Lovelace_99_assignsubmission_file_/01_behaviour.ipynb", ["ada"]),
        ("Ada Lovelace_99_assignsubmission_file_hw.ipynb", ["ada"]),
        ("lovelaceada_99_1234_01_behaviour.ipynb", ["ada"]),
        ("lovelaceada_LATE_99_1234_hw.zip", ["ada"]),
        ("01_behaviour_ada_attempt_2026-11-20-12-00-00_hw.ipynb", ["ada"]),
        ("Lovelace_Ada_x99_5/hw.ipynb", ["ada"]),
        ("Ross Bob_99_x/01_behaviour.ipynb", ["bob"]),
        ("anything_4713_x/01_behaviour.ipynb", ["ada2"]),
        ("4712/01_behaviour.ipynb", ["bob"]),
        ("vegaadadela_1_2_01_behaviour.ipynb", ["ada2"]),
        ("delavegaada_1_2_01_behaviour.ipynb", ["ada2"]),
        ("bob.zip", ["bob"]),
        ("bob_01_behaviour.ipynb", ["bob"]),
        ("01_behaviour-bob (1).ipynb", ["bob"]),
        ("01_behaviour.ipynb", []),
        ("01_behaviour-20261120-120000.zip", []),
        ("ada/bob/01_behaviour.ipynb", ["ada", "bob"]),
        ("ada/bob.ipynb", ["ada"]),
        ("Ada Lovelace_9_assignsubmission_file_/bob/bob.ipynb", ["ada"]),
        ("Ada Lovelace_4712_assignsubmission_file_/hw.ipynb", ["ada", "bob"]),
        ("adam/01_behaviour.ipynb", []),
        ("joe_71_900_bob.ipynb", []),
        ("joe_71_900_4711_x.ipynb", []),
        ("../ADA/01_behaviour.ipynb", ["ada"]),
    ],
)
def test_whose_file_it_is(path, expected):
    assert whose(PurePosixPath(path), ROSTER, "01_behaviour") == expected


@pytest.mark.parametrize(
    "extra",
    [
        {"section": "01"}, {"status": "LATE"}, {"group": "behaviour"},
        {"group": "assignsubmission"}, {"mail": "file"}, {"course": "notebooks"},
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "path",
    [
        "joe_71_900_01_behaviour.ipynb", "joe_LATE_71_900_01_behaviour.ipynb",
        "Joe X_1_assignsubmission_file_/01_behaviour.ipynb", "joe/notebooks/01_behaviour.ipynb",
    ],
)  # fmt: skip
def test_no_other_column_names_anybody(extra, path):
    assert whose(PurePosixPath(path), [ROSTER[0] | extra], "01_behaviour") == []


@pytest.mark.parametrize("id", ["01", "02", "1", "900", "behaviour", "late"])
def test_an_id_is_a_whole_component_and_never_a_piece_of_a_name(id):
    roster = [{"id": id, "name": "Zoe Zorn"}, *ROSTER]
    for path in ("lovelaceada_LATE_71_900_01_behaviour.ipynb", "ada/week_01_x/01_behaviour.ipynb",
                 "Ada Lovelace_1_assignsubmission_file_/02_01_behaviour.ipynb"):  # fmt: skip
        assert whose(PurePosixPath(path), roster, "01_behaviour") == ["ada"]
    assert whose(PurePosixPath(f"{id}/01_behaviour.ipynb"), roster, "01_behaviour") == [id]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Gabriel García Márquez", "García Márquez, Gabriel"),
        ("Gabriel García Márquez", "garciamarquezgabriel"),
        ("Jörg Müller", "muellerjoerg"),
        ("Jörg Müller", "Jorg Muller"),
        ("Sinéad O'Brien", "O\N{RIGHT SINGLE QUOTATION MARK}Brien Sinead"),
        ("Sinéad O’Brien", "obriensinead"),
        ("Søren Ærø", "Soren Aero"),
        ("Jean-Luc Picard", "picardjeanluc"),
        ("Ada M. Lovelace", "Ada Lovelace"),
        ("Ada Lovelace", "Lovelace, Ada M."),
        ("A. Lovelace", "Ada Lovelace"),
        ("Lovelace, Ada", "Ada Lovelace"),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKD"])
def test_spellings_of_a_name(name, written, form):
    path = PurePosixPath(unicodedata.normalize(form, written) + "_71_assignsubmission_file_") / "x"
    roster = [{"id": "one", "name": name}, {"id": "two", "name": "Bob Ross"}]
    assert whose(path, roster) == ["one"]


def test_look_alikes_are_never_guessed():
    both = [{"id": "n1", "name": "José Núñez"}, {"id": "n2", "name": "Jose Nunez", "number": "123"}]
    assert whose(PurePosixPath("José Núñez_1_assignsubmission_file_/x"), both) == ["n1"]
    assert whose(PurePosixPath("nunezjose_1_2_x.ipynb"), both) == ["n1", "n2"]  # accents dropped?
    assert whose(PurePosixPath("nunezjose_123_2_x.ipynb"), both) == ["n2"]
    twins = [{"id": f"w{n}", "name": "Wei Li", "number": f"80{n}"} for n in (1, 2)]
    assert whose(PurePosixPath("Wei Li_9_assignsubmission_file_/x"), twins) == ["w1", "w2"]
    assert whose(PurePosixPath("Wei Li_802_assignsubmission_file_/x"), twins) == ["w2"]
    initials = [{"id": "a1", "name": "Ada Lovelace"}, {"id": "a2", "name": "Anna Lovelace"}]
    assert whose(PurePosixPath("A. Lovelace_1_assignsubmission_file_/x"), initials) == ["a1", "a2"]
    ids = [{"id": "li-na", "name": "A"}, {"id": "lina", "name": "B"}]
    assert [whose(PurePosixPath(p) / "x", ids) for p in ("lina", "li-na", "li_na")] == [
        ["lina"], ["li-na"], ["li-na", "lina"]]  # fmt: skip


BAD = {
    "id;name\nada;Ada\n": "separated by ;",
    "id\tname\nada\tAda\n": "separated by tabs",
    "ID,Name\nada,Ada\n": "no column id; there are 'ID', 'Name'",
    "login,name\nada,Ada\n": "no column id; there are 'login', 'name'",
    "": "empty",
    "id,name\n": "no student",
    "id,name\n\n , \n": "no student",
    "id,id\nada,x\n": "twice",
    "id,name\nada,Ada\n,Bob\n": r"line 3: no id \(Bob\)",
    "id\n../x\n": r"line 2: the id '../x' may hold letters",
    "id\nada\n.x\n": "line 3",
    "id\nada+ml@uni.example\n": r"digits and \. _ @ -",
    "id\nbjörn\n": "letters a-z",
    "id\nada lovelace\n": "may hold letters",
    "id\nada\nADA\n": r"line 3: the id 'ADA' is there twice \('ada'\)",
    "id,name\nada,Lovelace, Ada\n": "line 2: more cells than columns",
    "\x00": "no column id",
}


@pytest.mark.parametrize("text", BAD)
def test_a_roster_that_cannot_be_used_says_why(tmp_path, text):
    (tmp_path / "roster.csv").write_text(text)
    with pytest.raises(CollectError, match=BAD[text]) as caught:
        read_roster(tmp_path / "roster.csv")
    others = {"separated by", "no column", "twice", "may hold", "no student", "more cells"}
    assert sum(other in str(caught.value) for other in others) <= 1  # what was found, nothing else


def test_every_fault_of_a_roster_is_told_at_once(tmp_path):
    (tmp_path / "roster.csv").write_text("id,name\nå,A\nb,B\nb,C\n,D\n")
    with pytest.raises(CollectError) as caught:
        read_roster(tmp_path / "roster.csv")
    assert [line in str(caught.value) for line in ("line 2", "line 3", "line 4", "line 5")] == [
        True, False, True, True]  # fmt: skip


def test_roster_of_a_spreadsheet(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text("\ufeffid,name,number\r\n\r\nada, Ada Lovelace ,4711\r\n,,\r\n", "utf-8")
    assert read_roster(path) == ROSTER[:1]
    path.write_bytes("id,name\nada,Zoë\n".encode("cp1252"))
    with pytest.raises(CollectError, match="CSV UTF-8"):
        read_roster(path)
    for missing in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(CollectError, match="no roster|cannot be read"):
            read_roster(missing)
