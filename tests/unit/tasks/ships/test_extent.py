"""Boxes of the ships' extents, and that one ship is one detection."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.ships.detections import Detection, rectangle, suppress
from sightline.tasks.ships.extent import extent_of, reach_px
from sightline.tasks.ships.finder import suppress_peaks
from sightline.tasks.ships.scan import Peak
from tests.unit.tasks.ships.networks import put_ship, sea

REACH = reach_px(3.0)


WATER = np.ones((2 * REACH, 2 * REACH), dtype=bool)


def sides_of(corners):
    return np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[1])


@pytest.mark.parametrize("angle_deg", [0, 25, 90, 160])
@pytest.mark.parametrize("off", [0, 3])
@pytest.mark.parametrize("colour", [(200, 190, 180), (5, 8, 10)])
def test_bright_and_dark_ships_have_their_length_and_place(angle_deg, off, colour):
    pixels = sea(2 * REACH, 2 * REACH)
    put_ship(pixels, REACH + off, REACH - off, 60, 12, angle_deg, colour)
    corners = extent_of(pixels, WATER, 3.0).corners
    assert sides_of(corners) == pytest.approx((60, 12), abs=3)
    assert corners.mean(axis=0) == pytest.approx((REACH + off, REACH - off), abs=1.5)


def test_a_wake_does_not_make_a_ship_longer():
    for colour in ((95, 110, 110), (200, 190, 180)):  # fainter than the ship, and as bright
        pixels = sea(2 * REACH, 2 * REACH)
        put_ship(pixels, REACH + 70, REACH, 90, 5, 0, colour)
        put_ship(pixels, REACH, REACH, 60, 12)
        length, _ = sides_of(extent_of(pixels, WATER, 3.0).corners)
        assert 55 <= length <= 80


@pytest.mark.parametrize(("told_m", "length_m"), [(0.0, 60), (90.0, 90)])
def test_where_nothing_stands_out_a_usual_vessel_is_drawn(told_m, length_m):
    corners = extent_of(sea(2 * REACH, 2 * REACH), WATER, 3.0, told_m=told_m).corners
    assert corners.mean(axis=0) == pytest.approx((REACH, REACH))
    assert sides_of(corners) == pytest.approx((length_m / 3, length_m / 15))


def test_small_vessels_have_their_length():
    pixels = sea(2 * REACH, 2 * REACH)
    put_ship(pixels, REACH, REACH, 8, 3, 30)  # 24 m
    assert sides_of(extent_of(pixels, WATER, 3.0).corners)[0] == pytest.approx(8, abs=2)


def test_another_ship_is_not_taken_along():
    pixels = sea(2 * REACH, 2 * REACH)
    put_ship(pixels, REACH, REACH, 60, 12)
    put_ship(pixels, REACH, REACH + 30, 60, 12)
    assert sides_of(extent_of(pixels, WATER, 3.0).corners) == pytest.approx((60, 12), abs=3)


def detection(x, y, score=0.5, length=60.0, angle_deg=0.0):
    return Detection(x, y, score, rectangle(x, y, length, 12, np.deg2rad(angle_deg)))


def test_one_ship_is_one_detection():
    ship, double, on_its_bow, beside, far = (
        detection(100, 100, 0.9),
        detection(105, 103, 0.8),
        detection(127, 103, 0.7, angle_deg=90),
        detection(100, 128, 0.6),
        detection(300, 300, 0.95),
    )
    assert suppress([double, ship, on_its_bow, beside, far], 25, 0.3) == [far, ship, beside]
    same_place = detection(100, 127, 0.3, length=58)
    assert suppress([beside, same_place], 0.5, 0.3) == [beside]


def test_peaks_that_are_too_near_are_dropped_without_looking_at_all_pairs():
    rng = np.random.default_rng(0)
    peaks = [Peak(float(x), float(y), float(z)) for x, y, z in rng.uniform(0, 200, (300, 3))]
    peaks.sort(key=lambda one: -one.logit)
    kept = suppress_peaks(peaks, 25.0)
    slow = []
    for peak in peaks:
        if all(np.hypot(peak.x - one.x, peak.y - one.y) >= 25 for one in slow):
            slow.append(peak)
    assert kept == slow


def test_a_detection_is_scaled_with_its_corners():
    scaled = detection(100, 50).scaled(down=2.0, across=3.0)
    assert (scaled.x, scaled.y) == (300, 100)
    assert scaled.box == pytest.approx([210, 88, 390, 112])
    assert (scaled.length_px, scaled.beam_px) == pytest.approx((180, 24))


def test_open_water_alongside_and_ashore_are_told_apart():
    ship, pier, raft, land = (sea(2 * REACH, 2 * REACH) for _ in range(4))
    for pixels in (ship, pier, raft):
        put_ship(pixels, REACH, REACH, 60, 12)
    put_ship(pier, REACH, REACH + 46, 2 * REACH, 80, colour=(150, 140, 130))
    put_ship(raft, REACH, REACH + 14, 60, 12, colour=(120, 60, 50))
    land[:] = np.random.default_rng(0).integers(20, 220, land.shape)
    dry = np.zeros_like(WATER)
    beside_pier = WATER.copy()
    beside_pier[REACH + 6 :] = False
    found = [
        extent_of(pixels, water, 3.0, told_m=180.0)
        for pixels, water in ((ship, WATER), (pier, beside_pier), (raft, WATER), (land, dry))
    ]
    assert [one.is_afloat for one in found] == [True, True, True, False]
    assert [one.is_alongside for one in found[:3]] == [False, True, True]
    assert sides_of(found[1].corners)[0] == pytest.approx(
        60, abs=20
    )  # without the pier, as the network tells its length
