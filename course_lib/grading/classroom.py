"""A class on disk, and the run that grades it.

A class is a folder: ``roster.csv``, ``class.toml`` (dates, late policy, limits; all optional), a
secret ``key``, and what the commands write: ``collected/``, ``results/``, ``feedback/`` and more.
Workers return results as plain data; only the process that was called writes files. A result is
written whole or not at all, so a run that is killed continues where it was.
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import json
import math
import multiprocessing
import os
import re
import secrets
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tqdm import tqdm

from course_lib.grading.answers import read_answers
from course_lib.grading.collect import SAFE_ID, CollectError, read_roster, write_json
from course_lib.grading.isolation import PACKAGE
from course_lib.grading.marking import ATTEMPTS, FORMAT, default_limits, grade_submission
from course_lib.grading.settings import ClassError, read_settings

DAY = 24 * 3600


class Classroom:
    """The folder of a class, together with the folder of the course."""

    def __init__(self, folder: Path, course: Path = PACKAGE.parent) -> None:
        self.folder, self.course = folder, course

    @cached_property
    def settings(self) -> dict[str, Any]:
        units = [p.parent.name[:2] for p in self.course.glob("exercises/*/*.ipynb")]
        known = (self.folder / "roster.csv").is_file()
        students = [row["id"] for row in self.roster] if known else []
        path = self.folder / "class.toml"
        return read_settings(path, sorted(set(units)), students, default_limits())

    @cached_property
    def roster(self) -> list[dict[str, str]]:
        try:
            return read_roster(self.folder / "roster.csv")
        except CollectError as error:
            raise ClassError(str(error)) from None

    @property
    def limits(self) -> dict[str, Any]:
        return default_limits() | self.settings.get("limits", {})

    def assignment(self, unit: str) -> str:
        """The name of a unit's assignment, for example ``01_behaviour``."""
        found = sorted(self.course.glob(f"exercises/{unit}_*/{unit}_*.ipynb"))
        if not found:
            raise ClassError(f"There is no assignment {unit} in {self.course / 'exercises'}.")
        return found[0].stem

    def released(self, unit: str) -> bytes:
        name = self.assignment(unit)
        return (self.course / "exercises" / name / f"{name}.ipynb").read_bytes()

    def answers(self, unit: str) -> dict[str, str]:
        """The texts of the unit's answers files by name, which must be here to grade."""
        folder = self.course / "solutions" / self.assignment(unit) / "answers"
        if not (texts := read_answers(folder)):
            raise ClassError(f"{folder} is empty: nothing can be graded without the answers.")
        return texts

    def seed(self, unit: str, student: str) -> int:
        """The seed of a student's random inputs: it follows from the class's key and the id."""
        path = self.folder / "key"
        if not path.is_file():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(32))
        if not re.fullmatch(r"[0-9a-f]{64}\s*", key := path.read_text("utf-8", "replace")):
            raise ClassError(
                f"{path} does not hold the key of this class: 64 digits 0-9a-f. Get it back from a "
                "copy; without it, delete the file, and everyone is graded again on new inputs."
            )
        digest = hmac.new(bytes.fromhex(key), f"{unit} {student}".encode(), "sha256")
        return int.from_bytes(digest.digest()[:6])

    def folder_of(self, what: str, unit: str) -> Path:
        return self.folder / what / unit

    def result(self, unit: str, student: str) -> dict[str, Any] | None:
        return _read(self.folder_of("results", unit) / f"{student}.json")

    def collected(self, unit: str, student: str) -> dict[str, Any] | None:
        return _read(self.folder_of("collected", unit) / f"{student}.json")

    def results(self, unit: str) -> list[dict[str, Any]]:
        found = (self.result(unit, row["id"]) for row in self.roster)
        return [result for result in found if result is not None]

    def late(self, unit: str, student: str, received: str) -> tuple[int, float]:
        """Days after the date due, begun ones counting, and the percentage that they cost."""
        due = self.settings.get("extensions", {}).get(unit, {}).get(student)
        due = due or self.settings.get("due", {}).get(unit)
        if due is None or not received:
            return 0, 0.0
        policy = self.settings.get("late", {})
        due = due if due.tzinfo else due.astimezone()
        over = (datetime.fromisoformat(received) - due).total_seconds()
        over -= 60 * policy.get("grace_minutes", 0)
        days = max(0, math.ceil(over / DAY))
        cost = policy.get("percent_per_day", 0) * days
        return days, float(min(cost, policy.get("most_percent", 100)))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text("utf-8")) if path.is_file() else None
    except ValueError:
        raise ClassError(f"{path} is damaged: delete it, then collect and grade again.") from None


