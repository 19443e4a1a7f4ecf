"""A tiny fit goes all the way, goes on after a kill and continues an earlier one."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.task import Manifest, TrainingData
from sightline.tasks.ships.calibrate import calibrated, look_at
from sightline.tasks.ships.data import load_manifest
from sightline.tasks.ships.examples import at_its_head, store_examples
from sightline.tasks.ships.labels import HAND_LABELS, Box
from sightline.tasks.ships.params import Params
from sightline.tasks.ships.scaled import Scaled
from sightline.tasks.ships.train import train_model
from tests.contract.subjects import Silent
from tests.parameters import changed, params_of
from tests.unit.tasks.ships.networks import blob_model, network_model, png, put_ship, scene, sea

STEPS = {"steps": 3, "batch": 2, "learning_rate": 0.001, "warmup_steps": 1, "report_every": 1}
TRAIN = params_of("ships", Params).train
TINY = changed(
    TRAIN,
    input={"pooled_px": 32, "context_px": 16},
    scan={"tile_px": 128, "context_px": 16, "stride_px": 16, "floor": 0.05},
    windows={"side_px": 96, "stride_px": 16},
    networks={
        name: changed(TRAIN.networks[name], head=STEPS, scratch=STEPS, continued=STEPS) for name in ("lite", "atto")
    },
)


def write_set(root, seed=0):
    """Two scenes with hand-drawn labels and four chips."""
    (root / "scenes").mkdir(parents=True)
    (root / "shipsnet").mkdir()
    boxes = {}
    for name in ("bay", "cape"):
        pixels, drawn = scene()
        (root / "scenes" / f"{name}.png").write_bytes(png(pixels))
        boxes[name] = [{"kind": one.kind, "bbox": [one.x0, one.y0, one.x1, one.y1]} for one in drawn]
    for number, label in enumerate((0, 0, 1, 1)):
        chip = sea(80, 80, seed=seed + number)
        if label:
            put_ship(chip, 40, 40, angle_deg=30 * number)
        (root / "shipsnet" / f"{label}__bay__{number}_0.png").write_bytes(png(chip))
    import json

    document = {"scene_file": {name: f"scenes/{name}.png" for name in boxes}, "same_ground": [], "boxes": boxes}
    (root / HAND_LABELS).write_text(json.dumps(document), encoding="utf-8")
    return load_manifest(root)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("ships") / "real")


@pytest.fixture(scope="module")
def examples(manifest, tmp_path_factory):
    return store_examples(manifest, tmp_path_factory.mktemp("examples") / "train", Silent())


def test_examples_are_decoded_once(manifest, examples, tmp_path):
    assert (len(examples), len(examples.scenes), len(examples.chips)) == (6, 2, 4)
    for index in examples.scenes:
        assert examples[index].pixels.shape == (300, 400, 3)
        assert len(examples[index].boxes) == 4
    assert sorted(len(examples[index].boxes) for index in examples.chips) == [0, 0, 1, 1]
    progress = Silent()
    store_examples(manifest, tmp_path / "e", progress)
    steps = len(progress.steps)
    assert steps > 0
    store_examples(manifest, tmp_path / "e", progress)
    assert len(progress.steps) == steps
    assert len(store_examples(Manifest(manifest.root, ()), tmp_path / "none", progress)) == 0


@pytest.mark.parametrize("model", [network_model(), blob_model()], ids=["network", "blobs"])
def test_a_calibration_puts_the_threshold_between_ships_and_the_rest(examples, model):
    evaluated = look_at(model, examples, Silent())
    assert evaluated.ships == 8
    made = calibrated(model, evaluated)
    assert evaluated.f1(made.recipe.calibration, made.thresholds) == 1
    assert 0 < made.threshold < 1
    assert made.files == model.files


def test_the_rule_is_fitted_without_a_network(manifest, tmp_path):
    model = train_model("blobs", TrainingData(manifest, manifest), TINY, 1, tmp_path, Silent())
    assert model.recipe.method == "blobs"
    assert model.card.provenance["train_samples"] == 6
    pixels, boxes = scene()
    assert model.predict([model.read(png(pixels), Limits())])[0].document["count"] == len(boxes)


class Killed(Exception):
    """Stands for the end of the process."""


class Dying(Silent):
    """Ends when the second step has been reported."""

    def metrics(self, step, values):
        super().metrics(step, values)
        if step == 2:
            raise Killed


@pytest.mark.slow  # torch
def test_a_pyramid_is_fitted_and_tells_lengths(manifest, tmp_path):
    progress = Silent()
    model = train_model("lite", TrainingData(manifest, manifest), TINY, 1, tmp_path, progress)
    assert [one["step"] for one in progress.figures] == [1, 2, 3, 1, 2, 3]  # what stands on the features first
    assert (model.recipe.input.pooled_px, model.recipe.scan.stride_px) == (4, 4)
    source = model.read(png(scene()[0]), Limits())
    assert model.predict([source])[0].embedding.shape == (320,)
    heat = model.finder.scanner(Scaled.to(lambda y, x, h, w: scene()[0][y : y + h, x : x + w], (300, 400), 1.0))
    assert heat.logits.shape == heat.lengths.shape == (75, 100)


def test_a_wake_that_was_boxed_leads_to_its_vessel():
    pixels = sea(200, 300)
    put_ship(pixels, 150, 100, 70, 4, colour=(70, 90, 95))  # the wake
    put_ship(pixels, 190, 100, 12, 5)
    boxed = at_its_head(pixels, Box("other", 114, 95, 198, 105), 3.0)
    assert boxed.is_point
    assert boxed.centre == pytest.approx((190, 100), abs=4)
    hull = Box("other", 184, 96, 196, 104)
    assert at_its_head(pixels, hull, 3.0) == hull


@pytest.mark.slow  # torch
def test_a_killed_fit_goes_on_to_the_same_bits(manifest, tmp_path):
    data, params = TrainingData(manifest, manifest), TINY
    whole = train_model("atto", data, params, 1, tmp_path / "whole", Silent())
    assert not (tmp_path / "whole" / "atto").exists()  # no checkpoint is left
    with pytest.raises(Killed):
        train_model("atto", data, params, 1, tmp_path / "killed", Dying())
    progress = Silent()
    again = train_model("atto", data, params, 1, tmp_path / "killed", progress)
    assert [one["step"] for one in progress.figures] == [2, 3]  # the first was kept
    assert again.files == whole.files
    assert again.card.thresholds == whole.card.thresholds
    assert {"loss", "validation_no_ship_right"} <= progress.figures[0].keys()


@pytest.mark.slow  # torch
def test_an_earlier_fit_is_continued_head_first(manifest, tmp_path):
    data, params = TrainingData(manifest, Manifest(manifest.root, ())), TINY
    start = train_model("atto", data, params, 1, tmp_path / "start", Silent())
    progress = Silent()
    continued = TrainingData(manifest, Manifest(manifest.root, ()), start)
    model = train_model("atto", continued, params, 1, tmp_path / "continued", progress)
    assert [one["step"] for one in progress.figures] == [1, 2, 3, 1, 2, 3]  # the head, then all
    assert model.files != start.files
    assert model.card.provenance["start"]["files"] == start.card.files
    assert np.isfinite(model.predict([model.read(png(scene()[0]), Limits())])[0].embedding).all()


def test_nothing_to_train_on_is_told(manifest, tmp_path):
    empty = Manifest(manifest.root, ())
    with pytest.raises(DataRejected, match="no usable labelled chip or scene"):
        train_model("blobs", TrainingData(empty, empty), TINY, 1, tmp_path, Silent())
