from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.downloads import download, unpack
from sightline.errors import DataMissing
from sightline.limits import Limits
from sightline.task import Sample
from sightline.tasks.battery_faults.clip import read_clip
from sightline.tasks.battery_faults.data import (
    LABELS,
    STRATA,
    UPSTREAM,
    excerpt,
    load_manifest,
    read_truth,
    source_of,
)
from sightline.tasks.battery_faults.runs import RunLengths
from sightline.tasks.battery_faults.ytvis import Facts, Fault, Track, Video, frames_folder, write_videos
from sightline.upstream import RemoteFile
from tests.unit.test_downloads import Answer, Progress, Server

SIZE = (40, 60)


def _video(number: int, path: str, cell: int | None) -> Video:
    name = f"new_{path}{'null' if cell is None else f'cell{cell}'}"
    frames = tuple(f"{name}/{stem}.png" for stem in ("b2", "a10", "a9"))
    mask = np.zeros(SIZE, dtype=bool)
    mask[10:20, 10 * number : 10 * number + 8] = True
    tracks = () if cell is None else (Track(1, (None, RunLengths.encode(mask), RunLengths.encode(mask)), cell),)
    rises = ((0.0, 0.0, 0.0), (0.0, 4.5, 0.0), (0.0, 3.0, 0.0))
    facts = Facts(path, () if cell is None else (Fault(cell, 1, 8.0),), look="field", cells=3, rise_k=rises)
    return Video(number, name, frames, SIZE, tracks, facts, empty_annotations=0 if tracks else 1)


def _write(base: Path, split: str = "test") -> Path:
    videos = [_video(1, "up", 2), _video(2, "down", None), _video(3, "up", 1)]
    for video in videos:
        for number, frame in enumerate(video.frames):
            path = frames_folder(base, split) / frame
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((*SIZE, 3), 10 * video.id + number, dtype=np.uint8)).save(path)
    write_videos(base, split, videos)
    return base


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return _write(tmp_path / "data/real/ytvis_32view").parent


def _document(root: Path, change: Any) -> None:
    path = root / "ytvis_32view/annotations/instances_test_sub.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_a_set_is_listed_a_sample_a_video(root: Path) -> None:
    data = load_manifest(root)
    assert [(s.id, s.group, s.stratum, s.problem) for s in data.samples] == [
        ("new_upcell2", "up", "field-faulty", ""),
        ("new_downnull", "down", "field-healthy", ""),
        ("new_upcell1", "up", "field-faulty", ""),
    ]
    assert {s.stratum for s in data.samples} <= set(STRATA)
    assert len({s.sha256 for s in data.samples}) == 3
    first = data.samples[0]
    assert first.figures["frames"] == 3
    assert first.figures["masked_frames"] == 2
    assert first.figures["rise_k"] == 4.5
    assert all(data.path(first, role).is_file() for role in first.files)
    assert list(first.files) == ["frame_00000", "frame_00001", "frame_00002", LABELS]


def test_a_model_reads_the_frames_in_the_documents_order(root: Path) -> None:
    data = load_manifest(root)
    clip = read_clip(source_of(data, data.samples[0]), Limits())
    assert [int(frame.pixels[0, 0, 0]) for frame in clip.frames()] == [10, 11, 12]
    assert clip.sha256 == data.samples[0].sha256
    assert read_truth(data, data.samples[0]) == _video(1, "up", 2)


def _longer(document: dict[str, Any]) -> None:
    document["videos"][0]["file_names"].append("new_upcell2/z.png")


def _broken(document: dict[str, Any]) -> None:
    document["annotations"][0]["segmentations"][1]["counts"] = "\x01"


def _empty(document: dict[str, Any]) -> None:
    document["videos"][0]["file_names"] = []


def _other_size(document: dict[str, Any]) -> None:
    document["videos"][0]["height"] = 41
    del document["annotations"][0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_longer, "videos[0].file_names[3]: there is no such file: ytvis_32view/test/JPEGImages/new_upcell2/z.png"),
        (_broken, "annotations[0].segmentations[1].counts: "),
        (_empty, "videos[0].file_names: the video has no frames"),
        (_other_size, "ytvis_32view/test/JPEGImages/new_upcell2/b2.png: it has 60 x 40 pixels, its video 60 x 41"),
    ],
)
def test_a_video_that_cannot_be_used_is_listed_with_its_problem(root: Path, change: Any, said: str) -> None:
    _document(root, change)
    first, *others = load_manifest(root).samples
    assert said in first.problem
    assert str(root) not in first.problem
    assert [one.problem for one in others] == ["", ""]


