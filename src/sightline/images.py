"""Reading untrusted images: what JPEG, PNG and TIFF claim is checked before a pixel is decoded."""

from __future__ import annotations

import io
import math
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin

from sightline.errors import DataMissing, DataRejected
from sightline.task import Limits

MAX_BANDS = 64

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LOSSLESS = ("NONE", "LZW", "PACKBITS", "DEFLATE", "ADOBE_DEFLATE")
_BAND_TYPES = ("uint8", "uint16", "int16", "float16", "float32", "float64")
_VALUE_BYTES = {2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MAX_PAGES, _MAX_TAGS, _MAX_TAG_VALUES = 1024, 256, 2**20
_LARGEST = 1e7  # float32 still tells whole numbers apart
_CONVERT = "Convert it to an 8-bit RGB or grey, or a 16-bit grey image."
_COPY_AGAIN = "Copy it again from its source."
_LABELS = "Save the labels as an 8-bit PNG whose palette index or grey value is the class."


def read_bytes(source: Path | bytes, limits: Limits, where: str) -> bytes:
    """The bytes of a file, or those given, where they are not too many.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is a folder, unreadable, empty or larger than the limit.
    """
    if isinstance(source, bytes):
        data = source
    else:
        try:
            if source.exists() and not source.is_file():
                raise DataRejected("it is not a file", where=where, way_out="Give the path of one image.")
            with source.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                data = file.read(min(size, limits.bytes) + 1)  # a buffer of that size is made at once
        except FileNotFoundError as error:
            raise DataMissing("there is no such file", where=where, way_out="Check the path.") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataRejected(f"the file cannot be read: {reason}", where=where, way_out="Give a file.") from error
    if len(data) > limits.bytes:
        raise DataRejected(
            f"the file is larger than {limits.bytes:,} bytes",
            where=where,
            way_out="Give a smaller image or raise SIGHTLINE_MAX_BYTES.",
        )
    if not data:
        raise DataRejected("the file is empty", where=where, way_out="Copy it again from its source.")
    return data


def decode(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    """The pixels of an image: (h, w, 3) uint8 RGB, or (h, w) grey as uint8, uint16 or float.

    The format is told by the content, not by a name.

    Raises:
        DataRejected: not a JPEG, PNG or TIFF, truncated, too many pixels, or a mode that is not read (CMYK, bilevel).
    """
    if data.startswith(b"\xff\xd8\xff"):
        return _guarded(_decode_jpeg, data, limits, where)
    if data.startswith(_PNG_MAGIC):
        return _guarded(_decode_png, data, limits, where)
    if data[:4] in _TIFF_MAGIC:
        return _guarded(_decode_tiff, data, limits, where)
    raise DataRejected(
        "the content is not that of a JPEG, PNG or TIFF image", where=where, way_out="Give a JPEG, PNG or TIFF image."
    )


def decode_indices(data: bytes, limits: Limits, where: str) -> NDArray[np.uint8]:
    """The labels of a PNG: (h, w), the palette's index or the grey value as it is stored; colours are not looked at.

    Raises:
        DataRejected: not a PNG, truncated, too many pixels, or one that holds colours or more than 8 bits.
    """
    if not data.startswith(_PNG_MAGIC):
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
    if data[:4] not in _TIFF_MAGIC:
        raise DataRejected(
            "the content is not that of a TIFF image", where=where, way_out="Give a TIFF image of all bands."
        )
    return _guarded(_decode_band_tiff, data, limits, where)


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
    return DataRejected(f"a {mode} image is not read", where=where, way_out=_CONVERT)


def _truncated(where: str) -> DataRejected:
    return DataRejected("the image is truncated: its end is missing", where=where, way_out=_COPY_AGAIN)


# ---------------------------------------------------------------------------------------------------- encoding


def encode_png(pixels: NDArray[Any]) -> bytes:
    """A PNG of (h, w) or (h, w, 3) pixels, packed fast rather than small: it is sent and forgotten."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
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


# ------------------------------------------------------------------------------------------------- JPEG and PNG


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, payload) of each segment up to the start of the scan; stops where the structure breaks."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > len(data):
            return
        yield marker, data[at + 4 : at + 2 + length]
        if marker == 0xDA:
            return
        at += 2 + length


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
    _check_png(data, limits, where)
    with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise DataRejected("animated images are not read", where=where, way_out="Give its frames one by one.")
        return _pixels(image, where)


def _check_png(data: bytes, limits: Limits, where: str) -> None:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise _truncated(where)
    width, height = struct.unpack(">II", data[16:24])
    _check_pixels(width, height, limits, where)
    if b"IEND" not in data[-64:]:
        raise _truncated(where)


def _decode_index_png(data: bytes, limits: Limits, where: str) -> NDArray[np.uint8]:
    _check_png(data, limits, where)
    bits, colour_type = data[24], data[25]
    if colour_type not in (0, 3) or bits > 8:
        kind = "colours" if colour_type in (2, 6) else "alpha" if colour_type == 4 else f"{bits} bits a pixel"
        raise DataRejected(f"it holds {kind}, not class indices", where=where, way_out=_LABELS)
    with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
        if colour_type == 3:
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
    raise _refuse_mode(image.mode, where)


# --------------------------------------------------------------------------------------------------------- TIFF


def _decode_tiff(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    import tifffile

    _check_directories(data, where)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        if len(tiff.pages) > 1 and not all(p.is_reduced for p in tiff.pages[1:]):
            raise DataRejected("it has several pages", where=where, way_out="Give its pages one by one.")
        _check_pixels(page.imagewidth, page.imagelength, limits, where)
        # A tile may be larger than the image it covers.
        _check_pixels(math.prod(page.chunks), 1, limits, where)
        _check_tiff_mode(page, where)
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


def _check_tiff_mode(page: Any, where: str) -> None:
    """Grey of 8 or 16 bits or float, or interleaved 8-bit RGB (with or without alpha); nothing else is decoded."""
    grey = page.samplesperpixel == 1 and page.photometric.name == "MINISBLACK"
    colour = page.samplesperpixel in (3, 4) and page.photometric.name == "RGB" and page.planarconfig == 1
    kind = str(page.dtype)
    depth = getattr(page, "imagedepth", 1)
    if page.compression.name not in _LOSSLESS:
        raise _refuse_mode(f"TIFF with {page.compression.name} compression", where)
    if depth == 1 and grey and kind in ("uint8", "uint16", "float32", "float64"):
        return
    if depth == 1 and colour and kind == "uint8":
        return
    raise _refuse_mode(f"{page.photometric.name}, {page.samplesperpixel} x {kind}", where)


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
            raise DataRejected("its pages or tags are too many or go in a circle", where=where, way_out=_COPY_AGAIN)
        seen.add(at)
        at += head_bytes
        for _, kind, length, offset in struct.iter_unpack(entry, data[at : at + tags * entry_bytes]):
            size = length * _VALUE_BYTES.get(kind, 1)
            values += length if _VALUE_BYTES.get(kind, 1) > 1 else 0
            if size > link_bytes and offset + size > len(data):
                raise _truncated(where)
        if values > _MAX_TAG_VALUES:
            raise DataRejected("it is cut into too many strips or tiles", where=where, way_out="Save larger tiles.")
        (at,) = struct.unpack_from(link, data, at + tags * entry_bytes)


def _check_data(page: Any, size: int, where: str) -> None:
    """Each chunk of the page is there and lies within the file."""
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if len(ends) < math.prod(page.chunked) or max(ends) > size or 0 in page.databytecounts:
        raise _truncated(where)


def _decode_band_tiff(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    import tifffile

    _check_directories(data, where)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        pages = [page for page in tiff.pages if not int(page.subfiletype) & 0b101]  # overviews and masks
        _check_band_pages(pages, limits, where)
        for page in pages:
            _check_data(page, len(data), where)
        arrays = [page.asarray(squeeze=False)[:, 0] for page in pages]  # without the depth, which is 1
    return _bands_first(arrays, where)


def _check_band_pages(pages: list[Any], limits: Limits, where: str) -> None:
    """What the headers say: pages alike, of a kind that is read, and not too many values."""
    if not pages:
        raise DataRejected("it has no page", where=where, way_out=_COPY_AGAIN)
    first = pages[0]
    _check_pixels(first.imagewidth, first.imagelength, limits, where)
    bands = len(pages) * first.samplesperpixel
    if first.imagewidth * first.imagelength * bands > limits.pixels:
        raise DataRejected(
            f"{first.imagewidth:,} x {first.imagelength:,} pixels x {bands} are more than {limits.pixels:,} values",
            where=where,
            way_out="Give a smaller image or raise SIGHTLINE_MAX_PIXELS.",
        )
    for page in pages:
        _check_pixels(math.prod(page.chunks), 1, limits, where)  # a tile may be larger than the image it covers
        if (page.shaped, page.dtype, page.planarconfig) != (first.shaped, first.dtype, first.planarconfig):
            raise DataRejected("its pages differ in size or type", where=where, way_out="Save one band a page.")
    kind = f"{first.photometric.name}, {first.samplesperpixel} x {first.dtype}, {first.compression.name}"
    lossless = all(page.compression.name in (*_LOSSLESS, "ZSTD") for page in pages)
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
