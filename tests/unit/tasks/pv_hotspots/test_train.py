"""What training is made of: windows, checkpoints and scores; and, in the slow ring, whole fits that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sightline.errors import DataRejected
from sightline.task import TrainingData
from sightline.tasks.pv_hotspots.augment import Frame, Windows
from sightline.tasks.pv_hotspots.params import Params
from sightline.tasks.pv_hotspots.scoring import Scorer, best_threshold, fit_scorer
from tests.parameters import changed, params_of

ROOT = Path(__file__).resolve().parents[4]
PARAMS = params_of("pv_hotspots", Params)

# ------------------------------------------------------------------------------------------------------ windows


def frame(hot=True):
    """A grid of bright upright modules on cold ground, one of them with a hot cell."""
    level = np.full((256, 320), 100, dtype=np.float32)
    polygons = []
    for x in range(20, 300, 40):
        for y in range(20, 240, 60):
            level[y : y + 50, x : x + 30] = 200
            polygons.append(np.array([[x, y], [x + 30, y], [x + 30, y + 50], [x, y + 50]], dtype=float))
    classes = np.zeros(len(polygons), dtype=np.int64)
    if hot:
        classes[9] = 1
        x, y = polygons[9].mean(axis=0).astype(int)
        level[y - 4 : y + 4, x - 4 : x + 4] = 400
    return Frame(level, tuple(polygons), classes)


def windows(frames=None, **augment):
    plain = {"window_px": (128, 160), "noise": 0, "column_noise": 0, "offset": 0, "contrast": (1, 1)}
    params = changed(PARAMS.train.augment, **plain, **augment)
    return Windows([frame()] if frames is None else frames, 24, params, PARAMS.train.input, seed=3)


def test_boxes_follow_the_pixels():
    """Each box is bright to its edges and dark beyond, however the window was turned."""
    for window in (windows(rotation_deg=0)[index] for index in range(24)):
        bright = window.picture[0] > window.picture[0].min() + 60
        for x0, y0, x1, y1 in np.rint(window.boxes).astype(int):
            inner = bright[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2]
            assert inner.all()
        assert (window.boxes >= 0).all()
        assert (window.boxes[:, 2:] <= [160, 128]).all()


def test_turned_boxes_are_tight():
    """They are taken from the turned corners; boxes of turned boxes would be larger."""
    turned = windows(rotation_deg=45, scale=(1, 1), flips=False)
    sides = np.concatenate([turned[index].boxes for index in range(24)])
    sides = sides[(sides[:, 0] > 0) & (sides[:, 1] > 0) & (sides[:, 2] < 160) & (sides[:, 3] < 128)]
    width, height = (sides[:, 2:] - sides[:, :2]).T
    longest = np.hypot(30, 50)
    assert max(width.max(), height.max()) <= longest + 1e-6


def test_windows_repeat_for_seed_and_epoch():
    one, other = windows(), windows()
    assert (one[5].picture == other[5].picture).all()
    other.epoch = 1
    assert (one[5].picture.shape != other[5].picture.shape) or (one[5].picture != other[5].picture).any()


def test_focus_shows_the_defect_more_often():
    far, near = windows(defect_focus=0), windows(defect_focus=1)
    count = [sum(bool(part[index].classes.any()) for index in range(24)) for part in (far, near)]
    assert count[1] > count[0]


def test_mosaic_puts_four_windows_together():
    window = windows(mosaic=1.0)[0]
    assert window.picture.shape == (3, 128, 160)
    assert len(window.boxes) == len(window.classes) > 0
    assert (window.boxes[:, 2:] <= [160, 128]).all()


def test_a_frame_without_modules_is_a_window_without_boxes():
    empty = Frame(np.random.default_rng(0).normal(100, 5, (256, 320)).astype(np.float32), (), np.zeros(0, dtype=int))
    assert windows([empty])[0].boxes.shape == (0, 4)


# ------------------------------------------------------------------------------------------------------- scores


def test_a_fit_learns_and_a_strong_prior_is_kept():
    rng = np.random.default_rng(0)
    labels = (rng.random(400) < 0.2).astype(np.int64)
    features = {"box": rng.normal(size=400) + 2 * labels, "network": rng.normal(size=400)}
    prior = Scorer(-1.0, {"box": 0.1, "network": 1.0})
    free, held = fit_scorer(prior, features, labels, 1.0), fit_scorer(prior, features, labels, 1e6)
    assert free.coefficients["box"] > 1 > free.coefficients["network"]
    assert held.coefficients == pytest.approx(prior.coefficients, abs=1e-3)


def test_no_coefficient_becomes_negative():
    labels = np.array([0, 1] * 50)
    features = {"box": -1.0 * labels}
    assert fit_scorer(Scorer(0.0, {"box": 0.5}), features, labels, 0.1).coefficients["box"] == 0


def test_the_threshold_tells_labels_apart():
    probability = np.array([0.9, 0.8, 0.3, 0.2])
    assert best_threshold(probability, np.array([1, 1, 0, 0])) == pytest.approx(0.55)
    assert best_threshold(probability, np.zeros(4, dtype=np.int64)) == 0.5
    assert best_threshold(np.full(4, 0.4), np.array([1, 0, 0, 0])) == pytest.approx(0.2)


# -------------------------------------------------------------------------------------------------- checkpoints


def test_a_checkpoint_that_was_changed_is_not_read(tmp_path):
    from sightline.vision.checkpoints import Checkpoints

    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.newest() is None
    for content in (b"one", b"two"):
        (tmp_path / "last.pt").write_bytes(content)
        checkpoints.keep(tmp_path / "last.pt")
    kept = checkpoints.newest()
    assert kept is not None
    assert kept.read_bytes() == b"two"
    kept.write_bytes(b"evil")
    assert checkpoints.newest() is None


# --------------------------------------------------------------------------------------------------- whole fits

TINY = changed(
    PARAMS,
    train={
        "augment": {"window_px": (128, 160)},
        "scratch": {"epochs": 3, "windows": 4, "batch": 2},
        "continued": {"epochs": 1, "windows": 4, "batch": 2},
        "calibration_frames": 1,
    },
    sample={"flights": 1, "frames_per_flight": 2},
)


class Silent:
    def advance(self, done, total, what):
        """Nothing is shown."""

    def metrics(self, step, values):
        """Nothing is kept."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    from sightline.tasks.pv_hotspots.task import PvHotspots

    task = PvHotspots(TINY)
    root = tmp_path_factory.mktemp("pv") / "sample"
    task.sample(root, Silent())
    return task, task.load(root)


