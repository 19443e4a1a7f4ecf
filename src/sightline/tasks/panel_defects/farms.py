"""Sentinel-2 chips of solar farms (GloSoFarID), in either of its layouts, also one or two folders deep.

Records, as published, and what its own converter makes of them:

    2023_us.tfrecord.gz                          one or many records; B1 ... B12 and solar_panel, 65,536 floats each
    input/NAME_00000.tif  label/NAME_00000.png   (256, 256, 13) float32; palette index 0 or 1

Beside either, `data_coordinates/NAME.json` may list [longitude, latitude] of each chip (see `coordinates`).

A record compressed by gzip cannot be reached without unpacking all before it: `read_farms` goes through each file
once, in the manifest's order, and a fit that wants chips in random order keeps what it needs in its work folder.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, DataMissing, DataRejected
from sightline.limits import USUAL, Limits
from sightline.listing import (
    by_stem,
    check_file,
    closed_folders,
    digest_of,
    find_files,
    is_folder,
    odd_document,
    walk_folders,
)
from sightline.task import CONTEXT, Manifest, Sample
from sightline.tasks.panel_defects.chip import (
    BANDS,
    CLASSES,
    FORMATS,
    GSD_M,
    Chip,
    Mask,
    chip_of_record,
    chip_size,
    mask_of_record,
    read_chip,
    read_mask,
)
from sightline.tasks.panel_defects.coordinates import (
    Centre,
    ChipKey,
    find_lists,
    is_list,
    locate,
    points_besides,
    points_of,
)
from sightline.tasks.panel_defects.places import farm_outlines, places
from sightline.tasks.panel_defects.tfrecord import frame, read_records
from sightline.upstream import Upstream

__all__ = [
    "BANDS",
    "CLASSES",
    "FORMATS",
    "UPSTREAM",
    "chip_size",
    "load_manifest",
    "read_farms",
    "read_labels",
    "read_sample",
    "source_of",
]

_DEPTH = 8
"""Folders deep that files are looked for."""
_MOST_RECORDS = 200_000
"""Of one file: a few kilobytes of gzip may hold millions of empty ones. Published files have some thousands."""
_MOST_BROKEN = 100
"""Of one file, where not even as many are right: the rest of it is not looked at."""

UPSTREAM = Upstream("zenodo", "https://zenodo.org/records/10939100", "as stated on the record's page")


# ------------------------------------------------------------------------------------------------------ reading


def read_labels(manifest: Manifest, sample: Sample) -> Mask:
    """The (h, w) classes of a sample's chip, as indices into CLASSES. Raises DataRejected."""
    path = manifest.path(sample, "labels")
    if not _is_records(path):
        return read_mask(path, (int(sample.figures["height"]), int(sample.figures["width"])))
    return read_sample(manifest, sample)[1]


def read_farms(manifest: Manifest) -> Iterator[tuple[Sample, Chip, Mask]]:
    """Each sample with its chip and (h, w) labels, in the manifest's order; a file of records is unpacked once.

    Samples of one file should stand together and in order, as `load_manifest` lists them.

    Raises:
        DataRejected: a chip or its labels cannot be read; names the file and the record.
    """
    for path, samples in groupby(manifest.samples, key=manifest.path):
        if not _is_records(path):
            for sample in samples:
                chip = read_chip(path, manifest.limits, str(path))
                yield sample, chip, read_mask(manifest.path(sample, "labels"), chip.valid.shape)
            continue
        yield from _read_numbered(path, list(samples))


def read_sample(manifest: Manifest, sample: Sample) -> tuple[Chip, Mask]:
    """One sample's chip and labels; see `read_farms`, which is faster for many of a compressed file."""
    _, chip, mask = next(read_farms(replace(manifest, samples=(sample,))))
    return chip, mask


def source_of(manifest: Manifest, sample: Sample) -> Path | bytes:
    """What a model reads for a sample: its file, or a file of its record alone where one holds several."""
    path = manifest.path(sample)
    if not _is_records(path) or sample.id == _name(sample.input_file):
        return path
    _, record = next(_numbered_records(path, [sample]))
    return frame(record)


