"""The heat balance against analytic solutions, the module against the figures of the specification."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.pv_hotspots.params import Params
from sightline.tasks.pv_hotspots.synthetic.faults import draw_fault
from sightline.tasks.pv_hotspots.synthetic.simulation import Module, Plate, Sources
from tests.parameters import changed, params_of

SAMPLE = params_of("pv_hotspots", Params).sample
HEAT = SAMPLE.heat
LOSS = 31.84  # W/m2K at 1 m/s


@pytest.fixture(scope="module")
def module() -> Module:
    return Module(HEAT, wind_m_per_s=1.0)


def hot(row: int, column: int, watts: float) -> Sources:
    cells = np.zeros((HEAT.rows, HEAT.columns))
    cells[row, column] = watts
    return Sources(cells)


def uniform_plate(columns: int, rows: int, sheet: float = 0.03) -> Plate:
    shape = (rows, columns)
    return Plate(np.full(columns, 1 / columns), np.full(rows, 0.5 / rows), np.full(shape, sheet), np.full(shape, LOSS))


def test_uniform_heat_is_heat_over_loss() -> None:
    rise = uniform_plate(20, 10).rise(np.full((10, 20), 900.0))
    assert rise == pytest.approx(900 / LOSS)


@pytest.mark.parametrize("along", [False, True])
def test_half_heated_plate_follows_the_exponentials(along: bool) -> None:
    """Far from the ends T U/q is 1 - exp(-|x|/l)/2 where it is heated and exp(-|x|/l)/2 where not; l^2 = k t/U."""
    plate = uniform_plate(400, 4)
    heat = np.zeros((4, 400))
    heat[:, :200] = 600.0
    if along:
        plate = Plate(plate.heights_m, plate.widths_m, plate.sheet_w_per_k.T, plate.loss_w_per_m2k.T)
        rise = plate.rise(heat.T).T[0]
    else:
        rise = plate.rise(heat)[0]
    x = (np.arange(400) + 0.5) / 400 - 0.5
    decay = np.exp(-np.abs(x) / np.sqrt(0.03 / LOSS)) / 2
    expected = 600 / LOSS * np.where(x < 0, 1 - decay, decay)
    assert np.abs(rise - expected).max() < 0.002 * 600 / LOSS


def test_error_falls_with_the_square_of_the_volumes() -> None:
    def error(columns: int) -> float:
        heat = np.zeros((1, columns))
        heat[:, : columns // 2] = 600.0
        plate = uniform_plate(columns, 1)
        x = (np.arange(columns) + 0.5) / columns - 0.5
        decay = np.exp(-np.abs(x) / np.sqrt(0.03 / LOSS)) / 2
        return float(np.abs(plate.rise(heat)[0] - 600 / LOSS * np.where(x < 0, 1 - decay, decay)).max())

    assert error(200) / error(400) == pytest.approx(4, rel=0.1)


def test_all_heat_leaves_through_the_air(module: Module) -> None:
    rng = np.random.default_rng(0)
    heat = rng.uniform(0, 1000, (3, *module.plate.sheet_w_per_k.shape))
    rise = module.plate.rise(heat)
    lost = (rise * module.plate.loss_w_per_m2k * module.plate.areas_m2).sum(axis=(1, 2))
    assert lost == pytest.approx((heat * module.plate.areas_m2).sum(axis=(1, 2)), rel=1e-10)


def test_heat_flow_is_reciprocal(module: Module) -> None:
    """1 W at A warms B as 1 W at B warms A."""
    areas = module.plate.areas_m2
    heat = np.zeros((2, *areas.shape))
    first, second = (20, 13), (47, 31)
    heat[0][first], heat[1][second] = 1 / areas[first], 1 / areas[second]
    rise = module.plate.rise(heat)
    assert rise[0][second] == pytest.approx(rise[1][first], rel=1e-6)


def test_figures_of_the_specification(module: Module) -> None:
    """900 W/m2, 25 degrees, 1 m/s: the module at 53, a cell with 12 W 14 K hotter, with 40 W 45 K."""
    base = module.rise(900.0)
    assert 25 + np.median(base) == pytest.approx(53, abs=0.5)
    assert (module.rise(900.0, hot(4, 2, 12.0)) - base).max() == pytest.approx(14, abs=0.7)
    assert (module.rise(900.0, hot(4, 2, 40.0)) - base).max() == pytest.approx(45, abs=1.5)
    assert module.width_m == pytest.approx(1.0, abs=0.02)
    assert module.height_m == pytest.approx(1.65, abs=0.02)


def test_hot_cell_looks_like_a_filled_square(module: Module) -> None:
    extra = module.rise(900.0, hot(4, 2, 12.0)) - module.rise(900.0)
    warm = np.argwhere(extra > extra.max() / 2)
    sides = np.ptp(warm, axis=0) + 1
    assert sides == pytest.approx(HEAT.cell_m / HEAT.raster_m, abs=2)
    assert len(warm) > 0.95 * sides.prod()


def test_sources_add_up(module: Module) -> None:
    base = module.rise(800.0)
    together = Sources(hot(1, 1, 5.0).cells_w + hot(8, 4, 9.0).cells_w, box_w=3.0)
    apart = [hot(1, 1, 5.0), hot(8, 4, 9.0), Sources(np.zeros((10, 6)), 3.0)]
    total = base + sum(module.rise(800.0, source) - base for source in apart)
    assert module.rise(800.0, together) == pytest.approx(total)


def test_wind_cools() -> None:
    still, windy = (np.median(Module(HEAT, v).rise(900.0)) for v in (0.0, 5.0))
    assert still == pytest.approx(900 / 25, rel=0.01)
    assert windy == pytest.approx(900 / (25 + 5 * 6.84), rel=0.01)


def test_junction_box_is_at_the_top_middle(module: Module) -> None:
    extra = module.rise(0.0, Sources(np.zeros((10, 6)), 10.0))
    row, column = np.unravel_index(extra.argmax(), extra.shape)
    assert row < 0.15 * extra.shape[0]
    assert column == pytest.approx(extra.shape[1] / 2, abs=3)


@pytest.mark.parametrize(
    ("kind", "low_k", "high_k", "cells"),
    [
        ("hot_cell", 2.0, 25.0, (1, 1)),
        ("hot_cells", 2.0, 25.0, (2, 3)),
        ("bypassed_third", 1.8, 7.0, (20, 20)),
        ("open_module", 4.5, 5.0, (60, 60)),
        ("soiling", 0.6, 5.0, (2, 6)),
        ("hot_box", 2.0, 13.0, (0, 0)),
    ],
)
def test_faults_are_as_hot_and_as_large_as_they_say(
    module: Module, kind: str, low_k: float, high_k: float, cells: tuple[int, int]
) -> None:
    params = changed(SAMPLE.faults, shares={kind: 1.0})
    base = module.rise(900.0)
    rng = np.random.default_rng(0)
    for _ in range(12):
        sources = draw_fault(rng, params, HEAT, LOSS)
        assert low_k < (module.rise(900.0, sources) - base).max() < high_k
        assert cells[0] <= np.count_nonzero(sources.cells_w) <= cells[1]


def test_kinds_come_in_their_shares() -> None:
    params = changed(SAMPLE.faults, shares={"open_module": 3.0, "hot_box": 1.0})
    rng = np.random.default_rng(0)
    boxes = [draw_fault(rng, params, HEAT, LOSS).box_w > 0 for _ in range(400)]
    assert np.mean(boxes) == pytest.approx(0.25, abs=0.06)
