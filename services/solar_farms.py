"""The endpoint of solar_farms: `bentoml serve services.solar_farms:SolarFarms`."""

from __future__ import annotations

import bentoml

from services.endpoint import OPTIONS, mount


@bentoml.service(name="solar_farms", **OPTIONS)
class SolarFarms:
    """Solar farms from orbit: a Sentinel-2 chip in, a mask, polygons and the share out."""


mount(SolarFarms, "solar_farms")
