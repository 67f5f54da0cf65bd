"""Region suites in SyntaxGym's JSON: sentences cut in regions, conditions, and a formula.

Each function returns the conditions of one item as a mapping from condition name to the texts of
its regions. Subject and main verb are a combination that training never uses.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from course_lib.world.grammar import complement, frame
from course_lib.world.lexicon import LEXICON, TOPICS
from course_lib.world.phrases import Speaker, join, reflexive_form
from course_lib.world.sentence import render
from course_lib.world.suites import other

Conditions = dict[str, list[str]]


def text(*parts) -> str:
    """The words of these parts as text, in lower case."""
    return render([word.form for word in join(0, *parts).words])


def sentence(*regions: str) -> list[str]:
    """The regions of one sentence: capital first letter, final full stop."""
    return [regions[0][0].upper() + regions[0][1:], *regions[1:], "."]


def agreement_prepositional(d: Speaker) -> Conditions:
    """ "The keys near the cabinet were/was ..."."""
    noun, verb = d.pair("intrans", "person")
    attractor, preposition = d.thing(), d.pick(("near", "behind", "beside", "with"))
    conditions = {}
    for number, label in (("sg", "sing"), ("pl", "plural")):
        for match in ("match", "mismatch"):
            agreeing = number if match == "match" else other(number)
            conditions[f"{match}_{label}"] = sentence(
                f"the {noun.form(number).form}", preposition,
                f"the {attractor.form(other(number)).form}",
                "was" if agreeing == "sg" else "were", verb.gerund.form,
            )  # fmt: skip
    return conditions


def reflexive_object_relative(d: Speaker) -> Conditions:
    """ "The girl that the boys admired hurt herself/themselves"."""
    noun, verb = d.pair("trans_person", "person")
    inner, admire = d.person(), d.verb("trans_person").past.form
    gender = noun.gender if noun.gender in "fm" else d.pick("fm")
    conditions = {}
    for number, label in (("sg", "sing"), ("pl", "plural")):
        for match in ("match", "mismatch"):
            agreeing = number if match == "match" else other(number)
            conditions[f"{match}_{label}"] = sentence(
                f"the {noun.form(number).form}", f"that the {inner.form(other(number)).form}",
                admire, verb.past.form, reflexive_form(agreeing, gender),
            )  # fmt: skip
    return conditions


def npi_object_relative(d: Speaker) -> Conditions:
    """ "No/The girl that the/no boys admired has ever slept": only the matrix `no` licenses."""
    noun, verb = d.pair(frame(d), "person")
    inner, admire = d.person(), d.verb("trans_person").past.form
    rest = text(verb.participle, complement(d, verb))
    return {
        f"{outer}_{embedded}": sentence(
            f"{'no' if outer == 'neg' else 'the'} {noun.singular.form}",
            f"that {'no' if embedded == 'neg' else 'the'} {inner.plural.form}",
            admire, "has", "ever", rest,
        )
        for outer in ("neg", "pos")
        for embedded in ("neg", "pos")
    }  # fmt: skip


def filler_gap_object(d: Speaker) -> Conditions:
    """ "Mary knew who/that the girl admired (the boy) at the station"."""
    noun, verb = d.pair("trans_person", "person")
    outer, inner = d.np_of("person", "sg"), d.np(noun, d.number())
    know = d.pick(LEXICON.verbs_by["both", "-"]).past.form
    patient, place = text(d.np_of("person", adjective=False)), d.place().singular.form
    conditions = {}
    for filler, word in (("what", "who"), ("that", "that")):
        for gap in ("nogap", "gap"):
            middle = [patient] if gap == "nogap" else []
            conditions[f"{filler}_{gap}"] = sentence(
                f"{text(outer)} {know}", word, f"{text(inner)} {verb.past.form}",
                *(middle or [""]), f"at the {place}",
            )  # fmt: skip
    return conditions


def garden_path_reduced(d: Speaker) -> Conditions:
    """ "The student (who was) sent/given the letter slept": only reduced `sent` misleads."""
    ambiguous = [v for v in LEXICON.verbs_by["ditrans", "-"] if v.past is v.participle]
    clear = [v for v in LEXICON.verbs_by["ditrans", "-"] if v.past is not v.participle]
    noun, verb = d.pair("intrans", "person")
    gift = text(d.np_of("thing", "sg", adjective=False))
    forms = {"ambig": d.pick(ambiguous), "unambig": d.pick(clear)}
    return {
        f"{shape}_{kind}": sentence(
            f"the {noun.singular.form}", "that was" if shape == "unreduced" else "",
            forms[kind].participle.form, gift, verb.past.form,
        )
        for shape in ("reduced", "unreduced")
        for kind in ("ambig", "unambig")
    }  # fmt: skip


AGREE = "((4;%match_sing%) < (4;%mismatch_sing%)) & ((4;%match_plural%) < (4;%mismatch_plural%))"
# name: (function, names of the regions, formulas)
SUITES: dict[str, tuple[Callable[[Speaker], Conditions], tuple[str, ...], tuple[str, ...]]] = {
    "agreement_prepositional": (
        agreement_prepositional,
        ("subject", "prep", "prep_np", "matrix_v", "rest", "end"),
        (AGREE,),
    ),
    "reflexive_object_relative": (
        reflexive_object_relative,
        ("subject", "relative_np", "relative_v", "matrix_v", "reflexive", "end"),
        (AGREE.replace("(4;", "(5;"),),
    ),
    "npi_object_relative": (
        npi_object_relative, ("subject", "relative_np", "relative_v", "aux", "npi", "rest", "end"),
        ("((5;%neg_pos%) < (5;%pos_pos%)) & ((5;%neg_pos%) < (5;%pos_neg%))",
         "(5;%neg_neg%) < (5;%pos_neg%)"),
    ),
    "filler_gap_object": (
        filler_gap_object, ("prefix", "complementizer", "subject_v", "object", "place", "end"),
        ("(4;%what_nogap%) > (4;%that_nogap%)", "(5;%what_gap%) < (5;%that_gap%)"),
    ),
    "garden_path_reduced": (
        garden_path_reduced, ("subject", "relative", "participle", "object", "matrix_v", "end"),
        ("(5;%reduced_ambig%) > (5;%unreduced_ambig%)",
         "(5;%reduced_ambig%) > (5;%reduced_unambig%)",
         "((5;%reduced_ambig%) - (5;%unreduced_ambig%)) > "
         "((5;%reduced_unambig%) - (5;%unreduced_unambig%))"),
    ),
}  # fmt: skip


@cache
def region_suites(n: int = 40) -> dict[str, dict]:
    """The region suites, `n` items each, in SyntaxGym's format (regions and items count from 1).

    Examples
    --------
    >>> suite = region_suites(n=2)["agreement_prepositional"]
    >>> [c["condition_name"] for c in suite["items"][0]["conditions"]][:2]
    ['match_sing', 'mismatch_sing']
    """
    suites = {}
    for name, (function, region_names, formulas) in SUITES.items():
        items = []
        for index in range(n):
            d = Speaker(f"{name}:{index}", TOPICS[index % len(TOPICS)], evaluation=True)
            conditions = [
                {"condition_name": label,
                 "regions": [{"region_number": i, "content": content}
                             for i, content in enumerate(regions, start=1)]}
                for label, regions in function(d).items()
            ]  # fmt: skip
            items.append({"item_number": index + 1, "conditions": conditions})
        suites[name] = {
            "meta": {"name": name, "metric": "sum", "author": "course world", "reference": "",
                     "comment": (function.__doc__ or "").strip('."')},
            "region_meta": {str(i): label for i, label in enumerate(region_names, start=1)},
            "predictions": [{"type": "formula", "formula": formula} for formula in formulas],
            "items": items,
        }  # fmt: skip
    return suites
