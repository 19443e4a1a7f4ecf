"""A saved model: reading, answering, refusing; with a graph whose classes are levels of the first band."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import tifffile
from shapely.geometry import shape

from sightline.errors import DataMissing, DataRejected, ModelMissing, ModelRejected, RequestError
from sightline.limits import Limits
from sightline.tasks.panel_defects.domain import FARMS, PHOTOGRAPHS
from sightline.tasks.panel_defects.model import SegmentationModel
from sightline.tasks.panel_defects.params import FarmParams
from sightline.tasks.panel_defects.synthetic.farm_sample import write_farm_sample
from sightline.vision.masks import mask_of
from sightline.vision.scaling import enlarged_rows, scaled
from sightline.vision.session import GRAPH, WEIGHTS
from tests.parameters import changed, params_of
from tests.toy import Silent
from tests.unit.tasks.panel_defects.networks import INPUT, WINDOW, blobs, photograph, png, tiny_model


def answer(model, pixels):
    return model.predict([model.read(png(pixels), Limits())])[0]


@pytest.mark.parametrize("size", [(WINDOW, WINDOW), (32, 45), (40, 300), (64, 65), (150, 201)])
def test_the_mask_has_the_pictures_size_and_its_classes(size):
    truth = blobs(*size)
    mask = answer(tiny_model(), photograph(truth)).rasters["mask"]
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, truth)  # of windows, too: the graph looks at each pixel by itself


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_at_another_scale_the_mask_has_the_pictures_size_still(scale):
    truth = blobs(120, 90, size_px=14)
    model = tiny_model(taken=INPUT.model_copy(update={"scale": scale}))
    mask = answer(model, photograph(truth)).rasters["mask"]
    assert mask.shape == truth.shape
    assert (mask == truth).mean() > 0.8  # between two levels lie those of other classes


def test_a_large_photograph_is_looked_at_made_smaller_and_answered_at_its_size():
    truth = blobs(1100, 2100, size_px=150)
    model = tiny_model(taken=INPUT.model_copy(update={"longest_px": 256}))
    source = model.read(png(photograph(truth)), Limits())
    answer = model.predict([source])[0]
    assert answer.rasters["mask"].shape == truth.shape
    assert (answer.rasters["mask"] == truth).mean() > 0.8
    cost = model.weigh(png(photograph(truth)), Limits(), {})
    assert (cost.size, cost.decoded_px) == (truth.shape, truth.size)
    assert cost.seen_px < 4 * 256 * 134
    assert model.draw(source, answer).shape == (550, 2 * 1050, 3)  # for people, who need no 2,100 px


def test_rows_of_an_enlarged_plane_are_those_of_the_whole():
    plane = np.random.default_rng(0).random((37, 53), dtype=np.float32)
    parts = [enlarged_rows(plane, 300, 211, slice(top, min(top + 64, 300))) for top in range(0, 300, 64)]
    np.testing.assert_allclose(np.concatenate(parts), scaled(plane, 300, 211), atol=1e-5)


def test_windows_give_what_the_whole_picture_gives():
    pixels = np.random.default_rng(0).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    tiled = tiny_model()
    whole = tiny_model(taken=changed(INPUT, window_px=160, overlap_px=0, least_region_px=4))
    one, other = (model.segment(model.read(png(pixels), Limits())) for model in (tiled, whole))
    np.testing.assert_allclose(one.certainty, other.certainty, atol=1e-5)
    assert (one.mask != other.mask).mean() < 1e-4  # ties


def test_shares_polygons_and_mask_agree():
    truth = blobs(90, 120)
    prediction = answer(tiny_model(taken=INPUT.model_copy(update={"least_region_px": 0.0})), photograph(truth))
    document, mask = prediction.document, prediction.rasters["mask"]
    shares = [document["shares"][name] for name in PHOTOGRAPHS.classes]
    assert shares == pytest.approx(np.bincount(mask.ravel(), minlength=6) / mask.size, abs=1e-6)
    assert sum(prediction.row[f"output_share_{name}"] for name in PHOTOGRAPHS.classes) == pytest.approx(1)
    features = prediction.exports["pixels.json"]["features"]
    assert len(features) == prediction.row["output_regions"] == len(document["regions"])
    drawn = np.zeros_like(mask)
    for feature in features:
        polygon = shape(feature["geometry"])
        assert polygon.is_valid
        assert polygon.area == pytest.approx(feature["properties"]["area_px"], abs=0.06)
        drawn[mask_of([polygon], mask.shape)] = PHOTOGRAPHS.classes.index(feature["properties"]["class"])
    np.testing.assert_array_equal(drawn, mask)


def test_small_regions_are_in_the_mask_but_get_no_polygon():
    truth = np.zeros((40, 40), dtype=np.uint8)
    truth[5, 5] = 2
    truth[10:20, 10:20] = 3
    prediction = answer(tiny_model(), photograph(truth))
    assert prediction.rasters["mask"][5, 5] == 2
    regions = prediction.document["regions"]
    assert [(one["class"], one["area_px"], one["box"]) for one in regions] == [
        ("electrical-damage", 100, [10, 10, 20, 20])
    ]


def test_regions_are_listed_from_the_largest():
    prediction = answer(tiny_model(), photograph(blobs(120, 120)))
    areas = [region["area_px"] for region in prediction.document["regions"]]
    assert len(areas) > 3
    assert areas == sorted(areas, reverse=True)


def test_geojson_is_what_the_rfc_asks_for():
    document = answer(tiny_model(), photograph(blobs(60, 60))).exports["pixels.json"]
    assert json.loads(json.dumps(document, allow_nan=False))["type"] == "FeatureCollection"
    for feature in document["features"]:
        assert (feature["type"], feature["geometry"]["type"]) == ("Feature", "Polygon")
        for ring in feature["geometry"]["coordinates"]:
            assert ring[0] == ring[-1]
            assert len(ring) >= 4


def test_rows_have_the_same_keys_whatever_is_found():
    empty = np.zeros((40, 40), dtype=np.uint8)
    some, none = (answer(tiny_model(), photograph(mask)) for mask in (blobs(40, 40), empty))
    assert none.document["regions"] == []
    assert some.row.keys() == none.row.keys()
    assert all(np.isfinite(value) for value in some.row.values())
    assert none.row["output_certainty"] > 0.9
    json.dumps([some.document, none.document], allow_nan=False)


def test_no_answer_depends_on_the_batch():
    model = tiny_model()
    inputs = [model.read(png(photograph(blobs(*size, seed=3))), Limits()) for size in ((64, 64), (150, 90), (33, 40))]
    together = model.predict(inputs)
    for source, found in zip(inputs, together, strict=True):
        alone = model.predict([source])[0]
        assert alone.document == found.document
        assert alone.embedding.tolist() == found.embedding.tolist()


def test_the_drawing_shows_the_picture_and_its_classes():
    model = tiny_model()
    truth = blobs(50, 70)
    source = model.read(png(photograph(truth)), Limits())
    drawn = model.draw(source, model.predict([source])[0])
    assert drawn.shape == (50, 140, 3)
    np.testing.assert_array_equal(drawn[:, :70], source.display)
    changed = (drawn[:, 70:] != source.display).any(axis=2)
    np.testing.assert_array_equal(changed, truth > 0)


@pytest.mark.parametrize("content", [b"", b"no picture", png(np.zeros((8, 8, 3), dtype=np.uint8))[:40]])
def test_bad_pictures_are_refused(content, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(DataRejected, match="broken"):
        tiny_model().read(path, Limits())
    with pytest.raises(DataRejected):
        tiny_model().read(content, Limits())
    with pytest.raises(DataMissing, match="absent"):
        tiny_model().read(tmp_path / "absent.png", Limits())


def test_pictures_beyond_the_limits_are_refused():
    content = png(np.zeros((100, 100, 3), dtype=np.uint8))
    for limits in (Limits(bytes=10), Limits(pixels=9999)):
        with pytest.raises(DataRejected):
            tiny_model().read(content, limits)


# ----------------------------------------------------------------------------------------------------- 13 bands


def test_farms_are_answered_with_the_same_class(tmp_path):
    root = tmp_path / "sample"
    write_farm_sample(
        root, changed(params_of("solar_farms", FarmParams).sample, places=2, side_px=96, shift_m=50.0), Silent()
    )
    manifest = FARMS.load(root)
    model = tiny_model("solar_farms")
    inputs = [model.read(FARMS.source(manifest, sample), Limits()) for sample in manifest.samples]
    assert {source.pixels.shape for source in inputs} == {(96, 96, 13)}
    for source, found in zip(inputs, model.predict(inputs), strict=True):
        expected = source.pixels[..., 0] > 0.5
        np.testing.assert_array_equal(found.rasters["mask"] == 1, expected)
        assert set(found.document["shares"]) == {"background", "solar_panel"}
        assert model.draw(source, found).shape == (96, 192, 3)
    with pytest.raises(DataRejected):
        model.read(png(np.zeros((96, 96, 3), dtype=np.uint8)), Limits())


# ------------------------------------------------------------------------------------------------ save, restore


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    tiny_model().save(folder)
    return folder


def test_a_restored_model_answers_alike_and_needs_its_folder_no_more(saved):
    model = SegmentationModel.restore(saved)
    for path in saved.iterdir():
        path.unlink()
    truth = blobs(70, 80)
    found, expected = (answer(one, photograph(truth)) for one in (model, tiny_model()))
    assert found.document == expected.document
    np.testing.assert_array_equal(found.rasters["mask"], truth)


def test_a_card_of_before_is_read(saved):
    """It called the standard deviation `spread`."""
    card = json.loads((saved / "card.json").read_text())
    card["preprocessing"]["spread"] = card["preprocessing"].pop("std")
    (saved / "card.json").write_text(json.dumps(card))
    assert SegmentationModel.restore(saved).recipe == tiny_model().recipe


def test_saving_again_gives_the_same_bytes(saved, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    SegmentationModel.restore(saved).save(again)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in saved.iterdir()
    }


@pytest.mark.parametrize("name", [GRAPH, WEIGHTS])
def test_changed_and_missing_files_are_refused(saved, name):
    (saved / name).write_bytes(b"other")
    with pytest.raises(ModelRejected, match=name):
        SegmentationModel.restore(saved)
    (saved / name).unlink()
    with pytest.raises(ModelRejected, match=name):
        SegmentationModel.restore(saved)


def test_no_card_is_said(tmp_path):
    with pytest.raises(ModelMissing):
        SegmentationModel.restore(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"task": "ships"},
        {"task": "solar_farms"},
        {"classes": ["background", "dust"]},
        {"preprocessing": {}},
        {"preprocessing": {**tiny_model().card.preprocessing, "method": "magic"}},
        {"preprocessing": {**tiny_model().card.preprocessing, "method": "pixels"}},
        {"preprocessing": {**tiny_model().card.preprocessing, "input": {**INPUT.model_dump(), "window_px": 33}}},
        {"files": {"../evil": "0" * 64}},
        {"extra": 1},
    ],
)
def test_cards_that_are_not_this_tasks_are_refused(saved, change):
    card = json.loads((saved / "card.json").read_text())
    (saved / "card.json").write_text(json.dumps({**card, **change}))
    with pytest.raises(ModelRejected):
        SegmentationModel.restore(saved)


def test_a_card_of_before_is_read_as_it_was_then(saved):
    card = json.loads((saved / "card.json").read_text())
    assert card["preprocessing"]["input"].pop("longest_px") == 2048
    (saved / "card.json").write_text(json.dumps(card))
    assert SegmentationModel.restore(saved).recipe == tiny_model().recipe


def test_a_graph_that_cannot_be_run_is_refused():
    model = tiny_model()
    model.files = {**model.files, GRAPH: b"no graph"}
    with pytest.raises(ModelRejected, match="ONNX"):
        answer(model, photograph(blobs(40, 40)))


# ------------------------------------------------------------------------------------------- pixels without data


def test_what_is_transparent_is_no_area_and_no_finding():
    truth = blobs(90, 120)
    pixels = np.concatenate([photograph(truth), np.full((90, 120, 1), 255, np.uint8)], axis=-1)
    pixels[:, :40, 3] = 0
    prediction = answer(tiny_model(), pixels)
    seen = truth[:, 40:]
    np.testing.assert_array_equal(prediction.rasters["mask"][:, 40:], seen)
    assert not prediction.rasters["mask"][:, :40].any()
    assert prediction.document["no_data"] == pytest.approx(1 / 3, abs=1e-6)
    shares = [prediction.document["shares"][name] for name in PHOTOGRAPHS.classes]
    assert shares == pytest.approx(np.bincount(seen.ravel(), minlength=6) / seen.size, abs=1e-6)
    assert all(region["box"][0] >= 40 for region in prediction.document["regions"])


def chip_file(counts, **tags):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, counts, photometric="minisblack", planarconfig="separate", **tags)
    return buffer.getvalue()


def farm_counts():
    """(13, 64, 64) counts; half is so bright in the first band that `tiny_model` calls it a farm."""
    counts = np.random.default_rng(0).integers(300, 1200, (13, 64, 64)).astype(np.uint16)
    counts[0, :, 32:] = 9000
    return counts


def answered(data, **conditions):
    model = tiny_model("solar_farms")
    read = model.read(data, Limits())
    return model.predict([model.under(read, conditions) if conditions else read])[0]


def scaled_by_file(offset):
    items = "".join(
        f'<Item name="SCALE" sample="{band}" role="scale">0.0001</Item>'
        f'<Item name="OFFSET" sample="{band}" role="offset">{offset}</Item>'
        for band in range(13)
    )
    return {"extratags": [(42112, "s", 0, f"<GDALMetadata>{items}</GDALMetadata>", True)]}


def test_scale_and_offset_of_a_chip_give_the_same_answer():
    plain = answered(chip_file(farm_counts()))
    tagged = answered(chip_file(farm_counts() + np.uint16(1000), **scaled_by_file(-0.1)))
    by_offset = answered(chip_file(farm_counts() + np.uint16(1000)), offset=-1000.0)
    for one in (tagged, by_offset):
        np.testing.assert_array_equal(one.rasters["mask"], plain.rasters["mask"])
        assert one.document["shares"] == plain.document["shares"]
        assert one.row == pytest.approx(plain.row, abs=0.01)
    assert plain.document["shares"]["solar_panel"] == pytest.approx(0.5)


def test_a_hole_in_a_chip_is_no_farm_and_no_reflectance():
    counts = farm_counts()
    counts[:, :, 54:] = 65535
    prediction = answered(chip_file(counts, extratags=[(42113, "s", 0, "65535", True)]))
    assert not prediction.rasters["mask"][:, 54:].any()
    assert prediction.document["no_data"] == pytest.approx(10 / 64, abs=1e-6)
    assert prediction.document["shares"]["solar_panel"] == pytest.approx(22 / 54, abs=1e-6)


def test_counts_that_are_a_thousand_too_high_are_pointed_out():
    raised = chip_file(farm_counts() + np.uint16(1000))
    assert "offset=-1000" in answered(raised).document["note"]
    assert answered(raised, offset=-1000.0).document["note"] == ""
    assert answered(chip_file(farm_counts())).document["note"] == ""
    assert answered(chip_file(farm_counts() + np.uint16(1000), **scaled_by_file(0))).document["note"] == ""


def test_an_offset_that_cannot_be_is_refused():
    with pytest.raises(RequestError, match="negative"):
        answered(chip_file(farm_counts()), offset=-1000.0)
    with pytest.raises(RequestError, match="states its own"):
        answered(chip_file(farm_counts() + np.uint16(1000), **scaled_by_file(-0.1)), offset=-1000.0)
    assert "offset" in tiny_model("solar_farms").card.conditions
    assert not tiny_model().card.conditions
