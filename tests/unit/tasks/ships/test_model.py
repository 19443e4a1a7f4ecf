"""A model from pixels to ships with coordinates, and saved and restored."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from sightline.errors import DataRejected, ModelRejected, RequestError
from sightline.files import write_json
from sightline.limits import Limits
from sightline.tasks.ships.answer import Ship
from sightline.tasks.ships.labels import size_class_of
from sightline.tasks.ships.model import ShipModel, in_words, told_classes, too_coarse
from tests.unit import bad_images
from tests.unit.tasks.ships.networks import SHIPS, blob_model, network_model, png, put_ship, scene, sea

LON, LAT = -122.3, 37.8


def placed(path, pixels, crs="EPSG:3857", gsd_m=3.0, **options):
    """A GeoTIFF whose pixels measure gsd_m on the ground, near San Francisco."""
    from rasterio.warp import transform

    (x,), (y,) = transform("EPSG:4326", crs, [LON], [LAT])
    unit = {"EPSG:3857": gsd_m / math.cos(math.radians(LAT)), "EPSG:32610": gsd_m}[crs]
    height, width, count = pixels.shape
    profile = {"count": count, "height": height, "width": width, "dtype": pixels.dtype, "crs": crs}
    with rasterio.open(
        path, "w", driver="GTiff", transform=Affine(unit, 0, x, 0, -unit, y), **profile, **options
    ) as file:
        file.write(np.moveaxis(pixels, -1, 0))
    return path


def test_ships_have_boxes_lengths_and_scores():
    pixels, boxes = scene()
    for model in (network_model(), blob_model()):
        answer = model.predict([model.read(png(pixels), Limits())])[0].document
        assert (answer["count"], answer["georeferenced"], answer["gsd_m"]) == (len(boxes), False, 3.0)
        for box in boxes:
            ship = min(answer["ships"], key=lambda one: math.dist(one["center"], box.centre))
            assert math.dist(ship["center"], box.centre) < 3
            assert ship["length_m"] == pytest.approx(180, abs=9)
            assert ship["beam_m"] == pytest.approx(36, abs=9)
            assert ship["box"] == pytest.approx([box.x0, box.y0, box.x1, box.y1], abs=3)
            assert model.threshold <= ship["score"] <= 1
            assert "lon" not in ship


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:32610"])
def test_a_georeferenced_raster_gives_places_on_earth(tmp_path, crs):
    model = network_model()
    pixels, _ = scene()
    source = model.read(placed(tmp_path / "scene.tif", pixels, crs), Limits())
    assert source.gsd_m == pytest.approx(3.0, rel=0.01)
    answer = model.predict([source])[0]
    assert len(answer.document["ships"]) == len(SHIPS)
    for x, y, _ in SHIPS:
        ship = min(answer.document["ships"], key=lambda one: math.dist(one["center"], (x, y)))
        lat = LAT - 3 * ship["center"][1] / 111_000
        lon = LON + 3 * ship["center"][0] / 111_320 / math.cos(math.radians(LAT))
        assert (ship["lon"], ship["lat"]) == pytest.approx((lon, lat), abs=1e-4)
        assert ship["length_m"] == pytest.approx(180, rel=0.06)
    features = answer.exports["geojson"]["features"]
    assert [feature["geometry"]["type"] for feature in features] == ["Polygon"] * len(SHIPS)
    for feature in features:
        ring = np.array(feature["geometry"]["coordinates"][0])
        assert (ring[0] == ring[-1]).all()
        assert np.abs(ring - [LON, LAT]).max() < 0.02
        turning = np.sum(ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1] - 0 * ring[1:, 0])
        assert turning > 0  # counter-clockwise, as RFC 7946 asks


def test_without_a_georeference_the_user_tells_the_pixel():
    model = network_model()
    pixels, _ = scene()
    half = np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1)  # the same ground at 1.5 m
    source = model.under(model.read(png(half), Limits()), {"gsd_m": 1.5})
    answer = model.predict([source])[0].document
    assert answer["count"] == len(SHIPS)
    assert all(ship["length_m"] == pytest.approx(180, abs=12) for ship in answer["ships"])
    assert min(math.dist(one["center"], (160, 140)) for one in answer["ships"]) < 6
    for wrong in (0.01, 1000.0):
        with pytest.raises(RequestError, match="gsd_m"):
            model.under(source, {"gsd_m": wrong})


def test_a_georeference_is_not_overruled(tmp_path):
    model = network_model()
    source = model.read(placed(tmp_path / "scene.tif", sea(64, 64)), Limits())
    with pytest.raises(RequestError, match="says itself"):
        model.under(source, {"gsd_m": 1.0})


def test_pixels_that_are_not_square_on_the_ground_are_refused(tmp_path):
    profile = {"driver": "GTiff", "count": 3, "height": 64, "width": 64, "dtype": "uint8", "crs": "EPSG:4326"}
    with rasterio.open(tmp_path / "degrees.tif", "w", transform=Affine(3e-5, 0, 10, 0, -3e-5, 60), **profile) as file:
        file.write(np.moveaxis(sea(64, 64), -1, 0))
    with pytest.raises(DataRejected, match=r"degrees\.tif.*pixels cover"):
        network_model().read(tmp_path / "degrees.tif", Limits())


@pytest.mark.parametrize("name", ["png_bomb", "jpeg_of_size"])
def test_what_images_claim_is_checked_first(name):
    data = bad_images.png_bomb() if name == "png_bomb" else bad_images.jpeg_of_size(60_000, 60_000)
    with pytest.raises(DataRejected):
        network_model().read(data, Limits())


def test_the_row_has_the_same_keys_with_and_without_ships():
    for model in (network_model(), blob_model()):
        rows = [model.predict([model.read(png(pixels), Limits())])[0].row for pixels in (scene()[0], sea())]
        assert rows[0].keys() == rows[1].keys()
        assert (rows[0]["output_count"], rows[1]["output_count"]) == (len(SHIPS), 0)
        assert rows[1]["output_length_mean_m"] == 0


def test_a_picture_shows_the_ships_and_large_ones_are_made_smaller():
    model = network_model()
    pixels, _ = scene()
    source = model.read(png(pixels), Limits())
    drawn = model.draw(source, model.predict([source])[0])
    assert drawn.shape == pixels.shape
    assert (drawn != pixels).any()
    wide = model.read(png(sea(64, 2100)), Limits())
    assert model.draw(wide, model.predict([wide])[0]).shape == (32, 1050, 3)


def test_saved_and_restored_it_answers_the_same(tmp_path):
    source_pixels = png(scene()[0])
    for name, model in (("network", network_model()), ("blobs", blob_model())):
        folder = tmp_path / name
        folder.mkdir()
        model.save(folder)
        again = ShipModel.restore(folder)
        assert again.card == model.card
        answers = [one.predict([one.read(source_pixels, Limits())])[0].document for one in (model, again)]
        assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "change", [{"task": "land_cover"}, {"preprocessing": {}}, {"thresholds": {}}, {"classes": ["ship"]}]
)
def test_a_card_that_does_not_fit_is_refused(tmp_path, change):
    blob_model().save(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    write_json(tmp_path / "card.json", {**card, **change})
    with pytest.raises(ModelRejected, match=r"card\.json"):
        ShipModel.restore(tmp_path)


def test_a_card_of_before_is_read_as_it_was_then(tmp_path):
    network_model().save(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    card["preprocessing"]["scan"] |= {"land_spread": 10.0, "largest_m2": 32000.0}
    card["thresholds"].pop("alongside", None)
    write_json(tmp_path / "card.json", card)
    found = ShipModel.restore(tmp_path)
    assert found.recipe == network_model().recipe
    assert found.adjusted({"stride_px": 32.0}).recipe.scan.stride_px == 32


def test_a_network_without_its_weights_is_refused(tmp_path):
    blob_model().save(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    card["preprocessing"]["method"] = "network"
    write_json(tmp_path / "card.json", card)
    with warnings.catch_warnings(), pytest.raises(ModelRejected, match="has not all files"):
        ShipModel.restore(tmp_path)


@pytest.mark.parametrize(
    ("lengths", "found"),
    [
        ([], "0 vessels"),
        ([160.0], "1 vessel: 1 of 160 m or more"),
        ([49.9, 200.0], "2 vessels: 1 below 50 m, 1 of 160 m or more"),
        ([50.0, 159.9, 20.0], "3 vessels: 1 below 50 m, 2 of 50 to 160 m"),
    ],
)
def test_what_was_found_is_said_by_length(lengths, found):
    outline = {"box": [0, 0, 1, 1], "center": [0.5, 0.5], "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    said = {"beam_m": 9.0, "score": 0.9, "where": "open_water"}
    ships = [Ship(**outline, **said, length_m=length, size_class=size_class_of(length)) for length in lengths]
    assert in_words(ships)["found"] == found


@pytest.mark.parametrize(
    ("gsd_m", "classes", "words"),
    [
        (1.0, 3, ""),
        (4.0, 3, ""),
        (4.4, 3, "At 4.4 m a pixel little under 22 m can be told."),
        (10.0, 2, "At 10 m a pixel nothing under 50 m can be told."),
        (30.0, 2, "At 30 m a pixel nothing under 50 m can be told."),
    ],
)
def test_pixels_that_are_too_coarse_for_a_class_are_told(gsd_m, classes, words):
    assert len(told_classes(gsd_m)) == classes
    assert too_coarse(gsd_m).startswith(words[:-1])


def test_what_the_pixels_cannot_show_is_not_answered():
    model = network_model()
    pixels = sea(120, 160)
    put_ship(pixels, 40, 40, 20, 5)  # 60 m at 3 m a pixel, 200 m at 10 m
    put_ship(pixels, 110, 80, 4, 2)  # 12 m, 40 m
    answers = {}
    for gsd_m in (4.0, 10.0):
        source = model.under(model.read(png(pixels), Limits()), {"gsd_m": gsd_m})
        answers[gsd_m] = model.predict([source])[0]
    assert "nothing under 50 m" in answers[10.0].found
    assert answers[4.0].document["too_coarse"] == ""
    assert {ship["size_class"] for ship in answers[10.0].document["ships"]} <= {"50-160", "160+"}
    assert answers[10.0].document["count"] >= 1


def test_a_model_that_does_not_tell_what_lies_alongside_says_so():
    model = network_model()
    card = model.card.model_copy(update={"thresholds": {**model.card.thresholds, "alongside": 1.0}})
    source = model.read(png(sea(120, 160)), Limits())
    plain, silent = (one.predict([source])[0] for one in (model, ShipModel(card, model.files, threads=1)))
    assert (plain.document["alongside_told"], silent.document["alongside_told"]) == (True, False)
    assert silent.found == f"{plain.found}. This model does not tell vessels that lie alongside."


def test_land_cloud_and_night_are_answered_without_vessels():
    rng = np.random.default_rng(0)
    land = np.kron(rng.integers(40, 200, (25, 34, 3)), np.ones((12, 12, 1))).astype(np.uint8)
    cloud = np.clip(rng.normal(235, 3, (300, 400, 3)), 0, 255).astype(np.uint8)
    dark = np.zeros((300, 400, 3), np.uint8)
    for model in (network_model(), blob_model()):
        for pixels in (land, dark):
            assert model.predict([model.read(png(pixels), Limits())])[0].document["count"] == 0
    assert blob_model().predict([blob_model().read(png(cloud), Limits())])[0].document["count"] == 0


@pytest.mark.parametrize("gsd_m", [0.05, 60.0])
def test_pixels_that_cannot_show_a_vessel_are_refused(gsd_m):
    model = network_model()
    with pytest.raises(RequestError, match="gsd_m"):
        model.under(model.read(png(sea()), Limits()), {"gsd_m": gsd_m})


def test_pixels_of_30_cm_are_looked_at_as_what_they_are():
    model = network_model()
    pixels = sea(600, 600)
    put_ship(pixels, 300, 300, 200, 40)  # 60 x 12 m
    answer = model.predict([model.under(model.read(png(pixels), Limits()), {"gsd_m": 0.3})])[0].document
    assert all(ship["length_m"] < 100 for ship in answer["ships"])


def test_a_tile_that_lacks_in_the_middle_of_a_vessel_makes_no_vessel_of_its_edge(tmp_path):
    model = network_model()
    pixels, _ = scene(ships=((200.0, 150.0, 0.0),))
    alpha = np.full((300, 400, 1), 255, np.uint8)
    alpha[:, 200:] = 0
    whole = np.concatenate([pixels, alpha], axis=2)
    whole[:, 200:, :3] = 0
    answer = model.predict([model.read(png(whole), Limits())])[0].document
    assert all(ship["center"][0] < 200 for ship in answer["ships"])
    assert answer["count"] <= 1
