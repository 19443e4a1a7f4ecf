"""TIFF: its directories, walked and checked before a pixel is decoded, and the values of its pages."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.images.orientation import UPRIGHT
from sightline.images.refusals import COPY_AGAIN, check_pixels, truncated, unread_mode
from sightline.task import Limits

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_BANDS = 64

_LOSSLESS = ("NONE", "LZW", "PACKBITS", "DEFLATE", "ADOBE_DEFLATE")
_BAND_TYPES = ("uint8", "uint16", "int16", "float16", "float32", "float64")
_VALUE_BYTES = {2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MAX_PAGES, _MAX_TAGS, _MAX_TAG_VALUES = 1024, 256, 2**20
_LARGEST = 1e7  # float32 still tells whole numbers apart

_REDUCED, _MASK = 0b001, 0b100  # of the tag NewSubfileType
_ORIENTATION = 274
_GEOGRAPHIC = (33550, 33922, 34264)  # pixel scale, tie points, transformation


@contextmanager
def open_tiff(data: bytes, where: str) -> Iterator[Any]:
    """A TiffFile whose directories were walked: they end, and point into the file."""
    import tifffile

    _check_directories(data, where)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        yield tiff


def picture_pages(tiff: Any) -> list[Any]:
    """The pages that hold a picture, without overviews and masks."""
    return [page for page in tiff.pages if not int(page.subfiletype) & (_REDUCED | _MASK)]


def compression_of(page: Any) -> str:
    """The name of a page's compression; a file that does not state it is not compressed (TIFF 6.0, page 30)."""
    import tifffile

    return str(tifffile.COMPRESSION(page.compression).name)


def orientation_of(page: Any) -> int:
    """How a page is to be shown; 1 where it lies on a map, whose coordinates are those of the stored pixels."""
    tag = page.tags.get(_ORIENTATION)
    if tag is None or any(code in page.tags for code in _GEOGRAPHIC):
        return UPRIGHT
    return int(tag.value) if tag.value in range(1, 9) else UPRIGHT


# ------------------------------------------------------------------------------------------------------ picture


