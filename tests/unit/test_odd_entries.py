"""What is no file is refused at once, by every reader, and every message can be printed."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sightline.errors import DataError, DataMissing, DataRejected, SightlineError
from sightline.files import open_file, sha256_file
from sightline.limits import Limits
from sightline.maps.pictures import check_large, read_scene_pixels
from sightline.tasks.land_cover.raster import scene_size
from sightline.tasks.land_cover.tile import read_tile
from sightline.tasks.panel_defects.chip import read_chip, read_mask
from sightline.tasks.panel_defects.data import read_photograph
from sightline.tasks.panel_defects.tfrecord import read_records
from sightline.tasks.pv_hotspots.thermogram import read_thermogram
from sightline.vision.images import read_bytes
from tests.unit.bad_images import encoded


@pytest.fixture
def entries(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A path of each kind that is no file."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    before = Path.cwd()
    os.chdir(tmp_path)  # the name of a socket has some 100 characters at most
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket.jpg")
    os.chdir(before)
    yield lambda name: tmp_path / f"{name}.jpg"
    server.close()


KINDS = {
    "pipe": (DataRejected, "a named pipe"),
    "folder": (DataRejected, "a folder"),
    "nowhere": (DataMissing, "leads to no file"),
    "circle": (DataRejected, "cannot be read"),
    "endless": (DataRejected, "a device"),
    "socket": (DataRejected, "a socket"),
    "absent": (DataMissing, "no such file"),
}
READERS: dict[str, Callable[[Path], object]] = {
    "bytes": lambda path: read_bytes(path, Limits(), str(path)),
    "digest": sha256_file,
    "thermogram": lambda path: read_thermogram(path, Limits()),
    "photograph": lambda path: read_photograph(path, Limits()),
    "chip": lambda path: read_chip(path, Limits()),
    "mask": lambda path: read_mask(path, (64, 64)),
    "records": lambda path: list(read_records(path, str(path))),
    "tile": lambda path: read_tile(path, Limits()),
    "scene of eight bands": scene_size,
    "scene": lambda path: read_scene_pixels(path, Limits()),
    "large scene": check_large,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_refused_at_once(reader: str, kind: str, entries: Callable[[str], Path]) -> None:
    error, words = KINDS[kind]
    with pytest.raises(error, match=words) as caught:
        READERS[reader](entries(kind))
    assert isinstance(caught.value, DataError)
    assert str(entries(kind)) in str(caught.value)
    assert caught.value.way_out


def test_a_name_of_nothing_but_dots_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "...png"
    path.write_bytes(encoded("PNG"))
    assert read_thermogram(path, Limits()).name == str(path)


def test_a_name_that_is_no_utf8_can_be_read_and_printed(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xfcll.png"))
    path.write_bytes(encoded("PNG"))
    assert read_thermogram(path, Limits()).picture.shape == (64, 64, 3)
    path.write_bytes(b"no picture")
    with pytest.raises(DataRejected) as caught:
        read_thermogram(path, Limits())
    assert "m\\udcfcll.png" in str(caught.value)
    assert str(caught.value).encode()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_every_part_of_a_message_can_be_printed() -> None:
    error = SightlineError("no \udcff", where="a\udcfe", way_out="Rename \udcfd.")
    assert str(error).encode()
    assert error.where == "a\\udcfe"


def test_a_name_with_a_zero_byte_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRejected, match="cannot be read"):
        read_bytes(tmp_path / "a\0b.png", Limits(), "upload")


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with open_file(tmp_path / "a") as file:
        assert file.read() == b"abc"
