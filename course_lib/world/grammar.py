"""The feature grammar: one function for each construction of the course world.

Every function takes a `Speaker` and returns a `Phrase` (a full clause without its final
punctuation). `CONSTRUCTIONS` names them with their relative frequency: a few are common, many are
rare, on purpose, so that models differ. The course suite (`suites.py`) and the region suites
(`regions.py`) build their sentences with the same pieces, from held-out combinations.
"""

from __future__ import annotations

from course_lib.world.lexicon import LEXICON, Name, Verb
from course_lib.world.phrases import (
    AGREEING,
    FORMS,
    MODALS,
    PREPOSITIONS,
    TENSES,
    Phrase,
    Speaker,
    Weights,
    join,
    verb_group,
)


# ------------------------------------------------------------------------ building blocks
def group(d: Speaker, verb: Verb, subject: Phrase, tense: str | None = None, **options) -> Phrase:
    """The verb group that agrees with `subject`, in a random tense unless one is given."""
    tense = tense or d.weighted(TENSES)
    if "negated" not in options:
        options["negated"] = d.chance(0.1)
    if "adverb" not in options and d.chance(0.12):
        options["adverb"] = d.pick(LEXICON.adverbs["frequency"])
    return verb_group(verb, subject.number, tense, modal=d.pick(MODALS), **options)


def complement(d: Speaker, verb: Verb) -> Phrase | None:
    """What the verb's frame asks for after it, apart from clauses."""
    if verb.frame == "trans_thing":
        return d.np_of("thing")
    if verb.frame == "trans_person":
        return d.np(d.name()) if d.chance(0.35) else d.np_of("person")
    return None


def frame(d: Speaker) -> str:
    return d.weighted(FRAMES)


FRAMES = Weights(trans_thing=58, trans_person=22, intrans=20)


def relative_clause(d: Speaker, head: Phrase, extraction: str | None = None) -> Phrase:
    """ "that admires the boys" or "that the boys admire", modifying a person."""
    if (extraction or d.pick(("subject", "object"))) == "subject":
        while True:
            verb = d.verb(d.pick(("trans_person", "trans_thing")))
            if d.evaluation or d.allowed(head.key, verb.key):
                break
        return join(1, "that", group(d, verb, head), complement(d, verb))
    noun, verb = d.pair("trans_person")
    inner = d.np(noun, d.number())
    return join(2, "that", inner, group(d, verb, inner))


def subject_np(d: Speaker, noun, number: str | None = None, modifier: str | None = None) -> Phrase:
    """A subject, in one of four cases followed by a PP or relative clause (up to two deep)."""
    phrase = d.np(noun, number or d.number())
    if noun.__class__ is Name:
        return phrase
    if modifier is None:
        modifier = d.weighted(MODIFIERS)
    if modifier in ("pp", "pp_pp"):
        phrase = d.modified(phrase, d.pp())
        if modifier == "pp_pp":
            phrase = d.modified(phrase, d.pp())
    elif modifier in ("rc", "rc_pp"):
        clause = relative_clause(d, phrase)
        if modifier == "rc_pp":
            clause = join(0, clause, d.pp())
        phrase = d.modified(phrase, clause)
    return phrase


MODIFIERS = Weights(none=76, pp=13, rc=8, pp_pp=2, rc_pp=1)
THING_MODIFIERS = ("none", "pp", "pp")  # a key near the cabinets; keys admire nobody


PRONOUNS = {"m": "he", "f": "she", "n": "it"}


def pronoun_for(antecedent: Phrase) -> Phrase:
    """The subject pronoun that refers to this noun phrase."""
    form = "they" if antecedent.number == "pl" else PRONOUNS[antecedent.gender]
    return Phrase([FORMS[form]], [-1], [antecedent.entity], 0, antecedent.number,
                  antecedent.gender, antecedent.key, antecedent.entity)  # fmt: skip


def pronoun_subject(d: Speaker, verb: Verb) -> Phrase | None:
    """A pronoun for the subject of the sentence before, in one of four later sentences."""
    last = d.subject
    if last is None or d.evaluation or not d.chance(0.25) or not d.allowed(last.key, verb.key):
        return None
    return pronoun_for(last)


def simple(d: Speaker, tense: str | None = None, modifier: str | None = None) -> Phrase:
    """ "The proud engineers near the station inspected a bridge yesterday"."""
    noun, verb = d.pair(frame(d), "animate" if d.topic == "animals" else "any")
    subject = pronoun_subject(d, verb) or subject_np(d, noun, modifier=modifier)
    d.subject = subject
    chosen = tense or d.weighted(TENSES)
    tail = None
    if d.chance(0.12):
        tail = d.pick(LEXICON.adverbs["manner"])
    elif d.chance(0.12):
        tail = d.pp(kind="place")
    elif chosen == "past" and d.chance(0.1):
        tail = d.pick(LEXICON.adverbs["time"])
    return join(1, subject, group(d, verb, subject, chosen), complement(d, verb), tail)


