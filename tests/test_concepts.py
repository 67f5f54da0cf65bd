"""Removal of concepts: what must hold for any states, and what the course model misses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from course_lib import load_model
from course_lib.concepts import (
    PROPERTIES,
    agreement_items,
    amnesic,
    effect,
    halves,
    inlp,
    item_labels,
    leace,
    mean_projection,
    one_hot,
    predict_without,
    random_subspace,
    read_items,
    shuffled,
)
from course_lib.concepts.removal import roots
from tests.closeness import close


def states(seed: int, n: int = 300, d: int = 12, k: int = 3) -> tuple[torch.Tensor, np.ndarray]:
    """Correlated states in which a linear probe finds the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    x += 2 * rng.normal(size=(k, d))[labels] + rng.normal(size=d)
    return torch.as_tensor(x), labels


def probe_on(x: torch.Tensor, labels: np.ndarray):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(solver="newton-cholesky", tol=1e-9).fit(x.numpy(), labels)


def share_of_the_largest(labels: np.ndarray) -> float:
    return np.bincount(labels).max() / len(labels)


@pytest.mark.parametrize("seed", range(10))
def test_no_linear_probe_beats_the_majority_after_leace(seed):
    x, labels = states(seed, k=2 + seed % 3)
    assert probe_on(x, labels).score(x, labels) > share_of_the_largest(labels) + 0.15
    clean = leace(x, labels)(x)
    probe = probe_on(clean, labels)
    assert np.abs(probe.coef_).max() < 1e-4
    assert probe.score(clean, labels) == pytest.approx(share_of_the_largest(labels))


@pytest.mark.parametrize("seed", range(3))
def test_leace_takes_away_the_covariance_and_moves_less_than_a_projection(seed):
    x, labels = states(seed)
    z = one_hot(labels)
    for eraser in (leace(x, labels), mean_projection(x, labels)):
        clean = eraser(x)
        covariance = (clean - clean.mean(0)).T @ (z - z.mean(0)) / len(x)
        assert covariance.abs().max() < 1e-9
        assert eraser.rank == 2
        close(clean.mean(0), x.mean(0))
    moved = [
        float((e(x) - x).square().sum()) for e in (leace(x, labels), mean_projection(x, labels))
    ]
    assert moved[0] < moved[1]


def test_leace_is_the_formula_of_the_paper():
    x, labels = states(4, d=6)
    z = one_hot(labels)
    xc, zc = x - x.mean(0), z - z.mean(0)
    s = xc.T @ xc / len(x)
    values, vectors = torch.linalg.eigh(s)
    root = vectors @ values.sqrt().diag() @ vectors.T
    m = torch.linalg.inv(root) @ (xc.T @ zc / len(x))
    onto = m @ torch.linalg.pinv(m)  # the projection on the columns of S^-1/2 C
    expected = x - xc @ (root @ onto @ torch.linalg.inv(root)).T
    close(leace(x, labels)(x), expected, scale=10)  # two roots of a covariance


def test_whole_numbers_are_classes_and_not_one_real_number():
    x, labels = states(1, k=4)
    right, wrong = leace(x, labels), leace(x, labels.astype(float))
    means = {name: torch.stack([e(x)[labels == k].mean(0) for k in range(4)])
             for name, e in (("right", right), ("wrong", wrong))}  # fmt: skip
    assert (right.rank, wrong.rank) == (3, 1)
    assert (means["right"] - means["right"][0]).abs().max() < 1e-9
    assert (means["wrong"] - means["wrong"][0]).abs().max() > 0.5


def test_directions_without_variance_do_no_harm():
    x, labels = states(2)
    flat = torch.cat([x, torch.ones(len(x), 1), x[:, :1]], dim=1)  # a constant and a copy
    clean = leace(flat, labels)(flat)
    assert torch.isfinite(clean).all()
    means = torch.stack([clean[labels == k].mean(0) for k in range(3)])
    assert (means - means[0]).abs().max() < 1e-7


def test_roots_undo_each_other():
    root, inverse = roots(torch.cov(states(0)[0].T))
    close(root @ inverse, torch.eye(12, dtype=torch.float64), scale=10)


