"""Fields and trees of a made-up scene."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sightline.tasks.land_cover.synthetic.land import LandParams, Landscape, Points, blob, directions, polygons_in

if TYPE_CHECKING:
    from shapely import Geometry


def till(rng: np.random.Generator, params: LandParams, land: Landscape, share: float, course_rad: float) -> None:
    """Fields between everything else, until their share of the ground is reached."""
    import shapely

    if share == 0:
        return
    width, height = land.size_m
    side = math.hypot(width, height)
    strips = _split(rng, (-side / 2, -side / 2, side / 2, side / 2), params.field_m)
    ahead, aside = directions(course_rad)
    frame = land.frame
    ways = shapely.union_all([*land.roads, *land.tracks]).buffer(1.5)
    yards = shapely.union_all([*land.buildings, *land.misc]).buffer(5.0)
    taken = shapely.union_all([ways, yards, shapely.union_all([*land.rivers, *land.ponds]).buffer(3.0)])
    wanted_m2 = share * land.area_m2
    for index in rng.permutation(len(strips)):
        x0, y0, x1, y1 = strips[index]
        corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        strip = shapely.Polygon(np.array([width, height]) / 2 + corners[:, :1] * ahead + corners[:, 1:] * aside)
        clear = strip.buffer(-rng.uniform(0.8, 2.0)).intersection(frame).difference(taken)
        parts = [part for part in polygons_in(clear.buffer(-2).buffer(2)) if part.area > 250]
        if wanted_m2 > 0:
            land.fields += parts
            wanted_m2 -= sum(part.area for part in parts)


def _split(
    rng: np.random.Generator, box: tuple[float, float, float, float], longest_m: float
) -> list[tuple[float, float, float, float]]:
    """A rectangle cut until no side is longer than allowed."""
    x0, y0, x1, y1 = box
    if max(x1 - x0, y1 - y0) <= longest_m:
        return [box]
    cut = rng.uniform(0.35, 0.65)
    if x1 - x0 > y1 - y0:
        middle = x0 + cut * (x1 - x0)
        halves = ((x0, y0, middle, y1), (middle, y0, x1, y1))
    else:
        middle = y0 + cut * (y1 - y0)
        halves = ((x0, y0, x1, middle), (x0, middle, x1, y1))
    return [leaf for half in halves for leaf in _split(rng, half, longest_m)]


def plant(rng: np.random.Generator, params: LandParams, land: Landscape, share: float) -> None:
    """Trees in woods, beside ways and fields, and alone, until their share of the ground is reached."""
    import shapely

    low, high = params.tree_radius_m
    mean_m2 = math.pi * (low * low + low * high + high * high) / 3
    count = int(1.25 * share * land.area_m2 / mean_m2)  # crowns overlap
    hard = shapely.union_all([*land.roads, *land.buildings, *land.rivers, *land.ponds, *land.misc]).buffer(2.0)
    fields = shapely.union_all(land.fields)
    edges = [fields.boundary, *(line.parallel_offset(7.0) for line in land.track_lines)]
    spots = np.concatenate([_woods(rng, land, 2 * count), _beside(rng, edges, 2 * count), _anywhere(rng, land, count)])
    spots = spots[rng.permutation(len(spots))]
    free = ~shapely.contains_xy(hard, spots) & (~shapely.contains_xy(fields, spots) | (rng.random(len(spots)) < 0.06))
    for spot in spots[free][:count]:
        land.trees.append(blob(rng, spot, rng.uniform(low, high), 12, 0.22))


def _woods(rng: np.random.Generator, land: Landscape, count: int) -> Points:
    woods = 1 + rng.poisson(25 * land.area_m2 / 1e6)
    centres = rng.uniform(0, 1, (woods, 2)) * land.size_m
    spread = rng.uniform(8, 30, woods)
    chosen = rng.integers(woods, size=count)
    return np.asarray(_inside(centres[chosen] + rng.normal(0, 1, (count, 2)) * spread[chosen, None], land))


def _beside(rng: np.random.Generator, lines: Sequence[Geometry], count: int) -> Points:
    import shapely

    network = shapely.union_all(list(lines))
    if network.is_empty:
        return np.empty((0, 2))
    at = rng.uniform(0, 1, count // 2)
    parts = [part for part in shapely.get_parts(network) if part.length > 0]
    lengths = np.array([part.length for part in parts])
    chosen = rng.choice(len(parts), size=len(at), p=lengths / lengths.sum())
    points = [
        parts[index].interpolate(share, normalized=True).coords[0] for index, share in zip(chosen, at, strict=True)
    ]
    return np.asarray(np.array(points).reshape(-1, 2) + rng.normal(0, 1.2, (len(at), 2)))


def _anywhere(rng: np.random.Generator, land: Landscape, count: int) -> Points:
    return np.asarray(rng.uniform(0, 1, (count, 2)) * land.size_m)


def _inside(points: Points, land: Landscape) -> Points:
    return points[((points > 0) & (points < land.size_m)).all(axis=1)]
