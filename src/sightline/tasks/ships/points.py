"""The vessels of pictures of which only the middles are known, from `labels.json` beside them. Untrusted.

    {"pictures": [{"file": "port.png", "gsd_m": 3.9, "vessels": [{"x": 381.9, "y": 103.4, "kind": "open"} ...]}]}

`gsd_m` is a number, or words that hold one ("about 5.3 m a pixel"); a kind is `open` or `berth`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import DataRejected
from sightline.listing import plain_name
from sightline.task import Json
from sightline.tasks.ships.labels import CORRECT, FARTHEST_PX, LAYOUT, Box, is_numbers, read_object

POINTS = "labels.json"
_STATED_GSD = re.compile(r"(\d+(?:\.\d+)?) m a pixel")


@dataclass(frozen=True)
class Points:
    """The vessels of one picture of `labels.json`, middles alone.

    Attributes:
        file: the picture, beside the document.
        gsd_m: metres a pixel.
        boxes: without an extent.
    """

    file: str
    gsd_m: float
    boxes: tuple[Box, ...]


def read_points(path: Path) -> list[Points]:
    """The pictures of a `labels.json`.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is not such a document; names the field.
    """
    listed = read_object(path).get("pictures")
    if not isinstance(listed, list):
        raise DataRejected("`pictures` is not a list", where=path, way_out=LAYOUT)
    return [_points(one, f"{path}: pictures[{number}]") for number, one in enumerate(listed)]


def points_excerpt(path: Path, wanted: Callable[[str], bool]) -> bytes:
    """The document with the pictures whose name without suffix is wanted, all else as it is; empty without any.

    Raises:
        DataMissing, DataRejected: as `read_points`.
    """
    kept = [number for number, one in enumerate(read_points(path)) if wanted(Path(one.file).stem)]
    document = read_object(path)
    listed = document["pictures"]
    assert isinstance(listed, list)  # as `read_points` saw
    return json.dumps({**document, "pictures": [listed[number] for number in kept]}, indent=1).encode() if kept else b""


def _points(stated: Json, where: str) -> Points:
    if not isinstance(stated, dict):
        raise DataRejected("this is not an object with file, gsd_m and vessels", where=where, way_out=LAYOUT)
    file, vessels = stated.get("file"), stated.get("vessels")
    if not isinstance(file, str) or not plain_name(file):
        raise DataRejected("`file` names no file in this folder", where=where, way_out=LAYOUT)
    if not isinstance(vessels, list):
        raise DataRejected("`vessels` is not a list", where=where, way_out=LAYOUT)
    boxes = tuple(_point(one, f"{where}.vessels[{number}]") for number, one in enumerate(vessels))
    return Points(file, _stated_gsd(stated.get("gsd_m"), where), boxes)


def _stated_gsd(stated: Json, where: str) -> float:
    if isinstance(stated, str) and (found := _STATED_GSD.search(stated)):
        return float(found.group(1))
    if type(stated) not in (int, float) or not 0 < stated < FARTHEST_PX:  # type: ignore[operator]
        raise DataRejected("`gsd_m` tells no metres a pixel", where=where, way_out=LAYOUT)
    return float(stated)  # type: ignore[arg-type]  # a number, as was seen


def _point(stated: Json, where: str) -> Box:
    if not isinstance(stated, dict):
        raise DataRejected("this is not an object with x, y and kind", where=where, way_out=CORRECT)
    x, y, kind = (stated.get(name) for name in ("x", "y", "kind"))
    if kind not in ("open", "berth"):
        raise DataRejected(f"the kind {kind!r} is not one of open, berth", where=where, way_out=CORRECT)
    if not is_numbers([x, y], 2) or not max(abs(x), abs(y)) < FARTHEST_PX:  # type: ignore[arg-type]
        raise DataRejected(f"the middle {x!r}, {y!r} is not two numbers", where=where, way_out=CORRECT)
    return Box(kind, float(x), float(y), float(x), float(y))  # type: ignore[arg-type]
