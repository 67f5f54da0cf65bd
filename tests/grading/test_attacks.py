"""Every known way to get points that are not deserved, to spy, to break out or to spoil a run.

An attack is a submission whose answer to 01.3 is wrong and tries something, beside a right answer
to 01.6. The deserved outcome is stated with it: nothing for 01.3 (unless said), everything for
01.6, and a reason. After each attack a right submission in the same sandbox must get full marks.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from course_lib.checks.calling import STUB
from course_lib.grading import filtering, groups, isolation, sandbox, usage
from course_lib.grading.channel import Stopped
from course_lib.grading.usage import descendants

ROOT = Path(__file__).resolve().parents[2]
RELEASED = json.loads((ROOT / "exercises/01_behaviour/01_behaviour.ipynb").read_text("utf-8"))
WRONG = 'def minimal_pair_accuracy(good, bad, ties="half"):\n    return 0.123\n'


@dataclass(frozen=True)
class Attack:
    """``earned`` is what 01.3 and 01.6 deserve; ``reason`` must stand in the result."""

    name: str
    code: str
    reason: str = ""
    status: str = "partial"
    earned: tuple[int, int] = (0, 10)


def patching(code: str) -> str:
    """A wrong function, after a change to something that checks might rely on."""
    return textwrap.dedent(code) + "\n" + WRONG


def inside(code: str) -> str:
    """A function that tries something when it is called, and returns a wrong answer."""
    body = textwrap.indent(textwrap.dedent(code), "    ")
    return f'def minimal_pair_accuracy(good, bad, ties="half"):\n{body}\n    return 0.123\n'


CHANNEL = """
import gc, json, os, secrets, socket, struct
def frame(message, data=b""):
    text = json.dumps(message).encode()
    return struct.pack(">II", len(text), len(data)) + text + data
def channel():
    return next(o for o in gc.get_objects() if type(o).__name__ == "Serving").channel
def nonce():
    import sys
    at = sys._getframe()
    while "message" not in at.f_locals or "nonce" not in at.f_locals["message"]:
        at = at.f_back
    return at.f_locals["message"]["nonce"]
