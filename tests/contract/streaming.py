"""What every model that answers while a video runs promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sightline.capabilities import Frame, Marking, Streaming
from sightline.errors import DataRejected
from sightline.task import Prediction


def pushed(model: Streaming, frames: Sequence[Frame]) -> tuple[list[Prediction], Prediction]:
    """The answer after each frame, and to the whole."""
    session = model.open({})
    return [session.push(frame) for frame in frames], session.close()


def assert_same(one: Prediction, other: Prediction) -> None:
    assert one.document == other.document
    assert dict(one.row) == pytest.approx(dict(other.row))
    assert np.allclose(one.embedding, other.embedding)
    assert one.findings == other.findings
    assert one.found == other.found


def assert_streams(model: Any, clip: Any, frames: Sequence[Frame]) -> None:
    """`predict([clip])` is the same as pushing the clip's frames one at a time, and sessions keep to themselves."""
    assert isinstance(model, Streaming)
    assert len(frames) > 1
    answers, whole = pushed(model, frames)
    assert_same(whole, model.predict([clip])[0])
    assert all(isinstance(one.document["verdict"], str) for one in answers)
    assert len({tuple(sorted(one.row)) for one in answers}) == 1
    _assert_sessions_do_not_disturb_each_other(model, frames, whole)
    _assert_a_bad_frame_changes_nothing(model, frames, whole)
    with pytest.raises(DataRejected):
        model.open({}).close()
    if isinstance(model, Marking):
        picture = model.mark(frames[-1], answers[-1])
        assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)


def _assert_sessions_do_not_disturb_each_other(model: Streaming, frames: Sequence[Frame], whole: Prediction) -> None:
    first, second = model.open({}), model.open({})
    for frame in frames:
        first.push(frame)
        second.push(frames[0])
    assert_same(first.close(), whole)


def _assert_a_bad_frame_changes_nothing(model: Streaming, frames: Sequence[Frame], whole: Prediction) -> None:
    session = model.open({})
    for frame in frames:
        session.push(frame)
        cut: Any = frame.pixels[: frame.pixels.shape[0] // 2]
        with pytest.raises(DataRejected):
            session.push(replace(frame, pixels=cut))
    assert_same(session.close(), whole)
