"""Pictures as Fluent draws them: their colours say the temperature, and they look as the published ones do."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.battery_faults.colour import find_bar
from sightline.tasks.battery_faults.synthetic.camera import Camera, look, orbit
from sightline.tasks.battery_faults.synthetic.case import Case, Short
from sightline.tasks.battery_faults.synthetic.fluent import Fluent
from sightline.tasks.battery_faults.synthetic.heat import GridParams, Heat
from sightline.tasks.battery_faults.synthetic.pack import Pack
from sightline.tasks.battery_faults.synthetic.rays import bundle
from sightline.tasks.battery_faults.synthetic.skin import Skin

CAMERA = Camera(1074, 417, 900.0, 537.0, 208.0)
PACK = Pack(cell_m=(0.118, 0.192, 0.02), tab_m=(0.024, 0.012, 0.012), inset_m=0.013)


@pytest.fixture(scope="module")
def skin() -> Skin:
    short = Short(2, 0.05, 0.1, 20.0, z_m=0.0165)
    heat = Heat(Case(PACK, shorts=(short,)), GridParams(volume_m=0.006, layer_m=0.00125, step_s=0.5))
    heat.advance(30.0)
    return Skin(heat)


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (60, 3), (-50, 3), (0, 55), (0, -45)])
def test_colours_say_the_temperature(skin: Skin, azimuth: float, elevation: float) -> None:
    pose, temperatures = orbit(azimuth, elevation, 0.92, PACK.middle_m), skin.temperatures()
    picture, instances, view = Fluent(CAMERA, PACK, skin).draw(pose, temperatures, "temperature")
    assert picture.shape == (417, 1074, 3)
    bar = find_bar(picture)
    assert bar is not None
    rays = bundle(look(CAMERA, pose, skin.boxes), 1)
    truth = np.full(instances.shape, np.nan)
    truth[rays.inside] = rays.gather(skin.sample(temperatures, rays))
    inner = np.zeros(instances.shape, bool)  # away from borders, where colours of two things mix
    inner[2:-2, 2:-2] = np.logical_and.reduce(
        [instances[2:-2, 2:-2] == instances[2 + dy : 415 + dy, 2 + dx : 1072 + dx] for dy in (-2, 2) for dx in (-2, 2)]
    ) & (instances[2:-2, 2:-2] > 0)  # fmt: skip
    error = bar.kelvin(picture)[inner] - truth[inner]
    told = np.isfinite(error)
    assert told.mean() > 0.97
    assert np.sqrt(np.mean(error[told] ** 2)) < 0.3
    assert abs(np.median(bar.kelvin(picture)[inner & (instances == instances[instances > 0].max())]) - 300) < 0.5
    assert (np.bincount(instances.ravel(), minlength=4)[1:] > 0).tolist() == (view.share > 0.02).tolist()


def test_a_picture_has_the_published_brightness(skin: Skin) -> None:
    """The front at 300 K is (12, 12, 168) as the camera begins; the background runs from (204, 211, 226) to white."""
    pose = orbit(0, 0, 0.92, PACK.middle_m)
    picture, instances, _ = Fluent(CAMERA, PACK, skin).draw(pose, skin.temperatures(), "contour-1")
    front = picture[(instances == 1)]
    assert np.median(front, axis=0) == pytest.approx((12, 12, 168), abs=3)
    assert picture[0, 800].tolist() == [204, 211, 226]
    assert picture[240, 800] == pytest.approx((233, 236, 243), abs=2)
    assert (picture[330:400, 350:720, 2].astype(int) - picture[330:400, 350:720, 0] > 20).mean() > 0.5  # the mirror
    from_below, _, _ = Fluent(CAMERA, PACK, skin).draw(orbit(0, -70, 0.92, PACK.middle_m), skin.temperatures(), "t")
    bottom = from_below[235:240, 450:480].reshape(-1, 3)
    assert np.median(bottom, axis=0) == pytest.approx((0, 0, 83), abs=3)


@pytest.mark.parametrize("aim", [(3.0, 0.1, 0.0), (-3.0, 0.1, 0.0), (0.0, 3.0, 0.0), (0.0, -3.0, 0.0)])
def test_a_pack_out_of_the_picture_leaves_the_background(skin: Skin, aim: tuple[float, float, float]) -> None:
    """Also its mirror image; there is a floor, a scale and no cell."""
    picture, instances, view = Fluent(CAMERA, PACK, skin).draw(orbit(0, 0, 0.9, aim), skin.temperatures(), "t")
    assert find_bar(picture) is not None
    assert not instances.any()
    assert view.share.tolist() == [0, 0, 0]
    assert (picture[..., 2].astype(int) - picture[..., 0] < 60)[:, 130:960].all()
