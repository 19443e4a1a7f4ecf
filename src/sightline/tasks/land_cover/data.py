"""The upstream layout: tiles of eight bands, polygons of all tiles in one table, the tiles' sizes in another.

    sixteen_band/<id>_M.tif     train_wkt_v4.csv (ImageId,ClassType,MultipolygonWKT)     grid_sizes.csv (,Xmax,Ymin)

Up to three folders deeper too, as archives nest (`train_wkt_v4.csv/train_wkt_v4.csv`). There may be several
`train_wkt*.csv` and `grid_sizes*.csv`, one a delivery; where two speak of one image, they must say the same. An image
without rows is no sample (most of the competition's are its secret test set), nor are rows without an image: one
table serves copies of any size.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, DataMissing, DataRejected
from sightline.limits import USUAL, Limits
from sightline.listing import check_file, closed_folders, digest_of, find_files, odd_document, read_text, walk_folders
from sightline.stamps import Stamp, stamp_of
from sightline.task import Manifest, Sample
from sightline.tasks.land_cover.grid import Grid, GridSizes, read_grid_sizes
from sightline.tasks.land_cover.shapes import CLASSES, Labels, Shapes, area_shares, label_mask, read_shapes
from sightline.tasks.land_cover.tile import Tile, read_tile
from sightline.upstream import Upstream

UPSTREAM = Upstream(
    "competition",
    "dstl-satellite-imagery-feature-detection",
    "as the rules of the competition say; the images are DigitalGlobe's",
    names=("sixteen_band.zip", "train_wkt_v4.csv.zip", "grid_sizes.csv.zip"),
)

SAME_PLACE = {"6140": "6110"}
"""Regions that show one place. The class areas of 6140_1_2 and 6140_3_1 are those of 6110_1_2 and 6110_3_1 within a
few per cent, which no other two images come near: the same ground on another day."""

_DEPTH = 4  # folders and the file
_MOST_BYTES = 2**30
_COLUMNS = ["ImageId", "ClassType", "MultipolygonWKT"]
_ID = re.compile(r"(\d{4})_\d+_\d+")
_CLASS = re.compile(r"\d{1,4}")


# ------------------------------------------------------------------------------------------------------- labels

Row = tuple[str, ...]
"""ClassType and WKT, as the table has them, and what a row has besides: such a row cannot be used."""


def read_label_table(path: Path) -> dict[str, list[Row]]:
    """Image id -> its rows of a `train_wkt*.csv`.

    Raises:
        DataRejected: the file is no such table; names it.
    """
    header, *records = [*_records(read_text(path, _MOST_BYTES))] or [""]
    if (records or [header])[-1].count('"') % 2:
        raise DataRejected("this is not a table (a quotation mark is not closed)", where=path, way_out=_COPY_AGAIN)
    columns = _fields(header)
    if columns != _COLUMNS:
        shown = ", ".join(columns[:4]) or "not there"
        raise DataRejected(f"its columns are {shown}, not {', '.join(_COLUMNS)}", where=path, way_out=_COPY_AGAIN)
    rows: dict[str, list[Row]] = {}
    for name, *fields in map(_fields, records):
        rows.setdefault(name, []).append((*fields, *[""] * (2 - len(fields))))
    return rows


_FIELD = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^,"][^,]*|))(,|\Z)')


def _fields(record: str) -> list[str]:
    """The fields of a record, but for the first up to its last one that is not empty.

    Not by the csv module, whose limit on the size of a field is one for the whole process, nor by pandas, which takes
    longer to import than a set takes to list, and refuses a table for one row.
    """
    record = record.rstrip("\r\n")
    fields, at = [], 0
    while found := _FIELD.match(record, at):
        fields.append(found[2] if found[1] is None else found[1].replace('""', '"'))
        at = found.end()
        if not found[3]:
            break
    else:  # a quotation mark within a field
        fields = record.split(",")
    last = max((place for place, field in enumerate(fields) if field), default=0)
    return fields[: last + 1]


_QUOTE = 'Write the WKT of the row between quotation marks: id,class,"MULTIPOLYGON (...)".'
_COPY_AGAIN = "Copy train_wkt_v4.csv of the competition again."


def labels_of(rows: Iterable[Row], where: str) -> Labels:
    """The rows of one image as ClassType -> WKT.

    Raises:
        DataRejected: a class is no whole number or comes twice, or a row has more fields than the header.
    """
    labels: dict[int, str] = {}
    for kind, wkt, *more in rows:
        if more:
            raise DataRejected("a row has more fields than the header", where=where, way_out=_QUOTE)
        if not _CLASS.fullmatch(kind.strip()):
            raise DataRejected(
                f"the ClassType {kind[:20]!r} is not a class", where=where, way_out="Write a ClassType of 1 to 10."
            )
        if int(kind) in labels:
            raise DataRejected(f"class {int(kind)} has two rows", where=where, way_out="Join the rows into one.")
        labels[int(kind)] = wkt
    return labels


def read_labels(manifest: Manifest, sample: Sample) -> tuple[Labels, Grid]:
    """The polygons of a sample and the grid they are in.

    Raises:
        DataRejected: a table was damaged since the manifest was made.
    """
    table, sizes = manifest.path(sample, "labels"), manifest.path(sample, "grid")
    try:
        rows, grid = _label_table(table, _stamp(table))[sample.id], _grid_sizes(sizes, _stamp(sizes)).grids[sample.id]
    except KeyError as error:
        raise DataRejected(f"{sample.id} no longer exists", where=table, way_out=_COPY_AGAIN) from error
    return labels_of(rows, f"{table}: {sample.id}"), grid


def read_mask(manifest: Manifest, sample: Sample, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(10, h, w): which pixels each class covers, in a raster of `size` (h, w) of the sample.

    Raises:
        DataRejected: as `read_labels`.
    """
    labels, grid = read_labels(manifest, sample)
    return label_mask(labels, size, grid, f"{sample.files['labels']}: {sample.id}")


