"""How long an input will take: seconds a pixel, measured while a model is warmed and ever after."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from sightline.limits import Cost, Limits
from sightline.task import Input, Model, Prediction

T = TypeVar("T")

_REMEMBERED = 15

_READING_PX, _SEEING_PX = 2**16, 2**12
"""What a call costs besides its pixels, in pixels: without it, many tiny images would make a large one look endless."""


class Rate:
    """Seconds a pixel of one stage.

    Args:
        call_px: what a call costs besides its pixels, in pixels.
    """

    def __init__(self, call_px: int) -> None:
        self._call_px = call_px
        self._recent: deque[float] = deque(maxlen=_REMEMBERED)
        self._best = float("inf")

    def add(self, seconds: float, pixels: int, cpu_s: float | None = None) -> None:
        """Add one measurement; of the seconds that passed, the thread itself worked for `cpu_s`, where that is known.

        What it waited for a core says nothing of how long another input takes at least: on a busy machine that
        would refuse what can be answered, and what is refused is never measured again.
        """
        pixels += self._call_px
        self._recent.append(seconds / pixels)
        self._best = min(self._best, (seconds if cpu_s is None else min(cpu_s, seconds)) / pixels)

    def usual_s(self, pixels: int) -> float:
        """Seconds for so many pixels by the median of the last measurements, without those that were held up."""
        return statistics.median(self._recent) * (pixels + self._call_px) if self._recent else 0.0

    def best_s(self, pixels: int) -> float:
        """Seconds for so many pixels at the fastest pace that was ever measured here."""
        return self._best * (pixels + self._call_px) if self._recent else 0.0


class Pace:
    """How fast one model is on this machine."""

    def __init__(self) -> None:
        self.reading = Rate(_READING_PX)
        self.seeing = Rate(_SEEING_PX)

    def usual_s(self, cost: Cost) -> float:
        """Seconds that an input will take: by this the queue is ordered."""
        return self.reading.usual_s(cost.decoded_px) + self.seeing.usual_s(cost.seen_px)

    def best_s(self, cost: Cost) -> float:
        """Seconds that it takes at least: by this it is refused."""
        return self.reading.best_s(cost.decoded_px) + self.seeing.best_s(cost.seen_px)


def measure_pace(model: Model, content: bytes) -> tuple[Pace, Input, Prediction]:
    """The pace by an input that is answered twice, as the first time opens sessions; the input and its answer too."""
    pace = Pace()
    cost = model.weigh(content, Limits(), {})
    (first,) = model.predict([model.read(content, Limits())])
    example: Input = _timed(lambda: model.read(content, Limits()), pace.reading, cost.decoded_px)
    _timed(lambda: model.predict([example]), pace.seeing, cost.seen_px)
    return pace, example, first


def _timed(work: Callable[[], T], rate: Rate, pixels: int) -> T:
    start_s, cpu_start_s = time.perf_counter(), time.thread_time()
    result = work()
    rate.add(time.perf_counter() - start_s, pixels, time.thread_time() - cpu_start_s)
    return result
