"""A folder of map tiles with ships on dark water, a saved model that takes bright patches for ships, an upscaler."""

from __future__ import annotations

from pathlib import Path

import mercantile
from PIL import Image

from sightline.maps.upscaling.compact import build_compact
from sightline.maps.upscaling.upscale import write_fast
from sightline.task import Card
from tests.unit.tasks.ships.networks import network_model, png, put_ship, sea

ZOOM, COLUMN, ROW = 15, 16000, 12000
SIDE_PX = 256
SHIPS = ((119.5, 139.5, 0.0), (299.5, 255.5, 50.0), (419.5, 399.5, 90.0))
"""In pixels from the corner of the first tile; the one in the middle lies across four."""


def draw_tiles(root: Path, side: int) -> Path:
    """Tiles of `side` x `side`; the ships are in the first four, the others are all the same water."""
    pixels = sea(2 * SIDE_PX, 2 * SIDE_PX)
    for x, y, angle in SHIPS:
        put_ship(pixels, x, y, length=34, beam=10, angle_deg=angle)
    water = png(sea(SIDE_PX, SIDE_PX, seed=1))
    for column in range(side):
        folder = root / str(ZOOM) / str(COLUMN + column)
        folder.mkdir(parents=True)
        for row in range(side):
            path = folder / f"{ROW + row}.png"
            if max(column, row) < 2:
                part = pixels[SIDE_PX * row : SIDE_PX * (row + 1), SIDE_PX * column : SIDE_PX * (column + 1)]
                Image.fromarray(part).save(path)
            else:
                path.write_bytes(water)
    return root


def bbox(side: int) -> list[float]:
    """West, south, east, north of the first `side` x `side` tiles."""
    first = mercantile.bounds(COLUMN, ROW, ZOOM)
    last = mercantile.bounds(COLUMN + side - 1, ROW + side - 1, ZOOM)
    return [first.west, last.south, last.east, first.north]


def places() -> list[tuple[float, float]]:
    """Longitude and latitude of the ships."""
    bounds = mercantile.xy_bounds(COLUMN, ROW, ZOOM)
    pixel_m = (bounds.right - bounds.left) / SIDE_PX
    return [tuple(mercantile.lnglat(bounds.left + x * pixel_m, bounds.top - y * pixel_m)) for x, y, _ in SHIPS]


def save_model(root: Path) -> Path:
    folder = root / "saved"
    folder.mkdir()
    network_model().save(folder)
    return folder


def save_upscaler(root: Path) -> Path:
    """A network that has not been trained: it answers as its bicubic part does."""
    from safetensors.torch import save

    folder = root / "upscaler"
    folder.mkdir()
    shape = {"features": 8, "depth": 2}
    card = Card(
        **{"task": "ships", "candidate": "fast", "classes": (), "formats": ("image/png",), "thresholds": {}},
        provenance={"seed": 1},
        preprocessing={**shape, "factor": 4},
    )
    write_fast(folder, card, save(build_compact(**shape).state_dict()))
    return folder
