"""What synthetic sets are drawn with: streams of random numbers, and fields that look grown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def random_stream(seed: int, *numbers: int) -> np.random.Generator:
    """The stream of random numbers of one part of a set, told by its numbers: it depends on no other part."""
    return np.random.Generator(np.random.PCG64([seed, *numbers]))


def fractal(rng: np.random.Generator, shape: tuple[int, int], slope: float = 1.5, largest_px: float = 0.0) -> Floats:
    """(h, w) Gaussian noise of zero mean and unit variance whose amplitude falls with frequency to the power `slope`.

    Args:
        rng: its random stream.
        shape: (h, w).
        slope: 0 is white, 1 rough, 2 smooth.
        largest_px: nothing larger than this is in it; 0 for no such limit. The noise is periodic.
    """
    frequency = np.hypot(*frequencies(shape))
    least = 1 / largest_px if largest_px else 1e-9
    return synthesised(rng, np.where(frequency > 0, np.maximum(frequency, least) ** -slope, 0.0), shape)


def frequencies(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Cycles a pixel, down (h, 1) and right (1, w / 2 + 1), of the Fourier transform of a real field (h, w)."""
    down, right = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    return np.asarray(down, dtype=np.float64), np.asarray(right, dtype=np.float64)


def synthesised(rng: np.random.Generator, amplitude: Floats, shape: tuple[int, int]) -> Floats:
    """(h, w) noise of zero mean and unit variance that has these amplitudes at the `frequencies` of its shape."""
    values = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * amplitude, s=shape)
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-12))
