"""Scoring minimal pairs and regions: identities, protocols, every model, real files."""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from course_lib.behaviour import (
    Pair,
    Protocol,
    evaluate_regions,
    load_blimp,
    load_syntaxgym,
    region_surprisals,
    score_pairs,
    score_suite,
    surprisals,
)
from course_lib.behaviour.regions import join_regions, sum_by_region, token_regions
from course_lib.intervals import bootstrap_level_means
from course_lib.models.language_model import LanguageModel
from course_lib.models.ngram import NGramModel
from course_lib.models.recurrent import CourseLSTM, CourseTXL, LSTMConfig, TXLConfig
from course_lib.models.text_model import UnknownWordsWarning
from tests.closeness import close

DATA = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder with real data is not here")

WORDS = "The the a dog dogs cat cats sleep sleeps see sees near old and or .".split()
PAIRS = [
    ("The dog sleeps.", "The dog sleep."),
    ("The cats near the dog sleep.", "The cats near the dog sleeps."),
    ("The cat sees the old dog.", "The cat see the old dog."),
    ("a dog and a cat sleep.", "a dog and or a cat sleep."),
    ("sleeps", "sleep"),
]


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[BOS]", "[EOS]", *WORDS])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"bos_token": "[BOS]", "eos_token": "[EOS]", "unk_token": "[UNK]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[PAD]", model_max_length=24, **special
    )


