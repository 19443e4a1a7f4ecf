"""A landscape drawn: its reflectance in eight bands on a fine grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.tasks.land_cover.synthetic.land import Landscape
from sightline.tasks.land_cover.synthetic.sensor import Eight, Image, Span

if TYPE_CHECKING:
    from shapely import Polygon


class SurfaceParams(Frozen):
    """Reflectances x 100 at 425, 480, 545, 605, 660, 725, 833 and 950 nm, and how they vary."""

    buildings: Eight
    misc: Eight
    road: Eight
    track: Eight
    trees: Eight
    crops: Eight
    waterway: Eight
    standing_water: Eight
    soil: Eight
    vehicles: Span = Field(description="the same in all bands")
    spread: float = Field(ge=0, description="brightness of one object against its kind")
    roof_spread: float = Field(ge=0)
    band_spread: float = Field(ge=0, description="colour of one object against its kind")
    crop_cover: Span = Field(description="share of a field that plants hide")
    bare_fields: float = Field(ge=0, le=1, description="share of the fields that are ploughed")
    grass: Span = Field(description="mean share of the open ground that grass hides, of a region")
    row_m: Span = Field(description="period of rows in a field")
    row_contrast: Span
    texture: dict[str, float] = Field(description="relative roughness")
    shadow: float = Field(gt=0, le=1, description="what is left of the light in a shadow")
    tree_height: float = Field(ge=0, description="in radii of the crown")


@dataclass(frozen=True)
class _Kind:
    """What is painted of one kind, and how its objects vary."""

    polygons: Sequence[Polygon]
    spectra: NDArray[np.float64]  # (objects, 8)
    texture: float
    flat: bool = True
    plants: bool = False


@dataclass(frozen=True)
class Ground:
    """What the satellite would see from nearby.

    Attributes:
        reflectance: (8, h, w).
        plants: (h, w) where trees or fields are on top.
    """

    reflectance: Image
    plants: NDArray[np.bool_]


class Painter:
    """Draws the scenes of one region, which share their soil and their grass."""

    def __init__(self, rng: np.random.Generator, params: SurfaceParams) -> None:
        self._params = params
        self._soil = np.array(params.soil) * (1 + 0.1 * rng.normal()) * (1 + 0.04 * rng.normal(size=8))
        self._grass = rng.uniform(*params.grass)

    def paint(self, rng: np.random.Generator, land: Landscape, cell_m: float, shadow_m: tuple[float, float]) -> Ground:
        """The scene on cells of `cell_m`; `shadow_m` is where a height of 1 m throws its shadow."""
        shape = (round(land.size_m[1] / cell_m), round(land.size_m[0] / cell_m))
        kinds = self._kinds(rng, land)
        owner = _owners(kinds, shape, cell_m)
        spectra = np.concatenate([self._soil[None], *(kind.spectra for kind in kinds)]) / 100
        image = np.asarray(spectra.T[:, owner], dtype=np.float32)
        self._grow_grass(image, owner == 0, rng, cell_m)
        texture = _each(kinds, self._params.texture["soil"], [kind.texture for kind in kinds]).astype(np.float32)
        light = 1 + texture[owner] * _roughness(rng, shape, cell_m)
        light *= self._rows(rng, owner, len(land.fields), cell_m)
        shaded = self._shadows(land, shape, cell_m, shadow_m) & _each(kinds, True, [kind.flat for kind in kinds])[owner]
        light[shaded] *= self._params.shadow
        plants = _each(kinds, False, [kind.plants for kind in kinds])
        return Ground(np.clip(image * light, 0.002, 1).astype(np.float32), plants[owner])

    def _kinds(self, rng: np.random.Generator, land: Landscape) -> list[_Kind]:
        """Bottom first; fields have the first numbers."""
        p, rough = self._params, self._params.texture
        vary = self._varied
        vehicles = [*land.large_vehicles, *land.small_vehicles]
        paint = np.repeat(rng.uniform(*p.vehicles, (len(vehicles), 1)), 8, axis=1)
        return [
            _Kind(land.fields, self._field_spectra(rng, len(land.fields)), rough["crops"], plants=True),
            _Kind(land.tracks, vary(rng, p.track, len(land.tracks), p.spread / 2), rough["track"]),
            _Kind(land.rivers, vary(rng, p.waterway, len(land.rivers), p.spread), rough["water"]),
            _Kind(land.ponds, vary(rng, p.standing_water, len(land.ponds), p.spread), rough["water"]),
            _Kind(land.roads, vary(rng, p.road, len(land.roads), p.spread), rough["road"]),
            _Kind(vehicles, paint, 0.0),
            _Kind(land.misc, vary(rng, p.misc, len(land.misc), p.spread), rough["roof"], flat=False),
            _Kind(
                land.buildings, vary(rng, p.buildings, len(land.buildings), p.roof_spread), rough["roof"], flat=False
            ),
            _Kind(land.trees, vary(rng, p.trees, len(land.trees), p.spread), rough["trees"], flat=False, plants=True),
        ]

    def _varied(self, rng: np.random.Generator, kind: Eight, count: int, spread: float) -> NDArray[np.float64]:
        """(count, 8): objects of one kind, each with a brightness and a colour of its own."""
        brightness = np.exp(spread * rng.standard_normal((count, 1)))
        colour = 1 + self._params.band_spread * rng.standard_normal((count, 8))
        return np.array(kind) * brightness * colour

    def _field_spectra(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Plants over soil; some fields are bare."""
        cover = rng.uniform(*self._params.crop_cover, (count, 1))
        cover[rng.random(count) < self._params.bare_fields] = 0.05
        plants = self._varied(rng, self._params.crops, count, self._params.spread)
        return np.asarray(cover * plants + (1 - cover) * 0.85 * self._soil)

    def _grow_grass(self, image: Image, ground: NDArray[np.bool_], rng: np.random.Generator, cell_m: float) -> None:
        """Mix grass, a paler crop, into the open ground, in patches."""
        patches = self._grass * (1 + 0.8 * _noise(rng, ground.shape, 15 / cell_m))
        share = np.clip(patches[ground], 0, 0.8)
        grass = np.array(self._params.crops, dtype=np.float32) / 100 * np.float32(0.85)
        image[:, ground] = image[:, ground] * (1 - share) + grass[:, None] * share

    def _rows(self, rng: np.random.Generator, owner: NDArray[np.int32], fields: int, cell_m: float) -> Image:
        """(h, w): stripes in each field along a direction of its own; 1 elsewhere. Fields own 1 .. `fields`."""
        light = np.ones(owner.shape, dtype=np.float32)
        inside = (owner >= 1) & (owner <= fields)
        which = owner[inside] - 1
        y, x = (axis * cell_m for axis in np.nonzero(inside))
        turn = rng.uniform(0, np.pi, fields)
        waves = 2 * np.pi / rng.uniform(*self._params.row_m, fields)
        contrast = rng.uniform(*self._params.row_contrast, fields)
        if fields:
            phase = (x * np.cos(turn)[which] + y * np.sin(turn)[which]) * waves[which]
            light[inside] += (contrast[which] * np.sin(phase)).astype(np.float32)
        return light

    def _shadows(
        self, land: Landscape, shape: tuple[int, int], cell_m: float, shadow_m: tuple[float, float]
    ) -> NDArray[np.bool_]:
        import shapely
        from shapely.affinity import translate

        dark = np.zeros(shape, dtype=np.int32)
        heights = [*land.heights_m, *(2.5 for _ in land.misc)]
        for thing, height in zip([*land.buildings, *land.misc], heights, strict=True):
            moved = translate(thing, shadow_m[0] * height, shadow_m[1] * height)
            _fill(dark, shapely.union_all([thing, moved]).convex_hull, cell_m, 1)
        for crown in land.trees:
            height = self._params.tree_height * (crown.area / np.pi) ** 0.5
            _fill(dark, translate(crown, shadow_m[0] * height, shadow_m[1] * height), cell_m, 1)
        return dark > 0


