"""Features against gold labels, steering, cards, pitfalls, and the autoencoder that is shipped."""

from __future__ import annotations

import itertools
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course_lib.activations import record, replace
from course_lib.sae import (
    GoldTokens,
    TopKSAE,
    absorption,
    best_units,
    clamp,
    directions_prompts,
    dose_response,
    f1_difference,
    feature_card,
    generated_documents,
    gold_tokens,
    index_features,
    judge_unit,
    load_sae,
    matched_features,
    per_document,
    reconstruct,
    score_sae,
    splitting,
    topic_knowledge,
    unit_activations,
    write_page,
)
from course_lib.sae.cards import logit_effects
from course_lib.world.lexicon import LEXICON
from course_lib.world.sentence import Word
from tests.closeness import close

SITE = "resid_post.2"


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return list(itertools.islice(generated_documents("sae features"), 60))


@pytest.fixture(scope="module")
def sae():
    return load_sae()


@pytest.fixture(scope="module")
def index(lm, sae, texts):
    return index_features(lm, sae, texts)


@pytest.fixture(scope="module")
def small() -> TopKSAE:
    found = TopKSAE(256, 40, k=5, seed=1)
    found.site = SITE
    return found


# --- gold labels -----------------------------------------------------------------------------


def made_gold(labels: np.ndarray, documents: np.ndarray) -> GoldTokens:
    words = tuple(Word("w", "NOUN") for _ in labels)
    judged = {"c": np.ones(len(labels), bool)}
    topics = np.array(["sea"] * len(labels))
    texts = tuple("w" for _ in range(documents.max() + 1))
    return GoldTokens(texts, (), documents, words, topics, {"c": labels}, judged)


def test_gold_labels_stand_beside_the_right_tokens(lm):
    gold = gold_tokens(lm, 60)
    names = [lm.token_string(i) for row in gold.ids for i in row[1:]]
    assert names == [word.form for word in gold.words]
    bridges = np.array([name in ("bridge", "bridges") for name in names])
    assert (gold.concepts["word: transit"] >= bridges).all()
    assert gold.concepts["plural noun"][np.array(names) == "bridges"].all()
    countries = {row["country"] for row in LEXICON.countries}
    assert [n for n, held in zip(names, gold.concepts["country"], strict=True) if held] == [
        n for n in names if n in countries
    ]
    topics = [name for name in gold.concepts if name.startswith("topic: ")]
    assert sum(gold.concepts[name].astype(int) for name in topics).max() == 1
    types = [name for name in gold.concepts if name.startswith("type: ")]
    assert len(topics) == len(types) == 12
    assert (sum(gold.concepts[name].astype(int) for name in types) == 1).all()


def test_topics_are_asked_only_where_they_can_be_known(lm):
    gold = gold_tokens(lm, 60)
    read: dict[int, int] = {}
    for place, (number, word) in enumerate(zip(gold.document, gold.words, strict=True)):
        read[number] = read.get(number, 0) + (word.topic == gold.topics[place])
        assert gold.judged["topic: sea"][place] == (read[number] >= 3)


def test_a_unit_that_is_the_concept_has_f1_of_1_and_noise_has_that_of_its_rate():
    rng = np.random.default_rng(0)
    labels, documents = rng.random(4000) < 0.2, np.repeat(np.arange(200), 20)
    gold = made_gold(labels, documents)
    values = torch.tensor(rng.random((4000, 30)), dtype=torch.float32)
    noise = best_units(values, gold)[0]
    assert 0.2 < noise.f1 < 0.4  # saying yes everywhere has 2 * .2 / 1.2 = .33
    values[:, 7] = torch.tensor(labels * 0.5 + rng.random(4000) * 0.1)
    best = best_units(values, gold)[0]
    assert best.unit == 7 and best.f1 == 1 and 0.1 < best.threshold < 0.5
    low, estimate, high = (f1_difference(best, noise)[k] for k in (1, 0, 2))
    assert 0.5 < low < estimate < high
    assert f1_difference(best, best) == (0, 0, 0)


