from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.battery_faults.pose import PoseTracker, fit_pose
from tests.unit.tasks.battery_faults.scenes import filled, quads

_SIZE = (144, 192)


def _frame(yaw_deg: float, noise_k: float = 0.05) -> tuple[np.ndarray, list[np.ndarray]]:
    """A wall and a floor of other temperatures, cells that differ, and a cable in front of them."""
    corners = [c * (192 / 536) + (0, 72 - 104 * 192 / 536) for c in quads(yaw_deg)]
    masks = [filled(c, _SIZE) for c in corners]
    rows = np.arange(_SIZE[0])[:, None] * np.ones((1, _SIZE[1]))
    kelvin = np.where(rows < 85, 299.0 + 0.01 * rows, 301.0)
    for number, mask in enumerate(masks):
        kelvin[mask] = 303.0 + 0.4 * number
    kelvin[:, 60:64] = 306.0
    rng = np.random.default_rng(3)
    return (kelvin + rng.normal(0, noise_k, kelvin.shape)).astype(np.float32), masks


def _overlap(pose, masks: list[np.ndarray]) -> float:
    found = [filled(pose.outline(number, 3), _SIZE) for number in (1, 2, 3)]
    return min(float((a & b).sum() / (a | b).sum()) for a, b in zip(found, masks, strict=True))


@pytest.mark.parametrize("yaw_deg", [-40.0, 0.0, 30.0])
def test_a_pack_is_found_by_its_shape_before_wall_floor_and_cable(yaw_deg: float) -> None:
    kelvin, masks = _frame(yaw_deg)
    pose = fit_pose(kelvin, 3)
    assert pose is not None
    assert _overlap(pose, masks) > 0.75
    assert not yaw_deg or pose.nearer == -np.sign(
        yaw_deg
    )  # the scenes' right side goes away from the camera at a positive angle


def test_the_next_frame_goes_on_from_the_last() -> None:
    tracker = PoseTracker(3)
    for yaw_deg in (0.0, 6.0, 12.0, 18.0):
        kelvin, masks = _frame(yaw_deg)
        pose = tracker.push(kelvin)
        assert pose is not None
        assert _overlap(pose, masks) > 0.8


def test_a_pack_is_found_again_after_a_while_without_it_and_another_one_after_a_long_while() -> None:
    tracker, wall = PoseTracker(3), np.full(_SIZE, 300.0, dtype=np.float32)
    for yaw_deg in (0.0, 5.0):
        assert tracker.push(_frame(yaw_deg)[0]) is not None
    for frames, yaw_deg in ((2, 20.0), (16, -40.0)):
        assert [tracker.push(wall) for _ in range(frames)] == [None] * frames
        kelvin, masks = _frame(yaw_deg)
        pose = tracker.push(kelvin)
        assert pose is not None
        assert _overlap(pose, masks) > 0.75


def test_where_there_is_no_shape_of_a_pack_there_is_none() -> None:
    rng = np.random.default_rng(1)
    kelvin = 300 + rng.normal(0, 0.05, _SIZE)
    kelvin[85:] += 2.0  # a floor
    assert fit_pose(kelvin.astype(np.float32), 3) is None
