"""The loop: frames of several cameras, one model, in turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sightline.capabilities import Frame
from sightline.pipeline.streaming.outlets import Delivered
from sightline.pipeline.streaming.watching import Watching
from sightline.task import Json

_LOOK_S = 0.5
"""How often is looked for what is idle, and whether it should end."""


@dataclass(frozen=True)
class Bounds:
    """What a stream may take.

    Attributes:
        frames: answered of each camera, then it ends; 0: all.
        idle_s: after which what is remembered of a camera without frames is let go; the camera is still tried.
        close_s: longest for the sinks at the end.
    """

    frames: int = 0
    idle_s: float = 3600.0
    close_s: float = 10.0


@dataclass(frozen=True)
class Summary:
    """What came of one camera.

    Attributes:
        camera: its name.
        verdict: the last one; empty where no frame was answered.
        counts: of its frames: read, answered, dropped, refused, damaged; losses of the camera, changes of the verdict.
        seconds: that the stream ran.
        problem: the last thing that went wrong with it; empty where nothing did.
        sinks: what became of the answers, by sink.
    """

    camera: str
    verdict: str
    counts: Mapping[str, int]
    seconds: float
    problem: str
    sinks: Mapping[str, Delivered]

    @property
    def frames_per_s(self) -> float:
        """Answered."""
        return round(self.counts["answered"] / self.seconds, 2) if self.seconds else 0.0

    def document(self) -> dict[str, Json]:
        """As programs get it."""
        return {
            "camera": self.camera,
            "verdict": self.verdict,
            **self.counts,
            "seconds": round(self.seconds, 3),
            "frames_per_s": self.frames_per_s,
            "problem": self.problem,
            "sinks": {name: delivered.document() for name, delivered in self.sinks.items()},
        }


def run_stream(
    watchings: Sequence[Watching],
    ready: threading.Condition,
    stop: threading.Event,
    bounds: Bounds,
) -> list[Summary]:
    """Answer frames until all videos are at their end or `stop` is set; what came of each camera.

    Args:
        watchings: the cameras; their feeds are started here.
        ready: of their feeds.
        stop: set by whoever wants it to end.
        bounds: what it may take.
    """
    began_s = time.monotonic()
    for watching in watchings:
        watching.feed.start()
    try:
        turn = 0
        while not stop.is_set():
            found = _next_frame(watchings, ready, turn)
            if found is not None:
                turn, frame = found
                _answer(watchings[turn], frame, bounds)
                turn += 1
            elif all(watching.feed.over for watching in watchings):
                break
            _let_go(watchings, bounds)
    finally:
        for watching in watchings:
            watching.feed.stop()
    for watching in watchings:
        watching.finish()
    seconds = time.monotonic() - began_s
    return [_closed(watching, seconds, bounds.close_s) for watching in watchings]


def _next_frame(watchings: Sequence[Watching], ready: threading.Condition, turn: int) -> tuple[int, Frame] | None:
    """The next frame, of the cameras in turns; None where none came for a while, or none will."""
    with ready:
        for wait in (True, False):  # a second look after a wait
            for step in range(len(watchings)):
                at = (turn + step) % len(watchings)
                frame = watchings[at].feed.take()
                if frame is not None:
                    return at, frame
            if wait and not all(watching.feed.over for watching in watchings):
                ready.wait(_LOOK_S)
    return None


def _answer(watching: Watching, frame: Frame, bounds: Bounds) -> None:
    watching.push(frame)
    if bounds.frames and watching.counts.answered >= bounds.frames:
        watching.feed.stop()


def _let_go(watchings: Sequence[Watching], bounds: Bounds) -> None:
    now_s = time.monotonic()
    for watching in watchings:
        if watching.is_open and not watching.feed.waiting and now_s - watching.last_s > bounds.idle_s:
            watching.finish()


def _closed(watching: Watching, seconds: float, close_s: float) -> Summary:
    """A camera at its end, once its sinks have what is theirs."""
    end_s = time.monotonic() + close_s
    sinks = {outlet.name: outlet.close(max(end_s - time.monotonic(), 0.1)) for outlet in watching.outlets}
    return Summary(
        camera=watching.feed.name,
        verdict=watching.verdict,
        counts=watching.counted(),
        seconds=seconds,
        problem=watching.problem or watching.feed.tally.problem,
        sinks=sinks,
    )
