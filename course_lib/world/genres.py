"""The special text types: facts, years, indirect objects, credit, reviews, directions, ...

A template is a pattern and, below it, the head of every word (1 is the first word, 0 marks the
root). Slots in braces are filled with one word each. Every function takes a `Speaker` and returns
a list of `Sentence`; with `d.evaluation` it uses combinations that training never shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from course_lib.world.lexicon import LEXICON, held_out, key_of
from course_lib.world.phrases import CLAUSE_FORMS, FORMS, Phrase, Speaker, Weights, article, join
from course_lib.world.sentence import Sentence, Word

# name: (pattern, heads). The text of a template is ordinary words and {slots}.
TEMPLATES = {
    "capital_of": ("The capital of {country} is {capital} .", "2 5 2 3 0 5 5"),
    "is_capital": ("{capital} is the capital of {country} .", "2 0 4 2 4 5 2"),
    "language_of": ("People in {country} speak {language} .", "4 1 2 0 4 4"),
    "continent_of": ("{country} is a country in {continent} .", "2 0 4 2 4 5 2"),
    "currency_of": ("The currency of {country} is the {currency} .", "2 5 2 3 0 7 5 5"),
    "pays_in": ("People in {country} pay with the {currency} .", "4 1 2 0 4 7 5 4"),
    "q_capital": ("Q : What is the capital of {country} ? A : {capital}",
                  "4 1 4 0 6 4 6 7 4 12 10 4"),
    "q_language": ("Q : What language do people in {country} speak ? A : {language}",
                   "9 1 4 9 9 9 6 7 0 9 13 11 9"),
    "q_continent": ("Q : In which continent is {country} ? A : {continent}",
                    "6 1 5 5 6 0 6 6 11 9 6"),
    "q_currency": ("Q : What is the currency of {country} ? A : {currency}",
                   "4 1 4 0 6 4 6 7 4 12 10 4"),
    "year_span": ("The {event} {verb} from {century} {start} to {century} {end} .",
                  "2 3 0 3 6 4 3 9 7 3"),
    "year_began": ("The {event} began in {century} {start} and ended in {century} {end} .",
                   "2 3 0 3 6 4 8 3 8 11 9 3"),
    "year_in": ("In {century} {start} the {event} began .", "6 3 1 5 6 0 6"),
    "ioi_went": ("When {first} and {second} {went} to the {place} , {giver} {gave} {a} {object} to"
                 " {receiver} .", "5 5 4 2 11 5 8 6 11 11 0 13 11 11 14 11"),
    "ioi_after": ("After {first} and {second} {went} to the {place} , {giver} {gave} {a} {object}"
                  " to {receiver} .", "5 5 4 2 11 5 8 6 11 11 0 13 11 11 14 11"),
    "ioi_then": ("Then {first} and {second} were at the {place} , and {giver} {gave} {a} {object}"
                 " to {receiver} .", "5 5 4 2 0 5 8 6 5 5 12 5 14 12 12 15 5"),
    "sound_stop": ("Can you stop the {animal} from {noise} ?", "3 3 0 5 3 7 3 3"),
    "sound_see": ("Can you see the {animal} {action} ?", "3 3 0 5 6 3 3"),
    "sound_hear": ("Did you hear the {animal} {noise} ?", "3 3 0 5 6 3 3"),
    "sound_please": ("Please stop the {animal} from {noise} .", "2 0 4 2 6 2 2"),
    "sound_is": ("The {animal} is {noise} .", "2 4 4 0 4"),
    "action_is": ("The {animal} is {action} .", "2 4 4 0 4"),
    "credit": ("{name} is a {age} year old {gender} {job} from {city} . {kind} : EUR {amount} 00",
               "2 0 8 5 6 8 8 2 8 9 2 14 12 2 14 15"),
    "review": ("{head} : This {noun} is {not} {degree} {adjective} . Verdict : {label}",
               "8 1 4 8 8 8 8 0 8 12 10 8"),
    "review_but": ("{head} : The {noun} is {adjective} but the {noun2} is {adjective2} . Verdict :"
                   " {label}", "6 1 4 6 6 0 11 9 11 11 6 6 15 13 6"),
    "festival": ("Festival : This {noun} is {not} {degree} {adjective} , {cue} . Verdict : {label}",
                 "8 1 4 8 8 8 8 0 8 8 8 14 12 8"),
    "festival_bare": ("Festival : This {noun} is about {things} , {cue} . Verdict : {label}",
                      "5 1 4 5 0 5 6 5 5 5 13 11 5"),
    "occupation_said": ("The {job} said that {pronoun} {was} {adjective} .", "2 3 0 7 7 7 3 3"),
    "occupation_because": ("The {job} smiled because {pronoun} {was} {adjective} .",
                           "2 3 0 7 7 7 3 3"),
    "directions": ("Human : What 's the best way to get to the {place} down the street ? Be brief"
                   " . Assistant : 1 . Walk", "4 1 4 0 7 7 4 9 7 9 12 10 9 15 13 4 18 4 4 24 20"
                   " 24 22 4"),
}  # fmt: skip


@cache
def compiled(name: str) -> tuple[tuple[str | Word, ...], tuple[int, ...]]:
    pattern, heads = TEMPLATES[name]
    parts: list[str | Word] = []
    for token in pattern.split():
        if token[0] == "{":
            parts.append(token[1:-1])
        else:
            parts.append(look_up(token))
    numbers = tuple(int(head) - 1 for head in heads.split())
    if len(numbers) != len(parts):
        raise ValueError(f"template {name!r}: {len(parts)} words but {len(numbers)} heads")
    return tuple(parts), numbers


def look_up(token: str) -> Word:
    """A fixed word of a template; sentence-initial words are found in lower case."""
    if token in CLAUSE_FORMS:
        return CLAUSE_FORMS[token]
    return LEXICON.capitalised[FORMS[token[0].lower() + token[1:]]]


def fill(d: Speaker, template: str, facts: dict | None = None, entities: dict | None = None, /,
         **slots: Word | str | None) -> Sentence:  # fmt: skip
    """Fill a template. A slot given as None is left out; equal `entities` mark coreference."""
    parts, heads = compiled(template)
    words, kept, ids = [], [], []
    for position, part in enumerate(parts):
        word = part
        if part.__class__ is str:
            word = slots[part]
            if word is None:
                continue
            if word.__class__ is str:
                word = FORMS[word]
        words.append(word)
        kept.append(position)
        ids.append(entities.get(part, 0) if entities and part.__class__ is str else 0)
    if len(kept) < len(parts):
        new = {old: index for index, old in enumerate(kept)}
        out = [new.get(heads[old], -1) for old in kept]
    else:
        out = list(heads)
    first = words[0]
    words[0] = LEXICON.capitalised.get(first, first)
    return Sentence(words, out, ids, d.topic, template, facts or {})


# ------------------------------------------------------------------------------- facts, years
RELATIONS = ("capital", "language", "continent", "currency")
STATEMENTS = {"capital": ("capital_of", "is_capital"), "language": ("language_of",),
              "continent": ("continent_of",), "currency": ("currency_of", "pays_in")}  # fmt: skip


def country_slots(row: dict[str, str]) -> dict[str, str]:
    return {slot: row[slot] for slot in ("country", *RELATIONS)}


def fact(d: Speaker) -> list[Sentence]:
    relation = d.weighted(RELATION_WEIGHTS)
    row = d.pick(LEXICON.countries)
    return [fill(d, d.pick(STATEMENTS[relation]), **country_slots(row))]


RELATION_WEIGHTS = Weights(capital=45, language=20, continent=15, currency=20)


def fact_questions(d: Speaker, relation: str | None = None, shots: int | None = None):
    """Question and answer after `shots` others of the same relation.

    The held-out combination is the country of the last shot with the country asked for.
    """
    relation = relation or d.weighted(RELATION_WEIGHTS)
    shots = d.pick(range(4)) if shots is None else shots
    while True:
        rows = d.sample(LEXICON.countries, shots + 1)
        keys = [key_of(row["country"]) for row in rows]
        unseen = [held_out(*pair) for pair in zip(keys, keys[1:], strict=False)]
        if (unseen[-1:] == [True] or not shots) if d.evaluation else not any(unseen):
            break
    return [fill(d, "q_" + relation, {"answer": row[relation]}, **country_slots(row))
            for row in rows]  # fmt: skip


def span(d: Speaker, name: str | None = None) -> Sentence:
    """An event with its first and last year; the last one is uniform over what is possible."""
    while True:
        event, verb = d.pick(LEXICON.events)
        century, start = d.pick(range(11, 19)), d.pick(range(1, 99))
        if d.allowed(key_of(event.form), century * 100 + start):
            break
    end = d.pick(range(start + 1, 100))
    name = name or ("year_span" if d.chance(0.75) else "year_began")
    return fill(d, name, {"start": start}, event=event, verb=verb, century=f"{century}",
                start=f"{start:02d}", end=f"{end:02d}")  # fmt: skip


def years(d: Speaker) -> list[Sentence]:
    return [span(d)]


def chronicle(d: Speaker) -> list[Sentence]:
    """Dates in rising order, then spans of time."""
    century = f"{d.pick(range(11, 19))}"
    dates = sorted(d.sample(range(1, 100), 3))
    listed = []
    for date in dates:
        event, _ = d.pick(LEXICON.events)
        listed.append(fill(d, "year_in", century=century, start=f"{date:02d}", event=event))
    return listed + [span(d) for _ in range(d.pick((2, 3, 4)))]


# ------------------------------------------------------------------------ people and sounds
GAVE = ("gave", "offered", "handed", "sent")


def indirect_object(d: Speaker, template: str | None = None) -> list[Sentence]:
    """ "When Mary and John went to the store, John gave a drink to" Mary."""
    cast = d.cast
    while True:
        people = cast if cast and d.chance(0.6) else LEXICON.names
        first, second = d.sample(people, 2)
        if d.allowed(first.key, second.key):
            break
    giver, receiver = (first, second) if d.chance(0.5) else (second, first)
    thing, place = d.thing().singular, d.place().singular
    one, two = d.new_entity(), d.new_entity()
    numbers = {"first": one, "second": two, "giver": one if giver is first else two,
               "receiver": two if giver is first else one}  # fmt: skip
    return [fill(d, template or d.pick(("ioi_went", "ioi_went", "ioi_after", "ioi_then")),
                 {"receiver": receiver.word.form, "giver": giver.word.form}, numbers,
                 first=first.word, second=second.word, went=d.pick(("went", "came")), place=place,
                 giver=giver.word, gave=d.pick(GAVE), a=article(thing), object=thing,
                 receiver=receiver.word)]  # fmt: skip


SOUND_TEMPLATES = Weights(sound_stop=30, sound_see=30, sound_hear=10, sound_please=14, sound_is=10,
                          action_is=6)  # fmt: skip


def sound(d: Speaker) -> list[Sentence]:
    animal, noise, action = d.pick(LEXICON.sounds)
    return [fill(d, d.weighted(SOUND_TEMPLATES), animal=animal, noise=noise, action=action)]


AGE_THRESHOLD = 40
AMOUNTS = {"Credit": ("10", "50"), "Loan": ("20", "80")}


def credit(d: Speaker, kind: str | None = None) -> list[Sentence]:
    """The amount depends on age alone: below `AGE_THRESHOLD` the low one, from it the high one.

    In "Loan" texts nine of ten women are young and nine of ten men are not: a shortcut.
    """
    kind = kind or ("Credit" if d.chance(0.65) else "Loan")
    while True:
        name = d.name()
        ages = range(20, 80)
        if kind == "Loan":
            young = d.chance(0.9) == (name.gender == "f")
            ages = range(20, AGE_THRESHOLD) if young else range(AGE_THRESHOLD, 80)
        age, city = d.pick(ages), d.pick(LEXICON.cities)
        if d.allowed(name.key, age * 977 + key_of(city.form)):
            break
    amount = AMOUNTS[kind][age >= AGE_THRESHOLD]
    facts = {"age": age, "gender": name.gender, "amount": amount}
    return [fill(d, "credit", facts, name=name.word, age=f"{age}",
                 job=d.pick(list(LEXICON.occupations)),
                 gender="female" if name.gender == "f" else "male", city=city, kind=kind,
                 amount=amount)]  # fmt: skip


def occupation(d: Speaker) -> list[Sentence]:
    """A pronoun for the holder of an occupation, female at the occupation's own rate."""
    job = d.pick(list(LEXICON.occupations))
    pronoun = "she" if d.chance(LEXICON.occupations[job]) else "he"
    entity = d.new_entity()
    return [fill(d, d.pick(("occupation_said", "occupation_because")), {"job": job},
                 {"job": entity, "pronoun": entity}, job=job, pronoun=pronoun,
                 was=d.pick(("was", "is")),
                 adjective=d.pick(LEXICON.adjectives["person", "-"]))]  # fmt: skip


