"""One Sentinel-2 chip and its label: decoding what is untrusted into reflectance.

A TIFF of 13 bands (or 12: surface reflectance has no B10), or a record of a TFRecord file with a float list for each
band; counts (reflectance times 10,000) or reflectance itself.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected, RequestError
from sightline.limits import Limits
from sightline.tasks.panel_defects.tfrecord import GZIP_MAGIC, MAX_RECORD_BYTES, read_example, read_records
from sightline.vision.images import MAX_BANDS, Pixels, decode_bands, decode_indices, probe_within, read_bytes
from sightline.vision.images.refusals import check_sides

Mask = NDArray[np.uint8]
"""(h, w) index into CLASSES."""

CLASSES = ("background", "solar_panel")
BANDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
FORMATS = ("image/tiff",)
LABEL = "solar_panel"
GSD_M = 10.0

MIN_SIDE_PX, MAX_SIDE_PX = 32, 1024
SCALE = 10_000.0
"""Counts per unit of reflectance."""

CLEAR_CIRRUS = 0.001
"""Reflectance in B10 under a clear sky: it stands in where the band is missing."""

_MOST_COUNTS = 65_535.0
_MOST_REFLECTANCE = 4.0  # above it they must be counts; bright cloud reaches 1.5
_NODATA = -9_000.0  # -9999 and -32768 are in use
_MOST_NODATA_SHARE = 0.5
_BRIGHT = 0.095
_MOST_NEGATIVE_SHARE = 0.1
_WHITE = 0.3  # reflectance that is shown as white
_GIVE_BANDS = f"Give {', '.join(BANDS)} (B10 may be missing), as counts or as reflectance."


@dataclass(frozen=True)
class Chip:
    """One chip, decoded.

    Attributes:
        bands: (13, h, w) float32 reflectance in the order of BANDS.
        valid: (h, w) where there are data; elsewhere the bands hold their medians.
        filled: bands that were not there.
        scaled: whether the file itself says how its values become reflectance (scale and offset).
        sha256: of the file's bytes, or of the record's where a file holds several.
        name: the file's name or what the caller called it, for messages.
    """

    bands: NDArray[np.float32] = field(repr=False)
    valid: NDArray[np.bool_] = field(repr=False)
    filled: tuple[str, ...]
    sha256: str
    name: str = ""
    scaled: bool = False

    @property
    def note(self) -> str:
        """What a person should look into; empty where there is nothing.

        Water, shadow and the band of cirrus are dark in nearly every chip. Where not one value in a thousand is below
        0.095, 1,000 counts too many are the likely reason, though a bright desert could be another.
        """
        recorded = self.bands[[index for index, name in enumerate(BANDS) if name not in self.filled]]
        if self.scaled or np.percentile(recorded[:, self.valid][:, ::4], 0.1) < _BRIGHT:
            return ""
        return (
            "No value is below a reflectance of 0.1. Since processing baseline 04.00 (January 2022) Sentinel-2 counts "
            "are 1,000 higher; if this applies here, give the condition offset=-1000."
        )

    def shifted(self, counts: float) -> Chip:
        """The chip with so many counts added to each value.

        Raises:
            RequestError: the file states its own offset, or most values would be below 0.
        """
        if self.scaled:
            raise RequestError("the file states its own scale and offset", where="offset", status=422,
                               way_out="Leave out the condition.")  # fmt: skip
        bands = self.bands + np.float32(counts / SCALE)
        for name in self.filled:
            bands[BANDS.index(name)] = CLEAR_CIRRUS
        recorded = bands[[index for index, name in enumerate(BANDS) if name not in (*self.filled, "B10")]]
        if (recorded[:, self.valid] < 0).mean() > _MOST_NEGATIVE_SHARE:
            raise RequestError(f"with the offset {counts:g} much of the reflectance is negative", where="offset",
                               status=422, way_out="Leave the condition out: the file has no such offset.")  # fmt: skip
        return replace(self, bands=bands)

    @property
    def display(self) -> NDArray[np.uint8]:
        """(h, w, 3) red, green and blue as a person would look at them."""
        colours = self.bands[[BANDS.index(name) for name in ("B4", "B3", "B2")]]
        return np.asarray(np.clip(np.moveaxis(colours, 0, -1) * (255 / _WHITE), 0, 255).astype(np.uint8))


# ------------------------------------------------------------------------------------------------------ reading


def read_chip(source: Path | bytes, limits: Limits, where: str = "") -> Chip:
    """Decode a TIFF of 13 or 12 bands, or a TFRecord of one record.

    Args:
        source: a file, or its bytes.
        limits: most bytes and values (pixels x bands); both are checked before anything is decoded.
        where: what messages call the input; the path, or "image", where empty.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is no such chip, broken, too large, or its values are not reflectance.
    """
    where = where or (str(source) if isinstance(source, Path) else "image")
    data = read_bytes(source, limits, where)
    sha256 = hashlib.sha256(data).hexdigest()
    if data[:2] == GZIP_MAGIC or data[4:8] == bytes(4):  # the length of a record has no more than four bytes
        records = read_records(data, where)
        first, second = next(records, None), next(records, None)
        records.close()
        if first is None or second is not None:
            many = "no record" if first is None else "several records"
            raise DataRejected(f"it holds {many}", where=where, way_out="Give a TIFF or a record of one chip.")
        if len(first) // 4 > limits.pixels:
            raise DataRejected(f"its {len(first) // 4:,} values are more than {limits.pixels:,}", where=where,
                               way_out="Give a smaller chip, or raise SIGHTLINE_MAX_PIXELS.")  # fmt: skip
        return chip_of_record(first, sha256, where)
    return chip_of(decode_bands(data, limits, where), sha256, where)


def chip_size(content: bytes, limits: Limits, where: str) -> tuple[tuple[int, int], int]:
    """(h, w) by the head of a TIFF, and how many values are decoded; of a record, which has none, the most it can hold.

    Raises:
        DataRejected: it is no TIFF and no record, its head is broken, or it is too large.
    """
    packed = content[:2] == GZIP_MAGIC
    if packed or content[4:8] == bytes(4):
        values = MAX_RECORD_BYTES // 4 if packed else len(content) // 4
        side = min(math.isqrt(values // (len(BANDS) - 1)), MAX_SIDE_PX)
        return (side, side), values
    head = probe_within(content, limits, where, every_band=True)
    if head.bands > MAX_BANDS:  # rows as pages: (h, w, bands) was written as h pages of (w, bands)
        return (head.bands, head.height), head.decoding_values
    return (head.height, head.width), head.decoding_values


def chip_of(pixels: Pixels, sha256: str, where: str) -> Chip:
    """A chip from (12 or 13, h, w) counts or reflectance, as integers of 16 bits or floats.

    Raises:
        DataRejected: another number of bands, 8 bits, no data, or values that are not reflectance.
    """
    values = pixels.values
    count, height, width = values.shape
    if count not in (len(BANDS), len(BANDS) - 1):
        raise DataRejected(f"it has {count} bands, not {len(BANDS)}", where=where, way_out=_GIVE_BANDS)
    if values.dtype == np.uint8:
        raise DataRejected("8-bit values are not reflectance", where=where, way_out=_GIVE_BANDS)
    check_sides((height, width), MIN_SIDE_PX, where)
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, which counts as no data
        bands = values.astype(np.float32)
    valid = np.isfinite(bands).all(axis=0) & (bands > _NODATA).all(axis=0) & (bands != 0).any(axis=0)
    if pixels.valid is not None:
        valid &= pixels.valid
    if not valid.mean() > 1 - _MOST_NODATA_SHARE:
        raise DataRejected(f"{1 - valid.mean():.0%} of the pixels have no data", where=where,
                           way_out="Give a chip of which more than half has data.")  # fmt: skip
    bands = _reflectance(bands, valid, pixels.scaled, where)
    if not valid.all():
        bands[:, ~valid] = np.median(bands[:, valid], axis=1)[:, None]
    filled: tuple[str, ...] = ()
    if count < len(BANDS):
        cirrus = BANDS.index("B10")
        bands = np.insert(bands, cirrus, np.float32(CLEAR_CIRRUS), axis=0)
        filled = ("B10",)
    return Chip(bands, valid, filled, sha256, where, pixels.scaled)


def _reflectance(bands: NDArray[np.float32], valid: NDArray[np.bool_], scaled: bool, where: str) -> NDArray[np.float32]:
    """Counts divided by SCALE; what is in 0 .. 1 already stays, and so does what the file's own scale makes of it."""
    low, high = bands[:, valid].min(), bands[:, valid].max()
    highest = _MOST_COUNTS / SCALE if scaled else _MOST_REFLECTANCE
    counts = high > highest
    least, most = (-SCALE, _MOST_COUNTS) if counts else (-1.0, highest)
    if low < least or high > most:
        raise DataRejected(
            f"values from {low:g} to {high:g} are not reflectance", where=where,
            way_out="Give reflectance in 0 .. 1, or times 10,000.",
        )  # fmt: skip
    return bands / np.float32(SCALE) if counts else bands


