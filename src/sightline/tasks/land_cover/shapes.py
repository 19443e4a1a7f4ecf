"""Polygons of the ten classes: WKT in grid units to masks of pixels, and back. Holes are kept both ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.tasks.land_cover.grid import Grid
from sightline.vision.masks import mask_of

if TYPE_CHECKING:
    from shapely import Geometry, Polygon

CLASSES = (
    *("buildings", "misc_structures", "roads", "tracks", "trees"),
    *("crops", "waterways", "standing_water", "large_vehicles", "small_vehicles"),
)
"""ClassType 1 .. 10 of the competition. They overlap: a tree may stand in a field."""

EMPTY = "MULTIPOLYGON EMPTY"

"""Of coordinates in grid units: a ten-thousandth of a pixel."""

Labels = Mapping[int, str]
"""ClassType -> WKT in grid units, of one image."""


@dataclass(frozen=True)
class Shapes:
    """What one WKT says.

    Attributes:
        polygons: valid ones, in the coordinates of the WKT.
        repaired: how many crossed or touched themselves and were made valid: what a crossing encloses is kept.
    """

    polygons: tuple[Polygon, ...]
    repaired: int = 0


def read_wkt(text: str, where: str) -> Shapes:
    """Polygons of a WKT; none for `MULTIPOLYGON EMPTY` and `GEOMETRYCOLLECTION EMPTY`, of which both occur.

    Raises:
        DataRejected: it is not WKT, has coordinates that are not finite, or holds something without area.
    """
    import shapely

    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told below
            geometry = shapely.from_wkt(text)
    except (shapely.GEOSException, TypeError) as error:
        shown = text if len(text) < 40 else f"{text[:40]}..."
        raise DataRejected(f"this is not WKT: {shown!r}", where=where, way_out=_EXPORT) from error
    if geometry is None or not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise DataRejected("a coordinate is not a finite number", where=where, way_out=_EXPORT)
    polygons: list[Polygon] = []
    repaired = 0
    for part in _parts(geometry):
        if part.geom_type != "Polygon":
            raise DataRejected(f"a {part.geom_type} is not an area", where=where, way_out=_EXPORT)
        if part.is_valid:
            polygons.append(cast("Polygon", part))
        else:
            repaired += 1
            pieces = _parts(shapely.make_valid(part))
            polygons += [cast("Polygon", piece) for piece in pieces if piece.geom_type == "Polygon"]
    return Shapes(tuple(polygons), repaired)


_EXPORT = "Export the labels again as POLYGON or MULTIPOLYGON."


def _parts(geometry: Geometry) -> list[Geometry]:
    """Simple parts of a geometry, also of collections in collections; none of an empty one."""
    if geometry.is_empty:
        return []
    if hasattr(geometry, "geoms"):
        return [part for inner in geometry.geoms for part in _parts(inner)]
    return [geometry]


def read_shapes(labels: Labels, where: str) -> dict[int, Shapes]:
    """ClassType -> polygons in grid units of one image.

    Raises:
        DataRejected: a class is unknown or has no row, or a WKT is refused; names the class.
    """
    for kind in sorted(set(labels) - set(range(1, len(CLASSES) + 1))):
        raise DataRejected(f"the class {kind} is unknown", where=where, way_out="Write a ClassType of 1 to 10.")
    for kind, name in enumerate(CLASSES, start=1):
        if kind not in labels:
            raise DataRejected(
                f"there is no row for class {kind} ({name})",
                where=where,
                way_out=f"Add a row; write {EMPTY} where the class is absent.",
            )
    return {kind: read_wkt(text, f"{where}, class {kind}") for kind, text in sorted(labels.items())}


def label_mask(labels: Labels, size: tuple[int, int], grid: Grid, where: str = "labels") -> NDArray[np.bool_]:
    """(10, h, w): which pixels of a raster of `size` (h, w) each class covers. Polygons may leave the frame.

    Raises:
        DataRejected: as `read_shapes`.
    """
    from shapely import MultiPolygon

    masks = np.zeros((len(CLASSES), *size), dtype=bool)
    for kind, shapes in read_shapes(labels, where).items():
        if shapes.polygons:
            in_pixels = grid.to_pixels(MultiPolygon(shapes.polygons), size)
            masks[kind - 1] = mask_of(in_pixels.geoms, size)
    return masks


def area_shares(shapes: Mapping[int, Shapes], size: tuple[int, int], grid: Grid) -> NDArray[np.float64]:
    """(10,) area of each class over that of a tile of `size` (h, w); what lies twice in a class counts twice."""
    right, down = grid.pixel_units(size)
    areas = [sum(polygon.area for polygon in shapes[kind].polygons) for kind in range(1, len(CLASSES) + 1)]
    return np.array(areas, dtype=np.float64) * (right * -down / (size[0] * size[1]))
