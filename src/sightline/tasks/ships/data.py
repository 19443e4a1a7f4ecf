"""The set's layout: chips and whole scenes, both of them samples. Any part may be missing.

    shipsnet/shipsnet/<label>__<scene>__<lon>_<lat>.png    80 x 80 px; or in shipsnet/, chips/ or beside the rest
    shipsnet.json                                          the same chips, where there are no files of them
    scenes/<id>.png                                        whole scenes, also in scenes/scenes/ or scenes_<of whom>/
    scenes/<id>.geojson  or  hand_labels.json              boxes of the scenes' vessels
    labels.json  or  <folder>/labels.json                  pictures beside it, of any pixel, and the vessels' middles

There may be any number of `shipsnet*.json` and `hand_labels*.json`, one a delivery; a scene that two of them speak of
must have the same boxes in both. A scene without boxes is no sample: nothing can be learnt from it or evaluated by it.
Chips are grouped by the ground that their scene shows, with the scene itself: half of the chips overlap another one of
their scene.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, DataMissing, DataRejected
from sightline.files import sha256_file
from sightline.limits import USUAL, Limits
from sightline.listing import Names, by_stem, check_file, closed_folders, digest_of, find_files, is_folder, walk_folders
from sightline.maps.pictures import FORMATS, read_scene_pixels
from sightline.task import Manifest, Sample
from sightline.tasks.ships.chips import (
    CHIP_PX,
    DOCUMENT,
    GSD_M,
    ChipName,
    Document,
    parse_stem,
    read_document,
)
from sightline.tasks.ships.labels import (
    HAND_LABELS,
    KINDS,
    Box,
    HandLabels,
    boxes_digest,
    check_frame,
    hand_boxes,
    hand_labels_excerpt,
    is_hand_labels,
    read_hand_labels,
    read_truth,
    read_truth_gsd,
)
from sightline.tasks.ships.points import POINTS, Points, points_excerpt, read_points
from sightline.tasks.ships.raster import read_head
from sightline.upstream import Upstream
from sightline.vision.images import KEPT, decode, encode_png, read_bytes

__all__ = [
    "CHIP_PX",
    "CLASSES",
    "FORMATS",
    "GSD_M",
    "KINDS",
    "UPSTREAM",
    "Box",
    "load_manifest",
    "read_boxes",
    "read_chip",
    "read_scene_pixels",
    "scene_pictures",
    "source_of",
]

CLASSES = ("no-ship", "ship")
UPSTREAM = Upstream(
    "kaggle", "rhammell/ships-in-satellite-imagery", "CC BY-SA 4.0 as its page says; the pictures are Planet's"
)

SAME_GROUND = (("lb_1", "scene_2"), ("sfbay_1", "scene_1", "scene_4"))
"""Scenes that are known under several names, or on several dates."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_CHIP_FOLDERS = ("shipsnet/shipsnet", "shipsnet", "chips/shipsnet/shipsnet", "chips/shipsnet", "chips", ".")
_DEPTH = 3
_DOCUMENT_FOLDERS = (".", "shipsnet", DOCUMENT, "chips")
_SCENE_PREFIX = "scene-"
_MOST_OFF = 1.05
"""How far a pixel may be from GSD_M: training takes a picture as it is, a model by what it says."""


# ------------------------------------------------------------------------------------------------------ reading


def read_chip(manifest: Manifest, sample: Sample) -> NDArray[np.uint8]:
    """The (80, 80, 3) RGB pixels of a chip.

    Raises:
        DataMissing, DataRejected: it was removed or damaged since the manifest was made.
    """
    path = manifest.path(sample)
    if path.suffix.lower() != ".json":
        return _chip_pixels(read_bytes(path, manifest.limits, str(path)), str(path))
    document, name = read_document(path), _row_id(sample)
    if name not in document.rows:
        raise DataRejected(
            f"{name} no longer exists", where=path, way_out="Run the command again: it lists the set again."
        )
    pixels: NDArray[np.uint8] = document.pixels[document.rows[name]]
    return pixels


def _row_id(sample: Sample) -> str:
    """The id of a chip within its document: two documents may use it for different chips."""
    return sample.id.partition(_OF)[0]


_OF = "@"  # in no name of a chip


