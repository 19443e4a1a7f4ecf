"""Outlines that people give: right ones, wrong ones, and those over the antimeridian."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from sightline.errors import RequestError
from sightline.maps.area import Area, read_area
from sightline.maps.outlines import MOST_CORNERS

FIJI = (179.9, -17.0, 180.1, -16.8)
SQUARE = [[10.0, 50.0], [10.2, 50.0], [10.2, 50.1], [10.0, 50.1], [10.0, 50.0]]


def geojson(geometry: dict[str, Any]) -> str:
    return json.dumps({"type": "Feature", "properties": {}, "geometry": geometry})


def polygon(*rings: list[list[float]]) -> str:
    return geojson({"type": "Polygon", "coordinates": list(rings)})


def test_a_box_a_geojson_and_a_wkt_of_the_same_place_are_the_same_area(tmp_path: Path) -> None:
    file = tmp_path / "area.geojson"
    file.write_text("\ufeff" + polygon(SQUARE), encoding="utf-8")
    areas = [
        read_area(bbox="10, 50, 10.2, 50.1"),
        read_area(geojson=polygon(SQUARE)),
        read_area(geojson=file),
        read_area(geojson=json.dumps({"type": "FeatureCollection", "features": [json.loads(polygon(SQUARE))]})),
        read_area(wkt="POLYGON ((10 50, 10.2 50, 10.2 50.1, 10 50.1, 10 50))"),
        read_area(wkt="SRID=4326;MULTIPOLYGON Z (((10 50 3, 10.2 50 3, 10.2 50.1 3, 10 50.1 3, 10 50 3)))"),
    ]
    for area in areas:
        assert area.bounds == (10.0, 50.0, 10.2, 50.1)
        assert area.area_km2 == pytest.approx(areas[0].area_km2, rel=1e-12)


@pytest.mark.parametrize(
    "area",
    [
        read_area(bbox="179.9,-17,-179.9,-16.8"),
        read_area(bbox="179.9,-17,180.1,-16.8"),
        read_area(wkt="POLYGON ((179.9 -17, -179.9 -17, -179.9 -16.8, 179.9 -16.8, 179.9 -17))"),
        read_area(wkt="POLYGON ((-180.1 -17, -179.9 -17, -179.9 -16.8, -180.1 -16.8, -180.1 -17))"),
        read_area(
            wkt="MULTIPOLYGON (((179.9 -17, 180 -17, 180 -16.8, 179.9 -16.8, 179.9 -17)),"
            "((-180 -17, -179.9 -17, -179.9 -16.8, -180 -16.8, -180 -17)))"
        ),
    ],
    ids=["bbox", "bbox beyond 180", "jumping ring", "beyond -180", "cut as RFC 7946 wants"],
)
def test_however_the_antimeridian_is_written_it_is_one_narrow_area(area: Area) -> None:
    assert area.bounds == pytest.approx(FIJI)
    assert len(area.shape.geoms) == 2
    assert len(area.joined.geoms) == 1
    assert area.shape.bounds[0] == -180
    assert area.shape.bounds[2] == 180
    assert area.area_km2 == pytest.approx(read_area(bbox="10,-17,10.2,-16.8").area_km2, rel=1e-9)
    left, _, right, _ = area.bounds_m
    assert right - left == pytest.approx(0.2 * 111_319.490793)


def test_islands_on_both_sides_are_covered_by_the_narrow_way_round() -> None:
    area = read_area(
        wkt="MULTIPOLYGON (((178 -17, 179 -17, 179 -16, 178 -17)), ((-179 -17, -178 -17, -178 -16, -179 -17)))"
    )
    assert area.bounds == (178, -17, 182, -16)
    assert read_area(bbox="-170,0,170,1").bounds == (-170, 0, 170, 1)


def test_a_hole_follows_its_ring_over_the_antimeridian() -> None:
    ring = [[179.0, 0.0], [-179.0, 0.0], [-179.0, 2.0], [179.0, 2.0], [179.0, 0.0]]
    hole = [[-179.8, 0.5], [-179.8, 1.5], [-179.2, 1.5], [-179.2, 0.5], [-179.8, 0.5]]
    area = read_area(geojson=polygon(ring, hole))
    assert not area.joined.contains(shapely.Point(180.5, 1.0))
    assert area.joined.contains(shapely.Point(180.1, 1.0))
    assert area.joined.area == pytest.approx(2 * 2 - 0.6)


def test_known_sizes() -> None:
    whole = read_area(bbox="-180,-85.0511287798066,180,85.0511287798066")
    assert whole.area_km2 == pytest.approx(510_065_622 * 0.99622, rel=1e-4)  # of the ellipsoid, without the caps
    assert whole.bounds_m == pytest.approx((-20037508.342789, -20037508.342789, 20037508.342789, 20037508.342789))
    degree = read_area(bbox="0,0,1,1")
    assert degree.area_km2 == pytest.approx(12_308.8, rel=1e-4)  # of a degree square at the equator


BAD_BOXES = {
    "10,50,10,50.1": "no area",
    "10,50,10.1,50": "no area",
    "10,50.1,10.1,50": "swapped: the south",
    "10.1,50,10,50.1": "swapped: from 10.1 eastwards to 10",
    "10,50,11": "four numbers",
    "a,b,c,d": "four numbers",
    "nan,50,11,51": "not finite",
    "10,50,inf,51": "not finite",
    "10,80,11,86": "beyond 85.0511",
    "10,-90,11,-80": "beyond 85.0511",
    "51,120,52,121": "swapped. Write the longitude first",
    "600,1,601,2": "does not exist",
    "-300,1,300,2": "more than once",
}


@pytest.mark.parametrize(("text", "message"), BAD_BOXES.items(), ids=BAD_BOXES)
def test_a_bad_box_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_area(bbox=text)
    assert caught.value.where == "bbox"
    assert message in str(caught.value)


def test_a_crossing_is_named_with_its_place() -> None:
    with pytest.raises(RequestError, match=r"wkt: the outline crosses .* longitude 10.5, latitude 20.5"):
        read_area(wkt="POLYGON ((10 20, 11 21, 11 20, 10 21, 10 20))")
    with pytest.raises(RequestError, match=r"crosses .* longitude 180, latitude 0.5"):
        read_area(wkt="POLYGON ((179 0, -179 1, -179 0, 179 1, 179 0))")


BAD_WKT = {
    "POINT (1 2)": "neither a POLYGON",
    "GEOMETRYCOLLECTION (" * 50_000: "neither a POLYGON",
    "POLYGON ((0 0, 1 0": "not well-known text",
    "POLYGON ((0 0, 1 0, 1 1))": "not well-known text",
    "POLYGON EMPTY": "empty",
    "POLYGON ((0 0, 1 1, 2 2, 0 0))": "",
    "POLYGON ((0 0, 1 1, 0 0, 0 0))": "is empty",
    "POLYGON ((0 0, 0 0, 0 0, 0 0))": "is empty",
    "POLYGON ((0 nan, 1 0, 1 1, 0 nan))": "",
    "POLYGON ((50 120, 51 120, 51 121, 50 120))": "swapped",
    "POLYGON ((0 80, 120 80, -120 80, 0 80))": "round a pole",
    "SRID=3857;POLYGON ((0 0, 1 0, 1 1, 0 0))": "SRID 3857",
    "POLYGON ((0 0, 1 0, 1 1, 0 0), (5 5, 6 5, 6 6, 5 5))": "hole lies outside",
    "POLYGON ((500000 4000000, 500100 4000000, 500100 4000100, 500000 4000000))": "beyond",
}


@pytest.mark.parametrize(("text", "message"), BAD_WKT.items(), ids=[text[:40] for text in BAD_WKT])
def test_a_bad_wkt_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_area(wkt=text)
    assert caught.value.where == "wkt"
    assert message in str(caught.value)


BAD_GEOJSON = {
    "{": "not valid JSON",
    "[" * 100_000: "not valid JSON",
    "[]": "where a Polygon",
    "null": "where a Polygon",
    '{"type": "Point", "coordinates": [1, 2]}': "'Point'",
    '{"type": "FeatureCollection", "features": []}': "empty",
    '{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": null}]}': "where a Polygon",
    '{"type": "Polygon", "coordinates": []}': "empty",
    '{"type": "Polygon", "coordinates": 7}': "not lists",
    '{"type": "Polygon", "coordinates": [7]}': "not two numbers",
    '{"type": "Polygon", "coordinates": [[[1, 2], [2, 2], ["a", 3], [1, 2]]]}': "not two numbers",
    '{"type": "Polygon", "coordinates": [[[1, 2], [2, 2], [NaN, 3], [1, 2]]]}': "not two numbers",
    '{"type": "Polygon", "coordinates": [[[1, 2], [2, 2], [2, 3], [1, 3]]]}': "not closed",
    '{"type": "MultiPolygon", "coordinates": [[[1, 2], [2, 2], [2, 3], [1, 2]]]}': "not two numbers",
    '{"type": "Polygon", "crs": {"properties": {"name": "EPSG:32630"}}, "coordinates": []}': "crs",
}


@pytest.mark.parametrize(("text", "message"), BAD_GEOJSON.items(), ids=[text[:60] for text in BAD_GEOJSON])
def test_a_bad_geojson_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(RequestError, match="geojson") as caught:
        read_area(geojson=text)
    assert message in str(caught.value)


def test_too_many_corners_are_refused() -> None:
    circle = shapely.Point(10, 50).buffer(1, quad_segs=MOST_CORNERS // 4 + 1)
    with pytest.raises(RequestError, match="corners are more than"):
        read_area(wkt=circle.wkt)
    with pytest.raises(RequestError, match="longer than"):
        read_area(geojson=" " * (4 * 2**20 + 1))


def test_a_text_is_never_taken_for_the_name_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "area.geojson"
    file.write_text(polygon(SQUARE), encoding="utf-8")
    with pytest.raises(RequestError, match="not valid JSON"):
        read_area(geojson=str(file))
    with pytest.raises(RequestError, match="cannot be read"):
        read_area(geojson=tmp_path / "none.geojson")
    with pytest.raises(RequestError, match="cannot be read"):
        read_area(geojson=tmp_path)


def test_exactly_one_outline_is_wanted() -> None:
    with pytest.raises(RequestError, match="none is given"):
        read_area()
    with pytest.raises(RequestError, match="bbox and wkt are given"):
        read_area(bbox="1,2,3,4", wkt="POLYGON ((0 0, 1 0, 1 1, 0 0))")
