from __future__ import annotations

import numpy as np
import pytest

from sightline.pipeline.side_by_side import Panel, side_by_side


def painted(height: int, width: int, level: int) -> np.ndarray:
    return np.full((height, width, 3), level, dtype=np.uint8)


def test_pictures_stand_in_rows_at_one_height_with_captions() -> None:
    rows = [
        [Panel(painted(20, 30, 10), "raw"), Panel(painted(40, 60, 20), "found")],
        [Panel(painted(400, 600, 30), "large"), Panel(painted(5, 5, 40), "small")],
    ]
    sheet = side_by_side(rows, 100)
    high = sheet.shape[0] // 2 - 100  # of a caption
    assert [int(sheet[high + 50, x, 0]) for x in (75, 231)] == [10, 20]
    assert [int(sheet[2 * high + 150, x, 0]) for x in (75, 206)] == [30, 40]
    assert (sheet[:high, :150] < 128).any()
    assert (sheet[:high, 306:] == 255).all()


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 1), (1, 1)])
def test_no_picture_makes_a_sheet_that_cannot_be_shown(shape: tuple[int, int]) -> None:
    sheet = side_by_side([[Panel(painted(*shape, 90), "long"), Panel(painted(10, 10, 9), "")]], 256)
    assert sheet.shape[0] <= 300
    assert sheet.shape[1] <= 800
