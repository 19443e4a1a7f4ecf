"""The files of an answer in a folder of answers: what they are called, which are an answer's own, what must stay.

NAME.json                 the answer, there only when the others are
NAME.png, NAME.mask.png   the drawn answer, rasters
NAME.mp4                  the drawn answer of a video
NAME.geojson ...          exports
.NAME.begun               while they are being written: which they are
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NotRequired

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from sightline.errors import DataRejected, ParamsError
from sightline.files import remove
from sightline.pipeline.inputs import InputFile
from sightline.shots import Shot
from sightline.task import Json


class SavedFinding(TypedDict):
    """A `Finding` as an answer keeps it; `ground` holds the corners of its box on the ground, where they are known."""

    kind: str
    score: float
    box: list[float]
    severity: str
    figures: dict[str, float | int | str | None]
    ground: NotRequired[list[tuple[float, float]] | None]


class _Image(BaseModel):
    width: int | None = None
    height: int | None = None


class _Familiarity(BaseModel):
    word: str


class _Sized(BaseModel):
    image: _Image = _Image()


class Told(_Sized):
    """What of an answer tables and reports are made of."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    found: str
    summary: dict[str, float | int | str | None]
    findings: list[SavedFinding]
    familiarity: _Familiarity
    note: str | None = None
    georeferenced: bool = False


class Kept(BaseModel):
    """What of a saved answer says whether it is still the one that is asked for."""

    key: str
    written: list[str]
    shot: Shot
    prediction_id: str | int | None = None


def image_size(document: Mapping[str, Json]) -> tuple[int, int] | None:
    """Width and height of the image, where an answer tells them."""
    image = _Sized.model_validate(document).image
    return None if image.width is None or image.height is None else (image.width, image.height)


def refuse_to_overwrite(out: Path, inputs: Sequence[InputFile]) -> None:
    """An answer must not take the place of an input that lies in the folder of answers.

    Raises:
        ParamsError: it would.
    """
    answers = set(_places(out / one.name for one in inputs))
    for place in _places(one.path for one in inputs):
        folder, _, name = place.rpartition("/")
        if name.endswith((".png", ".json", ".mp4")) and any(
            f"{folder}/{name[:at]}" in answers for at, letter in enumerate(name) if letter == "."
        ):
            raise ParamsError(
                "the results would overwrite the input files",
                where=out,
                way_out="Give another folder to --out.",
            )


def _places(paths: Iterable[Path]) -> Iterator[str]:
    """Where writing to these paths writes, whatever links lead there; some disks take `A.PNG` for `a.png`."""
    real: dict[Path, str] = {}
    for path in paths:
        if path.parent not in real:
            real[path.parent] = os.path.realpath(path.parent)  # Path.resolve raises where links go in a circle
        yield f"{real[path.parent]}/{path.name}".casefold()


def saved_answer(path: Path) -> dict[str, Json]:
    """The answer that an earlier call has left; empty where there is none that can be read."""
    try:
        document = json.loads(beside(path, "json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def clear_answer(path: Path, kept: Sequence[str]) -> None:
    """Remove what an earlier answer wrote and the next one does not, then that answer: its files are being replaced.

    Raises:
        BackendError: they cannot be removed.
    """
    for suffix in _own(path) - set(kept) | {"json"}:
        remove(beside(path, suffix))


def _is_damaged(path: Path) -> bool:
    """Whether the answer here is no JSON any more: nobody can tell what it wrote, so it is made anew as a whole."""
    try:
        text = beside(path, "json").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    try:
        json.loads(text)
    except ValueError:
        return text.startswith("{")
    return False


def _own(path: Path) -> set[str]:
    """The suffixes of what an earlier answer wrote here, also one that a kill cut short."""
    earlier, own = saved_answer(path), set[str]()
    if "key" in earlier:
        own |= {"json", *_suffixes(earlier.get("written"))}
    with suppress(OSError, ValueError):
        own |= {*_suffixes(json.loads(begun(path).read_text(encoding="utf-8")))}
    return own


def _suffixes(written: Json) -> list[str]:
    return [one for one in written if isinstance(one, str) and "/" not in one] if isinstance(written, list) else []


def begun(path: Path) -> Path:
    """Where it stands which files of an answer are being written, until they all are."""
    return path.with_name(f".{path.name}.begun")


def refuse_to_replace(path: Path, names: Sequence[str]) -> None:
    """What lies in the folder of answers and is none stays.

    Raises:
        DataRejected: an answer would take its place.
    """
    if _is_damaged(path):
        return
    for suffix in {*names, "json"} - _own(path):
        if os.path.lexists(beside(path, suffix)):
            raise DataRejected(
                "this file is no answer of an earlier call, and the answer would overwrite it",
                where=beside(path, suffix),
                way_out="Give another folder to --out, or move the file away.",
            )


def beside(path: Path, suffix: str) -> Path:
    """The file of an answer with this suffix."""
    return path.with_name(f"{path.name}.{suffix}")
