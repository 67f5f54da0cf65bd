"""Folders that are no whole model: one message with the file to blame, and no question asked."""

import io
import json
import sys
from pathlib import Path

import pytest
import torch
import transformers

from course_lib.models.loading import ModelNotFoundError, load_model
from course_lib.sae import load_sae, save_sae
from course_lib.sae.topk import TopKSAE
from tests.families import byte_tokenizer, random_model, save_tiny, word_tokenizer

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
PAGE = b"\n<!DOCTYPE html><html><body>Entry not found</body></html>"
CODE = "raise SystemExit('the code of the folder ran')"
ENCODER = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 24, "max_position_embeddings": 26, "pad_token_id": 1,
    "bos_token_id": 2, "eos_token_id": 3,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return save_tiny(tmp_path / "model", dtype=torch.float32)


def refusal(folder: Path) -> str:
    """What load_model says: one message of ours, with the ways out, and no error behind it."""
    with pytest.raises(ModelNotFoundError) as caught:
        load_model(str(folder))
    assert caught.value.__suppress_context__ and caught.value.__cause__ is None
    reason, _, ways = str(caught.value).partition(" Three ways out:")
    assert "course-lm" in ways and "hf download" in ways and "course-sae" not in ways
    return reason


def saved(model, folder: Path, masked: bool = False) -> Path:
    model.save_pretrained(folder)
    word_tokenizer(masked=masked).save_pretrained(folder)
    return folder


def change_json(file: Path, **changes) -> None:
    """Set fields of a JSON file; ... takes a field out."""
    data = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in data.items() if v is not ...}))


# ---- files that are not what their names say --------------------------------------------------
@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
)
@pytest.mark.parametrize(
    ("content", "told"),
    [(POINTER, "git-lfs"), (PAGE, "web page"), (b"", "empty"), (b"[1, 2]", ""), (b"\xff\xfe{", "")],
)
def test_a_file_that_is_something_else_is_named(folder, name, content, told):
    (folder / name).write_bytes(content)
    message = refusal(folder)
    assert f": {name} (" in message and told in message


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("share", [0.3, 0.95])
def test_a_download_that_was_cut_off_is_named(folder, name, share):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: int(share * len(whole))])
    assert f": {name} (" in refusal(folder)


def test_old_weight_files_are_read_and_looked_at_as_well(folder):
    (folder / "model.safetensors").unlink()
    file = folder / "pytorch_model.bin"
    torch.save(random_model("gpt2", torch.float32).state_dict(), file)
    assert load_model(str(folder)).is_causal
    whole = file.read_bytes()
    for damaged in (POINTER, whole[:-2000]):
        file.write_bytes(damaged)
        assert ": pytorch_model.bin (" in refusal(folder)


def test_a_file_that_nobody_reads_may_be_a_pointer(folder):
    (folder / "pytorch_model.bin").write_bytes(POINTER)
    (folder / "trainer_state.json").write_bytes(b"{")
    assert load_model(str(folder)).is_causal


def test_weights_in_several_files_are_all_there(folder):
    (folder / "model.safetensors").unlink()
    random_model("gpt2", torch.float32).save_pretrained(folder, max_shard_size="5KB")
    assert load_model(str(folder)).is_causal
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    shard.write_bytes(PAGE)
    assert f": {shard.name} (it is a web page" in refusal(folder)
    shard.unlink()
    assert f": {shard.name} (No such file" in refusal(folder)


@pytest.mark.parametrize("kind", ["gpt2", "qwen2", "gpt_neox", "llama", "opt", "bert"])
def test_a_checkpoint_without_tokenizer(kind, tmp_path):
    folder = save_tiny(tmp_path / "checkpoint-500", kind, torch.float32)
    for file in folder.glob("token*"):
        file.unlink()
    assert "no tokenizer files" in refusal(folder)


@pytest.mark.parametrize("dropped", ["merges.txt", "vocab.json", "tokenizer.json"])
def test_half_a_tokenizer(tmp_path, dropped):
    tokenizer = byte_tokenizer()
    random_model("gpt2", torch.float32, vocab_size=len(tokenizer)).save_pretrained(tmp_path)
    if dropped == "tokenizer.json":
        tokenizer.save_pretrained(tmp_path)
        (tmp_path / dropped).unlink()
        assert "no tokenizer files" in refusal(tmp_path)
        return
    parts = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    merges = "\n".join(["#version: 0.2", *map(" ".join, parts["merges"])])
    (tmp_path / "vocab.json").write_text(json.dumps(parts["vocab"]))
    (tmp_path / "merges.txt").write_text(merges + "\n")
    assert load_model(str(tmp_path)).tokens("the dog")[1:] == ["the", "dog"]
    (tmp_path / dropped).unlink()
    assert "vocab.json and merges.txt belong together" in refusal(tmp_path)


