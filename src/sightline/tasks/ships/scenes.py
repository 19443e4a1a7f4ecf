"""Whole scenes as pictures. Untrusted."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import PngImagePlugin

from sightline.errors import DataRejected
from sightline.images import decode, decode_bands, read_bytes
from sightline.task import Limits

MIN_SIDE_PX = 32

_CONVERT = "Save it as RGB with 8 bits a colour."


def read_scene_pixels(source: Path | bytes, limits: Limits, where: str = "") -> NDArray[np.uint8]:
    """The (h, w, 3) RGB pixels of a JPEG, PNG or TIFF; black where the picture is wholly transparent.

    The format is told by the content: scenes come as JPEG under the name of a PNG.

    Args:
        source: a file, or its bytes.
        limits: most bytes and pixels (of a TIFF: values of all bands); both are checked before anything is decoded.
        where: what messages call the input; the path, or "image", where empty.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is no such picture, broken, too large or too small, of one band or of 16 bits.
    """
    where = where or (str(source) if isinstance(source, Path) else "image")
    data = read_bytes(source, limits, where)
    if data[:2] in (b"II", b"MM"):
        pixels = _from_bands(decode_bands(data, limits, where), where)
    else:
        _refuse_deep_png(data, where)
        values = decode(data, limits, where)
        if values.ndim != 3:
            raise DataRejected("a picture of one band has no colours", where=where, way_out=_CONVERT)
        pixels = _without_hidden(values, data)
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        raise DataRejected(
            f"{width} x {height} pixels are too few",
            where=where,
            way_out=f"Give an image of at least {MIN_SIDE_PX} x {MIN_SIDE_PX} pixels.",
        )
    return pixels


def _from_bands(bands: NDArray[np.generic], where: str) -> NDArray[np.uint8]:
    """(3 or 4, h, w) to (h, w, 3); the fourth band is opacity."""
    if bands.dtype != np.uint8:
        raise DataRejected(f"it holds {bands.dtype} values, not 8 bits a colour", where=where, way_out=_CONVERT)
    if len(bands) not in (3, 4):
        raise DataRejected(f"it has {len(bands)} bands, not red, green and blue", where=where, way_out=_CONVERT)
    pixels = np.moveaxis(bands[:3].astype(np.uint8), 0, -1)
    if len(bands) == 4:
        pixels = pixels * (bands[3] != 0)[..., None]
    return np.ascontiguousarray(pixels)


def _refuse_deep_png(data: bytes, where: str) -> None:
    """16 bits a colour would be cut to 8 without a word."""
    if data.startswith(b"\x89PNG") and data[24:25] == b"\x10":
        raise DataRejected("it holds 16 bits a colour", where=where, way_out=_CONVERT)


def _without_hidden(pixels: NDArray[np.uint8], data: bytes) -> NDArray[np.uint8]:
    """Black where the opacity is 0: what lies below is nobody's."""
    if not data.startswith(b"\x89PNG"):
        return pixels
    with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:  # `decode` has looked at it before
        if image.mode not in ("RGBA", "PA") and "transparency" not in image.info:
            return pixels
        opacity = np.asarray(image.convert("RGBA").getchannel("A"))
    return pixels * (opacity != 0)[..., None] if (opacity == 0).any() else pixels
