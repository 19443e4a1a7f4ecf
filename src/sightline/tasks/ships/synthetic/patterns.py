"""What is repeated on land and quays: houses, sheds, containers, cars, tanks, boats in a marina, cages of a fish farm.

Each is a function of places (metres along and out, float32) that says the colour there and whether anything is drawn,
so it costs the same for a town as for a yard and looks right at any size of pixel. What varies from cell to cell is
hashed from the cell's numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.synthetic.ground import Pattern, Places

_TILES = np.array([(186, 128, 104), (168, 116, 96), (198, 148, 124), (152, 108, 92)], dtype=np.float32)
_ROOFS = np.array(
    [(232, 228, 218), (206, 196, 182), (176, 150, 126), (150, 140, 132), (196, 176, 152), (120, 110, 104)],
    dtype=np.float32,
)
_SHEDS = np.array(
    [(244, 243, 238), (232, 230, 224), (214, 212, 206), (184, 184, 182), (150, 154, 156), (164, 124, 106)],
    dtype=np.float32,
)
_CONTAINERS = np.array(
    [(182, 84, 62), (150, 60, 52), (62, 86, 128), (52, 60, 78), (226, 222, 214), (208, 150, 84), (84, 110, 92)],
    dtype=np.float32,
)
_CARS = np.array([(240, 240, 238), (190, 190, 190), (120, 122, 126), (40, 42, 46), (150, 60, 54), (70, 92, 140)])
_HULLS = np.array([(246, 245, 240), (236, 232, 222), (214, 214, 212), (120, 140, 170)], dtype=np.float32)
_GREENS = np.array([(82, 92, 58), (64, 78, 50), (104, 104, 70)], dtype=np.float32)

Drawn = tuple[NDArray[np.float32], NDArray[np.bool_]]


def _hashed(seed: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float32]:
    """0 .. 1, as if drawn at random for each pair of numbers (the finaliser of MurmurHash3)."""
    mixed = first.astype(np.uint32) * np.uint32(0x9E3779B1)
    mixed ^= second.astype(np.uint32) * np.uint32(0x85EBCA77) + np.uint32(seed)
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return np.asarray(mixed / np.float32(2**32), dtype=np.float32)


class _Cells:
    """A grid of cells, each row moved by an amount of its own.

    Attributes:
        row, column: (n,) the cell of each place.
        along, out: (n,) metres from the cell's corner.
    """

    def __init__(self, rng: np.random.Generator, along: Places, out: Places, size: tuple[float, float]) -> None:
        self._seed = int(rng.integers(2**31))
        long, deep = (np.float32(side) for side in size)
        self.row = np.floor(out / deep).astype(np.int64)
        moved = along + long * _hashed(self._seed, self.row, np.zeros_like(self.row))
        self.column = np.floor(moved / long).astype(np.int64)
        self.along, self.out = moved - long * self.column, out - deep * self.row

    def chance(self, number: int = 0) -> NDArray[np.float32]:
        """0 .. 1 for each place, the same in a cell."""
        return _hashed(self._seed + 7919 * (number + 1), self.row, self.column)

    def colour(self, palette: NDArray[np.float32], number: int, spread: float) -> NDArray[np.float32]:
        """(n, 3) one of the palette for each cell, lighter or darker by up to `spread`."""
        chosen = palette[np.minimum((self.chance(number) * len(palette)).astype(int), len(palette) - 1)]
        light = 1 + np.float32(spread) * (self.chance(number + 1) * 2 - 1)
        return np.asarray(chosen * light[:, None], dtype=np.float32)


def houses(rng: np.random.Generator, along: Places, out: Places) -> Drawn:
    """A town: blocks of roofs, with streets that lie in shadow, courts and gardens."""
    blocks = _Cells(rng, along, out, (rng.uniform(55, 140), rng.uniform(36, 75)))
    homes = _Cells(rng, blocks.along + 997 * blocks.column, blocks.out + 499 * blocks.row, (rng.uniform(8, 15), 11.0))
    palette = np.concatenate([np.repeat(_TILES, int(rng.integers(0, 4)), axis=0), _ROOFS])
    colours = homes.colour(palette.astype(np.float32), 0, 0.2)
    colours[homes.chance(2) < rng.uniform(0.08, 0.25)] = (78, 74, 68)
    gardens = (homes.chance(3) < rng.uniform(0.02, 0.25)) | (blocks.chance(0) < 0.06)
    colours[gardens] = homes.colour(_GREENS, 4, 0.2)[gardens]
    street = np.float32(rng.uniform(5, 9))
    lies, runs = blocks.out < street, blocks.along < street
    colours[lies | runs] = (140, 136, 130)
    colours[(lies & (blocks.out > street * 0.35)) | (runs & ~lies & (blocks.along < street * 0.5))] = (62, 60, 58)
    avenues = _Cells(rng, along, out + 40 * np.sin(along / 170), (rng.uniform(250, 600), rng.uniform(220, 450)))
    colours[(avenues.along < 15) | (avenues.out < 17)] = (158, 152, 144)
    parks = (avenues.chance(0) < 0.1) & (avenues.along > 100) & (avenues.out > 80)
    colours[parks] = homes.colour(_GREENS, 6, 0.25)[parks]
    return colours, np.ones(along.shape, dtype=bool)


def sheds(rng: np.random.Generator, along: Places, out: Places) -> Drawn:
    """Large roofs in yards, each with its shadow."""
    yards = _Cells(rng, along, out, (rng.uniform(90, 260), rng.uniform(60, 120)))
    parts = np.array((rng.uniform(20, 70), rng.uniform(18, 45)), dtype=np.float32)
    cells = _Cells(rng, yards.along + 997 * yards.column, yards.out + 499 * yards.row, (parts[0], parts[1]))
    deep, long = 4 + 0.4 * parts[1] * cells.chance(1), 5 + 0.4 * parts[0] * cells.chance(2)
    stands = (cells.chance(0) < 0.2 + 0.7 * yards.chance(0)) & (yards.along > 14) & (yards.out > 12)
    roof = (cells.along > long) & (cells.out > deep) & stands
    shade = (cells.along > long - 4) & (cells.out > deep - 4) & stands & ~roof
    colours = np.full((len(along), 3), (172, 166, 156), dtype=np.float32)
    colours[roof] = cells.colour(_SHEDS, 3, 0.12)[roof]
    colours[roof & (np.floor(cells.along / 6) % 2 == 0)] *= np.float32(rng.uniform(0.9, 1.0))
    colours[shade] = (58, 58, 60)
    streets = (yards.along < 9) | (yards.out < 8)
    colours[streets] = (146, 144, 140)
    return colours, roof | shade | streets | (yards.chance(1) < 0.5)


def containers(rng: np.random.Generator, along: Places, out: Places) -> Drawn:
    """Stacks in rows, with lanes for the cranes that move them."""
    lanes = _Cells(rng, along, out, (1e6, rng.uniform(18, 30)))
    bays = _Cells(rng, along + 97 * lanes.row, lanes.out + 499 * lanes.row, (12.8, 2.7))
    pale = int(rng.integers(0, 6))
    palette = np.concatenate([_CONTAINERS, np.repeat(_CONTAINERS[4:5], pale, axis=0)])
    colours = bays.colour(palette.astype(np.float32), 0, 0.25)
    colours[(bays.along > 12.1) | (bays.out > 2.5)] *= np.float32(0.45)
    lane = lanes.out < rng.uniform(5, 9)
    blocks = _Cells(rng, along, lanes.row.astype(np.float32), (rng.uniform(60, 160), 1.0))
    empty = (blocks.chance(0) < rng.uniform(0, 0.25)) | (blocks.along < 9) | (bays.chance(2) < 0.08)
    colours[lane & (lanes.out > 2)] = np.float32(rng.uniform(60, 120))
    return colours, (~lane | (lanes.out > 2)) & ~empty


def cars(rng: np.random.Generator, along: Places, out: Places) -> Drawn:
    """Cars or trailers parked in double rows."""
    scale = np.float32(rng.choice((1.0, 1.0, 2.6)))
    rows = _Cells(rng, along, out, (1e6, float(17 * scale)))
    places = _Cells(rng, along, rows.row * 2.0 + (rows.out > 5 * scale), (float(2.6 * scale), 1.0))
    stands = np.where(rows.out > 5 * scale, rows.out - 5 * scale, rows.out)
    drawn = (rows.out < 10 * scale) & (stands > 0.4 * scale) & (places.along < 1.9 * scale)
    drawn &= places.chance(0) < rng.uniform(0.4, 0.95)
    return places.colour(_CARS.astype(np.float32), 1, 0.15), drawn


def tank_farm(shade_m: NDArray[np.float64], axes_angle_rad: float) -> Pattern:
    """Round tanks with a bright top, each with a shadow in the direction `shade_m` (x, y)."""
    turned = complex(*shade_m) * np.exp(-1j * axes_angle_rad)

    def tanks(rng: np.random.Generator, along: Places, out: Places) -> Drawn:
        side = rng.uniform(24, 60)
        cells = _Cells(rng, along, out, (side, side))
        radius = np.float32(side) * (0.28 + 0.16 * cells.chance(0))
        right, down = cells.along - np.float32(side / 2), cells.out - np.float32(side / 2)
        top = np.hypot(right, down) < radius
        shade = np.hypot(right - np.float32(turned.real), down - np.float32(turned.imag)) < radius
        stands = cells.chance(1) < 0.85
        colours = np.full((len(along), 3), (50, 50, 52), dtype=np.float32)
        colours[top] = cells.colour(_SHEDS[:2], 2, 0.08)[top]
        colours[top & (np.hypot(right, down) > radius - 1.5)] *= np.float32(0.85)
        return colours, (top | shade) & stands

    return tanks


def marina(rng: np.random.Generator, along: Places, out: Places) -> Drawn:
    """Floating piers that lead out, with boats of 8 to 16 m on both sides; water between."""
    rows = _Cells(rng, out, along, (1e6, rng.uniform(30, 46)))
    aside = np.abs(rows.out - np.float32(22.0)) - 1.0
    berths = _Cells(rng, out, rows.row * 2.0 + (rows.out > 22), (rng.uniform(3.6, 5.0), 1.0))
    length = 8 + 6 * berths.chance(0)
    narrow = np.float32(1.7) * (1 - np.clip((aside - 0.6 * length) / (0.5 * length), 0, 1))
    boat = (aside > 0.5) & (aside < length) & (np.abs(berths.along - 2) < narrow) & (berths.chance(1) < 0.85)
    pontoon = aside <= 0
    colours = berths.colour(_HULLS, 2, 0.12)
    colours[boat & (np.abs(aside - 0.4 * length) < 0.15 * length)] *= np.float32(0.75)
    colours[pontoon] = (176, 168, 156)
    return colours, boat | pontoon


def fish_farm(rng: np.random.Generator, along: Places, out: Places) -> Drawn:
    """Round cages in a grid: rings of pipe with a net inside that darkens the water."""
    side = rng.uniform(34, 60)
    along_cell, out_cell = along % np.float32(side), out % np.float32(side)
    radius = np.float32(side * rng.uniform(0.24, 0.4))
    apart = np.hypot(along_cell - np.float32(side / 2), out_cell - np.float32(side / 2))
    ring = np.abs(apart - radius) < rng.uniform(0.7, 1.6)
    colours = np.full((len(along), 3), rng.uniform(90, 220), dtype=np.float32)
    buoys = np.hypot(np.minimum(along_cell, side - along_cell), np.minimum(out_cell, side - out_cell)) < 1.2
    return colours, ring | buoys
