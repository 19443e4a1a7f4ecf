"""Cells keep their numbers while the camera goes round the pack."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.battery_faults.geometry import find_cells
from sightline.tasks.battery_faults.order import Order
from sightline.tasks.battery_faults.synthetic.camera import Camera, look, orbit
from sightline.tasks.battery_faults.synthetic.pack import Pack
from sightline.tasks.battery_faults.thermal import Thermal

SIZE = (417, 1074)
CELLS = 3


def seen(azimuth):
    """The pack from there, its faces shaded, and which cell each pixel shows."""
    pack, camera = Pack(), Camera(SIZE[1], SIZE[0], 900.0, SIZE[1] / 2, SIZE[0] / 2)
    view = look(camera, orbit(azimuth, 0, 1.4, pack.middle_m), pack.boxes)
    x0, y0, x1, y1 = view.window
    kelvin, shading, owner = np.full(SIZE, np.nan, np.float32), np.zeros(SIZE, np.float32), np.zeros(SIZE, int)
    shown = view.face >= 0
    kelvin[y0:y1, x0:x1][shown] = 300
    shading[y0:y1, x0:x1][shown] = (0.3 + 0.1 * ((view.face % 6) // 2))[shown]
    owner[y0:y1, x0:x1] = np.array([*(box.cell for box in pack.boxes), 0])[view.face // 6]
    return Thermal(kelvin, shading, np.zeros((*SIZE, 3), np.uint8)), owner


def mistakes(azimuths):
    """Azimuths at which a cell has another number than in the first view."""
    order, found, swapped = Order(), [], np.cos(np.radians(azimuths[0])) < 0
    for azimuth in azimuths:
        thermal, owner = seen(azimuth)
        cells = find_cells(thermal, CELLS)
        if cells is None:
            continue
        order.push(cells, CELLS)
        for label in range(1, CELLS + 1):
            shown = owner[cells.mask(label)]
            shown = shown[shown > 0]
            true = int(np.bincount(shown).argmax()) if len(shown) else 0
            if true and order.number(label, CELLS) != (CELLS + 1 - true if swapped else true):
                found.append(azimuth)
    return found


@pytest.mark.parametrize(
    "azimuths",
    [
        pytest.param(np.linspace(0, 360, 25), id="around"),
        pytest.param(np.linspace(0, -360, 25), id="around the other way"),
        pytest.param(np.linspace(160, 520, 25), id="beginning behind"),
        pytest.param([0, 20, 40, 60, 80, 84, 80, 60, 40, 20, 0, -20, -40], id="turning back at an end"),
    ],
)
def test_numbers_stay(azimuths):
    assert mistakes(azimuths) == []


def test_a_dark_first_view_is_one_from_behind():
    thermal, _ = seen(180)
    cells = find_cells(thermal, CELLS)
    assert cells is not None
    dark = Thermal(thermal.kelvin, thermal.shading * np.float32(0.6), thermal.picture)
    for shown, first in ((thermal, 1), (dark, CELLS)):
        order = Order()
        order.push(cells, CELLS, shown)
        assert order.number(1, CELLS) == first
