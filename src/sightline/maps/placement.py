"""Where a raster lies, by all that says so: the file itself, and what a GIS leaves beside it.

A system and a transform are looked for in GDAL's order: `.aux.xml`, the file (GeoTIFF keys, ground control points), a
world file with its `.prj`. What was found and could not be used is told, never passed over: a raster whose place was
not understood gets an assumed pixel size, and lengths that are wrong by as much.
"""

from __future__ import annotations

import json
import math
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.errors import DataRejected
from sightline.maps.position import Georeference
from sightline.stamps import SETTLED_NS, Stamp, is_settled, stamp_of

if TYPE_CHECKING:
    from rasterio import Affine
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

_MOST_BYTES = 2**20
"""Of a file beside a raster: they are some lines long."""
_MOST_STRETCHED = 1.05
_MOST_OFF_PX = 2.0
_SAME_PX, _SAME_SIZE = 1.0, 0.001
"""How far two places may be from each other, and their pixels' sizes apart, to say the same."""
"""How far ground control points may lie from the plane that is laid through them."""
_SQUARE = "Bring it to square pixels: gdalwarp -t_srs EPSG:3857 IN OUT."
_OTHERS = (".tab", ".points", ".rpb", "_rpc.txt")
"""What else tells a place beside a raster, and is not read: MapInfo, QGIS, RPC."""
_PLACING = (b"<SRS", b"<GeoTransform", b"<GCPList", b"GeodataXform")


@dataclass(frozen=True)
class Placement:
    """What is known of a raster's place.

    Attributes:
        place: where it lies; None where nobody says so.
        gsd_m: metres a pixel at the raster's middle; None where nobody says so.
        source: which file says so; empty where none does.
        unused: what was found and not used, and why.
        otherwise: what tells another place than the one that is used.
        crs, transform: as rasterio takes them, where it has a place.
    """

    place: Georeference | None = None
    gsd_m: float | None = None
    source: str = ""
    unused: tuple[str, ...] = ()
    crs: CRS | None = field(default=None, repr=False)
    transform: Affine | None = field(default=None, repr=False)
    otherwise: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """For an answer: the file that tells the place, or why none is used."""
        if self.source:
            return self.source + "".join(f"; {name} tells another place and is not used" for name in self.otherwise)
        return "; ".join(self.unused) if self.unused else "none"


@dataclass
class _Found:
    """A system and a transform on their way to a placement, each by the first that names it."""

    crs: CRS | None = None
    transform: Affine | None = None
    names: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    otherwise: list[str] = field(default_factory=list)

    def take(self, name: str, crs: CRS | None, transform: Affine | None) -> None:
        taken = False
        if self.crs is None and crs:
            self.crs, taken = crs, True
        if self.transform is None and transform is not None and not transform.is_identity:
            self.transform, taken = transform, True
        elif transform is not None and not transform.is_identity and self.differs(crs, transform):
            self.otherwise.append(name)
        if taken and name not in self.names:
            self.names.append(name)

    def differs(self, crs: CRS | None, transform: Affine) -> bool:
        """Whether the first pixel lies elsewhere, or is of another size, than by the transform that is used.

        Nobody can tell for another system.
        """
        if self.transform is None or (crs and crs != self.crs):
            return False
        ours, theirs = np.array(self.transform[:6]), np.array(transform[:6])
        pixel = float(np.abs(ours[[0, 1, 3, 4]]).max())
        same = pixel * np.array([_SAME_SIZE, _SAME_SIZE, _SAME_PX, _SAME_SIZE, _SAME_SIZE, _SAME_PX])
        return bool((np.abs(ours - theirs) > same).any())


def placement_of(
    size: tuple[int, int], where: str, path: Path | None = None, dataset: DatasetReader | None = None
) -> Placement:
    """What is known of a raster's place.

    Args:
        size: (h, w) pixels.
        where: what messages call it.
        path: of its file, whose neighbours are looked at; None: it has none, as an upload.
        dataset: the raster opened without its neighbours, where it is a TIFF.

    Raises:
        DataRejected: its coordinates are none on Earth, or its pixels are not square on the ground.
    """
    found = _Found()
    beside = {} if path is None else _beside(path)
    if path is not None:
        for name in _descriptions(path):
            if name in beside:
                _take_described(found, beside[name], size)
    if dataset is not None:
        _take_dataset(found, dataset, "the file itself")
    if path is not None:
        _take_world_file(found, path, beside)
        found.unused += [f"{beside[name].name} is not read" for name in _others(path) if name in beside]
    return _placed(found, size, where)


def names_beside(path: Path) -> list[str]:
    """What the files are called, in lower case, that are read beside a raster or told of: with GDAL's mask, all but the
    raster itself that what is known of it is made of."""
    return [*_descriptions(path), *_world_files(path), *_systems(path), *_others(path), f"{path.name}.msk".lower()]


def _descriptions(path: Path) -> list[str]:
    return [f"{path.name}.aux.xml".lower(), f"{path.stem}.aux.xml".lower()]


