"""Hidden states of words, layer by layer: what a probe reads."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from course_lib.activations import record
from course_lib.architectures import n_layers
from course_lib.models.language_model import LanguageModel
from course_lib.probing.gold import Corpus, Targets

BATCH_TOKENS = 2048


def layer_sites(lm: Any) -> list[str]:
    """Layer 0 is what the first block reads, layer l what block l has written: L + 1 sites.

    Examples
    --------
    >>> from course_lib import load_model
    >>> layer_sites(load_model("course-lm"))[:2]
    ['embed', 'resid_post.0']
    """
    return ["embed", *(f"resid_post.{layer}" for layer in range(n_layers(lm)))]


@torch.no_grad()
def read_states(lm: LanguageModel, corpus: Corpus) -> Tensor:
    """Return the state of every word of a corpus at every layer, float32 [L + 1, W, d].

    A word of several tokens is represented by its last one: only there has a left-to-right model
    read all of it. Cost: one forward pass over the corpus.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.probing import annotate
    >>> lm = load_model("course-lm")
    >>> corpus = annotate(lm, 2)
    >>> read_states(lm, corpus).shape == (7, len(corpus.words), 256)
    True
    """
    sites = layer_sites(lm)
    of_document: dict[int, list[tuple[int, int]]] = {}
    for index, word in enumerate(corpus.words):
        # word number and position, for each document
        of_document.setdefault(word.document, []).append((index, word.token))
    states = None
    for rows, ids, mask in lm.batches(corpus.ids, BATCH_TOKENS):
        with record(lm, sites) as seen:
            lm(ids, mask)
        if states is None:
            states = seen["embed"].new_empty(len(sites), len(corpus.words), seen["embed"].shape[-1])
        for place, row in enumerate(rows):
            words, tokens = zip(*of_document[row], strict=True)
            for layer, site in enumerate(sites):
                states[layer, list(words)] = seen[site][place, list(tokens)]  # [words, d]
    return states.float().cpu()


def features(states: Tensor, data: Targets) -> Tensor:
    """Return what a probe reads at each place of a data set, [L + 1, N, D].

    For a concept of one word the state itself (D = d); for two words both states and their
    product, unit by unit (D = 3 d): a linear probe of two states cannot compare them.
    """
    # one or two times [L + 1, N, d]
    parts = [states[:, data.places[:, k]] for k in range(data.places.shape[1])]
    if len(parts) == 1:
        return parts[0]
    # [L + 1, N, 3 d]
    return torch.cat([*parts, parts[0] * parts[1]], dim=-1)


def random_model(lm: LanguageModel, seed: int = 0) -> LanguageModel:
    """Return a model of the same architecture and tokenizer that was never trained.

    Its weights are drawn as those of the trained model were before training, except that course
    models start with some embeddings on another scale.

    Examples
    --------
    >>> from course_lib import load_model
    >>> lm = load_model("course-lm")
    >>> random_model(lm).logits("The dog sleeps.").shape == lm.logits("The dog sleeps.").shape
    True
    """
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    try:
        model = type(lm.model)(copy.deepcopy(lm.model.config))
    finally:
        torch.random.set_rng_state(state)  # the caller's random numbers go on as if nothing was
    return LanguageModel(model, lm.tokenizer, f"{lm.name}, untrained")
