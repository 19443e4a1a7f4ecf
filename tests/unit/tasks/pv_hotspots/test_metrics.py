"""Evaluating on frames whose figures can be worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sightline.task import Row
from sightline.tasks.pv_hotspots.data import Labels
from sightline.tasks.pv_hotspots.metrics import Detections, Pool, frame_statistics, plots

BOXES = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])
TRUTH = Labels((), BOXES, np.array([1, 0, 0]), 0)
ONES = np.ones(1)


def statistics(defect, boxes=BOXES, objectness=None, labels=TRUTH):
    certain = np.full(len(boxes), 0.9) if objectness is None else np.asarray(objectness)
    return frame_statistics(Detections(boxes, certain, np.asarray(defect, dtype=float)), labels, 0.5)


def test_a_perfect_answer_scores_one():
    metrics = Pool([statistics([0.9, 0.1, 0.2])]).score(ONES)
    assert {name: value for name, value in metrics.items() if value != pytest.approx(1)} == {}


def test_a_defect_ranked_second_halves_the_precision():
    metrics = Pool([statistics([0.5, 0.9, 0.1])]).score(ONES)
    assert metrics["ap50_defected"] == pytest.approx(0.5)
    assert metrics["ap50_module"] == pytest.approx(1)
    assert metrics["auc_module"] == pytest.approx(0.5)
    assert metrics["recall_defected_at_fa_0_1"] == 0


def test_a_second_box_on_the_same_module_is_a_false_alarm():
    boxes = np.concatenate([BOXES, BOXES[:1]])
    metrics = Pool([statistics([0.8, 0.1, 0.1, 0.9], boxes)]).score(ONES)
    assert metrics["ap50_defected"] == pytest.approx(1)
    metrics = Pool([statistics([0.8, 0.1, 0.1, 0.9], boxes, [0.9, 0.9, 0.9, 0.95])]).score(ONES)
    assert metrics["ap50_module"] < 1.01


def test_a_loose_box_counts_at_one_half_only():
    loose = BOXES + np.array([0, 0, 0, 6.0])
    metrics = Pool([statistics([0.9, 0.1, 0.2], loose)]).score(ONES)
    assert metrics["ap50_defected"] == pytest.approx(1)
    assert metrics["ap50_95_defected"] == pytest.approx(0.3)  # overlap 0.625: at 0.5, 0.55 and 0.6


def test_a_missed_module_counts_as_scored_zero():
    metrics = Pool([statistics([0.1, 0.2], BOXES[1:])]).score(ONES)
    assert metrics["ap50_defected"] == 0
    assert metrics["auc_module"] == 0


def test_nothing_found_and_nothing_to_find():
    empty = Labels((), BOXES[:0], np.zeros(0, dtype=np.int64), 0)
    nothing = statistics([], BOXES[:0], [], empty)
    assert all(np.isnan(value) for value in Pool([nothing]).score(ONES).values())
    blind = statistics([], BOXES[:0], [])
    assert Pool([blind]).score(ONES)["ap50_module"] == 0


def test_recall_allows_one_false_alarm_in_ten_frames():
    quiet = [statistics([0.6, 0.1, 0.1]) for _ in range(9)]
    alarming = statistics([0.7, 0.9, 0.1])
    assert Pool([*quiet, alarming]).score(np.ones(10))["recall_defected_at_fa_0_1"] == pytest.approx(1)
    assert Pool([*quiet[:8], alarming]).score(np.ones(9))["recall_defected_at_fa_0_1"] == 0


def test_confusion_counts_modules_misses_and_inventions():
    boxes = np.concatenate([BOXES[:2], [[100.0, 0, 110, 10]]])
    confusion = statistics([0.9, 0.6, 0.7], boxes)["confusion"]
    assert confusion == [[0, 1, 1], [0, 1, 0], [0, 1, 0]]


def row(index, given):
    return Row(f"s/{index}", "", "g", "none", given)


def test_plots_and_rows_are_json():
    rows = [row(0, statistics([0.9, 0.1, 0.2])), row(1, statistics([0.2, 0.8, 0.1]))]
    for document in (plots(rows), rows[0].statistics):
        json.dumps(document, allow_nan=False)
    assert np.sum(plots(rows)["confusion"]["matrix"]) == 6


def test_drawing_a_frame_twice_is_having_it_twice():
    frames = [statistics([0.9, 0.1, 0.2]), statistics([0.4, 0.8, 0.3])]
    twice = Pool([frames[0], frames[1], frames[1]]).score(np.ones(3))
    assert Pool(frames).score(np.array([1.0, 2.0]))["auc_module"] == pytest.approx(twice["auc_module"])
