"""Logit lens: what the states inside a model say in the model's own vocabulary.

    from course_lib.lens import logit_lens
    logit_lens(lm, "Q: What is the capital of Poland? A:")

- `readout`: the final norm and the unembedding, and their formula;
- `reading`: the lens for one text, and one word followed through the layers of many;
- `causal`: whether the model uses what the lens reads;
- `parts`: how much embedding, heads and MLPs write into one logit;
- `values`: the same for single MLP neurons, and what each of them promotes;
- `tuned`: a lens with a learnt translation for each layer.
"""

from course_lib.lens.causal import Removal, lens_direction, remove_reading, run_changed, without
from course_lib.lens.parts import Contributions, direct_attribution
from course_lib.lens.reading import LensReading, WordRanks, logit_lens, word_ranks
from course_lib.lens.readout import Readout, lens_sites, readout
from course_lib.lens.tuned import LensScores, TunedLens, generated_texts, score_lens, tune_lens
from course_lib.lens.values import (
    SubUpdates,
    ValueHit,
    ValuePurity,
    search_values,
    sub_updates,
    token_kinds,
    value_purity,
    value_vectors,
    vector_words,
    word_scores,
)

__all__ = [
    "Contributions", "LensReading", "LensScores", "Readout", "Removal", "SubUpdates", "TunedLens",
    "ValueHit", "ValuePurity", "WordRanks", "direct_attribution", "generated_texts",
    "lens_direction", "lens_sites", "logit_lens", "readout", "remove_reading", "run_changed",
    "score_lens", "search_values", "sub_updates", "token_kinds", "tune_lens", "value_purity",
    "value_vectors", "vector_words", "without", "word_ranks", "word_scores",
]  # fmt: skip
