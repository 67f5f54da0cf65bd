"""The n-gram model against a dictionary version of the formula, and its distribution."""

import math
import time
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from budgets import within_budget
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from course_lib.models.ngram import NGramModel, discount
from tests.closeness import close

WORDS = "the a dog cat fox sleeps sees sings and or old red".split()


def make_tokenizer(words=tuple(WORDS)):
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[BOS]", "[EOS]", *words])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="[BOS]",
        eos_token="[EOS]",
        unk_token="[UNK]",
        pad_token="[PAD]",
    )


def make_corpus(n=300, seed=0):
    """Sequences from a skewed first-order chain, so that all counts 1, 2, 3, ... occur."""
    rng = np.random.default_rng(seed)
    chain = rng.dirichlet(np.full(len(WORDS), 0.3), size=len(WORDS))
    documents = []
    for _ in range(n):
        words = [rng.integers(len(WORDS))]
        for _ in range(rng.integers(0, 9)):
            words.append(rng.choice(len(WORDS), p=chain[words[-1]]))
        documents.append([2, *(int(w) + 4 for w in words), 3])
    return documents


class Reference:
    """Kneser-Ney as the module's docstring states it, with dictionaries and recursion."""

    def __init__(self, documents, size, bos, order, cutoffs):
        self.size, self.order, self.cutoffs = size, order, cutoffs
        raw = [Counter() for _ in range(order + 1)]
        before = defaultdict(set)
        for document in documents:
            for end in range(len(document)):
                for k in range(1, order + 1):
                    if end - k + 1 < 0:
                        continue
                    gram = tuple(document[end - k + 1 : end + 1])
                    raw[k][gram] += 1
                    if end - k >= 0:
                        before[gram].add(document[end - k])
        self.a = [None]
        for k in range(1, order + 1):
            counts = {}
            for gram, count in raw[k].items():
                whole = k == order or (k > 1 and gram[0] == bos)
                counts[gram] = count if whole else len(before[gram])
            self.a.append({g: c for g, c in counts.items() if c})
        self.d = [None] + [self.discounts(list(a.values())) for a in self.a[1:]]

    @staticmethod
    def discounts(counts):
        n = [sum(c == i for c in counts) for i in range(5)]
        if all(n[1:4]):
            y = n[1] / (n[1] + 2 * n[2])
            d = [i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3)]
            if min(d) > 0:
                return d
        return [0.5, 1.0, 1.5]

    def p(self, word, context):
        k = len(context) + 1
        lower = self.p(word, context[1:]) if k > 1 else 1 / self.size
        seen = {g: c for g, c in self.a[k].items() if g[:-1] == context}
        if not seen:
            return lower
        total = sum(seen.values())

        def term(c):
            kept = k == 1 or c >= self.cutoffs[k - 1]
            return (c - self.d[k][min(c, 3) - 1]) / total if kept else 0.0

        gamma = 1 - sum(map(term, seen.values()))
        gram = (*context, word)
        return (term(seen[gram]) if gram in seen else 0.0) + gamma * lower

    def score(self, ids):
        contexts = [tuple(ids[max(0, t - self.order + 1) : t]) for t in range(1, len(ids))]
        return [math.log(self.p(w, c)) for w, c in zip(ids[1:], contexts, strict=True)]


@pytest.mark.parametrize("order, cutoffs", [(2, (1, 1)), (3, (1, 1, 1)), (5, (1, 1, 2, 2, 3))])
def test_equals_the_dictionary_version(order, cutoffs):
    documents = make_corpus()
    lm = NGramModel(make_tokenizer(), order=order, cutoffs=cutoffs).fit(documents)
    reference = Reference(documents, len(lm.tokenizer), 2, order, cutoffs)
    held_out = make_corpus(25, seed=5) + [[2, 1, 1, 4], [2, 4, 4, 4, 4, 4, 4], [4, 5, 6]]
    for ids, scores in zip(held_out, lm.score_ids(held_out), strict=True):
        close(scores, torch.tensor(reference.score(ids)))


