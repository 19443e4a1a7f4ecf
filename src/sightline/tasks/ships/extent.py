"""How far a vessel reaches from the place where it was found, and what lies around it.

The level of the water is the median of the water near the place, its spread the median absolute deviation. What is
connected to the place and stands out by a share of what the vessel itself does belongs to it; so a fainter wake falls
away. A wake as bright as its vessel lies on one side only, and the place is near the vessel's middle: neither half is
taken for longer than the other by more than a quarter and 30 m. Where the network tells a length, what is farther
than that allows is a quay or another vessel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.detections import Corners, rectangle

LONGEST_M = 460.0
"""No ship is longer."""

BROADEST_M = 80.0
"""No ship is broader."""

_USUAL_M = 60.0
_LENGTH_TO_BEAM = 5.0
_LEAST_SPREADS = 4.0
_SHARE_OF_OWN = 0.4
_NEAR_M = 18.0
_NEAR_WATER_M = 150.0
_LEAST_WATER_PX = 100
_OWN_PX = 6  # of the brightest or darkest pixels near the place: the vessel's own
_LEAST_M2 = 60.0
_LONGER_HALF = 1.25
_SLACK_M = 30.0
_BEYOND = 2.0  # times the length that the network tells, at most
_BROAD = 3.0
_RING_M = (9.0, 24.0)
_RING_SHARE = 0.2  # of what is around a vessel that is no water where it lies alongside something

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


def reach_px(gsd_m: float, told_m: float = 0.0) -> int:
    """Pixels that `extent_of` looks at on each side of a place; fewer where the network tells the length."""
    return round(0.75 * max(min(told_m or LONGEST_M, LONGEST_M), _NEAR_WATER_M / 0.75) / gsd_m)


@dataclass(frozen=True)
class Extent:
    """What stands out around a place.

    Attributes:
        corners: of its rectangle; of a usual vessel along x where nothing does.
        is_afloat: whether there is water as near as a vessel's middle has it.
        is_alongside: whether there is something else than water beside it.
    """

    corners: Corners
    is_afloat: bool
    is_alongside: bool


def extent_of(pixels: Pixels, water: Bools, gsd_m: float, hidden: Bools | None = None, told_m: float = 0.0) -> Extent:
    """The extent of the vessel in the middle of a square (2 r, 2 r, 3), r of `reach_px`; in its pixels.

    Args:
        pixels: of the square.
        water: (2 r, 2 r) where the raster has water, by `water.water_of`.
        gsd_m: metres a pixel.
        hidden: (2 r, 2 r) what is neither vessel nor water.
        told_m: its length by the network; 0 where it tells none.
    """
    middle = pixels.shape[0] / 2
    contrast = contrast_of(pixels, water, gsd_m, hidden)
    if contrast is None:
        return Extent(_usual(middle, gsd_m, told_m), is_afloat=False, is_alongside=False)
    threshold = _threshold_of(contrast, gsd_m, told_m)
    inside = _connected(contrast >= threshold, gsd_m)
    corners = _usual(middle, gsd_m, told_m)
    if inside is not None:
        rows, columns = np.nonzero(inside)
        offsets = np.stack([columns + 0.5, rows + 0.5], axis=1) - middle
        corners = _rectangle_of(offsets, gsd_m, told_m) + middle
    afloat = _has_water_near(contrast < threshold, gsd_m)
    own = _narrowed(corners, middle, gsd_m, told_m)
    return Extent(corners, afloat, _touches_others(contrast >= threshold, own, gsd_m))


def contrast_of(pixels: Pixels, water: Bools, gsd_m: float, hidden: Bools | None = None) -> Floats | None:
    """(h, w) how many spreads a pixel is off the level of the water near the middle, the largest over the colours.

    0 where it is hidden; None where there is no water.
    """
    seen = water if hidden is None else water & ~hidden
    near = round(_NEAR_WATER_M / gsd_m)
    middle = pixels.shape[0] // 2
    window = (slice(max(middle - near, 0), middle + near),) * 2
    for part in (window, (slice(None),) * 2):
        values = pixels[part][seen[part]].astype(np.float32)
        if len(values) >= _LEAST_WATER_PX:
            break
    else:
        return None
    level = np.median(values, axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(values - level), axis=0), 1.0)
    contrast = (np.abs(pixels.astype(np.float32) - level) / spread).max(axis=2)
    if hidden is not None:
        contrast[hidden] = 0
    return np.asarray(contrast, dtype=np.float32)


def _threshold_of(contrast: Floats, gsd_m: float, told_m: float) -> float:
    """From which contrast on a pixel may be the vessel's: by the strongest pixels near the place.

    Where the network tells a length, by the stronger half of a vessel of that length: a bridge is brighter than a deck.
    """
    near_m = max(_NEAR_M, told_m / 2)
    own_px = max(_OWN_PX, round(told_m * told_m / _LENGTH_TO_BEAM / 2 / gsd_m**2))
    middle, near = contrast.shape[0] // 2, max(round(near_m / gsd_m), 2)
    about = contrast[middle - near : middle + near, middle - near : middle + near].ravel()
    own_px = min(own_px, len(about))
    own = float(np.partition(about, -own_px)[-own_px])
    return max(_LEAST_SPREADS, _SHARE_OF_OWN * own)


def _usual(middle: float, gsd_m: float, told_m: float) -> Corners:
    length = (told_m or _USUAL_M) / gsd_m
    return rectangle(middle, middle, length, length / _LENGTH_TO_BEAM, 0.0)


def _has_water_near(water: Bools, gsd_m: float) -> bool:
    """Whether there is water no farther from the middle than half of the broadest vessel."""
    middle, near = water.shape[0] // 2, round(BROADEST_M / 2 / gsd_m)
    y, x = np.ogrid[-near:near, -near:near]
    about = water[middle - near : middle + near, middle - near : middle + near]
    return bool((about & (x * x + y * y <= near * near)).sum() >= near)


def _narrowed(corners: Corners, middle: float, gsd_m: float, told_m: float) -> Corners:
    """What is broader than a vessel of the length that is told is several of them: the one at the place alone."""
    sides = corners[1] - corners[0], corners[2] - corners[1]
    length, beam = (float(np.linalg.norm(side)) for side in sides)
    if not told_m or beam * gsd_m <= max(told_m / _BROAD, _RING_M[0]):
        return corners
    angle = float(np.arctan2(sides[0][1], sides[0][0]))
    return rectangle(middle, middle, min(length, told_m / gsd_m), told_m / _LENGTH_TO_BEAM / gsd_m, angle)


def _touches_others(other: Bools, corners: Corners, gsd_m: float) -> bool:
    """Whether much of the ring around a vessel's rectangle is no water."""
    import cv2

    hull = np.ones(other.shape, np.uint8)
    cv2.fillPoly(hull, [np.round(corners - 0.5).astype(np.int32)], 0)
    away_m = cv2.distanceTransform(hull, cv2.DIST_L2, 3) * gsd_m
    ring = (away_m > _RING_M[0]) & (away_m <= _RING_M[1])
    return bool(other[ring].mean() > _RING_SHARE) if ring.any() else False


