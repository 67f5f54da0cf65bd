"""Features against neurons, decided by the generator's gold labels.

A *concept* is a property of tokens that the generator knows: the word belongs to the topic music,
it is a plural, the document is about transit. A *unit* is one number the model (or an autoencoder)
computes at every token: a feature's strength, a neuron's activation. We ask how well a single unit,
cut at one threshold, says whether the concept holds:

    F1 = 2 * hits / (tokens where the unit is on + tokens where the concept holds)

The unit and its threshold are chosen on half of the documents and judged on the other half: among a
thousand units some fit any labels by luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from course_lib.activations import record
from course_lib.intervals import bootstrap_counts, ends
from course_lib.models.text_model import require_causal
from course_lib.sae.base import SparseAutoencoder
from course_lib.sae.stream import BATCH_TOKENS
from course_lib.world.documents import document
from course_lib.world.lexicon import LEXICON, TOPICS
from course_lib.world.sentence import Document, Word

CONTENT = ("NOUN", "VERB", "ADJ")

#: Text type -> the constructions it is made of; all others are plain statements of the grammar.
TEXT_TYPES = {
    "statement": (),
    "fact": ("capital_of", "is_capital", "language_of", "continent_of", "currency_of", "pays_in"),
    "question": ("q_capital", "q_language", "q_continent", "q_currency"),
    "years": ("year_span", "year_began"),
    "date": ("year_in",),
    "giving": ("ioi_went", "ioi_after", "ioi_then"),
    "sound": ("sound_stop", "sound_see", "sound_hear", "sound_please", "sound_is", "action_is"),
    "credit": ("credit",),
    "review": ("review", "review_but"),
    "festival": ("festival", "festival_bare"),
    "occupation": ("occupation_said", "occupation_because"),
    "directions": ("directions",),
}
TYPE_OF = {rule: name for name, rules in TEXT_TYPES.items() for rule in rules}

#: Kinds of words that the lexicon keeps in tables of their own.
WORD_KINDS = {
    "country": {row["country"] for row in LEXICON.countries},
    "capital": {row["capital"] for row in LEXICON.countries},
    "currency": {row["currency"] for row in LEXICON.countries},
    "two digits": {f"{number:02d}" for number in range(100)},
    "praise": {word.form for word in LEXICON.adjectives["positive", "-"]},
    "blame": {word.form for word in LEXICON.adjectives["negative", "-"]},
    "event": {event.form for event, _ in LEXICON.events},
    "city": {city.form for city in LEXICON.cities},
}


@dataclass(frozen=True)
class GoldTokens:
    """N tokens of generated documents with their gold labels; start tokens are left out.

    Attributes
    ----------
    texts : tuple of str
        The documents.
    ids : tuple of lists
        Their token ids with the start token, as `lm.encode` gives them.
    document : int64 [N]
        Which document a token belongs to.
    words : tuple of Word or None, length N
        The word that the token ends.
    topics : str [N]
        Topic of the document.
    concepts : dict from name to bool [N]
        Where the concept holds.
    judged : dict from name to bool [N]
        The tokens at which it is asked; others count neither way.
    """

    texts: tuple[str, ...]
    ids: tuple[list[int], ...]
    document: np.ndarray
    words: tuple[Word | None, ...]
    topics: np.ndarray
    concepts: Mapping[str, np.ndarray]
    judged: Mapping[str, np.ndarray]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {held.mean():.3f}" for name, held in self.concepts.items())
        return f"{len(self.document)} tokens of {len(self.texts)} documents; {shown}"


def gold_tokens(lm: Any, n: int = 600, seed: int | str = "gold") -> GoldTokens:
    """Tokens with gold labels for topics, text types, kinds of words, parts of speech and number.

    Parameters
    ----------
    lm : causal LanguageModel
        Where its tokenizer cuts a word, only the last piece is judged.
    n : int
        Documents.
    seed : int or str
        Not one an autoencoder was trained on.

    Returns
    -------
    GoldTokens
        - "topic: music" and so on, 12 of them: the document's topic. Judged at every token once
          three words of that topic were read: before, nobody could know it.
        - "word: music": the word belongs to the topic. Judged at nouns, verbs and adjectives.
        - "type: credit": the sentence is of this text type (`TEXT_TYPES`). Judged from the fourth
          token of a sentence on.
        - "country", "two digits", "praise", ... (`WORD_KINDS`), and "noun", "plural noun",
          "verb", "name", "punctuation": judged at every token.

    Raises
    ------
    ValueError
        If n is below 2: units are chosen and judged on different documents.

    Examples
    --------
    >>> from course_lib import load_model
    >>> gold = gold_tokens(load_model(), n=2)
    >>> len(gold.words) == len(gold.document) == len(gold.concepts["noun"])
    True
    """
    require_causal(lm, "gold_tokens")
    if n < 2:
        raise ValueError("At least 2 documents are needed: units are chosen on one half of them.")
    made = [document(f"{seed}:{index}") for index in range(n)]
    ids = [lm.encode(d.text) for d in made]
    tokens = [token for d in made for token in _labelled(lm, d)]
    numbers = np.repeat(np.arange(n), [len(row) - 1 for row in ids])
    words = tuple(token.word for token in tokens)
    topics = np.array([made[number].topic for number in numbers])
    return GoldTokens(tuple(d.text for d in made), tuple(ids), numbers, words, topics,
                      *_concepts(tokens, topics))  # fmt: skip


class Labelled(NamedTuple):
    """A token: the word it ends (None inside a word), words of the topic so far, the construction
    of its sentence, and its place there in words."""

    word: Word | None
    read: int
    construction: str
    place: int


def _labelled(lm: Any, d: Document) -> list[Labelled]:
    text, end, read = d.text, 0, 0
    ends: dict[int, Labelled] = {}
    for sentence in d.sentences:
        for place, word in enumerate(sentence.words_):
            # words follow each other, so each is looked for behind the one before
            end = text.index(word.form, end) + len(word.form)
            read += word.topic == d.topic
            ends[end] = Labelled(word, read, sentence.construction, place)
    offsets = lm.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    last = Labelled(None, 0, "", 0)
    tokens = []
    for _, stop in (span for span in offsets if span[1] > span[0]):
        # a token that ends inside a word belongs to its sentence, but ends no word
        last = ends.get(stop, last._replace(word=None))
        tokens.append(last)
    return tokens


def _concepts(tokens: Sequence[Labelled], topic: np.ndarray):
    """Where each concept holds, and where it is asked."""
    words = [token.word for token in tokens]
    whole = np.array([word is not None for word in words])
    form, pos, number, about = (
        np.array([getattr(word, name) if word else "" for word in words])
        for name in ("form", "pos", "number", "topic")
    )
    kind = np.array([TYPE_OF.get(token.construction, "statement") for token in tokens])
    # `whole`: at the last token of a word, where the model has read all of it
    known = np.array([token.read >= 3 for token in tokens]) & whole
    settled = np.array([token.place >= 3 for token in tokens]) & whole
    labels, judged = {}, {}
    for name in TOPICS:
        labels[f"topic: {name}"], judged[f"topic: {name}"] = topic == name, known
    for name in TOPICS:
        labels[f"word: {name}"], judged[f"word: {name}"] = about == name, np.isin(pos, CONTENT)
    for name in TEXT_TYPES:
        labels[f"type: {name}"], judged[f"type: {name}"] = kind == name, settled
    everywhere = {name: np.isin(form, sorted(forms)) for name, forms in WORD_KINDS.items()} | {
        "noun": pos == "NOUN",
        "plural noun": (pos == "NOUN") & (number == "pl"),
        "verb": pos == "VERB",
        "name": pos == "PROPN",
        "punctuation": pos == "PUNCT",
    }
    return labels | everywhere, judged | dict.fromkeys(everywhere, whole)


@torch.no_grad()
def unit_activations(
    lm: Any, gold: GoldTokens, units: str | SparseAutoencoder | Sequence[str | SparseAutoencoder]
) -> Tensor | list[Tensor]:
    """What units compute at the gold tokens.

    Parameters
    ----------
    units : str or SparseAutoencoder, or a sequence of them
        A site, such as "neurons.2", whose numbers are the units; or an autoencoder, whose features
        are.

    Returns
    -------
    Tensor [N, U], or a list of them for a sequence.

    Notes
    -----
    Cost: one forward pass over the documents, for all of them together.
    """
    listed = [units] if isinstance(units, str | SparseAutoencoder) else list(units)
    sites = [unit if isinstance(unit, str) else unit.site for unit in listed]
    found: list[list[Tensor]] = [[torch.empty(0)] * len(gold.ids) for _ in listed]
    for numbers, ids, mask in lm.batches(gold.ids, BATCH_TOKENS):
        with record(lm, set(sites)) as seen:
            lm(ids, mask, logits_to_keep=1)
        for unit, site, rows in zip(listed, sites, found, strict=True):
            for r, number in enumerate(numbers):
                # [T, U], start token and padding left out
                x = seen[site][r, 1 : len(gold.ids[number])]
                rows[number] = x.clone() if isinstance(unit, str) else unit.encode(x)
    stacked = [torch.cat(rows) for rows in found]
    return stacked[0] if isinstance(units, str | SparseAutoencoder) else stacked


def per_document(values: Tensor, gold: GoldTokens, how: str = "mean") -> tuple[Tensor, GoldTokens]:
    """One row for each document: how strongly a unit was on in it, and the document's topic.

    Parameters
    ----------
    values : Tensor [N, U]
        From `unit_activations`.
    how : "mean" or "max"
        Over the tokens of a document.

    Returns
    -------
    Tensor [D, U], and gold labels "document: music" and so on, for `best_units`.
    """
    if how not in ("mean", "max"):
        raise ValueError(f"The values of a document are joined by 'mean' or 'max', not {how!r}.")
    numbers, starts = np.unique(gold.document, return_index=True)
    # [N, U] -> one [T, U] for each document
    pieces = values.tensor_split(torch.tensor(starts[1:]))
    rows = torch.stack([getattr(torch, "amax" if how == "max" else how)(p, 0) for p in pieces])
    labels = {}
    for topic in TOPICS:
        labels[f"document: {topic}"] = gold.topics[starts] == topic
    everywhere = np.ones(len(numbers), bool)
    return rows, GoldTokens(gold.texts, gold.ids, np.arange(len(numbers)), (), gold.topics[starts],
                            labels, dict.fromkeys(labels, everywhere))  # fmt: skip


@dataclass(frozen=True)
class BestUnit:
    """The unit that detects a concept best, and how well it does on other documents.

    Attributes
    ----------
    concept : str
    unit : int
    threshold : float
        The unit says yes above it. Both were chosen on the first half of the documents.
    f1, precision, recall : float
        On the second half.
    low, high : float
        95 % bootstrap interval of F1 over documents.
    hits, on, held : int64 [D]
        For each document of the second half: tokens where unit and concept agree on yes, where the
        unit says yes, where the concept holds.
    """

    concept: str
    unit: int
    threshold: float
    f1: float
    low: float
    high: float
    precision: float
    recall: float
    hits: np.ndarray
    on: np.ndarray
    held: np.ndarray

    def __repr__(self) -> str:
        return (
            f"{self.concept}: unit {self.unit} above {self.threshold:.3g}, F1 {self.f1:.2f} "
            f"[{self.low:.2f}, {self.high:.2f}], precision {self.precision:.2f}, recall "
            f"{self.recall:.2f}, {int(self.held.sum())} tokens"
        )


def best_units(
    values: Tensor, gold: GoldTokens, concepts: Sequence[str] | None = None, seed: int = 0
) -> list[BestUnit]:
    """For each concept, the best of U units and its F1 on other documents.

    Parameters
    ----------
    values : Tensor [N, U]
        From `unit_activations`. Higher = more of the concept; a unit that goes down where the
        concept holds does not count (pass -values for those).
    concepts : sequence of str, optional
        Default: all of `gold`.
    seed : int
        Of the two halves and the bootstrap.

    Raises
    ------
    ValueError
        For values of another length, or an unknown concept.

    Notes
    -----
    All cuts of all units are tried: 1 sort of the values. No forward pass.
    """
    names = list(gold.concepts) if concepts is None else list(concepts)
    if len(values) != len(gold.document):
        raise ValueError(f"{len(values)} values do not fit {len(gold.document)} tokens.")
    if unknown := set(names) - set(gold.concepts):
        raise ValueError(f"Unknown concepts {sorted(unknown)}; there are {list(gold.concepts)}.")
    rng = np.random.default_rng(seed)
    # [N], True for the tokens of a random half of the documents
    first = np.isin(gold.document, rng.permutation(gold.document.max() + 1)[::2])
    chosen = _choose(values[torch.tensor(first)], gold, names, first)
    return [
        judge_unit(values, gold, name, unit, threshold, ~first, seed)
        for name, (unit, threshold) in zip(names, chosen, strict=True)
    ]


def _choose(values: Tensor, gold: GoldTokens, names: list[str], part: np.ndarray):
    """Unit and threshold with the highest F1, for each concept."""
    best = [(-1.0, 0, 0.0)] * len(names)
    labels = [(torch.tensor(gold.judged[n][part]), torch.tensor(gold.concepts[n][part]))
              for n in names]  # fmt: skip
    for start in range(0, values.shape[1], 128):  # few units at a time: less memory
        ordered = values[:, start : start + 128].T.contiguous().sort(-1, descending=True)
        level, order = ordered.values, ordered.indices  # [units, n] each
        inside_tie = torch.ones_like(level, dtype=torch.bool)  # a cut goes between two values
        inside_tie[:, :-1] = level[:, :-1] == level[:, 1:]
        for n, (judged, held) in enumerate(labels):
            # [units, n]: entry c counts among the c + 1 highest values, as if the threshold lay
            # below
            on = judged[order].cumsum(-1)
            hits = (judged & held)[order].cumsum(-1)
            f1 = 2 * hits / (on + (judged & held).sum()).clamp_min(1)
            # equal values are all above the threshold or all below
            f1[inside_tie] = -1
            flat = int(f1.argmax())
            # place in [units * n]
            unit, cut = divmod(flat, f1.shape[1])
            if (found := float(f1[unit, cut])) > best[n][0]:
                # halfway to the next value
                middle = float(level[unit, cut : cut + 2].mean())
                best[n] = (found, start + unit, middle)
    return [(unit, threshold) for _, unit, threshold in best]


def judge_unit(values: Tensor, gold: GoldTokens, concept: str, unit: int, threshold: float,
               part: np.ndarray | None = None, seed: int = 0) -> BestUnit:  # fmt: skip
    """F1 of one unit, cut at one threshold, on some tokens (default all)."""
    asked = gold.judged[concept] & (True if part is None else part)
    documents = gold.document[asked]
    says = (values[:, unit] > threshold).numpy()[asked]
    holds = gold.concepts[concept][asked]
    counted = [np.bincount(documents[rows], minlength=gold.document.max() + 1)
               for rows in (says & holds, says, holds)]  # fmt: skip
    used = np.bincount(documents, minlength=len(counted[0])) > 0
    hits, on, held = (counts[used] for counts in counted)
    weights = bootstrap_counts(len(hits), 1000, seed)  # documents
    low, high = ends(f1_score(weights @ hits, weights @ on, weights @ held))
    total = f1_score(hits.sum(), on.sum(), held.sum())
    return BestUnit(concept, unit, threshold, float(total), low, high,
                    float(hits.sum() / max(on.sum(), 1)), float(hits.sum() / max(held.sum(), 1)),
                    hits, on, held)  # fmt: skip


def f1_score(hits: Any, on: Any, held: Any) -> Any:
    """F1 from counts; 0 where nothing is on and nothing holds."""
    return 2 * hits / np.maximum(on + held, 1)


def f1_difference(a: BestUnit, b: BestUnit, seed: int = 0) -> tuple[float, float, float]:
    """F1 of `a` minus F1 of `b` with a 95 % interval, both on the same documents (paired).

    Raises ValueError if the two were not judged on the same tokens.
    """
    if a.concept != b.concept or not np.array_equal(a.held, b.held):
        raise ValueError("The two units were judged on different tokens or concepts.")
    weights = bootstrap_counts(len(a.held), 1000, seed)
    held = weights @ a.held
    gaps = f1_score(weights @ a.hits, weights @ a.on, held) - f1_score(
        weights @ b.hits, weights @ b.on, held
    )
    return a.f1 - b.f1, *ends(gaps)
