"""The set's layout: chips (`chip_files`) and whole scenes (`scenes`), both of them samples. Any part may be missing.

    shipsnet/shipsnet/<label>__<scene>__<lon>_<lat>.png    80 x 80 px; or in shipsnet/, chips/ or beside the rest
    shipsnet.json                                          the same chips, where there are no files of them
    scenes/<id>.png                                        whole scenes, also in scenes/scenes/ or scenes_<of whom>/
    scenes/<id>.geojson  or  hand_labels.json              boxes of the scenes' vessels
    labels.json  or  <folder>/labels.json                  pictures beside it, of any pixel, and the vessels' middles

Chips are grouped by the ground that their scene shows, with the scene itself: half of the chips overlap another one of
their scene.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataMissing, DataRejected
from sightline.limits import USUAL, Limits
from sightline.listing import by_stem, closed_folders
from sightline.task import Manifest, Sample
from sightline.tasks.ships.chip_files import chip_pixels, is_chip_document, list_chips, row_id, without_contradictions
from sightline.tasks.ships.chips import DOCUMENT, GSD_M, ChipName, Document, read_document
from sightline.tasks.ships.labels import HAND_LABELS, Box, hand_labels_excerpt, is_hand_labels, read_truth
from sightline.tasks.ships.listed import SUFFIXES, Grounds, Item
from sightline.tasks.ships.points import POINTS, points_excerpt, read_points
from sightline.tasks.ships.scenes import (
    SCENE_PREFIX,
    boxes_by_hand,
    list_pointed,
    list_scenes,
    only,
    read_stated,
    scene_folders,
)
from sightline.upstream import Upstream
from sightline.vision.images import KEPT, encode_png, read_bytes

UPSTREAM = Upstream(
    "kaggle", "rhammell/ships-in-satellite-imagery", "CC BY-SA 4.0 as its page says; the pictures are Planet's"
)

_DEPTH = 3


# ------------------------------------------------------------------------------------------------------ reading


def read_chip(manifest: Manifest, sample: Sample) -> NDArray[np.uint8]:
    """The (80, 80, 3) RGB pixels of a chip.

    Raises:
        DataMissing, DataRejected: it was removed or damaged since the manifest was made.
    """
    path = manifest.path(sample)
    if path.suffix.lower() != ".json":
        return chip_pixels(read_bytes(path, manifest.limits, str(path)), str(path))
    document, name = read_document(path), row_id(sample)
    if name not in document.rows:
        raise DataRejected(
            f"{name} no longer exists", where=path, way_out="Run the command again: it lists the set again."
        )
    pixels: NDArray[np.uint8] = document.pixels[document.rows[name]]
    return pixels


def read_boxes(manifest: Manifest, sample: Sample) -> tuple[Box, ...]:
    """The boxes of a scene.

    Raises:
        DataMissing, DataRejected: its labels were removed or damaged since the manifest was made.
    """
    path = manifest.path(sample, "labels")
    scene = sample.id.removeprefix(SCENE_PREFIX)
    if path.suffix.lower() == ".geojson":
        return read_truth(path)
    if path.name == POINTS:
        return next(one.boxes for one in read_points(path) if Path(one.file).stem == scene)
    return boxes_by_hand(path, scene)


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
        scenes = {sample.id.removeprefix(SCENE_PREFIX) for sample in samples}
        return hand_labels_excerpt(document, lambda scene: (scene in scenes) != rest)
    if document.name == POINTS:
        pictures = {sample.id.removeprefix(SCENE_PREFIX) for sample in samples}
        return points_excerpt(document, lambda picture: (picture in pictures) != rest)
    if not is_chip_document(document):
        return None
    return _chips_excerpt(read_document(document), {row_id(sample) for sample in samples}, rest)


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


# ----------------------------------------------------------------------------------------------------- manifest


def load_manifest(root: Path, limits: Limits = USUAL) -> Manifest:
    """List the set in `root` (`data/<task>/<set>`): its chips, and the scenes that have boxes.

    Raises:
        DataMissing: there are neither chips nor labelled scenes below `root`.
    """
    stated = read_stated(root)
    chips = [*list_chips(root)]
    scenes = [*list_scenes(root, stated, limits), *list_pointed(root, limits)]
    odd = [Item(path.name, {"labels": path.name}, path.name, "", problem=why) for path, why in stated.problems.items()]
    closed = closed_folders(root, _DEPTH)
    if not chips and not scenes and not odd and not closed:
        raise DataMissing(
            f"there are no chips, no {DOCUMENT} and no scenes with boxes",
            where=root,
            way_out=f"Give the folder that holds shipsnet/, {DOCUMENT}, or scenes/ with boxes in {HAND_LABELS}.",
        )
    items = [*without_contradictions(chips), *scenes, *odd]
    samples = [*(_sample(item, root, stated.grounds) for item in items), *closed]
    return Manifest(root.parent, tuple(sorted(samples, key=lambda sample: sample.id)), limits)


def scene_pictures(root: Path) -> list[tuple[str, str, Path]]:
    """(scene, ground, picture) of every whole scene below `root`, also of those without boxes, in the scenes' order.

    Raises:
        DataRejected: two pictures have the same name.
    """
    grounds = read_stated(root).grounds
    found = sorted(by_stem(scene_folders(root), SUFFIXES).items())
    return [(scene, grounds.of(scene), only(paths, f"pictures of {scene}", root)) for scene, paths in found]


def _sample(item: Item, root: Path, grounds: Grounds) -> Sample:
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


# -------------------------------------------------------------------------------------------------------- chips


# ------------------------------------------------------------------------------------------------------- scenes
