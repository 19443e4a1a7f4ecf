"""The plain candidate: each cell against itself and its siblings, summed up over time. Nothing is learned but its
calibration and two thresholds.

What each place of a cell's surface reads now, less the least that it has read before, is its growth. Sunlight,
reflections, uneven cells and things in the way are there from the start, are wider or narrower than the heat of a
short, or move on: from the growth a surface of second order is taken away, what is narrow is cut off, and it must stay
for some frames. Less the growth of the siblings it is evidence of a short. A warm spot that was there from the first
frame on must be much larger to count. Evidence is summed by CUSUM (Page, 1954): what exceeds a reference adds up, what
stays below takes away. The sum tells the probability, and where it last was nothing tells when the fault began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.tasks.battery_faults.geometry import Cells
from sightline.tasks.battery_faults.order import CellsInSight
from sightline.tasks.battery_faults.surface import Surface, levelled, opened, smoothed, surface_of, without_hidden
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.tasks.battery_faults.verdict import CellView, FrameView

_RIM = (3, 2)  # places at a cell's borders, above and below and at its sides, that its neighbours and tabs reach
_LEAST_TOLD = 0.3  # of a surface
_NONE_K = 1e-3  # of evidence


class RuleParams(Frozen):
    """What the rule goes by; growth is in kelvin."""

    cells: int = Field(ge=1, le=12, description="of a pack")
    percentile: float = Field(gt=50, lt=100, description="of a cell's places: its warmest one")
    least_px: int = Field(ge=1, description="of a cell, to be looked at")
    least_share: float = Field(gt=0, lt=1, description="of the largest cell's pixels, the same")
    spot: float = Field(gt=0, lt=1, description="least width of the heat of a short, over a cell's width")
    hidden_k: float = Field(gt=0, description="colder than the cell: something stands in the way")
    misplaced_k: float = Field(gt=0, description="median change of a surface, from which on it is another place's")
    growth_k: float = Field(gt=0, description="reference of a growth")
    standing_k: float = Field(gt=0, description="reference of a warm spot that was always there")
    decision_k: float = Field(gt=0, description="sum of the evidence at which a fault is as likely as not")
    steepness: float = Field(gt=0, description="log odds of a sum that is e times as large")
    most_k: float = Field(gt=0, description="of the sum: evidence that is old enough is forgotten")
    smoothed: int = Field(ge=1, le=25, description="frames whose median is a level to grow from")
    lasting: int = Field(ge=1, le=25, description="frames in which a place must have grown")


class Side:
    """What one side of a cell looked like: bounded, however long a video is."""

    def __init__(self, params: RuleParams) -> None:
        self._params = params
        self.newest: deque[Surface] = deque(maxlen=params.smoothed)
        self.grown: deque[Surface] = deque(maxlen=params.lasting)
        self.strayed: deque[Surface] = deque(maxlen=params.smoothed)
        self.level: Surface | None = None

    def push(self, surface: Surface) -> float:
        """Growth that has lasted, at the place where it is largest."""
        params = self._params
        if self.level is not None:
            growth = levelled(surface - self.level)
            told = np.abs(growth[np.isfinite(growth)])
            if not told.size or float(np.median(told)) > params.misplaced_k:
                self._stray(surface)
                return 0.0
            self.strayed.clear()
            self.grown.append(opened(growth, params.spot))
        self.newest.append(surface)
        if len(self.newest) == params.smoothed:
            level = _median(self.newest)
            self.level = level if self.level is None else np.fmin(self.level, level)
        if len(self.grown) < params.lasting:
            return 0.0
        return _highest(np.minimum.reduce(list(self.grown)), params.percentile)

    def _stray(self, surface: Surface) -> None:
        """Begin anew where surfaces stay another place's: then it was the level that had been cut wrong."""
        self.strayed.append(surface)
        if len(self.strayed) == self._params.smoothed:
            self.level = _median(self.strayed)
            self.newest = self.strayed.copy()
            self.strayed.clear()
            self.grown.clear()


@dataclass
class _Memory:
    """What is remembered of one cell; `quiet`: the newest frame at which there was no evidence."""

    sides: dict[bool, Side] = field(default_factory=dict)
    total: float = 0.0
    quiet: int = 0

    def push(self, evidence: float, frame: int, params: RuleParams) -> None:
        """Sum up the evidence of one frame more."""
        self.total = float(np.clip(self.total + evidence, 0.0, params.most_k))
        if not self.total:
            self.quiet = frame


