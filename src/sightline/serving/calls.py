"""The calls of a model, from the threads of readers and lanes: decode, predict, log, draw, and warm a new one."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sightline.errors import BackendError
from sightline.limits import Limits
from sightline.serving.batching import Batching, Outcomes, measure_batching
from sightline.serving.champion import Champion, Warmed
from sightline.serving.metrics import Metrics
from sightline.serving.pace import measure_pace
from sightline.serving.questions import Answered, Log, Question, Work
from sightline.settings import Settings
from sightline.stopping import Stopped, check, stoppable
from sightline.task import Input, Model, Prediction
from sightline.vision.hardware import cores
from sightline.vision.images import encode_png

CORES = cores()

_OVERDUE_S = 30.0
"""A call of the model that goes on for so long after nobody waits for it is stuck."""


class Calls:
    """Calls the model of a question, and times it.

    Args:
        log: writes rows before their answers are returned.
        settings: limits, batching.
        metrics: what is counted.
    """

    def __init__(self, log: Log, settings: Settings, metrics: Metrics) -> None:
        self._write = log
        self._settings = settings
        self._metrics = metrics
        self._batching: Batching | None = None
        self._calls: set[float] = set()

    def check(self, now_s: float | None = None) -> None:
        """Whether the model still answers, now or at another time of the monotonic clock.

        Raises:
            BackendError: a call of it has not come back, long after anybody waited for it.
        """
        since_s = (time.monotonic() if now_s is None else now_s) - min(self._calls, default=math.inf)
        if since_s > self._settings.answer_s + _OVERDUE_S:
            raise BackendError(
                f"the model has not come back from a call for {since_s:.0f} s", way_out="Restart the endpoint."
            )

    def decode(self, work: Work, champion: Champion, body: bytes) -> Input:
        """The input of an upload that was weighed. Raises DataRejected."""
        assert work.cost is not None
        start_s, cpu_start_s = time.perf_counter(), time.thread_time()
        decoded: Input = champion.model.read(body, self._settings.limits)
        seconds, cpu_s = time.perf_counter() - start_s, time.thread_time() - cpu_start_s
        champion.warmed.pace.reading.add(seconds, work.cost.decoded_px, cpu_s)
        self._metrics.stage("read", start_s)
        return decoded

    def predict(self, questions: Sequence[Question]) -> Outcomes[Answered]:
        """One call of the model; where it fails, each question alone, so that only the bad one fails."""
        self._metrics.batch_images.observe(len(questions))
        works = [question.work for question in questions]
        with _busy(works):
            try:
                with stoppable(lambda: all(work.stopped for work in works)):
                    predictions = self._call(questions)
            except Stopped as stopped:
                return [stopped] * len(questions)
            except Exception as error:
                if len(questions) == 1:
                    return [error]
                return [outcome for question in questions for outcome in self.predict([question])]
        return [Answered(q, p) for q, p in zip(questions, predictions, strict=True)]

    def _call(self, questions: Sequence[Question]) -> list[Prediction]:
        champion = questions[0].champion
        check()  # whoever asked may have gone while it waited for a lane
        start_s, cpu_start_s, call = time.perf_counter(), time.thread_time(), time.monotonic()
        self._calls.add(call)
        try:
            predictions = champion.model.predict([question.input for question in questions])
        finally:
            self._calls.discard(call)
        seen_px = sum(question.work.cost.seen_px for question in questions if question.work.cost)
        seconds, cpu_s = time.perf_counter() - start_s, time.thread_time() - cpu_start_s
        champion.warmed.pace.seeing.add(seconds, seen_px, cpu_s)
        self._metrics.stage("predict", start_s)
        return predictions

    def log(self, _: Sequence[Question], outcomes: Outcomes[Answered]) -> Outcomes[Answered]:
        """Write the rows of a batch in one transaction."""
        start_s = time.perf_counter()
        good = [outcome for outcome in outcomes if isinstance(outcome, Answered)]
        if not good:
            return outcomes
        ids = iter(self._write(good))
        self._metrics.stage("log", start_s)
        return [replace(o, id=next(ids)) if isinstance(o, Answered) else o for o in outcomes]

    def draw(self, answered: Answered) -> bytes:
        """The answer drawn on its image, as PNG."""
        start_s = time.perf_counter()
        question = answered.question
        picture = encode_png(question.champion.model.draw(question.input, answered.prediction))
        self._metrics.stage("draw", start_s)
        return picture

    def warm(self, model: Model) -> Warmed:
        """Predict, so that the first request finds everything in place; the first model is also measured."""
        content = model.example()
        pace, example, first = measure_pace(model, content)
        if self._batching is None:
            self._batching = measure_batching(
                lambda batch: _call(model, example, batch), self._settings.max_batch, CORES
            )
        example_s = pace.usual_s(model.weigh(content, Limits(), {}))
        return Warmed(self._batching, pace, example_s, tuple(first.rasters))


@contextmanager
def _busy(works: Sequence[Work]) -> Iterator[None]:
    for work in works:
        work.busy = True
    try:
        yield
    finally:
        for work in works:
            work.busy = False


def _call(model: Model, example: Input, batch: int) -> None:
    model.predict([example] * batch)
