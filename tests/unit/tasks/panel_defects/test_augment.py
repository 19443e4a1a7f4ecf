"""Windows for training: decided by seed and step, masks that follow their pixels, small pictures mirrored."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.panel_defects.augment import Normalisation, Windows, cut_window
from sightline.tasks.panel_defects.params import Params
from tests.parameters import changed, params_of

AUGMENT = changed(params_of("panel_defects", Params).train.augment, zoom=(0.8, 1.25), cutmix=0.0)
PLAIN = {"zoom": (1.0, 1.0), "gain": 0.0, "band_gain": 0.0, "contrast": 0.0, "noise": 0.0}


class Labelled(list):
    """Examples in memory."""


def example(seed=0, height=90, width=70, bands=3):
    """A picture whose first band is 0.8 where the mask is 1, and 0.2 elsewhere."""
    rng = np.random.default_rng(seed)
    mask = (rng.random((height // 10, width // 10)) < 0.4).astype(np.uint8).repeat(10, axis=0).repeat(10, axis=1)
    pixels = rng.random((height, width, bands)).astype(np.float32)
    pixels[..., 0] = 0.2 + 0.6 * mask
    return pixels, mask


def windows(*examples, share=None, bands=3, seed=4, batch=6, **params):
    normalisation = Normalisation((0.5,) * bands, (1.0,) * bands)
    shares = share or [1 / len(examples)] * len(examples)
    return Windows(Labelled(examples), shares, normalisation, changed(AUGMENT, **params), 32, batch, seed)


def test_the_same_step_gives_the_same_batch_and_another_step_another():
    made = windows(example(0), example(1))
    first, again, other = made(3), windows(example(0), example(1))(3), made(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], windows(example(0), example(1), seed=5)(3)[0])


@pytest.mark.parametrize("bands", [3, 13])
def test_a_batch_has_the_shape_the_network_wants(bands):
    inputs, truth = windows(example(bands=bands), bands=bands)(0)
    assert (inputs.shape, inputs.dtype) == ((6, bands, 32, 32), np.float32)
    assert (truth.shape, truth.dtype) == ((6, 32, 32), np.int64)
    assert inputs.flags.c_contiguous


def test_a_patch_brings_its_classes_along():
    batch, plain = (
        windows(example(0), example(1), batch=40, **PLAIN, cutmix=1.0)(0),
        windows(example(0), example(1), batch=40, **PLAIN)(0),
    )
    np.testing.assert_array_equal(batch[0][:, 0] > 0, batch[1] > 0)
    changed = (batch[0] != plain[0]).any(axis=1).mean(axis=(1, 2))
    assert 0.05 < changed.mean() < 0.5
    assert changed.max() < 0.7


def test_masks_turn_with_their_pixels():
    made = windows(example(), batch=40, **PLAIN)
    inputs, truth = made(0)
    np.testing.assert_array_equal(inputs[:, 0] > 0, truth > 0)
    assert 0.2 < truth.mean() < 0.6


def test_all_turns_and_mirrorings_occur():
    pixels = np.zeros((32, 32, 3), dtype=np.float32)
    mask = np.arange(32 * 32).reshape(32, 32) % 251
    truth = windows((pixels, mask.astype(np.uint8)), batch=80, **PLAIN)(0)[1]
    assert len({one.tobytes() for one in truth}) == 8


def test_masks_keep_to_their_pixels_when_zoomed():
    inputs, truth = windows(example(), batch=40, **(PLAIN | {"zoom": (0.5, 2.0)}))(0)
    agree = (inputs[:, 0] > 0) == (truth > 0)
    assert agree.mean() > 0.97  # borders are blurred by half a pixel
    assert set(np.unique(truth)) == {0, 1}


def test_light_changes_within_its_bounds():
    pixels, mask = np.full((40, 40, 3), 0.4, dtype=np.float32), np.zeros((40, 40), dtype=np.uint8)
    inputs = windows((pixels, mask), batch=60, **(PLAIN | {"gain": 0.25}))(0)[0] + 0.5
    assert inputs.min() >= 0.4 * 0.75 - 1e-6
    assert inputs.max() <= 0.4 * 1.25 + 1e-6
    assert np.ptp(inputs) > 0.1
    noisy = windows((pixels, mask), batch=20, **(PLAIN | {"noise": 0.1}))(0)[0]
    assert 0 < noisy.std(axis=(1, 2, 3)).max() < 0.11


def test_examples_are_drawn_by_their_shares():
    dark, bright = (np.full((40, 40, 3), value, dtype=np.float32) for value in (0.1, 0.9))
    mask = np.zeros((40, 40), dtype=np.uint8)
    drawn = windows((dark, mask), (bright, mask), share=[0.9, 0.1], batch=300, **PLAIN)(0)[0][:, 0, 0, 0] > 0
    assert drawn.mean() == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("shape", [(20, 20), (20, 90), (5, 40), (1, 1)])
def test_small_pictures_are_mirrored_with_their_masks(shape):
    mask = (np.arange(np.prod(shape)).reshape(shape) % 7).astype(np.uint8)
    pixels = np.repeat(mask[..., None], 3, axis=2).astype(np.float32)
    cut, labels = cut_window(pixels, mask, np.random.default_rng(0), 32)
    assert (cut.shape, labels.shape) == ((32, 32, 3), (32, 32))
    np.testing.assert_array_equal(cut[..., 0], labels)
    assert set(np.unique(labels)) <= set(np.unique(mask))


def test_a_window_of_a_large_picture_is_a_part_of_it():
    mask = np.arange(60 * 50).reshape(60, 50) % 256
    cut, labels = cut_window(mask[..., None], mask.astype(np.uint8), np.random.default_rng(1), 32)
    assert labels.shape == (32, 32)
    tops = [(y, x) for y in range(29) for x in range(19) if (mask[y : y + 32, x : x + 32] == labels).all()]
    assert tops
    np.testing.assert_array_equal(cut[..., 0], labels)
