"""Gold labels for probes: documents of the course world, and what is true of each of their words.

Two traps stand between a probe and a claim about a model. A probe can memorise words: then it
answers for the words it has seen and knows nothing of the others. And it can recognise documents,
where all words of a document share a label. So every concept here has a *group* - the word, or the
document - and `split` puts a group into the training or into the test half, never into both.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_lib import world

GOLD_SEED = 800_000  # neither the training text (0) nor the held-out documents of the cards
MOST_OF_A_WORD = 20  # places of one word in a data set: "the" must not be half of it
FEWEST_PLACES, FEWEST_GROUPS = 10, 4  # of a class; rarer ones are left out


@dataclass(frozen=True)
class GoldWord:
    """One word of an annotated document.

    `document` is the number of the document, `token` the position of the word's last token in
    the ids of that document, `head` the position of the syntactic head relative to the word (0 for
    the root), `head_pos` its part of speech ("-" for the root). The rest is that of the generator.
    """

    form: str
    lemma: str
    pos: str
    number: str
    gender: str
    own_topic: str
    topic: str
    head: int
    head_pos: str
    entity: int
    document: int
    sentence: int
    last_sentence: bool
    token: int


@dataclass(frozen=True)
class Corpus:
    """Documents as a model reads them.

    Attributes
    ----------
    ids : one list of token ids a document, the start token first.
    words : the words of all documents, one after the other.
    seed : int
    """

    ids: tuple[list[int], ...]
    words: tuple[GoldWord, ...]
    seed: int

    def __repr__(self) -> str:
        return f"Corpus({len(self.ids)} documents, {len(self.words)} words, seed {self.seed})"


@dataclass(frozen=True)
class Targets:
    """What a probe has to tell: places in a corpus, and the right class of each.

    Attributes
    ----------
    concept : str
    places : int [N, 1], or [N, 2] for a concept of two words
        Indices of words of the corpus.
    labels : int [N], indices of `classes`.
    classes : tuple of str
    groups : array of str [N], what must not be in both halves of a split.
    words : array of str [N], the forms of the words; a control task labels these.
    """

    concept: str
    places: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray
    words: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Targets({self.concept!r}, {len(self)} places, {len(self.classes)} classes)"


def annotate(lm: Any, n: int = 150, seed: int = 0) -> Corpus:
    """Draw documents of three sentences or more that no model of the course was trained on.

    Parameters
    ----------
    lm : LanguageModel
        Its tokenizer may cut words; a word is then represented by its last token. Documents
        longer than its context are skipped, and those in which a token holds two words.
    n : int, documents of about 50 words each.

    Raises
    ------
    ValueError
        If n is below 1, or too few documents have each word among the tokens.

    Notes
    -----
    No forward pass.

    Examples
    --------
    >>> from course_lib import load_model
    >>> corpus = annotate(load_model("course-lm"), 2)
    >>> len(corpus.ids), corpus.words[0].token
    (2, 1)
    """
    if n < 1:
        raise ValueError(f"At least one document is needed, got n={n}.")
    ids, words = [], []
    for document in world.documents(GOLD_SEED + seed, 40 * n):
        if len(ids) == n:
            break
        if len(document.sentences) < 3:
            continue
        try:
            encoded = lm.encode(document.text)
            words += list(_words(document, last_tokens(lm, document.text, encoded), len(ids)))
        except ValueError as error:
            trouble = error
            continue
        ids.append(encoded)
    if len(ids) < n:
        raise trouble
    return Corpus(tuple(ids), tuple(words), seed)


def last_tokens(lm: Any, text: str, ids: list[int]) -> list[tuple[int, int]]:
    """(end of its characters, position in ids) of every token of a text."""
    offsets = lm.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = offsets["offset_mapping"]
    before = 1 if ids[0] == lm.bos_id or not lm.is_causal else 0  # tokens in front of the text
    return [(end, before + k) for k, (_, end) in enumerate(offsets)]


def _words(document: world.Document, tokens: list[tuple[int, int]], number: int) -> Iterator:
    """The words of a document with the place of the last token of each."""
    place_of = dict(tokens)  # a later token that ends at the same character wins
    start = 0
    for s, sentence in enumerate(document.sentences):
        forms = list(sentence.words)
        for k, word in enumerate(sentence.words_):
            end = start + len(world.render(forms[: k + 1]))  # in the characters of the document
            head = sentence.heads[k]
            yield GoldWord(
                form=word.form, lemma=word.lemma or word.form.lower(), pos=word.pos,
                number=word.number, gender=word.gender, own_topic=word.topic,
                topic=document.topic, head=head - k if head >= 0 else 0,
                head_pos=sentence.words_[head].pos if head >= 0 else "-",
                entity=sentence.entities[k], document=number, sentence=s,
                last_sentence=s >= 2 and s + 1 == len(document.sentences),
                token=_place(place_of, end, word.form),
            )  # fmt: skip
        start += len(sentence.text) + 1  # the space between sentences


def _place(place_of: dict[int, int], end: int, form: str) -> int:
    if end not in place_of:
        raise ValueError(
            f"No token ends where the word {form!r} ends, so its state cannot be read. The "
            "tokenizer joins words; probe a model whose tokens stay inside words."
        )
    return place_of[end]


# ---------------------------------------------------------------------------- the concepts
Labelled = Iterator[tuple[tuple[int, ...], str]]  # places of one example, and its class


def _pos(words: tuple[GoldWord, ...]) -> Labelled:
    yield from (((i,), w.pos) for i, w in enumerate(words))


def _number(words: tuple[GoldWord, ...]) -> Labelled:
    yield from (((i,), w.number) for i, w in enumerate(words)
                if w.pos == "NOUN" and w.number in ("sg", "pl"))  # fmt: skip


def _gender(words: tuple[GoldWord, ...]) -> Labelled:
    yield from (((i,), w.gender) for i, w in enumerate(words)
                if w.pos in ("NOUN", "PROPN") and w.gender in ("m", "f"))  # fmt: skip


def _role(words: tuple[GoldWord, ...]) -> Labelled:
    """A noun or name that depends on a verb: its subject stands before it, its object after."""
    yield from (((i,), "subject" if w.head > 0 else "object") for i, w in enumerate(words)
                if w.pos in ("NOUN", "PROPN") and w.head_pos == "VERB")  # fmt: skip


def _distance(words: tuple[GoldWord, ...]) -> Labelled:
    """How many words further the head stands; negative: before the word."""
    for i, w in enumerate(words):
        if w.head and w.pos != "PUNCT":
            far = {3: ">=3", -3: "<=-3"}
            # far heads are rare: together they are a class that can be learnt
            bounded = max(-3, min(3, w.head))
            yield (i,), far.get(bounded, f"{bounded:+d}")


def _topic(words: tuple[GoldWord, ...]) -> Labelled:
    """The document's topic, at words that have none of their own, from the third sentence on."""
    yield from (((i,), w.topic) for i, w in enumerate(words)
                if w.own_topic == "-" and w.last_sentence)  # fmt: skip


