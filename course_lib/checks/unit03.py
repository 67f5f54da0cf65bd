"""Visible checks of assignment 03, probing.

None of them uses ``course_lib.probing`` or ``course_lib.concepts``, and none fits a probe. The
probes in question are callables that the checks write down: one remembers which labels it was
given, another one gives random probabilities that depend on how many labels it has seen. States
for the eraser are drawn from a known mixture, so that the right map follows from their means and
covariances. Where chance plays a part, the random numbers are handed to the function.

The functions stand in ``unit03_words.py`` (03.1), ``unit03_baselines.py`` (03.2),
``unit03_control.py`` (03.3), ``unit03_codes.py`` (03.4, 03.5), ``unit03_removal.py`` (03.6),
``unit03_verdict.py`` and ``unit03_decision.py`` (03.7).
"""

from __future__ import annotations

from course_lib.checks import unit03_baselines as baselines
from course_lib.checks import unit03_codes as codes
from course_lib.checks import unit03_control as control
from course_lib.checks import unit03_decision as decision
from course_lib.checks import unit03_removal as removal
from course_lib.checks import unit03_verdict as judging
from course_lib.checks import unit03_words as words
from course_lib.checks.results import Exercise, Part

EXERCISES = (
    Exercise(
        "03.1",
        "a split without leakage",
        "word_split",
        10,
        (
            Part("no word in both halves", 4, words.split_words),
            Part("a share of the places", 3, words.split_share),
        ),
    ),
    Exercise(
        "03.2",
        "what a probe has to beat",
        "baselines",
        12,
        (
            Part("the majority class", 3, baselines.baseline_majority),
            Part("a table of words", 5, baselines.baseline_words),
        ),
    ),
    Exercise(
        "03.3",
        "control task and selectivity",
        "selectivity",
        13,
        (
            Part("one label for each word", 5, control.control_once),
            Part("several control tasks", 4, control.control_repeated),
        ),
    ),
    Exercise(
        "03.4",
        "the online code",
        "online_code",
        14,
        (
            Part("bits", 6, codes.code_bits),
            Part("compression", 3, codes.code_compression),
        ),
    ),
    Exercise(
        "03.5",
        "scalar mix and centre of gravity",
        "scalar_mix",
        11,
        (
            Part("the mixed states", 4, codes.mix_states),
            Part("the centre of gravity", 3, codes.mix_centre),
        ),
    ),
    Exercise(
        "03.6",
        "LEACE",
        "leace",
        17,
        (
            Part("nothing left for a linear probe", 5, removal.leace_guards),
            Part("the smallest such change", 6, removal.leace_exact),
        ),
    ),
    Exercise(
        "03.7",
        "used, not used, undecided",
        "amnesic_verdict",
        13,
        (
            Part("effect and excess", 3, judging.verdict_excess),
            Part("the interval", 3, judging.verdict_interval),
            Part("the verdict", 3, decision.verdict_words),
        ),
    ),
)
