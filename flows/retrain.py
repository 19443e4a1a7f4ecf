"""The retraining flow: new labels in -> validate -> train -> evaluate -> register -> promote.

Every step is safe to repeat: DVC skips the stages whose inputs have not changed, a training goes on from its
checkpoint, registering looks for the stage's key first, and a decision is taken once. So a run that was killed
anywhere is simply run again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from prefect import flow, runtime, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Crashed

from flows.exclusive import exclusive
from flows.retrying import STEP
from flows.telling import decision_page, keep_page, labels_page, tell
from sightline import versions
from sightline.pipeline import data, labels, outcome
from sightline.pipeline.project import Project, open_project
from sightline.pipeline.promote import promote_best
from sightline.pipeline.records import Decision
from sightline.pipeline.register import register_candidates
from sightline.pipeline.stages import evaluate_stage, stages_of, train_stage, validate_stage
from sightline.progress import Bars
from sightline.settings import load_settings
from sightline.task import Json
from sightline.tracking import Tracking, Version

Reason = Literal["request", "schedule", "drift", "labels"]


def _open(name: str) -> Project:
    return open_project(name, load_settings())


@task(**STEP)
def take_in(name: str) -> int:
    """Take new labels from the inbox into the data, as a new data version; how many samples came."""
    return data.take_in(_open(name))


@task(**STEP)
def validate(name: str) -> None:
    """Ask the gate."""
    project = _open(name)
    project.require_sets()  # DVC would tell of a missing folder as of any failure, and that is tried again
    versions.repro(project.settings, validate_stage(name))


@task(**STEP)
def train(name: str, candidates: Sequence[str]) -> None:
    """Train those candidates of which something has changed, one after the other: they share cores and DVC's lock."""
    versions.repro(load_settings(), *(train_stage(name, candidate) for candidate in candidates))


@task(**STEP)
def evaluate(name: str, candidates: Sequence[str]) -> None:
    """Evaluate those candidates of which something has changed."""
    versions.repro(load_settings(), *(evaluate_stage(name, candidate) for candidate in candidates))


@task(**STEP)
def register(name: str) -> list[Version]:
    """Make a model version of each candidate that is not registered yet."""
    project = _open(name)
    return register_candidates(project, Tracking(project.settings))


@task(**STEP)
def promote(name: str, challengers: Sequence[Version]) -> Decision:
    """Let the best become champion if it may."""
    project = _open(name)
    with Bars("promote") as bars:
        return promote_best(project, Tracking(project.settings), challengers, bars)


# Parameter names are what Prefect's UI says.
@flow(flow_run_name="{task}: {reason}", persist_result=False, result_serializer="json")
def retrain(task: str, reason: Reason = "request", wait_s: float = 0.0) -> State[Json]:
    """Bring a task's models up to its data; only what has changed is done.

    A run that drift asked for stops where there are no new labels, and lists the images to label.

    Args:
        task: its name.
        reason: who asks: a person, the schedule, drift, or labels that were waited for.
        wait_s: seconds to wait for another run of the task in this folder.
    """
    project = _open(task)
    run_id = str(runtime.flow_run.id or "")
    with exclusive(project.settings, task, run_id, wait_s, tell) as killed:
        if killed:
            _bury(killed)
        started_s = time.time()
        taken = take_in(task)
        stages = stages_of(task, project.params.candidates)
        if reason == "drift" and not taken and not versions.status(project.settings, stages):
            return _ask_for_labels(project)
        return _go_through(project, started_s)


def _go_through(project: Project, started_s: float) -> State[Json]:
    name, candidates = project.name, project.params.candidates
    validate(name)
    train(name, candidates)
    evaluate(name, candidates)
    registered = register(name)
    decision = promote(name, registered)
    found = outcome.conclude(project, Tracking(project.settings), registered, decision, started_s)
    page = decision_page(found, project.settings, registered)
    keep_page(name, "decision", page, f"{decision.outcome}: version {decision.challenger}")
    message = f"Version {decision.challenger} is {decision.outcome}: {'; '.join(decision.reasons)}"
    tell(message)
    return Completed(message=message, data=found.document())


def _ask_for_labels(project: Project) -> State[Json]:
    """Write down which images to label, and stop: without labels there is nothing to learn."""
    asked = labels.request_labels(project, Tracking(project.settings))
    count = len(asked.images)
    keep_page(project.name, "labels", labels_page(project.name, asked), f"{count} images to label")
    message = (
        f"Labels are needed: the {count} most drifted images are listed in {asked.table}. Put the labels"
        f" into {asked.inbox}."
    )
    tell(message)
    return Completed(name="LabelsNeeded", message=message, data=asked.record.document())


def _bury(flow_run: str) -> None:
    """Mark the run that was killed while it held the lock: without this it would be shown as running for ever."""
    tell("An earlier run was killed; this run continues where it stopped.")
    try:
        with get_client(sync_client=True) as client:
            state: State[None] = Crashed(message="Its process was killed; the next run continued where it stopped.")
            client.set_flow_run_state(UUID(flow_run), state, force=True)
    except (ObjectNotFound, ValueError):
        return  # it ran with another database
