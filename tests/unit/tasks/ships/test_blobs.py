"""The plain baseline finds what stands out of the sea and is as long as a ship."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.ships.blobs import NOTHING, Rule, rectangle_around, sea_contrast
from sightline.tasks.ships.detections import rectangle
from sightline.tasks.ships.raster import raster_of
from sightline.tasks.ships.scaled import Scaled
from sightline.tasks.ships.water import water_of
from tests.unit.tasks.ships.networks import blob_model, put_ship, scene, sea

RULE = Rule(96, 6.0, (40.0, 150.0), (1.8, 9.0), 0.5)


def find(pixels, rule=RULE):
    size = pixels.shape[:2]
    raster = Scaled.to(lambda y, x, h, w: pixels[y : y + h, x : x + w], size, 1.0)
    return rule.find(raster, water_of(raster, 3.0))


def test_ships_are_found_where_they_are_with_their_length():
    pixels, boxes = scene()
    found = find(pixels)
    assert len(found) == len(boxes)
    for box in boxes:
        near = min(found, key=lambda one: np.hypot(one.x - box.centre[0], one.y - box.centre[1]))
        assert np.hypot(near.x - box.centre[0], near.y - box.centre[1]) < 1.5
        assert near.length_px == pytest.approx(60, abs=3)
        assert near.score > NOTHING


@pytest.mark.parametrize(("length", "beam"), [(15, 4), (400, 60), (60, 55)])
def test_what_has_not_the_shape_of_a_ship_is_left_out(length, beam):
    pixels = sea(600, 600)
    put_ship(pixels, 300, 300, length, beam)
    assert find(pixels) == []


def test_ships_are_found_once_where_squares_meet():
    """96 px squares, 768 px tiles: a ship on the border of both."""
    pixels = sea(820, 860)
    for x, y in ((768, 100), (400, 768), (768, 768)):
        put_ship(pixels, x, y, angle_deg=30)
    assert sorted((round(one.x), round(one.y)) for one in find(pixels)) == [(400, 768), (768, 100), (768, 768)]


def test_turbid_water_has_its_own_spread():
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.normal(60, 12, (192, 192, 3)), 0, 255).astype(np.uint8)
    assert np.quantile(sea_contrast(pixels, 96, np.ones((192, 192), dtype=bool)), 0.99) < 5
    assert find(pixels) == []


def test_the_middle_of_a_chip_is_that_of_the_nearest_blob():
    model = blob_model()
    ship, none, aside = sea(80, 80), sea(80, 80), sea(80, 80)
    put_ship(ship, 40, 40, angle_deg=20)
    put_ship(aside, 60, 40, angle_deg=90)
    probabilities = [model.find(raster_of(pixels)).middle for pixels in (ship, none, aside)]
    assert probabilities[0] > 0.8
    assert max(probabilities[1:]) < 0.2


@pytest.mark.parametrize("angle_deg", [0, 33, 90, 147])
def test_the_rectangle_begins_with_its_longer_side(angle_deg):
    corners = rectangle_around(rectangle(50, 40, 30, 8, np.deg2rad(angle_deg)))
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    assert sides == pytest.approx([30, 8, 30, 8], abs=1e-3)
