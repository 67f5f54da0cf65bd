"""load_model and LanguageModel: conventions, probabilities, tokens, and errors that help."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from budgets import within_budget

from course_lib.models.loading import (
    LanguageModel,
    ModelNotFoundError,
    NextTokens,
    UnknownWordsWarning,
    load_model,
)
from tests.closeness import close, precision
from tests.families import (
    CAUSAL,
    CONFIGS,
    POSITIONS,
    POST_NORM,
    byte_tokenizer,
    random_model,
    save_tiny,
    shared_data,
    word_tokenizer,
)

TEXTS = ["The dog sleeps.", "dogs", "The two cats see a dog, two dogs, a cat.", "The cat sees?"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny-gpt2")


@pytest.fixture(scope="module")
def lm(folder):
    return load_model(str(folder))


@pytest.fixture(scope="module")
def bytes_lm():
    tokenizer = byte_tokenizer()
    model = random_model("gpt2", vocab_size=len(tokenizer), max_position_embeddings=64)
    return LanguageModel(model, tokenizer, "bytes")


# ---- loading ---------------------------------------------------------------------------------
def test_half_precision_files_load_as_frozen_float32(lm, folder):
    assert {p.dtype for p in lm.model.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in lm.model.parameters())
    assert not any(module.training for module in lm.model.modules())
    assert lm(torch.tensor([[2, 8]])).get("past_key_values") is None
    assert (lm.name, lm.bos_id, lm.max_tokens, lm.is_causal) == (str(folder), 2, POSITIONS, True)


def test_double_precision_on_request(folder, lm):
    double = load_model(str(folder), dtype=torch.float64)
    assert {p.dtype for p in double.model.parameters()} == {torch.float64}
    assert double.logprob(TEXTS[0]) == pytest.approx(lm.logprob(TEXTS[0]), abs=1e-4)


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_family_loads_from_a_folder(kind, tmp_path):
    lm = load_model(str(save_tiny(tmp_path / kind, kind, torch.float32)), dtype=torch.float64)
    assert lm.is_causal == (kind in CAUSAL)
    sizes = {"vocab_size": len(lm.tokenizer), "max_position_embeddings": lm.max_tokens}
    reference = random_model(kind, torch.float32, **sizes).double()
    expected = reference(torch.tensor([lm.encode(TEXTS[0])])).logits
    close(lm.logits(TEXTS[0]), expected, precision(kind))
    if kind in CAUSAL:
        check_batched_equals_single(lm)


def test_default_comes_from_the_environment(folder, monkeypatch):
    monkeypatch.setenv("COURSE_MODEL", str(folder))
    assert load_model().name == str(folder)


def test_loading_prints_nothing(folder, capfd):
    load_model(str(folder))
    assert capfd.readouterr() == ("", "")


def test_recurrent_baselines_are_language_models_too(tmp_path):
    from course_lib.models.recurrent import CourseLSTM, CourseTXL, LSTMConfig, TXLConfig

    tokenizer = word_tokenizer()
    for module in (
        CourseLSTM(LSTMConfig(vocab_size=len(tokenizer), width=16, layers=1)),
        CourseTXL(TXLConfig(vocab_size=len(tokenizer), width=16, layers=2, heads=2, segment=4)),
    ):
        folder = tmp_path / module.config.model_type
        module.save_pretrained(folder, dtype=torch.float16)
        tokenizer.save_pretrained(folder)
        lm = load_model(str(folder))
        check_batched_equals_single(lm)
        assert len(lm.next_token("The dog", top=3)) == 3
        assert lm.generate("The dog", max_new_tokens=2).startswith("The dog")


def test_ngram_models_answer_the_same_questions(tmp_path):
    from course_lib.models.ngram import NGramModel

    tokenizer = word_tokenizer()
    corpus = [[2, *tokenizer.encode(text, add_special_tokens=False), 3] for text in TEXTS * 5]
    NGramModel(tokenizer).fit(corpus).save(tmp_path / "ngram")
    lm = load_model(str(tmp_path / "ngram"))
    assert lm.name == str(tmp_path / "ngram")
    assert lm.tokens("The dog") == ["[BOS]", "The", "dog"]
    assert lm.next_token("The dog", top=1)[0][0] == "sleeps"
    assert lm.logprob("The dog sleeps.") > lm.logprob("The dog sleep.")
    assert len(lm.token_logprobs(TEXTS)) == len(TEXTS)


# ---- what cannot be loaded ---------------------------------------------------------------------
def assert_three_ways_out(message: str):
    assert "course-lm, course-lstm" in message
    assert "config.json, model.safetensors" in message
    assert "hf download" in message


@pytest.mark.parametrize("name", ["course-ml", "./no-such-folder", "/no/such/folder", "a b", "~/x"])
def test_neither_bundled_nor_folder_nor_hub_id_never_asks_the_network(name, monkeypatch):
    monkeypatch.setattr(
        "course_lib.models.loading._load_from_hub", lambda *a: pytest.fail("asked the hub")
    )
    with pytest.raises(ModelNotFoundError, match="not a bundled name") as caught:
        load_model(name)
    assert_three_ways_out(str(caught.value))


def hub_error(tmp_path, **environment) -> str:
    """The message of load_model("gpt2") in a fresh process with an empty cache."""
    code = (
        "from course_lib.models.loading import load_model, ModelNotFoundError\n"
        "try:\n    load_model('gpt2')\n"
        "except ModelNotFoundError as error:\n    print(error)\n"
    )
    inherited = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | {"HF_HOME": str(tmp_path)} | environment,
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_hub_switched_off(tmp_path):
    message = hub_error(tmp_path, HF_HUB_OFFLINE="1")
    assert "switched off here by HF_HUB_OFFLINE" in message and "hf download gpt2" in message
    assert_three_ways_out(message)


def test_hub_unreachable(tmp_path):
    message = hub_error(tmp_path, HF_ENDPOINT="http://127.0.0.1:9")  # nothing listens there
    assert "not in the local cache" in message and "127.0.0.1:9" in message
    assert "switched off" not in message
    assert_three_ways_out(message)


def test_the_local_cache_is_asked_before_the_network(folder, monkeypatch):
    asked = []

    def load(source, name, dtype, local_files_only):
        asked.append(local_files_only)
        if local_files_only:
            return "from the cache"
        raise OSError("asked the network")

    monkeypatch.setattr("course_lib.models.loading._load_transformers", load)
    assert load_model("someone/some-model") == "from the cache" and asked == [True]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("x contains custom code which must be executed"), "runs no code"),
        (json.JSONDecodeError("Expecting value", "", 0), "JSONDecodeError: Expecting value"),
        (KeyError("weight_map"), "KeyError: 'weight_map'"),
    ],
)
def test_what_is_wrong_with_a_model_of_the_hub_is_a_message_too(error, told, monkeypatch):
    def load(*args, **options):
        raise error

    monkeypatch.setattr("course_lib.models.loading._load_transformers", load)
    with pytest.raises(ModelNotFoundError, match=told) as caught:
        load_model("someone/some-model")
    assert_three_ways_out(str(caught.value))
    assert caught.value.__suppress_context__


def test_folders_without_a_whole_model_are_explained(tmp_path, folder):
    with pytest.raises(ModelNotFoundError, match="no config.json") as caught:
        load_model(str(tmp_path))
    assert_three_ways_out(str(caught.value))
    partial = tmp_path / "partial"
    partial.mkdir()
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (partial / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelNotFoundError, match="missing or unreadable"):
        load_model(str(partial))


def test_weights_that_would_be_random_are_refused(tmp_path):
    bert = random_model("bert", torch.float32)
    bert.bert.save_pretrained(tmp_path)  # the encoder alone, without its output layer
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    word_tokenizer(masked=True).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="would be random"):
        load_model(str(tmp_path))


# ---- tokens --------------------------------------------------------------------------------------
def test_encode_starts_with_exactly_one_start_token(lm):
    assert lm.tokens("The dog sees two cats.") == [
        *("[BOS]", "The", "dog", "sees", "two", "cats", ".")
    ]
    assert lm.encode("[BOS] The dog") == lm.encode("The dog")


def test_unknown_words_are_named_as_written(lm):
    with pytest.warns(UnknownWordsWarning, match="'zorp', 'Blick'") as caught:
        tokens = lm.tokens("The zorp sees Blick, zorp.")
    assert tokens == ["[BOS]", "The", "[UNK]", "sees", "[UNK]", ",", "[UNK]", "."]
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lm.tokens("The dog [UNK] sees.")  # written on purpose


def test_words_that_the_tokenizer_cut_are_named_whole(lm):
    with pytest.warns(UnknownWordsWarning, match="""'tiny': "don't", 'dog-like'[.]"""):
        LanguageModel(lm.model, lm.tokenizer, "tiny").encode("The dogs don't see a dog-like cat")


def test_the_warning_is_shown_at_every_call(lm):
    code = (
        "from course_lib.models.loading import load_model\n"
        f"lm = load_model({lm.name!r})\n"
        "for _ in range(3):\n    lm.tokens('The zorp')\n"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.count("'zorp'") == 3, done.stderr


def test_byte_level_tokens_are_readable_and_never_unknown(bytes_lm):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bytes_lm.tokens("the dog") == ["<|endoftext|>", "the", "dog"]
        shown = bytes_lm.tokens("the café zorp 漢\n")
    assert "café" in shown and "↵" in shown
    assert not any("Ġ" in token or "Ã" in token or "\ufffd" in token for token in shown)
    assert bytes_lm.encode("the dog")[0] == bytes_lm.tokenizer.eos_token_id


def test_token_id_of_word_level_and_byte_level_models(lm, bytes_lm):
    assert lm.token_id("dog") == lm.encode("The dog")[2]
    assert bytes_lm.token_id("dog") == bytes_lm.encode("the dog")[2]  # with its leading space
    assert bytes_lm.token_id(" dog") == bytes_lm.token_id("dog")
    assert bytes_lm.token_id(".") == bytes_lm.tokenizer.convert_tokens_to_ids(".")
    with pytest.raises(ValueError, match="'zorp' is not in the vocabulary"):
        lm.token_id("zorp")
    with pytest.raises(ValueError, match=r"not one token.*\['dog', ',', 'cat'\]"):
        lm.token_id("dog,cat")
    with pytest.raises(ValueError, match=r"not one token for 'bytes' but \d: \["):
        bytes_lm.token_id("elephant")
    with pytest.raises(ValueError, match="needs a word"):
        lm.token_id("  ")


@pytest.mark.parametrize("text", ["", "   ", "\n", "[BOS]"])
def test_empty_texts_are_refused_by_every_method(lm, text):
    calls = [lm.encode, lm.tokens, lm.batch, lm.logits, lm.logprob, lm.token_logprobs]
    for call in [*calls, lm.next_token, lm.next_token_probs, lm.generate]:
        with pytest.raises(ValueError, match="no tokens"):
            call(text)


def test_lists_and_other_types_in_the_wrong_place(lm):
    for call in (lm.encode, lm.logprob, lm.next_token):
        with pytest.raises(TypeError):
            call(["The dog"])
    for call in (lm.batch, lm.logits, lm.token_logprobs, lm.next_token_probs, lm.score_ids):
        with pytest.raises(ValueError, match="empty"):
            call([])


def test_texts_longer_than_the_context_are_refused(lm):
    fits = " ".join(["dog"] * (POSITIONS - 1))
    assert len(lm.encode(fits)) == POSITIONS
    for call in (lm.encode, lm.logits, lm.logprob, lm.next_token):
        with pytest.raises(ValueError, match=f"{POSITIONS + 1} tokens.*at most {POSITIONS}"):
            call(fits + " dog")
    with pytest.raises(ValueError, match="continuation"):
        lm.generate(fits, max_new_tokens=1)


# ---- probabilities -----------------------------------------------------------------------------
def check_batched_equals_single(lm):
    together = lm.token_logprobs(TEXTS)
    probs = lm.next_token_probs(TEXTS)
    for text, scores, row in zip(TEXTS, together, probs, strict=True):
        assert scores.shape == (len(lm.encode(text)) - 1,)
        close(scores, lm.token_logprobs(text)[0], torch.float32)
        close(row, lm.next_token_probs(text)[0], torch.float32)
    close(probs.sum(1), torch.ones_like(probs[:, 0]), torch.float32)


def test_batched_and_single_results_agree(lm, bytes_lm):
    check_batched_equals_single(lm)
    check_batched_equals_single(bytes_lm)


def test_small_batches_give_the_same_scores_in_the_same_order(lm, monkeypatch):
    expected = lm.token_logprobs(TEXTS)
    passes = []
    monkeypatch.setattr("course_lib.models.language_model.MAX_BATCH_TOKENS", 8)
    lm.model.register_forward_hook(lambda *a: passes.append(1))
    try:
        for a, b in zip(lm.token_logprobs(TEXTS), expected, strict=True):
            close(a, b)
    finally:
        lm.model._forward_hooks.clear()
    assert len(passes) == 4


def test_scores_are_the_log_softmax_of_the_logits(lm):
    text = TEXTS[2]
    ids = torch.tensor(lm.encode(text))
    logp = lm.logits(text)[0].log_softmax(-1)
    expected = torch.stack([logp[t, ids[t + 1]] for t in range(len(ids) - 1)])
    close(lm.token_logprobs(text)[0], expected)
    close(lm.logprob(text), float(expected.sum()), torch.float32)
    close(lm.logprob(text, "mean"), float(expected.mean()), torch.float32)
    close(lm.next_token_probs(text)[0], logp[-1].exp())


def test_a_one_word_sentence_has_one_score(lm):
    (scores,) = lm.token_logprobs("dogs")
    assert scores.shape == (1,) and bool(torch.isfinite(scores).all())
    assert lm.logprob("dogs", "mean") == lm.logprob("dogs", "sum") < 0


def test_probabilities_of_all_continuations_sum_to_one(lm):
    probs = lm.next_token_probs("The dog")[0]
    ids = lm.encode("The dog")
    scored = torch.stack([s[-1] for s in lm.score_ids([[*ids, v] for v in range(40)])])
    close(scored.exp(), probs)


@pytest.mark.parametrize(
    ("ids", "message"),
    [([[2]], "at least two"), ([[2, 40]], "outside"), ([[2, -1]], "outside"), ([[2] * 25], "25")],
)
def test_ids_that_cannot_be_scored(lm, ids, message):
    with pytest.raises(ValueError, match=message):
        lm.score_ids([[2, 8], *ids])


def test_wrong_arguments(lm):
    for call in (
        lambda: lm.logprob("The dog", "max"),
        lambda: lm.next_token("The dog", top=0),
        lambda: lm.generate("The dog", temperature=-1),
        lambda: lm.generate("The dog", max_new_tokens=0),
    ):
        with pytest.raises(ValueError, match="must be|temperature"):
            call()


def test_next_token_is_a_sorted_readable_table(lm):
    best = lm.next_token("The dog", top=5)
    assert isinstance(best, NextTokens) and len(best) == 5
    probs = lm.next_token_probs("The dog")[0]
    assert [p for _, p in best] == sorted(probs.tolist(), reverse=True)[:5]
    assert best[0][0] == lm.token_string(int(probs.argmax()))
    assert best[0][0] in repr(best) and "probability" in repr(best)
    assert len(lm.next_token("The dog", top=1000)) == 40
    html = NextTokens("a < b", (("<s>", 0.5),))._repr_html_()
    assert "&lt;s&gt;" in html and "a &lt; b" in html and 'scope="row"' in html


def test_generate_is_greedy_at_zero_and_seeded_above(lm):
    ids = lm.encode("The dog")
    for _ in range(3):  # greedy by hand; the prompt stays as written
        ids.append(int(lm.next_token_probs(lm.tokenizer.decode(ids[1:]))[0].argmax()))
    assert lm.tokenizer.eos_token_id not in ids and lm.tokenizer.unk_token_id not in ids
    text = lm.generate("The dog", max_new_tokens=3)
    assert text.startswith("The dog") and lm.encode(text) == ids
    draws = [lm.generate("The dog", 5, temperature=2.0, seed=s) for s in (0, 1, 2, 3, 0)]
    assert len(set(draws)) > 1 and draws[0] == draws[4]


def test_gradients_flow_through_a_call(lm):
    ids, mask = lm.batch(TEXTS[0])
    embeddings = lm.model.get_input_embeddings()(ids).requires_grad_()
    out = lm.model(inputs_embeds=embeddings, attention_mask=mask).logits[0, -1, 9]
    (gradient,) = torch.autograd.grad(out, embeddings)
    assert float(gradient.abs().sum()) > 0
    assert not lm.logits(TEXTS[0]).requires_grad


@pytest.mark.parametrize("kind", POST_NORM)
def test_masked_models_refuse_left_to_right_scoring(kind):
    lm = LanguageModel(random_model(kind), word_tokenizer(masked=True), kind)
    assert lm.tokens("The dog [MASK].") == ["[CLS]", "The", "dog", "[MASK]", ".", "[SEP]"]
    assert lm.logits(["The dog", "The dog sleeps."]).shape == (2, 6, 40)
    calls = [lm.logprob, lm.token_logprobs, lm.next_token, lm.next_token_probs, lm.generate]
    for call in calls:
        with pytest.raises(ValueError, match="masked language"):
            call("The dog")
    with pytest.raises(ValueError, match="masked language"):
        lm.score_ids([[5, 6]])


def test_a_tokenizer_without_start_token_is_refused():
    tokenizer = word_tokenizer()
    tokenizer.bos_token = tokenizer.eos_token = None
    with pytest.raises(ValueError, match="no bos, eos or cls"):
        LanguageModel(random_model("gpt2"), tokenizer)


# ---- models from elsewhere ---------------------------------------------------------------------
def test_a_small_llama_with_a_sentencepiece_style_tokenizer():
    lm = load_model(str(shared_data("stories260K")))
    ids = lm.encode("Once upon a time")
    assert ids.count(lm.bos_id) == 1 and ids[0] == lm.bos_id  # its tokenizer adds one of its own
    assert lm.tokens("Once upon a time") == ["<s>", "Once", "upon", "a", "time"]
    assert lm.next_token("Once upon a", top=1)[0][0] == "time"
    assert lm.token_id("time") == ids[-1]
    assert lm.token_string(lm.token_id(".")) == "."
    assert lm.logprob("Once upon a time") > lm.logprob("Once upon time a")
    assert lm.generate("Once upon a time", 5).startswith("Once upon a time")


def test_the_course_model():
    lm = load_model()
    assert (lm.name, lm.is_causal, lm.tokenizer.bos_token) == ("course-lm", True, "[BOS]")
    assert lm.tokens("The dog sleeps.") == ["[BOS]", "The", "dog", "sleeps", "."]
    assert lm.logprob("The dog sleeps.") > lm.logprob("The dog sleep.")


def test_importing_the_package_is_light():
    code = (
        "import sys, course_lib\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
        "import torch, time; start = time.process_time()\n"
        "import course_lib.models.loading, course_lib.activations\n"
        "assert 'transformers' not in sys.modules\n"
        "print(time.process_time() - start)\n"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    within_budget("importing the package over torch", float(done.stdout), 0.3)
