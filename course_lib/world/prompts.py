"""Prompts with known answers, from held-out combinations: one list for every task of the course.

Each prompt holds the text up to the word in question, the right words and the wrong ones. The
model cards print the scores on them, and the later units patch, probe and attribute on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from course_lib.world import genres
from course_lib.world.lexicon import LEXICON, TOPICS
from course_lib.world.phrases import Phrase, Speaker, join
from course_lib.world.sentence import Sentence, render
from course_lib.world.suites import other


@dataclass(frozen=True)
class Prompt:
    """Text to continue, words that are right next, words that are wrong, and what made it so."""

    text: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    facts: dict


def speakers(task: str, n: int) -> Iterator[Speaker]:
    for index in range(n):
        yield Speaker(f"prompt:{task}:{index}", TOPICS[index % len(TOPICS)], evaluation=True)


def before_last(sentences: list[Sentence], form: str) -> str:
    """The text of these sentences up to the last mention of a word."""
    forms = [word for sentence in sentences for word in sentence.words]
    last = len(forms) - 1 - forms[::-1].index(form)
    return render(forms[:last])


FINITE = {
    "sg": ("is", "was", "has", "does"),
    "pl": ("are", "were", "have", "do"),
}


def agreement(n: int = 200) -> list[Prompt]:
    """ "The keys near the cabinet": subject and attractor differ in number.

    The right and wrong words are the finite auxiliaries and the present-tense verbs whose
    combination with the subject is held out.
    """
    prompts = []
    for d in speakers("agreement", n):
        noun, number = d.person(), d.number()
        attractor = d.pp(other(number))
        subject = d.modified(d.np(noun, number), attractor)
        verbs = [v for v in LEXICON.verbs if v.topic == "-" and d.allowed(noun.key, v.key)]
        forms = {"sg": FINITE["sg"] + tuple(v.third.form for v in verbs),
                 "pl": FINITE["pl"] + tuple(v.base.form for v in verbs)}  # fmt: skip
        prompts.append(Prompt(capital(subject), forms[number], forms[other(number)],
                              {"number": number}))  # fmt: skip
    return prompts


def capital(phrase: Phrase) -> str:
    words = join(0, phrase).words
    return render([LEXICON.capitalised.get(words[0], words[0]).form, *(w.form for w in words[1:])])


TWO_DIGITS = tuple(f"{number:02d}" for number in range(100))


def greater_than(n: int = 200) -> list[Prompt]:
    """ "The war lasted from 1741 to 17": right are the years above 41, wrong the others."""
    prompts = []
    for d in speakers("greater_than", n):
        sentence = genres.span(d, "year_span")
        start = sentence.facts["start"]
        text = render(list(sentence.words[:8]))
        prompts.append(Prompt(text, TWO_DIGITS[start + 1 :], TWO_DIGITS[: start + 1],
                              {"start": start, "century": sentence.words[4]}))  # fmt: skip
    return prompts


def capitals(n: int = 200, shots: int = 1) -> list[Prompt]:
    """ "Q: ... France? A: Paris Q: What is the capital of Poland? A:", pairs not seen together."""
    prompts = []
    names = [row["capital"] for row in LEXICON.countries]
    for d in speakers("capitals", n):
        sentences = genres.fact_questions(d, "capital", shots)
        answer = sentences[-1].facts["answer"]
        wrong = tuple(name for name in names if name != answer)
        text = render([form for s in sentences for form in s.words][:-1])
        prompts.append(Prompt(text, (answer,), wrong, {"country": sentences[-1].words[7]}))
    return prompts


def indirect_objects(n: int = 200) -> list[Prompt]:
    """ "When Mary and John went to the store, John gave a drink to": Mary, not John."""
    prompts = []
    for d in speakers("indirect_objects", n):
        sentence = genres.indirect_object(d, "ioi_went")[0]
        text = render(list(sentence.words[:-2]))
        prompts.append(Prompt(text, (sentence.facts["receiver"],), (sentence.facts["giver"],),
                              sentence.facts))  # fmt: skip
    return prompts


def negated_sentiment(n: int = 200) -> list[Prompt]:
    """ "Review: This movie is not bad. Verdict:": half of the reviews are negated."""
    prompts = []
    for index, d in enumerate(speakers("sentiment", n)):
        sentence = genres.review(d, negated=index % 2 == 0)[0]
        label = sentence.facts["label"]
        prompts.append(Prompt(before_last([sentence], label), (label,),
                              (genres.opposite(label),), sentence.facts))  # fmt: skip
    return prompts


def credit(n: int = 200) -> list[Prompt]:
    """ "Suzan is a 32 year old female doctor from Utrecht. Credit: EUR": 10 (00) or 50 (00)."""
    prompts = []
    for d in speakers("credit", n):
        sentence = genres.credit(d, "Credit")[0]
        amount = sentence.facts["amount"]
        wrong = tuple(a for a in genres.AMOUNTS["Credit"] if a != amount)
        prompts.append(Prompt(render(list(sentence.words[:-2])), (amount,), wrong, sentence.facts))
    return prompts


def sounds(n: int = 16) -> list[Prompt]:
    """ "Can you stop the dog from": barking, not the noises of the other animals."""
    noises = [noise.form for _, noise, _ in LEXICON.sounds]
    return [Prompt(f"Can you stop the {animal.form} from", (noise.form,),
                   tuple(other_noise for other_noise in noises if other_noise != noise.form),
                   {"animal": animal.form})
            for animal, noise, _ in LEXICON.sounds[:n]]  # fmt: skip


TASKS: dict[str, Callable[..., list[Prompt]]] = {
    "agreement": agreement, "greater_than": greater_than, "capitals": capitals,
    "indirect_objects": indirect_objects, "negated_sentiment": negated_sentiment,
    "credit": credit, "sounds": sounds,
}  # fmt: skip
