"""What an operator looks at."""

from __future__ import annotations

import numpy as np

from sightline.tasks.battery_faults.drawing import FAULTY, HEALTHY, chart, mark, pack_view, ticks


def has(picture, colour):
    return bool((np.abs(picture.astype(int) - colour).max(axis=-1) <= 2).any())


def test_a_faulty_cell_is_outlined_and_the_frame_stays_as_it_was():
    frame, mask = np.full((80, 120, 3), 90, np.uint8), np.zeros((80, 120), bool)
    mask[20:60, 10:50] = True
    drawn = mark(frame, {1: mask}, "faulty: cell 1", FAULTY)
    assert drawn.shape == (106, 120, 3)
    assert has(drawn[26:], FAULTY)
    assert (frame == 90).all()
    assert not has(mark(frame, {}, "healthy", HEALTHY)[26:], FAULTY)


def test_curves_with_gaps_and_without_any_temperature_are_drawn():
    times = np.arange(5.0)
    curves = np.array([[300, 300], [301, np.nan], [np.nan, np.nan], [303, 300], [304, 300]])
    assert has(chart(curves, times, "s", 1.0, (200, 400)), FAULTY)
    for empty in (np.full((5, 3), np.nan), np.full((1, 3), 300.0)):
        assert chart(empty, times[: len(empty)], "frame", None, (200, 400)).shape == (200, 400, 3)


def test_an_axis_of_frames_has_whole_numbers():
    assert ticks(0.0, 6.0, whole=True).tolist() == [0, 2, 3, 4, 6]
    assert ticks(0.0, 2.0, whole=True).tolist() == [0, 1, 2]
    assert ticks(0.0, 6.0, whole=False).tolist() == [0, 1.5, 3, 4.5, 6]


def test_the_pack_shows_which_cell_is_faulty():
    picture = pack_view([9.0, float("nan"), 0.2], frozenset({1}), (240, 400))
    left, right = picture[:, :200], picture[:, 260:]
    assert has(left, FAULTY)
    assert not has(right, FAULTY)
    assert pack_view([0.0] * 8, frozenset(), (240, 400)).shape == (240, 400, 3)
