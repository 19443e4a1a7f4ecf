"""A pinhole camera on an orbit: which face each pixel sees, exactly, by a depth buffer.

A face is a rectangle, so where a pixel's ray meets it follows from one 3 x 3 inverse a face; whether it lies inside and
how near it is are then linear in the pixel's column and row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.synthetic.pack import Box

Vector = tuple[float, float, float]

SIDES = ((2, 1), (2, 0), (1, 0))
"""Of the faces across x, y and z: along which axes their rows and their columns run."""

_NEAR_M = 0.01


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion.

    Attributes:
        width_px, height_px: of the picture.
        focal_px: of the lens.
        x_px, y_px: where the optical axis meets the picture; pixels have their middles at halves.
    """

    width_px: int
    height_px: int
    focal_px: float
    x_px: float
    y_px: float

    def finer(self, times: int) -> Camera:
        """The same camera with so many times the pixels along each side."""
        scaled = (times * value for value in (self.focal_px, self.x_px, self.y_px))
        return Camera(times * self.width_px, times * self.height_px, *scaled)

    def project(self, points: NDArray[np.floating], pose: Pose) -> NDArray[np.floating]:
        """Pixels (n, 2) of points (n, 3) in metres; NaN behind the camera."""
        right, down, forward = pose.rotation @ (np.asarray(points) - pose.position).T
        forward = np.where(forward > _NEAR_M, forward, np.nan)
        return np.stack(
            [self.x_px + self.focal_px * right / forward, self.y_px + self.focal_px * down / forward], axis=1
        )


@dataclass(frozen=True)
class Pose:
    """Where a camera is and how it is turned.

    Attributes:
        position: (3,) metres.
        rotation: (3, 3); rows are its right, down and forward.
    """

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]

    def mirrored(self, axis: int, level_m: float) -> Pose:
        """From where the mirror image in the plane at `level_m` across an axis would be seen as this camera sees it."""
        flip = np.eye(3)
        flip[axis, axis] = -1
        shift = np.zeros(3)
        shift[axis] = 2 * level_m
        return Pose(flip @ self.position + shift, self.rotation @ flip)


def orbit(azimuth_deg: float, elevation_deg: float, distance_m: float, target_m: Vector, roll_deg: float = 0.0) -> Pose:
    """A camera that looks at `target_m`: from the front at azimuth 0, from the pack's right at 90, from above at an
    elevation of 90.
    """
    azimuth, elevation, roll = np.radians([azimuth_deg, elevation_deg, roll_deg])
    outwards = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    down = np.cross(-outwards, right)
    turned = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
    return Pose(np.asarray(target_m) + distance_m * outwards, np.stack([*turned, -outwards]))


@dataclass(frozen=True)
class View:
    """What a part of the picture shows.

    Attributes:
        window: x0, y0, x1, y1 in pixels, the last two exclusive; nothing but the background is outside of it.
        face: (h, w) 6 * box + 2 * axis + side (0 low, 1 high); -1 where there is none.
        row_m, column_m: (h, w) from the face's lower corner along its rows' and its columns' axis (`SIDES`).
        share: (cells,) of the pixels of a cell, with its tabs, that nothing hides and that are in the picture.
    """

    window: tuple[int, int, int, int]
    face: NDArray[np.int16]
    row_m: NDArray[np.float32]
    column_m: NDArray[np.float32]
    share: NDArray[np.float64]


