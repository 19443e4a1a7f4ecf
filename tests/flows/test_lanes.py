"""Tasks side by side: each in a process of its own, one Prefect server, one DVC repository, one registry for all.

Real DVC, MLflow and Prefect, as processes, with the toy task and its twin.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sightline.tracking import Tracking
from tests.flows.toy_folder import ToyFolder
from tests.warm.programs import warm_programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def programs(shared: Path) -> Path:
    return warm_programs(shared)


def test_two_tasks_side_by_side_come_to_what_each_comes_to_alone(folder: ToyFolder) -> None:
    folder.call("sightline", "data", "sample", "twin")
    outcome = folder.settings.root / "build" / "outcome.json"
    status, output = folder.run_flow("retrain", "toy", "twin", "--jobs", "2", "--outcome", str(outcome))
    assert status == 0, output
    documents = json.loads(outcome.read_text())
    assert {task: document["decision"]["outcome"] for task, document in documents.items()} == {
        "toy": "promoted",
        "twin": "promoted",
    }
    assert {line.partition(": ")[0] for line in output.splitlines()} == {"toy", "twin"}
    assert sorted(folder.counted()) == sorted(
        2 * ["begun threshold", "ended threshold", "begun constant", "ended constant"]
    )
    for task in ("toy", "twin"):
        assert len(Tracking(folder.settings).versions(task)) == 2
        assert len(folder.events.history(task, "run")) == 1


def test_a_task_that_fails_is_told_and_the_other_goes_on(folder: ToyFolder) -> None:
    shutil.rmtree(folder.settings.data / "twin")
    outcome = folder.settings.root / "build" / "outcome.json"
    outcome.unlink()
    status, output = folder.run_flow("retrain", "twin", "toy", "--jobs", "2", "--outcome", str(outcome))
    assert status == 4, output
    assert "twin: " in output
    assert "Traceback" not in output
    assert set(json.loads(outcome.read_text())) == {"toy"}