def _chip_pixels(data: bytes, where: str) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = decode(data, USUAL, where)
    if values.shape != (CHIP_PX, CHIP_PX, 3):
        size = " x ".join(str(side) for side in values.shape)
        raise DataRejected(
            f"it is {size}, not {CHIP_PX} x {CHIP_PX} of RGB", where=where, way_out="Cut the chip again, or remove it."
        )
    return values


def read_boxes(manifest: Manifest, sample: Sample) -> tuple[Box, ...]:
    """The boxes of a scene.

    Raises:
        DataMissing, DataRejected: its labels were removed or damaged since the manifest was made.
    """
    path = manifest.path(sample, "labels")
    scene = sample.id.removeprefix(_SCENE_PREFIX)
    if path.suffix.lower() == ".geojson":
        return read_truth(path)
    if path.name == POINTS:
        return next(one.boxes for one in read_points(path) if Path(one.file).stem == scene)
    return _by_hand(path, scene)


def gsd_of(sample: Sample) -> float:
    """Metres a pixel of a sample."""
    return sample.figures.get("gsd_m", GSD_M)


def source_of(manifest: Manifest, sample: Sample) -> Path | bytes:
    """What a model reads for a sample: its file, or the PNG bytes of a chip that stands in the JSON document."""
    path = manifest.path(sample)
    return path if path.suffix.lower() != ".json" else encode_png(read_chip(manifest, sample), KEPT)


def excerpt(document: Path, samples: Sequence[Sample], rest: bool = False) -> bytes | None:
    """See `sightline.capabilities.Excerpting`: the boxes of these scenes, the chips of these rows, or all but those."""
    if is_hand_labels(document.name):
        scenes = {sample.id.removeprefix(_SCENE_PREFIX) for sample in samples}
        return hand_labels_excerpt(document, lambda scene: (scene in scenes) != rest)
    if document.name == POINTS:
        pictures = {sample.id.removeprefix(_SCENE_PREFIX) for sample in samples}
        return points_excerpt(document, lambda picture: (picture in pictures) != rest)
    if not _is_chip_document(document):
        return None
    return _chips_excerpt(read_document(document), {_row_id(sample) for sample in samples}, rest)


def _chips_excerpt(content: Document, ids: AbstractSet[str], rest: bool) -> bytes:
    """The rows of these chips, or the others, as a document; what says the same as a row goes with it."""
    mine = {_said_of(content, row) for row, name in enumerate(content.ids) if name in ids}
    kept = [row for row, name in enumerate(content.ids) if (name in ids or _said_of(content, row) in mine) != rest]
    return content.excerpt(kept).encode() if kept else b""


def _said_of(document: Document, row: int) -> tuple[ChipName | None, str]:
    """The name and the pixels of a row; a row that says the same again is no other sample."""
    if row in document.odd:
        return None, str(row)
    return document.names[row], hashlib.sha256(document.pixels[row].tobytes()).hexdigest()


def _is_chip_document(path: Path) -> bool:
    return path.name.lower().startswith("shipsnet") and path.name.lower().endswith(".json")


# ----------------------------------------------------------------------------------------------------- manifest


def load_manifest(root: Path, limits: Limits = USUAL) -> Manifest:
    """List the set in `root` (`data/<task>/<set>`): its chips, and the scenes that have boxes.

    Raises:
        DataMissing: there are neither chips nor labelled scenes below `root`.
    """
    stated = _stated(root)
    chips = [*_chips(root)]
    scenes = [*_scenes(root, stated, limits), *_pointed(root, limits)]
    odd = [_Item(path.name, {"labels": path.name}, path.name, "", problem=why) for path, why in stated.problems.items()]
    closed = closed_folders(root, _DEPTH)
    if not chips and not scenes and not odd and not closed:
        raise DataMissing(
            f"there are no chips, no {DOCUMENT} and no scenes with boxes",
            where=root,
            way_out=f"Give the folder that holds shipsnet/, {DOCUMENT}, or scenes/ with boxes in {HAND_LABELS}.",
        )
    items = [*_without_contradictions(chips), *scenes, *odd]
    samples = [*(_sample(item, root, stated.grounds) for item in items), *closed]
    return Manifest(root.parent, tuple(sorted(samples, key=lambda sample: sample.id)), limits)


