"""The camera around a simulated pack: what each pixel sees, against tracing ray by ray, and how much is hidden."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.tasks.battery_faults.synthetic.camera import Camera, Pose, look, orbit
from sightline.tasks.battery_faults.synthetic.case import Case, Surroundings
from sightline.tasks.battery_faults.synthetic.heat import GridParams, Heat
from sightline.tasks.battery_faults.synthetic.pack import Box, Pack
from sightline.tasks.battery_faults.synthetic.rays import bundle
from sightline.tasks.battery_faults.synthetic.skin import Skin

CAMERA = Camera(107, 42, 90.0, 53.5, 21.0)
GRID = GridParams(volume_m=0.008, layer_m=0.0025, step_s=0.5)
PACK = Pack()


def owners(face: NDArray[np.int16], boxes: tuple[Box, ...]) -> NDArray[np.int_]:
    return np.array([*(box.cell for box in boxes), 0])[face // 6]


def test_a_face_seen_straight_on_is_as_large_as_it_should_be() -> None:
    pack = Pack(cells=1, cell_m=(0.1, 0.2, 0.01))
    view = look(CAMERA.finer(4), orbit(0, 0, 0.505, (0.0003, 0.1003, 0.0)), pack.boxes[:1])
    assert view.share == pytest.approx([1])
    assert (view.face >= 0).sum() == pytest.approx((360 * 0.1 / 0.5) * (360 * 0.2 / 0.5), rel=0.03)
    assert set(np.unique(view.face)) == {-1, 5}


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (35, 20), (-70, 50), (160, -15), (90, 5), (250, -60)])
def test_every_pixel_sees_what_its_ray_meets_first(azimuth: float, elevation: float) -> None:
    pose, boxes = orbit(azimuth, elevation, 0.6, PACK.middle_m, roll_deg=4), PACK.boxes
    view = look(CAMERA, pose, boxes)
    traced = _traced(CAMERA, pose, boxes)
    seen = np.full(traced.shape, -1)
    x0, y0, x1, y1 = view.window
    seen[y0:y1, x0:x1] = np.where(view.face >= 0, view.face // 6, -1)
    assert (seen != traced).sum() <= 2  # a ray along an edge may go either way
    assert (traced >= 0).sum() > 50


def _traced(camera: Camera, pose: Pose, boxes: tuple[Box, ...]) -> NDArray[np.int_]:
    """Which box the ray of each pixel meets first, (h, w), by the slabs between its faces; -1: none."""
    y, x = np.mgrid[: camera.height_px, : camera.width_px] + 0.5
    directions = np.stack([(x - camera.x_px) / camera.focal_px, (y - camera.y_px) / camera.focal_px, np.ones_like(x)])
    rays = np.moveaxis(np.tensordot(pose.rotation.T, directions, axes=1), 0, -1) + 1e-12
    best, nearest = np.full(x.shape, -1), np.full(x.shape, np.inf)
    for number, box in enumerate(boxes):
        sides = np.sort([(np.array(side) - pose.position) / rays for side in (box.low, box.high)], axis=0)
        enter, leave = sides[0].max(axis=-1), sides[1].min(axis=-1)
        meets = (enter < leave) & (enter > 0) & (enter < nearest)
        best[meets], nearest[meets] = number, enter[meets]
    return best


def test_what_hides_a_cell_lowers_its_share() -> None:
    pose = orbit(0, 0, 0.6, PACK.middle_m)
    assert look(CAMERA, pose, PACK.boxes).share == pytest.approx([1, 1, 1])
    left = PACK.left_m(1)
    pole = Box("object", 0, (left, -0.1, 0.05), (left + PACK.cell_m[0] * 0.45, 0.4, 0.06))
    share = look(CAMERA, pose, (*PACK.boxes, pole)).share
    assert share == pytest.approx([0.66, 1, 1], abs=0.03)  # it is nearer: it hides a third
    aside = look(CAMERA, orbit(90, 0, 1.0, PACK.middle_m), PACK.boxes).share
    assert aside[2] == 1
    assert max(aside[:2]) < 0.05  # they stand behind the third
    beside = look(CAMERA, orbit(0, 0, 0.3, (-0.25, 0.1, 0)), PACK.boxes).share
    assert 0 < beside[1] < 1  # partly out of the picture
    assert beside[2] == 0
    assert look(CAMERA, orbit(0, 0, 0.3, (2.0, 0.1, 0)), PACK.boxes).share == pytest.approx([0, 0, 0])


def test_the_mirror_shows_the_pack_upside_down() -> None:
    pose = orbit(0, 0, 0.6, (0.0, 0.0, 0.0))
    there, back = look(CAMERA, pose, PACK.boxes), look(CAMERA, pose.mirrored(1, 0.0), PACK.boxes)
    upright, mirrored = np.full((2, 42, 107), -1)
    for view, picture in ((there, upright), (back, mirrored)):
        picture[view.window[1] : view.window[3], view.window[0] : view.window[2]] = view.face
    assert (upright == mirrored[::-1]).all()
    assert (upright >= 0).sum() > 500


def test_pixels_show_the_temperature_of_their_place() -> None:
    heat = Heat(Case(PACK, surroundings=Surroundings(convection_w_per_m2k=0, emissivity=0)), GRID)
    _, _, rows, columns = heat.shape
    x = np.stack([PACK.left_m(cell) + (np.arange(columns) + 0.5) * heat.step_m[0] for cell in (1, 2, 3)])
    y = (np.arange(rows) + 0.5) * heat.step_m[1]
    heat.kelvin[:] = 300 + 10 * x[:, None, None, :] + 20 * y[:, None]
    skin = Skin(heat)
    camera, pose = CAMERA.finer(4), orbit(20, 10, 0.6, PACK.middle_m)
    rays = bundle(look(camera, pose, skin.boxes), 1)
    kelvin = skin.sample(skin.temperatures(), rays)
    cells = (rays.face // 6 < 3) & (rays.face % 6 == 5)
    box = rays.face[cells] // 6
    places = np.stack([x[:, 0].min() + 0 * box, rays.row_m[cells]])
    places[0] = np.array([PACK.left_m(cell) for cell in (1, 2, 3)])[box] + rays.column_m[cells]
    inner = (rays.row_m[cells] > 0.005) & (rays.row_m[cells] < 0.185)
    inner &= (rays.column_m[cells] > 0.005) & (rays.column_m[cells] < 0.14)
    assert kelvin[cells][inner] == pytest.approx((300 + 10 * places[0] + 20 * places[1])[inner], abs=0.01)
    assert inner.sum() > 1000


def test_several_rays_a_pixel_smooth_borders_only() -> None:
    pose = orbit(25, 10, 0.6, PACK.middle_m)
    one = bundle(look(CAMERA, pose, PACK.boxes), 1)
    four = bundle(look(CAMERA.finer(2), pose, PACK.boxes), 2)
    cover = four.gather()
    assert cover.max() == pytest.approx(1)
    assert cover.sum() == pytest.approx(one.gather().sum(), rel=0.01)
    partly = (cover > 0) & (cover < 1)
    assert 0 < partly.sum() < 0.25 * (cover > 0).sum()
    whose = np.array([*(box.cell for box in PACK.boxes), 0], dtype=np.uint8)
    coarse, fine = np.zeros((42, 107), int), np.zeros((42, 107), int)
    coarse[one.inside], fine[four.inside] = one.instances(whose), four.instances(whose)
    assert (coarse != fine).mean() < 0.02
