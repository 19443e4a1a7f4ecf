"""A model's answer: masks, polygons and areas that say the same, conditions, saving, and the one real tile."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from sightline.capabilities import Conditioned
from sightline.errors import ModelRejected, RequestError
from sightline.limits import Limits
from sightline.tasks.land_cover.bits import pack, unpack
from sightline.tasks.land_cover.colours import COLOURS, coloured
from sightline.tasks.land_cover.model import LandCoverModel
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.thresholds import Cutoffs
from sightline.vision.masks import mask_of
from tests.unit.tasks.land_cover.networks import BRIGHT, WATER, network_model, rules_model, scene
from tests.unit.tasks.land_cover.tiles import write

POND, CROPS = CLASSES.index("standing_water"), CLASSES.index("crops")


@pytest.fixture
def tile(tmp_path):
    return network_model().read(write(tmp_path / "tile.tif", scene()), Limits())


def ring(tmp_path):
    """A dark tile with a bright ring: 10 x 10 pixels with a hole of 4 x 4."""
    values = np.full((8, 30, 40), 300, dtype=np.uint16)
    values[:, 5:15, 20:30] = 1800
    values[:, 8:12, 23:27] = 300
    return rules_model({CROPS: BRIGHT}).read(write(tmp_path / "ring.tif", values), Limits())


def test_masks_polygons_and_areas_say_the_same(tile):
    model = network_model(Cutoffs((0.5,) * 10, (0, 3, 10, 10, 40, 40, 5, 5, 0, 20)))
    answer = model.predict([tile])[0]
    masks = unpack(answer.rasters["mask"])
    for name, mask in zip(CLASSES, masks, strict=True):
        said = answer.document["classes"][name]
        polygons = shapely.from_wkt(answer.exports["wkt.pixels.json"][name])
        features = [one for one in answer.exports["pixels.json"]["features"] if one["properties"]["class"] == name]
        assert polygons.is_valid
        np.testing.assert_array_equal(mask_of(polygons.geoms, mask.shape), mask)
        assert said["area_px"] == mask.sum() == polygons.area == sum(one["properties"]["area_px"] for one in features)
        assert said["polygons"] == len(polygons.geoms) == len(features)
        assert said["share"] == pytest.approx(mask.mean(), abs=1e-8)
        assert answer.row[f"output_share_{name}"] == pytest.approx(mask.mean())


def test_holes_are_kept(tmp_path):
    answer = rules_model({CROPS: BRIGHT}).predict([ring(tmp_path)])[0]
    polygon = shapely.from_wkt(answer.exports["wkt.pixels.json"]["crops"]).geoms[0]
    assert polygon.equals(shapely.box(20, 5, 30, 15) - shapely.box(23, 8, 27, 12))
    (feature,) = answer.exports["pixels.json"]["features"]
    assert len(feature["geometry"]["coordinates"]) == 2
    assert feature["properties"] == {"class": "crops", "area_px": 84}
    assert answer.exports["wkt.pixels.json"]["roads"] == "MULTIPOLYGON EMPTY"


def test_square_metres_are_told_where_the_pixel_is_known(tmp_path):
    model = rules_model({CROPS: BRIGHT})
    assert isinstance(model, Conditioned)
    source = ring(tmp_path)
    assert model.predict([source])[0].document["classes"]["crops"]["area_m2"] is None
    answer = model.predict([model.under(source, {"gsd_m": 0.5})])[0]
    assert answer.document["gsd_m"] == 0.5
    assert answer.document["classes"]["crops"]["area_m2"] == 21.0
    assert answer.exports["pixels.json"]["features"][0]["properties"]["area_m2"] == 21.0
    for wrong in (0.0, -1.0, 1000.0):
        with pytest.raises(RequestError, match="gsd_m"):
            model.under(source, {"gsd_m": wrong})
    assert set(model.card.conditions) == {"gsd_m"}


def test_nothing_is_found_where_there_are_no_data(tmp_path):
    values = scene()
    values[:, 30:70, 40:90] = 0
    model = network_model(Cutoffs((0.05,) * 10))
    answer = model.predict([model.read(write(tmp_path / "hole.tif", values), Limits())])[0]
    assert (answer.rasters["mask"][30:70, 40:90] == 0).all()
    assert (answer.rasters["mask"] > 0).mean() > 0.5


def test_a_rule_answers_its_class_and_leaves_the_others_to_the_network(tile):
    plain, mixed = (network_model(rules=rules).segment(tile.bands).probabilities for rules in ({}, {POND: WATER}))
    by_rule = rules_model({POND: WATER}).segment(tile.bands).probabilities
    assert 0.02 < by_rule[POND].mean() < 0.98
    np.testing.assert_allclose(mixed[POND], by_rule[POND], atol=1e-6)
    others = np.arange(len(CLASSES)) != POND
    np.testing.assert_allclose(mixed[others], plain[others], atol=1e-6)
    assert not by_rule[others].any()


def test_tiles_smaller_than_a_window_are_answered(tmp_path):
    model = network_model()
    answer = model.predict([model.read(write(tmp_path / "small.tif", scene(17, 21)), Limits())])[0]
    assert answer.rasters["mask"].shape == (17, 21)


def test_the_picture_shows_the_tile_beside_its_classes(tile):
    model = network_model()
    answer = model.predict([tile])[0]
    drawn = model.draw(tile, answer)
    assert drawn.shape == (150, 2 * 170, 3)
    np.testing.assert_array_equal(drawn[:, 170:], coloured(answer.rasters["mask"]))


def test_small_things_are_drawn_above_large_ones():
    masks = np.zeros((len(CLASSES), 2, 2), dtype=bool)
    masks[CROPS] = True
    masks[CLASSES.index("small_vehicles"), 0, 0] = True
    painted = coloured(pack(masks))
    assert tuple(painted[0, 0]) == COLOURS[CLASSES.index("small_vehicles")]
    assert tuple(painted[1, 1]) == COLOURS[CROPS]


def test_bits_hold_every_combination():
    masks = np.random.default_rng(0).random((len(CLASSES), 40, 30)) < 0.5
    np.testing.assert_array_equal(unpack(pack(masks)), masks)
    assert pack(masks)[3, 4] == sum(1 << k for k in range(10) if masks[k, 3, 4])


@pytest.mark.parametrize(
    "model", [network_model(rules={POND: WATER}), rules_model({POND: WATER})], ids=["unet", "rules"]
)
def test_a_saved_model_is_the_same(tmp_path, model):
    model.save(tmp_path)
    again = LandCoverModel.restore(tmp_path)
    assert again.card == model.card
    assert again.recipe == model.recipe
    assert again.cutoffs == model.cutoffs


def test_a_card_of_before_is_read(tmp_path):
    """It called the standard deviation `spread`."""
    model = network_model(rules={POND: WATER})
    model.save(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    card["preprocessing"]["spread"] = card["preprocessing"].pop("std")
    (tmp_path / "card.json").write_text(json.dumps(card))
    assert LandCoverModel.restore(tmp_path).recipe == model.recipe


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", "solar_farms"),
        ("classes", ["trees"]),
        ("thresholds", {"trees": 0.5}),
        ("preprocessing", {"method": "oracle"}),
        ("preprocessing", {**network_model().card.preprocessing, "rules": {"trees": []}}),
        ("preprocessing", {**network_model().card.preprocessing, "rules": {"towers": [["ndwi", 0.0, 1.0]]}}),
        ("files", {}),
    ],
)
def test_a_card_of_another_kind_is_refused(tmp_path, field, value):
    network_model().save(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps(card | {field: value}))
    with pytest.raises(ModelRejected, match=r"card\.json"):
        LandCoverModel.restore(tmp_path)


def test_the_real_tile_is_answered(real_data):
    model = network_model(Cutoffs((0.5,) * 10, (8,) * 10), {POND: WATER})
    source = model.read(real_data / "land_cover" / "ds4a_sample" / "vlj_img_1029.tiff", Limits())
    answer = model.predict([source])[0]
    height, width = source.bands.shape[1:]
    assert answer.rasters["mask"].shape == (height, width)
    for name, mask in zip(CLASSES, unpack(answer.rasters["mask"]), strict=True):
        polygons = shapely.from_wkt(answer.exports["wkt.pixels.json"][name])
        np.testing.assert_array_equal(mask_of(polygons.geoms, (height, width)), mask)
    assert answer.document["classes"]["trees"]["polygons"] > 0
    assert model.draw(source, answer).shape == (height, 2 * width, 3)


def test_shares_are_those_of_what_the_file_shows(tmp_path):
    values = np.full((8, 40, 60), 300, dtype=np.uint16)
    values[:, :, 30:45] = 1800
    whole = rules_model({CROPS: BRIGHT})
    values[:, :20] = 0
    path = write(tmp_path / "half.tif", values)
    tile = whole.predict([whole.read(path, Limits())])[0]
    scene_ = whole.predict([whole.read(path, Limits(pixels=100))])[0]
    for prediction in (tile, scene_):
        assert prediction.document["no_data"] == 0.5
        assert prediction.document["classes"]["crops"]["share"] == pytest.approx(0.25)
        assert prediction.document["classes"]["crops"]["area_px"] == 20 * 15
        assert prediction.row["output_share_crops"] == pytest.approx(0.25)
