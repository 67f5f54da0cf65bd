"""Grade one submission: run it in a sandbox, check its functions from outside, say what it earned.

:func:`grade_submission` takes and returns plain data, so that it can run in another process or on
another machine. The result is described in docs/grading.md.
"""

from __future__ import annotations

import builtins
import threading
import time
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from course_lib.checks.calling import CHANGED, STUB, Student
from course_lib.checks.engine import Look, look_at, told, without_mere_refusals
from course_lib.checks.exercise import Exercise, Part
from course_lib.checks.results import NotAttempted, PartResult, Wrong
from course_lib.grading import wire
from course_lib.grading.answers import Answers, load_answers
from course_lib.grading.channel import Stopped
from course_lib.grading.graft import Grafted, Unreadable, graft, imported_modules
from course_lib.grading.isolation import PACKAGE, Limits
from course_lib.grading.likeness import copied
from course_lib.grading.sandbox import Sandbox, SandboxError

FORMAT = 1
# From the best to the worst; a submission has the worst status of its exercises.
STATUSES = "ok partial output memory time died unreadable infrastructure".split()
ATTEMPTS = 3
MAX_MESSAGE = 600
NOT_RUN = "Not run: the function was stopped before."
# What a limit on memory looks like from inside.
NO_MEMORY = ("MemoryError", "can't allocate memory", "Cannot allocate memory")

_kept = threading.local()  # a worker of a cluster may grade in several threads


class Submission:
    """A student's cells in a sandbox, started again without the guilty cell after an accident."""

    def __init__(self, sandbox: Sandbox, cells: tuple[tuple[str, str], ...]) -> None:
        self.sandbox, self.cells = sandbox, cells
        self.running = False
        self.stopped: dict[str, Stopped] = {}  # cells that must not run again
        self.problems: dict[str, str] = {}  # what the other cells raised

    def ready(self) -> None:
        """Have every cell run that can be run.

        Raises
        ------
        Stopped : the time for the whole submission is up
        """
        while not self.running:
            self.sandbox.start()
            self.running = True
            for id, source in self.cells:
                if id in self.stopped:
                    continue
                try:
                    error = self.sandbox.run_cell(source)
                except Stopped as stopped:
                    self.stopped[id], self.running = stopped, False
                    break
                if error is not None:
                    self.problems[id] = f"The cell stopped with {_told(error)}."


class RemoteStudent(Student):
    """A student's function in the sandbox, as the checks call it."""

    def __init__(self, submission: Submission, exercise: Exercise) -> None:
        super().__init__(partial(self._ask))  # a function with lines of its own would be quoted
        self.submission, self.name, self.changed = submission, exercise.function, False

    def __call__(self, *args: Any) -> Any:
        self.changed = False
        answer = super().__call__(*args)
        if self.changed:
            raise Wrong(CHANGED)
        return answer

    def _ask(self, *args: Any) -> Any:
        reply, data = self.submission.sandbox.call(self.name, args, {})
        if reply.get("do") == "error" and isinstance(reply.get("error"), dict):
            if reply["error"].get("stub") is True:
                raise NotImplementedError  # without a word, as the stub does
            raise _error(reply["error"])
        try:
            self.changed = reply.get("changed") is not False
            return wire.decode(reply.get("value"), data)
        except wire.Malformed as error:
            raise Stopped(error.status, f"The answer cannot be read ({error}).") from None


def _told(error: dict[str, Any]) -> str:
    return f"{wire.safe_name(error.get('type'))}: {_short(error.get('message'))}"


def _short(text: Any, most: int = MAX_MESSAGE) -> str:
    """Text from the sandbox, printable and not long; whatever else came instead is left out."""
    text = text if isinstance(text, str | BaseException) else ""
    kept = "".join(c if c.isprintable() or c == "\n" else " " for c in str(text)[:most])
    return kept + " ..." * (len(str(text)) > most)


