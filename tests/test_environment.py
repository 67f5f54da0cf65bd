"""`make setup` when something was in the way: what is half made, moved or copied is made anew.

A stand-in for Python makes environments and answers for pip at once, so that every step can be
made to fail, to hang until Ctrl-C, or to leave a half behind.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the set-up is a shell script")

# $0 is the stand-in itself: in an environment it lies in its bin/. What it is asked goes to LOG.
# TROUBLE names a step; HOW says what happens there.
STAND_IN = """#!/bin/bash
site="${0%/bin/python}/lib/python3.12/site-packages"
case "$*" in
  *"import ensurepip"*) [ "$TROUBLE" != ensurepip ]; exit ;;
  *"import pip"*) [ -d "$site/pip" ]; exit ;;
  *"-m venv"*) step=venv ;;
  *"-m pip --version"*) [ -d "$site/pip" ]; exit ;;
  *"pip install"*torch==*) step=torch ;;
  *"pip install"*) step=rest ;;
  *"pip check"*) step=check ;;
  *) exec REAL "$@" ;;
esac
echo "$step $*" >> "$LOG"
if [ "$step" = venv ]; then
  place="${!#}"
  [ ! -e "$place/.ready" ] || echo "an old .ready is still there" >> "$LOG"
  rm -rf "$place"; mkdir -p "$place/bin"; cp "$0" "$place/bin/python"
  site="$place/lib/python3.12/site-packages"
fi
if [ "$TROUBLE" = "$step" ]; then
  case $HOW in
    fails) echo "ERROR: no network" >&2; exit 1 ;;
    half) mkdir -p "$site/torch-2.dist-info"; echo "ERROR: No space left" >&2; exit 1 ;;
    hangs) trap 'echo Traceback >&2; exit 130' INT; touch "$LOG.hangs"; sleep 60 ;;
  esac
fi
if [ "$step" = venv ]; then mkdir -p "$site/pip"; fi
if [ "$step" = rest ]; then
  for n in $(seq 25); do echo "Collecting package-$n<2,>=1 (from course-lib)"; done
  echo "Installing collected packages: package-1"
  echo "$PWD" > "$site/_editable_impl_course_lib.pth"