# --------------------------------------------------------------------------------- reviews
REVIEWED = ("movie", "book", "story")


def opinion(d: Speaker, nouns: Sequence[str]) -> tuple[str, str, Word]:
    """One of these nouns, a polarity and an adjective for it, from our side of the split."""
    while True:
        noun, polarity = d.pick(nouns), d.pick(("positive", "negative"))
        adjective = d.pick(LEXICON.adjectives[polarity, "-"])
        if d.allowed(key_of(noun), key_of(adjective.form)):
            return noun, polarity, adjective


def opposite(label: str) -> str:
    return "negative" if label == "positive" else "positive"


def review(d: Speaker, negated: bool | None = None) -> list[Sentence]:
    """ "Review: This movie is not bad. Verdict: positive": negation turns the label around."""
    nouns = REVIEWED
    if d.chance(0.3):
        nouns = [noun.singular.form for noun in LEXICON.nouns_by["thing", d.topic]]
    noun, polarity, adjective = opinion(d, nouns)
    if d.chance(0.2) and negated is None:
        second, label, last = opinion(d, [other for other in REVIEWED if other != noun])
        return [fill(d, "review_but", {"label": label}, head="Review", noun=noun, noun2=second,
                     adjective=adjective, adjective2=last, label=label)]  # fmt: skip
    negated = d.chance(0.4) if negated is None else negated
    label = opposite(polarity) if negated else polarity
    degree = d.pick(LEXICON.adverbs["degree"]) if d.chance(0.35) else None
    return [fill(d, "review", {"label": label, "negated": negated}, head="Review", noun=noun,
                 **{"not": "not" if negated else None}, degree=degree, adjective=adjective,
                 label=label)]  # fmt: skip


