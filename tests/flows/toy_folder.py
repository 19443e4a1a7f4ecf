"""A project folder with the toy task and its twin, git and DVC, in which the real programs run as processes."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

from sightline.runtime.processes import Server, running
from sightline.runtime.secret import read_secret
from sightline.settings import Settings
from sightline.stores.database import Database
from sightline.stores.events import Events
from sightline.stores.predictions import Predictions
from tests.toy import PARAMS

CODE = Path(__file__).resolve().parents[2]

STAGES = """
  validate-TASK:
    cmd: sightline validate TASK
    deps: [data/TASK]
    params: [TASK]
    outs: [build/validation/TASK/verdict.json]
  train-TASK:
    foreach: [threshold, constant]
    do:
      cmd: sightline train TASK --candidate ${item}
      deps: [data/TASK, build/validation/TASK/verdict.json]
      params: [TASK]
      outs: ["build/models/TASK/${item}"]
  evaluate-TASK:
    foreach: [threshold, constant]
    do:
      cmd: sightline evaluate TASK --candidate ${item} --stage
      deps: ["build/models/TASK/${item}", data/TASK]
      params: [TASK]
      outs: ["build/evaluations/TASK/${item}"]
"""
DVC_YAML = "stages:" + "".join(STAGES.replace("TASK", task) for task in ("toy", "twin"))

SCHEDULE = {"retrain": "", "monitor": 40, "timezone": "UTC", "wait_s": 300, "settle_s": 3}


class ToyFolder:
    """The folder, and how to run programs in it, which are those of an environment's `bin`."""

    def __init__(self, root: Path, programs: Path) -> None:
        self.settings = Settings(root=root)
        self.counts, self.stopped = root / "counts.txt", root / "stopped.txt"
        self.environment: dict[str, str] = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SIGHTLINE_"))},
            "PYTHONPATH": os.pathsep.join([str(CODE / "tests" / "flows" / "toy_site"), str(CODE / "src")]),
            "TOY_COUNTS": str(self.counts),
            "TOY_STOPPED": str(self.stopped),
            "SIGHTLINE_ROOT": str(root),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "OMP_NUM_THREADS": "1",
        }
        self.use(programs)
        params = PARAMS.model_dump(mode="json") | {"train": {"cpu": {}}, "schedule": SCHEDULE}
        (root / "params.yaml").write_text(json.dumps({"profile": "cpu", "toy": params, "twin": params}))  # JSON is YAML
        (root / "dvc.yaml").write_text(DVC_YAML)
        (root / ".gitignore").write_text("/build/\n/state/\n/mlruns/\n/data/\n/inbox/\n/counts.txt\n/stopped.txt\n")
        self.call("git", "init", "-q")
        self.call("dvc", "init", "-q")
        self.call("git", "add", "-A")
        self.call("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start")
        self.call("sightline", "data", "sample", "toy")

    def use(self, programs: Path) -> None:
        """Run the programs of another environment's `bin` from now on."""
        self.programs = programs
        self.environment["PATH"] = os.pathsep.join([str(programs), os.environ["PATH"]])

    def call(self, *command: str) -> str:
        """Run a program in the folder; what it printed."""
        done = subprocess.run(
            command, cwd=self.settings.root, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def start_flow(self, *words: str, stop: str = "", fail: str = "") -> subprocess.Popen[str]:
        """Start `python -m flows ..` in a process group of its own, to wait or to fail once at a point."""
        return subprocess.Popen(
            [self.programs / "python", "-m", "flows", *words],
            cwd=CODE,
            env={**self.environment, "TOY_STOP": stop, "TOY_FAIL": fail},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run_flow(self, *words: str, fail: str = "") -> tuple[int, str]:
        """Run `python -m flows ..` to its end; exit status and what it told."""
        process = self.start_flow(*words, fail=fail)
        _, output = process.communicate(timeout=600)
        return process.returncode, output

    def start_until(self, point: str, *words: str) -> subprocess.Popen[str]:
        """Start a flow and return when it waits at a point."""
        self.stopped.unlink(missing_ok=True)
        process = self.start_flow(*words, stop=point)
        while not self.stopped.exists() or not self.stopped.read_text():
            if process.poll() is not None:
                raise AssertionError(f"{point!r} was not reached: {process.communicate()[1]}")
            time.sleep(0.05)
        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill the process group of a flow that waits; returns once nothing of it lives."""
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        self.assert_stage_is_gone()

    def assert_stage_is_gone(self) -> None:
        """A stage ends with the run that started it."""
        waiting = Path("/proc") / self.stopped.read_text()
        deadline_s = time.monotonic() + 30
        while waiting.exists() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert not waiting.exists()

    def adopt(self, server: Server, **variables: str) -> Server:
        """The server with this folder's environment, and some variables."""
        return replace(server, environment={**self.environment, **server.environment, **variables})

    @property
    def prefect_address(self) -> str:
        """Of the Prefect server that runs for it."""
        return running(self.settings.state)["prefect"]

    def flow_runs(self, flow: str) -> list[dict[str, Any]]:
        """The runs of a flow that its Prefect server knows, oldest first."""
        query = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_ASC"}
        return self.ask("flow_runs/filter", query)

    def ask(self, path: str, query: dict[str, Any]) -> Any:
        """POST to the API of its Prefect server, with the secret and a token of this session, as a client does."""
        token = self._send("csrf-token?client=tests", {})["token"]
        headers = {"Content-Type": "application/json", "Prefect-Csrf-Client": "tests", "Prefect-Csrf-Token": token}
        return self._send(path, headers, json.dumps(query).encode())

    def _send(self, path: str, headers: dict[str, str], body: bytes | None = None) -> Any:
        known = base64.b64encode(read_secret(self.settings.state).encode()).decode()
        request = urllib.request.Request(
            f"{self.prefect_address}/api/{path}", body, {"Authorization": f"Basic {known}", **headers}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.loads(answer.read())

    def counted(self) -> list[str]:
        """Trainings that were begun and ended, in order."""
        return self.counts.read_text().split("\n")[:-1] if self.counts.exists() else []

    @property
    def events(self) -> Events:
        return Events(Database(self.settings.database_url))

    @property
    def predictions(self) -> Predictions:
        return Predictions(Database(self.settings.database_url))
