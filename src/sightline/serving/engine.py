"""From the bytes of an upload to an answer that is in the ledger.

    weigh -> a place in a room -> read -> batch -> predict -> ledger

There are two rooms, each with lanes of its own: what takes long never stands in the way of what does not. What an input
will take is known from its head, so that what cannot be answered in time is refused before it is decoded.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sightline.conditions import put_under
from sightline.errors import BackendError, ModelMissing, RequestError
from sightline.serving.admission import Place, Room
from sightline.serving.batching import Batcher, Outcomes, Plan, measure_plan
from sightline.serving.champion import Champion, ChampionKeeper, Champions, Warmed
from sightline.serving.metrics import Metrics
from sightline.serving.pace import measure_pace
from sightline.settings import Settings
from sightline.stopping import Stopped, check, stoppable
from sightline.task import Cost, Limits, Model, Prediction
from sightline.vision.hardware import cores
from sightline.vision.images import encode_png

_CORES = cores()
NO_CONDITIONS: Mapping[str, float] = {}
GONE = 499  # the client closed the connection; nobody reads it but the metrics

_SHORT_S, _SHORT_EXAMPLES = 2.0, 3.0
"""An input is short that takes no more than this, or no more than so many of the model's examples."""

_SHORT_SHARE = 0.25
"""Of the bytes that inputs may hold together: what is kept for short ones."""

_OVERDUE_S = 30.0
"""A call of the model that goes on for so long after nobody waits for it is stuck."""

_SAFE = 0.95  # of a side that is proposed: overlaps of windows do not shrink with the picture

T = TypeVar("T")


@dataclass(eq=False)
class Work:
    """What is done for one request, and whether anybody still waits for it.

    Attributes:
        cost: once the input is weighed.
        room, place: once it has one.
        busy: a thread is at it now.
        stopped: nobody waits any more.
    """

    cost: Cost | None = None
    room: Room | None = None
    place: Place | None = None
    busy: bool = False
    stopped: bool = False


@dataclass(frozen=True)
class Question:
    """One decoded upload, and the version that decoded it: no other may answer it."""

    champion: Champion
    input: Any
    source: str
    work: Work = field(default_factory=Work, repr=False)


@dataclass(frozen=True)
class Answered:
    """One prediction, its id in the ledger and the version that made it.

    Attributes:
        once: its work may be done again after a failure, and yet the ledger gets its row once.
    """

    question: Question
    prediction: Prediction
    id: str = ""
    once: bool = False

    @property
    def version(self) -> int:
        """Number of the version that answered."""
        return self.question.champion.number


Log = Callable[[Sequence[Answered]], Sequence[str]]
"""Writes the rows of a batch to disk and returns their ids; called from one thread. May raise BackendError."""


