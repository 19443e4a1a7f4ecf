"""How near an enlarged picture comes to the true one: PSNR and SSIM as the super-resolution literature counts them.

Colours as they are (RGB), a range of 255, and four pixels at each border left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

SHAVE_PX = 4
MIN_SIDE_PX = 11 + 2 * SHAVE_PX
"""SSIM's window has 11 px."""

_RANGE = 255.0
_SIGMA_PX = 1.5
_WINDOW_PX = 11


@dataclass(frozen=True)
class Fidelity:
    """Of one picture.

    Attributes:
        psnr_db: peak signal-to-noise ratio; infinite where nothing differs.
        ssim: structural similarity, 1 where nothing differs.
        pixels: how many were compared.
    """

    psnr_db: float
    ssim: float
    pixels: int


def fidelity(truth: Picture, answer: Picture) -> Fidelity:
    """Compare two pictures (h, w, 3).

    Raises:
        ValueError: they differ in size, or are smaller than MIN_SIDE_PX.
    """
    if truth.shape != answer.shape or truth.ndim != 3 or min(truth.shape[:2]) < MIN_SIDE_PX:
        raise ValueError(f"pictures of {truth.shape} and {answer.shape} cannot be compared")
    inner = slice(SHAVE_PX, -SHAVE_PX)
    first, second = (picture[inner, inner].astype(np.float64) for picture in (truth, answer))
    error = float(np.mean((first - second) ** 2))
    psnr_db = math.inf if error == 0 else 10 * math.log10(_RANGE**2 / error)
    return Fidelity(psnr_db, structural_similarity(first, second), first.shape[0] * first.shape[1])


def structural_similarity(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """SSIM of Wang et al. (2004): a Gaussian window of 11 px, sigma 1.5 px, K1 0.01, K2 0.03; the mean over channels.

    Args:
        first: (h, w, channels), values 0 .. 255.
        second: the same.
    """
    import cv2

    steady, contrast = (0.01 * _RANGE) ** 2, (0.03 * _RANGE) ** 2
    margin = slice(_WINDOW_PX // 2, -(_WINDOW_PX // 2))  # windows that lie inside the picture

    def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        blurred = cv2.GaussianBlur(values, (_WINDOW_PX, _WINDOW_PX), _SIGMA_PX)
        return np.asarray(blurred)[margin, margin]

    mean, other = smooth(first), smooth(second)
    variance, spread = smooth(first**2) - mean**2, smooth(second**2) - other**2
    shared = smooth(first * second) - mean * other
    likeness = (2 * mean * other + steady) * (2 * shared + contrast)
    return float(np.mean(likeness / ((mean**2 + other**2 + steady) * (variance + spread + contrast))))