"""

ATTACKS = [
    # --- pretending that the checks hold ----------------------------------------------------
    Attack("numpy patched", patching("""
        import numpy as np
        np.allclose = np.array_equal = lambda *a, **k: True
        np.isnan = lambda *a: np.False_
        """)),
    Attack("torch patched", patching("""
        import torch
        torch.equal = torch.allclose = lambda *a, **k: True
        torch.Tensor.__eq__ = lambda *a: torch.tensor(True)
        torch.isnan = lambda x: (_ for _ in ()).throw(ValueError("nan"))
        """)),
    Attack("checks patched", patching("""
        import sys
        sys.meta_path[:] = [f for f in sys.meta_path if "Refusing" not in repr(type(f))]
        del sys.modules["course_lib.checks"]
        from course_lib.checks import engine, reading, results
        reading.difference = engine.difference = lambda *a, **k: ""
        engine.run_checks = lambda e, *a, **k: results.CheckResult(e.id, e.title, "ok", ())
        """)),
    Attack("Wrong made harmless", patching("""
        from course_lib.checks import check
        from course_lib.checks import results
        results.Wrong.__new__ = lambda *a: None
        results.Wrong = StopIteration
        """)),
    Attack("assert and builtins patched", patching("""
        import builtins
        builtins.AssertionError = builtins.abs = builtins.float = lambda *a: 0.5
        builtins.isinstance = lambda *a: True
        """), "Your cell was stopped", "died"),
    Attack("syntax tree rewritten", patching("""
        import ast
        class Passing(ast.NodeTransformer):
            def visit_Assert(self, node): return ast.Pass()
            def visit_Raise(self, node): return ast.Pass()
        get_ipython().ast_transformers.append(Passing())
        """), earned=(0, 9)),  # its own 01.6 can no longer raise the error asked for
    Attack("module of the checks replaced", patching("""
        import sys, types
        for name in [n for n in sys.modules if n.startswith("course_lib.checks")]:
            sys.modules[name] = types.ModuleType(name)
        """)),
    # --- answers that are no answers --------------------------------------------------------
    Attack("equal to everything", """
        class Equal(float):
            def __eq__(self, other): return True
            __ge__ = __le__ = __gt__ = __lt__ = __eq__
            def __hash__(self): return 0
            def __sub__(self, other): return 0.0
            __rsub__ = __abs__ = __sub__
        def minimal_pair_accuracy(*a): return Equal(0.123)
        """, "and should be"),
    Attack("object with every method", """
        class Anything:
            def __getattr__(self, name): return Anything()
            def __call__(self, *a, **k): return Anything()
            def __float__(self): return 0.123
            def __eq__(self, other): return True
            def __array__(self, *a, **k): raise TypeError("no")
        def minimal_pair_accuracy(*a): return Anything()
        """),
    Attack("nan", inside("return float('nan')"), "nan"),
    Attack("infinity", inside("return float('inf')"), "infinite"),
    Attack("object array", inside("import numpy as np; return np.array([0.5, None], object)"),
           "not a plain number"),
    Attack("pickle that runs code", """
        class Payload:
            def __reduce__(self):
                return (__import__("os").system, ("touch /tmp/owned",))
        def minimal_pair_accuracy(*a): return Payload()
        """, "not a plain number"),
    Attack("number of a million digits", inside("return 10 ** 1_000_000")),
    Attack("endless nesting", inside("x = []; x.append(x); return x"), ""),
    Attack("result too large", inside("return 'x' * 50_000_000"), "too large", "output"),
    Attack("endless result", """
        class Endless(list):
            def __iter__(self):
                while True: yield 1.0
        def minimal_pair_accuracy(*a): return Endless()
        """, "", "time"),
    Attack("input changed", inside("good += 1; bad += 1; return 0.5"), "changed the data"),
    # --- speaking on the channel ------------------------------------------------------------
    Attack("forged reply without the nonce", CHANNEL + inside("""
        forged = {"nonce": secrets.token_hex(8), "do": "answer", "value": 0.5, "changed": False}
        channel().sendall(frame(forged) * 50)
        """), "not asked", "died"),
    Attack("forged reply with the nonce", CHANNEL + inside("""
        channel().sendall(frame({"nonce": nonce(), "do": "answer", "value": True, "ok": True,
                                 "earned": 700, "points": 700, "changed": False}))
        """), "", "died"),
    Attack("forged result", CHANNEL + inside("""
        channel().sendall(frame({"nonce": nonce(), "do": "done", "status": "ok", "earned": 7}))
        """), "", "died"),
    Attack("array that lies about its size", CHANNEL + inside("""
        value = {"array": ["float64", [1000, 1000]]}
        channel().sendall(frame({"nonce": nonce(), "do": "answer", "value": value,
                                 "changed": False}, b"12345678"))
        """), "fewer bytes", "died"),
    Attack("array of objects on the channel", CHANNEL + inside("""
        value = {"array": ["object", [1]]}
        channel().sendall(frame({"nonce": nonce(), "do": "answer", "value": value,
                                 "changed": False}, b"12345678"))
        """), "unknown type", "died"),
    Attack("array of negative size", CHANNEL + inside("""
        value = {"tensor": ["float32", [-1, 4], True]}
        channel().sendall(frame({"nonce": nonce(), "do": "answer", "value": value,
                                 "changed": False}))
        """), "not a shape", "died"),
    Attack("frame of four gigabytes", CHANNEL + inside("""
        channel().sendall(struct.pack(">II", 2**32 - 1, 2**32 - 1) + b"x" * 1000)
        """), "too large", "died"),
    Attack("frame that is not JSON", CHANNEL + inside("""
        channel().sendall(struct.pack(">II", 100_000, 0) + b"[" * 100_000)
        """), "not JSON", "died"),
    Attack("asks for a function of the grader", CHANNEL + inside("""
        ask = {"nonce": nonce(), "do": "ask", "which": "__import__", "given": {"tuple": []}}
        channel().sendall(frame(ask))
        """), "no such function", "died"),
    Attack("keys that are all alike", CHANNEL + inside("""
        value = {"dict": [[(2**61 - 1) * i, 0] for i in range(1, 9000)]}
        channel().sendall(frame({"nonce": nonce(), "do": "answer", "value": value,
                                 "changed": False}))
        """), "all alike", "died"),
    Attack("half a million empty lists", CHANNEL + inside("""
        text = b'{"nonce": "%s", "do": "answer", "changed": false, "value": [' % nonce().encode()
        text += b"[]," * 500_000 + b"0]}"
        channel().sendall(struct.pack(">II", len(text), 0) + text)
        """), "too many values", "output"),
    Attack("sixty million booleans", inside("return np.ones(60_000_000, bool)"), "too large",
           "output"),
    Attack("rows without numbers", inside("return np.ones((2**24, 0))"), "too large", "output"),
    Attack("an error nested in itself", CHANNEL + inside("""
        error = 0
        for _ in range(140): error = [error]
        told = {"type": error, "base": error, "message": error, "where": error}
        channel().sendall(frame({"nonce": nonce(), "do": "error", "error": told}))
        """), "not asked", "died"),
    Attack("channel closed", CHANNEL + inside("channel().close(); os.closerange(3, 100)"),
           "ended", "died"),
    # --- ending, hanging, using everything up -------------------------------------------------
    Attack("os._exit in a function", inside("import os; os._exit(0)"), "ended", "died"),
    Attack("os._exit in a cell", patching("import os; os._exit(0)"), "Your cell was stopped",
           "died"),
    Attack("SIGKILL", inside("import os; os.kill(os.getpid(), 9)"), "ended", "died"),
    Attack("kill everything", inside("""
        import os
        for pid in (-1, 1):
            try: os.kill(pid, 9)
            except OSError: pass
        """)),
    Attack("crash of the interpreter", inside("import ctypes; ctypes.string_at(0)"), "ended",
           "died"),
    Attack("exit", inside("raise SystemExit(0)"), "SystemExit"),
    Attack("exit when asked later", patching("import atexit, os; atexit.register(os._exit, 0)")),
    Attack("thread that ends the process", patching("""
        import os, threading, time
        def later(): time.sleep(0.3); os._exit(0)
        """) + inside("threading.Thread(target=later, daemon=True).start(); time.sleep(2)"),
           "ended", "died"),
    Attack("endless loop that ignores signals", inside("""
        import signal
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        while True:
            try:
                while True: pass
            except BaseException: pass
        """), "1.5 seconds", "time"),
    Attack("endless loop in a cell", patching("while True: pass"), "1.5 seconds", "time"),
    Attack("stops itself", inside("import os; os.kill(os.getpid(), 19)"), "1.5 seconds", "time"),
    Attack("fork bomb", inside("""
        import os
        try:
            while True: os.fork()
        except OSError:
            while True: pass
        """), "1.5 seconds", "time"),
    Attack("memory", inside("x = bytearray(8 * 2**30)"), "memory", "memory"),
    Attack("memory in torch", inside("x = torch.ones(2**31)"), "memory", "memory"),
    Attack("memory bit by bit", inside("""
        kept = []
        while True: kept.append(np.ones(2**20))
        """), "memory", "memory"),
    Attack("memory in many processes", inside("""
        import os, time
        for _ in range(8):
            if os.fork() == 0:
                kept = b"x" * (200 * 2**20)
                time.sleep(60)
        time.sleep(60)
        """), "memory", "memory"),
    Attack("memory in files without a name", inside("""
        import os
        kept = []
        while True:
            kept.append(os.memfd_create("x"))
            os.write(kept[-1], bytes(2**20))
        """), "not implemented"),
    Attack("memory shared and put out of sight", inside("""
        import ctypes, mmap, os, time
        for _ in range(6):
            if os.fork() == 0:
                shared = mmap.mmap(-1, 300 * 2**20)
                for at in range(0, len(shared), 4096): shared[at] = 1
                first = ctypes.addressof(ctypes.c_char.from_buffer(shared))
                ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(len(shared)), 4)
                time.sleep(60)
        time.sleep(60)
        """), "memory", "memory"),
    Attack("memory in sockets", inside("""
        import os, socket, time
        for _ in range(20):
            if os.fork() == 0:
                kept = []
                try:
                    while True:
                        kept.append(socket.socketpair())
                        for end in kept[-1]:
                            end.setblocking(False)
                            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
                            try:
                                while True: end.send(bytes(2**16))
                            except BlockingIOError: pass
                except OSError: time.sleep(60)
        time.sleep(60)
        """), "memory", "memory"),
    Attack("memory in lists of mappings", inside("""
        import ctypes, os, time
        libc = ctypes.CDLL(None)
        for n in range(60_000):
            libc.mmap(None, ctypes.c_size_t(4096), 1 + 2 * (n % 2), 0x22, -1, 0)
        for _ in range(30):
            if os.fork() == 0: time.sleep(60)
        time.sleep(60)
        """), "memory", "memory"),
    Attack("mappings with long names", inside("""
        import ctypes, mmap, os, time
        os.makedirs("/tmp/" + "/".join(["x" * 250] * 15))
        handle = os.open("/tmp/" + "/".join(["x" * 250] * 15) + "/file", os.O_RDWR | os.O_CREAT)
        os.write(handle, bytes(4096))
        libc = ctypes.CDLL(None)
        for n in range(20_000):
            libc.mmap(None, ctypes.c_size_t(4096), 1 + 2 * (n % 2), 2, handle, 0)
        for _ in range(12):
            if os.fork() == 0: time.sleep(60)
        time.sleep(60)
        """), "memory", "memory"),
    Attack("a disk of one's own", inside("""
        import ctypes, os
        if os.fork() == 0:
            libc = ctypes.CDLL(None)
            if libc.unshare(0x10000000 | 0x00020000): os._exit(1)
            open("/proc/self/uid_map", "w").write(f"0 {os.getuid()} 1")
            os._exit(2 * libc.mount(b"x", b"/tmp", b"tmpfs", 0, b"size=8g"))
        raise OSError(f"no disk, exit status {os.waitstatus_to_exitcode(os.wait()[1])}")
        """), "no disk, exit status 1"),
    Attack("disk", inside("""
        import os
        for folder in ("/", "/tmp", "/dev", "/dev/shm", "/proc", "/work", "/usr", "/etc", "."):
            try:
                with open(os.path.join(folder, "fill"), "wb") as file:
                    for _ in range(400): file.write(bytes(2**20))
            except OSError: pass
        """)),
    Attack("flood of output", inside("while True: print('x' * 10_000)"), "printed", "output"),
    Attack("flood of errors", inside("""
        import os
        while True: os.write(2, b"x" * 10_000)
        """), "printed", "output"),
    Attack("message of a megabyte", inside("raise RuntimeError('<b>\\x1b[31m' * 100_000)"),
           "RuntimeError"),
    # --- the next submission ------------------------------------------------------------------
    Attack("background processes", inside("""
        import os, time
        for _ in range(5 * ("begun" not in globals())):  # more would meet the limit on processes
            globals()["begun"] = True
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    while True: time.sleep(0.01)
                os._exit(0)
        """)),
    Attack("import shadowing", inside("""
        import os, site, sys
        for folder in (".", "/tmp", os.environ["HOME"], site.getusersitepackages(), "/dev/shm",
                       "/tmp/home/.ipython/profile_default/startup", *sys.path):
            try:
                os.makedirs(folder, exist_ok=True)
                for name in ("torch", "numpy", "usercustomize", "sitecustomize", "00-start"):
                    with open(f"{folder}/{name}.py", "w") as file: file.write("raise SystemExit")
            except OSError: pass
        """)),
    Attack("the nursery limited, slowed, killed and traced", inside("""
        import ctypes, os, resource, signal
        libc = ctypes.CDLL(None)
        for pid in range(1, 300):
            if pid == os.getpid(): continue
            for call in (lambda: resource.prlimit(pid, resource.RLIMIT_DATA, (1, 1)),
                         lambda: os.kill(pid, signal.SIGKILL),
                         lambda: os.sched_setaffinity(pid, {0}),
                         lambda: open(f"/proc/{pid}/mem", "r+b").write(b"x"),
                         lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
                         lambda: libc.ptrace(16, pid, 0, 0)):
                try: call()
                except OSError: pass
        os.setpriority(os.PRIO_USER, os.getuid(), 19)
        """), ""),
    Attack("new namespaces", inside("""
        import ctypes, os
        libc = ctypes.CDLL(None)
        libc.unshare(0x10000000 | 0x00020000)
        for folder in (b"/tmp", b"/dev/shm", b"/proc", b"/"):
            libc.umount2(folder, 2)
        libc.mount(b"none", b"/", None, 0x5020, None)
        os.system("mount -o remount,rw /")
        """), ""),
]  # fmt: skip
KINDS = {attack.name: attack for attack in ATTACKS}


@pytest.fixture
def fair(graded, submission):
    """Grades an attack; afterwards a right submission gets full marks from the same sandbox."""
    yield graded
    after = graded(submission(), "01.3")
    assert (after["status"], after["earned"]) == ("ok", 10), after


def reasons(result: dict) -> str:
    return "\n".join(
        [result["message"], *result["oddities"]]
        + [exercise["message"] for exercise in result["exercises"]]
        + [part["message"] for exercise in result["exercises"] for part in exercise["parts"]]
    )


@pytest.mark.parametrize("name", KINDS)
def test_attack_gets_what_it_deserves(name, fair, submission):
    attack = KINDS[name]
    # A limit on time that is meant to be reached is short; others leave room on a busy machine.
    limits = {"call": 1.5, "cell": 1.5} if attack.status == "time" else {}
    book = submission(answer_01_3=textwrap.dedent(attack.code))
    result = fair(book, "01.3", "01.6", limits=limits)
    earned = tuple(exercise["earned"] for exercise in result["exercises"])
    assert earned == attack.earned, (earned, reasons(result))
    assert result["status"] == attack.status, (result["status"], reasons(result))
    assert attack.reason in reasons(result) and reasons(result).strip(), reasons(result)
    assert result["attempts"] == 1


# --- the file itself -------------------------------------------------------------------------


def change_metadata(book):
    for cell in book["cells"]:
        cell["metadata"]["tags"] = ["skip-execution", "needs-model", "raises-exception"]
        if mark := cell["metadata"].get("nbgrader"):
            mark.update(points=10_000, grade=not mark["grade"], locked=False, schema_version=99)
    book["metadata"] = {"kernelspec": {"name": "evil", "argv": ["rm", "-rf", "/"]}}
    book["nbformat"] = 99


def replace_checks(book):
    for cell in book["cells"]:
        if cell["id"].startswith("check-"):
            cell["source"] = "print('10 of 10 points')"
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "10/10"}]


def find(book, id="answer-01-3"):
    return next(cell for cell in book["cells"] if cell["id"] == id)


def delete(book):
    book["cells"].remove(find(book))


def duplicate(book):
    again = copy.deepcopy(find(book))
    again["source"] = WRONG
    book["cells"].append(again)


def split(at, *between):
    """An edit that cuts the answer in two before a line, as JupyterLab does: both keep the id."""

    def edit(book):
        cell = find(book)
        lines = cell["source"].splitlines()
        at_line = next(i for i, line in enumerate(lines) if at in line)
        again = copy.deepcopy(cell) | {"id": "second"}
        cell["source"] = "\n".join(lines[:at_line])
        again["source"] = "\n".join([*between, *lines[at_line:]])
        book["cells"].insert(book["cells"].index(cell) + 1, again)

    return edit


def in_three(book):
    split("SOLUTION")(book)
    second = next(cell for cell in book["cells"] if cell["id"] == "second")
    book["cells"].insert(0, copy.deepcopy(second) | {"id": "zero", "source": "import math"})


def stub_behind(book):
    stub = next(cell for cell in RELEASED["cells"] if cell["id"] == "answer-01-3")
    book["cells"].append(copy.deepcopy(stub) | {"id": "behind"})


def retype(book):
    find(book)["cell_type"] = "raw"


def no_grade_id(book):
    del find(book)["metadata"]["nbgrader"]


def odd_types(book):
    find(book)["metadata"] = {"nbgrader": ["grade"], "tags": 3}
    book["cells"] += [None, 7, [], {"cell_type": "code"}, {"source": {"a": 1}, "metadata": None}]


def source_no_text(book):
    find(book)["source"] = [1, {"x": 2}]


def huge_source(book):
    find(book)["source"] = "#" * 10_000_000


def own_cells(book):
    book["cells"].insert(0, {"cell_type": "code", "id": "x", "metadata": {}, "outputs": [],
                             "source": "import os; os._exit(1)"})  # fmt: skip


def nest(book):
    inner = []
    for _ in range(100_000):
        inner = [inner]
    find(book)["metadata"]["x"] = book["metadata"]["x"] = find(book)["outputs"] = inner
    book["cells"].append({"cell_type": "code", "metadata": inner, "source": inner})


def many_cells(book):
    mark = {"nbgrader": {"grade_id": "answer-01-3"}}
    book["cells"] += [{"cell_type": "code", "id": "x", "metadata": mark, "source": ""}] * 200_000


def long_parts(book):
    for _ in range(2):
        book["cells"].append(copy.deepcopy(find(book)) | {"source": "#" * 150_000})


FILES = [
    (change_metadata, "wrong", 0, ""),
    (change_metadata, "right", 10, ""),
    (replace_checks, "wrong", 0, "outside the answers"),
    (delete, "right", 0, "missing"),
    (duplicate, "right", 0, "2 cells have this grade id"),
    (split("def minimal_pair"), "right", 10, "they are joined"),
    (split("SOLUTION"), "right", 10, "they are joined"),
    (split("def minimal_pair", "%%time"), "right", 10, "they are joined"),
    (in_three, "right", 10, "3 cells have this grade id"),
    (stub_behind, "right", 10, "they are joined"),
    (retype, "right", 10, "another type"),
    (no_grade_id, "right", 10, "found by its cell id"),
    (odd_types, "right", 10, "found by its cell id"),
    (nest, "right", 10, ""),
    (many_cells, "right", 10, "200001 cells"),
    (long_parts, "right", 0, "too long"),
    (source_no_text, "right", 0, "cannot be read"),
    (huge_source, "right", 0, "cannot be read"),
    (own_cells, "right", 10, "outside the answers"),
]


@pytest.mark.parametrize(("edit", "answer", "earned", "oddity"), FILES)
def test_what_was_done_to_the_file_has_no_effect(fair, submission, edit, answer, earned, oddity):
    book = submission(**({"answer_01_3": WRONG} if answer == "wrong" else {}))
    edit(book)
    result = fair(book, "01.3", "01.6")
    assert [exercise["earned"] for exercise in result["exercises"]] == [earned, 10]
    assert result["points"] == 20 and oddity in reasons(result)


# --- spying and breaking out -------------------------------------------------------------------


def probe(graded, submission, code: str) -> str:
    """What a function of a submission finds out; it comes back as the text of an exception."""
    told = textwrap.indent(textwrap.dedent(code), "    ")
    told += '\n    raise RuntimeError("told " + str(found))\n'
    answer = f"def minimal_pair_accuracy(*a):\n{told}"
    result = graded(submission(answer_01_3=answer), "01.3", "01.6")
    assert [exercise["earned"] for exercise in result["exercises"]] == [0, 10]
    said = result["exercises"][0]["parts"][0]["message"]
    assert "RuntimeError: told " in said, said
    return said.split("told ", 1)[1].split(" in line")[0]


def test_no_solution_and_no_held_out_check_can_be_read(fair, submission):
    code = """
        import os, sys
        version = "/python%d.%d" % sys.version_info[:2]
        words = ("ex01_", "solutions", "rubric", "gradebook.db", "mutants", ".git", ".ssh")
        found = []
        for at, folders, files in os.walk("/"):
            if at.startswith(("/proc", "/usr/lib", "/lib")) or at.endswith(version):
                folders.clear()
                continue
            found += [os.path.join(at, name) for name in folders + files
                      if any(word in name for word in words)]
        """
    found = probe(fair, submission, code)
    assert str(ROOT) not in found and "ex01_" not in found, found


def test_held_out_source_is_nowhere_in_memory(fair, submission):
    code = """
        import gc, sys
        found = [n for n in sys.modules if "answers" in n or "ex01_" in n]
        found += [o.__name__ for o in gc.get_objects() if callable(o)
                  and str(getattr(o, "__module__", "")).startswith("ex01_")]
        """
    assert probe(fair, submission, code) == "[]"


def test_the_environment_is_empty(fair, submission, monkeypatch):
    monkeypatch.setenv("COURSE_SECRET", "open sesame")
    code = """
        import glob, os
        texts = [str(dict(os.environ))]
        for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline"):
            try: texts.append(open(path).read())
            except OSError: pass
        found = ["sesame" in t or "COURSE_SECRET" in t or "ex01_" in t for t in texts]
        """
    assert "True" not in probe(fair, submission, code)


def test_nothing_outside_can_be_written(fair, submission, tmp_path):
    book = tmp_path / "gradebook.db"
    book.write_text("untouched")
    book.chmod(0o666)
    tmp_path.chmod(0o777)
    code = f"""
        import os
        found = []
        for path in ({str(book)!r}, {str(ROOT / "course_lib" / "x")!r}, "/etc/x", "/x", "/dev/x"):
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                open(path, "w").write("7 of 7")
                found.append(path)
            except OSError: pass
        """
    found = probe(fair, submission, code)
    assert book.read_text() == "untouched" and os.listdir(tmp_path) == ["gradebook.db"]
    assert not (ROOT / "course_lib" / "x").exists() and "course_lib" not in found


def test_there_is_no_network(fair, submission):
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0course-grading-test-{os.getpid()}")
    abstract.listen()
    code = f"""
        import socket
        found = []
        for family, place in ((socket.AF_INET, ("127.0.0.1", {server.getsockname()[1]})),
                              (socket.AF_INET, ("1.1.1.1", 53)),
                              (socket.AF_INET6, ("::1", 80)),
                              (socket.AF_UNIX, {abstract.getsockname()!r})):
            try:
                with socket.socket(family) as s:
                    s.settimeout(0.5)
                    s.connect(place)
                    found.append(place)
            except OSError: pass
        """
    assert probe(fair, submission, code) == "[]"
    with server, abstract, pytest.raises(BlockingIOError):
        server.accept()  # nobody is waiting to be let in


def test_nobody_outside_is_seen_and_no_right_is_left(fair, submission):
    code = """
        import os
        lines = open("/proc/self/status").read().splitlines()
        have = {l.split(":")[0]: l.split()[1] for l in lines if l.startswith(("Cap", "NoNewPrivs"))}
        names = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try: names.append(open(f"/proc/{pid}/cmdline").read())
            except OSError: pass
        found = [int(have["CapEff"], 16), int(have["CapPrm"], 16), have["NoNewPrivs"],
                 os.getuid() != 0, any("pytest" in name for name in names)]
        """
    assert probe(fair, submission, code) == "[0, 0, '1', True, False]"


# --- right answers that make noise -------------------------------------------------------------

NOISY = {
    "warnings": "import warnings; warnings.warn('old'); warnings.warn('x', DeprecationWarning)",
    "stderr": "import sys; print('a library says something', file=sys.stderr)",
    "tqdm": "from tqdm.auto import tqdm; list(tqdm(range(1000)))",
    "plots": "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show(); plt.savefig('a.png')",
    "logging": "import logging; logging.getLogger().warning('%s', 'careful')",
    "display": "from IPython.display import display; display({'a': 1})",
    "matplotlib inline": "%matplotlib inline",
    "matplotlib widget": "%matplotlib widget",
    "pylab": "%pylab inline",
    "matplotlib as a call": "get_ipython().run_line_magic('matplotlib', 'inline')",
    "a screen": "get_ipython().enable_gui('qt')",
    "settings of figures": "%config InlineBackend.figure_format = 'retina'",
    "magic of a kernel": "%autosave 60",
    "code that is read again": "%load_ext autoreload\n%autoreload 2",
    "bars and screens of a notebook": "from tqdm.notebook import tqdm; list(tqdm(range(3)))\n"
    "from IPython.display import clear_output; clear_output(wait=True)",
    "sockets and pools": "import asyncio, multiprocessing as mp\n"
    "asyncio.new_event_loop().run_until_complete(asyncio.sleep(0))\n"
    "with mp.get_context('fork').Pool(2) as pool: pool.map(abs, [1, 2])",
    "a long sum": "terms = " + " + ".join(["1.0"] * 600),
    "lists in lists": "nested = " + "[" * 190 + "]" * 190,
    "magic": "get_ipython().run_line_magic('timeit', '-n 1 -r 1 1 + 1')",
    "shell": "get_ipython().system('pip install more')",
    "threads": "import torch; torch.set_num_threads(2); torch.ones(500, 500) @ torch.ones(500, 9)",
}


@pytest.mark.parametrize("noise", NOISY)
def test_a_right_answer_with_noise_gets_full_marks(fair, submission, noise):
    right = submission()
    source = find(right)["source"]
    head, body = source.split("    ### BEGIN SOLUTION\n")
    inner = textwrap.indent(NOISY[noise], "    ")
    find(right)["source"] = f"{NOISY[noise]}\n{head}{inner}\n{body}"
    result = fair(right, "01.3", "01.6")
    assert (result["status"], result["earned"]) == ("ok", 20), reasons(result)


@pytest.mark.parametrize("magic", ["%%time", "%%capture said", "%%prun -q"])
def test_a_right_answer_below_a_cell_magic_gets_full_marks(fair, submission, magic):
    right = submission()
    find(right)["source"] = f"{magic}\n{find(right)['source']}"
    result = fair(right, "01.3", "01.6")
    assert (result["status"], result["earned"]) == ("ok", 20), reasons(result)


# --- what is not there and what is not done -----------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise NotImplementedError('no screen')\n" + WRONG, "NotImplementedError: no screen"),
        ("raise NotImplementedError\n" + WRONG, "The cell stopped with NotImplementedError"),
        (inside("raise NotImplementedError"), "stopped with NotImplementedError"),
        (inside("helper()") + "def helper(): raise NotImplementedError()", "line 1 of helper"),
        (inside("raise NotImplementedError('ties')"), "NotImplementedError: ties"),
        (None, STUB),
    ],
)
def test_only_the_stub_is_not_attempted(graded, submission, code, reason):
    stub = next(cell for cell in RELEASED["cells"] if cell["id"] == "answer-01-3")["source"]
    result = graded(submission(answer_01_3="".join(stub) if code is None else code), "01.3")
    assert result["earned"] == 0 and reason in reasons(result)
    assert (STUB in reasons(result)) == (code is None)


# --- walls of the kernel -------------------------------------------------------------------------


@pytest.fixture
def box(bwrap):
    """A sandbox of its own, with room for one submission."""
    own = sandbox.Sandbox("bwrap", isolation.Limits(memory=2**30), preload=("numpy",))
    yield own
    own.close()


def test_each_submission_has_a_network_of_its_own(box):
    box.start()
    spaces = {os.readlink(f"/proc/{p.pid}/ns/net") for p in descendants(box.process.pid)}
    assert len(spaces) == 1 + box.nursery and os.readlink("/proc/self/ns/net") not in spaces


def test_the_kernel_counts_memory_and_processes_where_it_lets_us(box, monkeypatch):
    box.start()
    if not box.groups.folders:
        pytest.skip("no control group can be made here: only the limits of processes were tried")
    monkeypatch.setattr(sandbox, "memory_below", lambda *a: 0)  # nobody else looks
    box.run_cell(
        "import os, time\n"
        "def fill():\n"
        "    for _ in range(6):\n"
        "        if os.fork() == 0: kept = b'x' * (300 * 2**20); time.sleep(60)\n"
        "    while True: os.waitpid(-1, 0); os.kill(os.getpid(), 9)"
    )
    with pytest.raises(Stopped) as stopped:
        box.call("fill", (), {})
    assert stopped.value.status == "memory"
    folders = box.groups.folders
    box.close()
    assert not any(folder.exists() for folder in folders)


@pytest.mark.parametrize("machine", filtering.MACHINES)
def test_every_jump_of_the_filter_ends_where_it_should(machine):
    lines = filtering.program(machine)
    column, name = filtering.MACHINES[machine]

    def decided(number, first=0, architecture=name):
        shown, at = {0: number, 4: architecture, 16: first}, 0
        while True:
            code, yes, no, value = lines[at]
            if code == filtering.RETURN:
                return value == filtering.ALLOW
            if code == filtering.LOAD:
                held, at = shown[value], at + 1
                continue
            so = {
                filtering.EQUAL: held == value,
                filtering.GREATER: held > value,
                filtering.AT_LEAST: held >= value,
                filtering.ANY_BIT: bool(held & value),
            }
            at += 1 + (yes if so[code] else no)

    assert not any(decided(numbers[column]) for numbers in filtering.REFUSED.values())
    assert decided(500) and not decided(500, architecture=1) and not decided(500 | 1 << 30)
    clone, socket_ = filtering.CLONE[column], filtering.SOCKET[column]
    assert decided(clone, 17) and decided(clone, 0x3D0F00) and not decided(clone, 0x10000011)
    assert decided(socket_, 1) and decided(socket_, 16) and not decided(socket_, 40)


HARMFUL = {name: [numbers[filtering.column()], 0, 0, 0, 0, 0]
           for name, numbers in filtering.REFUSED.items()} | {
    "a file without a name": [filtering.REFUSED["memfd_create"][filtering.column()], 0, 2],
    "a key of one's own": [filtering.REFUSED["add_key"][filtering.column()], 0, 0, 0, 0, -5],
    "the keys of the user": [filtering.REFUSED["keyctl"][filtering.column()], 11, -4, 0, 0],
    "a clone with folders of its own": [filtering.CLONE[filtering.column()], 0x00020011, 0, 0, 0],
    "a clone that is root": [filtering.CLONE[filtering.column()], 0x10000011, 0, 0, 0],
    "a socket to the host of a virtual machine": [filtering.SOCKET[filtering.column()], 40, 1, 0],
    "a socket of the kernel's ciphers": [filtering.SOCKET[filtering.column()], 38, 5, 0],
    "a call by its other number": [filtering.OTHER_TABLE | 1, 1, 0, 0],
}  # fmt: skip
TRYING = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def tried(calls):
    found = {}
    for name, numbers in calls.items():
        status = libc.syscall(*map(ctypes.c_long, numbers))
        found[name] = errno.errorcode[ctypes.get_errno()] if status < 0 else "done"
    return found
"""


