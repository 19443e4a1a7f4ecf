"""A saved model: reading, answering, refusing; with a graph that finds the same modules in every picture."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from sightline.errors import DataRejected, ModelMissing, ModelRejected, ParamsError
from sightline.limits import Limits
from sightline.tasks.pv_hotspots.detector import decode, fit_frame, non_maximum_suppression
from sightline.tasks.pv_hotspots.model import GRAPHS, HotspotModel
from sightline.tasks.pv_hotspots.palette import colourise, follows_palette
from sightline.tasks.pv_hotspots.scoring import Scorer
from sightline.tasks.pv_hotspots.thermogram import read_thermogram
from sightline.vision.graphs import THREADS_VARIABLE
from tests.unit.bad_images import tiff
from tests.unit.tasks.pv_hotspots.networks import HEIGHT, INPUT, MODULES, TRAIN, WIDTH, picture, png, tiny_model


def answer(model, pixels):
    return model.predict([model.read(png(pixels), Limits())])[0]


def test_the_hot_module_is_found_with_its_rise():
    document = answer(tiny_model(), picture(hot=[5])).document
    assert len(document["modules"]) == len(MODULES)
    first = document["modules"][0]
    assert first["class"] == "defected"
    assert first["box"] == MODULES[5].tolist()
    assert first["rise"] == pytest.approx(60, abs=2)
    assert (first["rise_unit"], first["rise_calibrated"], first["severity"]) == ("level", False, "unknown")
    assert {module["class"] for module in document["modules"][1:]} == {"non_defected"}
    json.dumps(document, allow_nan=False)


def test_rise_in_kelvin_and_severity_need_radiometry_and_conditions(radiometric):
    model = tiny_model()
    module = answer_bytes(model, radiometric)["modules"][0]
    assert (module["class"], module["rise_unit"], module["severity"]) == ("defected", "K", "unknown")
    given = model.under(model.read(radiometric, Limits()), {"irradiance_w_per_m2": 1000.0, "calibrated": 1.0})
    module = model.predict([given])[0].document["modules"][0]
    assert module["rise"] == pytest.approx(15, abs=1)
    assert (module["rise_calibrated"], module["severity"]) == (True, "medium")


@pytest.fixture
def radiometric(tmp_path):
    """Bytes of a radiometric JPEG on which one module is 15 K hotter in a cell."""
    from sightline.radiometry import Planck
    from sightline.tasks.pv_hotspots.thermogram import write_thermogram

    pixels = picture(hot=[2])
    celsius = np.where(pixels[..., 0] < 50, 35.0, np.where(pixels[..., 0] > 150, 65.0, 50.0))
    planck = Planck(o=-3654)
    write_thermogram(tmp_path / "a.jpg", planck.counts(celsius), planck, pixels)
    return (tmp_path / "a.jpg").read_bytes()


def answer_bytes(model, data):
    return model.predict([model.read(data, Limits())])[0].document


def test_no_answer_depends_on_the_batch():
    model = tiny_model()
    inputs = [model.read(png(picture(hot=[k])), Limits()) for k in range(3)]
    together = model.predict(inputs)
    alone = [model.predict([one])[0] for one in inputs]
    assert [p.document for p in together] == [p.document for p in alone]
    assert [p.embedding.tolist() for p in together] == [p.embedding.tolist() for p in alone]


def test_rows_have_the_same_keys_whether_modules_are_found_or_not():
    some, none = answer(tiny_model(), picture()), answer(tiny_model(boxes=MODULES[:0]), picture())
    assert none.document["modules"] == []
    assert some.row.keys() == none.row.keys()
    assert all(np.isfinite(value) for value in none.row.values())
    assert some.exports["coco.json"]["annotations"]


def test_a_frame_of_another_size_gets_boxes_in_its_own_pixels():
    pixels = np.repeat(np.repeat(picture(hot=[5]), 2, axis=0), 2, axis=1)
    module = answer(tiny_model(), pixels).document["modules"][0]
    assert module["box"] == (MODULES[5] * 2).tolist()


def test_the_drawing_marks_the_defect():
    model = tiny_model()
    source = model.read(png(picture(hot=[5])), Limits())
    drawn = model.draw(source, model.predict([source])[0])
    assert drawn.shape == source.picture.shape
    assert (drawn == (255, 0, 0)).all(axis=2).any()
    assert (drawn == (0, 255, 0)).all(axis=2).any()
    assert not (source.picture == (255, 0, 0)).all(axis=2).any()


def test_precision_chooses_the_graph():
    model = tiny_model()
    other = tiny_model(boxes=MODULES[:3])
    model.files = {**model.files, GRAPHS["int8"]: other.files[GRAPHS["int8"]]}
    model.precision = "int8"
    assert len(answer(model, picture()).document["modules"]) == 3


def test_bad_input_is_refused():
    with pytest.raises(DataRejected):
        tiny_model().read(b"no image", Limits())


# ------------------------------------------------------------------------------------------------ save, restore


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    tiny_model().save(folder)
    return folder


def test_a_restored_model_answers_alike_and_needs_its_folder_no_more(saved):
    model = HotspotModel.restore(saved)
    for path in saved.iterdir():
        path.unlink()
    assert answer(model, picture(hot=[1])).document == answer(tiny_model(), picture(hot=[1])).document


@pytest.mark.parametrize("name", ["detector.onnx", "detector.int8.onnx", "detector.safetensors"])
def test_changed_and_missing_weights_are_refused(saved, name):
    (saved / name).write_bytes(b"other")
    with pytest.raises(ModelRejected, match=name):
        HotspotModel.restore(saved)
    (saved / name).unlink()
    with pytest.raises(ModelRejected, match=name):
        HotspotModel.restore(saved)


def test_no_card_is_said(tmp_path):
    with pytest.raises(ModelMissing):
        HotspotModel.restore(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"task": "ships"},
        {"classes": ["a", "b"]},
        {"thresholds": {}},
        {"files": {"../evil": "0" * 64}},
        {"preprocessing": {}},
        {"extra": 1},
    ],
)
def test_cards_that_are_not_this_tasks_are_refused(saved, change):
    card = json.loads((saved / "card.json").read_text())
    (saved / "card.json").write_text(json.dumps({**card, **change}))
    with pytest.raises(ModelRejected):
        HotspotModel.restore(saved)


def test_a_graph_that_cannot_be_run_is_refused():
    model = tiny_model()
    model.files = {**model.files, GRAPHS["float32"]: b"no graph"}
    with pytest.raises(ModelRejected, match="ONNX"):
        answer(model, picture())


def test_the_number_of_threads_comes_from_the_environment(monkeypatch):
    model = tiny_model()
    model.threads = None
    monkeypatch.setenv(THREADS_VARIABLE, "two")
    with pytest.raises(ParamsError, match=THREADS_VARIABLE):
        answer(model, picture())


# ----------------------------------------------------------------------------------------------------- detector


def test_overlapping_boxes_leave_the_better_one():
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]])
    assert non_maximum_suppression(boxes, np.array([0.5, 0.9, 0.1]), 0.5).tolist() == [1, 2]
    assert non_maximum_suppression(boxes, np.array([0.5, 0.9, 0.1]), 0.95).tolist() == [1, 0, 2]
    assert non_maximum_suppression(boxes[:0], np.zeros(0), 0.5).tolist() == []


def test_boxes_are_clipped_to_the_frame_and_slivers_left_out():
    answer = np.array([[10.0, 10, 40, 40, 0.9, 0.0], [200, 10, 4, 4, 0.9, 0.0]], dtype=np.float32).T
    found = decode(answer, np.zeros(3, dtype=np.float32), TRAIN.detection, (100, 50))
    assert found.boxes.tolist() == [[0, 0, 30, 30]]


def test_frames_are_fitted_with_their_aspect():
    level = np.ones((50, 200), dtype=np.float32)
    level[:, 100:] = 9
    canvas, factor = fit_frame(level, INPUT)
    assert canvas.shape == (3, INPUT.height_px, INPUT.width_px)
    assert factor == pytest.approx(INPUT.width_px / 200)
    assert (canvas[0, 40:] == canvas[0, 40, 0]).all()


def test_no_module_is_found_where_there_are_no_data():
    """The graph finds eight everywhere: of the four on the left, two lie outside of what the file holds."""
    level = picture(hot=[5])[..., 0].astype(np.float32)
    level[:, :40] = -9999
    data = tiff(level, extratags=[(42113, "s", 0, "-9999", True)])
    document = answer_bytes(tiny_model(), data)
    assert sorted(module["box"] for module in document["modules"]) == sorted(
        box.tolist() for index, box in enumerate(MODULES) if index % 4
    )
    assert document["no_data"] == pytest.approx(40 / 128, abs=1e-6)
    assert document["modules"][0]["box"] == MODULES[5].tolist()


def test_an_answer_says_what_is_known_of_the_temperatures(radiometric):
    assert answer_bytes(tiny_model(), radiometric)["note"] == ""


# ----------------------------------------------------------------------------- what is no thermogram, and why


def photograph(side=(HEIGHT, WIDTH)):
    """(h, w, 3) RGB: a blue sky over green grass and a brown wall, as no palette of a thermal camera has them."""
    rng = np.random.default_rng(5)
    pixels = np.empty((*side, 3))
    pixels[: side[0] // 2] = (110, 160, 235)
    pixels[side[0] // 2 :] = (70, 130, 45)
    pixels[side[0] // 3 :, : side[1] // 3] = (150, 110, 80)
    return np.clip(pixels + 12 * rng.normal(size=pixels.shape), 0, 255).astype(np.uint8)


def test_a_photograph_gets_no_hot_spots_but_is_told_to_be_no_thermogram():
    model = tiny_model()
    source = model.read(png(photograph()), Limits())
    (answer,) = model.predict([source])
    assert (answer.document["thermogram"], answer.document["modules"]) == (False, [])
    assert "this is not a readable thermogram" in answer.document["note"]
    assert answer.found == "no thermogram: nothing was measured"
    assert answer.findings == ()
    assert (model.draw(source, answer) != source.picture).any()  # it says so on the picture


@pytest.mark.parametrize("palette", ["iron", "rainbow", "grey"])
def test_thermograms_of_each_palette_are_measured(palette):
    shown = colourise(picture(hot=(2,))[..., 0].astype(np.float64), palette)
    model = tiny_model()
    (answer,) = model.predict([model.read(png(shown), Limits())])
    assert answer.document["thermogram"] is True
    assert len(answer.document["modules"]) == len(MODULES)


def test_a_hot_module_is_flagged_by_physics_and_says_so():
    model = tiny_model()
    (answer,) = model.predict([model.read(png(picture(hot=(2,))), Limits())])
    hot = [module for module in answer.document["modules"] if module["class"] == "defected"]
    assert [module["flagged_by"] for module in hot] == ["physics"]
    assert hot[0]["reason"].startswith("flagged by physics, not by the network: the network gives 5% for defected")
    healthy = [module for module in answer.document["modules"] if module["class"] != "defected"]
    assert {(module["flagged_by"], module["reason"]) for module in healthy} == {("", "")}


def test_a_module_without_a_rise_says_that_the_network_flagged_it():
    classes = [[0.03, 0.97] if index == 3 else [0.95, 0.05] for index in range(len(MODULES))]
    scorer = Scorer(intercept=3.0, coefficients={"network": 1.0, "neighbours": 1.0})
    model = tiny_model(classes)
    preprocessing = {**model.card.preprocessing, "scorer": asdict(scorer)}
    model = replace(model, card=model.card.model_copy(update={"preprocessing": preprocessing}))
    source = model.read(png(picture()), Limits())
    (answer,) = model.predict([source])
    (module,) = [module for module in answer.document["modules"] if module["class"] == "defected"]
    assert abs(module["rise"]) <= 1
    assert module["flagged_by"] == "network"
    assert module["network_probability"] == pytest.approx(0.97, abs=0.01)
    assert "the network gives 97% for defected; the hottest spot is +" in module["reason"]


def test_real_photographs_are_no_thermograms_and_real_thermograms_are(real_data):
    for file in sorted((real_data / "pv_hotspots").glob("**/images/*.jpg")):
        thermogram = read_thermogram(file, Limits())
        assert follows_palette(thermogram.picture, thermogram.palette), file  # also without its counts
    photographs = sorted((real_data / "panel_defects" / "images").iterdir())[:60]
    thermal = [read_thermogram(file, Limits()).thermal for file in photographs]
    assert sum(thermal) <= 0.1 * len(thermal)  # grey ones cannot be told by their colours