def test_frames_beyond_the_limits_are_a_problem(root: Path) -> None:
    assert all("more than 1,000" in one.problem for one in load_manifest(root, Limits(pixels=1000)).samples)


def test_a_document_that_cannot_be_read_is_listed(root: Path) -> None:
    (root / "ytvis_32view/annotations/instances_val.json").write_text("{")
    problems = [one.problem for one in load_manifest(root).samples]
    assert [bool(problem) for problem in problems] == [False, False, False, True]
    assert problems[3].startswith("ytvis_32view/annotations/instances_val.json: this is no JSON")


def test_videos_of_one_name_in_two_splits_keep_apart(root: Path) -> None:
    _write(root / "ytvis_32view", "train")
    ids = [one.id for one in load_manifest(root).samples]
    assert len(set(ids)) == 6
    assert "ytvis_32view-train-new_upcell2" in ids


def test_without_the_layout_nothing_is_listed(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="YouTube-VIS"):
        load_manifest(tmp_path)


def test_labels_that_change_change_the_digest_of_their_video_alone(root: Path) -> None:
    before = load_manifest(root).samples
    _document(root, lambda document: document["annotations"].pop(0))
    after = load_manifest(root).samples
    assert [a.labels_sha256 == b.labels_sha256 for a, b in zip(before, after, strict=True)] == [False, True, True]


def test_an_excerpt_holds_what_is_said_of_some_videos(root: Path) -> None:
    samples = load_manifest(root).samples
    document = root / "ytvis_32view/annotations/instances_test_sub.json"
    for rest, wanted in ((False, {1}), (True, {2, 3})):
        content = excerpt(document, samples[:1], rest)
        assert content is not None
        left = json.loads(content)
        assert {video["id"] for video in left["videos"]} == wanted
        assert {one["video_id"] for one in left["annotations"]} == wanted
    assert excerpt(document, samples, rest=True) == b""
    assert excerpt(root / "ytvis_32view/test/JPEGImages/new_upcell2/b2.png", samples[:1]) is None
    document.write_bytes(excerpt(document, samples[1:]) or b"")
    again = load_manifest(root).samples
    assert [one.labels_sha256 for one in again] == [one.labels_sha256 for one in samples[1:]]


def test_the_published_archive_is_fetched_unpacked_and_listed(root: Path, tmp_path: Path) -> None:
    """A repository's archive: a folder named by its commit around everything, and no checksum that anybody gives."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, f"repository-1f2e3d/{path.relative_to(root)}")
    server = Server()
    try:
        server.answers = [Answer(body=content.getvalue(), send=2000), Answer(body=content.getvalue())]
        (published,) = UPSTREAM.files
        file = replace(published, url=server.url)
        fetched = download(file, tmp_path / "downloads", Progress())
        assert fetched.name == "battery_videos.zip"
        assert download(file, tmp_path / "downloads", Progress()) == fetched
        assert server.asked == [None, "bytes=2000-"]  # it went on where it broke off, and was not asked for again
    finally:
        server.close()
    unpack(fetched, tmp_path / "unpacked")
    data = load_manifest(tmp_path / "unpacked")
    assert [one.problem for one in data.samples] == [""] * 3


def test_where_the_published_videos_are_is_pinned() -> None:
    (file,) = UPSTREAM.files
    assert isinstance(file, RemoteFile)
    assert file.url.startswith(f"{UPSTREAM.ref}/archive/")
    assert len(file.url.rpartition("/")[2]) == len(".zip") + 40


def test_the_published_videos_are_listed(real_data: Path) -> None:
    data = load_manifest(real_data / "battery_faults")
    told: list[Sample] = list(data.samples)
    assert [one.problem for one in told] == [""] * 6
    assert sorted({one.group for one in told}) == ["down", "left", "right", "up"]
    assert sum(one.stratum == "fluent-healthy" for one in told) == 1
    assert sum(one.figures["frames"] for one in told) == 228
    assert sum(read_truth(data, one).empty_annotations for one in told) == 1
