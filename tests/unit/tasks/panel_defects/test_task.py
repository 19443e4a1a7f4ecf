"""The tasks as the platform sees them, with models that need no training."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sightline.errors import ModelRejected
from sightline.files import write_json
from sightline.task import Manifest, load_rows, save_rows
from sightline.tasks import open_task, restore_model
from sightline.tasks.panel_defects.domain import FARMS, PHOTOGRAPHS
from sightline.tasks.panel_defects.params import FarmParams, Params
from sightline.tasks.panel_defects.synthetic.farm_sample import write_farm_sample
from tests.parameters import changed, params_of
from tests.toy import Silent
from tests.unit.tasks.panel_defects.networks import photograph, tiny_model


@pytest.fixture
def panels():
    return open_task("panel_defects", params_of("panel_defects", Params))


@pytest.fixture
def farms():
    return open_task("solar_farms", params_of("solar_farms", FarmParams))


@pytest.fixture
def manifest(tmp_path, panels):
    """Three photographs of 60 x 40: dust on the left of one, snow on the upper half of another, none on the last."""
    root = tmp_path / "real"
    (root / "images").mkdir(parents=True)
    outlines = {"Dust-1": (2, [0, 0, 30, 0, 30, 40, 0, 40]), "Snow-2": (5, [0, 0, 60, 0, 60, 20, 0, 20])}
    images, annotations = [], []
    for number, name in enumerate((*outlines, "Clean-3")):
        mask = np.zeros((40, 60), dtype=np.uint8)
        if name in outlines:
            index, (_, _, right, _, _, bottom, _, _) = outlines[name]
            mask[:bottom, :right] = index
            ring = {"segmentation": [outlines[name][1]], "bbox": [0, 0, right, bottom], "area": right * bottom}
            annotations.append({"id": number, "image_id": number, "category_id": index, "iscrowd": 0, **ring})
        buffer = io.BytesIO()
        Image.fromarray(photograph(mask)).save(buffer, "PNG")
        (root / "images" / f"{name}.png").write_bytes(buffer.getvalue())
        images.append({"id": number, "file_name": f"{name}.png", "height": 40, "width": 60})
    categories = [{"id": index, "name": name} for index, name in enumerate(PHOTOGRAPHS.classes)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    write_json(root / "_annotations.coco.json", document)
    return panels.load(root)


def test_evaluating_gives_a_row_a_picture_in_order(panels, manifest, tmp_path):
    assert not [sample.problem for sample in manifest.samples if sample.problem]
    rows = panels.evaluate(tiny_model(), manifest, Silent())
    assert [row.key for row in rows] == [sample.key for sample in manifest.samples]
    save_rows(rows, tmp_path / "rows.jsonl")
    again = load_rows(tmp_path / "rows.jsonl")
    found = panels.score(rows, np.ones(3))
    assert panels.score(again, np.ones(3)) == pytest.approx(found, nan_ok=True)
    assert found["iou_mean"] == found["iou_dusty"] == found["iou_snow-covered"] == 1
    assert np.isnan(found["iou_bird-drop"])


def test_weights_choose_the_pictures(panels, manifest):
    rows = panels.evaluate(tiny_model(), manifest, Silent())
    clean = np.array([row.key.endswith("Clean-3") for row in rows], dtype=float)
    assert np.isnan(panels.score(rows, clean)["iou_mean_foreground"])
    assert panels.score(rows[:1], np.ones(1))["iou_mean"] == 1


def test_the_picture_stands_beside_its_labels_and_the_answer(panels, manifest):
    sample = next(one for one in manifest.samples if one.id.startswith("Dust"))
    shown = panels.picture(tiny_model(), manifest, sample)
    assert shown.shape == (40, 180, 3)
    np.testing.assert_array_equal(shown[:, 60:120], shown[:, 120:])
    assert (shown[:, :60] != shown[:, 60:120]).any()


def test_the_gate_asks_about_figures_that_samples_have(panels, manifest):
    for expectation in panels.expectations():
        assert expectation.column in manifest.samples[0].figures
        assert expectation.why


def test_plots_are_what_the_platform_draws(panels, manifest):
    drawn = panels.plots(panels.evaluate(tiny_model(), manifest, Silent()))
    assert np.array(drawn["confusion"]["matrix"]).shape == (6, 6)
    assert len(drawn["classification_report"]["rows"]) == 6


def test_both_tasks_are_of_one_class_and_keep_apart(panels, farms, tmp_path):
    assert type(panels) is type(farms)
    assert (panels.name, farms.name) == ("panel_defects", "solar_farms")
    tiny_model("panel_defects").save(tmp_path)
    assert restore_model("panel_defects", tmp_path).card.task == "panel_defects"
    with pytest.raises(ModelRejected, match="a model of panel_defects, not of solar_farms"):
        restore_model("solar_farms", tmp_path)


def test_farms_are_evaluated_record_by_record(farms, tmp_path):
    write_farm_sample(
        tmp_path / "sample",
        changed(params_of("solar_farms", FarmParams).sample, places=2, side_px=64, shift_m=50.0),
        Silent(),
    )
    manifest: Manifest = farms.load(tmp_path / "sample")
    rows = farms.evaluate(tiny_model("solar_farms"), manifest, Silent())
    assert [row.key for row in rows] == [sample.key for sample in manifest.samples]
    assert 0 <= farms.score(rows, np.ones(len(rows)))["pixel_accuracy"] <= 1
    shown = farms.picture(tiny_model("solar_farms"), manifest, manifest.samples[0])
    assert shown.shape == (64, 192, 3)
    assert {expectation.column for expectation in farms.expectations()} <= set(manifest.samples[0].figures)
    assert FARMS.foreground in manifest.samples[0].figures
