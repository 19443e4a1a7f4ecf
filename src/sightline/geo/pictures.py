"""Pictures of the ground: red, green and blue of 8 bits, decoded at once or window by window. Untrusted."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import PngImagePlugin

from sightline.errors import DataError, DataMissing, DataRejected
from sightline.images import decode, decode_bands, read_bytes
from sightline.task import Limits

FORMATS = ("image/jpeg", "image/png", "image/tiff")
MIN_SIDE_PX = 32

MOST_PIXELS = 32_768 * 32_768
"""Of what is read window by window."""
MAX_CHUNK_BYTES = 256 * 2**20
"""Largest strip or tile that is decoded: a file in one strip is read whole for any window."""
_COMPRESSIONS = ("NONE", "LZW", "PACKBITS", "DEFLATE", "ADOBE_DEFLATE", "ZSTD", "JPEG")
_REWRITE = "Rewrite it: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE -ot Byte IN OUT."

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


# -------------------------------------------------------------------------------------------------------- large


def check_large(path: Path) -> None:
    """Whether a TIFF can be read window by window, by its headers alone.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is no RGB of 8 bits, broken, truncated, or stored in pieces too large to be decoded.
    """
    import tifffile

    where = str(path)
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if not int(page.subfiletype) & 0b101]  # no overviews and masks
            if len(pages) != 1:
                raise DataRejected(f"it has {len(pages)} pages", where=where, way_out="Give its pages one by one.")
            _check_page(pages[0], path.stat().st_size, where)
    except FileNotFoundError as error:
        raise DataMissing("there is no such file", where=where, way_out="Check the path.") from error
    except DataError:
        raise
    except Exception as error:  # whatever the library raises on bytes it does not like: the file is broken
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise broken(reason, where) from error


def _check_page(page: Any, size: int, where: str) -> None:
    kind = f"{page.samplesperpixel} x {page.dtype}, {page.compression.name}"
    if page.compression.name not in _COMPRESSIONS or str(page.dtype) != "uint8" or page.samplesperpixel not in (3, 4):
        raise DataRejected(f"a TIFF of {kind} is not read", where=where, way_out=_REWRITE)
    if page.imagewidth * page.imagelength > MOST_PIXELS or min(page.imagewidth, page.imagelength) < MIN_SIDE_PX:
        raise DataRejected(
            f"{page.imagewidth:,} x {page.imagelength:,} pixels are too many or too few",
            where=where,
            way_out="Cut it into parts: gdal_translate -srcwin X Y WIDTH HEIGHT IN OUT.",
        )
    piece = math.prod(page.chunks)
    if piece > MAX_CHUNK_BYTES:
        raise DataRejected(
            f"it is stored in pieces of {piece / 2**20:.0f} MB, which each window would decode whole",
            where=where,
            way_out=_REWRITE,
        )
    # A piece that is all without data may be left out of a sparse file; one that starts nowhere is not missing.
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True) if count]
    if not page.dataoffsets or max(ends, default=0) > size:
        raise broken("its end is missing", where)


def broken(why: str, where: str) -> DataRejected:
    """What is told of a file that a library cannot read."""
    return DataRejected(f"the image is broken: {why}", where=where, way_out="Copy it again from its source.")
