"""PNG: what lies in the file, walked chunk by chunk, and its pixels."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from PIL import PngImagePlugin

from sightline.errors import DataRejected
from sightline.vision.images.orientation import UPRIGHT, exif_orientation
from sightline.vision.images.refusals import COPY_AGAIN, truncated

MAGIC = b"\x89PNG\r\n\x1a\n"
GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6

_MAX_CHUNKS = 2**17  # 32 MiB in chunks of 8 KiB are 4,096
_UNREAD = frozenset((b"tEXt", b"zTXt", b"iTXt", b"iCCP"))
"""Texts and profiles: a few bytes of them may inflate to any size, and nothing here asks for them."""


@dataclass(frozen=True)
class PngLayout:
    """What the chunks say.

    Attributes:
        width, height: as stored.
        bits: of a value.
        colour_type: GREY, COLOUR, PALETTE, GREY_ALPHA or COLOUR_ALPHA.
        orientation: by the chunk eXIf.
        frames: more than one where it is animated.
        needed: (start, end) of what a decoder needs.
        end: offset behind the last chunk; what follows is no part of the picture.
    """

    width: int
    height: int
    bits: int
    colour_type: int
    orientation: int
    frames: int
    needed: tuple[tuple[int, int], ...]
    end: int


def _chunks(data: bytes, where: str) -> Iterator[tuple[bytes, int, int]]:
    """Kind, beginning and end of each chunk, for ever. Raises DataRejected where the file breaks off."""
    at = len(MAGIC)
    while True:
        if at + 12 > len(data):
            raise truncated(where)
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            raise truncated(where)
        yield data[at + 4 : at + 8], at, end
        at = end


def png_layout(data: bytes, where: str) -> PngLayout:
    """Walk the file from chunk to chunk; no pixel is decoded, no text inflated.

    Raises:
        DataRejected: it breaks off, begins otherwise than a PNG does, or has more chunks than any program writes.
    """
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise truncated(where)
    width, height, bits, colour_type = struct.unpack(">IIBB", data[16:26])
    orientation, frames = UPRIGHT, 1
    needed, start = [], 0
    for kind, at, end in islice(_chunks(data, where), _MAX_CHUNKS):
        if kind == b"IHDR" and at > 8:  # it could lie about the size that was checked
            raise DataRejected("the PNG has two headers", where=where, way_out=COPY_AGAIN)
        if kind == b"eXIf":
            orientation = exif_orientation(data[at + 8 : end - 4])
        if kind == b"acTL":
            frames = int.from_bytes(data[at + 8 : at + 12], "big")
        if kind in _UNREAD:
            needed.append((start, at))
            start = end
        if kind == b"IEND":
            needed.append((start, end))
            return PngLayout(width, height, bits, colour_type, orientation, frames, tuple(needed), end)
    raise DataRejected(
        f"the PNG has more than {_MAX_CHUNKS:,} chunks",
        where=where,
        way_out="Save the image again with another program.",
    )


def open_png(data: bytes, layout: PngLayout) -> PngImagePlugin.PngImageFile:
    """The picture for decoding."""
    return PngImagePlugin.PngImageFile(io.BytesIO(b"".join(data[start:end] for start, end in layout.needed)))
