"""Masks, polygons, and what two masks share. Pixels: x to the right, y down; the first covers [0, 1] x [0, 1].

Polygons of a mask run along the edges of its pixels, so that mask -> polygons -> mask gives every pixel back.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, JsonValue

if TYPE_CHECKING:
    import rasterio
    from shapely import Polygon
    from shapely.geometry.base import BaseGeometry

    from sightline.task import Json

Mask = NDArray[np.bool_]


# ----------------------------------------------------------------------------------------------------- polygons


def polygons_of(mask: Mask, least_area_px: float = 0.0) -> list[Polygon]:
    """The patches of a mask as valid polygons with their holes, in the order of the frame from its top.

    Pixels that touch at a corner only are two patches.

    Args:
        mask: (h, w).
        least_area_px: smaller patches are left out, smaller holes filled (a hole is measured with what lies in it).
    """
    pixels = np.ascontiguousarray(mask, dtype=np.uint8)
    return traced(pixels, pixels.view(bool), least_area_px)


def traced(
    pixels: NDArray[np.uint8] | rasterio.Band, mask: NDArray[np.bool_] | rasterio.Band, least_area_px: float = 0.0
) -> list[Polygon]:
    """As `polygons_of`, also of a mask on disk, of which rasterio then holds a few rows only.

    Args:
        pixels: (h, w) uint8 of 0 and 1, or such a band of an open dataset (`rasterio.band`).
        mask: the same again; what is 0 in it is not looked at.
        least_area_px: see `polygons_of`.
    """
    from rasterio.features import shapes
    from shapely import Polygon

    found = []
    for geometry, _ in shapes(pixels, mask=mask, connectivity=4):
        shell, *holes = geometry["coordinates"]
        polygon = Polygon(shell, holes)
        if polygon.area < least_area_px:
            continue
        if least_area_px > 0 and holes:
            polygon = Polygon(shell, [hole for hole in holes if Polygon(hole).area >= least_area_px])
        found.append(polygon)
    return found


def mask_of(polygons: Iterable[BaseGeometry], shape: tuple[int, int]) -> Mask:
    """The pixels of a frame (h, w) whose centres lie in any of the polygons.

    Polygons and multipolygons may be empty, leave the frame or overlap; their coordinates are finite. One that crosses
    itself is repaired: what its outline goes round an even number of times is outside (`shapely.make_valid`).
    """
    import shapely
    from rasterio.features import rasterize

    parts = shapely.get_parts(np.array(list(polygons), dtype=object))
    broken = ~shapely.is_valid(parts)
    # A collection of polygons, and of lines that bound nothing and would be drawn as such.
    repaired = shapely.get_parts(shapely.get_parts(shapely.make_valid(parts[broken])))
    parts = np.concatenate([parts[~broken], repaired])
    parts = parts[(shapely.get_dimensions(parts) == 2) & ~shapely.is_empty(parts)]
    if not len(parts):
        return np.zeros(shape, dtype=bool)
    return np.asarray(rasterize(list(parts), out_shape=shape, dtype="uint8")).astype(bool)


def geojson(features: Iterable[tuple[Polygon, Mapping[str, Json]]], decimals: int = 2) -> dict[str, Json]:
    """A FeatureCollection of polygons with their properties.

    Rings are closed and turn as RFC 7946 asks: shells with x towards y, holes against. The coordinates are those of
    the polygons; where these are pixels, the document goes through `in_pixels`.

    Args:
        features: polygons with what is to be said of each.
        decimals: of the coordinates.
    """
    from shapely.geometry.polygon import orient

    def ring(line: BaseGeometry) -> list[list[float]]:
        return [[float(x), float(y)] for x, y in np.round(np.asarray(line.coords), decimals)]

    documents: list[Json] = []
    for polygon, properties in features:
        turned = orient(polygon)
        rings = [ring(line) for line in (turned.exterior, *turned.interiors)]
        documents.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": rings},
                "properties": dict(properties),
            }
        )
    return {"type": "FeatureCollection", "features": documents}


class _Features(BaseModel):
    model_config = ConfigDict(extra="allow")

    features: list[dict[str, JsonValue]]


def choose_features(collection: Json, kept: Sequence[int]) -> dict[str, Json]:
    """A FeatureCollection with these of its features alone, by their numbers."""
    whole = _Features.model_validate(collection)
    return whole.model_copy(update={"features": [whole.features[number] for number in kept]}).model_dump()


PIXELS = "pixels.json"
"""Suffix of features in pixels. Under `.geojson` a GIS would take them for longitudes and latitudes."""


_PIXEL_SYSTEM = (
    'ENGCRS["pixels from the upper left corner",EDATUM["the picture"],CS[Cartesian,2],AXIS["x",east],AXIS["y",south],'
    'LENGTHUNIT["pixel",1]]'
)
"""Well-known text (ISO 19162) of a system of its own."""


def in_pixels(features: Mapping[str, Json]) -> dict[str, Json]:
    """Features whose coordinates are pixels, marked as such.

    RFC 7946 knows degrees only; a system named in `crs`, as GeoJSON of 2008 has it, is what GDAL heeds: a GIS that
    opens the file all the same gets local coordinates, not longitudes. (A null there, or a name it does not know, GDAL
    takes for WGS 84.)
    """
    return {"type": features["type"], "crs": {"type": "name", "properties": {"name": _PIXEL_SYSTEM}}, **features}


# ------------------------------------------------------------------------------------------------------- counts


def intersection_counts(truth: NDArray[np.number], answer: NDArray[np.number], classes: int) -> NDArray[np.int64]:
    """How many pixels of each true class were answered as each class: (classes, classes), [truth][answer].

    Args:
        truth: (h, w) class indices.
        answer: (h, w) class indices.
        classes: how many there are.

    Raises:
        ValueError: an index is no class, or the masks differ in size.
    """
    if truth.shape != answer.shape:
        raise ValueError(f"masks of {truth.shape} and {answer.shape} pixels cannot be compared")
    if truth.size and (min(truth.min(), answer.min()) < 0 or max(truth.max(), answer.max()) >= classes):
        raise ValueError(f"class indices must lie in 0 .. {classes - 1}")
    pairs = truth.ravel().astype(np.int64) * classes + answer.ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def iou_of(confusion: NDArray[np.number]) -> NDArray[np.float64]:
    """(classes,) TP / (TP + FP + FN) of summed `intersection_counts`; NaN for a class in neither truth nor answer."""
    hits = np.diagonal(confusion)
    return ratio_of(hits, confusion.sum(axis=0) + confusion.sum(axis=1) - hits)


def f1_of(confusion: NDArray[np.number]) -> NDArray[np.float64]:
    """(classes,) 2 TP / (2 TP + FP + FN) of summed `intersection_counts`; NaN as `iou_of`."""
    return ratio_of(2 * np.diagonal(confusion), confusion.sum(axis=0) + confusion.sum(axis=1))


def boundary_counts(truth: Mask, answer: Mask, tolerance_px: float) -> tuple[int, int, int, int]:
    """What boundary precision and recall are made of (Csurka et al., BMVC 2013).

    A boundary pixel belongs to the mask and has one of its four neighbours outside; the border of the frame is no
    boundary, as nobody knows what lies beyond. Empty and full masks have none. Where only one of the two masks has a
    boundary, none of its pixels is a hit.

    Args:
        truth: (h, w).
        answer: (h, w).
        tolerance_px: the largest Euclidean distance between centres of pixels that still counts as found.

    Returns:
        How many of the answer's boundary pixels have one of the truth's nearby, how many it has; how many of the
        truth's have one of the answer's nearby, how many it has. Precision is the first over the second, recall the
        third over the fourth; sums over pictures give pooled ones.
    """
    of_truth, of_answer = _boundary(truth), _boundary(answer)
    hits_answer = of_answer & _near(of_truth, tolerance_px)
    hits_truth = of_truth & _near(of_answer, tolerance_px)
    return int(hits_answer.sum()), int(of_answer.sum()), int(hits_truth.sum()), int(of_truth.sum())


def _boundary(mask: Mask) -> Mask:
    import cv2

    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    pixels = mask.astype(np.uint8)
    inside = cv2.erode(pixels, cross, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(pixels > inside)


def _near(boundary: Mask, tolerance_px: float) -> Mask:
    import cv2

    if not boundary.any():
        return boundary
    distance = cv2.distanceTransform((~boundary).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance <= tolerance_px)


def mean_of(values: NDArray[np.number]) -> float:
    """Mean of what is defined; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a mean of nothing, which is NaN as it should be
        return float(np.nanmean(values))


def ratio_of(above: NDArray[np.number], below: NDArray[np.number]) -> NDArray[np.float64]:
    """Shares of counts, above / below; NaN where `below` is 0."""
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0))
