"""Answering many files: all cores, bounded memory, and going on where it was stopped.

Each answer is written beside the others as soon as it is made, with the file, the version and the conditions that made
it. Called again, a file is answered anew only where something of these is another, or the model's code.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import Filming, adjust
from sightline.conditions import put_under
from sightline.drift.background import UNKNOWN, Background
from sightline.errors import BackendError, DataError, RequestError, SightlineError, printable
from sightline.files import finite, remove, replace_bytes, replacing, sha256_input, write_json
from sightline.limits import Limits
from sightline.pipeline.answer_paths import (
    Kept,
    begun,
    beside,
    clear_answer,
    image_size,
    refuse_to_overwrite,
    refuse_to_replace,
    saved_answer,
)
from sightline.pipeline.inputs import InputFile
from sightline.pipeline.origins import Surroundings, code_of_answers
from sightline.shots import ground_of, read_shot
from sightline.shots.metadata import NOTHING_KNOWN, Shot
from sightline.task import Input, Json, Model, Prediction
from sightline.vision.hardware import cores, threads_each
from sightline.vision.images import encode_png

if TYPE_CHECKING:
    from sightline.stores.predictions import Predictions

_FEW = 6
"""Starting processes takes as long as so many answers: fewer files are answered in this one."""

_AHEAD = 4  # files a process that wait for it: enough to keep it busy, few enough to be forgotten at Ctrl-C


@dataclass(frozen=True)
class Job:
    """The order of a batch: how each of its files is answered.

    Attributes:
        task: its name.
        restore: what reads a saved model of it.
        directory: of the saved model.
        identity: what each answer says of the model that made it: version, candidate, data version ...
        code: digest of the task's code.
        limits: what a file may weigh.
        conditions: what is known of the files besides.
        threshold: instead of the model's own; None: that.
        background: what the model was trained on, and so how familiar a file is to it.
        out: folder of answers; None: nothing is written.
        pictures: whether answers are drawn.
        database: URL of the prediction log; None: nothing is logged.
    """

    task: str
    restore: Callable[[Path], Model]
    directory: Path
    identity: Mapping[str, Json]
    code: str
    limits: Limits
    conditions: Mapping[str, float] = field(default_factory=dict)
    threshold: float | None = None
    background: Background = UNKNOWN
    out: Path | None = None
    pictures: bool = True
    database: str | None = None


@dataclass(frozen=True)
class Answered:
    """The outcome of one file: its answer, or why there is none.

    Attributes:
        file: its path, as it was given and as text (`InputFile.said`).
        name: of its answer, see `InputFile`.
        problem: why it could not be answered; empty where it was.
        reused: whether an earlier call had answered it.
        document: the answer as it is saved.
        shot: how the picture was taken.
    """

    file: str
    name: str
    problem: str = ""
    reused: bool = False
    document: dict[str, Json] = field(default_factory=dict)
    shot: Shot = NOTHING_KNOWN


@dataclass(frozen=True)
class _Made:
    """What a model made of one file.

    Attributes:
        prediction: its answer.
        picture: the answer as it is drawn; None where that is still to be done.
        film: where the film of the answer lies; None where there is none.
    """

    prediction: Prediction
    picture: NDArray[np.uint8] | None = None
    film: Path | None = None


def answer_files(job: Job, inputs: Sequence[InputFile], processes: int = 0) -> Iterator[Answered]:
    """Yield the outcome of each file, in their order, as soon as it is there.

    Args:
        job: what they are asked.
        inputs: the files.
        processes: how many answer side by side; 0: as many as there are cores.

    Raises:
        ParamsError: the threshold cannot be, or an answer would take the place of a file.
        BackendError: the disk is full or a process ended; what was answered stays, the next call goes on from there.
    """
    if job.out is not None:
        refuse_to_overwrite(job.out, inputs)
    processes = min(processes or cores(), len(inputs))
    if processes <= 1 or len(inputs) < _FEW:
        desk = Desk(job)
        yield from (desk.answer(one) for one in inputs)
        return
    os.environ.update(threads_each(processes))  # of the processes that are about to start
    pool = ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), initializer=_open_desk, initargs=(job, os.getpid())
    )
    waiting: deque[Future[Answered]] = deque()
    try:
        for one in inputs:
            waiting.append(pool.submit(_answer, one))
            if len(waiting) > _AHEAD * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise BackendError(
            "a process that predicts files has ended by itself, perhaps because memory was short",
            where=inputs[0].path.parent,
            way_out="Run the command again with --jobs 1: predictions that were written are kept.",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_desks: list[Desk] = []
"""Of a process of `answer_files`: its model, loaded once."""


def _open_desk(job: Job, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()  # a kill of the parent does not reach its queue
    _desks.append(Desk(job))


def _answer(one: InputFile) -> Answered:
    return _desks[0].answer(one)


class Desk:
    """Where one process answers files, one after the other.

    Raises:
        ParamsError: the model has no threshold, or it cannot be that.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._surroundings = Surroundings()

    @cached_property
    def _model(self) -> Model:
        """Loaded when the first file needs an answer."""
        return with_threshold(self._job.restore(self._job.directory), self._job.threshold)

    def answer(self, one: InputFile) -> Answered:
        """The outcome of one file; where it cannot be read the outcome holds the problem, and nothing is raised."""
        try:
            sha256 = sha256_input(one.path)
            key = self._key(one.path, sha256)
            found = self._earlier(one, key)
            if found is not None:
                return found
            return self._answer(one, sha256, key)
        except DataError as error:
            return Answered(one.said, one.name, str(error))
        except RequestError as error:  # a condition that does not fit this file may fit the next
            return Answered(one.said, one.name, f"{one.said}: {error}")
        except SightlineError:
            raise
        except Exception as error:  # one file must not end the batch of thousands
            fault = (
                f"{one.said}: it could not be predicted because of a defect of this program"
                f" ({type(error).__name__}: {error})."
            )
            return Answered(one.said, one.name, f"{fault} Please report it with the file.")

    def _answer(self, one: InputFile, sha256: str, key: str) -> Answered:
        with self._made(one) as (source, made):
            return self._kept(one, sha256, key, source, made)

    @contextmanager
    def _made(self, one: InputFile) -> Iterator[tuple[Input, _Made]]:
        """A file's input and answer; its film lies at a name of its own until it is taken from there."""
        job, model = self._job, self._model
        source = put_under(model, model.read(one.path, job.limits), job.conditions)
        if job.out is None or not job.pictures or not isinstance(model, Filming):
            yield source, _Made(model.predict([source])[0])
            return
        path = job.out / one.name
        film = path.with_name(f".{path.name}.film")
        try:
            yield source, _Made(*model.film(source, film), film)
        finally:
            with suppress(OSError):  # the folder itself may be the trouble
                film.unlink(missing_ok=True)

    def _kept(self, one: InputFile, sha256: str, key: str, source: Input, made: _Made) -> Answered:
        """The outcome of a file, logged and written as far as that is asked for."""
        job, prediction = self._job, made.prediction
        written = self._names(prediction)
        if job.out is not None:
            refuse_to_replace(job.out / one.name, written)  # before it is logged
        shot = _shot_of(one.path, job.limits)
        document: dict[str, Json] = {
            **prediction.document,
            "file": one.said,
            "sha256": sha256,
            **job.identity,
            **job.background.attached(prediction),
            "conditions": dict(job.conditions),
            "threshold": job.threshold,
            "found": prediction.found,
            "summary": dict(prediction.summary),
            "findings": _placed(prediction, shot),
            "shot": asdict(shot),
            "key": key,
        }
        if job.database is not None:
            document["prediction_id"] = self._log(one, sha256, prediction)
        if job.out is not None:
            document["written"] = written
            self._write(job.out / one.name, document, source, made)
        return Answered(one.said, one.name, document=document, shot=shot)

    def _key(self, path: Path, sha256: str) -> str:
        """A digest of all that an answer is made of."""
        job = self._job
        code = [job.code, code_of_answers()]
        beside = self._surroundings.digests(path)
        parts = [sha256, beside, job.identity, code, dict(job.conditions), job.threshold]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _earlier(self, one: InputFile, key: str) -> Answered | None:
        """The answer of an earlier call, if it is whole and made of the same."""
        job = self._job
        if job.out is None:
            return None
        path = job.out / one.name
        document = saved_answer(path)
        try:
            kept = Kept.model_validate(document)
            whole = kept.key == key and all(beside(path, suffix).is_file() for suffix in kept.written)
        except (OSError, ValueError):
            return None
        if not whole or (job.pictures and "png" not in kept.written):
            return None
        if job.database is not None and kept.prediction_id is None:
            return None
        return Answered(one.said, one.name, reused=True, document=document, shot=kept.shot)

    @cached_property
    def _predictions(self) -> Predictions:
        from sightline.stores.database import Database
        from sightline.stores.predictions import Predictions

        assert self._job.database is not None
        return Predictions(Database(self._job.database))

    def _log(self, one: InputFile, sha256: str, prediction: Prediction) -> str:
        from sightline.stores.predictions import Answer

        job, version = self._job, self._job.identity["version"]
        assert isinstance(version, int)  # what has no version is not logged
        answer = Answer(
            job.task,
            version,
            sha256,
            printable(one.path.name),
            prediction.row,
            prediction.embedding,
        )
        return self._predictions.log([answer])[0]

    def _names(self, prediction: Prediction) -> list[str]:
        """What is written beside the answer, as the suffixes of its name."""
        drawn = ["png", *(["mp4"] if isinstance(self._model, Filming) else [])] if self._job.pictures else []
        return [*prediction.exports, *(f"{name}.png" for name in prediction.rasters), *drawn]

    def _write(self, path: Path, document: dict[str, Json], source: Input, made: _Made) -> None:
        """Pictures and exports, then the answer itself: it is there only when the others are, and no others."""
        prediction = made.prediction
        written = self._names(prediction)
        clear_answer(path, written)
        write_json(begun(path), written)
        for suffix, export in prediction.exports.items():
            write_json(beside(path, suffix), export)
        images = {f"{name}.png": raster for name, raster in prediction.rasters.items()}
        if self._job.pictures:
            images["png"] = self._model.draw(source, prediction) if made.picture is None else made.picture
        for suffix, pixels in images.items():
            replace_bytes(beside(path, suffix), encode_png(pixels))
        if made.film is not None:
            with replacing(beside(path, "mp4")) as partial:
                made.film.replace(partial)
        write_json(beside(path, "json"), document)
        remove(begun(path))


def with_threshold(model: Model, threshold: float | None) -> Model:
    """The model with another threshold of its findings.

    Raises:
        ParamsError: it has none, or it cannot be that.
    """
    return model if threshold is None else adjust(model, {"threshold": threshold})


def _shot_of(path: Path, limits: Limits) -> Shot:
    """Of files that are small enough to be held; rasters beyond have a georeference, or none."""
    try:
        return read_shot(path.read_bytes()) if path.stat().st_size <= limits.bytes else NOTHING_KNOWN
    except OSError:
        return NOTHING_KNOWN


def _placed(prediction: Prediction, shot: Shot) -> list[dict[str, Json]]:
    """The findings as JSON, with the corners of their boxes on the ground where these can be told."""
    size = image_size(prediction.document)
    ground = ground_of(shot, *size) if size else None
    found = []
    for finding in prediction.findings:
        one: dict[str, Json] = {name: finite(value) for name, value in asdict(finding).items()}
        if ground is not None:
            x0, y0, x1, y1 = finding.box
            corners = ground.lonlat([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
            one["ground"] = corners.round(8).tolist() if bool(np.isfinite(corners).all()) else None
        found.append(one)
    return found
