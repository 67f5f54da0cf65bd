"""What ``course release|collect|grade|feedback|report|submit`` do, each in one function.

The exit status is 0 if all went well, 1 if something is left to do, 2 if it could not be done.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path

from course_lib.doctor.terminal import short
from course_lib.grading import classroom, handing
from course_lib.grading.collect import CollectError, printable
from course_lib.grading.run import grade as run_class


def run(options: argparse.Namespace) -> int:
    """Run one of the instructors' commands; what is missing becomes a message."""
    room = classroom.Classroom(options.folder)
    try:
        if options.command != "release":
            room.settings  # noqa: B018  whatever is wrong there is said before any work
        return COMMANDS[options.command](room, options)
    except (classroom.ClassError, CollectError) as error:
        _tell(error)
        return 2


def submit(unit: str, course: Path, out: Path) -> int:
    """Make the bundle to hand in. It is made with warnings as well: deciding is up to students."""
    if not re.fullmatch(r"\d{1,2}", unit):
        print(
            f"{short(unit)} is no unit. Give its number, such as: course submit 01", file=sys.stderr
        )
        return 2
    try:
        print(handing.make_bundle(unit.zfill(2), course, out))
    except classroom.ClassError as error:
        _tell(error)
        return 2
    return 0


def _tell(error: Exception) -> None:
    print(*map(printable, str(error).splitlines()), sep="\n", file=sys.stderr)


def release(room: classroom.Classroom, options: argparse.Namespace) -> int:
    print(handing.make_release(room, options.unit, options.out))
    return 0


def collect(room: classroom.Classroom, options: argparse.Namespace) -> int:
    from course_lib.grading.collect import collect as take_in

    name = room.assignment(options.unit)
    folder = room.folder_of("collected", options.unit)
    released = json.loads(room.released(options.unit))
    taken, notes = take_in(options.source, room.roster, name, folder, released)
    there = sum((folder / f"{row['id']}.json").is_file() for row in room.roster)
    told = f"{len(taken)} students in this source; {there} of {len(room.roster)} have handed in"
    print(*notes, f"{told}: {folder}", sep="\n")
    return int(there < len(room.roster))


def grade(room: classroom.Classroom, options: argparse.Namespace) -> int:
    if options.isolation == "none" and not options.trusted:
        raise classroom.ClassError(
            "--isolation none lets the code of submissions do on this machine whatever you can "
            "do. If you trust every one, say --i-trust-these-submissions as well."
        )
    how = {"isolation": options.isolation, "image": options.image, "scheduler": options.scheduler}
    how |= {"workers": options.jobs, "students": options.student, "only": options.exercise}
    done = run_class(room, options.unit, **how)
    for result in done:
        if result["status"] == "infrastructure":
            print(f"{result['student']}: {result['message']}", file=sys.stderr)
    if not options.no_gradebook:
        from course_lib.grading.gradebook import write_gradebook

        # All of them: a run that was killed before this line left some out.
        write_gradebook(room, options.unit, room.results(options.unit))
    states = Counter(result["status"] for result in done)
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    folder = room.folder_of("results", options.unit)
    print(f"Graded now: {told or 'nothing new'}. Results: {folder}")
    return report(room, options)


def feedback(room: classroom.Classroom, options: argparse.Namespace) -> int:
    from course_lib.grading.reports import write_feedback

    written = write_feedback(room, options.unit)
    print(f"{len(written)} pages: {room.folder_of('feedback', options.unit)}")
    return 0


def report(room: classroom.Classroom, options: argparse.Namespace) -> int:
    from course_lib.grading.reports import table_of, write_csv, write_report

    print(write_csv(room, options.unit), write_report(room, options.unit), sep="\n")
    to_do = [row for row in table_of(room, options.unit) if row["to_do"]]
    print(f"{len(to_do)} students have something left to do, see the column to_do.")
    return int(any("grade again" in row["to_do"] for row in to_do))


COMMANDS = {f.__name__: f for f in (release, collect, grade, feedback, report)}
