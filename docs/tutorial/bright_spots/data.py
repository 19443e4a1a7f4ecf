"""Data on disk: `images/<id>.png` (8 bits, grey) and `labels.csv` with the columns id, camera, spot.

Pictures of one camera look alike, so the camera is the group: no split separates them.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from sightline.errors import DataMissing, DataRejected
from sightline.files import sha256_file
from sightline.limits import Limits
from sightline.task import Manifest, Progress, Sample

from .params import SampleParams

COLUMNS = ("id", "camera", "spot")
CAMERAS = 9


def write_sample(root: Path, params: SampleParams, seed: int, progress: Progress) -> None:
    """Noise with a vignette; every other picture gets one bright pixel with a halo."""
    random = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    lines = []
    for number in range(params.pictures):
        camera, spot = number % CAMERAS, int(random.integers(2))
        pixels = random.normal(60 + 8 * camera, 10, (params.size_px, params.size_px))
        if spot:
            row, column = random.integers(2, params.size_px - 2, 2)
            pixels[row - 1 : row + 2, column - 1 : column + 2] += random.gamma(4, params.contrast / 4)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        image.save(root / "images" / f"{number:04d}.png")
        lines.append((f"{number:04d}", f"camera-{camera}", spot))
        progress.advance(number + 1, params.pictures, "pictures")
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *lines])


def load(root: Path, limits: Limits) -> Manifest:
    """List a set. A picture that is missing or broken is listed with its problem: the gate will name it.

    Raises:
        DataMissing: there is no labels.csv.
        DataRejected: it is not what it should be.
    """
    table = root / "labels.csv"
    if not table.is_file():
        raise DataMissing("there is no labels.csv", where=root, way_out="Lay the set out as images/ and labels.csv.")
    with table.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    samples = []
    for number, line in enumerate(lines, start=2):
        if tuple(line) != COLUMNS or line["spot"] not in ("0", "1"):
            raise DataRejected(
                f"line {number} is not id,camera,spot with a spot of 0 or 1",
                where=table,
                way_out="Correct this line, or remove it.",
            )
        samples.append(_sample(root, line, limits))
    return Manifest(root.parent, tuple(samples), limits)


def _sample(root: Path, line: dict[str, str], limits: Limits) -> Sample:
    name, label = f"images/{line['id']}.png", ",".join(line.values())
    width, problem = 0, ""
    try:
        with Image.open(root / name) as image:
            width = image.width
            if image.width * image.height > limits.pixels:
                problem = f"has more than {limits.pixels} pixels; raise SIGHTLINE_MAX_PIXELS"
    except OSError as error:
        problem = f"cannot be read ({type(error).__name__})"
    return Sample(
        id=line["id"],
        set=root.name,
        files={"image": name, "labels": "labels.csv"},
        sha256=sha256_file(root / name) if (root / name).is_file() else "",
        labels_sha256=hashlib.sha256(label.encode()).hexdigest(),
        group=line["camera"],
        stratum=line["spot"],
        problem=problem,
        figures={"width": width, "spot": int(line["spot"])},
    )
