from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from sightline.serving.batching import (
    Batcher,
    Batching,
    Outcomes,
    Threads,
    choose_batch,
    images_per_second,
    measure_batching,
)


class Work:
    """Doubles numbers; waits at the gate; odd numbers above 100 fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.finished: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()

    def run(self, items: Sequence[int]) -> Outcomes[int]:
        self.batches.append(list(items))
        assert self.gate.wait(10)
        return [ValueError(str(i)) if i > 100 and i % 2 else i * 2 for i in items]

    def finish(self, items: Sequence[int], outcomes: Outcomes[int]) -> Outcomes[int]:
        self.finished.append(list(items))
        return outcomes


def threads(calls: int = 4) -> Threads:
    return Threads(ThreadPoolExecutor(calls), ThreadPoolExecutor(1))


def make(work: Work, batching: Batching, on_the_way: int = 0, max_wait_s: float = 0.0) -> Batcher[int, int]:
    steps = (work.run, work.finish, lambda i: i // 1000, lambda: on_the_way)
    batcher: Batcher[int, int] = Batcher(*steps, max_wait_s, threads())
    batcher.use(batching)
    return batcher


async def submit_while_busy(batcher: Batcher[int, int], work: Work, items: list[int]) -> list[int | BaseException]:
    """Hold the only lane with 0, submit the items, let go."""
    work.gate.clear()
    first = asyncio.create_task(batcher.submit(0))
    await asyncio.sleep(0.01)
    tasks = [asyncio.create_task(batcher.submit(item)) for item in items]
    await asyncio.sleep(0.01)
    work.gate.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_items_that_wait_share_batches() -> None:
    work = Work()
    outcomes = asyncio.run(submit_while_busy(make(work, Batching(batch=3)), work, [1, 2, 3, 4]))
    assert outcomes == [2, 4, 6, 8]
    assert work.batches == [[0], [1, 2, 3], [4]]
    assert work.finished == work.batches


def test_a_lone_item_is_not_held_back() -> None:
    work = Work()
    batcher = make(work, Batching(batch=8), on_the_way=0, max_wait_s=30)
    assert asyncio.run(asyncio.wait_for(batcher.submit(4), 5)) == 8


def test_a_batch_waits_for_items_on_their_way() -> None:
    async def run() -> None:
        batcher = make(work, Batching(batch=2), on_the_way=1, max_wait_s=30)
        first = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0.01)
        assert work.batches == []
        assert await batcher.submit(2) == 4
        assert await first == 2

    work = Work()
    asyncio.run(run())
    assert work.batches == [[1, 2]]


def test_a_batch_waits_no_longer_than_it_may() -> None:
    work = Work()
    assert asyncio.run(asyncio.wait_for(make(work, Batching(batch=2), 1, 0.01).submit(1), 5)) == 2


def test_one_bad_item_fails_alone() -> None:
    work = Work()
    outcomes = asyncio.run(submit_while_busy(make(work, Batching(batch=4)), work, [102, 103, 104]))
    assert outcomes[0] == 204
    assert isinstance(outcomes[1], ValueError)
    assert outcomes[2] == 208


def test_kinds_never_share_a_batch() -> None:
    work = Work()
    asyncio.run(submit_while_busy(make(work, Batching(batch=8)), work, [1, 2, 1002, 1004, 4]))
    assert work.batches == [[0], [1, 2], [1002, 1004], [4]]


def test_a_cancelled_item_is_never_worked_on() -> None:
    async def run() -> None:
        batcher = make(work, Batching(batch=1))
        work.gate.clear()
        first = asyncio.create_task(batcher.submit(0))
        leaving = asyncio.create_task(batcher.submit(1))
        staying = asyncio.create_task(batcher.submit(2))
        await asyncio.sleep(0.01)
        leaving.cancel()
        work.gate.set()
        await asyncio.gather(first, staying)

    work = Work()
    asyncio.run(run())
    assert work.batches == [[0], [2]]


def test_lanes_run_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=10)  # broken, with an exception, unless two come

    def work(items: Sequence[int]) -> Outcomes[int]:
        meeting.wait()
        return list(items)

    async def run() -> list[int]:
        batcher: Batcher[int, int] = Batcher(work, lambda _, outcomes: outcomes, lambda _: 0, lambda: 0, 0.0, threads())
        batcher.use(Batching(batch=1, lanes=2))
        return await asyncio.gather(batcher.submit(1), batcher.submit(2))

    assert asyncio.run(run()) == [1, 2]


@pytest.mark.parametrize("failing", ["work", "finish"])
def test_a_step_that_raises_fails_its_batch_and_no_other(failing: str) -> None:
    calls = 0

    def maybe(items: Sequence[int], outcomes: Outcomes[int] | None = None) -> Outcomes[int]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("disk")
        return outcomes or list(items)

    def fine(items: Sequence[int], outcomes: Outcomes[int] | None = None) -> Outcomes[int]:
        return outcomes or list(items)

    async def run() -> None:
        steps = (maybe, fine) if failing == "work" else (fine, maybe)
        batcher: Batcher[int, int] = Batcher(*steps, lambda _: 0, lambda: 0, 0.0, threads())
        with pytest.raises(OSError, match="disk"):
            await batcher.submit(1)
        assert await batcher.submit(2) == 2

    asyncio.run(run())


RATES = {
    "batches help up to four": ([10, 15, 20, 12], 4),
    "batches bring next to nothing": ([10, 10.4, 30, 30], 1),
    "batches hurt": ([10, 8, 6, 4], 1),
    "the largest is best": ([10, 15, 20, 25], 8),
}


@pytest.mark.parametrize("case", RATES)
def test_the_batch_with_the_most_images_a_second_wins(case: str) -> None:
    rates, expected = RATES[case]
    assert choose_batch(dict(zip((1, 2, 4, 8), rates, strict=True)).__getitem__, max_batch=8) == expected


def test_when_time_is_up_no_larger_batch_is_tried() -> None:
    assert choose_batch(float, max_batch=8, in_time=lambda: False) == 1


def test_what_waits_is_shared_out_between_lanes() -> None:
    async def run() -> None:
        batcher = make(work, Batching(batch=8, lanes=2))
        work.gate.clear()
        tasks = [asyncio.create_task(batcher.submit(item)) for item in range(2)]  # both lanes are busy
        await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(batcher.submit(item)) for item in range(2, 8)]
        await asyncio.sleep(0.01)
        work.gate.set()
        await asyncio.gather(*tasks)

    work = Work()
    asyncio.run(run())
    assert max(len(batch) for batch in work.batches) == 3
    assert sorted(item for batch in work.batches for item in batch) == list(range(8))


def test_a_plan_is_measured_with_calls_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=10)  # broken, with an exception, unless two come

    def wait() -> None:
        meeting.wait()

    assert images_per_second(lambda _: wait(), Batching(batch=3, lanes=2)) > 0


def test_measuring_ends_with_a_plan_within_the_limits() -> None:
    batching = measure_batching(lambda _: None, max_batch=4, lanes=2)
    assert batching.batch in (1, 2, 4)
    assert batching.lanes == 2
