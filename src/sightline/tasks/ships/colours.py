"""A picture as another sensor, another day or another map would show it, so that none of them matters.

Coarser pixels; another light, gradation and colour of each band; paler or stronger colours; a black that swallows dark
water, as mosaics have; noise; and what JPEG leaves of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.params import AugmentParams

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def seen_otherwise(pixels: Pixels, params: AugmentParams, rng: np.random.Generator) -> tuple[Pixels, float]:
    """(h, w, 3) changed, and how many times coarser its pixels became (1: not)."""
    coarse = 1.0
    if rng.random() < params.coarse_share:
        coarse = float(np.exp(rng.uniform(0, np.log(params.coarsest))))
        pixels = _coarsened(pixels, coarse)
    lit = _lit(pixels.astype(np.float32) / np.float32(255), params, rng)
    lit += rng.standard_normal(lit.shape, dtype=np.float32) * np.float32(params.noise * rng.random())
    changed = np.round(np.clip(lit, 0, 1) * 255).astype(np.uint8)
    if rng.random() < params.jpeg_share:
        changed = _as_jpeg(changed, int(rng.integers(params.jpeg_quality[0], params.jpeg_quality[1] + 1)))
    return changed, coarse


def _coarsened(pixels: Pixels, factor: float) -> Pixels:
    """With pixels that are so many times larger, enlarged again as a scan does it."""
    import cv2

    height, width = pixels.shape[:2]
    small = (max(round(width / factor), 1), max(round(height / factor), 1))
    reduced = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(reduced, (width, height), interpolation=cv2.INTER_CUBIC))


def _lit(values: Floats, params: AugmentParams, rng: np.random.Generator) -> Floats:
    """Values of 0 .. 1 in another light; some become less than 0 or more than 1."""
    gamma = np.exp(rng.uniform(-1, 1) * params.gamma + rng.uniform(-1, 1, 3) * params.gamma / 3)
    gain = (1 + rng.uniform(-1, 1) * params.gain) * (1 + rng.uniform(-1, 1, 3) * params.band_gain)
    lit = values ** gamma.astype(np.float32) * gain.astype(np.float32)
    grey = lit.mean(axis=2, keepdims=True)
    lit = grey + (lit - grey) * np.float32(1 + rng.uniform(-1, 1) * params.saturation)
    middle = np.median(lit, axis=(0, 1), keepdims=True)
    lit = middle + (lit - middle) * np.float32(1 + rng.uniform(-1, 1) * params.contrast)
    return np.asarray(lit - np.float32(rng.random() * params.darkening) * middle, dtype=np.float32)


def _as_jpeg(pixels: Pixels, quality: int) -> Pixels:
    import cv2

    _, packed = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    unpacked = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.ascontiguousarray(unpacked[..., ::-1])
