"""Sparse autoencoders: what each architecture must satisfy, training, storing, scoring."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from course_lib.activations import record, replace
from course_lib.sae import (
    ARCHITECTURES,
    L1SAE,
    GatedSAE,
    JumpReLUSAE,
    SparseAutoencoder,
    TopKSAE,
    collect_activations,
    generated_documents,
    load_sae,
    matched_features,
    save_sae,
    score_sae,
    train_sae,
    train_toy,
)
from course_lib.sae.superposition import sample_features
from course_lib.sae.train import Trainer
from tests.closeness import close

D, F = 6, 12


def made(kind: str, seed: int = 0, **options) -> SparseAutoencoder:
    return ARCHITECTURES[kind](D, F, seed=seed, **({"k": 3} if kind == "topk" else {}) | options)


def world(n: int = 2000, on: float = 0.15, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """States [n, D] that are sums of few of F true directions [F, D]."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(F, D, generator=generator), dim=1)
    strengths = (torch.rand(n, F, generator=generator) < on) * (
        1 + torch.rand(n, F, generator=generator)
    )
    return strengths @ directions + 0.5, directions


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return list(itertools.islice(generated_documents("sae tests"), 12))


# --- architectures ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_strengths_are_never_negative_and_decoding_is_linear(kind):
    sae, x = made(kind), torch.randn(50, D)
    f = sae.encode(x)
    assert f.shape == (50, F) and bool((f >= 0).all())
    close(sae.decode(f), f @ sae.W_dec + sae.b_dec)
    close(sae(x), sae.decode(f))
    close(sae.decode(torch.zeros(F)), sae.b_dec)
    one = torch.zeros(F)
    one[4] = 2.0
    close(sae.decode(one) - sae.b_dec, 2 * sae.W_dec[4])


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_history_ends_with_what_the_autoencoder_does(kind):
    sae, (x, _) = made(kind), world(256)
    done = train_sae(sae, [x] * 40, steps=40, rate=1e-2, patience=0, bar=False)
    with torch.no_grad():
        on = float((sae.encode(x) > 0).float().sum(-1).mean())
        left = float((x - sae(x)).square().sum() / (x - x.mean(0)).square().sum())
    assert done.l0[-1] == pytest.approx(on, abs=0.1)
    assert done.reconstruction[-1] == pytest.approx(left, rel=0.1)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_directions_have_length_1_after_every_step(kind):
    sae, (x, _) = made(kind), world(256)
    trainer = Trainer(sae, x, steps=30, rate=1e-2, patience=10)
    for _ in range(12):
        trainer.step(x)
        close(sae.W_dec.norm(dim=1), torch.ones(F))


@pytest.mark.parametrize("kind", ["l1", "jumprelu", "gated"])
def test_without_a_penalty_and_with_enough_features_states_are_reconstructed(kind):
    x, _ = world(512)
    options = {"threshold": 1e-3, "width": 1e-3} if kind == "jumprelu" else {}
    sae = ARCHITECTURES[kind](D, 4 * D, penalty=0.0, seed=1, **options)
    done = train_sae(sae, x, steps=500, batch=256, rate=1e-2, bar=False)
    assert done.reconstruction[-1] < 0.02


def test_topk_with_all_features_reconstructs():
    x, _ = world(512)
    done = train_sae(TopKSAE(D, 4 * D, k=4 * D), x, steps=400, batch=256, rate=1e-2, bar=False)
    assert done.reconstruction[-1] < 0.02


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_scaling_the_states_scales_the_strengths(kind):
    """rescale: an autoencoder of x / s becomes one of x with strengths s times as large."""
    sae, x, s = made(kind, seed=3), torch.randn(40, D), 7.0
    with torch.no_grad():
        for parameter in (sae.b_enc, sae.b_dec):
            parameter += 0.1
    small = sae.encode(x / s).detach(), sae(x / s).detach()
    sae.rescale(s)
    close(sae.encode(x), s * small[0])
    close(sae(x), s * small[1])


