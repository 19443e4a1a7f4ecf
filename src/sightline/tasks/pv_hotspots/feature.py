"""What is computed from the temperature signal itself: the network's input, and the physical features of modules.

A module's feature is its hottest pixel over its median, within a region that keeps clear of the neighbours: the box
made smaller (the plain baseline), or the module's parallelogram, which the boxes of its neighbours give away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.geometry import shrink_box
from sightline.stopping import check
from sightline.tasks.pv_hotspots.params import InputParams, RegionParams

Floats = NDArray[np.float64]
Level = NDArray[np.float32]
Quads = NDArray[np.float64]
"""(n, 4, 2) corners in the order of a polygon."""


# ------------------------------------------------------------------------------------------- the network's input


@dataclass(frozen=True)
class Scale:
    """Robust range of one frame's level: where 0 and 1 of the network's first channel lie."""

    low: float
    span: float


def frame_scale(level: Level, params: InputParams) -> Scale:
    """Percentiles of a frame; every fourth pixel says as much as all of them."""
    low, high = np.percentile(level[::4, ::4], [params.low_percentile, params.high_percentile])
    return Scale(float(low), max(float(high - low), 1e-6))


def network_input(level: Level, scale: Scale, params: InputParams) -> NDArray[np.uint8]:
    """(3, h, w): the scaled level, its contrast to the surroundings of a module, and to those of a cell."""
    import cv2

    signal = (level - np.float32(scale.low)) / np.float32(scale.span)
    planes = np.empty((3, *level.shape), dtype=np.uint8)
    # `addWeighted` scales, rounds and clips in one pass.
    level_gain, level_offset = params.level_gain * 255, params.level_offset * 255
    cv2.addWeighted(signal, level_gain, signal, 0, level_offset, dst=planes[0], dtype=cv2.CV_8U)
    for plane, sigma_px, gain in zip(planes[1:], params.contrast_sigma_px, params.contrast_gain, strict=True):
        around = cv2.GaussianBlur(signal, (0, 0), sigma_px)
        cv2.addWeighted(signal, gain * 255, around, -gain * 255, 127.5, dst=plane, dtype=cv2.CV_8U)
    return planes


# ----------------------------------------------------------------------------------------------- the plain feature


def box_rise(level: Level, boxes: Floats, shrink: float) -> Floats:
    """(n,) hottest pixel minus median, in units of the level, within each box made smaller by the share `shrink`."""
    height, width = level.shape
    corners = np.rint(shrink_box(boxes, shrink)).astype(np.int64).reshape(-1, 4)
    x0, x1 = (np.clip(corners[:, axis], 0, width) for axis in (0, 2))
    y0, y1 = (np.clip(corners[:, axis], 0, height) for axis in (1, 3))
    return np.array([_rise(level[b:d, a:c]) for a, b, c, d in zip(x0, y0, x1, y1, strict=True)], dtype=np.float64)


def _rise(values: Level) -> float:
    return float(values.max() - median(values.ravel())) if values.size else 0.0


def median(values: Level) -> np.float32:
    """Of (n,) finite values, n > 0. `np.median` takes three times as long on the few pixels of a module."""
    middle = len(values) // 2
    if len(values) % 2:
        return np.float32(np.partition(values, middle)[middle])
    low, high = np.partition(values, (middle - 1, middle))[middle - 1 : middle + 1]
    return np.float32((low + high) / 2)


# --------------------------------------------------------------------------------------------- the parallelogram


def module_quads(boxes: Floats, width: int, height: int) -> Quads:
    """The parallelogram of each module, from the boxes of all: modules stand in rows and columns.

    Centres of neighbours give the directions of rows and columns as smooth fields over the frame; with them a box
    has only one parallelogram that touches its four sides. Boxes that the frame cuts are completed to the size of
    those around them. Where too few neighbours are found the boxes themselves are returned.
    """
    fields = _lattice_fields(boxes, width, height)
    if fields is None:
        return np.stack([boxes[:, [0, 1]], boxes[:, [2, 1]], boxes[:, [2, 3]], boxes[:, [0, 3]]], axis=1)
    whole = _complete_boxes(boxes, fields, width, height)
    centres, sides = (whole[:, :2] + whole[:, 2:]) / 2, whole[:, 2:] - whole[:, :2]
    row, column = fields.row_slope(centres), fields.column_slope(centres)
    steep_row, steep_column = np.abs(row), np.abs(column)
    # width = across + |column| along; height = along + |row| across
    determinant = np.maximum(1 - steep_row * steep_column, 0.3)
    across = np.clip((sides[:, 0] - steep_column * sides[:, 1]) / determinant, 0.3 * sides[:, 0], sides[:, 0])
    along = np.clip((sides[:, 1] - steep_row * sides[:, 0]) / determinant, 0.3 * sides[:, 1], sides[:, 1])
    u = np.stack([across, row * across], axis=1) / 2
    v = np.stack([column * along, along], axis=1) / 2
    return np.stack([centres - u - v, centres + u - v, centres + u + v, centres - u + v], axis=1)


Field = Callable[[Floats], Floats]
"""(n, 2) places -> (n,) values."""

EDGE_PX = 2.0
"""A box this near to the frame's edge is taken to be cut by it."""


