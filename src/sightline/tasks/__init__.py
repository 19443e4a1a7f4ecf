"""The tasks, by name. A new task gets a line in `TASKS` and a case in `_classes`; nothing registers itself."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import ParamsError

if TYPE_CHECKING:  # the list of tasks stands in `--help`, which imports nothing heavy
    from sightline.params import TaskParams
    from sightline.task import Model, Task

TASKS = ("pv_hotspots", "panel_defects", "ships", "solar_farms", "land_cover")
"""Those whose training takes longest come first: side by side they then end together."""

SOURCES = {
    "pv_hotspots": ("tasks/pv_hotspots",),
    "panel_defects": ("tasks/panel_defects", "segmentation"),
    "solar_farms": ("tasks/panel_defects", "segmentation"),
    "land_cover": ("tasks/land_cover", "segmentation"),
    "ships": ("tasks/ships", "segmentation", "geo"),
}
"""The folders of this package that a task's models are made by: a change there trains them anew."""


def _classes(name: str) -> tuple[type[TaskParams], type[Task]]:
    """The parameters' model and the class of a task; imported only when asked for."""
    match name:
        case "pv_hotspots":
            from sightline.tasks.pv_hotspots.params import Params
            from sightline.tasks.pv_hotspots.task import PvHotspots

            return Params, PvHotspots
        case "panel_defects":
            from sightline.tasks.panel_defects.params import Params as PanelParams
            from sightline.tasks.panel_defects.task import PanelDefects

            return PanelParams, PanelDefects
        case "solar_farms":
            from sightline.tasks.panel_defects.params import FarmParams
            from sightline.tasks.panel_defects.task import PanelDefects

            return FarmParams, PanelDefects
        case "land_cover":
            from sightline.tasks.land_cover.params import Params as LandParams
            from sightline.tasks.land_cover.task import LandCover

            return LandParams, LandCover
        case "ships":
            from sightline.tasks.ships.params import Params as ShipParams
            from sightline.tasks.ships.task import Ships

            return ShipParams, Ships
        case _:
            near = difflib.get_close_matches(name, TASKS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(TASKS)}."
            raise ParamsError(f"there is no task {name!r}", where="TASK", way_out=hint)


def params_model(name: str) -> type[TaskParams]:
    """The typed section of params.yaml that a task reads.

    Raises:
        ParamsError: the name is unknown.
    """
    return _classes(name)[0]


def open_task(name: str, params: TaskParams) -> Task:
    """A task with its parameters.

    Raises:
        ParamsError: the name is unknown.
    """
    make: Any = _classes(name)[1]  # a protocol says nothing of constructors
    task: Task = make(params)
    return task


def restore_model(name: str, directory: Path) -> Model:
    """A saved model, without any params.yaml: `restore` of a task is static.

    Raises:
        ModelRejected: the directory does not hold a model of this task.
    """
    model: Model = _classes(name)[1].restore(directory)
    return model