def _read_numbered(path: Path, samples: Sequence[Sample]) -> Iterator[tuple[Sample, Chip, Mask]]:
    for sample, record in _numbered_records(path, samples):
        where = f"{path}: record of {sample.id}"
        yield sample, chip_of_record(record, sample.sha256, where), mask_of_record(record, where)


def _numbered_records(path: Path, samples: Sequence[Sample]) -> Iterator[tuple[Sample, bytes]]:
    """Records by their numbers; starts again where these do not rise."""
    numbered = iter(enumerate(read_records(path, str(path))))
    last = -1
    for sample in samples:
        wanted = _record_number(sample)
        if wanted <= last:
            numbered = iter(enumerate(read_records(path, str(path))))
        where = f"{path}: record {wanted}"
        record = next((record for number, record in numbered if number == wanted), None)
        if record is None:
            raise DataRejected(
                "the record does not exist", where=where, way_out="Run the command again: it lists the set again."
            )
        yield sample, record
        last = wanted


def _excerpt_of_list(document: Path, samples: Sequence[Sample], rest: bool) -> bytes | None:
    keys = [_key(sample) for sample in samples]
    if not rest:
        return points_of(document, keys)
    return points_besides(document, keys, renumbered=_is_among_others(samples[0]))


def excerpt(document: Path, samples: Sequence[Sample], rest: bool = False) -> bytes | None:
    """See `sightline.capabilities.Excerpting`: the records of these samples, or the others, in a file of the same kind.

    A file that breaks off cannot be divided: nobody knows what is missing. Of a list of coordinates, what it says of
    these samples, or of the others.
    """
    if is_list(document):
        return _excerpt_of_list(document, samples, rest)
    if not _is_records(document):
        return None
    among = _framed(document)
    if among is None:
        return None
    mine = {_record_number(sample) for sample in samples}
    kept = [record for number, record in enumerate(among) if (number in mine) != rest]
    if len(kept) == len(among):
        return document.read_bytes()  # a file of one record is told by its own digest
    content = b"".join(kept)
    # A record alone is told by its file's digest, which must be that of the record among others.
    packed = len(kept) > 1 and document.name.lower().endswith(".gz")
    return gzip.compress(content, compresslevel=1, mtime=0) if packed else content


def _framed(document: Path) -> list[bytes] | None:
    """The records of a file as they stand in it; None where it breaks off or holds too many."""
    try:
        records = islice(read_records(document, str(document)), _MOST_RECORDS + 1)
        found = [frame(record) for record in records]
    except DataRejected:
        return None
    return found if len(found) <= _MOST_RECORDS else None


def _record_number(sample: Sample) -> int:
    return int(sample.id.removeprefix(_name(sample.input_file))[1:] or 0)


def _is_among_others(sample: Sample) -> bool:
    """Whether its file holds several records."""
    return _is_records(Path(sample.input_file)) and sample.id != _name(sample.input_file)


def _key(sample: Sample) -> ChipKey:
    """What a list of coordinates knows a listed sample by."""
    if _is_among_others(sample):
        return ChipKey(_stem(sample.input_file).rpartition("/")[2], _record_number(sample), sample.sha256)
    path = Path(sample.input_file)
    stem = _stem(path.name) if _is_records(path) else path.stem
    return ChipKey(*_numbered(stem), sample.sha256)


# ----------------------------------------------------------------------------------------------------- manifest


@dataclass(frozen=True)
class _Listed:
    """A sample before it has a place."""

    id: str
    files: Mapping[str, str]
    check: _Check
    list_name: str  # of the list of coordinates
    number: int  # in that list


@dataclass(frozen=True)
class _Check:
    """What one look at a chip and its label found."""

    sha256: str = ""
    labels_sha256: str = ""
    problem: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    outlines: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))


