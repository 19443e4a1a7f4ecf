"""Land as Sentinel-2 sees it: a Voronoi map of covers with their spectra, and solar farms in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.tasks.panel_defects.chip import BANDS, GSD_M
from sightline.vision.synthesis import Floats, fractal

WAVELENGTH_NM = (443, 490, 560, 665, 705, 740, 783, 842, 865, 945, 1375, 1610, 2190)
RESOLUTION_M = (60, 10, 10, 10, 20, 20, 20, 10, 20, 60, 60, 20, 20)

COVERS: dict[str, tuple[float, ...]] = {
    "crop": (0.030, 0.040, 0.070, 0.045, 0.110, 0.300, 0.380, 0.410, 0.430, 0.400, 0.0010, 0.220, 0.110),
    "grass": (0.045, 0.055, 0.085, 0.080, 0.130, 0.220, 0.260, 0.280, 0.300, 0.290, 0.0010, 0.270, 0.170),
    "stubble": (0.060, 0.080, 0.120, 0.170, 0.200, 0.230, 0.250, 0.270, 0.280, 0.270, 0.0010, 0.340, 0.250),
    "soil": (0.080, 0.100, 0.140, 0.190, 0.220, 0.240, 0.260, 0.280, 0.300, 0.290, 0.0015, 0.380, 0.330),
    "sand": (0.120, 0.150, 0.220, 0.300, 0.330, 0.350, 0.370, 0.390, 0.410, 0.400, 0.0020, 0.500, 0.460),
    "forest": (0.020, 0.025, 0.040, 0.025, 0.060, 0.180, 0.230, 0.250, 0.270, 0.260, 0.0010, 0.120, 0.055),
    "water": (0.050, 0.045, 0.040, 0.020, 0.015, 0.010, 0.009, 0.008, 0.007, 0.006, 0.0005, 0.004, 0.003),
    "town": (0.100, 0.120, 0.140, 0.150, 0.160, 0.170, 0.180, 0.190, 0.200, 0.200, 0.0020, 0.210, 0.190),
    "asphalt": (0.070, 0.075, 0.080, 0.085, 0.085, 0.090, 0.090, 0.095, 0.100, 0.100, 0.0010, 0.105, 0.090),
    "plastic": (0.200, 0.240, 0.280, 0.300, 0.320, 0.340, 0.350, 0.360, 0.370, 0.360, 0.0030, 0.300, 0.250),
}
"""Reflectance of each cover in the order of BANDS: round figures as spectral libraries have them, not measurements."""

PANEL = (0.055, 0.058, 0.055, 0.050, 0.055, 0.065, 0.070, 0.080, 0.085, 0.085, 0.0010, 0.095, 0.070)
"""Reflectance of a solar panel: dark blue, a little brighter in the infrared."""

_LOOKALIKES = ("asphalt", "water", "plastic", "crop")
"""Covers of the rectangles that are no farms: roofs, basins, greenhouses, irrigated fields."""

_CLIMATES = (
    {"crop": 4, "grass": 3, "stubble": 3, "soil": 2, "forest": 3, "water": 1, "town": 1},
    {"sand": 6, "soil": 4, "grass": 1, "town": 1, "crop": 1},
    {"soil": 4, "stubble": 4, "grass": 3, "crop": 2, "town": 1, "water": 1},
)
"""Weights of the covers in a green, a desert and a dry landscape."""


class LandParams(Frozen):
    """What the land looks like. Pairs are the bounds of a uniform draw."""

    field_m: tuple[float, float] = Field(description="typical side of a field")
    edge_m: float = Field(ge=0, description="how far the fields' borders wander")
    field_spread: float = Field(ge=0, description="relative brightness of fields of one cover")
    texture: float = Field(ge=0, description="relative brightness within a field")
    lookalikes: tuple[int, int] = Field(description="rectangles that are no farms")
    farms: tuple[int, int] = Field(description="in a place that has any")
    length_m: tuple[float, float]
    width_m: tuple[float, float]
    wing_share: float = Field(ge=0, le=1, description="of the farms have a second, smaller part")
    block_m: tuple[float, float] = Field(description="between service roads")
    road_m: float = Field(ge=0)
    panel_share: tuple[float, float] = Field(description="of the ground under the rows")
    row_beat: float = Field(ge=0, description="relative unevenness of rows against pixels")


@dataclass(frozen=True)
class Place:
    """A piece of land, larger than the chips that are cut from it.

    Attributes:
        reflectance: (13, h, w) without atmosphere.
        green: (h, w) share of vegetation: what the seasons change.
        farm: (h, w) where there are farms, roads between the rows included.
    """

    reflectance: Floats
    green: Floats
    farm: NDArray[np.bool_]


def build_place(rng: np.random.Generator, params: LandParams, side_px: int, has_farm: bool) -> Place:
    """Draw one place of `side_px` x `side_px` pixels."""
    shape = (side_px, side_px)
    climate = _CLIMATES[rng.integers(len(_CLIMATES))]
    fields, cover = _fields(rng, params, shape, climate)
    names = tuple(COVERS)
    spectra = np.array([COVERS[name] for name in names])
    brightness = np.exp(rng.normal(0, params.field_spread, fields.max() + 1))[fields]
    texture = np.exp(params.texture * fractal(rng, shape, 0.8))
    kinds = cover[fields]
    for _ in range(rng.integers(params.lookalikes[0], params.lookalikes[1] + 1)):
        inside, _ = _rectangle(rng, params, shape, scale=0.5)
        kinds[inside > 0] = names.index(_LOOKALIKES[rng.integers(len(_LOOKALIKES))])
    land = spectra[kinds].transpose(2, 0, 1) * brightness * texture
    green = np.isin(kinds, [names.index("crop"), names.index("grass"), names.index("forest")]).astype(np.float64)
    farm = np.zeros(shape, dtype=bool)
    if has_farm:
        for _ in range(rng.integers(params.farms[0], params.farms[1] + 1)):
            land, farm = _add_farm(rng, params, land, farm)
    return Place(land, np.where(farm, 0.3 * green, green), farm)


def _fields(
    rng: np.random.Generator, params: LandParams, shape: tuple[int, int], climate: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(h, w) number of the field of each pixel, and the cover of each field."""
    from scipy.spatial import KDTree

    side_px = shape[0]
    size_px = rng.uniform(*params.field_m) / GSD_M
    count = max(4, round((side_px / size_px) ** 2))
    centres = rng.uniform(0, side_px, (count, 2))
    y, x = np.indices(shape, dtype=np.float64)
    wander = params.edge_m / GSD_M
    points = np.stack([y + wander * fractal(rng, shape, 1.4), x + wander * fractal(rng, shape, 1.4)], axis=-1)
    _, fields = KDTree(centres).query(points.reshape(-1, 2))
    weights = np.array([climate.get(name, 0) for name in COVERS], dtype=np.float64)
    return np.asarray(fields.reshape(shape)), rng.choice(len(COVERS), count, p=weights / weights.sum())


