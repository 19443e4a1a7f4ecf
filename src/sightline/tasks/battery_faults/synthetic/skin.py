"""Temperatures on the faces of a pack, and what a view shows of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.synthetic.camera import SIDES, View
from sightline.tasks.battery_faults.synthetic.heat import Heat
from sightline.tasks.battery_faults.synthetic.pack import Box
from sightline.tasks.battery_faults.synthetic.rays import Rays, bundle

Kelvin = NDArray[np.float32]


class Skin:
    """The faces of a pack's boxes as grids of temperatures, one after another in one array.

    `boxes` are the pack's and what stands in the way; `owners` says of each, and of nothing (last), whose cell it is.

    A cell's faces have the simulation's volumes, a tab has one temperature, a strip as many as it has parts along x.
    Things that stand in the way come after the pack's boxes, with one temperature each.
    """

    def __init__(self, heat: Heat, objects: tuple[tuple[Box, float], ...] = ()) -> None:
        pack = heat.case.pack
        self._heat = heat
        self._objects = np.array([kelvin for _, kelvin in objects], dtype=np.float32)
        self.boxes = (*pack.boxes, *(box for box, _ in objects))
        self.owners = np.array([*(box.cell for box in self.boxes), 0], dtype=np.uint8)
        columns, rows, layers = heat.shape[3], heat.shape[2], heat.shape[1]
        counts = {"cell": (columns, rows, layers), "busbar": (heat.parts_a_strip, 1, 1)}
        shapes = np.array(
            [[_grid(counts.get(box.kind, (1, 1, 1)), axis) for axis in (0, 0, 1, 1, 2, 2)] for box in self.boxes]
        )
        sizes = np.array([[_lengths(box, axis) for axis in (0, 0, 1, 1, 2, 2)] for box in self.boxes])
        self._shape = shapes.reshape(-1, 2).astype(np.int32)
        self._per_m = (shapes.reshape(-1, 2) / sizes.reshape(-1, 2)).astype(np.float32)
        self._first = self._places(shapes)

    def _places(self, shapes: NDArray[np.int_]) -> NDArray[np.int32]:
        """Where in `temperatures` each face begins: cells' faces by side, then the other boxes, one grid each."""
        cells = self._heat.shape[0]
        sizes = shapes.prod(axis=2)
        first = np.zeros(sizes.shape, dtype=int)
        ends = np.cumsum(np.repeat(sizes[0], cells))
        first[:cells] = np.concatenate([[0], ends[:-1]]).reshape(6, cells).T
        others = sizes[cells:].max(axis=1)
        first[cells:] = (ends[-1] + np.concatenate([[0], np.cumsum(others)[:-1]]))[:, None]
        return first.ravel().astype(np.int32)

    def temperatures(self) -> Kelvin:
        """Of all faces now."""
        surfaces = [grid.ravel() for grid in self._heat.surfaces()]
        return np.concatenate([*surfaces, self._heat.metal.astype(np.float32), self._objects])

    def sample(self, temperatures: Kelvin, rays: Rays) -> Kelvin:
        """What each ray meets, (n,), linear between volumes."""
        face = rays.face
        rows, columns = self._shape[face, 0], self._shape[face, 1]
        row = _clipped(rays.row_m * self._per_m[face, 0], rows)
        column = _clipped(rays.column_m * self._per_m[face, 1], columns)
        upper, left = row.astype(np.int32), column.astype(np.int32)
        row, column = row - upper, column - left
        right, down = (left < columns - 1).astype(np.int32), np.where(upper < rows - 1, columns, 0)
        place = self._first[face] + upper * columns + left
        above = temperatures[place] * (1 - column) + temperatures[place + right] * column
        place += down
        below = temperatures[place] * (1 - column) + temperatures[place + right] * column
        return np.asarray(above * (1 - row) + below * row, dtype=np.float32)

    def highest(self, rises: Kelvin, view: View, cells: int) -> NDArray[np.float64]:
        """(cells,) of rises of all faces, the highest that a view shows on each cell's own; 0 where it shows none."""
        rays = bundle(view, 1)
        own = np.array([box.cell if box.kind == "cell" else 0 for box in self.boxes])
        found = np.zeros(cells + 1)
        np.maximum.at(found, own[rays.face // 6], self.sample(rises, rays))
        return found[1:]


def _grid(counts: tuple[int, int, int], axis: int) -> tuple[int, int]:
    rows, columns = SIDES[axis]
    return counts[rows], counts[columns]


def _lengths(box: Box, axis: int) -> tuple[float, float]:
    rows, columns = SIDES[axis]
    return box.size[rows], box.size[columns]


def _clipped(place: Kelvin, count: NDArray[np.int32]) -> Kelvin:
    """Places counted from the middle of the first volume to that of the last."""
    return np.asarray(np.minimum(np.maximum(place - np.float32(0.5), 0), (count - 1).astype(np.float32)))
