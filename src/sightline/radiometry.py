"""Radiometric JPEG: the raw counts of the detector that FLIR cameras keep beside the picture.

APP1 segments that begin with `FLIR\\0` join into one block in the FFF format: a directory of records, of which two
matter here: 1 (raw counts, uint16, plain or as a PNG) and 0x20 (camera: the constants of Planck's law). Layout after
ExifTool's FLIR tables and files of a FLIR Vue Pro. All of it is untrusted: whatever does not add up is treated as
absent, and nothing is allocated that the file itself does not hold.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.vision.images import jpeg_segments
from sightline.vision.images.png import open_png, png_layout

Counts = NDArray[np.uint16]

_FLIR = b"FLIR\0"
_SEGMENT_BYTES = 65524  # of payload, after the 8-byte header: 65,532 in all, as cameras write them
_PNG = b"\x89PNG\r\n\x1a\n"
_RAW, _CAMERA = 0x01, 0x20
_MAX_RECORDS = 256
_CAMERA_BYTES = 2476
_RAW_AT = 512  # offset of the first record in the files of the Vue Pro


@dataclass(frozen=True)
class Planck:
    """Constants of record 0x20: a count S is the signal of a black body at T = B / ln(R1 / (R2 (S + O)) + F) kelvin.

    The defaults are the factory's for a FLIR Vue Pro 640. They are not a calibration: only differences within one
    picture mean anything.
    """

    r1: float = 17096.453
    b: float = 1428.0
    f: float = 1.0
    o: float = -342.0
    r2: float = 0.046642166
    emissivity: float = 1.0

    def celsius(self, counts: NDArray[np.generic]) -> NDArray[np.float32] | None:
        """Apparent temperature of each count in degrees Celsius, or None where the constants do not fit them."""
        # By a table: a logarithm for each of 65,536 counts is cheaper than one for each pixel.
        signal = self.r2 * (np.arange(2**16, dtype=np.float64) + self.o)
        with np.errstate(all="ignore"):
            table = self.b / np.log(self.r1 / signal + self.f) - 273.15
        values = table.astype(np.float32)[counts.astype(np.uint16)]
        return values if bool(np.isfinite(values).all()) else None

    def counts(self, celsius: NDArray[np.floating]) -> Counts:
        """The inverse of `celsius`, rounded and clipped to 16 bits."""
        kelvin = np.asarray(celsius, dtype=np.float64) + 273.15
        signal = self.r1 / (self.r2 * (np.exp(self.b / kelvin) - self.f)) - self.o
        return np.clip(np.rint(signal), 0, 65535).astype(np.uint16)


@dataclass(frozen=True)
class Radiometry:
    """What a radiometric file holds: counts (h, w) and, where they are sane, the constants."""

    counts: Counts
    planck: Planck | None


# ------------------------------------------------------------------------------------------------------ reading


def read_radiometry(data: bytes, max_pixels: int) -> Radiometry | None:
    """The raw counts of a JPEG, or None where it has none that can be trusted.

    Args:
        data: the bytes of the JPEG.
        max_pixels: more than this in the raw record and it is ignored.
    """
    block = _join_segments(data)
    records = dict(_records(block))
    if _RAW not in records:
        return None
    counts = _raw_counts(records[_RAW], max_pixels)
    if counts is None:
        return None
    return Radiometry(counts, _planck(records.get(_CAMERA, b"")))


def _join_segments(data: bytes) -> bytes:
    """The FFF block: segments by their index (they may come in any order; a second of one index is ignored)."""
    parts: dict[int, bytes] = {}
    last = -1
    for marker, payload in jpeg_segments(data):
        if marker == 0xE1 and payload.startswith(_FLIR) and len(payload) >= 8:
            index = payload[6]
            last = payload[7] if last < 0 else last
            parts.setdefault(index, payload[8:])
    if last < 0 or any(index not in parts for index in range(last + 1)):
        return b""
    return b"".join(parts[index] for index in range(last + 1))


def _records(block: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, bytes) of each record that lies within the block, the last of a type first so that the first wins."""
    if len(block) < 64 or block[:4] not in (b"FFF\0", b"AFF\0"):
        return
    # The version (100 .. 199) tells the byte order of the directory.
    order = ">" if 100 <= int.from_bytes(block[0x14:0x18], "big") < 200 else "<"
    start, count = struct.unpack(order + "II", block[0x18:0x20])
    for k in reversed(range(min(count, _MAX_RECORDS))):
        entry = block[start + 32 * k : start + 32 * (k + 1)]
        if len(entry) < 32:
            continue
        kind, _, _, _, offset, length = struct.unpack(order + "HHIIII", entry[:20])
        if kind and length and offset + length <= len(block):
            yield kind, block[offset : offset + length]


