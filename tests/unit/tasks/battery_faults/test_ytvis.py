from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.errors import DataRejected
from sightline.tasks.battery_faults.runs import RunLengths
from sightline.tasks.battery_faults.ytvis import (
    Facts,
    Fault,
    Track,
    Video,
    find_documents,
    frames_folder,
    read_videos,
    write_videos,
)


def _mask(column: int) -> RunLengths:
    mask = np.zeros((4, 6), dtype=bool)
    mask[1:3, column : column + 2] = True
    return RunLengths.encode(mask)


def _videos() -> list[Video]:
    faulty = Video(
        1,
        "new_upcell2",
        tuple(f"new_upcell2/{name}.png" for name in ("b", "a", "a2")),
        (4, 6),
        (Track(1, (None, _mask(1), _mask(2)), 2),),
        Facts("up", (Fault(2, 1, 8.5),), "narrow", "field", 3, 301.5, ((1.0,) * 3,) * 3, ((0.0, 2.5, 0.0),) * 3),
    )
    healthy = Video(2, "new_downnull", ("new_downnull/a.png",), (4, 6), (), Facts("down"), empty_annotations=1)
    return [faulty, healthy]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for video in _videos():
        for frame in video.frames:
            path = frames_folder(tmp_path, "test") / frame
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    write_videos(tmp_path, "test", _videos())
    return tmp_path


def _change(base: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    path = base / "annotations/instances_test_sub.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


def test_what_was_written_is_read_again(base: Path) -> None:
    (document,) = find_documents(base)
    entries = read_videos(document)
    assert [entry.video for entry in entries] == _videos()
    assert [entry.problem for entry in entries] == ["", ""]


def test_the_documents_own_areas_and_boxes_are_right(base: Path) -> None:
    annotation = json.loads(find_documents(base)[0].read_text())["annotations"][0]
    assert annotation["areas"] == [None, 4, 4]
    assert annotation["bboxes"] == [None, [1.0, 1.0, 2.0, 2.0], [2.0, 1.0, 2.0, 2.0]]


def test_known_errors_of_the_published_set_are_survived(base: Path) -> None:
    def spoil(document: dict[str, Any]) -> None:
        for video in document["videos"]:
            del video["sightline"]  # the published videos say path and cell by their names
        annotation = document["annotations"][0]
        del annotation["sightline"]
        annotation["areas"] = [None, 24, 24]  # the full frame
        annotation["bboxes"] = [None, [1, 1, 1, 1], [2, 1, 1, 1]]  # one short
        annotation["segmentations"].append(_mask(3).document())  # more frames than files

    faulty, healthy = read_videos(_change(base, spoil))
    assert (faulty.problem, healthy.problem) == ("", "")
    assert faulty.video.facts == Facts("up", (Fault(2, 1),))
    assert faulty.video.tracks == _videos()[0].tracks
    assert (healthy.video.facts.healthy, healthy.video.tracks, healthy.video.empty_annotations) == (True, (), 1)


def _longer(document: dict[str, Any]) -> None:
    document["videos"][0]["file_names"].append("new_upcell2/c.png")


def _broken(document: dict[str, Any]) -> None:
    document["annotations"][0]["segmentations"][1]["counts"][0] += 1


def _empty(document: dict[str, Any]) -> None:
    document["videos"][0]["file_names"] = []


def _short(document: dict[str, Any]) -> None:
    document["annotations"][0]["segmentations"].pop()


def _outside(document: dict[str, Any]) -> None:
    document["videos"][0]["file_names"][2] = "../../secret.png"


def _twice(document: dict[str, Any]) -> None:
    document["videos"].insert(0, document["videos"][1])


def _unsized(document: dict[str, Any]) -> None:
    document["videos"][0]["height"] = "tall"


def _unlisted(document: dict[str, Any]) -> None:
    document["annotations"][0]["segmentations"] = 3


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_longer, "videos[0].file_names[3]: there is no such file"),
        (_broken, "annotations[0].segmentations[1].counts: the mask's runs add up to 25 pixels, the frame has 24"),
        (_empty, "videos[0].file_names: the video has no frames"),
        (_short, "annotations[0].segmentations: there are 2 masks for 3 frames"),
        (_outside, "videos[0].file_names[2]: '../../secret.png' is no path below it"),
        (_unsized, "videos[0].height: "),
        (_unlisted, "annotations[0].segmentations: "),
    ],
)
def test_a_video_that_cannot_be_used_says_file_and_field_and_the_others_stay(
    base: Path, spoil: Callable[[dict[str, Any]], None], said: str
) -> None:
    document = _change(base, spoil)
    faulty, healthy = read_videos(document)
    assert faulty.problem.startswith(f"{document}: {said}")
    assert healthy.problem == ""


def test_a_faulty_cell_that_nobody_numbers_does_not_pass_for_a_healthy_pack(base: Path) -> None:
    def rename(document: dict[str, Any]) -> None:
        frames_folder(base, "test").joinpath("new_upcell2").rename(frames_folder(base, "test") / "mine")
        document["videos"][0].pop("sightline")
        names = document["videos"][0]["file_names"]
        document["videos"][0]["file_names"] = [name.replace("new_upcell2", "mine") for name in names]

    unnamed, healthy = read_videos(_change(base, rename))
    assert "a cell of mine is marked as faulty, but its name does not say which one" in unnamed.problem
    assert "like `upcell2`" in unnamed.problem
    assert healthy.problem == ""


def test_of_two_videos_of_one_name_the_second_cannot_be_used(base: Path) -> None:
    problems = [entry.problem for entry in read_videos(_change(base, _twice))]
    assert [bool(problem) for problem in problems] == [False, False, True]


@pytest.mark.parametrize("content", ["{", "[]", '{"videos": []}', '{"videos": 1, "annotations": []}', "[" * 9999])
def test_what_is_no_such_document_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "instances_test_sub.json"
    path.write_text(content)
    with pytest.raises(DataRejected, match=r"instances_test_sub\.json: "):
        read_videos(path)


def test_the_published_videos_are_read_whole(real_data: Path) -> None:
    (document,) = find_documents(real_data / "battery_faults")
    entries = read_videos(document)
    assert [entry.problem for entry in entries] == [""] * 6
    told = {e.video.name: (e.video.facts.path, [(f.cell, f.onset) for f in e.video.facts.faults]) for e in entries}
    assert told == {
        "new_downcell3": ("down", [(3, 5)]),
        "new_downnull": ("down", []),
        "new_leftcell3": ("left", [(3, 5)]),
        "new_rightcell1": ("right", [(1, 5)]),
        "new_upcell1": ("up", [(1, 5)]),
        "new_upcell2": ("up", [(2, 5)]),
    }
    masks = [mask for e in entries for track in e.video.tracks for mask in track.masks if mask is not None]
    assert len(masks) == 171
    assert all(0 < mask.area_px < mask.size[0] * mask.size[1] / 8 for mask in masks)
