"""A project: one task of one folder, opened with its settings and parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import DataMissing
from sightline.params import TaskParams, load_section
from sightline.pipeline.listings import list_set
from sightline.settings import Settings
from sightline.splits import apply_splits, read_splits
from sightline.task import Manifest, Task
from sightline.tasks import open_task, params_model

if TYPE_CHECKING:
    from sightline.stores.database import Database
    from sightline.stores.events import Events
    from sightline.stores.predictions import Predictions


@dataclass(frozen=True)
class Project:
    """One task, and where its things are."""

    settings: Settings
    params: TaskParams
    task: Task

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name

    @cached_property
    def database(self) -> Database:
        """The ledger of the folder; shared by its tasks."""
        from sightline.stores.database import Database

        return Database(self.settings.database_url)

    @cached_property
    def events(self) -> Events:
        """What happened."""
        from sightline.stores.events import Events

        return Events(self.database)

    @cached_property
    def predictions(self) -> Predictions:
        """The answers that were given."""
        from sightline.stores.predictions import Predictions

        return Predictions(self.database)

    @property
    def data(self) -> Path:
        """`data/<task>`: a folder a set, and splits.csv."""
        return self.settings.data / self.name

    def validation(self) -> Path:
        """Where the gate writes: `build/validation/<task>`."""
        return self.settings.build / "validation" / self.name

    def models(self, candidate: str) -> Path:
        """Where training writes: `build/models/<task>/<candidate>`."""
        return self.settings.build / "models" / self.name / candidate

    def evaluation(self, candidate: str) -> Path:
        """Where evaluating writes: `build/evaluations/<task>/<candidate>`."""
        return self.settings.build / "evaluations" / self.name / candidate

    def sets(self) -> tuple[str, ...]:
        """Names of the sets that params.yaml asks for and that are there, pre-training first."""
        wanted = (*self.params.data.pretrain, *self.params.data.train)
        return tuple(name for name in wanted if (self.data / name).is_dir())

    def require_sets(self) -> tuple[str, ...]:
        """`sets()`.

        Raises:
            DataMissing: none of them is there.
        """
        names = self.sets()
        if not names:
            raise DataMissing(
                f"there is no data set of {self.name}",
                where=self.data,
                way_out=f"Add your own with `sightline data add {self.name} FOLDER`, or write the synthetic one with "
                f"`sightline data sample {self.name}`.",
            )
        return names

    def listing(self, name: str) -> Manifest:
        """The samples of one set, no split assigned.

        Raises:
            DataMissing: there is no such set.
        """
        kept = self.settings.build / "listings" / self.name / f"{name}.json"
        return list_set(self.task, self.params, self.data / name, kept, self.settings.limits)

    def load(self) -> Manifest:
        """All samples of these sets, with their splits.

        Raises:
            DataMissing: none of the sets is there.
        """
        names = self.require_sets()
        manifest = Manifest(self.data, (), self.settings.limits)
        for name in names:
            manifest += self.listing(name)
        return apply_splits(manifest, read_splits(self.data / "splits.csv"), self.params.data.folds)


def open_project(name: str, settings: Settings) -> Project:
    """Open a task of the project folder.

    Raises:
        ParamsError: the task is unknown, or its section of params.yaml is wrong.
    """
    params = load_section(settings.root / "params.yaml", name, params_model(name))
    return Project(settings, params, open_task(name, params))
