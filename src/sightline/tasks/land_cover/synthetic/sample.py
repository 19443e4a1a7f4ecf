"""The synthetic set, in the upstream's layout: tiles of eight bands and the polygons of ten classes.

    sixteen_band/6010_0_0_M.tif     train_wkt_v4.csv     grid_sizes.csv

The tiles of a region (6010, 6020 ...) share their light, soil and the course of their fields; regions differ. The
labels fit the `_M` tiles; `_A`, `_P` and `three_band` are shifted against them, as the real ones are.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.files import replacing, write_text
from sightline.params import Frozen
from sightline.task import Progress
from sightline.tasks.land_cover.bands import RGB
from sightline.tasks.land_cover.grid import Grid
from sightline.tasks.land_cover.shapes import EMPTY
from sightline.tasks.land_cover.synthetic.land import LandParams, Landscape
from sightline.tasks.land_cover.synthetic.landscape import Kind, build_landscape
from sightline.tasks.land_cover.synthetic.render import Ground, Painter, SurfaceParams
from sightline.tasks.land_cover.synthetic.sensor import Image, Light, SensorParams, blurred, digital, expose
from sightline.vision.synthesis import random_stream

Product = Literal["M", "A", "P", "three_band"]


class SampleParams(Frozen):
    """Everything the synthetic set depends on. Pairs are the bounds of a uniform draw."""

    seed: int = Field(ge=0)
    regions: int = Field(ge=1)
    scenes_per_region: int = Field(ge=1, le=25)
    width_m: float = Field(ge=40, description="of a scene; the real ones have 1,000")
    height_m: float = Field(ge=40)
    gsd_m: float = Field(gt=0.1, description="pixel of M")
    settled_share: float = Field(ge=0, le=1, description="of the regions, with roads and buildings")
    river_share: float = Field(ge=0, le=1, description="of the regions, with a waterway in each scene")
    products: tuple[Product, ...] = Field(description="which rasters of a scene are written")
    cells_per_px: int = Field(ge=1, le=8, description="the scene is drawn so much finer than M; P's pixel")
    grid_units_per_m: float = Field(gt=0, description="degrees of latitude, as the real ones have")
    swir_px: int = Field(ge=1, description="pixel of A, in pixels of M")
    swir_counts: float = Field(gt=0, description="of A at a reflectance of 1; assumed")
    land: LandParams
    surface: SurfaceParams
    sensor: SensorParams

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) pixels of M."""
        return round(self.height_m / self.gsd_m), round(self.width_m / self.gsd_m)


def write_sample(root: Path, params: SampleParams, progress: Progress) -> None:
    """Write the set into `root`. The same parameters give the same bytes (on one type of CPU).

    Each region and each scene has a random stream of its own, so a scene does not depend on how many others there
    are; only which regions have roads and rivers is drawn once for the whole set.
    """
    (root / "sixteen_band").mkdir(parents=True, exist_ok=True)
    if "three_band" in params.products:
        (root / "three_band").mkdir(exist_ok=True)
    labels, sizes = _table(("ImageId", "ClassType", "MultipolygonWKT")), _table(("", "Xmax", "Ymin"))
    total = params.regions * params.scenes_per_region
    for done, (name, land, products) in enumerate(_scenes(params), start=1):
        for path, values in products.items():
            _write_tiff(root / path, values)
        grid = _grid(params)
        csv.writer(sizes, lineterminator="\n").writerow((name, f"{grid.x_max:.9f}", f"{grid.y_min:.9f}"))
        rows = ((name, kind, wkt) for kind, wkt in enumerate(_wkt(land, params, grid), start=1))
        csv.writer(labels, lineterminator="\n").writerows(rows)
        progress.advance(done, total, f"scene {done}/{total}")
    write_text(root / "train_wkt_v4.csv", labels.getvalue())
    write_text(root / "grid_sizes.csv", sizes.getvalue())


def _table(header: tuple[str, ...]) -> io.StringIO:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(header)
    return text


def _scenes(params: SampleParams) -> Iterator[tuple[str, Landscape, dict[str, NDArray[np.uint16]]]]:
    """(id, landscape, path -> raster) scene by scene."""
    rows, columns = params.size
    size_m = (columns * params.gsd_m, rows * params.gsd_m)
    for region, (kind, river) in enumerate(_regions(params)):
        rng = random_stream(params.seed, region, 0)
        light, painter, course = Light(rng, params.sensor), Painter(rng, params.surface), rng.uniform(0, math.pi)
        for scene in range(params.scenes_per_region):
            name = f"{6010 + 10 * region}_{scene // 5}_{scene % 5}"
            rng = random_stream(params.seed, region, scene + 1)
            land = build_landscape(rng, params.land, size_m, kind, course, river)
            ground = painter.paint(rng, land, params.gsd_m / params.cells_per_px, light.shadow)
            yield name, land, _products(name, ground, light, params, random_stream(params.seed, region, scene + 1, 1))


