"""Published figures that stand beside ours, each with its source and protocol.

None of these numbers was measured here. They are quoted so that a reader can compare the shape of
a result (which phenomena are hard, which model is ahead); the test sets differ, so the levels do
not compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

#: BLiMP's twelve phenomena as they are named in the data (`linguistics_term`), with the table's
#: short heading, in the order of the published table.
PHENOMENA: Mapping[str, str] = MappingProxyType(
    {
        "anaphor_agreement": "ana. agr",
        "argument_structure": "arg. str",
        "binding": "binding",
        "control_raising": "ctrl. rais.",
        "determiner_noun_agreement": "d-n agr",
        "ellipsis": "ellipsis",
        "filler_gap_dependency": "filler gap",
        "irregular_forms": "irregular",
        "island_effects": "island",
        "npi_licensing": "npi",
        "quantifiers": "quantifiers",
        "subject_verb_agreement": "s-v agr",
    }
)

#: The data have a thirteenth label. The paper counts its two paradigms, animate_subject_passive and
#: animate_subject_trans, under argument structure, and so do we: 9 paradigms, not 7 and 2.
COUNTED_UNDER: Mapping[str, str] = MappingProxyType({"s-selection": "argument_structure"})


@dataclass(frozen=True)
class PublishedTable:
    """A quoted table.

    Attributes
    ----------
    columns : headings; for BLiMP "overall" and the twelve phenomena.
    rows : row name -> values in percent, in the order of `columns`.
    items : number of paradigms behind each column.
    source, protocol : where the numbers stand and how they were obtained.
    """

    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]
    items: tuple[int, ...]
    source: str
    protocol: str


BLIMP = PublishedTable(
    columns=("overall", *PHENOMENA.values()),
    rows=MappingProxyType(
        {
            "5-gram": (
                61.2,
                47.9,
                71.9,
                64.4,
                68.5,
                70.0,
                36.9,
                60.2,
                79.5,
                57.2,
                45.5,
                53.5,
                60.3,
            ),
            "LSTM": (69.8, 91.7, 73.2, 73.5, 67.0, 85.4, 67.6, 73.9, 89.1, 46.6, 51.7, 64.5, 80.1),
            "TXL": (69.6, 94.1, 72.2, 74.7, 71.5, 83.0, 77.2, 66.6, 78.2, 48.4, 55.2, 69.3, 76.0),
            "GPT-2": (83.0, 99.3, 81.8, 80.9, 81.9, 95.8, 89.3, 81.3, 91.9, 72.7, 76.8, 79.0, 86.4),
            "Human": (88.6, 97.5, 90.0, 87.3, 83.9, 92.2, 85.0, 86.9, 97.0, 84.9, 88.1, 86.6, 90.9),
        }
    ),
    items=(67, 2, 9, 7, 5, 8, 2, 7, 2, 8, 7, 4, 6),
    source=(
        "Warstadt et al. (2020), BLiMP, TACL 8; Table 3 as corrected in the authors' repository "
        "(erratum of 2021: the GPT-2 row of the printed article was misreported)."
    ),
    protocol=(
        "67 paradigms x 1,000 English pairs; a pair is right when the acceptable sentence has the "
        "higher total log-probability. Training text differs: 5-gram on Gigaword, LSTM on 83 M "
        "words of Wikipedia, TXL on WikiText-103, GPT-2 (gpt2-large, 774 M weights) on WebText. "
        "Human: forced choice by crowd workers on five pairs a paradigm."
    ),
)