@pytest.mark.parametrize("fit", [mean_projection, inlp, leace])
def test_erasing_twice_is_erasing_once(fit):
    x, labels = states(5)
    eraser = fit(x, labels, "class")
    close(eraser(eraser(x)), eraser(x))
    assert eraser(x[0].float()).dtype == torch.float32
    assert eraser(x.view(3, 100, 12)).shape == (3, 100, 12)


def test_inlp_goes_on_until_the_next_classifier_finds_nothing():
    x, labels = states(6)
    one, many = inlp(x, labels, rounds=1), inlp(x, labels, rounds=30)
    assert one.rank == 2 < many.rank
    basis = many.write
    close(basis.T @ basis, torch.eye(many.rank, dtype=torch.float64))
    clean = many(x)
    assert probe_on(clean, labels).score(clean, labels) < probe_on(x, labels).score(x, labels) - 0.2


def test_controls_have_the_rank_asked_for_and_remove_nothing_in_particular():
    x, labels = states(7)
    before = probe_on(x, labels).score(x, labels)
    for eraser in (random_subspace(x, 2, 0), shuffled(x, labels)):
        assert eraser.rank == 2
        clean = eraser(x)
        assert torch.linalg.matrix_rank(clean - clean.mean(0)) == 10
        assert probe_on(clean, labels).score(clean, labels) > before - 0.15


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: leace(x, y[:-1]), "with a label each"),
        (lambda x, y: leace(x, y * 0), "no concept to remove"),
        (lambda x, y: leace(x, y, shrinkage=2), "between 0 and 1"),
        (lambda x, y: leace(x, np.stack([y, y])), "vector of whole numbers"),
        (lambda x, y: inlp(x, y.astype(float)), "must be whole numbers"),
        (lambda x, y: random_subspace(x, 99), "between 1 and 12"),
        (lambda x, y: leace(x, y)(x[:, :5]), "12 units, these have 5"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(*states(0))


# ---------------------------------------------------------------------------------- the model


@pytest.fixture(scope="module")
def scene():
    return read_items(load_model("course-lm"), agreement_items(250))


def test_properties_vary_independently():
    items = agreement_items(2000)
    z = [one_hot(item_labels(items, name)[0]) for name in PROPERTIES]
    for i, a in enumerate(z):
        for b in z[:i]:
            table = a.T @ b / len(items)
            gap = (table - a.mean(0)[:, None] * b.mean(0)).abs().max()
            assert gap < 0.025


def test_nothing_removed_changes_nothing(scene):
    rows = torch.arange(20)
    close(predict_without(scene, {}, rows), scene.logp[rows])
    kept = effect(scene, scene.logp[rows], rows, "", 0)
    assert kept.change == (0.0, 0.0, 0.0)


def test_the_state_is_changed_at_the_verb_alone(scene):
    """A state of another item, put in at the last layer, gives that item's prediction."""
    rows = torch.arange(10)
    last = len(scene.states) - 1
    other = scene.states[last, rows.flip(0)]
    found = predict_without(scene, {last: lambda x: other}, rows)
    torch.testing.assert_close(found, scene.logp[rows.flip(0)], atol=1e-3, rtol=0)


def test_the_subjects_number_is_used_and_five_decodable_properties_are_not(scene):
    rows = {row.concept: row for row in amnesic(scene, list(PROPERTIES), 5, controls=2)}
    assert [name for name, row in rows.items() if row.used] == ["subject number"]
    assert rows["subject number"].effect.accuracy[2] < 0.7
    fit, test = halves(scene)
    for name in ("attractor number", "attractor kind", "preposition"):
        labels = scene.labels(name)
        probe = probe_on(scene.states[5, fit].double() / 10, labels[fit])
        found = probe.score(scene.states[5, test].double() / 10, labels[test])
        assert found > share_of_the_largest(labels) + 0.2  # its interval is about 0.1


def test_before_the_number_has_arrived_its_removal_changes_nothing(scene):
    row = amnesic(scene, ["subject number"], 1, controls=1)[0]
    assert not row.used and row.effect.accuracy[0] > 0.95


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: amnesic(s, ["preposition"], 9), "layers 0 to 6"),
        (lambda s: amnesic(s, ["preposition"], 1, controls=0), "without a control"),
        (lambda s: amnesic(s, ["colour"], 1), "Unknown property"),
        (lambda s: agreement_items(0), "At least one item"),
    ],
)
def test_wrong_questions_are_named(scene, call, message):
    with pytest.raises(ValueError, match=message):
        call(scene)
