"""A 5-gram language model with interpolated modified Kneser-Ney smoothing.

The model knows nothing but how often short word sequences occurred. BLiMP uses such a model as
its lowest bar: what it gets right needs no grammar beyond five words.

The probability of word w after a context c of k - 1 words is (Chen & Goodman 1999)

    p_k(w | c) = (a(c w) - D(a(c w))) / sum_v a(c v)  +  gamma(c) * p_{k-1}(w | c')

where c' is c without its first word. For the longest n-grams, and for those that start with
BOS, a is the count. For shorter n-grams it is the number of different words seen before them:
"Francisco" may be frequent, yet it follows one word only, so it deserves little mass after an
unseen context. The discount D takes one of three values (for a = 1, 2, and 3 or more), estimated
from the data. gamma(c) is the mass that the first terms leave over, and below the unigrams all V
ids are equally likely.

Rare n-grams can be dropped to save space (`cutoffs`). Their mass moves into gamma, so the
distribution still sums to 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from course_lib.models.text_model import TextModel, as_list, course_tokenizer

UNLIMITED = 10**6  # only the last words count, so a text may be of any length


@dataclass(frozen=True)
class Level:
    """The kept n-grams of one order, grouped by context.

    An n-gram is packed into one integer, base V, so that sorted arrays can be searched.

    Attributes
    ----------
    contexts : int64, shape [C], sorted
        The packed contexts that have at least one kept continuation.
    sizes : int64, shape [C]
        How many continuations each context has.
    words : int64, shape [N]
        The continuations, sorted within their context.
    values : float64, shape [N]
        The first term of the formula, (a - D) / sum a, a probability.
    """

    contexts: np.ndarray
    sizes: np.ndarray
    words: np.ndarray
    values: np.ndarray

    def index(self, vocab_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Packed keys [N], first entry of each context [C], and gamma of each context [C]."""
        keys = np.repeat(self.contexts, self.sizes) * vocab_size + self.words
        starts = np.cumsum(self.sizes) - self.sizes
        # A sentinel keeps reduceat happy when there are no contexts at all.
        mass = np.add.reduceat(self.values, starts) if len(starts) else np.zeros(0)
        return keys, starts, 1.0 - mass


