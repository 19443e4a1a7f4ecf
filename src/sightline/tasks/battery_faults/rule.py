"""The plain candidate: each cell against its siblings, summed up over time. Nothing is learned but two thresholds.

A cell's contrast is how far its warmest place stands out of it: a high percentile less the median. Less the same of its
siblings (so that what warms all of them counts for none) it is the cell's rise. A rise that grows is evidence of a
short: sunlight, reflections and uneven cells are there from the start. A rise that was there from the first frame on
must be larger to count. Evidence is summed by CUSUM (Page, 1954): what exceeds a reference adds up, what stays below
takes away. The sum tells the probability.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.tasks.battery_faults.geometry import Cells
from sightline.tasks.battery_faults.order import CellsInSight
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.tasks.battery_faults.verdict import CellView, FrameView


class RuleParams(Frozen):
    """What the rule goes by; rises are in kelvin."""

    cells: int = Field(ge=1, le=12, description="of a pack")
    percentile: float = Field(gt=50, lt=100, description="of a cell's pixels: its warmest place")
    least_px: int = Field(ge=1, description="of a cell, to be looked at")
    least_share: float = Field(gt=0, lt=1, description="of the largest cell's pixels, the same")
    growth_k: float = Field(gt=0, description="reference of a rise that grows")
    standing_k: float = Field(gt=0, description="reference of a rise that was always there")
    decision_k: float = Field(gt=0, description="sum of the evidence at which a fault is as likely as not")
    softness_k: float = Field(gt=0, description="of the evidence, from there to a likelihood of 0.73")
    most_k: float = Field(gt=0, description="of the sum: evidence that is old enough is forgotten")
    smoothed: int = Field(ge=1, le=25, description="frames whose median rise is a level to grow from")


@dataclass
class _Memory:
    """What is remembered of one cell: bounded, however long a video is."""

    newest: deque[float]
    level: float = np.inf
    total: float = 0.0

    def push(self, rise: float, params: RuleParams) -> None:
        """Sum up the evidence of one frame more."""
        grown = rise - self.level if np.isfinite(self.level) else 0.0
        evidence = max(grown - params.growth_k, rise - params.standing_k)
        self.total = float(np.clip(self.total + evidence, 0.0, params.most_k))
        self.newest.append(rise)
        if len(self.newest) == params.smoothed:
            self.level = min(self.level, float(np.median(self.newest)))


@dataclass
class RuleMethod:
    """Looks at the frames of one camera; see `verdict.Method`.

    Attributes:
        params: of the rule.
    """

    params: RuleParams

    def __post_init__(self) -> None:
        self._memories: dict[int, _Memory] = {}
        self._sight = CellsInSight(self.params.cells)

    @property
    def width(self) -> int:
        """Values of its embeddings: a rise a cell."""
        return self.params.cells

    def push(self, thermal: Thermal) -> FrameView:
        """What the rule tells of the next frame."""
        count = self.params.cells
        cells = self._sight.push(thermal)
        if isinstance(cells, str):
            return FrameView(cells, count=count)
        looks = self._looks(thermal, cells)
        if not looks:
            return FrameView("pack_out_of_view", count=count)
        rises = rises_of({number: look.contrast_k for number, look in looks.items()})
        views = {self._sight.number(number): (rises[number], look) for number, look in looks.items()}
        sure = cells.told >= count - 1  # else a warm spot may be counted to the wrong side of a border
        told = {cell: self._told(cell, rise if sure else None, look) for cell, (rise, look) in views.items()}
        embedding = tuple(rises.get(number, 0.0) for number in range(1, count + 1))
        return FrameView("", told, count, embedding)

    def _looks(self, thermal: Thermal, cells: Cells) -> dict[int, _Look]:
        """The cells that are seen well enough, by their number from the left of the picture."""
        sizes = np.bincount(cells.labels.ravel(), minlength=self.params.cells + 1)[1:]
        least = max(self.params.least_px, self.params.least_share * int(sizes.max()))
        found = {}
        for number in np.flatnonzero(sizes >= least) + 1:
            mask = cells.mask(int(number))
            kelvin = thermal.kelvin[mask & thermal.valid]
            if len(kelvin) >= self.params.least_px:
                low, high = np.percentile(kelvin, [50.0, self.params.percentile])
                found[int(number)] = _Look(mask, float(high), float(high - low))
        return found

    def _told(self, cell: int, rise: float | None, look: _Look) -> CellView:
        memory = self._memories.setdefault(cell, _Memory(deque(maxlen=self.params.smoothed)))
        if rise is not None:
            memory.push(rise, self.params)
        off = (memory.total - self.params.decision_k) / self.params.softness_k
        return CellView(float(1 / (1 + np.exp(-off))), look.kelvin, look.mask)


@dataclass(frozen=True)
class _Look:
    """One cell in one frame: where it is, its warmest place, and how far that stands out of it."""

    mask: NDArray[np.bool_]
    kelvin: float
    contrast_k: float


def rises_of(contrasts_k: Mapping[int, float]) -> dict[int, float]:
    """Cell -> its contrast less that of its siblings, of which the lower half counts: several may be faulty."""
    rises = {}
    for cell, contrast in contrasts_k.items():
        others = [value for other, value in contrasts_k.items() if other != cell]
        rises[cell] = contrast - float(np.quantile(others, 0.25)) if others else contrast
    return rises
