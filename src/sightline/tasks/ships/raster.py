"""One raster as a model reads it: a chip, a scene, or a mosaic that is too large to be held. Untrusted.

What is within the limits is decoded; a larger GeoTIFF stays on disk and is read window by window.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.files import sha256_file
from sightline.geo.pictures import broken, check_large, read_scene_pixels
from sightline.geo.position import Georeference
from sightline.images import read_bytes
from sightline.task import Limits
from sightline.tasks.ships.data import GSD_M
from sightline.tasks.ships.place import place_of

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

Pixels = NDArray[np.uint8]
Read = Callable[[int, int, int, int], Pixels]
"""(top, left, height, width) in pixels, inside the raster -> (height, width, 3) RGB."""


SHOWN_PX = 2048
"""Most pixels of a side in pictures."""

_CACHE_MB = 64
_STATISTICS_SIDE_PX = 1024


@dataclass(frozen=True)
class Raster:
    """One raster: decoded, or checked and left on disk.

    Attributes:
        size: (h, w) pixels.
        sha256: of the file's bytes.
        statistics: figures of the input as it came in, for drift (see `input_statistics`).
        gsd_m: metres a pixel on the ground, at the raster's middle.
        name: the file's name or what the caller called it, for messages.
        place: where it lies, where the file says so.
        pixels: (h, w, 3); None where they stay on disk.
        path: of the file, where they do.
    """

    size: tuple[int, int]
    sha256: str
    statistics: Mapping[str, float] = field(repr=False)
    gsd_m: float = GSD_M
    name: str = ""
    place: Georeference | None = None
    pixels: Pixels | None = field(default=None, repr=False)
    path: Path | None = None

    @contextmanager
    def opened(self) -> Iterator[Read]:
        """What reads its windows.

        Raises:
            DataRejected: the file was changed since it was checked, or is broken; also at a window.
        """
        if self.pixels is not None:
            yield _part_of(self.pixels)
            return
        assert self.path is not None
        with _open(self.path) as dataset:
            if dataset.shape != self.size:
                raise DataRejected("the file was changed meanwhile", where=self.path, way_out="Read it again.")
            yield _windows_of(dataset, str(self.path))

    def reduced(self) -> tuple[int, Pixels]:
        """Every n-th pixel, so that sides have SHOWN_PX at most; and n."""
        height, width = self.size
        step = -(-max(self.size) // SHOWN_PX)
        with self.opened() as read:
            rows = [read(top, 0, 1, width)[:, ::step] for top in range(0, height, step)]
        return step, np.concatenate(rows)


def read_raster(source: Path | bytes, limits: Limits) -> Raster:
    """Decode a JPEG, PNG or TIFF; a TIFF beyond the limits is only checked, and read when it is answered.

    Its ground sampling distance is that of its georeference, else the published set's.

    Raises:
        DataMissing: the file is not there.
        DataRejected: see `scenes.read_scene_pixels`, `place.place_of` and `check_large`.
    """
    if isinstance(source, Path) and _is_large(source, limits):
        return _large(source)
    name = str(source) if isinstance(source, Path) else "image"
    data = read_bytes(source, limits, name)
    pixels = read_scene_pixels(data, limits, name)
    place = _place_of_bytes(data, name) if data[:2] in (b"II", b"MM") else None
    return _made(pixels.shape[:2], hashlib.sha256(data).hexdigest(), _part_of(pixels), name, place, pixels=pixels)


def raster_of(pixels: Pixels, gsd_m: float = GSD_M) -> Raster:
    """A raster of pixels (h, w, 3) that are held anyway."""
    return Raster((pixels.shape[0], pixels.shape[1]), "", {}, gsd_m, pixels=pixels)


def _made(
    size: tuple[int, ...], sha256: str, read: Read, name: str, place: Georeference | None, **where: Any
) -> Raster:
    height, width = size
    rows, columns = (min(side, _STATISTICS_SIDE_PX) for side in size)
    centre = read((height - rows) // 2, (width - columns) // 2, rows, columns)
    gsd_m = GSD_M if place is None else math.sqrt(math.prod(place.gsd_m(width / 2, height / 2)))
    return Raster((height, width), sha256, input_statistics(centre), gsd_m, name, place, **where)


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


def _part_of(pixels: Pixels) -> Read:
    return lambda top, left, height, width: pixels[top : top + height, left : left + width]


# -------------------------------------------------------------------------------------------------------- large


def _is_large(path: Path, limits: Limits) -> bool:
    """Whether a TIFF goes beyond the limits of what is decoded at once. What is no TIFF at all is not large."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            values = page.imagewidth * page.imagelength * page.samplesperpixel
    except Exception:  # it will be refused by name when it is decoded
        return False
    return path.stat().st_size > limits.bytes or values > limits.pixels


def _large(path: Path) -> Raster:
    check_large(path)
    with _open(path) as dataset:
        place = place_of(dataset, str(path))
        return _made(dataset.shape, sha256_file(path), _windows_of(dataset, str(path)), str(path), place, path=path)


@contextmanager
def _open(path: Path) -> Iterator[DatasetReader]:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    options = {"GDAL_CACHEMAX": _CACHE_MB, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
    with warnings.catch_warnings(), rasterio.Env(**options):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            dataset = rasterio.open(path, driver="GTiff")
        except RasterioError as error:
            raise broken(str(error), str(path)) from error
        with dataset:
            yield dataset


def _windows_of(dataset: DatasetReader, where: str) -> Read:
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    def read(top: int, left: int, height: int, width: int) -> Pixels:
        try:
            bands = dataset.read(window=Window(left, top, width, height))
        except RasterioError as error:
            raise broken(str(error), where) from error
        pixels = np.moveaxis(bands[:3], 0, -1)
        if len(bands) == 4:
            pixels = pixels * (bands[3] != 0)[..., None]
        return np.ascontiguousarray(pixels)

    return read


def _place_of_bytes(data: bytes, where: str) -> Georeference | None:
    """Of a TIFF that was decoded already."""
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.io import MemoryFile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with MemoryFile(data) as file, file.open(driver="GTiff") as dataset:
                return place_of(dataset, where)
        except RasterioError as error:
            raise broken(str(error), where) from error
