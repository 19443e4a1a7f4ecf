"""Faults of photovoltaic modules, as heat sources of the balance in `simulation`."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from sightline.params import Frozen
from sightline.tasks.pv_hotspots.synthetic.simulation import Array, HeatParams, Sources

FaultKind = Literal["hot_cell", "hot_cells", "bypassed_third", "open_module", "soiling", "hot_box"]


class FaultParams(Frozen):
    """How often each fault occurs and how hot it gets."""

    shares: dict[FaultKind, float] = Field(description="relative frequency of each fault")
    cell_w: float = Field(gt=0, description="median heat in a hot cell")
    cell_spread: float = Field(ge=0, description="standard deviation of its logarithm")
    cell_range_w: tuple[float, float] = Field(description="bounds of it")
    top_row_share: float = Field(ge=0, le=1, description="hot cells beside the junction box's row")
    bypassed_k: tuple[float, float] = Field(description="rise of a bypassed third")
    open_k: float = Field(gt=0, description="rise of a module that delivers nothing")
    soiled_k: tuple[float, float] = Field(description="rise of soiled cells, at the lower edge")
    box_k: tuple[float, float] = Field(description="rise over a hot junction box")


def draw_fault(rng: np.random.Generator, params: FaultParams, heat: HeatParams, loss_w_per_m2k: float) -> Sources:
    """The heat sources of one fault of a random kind.

    `loss_w_per_m2k` is Faiman's U: it turns the rise wanted of whole cells into watts.
    """
    kinds = list(params.shares)
    weights = np.array([params.shares[kind] for kind in kinds])
    kind = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
    watts_per_k = loss_w_per_m2k * heat.cell_m**2
    cells = np.zeros((heat.rows, heat.columns))
    match kind:
        case "hot_cell" | "hot_cells":
            return Sources(_hot_cells(rng, params, cells, 1 if kind == "hot_cell" else int(rng.integers(2, 4))))
        case "hot_box":
            # A patch of the box's size loses heat to its surroundings too: hence the margin around it.
            return Sources(cells, rng.uniform(*params.box_k) * loss_w_per_m2k * (heat.box_m + 0.02) ** 2)
        case "bypassed_third":
            width = heat.columns // 3
            start = width * int(rng.integers(3))
            cells[:, start : start + width] = rng.uniform(*params.bypassed_k) * watts_per_k
        case "open_module":
            cells[:] = params.open_k * watts_per_k
        case "soiling":
            length = int(rng.integers(2, heat.columns + 1))
            start = int(rng.integers(0, heat.columns - length + 1))
            rises = rng.uniform(*params.soiled_k) * rng.uniform(0.6, 1.0, length)
            cells[-1, start : start + length] = rises * watts_per_k
    return Sources(cells)


def _hot_cells(rng: np.random.Generator, params: FaultParams, cells: Array, count: int) -> Array:
    """One cell, or neighbours in a row: cells of one string suffer together."""
    row = 0 if rng.random() < params.top_row_share else int(rng.integers(cells.shape[0]))
    start = int(rng.integers(0, cells.shape[1] - count + 1))
    watts = params.cell_w * np.exp(params.cell_spread * rng.standard_normal())
    cells[row, start : start + count] = np.clip(watts * rng.uniform(0.6, 1.0, count), *params.cell_range_w)
    return cells
