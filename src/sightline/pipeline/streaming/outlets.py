"""A queue before each sink: the stream never waits for one that is slow, nor ends with one that is broken."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sightline.errors import SightlineError
from sightline.pipeline.streaming.said import Said
from sightline.task import Json

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where answers go; called from one thread."""

    @property
    def name(self) -> str:
        """For people: what it is."""
        ...

    def takes(self, said: Said) -> bool:
        """Whether this answer goes there at all."""
        ...

    def write(self, said: Said) -> None:
        """Write one. Raises errors of the tree where it cannot; the next is tried all the same."""
        ...

    def close(self) -> None:
        """No more come. Raises errors of the tree where what was written cannot be finished."""
        ...


@dataclass
class Delivered:
    """What became of the answers that were meant for a sink.

    Attributes:
        written: arrived.
        lost: did not.
        problem: why the last of these did not; empty where all did.
    """

    written: int = 0
    lost: int = 0
    problem: str = ""

    def document(self) -> dict[str, Json]:
        """As a summary has it."""
        return dict(vars(self))


class Outlet:
    """One sink with its thread and its queue.

    Args:
        sink: where answers go.
        most: that wait at a time. When they do, a sample makes room for a change of verdict; else what comes is lost.
        patience_s: how long is waited for room, where the frames come from a file that can wait. A sink that has used
            it up gets no more of it until it has caught up.
    """

    def __init__(self, sink: Sink, most: int, patience_s: float = 0.0) -> None:
        self.delivered = Delivered()
        self._sink = sink
        self._most = most
        self._patience_s = patience_s
        self._patient = patience_s > 0
        self._queue: deque[Said] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"sink {sink.name}", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """What the sink is."""
        return self._sink.name

    def offer(self, said: Said) -> None:
        """Hand an answer over. Comes back at once but for `patience_s`, and raises nothing."""
        if not self._sink.takes(said):
            return
        with self._changed:
            if len(self._queue) >= self._most and self._patient:
                self._patient = self._changed.wait_for(lambda: len(self._queue) < self._most, self._patience_s)
            if len(self._queue) >= self._most and not self._make_room(said):
                self._lose(f"{self.name} is too slow")
                return
            self._queue.append(said)
            self._changed.notify_all()

    def _make_room(self, said: Said) -> bool:
        place = next((k for k, one in enumerate(self._queue) if not (one.changed or one.whole)), None)
        if place is None or not (said.changed or said.whole):
            return False
        del self._queue[place]  # by its place: answers hold arrays, which do not compare
        self._lose(f"{self.name} is too slow")
        return True

    def _lose(self, problem: str) -> None:
        self.delivered.lost += 1
        self.delivered.problem = problem

    def close(self, wait_s: float) -> Delivered:
        """Let what waits be written, for so long; the rest is lost. What became of all."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(wait_s)
        with self._changed:
            if self._queue or self._thread.is_alive():
                self.delivered.lost += len(self._queue)
                self._queue.clear()
                self.delivered.problem = f"{self.name} did not end within {wait_s:g} s"
            return self.delivered

    # ------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        while (said := self._next()) is not None:
            problem = _problem_of(lambda one=said: self._sink.write(one))  # type: ignore[misc]
            with self._changed:
                if problem:
                    self._lose(problem)
                else:
                    self.delivered.written += 1
        if problem := _problem_of(self._sink.close):
            self.delivered.problem = problem

    def _next(self) -> Said | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._queue) or self._closing)
            if not self._queue:
                return None
            said = self._queue.popleft()
            self._patient = self._patience_s > 0 and (self._patient or not self._queue)
            self._changed.notify_all()
            return said


def _problem_of(step: Callable[[], None]) -> str:
    """Do it; what went wrong, empty where nothing did."""
    try:
        step()
    except SightlineError as error:
        return str(error)
    except Exception as error:  # a defect of one sink must not end what the others get
        log.exception("a sink failed")
        return f"a defect of this program ({type(error).__name__}: {error})"
    return ""
