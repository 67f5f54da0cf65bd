"""Value vectors, sub-updates and the tuned lens: identities, and a model that the lens misreads."""

import math

import pytest
import torch

from course_lib.activations import record
from course_lib.architectures import UnsupportedArchitecture, blocks, family_of
from course_lib.lens import (
    direct_attribution,
    lens_direction,
    logit_lens,
    readout,
    score_lens,
    search_values,
    sub_updates,
    token_kinds,
    tune_lens,
    value_purity,
    value_vectors,
    vector_words,
    word_ranks,
    word_scores,
)
from course_lib.lens.parts import output_bias
from course_lib.lens.tuned import TunedLens, generated_texts
from course_lib.models.language_model import LanguageModel
from course_lib.world.lexicon import LEXICON, TOPICS
from tests import families
from tests.closeness import close, precision
from tests.families import CAUSAL, POST_NORM, VOCAB, WORDS, random_model, word_tokenizer
from tests.test_lens import FOIL, TEXT, WORD, family

KNOWN = [w for w in WORDS if w.isalpha()]


def some_texts(n: int = 30, length: int = 8, seed: int = 0) -> list[str]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(KNOWN), (n, length), generator=generator)
    return [" ".join(KNOWN[i] for i in row) for row in rows.tolist()]


# ---- value vectors ------------------------------------------------------------------------
@pytest.mark.parametrize("kind", CAUSAL)
def test_neurons_times_value_vectors_plus_bias_are_the_mlp(kind):
    lm = family(kind)
    with record(lm, [f"{s}.{k}" for s in ("neurons", "mlp_out") for k in range(3)]) as seen:
        lm.logits(TEXT)
    for layer in range(3):
        bias = output_bias(blocks(lm)[layer].get_submodule(family_of(lm).mlp_out))
        total = seen[f"neurons.{layer}"] @ value_vectors(lm, layer) + bias
        close(total, seen[f"mlp_out.{layer}"])


@pytest.mark.parametrize("token", [-1, 3])
@pytest.mark.parametrize("kind", CAUSAL)
def test_sub_updates_sum_to_the_share_of_each_mlp(kind, token):
    lm = family(kind)
    for foil in (FOIL, None):
        updates = sub_updates(lm, TEXT, WORD, foil, token)
        shares = direct_attribution(lm, TEXT, WORD, foil, token)
        close(updates.effects.sum(-1) + updates.bias, shares.mlp)
        assert updates.effects.abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["gpt2", "opt", "llama"])
def test_one_sub_update_is_activation_times_vector_along_the_word(kind):
    lm = family(kind)
    updates = sub_updates(lm, TEXT, WORD, FOIL)
    with record(lm, ["neurons.1", "resid_post.2"]) as seen:
        lm.logits(TEXT)
    activation = seen["neurons.1"][0, -1]
    close(updates.activations[1], activation)
    vector = value_vectors(lm, 1)[4]
    along = vector @ lens_direction(lm, WORD, FOIL) / readout(lm).scale(seen["resid_post.2"][0, -1])
    close(updates.effects[1, 4], activation[4] * along)
    best = updates.top(3)
    assert [abs(row[3]) for row in best] == updates.effects.abs().flatten().topk(3).values.tolist()
    layer, neuron, a, effect, words = best[0]
    assert (a, effect) == (updates.activations[layer, neuron], updates.effects[layer, neuron])
    assert words == vector_words(lm, value_vectors(lm, layer)[[neuron]])[0]
    assert f"neuron {layer}.{neuron}" in repr(updates)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_word_scores_are_the_standardised_change_of_the_logits(kind):
    lm = family(kind)
    vectors, read = value_vectors(lm, 2), readout(lm)
    change = read.centred(vectors) * read.norm.weight @ read.unembed.weight.T
    expected = (change - change.mean(-1, keepdim=True)) / change.std(-1, correction=0)[:, None]
    scores = word_scores(lm, vectors)
    close(scores, expected)
    close(word_scores(lm, 7 * vectors), scores)
    close(word_scores(lm, -vectors), -scores)
    assert word_scores(lm, torch.zeros(1, 16, dtype=torch.float64)).abs().max() == 0
    for row, words in zip(scores, vector_words(lm, vectors, 4), strict=True):
        best = row.topk(4)
        assert [lm.token_string(i) for i in best.indices] == [word for word, _ in words]
        close([score for _, score in words], best.values)


