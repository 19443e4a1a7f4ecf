"""Progress for people: bars on a terminal, a line now and then elsewhere. Also where metrics of a fit are kept."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINE_EVERY_S = 10.0


class Bars:
    """A `Progress` that shows what is going on.

    On a terminal a bar a phase; in a log a line whenever a phase begins or ends, and every 10 s.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._terminal = sys.stderr.isatty()
        self._bars: Progress | None = None
        self._bar: TaskID | None = None
        self._phase = ""
        self._total = 0
        self._began = (0.0, 0)  # when the phase was first heard of, and what was done by then
        self._spoke_s = 0.0

    def __enter__(self) -> Bars:
        if self._terminal:
            from rich.console import Console
            from rich.progress import Progress

            self._bars = Progress(console=Console(stderr=True))
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def advance(self, done: int, total: int, what: str) -> None:
        """Show that `done` of `total` are done."""
        if self._bars is not None:
            if self._bar is None:
                self._bar = self._bars.add_task(self.title)
            self._bars.update(self._bar, completed=done, total=total, description=f"{self.title}: {what}")
            return
        now, phase = time.monotonic(), what.split(" ", maxsplit=1)[0]
        if done <= self._began[1] or total != self._total:
            self._began, self._total = (now, done), total
        if self._phase != phase or done == total or now - self._spoke_s > _LINE_EVERY_S:
            self._phase, self._spoke_s = phase, now
            sys.stderr.write(f"{self.title}: {what} ({done}/{total}{self._left(done, total, now)})\n")
            sys.stderr.flush()

    def _left(self, done: int, total: int, now: float) -> str:
        """How much longer it takes at the pace so far, once that can be told."""
        began_s, before = self._began
        if not before < done < total or now - began_s < _LINE_EVERY_S / 2:
            return ""
        left_s = (now - began_s) / (done - before) * (total - done)
        return f", {left_s:.0f} s left" if left_s < 120 else f", {left_s / 60:.0f} min left"

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Figures are shown beside the bar's title by `advance`; here nothing is printed."""


class Recording:
    """A `Progress` that passes progress on and keeps metrics in a JSON-lines file.

    A fit that was killed and goes on writes its steps again: the last word on a step counts.
    """

    def __init__(self, bars: Bars, path: Path, prefix: str, live: Callable[[int, dict[str, float]], None]) -> None:
        self._bars = bars
        self._path = path
        self._prefix = prefix
        self._live = live

    def advance(self, done: int, total: int, what: str) -> None:
        """Show that `done` of `total` are done."""
        self._bars.advance(done, total, f"{self._prefix} {what}")

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Keep the figures of a step, and tell them to whoever listens."""
        figures = {name: float(value) for name, value in values.items()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **figures}) + "\n")
        fit = self._prefix.split(" ")[0]  # without its count: MLflow takes no brackets in names
        self._live(step, {f"{fit}/{name}": value for name, value in figures.items()})


def read_history(path: Path) -> dict[int, dict[str, float]]:
    """Step -> figures, of what `Recording` kept; empty where nothing was."""
    history: dict[int, dict[str, float]] = {}
    if not path.exists():
        return history
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue  # the half line of a process killed while it wrote
        history[int(values.pop("step"))] = values
    return history
