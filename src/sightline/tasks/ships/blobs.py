"""The plain baseline: blobs that are brighter or darker than the sea around them, and as long as a vessel. No learning.

The sea's level and spread are the median and the median absolute deviation of the water (`water`) in squares,
interpolated between them. What hangs together with the land is longer or broader than a vessel. How many spreads a blob
must stand out by is the only thing that is fitted (`calibrate.fit_blobs`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import OnProgress
from sightline.stopping import check
from sightline.tasks.ships.detections import Detection
from sightline.tasks.ships.scaled import Scaled
from sightline.tasks.ships.water import Water

NOTHING = -2.0
"""The logit where there is no blob: less than of any that stands out."""

_SQUARES = 8
_MARGIN = 2
_LEAST_WATER_PX = 64
_AROUND_PX = 8
_WATER_SHARE = 0.5  # of what is around a vessel, at least

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Rule:
    """Which blobs are ships; lengths in pixels.

    Attributes:
        sea_px: side of the squares in which the sea is measured.
        deviations: least contrast, in spreads of the sea.
        length_px, elongation: bounds of the rectangle around a blob.
        fill: least share of it that the blob covers.
    """

    sea_px: int
    deviations: float
    length_px: tuple[float, float]
    elongation: tuple[float, float]
    fill: float

    def find(self, raster: Scaled, water: Water, on_progress: OnProgress | None = None) -> list[Detection]:
        """All blobs of a raster in its water; the score is the logarithm of their mean contrast over the least one.

        `on_progress` is called with the squares that are done, and with all; what it raises ends the search.
        """
        found: list[Detection] = []
        tiles = list(self._tiles(raster.size))
        for number, (top, left) in enumerate(tiles, start=1):
            found.extend(self._in_tile(raster, water, top, left))
            if on_progress is not None:
                on_progress(number, len(tiles))
        return found

    def _tiles(self, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
        step = _SQUARES * self.sea_px
        for top in range(0, size[0], step):
            for left in range(0, size[1], step):
                yield top, left

    def _in_tile(self, raster: Scaled, water: Water, top: int, left: int) -> Iterator[Detection]:
        """Blobs whose middle lies in a tile; the squares around it are looked at too."""
        check()
        margin, side = _MARGIN * self.sea_px, _SQUARES * self.sea_px
        height, width = (min(side, size - start) for size, start in zip(raster.size, (top, left), strict=True))
        rows, columns = (2 * margin + -(-length // self.sea_px) * self.sea_px for length in (height, width))
        window = top - margin, left - margin, rows, columns
        wet = water.part(*window)
        contrast = sea_contrast(raster.part(*window), self.sea_px, wet)
        if (hidden := raster.hidden_part(*window)) is not None:
            contrast[hidden] = 0
        for one in self._blobs(contrast, wet):
            if 0 <= one.x - margin < width and 0 <= one.y - margin < height:
                shift = np.array([left - margin, top - margin])
                yield Detection(one.x + shift[0], one.y + shift[1], one.score, one.corners + shift)

    def _blobs(self, contrast: NDArray[np.float32], water: NDArray[np.bool_]) -> Iterator[Detection]:
        """What stands out of a map of contrast, has water around it and the shape of a vessel."""
        import cv2

        mask = (contrast >= self.deviations).astype(np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        low, high = self.length_px
        for index in range(1, count):
            left, top, width, height, area = (int(value) for value in statistics[index])
            if max(width, height) > high or np.hypot(width, height) < low or area < low * low / self.elongation[1] / 2:
                continue
            part = slice(top, top + height), slice(left, left + width)
            inside = labels[part] == index
            rows, columns = np.nonzero(inside)
            corners = rectangle_around(np.stack([columns + left + 0.5, rows + top + 0.5], axis=1))
            length, beam = (float(np.linalg.norm(corners[k + 1] - corners[k])) + 1 for k in (0, 1))
            fits = low <= length <= high and self.elongation[0] <= length / beam <= self.elongation[1]
            grown = tuple(slice(max(one.start - _AROUND_PX, 0), one.stop + _AROUND_PX) for one in part)
            afloat = fits and _water_share(labels[grown] == index, water[grown]) >= _WATER_SHARE
            if afloat and area >= self.fill * length * beam:
                x, y = corners.mean(axis=0)
                yield Detection(
                    float(x), float(y), float(np.log(contrast[part][inside].mean() / self.deviations)), corners
                )


def rectangle_around(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 2) of the smallest rectangle around points (n, 2), the first side the longer one."""
    import cv2

    corners = np.asarray(cv2.boxPoints(cv2.minAreaRect(points.astype(np.float32))), dtype=np.float64)
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    return corners if sides[0] >= sides[1] else np.roll(corners, -1, axis=0)


def sea_contrast(pixels: Pixels, sea_px: int, water: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(h, w) spreads off the level of the water, the largest over the colours; sides are multiples of `sea_px`.

    A square without water has the level of all the water; 0 where there is none at all.
    """
    import cv2

    height, width = pixels.shape[:2]
    if not water.any():
        return np.zeros((height, width), dtype=np.float32)
    shape = (height // sea_px, sea_px, width // sea_px, sea_px)
    squares, wet = pixels.reshape(*shape, 3), water.reshape(shape)
    level = np.full((shape[0], shape[2], 3), np.nan, dtype=np.float32)
    spread = level.copy()
    for row, column in np.argwhere(wet.sum(axis=(1, 3)) >= _LEAST_WATER_PX):
        values = squares[row, :, column][wet[row, :, column]].astype(np.float32)
        level[row, column] = np.median(values, axis=0)
        spread[row, column] = np.maximum(1.4826 * np.median(np.abs(values - level[row, column]), axis=0), 1.0)
    if np.isnan(level).all():
        return np.zeros((height, width), dtype=np.float32)

    def spanned(grid: NDArray[np.float32]) -> NDArray[np.float32]:
        whole = np.where(np.isnan(grid), np.nanmedian(grid.reshape(-1, 3), axis=0), grid)
        return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_LINEAR))

    away = np.abs(pixels.astype(np.float32) - spanned(level)) / spanned(spread)
    return np.asarray(away.max(axis=2), dtype=np.float32)


def _water_share(inside: NDArray[np.bool_], water: NDArray[np.bool_]) -> float:
    """Of what is around a blob."""
    import cv2

    reach = np.ones((2 * _AROUND_PX + 1, 2 * _AROUND_PX + 1), np.uint8)
    around = (cv2.dilate(inside.astype(np.uint8), reach) > 0) & ~inside
    return float(water[around].mean()) if around.any() else 0.0
