"""What is deployed: every task, from the one list of tasks and params.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.deployments import EVENTS, deployments_of
from sightline.errors import ParamsError
from sightline.settings import Settings
from sightline.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def by_flow() -> dict[tuple[str, str], Any]:
    return {(one.flow_name, one.name): one for one in deployments_of(Settings(root=ROOT))}


def test_every_task_is_retrained_and_watched_on_a_schedule(by_flow: dict[tuple[str, str], Any]) -> None:
    assert set(by_flow) == {(flow, task) for flow in ("retrain", "monitor") for task in TASKS}
    for (_, task), deployment in by_flow.items():
        assert deployment.parameters["task"] == task
        assert len(deployment.schedules) == 1


def test_no_two_retrainings_begin_at_the_same_time(by_flow: dict[tuple[str, str], Any]) -> None:
    crons = [one.schedules[0].schedule.cron for (flow, _), one in by_flow.items() if flow == "retrain"]
    assert len(set(crons)) == len(TASKS)


def test_each_event_of_the_monitor_starts_the_retraining_of_its_task(by_flow: dict[tuple[str, str], Any]) -> None:
    emitted = set(re.findall(r'"sightline\.(\w+)"', (ROOT / "flows/monitor.py").read_text(encoding="utf-8")))
    assert emitted == set(EVENTS)
    for task in TASKS:
        triggers = by_flow["retrain", task].triggers
        assert {event for trigger in triggers for event in trigger.expect} == {f"sightline.{one}" for one in emitted}
        for trigger in triggers:
            (event,) = trigger.expect
            assert str(trigger.match.root["prefect.resource.id"]) == f"sightline.task.{task}"
            assert trigger.parameters == {"task": task, "reason": event.removeprefix("sightline.")}


def folder_with(tmp_path: Path, schedule: dict[str, Any]) -> Settings:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["ships"]["schedule"] |= schedule
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return Settings(root=tmp_path)


def test_a_schedule_may_be_seconds_or_never(tmp_path: Path) -> None:
    retrain, monitor = deployments_of(folder_with(tmp_path, {"retrain": "", "monitor": 40}), ["ships"])
    assert retrain.schedules == []
    assert [one.schedule.interval.total_seconds() for one in monitor.schedules] == [40]


@pytest.mark.parametrize(
    "schedule", [{"retrain": "at noon"}, {"monitor": 0}, {"timezone": "Mars/Olympus"}, {"retrian": ""}]
)
def test_a_wrong_schedule_is_refused_by_name(tmp_path: Path, schedule: dict[str, Any]) -> None:
    settings = folder_with(tmp_path, schedule)
    with pytest.raises(ParamsError, match=r"ships.*schedule") as caught:
        deployments_of(settings, ["ships"])
    assert str(tmp_path / "params.yaml") in str(caught.value)
