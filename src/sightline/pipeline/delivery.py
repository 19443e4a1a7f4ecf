"""What a batch of answers comes to: tables, a GeoPackage and a report beside the answers.

summary.csv, summary.parquet   a row a picture
findings.csv                   a row a finding
flight.gpkg                    pictures, footprints and findings as layers, where any picture has a place
report.html                    one file to read and to pass on
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.drift.background import Background
from sightline.errors import printable
from sightline.files import remove, replacing, write_text
from sightline.pipeline.answer_paths import SavedFinding, Told, image_size
from sightline.pipeline.batch import Answered
from sightline.pipeline.repeats import Repeats, find_repeats
from sightline.shots import Shot, footprint_of
from sightline.shots.ground import within_half_turn
from sightline.task import Json

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

SEVERITIES = ("high", "medium", "low", "unknown", "")
"""In the order of a report."""


@dataclass(frozen=True)
class Picture:
    """One answered file, without the weight of its whole answer.

    Attributes:
        file: its path, as it was given.
        name: of its answer.
        sha256: of its bytes.
        found: in a few words.
        summary: in figures.
        findings: single ones, as they were saved.
        shot: how it was taken.
        size: width and height, where the answer tells.
        familiarity: of the input, in a word.
        note: what the model has to say of the input besides (no temperatures, an offset that the file does not tell).
        reused: whether an earlier call had answered it.
        georeferenced: whether the model knows where its pixels lie.
    """

    file: str
    name: str
    sha256: str
    found: str
    summary: Mapping[str, float | int | str | None]
    findings: Sequence[SavedFinding]
    shot: Shot
    size: tuple[int, int] | None
    familiarity: str = "not known"
    note: str = ""
    reused: bool = False
    georeferenced: bool = False

    @property
    def located(self) -> bool:
        """Whether its place is known, be it that of the camera or that of what it shows."""
        return self.shot.located or self.georeferenced

    @property
    def footprint(self) -> NDArray[np.float64] | None:
        """(4, 2) longitudes and latitudes of its corners on the ground, where they can be told."""
        return None if self.size is None else footprint_of(self.shot, *self.size)


def picture_of(answered: Answered) -> Picture:
    """The part of an answer that reports are made of."""
    told = Told.model_validate(answered.document)
    return Picture(
        answered.file,
        answered.name,
        told.sha256,
        told.found,
        told.summary,
        told.findings,
        answered.shot,
        image_size(answered.document),
        told.familiarity.word,
        told.note or "",
        answered.reused,
        told.georeferenced,
    )


@dataclass(frozen=True)
class Delivery:
    """All that a report is made of.

    Attributes:
        task: its name.
        out: the folder of answers.
        identity: what the answers say of the model.
        background: what it was trained and evaluated on.
        conditions: what was known of the files besides.
        threshold: instead of the model's own.
        pictures: the answered files.
        refused: file -> why it could not be answered.
        drawn: whether pictures of the answers lie in the folder.
    """

    task: str
    out: Path
    identity: Mapping[str, Json]
    background: Background
    conditions: Mapping[str, float]
    threshold: float | None
    pictures: Sequence[Picture]
    refused: Mapping[str, str]
    drawn: bool
    repeats: Repeats = field(init=False)

    def __post_init__(self) -> None:
        found = find_repeats([(p.findings, p.shot, p.size) for p in self.pictures])
        object.__setattr__(self, "repeats", found)

    def findings(self) -> list[tuple[Picture, SavedFinding, int]]:
        """Each finding with its picture and the number of the thing it shows, the most severe first."""
        every = [
            (picture, finding, place)
            for picture, places in zip(self.pictures, self.repeats.places, strict=True)
            for finding, place in zip(picture.findings, places, strict=True)
        ]
        return sorted(every, key=lambda one: (SEVERITIES.index(one[1]["severity"]), -_size(one[1])))

    def counts(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(class, severity) -> how many findings, and how many things they show."""
        seen: Counter[tuple[str, str]] = Counter()
        places: dict[tuple[str, str], set[int]] = {}
        for _, finding, place in self.findings():
            key = (finding["kind"], finding["severity"])
            seen[key] += 1
            places.setdefault(key, set()).add(place)
        return {key: (count, len(places[key])) for key, count in seen.items()}


_SIZES = ("rise_k", "rise_level", "length_m", "area_m2", "area_px")
"""Figures that say how large a finding is: it is sorted by the first of them that it has."""

_POSITION = ("lon", "lat")


def figure_names(names: Iterable[str]) -> list[str]:
    """Those that say how large a finding is, then the others by name: an answer has them in any order."""
    known = {name: number for number, name in enumerate(_SIZES)}
    return sorted(set(names) - {*_POSITION}, key=lambda name: (known.get(name, len(known)), name))


def _size(finding: SavedFinding) -> float:
    figures = finding["figures"]
    values = (figures[name] for name in figure_names(figures))
    return float(next((value for value in values if isinstance(value, int | float)), 0.0))


