"""WKT in grid units to masks of pixels and back; grid sizes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import shapely

from sightline.errors import DataRejected
from sightline.tasks.land_cover.data import labels_of, read_label_table
from sightline.tasks.land_cover.grid import Grid, read_grid_sizes
from sightline.tasks.land_cover.shapes import CLASSES, EMPTY, area_shares, label_mask, read_shapes, read_wkt
from tests.unit.tasks.land_cover.tiles import wkt_of

GRID = Grid(0.009, -0.0088)
SIZE = (40, 50)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / max((first | second).sum(), 1))


def in_grid(polygon: shapely.Geometry) -> str:
    """The WKT in grid units of a polygon in pixels."""
    return str(GRID.from_pixels(polygon, SIZE).wkt)


def labels(**wkt: str) -> dict[int, str]:
    return {kind: wkt.get(name, EMPTY) for kind, name in enumerate(CLASSES, start=1)}


# ---------------------------------------------------------------------------------------------------------- grid


def test_grid_units_are_those_of_the_competitions_tutorial() -> None:
    """W' = w w / (w + 1), x_px = x W' / Xmax, and the same downwards with the negative Ymin."""
    point = Grid(0.009188, -0.00904).to_pixels(shapely.Point(0.004, -0.003), (3348, 3403))
    assert point.x == pytest.approx(0.004 * 3403 * 3403 / 3404 / 0.009188)
    assert point.y == pytest.approx(0.003 * 3348 * 3348 / 3349 / 0.00904)


def test_grid_sizes_are_read_by_position(tmp_path: Path) -> None:
    path = tmp_path / "grid_sizes.csv"
    path.write_text(",Xmax,Ymin\n6120_2_4,0.00918,-0.00904\r\n\n6120_2_3,0.009169,-0.00904\n")
    assert read_grid_sizes(path).grids == {"6120_2_4": Grid(0.00918, -0.00904), "6120_2_3": Grid(0.009169, -0.00904)}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (",Xmax,Ymin\n6120_2_4,0.00918\n", r"line 2: 2 fields, not 3"),
        (",Xmax,Ymin\na,1,-1\na,1,-1\n", r"line 3: an image occurs twice"),
        (",Xmax,Ymin\na,1,1\n", r"line 2, Ymin: '1' is not a negative number"),
        (",Xmax,Ymin\na,-1,-1\n", r"line 2, Xmax: '-1' is not a positive number"),
        (",Xmax,Ymin\na,nan,-1\n", r"Xmax: 'nan'"),
        (",Xmax,Ymin\na,wide,-1\n", r"Xmax: 'wide'"),
    ],
)
def test_bad_grid_sizes_name_line_and_field_and_keep_no_other_out(text: str, match: str, tmp_path: Path) -> None:
    (tmp_path / "grid_sizes.csv").write_text(f"{text}good,2,-2\n")
    sizes = read_grid_sizes(tmp_path / "grid_sizes.csv")
    assert sizes.grids == {"good": Grid(2, -2)}
    (problem,) = sizes.problems.values()
    assert re.search(match, problem)


def test_binary_grid_sizes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "grid_sizes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataRejected, match="the text is not UTF-8"):
        read_grid_sizes(tmp_path / "grid_sizes.csv")


# ----------------------------------------------------------------------------------------------------------- WKT


@pytest.mark.parametrize("text", ["MULTIPOLYGON EMPTY", "GEOMETRYCOLLECTION EMPTY", "POLYGON EMPTY"])
def test_all_kinds_of_empty_are_empty(text: str) -> None:
    assert read_wkt(text, "x").polygons == ()
    assert not label_mask(labels(trees=text), SIZE, GRID).any()


def test_holes_are_kept_both_ways() -> None:
    ring = shapely.box(5, 5, 35, 30).difference(shapely.box(10, 10, 20, 25))
    mask = label_mask(labels(crops=in_grid(ring)), SIZE, GRID)[5]
    assert mask.sum() == 30 * 25 - 10 * 15
    assert not mask[12, 12]
    again = label_mask(labels(crops=wkt_of(mask, GRID)), SIZE, GRID)[5]
    assert np.array_equal(mask, again)
    assert len(read_wkt(wkt_of(mask, GRID), "x").polygons[0].interiors) == 1


def test_classes_may_overlap() -> None:
    mask = label_mask(
        labels(trees=in_grid(shapely.box(4, 4, 10, 10)), crops=in_grid(shapely.box(0, 0, 20, 20))), SIZE, GRID
    )
    assert mask.shape == (10, *SIZE)
    assert (mask[4].sum(), mask[5].sum()) == (36, 400)
    assert mask[5][mask[4]].all()


def test_polygons_that_leave_the_tile_are_cut() -> None:
    """Slightly negative x occurs in the real labels."""
    mask = label_mask(labels(trees=in_grid(shapely.box(-3, 38, 4, 60))), SIZE, GRID)[4]
    assert mask.sum() == 4 * 2


def test_a_polygon_that_crosses_itself_is_repaired_and_counted() -> None:
    bow_tie = shapely.Polygon([(0, 0), (20, 20), (20, 0), (0, 20)])
    shapes = read_wkt(bow_tie.wkt, "x")
    assert shapes.repaired == 1
    assert sum(polygon.area for polygon in shapes.polygons) == pytest.approx(200)
    assert all(polygon.is_valid for polygon in shapes.polygons)
    assert label_mask(labels(roads=in_grid(bow_tie)), SIZE, GRID)[2].sum() == pytest.approx(200, abs=25)


def test_polygons_in_collections_are_found() -> None:
    text = "GEOMETRYCOLLECTION (POLYGON ((0 0, 1 0, 1 1, 0 0)), MULTIPOLYGON (((2 2, 3 2, 3 3, 2 2))))"
    assert len(read_wkt(text, "x").polygons) == 2


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not WKT"),
        ("MULTIPOLYGON (((0 0, 1 0, 1 1", "not WKT"),
        ("POLYGON ((0 0, 1 0, 1 1, 5 5))", "not WKT"),
        ("LINESTRING (0 0, 1 1)", "a LineString is not an area"),
        ("GEOMETRYCOLLECTION (POINT (1 1))", "a Point is not an area"),
        ("POLYGON ((0 0, 1e400 0, 1 1, 0 0))", "not a finite number"),
    ],
)
def test_bad_wkt_names_its_place(text: str, match: str) -> None:
    with pytest.raises(DataRejected, match=match) as caught:
        read_shapes(labels(trees=text), "train_wkt_v4.csv: 6010_0_0")
    assert caught.value.where == "train_wkt_v4.csv: 6010_0_0, class 5"


def test_ten_classes_are_needed() -> None:
    with pytest.raises(DataRejected, match=r"no row for class 4 \(tracks\).*MULTIPOLYGON EMPTY"):
        read_shapes({kind: text for kind, text in labels().items() if kind != 4}, "x")
    with pytest.raises(DataRejected, match="class 11 is unknown"):
        read_shapes({**labels(), 11: EMPTY}, "x")


def test_an_empty_mask_is_empty_wkt() -> None:
    assert wkt_of(np.zeros(SIZE, dtype=bool), GRID) == EMPTY


def test_small_patches_are_left_out_if_asked() -> None:
    mask = np.zeros(SIZE, dtype=bool)
    mask[2:4, 2:4], mask[10:20, 10:20] = True, True
    assert len(read_wkt(wkt_of(mask, GRID, least_area_px=5), "x").polygons) == 1


def test_shares_are_those_of_the_tile() -> None:
    shapes = read_shapes(labels(crops=shapely.box(0, -0.0044, 0.009, 0).wkt), "x")
    assert area_shares(shapes, (837, 851), GRID)[5] == pytest.approx(0.5, rel=0.003)


# ---------------------------------------------------------------------------------------------------------- real


def test_real_grid_sizes(real_data: Path) -> None:
    sizes = read_grid_sizes(real_data / "land_cover" / "grid_sizes.csv").grids
    assert len(sizes) == 450
    assert sizes["6120_2_4"] == Grid(0.00918, -0.00904)


def test_real_polygons_come_back(real_data: Path) -> None:
    """Polygons to mask to polygons to mask, on real coordinates."""
    folder = real_data / "land_cover"
    sizes = read_grid_sizes(folder / "grid_sizes.csv").grids
    compared = 0
    for path in sorted((folder / "wkt_predictions").glob("*.csv")):
        for name, rows in read_label_table(path).items():
            labelled = labels_of(rows, name)
            if all(text.endswith("EMPTY") for text in labelled.values()):
                continue
            masks = label_mask(labelled, (837, 851), sizes[name])
            for kind in np.flatnonzero(masks.sum(axis=(1, 2)) > 2000):
                text = wkt_of(masks[kind], sizes[name])
                again = label_mask({**labels(), int(kind) + 1: text}, (837, 851), sizes[name])[kind]
                assert iou(masks[kind], again) > 0.98
                compared += 1
    assert compared >= 5
