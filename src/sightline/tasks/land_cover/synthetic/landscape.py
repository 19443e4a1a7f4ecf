"""A made-up landscape: ways first, then water, buildings, fields, trees and vehicles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Literal

import numpy as np

from sightline.tasks.land_cover.synthetic.land import LandParams, Landscape, Points, blob, directions, polygons_in
from sightline.tasks.land_cover.synthetic.planting import plant, till

if TYPE_CHECKING:
    from shapely import LineString, Polygon

Kind = Literal["settled", "open"]


def build_landscape(
    rng: np.random.Generator,
    params: LandParams,
    size_m: tuple[float, float],
    kind: Kind,
    course_rad: float,
    river: bool,
) -> Landscape:
    """Draw a scene; `course_rad` is the direction of its region's roads and fields."""
    land = Landscape(size_m)
    _lay_ways(rng, params, land, kind, course_rad)
    _lay_water(rng, params, land, course_rad, river)
    if kind == "settled":
        _build_along(rng, params, land)
        _add_misc(rng, params, land)
    till(rng, params, land, _crop_share(rng, params, kind), course_rad)
    plant(rng, params, land, rng.uniform(*(params.trees_settled if kind == "settled" else params.trees_open)))
    _park(rng, params, land)
    return land


def _crop_share(rng: np.random.Generator, params: LandParams, kind: Kind) -> float:
    if kind == "settled":
        return float(rng.uniform(*params.crops_settled))
    has_fields, share = rng.random() < params.cropped_open, rng.uniform(*params.crops_open)
    return float(share) if has_fields else 0.0


# --------------------------------------------------------------------------------------------------- ways, water


def _lay_ways(rng: np.random.Generator, params: LandParams, land: Landscape, kind: Kind, course_rad: float) -> None:
    """Roads along the region's course, tracks along and across it, of the wanted lengths on average."""
    import shapely

    km2 = land.area_m2 / 1e6
    wanted_m = rng.uniform(*params.roads_m_per_km2) * km2 if kind == "settled" else 0.0
    for line in _lines(rng, land, wanted_m, lambda number: course_rad + rng.normal(0, 0.1) + math.pi / 2 * number, 6.0):
        land.road_lines.append(line)
        land.roads.append(line.buffer(rng.uniform(*params.road_m) / 2, cap_style="flat"))
    wanted_m = rng.uniform(*params.tracks_m_per_km2) * km2
    roads = shapely.union_all(land.roads)
    for line in _lines(
        rng, land, wanted_m, lambda _: course_rad + rng.normal(0, 0.25) + math.pi / 2 * rng.integers(2), 14.0
    ):
        land.track_lines.append(line)
        track = line.buffer(rng.uniform(*params.track_m) / 2, cap_style="flat").difference(roads)
        land.tracks += polygons_in(track)


def _lines(
    rng: np.random.Generator, land: Landscape, wanted_m: float, turn: Callable[[int], float], sway_m: float
) -> Iterator[LineString]:
    """Winding lines of this length in all; the last one by chance, so that the mean is right.

    `turn` gives the direction of line 0, 1 ...
    """
    frame = land.frame
    for number in count():
        line = _crossing(rng, land, turn(number), sway_m)
        length_m = max(float(line.intersection(frame).length), 1.0)
        if rng.random() * length_m > wanted_m:
            return
        wanted_m -= length_m
        yield line


def _crossing(rng: np.random.Generator, land: Landscape, angle_rad: float, sway_m: float) -> LineString:
    """A winding line through a point of the scene, from beyond one side to beyond another, cut to the frame."""
    import shapely

    width, height = land.size_m
    middle = np.array([rng.uniform(0.15, 0.85) * width, rng.uniform(0.15, 0.85) * height])
    reach = math.hypot(width, height)
    along = np.arange(-reach, reach, 6.0)
    across = np.zeros_like(along)
    for length_m in (reach * 0.8, reach * 0.35):
        across += sway_m * rng.normal(0, 0.7) * np.sin(along * (2 * np.pi / length_m) + rng.uniform(0, 2 * np.pi))
    ahead, aside = directions(angle_rad)
    line = shapely.LineString(middle + along[:, None] * ahead + across[:, None] * aside)
    frame = shapely.box(-15, -15, width + 15, height + 15)
    pieces = [part for part in shapely.get_parts(line.intersection(frame)) if part.geom_type == "LineString"]
    return max(pieces, key=lambda piece: float(piece.length))


def _lay_water(rng: np.random.Generator, params: LandParams, land: Landscape, course_rad: float, river: bool) -> None:
    """A river under the roads and through the tracks; ponds away from both."""
    import shapely

    roads = shapely.union_all(land.roads)
    if river:
        line = _crossing(rng, land, course_rad + rng.uniform(0.4, 1.1), 30.0)
        water = line.buffer(rng.uniform(*params.river_m) / 2, cap_style="flat")
        land.rivers = polygons_in(water.difference(roads))
        land.tracks = [part for track in land.tracks for part in polygons_in(track.difference(water))]
    taken = shapely.union_all([*land.roads, *land.tracks, *land.rivers])
    for _ in range(rng.poisson(params.ponds_per_km2 * land.area_m2 / 1e6)):
        centre = rng.uniform(0.05, 0.95, 2) * land.size_m
        pond = blob(rng, centre, rng.uniform(*params.pond_radius_m), 18, 0.18)
        if not pond.buffer(1.5).intersects(taken):
            land.ponds.append(pond)


