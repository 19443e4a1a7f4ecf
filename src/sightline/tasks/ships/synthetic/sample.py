"""The synthetic set, in the upstream's layout: scenes, chips cut from them, and the scenes as map tiles.

    scenes/20200103_100000_0s03.png  .geojson      shipsnet/shipsnet/1__20200103_100000_0s03__-33.01_12.9.png
    shipsnet.json                                  tiles/16/26737/30345.png

Some scenes look like those of the published set: 3 m a pixel; the chips are cut from these. One chip in four shows a
ship, as there; the others are water and land, parts of ships and clutter in equal shares. The other scenes look like
the pictures of map services, at 1 to 10 m a pixel: `raster` in a scene's GeoJSON says how large its pixels are. All lie
in seas all over the Earth, no two of them near each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.files import replace_bytes, write_json, write_text
from sightline.params import Frozen
from sightline.task import Progress
from sightline.tasks.ships.chips import DOCUMENT, GSD_M, ChipName, document_text
from sightline.tasks.ships.synthetic.coast import COASTS, Kind
from sightline.tasks.ships.synthetic.cutting import KINDS, ChipKind, Cut, cut_chips
from sightline.tasks.ships.synthetic.georeference import Georeference, tiles, truth
from sightline.tasks.ships.synthetic.scene import SceneParams, draw_scene
from sightline.tasks.ships.synthetic.services import SENTINEL_M, Sensor
from sightline.vision.images import KEPT, encode_png
from sightline.vision.synthesis import random_stream


class SampleParams(Frozen):
    """Everything the synthetic set depends on."""

    seed: int = Field(ge=0)
    scenes: int = Field(ge=1, le=600)
    chips: int = Field(ge=0, le=20_000, description="in all; fewer where scenes have no room for them")
    harbour_share: float = Field(ge=0, le=1, description="of the scenes")
    coast_share: float = Field(ge=0, le=1, description="of the scenes; the others are open water")
    published_share: float = Field(ge=0, le=1, description="of the scenes, 3 m a pixel; chips are cut from these")
    gsd_m: tuple[float, float] = Field(description="finest and coarsest pixel of the other scenes; log-uniform")
    document: bool = Field(description="whether shipsnet.json is written beside the files of the chips")
    tiles: bool = Field(description="whether the scenes are cut into map tiles too")
    scene: SceneParams


@dataclass(frozen=True)
class _Drawn:
    """A scene that was written: its name, its place and its chips."""

    name: str
    pixels: NDArray[np.uint8]
    place: Georeference
    cuts: list[Cut]


def write_sample(root: Path, params: SampleParams, progress: Progress) -> None:
    """Write the set into `root`. The same parameters give the same bytes (on one type of CPU).

    Each scene has random streams of its own, so it does not depend on how many others there are; only which scenes
    have a coast is drawn once for the whole set.
    """
    names: list[ChipName] = []
    chips: list[NDArray[np.uint8]] = []
    for number, drawn in enumerate(_scenes(root, params)):
        for name, chip in _chips(drawn):
            replace_bytes(root / "shipsnet" / "shipsnet" / f"{name.stem}.png", encode_png(chip, KEPT))
            names.append(name)
            chips.append(chip)
        if params.tiles:
            for z, x, y, picture in tiles(drawn.pixels, drawn.place):
                replace_bytes(root / "tiles" / str(z) / str(x) / f"{y}.png", encode_png(picture, KEPT))
        progress.advance(number + 1, params.scenes, f"scene {number + 1}/{params.scenes}")
    if params.document and chips:
        write_text(root / DOCUMENT, document_text(names, chips))


def _scenes(root: Path, params: SampleParams) -> Iterator[_Drawn]:
    """Scenes one by one, each written with its truth."""
    views, cut = _views(params), 0
    published = sum(sensor == "published" for sensor, _ in views)
    for number, (coast, (sensor, gsd_m)) in enumerate(zip(_kinds(params), views, strict=True)):
        scene = draw_scene(random_stream(params.seed, number, 0), params.scene, coast, gsd_m, sensor)
        place = _place(number, params.scene, gsd_m)
        name = f"2020{1 + number // 28 % 12:02d}{1 + number % 28:02d}_100000_0s{number:02d}"
        opaque = np.full((*scene.pixels.shape[:2], 1), 255, dtype=np.uint8)
        replace_bytes(root / "scenes" / f"{name}.png", encode_png(np.concatenate([scene.pixels, opaque], axis=2), KEPT))
        write_json(root / "scenes" / f"{name}.geojson", truth(scene.vessels, place))
        wanted: dict[ChipKind, int] = {}
        if sensor == "published":
            wanted = {kind: _share(params.chips, 4 * cut + part, 4 * published) for part, kind in enumerate(KINDS)}
            cut += 1
        yield _Drawn(name, scene.pixels, place, cut_chips(random_stream(params.seed, number, 1), scene, wanted))


def _share(total: int, number: int, parts: int) -> int:
    """How many of `total` things fall to one of `parts`, whole and nearly even."""
    return total * (number + 1) // parts - total * number // parts


def _kinds(params: SampleParams) -> list[Kind]:
    """Of each scene what coast it has; drawn once for the set, so that the shares are met."""
    harbours = round(params.harbour_share * params.scenes)
    coasts = min(round(params.coast_share * params.scenes), params.scenes - harbours)
    harbour, coast, open_water = COASTS
    kinds = [harbour] * harbours + [coast] * coasts + [open_water] * (params.scenes - harbours - coasts)
    order = random_stream(params.seed, 10**6).permutation(params.scenes)
    return [kinds[number] for number in order]


def _views(params: SampleParams) -> list[tuple[Sensor, float]]:
    """Of each scene its sensor and metres a pixel: sizes are spread evenly on a log scale over the set."""
    rng = random_stream(params.seed, 10**6 + 1)
    published = math.ceil(params.published_share * params.scenes)
    others = params.scenes - published
    low, high = params.gsd_m
    views: list[tuple[Sensor, float]] = [("published", GSD_M)] * published
    for number in range(others):
        gsd_m = round(low * (high / low) ** ((number + rng.random()) / others), 3)
        coarse = gsd_m >= SENTINEL_M / 3 and rng.random() < 0.6
        views.append(("sentinel" if coarse else "aerial", gsd_m))
    return [views[number] for number in rng.permutation(params.scenes)]


def _place(number: int, params: SceneParams, gsd_m: float) -> Georeference:
    """Each scene in a zone of its own, and at another latitude where zones come again."""
    latitude = -55 + 110 * ((0.5 + 0.618034 * number) % 1)
    return Georeference(1 + (9 + 7 * number) % 60, round(latitude, 4), params.width_px, params.height_px, gsd_m)


def _chips(drawn: _Drawn) -> Iterator[tuple[ChipName, NDArray[np.uint8]]]:
    if not drawn.cuts:
        return
    middles = drawn.place.lon_lat(np.array([(cut.x, cut.y) for cut in drawn.cuts], dtype=np.float64))
    for cut, (lon, lat) in zip(drawn.cuts, middles, strict=True):
        name = ChipName(int(cut.kind == "ship"), drawn.name, round(float(lon), 9), round(float(lat), 9))
        yield name, drawn.pixels[cut.window]
