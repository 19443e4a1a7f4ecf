"""The endpoint of land_cover: `bentoml serve services.land_cover:LandCover`."""

from __future__ import annotations

import bentoml

from services.endpoint import OPTIONS, mount


@bentoml.service(name="land_cover", **OPTIONS)
class LandCover:
    """Ten overlapping classes from orbit: a tile of eight bands in, masks, polygons and areas out."""


mount(LandCover, "land_cover")