def _coreference(words: tuple[GoldWord, ...]) -> Labelled:
    """A pronoun with what it refers to, and with another earlier mention: the same entity?

    The other mention is the last one before the pronoun that refers to something else. Both pairs
    of a pronoun must come into the same half: who has seen one can tell the other.
    """
    mentions: dict[int, list[int]] = defaultdict(list)
    for i, w in enumerate(words):
        if not w.entity or w.pos not in ("NOUN", "PROPN", "PRON"):
            continue
        earlier = [j for j in mentions[w.document] if words[j].pos != "PRON"]
        if w.pos == "PRON":
            same = [j for j in earlier if words[j].entity == w.entity]
            lemmas = {words[j].lemma for j in same}
            others = [j for j in earlier
                      if words[j].entity != w.entity and words[j].lemma not in lemmas]  # fmt: skip
            if same and others:
                # one pair of each kind for a pronoun: the classes are equally frequent
                yield (same[-1], i), "same"
                yield (others[-1], i), "other"
        mentions[w.document].append(i)


@dataclass(frozen=True)
class Concept:
    """How a concept is read off the annotation, and what one line of a table says about it."""

    label: Callable[[tuple[GoldWord, ...]], Labelled]
    question: str
    group: str = "word"


CONCEPTS: dict[str, Concept] = {
    "pos": Concept(_pos, "part of speech of the word"),
    "number": Concept(_number, "is the noun singular or plural?"),
    "gender": Concept(_gender, "does the name or noun mean a man or a woman?"),
    "role": Concept(_role, "is the noun subject or object of its verb?"),
    "distance": Concept(_distance, "how far away is the syntactic head?"),
    "coreference": Concept(_coreference, "does the pronoun mean this earlier noun?", "document"),
    "topic": Concept(_topic, "topic of the document, at words that have none", "document"),
}


