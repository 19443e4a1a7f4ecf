"""The learned stages tell of a frame what every method tells."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.battery_faults.networks import Networks, warmest
from sightline.tasks.battery_faults.params import Params
from sightline.tasks.battery_faults.stages import build_stages
from sightline.tasks.battery_faults.thermal import Thermal
from tests.parameters import params_of
from tests.unit.tasks.battery_faults.packs import TINY, look

RULE = params_of("battery_faults", Params).train.rule


@pytest.fixture
def stages():
    """Networks whose first query is sure; its box and mask are what chance gave them."""
    import torch

    torch.manual_seed(0)
    made = build_stages(TINY.network, TINY.refine).eval().requires_grad_(False)
    query = made.get_submodule("query")
    query.fault.bias.fill_(9.0)
    query.mask_head.told[-1].bias[-1] = 9.0  # everything lies in the mask
    return made


def test_a_fault_is_told_of_the_cell_in_which_most_of_its_mask_lies(stages):
    one = look(1)
    view = Networks(stages, refined=False, width=TINY.network.width, rule=RULE).push(one.thermal)
    assert view.reason == ""
    assert sorted(view.cells) == [1, 2, 3]
    told = [cell for cell in view.cells.values() if cell.probability > 0.9]
    assert len(told) == 1
    assert told[0].mask.shape == one.thermal.size
    assert told[0].coarse is None
    assert len(view.embedding) == TINY.network.width


def test_both_stages_tell_the_mask_before_and_after(stages):
    view = Networks(stages, refined=True, width=TINY.network.width, rule=RULE).push(look(1).thermal)
    told = next(cell for cell in view.cells.values() if cell.probability > 0.9)
    assert told.coarse.shape == told.mask.shape
    assert told.coarse.any()


def test_healthy_cells_are_told_with_their_warmest_place(stages):
    stages.get_submodule("query").fault.bias.fill_(-9.0)
    thermal = look(2, rise_k=6.0).thermal
    for edge in (123, 216):  # where one looks through between the cells
        thermal.kelvin[:, edge - 3 : edge + 3] = np.nan
    view = Networks(stages, refined=True, width=TINY.network.width, rule=RULE).push(thermal)
    assert [cell.probability for cell in view.cells.values()] == [0, 0, 0]
    assert [round(cell.kelvin) for _, cell in sorted(view.cells.items())] == [300, 300, 306]
    assert all(cell.mask is None for cell in view.cells.values())


def test_which_cells_are_in_sight_and_their_warmest_place_follow_the_recipe(stages):
    stages.get_submodule("query").fault.bias.fill_(-9.0)
    thermal = look(None).thermal
    thermal.kelvin[:50, 31:124] += 10.0  # less than a third of the first cell
    median = Networks(stages, True, TINY.network.width, RULE.model_copy(update={"percentile": 51.0})).push(thermal)
    warmest_place = Networks(stages, True, TINY.network.width, RULE).push(thermal)
    assert round(median.cells[1].kelvin) == 300
    assert round(warmest_place.cells[1].kelvin) == 310
    large = RULE.model_copy(update={"least_px": 20_000})
    assert not Networks(stages, True, TINY.network.width, large).push(thermal).cells


def test_where_nothing_can_be_told_the_reason_is(stages):
    one = look(0).thermal
    blind = Thermal(np.full_like(one.kelvin, np.nan), one.shading, one.picture, scaled=False)
    assert Networks(stages, refined=True, width=TINY.network.width, rule=RULE).push(blind).reason == "no_scale"
    kelvin = np.full_like(one.kelvin, np.nan)
    kelvin[:5, :5] = 300.0
    away = Thermal(kelvin, one.shading, one.picture)
    assert Networks(stages, refined=True, width=TINY.network.width, rule=RULE).push(away).reason == "pack_out_of_view"
    assert np.isnan(warmest(away, one.shading > 0, 98.0))
