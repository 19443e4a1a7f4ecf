"""What the networks learn from: the pack cut out of each frame of a video, with the faulty cells in it.

What a network is shown of a frame is the pack's box with a margin, stretched to one size: so each cell keeps its place
while the camera goes round. Stored are cuts with a wider margin, from which a training draws its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import Frame
from sightline.errors import DataRejected
from sightline.task import Json, Progress
from sightline.tasks.battery_faults.geometry import CellFinder
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.tasks.battery_faults.thermometer import Scale, Thermometer
from sightline.tasks.battery_faults.ytvis import Video
from sightline.vision.examples import Kept, StoredArrays, store_once
from sightline.vision.hardware import cores

Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of a frame."""

SIZE = (104, 268)
"""(h, w) of what the networks are shown."""

SPAN_K = 10.0
"""Kelvin over the pack's median that one unit of the temperature channel stands for."""

LIMITS = (-1.0, 3.0)
"""Between which this channel is clipped."""

MARGIN = 0.06
"""Around the pack's box on each side, as a share of its width and height, of what a network is shown."""

STORED_MARGIN = 0.24
STORED_SIZE = (136, 352)
"""The same of what is stored: about as many pixels to the pack."""

MOST_FAULTS = 8
"""Of a stored video: a bit each."""


@dataclass(frozen=True)
class Look:
    """One frame of a video to learn from.

    Attributes:
        thermal: the frame.
        pack: the box of the pack in it; None where it is out of view: the frame is left out.
        masks: one (h, w) for each faulty cell of the video; None where it is not to be seen.
    """

    thermal: Thermal
    pack: Box | None
    masks: Sequence[NDArray[np.bool_] | None]


@dataclass(frozen=True)
class Clip:
    """One stored video.

    Attributes:
        kelvin: (t, h, w) float16, over the pack's median in units of `SPAN_K`, clipped; NaN where invalid.
        shading: (t, h, w) uint8.
        faults: (t, h, w) uint8, a bit for each faulty cell.
        count: how many faulty cells the video has.
    """

    kelvin: NDArray[np.float16]
    shading: NDArray[np.uint8]
    faults: NDArray[np.uint8]
    count: int


def widen(pack: Box, margin: float) -> tuple[int, int, int, int]:
    """A box with a margin on each side, in whole pixels, at least one on a side; it may leave the frame."""
    x0, y0, x1, y1 = pack
    across, down = margin * (x1 - x0), margin * (y1 - y0)
    left, top = int(np.floor(x0 - across)), int(np.floor(y0 - down))
    return left, top, max(int(np.ceil(x1 + across)), left + 1), max(int(np.ceil(y1 + down)), top + 1)


