"""Training inputs: labels lie where ships are, whatever was turned, and a batch depends on seed and step alone."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.ships.examples import Example
from sightline.tasks.ships.labels import Box
from sightline.tasks.ships.network import IGNORED
from sightline.tasks.ships.params import Params
from sightline.tasks.ships.windows import Windows, classes_at
from tests.parameters import changed, params_of
from tests.unit.tasks.ships.networks import SHIPS, scene, sea

TRAIN = params_of("ships", Params).train
PLAIN = changed(TRAIN.augment, gain=0, band_gain=0, contrast=0, noise=0, random_erasing=0)


class Listed:
    """Examples in memory, with what `StoredExamples` has."""

    def __init__(self, *examples):
        self.examples = examples
        self.boxes = [one.boxes for one in examples]
        self.scenes = [i for i, one in enumerate(examples) if not one.chip]
        self.chips = [i for i, one in enumerate(examples) if one.chip]

    def __getitem__(self, index):
        return self.examples[index]

    def size(self, index):
        return self.examples[index].pixels.shape[:2]


def windows(*examples, augment=PLAIN, gsd_m=3.0, batch=6, **params):
    given = changed(TRAIN.windows, **{"side_px": 192, "chips": 0.5, **params})
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
        for pixels, classes in zip(inputs, truth, strict=True):
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
    assert (first[0].shape, first[1].shape) == ((6, 3, 192, 192), (6, 11, 11))
    assert (first[0].dtype, first[1].dtype) == (np.float32, np.int64)


def test_of_a_chip_only_the_middle_is_known():
    ship = Example(scene(80, 80, ((40, 40, 20),))[0], (Box("ship", 20, 20, 60, 60),), chip=True)
    none = Example(sea(80, 80), (), chip=True)
    _, truth = windows(ship, none, batch=40)(0)
    assert set(np.unique(truth)) == {IGNORED, 0, 1}
    assert ((truth != IGNORED).sum(axis=(1, 2)) == 1).all()


def test_crops_aim_at_ships_as_often_as_asked():
    focused = windows(dotted(), focus=1.0)(0)[1]
    assert (focused == 1).any(axis=(1, 2)).all()
    anywhere = np.concatenate([windows(dotted(), focus=0.0)(step)[1] for step in range(4)])
    assert (anywhere == 1).any(axis=(1, 2)).mean() < 0.7


def test_other_vessels_are_left_out_and_those_at_berth_are_no_ships():
    centres = np.array([[100.0, 100.0], [118.0, 100.0], [160.0, 100.0]])
    at = {
        kind: classes_at(centres, [Box(kind, 95, 95, 105, 105)], 5, 15).tolist() for kind in ("ship", "small", "berth")
    }
    assert at == {"ship": [1, 0, 0], "small": [IGNORED, IGNORED, 0], "berth": [0, 0, 0]}
    near = [Box("small", 95, 95, 105, 105), Box("ship", 98, 95, 102, 105)]
    assert classes_at(centres, near, 5, 15)[0] == 1


def test_light_is_changed_and_holes_are_cut():
    example = dotted()
    plain, lit = windows(example, focus=1.0)(0)[0], windows(example, augment=TRAIN.augment, focus=1.0)(0)[0]
    assert np.abs(plain.mean(axis=(2, 3)) - lit.mean(axis=(2, 3))).max() > 0.05
    holed = windows(example, augment=PLAIN.model_copy(update={"random_erasing": 1.0, "rotated": 0.0}), focus=1.0)(0)[0]
    flat = [(np.abs(np.diff(one, axis=1)) == 0).mean() for one in holed]
    assert min(flat) > 0.01
