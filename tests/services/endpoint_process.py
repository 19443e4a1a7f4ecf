"""A real BentoML server in a process of its own, and plain clients for it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Running:
    """A started server: its port, its process group and its log."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status, and the parsed JSON or the bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            content = response.read()
            kind = response.getheader("content-type", "")
            return response.status, json.loads(content) if kind.startswith("application/json") else content
        finally:
            connection.close()

    def predict(self, image: bytes, **headers: str) -> tuple[int, Any]:
        """One upload."""
        return self.ask("POST", "/v1/predict", image, {"Content-Type": "image/png", **headers})

    def raw(self, request: bytes, timeout_s: float = 20) -> bytes:
        """What comes back for these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as connection:
            connection.sendall(request)
            answer = b""
            try:
                while piece := connection.recv(65536):
                    answer += piece
            except (TimeoutError, ConnectionResetError):
                pass
            return answer

    def wait_until_ready(self, version: int | None = None, timeout_s: float = 120) -> None:
        """Until some version, or this one, answers."""
        end_s = time.monotonic() + timeout_s
        last: Any = "no answer"
        while time.monotonic() < end_s:
            if self.process.poll() is not None:
                break
            try:
                status, last = self.ask("GET", "/v1/ready")
            except OSError:
                status = 0
            if status == 200 and version in (None, last["version"]):
                return
            time.sleep(0.2)
        raise AssertionError(f"not ready: {last}\n{self.log.read_text()}")


@contextmanager
def serve(service: str, root: Path, working_dir: Path = ROOT, **settings: str) -> Iterator[Running]:
    """Serve `module:Class` with the project folder `root`; stopped at the end, with all its processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = {f"SIGHTLINE_{name.upper()}": value for name, value in settings.items()}
    environment = {**os.environ, "BENTOML_DO_NOT_TRACK": "true", "SIGHTLINE_ROOT": str(root), **names}
    environment.setdefault("BENTOML_HOME", str(root / "bentoml"))
    command = [
        sys.executable,
        "-m",
        "bentoml",
        "serve",
        service,
        "--working-dir",
        str(working_dir),
        "--port",
        str(port),
    ]
    log = root / "endpoint.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield Running(port, process, log)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end; kill it if it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for the supervisor and its workers, which run in groups of their own."""
    supervisor = psutil.Process(process.pid)
    for member in (supervisor, *supervisor.children(recursive=True)):
        member.kill()
    process.wait(10)