def jobs_for(
    room: Classroom, unit: str, isolation: str, image: str, students: list[str], only: list[str]
) -> Iterator[dict[str, Any]]:
    """What has to be graded: everything collected that has no result for the same inputs.

    Students named are graded in any case. ``only`` limits the exercises where the others have a
    result that follows from the same inputs; elsewhere all are graded.

    Raises
    ------
    ClassError : nothing was collected, or there is no such student or exercise
    """
    released, answers, limits = room.released(unit), room.answers(unit), room.limits
    inputs = hashlib.sha256(released + json.dumps([answers, limits]).encode())
    inputs_of_unit = PACKAGE / "checks" / "inputs" / f"unit{unit}.py"
    for path in [*sorted((PACKAGE / "checks").glob("*.py")), inputs_of_unit]:
        inputs.update(path.read_bytes())
    book = json.loads(released)
    for student in _to_grade(room, unit, book, students, only):
        record, before = room.collected(unit, student), room.result(unit, student)
        seed = room.seed(unit, student)
        digest = inputs.copy()
        digest.update(f"{FORMAT} {seed} {isolation} {record['sha256']}".encode())
        print_ = digest.hexdigest()
        same = before is not None and before["inputs"] == print_
        done = same and before["status"] != "infrastructure"
        if done and not students and not only:
            continue
        yield {
            "unit": unit,
            "student": student,
            "seed": seed,
            "inputs": print_,
            "received": record["received"],
            "sha256": record["sha256"],
            "flags": record.get("flags", []),
            "released": book,
            "submitted": record["notebook"],
            "problem": record["problem"],
            "answers": answers,
            "isolation": isolation,
            "image": image,
            "limits": limits,
            "only": only if done and before["exercises"] else [],
        }


def _to_grade(
    room: Classroom, unit: str, book: dict[str, Any], students: list[str], only: list[str]
) -> list[str]:
    """Who was collected, or those of them who were named, if all that was named is there."""
    there = sorted(p.stem for p in room.folder_of("collected", unit).glob("*.json"))
    if not there:
        raise ClassError(f"Nothing was collected for unit {unit}: course collect {unit} SOURCE")
    if unknown := sorted(set(students) - set(there)):
        raise ClassError(f"Nothing was collected from {', '.join(unknown)}.")
    marks = [cell["metadata"].get("nbgrader", {}).get("grade_id", "") for cell in book["cells"]]
    known = [m[6:].replace("-", ".") for m in marks if m.startswith("check-")]
    if unknown := sorted(set(only) - set(known)):
        raise ClassError(
            f"There is no exercise {', '.join(unknown)}; there are {', '.join(known)}."
        )
    return [s for s in there if SAFE_ID.fullmatch(s) and (not students or s in students)]


def grade(
    room: Classroom,
    unit: str,
    *,
    isolation: str = "bwrap",
    image: str = "course-grading",
    workers: int = 1,
    scheduler: str = "",
    students: list[str] | None = None,
    only: list[str] | None = None,
) -> list[dict[str, Any]]:
    """Grade what was collected, with a progress bar; the results of this run.

    Parameters
    ----------
    workers : local processes, each with a sandbox; 0 stands for this process itself
    scheduler : address of a Dask cluster to use instead; it must have the same course installed
    students, only : grade these again, only these exercises

    Raises
    ------
    ClassError : something is missing
    """
    jobs = list(jobs_for(room, unit, isolation, image, students or [], only or []))
    if jobs and not scheduler:
        _ask_for(isolation)
    done = []
    # One that takes long for a reason must not hold up the others at the end: no order is kept.
    with tqdm(total=len(jobs), desc=f"unit {unit}", unit="submission", file=sys.stderr) as bar:
        for job, result in (_on_cluster if scheduler else _here)(jobs, scheduler or workers):
            result |= {name: job[name] for name in ("inputs", "received", "sha256")}
            result["oddities"] = [*job["flags"], *result["oddities"]]
            done.append(_store(room, job, result))
            bar.update()
    return done


