"""`sightline models`: the registered versions, and which of them answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sightline.cli.show import echo, print_json, table
from sightline.errors import ModelMissing

if TYPE_CHECKING:
    from sightline.drift.background import Part
    from sightline.pipeline.project import Project
    from sightline.pipeline.standing import Ruling
    from sightline.resampling import Figure
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
    listed = [_describe(project, tracking, version, ruling) for version in tracking.versions(task)]
    if not listed and not as_json:
        raise ModelMissing(f"no version of {task} is registered", way_out=f"Run `sightline run {task}` first.")
    if as_json:
        print_json([one.document() for one in listed])
    else:
        _show(task, listed)
    if ruling.text:
        echo(f"warning: {ruling.text}. {ruling.way_out}".rstrip(), err=True)


def _show(task: str, listed: Sequence[_Listed]) -> None:
    table(f"{task}: registered versions", [one.line() for one in listed])
    answering = [one.version.number for one in listed if one.answers]
    echo(f"Version {answering[0]} answers." if answering else "None of them answers.")


@dataclass(frozen=True)
class _Listed:
    """One version; `answers` tells whether it is the one that endpoints and `predict` use."""

    version: Version
    answers: bool
    set: str
    metric: str
    figure: Figure
    trained_on: Sequence[Part]

    def document(self) -> dict[str, Json]:
        """As JSON, numbers as numbers."""
        tags = self.version.tags
        return {
            "version": self.version.number,
            "candidate": tags.get("candidate", ""),
            "aliases": list(self.version.aliases),
            "answers": self.answers,
            "set": self.set,
            "metric": self.metric,
            "value": self.figure.value,
            "low": self.figure.low,
            "high": self.figure.high,
            "n": self.figure.n,
            "data_version": tags.get("data_version", ""),
            "trained_on": [part.document() for part in self.trained_on],
            "decision": tags.get("decision", ""),
        }

    def line(self) -> dict[str, Json]:
        """As a line of a table."""
        tags, figure = self.version.tags, self.figure
        return {
            "version": self.version.number,
            "candidate": tags.get("candidate", ""),
            "aliases": ", ".join(self.version.aliases),
            self.metric: f"{_shown(figure.value)} [{_shown(figure.low)}, {_shown(figure.high)}] n={figure.n}",
            "data": tags.get("data_version", "")[:8],
            "trained on": ", ".join(map(str, self.trained_on)),
            "decision": tags.get("decision", ""),
        }


def _describe(project: Project, tracking: Registry, version: Version, ruling: Ruling) -> _Listed:
    from sightline.drift.background import trained_on
    from sightline.evaluation import read_metrics

    evaluation = tracking.evaluation(version)
    metrics = read_metrics(evaluation)
    metric = project.params.promotion.metric
    answers = ruling.champion is not None and ruling.champion.fits(version)
    return _Listed(version, answers, metrics.main_set, metric, metrics.headline(metric), trained_on(evaluation))


def _shown(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "?"
