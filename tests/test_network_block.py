"""The network block refuses other machines and lets this one through."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = "192.0.2.1"  # reserved for documentation: nobody answers there


def test_outside_is_refused_at_once_in_this_process():
    with pytest.raises(OSError, match="without a network"):
        socket.create_connection((OUTSIDE, 80), timeout=5)


@pytest.mark.parametrize("call", ["connect", "connect_ex"])
def test_both_ways_to_connect_are_refused(call):
    with socket.socket() as sock, pytest.raises(OSError, match="without a network"):
        getattr(sock, call)((OUTSIDE, 80))


def test_datagrams_and_names_are_refused():
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(OSError, match="without a network"):
            sock.sendto(b"x", (OUTSIDE, 53))
        with pytest.raises(OSError, match="without a network"):
            sock.sendmsg([b"x"], [], 0, (OUTSIDE, 53))
    with pytest.raises(OSError, match="example.org"):
        socket.getaddrinfo("example.org", 80)


def test_loopback_is_open():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(("localhost", server.getsockname()[1]), timeout=5):
            pass


def test_children_inherit_the_block():
    source = f"import socket; socket.create_connection(('{OUTSIDE}', 80), timeout=5)"
    run = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert run.returncode == 1 and "without a network" in run.stderr


def test_the_hub_is_switched_off():
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"