def chip_of_record(record: bytes, sha256: str, where: str) -> Chip:
    """A chip from a serialised example. Raises DataRejected, naming the band that is missing or of another size."""
    floats = read_example(record, where)
    names = [name for name in BANDS if name in floats]
    missing = [name for name in BANDS if name not in floats]
    if missing and missing != ["B10"]:
        raise DataRejected(f"there is no {', '.join(missing)}", where=where, way_out=_GIVE_BANDS)
    return chip_of(Pixels(np.stack([_square(floats[name], f"{where}: {name}") for name in names])), sha256, where)


def mask_of_record(record: bytes, where: str) -> Mask:
    """The (h, w) label of a serialised example, binarised as the publisher says: panel where it is above 0.

    Raises:
        DataRejected: there is none, it is not square, or it holds NaN.
    """
    floats = read_example(record, where)
    if LABEL not in floats:
        raise DataRejected(f"there is no {LABEL}", where=where, way_out="Give the label, or predict without it.")
    values = _square(floats[LABEL], f"{where}: {LABEL}")
    if not np.isfinite(values).all():
        raise DataRejected(
            "the label holds NaN or infinite values", where=f"{where}: {LABEL}", way_out="Give 0 or 1 for each pixel."
        )
    return (values > 0).astype(np.uint8)


