"""What lies outside of the course: the model hub, and the sandbox for grading."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from course_lib.doctor.findings import AMBER, GREEN, Finding

HUB = "https://huggingface.co"
SYSTEM = Path("/proc/sys")


def check_hub() -> Finding:
    """Can other models be fetched? The course itself needs no network."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}:
            return Finding("model hub", GREEN, f"switched off ({name}); the course needs none")
    hub = os.environ.get("HF_ENDPOINT") or HUB
    if problem := _connection_problem(getproxies().get("https") or hub):
        fix = "Nothing to repair for the course. For other models, connect to a network; behind a "
        fix += "proxy set HTTPS_PROXY, or load a folder: load_model('path/to/folder')."
        return Finding("model hub", AMBER, f"{urlsplit(hub).hostname}: {problem}", fix)
    return Finding("model hub", GREEN, f"{urlsplit(hub).hostname} answers")


def _connection_problem(address: str, seconds: float = 1) -> str:
    """Why no connection to the host in `address` can be opened; "" if it can."""
    problem = ["no answer within a second"]

    def connect() -> None:
        try:
            parts = urlsplit(address if "://" in address else f"//{address}")
            port = parts.port or (80 if parts.scheme == "http" else 443)
            socket.create_connection((parts.hostname, port), timeout=seconds).close()
            problem[0] = ""
        except (OSError, ValueError) as error:
            problem[0] = getattr(error, "strerror", None) or str(error)

    # Looking up a name knows no time limit, so we wait for a thread and not for the name.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return problem[0]


def check_grading() -> Finding:
    """For instructors: can submissions run sealed off from this machine?"""
    tried = {
        "bwrap": "--unshare-all --die-with-parent --ro-bind / / --proc /proc --dev /dev true",
        "docker": "ps",
        "podman": "ps",
    }
    problems = {tool: _trial(tool, arguments) for tool, arguments in tried.items()}
    detail = "; ".join(f"{tool} {problem or 'works'}" for tool, problem in problems.items())
    if "" in problems.values():
        return Finding("grading", GREEN, detail)
    detail += ". Students do not need this"
    if shutil.which("bwrap"):
        return Finding("grading", AMBER, detail, _how_to_allow_bwrap())
    fix = "Install Docker Desktop or podman and start it."
    if sys.platform.startswith("linux"):
        fix = "sudo apt install bubblewrap (Debian, Ubuntu) or sudo dnf install bubblewrap"
    return Finding("grading", AMBER, detail, fix)


def _trial(tool: str, arguments: str) -> str:
    """Why `tool` does not work here; "" if it does."""
    if not (path := shutil.which(tool)):
        return "is not installed"
    try:
        run = subprocess.run(
            [path, *arguments.split()], capture_output=True, timeout=1, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return "does not answer"
    last = (run.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
    last = last.replace(os.path.expanduser("~"), "~")
    return f"fails ({last})" if run.returncode else ""


def _how_to_allow_bwrap() -> str:
    """The command that lets bubblewrap make namespaces, by what forbids it."""
    path = shutil.which("bwrap")
    profile = "abi <abi/4.0>,\\ninclude <tunables/global>\\n"
    profile += f"profile bwrap {path} flags=(unconfined) {{\\n  userns,\\n}}\\n"
    causes = {
        ("kernel/apparmor_restrict_unprivileged_userns", "1"): f"printf '{profile}' | "
        "sudo tee /etc/apparmor.d/bwrap && sudo systemctl reload apparmor",
        ("kernel/unprivileged_userns_clone", "0"): "sudo sysctl kernel.unprivileged_userns_clone=1",
        ("user/max_user_namespaces", "0"): "sudo sysctl user.max_user_namespaces=15000",
    }
    for (name, bad), fix in causes.items():
        if (SYSTEM / name).is_file() and (SYSTEM / name).read_text().strip() == bad:
            return fix
    return "Inside a container start that one with --privileged, or grade outside of it."