def choose(box, nursery: bool) -> None:
    """A sandbox inside a sandbox or a plain one, where the course lies so that there are both."""
    if nursery and not box.nursery:
        pytest.skip("a course below /tmp has no nested sandbox: its /tmp would cover the course")
    box.nursery = nursery


@pytest.mark.parametrize("nursery", [True, False])
def test_what_would_get_round_the_limits_does_not_exist_inside(box, nursery):
    choose(box, nursery)
    box.start()
    assert box.run_cell(TRYING) is None
    reply, data = box.call("tried", (HARMFUL,), {})
    found = sandbox.wire.decode(reply["value"], data)
    assert found == dict.fromkeys(HARMFUL, "ENOSYS") and len(found) >= 30


@pytest.mark.parametrize("question", ["[k] * 5000 + [[]]", "numpy.full(9999, k)", "'x' * 90_000"])
def test_a_check_that_keeps_what_it_is_asked_is_not_filled(box, question):
    """Whatever is asked during one call is limited together, not each question alone."""
    asked = []
    box.start()
    box.run_cell(f"import numpy\ndef ask(keep):\n    for k in range(10 ** 9): keep({question})")
    with pytest.raises(Stopped) as stopped:
        box.call("ask", (asked.append,), {})
    assert stopped.value.status == "output" and 100 < len(asked) < 3000
    asked.clear()
    box.start()
    box.run_cell(f"import numpy\ndef ask(keep):\n    k = 1\n    keep({question})\n    return 7")
    assert box.call("ask", (asked.append,), {})[0]["value"] == 7 and len(asked) == 1


