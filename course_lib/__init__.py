"""Course package: interpretability of language models, on a laptop and without a network.

Only :func:`load_model` is offered here; everything else is imported from its own module, for
example ``from course_lib.behaviour import score_suite``. Importing the package loads neither
torch nor transformers: both come in with the first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from course_lib.models.loading import load_model

__version__ = "0.1.0"
__all__ = ["__version__", "load_model"]


def __getattr__(name: str) -> Any:
    if name == "load_model":
        from course_lib.models.loading import load_model

        return load_model
    raise AttributeError(f"module 'course_lib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
