"""Fractal noise: what makes drawn soil, dust and snow look grown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def fractal(rng: np.random.Generator, shape: tuple[int, int], slope: float = 1.5, largest_px: float = 0.0) -> Array:
    """(h, w) Gaussian noise of zero mean and unit variance whose amplitude falls with frequency to the power `slope`.

    Args:
        rng: its random stream.
        shape: (h, w).
        slope: 0 is white, 1 rough, 2 smooth.
        largest_px: nothing larger than this is in it; 0 for no such limit. The noise is periodic.
    """
    height, width = shape
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(y, x)
    least = 1 / largest_px if largest_px else 0.0
    amplitude = np.where(frequency > 0, np.maximum(frequency, max(least, 1e-9)) ** -slope, 0.0)
    values = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * amplitude, s=shape)
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-12))