def test_the_best_cut_is_the_best_of_all_cuts():
    rng = np.random.default_rng(1)
    labels, documents = rng.random(300) < 0.3, np.repeat(np.arange(60), 5)
    gold = made_gold(labels, documents)
    values = torch.tensor(rng.integers(0, 6, (300, 4)) + labels[:, None], dtype=torch.float32)
    best = best_units(values, gold, seed=3)[0]
    first = np.isin(documents, np.random.default_rng(3).permutation(60)[::2])

    def f1(unit: int, threshold: float, part: np.ndarray) -> float:
        return judge_unit(values, gold, "c", unit, threshold, part).f1

    every = max(f1(u, t + 0.5, first) for u in range(4) for t in range(0, 7))
    assert f1(best.unit, best.threshold, first) == pytest.approx(every)
    assert best.f1 == f1(best.unit, best.threshold, ~first)


def test_precision_recall_and_counts_by_hand():
    labels = np.array([1, 1, 0, 0, 1, 0], bool)
    gold = made_gold(labels, np.array([0, 0, 0, 1, 1, 1]))
    values = torch.tensor([[1.0], [0.0], [1.0], [0.0], [2.0], [0.0]])
    unit = judge_unit(values, gold, "c", 0, 0.5)
    assert unit.hits.tolist() == [1, 1] and unit.on.tolist() == [2, 1]
    assert unit.held.tolist() == [2, 1]
    assert (unit.precision, unit.recall, unit.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))


def test_units_are_those_of_the_model(lm, small):
    gold = gold_tokens(lm, 6)
    neurons, features = unit_activations(lm, gold, ["neurons.2", small])
    number = int(gold.document[-1])
    with record(lm, ["neurons.2", SITE]) as seen:
        lm.logits(gold.texts[number])
    mine = gold.document == number
    torch.testing.assert_close(neurons[mine], seen["neurons.2"][0, 1:], atol=1e-4, rtol=1e-4)
    expected = small.encode(seen[SITE][0, 1:])
    torch.testing.assert_close(features[mine], expected, atol=1e-3, rtol=1e-3)


def test_documents_are_joined_by_mean_or_maximum(lm):
    gold = gold_tokens(lm, 8)
    values = torch.randn(len(gold.document), 3)
    for how in ("mean", "max"):
        rows, whole = per_document(values, gold, how)
        mine = values[gold.document == 5].numpy()
        close(rows[5], getattr(mine, how)(0))
        assert whole.concepts["document: sea"][5] == (gold.topics[gold.document == 5][0] == "sea")
    with pytest.raises(ValueError, match="'mean' or 'max'"):
        per_document(values, gold, "sum")


# --- steering --------------------------------------------------------------------------------


def test_with_the_error_term_an_unchanged_reconstruction_changes_nothing(lm, small, texts):
    before = lm.logits(texts[0])
    with replace(lm, {SITE: reconstruct(small)}):
        torch.testing.assert_close(lm.logits(texts[0]), before, atol=1e-3, rtol=1e-4)
    with replace(lm, {SITE: reconstruct(small, error=False)}):
        assert float((lm.logits(texts[0]) - before).abs().max()) > 0.1


def test_clamping_sets_the_strength_and_nothing_else():
    """With orthogonal features the new strength is the value, and no other feature moves."""
    sae = TopKSAE(6, 6, k=6)
    sae.W_dec.data, sae.W_enc.data = torch.eye(6), torch.eye(6)
    x = torch.rand(2, 4, 6)
    new = clamp(sae, 2, 9.0)(x)
    assert bool((new[:, 0] == x[:, 0]).all())  # the start token stays
    f = sae.encode(new[:, 1:])
    torch.testing.assert_close(f[..., 2], torch.full((2, 3), 9.0))
    others = [0, 1, 3, 4, 5]
    torch.testing.assert_close(f[..., others], x[:, 1:, others])
    torch.testing.assert_close(clamp(sae, 2, 0.0)(x)[:, 1:, 2], torch.zeros(2, 3))
    some = clamp(sae, 2, 9.0, tokens=slice(2, 3))(x)
    assert bool((some[:, [0, 1, 3]] == x[:, [0, 1, 3]]).all()) and bool((some[:, 2, 2] == 9).all())


