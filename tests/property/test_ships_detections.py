"""One ship is one detection: the fast way to tell gives what comparing all with all gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.geometry import box_iou
from sightline.stopping import Stopped, stoppable
from sightline.tasks.ships.detections import Detection, rectangle, suppress

scores = st.sampled_from([0.5, 0.9]) | st.floats(0, 1)
angles = st.sampled_from([0.0, np.pi / 4, np.pi / 2]) | st.floats(0, 7)
sides = st.sampled_from([0.0, 1e-12, 1e-6, 1.0, 12.0, 60.0]) | st.floats(0, 80)


@st.composite
def detections(draw: st.DrawFn) -> Detection:
    """Also lines and points, and ships that are found beside the middle of their rectangle."""
    place = st.integers(0, 12).map(lambda steps: 12.0 * steps) | st.floats(0, 150)
    x, y, away = draw(place), draw(place), draw(st.sampled_from([0.0, 0.0, -30.0, 15.0]))
    corners = rectangle(x, y, draw(sides), draw(sides), draw(angles))
    if draw(st.booleans()):
        corners = corners.astype(np.float32).astype(np.float64)
    return Detection(x + away, y, draw(scores), corners)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(detections(), max_size=30), st.sampled_from([0.5, 10.0, 25.0, 100.0]), st.sampled_from([0.05, 0.3, 0.9])
)
def test_the_same_ships_are_kept_as_by_comparing_all_with_all(
    found: list[Detection], separation_px: float, overlap: float
) -> None:
    kept = suppress(found, separation_px, overlap)
    assert [id(one) for one in kept] == [id(one) for one in _by_all_pairs(found, separation_px, overlap)]


def _by_all_pairs(found: list[Detection], separation_px: float, overlap: float) -> list[Detection]:
    kept: list[Detection] = []
    for one in sorted(found, key=lambda one: (-one.score, one.y, one.x)):
        if not any(_doubles(one, better, separation_px, overlap) for better in kept):
            kept.append(one)
    return kept


def _doubles(one: Detection, better: Detection, separation_px: float, overlap: float) -> bool:
    reach = max(separation_px, one.length_px + better.length_px)
    if abs(one.x - better.x) > reach or abs(one.y - better.y) > reach:
        return False
    if np.hypot(one.x - better.x, one.y - better.y) < separation_px:
        return True
    point = np.array([one.x, one.y]) - better.corners[0]
    along = [better.corners[corner] - better.corners[0] for corner in (1, 3)]
    if all(0 <= point @ side <= side @ side for side in along):
        return True
    return bool(box_iou(one.box, better.box)[0, 0] > overlap)


def test_it_ends_when_nobody_waits_any_more() -> None:
    found = [Detection(24.0 * x, 0.0, 0.5, rectangle(24.0 * x, 0.0, 18, 6, 0.0)) for x in range(50)]
    asked = []

    def gone() -> bool:
        asked.append(True)
        return len(asked) > 10

    with stoppable(gone), pytest.raises(Stopped):
        suppress(found, 10.0, 0.3)
