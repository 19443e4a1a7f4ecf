"""Physical features on drawn modules whose temperatures are known."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.geometry import polygon_area, polygon_box
from sightline.tasks.pv_hotspots.feature import (
    Scale,
    box_rise,
    frame_scale,
    measure_modules,
    module_quads,
    network_input,
)
from sightline.tasks.pv_hotspots.params import Params
from tests.parameters import params_of

WIDTH, HEIGHT = 640, 512
TRAIN = params_of("pv_hotspots", Params).train


def lattice(angle_deg=10.0, across=48.0, along=80.0, rows=5, columns=10):
    """Corners (n, 4, 2) of a turned grid of modules, whole ones only."""
    angle = np.deg2rad(angle_deg)
    u = across * np.array([np.cos(angle), np.sin(angle)])
    v = along * np.array([-np.sin(angle), np.cos(angle)])
    origin = np.array([320, 256]) - (columns - 1) / 2 * u - (rows - 1) / 2 * v
    centres = [origin + i * u + j * v for j in range(rows) for i in range(columns)]
    a, b = u * 0.48, v * 0.48
    quads = np.array([[c - a - b, c + a - b, c + a + b, c - a + b] for c in centres])
    inside = (quads.min(axis=(1, 2)) > 4) & (quads[..., 0].max(axis=1) < WIDTH - 4)
    return quads[inside & (quads[..., 1].max(axis=1) < HEIGHT - 4)]


def boxes_of(quads):
    return np.array([polygon_box(quad) for quad in quads])


@pytest.mark.parametrize("angle", [-14.0, 0.0, 8.0, 15.0])
def test_parallelograms_are_found_from_boxes_alone(angle):
    quads = lattice(angle)
    found = module_quads(boxes_of(quads), WIDTH, HEIGHT)
    assert np.abs(found - quads).max() < 1.5


def test_few_boxes_stay_boxes():
    boxes = np.array([[10.0, 10, 50, 90], [60, 10, 100, 90]])
    found = module_quads(boxes, WIDTH, HEIGHT)
    assert [polygon_box(quad).tolist() for quad in found] == boxes.tolist()


def test_a_module_cut_by_the_frame_is_completed_like_its_neighbours():
    quads = lattice(10.0)
    boxes = boxes_of(quads)
    left = quads[boxes[:, 0].argmin()]
    moved = quads - [boxes[:, 0].min() + 15, 0]
    cut = boxes_of(moved)
    cut[:, [0, 2]] = np.clip(cut[:, [0, 2]], 0, WIDTH)
    found = module_quads(cut, WIDTH, HEIGHT)[boxes[:, 0].argmin()]
    assert polygon_area(found) == pytest.approx(polygon_area(left), rel=0.1)


def draw(quads, temperatures, spots=()):
    import cv2

    level = np.full((HEIGHT, WIDTH), 10, dtype=np.float32)
    for quad, temperature in zip(quads, temperatures, strict=True):
        cv2.fillConvexPoly(level, np.rint(quad).astype(np.int32), float(temperature))
    for x, y, temperature in spots:
        cv2.circle(level, (round(x), round(y)), 3, float(temperature), -1)
    return level


def test_rise_is_the_hottest_pixel_over_the_median():
    quads = lattice()
    x, y = quads[7].mean(axis=0)
    level = draw(quads, np.full(len(quads), 50.0), [(x, y, 71.0)])
    measured = measure_modules([level], boxes_of(quads), TRAIN.region)[0]
    assert measured.rise[7] == pytest.approx(21)
    assert np.delete(measured.rise, 7).max() < 1


def test_a_spot_at_the_edge_counts_for_its_own_module_only():
    """Boxes of turned modules overlap; their parallelograms do not."""
    quads = lattice(14.0)
    hot = 12
    corner = quads[hot][0] * 0.8 + quads[hot].mean(axis=0) * 0.2
    level = draw(quads, np.full(len(quads), 50.0), [(*corner, 90.0)])
    boxes = boxes_of(quads)
    assert (box_rise(level, boxes, 0.0) > 30).sum() > 1
    assert np.flatnonzero(measure_modules([level], boxes, TRAIN.region)[0].rise > 30).tolist() == [hot]


def test_a_module_that_is_hot_as_a_whole_rises_over_its_neighbours_only():
    quads = lattice()
    temperatures = np.full(len(quads), 50.0)
    temperatures[9] = 56
    level = draw(quads, temperatures)
    measured = measure_modules([level, 2 * level], boxes_of(quads), TRAIN.region)
    assert measured[0].rise[9] == pytest.approx(0)
    assert measured[0].over_neighbours[9] == pytest.approx(6)
    assert measured[1].over_neighbours[9] == pytest.approx(12)


@pytest.mark.parametrize(
    "boxes", [np.zeros((0, 4)), np.array([[10.0, 10, 11, 11]]), np.array([[700.0, 600, 710, 620]])]
)
def test_odd_boxes_do_no_harm(boxes):
    level = np.ones((HEIGHT, WIDTH), dtype=np.float32)
    assert measure_modules([level], boxes, TRAIN.region)[0].rise.tolist() == [0] * len(boxes)
    assert box_rise(level, boxes, 0.1).tolist() == [0] * len(boxes)


def test_the_network_sees_the_same_whatever_the_unit_of_the_level():
    rng = np.random.default_rng(1)
    level = rng.normal(8000, 100, (HEIGHT, WIDTH)).astype(np.float32)
    params = TRAIN.input
    one = network_input(level, frame_scale(level, params), params)
    other = level / 37 - 100
    again = network_input(other, frame_scale(other, params), params)
    assert np.abs(one.astype(int) - again).max() <= 1
    assert one.shape == (3, HEIGHT, WIDTH)


def test_a_frame_of_one_temperature_is_no_division_by_zero():
    level = np.full((64, 64), 7, dtype=np.float32)
    params = TRAIN.input
    assert np.isfinite(network_input(level, frame_scale(level, params), params)).all()
    assert frame_scale(level, params) == Scale(7.0, 1e-6)
