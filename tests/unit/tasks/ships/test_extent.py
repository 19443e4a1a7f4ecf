"""Boxes of the ships' extents, and that one ship is one detection."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.ships.detections import Detection, rectangle, suppress
from sightline.tasks.ships.extent import extent_of, reach_px
from sightline.tasks.ships.finder import suppress_peaks
from sightline.tasks.ships.params import Params
from sightline.tasks.ships.scan import Peak
from tests.parameters import params_of
from tests.unit.tasks.ships.networks import put_ship, sea

REACH = reach_px(3.0)


def sides_of(corners):
    return np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[1])


@pytest.mark.parametrize("angle_deg", [0, 25, 90, 160])
@pytest.mark.parametrize("off", [0, 3])
@pytest.mark.parametrize("colour", [(200, 190, 180), (5, 8, 10)])
def test_bright_and_dark_ships_have_their_length_and_place(angle_deg, off, colour):
    pixels = sea(2 * REACH, 2 * REACH)
    put_ship(pixels, REACH + off, REACH - off, 60, 12, angle_deg, colour)
    corners = extent_of(pixels, 3.0).corners
    assert sides_of(corners) == pytest.approx((60, 12), abs=3)
    assert corners.mean(axis=0) == pytest.approx((REACH + off, REACH - off), abs=1.5)


def test_a_wake_does_not_make_a_ship_longer():
    for colour in ((95, 110, 110), (200, 190, 180)):  # fainter than the ship, and as bright
        pixels = sea(2 * REACH, 2 * REACH)
        put_ship(pixels, REACH + 70, REACH, 90, 5, 0, colour)
        put_ship(pixels, REACH, REACH, 60, 12)
        length, _ = sides_of(extent_of(pixels, 3.0).corners)
        assert 55 <= length <= 80


def test_where_nothing_stands_out_a_usual_ship_is_drawn():
    extent = extent_of(sea(2 * REACH, 2 * REACH), 3.0)
    corners = extent.corners
    assert extent.area_m2 == 0
    assert corners.mean(axis=0) == pytest.approx((REACH, REACH))
    assert sides_of(corners) == pytest.approx((60, 10))


def test_another_ship_is_not_taken_along():
    pixels = sea(2 * REACH, 2 * REACH)
    put_ship(pixels, REACH, REACH, 60, 12)
    put_ship(pixels, REACH, REACH + 30, 60, 12)
    assert sides_of(extent_of(pixels, 3.0).corners) == pytest.approx((60, 12), abs=3)


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


def test_land_and_what_hangs_together_with_it_are_told_from_ships():
    ship, pier, land = (sea(2 * REACH, 2 * REACH) for _ in range(3))
    for pixels in (ship, pier, land):
        put_ship(pixels, REACH, REACH, 60, 12)
    put_ship(pier, REACH, REACH + 46, 2 * REACH, 80, colour=(150, 140, 130))
    land[:] = np.random.default_rng(0).integers(20, 220, land.shape)
    found = [extent_of(pixels, 3.0) for pixels in (ship, pier, land)]
    assert found[0].area_m2 == pytest.approx(60 * 12 * 9, rel=0.2)
    assert found[1].area_m2 > 32_000
    assert found[0].spread < 5
    assert found[2].spread > 20
    params = params_of("ships", Params).train.scan
    afloat = [one.spread <= params.land_spread and one.area_m2 <= params.largest_m2 for one in found]
    assert afloat == [True, False, False]
