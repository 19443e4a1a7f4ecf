"""Where chips lie: `data_coordinates/NAME.json`, as published, or parts of it as a set keeps them. Untrusted.

    [[longitude, latitude], null, ...]             of the chips of NAME, in the order of their numbers; null: unknown
    {"<SHA-256>": [longitude, latitude], ...}      of chips by their content, whatever they and the list are called

A set keeps the second form: numbers begin anew in each delivery, and files that are divided get other names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import DataRejected
from sightline.listing import find_files, read_json, walk_folders
from sightline.task import Json

FOLDER = "data_coordinates"

_MOST_BYTES = 64 * 2**20
_WAY_OUT = "Give a list of [longitude, latitude] in degrees, one for each chip, or remove the file."

Entries = Mapping[int | str, Json]
"""Number in the list, or SHA-256 of the chip -> what is said of it; None: nothing is known."""


@dataclass(frozen=True)
class ChipKey:
    """What a list may know a chip by: the list's name and its number there, or its content."""

    list_name: str
    number: int
    sha256: str


@dataclass(frozen=True)
class Centre:
    """Where a chip lies.

    Attributes:
        point: longitude and latitude in degrees; NaN where unknown.
        source: the list that has an entry of it, be it null; None where none has.
        problem: why what the list says cannot be used; empty when it can, or when it says nothing.
    """

    point: tuple[float, float] = (math.nan, math.nan)
    source: Path | None = None
    problem: str = ""


def find_lists(root: Path, depth: int) -> list[Path]:
    """All lists of coordinates below a set's folder, at most so many folders deep."""
    folders = [folder for folder in walk_folders(root, depth) if folder.name.lower() == FOLDER]
    return sorted(path for folder in folders for path in find_files(folder, (".json",)))


def is_list(document: Path) -> bool:
    """Whether a file is by its name and folder a list of coordinates."""
    return document.parent.name.lower() == FOLDER and document.name.lower().endswith(".json")


def read_entries(path: Path) -> Entries:
    """What a list says, an entry a chip; whether an entry is a place is not looked at.

    Raises:
        DataRejected: it is neither a list nor an object of JSON.
    """
    values = read_json(path, _MOST_BYTES, _WAY_OUT)
    if not isinstance(values, list | dict):
        raise DataRejected("this is not a JSON list", where=path, way_out=_WAY_OUT)
    pairs = enumerate(values) if isinstance(values, list) else values.items()
    return dict(pairs)


def read_point(entry: Json, where: str) -> tuple[float, float]:
    """Longitude and latitude in degrees of an entry. Raises DataRejected where it is something else."""
    point = entry if isinstance(entry, list) and len(entry) == 2 else []
    numbers = [value for value in point if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) != 2 or not (abs(numbers[0]) <= 180 and abs(numbers[1]) <= 90):
        raise DataRejected(
            "this is not a longitude and a latitude", where=where, way_out="Write [longitude, latitude] in degrees."
        )
    return float(numbers[0]), float(numbers[1])


def locate(chips: Sequence[ChipKey], lists: Sequence[Path]) -> tuple[list[Centre], dict[Path, str]]:
    """The centre of each chip, and the lists that cannot be read and are of no chip: list -> why.

    A list by numbers counts where it has an entry, or null, for each chip of its name and none for others: the lists
    that were published beside the records have more, and so do not tell which is which.
    """
    centres = [Centre()] * len(chips)
    unknown: dict[int, Centre] = {}
    odd: dict[Path, str] = {}
    for path in lists:
        named = [place for place, chip in enumerate(chips) if chip.list_name == path.stem]
        try:
            entries = read_entries(path)
        except DataRejected as error:
            odd |= {path: str(error)} if not named else {}
            for place in named:
                centres[place] = Centre(source=path, problem=str(error))
            continue
        for place, key in _keys(entries, chips, named).items():
            if entries[key] is None:  # another list may know
                unknown.setdefault(place, Centre(source=path))
            elif centres[place].source is None:
                centres[place] = _centre(entries[key], key, path)
    return _filled(centres, unknown), odd


def _filled(centres: Sequence[Centre], unknown: Mapping[int, Centre]) -> list[Centre]:
    """The centres; of a chip that no list knows, the list that says so."""
    return [centre if centre.source else unknown.get(place, centre) for place, centre in enumerate(centres)]


def _keys(entries: Entries, chips: Sequence[ChipKey], named: Sequence[int]) -> dict[int, int | str]:
    """Place of a chip -> the key of its entry."""
    found: dict[int, int | str] = {place: chip.sha256 for place, chip in enumerate(chips) if chip.sha256 in entries}
    numbers = {place: chips[place].number for place in named}
    listed = {key for key in entries if isinstance(key, int)}
    stated = {key for key in listed if entries[key] is not None}
    distinct = set(numbers.values())
    if len(distinct) == len(named) and stated <= distinct <= listed:
        found |= numbers
    return found


def _centre(entry: Json, key: int | str, path: Path) -> Centre:
    try:
        return Centre(read_point(entry, f"{path}: [{key}]"), path)
    except DataRejected as error:
        return Centre(source=path, problem=str(error))


def points_of(document: Path, chips: Sequence[ChipKey]) -> bytes | None:
    """What a list says of these chips, by their content, be it nothing; None where it cannot be read."""
    try:
        entries = read_entries(document)
    except DataRejected:
        return None
    said = {chip.sha256: entries.get(chip.sha256, entries.get(chip.number)) for chip in chips if chip.sha256}
    return _written({key: value for key, value in sorted(said.items()) if value is not None}) or b"{}\n"


def points_besides(document: Path, chips: Sequence[ChipKey], renumbered: bool) -> bytes | None:
    """What a list says of all but these chips, in its own form; None where it cannot be read, empty where nothing.

    Args:
        document: the list.
        chips: those that leave.
        renumbered: whether the chips that stay get new numbers, without gaps, as records do; files keep theirs.
    """
    try:
        entries = read_entries(document)
    except DataRejected:
        return None
    leaving = {key for chip in chips for key in (chip.sha256, chip.number)}
    kept = {key: value for key, value in entries.items() if key not in leaving}
    if not any(value is not None for value in kept.values()):
        return b""
    return _written(_in_its_form(kept, entries, renumbered))


def _in_its_form(kept: Entries, entries: Entries, renumbered: bool) -> Json:
    """What is kept of a list's entries: an object where they have names, else a list."""
    named = {key: value for key, value in kept.items() if isinstance(key, str)}
    if len(named) == len(kept):
        return named
    return [*kept.values()] if renumbered else [kept.get(number) for number in entries]


def _written(content: Json) -> bytes:
    return (json.dumps(content) + "\n").encode() if content else b""
