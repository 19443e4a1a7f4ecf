"""The endpoint of ships: `bentoml serve services.ships:Ships`."""

from __future__ import annotations

import bentoml

from services.endpoint import OPTIONS, mount


@bentoml.service(name="ships", **OPTIONS)
class Ships:
    """Ships in satellite pictures: a raster in, boxes, lengths, places and the count out."""


mount(Ships, "ships")
