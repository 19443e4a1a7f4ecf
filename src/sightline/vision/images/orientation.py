"""How a picture is to be shown: the orientation of EXIF and TIFF, 1 .. 8.

The number says where the first row and the first column of the stored pixels are shown (TIFF 6.0, page 36; EXIF 2.32,
table 4). Browsers, labelling tools and viewers show the picture so; labels are drawn on what is shown.
"""

from __future__ import annotations

import struct
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

ScalarT = TypeVar("ScalarT", bound=np.generic)

UPRIGHT = 1
_TURNED = (5, 6, 7, 8)
"""Width and height change places."""

TAG = 0x0112
"""Of EXIF and of TIFF."""

_MAX_TAGS = 1024


def read_orientation(value: object) -> int:
    """What a tag says; 1 where it says nothing that can be."""
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT


def shown_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """(width, height) as shown, from those stored."""
    return (height, width) if orientation in _TURNED else (width, height)


def as_stored(shown: NDArray[ScalarT], orientation: int) -> NDArray[ScalarT]:
    """A view of an array (h, w, ...) that is shown, in which a decoder finds its pixels as they are stored.

    What is written into the view stands upright in the array: turning costs no copy.
    """
    if orientation in _TURNED:
        shown = shown.swapaxes(0, 1)
    rows, columns = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (-1, 1), 7: (-1, -1), 8: (1, -1)}.get(orientation, (1, 1))
    return shown[::rows, ::columns]


def upright(stored: NDArray[ScalarT], orientation: int) -> NDArray[ScalarT]:
    """An array (h, w, ...) as it is to be shown; the same array where it stands upright already."""
    if orientation == UPRIGHT:
        return stored
    height, width = stored.shape[:2]
    shown = np.empty((*shown_size(width, height, orientation)[::-1], *stored.shape[2:]), dtype=stored.dtype)
    as_stored(shown, orientation)[:] = stored
    return shown


def exif_orientation(block: bytes) -> int:
    """The orientation in a block of EXIF (a small TIFF); 1 where it names none or is broken."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 10:
        return UPRIGHT
    (start,) = struct.unpack_from(order + "I", block, 4)
    if start + 2 > len(block):
        return UPRIGHT
    (count,) = struct.unpack_from(order + "H", block, start)
    for at in range(start + 2, start + 2 + 12 * min(count, _MAX_TAGS), 12):
        if at + 12 > len(block):
            break
        tag, kind = struct.unpack_from(order + "HH", block, at)
        if tag == TAG:
            (value,) = struct.unpack_from(order + ("I" if kind == 4 else "H"), block, at + 8)
            return read_orientation(value)
    return UPRIGHT