def scene_pictures(root: Path) -> list[tuple[str, str, Path]]:
    """(scene, ground, picture) of every whole scene below `root`, also of those without boxes, in the scenes' order.

    Raises:
        DataRejected: two pictures have the same name.
    """
    grounds = _stated(root).grounds
    found = sorted(by_stem(_scene_folders(root), _SUFFIXES).items())
    return [(scene, grounds.of(scene), _only(paths, f"pictures of {scene}", root)) for scene, paths in found]


@dataclass(frozen=True)
class _Stated:
    """What the documents `hand_labels*.json` of a folder say.

    Attributes:
        documents: what can be read.
        problems: document -> why it cannot.
        grounds: which scenes hang together.
    """

    documents: Mapping[Path, HandLabels]
    problems: Mapping[Path, str]
    grounds: _Grounds

    def sources(self, scene: str) -> list[Path]:
        """The documents that have boxes of a scene."""
        return [path for path, labels in self.documents.items() if scene in labels.boxes]

    def picture(self, scene: str, names: Names) -> str:
        """The file that is stated for a scene; empty where none is."""
        files = [labels.files[scene] for labels in self.documents.values() if scene in labels.files]
        return (names.find(files[0]) or files[0]) if files else ""


def _stated(root: Path) -> _Stated:
    documents: dict[Path, HandLabels] = {}
    problems: dict[Path, str] = {}
    for path in find_files(root, (".json",)):
        if is_hand_labels(path.name):
            try:
                documents[path] = read_hand_labels(path)
            except DataError as error:
                problems[path] = str(error)
    same_ground = [one for labels in documents.values() for one in labels.same_ground]
    return _Stated(documents, problems, _Grounds((*SAME_GROUND, *same_ground)))


@dataclass(frozen=True)
class _Item:
    """What is known of a sample once it was looked at; `scene` is what its ground is told by.

    `pixels_sha256` is of a chip's pixels: the same for a file and for a row of a document.
    """

    id: str
    files: Mapping[str, str]
    scene: str
    stratum: str
    sha256: str = ""
    labels_sha256: str = ""
    problem: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    pixels_sha256: str = ""


def _sample(item: _Item, root: Path, grounds: _Grounds) -> Sample:
    return Sample(
        id=item.id,
        set=root.name,
        files=item.files,
        sha256=item.sha256,
        labels_sha256=item.labels_sha256,
        group=grounds.of(item.scene),
        stratum=item.stratum,
        problem=item.problem.replace(f"{root}/", ""),
        figures=item.figures,
    )


class _Grounds:
    """Which scenes hang together: sets that share a scene are one ground, named by its smallest scene."""

    def __init__(self, sets: Iterable[Sequence[str]]) -> None:
        self._members: list[set[str]] = []
        for one in sets:
            joined = set(one).union(*(known for known in self._members if known & set(one)))
            self._members = [known for known in self._members if not known & joined] + [joined]

    def of(self, scene: str) -> str:
        return next((min(members) for members in self._members if scene in members), scene)


# -------------------------------------------------------------------------------------------------------- chips


def _chips(root: Path) -> Iterator[_Item]:
    """Chips from files, then those of the documents that are not there yet: the published archive holds both."""
    taken: dict[str, _Item] = {}
    for item in _chip_files(root):
        first, file = taken.setdefault(item.id, item), item.files["image"]
        if first is item:
            yield item
            continue
        problem = f"{file}: another chip has this name. Keep the correct one and remove the other."
        if _shows_the_same(first, item):
            problem = f"{file}: {first.files['image']} is the same chip. Remove one of them."
        yield replace(item, id=file.replace("/", "-"), problem=problem)
    there = {(_name_or_none(name), item.pixels_sha256) for name, item in taken.items()}
    for item, said in _document_chips(root):
        if item.problem or (said, item.pixels_sha256) not in there:
            name = item.id if item.id not in taken else f"{item.id}{_OF}{Path(item.files['image']).stem}"
            yield replace(item, id=name)
            taken[item.id] = item
            there.add((said, item.pixels_sha256))


def _shows_the_same(first: _Item, other: _Item) -> bool:
    """Whether two chips have the same pixels; of a file that could not be decoded, the same bytes."""
    return bool(other.sha256) and (first.pixels_sha256 or first.sha256) == (other.pixels_sha256 or other.sha256)


