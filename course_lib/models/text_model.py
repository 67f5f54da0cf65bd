"""What every language model of the course can do with a text, whatever is inside it.

A neural model and an n-gram model answer the same questions: which tokens is this text made of,
how probable is each of them after the ones before it, and what comes next? A subclass of
:class:`TextModel` supplies two methods, ``score_ids`` and ``next_token_probs``; everything else
on this page is derived from them and from the tokenizer.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from course_lib.models.next_tokens import NextTokens

WRITTEN_WORD = re.compile(r"\w+(?:['’-]\w+)*|\S")


class UnknownWordsWarning(UserWarning):
    """A text holds words that are not in the model's vocabulary."""


# at every call, not only at the first with these words; a filter set by the user comes before it
warnings.simplefilter("always", UnknownWordsWarning, append=True)


def as_list(texts: str | Sequence[str]) -> list[str]:
    """Wrap a single text in a list; refuse an empty list."""
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts:
        raise ValueError("No texts were given: the list is empty. Pass at least one text.")
    return texts


def require_causal(lm: Any, what: str) -> None:
    """Raise ValueError if `lm` is a masked language model; `what` asks for a left-to-right one."""
    if not getattr(lm, "is_causal", True):
        raise ValueError(
            f"{what} needs a left-to-right model, and {lm.name!r} is a masked language model: it "
            "has no probability for a token given only the tokens before it. Use encode, tokens "
            "and logits, or load a causal model such as 'course-lm'."
        )


def course_tokenizer(folder: str | Path) -> Any:
    """Read the tokenizer of one of our own model types.

    `AutoTokenizer` would look the model type up in transformers, not find it, and warn.
    """
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True)