def _regions(params: SampleParams) -> list[tuple[Kind, bool]]:
    """Of each region whether it is settled and whether it has a river; rivers in both kinds."""
    count = params.regions
    order = random_stream(params.seed, 10**6).permutation(count)
    settled = set(order[: round(params.settled_share * count)])
    rivers = set(random_stream(params.seed, 10**6 + 1).permutation(count)[: round(params.river_share * count)])
    return [("settled" if region in settled else "open", region in rivers) for region in range(count)]


# ------------------------------------------------------------------------------------------------------- rasters


def _products(
    name: str, ground: Ground, light: Light, params: SampleParams, rng: np.random.Generator
) -> dict[str, NDArray[np.uint16]]:
    """Path -> raster of each product that is asked for; the noise of one does not depend on the others."""
    made: dict[str, NDArray[np.uint16]] = {}
    streams = dict(zip(("M", "A", "P"), rng.spawn(3), strict=True))
    if "M" in params.products:
        counts = expose(ground.reflectance, light, params.sensor, params.cells_per_px, streams["M"])
        made[f"sixteen_band/{name}_M.tif"] = digital(counts)
    if "A" in params.products:
        made[f"sixteen_band/{name}_A.tif"] = _short_wave(ground, params, streams["A"])
    if {"P", "three_band"} & set(params.products):
        moved = _moved(ground.reflectance, params, streams["P"])
        fine = expose(moved, light, params.sensor, 1, streams["P"])
        if "P" in params.products:
            made[f"sixteen_band/{name}_P.tif"] = digital(fine[1:6].mean(axis=0, keepdims=True))
        if "three_band" in params.products:
            made[f"three_band/{name}.tif"] = digital(fine[list(RGB)])
    return made


def _short_wave(ground: Ground, params: SampleParams, rng: np.random.Generator) -> NDArray[np.uint16]:
    """A: eight short-wave bands of 14 bits, coarse; each a share of NIR2, another one for plants."""
    sensor = params.sensor
    shares = np.where(ground.plants, *(np.array(s, np.float32)[:, None, None] for s in
                                       (sensor.swir_plants, sensor.swir_mineral)))  # fmt: skip
    step = params.cells_per_px * params.swir_px
    moved = _moved((ground.reflectance[7] * shares).astype(np.float32), params, rng)
    counts = blurred(moved, sensor.psf_px * step, step) * np.float32(params.swir_counts)
    noise = rng.standard_normal(counts.shape, dtype=np.float32) / np.float32(sensor.snr)
    return digital(counts * (1 + noise), 2**14 - 1)


def _moved(planes: Image, params: SampleParams, rng: np.random.Generator) -> Image:
    """Planes (b, h, w) shifted by 1-2 pixels of M in a random direction; edges are continued."""
    distance, angle = rng.uniform(*params.sensor.shift_px) * params.cells_per_px, rng.uniform(0, 2 * math.pi)
    right, down = round(distance * math.cos(angle)), round(distance * math.sin(angle))
    edge = max(abs(right), abs(down))
    wide = np.pad(planes, ((0, 0), (edge, edge), (edge, edge)), mode="edge")
    return wide[:, edge - down : edge - down + planes.shape[1], edge - right : edge - right + planes.shape[2]]


def _write_tiff(path: Path, values: NDArray[np.uint16]) -> None:
    """Planes one after the other, compressed, without a date or the name of a program."""
    import tifffile

    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            values[0] if len(values) == 1 else values,
            photometric="minisblack",
            planarconfig="separate" if len(values) > 1 else None,
            compression="deflate",
            predictor=True,
            metadata=None,
            software=False,
        )


# -------------------------------------------------------------------------------------------------------- labels


def _grid(params: SampleParams) -> Grid:
    rows, columns = params.size
    unit = params.gsd_m * params.grid_units_per_m
    return Grid(round(columns * unit, 9), -round(rows * unit, 9))


def _wkt(land: Landscape, params: SampleParams, grid: Grid) -> list[str]:
    """The WKT of ClassType 1 .. 10 in grid units, cut to the frame; what touches within a class is joined."""
    import shapely

    frame = shapely.box(0, 0, *land.size_m)
    found = []
    for polygons in land.classes():
        whole = shapely.union_all(polygons).intersection(frame)
        parts = [part for part in shapely.get_parts(whole) if part.geom_type == "Polygon" and not part.is_empty]
        if not parts:
            found.append(EMPTY)
            continue
        in_px = shapely.transform(shapely.MultiPolygon(parts), lambda metres: metres / params.gsd_m)
        in_grid = grid.from_pixels(in_px, params.size)
        found.append(shapely.to_wkt(in_grid, rounding_precision=9, trim=True))
    return found
