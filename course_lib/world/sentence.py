"""Words, sentences and documents of the course world, with their gold annotation.

A sentence is a list of words. Beside each word stand the index of its syntactic head and the
number of the entity it refers to; everything else (part of speech, number, gender) belongs to the
word itself. Nothing here draws random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

NO_SPACE_BEFORE = frozenset({".", ",", "?", ":", "'s"})


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """One word form: spelling, part of speech, number (sg, pl or -) and gender (m, f, n or -)."""

    form: str
    pos: str
    number: str = "-"
    gender: str = "-"
    lemma: str = ""
    topic: str = "-"


def render(forms: list[str]) -> str:
    """Write a list of forms as text: no space before punctuation or inside a four-digit year.

    Examples
    --------
    >>> render(["The", "war", "lasted", "from", "17", "41", "to", "17", "63", "."])
    'The war lasted from 1741 to 1763.'
    """
    pieces: list[str] = []
    glue_digits = False
    for position, form in enumerate(forms):
        two_digits = len(form) == 2 and form.isdigit()
        joined = form in NO_SPACE_BEFORE or (two_digits and glue_digits)
        if position and not joined:
            pieces.append(" ")
        pieces.append(form)
        glue_digits = two_digits and not glue_digits
    return "".join(pieces)


@dataclass(slots=True)
class Sentence:
    """One generated sentence.

    Attributes
    ----------
    words_: the `Word` objects; `heads`: index of each word's syntactic head, -1 for the root;
    `entities`: entity number of each word within the document, 0 for words that refer to nothing;
    `topic`: topic of the document; `construction`: name of the rule that made the sentence.
    """

    words_: list[Word]
    heads: list[int]
    entities: list[int]
    topic: str
    construction: str
    facts: dict = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(word.form for word in self.words_)

    @property
    def pos(self) -> tuple[str, ...]:
        return tuple(word.pos for word in self.words_)

    @property
    def number(self) -> tuple[str, ...]:
        return tuple(word.number for word in self.words_)

    @property
    def gender(self) -> tuple[str, ...]:
        return tuple(word.gender for word in self.words_)

    @property
    def text(self) -> str:
        return render([word.form for word in self.words_])


@dataclass(slots=True)
class Document:
    """A topic and the sentences that share it."""

    topic: str
    sentences: list[Sentence]

    @property
    def words(self) -> list[str]:
        return [word.form for sentence in self.sentences for word in sentence.words_]

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)