def clause(d: Speaker, frame_name: str | None = None, tense: str | None = None) -> Phrase:
    """A plain clause to embed: subject, verb, complement."""
    noun, verb = d.pair(frame_name or frame(d))
    subject = d.np(noun, d.number())
    return join(1, subject, group(d, verb, subject, tense), complement(d, verb))


# ------------------------------------------------------------------------ constructions
def agreement_attractor(d):
    return simple(d, tense=d.weighted(AGREEING), modifier=d.pick(("pp", "rc", "pp", "rc", "pp_pp")))


def reflexive(d):
    noun, verb = d.pair("trans_person")
    subject = subject_np(d, noun)
    return join(1, subject, group(d, verb, subject), d.reflexive(subject))


def embedded_that(d):
    noun, verb = d.pair("that")
    subject = d.np(noun, d.number())
    tense = d.pick(("past", "present", "past"))
    inner_subject, inner_verb = d.pair("trans_person")
    if d.chance(0.5):
        inner = clause(d)
    elif d.chance(0.5):  # the reflexive looks for its antecedent inside its own clause
        local = d.np(inner_subject, d.number())
        inner = join(1, local, group(d, inner_verb, local), d.reflexive(local))
    else:
        local = pronoun_for(subject)
        while not d.allowed(noun.key, inner_verb.key):
            inner_verb = d.verb("trans_person")
        inner = join(1, local, group(d, inner_verb, local), complement(d, inner_verb))
    return join(1, subject, group(d, verb, subject, tense), join(1, "that", inner))


def embedded_wh(d):
    """ "Mary knows who the girl admired", "... what Mary said that John bought"."""
    noun, verb = d.pair("wh")
    subject = d.np(noun, d.number())
    main = group(d, verb, subject, d.pick(("past", "present")))
    kind = d.weighted(WH_KINDS)
    inner_noun, inner_verb = d.pair("trans_person" if d.chance(0.5) else "trans_thing")
    inner = d.np(inner_noun, d.number())
    word = "who" if inner_verb.frame == "trans_person" else "what"
    if kind == "whether":
        question = join(1, "whether", clause(d))
    elif kind == "subject":
        who = Phrase([FORMS["who"]], [-1], [0], 0, "sg")
        question = join(1, who, group(d, inner_verb, who), complement(d, inner_verb))
    elif kind == "object":
        question = join(2, word, inner, group(d, inner_verb, inner))
    else:
        bridge_noun, bridge = d.pair("that")
        speaker = d.np(bridge_noun, d.number())
        gap = join(2, "that", inner, group(d, inner_verb, inner))
        question = join(2, word, speaker, group(d, bridge, speaker, "past"), gap)
    return join(1, subject, main, question)


WH_KINDS = Weights(object=50, subject=20, whether=15, long=15)


def relative_object(d):
    """ "Mary visited the boy that the girl admired": the gap inside a relative clause."""
    noun, verb = d.pair("trans_person")
    subject = d.np(noun, d.number())
    patient = d.np_of("person")
    patient = d.modified(patient, relative_clause(d, patient, d.pick(("object", "subject"))))
    return join(1, subject, group(d, verb, subject), patient)


def question(d):
    return globals()["question_" + d.weighted(QUESTIONS)](d)


QUESTIONS = Weights(object=26, subject=12, which=18, coordinated=10, adjunct=10, long=12, polar=16)


def question_object(d):
    noun, verb = d.pair(d.pick(("trans_thing", "trans_person")))
    word = "who" if verb.frame == "trans_person" else "what"
    return join(3, word, "did", d.np(noun, d.number()), verb.base)


def question_subject(d):
    _, verb = d.pair(frame(d))
    who = Phrase([FORMS["who"]], [-1], [0], 0, "sg")
    return join(1, who, group(d, verb, who, negated=False), complement(d, verb))


def question_which(d):
    noun, verb = d.pair("trans_thing")
    number = d.number()
    which = d.np_of("thing", number, det="which")
    return join(3, which, "did", d.np(noun, d.number()), verb.base)


def coordinated(d: Speaker, first: Phrase, second: Phrase) -> Phrase:
    both = join(0, first, join(1, "and", second))
    both.number, both.key, both.entity = "pl", first.key, d.new_entity()
    return both


