"""From the bytes of an upload to an answer that is in the ledger.

    weigh -> a place in a room -> read -> batch -> predict -> ledger

There are two rooms, each with lanes of its own: what takes long never stands in the way of what does not. What an input
will take is known from its head, so that what cannot be answered in time is refused before it is decoded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sightline.conditions import put_under
from sightline.errors import BackendError, ModelMissing, RequestError
from sightline.serving.batching import Batcher, Batching
from sightline.serving.calls import Calls
from sightline.serving.capacity import Capacity, Share
from sightline.serving.champion import Champion, ChampionKeeper, Champions, Warmed
from sightline.serving.lanes import Lanes, TwoRooms, too_large
from sightline.serving.metrics import Metrics
from sightline.serving.questions import Answered, Log, Question, Work
from sightline.settings import Settings
from sightline.stopping import Stopped, stoppable
from sightline.task import Model
from sightline.vision.images import encode_png

NO_CONDITIONS: Mapping[str, float] = {}
GONE = 499  # the client closed the connection; nobody reads it but the metrics

T = TypeVar("T")


class Engine:
    """Answers uploads with the current champion.

    Args:
        task: name of the task.
        champions: who says which version answers.
        log: writes rows before their answers are returned.
        settings: limits, batching, polling.
        metrics: what is counted.
        capacity: threads and room, which endpoints of one process share.
    """

    def __init__(
        self, task: str, champions: Champions, log: Log, settings: Settings, metrics: Metrics, capacity: Capacity
    ) -> None:
        self.task = task
        self._calls = Calls(log, settings, metrics)
        self.keeper = ChampionKeeper(task, champions, self._warm, settings.poll_s, metrics)
        self._settings = settings
        self._metrics = metrics
        self._waiting = 0
        self._reading = 0
        self._capacity = capacity
        self._readers = capacity.readers
        long = self._lanes(capacity.long)
        long.batcher.use(Batching(1, capacity.long.lanes))
        self._rooms = TwoRooms(self._lanes(capacity.short), long, settings.answer_s)

    def _lanes(self, share: Share) -> Lanes:
        batcher: Batcher[Question, Answered] = Batcher(
            self._calls.predict,
            self._calls.log,
            lambda question: question.champion.number,
            lambda: self._reading,
            self._settings.max_wait_ms / 1000,
            share.threads,
        )
        return Lanes(share.room, batcher)

    def _warm(self, model: Model) -> Warmed:
        with self._capacity.measuring():
            return self._calls.warm(model)

    def start(self) -> None:
        """Load the champion, in the background."""
        self.keeper.start()

    def stop(self) -> None:
        """Ask for champions no more."""
        self.keeper.stop()

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
        self._calls.check(now_s)

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
            if not work.busy:  # else the room is taken until the thread is done
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
        lanes = self._rooms.chosen(champion, seconds, cost.held_bytes)
        self._rooms.refuse(champion, cost)
        self._rooms.postpone(seconds, lanes.room)
        work.room, work.reservation = lanes.room, await lanes.room.enter(seconds, cost.held_bytes)
        work.reservation.holders += 1  # this, and the request itself
        try:
            question = await self._read(work, champion, body, source, conditions)
            return await lanes.batcher.submit(question)
        finally:
            lanes.room.leave(work.reservation)

    def _unanswered(self, work: Work, gone: bool) -> Exception:
        """Why there is no answer yet, and will be none."""
        limit_s = self._settings.answer_s
        if gone:
            return RequestError("the client has gone", status=GONE)
        if work.cost and work.reservation and time.monotonic() - work.reservation.since_s > limit_s / 2:
            return too_large(f"it takes longer than {limit_s:g} s", work.cost, 0.5)
        return BackendError(f"no answer within {limit_s:g} s", way_out="Try again later.")

    def _leave(self, work: Work) -> None:
        """The request needs its reservation no more."""
        if work.room is not None and work.reservation is not None:
            work.room.leave(work.reservation)

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
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._calls.draw, answered)

    async def raster(self, answered: Answered, name: str) -> bytes:
        """One of the answer's rasters as PNG."""
        pixels = answered.prediction.rasters[name]
        return await asyncio.get_running_loop().run_in_executor(self._readers, encode_png, pixels)

    async def _read(
        self, work: Work, champion: Champion, body: bytes, source: str, conditions: Mapping[str, float]
    ) -> Question:
        self._reading += 1
        try:
            decoded = await self._in_thread(work, self._calls.decode, work, champion, body)
            return Question(champion, put_under(champion.model, decoded, conditions), source, work)
        finally:
            self._reading -= 1
