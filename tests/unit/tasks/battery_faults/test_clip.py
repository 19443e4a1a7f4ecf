from __future__ import annotations

import hashlib
import io
import json
import resource
import struct
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sightline.errors import DataError, DataMissing, DataRejected, RequestError
from sightline.files import sha256_input
from sightline.limits import Limits
from sightline.radiometry import Planck, embed_radiometry
from sightline.tasks.battery_faults.clip import Clip, clip_extent, read_clip
from sightline.tasks.battery_faults.thermometer import Thermometer
from tests.videos import write_video

LIMITS = Limits()


def _png(level: int, height: int = 40, width: int = 60) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), level, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _folder(path: Path, levels: dict[str, int]) -> Path:
    path.mkdir(parents=True)
    for name, level in levels.items():
        (path / name).write_bytes(_png(level))
    return path


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # without the time of day
    return buffer.getvalue()


def _levels(clip: Clip) -> list[int]:
    return [int(frame.pixels[0, 0, 0]) for frame in clip.frames()]


def test_a_folder_is_read_in_the_natural_order_of_its_names(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", {"f10.png": 30, "f2.png": 20, "f1.png": 10, ".hidden.png": 99})
    (folder / "notes.txt").write_text("beside")
    clip = read_clip(folder, LIMITS)
    assert _levels(clip) == [10, 20, 30]
    assert _levels(clip) == [10, 20, 30]  # as often as one likes
    assert (clip.size, clip.length, clip.sha256) == ((40, 60), 3, sha256_input(folder))
    assert [frame.number for frame in clip.frames()] == [0, 1, 2]
    assert clip_extent(folder, LIMITS).frames == 3


def test_a_folder_of_a_set_is_read_in_the_order_of_its_document(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "test/JPEGImages/v", {"new-1_0001.png": 1, "new-2_0000.png": 2, "spare.png": 3})
    document = {"videos": [{"file_names": ["v/new-2_0000.png", "v/new-1_0001.png"]}], "annotations": []}
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_test_sub.json").write_text(json.dumps(document))
    assert _levels(read_clip(folder, LIMITS)) == [2, 1]


def test_the_document_of_a_set_says_what_counts_mean(tmp_path: Path) -> None:
    folder = tmp_path / "test/JPEGImages/v"
    folder.mkdir(parents=True)
    Image.fromarray(np.full((40, 60), 30500, dtype=np.uint16)).save(folder / "a.png")
    video = {"id": 1, "width": 60, "height": 40, "file_names": ["v/a.png"], "sightline": {"kelvin_per_count": 0.01}}
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_test_sub.json").write_text(json.dumps({"videos": [video], "annotations": []}))
    clip = read_clip(folder, LIMITS)
    assert _kelvin(clip)[0, 0] == pytest.approx(305.0)
    assert _kelvin(clip.under({"kelvin_at_zero": 1.0}))[0, 0] == pytest.approx(306.0)


def test_a_zip_is_read_without_unpacking_it(tmp_path: Path) -> None:
    content = _zip({"v/f2.png": _png(20), "v/f10.png": _png(30), "__MACOSX/v/._f2.png": b"", "v/notes.txt": b"x"})
    clip = read_clip(content, LIMITS)
    assert (_levels(clip), clip.length) == ([20, 30], 2)
    assert clip.sha256 == hashlib.sha256(content).hexdigest()
    path = tmp_path / "v.zip"
    path.write_bytes(content)
    assert _levels(read_clip(path, LIMITS)) == [20, 30]


def test_a_video_file_and_its_bytes_are_read(tmp_path: Path) -> None:
    pictures = [np.full((48, 64, 3), level, dtype=np.uint8) for level in (40, 90, 160)]
    path = write_video(tmp_path / "a.mp4", pictures)
    for source in (path, path.read_bytes()):
        clip = read_clip(source, LIMITS)
        assert np.abs(np.array(_levels(clip)) - [40, 90, 160]).max() <= 3
        assert (clip.length, clip.size) == (3, (48, 64))
        assert clip.statistics["frames"] == 3.0


def test_one_picture_is_a_video_of_one_frame() -> None:
    clip = read_clip(_png(7), LIMITS)
    assert (_levels(clip), clip.length) == ([7], 1)


def _kelvin(clip: Clip) -> np.ndarray:
    with closing(clip.frames()) as frames:
        return Thermometer(clip.scale).measure(next(frames)).kelvin


def test_files_that_tell_temperatures_are_in_kelvin(tmp_path: Path) -> None:
    celsius = np.linspace(20, 45, 40 * 60, dtype=np.float32).reshape(40, 60)
    planck = Planck()
    counts = planck.counts(celsius)
    jpeg = io.BytesIO()
    Image.fromarray(np.zeros((40, 60), dtype=np.uint8)).save(jpeg, "JPEG")
    (tmp_path / "flir.jpg").write_bytes(embed_radiometry(jpeg.getvalue(), counts, planck))
    tifffile.imwrite(tmp_path / "celsius.tif", celsius)
    tifffile.imwrite(tmp_path / "kelvin.tif", celsius + 273.15)
    scale = '<GDALMetadata><Item name="SCALE" sample="0" role="scale">0.02</Item></GDALMetadata>'
    stored = np.rint((celsius + 273.15) / 0.02).astype(np.uint16)
    tifffile.imwrite(tmp_path / "scaled.tif", stored, extratags=[(42112, "s", 0, scale, True)])
    for name in ("flir.jpg", "celsius.tif", "kelvin.tif", "scaled.tif"):
        clip = read_clip(tmp_path / name, LIMITS)
        assert np.abs(_kelvin(clip) - (celsius + 273.15)).max() < 0.05, name
        assert np.abs(_kelvin(clip.under({"kelvin_per_count": 0.5})) - (celsius + 273.15)).max() < 0.05, name


def test_counts_need_a_scale_from_the_user(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 60), 30500, dtype=np.uint16)).save(tmp_path / "a.png")
    clip = read_clip(tmp_path / "a.png", LIMITS)
    assert np.isnan(_kelvin(clip)).all()
    assert _kelvin(clip.under({"kelvin_per_count": 0.01}))[0, 0] == pytest.approx(305.0)
    with pytest.raises(RequestError, match="kelvin_per_count"):
        clip.under({"kelvin_per_count": -1})


