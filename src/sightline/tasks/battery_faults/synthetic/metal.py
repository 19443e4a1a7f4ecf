"""Tabs and busbars as a network of volumes: a tab is one, the strip between two tabs is three in a row."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.synthetic.pack import Box, Pack

_PARTS = 3


@dataclass(frozen=True)
class Metal:
    """The network; tabs first, two a cell (left, right), then the parts of the strips from left to right.

    Attributes:
        capacity: (m,) J/K.
        area: (m,) m2 of free surface.
        conductance: (m, m) W/K; rows add up to 0.
        place: (m, 2) x and y of the middles, metres from the middle of the cells.
        strip: (m,) 1 for parts of strips, else 0.
        parts_a_strip: how many volumes a strip has.
    """

    capacity: NDArray[np.float64]
    area: NDArray[np.float64]
    conductance: NDArray[np.float64]
    place: NDArray[np.float64]
    strip: NDArray[np.float64]
    parts_a_strip: int = _PARTS


def metal_of(pack: Pack, conductivity: float, capacity: float) -> Metal:
    """The network of a pack, of a metal with this W/mK and J/m3K."""
    tabs = [box for box in pack.boxes if box.kind == "tab"]
    strips = [box for box in pack.boxes if box.kind == "busbar"]
    count = len(tabs) + _PARTS * len(strips)
    volume, area, matrix = np.zeros(count), np.zeros(count), np.zeros((count, count))
    for number, (x, y, z) in enumerate(box.size for box in tabs):
        volume[number] = x * y * z
        area[number] = 2 * (x + z) * y + x * z
    for number, (length, height, depth) in enumerate(box.size for box in strips):
        first, section, part = len(tabs) + _PARTS * number, height * depth, length / _PARTS
        volume[first : first + _PARTS] = section * part
        area[first : first + _PARTS] = 2 * (height + depth) * part
        left, right = 2 * number + 1, 2 * number + 2
        area[[left, right]] -= section
        tab = (part + pack.tab_m[0]) / 2
        _join(matrix, [left, *range(first, first + _PARTS), right], conductivity * section, [tab, part, part, tab])
    strip = (np.arange(count) >= len(tabs)).astype(np.float64)
    return Metal(capacity * volume, area, matrix, _places(tabs, strips, pack.cell_m[1] / 2), strip)


def _places(tabs: list[Box], strips: list[Box], middle_m: float) -> NDArray[np.float64]:
    """(n, 2) where the parts are along the row, and how far their lower edges are above the cells' middle."""
    parts = [*tabs, *(strip for strip in strips for _ in range(_PARTS))]
    return np.array([(box.low[0] + box.size[0] / 2, box.low[1] - middle_m) for box in parts])


def _join(matrix: NDArray[np.float64], chain: list[int], conductance: float, distances_m: list[float]) -> None:
    """Add what flows between neighbours of a chain, W/K, for a conductance in W m/K."""
    for (a, b), distance_m in zip(pairwise(chain), distances_m, strict=True):
        between = conductance / distance_m
        matrix[[a, b], [a, b]] += between
        matrix[[a, b], [b, a]] -= between
