"""One made-up scene: water, a coast, vessels with their wakes, clouds, and what the sensor makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.tasks.ships.data import GSD_M
from sightline.tasks.ships.synthetic import noise
from sightline.tasks.ships.synthetic.coast import Berth, Coast, Kind, build_coast
from sightline.tasks.ships.synthetic.hulls import SMALL_M, Hull, draw_hull, paint_hull
from sightline.tasks.ships.synthetic.sea import Picture, paint_sea
from sightline.tasks.ships.synthetic.sensor import add_clouds, draw_clouds, expose
from sightline.tasks.ships.synthetic.wakes import paint_wake

FROM_LAND_PX = 20
"""What is nearer to land is not counted when detections are evaluated: vessels in open water keep off by as much."""

_TRIES = 60  # to find a free place for a vessel; in a narrow scene there may be none


class SceneParams(Frozen):
    """What a scene looks like. Pairs are the bounds of a uniform draw."""

    width_px: int = Field(ge=256, le=8192)
    height_px: int = Field(ge=256, le=8192)
    vessels_per_km2: tuple[float, float] = Field(description="of water, at most: places are rare")
    median_m: float = Field(ge=20, le=350, description="length of vessels; log-normal")
    spread: float = Field(ge=0, description="standard deviation of the length's logarithm")
    length_m: tuple[float, float] = Field(description="shortest and longest")
    moving_share: float = Field(ge=0, le=1, description="of vessels; of small ones twice as many")
    berth_share: float = Field(ge=0, le=1, description="of the berths, with a vessel")
    cloudy_share: float = Field(ge=0, le=1, description="of the scenes")
    cloud_cover: tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """What was drawn.

    Attributes:
        pixels: (h, w, 3) RGB.
        vessels: all of them, those at berth too; none is cut by the frame or hidden by a cloud.
        cover: (h, w), True where there is land, or something built or drifting above the water.
    """

    pixels: NDArray[np.uint8]
    vessels: tuple[Hull, ...]
    cover: NDArray[np.bool_]


def draw_scene(rng: np.random.Generator, params: SceneParams, kind: Kind) -> Scene:
    """A scene with a coast of that kind."""
    shape = (params.height_px, params.width_px)
    coast = build_coast(rng, shape, kind)
    cloudy = rng.random() < params.cloudy_share
    clouds = draw_clouds(rng, shape, rng.uniform(*params.cloud_cover) if cloudy else 0.0)
    moored = _moor(rng, params, coast, clouds)
    afloat = _put_afloat(rng, params, coast, clouds, moored)
    sun = _shadow_px(rng)
    picture = paint_sea(rng, shape, rng.choice((0.1, 0.5, 1.0)))
    for hull in afloat:
        if rng.random() < params.moving_share * (2 if hull.length_m <= SMALL_M else 1):
            paint_wake(rng, picture, hull)
    picture = _with_land(rng, picture, coast)
    for hull in (*moored, *afloat):
        paint_hull(rng, picture, hull, sun)
    picture = add_clouds(rng, picture, clouds, sun)
    return Scene(expose(rng, picture), (*moored, *afloat), coast.cover > 0)


def _shadow_px(rng: np.random.Generator) -> NDArray[np.float64]:
    """(2,) pixels by which something 10 m high throws its shadow."""
    angle, elevation = rng.uniform(0, 2 * math.pi), rng.uniform(math.radians(30), math.radians(70))
    return np.array([math.cos(angle), math.sin(angle)]) * 10 / math.tan(elevation) / GSD_M


def _with_land(rng: np.random.Generator, water: Picture, coast: Coast) -> Picture:
    """Land over water, with a dark rim of shallow or shaded water and a thin line of surf."""
    import cv2

    share = (coast.cover.astype(np.float32) / 255)[..., None]
    near = cv2.GaussianBlur(coast.cover, (0, 0), 4.0).astype(np.float32)[..., None] / 255
    water = water * (1 - np.float32(rng.uniform(0.0, 0.25)) * near)
    surf = np.float32(rng.uniform(0, 0.25)) * np.clip(near * (1 - share) * 2 - 0.3, 0, 1)
    water = water + surf * (235 - water)
    return np.asarray(water + share * (coast.colours.astype(np.float32) - water), dtype=np.float32)


# ------------------------------------------------------------------------------------------------------- places


def _put_afloat(
    rng: np.random.Generator, params: SceneParams, coast: Coast, clouds: noise.Field, moored: list[Hull]
) -> list[Hull]:
    """Vessels in open water; those at anchor lie as the current wants."""
    import cv2

    water = (coast.cover == 0).astype(np.uint8)
    free_px = cv2.distanceTransform(np.pad(water, 1, constant_values=1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    km2 = float(water.sum()) * GSD_M**2 / 1e6
    current = rng.uniform(0, 360)
    hulls: list[Hull] = []
    for _ in range(rng.poisson(rng.uniform(*params.vessels_per_km2) * km2)):
        length_m = float(np.clip(params.median_m * math.exp(rng.normal(0, params.spread)), *params.length_m))
        heading = rng.normal(current, 15) if rng.random() < 0.6 else rng.uniform(0, 360)
        hull = draw_hull(rng, length_m, (0.0, 0.0), float(heading), GSD_M)
        for _ in range(_TRIES):
            x, y = rng.uniform(0, params.width_px), rng.uniform(0, params.height_px)
            hull = replace(hull, x=float(x), y=float(y))
            if _fits(hull, free_px, clouds, [*moored, *hulls]):
                hulls.append(hull)
                break
    return hulls


def _fits(hull: Hull, free_px: noise.Field, clouds: noise.Field, others: list[Hull]) -> bool:
    """Whole in the frame, off the land, clear of other vessels, and to be seen."""
    height, width = free_px.shape
    x0, y0, x1, y1 = hull.bbox
    half = hull.length_m / 2 / GSD_M
    if x0 < 2 or y0 < 2 or x1 > width - 2 or y1 > height - 2:
        return False
    rows, columns = slice(int(y0), int(y1) + 1), slice(int(x0), int(x1) + 1)
    if free_px[rows, columns].min() < FROM_LAND_PX or clouds[rows, columns].max() > 0.35:
        return False
    apart = (math.hypot(hull.x - one.x, hull.y - one.y) - one.length_m / 2 / GSD_M - half for one in others)
    return min(apart, default=9.0) > 8


def _moor(rng: np.random.Generator, params: SceneParams, coast: Coast, clouds: noise.Field) -> list[Hull]:
    """Vessels along the edges to moor at, one after the other, where there is water."""
    hulls: list[Hull] = []
    for berth in coast.berths:
        length_px = float(np.linalg.norm(berth.end - berth.start))
        at = rng.uniform(0, 15)
        while True:
            length_m = float(np.clip(params.median_m * 1.5 * math.exp(rng.normal(0, 0.5)), SMALL_M + 5, 330))
            if at + length_m / GSD_M > length_px + 10:
                break
            hull = _moored(rng, berth, at + length_m / GSD_M / 2, length_m)
            at += length_m / GSD_M + rng.uniform(4, 20)
            if rng.random() < params.berth_share and _afloat(hull, coast, clouds, hulls):
                hulls.append(hull)
    return hulls


def _moored(rng: np.random.Generator, berth: Berth, at: float, length_m: float) -> Hull:
    """A vessel whose middle lies `at` pixels along the berth."""
    along = (berth.end - berth.start) / np.linalg.norm(berth.end - berth.start)
    heading = math.degrees(math.atan2(along[0], -along[1])) + 180 * int(rng.integers(2))
    hull = draw_hull(rng, length_m, (0.0, 0.0), heading, GSD_M)
    x, y = berth.start + along * at + berth.out * (hull.beam_m / 2 / GSD_M + rng.uniform(0.7, 1.5))
    return replace(hull, x=float(x), y=float(y), kind="berth")


def _afloat(hull: Hull, coast: Coast, clouds: noise.Field, others: list[Hull]) -> bool:
    """Whole in the frame, all of it on water, clear of other vessels, and to be seen."""
    height, width = coast.cover.shape
    outline = hull.outline()
    if outline.min() < 2 or (outline >= (width - 2, height - 2)).any():
        return False
    inner = np.array([hull.x, hull.y]) + (outline - (hull.x, hull.y))[None] * np.array([0.3, 0.65, 0.95])[:, None, None]
    columns, rows = inner.reshape(-1, 2).astype(int).T
    if coast.cover[rows, columns].max() > 100 or clouds[rows, columns].max() > 0.35:
        return False
    side = hull.beam_m / GSD_M
    return all(
        math.hypot(hull.x - one.x, hull.y - one.y) > (hull.length_m + one.length_m) / 2 / GSD_M * 0.5 + side
        for one in others
    )
