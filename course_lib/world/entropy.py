"""How well could any model predict the course world? An upper bound on the generator's entropy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from course_lib.world.documents import tell
from course_lib.world.phrases import Speaker, Weights


class MeasuredSpeaker(Speaker):
    """A speaker that adds up -log p of every choice it makes, in nats."""

    nats = 0.0

    def pick(self, items: Sequence):
        self.nats += math.log(len(items))
        return super().pick(items)

    def sample(self, items: Sequence, k: int) -> list:
        self.nats += math.log(math.perm(len(items), k))
        return super().sample(items, k)

    def chance(self, probability: float) -> bool:
        happened = super().chance(probability)
        self.nats -= math.log(probability if happened else 1 - probability)
        return happened

    def weighted(self, table: Weights):
        item = super().weighted(table)
        index = table.items.index(item)
        before = table.totals[index - 1] if index else 0.0
        self.nats -= math.log((table.totals[index] - before) / table.totals[-1])
        return item


def entropy_bound(seed: int, n: int) -> float:
    """Nats per predicted token (words and end of document) spent by the generator's choices.

    An upper bound on the entropy of the text: two derivations can give the same words, and
    choices that were drawn again because of the held-out split are counted each time. A trained
    model's loss can come below it.

    Examples
    --------
    >>> 1.0 < entropy_bound(seed=1, n=50) < 4.0
    True
    """
    nats = tokens = 0.0
    for index in range(n):
        d = MeasuredSpeaker(f"{seed}:{index}", "-")
        tokens += len(tell(d).words) + 1
        nats += d.nats
    return nats / tokens
