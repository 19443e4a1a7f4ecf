"""Labelled pictures at the network's scale, in files: see `vision.examples`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sightline.task import Json, Manifest, Progress
from sightline.tasks.panel_defects.domain import Domain
from sightline.vision.examples import Index, StoredArrays, store_once, usable_samples
from sightline.vision.scaling import scaled, scaled_mask

Mask = NDArray[np.uint8]


class _Index(Index):
    dtype: Literal["uint8", "float16"]
    bands: int
    strata: list[str]
    groups: list[str]


class StoredExamples:
    """See `augment.Examples`; pixels are kept as bytes or half-precision floats.

    Attributes:
        strata: the stratum of each.
        groups: the group of each.
        bands: of the pixels.
    """

    def __init__(self, folder: Path) -> None:
        index = _Index.read(folder)
        self.strata = tuple(index.strata)
        self.groups = tuple(index.groups)
        self._sizes = index.sizes
        self.bands = index.bands
        whole = index.dtype == "uint8"
        self._unit = np.float32(1 / 255 if whole else 1)
        shapes = [(*size, self.bands) for size in self._sizes]
        path = folder / "pixels.bin"
        self._pixels: StoredArrays[np.uint8] | StoredArrays[np.float16] = (
            StoredArrays(path, np.uint8, shapes) if whole else StoredArrays(path, np.float16, shapes)
        )
        self._masks = StoredArrays(folder / "masks.bin", np.uint8, self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], Mask]:
        return self._pixels[index] * self._unit, np.asarray(self._masks[index])


def store_examples(domain: Domain, data: Manifest, scale: float, folder: Path, progress: Progress) -> StoredExamples:
    """Decode the usable samples once, into `folder`; what an earlier call finished is taken as it is.

    Raises:
        DataRejected: a sample cannot be read.
    """
    store_once(folder, lambda made: _write(domain, data, scale, made, progress))
    return StoredExamples(folder)


def _write(domain: Domain, data: Manifest, scale: float, folder: Path, progress: Progress) -> dict[str, Json]:
    samples = usable_samples(data, "labels")
    sizes: list[tuple[int, int]] = []
    kind = "uint8"
    with (folder / "pixels.bin").open("wb") as pixels_file, (folder / "masks.bin").open("wb") as masks_file:
        for number, (_, picture, mask) in enumerate(domain.labelled(replace(data, samples=samples)), start=1):
            height, width = (max(round(length * scale), 1) for length in picture.pixels.shape[:2])
            pixels = scaled(picture.pixels, height, width)
            kind = "uint8" if pixels.dtype == np.uint8 else "float16"
            pixels_file.write(np.ascontiguousarray(pixels, dtype=kind).tobytes())
            masks_file.write(scaled_mask(mask, height, width).tobytes())
            sizes.append((height, width))
            progress.advance(number, len(samples), f"picture {number}/{len(samples)}")
    return {
        "dtype": kind,
        "bands": domain.bands,
        "sizes": sizes,
        "strata": [sample.stratum for sample in samples],
        "groups": [sample.group for sample in samples],
    }
