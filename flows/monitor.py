"""The monitoring flow: has a task's input drifted? If so it asks for retraining, by an event.

It emits two events; those triggers of `deployments` start the retraining flow on them:

    sightline.drift     the inputs have drifted, and the cooldown since the last request has passed
    sightline.labels    labels have arrived that a retraining waits for
"""

from __future__ import annotations

import time

from prefect import flow, runtime, task
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed

from flows.exclusive import exclusive, holder
from flows.retrying import STEP
from flows.telling import keep_page, run_link, tell
from sightline.errors import ModelMissing
from sightline.pipeline.labels import labels_have_arrived
from sightline.pipeline.project import Project, open_project
from sightline.pipeline.records import Request, enter
from sightline.pipeline.watch import Drift, check_drift, should_ask_retraining
from sightline.settings import load_settings
from sightline.task import Json
from sightline.tracking import Tracking

_WAIT_S = 600.0  # if two begin at the same moment


@task(**STEP)
def watch(name: str) -> Drift:
    """Compare the prediction log with the training reference; the report goes to MLflow."""
    project = open_project(name, load_settings())
    return check_drift(project, Tracking(project.settings))


@flow(flow_run_name="{task}", persist_result=False, result_serializer="json")
def monitor(task: str, settle_s: float = 60.0) -> State[Json]:
    """Watch a task, and ask for retraining where it has drifted.

    Args:
        task: its name.
        settle_s: labels in the inbox count once nothing has been written there for so long.
    """
    project = open_project(task, load_settings())
    lock = f"{task}.watch"  # two looks at once would ask twice
    other = holder(project.settings, lock)
    if other:
        message = f"Another check for drift is in progress ({other})."
    else:
        with exclusive(project.settings, lock, str(runtime.flow_run.id or ""), wait_s=_WAIT_S):
            message = _check(project, settle_s)
    tell(f"{task}: {message}")
    return Completed(message=message, data={"task": task, "message": message})


def _check(project: Project, settle_s: float) -> str:
    """Watch, and ask where there is a reason to; what was done."""
    try:
        drift = watch(project.name)
    except ModelMissing:
        return "Drift was not checked: there is no champion yet."
    keep_page(project.name, "drift", _page(project, drift), drift.state)
    if labels_have_arrived(project, settle_s):
        return _ask(project, "sightline.labels", Request(state="labels arrived"))
    if not drift.known:
        return f"Drift is not known: {drift.reasons[0]}."
    if not drift.verdict:
        return f"No drift in {drift.rows} inputs ({drift.state})."
    if not should_ask_retraining(project, drift):
        return f"There is drift, but retraining was already requested {_ago(project)}."
    request = Request(state="asked", reasons=drift.reasons, report_run_id=drift.run_id)
    return _ask(project, "sightline.drift", request)


def _ago(project: Project) -> str:
    asked = project.events.last(project.name, Request.kind)
    assert asked is not None  # else it would be asked now
    return f"{(time.time() - asked.time_s) / 3600:.1f} hours ago"


def _ask(project: Project, event: str, request: Request) -> str:
    """Emit the event, then note it. Killed in between, the next run asks again: that does no harm."""
    resource = {"prefect.resource.id": f"sightline.task.{project.name}", "prefect.resource.name": project.name}
    emit_event(event=event, resource=resource, payload=request.document())
    enter(project.events, project.name, request)
    return f"Requested retraining ({event})."


def _page(project: Project, drift: Drift) -> str:
    lines = [
        f"# {project.name}: {drift.state}",
        "",
        f"{drift.rows} inputs of version {drift.version} compared with all labelled samples, "
        "its predictions with those of its evaluation.",
        f"The report: {run_link(project.settings, drift.run_id)}",
        "",
        *(f"- {reason}" for reason in drift.reasons),
    ]
    return "\n".join(lines)
