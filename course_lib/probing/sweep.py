"""One call for all layers: accuracy, control, untrained model and code length, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from course_lib.probing.codes import Code, online_code
from course_lib.probing.gold import Targets
from course_lib.probing.probe import (
    Estimate,
    ProbeResult,
    Selectivity,
    majority,
    probe,
    selectivity,
    word_baseline,
)
from course_lib.probing.states import features


@dataclass(frozen=True)
class Layer:
    """What probes say about one layer; `untrained` and `code` are None where not asked for."""

    probe: ProbeResult
    control: Selectivity
    untrained: Estimate | None
    code: Code | None


@dataclass(frozen=True)
class Sweep:
    """Probes of one concept at every layer, with the baselines that need no states.

    Attributes
    ----------
    layers : one `Layer` each, the first for what block 0 reads
    majority : accuracy of the most frequent class, on the test half of `split`
    word : accuracy of what is usual for the word, split by place
    """

    concept: str
    kind: str
    layers: tuple[Layer, ...]
    majority: Estimate
    word: Estimate
    n: int
    classes: tuple[str, ...]
    seed: int

    @property
    def accuracies(self) -> list[Estimate]:
        """Accuracy on new groups, layer by layer."""
        return [layer.probe.accuracy for layer in self.layers]

    @property
    def best(self) -> int:
        """The layer with the highest accuracy; the first of several."""
        values = [accuracy.value for accuracy in self.accuracies]
        return values.index(max(values))

    def rows(self) -> list[dict[str, str]]:
        """One dictionary a layer, numbers as text with their intervals."""
        found = []
        for number, layer in enumerate(self.layers):
            row = {"layer": str(number), "accuracy": repr(layer.probe.accuracy),
                   "control": repr(layer.control.control),
                   "selectivity": repr(layer.control.selectivity)}  # fmt: skip
            if layer.untrained is not None:
                row["untrained"] = repr(layer.untrained)
            if layer.code is not None:
                row["compression"] = repr(layer.code.compression)
            found.append(row)
        return found

    def __repr__(self) -> str:
        rows = self.rows()
        width = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
        head = (
            f"{self.concept}, {self.kind} probe, {self.n} places, {len(self.classes)} classes, "
            f"seed {self.seed}; majority {self.majority}, word alone {self.word}"
        )
        lines = ["  ".join(f"{name:<{width[name]}}" for name in rows[0])]
        lines += ["  ".join(f"{row[name]:<{width[name]}}" for name in row) for row in rows]
        return "\n".join([head, *lines])


def sweep(
    states: Tensor,
    data: Targets,
    *,
    untrained: Tensor | None = None,
    kind: str = "linear",
    code: bool = True,
    seed: int = 0,
) -> Sweep:
    """Probe every layer for one concept.

    Parameters
    ----------
    states : [L + 1, W, d] of `read_states`.
    untrained : states of `random_model` on the same corpus, or None.
    kind : "linear" or "mlp"
    code : whether to work out the description length as well (a linear probe in any case).

    Returns
    -------
    Sweep
        Accuracies are those on groups (words, documents) that training did not have; the control
        task and the word baseline need words that it had, and are split by place.

    Notes
    -----
    No forward pass. Three fits a layer, one more with `untrained`, up to six with `code`; about
    0.3 s a layer for a linear probe of 1,000 places of 256 units.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.probing import annotate, read_states, targets
    >>> lm = load_model("course-lm")
    >>> corpus = annotate(lm, 20)
    >>> len(sweep(read_states(lm, corpus), targets(corpus, "number", 200), code=False).layers)
    7
    """
    x = features(states, data)
    plain = None if untrained is None else features(untrained, data)
    layers = []
    for number in range(len(x)):
        result = probe(x[number], data, kind=kind, layer=number, seed=seed)
        baseline = None
        if plain is not None:
            baseline = probe(plain[number], data, kind=kind, seed=seed).accuracy
        layers.append(
            Layer(
                result,
                selectivity(x[number], data, kind=kind, seed=seed),
                baseline,
                online_code(x[number], data, seed=seed) if code else None,
            )
        )
    return Sweep(
        data.concept, kind, tuple(layers), majority(data, seed=seed),
        word_baseline(data, seed=seed), len(data), data.classes, seed,
    )  # fmt: skip
