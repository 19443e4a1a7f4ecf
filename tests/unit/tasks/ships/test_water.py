"""Water is told from land by the raster itself: whatever its colour, noise and contrast."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sightline.tasks.ships.scaled import Scaled
from sightline.tasks.ships.water import otsu, water_of
from tests.unit.tasks.ships.networks import put_ship

SIDE = 480


def part_of(values):
    return lambda top, left, height, width: values[top : top + height, left : left + width]


def found_in(pixels, hidden=None):
    raster = Scaled.to(part_of(pixels), pixels.shape[:2], 1.0, None if hidden is None else part_of(hidden))
    return water_of(raster, 3.0)


def water(level, noise, seed=0, side=SIDE):
    values = np.random.default_rng(seed).normal(level, noise, (side, side, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def town(seed=1, side=SIDE):
    """Houses and streets: blocks of 30 to 60 m of all levels."""
    rng = np.random.default_rng(seed)
    blocks = rng.uniform(40, 220, (side // 12 + 1, side // 12 + 1, 3)).astype(np.float32)
    drawn = cv2.resize(blocks, None, fx=12, fy=12, interpolation=cv2.INTER_NEAREST)[:side, :side]
    return np.clip(drawn + rng.normal(0, 6, drawn.shape), 0, 255).astype(np.uint8)


def coast(level, noise):
    """Water to the left, a town to the right; and where the water is."""
    pixels = water(level, noise)
    pixels[:, SIDE // 2 :] = town()[:, SIDE // 2 :]
    return pixels


@pytest.mark.parametrize(
    ("level", "noise"),
    [((2, 2, 3), 0.7), ((30, 50, 55), 2), ((75, 90, 76), 3), ((120, 110, 85), 3), ((140, 150, 150), 8)],
    ids=["dark", "clear", "green", "turbid", "sun glint"],
)
def test_water_of_any_level_is_told_from_land(level, noise):
    mask = found_in(coast(level, noise)).part(0, 0, SIDE, SIDE)
    assert mask[:, : SIDE // 2 - 12].mean() > 0.98
    assert mask[:, SIDE // 2 + 24 :].mean() < 0.02


def test_rougher_water_beyond_a_seam_is_water_too():
    pixels = coast((2, 3, 4), 0.8)
    pixels[: SIDE // 2, : SIDE // 4] = water((26, 26, 24), 14, seed=5)[: SIDE // 2, : SIDE // 4]
    mask = found_in(pixels).part(0, 0, SIDE, SIDE)
    assert mask[: SIDE // 2 - 16, : SIDE // 4 - 16].mean() > 0.9
    assert mask[SIDE // 2 + 16 :, : SIDE // 4].mean() > 0.95
    assert mask[:, SIDE // 2 + 24 :].mean() < 0.02


def test_a_quay_is_a_structure_and_a_ship_is_none():
    pixels = coast((20, 40, 50), 2)
    put_ship(pixels, 100, 100, 80, 14, 30)
    cv2.rectangle(pixels, (60, 300), (SIDE // 2, 308), (170, 160, 150), -1)  # a mole of 540 m
    found = found_in(pixels)
    assert not found.is_structure(100, 100)
    assert found.is_structure(150, 304)
    assert found.is_structure(SIDE - 40, 100)
    assert not found.part(304, 100, 1, 80).any()


@pytest.mark.parametrize(("pixels", "share"), [(water((30, 50, 55), 2), 1.0), (town(), 0.0)], ids=["sea", "land"])
def test_a_raster_of_one_kind_has_no_other(pixels, share):
    assert found_in(pixels).share == pytest.approx(share, abs=0.02)


def test_what_is_hidden_is_neither():
    pixels, hidden = coast((20, 40, 50), 2), np.zeros((SIDE, SIDE), dtype=bool)
    pixels[200:300, 50:150], hidden[200:300, 50:150] = 0, True
    found = found_in(pixels, hidden)
    assert not found.part(200, 50, 100, 100).any()
    assert not found.is_structure(100, 250)
    assert found.part(320, 50, 100, 100).mean() > 0.95
    assert found_in(np.zeros((64, 64, 3), np.uint8), np.ones((64, 64), dtype=bool)).share == 0


def test_the_water_does_not_depend_on_the_contrast_of_the_picture():
    pixels = coast((40, 60, 70), 3)
    dim = (pixels // 2).astype(np.uint8)
    same = found_in(pixels).water == found_in(dim).water
    assert same.mean() > 0.97


def test_a_threshold_parts_two_groups():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 0.3, 900), rng.normal(5, 0.5, 100)]).astype(np.float32)
    threshold, low, high = otsu(values)
    assert 0.8 < threshold < 4
    assert (low, high) == pytest.approx((0, 5), abs=0.2)
    assert otsu(np.full(10, 2.0, dtype=np.float32))[1:] == pytest.approx((2, 2), abs=0.1)