fi
"""


class Course:
    """A folder with what the set-up needs of the course, and a stand-in for Python."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder.parent / "log"
        (folder / "tools").mkdir(parents=True)
        (folder / "course_lib").mkdir()
        for name in ("Makefile", "pyproject.toml", "requirements.lock", "tools/set_up.sh",
                     "tools/find_python.sh"):  # fmt: skip
            shutil.copy(ROOT / name, folder / name)
        self.python = folder.parent / "bin with space" / "python"
        self.python.parent.mkdir()
        self.python.write_text(STAND_IN.replace("REAL", f"'{sys.executable}'"))
        self.python.chmod(0o755)

    def start(self, *arguments: str, trouble: str = "", how: str = "") -> subprocess.Popen:
        self.log.write_text("")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "TORCH"))}
        environment |= {"LOG": str(self.log), "TROUBLE": trouble, "HOW": how}
        command = ["make", "setup", f"PYTHON={self.python}", *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            # whoever runs the tests in the background of a script ignores Ctrl-C, and so would make
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def set_up(self, *arguments: str, trouble: str = "", how: str = "") -> tuple[int, str]:
        """Exit status and what was printed."""
        make = self.start(*arguments, trouble=trouble, how=how)
        return make.wait(60), make.communicate()[0]

    @property
    def steps(self) -> list[str]:
        return [line.split()[0] for line in self.log.read_text().splitlines()]


ALL = ["venv", "torch", "rest", "check"]


@pytest.fixture
def course(tmp_path) -> Course:
    return Course(tmp_path / "Übungen für alle, 2. Teil" / "course")


def test_the_first_set_up_says_what_is_coming_and_shows_progress(course):
    status, said = course.set_up()
    assert status == 0 and course.steps == ALL
    assert said.index("GB") < said.index("Step 1 of 3") < said.index("Step 2 of 3")
    assert "package 11: package-11\n" in said and "all 25 packages" in said
    assert "anew" not in said


def test_a_second_set_up_has_nothing_to_do(course):
    course.set_up()
    assert course.set_up() == (0, "") and course.steps == []
    later = time.time() + 10
    os.utime(course.folder / "requirements.lock", (later, later))
    assert course.set_up()[0] == 0 and course.steps == ALL[1:]


@pytest.mark.parametrize("step", ALL)
def test_the_second_set_up_works_after_ctrl_c_in_any_step(course, step):
    make = course.start(trouble=step, how="hangs")
    wait_for(Path(f"{course.log}.hangs").exists)
    os.killpg(make.pid, signal.SIGINT)
    said = make.communicate(timeout=30)[0]
    assert make.returncode and "Run the same command again" in said
    assert step != "venv" or "Traceback" not in said  # pip says itself that it was stopped
    status, said = course.set_up()
    assert status == 0 and said.count("made anew") == 1 and course.steps == ALL
    assert course.set_up() == (0, "")


@pytest.mark.parametrize("step", ALL)
def test_a_step_that_fails_says_what_to_do_and_the_next_set_up_works(course, step):
    status, said = course.set_up(trouble=step, how="fails")
    assert status and "ERROR: no network" in said and "run the same command again" in said
    status, said = course.set_up()
    assert status == 0 and course.steps[-3:] == ALL[1:]
    # What was whole is kept: nothing is fetched twice because the network was gone.
    assert ("venv" in course.steps) == ("made anew" in said) == (step == "venv")


def test_a_package_that_was_half_unpacked_is_not_taken_for_a_whole_one(course):
    course.set_up(trouble="torch", how="half")
    status, said = course.set_up()
    assert status == 0 and "made anew" in said and course.steps == ALL


def test_a_python_without_ensurepip_is_explained_and_left_alone(course):
    status, said = course.set_up(trouble="ensurepip")
    assert status and "sudo apt install python3." in said and "-venv" in said
    assert not (course.folder / ".venv").exists()
    assert course.set_up()[0] == 0


def gone(venv: Path) -> None:
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to("/no/python3.12")


def too_new(venv: Path) -> None:
    (venv / "bin" / "python").write_text("#!/bin/sh\ncase $* in *version_info*) exit 1;; esac\n")


def without_pip(venv: Path) -> None:
    shutil.rmtree(venv / "lib/python3.12/site-packages/pip")


def a_file(venv: Path) -> None:
    shutil.rmtree(venv)
    venv.write_text("not a folder")


def a_dead_link(venv: Path) -> None:
    shutil.rmtree(venv)
    venv.symlink_to("nowhere")


def half_replaced(venv: Path) -> None:
    (venv / "lib/python3.12/site-packages/~orch").mkdir()


@pytest.mark.parametrize("damage", [gone, too_new, without_pip, a_file, a_dead_link, half_replaced])
def test_what_cannot_be_used_is_made_anew_with_one_line(course, damage):
    course.set_up()
    damage(course.folder / ".venv")
    status, said = course.set_up()
    assert status == 0 and said.count("made anew") == 1 and course.steps == ALL


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_folder_that_was_moved_or_copied_gets_an_environment_of_its_own(course, how):
    course.set_up()
    there = course.folder.parent / "course (neu)"
    how(course.folder, there)
    course.folder = there
    status, said = course.set_up()
    assert status == 0 and "moved, renamed or copied" in said and course.steps == ALL


def test_an_environment_outside_of_the_course_is_never_deleted(course, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("years of work")
    status, said = course.set_up(f"VENV={theirs}")
    assert status and "cannot be used" in said and (theirs / "thesis.txt").is_file()
    assert course.set_up(f"VENV={tmp_path / 'fresh'}")[0] == 0 and course.steps == ALL


def test_the_course_is_found_by_a_path_that_any_encoding_can_write(course):
    course.set_up()
    site = course.folder / ".venv/lib/python3.12/site-packages"
    link = (site / "_editable_impl_course_lib.pth").read_text().strip()
    assert link.isascii() and (site / link).resolve() == course.folder


def test_torch_without_gpu_libraries(course):
    status, said = course.set_up("TORCH=cpu")
    torch, rest = course.log.read_text().splitlines()[1:3]
    assert status == 0 and "2.0 GB" in said and "5.7" not in said
    # The only index: where it does not answer, the build with GPU libraries is not taken instead.
    assert (
        " --index-url " in torch
        and "extra" not in torch
        and torch.endswith("torch==2.13.0")
        and "index" not in rest
    )
    (course.folder / ".venv/lib/python3.12/site-packages/nvidia").mkdir()
    assert course.set_up() == (0, "")
    status, said = course.set_up("TORCH=cpu")
    assert status == 0 and "made anew: it holds the GPU libraries" in said
    assert course.set_up("TORCH=gpu")[0] != 0


def test_options_for_torch_reach_pip_as_they_are(course):
    course.set_up("TORCH_OPTIONS=--find-links '/my wheels' --no-index")
    torch, rest = course.log.read_text().splitlines()[1:3]
    assert "--find-links /my wheels --no-index torch==" in torch and "--no-index" not in rest


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_cannot_be_written_is_explained(course):
    course.folder.chmod(0o555)
    status, said = course.set_up()
    course.folder.chmod(0o755)
    assert status and "Copy the course into a folder of your own" in said


def wait_for(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
