"""Activations of a model on text, as a stream of shuffled batches.

Neighbouring tokens of a text resemble each other, and a batch of them would pull the autoencoder
this way and that. So tokens of many texts go into a buffer, and batches are drawn from it at
random. The state of the start token is left out: it is the same in every text, and in many models
far longer than all others.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from course_lib.activations import record
from course_lib.world.documents import document

BATCH_TOKENS = 1024  # of a forward pass


def generated_documents(seed: int | str = "sae", start: int = 0) -> Iterator[str]:
    """Texts of the course world without end, none of which the language model was trained on.

    Examples
    --------
    >>> first, second = itertools.islice(generated_documents(), 2)
    >>> first != second
    True
    """
    for index in itertools.count(start):
        yield document(f"{seed}:{index}").text


@torch.no_grad()
def states_of(lm: Any, site: str, texts: Iterable[str], ahead: int = 256) -> Iterator[Tensor]:
    """States [n, d] at a site, one tensor for each forward pass, start tokens left out."""
    texts = iter(texts)
    while chunk := [lm.encode(text) for text in itertools.islice(texts, ahead)]:
        for _, ids, mask in lm.batches(chunk, BATCH_TOKENS):
            with record(lm, site) as seen:
                lm(ids, mask, logits_to_keep=1)  # the logits are not needed
            mask[:, 0] = 0
            yield seen[site][mask.bool()]


def collect_activations(lm: Any, site: str, n: int, texts: Iterable[str] | None = None) -> Tensor:
    """The first n states at a site, [n, d].

    Parameters
    ----------
    lm : causal LanguageModel
    site : str
        With one vector a token: resid_post.2, mlp_out.2, neurons.2, ...
    n : int
        Fewer are returned if the texts end before.
    texts : iterable of str, optional
        Default: `generated_documents()`.

    Raises
    ------
    ValueError
        For a site that does not exist, an n below 1, or no texts.

    Notes
    -----
    Cost: one forward pass over the texts.

    Examples
    --------
    >>> from course_lib import load_model
    >>> collect_activations(load_model(), "resid_post.2", 100).shape
    torch.Size([100, 256])
    """
    if n < 1:
        raise ValueError(f"At least one state must be asked for, got n={n}.")
    found, count = [], 0
    for states in states_of(lm, site, generated_documents() if texts is None else texts):
        found.append(states)
        count += len(states)
        if count >= n:
            break
    if not found:
        raise ValueError("There were no texts to take states from. Pass at least one.")
    return torch.cat(found)[:n]


def activation_batches(
    lm: Any,
    site: str,
    batch: int = 1024,
    *,
    texts: Iterable[str] | None = None,
    buffer: int = 32_768,
    seed: int = 0,
) -> Iterator[Tensor]:
    """Shuffled batches of states [batch, d], for as long as there are texts.

    Parameters
    ----------
    lm, site, texts : as in `collect_activations`.
    buffer : int
        States held at a time. Whenever half of them have been handed out, new ones are mixed in.
    seed : int
        Of the order.

    Raises
    ------
    ValueError
        If the buffer does not hold two batches.

    Notes
    -----
    Cost: one forward pass over the texts; memory for `buffer` states.

    Examples
    --------
    >>> from course_lib import load_model
    >>> next(activation_batches(load_model(), "resid_post.2", 64, buffer=256)).shape
    torch.Size([64, 256])
    """
    if buffer < 2 * batch:
        raise ValueError(f"A buffer of {buffer} states mixes nothing in batches of {batch}.")
    return _mixed(lm, site, batch, texts, buffer, torch.Generator().manual_seed(seed))


def _mixed(lm, site, batch, texts, buffer, generator) -> Iterator[Tensor]:
    source = states_of(lm, site, generated_documents() if texts is None else texts)
    held = torch.empty(0)
    while True:
        fresh, size = [], len(held)
        while size < buffer and (states := next(source, None)) is not None:
            fresh.append(states)
            size += len(states)
        held = torch.cat([held, *fresh] if len(held) else fresh) if fresh else held
        held = held[torch.randperm(len(held), generator=generator)]
        keep = len(held) // 2 if size >= buffer else 0
        while len(held) - keep >= batch:
            yield held[-batch:]
            held = held[:-batch]
        if not keep:
            return