# ----------------------------------------------------------------------------------------------------- bad input


def test_frames_of_changing_size_are_refused_by_file_and_frame(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", {"f0.png": 1, "f1.png": 2})
    (folder / "f2.png").write_bytes(_png(3, 50))
    clip = read_clip(folder, LIMITS)
    with pytest.raises(DataRejected, match=r"f2\.png: frame 2 has 60 x 50 pixels, the first one 60 x 40"):
        list(clip.frames())


def test_frames_of_changing_kind_are_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", {"f0.png": 1})
    Image.fromarray(np.zeros((40, 60), dtype=np.uint16)).save(folder / "f1.png")
    with pytest.raises(DataRejected, match=r"f1\.png: frame 1 is of another kind"):
        list(read_clip(folder, LIMITS).frames())


def test_a_broken_frame_is_named(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", {"f0.png": 1, "f1.png": 2})
    (folder / "f1.png").write_bytes(_png(2)[:60])
    with pytest.raises(DataRejected, match=r"f1\.png"):
        list(read_clip(folder, LIMITS).frames())


def test_a_frame_that_the_document_lists_and_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "test/JPEGImages/v", {"a.png": 1})
    (tmp_path / "annotations").mkdir()
    document = {"videos": [{"file_names": ["v/a.png", "v/b.png"]}], "annotations": []}
    (tmp_path / "annotations/instances_test_sub.json").write_text(json.dumps(document))
    with pytest.raises(DataMissing, match=r"b\.png: there is no such file"):
        list(read_clip(folder, LIMITS).frames())


def _bomb() -> bytes:
    return _zip({"a.png": bytes(80 * 2**20)})


def _liar() -> bytes:
    """A ZIP whose directory says that its picture has 10 bytes."""
    content = bytearray(_zip({"a.png": bytes(50 * 2**20)}))
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 10)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"no video at all" * 9, "video"),
        (_zip({"readme.txt": b"x"}), "no pictures in the archive"),
        (_zip({"a/1.png": _png(1), "b/1.png": _png(1)}), "pictures in 2 folders"),
        (_zip({"a.png": b"text"}), "a.png: the content is not that of a JPEG, PNG or TIFF"),
        (_zip({"a.png": _png(1)})[:90], "the archive cannot be read"),
        (_bomb(), "the archive unpacks to 1 pictures of 83,886,080 bytes"),
        (_liar(), "a.png: "),
        (_png(1, 20), "too small to show a pack"),
        (_png(1)[:50], "its end is missing"),
    ],
)
def test_what_is_no_video_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(DataRejected, match=r"^upload: |^upload") as caught:
        read_clip(content, LIMITS, "upload")
    assert said in str(caught.value)


def test_an_empty_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="no pictures in this folder"):
        read_clip(tmp_path, LIMITS)
    with pytest.raises(DataError):
        read_clip(tmp_path / "absent", LIMITS)


def test_frames_beyond_the_limits_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", {"f0.png": 1})
    with pytest.raises(DataRejected, match="60 x 40"):
        read_clip(folder, Limits(pixels=1000))
    with pytest.raises(DataRejected, match="larger than"):
        read_clip(_zip({"a.png": _png(1)}), Limits(bytes=50))


def test_memory_stays_flat_however_long_a_video_is(tmp_path: Path) -> None:
    """800 frames of 0.23 MB would take 184 MB."""

    def pictures() -> Iterator[np.ndarray]:
        for number in range(800):
            yield np.full((240, 320, 3), number % 200, dtype=np.uint8)

    path = write_video(tmp_path / "long.mp4", pictures())
    clip = read_clip(path, LIMITS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in clip.frames()) == 800
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 90