def load_manifest(root: Path, limits: Limits = USUAL) -> Manifest:
    """List the set in `root` (`data/<task>/<set>`).

    The group is the place (see `places`), the stratum `farm` or `empty`. The digests are those of the files, or of
    what `source_of` gives and of the label where a file holds several records.

    What a list of coordinates says wrongly is the problem of the chip it is about; a list that cannot be read is that
    of all chips of its name, or, where there are none, is listed itself.

    Raises:
        DataMissing: neither layout is found below `root`.
    """
    chips = [chip for path in _record_files(root) for chip in _record_chips(path, root)]
    chips += [chip for folder in _pair_folders(root) for chip in _pair_chips(folder, root, limits)]
    closed = closed_folders(root, _DEPTH)
    if not chips and not closed:
        raise DataMissing(
            "there is no *.tfrecord.gz, *.tfrecord or input/ with label/",
            where=root,
            way_out="Give the folder that holds the records, or input/ and label/.",
        )
    keys = [ChipKey(chip.list_name, chip.number, chip.check.sha256) for chip in chips]
    centres, odd = locate(keys, find_lists(root, _DEPTH))
    groups = _groups(chips, centres)
    samples = [_sample(*one, root) for one in zip(chips, groups, centres, strict=True)]
    samples += [odd_document(path, problem, root, CONTEXT, "empty") for path, problem in odd.items()]
    return Manifest(root.parent, (*samples, *closed), limits)


def _groups(chips: Sequence[_Listed], centres: Sequence[Centre]) -> Sequence[str]:
    """The place of each chip."""
    sides = [chip.check.figures.get("width", 0.0) for chip in chips]
    return places(
        [chip.id for chip in chips],
        np.array([centre.point for centre in centres]),
        [chip.check.outlines for chip in chips],
        [chip.check.sha256 for chip in chips],
        reach_m=max(sides, default=0.0) * GSD_M * 2**0.5,  # chips overlap
    )


def _sample(chip: _Listed, group: str, centre: Centre, root: Path) -> Sample:
    lists = {} if centre.source is None else {CONTEXT: centre.source.relative_to(root).as_posix()}
    return Sample(
        id=chip.id,
        set=root.name,
        files={**chip.files, **lists},
        sha256=chip.check.sha256,
        labels_sha256=chip.check.labels_sha256,
        group=group,
        stratum="farm" if chip.check.figures.get("share_solar_panel") else "empty",
        problem=(chip.check.problem or centre.problem).replace(f"{root}/", ""),
        figures=chip.check.figures,
    )


def _figures(chip: Chip, mask: Mask) -> dict[str, float]:
    height, width = mask.shape
    return {
        "width": float(width),
        "height": float(height),
        "share_solar_panel": float(mask.mean()),
        "nodata_share": float(1 - chip.valid.mean()),
        "bands_filled": float(len(chip.filled)),
        "reflectance_mean": float(chip.bands.mean()),
    }


# ------------------------------------------------------------------------------------------------------ records


_RECORDS = (".tfrecord", ".tfrecord.gz")


def _is_records(path: Path) -> bool:
    return path.name.lower().endswith(_RECORDS)


def _record_files(root: Path) -> list[Path]:
    return sorted(path for folder in walk_folders(root, _DEPTH) for path in find_files(folder, _RECORDS))


def _stem(file: str) -> str:
    """`us/2023_us.tfrecord.gz` -> `us/2023_us`."""
    return file[: file.lower().rindex(_RECORDS[0])]


def _name(file: str) -> str:
    """The sample's id where a file of records holds one; where it holds several, `_` and the number follow."""
    return _stem(file).replace("/", "-")


def _record_chips(path: Path, root: Path) -> list[_Listed]:
    file = path.relative_to(root).as_posix()
    stem = _stem(file).rpartition("/")[2]
    checks = _look_into(path)
    files = {"image": file, "labels": file}
    if len(checks) == 1:
        return [_Listed(_name(file), files, checks[0], *_numbered(stem))]
    return [_Listed(f"{_name(file)}_{n:05d}", files, check, stem, n) for n, check in enumerate(checks)]


def _numbered(stem: str) -> tuple[str, int]:
    """`2023_us_00012` -> (`2023_us`, 12): the list of coordinates and the place in it."""
    name, _, number = stem.rpartition("_")
    return (name, int(number)) if name and number.isdecimal() else (stem, 0)


