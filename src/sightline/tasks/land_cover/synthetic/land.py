"""What a made-up scene consists of, in metres, x to the right and y down, and the shapes it is made from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen

if TYPE_CHECKING:
    from shapely import Geometry, LineString, Polygon

Span = tuple[float, float]
Points = NDArray[np.float64]


class LandParams(Frozen):
    """What there is and how large. Pairs are the bounds of a uniform draw; shares are of the scene's area."""

    crops_settled: Span
    crops_open: Span = Field(description="of the open scenes that have fields at all")
    cropped_open: float = Field(ge=0, le=1, description="share of the open scenes with fields")
    trees_settled: Span
    trees_open: Span
    buildings: Span = Field(description="settled scenes only")
    tracks_m_per_km2: Span = Field(description="length of tracks")
    roads_m_per_km2: Span = Field(description="length of roads, settled scenes only")
    ponds_per_km2: float = Field(ge=0)
    small_vehicles_per_km2: float = Field(ge=0)
    large_vehicles_per_km2: float = Field(ge=0)
    misc_per_building: float = Field(ge=0, description="sheds, tanks and walls")
    road_m: Span
    track_m: Span
    river_m: Span
    pond_radius_m: Span
    tree_radius_m: Span
    field_m: float = Field(gt=20, description="longest side of a field")
    building_m: tuple[Span, Span] = Field(description="along and across the road")
    setback_m: Span
    gap_m: Span
    small_vehicle_m: Span
    large_vehicle_m: Span
    building_height_m: Span


@dataclass
class Landscape:
    """Polygons in metres, class by class; `lines` are the middles of roads and tracks.

    `heights_m` are those of the buildings.
    """

    size_m: tuple[float, float]  # width, height
    roads: list[Polygon] = field(default_factory=list)
    tracks: list[Polygon] = field(default_factory=list)
    rivers: list[Polygon] = field(default_factory=list)
    ponds: list[Polygon] = field(default_factory=list)
    buildings: list[Polygon] = field(default_factory=list)
    heights_m: list[float] = field(default_factory=list)
    misc: list[Polygon] = field(default_factory=list)
    fields: list[Polygon] = field(default_factory=list)
    trees: list[Polygon] = field(default_factory=list)
    large_vehicles: list[Polygon] = field(default_factory=list)
    small_vehicles: list[Polygon] = field(default_factory=list)
    road_lines: list[LineString] = field(default_factory=list)
    track_lines: list[LineString] = field(default_factory=list)

    @property
    def area_m2(self) -> float:
        """Of the ground."""
        return self.size_m[0] * self.size_m[1]

    @property
    def frame(self) -> Polygon:
        """Its edge."""
        import shapely

        return shapely.box(0, 0, *self.size_m)

    def classes(self) -> list[list[Polygon]]:
        """The polygons of ClassType 1 .. 10."""
        return [
            *(self.buildings, self.misc, self.roads, self.tracks, self.trees, self.fields),
            *(self.rivers, self.ponds, self.large_vehicles, self.small_vehicles),
        ]


def directions(angle_rad: float) -> tuple[Points, Points]:
    """Unit vectors ahead and aside."""
    return (
        np.array([math.cos(angle_rad), math.sin(angle_rad)]),
        np.array([-math.sin(angle_rad), math.cos(angle_rad)]),
    )


def blob(rng: np.random.Generator, centre: Points, radius_m: float, corners: int, roughness: float) -> Polygon:
    """A round shape with a smooth, uneven edge that encloses about pi radius^2."""
    import shapely

    turn = np.arange(corners) * (2 * np.pi / corners)
    radii = np.full(corners, radius_m)
    for waves in (2, 3, 4):
        radii += radius_m * roughness / 2 * rng.normal() * np.cos(waves * turn + rng.uniform(0, 2 * np.pi))
    radii = np.clip(radii, 0.5 * radius_m, 1.6 * radius_m)
    return shapely.Polygon(centre + np.column_stack([np.cos(turn), np.sin(turn)]) * radii[:, None])


def polygons_in(shape: Geometry) -> list[Polygon]:
    """The areas in a geometry."""
    import shapely

    return [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and not part.is_empty]
