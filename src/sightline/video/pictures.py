"""A folder of pictures as a video: in natural order, `frame2` before `frame10`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import Frame
from sightline.errors import DataMissing, DataRejected
from sightline.files import PICTURES
from sightline.limits import Limits
from sightline.listing import find_files
from sightline.vision.images import decode, probe_within, read_bytes


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A key to sort names by: digits count as numbers."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in parts)


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order, its inner folders left out.

    Raises:
        DataMissing: there is none.
    """
    found = sorted(find_files(folder, PICTURES), key=lambda path: natural(path.name))
    if not found:
        raise DataMissing(
            "there are no pictures in this folder",
            where=folder,
            way_out=f"Give a folder whose frames end in one of {', '.join(PICTURES)}.",
        )
    return found


def picture_pixels(content: bytes, limits: Limits, where: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """A picture as a frame has it: (h, w, 3) uint8 RGB, or (h, w) uint16 counts.

    Raises:
        DataRejected: it cannot be read, is larger than the limit, or has values that are no counts of a camera.
    """
    probe_within(content, limits, where)
    values: NDArray[Any] = decode(content, limits, where)
    if values.ndim == 2 and values.dtype == np.uint8:
        return np.repeat(values[..., None], 3, axis=2)
    if values.dtype not in (np.uint8, np.uint16):
        raise DataRejected(
            f"a frame of {values.dtype} values is not read",
            where=where,
            way_out="Save the frames as 8-bit RGB, or as 16-bit grey PNG or TIFF.",
        )
    return values


class Pictures:
    """The frames of a folder. A broken one raises DataRejected; the one after that goes on behind it.

    Attributes:
        where: what messages call it.
        live: it is not.
        size: of its frames: known with the first.
        count: number of pictures.
    """

    live = False
    size: tuple[int, int] | None = None

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.where = str(folder)
        self._files = frame_files(folder)
        self._limits = limits
        self._next = 0
        self.count: int | None = len(self._files)

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        if self._next >= len(self._files):
            raise StopIteration
        number, self._next = self._next, self._next + 1
        path = self._files[number]
        content = read_bytes(path, self._limits, str(path))
        return Frame(picture_pixels(content, self._limits, str(path)), number)

    def close(self) -> None:
        """No frame comes any more."""
        self._next = len(self._files)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
