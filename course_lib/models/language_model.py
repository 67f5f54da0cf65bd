"""A neural language model as the course uses it: tokens, logits and log-probabilities.

A :class:`LanguageModel` holds an unmodified model in evaluation mode with frozen parameters, its
tokenizer, and the conventions of the course: a start token in front of every text, padding on the
right, natural logarithms. ``course_lib.load_model`` makes one from a name or a folder.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.architectures import FAMILIES
from course_lib.models.text_model import TextModel, as_list, require_causal

MAX_BATCH_TOKENS = 4096  # padded tokens in one forward pass
MAX_BATCH_LOGITS = 2**25  # and at most 128 MB of float32 logits
UNLIMITED = 10**6  # context of a model without position embeddings


def widened(x: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are.

    Between two numbers that bfloat16 can hold lie 1/16 nat above 8 nats: whoever normalises or
    subtracts such numbers in their own type adds an error as large as many an effect.

    Examples
    --------
    >>> widened(torch.ones(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _longest_text(model: nn.Module, tokenizer: Any) -> int:
    """The context in tokens, as far as model and tokenizer tell it."""
    told = [getattr(model.config, n, None) for n in ("max_position_embeddings", "max_seq_len")]
    told.append(tokenizer.model_max_length)
    for name, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        # RoBERTa and its kin count positions from the padding token on
        if name.endswith("position_embeddings") and padding is not None:
            told.append(module.weight.shape[0] - padding - 1)
    # None, 0 and XLNet's -1 stand for no limit
    return min([n for n in told if isinstance(n, int | float) and n > 0] + [UNLIMITED])


class LanguageModel(TextModel):
    """A neural language model with its tokenizer.

    Attributes
    ----------
    name : str
    model : torch.nn.Module
        The unmodified model: ``eval()``, parameters frozen, no key-value cache.
    tokenizer : transformers tokenizer
    bos_id : int
        The start token that ``encode`` puts first.
    max_tokens : int
        Context length in tokens, start token included.
    is_causal : bool
        False for masked models (BERT family): ``encode``, ``tokens``, ``batch`` and ``logits``
        work, the left-to-right scoring methods raise ValueError.
    takes_any_mask : bool
        Several continuations of one beginning can share a row: ``course_lib.models.packing``.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, name: str = "model") -> None:
        kind = getattr(model.config, "model_type", None)
        masked = type(model).__name__.endswith("ForMaskedLM")
        # the BERT family can be built to read from left to right
        decoder = getattr(model.config, "is_decoder", False)
        is_causal = not masked and (decoder or kind not in FAMILIES or FAMILIES[kind].is_causal)
        limit = _longest_text(model, tokenizer)
        super().__init__(name, tokenizer, max_tokens=limit, is_causal=is_causal)
        self.model = model.eval().requires_grad_(False)
        if hasattr(model.config, "use_cache"):
            model.config.use_cache = False
        parameters = inspect.signature(model.forward).parameters
        windowed = getattr(model.config, "use_sliding_window", False)
        self.takes_any_mask = kind in FAMILIES and FAMILIES[kind].any_mask and not windowed
        self._can_select = "logits_to_keep" in parameters

    def __call__(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kw: Any) -> Any:
        """Run the model on ids [B, T]; the output has ``.logits`` [B, T, V]. Keeps gradients.

        Logits are float32 at least, whatever the weights are: see `widened`.
        """
        out = self.model(input_ids=input_ids, attention_mask=attention_mask, **kw)
        out.logits = widened(out.logits)
        return out

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def batch(self, texts: str | Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return ``(input_ids, attention_mask)``, both [B, T] int64, padded on the right.

        Examples
        --------
        >>> from course_lib import load_model
        >>> ids, mask = load_model().batch(["The dog sleeps.", "The dog"])
        >>> mask.sum(dim=1).tolist()
        [5, 3]
        """
        return self.pad([self.encode(text) for text in as_list(texts)])

    def pad(self, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Ids and attention mask [B, T] of rows of ids, padded on the right."""
        width = max(map(len, ids))
        pad = self.tokenizer.pad_token_id
        pad = self.bos_id if pad is None else pad
        rows = [[*item, *[pad] * (width - len(item))] for item in ids]
        mask = [[1] * len(item) + [0] * (width - len(item)) for item in ids]
        return torch.tensor(rows, device=self.device), torch.tensor(mask, device=self.device)

    def batches(
        self, ids: Sequence[Sequence[int]], max_tokens: int | None = None
    ) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Cut rows of ids in batches of like length, the shortest first: little is padding.

        Parameters
        ----------
        ids : what ``encode`` returns, one row a text
        max_tokens : int, optional
            Tokens of a batch, padding included; by default 4,096, and fewer where their logits
            would fill more than 128 MB. A row that is longer makes a batch of its own.

        Yields
        ------
        rows : list of int
            Numbers of the rows in this batch, so that results find their way back.
        input_ids, attention_mask : int64 [B, T]

        Examples
        --------
        >>> from course_lib import load_model
        >>> lm = load_model()
        >>> ids = [lm.encode(text) for text in ("The dog sleeps.", "The dog", "The")]
        >>> [(rows, mask.sum(1).tolist()) for rows, _, mask in lm.batches(ids, max_tokens=8)]
        [([2, 1], [2, 3]), ([0], [5])]
        """
        most = MAX_BATCH_TOKENS if max_tokens is None else max_tokens
        most = min(most, MAX_BATCH_LOGITS // len(self.tokenizer))
        rows: list[int] = []
        for r in sorted(range(len(ids)), key=lambda r: len(ids[r])):
            if rows and (len(rows) + 1) * len(ids[r]) > most:
                yield rows, *self.pad([ids[n] for n in rows])
                rows = []
            rows.append(r)
        if rows:
            yield rows, *self.pad([ids[n] for n in rows])

    @torch.no_grad()
    def logits(self, texts: str | Sequence[str]) -> Tensor:
        """Return logits [B, T, V] for the token after (causal) or at (masked) each position.

        Rows beyond the end of a shorter text belong to padding and mean nothing; ``batch``
        returns the mask. No gradients: use ``lm(input_ids)`` for those. Cost: one forward pass.
        """
        return self(*self.batch(texts)).logits

    @torch.no_grad()
    def next_token_probs(self, texts: str | Sequence[str]) -> Tensor:
        """Return the distribution after the last token of each text: probabilities [B, V].

        Cost: one forward pass over the texts, in batches of similar length.

        Examples
        --------
        >>> from course_lib import load_model
        >>> probs = load_model().next_token_probs(["The dog", "The two dogs"])
        >>> probs.sum(dim=1).allclose(probs.new_ones(2))
        True
        """
        require_causal(self, "next_token_probs")
        return self._next_probs([self.encode(text) for text in as_list(texts)])

    @torch.no_grad()
    def score_ids(self, ids: list[list[int]]) -> list[Tensor]:
        """Return log p(id_t | ids before t) in nats for t >= 1, one tensor [T-1] per item.

        Items are sorted by length and run in batches of at most 4,096 padded tokens; the results
        come back in the order given. The first id of each item is given and not scored.
        Cost: one forward pass over all tokens.

        Raises
        ------
        ValueError
            For an item of fewer than two ids, ids outside the vocabulary, items longer than the
            context, or a masked model.
        """
        self.check_ids(ids)
        scores: list[Tensor] = [torch.empty(0)] * len(ids)
        for rows, input_ids, mask in self.batches(ids):
            logits = self(input_ids, mask).logits[:, :-1]  # [B, T-1, V]
            target = logits.gather(-1, input_ids[:, 1:, None]).squeeze(-1)
            logp = target - logits.logsumexp(dim=-1)  # [B, T-1]: no full log-softmax is stored
            for row, r in zip(logp, rows, strict=True):
                scores[r] = row[: len(ids[r]) - 1].clone()
        return scores

    @torch.no_grad()
    def generate(
        self, text: str, max_new_tokens: int = 20, temperature: float = 0.0, seed: int = 0
    ) -> str:
        """Continue a text; returns the text with its continuation.

        Temperature 0 takes the most probable token each time; above 0 tokens are sampled from
        softmax(logits / temperature) with a generator seeded by `seed`. Stops at the end token.
        Cost: one forward pass per new token.

        Raises
        ------
        ValueError
            If text and continuation do not fit in the context, or an argument is negative.
        """
        require_causal(self, "generate")
        if temperature < 0 or max_new_tokens < 1:
            raise ValueError("temperature must be >= 0 and max_new_tokens >= 1.")
        ids = self.encode(text)
        start = len(ids)
        self._check_length(start + max_new_tokens, "The text with its continuation")
        generator = torch.Generator().manual_seed(seed)
        for _ in range(max_new_tokens):
            probs = self._next_probs([ids])[0].cpu()
            if temperature == 0:
                new = int(probs.argmax())
            else:
                weights = (probs.log() / temperature).softmax(dim=-1)
                new = int(torch.multinomial(weights, 1, generator=generator))
            if new == self.tokenizer.eos_token_id:
                break
            ids.append(new)
        # what decoding adds to the prompt, so that the prompt stays exactly as written
        prompt, whole = (
            self.tokenizer.decode(part, skip_special_tokens=True) for part in (ids[:start], ids)
        )
        return text + whole[len(os.path.commonprefix([prompt, whole])) :]

    def _next_probs(self, ids: list[list[int]]) -> Tensor:
        rows_of: list[Any] = [None] * len(ids)
        for rows, input_ids, mask in self.batches(ids):
            last, place = torch.unique(mask.sum(dim=1) - 1, return_inverse=True)
            keep = {"logits_to_keep": last} if self._can_select else {}
            logits = self(input_ids, mask, **keep).logits
            column = place if self._can_select else last[place]
            probs = logits[torch.arange(len(rows)), column].softmax(dim=-1)  # [B, V]
            for row, r in zip(probs, rows, strict=True):
                rows_of[r] = row
        return torch.stack(rows_of)
