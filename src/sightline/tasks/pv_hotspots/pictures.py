"""Decoding untrusted JPEG, PNG and TIFF: what they claim is checked before a pixel is decoded."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile, JpegImagePlugin, PngImagePlugin

from sightline.errors import DataRejected
from sightline.task import Limits
from sightline.tasks.pv_hotspots.radiometry import jpeg_segments

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LARGEST = 1e7  # float32 still tells whole numbers apart
_CONVERT = "Convert it to an 8-bit RGB or grey, or a 16-bit grey image."
_COPY_AGAIN = "Copy it again from its source."


def decode(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    """The pixels of an image: (h, w, 3) uint8 RGB, or (h, w) grey as uint8, uint16 or float.

    The format is told by the content, not by a name.

    Raises:
        DataRejected: not a JPEG, PNG or TIFF, truncated, too many pixels, or a mode no thermal camera writes.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return _guarded(_decode_jpeg, data, limits, where)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _guarded(_decode_png, data, limits, where)
    if data[:4] in _TIFF_MAGIC:
        return _guarded(_decode_tiff, data, limits, where)
    raise DataRejected(
        "the content is not that of a JPEG, PNG or TIFF image",
        where=where,
        way_out="Export the thermogram as radiometric JPEG, PNG or TIFF.",
    )


def _guarded(
    decoder: Callable[[bytes, Limits, str], NDArray[Any]], data: bytes, limits: Limits, where: str
) -> NDArray[Any]:
    """Run a decoder; whatever a library raises on bytes it does not like means that the file is broken."""
    try:
        return decoder(data, limits, where)
    except DataRejected:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataRejected(f"the image is broken: {reason}", where=where, way_out=_COPY_AGAIN) from error


def _check_pixels(width: int, height: int, limits: Limits, where: str) -> None:
    if width <= 0 or height <= 0:
        raise DataRejected("the header names no size", where=where, way_out=_COPY_AGAIN)
    if width * height > limits.pixels:
        raise DataRejected(
            f"{width:,} x {height:,} pixels are more than {limits.pixels:,}",
            where=where,
            way_out="Give a smaller image or raise SIGHTLINE_MAX_PIXELS.",
        )


def _refuse_mode(mode: str, where: str) -> DataRejected:
    return DataRejected(f"a {mode} image is no thermogram", where=where, way_out=_CONVERT)


def _truncated(where: str) -> DataRejected:
    return DataRejected("the image is truncated: its end is missing", where=where, way_out=_COPY_AGAIN)


# ------------------------------------------------------------------------------------------------- JPEG and PNG


def _decode_jpeg(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    frame = b""
    for marker, payload in jpeg_segments(data):
        # SOF0 .. SOF15 without DHT, JPG and DAC; a second one could lie about the size that was checked.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if frame:
                raise DataRejected("the JPEG has two frame headers", where=where, way_out=_COPY_AGAIN)
            frame = payload
    if len(frame) < 6:
        raise DataRejected("the JPEG has no frame header", where=where, way_out=_COPY_AGAIN)
    height, width = struct.unpack(">HH", frame[1:5])
    _check_pixels(width, height, limits, where)
    if b"\xff\xd9" not in data[data.rfind(b"\xff\xda") :]:
        raise _truncated(where)
    # Not Image.open: that would also follow the index of a multi-picture file, which is as untrusted.
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        return _pixels(image, where)


def _decode_png(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise _truncated(where)
    width, height = struct.unpack(">II", data[16:24])
    _check_pixels(width, height, limits, where)
    if b"IEND" not in data[-64:]:
        raise _truncated(where)
    with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise DataRejected("animated images are not read", where=where, way_out="Give its frames one by one.")
        return _pixels(image, where)


def _pixels(image: ImageFile.ImageFile, where: str) -> NDArray[Any]:
    """Decode by mode; alpha is dropped, an indexed palette applied."""
    if image.mode == "RGB" or image.mode in ("RGBA", "P", "PA"):
        return np.asarray(image.convert("RGB"))
    if image.mode in ("L", "LA"):
        return np.asarray(image.convert("L"))
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    raise _refuse_mode(image.mode, where)


# --------------------------------------------------------------------------------------------------------- TIFF


def _decode_tiff(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        if len(tiff.pages) > 1 and not all(p.is_reduced for p in tiff.pages[1:]):
            raise DataRejected("it has several pages", where=where, way_out="Give its pages one by one.")
        _check_pixels(page.imagewidth, page.imagelength, limits, where)
        # A tile may be larger than the image it covers.
        _check_pixels(math.prod(page.chunks), 1, limits, where)
        _check_tiff_mode(page, where)
        ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if not ends or max(ends) > len(data) or 0 in page.databytecounts:
            raise _truncated(where)
        values: NDArray[Any] = page.asarray()
    if values.ndim == 3:
        return np.ascontiguousarray(values[..., :3])
    return _finite(values, where) if values.dtype.kind == "f" else values


def _finite(values: NDArray[Any], where: str) -> NDArray[np.float32]:
    """Floats as float32; NaN, infinity and what is neither a temperature nor a count is refused."""
    if not np.isfinite(values).all():
        raise DataRejected("it holds NaN or infinite values", where=where, way_out="Fill the missing pixels.")
    if np.abs(values).max() > _LARGEST:
        raise DataRejected(
            f"it holds values beyond {_LARGEST:.0e}", where=where, way_out="Give degrees Celsius, kelvin or counts."
        )
    return values.astype(np.float32)


def _check_tiff_mode(page: Any, where: str) -> None:
    """Grey of 8 or 16 bits or float, or interleaved 8-bit RGB (with or without alpha); nothing else is decoded."""
    grey = page.samplesperpixel == 1 and page.photometric.name == "MINISBLACK"
    colour = page.samplesperpixel in (3, 4) and page.photometric.name == "RGB" and page.planarconfig == 1
    kind = str(page.dtype)
    depth = getattr(page, "imagedepth", 1)
    if page.compression.name not in ("NONE", "LZW", "PACKBITS", "DEFLATE", "ADOBE_DEFLATE"):
        raise _refuse_mode(f"TIFF with {page.compression.name} compression", where)
    if depth == 1 and grey and kind in ("uint8", "uint16", "float32", "float64"):
        return
    if depth == 1 and colour and kind == "uint8":
        return
    raise _refuse_mode(f"{page.photometric.name}, {page.samplesperpixel} x {kind}", where)
