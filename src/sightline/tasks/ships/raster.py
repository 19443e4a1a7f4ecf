"""One raster as a model reads it: a chip, a scene, or a mosaic that is too large to be held. Untrusted.

What is within the limits is decoded; a larger GeoTIFF stays on disk and is read window by window. Both are read by the
same code, so the answer does not depend on the size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.files import sha256_file
from sightline.limits import Limits
from sightline.maps.colours import opened_colours
from sightline.maps.pictures import MIN_SIDE_PX, Picture, check_tiff, mask_beside, read_scene
from sightline.maps.placement import Placement, placement_of
from sightline.maps.position import Georeference
from sightline.tasks.ships.chips import GSD_M
from sightline.tasks.ships.cost import check_work, most_scanned_px
from sightline.vision.images import probe, read_bytes
from sightline.vision.images.orientation import UPRIGHT, shown_size
from sightline.vision.images.refusals import check_sides
from sightline.vision.images.tiff_windows import opened_tiff

Pixels = NDArray[np.uint8]
Hidden = NDArray[np.bool_]
ScalarT = TypeVar("ScalarT", bound=np.generic)

Read = Callable[[int, int, int, int], Pixels]
"""(top, left, height, width) in pixels, inside the raster -> (height, width, 3) RGB."""
Hide = Callable[[int, int, int, int], Hidden]
"""The same -> (height, width), True where there is nothing to see."""


SHOWN_PX = 2048
"""Most pixels of a side in pictures."""

_STATISTICS_SIDE_PX = 1024


@dataclass(frozen=True)
class Opened:
    """An open raster.

    Attributes:
        read: its windows.
        hidden: what of them shows nothing; None where all of it shows something.
    """

    read: Read
    hidden: Hide | None = None


@dataclass(frozen=True)
class Raster:
    """One raster: decoded, or checked and left on disk.

    Attributes:
        size: (h, w) pixels.
        sha256: of the file's bytes.
        statistics: figures of the input as it came in, for drift (see `input_statistics`).
        gsd_m: metres a pixel on the ground, at the raster's middle.
        gsd_from: who says so: the file (or what lies beside it), the user, or nobody.
        name: the file's name or what the caller called it, for messages.
        placement: where it lies, and by what.
        most_scanned_px: what it may come to at the network's scale.
        pixels: (h, w, 3); None where they stay on disk.
        hidden: (h, w), True where nothing is shown; None where all is, or where they stay on disk.
        path: of the file, where they do.
        mask: of the `.msk` beside it.
        orientation: how its pixels are turned to be shown, where they stay on disk.
    """

    size: tuple[int, int]
    sha256: str
    statistics: Mapping[str, float] = field(repr=False)
    gsd_m: float = GSD_M
    gsd_from: Literal["file", "user", "assumed"] = "assumed"
    name: str = ""
    placement: Placement = field(default_factory=Placement)
    most_scanned_px: int = 2**31
    pixels: Pixels | None = field(default=None, repr=False)
    hidden: Hidden | None = field(default=None, repr=False)
    path: Path | None = None
    mask: Path | None = None
    orientation: int = UPRIGHT

    @property
    def place(self) -> Georeference | None:
        """Where it lies on Earth, where that is known."""
        return self.placement.place

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        """What reads its windows.

        Raises:
            DataRejected: the file was changed since it was checked, or is broken; also at a window.
        """
        if self.pixels is not None:
            yield Opened(_part_of(self.pixels), None if self.hidden is None else _part_of(self.hidden))
            return
        assert self.path is not None
        with opened_colours(self.path, str(self.path), self.mask, self.orientation) as colours:
            if colours.size != self.size:
                raise DataRejected(
                    "the file was changed while it was read",
                    where=self.path,
                    way_out="Run it again when no program writes to the file.",
                )
            yield Opened(colours, colours.hidden if colours.hides else None)

    def reduced(self) -> tuple[int, Pixels]:
        """Every n-th pixel, so that sides have SHOWN_PX at most; and n."""
        height, width = self.size
        step = -(-max(self.size) // SHOWN_PX)
        with self.opened() as opened:
            rows = [opened.read(top, 0, 1, width)[:, ::step] for top in range(0, height, step)]
        return step, np.concatenate(rows)


def read_raster(source: Path | bytes, limits: Limits, wanted_gsd_m: float = GSD_M) -> Raster:
    """Decode a JPEG, PNG or TIFF; a TIFF beyond the limits is only checked, and read when it is answered.

    Its ground sampling distance is that of its georeference, in it or beside it, else the published set's. What it
    comes to at the network's scale is bounded before anything is decoded.

    Args:
        source: a file, or the bytes of one, which has no neighbours.
        limits: of what is decoded at once, and of the work.
        wanted_gsd_m: metres a pixel of the network's scale.

    Raises:
        DataMissing: the file is not there.
        DataRejected: see `pictures.read_scene`, `placement.placement_of` and `cost.check_work`.
    """
    head = read_head(source, limits)
    most_px = most_scanned_px(source, limits)
    check_work(head.size, head.gsd_m, wanted_gsd_m, most_px, head.name)
    read_so: dict[str, Any] = {"most_scanned_px": most_px, "mask": head.mask, "orientation": head.orientation}
    if head.stays_on_disk:
        assert isinstance(source, Path)
        with opened_colours(source, head.name, head.mask, head.orientation) as colours:
            return _made(head, sha256_file(source), colours, path=source, **read_so)
    data = read_bytes(source, limits, head.name)
    picture: Picture = read_scene(data, limits, head.name, head.mask, as_stored=bool(head.placement.source))
    head = replace(head, size=(picture.pixels.shape[0], picture.pixels.shape[1]))
    sha256 = hashlib.sha256(data).hexdigest()
    return _made(head, sha256, _part_of(picture.pixels), pixels=picture.pixels, hidden=picture.hidden, **read_so)


def raster_of(pixels: Pixels, gsd_m: float = GSD_M) -> Raster:
    """A raster of pixels (h, w, 3) that are held anyway."""
    return Raster((pixels.shape[0], pixels.shape[1]), "", {}, gsd_m, pixels=pixels)


def _made(head: Head, sha256: str, read: Read, **where: Any) -> Raster:
    height, width = head.size
    rows, columns = (min(side, _STATISTICS_SIDE_PX) for side in head.size)
    centre = read((height - rows) // 2, (width - columns) // 2, rows, columns)
    said: Literal["file", "assumed"] = "assumed" if head.placement.gsd_m is None else "file"
    return Raster(head.size, sha256, input_statistics(centre), head.gsd_m, said, head.name, head.placement, **where)


def input_statistics(pixels: Pixels) -> dict[str, float]:
    """Level, contrast, colour and sharpness of the central 1024 x 1024 pixels at most.

    All in 0 .. 255 but `sharpness`, the mean absolute difference of neighbours over the contrast, and `black`, the
    share of pixels without data.
    """
    colour = pixels.astype(np.float32)
    grey = colour.mean(axis=2)
    contrast = float(grey.std())
    red, green, blue = (float(value) for value in colour.reshape(-1, 3).mean(axis=0, dtype=np.float64))
    return {
        "red": red,
        "green": green,
        "blue": blue,
        "contrast": contrast,
        "saturation": float((colour.max(axis=2) - colour.min(axis=2)).mean(dtype=np.float64)),
        "sharpness": float(np.abs(np.diff(grey, axis=1)).mean(dtype=np.float64) / max(contrast, 1.0)),
        "black": float((grey == 0).mean()),
    }


def _part_of(values: NDArray[ScalarT]) -> Callable[[int, int, int, int], NDArray[ScalarT]]:
    return lambda top, left, height, width: values[top : top + height, left : left + width]


# --------------------------------------------------------------------------------------------------------- head


@dataclass(frozen=True)
class Head:
    """What is known of a raster before anything of it is decoded.

    Attributes:
        size: (h, w) pixels.
        placement: where it lies, and by what.
        name: for messages.
        stays_on_disk: whether it is beyond what is decoded at once.
        mask: the `.msk` beside it.
        orientation: how a TIFF's pixels are turned to be shown.
        scans: how often decoding goes through the pixels.
    """

    size: tuple[int, int]
    placement: Placement
    name: str
    stays_on_disk: bool = False
    mask: Path | None = None
    orientation: int = UPRIGHT
    scans: int = 1

    @property
    def gsd_m(self) -> float:
        """Metres a pixel, at the middle; the published set's where nobody says."""
        return GSD_M if self.placement.gsd_m is None else self.placement.gsd_m


