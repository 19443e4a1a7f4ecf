"""Server processes: started together, waited for until they answer, stopped together.

What they print goes to logs/<name>.log; `up` notes them in servers.json, so that another program finds them. They end
with the process that started them, however it ends (tether.py).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sightline.errors import BackendError
from sightline.files import write_json

_START_S = 180.0  # a first start makes databases, and two cores start everything at once
_STOP_S = 15.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Server:
    """One process.

    Attributes:
        name: for people, and of its log file.
        command: program and arguments.
        folder: where it is started.
        address: what a person opens; empty where nothing listens.
        health: answers 200 once it is ready; empty where nothing tells.
        setting: the environment variable that moves its port.
        environment: beside this process's.
        after: the name of the server that must be ready first.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    address: str = ""
    health: str = ""
    setting: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    after: str = ""


# ------------------------------------------------------------------------------------------------- what is running


def running(state: Path) -> dict[str, str]:
    """The servers, name -> address, that run now with their notes in this folder; empty where none does."""
    try:
        notes = json.loads(_notes(state).read_text(encoding="utf-8"))
        return {name: note["address"] for name, note in notes["servers"].items() if is_alive(int(note["process"]))}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _notes(state: Path) -> Path:
    return state / "servers.json"


def answers(url: str, timeout_s: float = 2.0) -> bool:
    """Whether a GET gives 200. Proxies are not asked: the servers are local."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout_s) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def is_alive(process: int) -> bool:
    """Whether a process of this number runs, ours or another user's."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


# ------------------------------------------------------------------------------------------------- start and stop


def up(state: Path, servers: Sequence[Server], say: Say, note: str = "") -> None:
    """Start the servers, tell their addresses and a note, and stay until interrupted or until one of them ends.

    SIGINT, SIGTERM and SIGHUP stop all of them.

    Raises:
        BackendError: a port is taken, a server did not become ready, or one ended by itself. None is left running.
    """
    check_ports(state, servers)
    group = Group(state, say)
    with _interrupted_once():
        try:
            group.start(servers)
            group.note()
            if note:
                say(note)
            say("All are ready. Ctrl-C stops them.")
            group.wait()
        except KeyboardInterrupt:
            say("Stopping ...")
        finally:
            group.stop()


def check_ports(state: Path, servers: Sequence[Server]) -> None:
    """See that all ports are free.

    Raises:
        BackendError: one is taken; it says by which server, where the notes in `state` know it.
    """
    for server in servers:
        if not server.address:
            continue
        place = urlsplit(server.address)
        with socket.socket(socket.AF_INET6 if ":" in (place.hostname or "") else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just closed may be taken again
            try:
                probe.bind((place.hostname, place.port))
            except OSError as error:
                raise _taken(state, server, error) from error


def _taken(state: Path, server: Server, error: OSError) -> BackendError:
    if server.name in running(state):
        notes = json.loads(_notes(state).read_text(encoding="utf-8"))
        # Whoever started it stops all of them in order; it may have been killed itself.
        process = notes["supervisor"] if is_alive(notes["supervisor"]) else notes["servers"][server.name]["process"]
        return BackendError(
            f"the {server.name} server of this folder runs already",
            where=server.address,
            way_out=f"Use it, or stop it with Ctrl-C where it was started or with `kill {process}`.",
        )
    return BackendError(
        f"the port of the {server.name} server is taken ({error.strerror})",
        where=server.address,
        way_out=f"Set {server.setting} to a free port, or stop the program that listens there.",
    )


@contextmanager
def _interrupted_once() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, and a second signal does not disturb the stopping.

    Elsewhere than in the main thread nothing is changed.
    """
    told: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        told.append(number)
        if len(told) == 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Group:
    """Processes that are started, watched and stopped together; what they print goes to logs/<name>.log in `state`."""

    def __init__(self, state: Path, say: Say) -> None:
        self._state = state
        self._say = say
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._servers: dict[str, Server] = {}
        self._noted = False

    def start(self, servers: Sequence[Server]) -> None:
        """Start all and wait until they are ready; those that come `after` another wait for it.

        Raises:
            BackendError: one ended or did not answer in time.
        """
        first = [server for server in servers if not server.after]
        later = [server for server in servers if server.after]
        for batch in (first, later):
            for server in batch:
                self.launch(server)
            for server in batch:
                self.wait_ready(server)

    def note(self) -> None:
        """Let other programs find these servers, until they are stopped."""
        servers = {
            name: {"process": process.pid, "address": self._servers[name].address}
            for name, process in self._processes.items()
        }
        write_json(_notes(self._state), {"supervisor": os.getpid(), "servers": servers})
        self._noted = True

    def wait(self, every_s: float = 0.5) -> None:
        """Return never, unless a server ends.

        Raises:
            BackendError: one ended; its last lines are in the message.
        """
        while True:
            for name in self._processes:
                self._check(name)
            time.sleep(every_s)

    def stop(self) -> None:
        """End all, the last started first: SIGTERM, and SIGKILL for what stays."""
        for process in reversed(self._processes.values()):
            _signal_group(process, signal.SIGTERM)
        deadline_s = time.monotonic() + _STOP_S
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline_s - time.monotonic()))
            _signal_group(process, signal.SIGKILL)  # and whatever children it left
            process.wait()
            assert process.stdin is not None
            process.stdin.close()
        if self._noted:
            _notes(self._state).unlink(missing_ok=True)
        self._processes.clear()

    def log(self, name: str) -> Path:
        """Where a server's output goes."""
        return self._state / "logs" / f"{name}.log"

    def launch(self, server: Server) -> None:
        """Start one, without waiting for it.

        Raises:
            BackendError: its log cannot be written.
        """
        log = self.log(server.name)
        self._say(f"Starting {server.name} ...")
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as output:
                self._processes[server.name] = subprocess.Popen(
                    (sys.executable, "-m", "sightline.tether", *server.command),
                    cwd=server.folder,
                    env={**os.environ, **server.environment},
                    stdin=subprocess.PIPE,  # never written to: it ends with us
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches `up` alone, which stops them in order
                )
        except OSError as error:
            raise BackendError(
                f"{server.name} cannot be started ({error.strerror})", where=log, way_out="Check the disk."
            ) from error
        self._servers[server.name] = server

    def wait_ready(self, server: Server) -> None:
        """Wait until one answers, and tell its address.

        Raises:
            BackendError: it ended, or did not answer in time.
        """
        deadline_s = time.monotonic() + _START_S
        while server.health and not answers(server.health):
            self._check(server.name)
            if time.monotonic() > deadline_s:
                raise BackendError(
                    f"{server.name} did not answer within {_START_S:.0f} s",
                    where=server.health,
                    way_out=f"Its log is {self.log(server.name)}.",
                )
            time.sleep(0.2)
        self._check(server.name)
        self._say(f"{server.name:<9} {server.address or 'runs'}")

    def _check(self, name: str) -> None:
        status = self._processes[name].poll()
        if status is None:
            return
        log = self.log(name)
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise BackendError(
            f"{name} ended with status {status}: {' | '.join(last) or 'it printed nothing'}",
            where=log,
            way_out="Mend what it says and start again.",
        )


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
