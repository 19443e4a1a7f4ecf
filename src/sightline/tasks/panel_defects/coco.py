"""COCO documents as Roboflow exports them: polygons of many photographs in one JSON file. Untrusted.

    {"categories": [{"id": 1, "name": "bird-drop"}, ...],
     "images": [{"id": 0, "file_name": "Snow-33-_JPG.rf.8c4f.jpg", "width": 256, "height": 256}, ...],
     "annotations": [{"id": 0, "image_id": 0, "category_id": 5, "segmentation": [[x0, y0, x1, y1, ...]]}, ...]}

Coordinates are pixels, x to the right, y down; the frame is [0, width] x [0, height].
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.geometry import Polygon, polygon_area, polygon_box
from sightline.listing import check_file, plain_name, read_json
from sightline.stamps import Stamp, stamp_of
from sightline.task import Json
from sightline.tasks.panel_defects.runs import read_runs, runs_mask

MAX_BYTES = 512 * 2**20
"""A larger document is not read: 100,000 photographs with ten polygons each weigh less."""

MAX_SIDE_PX = 2**15

_SEE_LAYOUT = "See the layout in the task's README and correct the file."
_EXPORT_AGAIN = "Export the labels again from the labelling tool."
_CORRECT = "Correct or remove the annotation."
_EXPORT_POLYGONS = "Draw its outline, and export polygons or run-length masks (COCO segmentation)."
_NO_OUTLINE = "the annotation has no outline"


@dataclass(frozen=True)
class Shape:
    """One annotation.

    Attributes:
        kind: index into the classes.
        polygons: (k, 2) corners each; the shape is their union, each filled by the even-odd rule.
        runs: lengths of the runs of pixels outside and inside, in turn, down the columns from the left: COCO's
            run-length encoding. Empty where polygons say it.
    """

    kind: int
    polygons: tuple[Polygon, ...]
    runs: tuple[int, ...] = ()

    @property
    def area(self) -> float:
        """Square pixels: by the shoelace formula, or counted."""
        return sum(polygon_area(polygon) for polygon in self.polygons) + sum(self.runs[1::2])


@dataclass(frozen=True)
class Photograph:
    """What the document says of one photograph.

    Attributes:
        name: file name as stated.
        width, height: in pixels, as stated.
        shapes: its annotations.
        problem: why they cannot be used; empty when they can.
        sha256: of this photograph's share of the document: its size, classes and shapes, not the ids.
        key: its id in the document, as text.
    """

    name: str
    width: int
    height: int
    shapes: tuple[Shape, ...]
    problem: str
    sha256: str
    key: str = ""


@dataclass(frozen=True)
class Document:
    """One file.

    Attributes:
        photographs: in the order of the file.
        strays: what is said of photographs that are not listed, and entries that are none, a line for each.
    """

    photographs: tuple[Photograph, ...]
    strays: tuple[str, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Photograph]:
        """The photographs by their file names, made comparable (`listing.plain_name`)."""
        return {plain_name(photograph.name): photograph for photograph in reversed(self.photographs)}


# ------------------------------------------------------------------------------------------------------ reading


def read_document(path: Path, classes: Sequence[str]) -> Document:
    """Parse a document; the last few are kept, so that asking for one photograph after another costs nothing.

    Args:
        path: the file.
        classes: names of the classes, background first; the document's categories are matched by name.

    Raises:
        DataRejected: the file is not such a document at all. What is wrong with a photograph is its `problem`.
    """
    check_file(path)
    return _read(path, tuple(classes), stamp_of(path))


@lru_cache(maxsize=32)
def _read(path: Path, classes: tuple[str, ...], _: Stamp) -> Document:
    lists = _lists(path)
    kinds = _kinds(lists.categories, classes)
    images, strays = _objects(lists.images, f"{path}: images")
    annotations, more = _objects(lists.annotations, f"{path}: annotations")
    notes: dict[str, list[tuple[int, Mapping[str, Json]]]] = {}
    times = Counter(_key(image.get("id")) for _, image in images)
    unknown: dict[str, str] = {}
    for number, annotation in annotations:
        stated = annotation.get("image_id")
        owner = _key(stated)
        if owner and owner in times:
            notes.setdefault(owner, []).append((number, annotation))
        else:
            field = f"{path}: annotations[{number}].image_id"
            unknown.setdefault(repr(stated), str(DataRejected(f"there is no image {stated!r}", where=field)))
    known = _Known(path, kinds, times)
    photographs = [_photograph(image, number, notes, known) for number, image in images]
    return Document(tuple(photographs), (*strays, *more, *unknown.values()))


class _Lists(NamedTuple):
    """A document and the three lists in it; of their entries nothing is known yet."""

    document: Mapping[str, Json]
    categories: list[Json]
    images: list[Json]
    annotations: list[Json]


def _lists(path: Path) -> _Lists:
    document = _document(path)
    return _Lists(document, *(_list(document, name, path) for name in ("categories", "images", "annotations")))


def _list(document: Mapping[str, Json], name: str, path: Path) -> list[Json]:
    values = document.get(name)
    if not isinstance(values, list):
        raise DataRejected(f"there is no list {name!r}", where=path, way_out=_SEE_LAYOUT)
    return values


def _document(path: Path) -> dict[str, Json]:
    document = read_json(path, MAX_BYTES, _EXPORT_AGAIN)
    return document if isinstance(document, dict) else {}


def _objects(values: Iterable[Json], where: str) -> tuple[list[tuple[int, Mapping[str, Json]]], list[str]]:
    """The objects of a list with their numbers, and a line for each entry that is none."""
    found: list[tuple[int, Mapping[str, Json]]] = []
    odd = []
    for number, value in enumerate(values):
        if isinstance(value, dict):
            found.append((number, value))
        else:
            odd.append(str(DataRejected("this is not a JSON object", where=f"{where}[{number}]", way_out=_SEE_LAYOUT)))
    return found, odd


def _key(stated: Json) -> str:
    """An id as text: some tools write "1" in one place and 1, or 1.0, in another. Empty where it is none."""
    if isinstance(stated, float) and stated.is_integer():
        stated = int(stated)
    return str(stated).strip() if isinstance(stated, int | str) and not isinstance(stated, bool) else ""


def _kinds(categories: Iterable[Json], classes: Sequence[str]) -> dict[str, int | str]:
    """Category id -> index of its class, or its name where it is none (Roboflow's unused heading has id 0).

    An id that is used for two classes stands for neither.
    """
    kinds: dict[str, int | str] = {}
    for category in categories:
        key, name = (category.get("id"), category.get("name")) if isinstance(category, dict) else (None, None)
        if not _key(key) or not isinstance(name, str):
            continue  # an annotation that uses it is told that it is not there
        plain = name.strip().lower().replace("_", "-").replace(" ", "-")
        kind: int | str = classes.index(plain) if plain in classes[1:] else name
        if kinds.setdefault(_key(key), kind) != kind:
            kinds[_key(key)] = f"{kinds[_key(key)]} and {name}"
    return kinds


@dataclass(frozen=True)
class _Known:
    """What the whole document says: categories -> class (or the name of what is none), uses of each image id."""

    path: Path
    kinds: Mapping[str, int | str]
    times: Mapping[str, int]


def _photograph(
    image: Mapping[str, Json], number: int, notes: Mapping[str, list[tuple[int, Mapping[str, Json]]]], known: _Known
) -> Photograph:
    """One photograph with its share of the annotations; the first thing that is wrong is its problem."""
    name, key = image.get("file_name"), _key(image.get("id"))
    where = f"{known.path}: images[{number}]"
    width = height = 0
    shapes: list[Shape] = []
    problem = ""
    try:
        if not isinstance(name, str) or not name:
            raise DataRejected("there is no file name", where=f"{where}.file_name", way_out=_SEE_LAYOUT)
        width, height = (_side(image, side, where) for side in ("width", "height"))
        if not key or known.times[key] != 1:
            raise DataRejected("the id must not be empty or used twice", where=f"{where}.id", way_out=_EXPORT_AGAIN)
        for place, annotation in notes.get(key, ()):
            shapes.append(_shape(annotation, (width, height), f"{known.path}: annotations[{place}]", known))
    except DataRejected as error:
        problem = str(error)
    stated = name if isinstance(name, str) and name else str(number)
    return Photograph(stated, width, height, tuple(shapes), problem, _digest((width, height), shapes), key)


def _side(image: Mapping[str, Json], side: str, where: str) -> int:
    value = image.get(side)
    # Compared before it is turned into another kind: 400 digits are no float, infinity is no integer.
    if isinstance(value, int | float) and value is not True and 0 < value <= MAX_SIDE_PX and value == int(value):
        return int(value)
    raise DataRejected(f"{value!r} is not a length in pixels", where=f"{where}.{side}", way_out=_SEE_LAYOUT)


def _shape(annotation: Mapping[str, Json], size: tuple[int, int], where: str, known: _Known) -> Shape:
    stated = annotation.get("category_id")
    kind = known.kinds.get(_key(stated), "")
    if isinstance(kind, str):
        what = f"the category {stated!r} ({kind}) is not a defect" if kind else f"there is no category {stated!r}"
        raise DataRejected(what, where=f"{where}.category_id", way_out="Give the annotation one of the classes.")
    outline = annotation.get("segmentation")
    if isinstance(outline, dict):
        return Shape(kind, (), read_runs(outline, size, f"{where}.segmentation"))
    if not isinstance(outline, list) or not outline:
        what = "it is only a box, but the outline of the area is needed" if "bbox" in annotation else _NO_OUTLINE
        raise DataRejected(what, where=f"{where}.segmentation", way_out=_EXPORT_POLYGONS)
    polygons = tuple(_polygon(ring, size, f"{where}.segmentation[{number}]") for number, ring in enumerate(outline))
    return Shape(kind, polygons)


def _is_pixels(value: Json) -> bool:
    """Whether a value is a number that can be a place in or near a photograph; a comparison with NaN is false."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


def _lies_outside(polygon: Polygon, size: tuple[int, int]) -> bool:
    x0, y0, x1, y1 = polygon_box(polygon)
    return bool(x0 >= size[0] or y0 >= size[1] or x1 <= 0 or y1 <= 0)


def _polygon(values: Json, size: tuple[int, int], where: str) -> Polygon:
    """(k, 2) corners. It may cross itself (filled by the even-odd rule) and leave the frame, but not lie outside."""
    if not isinstance(values, list) or len(values) % 2 or len(values) < 6:
        raise DataRejected("a polygon is a list x0, y0, x1, y1 ... of three points or more", where=where,
                           way_out=_CORRECT)  # fmt: skip
    for number, value in enumerate(values):
        if not _is_pixels(value):
            raise DataRejected(f"{value!r} is not a finite number of pixels", where=f"{where}[{number}]",
                               way_out=_CORRECT)  # fmt: skip
    polygon = np.array(values, dtype=np.float64).reshape(-1, 2)
    if _lies_outside(polygon, size):
        raise DataRejected(f"the polygon lies outside the frame of {size[0]} x {size[1]} pixels", where=where,
                           way_out=_CORRECT)  # fmt: skip
    return polygon


def _digest(size: tuple[int, int], shapes: Iterable[Shape]) -> str:
    share = sorted(
        [shape.kind, [polygon.tolist() for polygon in shape.polygons], *([list(shape.runs)] if shape.runs else [])]
        for shape in shapes
    )
    return hashlib.sha256(json.dumps([size, share]).encode()).hexdigest()


# ------------------------------------------------------------------------------------------------------- masks


def paint(shapes: Iterable[Shape], width: int, height: int) -> NDArray[np.uint8]:
    """(height, width) class of each pixel: that of the smallest shape that covers its centre, 0 where none does.

    Larger shapes are drawn first, so that a dropping stays visible on a dusty panel.
    """
    mask = np.zeros((height, width), dtype=np.uint8)
    ordered = sorted(shapes, key=lambda shape: -shape.area)
    for outlined, run in groupby(ordered, key=lambda shape: not shape.runs):
        if outlined:
            _fill(mask, run)
        else:
            for shape in run:
                mask[runs_mask(shape.runs, width, height)] = shape.kind
    return mask


def _fill(mask: NDArray[np.uint8], shapes: Iterable[Shape]) -> None:
    """Draw shapes of polygons into a mask, one over the other."""
    from rasterio.features import rasterize

    drawn = [
        ({"type": "Polygon", "coordinates": [np.concatenate([polygon, polygon[:1]]).tolist()]}, shape.kind)
        for shape in shapes
        for polygon in shape.polygons
    ]
    if drawn:
        rasterize(drawn, out=mask)


# ------------------------------------------------------------------------------------------------------ dividing


def excerpt(path: Path, wanted: Callable[[str], bool]) -> bytes:
    """The document with the images for whose stated names `wanted` holds, and with their annotations; else as it is.

    Empty where no image is left. Annotations of images that are not listed go with those that are not wanted.

    Raises:
        DataRejected: the file is not such a document any more.
    """
    lists = _lists(path)
    images = [image for image in lists.images if isinstance(image, dict) and wanted(str(image.get("file_name") or ""))]
    if not images:
        return b""
    keys = {_key(image.get("id")) for image in images}
    notes = [note for note in lists.annotations if isinstance(note, dict) and _key(note.get("image_id")) in keys]
    return json.dumps({**lists.document, "images": images, "annotations": notes}, indent=1).encode()


# ------------------------------------------------------------------------------------------------------ writing


def coco_document(photographs: Iterable[Photograph], classes: Sequence[str]) -> Json:
    """The document that `read_document` reads back; category 0 is the unused heading that Roboflow writes."""
    categories: list[Json] = [{"id": 0, "name": "solar-panel-fault", "supercategory": "none"}]
    categories += [
        {"id": number, "name": name, "supercategory": "solar-panel-fault"}
        for number, name in enumerate(classes[1:], start=1)
    ]
    images: list[Json] = []
    annotations: list[Json] = []
    for photograph in photographs:
        annotations += [
            _annotation(shape, len(images), len(annotations) + n) for n, shape in enumerate(photograph.shapes)
        ]
        size = {"width": photograph.width, "height": photograph.height}
        images.append({"id": len(images), "file_name": photograph.name, **size})
    return {"categories": categories, "images": images, "annotations": annotations}


def _annotation(shape: Shape, image_id: int, number: int) -> Json:
    corners = np.concatenate(shape.polygons)
    x0, y0, x1, y1 = (round(float(value), 3) for value in polygon_box(corners))
    return {
        "id": number,
        "image_id": image_id,
        "category_id": shape.kind,
        "bbox": [x0, y0, round(x1 - x0, 3), round(y1 - y0, 3)],
        "area": round(shape.area, 3),
        "segmentation": [[round(float(value), 3) for value in polygon.ravel()] for polygon in shape.polygons],
        "iscrowd": 0,
    }
