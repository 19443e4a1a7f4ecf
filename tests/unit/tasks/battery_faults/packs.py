"""Tiny drawn videos of packs for tests of the networks, and networks of the smallest size."""

from __future__ import annotations

import numpy as np

from sightline.tasks.battery_faults.examples import Look, store_clips
from sightline.tasks.battery_faults.params import LearnedParams
from sightline.tasks.battery_faults.thermal import Thermal
from tests.contract.subjects import Silent

SIZE = (104, 268)

_LEARNING = {
    "steps": 4,
    "batch": 2,
    "frames": 2,
    "learning_rate": 0.001,
    "backbone_learning_rate": 0.001,
    "weight_decay": 0.0001,
    "clip_norm": 1.0,
    "warmup_steps": 1,
    "min_lr_ratio": 0.1,
    "ema_decay": 0.9,
    "report_every": 2,
    "precision": "float32",
    "refine_from": 0.0,
}

TINY = LearnedParams.model_validate(
    {
        "network": {
            "backbone": "resnet18",
            "backbone_width": 8,
            "width": 32,
            "heads": 4,
            "points": 2,
            "feedforward": 32,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "queries": 4,
            "window": 3,
        },
        "refine": {
            "width": 16,
            "heads": 2,
            "layers": 1,
            "feedforward": 32,
            "most_roots": 200,
            "most_splits": 400,
        },
        "loss": {"fault": 2, "box": 5, "giou": 2, "mask": 2, "dice": 5, "incoherence": 1, "nodes": 2},
        "augment": {"flip": True, "scale": [0.95, 1.1], "shift": 0.03, "occluded": 0.0, "farthest": 2},
        "learning": _LEARNING,
        "continued": _LEARNING,
    }
)


def look(fault: int | None, shift: int = 0, rise_k: float = 8.0, cells: int = 3) -> Look:
    """A frame of a pack of cells that stand side by side; `fault` 0.. is warmer."""
    kelvin = np.full((140, 340), np.nan, np.float32)
    x0, y0, x1, y1 = 30 + shift, 20, 310 + shift, 120
    kelvin[y0:y1, x0:x1] = 300
    edges = np.linspace(x0, x1, cells + 1).astype(int)
    shading = np.zeros_like(kelvin)
    shading[y0:y1, x0:x1] = 0.8
    shading[y0:y1, edges[1:-1]] = 0.2
    masks = []
    if fault is not None:
        mask = np.zeros(kelvin.shape, bool)
        mask[y0:y1, edges[fault] : edges[fault + 1]] = True
        kelvin[mask] += rise_k
        masks.append(mask)
    return Look(Thermal(kelvin, shading, np.zeros((*kelvin.shape, 3), np.uint8)), (x0, y0, x1, y1), masks)


def videos(faults=(0, 1, 2, None), length=4):
    return [
        (f"video{number}", [look(fault, 2 * step) for step in range(length)]) for number, fault in enumerate(faults)
    ]


def stored(folder, faults=(0, 1, 2, None), length=4):
    return store_clips(videos(faults, length), folder, Silent())