def _look_into(path: Path) -> tuple[_Check, ...]:
    """One look a record; where the file breaks off, the last one says so."""
    checks: list[_Check] = []
    broken = 0
    try:
        check_file(path)
        for number, record in enumerate(read_records(path, str(path))):
            _require_few(number, broken, path)
            checks.append(_look_at(record, f"{path}: record {number}"))
            broken += bool(checks[-1].problem)
        if not checks:
            raise DataRejected("it holds no record", where=path, way_out="Copy the file again from the original.")
    except DataError as error:
        checks.append(_Check(problem=str(error)))
    if len(checks) == 1:
        return (replace(checks[0], sha256=digest_of(path)),)
    return tuple(checks)


def _require_few(number: int, broken: int, path: Path) -> None:
    """Raise DataRejected where no further record of a file should be looked at, `broken` of the `number` before it."""
    where = f"{path}: record {number}"
    if broken >= _MOST_BROKEN and 2 * broken > number:
        raise DataRejected(
            f"{broken} of the {number} records before it cannot be used: this record and all after it are skipped",
            where=where,
            way_out="Export the samples again, or remove the file.",
        )
    if number >= _MOST_RECORDS:
        raise DataRejected(
            f"there are more than {_MOST_RECORDS:,} records: this record and all after it are skipped",
            where=where,
            way_out="Divide the file into smaller ones.",
        )


def _look_at(record: bytes, where: str) -> _Check:
    sha256 = hashlib.sha256(frame(record)).hexdigest()
    try:
        mask = mask_of_record(record, where)
        figures = _figures(chip_of_record(record, sha256, where), mask)
    except DataError as error:
        return _Check(sha256, problem=str(error))
    return _Check(sha256, hashlib.sha256(mask.tobytes()).hexdigest(), "", figures, farm_outlines(mask > 0))


# -------------------------------------------------------------------------------------------------------- pairs


def _pair_folders(root: Path) -> list[Path]:
    """Folders with input/ and label/: `root`, or up to two levels deeper."""
    found = [folder for folder in walk_folders(root, 2) if is_folder(folder / "input") and is_folder(folder / "label")]
    return sorted(found)


def _pair_chips(folder: Path, root: Path, limits: Limits) -> list[_Listed]:
    inputs, labels = by_stem([folder / "input"], (".tif", ".tiff")), by_stem([folder / "label"], (".png",))
    prefix = "".join(f"{part}-" for part in folder.relative_to(root).parts)
    chips = []
    for stem in sorted(inputs.keys() | labels.keys()):
        pair = inputs.get(stem, []), labels.get(stem, [])
        present = {"image": pair[0][:1], "labels": pair[1][:1]}
        files = {role: path.relative_to(root).as_posix() for role, found in present.items() for path in found}
        chips.append(_Listed(prefix + stem, files, _look_at_pair(stem, *pair, limits), *_numbered(stem)))
    return chips


def _look_at_pair(stem: str, images: Sequence[Path], labels: Sequence[Path], limits: Limits) -> _Check:
    for found in (images, labels):
        if len(found) > 1:
            return _Check(
                problem=f"{found[0]}: {len(found)} files have this name. Keep one of them and remove the others."
            )
    if not images:
        return _Check(problem=f"{labels[0]}: the label has no input/{stem}.tif. Add it, or remove the label.")
    if not labels:
        problem = f"{images[0]}: the chip has no label/{stem}.png. Add it, or remove the chip."
        return _Check(problem=problem)
    try:
        check_file(images[0])
        check_file(labels[0])
    except DataRejected as error:
        return _Check(problem=str(error))
    return _look_at_files(images[0], labels[0], limits)


def _look_at_files(image: Path, label: Path, limits: Limits) -> _Check:
    digests = digest_of(image), digest_of(label)
    try:
        chip = read_chip(image, limits, str(image))
        mask = read_mask(label, chip.valid.shape)
    except DataError as error:
        return _Check(*digests, problem=str(error))
    return _Check(*digests, "", _figures(chip, mask), farm_outlines(mask > 0))