def look(camera: Camera, pose: Pose, boxes: Sequence[Box]) -> View:
    """Look at boxes from a pose; `share` counts what lies up to one picture beyond the picture."""
    cells = max((box.cell for box in boxes), default=0)
    left, top, right, bottom = _reach(camera, pose, boxes)
    shape = (bottom - top, right - left)
    nearness, face = np.zeros(shape, np.float32), np.full(shape, -1, np.int16)
    row, column, whole = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros((cells, *shape), np.bool_)
    for number, box in enumerate(boxes):
        for axis, side in _towards(box, pose.position):
            met = _meet(camera, pose, box, (axis, side), (left, top, right, bottom))
            if met is None:
                continue
            if box.cell:
                whole[box.cell - 1][met.part] |= met.inside
            nearer = met.inside & (met.near > nearness[met.part])
            nearness[met.part][nearer] = met.near[nearer]
            face[met.part][nearer] = 6 * number + 2 * axis + side
            row[met.part][nearer], column[met.part][nearer] = met.row_m[nearer], met.column_m[nearer]
    x0, x1 = np.clip([left, right], 0, camera.width_px).tolist()  # an empty window where nothing is in the picture
    y0, y1 = np.clip([top, bottom], 0, camera.height_px).tolist()
    window = (x0, y0, x1, y1)
    inner = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    owner = np.array([*(box.cell for box in boxes), 0])[face[inner] // 6]
    visible = np.bincount(owner.ravel(), minlength=cells + 1)[1:]
    share = visible / np.maximum(whole.sum(axis=(1, 2)), 1)
    return View(window, face[inner], row[inner], column[inner], share)


def _corners(box: Box) -> NDArray[np.float64]:
    return np.array(np.meshgrid(*zip(box.low, box.high, strict=True))).reshape(3, -1).T


def _reach(camera: Camera, pose: Pose, boxes: Sequence[Box]) -> tuple[int, int, int, int]:
    """What the cells and all that belongs to them take up, at most one picture beyond the picture on each side."""
    points = camera.project(np.concatenate([_corners(box) for box in boxes]), pose)
    width, height = camera.width_px, camera.height_px
    if np.isnan(points).any():
        return -width, -height, 2 * width, 2 * height
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    x0, x1 = np.clip([low[0], high[0]], -width, 2 * width)
    y0, y1 = np.clip([low[1], high[1]], -height, 2 * height)
    return int(x0), int(y0), int(x1), int(y1)


def _towards(box: Box, position: NDArray[np.float64]) -> list[tuple[int, int]]:
    """The faces (axis, side) of a box whose front a place sees."""
    low = [(axis, 0) for axis in range(3) if position[axis] < box.low[axis]]
    return low + [(axis, 1) for axis in range(3) if position[axis] > box.high[axis]]


@dataclass(frozen=True)
class _Met:
    """Where rays meet a face: in which part of a window, whether they do, how near (1/m), and where on the face."""

    part: tuple[slice, slice]
    inside: NDArray[np.bool_]
    near: NDArray[np.float32]
    row_m: NDArray[np.float32]
    column_m: NDArray[np.float32]


def _meet(
    camera: Camera, pose: Pose, box: Box, face: tuple[int, int], window: tuple[int, int, int, int]
) -> _Met | None:
    """Where in a window rays meet the face (axis, side) of a box; None where it takes up no pixel."""
    axis, side = face
    rows, columns = SIDES[axis]
    corner = np.array(box.low)
    corner[axis] = (box.low, box.high)[side][axis]
    corners = np.repeat(corner[None], 4, axis=0)
    corners[1::2, rows] = box.high[rows]
    corners[2:, columns] = box.high[columns]
    left, top, *_ = window
    x0, y0, x1, y1 = _within(window, camera.project(corners, pose))
    if x0 >= x1 or y0 >= y1:
        return None
    to_corner = pose.rotation @ (corner - pose.position)
    inverse = np.linalg.inv(np.stack([pose.rotation[:, rows], pose.rotation[:, columns], to_corner], axis=1))
    x = (np.arange(x0, x1) + 0.5 - camera.x_px) / camera.focal_px
    y = (np.arange(y0, y1) + 0.5 - camera.y_px)[:, None] / camera.focal_px
    row, column, near = ((m[0] * x + m[2]).astype(np.float32) + (m[1] * y).astype(np.float32) for m in inverse)
    inside = (near > 0) & (row >= 0) & (column >= 0)
    inside &= (row <= np.float32(box.size[rows]) * near) & (column <= np.float32(box.size[columns]) * near)
    distance = 1 / np.where(inside, near, 1)
    part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    return _Met(part, inside, near, row * distance, column * distance)


def _within(window: tuple[int, int, int, int], points: NDArray[np.floating]) -> tuple[int, int, int, int]:
    """The part of a window around points; all of it where one lies behind the camera."""
    if np.isnan(points).any():
        return window
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    x0, y0, x1, y1 = window
    return int(max(x0, low[0])), int(max(y0, low[1])), int(min(x1, high[0])), int(min(y1, high[1]))
