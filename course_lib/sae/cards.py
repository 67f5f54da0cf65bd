"""What a feature reacts to, and what it says: a card for each.

A card shows the texts where the feature was strongest, and some where it was weak as well: looking
at the top alone makes every feature look clean. Beside them stand the words that its direction
promotes and suppresses when the final norm and the unembedding read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.activations import record
from course_lib.architectures import final_norm, unembedding
from course_lib.models.text_model import as_list, require_causal
from course_lib.sae.base import SparseAutoencoder, check_width
from course_lib.sae.stream import BATCH_TOKENS

BEFORE, AFTER = 9, 4  # tokens of an example left and right of the strongest one
BINS = 12


@dataclass(frozen=True)
class Example:
    """A piece of text with a feature's strength at each token, shown for the one at `place`."""

    tokens: tuple[str, ...]
    strengths: tuple[float, ...]
    place: int

    @property
    def strength(self) -> float:
        return self.strengths[self.place]

    def __repr__(self) -> str:
        marked = [f"[{t} {s:.1f}]" if s > 0 else t
                  for t, s in zip(self.tokens, self.strengths, strict=True)]  # fmt: skip
        return " ".join(marked)


@dataclass(frozen=True)
class FeatureCard:
    """What is known of one feature.

    Attributes
    ----------
    feature : int
    density : float
        Share of tokens at which it is on.
    maximum : float
        Largest strength, in units of the model's states.
    words : tuple of (str, float)
        Tokens it is on at, with their share of its summed strength; the largest first.
    top, spread : tuple of Example
        The strongest examples, one a document; and one from each fifth of the range below them.
    promoted, suppressed : tuple of (str, float)
        Words whose logit the direction raises and lowers most, in standard deviations over the
        vocabulary.
    histogram : tuple of int
        Tokens in 12 equal intervals between 0 and the maximum.
    """

    feature: int
    density: float
    maximum: float
    words: tuple[tuple[str, float], ...]
    top: tuple[Example, ...]
    spread: tuple[Example, ...]
    promoted: tuple[tuple[str, float], ...]
    suppressed: tuple[tuple[str, float], ...]
    histogram: tuple[int, ...]

    def __repr__(self) -> str:
        lines = [
            f"feature {self.feature}: on at {self.density:.2%} of the tokens, maximum "
            f"{self.maximum:.1f}",
            "  on at      " + ", ".join(f"{word} {share:.0%}" for word, share in self.words),
            "  promotes   " + ", ".join(f"{word} {score:+.1f}" for word, score in self.promoted),
            "  suppresses " + ", ".join(f"{word} {score:+.1f}" for word, score in self.suppressed),
            *(f"  {example.strength:6.1f}  {example}" for example in self.top),
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class FeatureIndex:
    """Where every feature of an autoencoder was on, over some texts; made by `index_features`.

    Attributes
    ----------
    ids : int64 [N]
        The tokens, start tokens left out.
    document : int64 [N]
    tokens : tuple of str, length N
    order : int64 [A], strengths : float32 [A]
        Tokens at which feature 0 is on, then those of feature 1, ..., and how strongly.
    starts : int64 [F + 1]
        Where each feature's part of the two begins.
    effects : Tensor [F, V]
        Standardised change of every logit along each direction.
    names : tuple of str, length V
        The words of the vocabulary.
    """

    ids: np.ndarray
    document: np.ndarray
    tokens: tuple[str, ...]
    order: np.ndarray
    strengths: np.ndarray
    starts: np.ndarray
    effects: Tensor
    names: tuple[str, ...]

    @property
    def features(self) -> int:
        return len(self.starts) - 1

    def active(self, feature: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens at which a feature is on, and its strength there."""
        part = slice(self.starts[feature], self.starts[feature + 1])
        return self.order[part], self.strengths[part]

    @property
    def maxima(self) -> Tensor:
        """The largest strength of each feature, [F]."""
        return torch.tensor([float(self.active(f)[1].max(initial=0)) for f in range(self.features)])

    def search(self, word: str, top: int = 5) -> list[tuple[int, float]]:
        """Features that are on at a word and rarely elsewhere: (feature, F1), the best first.

        Raises ValueError if the word does not occur in the texts.
        """
        here = np.array([token == word for token in self.tokens])
        if not here.any():
            raise ValueError(f"{word!r} does not occur in the {len(self.tokens)} indexed tokens.")
        # [F], at how many tokens each is on
        on = np.diff(self.starts)
        # sums over each feature's part of `order`. For an empty part reduceat gives the entry that
        # stands there, which is another feature's: hence the factor
        hits = np.add.reduceat(np.append(here[self.order], 0), self.starts[:-1]) * (on > 0)
        return _best(2 * hits / (on + here.sum()), top)

    def promoting(self, word: str, top: int = 5) -> list[tuple[int, float]]:
        """Features whose direction raises the logit of a word most: (feature, score)."""
        if word not in self.names:
            raise ValueError(f"{word!r} is not a word of this model's vocabulary.")
        return _best(self.effects[:, self.names.index(word)].numpy(), top)


def _best(scores: np.ndarray, top: int) -> list[tuple[int, float]]:
    return [(int(f), float(scores[f])) for f in np.argsort(-scores, kind="stable")[:top]]


@torch.no_grad()
def index_features(lm: Any, sae: SparseAutoencoder, texts: Sequence[str]) -> FeatureIndex:
    """Run texts once and note where every feature is on.

    Parameters
    ----------
    lm : causal LanguageModel
    sae : SparseAutoencoder
    texts : sequence of str
        Some hundreds: rare features need many.

    Raises
    ------
    ValueError
        For no texts.

    Notes
    -----
    Cost: one forward pass over the texts.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.sae import load_sae
    >>> index = index_features(load_model(), load_sae(), ["The dog sleeps.", "The keys are old."])
    >>> index.tokens[:3], len(index.search("dog", top=2))
    (('The', 'dog', 'sleeps'), 2)
    """
    require_causal(lm, "index_features")
    rows = [lm.encode(text) for text in as_list(texts)]
    if not rows:
        raise ValueError("No texts were given: the list is empty.")
    found: list[Tensor] = [torch.empty(0)] * len(rows)
    for numbers, ids, mask in lm.batches(rows, BATCH_TOKENS):
        with record(lm, sae.site) as seen:
            lm(ids, mask, logits_to_keep=1)
        check_width(sae, seen[sae.site])
        for r, number in enumerate(numbers):
            # [T - 1, F], the start token left out; kept sparse: few features are on
            found[number] = sae.encode(seen[sae.site][r, 1 : len(rows[number])]).to_sparse()
    sparse = torch.cat(found).coalesce()
    token, feature = sparse.indices().numpy()  # [A] each
    order = np.lexsort((token, feature))  # by feature, then by token
    # feature f has the entries from starts[f] to starts[f + 1]
    starts = np.searchsorted(feature[order], np.arange(sae.features + 1))
    ids = np.concatenate([row[1:] for row in rows])
    document = np.repeat(np.arange(len(rows)), [len(row) - 1 for row in rows])
    names = [lm.token_string(i) for i in range(len(lm.tokenizer))]
    return FeatureIndex(
        ids, document, tuple(names[i] for i in ids), token[order], sparse.values().numpy()[order],
        starts, logit_effects(lm, sae.W_dec), tuple(names),
    )  # fmt: skip


@torch.no_grad()
def logit_effects(lm: Any, directions: Tensor) -> Tensor:
    """How directions [n, d] move the logits of all V words, standardised over words, [n, V].

    The direction is read by the final norm's gain and the unembedding, as in the logit lens; what
    is added to all logits alike is taken out.
    """
    size = len(lm.tokenizer)
    read = unembedding(lm)[:size].float() * final_norm(lm).weight  # [V, d] * [d]
    centred = directions - directions.mean(-1, keepdim=True)
    scores = centred @ read.T  # [n, d] @ [d, V]
    scores = scores - scores.mean(-1, keepdim=True)
    return scores / scores.std(-1, correction=0, keepdim=True).clamp_min(1e-12)


def feature_card(index: FeatureIndex, feature: int, examples: int = 5, words: int = 8):
    """The card of one feature.

    Parameters
    ----------
    index : FeatureIndex
    feature : int
    examples, words : int
        How many of each to show.

    Raises
    ------
    ValueError
        For a feature that is not there, or was on nowhere in the indexed texts.
    """
    if not 0 <= feature < index.features:
        raise ValueError(f"There is no feature {feature}: there are 0 to {index.features - 1}.")
    places, strengths = index.active(feature)
    if not len(places):
        raise ValueError(
            f"Feature {feature} was on at none of the {len(index.tokens)} indexed tokens. Index "
            "more texts, or choose another."
        )
    order = np.argsort(-strengths, kind="stable")
    maximum = float(strengths.max())
    totals: dict[str, float] = {}
    for place, strength in zip(places.tolist(), strengths.tolist(), strict=True):
        totals[index.tokens[place]] = totals.get(index.tokens[place], 0.0) + strength
    shares = sorted(totals.items(), key=lambda item: -item[1])[:words]
    whole = sum(totals.values())
    # the fifths of the range below the highest, which `top` shows
    spread = [
        [o for o in order if maximum * k / 5 < strengths[o] <= maximum * (k + 1) / 5]
        for k in (3, 2, 1, 0)
    ]
    best = index.effects[feature].sort(descending=True)
    scored = list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return FeatureCard(
        feature,
        len(places) / len(index.tokens),
        maximum,
        tuple((word, total / whole) for word, total in shares),
        tuple(_distinct(index, feature, places[order], examples)),
        tuple(_example(index, feature, places[b[len(b) // 2]]) for b in spread if b),
        tuple((index.names[i], score) for i, score in scored[:words]),
        tuple((index.names[i], score) for i, score in scored[: -words - 1 : -1]),
        tuple(np.histogram(strengths, BINS, (0, maximum))[0].tolist()),
    )


def _distinct(index: FeatureIndex, feature: int, places: np.ndarray, n: int) -> list[Example]:
    """Examples at these places, in their order, at most one a document."""
    used, found = set(), []
    for place in places:
        if (number := index.document[place]) not in used:
            used.add(number)
            found.append(_example(index, feature, place))
        if len(found) == n:
            break
    return found


def _example(index: FeatureIndex, feature: int, place: int) -> Example:
    start, end = np.searchsorted(index.document, index.document[place] + np.array([0, 1]))
    first, last = max(place - BEFORE, int(start)), min(place + AFTER + 1, int(end))
    places, strengths = index.active(feature)
    there = dict(zip(places.tolist(), strengths.tolist(), strict=True))
    return Example(
        index.tokens[first:last],
        tuple(there.get(p, 0.0) for p in range(first, last)),
        int(place) - first,
    )
