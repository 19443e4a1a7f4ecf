from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from sightline.errors import DataRejected
from sightline.maps.glance import glance


def test_a_large_raster_is_seen_small_and_black_where_it_is_masked(tmp_path: Path) -> None:
    bands = np.full((4, 600, 900), 200, dtype=np.uint8)
    bands[3] = 255
    bands[3, :300] = 0
    path = tmp_path / "a.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=600,
        width=900,
        count=4,
        dtype="uint8",
        photometric="RGB",
        alpha="yes",
        transform=rasterio.Affine(1, 0, 0, 0, -1, 600),
        crs="EPSG:3857",
    ) as file:
        file.write(bands)
    seen = glance(path, 300)
    assert seen.shape == (200, 300, 3)
    assert (seen[:98] == 0).all()
    assert (seen[102:] == 200).all()
    assert glance(path, 5000).shape == (600, 900, 3)


def test_what_is_no_raster_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.tif").write_bytes(b"II*\0 no more")
    with pytest.raises(DataRejected, match=r"b\.tif"):
        glance(tmp_path / "b.tif", 100)
