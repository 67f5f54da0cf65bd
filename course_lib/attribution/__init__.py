"""Attribution: which tokens of a text made the model expect this word (rather than that one)?

    from course_lib.attribution import erasure
    erasure(lm, "Can you stop the dog from", "barking", "crying")

One sign rule: positive = the token supports the target; without it the metric is lower.

- `question`: the metric, and the model's answers to changed texts;
- `baselines`: what stands in place of a missing token;
- `erasing`, `gradients`, `games`: the methods;
- `judge`, `causes`: whether to believe them;
- `twins`: two models that no method here tells apart.
"""

from course_lib.attribution.baselines import Interventional, Observational, Static, coalition_values
from course_lib.attribution.causes import Case, CauseRanks, cause_ranks, planted_cases, token_places
from course_lib.attribution.erasing import erasure
from course_lib.attribution.games import lime, shapley
from course_lib.attribution.gradients import gradient_norm, gradient_x_input, integrated_gradients
from course_lib.attribution.judge import Agreement, Faithfulness, agreement, faithfulness
from course_lib.attribution.question import Question, ask
from course_lib.attribution.result import Attribution
from course_lib.attribution.twins import twin

METHODS = {
    "erasure": erasure,
    "gradient norm": gradient_norm,
    "gradient x input": gradient_x_input,
    "integrated gradients": integrated_gradients,
    "LIME": lime,
    "Shapley": shapley,
}


def attribute(lm, text, target, foil=None, *, method="erasure", **options) -> Attribution:
    """Run a method by its name, with its own options: see METHODS.

    Raises
    ------
    ValueError
        For an unknown method (the message lists them), and as the method itself.

    Examples
    --------
    >>> from course_lib import load_model
    >>> attribute(load_model(), "The two dogs", "sleep", method="gradient norm").tokens
    ('The', 'two', 'dogs')
    """
    if method not in METHODS:
        raise ValueError(f"Unknown method {method!r}. Choose one of {', '.join(METHODS)}.")
    return METHODS[method](lm, text, target, foil, **options)


__all__ = [
    "METHODS", "Agreement", "Attribution", "Case", "CauseRanks", "Faithfulness", "Interventional",
    "Observational", "Question", "Static", "agreement", "ask", "attribute", "cause_ranks",
    "coalition_values", "erasure", "faithfulness", "gradient_norm", "gradient_x_input",
    "integrated_gradients", "lime", "planted_cases", "shapley", "token_places", "twin",
]  # fmt: skip
