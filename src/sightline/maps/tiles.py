"""Which tiles an area takes, what that costs and whether it may be asked for: known before anything is downloaded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from mercantile import Tile, xy_bounds

from sightline.errors import RequestError
from sightline.maps.area import Area
from sightline.maps.position import WEB_MERCATOR, Georeference
from sightline.maps.providers import Provider
from sightline.maps.upscaling.choices import SECONDS_A_MEGAPIXEL, Advice
from sightline.maps.zoom import WORLD_M, gsd_m, nearest_zoom, zoom_for
from sightline.task import Json

MOST_PIXELS = 20_000 * 20_000
"""Of a raster: what is proven to be stitched and read at bounded memory."""

_MOST_COUNTED = 250_000
_SNAP_PX = 1e-3
"""Bounds this close to a pixel's edge are on it: numbers in decimal degrees never hit it exactly."""

_LATENCY_S = 0.15
_STITCH_S_PER_MEGAPIXEL = 0.25


@dataclass(frozen=True)
class AreaPlan:
    """An area at a zoom of a provider: the raster that it makes and the tiles that it takes.

    Pixels are counted from the north-west corner of the whole map at this zoom; those beyond its eastern end are on
    the next turn round the Earth.

    Attributes:
        area: what is asked for.
        zoom: the level.
        provider: who has the tiles.
        left_px: first column of the raster.
        top_px: first row of the raster.
        width_px: columns: the area's bounds exactly, rounded outwards to whole pixels.
        height_px: rows, likewise.
        wanted_gsd_m: metres a pixel that the pictures are wanted at; 0 where nobody said.
        upscale: how the raster is enlarged before it is looked at.
        advice: how it should be; None where nobody asked.
    """

    area: Area
    zoom: int
    provider: Provider
    left_px: int
    top_px: int
    width_px: int
    height_px: int
    wanted_gsd_m: float = 0.0
    upscale: str = "none"
    advice: Advice | None = None

    @property
    def columns(self) -> range:
        """Of tiles; 2^zoom and more are on the next turn round the Earth."""
        side = self.provider.tile_px
        return range(self.left_px // side, (self.left_px + self.width_px - 1) // side + 1)

    @property
    def rows(self) -> range:
        """Of tiles, from the north."""
        side = self.provider.tile_px
        return range(self.top_px // side, (self.top_px + self.height_px - 1) // side + 1)

    @property
    def pixel_m(self) -> float:
        """Side of a pixel in EPSG:3857; on the ground it is `gsd_m`."""
        return WORLD_M / (self.provider.tile_px * 2.0**self.zoom)

    @property
    def gsd_m(self) -> float:
        """Metres that a pixel covers on the ground, in the middle of the area."""
        return gsd_m(self.area.centre[1], self.zoom, self.provider.tile_px)

    @property
    def georeference(self) -> Georeference:
        """Where the raster lies, in EPSG:3857."""
        size = self.pixel_m
        west, north = self.left_px * size - WORLD_M / 2, WORLD_M / 2 - self.top_px * size
        return Georeference(WEB_MERCATOR, (size, 0.0, west, 0.0, -size, north), self.width_px, self.height_px)

    @property
    def megapixels(self) -> float:
        """Of the raster."""
        return self.width_px * self.height_px / 1e6

    @cached_property
    def is_box(self) -> bool:
        """Whether the area fills its bounds, so that nothing in the raster lies outside it."""
        west, south, east, north = self.area.bounds
        return bool(math.isclose(self.area.joined.area, (east - west) * (north - south), rel_tol=1e-9))

    @cached_property
    def tile_count(self) -> int:
        """How many tiles it takes. Of very many, those that an outline leaves out are estimated by its share."""
        within = len(self.columns) * len(self.rows)
        if self.is_box:
            return within
        if within > _MOST_COUNTED:
            left, bottom, right, top = self.area.bounds_m
            return max(int(within * self.area.mercator.area / ((right - left) * (top - bottom))), 1)
        return sum(len(self.row_of_tiles(row)) for row in self.rows)

    @property
    def download_bytes(self) -> int:
        """Expected; 0 for tiles on this machine."""
        return self.tile_count * self.provider.tile_bytes if self.provider.url else 0

    @property
    def seconds(self) -> float:
        """Expected for download and stitching, where nothing is in the cache yet."""
        per_s = min(self.provider.requests_per_s, self.provider.concurrency / _LATENCY_S)
        download_s = self.tile_count / per_s if self.provider.url else 0.0
        return download_s + self.megapixels * _STITCH_S_PER_MEGAPIXEL

    @property
    def enlarging_s(self) -> float:
        """Expected for enlarging the raster, on two cores without a graphics card."""
        return self.megapixels * SECONDS_A_MEGAPIXEL[self.upscale]

    def row_of_tiles(self, row: int) -> list[tuple[int, Tile]]:
        """The tiles of a row that touch the area, from the west: (column, tile)."""
        import shapely

        columns = np.array(self.columns)
        if not self.is_box:
            first = xy_bounds(0, row, self.zoom)
            west = first.left + columns * (first.right - first.left)
            boxes = shapely.box(west, first.bottom, west + (first.right - first.left), first.top)
            shapely.prepare(self.area.mercator)
            columns = columns[shapely.intersects(self.area.mercator, boxes)]
        return [(int(column), Tile(int(column) % 2**self.zoom, row, self.zoom)) for column in columns]

    def tiles(self) -> Iterator[Tile]:
        """All tiles, row by row from the north; made as they are asked for."""
        for row in self.rows:
            yield from (tile for _, tile in self.row_of_tiles(row))


def plan_area(area: Area, zoom: int, provider: Provider, wanted_gsd_m: float = 0.0) -> AreaPlan:
    """Plan an area at a zoom; nothing is refused yet.

    Raises:
        RequestError: the zoom is none.
    """
    if not 0 <= zoom <= 24:
        raise RequestError(
            f"the zoom level {zoom} does not exist", where="zoom", way_out="Choose a zoom level from 0 to 24."
        )
    left, bottom, right, top = area.bounds_m
    side = provider.tile_px * 2**zoom
    scale = side / WORLD_M
    first_x, end_x = _outwards((left + WORLD_M / 2) * scale, (right + WORLD_M / 2) * scale)
    first_y, end_y = _outwards((WORLD_M / 2 - top) * scale, (WORLD_M / 2 - bottom) * scale)
    first_y, end_y = max(first_y, 0), min(end_y, side)
    return AreaPlan(area, zoom, provider, first_x, first_y, end_x - first_x, end_y - first_y, wanted_gsd_m)


def choose_zoom(area: Area, provider: Provider, wanted_gsd_m: float) -> int:
    """The provider's level whose pixels come nearest to `wanted_gsd_m` metres in the middle of the area."""
    latitude = area.centre[1]
    return nearest_zoom(latitude, wanted_gsd_m, provider.tile_px, provider.min_zoom, provider.max_zoom)


def refuse(plan: AreaPlan, detecting: bool = False) -> None:
    """Refuse what a limit or the provider's terms forbid, before anything is downloaded.

    Args:
        plan: what is asked for.
        detecting: whether something shall be found in the pictures, which a drawn map does not show.

    Raises:
        RequestError: says how many tiles it would take, and which limit or term is in the way.
    """
    provider = plan.provider
    if detecting and not provider.detects:
        raise RequestError(
            f"{provider.name} is a drawn map, in which nothing can be detected",
            where="provider",
            way_out="Choose a provider of aerial or satellite pictures: `sightline aoi providers`.",
        )
    if not provider.min_zoom <= plan.zoom <= provider.max_zoom:
        raise RequestError(
            f"{provider.name} has the zooms {provider.min_zoom} to {provider.max_zoom}, not {plan.zoom}",
            where="zoom",
            way_out="Choose one of these zoom levels.",
        )
    if plan.tile_count > provider.most_tiles:
        terms = "" if provider.allow_bulk else f" ({provider.terms}: {provider.terms_url})"
        raise RequestError(
            f"the area would take {plan.tile_count:,} tiles at zoom {plan.zoom}; "
            f"{provider.name} allows at most {provider.most_tiles:,}{terms}",
            where="area",
            way_out=_smaller(plan),
        )
    if plan.width_px * plan.height_px > MOST_PIXELS:
        raise RequestError(
            f"the area would take {plan.tile_count:,} tiles and make a raster of {plan.width_px:,} x "
            f"{plan.height_px:,} pixels; at most {MOST_PIXELS:,} are allowed",
            where="area",
            way_out=_smaller(plan),
        )


def describe_plan(plan: AreaPlan) -> dict[str, Json]:
    """The plan as JSON: what `plan_text` tells, for programs."""
    provider = plan.provider
    west, south, east, north = plan.area.bounds
    described: dict[str, Json] = {
        "area_km2": plan.area.area_km2,
        "bounds": [west, south, east, north],
        "provider": provider.name,
        "zoom": plan.zoom,
        "tiles": plan.tile_count,
        "width_px": plan.width_px,
        "height_px": plan.height_px,
        "megapixels": plan.megapixels,
        "gsd_m": plan.gsd_m,
        "native_gsd_m": provider.native_gsd_m,
        "download_bytes": plan.download_bytes,
        "seconds": plan.seconds,
        "attribution": provider.attribution,
        "terms": provider.terms,
        "terms_url": provider.terms_url,
    }
    if plan.advice is not None:
        described["upscale"] = plan.upscale
        described["enlarging_seconds"] = plan.enlarging_s
        described["advised_upscale"] = plan.advice.choice
        described["advice"] = plan.advice.reason
    if plan.wanted_gsd_m:
        described["wanted_gsd_m"] = plan.wanted_gsd_m
        described["wanted_zoom"] = zoom_for(plan.area.centre[1], plan.wanted_gsd_m, provider.tile_px)
        described["advised_zoom"] = choose_zoom(plan.area, provider, plan.wanted_gsd_m)
    return described


def plan_text(plan: AreaPlan) -> str:
    """The plan for a person, some lines: area, tiles, raster, time, terms and the zoom that would fit."""
    provider = plan.provider
    longitude, latitude = plan.area.centre
    east, north = "E" if longitude >= 0 else "W", "N" if latitude >= 0 else "S"
    fetched = f", about {_bytes(plan.download_bytes)}" if provider.url else ", on this machine"
    enlarged = f", and {_duration(plan.enlarging_s)} to enlarge it without a graphics card" if plan.enlarging_s else ""
    lines = [
        f"Area    {plan.area.area_km2:,.2f} km2 about {abs(latitude):.4f} {north}, {abs(longitude):.4f} {east}",
        f"Tiles   {plan.tile_count:,} of {provider.name} at zoom {plan.zoom}{fetched}",
        f"Raster  {plan.width_px:,} x {plan.height_px:,} px, {plan.megapixels:,.1f} megapixels, "
        f"{plan.gsd_m:.2f} m a pixel",
        f"Time    about {_duration(plan.seconds)}{enlarged}; tiles in the cache are not downloaded again",
        f"Terms   {provider.terms}" + (f" ({provider.terms_url})" if provider.terms_url else ""),
        f"Credit  {provider.attribution}",
    ]
    return "\n".join([*lines, *_advice(plan)])


def _advice(plan: AreaPlan) -> list[str]:
    """Lines on whether zoom, pictures and enlargement fit what is wanted."""
    if not plan.wanted_gsd_m:
        return []
    exact = zoom_for(plan.area.centre[1], plan.wanted_gsd_m, plan.provider.tile_px)
    best = choose_zoom(plan.area, plan.provider, plan.wanted_gsd_m)
    fits = "which is this one" if best == plan.zoom else f"not {plan.zoom}"
    lines = [f"Zoom    {plan.wanted_gsd_m:.2f} m a pixel are wanted: zoom {exact:.2f}, so {best}, {fits}"]
    if plan.provider.native_gsd_m > 1.5 * plan.wanted_gsd_m:
        lines.append(
            f"Note    {plan.provider.name}'s pictures have {plan.provider.native_gsd_m:g} m a pixel at best: "
            "a deeper zoom only enlarges them"
        )
    if plan.advice is not None:
        other = "" if plan.advice.choice == plan.upscale else f"; advised is {plan.advice.choice}"
        lines.append(f"Enlarge {plan.upscale}{other}: {plan.advice.reason}")
    return lines


def _outwards(first: float, end: float) -> tuple[int, int]:
    """Whole pixels that hold an interval; at least one."""
    low = math.floor(first + _SNAP_PX)
    return low, max(math.ceil(end - _SNAP_PX), low + 1)


def _smaller(plan: AreaPlan) -> str:
    """What would be allowed: a lower zoom, where there is one."""
    excess = max(plan.tile_count / plan.provider.most_tiles, plan.width_px * plan.height_px / MOST_PIXELS)
    zoom = plan.zoom - math.ceil(math.log(excess, 4) - 1e-9)
    lower = f", or zoom {zoom}" if plan.provider.min_zoom <= zoom < plan.zoom else ""
    return f"Choose a smaller area{lower}, or another provider."


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
