"""The whole scenes of a set, and the labels of their vessels.

    scenes/<id>.png                                  whole scenes, also in scenes/scenes/ or scenes_<of whom>/
    scenes/<id>.geojson  or  hand_labels.json        boxes of the scenes' vessels
    labels.json  or  <folder>/labels.json            pictures beside it, of any pixel, and the vessels' middles

There may be any number of `hand_labels*.json`, one a delivery; a scene that two of them speak of must have the same
boxes in both. A scene without boxes is no sample: nothing can be learnt from it or evaluated by it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import DataError, DataRejected
from sightline.files import sha256_file
from sightline.limits import Limits
from sightline.listing import Names, by_stem, check_file, find_files, is_folder, walk_folders
from sightline.maps.pictures import read_scene_pixels
from sightline.tasks.ships.chips import GSD_M
from sightline.tasks.ships.labels import (
    Box,
    HandLabels,
    boxes_digest,
    check_frame,
    hand_boxes,
    is_hand_labels,
    read_hand_labels,
    read_truth,
    read_truth_gsd,
)
from sightline.tasks.ships.listed import MOST_OFF, SAME_GROUND, SUFFIXES, Grounds, Item
from sightline.tasks.ships.points import POINTS, Points, read_points
from sightline.tasks.ships.raster import read_head

SCENE_PREFIX = "scene-"


@dataclass(frozen=True)
class Stated:
    """What the documents `hand_labels*.json` of a folder say.

    Attributes:
        documents: what can be read.
        problems: document -> why it cannot.
        grounds: which scenes hang together.
    """

    documents: Mapping[Path, HandLabels]
    problems: Mapping[Path, str]
    grounds: Grounds

    def sources(self, scene: str) -> list[Path]:
        """The documents that have boxes of a scene."""
        return [path for path, labels in self.documents.items() if scene in labels.boxes]

    def picture(self, scene: str, names: Names) -> str:
        """The file that is stated for a scene; empty where none is."""
        files = [labels.files[scene] for labels in self.documents.values() if scene in labels.files]
        return (names.find(files[0]) or files[0]) if files else ""


def read_stated(root: Path) -> Stated:
    """Read all of a folder's `hand_labels*.json`."""
    documents: dict[Path, HandLabels] = {}
    problems: dict[Path, str] = {}
    for path in find_files(root, (".json",)):
        if is_hand_labels(path.name):
            try:
                documents[path] = read_hand_labels(path)
            except DataError as error:
                problems[path] = str(error)
    same_ground = [one for labels in documents.values() for one in labels.same_ground]
    return Stated(documents, problems, Grounds((*SAME_GROUND, *same_ground)))


def list_scenes(root: Path, stated: Stated, limits: Limits) -> Iterator[Item]:
    """A sample for each scene that has boxes, whether or not its picture is there."""
    pictures, names = by_stem(scene_folders(root), SUFFIXES), Names(root)
    truths = by_stem(scene_folders(root), (".geojson",))
    for scene in sorted({*truths, *(scene for labels in stated.documents.values() for scene in labels.boxes)}):
        file = stated.picture(scene, names)
        found = [root / file] if file else pictures.get(scene, [])
        yield _scene_item(scene, found, [*stated.sources(scene), *truths.get(scene, [])], root, limits)


def scene_folders(root: Path) -> list[Path]:
    """`scenes`, `scenes_rhammell` ... and `scenes/scenes`, as the archive nests them."""
    return sorted(path for pattern in ("scenes*", "scenes*/scenes") for path in root.glob(pattern) if is_folder(path))


def _scene_item(scene: str, pictures: Sequence[Path], sources: Sequence[Path], root: Path, limits: Limits) -> Item:
    files = {"image": pictures[0].relative_to(root).as_posix()} if pictures else {}
    files["labels"] = sources[0].relative_to(root).as_posix()
    sha256 = labels_sha256 = problem = ""
    figures: dict[str, float] = {}
    try:
        picture = only(pictures, f"pictures of {scene}", sources[0])
        check_file(picture)
        sha256 = sha256_file(picture)
        boxes, source = _agreed(scene, sources), sources[0]
        labels_sha256 = boxes_digest(boxes)
        height, width = read_scene_pixels(picture, limits).shape[:2]
        check_frame(boxes, width, height, f"{source}: {scene}")
        figures = _scene_figures(boxes, width, height, _scene_gsd(picture, source, limits))
    except DataError as error:
        problem = str(error)
    return Item(f"{SCENE_PREFIX}{scene}", files, scene, "scene", sha256, labels_sha256, problem, figures)


