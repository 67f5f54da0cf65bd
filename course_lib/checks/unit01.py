"""Visible checks of assignment 01, behaviour.

No check knows a reference implementation. The inputs are made so that the answer is known by
construction (we choose the probabilities, then the logits that give them) or so that an identity
must hold (probabilities of all continuations sum to one; swapping a pair turns the accuracy
round). Each list of mistakes holds the value that a well-known slip would produce.

The functions stand in ``unit01_scores.py`` (01.1 to 01.3) and ``unit01_suites.py`` (01.4 to 01.7).
"""

from __future__ import annotations

from course_lib.checks import unit01_scores as scores
from course_lib.checks import unit01_suites as suites
from course_lib.checks.results import Exercise, Part

EXERCISES = (
    Exercise(
        "01.1",
        "log-probability of each next token",
        "next_token_logprobs",
        15,
        (
            Part("values we chose", 5, scores.token_values),
            Part("all next words sum to one", 3, scores.token_normalised),
            Part("very large logits", 2, scores.token_stable),
        ),
    ),
    Exercise(
        "01.2",
        "scores of a padded batch",
        "sentence_logprobs",
        15,
        (
            Part("sum with BOS", 4, scores.sentence_sum),
            Part("padding does not matter", 3, scores.sentence_padding),
            Part("mean per token", 3, scores.sentence_mean),
        ),
    ),
    Exercise(
        "01.3",
        "minimal-pair accuracy and ties",
        "minimal_pair_accuracy",
        10,
        (
            Part("share of pairs", 3, scores.pair_share),
            Part("three ways with ties", 4, scores.pair_ties),
        ),
    ),
    Exercise(
        "01.4",
        "the accuracy table of a suite",
        "suite_table",
        10,
        (
            Part("phenomenon columns", 3, suites.suite_columns),
            Part("overall over paradigms", 4, suites.suite_overall),
        ),
    ),
    Exercise(
        "01.5",
        "a bootstrap interval",
        "bootstrap_interval",
        15,
        (
            Part("width and centre", 7, suites.interval_width),
            Part("seeded", 3, suites.interval_seed),
        ),
    ),
    Exercise(
        "01.6",
        "surprisal of regions",
        "region_surprisals",
        10,
        (
            Part("sum in each region", 5, suites.regions_values),
            Part("regions sum to the total", 2, suites.regions_total),
        ),
    ),
    Exercise(
        "01.7",
        "a control for word frequency",
        "frequency_control",
        15,
        (
            Part("two groups", 6, suites.control_groups),
            Part("pairs without a frequency cue", 4, suites.control_silent),
        ),
    ),
)
