"""Tuned lens: translate each state into the basis of the last one before reading it.

The plain lens takes for granted that all layers write in the last layer's language. The tuned
lens learns, for the state h before each layer, an affine translation, and reads

    logits = W norm(h + A h + b),      A [d, d] and b [d] per layer

A and b are fitted to the model's own prediction, by KL(model || lens) on text: not to the right
answer, so that the lens says what the model will make of a state. Source: Belrose et al. 2023.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from course_lib.activations import record
from course_lib.architectures import n_layers
from course_lib.intervals import Interval, bootstrap_interval
from course_lib.lens.reading import Translate, lens_name
from course_lib.lens.readout import Readout, lens_sites, readout
from course_lib.models.text_model import as_list
from course_lib.world.documents import document

BITS = 1 / math.log(2)  # nats -> bits


def generated_texts(n: int, seed: int | str = "tuned lens") -> list[str]:
    """Documents of the course world that no model of the course was trained on.

    Examples
    --------
    >>> generated_texts(2) != generated_texts(2, "held out")
    True
    """
    return [document(f"{seed}:{index}").text for index in range(n)]


@dataclass(frozen=True)
class TunedLens:
    """A translation for the state before each layer; pass it to `logit_lens` as `translate`.

    Attributes
    ----------
    weights, biases : Tensor [L, d, d], [L, d]
        A and b; state k is the input of layer k. The last state is read as it is.
    history : Tensor [steps, L]
        KL(model || lens) in nats on each training batch.
    tokens, seed : int
        Number of training tokens, seed of the order they came in.
    """

    weights: Tensor
    biases: Tensor
    history: Tensor
    tokens: int
    seed: int
    name: str = "tuned lens"

    def __call__(self, site: str, states: Tensor) -> Tensor:
        """Translate states [..., d] taken at a site of the stream (resid_pre or resid_post).

        Raises ValueError for other sites: nothing was fitted to them.
        """
        kind, _, layer = site.partition(".")
        if site == "embed":
            kind, layer = "resid_pre", "0"
        if kind not in ("resid_pre", "resid_post"):
            raise ValueError(
                f"The tuned lens has no translation for {site!r}, only for the stream before and "
                "after each layer (resid_pre, resid_post). Read other sites with the plain lens."
            )
        k = int(layer) + (kind == "resid_post")
        if k == len(self.weights):
            return states
        # states are rows: A h for each of them is states A^T
        return states + states @ self.weights[k].T + self.biases[k]


def tune_lens(
    lm: Any,
    texts: Sequence[str] | None = None,
    *,
    steps: int = 60,
    batch: int = 256,
    rate: float = 3e-4,
    ridge: float = 1e-3,
    seed: int = 0,
) -> TunedLens:
    """Fit a tuned lens.

    The translations start from the closed form that brings each state nearest to the last one of
    its token (ridge regression), and are then trained by KL with Adam at a falling rate.

    Parameters
    ----------
    lm : causal LanguageModel
    texts : sequence of str, optional
        Default: 500 generated documents. Judge the lens on others (`score_lens`).
    steps : int
        0 leaves the closed form.
    batch : int
        Tokens in a step.
    rate : float
        Learning rate at the start; it falls linearly to 0.
    ridge : float
        Penalty on A, relative to the mean variance of the state's dimensions.
    seed : int
        Of the order of the tokens.

    Returns
    -------
    TunedLens

    Raises
    ------
    ValueError
        For no texts, or a negative number of steps.
    UnsupportedArchitecture
        As in `readout`.

    Notes
    -----
    Cost: 1 forward pass over the texts; in each step L unembeddings of `batch` tokens forward and
    backward. Memory: (L + 1) x tokens x d numbers.

    Examples
    --------
    >>> from course_lib import load_model
    >>> lens = tune_lens(load_model(), generated_texts(20), steps=2, batch=64)
    >>> lens.weights.shape, lens.history.shape
    (torch.Size([6, 256, 256]), torch.Size([2, 6]))
    """
    if steps < 0 or batch < 1:
        raise ValueError("steps must be at least 0 and batch at least 1.")
    read = readout(lm)
    states = _stream(lm, generated_texts(500) if texts is None else as_list(texts))
    last = states[-1]  # [N, d]
    fits = [_nearest(x, last, ridge) for x in states[:-1]]
    weights = torch.stack([a for a, _ in fits]).requires_grad_()  # [L, d, d]
    biases = torch.stack([b for _, b in fits]).requires_grad_()  # [L, d]
    optimiser = torch.optim.Adam([weights, biases], lr=rate)
    fall = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / max(steps, 1))
    generator = torch.Generator().manual_seed(seed)
    history = torch.zeros(steps, len(fits))
    for step in range(steps):
        rows = torch.randint(len(last), (batch,), generator=generator)
        final = read(last[rows]).log_softmax(-1)  # [batch, V]
        optimiser.zero_grad()
        for k, x in enumerate(states[:-1]):  # one layer at a time: V logits per token are large
            loss = _kl(read, x[rows] + x[rows] @ weights[k].T + biases[k], final).mean()
            loss.backward()
            history[step, k] = loss.detach()
        optimiser.step()
        fall.step()
    return TunedLens(weights.detach(), biases.detach(), history, len(last), seed)


def _kl(read: Readout, states: Tensor, final: Tensor) -> Tensor:
    """KL(final || reading of the states) of every token in nats; `final` are log-probabilities."""
    return (final.exp() * (final - read(states).log_softmax(-1))).sum(-1)


def _nearest(x: Tensor, last: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """A, b with the least mean |x + A x + b - last|^2 + penalty |A|^2, for x, last [N, d]."""
    # what has to be added to x: with the penalty A falls to 0, the plain lens, not to no state
    a, b = x.double(), (last - x).double()
    mean_a, mean_b = a.mean(0), b.mean(0)
    a, b = a - mean_a, b - mean_b
    gram = a.T @ a / len(a)  # [d, d]
    penalty = ridge * gram.trace() / len(gram)
    # ridge regression: (gram + penalty I) A^T = a^T b / N
    weight = torch.linalg.solve(gram + penalty * torch.eye(len(gram)).to(gram), a.T @ b / len(a)).T
    return weight.to(x), (mean_b - weight @ mean_a).to(x)


@torch.no_grad()
def _stream(lm: Any, texts: Sequence[str]) -> Tensor:
    """States before each layer and after the last [L + 1, N, d], at all but the last tokens."""
    names = [*lens_sites(lm, "resid_pre"), f"resid_post.{n_layers(lm) - 1}"]
    found = []
    with record(lm, names) as seen:
        for text in texts:
            lm(torch.tensor([lm.encode(text)], device=lm.device))
            # [L + 1, T - 1, d]; the last token has no next one in the text, here as in `score_lens`
            found.append(torch.stack([seen[name][0, :-1] for name in names]))
    return torch.cat(found, 1)


@dataclass(frozen=True)
class LensScores:
    """How well a lens foretells the model, and the text, at S states over N texts.

    Attributes
    ----------
    lens : str
    sites : tuple of str, length S
    kl : Tensor [S, N]
        KL(model || lens) per token in bits, mean over the tokens of each text; 0 at the last state.
    loss : Tensor [S, N]
        Cross-entropy of the next token of the text under the lens, bits per token.
    model_loss : Tensor [N]
        The same under the model.
    bias : Tensor [S]
        KL(mean of the model's distributions || mean of the lens's) over all tokens, in bits: how
        far the lens is off on average, whatever the text. Never more than the mean of the KLs.
    """

    lens: str
    sites: tuple[str, ...]
    kl: Tensor
    loss: Tensor
    model_loss: Tensor
    bias: Tensor

    def intervals(self, what: str = "kl", seed: int = 0) -> list[Interval]:
        """Mean over texts of "kl" or "loss" with its 95 % bootstrap interval, for each state."""
        if what not in ("kl", "loss"):
            raise ValueError(f"There are intervals of 'kl' and 'loss', not of {what!r}.")
        return [bootstrap_interval(row, seed=seed) for row in getattr(self, what)]

    def __repr__(self) -> str:
        width = max(map(len, self.sites))
        head = (
            f"{self.lens} on {self.kl.shape[1]} texts, bits per token, 95 % intervals over texts; "
            f"the model's own loss is {self.model_loss.mean():.2f}"
        )
        lines = [
            f"  {site:<{width}}  KL {kl:5.2f} [{low:.2f}, {high:.2f}]   loss {loss:5.2f}   "
            f"bias {bias:5.2f}"
            for site, (kl, low, high), loss, bias in zip(
                self.sites, self.intervals(), self.loss.mean(1).tolist(), self.bias.tolist(),
                strict=True,
            )
        ]  # fmt: skip
        return "\n".join([head, *lines])


@torch.no_grad()
def score_lens(lm: Any, texts: Sequence[str], translate: Translate | None = None) -> LensScores:
    """Judge a lens on held-out texts by what the model predicts, at every state of the stream.

    Parameters
    ----------
    lm : causal LanguageModel
    texts : sequence of str
        Not those that a tuned lens was fitted on.
    translate : TunedLens, optional
        Default: the plain lens.

    Returns
    -------
    LensScores

    Raises
    ------
    ValueError, UnsupportedArchitecture
        For an empty list; as in `readout`.

    Notes
    -----
    Cost: 1 forward pass over the texts and S unembeddings.

    Examples
    --------
    >>> from course_lib import load_model
    >>> scores = score_lens(load_model(), generated_texts(5, "held out"))
    >>> scores.kl.shape, float(scores.kl[-1].max())
    (torch.Size([7, 5]), 0.0)
    """
    read, names = readout(lm), lens_sites(lm)
    change = translate or (lambda _, states: states)
    kl, loss, own, size, means = [], [], [], 0, 0.0
    with record(lm, names) as seen:
        for text in as_list(texts):
            ids = torch.tensor([lm.encode(text)], device=lm.device)
            final = lm(ids).logits[0, :-1].double().log_softmax(-1)  # [T - 1, V]
            readings = torch.stack(
                [read(change(name, seen[name]))[0, :-1].double().log_softmax(-1) for name in names]
            )  # [S, T - 1, V]
            following = ids[0, 1:]
            # [T - 1, V] against [S, T - 1, V]: sum over words, mean over tokens -> [S]
            kl.append((final.exp() * (final - readings)).sum(-1).mean(-1))
            loss.append(-readings[:, range(len(following)), following].mean(-1))
            own.append(-final[range(len(following)), following].mean())
            every = torch.cat([final[None], readings])  # [1 + S, T - 1, V]
            means, size = means + every.exp().sum(1), size + len(following)
    means = (means / size).log()  # [1 + S, V]
    bias = (means[0].exp() * (means[0] - means[1:])).sum(-1)  # [S]
    kl, loss = BITS * torch.stack(kl, 1).cpu(), BITS * torch.stack(loss, 1).cpu()
    own, bias = BITS * torch.stack(own).cpu(), BITS * bias.cpu()
    return LensScores(lens_name(translate), names, kl, loss, own, bias)
