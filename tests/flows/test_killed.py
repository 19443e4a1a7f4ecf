"""A retraining run that is killed anywhere goes on where it was: nothing is trained twice, nothing registered twice.

Real DVC, MLflow and Prefect, as processes, with the toy task.
"""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from sightline.runtime.processes import Group
from sightline.tracking import Tracking
from tests.flows.toy_folder import ToyFolder
from tests.warm.programs import warm_programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

POINTS = (
    "gate",
    "train threshold",
    "train constant",
    "evaluate threshold",
    "before version of threshold",
    "after version of threshold",
    "before version of constant",
    "before alias champion",
)
STARTED_AS_EVER = {"gate", "train threshold", "before alias champion"}
"""Where a stage, a second run and the run itself are killed as a person's would be; at the others warm programs are."""


def test_ctrl_c_ends_a_run_and_its_stage_without_a_traceback(folder: ToyFolder, prefect_server: Group) -> None:
    process = folder.start_until("gate", "retrain", "toy")
    process.send_signal(signal.SIGINT)  # the stage is in a group of its own
    _, output = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Run the command again to continue where it stopped" in output
    assert "Traceback" not in output
    folder.assert_stage_is_gone()


def test_a_run_killed_at_each_step_does_nothing_twice(
    folder: ToyFolder, prefect_server: Group, programs: Path, shared: Path
) -> None:
    warm = warm_programs(shared)
    for point in POINTS:
        folder.use(programs if point in STARTED_AS_EVER else warm)
        process = folder.start_until(point, "retrain", "toy")
        if point == "train threshold":
            assert_second_run_is_refused(folder, process.pid)
        folder.kill(process)

    folder.use(warm)
    status, output = folder.run_flow("retrain", "toy", fail="before alias champion")
    assert status == 0, output
    assert "the server went away" in output  # and was tried again

    # A training is begun again only where it was killed in the middle, and ended once.
    assert Counter(folder.counted()) == {
        "begun threshold": 2,
        "ended threshold": 1,
        "begun constant": 2,
        "ended constant": 1,
    }
    tracking = Tracking(folder.settings)
    versions = tracking.versions("toy")
    assert [version.tags["candidate"] for version in versions] == ["threshold", "constant"]
    assert len({version.run_id for version in versions}) == 2
    assert versions[0].aliases == ("champion", "threshold")
    assert [entry.document["outcome"] for entry in folder.events.history("toy", "promotion")] == ["promoted"]
    assert len(folder.events.history("toy", "run")) == 1
    assert Counter(run["state_type"] for run in folder.flow_runs("retrain")) == {
        "CRASHED": len(POINTS) + 1,  # with the interrupted one; none is shown as running for ever
        "FAILED": 1,  # the second run
        "COMPLETED": 1,
    }


def assert_second_run_is_refused(folder: ToyFolder, first: int) -> None:
    status, output = folder.run_flow("retrain", "toy")
    assert status == 7
    assert f"another run of this task is in progress (process {first}" in output
    assert "Traceback" not in output


def test_a_run_with_nothing_changed_trains_nothing(folder: ToyFolder, prefect_server: Group) -> None:
    before = folder.counted()
    status, output = folder.run_flow("retrain", "toy")
    assert status == 0, output
    assert "unchanged" in output
    assert folder.counted() == before
    assert len(Tracking(folder.settings).versions("toy")) == 2


def test_the_decision_is_shown_in_prefect(folder: ToyFolder, prefect_server: Group) -> None:
    pages = folder.ask("artifacts/latest/filter", {"artifacts": {"key": {"like_": "toy"}}})
    page = next(page["data"] for page in pages if page["key"] == "toy-decision")
    assert "/#/models/toy/versions/1" in page
    assert "| accuracy | 1.000 |" in page
