"""Both metrics, against counts by hand and against an independent implementation."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from sightline.task import Row
from sightline.tasks.land_cover.metrics import Pool, plots, tile_counts
from sightline.tasks.land_cover.shapes import CLASSES

TREES, CROPS = CLASSES.index("trees"), CLASSES.index("crops")
ONES = np.ones


def masks(seed, share, size=(30, 40)):
    return np.random.default_rng(seed).random((len(CLASSES), *size)) < np.reshape(share, (-1, 1, 1))


def evaluated(*pairs, probabilities=None):
    statistics = [
        tile_counts(truth, answer, answer.astype(np.float32) if probabilities is None else probabilities)
        for truth, answer in pairs
    ]
    assert json.loads(json.dumps(statistics)) == statistics
    return Pool(statistics).score(ONES(len(statistics)))


def test_counts_are_summed_over_tiles_before_the_ratio():
    truth, answer = np.zeros((2, 10, 4, 5), dtype=bool), np.zeros((2, 10, 4, 5), dtype=bool)
    truth[0, TREES, 0], answer[0, TREES, :2] = True, True  # 5 right, 5 too many
    truth[1, TREES] = True  # 20 missed
    figures = evaluated((truth[0], answer[0]), (truth[1], answer[1]))
    assert figures["jaccard_trees"] == pytest.approx(5 / 30)
    assert figures["jaccard_mean"] == pytest.approx(5 / 30)
    assert figures["classes_evaluated"] == 1
    assert math.isnan(figures["jaccard_crops"])


def test_a_class_that_is_answered_where_it_never_is_counts():
    truth, answer = np.zeros((10, 4, 5), dtype=bool), np.zeros((10, 4, 5), dtype=bool)
    truth[TREES] = answer[TREES] = True
    answer[CROPS, 0, 0] = True
    figures = evaluated((truth, answer))
    assert (figures["jaccard_mean"], figures["classes_evaluated"]) == (0.5, 2)


def test_agrees_with_torchmetrics():
    from torchmetrics.functional.classification import multilabel_jaccard_index  # takes seconds

    pairs = [(masks(seed, 0.3), masks(seed + 10, 0.4)) for seed in range(3)]
    figures = evaluated(*pairs)
    truth, answer = (torch.from_numpy(np.stack([pair[side] for pair in pairs])).int() for side in (0, 1))
    each = multilabel_jaccard_index(answer, truth, num_labels=len(CLASSES), average="none")
    assert [figures[f"jaccard_{name}"] for name in CLASSES] == pytest.approx(each.tolist())
    assert figures["jaccard_mean"] == pytest.approx(float(each.mean()))


def test_the_pooled_soft_one_is_nearly_reached_by_trees_and_crops_alone():
    """With the real set's class shares it says 0.82 of an answer that the competition's metric gives 0.2."""
    share = [0.033, 0.0071, 0.0081, 0.03, 0.102, 0.275, 0.005, 0.0017, 0.00004, 0.00015]
    truth = masks(1, share, (600, 600))
    answer = np.zeros_like(truth)
    answer[[TREES, CROPS]] = truth[[TREES, CROPS]]
    figures = evaluated((truth, answer))
    assert figures["jaccard_soft_pooled"] == pytest.approx(0.82, abs=0.01)
    assert figures["jaccard_mean"] == pytest.approx(0.2)


def test_the_soft_one_is_of_probabilities():
    truth = masks(2, 0.3)
    probabilities = np.full(truth.shape, 0.5, dtype=np.float32)
    inside = 0.5 * truth.sum()
    figures = evaluated((truth, truth), probabilities=probabilities)
    assert figures["jaccard_soft_pooled"] == pytest.approx(inside / (0.5 * truth.size + truth.sum() - inside))


def test_the_majority_answers_the_most_frequent_class_everywhere():
    truth = masks(3, [0, 0, 0, 0, 0.2, 0.6, 0, 0, 0, 0])
    everywhere = np.zeros_like(truth)
    everywhere[CROPS] = True
    figures = evaluated((truth, truth))
    assert figures["jaccard_mean_majority"] == pytest.approx(evaluated((truth, everywhere))["jaccard_mean"])
    empty = np.zeros_like(truth)
    nothing = evaluated((empty, empty))
    assert math.isnan(nothing["jaccard_mean"])
    assert math.isnan(nothing["jaccard_mean_majority"])
    assert nothing["classes_evaluated"] == 0


def test_the_table_names_every_class_and_in_how_many_tiles_it_is():
    truth = masks(4, [0.3] + [0] * 9)
    rows = [Row("a", "", "g", "s", tile_counts(truth, truth, truth.astype(np.float32)))]
    table = plots(rows)["classes"]
    by_name = {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["rows"]}
    assert set(by_name) == set(CLASSES)
    assert by_name["buildings"] == {
        **{"class": "buildings", "precision": 1.0, "recall": 1.0, "jaccard": 1.0},
        **{"pixels": int(truth.sum()), "tiles": 1},
    }
    assert by_name["roads"]["jaccard"] is None
