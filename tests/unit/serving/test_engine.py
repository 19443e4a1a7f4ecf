"""How much is worked on at a time, for how long, and for whom."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.limits import Cost, Limits
from sightline.stopping import Stopped, check
from sightline.task import Prediction
from tests.toy import ToyInput, ToyModel
from tests.unit.serving.harness import Answer, CountingModel, Endpoint, SetChampions, ask, assert_problem, png

PNG = {"Content-Type": "image/png"}
ROOM = 1_000_000
LARGE = 64  # side of an image that weighs much


class HeavyModel(CountingModel):
    """The toy model, for which images of 64 px and more are heavy; it notes how many of them it has at a time."""

    def __init__(self, held_bytes: int = ROOM // 2, seen_px: int = 1) -> None:
        super().__init__()
        self.heavy = held_bytes, seen_px
        self.reads = 0
        self.stopped = 0
        self.inside = 0
        self.most_inside = 0
        self.lock = threading.Lock()

    def weigh(self, source: Path | bytes, limits: Limits, conditions: Mapping[str, float]) -> Cost:
        cost = super().weigh(source, limits, conditions)
        held_bytes, seen_px = self.heavy
        return cost if cost.size[0] < LARGE else Cost(cost.size, cost.decoded_px, seen_px, held_bytes)

    def read(self, source: Any, limits: Limits) -> ToyInput:
        self.reads += 1
        found = super().read(source, limits)
        if len(found.pixels) >= LARGE:
            with self.lock:
                self.inside += 1
                self.most_inside = max(self.most_inside, self.inside)
        return found

    def predict(self, batch: Sequence[ToyInput]) -> list[Prediction]:
        """Heavy ones go on until the gate is open, and ask on the way whether they shall."""
        if len(batch[0].pixels) >= LARGE:
            try:
                while not self.gate.is_set():
                    check()
                    time.sleep(0.001)
            except Stopped:
                self.stopped += 1
                self.left()
                raise
            return CountingModel.predict(self, batch)
        return ToyModel.predict(self, batch)

    def draw(self, source: ToyInput, prediction: Prediction) -> NDArray[np.uint8]:
        if len(source.pixels) >= LARGE:
            self.left()
        return super().draw(source, prediction)

    def left(self) -> None:
        with self.lock:
            self.inside -= 1


def heavy_png() -> bytes:
    return png(side=LARGE)


async def send(endpoint: Endpoint, body: bytes, **how: Any) -> Answer:
    return await ask(endpoint.guarded, path="/v1/picture", body=[body], headers=PNG, **how)


async def until(so: Any) -> None:
    for _ in range(2000):
        if so():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("waited in vain")


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (HeavyModel(seen_px=10**15), "it would take"),
        (HeavyModel(held_bytes=ROOM), "MB of memory"),
    ],
)
def test_what_can_never_be_answered_is_refused_before_it_is_decoded(
    tmp_path: Path, model: HeavyModel, why: str
) -> None:
    endpoint = Endpoint(tmp_path, SetChampions(model), max_held_bytes=ROOM)

    async def story() -> tuple[int, Answer]:
        before = model.reads
        return before, await send(endpoint, heavy_png())

    before, answer = endpoint.within(story)
    assert_problem(answer, 413, why)
    assert "pixels at most" in answer.json["way_out"]  # which size can be answered
    assert model.reads == before
    assert endpoint.predictions.count("toy") == 0


def test_small_images_do_not_wait_behind_large_ones(tmp_path: Path) -> None:
    model = HeavyModel()
    endpoint = Endpoint(tmp_path, SetChampions(model), max_held_bytes=ROOM)

    async def story() -> tuple[list[Answer], list[Answer]]:
        model.gate.clear()
        heavy = [asyncio.create_task(send(endpoint, heavy_png())) for _ in range(6)]
        await until(lambda: model.inside)
        answered = await asyncio.gather(*(send(endpoint, png()) for _ in range(6)))
        assert not any(task.done() for task in heavy)
        model.gate.set()
        return answered, await asyncio.gather(*heavy)

    small, heavy = endpoint.within(story)
    assert [answer.status for answer in (*small, *heavy)] == [200] * 12


def test_all_images_in_flight_hold_no_more_memory_than_there_is(tmp_path: Path) -> None:
    model = HeavyModel(held_bytes=ROOM * 3 // 10)  # two of them fit into what is not kept for small ones
    endpoint = Endpoint(tmp_path, SetChampions(model), max_held_bytes=ROOM)

    async def story() -> list[Answer]:
        return await asyncio.gather(*(send(endpoint, heavy_png()) for _ in range(12)))

    assert [answer.status for answer in endpoint.within(story)] == [200] * 12
    assert 1 <= model.most_inside <= 2


@pytest.mark.parametrize(
    ("options", "how", "status"), [({}, {"gone_after_s": 0.05}, 499), ({"answer_s": 0.3}, {}, 413)]
)
def test_work_ends_with_its_request(tmp_path: Path, options: Any, how: Any, status: int) -> None:
    model = HeavyModel()
    endpoint = Endpoint(tmp_path, SetChampions(model), max_held_bytes=ROOM, **options)

    async def story() -> tuple[Answer, Answer]:
        model.gate.clear()
        first = await send(endpoint, heavy_png(), **how)
        await until(lambda: model.stopped)
        model.gate.set()
        return first, await send(endpoint, heavy_png())  # its place and its lane are free again

    first, second = endpoint.within(story)
    assert (first.status, second.status) == (status, 200)
    assert model.stopped == 1
    assert endpoint.predictions.count("toy") == 1


def test_who_would_wait_too_long_is_told_when_to_come_back(tmp_path: Path) -> None:
    model = HeavyModel(held_bytes=10)
    endpoint = Endpoint(tmp_path, SetChampions(model), answer_s=25.0)

    async def story() -> tuple[Answer, int]:
        champion = endpoint.app.state.engine.keeper.champion
        for _ in range(20):  # as measured: an image takes ten seconds
            champion.warmed.pace.seeing.add(10.0, 1)
        model.gate.clear()
        waiting: list[asyncio.Task[Answer]] = []
        try:
            while not (waiting and waiting[-1].done()):
                waiting.append(asyncio.create_task(send(endpoint, heavy_png())))
                await asyncio.sleep(0.1)
            return await waiting[-1], len(waiting)
        finally:
            model.gate.set()
            await asyncio.gather(*waiting[:-1])

    answer, sent = endpoint.within(story)
    assert_problem(answer, 503, "before it")
    assert sent > 2
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.headers["retry-after"] in answer.json["way_out"]


def test_a_long_head_of_an_image_is_weighed_off_the_event_loop(tmp_path: Path) -> None:
    seen: list[str] = []

    class Model(CountingModel):
        def weigh(self, source: Path | bytes, limits: Limits, conditions: Mapping[str, float]) -> Cost:
            seen.append(threading.current_thread().name)
            return super().weigh(source, limits, conditions)

    (answer,) = Endpoint(tmp_path, SetChampions(Model())).run({"body": [png()], "headers": PNG})
    assert answer.status == 200
    assert seen[-1].startswith("read")
