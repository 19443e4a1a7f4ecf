"""The set's layout: YouTube-VIS, a sample a video.

    BASE/annotations/instances_SPLIT_sub.json
    BASE/SPLIT/JPEGImages/VIDEO/FRAME.png

BASE is the set's folder or any folder in it (`ytvis_32view`). Videos are grouped by the path of the camera: those of
one path show the same views, so that none of them may be on both sides of a split.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path, PurePosixPath

from sightline.errors import DataError, DataMissing, DataRejected
from sightline.files import sha256_input
from sightline.limits import USUAL, Limits
from sightline.listing import check_file, closed_folders
from sightline.task import Json, Manifest, Sample
from sightline.tasks.battery_faults.ytvis import (
    Entry,
    Facts,
    Video,
    find_documents,
    listed_names,
    load_document,
    read_videos,
)
from sightline.upstream import RemoteFile, Upstream
from sightline.vision.images import probe, read_bytes

_REPOSITORY = "https://github.com/TianLuYU/Live-stream-Infrared-Perception-For-Lithium-ion-batteries-Detection"
_COMMIT = "bc339637f918e129fdead2ef5572a4c3ad90209d"

UPSTREAM = Upstream(
    "https",
    _REPOSITORY,
    "the repository states none; it goes with the article on live-stream infrared perception of lithium-ion batteries",
    (RemoteFile(f"{_REPOSITORY}/archive/{_COMMIT}.zip", "", kept_as="battery_videos.zip"),),
)

LABELS = "labels"
"""The role of the document in `Sample.files`; frames have the roles `frame_00000` ..."""

LOOKS = ("fluent", "field")
STRATA = tuple(f"{look}-{health}" for look in LOOKS for health in ("healthy", "faulty"))

_DEPTH = 6
_LAYOUT = (
    "Give the folder that holds `annotations/instances_SPLIT.json` and `SPLIT/JPEGImages/VIDEO/FRAME.png`"
    " (YouTube-VIS)."
)
_PNG = b"\x89PNG\r\n\x1a\n"


def load_manifest(root: Path, limits: Limits = USUAL) -> Manifest:
    """List the set in `root`; see `sightline.task.Task.load`.

    Raises:
        DataMissing: there is no document of this layout.
    """
    documents = find_documents(root)
    if not documents:
        raise DataMissing("there is no YouTube-VIS document in this folder", where=root, way_out=_LAYOUT)
    samples = [sample for document in documents for sample in _samples(document, root, limits)]
    twice = {id_ for id_, times in Counter(sample.id for sample in samples).items() if times > 1}
    named = [_with_own_name(sample, root) if sample.id in twice else sample for sample in samples]
    return Manifest(root.parent, (*named, *closed_folders(root, _DEPTH)), limits)


def _samples(document: Path, root: Path, limits: Limits) -> Iterator[Sample]:
    file = document.relative_to(root).as_posix()
    try:
        entries = _read(document)
    except DataError as error:
        problem = str(error).replace(f"{root}/", "")
        yield Sample(file.replace("/", "-"), root.name, {LABELS: file}, "", "", file, "", problem)
        return
    for entry in entries:
        yield _sample(entry, root, limits)


def _sample(entry: Entry, root: Path, limits: Limits) -> Sample:
    video = entry.video
    frames = [entry.folder / frame for frame in video.frames if frame]
    sha256, problem = ("", entry.problem) if entry.problem else _digest_of(frames, video, limits)
    health = "healthy" if video.facts.healthy else "faulty"
    return Sample(
        id=video.name.replace("/", "-"),
        set=root.name,
        files={**_roles(frames, root), LABELS: entry.document.relative_to(root).as_posix()},
        sha256=sha256,
        labels_sha256="" if problem else truth_digest(video),
        group=video.facts.path or video.name,
        stratum=f"{video.facts.look or LOOKS[0]}-{health}",
        problem=problem.replace(f"{root}/", ""),
        figures={} if problem else _figures(video),
    )


def _digest_of(frames: Sequence[Path], video: Video, limits: Limits) -> tuple[str, str]:
    """SHA-256 of a video's frames, or why they cannot be used."""
    try:
        _check_frames(frames, video, limits)
        return sha256_input(frames[0].parent), ""
    except DataError as error:
        return "", str(error)


def _roles(frames: Sequence[Path], root: Path) -> dict[str, str]:
    """Role -> file, of the frames that are there."""
    there = [path for path in frames if path.is_file()]
    return {f"frame_{number:05d}": path.relative_to(root).as_posix() for number, path in enumerate(there)}


def _with_own_name(sample: Sample, root: Path) -> Sample:
    """Splits may have videos of one name: their folder tells them apart."""
    folder = PurePosixPath(sample.input_file).parent.as_posix()
    own = folder.replace("/JPEGImages/", "/").replace("/", "-")
    return Sample(**{**vars(sample), "id": own, "set": root.name})


