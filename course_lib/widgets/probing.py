"""Probing explorer: a concept and a layer; what a probe finds there, and how much is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets
import numpy as np

from course_lib.display import AltFigure, show
from course_lib.plots import probe_panels
from course_lib.probing import (
    CONCEPTS,
    Corpus,
    Targets,
    annotate,
    features,
    majority,
    probe,
    read_states,
    selectivity,
    split,
    targets,
)
from course_lib.tables import Table
from course_lib.widgets.live import Explorer

DOCUMENTS, PLACES = 150, 800
_LABEL = {"description_width": "90px"}


@dataclass
class Study:
    """A corpus as one model reads it, its states, and the data sets drawn from it so far."""

    name: str
    corpus: Corpus
    states: Any
    drawn: dict[str, Targets] = field(default_factory=dict)

    def data(self, concept: str) -> Targets:
        """The places of a concept, drawn at the first call."""
        if concept not in self.drawn:
            self.drawn[concept] = targets(self.corpus, concept, PLACES)
        return self.drawn[concept]


def probing_study(lm, corpus: Corpus | None = None, states=None) -> Study:
    """Read a corpus once for the explorer.

    Parameters
    ----------
    lm : a model of `load_model`.
    corpus, states : from `annotate` and `read_states`, where they are there already.

    Notes
    -----
    Cost: one forward pass over 150 documents where `states` is None.
    """
    corpus = annotate(lm, DOCUMENTS) if corpus is None else corpus
    return Study(lm.name, corpus, read_states(lm, corpus) if states is None else states)


def probing_figure(study: Study, concept: str, layer: int, kind: str = "linear") -> AltFigure:
    """Confusions of a probe on new words, and the states in two directions between the classes.

    Parameters
    ----------
    concept : a name in `CONCEPTS`; layer : from 0, what the first block reads; kind : "linear" or
        "mlp".

    Returns
    -------
    AltFigure; caption and table hold accuracy, majority class and selectivity with intervals.

    Raises
    ------
    ValueError
        For a layer that the model does not have; as `targets` and `fit_probe`.

    Notes
    -----
    Cost: three fits, no forward pass.
    """
    if not 0 <= layer < len(study.states):
        raise ValueError(f"{study.name!r} has layers 0 to {len(study.states) - 1}, not {layer}.")
    data = study.data(concept)
    x = features(study.states, data)[layer].numpy()
    result = probe(x, data, kind=kind, layer=layer)
    extra = selectivity(x, data, kind=kind)
    lines = {
        "accuracy, new words": result.accuracy, "majority class": majority(data),
        "accuracy, new places": extra.task, "control task": extra.control,
        "selectivity": extra.selectivity,
    }  # fmt: skip
    train, test = split(data)
    points = (x[test] - x[train].mean(0)) @ between_classes(x[train], data.labels[train])
    title = f"{study.name}, layer {layer}: {concept}"
    alt = (
        f"Confusion matrix of a {kind} probe for {concept} at layer {layer} of {study.name}, and "
        f"states in two directions between the classes. Accuracy {result.accuracy.value:.2f}, "
        f"majority class {lines['majority class'].value:.2f}, selectivity "
        f"{extra.selectivity.value:.2f}."
    )
    rows = [[name, f"{e.value:.3f}", f"[{e.low:.3f}, {e.high:.3f}]"] for name, e in lines.items()]
    numbers = Table(["", "estimate", "95 % interval"], rows, caption=title)
    drawn = probe_panels(
        result.confusion(), data.classes, points, data.labels[test], alt=alt, n=len(test), seed=0,
        title=title, tables={"numbers": numbers},
    )  # fmt: skip
    caption = f"{CONCEPTS[concept].question} " + "; ".join(f"{k} {v}" for k, v in lines.items())
    return show(drawn.figure, alt, caption, drawn.tables)


def between_classes(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Two orthonormal directions [D, 2] in which the class means differ most; for two classes the
    second one is the direction of the largest variance that is left."""
    means = np.stack([x[labels == c].mean(0) for c in np.unique(labels)])
    first = np.linalg.svd(means - means.mean(0), full_matrices=False)[2][:2]
    if len(means) > 2:
        return first.T
    rest = x - x.mean(0)
    rest = rest - (rest @ first[0])[:, None] * first[0]
    return np.stack([first[0], np.linalg.svd(rest, full_matrices=False)[2][0]], axis=1)


def probing_explorer(study: Study, concepts: Sequence[str] = tuple(CONCEPTS)) -> Explorer:
    """Choose a concept, a layer and a kind of probe.

    Parameters
    ----------
    study : from `probing_study`.
    concepts : names in `CONCEPTS` to offer, the first one is shown.

    Raises
    ------
    ValueError
        If no concept is given.
    """
    if not concepts:
        raise ValueError(f"Offer at least one concept of {', '.join(CONCEPTS)}.")
    last = len(study.states) - 1

    def draw(concept: str, layer: int, kind: str) -> AltFigure:
        return probing_figure(study, concept, layer, kind)

    return Explorer(
        draw,
        concept=ipywidgets.Dropdown(options=list(concepts), description="Concept", style=_LABEL),
        layer=ipywidgets.BoundedIntText(
            value=min(3, last), min=0, max=last, description=f"Layer 0-{last}", style=_LABEL
        ),
        kind=ipywidgets.Dropdown(options=["linear", "mlp"], description="Probe", style=_LABEL),
    )
