"""Labelled pictures at the network's scale, in files that are mapped into memory: a set may be larger than that."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.files import write_json
from sightline.task import Manifest, Report, Sample
from sightline.tasks.panel_defects.domain import Domain
from sightline.vision.scaling import scaled, scaled_mask

Mask = NDArray[np.uint8]


def usable(sample: Sample) -> bool:
    """Whether a sample has labels and no problem."""
    return not sample.problem and "labels" in sample.files


class StoredExamples:
    """See `augment.Examples`; pixels are kept as bytes or half-precision floats.

    Attributes:
        strata: the stratum of each.
        groups: the group of each.
        bands: of the pixels.
    """

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        self.strata: tuple[str, ...] = tuple(index["strata"])
        self.groups: tuple[str, ...] = tuple(index["groups"])
        self._sizes = [(int(h), int(w)) for h, w in index["sizes"]]
        self._starts = np.concatenate([[0], np.cumsum([h * w for h, w in self._sizes])]).astype(np.int64)
        self.bands = int(index["bands"])
        self._unit = np.float32(1 / 255 if index["dtype"] == "uint8" else 1)
        self._pixels = _mapped(folder / "pixels.bin", index["dtype"])
        self._masks = _mapped(folder / "masks.bin", "uint8")

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], Mask]:
        (height, width), start = self._sizes[index], int(self._starts[index])
        stop = start + height * width
        pixels = self._pixels[start * self.bands : stop * self.bands].reshape(height, width, self.bands)
        return pixels * self._unit, np.asarray(self._masks[start:stop].reshape(height, width))


def _mapped(path: Path, kind: str) -> NDArray[Any]:
    """The values of a file without reading it; an empty one cannot be mapped."""
    return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.empty(0, dtype=kind)


def store_examples(domain: Domain, data: Manifest, scale: float, folder: Path, report: Report) -> StoredExamples:
    """Decode the usable samples once, into `folder`; what an earlier call finished is taken as it is.

    Raises:
        DataRejected: a sample cannot be read.
    """
    if not (folder / "index.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _write(domain, data, scale, folder, report)
    return StoredExamples(folder)


def _write(domain: Domain, data: Manifest, scale: float, folder: Path, report: Report) -> None:
    samples = [sample for sample in data.samples if usable(sample)]
    sizes: list[tuple[int, int]] = []
    kind = "uint8"
    with (folder / "pixels.bin").open("wb") as pixels_file, (folder / "masks.bin").open("wb") as masks_file:
        for number, (_, picture, mask) in enumerate(domain.labelled(replace(data, samples=tuple(samples))), start=1):
            height, width = (max(round(length * scale), 1) for length in picture.pixels.shape[:2])
            pixels = scaled(picture.pixels, height, width)
            kind = "uint8" if pixels.dtype == np.uint8 else "float16"
            pixels_file.write(np.ascontiguousarray(pixels, dtype=kind).tobytes())
            masks_file.write(scaled_mask(mask, height, width).tobytes())
            sizes.append((height, width))
            report.progress(number, len(samples), f"picture {number}/{len(samples)}")
    index = {
        "dtype": kind,
        "bands": domain.bands,
        "sizes": sizes,
        "strata": [sample.stratum for sample in samples],
        "groups": [sample.group for sample in samples],
    }
    write_json(folder / "index.json", index)
