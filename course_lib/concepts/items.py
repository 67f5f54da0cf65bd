"""Sentences for amnesic probing: agreement, with several other properties drawn independently.

    Judith will sleep. The doctors behind the cabinet [smile / smiles] .

All that differs between the sentences is drawn on its own: the number of the subject, number and
kind of the noun before the verb, the preposition, and what the sentence before is about. So a
direction for one property is no direction for another by correlation alone. By the grammar only
the first decides the verb; the truth about use is known before any measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from course_lib.world.lexicon import LEXICON, TOPICS
from course_lib.world.phrases import FORMS, Speaker, finish, join
from course_lib.world.sentence import render

PROPERTIES = {
    "subject number": "decides the verb",
    "attractor number": "number of the noun before the verb, which is not the subject",
    "attractor kind": "is that noun a person, a thing or a place?",
    "preposition": "the word between the two nouns",
    "previous gender": "is the sentence before about a man or a woman?",
    "previous tense": "'will sleep' or 'had slept' in the sentence before",
}
ITEM_PREPOSITIONS = ("near", "behind", "beside")  # those that go with every kind of noun
NUMBERS = ("sg", "pl")


@dataclass(frozen=True)
class Item:
    """A text up to the verb, the right form of the verb, the other one, and what follows.

    `properties` has a value for each name in `PROPERTIES`.
    """

    before: str
    right: str
    wrong: str
    after: str
    properties: dict[str, str]


def agreement_items(n: int = 600, seed: int = 0) -> list[Item]:
    """Draw n items; subject and verb are combinations that training text never has.

    Examples
    --------
    >>> item = agreement_items(1)[0]
    >>> item.properties["subject number"] in ("sg", "pl")
    True
    """
    if n < 1:
        raise ValueError(f"At least one item is needed, got n={n}.")
    return [_item(Speaker(f"amnesic:{seed}:{k}", TOPICS[k % len(TOPICS)], True)) for k in range(n)]


def _item(d: Speaker) -> Item:
    name, earlier, future = d.name(), d.verb("intrans"), d.chance(0.5)
    said = ("will", earlier.base) if future else ("had", earlier.participle)  # of one length
    first = finish(join(1, d.np(name), *said), d.topic, "simple")
    noun, verb = d.pair("intrans", "person")
    number, other, kind = (d.pick(x) for x in (NUMBERS, NUMBERS, ("person", "thing", "place")))
    near = d.pick(ITEM_PREPOSITIONS)
    subject = d.np(noun, number, det="the", adjective=False)
    attractor = d.np_of(kind, other, det="the", adjective=False)
    words = join(0, subject, FORMS[near], attractor).words
    # "the" begins the sentence
    forms = [LEXICON.capitalised[words[0]].form, *(word.form for word in words[1:])]
    pair = {"sg": verb.third.form, "pl": verb.base.form}
    right, wrong = pair[number], pair["pl" if number == "sg" else "sg"]
    # in the order of PROPERTIES
    values = (number, other, kind, near, name.gender, "will" if future else "had")
    return Item(
        f"{first.text} {render(forms)}", right, wrong, ".",
        dict(zip(PROPERTIES, values, strict=True)),
    )  # fmt: skip


def item_labels(items: list[Item], concept: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The class of each item for one property, int [N], and the names of the classes.

    Raises
    ------
    ValueError
        For a name that is not in `PROPERTIES`.

    Examples
    --------
    >>> item_labels(agreement_items(12), "preposition")[1]
    ('behind', 'beside', 'near')
    """
    if concept not in PROPERTIES:
        raise ValueError(f"Unknown property {concept!r}. Choose one of {', '.join(PROPERTIES)}.")
    values = [item.properties[concept] for item in items]
    classes = tuple(sorted(set(values)))
    return np.array([classes.index(value) for value in values]), classes
