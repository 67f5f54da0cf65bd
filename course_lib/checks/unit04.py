"""Visible checks of assignment 04, patching and circuits.

None of them uses ``course_lib.patching`` or ``course_lib.circuits``. The models in question are
small residual streams of a few random layers, so that every patch can be computed by adding up
outputs, and tables with a random value for every circuit, from which the right judgement is read
off.

The functions stand in ``unit04_values.py`` (04.1, 04.2), ``unit04_nodes.py`` (04.3),
``unit04_edges.py`` (04.4), ``unit04_scores.py`` (04.5), ``unit04_judging.py`` (04.6) and
``unit04_search.py`` (04.7).
"""

from __future__ import annotations

from course_lib.checks import unit04_edges as edges
from course_lib.checks import unit04_judging as judging
from course_lib.checks import unit04_nodes as nodes
from course_lib.checks import unit04_scores as scores
from course_lib.checks import unit04_search as searching
from course_lib.checks import unit04_values as values
from course_lib.checks.results import Exercise, Part

EXERCISES = (
    Exercise(
        "04.1",
        "the metric of greater-than",
        "greater_than",
        8,
        (
            Part("one prompt", 3, values.metric_single),
            Part("several prompts, each with its own year", 3, values.metric_batch),
        ),
    ),
    Exercise(
        "04.2",
        "three values for an ablation",
        "ablation_values",
        11,
        (
            Part("zero and mean", 3, values.ablation_constant),
            Part("resample", 4, values.ablation_resampled),
        ),
    ),
    Exercise(
        "04.3",
        "patch a node, in both directions",
        "patch_node",
        14,
        (
            Part("noising at one position", 3, nodes.node_noising),
            Part("denoising at one position", 3, nodes.node_denoising),
            Part("all positions, and the embedding", 3, nodes.node_whole),
        ),
    ),
    Exercise(
        "04.4",
        "patch an edge",
        "patch_edge",
        15,
        (
            Part("from a sender to a layer", 5, edges.edge_into_layer),
            Part("from a sender to the readout", 3, edges.edge_into_readout),
            Part("edges that share out the gap", 2, edges.edge_shares),
        ),
    ),
    Exercise(
        "04.5",
        "all edges at once: EAP and EAP-IG",
        "edge_attribution",
        16,
        (
            Part("the gradient at the clean run", 5, scores.attribution_clean),
            Part("the gradient along the path", 4, scores.attribution_path),
            Part("edges that exist", 2, scores.attribution_allowed),
        ),
    ),
    Exercise(
        "04.6",
        "judge a circuit",
        "judge_circuit",
        14,
        (
            Part("faithfulness", 3, judging.judged_faithfulness),
            Part("completeness", 3, judging.judged_completeness),
            Part("the control", 3, judging.judged_chance),
        ),
    ),
    Exercise(
        "04.7",
        "ACDC: remove what is not needed",
        "acdc",
        12,
        (
            Part("edges that add up", 3, searching.search_additive),
            Part("edges that stand in for each other", 5, searching.search_together),
        ),
    ),
)
