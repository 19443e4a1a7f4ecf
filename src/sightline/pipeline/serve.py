"""What an endpoint takes from the platform: its champion from the registry, its log in the ledger, how areas are
looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.background import Background, read_background
from sightline.errors import ModelMissing
from sightline.jobs import Jobs
from sightline.ledger import Answer, Ledger
from sightline.pipeline.survey import Order, Place, plan_survey, survey
from sightline.serving.champion import Champions, DirectoryChampion
from sightline.serving.surveyor import Areas
from sightline.settings import Settings
from sightline.task import Json, Model, Prediction, Report
from sightline.tasks import restore_model
from sightline.tracking import Tracking

if TYPE_CHECKING:
    from sightline.geo.area import Area
    from sightline.geo.providers import Provider
    from sightline.geo.tiles import Plan
    from sightline.serving.engine import Answered, Log
    from sightline.upscaling.upscale import Upscaler


class RegistryChampions:
    """The version with the alias `champion`."""

    def __init__(self, task: str, tracking: Tracking, restore: Callable[[Path], Model]) -> None:
        self._task = task
        self._tracking = tracking
        self._restore = restore

    def current(self) -> tuple[int, Callable[[], Model]]:
        """Its number, and what fetches and reads it.

        Raises:
            ModelMissing: nothing was promoted yet.
            BackendError: MLflow cannot be reached.
        """
        number = self._tracking.current(self._task, "champion")
        if number is None:
            raise ModelMissing(f"{self._task} has no champion", way_out=f"Run `sightline run {self._task}` first.")
        return number, lambda: self._load(number)

    def background(self, number: int) -> Background:
        """What a version was trained and judged on. Raises ModelRejected or BackendError."""
        version = self._tracking.version(self._task, str(number))
        return read_background(self._tracking.evaluation(version), version.tags.get("data_version", ""))

    def _load(self, number: int) -> Model:
        return self._restore(self._tracking.directory(self._tracking.version(self._task, str(number))))


def champions(task: str, settings: Settings) -> Champions:
    """Who says which version of a task answers: the registry, or the directory that SIGHTLINE_MODEL_DIR names."""

    def restore(directory: Path) -> Model:
        return restore_model(task, directory)

    if settings.model_dir:
        return DirectoryChampion(settings.root / settings.model_dir, restore)
    return RegistryChampions(task, Tracking(settings), restore)


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
        answered: Callable[[Any, Prediction], None],
    ) -> dict[str, Json]:
        """See `survey`."""
        place = Place(out, self._settings.tile_cache, self._settings.limits)
        return survey(plan, upscaler, model, place, report, answered)


def areas_in(ledger: Ledger, settings: Settings) -> Areas:
    """How an endpoint queues areas and looks at them."""
    return Areas(Jobs(ledger), MapSurveys(settings))
