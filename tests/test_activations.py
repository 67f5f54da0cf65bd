"""record and replace: identities of the residual stream, exact edits, and no hook left behind."""

import pytest
import torch

from course_lib import architectures as arch
from course_lib.activations import record, replace
from tests.closeness import close, precision
from tests.families import CAUSAL, CONFIGS, POST_NORM, random_model, some_ids

SEQUENTIAL = [kind for kind in CAUSAL if kind != "gpt_neox"]
HAS_MIDDLE = SEQUENTIAL + POST_NORM


def sites_of(kind: str, layer: int) -> list[str]:
    names = ["resid_pre", "resid_post", "attn_out", "mlp_out", "z", "neurons"]
    names += ["resid_mid"] if kind in HAS_MIDDLE else []
    return [f"{name}.{layer}" for name in names]


def all_sites(kind: str) -> list[str]:
    ends = ["embed"] + (["final_norm"] if kind in CAUSAL else [])
    return ends + [site for layer in range(3) for site in sites_of(kind, layer)] + ["z.1.2"]


def hook_count(model) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(m, kind)) for m in model.modules() for kind in kinds)


@pytest.mark.parametrize("kind", CONFIGS)
def test_shapes(kind):
    model = random_model(kind)
    with record(model, all_sites(kind)) as seen:
        model(some_ids())
    assert set(seen) == set(all_sites(kind))
    head_width = 8 if kind == "qwen3" else 4
    mlp_width = 64 if kind in ("gpt2", "gpt_neo") else 24
    for site, x in seen.items():
        expected = {"z": (2, 7, 4, head_width), "neurons": (2, 7, mlp_width)}
        shape = expected.get(site.split(".")[0], (2, 7, 16))
        assert x.shape == ((2, 7, head_width) if site == "z.1.2" else shape), site
    close(seen["z.1.2"], seen["z.1"][:, :, 2])


@pytest.mark.parametrize("kind", CAUSAL)
def test_components_add_up_to_the_residual_stream(kind):
    model = random_model(kind)
    with record(model, all_sites(kind)) as seen:
        logits = model(some_ids()).logits
    total = seen["embed"]
    for layer in range(3):
        close(seen[f"resid_pre.{layer}"], total)
        if kind in SEQUENTIAL:
            close(seen[f"resid_mid.{layer}"], total + seen[f"attn_out.{layer}"])
        total = total + seen[f"attn_out.{layer}"] + seen[f"mlp_out.{layer}"]
        close(seen[f"resid_post.{layer}"], total)
    close(arch.final_norm(model)(total), seen["final_norm"], precision(kind))
    close(seen["final_norm"] @ arch.unembedding(model).T, logits)


@pytest.mark.parametrize("kind", POST_NORM)
def test_post_norm_components_add_up_inside_each_norm(kind):
    model, family = random_model(kind), arch.FAMILIES[kind]
    with record(model, all_sites(kind)) as seen:
        model(some_ids())
    for layer, block in enumerate(arch.blocks(model)):
        norm1, norm2 = (block.get_submodule(p) for p in (family.norm1, family.norm2))
        middle = norm1(seen[f"resid_pre.{layer}"] + seen[f"attn_out.{layer}"])
        close(seen[f"resid_mid.{layer}"], middle)
        close(seen[f"resid_post.{layer}"], norm2(middle + seen[f"mlp_out.{layer}"]))
    # and the plain sum, which holds for the causal families, does not hold here
    plain = seen["resid_pre.0"] + seen["attn_out.0"] + seen["mlp_out.0"]
    assert (plain - seen["resid_post.0"]).abs().max() > 0.1


@pytest.mark.parametrize("kind", CONFIGS)
def test_recorded_stream_is_the_library_s_own_hidden_states(kind):
    model = random_model(kind)
    with record(model, all_sites(kind)) as seen:
        hidden = model(some_ids(), output_hidden_states=True).hidden_states
    close(seen["embed"], hidden[0])
    close(seen["resid_post.0"], hidden[1])
    close(seen["resid_post.1"], hidden[2])
    # the library's last entry is normed in the causal families, our resid_post never is
    close(seen["final_norm" if kind in CAUSAL else "resid_post.2"], hidden[3])


@pytest.mark.parametrize("kind", CONFIGS)
def test_heads_and_neurons_give_the_outputs_of_their_projections(kind):
    model, family = random_model(kind), arch.FAMILIES[kind]
    with record(model, ["z.1", "attn_out.1", "neurons.1", "mlp_out.1"]) as seen:
        model(some_ids())
    block = arch.blocks(model)[1]
    attn_out, mlp_out = (block.get_submodule(p) for p in (family.attn_out, family.mlp_out))
    close(attn_out(seen["z.1"].flatten(-2)), seen["attn_out.1"])
    close(mlp_out(seen["neurons.1"]), seen["mlp_out.1"])


