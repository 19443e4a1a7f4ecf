"""From an area to ships with coordinates: tiles of a made-up map, and a model that takes bright patches for ships."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import mercantile
import numpy as np
import pytest
from PIL import Image

from sightline.capabilities import adjust
from sightline.drift.background import Background
from sightline.drift.familiarity import UNLIKE, Reference
from sightline.errors import DataRejected, ParamsError, RequestError
from sightline.files import sha256_file
from sightline.limits import Limits
from sightline.maps.area import read_area
from sightline.maps.order import Order
from sightline.maps.providers import EOX, ESRI, OSM, open_folder
from sightline.maps.tiles import plan_text
from sightline.maps.upscaling.upscale import open_upscaler
from sightline.pipeline.survey import Seen, Workspace, plan_survey, survey, surveying
from sightline.task import Row
from tests.toy import Silent
from tests.unit.tasks.panel_defects.networks import tiny_model
from tests.unit.tasks.ships.networks import network_model, put_ship, sea

ZOOM = 15
WEST, NORTH = mercantile.bounds(16000, 12000, ZOOM).west, mercantile.bounds(16000, 12000, ZOOM).north
EAST, SOUTH = mercantile.bounds(16001, 12001, ZOOM).east, mercantile.bounds(16001, 12001, ZOOM).south
SHIPS = ((119.5, 139.5, 0.0), (299.5, 255.5, 50.0), (419.5, 399.5, 90.0))


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Two by two tiles with three ships on dark water; the middle one lies across all four."""
    root = tmp_path_factory.mktemp("tiles")
    pixels = sea(512, 512)
    for x, y, angle in SHIPS:
        put_ship(pixels, x, y, length=34, beam=10, angle_deg=angle)
    for row in range(2):
        for column in range(2):
            path = root / str(ZOOM) / str(16000 + column) / f"{12000 + row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[256 * row : 256 * (row + 1), 256 * column : 256 * (column + 1)]).save(path)
    return root


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "out", tmp_path / "cache", Limits())


def area(west=WEST, south=SOUTH, east=EAST, north=NORTH):
    return read_area(bbox=f"{west!r},{south!r},{east!r},{north!r}")


def planned(tiles, where=None, factor=1, model=None):
    order = Order(where or area(), open_folder(tiles), upscale="bicubic" if factor > 1 else "none")
    return plan_survey(order, (model or network_model()).wanted_gsd_m)


def test_ships_have_the_coordinates_they_were_drawn_at(tiles, workspace):
    model = network_model()
    summary = survey(planned(tiles), None, model, workspace, Silent())
    assert summary["found"]["raw"]["count"] == 3
    assert summary["tiles_missing"] == []
    found = json.loads((workspace.out / "raw.geojson").read_text())
    assert found["type"] == "FeatureCollection"
    places = [(one["properties"]["lon"], one["properties"]["lat"]) for one in found["features"]]
    pixel_deg = (EAST - WEST) / 512
    for x, y, _ in SHIPS:
        lon = WEST + x * pixel_deg
        lat = mercantile.lnglat(*_metres(x, y)).lat
        nearest = min(np.hypot((lon - a) / pixel_deg, (lat - b) / pixel_deg) for a, b in places)
        assert nearest < 1  # pixel
    for name in ("raw.tif", "raw.png", "raw.json", "summary.json", "plan.json"):
        assert (workspace.out / name).is_file()


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def _metres(x, y):
    left, top = mercantile.xy_bounds(16000, 12000, ZOOM).left, mercantile.xy_bounds(16000, 12000, ZOOM).top
    side = (mercantile.xy_bounds(16000, 12000, ZOOM).right - left) / 256
    return left + x * side, top - y * side


def test_only_what_lies_in_the_area_is_told(tiles, workspace):
    middle_lon, middle_lat = mercantile.lnglat(*_metres(256, 200))[:2]
    where = area(west=WEST, north=NORTH, east=middle_lon, south=middle_lat)
    summary = survey(planned(tiles, where), None, network_model(), workspace, Silent())
    assert summary["found"]["raw"]["count"] == 1
    assert size_of(workspace.out / "raw.png") == (256, 200)


