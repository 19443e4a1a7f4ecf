"""TIFFs that are too large to be held: what their headers must promise, and how they are opened, window by window."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import DataRejected
from sightline.vision.images.refusals import broken

if TYPE_CHECKING:
    from rasterio.io import DatasetReader
    from tifffile import TiffPage

MAX_PIECE_BYTES = 256 * 2**20
"""Largest strip or tile that is decoded: a file in one strip is read whole for any window."""

_CACHE_MB = 64


def check_pieces(page: TiffPage, file_bytes: int, where: str, rewrite: str, most_bytes: int = MAX_PIECE_BYTES) -> None:
    """Whether the strips or tiles of a page lie within the file and can be decoded one by one.

    A piece of no bytes is all without data, and left out of a sparse file.

    Raises:
        DataRejected: they do not, or cannot; `rewrite` says how to divide it otherwise.
    """
    piece = math.prod(page.chunks) * max(page.bitspersample, 8) // 8
    if piece > most_bytes:
        raise DataRejected(
            f"it is stored in pieces of {piece / 2**20:.0f} MB, which each window would decode whole",
            where=where,
            way_out=rewrite,
        )
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True) if count]
    if not page.dataoffsets or max(ends, default=0) > file_bytes:
        raise broken("its end is missing", where)


@contextmanager
def opened_tiff(source: Path | bytes, where: str, page: int = 0, cache_mb: int = _CACHE_MB) -> Iterator[DatasetReader]:
    """A TIFF without what lies beside it.

    Args:
        source: a file, or its bytes.
        where: for messages.
        page: of a file of several, from 1; 0 for the first.
        cache_mb: most that is kept of what was decoded.

    Raises:
        DataRejected: it is broken.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.io import MemoryFile

    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=cache_mb, GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"))
        try:
            if isinstance(source, bytes):
                dataset = stack.enter_context(stack.enter_context(MemoryFile(source)).open(driver="GTiff"))
            else:
                name = f"GTIFF_DIR:{page}:{source.resolve()}" if page else source
                dataset = stack.enter_context(rasterio.open(name, driver="GTiff"))
        except RasterioError as error:
            raise broken(error, where) from error
        yield dataset
