"""How land looks: bare ground, blocks of houses, sheds, quays with containers, beaches. Colours as displayed.

All is drawn with anti-aliased polygons on a picture of 8 bits, in axes that are turned with the coast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.synthetic.noise import Field, fractal

Canvas = NDArray[np.uint8]
"""(h, w, 3) RGB, or (h, w) cover of 0 .. 255."""

CONCRETE = (200, 188, 170)
ROCK = (150, 136, 118)

_ROOFS = (
    (232, 228, 218),
    (206, 196, 182),
    (176, 150, 126),
    (150, 140, 132),
    (196, 176, 152),
    (120, 110, 104),
    (244, 243, 238),
)
_CONTAINERS = ((176, 96, 78), (74, 84, 106), (52, 54, 58), (222, 216, 206), (150, 130, 108), (60, 62, 64))
_SHIFT = 4  # bits of a pixel that corners are given in


@dataclass(frozen=True)
class Axes:
    """Axes turned with the coast: `along` it to the right, `out` to the sea. Unit vectors x, y in pixels."""

    origin: NDArray[np.float64]
    along: NDArray[np.float64]
    out: NDArray[np.float64]

    def at(self, along: float, out: float) -> NDArray[np.float64]:
        """(2,) pixel x, y of a place in these axes."""
        return np.asarray(self.origin + along * self.along + out * self.out)

    def rectangle(self, along: tuple[float, float], out: tuple[float, float]) -> NDArray[np.float64]:
        """(4, 2) corners."""
        (a0, a1), (b0, b1) = along, out
        return np.array([self.at(a0, b0), self.at(a1, b0), self.at(a1, b1), self.at(a0, b1)])


def axes_of(origin: tuple[float, float], out_rad: float) -> Axes:
    """Axes whose `out` points in the direction `out_rad`, from x towards y."""
    out = np.array([math.cos(out_rad), math.sin(out_rad)])
    return Axes(np.array(origin), np.array([-out[1], out[0]]), out)


def fill(canvas: Canvas, corners: NDArray[np.float64], colour: tuple[float, ...] | float) -> None:
    """A filled polygon of (n, 2) corners in pixels, whose edges cover pixels partly."""
    import cv2

    fixed = np.rint((corners - 0.5) * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], colour, cv2.LINE_AA, _SHIFT)


def tinted(rng: np.random.Generator, colour: tuple[int, int, int], spread: float = 10) -> tuple[float, ...]:
    """A colour a little off."""
    return tuple(
        float(value) for value in np.clip(np.array(colour) + rng.normal(0, spread) + rng.normal(0, 3, 3), 0, 255)
    )


def paint_ground(rng: np.random.Generator, shape: tuple[int, int]) -> Canvas:
    """Earth, grass and paving everywhere; (h, w, 3)."""
    dry, green, bare = (fractal(rng, shape, slope) for slope in (1.5, 1.6, 1.2))
    tan, grass, grey = np.array([[178, 152, 126], [92, 88, 66], [164, 156, 146]], dtype=np.float32)
    mix = _share(dry)[..., None]
    ground = grey + mix * (tan - grey)
    ground += _share(green * 2 - 1.6)[..., None] * (grass - ground)
    ground += (9 * bare + 7 * fractal(rng, shape, 0.4))[..., None]
    return np.asarray(np.clip(ground, 0, 255), dtype=np.uint8)


def _share(values: Field) -> Field:
    return np.asarray(1 / (1 + np.exp(-2 * values)), dtype=np.float32)


def build_town(rng: np.random.Generator, canvas: Canvas, land: NDArray[np.bool_], axes: Axes) -> None:
    """Blocks in a grid over all land: houses, sheds, car parks or nothing, by district."""
    height, width = land.shape
    districts = fractal(rng, land.shape, 1.8)
    reach = math.hypot(height, width)
    a, b = rng.uniform(22, 44), rng.uniform(16, 26)
    street = tinted(rng, (150, 144, 138))
    for at_a in np.arange(-reach, reach, a):
        for at_b in np.arange(-reach, 0, b):
            x, y = axes.at(at_a + a / 2, at_b + b / 2)
            if not (0 <= x < width and 0 <= y < height) or not land[int(y), int(x)]:
                continue
            district = districts[int(y), int(x)] + rng.normal(0, 0.25)
            if district > -0.6:
                fill(canvas, axes.rectangle((at_a, at_a + a), (at_b, at_b + 2.5)), street)
                fill(canvas, axes.rectangle((at_a, at_a + 2.5), (at_b, at_b + b)), street)
            if district > 0.3:
                _houses(rng, canvas, axes, (at_a + 3, at_a + a), (at_b + 3, at_b + b))
            elif district > -0.6:
                _sheds(rng, canvas, axes, (at_a + 3, at_a + a), (at_b + 3, at_b + b))


def _houses(
    rng: np.random.Generator, canvas: Canvas, axes: Axes, along: tuple[float, float], out: tuple[float, float]
) -> None:
    """Two rows of small roofs with dark gaps."""
    fill(canvas, axes.rectangle(along, out), tinted(rng, (112, 104, 94)))
    for row in (0, 1):
        low = out[0] + row * (out[1] - out[0]) / 2
        at = along[0]
        while at < along[1] - 3:
            long, deep = rng.uniform(2.5, 6), (out[1] - out[0]) * rng.uniform(0.25, 0.42)
            roof = _ROOFS[int(rng.integers(len(_ROOFS)))]
            fill(canvas, axes.rectangle((at, at + long), (low, low + deep)), tinted(rng, roof))
            at += long + rng.uniform(0.6, 2)


def _sheds(
    rng: np.random.Generator, canvas: Canvas, axes: Axes, along: tuple[float, float], out: tuple[float, float]
) -> None:
    """One to three large roofs and their shadow, tanks, or a yard."""
    choice = rng.random()
    if choice < 0.15:
        for _ in range(rng.integers(1, 4)):
            place = axes.at(rng.uniform(*along), rng.uniform(*out))
            _disc(canvas, place, rng.uniform(3, 7), tinted(rng, (240, 238, 230)))
        return
    if choice < 0.4:
        fill(canvas, axes.rectangle(along, out), tinted(rng, (172, 164, 154), 16))
        return
    at = along[0]
    while at < along[1] - 6:
        long = min(rng.uniform(8, 30), along[1] - at)
        deep = (out[1] - out[0]) * rng.uniform(0.5, 0.95)
        fill(canvas, axes.rectangle((at + 1, at + long + 1.5), (out[0] + 1, out[0] + deep + 1.5)), (62, 58, 54))
        roof = _ROOFS[int(rng.integers(len(_ROOFS)))]
        fill(canvas, axes.rectangle((at, at + long), (out[0], out[0] + deep)), tinted(rng, roof))
        at += long + rng.uniform(1, 5)


def _disc(canvas: Canvas, place: NDArray[np.float64], radius: float, colour: tuple[float, ...] | float) -> None:
    angle = np.linspace(0, 2 * math.pi, 20, endpoint=False)
    fill(canvas, place + radius * np.stack([np.cos(angle), np.sin(angle)], 1), colour)


def stack_containers(
    rng: np.random.Generator, canvas: Canvas, axes: Axes, along: tuple[float, float], out: tuple[float, float]
) -> None:
    """Rows of containers on a quay, and cars between."""
    gap, long = rng.uniform(7, 12), rng.uniform(12, 22)
    for at_b in np.arange(out[0], out[1] - 4, gap):
        for at_a in np.arange(along[0], along[1] - long, long + 3):
            if rng.random() < 0.25:
                continue
            for number in range(int(long // 2.2)):
                colour = _CONTAINERS[int(rng.integers(len(_CONTAINERS)))]
                start = at_a + number * 2.2
                fill(canvas, axes.rectangle((start, start + 2), (at_b, at_b + gap * 0.55)), tinted(rng, colour))


def paint_island(rng: np.random.Generator, canvas: Canvas, cover: Canvas, place: NDArray[np.float64]) -> None:
    """A made island with a wall of rock around, a few dozen pixels wide."""
    corners = int(rng.integers(4, 10))
    angle = np.sort(rng.uniform(0, 0.5, corners) + np.arange(corners)) * 2 * math.pi / corners
    ring = rng.uniform(16, 36) * np.stack([np.cos(angle), np.sin(angle)], 1)
    for share, colour in (
        (1.0, tinted(rng, ROCK)),
        (0.9, tinted(rng, (96, 84, 72))),
        (0.78, tinted(rng, CONCRETE, 18)),
    ):
        fill(canvas, place + share * ring, colour)
    fill(cover, place + ring, 255)
    for _ in range(rng.integers(3, 9)):
        at = place + rng.uniform(-0.45, 0.45, 2) * 36
        _disc(canvas, at, rng.uniform(1.5, 5), tinted(rng, _ROOFS[int(rng.integers(len(_ROOFS)))]))


def paint_marina(
    rng: np.random.Generator,
    canvas: Canvas,
    cover: Canvas,
    axes: Axes,
    along: tuple[float, float],
    out: tuple[float, float],
) -> None:
    """Rows of moored boats on both sides of floating piers."""
    for at_a in np.arange(along[0], along[1], rng.uniform(9, 13)):
        reach = (out[0], out[1] * rng.uniform(0.7, 1))
        for picture, colour in ((canvas, tinted(rng, (170, 160, 148))), (cover, 255)):
            fill(picture, axes.rectangle((at_a - 0.4, at_a + 0.4), reach), colour)
        for at_b in np.arange(reach[0] + 3, reach[1], 1.6):
            for side in (-1, 1):
                if rng.random() < 0.85:
                    berth = tuple(sorted((at_a + side * 0.6, at_a + side * rng.uniform(3, 4.4))))
                    boat = axes.rectangle((berth[0], berth[1]), (at_b, at_b + 1.2))
                    fill(canvas, boat, tinted(rng, (240, 238, 232), 22))
                    fill(cover, boat, 255)