def test_clamping_is_decoding_the_changed_strengths_plus_the_error(small):
    x = 30 * torch.randn(2, 5, 256)

    def change(f):
        f[..., 3] = 50.0
        return f

    torch.testing.assert_close(
        clamp(small, 3, 50.0)(x), reconstruct(small, change)(x), atol=1e-3, rtol=1e-4
    )


def test_controls_move_the_state_as_far(small):
    x = 30 * torch.randn(2, 5, 256)
    own, other = (clamp(small, 3, 50.0, along)(x) - x for along in (None, torch.randn(256)))
    torch.testing.assert_close(own.norm(dim=-1), other.norm(dim=-1), atol=1e-3, rtol=1e-3)
    assert (own - other).abs().max().item() > 1


def test_dose_response_measures_the_clamped_model(lm, sae, texts):
    maxima = index_features(lm, sae, texts).maxima
    feature = int(maxima.argmax())
    prompts = directions_prompts(4)
    found = dose_response(lm, sae, feature, maxima, prompts, multiples=(1, 4), controls=2)
    ids = [lm.token_id(word) for word in ("across", "through")]
    expected = lm.next_token_probs(prompts)[:, ids].sum(-1)
    close(found.before, expected.numpy(), torch.float32)
    with replace(lm, {SITE: clamp(sae, feature, 4 * float(maxima[feature]))}):
        expected = lm.next_token_probs(prompts)[:, ids].sum(-1)
    close(found.after[1], expected.numpy(), torch.float32)
    assert found.control.shape == (2, 2, 4) and feature not in found.controls
    dose = found.doses()[1]
    assert dose.value[1] <= dose.value[0] <= dose.value[2]
    with pytest.raises(ValueError, match="never on"):
        dose_response(lm, sae, feature, torch.zeros(512), prompts)
    with pytest.raises(ValueError, match="2 to"):
        dose_response(lm, sae, feature, maxima, prompts, controls=1)


def test_directions_prompts_end_before_the_deciding_word(lm):
    for prompt in directions_prompts(3):
        assert prompt.endswith("Assistant: 1. Walk")
        assert lm.tokenizer.unk_token_id not in lm.encode(prompt)


def test_a_topic_stands_before_the_prompt():
    alone, about = directions_prompts(2), directions_prompts(2, "transit")
    topical = {form for form, word in LEXICON.forms.items() if word.topic == "transit"}
    for short, long in zip(alone, about, strict=True):
        assert len(long) > 2 * len(short) and set(re.findall(r"\w+", long)) & topical
    with pytest.raises(ValueError, match="Unknown topic"):
        directions_prompts(2, "trains")


class Oracle:
    """Stands for a model that expects words of one topic alone, everywhere."""

    def __init__(self, lm, topic: str) -> None:
        self.tokenizer, self.token_id, self.batches = lm.tokenizer, lm.token_id, lm.batches
        self.logits = torch.full((len(lm.tokenizer),), -20.0)
        for form, word in LEXICON.forms.items():
            if word.topic == topic:
                self.logits[lm.token_id(form)] = 0.0

    def __call__(self, ids, mask):
        return SimpleNamespace(logits=self.logits.expand(*ids.shape, -1))


def test_a_model_that_expects_one_topic_is_right_in_the_documents_about_it(lm):
    gold = gold_tokens(lm, 150)
    found = topic_knowledge(Oracle(lm, "sea"), gold)
    sea = 0
    for number in range(150):
        mine = np.flatnonzero(gold.document == number)
        read = np.cumsum([gold.words[i].topic == gold.topics[i] for i in mine])
        sea += gold.topics[mine[0]] == "sea" and read[-1] > 3  # a fourth word, after three
    assert found.share.sum() == pytest.approx(sea, abs=1e-3) and found.right.sum() == sea > 0
    assert found.interval()[1] < 1 / 12 < found.interval()[2]


