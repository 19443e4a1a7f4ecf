"""Videos from files, folders, the network; what is none, or too large, or broken."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import tifffile
from PIL import Image

from sightline.errors import BackendError, DataMissing, DataRejected, ParamsError, SightlineError
from sightline.limits import Limits
from sightline.video.addresses import shown
from sightline.video.opening import open_frames
from sightline.video.reading import Waits, open_video
from tests.rtsp_camera import RtspCamera
from tests.videos import LEVELS, Camera, grey, levels, write_video

LIMITS = Limits()
WAITS = Waits(open_s=5.0, frame_s=0.3)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "flight.mp4", map(grey, LEVELS))


# ----------------------------------------------------------------------------------------------------- files


def test_frames_of_a_file_come_in_order_with_their_times(video: Path) -> None:
    with open_video(video, LIMITS) as frames:
        assert (frames.live, frames.size, frames.count) == (False, (48, 64), 12)
        found = list(frames)
    assert levels(found) == list(LEVELS)
    assert [frame.number for frame in found] == list(range(12))
    assert [frame.time_s for frame in found] == pytest.approx([n / 10 for n in range(12)])
    assert {(frame.pixels.dtype, frame.pixels.shape) for frame in found} == {(np.dtype("uint8"), (48, 64, 3))}


def test_bytes_are_read_as_a_file_is(video: Path) -> None:
    assert levels(open_video(video.read_bytes(), LIMITS)) == list(LEVELS)


def test_counts_of_a_radiometric_camera_stay_counts(tmp_path: Path) -> None:
    counts = [np.full((16, 20), 29000 + n, dtype=np.uint16) for n in range(3)]
    path = write_video(tmp_path / "counts.mkv", counts, codec="ffv1", pixels="gray16le")
    for frame, expected in zip(open_video(path, LIMITS), counts, strict=True):
        assert frame.pixels.dtype == np.uint16
        assert np.array_equal(frame.pixels, expected)


def test_frames_larger_than_the_limit_are_refused_before_one_is_decoded(video: Path) -> None:
    with pytest.raises(DataRejected, match="64 x 48 pixels are more than 3,000") as refused:
        open_video(video, Limits(pixels=3000))
    assert str(video) in str(refused.value)


def test_a_frame_that_is_larger_than_the_head_says_is_refused(tmp_path: Path) -> None:
    """H.264 may change its size on the way: the head knows of the first one only."""
    small, large = (
        write_video(tmp_path / f"{side}.h264", [grey(50, side, side)] * 3).read_bytes() for side in (64, 640)
    )
    path = tmp_path / "grows.h264"
    path.write_bytes(small + large)
    assert len({frame.pixels.shape for frame in open_video(path, LIMITS)}) == 2
    frames = open_video(path, Limits(pixels=5000))
    assert {frame.pixels.shape for frame in _survived(frames)} == {(64, 64, 3)}


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "empty"), (b"not what it says" * 50, "not that of a video"), (b"#EXTM3U\n/etc/passwd\n", "not that of")],
)
def test_what_is_no_video_is_refused_by_name(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(DataRejected, match=why) as refused:
            open_video(source, LIMITS)
        assert refused.value.way_out
    with pytest.raises(DataRejected, match=r"broken\.mp4"):
        open_frames(str(path), LIMITS)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(DataRejected, match="no video in it"):
        open_video(path, LIMITS)


def test_a_file_that_breaks_off_gives_what_is_there_and_says_so(video: Path, tmp_path: Path) -> None:
    whole = video.read_bytes()
    path = tmp_path / "cut.ts"
    write_video(path, (grey(10 + n, 240, 320) for n in range(30)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert 5 < len(list(_survived(open_video(path, LIMITS)))) <= 30
    with pytest.raises(DataRejected):
        open_video(whole[: len(whole) // 2], LIMITS)  # the table of an MP4 file stands at its end


def _survived(frames: Any) -> Iterator[Any]:
    for _ in range(1000):
        try:
            yield next(frames)
        except StopIteration:
            return
        except DataRejected:
            continue
        except BackendError:
            return


def test_damage_in_the_middle_costs_frames_and_not_the_rest(tmp_path: Path) -> None:
    pictures = (np.random.default_rng(n).integers(0, 255, (48, 64, 3)).astype(np.uint8) for n in range(12))
    path = write_video(tmp_path / "damaged.avi", pictures, codec="png", pixels="rgb24")
    content = bytearray(path.read_bytes())
    middle = content.index(b"IDAT", len(content) // 2)
    content[middle + 20 : middle + 400] = b"\xff" * 380
    path.write_bytes(content)
    frames = open_video(path, LIMITS)
    found, refused = [], []
    while True:
        try:
            found.append(next(frames).number)
        except DataRejected as error:
            refused.append(str(error))
        except StopIteration:
            break
    assert len(found) == 11
    assert len(refused) == 1
    assert found[-1] == 11  # the lost one kept its place
    assert "damaged.avi" in refused[0]


# --------------------------------------------------------------------------------------------------- folders


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for number, level in enumerate(LEVELS):
        Image.fromarray(grey(level)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    frames = open_frames(str(tmp_path), LIMITS)
    assert (frames.live, frames.count) == (False, 12)
    found = list(frames)
    assert levels(found) == list(LEVELS)
    assert {frame.time_s for frame in found} == {None}


def test_pictures_of_16_bits_stay_counts(tmp_path: Path) -> None:
    counts = np.arange(48, dtype=np.uint16).reshape(6, 8) + 30000
    Image.fromarray(counts).save(tmp_path / "1.png")
    tifffile.imwrite(tmp_path / "2.tif", counts)
    for frame in open_frames(str(tmp_path), LIMITS):
        assert frame.pixels.dtype == np.uint16
        assert np.array_equal(frame.pixels, counts)


def test_a_grey_picture_becomes_rgb_and_a_broken_one_is_refused_alone(tmp_path: Path) -> None:
    Image.fromarray(grey(50)[..., 0]).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"not what it says")
    Image.fromarray(grey(90)).save(tmp_path / "3.png")
    frames = open_frames(str(tmp_path), LIMITS)
    assert next(frames).pixels.shape == (48, 64, 3)
    with pytest.raises(DataRejected, match=r"2\.png"):
        next(frames)
    assert next(frames).number == 2
    assert list(frames) == []


def test_an_empty_folder_and_a_picture_beyond_the_limits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="no pictures"):
        open_frames(str(tmp_path), LIMITS)
    Image.fromarray(grey(50)).save(tmp_path / "1.png")
    with pytest.raises(DataRejected, match=r"1\.png"):
        next(open_frames(str(tmp_path), Limits(pixels=100)))


# --------------------------------------------------------------------------------------------------- cameras


@pytest.fixture(scope="module")
def camera(video: Path) -> Iterator[Camera]:
    made = Camera(video, frames=12)
    yield made
    made.close()


def test_a_camera_that_sends_mjpeg_is_live(camera: Camera) -> None:
    frames = open_frames(f"{camera.address}/mjpeg", LIMITS, WAITS)
    assert (frames.live, frames.count) == (True, None)
    found = list(_survived(frames))
    assert levels(found) == list(LEVELS)
    times = [frame.time_s for frame in found]
    assert times[0] == 0.0
    assert times == sorted(times)
    frames.close()


def test_a_file_behind_an_address_is_not_live(camera: Camera, tmp_path: Path) -> None:
    path = write_video(tmp_path / "web.mkv", map(grey, LEVELS))
    served = Camera(path, 0)
    frames = open_frames(f"{served.address}/file", LIMITS, WAITS)
    assert (frames.live, frames.count) == (False, 12)
    assert levels(frames) == list(LEVELS)
    frames.close()
    served.close()


def test_a_camera_that_speaks_rtsp_is_live(tmp_path: Path) -> None:
    camera = RtspCamera([grey(level) for level in LEVELS], tmp_path)
    frames = open_frames(camera.address, LIMITS, WAITS)
    assert (frames.live, frames.count) == (True, None)
    assert levels(_survived(frames)) == list(LEVELS)
    frames.close()
    camera.close()


def test_a_camera_that_stalls_is_lost_after_a_while(camera: Camera) -> None:
    frames = open_frames(f"{camera.address}/stalls", LIMITS, WAITS)
    with pytest.raises(BackendError, match=r"no frame came for 0\.3 s"):
        list(frames)
    assert list(frames) == []
    frames.close()


@pytest.mark.parametrize(
    ("path", "kind", "why"),
    [
        ("/page", DataRejected, "no video"),
        ("/nothing", DataMissing, "no such stream"),
        ("/closed", DataRejected, "user and a password"),
    ],
)
def test_what_is_no_camera_is_refused_at_once(camera: Camera, path: str, kind: type[SightlineError], why: str) -> None:
    with pytest.raises(kind, match=why) as refused:
        open_frames(f"{camera.address.replace('//', '//user:secret@')}{path}?key=secret", LIMITS, WAITS)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_camera_that_is_not_there_is_refused_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for scheme in ("http", "https", "rtsp"):
        with pytest.raises(BackendError, match="connection refused") as refused:
            open_frames(f"{scheme}://user:secret@127.0.0.1:{port}/stream", LIMITS, WAITS)
        assert "secret" not in str(refused.value)


def test_a_camera_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for scheme in ("http", "rtsp"):
            with pytest.raises(BackendError, match=r"does not answer within 0\.2 s"):
                open_frames(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/", LIMITS, Waits(0.2, 0.2))


@pytest.mark.parametrize(
    "word", ["ftp://camera/video", "rtsp://", "http://cam.example:port/", "file:///etc/passwd", "rtsp:// x"]
)
def test_addresses_that_are_none_are_refused(word: str) -> None:
    with pytest.raises(ParamsError):
        open_frames(word, LIMITS)


def test_what_is_not_there_or_no_camera_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="no such file, folder or device"):
        open_frames(str(tmp_path / "absent.mp4"), LIMITS)
    with pytest.raises(SightlineError, match="/dev/null"):
        open_frames("/dev/null", LIMITS, WAITS)


def test_an_address_is_shown_without_what_is_secret() -> None:
    assert shown("rtsp://me:pass@cam.example:554/a/b?token=1#x") == "rtsp://cam.example:554/a/b?..."
    assert shown("rtsp://cam.example/a") == "rtsp://cam.example/a"
    for password in ("p@ss", "p/a", "p?q", "p#q"):
        assert shown(f"rtsp://me:{password}@cam.example/a").removesuffix("?...") == "rtsp://cam.example/a"
    assert shown("/data/flight.mp4") == "/data/flight.mp4"
