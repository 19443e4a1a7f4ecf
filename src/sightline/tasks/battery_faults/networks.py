"""How the learned stages look at the frames of one camera: see `verdict.Method`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sightline.tasks.battery_faults.examples import look_at, put_back
from sightline.tasks.battery_faults.geometry import Cells
from sightline.tasks.battery_faults.order import CellsInSight
from sightline.tasks.battery_faults.rule import RuleParams
from sightline.tasks.battery_faults.runs import Mask
from sightline.tasks.battery_faults.stages import Follower, Seen
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.tasks.battery_faults.verdict import CellView, FrameView

if TYPE_CHECKING:
    from torch.nn import Module


FLOOR = 0.05
"""Least score of a fault that is told at all."""

_MOST = 2


class Networks:
    """Stage 1, or both stages, on one camera.

    Where the pack is and which cell is which is told by geometry; which of them is faulty, and where exactly it is, by
    the networks.

    Args:
        stages: of `stages.load_stages`; several cameras may share them.
        refined: whether stage 2 looks at the masks.
        width: of the queries.
        rule: cells of the pack, which pixels are a cell's warmest place, and how many it must have to be in sight.
    """

    def __init__(self, stages: Module, refined: bool, width: int, rule: RuleParams) -> None:
        self._follower = Follower(stages, FLOOR, _MOST, refined)
        self._refined, self._width, self._rule = refined, width, rule
        self._sight = CellsInSight(rule.cells)

    @property
    def width(self) -> int:
        """Values of its embeddings: those of a query."""
        return self._width

    def push(self, thermal: Thermal) -> FrameView:
        """What is told of the next frame."""
        cells = self._sight.push(thermal)
        if isinstance(cells, str):
            return FrameView(cells, count=self._rule.cells)
        shown, box = look_at(thermal, cells.box)
        views = self._healthy_views(thermal, cells)
        for seen in self._follower.push(shown):
            label, view = self._view(seen, box, thermal, cells)
            if label in views and view.probability > views[label].probability:
                views[label] = view
        numbered = {self._sight.number(label): view for label, view in views.items()}
        return FrameView(cells=numbered, count=self._rule.cells, embedding=tuple(self._follower.embedding.tolist()))

    def _healthy_views(self, thermal: Thermal, cells: Cells) -> dict[int, CellView]:
        """Each cell that is in sight, by its label, with nothing told against it."""
        views = {}
        for label in range(1, self._rule.cells + 1):
            mask = cells.mask(label)
            if np.count_nonzero(mask & thermal.valid) >= self._rule.least_px:
                views[label] = CellView(0.0, warmest(thermal, mask, self._rule.percentile))
        return views

    def _view(self, seen: Seen, box: tuple[int, int, int, int], thermal: Thermal, cells: Cells) -> tuple[int, CellView]:
        """The label of the cell that a fault was told of, by most of its mask's pixels; 0 where it lies beside all."""
        mask = put_back(seen.mask, box, thermal.size) >= 0.5
        coarse = put_back(seen.coarse, box, thermal.size) >= 0.5 if self._refined else None
        votes = np.bincount(cells.labels[mask], minlength=self._rule.cells + 1)
        votes[0] = 0
        kelvin = warmest(thermal, mask, self._rule.percentile)
        return int(votes.argmax()) if votes.any() else 0, CellView(seen.score, kelvin, mask, coarse)


def warmest(thermal: Thermal, mask: Mask, percentile: float) -> float:
    """A high percentile of what is told inside a mask, kelvin; NaN where nothing is."""
    inside = thermal.kelvin[mask & thermal.valid]
    return float(np.percentile(inside, percentile)) if inside.size else float("nan")
