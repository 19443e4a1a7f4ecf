"""prefect.yaml: what is deployed, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flows.serve import read_deployments
from sightline.errors import ParamsError
from sightline.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def by_flow() -> dict[tuple[str, str], object]:
    return {(d.entrypoint.rpartition(":")[2], d.name): d for d in read_deployments(ROOT / "prefect.yaml")}


def test_every_task_is_retrained_and_watched_on_a_schedule(by_flow: dict) -> None:
    assert set(by_flow) == {(flow, task) for flow in ("retrain", "monitor") for task in TASKS}
    for (_, task), deployment in by_flow.items():
        assert deployment.parameters["task"] == task
        assert deployment.schedules


def test_each_event_of_the_monitor_starts_the_retraining_of_its_task(by_flow: dict) -> None:
    emitted = set(re.findall(r'"(sightline\.\w+)"', (ROOT / "flows/monitor.py").read_text(encoding="utf-8")))
    assert emitted == {"sightline.drift", "sightline.labels"}
    for task in TASKS:
        triggers = by_flow["retrain", task].triggers
        assert {event for trigger in triggers for event in trigger.expect} == emitted
        for trigger in triggers:
            assert trigger.match == {"prefect.resource.id": f"sightline.task.{task}"}
            assert trigger.parameters == {"task": task, "reason": trigger.expect[0].removeprefix("sightline.")}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("deployments: [", r"not YAML \(line 1\)"),
        ("name: x\ndeployments: [{name: a, entrypoint: flows/other.py:x}]", "deployments.0.entrypoint"),
        ("name: x\ndeployments: [{name: a, entrypoint: flows/retrain.py:retrain, schedul: []}]", "schedul"),
        ("name: x", "deployments"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=complaint) as caught:
        read_deployments(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"there is no prefect\.yaml"):
        read_deployments(tmp_path / "prefect.yaml")
