"""Whole scenes that are too large to be held: answered row by row into a file, then turned into polygons from there.

What is held at any time: a row of windows with its answer, the polygons, and a few rows of the masks. The answer is
that of a tile of the same content; it does not depend on how either file is stored.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BackendError, DataError, DataRejected
from sightline.files import sha256_file
from sightline.limits import Limits
from sightline.stopping import check
from sightline.tasks.land_cover.bands import BANDS, Bands
from sightline.tasks.land_cover.bits import pack
from sightline.tasks.land_cover.raster import open_scene, scene_size
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.thresholds import Cutoffs
from sightline.vision.masks import mask_of, traced
from sightline.vision.tiling import Read

if TYPE_CHECKING:
    from rasterio.io import DatasetReader, DatasetWriter
    from shapely import Polygon

MOST_PIXELS = 20_000 * 20_000
"""The mask that a prediction holds has two bytes a pixel."""

SHOWN_PX = 1024
"""Most pixels of a side in pictures."""

_BLOCK_PX = 256
_CACHE_MB = 64

Strips = Callable[[Read, tuple[int, int]], Iterator[tuple[int, NDArray[np.float32]]]]
"""Answers what `Read` gives, of a size (h, w): the first row's number and (10, rows, w), from the top without gaps."""


@dataclass(frozen=True)
class SceneFile:
    """A raster on disk, checked from end to end but not held.

    Attributes:
        path: where it is.
        size: (h, w) pixels.
        sha256: of the file's bytes.
        statistics: as a tile's, of the central 1024 x 1024 pixels.
        no_data_share: of all pixels.
        gsd_m: metres a pixel, where the user told it.
    """

    path: Path
    size: tuple[int, int]
    sha256: str
    statistics: Mapping[str, float] = field(repr=False)
    no_data_share: float = 0.0
    gsd_m: float | None = None

    def reduced(self) -> tuple[int, Bands]:
        """Every n-th pixel (8, h', w'), so that sides have SHOWN_PX at most; and n."""
        height, width = self.size
        step = -(-max(self.size) // SHOWN_PX)
        with open_scene(self.path) as scene:
            rows = [scene.read(top, 0, 1, width)[:, :, ::step] for top in range(0, height, step)]
        return step, np.concatenate(rows, axis=1)


def is_large(path: Path, limits: Limits) -> bool:
    """Whether a file goes beyond the limits of what is decoded at once. What is no raster at all is not large."""
    try:
        height, width = scene_size(path)
    except DataError:
        return False
    return path.stat().st_size > limits.bytes or height * width * len(BANDS) > limits.pixels


def read_scene(path: Path) -> SceneFile:
    """Check a raster of eight bands.

    Raises:
        DataMissing: the file is not there.
        DataRejected: as `raster.open_scene`, or it has more than MOST_PIXELS.
    """
    height, width = scene_size(path)
    if height * width > MOST_PIXELS:
        raise DataRejected(
            f"{width:,} x {height:,} pixels are more than {MOST_PIXELS:,}",
            where=path,
            way_out="Cut it into parts: gdal_translate -srcwin X Y WIDTH HEIGHT IN OUT.",
        )
    with open_scene(path) as scene:
        return SceneFile(path, scene.size, sha256_file(path), scene.statistics, scene.no_data_share)


# ---------------------------------------------------------------------------------------------------------- scan


def scan(source: SceneFile, strips: Strips, cutoffs: Cutoffs, target: Path) -> list[list[Polygon]]:
    """Answer a scene and write its mask: a GeoTIFF of uint16 in tiles, bit k - 1 of a pixel for class k.

    Args:
        source: of `read_scene`.
        strips: the model's probabilities.
        cutoffs: what makes classes of them.
        target: the file; it is there whole or not at all.

    Returns:
        Each class's polygons in pixels, in the order of the frame from its top.

    Raises:
        DataRejected: the scene is broken, or was changed since it was checked.
        BackendError: the disk is full or the folder cannot be written.
    """
    import rasterio
    from rasterio.errors import RasterioError

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder,
            _plain_pixels(),
            rasterio.Env(GDAL_CACHEMAX=_CACHE_MB),
        ):
            planes, mask = Path(folder) / "planes.tif", Path(folder) / "mask.tif"
            _write_planes(source, strips, cutoffs, planes)
            with rasterio.open(planes) as dataset:
                kept, small = _polygons(dataset, cutoffs)
                _write_mask(dataset, small, mask, _place_of(source.path))
            mask.replace(target)
    except (OSError, RasterioError) as error:
        raise BackendError(
            f"the mask cannot be written ({error})",
            where=target,
            way_out="Check the disk's free space and your write permission.",
        ) from error
    return kept


