"""An IPython shell in which a cell runs as it does in a notebook, though nobody sees it."""

from __future__ import annotations

from typing import Any

# What a notebook has and a bare shell has not; it has no effect on an answer.
MAGICS_OF_A_KERNEL = (
    "autosave clear cls connect_info edit less man more qtconsole store subshell"
).split()


def notebook_shell() -> Any:
    """An IPython shell without a kernel, in which everything a notebook has for its screen works.

    ``%matplotlib``, ``%pylab`` and ``%gui`` choose a screen: there is none here, and what was drawn
    is not looked at, so they change nothing.
    """
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):
        def enable_gui(self, gui: str | None = None) -> None:
            pass

        def enable_matplotlib(self, gui: str | None = None) -> tuple[str, str]:
            return gui or "inline", "agg"

        def ask_exit(self) -> None:
            pass

    config = Config()
    config.HistoryManager.enabled = False
    shell = Shell.instance(config=config)
    for name in MAGICS_OF_A_KERNEL:
        shell.register_magic_function(lambda line="", cell="": None, "line_cell", name)
    return shell
