"""Which model answers, and how a new champion takes over while requests go on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from sightline.drift.background import UNKNOWN, Background
from sightline.errors import BackendError, ModelError, ModelMissing, ModelRejected, SightlineError
from sightline.serving.batching import Batching
from sightline.serving.metrics import Metrics
from sightline.serving.pace import Pace
from sightline.task import Model

log = logging.getLogger(__name__)

_LONGEST_RETRY_S = 300.0


@dataclass(frozen=True)
class Warmed:
    """What the first answers of a model tell.

    Attributes:
        batching: how it is best called.
        pace: how fast it is here, kept up to date.
        example_s: what its own example takes.
        rasters: names of those that it answers.
    """

    batching: Batching = field(default_factory=Batching)
    pace: Pace = field(default_factory=Pace)
    example_s: float = 0.0
    rasters: tuple[str, ...] = ()


class Champions(Protocol):
    """Who says which version is the champion: a registry, a directory, a test."""

    @property
    def warning(self) -> SightlineError | None:
        """A warning about the last answer of `current`; None where nothing is odd."""
        ...

    def current(self) -> tuple[int, Callable[[], Model]]:
        """The champion's number, and what loads it.

        Raises:
            ModelMissing: there is no champion.
            BackendError: the registry cannot be asked.
        """
        ...

    def background(self, number: int) -> Background:
        """What a version was trained and evaluated on; `UNKNOWN` where nobody knows."""
        ...


class DirectoryChampion:
    """One saved model that never changes, for an endpoint without a registry. Its number is 0."""

    warning: SightlineError | None = None

    def __init__(self, directory: Path, restore: Callable[[Path], Model]) -> None:
        self._directory = directory
        self._restore = restore

    def current(self) -> tuple[int, Callable[[], Model]]:
        """Number 0, and what reads the directory. Raises ModelMissing where it holds no model."""
        if not (self._directory / "card.json").is_file():
            raise ModelMissing(
                "there is no saved model here", where=self._directory, way_out="Correct SIGHTLINE_MODEL_DIR."
            )
        return 0, lambda: self._restore(self._directory)

    def background(self, number: int) -> Background:  # noqa: ARG002
        """Not known: a saved model comes without its evaluation."""
        return UNKNOWN


State = Literal["ready", "loading", "no champion", "failed"]
"""Of a task: its model answers; nobody has been asked yet; there is none; it cannot be loaded, or not be asked for."""


@dataclass(frozen=True)
class Champion:
    """A loaded and warmed model version.

    Attributes:
        number: in the registry.
        warmed: what was learned of it before it answered.
        since_s: when it began to answer (Unix time).
    """

    number: int
    model: Model
    warmed: Warmed
    since_s: float
    background: Background = UNKNOWN


class ChampionKeeper:
    """Keeps `champion` up to date from a thread of its own.

    A new version is loaded and warmed beside the one that answers, then takes its place by one exchange of a
    reference: requests that began with the old one end with it. Whatever fails, the old one goes on answering.

    Args:
        task: models of another task are refused.
        champions: who is asked.
        warm: makes a first prediction with a new model, and says how to call it and how fast it is.
        poll_s: how often `champions` is asked.
        metrics: told of every change and failure.
    """

    def __init__(
        self, task: str, champions: Champions, warm: Callable[[Model], Warmed], poll_s: float, metrics: Metrics
    ) -> None:
        self.champion: Champion | None = None
        self.problem: SightlineError | None = ModelMissing(
            "the model is still loading", way_out="Try again in a few seconds."
        )
        self._task = task
        self._champions = champions
        self._warm = warm
        self._poll_s = poll_s
        self._metrics = metrics
        self._failed: tuple[int, float, float] = (-1, 0.0, 0.0)  # number, pause before and time of the next try
        self._asked = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion", daemon=True)

    @property
    def state(self) -> State:
        """Whether a model answers, and whether one should."""
        if self.champion is not None:
            return "ready"
        if not self._asked:
            return "loading"
        return "no champion" if isinstance(self.problem, ModelMissing) else "failed"

    def start(self) -> None:
        """Begin to ask for champions."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop asking for champions."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.poll()
            self._stop.wait(self._poll_s)

    def poll(self) -> None:
        """Ask once, and take a new champion in. Never raises: what is wrong is in `problem` and in the metrics."""
        self._poll()
        self._asked = True

    def _poll(self) -> None:
        try:
            number, load = self._champions.current()
        except Exception as error:
            self._metrics.registry_failures.inc()
            self._tell(error, "the champion is not known")
            return
        if self.champion is not None and number == self.champion.number:
            self._warn()
            return
        failed, _, next_s = self._failed
        if number == failed and time.monotonic() < next_s:
            return
        try:
            self._take_in(number, load)
        except Exception as error:
            self._metrics.load_failures.inc()
            self._postpone(number)
            self._tell(error, f"version {number} cannot be served")

    def _take_in(self, number: int, load: Callable[[], Model]) -> None:
        start_s = time.monotonic()
        model = load()
        if model.card.task != self._task:
            raise ModelRejected(
                f"this is a model of {model.card.task}, not of {self._task}",
                where=f"version {number}",
                way_out="Set SIGHTLINE_MODEL_DIR to a model of this task, or unset it.",
            )
        warmed = self._warm(model)
        self.champion = Champion(number, model, warmed, time.time(), self._background(number))
        self._warn()
        self._failed = (-1, 0.0, 0.0)
        self._metrics.champion(number)
        seconds = time.monotonic() - start_s
        log.info("%s: version %d answers now (%s, %.1f s)", self._task, number, warmed.batching, seconds)

    def _background(self, number: int) -> Background:
        """A version whose evaluation cannot be read still answers, and says that nothing is known of it."""
        try:
            return self._champions.background(number)
        except SightlineError as error:
            log.warning("%s: what version %d was trained on is not known: %s", self._task, number, error)
            return UNKNOWN

    def _warn(self) -> None:
        """Keep what is odd about a champion that answers, and log it once."""
        warning = self._champions.warning
        if warning is not None and str(warning) != str(self.problem):
            log.warning("%s: %s", self._task, warning)
        self.problem = warning

    def _postpone(self, number: int) -> None:
        """A version that cannot be loaded is tried again after ever longer pauses."""
        failed, pause_s, _ = self._failed
        pause_s = min(pause_s * 2, _LONGEST_RETRY_S) if number == failed else self._poll_s
        self._failed = (number, pause_s, time.monotonic() + pause_s)

    def _tell(self, error: Exception, what: str) -> None:
        expected = isinstance(error, SightlineError)
        if isinstance(error, ModelError | BackendError):
            known: SightlineError = error
        else:  # whatever it is, clients are told that the model is not there, not that their request is wrong
            known = ModelRejected(f"{what} ({error if expected else type(error).__name__})")
        if self.problem is None or str(known) != str(self.problem):  # once, not with every poll
            log.warning("%s: %s: %s", self._task, what, known, exc_info=None if expected else error)
        self.problem = known
