from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.battery_faults.calibrate import UNKNOWN, choose_thresholds
from sightline.tasks.battery_faults.verdict import Thresholds


def _chosen(healthy: list[float], faulty: list[float]) -> Thresholds:
    labels = np.array([0] * len(healthy) + [1] * len(faulty))
    return choose_thresholds(np.array(healthy + faulty), labels)


def test_kinds_that_are_told_apart_meet_halfway() -> None:
    assert _chosen([0.1, 0.3], [0.7, 0.9]) == Thresholds(0.5, 0.5)


def test_where_kinds_overlap_nothing_is_said_in_between() -> None:
    chosen = _chosen([0.1, 0.5], [0.4, 0.9])
    assert 0.39 < chosen.healthy <= 0.4
    assert 0.5 < chosen.faulty < 0.51


def test_one_healthy_video_with_the_highest_score_does_not_silence_a_model_for_good() -> None:
    faulty = [0.2, 0.7655499, 0.7655499, 0.7655499]
    chosen = _chosen([0.1, 0.3, 0.3, 0.7655499], faulty)
    assert 0.76 < chosen.faulty <= min(faulty[1:])
    assert chosen.healthy == pytest.approx(0.2, abs=2e-6)


def test_scores_no_better_than_chance_call_nothing_faulty() -> None:
    chosen = _chosen([0.2, 0.9], [0.2, 0.9])
    assert chosen.faulty > 0.9
    assert chosen.healthy == pytest.approx(0.2, abs=2e-6)


def test_without_both_kinds_there_is_nothing_to_choose_by() -> None:
    assert _chosen([0.1, 0.2], []) == UNKNOWN
