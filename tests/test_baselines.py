"""The recurrent baselines: causality, memory, storage, and the recurrence written out."""

import pytest
import torch

from course_lib.models.recurrent import CourseLSTM, CourseTXL, LSTMConfig, TXLConfig, load_baseline
from tests.closeness import close

SEGMENT = 4


def build(kind: str, layers: int = 2, **options):
    torch.manual_seed(0)
    if kind == "lstm":
        model = CourseLSTM(LSTMConfig(vocab_size=40, width=32, layers=layers, **options))
    else:
        settings = TXLConfig(40, width=32, layers=layers, heads=4, segment=SEGMENT, **options)
        model = CourseTXL(settings)
    # Zero-initialised biases and small embeddings would hide mistakes: make all count.
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


@pytest.fixture
def ids():
    return torch.randint(5, 40, (3, 14), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", ["lstm", "txl"])
def test_later_tokens_do_not_change_earlier_logits(kind, ids):
    model = build(kind)
    with torch.no_grad():
        before = model(ids).logits
        for position in range(1, ids.shape[1]):
            changed = ids.clone()
            changed[:, position] = (changed[:, position] + 1) % 40
            after = model(changed).logits
            assert torch.allclose(before[:, :position], after[:, :position], atol=1e-5)
            assert not torch.allclose(before[:, position], after[:, position], atol=1e-3)


@pytest.mark.parametrize("kind", ["lstm", "txl"])
def test_rows_and_padding_do_not_influence_each_other(kind, ids):
    model = build(kind)
    with torch.no_grad():
        together = model(ids).logits
        for row in range(3):
            for length in (1, 5, 8, 14):
                alone = model(ids[row : row + 1, :length]).logits[0]
                assert torch.allclose(alone, together[row, :length], atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "txl"])
def test_save_and_load(kind, ids, tmp_path):
    model = build(kind)
    model.save_pretrained(tmp_path / "full")
    model.save_pretrained(tmp_path / "half", dtype=torch.float16)
    loaded = load_baseline(tmp_path / "full")
    assert type(loaded) is type(model) and loaded.config == model.config
    assert not loaded.training
    stored, kept = loaded.state_dict(), model.state_dict()
    assert all(torch.equal(stored[name], weight) for name, weight in kept.items())
    with torch.no_grad():
        close(loaded(ids).logits, model(ids).logits)
        half = type(model).from_pretrained(tmp_path / "half")
        assert half(ids).logits.dtype == torch.float32
        assert torch.allclose(half(ids).logits, model(ids).logits, atol=0.3)
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("half", "full")]
    assert sizes[0] < 0.7 * sizes[1]
    other = CourseTXL if kind == "lstm" else CourseLSTM
    with pytest.raises(ValueError, match="load_baseline"):
        other.from_pretrained(tmp_path / "full")


@pytest.mark.parametrize("layers", [1, 3])
def test_txl_memory_reaches_one_segment_per_layer(layers, ids):
    model = build("txl", layers=layers)
    changed = ids.clone()
    changed[:, 0] = (changed[:, 0] + 1) % 40
    with torch.no_grad():
        moved = (model(ids).logits - model(changed).logits).abs().amax((0, 2)) > 1e-5
    reached = min(SEGMENT * (layers + 1), ids.shape[1])
    assert moved[:reached].all()
    assert not moved[reached:].any()


def test_txl_equals_one_segment_after_the_other(ids):
    """The recurrence as the paper writes it: a loop over segments that carries the memory."""
    model = build("txl", layers=3)
    with torch.no_grad():
        expected = []
        memory = [None] * 3
        for start in range(0, 12, SEGMENT):
            x = model.embed(ids[:, start : start + SEGMENT])
            for layer, block in enumerate(model.blocks):
                previous, memory[layer] = memory[layer], x
                x = reference_block(block, x, previous)
            states = model.norm(x)
            expected.append(states @ model.embed.weight.T + model.output_bias)
        got = model(ids).logits[:, :12]
        assert torch.allclose(got, torch.cat(expected, 1), atol=1e-3, rtol=1e-4)


def reference_block(block, x, memory):
    """Attention of one segment with explicit loops over queries, keys and heads."""
    t = x.shape[1]
    h = x if memory is None else torch.cat([memory, x], 1)
    offset = h.shape[1] - t
    h = block.norm_attention(h)
    q = block.query(h[:, offset:])
    k, v = block.key_value(h).chunk(2, -1)
    r = block.position(block.sinusoid)
    u, w = block.u.flatten(), block.v.flatten()
    mixed = torch.zeros_like(x)
    for head in range(block.heads):
        part = slice(head * block.head_width, (head + 1) * block.head_width)
        for i in range(t):
            scores = [
                ((q[:, i] + u) * k[:, j] + (q[:, i] + w) * r[offset + i - j])[:, part].sum(-1)
                for j in range(offset + i + 1)
            ]
            pattern = (torch.stack(scores, -1) / block.head_width**0.5).softmax(-1)
            values = v[:, : offset + i + 1, part]
            mixed[:, i, part] = (pattern[..., None] * values).sum(1)
    x = x + block.out(mixed)
    return x + block.mlp(block.norm_mlp(x))


def test_no_gradient_flows_through_the_memory(ids):
    model = build("txl", layers=1)
    x = model.embed(ids).detach().requires_grad_()
    model.hidden(x)[:, SEGMENT].sum().backward()
    assert x.grad[:, :SEGMENT].abs().max() == 0
    assert x.grad[:, SEGMENT].abs().max() > 0


@pytest.mark.parametrize("kind", ["lstm", "txl"])
def test_a_few_steps_of_training_lower_the_loss(kind, ids):
    model = build(kind, dropout=0.1)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        logits = model(ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(weight.grad is not None for weight in model.parameters())


def test_default_sizes():
    count = {
        "lstm": sum(p.numel() for p in CourseLSTM(LSTMConfig(1900)).parameters()),
        "txl": sum(p.numel() for p in CourseTXL(TXLConfig(1900)).parameters()),
    }
    assert all(1_000_000 < n < 1_800_000 for n in count.values()), count


@pytest.mark.parametrize("kind", ["lstm", "txl"])
def test_wrong_calls_are_refused(kind, ids, tmp_path):
    model = build(kind)
    with pytest.raises(ValueError, match=r"ids\[None\]"):
        model(ids[0])
    with pytest.raises(ValueError, match="pad on the right"):
        model(ids, attention_mask=torch.tensor([[0] + [1] * 13] * 3))
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    with pytest.raises(ValueError, match="gpt2"):
        load_baseline(tmp_path)
    with pytest.raises(ValueError, match="heads"):
        CourseTXL(TXLConfig(40, width=30, heads=4))
