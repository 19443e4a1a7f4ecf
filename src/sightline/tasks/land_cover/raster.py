"""Whole scenes, read window by window: 3,400 x 3,400 pixels and more, never decoded at once.

Windows are read by GDAL from one page of eight bands or from eight pages. Each page is checked first by its header,
then block by block, so that the scale is decided once and for the whole scene.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.files import open_file
from sightline.tasks.land_cover.bands import Bands, Scale, scale_of, to_unit, without_data
from sightline.tasks.land_cover.tile import check_finite, check_shape, tile_statistics
from sightline.vision.images.orientation import UPRIGHT
from sightline.vision.images.refusals import broken, refusing_broken
from sightline.vision.images.tiff import mask_pages, picture_pages
from sightline.vision.images.tiff_pixels import Declared, declared_by, in_unit
from sightline.vision.images.tiff_tags import compression_of, orientation_of
from sightline.vision.images.tiff_windows import MAX_PIECE_BYTES, check_pieces, opened_tiff

if TYPE_CHECKING:
    from rasterio.io import DatasetReader
    from tifffile import TiffPage

_BLOCK_ROWS = 256
_STATISTICS_SIDE_PX = 1024
_COMPRESSIONS = ("NONE", "LZW", "PACKBITS", "DEFLATE", "ADOBE_DEFLATE", "ZSTD")
_TYPES = ("uint8", "uint16", "int16", "float16", "float32", "float64")


@dataclass(frozen=True)
class Scene:
    """A raster of eight bands on disk.

    Attributes:
        size: (h, w) pixels.
        scale: what the file holds: counts 0 .. 2047, or values 0 .. 1.
        statistics: as a tile's, of the central 1024 x 1024 pixels.
        no_data_share: of all pixels.
        name: the path, for messages.
    """

    size: tuple[int, int]
    scale: Scale
    statistics: Mapping[str, float] = field(repr=False)
    no_data_share: float
    name: str
    _pages: _Pages = field(repr=False)

    def read(self, top: int, left: int, height: int, width: int) -> Bands:
        """(8, height, width) float32, 0 .. 1, of a window that lies within the scene.

        Raises:
            ValueError: it does not.
            DataRejected: the file is broken there.
        """
        rows, columns = self.size
        if not (0 <= top < top + height <= rows and 0 <= left < left + width <= columns):
            raise ValueError(f"rows {top}+{height}, columns {left}+{width} are not within {rows} x {columns}")
        return to_unit(self._pages.read(top, left, height, width), self.scale)


@dataclass(frozen=True)
class _Layout:
    """What the headers say.

    Attributes:
        pages: numbers of those that hold the bands, counted from 1.
        mask: number of the page that says where there are data; 0 where there is none.
        size: (h, w).
        declared: what its tags say of the values.
    """

    pages: tuple[int, ...]
    mask: int
    size: tuple[int, int]
    declared: Declared


@dataclass(frozen=True)
class _Pages:
    """Open datasets whose bands make up the eight."""

    datasets: tuple[DatasetReader, ...]
    mask: DatasetReader | None
    layout: _Layout
    where: str

    def read(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """(8, height, width) in the file's unit; 0 where there is no data."""
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        window = Window(left, top, width, height)
        try:
            stored = np.concatenate([dataset.read(window=window) for dataset in self.datasets])
            mask = None if self.mask is None else self.mask.read(1, window=window) != 0
        except RasterioError as error:
            raise broken(error, self.where) from error
        values, valid = in_unit(stored, mask, self.layout.declared)
        if valid is not None:
            values[:, ~valid] = 0
        check_finite(values, f"{self.where}, rows from {top}")
        return values


def scene_size(path: Path) -> tuple[int, int]:
    """(h, w) pixels of a raster of eight bands, by its headers alone.

    Raises:
        DataMissing: the file is not there.
        DataRejected: `open_scene` would refuse it at once.
    """
    return _look(path, str(path)).size


