"""Where the land is: a natural coast, or a harbour with quays, piers, breakwaters and berths."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.synthetic.land import (
    CONCRETE,
    ROCK,
    Axes,
    Canvas,
    axes_of,
    build_town,
    fill,
    paint_ground,
    paint_island,
    paint_marina,
    stack_containers,
    tinted,
)
from sightline.tasks.ships.synthetic.noise import fractal

Kind = Literal["harbour", "coast", "open"]
COASTS: tuple[Kind, Kind, Kind] = ("harbour", "coast", "open")


@dataclass(frozen=True)
class Berth:
    """A straight edge to moor at: (x, y) of its ends in pixels, and the unit vector from it to the water."""

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    out: NDArray[np.float64]


@dataclass
class Coast:
    """Land and what is built in the water.

    Attributes:
        cover: (h, w) 0 .. 255, how much of a pixel is not water.
        colours: (h, w, 3) of what covers.
        berths: where vessels may lie.
    """

    cover: Canvas
    colours: Canvas
    berths: list[Berth] = field(default_factory=list)


def build_coast(rng: np.random.Generator, shape: tuple[int, int], kind: Kind) -> Coast:
    """A coast along one side of a scene of (h, w) pixels; open water may have an island or a breakwater."""
    coast = Coast(np.zeros(shape, np.uint8), np.zeros((*shape, 3), np.uint8))
    if kind != "open":
        axes, reach = _lay_land(rng, coast, kind)
        if kind == "harbour":
            _build_harbour(rng, coast, axes, reach)
        elif rng.random() < 0.5:
            _build_pier(rng, coast, axes, rng.uniform(-0.3, 0.3) * reach, rng.uniform(40, 110), 3.0)
    height, width = shape
    for _ in range(rng.poisson(0.5)):
        place = rng.uniform(0.1, 0.9, 2) * (width, height)
        paint_island(rng, coast.colours, coast.cover, place)
    if rng.random() < 0.25:
        _build_breakwater(rng, coast, axes_of((width / 2, height / 2), rng.uniform(0, 2 * math.pi)), 0.35 * width)
    _weather(rng, coast.colours)
    return coast


def _weather(rng: np.random.Generator, colours: Canvas) -> None:
    """Nothing built is of one colour; the sun makes it warm."""
    rough = 1 + rng.uniform(0.06, 0.13) * fractal(rng, colours.shape[:2], 0.5)
    warm = np.array([1.04, 1.0, 0.93], dtype=np.float32)
    colours[:] = np.clip(colours * rough[..., None] * warm, 0, 255).astype(np.uint8)


def _lay_land(rng: np.random.Generator, coast: Coast, kind: Kind) -> tuple[Axes, float]:
    """Land behind a winding line, towns on it, and a beach; the axes of the coast and half its length."""
    height, width = coast.cover.shape
    out_rad = float(rng.integers(4)) * math.pi / 2 + rng.normal(0, 0.25)
    out = np.array([math.cos(out_rad), math.sin(out_rad)])
    across = abs(out[0]) * width + abs(out[1]) * height
    middle = np.array([width / 2, height / 2]) - out * across * rng.uniform(0.22, 0.42)
    axes = axes_of((float(middle[0]), float(middle[1])), out_rad)
    y, x = np.indices((height, width), dtype=np.float32)
    outward = (x - middle[0]) * out[0] + (y - middle[1]) * out[1]
    wind = rng.uniform(4, 12) if kind == "harbour" else rng.uniform(15, 60)
    outward += np.float32(wind) * fractal(rng, (height, width), 1.9)
    coast.cover[:] = np.clip(127 - outward * 255, 0, 255)
    coast.colours[:] = paint_ground(rng, (height, width))
    build_town(rng, coast.colours, coast.cover > 127, axes)
    if kind == "coast":
        beach = np.float32(rng.choice((0, 6, 14, 26)))
        sand = np.array([236, 212, 184]) + rng.normal(0, 5, 3)
        grown = -outward < beach * (1 + 0.3 * fractal(rng, (height, width), 1.4))
        coast.colours[grown] = np.clip(sand + rng.normal(0, 4, (int(grown.sum()), 1)), 0, 255)
    return axes, (abs(out[1]) * width + abs(out[0]) * height) / 2


# ------------------------------------------------------------------------------------------------------ harbour


def _build_harbour(rng: np.random.Generator, coast: Coast, axes: Axes, reach: float) -> None:
    """From one end of the coast to the other: quays, piers, a marina, or nothing."""
    at = -reach
    while at < reach:
        wide = rng.uniform(70, 190)
        choice = rng.random()
        if choice < 0.4:
            _build_quay(rng, coast, axes, (at, at + wide), rng.uniform(30, 170))
        elif choice < 0.7:
            for place in np.arange(at + 15, at + wide, rng.uniform(35, 70)):
                _build_pier(rng, coast, axes, place, rng.uniform(40, 150), rng.uniform(3, 14))
        elif choice < 0.85:
            paint_marina(rng, coast.colours, coast.cover, axes, (at + 10, at + wide), (-10.0, rng.uniform(25, 60)))
        at += wide + rng.uniform(10, 60)
    if rng.random() < 0.6:
        _build_breakwater(rng, coast, axes, 0.6 * reach)


def _build_quay(rng: np.random.Generator, coast: Coast, axes: Axes, along: tuple[float, float], reach: float) -> None:
    """Made land with straight edges, sheds or containers on it."""
    corners = axes.rectangle(along, (-45.0, reach))
    fill(coast.colours, corners, tinted(rng, CONCRETE, 14))
    fill(coast.cover, corners, 255)
    if rng.random() < 0.7:
        stack_containers(rng, coast.colours, axes, (along[0] + 5, along[1] - 5), (-35.0, reach - 10))
    for at in np.arange(along[0] + 12, along[1] - 12, rng.uniform(14, 40)):  # cranes reach out over the water
        if rng.random() < 0.4:
            colour = tinted(rng, (236, 232, 224))
            fill(coast.colours, axes.rectangle((at, at + 1.6), (reach - 14, reach + 7)), colour)
            fill(coast.cover, axes.rectangle((at, at + 1.6), (reach - 14, reach + 7)), 255)
    coast.berths.append(Berth(axes.at(along[0], reach), axes.at(along[1], reach), axes.out))
    for end, side in ((along[0], -1.0), (along[1], 1.0)):
        coast.berths.append(Berth(axes.at(end, 5), axes.at(end, reach), side * axes.along))


def _build_pier(rng: np.random.Generator, coast: Coast, axes: Axes, along: float, reach: float, wide: float) -> None:
    corners = axes.rectangle((along - wide / 2, along + wide / 2), (-60.0, reach))
    fill(coast.colours, corners, tinted(rng, CONCRETE, 14))
    fill(coast.cover, corners, 255)
    if wide > 7:
        shed = axes.rectangle((along - wide * 0.3, along + wide * 0.3), (5.0, reach - 8))
        fill(coast.colours, shed, tinted(rng, (170, 150, 135), 25))
    for side in (-1.0, 1.0):
        edge = along + side * wide / 2
        coast.berths.append(Berth(axes.at(edge, 5), axes.at(edge, reach), side * axes.along))


def _build_breakwater(rng: np.random.Generator, coast: Coast, axes: Axes, reach: float) -> None:
    """A line of rocks, straight or with one bend, awash in places."""
    import cv2

    out = rng.uniform(120, 230)
    points = [axes.at(rng.uniform(-1, -0.2) * reach, out), axes.at(0, out + rng.normal(0, 15))]
    points.append(axes.at(rng.uniform(0.2, 1) * reach, out + rng.normal(0, 25)))
    line = np.zeros_like(coast.cover)
    fixed = np.rint(np.array(points) * 16).astype(np.int32)
    cv2.polylines(line, [fixed], False, 255, int(rng.integers(2, 5)), cv2.LINE_AA, 4)
    rough = 1 + 0.25 * fractal(rng, line.shape, 0.5)
    on_line = line > 0
    coast.colours[on_line] = np.clip(np.array(tinted(rng, ROCK, 20)) * rough[on_line][:, None], 0, 255)
    np.maximum(coast.cover, line, out=coast.cover)
