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
from collections.abc import Callable, Iterator
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

    def wait_until_ready(self, version: int | None = None) -> None:
        """Until some version, or this one, answers."""
        self.wait_until(lambda status, document: status == 200 and version in (None, document.get("version")))

    def wait_until(self, so: Callable[[int, Any], bool], timeout_s: float = 180) -> Any:
        """Until `so(status, document)` of /v1/ready holds; the document."""
        end_s = time.monotonic() + timeout_s
        last: Any = "no answer"
        while time.monotonic() < end_s and self.process.poll() is None:
            try:
                status, last = self.ask("GET", "/v1/ready")
                if so(status, last):
                    return last
            except OSError:
                pass  # not listening yet
            time.sleep(0.1)
        raise AssertionError(f"waited in vain: {last}\n{self.log.read_text()}")


@contextmanager
def serve(service: str, root: Path, python: str = sys.executable, **settings: str) -> Iterator[Running]:
    """Serve `module:Class`, or the folder of a bento, with the project folder `root`; stopped at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = {f"SIGHTLINE_{name.upper()}": value for name, value in settings.items()}
    environment = {**os.environ, "BENTOML_DO_NOT_TRACK": "true", "SIGHTLINE_ROOT": str(root), **names}
    environment.setdefault("BENTOML_HOME", str(root / "bentoml"))
    command = [python, "-m", "bentoml", "serve", service, "--port", str(port)]
    if ":" in service:
        command += ["--working-dir", str(ROOT)]
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
