"""The tasks under contract, each with parameters that make it tiny.

Beside the tasks of the package stands the tutorial's: it trains in milliseconds, so that the contract itself is tried
in the fast ring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.tutorial.bright_spots.params import BrightSpotsParams
from docs.tutorial.bright_spots.task import BrightSpots
from sightline.params import TaskParams
from sightline.task import Task
from sightline.tasks import TASKS, open_task, params_model

ROOT = Path(__file__).resolve().parents[2]

TINY: dict[str, dict[str, Any]] = {}
"""Task -> what differs from its CPU-sized recipe in params.yaml, so that a fit takes seconds. Every task is here."""


@dataclass
class Silent:
    """A report that keeps what it is told."""

    told: list[tuple[int, int, str]] = field(default_factory=list)
    figures: list[dict[str, float]] = field(default_factory=list)

    def progress(self, done: int, total: int, what: str) -> None:
        self.told.append((done, total, what))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.figures.append({"step": step, **values})


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, section by section."""
    result = dict(base)
    for key, value in changes.items():
        result[key] = merged(result.get(key, {}), value) if isinstance(value, Mapping) else value
    return result


def tiny_section(name: str) -> dict[str, Any]:
    """The task's section of params.yaml, made tiny."""
    section: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))[name]
    return merged(section, TINY[name])


@cache
def tiny_params(name: str, seed: int) -> TaskParams:
    if name == "bright_spots":
        page = (ROOT / "docs/tutorial/add-a-task.md").read_text(encoding="utf-8")
        section = yaml.safe_load(page.split("```yaml")[1].split("```")[0])[name]
        return BrightSpotsParams.model_validate({**section, "train": section["train"]["cpu"], "seed": seed})
    section = tiny_section(name)
    return params_model(name).model_validate({**section, "train": section["train"]["cpu"], "seed": seed})


def tiny_task(name: str, seed: int = 7) -> Task:
    params = tiny_params(name, seed)
    return BrightSpots(params) if isinstance(params, BrightSpotsParams) else open_task(name, params)


ALL = [*TASKS, "bright_spots"]
TRAINED = [*(pytest.param(name, marks=pytest.mark.slow) for name in TASKS), "bright_spots"]
