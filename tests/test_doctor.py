"""The doctor names what is wrong and the next step, and never falls over itself."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import psutil
import pytest
from budgets import within_budget

from course_lib import doctor, journal
from course_lib.doctor import AMBER, GREEN, RED, Finding, Findings, course, machine, outside
from course_lib.models import assets


def test_diagnose_looks_at_everything_and_is_quick(monkeypatch):
    findings = doctor.diagnose(extras=True)
    assert [finding.name for finding in findings] == list(doctor.CHECKS)
    assert {finding.status for finding in findings} <= {GREEN, AMBER, RED}
    # Importing torch takes what it takes; everything else is not to be waited for.
    monkeypatch.setitem(doctor.CHECKS, doctor.KERNEL, lambda: Finding("kernel", GREEN, "stands by"))
    started = time.perf_counter()
    doctor.diagnose(extras=True)
    within_budget("looking at everything", time.perf_counter() - started, 3)


def test_students_are_not_told_of_what_no_lesson_needs(monkeypatch):
    for name in doctor.EXTRAS:
        monkeypatch.setitem(doctor.CHECKS, name, lambda: pytest.fail("it was looked at"))
    assert {finding.name for finding in doctor.diagnose()} == set(doctor.CHECKS) - {*doctor.EXTRAS}


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
    assert len(findings) == len(doctor.CHECKS) - len(doctor.EXTRAS)


def test_old_and_new_pythons_are_refused(monkeypatch):
    version = namedtuple("version", "major minor micro")
    for found, status in (((3, 10, 2), RED), ((3, 11, 0), GREEN), ((3, 14, 0), RED)):
        monkeypatch.setattr(sys, "version_info", version(*found))
        assert machine.check_python().status == status


def test_missing_and_outdated_packages_are_named(monkeypatch):
    wanted = ["torch>=99", "no-such-package-here>=1", "numpy", "absent; extra == 'dev'"]
    monkeypatch.setattr(course.metadata, "requires", lambda name: wanted)
    found = course.check_packages()
    assert found.status == RED and "make lab" in found.fix
    assert "torch is 2" in found.detail and "no-such-package-here is missing" in found.detail
    assert "absent" not in found.detail and "numpy" not in found.detail


def test_a_package_that_is_not_installed_is_a_problem(monkeypatch):
    monkeypatch.setattr(course, "DISTRIBUTION", "no-such-course")
    assert course.check_packages().status == RED


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    """Modules that a kernel finds before the installed ones: kernel(torch="raise ...")."""

    def make(**sources: str) -> Finding:
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
        return course.check_kernel()

    return make


@pytest.mark.parametrize(
    ("sources", "detail", "fix"),
    [
        ({"torch": "raise ImportError('libgomp.so.1: cannot open')"}, "libgomp.so.1", ".venv"),
        ({"ipywidgets": "import no_such_module"}, "no_such_module", ".venv"),
        ({"course_lib": "raise ModuleNotFoundError(\"No module named 'course_lib'\")"},
         "No module named", "was moved, renamed or copied"),
        ({"course_lib": ""}, "the code of another folder", "PYTHONPATH"),
        ({"transformers": "import os; os.kill(os.getpid(), 4)"}, "died while importing", ".venv"),
        ({"torch": "raise OSError(28, 'No space left on device')"}, "No space left", "Free some"),
    ],
)  # fmt: skip
def test_a_kernel_that_cannot_start_is_a_problem(kernel, sources, detail, fix):
    found = kernel(**sources)
    assert found.status == RED and detail in found.detail and fix in found.fix
    assert str(Path.home()) + "/" not in str(found)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "shift_jis"])
def test_a_kernel_in_a_folder_whose_name_its_encoding_lacks(monkeypatch, encoding, tmp_path):
    place = tmp_path / "Übung für Łódź"
    (place / "course_lib").mkdir(parents=True)
    (place / "course_lib" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    monkeypatch.setenv("PYTHONPATH", str(place) + os.pathsep + os.environ["PYTHONPATH"])
    monkeypatch.setattr(course, "COURSE", place)
    assert course.check_kernel().status == GREEN


def test_a_kernel_of_another_python_is_found(monkeypatch, tmp_path):
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'torch'\" >&2; exit 1\n"
    )
    python.chmod(0o755)
    spec = {"argv": [str(python), "-m", "ipykernel_launcher"], "display_name": "3"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    found = course.check_kernel()
    assert found.status == RED and "kernelspec remove python3" in found.fix
    spec["argv"][0] = str(tmp_path / "none")
    (folder / "kernel.json").write_text(json.dumps(spec))
    assert "does not start" in course.check_kernel().detail


def test_a_kernel_that_takes_for_ever_is_a_warning(kernel, monkeypatch):
    monkeypatch.setattr(course, "KERNEL_SECONDS", 0.2)
    assert kernel(torch="import time; time.sleep(20)").status == AMBER


@pytest.mark.parametrize(("gib", "status"), [(8, GREEN), (1.5, AMBER), (0.5, RED)])
def test_memory(monkeypatch, gib, status):
    memory = namedtuple("memory", "available")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(gib * machine.GIB))
    monkeypatch.setattr(machine, "_container_memory_left", lambda default: default)
    assert machine.check_memory().status == status


def test_memory_limit_of_a_container_counts(monkeypatch):
    monkeypatch.setattr(machine, "_container_memory_left", lambda default: machine.GIB // 2)
    assert machine.check_memory().status == RED


@pytest.mark.parametrize(("gib", "status"), [(8, GREEN), (0.5, AMBER), (0.1, RED)])
def test_disk(monkeypatch, gib, status):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(gib * machine.GIB))
    assert machine.check_disk().status == status


@pytest.fixture
def processor(monkeypatch, tmp_path):
    """Give the machine a number of cores and a container limit."""

    def fake(cores: int, limit: str | None, wanted: str | None):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
        monkeypatch.setattr(machine, "CGROUP", tmp_path)
        if limit is not None:
            (tmp_path / "cpu.max").write_text(limit)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if wanted is not None:
            monkeypatch.setenv("OMP_NUM_THREADS", wanted)

    return fake


@pytest.mark.parametrize(
    ("cores", "limit", "wanted", "status", "fix"),
    [
        (2, None, "64", AMBER, "export OMP_NUM_THREADS=2"),
        (2, None, "2", GREEN, ""),
        (64, "max 100000", None, GREEN, ""),
        (64, "150000 100000", None, AMBER, "export OMP_NUM_THREADS=2"),
        (64, "150000 100000", "2", GREEN, ""),
        (64, "not a limit", None, GREEN, ""),
        (1, None, None, AMBER, "Nothing to repair"),
    ],
)
def test_more_threads_than_cores_is_a_warning(processor, cores, limit, wanted, status, fix):
    processor(cores, limit, wanted)
    found = machine.check_threads()
    assert found.status == status and found.fix.startswith(fix) and bool(fix) == bool(found.fix)


@pytest.mark.parametrize(
    ("built", "loaded", "status"),
    [
        ("scipy-openblas", [], GREEN),
        ("accelerate", [], GREEN),
        ("blas", ["mkl"], GREEN),  # conda: numpy is built against a stand-in
        ("blas", [], AMBER),
        ("netlib", ["unknown"], AMBER),
    ],
)
def test_blas(monkeypatch, built, loaded, status):
    config = {"Build Dependencies": {"blas": {"name": built, "version": "3.9"}}}
    pools = [
        {"user_api": "blas", "internal_api": name, "version": "1", "num_threads": 2}
        for name in loaded
    ]
    monkeypatch.setattr("numpy.show_config", lambda mode: config)
    monkeypatch.setattr("threadpoolctl.threadpool_info", lambda: [*pools, {"user_api": "openmp"}])
    found = machine.check_blas()
    assert found.status == status
    assert status == GREEN or re.search(r"pip install .* numpy==\d", found.fix)


def test_a_damaged_model_is_named(monkeypatch):
    def damaged(name):
        if name == assets.BUNDLED[-1]:
            raise assets.AssetError("sha256 differs")

    monkeypatch.setattr(assets, "asset_folder", damaged)
    found = course.check_models()
    assert found.status == RED and found.detail.endswith(": " + assets.BUNDLED[-1])
    assert "git checkout" in found.fix
    monkeypatch.setattr(assets, "asset_folder", lambda name: None)
    assert course.check_models().status == GREEN


def test_a_missing_widget_extension_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *parts: [str(tmp_path)])
    assert course.check_widgets().status == AMBER
    manager = tmp_path / "@jupyter-widgets" / "jupyterlab-manager"
    manager.mkdir(parents=True)
    (manager / "package.json").write_text("{}")
    assert course.check_widgets().status == GREEN


def test_folders_that_cannot_be_written(monkeypatch):
    for refused, status in ((doctor.COURSE / "notebooks", RED), (journal.home(), AMBER)):
        problems = {refused: "denied"}
        monkeypatch.setattr(course, "write_problem", lambda f, p=problems: p.get(f, ""))
        assert course.check_writing().status == status
    monkeypatch.undo()
    assert course.write_problem(Path("/proc/no-such-folder")) != ""


def test_a_progress_file_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    journal.record("note")
    monkeypatch.setattr(os, "access", lambda path, mode: path != journal.path())
    found = course.check_writing()
    assert found.status == AMBER and "chmod" in found.fix


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_a_hub_that_is_switched_off_is_left_alone(monkeypatch, name):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(
        outside, "_connection_problem", lambda address: pytest.fail("it was called")
    )
    assert outside.check_hub() == Finding(
        "model hub", GREEN, f"switched off ({name}); the course needs none"
    )


@pytest.fixture
def hub(monkeypatch):
    """A hub on this machine that only listens; its address."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(outside, "getproxies", dict)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield os.environ["HF_ENDPOINT"]