def test_search_finds_what_was_planted():
    lm = family("gpt2")
    value_vectors(lm, 1)[5] = 0.01 * lens_direction(lm, WORD)
    value_vectors(lm, 2)[9] = lens_direction(lm, WORD) + lens_direction(lm, "cat")
    one, two = search_values(lm, WORD, 200), search_values(lm, [WORD, "cat"], 200)
    assert (one[0].layer, one[0].neuron) == (1, 5)  # however short the vector
    assert (two[0].layer, two[0].neuron) == (2, 9)
    ids = [lm.token_id(WORD), lm.token_id("cat")]
    every = torch.stack([word_scores(lm, value_vectors(lm, k))[:, ids].mean(-1) for k in range(3)])
    close([hit.score for hit in two], every.flatten().sort(descending=True).values)
    for hit in two:
        close(hit.score, every[hit.layer, hit.neuron])
    assert one[0].words[0][0] == WORD and repr(one[0]).startswith("neuron 1.5")
    with pytest.raises(ValueError, match="No words"):
        search_values(lm, [])
    with pytest.raises(ValueError, match="not in the vocabulary"):
        search_values(lm, ["bread"])
    with pytest.raises(ValueError, match="0 to 2"):
        value_vectors(lm, 3)


@pytest.fixture
def worldly(monkeypatch):
    """A model of 12 words of each topic and 40 without; the unembedding of the first knows it."""
    words = [w for t in TOPICS for w in [f for f, x in LEXICON.forms.items() if x.topic == t][:12]]
    words += [form for form, word in LEXICON.forms.items() if word.topic == "-"][:40]
    monkeypatch.setattr(families, "WORDS", words)
    monkeypatch.setattr(families, "VOCAB", len(words) + len(families.SPECIALS))
    model = random_model("gpt2", tie_word_embeddings=False, n_embd=32)
    lm = LanguageModel(model, word_tokenizer(), "worldly")
    axes = torch.eye(32, dtype=torch.float64)[: len(TOPICS)] * 5
    names, kinds = token_kinds(lm)
    model.lm_head.weight[kinds >= 0] += axes[kinds[kinds >= 0]]
    model.transformer.ln_f.weight.fill_(1.0)
    for kind in range(len(names)):
        value_vectors(lm, 1)[kind] = axes[kind]
    return lm


def test_planted_topics_are_pure_and_random_vectors_are_not(worldly):
    names, kinds = token_kinds(worldly)
    assert sorted(names) == sorted(TOPICS)
    assert torch.bincount(kinds[kinds >= 0]).tolist() == [12] * 12
    found = value_purity(worldly, draws=500)
    assert (found.purity[1, :12] == 1).all() and found.kind[1, :12].tolist() == list(range(12))
    assert {(1, k, names[k]) for k in range(12)} <= set(found.pure(1.0))
    planted = found.share(1.0)
    assert planted["value vectors"] >= 12 / 384 and planted["random directions"] < 0.5
    # counted by hand for every vector of layer 0
    for neuron, words in enumerate(vector_words(worldly, value_vectors(worldly, 0))):
        topics = [LEXICON.forms[w].topic for w, _ in words if w in LEXICON.forms]
        most = max((topics.count(t) for t in TOPICS), default=0)
        close(found.purity[0, neuron], most / 10, torch.float32)
    assert "12" not in repr(found).split(":")[0] and "random directions" in repr(found)


def test_purity_of_unpatterned_vectors_is_that_of_the_baseline(worldly):
    generator = torch.Generator().manual_seed(9)
    for layer in range(3):
        vectors = value_vectors(worldly, layer)
        vectors.copy_(torch.randn(vectors.shape, generator=generator, dtype=torch.float64))
    found = value_purity(worldly, draws=2000)
    means = [x.mean() for x in (found.purity, *found.baselines.values())]
    assert max(means) - min(means) < 0.03


def test_kinds_of_words(worldly):
    names, kinds = token_kinds(worldly, "pos")
    for word in families.WORDS[::20]:
        assert names[kinds[worldly.token_id(word)]] == LEXICON.word(word).pos
    assert value_purity(worldly, "pos", draws=5).by == "pos"
    assert int(token_kinds(worldly)[1][worldly.bos_id]) == -1
    with pytest.raises(ValueError, match="no 'colour'"):
        token_kinds(worldly, "colour")
    with pytest.raises(ValueError, match="at least 1"):
        value_purity(worldly, k=0)


