"""The temperature of a photovoltaic module, healthy or not: a steady thin-plate heat balance.

    div(k t grad T) - U (T - Ta) + G + q_hot = 0        U = 25 + 6.84 v W/m2K (Faiman 2008)

solved by finite volumes on a grid that resolves cells, the gaps between them and the frame. The balance is linear in
its sources, so each module is a sum of responses that are solved once: to the sun, to 1 W in each cell, to 1 W in the
junction box.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen

if TYPE_CHECKING:
    from scipy.sparse import csc_array

Array = NDArray[np.float64]


class HeatParams(Frozen):
    """Physics of a module. Lengths in metres; `sheet` is conductivity times thickness, W/K."""

    rows: int = Field(ge=2, description="cells along the module")
    columns: int = Field(ge=3, description="cells across the module")
    cell_m: float = Field(gt=0, description="side of a cell")
    gap_m: float = Field(gt=0, description="between cells")
    margin_m: float = Field(gt=0, description="laminate between the cells and the frame")
    frame_m: float = Field(gt=0, description="lip of the frame")
    sheet_cell_w_per_k: float = Field(gt=0, description="k t within a cell")
    sheet_gap_w_per_k: float = Field(gt=0, description="k t in gaps, margin and at the frame")
    loss_w_per_m2k: float = Field(gt=0, description="Faiman's U0")
    loss_wind_ws_per_m3k: float = Field(ge=0, description="Faiman's U1, times wind speed in m/s")
    frame_loss: float = Field(gt=0, description="the frame loses this many times as much heat as glass")
    frame_absorption: float = Field(ge=0, description="share of the sunlight that heats the frame")
    box_m: float = Field(gt=0, description="side of the junction box, behind the top middle cells")
    volumes_per_cell: int = Field(ge=1, description="finite volumes along a side of a cell")
    raster_m: float = Field(gt=0, description="pixel of the rendered module")


# ------------------------------------------------------------------------------------------------ heat balance


@dataclass(frozen=True)
class Plate:
    """A thin plate cut into ny x nx rectangular volumes; its edges are insulated.

    Attributes:
        widths_m: (nx,) and
        heights_m: (ny,) sides of the volumes.
        sheet_w_per_k: (ny, nx) conductivity times thickness.
        loss_w_per_m2k: (ny, nx) heat lost to the air, per kelvin above it.
    """

    widths_m: Array
    heights_m: Array
    sheet_w_per_k: Array
    loss_w_per_m2k: Array

    @property
    def areas_m2(self) -> Array:
        """(ny, nx)."""
        return np.outer(self.heights_m, self.widths_m)

    def rise(self, heat_w_per_m2: Array) -> Array:
        """Kelvin above the air, for one or more sources of heat (..., ny, nx)."""
        from scipy.sparse.linalg import splu

        shape = heat_w_per_m2.shape
        sources = (heat_w_per_m2 * self.areas_m2).reshape(-1, shape[-2] * shape[-1])
        return np.asarray(splu(self._matrix()).solve(sources.T)).T.reshape(shape)

    def _matrix(self) -> csc_array:
        """Conductances between neighbours (harmonic means of the half volumes) and losses, (n, n) CSC in W/K."""
        from scipy.sparse import coo_array

        number = np.arange(self.sheet_w_per_k.size).reshape(self.sheet_w_per_k.shape)
        across = self.widths_m / (2 * self.sheet_w_per_k)
        along = self.heights_m[:, None] / (2 * self.sheet_w_per_k)
        horizontal = self.heights_m[:, None] / (across[:, :-1] + across[:, 1:])
        vertical = self.widths_m / (along[:-1] + along[1:])
        here = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
        there = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
        flow = np.concatenate([horizontal.ravel(), vertical.ravel()])
        loss = (self.loss_w_per_m2k * self.areas_m2).ravel()
        rows = np.concatenate([here, there, here, there, number.ravel()])
        columns = np.concatenate([there, here, here, there, number.ravel()])
        values = np.concatenate([-flow, -flow, flow, flow, loss])
        return coo_array((values, (rows, columns)), shape=(number.size, number.size)).tocsc()


# ------------------------------------------------------------------------------------------------------ module


@dataclass(frozen=True)
class Sources:
    """Heat beyond the sun's that a module gets.

    Attributes:
        cells_w: (rows, columns) watts in each cell, the first row at the top.
        box_w: watts in the junction box.
    """

    cells_w: Array
    box_w: float = 0.0


class Module:
    """A module of one design in one wind; renders its temperature for any sources.

    `width_m` and `height_m` are its outer sides, frame included.
    """

    def __init__(self, params: HeatParams, wind_m_per_s: float) -> None:
        self.params = params
        self._columns, column_cell = _strips(params.columns, params)
        self._rows, row_cell = _strips(params.rows, params)
        self.width_m, self.height_m = float(self._columns.sum()), float(self._rows.sum())
        in_cell = (row_cell[:, None] >= 0) & (column_cell[None] >= 0)
        self._cell = np.where(in_cell, row_cell[:, None] * params.columns + column_cell[None], -1)
        frame = (row_cell[:, None] == _FRAME) | (column_cell[None] == _FRAME)
        loss = params.loss_w_per_m2k + params.loss_wind_ws_per_m3k * wind_m_per_s
        sheet = np.where(in_cell, params.sheet_cell_w_per_k, params.sheet_gap_w_per_k)
        self.plate = Plate(self._columns, self._rows, sheet, np.where(frame, loss * params.frame_loss, loss))
        self._sun = np.where(frame, params.frame_absorption, 1.0)

    @cached_property
    def _responses(self) -> tuple[Array, Array, Array]:
        """Kelvin by 1 W/m2 of sun (h, w), by 1 W in each cell (n, h, w) and by 1 W in the junction box (h, w)."""
        areas = self.plate.areas_m2
        count = self.params.rows * self.params.columns
        cells = np.array([(self._cell == k) / areas[self._cell == k].sum() for k in range(count)])
        box = self._box_mask() / areas[self._box_mask()].sum()
        rises = self._raster(self.plate.rise(np.concatenate([self._sun[None], cells, box[None]])))
        return rises[0], rises[1:-1], rises[-1]

    def _box_mask(self) -> NDArray[np.bool_]:
        x = np.cumsum(self._columns) - self._columns / 2 - self.width_m / 2
        y = np.cumsum(self._rows) - self._rows / 2 - self.params.cell_m * 0.75
        mask: NDArray[np.bool_] = np.maximum(np.abs(x)[None], np.abs(y)[:, None]) <= self.params.box_m / 2
        return mask

    def _raster(self, values: Array) -> Array:
        """Volumes (n, ny, nx) on a regular raster (n, h, w), linear between their centres."""
        across = _interpolation(self._columns, round(self.width_m / self.params.raster_m))
        along = _interpolation(self._rows, round(self.height_m / self.params.raster_m))
        return np.asarray(along @ values @ across.T)

    def rise(self, irradiance_w_per_m2: float, sources: Sources | None = None) -> Array:
        """Kelvin above the air, (h, w) at `raster_m` a pixel, the top of the module first."""
        sun, cells, box = self._responses
        rise = irradiance_w_per_m2 * sun
        if sources is not None:
            hot = np.flatnonzero(sources.cells_w)
            rise = rise + np.tensordot(sources.cells_w.ravel()[hot], cells[hot], axes=1) + sources.box_w * box
        return np.asarray(rise)


_GAP, _MARGIN, _FRAME = -1, -2, -3


def _strips(count: int, params: HeatParams) -> tuple[Array, NDArray[np.int64]]:
    """Sides of the volumes along one direction, and which cell (or `_GAP`, `_MARGIN`, `_FRAME`) each belongs to."""
    sides: list[float] = [params.frame_m, params.margin_m]
    owner: list[int] = [_FRAME, _MARGIN]
    for cell in range(count):
        sides += [params.cell_m / params.volumes_per_cell] * params.volumes_per_cell
        owner += [cell] * params.volumes_per_cell
        sides.append(params.gap_m)
        owner.append(_GAP)
    sides[-1:] = [params.margin_m, params.frame_m]
    owner[-1:] = [_MARGIN, _FRAME]
    return np.array(sides), np.array(owner)


def _interpolation(sides: Array, samples: int) -> Array:
    """(samples, n) weights from values at the centres of volumes to the means over `samples` equal pixels.

    Linear between the centres, then averaged over ten points a pixel: gaps are narrower than pixels.
    """
    centres = np.cumsum(sides) - sides / 2
    at = (np.arange(samples * 10) + 0.5) * (sides.sum() / (samples * 10))
    weights = np.stack([np.interp(at, centres, unit) for unit in np.eye(len(sides))], axis=1)
    return np.asarray(weights.reshape(samples, 10, len(sides)).mean(axis=1))
