"""What the front door costs a request: the same application asked alone, and as one of all tasks behind the door.

    .venv/bin/python -m bench.front_door --model build/models/ships/blobs/final

Both stand behind the guard, in this process, and are called without sockets, in turns. Prints what a request takes of
the event loop (CPU of its thread, so that neither the model's work nor other programs count; the median over the turns)
for a probe, for the model's card and for an image, and writes build/bench/front_door.json.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Message

from sightline.cli.show import table
from sightline.drift.background import UNKNOWN, Background
from sightline.errors import ModelMissing, SightlineError
from sightline.files import write_json
from sightline.pipeline.serve import log_into
from sightline.serving.app import Sources, build_app
from sightline.serving.capacity import Capacity
from sightline.serving.champion import Champions, DirectoryChampion
from sightline.serving.front_door import build_front_door
from sightline.serving.guard import guard
from sightline.serving.prefixes import ALONE, Prefix, below
from sightline.settings import Settings, load_settings
from sightline.stores.database import Database
from sightline.stores.predictions import Predictions
from sightline.task import Model
from sightline.tasks import TASKS, answer_model, restore_model
from sightline.vision.saved import read_card


@dataclass(frozen=True)
class Asked:
    """A request, by the path that the task declares."""

    method: str
    path: str
    body: bytes = b""
    kind: str = ""
    times: int = 500


class NoChampion:
    """Of a task that nobody has trained."""

    warning: SightlineError | None = None

    def current(self) -> tuple[int, Callable[[], Model]]:
        """Nothing."""
        raise ModelMissing("there is no champion")

    def background(self, number: int) -> Background:  # noqa: ARG002
        """Not known."""
        return UNKNOWN


def main() -> None:
    """Measure both in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a saved model, a folder with card.json")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    task = read_card(given.model).task
    model = restore_model(task, given.model)
    image = Asked("POST", "/v1/predict", model.example(), model.card.formats[0], times=5)
    asked = {
        "GET /v1/live": Asked("GET", "/v1/live"),
        "GET /v1/model": Asked("GET", "/v1/model"),
        "POST /v1/predict": image,
    }
    with tempfile.TemporaryDirectory() as folder:
        measured = asyncio.run(_measure(Path(folder), given.model.resolve(), task, asked, given.rounds))
    table(
        "Milliseconds of the event loop a request",
        [
            {"": name, "alone": f"{alone:.3f}", "behind the door": f"{door:.3f}", "the door": f"{door - alone:+.3f}"}
            for name, (alone, door) in measured.items()
        ],
    )
    result = {name: {"alone_ms": alone, "door_ms": door} for name, (alone, door) in measured.items()}
    load = {"task": task, "cores": os.cpu_count(), "load_average": os.getloadavg()[0]}
    write_json(load_settings().build / "bench" / "front_door.json", {**load, "requests": result})


async def _measure(
    root: Path, model: Path, task: str, asked: dict[str, Asked], rounds: int
) -> dict[str, tuple[float, float]]:
    settings = Settings(root=root)
    database = Database(settings.database_url)
    predictions = Predictions(database)

    def app(name: str, capacity: Capacity | None) -> Any:
        champion: Champions = (
            DirectoryChampion(model, lambda folder: restore_model(name, folder)) if name == task else NoChampion()
        )
        sources = Sources(champion, log_into(predictions, name), database.check, capacity=capacity)
        return build_app(name, answer_model(name), sources, settings)

    capacity = Capacity(settings)
    alone = app(task, None)
    door = build_front_door({name: app(name, capacity) for name in TASKS}, capacity, settings)
    both = [(_guarded(alone, settings), ALONE), (_guarded(door, settings), below(task))]
    measured = {}
    async with AsyncExitStack() as stack:
        for one in (alone, door):
            await stack.enter_async_context(one.router.lifespan_context(one))
        for way, prefix in both:
            while await _ask(way, prefix, Asked("GET", "/v1/ready")) != 200:
                await asyncio.sleep(0.1)
        for name, request in asked.items():
            turns = [[await _turn(way, prefix, request) for way, prefix in both] for _ in range(rounds)]
            measured[name] = tuple(round(statistics.median(times), 4) for times in zip(*turns, strict=True))
    return measured


def _guarded(app: Starlette, settings: Settings) -> ASGIApp:
    return guard(app, rules=app.state.rules, max_bytes=settings.max_bytes)


async def _turn(app: ASGIApp, prefix: Prefix, request: Asked) -> float:
    """Milliseconds of the loop's thread a request."""
    start_s = time.thread_time()
    for _ in range(request.times):
        assert await _ask(app, prefix, request) == 200
    return (time.thread_time() - start_s) / request.times * 1000


async def _ask(app: ASGIApp, prefix: Prefix, request: Asked) -> int:
    """The status of the answer."""
    statuses: list[int] = []
    answered = asyncio.Event()
    waiting = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> Message:
        if waiting:
            return waiting.pop()
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
        elif not message.get("more_body"):
            answered.set()

    headers = [(b"host", b"127.0.0.1"), (b"content-type", request.kind.encode())]
    path = prefix.path(request.path)
    scope = {
        "type": "http",
        "method": request.method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 3000),
        "scheme": "http",
        "http_version": "1.1",
    }
    await app(scope, receive, send)
    return statuses[0]


if __name__ == "__main__":
    main()
