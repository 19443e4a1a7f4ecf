"""The two tasks of one class: what differs between photographs of panels and farms seen from orbit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ModelRejected
from sightline.limits import Limits
from sightline.task import Manifest, Progress, Sample
from sightline.tasks.panel_defects import data, farms
from sightline.tasks.panel_defects.chip import read_chip
from sightline.tasks.panel_defects.picture import Picture, input_statistics, picture_of_chip
from sightline.tasks.panel_defects.synthetic.farm_sample import write_farm_sample
from sightline.tasks.panel_defects.synthetic.sample import write_sample
from sightline.upstream import Upstream
from sightline.vision.images import probe_within, read_bytes


@dataclass(frozen=True)
class Domain:
    """Classes, formats and readers of one task.

    Attributes:
        name: of the task.
        classes: what a mask's indices mean; 0 is background.
        colours: (r, g, b) of each class in pictures.
        bands: of a picture's pixels.
        example_high: the highest value of an example, as files hold them.
        foreground: the samples' figure that says what share of the pixels is not background.
        formats: media types that are read.
        upstream: where the published data are.
        load: lists a set.
        labels: the (h, w) uint8 mask of a sample.
        source: what `picture` takes for a sample.
        labelled: each sample of a manifest with its picture and mask; faster than one by one.
        write_sample: writes the synthetic set.
        pixel_bytes: what reading, deciding and drawing hold for each pixel of a picture.
        size: (h, w) that the head of such a file says, and how many values are decoded.
        read: decodes bytes.
        excerpt: see `sightline.capabilities.Excerpting`.
        conditions: what a user may tell of a picture: name -> what it means.
    """

    name: str
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    bands: int
    example_high: int
    foreground: str
    formats: tuple[str, ...]
    upstream: Upstream | None
    load: Callable[[Path, Limits], Manifest]
    labels: Callable[[Manifest, Sample], NDArray[np.uint8]]
    source: Callable[[Manifest, Sample], Path | bytes]
    labelled: Callable[[Manifest], Iterator[tuple[Sample, Picture, NDArray[np.uint8]]]]
    write_sample: Callable[[Path, Any, Progress], None]
    pixel_bytes: int
    size: Callable[[bytes, Limits, str], tuple[tuple[int, int], int]]
    read: Callable[[bytes, Limits, str], Picture]
    excerpt: Callable[[Path, Sequence[Sample], bool], bytes | None]
    conditions: Mapping[str, str] = field(default_factory=dict)

    def head(self, source: Path | bytes, limits: Limits) -> tuple[tuple[int, int], int]:
        """(h, w) of a picture and how many values are decoded for it; nothing is.

        Raises:
            DataMissing: the file is not there.
            DataRejected: it is not what this task reads, broken, or too large.
        """
        where = str(source) if isinstance(source, Path) else "image"
        return self.size(read_bytes(source, limits, where), limits, where)

    def picture(self, source: Path | bytes, limits: Limits) -> Picture:
        """Decode one picture.

        Raises:
            DataMissing: the file is not there.
            DataRejected: it is not what this task reads, broken or too large.
        """
        where = str(source) if isinstance(source, Path) else "image"
        return self.read(read_bytes(source, limits, where), limits, where)


def _photographs(manifest: Manifest) -> Iterator[tuple[Sample, Picture, NDArray[np.uint8]]]:
    for sample in manifest.samples:
        yield sample, PHOTOGRAPHS.picture(manifest.path(sample), manifest.limits), data.read_labels(manifest, sample)


def _farms(manifest: Manifest) -> Iterator[tuple[Sample, Picture, NDArray[np.uint8]]]:
    for sample, chip, mask in farms.read_farms(manifest):
        yield sample, picture_of_chip(chip), mask


def _photograph_size(content: bytes, limits: Limits, where: str) -> tuple[tuple[int, int], int]:
    head = probe_within(content, limits, where)
    return (head.height, head.width), head.decoding_values


def _photograph(content: bytes, limits: Limits, where: str) -> Picture:
    decoded = data.decode_photograph(content, limits, where)
    pixels, sha256 = decoded.values, hashlib.sha256(content).hexdigest()
    return Picture(pixels, pixels, sha256, input_statistics(pixels), where, decoded.valid)


def _chip(content: bytes, limits: Limits, where: str) -> Picture:
    return picture_of_chip(read_chip(content, limits, where))


PHOTOGRAPHS = Domain(
    name="panel_defects",
    classes=data.CLASSES,
    colours=((0, 0, 0), (230, 159, 0), (240, 228, 66), (213, 94, 0), (204, 121, 167), (86, 180, 233)),
    bands=3,
    example_high=255,
    foreground="share_defects",
    formats=data.FORMATS,
    upstream=data.UPSTREAM,
    load=data.load_manifest,
    labels=data.read_labels,
    source=Manifest.path,
    labelled=_photographs,
    write_sample=write_sample,
    pixel_bytes=8,
    size=_photograph_size,
    read=_photograph,
    excerpt=data.excerpt,
)
FARMS = Domain(
    name="solar_farms",
    classes=farms.CLASSES,
    colours=((0, 0, 0), (255, 64, 64)),
    bands=len(farms.BANDS),
    example_high=5_000,
    foreground="share_solar_panel",
    formats=farms.FORMATS,
    upstream=farms.UPSTREAM,
    load=farms.load_manifest,
    labels=farms.read_labels,
    source=farms.source_of,
    labelled=_farms,
    write_sample=write_farm_sample,
    pixel_bytes=400,
    size=farms.chip_size,
    read=_chip,
    excerpt=farms.excerpt,
    conditions={
        "offset": "counts to add to each value, where the file does not say it itself: -1000 for Sentinel-2 since "
        "processing baseline 04.00 (January 2022)"
    },
)
DOMAINS = {domain.name: domain for domain in (PHOTOGRAPHS, FARMS)}


def domain_of(name: str) -> Domain:
    """The domain of a saved model's task.

    Raises:
        ModelRejected: there is none of that name.
    """
    if name not in DOMAINS:
        raise ModelRejected(
            (f"this is not a model of {' or '.join(DOMAINS)}"),
            where=name,
            way_out="Give the folder of a model of this task.",
        )
    return DOMAINS[name]