def test_raw_and_enlarged_stand_beside_each_other(tiles, workspace):
    weights = {"file": "made up.bin", "sha256": "0" * 64, "licence": "none"}
    upscaler = replace(open_upscaler("bicubic"), weights=weights)
    summary = survey(planned(tiles, factor=4), upscaler, network_model(), workspace, Silent())
    assert summary["found"]["raw"]["count"] == summary["found"]["enlarged"]["count"] == 3
    assert summary["enlarged_by"] == {"choice": "bicubic", "factor": 4, "weights": weights}
    assert json.loads((workspace.out / "summary.json").read_text())["enlarged_by"] == summary["enlarged_by"]
    assert (workspace.out / "enlarged.tif").is_file()
    width, height = size_of(workspace.out / "comparison.png")  # raw and enlarged, each with what was found in it
    assert 2 * 1024 < height < 2 * 1024 + 100
    assert width > 2 * 1024


def test_a_second_run_goes_on_with_what_is_there(tiles, workspace):
    model, upscaler, plan = network_model(), open_upscaler("bicubic"), planned(tiles, factor=4)
    survey(plan, upscaler, model, workspace, Silent())
    made = {name: (workspace.out / name).stat().st_mtime_ns for name in ("raw.tif", "enlarged.tif")}
    survey(plan, upscaler, model, workspace, Silent())
    assert {name: (workspace.out / name).stat().st_mtime_ns for name in made} == made


def test_tiles_of_a_folder_that_have_changed_are_stitched_anew(tiles, workspace, tmp_path):
    """The folder's name says nothing of what lies in it."""
    changing = tmp_path / "tiles"
    shutil.copytree(tiles, changing)
    model, plan = network_model(), planned(changing)
    assert survey(plan, None, model, workspace, Silent())["found"]["raw"]["count"] == 3
    for path in changing.rglob("*.png"):
        Image.fromarray(sea(256, 256)).save(path)
    assert survey(plan, None, model, workspace, Silent())["found"]["raw"]["count"] == 0


def test_each_answer_is_told_with_what_it_is_an_answer_to(tiles, workspace):
    answers = []
    upscaler = open_upscaler("bicubic")
    survey(planned(tiles, factor=4), upscaler, network_model(), workspace, Silent(), lambda *both: answers.append(both))
    assert [prediction.document["count"] for _, prediction in answers] == [3, 3]
    for (source, _), name in zip(answers, ("raw.tif", "enlarged.tif"), strict=True):
        assert source.sha256 == sha256_file(workspace.out / name)


def test_surveying_answers_as_predicting_does(tiles):
    model = network_model()
    source = model.read(next(tiles.glob("*/*/*.png")), Limits())
    seen = model.survey(source, lambda done, total: None)
    assert seen.document == model.predict([source])[0].document
    assert seen.document["count"] > 0


def test_it_tells_how_far_it_has_looked_and_can_be_stopped_there(tiles, workspace):
    model, seen = network_model(), []

    class Stopping(Silent):
        def advance(self, done, total, what):
            seen.append((done, total, what))
            if what.startswith("detection") and done == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        survey(planned(tiles), None, model, workspace, Stopping())
    assert [one[0] for one in seen if one[2] == "detection in raw"] == [1, 2]
    assert survey(planned(tiles), None, model, workspace, Silent())["found"]["raw"]["count"] == 3


def test_a_tile_that_lacks_is_told_and_asked_for_again(tiles, workspace, tmp_path):
    import shutil

    holed = tmp_path / "holed"
    shutil.copytree(tiles, holed)
    lacking = holed / str(ZOOM) / "16001" / "12001.png"
    kept = lacking.read_bytes()
    lacking.unlink()
    summary = survey(planned(holed), None, network_model(), workspace, Silent())
    assert len(summary["tiles_missing"]) == 1
    assert f"{ZOOM}/16001/12001" in summary["tiles_missing"][0]
    lacking.write_bytes(kept)
    again = survey(planned(holed), None, network_model(), workspace, Silent())
    assert again["tiles_missing"] == []
    assert again["found"]["raw"]["count"] == 3


def test_a_folder_of_another_survey_or_of_something_else_is_left_alone(tiles, workspace):
    survey(planned(tiles), None, network_model(), workspace, Silent())
    other = area(east=(WEST + EAST) / 2)
    with pytest.raises(DataRejected, match="another area"):
        survey(planned(tiles, other), None, network_model(), workspace, Silent())
    (workspace.out / "plan.json").unlink()
    with pytest.raises(DataRejected, match="not empty"):
        survey(planned(tiles), None, network_model(), workspace, Silent())


