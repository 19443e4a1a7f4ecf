"""Whole scenes: what is read when, what is held, and what is refused."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.vision.tiling import Read, Tiling, blend


def reader(scene: NDArray[Any], asked: list[tuple[int, int, int, int]] | None = None) -> Read:
    def read(top: int, left: int, height: int, width: int) -> NDArray[Any]:
        if asked is not None:
            asked.append((top, left, height, width))
        return scene[:, top : top + height, left : left + width]

    return read


def ramp(height: int, width: int, bands: int = 1) -> NDArray[np.float32]:
    return np.arange(bands * height * width, dtype=np.float32).reshape(bands, height, width)


def test_windows_cover_the_scene_and_no_more() -> None:
    plan = Tiling(window_px=8, overlap_px=2)
    assert plan.starts(1) == plan.starts(8) == [0]
    assert plan.starts(9) == plan.starts(14) == [0, 6]
    assert plan.starts(15) == [0, 6, 12]


def test_rows_come_from_the_top_without_gaps_and_are_read_once() -> None:
    scene = ramp(31, 17)
    asked: list[tuple[int, int, int, int]] = []
    parts = list(blend(reader(scene, asked), lambda windows: windows, 31, 17, 1, Tiling(8, 2, batch=3)))
    assert [top for top, _ in parts] == [0, 6, 12, 18, 24]
    assert np.allclose(np.concatenate([rows for _, rows in parts], axis=1), scene, rtol=1e-6)
    assert sorted(row for top, _, height, _ in asked for row in range(top, top + height)) == list(range(31))
    assert {(left, width) for _, left, _, width in asked} == {(0, 17)}


def test_scene_is_reflected_beyond_its_last_pixels() -> None:
    seen: list[NDArray[Any]] = []

    def predict(windows: NDArray[Any]) -> NDArray[np.float32]:
        seen.extend(windows)
        return windows

    list(blend(reader(ramp(2, 3)), predict, 2, 3, 1, Tiling(4, 1)))
    assert seen[0].tolist() == [[[0, 1, 2, 1], [3, 4, 5, 4], [0, 1, 2, 1], [3, 4, 5, 4]]]
    list(blend(reader(ramp(1, 1)), predict, 1, 1, 1, Tiling(4, 1)))
    assert seen[1].tolist() == np.zeros((1, 4, 4)).tolist()


def test_windows_keep_the_type_of_the_scene_and_the_batch_is_bounded() -> None:
    sizes: list[int] = []

    def predict(windows: NDArray[Any]) -> NDArray[np.float32]:
        assert windows.dtype == np.uint16
        sizes.append(len(windows))
        return windows.astype(np.float32)

    list(blend(reader(ramp(8, 50).astype(np.uint16)), predict, 8, 50, 1, Tiling(8, 0, batch=3)))
    assert sizes == [3, 3, 1]


def test_neighbouring_windows_pass_into_each_other_without_a_step() -> None:
    """Two windows of different answers: from one to the other, never a jump."""
    answers = iter([np.zeros((1, 1, 16, 16), np.float32), np.ones((1, 1, 16, 16), np.float32)])
    ((_, rows),) = blend(reader(ramp(16, 24)), lambda _: next(answers), 16, 24, 1, Tiling(16, 8))
    steps = np.diff(rows[0, 0])
    assert rows[0, 0, 0] == 0
    assert rows[0, 0, -1] == 1
    assert (steps >= 0).all()
    assert steps.max() < 0.2


def test_memory_is_that_of_two_rows_of_windows() -> None:
    height, width, channels = 6000, 2500, 4

    def read(top: int, left: int, rows: int, columns: int) -> NDArray[np.uint16]:
        return np.broadcast_to(np.arange(top, top + rows, dtype=np.uint16)[:, None], (2, rows, columns))

    def predict(windows: NDArray[Any]) -> NDArray[np.float32]:
        return np.repeat(windows[:, :1], channels, axis=1).astype(np.float32)

    total = 0
    tracemalloc.start()
    try:
        for top, rows in blend(read, predict, height, width, channels, Tiling(128, 16, batch=4)):
            total += rows.shape[1]
            assert np.allclose(rows[:, 0], top, rtol=1e-5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    row_of_windows = 128 * width * (channels * 4 + 2 * 2)
    assert total == height
    assert peak < 3 * row_of_windows < channels * height * width * 4 / 10


@pytest.mark.parametrize(("window_px", "overlap_px", "batch"), [(8, 8, 1), (8, -1, 1), (0, 0, 1), (8, 2, 0)])
def test_impossible_tilings_are_refused(window_px: int, overlap_px: int, batch: int) -> None:
    with pytest.raises(ValueError, match="windows cannot overlap"):
        Tiling(window_px, overlap_px, batch)


def test_other_shapes_than_asked_for_are_refused() -> None:
    scene, plan = ramp(9, 9), Tiling(8, 2)
    with pytest.raises(ValueError, match="holds nothing"):
        list(blend(reader(scene), lambda windows: windows, 0, 9, 1, plan))
    with pytest.raises(ValueError, match="was asked for"):
        list(blend(reader(scene[:, :, 1:]), lambda windows: windows, 9, 9, 1, plan))
    with pytest.raises(ValueError, match="the network answered"):
        list(blend(reader(scene), lambda windows: windows, 9, 9, 2, plan))
