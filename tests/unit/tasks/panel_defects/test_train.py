"""Training: weights of classes and strata, and a tiny fit of the baseline and of a network, killed and continued."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sightline.errors import DataRejected, ParamsError
from sightline.files import sha256_file
from sightline.limits import Limits
from sightline.task import TrainingData
from sightline.tasks.panel_defects.domain import DOMAINS
from sightline.tasks.panel_defects.examples import store_examples
from sightline.tasks.panel_defects.metrics import Pool, confusion_of
from sightline.tasks.panel_defects.params import FarmParams, Params
from sightline.tasks.panel_defects.synthetic.farm_sample import write_farm_sample
from sightline.tasks.panel_defects.synthetic.sample import write_sample
from sightline.tasks.panel_defects.train import (
    class_shares,
    class_weights,
    measure_bands,
    shares_of_strata,
    train_model,
)
from sightline.vision.session import WEIGHTS
from tests.parameters import changed, params_of
from tests.toy import Silent

STEPS = {"steps": 3, "batch": 2, "learning_rate": 0.001, "warmup_steps": 1, "report_every": 1, "precision": "float32"}
FARMS = params_of("solar_farms", FarmParams)
UNET = changed(FARMS.train.networks["unet"], scratch=STEPS, continued=STEPS | {"steps": 2})
SEEN = changed(FARMS.train.input, window_px=32, overlap_px=8)
HALF = changed(SEEN, scale=0.5, window_px=64, overlap_px=16)
PARAMS = changed(
    FARMS.train,
    input=SEEN,
    decoder_channels=(16, 8, 8, 8, 8),
    networks={
        "unet": UNET,
        "fpn": changed(UNET, encoder="efficientnet_lite0", decoder="fpn", input=HALF, continued={"steps": 3}),
    },
    pixels={"trees": 5, "pixels_per_image": 200, "pixels_per_tree": 500, "sigmas_px": [1.0, 2.0]},
)


@pytest.fixture(scope="module", params=["panel_defects", "solar_farms"])
def manifest(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param) / "sample"
    if request.param == "panel_defects":
        write_sample(root, changed(params_of("panel_defects", Params).sample, scenes=8, side_px=64), Silent())
    else:
        write_farm_sample(root, changed(FARMS.sample, places=3, side_px=64, shift_m=50.0), Silent())
    return DOMAINS[request.param].load(root)


@pytest.fixture
def domain(manifest):
    return DOMAINS[manifest.root.name.rstrip("0123456789")]


def data_of(manifest, start=None):
    held = {manifest.samples[-1].group}
    return TrainingData(manifest.where(lambda s: s.group not in held), manifest.where(lambda s: s.group in held), start)


class Stored(list):
    """Examples in memory, as `StoredExamples` gives them."""

    bands = 3


def test_classes_are_weighted_by_their_frequency():
    mask = np.zeros((10, 10), dtype=np.uint8)
    mask[0, :4] = 2
    examples = Stored([(np.zeros((10, 10, 3)), mask)])
    weights = class_weights(examples, 4, 0.5)
    assert weights[1] == weights[3] == 0
    assert weights[2] / weights[0] == pytest.approx((96 / 4) ** 0.5)
    assert 0.96 * weights[0] + 0.04 * weights[2] == pytest.approx(1)
    assert class_weights(examples, 4, 0.0)[:3:2] == pytest.approx([1, 1])


def test_strata_are_drawn_by_their_frequency():
    shares = shares_of_strata(("a", "a", "a", "b"), 1.0)
    assert sum(shares) == pytest.approx(1)
    assert shares[3] == pytest.approx(0.5)
    assert shares_of_strata(("a", "a", "b"), 0.0) == pytest.approx([1 / 3] * 3)


def test_bands_are_measured_over_all_pixels(manifest, domain, tmp_path):
    examples = store_examples(domain, manifest, 1.0, tmp_path / "examples", Silent())
    normalised = [measure_bands(examples)(examples[index][0]) for index in range(len(examples))]
    together = np.concatenate([one.reshape(-1, domain.bands) for one in normalised])
    assert together.mean(axis=0, dtype=np.float64) == pytest.approx(np.zeros(domain.bands), abs=2e-3)
    assert together.std(axis=0, dtype=np.float64) == pytest.approx(np.ones(domain.bands), abs=2e-2)


def test_the_baseline_is_fitted_in_a_moment(manifest, domain, tmp_path):
    model = train_model("pixels", data_of(manifest), domain, PARAMS, 1, tmp_path, Silent())
    assert set(model.files) == {"model.onnx"}
    source = model.read(domain.source(manifest, manifest.samples[0]), Limits())
    found = model.predict([source])[0]
    assert found.rasters["mask"].shape == (64, 64)
    again = train_model("pixels", data_of(manifest), domain, PARAMS, 1, tmp_path / "again", Silent())
    assert again.files == model.files


def test_nothing_to_train_on_is_told(manifest, domain, tmp_path):
    bad = replace(manifest, samples=tuple(replace(sample, problem="broken") for sample in manifest.samples))
    with pytest.raises(DataRejected, match="no usable labelled picture"):
        train_model("pixels", TrainingData(bad, bad), domain, PARAMS, 1, tmp_path, Silent())


class Killed(Exception):
    """What ends a training in the middle."""


class Killing(Silent):
    """Progress that ends the training after its second stretch."""

    def metrics(self, step, values):
        super().metrics(step, values)
        if step == 2:
            raise Killed


def test_the_answer_is_weighted_as_validation_likes_it_best(manifest, domain, tmp_path):
    params = PARAMS.model_copy(update={"priors": (0.0, 0.9, -0.9)})
    data = data_of(manifest)
    model = train_model("pixels", data, domain, params, 1, tmp_path, Silent())

    def score(weights):
        weighted = replace(model, card=model.card.model_copy(deep=True))
        weighted.card.preprocessing["class_weights"] = weights
        counts = [
            confusion_of(truth, weighted.segment(picture).mask, len(domain.classes))
            for _, picture, truth in domain.labelled(data.validation)
        ]
        return Pool(counts, domain.classes).score(np.ones(len(counts)))["iou_mean"]

    share = class_shares(store_examples(domain, data.train, 1.0, tmp_path / "e", Silent()), len(domain.classes))
    tried = [[float((one / share.max()) ** e) if one else 1.0 for one in share] for e in (0.0, 0.9, -0.9)]
    assert score(model.recipe.class_weights) == pytest.approx(max(score(weights) for weights in tried))


@pytest.mark.slow
@pytest.mark.parametrize("manifest", ["solar_farms"], indirect=True)  # both are trained by the same code
def test_a_network_is_fitted_resumed_and_continued(manifest, domain, tmp_path):
    progress = Silent()
    first = train_model("unet", data_of(manifest), domain, PARAMS, 1, tmp_path / "whole", progress)
    assert "validation_iou_mean" in progress.seen[-1][1]
    assert not (tmp_path / "whole" / "unet").exists()  # the checkpoints are gone
    with pytest.raises(Killed):
        train_model("unet", data_of(manifest), domain, PARAMS, 1, tmp_path / "killed", Killing())
    resumed = Silent()
    again = train_model("unet", data_of(manifest), domain, PARAMS, 1, tmp_path / "killed", resumed)
    assert next(step for step, _ in resumed.seen) > 1
    assert again.files[WEIGHTS] == first.files[WEIGHTS]
    later = train_model("unet", data_of(manifest, first), domain, PARAMS, 1, tmp_path / "later", Silent())
    assert later.recipe.normalisation == first.recipe.normalisation
    assert later.card.provenance["start"]["files"] == first.card.files
    assert later.files[WEIGHTS] != first.files[WEIGHTS]


@pytest.mark.slow
@pytest.mark.parametrize("manifest", ["solar_farms"], indirect=True)  # both are trained by the same code
def test_validation_may_be_empty(manifest, domain, tmp_path):
    progress = Silent()
    data = TrainingData(manifest, manifest.where(lambda s: False))
    train_model("unet", data, domain, PARAMS, 1, tmp_path, progress)
    assert [set(figures) for _, figures in progress.seen] == [{"loss"}] * 3


@pytest.mark.slow
@pytest.mark.parametrize("manifest", ["solar_farms"], indirect=True)  # both are trained by the same code
def test_weights_of_an_encoder_are_taken_if_they_are_the_named_ones(manifest, domain, tmp_path):
    from safetensors.torch import save_file

    from sightline.vision.networks import build_network

    path = tmp_path / "encoder.safetensors"
    encoder = build_network("resnet34", domain.bands, 2, (16, 8, 8, 8, 8)).encoder
    save_file({name: value.contiguous() for name, value in encoder.state_dict().items()}, path)

    def fit(digest: str, file: Path = path):
        weights = {"weights": {"resnet34": str(file)}, "weights_sha256": {"resnet34": digest}}
        params = changed(PARAMS, **weights)
        return train_model("unet", data_of(manifest), domain, params, 1, tmp_path / "work", Silent())

    assert fit(sha256_file(path)).files
    with pytest.raises(ParamsError, match=r"resnet34.*its SHA-256 is .*, not 0000"):
        fit("0" * 64)
    with pytest.raises(ParamsError, match=r"resnet34.*there is no such file"):
        fit(sha256_file(path), tmp_path / "absent.safetensors")
    save_file({"other": encoder.state_dict()["conv1.weight"].contiguous()}, path)
    with pytest.raises(ParamsError, match="do not fit the encoder"):
        fit(sha256_file(path))
    path.write_bytes(b"no weights at all")
    with pytest.raises(ParamsError, match="do not fit the encoder"):
        fit(sha256_file(path))


@pytest.mark.slow
def test_a_network_that_knows_imagenet_sees_pictures_as_it_learnt_to(manifest, domain, tmp_path):
    params = changed(PARAMS, weights={"efficientnet_lite0": "imagenet"})

    def fit(start=None):
        return train_model("fpn", data_of(manifest, start), domain, params, 1, tmp_path / str(start is None), Silent())

    if domain.bands != 3:
        with pytest.raises(ParamsError, match=r"train\.weights\.efficientnet_lite0.*do not fit the encoder"):
            fit()
        return
    first = fit()
    assert first.recipe.input == params.networks["fpn"].input
    assert first.recipe.normalisation.mean == pytest.approx([127 / 255] * 3)
    assert fit(first).recipe.normalisation == first.recipe.normalisation
    picture = first.read(domain.source(manifest, manifest.samples[0]), Limits())
    assert first.segment(picture).mask.shape == (64, 64)
    assert train_model("unet", data_of(manifest), domain, params, 1, tmp_path, Silent()).recipe.input == params.input
