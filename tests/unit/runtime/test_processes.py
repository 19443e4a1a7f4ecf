"""Servers as processes: they are waited for, watched, and none is left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.errors import BackendError
from sightline.runtime.processes import Group, Server, answers, check_ports, running

SERVE = """
import http.server, sys
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
SERVE_WITH_CHILD = (
    """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
"""
    + SERVE
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def http_server(name: str, folder: Path, after: str = "", code: str = SERVE) -> Server:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = (sys.executable, "-c", code, str(port))
    return Server(name, command, folder, address=address, health=f"{address}/", setting="SIGHTLINE_X_PORT", after=after)


def process_of(state: Path, name: str) -> int:
    return int(json.loads((state / "servers.json").read_text())["servers"][name]["process"])


def group_is_gone(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return True
    return False


def goes(leader: int) -> bool:
    """Whether a process group ends; its orphans are reaped by init."""
    deadline = time.monotonic() + 10
    while not group_is_gone(leader) and time.monotonic() < deadline:
        time.sleep(0.05)
    return group_is_gone(leader)


def test_all_answer_after_start_and_none_after_stop(tmp_path: Path) -> None:
    first, later = http_server("first", tmp_path), http_server("later", tmp_path, after="first")
    said: list[str] = []
    group = Group(tmp_path, said.append)
    try:
        group.start([later, first])
        assert answers(first.health)
        assert answers(later.health)
        assert running(tmp_path) == {}  # nobody else is told unless asked
        group.note()
        assert running(tmp_path) == {"first": first.address, "later": later.address}
        ready = [line for line in said if "http" in line]
        assert ready[0].startswith("first")  # the one that waits for another comes after it
    finally:
        group.stop()
    assert not answers(first.health)
    assert running(tmp_path) == {}


def test_children_of_servers_are_stopped_too(tmp_path: Path) -> None:
    group = Group(tmp_path, lambda _: None)
    group.start([http_server("parent", tmp_path, code=SERVE_WITH_CHILD)])
    group.note()
    leader = process_of(tmp_path, "parent")
    group.stop()
    assert goes(leader)


def test_a_server_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    broken = Server(
        "broken", (sys.executable, "-c", "raise SystemExit('no such database')"), tmp_path, health="http://127.0.0.1:9/"
    )
    group = Group(tmp_path, lambda _: None)
    try:
        with pytest.raises(BackendError, match="broken ended with status 1: no such database"):
            group.start([broken])
    finally:
        group.stop()


class Waiting(threading.Thread):
    """`Group.wait` beside the test; what it raised."""

    def __init__(self, group: Group, pauses_s: tuple[float, ...]) -> None:
        super().__init__(daemon=True)
        self._group, self._pauses_s = group, pauses_s
        self.error: BackendError | None = None

    def run(self) -> None:
        try:
            self._group.wait(every_s=0.02, pauses_s=self._pauses_s)
        except BackendError as error:
            self.error = error


def until(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("code", [SERVE, SERVE_WITH_CHILD])
def test_a_server_that_is_killed_is_started_again_and_the_others_go_on(tmp_path: Path, code: str) -> None:
    mortal, other = http_server("mortal", tmp_path, code=code), http_server("other", tmp_path)
    said: list[str] = []
    group = Group(tmp_path, said.append)
    try:
        group.start([mortal, other])
        group.note()
        before, untouched = process_of(tmp_path, "mortal"), process_of(tmp_path, "other")
        Waiting(group, (0.05, 0.05)).start()
        os.kill(before, signal.SIGKILL)  # the tether: what it held is left to hold the port
        until(lambda: process_of(tmp_path, "mortal") != before and answers(mortal.health))
        assert process_of(tmp_path, "other") == untouched
        assert answers(other.health)
        assert any("mortal ended with status -9" in line and "started again" in line for line in said)
        assert running(tmp_path) == {"mortal": mortal.address, "other": other.address}
    finally:
        group.stop()


def test_one_that_ends_again_and_again_is_left_alone_with_its_last_words(tmp_path: Path) -> None:
    dying = Server("dying", (sys.executable, "-c", "raise SystemExit('no such database')"), tmp_path)
    other = http_server("other", tmp_path)
    said: list[str] = []
    group = Group(tmp_path, said.append)
    try:
        group.launch(dying)
        group.start([other])
        group.note()
        waiting = Waiting(group, (0.0, 0.0))
        waiting.start()
        until(lambda: any("not started again" in line for line in said))
        assert sum("no such database" in line for line in said) == 3
        assert waiting.is_alive()
        assert answers(other.health)
    finally:
        group.stop()


def test_where_all_end_again_and_again_it_is_an_error(tmp_path: Path) -> None:
    group = Group(tmp_path, lambda _: None)
    try:
        group.launch(Server("dying", (sys.executable, "-c", "raise SystemExit('no such database')"), tmp_path))
        waiting = Waiting(group, ())
        waiting.start()
        waiting.join(30)
        assert "dying ended with status 1: no such database" in str(waiting.error)
    finally:
        group.stop()


def test_a_missing_program_is_a_clear_error(tmp_path: Path) -> None:
    group = Group(tmp_path, lambda _: None)
    absent = Server("absent", ("/no/such/program",), tmp_path, health="http://127.0.0.1:9/")
    try:
        with pytest.raises(BackendError, match="absent ended with status 127: /no/such/program: No such file"):
            group.start([absent])
    finally:
        group.stop()


def test_a_taken_port_names_the_setting_that_moves_it(tmp_path: Path) -> None:
    server = http_server("mlflow", tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(server.address.rsplit(":", 1)[1])))
        other.listen()
        with pytest.raises(BackendError, match=r"taken.*Set SIGHTLINE_X_PORT"):
            check_ports(tmp_path, [server])
    check_ports(tmp_path, [server])


def test_a_second_start_in_one_folder_names_the_first(tmp_path: Path) -> None:
    server = http_server("mlflow", tmp_path)
    group = Group(tmp_path, lambda _: None)
    try:
        group.start([server])
        group.note()
        with pytest.raises(BackendError, match=f"is running already.*kill {os.getpid()}"):
            check_ports(tmp_path, [server])
    finally:
        group.stop()


def test_servers_of_the_original_are_not_those_of_a_copied_project(tmp_path: Path) -> None:
    """Their process lives: a run of the copy would go into the original's Prefect."""
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    server = {"prefect": {"process": os.getpid(), "address": "http://127.0.0.1:9"}}
    note = {"supervisor": os.getpid(), "state": str(original.resolve()), "servers": server}
    (original / "servers.json").write_text(json.dumps(note))
    shutil.copytree(original, copy)
    assert running(original) == {"prefect": "http://127.0.0.1:9"}
    assert running(copy) == {}


def test_notes_of_dead_servers_are_not_believed(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    note = {"supervisor": dead.pid, "servers": {"prefect": {"process": dead.pid, "address": "http://127.0.0.1:9"}}}
    (tmp_path / "servers.json").write_text(json.dumps(note))
    assert running(tmp_path) == {}
    (tmp_path / "servers.json").write_text("{half")
    assert running(tmp_path) == {}


def start_up(server: Server, state: Path) -> subprocess.Popen[str]:
    """`up` with one server in a process of its own; returns once it is ready."""
    script = textwrap.dedent(f"""
        from pathlib import Path
        from sightline.runtime.processes import Server, run_servers
        here = Path({str(state)!r})
        server = Server("mlflow", {server.command!r}, here, address={server.address!r}, health={server.health!r})
        run_servers(here, [server], lambda line: print(line, flush=True))
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "All servers are ready" not in process.stdout.readline():
        assert process.poll() is None
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_stops_all_when_it_is_interrupted_twice(tmp_path: Path, number: int) -> None:
    process = start_up(http_server("mlflow", tmp_path), tmp_path)
    leader = process_of(tmp_path, "mlflow")
    process.send_signal(number)
    process.send_signal(number)
    rest, _ = process.communicate()
    assert process.returncode == 0
    assert "Stopping" in rest
    assert group_is_gone(leader)


def test_servers_do_not_outlive_an_up_that_is_killed(tmp_path: Path) -> None:
    process = start_up(http_server("mlflow", tmp_path, code=SERVE_WITH_CHILD), tmp_path)
    leader = process_of(tmp_path, "mlflow")
    process.kill()
    process.communicate()
    assert goes(leader)
    assert running(tmp_path) == {}
