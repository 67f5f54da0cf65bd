"""What MLP neurons write, in words.

The output of an MLP is a sum over its neurons: each adds its activation a_i times a fixed value
vector v_i, its row of the output matrix (and the bias is added whatever they do):

    mlp_out = sum over neurons i of a_i v_i  +  bias

A value vector is a direction of the stream, so the lens can read it: with the scale of the final
norm held fixed, adding v changes the logit of word w in proportion to v . direction_w (see
`readout`). Scores here are that product over all words, standardised to mean 0 and standard
deviation 1, since the same added to all logits changes nothing and vectors differ in length.

Geva et al. (2022) multiply v by the unembedding alone. We keep the final norm's gain and mean,
which the model applies: so the sum of all sub-updates is the MLP's direct contribution, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from course_lib.activations import record
from course_lib.architectures import blocks, family_of, n_layers
from course_lib.lens.parts import asked_logit, frozen_caption, output_bias, output_rows, shares_of
from course_lib.lens.readout import readout, token_at, word_ids
from course_lib.world.lexicon import LEXICON

Scored = tuple[tuple[str, float], ...]


def value_vectors(lm: Any, layer: int) -> Tensor:
    """The value vectors of one layer's neurons, [m, d]; not a copy, so never change them.

    Raises ValueError for a layer that is not there.

    Examples
    --------
    >>> from course_lib import load_model
    >>> value_vectors(load_model(), 0).shape
    torch.Size([1024, 256])
    """
    if not 0 <= layer < n_layers(lm):
        raise ValueError(f"There is no layer {layer}: this model has 0 to {n_layers(lm) - 1}.")
    return output_rows(blocks(lm)[layer].get_submodule(family_of(lm).mlp_out))


def word_scores(lm: Any, vectors: Tensor) -> Tensor:
    """Standardised scores of vectors [n, d] for every word of the vocabulary, [n, V].

    Positive = adding the vector to the stream raises this word's logit above the mean logit; 2 =
    by two standard deviations of the vector's own scores. A vector that moves all logits alike
    has scores 0.
    """
    scores = vectors @ _directions(lm).to(vectors).T  # [n, d] @ [d, V]
    spread = scores.std(-1, correction=0, keepdim=True)
    # the mean is 0 already: a product with directions from which their mean was taken
    return scores / spread.clamp_min(torch.finfo(scores.dtype).tiny)


def _directions(lm: Any) -> Tensor:
    """direction_w of every token of the tokenizer [V, d], minus their mean."""
    found = readout(lm).directions(slice(len(lm.tokenizer)))
    return found - found.mean(0)


def vector_words(lm: Any, vectors: Tensor, k: int = 10) -> list[Scored]:
    """The k words that each of some vectors [n, d] raises most, with standardised scores.

    Examples
    --------
    >>> from course_lib import load_model
    >>> lm = load_model()
    >>> from course_lib.lens import lens_direction
    >>> vector_words(lm, lens_direction(lm, "Warsaw")[None], k=1)[0][0][0]
    'Warsaw'
    """
    best = word_scores(lm, vectors).topk(min(k, len(lm.tokenizer)))
    return [
        tuple((lm.token_string(i), s) for i, s in zip(ids, scores, strict=True))
        for ids, scores in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class ValueHit:
    """A neuron whose value vector promotes the words that were searched for.

    `score` is the mean of their standardised scores, `words` the ten words it raises most.
    """

    layer: int
    neuron: int
    score: float
    words: Scored

    def __repr__(self) -> str:
        words = " ".join(word for word, _ in self.words)
        return f"neuron {self.layer}.{self.neuron}  {self.score:+.2f}  {words}"


@torch.no_grad()
def search_values(lm: Any, words: str | Sequence[str], top: int = 10) -> list[ValueHit]:
    """Which value vectors promote a word, or all of several words?

    Parameters
    ----------
    lm : causal LanguageModel
    words : str or sequence of str
        One token each.
    top : int

    Returns
    -------
    list of ValueHit, the highest mean score first, over all layers.

    Raises
    ------
    ValueError, UnsupportedArchitecture
        For words of several tokens or none; as in `readout`.

    Notes
    -----
    No forward pass: only weights are read. That a vector promotes a word does not say when its
    neuron is active: see `sub_updates`.

    Examples
    --------
    >>> from course_lib import load_model
    >>> hits = search_values(load_model(), ["pizza", "soup"], top=3)
    >>> len(hits), hits[0].score >= hits[1].score
    (3, True)
    """
    ids = [lm.token_id(word) for word in ([words] if isinstance(words, str) else words)]
    if not ids:
        raise ValueError("No words were given: the list is empty. Pass at least one word.")
    # [L, m]
    means = torch.stack(
        [word_scores(lm, value_vectors(lm, k))[:, ids].mean(-1) for k in range(n_layers(lm))]
    )
    best = means.flatten().topk(min(top, means.numel()))
    hits = []
    for place, score in zip(best.indices.tolist(), best.values.tolist(), strict=True):
        # place in [L * m]
        layer, neuron = divmod(place, means.shape[1])
        hits.append(
            ValueHit(layer, neuron, score, vector_words(lm, value_vectors(lm, layer)[[neuron]])[0])
        )
    return hits


@dataclass(frozen=True)
class SubUpdates:
    """What every neuron adds to one logit (or a difference of two) at one token of a text.

    Attributes
    ----------
    lm : LanguageModel
    text, word : str
    foil : str or None
    token : str
    activations : Tensor [L, m]
    effects : Tensor [L, m]
        activation x value vector, along the word's direction at the frozen scale of the final
        norm; in units of the logit, positive = raises the word (over the foil).
    bias : Tensor [L]
        The same for the MLPs' biases. `effects.sum(-1) + bias` are the MLPs' contributions of
        `direct_attribution`.
    """

    lm: Any = field(repr=False)
    text: str
    word: str
    foil: str | None
    token: str
    activations: Tensor
    effects: Tensor
    bias: Tensor

    def top(self, k: int = 10) -> list[tuple[int, int, float, float, Scored]]:
        """(layer, neuron, activation, effect, words it raises), the strongest effect first."""
        order = self.effects.abs().flatten().topk(min(k, self.effects.numel())).indices
        found = []
        for place in order.tolist():
            layer, neuron = divmod(place, self.effects.shape[1])
            words = vector_words(self.lm, value_vectors(self.lm, layer)[[neuron]])[0]
            a, e = float(self.activations[layer, neuron]), float(self.effects[layer, neuron])
            found.append((layer, neuron, a, e, words))
        return found

    @property
    def caption(self) -> str:
        """All that must stand beside the numbers."""
        what = f"direct effect of single neurons on {asked_logit(self.word, self.foil)}"
        return frozen_caption(what, self.token, self.text)

    def __repr__(self) -> str:
        lines = [
            f"  neuron {layer}.{neuron:<5} activation {a:+6.2f}  effect {e:+6.3f}  "
            + " ".join(word for word, _ in words[:5])
            for layer, neuron, a, e, words in self.top()
        ]
        return "\n".join([f"{self.caption}; strongest ten:", *lines])


@torch.no_grad()
def sub_updates(
    lm: Any, text: str, word: str, foil: str | None = None, token: int = -1
) -> SubUpdates:
    """Share out the MLPs' direct contributions to a logit among their neurons.

    Parameters and errors are those of `direct_attribution`.

    Returns
    -------
    SubUpdates

    Notes
    -----
    Cost: 1 forward pass. In gated MLPs (llama, qwen) the activation is that of the product.
    Source: Geva et al. 2022, "Transformer feed-forward layers build predictions by promoting
    concepts in the vocabulary space"; our effects keep the final norm.

    Examples
    --------
    >>> from course_lib import load_model
    >>> found = sub_updates(load_model(), "Can you stop the dog from", "barking", "crying")
    >>> found.effects.shape
    torch.Size([6, 1024])
    """
    read, ids = readout(lm), word_ids(lm, word, foil)
    row, place = token_at(lm, text, token)
    layers = range(n_layers(lm))
    last = f"resid_post.{layers[-1]}"
    with record(lm, [last, *(f"neurons.{layer}" for layer in layers)]) as seen:
        lm(torch.tensor([row], device=lm.device))
    project = shares_of(read, seen[last][0, place].double(), ids)
    # [L, m]
    activations = torch.stack([seen[f"neurons.{layer}"][0, place] for layer in layers]).double()
    # [m, d] -> [m] for each layer: what an activation of 1 does to the logit
    per_unit = torch.stack([project(value_vectors(lm, layer)) for layer in layers])
    modules = [block.get_submodule(family_of(lm).mlp_out) for block in blocks(lm)]
    bias = project(torch.stack([output_bias(module) for module in modules]))  # [L, d] -> [L]
    return SubUpdates(
        lm, text, word, foil, lm.token_string(row[place]), activations.cpu(),
        (activations * per_unit).cpu(), bias.cpu(),
    )  # fmt: skip


@dataclass(frozen=True)
class ValuePurity:
    """How far value vectors promote words of one kind, by the world's own annotation.

    Attributes
    ----------
    by : str
        What words are sorted by: "topic", "pos", "number" or "gender".
    names : tuple of str
        The kinds.
    purity : Tensor [L, m]
        Share of a vector's k highest words that belong to its most frequent kind, 0 to 1.
    kind : Tensor [L, m], int
        That kind, an index into `names`; -1 where none of the words has one.
    baselines : dict from name to Tensor [R]
        The purity of vectors that mean nothing: "random directions" (isotropic), and "mixtures"
        (random sums of all value vectors, which have their covariance).
    k, seed : int
    """

    by: str
    names: tuple[str, ...]
    purity: Tensor
    kind: Tensor
    baselines: dict[str, Tensor]
    k: int
    seed: int

    def pure(self, at_least: float = 0.8) -> list[tuple[int, int, str]]:
        """(layer, neuron, kind) of every vector that pure."""
        places = (self.purity >= at_least).nonzero().tolist()
        return [(layer, neuron, self.names[int(self.kind[layer, neuron])])
                for layer, neuron in places]  # fmt: skip

    def share(self, at_least: float = 0.8) -> dict[str, float]:
        """Share of vectors that pure: the model's and the baselines'."""
        every = {"value vectors": self.purity.flatten(), **self.baselines}
        return {name: float((x >= at_least).double().mean()) for name, x in every.items()}

    def __repr__(self) -> str:
        head = (
            f"{self.by} purity of the {self.k} highest words of {self.purity.numel()} value "
            f"vectors; baselines of {len(next(iter(self.baselines.values())))} (seed {self.seed})"
        )
        lines = [
            f"  at least {level:.1f}: "
            + ", ".join(f"{name} {x:.4f}" for name, x in self.share(level).items())
            for level in (0.5, 0.8, 1.0)
        ]
        return "\n".join([head, *lines])


def token_kinds(lm: Any, by: str = "topic") -> tuple[tuple[str, ...], Tensor]:
    """The kinds of words, and for each token of the tokenizer its kind [V], -1 for none.

    `by` is "topic", "pos", "number" or "gender". Words of the course world that this model splits
    in several tokens are left out.

    Examples
    --------
    >>> from course_lib import load_model
    >>> lm = load_model()
    >>> names, kinds = token_kinds(lm)
    >>> names[kinds[lm.token_id("pizza")]]
    'food'
    """
    if by not in ("topic", "pos", "number", "gender"):
        raise ValueError(f"Words have a topic, pos, number and gender, but no {by!r}.")
    words = [word for word in LEXICON.forms.values() if getattr(word, by) != "-"]
    words += [LEXICON.capitalised[word] for word in words if word in LEXICON.capitalised]
    names = tuple(sorted({getattr(word, by) for word in words}))
    # [V]
    kinds = torch.full((len(lm.tokenizer),), -1)
    for word in words:
        try:
            kinds[lm.token_id(word.form)] = names.index(getattr(word, by))
        except ValueError:  # not one token of this model
            continue
    return names, kinds


@torch.no_grad()
def value_purity(
    lm: Any, by: str = "topic", k: int = 10, draws: int = 2000, seed: int = 0
) -> ValuePurity:
    """Do value vectors stand for topics? Compare their highest words with the world's own lists.

    Parameters
    ----------
    lm : causal LanguageModel
    by : "topic", "pos", "number" or "gender"
    k : int
        Words of each vector that are looked at.
    draws, seed : int
        Vectors of each baseline.

    Returns
    -------
    ValuePurity

    Raises
    ------
    ValueError
        For an unknown `by`, or k or draws below 1.
    UnsupportedArchitecture
        As in `readout`.

    Notes
    -----
    No forward pass. Only what a positive activation promotes is judged.

    Examples
    --------
    >>> from course_lib import load_model
    >>> found = value_purity(load_model(), draws=200)
    >>> found.purity.shape, sorted(found.baselines)
    (torch.Size([6, 1024]), ['mixtures', 'random directions'])
    """
    if k < 1 or draws < 1:
        raise ValueError("k and draws must be at least 1.")
    names, kinds = token_kinds(lm, by)
    layers = [value_vectors(lm, layer) for layer in range(n_layers(lm))]
    judged = [_purity(lm, vectors, kinds, k) for vectors in layers]
    generator = torch.Generator().manual_seed(seed)
    width, count = layers[0].shape[1], sum(map(len, layers))
    isotropic = torch.randn(draws, width, generator=generator).to(layers[0])
    # [draws, L * m] @ [L * m, d]
    mixed = torch.randn(draws, count, generator=generator).to(layers[0]) @ torch.cat(layers)
    baselines = {"random directions": isotropic, "mixtures": mixed}
    purity, kind = (torch.stack(column) for column in zip(*judged, strict=True))
    return ValuePurity(
        by, names, purity, kind,
        {name: _purity(lm, vectors, kinds, k)[0] for name, vectors in baselines.items()}, k, seed,
    )  # fmt: skip


def _purity(lm: Any, vectors: Tensor, kinds: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Share of the most frequent kind among the k highest words [n], and which it is [n]."""
    best = word_scores(lm, vectors).topk(min(k, len(kinds))).indices.cpu()
    found = kinds[best]  # [n, k]
    # [n, kinds]; words without a kind (-1) count for none
    counts = torch.stack([(found == kind).sum(-1) for kind in range(int(kinds.max()) + 1)], -1)
    most, kind = counts.max(-1)
    return most / best.shape[1], torch.where(most > 0, kind, -1)