def _check_frames(frames: Sequence[Path], video: Video, limits: Limits) -> None:
    """Raise DataRejected where frames lie in several folders, or one has another size than the document says."""
    if len({path.parent for path in frames}) > 1:
        raise DataRejected(
            "the frames of this video lie in several folders",
            where=frames[0].parent,
            way_out="Give each video a folder of its own.",
        )
    height, width = video.size
    if height * width > limits.pixels:
        raise DataRejected(
            f"frames of {width:,} x {height:,} pixels are more than {limits.pixels:,}",
            where=frames[0],
            way_out="Make the frames smaller, or raise SIGHTLINE_MAX_PIXELS.",
        )
    for path in frames:
        check_file(path)
        found = _size(path, limits)
        if found != video.size:
            raise DataRejected(
                f"it has {found[1]} x {found[0]} pixels, its video {width} x {height}",
                where=path,
                way_out="Save all frames of a video in the size that the document states.",
            )


def _size(path: Path, limits: Limits) -> tuple[int, int]:
    """(h, w) by the head of a file."""
    with path.open("rb") as file:
        head = file.read(24)
    if head.startswith(_PNG) and len(head) == 24:
        width, height = struct.unpack(">II", head[16:24])
        return int(height), int(width)
    told = probe(read_bytes(path, limits, str(path)), str(path))
    return told.height, told.width


def truth_digest(video: Video) -> str:
    """SHA-256 of what is known of a video: its masks and facts, and the order of its frames."""
    masks = [[None if mask is None else mask.counts for mask in track.masks] for track in video.tracks]
    names = [PurePosixPath(frame).name for frame in video.frames]
    known = [names, video.size, masks, [track.cell for track in video.tracks], asdict(video.facts)]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _figures(video: Video) -> dict[str, float]:
    facts = video.facts
    return {
        "width": float(video.size[1]),
        "height": float(video.size[0]),
        "frames": float(len(video.frames)),
        "faulty": float(not facts.healthy),
        "masked_frames": float(sum(mask is not None for track in video.tracks for mask in track.masks)),
        "rise_k": peak_rise_k(facts),
    }


def peak_rise_k(facts: Facts) -> float:
    """The highest rise of a faulty cell over all frames; 0 where none is faulty, or nobody knows."""
    cells = [fault.cell - 1 for fault in facts.faults]
    return max((row[cell] for row in facts.rise_k for cell in cells if cell < len(row)), default=0.0)


# --------------------------------------------------------------------------------------------------------- samples


def source_of(data: Manifest, sample: Sample) -> Path:
    """The folder of a sample's frames, which `read_clip` reads in the order of its document."""
    return data.path(sample).parent


def read_truth(data: Manifest, sample: Sample) -> Video:
    """What is known of a sample's video.

    Raises:
        DataRejected: the document does not list it any more.
    """
    document = data.path(sample, LABELS)
    folder = data.path(sample).parent
    for entry in _read(document):
        if not entry.problem and entry.folder / entry.video.name == folder:
            return entry.video
    raise DataRejected(
        f"{folder.name} is not listed any more", where=document, way_out="List the set anew: run the command again."
    )


def _read(document: Path) -> tuple[Entry, ...]:
    stat = document.stat()
    return _entries(document, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _entries(document: Path, changed_ns: int, size: int) -> tuple[Entry, ...]:  # noqa: ARG001 (keys of the cache)
    return tuple(read_videos(document))


def excerpt(document: Path, samples: Sequence[Sample], rest: bool = False) -> bytes | None:
    """The document with the videos of these samples alone, or of all others; see `capabilities.Excerpting`."""
    if document not in find_documents(document.parent.parent):
        return None
    content = load_document(document)
    wanted = {PurePosixPath(sample.input_file).parent.name for sample in samples}
    kept = [given for given in content["videos"] if (_folder(given) in wanted) != rest]
    if not kept:
        return b""
    ids = {_key(given, "id") for given in kept}
    annotations = [one for one in content["annotations"] if _key(one, "video_id") in ids]
    left = {**content, "videos": kept, "annotations": annotations}
    return (json.dumps(left, sort_keys=True, separators=(",", ":")) + "\n").encode()


def _key(given: Json, name: str) -> str | None:
    """The number that an entry has under a name, as text; None where it has none."""
    value = given.get(name) if isinstance(given, dict) else None
    return None if value is None else str(value)


def _folder(given: Json) -> str:
    """The folder of an entry's frames; empty where it names none."""
    names = listed_names(given)
    return PurePosixPath(names[0]).parent.name if names and names[0] else ""
