"""Documents: one latent topic, shared by every sentence in it.

About half of the text is documents of three to eight sentences; the other documents are one
sentence, or a few that belong together. The sentences of a long document come from the grammar
and from the text types that can carry a topic, so that in a document about transit people admire
bridges, reviews speak of tunnels and directions cross them. They also share a cast of two or
three people, so that a name is often one that has been read before.
"""

from __future__ import annotations

from collections.abc import Iterator

from course_lib.world.genres import GENRES
from course_lib.world.grammar import statement
from course_lib.world.lexicon import LEXICON, TOPICS
from course_lib.world.phrases import Speaker, Weights, finish
from course_lib.world.sentence import Document, Sentence

SHORT = Weights(statement=44, fact=7, fact_questions=10, years=12, indirect_object=9, sound=4,
                credit=9, occupation=5, review=4, festival=3)  # fmt: skip
LONG = Weights(statement=70, directions=3.5, review=6, indirect_object=8, occupation=3, sound=1.5,
               years=5, festival=1.5)  # fmt: skip
LONG_SHARE, CHRONICLE_SHARE = 0.2, 0.08  # a fifth of the documents, half of the tokens


def draw(d: Speaker, table: Weights) -> list[Sentence]:
    """One sentence (or a few that belong together) of a kind drawn from `table`."""
    kind = d.weighted(table)
    if kind == "statement":
        phrase, name, end = statement(d)
        return [finish(phrase, d.topic, name, end)]
    d.subject = None
    return GENRES[kind](d)


def document(seed: int | str) -> Document:
    """The document of this seed."""
    return tell(Speaker(seed, "-"))


def tell(d: Speaker) -> Document:
    """A document as this speaker draws it."""
    d.topic = d.pick(TOPICS)
    if not d.chance(LONG_SHARE):
        return Document(d.topic, draw(d, SHORT))
    if d.chance(CHRONICLE_SHARE):
        return Document(d.topic, GENRES["chronicle"](d))
    d.cast = d.sample(LEXICON.names, d.pick((2, 3, 3)))
    sentences: list[Sentence] = []
    for _ in range(d.pick((3, 4, 5, 6, 7, 8))):
        sentences += draw(d, LONG)
    return Document(d.topic, sentences)


def documents(seed: int, n: int) -> Iterator[Document]:
    """Stream `n` training documents.

    Examples
    --------
    >>> first = next(documents(seed=0, n=1))
    >>> first.topic in TOPICS
    True
    """
    for index in range(n):
        yield document(f"{seed}:{index}")


def sentences(seed: int, n: int) -> Iterator[Sentence]:
    """Stream `n` training sentences, document after document."""
    made = 0
    for index in range(n):
        for sentence in document(f"{seed}:{index}").sentences:
            if made == n:
                return
            made += 1
            yield sentence
