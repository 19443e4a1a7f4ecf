"""A raw ASGI client, champions that a test sets, and an endpoint of the toy task."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sightline.drift.background import UNKNOWN, Background
from sightline.errors import BackendError, DataRejected, ModelMissing, SightlineError
from sightline.limits import Limits
from sightline.pipeline.serve import log_into
from sightline.serving.app import Sources, build_app
from sightline.serving.camera import FrameLog
from sightline.serving.capacity import Capacity
from sightline.serving.guard import guard
from sightline.serving.routing import Router
from sightline.serving.surveyor import Areas
from sightline.settings import Settings
from sightline.stores.database import Database
from sightline.stores.predictions import Predictions
from sightline.task import Card, Model, Prediction
from tests.toy import ToyAnswer, ToyInput, ToyModel

HOST = {"Host": "127.0.0.1:3000"}


def png(value: int = 50, side: int = 8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((side, side), value, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def card(task: str = "toy") -> Card:
    return Card(
        task=task,
        candidate="threshold",
        classes=("no", "spot"),
        formats=("image/png",),
        preprocessing={},
        thresholds={"level": 100.0},
        provenance={},
    )


class CountingModel(ToyModel):
    """The toy model; remembers its batches and fails on the peak it is told."""

    def __init__(self, number: int = 1, poison: float = -1.0, task: str = "toy") -> None:
        super().__init__(card(task))
        self.number = number
        self.poison = poison
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def read(self, source: Any, limits: Limits) -> ToyInput:
        found = super().read(source, limits)
        if found.pixels.size > limits.pixels:
            raise DataRejected(f"{found.pixels.size} pixels are too many", where="body")
        return found

    def predict(self, batch: Sequence[ToyInput]) -> list[Prediction]:
        self.gate.wait(10)
        self.batches.append(len(batch))
        if any(item.pixels.max() == self.poison for item in batch):
            raise ValueError("secret detail of a library")
        return super().predict(batch)


class SetChampions:
    """Champions that a test sets."""

    def __init__(self, *models: Model) -> None:
        self.models: dict[int, Callable[[], Model]] = {n: (lambda m=m: m) for n, m in enumerate(models, 1)}  # type: ignore[misc]
        self.number = 1 if models else 0
        self.reachable = True
        self.known = UNKNOWN
        self.warning: SightlineError | None = None

    def current(self) -> tuple[int, Callable[[], Model]]:
        if not self.reachable:
            raise BackendError("MLflow failed", where="sqlite:////secret/place/mlflow.db")
        if not self.number:
            raise ModelMissing("toy has no champion", way_out="Run `sightline run toy` first.")
        return self.number, self.models[self.number]

    def background(self, number: int) -> Background:
        return self.known


class Answer:
    """What an application sent."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {k.decode().lower(): v.decode() for k, v in messages[0]["headers"]}
        self.body = b"".join(m.get("body", b"") for m in messages[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: Any,
    method: str = "POST",
    path: str = "/v1/predict",
    *,
    body: Sequence[bytes] = (b"",),
    headers: dict[str, str] | None = None,
    pause_s: float = 0.0,
    gone_after_s: float | None = None,
    client: str = "127.0.0.1",
) -> Answer:
    """Send one request, its body in pieces; `gone_after_s` lets the client leave while it waits."""
    pieces = list(body)
    messages: list[dict[str, Any]] = []
    answered = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if pieces:
            await asyncio.sleep(pause_s)
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(answered.wait(), gone_after_s)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            answered.set()

    route, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": route,
        "raw_path": route.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in (HOST | (headers or {})).items()],
        "server": ("127.0.0.1", 3000),
        "client": (client, 50000),
    }
    await app(scope, receive, send)
    return Answer(messages)


class Refused(Exception):
    """A websocket was not let in: the code of the close, or the answer in its place."""

    def __init__(self, code: int, answer: Answer | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.answer = answer


async def converse(
    app: Any,
    path: str,
    *words: str | bytes | Callable[[], Awaitable[None]],
    headers: dict[str, str] | None = None,
    client: str = "127.0.0.1",
    explains: bool = True,
    subprotocols: Sequence[str] = (),
) -> list[str]:
    """Open a websocket, send words, and return what comes back for them. Raises Refused.

    What is called instead of being a word is waited for before the next one is sent. `explains`: whether the server can
    answer a refused handshake, as uvicorn can. With `subprotocols` the one that was chosen comes back first.
    """

    async def messages() -> AsyncIterator[dict[str, Any]]:
        yield {"type": "websocket.connect"}
        for word in words:
            if callable(word):
                await word()
            else:
                yield {"type": "websocket.receive", "text" if isinstance(word, str) else "bytes": word}
        yield {"type": "websocket.disconnect", "code": 1000}

    to_app = messages()
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    named = {"Sec-WebSocket-Protocol": ", ".join(subprotocols)} if subprotocols else {}
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in (HOST | named | (headers or {})).items()],
        "server": ("127.0.0.1", 3000),
        "client": (client, 50000),
        "subprotocols": list(subprotocols),
        "extensions": {"websocket.http.response": {}} if explains else {},
    }
    await app(scope, lambda: anext(to_app), send)
    first = sent[0]["type"]
    if first == "websocket.close":
        raise Refused(sent[0]["code"])
    if first == "websocket.http.response.start":
        raise Refused(0, Answer(sent))
    assert first == "websocket.accept"
    chosen = [str(sent[0].get("subprotocol"))] if subprotocols else []
    return chosen + [message["text"] for message in sent if message["type"] == "websocket.send"]


class Endpoint:
    """The guarded application of the toy task in a folder."""

    def __init__(
        self,
        root: Path,
        champions: SetChampions,
        log: Any = None,
        areas: Areas | None = None,
        routers: Sequence[Router] = (),
        open_camera_log: Callable[[], FrameLog] | None = None,
        capacity: Capacity | None = None,
        **options: Any,
    ) -> None:
        self.settings = Settings(root=root, poll_s=0.01, **options)
        self.database = Database(self.settings.database_url)
        self.predictions = Predictions(self.database)
        sources = Sources(
            champions, log or log_into(self.predictions, "toy"), self.database.check, areas, capacity=capacity
        )
        if open_camera_log is not None:
            sources = replace(sources, open_camera_log=open_camera_log)
        self.app = build_app("toy", ToyAnswer, sources, self.settings, routers)
        self.guarded = self.guard()

    def guard(self, **options: Any) -> Any:
        """The application behind a guard with other options."""
        given = {"rules": self.app.state.rules, "max_bytes": self.settings.max_bytes, **options}
        return guard(self.app, **given)

    def run(self, *requests: dict[str, Any]) -> list[Answer]:
        """Send requests one after the other."""

        async def all_of_them() -> list[Answer]:
            return [await ask(self.guarded, **request) for request in requests]

        return self.within(all_of_them)

    def within(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run `work` while the application is up and its first champion has been asked for."""

        async def session() -> Any:
            async with self.app.router.lifespan_context(self.app):
                for _ in range(500):
                    ready = await ask(self.app, "GET", "/v1/ready")
                    if "loading" not in ready.json.get("error", ""):
                        break
                    await asyncio.sleep(0.01)
                return await work()

        return asyncio.run(session())


def assert_problem(answer: Answer, status: int, word: str = "") -> None:
    assert answer.status == status, answer.body
    assert set(answer.json) == {"error", "where", "way_out"}
    assert word in " ".join(answer.json.values())
    assert "Traceback" not in answer.body.decode()
