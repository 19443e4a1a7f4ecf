"""The vessels in whole scenes, from one of three files. Untrusted.

    hand_labels.json       of all scenes: {"boxes": {"lb_1": [{"kind": "ship", "bbox": [x0, y0, x1, y1]} ...]},
                           "scene_file": {"lb_1": "scenes/lb_1.png"}, "same_ground": [["lb_1", "scene_2"] ...]}
    scenes/<id>.geojson    of one: features with the properties `kind`, `bbox` and, where it is known, `length_m`;
                           `raster` tells its pixels by a transform in metres

Of some pictures only the vessels' middles are known: see `points`.
Boxes are pixels, x to the right, y down. A scene's pixels are 3 m where nobody says otherwise.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeGuard, get_args

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.listing import plain_name
from sightline.task import Json
from sightline.vision.images import read_bytes

Kind = Literal["ship", "other", "small", "berth", "open"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""All are vessels, all but those at berth in open water. ship: 160 m long or more; other: a smaller one, a barge or a
tug, in real scenes sometimes with its wake; small: at most 15 px; open: of any length; berth: alongside a quay or
another vessel, of any length."""

LEAST_M = 20.0
"""What is shorter is no vessel that is asked for."""

SizeClass = Literal["20-50", "50-160", "160+"]
SIZE_CLASSES: tuple[SizeClass, ...] = get_args(SizeClass)
BOUNDS_M = (50.0, 160.0)
"""Between the classes."""

Where = Literal["open_water", "alongside"]

WAKE_M = 100.0
"""Who draws boxes by eye draws that of a smaller vessel under way around its wake too: one that is longer than this."""

_LENGTH_TO_BEAM = 5.0
"""Of a usual vessel, by which a box tells a length."""

HAND_LABELS = "hand_labels.json"

FARTHEST_PX = 1e6
"""No vessel of a picture is farther from its corner."""
CORRECT = "Correct or remove the box in this file."
LAYOUT = "See the layout in the task's README and correct the file."


def size_class_of(length_m: float) -> SizeClass:
    """The class of a length; what is shorter than 20 m is put to the lowest."""
    return SIZE_CLASSES[sum(length_m >= bound for bound in BOUNDS_M)]


@dataclass(frozen=True)
class Box:
    """One vessel: its kind, and the smallest upright rectangle around its hull in pixels of the scene.

    Attributes:
        length_m: as stated; 0 where it is not.
    """

    kind: Kind
    x0: float
    y0: float
    x1: float
    y1: float
    length_m: float = 0.0

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y)."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def is_point(self) -> bool:
        """Whether only its middle is known."""
        return self.x0 == self.x1

    @property
    def where(self) -> Where:
        """Where it lies."""
        return "alongside" if self.kind == "berth" else "open_water"

    def holds_wake(self, gsd_m: float) -> bool:
        """Whether its wake is in the box too, so that neither its middle nor its length is known."""
        return self.kind == "other" and not self.length_m and self._boxed_m(gsd_m) > WAKE_M

    def length(self, gsd_m: float) -> float:
        """Metres: as stated, or by its box; 0 where that is not known."""
        return self.length_m or (0.0 if self.holds_wake(gsd_m) else self._boxed_m(gsd_m))

    def is_asked_for(self, gsd_m: float) -> bool:
        """Whether it is 20 m or longer, as far as is known."""
        return not 0 < self.length(gsd_m) < LEAST_M

    def size_class(self, gsd_m: float) -> SizeClass | None:
        """Its class by length; None where that is not known. Who labels ships apart knows which are of 160 m."""
        length_m = self.length(gsd_m)
        if self.kind == "ship":
            return "160+"
        return size_class_of(length_m) if length_m else None

    def _boxed_m(self, gsd_m: float) -> float:
        return hull_length(self.x1 - self.x0, self.y1 - self.y0) * gsd_m


