"""The micro-batcher: requests that come at the same time share one call of the model."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

_GAIN = 1.1  # a larger batch must bring 10 %, for it costs latency

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Outcomes: TypeAlias = Sequence[Outcome | Exception]


@dataclass(frozen=True)
class Batching:
    """How a model is best called on this machine: images in a call, and calls at the same time."""

    batch: int = 1
    lanes: int = 1


def measure_batching(call: Callable[[int], None], max_batch: int, lanes: int, budget_s: float = 4.0) -> Batching:
    """The size of batch that gives the most images a second on this machine, found by trying.

    A larger batch is not always faster on a CPU. How many lanes there are is not tried but given: a machine is at its
    busiest when its servers start, and what runs beside the measurement would decide.

    Args:
        call: predicts a batch of the given size; called from several threads.
        max_batch: largest batch to try.
        lanes: calls side by side.
        budget_s: no larger batch is tried after this time.
    """
    end_s = time.perf_counter() + budget_s
    batch = choose_batch(
        lambda size: images_per_second(call, Batching(size, lanes)), max_batch, lambda: time.perf_counter() < end_s
    )
    return Batching(batch, lanes)


def choose_batch(rate: Callable[[int], float], max_batch: int, in_time: Callable[[], bool] = lambda: True) -> int:
    """The largest batch size, of powers of two, up to which each doubling gives 10 % more images a second."""
    best, best_rate, batch = 1, rate(1), 2
    while batch <= max_batch and in_time():
        found = rate(batch)
        if found < best_rate * _GAIN:
            break
        best, best_rate, batch = batch, found, batch * 2
    return best


def images_per_second(call: Callable[[int], None], batching: Batching) -> float:
    """Images answered a second, the best of three rounds: other work on the machine only makes a round slower."""
    fastest_s = float("inf")
    with ThreadPoolExecutor(batching.lanes) as threads:
        for _ in range(3):
            start_s = time.perf_counter()
            list(threads.map(call, [batching.batch] * batching.lanes))
            fastest_s = min(fastest_s, time.perf_counter() - start_s)
    return batching.batch * batching.lanes / max(fastest_s, 1e-9)


@dataclass(frozen=True)
class Threads:
    """Where batches are worked on; batchers may share them.

    Attributes:
        calls: at least as many as there are lanes.
        finishing: one, so that the lane can go on with the next batch while one is written to disk.
    """

    calls: Executor
    finishing: Executor


class Batcher(Generic[Item, Outcome]):
    """Collects items into batches and runs `work` on them in threads, at most `lanes` batches at a time.

    A batch leaves as soon as a lane is free; it waits, `max_wait_s` at most, only while it is not full and more
    items are known to be on their way. So a lone request is never held back, and under load batches fill by
    themselves while the lanes are busy.

    Args:
        work: items -> an outcome each, or the exception of an item, in order; runs in one of the lanes' threads.
        finish: the same items and their outcomes -> what the requests get; runs in the finishing thread.
        kind: items of different kinds never share a batch (two model versions during a change).
        on_the_way: how many items are about to be submitted.
        max_wait_s: longest a batch is held back.
        threads: where both run; whoever made them ends them.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Outcomes[Outcome]],
        finish: Callable[[Sequence[Item], Outcomes[Outcome]], Outcomes[Outcome]],
        kind: Callable[[Item], Hashable],
        on_the_way: Callable[[], int],
        max_wait_s: float,
        threads: Threads,
    ) -> None:
        self._work = work
        self._finish = finish
        self._kind = kind
        self._on_the_way = on_the_way
        self._max_wait_s = max_wait_s
        self._threads = threads
        self._batching = Batching()
        self._waiting: deque[tuple[Item, asyncio.Future[Outcome], float]] = deque()
        self._busy = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Task[None]] = set()

    def use(self, batching: Batching) -> None:
        """Follow other sizes from the next batch on."""
        self._batching = batching

    async def submit(self, item: Item) -> Outcome:
        """The outcome of one item. Cancelled while it waits, it is never worked on."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future, time.monotonic()))
        self._dispatch()
        return await future

    def _dispatch(self) -> None:
        while self._waiting and self._busy < self._batching.lanes:
            if (left_s := self._hold_s()) > 0:
                if self._alarm is None:
                    self._alarm = asyncio.get_running_loop().call_later(left_s, self._wake)
                return
            batch = self._take()
            if batch:
                self._busy += 1
                task = asyncio.create_task(self._run(batch))
                self._running.add(task)  # the loop itself holds tasks only weakly
                task.add_done_callback(self._running.discard)

    def _wake(self) -> None:
        self._alarm = None
        self._dispatch()

    def _hold_s(self) -> float:
        """How much longer the oldest item may wait for company; 0 where none is coming or none is needed."""
        if len(self._waiting) >= self._batching.batch or self._on_the_way() == 0:
            return 0.0
        return self._waiting[0][2] + self._max_wait_s - time.monotonic()

    def _take(self) -> list[tuple[Item, asyncio.Future[Outcome]]]:
        """The oldest items of one kind, without those whose client has gone; the lanes share what waits."""
        batch: list[tuple[Item, asyncio.Future[Outcome]]] = []
        size = min(self._batching.batch, math.ceil(len(self._waiting) / self._batching.lanes))
        while self._waiting and len(batch) < size:
            item, future, _ = self._waiting[0]
            if not future.done():
                if batch and self._kind(item) != self._kind(batch[0][0]):
                    break
                batch.append((item, future))
            self._waiting.popleft()
        return batch

    async def _run(self, batch: list[tuple[Item, asyncio.Future[Outcome]]]) -> None:
        items = [item for item, _ in batch]
        outcomes = await self._guarded(self._threads.calls, self._work, items)
        self._busy -= 1
        self._dispatch()
        outcomes = await self._guarded(self._threads.finishing, self._finish, items, outcomes)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future.done():
                continue  # its client went away meanwhile
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    async def _guarded(
        self,
        threads: Executor,
        step: Callable[..., Outcomes[Outcome]],
        items: Sequence[Item],
        *more: Outcomes[Outcome],
    ) -> Outcomes[Outcome]:
        """Run a step in a thread; where it raises, that is the outcome of every item."""
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, step, items, *more)
        except Exception as error:
            return [error] * len(items)
