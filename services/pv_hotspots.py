"""The endpoint of pv_hotspots: `bentoml serve services.pv_hotspots:PvHotspots`."""

from __future__ import annotations

import bentoml

from services.endpoint import OPTIONS, mount


@bentoml.service(name="pv_hotspots", **OPTIONS)
class PvHotspots:
    """Hot spots on photovoltaic modules: a thermogram in, boxes with temperature rise and severity out."""


mount(PvHotspots, "pv_hotspots")
