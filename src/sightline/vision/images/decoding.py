"""From bytes to pixels, format by format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.vision.images import jpeg, png, tiff, tiff_pixels
from sightline.vision.images.heads import NO_IMAGE
from sightline.vision.images.orientation import as_stored, shown_size, upright
from sightline.vision.images.pixels import Pixels, filled, made_pixels
from sightline.vision.images.refusals import check_depth, check_pixels, refusing_broken, unread_mode

_Result = TypeVar("_Result")
_STRIP_PX = 2**22
_LABELS = "Save the labels as an 8-bit PNG whose palette index or grey value is the class."


def decode(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    """The values of `decode_picture`, 0 where there are no data."""
    pixels = decode_picture(data, limits, where)
    if pixels.valid is None:
        return pixels.values
    return pixels.values * (pixels.valid if pixels.values.ndim == 2 else pixels.valid[..., None])


def decode_picture(data: bytes, limits: Limits, where: str) -> Pixels:
    """The pixels of an image as it is shown: (h, w, 3) uint8 RGB, or (h, w) grey as uint8, uint16 or float.

    The format is told by the content, not by a name. The picture stands upright, as EXIF or TIFF say. Without data are
    pixels of opacity 0 (alpha, tRNS, and a band of a TIFF that ExtraSamples names alpha), those that the mask of a TIFF
    leaves out, and those of the value that GDAL's tag declares; they hold the median of the others. Scale and offset
    of grey values are applied where GDAL's metadata state them.

    Raises:
        DataRejected: not a JPEG, PNG or TIFF, truncated, too many pixels or passes over them, no pixel with data, or a
            mode that is not read (CMYK, bilevel).
    """
    if data.startswith(jpeg.MAGIC):
        return _guarded(_decode_jpeg, data, limits, where)
    if data.startswith(png.MAGIC):
        return _guarded(_decode_png, data, limits, where)
    if data[:4] in tiff.MAGIC:
        return _guarded(tiff_pixels.decode_tiff, data, limits, where)
    raise DataRejected(NO_IMAGE, where=where, way_out="Convert the file to a JPEG, PNG or TIFF image.")


def decode_indices(data: bytes, limits: Limits, where: str) -> NDArray[np.uint8]:
    """The labels of a PNG: (h, w), the palette's index or the grey value as it is stored; colours are not looked at.

    Raises:
        DataRejected: not a PNG, truncated, too many pixels, or one that holds colours or more than 8 bits.
    """
    if not data.startswith(png.MAGIC):
        raise DataRejected("the content is not that of a PNG image", where=where, way_out=_LABELS)
    return _guarded(_decode_index_png, data, limits, where)


def decode_bands(data: bytes, limits: Limits, where: str) -> Pixels:
    """The values of a TIFF of one or several bands: (bands, h, w) uint8, uint16, int16, float16, float32 or float64.

    The bands may be pages, planes or interleaved samples. Where they are pages, the shorter of the stack's first and
    last axis is that of the bands: some programs write an array (h, w, bands) as h pages of (w, bands). Overviews and
    bands of opacity are left out. What has no data is told as by `decode_picture`; it is kept as it is, and so is NaN.
    Scale and offset of GDAL's metadata are applied, which makes the values float32.

    Raises:
        DataRejected: not a TIFF, truncated, too many values, more than MAX_BANDS bands, no pixel with data, or a kind
            that is not read.
    """
    if data[:4] not in tiff.MAGIC:
        raise DataRejected(
            "the content is not that of a TIFF image", where=where, way_out="Give a TIFF image of all bands."
        )
    return _guarded(tiff_pixels.decode_tiff_bands, data, limits, where)


def _guarded(decoder: Callable[[bytes, Limits, str], _Result], data: bytes, limits: Limits, where: str) -> _Result:
    """Run a decoder on bytes that its library may not like."""
    with refusing_broken(where):
        return decoder(data, limits, where)


def _decode_jpeg(data: bytes, limits: Limits, where: str) -> Pixels:
    layout = jpeg.jpeg_layout(data, where)
    check_pixels(layout.width, layout.height, limits, where)
    jpeg.check_scans(layout, limits, where)
    with jpeg.open_jpeg(data, layout) as image:
        return _pixels(image, layout.orientation, where)


def _png_layout(data: bytes, limits: Limits, where: str) -> png.PngLayout:
    """The layout of a PNG whose size is within the limits, which is checked before anything else."""
    if len(data) >= 24:
        check_pixels(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"), limits, where)
    return png.png_layout(data, where)


def _decode_png(data: bytes, limits: Limits, where: str) -> Pixels:
    layout = _png_layout(data, limits, where)
    if layout.frames > 1:
        raise DataRejected(
            "animated images are not supported", where=where, way_out="Save each frame as a file of its own."
        )
    with png.open_png(data, layout) as image:
        pixels = _pixels(image, layout.orientation, where)
    if layout.bits == 16 and pixels.values.ndim == 3:  # Pillow has cut them to 8
        check_depth(int(pixels.values.max()), where)
    return pixels


def _decode_index_png(data: bytes, limits: Limits, where: str) -> NDArray[np.uint8]:
    layout = _png_layout(data, limits, where)
    bits, colour_type = layout.bits, layout.colour_type
    if colour_type not in (png.GREY, png.PALETTE) or bits > 8:
        alpha = "alpha" if colour_type == png.GREY_ALPHA else f"{bits} bits a pixel"
        kind = "colours" if colour_type in (png.COLOUR, png.COLOUR_ALPHA) else alpha
        raise DataRejected(f"the image holds {kind}, not class indices", where=where, way_out=_LABELS)
    with png.open_png(data, layout) as image:
        if colour_type == png.PALETTE:
            values = np.array(image, dtype=np.uint8)
        else:  # Pillow stretches grey of 1, 2 and 4 bits to 0 .. 255
            values = np.asarray(image.convert("L")) // np.uint8(255 // (2**bits - 1))
    return upright(values, layout.orientation)


# ----------------------------------------------------------------------------------------------------- by Pillow


def _pixels(image: ImageFile.ImageFile, orientation: int, where: str) -> Pixels:
    """Decode by mode: an indexed palette is applied, opacity tells where there are data."""
    mode = next((mode for mode, modes in _MODES.items() if image.mode in modes), None)
    if mode is None:
        raise unread_mode(_NAMES.get(image.mode, image.mode), where)
    values = _upright(image, mode, orientation)
    valid = None
    if image.mode.endswith("A") or "transparency" in image.info:
        valid = _upright(image, "A", orientation) != 0
    made = made_pixels(values, valid, where)
    return replace(made, values=filled(made.values, made.valid), orientation=orientation)


_MODES = {"RGB": ("RGB", "RGBA", "P", "PA"), "L": ("L", "LA"), "I;16": ("I;16", "I;16B", "I;16L", "I;16N", "I")}
_NAMES = {"1": "black-and-white (1-bit)"}


def _upright(image: ImageFile.ImageFile, mode: str, orientation: int) -> NDArray[np.generic]:
    """The picture's colours, grey values or opacity, a strip at a time: no second copy of all is made on the way."""
    width, height = image.size
    bands = (3,) if mode == "RGB" else ()
    size = shown_size(width, height, orientation)[::-1]
    shown = np.empty((*size, *bands), dtype=np.uint16 if mode == "I;16" else np.uint8)
    stored = as_stored(shown, orientation)
    rows = max(1, _STRIP_PX // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        stored[top : top + rows] = _strip(strip, mode)
    return shown


def _strip(strip: Image.Image, mode: str) -> NDArray[np.generic]:
    if mode == "A":
        return _opacity(strip)
    if mode == "I;16":
        return np.asarray(strip).astype(np.uint16)
    return np.asarray(strip if strip.mode == mode else strip.convert(mode))


def _opacity(strip: Image.Image) -> NDArray[np.uint8]:
    if strip.mode.startswith("I"):  # one grey value is transparent
        return np.where(np.asarray(strip) == strip.info["transparency"], 0, 255).astype(np.uint8)
    return np.asarray(strip.convert("RGBA").getchannel("A"))
