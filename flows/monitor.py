"""The monitoring flow: has a task's input drifted? If so it asks for retraining, by an event.

It emits two events; the triggers in prefect.yaml start the retraining flow on them:

    sightline.drift     the inputs have drifted, and the cooldown since the last request has passed
    sightline.labels    labels have arrived that a retraining waits for
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from prefect import flow, task
from prefect.events import emit_event
from prefect.states import Completed

from flows.telling import keep_page, run_link, tell
from sightline.pipeline.project import Project, open_project
from sightline.pipeline.watch import Drift
from sightline.pipeline.watch import watch as compare
from sightline.settings import load_settings
from sightline.task import Json
from sightline.tracking import Tracking

if TYPE_CHECKING:
    from sightline.ledger import Entry


@task(persist_result=False, result_serializer="json")
def watch(name: str) -> Drift:
    """Compare the prediction log with the training reference; the report goes to MLflow."""
    project = open_project(name, load_settings())
    return compare(project, Tracking(project.settings))


@flow(flow_run_name="{task}", persist_result=False, result_serializer="json")
def monitor(task: str, settle_s: float = 60.0) -> Json:
    """Watch a task, and ask for retraining where it has drifted.

    Args:
        task: its name.
        settle_s: labels in the inbox count once nothing has been written there for so long.
    """
    project = open_project(task, load_settings())
    drift = watch(task)
    keep_page(task, "drift", _page(project, drift), "drift" if drift.verdict else "no drift")
    asked = project.ledger.last(task, "request")
    if _labels_are_waited_for(asked) and inbox_is_ready(project, settle_s):
        message = _ask(project, "sightline.labels", {"task": task, "state": "labels arrived"})
    elif not drift.verdict:
        message = f"No drift in {drift.rows} answers."
    elif asked is not None and time.time() - asked.time_s < project.params.watch.cooldown_h * 3600:
        message = f"Drift, but retraining was asked for less than {project.params.watch.cooldown_h:g} hours ago."
    else:
        message = _ask(
            project,
            "sightline.drift",
            {
                "task": task,
                "state": "asked",
                "reasons": list(drift.reasons),
                "most_drifted": list(drift.most_drifted),
                "report_run_id": drift.run_id,
            },
        )
    tell(message)
    return Completed(message=message, data={"task": task, "drift": drift.verdict, "message": message})


def inbox_is_ready(project: Project, settle_s: float) -> bool:
    """Whether there are files in the inbox, and none is still being written."""
    written_s = [path.stat().st_mtime for path in (project.settings.inbox / project.name).rglob("*") if path.is_file()]
    return bool(written_s) and time.time() - max(written_s) >= settle_s


def _labels_are_waited_for(asked: Entry | None) -> bool:
    return asked is not None and asked.document.get("state") == "labels needed"


def _ask(project: Project, event: str, document: Mapping[str, Json]) -> str:
    """Emit the event, then note it. Killed in between, the next run asks again: that does no harm."""
    resource = {"prefect.resource.id": f"sightline.task.{project.name}", "prefect.resource.name": project.name}
    emit_event(event=event, resource=resource, payload=dict(document))
    project.ledger.record("request", project.name, document)
    return f"Asked for retraining ({event})."


def _page(project: Project, drift: Drift) -> str:
    lines = [
        f"# {project.name}: {'drift' if drift.verdict else 'no drift'}",
        "",
        f"{drift.rows} answers compared with the training reference.",
        f"The report: {run_link(project.settings, drift.run_id)}",
        "",
        *(f"- {reason}" for reason in drift.reasons),
    ]
    return "\n".join(lines)
