"""Properties of areas, plans, mosaics and positions, against mercantile and plain arithmetic."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import mercantile
import numpy as np
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.maps.area import Area, read_area
from sightline.maps.mosaic import write_mosaic
from sightline.maps.position import Georeference
from sightline.maps.providers import EOX, ESRI, Provider, open_folder
from sightline.maps.tiles import plan_area
from sightline.maps.zoom import WORLD_M, gsd_m, zoom_for
from tests.unit.maps.tile_server import SIDE_PX, Silent, drawn, write_tile

LONGITUDES = st.floats(-180, 180)
LATITUDES = st.floats(-84, 84)
SIDES = st.floats(1e-4, 0.02)


def box_text(west: float, south: float, width: float, height: float) -> str:
    """`W,S,E,N`; the east is written as a map does, -180 .. 180."""
    east = west + width
    return f"{west!r},{south!r},{east - 360 if east > 180 else east!r},{min(south + height, 85.0)!r}"


BOXES = st.builds(box_text, LONGITUDES, LATITUDES, SIDES, SIDES)


@settings(max_examples=30, deadline=None)
@given(BOXES, st.integers(11, 13))
def test_every_pixel_of_a_mosaic_lies_where_mercantile_says(bbox: str, zoom: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_tile(root / "tiles", mercantile.Tile(0, 0, zoom))
        plan = plan_area(read_area(bbox=bbox), zoom, open_folder(root / "tiles"))
        for tile in plan.tiles():
            write_tile(root / "tiles", tile)
        mosaic = write_mosaic(plan, root, root / "area.tif", Silent())
        with rasterio.open(mosaic.path) as dataset:
            pixels = np.moveaxis(dataset.read(), 0, -1)
    assert (pixels[..., 3] == 255).all()
    rng = np.random.default_rng(0)
    for y, x in zip(rng.integers(plan.height_px, size=20), rng.integers(plan.width_px, size=20), strict=True):
        longitude, latitude = mosaic.georeference.lonlat(x + 0.5, y + 0.5)
        tile = mercantile.tile(float(longitude), float(latitude), zoom)
        bounds = mercantile.xy_bounds(tile)
        east, north = mercantile.xy(float(longitude), float(latitude))
        column = int((east - bounds.left) / (bounds.right - bounds.left) * SIDE_PX)
        row = int((bounds.top - north) / (bounds.top - bounds.bottom) * SIDE_PX)
        np.testing.assert_array_equal(pixels[y, x, :3], drawn(tile)[row, column])


@settings(deadline=None)
@given(BOXES, st.integers(0, 19), st.sampled_from([ESRI, EOX]))
def test_the_raster_is_the_bounds_to_the_pixel(bbox: str, zoom: int, provider: Provider) -> None:
    area = read_area(bbox=bbox)
    plan = plan_area(area, zoom, provider)
    left, bottom, right, top = area.bounds_m
    size, _, west, _, _, north = plan.georeference.transform
    slack = 0.002  # of a pixel: bounds that hit a pixel's edge but for rounding are on it
    assert -slack <= (left - west) / size < 1 + slack
    assert -slack <= (north - top) / size < 1 + slack
    east, south = west + plan.width_px * size, north - plan.height_px * size
    assert plan.width_px == 1 or -slack <= (east - right) / size < 1 + slack
    assert plan.height_px == 1 or -slack <= (bottom - south) / size < 1 + slack
    tiles = len(plan.columns) * len(plan.rows)
    assert plan.tile_count == tiles
    assert (tiles - 2 * (len(plan.columns) + len(plan.rows))) * 256**2 <= plan.width_px * plan.height_px


PLACES = st.builds(
    lambda longitude, latitude, size, turn: Georeference(
        "EPSG:3857",
        (
            size * math.cos(turn), size * math.sin(turn), longitude * WORLD_M / 360,
            size * math.sin(turn), -size * math.cos(turn), latitude * WORLD_M / 360,
        ),
        2000,
        1000,
    ),
    st.floats(-180, 190),
    st.floats(-80, 80),
    st.floats(0.2, 50),
    st.sampled_from([0.0, 0.3]),
)  # fmt: skip


@settings(deadline=None)
@given(PLACES, st.floats(0, 2000), st.floats(0, 1000))
def test_pixels_to_the_earth_and_back(place: Georeference, x: float, y: float) -> None:
    longitude, latitude = place.lonlat(x, y)
    assert -180 <= longitude <= 180
    back = place.pixels(longitude, latitude)
    np.testing.assert_allclose(back, (x, y), atol=1e-3)


@settings(deadline=None)
@given(LONGITUDES, st.floats(-80, 80), st.floats(0.3, 30), st.floats(0, 2 * math.pi))
def test_a_length_is_that_of_the_map_times_the_cosine(
    longitude: float, latitude: float, size: float, heading: float
) -> None:
    east, north = mercantile.xy(longitude, latitude)
    place = Georeference("EPSG:3857", (size, 0, east, 0, -size, north), 10, 10)
    length_px = 100.0
    end = (length_px * math.cos(heading), length_px * math.sin(heading))
    expected = size * length_px * math.cos(math.radians(float(place.lonlat(end[0] / 2, end[1] / 2)[1])))
    # Within what separates the ellipsoid from the sphere.
    assert abs(place.length_m((0, 0), end) / expected - 1) < 0.007


@settings(deadline=None)
@given(LONGITUDES, LATITUDES, st.floats(0.01, 100), st.floats(0.001, 1))
def test_an_area_is_the_sum_of_its_parts(longitude: float, latitude: float, width: float, height: float) -> None:
    whole = read_area(bbox=box_text(longitude, latitude, width, height))
    west, south, east, north = whole.bounds
    middle = (west + east) / 2
    parts = [read_area(wkt=shapely.box(a, south, b, north).wkt) for a, b in ((west, middle), (middle, east))]
    assert math.isclose(whole.area_km2, sum(part.area_km2 for part in parts), rel_tol=1e-6)
    joined = read_area(wkt=shapely.MultiPolygon([part for area in parts for part in area.shape.geoms]).wkt)
    assert math.isclose(joined.area_km2, whole.area_km2, rel_tol=1e-6)
    np.testing.assert_allclose(joined.bounds, whole.bounds, atol=1e-6)


TURNS = st.sampled_from([-360.0, 0.0, 360.0])


@settings(deadline=None)
@given(LONGITUDES, st.floats(-60, 60), st.floats(0.1, 20), st.integers(3, 12), TURNS)
def test_an_outline_is_the_same_wherever_its_longitudes_begin(
    longitude: float, latitude: float, radius: float, corners: int, turn: float
) -> None:
    angles = np.arange(corners) * 2 * np.pi / corners
    ring = np.stack([longitude + radius * np.cos(angles), latitude + radius / 2 * np.sin(angles)], axis=1)
    area = outline(ring + np.array([turn, 0])) if np.abs(ring[:, 0] + turn).max() < 540 else outline(ring)
    wrapped = outline(np.stack([(ring[:, 0] + 180) % 360 - 180, ring[:, 1]], axis=1))
    assert math.isclose(area.area_km2, wrapped.area_km2, rel_tol=1e-6)
    np.testing.assert_allclose(area.bounds, wrapped.bounds, atol=1e-6)
    assert area.joined.bounds[2] - area.joined.bounds[0] <= 2 * radius + 1e-6
    assert area.shape.bounds[0] >= -180
    assert area.shape.bounds[2] <= 180


def outline(ring: np.ndarray) -> Area:
    return read_area(wkt=shapely.Polygon(ring).wkt)


@given(st.floats(-89, 89), st.floats(0, 22), st.sampled_from([256, 512]))
def test_zoom_and_size_are_inverse(latitude: float, zoom: float, tile_px: int) -> None:
    assert math.isclose(zoom_for(latitude, gsd_m(latitude, zoom, tile_px), tile_px), zoom, abs_tol=1e-9)