def hull_length(width: float, height: float) -> float:
    """The length of a rectangle five times as long as wide, of any heading, by the upright box around it.

    With a length l, a beam l / r and q = sin x cos of the heading: width^2 + height^2 = l^2 (1 + 1 / r^2 + 4 q / r)
    and width height = l^2 (q (1 + 1 / r^2) + 1 / r); q is eliminated.
    """
    ratio = _LENGTH_TO_BEAM
    both = 1 + 1 / ratio**2
    square = (width**2 + height**2 - 4 * width * height / (ratio * both)) / (both - 4 / (ratio**2 * both))
    return math.sqrt(max(square, 0.0))


@dataclass(frozen=True)
class HandLabels:
    """What `hand_labels.json` says; boxes are not looked at yet.

    Attributes:
        boxes: scene -> its list as it stands.
        files: scene -> its picture, relative to the document's folder.
        same_ground: sets of scenes that show the same place.
    """

    boxes: Mapping[str, Json] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    same_ground: Sequence[Sequence[str]] = ()


def read_hand_labels(path: Path) -> HandLabels:
    """The document of all scenes.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is not such a document; names the field.
    """
    document = read_object(path)
    boxes, files, ground = (document.get(name) for name in ("boxes", "scene_file", "same_ground"))
    if not isinstance(boxes, dict):
        raise DataRejected("`boxes` is not an object of scenes", where=path, way_out=LAYOUT)
    return HandLabels(boxes, _read_files(files, path), _read_ground(ground, path))


def _read_files(files: Json, path: Path) -> dict[str, str]:
    if files is None:
        return {}
    if not isinstance(files, dict) or not all(isinstance(name, str) and plain_name(name) for name in files.values()):
        raise DataRejected("`scene_file` names files outside this folder", where=path, way_out=LAYOUT)
    return {scene: plain_name(name) for scene, name in files.items()}


def _read_ground(ground: Json, path: Path) -> list[list[str]]:
    if ground is None:
        return []
    if not isinstance(ground, list) or not all(
        isinstance(one, list) and all(isinstance(scene, str) for scene in one) for one in ground
    ):
        raise DataRejected("`same_ground` is not a list of lists of scenes", where=path, way_out=LAYOUT)
    return ground


def is_hand_labels(name: str) -> bool:
    """Whether a file of this name holds the boxes of several scenes: `hand_labels.json`, `hand_labels-<more>.json`."""
    return name.lower().startswith("hand_labels") and name.lower().endswith(".json")


def hand_labels_excerpt(path: Path, wanted: Callable[[str], bool]) -> bytes:
    """The document with the boxes of the scenes for which `wanted` holds, and all else as it is; empty without boxes.

    Raises:
        DataMissing, DataRejected: as `read_hand_labels`.
    """
    labels, document = read_hand_labels(path), read_object(path)
    boxes = {scene: listed for scene, listed in labels.boxes.items() if wanted(scene)}
    files = {scene: file for scene, file in labels.files.items() if wanted(scene)}
    return json.dumps({**document, "boxes": boxes, "scene_file": files}, indent=1).encode() if boxes else b""


def read_object(path: Path) -> dict[str, Json]:
    """A JSON object of a file.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is no JSON object.
    """
    try:
        document = json.loads(read_bytes(path, Limits(), str(path)))
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise DataRejected(f"the file is not valid JSON ({reason})", where=path, way_out=LAYOUT) from error
    if not isinstance(document, dict):
        raise DataRejected("this is not a JSON object", where=path, way_out=LAYOUT)
    return document


def hand_boxes(labels: HandLabels, scene: str, where: str) -> tuple[Box, ...]:
    """The boxes of one scene.

    Raises:
        DataRejected: one of them is no box; names it.
    """
    listed = labels.boxes.get(scene)
    if not isinstance(listed, list):
        raise DataRejected("this is not a list of boxes", where=f"{where}: boxes.{scene}", way_out=LAYOUT)
    return tuple(_box(one, f"{where}: boxes.{scene}[{number}]") for number, one in enumerate(listed))


