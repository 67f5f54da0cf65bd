"""Execute notebooks in place and store them clean, ready to commit.

    python tools/run_notebooks.py [NOTEBOOK ...]        # default: walkthroughs and decks

A stored notebook holds the outputs of one run from top to bottom and nothing of the machine it
ran on. A cell that raises or writes to stderr stops us, and the file stays as it was.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("notebooks", "lectures")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
CELL_TIMEOUT = 600  # seconds


def main(arguments: list[str] | None = None) -> int:
    """Execute and store each notebook; print its time, memory and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    every = [path for name in FOLDERS for path in sorted((ROOT / name).glob("*.ipynb"))]
    paths = parser.parse_args(arguments).notebooks or every
    failed = 0
    for path in paths:
        started = time.perf_counter()
        notebook = nbformat.read(path, as_version=4)
        try:
            memory = execute(notebook, path.resolve().parent)
            clean(notebook)
        except Exception as error:
            failed += 1
            print(f"{path.name}: NOT stored. {error}", file=sys.stderr)
            continue
        nbformat.write(notebook, path)
        seconds, size = time.perf_counter() - started, path.stat().st_size / 1000
        print(f"{path.name}: {seconds:.1f} s, {memory / 2**20:.0f} MiB, {size:.0f} kB", flush=True)
    return int(failed > 0)


def execute(notebook: NotebookNode, folder: Path) -> int:
    """Run all cells with `folder` as working directory; return the kernel's peak memory in bytes.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises.
    ValueError
        If a cell writes to stderr.
    """
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.reset_execution_trackers()
    # Progress and predictions of whoever runs this must not show in what students open.
    with tempfile.TemporaryDirectory() as home, client.setup_kernel(env=kernel_environment(home)):
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
            complain_about_stderr(cell, index)
        return peak_memory(client.km.provisioner.pid)


def kernel_environment(home: str) -> dict[str, str]:
    """The environment of the kernel: no hub, the default model, an empty course home."""
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONHASHSEED": "0"}
    kept = {name: value for name, value in os.environ.items() if name != "COURSE_MODEL"}
    return kept | offline | {"COURSE_HOME": home, "IPYTHONDIR": f"{home}/ipython"}


def complain_about_stderr(cell: NotebookNode, index: int) -> None:
    """Raise ValueError if a cell wrote to stderr, which a reader would see as red text."""
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stderr":
            raise ValueError(f"Cell {index} wrote to stderr:\n{output.text}")


def peak_memory(pid: int) -> int:
    """Highest resident memory of a running process so far, in bytes.

    Where the system keeps no record of the peak (macOS), the present value.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        memory = psutil.Process(pid).memory_info()
        return getattr(memory, "peak_wset", memory.rss)
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024


def clean(notebook: NotebookNode) -> None:
    """Remove widget state, times and machine paths; number the code cells from 1."""
    notebook.metadata = NotebookNode(kernelspec=KERNEL, language_info=LANGUAGE)
    count = 0
    for cell in notebook.cells:
        for name in ("execution", "collapsed", "scrolled", "ExecuteTime"):
            cell.metadata.pop(name, None)
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.outputs = joined(cell.outputs)
        for output in cell.outputs:
            clean_output(output, count)


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Streams that follow each other as one: how a print is cut up depends on the load."""
    whole: list[NotebookNode] = []
    for output in outputs:
        last = whole[-1] if whole else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            whole.append(output)
    return whole


def clean_output(output: NotebookNode, count: int) -> None:
    """Clean one output in place; `count` is the number of its cell."""
    if "execution_count" in output:
        output.execution_count = count
    if "text" in output:
        output.text = without_paths(output.text)
    if "data" in output:
        # The live half goes; the static half of the same bundle shows everywhere.
        output.data.pop(WIDGET_VIEW, None)
        output.metadata.pop(WIDGET_VIEW, None)
        for kind in ("text/plain", "text/html"):
            if kind in output.data:
                output.data[kind] = without_paths(output.data[kind])


def without_paths(text: str) -> str:
    """Replace the repository's and the user's folder by relative names."""
    for folder, name in ((str(ROOT), "."), (str(Path.home()), "~")):
        text = re.sub(re.escape(folder) + r"(?![\w-])", name, text)
    return text


if __name__ == "__main__":
    sys.exit(main())