def _error(told: dict[str, Any]) -> BaseException:
    """An exception of the same name and base, built from names and text alone."""
    base = getattr(builtins, str(told.get("base")), Exception)
    if not (isinstance(base, type) and issubclass(base, Exception)):
        base = Exception  # SystemExit and the like too: here they are only a mistake
    if issubclass(base, UnicodeError | SyntaxError | ExceptionGroup):
        base = ValueError if issubclass(base, UnicodeError) else Exception
    message = _short(told.get("message") or "")
    if any(text in f"{told.get('type')} {message}" for text in NO_MEMORY):
        raise Stopped("memory", f"Your function ran out of memory: {message}")
    message += _short(told.get("where") or "")
    # KeyError shows its argument in quotation marks; ours is text already.
    kind = type(wire.safe_name(told.get("type")), (base,), {"__str__": lambda self: message})
    return kind(message)


def _missing(submission: Submission, exercise: Exercise) -> str:
    """Why the exercise's function cannot be called; "" if it can.

    Raises
    ------
    Stopped : its cell was stopped
    """
    submission.ready()
    found = submission.sandbox.look(exercise.function)
    if found == "there":
        return ""
    if found == "no function":
        return f"{exercise.function} must be a function."
    cell = "answer-" + exercise.id.replace(".", "-")
    if stopped := submission.stopped.get(cell):
        raise Stopped(stopped.status, f"Your cell was stopped: {stopped}")
    problem = submission.problems.get(cell, "")
    return f"There is no function {exercise.function}. {problem}".strip()


def grade_exercise(
    submission: Submission, exercise: Exercise, held_out: tuple[Part, ...] = ()
) -> dict[str, Any]:
    """Run every part on the student's function; points earned before an accident stay."""
    begun, parts = time.monotonic(), (*exercise.parts, *held_out)
    looks: list[Look | str] = []  # a part that could not be run has a message instead
    student, status, message, faulty = RemoteStudent(submission, exercise), "", "", None
    missing = None
    for part in parts:
        try:
            if not status and missing is None:
                missing = _missing(submission, exercise)
            looks.append(missing or (NOT_RUN if status else look_at(part, student)))
        except NotAttempted:
            looks.append(STUB)
        except Stopped as stopped:
            status, message = stopped.status, str(stopped)
            looks.append(message)
            submission.running = False
        except Exception as error:  # a fault in the check, for the instructors to repair
            status, faulty = "infrastructure", part
            message = f"The check {part.name!r} itself failed: {type(error).__name__}: {error}"
            looks.append(message)
    entries = [
        {
            "name": part.name,
            "held_out": part in held_out,
            "points": part.points,
            "earned": None if part is faulty else result.earned,
            "message": _short(result.message, 2000),
        }
        for part, result in zip(parts, _results(parts, looks), strict=True)
    ]
    earned = sum(entry["earned"] or 0 for entry in entries)
    result = {"id": exercise.id, "title": exercise.title, "points": exercise.points}
    result["earned"] = None if faulty else earned
    result["status"] = status or ("ok" if earned == exercise.points else "partial")
    result |= {"message": message, "seconds": round(time.monotonic() - begun, 3)}
    return result | {"parts": entries}


def _results(parts: tuple[Part, ...], looks: list[Look | str]) -> list[PartResult]:
    """Results in the order of the parts: those that ran are explained together."""
    explained = iter(told([look for look in looks if isinstance(look, Look)]))
    results = [
        next(explained) if isinstance(look, Look) else PartResult(part.name, 0, part.points, look)
        for part, look in zip(parts, looks, strict=True)
    ]
    return without_mere_refusals(results)


