"""What an endpoint takes from the platform: its champion, its log in the ledger, how areas are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.drift.background import Background, read_background
from sightline.errors import ModelError
from sightline.pipeline.standing import Seat, is_trusted, no_champion, rule, seated, standing_of
from sightline.pipeline.survey import Order, Place, plan_survey, survey
from sightline.serving.champion import Champions, DirectoryChampion
from sightline.serving.surveyor import Areas
from sightline.settings import Settings
from sightline.stores.jobs import Jobs
from sightline.stores.ledger import Answer, Ledger
from sightline.task import Json, Model, Prediction, Report
from sightline.tasks import restore_model
from sightline.tracking import Tracking

if TYPE_CHECKING:
    from sightline.maps.area import Area
    from sightline.maps.providers import Provider
    from sightline.maps.tiles import Plan
    from sightline.maps.upscaling.upscale import Upscaler
    from sightline.serving.engine import Answered, Log


class RegistryChampions:
    """The version of the registry that the ledger knows as champion; see `pipeline.standing`.

    Args:
        task: its name.
        tracking: the registry, which has the models.
        ledger: which says who was promoted.
        restore: reads a saved model.
        trusted: whether the registry is believed where the ledger has no word on the task.
    """

    def __init__(
        self, task: str, tracking: Tracking, ledger: Ledger, restore: Callable[[Path], Model], trusted: bool = False
    ) -> None:
        self.warning: ModelError | None = None
        self._task = task
        self._tracking = tracking
        self._ledger = ledger
        self._restore = restore
        self._trusted = trusted

    def current(self) -> tuple[int, Callable[[], Model]]:
        """Its number, and what fetches and reads it.

        Raises:
            ModelMissing: nothing was promoted yet, or the registry names a champion that the ledger does not know.
            BackendError: MLflow or the ledger cannot be asked.
        """
        alias = self._tracking.current(self._task, "champion")
        ruling = rule(self._task, standing_of(self._ledger, self._task), alias, self._trusted)
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


def champions(task: str, settings: Settings) -> Champions:
    """Who says which version of a task answers: the registry, or the directory that SIGHTLINE_MODEL_DIR names."""

    def restore(directory: Path) -> Model:
        return restore_model(task, directory)

    if settings.model_dir:
        return DirectoryChampion(settings.root / settings.model_dir, restore)
    return RegistryChampions(task, Tracking(settings), Ledger(settings.ledger), restore, is_trusted(settings))


def log_into(ledger: Ledger, task: str) -> Log:
    """What writes the rows of a batch of answers into the ledger, in one transaction."""

    def log(answered: Sequence[Answered]) -> Sequence[int]:
        return ledger.log(
            [
                Answer(
                    task,
                    a.version,
                    a.question.input.sha256,
                    a.question.source,
                    a.prediction.row,
                    a.prediction.embedding,
                    once=a.once,
                )
                for a in answered
            ]
        )

    return log


class MapSurveys:
    """Plans and looks at areas as `sightline aoi` does, with the same cache of tiles; see `serving.orders.Surveys`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def plan(self, area: Area, provider: Provider, zoom: int | None, wanted_gsd_m: float, factor: int) -> Plan:
        """See `plan_survey`."""
        return plan_survey(Order(area, provider, zoom), wanted_gsd_m, factor)

    def run(
        self,
        plan: Plan,
        upscaler: Upscaler | None,
        model: Any,
        out: Path,
        report: Report,
        on_answer: Callable[[Any, Prediction], None],
    ) -> dict[str, Json]:
        """See `survey`."""
        place = Place(out, self._settings.tile_cache, self._settings.limits)
        return survey(plan, upscaler, model, place, report, on_answer)


def areas_in(ledger: Ledger, settings: Settings) -> Areas:
    """How an endpoint queues areas and looks at them."""
    return Areas(Jobs(ledger), MapSurveys(settings))
