"""Lineage: from a model version back to the data, the code and the parameters that made it."""

from __future__ import annotations

import time

from sightline.drift.background import trained_on
from sightline.evaluation import read_metrics
from sightline.pipeline.project import Project
from sightline.pipeline.records import Decision, Rollback
from sightline.pipeline.register import UNKNOWN
from sightline.pipeline.standing import Change, change_of
from sightline.task import Json
from sightline.tracking import Registry, Version


def trace_lineage(project: Project, tracking: Registry, version: Version) -> dict[str, Json]:
    """All that is known of where a version comes from and what became of it, as nested JSON."""
    metrics = read_metrics(tracking.evaluation(version))
    return {
        "version": str(version),
        "aliases": list(version.aliases),
        "registered": _when(version.created_s),
        "mlflow run": version.run_id,
        "candidate": version.tags.get("candidate", ""),
        "made from": {
            "data version": version.tags.get("data_version", ""),
            "code": {
                "git commit": version.tags.get("git_commit") or UNKNOWN,
                "with uncommitted changes": version.tags.get("git_dirty") or UNKNOWN,
                **({"why unknown": version.tags["git_problem"]} if "git_problem" in version.tags else {}),
            },
            "parameters (sha256)": version.tags.get("params_hash", ""),
            "requirements.lock (sha256)": version.tags.get("lock_hash", ""),
            "stage key": version.tags.get("stage_key", ""),
            "fit": version.tags.get("fit_key", ""),
        },
        "trained on": {f"{part.set} ({part.kind})": {"n": part.n} for part in trained_on(tracking.evaluation(version))},
        "evaluated": {
            "protocol": metrics.protocol,
            **{
                name: {"n": part.n, **{metric: figure.value for metric, figure in part.metrics.items()}}
                for name, part in metrics.sets.items()
            },
        },
        "decisions": _history(project, version),
        "answers given": project.predictions.count(project.name, version.number, version.created_s),
    }


def _history(project: Project, version: Version) -> list[dict[str, Json]]:
    """The decisions and rollbacks that a version had a part in.

    The number may have been another version's, in a registry that is gone: what is older is not about this one.
    """
    return [
        {"when": _when(entry.time_s), "what": entry.kind, **_brief(change)}
        for entry in project.events.history(project.name, Decision.kind, Rollback.kind)
        if entry.time_s >= version.created_s and (change := change_of(entry)) and version.number in _concerned(change)
    ]


def _when(time_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_s))


def _concerned(change: Change) -> tuple[int | None, ...]:
    return (change.left, change.to) if isinstance(change, Rollback) else (change.challenger, change.champion)


def _brief(change: Change) -> dict[str, Json]:
    if isinstance(change, Rollback):
        return {"from": change.left, "to": change.to}
    return {
        "outcome": change.outcome,
        "challenger": change.challenger,
        "champion": change.champion,
        "reasons": list(change.reasons),
    }
