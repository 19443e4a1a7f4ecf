"""`sightline stream`."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from sightline.capabilities import Streaming
from sightline.cli.open import open_folder, open_version
from sightline.cli.predict import check_out, named_conditions
from sightline.cli.show import echo, table
from sightline.conditions import parse_conditions
from sightline.errors import DataRejected, ModelRejected, ParamsError
from sightline.progress import Bars

if TYPE_CHECKING:
    from sightline.pipeline.streaming.cameras import Order
    from sightline.pipeline.streaming.said import Said
    from sightline.pipeline.streaming.stream import Summary
    from sightline.pipeline.streaming.watching import Watching


@dataclass(frozen=True)
class Options:
    """The options of the command, see its help."""

    out: Path | None = None
    model: Path | None = None
    log: bool = False
    webhook: str = ""
    every_s: float = 10.0
    limit: int = 0
    stall_s: float = 10.0
    conditions: Sequence[str] = ()
    threshold: float | None = None
    video: bool = True
    as_json: bool = False


def stream_cameras(ref: str, words: Sequence[str], options: Options) -> None:
    """Watch files and cameras until they end, or Ctrl-C.

    Raises:
        DataRejected: of a file or a camera not one frame could be answered; all else is done by then.
    """
    from sightline.pipeline.streaming.sinks import check_webhook

    if options.webhook:
        check_webhook(options.webhook)
    check_out(options.out)
    watch(_order(ref, options), words, options)


def _order(ref: str, options: Options) -> Order:
    from sightline.pipeline.batch import with_threshold
    from sightline.pipeline.streaming.cameras import Order
    from sightline.stores.database import Database
    from sightline.stores.predictions import Predictions
    from sightline.stores.streams import Keep
    from sightline.video.reading import Waits

    if options.model is not None:
        if options.log:
            raise ParamsError(
                "--log needs a registered version", where="stream", way_out="Leave out --model, or leave out --log."
            )
        project, model = open_folder(ref, options.model)
        number = None
    else:
        project, tracking, version = open_version(ref)
        model = project.task.restore(tracking.directory(version))
        number = version.number
    settings = project.settings
    return Order(
        model=streaming(with_threshold(model, options.threshold)),
        task=project.name,
        version=number,
        conditions=parse_conditions(named_conditions(options.conditions), model.card),
        out=options.out,
        film=options.video,
        webhook=options.webhook,
        predictions=Predictions(Database(settings.database_url)) if options.log else None,
        keep=Keep(every_s=options.every_s),
        limits=settings.limits,
        waits=Waits(frame_s=options.stall_s),
    )


def streaming(model: object) -> Streaming:
    """The model, if it answers while a video runs.

    Raises:
        ModelRejected: it does not.
    """
    if isinstance(model, Streaming):
        return model
    task = getattr(getattr(model, "card", None), "task", "the task")
    raise ModelRejected(
        f"a model of {task} answers single pictures, not streams",
        where=task,
        way_out=f"Use `sightline predict {task} PATH..`.",
    )


def watch(order: Order, words: Sequence[str], options: Options) -> None:
    """Run a stream, and show what it says. Raises as `stream_cameras`."""
    from sightline.pipeline.streaming.cameras import open_cameras
    from sightline.pipeline.streaming.stream import Bounds, run_stream

    ready, stop = threading.Condition(), threading.Event()
    with Bars("stream") as bars:
        shower = _Shower(bars, options)
        watchings = shower.watchings = open_cameras(order, words, ready, shower.hear, shower.tell)
        with _ended_by_signals(stop):
            summaries = run_stream(watchings, ready, stop, Bounds(frames=options.limit))
    shower.end(summaries)
    empty = [one for one in summaries if not one.counts["answered"]]
    if empty and not stop.is_set():
        raise DataRejected(
            f"of {len(empty)} of {len(summaries)} sources no frame could be answered",
            where=empty[0].camera,
            way_out=empty[0].problem or "There was no frame in it.",
        )


@contextmanager
def _ended_by_signals(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and `kill` end the stream at its next frame; a second one at once."""

    def end(_: int, __: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {one: signal.signal(one, end) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


class _Shower:
    """What a person sees, or a program reads."""

    def __init__(self, bars: Bars, options: Options) -> None:
        self.watchings: Sequence[Watching] = ()
        self._bars = bars
        self._options = options

    def hear(self, said: Said) -> None:
        """One answer: a line where the verdict changes; for a program, where it is kept."""
        if self._options.as_json:
            if said.kept:
                echo(json.dumps(said.document(), allow_nan=False))
        elif said.changed and said.frame is not None:
            time_s = "" if said.frame.time_s is None else f", {said.frame.time_s:.1f} s"
            echo(f"{said.camera}: {said.verdict} from frame {said.frame.number}{time_s} ({said.prediction.found})")
        self._advance()

    def _advance(self) -> None:
        """How far the files are; a camera has no end."""
        counts = [watching.feed.count for watching in self.watchings]
        known = [count for count in counts if count is not None]
        if not known or len(known) < len(counts):
            return
        total = sum(min(count, self._options.limit or count) for count in known)
        done = sum(watching.counts.answered + watching.counts.refused for watching in self.watchings)
        self._bars.advance(min(done, total), total, "frames")

    def tell(self, line: str) -> None:
        """What went wrong on the way."""
        echo(line, err=True)

    def end(self, summaries: Sequence[Summary]) -> None:
        """What came of each camera."""
        for one in summaries:
            for name, delivered in one.sinks.items():
                if delivered.problem:
                    echo(f"{one.camera}: {name}: {delivered.lost} lost. {delivered.problem}", err=True)
        if self._options.as_json:
            for one in summaries:
                echo(json.dumps({"summary": one.document()}))
            return
        shown = ("camera", "verdict", "answered", "dropped", "refused", "damaged", "losses", "frames_per_s")
        documents = [one.document() for one in summaries]
        table("cameras", [{name: document[name] for name in shown} for document in documents])
        if self._options.out is not None:
            echo(f"In {self._options.out}: a folder for each camera.")
