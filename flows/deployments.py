"""Two deployments a task: its retraining and its monitoring, by the schedule in params.yaml and the monitor's events.

`python -m flows.deployments`, as `sightline up` starts it, serves them: starts their runs until it is stopped. It needs
a Prefect server (PREFECT_API_URL).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sightline.cli import guarded
from sightline.errors import ParamsError
from sightline.params import FlowParams, TaskParams, load_section
from sightline.settings import Settings, load_settings
from sightline.tasks import TASKS, params_model

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment
    from prefect.events import DeploymentEventTrigger
    from prefect.schedules import Schedule

EVENTS = {
    "drift": "its inputs have drifted, and the cooldown since the last request has passed",
    "labels": "labels have arrived that a retraining waits for",
}
"""What the monitor emits as `sightline.<name>`, and a retraining starts on."""


def deployments_of(settings: Settings, tasks: Iterable[str] = TASKS) -> list[RunnerDeployment]:
    """The deployments of the tasks, by params.yaml.

    Raises:
        ParamsError: a section is absent or wrong, or Prefect refuses a cron line or the timezone.
    """
    path, found = settings.root / "params.yaml", []
    for name in tasks:
        params: TaskParams = load_section(path, name, params_model(name))
        try:
            found += [_retraining(name, params.schedule), _monitoring(name, params.schedule)]
        except ValueError as error:
            way_out = "Write a cron line of five fields, or a number of seconds, as docs/how-to/schedule.md describes."
            text = str(error).splitlines()[0]
            raise ParamsError(text, where=f"{path}: {name}.schedule", way_out=way_out) from error
    return found


def _retraining(task: str, schedule: FlowParams) -> RunnerDeployment:
    from flows.retrain import retrain

    return _deployment(
        retrain,
        task,
        "Takes in new labels, validates, trains, evaluates, registers and promotes; steps without changes are skipped.",
        {"task": task, "reason": "schedule", "wait_s": schedule.wait_s},
        _when(schedule.retrain, schedule.timezone),
        [_trigger(task, event) for event in EVENTS],
    )


def _monitoring(task: str, schedule: FlowParams) -> RunnerDeployment:
    from flows.monitor import monitor

    return _deployment(
        monitor,
        task,
        "Compares the prediction log with the training reference, and requests retraining on drift.",
        {"task": task, "settle_s": schedule.settle_s},
        _when(schedule.monitor, schedule.timezone),
        [],
    )


def _deployment(
    flow: Any,
    task: str,
    description: str,
    parameters: dict[str, Any],
    schedules: list[Schedule],
    triggers: list[Any],
) -> RunnerDeployment:
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType

    return RunnerDeployment.from_flow(
        flow,
        name=task,
        description=description,
        tags=[task],
        parameters=parameters,
        schedules=schedules,
        triggers=triggers,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def _trigger(task: str, event: str) -> DeploymentEventTrigger:
    from prefect.events import DeploymentEventTrigger

    return DeploymentEventTrigger(
        name=f"{task} retrains: {EVENTS[event]}",
        expect={f"sightline.{event}"},
        match={"prefect.resource.id": f"sightline.task.{task}"},
        parameters={"task": task, "reason": event},
    )


def _when(when: str | float, timezone: str) -> list[Schedule]:
    """A cron line, so many seconds between two starts, or nothing."""
    from prefect.schedules import Cron, Interval

    if isinstance(when, str):
        return [Cron(when, timezone=timezone)] if when else []
    return [Interval(timedelta(seconds=when), timezone=timezone)]


def main() -> None:
    """Register the deployments with the server and serve them."""
    deployments = deployments_of(load_settings())
    from prefect import serve

    # Stopping is no wish to pause: the next start goes on with the schedules.
    serve(*deployments, pause_on_shutdown=False, print_starting_message=False)


if __name__ == "__main__":
    guarded(main)
