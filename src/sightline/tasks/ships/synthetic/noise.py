"""Random fields by Fourier synthesis: what makes drawn water, land and clouds look grown. All are periodic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.vision import synthesis

Field = NDArray[np.float32]
"""(h, w)."""


def fractal(rng: np.random.Generator, shape: tuple[int, int], slope: float, largest_px: float = 0.0) -> Field:
    """See `synthesis.fractal`."""
    return synthesis.fractal(rng, shape, slope, largest_px).astype(np.float32)


def waves(
    rng: np.random.Generator,
    shape: tuple[int, int],
    angle_rad: float,
    length_px: float,
    spread_rad: float = 0.3,
    octaves: float = 0.5,
) -> Field:
    """Noise of zero mean and unit variance whose crests are `length_px` apart in the direction `angle_rad`.

    Args:
        rng: its random stream.
        shape: (h, w).
        angle_rad: the direction in which the waves travel, from x towards y.
        length_px: from crest to crest.
        spread_rad: how far directions scatter.
        octaves: how far lengths scatter.
    """
    y, x = synthesis.frequencies(shape)
    frequency = np.maximum(np.hypot(y, x), 1e-9)
    away = (np.arctan2(y, x) - angle_rad + np.pi / 2) % np.pi - np.pi / 2  # a wave and its opposite are one
    amplitude = np.exp(-0.5 * (np.log2(frequency * length_px) / octaves) ** 2 - 0.5 * (away / spread_rad) ** 2)
    return synthesis.synthesised(rng, amplitude, shape).astype(np.float32)


def smooth_step(values: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, smooth between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), dtype=np.float32)
