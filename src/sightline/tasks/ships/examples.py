"""Labelled chips and scenes in files: see `vision.examples`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.maps.pictures import read_scene_pixels
from sightline.task import Json, Manifest, Progress, Sample
from sightline.tasks.ships.chips import CHIP_PX, GSD_M
from sightline.tasks.ships.data import gsd_of, read_boxes, read_chip
from sightline.tasks.ships.labels import Box, Kind
from sightline.vision.examples import Index, StoredArrays, store_once, usable_samples

Pixels = NDArray[np.uint8]

_HEAD_M = 6.0
"""Over which what stands out is averaged."""


@dataclass(frozen=True)
class Example:
    """One chip or scene.

    Attributes:
        pixels: (h, w, 3).
        boxes: of a scene; a chip with a ship has one in its middle, one without has none.
        chip: whether only its middle is labelled.
        gsd_m: metres a pixel.
    """

    pixels: Pixels = field(repr=False)
    boxes: tuple[Box, ...]
    chip: bool
    gsd_m: float = GSD_M


def is_chip(sample: Sample) -> bool:
    """Whether a sample is a chip, not a scene."""
    return sample.stratum != "scene"


class _Index(Index):
    """`boxes`: kind, x0, y0, x1, y1, length of each vessel; `chip`: whether only the middle is labelled."""

    boxes: list[list[tuple[Kind, float, float, float, float, float]]]
    chip: list[bool]
    gsd_m: list[float]


class StoredExamples:
    """Examples on disk, in the manifest's order."""

    def __init__(self, folder: Path) -> None:
        index = _Index.read(folder)
        self._sizes = index.sizes
        self.chip = tuple(index.chip)
        self.gsd_m = tuple(index.gsd_m)
        self.boxes = tuple(tuple(Box(*box) for box in boxes) for boxes in index.boxes)
        self._pixels = StoredArrays(folder / "pixels.bin", np.uint8, [(*size, 3) for size in self._sizes])

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: int) -> Example:
        return Example(self._pixels[index], self.boxes[index], self.chip[index], self.gsd_m[index])

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def size(self, index: int) -> tuple[int, int]:
        """(h, w) of an example."""
        return self._sizes[index]

    @property
    def scenes(self) -> list[int]:
        """Which of them are scenes."""
        return [index for index, chip in enumerate(self.chip) if not chip]

    @property
    def chips(self) -> list[int]:
        """Which of them are chips."""
        return [index for index, chip in enumerate(self.chip) if chip]


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
    boxes: list[list[list[Json]]] = []
    with (folder / "pixels.bin").open("wb") as file:
        for number, sample in enumerate(samples, start=1):
            example = read_example(data, sample)
            file.write(example.pixels.tobytes())
            sizes.append(list(example.pixels.shape[:2]))
            boxes.append([[box.kind, box.x0, box.y0, box.x1, box.y1, box.length_m] for box in example.boxes])
            progress.advance(number, len(samples), f"example {number}/{len(samples)}")
    chip, gsd_m = [is_chip(sample) for sample in samples], [gsd_of(sample) for sample in samples]
    return {"sizes": sizes, "boxes": boxes, "chip": chip, "gsd_m": gsd_m}


def read_example(data: Manifest, sample: Sample) -> Example:
    """One chip or scene with its labels."""
    if not is_chip(sample):
        pixels = read_scene_pixels(data.path(sample), data.limits)
        gsd_m = gsd_of(sample)
        return Example(pixels, tuple(at_its_head(pixels, box, gsd_m) for box in read_boxes(data, sample)), False, gsd_m)
    quarter = CHIP_PX / 4
    ship = Box("ship", quarter, quarter, CHIP_PX - quarter, CHIP_PX - quarter)
    return Example(read_chip(data, sample), (ship,) if sample.figures["ship"] else (), chip=True)


def at_its_head(pixels: Pixels, box: Box, gsd_m: float) -> Box:
    """A box that holds a wake becomes the place in it that stands out most: the vessel, at the head of its wake."""
    import cv2

    if not box.holds_wake(gsd_m):
        return box
    left, top = (max(int(value), 0) for value in (box.x0, box.y0))
    part = pixels[top : int(box.y1) + 1, left : int(box.x1) + 1].astype(np.float32)
    if not part.size:
        return box
    away = np.abs(part - np.median(part, axis=(0, 1))).max(axis=2)
    row, column = np.unravel_index(cv2.GaussianBlur(away, (0, 0), max(_HEAD_M / gsd_m, 0.5)).argmax(), away.shape)
    x, y = left + float(column) + 0.5, top + float(row) + 0.5
    return Box("open", x, y, x, y)