@pytest.mark.parametrize("bundled", ["course-lstm", "course-ngram"])
def test_copies_of_our_own_formats_are_looked_at_too(tmp_path, bundled):
    from course_lib.models.assets import ASSETS

    for file in (ASSETS / bundled).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert load_model(str(tmp_path)).is_causal
    (tmp_path / "tokenizer.json").unlink()
    assert "no tokenizer files" in refusal(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(POINTER)
    assert "git-lfs" in refusal(tmp_path)


@pytest.mark.parametrize("kind", ["model.safetensors.index.json", "pytorch_model.bin.index.json"])
@pytest.mark.parametrize("content", ["{}", '{"weight_map": {}}', '{"weight_map": ["a"]}'])
def test_an_index_that_lists_no_files(folder, kind, content):
    (folder / "model.safetensors").unlink()
    (folder / kind).write_text(content)
    assert f": {kind} (it lists no files)" in refusal(folder)


def test_an_adapter_alone_is_no_model(folder):
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    assert "merge_and_unload" in refusal(folder)


class Opened:
    """Pickled into a file of weights, it makes a folder for whoever reads it carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return Path.mkdir, (Path(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_old_weight_files_is_neither_run_nor_recommended(folder, tmp_path, zipped):
    (folder / "model.safetensors").unlink()
    weights = random_model("gpt2", torch.float32).state_dict() | {"x": Opened(tmp_path / "ran")}
    options = {"_use_new_zipfile_serialization": zipped}
    torch.save(weights, folder / "pytorch_model.bin", **options)
    message = refusal(folder)
    assert "pytorch_model.bin is damaged, or holds code" in message
    assert "weights_only" not in message and not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("tokenizer.json", b"{}"), ("tokenizer.json", b'{"model": {"type": "BPE"}}'),
     ("tokenizer_config.json", b'{"tokenizer_class": 7}'), ("chat_template.jinja", b"\xff\xfe"),
     ("tokenizer_config.json",
      b'{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": "long"}')],
)  # fmt: skip
def test_a_tokenizer_that_no_library_understands_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    assert "its tokenizer (tokenizer.json, tokenizer_config.json) cannot be" in refusal(folder)


@pytest.mark.parametrize("changes", [{"tokenizer_class": "LlamaTokenizer"}, None])
def test_a_tokenizer_that_makes_no_tokens_of_words(folder, changes):
    file = folder / "tokenizer_config.json"
    change_json(file, **changes) if changes else file.unlink()
    assert "words give no tokens" in refusal(folder)


@pytest.mark.parametrize(
    ("kind", "name"), [("llama", "tokenizer.model"), ("opt", "sentencepiece.bpe.model")]
)
def test_a_tokenizer_of_sentencepiece_alone(kind, name, tmp_path):
    folder = save_tiny(tmp_path, kind, torch.float32)
    tokenizer_class = "XLMRobertaTokenizer" if kind == "opt" else "LlamaTokenizer"
    change_json(folder / "tokenizer_config.json", tokenizer_class=tokenizer_class)
    (folder / "tokenizer.json").rename(folder / name)
    assert "tokenizer.json" in refusal(folder)


# ---- files that do not belong together --------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_layer": 2}, "h.2."),
        ({"n_layer": 4}, "would be random"),
        ({"n_embd": 32}, "shape"),
        ({"vocab_size": 50}, r"[40, 16] in the file and [50, 16] by config.json"),
        ({"n_positions": 50}, "wpe"),
        ({"model_type": ...}, "no model_type"),
        ({"model_type": 7}, "no model_type"),
        ({"model_type": "mystery"}, "mystery"),
    ],
)
def test_settings_and_weights_of_two_models(folder, change, told):
    change_json(folder / "config.json", **change)
    assert told in refusal(folder)


@pytest.mark.parametrize(
    "change", [{"model_type": "llama"}, {"vocab_size": 10**12}, {"n_embd": 10**7}, {"n_layer": 99}]
)
def test_settings_of_a_model_that_would_fill_the_memory(folder, change):
    change_json(folder / "config.json", **change)
    message = refusal(folder)
    assert "by config.json there are" in message and "model.safetensors has" in message


@pytest.mark.parametrize(
    "change",
    [{"n_head": 3}, {"vocab_size": -1}, {"vocab_size": "forty"}, {"dtype": "float99"},
     {"activation_function": "none"}],
)  # fmt: skip
def test_settings_that_describe_no_model(folder, change):
    change_json(folder / "config.json", **change)
    assert refusal(folder).partition("could not be loaded: ")[2].startswith("config.json ")


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_weights_that_are_no_numbers(tmp_path, masked, value):
    model = random_model("bert" if masked else "gpt2", torch.float32)
    next(p for n, p in model.named_parameters() if "mbedding" in n or "wte" in n).fill_(value)
    folder = saved(model, tmp_path, masked)
    if value == 1e6:  # a number, but none of float16
        assert load_model(str(folder)).is_causal != masked
        with pytest.raises(ModelNotFoundError, match=r"too large for torch\.float16"):
            load_model(str(folder), dtype=torch.float16)
        return
    assert "logits are no numbers" in refusal(folder)


def test_a_tokenizer_with_more_tokens_than_the_embedding(folder):
    byte_tokenizer().save_pretrained(folder)
    assert f"{len(byte_tokenizer())} tokens and the embedding of the model 40" in refusal(folder)
    word = word_tokenizer()
    word.add_tokens("extra")  # one more is enough: its id has no row
    word.save_pretrained(folder)
    assert "41 tokens and the embedding of the model 40" in refusal(folder)


def test_a_tokenizer_of_far_fewer_tokens_gives_a_warning(tmp_path):
    random_model("gpt2", torch.float32, vocab_size=81).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="40 tokens, and its embedding 81"):
        load_model(str(tmp_path))


# ---- models from elsewhere that are no language models of ours --------------------------------
@pytest.fixture
def yes(monkeypatch):
    """A student who would answer yes to everything, if anything asked."""
    answers = io.StringIO("y\n" * 9)
    monkeypatch.setattr(sys, "stdin", answers)
    return answers


def test_code_of_the_folder_is_refused_and_nothing_asks(folder, yes):
    for name in ("configuration_own.py", "modeling_own.py"):
        (folder / name).write_text(CODE)
    own = {"AutoConfig": "configuration_own.C", "AutoModelForCausalLM": "modeling_own.M"}
    change_json(folder / "config.json", model_type="own", auto_map=own)
    assert "runs no code from model folders" in refusal(folder)
    assert yes.tell() == 0


def test_code_beside_a_known_model_is_not_run(folder, yes):
    """Many folders of the hub still bring the code of before transformers knew their model."""
    (folder / "own.py").write_text(CODE)
    change_json(folder / "config.json", auto_map={"AutoModelForCausalLM": "own.M"})
    change_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.T", None]})
    assert load_model(str(folder)).tokens("The dog") == ["[BOS]", "The", "dog"]
    assert yes.tell() == 0


def test_encoder_decoders_and_pictures(tmp_path):
    small = {"vocab_size": 40, "d_model": 16, "num_heads": 4, "num_layers": 1, "d_ff": 16}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    t5 = transformers.T5ForConditionalGeneration(transformers.T5Config(**small, d_kv=4))
    assert "encoder-decoder" in refusal(saved(t5, tmp_path / "t5"))
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16}
    config = transformers.BartConfig(
        vocab_size=40, d_model=16, decoder_ffn_dim=16, **heads, **sizes
    )
    bart = transformers.BartForConditionalGeneration(config)
    assert "encoder-decoder" in refusal(saved(bart, tmp_path / "bart"))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4}
    vit = transformers.ViTModel(transformers.ViTConfig(**sizes, intermediate_size=16))
    assert "neither a left-to-right nor a masked" in refusal(saved(vit, tmp_path / "vit"))


def test_models_trained_for_another_question(tmp_path):
    config = transformers.BertConfig(**ENCODER)
    bert = transformers.BertForSequenceClassification(config)
    assert "BertForSequenceClassification" in refusal(saved(bert, tmp_path / "bert"))
    config = transformers.GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=4)
    gpt2 = transformers.GPT2ForTokenClassification(config)  # its output layer would be tied
    assert "GPT2ForTokenClassification" in refusal(saved(gpt2, tmp_path / "gpt2"))


def test_models_that_see_the_words_to_come_are_no_left_to_right_models(tmp_path):
    sizes = {"vocab_size": 40, "d_model": 16, "n_layer": 2, "n_head": 4, "d_inner": 16}
    xlnet = transformers.XLNetLMHeadModel(transformers.XLNetConfig(**sizes))
    assert "sees the words to come" in refusal(saved(xlnet, tmp_path / "xlnet"))
    roberta = transformers.RobertaForCausalLM(transformers.RobertaConfig(**ENCODER))
    assert "sees the words to come" in refusal(saved(roberta, tmp_path / "roberta"))


@pytest.mark.parametrize("family", ["Bert", "Roberta"])
def test_encoders_built_to_read_from_left_to_right_do(family, tmp_path):
    config = getattr(transformers, f"{family}Config")(**ENCODER, is_decoder=True)
    name = {"Bert": "BertLMHeadModel", "Roberta": "RobertaForCausalLM"}[family]
    lm = load_model(str(saved(getattr(transformers, name)(config), tmp_path)))
    assert lm.is_causal
    shorter, longer = lm.token_logprobs(["The dog", "The dog sleeps."])
    torch.testing.assert_close(longer[:2], shorter)


# ---- how long a text may be -------------------------------------------------------------------
@pytest.mark.parametrize("family", ["Roberta", "MPNet", "Camembert"])
def test_positions_that_start_after_the_padding_token(family, tmp_path):
    config = getattr(transformers, f"{family}Config")(**ENCODER)
    model = getattr(transformers, f"{family}ForMaskedLM")(config)
    lm = load_model(str(saved(model, tmp_path, masked=True)))
    assert (lm.max_tokens, lm.is_causal) == (24, False)  # of a table of 26
    longest = " ".join(["dog"] * (lm.max_tokens - 2))  # [CLS] ... [SEP]
    assert bool(torch.isfinite(lm.logits(longest)).all())
    with pytest.raises(ValueError, match="at most 24"):
        lm.logits(longest + " dog")


@pytest.mark.parametrize("told", [None, -1, 0, 10**30])
def test_a_tokenizer_that_names_no_limit(folder, told):
    change_json(folder / "tokenizer_config.json", model_max_length=told)
    assert load_model(str(folder)).max_tokens == 24


@pytest.mark.parametrize(
    ("family", "sizes", "longest"),
    [("Mpt", {"n_heads": 4, "n_layers": 2, "max_seq_len": 24}, 24),
     ("XGLM", {"num_layers": 2, "attention_heads": 4, "ffn_dim": 24}, 2048),
     ("OPT", {"num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 24,
              "max_position_embeddings": 30, "word_embed_proj_dim": 16}, 30)],
)  # fmt: skip
def test_the_longest_text_of_left_to_right_models_can_be_read(family, sizes, longest, tmp_path):
    sizes["hidden_size" if family == "OPT" else "d_model"] = 16
    config = getattr(transformers, f"{family}Config")(vocab_size=40, **sizes)
    lm = load_model(str(saved(getattr(transformers, f"{family}ForCausalLM")(config), tmp_path)))
    assert lm.max_tokens == longest
    assert len(lm.token_logprobs(" ".join(["dog"] * (longest - 1)))[0]) == longest - 1
    with pytest.raises(ValueError, match=f"at most {longest}"):
        lm.token_logprobs(" ".join(["dog"] * longest))


def test_models_without_position_embeddings_have_no_limit(tmp_path):
    config = transformers.BloomConfig(vocab_size=40, hidden_size=16, n_layer=1, n_head=4)
    lm = load_model(str(saved(transformers.BloomForCausalLM(config), tmp_path)))
    assert len(lm.token_logprobs(" ".join(["dog"] * 700))[0]) == 700


# ---- autoencoders -----------------------------------------------------------------------------
def test_damaged_autoencoders_are_explained(tmp_path):
    save_sae(TopKSAE(d=8, features=16, k=2), tmp_path)
    config, whole = (tmp_path / "config.json").read_text(), tmp_path / "model.safetensors"
    for change in ({"kind": "other"}, {"features": 32}, {"options": {"q": 1}}, {"d": ...}):
        (tmp_path / "config.json").write_text(config)
        change_json(tmp_path / "config.json", **change)
        with pytest.raises(ValueError, match="There is no autoencoder"):
            load_sae(tmp_path)
    (tmp_path / "config.json").write_text(config)
    assert load_sae(tmp_path).d == 8
    whole.write_bytes(POINTER)
    with pytest.raises(ValueError, match=r"model\.safetensors \(it is a pointer of git-lfs"):
        load_sae(tmp_path)
