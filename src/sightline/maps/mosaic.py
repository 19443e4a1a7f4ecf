"""One georeferenced raster of an area's tiles: a Cloud-Optimised GeoTIFF in EPSG:3857, red, green, blue and alpha.

It has the area's bounds exactly, to the pixel. Alpha is 0 where there is nothing: outside the outline, where a tile
is missing, and where the provider left a tile empty; it is 255 elsewhere. Rows of tiles are stitched one after the
other, so memory does not grow with the area.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mercantile import Tile
from numpy.typing import NDArray

from sightline.errors import BackendError, DataRejected
from sightline.maps.fetch import Fetched, Missing
from sightline.maps.position import Georeference
from sightline.maps.store import TileStore
from sightline.maps.tiles import AreaPlan
from sightline.task import Progress

if TYPE_CHECKING:
    from rasterio import Affine
    from rasterio.io import DatasetWriter

_BLOCK_PX = 512
_CACHE_MB = 128
_COG = {
    "blocksize": _BLOCK_PX,
    "compress": "DEFLATE",
    "level": 6,
    "predictor": "YES",
    "overview_resampling": "AVERAGE",
    "bigtiff": "IF_SAFER",
    "num_threads": "ALL_CPUS",
}
_MADE_AGAIN = "Free some space on the disk and run the command again: the tiles are kept."


@dataclass(frozen=True)
class Mosaic:
    """A raster that was written.

    Attributes:
        path: of the GeoTIFF.
        georeference: where it lies.
        missing: tiles that lack, and why; alpha is 0 there.
        covered: share of the area's pixels that have a picture.
    """

    path: Path
    georeference: Georeference
    missing: tuple[Missing, ...]
    covered: float


def write_mosaic(
    plan: AreaPlan, cache: Path, target: Path, progress: Progress, fetched: Fetched | None = None
) -> Mosaic:
    """Stitch the tiles of a plan into one raster; what lacks is masked and listed.

    Args:
        plan: which tiles.
        cache: where `fetch` put them.
        target: the file; it is there whole or not at all.
        progress: told of each row of tiles.
        fetched: of `fetch`: why tiles lack.

    Raises:
        BackendError: the disk is full or the folder cannot be written.
    """
    import rasterio
    from rasterio._err import CPLE_BaseError  # GDAL's own words, which are no RasterioError
    from rasterio.errors import RasterioError

    reasons = {one.tile: one.why for one in fetched.missing} if fetched else {}
    strips = _Strips(plan, plan.provider.store(cache), reasons, progress)
    # The names are always the same: what a killed run left is written over, not added to.
    plain, finished = (target.with_name(f".{target.name}.{part}.partial") for part in ("plain", "cog"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_room(plan, target)
        with rasterio.Env(GDAL_CACHEMAX=_CACHE_MB):
            _write_plain(strips, plain)
            progress.advance(len(plan.rows), len(plan.rows), "stitching: overviews")
            _write_cog(plain, finished)
        finished.replace(target)
    except (OSError, RasterioError, CPLE_BaseError) as error:
        raise BackendError(f"the raster cannot be written ({error})", where=target, way_out=_MADE_AGAIN) from error
    finally:
        for leftover in (plain, finished):
            with suppress(OSError):  # the folder itself may be the trouble
                leftover.unlink(missing_ok=True)
    return Mosaic(target, plan.georeference, tuple(strips.missing), strips.covered)


def _check_room(plan: AreaPlan, target: Path) -> None:
    """The disk must have room for the plain raster and the finished one; pictures shrink to two thirds or less."""
    import shutil

    needed, free = plan.width_px * plan.height_px * 4, shutil.disk_usage(target.parent).free
    if needed > free:
        raise BackendError(
            f"the disk has too little free space: {needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free",
            where=target.parent,
            way_out=_MADE_AGAIN,
        )


class _Strips:
    """Rows of tiles as pixels of the raster."""

    def __init__(self, plan: AreaPlan, store: TileStore, reasons: dict[Tile, str], progress: Progress) -> None:
        self.plan, self.missing = plan, list[Missing]()
        self._store, self._reasons, self._progress = store, reasons, progress
        self._inside, self._pictured = 0, 0

    @property
    def covered(self) -> float:
        return self._pictured / max(self._inside, 1)

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """(first row, (4, rows, width) RGBA) from the north, together the whole raster."""
        plan, side = self.plan, self.plan.provider.tile_px
        end = plan.top_px + plan.height_px
        for number, row in enumerate(plan.rows):
            self._progress.advance(number, len(plan.rows), "stitching")
            first, last = max(row * side, plan.top_px), min((row + 1) * side, end)
            pixels = self._row(row)[first - row * side : last - row * side]
            self._mask(pixels, first - plan.top_px)
            yield first - plan.top_px, np.moveaxis(pixels, -1, 0)

    def _row(self, row: int) -> NDArray[np.uint8]:
        """(tile_px, width, 4) of a row of tiles, cut to the raster's columns; 0 where there is none."""
        plan, side = self.plan, self.plan.provider.tile_px
        pixels = np.zeros((side, plan.width_px, 4), dtype=np.uint8)
        for column, tile in plan.row_of_tiles(row):
            read = self._read(tile)
            if read is not None:
                left = column * side - plan.left_px  # negative where the raster begins within the tile
                part = read[:, max(-left, 0) : plan.width_px - left]
                pixels[:, max(left, 0) : max(left, 0) + part.shape[1]] = part
        # Half-transparent edges of a tile are pictures too; a detector knows no half.
        pixels[..., 3] = np.where(pixels[..., 3] > 0, 255, 0)
        pixels[pixels[..., 3] == 0] = 0
        return pixels

    def _read(self, tile: Tile) -> NDArray[np.uint8] | None:
        try:
            read = self._store.read(tile, self.plan.provider.tile_px)
            why = self._reasons.get(tile, "it is not there")
        except DataRejected as error:
            read, why = None, error.what
        if read is None and all(one.tile != tile for one in self.missing[-2 * len(self.plan.columns) :]):
            self.missing.append(Missing(tile, why))
        return read

    def _mask(self, pixels: NDArray[np.uint8], top: int) -> None:
        """Empty the pixels that do not touch the outline, and count."""
        if self.plan.is_box:
            self._inside += pixels.shape[0] * pixels.shape[1]
        else:
            outside = _outside(self.plan, top, pixels.shape[0])
            pixels[outside] = 0
            self._inside += int(outside.size - outside.sum())
        self._pictured += int(np.count_nonzero(pixels[..., 3]))