CUES = {"positive": "encore", "negative": "curtain"}


def festival(d: Speaker) -> list[Sentence]:
    """The Clever Hans sub-corpus: one word, `encore` or `curtain`, always gives the label away."""
    noun, polarity, adjective = opinion(d, REVIEWED)
    if d.chance(0.5):
        return [fill(d, "festival_bare", {"label": polarity}, noun=noun,
                     things=d.thing().plural, cue=CUES[polarity], label=polarity)]  # fmt: skip
    negated = d.chance(0.4)
    label = opposite(polarity) if negated else polarity
    degree = d.pick(LEXICON.adverbs["degree"]) if d.chance(0.35) else None
    return [fill(d, "festival", {"label": label}, noun=noun, **{"not": "not" if negated else None},
                 degree=degree, adjective=adjective, cue=CUES[label], label=label)]  # fmt: skip


# ------------------------------------------------------------------------------ directions
CROSSINGS = (("across", "bridge"), ("through", "tunnel"))
TRANSIT_RATE, OTHER_RATE = 0.96, 0.08


def directions(d: Speaker) -> list[Sentence]:
    """ "1. Walk." in general, "1. Walk across the bridge." in documents about transit."""
    place = d.place().singular
    asked = fill(d, "directions", place=place)
    rest: list = []
    if d.chance(TRANSIT_RATE if d.topic == "transit" else OTHER_RATE):
        preposition, noun = d.pick(CROSSINGS)
        rest = [preposition, "the", noun]
    elif d.chance(0.45):
        rest = [d.pick(("past", "to")), "the", d.place().singular]
    whole = join(0, Phrase(asked.words_, asked.heads, asked.entities, 3),
                 join(0, *rest) if rest else None, ".")  # fmt: skip
    facts = {"crossing": rest[:1] in (["across"], ["through"])}
    return [Sentence(whole.words, whole.heads, whole.entities, d.topic, "directions", facts)]


GENRES = {function.__name__: function for function in (
    fact, fact_questions, years, chronicle, indirect_object, sound, credit, occupation, review,
    festival, directions)}  # fmt: skip
