"""One camera's memory, with a method that says what it is told to."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np

from sightline.capabilities import Frame
from sightline.tasks.battery_faults.answer import Answer, FrameAnswer
from sightline.tasks.battery_faults.history import MOST, History, Moment, moment_of
from sightline.tasks.battery_faults.runs import RunLengths
from sightline.tasks.battery_faults.session import PackSession
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.tasks.battery_faults.thermometer import Scale
from sightline.tasks.battery_faults.verdict import CellView, FrameView, Judge, Thresholds
from sightline.vision.calibration import Calibration


class Said:
    """A method that finds the second cell faulty from the given push on."""

    width = 2

    def __init__(self, onset: int) -> None:
        self.onset, self.pushed = onset, 0

    def push(self, thermal: Thermal) -> FrameView:
        self.pushed += 1
        hot = 0.99 if self.pushed > self.onset else 0.01
        mask = np.zeros(thermal.size, dtype=np.bool_)
        mask[10:20, 30:50] = True
        return FrameView("", {1: CellView(0.01, 300.0), 2: CellView(hot, 309.0, mask), 3: CellView(0.01, 300.0)})


def test_frames_are_numbered_as_the_camera_does_though_some_were_dropped() -> None:
    session = PackSession(Said(2), Thresholds(0.3, 0.7), Scale(0.01), Calibration())
    numbers = (0, 1, 7, 30, 31)
    counts = np.full((48, 64), 30000, dtype=np.uint16)
    told = [session.push(Frame(counts, number, number / 30)) for number in numbers]
    answers = [FrameAnswer.model_validate(one.document) for one in told]
    assert [one.frame for one in answers] == [0, 1, 7, 30, 31]
    assert [one.since_frame for one in answers] == [None, None, None, 30, 30]
    whole = Answer.model_validate(session.close().document)
    assert (whole.since_frame, whole.faults[0].onset_frame, whole.shown_frame) == (30, 7, 7)
    assert (whole.video.frames, whole.temperatures.frames) == (5, [0, 1, 7, 30, 31])


class Building(Said):
    """The same, with evidence that built up in the last four frames before."""

    def push(self, thermal: Thermal) -> FrameView:
        view = super().push(thermal)
        building = max(self.pushed - self.onset + 4, 0)
        return replace(view, cells={**view.cells, 2: replace(view.cells[2], building=building)})


def test_a_fault_that_built_up_is_marked_from_where_it_began() -> None:
    session = PackSession(Building(8), Thresholds(0.3, 0.7), Scale(0.01), Calibration())
    for number in range(12):
        session.push(Frame(np.full((48, 64), 30000, dtype=np.uint16), number, number / 30))
    whole = Answer.model_validate(session.close().document)
    assert (whole.since_frame, whole.faults[0].onset_frame) == (9, 4)
    (track,) = session.told().tracks
    assert track.coarse is None
    assert [number for number, mask in enumerate(track.masks) if mask is not None] == list(range(4, 12))


def test_evidence_that_came_to_nothing_is_not_marked() -> None:
    session = PackSession(Building(8), Thresholds(0.3, 0.7), Scale(0.01), Calibration())
    for number in range(8):
        session.push(Frame(np.full((48, 64), 30000, dtype=np.uint16), number, number / 30))
    assert session.told().tracks == ()


def test_of_a_long_video_moments_are_kept_evenly_whatever_their_numbers() -> None:
    history, view = History(), FrameView()
    for pushed in range(3 * MOST):
        history.add(moment_of(2 * pushed + 1, None, view, frozenset()), view)
    assert history.frames == 3 * MOST
    assert history.every == 4
    assert [one.frame for one in history.moments] == [2 * pushed + 1 for pushed in range(0, 3 * MOST, 4)]


def test_the_second_half_of_ten_hours_takes_no_more_memory_than_the_first() -> None:
    """What a session remembers. It counts frames, and does not know how fast they come: 7,200 stand for the 900,000 of
    a video, so that it takes a second. That is seven times what is kept. Each has another rise and another mask.
    """
    history, judge, held = History(), Judge(Thresholds(0.3, 0.7), Calibration()), []
    tracemalloc.start()
    try:
        for frame in range(7200):
            kelvin, mask = {1: 300.0, 2: 305.0 + frame % 7}, RunLengths((frame % 50, 60, 82 - frame % 50), (12, 16))
            view = FrameView("", {1: CellView(0.01, 300.0), 2: CellView(0.9, kelvin[2])}, 2, (0.5, float(frame)))
            history.add(Moment(frame, 5.0 * frame, kelvin, {2: kelvin[2] - 300}, {2: mask}), view)
            judge.push(view, frame)
            if frame % 20 == 19:
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(held[180:]) <= 1.1 * max(held[:180])
    assert (history.frames, judge.standing.verdict) == (7200, "faulty")
    assert MOST / 2 <= len(history.moments) <= MOST
