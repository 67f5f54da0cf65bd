"""Predictions, exit tickets, and the report over them.

    predict("01.p1", "Which is more probable?", choices=["the keys are", "the keys is"])
    reveal("01.p1", "the keys are")
    progress_report()

- `questions`: what is asked and what came out; `forms`: how it looks in a notebook;
- `report`: one row a unit; `calibration`: how good the predictions were.

All of it is read from and written to one local file, :mod:`course_lib.journal`.
"""

from course_lib.progress.questions import (
    Reveal,
    exit_ticket,
    predict,
    prediction,
    record_prediction,
    reveal,
)
from course_lib.progress.report import UNITS, minutes, progress_report, unit_of, unit_summary

__all__ = [
    "UNITS", "Reveal", "exit_ticket", "minutes", "predict", "prediction", "progress_report",
    "record_prediction", "reveal", "unit_of", "unit_summary",
]  # fmt: skip