@pytest.fixture(scope="module", params=["gpt2", "llama", "lstm", "txl", "ngram"])
def lm(request, tokenizer):
    """One untrained model of each kind; random weights make all scores different."""
    torch.manual_seed(0)
    size = len(tokenizer)
    if request.param == "ngram":
        rng = np.random.default_rng(0)
        words = rng.zipf(1.4, size=(200, 12)) % (size - 4) + 4
        return NGramModel(tokenizer).fit([[2, *row, 3] for row in words.tolist()])
    if request.param == "gpt2":
        from transformers import GPT2Config, GPT2LMHeadModel

        settings = GPT2Config(vocab_size=size, n_positions=24, n_embd=32, n_layer=2, n_head=4)
        model = GPT2LMHeadModel(settings)
    elif request.param == "llama":
        from transformers import LlamaConfig, LlamaForCausalLM

        sizes = {"hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 24}
        heads = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
        model = LlamaForCausalLM(LlamaConfig(vocab_size=size, **sizes, **heads))
    elif request.param == "lstm":
        model = CourseLSTM(LSTMConfig(size, width=32, layers=2))
    else:
        model = CourseTXL(TXLConfig(size, width=32, layers=2, heads=4, segment=4))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return LanguageModel(model, tokenizer, request.param)


@pytest.fixture(scope="module")
def stories():
    if not DATA.is_dir():
        pytest.skip("the folder with real data is not here")
    from course_lib import load_model

    return load_model(str(DATA / "stories260K"))


# -------------------------------------------------------------- identities


def direct_logprobs(lm, text):
    """Token by token from the next-token distribution, one prefix after the other."""
    if isinstance(lm, NGramModel):
        ids = lm.encode(text)
        return [math.log(lm.next_id_probs(ids[:t])[ids[t]]) for t in range(1, len(ids))]
    ids = torch.tensor([lm.encode(text)])
    with torch.no_grad():
        logp = lm(ids).logits[0].double().log_softmax(-1)
    return [float(logp[t - 1, ids[0, t]]) for t in range(1, ids.shape[1])]


def test_total_is_the_sum_of_token_log_probabilities(lm):
    scores = score_pairs(lm, PAIRS)
    for row, pair in enumerate(PAIRS):
        for text, total in zip(pair, (scores.good[row], scores.bad[row]), strict=True):
            close(total, sum(direct_logprobs(lm, text)), torch.float32)
            parts = surprisals(lm, text)
            close(sum(value for _, value in parts), -total, torch.float32)


def test_mean_and_no_start_token(lm):
    text = PAIRS[2][0]
    pair = [(text, PAIRS[2][1])]
    direct = direct_logprobs(lm, text)
    mean = score_pairs(lm, pair, Protocol(reduction="mean")).good
    close(mean[0], np.mean(direct), torch.float32)
    without = score_pairs(lm, pair, Protocol(bos=False)).good
    ids = lm.encode(text)[1:]
    close(float(without), float(lm.score_ids([ids])[0].sum()), torch.float32)
    assert float(without) != pytest.approx(sum(direct), abs=1e-3)
    assert lm.score_ids([ids])[0].shape == (len(direct) - 1,)


def test_swapping_a_pair_negates_the_margin(lm):
    margin = score_pairs(lm, PAIRS).margin
    swapped = score_pairs(lm, [(bad, good) for good, bad in PAIRS]).margin
    close(margin, -swapped, torch.float32, scale=30)  # the sums they are differences of
    assert (margin.abs() > 1e-6).all()


def test_an_identical_pair_has_margin_zero_and_is_a_tie(lm):
    same = [("The dog sleeps.", "The dog sleeps."), ("The dog sleeps.", "The  dog  sleeps.")]
    for ties, value in (("half", 0.5), ("wrong", 0.0), ("right", 1.0)):
        scores = score_pairs(lm, [*same, PAIRS[0]], Protocol(ties=ties))
        assert scores.margin[:2].tolist() == [0.0, 0.0]
        assert scores.correct[:2].tolist() == [value, value]
        assert scores.correct[2] in (0.0, 1.0)
        assert "2 ties" in repr(scores)


def test_scores_do_not_depend_on_the_other_pairs(lm):
    together = score_pairs(lm, PAIRS).margin
    for row, pair in enumerate(PAIRS):
        alone = score_pairs(lm, [pair]).margin[0]
        close(alone, together[row], torch.float32, scale=30)  # the sums that margins compare


def test_region_surprisals_sum_to_the_total(lm):
    regions = ["The", "cats near", "", "the dog", "sleep", "."]
    values = region_surprisals(lm, regions)
    direct = [-x for x in direct_logprobs(lm, "The cats near the dog sleep.")]
    expected = [direct[0], sum(direct[1:3]), 0.0, sum(direct[3:5]), direct[5], direct[6]]
    close(values, expected, torch.float32)
    close(sum(values), -lm.logprob("The cats near the dog sleep."), torch.float32)


def test_bits(lm):
    nats, bits = (surprisals(lm, PAIRS[0][0], unit) for unit in ("nats", "bits"))
    assert [t for t, _ in nats] == [t for t, _ in bits] == ["The", "dog", "sleeps", "."]
    for (_, a), (_, b) in zip(nats, bits, strict=True):
        assert b == pytest.approx(a / math.log(2))


# --------------------------------------------------------------- bad input


def test_protocols_are_printed_and_checked():
    text = str(Protocol())
    assert "start token given" in text and "sum" in text and "half" in text
    assert "no start token" in str(Protocol(bos=False))
    with pytest.raises(ValueError, match="reduction"):
        Protocol(reduction="median")
    with pytest.raises(ValueError, match="ties"):
        Protocol(ties="coin")


def test_sentences_without_scorable_tokens(lm):
    with pytest.raises(ValueError, match="empty sentence"):
        score_pairs(lm, [("", "The dog sleeps.")])
    with pytest.raises(ValueError, match="pair 4 has a single token"):
        score_pairs(lm, PAIRS, Protocol(bos=False))
    assert torch.isfinite(score_pairs(lm, [("sleeps", "sleep")]).margin).all()
    with pytest.raises(ValueError, match="empty"):
        region_surprisals(lm, ["", " "])
    with pytest.raises(ValueError, match="unit"):
        surprisals(lm, "The dog", unit="hartleys")


def test_a_text_longer_than_the_context(lm):
    long = " ".join(["dog"] * 40)
    pairs = [PAIRS[0], ("The dog sleeps.", long)]
    if lm.max_tokens > 40:
        assert torch.isfinite(score_pairs(lm, pairs).margin).all()
        return
    with pytest.raises(ValueError, match=r"Sentence 3 .*41 tokens"):
        score_pairs(lm, pairs)
    with pytest.raises(ValueError, match="41 tokens"):
        region_surprisals(lm, ["dog", long[4:]])


def test_unknown_words_are_reported_once_and_tie(lm):
    pairs = [("The zebra sleeps.", "The quagga sleeps."), ("The emu sleeps.", "The emu sleep.")]
    with pytest.warns(UnknownWordsWarning, match="4 of 4 .*zebra") as caught:
        scores = score_pairs(lm, pairs)
    assert len(caught) == 1
    assert scores.margin[0] == 0
    assert scores.margin[1] != 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score_pairs(lm, PAIRS)


def test_weights_that_give_no_number_are_refused(lm):
    if isinstance(lm, NGramModel):
        pytest.skip("counts cannot overflow")
    weight = next(lm.model.parameters())
    kept = weight.clone()
    weight.fill_(float("nan"))
    try:
        with pytest.raises(ValueError, match="not finite"):
            score_pairs(lm, PAIRS)
    finally:
        weight.copy_(kept)


def test_masked_models_are_refused(tokenizer):
    from transformers import BertConfig, BertForMaskedLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "max_position_embeddings": 24}
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(tokenizer), **sizes, **heads)
    with pytest.raises(ValueError, match="masked"):
        score_pairs(LanguageModel(BertForMaskedLM(config), tokenizer, "bert"), PAIRS)


