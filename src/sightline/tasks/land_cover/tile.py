"""One tile of eight bands, as a model reads it: from an untrusted TIFF to values between 0 and 1."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.tasks.land_cover.bands import BANDS, Bands, Scale, index_channels, scale_of, to_unit, without_data
from sightline.vision.images import decode_bands, read_bytes
from sightline.vision.images.refusals import check_sides

FORMATS = ("image/tiff",)
"""Media types that `read_tile` takes."""

MIN_SIDE_PX = 16

_STATISTICS_SIDE_PX = 1024


@dataclass(frozen=True)
class Tile:
    """One tile, decoded.

    Attributes:
        bands: (8, h, w) float32, 0 .. 1, in the order of BANDS; 0 in all bands where the file has no data.
        scale: what the file held: counts 0 .. 2047, or values 0 .. 1.
        sha256: of the file's bytes.
        statistics: figures of the input as it came in, for drift (see `tile_statistics`).
        name: the file's name or what the caller called it, for messages.
        gsd_m: metres a pixel, where the user told it.
    """

    bands: Bands
    scale: Scale
    sha256: str
    statistics: Mapping[str, float] = field(repr=False)
    name: str = ""
    gsd_m: float | None = None

    @property
    def no_data_share(self) -> float:
        """Of the pixels."""
        return float(without_data(self.bands).mean())


def read_tile(source: Path | bytes, limits: Limits, where: str = "") -> Tile:
    """Decode a TIFF of eight bands: pages, planes or interleaved, band-first or band-last.

    Counts of 11 bits are divided by 2047; values that are between 0 and 1 already stay as they are. Pixels that the
    file itself declares to be without data become 0.

    Args:
        source: a file, or its bytes.
        limits: most bytes and values; both are checked before anything is decoded. Larger rasters: `open_scene`.
        where: what messages call the input; the path, or "image", where empty.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is no such TIFF, broken, too large, of another number of bands, or its values are of no
            scale that is known.
    """
    where = where or (str(source) if isinstance(source, Path) else "image")
    data = read_bytes(source, limits, where)
    decoded = decode_bands(data, limits, where)
    values = decoded.values
    check_shape(values.shape, where)
    if decoded.valid is not None:
        values[:, ~decoded.valid] = 0
    check_finite(values, where)
    scale = scale_of(values.dtype, float(values.min()), float(values.max()), where)
    bands = to_unit(values, scale)
    return Tile(bands, scale, hashlib.sha256(data).hexdigest(), tile_statistics(bands, scale), where)


def check_shape(shape: tuple[int, ...], where: str) -> None:
    """Raise DataRejected unless (8, h, w) with sides of at least MIN_SIDE_PX."""
    count, height, width = shape
    if count != len(BANDS):
        raise DataRejected(
            f"it has {count} band{'s' * (count != 1)}, not {len(BANDS)}",
            where=where,
            way_out=f"Give a TIFF of {', '.join(BANDS)}, such as sixteen_band/<id>_M.tif.",
        )
    check_sides((height, width), MIN_SIDE_PX, where)


def check_finite(values: NDArray[np.generic], where: str) -> None:
    """Raise DataRejected, naming the first band and pixel, where floats are NaN or infinite."""
    if values.dtype.kind != "f":
        return
    bad = ~np.isfinite(values)
    if bad.any():
        band, row, column = np.unravel_index(int(bad.argmax()), bad.shape)
        raise DataRejected(
            f"{int(bad.sum()):,} values are NaN or infinite; the first is in band {BANDS[band]} at x {column}, y {row}",
            where=where,
            way_out="Replace these values, or declare NaN as the file's no-data value (gdal_edit.py -a_nodata nan).",
        )


def tile_statistics(bands: Bands, scale: Scale) -> dict[str, float]:
    """Figures by which drift is seen, of the central 1024 x 1024 pixels at most.

    counts: 1 where the file held counts, 0 where it held values 0 .. 1: other preprocessing before us;
    no_data: share of pixels that are 0 in all bands;
    <band>_mean: mean level of each band: another season, haze, another sensor;
    contrast: spread of the bands' mean; sharpness: its Laplacian's variance over its own: falls with blur;
    ndwi_mean, ndvi_mean: how wet and how green the scene is.
    """
    import cv2

    centre = _centre(bands)
    grey = np.ascontiguousarray(centre.mean(axis=0), dtype=np.float32)
    spread = float(grey.std())
    edges = float(cv2.Laplacian(grey, cv2.CV_32F)[1:-1, 1:-1].std())
    ndwi, ndvi = (float(index.mean()) for index in index_channels(centre)[:2])
    return {
        "counts": float(scale == "counts"),
        "no_data": float(without_data(centre).mean()),
        **{f"{name}_mean": float(band.mean()) for name, band in zip(BANDS, centre, strict=True)},
        "contrast": spread,
        "sharpness": edges**2 / max(spread**2, 1e-9),
        "ndwi_mean": ndwi,
        "ndvi_mean": ndvi,
    }


def _centre(bands: Bands) -> Bands:
    side = _STATISTICS_SIDE_PX
    top, left = (max(size - side, 0) // 2 for size in bands.shape[1:])
    return bands[:, top : top + side, left : left + side]
