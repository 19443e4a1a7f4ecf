"""What a cell's surface shows: its temperatures on a grid that stays with the cell while the camera moves.

So what a cell's place reads now can be held against what the same place read before: heat stays where it is, while
reflections and things in the way move over the cell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.geometry import Cells
from sightline.tasks.battery_faults.thermal import Thermal

Surface = NDArray[np.float32]
"""(rows, columns) kelvin, as seen from the front; NaN where none is told."""

GRID = (32, 24)
"""Places along the height and the width of a cell: about as far apart as a camera's pixels."""

_FINER = 2  # the frame is sampled, before the mean of so many places along each side is taken
_LEAST_TOLD = 0.6  # of a place
_FAR_K = 1e3  # less than anything is told over the median


def surface_of(thermal: Thermal, cells: Cells, label: int, mirrored: bool = False) -> Surface | None:
    """The surface of the cell with a label; None where it is not in sight.

    `mirrored`: the camera looks from behind, where the cell's left side is on the right.
    """
    import cv2

    corners = cells.corners(label)
    if corners is None:
        return None
    part, inside = _around(corners, thermal.size)
    kelvin = thermal.kelvin[part]
    told = np.isfinite(kelvin)
    if cells.pose is None:  # a renderer's pack is not occluded: what is of another label lies beside the cell
        told &= cells.labels[part] == label
    if not told.any():
        return None
    height, width = _FINER * GRID[0], _FINER * GRID[1]
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    to_grid = cv2.getPerspectiveTransform(inside, target[[1, 0, 3, 2]] if mirrored else target)
    level = np.float32(np.median(kelvin[told]))
    over = np.where(told, kelvin - level, np.float32(0))
    total, share = (
        cv2.resize(cv2.warpPerspective(one, to_grid, (width, height)), GRID[::-1], interpolation=cv2.INTER_AREA)
        for one in (over, told.astype(np.float32))
    )
    found: Surface = np.where(share > _LEAST_TOLD, total / np.maximum(share, 1e-3) + level, np.float32("nan"))
    return found


def _around(corners: NDArray[np.float64], size: tuple[int, int]) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
    """The part of a frame (h, w) around corners (4, 2), and where they are in it."""
    low = np.floor(corners.min(axis=0)).astype(int) - 2
    high = np.ceil(corners.max(axis=0)).astype(int) + 2
    x0, y0 = np.clip(low, 0, (size[1] - 1, size[0] - 1))
    x1, y1 = np.clip(high, (x0 + 1, y0 + 1), (max(size[1], x0 + 1), max(size[0], y0 + 1)))
    return (slice(y0, y1), slice(x0, x1)), (corners - (x0, y0)).astype(np.float32)


def smoothed(surface: Surface) -> Surface:
    """The mean over each place and its neighbours, of those that are told."""
    import cv2

    told = np.isfinite(surface).astype(np.float32)
    total = cv2.blur(np.where(told > 0, surface, np.float32(0)), (3, 3), borderType=cv2.BORDER_REPLICATE)
    share = cv2.blur(told, (3, 3), borderType=cv2.BORDER_REPLICATE)
    return np.where(told > 0, total / np.maximum(share, 1e-3), np.float32("nan")).astype(np.float32)


def without_hidden(surface: Surface, colder_k: float) -> Surface:
    """Without what stands in the way: a cell in use is warmer than what is around it.

    Places that are colder than the cell's median by `colder_k`, and by much more than its warmer quarter is warmer, are
    left out, with their neighbours, which are seen in part.
    """
    import cv2

    middle, high = np.nanquantile(surface, [0.5, 0.75])
    hidden = surface < middle - max(colder_k, 3 * float(high - middle))
    around = cv2.dilate(hidden.astype(np.uint8), np.ones((7, 7), np.uint8))
    return np.where(around > 0, np.float32("nan"), surface).astype(np.float32)


def opened(surface: Surface, share: float) -> Surface:
    """A morphological opening by an ellipse of a share of the cell's width, which must lie in what is told.

    What is narrower is cut off: a bar, or the rim of one, which mixes the temperatures of two things.
    """
    import cv2

    size = max(round(share * GRID[1]), 1)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size + 1))
    told = np.where(np.isfinite(surface), surface, np.float32(-_FAR_K))
    fitting = cv2.morphologyEx(told, cv2.MORPH_OPEN, ellipse, borderType=cv2.BORDER_CONSTANT, borderValue=-_FAR_K)
    return np.where(fitting > -_FAR_K, fitting, np.float32("nan")).astype(np.float32)


def levelled(surface: Surface) -> Surface:
    """Less a surface of second order through its cooler three quarters: sunlight and reflections are wide.

    All NaN where too little is told.
    """
    values = surface.ravel().astype(np.float64)
    told = np.isfinite(values)
    if np.count_nonzero(told) < _LEAST_TOLD / 6 * values.size:
        return np.full_like(surface, np.nan)
    kept, left = told, values
    for _ in range(3):
        terms = _TERMS[kept]
        normal = terms.T @ terms + 1e-3 * np.eye(_TERMS.shape[1])
        left = values - _TERMS @ np.linalg.solve(normal, terms.T @ values[kept])
        kept = told & (left <= np.quantile(left[told], 0.75))
    return left.reshape(surface.shape).astype(np.float32)


def _second_order() -> NDArray[np.float64]:
    """(places, 6) terms of a surface of second order."""
    y, x = np.meshgrid(np.linspace(-1, 1, GRID[0]), np.linspace(-1, 1, GRID[1]), indexing="ij")
    return np.stack([np.ones(GRID), x, y, x * x, y * y, x * y], axis=-1).reshape(-1, 6)


_TERMS = _second_order()
