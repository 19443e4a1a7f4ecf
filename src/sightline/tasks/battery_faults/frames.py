"""Where the frames of a clip come from: files, a ZIP of files, or a video; each is decoded when it is asked for."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import Frame
from sightline.errors import DataMissing, DataRejected
from sightline.files import PICTURES, open_file
from sightline.limits import Limits
from sightline.listing import is_hidden
from sightline.radiometry import read_radiometry
from sightline.video.pictures import natural
from sightline.vision.images import decode_picture, probe_within, read_bytes

CENTIKELVIN = 0.01
"""Kelvin a count of frames whose files tell their temperatures themselves."""

_MOST_FRAMES = 1_000_000
_MOST_RATIO = 1000  # unpacked to packed; frames of one colour have 100
_MOST_UNPACKED = 16 * 2**30
_COLDEST_K = 170.0  # what a file tells as less than this is in degrees Celsius: no battery is so cold
_ZERO_C = 273.15
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


@dataclass(frozen=True)
class Shot:
    """One frame as its source has it.

    Attributes:
        where: what messages call it.
        frame: its pixels are counts of 0.01 K, if its file tells temperatures.
        in_kelvin: whether it does.
    """

    where: str
    frame: Frame
    in_kelvin: bool = False


@dataclass(frozen=True)
class Extent:
    """What a clip takes, told before anything is decoded.

    Attributes:
        size: (h, w) of its frames.
        frames: how many; None where nobody can tell.
    """

    size: tuple[int, int]
    frames: int | None


class Source(Protocol):
    """Where frames come from."""

    def extent(self) -> Extent:
        """See `Extent`. Raises DataRejected where its head says that it cannot be read."""
        ...

    def shots(self) -> Generator[Shot]:
        """The frames from the first one on, each decoded when it is asked for."""
        ...


@dataclass(frozen=True)
class PictureFiles:
    """Files in the order of time; `name` is what the whole is called."""

    name: str
    paths: tuple[Path, ...]
    limits: Limits

    def extent(self) -> Extent:
        """By the head of the first file."""
        head = probe_within(read_bytes(self.paths[0], self.limits, str(self.paths[0])), self.limits, str(self.paths[0]))
        return Extent((head.height, head.width), len(self.paths))

    def shots(self) -> Generator[Shot]:
        """See `Source`."""
        for number, path in enumerate(self.paths):
            yield picture_shot(read_bytes(path, self.limits, str(path)), number, self.limits, str(path))


@dataclass(frozen=True)
class OnePicture:
    """A single picture: a video of one frame."""

    name: str
    content: bytes
    limits: Limits

    def extent(self) -> Extent:
        """By its head."""
        head = probe_within(self.content, self.limits, self.name)
        return Extent((head.height, head.width), 1)

    def shots(self) -> Generator[Shot]:
        """See `Source`."""
        yield picture_shot(self.content, 0, self.limits, self.name)


@dataclass(frozen=True)
class ZippedPictures:
    """Pictures in a ZIP archive, in the natural order of their names. Nothing is unpacked to the disk."""

    name: str
    content: Path | bytes
    limits: Limits

    def extent(self) -> Extent:
        """By the head of the first picture."""
        with self._opened() as archive:
            members = self._members(archive)
            where = f"{self.name}: {members[0].filename}"
            head = probe_within(self._unpacked(archive, members[0]), self.limits, where)
        return Extent((head.height, head.width), len(members))

    def shots(self) -> Generator[Shot]:
        """See `Source`."""
        with self._opened() as archive:
            for number, member in enumerate(self._members(archive)):
                where = f"{self.name}: {member.filename}"
                yield picture_shot(self._unpacked(archive, member), number, self.limits, where)

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        with (
            io.BytesIO(self.content) if isinstance(self.content, bytes) else open_file(self.content, self.name) as file
        ):
            try:
                archive = zipfile.ZipFile(file)
            except _UNREADABLE as error:
                raise _damaged(error, self.name) from error
            with archive:
                yield archive

    def _members(self, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
        """Its pictures. Raises DataRejected where there is none, or where they are more than anybody means to send."""
        found = [member for member in archive.infolist() if _is_picture(member.filename)]
        if not found:
            raise DataRejected(
                "there are no pictures in the archive",
                where=self.name,
                way_out=f"Give a ZIP of frames that end in one of {', '.join(PICTURES)}.",
            )
        folders = {PurePosixPath(member.filename).parent for member in found}
        if len(folders) > 1:
            raise DataRejected(
                f"the archive has pictures in {len(folders)} folders",
                where=self.name,
                way_out="Give one archive for each video.",
            )
        total, packed = sum(member.file_size for member in found), sum(member.compress_size for member in found)
        if len(found) > _MOST_FRAMES or total > min(_MOST_UNPACKED, max(packed, 2**16) * _MOST_RATIO):
            raise DataRejected(
                f"the archive unpacks to {len(found):,} pictures of {total:,} bytes",
                where=self.name,
                way_out="Give a shorter video, as MP4 or as a folder of frames.",
            )
        return sorted(found, key=lambda member: natural(member.filename))

    def _unpacked(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
        where = f"{self.name}: {member.filename}"
        try:
            with archive.open(member) as file:  # what the directory says of its size may be a lie
                content = file.read(self.limits.bytes + 1)
        except _UNREADABLE as error:
            raise _damaged(error, where) from error
        return read_bytes(content, self.limits, where)


@dataclass(frozen=True)
class VideoFile:
    """A video that PyAV reads, of any length."""

    name: str
    content: Path | bytes
    limits: Limits

    def extent(self) -> Extent:
        """By its head."""
        from sightline.video.reading import open_video

        with open_video(self.content, self.limits, self.name) as video:
            return Extent(video.size, video.count)

    def shots(self) -> Generator[Shot]:
        """See `Source`."""
        from sightline.video.reading import open_video

        with open_video(self.content, self.limits, self.name) as video:
            for frame in video:
                yield Shot(f"{self.name}: frame {frame.number}", frame)


def picture_shot(content: bytes, number: int, limits: Limits, where: str) -> Shot:
    """A picture as a frame: 8-bit colours, counts of a camera, or temperatures where the file tells them.

    Temperatures are told by radiometric JPEG of FLIR cameras, by TIFF of float (kelvin, or degrees Celsius where they
    are too low for that), and by TIFF whose metadata state a scale of their counts (GDAL).

    Raises:
        DataRejected: it cannot be read, or breaks the limits.
    """
    if content[:2] == b"\xff\xd8":
        counts = _flir_counts(content, limits)
        if counts is not None:
            return Shot(where, Frame(counts[0], number), counts[1])
    probe_within(content, limits, where)
    decoded = decode_picture(content, limits, where)
    values = decoded.values
    if values.dtype == np.uint8:
        pixels = np.repeat(values[..., None], 3, axis=2) if values.ndim == 2 else values
        return Shot(where, Frame(pixels, number))
    if values.dtype == np.uint16:
        return Shot(where, Frame(values, number))
    kelvin = values.astype(np.float64)
    known = np.isfinite(kelvin) if decoded.valid is None else np.isfinite(kelvin) & decoded.valid
    if known.any() and float(np.median(kelvin[known])) < _COLDEST_K:
        kelvin = kelvin + _ZERO_C
    return Shot(where, Frame(_centikelvin(np.where(known, kelvin, 0.0)), number), in_kelvin=True)


def _flir_counts(content: bytes, limits: Limits) -> tuple[NDArray[np.uint16], bool] | None:
    """What a radiometric JPEG holds, and whether that is in 0.01 K; None where it is an ordinary picture."""
    found = read_radiometry(content, limits.pixels)
    if found is None:
        return None
    celsius = found.planck.celsius(found.counts) if found.planck else None
    return (found.counts, False) if celsius is None else (_centikelvin(celsius + _ZERO_C), True)


def _centikelvin(kelvin: NDArray[Any]) -> NDArray[np.uint16]:
    return np.clip(np.rint(kelvin / CENTIKELVIN), 0, 2**16 - 1).astype(np.uint16)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURES) and not any(is_hidden(part) for part in PurePosixPath(name).parts)


def _damaged(error: Exception, where: str) -> DataRejected:
    return DataRejected(
        f"the archive cannot be read ({error})",
        where=where,
        way_out="Pack the frames again as a plain ZIP without a password.",
    )


def frames_of(folder: Path, listed: list[Path] | None, limits: Limits) -> PictureFiles:
    """The frames of a folder: those that its document lists, in that order, else all in natural order of their names.

    Raises:
        DataMissing: there is none.
    """
    from sightline.video.pictures import frame_files

    paths = tuple(listed if listed is not None else frame_files(folder))
    if not paths:
        raise DataMissing(
            "there are no pictures in this folder", where=folder, way_out="Give a folder that holds a video's frames."
        )
    return PictureFiles(str(folder), paths, limits)
