"""A class of any size whose every score is known, because it was put together that way.

``python tests/grading/generated.py FOLDER 300`` grades such a class: three times the run is killed
on the way, then it is let through, and every score is compared with the constructed one. With
``--scheduler`` a local Dask cluster grades it instead, undisturbed. The seconds are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "01_behaviour"
POINTS = {"01.1": 15, "01.2": 15, "01.3": 10, "01.4": 10, "01.5": 15, "01.6": 10, "01.7": 15}
LIMITS = {"call": 8, "cell": 10, "total": 90, "memory": 2**30}

# For each way to answer: how often, the points it loses (None: all), and the status it leads to.
WAYS = {
    "right": (60, 0, "ok"),
    "noisy": (8, 0, "ok"),
    "blank": (10, None, "partial"),
    "raises": (8, None, "partial"),
    "syntax": (4, None, "partial"),
    "lenient": (8, "lenient", "partial"),
    "exits": (3, None, "died"),
    "cell exits": (2, None, "died"),
    "hangs": (1, None, "time"),
    "eats memory": (1, None, "memory"),
    "floods": (1, None, "output"),
    "patches": (3, None, "partial"),
}
# What an answer loses that does not refuse what it must refuse, by exercise.
LENIENT = {
    "01.2": (2, "raise ValueError(f\"reduction must", "pass; (f\"reduction must"),
    "01.3": (1, "raise ValueError(\"a score is nan", "pass; (\"a score is nan"),
    "01.6": (1, "raise ValueError(f\"region", "continue; (f\"region"),
}  # fmt: skip
FILES = {"corrupt": b'{"cells": [', "empty": b"", "list": b"[1, 2]", "binary": bytes(range(256))}
ORDER = "ok partial output memory time died unreadable".split()


def answer(way: str, id: str, source: str, stub: str) -> str:
    """The source of an answer cell that goes wrong in the way named."""
    name = stub.split("def ", 1)[1].split("(", 1)[0]
    function = f"def {name}(*args, **kwargs):\n"
    if way == "noisy":
        head = "import warnings, sys\nfrom tqdm import tqdm\nlist(tqdm(range(99)))\n"
        mark = "    ### BEGIN SOLUTION\n"
        return head + source.replace(mark, f"{mark}    warnings.warn('old'); print('x' * 999)\n")
    if way == "lenient":
        return source.replace(*LENIENT[id][1:])
    return {
        "right": source,
        "blank": stub,
        "raises": function + "    raise RuntimeError('no idea')",
        "syntax": f"def {name}(:\n    return 1",
        "exits": function + "    import os; os._exit(0)",
        "cell exits": "import os; os._exit(0)",
        "hangs": function + "    while True: pass",
        "eats memory": function + "    return bytearray(2**33)",
        "floods": function + "    while True: print('x' * 10_000)",
        "patches": "import builtins, numpy\nnumpy.allclose = lambda *a, **k: True\n"
        "from course_lib.checks import check\ncheck.__code__ = (lambda *a: None).__code__\n"
        + function + "    class Equal(float):\n        __eq__ = lambda *a: True\n"
        "    return Equal(-7.7)",
    }[way]  # fmt: skip


def make(folder: Path, students: int, seed: int = 0) -> dict[str, tuple[int, str]]:
    """Write ``roster.csv``, ``class.toml`` and ``in/``; the points and status of each student."""
    rng = random.Random(seed)
    solution = json.loads((ROOT / "solutions" / NAME / f"{NAME}.ipynb").read_text("utf-8"))
    answers = {cell["id"]: "".join(cell["source"]) for cell in solution["cells"]}
    released = (ROOT / "exercises" / NAME / f"{NAME}.ipynb").read_text("utf-8")
    expected, roster = {}, ["id,name"]
    names, often = list(WAYS), [WAYS[way][0] for way in WAYS]
    for number in range(students):
        student = f"s{number:03d}"
        roster.append(f"{student},Student {number}")
        book, earned, worst = json.loads(released), 0, "ok"
        diligent = rng.random() < 0.3
        for cell in book["cells"]:
            if cell["id"].startswith("answer-") and cell["cell_type"] == "code":
                id = cell["id"].removeprefix("answer-").replace("-", ".")
                [way] = ["right"] if diligent else rng.choices(names, often)
                way = "right" if way == "lenient" and id not in LENIENT else way
                cell["source"] = answer(way, id, answers[cell["id"]], "".join(cell["source"]))
                _, lost, status = WAYS[way]
                lost = LENIENT[id][0] if lost == "lenient" else POINTS[id] if lost is None else lost
                earned += POINTS[id] - lost
                worst = max(worst, status, key=ORDER.index)
        data = json.dumps(book).encode()
        if rng.random() < 0.04:
            data, earned, worst = FILES[rng.choice(list(FILES))], 0, "unreadable"
        path = folder / "in" / student / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        expected[student] = (earned, worst)
    (folder / "roster.csv").write_text("\n".join(roster) + "\n", "utf-8")
    limits = "\n".join(f"{name} = {value}" for name, value in LIMITS.items())
    (folder / "class.toml").write_text(f"[limits]\n{limits}\n", "utf-8")
    return expected


def scores(folder: Path) -> dict[str, tuple[int, str]]:
    """Points and status in the result files."""
    found = (json.loads(path.read_text("utf-8")) for path in (folder / "results/01").glob("*.json"))
    return {result["student"]: (result["earned"], result["status"]) for result in found}


def command(folder: Path, *options: str) -> list[str]:
    base = [sys.executable, "-m", "course_lib.cli", "grade", "01", "--class", str(folder)]
    return [*base, "--no-gradebook", *options]


def killed_after(run: list[str], folder: Path, results: int) -> None:
    """Start a run and kill it, with all that it started, once so many results are written."""
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list((folder / "results/01").glob("*.json"))) < results:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("students", type=int)
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--scheduler", action="store_true")
    given = parser.parse_args()
    expected = make(given.folder, given.students)
    take_in = [sys.executable, "-m", "course_lib.cli", "collect", "01", str(given.folder / "in")]
    subprocess.run([*take_in, "--class", str(given.folder)], check=True)
    begun = time.monotonic()
    if given.scheduler:
        from distributed import LocalCluster

        with LocalCluster(n_workers=int(given.jobs), threads_per_worker=1) as cluster:
            subprocess.run(command(given.folder, "--scheduler", cluster.scheduler_address))
    else:
        run = command(given.folder, "--jobs", given.jobs)
        for share in (0.2, 0.45, 0.7):
            killed_after(run, given.folder, int(share * given.students))
        subprocess.run(run)
    seconds = time.monotonic() - begun
    found = scores(given.folder)
    wrong = {s: (found.get(s), expected[s]) for s in expected if found.get(s) != expected[s]}
    print(f"{given.students} submissions, {seconds:.0f} s, {seconds / given.students:.2f} s each")
    print(f"{len(wrong)} scores are not as constructed: {wrong}")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
