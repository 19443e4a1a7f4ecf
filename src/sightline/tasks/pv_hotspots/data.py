"""The upstream layout: thermograms and their JSON annotations, paired by file stem.

    dataset_1/images/NAME.jpg   dataset_1/annotations/NAME.json
    dataset_2/images/NAME.jpg   dataset_2/annotations/NAME.json

Either folder or both, one level deeper too. A label file is `{"instances": [{"corners": [{"x", "y"} x4], "center",
"defected_module": bool}]}` in pixels; some copies write `defected_modules`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, DataMissing, DataRejected
from sightline.files import sha256_file
from sightline.geometry import Polygon, clip_polygon, polygon_area, polygon_box
from sightline.limits import USUAL, Limits
from sightline.listing import by_stem, check_file, closed_folders, is_folder, read_json, walk_folders
from sightline.task import Json, Manifest, Sample
from sightline.tasks.pv_hotspots.thermogram import Thermogram, read_thermogram

CLASSES = ("non_defected", "defected")
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
DEFECT_KEYS = ("defected_module", "defected_modules")

MIN_VISIBLE_SHARE = 0.25
"""Modules with less of their area inside the frame are dropped: nobody could evaluate them."""

BLOCK_GAP_S = 30.0
"""Frames closer than this show the same panels and form one group."""

_TIMESTAMP = re.compile(r"(?<!\d)(\d{8})[_-](\d{6})(?!\d)")


@dataclass(frozen=True)
class Labels:
    """What one label file says, clipped to the frame.

    Attributes:
        polygons: visible part of each module, (k, 2) pixels.
        boxes: (n, 4) x0, y0, x1, y1 of those polygons.
        classes: (n,) index into CLASSES.
        dropped: how many modules lie outside the frame with more than three quarters of their area.
    """

    polygons: tuple[Polygon, ...]
    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]
    dropped: int


# ------------------------------------------------------------------------------------------------------- labels


def read_labels(path: Path, width: int, height: int) -> Labels:
    """Read one label file for a frame of `width` x `height` pixels.

    Raises:
        DataRejected: the file is not what the layout asks for; names the file and the field.
    """
    instances = _read_instances(path)
    polygons: list[Polygon] = []
    classes: list[int] = []
    for number, instance in enumerate(instances):
        where = f"{path}: instances[{number}]"
        quad = _read_corners(instance, where)
        defected = _read_class(instance, where)
        visible = clip_polygon(quad, width, height)
        area = polygon_area(quad)
        if area > 0 and polygon_area(visible) >= MIN_VISIBLE_SHARE * area:
            polygons.append(visible)
            classes.append(int(defected))
    boxes = np.array([polygon_box(polygon) for polygon in polygons], dtype=np.float64).reshape(-1, 4)
    return Labels(tuple(polygons), boxes, np.array(classes, dtype=np.int64), len(instances) - len(polygons))


def _read_instances(path: Path) -> Sequence[Mapping[str, Json]]:
    document = read_json(path, _MOST_BYTES, "Export the labels again from the labelling tool.")
    instances = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(instances, list):
        raise DataRejected("the list `instances` is missing", where=path, way_out=_SEE_LAYOUT)
    for number, instance in enumerate(instances):
        if not isinstance(instance, dict):
            raise DataRejected("this is not a JSON object", where=f"{path}: instances[{number}]", way_out=_SEE_LAYOUT)
    return instances


_SEE_LAYOUT = "See the layout in the task's README and correct the file."
_MOST_BYTES = 32 * 2**20


def _read_corners(instance: Mapping[str, Json], where: str) -> Polygon:
    """(4, 2) corners in the order of a simple polygon."""
    corners = instance.get("corners")
    if not isinstance(corners, list):
        raise DataRejected("the list `corners` is missing", where=where, way_out=_SEE_LAYOUT)
    if len(corners) != 4:
        raise DataRejected(f"a module has {len(corners)} corners, not 4", where=f"{where}.corners", way_out=_SEE_LAYOUT)
    quad = np.empty((4, 2))
    for number, corner in enumerate(corners):
        for axis, name in enumerate("xy"):
            value = corner.get(name) if isinstance(corner, dict) else None
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e6:
                field = f"{where}.corners[{number}].{name}"
                raise DataRejected(
                    "this is not a finite number of pixels",
                    where=field,
                    way_out="Write each corner as finite x and y in pixels.",
                )
            quad[number, axis] = value
    # Around their mean: corners that were clicked crosswise would enclose nothing.
    offset = quad - quad.mean(axis=0)
    return np.asarray(quad[np.argsort(np.arctan2(offset[:, 1], offset[:, 0]), kind="stable")])


def _read_class(instance: Mapping[str, Json], where: str) -> bool:
    for key in DEFECT_KEYS:
        if key in instance:
            value = instance[key]
            if not isinstance(value, bool):
                raise DataRejected(
                    f"the class {value!r} is unknown", where=f"{where}.{key}", way_out="Write true or false."
                )
            return value
    raise DataRejected(f"the key {DEFECT_KEYS[0]!r} is missing", where=where, way_out=_SEE_LAYOUT)


# ----------------------------------------------------------------------------------------------------- manifest


def load_manifest(root: Path, limits: Limits = USUAL) -> Manifest:
    """List the set in `root` (`data/<task>/<set>`).

    Raises:
        DataMissing: no folder below `root` has the layout.
    """
    folders, closed = _find_folders(root), closed_folders(root, 3)
    if not folders and not closed:
        raise DataMissing(
            "there is no dataset_1 or dataset_2 with images/ and annotations/",
            where=root,
            way_out="Give the folder that holds dataset_1 (or dataset_2): images/NAME.jpg, annotations/NAME.json.",
        )
    samples = [(folder, sample) for folder in folders for sample in _load_folder(folder, root, limits)]
    repeated = {name for name, count in Counter(sample.id for _, sample in samples).items() if count > 1}
    named = [_unique(s, f, root) if s.id in repeated else s for f, s in samples]
    return Manifest(root.parent, (*named, *closed), limits)


def _unique(sample: Sample, folder: Path, root: Path) -> Sample:
    return replace(sample, id=f"{folder.relative_to(root).as_posix().replace('/', '-')}-{sample.id}")


def _find_folders(root: Path) -> list[Path]:
    """`dataset_*` folders in `root`, and one level deeper where mirrors nest them."""
    folders = [path for path in walk_folders(root, 2) if path != root and path.name.startswith("dataset_")]
    return [folder for folder in folders if is_folder(folder / "images")]


def _load_folder(folder: Path, root: Path, limits: Limits) -> list[Sample]:
    images, labels = by_stem([folder / "images"], SUFFIXES), by_stem([folder / "annotations"], (".json",))
    stems = sorted(images.keys() | labels.keys())
    groups = time_blocks(stems)
    pairs = {stem: (images.get(stem, []), labels.get(stem, [])) for stem in stems}
    return [_load_sample(stem, pairs[stem], f"{folder.name}/{groups[stem]}", root, limits) for stem in stems]


def _load_sample(
    stem: str, pair: tuple[Sequence[Path], Sequence[Path]], group: str, root: Path, limits: Limits
) -> Sample:
    images, labels = pair
    present = {role: found[0] for role, found in (("image", images), ("labels", labels)) if found}
    digests: dict[str, str] = {}
    figures: dict[str, float] = {}
    problem = ""
    try:
        for role, path in present.items():
            check_file(path)
            digests[role] = sha256_file(path)
        if len(images) != 1 or len(labels) != 1:
            raise _broken_pair(stem, images, labels)
        thermogram = read_thermogram(images[0], limits)
        figures = sample_figures(thermogram, labels[0])
    except DataError as error:
        problem = str(error).replace(f"{root}/", "")
    return Sample(
        id=stem,
        set=root.name,
        files={role: path.relative_to(root).as_posix() for role, path in present.items()},
        sha256=digests.get("image", ""),
        labels_sha256=digests.get("labels", ""),
        group=group,
        stratum="defects" if figures.get("defected") else "none",
        problem=problem,
        figures=figures,
    )


def _broken_pair(stem: str, images: Sequence[Path], labels: Sequence[Path]) -> DataRejected:
    for what, found in (("images", images), ("annotations", labels)):
        if len(found) > 1:
            return DataRejected(
                f"{len(found)} {what} have this name", where=found[0], way_out="Keep one of them and remove the others."
            )
    if not labels:
        return DataRejected(
            f"the image has no annotations/{stem}.json",
            where=images[0],
            way_out="Add the missing file, or remove this one.",
        )
    return DataRejected(
        f"the annotation has no images/{stem}.jpg", where=labels[0], way_out="Add the missing file, or remove this one."
    )


def sample_figures(thermogram: Thermogram, label: Path) -> dict[str, float]:
    """What the gate asks about one sample."""
    height, width = thermogram.level.shape
    labels = read_labels(label, width, height)
    boxes, modules = labels.boxes, len(labels.boxes)
    outside = (boxes[:, :2] < 0).any(axis=1) | (boxes[:, 2:] > (width, height)).any(axis=1)
    sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) if modules else np.zeros(1)
    defected = int(labels.classes.sum())
    return {
        "width": float(width),
        "height": float(height),
        "radiometric": float(thermogram.radiometric),
        "modules": float(modules),
        "defected": float(defected),
        "defected_share": defected / max(modules, 1),
        "boxes_outside": float(outside.sum()),
        "dropped": float(labels.dropped),
        "smallest_side_px": float(sides.min()),
        "level_spread": float(thermogram.statistics["level_spread"]),
    }


# ------------------------------------------------------------------------------------------------------- groups


def time_blocks(stems: Sequence[str], gap_s: float = BLOCK_GAP_S) -> dict[str, str]:
    """File stem -> group: the first stem of a run of frames less than `gap_s` apart.

    The time is read from the name (YYYYMMDD_HHMMSS), with whatever stands before it as the site. Names without a
    time are grouped by what precedes their number, where that tells sites apart, else each stands alone.
    """
    groups: dict[str, str] = {}
    last: dict[str, tuple[float, str]] = {}
    for site, time_s, stem in sorted((*_parse(stem), stem) for stem in stems):
        if math.isnan(time_s):
            continue
        before, first = last.get(site, (-math.inf, stem))
        if time_s - before >= gap_s:
            first = stem
        groups[stem], last[site] = first, (time_s, first)
    untimed = {stem: re.sub(r"[_-]?\d+$", "", stem) for stem in stems if stem not in groups}
    sites_differ = len(set(untimed.values())) > 1
    groups |= {stem: (site or stem) if sites_differ else stem for stem, site in untimed.items()}
    return groups


def _parse(stem: str) -> tuple[str, float]:
    """(what precedes the time, seconds since 1970) of a file stem; NaN where there is no time."""
    found = _TIMESTAMP.search(stem)
    if found:
        try:
            moment = datetime.strptime("".join(found.groups()), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return stem, math.nan
        return stem[: found.start()], moment.timestamp()
    return stem, math.nan


# --------------------------------------------------------------------------------------------------------- COCO


def coco_document(
    name: str, size: tuple[int, int], boxes: NDArray[np.float64], classes: Sequence[int], scores: Sequence[float]
) -> Json:
    """Predictions of one image of `size` (width, height) as a COCO document with scores."""
    width, height = size
    annotations: list[Json] = [
        {
            "id": number,
            "image_id": 1,
            "category_id": int(kind) + 1,
            "bbox": [round(float(v), 2) for v in (x0, y0, x1 - x0, y1 - y0)],
            "area": round(float((x1 - x0) * (y1 - y0)), 2),
            "iscrowd": 0,
            "score": round(float(score), 6),
        }
        for number, ((x0, y0, x1, y1), kind, score) in enumerate(zip(boxes, classes, scores, strict=True), start=1)
    ]
    return {
        "images": [{"id": 1, "file_name": name, "width": width, "height": height}],
        "categories": [{"id": number, "name": label} for number, label in enumerate(CLASSES, start=1)],
        "annotations": annotations,
    }