class NGramModel(TextModel):
    """An n-gram model behind the same methods as `LanguageModel`.

    Parameters
    ----------
    tokenizer : transformers tokenizer
        Gives the vocabulary and the BOS id; every text is scored after BOS.
    order : int
        The longest n-gram, context included; 5 means that four words are looked at.
    cutoffs : tuple of int, one per order
        N-grams of order k with a(n-gram) < cutoffs[k - 1] are dropped; 1 keeps all. Unigrams
        are always kept. The default keeps a model of six million words under 4 MB.
    name : str
        Shown in figures and tables.

    Examples
    --------
    >>> from transformers import PreTrainedTokenizerFast
    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> words = {w: i for i, w in enumerate(["[BOS]", "[UNK]", "a", "dog", "cat", "sleeps"])}
    >>> raw = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    >>> raw.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tok = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="[BOS]", unk_token="[UNK]")
    >>> lm = NGramModel(tok, cutoffs=(1, 1, 1, 1, 1)).fit([[0, 2, 3, 5], [0, 2, 4, 5]])
    >>> bool(lm.logprob("a dog sleeps") > lm.logprob("dog a sleeps"))
    True
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        order: int = 5,
        cutoffs: tuple[int, ...] = (1, 1, 2, 4, 6),
        name: str = "course-ngram",
    ) -> None:
        super().__init__(name, tokenizer, max_tokens=UNLIMITED)
        self.vocab_size, self.order, self.cutoffs = len(tokenizer), order, tuple(cutoffs)
        self.levels: list[Level] = []
        if len(self.cutoffs) != order or order < 2:
            raise ValueError(
                f"We need order >= 2 and one cut-off per order; got {order}, {cutoffs}."
            )
        if self.vocab_size**order >= 2**63:
            raise ValueError(
                f"An n-gram of {order} ids out of {self.vocab_size} does not fit a 64-bit "
                "integer. Use a lower order or a smaller vocabulary."
            )

    # ------------------------------------------------------------------ fit

    def fit(self, documents: Iterable[list[int]]) -> Self:
        """Count n-grams and estimate the discounts. N-grams never cross a document boundary.

        Parameters
        ----------
        documents : iterable of lists of ids
            Each starts with BOS; add EOS at the end if the model shall predict endings.

        Raises
        ------
        ValueError
            If there are no documents, one does not start with BOS, or an id is out of range.
        """
        arrays = [np.asarray(document, dtype=np.int64) for document in documents]
        for number, array in enumerate(arrays):
            if array.size == 0 or array[0] != self.bos_id:
                raise ValueError(
                    f"Document {number} does not start with BOS (id {self.bos_id}). The model "
                    "needs it to learn what can begin a text: put it in front."
                )
        ids, position = self._flatten(arrays)
        keys = self._keys(ids, position)
        grams = {self.order: np.unique(keys[-1][keys[-1] >= 0], return_counts=True)}
        for k in range(self.order - 1, 0, -1):
            grams[k] = self._continuations(k, grams[k + 1][0], keys[k - 1])
        self._unigrams = self._smooth_unigrams(*grams[1])
        self._set_levels([self._smooth(k, *grams[k]) for k in range(2, self.order + 1)])
        return self

    def _flatten(self, items: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Join all ids in one array; give the position of each within its item, too."""
        if not len(items):
            raise ValueError("There are no documents: we need at least one list of ids.")
        ids = np.concatenate([np.asarray(item, dtype=np.int64) for item in items])
        if ids.min() < 0 or ids.max() >= self.vocab_size:
            raise ValueError(
                f"Ids must lie in 0..{self.vocab_size - 1}, the tokenizer's vocabulary; "
                f"got {ids.min()}..{ids.max()}."
            )
        return ids, np.concatenate([np.arange(len(item)) for item in items])

    def _keys(self, ids: np.ndarray, position: np.ndarray) -> list[np.ndarray]:
        """For k = 1..order, the packed k-gram that ends at each token; -1 near the start."""
        keys, running = [ids], ids
        for k in range(2, self.order + 1):
            longer = np.full_like(ids, -1)
            first_word = ids[: -(k - 1)] * self.vocab_size ** (k - 1)
            longer[k - 1 :] = first_word + running[k - 1 :]
            running = np.where(position >= k - 1, longer, -1)
            keys.append(running)
        return keys

    def _continuations(
        self, k: int, longer: np.ndarray, keys: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """K-grams and a(k-gram): distinct words before it, or its count if it starts with BOS."""
        types, counts = np.unique(longer % self.vocab_size**k, return_counts=True)
        if k == 1:
            return types, counts
        unit = self.vocab_size ** (k - 1)
        inner = types // unit != self.bos_id
        initial = np.unique(keys[(keys >= 0) & (keys // unit == self.bos_id)], return_counts=True)
        types = np.concatenate([types[inner], initial[0]])
        counts = np.concatenate([counts[inner], initial[1]])
        order = np.argsort(types)
        return types[order], counts[order]

    def _smooth_unigrams(self, types: np.ndarray, counts: np.ndarray) -> np.ndarray:
        values = np.zeros(self.vocab_size)
        values[types] = (counts - discount(counts)) / counts.sum()
        return values + (1.0 - values.sum()) / self.vocab_size

    def _smooth(self, k: int, types: np.ndarray, counts: np.ndarray) -> Level:
        """The discounted relative frequencies of order k, without what the cut-off drops."""
        _, group = np.unique(types // self.vocab_size, return_inverse=True)
        total = np.bincount(group, weights=counts)
        values = (counts - discount(counts)) / total[group]
        keep = counts >= self.cutoffs[k - 1]
        contexts, sizes = np.unique(types[keep] // self.vocab_size, return_counts=True)
        return Level(contexts, sizes, types[keep] % self.vocab_size, values[keep])

    def _require_fit(self) -> None:
        if not self.levels:
            raise ValueError(
                "This n-gram model has not counted anything yet. Call fit(documents) first, or "
                "load a finished one with load_model('course-ngram')."
            )

    def _set_levels(self, levels: list[Level]) -> None:
        self.levels = levels
        self._index = [level.index(self.vocab_size) for level in levels]

    # ---------------------------------------------------------------- apply

    def score_ids(self, ids: list[list[int]]) -> list[Tensor]:
        """Log-probability of each token after the first, in nats.

        All tokens are looked up together, two binary searches per order.

        Returns
        -------
        list of Tensor
            For a list of T ids, log p(id_t | ids_<t) for t = 1..T-1, shape [T - 1], float32.

        Raises
        ------
        ValueError
            If a list has fewer than two ids, or an id is out of range.
        """
        self.check_ids(ids)
        self._require_fit()
        flat, position = self._flatten(ids)
        probability = self._unigrams[flat]
        keys = self._keys(flat, position)
        for k, level, (packed, _, gamma) in zip(
            range(2, self.order + 1), self.levels, self._index, strict=True
        ):
            context = np.where(position >= k - 1, np.roll(keys[k - 2], 1), -1)
            place, known = find(level.contexts, context)
            probability[known] *= gamma[place[known]]
            place, known = find(packed, keys[k - 1])
            probability[known] += level.values[place[known]]
        logs = torch.from_numpy(np.log(probability)).float()
        return [part[1:] for part in logs.split([len(item) for item in ids])]

    def next_id_probs(self, ids: list[int]) -> Tensor:
        """The distribution over the V ids that may follow `ids`, shape [V], sums to 1."""
        self._require_fit()
        flat, _ = self._flatten([ids])
        probability, context = self._unigrams.copy(), 0
        for k, level, (_, starts, gamma) in zip(
            range(2, self.order + 1), self.levels, self._index, strict=True
        ):
            if k - 1 > len(flat):
                break
            context += int(flat[-(k - 1)]) * self.vocab_size ** (k - 2)
            place, known = find(level.contexts, np.array([context]))
            if known[0]:
                start = starts[place[0]]
                kept = slice(start, start + level.sizes[place[0]])
                probability *= gamma[place[0]]
                probability[level.words[kept]] += level.values[kept]
        return torch.from_numpy(probability).float()

    def next_token_probs(self, texts: str | Sequence[str]) -> Tensor:
        """The distribution after the last token of each text, shape [B, V], rows sum to 1."""
        return torch.stack([self.next_id_probs(self.encode(text)) for text in as_list(texts)])

    # -------------------------------------------------------------- storage

    def save(self, folder: str | Path) -> None:
        """Write `config.json`, `model.safetensors` and the tokenizer.

        Values are stored as fp16, rounded down: gamma is computed from them on loading, so it
        stays positive and the loaded distribution sums to 1. Cost: 4 bytes per n-gram, 6 per
        context of up to two words and 10 per longer one.
        """
        from safetensors.numpy import save_file

        self._require_fit()
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"unigrams": self._unigrams.astype(np.float32)}
        for k, level in enumerate(self.levels, start=2):
            small = level.contexts.max(initial=0) < 2**32
            arrays[f"contexts.{k}"] = level.contexts.astype(np.uint32 if small else np.int64)
            arrays[f"sizes.{k}"] = level.sizes.astype(np.uint16)
            arrays[f"words.{k}"] = level.words.astype(np.uint16)
            arrays[f"values.{k}"] = round_down(level.values)
        save_file(arrays, folder / "model.safetensors", metadata={"format": "np"})
        settings = {"model_type": "course_ngram", "order": self.order, "cutoffs": self.cutoffs}
        settings |= {"vocab_size": self.vocab_size, "name": self.name}
        text = json.dumps(settings, indent=2) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")
        self.tokenizer.save_pretrained(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a folder that `save` wrote.

        Raises
        ------
        ValueError
            If the folder holds a model of another type, or the tokenizer does not fit it.
        """
        from safetensors.numpy import load_file

        settings = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        if settings.get("model_type") != "course_ngram":
            raise ValueError(
                f"{folder} holds a model of type {settings.get('model_type')!r}, and NGramModel "
                "reads 'course_ngram'. `load_model(folder)` picks the class."
            )
        tokenizer = course_tokenizer(folder)
        model = cls(
            tokenizer,
            order=settings["order"],
            cutoffs=tuple(settings["cutoffs"]),
            name=settings["name"],
        )
        if model.vocab_size != settings["vocab_size"]:
            raise ValueError(
                f"The tokenizer in {folder} has {model.vocab_size} tokens and the counts were "
                f"made with {settings['vocab_size']}: the files do not belong together."
            )
        arrays = load_file(Path(folder) / "model.safetensors")
        unigrams = arrays["unigrams"].astype(np.float64)
        model._unigrams = unigrams / unigrams.sum()
        fields = ("contexts", "sizes", "words", "values")
        types = (np.int64, np.int64, np.int64, np.float64)
        model._set_levels(
            [
                Level(*(arrays[f"{f}.{k}"].astype(t) for f, t in zip(fields, types, strict=True)))
                for k in range(2, model.order + 1)
            ]
        )
        return model


def discount(counts: np.ndarray) -> np.ndarray:
    """The discount of each n-gram from its count (Chen & Goodman 1999, equation 17).

    With n_i the number of n-grams seen i times and Y = n_1 / (n_1 + 2 n_2), the discounts are
    D_i = i - (i + 1) Y n_{i+1} / n_i for i = 1, 2, 3. Very small or very regular corpora
    make a D undefined or move it outside 0 < D <= i; all three are then set to 0.5, 1 and 1.5.
    """
    n = np.array([np.sum(counts == i) for i in range(5)], dtype=float)
    fixed = np.array([0.0, 0.5, 1.0, 1.5])
    if (n[1:4] > 0).all():
        i = np.arange(1, 4)
        estimated = i - (i + 1) * n[1] / (n[1] + 2 * n[2]) * n[i + 1] / n[i]
        if (estimated > 0).all():
            fixed[1:] = estimated
    return fixed[np.minimum(counts, 3)]


def find(sorted_keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each wanted key stands in the sorted keys, and whether it is there at all."""
    if len(sorted_keys) == 0:
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
    place = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    return place, sorted_keys[place] == wanted


def round_down(values: np.ndarray) -> np.ndarray:
    """The largest float16 numbers that do not exceed `values`."""
    rounded = values.astype(np.float16)
    below = np.nextafter(rounded, np.float16(0))
    return np.where(rounded > values, below, rounded)