def test_wrong_features_are_refused(small, index):
    with pytest.raises(ValueError, match="0 to 39"):
        clamp(small, 40, 1.0)
    with pytest.raises(ValueError, match="length 0"):
        clamp(small, 3, 1.0, torch.zeros(256))
    with pytest.raises(ValueError, match="There is no feature"):
        feature_card(index, -1)


# --- cards -----------------------------------------------------------------------------------


def test_a_card_says_what_the_autoencoder_computes(lm, sae, index, texts):
    feature = int(np.diff(index.starts).argmax())
    card = feature_card(index, feature)
    rows = []
    for text in texts:
        with record(lm, SITE) as seen:
            lm.logits(text)
        rows.append(sae.encode(seen[SITE][0, 1:])[:, feature])
    strengths = torch.cat(rows)
    assert card.density == pytest.approx(float((strengths > 0).float().mean()), abs=2e-3)
    assert card.maximum == pytest.approx(float(strengths.max()), rel=1e-3)
    assert sum(card.histogram) == len(index.active(feature)[0])
    assert card.top[0].strength == pytest.approx(card.maximum)
    falling = [example.strength for example in card.top]
    assert falling == sorted(falling, reverse=True)
    whole = " ".join(index.tokens)
    assert all(" ".join(example.tokens) in whole for example in (*card.top, *card.spread))
    assert float(index.maxima[feature]) == pytest.approx(card.maximum)


def test_search_finds_the_feature_of_a_word(index):
    token = np.array(index.tokens)
    feature, f1 = index.search(".", top=1)[0]
    on = np.zeros(len(token), bool)
    on[index.active(feature)[0]] = True
    assert f1 == pytest.approx(2 * (on & (token == ".")).sum() / (on.sum() + (token == ".").sum()))
    assert f1 > 0.5
    with pytest.raises(ValueError, match="does not occur"):
        index.search("zebrafish")
    with pytest.raises(ValueError, match="vocabulary"):
        index.promoting("zebrafish")