# ---- tuned lens ---------------------------------------------------------------------------
def rotated() -> LanguageModel:
    """A model whose stream is in a rotated basis until the last MLP turns it back.

    Embeddings are R e_w; nothing happens before the last MLP, which adds R^T h - h. Its input is
    normed, but states are made with mean 0 and variance 1, so the norms do nothing. Since
    gelu(y) - gelu(-y) = y, an MLP of 2 d neurons can compute any matrix.
    """
    model = random_model("gpt2", tie_word_embeddings=False, layer_norm_epsilon=1e-12)
    generator = torch.Generator().manual_seed(5)
    draw = torch.randn(VOCAB, 16, generator=generator, dtype=torch.float64)
    e = draw - draw.mean(-1, keepdim=True)
    e = e / e.norm(dim=-1, keepdim=True) * 4
    ones = torch.ones(16, 1, dtype=torch.float64) / 4
    noise = torch.randn(16, 15, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(torch.cat([ones, noise], 1)).Q[:, 1:]  # of the vectors with mean 0
    turn = torch.linalg.qr(torch.randn(15, 15, generator=generator, dtype=torch.float64)).Q
    rotation = ones @ ones.T + basis @ turn @ basis.T
    body = model.transformer
    for parameter in body.parameters():
        parameter.zero_()
    for norm in [body.ln_f, *(n for block in body.h for n in (block.ln_1, block.ln_2))]:
        norm.weight.fill_(1.0)
    body.wte.weight.copy_(e @ rotation.T)
    eye, back = torch.eye(16, dtype=torch.float64), rotation.T - torch.eye(16, dtype=torch.float64)
    body.h[2].mlp.c_fc.weight[:, :32] = torch.cat([eye, -eye], 1)
    body.h[2].mlp.c_proj.weight[:32] = torch.cat([back.T, -back.T])
    model.lm_head.weight.copy_(e.roll(1, 0) / 2)  # after token w - 1 comes token w
    return LanguageModel(model, word_tokenizer(), "rotated")


def test_plain_lens_misleads_where_the_basis_is_rotated_and_the_tuned_lens_does_not():
    lm = rotated()
    lens = tune_lens(lm, some_texts(), steps=0, ridge=1e-10)
    held_out = some_texts(10, seed=1)
    plain, tuned = logit_lens(lm, held_out[0]), logit_lens(lm, held_out[0], translate=lens)
    right = plain.final.argmax(-1)
    assert plain.final.softmax(-1).max(-1).values.min() > 0.5  # the model is sure of itself
    assert (plain.logits[:3].argmax(-1) == right).double().mean() < 0.3
    assert (tuned.logits[:3].argmax(-1) == right).all()
    assert plain.kl[:3].min() > 1 and tuned.kl.max() < 1e-6
    assert tuned.lens == "tuned lens" and plain.lens == "logit lens"
    scores = [score_lens(lm, held_out, t) for t in (None, lens)]
    assert [s.lens for s in scores] == ["logit lens", "tuned lens"]
    words = [lm.token_string(lm.logits(text)[0, -1].argmax()) for text in held_out]
    ranks = [word_ranks(lm, held_out, words, translate=t) for t in (None, lens)]
    assert ranks[0].settled == ["resid_post.2"] * 10 and ranks[1].first == ["resid_pre.0"] * 10
    assert [r.lens for r in ranks] == ["logit lens", "tuned lens"]
    assert scores[0].kl[0].mean() > 2 and scores[1].kl.max() < 1e-6
    assert (scores[1].loss - scores[1].model_loss).abs().max() < 1e-3


def test_training_finds_the_rotation_without_the_closed_form():
    lm, texts = rotated(), some_texts()
    start = tune_lens(lm, texts, steps=0, ridge=1e9)  # so large a penalty leaves A at 0
    assert start.weights.abs().max() < 1e-6
    options = {"ridge": 1e9, "batch": 64, "rate": 0.02}
    lens = tune_lens(lm, texts, steps=150, **options)
    assert lens.history.shape == (150, 3)
    assert lens.history[-10:].mean() < 0.05 * lens.history[:3].mean()
    before, after = (score_lens(lm, texts, t).kl[:3].mean() for t in (start, lens))
    assert after < 0.05 * before
    again, other = (tune_lens(lm, texts, steps=3, seed=s, **options).weights for s in (0, 1))
    assert torch.equal(tune_lens(lm, texts, steps=3, **options).weights, again)
    assert not torch.equal(again, other)


def test_training_improves_on_the_closed_form():
    lm, texts = family("gpt2"), some_texts()
    closed, trained = (tune_lens(lm, texts, steps=n, batch=64, rate=3e-3) for n in (0, 150))
    plain, before, after = (score_lens(lm, texts, t).kl.mean(1) for t in (None, closed, trained))
    assert (before[:-1] < plain[:-1]).all() and (after[:-1] < before[:-1]).all()
    assert not trained.weights.requires_grad and trained.tokens == 30 * 8


@pytest.mark.parametrize("kind", CAUSAL)
def test_a_lens_that_translates_nothing_is_the_plain_lens(kind):
    lm = family(kind)
    nothing = torch.zeros(3, 16, 16, dtype=torch.float64)
    lens = TunedLens(nothing, nothing[:, 0], torch.zeros(0, 3), 0, 0)
    plain, same = logit_lens(lm, TEXT), logit_lens(lm, TEXT, translate=lens)
    close(plain.logits, same.logits, precision(kind))
    draw = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(4)).double()
    changed = logit_lens(lm, TEXT, translate=TunedLens(draw, draw[:, 0], torch.zeros(0, 3), 0, 0))
    close(changed.logits[-1], plain.final, precision(kind))
    assert (changed.logits[:-1] - plain.logits[:-1]).flatten(1).abs().max(-1).values.min() > 0.01


