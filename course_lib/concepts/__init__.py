"""Concept removal: take a concept out of the states, and see whether the model misses it.

    from course_lib.concepts import agreement_items, amnesic, leace, read_items
    scene = read_items(lm, agreement_items(600))
    amnesic(scene, ["subject number", "attractor number"], layer=5)

- `removal`: `mean_projection`, `inlp`, `leace` fit an `Eraser` on states [N, d] and labels [N];
  `random_subspace` and `shuffled` are what to compare with;
- `items`: `agreement_items`, sentences in which the subject's number decides the verb and five
  other properties vary independently; `PROPERTIES` says what they are;
- `amnesic`: `read_items` keeps the states at the verb (left-to-right and masked models alike),
  `predict_without` runs the model on with erased states, `amnesic` makes the table that decides
  used / not used against controls of the same rank.

An eraser can be called on any states [..., d] of the layer it was fitted on, so it also goes into
`replace(lm, {"resid_post.4": eraser})`, which erases at every token.
"""

from course_lib.concepts.amnesic import (
    AmnesicRow,
    Effect,
    Scene,
    amnesic,
    effect,
    halves,
    predict_without,
    read_items,
    sites,
)
from course_lib.concepts.items import PROPERTIES, Item, agreement_items, item_labels
from course_lib.concepts.removal import (
    METHODS,
    Eraser,
    inlp,
    leace,
    mean_projection,
    one_hot,
    random_subspace,
    shuffled,
)

__all__ = [
    "METHODS", "PROPERTIES", "AmnesicRow", "Effect", "Eraser", "Item", "Scene", "agreement_items",
    "amnesic", "effect", "halves", "inlp", "item_labels", "leace", "mean_projection", "one_hot",
    "predict_without", "random_subspace", "read_items", "shuffled", "sites",
]  # fmt: skip