def test_promoted_words_are_those_whose_logit_rises(lm, sae, index):
    """A small step along the direction, with the norm's scale held fixed, is what is scored."""
    feature = int(np.diff(index.starts).argmax())
    norm, matrix = lm.model.transformer.ln_f, lm.model.lm_head.weight
    d = sae.W_dec[feature]
    change = ((d - d.mean()) * norm.weight) @ matrix[: len(lm.tokenizer)].T
    best = feature_card(index, feature).promoted[0][0]
    assert best == lm.token_string(int(change.argmax()))
    effects = logit_effects(lm, sae.W_dec[:3])
    torch.testing.assert_close(effects.mean(1), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(effects.std(1, correction=0), torch.ones(3), atol=1e-3, rtol=0)


def test_the_page_has_a_card_for_every_feature_that_was_on(index, tmp_path):
    n = write_page(index, tmp_path / "features.html")
    page = (tmp_path / "features.html").read_text(encoding="utf-8")
    alive = [f for f in range(index.features) if len(index.active(f)[0])]
    assert n == len(alive) == page.count("<section")
    assert set(re.findall(r'id="f(\d+)"', page)) == set(map(str, alive))
    assert not re.search(r"(src|href)=", page), "the page would load something"


def test_the_page_escapes_tokens(index, tmp_path):
    from dataclasses import replace as change

    odd = tuple("<b>" if token == "." else token for token in index.tokens)
    write_page(change(index, tokens=odd), tmp_path / "odd.html")
    page = (tmp_path / "odd.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;" in page and "<b><b>" not in page


# --- pitfalls --------------------------------------------------------------------------------


def test_a_feature_that_was_cut_in_two_is_covered_by_its_parts():
    rng = torch.Generator().manual_seed(0)
    narrow = torch.zeros(400, 2)
    narrow[:200, 0] = 1.0
    wide = torch.zeros(400, 5)
    wide[:120, 3], wide[120:200, 1] = 1.0, 1.0
    wide[:, 0] = 1.0  # on everywhere: not a part of anything
    wide[200:, 2] = torch.rand(200, generator=rng)
    found = splitting(narrow, wide, 0)
    assert found.parts == (3, 1) and found.coverage == pytest.approx((0.6, 1.0))
    assert found.needed == 2 and found.precision[-1] == 1
    same = splitting(narrow, narrow, 0)
    assert same.parts == (0,) and same.needed == 1
    with pytest.raises(ValueError, match="never|none"):
        splitting(narrow, wide, 1)


def test_a_planted_absorption_is_found_and_an_absent_one_is_not():
    """Feature 0 stands for the concept but for the word "w9", which feature 1 stands for alone."""
    sae = TopKSAE(8, 4, k=2)
    sae.W_dec.data = torch.zeros(4, 8)
    sae.W_dec.data[0, 0] = 1.0
    sae.W_dec.data[1, :2] = torch.tensor([0.8, 0.6])  # carries the concept's direction as well
    sae.W_dec.data[2, 4] = sae.W_dec.data[3, 5] = 1.0
    n = 400
    held = np.arange(n) % 4 == 0
    special = held & (np.arange(n) % 20 == 0)
    values = torch.zeros(n, 4)
    values[torch.tensor(held & ~special), 0] = 2.0
    values[torch.tensor(special), 1] = 2.0
    values[torch.tensor(~held), 2] = 1.0
    gold = made_gold(held, np.repeat(np.arange(n // 4), 4))
    words = tuple(Word("w9" if s else "w", "NOUN") for s in special)
    gold = GoldTokens(gold.texts, gold.ids, gold.document, words, gold.topics, gold.concepts,
                      gold.judged)  # fmt: skip
    best = judge_unit(values, gold, "c", 0, 0.5)
    found = absorption(sae, values, gold, best)
    assert found.missed == found.absorbed == int(special.sum()) and found.cases[0][:2] == ("w9", 1)
    sae.W_dec.data[1] = torch.eye(8)[1]  # now the state of w9 says nothing of the concept
    assert absorption(sae, values, gold, best).absorbed == 0


def test_dictionaries_are_matched_whatever_their_order():
    a = torch.nn.functional.normalize(torch.randn(20, 64), dim=1)
    order = torch.randperm(20)
    close(matched_features(a, 3 * a[order]), torch.ones(20))
    assert float(matched_features(a, torch.randn(20, 64)).mean()) < 0.6


# --- what is shipped -------------------------------------------------------------------------


def test_course_sae_keeps_what_the_model_needs(lm, sae):
    texts = list(itertools.islice(generated_documents("sae held out"), 250))
    scores = score_sae(lm, sae, texts)
    assert scores.recovered("zero")[1] >= 0.95 and scores.recovered("mean")[1] >= 0.95
    assert scores.l0 <= 16 and scores.dead < 0.2  # the card has the share over more texts
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(sae.features), atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def topical(lm, sae):
    gold = gold_tokens(lm, 300, "sae topics")
    return gold, *unit_activations(lm, gold, [sae, "neurons.2"])


def test_every_topic_has_a_feature_of_its_words_and_no_neuron_has(topical):
    gold, features, neurons = topical
    names = [name for name in gold.concepts if name.startswith("word: ")]
    of_words = best_units(features, gold, names)
    assert min(best.f1 for best in of_words) >= 0.8
    assert len({best.unit for best in of_words}) == 12
    assert max(best.f1 for best in best_units(neurons, gold, names)) < 0.6


def test_the_feature_of_transit_documents_sends_us_across_the_bridge(lm, sae, topical):
    gold, features, _ = topical
    best = best_units(features, gold, ["topic: transit"])[0]
    maxima = features.amax(0)
    prompts = directions_prompts(8, seed="the lecture")
    found = dose_response(lm, sae, best.unit, maxima, prompts, multiples=(0, 1), controls=6)
    ablated, clamped = found.doses()
    assert ablated.value[0] < found.before.mean() < 0.35
    assert clamped.value[1] > 0.9 > clamped.control[0] + 0.3
    with replace(lm, {sae.site: clamp(sae, best.unit, found.maximum)}):
        said = lm.generate(prompts[0], 4)
    assert said.endswith("1. Walk across the bridge.")