def _ask_for(isolation: str) -> None:
    """Say once that a program is missing, instead of once for each student."""
    programs = {"bwrap": ["bwrap"], "container": ["docker", "podman"]}.get(isolation, [])
    if programs and not any(map(shutil.which, programs)):
        raise ClassError(
            f"--isolation {isolation} needs {' or '.join(programs)}, which is not on this machine. "
            "docs/grading.md, 'Set up once', says how to get it and what else there is."
        )


def _store(room: Classroom, job: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Write a result, unless a fault of ours would take the place of scores that are there."""
    before = room.result(job["unit"], job["student"])
    if before and before["earned"] is not None and result["status"] == "infrastructure":
        return result | {"message": f"{result['message']} (the earlier result stays)"}
    if job["only"]:
        result = merged(before, result)
    write_json(room.folder_of("results", job["unit"]) / f"{job['student']}.json", result)
    return result


def merged(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The earlier result with the exercises of a later one in place of its own."""
    from course_lib.grading.marking import summed

    new = {exercise["id"]: exercise for exercise in now["exercises"]}
    if not new:
        return now
    exercises = [new.get(exercise["id"], exercise) for exercise in before["exercises"]]
    return summed(now | {"exercises": exercises, "points": before["points"]})


def _here(jobs: list[dict[str, Any]], workers: int) -> Iterator[tuple[dict, dict]]:
    """Grade in processes of this machine. One that dies is replaced, and its job tried again."""
    if not workers:
        yield from ((job, grade_submission(job)) for job in jobs)
        return
    left, attempts = {job["student"]: job for job in jobs}, 0
    while left and attempts < ATTEMPTS:
        attempts += 1
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, context, initializer=_end_with_parent)
        try:
            futures = {pool.submit(grade_submission, job): job for job in left.values()}
            for future in as_completed(futures):
                yield futures[future], future.result()
                del left[futures[future]["student"]]
        except BrokenExecutor:
            continue
        finally:
            pool.shutdown(cancel_futures=True)
    if left:
        raise ClassError(
            f"The grader's own process died on {', '.join(left)}; see docs/grading.md."
        )


def _end_with_parent() -> None:
    """A run that is killed leaves no process behind (Linux)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def _on_cluster(jobs: list[dict[str, Any]], address: str) -> Iterator[tuple[dict, dict]]:
    try:
        from distributed import Client
        from distributed import as_completed as as_they_finish
    except ImportError:
        raise ClassError(
            "For --scheduler install Dask: pip install 'course-lib[grading]'"
        ) from None
    left, running, lost = list(reversed(jobs)), {}, Counter()
    with Client(address) as client:
        finished = as_they_finish(with_results=True, raise_errors=False)

        def submit_next() -> None:
            if left:
                job = left.pop()
                future = client.submit(grade_submission, job, pure=False, retries=ATTEMPTS)
                running[future.key] = job
                finished.add(future)

        # A few at a time: a notebook is data that the scheduler would have to hold.
        for _ in range(2 * max(1, sum(client.nthreads().values()))):
            submit_next()
        for future, result in finished:
            job = running.pop(future.key)
            if isinstance(result, dict):
                yield job, result
            else:  # the cluster's fault, not the submission's
                lost[job["student"]] += 1
                if lost[job["student"]] == ATTEMPTS:
                    raise ClassError(
                        f"The cluster lost {job['student']} ({type(result).__name__}). Start the "
                        "command again: it goes on where it was."
                    )
                left.append(job)
            submit_next()
