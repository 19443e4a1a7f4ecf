"""Simulated videos as networks learn from them, without a file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.examples import Look
from sightline.tasks.battery_faults.geometry import CellFinder
from sightline.tasks.battery_faults.params import SyntheticParams
from sightline.tasks.battery_faults.synthetic.exposures import thermals
from sightline.tasks.battery_faults.synthetic.plan import draw_scene


def looks(params: SyntheticParams, number: int, width_px: int | None = None) -> Iterator[Look]:
    """The frames of a video, with the pack where it is found as it is in real ones. `width_px`: as for `thermals`."""
    scene = draw_scene(params, number, width_px)
    finder = CellFinder()
    for frame, (thermal, exposure) in enumerate(thermals(params, number, width_px)):
        masks: list[NDArray[np.bool_] | None] = []
        for short, onset in zip(scene.case.shorts, scene.onsets, strict=True):
            mask = exposure.instances == short.cell
            masks.append(mask if frame >= onset and mask.any() else None)
        yield Look(thermal, finder.find_pack(thermal), masks)