def _rectangle(
    rng: np.random.Generator, params: LandParams, shape: tuple[int, int], scale: float = 1.0
) -> tuple[Floats, tuple[Floats, Floats]]:
    """Signed distance to the edge of a rotated rectangle in pixels (positive inside), and coordinates along it."""
    length, width = (scale * rng.uniform(*bounds) / GSD_M for bounds in (params.length_m, params.width_m))
    centre = np.array(shape) * rng.uniform(0.28, 0.72, 2)
    angle = rng.uniform(-0.5, 0.5) + np.pi / 2 * rng.integers(2)
    y, x = np.indices(shape, dtype=np.float64)
    along = (x - centre[1]) * np.cos(angle) + (y - centre[0]) * np.sin(angle)
    across = (y - centre[0]) * np.cos(angle) - (x - centre[1]) * np.sin(angle)
    inside = np.minimum(length / 2 - np.abs(along), width / 2 - np.abs(across))
    if rng.random() < params.wing_share:
        # A wing beside it, along the same rows: few farms are plain rectangles.
        at, reach = rng.uniform(-0.3, 0.3) * length, rng.uniform(0.15, 0.35) * length
        wing = np.minimum(reach - np.abs(along - at), width * rng.uniform(0.6, 1.0) - np.abs(across))
        inside = np.maximum(inside, wing)
    return inside, (along, across)


def _add_farm(
    rng: np.random.Generator, params: LandParams, land: Floats, farm: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Rows of panels over levelled ground. A pixel mixes panel and ground: the rows are narrower than 10 m."""
    inside, (along, across) = _rectangle(rng, params, farm.shape)
    covered = np.clip(inside + 0.5, 0, 1)
    block, road = rng.uniform(*params.block_m) / GSD_M, params.road_m / GSD_M
    to_road = np.minimum(
        np.abs((along + block / 2) % block - block / 2), np.abs((across + block) % (2 * block) - block)
    )
    rows = np.clip(to_road - road / 2 + 0.5, 0, 1)
    beat = 1 + params.row_beat * np.sin(2 * np.pi * across / rng.uniform(2.5, 6.0))
    panel = covered * np.clip(rng.uniform(*params.panel_share) * beat, 0, 1) * rows
    ground_names = ("grass", "soil", "stubble")
    ground = np.array(COVERS[ground_names[rng.integers(3)]])[:, None, None]
    ground = ground * np.exp(params.texture * fractal(rng, farm.shape, 0.8))
    land = land * (1 - covered) + ground * covered
    return land * (1 - panel) + np.array(PANEL)[:, None, None] * panel, farm | (inside > 0)


# ---------------------------------------------------------------------------------------------------- seen from orbit


class SightParams(Frozen):
    """Season, air and instrument. Pairs are the bounds of a uniform draw."""

    gain: tuple[float, float] = Field(description="of the illumination")
    dry: tuple[float, float] = Field(description="share of the vegetation that is dry this year")
    haze: tuple[float, float] = Field(description="reflectance of the air at 443 nm")
    haze_slope: float = Field(ge=0, description="it falls with wavelength to this power")
    haze_patch: float = Field(ge=0, description="relative unevenness of the haze")
    noise: float = Field(ge=0, description="relative noise of a pixel")


def reflectance_of(rng: np.random.Generator, params: SightParams, place: Place) -> Floats:
    """(13, h, w) reflectance of a place as the satellite sees it on a day."""
    from scipy.ndimage import gaussian_filter

    dry = rng.uniform(*params.dry) * place.green
    stubble = np.array(COVERS["stubble"])[:, None, None]
    scene = (place.reflectance * (1 - dry) + stubble * dry) * rng.uniform(*params.gain)
    haze = rng.uniform(*params.haze) * np.exp(params.haze_patch * fractal(rng, place.farm.shape, 2.0))
    for band in range(len(BANDS)):
        sigma_px = RESOLUTION_M[band] / GSD_M / 2.355  # the resolution is the width at half maximum
        if RESOLUTION_M[band] > GSD_M:
            scene[band] = gaussian_filter(scene[band], sigma_px, mode="nearest")
        if BANDS[band] != "B10":  # water vapour hides the ground and what is below
            air = haze * (WAVELENGTH_NM[0] / WAVELENGTH_NM[band]) ** params.haze_slope
            scene[band] = scene[band] * (1 - air) + air
    noise = 1 + params.noise * rng.standard_normal(scene.shape)
    return np.asarray(np.clip(scene * noise, 0.0001, 1.5))
