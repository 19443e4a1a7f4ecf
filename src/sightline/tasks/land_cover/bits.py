"""Ten overlapping masks in one raster: bit k - 1 of a pixel is class k."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.land_cover.shapes import CLASSES

Bits = NDArray[np.uint16]


def pack(masks: NDArray[np.bool_]) -> Bits:
    """(10, h, w) -> (h, w)."""
    bits = np.zeros(masks.shape[1:], dtype=np.uint16)
    for index, mask in enumerate(masks):
        bits |= mask.astype(np.uint16) << np.uint16(index)
    return bits


def unpack(bits: Bits) -> NDArray[np.bool_]:
    """(h, w) -> (10, h, w)."""
    return np.stack([plane(bits, index) for index in range(len(CLASSES))])


def plane(bits: Bits, index: int) -> NDArray[np.bool_]:
    """(h, w): where the class at `index` of CLASSES is."""
    return np.asarray((bits >> np.uint16(index)) & np.uint16(1) > 0)
