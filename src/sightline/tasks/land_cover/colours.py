"""The classes in colour, for people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.land_cover.bits import Bits, plane

COLOURS = (
    *((220, 50, 47), (180, 120, 180), (120, 120, 120), (200, 160, 90), (20, 110, 40)),
    *((170, 215, 120), (30, 90, 220), (60, 180, 235), (255, 140, 0), (255, 220, 0)),
)
"""(r, g, b) of CLASSES."""

_PAINTED = (5, 4, 3, 2, 1, 0, 6, 7, 8, 9)
"""CLASSES from the lowest to the topmost in pictures: what is small lies on what is large."""

_EMPTY_COLOUR = (245, 245, 245)


def coloured(bits: Bits) -> NDArray[np.uint8]:
    """(h, w, 3): the classes in their colours, small ones above large ones."""
    painted = np.full((*bits.shape, 3), _EMPTY_COLOUR, dtype=np.uint8)
    for index in _PAINTED:
        painted[plane(bits, index)] = COLOURS[index]
    return painted
