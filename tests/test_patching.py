"""Node patching: identities in float64 on every family, against one plain forward per cell."""

import pytest
import torch

from course_lib import architectures as arch
from course_lib import patching
from course_lib.activations import record, replace
from course_lib.patching import nodes, running
from course_lib.tasks import Task, score
from tests.closeness import close, precision
from tests.families import CAUSAL, CONFIGS, POST_NORM, random_model, some_ids

SITES = ["resid_pre.1", "resid_post.0", "attn_out.1", "mlp_out.2", "z.1", "z.2.3", "neurons.0"]
ENDS = ["embed", "final_norm"]


def contrast(logits):
    return logits[:, 9] - logits[:, 12]


def small_task(n: int = 3, length: int = 6, first: int = 2) -> Task:
    """Random prompts that differ from position `first` on, in some of the tokens."""
    both = some_ids(2 * n, length)
    clean, corrupted = both[:n], both[:n].clone()
    corrupted[:, first::2] = both[n:, first::2]
    assert (clean != corrupted)[:, first].all()
    return Task("random", clean, corrupted, contrast)


def sites_of(kind: str) -> list[str]:
    middle = [] if kind == "gpt_neox" else ["resid_mid.1"]
    return SITES + middle + (["embed"] if kind in POST_NORM else ENDS)


def plain(model, task, site, position, direction="denoising", new=None):
    """One forward pass with one value replaced, written out."""
    base, other = task.clean, task.corrupted
    if direction == "denoising":
        base, other = other, base
    if new is None:
        with record(model, site) as seen:
            model(other)
        new = seen[site]

    def put(x):
        x[:, position] = new[:, position]
        return x

    with replace(model, {site: put}):
        return contrast(model(base).logits[:, -1])


@pytest.mark.parametrize("direction", nodes.DIRECTIONS)
@pytest.mark.parametrize("kind", CONFIGS)
def test_every_site_and_direction_is_one_plain_patched_forward(kind, direction):
    model, task = random_model(kind), small_task()
    clean, corrupted = score(model, task)
    for site in sites_of(kind):
        for position in (0, 3, -1):
            result = patching.patch(model, task, site, position, direction=direction)
            expected = plain(model, task, site, position, direction)
            close(result.patched[0, 0], expected, precision(kind))
            sign = expected - corrupted if direction == "denoising" else clean - expected
            close(result.effects[0, 0], sign, precision(kind))
    close(result.clean, clean, precision(kind))
    close(result.corrupted, corrupted, precision(kind))


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_same_value_changes_nothing(kind):
    model, task = random_model(kind), small_task()
    for same in (task.clean, task.corrupted):  # clean into clean, corrupted into corrupted
        unchanged = Task("same", same, same.clone(), contrast)
        for direction in nodes.DIRECTIONS:
            for site in sites_of(kind):
                result = patching.patch(model, unchanged, site, direction=direction)
                close(result.effects, torch.zeros(1, 1, 3).double(), precision(kind))


@pytest.mark.parametrize("kind", CONFIGS)
def test_everything_patched_is_full_recovery(kind):
    model, task = random_model(kind), small_task()
    parts = [f"{name}.{layer}" for layer in range(3) for name in ("attn_out", "mlp_out")]
    for direction in nodes.DIRECTIONS:
        for sites in ("embed", "resid_pre.2", "resid_post.2", ["embed", *parts]):
            result = patching.patch(model, task, sites, direction=direction)
            close(result.share, torch.ones(1, 1, dtype=torch.float64), precision(kind))
            close(result.effects[0, 0], result.clean - result.corrupted, precision(kind))


@pytest.mark.parametrize("value", nodes.ABLATIONS)
@pytest.mark.parametrize("kind", CAUSAL)
def test_ablations(kind, value):
    model, task = random_model(kind), small_task(n=4)
    with record(model, "z.1.2") as seen:
        model(task.clean)
    z = seen["z.1.2"]
    new = {
        "zero": torch.zeros_like(z),
        "mean": z.mean(0, keepdim=True).expand_as(z),
        "resample": z[nodes.other_rows(4, seed=5)],
    }[value]
    result = patching.patch(model, task, "z.1.2", 1, direction="noising", value=value, seed=5)
    # also before the first changed token: these values do not come from the corrupted prompts
    expected = plain(model, task, "z.1.2", 1, "noising", new)
    close(result.patched[0, 0], expected, precision(kind))
    assert result.effects.abs().max() > 1e-6
    assert result.seed == (5 if value == "resample" else None)


def test_joint_patches_are_made_in_one_run():
    model, task = random_model("gpt2"), small_task()
    joint = patching.patch(model, task, ["z.0.1", "mlp_out.1"], direction="noising")
    with record(model, ["z.0.1", "mlp_out.1"]) as seen:
        model(task.corrupted)
    with replace(model, dict(seen)):
        close(joint.patched[0, 0], contrast(model(task.clean).logits[:, -1]))
    alone = [patching.patch(model, task, s, direction="noising") for s in ("z.0.1", "mlp_out.1")]
    assert (joint.effects - sum(a.effects for a in alone)).abs().max() > 1e-6


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("direction", nodes.DIRECTIONS)
def test_sweeps_equal_one_forward_per_cell(kind, direction, monkeypatch):
    model, task = random_model(kind), small_task()
    for tokens in (1, 40, 10_000):  # one cell, two cells, all cells of a layer in a batch
        monkeypatch.setattr(running, "BATCH_TOKENS", tokens)
        heads = patching.sweep_heads(model, task, direction=direction)
        places = patching.sweep_positions(model, task, "attn_out", direction=direction)
        assert heads.patched.shape == (3, 4, 3) and places.patched.shape == (3, 6, 3)
        for layer in range(3):
            for head in range(4):
                expected = plain(model, task, f"z.{layer}.{head}", slice(None), direction)
                close(heads.patched[layer, head], expected, precision(kind))
            for position in range(6):
                expected = plain(model, task, f"attn_out.{layer}", position, direction)
                close(places.patched[layer, position], expected, precision(kind))


