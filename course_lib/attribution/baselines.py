"""What stands in the place of a missing token: the three baselines.

With some tokens x_S of a text present, the value of the metric is an expectation over the rest:

    static          v(x_S) = m(x_S, b)                     a fixed token b
    interventional  v(x_S) = E_{X ~ p(X)}      m(x_S, X)   drawn whatever x_S is
    observational   v(x_S) = E_{X ~ p(X|x_S)}  m(x_S, X)   drawn to fit x_S

(Janzing et al. 2020 and Covert et al. 2021 on the difference.) Each baseline is a frozen dataclass
with a method `rows(lm, ids, keep)`: for masks `keep` [N, T + 1] it gives, for each mask, K rows
of ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from course_lib.attribution.question import Ids, Question, last_logits

SPECIAL = ("unk", "mask", "pad", "eos")


@dataclass(frozen=True)
class Static:
    """A missing token is replaced by one fixed token, or cut out.

    Parameters
    ----------
    token : str
        "unk", "mask", "pad" or "eos" for the tokenizer's token of that name; "delete" to leave
        the missing tokens out (the rest moves together); or any word of one token. Empty: the
        first of the four special tokens that the tokenizer has.

    Cost: one forward pass per mask. No standard error: nothing is drawn.
    """

    token: str = ""

    def token_id(self, lm: Any) -> int | None:
        """The id that is put in; None for "delete"."""
        ids = {name: getattr(lm.tokenizer, f"{name}_token_id") for name in SPECIAL}
        ids = {name: i for name, i in ids.items() if i is not None}
        if self.token == "delete":
            return None
        if not self.token:
            return next(iter(ids.values()), lm.bos_id)
        if self.token in ids:
            return ids[self.token]
        if self.token in SPECIAL:
            raise ValueError(
                f"The tokenizer of {lm.name!r} has no {self.token} token. It has "
                f"{', '.join(ids) or 'none of the four'}; or use 'delete' or a word."
            )
        try:
            return lm.token_id(self.token)
        except ValueError as error:
            raise ValueError(
                f"Unknown baseline {self.token!r}. Choose one of {', '.join(SPECIAL)}, delete, "
                f"observational, a word of one token, or Interventional(texts). {error}"
            ) from None

    def describe(self, lm: Any) -> str:
        token = self.token_id(lm)
        return "static, deleted" if token is None else f"static {lm.token_string(token)}"

    def rows(self, lm: Any, ids: Ids, keep: Tensor) -> list[list[Ids]]:
        new = self.token_id(lm)
        if new is None:
            pairs = (zip(ids, mask, strict=True) for mask in keep.tolist())
            return [[tuple(i for i, kept in pair if kept)] for pair in pairs]
        filled = torch.where(keep, torch.tensor(ids), new).tolist()  # [N, T + 1]
        return [[tuple(row)] for row in filled]


@dataclass(frozen=True)
class Interventional:
    """A missing token is drawn from a background, whatever the tokens that are present.

    Parameters
    ----------
    background : texts, or a dict from word to weight
        Texts: tokens are drawn at their frequency in them. A dict: words of one token each.
    samples : int
        K, draws per mask; all masks of one call share them, so differences are less noisy.
    seed : int
    aligned : bool
        True: a draw is one whole background text, as long as the text in question, and the missing
        tokens take the words at their own places in it.

    Cost: K forward passes per mask, fewer where draws coincide.
    """

    background: Any
    samples: int = 32
    seed: int = 0
    aligned: bool = False

    def describe(self, lm: Any) -> str:
        kind = "aligned texts" if self.aligned else "words"
        return f"interventional, {self.samples} draws of {kind} (seed {self.seed})"

    def rows(self, lm: Any, ids: Ids, keep: Tensor) -> list[list[Ids]]:
        generator = torch.Generator().manual_seed(self.seed)
        drawn = self._draw(lm, len(ids), generator)  # [K, T + 1]
        filled = torch.where(keep[:, None], torch.tensor(ids), drawn)  # [N, K, T + 1]
        return [[tuple(row) for row in rows] for rows in filled.tolist()]

    def _draw(self, lm: Any, length: int, generator: torch.Generator) -> Tensor:
        if isinstance(self.background, str) or not self.background:
            raise ValueError("The background must be a list of texts or a dict of word weights.")
        if self.aligned:
            texts = [lm.encode(text) for text in self.background]
            if any(len(text) != length for text in texts):
                raise ValueError(
                    f"aligned=True needs background texts of {length} tokens with the start "
                    f"token, as the text has; found {sorted({len(t) for t in texts})}. Choose "
                    "texts from the same template, or aligned=False."
                )
            choice = torch.randint(len(texts), (self.samples,), generator=generator)
            return torch.tensor(texts)[choice]  # [K, T + 1], aligned: a word stays at its place
        if isinstance(self.background, Mapping):
            words = {lm.token_id(word): weight for word, weight in self.background.items()}
            tokens, weights = list(words), torch.tensor(list(words.values()), dtype=torch.float64)
        else:
            tokens = [i for text in self.background for i in lm.encode(text)[1:]]
            weights = torch.ones(len(tokens), dtype=torch.float64)
        size = self.samples * length
        choice = torch.multinomial(weights, size, replacement=True, generator=generator)
        return torch.tensor(tokens)[choice].view(self.samples, length)


@dataclass(frozen=True)
class Observational:
    """A missing token is drawn from a language model, given the tokens that are present.

    A left-to-right model proposes from p(w | tokens before it). For each draw we make several
    proposals and take one with probability proportional to how well the *present* tokens that
    follow fit it (importance resampling): with many proposals this is p(missing | present).

    Parameters
    ----------
    model : LanguageModel, optional
        With the tokenizer of the model in question; default: that model itself.
    samples, proposals, seed : int
        K independent draws per mask, each chosen among this many proposals. One proposal
        ignores what follows.

    Cost: K * proposals passes per mask and missing token, for drawing, then K per mask.
    """

    model: Any = None
    samples: int = 16
    proposals: int = 8
    seed: int = 0

    def describe(self, lm: Any) -> str:
        name = (self.model or lm).name
        return (
            f"observational, {self.samples} draws from {name} "
            f"({self.proposals} proposals each, seed {self.seed})"
        )

    def rows(self, lm: Any, ids: Ids, keep: Tensor) -> list[list[Ids]]:
        model = self.model or lm
        if not model.is_causal or model.tokenizer.get_vocab() != lm.tokenizer.get_vocab():
            raise ValueError(
                f"{model.name!r} cannot fill gaps for {lm.name!r}: it must be a left-to-right "
                "model with the same tokenizer. Leave `model` out to use the model itself."
            )
        generator = torch.Generator().manual_seed(self.seed)
        copies = self.samples * self.proposals
        masks = keep.repeat_interleave(copies, 0)  # [N * copies, T + 1]
        rows = _propose(model, torch.tensor(ids).repeat(len(masks), 1), masks, generator)
        fit = _fit(model, rows, masks).view(-1, self.proposals)  # [N * K, proposals]
        # the softmax of log-likelihoods: proportional to how likely the words behind the gap are
        best = torch.multinomial(fit.softmax(-1), 1, generator=generator)  # [N * K, 1]
        # [N * K, proposals, T + 1] -> the chosen one of each, [N * K, T + 1]
        rows = rows.view(len(best), self.proposals, -1)[torch.arange(len(best)), best[:, 0]]
        chosen = [tuple(row) for row in rows.tolist()]
        return [chosen[n : n + self.samples] for n in range(0, len(chosen), self.samples)]


def _propose(model: Any, rows: Tensor, keep: Tensor, generator: torch.Generator) -> Tensor:
    """Fill the gaps from left to right, each from p(w | tokens before it)."""
    special = torch.tensor(sorted(set(model.tokenizer.all_special_ids)))
    for t in range(1, rows.shape[1]):
        gaps = (~keep[:, t]).nonzero()[:, 0]  # rows whose token t is missing
        before = [tuple(row) for row in rows[gaps, :t].tolist()]
        # rows that begin alike need one prediction, and draw from it each for itself
        users: dict[Ids, list[int]] = {}
        for gap, prefix in zip(gaps.tolist(), before, strict=True):
            users.setdefault(prefix, []).append(gap)
        for prefixes, logits in last_logits(model, sorted(users)):
            # a text holds no special tokens, so none is drawn
            probs = logits.double().cpu().softmax(-1).index_fill(-1, special, 0.0)
            for prefix, p in zip(prefixes, probs, strict=True):
                n = len(users[prefix])
                drawn = torch.multinomial(p, n, replacement=True, generator=generator)
                rows[users[prefix], t] = drawn
    return rows


def _fit(model: Any, rows: Tensor, keep: Tensor) -> Tensor:
    """log p of the present tokens behind the first gap, given what is before each: [R]."""
    # [R, T + 1], True at present tokens with a gap before them; those before the first gap were
    # given to all proposals alike
    counts = keep & (~keep).long().cumsum(1).bool()
    unique, back = torch.unique(rows, dim=0, return_inverse=True)
    logp = torch.stack(model.score_ids(unique.tolist())).double().cpu()[back]  # [R, T]
    return (logp * counts[:, 1:]).sum(1)  # the start token has no log p


Baseline = Static | Interventional | Observational


def as_baseline(baseline: Baseline | str | None) -> Baseline:
    """None is Static(); "observational" is Observational(); another string names a static token."""
    if isinstance(baseline, Baseline):
        return baseline
    if baseline == "interventional":
        raise ValueError(
            "The interventional baseline needs a background to draw from: use "
            "Interventional(texts) with a list of texts or a dict of word weights."
        )
    if baseline is not None and not isinstance(baseline, str):
        raise TypeError(
            f"A baseline is Static, Interventional, Observational or a string, not {baseline!r}."
        )
    return Observational() if baseline == "observational" else Static(baseline or "")


def coalition_values(
    question: Question, keep: Tensor, baseline: Baseline | str | None = None
) -> Tensor:
    """The value v(x_S) of the metric with only some tokens present, draw by draw.

    Parameters
    ----------
    question : Question
        From `ask`.
    keep : Tensor, bool [N, T]
        Each row a set S: True where a token is present. The start token always is.
    baseline : Static, Interventional, Observational, or a string
        Default: Static(), the tokenizer's unknown token where it has one.

    Returns
    -------
    Tensor, float64 [N, K]
        In the unit of the question's output; v(x_S) is the mean over the K draws, K = 1 for a
        static baseline. With all tokens present every draw is the text itself.

    Notes
    -----
    Cost: N * K forward passes at most; equal rows are read once, also across calls.

    Examples
    --------
    >>> import torch
    >>> from course_lib import load_model
    >>> from course_lib.attribution import ask
    >>> q = ask(load_model(), "Can you stop the dog from", "barking", "crying")
    >>> without_dog = torch.tensor([[token != "dog" for token in q.tokens]])
    >>> coalition_values(q, without_dog, "delete").shape
    torch.Size([1, 1])
    """
    baseline = as_baseline(baseline)
    if keep.dtype != torch.bool or keep.dim() != 2 or keep.shape[1] != len(question.ids) - 1:
        raise ValueError(
            f"keep must be a bool tensor [N, {len(question.ids) - 1}], one column per token "
            f"without the start token; got {keep.dtype} {list(keep.shape)}."
        )
    for name in ("samples", "proposals"):
        if getattr(baseline, name, 1) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(baseline, name)}.")
    keep = torch.cat([torch.ones(len(keep), 1, dtype=torch.bool), keep], 1)  # [N, T + 1]
    rows = baseline.rows(question.lm, question.ids, keep)
    values = question.values([row for group in rows for row in group])
    return values.view(len(keep), -1)  # [N * K] -> [N, K]
