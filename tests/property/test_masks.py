"""Properties of masks and polygons: exact round trips, and boundaries as counted pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from shapely import Point, Polygon, union_all

from sightline.vision.masks import boundary_counts, mask_of, polygons_of

Mask = np.ndarray[Any, np.dtype[np.bool_]]

SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 24))
NOISE = SHAPES.flatmap(lambda shape: arrays.arrays(bool, shape))
BLOBS = st.builds(
    lambda shape, seed, sigma, level: (
        ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma) > level
    ),
    SHAPES,
    st.integers(0, 2**31),
    st.floats(0.3, 3),
    st.floats(-0.4, 0.4),
)
MASKS = st.one_of(NOISE, BLOBS)
CHECKERBOARD = np.indices((9, 12)).sum(axis=0) % 2 == 0
NESTED = np.minimum.reduce([*np.indices((13, 17)), *np.indices((13, 17))[:, ::-1, ::-1]]) % 2 == 0
CORNERS = np.kron(CHECKERBOARD, np.ones((3, 3), bool))


@settings(max_examples=200, deadline=None)
@given(mask=MASKS)
@example(mask=CHECKERBOARD)
@example(mask=~CHECKERBOARD)
@example(mask=NESTED)
@example(mask=~NESTED)
@example(mask=CORNERS)
@example(mask=np.zeros((7, 5), bool))
@example(mask=np.ones((7, 5), bool))
def test_mask_to_polygons_to_mask_gives_every_pixel(mask: Mask) -> None:
    polygons = polygons_of(mask)
    assert all(polygon.is_valid for polygon in polygons)
    assert sum(polygon.area for polygon in polygons) == mask.sum() == union_all(polygons).area
    assert len(polygons) == ndimage.label(mask)[1]
    assert np.array_equal(mask_of(polygons, mask.shape), mask)


@settings(max_examples=100, deadline=None)
@given(mask=MASKS, least=st.integers(1, 20))
def test_least_area_leaves_out_and_fills_what_is_smaller(mask: Mask, least: int) -> None:
    polygons = polygons_of(mask, least)
    assert all(polygon.is_valid and polygon.area >= least for polygon in polygons)
    assert all(Polygon(hole).area >= least for polygon in polygons for hole in polygon.interiors)
    assert union_all(polygons).area == sum(
        polygon.area for polygon in polygons
    )  # an island never lies in a filled hole
    regions, count = ndimage.label(mask)
    large = [k for k in range(1, count + 1) if (regions == k).sum() >= least]
    assert len(polygons) == len(large)
    assert (mask_of(polygons, mask.shape) | ~np.isin(regions, large)).all()


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(3, 9), shape=SHAPES)
def test_any_outline_covers_the_pixels_inside_it(seed: int, count: int, shape: tuple[int, int]) -> None:
    """By the even-odd rule, with a margin of a tenth of a pixel for centres that lie on the outline."""
    corners = [(float(x), float(y)) for x, y in np.random.default_rng(seed).uniform(-10, 34, (count, 2))]
    outline = Polygon(corners)
    mask = mask_of([outline], shape)
    for row, column in np.ndindex(*shape):
        centre = Point(column + 0.5, row + 0.5)
        if outline.exterior.distance(centre) > 0.1:
            assert mask[row, column] == _crossings(corners, centre.x, centre.y)


def _crossings(corners: list[tuple[float, float]], x: float, y: float) -> bool:
    """Whether a ray to the right crosses the outline an odd number of times."""
    odd = False
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            odd = not odd
    return odd


def counted(truth: Mask, answer: Mask, tolerance_px: float) -> tuple[int, int, int, int]:
    """Boundary counts, each pair of pixels looked at."""

    def boundary(mask: Mask) -> np.ndarray[Any, Any]:
        found = []
        for row, column in np.argwhere(mask):
            around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
            if any(0 <= r < mask.shape[0] and 0 <= c < mask.shape[1] and not mask[r, c] for r, c in around):
                found.append((row, column))
        return np.array(found).reshape(-1, 2)

    first, second = boundary(truth), boundary(answer)
    near = ((first[:, None] - second[None]) ** 2).sum(axis=-1) <= tolerance_px**2
    return int(near.any(axis=0).sum()), len(second), int(near.any(axis=1).sum()), len(first)


@settings(max_examples=150, deadline=None)
@given(
    masks=SHAPES.flatmap(lambda shape: st.tuples(arrays.arrays(bool, shape), arrays.arrays(bool, shape))),
    tolerance_px=st.one_of(st.integers(0, 12), st.just(1.5)),
)
def test_boundaries_are_as_counted_pixel_by_pixel(masks: tuple[Mask, Mask], tolerance_px: float) -> None:
    assert boundary_counts(*masks, tolerance_px) == counted(*masks, tolerance_px)
