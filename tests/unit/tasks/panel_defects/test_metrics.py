"""Evaluating: against scikit-learn and torchmetrics, and on masks whose figures can be worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score

from sightline.task import Row
from sightline.tasks.panel_defects.metrics import Pool, confusion_of, picture_statistics, plots

CLASSES = ("background", "red", "green", "blue")
INDICES = range(len(CLASSES))


def masks(seed=0, shapes=((40, 50), (33, 20), (64, 64))):
    """Truths and answers that agree on about half of the pixels."""
    rng = np.random.default_rng(seed)
    for shape in shapes:
        truth = rng.choice(4, shape, p=[0.6, 0.2, 0.15, 0.05]).astype(np.uint8)
        yield truth, np.where(rng.random(shape) < 0.5, truth, rng.integers(0, 4, shape)).astype(np.uint8)


def pool(*pairs):
    return Pool([picture_statistics(truth, answer, len(CLASSES)) for truth, answer in pairs], CLASSES)


def score(*pairs):
    return pool(*pairs).score(np.ones(len(pairs)))


def test_figures_are_those_of_scikit_learn_on_all_pixels_together():
    pairs = list(masks())
    truth, answer = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    found = score(*pairs)
    jaccard = jaccard_score(truth, answer, average=None)
    assert [found[f"iou_{name}"] for name in CLASSES] == pytest.approx(jaccard.tolist())
    assert found["iou_mean"] == pytest.approx(jaccard.mean())
    assert found["iou_mean_foreground"] == pytest.approx(jaccard[1:].mean())
    assert found["f1_mean"] == pytest.approx(f1_score(truth, answer, average="macro"))
    assert found["pixel_accuracy"] == pytest.approx(accuracy_score(truth, answer))
    always = np.full_like(truth, np.bincount(truth).argmax())
    assert found["majority_accuracy"] == pytest.approx(accuracy_score(truth, always))
    assert found["iou_mean_majority"] == pytest.approx(jaccard_score(truth, always, average="macro"))


def test_the_confusion_matrix_is_that_of_scikit_learn():
    for truth, answer in masks(1):
        expected = confusion_matrix(truth.ravel(), answer.ravel(), labels=list(INDICES))
        assert picture_statistics(truth, answer, 4)["confusion"] == expected.tolist()
        assert confusion_of(truth, answer, 4)["confusion"] == expected.tolist()


def test_the_mean_iou_is_that_of_torchmetrics():
    import torch
    from torchmetrics.functional.classification import multiclass_jaccard_index

    truth, answer = next(masks(2))
    expected = multiclass_jaccard_index(torch.from_numpy(answer.astype(int)), torch.from_numpy(truth.astype(int)), 4)
    assert score((truth, answer))["iou_mean"] == pytest.approx(float(expected))


def test_iou_by_picture_is_the_mean_over_the_classes_of_each():
    pairs = list(masks(3))
    each = [jaccard_score(truth.ravel(), answer.ravel(), average="macro") for truth, answer in pairs]
    assert score(*pairs)["iou_image"] == pytest.approx(np.mean(each))


def test_a_class_in_neither_truth_nor_answer_is_left_out_of_means():
    truth = np.zeros((10, 10), dtype=np.uint8)
    truth[:5] = 1
    found = score((truth, truth))
    assert found["iou_mean"] == found["iou_image"] == found["iou_mean_foreground"] == 1
    assert np.isnan(found["iou_green"])
    invented = truth.copy()
    invented[0, 0] = 2
    assert score((truth, invented))["iou_green"] == 0


def test_empty_truth_and_empty_answer_say_nothing_of_the_foreground():
    empty = np.zeros((10, 10), dtype=np.uint8)
    found = score((empty, empty))
    assert (found["iou_mean"], found["pixel_accuracy"]) == (1, 1)
    assert np.isnan(found["iou_mean_foreground"])
    assert np.isnan(found["boundary_f1_mean_foreground"])


def test_weights_are_how_often_a_picture_is_there():
    pairs = list(masks(4))
    weighted = pool(*pairs).score(np.array([2.0, 0.0, 3.0]))
    assert weighted == pytest.approx(score(*[pairs[0]] * 2, *[pairs[2]] * 3))


def test_boundaries_count_within_the_tolerance():
    truth = np.zeros((100, 100), dtype=np.uint8)
    truth[20:60, 20:60] = 1
    near, far = np.roll(truth, 1, axis=1), np.roll(truth, 9, axis=1)  # the tolerance is one pixel here
    assert score((truth, near))["boundary_f1_mean_foreground"] == pytest.approx(1)
    assert 0 < score((truth, far))["boundary_f1_mean_foreground"] < 0.7
    assert score((truth, np.zeros_like(truth)))["boundary_f1_mean_foreground"] == 0


def test_plots_hold_shares_of_each_true_class_and_a_report():
    pairs = list(masks(5))
    rows = [Row(f"s/{n}", "", "g", "x", picture_statistics(*pair, 4)) for n, pair in enumerate(pairs)]
    made = plots(rows, CLASSES)
    json.dumps(made, allow_nan=False)
    assert np.sum(made["confusion"]["matrix"], axis=1) == pytest.approx(np.ones(4), abs=0.01)
    report = made["classification_report"]
    assert [row[0] for row in report["rows"]] == list(CLASSES)
    assert sum(row[-1] for row in report["rows"]) == sum(truth.size for truth, _ in pairs)
    empty = np.zeros((5, 5), dtype=np.uint8)
    alone = plots([Row("s/0", "", "g", "x", picture_statistics(empty, empty, 4))], CLASSES)
    assert alone["classification_report"]["rows"][1] == ["red", None, None, None, None, 0]


def test_masks_that_cannot_be_compared_are_refused():
    mask = np.zeros((4, 4), dtype=np.uint8)
    with pytest.raises(ValueError, match="cannot be compared"):
        picture_statistics(mask, mask[:2], 4)
    with pytest.raises(ValueError, match="class indices"):
        picture_statistics(mask, mask + 4, 4)