def decode_tiff(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    """See `decode`."""
    with open_tiff(data, where) as tiff:
        page = tiff.pages[0]
        if len(tiff.pages) > 1 and not all(p.is_reduced for p in tiff.pages[1:]):
            raise DataRejected("it has several pages", where=where, way_out="Give its pages one by one.")
        check_pixels(page.imagewidth, page.imagelength, limits, where)
        # A tile may be larger than the image it covers.
        check_pixels(math.prod(page.chunks), 1, limits, where)
        _check_mode(page, where)
        _check_data(page, len(data), where)
        values: NDArray[Any] = page.asarray()
    if values.ndim == 3:
        return np.ascontiguousarray(values[..., :3])
    return _finite(values, where) if values.dtype.kind == "f" else values


def _finite(values: NDArray[Any], where: str) -> NDArray[np.float32]:
    """Floats as float32; NaN, infinity and what is no count and no physical unit is refused."""
    if not np.isfinite(values).all():
        raise DataRejected("it holds NaN or infinite values", where=where, way_out="Fill the missing pixels.")
    if np.abs(values).max() > _LARGEST:
        raise DataRejected(
            f"it holds values beyond {_LARGEST:.0e}", where=where, way_out="Give counts or a unit of that size."
        )
    return values.astype(np.float32)


def _check_mode(page: Any, where: str) -> None:
    """Grey of 8 or 16 bits or float, or interleaved 8-bit RGB (with or without alpha); nothing else is decoded."""
    grey = page.samplesperpixel == 1 and page.photometric.name == "MINISBLACK"
    colour = page.samplesperpixel in (3, 4) and page.photometric.name == "RGB" and page.planarconfig == 1
    kind = str(page.dtype)
    depth = getattr(page, "imagedepth", 1)
    if compression_of(page) not in _LOSSLESS:
        raise unread_mode(f"TIFF with {compression_of(page)} compression", where)
    if depth == 1 and grey and kind in ("uint8", "uint16", "float32", "float64"):
        return
    if depth == 1 and colour and kind == "uint8":
        return
    raise unread_mode(f"{page.photometric.name}, {page.samplesperpixel} x {kind}", where)


# -------------------------------------------------------------------------------------------------- directories


def _check_directories(data: bytes, where: str) -> None:
    """Walk the chain of directories: it ends, and what the tags point to lies within the file and is not too much."""
    order = "<" if data[:2] == b"II" else ">"
    big = b"+" in data[2:4]
    count, entry, link = (order + form for form in (("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")))
    head_bytes, entry_bytes, link_bytes = (struct.calcsize(form) for form in (count, entry, link))
    seen: set[int] = set()
    values = 0
    (at,) = struct.unpack_from(link, data, 8 if big else 4)
    while at:
        (tags,) = struct.unpack_from(count, data, at)
        if at in seen or len(seen) == _MAX_PAGES or tags > _MAX_TAGS:
            raise DataRejected("its pages or tags are too many or go in a circle", where=where, way_out=COPY_AGAIN)
        seen.add(at)
        at += head_bytes
        for _, kind, length, offset in struct.iter_unpack(entry, data[at : at + tags * entry_bytes]):
            size = length * _VALUE_BYTES.get(kind, 1)
            values += length if _VALUE_BYTES.get(kind, 1) > 1 else 0
            if size > link_bytes and offset + size > len(data):
                raise truncated(where)
        if values > _MAX_TAG_VALUES:
            raise DataRejected("it is cut into too many strips or tiles", where=where, way_out="Save larger tiles.")
        (at,) = struct.unpack_from(link, data, at + tags * entry_bytes)


def _check_data(page: Any, size: int, where: str) -> None:
    """Each chunk of the page is there and lies within the file."""
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if len(ends) < math.prod(page.chunked) or max(ends) > size or 0 in page.databytecounts:
        raise truncated(where)


# -------------------------------------------------------------------------------------------------------- bands


def decode_tiff_bands(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    """See `decode_bands`."""
    with open_tiff(data, where) as tiff:
        pages = picture_pages(tiff)
        _check_band_pages(pages, limits, where)
        for page in pages:
            _check_data(page, len(data), where)
        arrays = [page.asarray(squeeze=False)[:, 0] for page in pages]  # without the depth, which is 1
    return _bands_first(arrays, where)


def _check_band_pages(pages: list[Any], limits: Limits, where: str) -> None:
    """What the headers say: pages alike, of a kind that is read, and not too many values."""
    if not pages:
        raise DataRejected("it has no page", where=where, way_out=COPY_AGAIN)
    first = pages[0]
    check_pixels(first.imagewidth, first.imagelength, limits, where)
    bands = len(pages) * first.samplesperpixel
    if first.imagewidth * first.imagelength * bands > limits.pixels:
        raise DataRejected(
            f"{first.imagewidth:,} x {first.imagelength:,} pixels x {bands} are more than {limits.pixels:,} values",
            where=where,
            way_out="Give a smaller image or raise SIGHTLINE_MAX_PIXELS.",
        )
    for page in pages:
        check_pixels(math.prod(page.chunks), 1, limits, where)  # a tile may be larger than the image it covers
        if (page.shaped, page.dtype, page.planarconfig) != (first.shaped, first.dtype, first.planarconfig):
            raise DataRejected("its pages differ in size or type", where=where, way_out="Save one band a page.")
    kind = f"{first.photometric.name}, {first.samplesperpixel} x {first.dtype}, {compression_of(first)}"
    lossless = all(compression_of(page) in (*_LOSSLESS, "ZSTD") for page in pages)
    plain = first.photometric.name in ("MINISBLACK", "RGB") and first.imagedepth == 1
    if not (plain and lossless and str(first.dtype) in _BAND_TYPES):
        raise DataRejected(
            f"a TIFF of {kind} is not read",
            where=where,
            way_out="Save 8- or 16-bit integers or floats, uncompressed or by LZW, deflate, packbits or zstd.",
        )


def _bands_first(arrays: list[NDArray[Any]], where: str) -> NDArray[Any]:
    """A (planes, h, w, samples) array a page to (bands, h, w), in the machine's byte order."""
    planes, height, width, samples = arrays[0].shape
    if len(arrays) == 1:
        bands = np.moveaxis(arrays[0], -1, 1).reshape(-1, height, width)
    elif planes * samples == 1:
        bands = np.stack([array[0, ..., 0] for array in arrays])
        if len(arrays) > width <= MAX_BANDS:
            bands = np.moveaxis(bands, -1, 0)
    else:
        raise DataRejected(
            f"it has {len(arrays)} pages of {planes * samples} bands", where=where, way_out="Save one image a file."
        )
    if len(bands) > MAX_BANDS:
        raise DataRejected(f"{len(bands)} bands are more than {MAX_BANDS}", where=where, way_out="Save fewer bands.")
    return np.ascontiguousarray(bands, dtype=bands.dtype.newbyteorder("="))