def _raw_counts(record: bytes, max_pixels: int) -> Counts | None:
    """(h, w) of a raw record: a 32-byte header, then plain uint16 or a PNG."""
    if len(record) < 40:
        return None
    order = "<" if record[:2] == b"\x02\x00" else ">"
    width, height = struct.unpack(order + "HH", record[2:6])
    body = record[32:]
    if body.startswith(_PNG):
        return _png_counts(body, max_pixels)
    if not 0 < width * height <= max_pixels or len(body) < 2 * width * height:
        return None
    plain = np.frombuffer(body, dtype=order + "u2", count=width * height)
    return plain.reshape(height, width).astype(np.uint16)


def _png_counts(body: bytes, max_pixels: int) -> Counts | None:
    """Counts of a 16-bit PNG. Many cameras store them with the bytes swapped: the smoother reading is the right one."""
    try:
        layout = png_layout(body, "raw counts")
        if not 0 < layout.width * layout.height <= max_pixels:
            return None
        with open_png(body, layout) as image:
            if not image.mode.startswith("I"):
                return None
            counts = np.asarray(image).astype(np.uint16)
    except Exception:  # whatever the decoder does on broken bytes, the raw record is unusable and nothing more
        return None
    return min((counts, counts.byteswap()), key=_roughness)


def _roughness(counts: Counts) -> float:
    """Mean step between neighbours along a row."""
    return float(np.abs(np.diff(counts.astype(np.int32), axis=1)).mean()) if counts.shape[1] > 1 else 0.0


def _planck(record: bytes) -> Planck | None:
    """The constants of a camera record, or None where they cannot be those of a camera."""
    if len(record) < 0x310:
        return None
    order = "<" if record[:2] == b"\x02\x00" else ">"

    def number(offset: int) -> float:
        return float(struct.unpack(order + "f", record[offset : offset + 4])[0])

    (o,) = struct.unpack(order + "i", record[0x308:0x30C])
    planck = Planck(number(0x58), number(0x5C), number(0x60), float(o), number(0x30C), number(0x20))
    positive = (planck.r1, planck.b, planck.r2)
    sane = all(math.isfinite(value) and value > 0 for value in positive) and math.isfinite(planck.f)
    return planck if sane else None


# ------------------------------------------------------------------------------------------------------ writing


def embed_radiometry(jpeg: bytes, counts: Counts, planck: Planck) -> bytes:
    """The JPEG with the counts and constants in APP1 segments, laid out as a FLIR Vue Pro does.

    Raises:
        ValueError: the counts are more than 256 segments can hold (16 MiB), or not (h, w) uint16.
    """
    block = _fff_block(counts, planck)
    parts = [block[at : at + _SEGMENT_BYTES] for at in range(0, len(block), _SEGMENT_BYTES)]
    if len(parts) > 256:
        raise ValueError(f"{counts.shape} counts do not fit into 256 APP1 segments")
    segments = b"".join(_segment(part, index, len(parts) - 1) for index, part in enumerate(parts))
    at = 2
    if jpeg[2:4] == b"\xff\xe0":  # JFIF comes first
        at += 2 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:at] + segments + jpeg[at:]


def _segment(part: bytes, index: int, last: int) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(part) + 10) + _FLIR + bytes((1, index, last)) + part


def _fff_block(counts: Counts, planck: Planck) -> bytes:
    """Header, directory of 14 entries (two used), raw record, camera record."""
    if counts.ndim != 2 or counts.dtype != np.uint16:
        raise ValueError(f"counts must be (h, w) uint16, not {counts.shape} {counts.dtype}")
    height, width = counts.shape
    raw = struct.pack("<HHH", 2, width, height) + bytes(26) + counts.astype("<u2").tobytes()
    camera = bytearray(_CAMERA_BYTES)
    camera[:6] = struct.pack("<HHH", 2, width, height)
    camera[0x20:0x24] = struct.pack("<f", planck.emissivity)
    camera[0x58:0x64] = struct.pack("<fff", planck.r1, planck.b, planck.f)
    camera[0x308:0x310] = struct.pack("<if", round(planck.o), planck.r2)
    header = b"FFF\0FLIR" + bytes(12) + struct.pack(">III", 101, 64, 14) + bytes(32)
    directory = _entry(_RAW, 2, 100, _RAW_AT, len(raw)) + _entry(_CAMERA, 1, 107, _RAW_AT + len(raw), len(camera))
    directory += bytes(32 * 12)
    return header + directory + raw + bytes(camera)


def _entry(kind: int, subtype: int, version: int, offset: int, length: int) -> bytes:
    return struct.pack(">HHIIII", kind, subtype, version, 1, offset, length) + bytes(12)
