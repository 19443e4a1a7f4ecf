"""Where the land is: a natural coast or a harbour along one side of a scene, and what stands alone in the water."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.synthetic.ground import (
    ROCK,
    Axes,
    Ground,
    axes_of,
    bare_ground,
    disc,
    lane,
    paint_pattern,
    tinted,
)
from sightline.tasks.ships.synthetic.harbour import build_harbour, build_marina, build_pier
from sightline.tasks.ships.synthetic.noise import Field, fractal
from sightline.tasks.ships.synthetic.patterns import fish_farm, houses, sheds

Kind = Literal["harbour", "coast", "open"]
COASTS: tuple[Kind, Kind, Kind] = ("harbour", "coast", "open")

_GROUNDS = np.array([(178, 152, 126), (92, 88, 66), (164, 156, 146)], dtype=np.float32)
"""Earth, grass and scrub, paving."""


def build_coast(
    rng: np.random.Generator, shape: tuple[int, int], gsd_m: float, kind: Kind, shade_m: NDArray[np.float64]
) -> Ground:
    """A coast along one side of a scene of `shape` (h, w); in any scene there may be rocks, a breakwater, fish farms.

    Args:
        rng: its random stream.
        shape: (h, w) of the scene, in pixels.
        gsd_m: of the scene.
        kind: of the coast.
        shade_m: (2,) by how far something 10 m high throws its shadow, x and y.
    """
    ground = bare_ground(shape, gsd_m, shade_m)
    if kind != "open":
        axes, reach_m = _lay_land(rng, ground, kind)
        if kind == "harbour":
            build_harbour(rng, ground, axes, reach_m)
        else:
            _build_little(rng, ground, axes, reach_m)
    _scatter(rng, ground)
    _weather(rng, ground)
    return ground


def _build_little(rng: np.random.Generator, ground: Ground, axes: Axes, reach_m: float) -> None:
    """What a coast without a harbour may have."""
    at = rng.uniform(-0.5, 0.5) * reach_m
    if rng.random() < 0.4:
        build_pier(rng, ground, axes, at, (rng.uniform(80, 300), rng.uniform(4, 12)))
    elif rng.random() < 0.4:
        build_marina(rng, ground, axes, (at, at + rng.uniform(100, 250)), rng.uniform(80, 160))


def _weather(rng: np.random.Generator, ground: Ground) -> None:
    """Nothing built is of one colour; the sun makes it warm."""
    rough = rng.uniform(0.02, 0.07) * fractal(rng, ground.scene_shape, 0.5)
    rough += rng.uniform(0.03, 0.08) * fractal(rng, ground.scene_shape, 1.6)
    warm = np.array([1.04, 1.0, 0.93], dtype=np.float32)
    ground.colours[:] = np.clip(ground.colours * (1 + ground.spread(rough))[..., None] * warm, 0, 255)


def _lay_land(rng: np.random.Generator, ground: Ground, kind: Kind) -> tuple[Axes, float]:
    """Land behind a winding line, towns on it, and a beach; the axes of the coast and half its length in metres."""
    width, height = ground.extent_m
    out_rad = float(rng.integers(4)) * math.pi / 2 + rng.normal(0, 0.3)
    out = np.array([math.cos(out_rad), math.sin(out_rad)])
    across = abs(out[0]) * width + abs(out[1]) * height
    middle = np.array([width / 2, height / 2]) - out * across * rng.uniform(0.05, 0.42)
    axes = axes_of((float(middle[0]), float(middle[1])), out_rad)
    y, x = np.indices(ground.scene_shape, dtype=np.float32) * np.float32(ground.gsd_m * ground.fine)
    outward = (x - np.float32(middle[0])) * np.float32(out[0]) + (y - np.float32(middle[1])) * np.float32(out[1])
    winds = rng.uniform(0.004, 0.012) if kind == "harbour" else rng.uniform(0.015, 0.05)
    outward += np.float32(winds * max(width, height)) * fractal(rng, ground.scene_shape, 1.9)
    outward = ground.spread(outward)
    ground.cover[:] = np.clip(127 - outward / ground.gsd_m * 255, 0, 255)
    _paint_land(rng, ground)
    _settle(rng, ground, axes, outward)
    beach_m = float(rng.choice((0, 12, 30, 60))) if kind == "coast" else 0.0
    if beach_m:
        sand = outward > -np.float32(beach_m) * (1 + 0.3 * ground.spread(fractal(rng, ground.scene_shape, 1.4)))
        ground.colours[sand] = np.clip(np.array([236, 216, 186]) + rng.normal(0, 6, 3), 0, 255)
    return axes, (abs(out[1]) * width + abs(out[0]) * height) / 2


def _paint_land(rng: np.random.Generator, ground: Ground) -> None:
    """Earth, grass and paving everywhere."""
    dry, green, bare = (fractal(rng, ground.scene_shape, slope) for slope in (1.5, 1.6, 1.2))
    earth, grass, paved = _GROUNDS
    painted = paved + _share(dry)[..., None] * (earth - paved)
    painted += _share(green * 2 - rng.uniform(0, 2.5))[..., None] * (grass - painted)
    painted += (8 * bare + 6 * fractal(rng, ground.scene_shape, 0.4))[..., None]
    for band in range(3):
        ground.colours[..., band] = np.clip(ground.spread(painted[..., band]), 0, 255)


def _share(values: Field) -> Field:
    return np.asarray(1 / (1 + np.exp(-2 * values)), dtype=np.float32)


def _settle(rng: np.random.Generator, ground: Ground, axes: Axes, outward: Field) -> None:
    """Towns and works: three districts, each with streets of its own direction."""
    land = ground.cover > 127
    for pattern in (houses, houses, sheds):
        district = ground.spread(fractal(rng, ground.scene_shape, 1.8)) > rng.uniform(-0.4, 1.2)
        if pattern is sheds:
            district &= outward > -rng.uniform(200, 500)
        turned = axes.moved(0, 0, rng.normal(0, 0.5))
        paint_pattern(rng, ground, turned, land & district, pattern)


# -------------------------------------------------------------------------------------------- alone in the water


def _scatter(rng: np.random.Generator, ground: Ground) -> None:
    """Islands, rocks, a breakwater and fish farms, where there is water."""
    for paint, expected in ((_paint_island, 0.5), (_paint_rocks, 0.7), (_paint_farm, 0.4), (_lay_breakwater, 0.3)):
        for _ in range(rng.poisson(expected)):
            place = rng.uniform(0.08, 0.92, 2) * ground.extent_m
            if ground.is_water(place):
                paint(rng, ground, place)


def _paint_island(rng: np.random.Generator, ground: Ground, place: NDArray[np.float64]) -> None:
    """An island of 30 to 200 m, natural or made, some with houses."""
    corners = int(rng.integers(5, 12))
    angle = np.sort(rng.uniform(0, 0.6, corners) + np.arange(corners)) * 2 * math.pi / corners
    radius = math.exp(rng.uniform(math.log(20), math.log(120))) * rng.uniform(0.7, 1.1, corners)
    ring = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    ground.build(place + ring, tinted(rng, ROCK))
    ground.fill(place + 0.85 * ring, tinted(rng, (96, 94, 72), 14))
    if rng.random() < 0.5:
        paint_pattern(rng, ground, axes_of((float(place[0]), float(place[1])), 0.3), place + 0.6 * ring, houses)


def _paint_rocks(rng: np.random.Generator, ground: Ground, place: NDArray[np.float64]) -> None:
    """A handful of rocks with surf around them."""
    for _ in range(rng.integers(2, 9)):
        at = place + rng.normal(0, 40, 2)
        radius = rng.uniform(2, 14)
        if rng.random() < 0.6:
            ground.build(disc(at + rng.normal(0, 1, 2), radius * 1.3, 7), tinted(rng, (222, 226, 222)))
        ground.build(disc(at, radius, 6), tinted(rng, (112, 102, 90), 20))


def _paint_farm(rng: np.random.Generator, ground: Ground, place: NDArray[np.float64]) -> None:
    """A fish farm: rows of round cages."""
    axes = axes_of((float(place[0]), float(place[1])), rng.uniform(0, 2 * math.pi))
    area = axes.rectangle((0, rng.uniform(100, 500)), (0, rng.uniform(50, 160)))
    if all(ground.is_water(corner) for corner in area):
        paint_pattern(rng, ground, axes, area, fish_farm, built=True)


def _lay_breakwater(rng: np.random.Generator, ground: Ground, place: NDArray[np.float64]) -> None:
    """A line of rocks with one bend, alone in the water."""
    heading = rng.uniform(0, 2 * math.pi)
    points = [place]
    for turned in (0.0, rng.normal(0, 0.4)):
        ahead = np.array([math.cos(heading + turned), math.sin(heading + turned)])
        points.append(points[-1] + ahead * rng.uniform(60, 350))
    for piece in lane(np.array(points), rng.uniform(8, 20)):
        ground.build(piece, tinted(rng, ROCK, 16))
