"""Watching: is a model still asked what it was evaluated on?

Current answers are the champion's of the last `watch.period_days` days. What came in is compared with all labelled
samples of the sets that promotion looks at, what went out with its evaluated rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.drift.changes import ColumnTests
from sightline.drift.comparison import Comparison, Observation
from sightline.drift.report import compare
from sightline.evaluation import evaluated_rows, main_rows, read_metrics, reference_rows, set_of
from sightline.files import write_text
from sightline.pages import link
from sightline.pipeline.answers import export_closed_days
from sightline.pipeline.project import Project
from sightline.pipeline.records import DriftedInput, DriftVerdict, Request, enter
from sightline.pipeline.standing import champion_version
from sightline.runtime.servers import mlflow_address
from sightline.task import Row
from sightline.tracking import Registry, Version

if TYPE_CHECKING:
    from sightline.stores.predictions import Answer

GROUP = "group"
"""A key of an answer's flat row: inputs with the same value hang together (frames of a flight or a video)."""

MOST_INPUTS = 20_000
"""Different current inputs that are compared: many times what the tests draw from them."""


@dataclass(frozen=True)
class Drift:
    """What watching came to.

    Attributes:
        verdict: whether the inputs have drifted, so that new labels are needed.
        known: whether it can be told at all; where not, nobody may take it for "no drift".
        state: drift, changed (another mix of what is known), same, cannot tell (too small a reference), or too few
            answers to tell.
        reasons: in sentences, for any verdict.
        report: the report's first page.
        run_id: of the MLflow run that keeps the report.
        rows: different current inputs.
        version: the champion's number.
        most_drifted: the inputs that lie furthest from the reference, furthest first: what to label.
    """

    verdict: bool
    known: bool
    state: str
    reasons: tuple[str, ...]
    report: Path
    run_id: str
    rows: int
    version: int
    most_drifted: list[str]


def check_drift(
    project: Project, tracking: Registry, *, now_s: float | None = None, column_tests: ColumnTests | None = None
) -> Drift:
    """Compare the champion's answers of the last days with what it was evaluated on.

    Closed days of the log are exported to Parquet first. The report goes to `build/watch/<task>/report/` and to
    MLflow, the verdict into the ledger.

    Args:
        project: the task.
        tracking: the registry.
        now_s: the end of the period in seconds since 1970; now, unless given.
        column_tests: Evidently's, unless a test brings its own.

    Raises:
        ModelMissing: there is no champion.
        BackendError: MLflow or the ledger cannot be reached, or a file cannot be written; trying again is safe.
    """
    now_s = time.time() if now_s is None else now_s
    settings, params, name = project.settings, project.params, project.name
    champion = champion_version(project, tracking)
    export_closed_days(project.predictions, name, settings.state / "predictions", now_s)
    since_s = max(now_s - params.watch.period_days * 86400, champion.created_s)
    current = drawn(project.predictions.given(name, champion.number, since_s, now_s))
    report = settings.build / "watch" / name / "report"
    labelled, evaluated = _reference(tracking, champion)
    found = compare(labelled, current, params.watch, params.seed, report, column_tests, evaluated)
    registry = f"{mlflow_address(settings)}/#/models/{name}"
    back = link("The versions of this task in MLflow (while `sightline up` runs)", registry)
    write_text(report / "index.html", found.page((back,)))
    when = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds")
    run_id = tracking.log_report(name, f"watch {when}", report, found.metrics())
    enter(project.events, name, _record(found, champion, run_id))
    return Drift(
        verdict=found.drifted,
        known=found.is_known,
        state=found.state,
        reasons=found.reasons,
        report=report / "index.html",
        run_id=run_id,
        rows=found.rows,
        version=champion.number,
        most_drifted=[item.name or item.sha256 for item in found.most_drifted],
    )


def should_ask_retraining(project: Project, drift: Drift, now_s: float | None = None) -> bool:
    """Whether drift may ask for retraining now: it asks once, then not again before the cooldown has passed."""
    if not drift.verdict:
        return False
    now_s = time.time() if now_s is None else now_s
    asked = project.events.last(project.name, Request.kind)
    return asked is None or now_s - asked.time_s >= project.params.watch.cooldown_h * 3600


def _reference(tracking: Registry, champion: Version) -> tuple[list[Observation], list[Observation]]:
    """Labelled samples, also those that it was trained on, and evaluated rows: each by a model that had not seen it.

    Both of the sets that promotion looks at: what a model was only pre-trained on is no reason to call it known.
    """
    folder = tracking.evaluation(champion)
    main = read_metrics(folder).main
    labelled, evaluated = (
        [_evaluated(row) for row in main_rows(part, main)] for part in (reference_rows(folder), evaluated_rows(folder))
    )
    return labelled, evaluated


def _evaluated(row: Row) -> Observation:
    return Observation(row.key, row.sha256, f"{set_of(row)} {row.group}", row.row, row.embedding)


def drawn(answers: Iterable[Answer], most: int = MOST_INPUTS) -> list[Observation]:
    """Each input of the answers once; of more than `most` those with the smallest digests, as good as a draw by lot.

    So the memory does not grow with the period, and the same period always has the same inputs. Frames of cameras are
    left out: a model was evaluated on whole videos, a row each, and a camera's frames would outnumber them.
    """
    kept: dict[str, Observation] = {}
    bound = ""
    for answer in answers:
        if answer.frame is not None or answer.sha256 in kept or (bound and answer.sha256 > bound):
            continue
        kept[answer.sha256] = _answered(answer)
        if len(kept) >= 2 * most:
            kept = {digest: kept[digest] for digest in sorted(kept)[:most]}
            bound = max(kept)
    return [kept[digest] for digest in sorted(kept)[:most]]


def _answered(answer: Answer) -> Observation:
    """An answer without a group stands for itself."""
    group = str(answer.row.get(GROUP, answer.sha256))
    return Observation(answer.source, answer.sha256, group, answer.row, answer.embedding)


def _record(found: Comparison, champion: Version, run_id: str) -> DriftVerdict:
    return DriftVerdict(
        version=champion.number,
        drift=found.drifted,
        known=found.is_known,
        state=found.state,
        reasons=found.reasons,
        rows=found.rows,
        run_id=run_id,
        most_drifted=tuple(DriftedInput(name=item.name, sha256=item.sha256) for item in found.most_drifted),
    )