def test_the_zoom_fits_the_model(tiles):
    assert planned(tiles).zoom == ZOOM
    far = plan_survey(Order(area(), open_folder(tiles), upscale="bicubic"), 3.0)
    assert far.wanted_gsd_m == 12.0


def test_zoom_and_enlargement_follow_what_is_advised():
    """At 10 m a pixel, as at any size that was measured, nothing raised F1: so nothing is enlarged."""
    auto, told = (plan_survey(Order(area(), EOX, upscale=upscale), 3.0) for upscale in ("auto", "realesrgan"))
    assert (auto.upscale, auto.wanted_gsd_m, auto.enlarging_s) == ("none", 3.0, 0.0)
    assert (told.upscale, told.wanted_gsd_m, told.zoom) == ("realesrgan", 12.0, auto.zoom - 2)
    assert "realesrgan; advised is none: at 10 m a pixel" in plan_text(told)
    assert "to enlarge it without a graphics card" in plan_text(told)
    with pytest.raises(ParamsError, match="Choose one of: auto, none, bicubic"):
        plan_survey(Order(area(), EOX, upscale="magic"), 3.0)


def test_what_is_forbidden_is_refused_before_anything_is_fetched(tiles):
    with pytest.raises(RequestError, match="drawn map"):
        plan_survey(Order(area(), OSM), 3.0)
    with pytest.raises(RequestError, match="zoom"):
        plan_survey(Order(area(), open_folder(tiles), zoom=18), 3.0)


def test_other_tasks_look_at_no_areas():
    assert surveying(network_model()).wanted_gsd_m == 3.0
    with pytest.raises(ParamsError, match="Use --task ships"):
        surveying(tiny_model())


@pytest.mark.parametrize(
    "values", [{"threshold": 1.5}, {"threshold": -0.1}, {"stride_px": 12}, {"stride_px": 264}, {"overlap": 0.5}]
)
def test_a_value_that_cannot_be_or_is_unknown_is_refused(values):
    with pytest.raises(ParamsError):
        adjust(network_model(), values)


def test_a_threshold_is_taken(tiles, workspace):
    summary = survey(planned(tiles), None, network_model().adjusted({"threshold": 1.0}), workspace, Silent())
    assert summary["found"]["raw"]["count"] == 0


@pytest.mark.parametrize(
    ("zoom", "upscale", "degrees", "said"),
    [
        (10, "none", 0.1, r"zoom: at zoom 10 a pixel is 111 m.*0\.1 to 30 m"),
        (19, "bicubic", 0.001, r"zoom: at zoom 19, enlarged 4 times, a pixel is 0\.05"),
        (13, "none", 2.4, r"area: at the network's scale the area has .* pixels; at most 2,147,483,648 are allowed"),
        (17, "bicubic", 0.1, r"area: enlarged 4 times the area has .* pixels; at most 1,073,741,824 are allowed"),
    ],
)
def test_what_would_never_end_is_refused_before_a_tile_is_asked_for(zoom, upscale, degrees, said):
    where = area(WEST, NORTH - degrees, WEST + degrees, NORTH)
    with pytest.raises(RequestError, match=said):
        plan_survey(Order(where, replace(ESRI, most_tiles=10**6), zoom, upscale), 3.0)


def test_an_area_unlike_the_training_data_is_told(tiles, workspace):
    rng = np.random.default_rng(0)
    rows = [
        Row(
            f"real/{n}",
            f"{n}",
            f"g{n}",
            "scene",
            {},
            {"input_blue": 200.0 + n},
            tuple((50 + rng.normal(size=3)).tolist()),
        )
        for n in range(20)
    ]
    known = replace(workspace, background=Background(reference=Reference(rows)))
    summary = survey(planned(tiles), None, network_model(), known, Silent())
    assert summary["familiarity"]["raw"]["word"] == UNLIKE
    assert summary["found"]["raw"]["count"] == 3
    seen = Seen.model_validate(json.loads((workspace.out / "summary.json").read_text()))
    assert seen.familiarity["raw"].word == UNLIKE
