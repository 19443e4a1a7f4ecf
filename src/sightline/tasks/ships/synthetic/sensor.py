"""Between the ground and the file: clouds with their shadows, the sensor's blur, sharpening, grain and tone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.synthetic.noise import Field, fractal, smooth_step
from sightline.tasks.ships.synthetic.sea import Picture

_GRAIN = (0.72, 1.5, 0.75)
"""Blur, wider blur and its share: white noise filtered so has the correlations of the real pictures' grain, +0.4 to
the next pixel and -0.15 to the one after it."""


def draw_clouds(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Field:
    """0 .. 1, how much a cloud hides; about `share` of the picture lies under one."""
    if share <= 0:
        return np.zeros(shape, dtype=np.float32)
    field = fractal(rng, shape, 2.1) + np.float32(0.12) * fractal(rng, shape, 1.3, 60)
    edge = float(np.quantile(field, 1 - share))
    return np.float32(rng.uniform(0.6, 0.97)) * smooth_step(field, edge - 0.25, edge + rng.uniform(0.4, 1.2))


def add_clouds(rng: np.random.Generator, picture: Picture, clouds: Field, sun: NDArray[np.float64]) -> Picture:
    """The picture below clouds that throw a shadow."""
    if not clouds.any():
        return picture
    away = np.rint(sun * rng.uniform(15, 60)).astype(int)
    shaded = np.roll(clouds, (int(away[1]), int(away[0])), axis=(0, 1))
    white = (np.array([250, 250, 247]) - 8 * np.clip(fractal(rng, clouds.shape, 1.6), -2, 2)[..., None]).astype(
        np.float32
    )
    below = picture * (1 - np.float32(0.45) * shaded[..., None])
    return np.asarray(below + clouds[..., None] * (white - below), dtype=np.float32)


def expose(rng: np.random.Generator, picture: Picture) -> NDArray[np.uint8]:
    """(h, w, 3) as the file has it."""
    import cv2

    blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.6, 0.9))
    wide = cv2.GaussianBlur(blurred, (0, 0), rng.uniform(1.1, 1.5))
    sharp = blurred + np.float32(rng.uniform(0.3, 0.8)) * (blurred - wide)
    haze, gain = rng.uniform(-3, 10), rng.uniform(0.92, 1.06) * rng.normal(1, 0.02, 3)
    exposed = sharp * gain.astype(np.float32) + np.float32(haze) + _grain(rng, picture.shape[:2])
    return np.asarray(np.clip(np.rint(exposed), 0, 255), dtype=np.uint8)


def _grain(rng: np.random.Generator, shape: tuple[int, int]) -> Picture:
    """Noise that the three colours share for the most part."""
    import cv2

    near, wide, share = _GRAIN
    white = rng.standard_normal((*shape, 3), dtype=np.float32) * np.float32(0.38)
    white += rng.standard_normal((*shape, 1), dtype=np.float32)
    grain = cv2.GaussianBlur(white, (0, 0), near) - np.float32(share) * cv2.GaussianBlur(white, (0, 0), wide)
    return np.asarray(grain * np.float32(rng.uniform(1.8, 3.6) / grain.std()), dtype=np.float32)
