"""Enlarging a raster on disk into a GeoTIFF, at bounded memory; goes on where it was interrupted."""

from __future__ import annotations

import hashlib
import io
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BackendError, DataMissing, DataRejected, SightlineError
from sightline.files import sha256_file
from sightline.limits import Limits
from sightline.maps.pictures import MOST_PIXELS, check_large, read_scene_pixels
from sightline.maps.placement import placement_of
from sightline.maps.upscaling.seams import Pixels, Position, Read, enlarge_pieces
from sightline.maps.upscaling.upscale import Upscaler
from sightline.task import Progress
from sightline.vision.images import decode

if TYPE_CHECKING:
    from rasterio import Affine
    from rasterio.io import DatasetReader, DatasetWriter

_CACHE_MB = 64
_BLOCK_PX = 256
_AGAIN = "Copy the file again from the original."


def upscale_raster(
    source: Path, target: Path, upscaler: Upscaler, progress: Progress, work: Path | None = None
) -> None:
    """Enlarge a GeoTIFF, PNG or JPEG of 8-bit RGB; the answer is that of the whole picture.

    The transform is scaled with the pixels. What a GeoTIFF masks (by opacity, nodata or a mask) is masked in the
    answer too, which then has a fourth band, the opacity.

    Args:
        source: the raster; untrusted.
        target: the GeoTIFF; it is there whole or not at all.
        upscaler: of `open_upscaler`.
        progress: told how far it is, a step a window.
        work: a folder for finished windows. Killed and called again with the same, the work goes on from there; they
            are removed at the end. None: nothing is kept.

    Raises:
        DataMissing: there is no source.
        DataRejected: it is no such raster, broken or too large.
        BackendError: the disk is full or a folder cannot be written.
    """
    from rasterio import Env
    from rasterio.errors import RasterioError

    kept = None if work is None else _window_folder(work, source, upscaler)
    cache = Env(GDAL_CACHEMAX=_CACHE_MB, GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR")
    with _plain_pixels(), cache, _opened(source, Limits()) as opened:
        _check_enlarged(opened.size, upscaler.factor, source)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
                written = Path(folder) / "enlarged.tif"
                _write(opened, written, upscaler, progress, kept)
                _check_whole(written)
                written.replace(target)
        except (OSError, RasterioError) as error:
            raise BackendError(
                f"the enlarged raster cannot be written ({error})",
                where=target,
                way_out="Check the disk's free space and your write permission.",
            ) from error
    if kept is not None:
        shutil.rmtree(kept, ignore_errors=True)


# ------------------------------------------------------------------------------------------------------- reading


@contextmanager
def _plain_pixels() -> Iterator[None]:
    """Pictures without a place on Earth are enlarged too."""
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@dataclass(frozen=True)
class _Source:
    """An open raster.

    Attributes:
        size: (h, w) pixels.
        read: (top, rows) -> (3, rows, width) RGB; black where it is masked.
        opacity: (top, left, rows, columns) -> (rows, columns) uint8; None where nothing is masked.
        place: coordinate system and transform, as rasterio takes them; empty where the file names none.
    """

    size: tuple[int, int]
    read: Read
    opacity: Callable[[int, int, int, int], NDArray[np.uint8]] | None = None
    place: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def _opened(source: Path, limits: Limits) -> Iterator[_Source]:
    """A TIFF is read window by window; a PNG or JPEG is decoded, as everywhere else in the task."""
    if not _is_tiff(source):
        planes = np.moveaxis(read_scene_pixels(source, limits), 2, 0)
        yield _Source((planes.shape[1], planes.shape[2]), lambda top, rows: planes[:, top : top + rows])
        return
    import rasterio
    from rasterio.errors import RasterioError

    check_large(source)
    try:
        dataset = rasterio.open(source, driver="GTiff")
    except RasterioError as error:
        raise DataRejected(f"the image is broken: {error}", where=source, way_out=_AGAIN) from error
    with dataset:
        yield _source_of(dataset, _place_of(source, dataset))


def _check_enlarged(size: tuple[int, int], factor: int, where: Path) -> None:
    """What could not be read again is not made."""
    height, width = (factor * side for side in size)
    if height * width > MOST_PIXELS:
        raise DataRejected(
            f"enlarged it has {width:,} x {height:,} pixels; at most {MOST_PIXELS:,} are allowed",
            where=where,
            way_out="Cut it into parts: gdal_translate -srcwin X Y WIDTH HEIGHT IN OUT.",
        )


def _is_tiff(source: Path) -> bool:
    try:
        with source.open("rb") as file:
            return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except FileNotFoundError as error:
        raise DataMissing(
            "there is no such file", where=source, way_out="Check the path for a spelling mistake."
        ) from error
    except OSError as error:
        raise DataRejected(
            f"it cannot be read: {error.strerror}",
            where=source,
            way_out=("Give the path of a regular file that you may read."),
        ) from error


def _place_of(source: Path, dataset: DatasetReader) -> dict[str, Any]:
    """Coordinate system and transform, by the file or by what lies beside it; empty where neither says."""
    if dataset.crs is not None and not dataset.transform.is_identity:
        return {"crs": dataset.crs, "transform": dataset.transform}
    placement = placement_of(dataset.shape, str(source), source, dataset)
    return {} if placement.place is None else {"crs": placement.crs, "transform": placement.transform}


def _source_of(dataset: DatasetReader, place: Mapping[str, Any]) -> _Source:
    from rasterio.enums import MaskFlags
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    masked = any(MaskFlags.all_valid not in flags for flags in dataset.mask_flag_enums[:3])

    def opacity(top: int, left: int, rows: int, columns: int) -> NDArray[np.uint8]:
        return np.asarray(dataset.dataset_mask(window=Window(left, top, columns, rows)))

    def read(top: int, rows: int) -> Pixels:
        try:
            values = dataset.read((1, 2, 3), window=Window(0, top, dataset.width, rows))
            return np.asarray(values * (opacity(top, 0, rows, dataset.width) != 0)) if masked else values
        except RasterioError as error:
            raise DataRejected(
                f"the image is broken in the rows from {top}: {error}", where=dataset.name, way_out=_AGAIN
            ) from error

    return _Source(dataset.shape, read, opacity if masked else None, place)


# ------------------------------------------------------------------------------------------------------- writing


def _write(source: _Source, path: Path, upscaler: Upscaler, progress: Progress, kept: Path | None) -> None:
    from rasterio.windows import Window

    factor, total = upscaler.factor, upscaler.plan.count(*source.size)
    pieces = enlarge_pieces(source.read, _remembering(upscaler, kept), source.size, factor, upscaler.plan)
    with _created(source, path, factor) as answer:
        for done, piece in enumerate(pieces, start=1):
            _, rows, columns = piece.pixels.shape
            place = Window(piece.left, piece.top, columns, rows)
            answer.write(piece.pixels, (1, 2, 3), window=place)
            if source.opacity is not None:
                coarse = source.opacity(piece.top // factor, piece.left // factor, rows // factor, columns // factor)
                answer.write(coarse.repeat(factor, axis=0).repeat(factor, axis=1), 4, window=place)
            progress.advance(done, total, f"upscale {upscaler.choice}")


def _created(source: _Source, path: Path, factor: int) -> DatasetWriter:
    import rasterio
    from rasterio.enums import ColorInterp

    place = dict(source.place)
    if place:
        place["transform"] = _finer(place["transform"], factor)
    height, width = (factor * side for side in source.size)
    bands = 3 if source.opacity is None else 4
    answer = rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=bands, dtype="uint8", tiled=True,
        blockxsize=_BLOCK_PX, blockysize=_BLOCK_PX, compress="deflate", predictor=2, zlevel=6, bigtiff="if_safer",
        photometric="rgb", **place,
    )  # fmt: skip
    answer.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)[:bands]
    return answer


