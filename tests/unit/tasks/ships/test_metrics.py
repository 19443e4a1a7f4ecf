"""Matching by distance and by box, and figures that pool by weights."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from sightline.task import Row
from sightline.tasks.ships.detections import Detection, rectangle
from sightline.tasks.ships.labels import Box
from sightline.tasks.ships.metrics import (
    NEITHER,
    RIGHT,
    WRONG,
    Pool,
    average_precision,
    chip_statistics,
    plots,
    scene_statistics,
)


def box(x, y, kind="ship", length=60.0, beam=12.0):
    return Box(kind, x - length / 2, y - beam / 2, x + length / 2, y + beam / 2)


def found(x, y, score, length=60.0, where="open_water"):
    return Detection(x, y, score, rectangle(x, y, length, 12, 0.0), where)


def verdicts(detections, boxes):
    return [one[1] for one in scene_statistics(detections, boxes, 3.0, (0.5, 0.6))["detections"]]


def test_a_ship_is_found_once_and_the_highest_finds_it():
    ships = [box(100, 100), box(100, 140)]
    near = [found(108, 100, 0.6), found(102, 100, 0.9), found(111, 140, 0.8)]
    assert verdicts(near, ships) == [RIGHT, WRONG, WRONG]  # 0.9 is right, 0.8 is 33 m off, 0.6 comes too late
    assert verdicts([found(100, 110, 0.9)], ships) == [RIGHT]  # 30 m are near enough


def test_short_vessels_are_neither_right_nor_wrong():
    short = box(100, 100, "small", length=6, beam=2)
    assert verdicts([found(109, 102, 0.9), found(100, 109, 0.8), found(100, 130, 0.7)], [short]) == [
        NEITHER,
        NEITHER,
        WRONG,
    ]


@pytest.mark.parametrize("kind", ["ship", "other", "small", "open", "berth"])
def test_each_vessel_of_20_m_is_asked_for(kind):
    assert verdicts([found(100, 100, 0.9)], [box(100, 100, kind, length=30, beam=6)]) == [RIGHT]


def test_a_wake_in_a_box_belongs_to_its_vessel():
    with_wake = box(100, 100, "other", length=60, beam=12)  # 180 m: a boat at the end of its wake
    assert verdicts([found(128, 100, 0.9), found(75, 100, 0.8)], [with_wake]) == [RIGHT, WRONG]
    assert verdicts([found(128, 100, 0.9)], [box(100, 100, "ship")]) == [WRONG]


def test_what_lies_alongside_is_evaluated_apart():
    boxes = [box(100, 100), box(300, 100, "berth")]
    said = [found(100, 100, 0.9, where="alongside"), found(300, 100, 0.8), found(500, 100, 0.7, where="alongside")]
    made = Pool([scene_statistics(said, boxes, 3.0, (0.5, 0.6))]).score(np.ones(1))
    assert (made["f1"], made["recall_alongside"], made["precision_alongside"]) == (1, 1, 0.5)
    assert made["where_accuracy"] == 0
    # Where nothing alongside is labelled, nobody knows what lies there.
    made = Pool([scene_statistics(said, boxes[:1], 3.0, (0.5, 0.6))]).score(np.ones(1))
    assert (made["precision"], made["recall"]) == (0.5, 1)
    assert math.isnan(made["precision_alongside"])


def test_each_class_of_lengths_has_its_figures():
    boxes = [
        box(100, 100, length=60),
        box(300, 100, "open", length=40, beam=8),
        box(500, 100, "open", length=10, beam=2),
    ]
    said = [found(100, 100, 0.9, length=45), found(300, 100, 0.8, length=40), found(700, 100, 0.7, length=10)]
    made = Pool([scene_statistics(said, boxes, 3.0, (0.5, 0.6))]).score(np.ones(1))
    assert (made["f1_160m"], made["f1_50_160m"], made["f1_20_50m"]) == (1, 1, 0)
    assert (made["ships_160m"], made["ships_50_160m"], made["ships_20_50m"]) == (1, 1, 1)
    assert made["size_class_accuracy"] == 0.5
    assert made["f1"] == pytest.approx(2 / 3)


def test_middles_alone_are_evaluated_by_distance():
    point = Box("open", 100, 100, 100, 100)
    made = Pool([scene_statistics([found(104, 100, 0.9)], [point], 3.0, (0.5, 0.6))]).score(np.ones(1))
    assert (made["f1"], made["ships"], made["ships_160m"]) == (1, 1, 0)
    assert math.isnan(made["ap50"])
    assert math.isnan(made["size_class_accuracy"])


def test_boxes_are_evaluated_by_their_overlap():
    made = scene_statistics(
        [found(100, 100, 0.9, length=50), found(300, 100, 0.8, length=20)], [box(100, 100)], 3.0, (0.5, 0.6)
    )
    assert [one[2] for one in made["detections"]] == [RIGHT, WRONG]
    assert made["detections"][0][3] == 0
    assert made["detections"][1][3] < 0


SCENES = [
    scene_statistics(
        [found(100, 100, 0.9), found(300, 300, 0.7), found(500, 500, 0.3)],
        [box(100, 103), box(500, 500)],
        3.0,
        (0.5, 0.6),
    ),
    scene_statistics(
        [found(50, 50, 0.8), found(10, 10, 0.6)], [box(50, 50), box(10, 10, "small", length=6, beam=2)], 3.0, (0.5, 0.6)
    ),
    scene_statistics([], [], 3.0, (0.5, 0.6)),
]
CHIPS = [chip_statistics(p, ship, 0.5) for p, ship in ((0.9, True), (0.4, True), (0.6, False), (0.1, False))]


def test_figures_of_scenes():
    made = Pool(SCENES).score(np.ones(3))
    # At 0.5: two right of three ships, one wrong (at 300, 300); the small boat counts nowhere.
    assert (made["precision"], made["recall"]) == pytest.approx((2 / 3, 2 / 3))
    assert made["f1"] == pytest.approx(2 / 3)
    assert made["ap_30m"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert made["count_error_mean"] == 0  # two counted for two, one for one, none for none
    assert made["position_error_m"] == pytest.approx(4.5)
    assert made["ships"] == 3
    assert math.isnan(made["chip_accuracy"])


def test_figures_of_chips():
    made = Pool(CHIPS).score(np.ones(4))
    assert made["chip_accuracy"] == 0.5
    assert made["chip_f1"] == 0.5
    assert made["chip_accuracy_majority"] == 0.5
    assert math.isnan(made["f1"])
    assert math.isnan(made["ap_30m"])


def test_weights_count_how_often_a_row_is_drawn():
    rows = [*SCENES, *CHIPS]
    for seed in range(20):
        drawn = np.random.default_rng(seed).integers(0, len(rows), len(rows))
        weights = np.bincount(drawn, minlength=len(rows)).astype(float)
        repeated = Pool([rows[index] for index in drawn]).score(np.ones(len(drawn)))
        assert Pool(rows).score(weights) == pytest.approx(repeated, nan_ok=True)


def test_average_precision_by_hand():
    scores, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([RIGHT, WRONG, RIGHT, NEITHER])
    assert average_precision(scores, right, np.ones(4), 2.0) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(scores, right, np.ones(4), 4.0) == pytest.approx((1 + 2 / 3) / 4)
    assert average_precision(scores[:0], right[:0], np.ones(0), 4.0) == 0
    tied = np.full(2, 0.5)
    assert average_precision(tied, np.array([RIGHT, WRONG]), np.ones(2), 1.0) == 0.5
    assert average_precision(tied, np.array([WRONG, RIGHT]), np.ones(2), 1.0) == 0.5


def test_plots_are_of_what_is_there():
    rows = [Row(f"real/{n}", "", "g", "s", one) for n, one in enumerate([*SCENES, *CHIPS])]
    made = plots(rows)
    json.dumps(made, allow_nan=False)
    assert made["confusion"]["matrix"] == [[1, 1], [1, 1]]
    assert made["scenes"]["rows"][0] == ["real/0", 2, 2, 1, 1, 1, 0, 0]
    assert made["precision_recall"]["x"][-1] == pytest.approx(1.0)
    assert set(plots(rows[3:])) == {"confusion"}
    assert set(plots(rows[:3])) == {"precision_recall", "scenes"}
