"""How far a ship reaches from the place where it was found: what stands out from the water around it.

The level of the water is the median of a ring around the place, its spread the median absolute deviation, so that
neither the ship nor its wake decides. What is connected to the place and stands out by half as much as the ship's own
middle belongs to it; so the fainter wake falls away. A wake as bright as its ship lies on one side only, and the place
is near the ship's middle: neither half is taken for longer than the other by more than a quarter and 30 m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.detections import Corners, rectangle

LONGEST_M = 460.0
"""No ship is longer."""

_TYPICAL_M = (180.0, 30.0)
_LEAST_SPREADS = 4.0
_SHARE_OF_MIDDLE = 0.5
_NEAR_M = 24.0
_LEAST_M2 = 300.0
_LONGER_HALF = 1.25
_SLACK_M = 30.0

Pixels = NDArray[np.uint8]


def reach_px(gsd_m: float) -> int:
    """Pixels that `extent_of` looks at on each side of a place."""
    return round(0.75 * LONGEST_M / gsd_m)


@dataclass(frozen=True)
class Extent:
    """What stands out around a place.

    Attributes:
        corners: of its rectangle; of a usual ship along x where nothing does.
        area_m2: of all that is connected, land too; 0 where nothing is.
        spread: of the surroundings, in grey levels: 1 to 9 on water, mostly more than 20 on land.
    """

    corners: Corners
    area_m2: float
    spread: float


def extent_of(pixels: Pixels, gsd_m: float, hidden: NDArray[np.bool_] | None = None) -> Extent:
    """The extent of the ship in the middle of a square (2 r, 2 r, 3), r of `reach_px`; in its pixels.

    What is hidden, (2 r, 2 r), is neither ship nor water.
    """
    middle = pixels.shape[0] / 2
    contrast, spread = contrast_of(pixels, hidden)
    inside = _connected(contrast, gsd_m)
    if inside is None:
        length, beam = (side / gsd_m for side in _TYPICAL_M)
        return Extent(rectangle(middle, middle, length, beam, 0.0), 0.0, spread)
    rows, columns = np.nonzero(inside)
    offsets = np.stack([columns + 0.5, rows + 0.5], axis=1) - middle
    return Extent(_rectangle_of(offsets, gsd_m) + middle, float(inside.sum() * gsd_m**2), spread)


def _rectangle_of(offsets: NDArray[np.float64], gsd_m: float) -> Corners:
    """The rectangle of pixels (n, 2), the place where the ship was found being (0, 0)."""
    angle = _axis_of(offsets)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = offsets @ np.array([[cos, -sin], [sin, cos]])
    low, high = _halves(turned[:, 0], gsd_m)
    kept = turned[(turned[:, 0] >= low - 0.5) & (turned[:, 0] <= high + 0.5), 1]
    left, right = np.quantile(kept, [0.02, 0.98])
    along, aside = (low + high) / 2, (left + right) / 2
    x, y = along * cos - aside * sin, along * sin + aside * cos
    return rectangle(x, y, high - low + 1, right - left + 1, angle)


def contrast_of(pixels: Pixels, hidden: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.float32], float]:
    """(h, w) how many spreads a pixel is off the water's level, the largest over the colours; and that spread.

    0 where it is hidden.
    """
    values = pixels.astype(np.float32)
    ring = np.ones(values.shape[:2], dtype=bool)
    quarter = values.shape[0] // 4
    ring[quarter:-quarter, quarter:-quarter] = False
    if hidden is not None:
        seen = ring & ~hidden
        ring = seen if seen.any() else ~hidden  # the picture's last corner: what there is of it
    water = values[ring]
    if not len(water):
        return np.zeros(values.shape[:2], dtype=np.float32), 1.0
    level = np.median(water, axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(water - level), axis=0), 1.0)
    contrast = (np.abs(values - level) / spread).max(axis=2)
    if hidden is not None:
        contrast[hidden] = 0
    return np.asarray(contrast, dtype=np.float32), float(spread.max())


def _connected(contrast: NDArray[np.float32], gsd_m: float) -> NDArray[np.bool_] | None:
    """The pixels that stand out and hang together around the middle; None where nothing does."""
    import cv2

    middle, near = contrast.shape[0] // 2, max(round(_NEAR_M / gsd_m), 1)
    about = contrast[middle - near : middle + near, middle - near : middle + near]
    own = float(np.quantile(about, 0.9))
    threshold = max(_LEAST_SPREADS, _SHARE_OF_MIDDLE * own)
    mask = (contrast >= threshold).astype(np.uint8)
    # Dark hulls have bright decks: what is apart by a pixel or two is one ship.
    gap = max(round(6.0 / gsd_m), 1)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((2 * gap - 1, 2 * gap - 1), np.uint8))
    count, labels = cv2.connectedComponents(closed, connectivity=8)
    here = np.bincount(labels[middle - near : middle + near, middle - near : middle + near].ravel(), minlength=count)
    here[0] = 0
    inside = np.asarray(labels == here.argmax())
    return inside if here.any() and inside.sum() >= _LEAST_M2 / gsd_m**2 else None


def _axis_of(points: NDArray[np.float64]) -> float:
    """The angle of the longer axis of points, in -90 .. 90 degrees."""
    if len(points) < 3:
        return 0.0
    _, vectors = np.linalg.eigh(np.cov(points.T))
    x, y = vectors[:, -1]
    return float(np.arctan2(y, x) if x > 0 else np.arctan2(-y, -x))


def _halves(along: NDArray[np.float64], gsd_m: float) -> tuple[float, float]:
    """Where a ship begins and ends along its axis, the place where it was found being 0."""
    low, high = float(along.min()), float(along.max())
    most, slack = LONGEST_M / gsd_m / 2, _SLACK_M / gsd_m
    if low > -1 or high < 1:  # it lies on one side, and says nothing of its middle
        return max(low, high - 2 * most), min(high, low + 2 * most)
    before, after = max(-low, 0.0), max(high, 0.0)
    before = min(before, after * _LONGER_HALF + slack, most)
    after = min(after, before * _LONGER_HALF + slack, most)
    return max(low, -before), min(high, after)