def test_a_hub_that_answers(hub):
    assert outside.check_hub() == Finding("model hub", GREEN, "127.0.0.1 answers")


def test_a_hub_behind_a_proxy_is_reached_through_it(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr(outside, "getproxies", lambda: {"https": hub.removeprefix("http://")})
    assert outside.check_hub().status == GREEN


def test_a_hub_that_cannot_be_reached_is_a_warning(hub, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # closed again when we ask
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    found = outside.check_hub()
    assert found.status == AMBER and "refused" in found.detail
    assert "Nothing to repair for the course" in found.fix
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:no-port")
    assert outside.check_hub().status == AMBER


def test_a_name_that_is_looked_up_for_ever_does_not_hold_the_doctor_up(monkeypatch):
    found, ended = threading.Event(), threading.Event()

    def slow(*arguments, **settings):
        found.wait(10)
        ended.set()
        raise OSError("too late")

    monkeypatch.setattr(socket, "create_connection", slow)
    assert "no answer" in outside._connection_problem("https://hub.invalid", seconds=0.1)
    assert not ended.is_set()
    found.set()


@pytest.fixture
def tools(monkeypatch, tmp_path):
    """Programs that do nothing but print and end with a status: tools(bwrap="exit 0")."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(outside, "SYSTEM", tmp_path / "sys")

    def make(**scripts: str):
        for name, script in scripts.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        return tmp_path

    return make


NO_MAP = "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1"
posix = pytest.mark.skipif(os.name == "nt", reason="the programs are shell scripts")


@posix
@pytest.mark.parametrize(
    ("scripts", "platform", "status", "detail", "fix"),
    [
        ({}, "linux", AMBER, "bwrap is not installed; docker is not", "apt install bubblewrap"),
        ({}, "darwin", AMBER, "Students do not need this", "podman"),
        ({"bwrap": "exit 0"}, "linux", GREEN, "bwrap works", ""),
        ({"bwrap": NO_MAP}, "linux", AMBER, "uid map: Permission denied", "--privileged"),
        ({"bwrap": NO_MAP, "docker": "exit 0"}, "linux", GREEN, "docker works", ""),
        ({"podman": "exit 0"}, "darwin", GREEN, "podman works", ""),
        ({"docker": "exec /bin/sleep 5"}, "linux", AMBER, "docker does not answer", "bubblewrap"),
        ({"docker": "exit 1"}, "linux", AMBER, "docker fails (no message)", "bubblewrap"),
    ],
)
def test_grading_back_ends(tools, monkeypatch, scripts, platform, status, detail, fix):
    tools(**scripts)
    monkeypatch.setattr(sys, "platform", platform)
    found = outside.check_grading()
    assert found.status == status and detail in found.detail and fix in found.fix


@posix
@pytest.mark.parametrize(
    ("setting", "value", "fix"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "sudo tee /etc/apparmor.d/bwrap"),
        ("kernel/unprivileged_userns_clone", "0", "sudo sysctl kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "sudo sysctl user.max_user_namespaces=15000"),
        ("kernel/unprivileged_userns_clone", "1", "--privileged"),
    ],
)
def test_what_forbids_bubblewrap_decides_on_the_fix(tools, setting, value, fix):
    folder = tools(bwrap=NO_MAP)
    (folder / "sys" / setting).parent.mkdir(parents=True)
    (folder / "sys" / setting).write_text(f"{value}\n")
    assert fix in outside.check_grading().fix


@posix
def test_the_profile_for_apparmor_is_what_the_shell_writes(tools, monkeypatch):
    folder = tools(bwrap=NO_MAP)
    setting = folder / "sys" / "kernel" / "apparmor_restrict_unprivileged_userns"
    setting.parent.mkdir(parents=True)
    setting.write_text("1\n")
    command = outside.check_grading().fix.split(" | ")[0]
    written = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True).stdout
    assert written == (
        "abi <abi/4.0>,\ninclude <tunables/global>\n"
        f"profile bwrap {folder}/bwrap flags=(unconfined) {{\n  userns,\n}}\n"
    )


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
def test_bubblewrap_itself_is_tried():
    assert "bwrap works" in outside.check_grading().detail or outside.check_grading().fix


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
