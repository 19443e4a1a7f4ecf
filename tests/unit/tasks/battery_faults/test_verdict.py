"""What is said of a pack, by what is told of its frames."""

from __future__ import annotations

import pytest

from sightline.tasks.battery_faults.verdict import CellView, FrameView, Judge, Thresholds
from sightline.vision.calibration import Calibration

THRESHOLDS = Thresholds(healthy=0.3, faulty=0.7)


def view(*probabilities, reason=""):
    cells = {k: CellView(p, 300.0) for k, p in enumerate(probabilities, start=1) if p is not None}
    return FrameView(reason, cells, count=3)


def judged(*views):
    judge = Judge(THRESHOLDS, Calibration())
    for number, one in enumerate(views):
        judge.push(one, number)
    return judge.standing


def test_a_quiet_pack_is_healthy():
    standing = judged(*[view(0.1, 0.2, 0.1)] * 4)
    assert (standing.verdict, standing.reason, standing.faulty) == ("healthy", "", {})


def test_a_fault_is_said_with_its_cell_and_the_frame_from_which_on():
    standing = judged(*[view(0.1, 0.1, 0.1)] * 3, *[view(0.1, 0.95, 0.1)] * 8)
    assert (standing.verdict, standing.cell, set(standing.faulty)) == ("faulty", 2, {2})
    assert standing.since == 4  # the second frame in which it looks faulty


def test_one_noisy_frame_is_no_alarm():
    quiet, noisy = [view(0.05, 0.05, 0.05)] * 6, view(1.0, 0.05, 0.05)
    assert judged(*quiet, noisy).verdict == "healthy"
    assert judged(noisy, *quiet).verdict == "healthy"


def test_a_short_does_not_heal():
    assert judged(*[view(0.9, 0.1, 0.1)] * 5, *[view(0.0, 0.0, 0.0)] * 50).verdict == "faulty"


def test_two_faults_are_both_said():
    assert set(judged(*[view(0.9, 0.1, 0.8)] * 5).faulty) == {1, 3}


@pytest.mark.parametrize(
    ("views", "reason"),
    [
        ([], "no_frames"),
        ([view(reason="no_scale")] * 3, "no_scale"),
        ([view(reason="pack_out_of_view")] * 3 + [view(reason="no_scale")], "pack_out_of_view"),
        ([view(0.1, 0.1, None)] * 6, "cell_not_seen"),
        ([view(0.1, 0.5, 0.1)] * 6, "between_thresholds"),
    ],
)
def test_what_cannot_be_said_has_its_reason(views, reason):
    standing = judged(*views)
    assert (standing.verdict, standing.reason) == ("cannot_say", reason)


def test_a_fault_that_was_seen_counts_though_another_cell_never_was():
    assert judged(*[view(0.9, 0.1, None)] * 5).verdict == "faulty"


def test_a_video_of_one_frame_can_be_healthy():
    assert judged(view(0.1, 0.1, 0.1)).verdict == "healthy"
