"""MP4 files: what is in them, and that they are whole or not there."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.errors import BackendError, DataRejected
from sightline.limits import Limits
from sightline.video.reading import open_video
from sightline.video.writing import Movie
from tests.videos import LEVELS, grey, levels


def test_a_browser_finds_what_it_plays(tmp_path: Path) -> None:
    path = tmp_path / "inner" / "marked.mp4"
    with Movie(path) as movie:
        for number, level in enumerate(LEVELS):
            movie.add(grey(level, 47, 63), number / 5)
            assert not path.exists()
    content = path.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")  # it plays while it loads
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.height, stream.width) == (48, 64)  # colours of two by two pixels want even sides
    found = list(open_video(path, Limits()))
    assert levels(found) == list(LEVELS)
    assert [frame.time_s for frame in found] == pytest.approx([n / 5 for n in range(12)])
    assert [one.name for one in path.parent.iterdir()] == ["marked.mp4"]


def test_times_that_stand_still_become_frames_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "marked.mp4"
    with Movie(path) as movie:
        for time_s in (0.0, 0.0, 0.0, 3.0):
            movie.add(grey(50), time_s)
    assert [frame.time_s for frame in open_video(path, Limits())] == pytest.approx([0.0, 0.001, 0.002, 3.0])


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "marked.mp4"
    path.write_bytes(b"of yesterday")
    with pytest.raises(DataRejected, match="64 x 32 cannot follow those of 64 x 48"):
        _film(path, grey(50), np.zeros((32, 64, 3), dtype=np.uint8))
    _film(path)  # not one picture
    assert path.read_bytes() == b"of yesterday"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BackendError, match=r"marked\.mp4"):
        _film(tmp_path / "file" / "marked.mp4", grey(50))
    (tmp_path / ".marked.mp4.partial").mkdir()
    with pytest.raises(BackendError, match=r"marked\.mp4"):
        _film(tmp_path / "marked.mp4", grey(50))


def _film(path: Path, *pictures: NDArray[np.uint8]) -> None:
    with Movie(path) as movie:
        for number, picture in enumerate(pictures):
            movie.add(picture, float(number))
