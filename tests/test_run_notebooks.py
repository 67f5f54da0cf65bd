"""Executing and storing notebooks."""

from pathlib import Path

import nbformat
import pytest
import run_notebooks
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

VIEW = run_notebooks.WIDGET_VIEW


def write(path, *sources):
    cells = [new_markdown_cell("# T"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells, metadata={"widgets": {}}), path)
    return path


def test_a_notebook_is_executed_in_its_folder_and_stored_clean(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COURSE_MODEL", "gpt2")
    (tmp_path / "beside.txt").write_text("found")
    path = write(
        tmp_path / "n.ipynb",
        "print(open('beside.txt').read())",
        "import os\nos.environ['HF_HUB_OFFLINE'], os.environ.get('COURSE_MODEL')",
        "import ipywidgets\nipywidgets.IntSlider()",
        f"{str(run_notebooks.ROOT / 'notebooks')!r}",
    )
    assert run_notebooks.main([str(path)]) == 0
    notebook = nbformat.read(path, as_version=4)
    cells = notebook.cells[1:]
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4]
    assert cells[0].outputs[0].text == "found\n"
    assert cells[1].outputs[0].data["text/plain"] == "('1', None)"
    assert VIEW not in cells[2].outputs[0].data
    assert cells[3].outputs[0].data["text/plain"] == "'./notebooks'"
    assert "widgets" not in notebook.metadata
    assert all("execution" not in cell.metadata for cell in cells)
    assert "MiB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "message"),
    [("import sys\nprint('odd', file=sys.stderr)", "wrote to stderr"), ("1 / 0", "ZeroDivision")],
)
def test_stderr_and_errors_leave_the_file_as_it_was(tmp_path, capsys, source, message):
    path = write(tmp_path / "n.ipynb", source)
    before = path.read_bytes()
    assert run_notebooks.main([str(path)]) == 1
    assert message in capsys.readouterr().err
    assert path.read_bytes() == before


def test_storing_twice_changes_nothing(tmp_path):
    path = write(tmp_path / "n.ipynb", "print(1)")
    run_notebooks.main([str(path)])
    once = path.read_bytes()
    run_notebooks.main([str(path)])
    assert path.read_bytes() == once


def test_clean_output_keeps_the_static_view():
    data = {VIEW: {"model_id": "x"}, "text/html": "<img>", "text/plain": "Box()"}
    output = new_output("display_data", data, metadata={VIEW: {}})
    run_notebooks.clean_output(output, 3)
    assert set(output.data) == {"text/html", "text/plain"} and output.metadata == {}


def test_paths_become_relative():
    root = run_notebooks.ROOT
    assert run_notebooks.without_paths(f"see {root}/a.py") == "see ./a.py"
    other = f"{root}-other/a.py"  # another folder; "~" where it lies below the home folder
    assert run_notebooks.without_paths(other) in (other, other.replace(str(Path.home()), "~", 1))