@dataclass(frozen=True)
class _Fields:
    row_slope: Field  # dy/dx along a row
    column_slope: Field  # dx/dy along a column
    log_width: Field
    log_height: Field


def _lattice_fields(boxes: Floats, width: int, height: int) -> _Fields | None:
    """None where fewer than six pairs of neighbours in rows, or four in columns, are found."""
    whole = boxes[~_cut_sides(boxes, width, height).any(axis=1)]
    if len(whole) < 6:
        return None
    centres, sides = (whole[:, :2] + whole[:, 2:]) / 2, whole[:, 2:] - whole[:, :2]
    beside, across = _nearest_neighbours(centres, sides, axis=0)
    below, along = _nearest_neighbours(centres, sides, axis=1)
    if len(beside) < 6 or len(below) < 4:
        return None
    size = (width, height)
    return _Fields(
        row_slope=_smooth_field(beside, across[:, 1] / across[:, 0], size),
        column_slope=_smooth_field(below, along[:, 0] / along[:, 1], size),
        log_width=_smooth_field(centres, np.log(sides[:, 0]), size),
        log_height=_smooth_field(centres, np.log(sides[:, 1]), size),
    )


def _nearest_neighbours(centres: Floats, sides: Floats, axis: int) -> tuple[Floats, Floats]:
    """The next module of each to the right (axis 0) or below (axis 1), where there is one about a side away.

    Returns:
        (k, 2) middles between the centres and (k, 2) steps from one to the other.
    """
    step = centres[None] - centres[:, None]
    in_sides = 2 * step / (sides[None] + sides[:, None])
    ahead, aside = in_sides[..., axis], np.abs(in_sides[..., 1 - axis])
    near = (ahead > 0.5) & (ahead < 1.35) & (aside < 0.5)
    distance = np.where(near, np.linalg.norm(step, axis=-1), np.inf)
    first = np.flatnonzero(near.any(axis=1))
    second = distance[first].argmin(axis=1)
    return (centres[first] + centres[second]) / 2, step[first, second]


def _cut_sides(boxes: Floats, width: int, height: int) -> NDArray[np.bool_]:
    """(n, 4) which sides lie on the frame's edge."""
    return np.concatenate([boxes[:, :2] <= EDGE_PX, boxes[:, 2:] >= np.array([width, height]) - EDGE_PX], axis=1)


