"""Explorers for lessons: controls and a figure that follows them.

Every explorer stores a static picture with alt text beside the live view, so that a notebook reads
well where no kernel runs: in an exported page, in slides, or before the first cell is executed.
Submodules are imported on first use, so that a lesson without widgets does not pay for them.
"""

from __future__ import annotations

import importlib

_HOME = {
    "Explorer": "live",
    "attribution_explorer": "attribution",
    "circuit_explorer": "circuits",
    "feature_browser": "sae",
    "lens_explorer": "lens",
    "minimal_pair_explorer": "behaviour",
    "patching_explorer": "circuits",
    "probing_explorer": "probing",
    "probing_study": "probing",
    "residual_stream_explorer": "tour",
    "steering_explorer": "sae",
}

__all__ = list(_HOME)


def __getattr__(name: str):
    """Import the submodule that defines `name` when it is first asked for."""
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
