"""The planted circuit: what matters is known by construction, and methods are measured on it."""

import pytest
import torch

from course_lib.circuits import (
    EdgeScores,
    compare_methods,
    eap,
    exact_scores,
    faithfulness,
    planted_model,
    precision_recall,
)
from course_lib.circuits.planted import TRUTH, average_precision
from course_lib.tasks import score
from tests.closeness import close


@pytest.fixture(scope="module")
def planted():
    return planted_model()


@pytest.fixture(scope="module")
def exact(planted):
    return exact_scores(planted.model, planted.task, planted.graph)


def test_the_planted_edges_are_those_whose_exact_effect_is_not_zero(planted, exact):
    size = exact.scores.abs()
    assert planted.graph.edges(planted.truth) == planted.graph.edges(size > 1e-9)
    assert sorted(planted.graph.edges(planted.truth)) == sorted(TRUTH)
    # a wide gap: nothing stands between rounding and an effect of several logits
    assert size[planted.truth].min() > 1 and size[~planted.truth].max() < 1e-9


@pytest.mark.parametrize("options", [{"sharpness": 3.0, "n": 2}, {"sharpness": 16.0, "seed": 5}])
def test_other_models_of_the_kind_have_the_same_circuit(options):
    other = planted_model(**options)
    found = exact_scores(other.model, other.task, other.graph)
    assert torch.equal(found.scores.abs() > 1e-9, other.truth)


def test_the_model_does_its_task_and_the_circuit_does_all_of_it(planted):
    clean, corrupted = score(planted.model, planted.task)
    assert clean.min() > 5
    close(clean, -corrupted)
    logits = planted.model(input_ids=planted.task.clean).logits[:, -1]
    # the most likely word is the one that followed the last word before
    for ids, best in zip(planted.task.clean.tolist(), logits.argmax(-1).tolist(), strict=True):
        assert best == ids[ids.index(ids[-1]) + 1]
    kept = faithfulness(planted.model, planted.task, planted.graph, planted.truth)
    close(kept.share[0], 1.0)


def test_the_decoys_do_say_something_else_on_corrupted_prompts(planted):
    from course_lib.circuits import recorded_run

    graph = planted.graph
    runs = [recorded_run(planted.model, graph, x)[1] for x in
            (planted.task.clean, planted.task.corrupted)]  # fmt: skip
    changed = (runs[0] - runs[1]).abs().amax((1, 2, 3)) > 0.1
    names = {writer.name for writer, c in zip(graph.writers, changed, strict=True) if c}
    assert names == {"embed", "a0.h0", "a0.h1", "m0", "a1.h0", "a1.h1", "a1.h3", "m1", "a2.h0",
                     "a2.h1", "m2"}  # fmt: skip


def test_gradients_miss_saturated_attention_and_see_lengths_that_do_not_matter(planted, exact):
    graph, edge = planted.graph, planted.graph.edge
    linear = eap(planted.model, planted.task, graph)
    path = eap(planted.model, planted.task, graph, steps=20)
    query, silent = edge("m0", "a2.h1.q"), edge("embed", "logits")
    assert exact.scores[query] > 3 and abs(exact.scores[silent]) < 1e-9
    assert abs(linear.scores[query]) < abs(linear.scores[silent])  # the wrong way round
    assert path.scores[query] > abs(path.scores[silent])
    # sharper attention: the exact effect stays, its gradient goes
    sharp = planted_model(24.0)
    flat = eap(sharp.model, sharp.task, sharp.graph)
    one = exact_scores(sharp.model, sharp.task, graph, graph.mask([("m0", "a2.h1.q")]))
    assert one.scores[query] > 3 and abs(flat.scores[query]) < 0.1 * abs(linear.scores[query])


def test_the_comparison_counts_what_each_method_finds(planted):
    rows = {row.method.split(",")[0].split(" at")[0]: row for row in compare_methods(planted)}
    exact, linear, path, search = (
        rows[name] for name in ("exact edge patching", "EAP", "EAP-IG", "ACDC")
    )
    assert exact.precision == exact.recall == exact.average_precision == 1.0
    assert search.precision == search.recall == 1.0 and search.average_precision is None
    assert linear.recall < path.recall < 1.0
    assert linear.average_precision < path.average_precision
    assert linear.passes < path.passes < exact.passes == search.passes
    found = eap(planted.model, planted.task, planted.graph).top(12)
    assert linear.recall == float((found & planted.truth).sum()) / 12


def test_precision_recall_and_average_precision_by_hand(planted):
    truth = torch.tensor([[True, True, False, False]])
    assert precision_recall(torch.tensor([[True, False, True, False]]), truth) == (0.5, 0.5)
    assert precision_recall(torch.tensor([[True, True, True, True]]), truth) == (0.5, 1.0)
    every = torch.ones_like(truth)

    def of(values):
        scores = EdgeScores(None, torch.tensor([values]), every, "", "", "", 1.0, 0.0, 0.0)
        return average_precision(scores, truth)

    assert of([0.9, -1.0, 0.5, 0.0]) == 1.0
    assert of([0.1, -1.0, 0.5, 0.0]) == pytest.approx((1 + 2 / 3) / 2)
    assert of([0.0, 1.0, 0.0, 0.0]) == pytest.approx((1 + 2 / 4) / 2)  # ties: the worst rank
    for found, message in [
        (torch.zeros_like(truth), "without edges"), (truth.double(), "boolean"),
        (truth[:, :2], "one shape"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            precision_recall(found, truth)
    for options in ({"sharpness": 0.0}, {"n": 0}):
        with pytest.raises(ValueError, match="sharpness must be above 0"):
            planted_model(**options)