def _complete_boxes(boxes: Floats, fields: _Fields, width: int, height: int) -> Floats:
    """Boxes that the frame cuts, made as large as their neighbours."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    usual = np.exp(np.stack([fields.log_width(centres), fields.log_height(centres)], axis=1))
    cut = _cut_sides(boxes, width, height)
    low = np.where(cut[:, :2], np.minimum(boxes[:, :2], boxes[:, 2:] - usual), boxes[:, :2])
    high = np.where(cut[:, 2:], np.maximum(boxes[:, 2:], boxes[:, :2] + usual), boxes[:, 2:])
    return np.concatenate([low, high], axis=1)


def _smooth_field(places: Floats, values: Floats, size: tuple[int, int]) -> Field:
    """A quadratic over the frame, fitted with Huber weights and a ridge on its higher terms."""
    half = np.array(size) / 2

    def terms(at: Floats) -> Floats:
        x, y = ((at - half) / half).T
        return np.stack([np.ones(len(at)), x, y, x * x, x * y, y * y], axis=1)

    design, ridge = terms(places), np.diag([1e-6, 0.3, 0.3, 1.0, 1.0, 1.0])
    weights = np.ones(len(values))
    for _ in range(5):
        weighted = design.T * weights
        coefficients = np.linalg.solve(weighted @ design + ridge, weighted @ values)
        residual = np.abs(values - design @ coefficients)
        spread = max(1.4826 * float(np.median(residual)), 1e-3)
        weights = 1 / np.maximum(1, residual / (1.5 * spread))
    return lambda at: np.asarray(terms(at) @ coefficients)


# ------------------------------------------------------------------------------------------------------ measuring


@dataclass(frozen=True)
class Measured:
    """What the temperature signal says about each of n modules, in units of the level it was measured on.

    Attributes:
        rise: hottest pixel of the eroded parallelogram minus the module's median.
        over_neighbours: hottest pixel minus the median of the modules around.
        median: of the module.
    """

    rise: Floats
    over_neighbours: Floats
    median: Floats


def measure_modules(signals: Sequence[Level], boxes: Floats, params: RegionParams) -> list[Measured]:
    """Measure the modules of one frame by their boxes (n, 4) on each of its `signals` (h, w)."""
    height, width = signals[0].shape
    hottest, middle = np.zeros((2, len(signals), len(boxes)))
    for index, quad in enumerate(module_quads(boxes, width, height)):
        check()
        part, mask = _region(quad, (height, width), params)
        for number, signal in enumerate(signals):
            values = signal[part][mask]
            if values.size:
                hottest[number, index], middle[number, index] = values.max(), median(values)
    around = [_neighbour_median(boxes, values, params.neighbours) for values in middle]
    return [Measured(hot - mid, hot - near, mid) for hot, mid, near in zip(hottest, middle, around, strict=True)]


def _region(
    quad: Floats, shape: tuple[int, int], params: RegionParams
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """The parallelogram eroded by `erode_px`, or all of it where fewer than `min_px` pixels would be left.

    Returns:
        Where its bounding box lies in the frame, and which pixels of that belong to it.
    """
    import cv2

    size = shape[::-1]
    low = np.clip(np.floor(quad.min(axis=0)).astype(int) - 1, 0, size)
    high = np.clip(np.ceil(quad.max(axis=0)).astype(int) + 2, low, size)
    mask = np.zeros((high - low)[::-1], dtype=np.uint8)
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    if not mask.size:
        return part, mask > 0
    cv2.fillConvexPoly(mask, np.rint(quad - low).astype(np.int32), 1)
    side = 2 * params.erode_px + 1
    eroded = cv2.erode(mask, np.ones((side, side), dtype=np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return part, (eroded if int(eroded.sum()) >= params.min_px else mask) > 0


def _neighbour_median(boxes: Floats, medians: Floats, count: int) -> Floats:
    """(n,) median of the `count` nearest modules' medians; of the module itself where it stands alone."""
    if len(boxes) < 2:
        return medians.copy()
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, : min(count, len(boxes) - 1)]
    return np.asarray(np.median(medians[nearest], axis=1))