@contextmanager
def open_scene(path: Path) -> Iterator[Scene]:
    """Open a raster of eight bands, checked once from end to end at bounded memory.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is no such TIFF, broken, of another number of bands, its values are of no scale that is
            known, or it is stored in pieces that are too large to be decoded.
    """
    where = str(path)
    layout, cache_mb = _look(path, where), MAX_PIECE_BYTES // 2**20
    with ExitStack() as stack:
        datasets = [stack.enter_context(opened_tiff(path, where, page, cache_mb)) for page in layout.pages]
        mask = stack.enter_context(opened_tiff(path, where, layout.mask, cache_mb)) if layout.mask else None
        yield _checked(_Pages(tuple(datasets), mask, layout, where), layout.size, where)


def _look(path: Path, where: str) -> _Layout:
    """The layout, by the headers alone."""
    import tifffile

    with refusing_broken(where), open_file(path, where) as file, tifffile.TiffFile(file, name=path.name) as tiff:
        numbers = {page.index: number for number, page in enumerate(tiff.pages, start=1)}
        pages, masks = picture_pages(tiff), mask_pages(tiff)
        if not pages:
            raise broken("it has no page", where)
        first = pages[0]
        declared = declared_by(pages)
        count = first.samplesperpixel - len(declared.opacities) if len(pages) == 1 else len(pages)
        check_shape((count, first.imagelength, first.imagewidth), where)
        if orientation_of(first) != UPRIGHT:
            raise DataRejected("it is stored rotated or mirrored (tag Orientation)", where=where, way_out=_TURN)
        for page in pages:
            if page.shaped != first.shaped or page.dtype != first.dtype:
                raise DataRejected("its pages differ in size or type", where=where, way_out=_REWRITE)
            _check_page(page, path.stat().st_size, where)
        return _Layout(
            pages=tuple(numbers[page.index] for page in pages),
            mask=numbers[masks[0].index] if masks else 0,
            size=(first.imagelength, first.imagewidth),
            declared=declared,
        )


_TURN = "Rotate it first, for example with: tiffcrop -R DEGREES IN OUT, and remove the tag."
_REWRITE = "Rewrite it in tiles: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE IN OUT."


def _check_page(page: TiffPage, size: int, where: str) -> None:
    """A kind that is read, whole, and in pieces that can be decoded one by one."""
    if compression_of(page) not in _COMPRESSIONS or str(page.dtype) not in _TYPES or page.imagedepth != 1:
        kind = f"{page.samplesperpixel} x {page.dtype}, {compression_of(page)}"
        raise DataRejected(f"a TIFF of {kind} is not supported", where=where, way_out=_REWRITE)
    if 0 in page.databytecounts:
        raise broken("its end is missing", where)
    check_pieces(page, size, where, _REWRITE, MAX_PIECE_BYTES)


def _checked(pages: _Pages, size: tuple[int, int], where: str) -> Scene:
    """Read everything once, a few rows at a time; what is wrong anywhere is known before the first answer."""
    height, width = size
    low, high, kind, missing = math.inf, -math.inf, np.dtype(np.uint16), 0
    for top in range(0, height, _BLOCK_ROWS):
        values = pages.read(top, 0, min(_BLOCK_ROWS, height - top), width)
        low, high, kind = min(low, float(values.min())), max(high, float(values.max())), values.dtype
        missing += int(without_data(values).sum())
    if missing == height * width:
        raise DataRejected("no pixel has data", where=where, way_out="Give a part of the scene that has data.")
    scale = scale_of(kind, low, high, where)
    rows, columns = (min(side, _STATISTICS_SIDE_PX) for side in size)
    centre = pages.read((height - rows) // 2, (width - columns) // 2, rows, columns)
    return Scene(size, scale, tile_statistics(to_unit(centre, scale), scale), missing / (height * width), where, pages)