def nothing(manifest):
    return manifest.where(lambda _: False)


def test_training_on_nothing_is_refused(tmp_path):
    from sightline.task import Manifest
    from sightline.tasks.pv_hotspots.task import PvHotspots

    task, empty = PvHotspots(TINY), Manifest(tmp_path, ())
    with pytest.raises(DataRejected, match="no usable labelled frame"):
        task.train("fused", TrainingData(empty, empty), tmp_path, Silent())


@pytest.mark.slow
def test_candidates_share_one_detector_and_a_later_fit_continues_it(tiny, tmp_path):
    task, manifest = tiny
    data = TrainingData(manifest, nothing(manifest))
    fused = task.train("fused", data, tmp_path / "a", Silent())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a" / "detector").iterdir()}
    feature = task.train("feature", data, tmp_path / "a", Silent())
    assert fused.files == feature.files
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "a" / "detector").iterdir()}
    later = task.train("fused", TrainingData(manifest, nothing(manifest), fused), tmp_path / "c", Silent())
    assert later.card.provenance["start"]["files"] == fused.card.files
    assert later.files["detector.safetensors"] != fused.files["detector.safetensors"]


_CHILD = """
import sys
from pathlib import Path
from sightline.task import TrainingData
from sightline.tasks.pv_hotspots.params import Params
from sightline.tasks.pv_hotspots.task import PvHotspots

class Silent:
    def advance(self, done, total, what):
        print(what, flush=True)
    def metrics(self, step, values):
        pass

task = PvHotspots(Params.model_validate_json(sys.argv[1]))
manifest = task.load(Path(sys.argv[2]))
task.train("fused", TrainingData(manifest, manifest.where(lambda s: False)), Path(sys.argv[3]), Silent())
"""


@pytest.mark.slow
def test_a_killed_fit_goes_on_from_its_last_epoch(tiny, tmp_path):
    _, manifest = tiny
    params = changed(TINY, train={"scratch": {"epochs": 6}})
    work = tmp_path / "work"
    command = [sys.executable, "-c", _CHILD, params.model_dump_json(), str(manifest.root / "sample"), str(work)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("epoch 3/6"):
            os.kill(child.pid, signal.SIGKILL)
            break
    child.wait()
    child.stdout.close()
    time.sleep(0.1)
    rest = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=True)
    epochs = [line.split()[1] for line in rest.stdout.splitlines() if line.startswith("epoch")]
    assert epochs[-1] == "6/6"
    assert epochs[0] in ("3/6", "4/6")
    assert (work / "detector" / "finished.json").exists()
    assert not (work / "detector" / "checkpoint").exists()


@pytest.mark.slow
def test_pillow_stays_as_it_is():
    from PIL import Image

    from sightline.tasks.pv_hotspots.yolo import prepare_environment

    before = Image.open
    prepare_environment()
    import ultralytics.models.yolo.detect  # noqa: F401

    assert Image.open is before