# ------------------------------------------------------------------ suites


class Judge:
    """Scores a sentence by the number written in it, so that accuracies are known."""

    name, is_causal = "judge", True

    def encode(self, text):
        return [0, *(int(word) for word in text.split())]

    def score_ids(self, ids):
        return [torch.tensor([float(i) for i in item[1:]]) for item in ids]


def graded(paradigm, phenomenon, right, wrong, tied=0):
    cases = [("2", "1")] * right + [("1", "2")] * wrong + [("3", "3")] * tied
    return [Pair(good, bad, paradigm, phenomenon) for good, bad in cases]


def test_suite_accuracies_are_means_over_paradigms():
    pairs = graded("p", "agreement", 8, 2) + graded("q", "agreement", 1, 1)
    pairs += graded("r", "islands", 1, 2, tied=1)
    result = score_suite(Judge(), pairs)
    assert {n: (r.n, r.accuracy) for n, r in result.paradigms.items()} == {
        "p": (10, 0.8),
        "q": (2, 0.5),
        "r": (4, 0.375),
    }
    assert result.phenomena["agreement"].accuracy == pytest.approx(0.65)
    assert result.phenomena["agreement"].n == 12
    assert result.overall.accuracy == pytest.approx((0.8 + 0.5 + 0.375) / 3)
    assert result.intervals("phenomena")["islands"][0] == 0.375
    for row in (*result.paradigms.values(), *result.phenomena.values(), result.overall):
        assert 0 <= row.low <= row.accuracy <= row.high <= 1
    text = repr(result)
    assert str(Protocol()) in text and "judge" in text and "0.800" in text and "seed 0" in text
    assert '<th scope="row">agreement</th>' in result._repr_html_()
    with pytest.raises(ValueError, match="'p' stands under"):
        score_suite(Judge(), pairs + graded("p", "islands", 1, 0))


def test_bootstrap_intervals_match_the_binomial_and_the_seed():
    pairs = graded("p", "agreement", 300, 100)
    result, again = score_suite(Judge(), pairs, n_boot=4000), score_suite(Judge(), pairs)
    row = result.overall
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert row.low == pytest.approx(0.75 - half, abs=0.006)
    assert row.high == pytest.approx(0.75 + half, abs=0.006)
    assert again.overall == score_suite(Judge(), pairs).overall
    few = [score_suite(Judge(), pairs, n_boot=17, seed=seed).overall for seed in (0, 1)]
    assert few[0] != few[1]


def test_bootstrap_draws_are_those_of_resampling_items():
    values = np.array([0, 0.5, 0.5, 1, 1, 1, 1, 1])
    rng = np.random.default_rng(0)
    quick = bootstrap_level_means(values, 20_000, rng)
    plain = rng.choice(values, size=(20_000, len(values))).mean(1)
    assert quick.mean() == pytest.approx(plain.mean(), abs=0.005)
    assert quick.std() == pytest.approx(plain.std(), abs=0.005)


def region_suite(*formulas):
    def condition(name, verb):
        regions = enumerate(["The dog", verb, "."], start=1)
        contents = [{"region_number": n, "content": c} for n, c in regions]
        return {"condition_name": name, "regions": contents}

    items = [
        {
            "item_number": n,
            "conditions": [condition("match", good), condition("mismatch", bad)],
        }
        for n, (good, bad) in enumerate([("sleeps", "sleep"), ("sees", "see"), ("near", "near")])
    ]
    return {
        "meta": {"name": "agreement", "metric": "sum"},
        "region_meta": {"1": "subject", "2": "verb", "3": "end"},
        "predictions": [{"type": "formula", "formula": f} for f in formulas],
        "items": items,
    }


def test_evaluate_regions(lm):
    same, verb = "(1;%match%) = (1;%mismatch%)", "(2;%match%) < (2;%mismatch%)"
    total = "(*;%match%) - (1;%match%) - (2;%match%) = (3;%match%)"
    result = evaluate_regions(lm, region_suite(same, verb, total))
    assert result.correct[:, 0].all() and result.correct[:, 2].all()
    expected = [
        lm.score_ids([lm.encode(f"The dog {good}")])[0][-1]
        > lm.score_ids([lm.encode(f"The dog {bad}")])[0][-1]
        for good, bad in [("sleeps", "sleep"), ("sees", "see"), ("near", "near")]
    ]
    assert result.correct[:, 1].tolist() == [bool(x) for x in expected]
    assert result.accuracies[1] == pytest.approx(np.mean(expected))
    verbs = [item["match"][2] for item in result.surprisals]
    assert result.mean_by_region("match")[1] == pytest.approx(np.mean(verbs))
    assert verb in repr(result) and "3 items" in repr(result)
    with pytest.raises(ValueError, match="compare something"):
        evaluate_regions(lm, region_suite("(1;%match%) + 1"))
    with pytest.raises(ValueError, match="region 9"):
        evaluate_regions(lm, region_suite("(9;%match%) > 1"))


