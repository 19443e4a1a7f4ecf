"""Panels of 6 x 10 cells under perspective, in front of sky, roof or ground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.vision.synthesis import Floats, fractal

_SUPERSAMPLE = 2  # the picture is drawn twice as large and averaged


class SceneParams(Frozen):
    """Panels, camera and light. Pairs are the bounds of a uniform draw."""

    cells: tuple[int, int] = Field(description="across and along a panel")
    cell_px: int = Field(ge=8, description="of the flat drawing")
    panels_across: tuple[int, int]
    panels_along: tuple[int, int]
    tilt_deg: tuple[float, float] = Field(description="of the panels away from the camera")
    turn_deg: tuple[float, float]
    roll_deg: tuple[float, float]
    fill: tuple[float, float] = Field(description="the panels' extent over the frame's")
    focal: float = Field(gt=0, description="focal length over the frame's side")
    glare: float = Field(ge=0, description="most that the sky's reflection adds")
    exposure: tuple[float, float]
    noise: float = Field(ge=0, description="of a pixel, of full scale")


@dataclass(frozen=True)
class View:
    """A photograph before it is compressed.

    Attributes:
        colour: (h, w, 3) in 0 .. 1.
        areas: class -> (h, w) where it shows.
    """

    colour: Floats
    areas: Mapping[str, NDArray[np.bool_]]


def draw_panels(rng: np.random.Generator, params: SceneParams) -> Floats:
    """(h, w, 3) colours in 0 .. 1 of some panels side by side, seen straight on: cells, busbars, frames."""
    across, along = (int(rng.integers(low, high + 1)) for low, high in (params.panels_across, params.panels_along))
    panel = _draw_panel(rng, params)
    frame = max(2, params.cell_px // 6)
    panel = np.pad(panel, ((frame, frame), (frame, frame), (0, 0)), constant_values=rng.choice([0.06, 0.62, 0.75]))
    colour = np.tile(panel, (along, across, 1))
    shade = np.exp(0.05 * fractal(rng, (colour.shape[0], colour.shape[1]), 2.0))
    return np.asarray(np.clip(colour * shade[..., None], 0, 1))


def _draw_panel(rng: np.random.Generator, params: SceneParams) -> Floats:
    """One panel without its frame: mono- or polycrystalline cells."""
    columns, rows, size = *params.cells, params.cell_px
    mono = rng.random() < 0.45
    base = np.array([0.05, 0.06, 0.10]) if mono else np.array([0.07, 0.13, 0.32])
    base = np.clip(base * rng.uniform(0.7, 1.5) + rng.normal(0, 0.012, 3), 0.01, 1)
    y, x = np.indices((rows * size, columns * size))
    cells = np.exp(0.04 * rng.standard_normal((rows, columns)))
    grain = 0.02 if mono else 0.12
    light = cells[y // size, x // size] * np.exp(grain * fractal(rng, (rows * size, columns * size), 0.4))
    colour = base * light[..., None]
    v, u = y % size, x % size
    line = np.array([0.55, 0.58, 0.62]) * rng.uniform(0.5, 1.2)
    bars = int(rng.integers(2, 6))
    gap = max(1, size // 18)
    wires = np.isin(u, [round(size * (k + 0.5) / bars) for k in range(bars)])
    gaps = (u < gap) | (v < gap)
    corner = np.minimum(u, size - 1 - u) + np.minimum(v, size - 1 - v) < (size * 0.16 if mono else 0)
    for where, share in ((wires, 0.55), (gaps, 0.75), (corner, 0.85)):
        colour = np.where(where[..., None], colour * (1 - share) + line * share, colour)
    return np.asarray(colour)


def photograph(
    rng: np.random.Generator, params: SceneParams, side_px: int, flat: Floats, areas: Mapping[str, NDArray[np.bool_]]
) -> View:
    """Look at the flat drawing and its areas with a tilted camera."""
    import cv2

    side = side_px * _SUPERSAMPLE
    matrix = _homography(rng, params, side, (flat.shape[0], flat.shape[1]))
    snowy = "snow-covered" in areas and rng.random() < 0.6
    scene = _background(rng, side, snowy)

    def warp(values: NDArray[np.generic]) -> Floats:
        return np.asarray(cv2.warpPerspective(values.astype(np.float32), matrix, (side, side)))

    covered = warp(np.ones(flat.shape[:2]))[..., None]
    scene = scene * (1 - covered) + warp(flat) * covered
    scene = scene + _glare(rng, params, side)[..., None] * covered
    scene = cv2.resize(scene.astype(np.float32), (side_px, side_px), interpolation=cv2.INTER_AREA)
    seen = {
        name: cv2.resize(warp(area), (side_px, side_px), interpolation=cv2.INTER_AREA) > 0.5
        for name, area in areas.items()
    }
    return View(np.asarray(scene * rng.uniform(*params.exposure), dtype=np.float64), seen)


def _homography(rng: np.random.Generator, params: SceneParams, side: int, shape: tuple[int, int]) -> Floats:
    """(3, 3) from the flat drawing's pixels to the picture's, by a pinhole camera that looks near the middle."""
    import cv2

    height, width = shape
    tilt, turn, roll = (
        np.radians(rng.uniform(*bounds)) for bounds in (params.tilt_deg, params.turn_deg, params.roll_deg)
    )
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([width, height]) / max(width, height)
    points = np.concatenate([corners, np.zeros((4, 1))], axis=1)
    points = points @ _rotation(2, turn).T @ _rotation(0, -tilt).T @ _rotation(2, roll).T
    distance = 2 * params.focal / rng.uniform(*params.fill)
    depth = np.maximum(points[:, 2] + max(distance, 1.25), 0.2)
    middle = rng.uniform(-0.25, 0.25, 2)
    image = (points[:, :2] + middle) / depth[:, None] * params.focal * side + side / 2
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    return np.asarray(cv2.getPerspectiveTransform(flat, image.astype(np.float32)))


def _rotation(axis: int, angle: float) -> Floats:
    first, second = [k for k in range(3) if k != axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def _background(rng: np.random.Generator, side: int, snowy: bool) -> Floats:
    """(side, side, 3): sky above a horizon, below it a roof with courses of tiles, grass, sand or snow."""
    y, x = np.indices((side, side)) / side
    haze = np.clip(0.5 + 0.12 * fractal(rng, (side, side), 2.0), 0, 1)[..., None]
    sky = np.array([0.45, 0.62, 0.88]) * (1 - haze * y[..., None]) + np.array([0.93, 0.94, 0.96]) * haze * y[..., None]
    kinds = ((0.62, 0.36, 0.26), (0.36, 0.36, 0.37), (0.30, 0.37, 0.18), (0.66, 0.56, 0.42))
    ground = np.array([0.90, 0.92, 0.96]) if snowy else np.array(kinds[rng.integers(len(kinds))])
    texture = np.exp((0.05 if snowy else 0.22) * fractal(rng, (side, side), 0.9))
    courses = 1 - (0.0 if snowy else 0.25) * (np.sin(2 * np.pi * rng.uniform(8, 30) * (y + 0.2 * x)) > 0.85)
    below = ground * (texture * courses)[..., None]
    horizon = rng.uniform(-0.4, 0.55) + 0.05 * fractal(rng, (side, side), 1.8)[0]
    return np.asarray(np.where((y > horizon[None])[..., None], below, sky))


def _glare(rng: np.random.Generator, params: SceneParams, side: int) -> Floats:
    """(side, side) what the sky adds on glass: a slow change, and sometimes the sun."""
    y, x = np.indices((side, side)) / side - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    slow = rng.uniform(0, params.glare) * 0.5 * (0.5 + x * np.cos(angle) + y * np.sin(angle))
    if rng.random() < 0.2:
        at, size = rng.uniform(-0.5, 0.5, 2), rng.uniform(0.05, 0.25)
        slow = slow + params.glare * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * size**2))
    return np.asarray(np.clip(slow, 0, None))
