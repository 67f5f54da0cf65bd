"""Behaviour: what a model prefers, seen from outside.

    from course_lib.behaviour import load_blimp, score_suite
    score_suite(lm, load_blimp("path/to/blimp"))

- `pairs`: minimal pairs and suites of them, one object for the protocol of scoring;
- `regions` and `formulas`: surprisal by region of a sentence, and predictions about regions as
  SyntaxGym writes them;
- `suites`: the formats of BLiMP and SyntaxGym; `published`: figures of others beside ours.
"""

from course_lib.behaviour.formulas import evaluate_formula
from course_lib.behaviour.pairs import (
    PairScores,
    Protocol,
    Row,
    SuiteResult,
    score_pairs,
    score_suite,
    surprisals,
)
from course_lib.behaviour.published import BLIMP, PHENOMENA
from course_lib.behaviour.regions import (
    RegionResult,
    evaluate_regions,
    join_regions,
    region_surprisals,
)
from course_lib.behaviour.suites import Pair, RegionSuite, load_blimp, load_syntaxgym

__all__ = [
    "BLIMP", "PHENOMENA", "Pair", "PairScores", "Protocol", "RegionResult", "RegionSuite", "Row",
    "SuiteResult", "evaluate_formula", "evaluate_regions", "join_regions", "load_blimp",
    "load_syntaxgym", "region_surprisals", "score_pairs", "score_suite", "surprisals",
]  # fmt: skip
