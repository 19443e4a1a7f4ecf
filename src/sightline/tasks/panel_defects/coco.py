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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.geometry import Polygon, polygon_area, polygon_box
from sightline.task import Json

MAX_BYTES = 512 * 2**20
"""A larger document is not read: 100,000 photographs with ten polygons each weigh less."""

MAX_SIDE_PX = 2**15

_SEE_LAYOUT = "See the task's README for the layout."
_EXPORT_AGAIN = "Export the labels again."
_CORRECT = "Correct or remove the annotation."
_EXPORT_POLYGONS = "Export polygons (COCO segmentation)."


@dataclass(frozen=True)
class Shape:
    """One annotation.

    Attributes:
        kind: index into the classes.
        polygons: (k, 2) corners each; the shape is their union, each filled by the even-odd rule.
    """

    kind: int
    polygons: tuple[Polygon, ...]

    @property
    def area(self) -> float:
        """Square pixels, by the shoelace formula."""
        return sum(polygon_area(polygon) for polygon in self.polygons)


@dataclass(frozen=True)
class Photograph:
    """What the document says of one photograph.

    Attributes:
        name: file name as stated.
        width, height: in pixels, as stated.
        shapes: its annotations.
        problem: why they cannot be used; empty when they can.
        sha256: of this photograph's share of the document: its size, classes and polygons, not the ids.
    """

    name: str
    width: int
    height: int
    shapes: tuple[Shape, ...]
    problem: str
    sha256: str


@dataclass(frozen=True)
class Document:
    """One file.

    Attributes:
        photographs: in the order of the file.
        strays: what is said of photographs that are not listed, a line for each.
    """

    photographs: tuple[Photograph, ...]
    strays: tuple[str, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Photograph]:
        """The photographs by their stated file names."""
        return {photograph.name: photograph for photograph in self.photographs}


# ------------------------------------------------------------------------------------------------------ reading


