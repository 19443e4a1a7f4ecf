"""One camera's memory, with a method that says what it is told to."""

from __future__ import annotations

import numpy as np

from sightline.capabilities import Frame
from sightline.tasks.battery_faults.answer import Answer, FrameAnswer
from sightline.tasks.battery_faults.history import MOST, History, moment_of
from sightline.tasks.battery_faults.session import PackSession
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.tasks.battery_faults.thermometer import Scale
from sightline.tasks.battery_faults.verdict import CellView, FrameView, Thresholds
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


def test_of_a_long_video_moments_are_kept_evenly_whatever_their_numbers() -> None:
    history, view = History(), FrameView()
    for pushed in range(3 * MOST):
        history.add(moment_of(2 * pushed + 1, None, view, frozenset()), view)
    assert history.frames == 3 * MOST
    assert history.every == 4
    assert [one.frame for one in history.moments] == [2 * pushed + 1 for pushed in range(0, 3 * MOST, 4)]