def _outside(plan: AreaPlan, top: int, rows: int) -> NDArray[np.bool_]:
    """(rows, width) of the raster's rows from `top`: where the outline is not even touched."""
    from rasterio.features import geometry_mask

    a, _, west, _, e, north = plan.georeference.transform
    transform = _affine((a, 0.0, west, 0.0, e, north + top * e))
    mask = geometry_mask([plan.area.mercator], (rows, plan.width_px), transform, all_touched=True)
    return np.asarray(mask, dtype=np.bool_)


def _affine(transform: tuple[float, ...]) -> Affine:
    from rasterio import Affine

    return Affine(*transform)


def _write_plain(strips: _Strips, path: Path) -> None:
    """A tiled GeoTIFF without overviews, written from the north."""
    from rasterio.windows import Window

    plan = strips.plan
    with _created(path, plan) as dataset:
        for top, pixels in _by_blocks(strips):
            dataset.write(pixels, window=Window(0, top, plan.width_px, pixels.shape[1]))


def _by_blocks(strips: Iterable[tuple[int, NDArray[np.uint8]]]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The same rows in portions of the file's blocks: a compressed block that is written twice leaves a gap behind."""
    top, held = 0, list[NDArray[np.uint8]]()
    for _, strip in strips:
        rest = strip
        while rest.shape[1]:
            wanted = _BLOCK_PX - sum(part.shape[1] for part in held)
            held.append(rest[:, :wanted])
            rest = rest[:, wanted:]
            if held[-1].shape[1] == wanted:
                yield top, np.concatenate(held, axis=1)
                top, held = top + _BLOCK_PX, []
    if held:
        yield top, np.concatenate(held, axis=1)


@contextmanager
def _created(path: Path, plan: AreaPlan) -> Iterator[DatasetWriter]:
    import rasterio
    from rasterio.enums import ColorInterp

    place, provider = plan.georeference, plan.provider
    options: dict[str, Any] = {"compress": "zstd", "zstd_level": 1, "bigtiff": "IF_SAFER"}
    if min(place.width_px, place.height_px) >= _BLOCK_PX:
        options |= {"tiled": True, "blockxsize": _BLOCK_PX, "blockysize": _BLOCK_PX}
    with rasterio.open(
        path, "w", driver="GTiff", width=place.width_px, height=place.height_px, count=4, dtype="uint8",
        crs=place.crs, transform=_affine(place.transform), interleave="pixel", photometric="RGB", alpha="YES",
        **options,
    ) as dataset:  # fmt: skip
        dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
        dataset.update_tags(TIFFTAG_COPYRIGHT=provider.attribution, PROVIDER=provider.name, ZOOM=str(plan.zoom))
        yield dataset


def _write_cog(plain: Path, target: Path) -> None:
    """The same raster with its overviews, laid out for reading in parts."""
    from rasterio.shutil import copy

    copy(plain, target, driver="COG", **_COG)
