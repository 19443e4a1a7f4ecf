"""From bytes to pixels, format by format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from sightline.errors import DataRejected
from sightline.images import jpeg, png, tiff
from sightline.images.heads import NO_IMAGE
from sightline.images.refusals import broken, check_pixels, unread_mode
from sightline.task import Limits

_LABELS = "Save the labels as an 8-bit PNG whose palette index or grey value is the class."


def decode(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    """The pixels of an image: (h, w, 3) uint8 RGB, or (h, w) grey as uint8, uint16 or float.

    The format is told by the content, not by a name.

    Raises:
        DataRejected: not a JPEG, PNG or TIFF, truncated, too many pixels, or a mode that is not read (CMYK, bilevel).
    """
    if data.startswith(jpeg.MAGIC):
        return _guarded(_decode_jpeg, data, limits, where)
    if data.startswith(png.MAGIC):
        return _guarded(_decode_png, data, limits, where)
    if data[:4] in tiff.MAGIC:
        return _guarded(tiff.decode_tiff, data, limits, where)
    raise DataRejected(NO_IMAGE, where=where, way_out="Give a JPEG, PNG or TIFF image.")


def decode_indices(data: bytes, limits: Limits, where: str) -> NDArray[np.uint8]:
    """The labels of a PNG: (h, w), the palette's index or the grey value as it is stored; colours are not looked at.

    Raises:
        DataRejected: not a PNG, truncated, too many pixels, or one that holds colours or more than 8 bits.
    """
    if not data.startswith(png.MAGIC):
        raise DataRejected("the content is not that of a PNG image", where=where, way_out=_LABELS)
    return _guarded(_decode_index_png, data, limits, where)


def decode_bands(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    """The values of a TIFF of one or several bands: (bands, h, w) uint8, uint16, int16, float16, float32 or float64.

    The bands may be pages, planes or interleaved samples. Where they are pages, the shorter of the stack's first and
    last axis is that of the bands: some programs write an array (h, w, bands) as h pages of (w, bands). NaN is kept;
    overviews and validity masks are left out.

    Raises:
        DataRejected: not a TIFF, truncated, too many values, more than MAX_BANDS bands, or a kind that is not read.
    """
    if data[:4] not in tiff.MAGIC:
        raise DataRejected(
            "the content is not that of a TIFF image", where=where, way_out="Give a TIFF image of all bands."
        )
    return _guarded(tiff.decode_tiff_bands, data, limits, where)


def _guarded(
    decoder: Callable[[bytes, Limits, str], NDArray[Any]], data: bytes, limits: Limits, where: str
) -> NDArray[Any]:
    """Run a decoder; whatever a library raises on bytes it does not like means that the file is broken."""
    try:
        return decoder(data, limits, where)
    except DataRejected:
        raise
    except Exception as error:
        raise broken(error, where) from error


def _decode_jpeg(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    layout = jpeg.jpeg_layout(data, where)
    check_pixels(layout.width, layout.height, limits, where)
    jpeg.check_scans(layout, limits, where)
    with jpeg.open_jpeg(data, layout) as image:
        return _pixels(image, where)


def _png_layout(data: bytes, limits: Limits, where: str) -> png.PngLayout:
    """The layout of a PNG whose size is within the limits, which is checked before anything else."""
    if len(data) >= 24:
        check_pixels(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"), limits, where)
    return png.png_layout(data, where)


def _decode_png(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    layout = _png_layout(data, limits, where)
    if layout.frames > 1:
        raise DataRejected("animated images are not read", where=where, way_out="Give its frames one by one.")
    with png.open_png(data, layout) as image:
        return _pixels(image, where)


def _decode_index_png(data: bytes, limits: Limits, where: str) -> NDArray[np.uint8]:
    layout = _png_layout(data, limits, where)
    bits, colour_type = layout.bits, layout.colour_type
    if colour_type not in (png.GREY, png.PALETTE) or bits > 8:
        alpha = "alpha" if colour_type == png.GREY_ALPHA else f"{bits} bits a pixel"
        kind = "colours" if colour_type in (png.COLOUR, png.COLOUR_ALPHA) else alpha
        raise DataRejected(f"it holds {kind}, not class indices", where=where, way_out=_LABELS)
    with png.open_png(data, layout) as image:
        if colour_type == png.PALETTE:
            return np.array(image, dtype=np.uint8)
        # Pillow stretches grey of 1, 2 and 4 bits to 0 .. 255.
        return np.asarray(image.convert("L")) // np.uint8(255 // (2**bits - 1))


def _pixels(image: ImageFile.ImageFile, where: str) -> NDArray[Any]:
    """Decode by mode; alpha is dropped, an indexed palette applied."""
    if image.mode == "RGB" or image.mode in ("RGBA", "P", "PA"):
        return np.asarray(image.convert("RGB"))
    if image.mode in ("L", "LA"):
        return np.asarray(image.convert("L"))
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    raise unread_mode(image.mode, where)
