"""Who looks at the areas: one thread that claims jobs, one at a time, and works on them with the current champion.

A second thread holds the job while it is worked on: it renews the lease and writes the progress every few seconds. A
job that was cancelled, or is another's by now, or whose process shuts down, stops at the next progress that it tells.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import TracebackType
from typing import TYPE_CHECKING

from sightline.capabilities import Surveying
from sightline.errors import BackendError, SightlineError
from sightline.files import finite
from sightline.serving.champion import Champion
from sightline.serving.orders import AreaOrder, Failure, Surveys, open_chosen, prepare
from sightline.serving.problems import status_of
from sightline.serving.questions import Answered, Log, Question
from sightline.settings import Settings
from sightline.task import Input, Json, Prediction

if TYPE_CHECKING:
    from sightline.stores.queue import Job, Queue

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rhythm:
    """How often the queue is looked at and a lease is renewed.

    Attributes:
        lease_s: so long after a process was killed its job is taken up again.
        renew_s: the lease is renewed, and the progress written.
        idle_s: the queue is looked at, where nobody tells of a new job.
        retry_s: pause before the second attempt; before the third it is twice as long.
        end_s: longest wait for a step's end when the process shuts down.
    """

    lease_s: float = 15.0
    renew_s: float = 2.0
    idle_s: float = 1.0
    retry_s: float = 20.0
    end_s: float = 10.0


@dataclass(frozen=True)
class Areas:
    """What an endpoint needs to look at areas.

    Attributes:
        jobs: where they are queued.
        surveys: what plans them and looks at them.
        rhythm: how often things are done.
    """

    jobs: Queue
    surveys: Surveys
    rhythm: Rhythm = Rhythm()


class Surveyor:
    """Works on the areas that are queued for a task.

    Args:
        task: its name.
        champion: who looks, or None while there is nobody.
        areas: the queue, and what looks.
        log_answers: writes what was found into the ledger.
        settings: where results go, and what the operator offers.
    """

    def __init__(
        self,
        task: str,
        champion: Callable[[], Champion | None],
        areas: Areas,
        log_answers: Log,
        settings: Settings,
    ) -> None:
        self._task = task
        self._champion = champion
        self._jobs = areas.jobs
        self._surveys = areas.surveys
        self._rhythm = areas.rhythm
        self._log = log_answers
        self._settings = settings
        self._name = f"{os.getpid()}-{uuid.uuid4().hex}"
        self._held: _Held | None = None
        self._woken = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="areas", daemon=True)

    def start(self) -> None:
        """Start the thread that works on jobs."""
        self._thread.start()

    def wake(self) -> None:
        """Look at once whether there is a job, and whether the one that is worked on was cancelled."""
        self._woken.set()
        if held := self._held:
            held.look_again()

    def stop(self) -> None:
        """End; a job that is worked on goes back into the queue, and another process goes on with it at once."""
        self._stop.set()
        self.wake()
        self._thread.join(self._rhythm.end_s)
        if held := self._held:  # a step that takes long; the process ends before it does
            try:
                self._jobs.let_go(held.job)
            except SightlineError as error:
                log.warning("area %s is free again when its lease has run out: %s", held.job.id, error)

    def remove(self, key: str) -> None:
        """Remove a job's results."""
        shutil.rmtree(self._settings.areas / key, ignore_errors=True)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                busy = self._next()
            except Exception:  # whatever it is, the next job must find somebody; the lease lets this one be taken up
                log.exception("the queue of areas failed")
                busy = False
            if not busy:
                self._woken.wait(self._rhythm.idle_s)
                self._woken.clear()

    def _next(self) -> bool:
        """Work on one job; False where there is none."""
        champion = self._champion()
        if champion is None or not isinstance(model := champion.model, Surveying):
            return False
        job = self._jobs.claim(self._task, self._name, self._rhythm.lease_s)
        if job is None:
            return False
        self._held = held = _Held(self._jobs, job, self._stop, self._rhythm)
        try:
            with held:
                outcome = self._look(job, champion, model, held)
        except Exception as error:
            self._failed(held, error)
        else:
            if not self._jobs.finish(job, "done", outcome):
                self._lost(job)
        finally:
            self._held = None
        return True

    def _look(self, job: Job, champion: Champion, model: Surveying, held: _Held) -> dict[str, Json]:
        """Carry out an order; its outcome."""
        order = AreaOrder.model_validate_json(json.dumps(job.order["asked"]))
        prepared = prepare(order, model, self._settings, self._surveys)
        upscaler = open_chosen(prepared.plan.upscale, self._settings)
        ids: list[str] = []

        def answered(source: Input, prediction: Prediction) -> None:
            question = Question(champion, source, f"area {job.id}")
            ids.extend(self._log([Answered(question, prediction, once=True)]))

        out = self._settings.areas / job.id
        log.info("area %s: %d tiles of %s", job.id, prepared.plan.tile_count, prepared.plan.provider.name)
        summary = self._surveys.run(prepared, champion.background, upscaler, out, held, answered)
        told: dict[str, Json] = {"version": champion.number, "data_version": champion.background.data_version}
        return {"summary": finite(summary), **told, "prediction_ids": ids}

    def _failed(self, held: _Held, error: Exception) -> None:
        """What becomes of a job that did not come to its end."""
        job = held.job
        if held.lost:
            self._lost(job)
        elif self._stop.is_set():
            self._jobs.let_go(job)
        elif isinstance(error, BackendError):
            log.warning("area %s, attempt %d: %s", job.id, job.attempts, error)
            self._jobs.put_back(job, self._told(error).model_dump(), self._rhythm.retry_s * job.attempts)
        else:
            expected = isinstance(error, SightlineError)
            log.warning("area %s failed: %s", job.id, error, exc_info=None if expected else error)
            self._jobs.finish(job, "failed", self._told(error).model_dump())

    def _lost(self, job: Job) -> None:
        """Somebody cancelled it: nothing may stay behind. Or another works on it: then the folder is theirs."""
        now = self._jobs.find(job.id)
        if now is not None and now.state == "cancelled":
            self.remove(job.id)

    def _told(self, error: Exception) -> Failure:
        """A failure as clients may see it: without paths of this machine."""
        if not isinstance(error, SightlineError):
            way_out = "Its log says why; tell its keeper the id of the area."
            return Failure(error="the server failed", where="", way_out=way_out, status=500)
        where = PurePath(error.where).name if PurePath(error.where).is_absolute() else error.where
        what, way_out = (without_paths(text, self._settings) for text in (error.what, error.way_out))
        return Failure(error=what, where=where, way_out=way_out, status=status_of(error))


