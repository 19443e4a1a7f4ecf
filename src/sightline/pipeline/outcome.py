"""What a run came to: the table at its end, and the quick answer when nothing has changed since."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict

from sightline import versions
from sightline.errors import SightlineError
from sightline.pipeline.data import REAL
from sightline.pipeline.evaluate import read_metrics
from sightline.pipeline.inbox import look
from sightline.pipeline.project import Project
from sightline.pipeline.promote import Decision, promotion_rule
from sightline.pipeline.stages import evaluate_stage, stages_of
from sightline.pipeline.standing import ruling_of
from sightline.task import Json
from sightline.tracking import Tracking, Version


def conclude(
    project: Project, tracking: Tracking, registered: Sequence[Version], decision: Decision, started_s: float
) -> dict[str, Json]:
    """Sum a run up and enter it in the ledger; what `sightline run --json` prints."""
    winner = tracking.version(project.name, str(decision.challenger))
    champion = ruling_of(project, tracking).champion
    document: dict[str, Json] = {
        "task": project.name,
        "data_version": versions.data_version(project.settings, project.name),
        "version": winner.number,
        "candidate": winner.tags.get("candidate", ""),
        "aliases": list(winner.aliases),
        "champion": None if champion is None else champion.number,
        "decision": asdict(decision),
        "promotion_rule": promotion_rule(project),
        "candidates": {v.tags["candidate"]: _figures(project, v, tracking) for v in registered},
        "stage_keys": _stage_keys(project),
        "duration_s": round(time.time() - started_s, 1),
    }
    project.ledger.record("run", project.name, document)
    return document


def _figures(project: Project, version: Version, tracking: Tracking) -> dict[str, Json]:
    """The figures of a candidate on the main sets, and its number."""
    metrics = read_metrics(tracking.evaluation(version))
    main = metrics["main"][0]
    measured = metrics["sets"][main]
    return {
        "version": version.number,
        "set": main,
        "protocol": metrics["protocol"],
        "unit": measured["unit"],
        "metrics": measured["metrics"],
        "validation": metrics["validation"]["metrics"].get(project.params.promotion.metric, {}).get("value"),
    }


def _stage_keys(project: Project) -> dict[str, str]:
    return {c: versions.stage_key(project.settings, evaluate_stage(project.name, c)) for c in project.params.candidates}


def nothing_changed(project: Project) -> dict[str, Json] | None:
    """The last run's outcome, if a run now could come to nothing else; None where there is something to do.

    Looks at the ledger, dvc.lock and `dvc status` only: nothing heavy is imported.
    """
    last = project.ledger.last(project.name, "run")
    if last is None or last.document.get("stage_keys") != _known_stage_keys(project):
        return None
    if last.document.get("promotion_rule") != promotion_rule(project):
        return None  # another rule, or a floor that was moved: the same figures may lead elsewhere
    since = [e for e in project.ledger.entries(project.name, "promotion", "rollback") if e.id > last.id]
    inbox = look(project, REAL)
    if since or inbox.ready or inbox.waiting:
        return None
    if versions.status(project.settings, stages_of(project.name, project.params.candidates)):
        return None
    return last.document


def _known_stage_keys(project: Project) -> dict[str, str] | None:
    try:
        return _stage_keys(project)
    except SightlineError:  # a stage has not run yet
        return None
