"""Server processes: started together, waited for until they answer, started again when they end, stopped together.

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
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sightline.errors import BackendError
from sightline.files import write_json

if TYPE_CHECKING:
    from sightline.task import Json

_START_S = 180.0  # a first start makes databases, and two cores start everything at once
_STOP_S = 15.0
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Before a server that ended is started again; after the last one it is left alone."""
_SOUND_S = 120.0  # one that ran so long is sound: what ended it starts the pauses anew

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
    """The servers, name -> address, that run now with their notes in this folder; empty where none does.

    The notes of a folder that was copied are those of the original's servers, which are not the copy's.
    """
    try:
        notes = json.loads(_notes(state).read_text(encoding="utf-8"))
        if notes.get("state", str(state.resolve())) != str(state.resolve()):
            return {}
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


def run_servers(state: Path, servers: Sequence[Server], say: Say, note: str = "") -> None:
    """Start the servers, tell their addresses and a note, and stay until interrupted.

    One that ends later is started again, after growing pauses, and the others go on. SIGINT, SIGTERM and SIGHUP stop
    all of them.

    Raises:
        BackendError: a port is taken, a server did not become ready, or all have ended again and again. None is left
            running.
    """
    check_ports(state, servers)
    group = Group(state, say)
    with interrupted_once():
        try:
            group.start(servers)
            group.note()
            if note:
                say(note)
            say("All servers are ready. Ctrl-C stops them.")
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
            f"the {server.name} server of this folder is running already",
            where=server.address,
            way_out=f"Use the running server, or stop it with Ctrl-C where it was started, or with `kill {process}`.",
        )
    return BackendError(
        f"the port of the {server.name} server is taken ({error.strerror})",
        where=server.address,
        way_out=f"Set {server.setting} to a free port, or stop the program that listens there.",
    )


@contextmanager
def interrupted_once() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, and a second signal does not disturb the stopping.

    Elsewhere than in the main thread nothing is changed.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        received.append(number)
        if len(received) == 1:
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
        self._ended: dict[str, _Ended] = {}
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
        servers: dict[str, Json] = {
            name: {"process": process.pid, "address": self._servers[name].address}
            for name, process in self._processes.items()
        }
        notes: dict[str, Json] = {"supervisor": os.getpid(), "state": str(self._state.resolve()), "servers": servers}
        write_json(_notes(self._state), notes)
        self._noted = True

    def wait(self, every_s: float = 0.5, pauses_s: Sequence[float] = _PAUSES_S) -> None:
        """Start again what ends, after growing pauses; return never.

        Raises:
            BackendError: all have ended once more than there are pauses; the last lines of one are in the message.
        """
        while True:
            for name in self._processes:
                self._revive(name, pauses_s)
            if all(ended.given_up for ended in self._ended.values()) and len(self._ended) == len(self._processes):
                raise self._failure(next(iter(self._ended)))
            time.sleep(every_s)

    def _revive(self, name: str, pauses_s: Sequence[float]) -> None:
        """Look after one server: note that it has ended, or start it again once its pause is over."""
        process, ended = self._processes[name], self._ended.get(name)
        if process.poll() is None:
            if ended and time.monotonic() - ended.started_s > _SOUND_S:
                del self._ended[name]
            return
        if ended is None:
            ended = self._ended[name] = _Ended()
        if ended.given_up:
            return
        if ended.due_s is None:
            _signal_group(process, signal.SIGKILL)  # a child it left would hold the port
            ended.times += 1
            if ended.times > len(pauses_s):
                ended.given_up = True
                self._say(f"{self._failure(name).what}. It is not started again; the other servers keep running.")
                return
            pause_s = pauses_s[ended.times - 1]
            ended.due_s = time.monotonic() + pause_s
            self._say(f"{self._failure(name).what}. It is started again in {pause_s:g} s; its log is {self.log(name)}.")
        elif time.monotonic() >= ended.due_s:
            ended.due_s, ended.started_s = None, time.monotonic()
            _close_input(process)
            self.launch(self._servers[name])
            if self._noted:
                self.note()

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
            _close_input(process)
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
            again = server.name in self._ended  # what it said before it ended stays
            with log.open("ab" if again else "wb") as output:
                self._processes[server.name] = subprocess.Popen(
                    (sys.executable, "-m", "sightline.runtime.tether", *server.command),
                    cwd=server.folder,
                    env={**os.environ, **server.environment},
                    stdin=subprocess.PIPE,  # never written to: it ends with us
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches `up` alone, which stops them in order
                )
        except OSError as error:
            raise BackendError(
                f"{server.name} cannot be started ({error.strerror})",
                where=log,
                way_out="Check the disk's free space and that the program can be executed.",
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
                    way_out=f"Its log says why: {self.log(server.name)}.",
                )
            time.sleep(0.2)
        self._check(server.name)
        self._say(f"{server.name:<9} {server.address or 'runs'}")

    def _check(self, name: str) -> None:
        if self._processes[name].poll() is not None:
            raise self._failure(name)

    def _failure(self, name: str) -> BackendError:
        log, status = self.log(name), self._processes[name].poll()
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        return BackendError(
            f"{name} ended with status {status}: {' | '.join(last) or 'it printed nothing'}",
            where=log,
            way_out="Correct the cause that it names, then start the servers again.",
        )


@dataclass
class _Ended:
    """A server that has ended.

    Attributes:
        times: how often.
        due_s: when it is started again; None while it runs.
        started_s: when it was last started again.
        given_up: it has ended too often.
    """

    times: int = 0
    due_s: float | None = None
    started_s: float = 0.0
    given_up: bool = False


def _close_input(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
