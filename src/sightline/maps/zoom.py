"""Zoom levels of web-mercator tiles (EPSG:3857) and the size of their pixels on the ground.

At zoom z the equator, 2 pi 6,378,137 m long, has `tile_px` 2^z pixels. The projection stretches by 1 / cos(latitude),
so a pixel covers

    gsd_m = 156,543.034 (256 / tile_px) cos(latitude) / 2^z        metres

and the zoom that gives a wanted size is z = log2(156,543.034 (256 / tile_px) cos(latitude) / gsd_m). An image that is
enlarged x4 afterwards is fetched at four times the size, two levels lower.
"""

from __future__ import annotations

import math

EARTH_RADIUS_M = 6_378_137.0
"""Of the sphere that web mercator is defined on."""

WORLD_M = 2 * math.pi * EARTH_RADIUS_M
"""Side of the web-mercator square."""

GSD_BOUNDS_M = (0.1, 30.0)
"""Metres a pixel of pictures in which something of the size of a ship can be seen."""


def gsd_m(latitude: float, zoom: float, tile_px: int = 256) -> float:
    """Metres on the ground that a pixel covers, at a latitude in degrees."""
    return float(WORLD_M * math.cos(math.radians(latitude)) / (tile_px * 2.0**zoom))


def zoom_for(latitude: float, wanted_gsd_m: float, tile_px: int = 256) -> float:
    """The zoom, a fraction as a rule, at which a pixel covers `wanted_gsd_m` metres at a latitude in degrees.

    Raises:
        ValueError: the size is not positive, or the latitude is a pole.
    """
    if not (wanted_gsd_m > 0 and abs(latitude) < 90):
        raise ValueError(f"no zoom gives {wanted_gsd_m} m a pixel at latitude {latitude}")
    return math.log2(gsd_m(latitude, 0, tile_px) / wanted_gsd_m)


def nearest_zoom(latitude: float, wanted_gsd_m: float, tile_px: int = 256, lowest: int = 0, highest: int = 24) -> int:
    """The level of those there are whose pixels come nearest, as a ratio, to `wanted_gsd_m` metres.

    Raises:
        ValueError: as `zoom_for`.
    """
    return min(max(round(zoom_for(latitude, wanted_gsd_m, tile_px)), lowest), highest)