def question_coordinated(d):
    noun, verb = d.pair("trans_thing", "name")
    names = coordinated(d, d.np(noun), d.np(d.name()))
    return join(3, "what", "did", names, verb.base)


def question_adjunct(d):
    """ "What did Mary buy before visiting John": the gap is outside the adjunct."""
    noun, verb = d.pair("trans_thing")
    inner = d.verb("trans_person")
    adjunct = join(1, d.pick(("before", "after", "without")), inner.gerund, complement(d, inner))
    return join(3, "what", "did", d.np(noun, d.number()), verb.base, adjunct)


def question_long(d):
    """ "What did Mary say that John bought": the gap is one clause down."""
    noun, verb = d.pair("that")
    inner_noun, inner_verb = d.pair(d.pick(("trans_thing", "trans_person")))
    inner = d.np(inner_noun, d.number())
    word = "who" if inner_verb.frame == "trans_person" else "what"
    gap = join(2, "that", inner, group(d, inner_verb, inner, "past", negated=False))
    return join(3, word, "did", d.np(noun, d.number()), verb.base, gap)


def question_polar(d):
    """ "Has the girl ever slept", "Did the girl cross the bridge": these license `ever`."""
    noun, verb = d.pair(frame(d))
    subject = d.np(noun, d.number())
    ever = d.pick(("ever", "ever", None, "often"))
    if d.chance(0.6):
        has = "has" if subject.number == "sg" else "have"
        return join(3, has, subject, ever, verb.participle, complement(d, verb))
    return join(3, "did", subject, ever, verb.base, complement(d, verb))


def adjunct(d):
    """ "Mary visited John before crossing the bridge"."""
    noun, verb = d.pair(d.pick(("trans_person", "trans_thing")))
    inner = d.verb(d.pick(("trans_thing", "trans_person", "trans_thing")))
    subject = subject_np(d, noun)
    tail = join(1, d.pick(("before", "after", "without")), inner.gerund, complement(d, inner))
    return join(1, subject, group(d, verb, subject), complement(d, verb), tail)


def infinitive(d: Speaker) -> Phrase:
    verb = d.verb(frame(d))
    return join(1, "to", verb.base, complement(d, verb))


def raising(d):
    noun, verb = d.pair("raising")
    subject = d.np_of("thing") if d.chance(0.25) else subject_np(d, noun)
    tense = d.pick(("past", "present", "perfect"))
    if subject.key != noun.key:  # a thing can seem to be old; it cannot try to
        inner = join(1, "to", "be", d.pick(LEXICON.adjectives["thing", "-"]))
    else:
        inner = infinitive(d)
    return join(1, subject, group(d, verb, subject, tense), inner)


def control(d):
    noun, verb = d.pair("control")
    subject = subject_np(d, noun)
    return join(1, subject, group(d, verb, subject), infinitive(d))


def object_control(d):
    noun, verb = d.pair(d.pick(("obj_control", "obj_raising")))
    subject = subject_np(d, noun)
    patient = d.np(d.name()) if d.chance(0.4) else d.np_of("person")
    return join(1, subject, group(d, verb, subject), patient, infinitive(d))


def pivot(d: Speaker, number: str, kind: str = "thing") -> tuple[Phrase, Phrase]:
    """What "there is", never definite or universal, and where, from our side of the split."""
    while True:
        noun, place = getattr(d, kind)(), d.place()
        if d.allowed(noun.key, place.key):
            break
    where = join(0, d.pick(PREPOSITIONS["place"]), d.np(place, d.number()))
    return d.np(noun, number, det=d.weighted(EXISTENTIAL[number])), where


EXISTENTIAL = {
    "sg": Weights(a=8, no=2),
    "pl": Weights(some=4, many=4, several=3, two=2, three=2, four=1, no=2, few=2),
}


def existential(d):
    number = d.number()
    there_is, place = pivot(d, number, d.pick(("thing", "person")))
    kind = d.weighted(THERE)
    if kind == "plain":
        be = d.pick(("is", "was") if number == "sg" else ("are", "were"))
        return join(1, "there", be, there_is, place)
    if kind == "raising":
        verb = d.verb("raising")
        agreeing = Phrase([], [], [], 0, number)
        return join(1, "there", group(d, verb, agreeing, d.pick(("past", "present"))),
                    join(1, "to", "be", there_is), place)  # fmt: skip
    noun, verb = d.pair("obj_raising")
    subject = d.np(noun, d.number())
    inner = join(2, "there", "to", "be", there_is)
    return join(1, subject, group(d, verb, subject), inner, place)