def cut(picture: NDArray[np.float32], box: tuple[int, int, int, int], size: tuple[int, int]) -> Floats:
    """The part of a picture (h, w) in a box, stretched to `size`; zero outside of the picture."""
    import cv2

    x0, y0, x1, y1 = box
    height, width = picture.shape
    inside = picture[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    if not inside.size:
        return np.zeros(size, np.float32)
    beyond = (max(-y0, 0), max(y1 - max(height, y0), 0)), (max(-x0, 0), max(x1 - max(width, x0), 0))
    whole = np.ascontiguousarray(np.pad(inside, beyond), dtype=np.float32)
    way = cv2.INTER_AREA if whole.shape[0] >= size[0] or whole.shape[1] >= size[1] else cv2.INTER_LINEAR
    stretched: Floats = cv2.resize(whole, size[::-1], interpolation=way)
    return stretched


def look_at(
    thermal: Thermal, pack: Box, margin: float = MARGIN, size: tuple[int, int] = SIZE
) -> tuple[Floats, tuple[int, int, int, int]]:
    """What a network is shown of a frame, and the part of the frame that this is.

    Returns:
        (3, h, w): kelvin over the median of the pack's box in units of `SPAN_K`, clipped to `LIMITS`; shading; 1. All
        three are 0 where no temperature can be told. And the box (x0, y0, x1, y1), which may leave the frame.
    """
    box = widen(pack, margin)
    valid = thermal.valid
    x0, y0, x1, y1 = widen(pack, 0.0)
    within = np.s_[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    pixels = thermal.kelvin[within][valid[within]]
    middle = float(np.median(pixels)) if pixels.size else 0.0
    share = cut(valid.astype(np.float32), box, size)
    over = np.where(valid, thermal.kelvin - np.float32(middle), np.float32(0))
    kelvin = cut(over, box, size) / np.maximum(share, 1e-6) / SPAN_K
    known = share >= 0.5
    # What is not the pack is not shown at all: floors differ, and tell nothing of cells.
    channels = [
        np.where(known, kelvin.clip(*LIMITS), 0.0),
        np.where(known, cut(thermal.shading, box, size), 0.0),
        known,
    ]
    return np.stack(channels).astype(np.float32), box


def put_back(mask: Floats, box: tuple[int, int, int, int], size: tuple[int, int]) -> Floats:
    """What was told of a cut, in the frame (h, w) again; zero outside of the cut."""
    import cv2

    x0, y0, x1, y1 = box
    whole = np.zeros(size, np.float32)
    stretched = cv2.resize(mask, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    rows, columns = slice(max(y0, 0), max(min(y1, size[0]), 0)), slice(max(x0, 0), max(min(x1, size[1]), 0))
    whole[rows, columns] = stretched[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0]
    return whole


def looks_of(video: Video, frames: Iterable[Frame], scale: Scale) -> Iterator[Look]:
    """The frames of a video with its truth, one at a time.

    Args:
        video: its masks.
        frames: as many as it lists.
        scale: what their numbers mean.
    """
    thermometer = Thermometer(scale)
    finder = CellFinder()
    for number, frame in enumerate(frames):
        thermal = thermometer.measure(frame)
        masks = [track.masks[number] for track in video.tracks]
        yield Look(thermal, finder.find_pack(thermal), [None if mask is None else mask.decode() for mask in masks])


# --------------------------------------------------------------------------------------------------------- stored


class _Index(Kept):
    """Of each stored video its name, its frames and its faulty cells."""

    names: list[str]
    lengths: list[int]
    counts: list[int]


class StoredClips:
    """Videos that `store_clips` wrote."""

    def __init__(self, folder: Path) -> None:
        index = _Index.read(folder)
        self.names, self.counts = index.names, index.counts
        shapes = [(length, *STORED_SIZE) for length in index.lengths]
        self._kelvin = StoredArrays(folder / "kelvin.bin", np.float16, shapes)
        self._shading = StoredArrays(folder / "shading.bin", np.uint8, shapes)
        self._faults = StoredArrays(folder / "faults.bin", np.uint8, shapes)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Clip:
        return Clip(self._kelvin[index], self._shading[index], self._faults[index], self.counts[index])


def store_clips(videos: Sequence[tuple[str, Iterable[Look]]], folder: Path, progress: Progress) -> StoredClips:
    """Cut the pack out of all frames once, into `folder`; what an earlier call finished is taken as it is.

    Args:
        videos: name and frames of each, read one at a time.
        folder: of the files.
        progress: told of each video.

    Raises:
        DataRejected: a video has more than `MOST_FAULTS` faulty cells.
    """
    store_once(folder, lambda made: write_clips(_cut_out(videos), len(videos), made, progress))
    return StoredClips(folder)


@dataclass(frozen=True)
class CutVideo:
    """A video whose pack was cut out.

    Attributes:
        name: of the video.
        frames: kelvin, shading and faults of each, as in `Clip`; none where the pack was never in sight.
        count: how many faulty cells it has.
    """

    name: str
    frames: list[tuple[NDArray[np.float16], NDArray[np.uint8], NDArray[np.uint8]]]
    count: int


def write_clips(videos: Iterable[CutVideo], total: int, folder: Path, progress: Progress) -> dict[str, Json]:
    """Write videos into a new folder, and return the index that `store_once` keeps beside them."""
    paths = [folder / f"{name}.bin" for name in ("kelvin", "shading", "faults")]
    for path in paths:
        path.touch()
    names, lengths, counts = [], [], []
    for number, video in enumerate(videos, start=1):
        for path, *values in zip(paths, *video.frames, strict=True):
            with path.open("ab") as file:
                file.writelines(value.tobytes() for value in values)
        if video.frames:
            names.append(video.name)
            lengths.append(len(video.frames))
            counts.append(video.count)
        progress.advance(number, total, f"video {number}/{total}")
    return {"names": names, "lengths": lengths, "counts": counts}


def _cut_out(videos: Sequence[tuple[str, Iterable[Look]]]) -> Iterator[CutVideo]:
    """Each video in turn; a few are worked on at a time."""
    ahead = cores() + 1
    with ThreadPoolExecutor(cores(), thread_name_prefix="videos") as workers:
        coming = [workers.submit(cut_video, *video) for video in videos[:ahead]]
        for number in range(len(videos)):
            yield coming.pop(0).result()
            if number + ahead < len(videos):
                coming.append(workers.submit(cut_video, *videos[number + ahead]))


def cut_video(name: str, looks: Iterable[Look]) -> CutVideo:
    """A video with the pack cut out of each frame in which it is in sight.

    Raises:
        DataRejected: it has more than `MOST_FAULTS` faulty cells.
    """
    frames, count = [], 0
    for look in looks:
        if len(look.masks) > MOST_FAULTS:
            raise DataRejected(
                f"{len(look.masks)} faulty cells are more than {MOST_FAULTS}",
                where=name,
                way_out="Leave this video out.",
            )
        if look.pack is not None:
            frames.append(_stored(look, look.pack))
            count = max(count, len(look.masks))
    return CutVideo(name, frames, count)


def _stored(look: Look, pack: Box) -> tuple[NDArray[np.float16], NDArray[np.uint8], NDArray[np.uint8]]:
    channels, box = look_at(look.thermal, pack, STORED_MARGIN, STORED_SIZE)
    kelvin = np.where(channels[2] > 0, channels[0], np.nan).astype(np.float16)
    shading = np.rint(channels[1].clip(0, 1) * 255).astype(np.uint8)
    faults = np.zeros(STORED_SIZE, np.uint8)
    for number, mask in enumerate(look.masks):
        if mask is not None:
            inside = cut(mask.astype(np.float32), box, STORED_SIZE) >= 0.5
            faults |= inside.astype(np.uint8) << np.uint8(number)
    return kelvin, shading, faults
