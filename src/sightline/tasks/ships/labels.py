"""Boxes of the ships in whole scenes, from one of two files. Untrusted.

    hand_labels.json       of all scenes: {"boxes": {"lb_1": [{"kind": "ship", "bbox": [x0, y0, x1, y1]} ...]},
                           "scene_file": {"lb_1": "scenes/lb_1.png"}, "same_ground": [["lb_1", "scene_2"] ...]}
    scenes/<id>.geojson    of one: features with the properties `kind` and `bbox`

Boxes are pixels, x to the right, y down. The scenes' pixels are 3 m.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeGuard, get_args

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.listing import plain_name
from sightline.task import Json
from sightline.vision.images import read_bytes

Kind = Literal["ship", "other", "small", "berth"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""ship: 160 m long or more, and in open water; other: a smaller vessel, a barge or a tug; small: at most 15 px;
berth: what lies at a pier. Only ships are counted; what is found on the others is neither right nor wrong."""

HAND_LABELS = "hand_labels.json"

_FARTHEST_PX = 1e6
_CORRECT = "Correct or remove the box in this file."
_LAYOUT = "See the layout in the task's README and correct the file."


@dataclass(frozen=True)
class Box:
    """One vessel: its kind, and the smallest upright rectangle around its hull in pixels of the scene."""

    kind: Kind
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y)."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2


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
    document = _read_json(path)
    boxes, files, ground = (document.get(name) for name in ("boxes", "scene_file", "same_ground"))
    if not isinstance(boxes, dict):
        raise DataRejected("`boxes` is not an object of scenes", where=path, way_out=_LAYOUT)
    return HandLabels(boxes, _read_files(files, path), _read_ground(ground, path))


def _read_files(files: Json, path: Path) -> dict[str, str]:
    if files is None:
        return {}
    if not isinstance(files, dict) or not all(isinstance(name, str) and plain_name(name) for name in files.values()):
        raise DataRejected("`scene_file` names files outside this folder", where=path, way_out=_LAYOUT)
    return {scene: plain_name(name) for scene, name in files.items()}


def _read_ground(ground: Json, path: Path) -> list[list[str]]:
    if ground is None:
        return []
    if not isinstance(ground, list) or not all(
        isinstance(one, list) and all(isinstance(scene, str) for scene in one) for one in ground
    ):
        raise DataRejected("`same_ground` is not a list of lists of scenes", where=path, way_out=_LAYOUT)
    return ground


def is_hand_labels(name: str) -> bool:
    """Whether a file of this name holds the boxes of several scenes: `hand_labels.json`, `hand_labels-<more>.json`."""
    return name.lower().startswith("hand_labels") and name.lower().endswith(".json")


def hand_labels_excerpt(path: Path, wanted: Callable[[str], bool]) -> bytes:
    """The document with the boxes of the scenes for which `wanted` holds, and all else as it is; empty without boxes.

    Raises:
        DataMissing, DataRejected: as `read_hand_labels`.
    """
    labels, document = read_hand_labels(path), _read_json(path)
    boxes = {scene: listed for scene, listed in labels.boxes.items() if wanted(scene)}
    files = {scene: file for scene, file in labels.files.items() if wanted(scene)}
    return json.dumps({**document, "boxes": boxes, "scene_file": files}, indent=1).encode() if boxes else b""


def _read_json(path: Path) -> dict[str, Json]:
    try:
        document = json.loads(read_bytes(path, Limits(), str(path)))
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise DataRejected(f"the file is not valid JSON ({reason})", where=path, way_out=_LAYOUT) from error
    if not isinstance(document, dict):
        raise DataRejected("this is not a JSON object", where=path, way_out=_LAYOUT)
    return document


def hand_boxes(labels: HandLabels, scene: str, where: str) -> tuple[Box, ...]:
    """The boxes of one scene.

    Raises:
        DataRejected: one of them is no box; names it.
    """
    listed = labels.boxes.get(scene)
    if not isinstance(listed, list):
        raise DataRejected("this is not a list of boxes", where=f"{where}: boxes.{scene}", way_out=_LAYOUT)
    return tuple(_box(one, f"{where}: boxes.{scene}[{number}]") for number, one in enumerate(listed))


def read_truth(path: Path) -> tuple[Box, ...]:
    """The boxes of a scene's GeoJSON.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is not such a document, or one of its features has no box; names it.
    """
    features = _read_json(path).get("features")
    if not isinstance(features, list):
        raise DataRejected("`features` is not a list", where=path, way_out=_LAYOUT)
    found = []
    for number, feature in enumerate(features):
        properties = feature.get("properties") if isinstance(feature, dict) else None
        found.append(_box(properties, f"{path}: features[{number}].properties"))
    return tuple(found)


def _is_four_numbers(value: Json) -> TypeGuard[list[float]]:
    return isinstance(value, list) and len(value) == 4 and all(type(one) in (int, float) for one in value)


def _box(stated: Json, where: str) -> Box:
    if not isinstance(stated, dict):
        raise DataRejected("this is not an object with kind and bbox", where=where, way_out=_CORRECT)
    kind, corners = stated.get("kind"), stated.get("bbox")
    if kind not in KINDS:
        raise DataRejected(f"the kind {kind!r} is not one of {', '.join(KINDS)}", where=where, way_out=_CORRECT)
    if not _is_four_numbers(corners):
        raise DataRejected(f"the bbox {corners!r} is not four numbers", where=where, way_out=_CORRECT)
    x0, y0, x1, y1 = corners
    if not all(abs(value) < _FARTHEST_PX for value in corners) or x0 >= x1 or y0 >= y1:  # NaN is not
        raise DataRejected(f"the bbox {corners!r} is not x0 < x1, y0 < y1", where=where, way_out=_CORRECT)
    return Box(kind, float(x0), float(y0), float(x1), float(y1))


def check_frame(boxes: Sequence[Box], width: int, height: int, where: str) -> None:
    """Raise DataRejected where a box lies outside the picture of `width` x `height` pixels."""
    for number, box in enumerate(boxes):
        if box.x1 <= 0 or box.y1 <= 0 or box.x0 >= width or box.y0 >= height:
            raise DataRejected(
                f"the box lies outside the frame of {width} x {height}",
                where=f"{where}: box {number}",
                way_out=_CORRECT,
            )


def boxes_digest(boxes: Sequence[Box]) -> str:
    """SHA-256 of one scene's boxes, whatever their order."""
    lines = sorted(f"{box.kind} {box.x0!r} {box.y0!r} {box.x1!r} {box.y1!r}" for box in boxes)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
