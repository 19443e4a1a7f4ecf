"""The YouTube-VIS layout, read and written.

    BASE/annotations/instances_SPLIT_sub.json
    BASE/SPLIT/JPEGImages/VIDEO/FRAME.png

The order of the frames is that of the document: stamps in file names repeat and run backwards. Areas, boxes and the
pictures of masks are not read, since the published ones are partly wrong or missing; all of it follows from the runs.
What else is known of a video stands under `sightline` in its entry; without, its name says path and cell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sightline.errors import DataError, DataRejected
from sightline.files import finite, write_text
from sightline.listing import Names, find_files, plain_name, read_text, walk_folders
from sightline.task import Json
from sightline.tasks.battery_faults.runs import RunLengths, read_runs

__all__ = ["Facts", "Fault", "RunLengths", "Track", "Video", "frames_folder", "read_videos", "write_videos"]

CELL = 1
"""The category of a faulty cell, the only one there is."""

_DOCUMENT = re.compile(r"instances_(?P<split>[A-Za-z0-9]+)(_sub)?(-[0-9a-f]{8})*\.json")
_NAME = re.compile(r"(?:new_)?(?P<path>.+?)(?:cell(?P<cell>[1-9])|null)")
_MAX_BYTES = 512 * 2**20
_DEPTH = 3
_FIX = "Correct the document, or remove this video from it."

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Fault:
    """One faulty cell of a pack.

    Attributes:
        cell: 1 .. from the left of the pack in its own frame of reference.
        onset: the first frame in which it is warmer than its siblings.
        power_w: of the short; None where nobody knows.
    """

    cell: int
    onset: int
    power_w: float | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of a video besides its masks.

    Attributes:
        path: the camera's.
        faults: the cells that are faulty, also those that are never seen.
        pack: the geometry's name; empty where nobody knows, as in what follows.
        look: `fluent` or `field`.
        cells: of the pack; 0 where nobody knows.
        ambient_k: temperature around.
        visible: a row a frame, a number a cell: share of its pixels that nothing hides.
        rise_k: a row a frame, a number a cell: the most that a place of its surface has warmed since the first frame.
        shown_k: the same of the places that are in sight; 0 where none is.
        kelvin_per_count: of 16-bit frames; None where they are pictures.
        bar_k: kelvin at the low and the high end of the colour bar; None where frames are counts, or nobody knows.
    """

    path: str = ""
    faults: tuple[Fault, ...] = ()
    pack: str = ""
    look: str = ""
    cells: int = 0
    ambient_k: float | None = None
    visible: tuple[tuple[float, ...], ...] = ()
    rise_k: tuple[tuple[float, ...], ...] = ()
    shown_k: tuple[tuple[float, ...], ...] = ()
    kelvin_per_count: float | None = None
    bar_k: tuple[float, float] | None = None

    @property
    def healthy(self) -> bool:
        """Whether no cell is faulty."""
        return not self.faults


@dataclass(frozen=True)
class Track:
    """One faulty cell through a video.

    Attributes:
        category: its class; 1 is `cell`.
        masks: one a frame, None where it is not faulty yet or not in sight.
        cell: which one it is; None where nobody says.
    """

    category: int
    masks: tuple[RunLengths | None, ...]
    cell: int | None = None


@dataclass(frozen=True)
class Video:
    """One video and its truth.

    Attributes:
        id: in the document.
        name: of its folder.
        frames: files in the order of time, relative to `JPEGImages`.
        size: (h, w) in pixels.
        tracks: of faulty cells; annotations of nothing but nulls are none.
        facts: what else is known of it.
        empty_annotations: annotations of nothing but nulls, which the published protocol counts.
    """

    id: int
    name: str
    frames: tuple[str, ...]
    size: tuple[int, int]
    tracks: tuple[Track, ...] = ()
    facts: Facts = field(default_factory=Facts)
    empty_annotations: int = 0