@dataclass
class RuleMethod:
    """Looks at the frames of one camera; see `verdict.Method`.

    Attributes:
        params: of the rule.
    """

    params: RuleParams

    def __post_init__(self) -> None:
        self._memories: dict[int, _Memory] = {}
        self._frame = 0
        self._sight = CellsInSight(self.params.cells)

    @property
    def width(self) -> int:
        """Values of its embeddings: a growth a cell."""
        return self.params.cells

    def push(self, thermal: Thermal) -> FrameView:
        """What the rule tells of the next frame."""
        count = self.params.cells
        self._frame += 1
        cells = self._sight.push(thermal)
        if isinstance(cells, str):
            return FrameView(cells, count=count)
        looks = self._looks(thermal, cells)
        if not looks:
            return FrameView("pack_out_of_view", count=count)
        growths = over_siblings({cell: look.growth_k for cell, look in looks.items()})
        standing = over_siblings({cell: look.standing_k for cell, look in looks.items()})
        if cells.told >= count - 1:  # all borders were seen: else a warm spot may be counted to the wrong side of one
            for cell in looks:
                evidence = max(growths[cell] - self.params.growth_k, standing[cell] - self.params.standing_k)
                self._memories[cell].push(evidence, self._frame, self.params)
        told = {cell: self._told(cell, look) for cell, look in looks.items()}
        embedding = tuple(growths.get(cell, 0.0) for cell in range(1, count + 1))
        return FrameView("", told, count, embedding)

    def _looks(self, thermal: Thermal, cells: Cells) -> dict[int, _Look]:
        """The cells that are seen well enough, by their number."""
        sizes = np.bincount(cells.labels.ravel(), minlength=self.params.cells + 1)[1:]
        least = max(self.params.least_px, self.params.least_share * int(sizes.max()))
        found = {}
        for label in np.flatnonzero(sizes >= least) + 1:
            mask = cells.mask(int(label))
            kelvin = thermal.kelvin[mask & thermal.valid]
            if len(kelvin) >= self.params.least_px:
                cell = self._sight.number(int(label))
                growth, standing = self._growth(cell, self._surface(thermal, cells, int(label)))
                found[cell] = _Look(mask, float(np.percentile(kelvin, self.params.percentile)), growth, standing)
        return found

    def _surface(self, thermal: Thermal, cells: Cells, label: int) -> Surface | None:
        """What is told of a cell's surface, over its median; None where that is too little."""
        if cells.pose is not None and not cells.pose.sure:
            return None
        found = surface_of(thermal, cells, label, self._sight.from_behind)
        if found is None:
            return None
        rows, columns = _RIM
        found[:rows] = found[-rows:] = found[:, :columns] = found[:, -columns:] = np.nan
        if np.isfinite(found).mean() < _LEAST_TOLD:
            return None
        found = without_hidden(found, self.params.hidden_k)
        if np.isfinite(found).mean() < _LEAST_TOLD:
            return None
        return smoothed(found) - np.float32(np.nanmedian(found))

    def _growth(self, cell: int, surface: Surface | None) -> tuple[float, float]:
        """How much a cell has grown warm at one place, and how much one place was always warmer."""
        memory = self._memories.setdefault(cell, _Memory())
        if surface is None:
            return 0.0, 0.0
        params, behind = self.params, self._sight.from_behind
        if behind not in memory.sides:
            memory.sides[behind] = Side(params)
        growth = memory.sides[behind].push(surface)
        return growth, _highest(opened(levelled(surface), params.spot), params.percentile)

    def _told(self, cell: int, look: _Look) -> CellView:
        """By the cell's evidence: it has no bound, so that strong and stronger evidence stay apart."""
        memory = self._memories[cell]
        ratio = max(memory.total, _NONE_K) / self.params.decision_k
        probability = float(1 / (1 + ratio**-self.params.steepness))
        building = self._frame - memory.quiet if memory.total else 0
        return CellView(probability, look.kelvin, look.mask, building=building)


@dataclass(frozen=True)
class _Look:
    """One cell in one frame: where it is, its warmest place, and how far a spot stands out of it."""

    mask: NDArray[np.bool_]
    kelvin: float
    growth_k: float
    standing_k: float


def _median(surfaces: deque[Surface]) -> Surface:
    """Of each place; NaN where it was not told in all of them."""
    return np.median(np.stack(surfaces), axis=0)


def _highest(surface: Surface, percentile: float) -> float:
    told = surface[np.isfinite(surface)]
    return float(np.percentile(told, percentile)) if told.size else 0.0


def over_siblings(values: Mapping[int, float]) -> dict[int, float]:
    """Cell -> its value less that of its siblings, of which the lower half counts: several may be faulty."""
    over = {}
    for cell, value in values.items():
        others = [one for other, one in values.items() if other != cell]
        over[cell] = value - float(np.quantile(others, 0.25)) if others else value
    return over
