"""A run whose Prefect server is gone ends by itself, and says so."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from flows.lifeline import Watch


class Used(NamedTuple):
    """What `shutil.disk_usage` gives."""

    free: int


SCRIPT = """
import sys, time
from flows.lifeline import lifeline
with lifeline(sys.argv[1], float(sys.argv[2]), every_s=0.05):
    print("begun", flush=True)
    time.sleep(float(sys.argv[3]))
print("done")
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Stands for the server: what counts is whether somebody listens."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one


def begin(port: int, patience_s: float, takes_s: float) -> subprocess.Popen[str]:
    """A process that works under the lifeline for a while."""
    words = [f"http://127.0.0.1:{port}/api", str(patience_s), str(takes_s)]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def test_it_ends_when_the_server_does(listener: socket.socket) -> None:
    process = begin(listener.getsockname()[1], 0.0, 600.0)
    listener.close()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 7
    assert "Prefect's server has ended. Run the command again: it continues where it stopped." in said
    assert "Traceback" not in said


def test_it_waits_for_a_server_that_comes_back(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    process = begin(port, 60.0, 3.0)
    listener.close()
    assert process.stderr is not None
    assert "waiting up to 60 s" in process.stderr.readline()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
        again.listen()
        assert "answers again" in process.stderr.readline()
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "done\n")


def test_it_ends_where_a_disk_stays_full_but_not_for_a_moment(tmp_path: Path, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    looks = iter([0, 0, 2**30, 0, 0, 0])
    watch = Watch(f"http://127.0.0.1:{port}/api", 0.0, (tmp_path,), usage=lambda _: Used(next(looks)))
    assert [watch.check() for _ in range(5)] == [None] * 5
    assert str(watch.check()).startswith(f"{tmp_path}: the disk is full. Free some space")


def test_a_run_that_is_done_does_not_mind_that_its_server_stops(listener: socket.socket) -> None:
    process = begin(listener.getsockname()[1], 0.0, 0.2)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out, said) == (0, "done\n", "")
