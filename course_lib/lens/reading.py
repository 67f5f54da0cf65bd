"""Logit lens: what would the model predict if all remaining layers added nothing?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from course_lib.activations import record
from course_lib.architectures import n_layers
from course_lib.intervals import Interval, bootstrap_interval
from course_lib.lens.readout import check_last, lens_sites, readout, shown
from course_lib.models.text_model import as_list
from course_lib.tables import html_table

Translate = Callable[[str, Tensor], Tensor]  # (site, states [..., d]) -> states [..., d]


@dataclass(frozen=True)
class LensReading:
    """Next-token distributions read from states inside a model, for every token of a text.

    Attributes
    ----------
    lm : LanguageModel
    text : str
    tokens : tuple of str, length T
        The start token is the first.
    sites : tuple of str, length S
        Where the states were taken, in the order of the model.
    logits : Tensor [S, T, V]
        Entry (s, t) is about the token after `tokens[t]`.
    final : Tensor [T, V]
        The model's own logits.
    lens : str
        "logit lens", or the name of what translated the states first.
    """

    lm: Any = field(repr=False)
    text: str
    tokens: tuple[str, ...]
    sites: tuple[str, ...]
    logits: Tensor
    final: Tensor
    lens: str = "logit lens"

    @property
    def logprobs(self) -> Tensor:
        """Log-probabilities [S, T, V] in nats."""
        return self.logits.log_softmax(-1)

    @property
    def entropy(self) -> Tensor:
        """Entropy of each distribution in nats, float64 [S, T]; log V for a uniform one."""
        logp = self.logits.double().log_softmax(-1)
        return -(logp.exp() * logp).sum(-1)  # [S, T, V] -> [S, T]

    @property
    def kl(self) -> Tensor:
        """KL(model's own prediction || reading) in nats, float64 [S, T]; 0 where they agree.

        So many nats does someone lose who expects what the lens says and meets what the model
        says.
        """
        final = self.final.double().log_softmax(-1)
        # [T, V] against [S, T, V] -> [S, T]; the model's prediction is the weight, as in its own
        # loss
        return (final.exp() * (final - self.logits.double().log_softmax(-1))).sum(-1)

    def prob(self, word: str) -> Tensor:
        """Probability of a word of one token [S, T]."""
        return self.logprobs[..., self.lm.token_id(word)].exp()  # [S, T, V] -> [S, T]

    def rank(self, word: str) -> Tensor:
        """Rank of a word among all tokens [S, T], 1 = most probable; ties share their mean."""
        return rank_of(self.logits, self.lm.token_id(word))

    def top(self, site: str, token: int = -1, k: int = 10) -> tuple[tuple[str, float], ...]:
        """The k most probable next tokens at a site after one token, with probabilities.

        Raises ValueError for a site that was not read, IndexError for a token that is not there.
        """
        if site not in self.sites:
            raise ValueError(f"{site!r} was not read; there are {', '.join(self.sites)}.")
        probs = self.logits[self.sites.index(site), token].softmax(-1)  # [V]
        best = probs.topk(min(k, len(probs)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return tuple((shown(self.lm, i), p) for i, p in pairs)

    def best(self) -> list[list[tuple[str, float]]]:
        """The most probable next token and its probability: a list of S lists of T pairs."""
        best = self.logits.softmax(-1).max(-1)  # values and indices [S, T]
        return [
            [(shown(self.lm, i), p) for i, p in zip(ids, ps, strict=True)]
            for ids, ps in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    @property
    def caption(self) -> str:
        """All that must stand beside the numbers."""
        return (
            f"{self.lens}: most probable next token after each token of {self.text!r}, with its "
            "probability; final norm recomputed for each state, 1 forward pass"
        )

    def __repr__(self) -> str:
        width = max(map(len, self.sites))
        lines = [f"  {s:<{width}}  {r[-1][0]} {r[-1][1]:.3f}"
                 for s, r in zip(self.sites, self.best(), strict=True)]  # fmt: skip
        return "\n".join([f"{self.caption} (last token)", *lines])

    def _repr_html_(self) -> str:
        rows = [
            (site, *(f"{word} {p:.2f}" for word, p in row))
            for site, row in zip(self.sites, self.best(), strict=True)
        ]
        return html_table(("state", *self.tokens), rows, self.caption)


def rank_of(scores: Tensor, index: int | Tensor) -> Tensor:
    """Rank of one entry of scores [..., V] (or one for each, [...]), 1 = highest, ties halved.

    Examples
    --------
    >>> rank_of(torch.tensor([[3.0, 1.0, 3.0], [0.0, 0.0, 0.0]]), 0).tolist()
    [1.5, 2.0]
    """
    index = torch.as_tensor(index, device=scores.device).expand(scores.shape[:-1])
    own = scores.gather(-1, index[..., None])  # [..., 1]
    # k entries tied with it, itself among them, share the mean of their k ranks
    return (scores > own).sum(-1) + ((scores == own).sum(-1) + 1) / 2


@torch.no_grad()
def logit_lens(
    lm: Any, text: str, sites: str | Iterable[str] = "stream", translate: Translate | None = None
) -> LensReading:
    """Read states inside the model as if they were the last: softmax(W norm(x)).

    Parameters
    ----------
    lm : causal LanguageModel
    text : str
    sites : str or iterable of str
        See `lens_sites`. The outputs of attention and MLP can be read as well; the norm then
        makes them as long as a state, so that the reading says where they point, not how much
        they matter (for that see `direct_attribution`).
    translate : callable (site, states) -> states, optional
        Applied to the states first, for example a `TunedLens`.

    Returns
    -------
    LensReading
        The statistics of the final norm are recomputed for each state. At the last state the
        reading is the model's own logits, exactly.

    Raises
    ------
    ValueError
        For an unknown site, or a text that cannot be read.
    UnsupportedArchitecture
        Where the lens at the last state would not be the model's logits: BERT family, unknown
        families.

    Notes
    -----
    Cost: 1 forward pass and S unembeddings; memory S x T x V numbers.
    Source: nostalgebraist, "interpreting GPT: the logit lens" (2020).

    Examples
    --------
    >>> from course_lib import load_model
    >>> reading = logit_lens(load_model(), "Can you stop the dog from")
    >>> reading.logits.shape[0] == len(reading.sites) == 7
    True
    >>> reading.top("resid_post.5", k=1)[0][0]
    'barking'
    """
    read, names = readout(lm), lens_sites(lm, sites)
    ids = lm.encode(text)
    last = f"resid_post.{n_layers(lm) - 1}"
    with record(lm, {*names, last}) as seen:
        final = lm(torch.tensor([ids], device=lm.device)).logits[0]  # [T, V]
    # a lens that misses the model's own logits at the end would show something else throughout
    check_last(read(seen[last])[0], final)
    change = translate or (lambda _, states: states)
    # one site at a time and with the batch dimension: the very operations of the model
    logits = torch.stack([read(change(name, seen[name]))[0] for name in names])  # [S, T, V]
    tokens = tuple(map(lm.token_string, ids))
    return LensReading(lm, text, tokens, names, logits, final, lens_name(translate))


def lens_name(translate: Translate | None) -> str:
    """How a reading is called: by what translated the states, if anything."""
    if translate is None:
        return "logit lens"
    return getattr(translate, "name", "lens with a translation")


@dataclass(frozen=True)
class WordRanks:
    """One word followed through the layers, for each of N texts, after the text's last token.

    Attributes
    ----------
    texts, words : tuple of str, length N
    sites : tuple of str, length S
    logprobs : Tensor [N, S]
        Of the word, in nats, among all tokens.
    ranks : Tensor [N, S]
        1 = most probable among all tokens, or among the candidates.
    among : int
        How many words were ranked.
    lens : str
        "logit lens", or the name of what translated the states first.
    """

    texts: tuple[str, ...]
    words: tuple[str, ...]
    sites: tuple[str, ...]
    logprobs: Tensor
    ranks: Tensor
    among: int
    lens: str = "logit lens"

    @property
    def leads(self) -> Tensor:
        """[N, S], True where the word alone is the most probable."""
        return self.ranks == 1  # in a tie for the first place the rank is 1.5, and nobody leads

    @property
    def first(self) -> list[str | None]:
        """Where each word leads for the first time; None where it never does."""
        return [self._site(row) for row in self.leads]

    @property
    def settled(self) -> list[str | None]:
        """From where on each word leads up to the last state; None where it does not at the end."""
        # [N, S]; backwards the running minimum stays 1 until the word first fails to lead
        until_end = self.leads.flip(-1).long().cummin(-1).values.flip(-1).bool()
        return [self._site(row) for row in until_end]

    def _site(self, row: Tensor) -> str | None:
        # argmax finds the first of several
        return self.sites[int(row.long().argmax())] if bool(row.any()) else None

    def share_leading(self, n_boot: int = 2000, seed: int = 0) -> list[Interval]:
        """For each state the share of texts where the word leads, with its 95 % interval.

        The interval is a percentile bootstrap over texts.
        """
        return [bootstrap_interval(column, n_boot, seed) for column in self.leads.double().T]

    @property
    def caption(self) -> str:
        """All that must stand beside the numbers."""
        return (
            f"{self.lens} after the last token of {len(self.texts)} texts; a word leads where it "
            f"is the most probable of {self.among}; 95 % intervals over texts"
        )

    def __repr__(self) -> str:
        width = max(map(len, self.sites))
        lines = [
            f"  {site:<{width}}  leads in {share:.2f} [{low:.2f}, {high:.2f}], "
            f"median rank {rank:.0f}"
            for site, (share, low, high), rank in zip(
                self.sites, self.share_leading(), self.ranks.median(0).values.tolist(), strict=True
            )
        ]
        return "\n".join([self.caption, *lines])


@torch.no_grad()
def word_ranks(
    lm: Any,
    texts: str | Sequence[str],
    words: str | Sequence[str],
    sites: str | Iterable[str] = "stream",
    *,
    among: Sequence[str] | None = None,
    translate: Translate | None = None,
) -> WordRanks:
    """Follow one word per text through the layers: at which of them does it first lead?

    Parameters
    ----------
    lm : causal LanguageModel
    texts, words : str or sequence of str, of equal length
        Each text ends right before the place of interest; the words are one token each. They
        may be the answers, or words on the way to them (the country before its capital).
    sites, translate :
        As in `logit_lens`.
    among : sequence of str, optional
        Rank the word among these (all capitals, say) instead of all tokens. The word itself must
        be one of them.

    Returns
    -------
    WordRanks

    Raises
    ------
    ValueError
        For lists of different lengths, a word of several tokens, or one that is not a candidate.
    UnsupportedArchitecture
        As in `logit_lens`.

    Notes
    -----
    Cost: 1 forward pass over the texts.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.world.prompts import capitals
    >>> asked = capitals(5)
    >>> found = word_ranks(load_model(), [p.text for p in asked], [p.right[0] for p in asked])
    >>> found.ranks.shape
    torch.Size([5, 7])
    """
    texts, words = as_list(texts), as_list(words)
    if len(texts) != len(words):
        raise ValueError(f"{len(texts)} texts with {len(words)} words: give one word for each.")
    read, names = readout(lm), lens_sites(lm, sites)
    targets = [lm.token_id(word) for word in words]
    pool = None if among is None else sorted({lm.token_id(word) for word in among})
    if pool is not None and not set(targets) <= set(pool):
        missing = [w for w, i in zip(words, targets, strict=True) if i not in pool]
        raise ValueError(f"{missing[0]!r} is not among the candidates, so it has no rank.")
    change = translate or (lambda _, states: states)
    last = f"resid_post.{n_layers(lm) - 1}"
    logprobs, ranks = [], []
    for text, target in zip(texts, targets, strict=True):
        ids = torch.tensor([lm.encode(text)], device=lm.device)
        with record(lm, {*names, last}) as seen:
            final = lm(ids).logits[0, -1]
        check_last(read(seen[last][0, -1]), final)
        scores = torch.stack([read(change(name, seen[name][0, -1])) for name in names])  # [S, V]
        logprobs.append(scores.log_softmax(-1)[:, target])
        # its column among the candidates
        where = target if pool is None else pool.index(target)
        ranks.append(rank_of(scores if pool is None else scores[:, pool], where))
    size = len(final) if pool is None else len(pool)
    stacked = torch.stack(logprobs).cpu(), torch.stack(ranks).cpu()
    return WordRanks(tuple(texts), tuple(words), names, *stacked, size, lens_name(translate))
