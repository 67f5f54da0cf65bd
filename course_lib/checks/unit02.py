"""Visible checks of assignment 02, attribution.

None of them uses ``course_lib.attribution``. The models in question are sums, polynomials and
games that we write down, so that the right attribution follows from how they were made: a token of
a sum is worth its weight, a dividend is shared among its members, a polynomial has a known
integral. Where order and interaction of tokens matter, the model is a table with a random value
for every text, and the right answer is read off the table.

The functions stand in ``unit02_erasing.py`` (02.1, 02.2), ``unit02_games.py`` (02.3, 02.5),
``unit02_gradients.py`` (02.4) and ``unit02_judging.py`` (02.6, 02.7).
"""

from __future__ import annotations

from course_lib.checks import unit02_erasing as erasing
from course_lib.checks import unit02_games as games
from course_lib.checks import unit02_gradients as gradients
from course_lib.checks import unit02_judging as judging
from course_lib.checks.results import Exercise, Part

EXERCISES = (
    Exercise(
        "02.1",
        "the contrastive metric",
        "contrastive_metric",
        10,
        (
            Part("one word on three scales", 3, erasing.metric_scales),
            Part("target against foil", 4, erasing.metric_contrast),
        ),
    ),
    Exercise(
        "02.2",
        "erasure, one token at a time",
        "erasure",
        12,
        (
            Part("replace by a baseline token", 5, erasing.erasure_replaced),
            Part("delete", 3, erasing.erasure_deleted),
        ),
    ),
    Exercise(
        "02.3",
        "the value of a set of tokens",
        "expected_value",
        15,
        (
            Part("interventional", 5, games.expected_interventional),
            Part("observational", 5, games.expected_observational),
        ),
    ),
    Exercise(
        "02.4",
        "integrated gradients",
        "integrated_gradients",
        15,
        (
            Part("linear model", 3, gradients.gradients_linear),
            Part("tokens that interact", 4, gradients.gradients_square),
            Part("the completeness gap", 3, gradients.gradients_gap),
        ),
    ),
    Exercise(
        "02.5",
        "exact Shapley values",
        "shapley",
        15,
        (
            Part("efficiency, dummy, symmetry", 5, games.shapley_axioms),
            Part("games of known dividends", 5, games.shapley_dividends),
        ),
    ),
    Exercise(
        "02.6",
        "comprehensiveness and sufficiency",
        "comprehensiveness_sufficiency",
        13,
        (
            Part("a sum of known effects", 5, judging.faithful_sum),
            Part("order and rounding", 4, judging.faithful_order),
        ),
    ),
    Exercise(
        "02.7",
        "the rank of the cause, and chance",
        "causal_rank",
        10,
        (
            Part("rank with ties", 4, judging.rank_ties),
            Part("chance level", 3, judging.rank_chance),
        ),
    ),
)
