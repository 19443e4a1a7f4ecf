"""Tiles of eight bands as programs write them, for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import shapely
import tifffile
from numpy.typing import NDArray

from sightline.tasks.land_cover.grid import Grid
from sightline.tasks.land_cover.shapes import EMPTY
from sightline.vision.masks import polygons_of

HEIGHT, WIDTH = 24, 31


def counts(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint16]:
    """(8, h, w) of 11 bits."""
    return np.random.default_rng(seed).integers(0, 2048, (8, height, width)).astype(np.uint16)


def write(path: Path, values: NDArray[Any], **options: Any) -> Path:
    """A TIFF of eight planes, as Dstl's are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, values, photometric="minisblack", metadata=None, **{"planarconfig": "separate", **options})
    return path


def write_pages(path: Path, values: NDArray[Any], **options: Any) -> Path:
    """A page a band."""
    with tifffile.TiffWriter(path) as tiff:
        for page in values:
            tiff.write(page, photometric="minisblack", metadata=None, contiguous=False, **options)
    return path


def declared(value: str) -> dict[str, Any]:
    """The option that declares GDAL's no-data value."""
    return {"extratags": [(42113, "s", 0, value, True)]}


def wkt_of(mask: NDArray[np.bool_], grid: Grid, least_area_px: float = 0) -> str:
    """The WKT in grid units of one class: polygons along the edges of pixels, with holes."""
    polygons = polygons_of(mask, least_area_px)
    if not polygons:
        return EMPTY
    in_grid = grid.from_pixels(shapely.MultiPolygon(polygons), (mask.shape[0], mask.shape[1]))
    return str(shapely.to_wkt(in_grid, rounding_precision=9, trim=True))