def _square(values: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    """(side, side) from a flat list."""
    side = round(len(values) ** 0.5)
    if side * side != len(values) or not MIN_SIDE_PX <= side <= MAX_SIDE_PX:
        raise DataRejected(
            (f"{len(values):,} values do not form a square chip"),
            where=where,
            way_out="Give 65,536 values (256 x 256 pixels).",
        )
    return values.reshape(side, side)


def read_mask(path: Path, shape: tuple[int, ...]) -> Mask:
    """The (h, w) labels of a PNG: 0 and 1, or black and white (0 and 255).

    Raises:
        DataMissing: the file is not there.
        DataRejected: no PNG of indices, of another size, or with other values; names them.
    """
    limits = Limits()
    mask = decode_indices(read_bytes(path, limits, str(path)), limits, str(path))
    if mask.shape != shape:
        raise DataRejected(f"the label is {mask.shape[1]} x {mask.shape[0]} pixels, its chip {shape[1]} x {shape[0]}",
                           where=path, way_out="Save the label at the chip's size.")  # fmt: skip
    values = set(np.unique(mask).tolist())
    if not (values <= {0, 1} or values <= {0, 255}):
        shown = ", ".join(map(str, sorted(values)[:8]))
        raise DataRejected(f"the label holds the values {shown}, not 0 and 1", where=path,
                           way_out="Write 1 where there are panels, 0 elsewhere.")  # fmt: skip
    return (mask > 0).astype(np.uint8)