def test_cells_before_the_first_changed_token_cost_nothing():
    model, task = random_model("gpt2"), small_task(first=4)
    result = patching.sweep_positions(model, task)
    assert (result.effects[:, :4] == 0).all()
    # Layers 0, 1, 2 of 3 run 3, 2 and 1 blocks, each for two positions, on two of six tokens; the
    # other four run once, and twice everything does.
    assert task.length == 6
    assert result.passes == pytest.approx(2 * (1 + 2 / 3 + 1 / 3) * 2 / 6 + 4 / 6 + 2)
    zeros = patching.sweep_positions(model, task, direction="noising", value="zero")
    assert (zeros.effects[:, :4] != 0).any()
    assert zeros.passes == pytest.approx(6 * 2 + 2)


def test_a_bidirectional_model_is_patched_before_the_changed_token_too():
    result = patching.sweep_positions(random_model("bert"), small_task(first=4), "resid_post")
    assert (result.effects[0, :4] != 0).any()


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_restart_is_exact_and_leaves_the_model_whole(kind, layer):
    model, ids = random_model(kind), some_ids()
    before = arch.blocks(model)
    with record(model, f"resid_pre.{layer}") as seen:
        expected = model(ids).logits
    other = some_ids().flip(0)  # the tokens handed in do not matter any more
    ran = []
    counters = [b.register_forward_pre_hook(lambda *a: ran.append(1)) for b in before]
    with replace(model, {f"resid_pre.{layer}": seen[f"resid_pre.{layer}"]}):
        with patching.restart(model, layer):
            close(model(other).logits, expected, precision(kind))
    assert len(ran) == 3 - layer
    assert arch.blocks(model) is before
    with pytest.raises(ZeroDivisionError), patching.restart(model, layer):
        _ = 1 / 0
    assert arch.blocks(model) is before and len(before) == 3
    for counter in counters:
        counter.remove()


def test_blocks_of_two_kinds_are_run_from_the_first():
    kinds = ["full_attention", "sliding_attention", "full_attention"]
    windows = {"use_sliding_window": True, "sliding_window": 3}
    model = random_model("qwen3", layer_types=kinds, **windows)
    assert not running.can_restart(model) and running.can_restart(random_model("qwen3"))
    task = small_task()
    result = patching.patch(model, task, "z.2.1")
    assert result.passes == 3
    close(result.patched[0, 0], plain(model, task, "z.2.1", slice(None)), precision("qwen3"))


def test_effects_have_one_sign_and_shares_add_up():
    model, task = random_model("gpt2"), small_task()
    swapped = Task("swapped", task.corrupted, task.clean, contrast)
    a = patching.sweep_heads(model, task, direction="denoising")
    b = patching.sweep_heads(model, swapped, direction="noising")
    # the same runs, with the names exchanged: what brings the metric up brings it down
    close(a.patched, b.patched)
    close(a.effects, -b.effects)
    close(a.share, b.share)


def test_intervals_are_those_of_a_plain_bootstrap():
    model, task = random_model("gpt2"), small_task(n=8)
    result = patching.patch(model, task, "z.1.2")
    effects = result.effects[0, 0]
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(8, (1000, 8), generator=generator)
    means = effects[draws].mean(1)
    expected = means.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    close(result.interval()[0, 0], expected)
    gaps = (result.clean - result.corrupted)[draws].mean(1)
    expected = (means / gaps).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    close(result.share_interval()[0, 0], expected)
    assert expected[0] < expected[1]


def test_results_say_what_they_are():
    model, task = random_model("gpt2"), small_task()
    result = patching.sweep_heads(model, task, direction="noising", value="resample", seed=3)
    for part in ("random: noising heads", "another prompt's value", "3 prompts", "seed 3"):
        assert part in result.caption
    assert result.table()[0] == ("", "0", "1", "2", "3") and len(result.table()) == 4
    row, column, best = result.top(1)[0]
    assert best == float(result.mean.max()) == float(result.mean[int(row), int(column)])
    assert f"{best:+.3f}" in repr(result) and f"<td>{best:+.3f}</td>" in result._repr_html_()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sites": "resid.1"}, "not a site"),
        ({"sites": "z.7"}, "layers 0 to 2"),
        ({"position": 6}, r"no position 6.*from 0 .* to 5"),
        ({"direction": "both"}, "denoising or noising"),
        ({"value": "median"}, "zero, mean, resample"),
        ({"value": "zero"}, "direction='noising'"),
    ],
)
def test_bad_input_is_explained(options, message):
    options = {"sites": "z.1.1"} | options
    with pytest.raises(ValueError, match=message):
        patching.patch(random_model("gpt2"), small_task(), **options)


def test_more_bad_input():
    model, task = random_model("gpt2"), small_task()
    with pytest.raises(ValueError, match="not swept by position"):
        patching.sweep_positions(model, task, "heads")
    with pytest.raises(ValueError, match="two prompts or more"):
        patching.patch(model, small_task(n=1), "z.1", direction="noising", value="resample")
    same = Task("same", task.clean, task.clean, contrast)
    with pytest.raises(ValueError, match="does not change the metric"):
        _ = patching.patch(model, same, "z.1").share
    model.set_attn_implementation("eager")
    with pytest.raises(ValueError, match="not replaced"):
        patching.patch(model, task, "pattern.1")