@contextmanager
def _plain_pixels() -> Iterator[None]:
    """Rasters without a place on Earth are the rule here."""
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _place_of(path: Path) -> dict[str, Any]:
    """Coordinate system and transform of the scene, for its mask."""
    import rasterio

    with rasterio.open(path) as dataset:
        return {"crs": dataset.crs, "transform": dataset.transform}


def _write_planes(source: SceneFile, strips: Strips, cutoffs: Cutoffs, path: Path) -> None:
    """Where the thresholds are reached: a band of 0 and 1 for each class."""
    height, width = source.size
    with (
        open_scene(source.path) as scene,
        _create(path, source.size, len(CLASSES), "uint8", nbits=1, interleave="band", blockysize=64) as dataset,
    ):
        if scene.size != source.size:
            raise DataRejected(
                "the file was changed while it was read",
                where=source.path,
                way_out="Run it again when no program writes to the file.",
            )
        for top, probabilities in strips(scene.read, (height, width)):
            _write(dataset, top, cutoffs.above(probabilities).astype(np.uint8))


def _create(path: Path, size: tuple[int, int], count: int, kind: str, **options: Any) -> DatasetWriter:
    import rasterio

    height, width = size
    return rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=count, dtype=kind, compress="deflate", zlevel=1,
        **options,
    )  # fmt: skip


def _write(dataset: DatasetWriter, top: int, values: NDArray[np.generic]) -> None:
    from rasterio.windows import Window

    dataset.write(values, window=Window(0, top, values.shape[2], values.shape[1]))


def _polygons(dataset: DatasetReader, cutoffs: Cutoffs) -> tuple[list[list[Polygon]], list[list[Polygon]]]:
    """Each class's polygons: those that are large enough, and the others."""
    import rasterio

    kept, small = [], []
    for index, least in enumerate(cutoffs.area_px):
        check()
        band = rasterio.band(dataset, index + 1)
        found = traced(band, band)
        kept.append([polygon for polygon in found if polygon.area >= least])
        small.append([polygon for polygon in found if polygon.area < least])
    return kept, small


def _write_mask(
    dataset: DatasetReader, small: Sequence[Sequence[Polygon]], path: Path, place: Mapping[str, Any]
) -> None:
    """The masks without the small patches, packed."""
    from rasterio.windows import Window
    from shapely.affinity import translate

    height, width = dataset.shape
    starting = [_by_block(polygons) for polygons in small]
    tiles = {"tiled": True, "blockxsize": _BLOCK_PX, "blockysize": _BLOCK_PX}
    with _create(path, (height, width), 1, "uint16", **tiles, **place) as written:
        for number, top in enumerate(range(0, height, _BLOCK_PX)):
            check()
            rows = min(_BLOCK_PX, height - top)
            planes = dataset.read(window=Window(0, top, width, rows)).astype(bool)
            for index, polygons in enumerate(starting):
                if polygons[number]:
                    planes[index] &= ~mask_of([translate(one, yoff=-top) for one in polygons[number]], (rows, width))
            _write(written, top, pack(planes)[None])


def _by_block(polygons: Sequence[Polygon]) -> defaultdict[int, list[Polygon]]:
    """Number of a block of rows -> the polygons that reach into it."""
    blocks: defaultdict[int, list[Polygon]] = defaultdict(list)
    for polygon in polygons:
        _, top, _, bottom = polygon.bounds
        for number in range(int(top) // _BLOCK_PX, (int(bottom) - 1) // _BLOCK_PX + 1):
            blocks[number].append(polygon)
    return blocks