def _agreed(scene: str, sources: Sequence[Path]) -> tuple[Box, ...]:
    """The boxes of a scene, where all that speak of it say the same."""
    said = [read_truth(path) if path.suffix.lower() == ".geojson" else boxes_by_hand(path, scene) for path in sources]
    if len({boxes_digest(boxes) for boxes in said}) > 1:
        others = ", ".join(path.name for path in sources[1:])
        raise DataRejected(
            f"{scene} has different boxes in {others}",
            where=sources[0],
            way_out="Keep the correct boxes and remove the others.",
        )
    return said[0]


def boxes_by_hand(path: Path, scene: str) -> tuple[Box, ...]:
    """The boxes that a `hand_labels*.json` has of a scene."""
    return hand_boxes(read_hand_labels(path), scene, str(path))


def only(paths: Sequence[Path], what: str, where: Path) -> Path:
    """The one path that exists. Raises DataRejected where there is none or more than one."""
    existing = [path for path in paths if os.path.lexists(path)]
    if len(existing) != 1:
        way_out = "Keep one of them and remove the others." if existing else "Add the picture, or remove its boxes."
        raise DataRejected(f"there are {len(existing)} {what}", where=where, way_out=way_out)
    return existing[0]


def list_pointed(root: Path, limits: Limits) -> Iterator[Item]:
    """A sample for each picture of a `labels.json`; each is a ground of its own, as their sensors and dates differ."""
    for folder in walk_folders(root, 1):
        path = folder / POINTS
        if not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        try:
            pictures = read_points(path)
        except DataError as error:
            yield Item(name.replace("/", "-"), {"labels": name}, name, "", problem=str(error))
            continue
        yield from (_pointed_item(one, path, root, limits) for one in pictures)


def _pointed_item(one: Points, labels: Path, root: Path, limits: Limits) -> Item:
    picture, scene = labels.parent / one.file, Path(one.file).stem
    files = {role: path.relative_to(root).as_posix() for role, path in (("image", picture), ("labels", labels))}
    sha256 = problem = ""
    figures: dict[str, float] = {}
    try:
        check_file(picture)
        sha256 = sha256_file(picture)
        height, width = read_scene_pixels(picture, limits).shape[:2]
        check_frame(one.boxes, width, height, f"{labels}: {one.file}")
        figures = _scene_figures(one.boxes, width, height, _agreed_gsd(picture, one.gsd_m, limits))
    except DataError as error:
        problem = str(error)
    digest = boxes_digest(one.boxes)
    return Item(f"{SCENE_PREFIX}{scene}", files, scene, "scene", sha256, digest, problem, figures)


def _scene_gsd(picture: Path, labels: Path, limits: Limits) -> float:
    """Metres a pixel of a scene: as its truth or the picture tells, else the published set's.

    Raises:
        DataRejected: they tell different things.
    """
    stated = read_truth_gsd(labels) if labels.suffix.lower() == ".geojson" else None
    return _agreed_gsd(picture, stated, limits)


def _agreed_gsd(picture: Path, stated: float | None, limits: Limits) -> float:
    told = read_head(picture, limits).placement.gsd_m
    if told is None or stated is None:
        return stated or told or GSD_M
    if not told / MOST_OFF <= stated <= told * MOST_OFF:
        raise DataRejected(
            f"its pixels are {told:.3g} m, but its labels say {stated:.3g} m",
            where=picture,
            way_out="Find out which is true, and correct or remove the other.",
        )
    return told


def _scene_figures(boxes: Sequence[Box], width: int, height: int, gsd_m: float) -> dict[str, float]:
    lying = [box.where for box in boxes if box.is_asked_for(gsd_m)]
    return {
        "width": float(width),
        "height": float(height),
        "scene": 1.0,
        "gsd_m": gsd_m,
        "ships": float(lying.count("open_water")),
        "alongside": float(lying.count("alongside")),
    }
