from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sightline.capabilities import Frame
from sightline.task import Limits
from sightline.tasks.battery_faults.clip import read_clip
from sightline.tasks.battery_faults.data import load_manifest, read_truth, source_of
from sightline.tasks.battery_faults.rule import RuleMethod, RuleParams, Side, over_siblings
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.tasks.battery_faults.thermometer import Scale, Thermometer
from sightline.tasks.battery_faults.verdict import FrameView
from tests.unit.tasks.battery_faults.scenes import backdrop, pack_picture

_NOTHING = (0.0, 0.0, 0.0)
PARAMS = RuleParams(
    cells=3,
    percentile=98.0,
    least_px=60,
    least_share=0.2,
    spot=0.17,
    hidden_k=0.8,
    misplaced_k=0.4,
    growth_k=0.07,
    standing_k=3.0,
    decision_k=0.3,
    steepness=2.0,
    most_k=100.0,
    smoothed=3,
    lasting=1,
)


def _pushed(pictures: Iterable[np.ndarray], method: RuleMethod | None = None) -> list[FrameView]:
    method, thermometer = method or RuleMethod(PARAMS), Thermometer(Scale())
    return [method.push(thermometer.measure(Frame(one, number))) for number, one in enumerate(pictures)]


def _video(rises: Iterable[tuple[float, float, float]], yaws: Iterable[float]) -> Iterator[np.ndarray]:
    for rise, yaw in zip(rises, yaws, strict=True):
        yield pack_picture(yaw, rise)[0]


def _likely(views: Iterable[FrameView]) -> list[set[int]]:
    return [{cell for cell, one in view.cells.items() if one.probability > 0.5} for view in views]


def test_a_cell_that_grows_warm_is_told_at_once_and_stays_told() -> None:
    rises = [_NOTHING, _NOTHING, _NOTHING, (0.0, 3.0, 0.0), (0.0, 5.0, 0.0), (0.0, 6.0, 0.0)]
    views = _pushed(_video(rises, (-10, 0, 10, 20, 30, 40)))
    assert _likely(views) == [set(), set(), set(), {2}, {2}, {2}]
    assert views[-1].cells[2].kelvin == pytest.approx(305, abs=1.2)
    assert views[-1].cells[1].kelvin == pytest.approx(300, abs=0.2)
    mask = views[-1].cells[2].mask
    truth = pack_picture(40.0)[1][1]
    assert mask is not None
    assert (mask & truth).sum() / (mask | truth).sum() > 0.9


def test_two_cells_may_be_faulty() -> None:
    views = _pushed(_video([_NOTHING] * 3 + [(4.0, 0.0, 4.0)] * 2, [0.0] * 5))
    assert _likely(views)[-1] == {1, 3}


def test_what_was_warm_from_the_start_is_no_fault() -> None:
    """Sunlight, a reflection, an uneven pack."""
    assert _likely(_pushed(_video([(1.5, 0.0, 0.0)] * 6, (-20, -10, 0, 10, 20, 30)))) == [set()] * 6


def test_what_warms_all_cells_is_no_fault() -> None:
    rises = [(step, step, step) for step in (0.0, 1.0, 3.0, 5.0)]
    assert _likely(_pushed(_video(rises, [0.0] * 4))) == [set()] * 4


def test_a_fault_that_was_there_before_the_video_is_told_where_it_is_large() -> None:
    assert _likely(_pushed(_video([(0.0, 0.0, 6.0)] * 4, [0.0] * 4)))[-1] == {3}


def test_where_nothing_can_be_told_the_reason_is() -> None:
    without_bar, _ = pack_picture(0.0, (0.0, 9.0, 0.0))
    without_bar[:, :60] = backdrop(208, 536)[:, :60]
    without_pack = backdrop(208, 536)
    with_bar, _ = pack_picture(0.0)
    without_pack[:, :60] = with_bar[:, :60]
    told = _pushed([without_bar, without_pack, with_bar])
    assert [view.reason for view in told] == ["no_scale", "pack_out_of_view", ""]
    assert [len(view.cells) for view in told] == [0, 0, 3]


def test_cells_keep_their_numbers_when_the_camera_goes_behind_the_pack() -> None:
    """In counts nothing but the way that was gone tells front from back."""
    method, seen = RuleMethod(PARAMS), []
    for yaw in (0, 30, 60, 75, 105, 120, 150, 180):
        _, masks = pack_picture(yaw if yaw <= 90 else yaw - 180)
        order = masks if yaw <= 90 else masks[::-1]  # the pinhole's cells, by the numbers of the pack
        kelvin = np.full(masks[0].shape, 295.0)
        for number, mask in enumerate(order, start=1):
            kelvin[mask] = 305.0
            if number == 3 and yaw >= 30:
                rows, columns = np.nonzero(mask)
                near = np.hypot(rows - rows.mean(), columns - columns.mean()) < 12
                kelvin[rows[near], columns[near]] = 312.0
        thermal = Thermal(kelvin.astype(np.float32), np.zeros_like(kelvin, np.float32), np.zeros((1, 1, 3), np.uint8))
        view = method.push(thermal)
        warmest = max(view.cells, key=lambda cell: view.cells[cell].kelvin) if view.cells and yaw >= 30 else None
        seen.append((yaw, warmest))
    assert {warmest for yaw, warmest in seen if warmest is not None and yaw not in (75, 105)} == {3}


def test_memory_is_bounded() -> None:
    method = RuleMethod(PARAMS.model_copy(update={"most_k": 2.0}))
    picture, _ = pack_picture(0.0, (0.0, 9.0, 0.0))
    _pushed([picture] * 8, method)
    (memory,) = [one for cell, one in method._memories.items() if cell == 2]
    assert memory.total <= 2.0
    (side,) = memory.sides.values()
    assert len(side.newest) <= PARAMS.smoothed
    assert len(side.grown) <= PARAMS.lasting


def test_a_rise_is_over_the_siblings() -> None:
    assert over_siblings({1: 5.0, 2: 1.0, 3: 1.0}) == {1: 4.0, 2: -1.0, 3: -1.0}
    assert over_siblings({1: 5.0, 2: 5.0, 3: 1.0})[1] == pytest.approx(3.0)
    assert over_siblings({2: 1.5}) == {2: 1.5}


def test_the_published_videos_are_told_right_at_the_first_faulty_frame(real_data: Path) -> None:
    data = load_manifest(real_data / "battery_faults")
    for sample in data.samples:
        video, clip = read_truth(data, sample), read_clip(source_of(data, sample), Limits())
        method, thermometer = RuleMethod(PARAMS), Thermometer(clip.scale)
        likely: dict[int, int] = {}
        for number, frame in enumerate(clip.frames()):
            if number > 10 and number % 6:
                continue  # for the time it takes
            for cell, one in method.push(thermometer.measure(frame)).cells.items():
                if one.probability > 0.5:
                    likely.setdefault(cell, number)
        assert likely == {fault.cell: fault.onset for fault in video.facts.faults}, sample.id


def test_a_level_that_was_cut_wrong_is_given_up() -> None:
    """Else every later surface would count as another place's, and a fault would never be told."""
    side = Side(PARAMS)
    stripes = np.where(np.arange(24) // 3 % 2, 1.0, -1.0) * np.ones((32, 1))
    flat, spot = np.zeros((32, 24), np.float32), np.zeros((32, 24), np.float32)
    spot[10:20, 8:16] = 3.0
    for surface in (*[stripes.astype(np.float32)] * 3, *[flat] * 3):
        assert side.push(surface) == 0
    assert side.push(spot) == pytest.approx(3, abs=0.2)
