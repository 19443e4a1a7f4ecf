"""The chips of a set, from files and from documents that hold many.

shipsnet/shipsnet/<label>__<scene>__<lon>_<lat>.png    80 x 80 px; or in shipsnet/, chips/ or beside the rest
shipsnet.json                                          the same chips, where there are no files of them
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, DataRejected
from sightline.files import sha256_file
from sightline.limits import USUAL, Limits
from sightline.listing import check_file, digest_of, find_files
from sightline.task import Sample
from sightline.tasks.ships.chips import CHIP_PX, DOCUMENT, GSD_M, ChipName, parse_stem, read_document
from sightline.tasks.ships.listed import MOST_OFF, SUFFIXES, Item
from sightline.tasks.ships.raster import read_head
from sightline.vision.images import decode, read_bytes

CLASSES = ("no-ship", "ship")

_CHIP_FOLDERS = ("shipsnet/shipsnet", "shipsnet", "chips/shipsnet/shipsnet", "chips/shipsnet", "chips", ".")
_DOCUMENT_FOLDERS = (".", "shipsnet", DOCUMENT, "chips")


_OF = "@"
"""Between a chip's id and its document; in no name of a chip."""


def row_id(sample: Sample) -> str:
    """The id of a chip within its document: two documents may use it for different chips."""
    return sample.id.partition(_OF)[0]


def chip_pixels(data: bytes, where: str) -> NDArray[np.uint8]:
    """The (80, 80, 3) RGB pixels in a file's bytes. Raises DataRejected."""
    values: NDArray[np.uint8] = decode(data, USUAL, where)
    if values.shape != (CHIP_PX, CHIP_PX, 3):
        size = " x ".join(str(side) for side in values.shape)
        raise DataRejected(
            f"it is {size}, not {CHIP_PX} x {CHIP_PX} of RGB", where=where, way_out="Cut the chip again, or remove it."
        )
    return values


def is_chip_document(path: Path) -> bool:
    """Whether a document is one of chips, by its name."""
    return path.name.lower().startswith("shipsnet") and path.name.lower().endswith(".json")


def list_chips(root: Path) -> Iterator[Item]:
    """Chips from files, then those of the documents that are not there yet: the published archive holds both."""
    taken: dict[str, Item] = {}
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


def _shows_the_same(first: Item, other: Item) -> bool:
    """Whether two chips have the same pixels; of a file that could not be decoded, the same bytes."""
    return bool(other.sha256) and (first.pixels_sha256 or first.sha256) == (other.pixels_sha256 or other.sha256)


def _name_or_none(stem: str) -> ChipName | None:
    try:
        return parse_stem(stem)
    except DataRejected:
        return None


def _chip_files(root: Path) -> Iterator[Item]:
    """The chips in all folders for them; beside other things only what is named like one counts."""
    for folder in _CHIP_FOLDERS:
        for path in find_files(root / folder, SUFFIXES):
            if folder != "." or "__" in path.stem:
                yield _chip_file(path, root)


def _chip_file(path: Path, root: Path) -> Item:
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
        return Item(path.stem, files, path.stem, "", sha256, problem=problem or str(error))


def _chip_item(name: str, said: ChipName, files: Mapping[str, str], sha256: str, problem: str = "") -> Item:
    figures = {"width": float(CHIP_PX), "height": float(CHIP_PX), "ship": float(said.label), "scene": 0.0}
    labels_sha256 = hashlib.sha256(CLASSES[said.label].encode()).hexdigest()
    stratum = f"chip-{CLASSES[said.label]}"
    return Item(name, files, said.scene, stratum, sha256, labels_sha256, problem, {} if problem else figures)


def _looked_at_chip(path: Path) -> tuple[str, str, str]:
    """SHA-256 of a chip's file and of its pixels, and why it cannot be used."""
    try:
        pixels = chip_pixels(read_bytes(path, USUAL, str(path)), str(path))
    except DataError as error:
        return digest_of(path), "", str(error)
    return sha256_file(path), hashlib.sha256(pixels.tobytes()).hexdigest(), ""


def _document_chips(root: Path) -> Iterator[tuple[Item, ChipName | None]]:
    for folder in _DOCUMENT_FOLDERS:
        for path in find_files(root / folder, (".json",)):
            if not is_chip_document(path):
                continue
            name = path.relative_to(root).as_posix()
            try:
                document = read_document(path)
            except DataError as error:
                yield Item(name.replace("/", "-"), {"image": name}, name, "", problem=str(error)), None
                continue
            for number, (id_, said) in enumerate(zip(document.ids, document.names, strict=True)):
                if said is None or number in document.odd:
                    scene = said.scene if said else id_
                    yield Item(id_, {"image": name}, scene, "", problem=document.odd[number].problem), None
                    continue
                # The digest is of the pixels: what a PNG of them weighs depends on the library that packs it.
                sha256 = hashlib.sha256(document.pixels[number].tobytes()).hexdigest()
                yield replace(_chip_item(id_, said, {"image": name}, sha256), pixels_sha256=sha256), said


def without_contradictions(chips: Sequence[Item]) -> Iterator[Item]:
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


def _check_scale(picture: Path, limits: Limits) -> None:
    """Raise DataRejected where a chip, or what lies beside it, tells of pixels of another size."""
    gsd_m = read_head(picture, limits).placement.gsd_m
    if gsd_m is not None and not GSD_M / MOST_OFF <= gsd_m <= GSD_M * MOST_OFF:
        raise DataRejected(
            f"its pixels are {gsd_m:.3g} m, not {GSD_M:g} m",
            where=picture,
            way_out=f"Resample it to {GSD_M:g} m (gdalwarp -tr {GSD_M:g} {GSD_M:g} IN OUT), then cut or label that.",
        )
