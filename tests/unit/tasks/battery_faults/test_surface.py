from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.tasks.battery_faults.geometry import find_cells
from sightline.tasks.battery_faults.surface import GRID, levelled, opened, smoothed, surface_of, without_hidden
from sightline.tasks.battery_faults.thermal import Thermal
from tests.unit.tasks.battery_faults.scenes import pack_picture

_Y, _X = np.meshgrid(np.linspace(-1, 1, GRID[0]), np.linspace(-1, 1, GRID[1]), indexing="ij")


def _spot(x: float, y: float, width: float = 0.25) -> np.ndarray:
    return np.exp(-((_X - x) ** 2 + (1.5 * (_Y - y)) ** 2) / (2 * width**2)).astype(np.float32)


def _seen(yaw_deg: float, x: float, y: float) -> tuple[Thermal, list[np.ndarray]]:
    """A pack with a warm place on its first cell, as shares of the cell from its upper left corner."""
    _, masks = pack_picture(yaw_deg)
    kelvin = np.where(np.any(masks, axis=0), 305.0, 295.0)
    rows, columns = np.nonzero(masks[0])
    row = rows.min() + y * np.ptp(rows)
    inside = columns[rows == round(row)]
    column = inside.min() + x * np.ptp(inside)
    i, j = np.indices(kelvin.shape)
    kelvin += np.where(masks[0], 6 * np.exp(-((i - row) ** 2 + (j - column) ** 2) / 60), 0)
    return Thermal(kelvin.astype(np.float32), np.zeros_like(kelvin, np.float32), np.zeros((1, 1, 3), np.uint8)), masks


@pytest.mark.parametrize("yaw_deg", [-30.0, 0.0, 25.0])
def test_a_warm_place_keeps_its_place_on_the_surface_while_the_camera_moves(yaw_deg: float) -> None:
    thermal, _ = _seen(yaw_deg, 0.7, 0.3)
    cells = find_cells(thermal)
    assert cells is not None
    surface = surface_of(thermal, cells, 1)
    assert surface is not None
    row, column = np.unravel_index(np.nanargmax(surface), surface.shape)
    assert abs(row / GRID[0] - 0.3) < 0.15
    assert abs(column / GRID[1] - 0.7) < 0.15


def test_from_behind_a_surface_is_told_as_from_the_front() -> None:
    thermal, _ = _seen(0.0, 0.8, 0.5)
    cells = find_cells(thermal)
    assert cells is not None
    front, behind = surface_of(thermal, cells, 1), surface_of(thermal, cells, 1, mirrored=True)
    assert front is not None
    assert behind is not None
    places = [np.unravel_index(np.nanargmax(one), GRID) for one in (front, behind)]
    assert abs(places[0][0] - places[1][0]) <= 1
    assert abs(GRID[1] - 1 - places[0][1] - places[1][1]) <= 1


@given(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(-3, 3), st.floats(-3, 3))
def test_the_heat_of_a_short_is_left_when_sunlight_is_taken_away(
    x: float, y: float, across: float, along: float
) -> None:
    sunlight = (across * _X + along * _Y * _Y).astype(np.float32)
    left = levelled(sunlight + 2 * _spot(x, y))
    assert np.nanmax(left) > 1.0
    assert np.abs(levelled(sunlight)).max() < 0.05


@pytest.mark.parametrize("upright", [True, False])
def test_a_bar_is_cut_off_and_a_spot_is_not(upright: bool) -> None:
    bar = ((np.abs(_X - 0.1) < 0.11) if upright else (np.abs(_Y - 0.1) < 0.07)).astype(np.float32)
    assert np.nanmax(opened(5 * bar, 0.17)) == 0
    assert np.nanmax(opened(5 * _spot(0.1, 0.1), 0.17)) > 2.5


def test_the_rim_of_what_is_hidden_is_no_spot() -> None:
    surface = np.zeros(GRID, np.float32)
    surface[:, :8] = np.nan
    surface[:, 8:10] = 3.0
    assert np.nanmax(opened(surface, 0.17)) == 0


def test_what_stands_in_the_way_is_left_out() -> None:
    surface = _spot(0.5, 0.5)
    surface[10:14] = -6.0
    told = without_hidden(surface, 0.8)
    assert np.isnan(told[9:15]).all()
    assert np.isfinite(told[:6]).all()
    assert np.isfinite(told[18:]).all()


def test_smoothing_takes_only_what_is_told() -> None:
    surface = np.ones(GRID, np.float32)
    surface[5, 5] = np.nan
    assert np.isnan(smoothed(surface)[5, 5])
    assert np.nanmax(np.abs(smoothed(surface) - 1)) < 1e-6
