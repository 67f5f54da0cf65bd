"""The family table: every path leads to the part it names, and other models are refused."""

import pytest
from torch import nn

from course_lib import architectures as arch
from tests.closeness import close
from tests.families import CAUSAL, CONFIGS, POST_NORM, VOCAB, random_model, some_ids, word_tokenizer


def test_every_family_of_the_course_has_a_row_and_a_test():
    assert set(arch.FAMILIES) == set(CONFIGS)


@pytest.mark.parametrize("kind", CONFIGS)
def test_paths_lead_to_modules_of_the_right_shape(kind):
    model = random_model(kind)
    family = arch.family_of(model)
    assert arch.n_layers(model) == 3 and arch.n_heads(model) == 4
    assert family.is_causal == (kind in CAUSAL)
    assert (family.residual == "post_norm") == (kind in POST_NORM)
    width = 16
    for block in arch.blocks(model):
        for path in (family.attn_out, family.mlp_out):
            projection = block.get_submodule(path)
            assert width in projection.weight.shape and projection.weight.dim() == 2
        for path in (family.norm1, family.norm2):
            assert block.get_submodule(path).weight.shape == (width,)
        assert block.get_submodule(family.attention) is not block
    assert arch.unembedding(model).shape == (VOCAB, width)


@pytest.mark.parametrize("kind", CAUSAL)
def test_logits_are_the_unembedded_final_norm(kind):
    model = random_model(kind)
    ids = some_ids()
    # the library's own last hidden state is the input of its output layer
    hidden = model.base_model(ids).last_hidden_state
    logits = hidden @ arch.unembedding(model).T
    close(logits, model(ids).logits)
    assert isinstance(arch.final_norm(model), nn.Module)


@pytest.mark.parametrize("kind", POST_NORM)
def test_post_norm_models_have_no_final_norm(kind):
    with pytest.raises(arch.UnsupportedArchitecture, match="resid_post of the last layer"):
        arch.final_norm(random_model(kind))


def test_unknown_family_names_the_supported_ones():
    import transformers

    config = transformers.BloomConfig(vocab_size=VOCAB, hidden_size=16, n_layer=1, n_head=2)
    model = transformers.BloomForCausalLM(config)
    with pytest.raises(arch.UnsupportedArchitecture, match="'bloom'.*supported.*gpt2.*distilbert"):
        arch.family_of(model)
    with pytest.raises(arch.UnsupportedArchitecture, match="Linear"):
        arch.family_of(nn.Linear(2, 2))
    with pytest.raises(arch.UnsupportedArchitecture, match="no layers to look into"):
        arch.family_of("gpt2")


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("opt", {"do_layer_norm_before": False}),
        ("gpt_neox", {"use_parallel_residual": False}),
        ("bert", {"is_decoder": True}),
    ],
)
def test_variants_that_are_wired_differently_are_refused(kind, option):
    with pytest.raises(arch.UnsupportedArchitecture, match=next(iter(option))):
        arch.family_of(random_model(kind, **option))


def test_a_model_without_its_output_layer_is_refused():
    with pytest.raises(arch.UnsupportedArchitecture, match="output layer"):
        arch.family_of(random_model("gpt2").transformer)


def test_a_language_model_and_its_bare_model_give_the_same_row():
    from course_lib.models.loading import LanguageModel

    # llama models have an attribute .model of their own, which must not be taken for ours
    model = random_model("llama")
    lm = LanguageModel(model, word_tokenizer())
    assert arch.bare_model(lm) is model and arch.bare_model(model) is model
    assert arch.family_of(lm) is arch.family_of(model)


def test_parts_are_looked_up_once_in_a_call(monkeypatch):
    from course_lib.activations import record, replace

    model, asked = random_model("gpt2"), []
    row = arch._row
    monkeypatch.setattr(arch, "_row", lambda inner: asked.append(inner) or row(inner))
    sites = [f"{name}.{layer}" for name in ("resid_pre", "z") for layer in (0, 1)]
    with record(model, sites), replace(model, {"resid_mid.0": lambda x: x}):
        pass
    assert asked == [model] * 2
    found = arch.parts(model)
    assert arch.parts(found) is found and arch.bare_model(found) is model
    assert arch.blocks(found) is arch.blocks(model) and arch.n_heads(found) == arch.n_heads(model)
    assert arch.final_norm(found) is arch.final_norm(model) and len(asked) == 6
