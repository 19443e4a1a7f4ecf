"""Where a raster lies on Earth, as far as its file says so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sightline.errors import DataRejected
from sightline.geo.position import Georeference

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

_MOST_STRETCHED = 1.05
_SQUARE = "Bring it to square pixels: gdalwarp -t_srs EPSG:3857 IN OUT."


def place_of(dataset: DatasetReader, where: str) -> Georeference | None:
    """The georeference of an open dataset; None where it has none.

    Raises:
        DataRejected: its coordinates are none on Earth, or its pixels are not square on the ground.
    """
    t = dataset.transform
    if dataset.crs is None or t.is_identity:
        return None
    place = Georeference(dataset.crs.to_string(), (t.a, t.b, t.c, t.d, t.e, t.f), dataset.width, dataset.height)
    try:
        across, down = place.gsd_m(dataset.width / 2, dataset.height / 2)
    except DataRejected as error:
        raise DataRejected(error.what, where=where, way_out="Correct its georeference.") from error
    if not (math.isfinite(across * down) and across * down > 0):
        raise DataRejected("its pixels have no size on the ground", where=where, way_out=_SQUARE)
    if max(across, down) > _MOST_STRETCHED * min(across, down):
        raise DataRejected(f"its pixels cover {across:.3g} x {down:.3g} m", where=where, way_out=_SQUARE)
    return place
