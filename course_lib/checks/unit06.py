"""Visible checks of assignment 06, sparse autoencoders.

None of them uses ``course_lib.sae`` or a language model. The dictionaries, states and logits in
question are small random arrays, so that the right answer is a few lines of numpy, and each usual
mistake is computed beside it to be recognised by its value. Identities decide where they can: a
feature scaled up and its direction scaled down change no loss, a reconstruction by the mean leaves
all of the variance unexplained, a feature clamped to what it was changes nothing.

The functions stand in ``unit06_coding.py`` (06.1), ``unit06_training.py`` (06.2, 06.3),
``unit06_quality.py`` (06.4, 06.5) and ``unit06_steering.py`` (06.6, 06.7).
"""

from __future__ import annotations

from course_lib.checks import unit06_coding as coding
from course_lib.checks import unit06_features as features
from course_lib.checks import unit06_quality as quality
from course_lib.checks import unit06_recovered as recovered
from course_lib.checks import unit06_steering as steering
from course_lib.checks import unit06_training as training
from course_lib.checks.results import Exercise, Part

EXERCISES = (
    Exercise(
        "06.1",
        "encode and decode",
        "autoencode",
        15,
        (
            Part("activations of all features", 4, coding.activations),
            Part("reconstruction", 3, coding.reconstruction),
            Part("the k largest", 4, coding.largest),
        ),
    ),
    Exercise(
        "06.2",
        "the loss, and what it is a mean of",
        "sparse_loss",
        12,
        (
            Part("reconstruction error", 3, training.reconstruction_error),
            Part("sparsity", 3, training.sparsity),
            Part("both together", 2, training.whole_loss),
        ),
    ),
    Exercise(
        "06.3",
        "a step with directions of length 1",
        "decoder_step",
        12,
        (
            Part("length 1 after the step", 3, training.step_length),
            Part("along and across the direction", 5, training.step_direction),
        ),
    ),
    Exercise(
        "06.4",
        "how sparse, how faithful, how many dead",
        "quality",
        12,
        (
            Part("fraction of variance unexplained", 5, quality.variance_unexplained),
            Part("active and dead features", 3, quality.active_features),
        ),
    ),
    Exercise(
        "06.5",
        "how much of the model's loss is recovered",
        "loss_recovered",
        13,
        (
            Part("texts of equal length", 5, recovered.equal_lengths),
            Part("padded texts", 4, recovered.padded_texts),
        ),
    ),
    Exercise(
        "06.6",
        "the best feature for a concept",
        "best_feature",
        14,
        (
            Part("a threshold for one feature", 4, features.one_feature),
            Part("choosing among many", 5, features.many_features),
        ),
    ),
    Exercise(
        "06.7",
        "steering, and a control of equal size",
        "steer",
        12,
        (
            Part("clamped, with the error kept", 5, steering.clamped),
            Part("a random direction", 3, steering.random_control),
        ),
    ),
)
