"""Plane geometry of boxes and polygons. Pixels: x to the right, y down, the frame is [0, width] x [0, height]."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Polygon = NDArray[np.float64]
"""(n, 2) corners, x then y, not closed."""


def polygon_area(polygon: ArrayLike) -> float:
    """Unsigned area in square pixels (shoelace formula); 0 for fewer than three corners."""
    corners = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    if len(corners) < 3:
        return 0.0
    corners = corners - corners[0]  # keeps precision for polygons far from the origin
    x, y = corners[:, 0], corners[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def clip_polygon(polygon: ArrayLike, width: float, height: float) -> Polygon:
    """Clip a polygon to the frame (Sutherland and Hodgman, 1974); (0, 2) where nothing is left."""
    corners = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    for axis, bound, sign in ((0, 0.0, 1.0), (0, width, -1.0), (1, 0.0, 1.0), (1, height, -1.0)):
        corners = _clip_half_plane(corners, axis, bound, sign)
    return corners


def _clip_half_plane(corners: Polygon, axis: int, bound: float, sign: float) -> Polygon:
    """Keep the side of the line `axis = bound` where `sign * (coordinate - bound) >= 0`."""
    kept: list[NDArray[np.float64]] = []
    for here, there in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inside_here = sign * (here[axis] - bound) >= 0
        inside_there = sign * (there[axis] - bound) >= 0
        if inside_here:
            kept.append(here)
        if inside_here != inside_there:
            share = (bound - here[axis]) / (there[axis] - here[axis])
            crossing = here + share * (there - here)
            crossing[axis] = bound
            kept.append(crossing)
    return np.array(kept, dtype=np.float64).reshape(-1, 2)


def polygon_box(polygon: ArrayLike) -> NDArray[np.float64]:
    """(4,) x0, y0, x1, y1 of the polygon's bounding box."""
    corners = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def box_iou(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of (n, 4) and (m, 4) boxes x0, y0, x1, y1: (n, m); 0 where both are empty."""
    a = np.asarray(first, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(second, dtype=np.float64).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    overlap = np.prod(np.clip(sides, 0, None), axis=-1)
    union = np.prod(a[..., 2:] - a[..., :2], axis=-1) + np.prod(b[..., 2:] - b[..., :2], axis=-1) - overlap
    return np.asarray(np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0))


def shrink_box(box: ArrayLike, share: float) -> NDArray[np.float64]:
    """Boxes (..., 4) about their centres with each side made shorter by `share` of it."""
    boxes = np.asarray(box, dtype=np.float64)
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = (boxes[..., 2:] - boxes[..., :2]) / 2 * (1 - share)
    return np.concatenate([centre - half, centre + half], axis=-1)
