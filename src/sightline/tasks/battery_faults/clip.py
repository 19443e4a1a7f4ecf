"""What a model reads: a video, as a file, a folder or a ZIP of frames, never whole in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sightline.capabilities import FOLDER, Frame
from sightline.errors import DataRejected
from sightline.files import open_file, sha256_input
from sightline.limits import Limits
from sightline.listing import is_folder
from sightline.tasks.battery_faults.frames import (
    CENTIKELVIN,
    Extent,
    OnePicture,
    Shot,
    Source,
    VideoFile,
    ZippedPictures,
    frames_of,
)
from sightline.tasks.battery_faults.thermometer import Scale, read_scale
from sightline.tasks.battery_faults.ytvis import listed_video
from sightline.vision.images import read_bytes

FORMATS = (
    "video/mp4",
    "video/quicktime",
    "video/x-matroska",
    "video/x-msvideo",
    "application/zip",
    FOLDER,
)
"""Media types that `read_clip` takes; single pictures are videos of one frame, but a folder of them is one video."""

MIN_SIDE_PX = 32

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class Clip:
    """One video. Its frames are decoded each time they are asked for.

    Attributes:
        name: the path or what the caller called it, for messages.
        sha256: of the file's bytes; of a folder, of the names and contents of its files.
        statistics: figures of its first frame, and how many frames it has (-1: nobody knows).
        size: (h, w) of its frames.
        length: frames, as far as that is known before.
        conditions: what a count or a colour means, as a session is told it; what the file says counts.
    """

    name: str
    sha256: str
    statistics: Mapping[str, float] = field(repr=False)
    size: tuple[int, int]
    length: int | None
    conditions: Mapping[str, float]
    _source: Source = field(repr=False)
    _in_kelvin: bool = False

    @property
    def scale(self) -> Scale:
        """The conditions as a thermometer takes them."""
        return read_scale(self.conditions)

    def under(self, conditions: Mapping[str, float]) -> Clip:
        """With these conditions, as far as the file does not say otherwise. Raises RequestError where one cannot be."""
        read_scale({**self.conditions, **conditions})
        own = _CENTIKELVIN if self._in_kelvin else {}
        return replace(self, conditions={**self.conditions, **conditions, **own})

    def frames(self) -> Generator[Frame]:
        """The frames in the order of time, one at a time.

        Raises:
            DataRejected: one of them cannot be read, or has another size or kind than the first one.
        """
        first: Shot | None = None
        with closing(self._source.shots()) as shots:
            for shot in shots:
                first = first or shot
                _check_alike(shot, first)
                yield shot.frame


_CENTIKELVIN = {"kelvin_per_count": CENTIKELVIN, "kelvin_at_zero": 0.0}


def read_clip(source: Path | bytes, limits: Limits, where: str = "") -> Clip:
    """Open a video: its first frame is decoded, to see that it can be.

    Args:
        source: a folder of frames, or a file or its bytes: a video, a ZIP of frames, or one picture.
        limits: most bytes of an upload, of a frame's file and of what is unpacked for one; most pixels of a frame.
        where: what messages call it; the path, or "video", where empty.

    Raises:
        DataMissing: it is not there, or has no frames.
        DataRejected: it cannot be read, its frames are too large, or too small to show a pack.
    """
    where = where or (str(source) if isinstance(source, Path) else "video")
    frames = _source_of(source, limits, where)
    with closing(frames.shots()) as shots:
        first = next(shots, None)
    if first is None:
        raise DataRejected("the video has no frames", where=where, way_out="Give a video with at least one frame.")
    height, width = first.frame.pixels.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        raise DataRejected(
            f"frames of {width} x {height} pixels are too small to show a pack",
            where=where,
            way_out=f"Give frames of at least {MIN_SIDE_PX} x {MIN_SIDE_PX} pixels.",
        )
    length = frames.extent().frames
    return Clip(
        name=where,
        sha256=hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else sha256_input(source),
        statistics=frame_statistics(first.frame) | {"frames": float(-1 if length is None else length)},
        size=(height, width),
        length=length,
        conditions=_CENTIKELVIN if first.in_kelvin else _listed_conditions(source),
        _source=frames,
        _in_kelvin=first.in_kelvin,
    )


def clip_extent(source: Path | bytes, limits: Limits, where: str = "") -> Extent:
    """Size and number of the frames by what heads say: nothing is decoded. Raises as `read_clip`."""
    where = where or (str(source) if isinstance(source, Path) else "video")
    return _source_of(source, limits, where).extent()


def _source_of(source: Path | bytes, limits: Limits, where: str) -> Source:
    if isinstance(source, Path):
        if is_folder(source):
            listed = listed_video(source)
            paths = None if listed is None else [source.parent / frame for frame in listed.frames]
            return frames_of(source, paths, limits)
        with open_file(source, where) as file:
            magic = file.read(8)
    else:
        source, magic = read_bytes(source, limits, where), source[:8]
    if magic.startswith(_ZIP):
        return ZippedPictures(where, source, limits)
    if magic.startswith(_PICTURES):
        return OnePicture(where, read_bytes(source, limits, where), limits)
    return VideoFile(where, source, limits)


def _listed_conditions(source: Path | bytes) -> Mapping[str, float]:
    """What the document of a set says of a folder in it."""
    listed = listed_video(source) if isinstance(source, Path) else None
    return {} if listed is None else listed.conditions


def _check_alike(shot: Shot, first: Shot) -> None:
    pixels, wanted = shot.frame.pixels, first.frame.pixels
    if pixels.shape[:2] != wanted.shape[:2]:
        raise DataRejected(
            f"frame {shot.frame.number} has {pixels.shape[1]} x {pixels.shape[0]} pixels,"
            f" the first one {wanted.shape[1]} x {wanted.shape[0]}",
            where=shot.where,
            way_out="Give a video whose frames are all of one size.",
        )
    if (pixels.dtype, shot.in_kelvin) != (wanted.dtype, first.in_kelvin):
        raise DataRejected(
            f"frame {shot.frame.number} is of another kind than the first one: colours, counts or temperatures",
            where=shot.where,
            way_out="Give a video whose frames are all of one kind.",
        )


def frame_statistics(frame: Frame) -> dict[str, float]:
    """Size, level, contrast and sharpness of a frame, the last three 0 .. 1 of what its kind can hold."""
    pixels = frame.pixels
    most = float(np.iinfo(pixels.dtype).max)
    grey = pixels.astype(np.float32) if pixels.ndim == 2 else pixels.mean(axis=2, dtype=np.float32)
    return {
        "width": float(pixels.shape[1]),
        "height": float(pixels.shape[0]),
        "level": round(float(grey.mean()) / most, 6),
        "contrast": round(float(grey.std()) / most, 6),
        "sharpness": round(float(np.abs(np.diff(grey, axis=1)).mean()) / most, 6),
    }
