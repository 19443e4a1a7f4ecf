"""Endpoints of one process work with the threads and the memory of one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from sightline.errors import BackendError
from sightline.serving.calls import CORES
from sightline.serving.capacity import Capacity
from sightline.settings import Settings
from sightline.task import Prediction
from tests.toy import ToyInput
from tests.unit.serving.harness import CountingModel, Endpoint, SetChampions, ask, png
from tests.unit.serving.test_engine import PNG, ROOM, HeavyModel, heavy_png


class Crowd:
    """How many are at it at a time."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.lock = threading.Lock()

    def enter(self, more: int) -> None:
        with self.lock:
            self.inside += more
            self.most = max(self.most, self.inside)


class CrowdedModel(CountingModel):
    """The toy model, which tells a crowd of its calls."""

    def __init__(self, crowd: Crowd) -> None:
        super().__init__()
        self.crowd = crowd

    def predict(self, batch: Sequence[ToyInput]) -> list[Prediction]:
        self.crowd.enter(1)
        time.sleep(0.01)
        self.crowd.enter(-1)
        return super().predict(batch)


def sharing(root: Path, *models: CountingModel, **options: Any) -> tuple[Capacity, list[Endpoint]]:
    capacity = Capacity(Settings(root=root, **options))
    made = [
        Endpoint(root / str(number), SetChampions(model), capacity=capacity, **options)
        for number, model in enumerate(models)
    ]
    return capacity, made


def within(capacity: Capacity, endpoints: Sequence[Endpoint], work: Callable[[], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with AsyncExitStack() as stack:
            for one in endpoints:
                await stack.enter_async_context(one.app.router.lifespan_context(one.app))
            for one in endpoints:
                while (await ask(one.app, "GET", "/v1/ready")).status != 200:
                    await asyncio.sleep(0.01)
            return await work()

    try:
        return asyncio.run(run())
    finally:
        capacity.close()


def test_calls_of_several_tasks_are_never_more_than_the_cores(tmp_path: Path) -> None:
    crowd = Crowd()
    capacity, endpoints = sharing(tmp_path, *(CrowdedModel(crowd) for _ in range(3)), max_batch=1)

    async def story() -> list[int]:
        crowd.most = 0
        asked = [ask(one.guarded, body=[png()], headers=PNG) for one in endpoints for _ in range(4 * CORES)]
        return [answer.status for answer in await asyncio.gather(*asked)]

    assert set(within(capacity, endpoints, story)) == {200}
    assert crowd.most == CORES


def test_models_are_measured_one_after_the_other_and_none_waits_for_an_end(tmp_path: Path) -> None:
    capacity = Capacity(Settings(root=tmp_path))
    order: list[str] = []

    def measure(name: str) -> None:
        try:
            with capacity.measuring():
                order.append(name)
        except BackendError:
            order.append(f"{name} was let go")

    with capacity.measuring():
        second = threading.Thread(target=measure, args=("second",))
        second.start()
        second.join(0.3)
        assert order == []
    second.join(20)
    with capacity.measuring():
        third = threading.Thread(target=measure, args=("third",))
        third.start()
        capacity.end_measuring()
        third.join(20)
    assert order == ["second", "third was let go"]
    capacity.close()


def test_inputs_of_several_tasks_share_the_memory(tmp_path: Path) -> None:
    models = HeavyModel(), HeavyModel()
    capacity, endpoints = sharing(tmp_path, *models, max_held_bytes=ROOM)

    async def story() -> tuple[int, list[int]]:
        for model in models:
            model.gate.clear()
        asked = [asyncio.create_task(ask(one.guarded, body=[heavy_png()], headers=PNG)) for one in endpoints]
        while not sum(model.inside for model in models):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        inside = sum(model.inside for model in models)
        for model in models:
            model.gate.set()
        return inside, [answer.status for answer in await asyncio.gather(*asked)]

    assert within(capacity, endpoints, story) == (1, [200, 200])