def grade_submission(job: dict[str, Any]) -> dict[str, Any]:
    """Grade one submission; plain data in, plain data out. Never raises.

    Parameters
    ----------
    job : ``unit``, ``student``, ``seed``, ``released`` and ``submitted`` (notebooks),
        ``answers`` (texts of the unit's answers files by name), ``isolation``, ``image``,
        ``limits`` and optionally ``only`` (ids of exercises)
    """
    begun, kept = time.monotonic(), ("unit", "student", "seed", "isolation", "limits")
    result = {"format": FORMAT, "attempts": 0, "oddities": [], "unanswered": [], "written": {}}
    result |= {name: job[name] for name in kept} | {"exercises": [], "points": None}
    result |= {"status": "infrastructure", "earned": None}
    try:
        answers = load_answers(job["answers"])
        todo = {id: a for id, a in answers.items() if id in (job.get("only") or answers)}
        result["points"] = sum(one.points for one in todo.values())
        _grade(job, todo, result)
    except Unreadable as error:
        result |= {"status": "unreadable", "earned": 0, "message": str(error)}
    except Exception as error:  # most likely in an answers file, for the instructors to repair
        what = "The answers cannot be loaded: " if result["points"] is None else ""
        result["message"] = f"{what}{type(error).__name__}: {_short(error)}"
    return result | {"seconds": round(time.monotonic() - begun, 3)}


def _grade(job: dict[str, Any], todo: dict[str, Answers], result: dict[str, Any]) -> None:
    """Fill in the result; what goes wrong on our side is tried again."""
    if job.get("problem"):
        raise Unreadable(job["problem"])
    grafted = graft(job["released"], job["submitted"])
    result["oddities"] = [*grafted.oddities, *_copies(grafted)]
    result["written"], result["unanswered"] = grafted.written, list(grafted.unanswered)
    while result["attempts"] < ATTEMPTS:
        result["attempts"] += 1
        try:
            submission = Submission(_sandbox_for(job), grafted.cells)
            result["exercises"] = _grade_all(submission, todo, job["seed"])
            submission.sandbox.stop()
            result |= summed(result | {"message": ""})
            break
        except (SandboxError, Exception) as error:
            result["message"] = f"{type(error).__name__}: {_short(error)}"
            discard_sandbox()


def _grade_all(submission: Submission, todo: dict[str, Answers], seed: int) -> list[dict[str, Any]]:
    return [
        grade_exercise(submission, answers.exercise(seed), answers.parts(seed, held_out=True))
        for answers in todo.values()
    ]


def _copies(grafted: Grafted) -> list[str]:
    """Answers that are a function of the course but for names; a person decides what that means."""
    found = []
    for id, source in grafted.cells:
        try:
            places = copied(source, PACKAGE) if id.startswith("answer-") else []
        except RecursionError:  # a sum of hundreds of terms is enough, and none of ours has one
            places = []
        found += [f"{id}: reads like course_lib/{place}" for place in places]
    return found


def summed(result: dict[str, Any]) -> dict[str, Any]:
    """The result with the worst status of its exercises, and the sum of their points."""
    worst = max((e["status"] for e in result["exercises"]), key=STATUSES.index)
    known = worst != "infrastructure"
    earned = sum(e["earned"] for e in result["exercises"]) if known else None
    return result | {"status": worst, "earned": earned}


def _sandbox_for(job: dict[str, Any]) -> Sandbox:
    """The sandbox of this thread, kept for the next submission while the settings are the same."""
    limits = Limits(**job["limits"])
    settings = (
        job["isolation"],
        replace(limits, call=0, cell=0, printed=0),  # these may change while it is running
        tuple(imported_modules(job["released"])),
        job.get("image", ""),
    )
    if getattr(_kept, "settings", None) != settings:
        discard_sandbox()
        _kept.settings, _kept.sandbox = settings, Sandbox(*settings)
    _kept.sandbox.limits, _kept.sandbox.spent = limits, 0.0
    return _kept.sandbox


def discard_sandbox() -> None:
    """End the sandbox of this thread, if there is one."""
    if getattr(_kept, "settings", None) is not None:
        _kept.sandbox.close()
    _kept.settings = None


def default_limits() -> dict[str, Any]:
    """The limits of a submission as plain data, as ``class.toml`` may change them."""
    return asdict(Limits())