def read_truth(path: Path) -> tuple[Box, ...]:
    """The boxes of a scene's GeoJSON.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is not such a document, or one of its features has no box; names it.
    """
    features = read_object(path).get("features")
    if not isinstance(features, list):
        raise DataRejected("`features` is not a list", where=path, way_out=LAYOUT)
    found = []
    for number, feature in enumerate(features):
        properties = feature.get("properties") if isinstance(feature, dict) else None
        found.append(_box(properties, f"{path}: features[{number}].properties"))
    return tuple(found)


def read_truth_gsd(path: Path) -> float | None:
    """Metres a pixel that a scene's GeoJSON tells by its `raster.transform`; None where it has none.

    Raises:
        DataMissing, DataRejected: as `read_truth`; or the transform is none.
    """
    raster = read_object(path).get("raster")
    if not isinstance(raster, dict) or "transform" not in raster:
        return None
    transform = raster["transform"]
    if not isinstance(transform, list) or not transform or type(transform[0]) not in (int, float):
        raise DataRejected("`raster.transform` is not a list of numbers", where=path, way_out=LAYOUT)
    return abs(float(transform[0]))


def is_numbers(value: Json, count: int) -> TypeGuard[list[float]]:
    """Whether this is a list of so many numbers."""
    return isinstance(value, list) and len(value) == count and all(type(one) in (int, float) for one in value)


def _box(stated: Json, where: str) -> Box:
    if not isinstance(stated, dict):
        raise DataRejected("this is not an object with kind and bbox", where=where, way_out=CORRECT)
    kind, corners = stated.get("kind"), stated.get("bbox")
    if kind not in KINDS:
        raise DataRejected(f"the kind {kind!r} is not one of {', '.join(KINDS)}", where=where, way_out=CORRECT)
    if not is_numbers(corners, 4):
        raise DataRejected(f"the bbox {corners!r} is not four numbers", where=where, way_out=CORRECT)
    x0, y0, x1, y1 = corners
    if not all(abs(value) < FARTHEST_PX for value in corners) or x0 >= x1 or y0 >= y1:  # NaN is not
        raise DataRejected(f"the bbox {corners!r} is not x0 < x1, y0 < y1", where=where, way_out=CORRECT)
    kind = _placed(kind, stated.get("where"))
    length_m = stated.get("length_m", 0.0)
    if type(length_m) not in (int, float) or not 0 <= length_m < FARTHEST_PX:
        raise DataRejected(f"the length_m {length_m!r} is no length", where=where, way_out=CORRECT)
    return Box(kind, float(x0), float(y0), float(x1), float(y1), float(length_m))


def _placed(kind: Kind, where: Json) -> Kind:
    """A kind that says the same of where a vessel lies as is stated besides; what states nothing keeps its own."""
    if where == "alongside":
        return "berth"
    return "open" if where == "open_water" and kind == "berth" else kind


def check_frame(boxes: Sequence[Box], width: int, height: int, where: str) -> None:
    """Raise DataRejected where a box lies outside the picture of `width` x `height` pixels."""
    for number, box in enumerate(boxes):
        if box.x1 <= 0 or box.y1 <= 0 or box.x0 >= width or box.y0 >= height:
            raise DataRejected(
                f"the box lies outside the frame of {width} x {height}",
                where=f"{where}: box {number}",
                way_out=CORRECT,
            )


def boxes_digest(boxes: Sequence[Box]) -> str:
    """SHA-256 of one scene's boxes, whatever their order."""
    # What is not stated is not written, so that labels without lengths keep the digest that they had.
    stated = [(box, f" {box.length_m!r}" if box.length_m else "") for box in boxes]
    lines = sorted(f"{box.kind} {box.x0!r} {box.y0!r} {box.x1!r} {box.y1!r}{length}" for box, length in stated)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