# ------------------------------------------------------------- alignment


def test_tokens_that_cross_or_touch_region_borders():
    text, regions = join_regions(["I don't", "", "see naïve", "dogs", "."])
    assert text == "I don't see naïve dogs."
    assert [text[a:b] for a, b in regions] == ["I don't", "", "see naïve", "dogs", "."]
    # tokens with the space in front, a lone space, pieces of a word, and one across a border
    spans = [(0, 1), (1, 5), (5, 7), (7, 8), (8, 11), (11, 15), (15, 20), (20, 23)]
    assert token_regions(text, regions, spans) == [0, 0, 0, 2, 2, 2, 2, 3]


def spans_of(text: str, tokens: list[str]) -> list[tuple[int, int]]:
    """The characters of tokens that follow each other in a text, as published tables have them."""
    spans, end = [], 0
    for token in tokens:
        start = text.index(token, end)
        assert not text[end:start].strip(), f"between the tokens of {text!r} something is left out"
        end = start + len(token)
        spans.append((start, end))
    return spans


@needs_data
def test_golden_syntaxgym_sums():
    """Region sums published with SyntaxGym, from the token surprisals of its GRNN model."""
    golden = DATA / "syntaxgym" / "golden"
    lines = (golden / "test_surp_grnn.txt").read_text(encoding="utf-8").splitlines()[1:]
    sentences: dict[str, list[tuple[str, float]]] = {}
    for number, _, token, value in (line.split("\t") for line in lines):
        if token != "<eos>":
            sentences.setdefault(number, []).append((token, float(value)))
    expected = json.loads((golden / "test_out_grnn.json").read_text(encoding="utf-8"))
    conditions = [c for item in expected["items"] for c in item["conditions"]]
    compared = 0
    for condition, rows in zip(conditions, sentences.values(), strict=True):
        text, regions = join_regions([r["content"] for r in condition["regions"]])
        owner = token_regions(text, regions, spans_of(text, [token for token, _ in rows]))
        values = [value for _, value in rows]
        for metric in ("sum", "mean", "median", "max", "min", "range"):
            got = sum_by_region(owner, values, len(regions), metric)
            wanted = [r["metric_value"][metric] for r in condition["regions"]]
            if metric not in ("sum", "max"):
                # the published last region counts the end token, surprisal 0, as a token
                got, wanted = got[:-1], wanted[:-1]
            close(got, wanted)
            compared += len(got)
    assert compared == 4 * (2 * 6 + 4 * 5)


# --------------------------------------------------------------- real data


def test_real_blimp(stories):
    """A real pretrained model on two real paradigms, 250 pairs each, default protocol."""
    chosen = ["principle_A_case_1", "irregular_past_participle_verbs", "principle_A_case_2"]
    pairs = load_blimp(DATA / "blimp", chosen[:2], limit=250)
    pairs += [p for p in load_blimp(DATA / "blimp", chosen[2:]) if p.good == p.bad]
    result = score_suite(stories, pairs)
    assert result.paradigms["principle_A_case_1"].accuracy >= 0.95
    assert result.paradigms["irregular_past_participle_verbs"].accuracy >= 0.70
    assert result.paradigms["principle_A_case_2"].accuracy == 0.5  # identical pairs
    by_mean = score_suite(stories, pairs[:250], Protocol(reduction="mean"))
    assert by_mean.overall.accuracy < 0.5, "the longer good sentences profit from the sum"


def test_real_syntaxgym(stories):
    """Pieces of words, spaces within tokens: the regions still sum to the total."""
    for suite in load_syntaxgym(DATA / "syntaxgym", ["mvrr", "number_prep"]):
        result = evaluate_regions(stories, suite)
        for item, values in list(zip(suite.items, result.surprisals, strict=True))[:3]:
            for name, contents in item.conditions.items():
                text, _ = join_regions(contents)
                total = -stories.logprob(text)
                assert sum(values[name].values()) == pytest.approx(total, abs=1e-3)
                for content, value in zip(contents, values[name].values(), strict=True):
                    assert (value > 0) == bool(content.strip())
        assert result.correct.shape == (len(suite.items), 1)