def _name_or_none(stem: str) -> ChipName | None:
    try:
        return parse_stem(stem)
    except DataRejected:
        return None


def _chip_files(root: Path) -> Iterator[_Item]:
    """The chips in all folders for them; beside other things only what is named like one counts."""
    for folder in _CHIP_FOLDERS:
        for path in find_files(root / folder, _SUFFIXES):
            if folder != "." or "__" in path.stem:
                yield _chip_file(path, root)


def _chip_file(path: Path, root: Path) -> _Item:
    files = {"image": path.relative_to(root).as_posix()}
    sha256 = problem = ""
    try:
        check_file(path)
        sha256, pixels_sha256, problem = _looked_at_chip(path)
        if not problem:
            _check_scale(path, USUAL)
        item = _chip_item(path.stem, parse_stem(path.stem), files, sha256, problem)
        return replace(item, pixels_sha256=pixels_sha256)
    except DataError as error:
        return _Item(path.stem, files, path.stem, "", sha256, problem=problem or str(error))


def _chip_item(name: str, said: ChipName, files: Mapping[str, str], sha256: str, problem: str = "") -> _Item:
    figures = {"width": float(CHIP_PX), "height": float(CHIP_PX), "ship": float(said.label), "scene": 0.0}
    labels_sha256 = hashlib.sha256(CLASSES[said.label].encode()).hexdigest()
    stratum = f"chip-{CLASSES[said.label]}"
    return _Item(name, files, said.scene, stratum, sha256, labels_sha256, problem, {} if problem else figures)


def _looked_at_chip(path: Path) -> tuple[str, str, str]:
    """SHA-256 of a chip's file and of its pixels, and why it cannot be used."""
    try:
        pixels = _chip_pixels(read_bytes(path, USUAL, str(path)), str(path))
    except DataError as error:
        return digest_of(path), "", str(error)
    return sha256_file(path), hashlib.sha256(pixels.tobytes()).hexdigest(), ""


def _document_chips(root: Path) -> Iterator[tuple[_Item, ChipName | None]]:
    for folder in _DOCUMENT_FOLDERS:
        for path in find_files(root / folder, (".json",)):
            if not _is_chip_document(path):
                continue
            name = path.relative_to(root).as_posix()
            try:
                document = read_document(path)
            except DataError as error:
                yield _Item(name.replace("/", "-"), {"image": name}, name, "", problem=str(error)), None
                continue
            for number, (id_, said) in enumerate(zip(document.ids, document.names, strict=True)):
                if said is None or number in document.odd:
                    scene = said.scene if said else id_
                    yield _Item(id_, {"image": name}, scene, "", problem=document.odd[number].problem), None
                    continue
                # The digest is of the pixels: what a PNG of them weighs depends on the library that packs it.
                sha256 = hashlib.sha256(document.pixels[number].tobytes()).hexdigest()
                yield replace(_chip_item(id_, said, {"image": name}, sha256), pixels_sha256=sha256), said


def _without_contradictions(chips: Sequence[_Item]) -> Iterator[_Item]:
    """The same content cannot be a ship and none."""
    strata: dict[str, set[str]] = {}
    for chip in chips:
        if not chip.problem:
            strata.setdefault(chip.pixels_sha256, set()).add(chip.stratum)
    for chip in chips:
        if len(strata.get(chip.pixels_sha256, ())) < 2 or chip.problem:
            yield chip
        else:
            way_out = "Keep the correct one and remove the other."
            problem = f"{chip.files['image']}: the same chip {chip.id} is there as ship and as no-ship. {way_out}"
            yield replace(chip, problem=problem)


# ------------------------------------------------------------------------------------------------------- scenes


def _scenes(root: Path, stated: _Stated, limits: Limits) -> Iterator[_Item]:
    """A sample for each scene that has boxes, whether or not its picture is there."""
    pictures, names = by_stem(_scene_folders(root), _SUFFIXES), Names(root)
    truths = by_stem(_scene_folders(root), (".geojson",))
    for scene in sorted({*truths, *(scene for labels in stated.documents.values() for scene in labels.boxes)}):
        file = stated.picture(scene, names)
        found = [root / file] if file else pictures.get(scene, [])
        yield _scene_item(scene, found, [*stated.sources(scene), *truths.get(scene, [])], root, limits)


