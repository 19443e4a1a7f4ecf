"""What Fluent draws around a pack: a graded background, a floor with a grid, the colour bar and the triad."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.colour import FLUENT
from sightline.tasks.battery_faults.synthetic.camera import Camera, Pose
from sightline.tasks.battery_faults.synthetic.pack import Pack

Picture = NDArray[np.uint8]

_COLOURS = ((0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0))  # of the hues 4, 3 .. 0

SIZE_PX = (1074, 417)
"""Width and height of the published pictures: where things stand in pixels is said for this size."""

_TOP, _BOTTOM = np.array([204.0, 211.0, 226.0]), np.array([255.0, 255.0, 255.5])
_BAR = (20, 119, 40, 307)
_LABELS, _REACH = 11, 120
_TRIAD = (990, 377)
_FLOOR_HALF_M, _FLOOR_LINES, _FLOOR_GREY = 1.4, 33, (200, 200, 200)
_FLOOR_BELOW_M = 0.009
_SHADOW, _SHADOW_SOFT_M = 0.5, 0.006


@dataclass(frozen=True)
class Floor:
    """The plane that mirrors the pack: across y below it, or across z beyond it where the camera looks up.

    Attributes:
        axis: across which it lies.
        level_m: where.
    """

    axis: int
    level_m: float


def floor_of(pack: Pack, pose: Pose) -> Floor:
    """Where Fluent lays the floor: under the pack; where the camera is lower than that, beyond the pack."""
    below = Floor(1, -_FLOOR_BELOW_M)
    if pose.position[1] > below.level_m:
        return below
    return Floor(2, -float(np.sign(pose.position[2])) * (pack.cell_m[2] / 2 + _FLOOR_BELOW_M))


def scale_colours(shares: NDArray[np.floating]) -> NDArray[np.float32]:
    """Colours (..., 3) from 0 to 1 of shares of the scale, as Fluent's bar has them."""
    stops = [share for share, _ in FLUENT]
    channels = [np.interp(shares, stops, [colour[channel] / 255 for colour in _COLOURS]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


@lru_cache(maxsize=8)
def graded(width: int, height: int) -> Picture:
    """The background alone; not to be written to."""
    rows = np.linspace(0, 1, height)[:, None]
    column = np.rint(_TOP + (_BOTTOM - _TOP) * rows).clip(0, 255).astype(np.uint8)
    picture = np.repeat(column[:, None], width, axis=1)
    picture.setflags(write=False)
    return picture


def draw_scale(picture: Picture, title: str, range_k: tuple[float, float]) -> None:
    """The colour bar and what is written about it, in place."""
    height, width = picture.shape[:2]
    reach, scale, cover = _scale(width, height, title, range_k)
    part = picture[:, :reach]
    part[:] = np.rint(part * (1 - cover) + scale * cover).astype(np.uint8)


@lru_cache(maxsize=8)
def _scale(
    width: int, height: int, title: str, range_k: tuple[float, float]
) -> tuple[int, Picture, NDArray[np.float32]]:
    """How many columns the scale takes up, their colours, and how much of a pixel (h, w, 1) they cover."""
    unit = _unit(width, height)
    reach = min(width, round(_REACH * unit) + 1)
    drawn = [np.full((height, reach, 3), level, np.uint8) for level in (0, 255)]
    for picture in drawn:
        _draw_bar(picture, unit)
        _write(picture, unit, title, range_k)
    on_black, on_white = drawn
    cover = 1 - (on_white.astype(np.float32) - on_black).min(axis=2, keepdims=True) / 255
    colours = on_black / np.maximum(cover, 1 / 255)
    return reach, np.rint(colours.clip(0, 255)).astype(np.uint8), cover


def _unit(width: int, height: int) -> float:
    """How large what is drawn over a picture is, against the published size: smaller ones remain legible."""
    return float(min(np.sqrt(min(width / SIZE_PX[0], height / SIZE_PX[1])), height / (SIZE_PX[1] - 87)))


def _draw_bar(picture: Picture, unit: float) -> None:
    left, top, right, bottom = (max(1, round(place * unit)) for place in _BAR)
    picture[top : bottom + 1, left : right + 1] = 0
    shares = np.linspace(1, 0, bottom - top - 1)
    picture[top + 1 : bottom, left + 1 : right - 1] = np.rint(scale_colours(shares) * 255).astype(np.uint8)[:, None]
    for row in np.rint(np.linspace(top, bottom, _LABELS)).astype(int):
        picture[row, right : right + max(1, round(2 * unit))] = 0


def _write(picture: Picture, unit: float, title: str, range_k: tuple[float, float]) -> None:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(picture)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=max(4.0, 8.5 * unit))
    first, last = _BAR[1] * unit, _BAR[3] * unit
    for text, x, y in ((title, 10, 102), ("Static Temperature", 10, 111), ("( k )", 10, 315)):
        draw.text((x * unit, y * unit), text, fill=(20, 20, 20), font=font, anchor="lm")
    for number in range(_LABELS):
        share = number / (_LABELS - 1)
        text, height = f"{range_k[1] - share * (range_k[1] - range_k[0]):.2e}", first + share * (last - first)
        draw.text((48 * unit, height), text, fill=(20, 20, 20), font=font, anchor="lm")
    picture[:] = np.asarray(image)


def draw_grid(picture: Picture, camera: Camera, pose: Pose, floor: Floor) -> None:
    """The lines of the floor, in place."""
    import cv2

    ticks = np.linspace(-_FLOOR_HALF_M, _FLOOR_HALF_M, _FLOOR_LINES)
    across = [axis for axis in range(3) if axis != floor.axis]
    for along, fixed in (across, across[::-1]):
        ends = np.zeros((_FLOOR_LINES, 2, 3))
        ends[:, :, floor.axis], ends[:, :, fixed] = floor.level_m, ticks[:, None]
        ends[:, :, along] = (-_FLOOR_HALF_M, _FLOOR_HALF_M)
        for a, b in (ends - pose.position) @ pose.rotation.T:
            line = _in_front(a, b)
            if line is not None:
                pixels = np.stack([camera.x_px + camera.focal_px * line[:, 0] / line[:, 2],
                                   camera.y_px + camera.focal_px * line[:, 1] / line[:, 2]], axis=1)  # fmt: skip
                start, end = np.rint(pixels * 16 - 8).astype(int).tolist()
                cv2.line(picture, start, end, _FLOOR_GREY, 1, cv2.LINE_AA, 4)


def _in_front(a: NDArray[np.float64], b: NDArray[np.float64], near: float = 0.1) -> NDArray[np.float64] | None:
    """What of a line (right, down, forward) lies in front of the camera."""
    if max(a[2], b[2]) <= near:
        return None
    if a[2] < near:
        a = b + (a - b) * (b[2] - near) / (b[2] - a[2])
    if b[2] < near:
        b = a + (b - a) * (a[2] - near) / (a[2] - b[2])
    return np.stack([a, b])


def cast_shadow(picture: Picture, camera: Camera, pose: Pose, floor: Floor, pack: Pack) -> None:
    """Darken the floor under the cells, softly, in place."""
    cells = [box for box in pack.boxes if box.kind == "cell"]
    axes = [axis for axis in range(3) if axis != floor.axis]
    soft = 3 * _SHADOW_SOFT_M
    low, high = (np.array(place) for place in (cells[0].low, cells[-1].high))
    corners = np.empty((4, 3))
    corners[:, floor.axis] = floor.level_m
    corners[:, axes[0]] = np.array([low[axes[0]] - soft, high[axes[0]] + soft])[[0, 1, 0, 1]]
    corners[:, axes[1]] = np.array([low[axes[1]] - soft, high[axes[1]] + soft])[[0, 0, 1, 1]]
    points = camera.project(corners, pose)
    if np.isnan(points).any():
        return
    x0, y0 = np.clip(np.floor(points.min(axis=0)), 0, (camera.width_px, camera.height_px)).astype(int)
    x1, y1 = np.clip(np.ceil(points.max(axis=0)), 0, (camera.width_px, camera.height_px)).astype(int)
    x = (np.arange(x0, x1) + 0.5 - camera.x_px) / camera.focal_px
    y = (np.arange(y0, y1) + 0.5 - camera.y_px)[:, None] / camera.focal_px
    ray = [pose.rotation[0, a] * x + pose.rotation[1, a] * y + pose.rotation[2, a] for a in range(3)]
    to_floor = (floor.level_m - pose.position[floor.axis]) / np.where(ray[floor.axis] == 0, 1e-9, ray[floor.axis])
    first, second = (pose.position[a] + to_floor * ray[a] for a in axes)
    shade = sum(_soft(first, box.low[axes[0]], box.high[axes[0]]) * _soft(second, box.low[axes[1]], box.high[axes[1]])
                for box in cells) * (to_floor > 0)  # fmt: skip
    part = picture[y0:y1, x0:x1]
    part[:] = np.rint(part * (1 - _SHADOW * np.clip(shade, 0, 1))[..., None]).astype(np.uint8)


def _soft(place: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """1 inside, 0 outside, with soft borders."""
    return np.asarray(np.tanh((place - low) / _SHADOW_SOFT_M) - np.tanh((place - high) / _SHADOW_SOFT_M)) / 2


def draw_triad(picture: Picture, pose: Pose) -> None:
    """The axes of the pack as the camera sees them, in place."""
    import cv2

    unit = _unit(picture.shape[1], picture.shape[0])
    middle = np.array([picture.shape[1], picture.shape[0]]) - np.subtract(SIZE_PX, _TRIAD) * unit
    arms = pose.rotation[:2].T * 17 * unit  # (3 axes, 2)
    order = np.argsort(-pose.rotation[2])  # the one that points away first
    size = max(1, round(6 * unit))
    colours = ((190, 20, 20), (15, 160, 15), (20, 20, 230))
    for axis in (a for a in order if pose.rotation[2, a] > 0):
        _arrow(picture, middle, middle + arms[axis], colours[axis], unit)
    low, high = (np.rint(middle + side).astype(int).tolist() for side in (-size, size))
    cv2.rectangle(picture, low, high, (170, 170, 170), -1)
    cv2.rectangle(picture, low, high, (70, 70, 70), 1)
    for axis in (a for a in order if pose.rotation[2, a] <= 0):
        _arrow(picture, middle, middle + arms[axis], colours[axis], unit)
    sphere = np.rint(middle + 16 * unit * np.array([1.0, -1.0])).astype(int).tolist()
    cv2.circle(picture, sphere, max(1, round(3 * unit)), (20, 180, 180), -1, cv2.LINE_AA)


def _arrow(
    picture: Picture, start: NDArray[np.float64], end: NDArray[np.float64], colour: tuple[int, int, int], unit: float
) -> None:
    import cv2

    tail, head = (np.rint(place).astype(int).tolist() for place in (start, end))
    cv2.arrowedLine(picture, tail, head, colour, max(1, round(2 * unit)), cv2.LINE_AA, 0, 0.35)