@pytest.mark.parametrize("make", ["os.mkdir(f'/tmp/{k}')", "os.mknod(f'/dev/shm/{k}')"])
@pytest.mark.parametrize("nursery", [True, False])
def test_files_without_content_end_as_well(box, make, nursery, monkeypatch):
    """There is a number of files in a nested sandbox; elsewhere they count as memory."""
    monkeypatch.setattr(groups, "_parents", list)  # the kernel does not count
    choose(box, nursery)
    box.limits = isolation.Limits(memory=2**29)
    box.start()
    box.run_cell(f"import os\ndef f():\n    for k in range(10 ** 9): {make}")
    try:
        told = box.call("f", (), {})[0]["error"]["message"]
    except Stopped as stopped:
        told = stopped.status
    assert ("No space" if nursery else "memory") in told


GRADED_ALONE = """
import sys
from tests.grading import test_attacks, conftest
from tests.grading.size import largest_size
from course_lib.grading import marking
import textwrap
names = [name for name in test_attacks.KINDS if any(word in name for word in sys.argv[1:])]
for name in names:
    book = conftest.right()
    test_attacks.find(book)["source"] = textwrap.dedent(test_attacks.KINDS[name].code)
    job = {"unit": "01", "student": "ada", "seed": 7, "released": conftest.RELEASED}
    job |= {"only": ["01.3"], "submitted": book, "answers": conftest.KEY, "isolation": "bwrap"}
    result = marking.grade_submission(job | {"limits": conftest.LIMITS})
    assert result["status"] == test_attacks.KINDS[name].status, (name, result)
marking.discard_sandbox()
print(len(names), largest_size())
"""
GREEDY = ("too large", "alike", "half a million", "sixty million", "rows without", "nested",
          "frame", "array", "flood", "megabyte", "mappings", "object with")  # fmt: skip


