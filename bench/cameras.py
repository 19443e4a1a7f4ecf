"""Several cameras at once: frames a second that a model answers, with and without marked videos, and memory.

    .venv/bin/python -m bench.cameras battery_faults --model FOLDER --clip clip.mp4

Each camera sends the frames of the clip over and over, 100 a second, as cameras do: what the model is too late for is
dropped. For one, two and four cameras, `--seconds` each, all of it in this process. Prints a table (with frames a CPU
second, for a machine that others use too) and writes build/bench/cameras.json. Two minutes.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sightline.capabilities import Frame, Marking, Streaming
from sightline.cli.stream import streaming
from sightline.errors import BackendError
from sightline.files import write_json
from sightline.limits import Limits
from sightline.pipeline.streaming.feeds import Feed
from sightline.pipeline.streaming.outlets import Outlet
from sightline.pipeline.streaming.sinks import Film, JsonLines
from sightline.pipeline.streaming.stream import Bounds, Summary, run_stream
from sightline.pipeline.streaming.watching import Watching
from sightline.settings import load_settings
from sightline.stores.streams import Keep
from sightline.task import Json
from sightline.tasks import restore_model
from sightline.video.opening import open_frames

_RATE = 100.0


class Repeating:
    """A camera that sends the same frames for ever."""

    live, count, where = True, None, "made up"

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = frames
        self._number = 0

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        time.sleep(1 / _RATE)
        self._number += 1
        return replace(self._frames[self._number % len(self._frames)], number=self._number - 1)

    def close(self) -> None:
        """Nothing is held."""


def watch(model: Streaming, frames: Sequence[Frame], cameras: int, film: bool, seconds: float) -> list[Summary]:
    """What comes of so many cameras in so many seconds."""
    ready, stop = threading.Condition(), threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        watchings = []
        for number in range(cameras):
            place = Path(folder) / str(number)
            outlets = [Outlet(JsonLines(place), 256)]
            if film and isinstance(model, Marking):
                outlets.append(Outlet(Film(place, model), 8))
            feed = Feed(f"camera {number}", Repeating(frames), _never, ready)
            watchings.append(Watching(feed, partial(model.open, {}), outlets, Keep(every_s=1.0), {}))
        threading.Timer(seconds, stop.set).start()
        return run_stream(watchings, ready, stop, Bounds())


def _never() -> Repeating:
    raise BackendError("a camera that is made up is not opened again")


def measured(model: Streaming, frames: Sequence[Frame], cameras: int, film: bool, seconds: float) -> dict[str, Json]:
    """A line of the table."""
    began = time.process_time()
    summaries = watch(model, frames, cameras, film, seconds)
    cpu_s = time.process_time() - began
    answered = [one.counts["answered"] for one in summaries]
    line: dict[str, Json] = {
        "cameras": cameras,
        "film": film,
        "frames_per_s": round(sum(one.frames_per_s for one in summaries), 2),
        "frames_per_cpu_s": round(sum(answered) / cpu_s, 2),
        "least": min(answered),
        "most": max(answered),
        "dropped": sum(one.counts["dropped"] for one in summaries),
        "film_lost": sum(delivered.lost for one in summaries for delivered in one.sinks.values()),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "load": round(os.getloadavg()[0], 1),
    }
    print("  ".join(f"{name} {value}" for name, value in line.items()), flush=True)
    return line


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--clip", required=True, help="a video, or a folder of frames")
    parser.add_argument("--seconds", type=float, default=15.0)
    given = parser.parse_args()
    model = streaming(restore_model(given.task, given.model))
    frames = list(open_frames(given.clip, Limits()))
    model.open({}).push(frames[0])  # networks are loaded when the first frame comes
    lines = [measured(model, frames, cameras, film, given.seconds) for film in (False, True) for cameras in (1, 2, 4)]
    path = load_settings().build / "bench" / "cameras.json"
    write_json(path, {"task": given.task, "model": str(given.model), "clip": given.clip, "lines": lines})
    print(f"In {path}.")


if __name__ == "__main__":
    main()
