"""What spoils a panel, drawn flat on its surface: dust, droppings, burnt cells, cracks and snow.

Each function takes the surface's colours, (h, w, 3) in 0 .. 1, and gives them back with the (h, w) area it spoils.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.vision.synthesis import Floats, fractal

Area = NDArray[np.bool_]
Spoil = Callable[["np.random.Generator", "SoilingParams", Floats, int], tuple[Floats, Area]]
"""(random stream, parameters, colours, pixels a cell) -> colours and area."""


class SoilingParams(Frozen):
    """How panels are spoilt. Pairs are the bounds of a uniform draw; sizes are in cells."""

    dust_share: tuple[float, float] = Field(description="of the panel; above 1 it covers all")
    dust_transmittance: tuple[float, float]
    droppings: tuple[int, int]
    dropping_cells: tuple[float, float] = Field(description="radius")
    drip_share: float = Field(ge=0, le=1, description="of the droppings that run down")
    snow_share: tuple[float, float]
    impacts: tuple[int, int]
    crack_branches: tuple[int, int]
    crack_cells: tuple[float, float] = Field(description="length of a branch")
    crack_turn_rad: float = Field(ge=0, description="spread of the walk's turns")
    crack_fork: float = Field(ge=0, le=1, description="chance of a fork at each step")
    burns: tuple[int, int]
    burn_cells: tuple[float, float] = Field(description="half a side")


def add_dust(rng: np.random.Generator, params: SoilingParams, colour: Floats, cell_px: int) -> tuple[Floats, Area]:
    """Fractal noise above a threshold; there the panel is seen through a layer of dust."""
    shape = (colour.shape[0], colour.shape[1])
    layer = fractal(rng, shape, 1.7)
    share = min(rng.uniform(*params.dust_share), 1.0)
    area = layer >= np.quantile(layer, 1 - share)
    grains = np.clip(1 + 0.25 * fractal(rng, shape, 0.7), 0.3, 1.5)
    opacity = np.clip((1 - rng.uniform(*params.dust_transmittance)) * grains, 0, 1) * area
    tint = np.array([0.62, 0.55, 0.45]) * rng.uniform(0.8, 1.15) + rng.normal(0, 0.02, 3)
    return _mixed(colour, tint, _soft(opacity, cell_px / 10)), area


def add_droppings(rng: np.random.Generator, params: SoilingParams, colour: Floats, cell_px: int) -> tuple[Floats, Area]:
    """White splashes with a ragged edge and a dark core; some run down the panel."""
    height, width = colour.shape[:2]
    area = np.zeros((height, width), dtype=bool)
    y, x = np.indices((height, width), dtype=np.float64)
    ragged = np.exp(0.35 * fractal(rng, (height, width), 1.1, largest_px=2 * cell_px))
    core = np.zeros((height, width))
    for _ in range(rng.integers(params.droppings[0], params.droppings[1] + 1)):
        low, high = params.dropping_cells
        radius = cell_px * low * (high / low) ** rng.beta(1.0, 2.0)  # small ones are many
        at = rng.uniform((0, 0), (height, width))
        distance = np.hypot((y - at[0]) / rng.uniform(0.8, 1.5), x - at[1]) * ragged
        if rng.random() < params.drip_share:
            below = np.clip(y - at[0], 0, rng.uniform(2, 6) * radius)
            distance = np.minimum(distance, np.hypot(y - at[0] - below, (x - at[1]) * 3.5) * ragged)
        area |= distance < radius
        core = np.maximum(core, np.clip(1 - distance / (0.4 * radius), 0, 1) * (rng.random() < 0.5))
    white = np.array([0.86, 0.85, 0.79]) * np.clip(1 + 0.08 * fractal(rng, (height, width), 0.8), 0.6, 1.1)[..., None]
    stain = white * (1 - 0.6 * core[..., None])
    return _mixed(colour, stain, 0.92 * _soft(area, cell_px / 25)), area


def add_snow(rng: np.random.Generator, params: SoilingParams, colour: Floats, cell_px: int) -> tuple[Floats, Area]:
    """Snow that has slid off in part: thresholded noise that leans on one edge."""
    height, width = colour.shape[:2]
    y, x = np.indices((height, width)) / max(height, width)
    direction = rng.uniform(0, 2 * np.pi)
    lean = rng.uniform(0.5, 3.0) * (y * np.sin(direction) + x * np.cos(direction))
    depth = fractal(rng, (height, width), 1.9) + 2 * lean
    area = depth >= np.quantile(depth, 1 - rng.uniform(*params.snow_share))
    slopes = np.gradient(_soft(depth, cell_px / 5), axis=1) * cell_px
    light = np.clip(0.9 + 0.06 * slopes + 0.02 * fractal(rng, (height, width), 0.5), 0.65, 1.0)
    return _mixed(colour, light[..., None] * np.array([0.97, 0.985, 1.0]), _soft(area, cell_px / 20)), area


def add_cracks(rng: np.random.Generator, params: SoilingParams, colour: Floats, cell_px: int) -> tuple[Floats, Area]:
    """Impacts from which branching random walks run; the glass around them is crazed and whitish."""
    import cv2

    height, width = colour.shape[:2]
    lines, glass = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(params.impacts[0], params.impacts[1] + 1)):
        at = rng.uniform((0.1 * width, 0.1 * height), (0.9 * width, 0.9 * height))
        length = cell_px * rng.uniform(*params.crack_cells)
        branches = _branches(rng, params, at, length)
        for branch in branches:
            cv2.polylines(lines, [np.round(branch).astype(np.int32)], False, 255, max(1, cell_px // 24), cv2.LINE_AA)
        # People outline the shattered glass, not each crack.
        hull = cv2.convexHull(np.round(np.concatenate(branches)).astype(np.int32))
        cv2.fillConvexPoly(glass, hull, 1)
        y, x = np.indices((height, width))
        crazed = np.exp(-np.hypot(x - at[0], y - at[1]) / (0.3 * length))
        colour = _mixed(
            colour, np.full(3, 0.85), np.clip(crazed * (0.6 + 0.5 * fractal(rng, (height, width), 0.4)), 0, 1)
        )
    return _mixed(colour, np.full(3, 0.88), 0.85 * (lines / 255.0)), glass > 0


def _branches(rng: np.random.Generator, params: SoilingParams, at: Floats, length: float) -> list[Floats]:
    """(k, 2) points x, y of each crack: walks away from `at` whose direction wanders, and that fork."""
    count = rng.integers(params.crack_branches[0], params.crack_branches[1] + 1)
    open_ends = [(at, angle, 1.0) for angle in 2 * np.pi * (np.arange(count) + rng.uniform(0, 1, count)) / count]
    steps = 14
    branches: list[Floats] = []
    while open_ends and len(branches) < 6 * count:
        point, angle, reach = open_ends.pop()
        points = [point]
        for step in range(int(steps * reach)):
            angle += rng.normal(0, params.crack_turn_rad)
            points.append(
                points[-1] + length / steps * rng.uniform(0.5, 1.5) * np.array([np.cos(angle), np.sin(angle)])
            )
            if rng.random() < params.crack_fork:
                fork = angle + rng.choice([-1, 1]) * rng.uniform(0.4, 1.0)
                open_ends.append((points[-1], fork, reach * (1 - step / steps) * 0.7))
        branches.append(np.array(points))
    return branches


def add_burns(rng: np.random.Generator, params: SoilingParams, colour: Floats, cell_px: int) -> tuple[Floats, Area]:
    """Burnt cells: a charred spot on the busbars with a brown rim, within about a cell."""
    height, width = colour.shape[:2]
    y, x = np.indices((height, width), dtype=np.float64)
    ragged = np.exp(0.12 * fractal(rng, (height, width), 1.3, largest_px=3 * cell_px))
    area = np.zeros((height, width), dtype=bool)
    for _ in range(rng.integers(params.burns[0], params.burns[1] + 1)):
        half = cell_px * rng.uniform(*params.burn_cells)
        at = (rng.integers(1, max(2, height // cell_px)) * cell_px - cell_px / 2,
              rng.integers(1, max(2, width // cell_px)) * cell_px - cell_px / 2)  # fmt: skip
        # Between a square and a circle: the burn fills its cell.
        distance = (
            ((np.abs(y - at[0]) / rng.uniform(0.6, 1.2)) ** 3 + np.abs(x - at[1]) ** 3) ** (1 / 3) * ragged / half
        )
        rim = np.array([0.50, 0.33, 0.18]) * rng.uniform(0.7, 1.2)
        colour = _mixed(colour, rim, 0.8 * np.clip((1.15 - distance) / 0.3, 0, 1))
        char = np.array([0.07, 0.05, 0.04]) * rng.uniform(0.6, 2.5)
        colour = _mixed(colour, char, 0.9 * np.clip((0.75 - distance) / 0.3, 0, 1))
        area |= distance < 1.0
    return colour, area


def _mixed(colour: Floats, other: Floats, share: Floats) -> Floats:
    """`share` (h, w) of the other colour, which is one for all pixels or one each."""
    return np.asarray(colour * (1 - share[..., None]) + other * share[..., None])


def _soft(values: NDArray[np.generic], sigma_px: float) -> Floats:
    import cv2

    blurred = cv2.GaussianBlur(values.astype(np.float32), (0, 0), max(sigma_px, 0.3))
    return np.asarray(blurred, dtype=np.float64)


SPOILS: dict[str, Spoil] = {
    "bird-drop": add_droppings,
    "dusty": add_dust,
    "electrical-damage": add_burns,
    "physical-damage": add_cracks,
    "snow-covered": add_snow,
}
"""Class -> what draws it."""