def test_the_grader_itself_stays_small(bwrap):
    """In a process of its own, whose largest size is asked of the kernel."""
    command = [sys.executable, "-c", GRADED_ALONE, *GREEDY]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    attacks, megabytes = map(int, run.stdout.split())
    assert attacks >= 15 and megabytes < 600, run.stdout


def test_memory_is_measured_where_a_system_tells_less():
    def process(full, rss=7):
        return SimpleNamespace(memory_full_info=full, memory_info=lambda: SimpleNamespace(rss=rss))

    def denied():
        raise psutil.AccessDenied

    def gone():
        raise psutil.NoSuchProcess(1)

    assert usage._memory_of(process(lambda: SimpleNamespace(pss=3, uss=2))) == 3
    assert usage._memory_of(process(lambda: SimpleNamespace(uss=2))) == 2
    assert usage._memory_of(process(lambda: SimpleNamespace(rss=9))) == 7
    assert usage._memory_of(process(denied)) == 7 and usage._memory_of(process(gone)) == 0


@pytest.mark.parametrize(("kind", "named"), [("bwrap", "bubblewrap"), ("container", "docker")])
def test_a_missing_program_is_named_with_what_to_do(monkeypatch, kind, named):
    monkeypatch.setattr(isolation.shutil, "which", lambda name: None)
    with pytest.raises(sandbox.SandboxError, match=f"{named}.*install"):
        sandbox.Sandbox(kind).start()


