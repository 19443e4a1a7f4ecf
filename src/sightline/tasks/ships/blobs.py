"""The plain baseline: blobs that are brighter or darker than the sea around them, and as long as a ship. No learning.

The sea's level and spread are the median and the median absolute deviation of squares, interpolated between them. On
land the spread is large, so that little stands out there; what does is rarely long, narrow and full at once. How many
spreads a blob must stand out by is the only thing that is fitted (`calibrate.fit_blobs`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import OnProgress
from sightline.stopping import check
from sightline.tasks.ships.detections import Detection
from sightline.tasks.ships.scaled import Scaled

NOTHING = -2.0
"""The logit where there is no blob: less than of any that stands out."""

_SQUARES = 8
_MARGIN = 2

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

    def find(self, raster: Scaled, on_progress: OnProgress | None = None) -> list[Detection]:
        """All blobs of a raster; the score is the logarithm of their mean contrast over the least one.

        `on_progress` is called with the squares that are done, and with all; what it raises ends the search.
        """
        found: list[Detection] = []
        tiles = list(self._tiles(raster.size))
        for number, (top, left) in enumerate(tiles, start=1):
            found.extend(self._in_tile(raster, top, left))
            if on_progress is not None:
                on_progress(number, len(tiles))
        return found

    def _tiles(self, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
        step = _SQUARES * self.sea_px
        for top in range(0, size[0], step):
            for left in range(0, size[1], step):
                yield top, left

    def _in_tile(self, raster: Scaled, top: int, left: int) -> Iterator[Detection]:
        """Blobs whose middle lies in a tile; the squares around it are looked at too."""
        check()
        margin, side = _MARGIN * self.sea_px, _SQUARES * self.sea_px
        height, width = (min(side, size - start) for size, start in zip(raster.size, (top, left), strict=True))
        rows, columns = (2 * margin + -(-length // self.sea_px) * self.sea_px for length in (height, width))
        window = top - margin, left - margin, rows, columns
        contrast = sea_contrast(raster.part(*window), self.sea_px, raster.hidden_part(*window))
        for one in self._blobs(contrast):
            if 0 <= one.x - margin < width and 0 <= one.y - margin < height:
                shift = np.array([left - margin, top - margin])
                yield Detection(one.x + shift[0], one.y + shift[1], one.score, one.corners + shift)

    def _blobs(self, contrast: NDArray[np.float32]) -> Iterator[Detection]:
        """What stands out of a map of contrast and has the shape of a ship."""
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
            if fits and area >= self.fill * length * beam:
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


def sea_contrast(pixels: Pixels, sea_px: int, hidden: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """(h, w) spreads off the level of the sea, the largest over the colours; sides are multiples of `sea_px`.

    What is hidden, (h, w), is no sea, and 0.
    """
    import cv2

    height, width = pixels.shape[:2]
    squares = pixels.reshape(height // sea_px, sea_px, width // sea_px, sea_px, 3).astype(np.float32)
    if hidden is not None:
        squares[hidden.reshape(squares.shape[:4])] = np.nan
    median: Callable[..., Any] = np.median if hidden is None else _median_of_seen
    level = median(squares, axis=(1, 3), keepdims=True)
    spread = np.maximum(1.4826 * median(np.abs(squares - level), axis=(1, 3)), 1.0)

    def spanned(grid: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR))

    away = np.abs(pixels.astype(np.float32) - spanned(level[:, 0, :, 0])) / spanned(spread)
    if hidden is not None:
        away[hidden] = 0
    return np.asarray(away.max(axis=2), dtype=np.float32)


def _median_of_seen(squares: NDArray[np.float32], axis: tuple[int, int], keepdims: bool = False) -> NDArray[np.float32]:
    """Without what is hidden (NaN); of a square that is hidden whole, that of all others."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        medians = np.nanmedian(squares, axis=axis, keepdims=keepdims)
        others = np.nan_to_num(np.nanmedian(medians.reshape(-1, 3), axis=0))
    return np.asarray(np.where(np.isnan(medians), others, medians), dtype=np.float32)