def test_the_losses_are_those_of_the_formulas():
    x = torch.randn(20, D)
    for sae in (L1SAE(D, F, penalty=0.3), TopKSAE(D, F, k=3), JumpReLUSAE(D, F, penalty=0.2)):
        f, loss = sae.encode(x), sae.loss(x)
        error = ((x - sae.decode(f)) ** 2).sum(1).mean()
        l0 = (f > 0).float().sum(1).mean()
        close(loss.reconstruction, error)
        expected = {
            "l1": error + 0.3 * f.sum(1).mean(),
            "topk": error,
            "jumprelu": error + 0.2 * l0,
        }[sae.kind]
        close(loss.total, expected)
    sae = GatedSAE(D, F, penalty=0.4)
    with torch.no_grad():
        sae.r += 0.3
        sae.b_gate -= 0.2
    gate = (x - sae.b_dec) @ sae.W_enc - 0.2
    size = (math.exp(0.3) * ((x - sae.b_dec) @ sae.W_enc)).relu()
    f = torch.where(gate > 0, size, 0.0)
    close(sae.encode(x), f)
    through = ((x - gate.relu() @ sae.W_dec - sae.b_dec) ** 2).sum(1).mean()
    error = ((x - f @ sae.W_dec - sae.b_dec) ** 2).sum(1).mean()
    close(sae.loss(x).total, error + 0.4 * gate.relu().sum(1).mean() + through)


def test_the_gate_loss_leaves_the_decoder_alone():
    """The last term of the gated loss trains the gate, not the directions."""
    sae, x = GatedSAE(D, F, penalty=0.0), torch.randn(20, D)
    with torch.no_grad():
        sae.b_enc -= 100.0  # all sizes are 0, so x_hat = b whatever the directions are
    sae.loss(x).total.backward()
    assert bool((sae.W_dec.grad == 0).all()) and bool((sae.W_enc.grad != 0).any())


def test_topk_keeps_the_k_largest():
    sae, x = TopKSAE(D, F, k=3), torch.randn(30, D)
    u = (x - sae.b_dec) @ sae.W_enc + sae.b_enc
    for row, f in zip(u, sae.encode(x), strict=True):
        kept = set(row.topk(3).indices.tolist())
        assert {int(i) for i in f.nonzero()} == {i for i in kept if row[i] > 0}
        on = [i for i in kept if row[i] > 0]
        close(f[on], row[on])


def test_jumprelu_thresholds_feel_the_penalty_and_the_error():
    """The straight-through estimate is a finite difference of the smoothed count."""
    x = torch.randn(4000, D)
    sae = JumpReLUSAE(D, F, penalty=1.0, threshold=0.6, width=0.2)
    on = (sae.before(x) - 0.5 > 0).float().mean(0) - (sae.before(x) - 0.7 > 0).float().mean(0)
    loss = sae.loss(x)
    loss.sparsity.backward()
    slope = sae.log_threshold.grad / 0.6  # by the threshold instead of its logarithm
    torch.testing.assert_close(slope, -on / 0.2, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TopKSAE(D, F, k=0), "k must lie between"),
        (lambda: TopKSAE(D, F, k=F + 1), "k must lie between"),
        (lambda: L1SAE(0, F), "at least 1"),
        (lambda: train_sae(made("l1"), torch.randn(5, D + 1), 3, bar=False), "reads"),
        (lambda: train_sae(made("l1"), torch.full((5, D), torch.nan), 3, bar=False), "not finite"),
        (lambda: train_sae(made("l1"), iter(()), 3, bar=False), "empty"),
        (lambda: train_sae(made("l1"), iter([torch.randn(5, D)]), 3, bar=False), "ended after 1"),
    ],
)
def test_wrong_calls_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- training --------------------------------------------------------------------------------


def test_the_true_directions_are_found():
    x, directions = world(8000, on=0.08)
    sae = L1SAE(D, F, penalty=0.4, seed=1)
    train_sae(sae, x, steps=1200, batch=256, rate=1e-2, bar=False)
    found = matched_features(directions, sae.W_dec.detach())
    chance = matched_features(directions, torch.randn(F, D))
    assert float(found.mean()) > 0.93 > float(chance.mean())


