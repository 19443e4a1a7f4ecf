"""What an input will take is told by its head; one that is too large is refused then, and by the same limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sightline.errors import DataRejected
from sightline.limits import Limits
from tests.unit.bad_images import BAD_IMAGES
from tests.unit.tasks.land_cover import networks as land_cover
from tests.unit.tasks.panel_defects import networks as panel_defects
from tests.unit.tasks.pv_hotspots import networks as pv_hotspots

MODELS: dict[str, Callable[[], Any]] = {
    "pv_hotspots": pv_hotspots.tiny_model,
    "panel_defects": panel_defects.tiny_model,
    "solar_farms": lambda: panel_defects.tiny_model(task="solar_farms"),
    "land_cover": land_cover.network_model,
}


@pytest.mark.parametrize("name", ["jpeg_huge", "png_bomb", "tiff_huge", "tiff_huge_tile"])
@pytest.mark.parametrize("task", MODELS)
def test_a_picture_beyond_the_limits_is_refused_by_its_head(task: str, name: str) -> None:
    data, words = BAD_IMAGES[name]
    with pytest.raises(DataRejected, match="SIGHTLINE_MAX_PIXELS") as caught:
        MODELS[task]().weigh(data, Limits(), {})
    assert words in str(caught.value)


@pytest.mark.parametrize("task", MODELS)
def test_a_limit_that_was_raised_is_the_limit(task: str) -> None:
    model = MODELS[task]()
    data, _ = BAD_IMAGES["png_bomb"]
    assert model.weigh(data, Limits(pixels=2**40), {}).size == (30_000, 30_000)
    with pytest.raises(DataRejected):
        model.weigh(model.example(), Limits(pixels=100), {})
