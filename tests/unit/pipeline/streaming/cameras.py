"""Cameras that a test makes up, and a stream over them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from sightline.capabilities import Frame
from sightline.errors import BackendError
from sightline.pipeline.streaming.feeds import Feed, Patience
from sightline.pipeline.streaming.outlets import Outlet, Sink
from sightline.pipeline.streaming.said import Said
from sightline.pipeline.streaming.stream import Bounds, run_stream
from sightline.pipeline.streaming.watching import Watching
from sightline.stores.streams import Keep
from tests.toy_stream import ToyWatcher

AT_ONCE = Patience(first_s=0.001, most_s=0.001)


def frame(level: int, number: int = 0, side: int = 4, time_s: float | None = None) -> Frame:
    return Frame(np.full((side, side, 3), level, dtype=np.uint8), number, time_s)


class Camera:
    """Gives these frames, raises those of them that are errors, then ends."""

    def __init__(self, *given: Frame | Exception, live: bool = True, name: str = "made up") -> None:
        self.where, self.live = name, live
        self.count = None if live else len(given)
        self.closed = False
        self._given: Iterator[Frame | Exception] = iter(given)

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        found = next(self._given)
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        self.closed = True


class Paced(Camera):
    """A live camera whose next frame comes when the test says so."""

    def __init__(self, given: Iterable[Frame | Exception]) -> None:
        super().__init__(*given)
        self.gate = threading.Semaphore(0)

    def __next__(self) -> Frame:
        self.gate.acquire()
        return super().__next__()


class Listed:
    """A sink that keeps what it gets."""

    name = "a list"

    def __init__(self, only_kept: bool = False) -> None:
        self.said: list[Said] = []
        self.closed = False
        self._only_kept = only_kept

    def takes(self, said: Said) -> bool:
        return said.kept or not self._only_kept

    def write(self, said: Said) -> None:
        self.said.append(said)

    def close(self) -> None:
        self.closed = True


class Stream:
    """A stream of the toy model over made-up cameras.

    `reopened`: what the camera gives when it is opened again, one after the other; then the stream is stopped.
    """

    def __init__(
        self,
        *cameras: Camera,
        sinks: Sequence[Sink] = (),
        model: ToyWatcher | None = None,
        reopened: Iterable[Camera | Exception] = (),
        keep: Keep | None = None,
    ) -> None:
        self.model = model or ToyWatcher()
        self.ready, self.stop = threading.Condition(), threading.Event()
        self.told: list[str] = []
        self.said: list[Said] = []
        self._reopened = iter(reopened)
        self.watchings = [
            Watching(
                Feed(f"{c.where}", c, self._reopen, self.ready, AT_ONCE, self.told.append),
                lambda: self.model.open({}),
                [Outlet(sink, getattr(sink, "most", 64)) for sink in sinks],
                keep or Keep(every_s=1e9),
                {"version": 1},
                self._hear,
                self.told.append,
            )
            for c in cameras
        ]

    def _reopen(self) -> Camera:
        found = next(self._reopened, None)
        if found is None:
            with self.ready:
                self.ready.wait_for(lambda: not any(one.feed.waiting for one in self.watchings), 10)
            self.stop.set()
            raise BackendError("it is gone")
        if isinstance(found, Exception):
            raise found
        return found

    def _hear(self, said: Said) -> None:
        self.said.append(said)
        self._listener(said)

    def run(self, listener: Callable[[Said], None] = lambda _: None, **bounds: Any) -> list[dict[str, Any]]:
        self._listener = listener
        summaries = run_stream(self.watchings, self.ready, self.stop, Bounds(**bounds))
        return [one.document() for one in summaries]
