"""From pixels to the ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import Point, Polygon

from sightline.shots import Shot, footprint_of, ground_of
from sightline.shots.ground import Ground, metres_per_degree

STRAIGHT_DOWN = Shot(lon=10.0, lat=50.0, height_m=20.0, yaw_deg=0.0, pitch_deg=-90.0, focal_share=0.8)


def ground(shot: Shot) -> Ground:
    found = ground_of(shot, 640, 512)
    assert found is not None
    return found


def test_straight_down_the_picture_is_a_map() -> None:
    # 640 px wide, focal length 512 px, 20 m up: a pixel is 3.9 cm.
    offsets = ground(STRAIGHT_DOWN).offsets_m([(320, 256), (0, 256), (320, 0)])
    assert offsets == pytest.approx(np.array([[0, 0], [-12.5, 0], [0, 10]]), abs=1e-9)


def test_a_camera_that_points_east_has_its_top_in_the_east() -> None:
    offsets = ground(replace(STRAIGHT_DOWN, yaw_deg=90.0)).offsets_m([(320, 0), (640, 256)])
    assert offsets == pytest.approx(np.array([[10, 0], [0, -12.5]]), abs=1e-9)


def test_half_way_up_to_the_horizon_it_looks_as_far_as_it_is_high() -> None:
    offsets = ground(replace(STRAIGHT_DOWN, pitch_deg=-45.0)).offsets_m([(320, 256)])
    assert offsets == pytest.approx(np.array([[0, 20]]), abs=1e-9)


def test_the_sky_is_no_ground_and_such_a_picture_has_no_footprint() -> None:
    level = replace(STRAIGHT_DOWN, pitch_deg=-5.0)
    assert np.isnan(ground(level).offsets_m([(320, 0)])).all()
    assert footprint_of(level, 640, 512) is None


@pytest.mark.parametrize("unknown", ["height_m", "yaw_deg", "pitch_deg", "focal_share", "lon"])
def test_what_is_not_known_is_not_guessed(unknown: str) -> None:
    assert footprint_of(replace(STRAIGHT_DOWN, **{unknown: None}), 640, 512) is None


def test_degrees_are_as_long_as_on_the_ellipsoid() -> None:
    # Of WGS 84, in metres: 111,319.49 and 110,574.27 at the equator; 71,695.7 and 111,229.0 at 50 degrees.
    assert metres_per_degree(0.0) == pytest.approx([111319.49, 110574.27], rel=1e-6)
    assert metres_per_degree(50.0) == pytest.approx([71695.7, 111229.0], rel=1e-5)


@given(st.floats(-180, 180), st.floats(-90, -50), st.floats(-15, 15), st.floats(2, 200))
def test_a_footprint_is_around_what_the_middle_shows(yaw: float, pitch: float, roll: float, height: float) -> None:
    shot = replace(STRAIGHT_DOWN, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll, height_m=height, focal_share=2.0)
    footprint = footprint_of(shot, 640, 512)
    middle = ground(shot).lonlat([(320, 256)])[0]
    assert footprint is not None
    assert Polygon(footprint).contains(Point(middle))