def deliver(delivery: Delivery) -> list[Path]:
    """Write tables, GeoPackage and report; the files that were written.

    Raises:
        BackendError: the disk is full or the folder cannot be written.
    """
    from sightline.pipeline.report import write_report

    out = delivery.out
    written = [*_write_tables(delivery)]
    map_file = out / "flight.gpkg"
    if any(picture.shot.located for picture in delivery.pictures) or _placed_by_model(delivery):
        from sightline.maps.geopackage import write_geopackage

        written.append(write_geopackage(map_file, layers(delivery)))
    else:
        remove(map_file)  # of an earlier call, whose answers are no longer these
    written.append(write_report(delivery, out / "report.html"))
    return written


def _placed_by_model(delivery: Delivery) -> bool:
    return any("lon" in finding["figures"] for picture in delivery.pictures for finding in picture.findings)


# -------------------------------------------------------------------------------------------------------- tables


def picture_rows(delivery: Delivery) -> list[dict[str, Json]]:
    """A row a picture, all with the same columns; those that could not be answered last."""
    names = sorted({name for picture in delivery.pictures for name in picture.summary})
    rows: list[dict[str, Json]] = []
    for picture in delivery.pictures:
        row = _taken(picture) | {"familiarity": picture.familiarity, "note": picture.note, "found": picture.found}
        rows.append(row | {name: picture.summary.get(name) for name in names} | {"problem": ""})
    empty = dict.fromkeys(rows[0] if rows else ("file", "problem"))
    return rows + [{**empty, "file": file, "problem": why} for file, why in delivery.refused.items()]


def _taken(picture: Picture) -> dict[str, Json]:
    shot = picture.shot
    return {
        "file": picture.file,
        "answer": printable(f"{picture.name}.json"),
        "sha256": picture.sha256,
        "time": shot.time,
        "camera": shot.camera,
        "lon": shot.lon,
        "lat": shot.lat,
        "altitude_m": shot.altitude_m,
        "height_m": shot.height_m,
    }


def finding_rows(delivery: Delivery) -> list[dict[str, Json]]:
    """A row a finding, the most severe first. `thing` is the same for findings that show one thing."""
    every = delivery.findings()
    names = figure_names(name for _, finding, _ in every for name in finding["figures"])
    rows: list[dict[str, Json]] = []
    for picture, finding, place in every:
        lon, lat, where = position_of(picture, finding)
        box = dict(zip(("x0", "y0", "x1", "y1"), finding["box"], strict=True))
        row: dict[str, Json] = {"file": picture.file, "thing": place, "class": finding["kind"]}
        row |= {"severity": finding["severity"], "score": finding["score"]}
        row |= {name: finding["figures"].get(name) for name in names}
        rows.append(row | {"lon": lon, "lat": lat, "position": where, **box})
    return rows


def position_of(picture: Picture, finding: SavedFinding) -> tuple[float | None, float | None, str]:
    """Longitude, latitude, and what they are of: the finding itself, or only the camera that saw it."""
    lon, lat = (finding["figures"].get(name) for name in _POSITION)
    if isinstance(lon, int | float) and isinstance(lat, int | float):
        return lon, lat, "finding"
    if ground := finding.get("ground"):
        east, north = np.mean(ground, axis=0)
        return float(within_half_turn(east)), float(north), "finding"
    return picture.shot.lon, picture.shot.lat, "camera" if picture.shot.located else ""


def _write_tables(delivery: Delivery) -> Iterable[Path]:
    out = delivery.out
    rows = picture_rows(delivery)
    yield _write_csv(out / "summary.csv", rows)
    yield _write_parquet(out / "summary.parquet", rows)
    yield _write_csv(out / "findings.csv", finding_rows(delivery))


def _write_csv(path: Path, rows: Sequence[Mapping[str, Json]]) -> Path:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: plain_cell(value) for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())
    return path


def plain_cell(value: Json) -> Json:
    """A cell that no spreadsheet takes for a formula: file names are as untrusted as files."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _write_parquet(path: Path, rows: Sequence[Mapping[str, Json]]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ("file",))}
    with replacing(path) as temporary:
        pq.write_table(pa.table(columns), temporary)
    return path


# -------------------------------------------------------------------------------------------------------- layers


def layers(delivery: Delivery) -> dict[str, list[tuple[BaseGeometry, dict[str, Json]]]]:
    """Layer -> (shapely geometry in longitude and latitude, properties) of its features."""
    from shapely import Point, Polygon

    made: dict[str, list[tuple[BaseGeometry, dict[str, Json]]]] = {"footprints": [], "pictures": [], "findings": []}
    for picture in delivery.pictures:
        if picture.shot.located:
            made["pictures"].append(
                (Point(picture.shot.lon, picture.shot.lat), _taken(picture) | {"found": picture.found})
            )
        corners = picture.footprint
        if corners is not None:
            made["footprints"].append((Polygon(corners), {"file": picture.file, "found": picture.found}))
    for row in finding_rows(delivery):
        if row["lon"] is not None:
            made["findings"].append((Point(row["lon"], row["lat"]), row))
    return made