def without_paths(text: str, settings: Settings) -> str:
    """A message of a library without the folders of this machine that it may name; file names stay."""
    named = [settings.root / one for one in (settings.tiles, settings.upscaler, settings.realesrgan) if one]
    folders = {str(folder) for path in (settings.root, *named) for folder in (path, path.parent)} - {"/"}
    return re.sub("|".join(rf"{re.escape(one)}/(?:[^\s/:,'\"]+/)*" for one in sorted(folders, reverse=True)), "", text)


class _Stopped(Exception):
    """The work on a job ends before its end."""


class _Held:
    """A job that is worked on, also the `Progress` of that work. Held from entering to leaving."""

    def __init__(self, jobs: Queue, job: Job, stop: threading.Event, rhythm: Rhythm) -> None:
        self.job = job
        self.lost = False
        self._jobs = jobs
        self._stop = stop
        self._rhythm = rhythm
        self._progress: Mapping[str, Json] = {}
        self._nudged = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._hold, name="lease", daemon=True)

    def __enter__(self) -> _Held:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self._nudged.set()
        self._thread.join()

    def look_again(self) -> None:
        """Ask at once whether it is still ours."""
        self._nudged.set()

    def advance(self, done: int, total: int, what: str) -> None:
        """Keep how far it is, or stop the work."""
        self._progress = {"done": done, "total": total, "what": what}
        if self.lost or self._stop.is_set():
            raise _Stopped

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Looking has none."""

    def _hold(self) -> None:
        lease_s = self._rhythm.lease_s
        until_s = time.monotonic() + lease_s
        while not (self._ended or self.lost):
            try:
                self.lost = not self._jobs.renew(self.job, self._progress, lease_s)
                until_s = time.monotonic() + lease_s
            except SightlineError as error:
                log.warning("area %s cannot be held on to: %s", self.job.id, error)
                self.lost = time.monotonic() > until_s
            self._nudged.wait(self._rhythm.renew_s)
            self._nudged.clear()