def read_document(path: Path, classes: Sequence[str]) -> Document:
    """Parse a document; the last few are kept, so that asking for one photograph after another costs nothing.

    Args:
        path: the file.
        classes: names of the classes, background first; the document's categories are matched by name.

    Raises:
        DataRejected: the file is not such a document at all. What is wrong with a photograph is its `problem`.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DataRejected(
            f"the file cannot be read: {error.strerror}", where=path, way_out="Check the path."
        ) from error
    return _read(path, tuple(classes), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, classes: tuple[str, ...], _mtime_ns: int, size: int) -> Document:
    """The time and size are there for the cache: a changed file is parsed anew."""
    if size > MAX_BYTES:
        raise DataRejected(f"the file is larger than {MAX_BYTES:,} bytes", where=path, way_out="Split the export.")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataRejected("this is not JSON", where=path, way_out=_EXPORT_AGAIN) from error
    lists = {name: _list(document, name, path) for name in ("categories", "images", "annotations")}
    kinds = _kinds(lists["categories"], classes, path)
    notes: dict[int, list[tuple[int, Mapping[str, Json]]]] = {}
    strays: dict[str, str] = {}
    times = Counter(image["id"] for image in lists["images"] if isinstance(image.get("id"), int))
    for number, annotation in enumerate(lists["annotations"]):
        owner = annotation.get("image_id")
        if isinstance(owner, int) and owner in times:
            notes.setdefault(owner, []).append((number, annotation))
        else:
            field = f"{path}: annotations[{number}].image_id"
            strays.setdefault(repr(owner), str(DataRejected(f"there is no image {owner!r}", where=field)))
    known = _Known(path, kinds, times)
    photographs = [_photograph(image, number, notes, known) for number, image in enumerate(lists["images"])]
    return Document(tuple(photographs), tuple(strays.values()))


def _list(document: Json, name: str, path: Path) -> list[Mapping[str, Json]]:
    values = document.get(name) if isinstance(document, dict) else None
    if not isinstance(values, list):
        raise DataRejected(f"there is no list {name!r}", where=path, way_out=_SEE_LAYOUT)
    for number, value in enumerate(values):
        if not isinstance(value, dict):
            raise DataRejected("this is no object", where=f"{path}: {name}[{number}]", way_out=_SEE_LAYOUT)
    return values


def _kinds(categories: Iterable[Mapping[str, Json]], classes: Sequence[str], path: Path) -> dict[int, int | str]:
    """Category id -> index of its class, or its name where it is none (Roboflow's unused heading has id 0)."""
    kinds: dict[int, int | str] = {}
    for number, category in enumerate(categories):
        key, name = category.get("id"), category.get("name")
        where = f"{path}: categories[{number}]"
        if not isinstance(key, int) or not isinstance(name, str):
            raise DataRejected("a category needs a whole number 'id' and a 'name'", where=where, way_out=_SEE_LAYOUT)
        if key in kinds:
            raise DataRejected(f"the id {key} is used twice", where=where, way_out=_EXPORT_AGAIN)
        plain = name.strip().lower().replace("_", "-").replace(" ", "-")
        kinds[key] = classes.index(plain) if plain in classes[1:] else name
    return kinds


@dataclass(frozen=True)
class _Known:
    """What the whole document says: categories -> class (or the name of what is none), uses of each image id."""

    path: Path
    kinds: Mapping[int, int | str]
    times: Mapping[int, int]


def _photograph(
    image: Mapping[str, Json], number: int, notes: Mapping[int, list[tuple[int, Mapping[str, Json]]]], known: _Known
) -> Photograph:
    """One photograph with its share of the annotations; the first thing that is wrong is its problem."""
    name, key = image.get("file_name"), image.get("id")
    where = f"{known.path}: images[{number}]"
    width = height = 0
    shapes: list[Shape] = []
    problem = ""
    try:
        if not isinstance(name, str) or not name:
            raise DataRejected("there is no file name", where=f"{where}.file_name", way_out=_SEE_LAYOUT)
        width, height = (_side(image, side, where) for side in ("width", "height"))
        if not isinstance(key, int) or known.times[key] != 1:
            raise DataRejected("it must be a number of its own", where=f"{where}.id", way_out=_EXPORT_AGAIN)
        for place, annotation in notes.get(key, ()):
            shapes.append(_shape(annotation, (width, height), f"{known.path}: annotations[{place}]", known))
    except DataRejected as error:
        problem = str(error)
    return Photograph(str(name or number), width, height, tuple(shapes), problem, _digest((width, height), shapes))


def _side(image: Mapping[str, Json], side: str, where: str) -> int:
    value = image.get(side)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MAX_SIDE_PX:
        raise DataRejected(f"{value!r} is no side in pixels", where=f"{where}.{side}", way_out=_SEE_LAYOUT)
    return value


def _shape(annotation: Mapping[str, Json], size: tuple[int, int], where: str, known: _Known) -> Shape:
    category = annotation.get("category_id")
    kind = known.kinds.get(category, "") if isinstance(category, int) else ""
    if isinstance(kind, str):
        what = f"the category {category!r} ({kind}) is no defect" if kind else f"there is no category {category!r}"
        raise DataRejected(what, where=f"{where}.category_id", way_out="Give the annotation one of the classes.")
    rings = annotation.get("segmentation")
    if isinstance(rings, dict):
        raise DataRejected("run-length masks are not read", where=f"{where}.segmentation", way_out=_EXPORT_POLYGONS)
    if not isinstance(rings, list) or not rings:
        raise DataRejected("there is no polygon", where=f"{where}.segmentation", way_out=_EXPORT_POLYGONS)
    polygons = tuple(_polygon(ring, size, f"{where}.segmentation[{number}]") for number, ring in enumerate(rings))
    return Shape(kind, polygons)


def _polygon(values: Json, size: tuple[int, int], where: str) -> Polygon:
    """(k, 2) corners. It may cross itself (filled by the even-odd rule) and leave the frame, but not lie outside."""
    if not isinstance(values, list) or len(values) % 2 or len(values) < 6:
        raise DataRejected("a polygon is a list x0, y0, x1, y1 ... of three points or more", where=where,
                           way_out=_CORRECT)  # fmt: skip
    for number, value in enumerate(values):
        # A comparison with NaN is false.
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e6:
            raise DataRejected(f"{value!r} is not a finite number of pixels", where=f"{where}[{number}]",
                               way_out=_CORRECT)  # fmt: skip
    polygon = np.array(values, dtype=np.float64).reshape(-1, 2)
    x0, y0, x1, y1 = polygon_box(polygon)
    if x0 >= size[0] or y0 >= size[1] or x1 <= 0 or y1 <= 0:
        raise DataRejected(f"the polygon lies outside the frame of {size[0]} x {size[1]} pixels", where=where,
                           way_out=_CORRECT)  # fmt: skip
    return polygon


def _digest(size: tuple[int, int], shapes: Iterable[Shape]) -> str:
    share = sorted([shape.kind, [polygon.tolist() for polygon in shape.polygons]] for shape in shapes)
    return hashlib.sha256(json.dumps([size, share]).encode()).hexdigest()


# ------------------------------------------------------------------------------------------------------- masks


def paint(shapes: Iterable[Shape], width: int, height: int) -> NDArray[np.uint8]:
    """(height, width) class of each pixel: that of the smallest shape that covers its centre, 0 where none does.

    Larger shapes are drawn first, so that a dropping stays visible on a dusty panel.
    """
    from rasterio.features import rasterize

    ordered = sorted(shapes, key=lambda shape: -shape.area)
    drawn = [
        ({"type": "Polygon", "coordinates": [np.concatenate([polygon, polygon[:1]]).tolist()]}, shape.kind)
        for shape in ordered
        for polygon in shape.polygons
    ]
    if not drawn:
        return np.zeros((height, width), dtype=np.uint8)
    return np.asarray(rasterize(drawn, out_shape=(height, width), fill=0, dtype="uint8"))


# ------------------------------------------------------------------------------------------------------ writing


def coco_document(photographs: Iterable[Photograph], classes: Sequence[str]) -> Json:
    """The document that `read_document` reads back; category 0 is the unused heading that Roboflow writes."""
    categories = [{"id": 0, "name": "solar-panel-fault", "supercategory": "none"}]
    categories += [
        {"id": number, "name": name, "supercategory": "solar-panel-fault"}
        for number, name in enumerate(classes[1:], start=1)
    ]
    images: list[Json] = []
    annotations: list[Json] = []
    for photograph in photographs:
        image = {"id": len(images), "file_name": photograph.name}
        images.append({**image, "width": photograph.width, "height": photograph.height})
        annotations += [
            _annotation(shape, image["id"], len(annotations) + n) for n, shape in enumerate(photograph.shapes)
        ]
    return {"categories": categories, "images": images, "annotations": annotations}


def _annotation(shape: Shape, image_id: object, number: int) -> Json:
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