def test_more_penalty_means_fewer_features_and_more_error():
    x, _ = world(2000)
    rows = []
    for penalty in (0.05, 0.3, 1.0):
        sae = L1SAE(D, F, penalty, seed=1)
        train_sae(sae, x, steps=400, batch=256, rate=1e-2, bar=False)
        f = sae.encode(x)
        rows.append((float((f > 0).float().sum(1).mean()),
                     (x - sae.decode(f)).square().sum().item()))  # fmt: skip
    assert rows[0][0] > rows[1][0] > rows[2][0]
    assert rows[0][1] < rows[1][1] < rows[2][1]


def test_more_features_a_state_mean_less_error():
    x, _ = world(2000)
    errors = [train_sae(TopKSAE(D, F, k, seed=1), x, steps=300, batch=256, rate=1e-2, bar=False)
              .reconstruction[-1] for k in (1, 2, 4)]  # fmt: skip
    assert errors[0] > errors[1] > errors[2]


def test_the_same_seed_gives_the_same_weights():
    x, _ = world(600)
    pair = [made("topk", seed=5) for _ in range(2)]
    for sae in pair:
        train_sae(sae, x, steps=40, batch=128, seed=2, bar=False)
    assert all(bool((a == b).all()) for a, b in zip(pair[0].parameters(), pair[1].parameters(),
                                                    strict=True))  # fmt: skip


