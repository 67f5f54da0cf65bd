"""Many submissions: a run that is killed goes on where it was, and a cluster gives the same."""

from __future__ import annotations

import gc
import importlib.util
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from course_lib import cli
from course_lib.grading import classroom, likeness, run
from course_lib.grading.isolation import PACKAGE

STUDENTS = 8


def load_generator():
    path = Path(__file__).with_name("generated.py")
    spec = importlib.util.spec_from_file_location("generated", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generated():
    return load_generator()


@pytest.fixture(scope="module")
def made(generated, tmp_path_factory, bwrap):
    """A generated class that was collected, and the scores it must get."""
    folder = tmp_path_factory.mktemp("generated")
    expected = generated.make(folder, STUDENTS, seed=3)
    assert cli.main(["collect", "01", str(folder / "in"), "--class", str(folder)]) == 0
    return folder, expected


def test_the_class_is_a_mixture(made):
    _, expected = made
    assert len({status for _, status in expected.values()}) >= 3
    assert len({earned for earned, _ in expected.values()}) >= 4


def test_a_killed_run_goes_on_and_every_score_is_as_constructed(made, generated):
    folder, expected = made
    run = generated.command(folder, "--jobs", "1")
    generated.killed_after(run, folder, 2)
    before = generated.scores(folder)
    assert 0 < len(before) < STUDENTS
    stamps = {p.name: p.stat().st_mtime_ns for p in (folder / "results/01").glob("*.json")}
    assert subprocess.run(run, capture_output=True).returncode == 0
    assert generated.scores(folder) == expected
    now = {p.name: p.stat().st_mtime_ns for p in (folder / "results/01").glob("*.json")}
    assert {name: now[name] for name in stamps} == stamps, "what was done is not done again"
    assert not list((folder / "results/01").glob(".*.part"))
    left = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"]]
    assert not [line for line in left if str(folder) in " ".join(line)]


@pytest.mark.parametrize("file", ["marking.py", "intake.py"])
def test_threads_that_look_for_copies_leave_each_other_alone(file):
    """Dask's own callbacks let another thread go on in the middle of a syntax tree."""
    source, other = (PACKAGE / "grading" / file).read_text("utf-8"), lambda *told: time.sleep(0)
    often = gc.get_threshold()
    gc.callbacks.append(other)
    gc.set_threshold(100)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: likeness.copied(source, PACKAGE), range(40)))
    finally:
        gc.callbacks.remove(other)
        gc.set_threshold(*often)
    assert all(found[0] == places for places in found) and len(found[0]) > 4


def test_a_dask_cluster_gives_the_same(made, generated):
    distributed = pytest.importorskip("distributed")
    folder, expected = made
    few = sorted(expected)[:3]
    settings = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "protocol": "tcp"}
    with distributed.LocalCluster(**settings, dashboard_address=None) as cluster:
        room = classroom.Classroom(folder)
        address = cluster.scheduler_address
        done = run.grade(room, "01", scheduler=address, students=few)
    found = {result["student"]: (result["earned"], result["status"]) for result in done}
    assert found == {student: expected[student] for student in few}, [r["message"] for r in done]
