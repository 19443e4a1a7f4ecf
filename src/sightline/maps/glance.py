"""A raster of any size at a glance: a small picture of it, read from its overviews."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected


def glance(raster: Path, side_px: int) -> NDArray[np.uint8]:
    """The first three bands of a GeoTIFF of bytes, (h, w, 3), at most `side_px` a side; black where it is masked.

    Raises:
        DataRejected: it cannot be read.
    """
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(raster, driver="GTiff") as dataset:
            share = min(1.0, side_px / max(dataset.height, dataset.width))
            height, width = (max(round(side * share), 1) for side in (dataset.height, dataset.width))
            bands = dataset.read((1, 2, 3), out_shape=(3, height, width), resampling=Resampling.average)
            shown = dataset.dataset_mask(out_shape=(height, width)) > 0
    except RasterioError as error:
        raise DataRejected(
            f"the raster cannot be read ({error})", where=raster, way_out="Delete it and run the command again."
        ) from error
    return np.where(shown[..., None], np.moveaxis(bands, 0, -1), 0).astype(np.uint8)
