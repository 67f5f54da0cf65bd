"""The run that grades a class.

Workers return results as plain data; only the process that was called writes files. A result is
written whole or not at all, so a run that is killed continues where it was.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import multiprocessing
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, ProcessPoolExecutor, wait
from typing import Any

from tqdm import tqdm

from course_lib.grading.classroom import ClassError, Classroom
from course_lib.grading.collect import SAFE_ID, write_json
from course_lib.grading.isolation import PACKAGE, why_not
from course_lib.grading.marking import ATTEMPTS, FORMAT, grade_submission, summed


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
    inputs, book, answers = _inputs(room, unit), json.loads(room.released(unit)), room.answers(unit)
    _refuse_unknown(room, unit, book, students, only)
    for path in sorted(room.folder_of("collected", unit).glob("*.json")):
        student = path.stem
        if not SAFE_ID.fullmatch(student) or (students and student not in students):
            continue
        record, before = room.collected(unit, student), room.result(unit, student)
        seed = room.seed(unit, student)
        digest = inputs.copy()
        digest.update(f"{FORMAT} {seed} {isolation} {record['sha256']}".encode())
        same = before is not None and before["inputs"] == digest.hexdigest()
        done = same and before["status"] != "infrastructure"
        if done and not students and not only:
            continue
        job = {name: record[name] for name in ("received", "sha256", "problem")}
        job |= {"submitted": record["notebook"], "flags": record.get("flags", [])}
        job |= {"unit": unit, "student": student, "seed": seed, "inputs": digest.hexdigest()}
        job |= {"released": book, "answers": answers, "isolation": isolation, "image": image}
        yield job | {"limits": room.limits, "only": only if done and before["exercises"] else []}


def _inputs(room: Classroom, unit: str) -> Any:
    """A digest of everything that a result follows from, beside the submission itself."""
    told = json.dumps([room.answers(unit), room.limits]).encode()
    digest = hashlib.sha256(room.released(unit) + told)
    inputs_of_unit = PACKAGE / "checks" / "inputs" / f"unit{unit}.py"
    for path in [*sorted((PACKAGE / "checks").glob("*.py")), inputs_of_unit]:
        digest.update(path.read_bytes())
    return digest


def _refuse_unknown(
    room: Classroom, unit: str, book: dict[str, Any], students: list[str], only: list[str]
) -> None:
    folder = room.folder_of("collected", unit)
    if not any(folder.glob("*.json")):
        raise ClassError(f"Nothing was collected for unit {unit}: course collect {unit} SOURCE")
    if unknown := [s for s in students if not (folder / f"{s}.json").is_file()]:
        raise ClassError(f"Nothing was collected from {', '.join(unknown)}.")
    marks = [cell["metadata"].get("nbgrader", {}).get("grade_id", "") for cell in book["cells"]]
    known = [m[6:].replace("-", ".") for m in marks if m.startswith("check-")]
    if unknown := sorted(set(only) - set(known)):
        raise ClassError(
            f"There is no exercise {', '.join(unknown)}; there are {', '.join(known)}."
        )


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
    given = (room, unit, isolation, image, students or [], only or [])
    number = sum(1 for _ in jobs_for(*given))  # not kept: all notebooks together may be large
    if number and not scheduler and (why := why_not(isolation)):
        raise ClassError(why)  # once, and not for each student
    grader, done = _on_cluster if scheduler else _here, []
    # One that takes long for a reason must not hold up the others at the end: no order is kept.
    with tqdm(total=number, desc=f"unit {unit}", unit="submission", file=sys.stderr) as bar:
        for job, result in grader(jobs_for(*given), scheduler or workers):
            result |= {name: job[name] for name in ("inputs", "received", "sha256")}
            result["oddities"] = [*job["flags"], *result["oddities"]]
            done.append(_store(room, job, result))
            bar.update()
    return done


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
    new = {exercise["id"]: exercise for exercise in now["exercises"]}
    if not new:
        return now
    exercises = [new.get(exercise["id"], exercise) for exercise in before["exercises"]]
    return summed(now | {"exercises": exercises, "points": before["points"]})


def _here(jobs: Iterator[dict[str, Any]], workers: int) -> Iterator[tuple[dict, dict]]:
    """Grade in processes of this machine. One that dies is replaced, and its job tried again."""
    if not workers:
        yield from ((job, grade_submission(job)) for job in jobs)
        return
    begun: dict[str, dict[str, Any]] = {}
    for _ in range(ATTEMPTS):
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, context, initializer=_end_with_parent)
        try:
            futures = {pool.submit(grade_submission, job): job for job in begun.values()}
            while True:
                while len(futures) < 2 * workers and (job := next(jobs, None)):
                    begun[job["student"]] = job
                    futures[pool.submit(grade_submission, job)] = job
                if not futures:
                    return
                for future in wait(futures, return_when=FIRST_COMPLETED).done:
                    job = futures.pop(future)
                    yield job, future.result()
                    del begun[job["student"]]
        except BrokenExecutor:
            continue
        finally:
            pool.shutdown(cancel_futures=True)
    raise ClassError(f"The grader's own process died on {', '.join(begun)}; see docs/grading.md.")


def _end_with_parent() -> None:
    """A run that is killed leaves no process behind (Linux)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def _on_cluster(jobs: Iterator[dict[str, Any]], address: str) -> Iterator[tuple[dict, dict]]:
    try:
        from distributed import Client
        from distributed import as_completed as as_they_finish
    except ImportError:
        raise ClassError(
            "For --scheduler install Dask: pip install 'course-lib[grading]'"
        ) from None
    again, running, lost = [], {}, Counter()
    with Client(address) as client:
        finished = as_they_finish(with_results=True, raise_errors=False)

        def submit_next() -> None:
            if job := again.pop() if again else next(jobs, None):
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
                again.append(job)
            submit_next()