# ----------------------------------------------------------------------------------------------------- buildings


def _build_along(rng: np.random.Generator, params: LandParams, land: Landscape) -> None:
    """Houses on both sides of roads and tracks, until their share of the ground is reached."""
    import shapely

    wanted_m2 = rng.uniform(*params.buildings) * land.area_m2
    taken = shapely.union_all([*land.roads, *land.tracks, *land.rivers, *land.ponds]).buffer(1.5)
    shapely.prepare(taken)
    frame = land.frame
    plots = [plot for line in (*land.road_lines, *land.track_lines) for plot in _plots(rng, params, line)]
    centres: list[tuple[float, float, float]] = []
    for plot in plots:
        if wanted_m2 <= 0:
            return
        x, y = plot.centroid.x, plot.centroid.y
        reach = float(shapely.minimum_bounding_radius(plot))
        apart = all(math.hypot(x - u, y - v) > reach + other for u, v, other in centres)
        if apart and not taken.intersects(plot):
            land.buildings.append(plot)
            land.heights_m.append(float(rng.uniform(*params.building_height_m)))
            centres.append((x, y, reach))
            wanted_m2 -= plot.intersection(frame).area


def _plots(rng: np.random.Generator, params: LandParams, line: LineString) -> list[Polygon]:
    """Footprints that a way offers, left and right of it, from its one end to the other."""
    plots = []
    for side in (-1, 1):
        at = rng.uniform(0, 15)
        while at < line.length:
            long, deep = (rng.uniform(*span) for span in params.building_m)
            here, ahead = (np.array(line.interpolate(at + step).coords[0]) for step in (0, 1.0))
            angle = math.atan2(*(ahead - here)[::-1]) + rng.normal(0, 0.04)
            aside = directions(angle)[1] * side
            centre = here + aside * (4.0 + rng.uniform(*params.setback_m) + deep / 2)
            plots.append(_house(rng, centre, (long, deep), angle))
            at += long + rng.uniform(*params.gap_m)
    return plots


def _house(rng: np.random.Generator, centre: Points, size_m: tuple[float, float], angle_rad: float) -> Polygon:
    """A rectangle, or an L where it is large."""
    long, deep = size_m
    house = _rectangle(centre, long, deep, angle_rad)
    if long * deep > 150 and rng.random() < 0.5:
        ahead, aside = directions(angle_rad)
        house = house.difference(
            _rectangle(centre + ahead * long / 3 + aside * deep / 3, long / 2, deep / 2, angle_rad)
        )
    return house


def _rectangle(centre: Points, long: float, wide: float, angle_rad: float) -> Polygon:
    import shapely

    ahead, aside = directions(angle_rad)
    corners = [centre + ahead * long / 2 * i + aside * wide / 2 * j for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return shapely.Polygon(corners)


def _add_misc(rng: np.random.Generator, params: LandParams, land: Landscape) -> None:
    """Sheds, tanks and walls in the yards of buildings."""
    import shapely

    taken = shapely.union_all([*land.roads, *land.tracks, *land.rivers, *land.ponds, *land.buildings]).buffer(0.5)
    shapely.prepare(taken)
    for house in land.buildings:
        centre = np.array(house.centroid.coords[0])
        for _ in range(rng.poisson(params.misc_per_building)):
            angle, choice = rng.uniform(0, 2 * np.pi), rng.random()
            place = centre + directions(angle)[0] * rng.uniform(11, 20)
            if choice < 0.35:
                thing = _rectangle(place, rng.uniform(3, 6), rng.uniform(2.5, 4.5), angle)
            elif choice < 0.5:
                thing = shapely.Point(place).buffer(rng.uniform(1.5, 3.5))
            else:
                thing = _rectangle(place, rng.uniform(12, 26), rng.uniform(0.9, 1.5), angle + math.pi / 2)
            land.misc += [part for part in polygons_in(thing.difference(taken)) if part.area > 2]


# ------------------------------------------------------------------------------------------------------ vehicles


def _park(rng: np.random.Generator, params: LandParams, land: Landscape) -> None:
    """Vehicles in the lanes of roads, or on tracks where there is no road; none under a tree or on another."""
    import shapely

    roads = bool(land.road_lines)
    lines = land.road_lines or land.track_lines
    if not lines:
        return
    crowns = shapely.union_all(land.trees)
    km2 = land.area_m2 / 1e6
    small = rng.poisson(params.small_vehicles_per_km2 * km2 * (2.6 if roads else 0.15))
    large = rng.poisson(params.large_vehicles_per_km2 * km2 * (2.9 if roads else 0.0))
    sizes = [(land.large_vehicles, params.large_vehicle_m)] * large
    sizes += [(land.small_vehicles, params.small_vehicle_m)] * small
    taken = crowns
    for vehicles, (long, wide) in sizes:
        line = lines[rng.integers(len(lines))]
        at, lane = rng.uniform(0, line.length - 1), rng.choice((-1.0, 1.0)) * (1.7 if roads else 0.0)
        here, ahead = (np.array(line.interpolate(at + step).coords[0]) for step in (0, 1.0))
        angle = math.atan2(*(ahead - here)[::-1])
        vehicle = _rectangle(here + directions(angle)[1] * lane, long, wide, angle)
        if not vehicle.intersects(taken):
            vehicles.append(vehicle)
            taken = taken.union(vehicle)
