"""Training inputs: windows cut out of labelled frames, turned, scaled, mirrored and made noisy.

Corners are moved with the pixels and boxes are taken afterwards, so a turned module's box stays tight. Each input has
a random stream of its own (seed, epoch, number), so a resumed training sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.geometry import Polygon, clip_polygon, polygon_area, polygon_box
from sightline.tasks.pv_hotspots.data import MIN_VISIBLE_SHARE
from sightline.tasks.pv_hotspots.feature import Level, Scale, frame_scale, network_input
from sightline.tasks.pv_hotspots.params import AugmentParams, InputParams


@dataclass(frozen=True)
class Frame:
    """One labelled frame in memory: level (h, w), visible corners of each module, their classes (n,)."""

    level: Level
    polygons: tuple[Polygon, ...]
    classes: NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """One input: picture (3, h, w) uint8, boxes (n, 4) in pixels of it, classes (n,)."""

    picture: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]


class Windows:
    """The inputs of one epoch; `epoch` says which."""

    def __init__(
        self, frames: Sequence[Frame], count: int, augment: AugmentParams, input_params: InputParams, seed: int
    ) -> None:
        self.frames = frames
        self.augment = augment
        self.input_params = input_params
        self.seed = seed
        self.epoch = 0
        self._count = count
        self._scales = [frame_scale(frame.level, input_params) for frame in frames]
        weight = np.array([augment.defect_weight if frame.classes.any() else 1.0 for frame in frames])
        self._share = weight / weight.sum()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Window:
        if number >= self._count:
            raise IndexError(number)
        rng = np.random.default_rng([self.seed, self.epoch, number])
        height, width = self.augment.window_px
        if rng.random() >= self.augment.mosaic:
            return self._cut(rng, height, width)
        halves = ((0, height // 2), (height // 2, height - height // 2))
        sides = ((0, width // 2), (width // 2, width - width // 2))
        parts = [(y, x, self._cut(rng, h, w)) for y, h in halves for x, w in sides]
        rows = [np.concatenate([part.picture for _, _, part in parts[at : at + 2]], axis=2) for at in (0, 2)]
        boxes = [part.boxes + np.array([x, y, x, y]) for y, x, part in parts]
        classes = np.concatenate([part.classes for _, _, part in parts])
        return Window(np.concatenate(rows, axis=1), np.concatenate(boxes), classes)

    def _cut(self, rng: np.random.Generator, height: int, width: int) -> Window:
        index = int(rng.choice(len(self.frames), p=self._share))
        frame, scale = self.frames[index], self._scales[index]
        move = _draw_motion(rng, self.augment, frame, (height, width))
        level = _warp(frame.level, move, (height, width), scale.low)
        level = _add_noise(rng, level, scale.span, self.augment)
        span = scale.span / rng.uniform(*self.augment.contrast)
        low = scale.low + scale.span * rng.uniform(-self.augment.offset, self.augment.offset)
        boxes, classes = _move_labels(frame, move, (height, width))
        return Window(network_input(level, Scale(low, span), self.input_params), boxes, classes)


Motion = NDArray[np.float64]
"""(2, 3) affine map from the frame's pixels to the window's."""


def _draw_motion(rng: np.random.Generator, augment: AugmentParams, frame: Frame, window: tuple[int, int]) -> Motion:
    factor = np.exp(rng.uniform(*np.log(augment.scale)))
    angle = np.deg2rad(rng.uniform(-augment.rotation_deg, augment.rotation_deg))
    mirror = rng.choice([-1.0, 1.0], 2) if augment.flips else np.ones(2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag(factor * mirror)
    size, half = np.array(frame.level.shape[::-1]), np.array(window[::-1]) / 2
    # The window may look a little beyond the frame's edge: there, too, modules are cut.
    reach = np.maximum(size / 2 - half / factor, 0) * 1.1 + 8
    centre = size / 2 + rng.uniform(-1, 1, 2) * reach
    if frame.classes.any() and rng.random() < augment.defect_focus:
        module = frame.polygons[int(rng.choice(np.flatnonzero(frame.classes)))].mean(axis=0)
        aside = rng.uniform(-0.8, 0.8, 2) * half / factor
        centre = np.clip(module + aside, size / 2 - reach, size / 2 + reach)
    return np.concatenate([turn, (half - turn @ centre)[:, None]], axis=1)


def _warp(level: Level, move: Motion, window: tuple[int, int], outside: float) -> Level:
    import cv2

    warped = cv2.warpAffine(
        level, move, window[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=outside
    )
    return np.asarray(warped, dtype=np.float32)


def _add_noise(rng: np.random.Generator, level: Level, span: float, augment: AugmentParams) -> Level:
    """White noise and a fixed pattern of columns, as uncooled detectors have them."""
    white = rng.standard_normal(level.shape, dtype=np.float32) * np.float32(span * augment.noise * rng.random())
    columns = rng.standard_normal((1, level.shape[1]), dtype=np.float32)
    return np.asarray(level + white + columns * np.float32(span * augment.column_noise * rng.random()))


def _move_labels(frame: Frame, move: Motion, window: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Boxes and classes of the modules of which the window shows enough."""
    height, width = window
    boxes, classes = [], []
    for polygon, kind in zip(frame.polygons, frame.classes, strict=True):
        moved = polygon @ move[:, :2].T + move[:, 2]
        box = polygon_box(moved)
        if box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height:
            visible = clip_polygon(moved, width, height)
            if polygon_area(visible) < MIN_VISIBLE_SHARE * polygon_area(moved):
                continue
            box = polygon_box(visible)
        boxes.append(box)
        classes.append(kind)
    return np.array(boxes, dtype=np.float64).reshape(-1, 4), np.array(classes, dtype=np.int64)
