"""Probing: what can be read off the hidden states, and how much of it the probe learnt itself.

    from course_lib.probing import annotate, random_model, read_states, sweep, targets
    corpus = annotate(lm, 150)                      # documents with gold labels, as lm reads them
    states = read_states(lm, corpus)                # [L + 1, W, d]: layer 0 is the embedding
    untrained = read_states(random_model(lm), corpus)
    sweep(states, targets(corpus, "number"), untrained=untrained)   # prints a table with intervals

- `gold`: `annotate` draws documents, `targets` the places of one of the `CONCEPTS` (pos, number,
  gender, role, distance, coreference, topic), `split` divides them by word or document ("group"),
  or at random ("place": the leak, to be shown), `control_labels` are those of a control task;
- `states`: `read_states`, `features` (what a probe reads at the places: one state, or two and
  their product for coreference), `random_model`;
- `probe`: `fit_probe` (linear, mlp: scikit-learn), `probe` -> `ProbeResult` with `confusion()`,
  `selectivity`, and the baselines `majority` and `word_baseline`; every number is an `Estimate`
  (value, low, high, n; `.triple` for plots), its bootstrap draws whole groups;
- `codes`: `online_code`, the description length in bits;
- `mix`: `scalar_mix`, layer weights and centre of gravity;
- `sweep`: all of this for every layer in one call.

Whether the model uses what a probe finds is the question of `course_lib.concepts`.
"""

from course_lib.probing.codes import Code, online_code
from course_lib.probing.gold import (
    CONCEPTS,
    Corpus,
    GoldWord,
    Targets,
    annotate,
    control_labels,
    split,
    targets,
)
from course_lib.probing.mix import Mix, scalar_mix
from course_lib.probing.probe import (
    Estimate,
    ProbeResult,
    Selectivity,
    estimate,
    fit_probe,
    majority,
    probe,
    selectivity,
    word_baseline,
)
from course_lib.probing.states import features, layer_sites, random_model, read_states
from course_lib.probing.sweep import Layer, Sweep, sweep

__all__ = [
    "CONCEPTS", "Code", "Corpus", "Estimate", "GoldWord", "Layer", "Mix", "ProbeResult",
    "Selectivity", "Sweep", "Targets", "annotate", "control_labels", "estimate", "features",
    "fit_probe", "layer_sites", "majority", "online_code", "probe", "random_model", "read_states",
    "scalar_mix", "selectivity", "split", "sweep", "targets", "word_baseline",
]  # fmt: skip