def _stamp(path: Path) -> Stamp:
    check_file(path)
    return stamp_of(path)


@lru_cache(maxsize=32)  # one table has the labels of all samples: it is not read anew for each
def _label_table(path: Path, _: Stamp) -> dict[str, list[Row]]:
    return read_label_table(path)


@lru_cache(maxsize=32)
def _grid_sizes(path: Path, _: Stamp) -> GridSizes:
    return read_grid_sizes(path)


# ----------------------------------------------------------------------------------------------------- manifest


@dataclass(frozen=True)
class _Layout:
    """What lies in a set's folder.

    Attributes:
        images: id -> the tiles of that name; more than one is a problem.
        labels: id -> (label table, its rows), from each table that has some.
        grids: id -> (size table, the grid), likewise.
        odd: id -> (size table, why its row of the image cannot be used).
        problems: table -> why it cannot be read.
    """

    root: Path
    images: Mapping[str, list[Path]]
    labels: Mapping[str, list[tuple[Path, list[Row]]]]
    grids: Mapping[str, list[tuple[Path, Grid]]]
    odd: Mapping[str, tuple[Path, str]]
    problems: Mapping[Path, str]


def load_manifest(root: Path, limits: Limits = USUAL) -> Manifest:
    """List the set in `root` (`data/<task>/<set>`): a sample for each image that has labels.

    Raises:
        DataMissing: no `*_M.tif` with rows in a `train_wkt*.csv` is below `root`.
    """
    layout = _find(root)
    labelled = sorted(layout.images.keys() & layout.labels.keys())
    closed = closed_folders(root, _DEPTH - 1)
    if not labelled and not layout.problems and not closed:
        found = f"{len(layout.images)} images <id>_M.tif and labels of {len(layout.labels)}, but no image has labels"
        raise DataMissing(
            found if layout.images or layout.labels else "there is no <id>_M.tif and no train_wkt*.csv",
            where=root,
            way_out="Give the folder that holds sixteen_band/, train_wkt_v4.csv (the labels) and grid_sizes.csv.",
        )
    samples = [_load_sample(name, layout, limits) for name in labelled]
    samples += [odd_document(path, why, root, "labels", "open") for path, why in layout.problems.items()]
    return Manifest(root.parent, (*samples, *closed), limits)


