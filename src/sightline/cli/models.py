"""`sightline models`: the registered versions, and which of them answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sightline.cli.show import echo, print_json, table
from sightline.errors import ModelMissing

if TYPE_CHECKING:
    from sightline.pipeline.project import Project
    from sightline.pipeline.standing import Ruling
    from sightline.task import Json
    from sightline.tracking import Registry, Version


def list_models(project: Project, tracking: Registry, as_json: bool) -> None:
    """Show a line a version; say where registry and ledger disagree about the champion.

    Raises:
        ModelMissing: nothing is registered, and a person asked.
    """
    from sightline.pipeline.standing import ruling_of

    task = project.name
    ruling = ruling_of(project, tracking)
    documents = [_describe(project, tracking, version, ruling) for version in tracking.versions(task)]
    if not documents and not as_json:
        raise ModelMissing(f"no version of {task} is registered", way_out=f"Run `sightline run {task}` first.")
    if as_json:
        print_json(documents)
    else:
        table(f"{task}: registered versions", [_line(document) for document in documents])
        answering = [document["version"] for document in documents if document["answers"]]
        echo(f"Version {answering[0]} answers." if answering else "None of them answers.")
    if ruling.text:
        echo(f"warning: {ruling.text}. {ruling.way_out}".rstrip(), err=True)


def _describe(project: Project, tracking: Registry, version: Version, ruling: Ruling) -> dict[str, Json]:
    """One version, numbers as numbers; `answers` tells whether it is the one that endpoints and `predict` use."""
    from sightline.drift.background import trained_on
    from sightline.evaluation import read_metrics

    evaluation = tracking.evaluation(version)
    metrics = read_metrics(evaluation)
    metric = project.params.promotion.metric
    figure = metrics.headline(metric)
    return {
        "version": version.number,
        "candidate": version.tags.get("candidate", ""),
        "aliases": list(version.aliases),
        "answers": ruling.champion is not None and ruling.champion.fits(version),
        "set": metrics.main_set,
        "metric": metric,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "n": figure.n,
        "data_version": version.tags.get("data_version", ""),
        "trained_on": [part.document() for part in trained_on(evaluation)],
        "decision": version.tags.get("decision", ""),
    }


def _line(document: dict[str, Json]) -> dict[str, Json]:
    value, low, high = (document[key] for key in ("value", "low", "high"))
    return {
        "version": document["version"],
        "candidate": document["candidate"],
        "aliases": ", ".join(document["aliases"]),
        document["metric"]: f"{_shown(value)} [{_shown(low)}, {_shown(high)}] n={document['n']}",
        "data": document["data_version"][:8],
        "trained on": ", ".join(f"{part['n']} {part['kind']} ({part['set']})" for part in document["trained_on"]),
        "decision": document["decision"],
    }


def _shown(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "?"
