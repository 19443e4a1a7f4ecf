"""Parameters that cannot be meant are refused, with the field."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from sightline.params import load_section
from sightline.tasks import params_model
from sightline.tasks.panel_defects.params import FarmParams, Params
from tests.parameters import changed, params_of

ROOT = Path(__file__).resolve().parents[4]
PARAMS = {"panel_defects": params_of("panel_defects", Params), "solar_farms": params_of("solar_farms", FarmParams)}
TRAIN = changed(PARAMS["solar_farms"].train, weights={})
UNET = TRAIN.networks["unet"]


@pytest.mark.parametrize("name", list(PARAMS))
def test_each_candidate_is_the_baseline_or_has_a_network(name):
    params = PARAMS[name]
    network = next(iter(params.train.networks))
    assert changed(params, candidates=[network, "pixels"]).candidates == (network, "pixels")
    with pytest.raises(ValidationError, match=r"without a network in train\.networks: vgg, other"):
        changed(params, candidates=[network, "vgg", "other"])


@pytest.mark.parametrize("name", list(PARAMS))
def test_a_network_is_not_called_as_the_baseline(name):
    params = PARAMS[name]
    networks = {"pixels": next(iter(params.train.networks.values()))}
    with pytest.raises(ValidationError, match="pixels is the name of the baseline"):
        changed(params, train=changed(params.train, networks=networks), candidates=["pixels"])


def test_weights_come_with_their_digest():
    weights = {"resnet34": "a.safetensors"}
    with pytest.raises(ValidationError, match="weights_sha256 names the encoders"):
        changed(TRAIN, weights=weights)
    with pytest.raises(ValidationError, match="weights_sha256"):
        changed(TRAIN, weights=weights, weights_sha256={"resnet34": "abc"})
    assert changed(TRAIN, weights=weights, weights_sha256={"resnet34": "a" * 64}).weights == weights


def test_installed_weights_need_no_digest_and_are_there_for_one_encoder():
    installed = {"efficientnet_lite0": "imagenet"}
    assert changed(TRAIN, weights=installed).weights == installed
    with pytest.raises(ValidationError, match="weights_sha256 names the encoders"):
        changed(TRAIN, weights=installed, weights_sha256={"efficientnet_lite0": "a" * 64})
    with pytest.raises(ValidationError, match="installed for efficientnet_lite0, not for vgg16"):
        changed(TRAIN, weights={"vgg16": "imagenet"})


@pytest.mark.parametrize(
    "changes",
    [
        {"networks": {}},
        {"networks": {"unet": {**UNET.model_dump(), "encoder": "inceptionv4"}}},
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
        changed(TRAIN, **changes)


@pytest.mark.parametrize("name", ["panel_defects", "solar_farms"])
def test_both_sections_of_params_yaml_are_read(name):
    params = load_section(ROOT / "params.yaml", name, params_model(name))
    assert isinstance(params, Params | FarmParams)
    assert params.domain == name
    assert "pixels" in params.candidates
