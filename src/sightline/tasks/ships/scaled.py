"""A raster at the network's scale, part by part: nothing depends on how it is cut or stored."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.raster import Hide, Pixels, Read


@dataclass(frozen=True)
class Scaled:
    """A raster in another size.

    Attributes:
        read: gives any part of it.
        native: (h, w) of the raster.
        size: (h, w) of the scaled one, whole pixels.
        hidden: tells where a part of it shows nothing; None where all of it shows something.
    """

    read: Read
    native: tuple[int, int]
    size: tuple[int, int]
    hidden: Hide | None = None

    @classmethod
    def to(cls, read: Read, native: tuple[int, int], factor: float, hidden: Hide | None = None) -> Scaled:
        """Scaled by a factor, to whole pixels."""
        height, width = (max(round(side * factor), 1) for side in native)
        return cls(read, native, (height, width), hidden)

    @property
    def factors(self) -> tuple[float, float]:
        """Scaled pixels a native pixel, along y and x."""
        return self.size[0] / self.native[0], self.size[1] / self.native[1]

    def part(self, top: int, left: int, height: int, width: int) -> Pixels:
        """(height, width, 3) of scaled pixels; beyond the raster it is reflected at its last pixels."""
        rows, columns = _reflected(top, height, self.size[0]), _reflected(left, width, self.size[1])
        first, start = int(rows.min()), int(columns.min())
        inside = self._inside(first, start, int(rows.max()) + 1 - first, int(columns.max()) + 1 - start)
        if inside.shape[:2] == (height, width) and rows[0] <= rows[-1] and columns[0] <= columns[-1]:
            return inside
        return np.ascontiguousarray(inside[rows - first][:, columns - start])

    def hidden_part(self, top: int, left: int, height: int, width: int) -> NDArray[np.bool_] | None:
        """(height, width), True where the nearest pixel shows nothing; None where all of them show something."""
        if self.hidden is None:
            return None
        rows = self._nearest(_reflected(top, height, self.size[0]), 0)
        columns = self._nearest(_reflected(left, width, self.size[1]), 1)
        first, start = int(rows.min()), int(columns.min())
        inside = self.hidden(first, start, int(rows.max()) + 1 - first, int(columns.max()) + 1 - start)
        part = inside[rows - first][:, columns - start]
        return part if part.any() else None

    def hides(self, x: float, y: float) -> bool:
        """Whether the pixel at a place shows nothing."""
        if self.hidden is None:
            return False
        column, row = (int(np.clip(place, 0, side - 1)) for place, side in zip((x, y), self.size[::-1], strict=True))
        return self.hidden_part(row, column, 1, 1) is not None

    def _nearest(self, scaled: NDArray[np.intp], axis: int) -> NDArray[np.intp]:
        """Native pixels under the middles of scaled ones."""
        native = ((scaled + 0.5) / self.factors[axis]).astype(np.intp)
        return np.minimum(native, self.native[axis] - 1)

    def _inside(self, top: int, left: int, height: int, width: int) -> Pixels:
        """A part that lies within the raster: bicubic, and without aliases where it is made smaller."""
        from PIL import Image

        if self.size == self.native:
            return self.read(top, left, height, width)
        down, across = self.factors
        y0, y1, first, end = _support(top, height, down, self.native[0])
        x0, x1, start, stop = _support(left, width, across, self.native[1])
        source = Image.fromarray(np.ascontiguousarray(self.read(first, start, end - first, stop - start)))
        box = (x0 - start, y0 - first, x1 - start, y1 - first)
        return np.asarray(source.resize((width, height), Image.Resampling.BICUBIC, box=box))


def _support(start: int, length: int, factor: float, size: int) -> tuple[float, float, int, int]:
    """Where scaled pixels begin and end on the native axis, and which native pixels a bicubic of them takes."""
    low, high = start / factor, min((start + length) / factor, float(size))
    margin = math.ceil(2 * max(1 / factor, 1)) + 1
    return low, high, max(math.floor(low) - margin, 0), min(math.ceil(high) + margin, size)


def _reflected(start: int, length: int, size: int) -> NDArray[np.intp]:
    """Indices start .. start + length - 1 of an axis of `size`, turned back at its ends as often as it takes."""
    period = max(2 * (size - 1), 1)
    beyond = np.arange(start, start + length) % period
    return np.minimum(beyond, period - beyond) if size > 1 else np.zeros(length, dtype=np.intp)