@pytest.mark.parametrize("cutoffs", [(1, 1, 1, 1, 1), (1, 1, 2, 2, 2), (1, 2, 9, 9, 99)])
def test_next_token_distribution_sums_to_one_and_equals_the_scores(cutoffs, tmp_path):
    lm = NGramModel(make_tokenizer(), cutoffs=cutoffs).fit(make_corpus())
    lm.save(tmp_path)
    texts = ["the", "the dog sleeps", "red red red red red", "a cat sees the old fox and"]
    for model in (lm, NGramModel.load(tmp_path)):
        probs = model.next_token_probs(texts)
        assert probs.shape == (4, len(model.tokenizer))
        assert (probs > 0).all()
        close(probs.sum(1), torch.ones(4))
        for text, row in zip(texts, probs, strict=True):
            ids = model.encode(text)
            everything = model.score_ids([[*ids, word] for word in range(len(row))])
            last = torch.stack([scores[-1] for scores in everything])
            assert torch.allclose(last, row.log(), atol=1e-4)


def test_save_and_load_change_little(tmp_path):
    documents = make_corpus()
    lm = NGramModel(make_tokenizer()).fit(documents)
    lm.save(tmp_path)
    loaded = NGramModel.load(tmp_path)
    assert (loaded.order, loaded.cutoffs, loaded.name) == (lm.order, lm.cutoffs, lm.name)
    before, after = (torch.cat(m.score_ids(documents)) for m in (lm, loaded))
    assert torch.allclose(before, after, atol=5e-3)


def test_scores_do_not_depend_on_the_batch():
    lm = NGramModel(make_tokenizer()).fit(make_corpus())
    items = make_corpus(20, seed=9)
    together = lm.score_ids(items)
    for item, scores in zip(items, together, strict=True):
        close(lm.score_ids([item])[0], scores)
        assert scores.shape == (len(item) - 1,)


def test_continuation_counts_beat_frequency():
    """ "fox" is frequent but only ever follows "red"; "dog" is rarer but follows many words."""
    corpus = [[2, "red", "fox", 3]] * 40 + [
        [2, w, "dog", 3] for w in ("the", "a", "old", "and", "or", "sees")
    ]
    tokenizer = make_tokenizer()
    ids = [[tokenizer.vocab[w] if isinstance(w, str) else w for w in doc] for doc in corpus]
    lm = NGramModel(tokenizer).fit(ids)
    fox, dog = lm.token_id("fox"), lm.token_id("dog")
    unseen_context = lm.next_token_probs("sings")[0]
    assert unseen_context[dog] > 2 * unseen_context[fox]
    assert lm.next_token_probs("red")[0, fox] > 0.9


def test_discounts_follow_the_equations():
    counts = np.array([1] * 40 + [2] * 15 + [3] * 8 + [4] * 5 + [9] * 3)
    y = 40 / 70
    expected = {1: 1 - 2 * y * 15 / 40, 2: 2 - 3 * y * 8 / 15, 4: 3 - 4 * y * 5 / 8}
    got = discount(counts)
    for count, value in expected.items():
        assert got[counts == count][0] == pytest.approx(value)
    assert got[-1] == got[counts == 3][0]
    assert discount(np.array([1, 1, 5])).tolist() == [0.5, 0.5, 1.5]


def test_wrong_input_is_named():
    tokenizer = make_tokenizer()
    lm = NGramModel(tokenizer)
    with pytest.raises(ValueError, match="BOS"):
        lm.fit([[4, 5, 6]])
    with pytest.raises(ValueError, match="no documents"):
        lm.fit([])
    with pytest.raises(ValueError, match="vocabulary"):
        lm.fit([[2, 4, 99]])
    with pytest.raises(ValueError, match="one cut-off per order"):
        NGramModel(tokenizer, order=3)
    with pytest.raises(ValueError, match="64-bit"):
        NGramModel(tokenizer, order=20, cutoffs=(1,) * 20)
    with pytest.raises(ValueError, match="fit"):
        NGramModel(tokenizer).score_ids([[2, 4]])


def test_fits_and_scores_quickly():
    """A tenth of the course's corpus, in processor time so that other work does not count."""
    vocabulary = tuple(f"w{i}" for i in range(1890))
    rng = np.random.default_rng(0)
    words = np.minimum(rng.zipf(1.3, size=(6000, 100)), 1890) + 3
    words[:, 0] = 2
    lm = NGramModel(make_tokenizer(vocabulary))
    start = time.process_time()
    lm.fit(words.tolist())
    within_budget("counting 600,000 words", time.process_time() - start, 12)
    start = time.process_time()
    lm.score_ids(words[:1000].tolist())
    within_budget("scoring 99,000 words", time.process_time() - start, 1)
