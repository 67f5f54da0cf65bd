"""Circuits: the part of a model's computational graph that does a task.

    from course_lib.circuits import build_graph, eap, faithfulness
    scores = eap(lm, task, build_graph(lm, "head"))
    faithfulness(lm, task, scores.graph, scores.top(200))

- `graph`: writers, readers and edges of a model, by blocks or by heads with q, k and v;
- `running`: runs in which edges carry other values, on the unmodified model;
- `scores`: exact edge patching, EAP and EAP with integrated gradients;
- `search`: the iterative search from the logits backwards, ACDC;
- `judge`: faithfulness, completeness, minimality, and random circuits beside them;
- `planted`: a model with a known circuit, on which the methods are compared.

A circuit is a boolean mask [W, R] of edges. Edges outside it carry corrupted values.
"""

from course_lib.circuits.graph import Graph, build_graph
from course_lib.circuits.judge import (
    Completeness,
    Faithfulness,
    Minimality,
    completeness,
    faithfulness,
    leave_one_out,
    minimality,
    prune,
    random_circuit,
)
from course_lib.circuits.planted import Planted, compare_methods, planted_model, precision_recall
from course_lib.circuits.running import recorded_run, run_edges
from course_lib.circuits.scores import EdgeScores, eap, exact_scores
from course_lib.circuits.search import acdc, backward_search

__all__ = [
    "Completeness", "EdgeScores", "Faithfulness", "Graph", "Minimality", "Planted", "acdc",
    "backward_search", "build_graph", "compare_methods", "completeness", "eap", "exact_scores",
    "faithfulness", "leave_one_out", "minimality", "planted_model", "precision_recall", "prune",
    "random_circuit", "recorded_run", "run_edges",
]  # fmt: skip
