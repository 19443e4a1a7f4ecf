"""One made-up scene: water, a coast, vessels with their wakes, clouds, and what the sensor makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.tasks.ships.synthetic import noise
from sightline.tasks.ships.synthetic.coast import Kind, build_coast
from sightline.tasks.ships.synthetic.decks import paint_hull
from sightline.tasks.ships.synthetic.ground import Ground
from sightline.tasks.ships.synthetic.hulls import VESSEL_M, Hull
from sightline.tasks.ships.synthetic.sea import Picture, Water, paint_sea
from sightline.tasks.ships.synthetic.sensor import add_clouds, draw_clouds, expose
from sightline.tasks.ships.synthetic.services import Sensor, develop, draw_seam, draw_water
from sightline.tasks.ships.synthetic.traffic import Lengths, Roads, moor, put_afloat
from sightline.tasks.ships.synthetic.wakes import paint_wake

_BOATS = Lengths(10.0, 0.35, (5.0, VESSEL_M - 0.5))
_BUOYS = (((222, 70, 50), 3.0), ((236, 190, 40), 3.0), ((60, 140, 90), 2.5), ((246, 246, 242), 2.0))


class SceneParams(Frozen):
    """What a scene looks like. Pairs are the bounds of a uniform draw."""

    width_px: int = Field(ge=256, le=8192)
    height_px: int = Field(ge=256, le=8192)
    vessels: tuple[float, float] = Field(description="tried in a scene of open water alone; places may be rare")
    boats: tuple[float, float] = Field(description="the same for boats of less than 20 m, which are not asked for")
    median_m: float = Field(ge=20, le=350, description="length of vessels; log-normal")
    spread: float = Field(ge=0, description="standard deviation of the length's logarithm")
    length_m: tuple[float, float] = Field(description="shortest and longest")
    moving_share: float = Field(ge=0, le=1, description="of vessels; of those below 50 m twice as many")
    berth_share: float = Field(ge=0, le=1, description="of the berths, with a vessel")
    cloudy_share: float = Field(ge=0, le=1, description="of the scenes")
    cloud_cover: tuple[float, float]
    seam_share: float = Field(ge=0, le=1, description="of the scenes of map services: mosaics of two pictures")


@dataclass(frozen=True)
class Scene:
    """What was drawn.

    Attributes:
        pixels: (h, w, 3) RGB.
        vessels: all of them, boats too; none is cut by the frame or hidden by a cloud.
        cover: (h, w), True where there is land, or something built or drifting above the water.
        gsd_m: metres a pixel.
    """

    pixels: NDArray[np.uint8]
    vessels: tuple[Hull, ...]
    cover: NDArray[np.bool_]
    gsd_m: float


def draw_scene(
    rng: np.random.Generator, params: SceneParams, kind: Kind, gsd_m: float, sensor: Sensor = "published"
) -> Scene:
    """A scene with a coast of that kind, in pixels of `gsd_m`, as that sensor shows it."""
    shape = (params.height_px, params.width_px)
    shade_m = _shade_m(rng)
    ground = build_coast(rng, shape, gsd_m, kind, shade_m)
    cover, colours = _shrunk(ground.cover[..., None], ground.fine)[..., 0], _shrunk(ground.colours, ground.fine)
    cloudy = rng.random() < params.cloudy_share
    clouds = draw_clouds(rng, shape, rng.uniform(*params.cloud_cover) if cloudy else 0.0)
    roads = _sail(rng, params, ground, Roads(cover > 0, clouds, gsd_m))
    seam = draw_seam(rng, shape) if sensor != "published" and rng.random() < params.seam_share else None
    picture = _fill_sea(rng, shape, gsd_m, draw_water(rng, sensor), seam)
    picture = _with_shore(rng, picture, cover, gsd_m)
    for hull in roads.hulls:
        if hull.speed_kn:
            paint_wake(rng, picture, hull)
    _float_buoys(rng, picture, cover, gsd_m)
    picture += (cover / 255)[..., None] * (colours - picture)
    for hull in roads.hulls:
        paint_hull(rng, picture, hull, shade_m / gsd_m)
    above = _shrunk(ground.above, ground.fine)
    picture *= 1 - above[..., 3:] / 255
    picture += above[..., :3]
    picture = add_clouds(rng, picture, clouds, shade_m / gsd_m)
    pixels = expose(rng, picture) if sensor == "published" else develop(rng, picture, gsd_m, sensor, seam)
    return Scene(pixels, tuple(roads.hulls), cover > 0, gsd_m)


def _shrunk(canvas: NDArray[np.uint8], fine: int) -> Picture:
    """(h, w, n) means of the canvas's pixels in each of the scene's."""
    height, width, bands = canvas.shape
    cells = canvas.reshape(height // fine, fine, width // fine, fine, bands)
    return np.asarray(cells.mean(axis=(1, 3), dtype=np.float32), dtype=np.float32)


def _shade_m(rng: np.random.Generator) -> NDArray[np.float64]:
    """(2,) metres by which something 10 m high throws its shadow."""
    angle, elevation = rng.uniform(0, 2 * math.pi), rng.uniform(math.radians(30), math.radians(70))
    return np.array([math.cos(angle), math.sin(angle)]) * 10 / math.tan(elevation)


def _sail(rng: np.random.Generator, params: SceneParams, ground: Ground, roads: Roads) -> Roads:
    """Vessels at the berths, then those in open water, boats last."""
    lengths = Lengths(params.median_m, params.spread, params.length_m)
    moor(rng, roads, ground.berths, params.berth_share, lengths)
    for bounds, kinds, moving in ((params.vessels, lengths, params.moving_share), (params.boats, _BOATS, 0.3)):
        put_afloat(rng, roads, round(rng.uniform(*bounds) * roads.water_share), kinds, moving)
    return roads


def _fill_sea(
    rng: np.random.Generator, shape: tuple[int, int], gsd_m: float, water: Water, seam: NDArray[np.bool_] | None
) -> Picture:
    """The water, beyond a seam that of another day."""
    sea = paint_sea(rng, shape, gsd_m, water)
    if seam is not None:
        other = replace(water, glint=float(rng.choice((0, 0, 3, 8))), rough=water.rough * rng.uniform(0.3, 1.5))
        sea[seam] = paint_sea(rng, shape, gsd_m, other)[seam]
    return sea


def _with_shore(rng: np.random.Generator, water: Picture, cover: noise.Field, gsd_m: float) -> Picture:
    """The water along the land: shaded or shallow, with a thin line of surf."""
    import cv2

    share = (cover / 255)[..., None]
    near = cv2.GaussianBlur(cover, (0, 0), max(12 / gsd_m, 0.8))[..., None] / 255
    water = water * (1 - np.float32(rng.uniform(0.0, 0.25)) * near)
    if rng.random() < 0.35:
        shallow = cv2.GaussianBlur(cover, (0, 0), min(rng.uniform(40, 160) / gsd_m, 60))[..., None] / 255
        water += np.float32(rng.uniform(0.1, 1)) * shallow * np.array([50, 90, 66], dtype=np.float32)
    surf = np.float32(rng.uniform(0, 0.25)) * np.clip(near * (1 - share) * 2 - 0.3, 0, 1)
    return np.asarray(water + surf * (235 - water), dtype=np.float32)


def _float_buoys(rng: np.random.Generator, picture: Picture, cover: noise.Field, gsd_m: float) -> None:
    """Buoys of 2 to 3 m, as much of a pixel as they cover."""
    height, width = cover.shape
    for _ in range(rng.poisson(8)):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        colour, side_m = _BUOYS[int(rng.integers(len(_BUOYS)))]
        if not cover[y, x]:
            share = np.float32(min(side_m / gsd_m, 1.0) ** 2)
            picture[y, x] += share * (np.array(colour, dtype=np.float32) - picture[y, x])
