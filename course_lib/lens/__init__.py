"""Logit lens: what the states inside a model say in the model's own vocabulary.

    from course_lib.lens import logit_lens
    logit_lens(lm, "Q: What is the capital of Poland? A:")

- `readout`: the final norm and the unembedding, and their formula;
- `reading`: the lens for one text, and one word followed through the layers of many;
- `causal`: whether the model uses what the lens reads;
- `parts`: how much embedding, heads and MLPs write into one logit.
"""

from course_lib.lens.causal import Removal, lens_direction, remove_reading, run_changed, without
from course_lib.lens.parts import Contributions, direct_attribution
from course_lib.lens.reading import LensReading, WordRanks, logit_lens, word_ranks
from course_lib.lens.readout import Readout, lens_sites, readout

__all__ = [
    "Contributions", "LensReading", "Readout", "Removal", "WordRanks", "direct_attribution",
    "lens_direction", "lens_sites", "logit_lens", "readout", "remove_reading", "run_changed",
    "without", "word_ranks",
]  # fmt: skip