def _rectangle_of(offsets: NDArray[np.float64], gsd_m: float, told_m: float) -> Corners:
    """The rectangle of pixels (n, 2), the place where the vessel was found being (0, 0)."""
    if told_m:
        near = offsets[np.hypot(*offsets.T) * gsd_m <= _BEYOND * told_m / 2]
        offsets = near if len(near) else offsets
    angle = _axis_of(offsets)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = offsets @ np.array([[cos, -sin], [sin, cos]])
    low, high = _halves(turned[:, 0], gsd_m)
    kept = turned[(turned[:, 0] >= low - 0.5) & (turned[:, 0] <= high + 0.5), 1]
    left, right = np.quantile(kept, [0.02, 0.98])
    along, aside = (low + high) / 2, (left + right) / 2
    length, beam = high - low + 1, right - left + 1
    if told_m and length * gsd_m > _BEYOND * told_m:
        along, aside, length = 0.0, 0.0, told_m / gsd_m
        beam = min(beam, 2 * length / _LENGTH_TO_BEAM)
    x, y = along * cos - aside * sin, along * sin + aside * cos
    return rectangle(x, y, length, beam, angle)


def _connected(standing_out: Bools, gsd_m: float) -> Bools | None:
    """The pixels that stand out and hang together around the middle; None where nothing does."""
    import cv2

    middle, near = standing_out.shape[0] // 2, max(round(_NEAR_M / gsd_m), 2)
    # Dark hulls have bright decks: what is apart by a pixel or two is one ship.
    gap = max(round(6.0 / gsd_m), 1)
    kernel = np.ones((2 * gap - 1, 2 * gap - 1), np.uint8)
    closed = cv2.morphologyEx(standing_out.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
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
