"""Grid units: the coordinates of Dstl's polygons, and `grid_sizes.csv` that says how large a tile is in them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.listing import read_text

if TYPE_CHECKING:
    from shapely import Geometry

AnyGeometry = TypeVar("AnyGeometry", bound="Geometry")


@dataclass(frozen=True)
class Grid:
    """How large a tile is in grid units: x from 0 to `x_max`, y from 0 down to `y_min`, which is negative."""

    x_max: float
    y_min: float

    def pixel_units(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Pixels per grid unit, right and down, of a raster of `shape` (h, w): W' / Xmax and H' / Ymin.

        W' = w w / (w + 1), H' = h h / (h + 1), as the competition's own tutorial has it. The second is negative.
        """
        height, width = shape
        return width * width / (width + 1) / self.x_max, height * height / (height + 1) / self.y_min

    def to_pixels(self, shape: AnyGeometry, size: tuple[int, int]) -> AnyGeometry:
        """A geometry in grid units -> in pixels of a raster of `size` (h, w)."""
        return _scaled(shape, *self.pixel_units(size))

    def from_pixels(self, shape: AnyGeometry, size: tuple[int, int]) -> AnyGeometry:
        """A geometry in pixels of a raster of `size` (h, w) -> in grid units."""
        right, down = self.pixel_units(size)
        return _scaled(shape, 1 / right, 1 / down)


def _scaled(shape: AnyGeometry, x: float, y: float) -> AnyGeometry:
    import shapely

    factors = np.array([x, y])

    def scale(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(points * factors)

    scaled: AnyGeometry = shapely.transform(shape, scale)
    return scaled


@dataclass(frozen=True)
class GridSizes:
    """What a `grid_sizes*.csv` says.

    Attributes:
        grids: image id -> its grid.
        problems: image id -> why its row cannot be used; names the line and the field.
    """

    grids: Mapping[str, Grid]
    problems: Mapping[str, str]


def read_grid_sizes(path: Path) -> GridSizes:
    """The grids of all images of a table. The columns are told by position: the header's first name is empty.

    Raises:
        DataRejected: the file is no table; names it.
    """
    grids: dict[str, Grid] = {}
    problems: dict[str, str] = {}
    try:
        for number, row in enumerate(csv.reader(io.StringIO(read_text(path, _MOST_BYTES), newline="")), start=1):
            if number == 1 or not row:
                continue
            try:
                grid = _read_grid(row, f"{path}: line {number}", grids.keys() | problems.keys())
                grids[row[0]] = grid
            except DataRejected as error:
                problems.setdefault(row[0], str(error))
    except csv.Error as error:
        raise DataRejected(f"this is not a table ({error})", where=path, way_out=_COPY_AGAIN) from error
    return GridSizes({name: grid for name, grid in grids.items() if name not in problems}, problems)


_MOST_BYTES = 64 * 2**20
_COPY_AGAIN = "Copy grid_sizes.csv of the competition again: a header, then id, Xmax, Ymin."


def _read_grid(row: list[str], where: str, known: AbstractSet[str]) -> Grid:
    if len(row) != 3 or row[0] in known:
        what = "an image occurs twice" if len(row) == 3 else f"{len(row)} fields, not 3"
        raise DataRejected(what, where=where, way_out=_COPY_AGAIN)
    values = []
    for field, text, sign in (("Xmax", row[1], 1), ("Ymin", row[2], -1)):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and sign * value > 0):
            kind = "positive" if sign > 0 else "negative"
            raise DataRejected(f"{text!r} is not a {kind} number", where=f"{where}, {field}", way_out=_COPY_AGAIN)
        values.append(value)
    return Grid(*values)