def read_head(source: Path | bytes, limits: Limits) -> Head:
    """Size and place of a raster.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is no such raster, or its place is none.
    """
    path = source if isinstance(source, Path) else None
    name = "image" if path is None else str(path)
    if not _is_tiff(source):
        return _head_of_picture(source, limits, name)
    checked = source if isinstance(source, Path) else read_bytes(source, limits, name)
    header = check_tiff(checked, name)
    height, width = header.size
    with opened_tiff(checked, name) as dataset:
        placement = placement_of(header.size, name, path, dataset)
    # A place on Earth speaks of pixels as they are stored.
    orientation = UPRIGHT if placement.source else header.orientation
    size = shown_size(width, height, orientation)[::-1]
    if path is None:
        return Head(size, placement, name, orientation=orientation)
    large = path.stat().st_size > limits.bytes or height * width * header.bands > limits.pixels
    return Head(size, placement, name, large, mask_beside(path), orientation)


def _head_of_picture(source: Path | bytes, limits: Limits, name: str) -> Head:
    """Of a JPEG or PNG."""
    header = probe(read_bytes(source, limits, name), name)
    size = (header.height, header.width)
    check_sides(size, MIN_SIDE_PX, name)
    placement = placement_of(size, name, source if isinstance(source, Path) else None)
    if header.orientation != UPRIGHT and placement.source:
        # What lies beside it speaks of pixels as they are stored, and the answer of them upright.
        why = f"{placement.source} is not used: the picture is stored rotated (EXIF)"
        placement = Placement(unused=(*placement.unused, why))
    return Head(size, placement, name, scans=header.scans)


def _is_tiff(source: Path | bytes) -> bool:
    if isinstance(source, bytes):
        return source[:2] in (b"II", b"MM")
    if not source.is_file():  # told when it is read
        return False
    try:
        with source.open("rb") as file:
            return file.read(2) in (b"II", b"MM")
    except OSError:
        return False
