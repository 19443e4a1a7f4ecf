"""Chips of the upstream set: 80 x 80 px of RGB, each as a PNG file or all in one JSON document. Untrusted.

    1__20170721_180825_103c__-118.21_33.74.png     label, scene, longitude and latitude of its centre
    shipsnet.json                                  {"data": [[19,200 ints] ...], "labels": [0, 1 ...],
                                                    "locations": [[lon, lat] ...], "scene_ids": ["2017..." ...]}

A row of `data` holds the red values of the chip row by row, then the green, then the blue ones. The two position
fields may also be pixels, x and y, of the chip's centre in its scene.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataMissing, DataRejected
from sightline.limits import Limits
from sightline.stamps import Stamp, stamp_of
from sightline.task import Json
from sightline.vision.images import read_bytes

CHIP_PX = 80
GSD_M = 3.0
"""Of the chips and the scenes, in metres a pixel."""
DOCUMENT = "shipsnet.json"
MAX_BYTES = 2**30
"""A larger document is not read: the published one has about 280 MB."""

_VALUES = 3 * CHIP_PX**2
_FARTHEST = 1e6
_COPY_AGAIN = "Download or copy shipsnet.json again."
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_SCENE = re.compile(r"[A-Za-z0-9.-]+(_[A-Za-z0-9.-]+)*")


@dataclass(frozen=True)
class ChipName:
    """What the name of a chip says.

    Attributes:
        label: 1 where a ship is in the middle.
        scene: id of the scene it was cut from; single `_` may be in it.
        x, y: longitude and latitude in degrees, or pixels of the scene, of its centre.
    """

    label: int
    scene: str
    x: float
    y: float

    @property
    def stem(self) -> str:
        """The file name without its suffix."""
        return f"{self.label}__{self.scene}__{_written(self.x)}_{_written(self.y)}"


def _written(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def parse_stem(stem: str) -> ChipName:
    """The parts of a chip's file name without its suffix.

    Raises:
        DataRejected: the name is not that of a chip.
    """
    parts = stem.split("__")
    place = parts[-1].split("_")
    known = len(parts) == 3 and parts[0] in ("0", "1") and _SCENE.fullmatch(parts[1]) is not None
    if not known or len(place) != 2 or not all(_NUMBER.fullmatch(value) for value in place):
        raise DataRejected(
            "the name is not <label>__<scene>__<longitude>_<latitude>",
            where=stem,
            way_out="Rename the file to this form, or remove it.",
        )
    x, y = (float(value) for value in place)
    if not max(abs(x), abs(y)) < _FARTHEST:
        raise DataRejected(
            "the place lies neither on Earth nor in a scene",
            where=stem,
            way_out="Correct the longitude and latitude in the file's name.",
        )
    return ChipName(int(parts[0]), parts[1], x, y)


# ----------------------------------------------------------------------------------------------------- document


@dataclass(frozen=True)
class OddChip:
    """A row of a document that is no chip.

    Attributes:
        problem: why; names the field and the row.
        data: its values as they are written in the document; empty where they are right.
        label, place, scene: as they stand in the document.
    """

    problem: str
    data: str
    label: Json
    place: Json
    scene: Json


@dataclass(frozen=True)
class Document:
    """The chips of one JSON document.

    Attributes:
        names: of each chip, in the order of the file; None where that is what is wrong with it.
        pixels: (n, 80, 80, 3); zeros where they cannot be read.
        odd: the rows that are no chips.
    """

    names: tuple[ChipName | None, ...]
    pixels: NDArray[np.uint8]
    odd: Mapping[int, OddChip]

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """A unique name of each chip: its stem, and `-2`, `-3` ... where that occurs again."""
        times: Counter[str] = Counter()
        found = []
        for row, name in enumerate(self.names):
            stem = name.stem if name else f"row-{row}"
            times[stem] += 1
            found.append(stem if times[stem] == 1 else f"{stem}-{times[stem]}")
        return tuple(found)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Id -> its place in `pixels`, of the chips that can be used."""
        return {name: row for row, name in enumerate(self.ids) if row not in self.odd}

    def excerpt(self, rows: Sequence[int]) -> str:
        """The JSON document of these rows alone; what cannot be read is kept as it was written."""
        parts = [self._part(row) for row in rows]
        return _text([part.data for part in parts], [(part.label, part.place, part.scene) for part in parts])

    def _part(self, row: int) -> OddChip:
        data, name = _data_text(self.pixels[row]), self.names[row]
        if row in self.odd:
            return replace(self.odd[row], data=self.odd[row].data or data)
        assert name is not None
        return OddChip("", data, *_fields(name))


def document_text(names: Sequence[ChipName], pixels: Sequence[NDArray[np.uint8]]) -> str:
    """The JSON document of (80, 80, 3) chips."""
    return _text([_data_text(chip) for chip in pixels], [_fields(name) for name in names])


def _fields(name: ChipName) -> tuple[Json, Json, Json]:
    return name.label, [name.x, name.y], name.scene


def _text(data: Sequence[str], fields: Sequence[tuple[Json, Json, Json]]) -> str:
    labels, places, scenes = ([one[part] for one in fields] for part in range(3))
    rest = {"labels": labels, "locations": places, "scene_ids": scenes}
    return f'{{"data":[{",".join(data)}],{json.dumps(rest)[1:]}\n'


def _data_text(chip: NDArray[np.uint8]) -> str:
    return json.dumps(_planar(chip).tolist(), separators=(",", ":"))


