"""The doctor names what is wrong and the next step, and never falls over itself."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from course_lib import assets, doctor, progress
from course_lib.doctor import AMBER, GREEN, RED, Finding, Findings


def test_diagnose_looks_at_everything_and_is_quick():
    started = time.perf_counter()
    findings = doctor.diagnose()
    assert time.perf_counter() - started < 3
    assert [finding.name for finding in findings] == list(doctor.CHECKS)
    assert {finding.status for finding in findings} <= {GREEN, AMBER, RED}


def test_what_is_not_well_comes_with_a_fix_and_what_is_well_without():
    for finding in doctor.diagnose():
        assert bool(finding.fix) == (finding.status != GREEN), finding


def test_findings_name_no_folder_of_this_machine():
    text = str(doctor.diagnose())
    assert str(doctor.COURSE) not in text and str(Path.home()) + "/" not in text


def test_a_check_that_raises_is_a_problem_of_its_own(monkeypatch):
    def broken():
        raise RuntimeError("no such disk")

    monkeypatch.setitem(doctor.CHECKS, "disk", broken)
    findings = doctor.diagnose()
    (disk,) = (finding for finding in findings if finding.name == "disk")
    assert disk.status == RED and "no such disk" in disk.detail
    assert len(findings) == len(doctor.CHECKS)


def test_old_and_new_pythons_are_refused(monkeypatch):
    version = namedtuple("version", "major minor micro")
    for found, status in (((3, 10, 2), RED), ((3, 11, 0), GREEN), ((3, 14, 0), RED)):
        monkeypatch.setattr(sys, "version_info", version(*found))
        assert doctor.check_python().status == status


def test_missing_and_outdated_packages_are_named(monkeypatch):
    wanted = ["torch>=99", "no-such-package-here>=1", "numpy", "absent; extra == 'dev'"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: wanted)
    found = doctor.check_packages()
    assert found.status == RED and "make lab" in found.fix
    assert "torch is 2" in found.detail and "no-such-package-here is missing" in found.detail
    assert "absent" not in found.detail and "numpy" not in found.detail


def test_a_package_that_is_not_installed_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "DISTRIBUTION", "no-such-course")
    assert doctor.check_packages().status == RED


@pytest.mark.parametrize(("gib", "status"), [(8, GREEN), (1.5, AMBER), (0.5, RED)])
def test_memory(monkeypatch, gib, status):
    memory = namedtuple("memory", "available")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(gib * doctor.GIB))
    monkeypatch.setattr(doctor, "_container_memory_left", lambda default: default)
    assert doctor.check_memory().status == status


def test_memory_limit_of_a_container_counts(monkeypatch):
    monkeypatch.setattr(doctor, "_container_memory_left", lambda default: doctor.GIB // 2)
    assert doctor.check_memory().status == RED


@pytest.mark.parametrize(("gib", "status"), [(8, GREEN), (0.5, AMBER), (0.1, RED)])
def test_disk(monkeypatch, gib, status):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(gib * doctor.GIB))
    assert doctor.check_disk().status == status


def test_more_threads_than_cores_is_a_warning(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    assert doctor.check_threads().fix == "Set OMP_NUM_THREADS=2 or unset it."
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert doctor.check_threads().status == GREEN


def test_a_damaged_model_is_named(monkeypatch):
    def damaged(name):
        if name == assets.BUNDLED[-1]:
            raise assets.AssetError("sha256 differs")

    monkeypatch.setattr(assets, "asset_folder", damaged)
    found = doctor.check_models()
    assert found.status == RED and found.detail.endswith(": " + assets.BUNDLED[-1])
    assert "git checkout" in found.fix
    monkeypatch.setattr(assets, "asset_folder", lambda name: None)
    assert doctor.check_models().status == GREEN


def test_a_missing_widget_extension_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *parts: [str(tmp_path)])
    assert doctor.check_widgets().status == AMBER
    manager = tmp_path / "@jupyter-widgets" / "jupyterlab-manager"
    manager.mkdir(parents=True)
    (manager / "package.json").write_text("{}")
    assert doctor.check_widgets().status == GREEN


def test_folders_that_cannot_be_written(monkeypatch):
    for refused, status in ((doctor.COURSE / "notebooks", RED), (progress.home(), AMBER)):
        problems = {refused: "denied"}
        monkeypatch.setattr(doctor, "_write_problem", lambda f, p=problems: p.get(f, ""))
        assert doctor.check_writing().status == status
    monkeypatch.undo()
    assert doctor._write_problem(Path("/proc/no-such-folder")) != ""


EXAMPLE = Findings(
    [Finding("a", GREEN, "fine"), Finding("b", AMBER, "slow <x>", "wait"), Finding("c", RED, "no")]
)


def test_the_worst_status_counts():
    assert EXAMPLE.status == RED
    assert Findings(EXAMPLE[:2]).status == AMBER
    assert Findings().status == GREEN


def test_text_shows_the_fix():
    assert str(EXAMPLE).splitlines()[1:3] == ["! b: slow <x>", "    warning: wait"]


def test_html_has_words_beside_colours_and_is_escaped():
    table = EXAMPLE._repr_html_()
    assert all(word in table for word in ("✓ ok", "! warning", "✗ problem", "<caption>"))
    assert "slow &lt;x&gt;" in table and "<x>" not in table
    assert len(re.findall(r'scope="row"', table)) == 3


def test_it_works_where_torch_is_broken(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('broken')")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-m", "course_lib.cli", "doctor"],
        env=os.environ | {"PYTHONPATH": paths},
        cwd=doctor.COURSE,
        capture_output=True,
        text=True,
    )
    assert "memory" in run.stdout and "Traceback" not in run.stderr