def targets(corpus: Corpus, concept: str, n: int = 1200, seed: int = 0) -> Targets:
    """Draw places of a corpus with their gold labels for one concept.

    Parameters
    ----------
    corpus : Corpus of `annotate`.
    concept : a name in `CONCEPTS`.
    n : int
        At most so many places; at most 20 with the same word.

    Returns
    -------
    Targets
        In random order. Classes with fewer than 10 places or 4 groups are left out.

    Raises
    ------
    ValueError
        For an unknown concept, or if fewer than two classes remain.

    Examples
    --------
    >>> from course_lib import load_model
    >>> corpus = annotate(load_model("course-lm"), 20)
    >>> targets(corpus, "number", 50).classes
    ('pl', 'sg')
    """
    if concept not in CONCEPTS:
        raise ValueError(f"Unknown concept {concept!r}. Choose one of {', '.join(CONCEPTS)}.")
    found = list(CONCEPTS[concept].label(corpus.words))
    # in random order, so that the first n are no one document's
    order = np.random.default_rng(seed).permutation(len(found))
    seen: Counter[tuple[str, str]] = Counter()
    kept = []
    for k in order:
        places, label = found[k]
        word = corpus.words[places[0]].lemma, corpus.words[places[0]].form
        seen[word] += 1
        if seen[word] <= MOST_OF_A_WORD or concept == "topic":
            kept.append((places, label))
    kept = kept[:n]
    by_document = CONCEPTS[concept].group == "document"
    counts = Counter(label for _, label in kept)
    groups = defaultdict(set)
    for (place, *_), label in kept:
        word = corpus.words[place]
        # a class that two words make up could be learnt as these two words
        groups[label].add(str(word.document) if by_document else word.lemma)
    classes = tuple(sorted(c for c in counts if counts[c] >= FEWEST_PLACES
                           and len(groups[c]) >= FEWEST_GROUPS))  # fmt: skip
    kept = [item for item in kept if item[1] in classes]
    if len(classes) < 2:
        raise ValueError(
            f"{concept!r} needs two classes with {FEWEST_PLACES} places and {FEWEST_GROUPS} "
            f"groups each; this corpus has {dict(counts)} places. Annotate more documents."
        )
    places = np.array([p for p, _ in kept])
    words = [corpus.words[p[0]] for p, _ in kept]
    return Targets(
        concept, places, np.array([classes.index(label) for _, label in kept]), classes,
        np.array([str(w.document) if by_document else w.lemma for w in words]),
        np.array([w.form.lower() for w in words]),
    )  # fmt: skip


def split(
    data: Targets, by: str = "group", share: float = 0.3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split places into a training and a test half; returns their indices.

    Parameters
    ----------
    by : "group" or "place"
        "group": no word (for the topic: no document) is in both. "place": at random, so that most
        test words were seen in training; a control task needs this, anything else is misled by it.
    share : float, about so much of the places goes into the test half.

    Raises
    ------
    ValueError
        For another `by`, or where no division has every class in both halves.

    Examples
    --------
    >>> from course_lib import load_model
    >>> data = targets(annotate(load_model("course-lm"), 20), "number", 200)
    >>> train, test = split(data)
    >>> set(data.groups[train]) & set(data.groups[test])
    set()
    """
    if by not in ("group", "place"):
        raise ValueError(f"by must be 'group' or 'place', got {by!r}.")
    rng = np.random.default_rng(seed)
    units = data.groups if by == "group" else np.arange(len(data))
    names, unit = np.unique(units, return_inverse=True)  # unit [N], a number for each group
    # a rare class may fall into one half alone: then we divide again
    for _ in range(50):
        order = rng.permutation(len(names))
        sizes = np.bincount(unit, minlength=len(names))[order]
        # groups in random order, until they hold the share of the places
        chosen = order[np.cumsum(sizes) <= share * len(data)]
        test = np.isin(unit, chosen)
        halves = data.labels[~test], data.labels[test]
        if all(len(np.unique(half)) == len(data.classes) for half in halves):
            return np.flatnonzero(~test), np.flatnonzero(test)
    raise ValueError(
        f"No division of the {len(names)} groups has all {len(data.classes)} classes of "
        f"{data.concept!r} in both halves. Draw more places, or split by place."
    )


def control_labels(data: Targets, seed: int = 0) -> np.ndarray:
    """Labels of a control task: every word gets one class, drawn once and for all.

    Classes are drawn with the frequencies of the true ones. Who learns these labels has
    memorised words (Hewitt & Liang 2019).

    Examples
    --------
    >>> from course_lib import load_model
    >>> data = targets(annotate(load_model("course-lm"), 20), "number", 200)
    >>> labels = control_labels(data)
    >>> all(len(set(labels[data.words == word])) == 1 for word in data.words)
    True
    """
    rng = np.random.default_rng(seed)
    names, word = np.unique(data.words, return_inverse=True)
    # one draw for each word, [words], handed to all of its places, [N]
    return rng.choice(data.labels, size=len(names))[word]
