"""What the endpoints of one process share: its threads, and its room for inputs that are worked on.

Each endpoint has queues of its own. The threads behind them are as many as the cores, however many tasks there are;
what waits for them waits in the order in which it was handed over, so that no task's batches pass another's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from sightline.errors import BackendError
from sightline.serving.admission import Room
from sightline.serving.batching import Threads
from sightline.serving.calls import CORES
from sightline.settings import Settings

_SHORT_SHARE = 0.25
"""Of the bytes that inputs may hold together: what is kept for short ones."""

_MEASURE_S, _LOOK_S = 30.0, 0.2
"""Longest wait for the measuring of another model (one that hangs must not keep the others away), and its steps."""


@dataclass(frozen=True)
class Share:
    """What there is for short inputs, or for long ones.

    Attributes:
        room: who is let in.
        lanes: calls of models side by side.
        threads: that make them, and the one that writes their rows.
    """

    room: Room
    lanes: int
    threads: Threads


class Capacity:
    """The threads and the room of a process; whoever makes it closes it.

    Args:
        settings: how many bytes inputs may hold.

    Attributes:
        short, long: what there is for inputs of both kinds.
        readers: threads that weigh, decode and draw.
        frames: threads that answer the frames of cameras.
    """

    def __init__(self, settings: Settings) -> None:
        kept, long_lanes = int(settings.max_held_bytes * _SHORT_SHARE), max(CORES - 1, 1)
        self.readers = ThreadPoolExecutor(CORES + 1, thread_name_prefix="read")
        self.frames = ThreadPoolExecutor(CORES, thread_name_prefix="frame")
        self._finisher = ThreadPoolExecutor(1, thread_name_prefix="finish")
        self._callers = [ThreadPoolExecutor(lanes, thread_name_prefix="predict") for lanes in (CORES, long_lanes)]
        self.short = self._share(self._callers[0], kept, CORES)
        self.long = self._share(self._callers[1], settings.max_held_bytes - kept, long_lanes)
        self._measuring = threading.Lock()
        self._ending = threading.Event()

    def _share(self, callers: ThreadPoolExecutor, room_bytes: int, lanes: int) -> Share:
        return Share(Room(lanes, room_bytes, lanes), lanes, Threads(callers, self._finisher))

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Measure one model at a time: two side by side would both look slow.

        Raises:
            BackendError: the process ends meanwhile.
        """
        end_s = time.monotonic() + _MEASURE_S
        while not (alone := self._measuring.acquire(timeout=_LOOK_S)) and time.monotonic() < end_s:
            if self._ending.is_set():
                raise BackendError("the endpoint is ending", way_out="Start it again.")
        try:
            yield
        finally:
            if alone:
                self._measuring.release()

    def end_measuring(self) -> None:
        """Let nobody wait for its turn any more."""
        self._ending.set()

    def close(self) -> None:
        """End the threads once they have finished what they do now."""
        for threads in (*self._callers, self._finisher, self.readers, self.frames):
            threads.shutdown(wait=False, cancel_futures=True)
