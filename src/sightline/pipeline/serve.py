"""What an endpoint takes from the platform: its champion, its log in the ledger, how areas are looked at."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.drift.background import Background, read_background
from sightline.errors import ModelError, SightlineError
from sightline.pipeline.standing import Seat, is_trusted, no_champion, rule, seated, standing_of
from sightline.pipeline.survey import Workspace, plan_survey, survey
from sightline.serving.champion import Champions, DirectoryChampion
from sightline.serving.surveyor import Areas
from sightline.settings import Settings
from sightline.task import Input, Json, Model, Prediction, Progress
from sightline.tasks import TASKS, restore_model
from sightline.tracking import Tracking
from sightline.vision.saved import read_card

if TYPE_CHECKING:
    from sightline.maps.order import Order
    from sightline.maps.tiles import AreaPlan
    from sightline.maps.upscaling.upscale import Upscaler
    from sightline.serving.camera import FrameLog
    from sightline.serving.orders import Prepared
    from sightline.serving.questions import Answered, Log
    from sightline.stores.database import Database
    from sightline.stores.events import Events
    from sightline.stores.predictions import Answer, Frame, Predictions


class RegistryChampions:
    """The version of the registry that the ledger knows as champion; see `pipeline.standing`.

    Args:
        task: its name.
        tracking: the registry, which has the models.
        events: which say who was promoted.
        restore: reads a saved model.
        trusted: whether the registry is believed where the ledger has no word on the task.
    """

    def __init__(
        self, task: str, tracking: Tracking, events: Events, restore: Callable[[Path], Model], trusted: bool = False
    ) -> None:
        self.warning: ModelError | None = None
        self._task = task
        self._tracking = tracking
        self._events = events
        self._restore = restore
        self._trusted = trusted

    def current(self) -> tuple[int, Callable[[], Model]]:
        """Its number, and what fetches and reads it.

        Raises:
            ModelMissing: nothing was promoted yet, or the registry names a champion that the ledger does not know.
            BackendError: MLflow or the ledger cannot be asked.
        """
        alias = self._tracking.current(self._task, "champion")
        ruling = rule(self._task, standing_of(self._events, self._task), alias, self._trusted)
        disputed = ruling.state in ("disputed", "unknown")  # lagging lasts for a moment in every promotion
        self.warning = ModelError(ruling.text, where=self._task, way_out=ruling.way_out) if disputed else None
        seat = ruling.champion
        if seat is None:
            raise no_champion(self._task, ruling)
        return seat.number, lambda: self._load(seat)

    def background(self, number: int) -> Background:
        """What a version was trained and evaluated on. Raises ModelRejected or BackendError."""
        version = self._tracking.version(self._task, str(number))
        return read_background(self._tracking.evaluation(version), version.tags.get("data_version", ""))

    def _load(self, seat: Seat) -> Model:
        return self._restore(self._tracking.directory(seated(self._tracking, self._task, seat)))


def tasks_served(settings: Settings) -> tuple[str, ...]:
    """The tasks behind one address: all, or that of the model in SIGHTLINE_MODEL_DIR.

    Where that cannot be read, all: each of them then says so.
    """
    if settings.model_dir:
        with suppress(SightlineError):
            task = read_card(settings.root / settings.model_dir).task
            return (task,) if task in TASKS else tuple(TASKS)
    return tuple(TASKS)


def champions(task: str, settings: Settings, database: Database) -> Champions:
    """Who says which version of a task answers: the registry, or the directory that SIGHTLINE_MODEL_DIR names."""
    from sightline.stores.events import Events

    def restore(directory: Path) -> Model:
        return restore_model(task, directory)

    if settings.model_dir:
        return DirectoryChampion(settings.root / settings.model_dir, restore)
    return RegistryChampions(task, Tracking(settings), Events(database), restore, is_trusted(settings))


def log_into(predictions: Predictions, task: str) -> Log:
    """What writes the rows of a batch of answers into the ledger, in one transaction."""
    return lambda answered: predictions.log([_row(task, one) for one in answered])


def camera_log(predictions: Predictions, task: str, every_s: float) -> Callable[[], FrameLog]:
    """What opens the log of a camera: of its frames changes of verdict and a sample, and the answer to the whole."""
    from sightline.pipeline.streaming.frame_log import CameraLog
    from sightline.stores.streams import Keep

    return lambda: CameraLog(predictions, task, Keep(every_s))


def _row(task: str, answered: Answered, frame: Frame | None = None) -> Answer:
    from sightline.stores.predictions import Answer

    question, prediction = answered.question, answered.prediction
    return Answer(
        task,
        answered.version,
        question.input.sha256,
        question.source,
        prediction.row,
        prediction.embedding,
        once=answered.once,
        frame=frame,
    )


class MapSurveys:
    """Plans and looks at areas as `sightline aoi` does, with the same cache of tiles; see `serving.orders.Surveys`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def plan(self, order: Order, wanted_gsd_m: float) -> AreaPlan:
        """See `plan_survey`."""
        return plan_survey(order, wanted_gsd_m)

    def run(
        self,
        prepared: Prepared,
        background: Background,
        upscaler: Upscaler | None,
        out: Path,
        progress: Progress,
        on_answer: Callable[[Input, Prediction], None],
    ) -> dict[str, Json]:
        """See `survey`."""
        workspace = Workspace(out, self._settings.tile_cache, self._settings.limits, background)
        return survey(prepared.plan, upscaler, prepared.model, workspace, progress, on_answer)


def areas_in(database: Database, settings: Settings) -> Areas:
    """How an endpoint queues areas and looks at them."""
    from sightline.stores.queue import Queue

    return Areas(Queue(database), MapSurveys(settings))
