"""Parameters for tests: those of the repository's params.yaml, changed where a test needs another value.

The models of parameters have no values of their own, and tests have none either: what a test does not name is what a
user gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel

from sightline.params import TaskParams

ROOT = Path(__file__).resolve().parents[1]

AnyModel = TypeVar("AnyModel", bound=BaseModel)


@cache
def _repository() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return found


def platform_params() -> TaskParams:
    """What every task's section has, as pv_hotspots has it."""
    section = _repository()["pv_hotspots"]
    return TaskParams.model_validate({name: section[name] for name in TaskParams.model_fields})


def params_of(task: str, model: type[AnyModel], profile: str = "cpu") -> AnyModel:
    """A task's section of the repository's params.yaml."""
    section = _repository()[task]
    return model.model_validate({**section, "train": section["train"][profile]})


def changed(params: AnyModel, **changes: Any) -> AnyModel:
    """`params` with other values, checked as params.yaml is.

    A mapping given for a section changes that section; any other value takes the place of the one before.
    """
    values = {name: getattr(params, name) for name in type(params).model_fields}
    for name, change in changes.items():
        section = values.get(name)
        inside = isinstance(section, BaseModel) and isinstance(change, Mapping)
        values[name] = changed(section, **change) if inside else change
    return type(params).model_validate(values)
