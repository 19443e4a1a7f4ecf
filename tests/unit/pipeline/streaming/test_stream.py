"""Streams of made-up cameras: what is answered, dropped, refused, lost, kept, and how much memory it takes."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from sightline.capabilities import Frame
from sightline.errors import BackendError, DataRejected
from sightline.pipeline.streaming.feeds import Patience
from sightline.pipeline.streaming.said import Said
from sightline.pipeline.streaming.watching import RENEWED_AFTER
from sightline.stores.streams import Keep
from sightline.task import Prediction
from tests.toy_stream import ToySession, ToyWatcher
from tests.unit.pipeline.streaming.cameras import Camera, Listed, Stream, frame


def file_of(*levels: int, name: str = "file") -> Camera:
    return Camera(*(frame(level, n, time_s=n / 5) for n, level in enumerate(levels)), live=False, name=name)


def verdicts(said: list[Said]) -> list[str]:
    return [one.verdict for one in said if not one.whole]


# ------------------------------------------------------------------------------------------------- a file


def test_every_frame_of_a_file_is_answered_and_the_whole_at_its_end() -> None:
    sink = Listed()
    stream = Stream(file_of(50, 150, 150, 150, 50), sinks=[sink])
    (summary,) = stream.run()
    assert verdicts(sink.said) == ["dark", "dark", "spot", "spot", "dark"]
    assert [one.changed for one in sink.said] == [True, False, True, False, True, False]
    whole = sink.said[-1]
    assert whole.whole
    assert whole.document()["onset"] == 2
    assert (summary["read"], summary["answered"], summary["dropped"], summary["changes"]) == (5, 5, 0, 2)
    assert summary["sinks"] == {"a list": {"written": 6, "lost": 0, "problem": ""}}
    assert sink.closed


def test_an_answer_says_where_it_belongs_and_who_made_it() -> None:
    stream = Stream(file_of(50, 150))
    stream.run()
    document = stream.said[1].document()
    assert (document["camera"], document["frame"], document["time_s"], document["version"]) == ("file", 1, 0.2, 1)
    assert (document["verdict"], document["dropped"], document["changed"]) == ("dark", 0, False)
    assert document["at"].endswith("+00:00")


def test_changes_and_samples_are_kept_and_nothing_else() -> None:
    sink = Listed(only_kept=True)
    stream = Stream(file_of(*[50] * 12, 150, 150, *[150] * 6), sinks=[sink], keep=Keep(every_s=1.0))
    stream.run()
    kept = [one.frame.number for one in sink.said if one.frame is not None]
    assert kept == [0, 5, 10, 13, 15]  # the first, one a second, and the change in frame 13
    assert sink.said[-1].whole


def test_it_ends_after_so_many_frames() -> None:
    (summary,) = Stream(file_of(*[50] * 20)).run(frames=3)
    assert summary["answered"] == 3


def test_an_empty_video_has_no_answer() -> None:
    stream = Stream(file_of())
    (summary,) = stream.run()
    assert (summary["read"], summary["answered"], summary["verdict"], stream.said) == (0, 0, "", [])


def test_missing_frames_are_counted_and_the_rest_is_answered() -> None:
    given = [frame(50, 0), DataRejected("frame 1 is damaged", where="file"), frame(50, 2)]
    stream = Stream(Camera(*given, live=False))
    (summary,) = stream.run()
    assert (summary["answered"], summary["damaged"]) == (2, 1)
    assert "frame 1 is damaged" in summary["problem"]
    assert [one.frame.number for one in stream.said if one.frame] == [0, 2]


def test_a_frame_of_another_size_is_left_out_and_named() -> None:
    stream = Stream(Camera(frame(50, 0), frame(50, 1, side=6), frame(50, 2), live=False))
    (summary,) = stream.run()
    assert (summary["answered"], summary["refused"]) == (2, 1)
    assert "a frame of (6, 6, 3)" in summary["problem"]
    assert any("frame 1 was left out" in line for line in stream.told)


def test_a_camera_that_sends_another_size_from_now_on_is_looked_at_anew() -> None:
    frames = [frame(50, n) for n in range(3)] + [frame(50, n, side=6) for n in range(3, 3 + RENEWED_AFTER + 4)]
    stream = Stream(Camera(*frames, live=False))
    (summary,) = stream.run()
    assert summary["refused"] == RENEWED_AFTER
    assert summary["answered"] == 3 + 4
    assert [one.document()["frames"] for one in stream.said if one.whole] == [3, 4]


def test_a_defect_of_the_model_costs_a_frame_and_not_the_stream() -> None:
    class Fails(ToySession):
        def push(self, frame: Frame) -> Prediction:
            if frame.number == 1:
                raise ValueError("surprise")
            return super().push(frame)

    class Model(ToyWatcher):
        def open(self, conditions: object) -> ToySession:
            return Fails(100.0)

    (summary,) = Stream(file_of(50, 50, 50), model=Model()).run()
    assert (summary["answered"], summary["refused"]) == (2, 1)
    assert "surprise" in summary["problem"]


def test_a_defect_of_what_reads_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        Stream(Camera(frame(50), ZeroDivisionError(), live=False)).run()


# ------------------------------------------------------------------------------------------------- a camera


class Slow(ToyWatcher):
    """Answers its first frame only once the camera has sent all of its own."""

    def __init__(self, all_sent: threading.Event) -> None:
        super().__init__()
        self.all_sent = all_sent

    def open(self, conditions: object) -> ToySession:
        assert self.all_sent.wait(10)
        return super().open({})


def test_of_a_camera_of_500_frames_a_second_the_newest_wins_and_the_others_are_counted() -> None:
    sent = threading.Event()

    class Fast(Camera):
        def __next__(self) -> Frame:
            try:
                return super().__next__()
            except StopIteration:
                sent.set()
                raise

    stream = Stream(Fast(*(frame(n % 90, n) for n in range(5000))), model=Slow(sent))
    (summary,) = stream.run()
    assert summary["read"] == 5000
    assert summary["answered"] <= 3
    assert summary["dropped"] == 5000 - summary["answered"]
    last = [one for one in stream.said if one.frame][-1]
    assert last.frame is not None
    assert last.frame.number == 4999
    assert sum(one.dropped for one in stream.said if one.frame) == summary["dropped"]


def test_a_camera_that_is_lost_is_opened_again_and_goes_on() -> None:
    cut = BackendError("no frame came for 10 s", where="made up")
    stream = Stream(
        Camera(frame(50), frame(60), cut),
        reopened=[BackendError("the camera cannot be reached"), Camera(frame(150), frame(150), frame(160), cut)],
    )
    seen = threading.Semaphore(0)
    (summary,) = stream.run(lambda _: seen.release())
    assert summary["read"] == 5
    assert summary["losses"] == 2
    assert any("no frame came for 10 s" in line for line in stream.told)
    assert any("cannot be reached" in line for line in stream.told)
    assert any("open again" in line for line in stream.told)
    numbers = [one.frame.number for one in stream.said if one.frame]
    assert numbers == sorted(set(numbers))  # it does not begin to count anew


def test_pauses_grow_and_are_not_the_same_for_all() -> None:
    patience = Patience(first_s=1.0, most_s=60.0, spread=0.5)
    for fruitless, longest in ((0, 1.0), (3, 8.0), (10, 60.0), (10**6, 60.0)):
        pauses = [patience.pause_s(fruitless) for _ in range(50)]
        assert longest / 2 <= min(pauses) < max(pauses) <= longest * 1.5
        assert len(set(pauses)) > 10


def test_several_cameras_have_a_state_each_and_take_turns() -> None:
    stream = Stream(file_of(*[50] * 30, name="dark"), file_of(*[150] * 30, name="bright"))
    first, second = stream.run()
    assert [(s["camera"], s["verdict"], s["answered"]) for s in (first, second)] == [
        ("dark", "dark", 30),
        ("bright", "spot", 30),
    ]
    wholes = {one.camera: one.document() for one in stream.said if one.whole}
    assert {name: whole["frames"] for name, whole in wholes.items()} == {"dark": 30, "bright": 30}


def test_what_is_remembered_of_an_idle_camera_is_let_go() -> None:
    """The answer to what came is given then; when it comes back, it begins anew."""
    gate = threading.Event()

    class Pauses(Camera):
        def __next__(self) -> Frame:
            found = super().__next__()
            if found.pixels.max() == 60:
                assert gate.wait(10)
            return found

    stream = Stream(Pauses(frame(50), frame(60, 1)))

    def hear(said: Said) -> None:
        if said.whole:
            gate.set()

    stream.run(hear, idle_s=0.0)
    assert [one.document()["frames"] for one in stream.said if one.whole] == [1, 1]


def test_it_ends_when_it_is_told_to_with_the_answer_to_what_came() -> None:
    def forever() -> Iterator[Frame]:
        n = 0
        while True:
            yield frame(50, n)
            n += 1

    class Endless(Camera):
        def __init__(self) -> None:
            super().__init__()
            self._frames = forever()

        def __next__(self) -> Frame:
            return next(self._frames)

    stream = Stream(Endless(), Endless())
    stream.run(lambda said: stream.stop.set() if said.frame and said.frame.number > 20 else None)
    assert sum(one.whole for one in stream.said) >= 1


def test_ten_hours_take_no_more_memory_than_one() -> None:
    """A frame each five seconds, each a picture of its own; a sink that keeps nothing."""
    peaks: list[int] = []

    class TenHours(Camera):
        def __init__(self) -> None:
            super().__init__(live=False)
            self.count = 7200
            self._n = 0

        def __next__(self) -> Frame:
            if self._n >= 7200:
                raise StopIteration
            if self._n in (720, 1440, 7199):
                peaks.append(tracemalloc.get_traced_memory()[0])
            self._n += 1
            return Frame(np.full((24, 32, 3), self._n % 90, dtype=np.uint8), self._n - 1, 5.0 * self._n)

    class Nowhere(Listed):
        def write(self, said: Said) -> None: ...

    stream = Stream(TenHours(), sinks=[Nowhere()], keep=Keep(every_s=10.0))
    stream.said = Forgets()
    tracemalloc.start()
    try:
        (summary,) = stream.run()
    finally:
        tracemalloc.stop()
    assert summary["answered"] == 7200
    assert max(peaks) - min(peaks) < 200_000  # a frame has 2,304 bytes


class Forgets(list[Said]):
    def append(self, _: Said) -> None: ...