# --- as another user ---------------------------------------------------------------------------

AS_A_USER = [
    "numpy patched",
    "forged reply with the nonce",
    "SIGKILL",
    "kill everything",
    "fork bomb",
    "memory in many processes",
    "memory in files without a name",
    "memory shared and put out of sight",
    "memory in sockets",
    "memory in lists of mappings",
    "disk",
    "background processes",
    "the nursery limited, slowed, killed and traced",
    "new namespaces",
]


def closed(path: Path) -> bool:
    return not path.stat().st_mode & 0o001


def opened(*places: str) -> list[str]:
    """Options of bubblewrap that show these places where they lie in a folder closed to others.

    Python and the course may lie in root's home folder, or in a folder that root made for itself
    among the temporary ones. In place of such a folder there is one with what is needed alone.
    """
    command: list[str] = []
    for place in map(Path, dict.fromkeys(places)):
        ways = [*reversed(place.parents), place]
        first = next((n for n, way in enumerate(ways) if closed(way)), None)
        if first is None:
            continue
        if str(ways[first]) not in command:
            command += ["--perms", "0755", "--tmpfs", str(ways[first])]
        for folder in ways[first + 1 : -1]:
            command += ["--perms", "0755", "--dir", str(folder)]
        if place == ways[first] or closed(place):
            command += ["--perms", "0755", "--dir", str(place)]
            for part in sorted(place.iterdir()):
                command += ["--ro-bind", str(part), str(part)]
        else:
            command += ["--ro-bind", str(place), str(place)]
    return command


