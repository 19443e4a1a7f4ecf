"""Outlines as people write them: a box, GeoJSON (RFC 7946) or WKT, longitude before latitude, in degrees.

What comes out are plain rings of numbers that were all checked to be numbers; what they mean on Earth is decided in
`area`. Text is untrusted: its size, depth and number of corners are bounded.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.errors import RequestError
from sightline.task import Json

MOST_CORNERS = 10_000
MOST_BYTES = 4 * 2**20

Ring = NDArray[np.float64]
"""(n, 2) longitude and latitude in degrees, not closed."""

Rings = list[Ring]
"""A polygon: its outer ring, then its holes."""

_EXAMPLE = "For example -5.46,36.12,-5.40,36.16."
_WKT = re.compile(r"^\s*(SRID\s*=\s*(?P<srid>\d+)\s*;)?\s*(MULTI)?POLYGON\b", re.IGNORECASE)
_LONGITUDE_FIRST = ("CRS84", "EPSG::4326", "EPSG:4326", "4979")


def outline_of_bbox(text: str) -> list[Rings]:
    """A box `W,S,E,N`. Where W is greater than E it crosses the antimeridian, as in RFC 7946.

    Raises:
        RequestError: not four numbers, corners the wrong way round, or a side without length.
    """
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        raise RequestError("a box is four numbers: west, south, east, north", where="bbox", way_out=_EXAMPLE) from error
    if not all(map(math.isfinite, (west, south, east, north))):
        raise RequestError("the box holds a number that is not finite", where="bbox", way_out=_EXAMPLE)
    if west == east or south == north:
        raise RequestError(
            "the box has no area", where="bbox", way_out=("Give two corners that differ in longitude and latitude.")
        )
    if south > north:
        raise RequestError(
            f"the corners are swapped: the south ({south:g}) lies above the north ({north:g})",
            where="bbox",
            way_out="The order is west, south, east, north.",
        )
    if west > east and west - east < 180:
        raise RequestError(
            f"the corners are swapped: from {west:g} eastwards to {east:g} is most of the way round the Earth",
            where="bbox",
            way_out="The order is west, south, east, north; W > E means a box over the antimeridian.",
        )
    east += 360 if west > east else 0
    return [[np.array([[west, south], [east, south], [east, north], [west, north]])]]


def outline_of_wkt(text: str) -> list[Rings]:
    """A POLYGON or MULTIPOLYGON in well-known text.

    Raises:
        RequestError: it is another thing, broken, in another reference system, or has too many corners.
    """
    import shapely

    _check_bytes(text, "wkt")
    start = _WKT.match(text)
    # Only these two are read: collections nest, and the parser follows them to any depth.
    if start is None:
        raise RequestError(
            "it is neither a POLYGON nor a MULTIPOLYGON", where="wkt", way_out="Give a Polygon or a MultiPolygon."
        )
    if start["srid"] not in (None, "4326"):
        raise RequestError(f"SRID {start['srid']} is not longitude and latitude", where="wkt", way_out=_REPROJECT)
    try:
        shape = shapely.from_wkt(text.partition(";")[2] if start["srid"] else text)
    except (shapely.errors.GEOSException, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RequestError(
            f"this is not well-known text ({reason})",
            where="wkt",
            way_out="Write POLYGON ((lon lat, lon lat, ...)), the first corner again at the end.",
        ) from error
    outlines = [
        [shapely.get_coordinates(ring)[:-1] for ring in (part.exterior, *part.interiors)]
        for part in shapely.get_parts(shape)
        if not part.is_empty
    ]
    return _checked(outlines, "wkt")


def outline_of_geojson(source: str | Path) -> list[Rings]:
    """The polygons of a GeoJSON text, or of a file where a `Path` is given; a text is never taken for a file's name.

    Raises:
        RequestError: the file cannot be read, it is no GeoJSON, holds no polygon or another thing besides, is in
            another reference system, or has too many corners.
    """
    where = f"geojson {source.name}" if isinstance(source, Path) else "geojson"
    text = _read(source, where) if isinstance(source, Path) else source
    _check_bytes(text, where)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(
            (f"the text is not valid JSON ({error})"), where=where, way_out="Give a GeoJSON document."
        ) from error
    if isinstance(document, dict):
        _check_system(document, where)
    outlines = [
        [_ring(ring, where) for ring in rings]
        for geometry in _geometries(document, where)
        for rings in _polygons(geometry, where)
    ]
    return _checked(outlines, where)


_REPROJECT = "Convert it to longitude and latitude (EPSG:4326) first."


def _read(path: Path, where: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"the file cannot be read ({error})", where=where, way_out="Check the path for a spelling mistake."
        ) from error


def _check_bytes(text: str, where: str) -> None:
    if len(text) > MOST_BYTES:
        raise RequestError(f"it is longer than {MOST_BYTES:,} characters", where=where, way_out=_SIMPLIFY)


def _check_system(document: Mapping[str, Json], where: str) -> None:
    """GeoJSON before RFC 7946 could name another reference system."""
    system = document.get("crs")
    if system is not None and not any(name in json.dumps(system) for name in _LONGITUDE_FIRST):
        raise RequestError("its crs is not longitude and latitude", where=where, way_out=_REPROJECT)


def _geometries(document: Json, where: str) -> list[dict[str, Json]]:
    """Geometries of a FeatureCollection, a Feature or a bare geometry; anything else is refused."""
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        features = document.get("features")
        if isinstance(features, list):
            return [_geometry_of_feature(feature, where) for feature in features]
    return [_geometry_of_feature(document, where)]


def _geometry_of_feature(document: Json, where: str) -> dict[str, Json]:
    inner = document.get("geometry") if isinstance(document, dict) and document.get("type") == "Feature" else document
    if not isinstance(inner, dict) or inner.get("type") not in ("Polygon", "MultiPolygon"):
        found = inner.get("type") if isinstance(inner, dict) else inner
        shown = found if isinstance(found, str | None) else type(found).__name__
        raise RequestError(
            f"it holds {shown!r} where a Polygon or MultiPolygon was expected",
            where=where,
            way_out="Give a Polygon or a MultiPolygon.",
        )
    return inner


def _polygons(geometry: Mapping[str, Json], where: str) -> list[list[Json]]:
    coordinates = geometry.get("coordinates")
    polygons = [coordinates] if geometry["type"] == "Polygon" else coordinates
    listed = [rings for rings in polygons if isinstance(rings, list)] if isinstance(polygons, list) else None
    if not isinstance(polygons, list) or listed is None or len(listed) < len(polygons):
        raise RequestError(
            "its coordinates are not lists",
            where=where,
            way_out="Write the coordinates as RFC 7946 (GeoJSON) describes.",
        )
    return [rings for rings in listed if rings]


def _ring(positions: Json, where: str) -> Ring:
    """A ring of GeoJSON without its closing corner; heights are left out."""
    listed = positions if isinstance(positions, list) else [None]
    numbers = [pair for position in listed if (pair := _pair(position)) is not None]
    if len(numbers) < len(listed):
        raise RequestError(
            "a position is not two numbers",
            where=where,
            way_out="Write the coordinates as RFC 7946 (GeoJSON) describes.",
        )
    if len(numbers) < 4 or numbers[0] != numbers[-1]:
        raise RequestError(
            "a ring is not closed: its first and last position differ, or it has fewer than four",
            where=where,
            way_out="Repeat the first position at the end of the ring.",
        )
    return np.array(numbers[:-1], dtype=np.float64)


def _pair(position: Json) -> list[float] | None:
    """The first two numbers of a position; None where these are none."""
    stated = position[:2] if isinstance(position, list) else []
    numbers = [value for value in stated if isinstance(value, int | float) and not isinstance(value, bool)]
    return numbers if len(numbers) == 2 and all(abs(value) < 1e9 for value in numbers) else None


_SIMPLIFY = "Simplify the outline: use fewer corners."


def _checked(outlines: list[Rings], where: str) -> list[Rings]:
    """Refuses what is empty, not finite or too detailed."""
    corners = sum(len(ring) for rings in outlines for ring in rings)
    if not corners:
        raise RequestError("the outline is empty", where=where, way_out="Give a Polygon or a MultiPolygon.")
    if corners > MOST_CORNERS:
        raise RequestError(f"{corners:,} corners are more than {MOST_CORNERS:,}", where=where, way_out=_SIMPLIFY)
    if not all(np.isfinite(ring).all() for rings in outlines for ring in rings):
        raise RequestError("a coordinate is not finite", where=where, way_out="Replace it by a finite number.")
    return outlines
