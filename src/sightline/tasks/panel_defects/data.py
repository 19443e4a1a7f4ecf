"""Photographs of panels and their labels, in one of two layouts.

COCO, as Roboflow exports it; beside the document or below it, also one level deeper and in train/, valid/ and test/:

    _annotations.coco.json   images/Dust-93-_jpg.rf.b313.jpg        or the photographs beside the document

There may be any number of documents `_annotations*.coco.json`: later deliveries of the labelling tool. A photograph
that two of them list must have the same labels in both.

Masks: a PNG for each photograph, whose palette index (or grey value) is the class:

    images/NAME.jpg   masks/NAME.png
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, DataMissing, DataRejected
from sightline.files import sha256_file
from sightline.limits import USUAL, Limits
from sightline.listing import (
    Names,
    by_stem,
    check_file,
    closed_folders,
    digest_of,
    find_files,
    is_folder,
    plain_name,
    walk_folders,
)
from sightline.task import Manifest, Sample
from sightline.tasks.panel_defects import coco
from sightline.tasks.panel_defects.coco import Photograph, paint, read_document
from sightline.tasks.panel_defects.duplicates import BITS, connected, difference_hash, near_duplicates
from sightline.upstream import Upstream
from sightline.vision.images import Pixels, decode_indices, decode_picture, read_bytes
from sightline.vision.images.refusals import check_sides

Mask = NDArray[np.uint8]
"""(h, w) index into CLASSES."""

CLASSES = ("background", "bird-drop", "dusty", "electrical-damage", "physical-damage", "snow-covered")
FORMATS = ("image/jpeg", "image/png", "image/tiff")
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
DOCUMENT = "_annotations.coco.json"
CLEAN = "clean"

UPSTREAM: Upstream | None = None
"""The photographs were exported by hand; no address of theirs is known that a program could fetch."""

MIN_SIDE_PX = 32

_PREFIXES = dict(zip((CLEAN, "bird", "dust", "electrical", "physical", "snow"), (CLEAN, *CLASSES[1:]), strict=True))
"""First letters of a file name -> stratum."""


# ------------------------------------------------------------------------------------------------------ reading


def read_photograph(source: Path | bytes, limits: Limits, where: str = "") -> NDArray[np.uint8]:
    """The (h, w, 3) RGB pixels of `decode_photograph`."""
    return decode_photograph(source, limits, where).values


def decode_photograph(source: Path | bytes, limits: Limits, where: str = "") -> Pixels:
    """The (h, w, 3) RGB pixels of a JPEG, PNG or TIFF, as it is shown, and where it has data.

    Args:
        source: a file, or its bytes.
        limits: most bytes and pixels; both are checked before anything is decoded.
        where: what messages call the input; the path, or "image", where empty.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is no such image, broken, too large or too small, or holds more than 8 bits a colour.
    """
    where = where or (str(source) if isinstance(source, Path) else "image")
    pixels = decode_picture(read_bytes(source, limits, where), limits, where)
    values = pixels.values
    if values.dtype != np.uint8:
        raise DataRejected(
            f"{values.dtype} values are not those of a photograph", where=where, way_out="Save it with 8 bits a colour."
        )
    check_sides(values.shape[:2], MIN_SIDE_PX, where)
    return pixels if values.ndim == 3 else replace(pixels, values=np.repeat(values[..., None], 3, axis=2))


def read_labels(manifest: Manifest, sample: Sample) -> Mask:
    """The (h, w) classes of a sample's photograph, as indices into CLASSES.

    Raises:
        DataRejected: the labels are not what the layout asks for; names the file and the field.
    """
    path, size = manifest.path(sample, "labels"), (int(sample.figures["width"]), int(sample.figures["height"]))
    if path.suffix.lower() == ".png":
        return read_mask(path, *size)
    name = plain_name(sample.input_file.removeprefix(_folder(sample.files["labels"])))
    by_name = read_document(path, CLASSES).by_name
    photograph = by_name.get(name) or by_name.get(name.removeprefix("images/"))
    if photograph is None:
        raise DataRejected(
            f"{name} is not listed", where=path, way_out="Run the command again: it lists the set again."
        )
    return _paint(photograph, *size)


def excerpt(document: Path, samples: Sequence[Sample], rest: bool = False) -> bytes | None:
    """See `sightline.capabilities.Excerpting`: a COCO document can be divided, a mask cannot."""
    if not is_document(document.name):
        return None
    names = Names(document.parent)
    folders = {sample.input_file: _folder(sample.files["labels"]) for sample in samples if "labels" in sample.files}
    mine = {file.removeprefix(folder) for file, folder in folders.items()}
    return coco.excerpt(document, lambda stated: (_place(stated, names) in mine) != rest)


def is_document(name: str) -> bool:
    """Whether a file of this name holds the labels of many photographs."""
    return name.lower().startswith("_annotations") and name.lower().endswith(".coco.json")


def _folder(name: str) -> str:
    """`train/_annotations.coco.json` -> `train/`."""
    return name[: name.rfind("/") + 1]


def _place(stated: str, names: Names) -> str | None:
    """Where the photograph of that name lies, below the document's folder; None if nowhere, or it leads outside."""
    plain = plain_name(stated)
    return (names.find(f"images/{plain}") or names.find(plain)) if plain else None


