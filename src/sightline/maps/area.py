"""An area of interest on Earth, checked once; cut at the antimeridian, and joined over it for rasters.

    area = read_area(bbox="179.9,-17.0,-179.9,-16.8")     # Fiji: W > E crosses the antimeridian
    area.shape     a MultiPolygon of two parts, -180 .. 180, as RFC 7946 wants it
    area.bounds    (179.9, -17.0, 180.1, -16.8): one box, that one raster can cover

Edges are straight in longitude and latitude. An edge of more than 180 degrees is taken to go the shorter way round.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.errors import RequestError
from sightline.maps.outlines import Ring, Rings, outline_of_bbox, outline_of_geojson, outline_of_wkt
from sightline.maps.zoom import EARTH_RADIUS_M

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon
    from shapely.geometry.base import BaseGeometry

MOST_LATITUDE = 85.0511287798066
"""Where web mercator ends: its square reaches as far north as east."""

_FARTHEST_LONGITUDE = 540.0
"""Maps that scroll round the Earth write longitudes beyond 180; one more turn is understood."""

_LONGEST_EDGE_DEG, _EDGES = 0.01, 1000
_ECCENTRICITY = 0.0818191908426215
"""Of WGS 84."""


@dataclass(frozen=True)
class Area:
    """One or more polygons on Earth.

    Attributes:
        shape: in longitude and latitude (EPSG:4326), -180 .. 180, cut at the antimeridian.
        joined: the same as one raster would show it: longitudes go on beyond 180 where that makes it narrower.
    """

    shape: MultiPolygon
    joined: MultiPolygon

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees; the east lies beyond 180 where the area crosses the antimeridian."""
        west, south, east, north = self.joined.bounds
        return west, south, east, north

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """The bounds in EPSG:3857, metres; the east may lie beyond the end of the projection likewise."""
        west, south, east, north = self.bounds
        (left, right), (bottom, top) = to_mercator([west, east], [south, north])
        return float(left), float(bottom), float(right), float(top)

    @property
    def centre(self) -> tuple[float, float]:
        """Longitude (-180 .. 180) and latitude of the bounds' middle."""
        west, south, east, north = self.bounds
        return float(wrapped((west + east) / 2)), (south + north) / 2

    @cached_property
    def mercator(self) -> MultiPolygon:
        """`joined` in EPSG:3857, metres. Long edges, straight in degrees, become lines of many corners there."""
        import shapely

        def project(corners: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack(to_mercator(corners[:, 0], corners[:, 1]), axis=1)

        west, south, east, north = self.bounds
        step = max(_LONGEST_EDGE_DEG, (east - west) / _EDGES, (north - south) / _EDGES)
        return shapely.transform(shapely.segmentize(self.joined, step), project)

    @cached_property
    def area_km2(self) -> float:
        """Square kilometres on the ellipsoid of WGS 84, by its equal-area cylinder (Snyder, 1987, eq. 3-12)."""
        import shapely

        def flatten(corners: NDArray[np.float64]) -> NDArray[np.float64]:
            sine, e = np.sin(np.radians(corners[:, 1])), _ECCENTRICITY
            q = (1 - e**2) * (sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e)
            return np.stack([np.radians(corners[:, 0]), q / 2], axis=1) * EARTH_RADIUS_M

        return float(shapely.transform(shapely.segmentize(self.shape, 0.1), flatten).area) / 1e6


def to_mercator(longitudes: ArrayLike, latitudes: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """EPSG:3857, metres east and north; longitudes beyond 180 go on eastwards."""
    x = EARTH_RADIUS_M * np.radians(np.asarray(longitudes, dtype=np.float64))
    y = EARTH_RADIUS_M * np.arcsinh(np.tan(np.radians(np.asarray(latitudes, dtype=np.float64))))
    return x, y


def wrapped(longitudes: ArrayLike) -> NDArray[np.float64]:
    """Longitudes in -180 .. 180; what lies there already keeps its bits, so 180 stays 180."""
    values = np.asarray(longitudes, dtype=np.float64)
    return np.asarray(np.where(np.abs(values) <= 180, values, (values + 180) % 360 - 180))


def read_area(bbox: str = "", geojson: str | Path = "", wkt: str = "") -> Area:
    """The area that exactly one of the three describes.

    Args:
        bbox: `W,S,E,N` in degrees; W > E crosses the antimeridian.
        geojson: a GeoJSON text, or the `Path` of a file.
        wkt: a POLYGON or MULTIPOLYGON.

    Raises:
        RequestError: none or several are given; or the outline is no polygon, broken, without area, self-crossing,
            beyond web mercator's end, round a pole, has swapped corners or too many.
    """
    given = {"bbox": bbox, "geojson": geojson, "wkt": wkt}
    named = [name for name, value in given.items() if value]
    if len(named) != 1:
        found = f"{' and '.join(named)} are given" if named else "none is given"
        raise RequestError(
            f"an area needs exactly one of bbox, geojson and wkt; {found}",
            where="area",
            way_out="Give exactly one of bbox, geojson and wkt.",
        )
    if bbox:
        return _area([[_checked_ring(ring, "bbox") for ring in rings] for rings in outline_of_bbox(bbox)], "bbox")
    outlines = outline_of_geojson(geojson) if geojson else outline_of_wkt(wkt)
    return _area([_unrolled(rings, named[0]) for rings in outlines], named[0])


def _checked_ring(ring: Ring, where: str) -> Ring:
    """Refuses corners that do not lie on the map, and guesses at the usual reason."""
    longitudes, latitudes = np.abs(ring).max(axis=0)
    if latitudes > 90 and longitudes <= 90:
        raise RequestError(
            f"a latitude of {latitudes:g} does not exist; longitude and latitude may be swapped",
            where=where,
            way_out="Write the longitude first, then the latitude.",
        )
    if latitudes > MOST_LATITUDE + 1e-7:
        raise RequestError(
            f"the latitude {latitudes:g} lies beyond {MOST_LATITUDE:.4f}, where web-mercator tiles end",
            where=where,
            way_out="Give an area without the pole.",
        )
    if longitudes > _FARTHEST_LONGITUDE:
        raise RequestError(
            f"a longitude of {longitudes:g} does not exist", where=where, way_out="Give longitudes from -180 to 180."
        )
    if np.ptp(ring[:, 0]) > 360:
        raise RequestError("the area goes round the Earth more than once", where=where, way_out="Give a smaller area.")
    return ring


def _unrolled(rings: Rings, where: str) -> Rings:
    """A polygon's rings with longitudes that do not jump, each hole on the same turn as its outer ring."""
    unrolled: Rings = []
    for ring in (_checked_ring(one, where) for one in rings):
        steps = np.diff(ring[:, 0], append=ring[:1, 0])
        # A step of exactly 360 degrees is the edge of a box that spans the whole Earth.
        steps = np.where((np.abs(steps) > 180) & (np.abs(steps) < 360), steps - 360 * np.sign(steps), steps)
        if abs(steps.sum()) > 1:
            raise RequestError("the outline goes round a pole", where=where, way_out="Give an area without the pole.")
        longitudes = ring[0, 0] + np.concatenate([[0.0], np.cumsum(steps)[:-1]])
        longitudes = np.where(np.abs(longitudes - ring[:, 0]) < 1, ring[:, 0], longitudes)  # the bits that were given
        if unrolled:
            longitudes += 360 * np.round((unrolled[0][:, 0].mean() - longitudes.mean()) / 360)
        unrolled.append(np.stack([longitudes, ring[:, 1]], axis=1))
    return unrolled


def _area(outlines: Iterable[Rings], where: str) -> Area:
    import shapely

    whole = shapely.union_all([_polygon(rings, where) for rings in outlines])
    parts = sorted((part for shifted in _turns(whole) for part in _polygons(shifted)), key=lambda part: part.bounds)
    shape = shapely.MultiPolygon(_polygons(shapely.union_all(parts)))
    return Area(shape=shape, joined=_joined(shape))


def _polygon(rings: Rings, where: str) -> Polygon:
    """A valid polygon with an area, or a message that says where it fails."""
    import shapely

    for ring in rings:
        if len(np.unique(ring, axis=0)) < 3 or shapely.Polygon(ring).envelope.area == 0:
            raise RequestError("the area is empty", where=where, way_out="Give an outline of three corners or more.")
    polygon = shapely.Polygon(rings[0], rings[1:])
    reason, _, place = shapely.is_valid_reason(polygon).partition("[")
    if place:
        longitude, latitude = place.rstrip("]").split()[:2]
        crosses = "the outline crosses or touches itself" if "ntersection" in reason else reason.strip().lower()
        raise RequestError(
            f"{crosses} at longitude {float(wrapped(float(longitude))):.6g}, latitude {float(latitude):.6g}",
            where=where,
            way_out="Correct the outline, or draw several polygons.",
        )
    if polygon.area == 0:
        raise RequestError("the area is empty", where=where, way_out="Give an outline of three corners or more.")
    return polygon


def _turns(shape: BaseGeometry) -> Iterable[BaseGeometry]:
    """What of a shape lies on each turn round the Earth, moved to -180 .. 180."""
    import shapely
    from shapely.affinity import translate

    west, _, east, _ = shape.bounds
    if west >= -180 and east <= 180:
        yield shape  # untouched: the corners keep their bits
        return
    for turn in range(math.floor((west + 180) / 360), math.ceil((east - 180) / 360) + 1):
        strip = shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)
        yield translate(shapely.intersection(shape, strip), xoff=-360 * turn)


def _polygons(shape: BaseGeometry) -> list[Polygon]:
    """A geometry's polygons; the lines and points that a cut may leave are dropped."""
    import shapely

    return [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and part.area > 0]


def _joined(shape: MultiPolygon) -> MultiPolygon:
    """The parts moved by whole turns so that together they are as narrow as can be."""
    import shapely
    from shapely.affinity import translate

    start = _western_end([(part.bounds[0], part.bounds[2]) for part in shape.geoms])
    moved = [translate(part, xoff=360) if part.bounds[0] < start else part for part in shape.geoms]
    return shapely.MultiPolygon(_polygons(shapely.union_all(moved)))


def _western_end(spans: list[tuple[float, float]]) -> float:
    """Where the narrowest interval that holds all spans of longitude begins: east of their widest gap."""
    merged: list[list[float]] = []
    for west, east in sorted(spans):
        if merged and west <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], east)
        else:
            merged.append([west, east])
    # The gap over the antimeridian comes first: among equals, nothing is moved.
    best, widest = merged[0][0], merged[0][0] + 360 - merged[-1][1]
    for (_, before), (after, _) in pairwise(merged):
        if after - before > widest:
            best, widest = after, after - before
    return best
