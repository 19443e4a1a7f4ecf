"""Sinks: what arrives, and that none that is slow or broken holds up the stream."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

from sightline.errors import BackendError, ParamsError
from sightline.limits import Limits
from sightline.pipeline.streaming.frame_log import CameraLog
from sightline.pipeline.streaming.outlets import Outlet
from sightline.pipeline.streaming.said import Said
from sightline.pipeline.streaming.sinks import Film, JsonLines, Ledger, Webhook, check_webhook
from sightline.stores.database import Database
from sightline.stores.predictions import Predictions
from sightline.stores.streams import Keep
from sightline.task import Prediction
from sightline.video.reading import open_video
from tests.toy_stream import ToyWatcher
from tests.unit.pipeline.streaming.cameras import Camera, Listed, Stream, frame
from tests.videos import levels


def answer(number: int = 0, changed: bool = False, whole: bool = False, kept: bool = True) -> Said:
    document = {"verdict": "dark", "peak": float(number)}
    exports = {"peaks.json": {"peak": float(number)}} if whole else {}
    prediction = Prediction({"n": number}, np.zeros(2, dtype=np.float32), document, exports)
    place = None if whole else frame(10 * number, number, side=48, time_s=number / 5)
    return Said("cam", prediction, f"{number:064x}", place, changed, kept, 0, {"answered": number}, 1e9 + number)


# ------------------------------------------------------------------------------------------------ the queue


class Stuck(Listed):
    """Comes back from no write before the test says so."""

    name = "a slow sink"
    most = 4

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.gate = threading.Event(), threading.Event()

    def write(self, said: Said) -> None:
        self.begun.set()
        assert self.gate.wait(10)
        super().write(said)


class Broken(Listed):
    name = "a broken sink"

    def write(self, said: Said) -> None:
        raise ZeroDivisionError if said.changed else BackendError("the disk is full", where="answers")

    def close(self) -> None:
        raise BackendError("it cannot be finished")


def test_a_slow_sink_loses_answers_and_not_the_stream() -> None:
    slow, other = Stuck(), Listed()
    stream = Stream(Camera(*(frame(50, n) for n in range(40)), live=False), sinks=[slow, other])
    opened = threading.Timer(0.05, slow.gate.set)
    stream.run(lambda said: opened.start() if said.whole else None)
    delivered = stream.watchings[0].outlets[0].delivered
    assert len(other.said) == 41
    assert delivered.lost >= 41 - 4 - 2
    assert delivered.written + delivered.lost == 41
    assert "too slow" in delivered.problem
    assert slow.said[-1].whole  # what matters makes samples give way


def test_a_sample_gives_way_to_the_whole_behind_a_change_that_says_the_same() -> None:
    stuck = Stuck()
    outlet = Outlet(stuck, most=2)
    outlet.offer(answer(0, changed=True))
    assert stuck.begun.wait(10)
    for said in (answer(1, changed=True), answer(1), answer(1, whole=True)):
        outlet.offer(said)
    stuck.gate.set()
    delivered = outlet.close(10)
    assert (delivered.written, delivered.lost) == (3, 1)
    assert [(said.changed, said.whole) for said in stuck.said] == [(True, False), (True, False), (False, True)]


def test_a_sink_that_never_comes_back_does_not_keep_the_stream_from_ending() -> None:
    stuck = Stuck()
    stream = Stream(Camera(*(frame(50, n) for n in range(5)), live=False), sinks=[stuck])
    (summary,) = stream.run(close_s=0.1)
    stuck.gate.set()
    assert summary["answered"] == 5
    assert summary["sinks"]["a slow sink"]["lost"] >= 1
    assert "did not end" in summary["sinks"]["a slow sink"]["problem"]


def test_a_broken_sink_is_counted_and_the_others_get_all() -> None:
    other = Listed()
    (summary,) = Stream(Camera(*(frame(50, n) for n in range(5)), live=False), sinks=[Broken(), other]).run()
    assert (summary["answered"], len(other.said)) == (5, 6)
    assert summary["sinks"]["a broken sink"] == {"written": 0, "lost": 6, "problem": "it cannot be finished."}


def test_a_change_takes_the_place_of_a_sample_that_waits() -> None:
    stuck = Stuck()
    outlet = Outlet(stuck, most=2)
    outlet.offer(answer(0))
    assert stuck.begun.wait(10)  # it is at work on the first
    for one in (answer(1), answer(2), answer(3, changed=True), answer(4)):
        outlet.offer(one)
    stuck.gate.set()
    delivered = outlet.close(10)
    assert [one.frame.number for one in stuck.said if one.frame] == [0, 2, 3]
    assert (delivered.written, delivered.lost) == (3, 2)


def test_a_file_waits_for_a_sink_for_a_while() -> None:
    stuck = Stuck()
    outlet = Outlet(stuck, most=1, patience_s=10.0)
    opened = threading.Timer(0.05, stuck.gate.set)
    opened.start()
    for number in range(10):
        outlet.offer(answer(number))
    assert outlet.close(10).document() == {"written": 10, "lost": 0, "problem": ""}


# ----------------------------------------------------------------------------------------------------- files


def test_answers_are_lines_and_the_whole_has_files_of_its_own(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "cam")
    assert not sink.takes(answer(1, kept=False))
    for one in (answer(0, changed=True), answer(1), answer(2, whole=True)):
        sink.write(one)
    lines = [json.loads(line) for line in (tmp_path / "cam" / "answers.jsonl").read_text().splitlines()]
    assert [line.get("frame") for line in lines] == [0, 1, None]
    assert lines[0]["changed"]
    assert json.loads((tmp_path / "cam" / "answer.json").read_text())["counts"] == {"answered": 2}
    assert json.loads((tmp_path / "cam" / "answer.peaks.json").read_text()) == {"peak": 2.0}


def test_files_are_rotated_when_full_and_at_the_start_and_no_line_is_cut(tmp_path: Path) -> None:
    for _ in range(2):
        sink = JsonLines(tmp_path, most_bytes=1000)
        for number in range(20):
            sink.write(answer(number))
    files = sorted(tmp_path.glob("answers*.jsonl"))
    assert len(files) > 4
    assert all(path.stat().st_size <= 1000 for path in files)
    assert sum(len([json.loads(line) for line in path.read_text().splitlines()]) for path in files) == 40


def test_a_folder_in_which_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BackendError, match=r"answers\.jsonl"):
        JsonLines(tmp_path / "file").write(answer())


# ------------------------------------------------------------------------------------------------- a webhook


def test_a_webhook_gets_changes_and_the_whole() -> None:
    bodies: list[dict[str, object]] = []

    def receive(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(204)

    sink = Webhook("https://example.org/hook", transport=httpx.MockTransport(receive))
    given = [answer(0, changed=True), answer(1), answer(2, whole=True)]
    for one in given:
        if sink.takes(one):
            sink.write(one)
    sink.close()
    assert [body["peak"] for body in bodies] == [0.0, 2.0]


@pytest.mark.parametrize("status", [302, 404, 500, None])
def test_a_webhook_that_does_not_take_it_is_tried_twice(status: int | None) -> None:
    asked = []

    def receive(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if status is None:
            raise httpx.ReadTimeout("too slow")
        return httpx.Response(status, headers={"Location": "https://elsewhere.example/"})

    sink = Webhook("https://me:secret@example.org/hook?key=secret", transport=httpx.MockTransport(receive))
    with pytest.raises(BackendError, match="could not be sent") as refused:
        sink.write(answer(changed=True))
    assert len(asked) == 2
    assert "secret" not in str(refused.value)
    assert {request.url.host for request in asked} == {"example.org"}


@pytest.mark.parametrize("url", ["http://example.org/hook", "ftp://127.0.0.1/", "example.org", "http://[::1", ""])
def test_a_webhook_elsewhere_wants_https(url: str) -> None:
    with pytest.raises(ParamsError, match="https"):
        check_webhook(url)
    check_webhook("http://127.0.0.1:8000/hook")
    check_webhook("http://localhost/hook")


# ------------------------------------------------------------------------------------------------ the ledger


def test_the_ledger_keeps_changes_a_sample_and_the_whole_and_counts_all(tmp_path: Path) -> None:
    predictions = Predictions(Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}"))
    keep = Keep(every_s=2.0)
    sink = Ledger(CameraLog(predictions, "toy_stream", keep), 3)
    given = [frame(50 if n < 13 else 150, n, time_s=n / 5) for n in range(25)]
    stream = Stream(Camera(*given, live=False, name="harbour"), sinks=[sink], keep=keep)
    (summary,) = stream.run()
    assert summary["sinks"]["the ledger"]["lost"] == 0
    rows = list(predictions.given("toy_stream", 3))
    frames = {row.frame.number: row.frame.answers for row in rows if row.frame}
    assert set(frames) == {0, 10, 14, 20, 24}  # one in two seconds, the change in frame 14, and the last
    assert sum(frames.values()) == 25
    assert {row.frame.stream for row in rows if row.frame} == {"harbour"}
    (whole,) = [row for row in rows if row.frame is None]
    assert whole.row["output_spot"] == 1


# ------------------------------------------------------------------------------------------- a marked video


def test_the_marked_video_shows_each_answer_on_its_frame(tmp_path: Path) -> None:
    sink = Film(tmp_path, ToyWatcher())
    for number in range(2, 12):
        sink.write(answer(number))
    sink.close()
    found = list(open_video(tmp_path / "marked.mp4", Limits()))
    assert [abs(one - 10 * number) <= 10 for number, one in enumerate(levels(found), 2)] == [True] * 10
    assert [one.time_s for one in found] == pytest.approx([n / 5 for n in range(10)])


def test_films_are_cut_at_a_length_and_at_another_size_and_none_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "marked.mp4").write_bytes(b"of yesterday")
    sink = Film(tmp_path, ToyWatcher(), most_s=1.1)
    for number in range(12):
        sink.write(answer(number))
    small = answer(13)
    sink.write(Said("cam", small.prediction, "", frame(50, 13, side=32, time_s=2.6), False, True, 0, {}, 0.0))
    sink.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("marked-2.mp4", "marked-3.mp4", "marked-4.mp4", "marked.mp4")
    ]
    assert [len(list(open_video(tmp_path / f"marked-{n}.mp4", Limits()))) for n in (2, 3, 4)] == [6, 6, 1]
