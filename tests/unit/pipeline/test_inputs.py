"""Files, folders and globs become inputs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sightline.capabilities import FOLDER
from sightline.errors import DataMissing, ParamsError
from sightline.pipeline.answer_paths import refuse_to_overwrite
from sightline.pipeline.inputs import find_inputs

FORMATS = ("image/jpeg", "image/tiff")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def names(root: Path, *paths: str, out: Path | None = None) -> list[str]:
    return [one.name for one in find_inputs([root / path for path in paths], FORMATS, out)]


def test_a_folder_means_the_pictures_below_it(tmp_path: Path) -> None:
    touch(
        tmp_path, "f/b.JPG", "f/a.jpeg", "f/day2/c.tif", "f/notes.txt", "f/._b.jpg", "f/.cache/d.jpg", "f/a.tif.aux.xml"
    )
    assert names(tmp_path, "f") == ["a", "b", "day2/c"]


def test_a_glob_and_a_file_are_answered_once_each(tmp_path: Path) -> None:
    touch(tmp_path, "f/a.jpg", "f/b.jpg", "f/b.txt")
    assert names(tmp_path, "f/b.jpg", "f/*.jpg") == ["b", "a"]


def test_files_of_one_name_have_answers_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "f/a.jpg", "f/a.tif", "g/a.jpg", "f/A.jpeg")
    assert names(tmp_path, "f", "g") == ["f/A.jpeg", "f/a.jpg", "f/a.tif", "g/a"]


def test_a_name_with_brackets_is_a_file_where_there_is_one(tmp_path: Path) -> None:
    touch(tmp_path, "f/a[1].jpg")
    assert names(tmp_path, "f/a[1].jpg") == ["a[1]"]


def test_the_answers_of_an_earlier_call_are_no_inputs(tmp_path: Path) -> None:
    touch(tmp_path, "f/a.jpg", "f/answers/a.jpg")
    assert names(tmp_path, "f", out=tmp_path / "f" / "answers") == ["a"]


def test_what_is_named_is_tried_whatever_it_is_called(tmp_path: Path) -> None:
    touch(tmp_path, "thermogram.bin")
    assert names(tmp_path, "thermogram.bin", "absent.jpg") == ["thermogram", "absent"]


def test_long_names_leave_room_for_what_an_answers_name_ends_in(tmp_path: Path) -> None:
    first, second = "ä" * 125 + ".jpg", "ä" * 124 + "b.jpg"  # 254 bytes and 253
    touch(tmp_path, first, second)
    found = names(tmp_path, ".")
    assert len(set(found)) == 2
    assert all(len(name.encode()) < 200 and name.startswith("ä" * 90) for name in found)


@pytest.mark.parametrize("path", ["empty", "empty/*.jpg"])
def test_an_empty_folder_is_told(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataMissing, match="empty"):
        names(tmp_path, path)


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "f/a.jpg")
    (tmp_path / "f" / "again").symlink_to(tmp_path / "f")
    (tmp_path / "f" / "b.jpg").symlink_to(tmp_path / "f" / "b.jpg")
    assert names(tmp_path, "f") == ["a", "b"]


def test_linked_folders_are_looked_into_and_a_circle_ends(tmp_path: Path) -> None:
    touch(tmp_path, "card/a.jpg", "f/b.jpg")
    (tmp_path / "f" / "card").symlink_to(tmp_path / "card")
    (tmp_path / "card" / "back").symlink_to(tmp_path / "f")
    assert sorted(names(tmp_path, "f")) == ["b", "card/a"]


@pytest.mark.parametrize("pattern", ["f/*", "f/**/*.jpg"])
def test_a_glob_leaves_the_answers_of_an_earlier_call_out_too(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, "f/a.jpg", "f/answers/a.jpg", "f/answers/day/b.jpg")
    assert names(tmp_path, pattern, out=tmp_path / "f" / "answers") == ["a"]


def test_answers_are_not_put_among_the_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "f/a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "f")
    with pytest.raises(ParamsError, match=r"--out another folder, for example .*answers"):
        names(tmp_path, "f", out=tmp_path / "link")


@pytest.mark.parametrize("pattern", ["f/*.jpg", "f/**/*.jpg", "f/*"])
def test_nor_where_a_pattern_names_the_pictures(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, "f/a.jpg", "f/day/b.jpg")
    with pytest.raises(ParamsError, match=r"--out another folder, .*f/answers"):
        names(tmp_path, pattern, out=tmp_path / "f")


@pytest.mark.parametrize("named", ["f/day", "f/day/*.jpg", "f/day/**/*"])
def test_pictures_in_a_folder_of_their_own_within_that_of_the_answers(tmp_path: Path, named: str) -> None:
    touch(tmp_path, "f/day/a.jpg", "f/day/b.jpg")
    assert names(tmp_path, named, out=tmp_path / "f") == ["a", "b"]


def test_no_two_files_can_write_one_answer(tmp_path: Path) -> None:
    touch(tmp_path, "f/a.jpg", "f/a.mask.tif", "f/a.coco.v2.tif", "f/ab.jpg", "f/.x/a.jpg", "f/2026.05.01.jpg")
    assert names(tmp_path, "f") == ["2026.05.01", "a.coco.v2.tif", "a.jpg", "a.mask.tif", "ab"]


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "f/a.jpg/b.jpg"])
def test_a_path_that_cannot_be_is_left_to_whoever_reads_it(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "f/a.jpg")
    assert len(names(tmp_path, name)) == 1


def test_a_folder_that_may_not_be_listed_is_told_of(tmp_path: Path) -> None:
    touch(tmp_path, "f/a.jpg", "f/closed/b.jpg")
    (tmp_path / "f" / "closed").chmod(0)
    if os.access(tmp_path / "f" / "closed", os.R_OK):
        pytest.skip("this user may list every folder")
    assert names(tmp_path, "f") == ["a", "closed"]


def test_no_name_leads_out_of_the_folder_of_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "run/b.jpg", "x/a.jpg", "x/deep/c.jpg")
    (tmp_path / "run" / "link").symlink_to(tmp_path / "x" / "deep")
    monkeypatch.chdir(tmp_path / "run")
    paths = [Path("../x/a.jpg"), Path("b.jpg"), Path("link/../deep/c.jpg")]
    assert [one.name for one in find_inputs(paths, FORMATS, Path("../o"))] == ["x/a", "run/b", "x/deep/c"]


# ------------------------------------------------------------------------------------------------ videos

VIDEOS = ("video/mp4", "application/zip", FOLDER)


def videos(root: Path, *paths: str, out: Path | None = None) -> list[str]:
    return [one.name for one in find_inputs([root / path for path in paths], VIDEOS, out)]


def test_a_folder_of_frames_is_one_input_where_a_model_answers_videos(tmp_path: Path) -> None:
    touch(tmp_path, "day/pack.1/0001.png", "day/pack.1/0002.png", "day/pack2/0001.TIF", "day/notes/a.txt", "day/c.mp4")
    assert videos(tmp_path, "day") == ["c", "pack.1", "pack2"]
    assert videos(tmp_path, "day/pack.1") == ["pack.1"]
    assert names(tmp_path, "day") == ["0001"]  # a model of pictures answers the pictures


def test_a_folder_without_frames_or_videos_is_told_what_is_missing(tmp_path: Path) -> None:
    touch(tmp_path, "day/notes.txt")
    with pytest.raises(DataMissing, match="folder of pictures"):
        videos(tmp_path, "day")


def test_the_marked_video_may_not_overwrite_the_video_itself(tmp_path: Path) -> None:
    touch(tmp_path, "day/a.mp4")
    with pytest.raises(ParamsError, match="overwrite"):
        refuse_to_overwrite(tmp_path / "day", find_inputs([tmp_path / "day/a.mp4"], VIDEOS, tmp_path / "day"))