def _paint(photograph: Photograph, width: int, height: int) -> Mask:
    if photograph.problem:
        raise DataRejected(photograph.problem)
    if (photograph.height, photograph.width) == (width, height) and width != height:
        raise DataRejected(
            f"the labels state {photograph.width} x {photograph.height} pixels, but its EXIF orientation rotates it to"
            f" {width} x {height}: so it is unclear whether the labels were drawn on the rotated picture",
            where=photograph.name,
            way_out=(
                "Export the labels again with the sides of the picture as it is shown, or save the picture"
                " upright and label it again."
            ),
        )
    if (photograph.width, photograph.height) != (width, height):
        raise DataRejected(
            f"it is {width} x {height} pixels, the labels state {photograph.width} x {photograph.height}",
            where=photograph.name,
            way_out="Export photographs and labels together.",
        )
    return paint(photograph.shapes, width, height)


def read_mask(path: Path, width: int, height: int) -> Mask:
    """The (h, w) classes of a mask for a photograph of `width` x `height` pixels.

    Raises:
        DataMissing: the file is not there.
        DataRejected: no PNG of indices, of another size, or with values that are no class; names the values.
    """
    limits = Limits()
    mask = decode_indices(read_bytes(path, limits, str(path)), limits, str(path))
    if mask.shape != (height, width):
        raise DataRejected(
            f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels, its photograph {width} x {height}",
            where=path,
            way_out="Save the mask at the photograph's size.",
        )
    odd = [int(value) for value in np.unique(mask) if value >= len(CLASSES)]
    if odd:
        raise DataRejected(
            f"the mask holds the values {', '.join(map(str, odd[:8]))}, classes are 0 to {len(CLASSES) - 1}",
            where=path,
            way_out="Write the class's index: " + ", ".join(f"{n} {name}" for n, name in enumerate(CLASSES)) + ".",
        )
    return mask


# ----------------------------------------------------------------------------------------------------- manifest


@dataclass(frozen=True)
class _Item:
    """A sample that is not looked at yet: its files, its labels' digest, and how to read them for a size."""

    files: Mapping[str, str]
    problem: str = ""
    labels_sha256: str = ""
    labels: Callable[[int, int], Mask] | None = None
    polygons: int = 0


def load_manifest(root: Path, limits: Limits = USUAL) -> Manifest:
    """List the set in `root` (`data/<task>/<set>`).

    The group is the near-duplicates' (named by the smallest id in it), the stratum the class that the file name begins
    with, or the one that covers most, or `clean`.

    Raises:
        DataMissing: neither layout is found below `root`.
    """
    items = list(_items(root))
    names = _ids([_first(item.files) for item in items])
    checks = [_check(item, root, limits) for item in items]
    hashed = [number for number, check in enumerate(checks) if check.bits is not None]
    bits = np.array([checks[number].bits for number in hashed], dtype=bool).reshape(-1, BITS)
    named = [names[number] for number in hashed]
    groups = dict(zip(named, connected(named, *near_duplicates(bits)), strict=True))
    samples = [
        Sample(
            id=name,
            set=root.name,
            files=item.files,
            sha256=check.sha256,
            labels_sha256=item.labels_sha256,
            group=groups.get(name, name),
            stratum=_stratum(name, check.figures),
            problem=check.problem.replace(f"{root}/", ""),
            figures=check.figures,
        )
        for name, item, check in zip(names, items, checks, strict=True)
    ]
    return Manifest(root.parent, tuple(sorted(samples, key=lambda sample: sample.id)), limits)


