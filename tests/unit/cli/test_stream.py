"""`sightline stream` over real files and a camera on this machine, with the toy model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.cli.stream import Options, streaming, watch
from sightline.errors import BackendError, DataMissing, DataRejected, ModelRejected, ParamsError, RequestError
from sightline.limits import Limits
from sightline.pipeline.streaming.cameras import Order
from sightline.pipeline.streaming.feeds import Patience
from sightline.stores.database import Database
from sightline.stores.predictions import Predictions
from sightline.stores.streams import Keep
from sightline.video.reading import Waits, open_video
from tests.toy import ToyModel
from tests.toy_stream import ToyWatcher, watcher_card
from tests.videos import LEVELS, Camera, grey, write_video


def order(**more: Any) -> Order:
    given = {"waits": Waits(5.0, 0.3), "patience": Patience(0.01, 0.01), **more}
    return Order(model=ToyWatcher(), task="toy_stream", version=2, **given)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames, of which the last four are bright."""
    return write_video(tmp_path_factory.mktemp("clips") / "clip.mp4", map(grey, LEVELS), rate=5)


@pytest.fixture
def camera(clip: Path) -> Iterator[Camera]:
    made = Camera(clip, frames=12)
    yield made
    made.close()


def test_a_video_is_watched_and_its_answers_marked_logged_and_shown(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = Predictions(Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}"))
    keep = Keep(every_s=1.0)
    watch(order(out=tmp_path / "out", predictions=predictions, keep=keep), [str(clip)], Options(out=tmp_path / "out"))
    shown = capsys.readouterr()
    assert f"{clip}: dark from frame 0, 0.0 s" in shown.out
    assert f"{clip}: spot from frame 10, 2.0 s (spot, peak" in shown.out
    assert "(12/12" in shown.err  # how far it is
    folder = tmp_path / "out" / "clip.mp4"
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    assert [line.get("frame") for line in lines] == [0, 5, 10, None]
    assert json.loads((folder / "answer.json").read_text())["onset"] == 10
    marked = list(open_video(folder / "marked.mp4", Limits()))
    assert len(marked) == 12
    assert [one.time_s for one in marked] == pytest.approx([n / 5 for n in range(12)])
    first, last = (marked[at].pixels[0].mean() for at in (0, 11))
    assert first < 30  # the verdict, drawn
    assert last > 220
    assert predictions.count("toy_stream", 2) == 13  # twelve frames, and the whole


def test_programs_get_json_lines(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch(order(keep=Keep(every_s=0.0)), [str(clip)], Options(as_json=True))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["verdict"] for line in lines[:12]] == ["dark"] * 10 + ["spot"] * 2
    assert lines[12]["whole"] is True
    summary = lines[13]["summary"]
    assert (summary["answered"], summary["dropped"], summary["problem"]) == (12, 0, "")


def test_several_sources_have_a_folder_each_also_of_the_same_name(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = tmp_path / "a" / "clip.mp4"
    frames.mkdir(parents=True)
    for number in range(3):
        Image.fromarray(grey(150)).save(frames / f"{number}.png")
    watch(order(out=tmp_path / "out"), [str(clip), str(frames)], Options(out=tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "clip.mp4" / "answer.json").read_text())["frames"] == 12
    assert json.loads((tmp_path / "out" / "clip.mp4-2" / "answer.json").read_text())["frames"] == 3


def test_a_camera_is_watched_beyond_its_losses(camera: Camera, capsys: pytest.CaptureFixture[str]) -> None:
    """It sends twelve pictures and ends; ten answers of one session take several connections, however many drop."""
    address = f"{camera.address.replace('//', '//user:secret@')}/mjpeg?key=secret"
    watch(order(), [address], Options(limit=14, as_json=True))
    shown = capsys.readouterr()
    summary = json.loads(shown.out.splitlines()[-1])["summary"]
    assert summary["answered"] == 14
    assert summary["losses"] >= 1
    assert summary["read"] >= summary["answered"] + summary["dropped"]
    assert "Tried again in" in shown.err
    assert "secret" not in shown.out + shown.err


def test_a_camera_that_stalls_is_opened_again(camera: Camera, capsys: pytest.CaptureFixture[str]) -> None:
    watch(order(), [f"{camera.address}/stalls"], Options(limit=13))
    assert "no frame came for 0.3 s" in capsys.readouterr().err


def test_if_one_source_cannot_be_opened_none_is_watched(
    clip: Path, camera: Camera, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word, kind in (
        (f"{camera.address}/page", DataRejected),
        (f"{camera.address}/nothing", DataMissing),
        ("http://127.0.0.1:1/", BackendError),
        ("gopher://camera/", ParamsError),
        (str(tmp_path / "absent.mp4"), DataMissing),
        (str(clip), ParamsError),  # given twice
    ):
        with pytest.raises(kind):
            watch(order(), [str(clip), word], Options())
    with pytest.raises(RequestError, match="gain"):
        watch(order(conditions={"gain": -1.0}), [str(clip)], Options())
    assert capsys.readouterr().out == ""


def test_a_source_without_a_frame_is_an_error_at_the_end(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"not what it says")
    with pytest.raises(DataRejected, match=r"of 1 of 2 sources no frame could be answered.*1\.png"):
        watch(order(), [str(tmp_path), str(clip)], Options())


def test_a_broken_sink_is_told_and_the_stream_goes_on(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clip.mp4").write_text("in the way of the folder")
    watch(order(out=tmp_path / "out"), [str(clip)], Options(out=tmp_path / "out"))
    shown = capsys.readouterr()
    assert "the file of answers: 3 lost" in shown.err
    assert "the marked video: 12 lost" in shown.err
    assert "12" in shown.out


def test_a_model_of_single_pictures_is_refused() -> None:
    card = watcher_card("panel_defects")
    with pytest.raises(ModelRejected, match="sightline predict panel_defects"):
        streaming(ToyModel(card))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_with_a_summary(number: signal.Signals, camera: Camera, tmp_path: Path) -> None:
    program = textwrap.dedent(f"""
        from sightline.cli import guarded
        from sightline.cli.stream import Options, watch
        from tests.unit.cli.test_stream import order
        guarded(lambda: watch(order(), ["{camera.address}/mjpeg"], Options(as_json=True)))
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert process.stdout is not None
    process.stdout.readline()  # it answers
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    assert json.loads(out.decode().splitlines()[-1])["summary"]["answered"] >= 1
    assert "Traceback" not in err.decode()
