"""JPEG: what lies in the file, walked marker by marker, and its pixels."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import JpegImagePlugin

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.vision.images.orientation import UPRIGHT, exif_orientation
from sightline.vision.images.refusals import COPY_AGAIN, truncated

MAGIC = b"\xff\xd8\xff"

MAX_SCANS = 100
"""A progressive picture of a camera or a web site has 10, of the most thorough encoder some 60."""

MAX_SCANNED_PIXELS = 16
"""Times the limit of pixels: each scan passes over the whole picture."""

_MAX_SEGMENTS = 2**14  # 32 MiB of metadata in whole segments are 512
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")  # neither stuffing, fill bytes nor restarts
_EXIF = b"Exif\0\0"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 .. SOF15 without DHT, JPG and DAC
_SOI, _EOI, _SOS, _APP1, _TEM = 0xD8, 0xD9, 0xDA, 0xE1, 0x01


@dataclass(frozen=True)
class JpegLayout:
    """What the markers say.

    Attributes:
        width, height: as stored.
        bands: colour components.
        orientation: by EXIF.
        scans: passes over the picture.
        end: offset behind the end-of-image marker; what follows (a video, a second picture, padding) is no part of it.
    """

    width: int
    height: int
    bands: int
    orientation: int
    scans: int
    end: int


@dataclass
class _Found:
    frame: bytes = b""
    orientation: int = 0
    scans: int = 0
    frames: int = field(default=0)


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, payload) of each segment up to the start of the scan; stops where the structure breaks."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        while data[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if at + 4 > len(data) or data[at] != 0xFF:
            return
        marker = data[at + 1]
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > len(data):
            return
        yield marker, data[at + 4 : at + 2 + length]
        if marker == _SOS:
            return
        at += 2 + length


def jpeg_layout(data: bytes, where: str) -> JpegLayout:
    """Walk the file from marker to marker; no pixel is decoded.

    Raises:
        DataRejected: it breaks off, has no or two frame headers, or more segments or scans than any camera writes.
    """
    found = _Found()
    end = _walk(data, found, where)
    if len(found.frame) < 6:
        raise DataRejected("the JPEG has no frame header", where=where, way_out=COPY_AGAIN)
    if found.frames > 1:  # the second could lie about the size that was checked
        raise DataRejected("the JPEG has two frame headers", where=where, way_out=COPY_AGAIN)
    if not end:
        raise truncated(where)
    height, width = struct.unpack(">HH", found.frame[1:5])
    return JpegLayout(width, height, found.frame[5], found.orientation or UPRIGHT, found.scans, end)


def _walk(data: bytes, found: _Found, where: str) -> int:
    """Offset behind the end of the image; 0 where the file breaks off before."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        match = _MARKER.search(data, at)
        if match is None:
            return 0
        marker, at = match[1][0], match.end()
        if marker == _EOI:
            return at if found.scans else 0
        if marker == _SOI:  # another picture begins where this one should go on
            return 0
        if marker == _TEM:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            return 0
        _note(marker, data[at + 2 : at + length], found)
        if found.scans > MAX_SCANS:
            raise DataRejected(
                f"the JPEG has more than {MAX_SCANS} scans",
                where=where,
                way_out="Save the image again as a baseline (not progressive) JPEG.",
            )
        at += length
    raise DataRejected(
        f"the JPEG has more than {_MAX_SEGMENTS:,} segments",
        where=where,
        way_out="Save the image again with another program.",
    )


def _note(marker: int, payload: bytes, found: _Found) -> None:
    if marker in _FRAMES:
        found.frame = found.frame or payload
        found.frames += 1
    elif marker == _SOS:
        found.scans += 1
    elif marker == _APP1 and payload.startswith(_EXIF) and not found.orientation:
        found.orientation = exif_orientation(payload[len(_EXIF) :])


def check_scans(layout: JpegLayout, limits: Limits, where: str) -> None:
    """Raise DataRejected where the passes over all pixels would cost too much."""
    most = MAX_SCANNED_PIXELS * limits.pixels
    if layout.width * layout.height * layout.scans > most:
        raise DataRejected(
            f"{layout.width:,} x {layout.height:,} pixels in {layout.scans} scans are more than {most:,} in all",
            where=where,
            way_out="Save the image again as a baseline (not progressive) JPEG.",
        )


def open_jpeg(data: bytes, layout: JpegLayout) -> JpegImagePlugin.JpegImageFile:
    """The picture for decoding. Not Image.open: that would also follow the index of a multi-picture file."""
    return JpegImagePlugin.JpegImageFile(io.BytesIO(data[: layout.end]))
