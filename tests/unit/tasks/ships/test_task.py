"""The task as the platform sees it, with the rule of blobs as its model."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from sightline.params import load_section
from sightline.task import TrainingData
from sightline.tasks.ships.params import Params
from sightline.tasks.ships.task import Ships
from tests.contract.subjects import ROOT, Silent, tiny_params
from tests.parameters import changed, params_of


@pytest.fixture(scope="module")
def task():
    return Ships(tiny_params("ships", 7))


@pytest.fixture(scope="module")
def manifest(task, tmp_path_factory):
    root = tmp_path_factory.mktemp("ships") / "sample"
    task.sample(root, Silent())
    return task.load(root)


@pytest.fixture(scope="module")
def model(task, manifest, tmp_path_factory):
    data = TrainingData(manifest, manifest)
    return task.train("blobs", data, tmp_path_factory.mktemp("work"), Silent())


def test_evaluating_gives_figures_of_chips_and_of_scenes(task, manifest, model):
    rows = task.evaluate(model, manifest, Silent())
    figures = task.score(rows, np.ones(len(rows)))
    assert figures["chip_accuracy"] > 0.5
    assert 0 <= figures["f1"] <= 1
    assert figures["ships"] == sum(sample.figures.get("ships", 0) for sample in manifest.samples)
    assert set(task.plots(rows)) == {"confusion", "precision_recall", "scenes"}


def test_a_picture_shows_labels_and_answer(task, manifest, model):
    scene = next(sample for sample in manifest.samples if sample.stratum == "scene")
    shown = task.picture(model, manifest, scene)
    assert shown.shape == (scene.figures["height"], 2 * scene.figures["width"], 3)


def test_the_sample_keeps_every_expectation(task, manifest):
    for one in task.expectations():
        if one.kind == "one_of":
            assert {sample.stratum for sample in manifest.samples} <= set(one.values)
            continue
        values = [sample.figures[one.column] for sample in manifest.samples]
        if one.kind == "mean_between":
            values = [sum(values) / len(values)]
        assert all(one.low <= value <= one.high for value in values), one.why


def test_the_recipes_of_the_repository_fit():
    params = load_section(ROOT / "params.yaml", "ships", Params)
    assert params.candidates[0] == "lite"
    assert {network.size for network in params.train.networks.values()} >= {"convnext_atto", "efficientnet_lite0"}


PARAMS = params_of("ships", Params)


@pytest.mark.parametrize(
    "changes",
    [
        {"candidates": ["atto", "oracle"]},
        {"train": {"networks": {"blobs": PARAMS.train.networks["atto"]}}},
        {"train": {"weights": {"convnext_atto": "x.safetensors"}}},
        {"train": {"windows": {"side_px": 64}}},
        {"train": {"scan": {"stride_px": 7}}},
        {"train": {"scan": {"tile_px": 96}}},
        {"train": {"windows": {"ship_m": 50.0}}},
    ],
)
def test_recipes_that_cannot_be_are_refused(changes):
    with pytest.raises(ValidationError):
        changed(PARAMS, **changes)
