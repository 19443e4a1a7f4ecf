from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest

from sightline.errors import BackendError
from sightline.files import finite, replacing_folder, sha256_files, sha256_input, write_json, write_text


def test_the_same_document_gives_the_same_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [float("nan"), 2.0]})
    write_json(tmp_path / "b.json", {"a": (float("inf"), 2.0), "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_what_json_has_no_word_for_becomes_null() -> None:
    assert finite({"a": float("nan"), "b": [float("-inf"), 1]}) == {"a": None, "b": [None, 1]}


def test_a_folder_in_the_way_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="file/inner"):
        write_text(tmp_path / "file" / "inner.json", "{}")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "kept.json"
    write_text(target, "old")
    (tmp_path / ".kept.json.partial").mkdir()  # where the new text would go first
    with pytest.raises(BackendError, match=r"kept\.json"):
        write_text(target, "new")
    assert target.read_text() == "old"


def test_the_digest_of_files_knows_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    files = [tmp_path / "a", tmp_path / "b"]
    before = sha256_files(files, tmp_path)
    assert sha256_files(files[::-1], tmp_path) == before
    (tmp_path / "b").rename(tmp_path / "c")
    assert sha256_files([tmp_path / "a", tmp_path / "c"], tmp_path) != before


def test_a_folder_takes_the_old_ones_place_whole(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "old").touch()
    (tmp_path / ".models.partial").mkdir()
    (tmp_path / ".models.partial" / "left by a kill").touch()
    with replacing_folder(folder, "the models") as fresh:
        (fresh / "new").touch()
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "old").touch()

    def fill() -> None:
        with replacing_folder(folder, "the models") as fresh:
            (fresh / "new").touch()
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(BackendError, match=r"the models cannot be written \(No space left"):
        fill()
    assert [path.name for path in folder.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_a_folder_of_frames_has_one_digest_of_names_and_contents(tmp_path: Path) -> None:
    for name, content in (("b.png", b"2"), ("a.png", b"1"), (".DS_Store", b"x"), ("Thumbs.db", b"y")):
        (tmp_path / name).write_bytes(content)
    before = sha256_input(tmp_path)
    for left in (".DS_Store", "Thumbs.db"):
        (tmp_path / left).unlink()
    assert sha256_input(tmp_path) == before
    (tmp_path / "a.png").write_bytes(b"3")
    assert sha256_input(tmp_path) != before
    assert sha256_input(tmp_path / "a.png") == hashlib.sha256(b"3").hexdigest()
