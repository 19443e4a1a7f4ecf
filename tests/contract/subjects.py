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
from pydantic import BaseModel

from docs.tutorial.bright_spots.answer import Answer
from docs.tutorial.bright_spots.params import BrightSpotsParams
from docs.tutorial.bright_spots.task import BrightSpots
from sightline.params import TaskParams
from sightline.task import Task
from sightline.tasks import TASKS, answer_model, open_task, params_model

ROOT = Path(__file__).resolve().parents[2]

_SCHEDULE = {"epochs": 1, "windows": 4, "batch": 2}
_STEPS = {"steps": 2, "batch": 2, "warmup_steps": 1, "report_every": 1}

_UNET = {"encoder": "efficientnet_lite0", "scratch": _STEPS, "continued": _STEPS}
"""The smallest encoder: a sixth of the weights to draw, keep, digest and load. tests/unit/vision tries them all."""

_SMALL_NETWORK = {
    "input": {"window_px": 32, "overlap_px": 8},
    "decoder_channels": [16, 8, 8, 8, 8],
    "pixels": {"trees": 5, "pixels_per_image": 100, "sigmas_px": [1.0, 2.0]},
}

_SMALL_STAGES = {
    **{"backbone_width": 8, "width": 16, "heads": 2, "points": 2, "feedforward": 32},
    **{"encoder_layers": 1, "decoder_layers": 1, "queries": 4, "window": 2},
}
_SMALL_REFINER = {"width": 16, "heads": 2, "layers": 1, "feedforward": 32, "most_roots": 16, "most_splits": 32}
_CLIPS = {"steps": 2, "batch": 1, "frames": 2, "warmup_steps": 1, "report_every": 1}

TINY: dict[str, dict[str, Any]] = {
    "pv_hotspots": {
        "sample": {
            **{"flights": 6, "frames_per_flight": 1, "defect_boost": 8.0},
            "camera": {"width_px": 320, "height_px": 256, "focal_px": 264.5},
            "site": {"tables_across": 2, "tables_along": 3},
        },
        "train": {"cpu": {"scratch": _SCHEDULE, "continued": _SCHEDULE, "calibration_frames": 2}},
        "evaluate": {"resamples": 100, "pictures": 2},
    },
    "panel_defects": {
        "candidates": ["fpn", "pixels"],  # the other encoders are tried by tests/unit/vision
        "sample": {"scenes": 24, "side_px": 64, "repeated_share": 0.1},
        "train": {
            "cpu": {
                **_SMALL_NETWORK,
                "networks": {"fpn": {"input": _SMALL_NETWORK["input"], "scratch": _STEPS, "continued": _STEPS}},
            }
        },
        "evaluate": {"resamples": 100, "pictures": 2},
    },
    "solar_farms": {
        "sample": {"places": 10, "side_px": 64, "shift_m": 50.0},
        "train": {"cpu": {**_SMALL_NETWORK, "networks": {"unet": _UNET}}},
        "evaluate": {"resamples": 100, "pictures": 2},
    },
    "land_cover": {
        "sample": {"regions": 6, "scenes_per_region": 1, "width_m": 75.0, "height_m": 70.0, "cells_per_px": 2},
        "train": {
            "cpu": {
                "input": {"window_px": 32, "overlap_px": 8},
                "decoder_channels": [16, 8, 8, 8, 8],
                "networks": {"unet": _UNET},
            }
        },
        "evaluate": {"resamples": 100, "pictures": 2},
    },
    "ships": {
        "candidates": ["lite", "blobs"],
        "sample": {"scenes": 6, "chips": 24, "tiles": False, "scene": {"width_px": 320, "height_px": 256}},
        "train": {
            "cpu": {
                "scan": {"tile_px": 320, "stride_px": 16},
                "windows": {"side_px": 128},
                "networks": {
                    name: {"head": _STEPS, "scratch": _STEPS, "continued": _STEPS} for name in ("lite", "atto")
                },
                "blobs": {"deviations": [6.0]},
            }
        },
        "evaluate": {"resamples": 100, "pictures": 2},
    },
    "battery_faults": {
        "sample": {
            **{"videos": 10, "frames": 6, "packs": 2, "field_share": 0.2},
            "short": {"power_w": [15.0, 30.0], "onset": [2, 3]},
            "fluent": {"width_px": 320, "height_px": 128, "focal_px": 268.0, "oversampling": 1},
            "field": {"width_px": 192, "height_px": 144, "focal_px": 210.0, "oversampling": 1},
        },
        "train": {
            "cpu": {
                "learned": {
                    **{"network": _SMALL_STAGES, "refine": _SMALL_REFINER},
                    **{"learning": _CLIPS, "continued": _CLIPS},
                },
                "calibrated_on": 4,
            }
        },
        "evaluate": {"resamples": 100, "pictures": 1},
    },
}
"""Task -> what differs from its CPU-sized recipe in params.yaml, so that a fit takes seconds."""


@dataclass
class Silent:
    """Progress that is kept."""

    steps: list[tuple[int, int, str]] = field(default_factory=list)
    figures: list[dict[str, float]] = field(default_factory=list)

    def advance(self, done: int, total: int, what: str) -> None:
        self.steps.append((done, total, what))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.figures.append({"step": step, **values})


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, section by section."""
    result = dict(base)
    for key, value in changes.items():
        result[key] = merged(result.get(key, {}), value) if isinstance(value, Mapping) else value
    return result


def tiny_section(name: str, seed: int = 7) -> dict[str, Any]:
    """The task's section of params.yaml, made tiny; its sample gets the same seed where it has one of its own."""
    section: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))[name]
    seeds: dict[str, Any] = {"seed": seed}
    if "seed" in section["sample"]:
        seeds["sample"] = {"seed": seed}
    return merged(merged(section, TINY.get(name, {})), seeds)


@cache
def tiny_params(name: str, seed: int = 7) -> TaskParams:
    if name == "bright_spots":
        page = (ROOT / "docs/tutorial/add-a-task.md").read_text(encoding="utf-8")
        section = yaml.safe_load(page.split("```yaml")[1].split("```")[0])[name]
        return BrightSpotsParams.model_validate({**section, "train": section["train"]["cpu"], "seed": seed})
    section = tiny_section(name, seed)
    return params_model(name).model_validate({**section, "train": section["train"]["cpu"]})


def tiny_task(name: str, seed: int = 7) -> Task:
    params = tiny_params(name, seed)
    return BrightSpots(params) if isinstance(params, BrightSpotsParams) else open_task(name, params)


def answer_of(name: str) -> type[BaseModel]:
    return Answer if name == "bright_spots" else answer_model(name)


ALL = [*TASKS, "bright_spots"]
TRAINED = [*(pytest.param(name, marks=pytest.mark.slow) for name in TASKS), "bright_spots"]
