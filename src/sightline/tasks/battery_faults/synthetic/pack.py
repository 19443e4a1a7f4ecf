"""The geometry of a pack: cells side by side, tabs on their upper edge, busbars from tab to tab.

x runs to the right, y upwards, z towards a viewer of the front. The pack stands on y = 0, its middle at x = z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen

Kind = Literal["cell", "tab", "busbar", "object"]


class PackParams(Frozen):
    """From what geometries packs are drawn. Pairs are the bounds of a uniform draw."""

    cells: int = Field(ge=1, le=12)
    width_m: tuple[float, float] = Field(description="of a cell")
    height_m: tuple[float, float]
    thickness_m: tuple[float, float]
    gap_m: tuple[float, float] = Field(description="between neighbours")
    tab_width: tuple[float, float] = Field(description="of a tab, as a share of the cell's width")
    tab_height_m: tuple[float, float] = Field(description="how far it stands out of the cell")
    tab_inset: tuple[float, float] = Field(description="from the cell's side, as a share of its width")
    tab_thickness: tuple[float, float] = Field(description="as a share of the cell's thickness")
    busbar_m: tuple[float, float] = Field(description="height of the strip between two tabs")


@dataclass(frozen=True)
class Box:
    """One part of a pack.

    Attributes:
        kind: what it is; `object` is something that stands in the way.
        cell: the cell that it is or belongs to, 1 .. from the left; 0 where it belongs to none.
        low, high: opposite corners (x, y, z), metres.
    """

    kind: Kind
    cell: int
    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @property
    def size(self) -> tuple[float, float, float]:
        """(x, y, z), metres."""
        x, y, z = (float(b - a) for a, b in zip(self.low, self.high, strict=True))
        return x, y, z


@dataclass(frozen=True)
class Pack:
    """A pack of equal cells in a row.

    Attributes:
        name: of the geometry; packs of one name are alike.
        cells: how many.
        cell_m: (x, y, z) size of a cell.
        gap_m: between neighbours.
        tab_m: (x, y, z) size of a tab.
        inset_m: from the side of a cell to its tab.
        busbar_m: height of the strips that join the tabs of neighbours.
    """

    name: str = "nominal"
    cells: int = 3
    cell_m: tuple[float, float, float] = (0.145, 0.192, 0.0075)
    gap_m: float = 0.010
    tab_m: tuple[float, float, float] = (0.029, 0.012, 0.0045)
    inset_m: float = 0.016
    busbar_m: float = 0.004

    @property
    def width_m(self) -> float:
        """Of all cells with their gaps."""
        return self.cells * self.cell_m[0] + (self.cells - 1) * self.gap_m

    @property
    def middle_m(self) -> tuple[float, float, float]:
        """Where a camera aims."""
        return 0.0, (self.cell_m[1] + self.tab_m[1]) / 2, 0.0

    def left_m(self, cell: int) -> float:
        """Where along x a cell begins; cells are counted from 1."""
        return -self.width_m / 2 + (cell - 1) * (self.cell_m[0] + self.gap_m)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All parts: the cells first, then two tabs a cell (left, right), then the strips from left to right."""
        cells, tabs = [], []
        for number in range(1, self.cells + 1):
            left, (width, height, thickness) = self.left_m(number), self.cell_m
            cells.append(Box("cell", number, (left, 0, -thickness / 2), (left + width, height, thickness / 2)))
            tabs += [self._tab(number, right) for right in (False, True)]
        strips = [self._strip(tabs[2 * k + 1], tabs[2 * k + 2]) for k in range(self.cells - 1)]
        return (*cells, *tabs, *strips)

    def _tab(self, cell: int, right: bool) -> Box:
        """Those at the ends of the row are the pack's terminals, and lower by the strip that they do not carry."""
        width, height, thickness = self.tab_m
        left = self.left_m(cell)
        x = left + self.cell_m[0] - self.inset_m - width if right else left + self.inset_m
        terminal = cell == self.cells if right else cell == 1
        top = self.cell_m[1] + height + (0 if terminal else self.busbar_m)
        return Box("tab", cell, (x, self.cell_m[1], -thickness / 2), (x + width, top, thickness / 2))

    def _strip(self, left: Box, right: Box) -> Box:
        low = (left.high[0], left.high[1] - self.busbar_m, left.low[2])
        return Box("busbar", 0, low, (right.low[0], right.high[1], right.high[2]))


def draw_pack(rng: np.random.Generator, params: PackParams, name: str) -> Pack:
    """A geometry within the bounds."""
    width, height, thickness = (
        float(rng.uniform(*bounds)) for bounds in (params.width_m, params.height_m, params.thickness_m)
    )
    tab = (
        float(rng.uniform(*params.tab_width)) * width,
        float(rng.uniform(*params.tab_height_m)),
        float(rng.uniform(*params.tab_thickness)) * thickness,
    )
    return Pack(
        name=name,
        cells=params.cells,
        cell_m=(width, height, thickness),
        gap_m=float(rng.uniform(*params.gap_m)),
        tab_m=tab,
        inset_m=float(rng.uniform(*params.tab_inset)) * width,
        busbar_m=float(rng.uniform(*params.busbar_m)),
    )


def overlap(low: float, high: float, edges: NDArray[np.floating]) -> NDArray[np.floating]:
    """Length of [low, high] in each of the intervals between `edges` (n + 1,), (n,)."""
    return np.asarray(np.clip(np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1]), 0, None))
