"""Parameters that cannot be meant are refused, with the field."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from sightline.params import load_section
from sightline.tasks import params_model
from sightline.tasks.panel_defects.params import FarmParams, Params, TrainParams

ROOT = Path(__file__).resolve().parents[4]
STEPS = {"steps": 2, "batch": 2, "learning_rate": 0.001}
NETWORKS = {"unet": {"encoder": "resnet34", "scratch": STEPS, "continued": STEPS}}
PROMOTION = {"metric": "iou_mean", "floor": 0.1}


def section(**changes):
    return {"candidates": ["unet", "pixels"], "promotion": PROMOTION, "train": {"networks": NETWORKS}, **changes}


@pytest.mark.parametrize("kind", [Params, FarmParams])
def test_each_candidate_is_the_baseline_or_has_a_network(kind):
    assert kind.model_validate(section()).candidates == ("unet", "pixels")
    with pytest.raises(ValidationError, match=r"without a network in train\.networks: vgg, other"):
        kind.model_validate(section(candidates=["unet", "vgg", "other"]))


def test_weights_come_with_their_digest():
    weights = {"networks": NETWORKS, "weights": {"resnet34": "a.safetensors"}}
    with pytest.raises(ValidationError, match="weights_sha256 names the encoders"):
        TrainParams.model_validate(weights)
    with pytest.raises(ValidationError, match="weights_sha256"):
        TrainParams.model_validate({**weights, "weights_sha256": {"resnet34": "abc"}})
    assert TrainParams.model_validate({**weights, "weights_sha256": {"resnet34": "a" * 64}}).weights


def test_installed_weights_need_no_digest_and_are_there_for_one_encoder():
    installed = {"networks": NETWORKS, "weights": {"efficientnet_lite0": "imagenet"}}
    assert TrainParams.model_validate(installed).weights
    with pytest.raises(ValidationError, match="weights_sha256 names the encoders"):
        TrainParams.model_validate({**installed, "weights_sha256": {"efficientnet_lite0": "a" * 64}})
    with pytest.raises(ValidationError, match="installed for efficientnet_lite0, not for vgg16"):
        TrainParams.model_validate({"networks": NETWORKS, "weights": {"vgg16": "imagenet"}})


@pytest.mark.parametrize(
    "changes",
    [
        {"networks": {}},
        {"networks": {"pixels": NETWORKS["unet"]}},
        {"networks": {"unet": {**NETWORKS["unet"], "encoder": "inceptionv4"}}},
        {"input": {"window_px": 100}},
        {"input": {"scale": 0}},
        {"loss": "dice"},
        {"balance": 2},
        {"pixels": {"trees": 0}},
        {"pixels": {"sigmas_px": []}},
        {"pixels": {"sigmas_px": [0.0]}},
        {"unknown": 1},
    ],
)
def test_recipes_that_cannot_be_meant_are_refused(changes):
    with pytest.raises(ValidationError):
        TrainParams.model_validate({"networks": NETWORKS, **changes})


@pytest.mark.parametrize("name", ["panel_defects", "solar_farms"])
def test_both_sections_of_params_yaml_are_read(name):
    params = load_section(ROOT / "params.yaml", name, params_model(name))
    assert isinstance(params, Params | FarmParams)
    assert params.domain == name
    assert "pixels" in params.candidates