def _owners(kinds: Sequence[_Kind], shape: tuple[int, int], cell_m: float) -> NDArray[np.int32]:
    """(h, w): which object is on top, numbered through all kinds from 1; 0 is open ground."""
    owner = np.zeros(shape, dtype=np.int32)
    for number, polygon in enumerate((polygon for kind in kinds for polygon in kind.polygons), start=1):
        _fill(owner, polygon, cell_m, number)
    return owner


def _each(kinds: Sequence[_Kind], ground: float, values: Sequence[float]) -> NDArray[Any]:
    """A value of each kind, an entry an object; first that of the open ground."""
    counts = [len(kind.polygons) for kind in kinds]
    return np.concatenate([[ground], np.repeat(values, counts)]).astype(np.asarray(ground).dtype)


def _fill(target: NDArray[np.int32], polygon: Polygon, cell_m: float, value: int) -> None:
    """Write `value` where the polygon, with its holes left out, covers the cells."""
    import cv2

    rings = [polygon.exterior, *polygon.interiors]
    # Whole 16ths of a cell; OpenCV counts from the centres of cells.
    points = [np.rint((np.array(ring.coords) / cell_m - 0.5) * 16).astype(np.int32) for ring in rings]
    cv2.fillPoly(target, points, value, lineType=cv2.LINE_8, shift=4)


def _roughness(rng: np.random.Generator, shape: tuple[int, int], cell_m: float) -> Image:
    """(h, w) of unit spread: grain, clumps and slow changes."""
    scales = ((0.8, 0.5), (3.0, 0.3), (20.0, 0.2))
    mixed = sum(share * _noise(rng, shape, size / cell_m) for size, share in scales)
    return np.asarray(mixed / 0.6, dtype=np.float32)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Image:
    """(h, w) of unit spread that changes over `sigma` cells, made on a coarser grid where that is as good."""
    import cv2

    step = max(1, int(sigma / 2))
    height, width = shape
    coarse = rng.standard_normal((height // step + 2, width // step + 2), dtype=np.float32)
    soft = cv2.GaussianBlur(coarse, (0, 0), sigma / step)
    soft *= np.float32(2 * np.sqrt(np.pi) * sigma / step)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR))