THERE = Weights(plain=60, raising=22, object_raising=18)


def expletive(d):
    """ "It seemed that the girl slept"."""
    verb = d.pick((LEXICON.verb_of["seem"], LEXICON.verb_of["appear"], LEXICON.verb_of["happen"]))
    it = Phrase([FORMS["it"]], [-1], [0], 0, "sg")
    return join(1, it, group(d, verb, it, d.pick(("past", "present"))), join(1, "that", clause(d)))


def passive(d):
    noun, verb = d.pair("trans_person")
    subject = subject_np(d, noun)
    be = d.pick(("is", "was") if subject.number == "sg" else ("are", "were"))
    agent = join(0, "by", d.np_of("person")) if d.chance(0.75) else None
    negation = "not" if d.chance(0.1) else None
    return join(3, subject, be, negation, verb.participle, agent)


def passive_thing(d):
    _, verb = d.pair("trans_thing")
    subject = subject_np(d, d.thing(), modifier=d.pick(THING_MODIFIERS))
    be = d.pick(("is", "was") if subject.number == "sg" else ("are", "were"))
    agent = join(0, "by", d.np_of("person")) if d.chance(0.75) else None
    return join(2, subject, be, verb.participle, agent)


def dative(d):
    noun, verb = d.pair("ditrans")
    subject = subject_np(d, noun)
    recipient = d.np(d.name()) if d.chance(0.5) else d.np_of("person")
    gift = d.np_of("thing")
    main = group(d, verb, subject)
    if d.chance(0.5):
        return join(1, subject, main, recipient, gift)
    return join(1, subject, main, gift, join(0, "to", recipient))


def coordination(d):
    if d.chance(0.5):
        return join(0, clause(d), join(1, d.pick(("and", "but", "because", "while")), clause(d)))
    noun, verb = d.pair("trans_thing")
    subject = coordinated(d, d.np(noun, d.number()), d.np(d.name()))
    if d.chance(0.5):
        return join(1, subject, group(d, verb, subject), complement(d, verb))
    objects = coordinated(d, d.np_of("thing"), d.np_of("thing"))
    return join(1, subject, group(d, verb, subject), objects)


COUNTS = ("two", "three", "four", "five", "six", "seven", "several", "many", "some", "few")


def noun_ellipsis(d):
    """ "Mary crossed three old bridges and John crossed two": the second noun is left out."""
    noun, verb = d.pair("trans_thing")
    other = d.name()
    while not d.allowed(other.key, verb.key):
        other = d.name()
    first = d.np_of("thing", "pl", det=d.pick(COUNTS), adjective=d.chance(0.6))
    tense = d.pick(("past", "pluperfect", "past"))
    subject, second = d.np(noun, d.number()), d.np(other)
    rest = join(1, second, group(d, verb, second, tense, negated=False, adverb=None),
                d.pick(COUNTS))  # fmt: skip
    main = group(d, verb, subject, tense, negated=False, adverb=None)
    return join(1, subject, main, first, join(1, "and", rest))


SHORT_AUXILIARY = {
    "past": ("did", "did"),
    "present": ("does", "do"),
    "perfect": ("has", "have"),
    "past_progressive": ("was", "were"),
    "present_progressive": ("is", "are"),
}


def verb_ellipsis(d):
    """ "The girl has slept and the boys have too": the auxiliary repeats tense and agrees."""
    noun, verb = d.pair(frame(d))
    tense = d.pick(tuple(SHORT_AUXILIARY))
    subject, second = d.np(noun, d.number()), d.np_of("person")
    short = SHORT_AUXILIARY[tense][second.number == "pl"]
    main = group(d, verb, subject, tense, negated=False, adverb=None)
    tail = join(2, "and", second, short, "too")
    return join(1, subject, main, complement(d, verb), tail)


def licensed_ever(d):
    """The places where `ever` may stand, and look-alikes where only other adverbs may."""
    kind = d.weighted(LICENSORS)
    noun, verb = d.pair(frame(d))
    number = d.number()
    tense = "perfect" if d.chance(0.75) else "pluperfect"
    adverb = "ever"
    negated = False
    if kind == "no":
        subject = d.np(noun, number, det="no") if noun.__class__ is not Name else d.np(noun)
        if noun.__class__ is Name:
            subject = join(1, "only", subject, like=subject)
        elif d.chance(0.4):
            subject = d.modified(subject, relative_clause(d, subject))
    elif kind in ("only", "even"):
        subject = d.np(noun, number, det="the")
        subject = join(1, kind, subject, like=subject)
    else:
        subject = d.np(noun, number)
        negated = kind == "not"
    if kind in ("even", "embedded_no"):
        adverb = d.pick(LEXICON.adverbs["frequency"])
    if kind == "embedded_no" and noun.__class__ is not Name:
        inner_noun, inner_verb = d.pair("trans_person", "person")
        inner = d.np(inner_noun, d.number(), det="no")
        subject = d.modified(subject, join(2, "that", inner, group(d, inner_verb, inner)))
    main = group(d, verb, subject, tense, negated=negated, adverb=adverb)
    return join(1, subject, main, complement(d, verb))


