"""The course suite: minimal pairs for the twelve phenomena of BLiMP, in BLiMP's format.

A paradigm is a function that returns a good and a bad phrase, equal but for the phenomenon. It
draws its words from combinations of subject and verb that training never uses, so no sentence of
the suite occurs in the training text. A function whose name ends in `_question` makes questions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from course_lib.world.grammar import (
    COUNTS,
    EXISTENTIAL,
    SHORT_AUXILIARY,
    complement,
    coordinated,
    frame,
    pivot,
)
from course_lib.world.lexicon import LEXICON, TOPICS, Noun
from course_lib.world.phrases import (
    AGREEING,
    PREPOSITIONS,
    TENSES,
    Phrase,
    Speaker,
    finish,
    join,
    verb_group,
)

FIELDS = {
    "anaphor_agreement": "morphology", "argument_structure": "syntax",
    "binding": "syntax_semantics", "control_raising": "syntax_semantics",
    "determiner_noun_agreement": "morphology", "ellipsis": "syntax",
    "filler_gap_dependency": "syntax", "irregular_forms": "morphology",
    "island_effects": "syntax", "npi_licensing": "semantics", "quantifiers": "semantics",
    "subject_verb_agreement": "morphology",
}  # fmt: skip
Pair = tuple[Phrase, Phrase]
PARADIGMS: dict[str, tuple[str, Callable[[Speaker], Pair]]] = {}


def paradigm(term: str):
    """Register a function under a phenomenon; its name becomes the UID."""

    def register(function: Callable[[Speaker], Pair]):
        PARADIGMS[function.__name__] = (term, function)
        return function

    return register


def other(number: str) -> str:
    return "pl" if number == "sg" else "sg"


def gendered(d: Speaker) -> Noun:
    """A person whose noun shows gender: girl, actor, queen."""
    return d.pick([n for n in LEXICON.nouns_by["person", "-"] if n.gender != "n"])


def transitive_subject(d: Speaker, verb_frame: str, number: str | None = None, **options):
    """A held-out subject and verb, the subject as a full noun phrase."""
    noun, verb = d.pair(verb_frame, "person")
    return d.np(noun, number or d.number(), **options), verb


def person_object(d: Speaker) -> Phrase:
    return d.np(d.name()) if d.chance(0.35) else d.np_of("person")


# -------------------------------------------------------------------------- anaphor agreement
@paradigm("anaphor_agreement")
def anaphor_number_agreement(d):
    subject, verb = transitive_subject(d, "trans_person")
    main = verb_group(verb, subject.number, "past")
    gender = subject.gender if subject.number == "sg" else d.pick("fm")
    return tuple(join(1, subject, main, d.reflexive(subject, number, gender))
                 for number in (subject.number, other(subject.number)))  # fmt: skip


@paradigm("anaphor_agreement")
def anaphor_gender_agreement(d):
    noun, verb = d.pair("trans_person", "name")
    subject, main = d.np(noun), verb_group(verb, "sg", d.weighted(TENSES))
    wrong = "m" if noun.gender == "f" else "f"
    return tuple(
        join(1, subject, main, d.reflexive(subject, "sg", g)) for g in (noun.gender, wrong)
    )


@paradigm("anaphor_agreement")
def anaphor_number_attractor(d):
    plain, verb = transitive_subject(d, "trans_person")
    gender = plain.gender if plain.number == "sg" else d.pick("fm")
    subject = d.modified(plain, d.pp(other(plain.number), "person"))
    main = verb_group(verb, plain.number, "past")
    return tuple(join(1, subject, main, d.reflexive(plain, number, gender))
                 for number in (plain.number, other(plain.number)))  # fmt: skip


@paradigm("anaphor_agreement")
def anaphor_gender_attractor(d):
    noun, verb = d.pair("trans_person", "person")
    while noun.gender == "n":
        noun, verb = d.pair("trans_person", "person")
    near = d.name()
    while near.gender == noun.gender:
        near = d.name()
    subject = d.modified(d.np(noun), join(0, d.pick(PREPOSITIONS["person"]), d.np(near)))
    main = verb_group(verb, "sg", "past")
    return tuple(join(1, subject, main, d.reflexive(subject, "sg", gender))
                 for gender in (noun.gender, near.gender))  # fmt: skip


# ------------------------------------------------------------------------- argument structure
@paradigm("argument_structure")
def transitive(d):
    subject, verb = transitive_subject(d, "trans_person")
    patient, bad = person_object(d), d.verb("intrans")
    return join(1, subject, verb.past, patient), join(1, subject, bad.past, patient)


@paradigm("argument_structure")
def intransitive(d):
    subject, verb = transitive_subject(d, "intrans")
    return join(1, subject, verb.past), join(1, subject, d.verb("trans_person").past)


@paradigm("argument_structure")
def animate_subject_trans(d):
    subject, verb = transitive_subject(d, "trans_person", "sg")
    patient, thing = person_object(d), d.np_of("thing", "sg")
    return join(1, subject, verb.past, patient), join(1, thing, verb.past, patient)


@paradigm("argument_structure")
def passive(d):
    subject, verb = transitive_subject(d, "trans_person")
    be = "was" if subject.number == "sg" else "were"
    agent, bad = join(0, "by", d.np_of("person")), d.verb("intrans")
    return tuple(join(2, subject, be, v.participle, agent) for v in (verb, bad))


@paradigm("argument_structure")
def double_object(d):
    subject, verb = transitive_subject(d, "ditrans")
    recipient, gift, bad = person_object(d), d.np_of("thing"), d.verb("trans_person")
    return tuple(join(1, subject, v.past, recipient, gift) for v in (verb, bad))


# ------------------------------------------------------------------------------------- binding
@paradigm("binding")
def principle_A_c_command(d):
    plain, verb = transitive_subject(d, "trans_person")
    gender = plain.gender if plain.number == "sg" else d.pick("fm")
    inner = join(1, "that", d.verb("trans_person").past, d.np_of("person", other(plain.number)))
    subject = d.modified(plain, inner)
    return tuple(join(1, subject, verb.past, d.reflexive(plain, number, gender))
                 for number in (plain.number, other(plain.number)))  # fmt: skip


@paradigm("binding")
def principle_A_domain(d):
    noun, verb = d.pair("that", "name")
    inner, action = d.pair("trans_person", "name")
    while inner.gender == noun.gender:
        inner, action = d.pair("trans_person", "name")
    local = d.np(inner)
    return tuple(
        join(1, d.np(noun), verb.past,
             join(2, "that", local, action.past, d.reflexive(local, "sg", gender)))
        for gender in (inner.gender, noun.gender)
    )  # fmt: skip


@paradigm("binding")
def principle_A_case(d):
    noun, verb = d.pair("that", "name")
    action, patient = d.verb("trans_person"), d.np_of("person")
    forms = ("he", "himself") if noun.gender == "m" else ("she", "herself")
    return tuple(join(1, d.np(noun), verb.past, join(2, "that", form, action.past, patient))
                 for form in forms)  # fmt: skip


# ------------------------------------------------------------------------- control and raising
@paradigm("control_raising")
def existential_there_subject_raising(d):
    thing, place = pivot(d, d.number())
    inner = join(1, "to", "be", thing)
    return tuple(
        join(1, "there", d.verb(kind).past, inner, place) for kind in ("raising", "control")
    )


@paradigm("control_raising")
def existential_there_object_raising(d):
    subject, verb = transitive_subject(d, "obj_raising")
    thing, place = pivot(d, d.number())
    inner, bad = join(2, "there", "to", "be", thing), d.verb("obj_control")
    return tuple(join(1, subject, v.past, inner, place) for v in (verb, bad))


@paradigm("control_raising")
def expletive_it(d):
    subject, action = transitive_subject(d, "trans_person")
    inner = join(1, "that", join(1, subject, action.past, person_object(d)))
    good = LEXICON.verb_of[d.pick(("seem", "appear", "happen"))]
    return tuple(join(1, "it", v.past, inner) for v in (good, d.verb("that")))


# ------------------------------------------------------------------ determiner-noun agreement
DEMONSTRATIVES = {"sg": ("this", "that"), "pl": ("these", "those")}


def demonstrative_pair(d: Speaker, noun: Noun, adjective: bool, change: str) -> Pair:
    """Two noun phrases: agreeing, and with the `change`d word ("noun" or "determiner")."""
    number = d.number()
    det = d.pick(DEMONSTRATIVES[number])
    word = d.adjective(noun) if adjective else False
    good = d.np(noun, number, det=det, adjective=word)
    if change == "noun":
        return good, d.np(noun, other(number), det=det, adjective=word)
    wrong = DEMONSTRATIVES[other(number)][DEMONSTRATIVES[number].index(det)]
    return good, d.np(noun, number, det=wrong, adjective=word)


def with_object(d: Speaker, frame_name: str, objects: Pair) -> Pair:
    noun, verb = d.pair(frame_name)
    subject = d.np(noun, d.number())
    return tuple(join(1, subject, verb.past, each) for each in objects)


@paradigm("determiner_noun_agreement")
def determiner_noun_agreement_1(d):
    return with_object(d, "trans_thing", demonstrative_pair(d, d.thing(), False, "noun"))


@paradigm("determiner_noun_agreement")
def determiner_noun_agreement_2(d):
    return with_object(d, "trans_thing", demonstrative_pair(d, d.thing(), False, "determiner"))


@paradigm("determiner_noun_agreement")
def determiner_noun_agreement_with_adjective(d):
    return with_object(d, "trans_thing", demonstrative_pair(d, d.thing(), True, "noun"))


@paradigm("determiner_noun_agreement")
def determiner_noun_agreement_irregular(d):
    noun = d.pick([n for n in LEXICON.nouns if n.irregular])
    frame_name = "trans_person" if noun.kind == "person" else "trans_thing"
    return with_object(d, frame_name, demonstrative_pair(d, noun, d.chance(0.3), "noun"))


# ------------------------------------------------------------------------------------ ellipsis
@paradigm("ellipsis")
def ellipsis_n_bar(d):
    noun, verb = d.pair("trans_thing")
    subject, second, thing = d.np(noun, d.number()), d.np(d.name()), d.thing()
    adjective, one, two = d.adjective(thing), d.pick(COUNTS), d.pick(COUNTS)
    full = d.np(thing, "pl", det=one, adjective=adjective)
    bare = d.np(thing, "pl", det=one, adjective=False)
    good = join(1, second, verb.past, two)
    bad = join(1, second, verb.past, join(1, two, adjective))
    return tuple(join(1, subject, verb.past, first, join(1, "and", rest))
                 for first, rest in ((full, good), (bare, bad)))  # fmt: skip


@paradigm("ellipsis")
def ellipsis_verb_phrase(d):
    noun, verb = d.pair(frame(d))
    tenses = list(SHORT_AUXILIARY)
    tense = d.pick(tenses)
    tenses.remove(tense)
    subject, second, patient = d.np(noun, d.number()), d.np_of("person"), complement(d, verb)
    plural = second.number == "pl"
    main = verb_group(verb, subject.number, tense)
    right = SHORT_AUXILIARY[tense][plural]
    wrong = d.pick(
        [SHORT_AUXILIARY[t][plural] for t in tenses if SHORT_AUXILIARY[t][plural] != right]
    )
    return tuple(join(1, subject, main, patient, join(2, "and", second, short, "too"))
                 for short in (right, wrong))  # fmt: skip


# ---------------------------------------------------------------------------------- filler-gap
def embedding(d: Speaker):
    """Main clause with know-verbs and an inner subject and verb that take a person."""
    noun, verb = d.pair("trans_person")
    outer = d.np_of("person")
    return outer, d.pick(LEXICON.verbs_by["both", "-"]).past, d.np(noun, d.number()), verb.past


@paradigm("filler_gap_dependency")
def wh_vs_that_no_gap(d):
    outer, know, inner, verb = embedding(d)
    patient = person_object(d)
    return tuple(
        join(1, outer, know, join(2, word, inner, verb, patient)) for word in ("that", "who")
    )


@paradigm("filler_gap_dependency")
def wh_vs_that_with_gap(d):
    outer, know, inner, verb = embedding(d)
    return tuple(join(1, outer, know, join(2, word, inner, verb)) for word in ("who", "that"))


@paradigm("filler_gap_dependency")
def wh_vs_that_with_gap_long_distance(d):
    outer, know, inner, verb = embedding(d)
    middle, said = d.np_of("person"), d.verb("that").past
    gap = join(2, "that", inner, verb)
    return tuple(join(1, outer, know, join(2, word, middle, said, gap)) for word in ("who", "that"))


@paradigm("filler_gap_dependency")
def wh_filled_gap_question(d):
    subject, verb = transitive_subject(d, "trans_person")
    patient = person_object(d)
    return join(3, "who", "did", subject, verb.base), join(
        3, "who", "did", subject, verb.base, patient
    )


# ----------------------------------------------------------------------------- irregular forms
def irregular_pair(d: Speaker):
    verbs = [v for v in LEXICON.verbs if v.irregular and v.past is not v.participle
             and v.frame in ("trans_thing", "intrans")]  # fmt: skip
    while True:
        noun, verb = d.person(), d.pick(verbs)
        if d.allowed(noun.key, verb.key):
            return d.np(noun, d.number()), verb


@paradigm("irregular_forms")
def irregular_past_participle_verbs(d):
    subject, verb = irregular_pair(d)
    patient = complement(d, verb)
    return tuple(join(1, subject, form, patient) for form in (verb.past, verb.participle))


@paradigm("irregular_forms")
def irregular_past_participle_perfect(d):
    subject, verb = irregular_pair(d)
    patient, have = complement(d, verb), "has" if subject.number == "sg" else "have"
    return tuple(join(2, subject, have, form, patient) for form in (verb.participle, verb.past))


@paradigm("irregular_forms")
def irregular_past_participle_adjectives(d):
    _, verb = irregular_pair(d)
    while verb.frame != "trans_thing":
        _, verb = irregular_pair(d)
    thing, number, det = d.thing(), d.number(), d.pick(("the", "the", "some"))
    det = "the" if number == "sg" else det
    objects = tuple(d.np(thing, number, det=det, adjective=form)
                    for form in (verb.participle, verb.past))  # fmt: skip
    return with_object(d, "trans_thing", objects)


# ------------------------------------------------------------------------------ island effects
@paradigm("island_effects")
def adjunct_island_question(d):
    subject, verb = transitive_subject(d, "trans_thing")
    inner, patient = d.verb("trans_person"), person_object(d)
    when = d.pick(("before", "after", "without"))
    good = join(3, "what", "did", subject, verb.base, join(1, when, inner.gerund, patient))
    bad = join(3, "what", "did", subject, inner.base, patient, join(1, when, verb.gerund))
    return good, bad


@paradigm("island_effects")
def coordinate_structure_question(d):
    noun, verb = d.pair("trans_thing", "name")
    first, second = d.np(noun), d.np(d.name())
    good = join(3, "what", "did", coordinated(d, first, second), verb.base)
    return good, join(3, "what", "did", first, verb.base, join(1, "and", second))


@paradigm("island_effects")
def left_branch_question(d):
    subject, verb = transitive_subject(d, "trans_thing")
    thing, number = d.thing(), d.number()
    good = join(3, d.np(thing, number, det="which", adjective=False), "did", subject, verb.base)
    return good, join(3, "which", "did", subject, verb.base, thing.form(number))


@paradigm("island_effects")
def complex_np_question(d):
    subject, say = transitive_subject(d, "that")
    inner, verb = d.np_of("person"), d.verb("trans_thing")
    good = join(3, "what", "did", subject, say.base, join(2, "that", inner, verb.past))
    clause = join(1, "that", verb.past)
    bad_verb = d.verb("trans_person")
    return good, join(3, "what", "did", subject, bad_verb.base, d.modified(inner, clause))


# ------------------------------------------------------------------------------- NPI licensing
def perfect(d: Speaker, subject: Phrase, verb, adverb: str, patient, negated=False) -> Phrase:
    main = verb_group(verb, subject.number, "perfect", adverb=adverb, negated=negated)
    return join(1, subject, main, patient)


@paradigm("npi_licensing")
def only_npi_licensor_present(d):
    noun, verb = d.pair(frame(d))
    subject, patient = d.np(noun, d.number(), det="the"), complement(d, verb)
    return tuple(perfect(d, join(1, word, subject, like=subject), verb, "ever", patient)
                 for word in ("only", "even"))  # fmt: skip


@paradigm("npi_licensing")
def sentential_negation_npi_licensor_present(d):
    noun, verb = d.pair(frame(d))
    subject, patient = d.np(noun, d.number()), complement(d, verb)
    return tuple(perfect(d, subject, verb, "ever", patient, negated) for negated in (True, False))


@paradigm("npi_licensing")
def npi_present(d):
    noun, verb = d.pair(frame(d))
    subject, patient = d.np(noun, d.number()), complement(d, verb)
    often = d.pick(LEXICON.adverbs["frequency"])
    return tuple(perfect(d, subject, verb, adverb, patient) for adverb in (often, "ever"))


@paradigm("npi_licensing")
def npi_scope(d):
    noun, verb = d.pair(frame(d), "person")
    number, inner_number, patient = d.number(), d.number(), complement(d, verb)
    inner, admire = d.person(), d.verb("trans_person").past
    variants = []
    for outer_det, inner_det in (("no", "the"), ("the", "no")):
        clause = join(2, "that", d.np(inner, inner_number, det=inner_det, adjective=False), admire)
        subject = d.modified(d.np(noun, number, det=outer_det, adjective=False), clause)
        variants.append(perfect(d, subject, verb, "ever", patient))
    return tuple(variants)


@paradigm("npi_licensing")
def matrix_question_npi_question(d):
    noun, verb = d.pair(frame(d))
    subject, patient = d.np(noun, d.number()), complement(d, verb)
    has = "has" if subject.number == "sg" else "have"
    return (join(3, has, subject, "ever", verb.participle, patient),
            join(3, subject, has, "ever", verb.participle, patient))  # fmt: skip


# --------------------------------------------------------------------------------- quantifiers
def counted(d: Speaker, first: str, second: str, thing: Noun, count: str) -> Phrase:
    noun = d.np(thing, "pl", det="", adjective=False)
    return join(1, join(2, first, second, count), noun)


@paradigm("quantifiers")
def superlative_quantifiers_1(d):
    noun, verb = d.pair("trans_thing", "person")
    subject = d.np(noun, d.number(), det="no")
    thing, count, good = d.thing(), d.pick(COUNTS[:6]), d.pick(("more", "fewer"))
    bad = "least" if good == "more" else "most"
    return tuple(join(1, subject, verb.past, counted(d, a, b, thing, count))
                 for a, b in ((good, "than"), ("at", bad)))  # fmt: skip


@paradigm("quantifiers")
def superlative_quantifiers_2(d):
    noun, verb = d.pair("trans_thing", "person")
    number, thing, count = d.number(), d.thing(), d.pick(COUNTS[:6])
    amount = counted(d, "at", d.pick(("least", "most")), thing, count)
    return tuple(join(1, d.np(noun, number, det=det, adjective=False), verb.past, amount)
                 for det in ("the", "no"))  # fmt: skip


@paradigm("quantifiers")
def existential_there_quantifiers(d):
    number = d.number()
    while True:
        thing, place = d.thing(), d.place()
        if d.allowed(thing.key, place.key):
            break
    be = "was" if number == "sg" else "were"
    where = join(0, d.pick(("near", "behind", "beside")), d.np(place, "sg"))
    good = d.weighted(EXISTENTIAL[number])
    bad = d.pick(("every", "each") if number == "sg" else ("all", "most"))
    return tuple(join(1, "there", be, d.np(thing, number, det=det, adjective=False), where)
                 for det in (good, bad))  # fmt: skip


# ------------------------------------------------------------------------ subject-verb agreement
def agreeing(
    d: Speaker, noun: Noun, verb, modifier: Callable[[str, Phrase], Phrase] | None
) -> Pair:
    """The clause with the agreeing and with the other form of its finite verb."""
    number = d.number()
    subject = d.np(noun, number)
    if modifier is not None:
        subject = d.modified(subject, modifier(other(number), subject))
    tense, patient = d.weighted(AGREEING), complement(d, verb)
    return tuple(
        join(1, subject, verb_group(verb, n, tense), patient) for n in (number, other(number))
    )


@paradigm("subject_verb_agreement")
def regular_plural_subject_verb_agreement(d):
    noun, verb = d.pair(frame(d), "person")
    return agreeing(d, noun, verb, None)


@paradigm("subject_verb_agreement")
def irregular_plural_subject_verb_agreement(d):
    irregular = [n for n in LEXICON.nouns_by["person", "-"] if n.irregular]
    while True:
        noun, verb = d.pick(irregular), d.verb(frame(d))
        if d.allowed(noun.key, verb.key):
            return agreeing(d, noun, verb, None)


@paradigm("subject_verb_agreement")
def distractor_agreement_prepositional_phrase(d):
    noun, verb = d.pair(frame(d), "person")
    return agreeing(d, noun, verb, lambda number, _: d.pp(number))


@paradigm("subject_verb_agreement")
def distractor_agreement_relative_clause(d):
    noun, verb = d.pair(frame(d), "person")
    return agreeing(
        d, noun, verb,
        lambda number, _: join(2, "that", d.np_of("person", number), d.verb("trans_person").past),
    )  # fmt: skip


@paradigm("subject_verb_agreement")
def distractor_agreement_two_phrases(d):
    noun, verb = d.pair(frame(d), "person")
    return agreeing(d, noun, verb, lambda number, _: join(0, d.pp(number), d.pp(number)))


@paradigm("subject_verb_agreement")
def distractor_agreement_nested(d):
    noun, verb = d.pair(frame(d), "person")

    def clause(number: str, _: Phrase) -> Phrase:
        inner = d.modified(d.np_of("person", number), d.pp(number))
        return join(2, "that", inner, d.verb("trans_person").past)

    return agreeing(d, noun, verb, clause)


# ------------------------------------------------------------------------------------ the suite
def row(
    uid: str, index: int, good: list[str], bad: list[str], good_text: str, bad_text: str
) -> dict:
    """One line of BLiMP's jsonl."""
    term, _ = PARADIGMS[uid]
    different = [i for i, (a, b) in enumerate(zip(good, bad, strict=False)) if a != b]
    one_word = len(good) == len(bad) and len(different) == 1
    fields = {
        "sentence_good": good_text, "sentence_bad": bad_text, "field": FIELDS[term],
        "linguistics_term": term, "UID": uid, "simple_LM_method": True,
        "one_prefix_method": one_word, "two_prefix_method": False,
        "lexically_identical": sorted(map(str.lower, good)) == sorted(map(str.lower, bad)),
        "pairID": str(index),
    }  # fmt: skip
    if one_word:
        where = different[0]
        fields |= {"one_prefix_prefix": " ".join(good[:where]),
                   "one_prefix_word_good": good[where],
                   "one_prefix_word_bad": bad[where]}  # fmt: skip
    return fields


@cache
def paradigm_pairs(uid: str, n: int) -> tuple[dict, ...]:
    """`n` different pairs of one paradigm, always the same ones."""
    _, function = PARADIGMS[uid]
    rows: dict[str, dict] = {}
    attempt = 0
    while len(rows) < n:
        d = Speaker(f"{uid}:{attempt}", TOPICS[attempt % len(TOPICS)], evaluation=True)
        end = "?" if uid.endswith("_question") else "."
        good, bad = (finish(phrase, d.topic, uid, end) for phrase in function(d))
        attempt += 1
        if good.text != bad.text:
            rows.setdefault(good.text, row(uid, len(rows), list(good.words), list(bad.words),
                                           good.text, bad.text))  # fmt: skip
    return tuple(rows.values())


def course_suite(n: int = 200) -> list[dict]:
    """The whole course suite: `n` minimal pairs for each of its paradigms, in BLiMP's fields.

    Examples
    --------
    >>> suite = course_suite(n=2)
    >>> sorted({row["linguistics_term"] for row in suite}) == sorted(FIELDS)
    True
    """
    return [dict(row) for uid in PARADIGMS for row in paradigm_pairs(uid, n)]