@dataclass(frozen=True)
class Entry:
    """A video as a document lists it.

    Attributes:
        document: the file that it stands in.
        folder: `JPEGImages`, which the frames are relative to.
        video: what could be read of it.
        problem: why it cannot be used; empty where it can.
    """

    document: Path
    folder: Path
    video: Video
    problem: str = ""


def frames_folder(base: Path, split: str) -> Path:
    """Where a split's frames are, in a folder for each video."""
    return base / split / "JPEGImages"


# -------------------------------------------------------------------------------------------------------- reading


class _VideoEntry(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: int
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    file_names: list[str]
    sightline: Facts | None = None


class _AnnotationEntry(BaseModel):
    model_config = ConfigDict(extra="ignore")

    video_id: int
    category_id: int = CELL
    segmentations: list[Json]
    sightline: dict[str, int] = {}


def find_documents(root: Path) -> list[Path]:
    """The documents of a set, wherever its base folder is."""
    folders = [folder for folder in walk_folders(root, _DEPTH) if folder.name == "annotations"]
    return [path for folder in folders for path in find_files(folder, (".json",)) if _DOCUMENT.fullmatch(path.name)]


def folder_of(document: Path) -> Path:
    """The folder that the frames of a document are relative to."""
    matched = _DOCUMENT.fullmatch(document.name)
    return frames_folder(document.parent.parent, matched["split"] if matched else "")


def read_videos(document: Path) -> list[Entry]:
    """The videos of a document, those that cannot be used with their problem.

    Raises:
        DataRejected: it is no such document at all.
    """
    lists = load_document(document)
    annotations, lost = _annotations(lists["annotations"], document)
    folder, seen = folder_of(document), set[object]()
    names, entries = Names(folder), []
    for number, given in enumerate(lists["videos"]):
        where = f"{document}: videos[{number}]"
        video, problem = _video(given, number, where)
        if not problem and ({video.id, video.name} & seen):
            problem = _refusal(f"another video has the id {video.id} or the name {video.name}", where)
        seen |= {video.id, video.name}
        problem = problem or lost.get(video.id, "") or _missing(video, names, folder, where)
        if not problem:
            try:
                video = _with_truth(video, annotations.get(video.id, []))
            except DataError as error:
                problem = str(error)
        entries.append(Entry(document, folder, video, problem))
    return entries


@dataclass(frozen=True)
class Listed:
    """What a document says of how a video's frames are read.

    Attributes:
        frames: names relative to `JPEGImages`, in the order of time.
        conditions: what their numbers mean, as far as it says; names as in `thermometer.CONDITIONS`.
    """

    frames: tuple[str, ...]
    conditions: Mapping[str, float]


def listed_video(folder: Path) -> Listed | None:
    """How a video's frames are read, by the document of the set that its folder lies in.

    None where the folder lies in no such set, or no document that can be read lists it.
    """
    if folder.parent.name != "JPEGImages":
        return None
    for document in find_files(folder.parents[2] / "annotations", (".json",)):
        if _DOCUMENT.fullmatch(document.name) and folder_of(document) == folder.parent:
            stat = document.stat()
            listed = _listed(document, stat.st_mtime_ns, stat.st_size).get(folder.name)
            if listed is not None:
                return listed
    return None


@lru_cache(maxsize=8)
def _listed(document: Path, changed_ns: int, size: int) -> dict[str, Listed]:  # noqa: ARG001 (keys of the cache)
    """Folder -> its video, by a document in the state that was seen."""
    found: dict[str, Listed] = {}
    try:
        videos = load_document(document)["videos"]
    except DataError:
        return {}
    for given in videos:
        frames = listed_names(given)
        if frames and all(frames):
            found.setdefault(PurePosixPath(frames[0]).parent.as_posix(), Listed(frames, _conditions(given)))
    return found


def _conditions(given: Json) -> dict[str, float]:
    try:
        facts = _VideoEntry.model_validate(given).sightline or Facts()
    except ValidationError:
        return {}
    told = {} if facts.kelvin_per_count is None else {"kelvin_per_count": facts.kelvin_per_count}
    return told if facts.bar_k is None else {**told, "bar_low_k": facts.bar_k[0], "bar_high_k": facts.bar_k[1]}


def load_document(document: Path) -> dict[str, list[Json]]:
    """The document's lists as they stand there. Raises DataRejected where it has none."""
    try:
        content = json.loads(read_text(document, _MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise DataRejected(f"this is no JSON ({error})", where=document, way_out="Export it again.") from error
    for name in ("videos", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise DataRejected(
                f"it has no list `{name}`", where=document, way_out="Export the annotations as YouTube-VIS again."
            )
    found: dict[str, list[Json]] = content
    return found


def listed_names(given: Json) -> tuple[str, ...]:
    """The frames that a video's entry lists, "" for what is no path; none where it is no such entry."""
    names = given.get("file_names") if isinstance(given, dict) else None
    return tuple(plain_name(str(name)) for name in names) if isinstance(names, list) else ()


def _refusal(what: str, where: str) -> str:
    return str(DataRejected(what, where=where, way_out=_FIX))


def _parsed(model: type[ModelT], given: Json, where: str) -> ModelT:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        raise DataRejected(first["msg"], where=f"{where}{place}", way_out=_FIX) from error


def _video(given: Json, number: int, where: str) -> tuple[Video, str]:
    """What an entry says, and why it cannot be used."""
    try:
        entry = _parsed(_VideoEntry, given, where)
    except DataRejected as error:
        return Video(-1 - number, f"videos-{number}", (), (1, 1)), str(error)
    frames = tuple(plain_name(name) for name in entry.file_names)
    name = PurePosixPath(frames[0]).parent.as_posix() if frames and frames[0] else f"videos-{number}"
    named = _facts_of(name)
    facts = entry.sightline or named or Facts(name)
    video = Video(entry.id, name, frames, (entry.height, entry.width), facts=facts)
    return video, _fault_of_names(entry.file_names, frames, f"{where}.file_names")


def _fault_of_names(given: Sequence[str], frames: Sequence[str], where: str) -> str:
    """What is wrong with the list of a video's frames; empty where nothing is."""
    if not frames:
        return _refusal("the video has no frames", where)
    bad = next((number for number, frame in enumerate(frames) if not frame), None)
    return "" if bad is None else _refusal(f"{given[bad]!r} is no path below it", f"{where}[{bad}]")


def _facts_of(name: str) -> Facts | None:
    """What a published video's name says: `new_upcell1` was taken on the path `up`, and cell 1 is faulty."""
    matched = _NAME.fullmatch(name)
    if matched is None:
        return None
    return Facts(matched["path"], (Fault(int(matched["cell"]), 0),) if matched["cell"] else ())


def _missing(video: Video, names: Names, folder: Path, where: str) -> str:
    for k, frame in enumerate(video.frames):
        if names.find(frame) is None:
            what = f"there is no such file: {folder / frame}"
            return _refusal(f"{what} (the list names {len(video.frames)} files)", f"{where}.file_names[{k}]")
    return ""


_Annotation = tuple[str, _AnnotationEntry]


def _annotations(given: list[Json], document: Path) -> tuple[dict[int, list[_Annotation]], dict[int, str]]:
    """Video id -> its annotations and their places, and video id -> why one of them cannot be read."""
    found: dict[int, list[_Annotation]] = {}
    lost: dict[int, str] = {}
    for number, one in enumerate(given):
        where = f"{document}: annotations[{number}]"
        try:
            entry = _parsed(_AnnotationEntry, one, where)
            found.setdefault(entry.video_id, []).append((where, entry))
        except DataRejected as error:
            video_id = one.get("video_id") if isinstance(one, Mapping) else None
            if isinstance(video_id, int):
                lost.setdefault(video_id, str(error))
    return found, lost


def _with_truth(video: Video, annotations: Sequence[_Annotation]) -> Video:
    tracks = [track for where, entry in annotations if (track := _track(video, entry, where)) is not None]
    tracks = _named_cells(tracks, video.facts)
    if tracks and video.facts.healthy:
        raise DataRejected(
            f"a cell of {video.name} is marked as faulty, but its name does not say which one",
            where=annotations[0][0],
            way_out="Name the folder of its frames, and the path in `file_names`, like `upcell2`: on the camera path"
            " `up`, cell 2 is faulty.",
        )
    return replace(
        video,
        tracks=tuple(tracks),
        facts=_with_onsets(video.facts, tracks),
        empty_annotations=len(annotations) - len(tracks),
    )


def _track(video: Video, entry: _AnnotationEntry, where: str) -> Track | None:
    """The track of an annotation; None where it is of nothing but nulls.

    Some published videos have more annotated frames than files: what is beyond the files is left out.
    """
    given = entry.segmentations
    if len(given) < len(video.frames):
        raise DataRejected(
            f"there are {len(given)} masks for {len(video.frames)} frames",
            where=f"{where}.segmentations",
            way_out="Give a mask or null for each frame, or remove this video from the document.",
        )
    masks = [
        None if mask is None else read_runs(mask, video.size, f"{where}.segmentations[{k}]")
        for k, mask in enumerate(given[: len(video.frames)])
    ]
    if all(mask is None for mask in masks):
        return None
    return Track(entry.category_id, tuple(masks), entry.sightline.get("cell"))


def _named_cells(tracks: Sequence[Track], facts: Facts) -> list[Track]:
    """With the cell that the video's name says, where the annotation says none."""
    if len(tracks) == len(facts.faults) == 1 and tracks[0].cell is None:
        return [replace(tracks[0], cell=facts.faults[0].cell)]
    return list(tracks)


def _with_onsets(facts: Facts, tracks: Sequence[Track]) -> Facts:
    """Names say no onset: it is the first frame with a mask."""
    if facts.visible or facts.rise_k:
        return facts
    first = {track.cell: next(k for k, mask in enumerate(track.masks) if mask is not None) for track in tracks}
    return replace(facts, faults=tuple(replace(fault, onset=first.get(fault.cell, 0)) for fault in facts.faults))


# -------------------------------------------------------------------------------------------------------- writing


def write_videos(base: Path, split: str, videos: Sequence[Video]) -> Path:
    """Write a split's document and return its path; the frames lie in `frames_folder` already."""
    path = base / "annotations" / f"instances_{split}_sub.json"
    annotations = [entry for video in videos for entry in _annotation_entries(video)]
    document: dict[str, Json] = {
        "categories": [{"supercategory": "object", "id": CELL, "name": "cell"}],
        "videos": [_video_entry(video) for video in videos],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(annotations, start=1)],
    }
    write_text(path, json.dumps(finite(document), sort_keys=True, separators=(",", ":")) + "\n")
    return path


def _video_entry(video: Video) -> dict[str, Json]:
    height, width = video.size
    return {
        "id": video.id,
        "width": width,
        "height": height,
        "length": len(video.frames),
        "file_names": list(video.frames),
        "sightline": asdict(video.facts),
    }


def _annotation_entries(video: Video) -> Iterator[dict[str, Json]]:
    for track in video.tracks:
        yield {
            "video_id": video.id,
            "category_id": track.category,
            "segmentations": _each(track.masks, RunLengths.document),
            "bboxes": _each(track.masks, _box),
            "areas": _each(track.masks, lambda mask: mask.area_px),
            **_shared(video),
            **({} if track.cell is None else {"sightline": {"cell": track.cell}}),
        }
    nothing: list[Json] = [None] * len(video.frames)
    for _ in range(video.empty_annotations):
        empty = {"segmentations": nothing, "bboxes": nothing, "areas": nothing}
        yield {"video_id": video.id, "category_id": CELL, **empty, **_shared(video)}


def _shared(video: Video) -> dict[str, Json]:
    return {"height": video.size[0], "width": video.size[1], "length": 1, "iscrowd": 0}


def _each(masks: Sequence[RunLengths | None], what: Callable[[RunLengths], Json]) -> list[Json]:
    return [None if mask is None else what(mask) for mask in masks]


def _box(mask: RunLengths) -> list[float]:
    x0, y0, x1, y1 = mask.box
    return [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]
