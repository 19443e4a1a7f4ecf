"""From the bytes of an upload to an answer that is in the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from sightline.conditions import put_under
from sightline.errors import BackendError, ModelMissing
from sightline.hardware import cores
from sightline.images import encode_png
from sightline.serving.batching import Batcher, Outcomes, Plan, measure_plan
from sightline.serving.champion import Champion, ChampionKeeper, Champions
from sightline.serving.metrics import Metrics
from sightline.settings import Settings
from sightline.task import Limits, Model, Prediction

_CORES = cores()
NO_CONDITIONS: Mapping[str, float] = {}
_ANSWER_S = 60.0  # a request that waits longer is told to come back


@dataclass(frozen=True)
class Question:
    """One decoded upload, and the version that decoded it: no other may answer it."""

    champion: Champion
    input: Any
    source: str


@dataclass(frozen=True)
class Answered:
    """One prediction, its number in the ledger and the version that made it."""

    question: Question
    prediction: Prediction
    id: int = 0

    @property
    def version(self) -> int:
        """Number of the version that answered."""
        return self.question.champion.number


Log = Callable[[Sequence[Answered]], Sequence[int]]
"""Writes the rows of a batch to disk and returns their numbers; called from one thread. May raise BackendError."""


class Engine:
    """Answers uploads with the current champion.

    Args:
        task: name of the task.
        champions: who says which version answers.
        log: writes rows before their answers are returned.
        settings: limits, batching, polling.
        metrics: what is counted.
    """

    def __init__(
        self,
        task: str,
        champions: Champions,
        log: Log,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self.task = task
        self.keeper = ChampionKeeper(task, champions, self._warm, settings.poll_s, metrics)
        self._write = log
        self._limits = settings.limits
        self._max_batch = settings.max_batch
        self._max_queue = settings.max_queue
        self._metrics = metrics
        self._plan: Plan | None = None
        self._waiting = 0
        self._reading = 0
        self._readers = ThreadPoolExecutor(_CORES, thread_name_prefix="read")
        self._decoded: asyncio.Semaphore | None = None
        self._batcher: Batcher[Question, Answered] = Batcher(
            self._predict, self._log, lambda q: q.champion.number, lambda: self._reading, settings.max_wait_ms / 1000
        )

    def start(self) -> None:
        """Load the champion, in the background."""
        self.keeper.start()

    def stop(self) -> None:
        """Let go of threads."""
        self.keeper.stop()
        self._batcher.close()
        self._readers.shutdown(wait=False, cancel_futures=True)

    def champion(self) -> Champion:
        """The version that answers.

        Raises:
            SightlineError: there is none; says why.
        """
        champion = self.keeper.champion
        if champion is None:
            problem = self.keeper.problem or ModelMissing("there is no champion")
            raise problem.with_traceback(None)  # raised many times, it would otherwise grow with each
        return champion

    async def answer(self, body: bytes, source: str, conditions: Mapping[str, float] = NO_CONDITIONS) -> Answered:
        """Predict one upload; when this returns, its row is on disk.

        Args:
            body: the encoded image.
            source: its file name, for people; may be empty.
            conditions: what the client tells of the image besides.

        Raises:
            DataRejected: the upload cannot be read.
            RequestError: a condition cannot be.
            BackendError: too many requests are waiting, the answer took too long, or the ledger failed.
            SightlineError: there is no champion.
        """
        champion = self.champion()
        if self._waiting >= self._max_queue:
            raise BackendError("too many requests are waiting", way_out="Try again shortly, or send fewer at a time.")
        self._batcher.use(champion.plan)
        if self._decoded is None:
            # Decoded images are large: those of the batches that run and of the next are held, others wait as files.
            self._decoded = asyncio.Semaphore(2 * champion.plan.batch * champion.plan.lanes)
        self._waiting += 1
        self._metrics.waiting.set(self._waiting)
        try:
            async with asyncio.timeout(_ANSWER_S), self._decoded:
                question = await self._read(champion, body, source, conditions)
                return await self._batcher.submit(question)
        except TimeoutError as error:
            raise BackendError(f"no answer within {_ANSWER_S:g} s", way_out="Try again later.") from error
        finally:
            self._waiting -= 1
            self._metrics.waiting.set(self._waiting)

    async def draw(self, answered: Answered) -> bytes:
        """The answer drawn on its image, as PNG."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._draw, answered)

    async def raster(self, answered: Answered, name: str) -> bytes:
        """One of the answer's rasters as PNG."""
        pixels = answered.prediction.rasters[name]
        return await asyncio.get_running_loop().run_in_executor(self._readers, encode_png, pixels)

    async def _read(self, champion: Champion, body: bytes, source: str, conditions: Mapping[str, float]) -> Question:
        start_s = time.perf_counter()
        self._reading += 1
        try:
            loop = asyncio.get_running_loop()
            decoded = await loop.run_in_executor(self._readers, champion.model.read, body, self._limits)
            decoded = put_under(champion.model, decoded, conditions)
        finally:
            self._reading -= 1
            self._metrics.stage("read", start_s)
        return Question(champion, decoded, source)

    def _predict(self, questions: Sequence[Question]) -> Outcomes[Answered]:
        """One call of the model; where it fails, each question alone, so that only the bad one fails."""
        start_s = time.perf_counter()
        self._metrics.batch_images.observe(len(questions))
        model = questions[0].champion.model
        try:
            predictions = model.predict([question.input for question in questions])
        except Exception as error:
            if len(questions) == 1:
                return [error]
            return [outcome for question in questions for outcome in self._predict([question])]
        self._metrics.stage("predict", start_s)
        return [Answered(q, p) for q, p in zip(questions, predictions, strict=True)]

    def _log(self, _: Sequence[Question], outcomes: Outcomes[Answered]) -> Outcomes[Answered]:
        """Write the rows of a batch in one transaction."""
        start_s = time.perf_counter()
        good = [outcome for outcome in outcomes if isinstance(outcome, Answered)]
        if not good:
            return outcomes
        numbers = iter(self._write(good))
        self._metrics.stage("log", start_s)
        return [replace(o, id=next(numbers)) if isinstance(o, Answered) else o for o in outcomes]

    def _draw(self, answered: Answered) -> bytes:
        start_s = time.perf_counter()
        question = answered.question
        picture = encode_png(question.champion.model.draw(question.input, answered.prediction))
        self._metrics.stage("draw", start_s)
        return picture

    def _warm(self, model: Model) -> Plan:
        """Predict once, so that the first request finds everything in place; the first model is also measured."""
        example = model.read(model.example(), Limits())
        model.predict([example])
        if self._plan is None:
            self._plan = measure_plan(lambda batch: _call(model, example, batch), self._max_batch, _CORES)
        return self._plan


def _call(model: Model, example: Any, batch: int) -> None:
    model.predict([example] * batch)