def test_translations_belong_to_states():
    generator = torch.Generator().manual_seed(1)
    weights, biases = torch.randn(3, 4, 4, generator=generator), torch.arange(12.0).view(3, 4)
    lens, x = TunedLens(weights, biases, torch.zeros(0, 3), 0, 0), torch.randn(2, 4)
    for site, k in (("embed", 0), ("resid_pre.0", 0), ("resid_post.0", 1), ("resid_pre.2", 2)):
        expected = torch.stack([row + weights[k] @ row + biases[k] for row in x])
        close(lens(site, x), expected)
    assert torch.equal(lens("resid_post.2", x), x)
    for site in ("mlp_out.1", "resid_mid.0"):
        with pytest.raises(ValueError, match="no translation"):
            lens(site, x)


def test_scores_of_a_lens_are_those_of_its_readings():
    lm = family("gpt2")
    texts = ["The dog sees a cat in", "two cats sleep", TEXT]
    scores = score_lens(lm, texts)
    readings = [logit_lens(lm, text) for text in texts]
    for n, (text, reading) in enumerate(zip(texts, readings, strict=True)):
        close(scores.kl[:, n], reading.kl[:, :-1].mean(-1) / math.log(2))
        following = lm.encode(text)[1:]
        logp = reading.logprobs[:, range(len(following)), following]
        close(scores.loss[:, n], -logp.mean(-1) / math.log(2))
        close(scores.model_loss[n], -lm.token_logprobs(text)[0].mean() / math.log(2))
    close(scores.loss[-1], scores.model_loss)
    model = torch.cat([r.final[:-1].softmax(-1) for r in readings]).mean(0)
    every = torch.cat([r.logits[:, :-1].softmax(-1) for r in readings], 1).mean(1)
    close(scores.bias, (model * (model / every).log()).sum(-1) / math.log(2))
    tokens = torch.tensor([len(lm.encode(text)) - 1.0 for text in texts]).double()
    assert (scores.bias[:-1] < (scores.kl[:-1] * tokens).sum(-1) / tokens.sum()).all()
    close(scores.kl[-1], torch.zeros(3).double())
    close(scores.bias[-1], 0.0)
    for (mean, low, high), row in zip(scores.intervals("loss"), scores.loss, strict=True):
        close(mean, row.mean())
        assert low <= mean <= high
    assert "3 texts" in repr(scores)
    with pytest.raises(ValueError, match="not of 'accuracy'"):
        scores.intervals("accuracy")


def test_errors_of_tuning():
    for kind in POST_NORM:
        with pytest.raises(UnsupportedArchitecture, match="post-norm"):
            tune_lens(family(kind), some_texts(2))
    lm = family("gpt2")
    with pytest.raises(ValueError, match="list is empty"):
        tune_lens(lm, [])
    with pytest.raises(ValueError, match="at least"):
        tune_lens(lm, some_texts(2), steps=-1)
    with pytest.raises(ValueError, match="list is empty"):
        score_lens(lm, [])


def test_generated_texts_differ_by_seed():
    assert generated_texts(3) == generated_texts(3)
    assert not set(generated_texts(50)) & set(generated_texts(50, "held out"))