@dataclass(frozen=True)
class _Lanes:
    """Where inputs of a kind are let in and answered."""

    room: Room
    batcher: Batcher[Question, Answered]


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
        self._settings = settings
        self._metrics = metrics
        self._plan: Plan | None = None
        self._waiting = 0
        self._reading = 0
        self._calls: set[float] = set()
        self._readers = ThreadPoolExecutor(_CORES + 1, thread_name_prefix="read")
        kept = int(settings.max_held_bytes * _SHORT_SHARE)
        long_lanes = max(_CORES - 1, 1)
        self._short = self._lanes(kept, _CORES)
        self._long = self._lanes(settings.max_held_bytes - kept, long_lanes)
        self._long.batcher.use(Plan(1, long_lanes))

    def _lanes(self, room_bytes: int, lanes: int) -> _Lanes:
        batcher: Batcher[Question, Answered] = Batcher(
            self._predict,
            self._log,
            lambda question: question.champion.number,
            lambda: self._reading,
            self._settings.max_wait_ms / 1000,
        )
        return _Lanes(Room(lanes, room_bytes, lanes), batcher)

    def start(self) -> None:
        """Load the champion, in the background."""
        self.keeper.start()

    def stop(self) -> None:
        """Let go of threads."""
        self.keeper.stop()
        for lanes in (self._short, self._long):
            lanes.batcher.close()
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

    def check(self, now_s: float | None = None) -> None:
        """Whether the model still answers, now or at another time of the monotonic clock.

        Raises:
            BackendError: a call of it has not come back, long after anybody waited for it.
        """
        since_s = (time.monotonic() if now_s is None else now_s) - min(self._calls, default=math.inf)
        if since_s > self._settings.answer_s + _OVERDUE_S:
            raise BackendError(
                f"the model has not come back from a call for {since_s:.0f} s", way_out="Restart the endpoint."
            )

    # ---------------------------------------------------------------------------------------------- answering

    @asynccontextmanager
    async def answering(
        self,
        body: bytes,
        source: str,
        conditions: Mapping[str, float] = NO_CONDITIONS,
        gone: Callable[[], Awaitable[None]] | None = None,
    ) -> AsyncIterator[Answered]:
        """Predict one upload; when this is entered, its row is on disk. What it holds in memory counts till the end.

        Args:
            body: the encoded image.
            source: its file name, for people; may be empty.
            conditions: what the client tells of the image besides.
            gone: waits until the client leaves. Its work then ends, at the next step that the model makes.

        Raises:
            DataRejected: the upload cannot be read.
            RequestError: a condition cannot be, the image takes too long or too much memory, or the client has gone.
            BackendError: too many requests are waiting, the answer took too long, or the ledger failed.
            SightlineError: there is no champion.
        """
        champion = self.champion()
        if self._waiting >= self._settings.max_queue:
            raise BackendError("too many requests are waiting", way_out="Try again shortly, or send fewer at a time.")
        work = Work()
        answer = asyncio.create_task(self._answer(work, champion, body, source, conditions))
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # where nobody asks any more
        leaving = asyncio.ensure_future(gone()) if gone is not None else None
        self._count(1)
        try:
            awaited = {answer} if leaving is None else {answer, leaving}
            await asyncio.wait(awaited, timeout=self._settings.answer_s, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise self._unanswered(work, leaving is not None and leaving.done())
            yield answer.result()
        finally:
            work.stopped = True
            if not work.busy:  # else the place is taken until the thread is done
                answer.cancel()
            if leaving is not None:
                leaving.cancel()
            self._leave(work)
            self._count(-1)

    async def _answer(
        self, work: Work, champion: Champion, body: bytes, source: str, conditions: Mapping[str, float]
    ) -> Answered:
        cost = work.cost = await self._in_thread(work, champion.model.weigh, body, self._settings.limits, conditions)
        seconds = champion.warmed.pace.usual_s(cost)
        lanes = self._chosen(champion, seconds, cost.held_bytes)
        self._refuse(champion, cost)
        self._postpone(seconds, lanes.room)
        work.room, work.place = lanes.room, await lanes.room.enter(seconds, cost.held_bytes)
        work.place.holders += 1  # this, and the request itself
        try:
            question = await self._read(work, champion, body, source, conditions)
            return await lanes.batcher.submit(question)
        finally:
            lanes.room.leave(work.place)

    def _chosen(self, champion: Champion, seconds: float, held_bytes: int) -> _Lanes:
        """By how long it takes, and how much memory."""
        self._short.batcher.use(champion.warmed.plan)
        # Decoded images are large: those of the batches that run and of the next are held, others wait as files.
        self._short.room.places = 2 * champion.warmed.plan.batch * champion.warmed.plan.lanes
        short_s = max(_SHORT_S, _SHORT_EXAMPLES * champion.warmed.example_s)
        small = held_bytes <= self._short.room.room_bytes
        return self._short if small and seconds <= short_s else self._long

    def _refuse(self, champion: Champion, cost: Cost) -> None:
        """What can never be answered.

        Raises:
            RequestError: 413; says which size can.
        """
        limit_s = self._settings.answer_s
        seconds = champion.warmed.pace.best_s(cost)
        if seconds > limit_s:
            raise _too_large(f"it would take {seconds:,.0f} s, more than {limit_s:g}", cost, limit_s / seconds)
        most = self._long.room.room_bytes
        if cost.held_bytes > most:
            what = f"it would take {cost.held_bytes / 2**20:,.0f} MB of memory, more than {most / 2**20:,.0f}"
            raise _too_large(what, cost, most / cost.held_bytes)

    def _postpone(self, seconds: float, room: Room) -> None:
        """What cannot be answered in time now, but later.

        Raises:
            BackendError: says after how many seconds.
        """
        wait_s = room.wait_s(seconds)
        late_s = wait_s + seconds - self._settings.answer_s
        if wait_s > 0 and late_s > 0:  # with nobody before it, it is tried: the estimate may be wrong
            after_s = max(math.ceil(late_s), 1)
            raise BackendError(
                f"there is work for {wait_s:,.0f} s before it",
                way_out=f"Try again in {after_s} s.",
                retry_after_s=after_s,
            )

    def _unanswered(self, work: Work, gone: bool) -> Exception:
        """Why there is no answer yet, and will be none."""
        limit_s = self._settings.answer_s
        if gone:
            return RequestError("the client has gone", status=GONE)
        if work.cost and work.place and time.monotonic() - work.place.since_s > limit_s / 2:
            return _too_large(f"it takes longer than {limit_s:g} s", work.cost, 0.5)
        return BackendError(f"no answer within {limit_s:g} s", way_out="Try again later.")

    def _leave(self, work: Work) -> None:
        """The request needs its place no more."""
        if work.room is not None and work.place is not None:
            work.room.leave(work.place)

    def _count(self, more: int) -> None:
        self._waiting += more
        self._metrics.waiting.set(self._waiting)

    async def _in_thread(self, work: Work, step: Callable[..., T], *given: Any) -> T:
        """A step in a reader's thread, which `check` may end. Raises Stopped where nobody waits for it any more."""

        def run() -> T:
            work.busy = True
            try:
                with stoppable(lambda: work.stopped):
                    return step(*given)
            finally:
                work.busy = False

        result = await asyncio.get_running_loop().run_in_executor(self._readers, run)
        if work.stopped:
            raise Stopped
        return result

    async def draw(self, answered: Answered) -> bytes:
        """The answer drawn on its image, as PNG."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._draw, answered)

    async def raster(self, answered: Answered, name: str) -> bytes:
        """One of the answer's rasters as PNG."""
        pixels = answered.prediction.rasters[name]
        return await asyncio.get_running_loop().run_in_executor(self._readers, encode_png, pixels)

    async def _read(
        self, work: Work, champion: Champion, body: bytes, source: str, conditions: Mapping[str, float]
    ) -> Question:
        self._reading += 1
        try:
            decoded = await self._in_thread(work, self._decode, work, champion, body)
            return Question(champion, put_under(champion.model, decoded, conditions), source, work)
        finally:
            self._reading -= 1

    def _decode(self, work: Work, champion: Champion, body: bytes) -> Any:
        assert work.cost is not None
        start_s, cpu_start_s = time.perf_counter(), time.thread_time()
        decoded = champion.model.read(body, self._settings.limits)
        seconds, cpu_s = time.perf_counter() - start_s, time.thread_time() - cpu_start_s
        champion.warmed.pace.reading.add(seconds, work.cost.decoded_px, cpu_s)
        self._metrics.stage("read", start_s)
        return decoded

    def _predict(self, questions: Sequence[Question]) -> Outcomes[Answered]:
        """One call of the model; where it fails, each question alone, so that only the bad one fails."""
        self._metrics.batch_images.observe(len(questions))
        works = [question.work for question in questions]
        for work in works:
            work.busy = True
        try:
            with stoppable(lambda: all(work.stopped for work in works)):
                predictions = self._call(questions)
        except Stopped as stopped:
            return [stopped] * len(questions)
        except Exception as error:
            if len(questions) == 1:
                return [error]
            return [outcome for question in questions for outcome in self._predict([question])]
        finally:
            for work in works:
                work.busy = False
        return [Answered(q, p) for q, p in zip(questions, predictions, strict=True)]

    def _call(self, questions: Sequence[Question]) -> list[Prediction]:
        champion = questions[0].champion
        check()  # whoever asked may have gone while it waited for a lane
        start_s, cpu_start_s, call = time.perf_counter(), time.thread_time(), time.monotonic()
        self._calls.add(call)
        try:
            predictions = champion.model.predict([question.input for question in questions])
        finally:
            self._calls.discard(call)
        seen_px = sum(question.work.cost.seen_px for question in questions if question.work.cost)
        seconds, cpu_s = time.perf_counter() - start_s, time.thread_time() - cpu_start_s
        champion.warmed.pace.seeing.add(seconds, seen_px, cpu_s)
        self._metrics.stage("predict", start_s)
        return predictions

    def _log(self, _: Sequence[Question], outcomes: Outcomes[Answered]) -> Outcomes[Answered]:
        """Write the rows of a batch in one transaction."""
        start_s = time.perf_counter()
        good = [outcome for outcome in outcomes if isinstance(outcome, Answered)]
        if not good:
            return outcomes
        ids = iter(self._write(good))
        self._metrics.stage("log", start_s)
        return [replace(o, id=next(ids)) if isinstance(o, Answered) else o for o in outcomes]

    def _draw(self, answered: Answered) -> bytes:
        start_s = time.perf_counter()
        question = answered.question
        picture = encode_png(question.champion.model.draw(question.input, answered.prediction))
        self._metrics.stage("draw", start_s)
        return picture

    def _warm(self, model: Model) -> Warmed:
        """Predict, so that the first request finds everything in place; the first model is also measured."""
        content = model.example()
        pace, example, first = measure_pace(model, content)
        if self._plan is None:
            self._plan = measure_plan(lambda batch: _call(model, example, batch), self._settings.max_batch, _CORES)
        example_s = pace.usual_s(model.weigh(content, Limits(), {}))
        return Warmed(self._plan, pace, example_s, tuple(first.rasters))


def _call(model: Model, example: Any, batch: int) -> None:
    model.predict([example] * batch)


def _too_large(what: str, cost: Cost, share: float) -> RequestError:
    """An image of which this share of the pixels can be answered."""
    height, width = (max(int(side * math.sqrt(share) * _SAFE), 1) for side in cost.size)
    return RequestError(
        what, where="image", way_out=f"Give about {width:,} x {height:,} pixels at most, or a part of it.", status=413
    )
