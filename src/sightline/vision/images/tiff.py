"""TIFF: its directories, walked and checked before a pixel is decoded."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.vision.images.jpeg import MAX_SCANNED_PIXELS, jpeg_layout
from sightline.vision.images.refusals import COPY_AGAIN, truncated
from sightline.vision.images.tiff_tags import compression_of

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage


MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_VALUE_BYTES = {2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MAX_PAGES, _MAX_TAGS, _MAX_TAG_VALUES = 1024, 256, 2**20
_REDUCED, _MASK = 0b001, 0b100  # of the tag NewSubfileType


@contextmanager
def open_tiff(data: bytes, where: str) -> Iterator[TiffFile]:
    """A TiffFile whose directories were walked: they end, and point into the file."""
    import tifffile

    _check_directories(data, where)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        yield tiff


def picture_pages(tiff: TiffFile) -> list[TiffPage]:
    """The pages that hold a picture, without overviews and masks."""
    return [page for page in tiff.pages if not int(page.subfiletype) & (_REDUCED | _MASK)]


def mask_pages(tiff: TiffFile) -> list[TiffPage]:
    """The pages that say which pixels of a picture have data; not those of overviews."""
    return [page for page in tiff.pages if int(page.subfiletype) & (_REDUCED | _MASK) == _MASK]


# -------------------------------------------------------------------------------------------------- directories


def _check_directories(data: bytes, where: str) -> None:
    """Walk the chain of directories: it ends, and what the tags point to lies within the file and is not too much."""
    count, entry, link = _forms(data)
    seen: set[int] = set()
    values = 0
    (at,) = link.unpack_from(data, link.size)  # behind the magic number: 4 bytes, 8 in a BigTIFF
    while at:
        (tags,) = count.unpack_from(data, at)
        if at in seen or len(seen) == _MAX_PAGES or tags > _MAX_TAGS:
            raise DataRejected(
                "it has too many pages or tags, or they refer to each other in a circle",
                where=where,
                way_out=COPY_AGAIN,
            )
        seen.add(at)
        at += count.size
        for _, kind, length, offset in entry.iter_unpack(data[at : at + tags * entry.size]):
            value_bytes = _VALUE_BYTES.get(kind, 1)
            values += length if value_bytes > 1 else 0
            _check_place(length * value_bytes, offset, link.size, data, where)
        if values > _MAX_TAG_VALUES:
            raise DataRejected(
                "it is divided into too many strips or tiles", where=where, way_out="Save it with larger tiles."
            )
        (at,) = link.unpack_from(data, at + tags * entry.size)


def _forms(data: bytes) -> tuple[struct.Struct, struct.Struct, struct.Struct]:
    """How a directory's number of tags, a tag, and the place of the next directory are written in this file."""
    order = "<" if data[:2] == b"II" else ">"
    count, entry, link = ("Q", "HHQQ", "Q") if b"+" in data[2:4] else ("H", "HHII", "I")
    return struct.Struct(order + count), struct.Struct(order + entry), struct.Struct(order + link)


def _check_place(size: int, offset: int, inline_bytes: int, data: bytes, where: str) -> None:
    """Raise where values that do not stand in their tag lie beyond the end of the file."""
    if size > inline_bytes and offset + size > len(data):
        raise truncated(where)


def check_data(page: TiffPage, data: bytes, limits: Limits, where: str) -> None:
    """Each chunk of the page is there and lies within the file; JPEG ones are no larger than they ought to be."""
    chunks = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    ends = [start + count for start, count in chunks]
    if len(ends) < math.prod(page.chunked) or max(ends) > len(data) or 0 in page.databytecounts:
        raise truncated(where)
    if compression_of(page) != "JPEG":
        return
    passes = 0
    for start, count in chunks:
        layout = jpeg_layout(data[start : start + count], where)
        if layout.width * layout.height > math.prod(page.chunks[:2]) or layout.bands > page.samplesperpixel:
            raise DataRejected("a tile is larger than its header says", where=where, way_out=COPY_AGAIN)
        passes += layout.width * layout.height * layout.scans
    if passes > MAX_SCANNED_PIXELS * limits.pixels:
        raise DataRejected(
            "its JPEG tiles have too many scans",
            where=where,
            way_out="Save the image again as a baseline (not progressive) JPEG.",
        )
