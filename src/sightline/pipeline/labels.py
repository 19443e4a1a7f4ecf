"""Requests for labels: after drift there is nothing to learn from until somebody labels the new images."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.files import write_text
from sightline.pipeline.data import REAL
from sightline.pipeline.delivery import plain_cell
from sightline.pipeline.inbox import read_inbox
from sightline.pipeline.project import Project
from sightline.pipeline.records import DriftedInput, DriftVerdict, Request, enter, read
from sightline.pipeline.watch import check_drift
from sightline.tracking import Registry


@dataclass(frozen=True)
class LabelRequest:
    """Which images are to be labelled, and why.

    Attributes:
        images: those that lie furthest from what the champion knows, furthest first.
        reasons: of the drift, in sentences.
        table: the file that lists the images.
        inbox: the folder that the labels go into.
        record: what the history keeps.
    """

    images: tuple[DriftedInput, ...]
    reasons: tuple[str, ...]
    table: Path
    inbox: Path
    record: Request


def request_labels(project: Project, tracking: Registry) -> LabelRequest:
    """Write `build/watch/<task>/to_label.csv`, the images to label, and enter the request in the history.

    Raises:
        ModelMissing: nothing was watched yet, and there is no champion to watch.
        BackendError: the registry or the history cannot be reached, or the file cannot be written.
    """
    name, settings = project.name, project.settings
    verdict = _last_drift(project)
    if verdict is None or not verdict.drift:  # a person says that it has drifted
        check_drift(project, tracking)
        verdict = _last_drift(project)
        assert verdict is not None  # watching enters it
    path = settings.build / "watch" / name / "to_label.csv"
    write_text(path, table_of(verdict.most_drifted))
    record = Request(state="labels needed", task=name, images=len(verdict.most_drifted), to_label=str(path))
    enter(project.events, name, record)
    return LabelRequest(verdict.most_drifted, verdict.reasons, path, settings.inbox / name, record)


def _last_drift(project: Project) -> DriftVerdict | None:
    last = project.events.last(project.name, DriftVerdict.kind)
    return None if last is None else read(last, DriftVerdict)


def table_of(images: Sequence[DriftedInput]) -> str:
    """The images to label as CSV, furthest off first; names are those that uploads came with."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["rank", "image", "sha256"])
    writer.writerows([rank, plain_cell(image.name), image.sha256] for rank, image in enumerate(images, start=1))
    return table.getvalue()


def labels_have_arrived(project: Project, settle_s: float) -> bool:
    """Whether a retraining waits for labels, and there are some to take in.

    Args:
        project: the task.
        settle_s: they count once nothing has been written into the inbox for so long.
    """
    asked = project.events.last(project.name, Request.kind)
    if asked is None or read(asked, Request).state != "labels needed":
        return False
    files = [path for path in (project.settings.inbox / project.name).rglob("*") if path.is_file()]
    if not files or time.time() - max(path.stat().st_ctime for path in files) < settle_s:
        return False
    return bool(read_inbox(project, REAL).ready)
