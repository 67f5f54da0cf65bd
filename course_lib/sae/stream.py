"""Activations of a model on text: what an autoencoder is trained on.

The state of the start token is left out: it is the same in every text, and in many models far
longer than all others. Neighbouring tokens of a text resemble each other, and a batch of them
would pull the autoencoder this way and that: `train_sae` shuffles stored states.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from course_lib.activations import record
from course_lib.models.text_model import require_causal
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
    require_causal(lm, "collect_activations")
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
