"""Probabilities and thresholds from few, well separated examples."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.ships.calibration import UNKNOWN, best_threshold, precise_threshold
from sightline.tasks.ships.metrics import NEITHER, RIGHT, WRONG
from sightline.vision.calibration import Calibration, fit_calibration


def test_the_logistic_is_found_again():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 20_000)
    labels = (rng.random(20_000) < Calibration(0.7, -1.0)(logits)).astype(int)
    found = fit_calibration(logits, labels)
    assert (found.slope, found.offset) == pytest.approx((0.7, -1.0), abs=0.05)


def test_separated_examples_stay_finite():
    logits, labels = np.array([-3.0, -2.5, -2.0, 2.0, 3.0]), np.array([0, 0, 0, 1, 1])
    found = fit_calibration(logits, labels)
    assert 0.5 < found(2.0) < 0.99
    assert 0.01 < found(-2.0) < 0.5


def test_one_kind_alone_leaves_the_logits():
    assert fit_calibration(np.array([1.0, 2.0]), np.array([1, 1])) == Calibration()
    assert fit_calibration(np.empty(0), np.empty(0, dtype=int)) == Calibration()


def test_extreme_logits_are_probabilities():
    assert Calibration()(np.array([-1e4, 1e4])) == pytest.approx([0, 1])


def test_the_threshold_lies_halfway_to_what_is_wrong():
    threshold = best_threshold([0.9, 0.2, 0.8], [RIGHT, WRONG, RIGHT], 2, 0.05)
    assert np.log(threshold / (1 - threshold)) == pytest.approx((np.log(4) + np.log(0.25)) / 2, abs=1e-5)
    assert best_threshold([0.9, 0.85, 0.2], [RIGHT, NEITHER, WRONG], 1, 0.05) < 0.85
    assert 0.05 < best_threshold([0.9], [RIGHT], 1, 0.05) < 0.9


def test_without_ships_the_threshold_is_a_half():
    assert best_threshold([0.9], [WRONG], 0, 0.05) == UNKNOWN
    assert best_threshold([], [], 3, 0.05) == UNKNOWN
    assert best_threshold([0.9], [WRONG], 3, 0.05) == UNKNOWN


def test_a_precise_threshold_leaves_out_what_is_doubtful():
    scores, verdicts = [0.9, 0.8, 0.7, 0.6, 0.5], [RIGHT, RIGHT, WRONG, RIGHT, WRONG]
    assert 0.7 < precise_threshold(scores, verdicts, 0.8, 0.05) < 0.8
    assert 0.5 < precise_threshold(scores, verdicts, 0.75, 0.05) < 0.6
    assert precise_threshold([0.9], [WRONG], 0.8, 0.05) == 1
    assert precise_threshold([], [], 0.8, 0.05) == 1