@pytest.mark.skipif(os.geteuid() != 0, reason="these tests run as an unprivileged user already")
def test_the_same_as_an_unprivileged_user(bwrap):
    """root has its own way into the sandbox; this runs the rest of the file the other way."""
    command = [bwrap, "--dev-bind", "/", "/", *opened(sys.base_prefix, sys.prefix, str(ROOT))]
    command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--chdir", str(ROOT)]
    command += [shutil.which("setpriv"), "--reuid=23456", "--regid=23456", "--clear-groups"]
    command += [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x"]
    # Not in pytest's own folder, which every run that starts beside this one closes to others.
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        os.chmod(home, 0o777)
        command += ["-k", "not_as_root", f"--basetemp={home}/theirs", __file__]
        environment = os.environ | {"HOME": home, "TMPDIR": home, "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert f"{len(AS_A_USER) + 4} passed" in run.stdout, run.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="test_the_same_as_an_unprivileged_user runs them")
class TestNotAsRoot:
    """Selected by ``-k not_as_root``, see above."""

    @pytest.mark.parametrize("name", AS_A_USER)
    def test_not_as_root(self, name, fair, submission):
        test_attack_gets_what_it_deserves(name, fair, submission)

    def test_not_as_root_without_nested_namespaces(self, bwrap, submission, monkeypatch):
        def forbidding(*arguments):
            return [bwrap, "--disable-userns", *isolation.bwrap_command(*arguments)[1:]]

        monkeypatch.setattr(sandbox, "bwrap_command", forbidding)
        box = sandbox.Sandbox("bwrap", preload=())
        # Of a course or a Python that lies under /tmp the way to it is there as well.
        ways = {Path(p).parts[2] for p in isolation.runtime_paths() if p.startswith("/tmp/")}
        for _ in range(2):  # the second time in a sandbox of its own as well
            box.start()
            assert box.nursery is False
            box.run_cell("import os\ndef f(): os.makedirs('/tmp/x'); return os.listdir('/tmp')")
            reply, _ = box.call("f", (), {})
            assert set(reply["value"]) == {"x", "home"} | ways
        box.close()

    def test_not_as_root_no_right_is_left(self, fair, submission):
        test_nobody_outside_is_seen_and_no_right_is_left(fair, submission)

    def test_not_as_root_no_file(self, fair, submission):
        test_no_solution_and_no_held_out_check_can_be_read(fair, submission)

    def test_not_as_root_no_network(self, fair, submission):
        test_there_is_no_network(fair, submission)
