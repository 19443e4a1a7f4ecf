"""The simulated camera: geometry, optics and detector."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.pv_hotspots.params import Params
from sightline.tasks.pv_hotspots.synthetic.camera import Camera, display, pose_of
from tests.parameters import changed, params_of

CAMERA = params_of("pv_hotspots", Params).sample.camera
PARAMS = changed(CAMERA, width_px=160, height_px=128, focal_px=130.0)
QUIET = PARAMS.model_copy(update={"netd_k": 0.0, "column_noise_k": 0.0, "row_noise_k": 0.0})


def test_rays_and_projection_are_inverse() -> None:
    camera = Camera(PARAMS.model_copy(update={"supersampling": 1}))
    pose = pose_of((3.0, -2.0, 11.0), 0.3, -0.2, 0.05)
    points = pose.position_m + 7.0 * camera.rays @ pose.rotation
    x, y = np.meshgrid(np.arange(160) + 0.5, np.arange(128) + 0.5)
    assert camera.project(points, pose) == pytest.approx(np.stack([x, y], axis=-1), abs=1e-6)


def test_looks_down_with_north_up() -> None:
    camera = Camera(PARAMS)
    pose = pose_of((0.0, 0.0, 10.0), 0.0, 0.0, 0.0)
    centre, east, north = camera.project(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), pose)
    assert centre == pytest.approx([80, 64])
    assert east[0] > 90
    assert north[1] < 54


def test_barrel_pulls_corners_in_and_bends_lines() -> None:
    pose = pose_of((0.0, 0.0, 10.0), 0.0, 0.0, 0.0)
    line = np.stack([np.linspace(-5, 5, 11), np.full(11, 4.0), np.zeros(11)], axis=-1)
    bent = Camera(PARAMS).project(line, pose)
    straight = Camera(PARAMS.model_copy(update={"barrel": 0.0})).project(line, pose)
    assert np.ptp(straight[:, 1]) < 1e-9
    assert bent[0, 1] > bent[5, 1] + 2  # the ends of a line above the centre hang down
    assert np.all(np.abs(bent - [80, 64]) <= np.abs(straight - [80, 64]) + 1e-9)


def test_points_behind_have_no_pixel() -> None:
    pose = pose_of((0.0, 0.0, 10.0), 0.0, 0.0, 0.0)
    assert np.isnan(Camera(PARAMS).project(np.array([[0.0, 0.0, 20.0]]), pose)).all()


def test_quiet_exposure_gives_the_temperature_back() -> None:
    celsius = np.full((256, 320), 53.0)
    counts = Camera(QUIET).expose(celsius, np.random.default_rng(0))
    assert counts.shape == (128, 160)
    assert np.abs(counts.astype(float) - 8300).max() < 15
    back = QUIET.planck.celsius(counts)
    assert back is not None
    assert back == pytest.approx(53.0, abs=0.02)


def test_noise_is_as_large_as_it_says() -> None:
    params = PARAMS.model_copy(update={"column_noise_k": 0.0, "row_noise_k": 0.0, "netd_k": 0.5})
    counts = Camera(params).expose(np.full((256, 320), 53.0), np.random.default_rng(0))
    celsius = params.planck.celsius(counts)
    assert celsius is not None
    assert float(celsius.std()) == pytest.approx(0.5, rel=0.05)


def test_blur_is_as_wide_as_it_says() -> None:
    celsius = np.full((256, 320), 40.0)
    celsius[:, 160:] = 60.0
    counts = Camera(QUIET).expose(celsius, np.random.default_rng(0)).astype(float)
    step = np.diff(counts[64])
    x = np.arange(len(step))
    centre = (step * x).sum() / step.sum()
    width = np.sqrt((step * (x - centre) ** 2).sum() / step.sum())
    assert width == pytest.approx(np.sqrt(0.8**2 + 1 / 12), rel=0.05)


def test_display_uses_the_whole_palette() -> None:
    counts = np.add.outer(np.arange(100), np.arange(100)).astype(np.uint16) + 8000
    picture = display(counts)
    assert picture[0, 0].tolist() == [16, 16, 16]
    assert picture[-1, -1].tolist() == [235, 235, 235]
    assert display(np.full((4, 4), 7, np.uint16)).shape == (4, 4, 3)
