"""The toy model keeps what every model that answers while a video runs promises; so do tasks, in test_models."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.limits import Limits
from sightline.video.opening import open_frames
from tests.contract.streaming import assert_streams
from tests.toy_stream import ToyWatcher
from tests.videos import LEVELS, grey, write_video


@pytest.mark.parametrize("levels", [LEVELS, [50] * 5, [150, 50, 150, 50], [150, 150, 50]])
def test_pushing_the_frames_of_a_clip_is_predicting_it(levels: list[int], tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", map(grey, levels))
    model = ToyWatcher()
    assert_streams(model, model.read(path, Limits()), list(open_frames(str(path), Limits())))
