"""How the learned stages look at the frames of one camera: see `verdict.Method`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sightline.tasks.battery_faults.examples import look_at, put_back
from sightline.tasks.battery_faults.geometry import CELLS, Cells
from sightline.tasks.battery_faults.order import CellsInSight
from sightline.tasks.battery_faults.runs import Mask
from sightline.tasks.battery_faults.stages import Follower, Seen
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.tasks.battery_faults.verdict import CellView, FrameView

if TYPE_CHECKING:
    from torch.nn import Module


FLOOR = 0.05
"""Least score of a fault that is told at all."""

_MOST = 2
_WARMEST_PERCENT = 98.0
_LEAST_PX = 12
"""Pixels of a cell with fewer of which it is not in sight."""


class Networks:
    """Stage 1, or both stages, on one camera.

    Where the pack is and which cell is which is told by geometry; which of them is faulty, and where exactly it is, by
    the networks.

    Args:
        stages: of `stages.load_stages`; several cameras may share them.
        refined: whether stage 2 looks at the masks.
        width: of the queries.
        count: cells of the pack.
    """

    def __init__(self, stages: Module, refined: bool, width: int, count: int = CELLS) -> None:
        self._follower = Follower(stages, FLOOR, _MOST, refined)
        self._refined, self._width, self._count = refined, width, count
        self._sight = CellsInSight(count)

    @property
    def width(self) -> int:
        """Values of its embeddings: those of a query."""
        return self._width

    def push(self, thermal: Thermal) -> FrameView:
        """What is told of the next frame."""
        cells = self._sight.push(thermal)
        if isinstance(cells, str):
            return FrameView(cells, count=self._count)
        shown, box = look_at(thermal, cells.box)
        views = _healthy_views(thermal, cells, self._count)
        for seen in self._follower.push(shown):
            label, view = self._view(seen, box, thermal, cells)
            if label in views and view.probability > views[label].probability:
                views[label] = view
        numbered = {self._sight.number(label): view for label, view in views.items()}
        return FrameView(cells=numbered, count=self._count, embedding=tuple(self._follower.embedding.tolist()))

    def _view(self, seen: Seen, box: tuple[int, int, int, int], thermal: Thermal, cells: Cells) -> tuple[int, CellView]:
        """The label of the cell that a fault was told of, by most of its mask's pixels; 0 where it lies beside all."""
        mask = put_back(seen.mask, box, thermal.size) >= 0.5
        coarse = put_back(seen.coarse, box, thermal.size) >= 0.5 if self._refined else None
        votes = np.bincount(cells.labels[mask], minlength=self._count + 1)
        votes[0] = 0
        kelvin = warmest(thermal, mask)
        return int(votes.argmax()) if votes.any() else 0, CellView(seen.score, kelvin, mask, coarse)


def _healthy_views(thermal: Thermal, cells: Cells, count: int) -> dict[int, CellView]:
    """Each cell that is in sight, by its label, with nothing told against it."""
    views = {}
    for number in range(1, count + 1):
        mask = cells.mask(number)
        if np.count_nonzero(mask & thermal.valid) >= _LEAST_PX:
            views[number] = CellView(0.0, warmest(thermal, mask))
    return views


def warmest(thermal: Thermal, mask: Mask) -> float:
    """The 98th percentile of what is told inside a mask, kelvin; NaN where nothing is."""
    inside = thermal.kelvin[mask & thermal.valid]
    return float(np.percentile(inside, _WARMEST_PERCENT)) if inside.size else float("nan")
