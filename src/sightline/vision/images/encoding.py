"""Writing pictures for people and for warming models."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

KEPT = 6
"""The level of packing of what is kept on disk."""


def encode_png(pixels: NDArray[np.generic], level: int = 1) -> bytes:
    """A PNG of (h, w), (h, w, 3) or (h, w, 4) pixels, without a date or the name of a program.

    Packed fast rather than small, unless told: most are sent and forgotten.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=level)
    return file.getvalue()


def noise_picture(bands: int, height: int, width: int, high: int) -> bytes:
    """An encoded picture of noise in 0 .. `high`, always the same: PNG for three bands of 8 bits, else a TIFF of 16.

    What a model is warmed with where no real input is at hand.
    """
    values = np.random.default_rng(0).integers(0, high, (bands, height, width), endpoint=True)
    if bands == 3 and high <= 255:
        return encode_png(np.moveaxis(values.astype(np.uint8), 0, 2))
    import tifffile

    file = io.BytesIO()
    tifffile.imwrite(file, values.astype(np.uint16), photometric="minisblack")
    return file.getvalue()
