"""The task as the platform sees it, with the rules as its model."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from sightline.params import load_section
from sightline.task import TrainingData
from sightline.tasks.land_cover.model import LandCoverModel
from sightline.tasks.land_cover.params import Params
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.task import LandCover
from tests.contract.subjects import ROOT, Silent, tiny_params
from tests.parameters import changed, params_of


@pytest.fixture(scope="module")
def task():
    return LandCover(tiny_params("land_cover", 7))


@pytest.fixture(scope="module")
def manifest(task, tmp_path_factory):
    root = tmp_path_factory.mktemp("land_cover") / "sample"
    task.sample(root, Silent())
    return task.load(root)


@pytest.fixture(scope="module")
def model(task, manifest, tmp_path_factory):
    data = TrainingData(manifest, manifest)
    return task.train("rules", data, tmp_path_factory.mktemp("work"), Silent())


def test_evaluating_finds_trees_better_than_chance(task, manifest, model):
    rows = task.evaluate(model, manifest, Silent())
    figures = task.score(rows, np.ones(len(rows)))
    assert figures["jaccard_trees"] > 0.5
    assert figures["jaccard_buildings"] == 0 or np.isnan(figures["jaccard_buildings"])  # the rules know none
    assert figures["jaccard_mean"] > figures["jaccard_mean_majority"]


def test_a_picture_shows_tile_labels_and_answer(task, manifest, model):
    sample = manifest.samples[0]
    shown = task.picture(model, manifest, sample)
    assert shown.shape == (sample.figures["height"], 3 * sample.figures["width"], 3)


def test_the_sample_keeps_every_expectation(task, manifest):
    for one in task.expectations():
        values = [sample.figures[one.column] for sample in manifest.samples]
        if one.kind == "mean_between":
            values = [sum(values) / len(values)]
        assert all(one.low <= value <= one.high for value in values), one.why


def test_the_recipes_of_the_repository_fit():
    params = load_section(ROOT / "params.yaml", "land_cover", Params)
    assert params.candidates == ("unet", "rules")
    assert set(params.train.rules.classes) < set(CLASSES)


PARAMS = params_of("land_cover", Params)
UNET = PARAMS.train.networks["unet"]


@pytest.mark.parametrize(
    "changes",
    [
        {"candidates": ["unet", "oracle"]},
        {"train": {"networks": {"rules": UNET}}},
        {"train": {"rules_may_replace": ["roads"]}},
        {"train": {"input": {"window_px": 64, "overlap_px": 64}}},
        {"train": {"weights": {"resnet34": "a file"}}},
    ],
)
def test_parameters_that_contradict_each_other_are_refused(changes):
    with pytest.raises(ValidationError):
        changed(PARAMS, **changes)


def test_the_model_is_of_this_task(model):
    assert isinstance(model, LandCoverModel)
    assert model.card.task == "land_cover"
