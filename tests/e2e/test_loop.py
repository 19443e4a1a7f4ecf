"""The whole loop once, with real servers: traffic of a new kind -> drift -> the retraining finds no labels, lists the
images and stops -> labels arrive -> data version -> training -> new champion -> the running endpoint answers with it,
and the drift is gone.

The candidate is the plain one, fitted in seconds: what is shown is the loop, not the model.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightline.progress import Bars
from sightline.runtime.processes import answers
from sightline.runtime.servers import endpoint
from sightline.settings import Settings
from sightline.stores.database import Database
from sightline.stores.events import Events
from sightline.tasks import open_task, params_model
from sightline.tracking import Tracking
from tests.warm.programs import warm_programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

CODE = Path(__file__).resolve().parents[2]
TASK = "solar_farms"
PLACES = 24


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Installation:
    """A clone of the project with a small recipe, and its servers; programs are those of an environment's `bin`."""

    def __init__(self, root: Path, programs: Path) -> None:
        self.programs = programs
        mlflow, prefect, port = free_ports(3)
        self.settings = Settings(root=root, mlflow_port=mlflow, prefect_port=prefect, endpoint_port=port)
        self.endpoint = f"{endpoint(self.settings).address}/v1/{TASK}"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SIGHTLINE_"))},
            "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
            "SIGHTLINE_ROOT": str(root),
            "SIGHTLINE_MLFLOW_PORT": str(mlflow),
            "SIGHTLINE_PREFECT_PORT": str(prefect),
            "SIGHTLINE_ENDPOINT_PORT": str(port),
            "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        }
        subprocess.run(["git", "clone", "-q", str(CODE), str(root)], check=True)
        self.shrink()
        self.sightline("data", "sample", TASK)

    def shrink(self) -> None:
        """The candidate that is fitted in seconds, small images, and a look every 45 s."""
        path = self.settings.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        task = params[TASK]
        task["candidates"] = ["pixels"]
        task["data"] |= {"protocol": "holdout", "test_share": 0.3}  # drift is told from seven places or so
        task["sample"] |= {"places": PLACES, "side_px": 96, "empty_share": 0.0}
        task["promotion"] |= {"latency_ratio": 10.0}
        task["evaluate"] |= {"resamples": 100, "pictures": 2}
        task["schedule"] |= {"monitor": 45, "settle_s": 3}
        path.write_text(yaml.safe_dump(params))

    def sightline(self, *words: str) -> str:
        """Run the command line; what it printed."""
        command = [str(self.programs / "sightline"), *words]
        done = subprocess.run(
            command, cwd=self.settings.root, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def write_new_kind(self, folder: Path) -> list[Path]:
        """Labelled images of such places, twice as bright; those that can be uploaded."""
        task = yaml.safe_load((self.settings.root / "params.yaml").read_text())[TASK]
        task["sample"] |= {"seed": 7}
        task["sample"]["sight"]["gain"] = [1.9, 2.1]
        params = params_model(TASK).model_validate({**task, "train": task["train"]["cpu"]})
        with Bars("new kind") as bars:
            open_task(TASK, params).sample(folder, bars)
        return sorted(folder.rglob("input/*.tif"))

    def ask(self, image: Path) -> dict[str, Any]:
        """The endpoint's answer to an image."""
        request = urllib.request.Request(
            f"{self.endpoint}/predict?source={image.name}",
            data=image.read_bytes(),
            headers={"Content-Type": "image/tiff"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as answer:
            return dict(json.loads(answer.read()))

    @property
    def events(self) -> Events:
        return Events(Database(self.settings.database_url))

    def logs(self) -> str:
        """The last lines of all servers, for a failed test."""
        files = sorted((self.settings.state / "logs").glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-2500:]}" for file in files)

    def wait_for(self, what: str, found: Callable[[], Any], limit_s: float = 900) -> Any:
        deadline_s = time.monotonic() + limit_s
        while time.monotonic() < deadline_s:
            answer = found()
            if answer:
                return answer
            time.sleep(1)
        raise AssertionError(f"{what} did not come\n{self.logs()}")


@pytest.fixture(scope="module")
def installation(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("loop") / "sightline", warm_programs(shared))


@pytest.fixture(scope="module")
def up(installation: Installation) -> Iterator[subprocess.Popen[str]]:
    """`sightline up`, once a first model was trained."""
    installation.sightline("run", TASK)
    process = subprocess.Popen(
        [str(installation.programs / "sightline"), "up"],
        cwd=installation.settings.root,
        env=installation.environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if "All servers are ready" in line:
                break
        assert "All servers are ready" in said[-1], said
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_the_loop(installation: Installation, up: subprocess.Popen[str], tmp_path: Path) -> None:
    events, tracking = installation.events, Tracking(installation.settings)
    first = tracking.current(TASK, "champion")
    assert first is not None
    before = tracking.version(TASK, "champion").tags["data_version"]

    # Traffic of a new kind, and what becomes of it without anybody's doing.
    images = installation.write_new_kind(tmp_path / "new")
    # An endpoint lives before its champion is loaded.
    installation.wait_for("the champion", lambda: answers(f"{installation.endpoint}/ready"))
    assert {installation.ask(image)["version"] for image in images} == {first}

    def asked(state: str) -> Callable[[], Any]:
        return lambda: [e for e in events.history(TASK, "request") if e.document["state"] == state]

    installation.wait_for("the request", asked("asked"))
    needed = installation.wait_for("the list of images", asked("labels needed"))[0]
    with Path(needed.document["to_label"]).open(newline="") as file:
        listed = {line["image"] for line in csv.DictReader(file)}
    assert listed
    assert listed <= {image.name for image in images}
    assert tracking.current(TASK, "champion") == first

    # Somebody labels them.
    shutil.copytree(tmp_path / "new", installation.settings.inbox / TASK, dirs_exist_ok=True)
    installation.wait_for("the second request", asked("labels arrived"))
    second = installation.wait_for(
        "a new champion", lambda: (n := tracking.current(TASK, "champion")) != first and n, limit_s=1800
    )
    assert tracking.version(TASK, "champion").tags["data_version"] != before
    installation.wait_for("the new answer", lambda: installation.ask(images[0])["version"] == second)

    # The same traffic is no news to the new champion.
    assert {installation.ask(image)["version"] for image in images} == {second}
    calm = installation.wait_for(
        "another look",
        lambda: [
            e for e in events.history(TASK, "drift") if e.document["version"] == second and e.document["rows"] >= PLACES
        ],
    )
    assert {entry.document["state"] for entry in calm} <= {"same", "changed"}, calm[-1].document["reasons"]


def test_nothing_of_the_servers_is_left(installation: Installation, up: subprocess.Popen[str]) -> None:
    up.send_signal(signal.SIGINT)
    up.wait(timeout=60)
    assert up.returncode == 0
    settings = installation.settings
    for port in (settings.mlflow_port, settings.prefect_port, settings.endpoint_port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
