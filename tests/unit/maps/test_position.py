"""Positions and lengths: against published formulas, over the antimeridian, in other reference systems."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sightline.errors import DataRejected
from sightline.maps.area import to_mercator
from sightline.maps.position import Georeference


def mercator_raster(longitude: float, latitude: float, pixel_m: float = 2.0) -> Georeference:
    """1000 x 1000 pixels about a place."""
    x, y = (float(value) for value in to_mercator(longitude, latitude))
    return Georeference("EPSG:3857", (pixel_m, 0, x - 500 * pixel_m, 0, -pixel_m, y + 500 * pixel_m), 1000, 1000)


@pytest.mark.parametrize("latitude", [0.0, 36.13, -55.0, 78.0])
def test_web_mercator_stretches_by_the_cosine(latitude: float) -> None:
    raster = mercator_raster(12.0, latitude)
    across, down = raster.gsd_m(500, 500)
    sphere = 2.0 * math.cos(math.radians(latitude))
    assert across == pytest.approx(sphere, rel=0.004)  # an ellipsoid is no sphere
    assert down == pytest.approx(sphere, rel=0.008)


def test_a_known_distance() -> None:
    # A degree of latitude from 45 to 46 north is 111,141.5 m on WGS 84; a thousandth of it about 45.5 the same share.
    raster = mercator_raster(8.0, 45.5)
    x, y = raster.pixels([8.0, 8.0], [45.4995, 45.5005])
    assert raster.length_m((x[0], y[0]), (x[1], y[1])) == pytest.approx(111.1415, rel=1e-4)
    # A degree of longitude at 60 north: 55,800.0 m.
    raster = mercator_raster(8.0, 60.0)
    x, y = raster.pixels([7.9995, 8.0005], [60.0, 60.0])
    assert raster.length_m((x[0], y[0]), (x[1], y[1])) == pytest.approx(55.8002, rel=1e-4)


def test_utm_agrees_with_web_mercator() -> None:
    utm = Georeference("EPSG:32630", (3.0, 0, 280_000, 0, -3.0, 4_005_000), 2000, 2000)
    longitudes, latitudes = utm.lonlat([100, 160], [200, 260])
    web = mercator_raster(float(longitudes[0]), float(latitudes[0]))
    x, y = web.pixels(longitudes, latitudes)
    assert web.length_m((x[0], y[0]), (x[1], y[1])) == pytest.approx(utm.length_m((100, 200), (160, 260)), rel=1e-6)
    assert utm.length_m((100, 200), (160, 260)) == pytest.approx(180 * math.sqrt(2), rel=1e-3)


def test_a_turned_raster() -> None:
    turned = Georeference("EPSG:3857", (1.5, -1.0, 1e6, 1.0, 1.5, 4e6), 100, 100)
    x, y = turned.pixels(*turned.lonlat([3.0, 77.0], [5.0, 1.0]))
    np.testing.assert_allclose(x, [3.0, 77.0], atol=1e-6)
    np.testing.assert_allclose(y, [5.0, 1.0], atol=1e-6)


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4326"])
def test_both_sides_of_the_antimeridian(crs: str) -> None:
    if crs == "EPSG:3857":
        raster = mercator_raster(180.0, -17.0)
    else:
        raster = Georeference(crs, (1e-5, 0, 179.995, 0, -1e-5, -16.9), 1000, 1000)
    longitudes, _ = raster.lonlat([0.5, 999.5], [500, 500])
    assert 179.9 < longitudes[0] < 180
    assert -180 < longitudes[1] < -179.9
    x, _ = raster.pixels(*raster.lonlat([0.5, 999.5], [500.0, 500.0]))
    np.testing.assert_allclose(x, [0.5, 999.5], atol=1e-4)
    assert raster.length_m((0, 500), (1000, 500)) < 2100


def test_a_place_beyond_the_end_is_refused() -> None:
    with pytest.raises(DataRejected, match=r"cannot be computed|beyond"):
        Georeference("EPSG:32630", (1e9, 0, 0, 0, -1e9, 0), 9, 9).lonlat(9, 9)
