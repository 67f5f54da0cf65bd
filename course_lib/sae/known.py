"""Is there anything to find? Whether the model itself knows the topic of a document.

An autoencoder can only take apart what the model has put into its states. Before a missing feature
is blamed on the autoencoder, ask the model: once it has read several words of a topic, does it
expect more of them? In the generator four of five topical things belong to the topic of their
document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from course_lib.intervals import bootstrap_interval
from course_lib.models.text_model import require_causal
from course_lib.sae.concepts import GoldTokens
from course_lib.sae.stream import BATCH_TOKENS
from course_lib.world.lexicon import LEXICON, TOPICS


@dataclass(frozen=True)
class TopicKnowledge:
    """What the model expects where the next word belongs to the topic of the document.

    Attributes
    ----------
    share : float64 [D]
        For each document: of the probability given to words of any topic, the share of its own,
        mean over these places. 1/12 = the model does not know the topic.
    right : float64 [D]
        Share of these places where its own topic has more probability than any other.
    places : int
    """

    share: np.ndarray
    right: np.ndarray
    places: int

    def interval(self, which: str = "share", seed: int = 0) -> tuple[float, float, float]:
        """Mean over documents of "share" or "right" with a 95 % bootstrap interval."""
        if which not in ("share", "right"):
            raise ValueError(f"There are intervals of 'share' and 'right', not of {which!r}.")
        return bootstrap_interval(getattr(self, which), n_boot=1000, seed=seed)

    def __repr__(self) -> str:
        (share, low, high), (right, least, most) = self.interval(), self.interval("right")
        return (
            f"the topic of the document gets {share:.3f} [{low:.3f}, {high:.3f}] of the "
            f"probability of topical words and is ahead at {right:.3f} [{least:.3f}, {most:.3f}] "
            f"of the places; chance {1 / len(TOPICS):.3f}; {self.places} places in "
            f"{len(self.share)} documents"
        )


@torch.no_grad()
def topic_knowledge(lm: Any, gold: GoldTokens) -> TopicKnowledge:
    """Does the model expect words of the topic, where one follows and three were read before?

    Parameters
    ----------
    lm : causal LanguageModel
        Whose tokenizer keeps topical words whole.
    gold : GoldTokens
        From `gold_tokens` with the same model; documents without such a place are left out.

    Raises
    ------
    ValueError
        If no document has such a place.

    Notes
    -----
    Cost: one forward pass over the documents.
    """
    require_causal(lm, "topic_knowledge")
    groups = torch.zeros(len(TOPICS), len(lm.tokenizer))  # [12, V]
    for form, word in LEXICON.forms.items():
        if word.topic in TOPICS:
            groups[TOPICS.index(word.topic), lm.token_id(form)] = 1.0
    own = np.array([word is not None and word.topic == topic
                    for word, topic in zip(gold.words, gold.topics, strict=True)])  # fmt: skip
    # a topical word, and at the token before it three words of the topic were read
    asked = own & np.append(False, gold.judged["topic: " + TOPICS[0]][:-1])
    share, right, places = [], [], 0
    for numbers, ids, mask in lm.batches(gold.ids, BATCH_TOKENS):
        probs = lm(ids, mask).logits[..., : len(lm.tokenizer)].softmax(-1)
        masses = probs @ groups.T.to(probs)  # [B, T, 12], of the next word
        for r, number in enumerate(numbers):
            here = torch.tensor(asked[gold.document == number])  # token i is predicted at place i
            if not bool(here.any()):
                continue
            found = masses[r, : len(here)][here]  # [n, 12]
            topic = TOPICS.index(gold.topics[gold.document == number][0])
            share.append(float((found[:, topic] / found.sum(-1)).mean()))
            right.append(float((found.argmax(-1) == topic).double().mean()))
            places += len(found)
    if not share:
        raise ValueError("No document says enough about its topic. Take more documents.")
    return TopicKnowledge(np.array(share), np.array(right), places)
