"""`sightline predict`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.background import UNKNOWN, read_background
from sightline.cli.open import open_folder, open_version
from sightline.cli.show import echo, print_json, table
from sightline.conditions import parse_conditions, put_under
from sightline.errors import BackendError, DataError, DataRejected, ParamsError
from sightline.files import write_json
from sightline.pipeline.project import Project
from sightline.progress import Bars
from sightline.task import Input, Json, Model, Prediction

if TYPE_CHECKING:
    from sightline.ledger import Answer


def predict_files(
    ref: str, files: list[Path], out: Path | None, folder: Path | None, log: bool, given: list[str], as_json: bool
) -> None:
    """Answer each file; those that cannot be read are told at the end."""
    number, background = 0, UNKNOWN
    if folder is not None:
        if log:
            raise ParamsError("--log needs a registered version", where="predict", way_out="Leave --model away.")
        project, model = open_folder(ref, folder)
    else:
        project, tracking, version = open_version(ref)
        model, number = project.task.restore(tracking.directory(version)), version.number
        background = read_background(tracking.evaluation(version), version.tags.get("data_version", ""))
    conditions = parse_conditions(_named(given), model.card)
    answers: list[dict[str, Json]] = []
    refused: list[str] = []
    with Bars("predict") as bars:
        for done, path in enumerate(files, start=1):
            try:
                source, prediction = _predict_one(project, model, path, conditions)
            except DataError as error:
                refused.append(str(error))
                echo(f"refused: {error}", err=True)
                continue
            if log:
                project.ledger.log([_answer(project.name, number, path, source, prediction)])
            if out is not None:
                _write(model, source, prediction, path, out, background.told(prediction))
            answers.append(
                {
                    "file": str(path),
                    "task": project.name,
                    "version": number,
                    **prediction.document,
                    **background.told(prediction),
                }
            )
            bars.progress(done, len(files), path.name)
    if as_json:
        print_json(answers)
    else:
        _show(answers, out)
        echo(f"{project.name}: {background}.")
    if refused:
        raise DataRejected(f"{len(refused)} of {len(files)} files were refused", where="predict", way_out=refused[0])


def _named(given: list[str]) -> Iterator[tuple[str, str]]:
    for one in given:
        name, equals, text = one.partition("=")
        if not equals:
            raise ParamsError(f"{one!r} is not NAME=VALUE", where="--condition", way_out="Write: --condition name=1.5")
        yield name.strip(), text


def _predict_one(
    project: Project, model: Model, path: Path, conditions: Mapping[str, float]
) -> tuple[Input, Prediction]:
    source = put_under(model, model.read(path, project.settings.limits), conditions)
    return source, model.predict([source])[0]


def _answer(task: str, version: int, path: Path, source: Input, prediction: Prediction) -> Answer:
    from sightline.ledger import Answer

    return Answer(task, version, source.sha256, path.name, prediction.row, prediction.embedding, time.time())


def _write(
    model: Model, source: Input, prediction: Prediction, path: Path, out: Path, told: Mapping[str, Json]
) -> None:
    """A picture, the answer, and its interchange formats; files of one name in two folders do not collide."""
    from PIL import Image

    stem = out / path.stem
    if (out / f"{path.stem}.json").exists():
        stem = out / f"{path.stem}-{source.sha256[:8]}"
    write_json(stem.with_name(stem.name + ".json"), {**prediction.document, **told})
    for suffix, document in prediction.exports.items():
        write_json(stem.with_name(f"{stem.name}.{suffix}"), document)
    pictures = {f"{stem.name}.{name}.png": raster for name, raster in prediction.rasters.items()}
    for name, pixels in {**pictures, f"{stem.name}.png": model.draw(source, prediction)}.items():
        picture = stem.with_name(name)
        try:
            Image.fromarray(pixels).save(picture)
        except OSError as error:
            picture.unlink(missing_ok=True)
            raise BackendError(f"the picture cannot be written ({error.strerror})", where=picture) from error


def _show(answers: list[dict[str, Json]], out: Path | None) -> None:
    rows = [
        {name: value for name, value in answer.items() if isinstance(value, str | int | float) and name != "task"}
        | {"familiarity": answer["familiarity"]["word"]}
        for answer in answers
    ]
    if rows:
        table("answers" + (f" (pictures and JSON in {out})" if out else ""), rows)
