"""The tasks, by name. A new task gets a line in `TASKS`; nothing registers itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import ModelRejected, ParamsError
from sightline.imports import modules_below

if TYPE_CHECKING:  # the list of tasks stands in `--help`, which imports nothing heavy
    from pydantic import BaseModel

    from sightline.params import TaskParams
    from sightline.task import Model, Task


@dataclass(frozen=True)
class Declaration:
    """Where a task's code is.

    Attributes:
        package: below `sightline.tasks`; two tasks may share one.
        params: the class in its `params` that types the task's section of params.yaml.
        task: the class in its `task` that is the task.
        answer: the class in its `answer` that types what its models answer, `Prediction.document`.
        minutes: that the CPU recipe trains for on two cores, about: of tasks side by side the longest begins first.
    """

    package: str
    params: str
    task: str
    answer: str = "Answer"
    minutes: int = 1


TASKS: dict[str, Declaration] = {
    "pv_hotspots": Declaration("pv_hotspots", "Params", "PvHotspots", minutes=6),
    "panel_defects": Declaration("panel_defects", "Params", "PanelDefects", minutes=5),
    "ships": Declaration("ships", "Params", "Ships", minutes=4),
    "solar_farms": Declaration("panel_defects", "FarmParams", "PanelDefects", "FarmAnswer", minutes=3),
    "land_cover": Declaration("land_cover", "Params", "LandCover", minutes=2),
    "battery_faults": Declaration("battery_faults", "Params", "BatteryFaults", minutes=3),
}
"""The only list of tasks, in the order in which they are told of."""


def longest_first(names: Iterable[str]) -> list[str]:
    """The names in the order in which tasks that run side by side begin; an unknown one takes a minute."""
    return sorted(names, key=lambda name: -TASKS[name].minutes if name in TASKS else -1)


def modules_of(name: str) -> tuple[str, ...]:
    """The modules that a task is asked for by: all else that its models are made by, they import.

    `answer` is none of them: it tells what an answer looks like, and makes none.
    """
    found = TASKS.get(name)
    if found is None:
        return ("sightline.task",)
    package = f"sightline.tasks.{found.package}"
    return ("sightline.task", *(module for module in modules_below(package) if module != f"{package}.answer"))


def _declaration(name: str) -> Declaration:
    found = TASKS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, TASKS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Choose one of: {', '.join(TASKS)}."
        raise ParamsError(f"unknown task {name!r}", where="TASK", way_out=hint)
    return found


def _classes(name: str) -> tuple[type[TaskParams], type[Task]]:
    """The parameters' model and the class of a task; imported only when asked for."""
    found = _declaration(name)
    package = f"sightline.tasks.{found.package}"
    params: type[TaskParams] = getattr(import_module(f"{package}.params"), found.params)
    task: type[Task] = getattr(import_module(f"{package}.task"), found.task)
    return params, task


def params_model(name: str) -> type[TaskParams]:
    """The typed section of params.yaml that a task reads.

    Raises:
        ParamsError: the name is unknown.
    """
    return _classes(name)[0]


def answer_model(name: str) -> type[BaseModel]:
    """What the models of a task answer as JSON, as a type with a field for each key.

    Raises:
        ParamsError: the name is unknown.
    """
    found = _declaration(name)
    answer: type[BaseModel] = getattr(import_module(f"sightline.tasks.{found.package}.answer"), found.answer)
    return answer


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
    if model.card.task != name:
        raise ModelRejected(
            f"this is a model of {model.card.task}, not of {name}",
            where=directory,
            way_out="Give the folder of a model of this task.",
        )
    return model