def excerpt(document: Path, samples: Sequence[Sample], rest: bool = False) -> bytes | None:
    """See `sightline.capabilities.Excerpting`: the rows of these images, or of the others."""
    if not _is_named(document.name, _TABLES) and not _is_named(document.name, _SIZES):
        return None
    names = {sample.id for sample in samples}
    header, *records = _records(read_text(document, _MOST_BYTES))
    kept = [record for record in records if (_name_in(record) in names) != rest]
    return "".join((header, *kept)).encode() if kept else b""


def _records(text: str) -> Iterator[str]:
    """The records of a table as they are written, whether or not they can be understood; without empty ones."""
    held: list[str] = []
    is_open = False  # within quotation marks, where a line may end
    for line in io.StringIO(text):
        held.append(line)
        is_open ^= line.count('"') % 2 == 1
        if not is_open and (record := "".join(held)).strip():
            yield record.rstrip("\n") + "\n"
        held = held if is_open else []
    if held:
        yield "".join(held).rstrip("\n") + "\n"


def _name_in(record: str) -> str:
    return record.partition(",")[0].strip("\n").strip('"')


def _find(root: Path) -> _Layout:
    images: dict[str, list[Path]] = {}
    labels: dict[str, list[tuple[Path, list[Row]]]] = {}
    grids: dict[str, list[tuple[Path, Grid]]] = {}
    odd: dict[str, tuple[Path, str]] = {}
    problems: dict[Path, str] = {}
    for path in _files(root, _IMAGES):
        images.setdefault(path.name[:-6], []).append(path)
    for path in _files(root, _TABLES):
        try:
            for name, rows in _label_table(path, _stamp(path)).items():
                labels.setdefault(name, []).append((path, rows))
        except DataRejected as error:
            problems[path] = str(error)
    for path in _files(root, _SIZES):
        try:
            sizes = _grid_sizes(path, _stamp(path))
        except DataRejected as error:
            problems[path] = str(error)
            continue
        for name, grid in sizes.grids.items():
            grids.setdefault(name, []).append((path, grid))
        for name, problem in sizes.problems.items():
            odd.setdefault(name, (path, problem))
    return _Layout(root, images, labels, grids, odd, problems)


_IMAGES, _TABLES, _SIZES = ("", "_m.tif"), ("train_wkt", ".csv"), ("grid_sizes", ".csv")
"""How names begin and end, in lower case."""


def _is_named(name: str, kind: tuple[str, str]) -> bool:
    return name.lower().startswith(kind[0]) and name.lower().endswith(kind[1])


def _files(root: Path, kind: tuple[str, str]) -> list[Path]:
    """Files at most three folders deep; not what archives of macOS have besides, nor hidden ones."""
    found = [path for folder in walk_folders(root, _DEPTH - 1) for path in find_files(folder, kind[1:])]
    return sorted(path for path in found if _is_named(path.name, kind))


def _load_sample(name: str, layout: _Layout, limits: Limits) -> Sample:
    image, (table, rows) = layout.images[name][0], layout.labels[name][0]
    grids = layout.grids.get(name, [])[:1]
    sizes = [layout.odd[name][0]] if name in layout.odd else [path for path, _ in grids]
    files = {"image": image, "labels": table} | ({"grid": sizes[0]} if sizes else {})
    figures: dict[str, float] = {}
    problem = ""
    try:
        check_file(image)
        if name in layout.odd:
            raise DataRejected(layout.odd[name][1])
        _require_one(name, layout)
        shapes = read_shapes(labels_of(rows, f"{table}: {name}"), f"{table}: {name}")
        figures = sample_figures(read_tile(image, limits), shapes, grids[0][1])
    except DataError as error:
        problem = str(error).replace(f"{layout.root}/", "")
    return Sample(
        id=name,
        set=layout.root.name,
        files={role: path.relative_to(layout.root).as_posix() for role, path in files.items()},
        sha256=digest_of(image),
        labels_sha256=_labels_digest(rows, [grid for _, grid in grids]),
        group=region_of(name),
        stratum=_stratum(figures),
        problem=problem,
        figures=figures,
    )


