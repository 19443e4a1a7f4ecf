"""The synthetic set of `solar_farms`, in both layouts of the published one: places of which half have no farm.

2022_us_00000.tfrecord.gz                           the places in one year, a record a file
input/2023_us_00000.tif  label/2023_us_00000.png    the same places in the next, seen from a little aside
data_coordinates/2022_us.json                       [longitude, latitude] of each chip
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import Field

from sightline.files import replace_bytes, write_json
from sightline.params import Frozen
from sightline.task import Progress
from sightline.tasks.panel_defects.chip import BANDS, GSD_M, LABEL, SCALE, Mask
from sightline.tasks.panel_defects.places import EARTH_RADIUS_M
from sightline.tasks.panel_defects.synthetic.landscape import (
    LandParams,
    Place,
    SightParams,
    build_place,
    reflectance_of,
)
from sightline.tasks.panel_defects.tfrecord import example, write_records
from sightline.vision.synthesis import Floats, random_stream

RECORDS, PAIRS = "2022_us", "2023_us"
_PALETTE = (0, 0, 0, 10, 20, 255)


class FarmSampleParams(Frozen):
    """Everything the synthetic set depends on."""

    seed: int = Field(ge=0)
    places: int = Field(ge=1, description="each is there twice, in two years")
    side_px: int = Field(ge=32, le=1024)
    empty_share: float = Field(ge=0, le=1, description="of the places without a farm")
    shift_m: float = Field(ge=0, description="most that a chip's centre moves between the years")
    land: LandParams
    sight: SightParams


def write_farm_sample(root: Path, params: FarmSampleParams, progress: Progress) -> None:
    """Write the set into `root`. The same parameters give the same bytes (on one type of CPU).

    Each place and each look at it has a random stream of its own, so a chip does not depend on how many others there
    are.
    """
    for folder in ("input", "label"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    margin_px = round(params.shift_m / GSD_M)
    coordinates: dict[str, list[list[float]]] = {RECORDS: [], PAIRS: []}
    for number in range(params.places):
        rng = random_stream(params.seed, number, 0)
        place = build_place(rng, params.land, params.side_px + 2 * margin_px, _has_farm(params, number))
        centre = rng.uniform((-120.0, 30.0), (-80.0, 48.0))
        for year, name in enumerate(coordinates):
            bands, mask, shift_px = _chip(random_stream(params.seed, number, 1 + year), params, place, margin_px)
            coordinates[name].append(_moved(centre, shift_px))
            write = _write_record if name == RECORDS else _write_pair
            write(root, f"{name}_{number:05d}", bands, mask)
        progress.advance(number + 1, params.places, f"place {number + 1}/{params.places}")
    for name, points in coordinates.items():
        write_json(root / "data_coordinates" / f"{name}.json", points)


def _has_farm(params: FarmSampleParams, number: int) -> bool:
    """Which places have a farm is drawn once for the whole set, so that their share is met."""
    order = np.random.Generator(np.random.PCG64(params.seed)).permutation(params.places)
    return bool(order[number] >= round(params.empty_share * params.places))


def _chip(
    rng: np.random.Generator, params: FarmSampleParams, place: Place, margin_px: int
) -> tuple[Floats, Mask, tuple[int, int]]:
    """(13, h, w) counts, (h, w) label, and how far (y, x) the chip lies from the place's centre."""
    top, left = rng.integers(0, 2 * margin_px + 1, 2)
    window = slice(top, top + params.side_px), slice(left, left + params.side_px)
    counts = np.round(reflectance_of(rng, params.sight, place)[:, *window] * SCALE)
    return counts, place.farm[window].astype(np.uint8), (int(top) - margin_px, int(left) - margin_px)


def _moved(centre: Floats, shift_px: tuple[int, int]) -> list[float]:
    """[longitude, latitude] of a chip's centre."""
    north, east = -shift_px[0] * GSD_M / EARTH_RADIUS_M, shift_px[1] * GSD_M / EARTH_RADIUS_M
    longitude = centre[0] + np.degrees(east) / np.cos(np.radians(centre[1]))
    return [round(float(longitude), 6), round(float(centre[1] + np.degrees(north)), 6)]


def _write_record(root: Path, name: str, bands: Floats, mask: Mask) -> None:
    floats = {band: values.astype(np.float32).ravel() for band, values in zip(BANDS, bands, strict=True)}
    record = example({**floats, LABEL: mask.astype(np.float32).ravel()})
    write_records(root / f"{name}.tfrecord.gz", [record])


def _write_pair(root: Path, name: str, bands: Floats, mask: Mask) -> None:
    """As the publisher's converter writes them: an array (h, w, 13) makes a TIFF of h pages of (w, 13)."""
    import tifffile

    content = io.BytesIO()
    array = np.ascontiguousarray(np.moveaxis(bands, 0, -1), dtype=np.float32)
    tifffile.imwrite(content, array, compression="lzw", metadata={"shape": array.shape}, software=False)
    replace_bytes(root / "input" / f"{name}.tif", content.getvalue())
    label = Image.fromarray(mask, mode="P") if mask.ndim == 2 else Image.fromarray(mask)
    label.putpalette(_PALETTE)
    content = io.BytesIO()
    label.save(content, format="PNG")
    replace_bytes(root / "label" / f"{name}.png", content.getvalue())
