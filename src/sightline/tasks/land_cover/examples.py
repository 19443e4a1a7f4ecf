"""Labelled tiles in files that are mapped into memory: a set may be larger than that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.files import write_json
from sightline.task import Manifest, Report, Sample
from sightline.tasks.land_cover.bands import BANDS, Bands
from sightline.tasks.land_cover.bits import Bits, pack
from sightline.tasks.land_cover.data import read_mask
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.tile import read_tile


def usable(sample: Sample) -> bool:
    """Whether a sample has no problem."""
    return not sample.problem


class StoredExamples:
    """Tiles and their classes.

    Attributes:
        counts: (n, 10) pixels of each class in each tile.
        pixels: (n,) of each tile.
    """

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        self._sizes = [(int(h), int(w)) for h, w in index["sizes"]]
        self.pixels = np.array([h * w for h, w in self._sizes], dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.pixels)]).astype(np.int64)
        self.counts = np.array(index["counts"], dtype=np.int64).reshape(-1, len(CLASSES))
        if self._sizes:  # an empty file cannot be mapped
            self._bands = np.memmap(folder / "bands.bin", dtype=np.float16, mode="r")
            self._masks = np.memmap(folder / "masks.bin", dtype=np.uint16, mode="r")

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float16], Bits]:
        """Bands (8, h, w) in 0 .. 1 of half precision, which holds 11 bits, and the classes (h, w) as bits."""
        (height, width), start, stop = self._sizes[index], int(self._starts[index]), int(self._starts[index + 1])
        bands = self._bands[start * len(BANDS) : stop * len(BANDS)].reshape(len(BANDS), height, width)
        return bands, self._masks[start:stop].reshape(height, width)

    def bands(self, index: int) -> Bands:
        """(8, h, w) float32."""
        return np.asarray(self[index][0], dtype=np.float32)


def store_examples(data: Manifest, folder: Path, report: Report) -> StoredExamples:
    """Decode the usable samples once, into `folder`; what an earlier call finished is taken as it is.

    Raises:
        DataRejected: a sample cannot be read.
    """
    if not (folder / "index.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _write(data, folder, report)
    return StoredExamples(folder)


def _write(data: Manifest, folder: Path, report: Report) -> None:
    samples = [sample for sample in data.samples if usable(sample)]
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
            report.progress(number, len(samples), f"tile {number}/{len(samples)}")
    write_json(folder / "index.json", {"sizes": sizes, "counts": counts})
