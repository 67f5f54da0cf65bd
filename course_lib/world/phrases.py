"""Phrases and the speaker who draws them.

`join` is the whole syntax: it strings parts together and lets every part depend on one of them.
A `Speaker` holds the random generator, the topic of the document and the side of the
train/evaluation split, and draws nouns, verbs and noun phrases that respect all three.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

from course_lib.world.lexicon import LEXICON, Name, Noun, Verb, held_out
from course_lib.world.sentence import Sentence, Word

FORMS = LEXICON.forms
# Between the parts of a clause `that` opens a clause; the determiner comes with its noun phrase.
CLAUSE_FORMS = FORMS | {"that": Word("that", "SCONJ", lemma="that")}


class Weights:
    """Items with weights, ready to be drawn from."""

    def __init__(self, **weights: float) -> None:
        self.items = tuple(weights)
        self.totals = tuple(accumulate(weights.values()))


class Phrase:
    """Words with relative heads; `root` is the word the rest hangs from.

    A noun phrase also carries number, gender, the `key` of its noun and its entity number.
    """

    __slots__ = ("words", "heads", "entities", "root", "number", "gender", "key", "entity")

    def __init__(self, words, heads, entities, root, number="-", gender="-", key=0, entity=0):
        self.words, self.heads, self.entities, self.root = words, heads, entities, root
        self.number, self.gender, self.key, self.entity = number, gender, key, entity


Part = Phrase | Word | str | None


def join(root: int, *parts: Part, like: Phrase | None = None) -> Phrase:
    """Concatenate `parts`; the roots of all of them depend on the root of `parts[root]`.

    Strings are function words, None is left out. `like` passes on the features of a noun phrase.
    """
    words: list[Word] = []
    heads: list[int] = []
    entities: list[int] = []
    roots: list[int] = []
    top = 0
    for position, part in enumerate(parts):
        if part is None:
            continue
        start = len(words)
        if part.__class__ is Phrase:
            words += part.words
            heads += [head + start if head >= 0 else -1 for head in part.heads]
            entities += part.entities
            own_root = start + part.root
        else:
            words.append(CLAUSE_FORMS[part] if part.__class__ is str else part)
            heads.append(-1)
            entities.append(0)
            own_root = start
        if position == root:
            top = own_root
        else:
            roots.append(own_root)
    for other in roots:
        heads[other] = top
    if like is None:
        return Phrase(words, heads, entities, top)
    return Phrase(words, heads, entities, top, like.number, like.gender, like.key, like.entity)


def finish(phrase: Phrase, topic: str, construction: str, end: str = ".", **facts) -> Sentence:
    """Capitalise the first word, add the final punctuation and make a `Sentence` of it."""
    whole = join(0, phrase, end)
    whole.words[0] = LEXICON.capitalised.get(whole.words[0], whole.words[0])
    return Sentence(whole.words, whole.heads, whole.entities, topic, construction, facts)


SOUNDS_LIKE_CONSONANT = ("uni", "eu", "one", "use", "ukulele")
SOUNDS_LIKE_VOWEL = ("hour", "honest", "heir")


def article(next_word: Word) -> str:
    form = next_word.form.lower()
    if form.startswith(SOUNDS_LIKE_VOWEL):
        return "an"
    return "an" if form[0] in "aeiou" and not form.startswith(SOUNDS_LIKE_CONSONANT) else "a"


DETERMINERS = {
    "sg": Weights(the=50, a=22, this=8, that=8, every=4, each=3),
    "pl": Weights(the=50, these=8, those=8, some=8, many=6, several=5, few=2, most=4, all=3,
                  two=4, three=3, four=2, five=2, six=1),
}  # fmt: skip


class Speaker:
    """Draws words and phrases.

    Parameters
    ----------
    seed: seed of the random generator.
    topic: one of `TOPICS`; nouns, verbs and adjectives lean towards it.
    evaluation: True draws subject-verb combinations that training never uses, False avoids them.

    Attributes
    ----------
    cast: the people a long document is about; four of five names in it are theirs.
    """

    def __init__(self, seed: int | str, topic: str, evaluation: bool = False) -> None:
        self.rng = random.Random(seed)
        self.evaluation = evaluation
        self.entities = 0
        self.subject: Phrase | None = None
        self.cast: Sequence[Name] = ()
        self.topic = topic

    # ---------------------------------------------------------------- single draws
    def pick(self, items: Sequence):
        return items[int(self.rng.random() * len(items))]

    def sample(self, items: Sequence, k: int) -> list:
        return self.rng.sample(items, k)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def weighted(self, table: Weights):
        return table.items[bisect(table.totals, self.rng.random() * table.totals[-1])]

    def number(self) -> str:
        return "sg" if self.chance(0.55) else "pl"

    def person(self) -> Noun:
        topic = self.topic if self.chance(0.55) else "-"
        return self.pick(LEXICON.nouns_by["person", topic])

    def animate(self) -> Noun:
        if self.topic == "animals" and self.chance(0.5):
            return self.pick(LEXICON.nouns_by["animal", "animals"])
        return self.person()

    def thing(self) -> Noun:
        topic = self.topic if self.chance(0.8) else "-"
        return self.pick(LEXICON.nouns_by["thing", topic])

    def place(self) -> Noun:
        topic = self.topic if self.chance(0.4) else "-"
        return self.pick(LEXICON.nouns_by["place", topic] or LEXICON.nouns_by["place", "-"])

    def name(self) -> Name:
        return self.pick(self.cast if self.cast and self.chance(0.8) else LEXICON.names)

    def verb(self, frame: str) -> Verb:
        topic = "-"
        if frame == "trans_thing" and self.chance(0.65):
            topic = self.topic
        elif frame == "that":
            frame = "clause" if self.chance(0.6) else "both"
        elif frame == "wh":
            frame = "question" if self.chance(0.25) else "both"
        return self.pick(LEXICON.verbs_by[frame, topic])

    def allowed(self, first: int, second: int) -> bool:
        """Is this combination on our side of the split?"""
        return held_out(first, second) == self.evaluation

    def pair(self, frame: str, subject: str = "any") -> tuple[Noun | Name, Verb]:
        """A subject (person, animate, thing, name, any) and a verb, from our side of the split."""
        while True:
            kind = subject
            if kind == "any":
                kind = "name" if self.chance(0.3) else "person"
            noun = getattr(self, kind)()
            verb = self.verb(frame)
            if self.allowed(noun.key, verb.key):
                return noun, verb

    # ---------------------------------------------------------------- noun phrases
    def new_entity(self) -> int:
        self.entities += 1
        return self.entities

    def adjective(self, noun: Noun) -> Word:
        if noun.kind in ("person", "animal"):
            return self.pick(LEXICON.adjectives["person", "-"])
        topical = LEXICON.adjectives["thing", noun.topic]
        if topical and self.chance(0.4):
            return self.pick(topical)
        return self.pick(LEXICON.adjectives["thing", "-"])

    def np(self, noun: Noun | Name, number: str = "sg", det: str | None = None,
           adjective: Word | bool | None = None) -> Phrase:  # fmt: skip
        """A noun phrase: determiner, perhaps an adjective, noun; or a bare name."""
        entity = self.new_entity()
        if noun.__class__ is Name:
            return Phrase([noun.word], [-1], [entity], 0, "sg", noun.gender, noun.key, entity)
        form = noun.singular if number == "sg" else noun.plural
        if adjective is None:
            adjective = self.chance(0.15)
        if adjective is True:
            adjective = self.adjective(noun)
        if det is None:
            det = self.weighted(DETERMINERS[number])
        words = [form]
        if adjective:
            words.insert(0, adjective)
        if det == "a":
            det = article(words[0])
        if det:
            words.insert(0, FORMS[det])
        last = len(words) - 1
        heads = [last] * last + [-1]
        gender = noun.gender if number == "sg" else "-"
        if noun.kind == "person" and gender == "n":  # this doctor is a man or a woman
            female = LEXICON.occupations.get(noun.singular.form, 0.5)
            gender = "f" if self.chance(female) else "m"
        return Phrase(words, heads, [entity] * (last + 1), last, number, gender, noun.key, entity)

    def np_of(self, kind: str, number: str | None = None, **options) -> Phrase:
        """A noun phrase with a noun of this kind (person, thing, place, animate or name)."""
        return self.np(getattr(self, kind)(), number or self.number(), **options)

    def modified(self, phrase: Phrase, modifier: Phrase) -> Phrase:
        """The noun phrase followed by a modifier that depends on its noun."""
        return join(0, phrase, modifier, like=phrase)

    def pp(self, number: str | None = None, kind: str | None = None) -> Phrase:
        kind = kind or self.pick(("person", "thing", "place"))
        preposition = self.pick(PREPOSITIONS[kind])
        return join(0, preposition, self.np_of(kind, number))

    def reflexive(self, antecedent: Phrase, number: str = "", gender: str = "") -> Phrase:
        """The reflexive that agrees with the antecedent, or the one asked for."""
        form = reflexive_form(number or antecedent.number, gender or antecedent.gender)
        return Phrase([FORMS[form]], [-1], [antecedent.entity], 0)


PREPOSITIONS = {
    "person": ("near", "behind", "beside", "with"),
    "thing": ("near", "behind", "beside", "under", "above", "with", "on"),
    "place": ("near", "behind", "beside", "in", "at"),
}


def reflexive_form(number: str, gender: str) -> str:
    if number == "pl":
        return "themselves"
    return {"m": "himself", "f": "herself"}.get(gender, "itself")


# ---------------------------------------------------------------------- verb groups
TENSES = Weights(past=34, present=24, past_progressive=10, present_progressive=8, perfect=12,
                 pluperfect=4, modal=8)  # fmt: skip
AGREEING = Weights(present=40, past_progressive=20, present_progressive=20, perfect=20)
MODALS = ("will", "can", "might", "must", "should")
SINGULAR = {"present": "does", "past_progressive": "was", "present_progressive": "is",
            "perfect": "has", "past": "did", "pluperfect": "had"}  # fmt: skip
PLURAL = {"present": "do", "past_progressive": "were", "present_progressive": "are",
          "perfect": "have", "past": "did", "pluperfect": "had"}  # fmt: skip


def verb_group(verb: Verb, number: str, tense: str, *, negated: bool = False, modal: str = "will",
               adverb: Word | str | None = None) -> Phrase:  # fmt: skip
    """The finite verb with its auxiliaries, agreeing with `number`; the lexical verb is the root.

    Examples
    --------
    >>> group = verb_group(LEXICON.verb_of["admire"], "pl", "perfect", negated=True)
    >>> [word.form for word in group.words]
    ['have', 'not', 'admired']
    """
    negation = "not" if negated else None
    if tense == "past" and not negated:
        return join(1, adverb, verb.past)
    if tense == "present" and not negated:
        return join(1, adverb, verb.third if number == "sg" else verb.base)
    if tense == "modal":
        auxiliary = modal
    else:
        auxiliary = (SINGULAR if number == "sg" else PLURAL)[tense]
    lexical = verb.base
    if "progressive" in tense:
        lexical = verb.gerund
    elif "perfect" in tense:
        lexical = verb.participle
    return join(3, auxiliary, negation, adverb, lexical)
