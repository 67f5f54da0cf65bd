"""Visible checks of assignment 05, the logit lens.

None of them uses ``course_lib.lens`` or a model. Norm, unembedding, parts and states are random
arrays of a few numbers, so that the right answer follows from a formula of one line, or from an
identity: shares sum to a logit, a removed direction is not there any more, an affine map that we
chose is found again.

The functions stand in ``unit05_reading.py`` (05.1), ``unit05_leading.py`` (05.2),
``unit05_divergence.py`` (05.3), ``unit05_removal.py`` (05.4), ``unit05_shares.py`` (05.5) and
``unit05_values.py`` (05.6, 05.7).
"""

from __future__ import annotations

from course_lib.checks import unit05_divergence as divergence
from course_lib.checks import unit05_leading as leading
from course_lib.checks import unit05_reading as reading
from course_lib.checks import unit05_removal as removal
from course_lib.checks import unit05_shares as direct
from course_lib.checks import unit05_values as values
from course_lib.checks.results import Exercise, Part

EXERCISES = (
    Exercise(
        "05.1",
        "the logit lens",
        "logit_lens",
        12,
        (
            Part("LayerNorm", 4, reading.lens_layer_norm),
            Part("RMSNorm", 4, reading.lens_rms_norm),
        ),
    ),
    Exercise(
        "05.2",
        "where a word leads",
        "leading_states",
        12,
        (
            Part("rank with ties", 4, leading.leading_ranks),
            Part("first and for good", 4, leading.leading_places),
        ),
    ),
    Exercise(
        "05.3",
        "how far the lens is off",
        "lens_divergence",
        13,
        (
            Part("mean KL", 5, divergence.divergence_kl),
            Part("bias", 4, divergence.divergence_bias),
        ),
    ),
    Exercise(
        "05.4",
        "removing what the lens reads",
        "remove_and_control",
        14,
        (
            Part("the direction is gone", 5, removal.removal_changed),
            Part("random changes as long", 4, removal.removal_controls),
        ),
    ),
    Exercise(
        "05.5",
        "direct logit attribution",
        "direct_attribution",
        15,
        (
            Part("word against foil", 5, direct.direct_contrast),
            Part("one word, and the constant", 5, direct.direct_constant),
        ),
    ),
    Exercise(
        "05.6",
        "the topic of a value vector",
        "topic_purity",
        11,
        (
            Part("every word has a topic", 4, values.purity_of_topics),
            Part("words without a topic", 3, values.purity_with_gaps),
        ),
    ),
    Exercise(
        "05.7",
        "a tuned lens in closed form",
        "fit_translation",
        13,
        (
            Part("an affine truth", 4, values.translation_exact),
            Part("the penalty", 4, values.translation_ridge),
        ),
    ),
)
