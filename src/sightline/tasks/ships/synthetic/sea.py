"""The water: its colour and turbidity, swell, streaks of the current, and glint. Levels are 0 .. 255 as displayed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.synthetic.noise import Field, fractal, smooth_step, waves

Picture = NDArray[np.float32]
"""(h, w, 3) RGB in levels of the display, 0 .. 255."""

WATERS = (
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


def paint_sea(rng: np.random.Generator, shape: tuple[int, int], turbid: float) -> Picture:
    """Water of `shape` (h, w).

    Args:
        rng: its random stream.
        shape: (h, w) pixels.
        turbid: how far the water of plumes differs from the clear one, 0 .. 1.
    """
    clear = _water(rng, int(rng.integers(len(WATERS) - 1)))
    silt = _water(rng, int(rng.integers(4, len(WATERS))))
    share = turbid * _plumes(rng, shape)
    sea = clear + share[..., None] * (silt - clear)
    sea += (_surface(rng, shape) * _patches(rng, shape))[..., None]
    return np.asarray(sea, dtype=np.float32)


def _water(rng: np.random.Generator, number: int) -> Picture:
    return np.asarray(np.array(WATERS[number]) * rng.uniform(0.92, 1.08) + rng.normal(0, 2, 3), dtype=np.float32)


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


def _surface(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Levels that swell, chop, streaks along the current and glint add."""
    wind = rng.uniform(0, math.pi)
    swell = rng.uniform(0.2, 1.3) * waves(rng, shape, wind, rng.uniform(7, 22), 0.25)
    chop = rng.uniform(0.3, 1.4) * waves(rng, shape, wind + rng.normal(0, 0.4), rng.uniform(3, 6), 0.7, 0.7)
    streaks = rng.uniform(0.3, 2.2) * waves(rng, shape, wind + math.pi / 2, rng.uniform(25, 80), 0.12, 1.0)
    glint = rng.uniform(0, 0.9) ** 2 * np.exp(np.clip(swell + chop, -4, 4) * 0.6)
    return np.asarray(swell + chop + streaks + glint - glint.mean(), dtype=np.float32)


def _patches(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """The wind is not everywhere the same."""
    return 1 + np.float32(0.25) * np.clip(fractal(rng, shape, 1.8), -2, 2)