def _first(files: Mapping[str, str]) -> str:
    return next(iter(files.values()))


def _ids(files: Sequence[str]) -> list[str]:
    """File stems; where a stem occurs twice, the whole path without its suffix."""
    stems = [PurePosixPath(file).stem for file in files]
    times = Counter(stems)
    whole = [file.rpartition(".")[0].replace("/", "-") for file in files]
    names = [stem if times[stem] == 1 else path for stem, path in zip(stems, whole, strict=True)]
    again: Counter[str] = Counter()
    for number, name in enumerate(names):  # one document's stray annotations share its name
        again[name] += 1
        if again[name] > 1:
            names[number] = f"{name}-{again[name]}"
    return names


def _stratum(name: str, figures: Mapping[str, float]) -> str:
    match = re.match(r"[A-Za-z]+", name)
    prefix = match.group().lower() if match else ""
    if prefix in _PREFIXES:
        return _PREFIXES[prefix]
    shares = [figures.get(f"share_{kind}", 0.0) for kind in CLASSES[1:]]
    return CLASSES[1 + int(np.argmax(shares))] if max(shares) > 0 else CLEAN


# ------------------------------------------------------------------------------------------------------ layouts


def _documents(root: Path) -> list[Path]:
    folders = [*walk_folders(root, 2)]
    return [path for folder in folders for path in find_files(folder, (".json",)) if is_document(path.name)]


def _items(root: Path) -> Iterator[_Item]:
    documents = _documents(root)
    masks = {path.stem: path for path in find_files(root / "masks", SUFFIXES)}
    closed = closed_folders(root, 2)
    if not documents and not closed and not (is_folder(root / "images") and is_folder(root / "masks")):
        raise DataMissing(
            f"there are no labels: no {DOCUMENT} and no images/ with masks/",
            where=root,
            way_out=f"Give the folder that holds photographs with {DOCUMENT} (polygons, COCO) or with masks/.",
        )
    yield from (_Item(sample.files, sample.problem) for sample in closed)
    listed: set[str] = set()
    for item in _coco_items(documents, root):
        listed.add(_first(item.files))
        yield item
    yield from _mask_items(root, masks, listed)
    images = root / "images"
    has_mask = {path for path in _pictures(images) if path.stem in masks}
    yield from _unlisted_items(documents, root, listed, has_mask)


def _unlisted_items(
    documents: Sequence[Path], root: Path, listed: AbstractSet[str], has_mask: AbstractSet[Path]
) -> Iterator[_Item]:
    """Photographs beside a document, or in images/ beside it, that it does not list."""
    folders = dict.fromkeys(path.parent for path in documents)
    for path in (path for folder in folders for inner in (folder, folder / "images") for path in _pictures(inner)):
        file = path.relative_to(root).as_posix()
        if file in listed or path in has_mask:
            continue
        document = next(one for one in documents if path.is_relative_to(one.parent)).relative_to(root).as_posix()
        yield _Item(
            {"image": file},
            f"{file}: the photograph is not listed in {document}. Add it to the document, or remove it.",
        )


def _coco_items(documents: Sequence[Path], root: Path) -> Iterator[_Item]:
    """What all documents say: an item for each photograph, and one for each entry that is of none."""
    said: dict[str, list[tuple[str, Photograph]]] = {}
    for document in documents:
        labels = document.relative_to(root).as_posix()
        try:
            content = read_document(document, CLASSES)
        except DataRejected as error:
            yield _Item({"labels": labels}, str(error))
            continue
        names = Names(document.parent)
        for photograph in content.photographs:
            name = _place(photograph.name, names)
            if name is None:
                missing = f"{labels}: the photograph is missing: {photograph.name!r}. Add it, or remove its entry."
                yield _Item({"labels": labels}, photograph.problem or missing, photograph.sha256)
            else:
                said.setdefault(_folder(labels) + name, []).append((labels, photograph))
        yield from (_Item({"labels": labels}, stray) for stray in content.strays)
    for file, entries in said.items():
        labels, photograph = entries[0]
        problem = photograph.problem or _contradiction(file, entries)
        yield _Item(
            {"image": file, "labels": labels},
            problem,
            photograph.sha256,
            _coco_reader(photograph),
            len(photograph.shapes),
        )


