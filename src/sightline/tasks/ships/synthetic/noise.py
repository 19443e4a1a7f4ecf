"""Random fields by Fourier synthesis: what makes drawn water, land and clouds look grown. All are periodic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""(h, w)."""


def fractal(rng: np.random.Generator, shape: tuple[int, int], slope: float, largest_px: float = 0.0) -> Field:
    """Gaussian noise of zero mean and unit variance whose amplitude falls with frequency to the power `slope`.

    Args:
        rng: its random stream.
        shape: (h, w).
        slope: 0 is white, 1 rough, 2 smooth.
        largest_px: nothing larger than this is in it; 0 for no such limit.
    """
    y, x = _frequencies(shape)
    frequency = np.hypot(y, x)
    least = 1 / largest_px if largest_px else 1e-9
    return _synthesis(rng, np.where(frequency > 0, np.maximum(frequency, least) ** -slope, 0.0), shape)


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
    y, x = _frequencies(shape)
    frequency = np.maximum(np.hypot(y, x), 1e-9)
    away = (np.arctan2(y, x) - angle_rad + np.pi / 2) % np.pi - np.pi / 2  # a wave and its opposite are one
    amplitude = np.exp(-0.5 * (np.log2(frequency * length_px) / octaves) ** 2 - 0.5 * (away / spread_rad) ** 2)
    return _synthesis(rng, amplitude, shape)


def _frequencies(shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    return np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)


def _synthesis(rng: np.random.Generator, amplitude: NDArray[np.float64], shape: tuple[int, int]) -> Field:
    values = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * amplitude, s=shape)
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-12), dtype=np.float32)


def smooth_step(values: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, smooth between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), dtype=np.float32)
