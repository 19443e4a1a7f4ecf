"""What is asked for when an area of the map is to be looked at."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sightline.maps.area import Area
from sightline.maps.providers import Provider
from sightline.maps.upscaling.choices import AUTO, CHOICES


@dataclass(frozen=True)
class Order:
    """An area, and how it is to be looked at.

    Attributes:
        area: where.
        provider: of the tiles.
        zoom: their level; None: the one that fits the model.
        upscale: how the raster is enlarged before it is looked at, or `auto`: as is advised.
        offered: the ways of enlarging that can be had.
    """

    area: Area
    provider: Provider
    zoom: int | None = None
    upscale: str = AUTO
    offered: Collection[str] = CHOICES
