"""Grid units, WKT and tiles: what goes out comes back."""

from __future__ import annotations

import io

import numpy as np
import shapely
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sightline.limits import Limits
from sightline.tasks.land_cover.bands import index_channels
from sightline.tasks.land_cover.grid import Grid
from sightline.tasks.land_cover.shapes import CLASSES, EMPTY, label_mask, read_wkt
from sightline.tasks.land_cover.tile import read_tile
from tests.unit.tasks.land_cover.tiles import wkt_of

GRIDS = st.builds(Grid, st.floats(0.001, 1000), st.floats(-1000, -0.001))
MASKS = st.tuples(st.integers(1, 30), st.integers(1, 30)).flatmap(lambda size: arrays(bool, size))


@given(grid=GRIDS, size=st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
def test_pixels_to_grid_units_and_back(grid: Grid, size: tuple[int, int]) -> None:
    box = shapely.box(-2, 1, size[1] + 3, size[0])
    again = grid.to_pixels(grid.from_pixels(box, size), size)
    assert np.allclose(again.bounds, box.bounds, rtol=1e-9, atol=1e-6)


@given(mask=MASKS, grid=st.builds(Grid, st.floats(0.008, 0.01), st.floats(-0.01, -0.008)), kind=st.integers(1, 10))
def test_a_mask_comes_back_from_its_wkt(mask: np.ndarray, grid: Grid, kind: int) -> None:
    labels = dict.fromkeys(range(1, len(CLASSES) + 1), EMPTY) | {kind: wkt_of(mask, grid)}
    masks = label_mask(labels, (mask.shape[0], mask.shape[1]), grid)
    assert np.array_equal(masks[kind - 1], mask)
    assert masks.sum() == mask.sum()


@given(points=st.lists(st.tuples(st.integers(-3, 30), st.integers(-3, 30)), min_size=3, max_size=9))
def test_whatever_a_person_clicks_becomes_valid_polygons(points: list[tuple[int, int]]) -> None:
    shapes = read_wkt(shapely.Polygon(points).wkt, "x")
    assert all(polygon.is_valid and polygon.area > 0 for polygon in shapes.polygons)
    assert (
        sum(polygon.area for polygon in shapes.polygons) <= shapely.convex_hull(shapely.MultiPoint(points)).area + 1e-6
    )


@settings(max_examples=30, deadline=None)
@given(
    values=arrays(np.uint16, (8, 17, 19), elements=st.integers(0, 2047)),
    planar=st.sampled_from(["separate", "contig"]),
    compression=st.sampled_from([None, "lzw", "deflate"]),
    order=st.sampled_from("<>"),
)
def test_counts_come_back_from_any_layout(values: np.ndarray, planar: str, compression: str | None, order: str) -> None:
    values[0, 0, :2] = 0, 2047  # else it might be the same everywhere
    file = io.BytesIO()
    stored = values if planar == "separate" else np.moveaxis(values, 0, -1)
    tifffile.imwrite(
        file, stored, photometric="minisblack", planarconfig=planar, compression=compression, byteorder=order
    )
    tile = read_tile(file.getvalue(), Limits())
    assert np.array_equal(np.rint(tile.bands * 2047), values)


@given(bands=arrays(np.float32, (8, 3, 4), elements=st.floats(0, 1, width=32)))
def test_indices_are_finite_and_bounded(bands: np.ndarray) -> None:
    indices = index_channels(bands)
    assert indices.dtype == np.float32
    assert np.isfinite(indices).all()
    assert np.abs(indices).max() <= 1
