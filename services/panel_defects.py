"""The endpoint of panel_defects: `bentoml serve services.panel_defects:PanelDefects`."""

from __future__ import annotations

import bentoml

from services.endpoint import OPTIONS, mount


@bentoml.service(name="panel_defects", **OPTIONS)
class PanelDefects:
    """Defects of solar panels: a photograph in, a mask, polygons and shares out."""


mount(PanelDefects, "panel_defects")