def _planar(chip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.moveaxis(chip, -1, 0).ravel()


def read_document(path: Path) -> Document:
    """The chips of one JSON document, and its rows that are none; the last few documents are kept until they change.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is not such a document; names the field.
    """
    try:
        stamp = stamp_of(path)
    except OSError as error:
        raise DataMissing("there is no such file", where=path, way_out=_COPY_AGAIN) from error
    return _read(path, stamp)


@lru_cache(maxsize=4)  # a set is listed many times, and reading is what it costs
def _read(path: Path, _: Stamp) -> Document:
    try:
        text = read_bytes(path, Limits(bytes=MAX_BYTES), str(path)).decode("utf-8-sig")
        members, data = _members(text, str(path))
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise DataRejected(f"the file is not valid JSON ({reason})", where=path, way_out=_COPY_AGAIN) from error
    if data is None:
        raise DataRejected("there is no list of 0 data", where=path, way_out=_COPY_AGAIN)
    fields = [_list(members, field, len(data), path) for field in ("labels", "locations", "scene_ids")]
    odd: dict[int, OddChip] = {}
    stated = (_Stated(*values) for values in zip(*fields, strict=True))
    rows = enumerate(zip(data, stated, strict=True))
    names = tuple(_name_or_odd(values, said, (row, str(path)), odd) for row, (values, said) in rows)
    values = [_NO_VALUES if isinstance(one, _BadRow) else one for one in data]
    pixels = np.array(values, dtype=np.uint8).reshape(-1, 3, CHIP_PX, CHIP_PX)
    return Document(names, np.ascontiguousarray(np.moveaxis(pixels, 1, -1)), odd)


@dataclass(frozen=True)
class _BadRow:
    problem: str
    text: str


_NO_VALUES = np.zeros(_VALUES, dtype=np.uint8)


class _Stated(NamedTuple):
    """What the document says of a row besides its values."""

    label: Json
    place: Json
    scene: Json


def _list(members: Mapping[str, Json], field: str, count: int, path: Path) -> list[Json]:
    values = members.get(field)
    if not isinstance(values, list) or len(values) != count:
        raise DataRejected(f"there is no list of {count} {field}", where=path, way_out=_COPY_AGAIN)
    return values


def _name_or_odd(
    values: NDArray[np.uint8] | _BadRow, stated: _Stated, where: tuple[int, str], odd: dict[int, OddChip]
) -> ChipName | None:
    """The name of a row; what is wrong with the row goes into `odd`."""
    name, problem = None, ""
    try:
        name = _name(stated, *where)
    except DataRejected as error:
        problem = str(error)
    if isinstance(values, _BadRow):
        odd[where[0]] = OddChip(values.problem, values.text, *stated)
    elif problem:
        odd[where[0]] = OddChip(problem, "", *stated)
    return name


def _members(text: str, where: str) -> tuple[dict[str, Json], list[NDArray[np.uint8] | _BadRow] | None]:
    """The members of the document, and those of its `data` for themselves, None where there are none.

    They become arrays one by one: as lists they would take 40 times as much memory.
    """
    decoder, space = json.JSONDecoder(), re.compile(r"\s*")
    members: dict[str, Json] = {}
    rows: list[NDArray[np.uint8] | _BadRow] | None = None

    def next_at(at: int) -> int:
        return space.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too

    at = next_at(0)
    _expect(text, at, "{")
    while text[at : at + 1] != "}":
        key, at = decoder.raw_decode(text, next_at(at + 1))
        at = next_at(at)
        _expect(text, at, ":")
        at = next_at(at + 1)
        if key != "data":
            members[str(key)], at = decoder.raw_decode(text, at)
        else:
            _expect(text, at, "[")
            rows = []
            while text[at : at + 1] != "]":
                start = next_at(at + 1)
                values, at = decoder.raw_decode(text, start)
                rows.append(_row(values, f"{where}: data[{len(rows)}]", text[start:at]))
                at = next_at(at)
                _expect(text, at, ",]")
            at += 1
        at = next_at(at)
        _expect(text, at, ",}")
    return members, rows


def _expect(text: str, at: int, characters: str) -> None:
    if text[at : at + 1] not in tuple(characters):
        raise ValueError(f"{' or '.join(characters)} is missing at character {at}")


def _row(values: Json, where: str, text: str) -> NDArray[np.uint8] | _BadRow:
    listed = values if isinstance(values, list) else []
    numbers = [value for value in listed if type(value) is int]
    if not len(listed) == len(numbers) == _VALUES or min(numbers) < 0 or max(numbers) > 255:
        problem = f"it is not a list of {_VALUES:,} values of 0 to 255"
        return _BadRow(str(DataRejected(problem, where=where, way_out=_COPY_AGAIN)), text)
    return np.array(numbers, dtype=np.uint8)


def _name(stated: _Stated, row: int, where: str) -> ChipName:
    label, place, scene = stated
    if type(label) is not int or label not in (0, 1):
        raise DataRejected(f"{label!r} is not a label", where=f"{where}: labels[{row}]", way_out=_COPY_AGAIN)
    if not isinstance(scene, str) or not _SCENE.fullmatch(scene):
        raise DataRejected(
            f"{scene!r} is not the name of a scene", where=f"{where}: scene_ids[{row}]", way_out=_COPY_AGAIN
        )
    return ChipName(label, scene, *_place(place, f"{where}: locations[{row}]"))


def _place(stated: Json, where: str) -> tuple[float, float]:
    listed = stated if isinstance(stated, list) else []
    numbers = [float(value) for value in listed if type(value) in (int, float) and abs(value) < _FARTHEST]
    if not len(listed) == len(numbers) == 2:
        raise DataRejected(f"{stated!r} is not a place", where=where, way_out=_COPY_AGAIN)
    return numbers[0], numbers[1]