class TextModel:
    """Base class: a tokenizer, a context length, and the questions that follow from them.

    Parameters
    ----------
    name : str
        Shown in tables and error messages.
    tokenizer : transformers tokenizer
        Its ``bos_token`` starts every text; where it has none, its ``eos_token`` (as GPT-2 was
        trained), else its ``cls_token``.
    max_tokens : int
        The longest text the model can read, in tokens, the start token included.
    is_causal : bool
        False for masked language models: they have no next-token distribution.

    Notes
    -----
    A subclass implements ``score_ids`` and ``next_token_probs``.
    """

    def __init__(
        self, name: str, tokenizer: Any, *, max_tokens: int, is_causal: bool = True
    ) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.max_tokens = int(max_tokens)
        self.is_causal = is_causal
        starts = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.cls_token_id)
        found = [i for i in starts if i is not None]
        if not found:
            raise ValueError(
                f"The tokenizer of {name!r} has no bos, eos or cls token, so a text has no start "
                "to condition on. Set one, for example tokenizer.bos_token = '[BOS]'."
            )
        self.bos_id: int = found[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, max_tokens={self.max_tokens})"

    # ---- to be supplied by the subclass -------------------------------------------------
    def score_ids(self, ids: list[list[int]]) -> list[Tensor]:
        """Return log p(id_t | ids before t) in nats for t >= 1, one tensor [T-1] per item."""
        raise NotImplementedError

    def next_token_probs(self, texts: str | Sequence[str]) -> Tensor:
        """Return the distribution after the last token of each text: probabilities [B, V]."""
        raise NotImplementedError

    # ---- tokens ---------------------------------------------------------------------------
    def encode(self, text: str) -> list[int]:
        """Turn a text into token ids, the start token first (and exactly once).

        Masked models use the special tokens of their own tokenizer ([CLS] ... [SEP]).

        Raises
        ------
        TypeError
            If `text` is not a string.
        ValueError
            If the text is empty, or longer than the context of the model.

        Warns
        -----
        UnknownWordsWarning
            Naming, as written, the words outside the vocabulary.

        Examples
        --------
        >>> from course_lib import load_model
        >>> lm = load_model()
        >>> lm.encode("The dog sleeps.")[0] == lm.bos_id
        True
        """
        if not isinstance(text, str):
            raise TypeError(
                f"A text must be a string; got {type(text).__name__}. To handle several texts, "
                "use batch, logits or token_logprobs, which take a list."
            )
        fast = getattr(self.tokenizer, "is_fast", False)
        encoded = self.tokenizer(
            text, add_special_tokens=not self.is_causal, return_offsets_mapping=fast, verbose=False
        )
        ids = list(encoded["input_ids"])
        special = set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        special.discard(self.tokenizer.mask_token_id)
        if all(i in special for i in ids):
            raise ValueError(
                f"The text {text!r} holds no tokens, so there is nothing to read or score. "
                "Write at least one word."
            )
        self._warn_unknown(text, ids, encoded.get("offset_mapping"))
        if self.is_causal and ids[0] != self.bos_id:
            ids = [self.bos_id, *ids]
        self._check_length(len(ids), f"The text {text[:40]!r}...")
        return ids

    def tokens(self, text: str) -> list[str]:
        """Return readable token strings aligned with ``encode(text)``, start token included.

        Marks for a leading space are left out and bytes are decoded; an unknown word appears
        as the tokenizer's unknown token, with an :class:`UnknownWordsWarning` that names it.

        Examples
        --------
        >>> from course_lib import load_model
        >>> load_model().tokens("The dog sleeps.")
        ['[BOS]', 'The', 'dog', 'sleeps', '.']
        """
        return [self.token_string(i) for i in self.encode(text)]

    def token_string(self, token_id: int) -> str:
        """Return one token as a student should see it ("Ġdog" -> "dog", "<0x0A>" -> "↵")."""
        raw = self.tokenizer.convert_ids_to_tokens(int(token_id))
        if raw is None:
            raise ValueError(f"Token id {token_id} is not in the vocabulary of {self.name!r}.")
        if raw.isascii() and not raw.startswith("<0x"):
            return raw
        shown = self.tokenizer.decode([int(token_id)])
        if "\ufffd" in shown:  # a byte that is only part of a character: show what is stored
            return raw.lstrip("Ġ▁") or raw
        return shown.strip() or shown.replace("\n", "↵").replace(" ", "␣") or "␣"

    def token_id(self, word: str) -> int:
        """Return the id of the single token that stands for `word` in the middle of a sentence.

        Tokenizers with a leading-space mark have two tokens for most words; we take the one with
        the space (as after another word), except for punctuation.

        Raises
        ------
        ValueError
            If the word is unknown, or is split in several tokens: the message lists the pieces.

        Examples
        --------
        >>> from course_lib import load_model
        >>> lm = load_model()
        >>> lm.token_string(lm.token_id("dog"))
        'dog'
        """
        if not isinstance(word, str) or not word.strip():
            raise ValueError(f"token_id needs a word, got {word!r}.")
        bare = word.strip()
        tried = [self.tokenizer.encode(s, add_special_tokens=False) for s in (" " + bare, bare)]
        if not bare[0].isalnum():  # follows the word before it without a space
            tried = [[self.tokenizer.convert_tokens_to_ids(bare)], *tried[::-1]]
        for ids in tried:
            if len(ids) == 1 and ids[0] is not None and not self._is_unknown(ids[0], bare):
                return ids[0]
        shortest = min(tried[-2:], key=len)
        pieces = [self.token_string(i) for i in shortest]
        if any(self._is_unknown(i, bare) for i in shortest):
            raise ValueError(
                f"{bare!r} is not in the vocabulary of {self.name!r}. Choose a word the model "
                "knows: next_token(...) lists some, tokens(...) names the unknown ones."
            )
        raise ValueError(
            f"{bare!r} is not one token for {self.name!r} but {len(pieces)}: {pieces}. "
            "Choose a word that is a single token, or score the whole sentence with logprob."
        )

    # ---- probabilities ----------------------------------------------------------------------
    def token_logprobs(self, texts: str | Sequence[str]) -> list[Tensor]:
        """Return log p(token | tokens before it) in nats for each text, shape [T-1] each.

        Entry t belongs to ``tokens(text)[t + 1]``: the start token is given, not scored. A text
        of one word has one entry. Cost: one forward pass over the texts.
        """
        require_causal(self, "token_logprobs")
        return self.score_ids([self.encode(text) for text in as_list(texts)])

    def logprob(self, text: str, reduction: str = "sum") -> float:
        """Return the log-probability of a text in nats, summed or averaged over its tokens.

        Cost: one forward pass. Raises ValueError for another `reduction` than "sum" or "mean".

        Examples
        --------
        >>> from course_lib import load_model
        >>> lm = load_model()
        >>> lm.logprob("The dog sleeps.") > lm.logprob("The dog sleep.")
        True
        """
        if reduction not in ("sum", "mean"):
            raise ValueError(f"reduction must be 'sum' or 'mean', got {reduction!r}.")
        if not isinstance(text, str):
            raise TypeError("logprob takes one text; use token_logprobs for a list of texts.")
        scores = self.token_logprobs(text)[0]
        return float(scores.sum() if reduction == "sum" else scores.mean())

    def next_token(self, text: str, top: int = 10) -> NextTokens:
        """Return the `top` most probable next tokens of one text with their probabilities.

        Cost: one forward pass. Fewer are returned where the vocabulary is smaller than `top`.

        Examples
        --------
        >>> from course_lib import load_model
        >>> best = load_model().next_token("The dog", top=3)
        >>> len(best), best[0][1] >= best[1][1]
        (3, True)
        """
        if not isinstance(top, int) or top < 1:
            raise ValueError(f"top must be a whole number of at least 1, got {top!r}.")
        if not isinstance(text, str):
            raise TypeError("next_token takes one text; use next_token_probs for a list of texts.")
        probs = self.next_token_probs([text])[0]
        best = probs.topk(min(top, probs.numel()))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return NextTokens(text, tuple((self._shown(i), p) for i, p in pairs))

    # ---- checks shared by the subclasses ------------------------------------------------------
    def check_ids(self, ids: list[list[int]]) -> None:
        """Raise ValueError where a list of ids cannot be scored (used by ``score_ids``)."""
        require_causal(self, "score_ids")
        if not ids:
            raise ValueError("No token ids were given: the list is empty.")
        size = len(self.tokenizer)
        for n, item in enumerate(ids):
            if len(item) < 2:
                raise ValueError(
                    f"Item {n} has {len(item)} token(s): the first token is given and not scored, "
                    "so at least two are needed. Use encode(text), which adds the start token."
                )
            if min(item) < 0 or max(item) >= size:
                raise ValueError(f"Item {n} holds ids outside the vocabulary (0 to {size - 1}).")
            self._check_length(len(item), f"Item {n}")

    def _shown(self, token_id: int) -> str:
        # embedding tables are often padded beyond the tokenizer's vocabulary
        if token_id >= len(self.tokenizer):
            return f"<id {token_id}>"
        return self.token_string(token_id)

    def _is_unknown(self, token_id: int, written: str) -> bool:
        unk = self.tokenizer.unk_token_id
        # GPT-2 names its end-of-text token as unknown token too, but never produces it
        return token_id == unk != self.bos_id and written != self.tokenizer.unk_token

    def _warn_unknown(self, text: str, ids: list[int], offsets: Any) -> None:
        if not offsets or self.tokenizer.unk_token_id not in ids:
            return
        starts = {
            a for i, (a, b) in zip(ids, offsets, strict=True) if self._is_unknown(i, text[a:b])
        }
        # the tokenizer may have cut a word ("na", "ï", "ve"): name it as it was written
        words = [
            word[0]
            for word in WRITTEN_WORD.finditer(text)
            if not starts.isdisjoint(range(*word.span()))
        ]
        if words:
            named = ", ".join(repr(w) for w in dict.fromkeys(words))
            warnings.warn(
                f"Not in the vocabulary of {self.name!r}: {named}. The model reads "
                f"{self.tokenizer.unk_token} in each of these places, so its probabilities do "
                "not depend on which word stood there. Rephrase with words it knows.",
                UnknownWordsWarning,
                stacklevel=3,
            )

    def _check_length(self, length: int, what: str) -> None:
        if length > self.max_tokens:
            raise ValueError(
                f"{what} has {length} tokens, but {self.name!r} reads at most "
                f"{self.max_tokens} (start token included). Shorten it or split it."
            )