@pytest.mark.parametrize("kind", CONFIGS)
def test_replacing_a_site_by_itself_changes_nothing(kind):
    model, ids = random_model(kind), some_ids()
    with record(model, all_sites(kind)) as seen:
        before = model(ids).logits
    for site in all_sites(kind):
        for edit in (seen[site], lambda x: x):
            with replace(model, {site: edit}):
                close(model(ids).logits, before, precision(kind))


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_replacement_reaches_the_logits_and_later_tokens_only(kind):
    model, ids = random_model(kind), some_ids()
    before = model(ids).logits

    def shift(x):
        x[1, 4] += torch.linspace(-1, 1, x[1, 4].numel(), dtype=x.dtype).view_as(x[1, 4])
        return x

    for site in all_sites(kind):
        with replace(model, {site: shift}):
            change = (model(ids).logits - before).abs().amax(-1)
        assert change[1, 4] > 1e-4, site
        close(change[0], torch.zeros_like(change[0]), precision(kind))
        if kind in CAUSAL:
            close(change[1, :4], torch.zeros_like(change[1, :4]), precision(kind))


@pytest.mark.parametrize("kind", SEQUENTIAL)
def test_replacing_the_middle_reaches_the_skip_connection(kind):
    model, ids = random_model(kind), some_ids()
    with replace(model, {"attn_out.1": torch.zeros_like}):
        expected = model(ids).logits
    with record(model, "resid_pre.1") as seen:
        model(ids)
    # without attention the middle of the block is the stream that entered it
    with replace(model, {"resid_mid.1": seen["resid_pre.1"]}):
        with record(model, ["resid_mid.1", "mlp_out.1", "resid_post.1"]) as inner:
            close(model(ids).logits, expected, precision(kind))
    close(inner["resid_mid.1"] + inner["mlp_out.1"], inner["resid_post.1"])


@pytest.mark.parametrize("kind", CONFIGS)
def test_whole_site_edits_equal_edits_of_its_parts(kind):
    model, ids, family = random_model(kind), some_ids(), arch.FAMILIES[kind]
    one_by_one = {f"z.1.{head}": torch.zeros_like for head in range(4)}
    with replace(model, one_by_one), record(model, "attn_out.1") as seen:
        by_heads = model(ids).logits
    bias = arch.blocks(model)[1].get_submodule(family.attn_out).bias
    expected = torch.zeros_like(seen["attn_out.1"]) if bias is None else bias
    close(seen["attn_out.1"], expected.expand_as(seen["attn_out.1"]))
    with replace(model, {"z.1": torch.zeros_like}):
        close(model(ids).logits, by_heads, precision(kind))


def test_replacing_resid_post_restarts_the_model_there():
    model, ids = random_model("gpt2"), some_ids()
    with record(model, "resid_post.1") as clean:
        expected = model(ids).logits
    with replace(model, {"resid_post.1": clean["resid_post.1"]}):
        close(model(some_ids(2, 7).flip(0)).logits, expected)


def test_nesting_follows_the_order_of_entering():
    model, ids = random_model("gpt2"), some_ids()
    with record(model, "mlp_out.0") as around:
        with replace(model, {"mlp_out.0": lambda x: x + 1}):
            with replace(model, {"mlp_out.0": lambda x: 2 * x}):
                with record(model, "mlp_out.0") as within:
                    model(ids)
    close(within["mlp_out.0"], 2 * (around["mlp_out.0"] + 1))


def test_nested_edits_of_the_middle_add_up():
    model, ids = random_model("gpt2"), some_ids()
    with replace(model, {"resid_mid.0": lambda x: x + 1}):
        with replace(model, {"resid_mid.0": lambda x: 2 * x}):
            nested = model(ids).logits
    with replace(model, {"resid_mid.0": lambda x: 2 * (x + 1)}):
        close(model(ids).logits, nested)


def contrast(logits):
    return logits[0, -1, 9] - logits[0, -1, 12]


@pytest.mark.parametrize("kind", CONFIGS)
def test_gradients_with_respect_to_recorded_tensors(kind):
    model, ids, sites = random_model(kind), some_ids(1, 5), all_sites(kind)
    with record(model, sites) as seen:
        model(ids)
    # parameters are frozen: a leaf at the bottom makes the whole pass differentiable
    bottom = seen["embed"].clone().requires_grad_()
    with replace(model, {"embed": bottom}), record(model, sites) as inside:
        value = contrast(model(ids).logits)
    gradients = torch.autograd.grad(value, [inside[site] for site in sites])
    for site, gradient in zip(sites, gradients, strict=True):
        leaf = seen[site].clone().requires_grad_()
        with replace(model, {site: leaf}):
            (expected,) = torch.autograd.grad(contrast(model(ids).logits), leaf)
        assert expected.abs().max() > 1e-4, site
        close(gradient, expected, precision(kind), scale=float(expected.abs().max()))


