"""Labelled tiles in files: see `vision.examples`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.task import Json, Manifest, Progress
from sightline.tasks.land_cover.bands import BANDS, Bands
from sightline.tasks.land_cover.bits import Bits, pack
from sightline.tasks.land_cover.data import read_mask
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.tile import read_tile
from sightline.vision.examples import Index, StoredArrays, store_once, usable_samples


class _Index(Index):
    counts: list[list[int]]


class StoredExamples:
    """Tiles and their classes.

    Attributes:
        counts: (n, 10) pixels of each class in each tile.
        pixels: (n,) of each tile.
    """

    def __init__(self, folder: Path) -> None:
        index = _Index.read(folder)
        self._sizes = index.sizes
        self.pixels = np.array([h * w for h, w in self._sizes], dtype=np.int64)
        self.counts = np.array(index.counts, dtype=np.int64).reshape(-1, len(CLASSES))
        self._bands = StoredArrays(folder / "bands.bin", np.float16, [(len(BANDS), *size) for size in self._sizes])
        self._masks = StoredArrays(folder / "masks.bin", np.uint16, self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float16], Bits]:
        """Bands (8, h, w) in 0 .. 1 of half precision, which holds 11 bits, and the classes (h, w) as bits."""
        return self._bands[index], self._masks[index]

    def bands(self, index: int) -> Bands:
        """(8, h, w) float32."""
        return np.asarray(self[index][0], dtype=np.float32)


def store_examples(data: Manifest, folder: Path, progress: Progress) -> StoredExamples:
    """Decode the usable samples once, into `folder`; what an earlier call finished is taken as it is.

    Raises:
        DataRejected: a sample cannot be read.
    """
    store_once(folder, lambda made: _write(data, made, progress))
    return StoredExamples(folder)


def _write(data: Manifest, folder: Path, progress: Progress) -> dict[str, Json]:
    samples = usable_samples(data)
    sizes: list[list[int]] = []
    counts: list[list[int]] = []
    with (folder / "bands.bin").open("wb") as bands_file, (folder / "masks.bin").open("wb") as masks_file:
        for number, sample in enumerate(samples, start=1):
            bands = read_tile(data.path(sample), data.limits).bands
            height, width = bands.shape[1:]
            masks = read_mask(data, sample, (height, width))
            bands_file.write(np.ascontiguousarray(bands, dtype=np.float16).tobytes())
            masks_file.write(pack(masks).tobytes())
            sizes.append([height, width])
            counts.append(masks.sum(axis=(1, 2)).tolist())
            progress.advance(number, len(samples), f"tile {number}/{len(samples)}")
    return {"sizes": sizes, "counts": counts}