def _world_files(path: Path) -> list[str]:
    suffix = path.suffix.lower().lstrip(".")
    endings = (f"{suffix[:1]}{suffix[-1:]}w", f"{suffix}w", "wld", f"{suffix[:1]}{suffix[-1:]}wx")
    return [f"{path.stem}.{ending}".lower() for ending in endings]


def _systems(path: Path) -> list[str]:
    return [f"{path.stem}.prj".lower()]


def _beside(path: Path) -> dict[str, Path]:
    """Name in lower case -> the small files whose names begin as the raster's does."""
    stem, names = path.stem.lower(), names_in(path.parent)
    begin, end = bisect_left(names, (stem,)), bisect_left(names, (stem + chr(0x10FFFF),))
    return {lower: path.parent / name for lower, name in names[begin:end] if name != path.name}


_MOST_FOLDERS = 16
_kept: dict[Path, tuple[Stamp, list[tuple[str, str]]]] = {}
"""Folder -> its stamp and its names."""


def names_in(folder: Path, settled_ns: int = SETTLED_NS) -> list[tuple[str, str]]:
    """The names in a folder, in lower case and as they are, sorted; none where it may not be listed.

    Kept until the folder changes: a flight asks for them at each of its thousands of pictures. Where it changed less
    than `settled_ns` ago they are not kept.
    """
    try:
        stamp, now_ns = stamp_of(folder), time.time_ns()
        if folder in _kept and _kept[folder][0] == stamp:
            return _kept[folder][1]
        names = sorted((name.lower(), name) for name in (path.name for path in folder.iterdir()))
    except OSError:  # a folder that may be passed but not listed
        return []
    if is_settled(stamp, now_ns, settled_ns):
        if len(_kept) >= _MOST_FOLDERS:
            _kept.clear()
        _kept[folder] = stamp, names
    return names


def _others(path: Path) -> Iterator[str]:
    for ending in _OTHERS:
        yield f"{path.stem}{ending}".lower()
        yield f"{path.name}{ending}".lower()


