"""Served flows: a schedule of seconds starts runs; drift asks for retraining, which asks for labels, which come.

Real Prefect, DVC and MLflow, as processes, with the toy task. One story, in the order of the tests.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.limits import Limits
from sightline.runtime.processes import Group, Server
from sightline.runtime.servers import prefect_environment
from sightline.stores.predictions import Answer
from sightline.tracking import Tracking
from tests.flows.toy_folder import CODE, ToyFolder
from tests.toy import ToyTask, write_set
from tests.warm.programs import warm_programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def programs(shared: Path) -> Path:
    return warm_programs(shared)


@pytest.fixture(scope="module")
def served(folder: ToyFolder, prefect_server: Group) -> Group:
    """The deployments of the folder's task, served."""
    server = Server(
        "flows",
        (str(folder.programs / "python"), "-m", "flows.deployments"),
        CODE,
        environment=prefect_environment(folder.settings),
    )
    api = f"{folder.prefect_address}/api"
    prefect_server.launch(folder.adopt(server, PREFECT_API_URL=api, PREFECT_RUNNER_POLL_FREQUENCY="2"))
    return prefect_server


def wait_for(what: str, found: Callable[[], Any], folder: ToyFolder, limit_s: float = 600) -> Any:
    """Ask until there is an answer."""
    deadline_s = time.monotonic() + limit_s
    while time.monotonic() < deadline_s:
        answer = found()
        if answer:
            return answer
        time.sleep(1)
    log = (folder.settings.state / "logs" / "flows.log").read_text()
    raise AssertionError(f"{what} did not come\n{log[-3000:]}")


def run_with(folder: ToyFolder, flow: str, message: str) -> Callable[[], Any]:
    """Finds a completed run whose state says `message`."""

    def find() -> Any:
        runs = folder.flow_runs(flow)
        assert not [run["state"]["message"] for run in runs if run["state_type"] == "FAILED"]
        ended = [run for run in runs if run["state_type"] == "COMPLETED"]
        return next((run for run in ended if message in (run["state"]["message"] or "")), None)

    return find


def retrainings_for(reason: str, folder: ToyFolder) -> list[dict[str, Any]]:
    """The completed ones that were asked for so."""
    ended = [run for run in folder.flow_runs("retrain") if run["state_type"] == "COMPLETED"]
    return [run for run in ended if run["parameters"]["reason"] == reason]


def log_answers(folder: ToyFolder, seed: int, brightness: int, name: str) -> None:
    """Put what the champion answers to a set of images into the prediction log."""
    images = folder.settings.root / "traffic" / name
    write_set(images, groups=24, frames=2, seed=seed, brightness=brightness)
    tracking = Tracking(folder.settings)
    champion = tracking.version("toy", "champion")
    model = ToyTask().restore(tracking.directory(champion))
    for path in sorted(images.glob("*.png")):
        source = model.read(path, Limits())
        prediction = model.predict([source])[0]
        folder.predictions.log(
            [Answer("toy", champion.number, source.sha256, path.name, prediction.row, prediction.embedding)]
        )


def test_a_schedule_of_seconds_starts_a_run(folder: ToyFolder, served: Group) -> None:
    run = wait_for("a scheduled run", run_with(folder, "monitor", "there is no champion yet"), folder)
    assert run["auto_scheduled"]


def test_drift_asks_for_retraining_which_asks_for_labels(folder: ToyFolder, served: Group) -> None:
    given = folder.settings.root / "given"
    write_set(given, groups=24, frames=2, seed=5)
    folder.call("sightline", "data", "add", "toy", str(given))
    status, output = folder.run_flow("retrain", "toy")
    assert status == 0, output
    assert len(Tracking(folder.settings).versions("toy")) == 2

    log_answers(folder, seed=6, brightness=60, name="bright")
    wait_for("the request", run_with(folder, "monitor", "Requested retraining (sightline.drift)"), folder)
    run = wait_for("the retraining", run_with(folder, "retrain", "Labels are needed"), folder)
    assert run["state_name"] == "LabelsNeeded"
    assert run["parameters"]["reason"] == "drift"

    listed = folder.settings.build / "watch" / "toy" / "to_label.csv"
    with listed.open(newline="") as file:
        images = [line["image"] for line in csv.DictReader(file)]
    assert images
    assert all(image.startswith("g6x") for image in images)
    assert len(Tracking(folder.settings).versions("toy")) == 2
    pages = folder.ask("artifacts/latest/filter", {"artifacts": {"key": {"like_": "toy-labels"}}})
    assert images[0] in pages[0]["data"]


def test_it_does_not_ask_again_before_the_cooldown_has_passed(folder: ToyFolder, served: Group) -> None:
    wait_for(
        "another look", run_with(folder, "monitor", "There is drift, but retraining was already requested"), folder
    )
    assert len(folder.events.history("toy", "request")) == 2  # the monitor's, and the retraining's


def test_labels_that_were_waited_for_start_the_training(folder: ToyFolder, served: Group) -> None:
    write_set(folder.settings.inbox / "toy", groups=24, frames=2, seed=6, brightness=60)
    wait_for("the second request", run_with(folder, "monitor", "Requested retraining (sightline.labels)"), folder)
    versions = wait_for("new versions", lambda: Tracking(folder.settings).versions("toy")[3:], folder, 1200)
    assert len(versions) == 1
    run = wait_for("the end", lambda: retrainings_for("labels", folder), folder)[0]
    assert "Version" in run["state"]["message"]
    assert len({version.tags["data_version"] for version in Tracking(folder.settings).versions("toy")}) == 2
    assert [len(entry.document["samples"]) for entry in folder.events.history("toy", "intake")] == [48]
