"""Plans: what an area takes, and what is refused before anything is downloaded."""

from __future__ import annotations

import json
import time
from itertools import islice

import mercantile
import pytest

from sightline.errors import RequestError
from sightline.maps.area import read_area
from sightline.maps.providers import EOX, ESRI, OSM, PROVIDERS, Provider
from sightline.maps.tiles import choose_zoom, describe_plan, plan_area, plan_text, refuse

ALGECIRAS = read_area(bbox="-5.47,36.11,-5.40,36.15")


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
@pytest.mark.parametrize("bbox", ["-5.47,36.11,-5.40,36.15", "10.01,-33.2,10.02,-33.1", "1,60.001,1.0001,60.0011"])
def test_the_tiles_of_a_box_are_those_of_mercantile(provider: Provider, bbox: str) -> None:
    plan = plan_area(read_area(bbox=bbox), 13, provider)
    expected = set(mercantile.tiles(*(float(part) for part in bbox.split(",")), zooms=[13]))
    assert set(plan.tiles()) == expected
    assert plan.tile_count == len(expected)


def test_over_the_antimeridian_columns_go_on_and_tiles_begin_again() -> None:
    plan = plan_area(read_area(bbox="179.9,-17,-179.9,-16.8"), 12, ESRI)
    expected = set(mercantile.tiles(179.9, -17, 180, -16.8, [12])) | set(
        mercantile.tiles(-180, -17, -179.9, -16.8, [12])
    )
    assert set(plan.tiles()) == expected
    assert plan.columns[0] < 2**12 <= plan.columns[-1]
    assert plan.georeference.transform[2] < 20037508.35 < plan.georeference.transform[2] + plan.width_px * plan.pixel_m


def test_an_outline_leaves_tiles_out() -> None:
    corner = read_area(wkt="POLYGON ((0 0, 1 0, 1 0.01, 0.01 0.01, 0.01 1, 0 1, 0 0))")
    plan = plan_area(corner, 13, EOX)
    box = plan_area(read_area(bbox="0,0,1,1"), 13, EOX)
    assert (plan.width_px, plan.height_px) == (box.width_px, box.height_px)
    assert plan.tile_count < 0.1 * box.tile_count
    assert plan.tile_count == len(list(plan.tiles()))


def test_an_area_smaller_than_a_pixel_is_one_pixel_of_one_tile() -> None:
    plan = plan_area(read_area(bbox="10.00001,50.00001,10.000011,50.000011"), 15, ESRI)
    assert (plan.width_px, plan.height_px, plan.tile_count) == (1, 1, 1)


def test_the_whole_map() -> None:
    plan = plan_area(read_area(bbox="-180,-85.0511287798066,180,85.0511287798066"), 3, ESRI)
    assert (plan.left_px, plan.top_px, plan.width_px, plan.height_px) == (0, 0, 2048, 2048)
    assert plan.tile_count == 64
    refuse(plan)


@pytest.mark.parametrize("outline", ["box", "ring"])
def test_a_million_tiles_are_refused_at_once_and_counted(outline: str) -> None:
    area = (
        read_area(bbox="-10,35,5,45")
        if outline == "box"
        else read_area(wkt="POLYGON ((-10 35, 5 35, 5 45, -9 45, -10 35))")
    )
    started = time.monotonic()
    plan = plan_area(area, 17, ESRI)
    with pytest.raises(RequestError, match=r"would take [\d,]+ tiles at zoom 17; esri allows at most 1,024") as caught:
        refuse(plan)
    assert plan.tile_count > 20_000_000
    assert "scraping" in str(caught.value)
    assert ESRI.terms_url in str(caught.value)
    assert "zoom 9" in caught.value.way_out
    assert len(list(islice(plan.tiles(), 5))) == 5  # nor does a look at the first ones list them all
    assert time.monotonic() - started < 5


def test_the_zoom_that_is_advised_instead_is_allowed() -> None:
    plan = plan_area(read_area(bbox="-10,35,5,45"), 17, ESRI)
    refuse(plan_area(plan.area, 9, ESRI))
    with pytest.raises(RequestError):
        refuse(plan_area(plan.area, 10, ESRI))


def test_other_reasons_to_refuse() -> None:
    with pytest.raises(RequestError, match="zooms 0 to 15, not 17"):
        refuse(plan_area(ALGECIRAS, 17, EOX))
    with pytest.raises(RequestError, match="nothing can be detected"):
        refuse(plan_area(ALGECIRAS, 14, OSM), detecting=True)
    with pytest.raises(RequestError, match=r"osm allows at most 64 .*prohibited"):
        refuse(plan_area(ALGECIRAS, 17, OSM))
    with pytest.raises(RequestError, match="zoom level 99 does not exist"):
        plan_area(ALGECIRAS, 99, ESRI)
    corner = read_area(wkt="POLYGON ((0 0, 5 0, 5 0.001, 0.001 0.001, 0.001 5, 0 5, 0 0))")
    with pytest.raises(RequestError, match=r"raster of .* pixels; at most 400,000,000 are allowed"):
        refuse(plan_area(corner, 15, EOX))
    refuse(plan_area(ALGECIRAS, 14, OSM))
    refuse(plan_area(ALGECIRAS, 17, ESRI), detecting=True)


def test_the_plan_is_told_to_people_and_to_programs() -> None:
    wanted = 240 / 224
    zoom = choose_zoom(ALGECIRAS, ESRI, wanted)
    plan = plan_area(ALGECIRAS, zoom, ESRI, wanted)
    text, described = plan_text(plan), json.loads(json.dumps(describe_plan(plan)))
    assert zoom == described["zoom"] == described["advised_zoom"] == 17
    assert described["tiles"] == plan.tile_count == 26 * 19
    assert described["megapixels"] == pytest.approx(plan.width_px * plan.height_px / 1e6)
    assert described["gsd_m"] == pytest.approx(0.9647, abs=1e-3)
    assert described["wanted_zoom"] == pytest.approx(16.849, abs=1e-3)
    assert f"{plan.tile_count:,} of esri at zoom 17" in text
    assert "36.1300 N, 5.4350 W" in text
    assert "zoom 16.85, so 17, which is this one" in text
    assert ESRI.terms in text
    assert ESRI.attribution in text
    assert max(map(len, text.splitlines())) < 180


def test_pictures_that_are_too_coarse_are_told() -> None:
    plan = plan_area(ALGECIRAS, 14, EOX, 240 / 224)
    assert "so 15, not 14" in plan_text(plan)
    assert "10 m a pixel at best" in plan_text(plan)
