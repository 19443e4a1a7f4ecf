"""Training: windows favour what is rare, rules win only where they do, and a tiny fit goes all the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline.errors import DataRejected, ParamsError
from sightline.limits import Limits
from sightline.task import TrainingData
from sightline.tasks.land_cover.augment import Channels, Windows, cut_window, raw_channels
from sightline.tasks.land_cover.bits import pack, plane
from sightline.tasks.land_cover.calibrate import Fitted, calibrate
from sightline.tasks.land_cover.data import load_manifest
from sightline.tasks.land_cover.examples import store_examples
from sightline.tasks.land_cover.model import LandCoverModel
from sightline.tasks.land_cover.params import Params
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.synthetic.sample import write_sample
from sightline.tasks.land_cover.train import measure_channels, train_model
from tests.contract.subjects import Silent
from tests.parameters import changed, params_of
from tests.unit.tasks.land_cover.networks import WATER, network_model, rules_model
from tests.unit.tasks.land_cover.test_rules import Labelled, tile

POND, CROPS, TREES = (CLASSES.index(name) for name in ("standing_water", "crops", "trees"))
PLAIN = Channels((0.4,) * 8 + (0.0,) * 4, (0.2,) * 8 + (0.4,) * 4)
PARAMS = params_of("land_cover", Params)
UNET = PARAMS.train.networks["unet"]
STEPS = {"steps": 2, "batch": 2, "learning_rate": 0.001, "warmup_steps": 1, "report_every": 1}
TINY = changed(
    PARAMS.train,
    input={"window_px": 32, "overlap_px": 8},
    decoder_channels=(16, 8, 8, 8, 8),
    networks={"unet": changed(UNET, scratch=STEPS, continued=STEPS)},
)


def rare_example(side=200):
    """Crops nearly everywhere, one pond of 3 x 3 pixels."""
    rng = np.random.default_rng(0)
    masks = np.zeros((len(CLASSES), side, side), dtype=bool)
    masks[CROPS, :, 10:] = True
    masks[POND, 150:153, 40:43] = True
    return rng.random((8, side, side)).astype(np.float16), pack(masks)


def windows(examples, **params):
    return Windows(examples, PLAIN, changed(PARAMS.train.augment, **params), window_px=32, batch=16, seed=4)


def shows_pond(made):
    return np.mean([masks[POND].any() for step in range(6) for masks in made(step)[1]])


def test_windows_look_at_rare_classes():
    examples = Labelled(rare_example())
    shares = windows(examples).class_shares
    assert shares.sum() == pytest.approx(1)
    assert shares[POND] > 0.9  # 9 pixels against 38,000, by the root of the frequency
    assert shares[TREES] == 0  # there are none
    assert shows_pond(windows(examples, focus=0.0)) < 0.1
    assert shows_pond(windows(examples, focus=1.0)) > 0.8


def test_a_batch_depends_on_seed_and_step_alone():
    examples = Labelled(rare_example())
    first, again, other = windows(examples)(3), windows(examples)(3), windows(examples)(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert (first[0].shape, first[1].shape) == ((16, 12, 32, 32), (16, 10, 32, 32))
    assert first[0].dtype == np.float32


def test_labels_turn_with_their_pixels():
    rng = np.random.default_rng(1)
    bands = rng.uniform(0.2, 0.3, (8, 90, 90)).astype(np.float16)
    bits = (rng.random((90, 90)) < 0.3).astype(np.uint16) << CROPS
    bands[:, bits > 0] = 0.8
    made = windows(Labelled((bands, bits)), gain=0.0, band_gain=0.0, noise=0.0)
    for step in range(4):
        inputs, masks = made(step)
        np.testing.assert_array_equal(inputs[:, 0] > 1, masks[:, CROPS] > 0)


@pytest.mark.parametrize("at", [(0, 0), (89, 69), (40, 33)])
@pytest.mark.parametrize("side", [32, 64, 96])
def test_a_window_holds_the_pixel_it_is_cut_for(at, side):
    bits = np.zeros((90, 70), dtype=np.uint16)
    bits[at] = 1
    bands = np.zeros((8, 90, 70), dtype=np.float16)
    for seed in range(20):
        cut, found = cut_window(bands, bits, np.random.default_rng(seed), side, at)
        assert cut.shape == (8, side, side)
        assert found.any()


def test_channels_are_normalised_by_the_set_and_keep_the_level_of_a_tile():
    examples = Labelled(tile(0), tile(1))
    channels = measure_channels(examples, indices=True)
    made = np.concatenate([channels(examples.bands(index)).reshape(12, -1) for index in range(2)], axis=1)
    assert made.mean(axis=1) == pytest.approx(np.zeros(12), abs=1e-3)
    assert made.std(axis=1) == pytest.approx(np.ones(12), abs=1e-2)
    bands = examples.bands(0)
    assert channels(0.5 * bands)[:8].mean() < channels(bands)[:8].mean() - 1  # a dark tile stays dark
    assert measure_channels(examples, indices=False)(bands).shape == bands.shape
    assert raw_channels(bands, True).shape == (12, *bands.shape[1:])


# --------------------------------------------------------------------------------------------------- calibration


def calibrated(rules, validation, examples=None):
    """Of a network with random weights, whose water is nothing but chance."""
    model = network_model()
    empty = Labelled()
    empty.counts = np.zeros((0, 10), dtype=np.int64)
    fitted = Fitted(examples or Labelled(tile(0)), validation or empty, PARAMS.train.thresholds, Silent())
    return calibrate(model.recipe, model.files, rules, fitted)


def test_a_rule_takes_its_class_where_it_wins_on_validation_and_the_card_says_so():
    made = calibrated({POND: WATER}, Labelled(tile(1)))
    assert set(made.recipe.rules) == {POND}
    chosen = made.chosen["standing_water"]
    assert (chosen["by"], chosen["fitted_on"]) == ("rule", "validation")
    assert chosen["jaccard_of_rule"] > 0.95 > chosen["jaccard"]
    assert made.chosen["trees"] == {"by": "network", "fitted_on": "nothing", "jaccard": 0.0}


def test_a_rule_that_loses_is_left_out():
    bands, bits = tile(1)
    made = calibrated({POND: WATER}, Labelled((bands, (bits == 0).astype(np.uint16) << POND)))
    assert made.recipe.rules == {}
    assert made.chosen["standing_water"]["by"] == "network"


def test_without_validation_thresholds_come_from_training_and_no_rule_is_taken():
    made = calibrated({POND: WATER}, None)
    assert made.recipe.rules == {}
    assert made.chosen["standing_water"]["fitted_on"] == "training"


def test_the_baseline_answers_nothing_for_classes_without_a_rule():
    model = rules_model({POND: WATER})
    fitted = Fitted(Labelled(tile(0)), Labelled(tile(1)), PARAMS.train.thresholds, Silent())
    made = calibrate(model.recipe, {}, {}, fitted)
    assert [made.chosen[name]["by"] for name in ("standing_water", "roads")] == ["rule", "nothing"]


# ------------------------------------------------------------------------------------------------------- the fit


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    root = tmp_path_factory.mktemp("land_cover") / "sample"
    shape = {"regions": 3, "scenes_per_region": 1, "width_m": 70.0, "height_m": 60.0, "cells_per_px": 2}
    write_sample(root, changed(PARAMS.sample, seed=6, **shape), Silent())
    return load_manifest(root)


def data_of(manifest, start=None):
    train, validation = (manifest.where(lambda s, r=regions: s.group in r) for regions in (("6010", "6020"), ("6030",)))
    return TrainingData(train, validation, start)


def test_stored_examples_are_the_tiles_and_their_labels(manifest, tmp_path):
    examples = store_examples(manifest, tmp_path / "examples", Silent())
    assert len(examples) == len(manifest)
    bands, bits = examples[1]
    tile_read = rules_model({}).read(manifest.path(manifest.samples[1]), Limits())
    np.testing.assert_allclose(bands, tile_read.bands, atol=1 / 4094)  # half a count
    assert [int(plane(bits, kind).sum()) for kind in range(10)] == examples.counts[1].tolist()
    again = store_examples(manifest.where(lambda s: False), tmp_path / "examples", Silent())
    assert len(again) == len(manifest)  # what is there is taken as it is
    assert len(store_examples(manifest.where(lambda s: False), tmp_path / "none", Silent())) == 0


def test_rules_are_fitted_in_a_moment(manifest, tmp_path):
    model = train_model("rules", data_of(manifest), TINY, 1, tmp_path, Silent())
    assert model.files == {}
    assert TREES in model.recipe.rules
    assert model.card.provenance["chosen"]["trees"]["by"] == "rule"


def test_nothing_to_train_on_is_told(manifest, tmp_path):
    data = TrainingData(manifest.where(lambda s: False), manifest)
    with pytest.raises(DataRejected, match="no usable labelled tile"):
        train_model("rules", data, TINY, 1, tmp_path, Silent())


@pytest.mark.slow
def test_a_network_is_fitted_and_continued(manifest, tmp_path):
    params, progress = TINY, Silent()
    first = train_model("unet", data_of(manifest), params, 1, tmp_path / "a", progress)
    assert any("validation_jaccard_mean" in figures for figures in progress.figures)
    assert not (tmp_path / "a" / "unet").exists()  # the checkpoints are gone
    later = train_model("unet", data_of(manifest, first), params, 1, tmp_path / "b", Silent())
    assert isinstance(later, LandCoverModel)
    assert later.recipe.channels == first.recipe.channels
    assert later.card.provenance["start"]["files"] == first.card.files


@pytest.mark.slow
def test_weights_that_are_not_there_are_told(manifest, tmp_path):
    weights = {"weights": {"resnet34": str(Path("absent.safetensors"))}, "weights_sha256": {"resnet34": "0" * 64}}
    params = changed(TINY, **weights)
    with pytest.raises(ParamsError, match=r"absent\.safetensors"):
        train_model("unet", data_of(manifest), params, 1, tmp_path, Silent())