def _finer(transform: Affine, factor: int) -> Affine:
    """The same place, of pixels that many times smaller."""
    from rasterio import Affine

    a, b, c, d, e, f = tuple(transform)[:6]
    return Affine(a / factor, b / factor, c, d / factor, e / factor, f)


def _check_whole(path: Path) -> None:
    """A full disk may show only in what was not written: each tile is there and lies within the file."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if 0 in page.databytecounts or max(ends) > path.stat().st_size:
            raise OSError("parts of the file were not written")


# ------------------------------------------------------------------------------------------------------- resuming


def _window_folder(work: Path, source: Path, upscaler: Upscaler) -> Path:
    """Of windows of this source by this upscaler alone."""
    if not source.is_file():
        raise DataMissing("there is no such file", where=source, way_out="Check the path for a spelling mistake.")
    key = f"{sha256_file(source)} {upscaler.choice} {upscaler.digest} {upscaler.plan}"
    return work / f"windows-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _remembering(upscaler: Upscaler, kept: Path | None) -> Callable[[Position, Pixels], Pixels]:
    """The enlargement of a window, taken from disk where an earlier run has left it."""

    def enlarge(place: Position, window: Pixels) -> Pixels:
        if kept is None:
            return upscaler.enlarge(window)
        path = kept / f"{place[0]:05d}_{place[1]:05d}.png"
        shape = (3, *(upscaler.factor * side for side in window.shape[1:]))
        found = _load(path)
        if found is not None and found.shape == shape:
            return found
        answer = upscaler.enlarge(window)
        _store(path, answer)
        return answer

    return enlarge


def _load(path: Path) -> Pixels | None:
    try:
        return np.moveaxis(decode(path.read_bytes(), Limits(), str(path)), 2, 0)
    except (OSError, SightlineError):
        return None


def _store(path: Path, answer: Pixels) -> None:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.moveaxis(answer, 0, 2))).save(content, "png", compress_level=1)
    temporary = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_bytes(content.getvalue())
    temporary.replace(path)