def _contradiction(file: str, entries: Sequence[tuple[str, Photograph]]) -> str:
    """Why a photograph that is listed several times cannot be used; empty where all say the same."""
    if len({photograph.sha256 for _, photograph in entries}) == 1:
        return ""
    documents = sorted({labels for labels, _ in entries})
    where = f"{len(entries)} times" if len(documents) == 1 else " and ".join(documents)
    return (
        f"{documents[0]}: {file} is listed with different labels ({where}). Keep the correct entry and"
        " remove the others."
    )


def _coco_reader(photograph: Photograph) -> Callable[[int, int], Mask]:
    return lambda width, height: _paint(photograph, width, height)


def _mask_problem(files: Mapping[str, str], stem: str, count: int, listed: set[str]) -> str:
    """Why a mask cannot be used with the photographs of its name, so many; empty where it can."""
    if not count:
        return f"{files['labels']}: the mask has no photograph images/{stem}.jpg. Add it, or remove the mask."
    if count > 1:
        return f"{files['image']}: {count} photographs have this name. Keep one of them and remove the others."
    if files["image"] in listed:
        return (
            f"{files['image']}: its labels are in {files['labels']} and in a document. Keep one of them and"
            " remove the others."
        )
    return ""


def _pictures(folder: Path) -> list[Path]:
    return find_files(folder, SUFFIXES)


def _mask_items(root: Path, masks: Mapping[str, Path], listed: set[str]) -> Iterator[_Item]:
    """Photographs with masks; where documents are there too, only what has a mask."""
    images = by_stem([root / "images"] if is_folder(root / "masks") else [], SUFFIXES)
    for stem in sorted(masks.keys() | (images.keys() if not listed else set())):
        found, mask = images.get(stem, []), masks.get(stem)
        files = {"image": f"images/{found[0].name}"} if found else {}
        if mask is None:
            yield _Item(files, f"{_first(files)}: the photograph has no masks/{stem}.png. Add it, or remove the image.")
            continue
        files["labels"] = f"masks/{mask.name}"
        problem = _mask_problem(files, stem, len(found), listed)
        try:
            check_file(mask)
            digest = sha256_file(mask)
        except DataRejected as error:
            digest, problem = "", problem or str(error)
        yield _Item(files, problem, digest, _mask_reader(mask))


def _mask_reader(mask: Path) -> Callable[[int, int], Mask]:
    return lambda width, height: read_mask(mask, width, height)


# ------------------------------------------------------------------------------------------------------ looking


@dataclass(frozen=True)
class _Check:
    """What one look at a sample's photograph and labels found."""

    sha256: str = ""
    problem: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    bits: NDArray[np.bool_] | None = None


def _check(item: _Item, root: Path, limits: Limits) -> _Check:
    if "image" not in item.files:
        return _Check(problem=item.problem)
    path = root / item.files["image"]
    try:
        check_file(path)
    except DataError as error:
        return _Check(problem=str(error))
    try:
        sha256, width, height, bits = _fingerprint(path, limits)
    except DataError as error:
        return _Check(digest_of(path), item.problem or str(error))
    figures = {"width": float(width), "height": float(height), "polygons": float(item.polygons)}
    problem = item.problem
    if item.labels is not None and not problem:
        try:
            figures |= _shares(item.labels(width, height))
        except DataError as error:
            problem = str(error)
    return _Check(sha256, problem, figures, bits)


def _fingerprint(path: Path, limits: Limits) -> tuple[str, int, int, NDArray[np.bool_]]:
    """SHA-256, width, height and difference hash of a photograph."""
    data = read_bytes(path, limits, str(path))
    picture = read_photograph(data, limits, str(path))
    return hashlib.sha256(data).hexdigest(), picture.shape[1], picture.shape[0], difference_hash(picture)


def _shares(mask: Mask) -> dict[str, float]:
    """Share of the pixels of each class, and of all defects."""
    shares = np.bincount(mask.ravel(), minlength=len(CLASSES)) / mask.size
    named = {f"share_{name}": float(share) for name, share in zip(CLASSES[1:], shares[1:], strict=True)}
    return {**named, "share_defects": float(1 - shares[0])}