def test_dead_features_come_back():
    x, _ = world(2000, on=0.3)
    rows = {}
    for kind, options in (("l1", {"penalty": 0.05}), ("topk", {"k": 3})):
        for patience in (0, 20):
            sae = ARCHITECTURES[kind](D, F, seed=1, **options)
            with torch.no_grad():
                sae.b_enc[: F // 2] = -50.0  # half of the features can never be on
            train_sae(sae, x, steps=300, batch=256, rate=1e-2, patience=patience, bar=False)
            rows[kind, patience] = int(((sae.encode(x) > 0).sum(0) == 0).sum())
    assert rows["l1", 0] == F // 2 and rows["l1", 20] <= 1
    assert rows["topk", 0] >= F // 2


def test_dead_features_of_topk_get_a_gradient_from_what_the_others_miss():
    sae, (x, _) = TopKSAE(D, F, k=2), world(200)
    with torch.no_grad():
        sae.W_enc[:, 0] *= 0.01  # never among the two largest
    sae.loss(x).total.backward()
    assert bool((sae.W_enc.grad[:, 0] == 0).all())
    sae.zero_grad()
    sae.dead = torch.arange(F) == 0
    sae.loss(x).total.backward()
    assert bool((sae.W_enc.grad[:, 0] != 0).any())


def test_a_stopped_run_goes_on_where_it_was():
    x, _ = world(512)
    whole, first, second = (made("topk", seed=s) for s in (0, 0, 9))
    one, two = (Trainer(sae, x, 20, 1e-2, 5) for sae in (whole, first))
    for _ in range(20):
        one.step(x)
    for _ in range(8):
        two.step(x)
    state = two.state()
    again = Trainer(second, torch.randn(9, D), 20, 1e-2, 5)
    again.resume(state)
    for _ in range(12):
        again.step(x)
    close(second.W_dec, whole.W_dec)
    assert again.finish().steps[-1] == one.finish().steps[-1] == 20


# --- states, storing, scoring ----------------------------------------------------------------


def test_states_are_those_of_the_model_without_start_tokens(lm, texts):
    found = collect_activations(lm, "resid_post.2", 10_000, texts)
    rows = []
    for text in sorted(texts, key=lambda text: len(lm.encode(text))):
        with record(lm, "resid_post.2") as seen:
            lm.logits(text)
        rows.append(seen["resid_post.2"][0, 1:])
    torch.testing.assert_close(found, torch.cat(rows), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_saving_and_loading(kind, tmp_path):
    sae, x = made(kind, seed=4), torch.randn(10, D)
    sae.rescale(3.0)
    sae.site = "resid_post.2"
    save_sae(sae, tmp_path / kind)
    again = load_sae(tmp_path / kind)
    close(again(x), sae(x))
    assert again.site == "resid_post.2" and repr(again) == repr(sae)
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_what_is_no_autoencoder_is_not_loaded(tmp_path):
    with pytest.raises(ValueError, match="no autoencoder"):
        load_sae(tmp_path / "nothing")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ValueError, match="load_model"):
        load_sae(tmp_path)


class Exact(SparseAutoencoder):
    """x = ReLU(x) - ReLU(-x): 2d features that reconstruct every state exactly."""

    def __init__(self, d: int) -> None:
        super().__init__(d, 2 * d)
        both = torch.cat([torch.eye(d), -torch.eye(d)])
        self.W_dec.data, self.W_enc.data = both, both.T.clone()

    def encode(self, x):
        return (x @ self.W_enc).relu()


def test_scores_at_both_ends_of_the_scale(lm, texts):
    exact = score_sae(lm, Exact(256), texts, "resid_post.2")
    assert exact.recovered()[0] == pytest.approx(1, abs=1e-4) and exact.fvu < 1e-6
    assert exact.loss("sae") == pytest.approx(exact.loss("clean"), abs=1e-4)
    nothing = TopKSAE(256, 8, k=1)
    with torch.no_grad():
        nothing.W_enc.zero_()  # x_hat = b_dec = 0 for every state
    zero = score_sae(lm, nothing, texts, "resid_post.2")
    assert zero.recovered("zero")[0] == pytest.approx(0, abs=1e-4)
    assert zero.dead == 1 and zero.l0 == 0
    # FVU counts the whole error, also that of the mean; explained variance forgives it
    assert zero.fvu > 1 and zero.explained == pytest.approx(0, abs=1e-4)
    with torch.no_grad():
        nothing.b_dec.copy_(collect_activations(lm, "resid_post.2", 10_000, texts).mean(0))
    mean = score_sae(lm, nothing, texts, "resid_post.2")
    assert mean.fvu == pytest.approx(1, abs=1e-4)
    assert mean.recovered("mean")[0] == pytest.approx(0, abs=1e-3)


def test_the_clean_loss_is_the_models(lm, texts):
    scores = score_sae(lm, Exact(256), texts, "resid_post.2")
    own = -torch.cat(lm.score_ids([lm.encode(text) for text in texts])).double().sum()
    assert scores.ce_clean.sum() == pytest.approx(float(own), rel=1e-5)
    assert int(scores.tokens.sum()) == scores.states


def test_replacing_by_the_reconstruction_is_what_is_scored(lm, texts):
    sae = TopKSAE(256, 300, k=4)
    scores = score_sae(lm, sae, texts[:1], "resid_post.2")

    def edit(x):
        return torch.cat([x[:, :1], sae(x)[:, 1:]], 1)

    with torch.no_grad(), replace(lm, {"resid_post.2": edit}):
        own = -lm.score_ids([lm.encode(texts[0])])[0].double().sum()
    assert scores.ce_sae.sum() == pytest.approx(float(own), rel=1e-5)


# --- superposition ---------------------------------------------------------------------------


def test_features_share_dimensions_when_they_are_rare():
    toy = train_toy((0.0, 0.7, 0.97), features=12, dimensions=3, steps=1200)
    dense, middle, rare = toy.represented.tolist()
    assert dense <= 4 and rare >= 6 and dense <= middle <= rare
    assert int(toy.recovered[2]) > 3 >= int(toy.recovered[0])
    assert 2 * float(toy.interference[0]) < float(toy.interference[2])


def test_with_a_dimension_for_each_feature_nothing_is_lost():
    toy = train_toy((0.5,), features=4, dimensions=4, decay=1.0, steps=800)
    assert float(toy.error.max()) < 0.02 and float(toy.interference.max()) < 0.01


def test_features_are_off_as_often_as_asked():
    off = torch.tensor([0.0, 0.9])
    x = sample_features(off, 4000, 5, torch.Generator().manual_seed(0))
    assert float((x[0] > 0).float().mean()) > 0.99
    assert float((x[1] > 0).float().mean()) == pytest.approx(0.1, abs=0.01)
    assert float(x[1][x[1] > 0].mean()) == pytest.approx(0.5, abs=0.02)
