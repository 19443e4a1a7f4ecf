"""The eight bands of WorldView-3, their scale, and the indices that are computed from them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected

BANDS = ("coastal", "blue", "green", "yellow", "red", "red_edge", "nir1", "nir2")
"""In the order of `<id>_M.tif`."""

RGB = (4, 2, 1)
"""Red, green and blue among BANDS."""

INDICES = ("ndwi", "ndvi", "ccci", "evi")
"""In the order of `index_channels`."""

MAX_COUNT = 2047
"""The satellite writes 11 bits."""

MIN_RANGE = 16
"""Counts that reach no further show nothing; such values are of another scale."""

_TOLERANCE = 1e-3  # float16 and resampling leave values slightly beyond 0 and 1
_LEAST_DIVISOR = 1e-6

Scale = Literal["counts", "unit"]
"""Counts 0 .. 2047, or values that are 0 .. 1 already."""

Bands = NDArray[np.float32]
"""(8, h, w), 0 .. 1."""


def scale_of(kind: np.dtype[np.generic], low: float, high: float, where: str) -> Scale:
    """Which scale an image has, told by its type and its lowest and highest value.

    One decision for the whole image and never a stretch of a crop: a stretch erases the level, and a lake looks like
    a field.

    Raises:
        DataRejected: neither counts of 11 bits nor values between 0 and 1, or the same value everywhere.
    """
    if kind == np.uint8:
        raise DataRejected(
            "the bands have 8 bits: this is a picture with stretched contrast",
            where=where,
            way_out=f"{_GIVE}, not 8 bits.",
        )
    if not low < high:
        raise DataRejected(f"every value is {low:g}", where=where, way_out="Copy the file again from the original.")
    if low < -_TOLERANCE:
        raise DataRejected(f"it holds negative values, down to {low:g}", where=where, way_out=f"{_GIVE}.")
    if kind.kind == "f" and high <= 1 + _TOLERANCE:
        return "unit"
    if high > MAX_COUNT:
        raise DataRejected(
            f"it holds values up to {high:g}, beyond the 11 bits of the satellite ({MAX_COUNT})",
            where=where,
            way_out=f"{_GIVE}.",
        )
    if high < MIN_RANGE:
        raise DataRejected(
            f"its highest value is {high:g}: these are neither values of 0 .. 1 nor counts",
            where=where,
            way_out=f"{_GIVE}.",
        )
    return "counts"


_GIVE = "Give the satellite's counts of 0 .. 2047, or the counts divided by 2047"


def to_unit(values: NDArray[np.generic], scale: Scale) -> Bands:
    """Values of a scale as float32 within 0 .. 1."""
    unit = values.astype(np.float32)
    if scale == "counts":
        unit *= np.float32(1 / MAX_COUNT)
    return np.asarray(np.clip(unit, 0, 1, out=unit))


def without_data(bands: Bands) -> NDArray[np.bool_]:
    """(h, w): where every band is 0, as the satellite's own files mark what they do not show."""
    return np.asarray(~bands.any(axis=0))


def index_channels(bands: Bands) -> NDArray[np.float32]:
    """(4, h, w): NDWI, NDVI, CCCI and EVI, each within -1 .. 1; 0 where a divisor vanishes.

    They are computed of counts / 2047, not of reflectances, because Dstl's files come without calibration.

    NDWI = (green - NIR1) / (green + NIR1), McFeeters, Int. J. Remote Sensing 17 (1996): open water is positive;
    NDVI = (NIR1 - red) / (NIR1 + red), Rouse et al., NASA SP-351 (1974): plants are positive;
    CCCI = NDRE / NDVI with NDRE = (NIR1 - red edge) / (NIR1 + red edge), Barnes et al., 5th Int. Conf. on Precision
        Agriculture (2000), in the short form without the bounds of a region: chlorophyll; cut to -1 .. 1;
    EVI = 2.5 (NIR1 - red) / (NIR1 + 6 red - 7.5 blue + 1), Huete et al., Remote Sensing of Environment 83 (2002);
        cut to -1 .. 1.
    """
    blue, green, red, edge, nir = (bands[i] for i in (1, 2, 4, 5, 6))
    ndvi = _ratio(nir - red, nir + red)
    ndre = _ratio(nir - edge, nir + edge)
    channels = (
        _ratio(green - nir, green + nir),
        ndvi,
        _ratio(ndre, ndvi),
        _ratio(2.5 * (nir - red), nir + 6 * red - 7.5 * blue + 1),
    )
    return np.clip(np.stack(channels), -1, 1).astype(np.float32)


def _ratio(over: NDArray[np.float32], under: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.divide(over, under, out=np.zeros_like(over), where=np.abs(under) > _LEAST_DIVISOR))


def picture(bands: Bands) -> NDArray[np.uint8]:
    """(h, w, 3) RGB for people, each colour stretched from its 2nd to its 98th percentile. Never an input."""
    colours = []
    for index in RGB:
        low, high = np.percentile(bands[index][::2, ::2], (2, 98))
        colours.append(np.clip((bands[index] - low) * (255 / max(float(high - low), 1e-6)), 0, 255))
    return np.stack(colours, axis=-1).round().astype(np.uint8)
