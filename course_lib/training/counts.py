"""Start word embeddings from counts: words that are read in the same documents begin alike.

Which words share a topic shows only across whole documents. In our trials a model that began with
random embeddings did not learn it within 4.5 million tokens, and one whose embeddings began with
the counts of the same corpus did within two hundred thousand. The counts are turned into vectors
as in latent semantic analysis: pointwise mutual information, then a truncated singular value
decomposition (Levy and Goldberg, 2014, compare this with learned word vectors).
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd
from torch import nn

from course_lib.training.data import CORPUS_SEED, Encoder
from course_lib.world.documents import documents

SENTENCES = 3  # of a document long enough to count
RARE = 3  # pairs seen in fewer documents say nothing
SHARED = 3  # leading components: what most words, or whole types of text, have in common
DIMENSIONS = 32
STRENGTH = 0.4  # length of the vectors of counts beside that of the random ones


def together(n: int) -> np.ndarray:
    """In how many of the first n documents, the short ones left out, two words both occur [V, V].

    Examples
    --------
    >>> counts = together(20)
    >>> bool((counts == counts.T).all()) and bool((counts.diagonal() == 0).all())
    True
    """
    encode = Encoder()
    rows = [
        list({encode.ids[word] for word in document.words})
        for document in documents(CORPUS_SEED, n)
        if len(document.sentences) >= SENTENCES
    ]
    holds = np.zeros((len(rows), len(encode.ids)), np.float32)  # [documents, V]
    for row, ids in zip(holds, rows, strict=True):
        row[ids] = 1.0
    counts = (holds.T @ holds).astype(np.float64)
    np.fill_diagonal(counts, 0.0)
    return counts


def word_vectors(counts: np.ndarray, seed: int = 0) -> torch.Tensor:
    """Vectors [V, DIMENSIONS] in which words of the same documents lie together.

    Parameters
    ----------
    counts : float64 [V, V]
        From `together`.
    seed : int
        Of the randomised decomposition.
    """
    totals = counts.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.log(counts * totals.sum() / np.outer(totals, totals))
    information[(counts < RARE) | (information < 0)] = 0.0
    vectors, sizes, _ = randomized_svd(information, SHARED + DIMENSIONS, random_state=seed)
    return torch.tensor(vectors * np.sqrt(sizes), dtype=torch.float32)[:, SHARED:]


@torch.no_grad()
def start_from_counts(embeddings: nn.Embedding, n: int = 30_000, seed: int = 0) -> None:
    """Add the vectors of the counts, turned at random, to the embeddings in place.

    They lie in the span of the first normal vectors that torch draws with this seed: a random
    direction of the same width that is to be a control has to come from another seed.
    """
    vectors = word_vectors(together(n), seed)
    directions = torch.empty(vectors.shape[1], embeddings.embedding_dim)
    nn.init.orthogonal_(directions, generator=torch.Generator().manual_seed(seed))
    length = STRENGTH * embeddings.weight.norm(dim=1).mean() / vectors.norm(dim=1).mean()
    embeddings.weight += length * (vectors @ directions)