def _require_one(name: str, layout: _Layout) -> None:
    """Raise DataRejected unless there is one image, one table with its labels and one with its size."""
    images = [path.relative_to(layout.root).as_posix() for path in layout.images[name]]
    if len(images) > 1:
        raise DataRejected(
            f"{len(images)} images have this name", where=images[1], way_out="Keep one of them and remove the others."
        )
    for what, kinds, said in (
        ("labels", "train_wkt*.csv", [(path, sorted(rows)) for path, rows in layout.labels[name]]),
        ("a grid size", "grid_sizes*.csv", layout.grids.get(name, [])),
    ):
        tables = [path.relative_to(layout.root).as_posix() for path, _ in said]
        if any(one != said[0][1] for _, one in said):
            raise DataRejected(f"{' and '.join(tables)} have different {what} of it", where=images[0],
                               way_out="Keep the correct row of each and remove the others.")  # fmt: skip
        if not tables:
            raise DataRejected(f"no {kinds} has {what} of it", where=images[0], way_out="Add a row: id, Xmax, Ymin.")


def _labels_digest(rows: list[Row], grids: list[Grid]) -> str:
    """Of the image's rows and of its grid, which decides what they mean."""
    lines = [",".join(row) for row in sorted(rows)] + [f"{grid.x_max!r},{grid.y_min!r}" for grid in grids]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def region_of(name: str) -> str:
    """The group of an image: its region, so that one place is never on both sides of a split.

    `6110_1_2` and `6110_3_1` are in 6110. A name of another kind stands for itself.
    """
    found = _ID.fullmatch(name)
    region = found.group(1) if found else name
    return SAME_PLACE.get(region, region)


def _stratum(figures: Mapping[str, float]) -> str:
    """What a split balances: waterways are in few images, and who has buildings has most of the other classes."""
    if figures.get("share_waterways"):
        return "waterway"
    return "settled" if figures.get("share_buildings") else "open"


def sample_figures(tile: Tile, shapes: Mapping[int, Shapes], grid: Grid) -> dict[str, float]:
    """What the gate asks about one sample.

    lowest, highest: of all bands, 0 .. 1; repaired: polygons that crossed themselves; overhang: how far the farthest
    polygon leaves the tile, in tile sides; share_<class>: of the tile's area.
    """
    bands, height, width = tile.bands.shape
    polygons = [polygon for one in shapes.values() for polygon in one.polygons]
    shares = area_shares(shapes, (height, width), grid)
    return {
        "bands": float(bands),
        "width": float(width),
        "height": float(height),
        "lowest": float(tile.bands.min()),
        "highest": float(tile.bands.max()),
        "no_data": tile.statistics["no_data"],
        "polygons": float(len(polygons)),
        "repaired": float(sum(one.repaired for one in shapes.values())),
        "overhang": _overhang([polygon.bounds for polygon in polygons], (height, width), grid),
        **{f"share_{name}": float(share) for name, share in zip(CLASSES, shares, strict=True)},
    }


def _overhang(bounds: list[tuple[float, float, float, float]], size: tuple[int, int], grid: Grid) -> float:
    if not bounds:
        return 0.0
    right, down = grid.pixel_units(size)
    x, y = right / size[1], down / size[0]
    sides = np.array(bounds) * (x, y, x, y)  # the tile is 0 .. 1
    return float(max(0.0, -sides.min(), sides.max() - 1))
