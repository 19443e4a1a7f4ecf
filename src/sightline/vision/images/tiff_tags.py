"""What the tags of a TIFF's page say: compression, colours, orientation, scale, no data, opacity."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.vision.images.orientation import TAG, UPRIGHT, read_orientation

if TYPE_CHECKING:
    from tifffile import TiffPage


Scales = Mapping[int, tuple[float, float]]
"""Band -> (scale, offset)."""

_PHOTOMETRIC, _METADATA, _NO_DATA = 262, 42112, 42113
_GEOGRAPHIC = (33550, 33922, 34264)  # pixel scale, tie points, transformation
_ITEM = re.compile(r"<Item\b([^<>]{0,200})>([^<]{0,100})</Item>")
_ROLE = re.compile(r"\brole=[\"'](scale|offset)[\"']", re.IGNORECASE)
_SAMPLE = re.compile(r"\bsample=[\"'](\d{1,5})[\"']")
_MOST_METADATA = 2**20


def compression_of(page: TiffPage) -> str:
    """The name of a page's compression; a file that does not state it is not compressed (TIFF 6.0, page 30)."""
    import tifffile

    return str(tifffile.COMPRESSION(page.compression).name)


def orientation_of(page: TiffPage) -> int:
    """How a page is to be shown; 1 where it lies on a map, whose coordinates are those of the stored pixels."""
    tag = page.tags.get(TAG)
    if tag is None or any(code in page.tags for code in _GEOGRAPHIC):
        return UPRIGHT
    return read_orientation(tag.value)


def photometric_of(page: TiffPage) -> str:
    """What the samples of a page mean; by their number where a file does not state it."""
    import tifffile

    if _PHOTOMETRIC not in page.tags:
        return "RGB" if page.samplesperpixel >= 3 else "MINISBLACK"
    return str(tifffile.PHOTOMETRIC(page.photometric).name)


def no_data_of(page: TiffPage) -> float | None:
    """The value that GDAL's tag declares to mean "no data", of the stored values; None where it declares none."""
    tag = page.tags.get(_NO_DATA)
    try:
        return float(str(tag.value)[:64].strip("\0 ")) if tag else None
    except ValueError:
        return None


def scales_of(page: TiffPage) -> Scales:
    """Band -> (scale, offset) as GDAL's metadata state them; empty where they change nothing.

    A value is `stored * scale + offset`.
    """
    tag = page.tags.get(_METADATA)
    text = str(tag.value) if tag else ""
    found: dict[int, list[float]] = {}
    for item in _ITEM.finditer(text[:_MOST_METADATA]):
        role, band = _ROLE.search(item[1]), _SAMPLE.search(item[1])
        if role is None:
            continue
        pair = found.setdefault(int(band[1]) if band else 0, [1.0, 0.0])
        try:
            value = float(item[2])
        except ValueError:
            continue
        if math.isfinite(value):
            pair[role[1].lower() == "offset"] = value
    return {band: (pair[0], pair[1]) for band, pair in found.items() if pair != [1.0, 0.0] and pair[0] != 0}


def scaled_bands(bands: NDArray[np.generic], scales: Scales) -> NDArray[np.generic]:
    """(bands, h, w) in the unit that the file states, as float32; as it is where it states none."""
    if not scales:
        return bands
    scaled = np.empty(bands.shape, dtype=np.float32)
    for number, band in enumerate(bands):
        scale, offset = scales.get(number, (1.0, 0.0))
        scaled[number] = band.astype(np.float64) * scale + offset
    return scaled


def opacities_of(page: TiffPage) -> tuple[int, ...]:
    """The bands of a page that its tag ExtraSamples names alpha, associated or not."""
    extra = tuple(page.extrasamples)
    first = page.samplesperpixel - len(extra)
    return tuple(first + number for number, kind in enumerate(extra) if int(kind) in (1, 2))
