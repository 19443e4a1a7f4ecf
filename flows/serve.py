"""Serves the deployments of prefect.yaml: starts their runs on schedule and on events, until it is stopped.

`python -m flows.serve`, as `sightline up` starts it; it needs a Prefect server (PREFECT_API_URL).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import Field, ValidationError

from sightline.cli import guarded
from sightline.errors import ParamsError
from sightline.params import Frozen, line_of
from sightline.settings import load_settings

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Schedule


class Timing(Frozen):
    """When to start runs: a cron line, or every so many seconds."""

    cron: str = ""
    interval: float = Field(default=0, ge=0)  # Prefect's word; seconds
    timezone: str = "UTC"


class Trigger(Frozen):
    """The event that starts a run, and the parameters it starts with."""

    name: str
    type: Literal["event"]
    expect: tuple[str, ...]
    match: dict[str, str]
    parameters: dict[str, Any] = Field(default_factory=dict)


class Deployment(Frozen):
    """One item of prefect.yaml: the keys of Prefect that are used here."""

    name: str
    entrypoint: Literal["flows/retrain.py:retrain", "flows/monitor.py:monitor"]
    description: str = ""
    tags: tuple[str, ...] = ()
    parameters: dict[str, Any] = Field(default_factory=dict)
    schedules: tuple[Timing, ...] = ()
    triggers: tuple[Trigger, ...] = ()


class PrefectFile(Frozen):
    """prefect.yaml."""

    name: str
    deployments: tuple[Deployment, ...]


def read_deployments(path: Path) -> tuple[Deployment, ...]:
    """The deployments that a prefect.yaml lists.

    Raises:
        ParamsError: the file is absent, not YAML, or has a key or a value that does not fit.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return PrefectFile.model_validate(raw).deployments
    except FileNotFoundError as error:
        raise ParamsError("there is no prefect.yaml", where=path, way_out="Restore it from git.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(
            f"this is not YAML{line_of(error)}", where=path, way_out="Mend that line, or restore the file from git."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ParamsError(first["msg"], where=f"{path}: {field}", way_out="See docs/how-to/schedule.md.") from error


def build(deployment: Deployment) -> RunnerDeployment:
    """Prefect's own object for a deployment.

    Raises:
        ParamsError: Prefect refuses the cron line, the timezone or the parameters.
    """
    from prefect.deployments.runner import RunnerDeployment
    from prefect.events import DeploymentEventTrigger
    from prefect.types.entrypoint import EntrypointType

    from flows.monitor import monitor
    from flows.retrain import retrain

    flow: Any = {"retrain": retrain, "monitor": monitor}[deployment.entrypoint.rpartition(":")[2]]
    try:
        return RunnerDeployment.from_flow(
            flow,
            name=deployment.name,
            description=deployment.description,
            tags=list(deployment.tags),
            parameters=deployment.parameters,
            schedules=[_schedule(timing) for timing in deployment.schedules],
            triggers=[
                DeploymentEventTrigger(
                    name=trigger.name,
                    expect=set(trigger.expect),
                    match=dict(trigger.match),
                    parameters=trigger.parameters,
                )
                for trigger in deployment.triggers
            ],
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
    except ValueError as error:
        text = str(error).splitlines()[0]
        raise ParamsError(
            text, where=f"prefect.yaml: {deployment.name}", way_out="docs/how-to/schedule.md says what each key takes."
        ) from error


def _schedule(timing: Timing) -> Schedule:
    from prefect.schedules import Cron, Interval

    if bool(timing.cron) == bool(timing.interval):
        raise ValueError("a schedule has either cron or interval")
    if timing.cron:
        return Cron(timing.cron, timezone=timing.timezone)
    return Interval(timedelta(seconds=timing.interval), timezone=timing.timezone)


def main() -> None:
    """Register the deployments with the server and serve them."""
    deployments = read_deployments(load_settings().root / "prefect.yaml")
    from prefect import serve

    # Stopping is no wish to pause: the next start goes on with the schedules.
    serve(*(build(deployment) for deployment in deployments), pause_on_shutdown=False, print_starting_message=False)


if __name__ == "__main__":
    guarded(main)
