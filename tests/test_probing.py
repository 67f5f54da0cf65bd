"""Probes: chance where there is nothing, the truth where there is something, and honest splits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from course_lib import load_model
from course_lib.activations import record
from course_lib.probing import (
    CONCEPTS,
    Targets,
    annotate,
    control_labels,
    estimate,
    features,
    fit_probe,
    majority,
    online_code,
    probe,
    random_model,
    read_states,
    scalar_mix,
    selectivity,
    split,
    sweep,
    targets,
    word_baseline,
)
from tests.closeness import close


@pytest.fixture(scope="module")
def corpus():
    return annotate(load_model("course-lm"), 60)


@pytest.fixture(scope="module")
def states(corpus):
    return read_states(load_model("course-lm"), corpus)


def made_up(n: int = 400, words: int = 40, classes: int = 2, seed: int = 0) -> Targets:
    """Every word has a class of its own."""
    rng = np.random.default_rng(seed)
    word = rng.integers(0, words, n)
    names = np.array([f"w{k}" for k in word])
    labels = (rng.permutation(words) % classes)[word]
    return Targets("made up", np.arange(n)[:, None], labels,
                   tuple("abcdef"[:classes]), names, names)  # fmt: skip


# ------------------------------------------------------------------------------------- gold


def joining(*pieces: str):
    """The course model with a tokenizer that reads each of these pieces of text as one token."""
    lm = load_model("course-lm")
    lm.tokenizer.add_tokens(list(pieces))
    return lm


@pytest.mark.parametrize("piece", ["near the", "to the"])
def test_documents_in_which_a_token_holds_two_words_are_left_out(piece):
    plain = load_model("course-lm")
    assert any(piece in plain.tokenizer.decode(ids) for ids in annotate(plain, 40).ids)
    lm = joining(piece)
    corpus = annotate(lm, 40)
    joined = lm.tokenizer.convert_tokens_to_ids(piece)
    assert len(corpus.ids) == 40 and all(joined not in ids for ids in corpus.ids)
    for word in corpus.words[:200]:
        ends = lm.token_string(corpus.ids[word.document][word.token])
        assert word.form.endswith(ends)


@pytest.mark.filterwarnings("ignore:Not in the vocabulary")
def test_a_tokenizer_that_joins_words_everywhere_is_named():
    with pytest.raises(ValueError, match="No token ends where the word"):
        annotate(joining(" the", *(f"{c} " for c in "abcdefghijklmnopqrstuvwxyz")), 3)


def test_tokens_of_words_are_found(corpus):
    lm = load_model("course-lm")
    for word in corpus.words[:300]:
        assert lm.token_string(corpus.ids[word.document][word.token]).strip() == word.form


def test_gold_labels_are_those_of_the_generator(corpus):
    data = targets(corpus, "role", 300)
    for (place,), label in zip(data.places, data.labels, strict=True):
        word = corpus.words[place]
        head = corpus.words[place + word.head]
        assert head.pos == "VERB" and head.sentence == word.sentence
        assert data.classes[label] == ("subject" if word.head > 0 else "object")
    pairs = targets(corpus, "coreference", 300)
    for (one, two), label in zip(pairs.places, pairs.labels, strict=True):
        same = corpus.words[one].entity == corpus.words[two].entity
        assert pairs.classes[label] == ("same" if same else "other")
        assert corpus.words[one].document == corpus.words[two].document


@pytest.mark.parametrize("concept", sorted(CONCEPTS))
def test_every_concept_can_be_drawn_and_split(corpus, concept):
    data = targets(corpus, concept, 400)
    train, test = split(data)
    assert not set(data.groups[train]) & set(data.groups[test])
    assert set(data.labels[train]) == set(data.labels[test]) == set(range(len(data.classes)))
    assert len(train) + len(test) == len(data) and 0.15 < len(test) / len(data) < 0.35


def test_control_labels_are_a_property_of_the_word():
    data = made_up(classes=3)
    labels = control_labels(data)
    assert all(len(set(labels[data.words == w])) == 1 for w in data.words)
    assert not np.array_equal(labels, control_labels(data, seed=1))


def test_the_leak_between_words_can_be_measured():
    """States that say nothing but which word it is: all right by place, chance by word."""
    data = made_up(600, words=60)
    code = np.random.default_rng(1).normal(size=(60, 80))
    x = code[[int(w[1:]) for w in data.words]]
    assert probe(x, data, by="place").accuracy.value == 1.0
    by_group = probe(x, data).accuracy
    assert by_group.low < 0.5 < by_group.high
    chosen = selectivity(x, data)
    assert chosen.control.value > 0.95 and abs(chosen.selectivity.value) < 0.05
    assert word_baseline(data).value == 1.0


# ----------------------------------------------------------------------------------- probes


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_shuffled_labels_give_chance(states, corpus, kind):
    data = targets(corpus, "role", 500)
    labels = np.random.default_rng(0).permutation(data.labels)
    result = probe(features(states, data)[3], data, labels=labels, kind=kind)
    assert result.accuracy.value < majority(data).value + 0.1
    true = probe(features(states, data)[3], data, kind=kind)
    assert true.accuracy.low > majority(data).high
    assert true.confusion().sum() == true.accuracy.n
    assert true.confusion().trace() / true.accuracy.n == pytest.approx(true.accuracy.value)


def test_an_untrained_model_knows_less(states, corpus):
    lm = load_model("course-lm")
    before = torch.random.get_rng_state()
    untrained = read_states(random_model(lm), corpus)
    assert torch.equal(before, torch.random.get_rng_state())
    assert untrained.shape == states.shape
    result = sweep(states, targets(corpus, "number", 500), untrained=untrained, code=False)
    for layer in result.layers[1:]:
        assert layer.untrained.high < layer.probe.accuracy.low
    assert result.accuracies[result.best].value == max(a.value for a in result.accuracies)
    assert repr(result).count("\n") == len(states) + 1


def test_states_are_those_of_the_sites(states, corpus):
    lm = load_model("course-lm")
    k = 7
    words = [i for i, word in enumerate(corpus.words) if word.document == k]
    with record(lm, ["embed", "resid_post.2"]) as seen:
        lm(torch.tensor([corpus.ids[k]]))
    tokens = [corpus.words[i].token for i in words]
    for layer, site in ((0, "embed"), (3, "resid_post.2")):
        close(states[layer, words], seen[site][0, tokens])


def test_pairs_are_read_with_their_product(states, corpus):
    data = targets(corpus, "coreference", 100)
    x = features(states, data)
    d = states.shape[-1]
    assert x.shape == (7, len(data), 3 * d)
    close(x[2, 0, 2 * d :], x[2, 0, :d] * x[2, 0, d : 2 * d])


def test_intervals_draw_groups():
    hits = np.repeat([1.0, 0.0], 50)
    alone = estimate(hits, np.arange(100))
    together = estimate(hits, np.repeat(["a", "b"], 50))
    assert alone.value == together.value == 0.5
    assert (together.low, together.high) == (0.0, 1.0) and alone.low > 0.38


# ------------------------------------------------------------------------ codes and the mix


def test_a_code_is_short_where_the_classes_lie_apart_and_uniform_for_noise():
    data = made_up(600)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(600, 5))
    told = np.concatenate([noise, 6.0 * data.labels[:, None]], axis=1)
    clear, nothing = online_code(told, data), online_code(noise, data)
    assert clear.compression.value > 2 > 1.1 > nothing.compression.value
    assert clear.blocks[0] == (0, 1.0)
    assert clear.total == pytest.approx(clear.bits.value * 600)
    assert clear.compression.low < clear.compression.value < clear.compression.high


def test_a_code_counts_every_label_once():
    """By hand: the first block costs log2 K a label, the second what its probe says."""
    data = made_up(100)
    x = np.random.default_rng(3).normal(size=(100, 4)) + data.labels[:, None]
    code = online_code(x, data)
    order = np.random.default_rng(0).permutation(100)
    sizes = [end for end in (1, 3, 6, 12, 25, 50, 100) if end >= 4]
    bits = [1.0] * sizes[0]
    for before, end in zip(sizes, sizes[1:], strict=False):
        past, block = order[:before], order[before:end]
        p = fit_probe(x[past], data.labels[past], c=0.03).predict_proba(x[block])
        p = (before * p + 1) / (before + 2)
        bits += list(-np.log2(p[range(len(block)), data.labels[block]]))
    close(code.total, sum(bits), torch.float32)  # a fit stops near the optimum, not at it


def test_the_mix_finds_the_layer_that_holds_the_label():
    data = made_up(300)
    x = torch.randn(4, 300, 6, generator=torch.Generator().manual_seed(0))
    x[2, :, 0] = torch.as_tensor(3.0 * data.labels)
    mix = scalar_mix(x, data, draws=4)
    assert mix.weights.argmax() == 2 and mix.weights.sum() == pytest.approx(1)
    assert mix.centre.value == pytest.approx(float(mix.weights @ np.arange(4)), abs=1e-5)
    assert mix.centre.low <= mix.centre.value <= mix.centre.high
    assert mix.accuracy.value > 0.95
    rescaled = scalar_mix(x * torch.tensor([1.0, 50.0, 0.02, 1.0])[:, None, None], data, draws=4)
    np.testing.assert_allclose(rescaled.weights, mix.weights, atol=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, s, d: annotate(load_model("course-lm"), 0), "At least one document"),
        (lambda c, s, d: targets(c, "tense"), "Unknown concept"),
        (lambda c, s, d: targets(dataclasses.replace(c, words=c.words[:30]), "gender"), "Annotate"),
        (lambda c, s, d: split(d, by="word"), "'group' or 'place'"),
        (lambda c, s, d: probe(s[0], d), "one layer of features"),
        (lambda c, s, d: probe(features(s, d)[0], d, kind="deep"), "Unknown probe"),
        (lambda c, s, d: probe(features(s, d)[0], d, labels=d.labels * 0), "two classes"),
        (lambda c, s, d: scalar_mix(features(s, d)[0], d), "all layers"),
        (lambda c, s, d: scalar_mix(features(s, d), d, draws=1), "at least 2 draws"),
    ],
)
def test_mistakes_are_named(corpus, states, call, message):
    with pytest.raises(ValueError, match=message):
        call(corpus, states, targets(corpus, "number", 100))