# the other families compute part of the pass in float32, too coarse for differences
@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "opt", "bert"])
def test_gradients_agree_with_finite_differences(kind):
    model, ids = random_model(kind), some_ids(1, 5)
    generator = torch.Generator().manual_seed(2)
    with record(model, all_sites(kind)) as seen:
        model(ids)
    for site in all_sites(kind):
        leaf = seen[site].clone().requires_grad_()
        with replace(model, {site: leaf}), record(model, site) as inside:
            value = contrast(model(ids).logits)
        (gradient,) = torch.autograd.grad(value, inside[site])
        direction = torch.randn(leaf.shape, generator=generator, dtype=leaf.dtype)
        ends = []
        for sign in (1, -1):
            with replace(model, {site: leaf.detach() + sign * 1e-5 * direction}):
                ends.append(contrast(model(ids).logits))
        close((gradient * direction).sum(), (ends[0] - ends[1]) / 2e-5, scale=1e4)


def test_in_place_edits_do_not_change_what_was_recorded():
    model, ids = random_model("gpt2"), some_ids()
    with record(model, "resid_post.0") as seen:
        model(ids)
        expected = seen["resid_post.0"].clone()
        with replace(model, {"resid_pre.1": lambda x: x.zero_()}):
            model(ids)
    close(seen["resid_post.0"], expected)


@pytest.mark.parametrize("kind", CONFIGS)
def test_no_hook_survives(kind):
    model, ids = random_model(kind), some_ids()
    before = hook_count(model)
    with record(model, all_sites(kind)), replace(model, {s: lambda x: x for s in all_sites(kind)}):
        model(ids)
        assert hook_count(model) > before
    assert hook_count(model) == before


@pytest.mark.parametrize("kind", ["gpt2", "opt", "bert"])
def test_no_hook_survives_an_exception(kind):
    model, ids = random_model(kind), some_ids()
    expected = model(ids).logits

    def fail(x):
        raise RuntimeError("inside the model")

    with pytest.raises(RuntimeError, match="inside the model"):
        with record(model, all_sites(kind)), replace(model, {"resid_mid.1": fail}):
            model(ids)
    with pytest.raises(ZeroDivisionError):
        with replace(model, {"mlp_out.2": torch.zeros_like}):
            _ = 1 / 0
    for bad in ("resid_mid.9", "nonsense.1"):
        with pytest.raises(ValueError):
            with record(model, ["embed", bad]):
                pass
        with pytest.raises(ValueError):
            with replace(model, {"embed": fail, bad: fail}):
                pass
    assert hook_count(model) == 0
    assert torch.equal(model(ids).logits, expected)


def test_attention_patterns_need_the_eager_implementation():
    model = random_model("gpt2")
    with pytest.raises(ValueError, match="set_attn_implementation"):
        with record(model, "pattern.0"):
            pass
    with pytest.raises(ValueError, match="not replaced"):
        model.set_attn_implementation("eager")
        with replace(model, {"pattern.0": lambda x: x}):
            pass


@pytest.mark.parametrize("kind", CONFIGS)
def test_attention_patterns_under_eager_attention(kind):
    model, ids = random_model(kind), some_ids()
    model.set_attn_implementation("eager")
    with record(model, "pattern.1") as seen:
        model(ids, attention_mask=torch.ones_like(ids))
    pattern = seen["pattern.1"]
    assert pattern.shape == (2, 4, 7, 7)
    close(pattern.sum(-1), torch.ones_like(pattern.sum(-1)), torch.float32)
    assert (pattern.triu(1).abs().max() == 0) == (kind in CAUSAL)


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ("resid", "not a site"),
        ("resid_pre", "not a site"),
        ("embed.0", "not a site"),
        ("resid_pre.1.2", "not a site"),
        ("resid_pre.-1", "not a site"),
        ("resid_pre.3", "layers 0 to 2"),
        ("z.0.4", "heads 0 to 3"),
        (3, "not a site"),
    ],
)
def test_wrong_sites_are_explained(site, message):
    with pytest.raises(ValueError, match=message):
        with record(random_model("gpt2"), [site]):
            pass


def test_parallel_blocks_have_no_middle_and_post_norm_models_no_final_norm():
    with pytest.raises(ValueError, match="side by side"):
        with record(random_model("gpt_neox"), "resid_mid.0"):
            pass
    with pytest.raises(arch.UnsupportedArchitecture, match="no final norm"):
        with record(random_model("bert"), "final_norm"):
            pass


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda x: None, "`return` missing"),
        (lambda x: x[:, :1], "expand_as"),
        (lambda x: x.float(), "float32"),
        (torch.zeros(16), "expand_as"),
        (3.0, "tensor or a function"),
    ],
)
def test_wrong_replacements_are_explained(edit, message):
    model = random_model("gpt2")
    with pytest.raises(ValueError, match=message):
        with replace(model, {"mlp_out.0": edit}):
            model(some_ids())


def test_asking_for_what_was_not_recorded_is_explained():
    with record(random_model("gpt2"), "embed") as seen:
        with pytest.raises(KeyError, match="must run inside"):
            seen["embed"]
    assert dict(seen) == {}


def test_other_models_are_refused():
    with pytest.raises(arch.UnsupportedArchitecture, match="supported families"):
        with record(torch.nn.Linear(2, 2), "embed"):
            pass
