"""The water: its colour and turbidity, swell, streaks of the current, and glint. Levels are 0 .. 255 as displayed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.synthetic.noise import Field, fractal, smooth_step, waves

Picture = NDArray[np.float32]
"""(h, w, 3) RGB in levels of the display, 0 .. 255."""

BAYS = (
    (40, 56, 52),
    (45, 60, 54),
    (52, 68, 70),
    (59, 73, 71),
    (66, 79, 64),
    (76, 88, 83),
    (80, 92, 77),
    (90, 106, 98),
)
"""Mean colours of calm water in PlanetScope pictures of harbours and bays, from clear to full of silt."""

MAPS = (
    (0, 0, 4),
    (0, 5, 8),
    (1, 9, 10),
    (0, 17, 17),
    (2, 27, 15),
    (14, 18, 14),
    (4, 30, 36),
    (12, 44, 52),
    (28, 44, 44),
    (16, 50, 70),
    (46, 62, 52),
    (80, 70, 52),
    (104, 96, 72),
)
"""The same in pictures of map services, whose contrast is stretched for the land: water is dark, or full of silt."""

_WAVES_M = ((20, 66), (9, 18), (75, 240))
"""From crest to crest: swell, chop, and streaks along the current."""


@dataclass(frozen=True)
class Water:
    """How the water of a picture looks.

    Attributes:
        palette: mean colours, the clearest first.
        turbid: how far the water of plumes differs from the clear one, 0 .. 1.
        rough: by how much waves show.
        glint: standard deviation of the sun's reflections, in levels.
    """

    palette: tuple[tuple[int, int, int], ...]
    turbid: float
    rough: float = 1.0
    glint: float = 0.0


def paint_sea(rng: np.random.Generator, shape: tuple[int, int], gsd_m: float, water: Water) -> Picture:
    """Water of `shape` (h, w) in pixels of `gsd_m`."""
    last = len(water.palette)
    clear = _water(rng, water.palette[int(rng.integers(last - 1))])
    silt = _water(rng, water.palette[int(rng.integers(last // 2, last))])
    share = water.turbid * _plumes(rng, shape)
    sea = clear + share[..., None] * (silt - clear)
    surface = water.rough * _surface(rng, shape, gsd_m)
    if water.glint:
        surface += water.glint * _sparkle(rng, shape)
    sea += (surface * _patches(rng, shape))[..., None]
    return np.asarray(sea, dtype=np.float32)


def _water(rng: np.random.Generator, colour: tuple[int, int, int]) -> Picture:
    spread = min(2.0, 0.5 + max(colour) / 30)
    return np.asarray(np.array(colour) * rng.uniform(0.9, 1.1) + rng.normal(0, spread, 3), dtype=np.float32)


def _plumes(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """0 .. 1: silt that currents have drawn out; the edge of a plume is soft or a front."""
    import cv2

    field = fractal(rng, shape, 2.0)
    y, x = np.indices(shape, dtype=np.float32)
    reach = np.float32(rng.uniform(20, 70))
    right, down = (reach * fractal(rng, shape, 2.2) for _ in range(2))
    field = cv2.remap(field, x + right, y + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    middle, width = rng.uniform(-0.6, 1.0), rng.uniform(0.15, 1.2)
    return smooth_step(field, middle - width, middle + width) + np.float32(0.08) * fractal(rng, shape, 1.3, 40)


def _surface(rng: np.random.Generator, shape: tuple[int, int], gsd_m: float) -> Field:
    """Levels that swell, chop, streaks along the current and their glint add; what is finer than pixels averages."""
    wind = rng.uniform(0, math.pi)
    turned, spreads, octaves = (0.0, rng.normal(0, 0.4), math.pi / 2), (0.25, 0.7, 0.12), (0.5, 0.7, 1.0)
    strengths = rng.uniform((0.2, 0.3, 0.3), (1.3, 1.4, 2.2))
    total = np.zeros(shape, dtype=np.float32)
    for number, bounds in enumerate(_WAVES_M):
        length_px = float(rng.uniform(*bounds)) / gsd_m
        strength = strengths[number] * min(length_px / 3, 1.0)
        total += np.float32(strength) * waves(
            rng, shape, wind + turned[number], max(length_px, 2.0), spreads[number], octaves[number]
        )
    glint = rng.uniform(0, 0.9) ** 2 * np.exp(np.clip(total, -4, 4) * 0.6)
    return np.asarray(total + glint - glint.mean(), dtype=np.float32)


def _sparkle(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Reflections of the sun: pixel by pixel, in streaks, and stronger on one side of the picture."""
    grains = 0.8 * rng.standard_normal(shape, dtype=np.float32) + 0.6 * fractal(rng, shape, 0.6)
    wide = 1 + np.float32(0.5) * np.clip(fractal(rng, shape, 2.4), -2, 2)
    return np.asarray((grains + np.float32(1.5) * (wide - 1)) * np.clip(wide, 0.1, 2), dtype=np.float32)


def _patches(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """The wind is not everywhere the same."""
    return 1 + np.float32(0.25) * np.clip(fractal(rng, shape, 1.8), -2, 2)