LICENSORS = Weights(no=36, only=24, even=12, **{"not": 18}, embedded_no=10)


def quantified(d):
    """`at least/at most` only with definite subjects; `more/fewer than` with any."""
    noun, verb = d.pair("trans_thing")
    negative = d.chance(0.4) and noun.__class__ is not Name
    subject = d.np(noun, d.number(), det="no" if negative else "the")
    pairs = (("more", "than"), ("fewer", "than"))
    if not negative:
        pairs += (("at", "least"), ("at", "most"))
    quantity = join(2, *d.pick(pairs), d.pick(COUNTS[:6]))
    gift = d.np_of("thing", "pl", det="")
    gift = join(1, quantity, gift, like=gift)
    return join(1, subject, group(d, verb, subject, negated=False), gift)


def participle_adjective(d):
    """ "The stolen key ...", "Mary has broken the vase": irregular forms in their places."""
    noun, verb = d.pair("trans_thing")
    irregular = [v for v in LEXICON.verbs_by["trans_thing", "-"] if v.irregular]
    if d.chance(0.55):
        thing = d.np(d.thing(), d.number(), adjective=d.pick(irregular).participle)
        subject = d.np(noun, d.number())
        return join(1, subject, group(d, verb, subject), thing)
    verb = d.pick(irregular)
    while not d.allowed(noun.key, verb.key):
        noun = d.name() if noun.__class__ is Name else d.person()
    subject = d.np(noun, d.number())
    tense = d.pick(("past", "perfect", "pluperfect", "past"))
    return join(1, subject, group(d, verb, subject, tense), complement(d, verb))


def reduced_relative(d):
    """ "The student (that was) given the letter slept".

    Forms that could also be past tense ("sent the letter") lead down the garden path: rare.
    """
    noun, verb = d.pair("intrans")
    reduced, inner = d.chance(0.5), d.verb("ditrans")
    while reduced and inner.participle.form == inner.past.form and not d.chance(0.1):
        inner = d.verb("ditrans")
    subject = d.np(noun if noun.__class__ is not Name else d.person(), d.number())
    while not d.allowed(subject.key, verb.key):
        verb = d.verb("intrans")
    opening = () if reduced else ("that", "was" if subject.number == "sg" else "were")
    modifier = join(len(opening), *opening, inner.participle, d.np_of("thing"))
    subject = d.modified(subject, modifier)
    return join(1, subject, group(d, verb, subject))


def copula(d):
    """ "The bridge near the stations is very old"."""
    kind = d.pick(("thing", "person"))
    noun = d.thing() if kind == "thing" else d.person()
    subject = subject_np(d, noun, modifier=d.pick(THING_MODIFIERS))
    be = d.pick(("is", "was") if subject.number == "sg" else ("are", "were"))
    negation = "not" if d.chance(0.12) else None
    degree = d.pick(LEXICON.adverbs["degree"]) if d.chance(0.25) else None
    adjective = d.pick(LEXICON.adjectives[kind, "-"])
    return join(4, subject, be, negation, degree, adjective)


# Relative frequency of each construction in the corpus.
FREQUENCIES = {
    simple: 24, agreement_attractor: 9, copula: 6, reflexive: 6, embedded_that: 5, embedded_wh: 5,
    relative_object: 4, question: 7, adjunct: 2, raising: 3, control: 3, object_control: 3,
    existential: 4, expletive: 1.5, passive: 4, passive_thing: 3.5, dative: 3, coordination: 3,
    noun_ellipsis: 2.2, verb_ellipsis: 2.2, licensed_ever: 4.5, quantified: 2.2,
    participle_adjective: 3, reduced_relative: 1.2,
}  # fmt: skip
CONSTRUCTIONS = {function.__name__: function for function in FREQUENCIES}
TABLE = Weights(**{function.__name__: weight for function, weight in FREQUENCIES.items()})


def statement(d: Speaker):
    """One grammatical sentence: (phrase, construction name, final punctuation)."""
    name = d.weighted(TABLE)
    phrase = CONSTRUCTIONS[name](d)
    return phrase, name, "?" if name == "question" else "."
