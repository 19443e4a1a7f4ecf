"""What a raster costs at the network's scale: known from its head, and bounded before anything is decoded.

A network looks at pixels of one size on the ground. A raster of coarser pixels is enlarged to them, so that a file of a
few kilobytes may be work for hours: what counts is height x width x (pixel / wanted pixel)^2.
"""

from __future__ import annotations

from pathlib import Path

from sightline.conditions import impossible_gsd
from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.maps.zoom import GSD_BOUNDS_M

SLACK = 1.02
"""A grid's 30 m are not quite that on the ground."""

LOCAL = 8
"""How many times more may be scanned of a file on this machine than of an upload: nobody waits at a connection."""

_PIXELS_A_CELL, _CELL_BYTES = 16, 40
"""At the finest step of the scan; of its logit and length, and of what is reckoned of the water there."""
_STRIP_BYTES, _TILE_BYTES, _PIXEL_BYTES = 256 * 2**20, 32 * 2**20, 12
"""Held of a raster that stays on disk (GDAL's cache, rows); of any other, and for each of its pixels besides."""


def scanned_px(size: tuple[int, int], gsd_m: float, wanted_gsd_m: float) -> int:
    """Pixels of a raster of (h, w) at the network's scale."""
    return round(size[0] * size[1] * (gsd_m / wanted_gsd_m) ** 2)


def held_bytes_of(size: tuple[int, int], seen_px: int, stays_on_disk: bool) -> int:
    """Of a raster of (h, w): its pixels, what is hidden of them, a tile of the network, the scan's map of logits."""
    decoded = _STRIP_BYTES if stays_on_disk else _TILE_BYTES + _PIXEL_BYTES * size[0] * size[1]
    return decoded + seen_px // _PIXELS_A_CELL * _CELL_BYTES


def most_scanned_px(source: Path | bytes, limits: Limits) -> int:
    """How many may be scanned of it."""
    return limits.work_pixels * (LOCAL if isinstance(source, Path) else 1)


def check_work(size: tuple[int, int], gsd_m: float, wanted_gsd_m: float, most_px: int, where: str) -> None:
    """Refuse a raster whose pixels cannot show a ship, or that is too large at the network's scale.

    Raises:
        DataRejected: names the size of a pixel, or of the raster.
    """
    if what := impossible_gsd(gsd_m, GSD_BOUNDS_M, SLACK):
        raise DataRejected(what, where=where, way_out="Give an image of 0.1 to 30 m a pixel.")
    if scanned_px(size, gsd_m, wanted_gsd_m) > most_px:
        height, width = (round(side * gsd_m / wanted_gsd_m) for side in size)
        raise DataRejected(
            f"at {wanted_gsd_m:g} m a pixel it has {width:,} x {height:,} pixels; at most {most_px:,} are allowed",
            where=where,
            way_out=f"Cut it into parts, correct its gsd_m (now {gsd_m:g} m), or raise SIGHTLINE_MAX_WORK_PIXELS.",
        )
