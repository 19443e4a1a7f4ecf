"""What a run came to: the table at its end, and the quick answer when nothing has changed since."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sightline import versions
from sightline.errors import BackendError, SightlineError
from sightline.evaluation import read_metrics
from sightline.pipeline.data import REAL
from sightline.pipeline.inbox import read_inbox
from sightline.pipeline.project import Project
from sightline.pipeline.promote import promotion_rule
from sightline.pipeline.records import CandidateFigures, Decision, Rollback, RunOutcome, enter, read
from sightline.pipeline.stages import evaluate_stage, stages_of
from sightline.pipeline.standing import ruling_of
from sightline.tracking import Registry, Version

if TYPE_CHECKING:
    from sightline.stores.events import Event


def conclude(
    project: Project, tracking: Registry, registered: Sequence[Version], decision: Decision, started_s: float
) -> RunOutcome:
    """Sum a run up and enter it in the history."""
    winner = tracking.version(project.name, str(decision.challenger))
    champion = ruling_of(project, tracking).champion
    found = RunOutcome(
        task=project.name,
        data_version=versions.data_version(project.settings, project.name),
        version=winner.number,
        candidate=winner.tags.get("candidate", ""),
        aliases=winner.aliases,
        champion=None if champion is None else champion.number,
        decision=decision,
        promotion_rule=promotion_rule(project),
        candidates={v.tags["candidate"]: _figures(project, v, tracking) for v in registered},
        stage_keys=_stage_keys(project),
        duration_s=round(time.time() - started_s, 1),
    )
    enter(project.events, project.name, found)
    return found


def _figures(project: Project, version: Version, tracking: Registry) -> CandidateFigures:
    """The figures of a candidate on the main sets, and its number."""
    metrics = read_metrics(tracking.evaluation(version))
    deciding = metrics.validation.metrics.get(project.params.promotion.metric)
    return CandidateFigures(
        version=version.number,
        set=metrics.main_set,
        protocol=metrics.protocol,
        unit=metrics.main_measured.unit,
        metrics=metrics.main_measured.metrics,
        validation=None if deciding is None or math.isnan(deciding.value) else deciding.value,
        note=version.tags.get("note", ""),
    )


def _stage_keys(project: Project) -> dict[str, str]:
    return {c: versions.stage_key(project.settings, evaluate_stage(project.name, c)) for c in project.params.candidates}


def nothing_changed(project: Project) -> RunOutcome | None:
    """The last run's outcome, if a run now could come to nothing else; None where there is something to do.

    Looks at the history, dvc.lock and `dvc status` only: nothing heavy is imported.
    """
    last = project.events.last(project.name, RunOutcome.kind)
    outcome = None if last is None else _readable(last)
    if last is None or outcome is None or outcome.stage_keys != _known_stage_keys(project):
        return None
    if outcome.promotion_rule != promotion_rule(project):
        return None  # another rule, or a floor that was moved: the same figures may lead elsewhere
    changes = project.events.history(project.name, Decision.kind, Rollback.kind)
    if any(change.position > last.position for change in changes) or _has_news(project):
        return None
    return outcome


def _has_news(project: Project) -> bool:
    """Whether labels lie in the inbox, or a stage would run."""
    inbox = read_inbox(project, REAL)
    if inbox.ready or inbox.waiting:
        return True
    return bool(versions.status(project.settings, stages_of(project.name, project.params.candidates)))


def _readable(entry: Event) -> RunOutcome | None:
    """The outcome of an entry; None where an older version wrote it in a way that cannot be read any more."""
    try:
        return read(entry, RunOutcome)
    except BackendError:
        return None


def _known_stage_keys(project: Project) -> dict[str, str] | None:
    try:
        return _stage_keys(project)
    except SightlineError:  # a stage has not run yet
        return None