def _bytes_of(path: Path) -> bytes | None:
    """None where it is not what it should be: no file (a pipe would never end), unreadable or too long."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        return path.read_bytes()
    except OSError:
        return None


# ------------------------------------------------------------------------------------------------------ sources


def _take_dataset(found: _Found, dataset: DatasetReader, name: str) -> None:
    """Of a file that GDAL has opened: keys, ground control points, RPC."""
    found.take(name, dataset.crs, dataset.transform)
    points, system = dataset.gcps
    if points and found.transform is None:
        if system or found.crs:
            _take_points(found, points, found.crs if found.crs and not system else system, name)
        else:
            found.unused.append(f"ground control points of {name} are not used: they name no coordinate system")
    if dataset.rpcs is not None and found.transform is None:
        found.unused.append(
            "its rational polynomial coefficients (RPC) are not used: gdalwarp -rpc IN OUT applies them"
        )


def _take_points(found: _Found, points: Sequence[Any], system: CRS | None, name: str) -> None:
    """The plane through ground control points, where they lie on one."""
    from rasterio.transform import from_gcps

    problem = ""
    if len(points) < 3:
        problem = f"{len(points)} are too few"
    else:
        transform = from_gcps(points)
        a, b, c, d, e, f = tuple(transform)[:6]
        pixels = np.array([(one.col, one.row) for one in points], dtype=np.float64)
        places = np.array([(one.x, one.y) for one in points], dtype=np.float64)
        matrix = np.array([[a, b], [d, e]], dtype=np.float64)
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) == 0:
            problem = "they lie on a line"
        else:
            off = np.linalg.solve(matrix, (places - (c, f)).T).T - pixels
            furthest = float(np.hypot(*off.T).max())
            if furthest > _MOST_OFF_PX:
                problem = f"they are off a plane by {furthest:.0f} px; gdalwarp -tps IN OUT applies them"
    if problem:
        found.unused.append(f"ground control points of {name} are not used: {problem}")
    else:
        found.take(f"ground control points of {name}", system, transform)


def _take_described(found: _Found, path: Path, size: tuple[int, int]) -> None:
    """What GDAL, QGIS or ArcGIS wrote into an `.aux.xml`: read by GDAL, beside an empty raster of that size."""
    import warnings
    from uuid import uuid4

    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.io import MemoryFile

    text = _bytes_of(path)
    if text is None:
        found.unused.append(f"{path.name} cannot be read")
        return
    height, width = size
    folder = uuid4().hex
    before = [*found.names], [*found.unused]
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "uint8"}
    sparse = {"sparse_ok": True, "tiled": True, "blockxsize": 4096, "blockysize": 4096}
    try:
        with warnings.catch_warnings(), MemoryFile(dirname=folder, filename="raster.tif") as empty:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with empty.open(**profile, **sparse):
                pass
            with (
                MemoryFile(text, dirname=folder, filename="raster.tif.aux.xml"),
                rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="FALSE"),
                rasterio.open(empty.name, driver="GTiff") as dataset,
            ):
                _take_dataset(found, dataset, path.name)
    except RasterioError as error:
        found.unused.append(f"{path.name} cannot be read ({error})")
        return
    if any(word in text for word in _PLACING) and before == (found.names, found.unused):
        found.unused.append(f"the place in {path.name} cannot be read")  # GDAL passes over what it does not understand


def _take_world_file(found: _Found, path: Path, beside: dict[str, Path]) -> None:
    """Six numbers: the affine transform of the middles of pixels. The system is in the `.prj`, or nowhere."""
    names = [name for name in _world_files(path) if name in beside]
    if not names:
        return
    world = beside[names[0]]
    transform = _transform_of(_bytes_of(world) or b"")
    if found.transform is not None:
        if transform is not None and not any(name in beside for name in _systems(path)):
            found.take(world.name, None, transform)
        return
    if transform is None:
        found.unused.append(f"{world.name} is not used: it does not hold the six numbers of a world file")
        return
    if found.crs is None and not _take_system(found, path, beside):
        found.unused.append(f"{world.name} is not used: nothing names its coordinate system ({path.stem}.prj would)")
        return
    found.take(world.name, None, transform)


def _transform_of(text: bytes) -> Affine | None:
    """The six numbers A, D, B, E, C, F, one a line; C and F are of the middle of the first pixel."""
    from rasterio import Affine

    try:
        a, d, b, e, c, f = (float(word) for word in text.decode("ascii").split())
    except ValueError:  # not six, no numbers, or no text
        return None
    if not all(map(math.isfinite, (a, d, b, e, c, f))) or a * e - b * d == 0:
        return None
    return Affine(a, b, c - (a + b) / 2, d, e, f - (d + e) / 2)


def _take_system(found: _Found, path: Path, beside: dict[str, Path]) -> bool:
    """The well-known text of a `.prj`, of ESRI's kind or of OGC's."""
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    file = next((beside[name] for name in _systems(path) if name in beside), None)
    if file is None:
        return False
    try:
        # Never `from_user_input`: that would also follow addresses.
        system = CRS.from_wkt((_bytes_of(file) or b"").decode("utf-8-sig"), morph_from_esri_dialect=True)
    except (CRSError, UnicodeDecodeError):
        found.unused.append(f"{file.name} is not well-known text")
        return False
    found.take(file.name, system, None)
    return True


# ------------------------------------------------------------------------------------------------------- result


def _placed(found: _Found, size: tuple[int, int], where: str) -> Placement:
    if found.crs is None or found.transform is None:
        if found.transform is not None:
            found.unused.append(f"the transform of {', '.join(found.names)} is not used: it names no coordinate system")
        elif found.crs is not None:
            found.unused.append(
                f"the system of {', '.join(found.names)} is not used: the position of its pixels is not given"
            )
        return Placement(unused=tuple(found.unused))
    if not (found.crs.is_geographic or found.crs.is_projected):
        return _local(found, where)
    height, width = size
    transform = tuple(float(value) for value in tuple(found.transform)[:6])
    place = Georeference(found.crs.to_string(), transform, width, height)  # type: ignore[arg-type]
    try:
        across, down = place.gsd_m(width / 2, height / 2)
    except DataRejected as error:
        raise DataRejected(
            error.what,
            where=where,
            way_out="Write the correct georeference into the file, or remove it (gdal_edit.py -unsetgt).",
        ) from error
    _check_square(across, down, where)
    gsd_m = math.sqrt(across * down)
    return Placement(
        place, gsd_m, " and ".join(found.names), tuple(found.unused), found.crs, found.transform, tuple(found.otherwise)
    )


def _local(found: _Found, where: str) -> Placement:
    """A system of its own (a building site's, an engineer's): lengths are known, where on Earth it lies is not."""
    assert found.crs is not None
    assert found.transform is not None
    name = " and ".join(found.names)
    a, b, _, d, e, _ = tuple(found.transform)[:6]
    unit_m = _unit_m(found.crs)
    across, down = math.hypot(a, d) * unit_m, math.hypot(b, e) * unit_m
    if not math.isfinite(across * down):
        return Placement(unused=(*found.unused, f"the local coordinates of {name} are not used: they name no unit"))
    _check_square(across, down, where)
    return Placement(None, math.sqrt(across * down), f"{name} (local coordinates)", tuple(found.unused))


def _unit_m(system: CRS) -> float:
    """Metres a unit of a local system (PROJJSON); NaN where it names none."""
    from rasterio.errors import CRSError

    try:
        axes = system.to_dict(projjson=True)["coordinate_system"]["axis"]
        units = {json.dumps(axis.get("unit")) for axis in axes}
    except (CRSError, KeyError):
        return math.nan
    unit = json.loads(units.pop()) if len(units) == 1 else None
    if isinstance(unit, dict) and unit.get("type") == "LinearUnit":
        return float(unit["conversion_factor"])
    return 1.0 if unit == "metre" else math.nan


def _check_square(across: float, down: float, where: str) -> None:
    if not (math.isfinite(across * down) and across * down > 0):
        raise DataRejected("its georeference gives the pixels no size on the ground", where=where, way_out=_SQUARE)
    if max(across, down) > _MOST_STRETCHED * min(across, down):
        raise DataRejected(f"its pixels cover {across:.3g} x {down:.3g} m", where=where, way_out=_SQUARE)
