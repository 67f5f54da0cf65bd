"""The lexicon: plain tables in `data/`, read once, that a linguist can edit.

`LEXICON` holds every word form of the course world. Nouns and verbs are small records of their
forms; lists are grouped by what the grammar asks for (class and topic of a noun, frame and topic
of a verb).
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zlib import crc32

from course_lib.world.sentence import Word

DATA = Path(__file__).parent / "data"
TOPICS = (
    "transit", "food", "measurement", "music", "weather", "politics",
    "sport", "medicine", "animals", "clothing", "garden", "sea",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Noun:
    singular: Word
    plural: Word
    kind: str  # person, animal, thing or place
    gender: str
    topic: str
    irregular: bool
    key: int

    def form(self, number: str) -> Word:
        return self.singular if number == "sg" else self.plural


@dataclass(frozen=True, slots=True, eq=False)
class Verb:
    base: Word
    third: Word
    past: Word
    participle: Word
    gerund: Word
    frame: str
    topic: str
    irregular: bool
    key: int


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    word: Word
    gender: str
    key: int


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of `data/<name>.tsv` as dictionaries; lines that start with # are comments."""
    with open(DATA / f"{name}.tsv", encoding="utf-8", newline="") as handle:
        lines = [line for line in handle if line.strip() and not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def held_out(first: int, second: int) -> bool:
    """True for the combinations, one in twelve, that training text never uses.

    The arguments are the `key` fields of two lexicon entries (or any two integers). The rule is a
    fixed hash, so the split does not depend on a seed.
    """
    mixed = (first * 0x9E3779B1) ^ (second * 0x85EBCA6B)  # odd multipliers spread the low bits
    return (mixed >> 15) % 12 == 0


def key_of(text: str) -> int:
    return crc32(text.encode()) >> 4


class Lexicon:
    """All words of the world. `word(form)` looks a form up; the other attributes are lists."""

    def __init__(self) -> None:
        self.forms: dict[str, Word] = {}
        self.function_forms: list[str] = []
        for row in read_table("function_words"):
            self._add(row["form"], row["pos"], row["number"], row["gender"])
            self.function_forms.append(row["form"])
        self.nouns = [self._noun(row) for row in read_table("nouns")]
        self.verbs = [self._verb(row) for row in read_table("verbs")]
        self.adjectives: dict[tuple[str, str], list[Word]] = defaultdict(list)
        for row in read_table("adjectives"):
            word = self._add(row["form"], "ADJ", topic=row["topic"])
            self.adjectives[row["class"], row["topic"]].append(word)
        self.adverbs: dict[str, list[Word]] = defaultdict(list)
        for row in read_table("adverbs"):
            self.adverbs[row["class"]].append(self._add(row["form"], "ADV"))
        self.names = [
            Name(self._add(row["name"], "PROPN", "sg", row["gender"]), row["gender"],
                 key_of(row["name"]))
            for row in read_table("names")
        ]  # fmt: skip
        self.countries = read_table("countries")
        for row in self.countries:
            for column in ("country", "capital", "language", "continent"):
                self._add(row[column], "PROPN", "sg")
            self._add(row["currency"], "NOUN", "sg")
        self.cities = [self._add(row["city"], "PROPN", "sg") for row in read_table("cities")]
        self.occupations = {
            row["occupation"]: float(row["female_rate"]) for row in read_table("occupations")
        }
        self.events = [
            (self._add(row["event"], "NOUN", "sg"), self._add(row["verb"], "VERB"))
            for row in read_table("events")
        ]
        self.sounds = [
            tuple(self._add(row[column], pos) for column, pos in
                  (("noun", "NOUN"), ("stop_gerund", "VERB"), ("see_gerund", "VERB")))
            for row in read_table("sounds")
        ]  # fmt: skip
        for number in range(100):
            self._add(f"{number:02d}", "NUM")
        self._group()

    def _add(self, form: str, pos: str, number="-", gender="-", lemma="", topic="-") -> Word:
        """The word of this spelling, made at its first mention; later mentions share it."""
        if form not in self.forms:
            self.forms[form] = Word(form, pos, number, gender, lemma or form, topic)
        return self.forms[form]

    def _noun(self, row: dict[str, str]) -> Noun:
        forms = [
            self._add(row[column], "NOUN", number, row["gender"], row["singular"], row["topic"])
            for column, number in (("singular", "sg"), ("plural", "pl"))
        ]
        return Noun(*forms, row["class"], row["gender"], row["topic"], row["irregular"] == "1",
                    key_of(row["singular"]))  # fmt: skip

    def _verb(self, row: dict[str, str]) -> Verb:
        numbers = {"base": "pl", "third": "sg"}
        forms = [
            self._add(row[column], "VERB", numbers.get(column, "-"), "-", row["base"], row["topic"])
            for column in ("base", "third", "past", "participle", "gerund")
        ]
        return Verb(*forms, row["frame"], row["topic"], row["irregular"] == "1",
                    key_of(row["base"]))  # fmt: skip

    def _group(self) -> None:
        self.nouns_by: dict[tuple[str, str], list[Noun]] = defaultdict(list)
        self.verbs_by: dict[tuple[str, str], list[Verb]] = defaultdict(list)
        for noun in self.nouns:
            self.nouns_by[noun.kind, noun.topic].append(noun)
        for verb in self.verbs:
            self.verbs_by[verb.frame, verb.topic].append(verb)
        self.noun_of = {noun.singular.form: noun for noun in self.nouns}
        self.verb_of = {verb.base.form: verb for verb in self.verbs}
        self.names_by = {g: [name for name in self.names if name.gender == g] for g in "fm"}

    def word(self, form: str) -> Word:
        """The word spelled `form`; KeyError for a form outside the course world."""
        return self.forms[form]

    @cached_property
    def capitalised(self) -> dict[Word, Word]:
        """The sentence-initial form of every word that is written in lower case."""
        return {
            word: Word(form[0].upper() + form[1:], word.pos, word.number, word.gender,
                       word.lemma, word.topic)
            for form, word in self.forms.items()
            if form[0].islower()
        }  # fmt: skip


LEXICON = Lexicon()
