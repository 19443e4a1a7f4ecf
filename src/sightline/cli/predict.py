"""`sightline predict`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.open import open_task_project, open_version
from sightline.cli.show import echo, table
from sightline.conditions import parse_conditions
from sightline.errors import BackendError, DataRejected, ParamsError
from sightline.files import finite
from sightline.progress import Bars

if TYPE_CHECKING:
    from sightline.pipeline.batch import Answered, Job
    from sightline.pipeline.delivery import Picture
    from sightline.task import Card, Json

_SHOWN = 40  # rows of the table on the terminal
_NOTES = 5  # different ones below it


@dataclass(frozen=True)
class Options:
    """The options of the command, see its help."""

    out: Path | None
    model: Path | None
    log: bool
    conditions: Sequence[str]
    threshold: float | None
    pictures: bool
    jobs: int
    as_json: bool


def predict_files(ref: str, paths: Sequence[Path], options: Options) -> None:
    """Answer each file, folder and glob; what cannot be read is told, and the rest goes on.

    Raises:
        DataRejected: some could not be read; all else is done by then.
    """
    from sightline.pipeline.batch import answer_files
    from sightline.pipeline.delivery import picture_of
    from sightline.pipeline.inputs import find_inputs

    check_out(options.out)
    job, card = _job(ref, options)
    inputs = find_inputs(paths, card.formats, options.out)
    pictures: list[Picture] = []
    refused: dict[str, str] = {}
    stream = _JsonStream() if options.as_json else None
    with Bars("predict") as bars:
        for done, answered in enumerate(answer_files(job, inputs, options.jobs), start=1):
            if answered.problem:
                refused[answered.file] = answered.problem
                echo(f"refused: {answered.problem}", err=True)
            else:
                pictures.append(picture_of(answered))
                if stream is not None:
                    stream.add(answered)
            bars.advance(done, len(inputs), f"file {Path(answered.file).name}")
    written = _deliver(job, pictures, refused)
    if stream is not None:
        stream.end()
    else:
        _show(pictures, written, options.out)
        echo(f"{job.task}: {job.background}.")
    if refused:
        first = next(iter(refused.values()))
        raise DataRejected(f"{len(refused)} of {len(inputs)} files were refused", where="predict", way_out=first)


def check_out(out: Path | None) -> None:
    """Tell at once, not after the first answer, that there can be no such folder.

    Raises:
        ParamsError: it is a file.
        BackendError: it cannot be made.
    """
    if out is None:
        return
    if out.exists() and not out.is_dir():
        raise ParamsError(
            "this is a file, but it must be a folder", where=out, way_out="Give --out the name of a folder."
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackendError(
            (f"the folder cannot be made ({error.strerror})"),
            where=out,
            way_out="Give --out a folder in which you may write.",
        ) from error


def _job(ref: str, options: Options) -> tuple[Job, Card]:
    from sightline.drift.background import UNKNOWN, read_background
    from sightline.pipeline.batch import Job
    from sightline.pipeline.fit import code_digest
    from sightline.vision.saved import read_card

    if options.model is not None:
        if options.log:
            raise ParamsError(
                "--log needs a registered version", where="predict", way_out="Leave out --model, or leave out --log."
            )
        project, directory = open_task_project(ref.partition("@")[0]), options.model
        card, background = read_card(directory), UNKNOWN
        identity: dict[str, Json] = {"task": card.task, "version": None, "model": str(directory)}
    else:
        project, tracking, version = open_version(ref)
        directory = tracking.directory(version)
        card, data_version = read_card(directory), version.tags.get("data_version", "")
        background = read_background(tracking.evaluation(version), data_version)
        identity = {"task": card.task, "version": version.number, "run_id": version.run_id}
        identity["data_version"] = data_version
    identity |= {"candidate": card.candidate, "model_sha256": card.digest}
    job = Job(
        task=project.name,
        restore=project.task.restore,
        directory=directory,
        identity=identity,
        code=code_digest(project.name),
        limits=project.settings.limits,
        conditions=parse_conditions(named_conditions(options.conditions), card),
        threshold=options.threshold,
        background=background,
        out=options.out,
        pictures=options.pictures,
        database=project.settings.database_url if options.log else None,
    )
    return job, card


def named_conditions(given: Sequence[str]) -> Iterator[tuple[str, str]]:
    """NAME=VALUE as name and text. Raises ParamsError where it is not that."""
    for one in given:
        name, equals, text = one.partition("=")
        if not equals:
            raise ParamsError(
                f"{one!r} is not NAME=VALUE", where="--condition", way_out="Write for example --condition gsd_m=1.5."
            )
        yield name.strip(), text


class _JsonStream:
    """A JSON list, written as its items come: thousands of answers are never held."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, answered: Answered) -> None:
        """Write one answer."""
        text = json.dumps(finite(answered.document), indent=2)
        sys.stdout.write((",\n" if self._count else "[\n") + text)
        self._count += 1

    def end(self) -> None:
        """Close the list."""
        echo("\n]" if self._count else "[]")


def _deliver(job: Job, pictures: Sequence[Picture], refused: dict[str, str]) -> list[Path]:
    """Tables, GeoPackage and report beside the answers, where a folder was asked for."""
    if job.out is None or not (pictures or refused):
        return []
    from sightline.pipeline.delivery import Delivery, deliver

    return deliver(
        Delivery(
            task=job.task,
            out=job.out,
            identity=job.identity,
            background=job.background,
            conditions=job.conditions,
            threshold=job.threshold,
            pictures=pictures,
            refused=refused,
            drawn=job.pictures,
        )
    )


def _tell_notes(pictures: Sequence[Picture]) -> None:
    for note, count in Counter(picture.note for picture in pictures if picture.note).most_common(_NOTES):
        echo(f"note, {count} of {len(pictures)}: {note}")


def _show(pictures: Sequence[Picture], written: Sequence[Path], out: Path | None) -> None:
    if not pictures:
        return
    shown = pictures[:_SHOWN]
    rows: list[dict[str, Json]] = [
        {"file": Path(p.file).name, "found": p.found or "-", "input": p.familiarity} for p in shown
    ]
    table("answers", rows)
    if len(pictures) > _SHOWN:
        echo(f"... and {len(pictures) - _SHOWN} more.")
    _tell_notes(pictures)
    reused = sum(picture.reused for picture in pictures)
    if reused:
        echo(f"{reused} of {len(pictures)} were taken from an earlier call with the same version and conditions.")
    if written:
        echo(f"In {out}: one prediction per file, {', '.join(path.name for path in written)}.")