def _scene_folders(root: Path) -> list[Path]:
    """`scenes`, `scenes_rhammell` ... and `scenes/scenes`, as the archive nests them."""
    return sorted(path for pattern in ("scenes*", "scenes*/scenes") for path in root.glob(pattern) if is_folder(path))


def _scene_item(scene: str, pictures: Sequence[Path], sources: Sequence[Path], root: Path, limits: Limits) -> _Item:
    files = {"image": pictures[0].relative_to(root).as_posix()} if pictures else {}
    files["labels"] = sources[0].relative_to(root).as_posix()
    sha256 = labels_sha256 = problem = ""
    figures: dict[str, float] = {}
    try:
        picture = _only(pictures, f"pictures of {scene}", sources[0])
        check_file(picture)
        sha256 = sha256_file(picture)
        boxes, source = _agreed(scene, sources), sources[0]
        labels_sha256 = boxes_digest(boxes)
        height, width = read_scene_pixels(picture, limits).shape[:2]
        check_frame(boxes, width, height, f"{source}: {scene}")
        figures = _scene_figures(boxes, width, height, _scene_gsd(picture, source, limits))
    except DataError as error:
        problem = str(error)
    return _Item(f"{_SCENE_PREFIX}{scene}", files, scene, "scene", sha256, labels_sha256, problem, figures)


def _agreed(scene: str, sources: Sequence[Path]) -> tuple[Box, ...]:
    """The boxes of a scene, where all that speak of it say the same."""
    said = [read_truth(path) if path.suffix.lower() == ".geojson" else _by_hand(path, scene) for path in sources]
    if len({boxes_digest(boxes) for boxes in said}) > 1:
        others = ", ".join(path.name for path in sources[1:])
        raise DataRejected(
            f"{scene} has different boxes in {others}",
            where=sources[0],
            way_out="Keep the correct boxes and remove the others.",
        )
    return said[0]


def _by_hand(path: Path, scene: str) -> tuple[Box, ...]:
    return hand_boxes(read_hand_labels(path), scene, str(path))


def _only(paths: Sequence[Path], what: str, where: Path) -> Path:
    existing = [path for path in paths if os.path.lexists(path)]
    if len(existing) != 1:
        way_out = "Keep one of them and remove the others." if existing else "Add the picture, or remove its boxes."
        raise DataRejected(f"there are {len(existing)} {what}", where=where, way_out=way_out)
    return existing[0]


def _pointed(root: Path, limits: Limits) -> Iterator[_Item]:
    """A sample for each picture of a `labels.json`; each is a ground of its own, as their sensors and dates differ."""
    for folder in walk_folders(root, 1):
        path = folder / POINTS
        if not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        try:
            pictures = read_points(path)
        except DataError as error:
            yield _Item(name.replace("/", "-"), {"labels": name}, name, "", problem=str(error))
            continue
        yield from (_pointed_item(one, path, root, limits) for one in pictures)


def _pointed_item(one: Points, labels: Path, root: Path, limits: Limits) -> _Item:
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
    return _Item(f"{_SCENE_PREFIX}{scene}", files, scene, "scene", sha256, digest, problem, figures)


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
    if not told / _MOST_OFF <= stated <= told * _MOST_OFF:
        raise DataRejected(
            f"its pixels are {told:.3g} m, but its labels say {stated:.3g} m",
            where=picture,
            way_out="Find out which is true, and correct or remove the other.",
        )
    return told


def _check_scale(picture: Path, limits: Limits) -> None:
    """Raise DataRejected where a chip, or what lies beside it, tells of pixels of another size."""
    gsd_m = read_head(picture, limits).placement.gsd_m
    if gsd_m is not None and not GSD_M / _MOST_OFF <= gsd_m <= GSD_M * _MOST_OFF:
        raise DataRejected(
            f"its pixels are {gsd_m:.3g} m, not {GSD_M:g} m",
            where=picture,
            way_out=f"Resample it to {GSD_M:g} m (gdalwarp -tr {GSD_M:g} {GSD_M:g} IN OUT), then cut or label that.",
        )


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
