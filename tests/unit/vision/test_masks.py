"""Masks and polygons: small cases that can be drawn by hand, and figures against those of other libraries."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from shapely import GeometryCollection, MultiPolygon, Polygon, box

from sightline.vision.masks import (
    boundary_counts,
    f1_of,
    geojson,
    intersection_counts,
    iou_of,
    mask_of,
    polygons_of,
)


def drawn(*rows: str) -> NDArray[np.bool_]:
    return np.array([[letter == "#" for letter in row] for row in rows])


RING = drawn("......", ".####.", ".#..#.", ".####.", "......")

# ----------------------------------------------------------------------------------------------------- polygons


def test_polygons_run_along_the_edges_of_pixels() -> None:
    (polygon,) = polygons_of(drawn("....", ".##.", "...."))
    assert polygon.equals(box(1, 1, 3, 2))


def test_holes_are_kept() -> None:
    (polygon,) = polygons_of(RING)
    assert polygon.equals(box(1, 1, 5, 4) - box(2, 2, 4, 3))
    assert np.array_equal(mask_of([polygon], RING.shape), RING)


def test_pixels_that_touch_at_a_corner_are_two_patches() -> None:
    assert len(polygons_of(drawn("#.", ".#"))) == 2


def test_island_in_a_hole_is_a_patch_of_its_own() -> None:
    mask = np.pad(np.pad(np.ones((1, 1), bool), 1), 1, constant_values=True)
    outer, inner = sorted(polygons_of(mask), key=lambda polygon: -polygon.area)
    assert (outer.area, inner.area) == (16, 1)
    assert np.array_equal(mask_of([outer, inner], mask.shape), mask)


@pytest.mark.parametrize(("least_area_px", "areas"), [(0, [10, 1]), (2, [10]), (3, [12]), (13, [])])
def test_small_patches_go_and_small_holes_are_filled(least_area_px: float, areas: list[float]) -> None:
    mask = np.vstack([RING, drawn("#.....")])
    assert [polygon.area for polygon in polygons_of(mask, least_area_px)] == areas


@pytest.mark.parametrize("value", [False, True])
def test_empty_and_full(value: bool) -> None:
    mask = np.full((3, 4), value)
    assert len(polygons_of(mask)) == value
    assert np.array_equal(mask_of(polygons_of(mask), (3, 4)), mask)


def test_pixel_belongs_where_its_centre_lies() -> None:
    assert np.array_equal(mask_of([box(0.6, 0.4, 2.6, 1.4)], (2, 4)), drawn(".##.", "...."))


@pytest.mark.parametrize("nothing", [[], [Polygon()], [MultiPolygon()], [GeometryCollection()]])
def test_nothing_covers_nothing(nothing: list[Any]) -> None:
    assert not mask_of(nothing, (3, 4)).any()


def test_polygons_may_leave_the_frame_and_overlap() -> None:
    overlapping = MultiPolygon([box(-5, -5, 2, 2), box(1, 1, 50, 2)])
    assert np.array_equal(mask_of([overlapping, box(1e6, 0, 2e6, 9)], (3, 3)), drawn("##.", "###", "..."))


def test_polygon_that_crosses_itself_is_repaired() -> None:
    bow_tie = Polygon([(0, 0), (8, 6), (8, 0), (0, 6)])
    expected = drawn("#......#", "##....##", "###..###", "###..###", "##....##", "#......#")
    assert not bow_tie.is_valid
    assert np.array_equal(mask_of([bow_tie], (6, 8)), expected)
    # What encloses nothing covers nothing, not even the pixels it runs through.
    assert not mask_of([Polygon([(0, 0), (8, 8), (4, 4)])], (8, 8)).any()


def test_geojson_is_closed_oriented_and_rounded() -> None:
    shell, hole = [(0, 0), (0, 9), (9.123456, 9), (9, 0)], [(2, 2), (4, 2), (4, 4), (2, 4)]
    document = geojson([(Polygon(shell, [hole]), {"class": "roads", "area_px": 77.5})])
    (feature,) = json.loads(json.dumps(document))["features"]
    assert feature["properties"] == {"class": "roads", "area_px": 77.5}
    outer, inner = (shapely.LinearRing(ring) for ring in feature["geometry"]["coordinates"])
    assert outer.is_ccw
    assert not inner.is_ccw
    assert [9.12, 9.0] in feature["geometry"]["coordinates"][0]
    assert all(ring[0] == ring[-1] for ring in feature["geometry"]["coordinates"])
    assert shapely.from_geojson(json.dumps(document)).area == pytest.approx(Polygon(shell, [hole]).area, abs=0.1)


def test_geojson_of_nothing() -> None:
    assert geojson([]) == {"type": "FeatureCollection", "features": []}


# ------------------------------------------------------------------------------------------------------- counts


def labels(seed: int, classes: int = 5) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, classes, (40, 50), dtype=np.uint8)


def test_counts_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import confusion_matrix, f1_score, jaccard_score

    truth, answer = labels(0), labels(1)
    counts = intersection_counts(truth, answer, 5)
    assert counts.dtype == np.int64
    assert np.array_equal(counts, confusion_matrix(truth.ravel(), answer.ravel(), labels=range(5)))
    assert iou_of(counts) == pytest.approx(jaccard_score(truth.ravel(), answer.ravel(), average=None))
    assert f1_of(counts) == pytest.approx(f1_score(truth.ravel(), answer.ravel(), average=None))


def test_iou_of_summed_counts_is_that_of_torchmetrics() -> None:
    import torch
    from torchmetrics.classification import MulticlassF1Score, MulticlassJaccardIndex

    iou = MulticlassJaccardIndex(num_classes=5, average=None)
    f1 = MulticlassF1Score(num_classes=5, average=None)
    counts = np.zeros((5, 5), np.int64)
    for seed in range(3):
        truth, answer = labels(seed), np.where(labels(seed + 10) < 3, labels(seed), labels(seed + 20))
        iou.update(torch.from_numpy(answer), torch.from_numpy(truth))
        f1.update(torch.from_numpy(answer), torch.from_numpy(truth))
        counts += intersection_counts(truth, answer, 5)
    assert iou_of(counts) == pytest.approx(iou.compute().numpy(), abs=1e-6)
    assert f1_of(counts) == pytest.approx(f1.compute().numpy(), abs=1e-6)


def test_class_in_neither_truth_nor_answer_has_no_figure() -> None:
    counts = intersection_counts(labels(0, 3), labels(1, 3) + np.uint8(1), 5)
    assert list(np.isnan(iou_of(counts))) == list(np.isnan(f1_of(counts))) == [False] * 4 + [True]
    assert iou_of(counts)[0] == iou_of(counts)[3] == 0


@pytest.mark.parametrize(
    ("truth", "answer"), [(labels(0), labels(1)[1:]), (labels(0, 6), labels(1)), (labels(0), labels(1) * -1.0)]
)
def test_what_cannot_be_compared_is_refused(truth: NDArray[Any], answer: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"cannot be compared|must lie in 0 \.\. 4"):
        intersection_counts(truth, answer.astype(int), 5)


# --------------------------------------------------------------------------------------------------- boundaries


def test_boundary_of_the_same_mask_is_found() -> None:
    assert boundary_counts(RING, RING, 0) == (10, 10, 10, 10)


def test_boundary_within_the_tolerance_is_found() -> None:
    truth = np.zeros((20, 20), bool)
    truth[5:12, 5:12] = True
    shifted = np.roll(truth, 2, axis=1)
    assert boundary_counts(truth, shifted, 2) == (24, 24, 24, 24)
    hits, of_answer, _, _ = boundary_counts(truth, shifted, 1)
    assert 0 < hits < of_answer == 24


def test_border_of_the_frame_is_no_boundary() -> None:
    half = drawn("##..", "##..", "##..")
    assert boundary_counts(half, half, 0) == (3, 3, 3, 3)


@pytest.mark.parametrize("other", [np.zeros((5, 6), bool), np.ones((5, 6), bool)])
def test_empty_and_full_masks_have_no_boundary(other: NDArray[np.bool_]) -> None:
    assert boundary_counts(other, other, 3) == (0, 0, 0, 0)
    assert boundary_counts(RING, other, 3) == (0, 0, 0, 10)
    assert boundary_counts(other, RING, 3) == (0, 10, 0, 0)
