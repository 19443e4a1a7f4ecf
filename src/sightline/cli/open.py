"""What the words on the command line stand for: TASK, TASK@REF, --model DIR."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import ModelMissing

if TYPE_CHECKING:
    from sightline.pipeline.project import Project
    from sightline.task import Model
    from sightline.tracking import Tracking, Version


def open_task_project(name: str) -> Project:
    """A task of the project folder we are in."""
    from sightline.pipeline.project import open_project
    from sightline.settings import load_settings

    return open_project(name, load_settings())


def open_to_pin(name: str) -> Project:
    """A task whose data are to be made, fetched or added, and then pinned.

    Raises:
        DataMissing: nothing can be pinned in this folder; told before the work.
    """
    from sightline.versions import require_repository

    project = open_task_project(name)
    require_repository(project.settings)
    return project


def open_version(ref: str) -> tuple[Project, Tracking, Version]:
    """What `TASK[@REF]` names; the champion where there is no REF."""
    from sightline.pipeline.standing import champion_version
    from sightline.tracking import Tracking

    name, _, alias = ref.partition("@")
    project = open_task_project(name)
    tracking = Tracking(project.settings)
    if alias in ("", "champion"):
        return project, tracking, champion_version(project, tracking)
    return project, tracking, tracking.version(name, alias)


def open_folder(task: str, folder: Path) -> tuple[Project, Model]:
    """A saved model's folder.

    Raises:
        ModelMissing: it is not a folder.
        ModelRejected: it holds no model of this task.
    """
    from sightline.tasks import restore_model

    project = open_task_project(task.partition("@")[0])
    if not folder.is_dir():
        raise ModelMissing("there is no such folder", where=folder, way_out="Give the folder that holds card.json.")
    return project, restore_model(project.name, folder)
