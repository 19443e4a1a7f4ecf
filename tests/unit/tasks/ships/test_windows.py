"""Training inputs: labels lie where ships are, whatever was turned, and a batch depends on seed and step alone."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.ships.colours import seen_otherwise
from sightline.tasks.ships.examples import Example
from sightline.tasks.ships.labels import Box
from sightline.tasks.ships.network import IGNORED, UNKNOWN
from sightline.tasks.ships.params import Params
from sightline.tasks.ships.windows import Windows, truth_at
from tests.parameters import changed, params_of
from tests.unit.tasks.ships.networks import SHIPS, scene, sea

TRAIN = params_of("ships", Params).train
ALIKE = {"gamma": 0, "gain": 0, "band_gain": 0, "saturation": 0, "contrast": 0, "darkening": 0, "noise": 0}
PLAIN = changed(TRAIN.augment, coarse_share=0, jpeg_share=0, random_erasing=0, zoom=[0.85, 1.2], **ALIKE)


class Listed:
    """Examples in memory, with what `StoredExamples` has."""

    def __init__(self, *examples):
        self.examples = examples
        self.boxes = [one.boxes for one in examples]
        self.scenes = [i for i, one in enumerate(examples) if not one.chip]
        self.gsd_m = [one.gsd_m for one in examples]
        self.chips = [i for i, one in enumerate(examples) if one.chip]

    def __getitem__(self, index):
        return self.examples[index]

    def size(self, index):
        return self.examples[index].pixels.shape[:2]


def windows(*examples, augment=PLAIN, gsd_m=3.0, batch=6, **params):
    given = changed(TRAIN.windows, **{"side_px": 192, "chips": 0.5, "ship_m": 15.0, **params})
    seen = changed(TRAIN.input, gsd_m=gsd_m, context_px=32)
    return Windows(Listed(*examples), seen, given, augment, batch, 3)


def dotted():
    """A sea where the middle of each ship, and nothing else, is bright."""
    pixels = sea(300, 400)
    boxes = []
    for x, y, _ in SHIPS:
        pixels[int(y) - 2 : int(y) + 2, int(x) - 2 : int(x) + 2] = 250
        boxes.append(Box("ship", x - 30, y - 10, x + 30, y + 10))
    return Example(pixels, tuple(boxes), chip=False)


@pytest.mark.parametrize("gsd_m", [3.0, 1.5])
@pytest.mark.parametrize("rotated", [0.0, 1.0])
def test_windows_of_ships_are_those_with_its_middle_in_their_middle(gsd_m, rotated):
    augment = PLAIN.model_copy(update={"rotated": rotated})
    made = windows(dotted(), augment=augment, gsd_m=gsd_m, side_px=384 if gsd_m < 3 else 192, stride_px=8)
    seen = 0
    for step in range(4):
        inputs, truth = made(step)
        for pixels, classes in zip(inputs, truth[:, 0], strict=True):
            bright = np.argwhere(pixels.mean(axis=0) > 1.5) + 0.5
            for row, column in np.argwhere(classes != IGNORED):
                off_m = gsd_m * np.hypot(*(bright - (np.array([row, column]) * 8 + 16)).T) if len(bright) else [np.inf]
                if classes[row, column] == 1:
                    seen += 1
                    assert min(off_m) < 15 + 12
                else:
                    assert min(off_m) > 45 * 0.8 - 12  # zoomed out, metres of a crop are fewer
    assert seen > 10


def test_a_batch_depends_on_seed_and_step_alone():
    examples = (dotted(), Example(scene(80, 80, ((40, 40, 20),))[0], (Box("ship", 10, 30, 70, 50),), chip=True))
    first, again, other = (windows(*examples, augment=TRAIN.augment)(step) for step in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert (first[0].shape, first[1].shape) == ((6, 3, 192, 192), (6, 2, 11, 11))
    assert (first[0].dtype, first[1].dtype) == (np.float32, np.float32)


def test_of_a_chip_only_the_middle_is_known():
    ship = Example(scene(80, 80, ((40, 40, 20),))[0], (Box("ship", 20, 20, 60, 60),), chip=True)
    none = Example(sea(80, 80), (), chip=True)
    _, truth = windows(ship, none, batch=40)(0)
    classes, lengths = truth[:, 0], truth[:, 1]
    assert set(np.unique(classes)) == {IGNORED, 0, 1}
    assert ((classes != IGNORED).sum(axis=(1, 2)) == 1).all()
    assert (lengths == UNKNOWN).all()  # its box says nothing


def test_crops_aim_at_ships_as_often_as_asked():
    focused = windows(dotted(), focus=1.0)(0)[1][:, 0]
    assert (focused == 1).any(axis=(1, 2)).all()
    anywhere = np.concatenate([windows(dotted(), focus=0.0)(step)[1][:, 0] for step in range(4)])
    assert (anywhere == 1).any(axis=(1, 2)).mean() < 0.7


CENTRES = np.array([[100.0, 100.0], [118.0, 100.0], [160.0, 100.0]])


def truth_of(*boxes, seen_gsd_m=3.0, least_m=0.0):
    return truth_at(CENTRES, Example(sea(200, 200), boxes, chip=False), seen_gsd_m, TRAIN.windows, least_m)


def test_vessels_of_all_kinds_are_learnt_and_short_ones_left_out():
    for kind in ("ship", "other", "small", "berth", "open"):
        classes, lengths = truth_of(Box(kind, 90, 97, 110, 103))
        assert classes.tolist() == [1, 0, 0]
        assert lengths[0] == pytest.approx(np.log2(60 / 50), abs=0.1)
    assert truth_of(Box("small", 98, 98, 102, 102))[0].tolist() == [IGNORED, 0, 0]  # 14 m
    assert truth_of(Box("open", 90, 97, 110, 103), least_m=80.0)[0].tolist() == [IGNORED, 0, 0]  # too coarse for it
    assert truth_of(Box("open", 90, 97, 110, 103), seen_gsd_m=0.9)[0].tolist() == [IGNORED, IGNORED, 0]  # seems 18 m
    near = [Box("small", 98, 98, 102, 102), Box("ship", 70, 94, 134, 106)]
    assert truth_of(*near)[0][0] == 1


def test_of_a_middle_alone_the_place_is_learnt_and_no_length():
    classes, lengths = truth_of(Box("open", 100, 100, 100, 100))
    assert classes.tolist() == [1, 0, 0]
    assert (lengths == UNKNOWN).all()


def test_a_coarser_scene_is_cut_at_the_networks_scale():
    pixels = sea(150, 200)
    pixels[70:80, 80:120] = 250
    coarse = Example(pixels, (Box("open", 80, 70, 120, 80),), chip=False, gsd_m=6.0)
    inputs, truth = windows(coarse, augment=changed(PLAIN, rotated=0), focus=1.0, stride_px=8)(0)
    shown = max(int((one.mean(axis=0) > 1.5).sum()) for one in inputs)
    assert shown == pytest.approx(80 * 20, rel=0.1)  # 240 x 60 m in pixels of 3 m
    assert truth[:, 1].max() == pytest.approx(np.log2(240 / 50), abs=0.15)


def test_another_sensor_changes_colours_and_takes_detail():
    pixels = scene(192, 192, ((90, 90, 30),))[0]
    made = [seen_otherwise(pixels, TRAIN.augment, np.random.default_rng(seed)) for seed in range(20)]
    assert {coarse == 1 for _, coarse in made} == {True, False}
    medians = np.array([np.median(one, axis=(0, 1)) for one, _ in made])
    assert (np.ptp(medians, axis=0) > 15).all()
    same, coarse = seen_otherwise(pixels, PLAIN, np.random.default_rng(0))
    assert coarse == 1
    np.testing.assert_array_equal(same, pixels)


def test_light_is_changed_and_holes_are_cut():
    example = dotted()
    plain, lit = windows(example, focus=1.0)(0)[0], windows(example, augment=TRAIN.augment, focus=1.0)(0)[0]
    assert np.abs(plain.mean(axis=(2, 3)) - lit.mean(axis=(2, 3))).max() > 0.05
    holed = windows(example, augment=PLAIN.model_copy(update={"random_erasing": 1.0, "rotated": 0.0}), focus=1.0)(0)[0]
    flat = [(np.abs(np.diff(one, axis=1)) == 0).mean() for one in holed]
    assert min(flat) > 0.01
