"""Vessels: their shape, and how they look from above. Levels are 0 .. 255 as displayed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sightline.geometry import Polygon
from sightline.tasks.ships.labels import Kind
from sightline.tasks.ships.synthetic.noise import Field
from sightline.tasks.ships.synthetic.sea import Picture

Build = Literal["tanker", "bulk", "container", "plain", "barge", "boat"]

SHIP_M, SMALL_M = 160.0, 45.0
"""A ship is at least, a small vessel at most this long."""

_FINE = 4  # a vessel is drawn on a grid this much finer than the picture
_REDS = ((200, 105, 85), (178, 92, 78), (160, 88, 80), (214, 120, 98))
_GREENS = ((104, 134, 110), (112, 128, 98), (120, 122, 84), (92, 120, 112))
_GREYS = ((166, 156, 146), (182, 162, 136), (140, 138, 136), (206, 196, 180), (84, 86, 88))
_BLUES = ((82, 102, 128), (98, 116, 132))
_WHITES = ((250, 250, 240), (238, 232, 216))
_PALETTES: dict[Build, tuple[tuple[tuple[int, int, int], ...], ...]] = {
    "tanker": (_REDS, _GREENS, _REDS, _GREYS),
    "bulk": (_REDS, _GREYS, _GREENS, _BLUES),
    "container": (_GREYS, _REDS, _BLUES),
    "plain": (_WHITES, _GREYS, _REDS),
    "barge": (_GREYS, _REDS, _GREYS),
    "boat": (_WHITES, _WHITES, _GREYS),
}


@dataclass(frozen=True)
class Hull:
    """One vessel in a scene.

    Attributes:
        x, y: its middle, in pixels of the scene.
        length_m, beam_m: overall.
        heading_deg: of its bow, clockwise from the top of the scene.
        build: what it looks like.
        kind: how it is labelled.
        gsd_m: of the scene.
        bow, stern: exponents of the superellipse; the larger, the blunter.
    """

    x: float
    y: float
    length_m: float
    beam_m: float
    heading_deg: float
    build: Build
    kind: Kind
    gsd_m: float
    bow: float = 2.6
    stern: float = 7.0

    @property
    def ahead(self) -> NDArray[np.float64]:
        """(2,) unit vector x, y from stern to bow."""
        angle = math.radians(self.heading_deg)
        return np.array([math.sin(angle), -math.cos(angle)])

    def half_beam(self, along: NDArray[np.float64]) -> NDArray[np.float64]:
        """Half of the width at `along` (-1 stern .. 1 bow), as a share of half of the beam."""
        power = np.where(along > 0, self.bow, self.stern)
        return np.asarray(np.maximum(0.0, 1 - np.abs(along) ** power) ** np.where(along > 0, 0.65, 0.5))

    def outline(self) -> Polygon:
        """(n, 2) corners in pixels of the scene."""
        along = np.cos(np.linspace(0, math.pi, 25))
        width = self.half_beam(along)
        side = np.concatenate([np.stack([along, width], 1), np.stack([along[::-1], -width[::-1]], 1)[1:-1]])
        forward = self.ahead * self.length_m / 2 / self.gsd_m
        right = np.array([-self.ahead[1], self.ahead[0]]) * self.beam_m / 2 / self.gsd_m
        return np.asarray([self.x, self.y] + side[:, :1] * forward + side[:, 1:] * right, dtype=np.float64)

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) of the outline, in pixels."""
        low, high = self.outline().min(axis=0), self.outline().max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def kind_of(length_m: float) -> Kind:
    """How a vessel in open water is labelled."""
    if length_m >= SHIP_M:
        return "ship"
    return "small" if length_m <= SMALL_M else "other"


def draw_hull(
    rng: np.random.Generator, length_m: float, at: tuple[float, float], heading_deg: float, gsd_m: float
) -> Hull:
    """A vessel of that length in open water, of a likely build and beam."""
    build: Build = "boat"
    if length_m > SMALL_M:
        shares = (0.32, 0.28, 0.2, 0.2, 0.0) if length_m >= SHIP_M else (0.2, 0.2, 0.08, 0.32, 0.2)
        builds: tuple[Build, ...] = ("tanker", "bulk", "container", "plain", "barge")
        build = builds[int(rng.choice(5, p=shares))]
    slender = rng.uniform(3, 5) if build in ("barge", "boat") else rng.uniform(4.8, 7.2) + (length_m > 250) * 0.5
    bow, stern = (9.0, 9.0) if build == "barge" else (rng.uniform(3.2, 8.0), rng.uniform(5, 10))
    beam_m = max(length_m / min(slender, 8.0), 5.0)
    return Hull(*at, length_m, beam_m, heading_deg % 360, build, kind_of(length_m), gsd_m, bow, stern)


# ----------------------------------------------------------------------------------------------------- painting


def paint_hull(rng: np.random.Generator, picture: Picture, hull: Hull, sun: NDArray[np.float64]) -> None:
    """Draw a vessel and its shadow into a picture; what lies outside the picture is left out.

    Args:
        rng: its random stream.
        picture: drawn into.
        hull: which one.
        sun: (2,) pixels by which something 10 m high throws its shadow, x and y.
    """
    reach = math.ceil(hull.length_m / 2 / hull.gsd_m + hull.beam_m / hull.gsd_m) + 4
    left, top = math.floor(hull.x) - reach, math.floor(hull.y) - reach
    side = (2 * reach + 1) * _FINE
    y, x = (np.indices((side, side)) + 0.5) / _FINE + np.array([top, left])[:, None, None]
    along, across = _own_axes(hull, x, y)
    inside = _coarse((np.abs(across) <= hull.half_beam(along)).astype(np.float32))
    height = np.float64(min(0.3 + hull.length_m / 400, 1.0))
    shaded = _coarse(_shadow(hull, x, y, sun * height))
    colours = _coarse(_deck(rng, hull, along, across) * (np.abs(across) <= hull.half_beam(along))[..., None])
    rows, columns = _window(picture.shape, top, left, 2 * reach + 1)
    inner = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    view = picture[rows, columns]
    view *= 1 - np.float32(rng.uniform(0.15, 0.45)) * (shaded * (1 - inside))[inner][..., None]
    view *= 1 - inside[inner][..., None]
    view += colours[inner]


def _window(shape: tuple[int, ...], top: int, left: int, side: int) -> tuple[slice, slice]:
    rows, columns = shape[:2]
    return (
        slice(min(max(top, 0), rows), max(min(top + side, rows), 0)),
        slice(min(max(left, 0), columns), max(min(left + side, columns), 0)),
    )


def _own_axes(
    hull: Hull, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels to (along, across): -1 .. 1 from stern to bow and from port to starboard."""
    right, down = (x - hull.x) * hull.gsd_m, (y - hull.y) * hull.gsd_m
    ahead = hull.ahead
    along = (right * ahead[0] + down * ahead[1]) / (hull.length_m / 2)
    across = (down * ahead[0] - right * ahead[1]) / (hull.beam_m / 2)
    return along, across


def _shadow(hull: Hull, x: NDArray[np.float64], y: NDArray[np.float64], sun: NDArray[np.float64]) -> Field:
    """The hull's outline drawn out along the shadow."""
    shaded = np.zeros(x.shape, dtype=bool)
    for share in (0.25, 0.5, 0.75, 1.0):
        along, across = _own_axes(hull, x - sun[0] * share, y - sun[1] * share)
        shaded |= np.abs(across) <= hull.half_beam(along)
    return shaded.astype(np.float32)


def _coarse(fine: Picture) -> Picture:
    """Means of _FINE x _FINE cells."""
    rows, columns = fine.shape[0] // _FINE, fine.shape[1] // _FINE
    cells = fine.reshape(rows, _FINE, columns, _FINE, *fine.shape[2:])
    return np.asarray(cells.mean(axis=(1, 3)), dtype=np.float32)


def _deck(rng: np.random.Generator, hull: Hull, along: NDArray[np.float64], across: NDArray[np.float64]) -> Picture:
    """(h, w, 3) colours of the deck and what stands on it."""
    palettes = _PALETTES[hull.build]
    palette = palettes[int(rng.integers(len(palettes)))]
    base = np.array(palette[int(rng.integers(len(palette)))]) * rng.uniform(0.85, 1.15) + rng.normal(0, 4, 3)
    colours = np.broadcast_to(base, (*along.shape, 3)).astype(np.float32)
    base += rng.uniform(0.1, 0.45) * (base.mean() - base)  # haze takes from the paint's colour
    cells = rng.normal(1, 0.07, (60, 9))  # worn paint and gear
    colours *= _looked_up(cells, along, across)[..., None]
    rim = np.abs(across) > hull.half_beam(along) - 2.4 / hull.beam_m
    colours[rim] += np.float32(rng.uniform(-25, 35))
    if hull.build == "tanker":
        _lay_pipes(rng, colours, along, across)
    elif hull.build == "bulk":
        _lay_hatches(rng, colours, along, across)
    elif hull.build == "container":
        _stack(rng, colours, along, across)
    if hull.build not in ("barge", "boat"):
        _build_up(rng, hull, colours, along, across)
    elif hull.build == "boat":
        colours[(np.abs(along + 0.1) < 0.35) & (np.abs(across) < 0.55)] *= np.float32(rng.uniform(0.7, 1.15))
    return colours


def _looked_up(
    cells: NDArray[np.float64], along: NDArray[np.float64], across: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Each place's cell of a table (n, m[, 3]) that is laid over the vessel."""
    rows = np.clip(((along + 1) / 2 * len(cells)).astype(np.int64), 0, len(cells) - 1)
    columns = np.clip(((across + 1) / 2 * cells.shape[1]).astype(np.int64), 0, cells.shape[1] - 1)
    return np.asarray(cells[rows, columns])


def _lay_pipes(
    rng: np.random.Generator, colours: Picture, along: NDArray[np.float64], across: NDArray[np.float64]
) -> None:
    """A tanker's pipes along the middle, its manifolds across, and a few bright things."""
    middle = (np.abs(across) < 0.1) & (along < 0.85)
    colours[middle] += np.float32(rng.uniform(-30, 45))
    manifold = (np.abs(along - rng.uniform(-0.15, 0.1)) < 0.03) & (np.abs(across) < 0.85)
    colours[manifold] += np.float32(rng.uniform(10, 70))
    for _ in range(rng.integers(0, 5)):
        spot = np.hypot((along - rng.uniform(-0.6, 0.8)) * 5, across - rng.uniform(-0.6, 0.6)) < 0.22
        colours[spot] = np.float32(rng.uniform(200, 250))


def _lay_hatches(
    rng: np.random.Generator, colours: Picture, along: NDArray[np.float64], across: NDArray[np.float64]
) -> None:
    """Hatch covers of a bulk carrier, paler or darker than the deck."""
    count = int(rng.integers(4, 10))
    phase = (along + 0.66) / 1.52 * count
    on_hatch = (np.abs(phase % 1 - 0.5) < 0.33) & (phase > 0) & (phase < count) & (np.abs(across) < 0.62)
    cover = np.array(_GREYS[int(rng.integers(len(_GREYS)))]) if rng.random() < 0.5 else np.full(3, 236.0)
    share = np.float32(rng.uniform(0.35, 0.95))
    colours[on_hatch] += share * (cover.astype(np.float32) - colours[on_hatch])
    if rng.random() < 0.5:
        gaps = (np.abs(phase % 1 - 0.5) > 0.42) & (phase > 0) & (phase < count) & (np.abs(across) < 0.4)
        colours[gaps] *= np.float32(0.35)


def _stack(rng: np.random.Generator, colours: Picture, along: NDArray[np.float64], across: NDArray[np.float64]) -> None:
    """Bays of containers, some of them empty."""
    bays = int(rng.integers(8, 18))
    pale = rng.uniform(0.2, 0.8)
    kinds = np.array([(225, 222, 214), (178, 96, 78), (92, 112, 140), (120, 118, 116), (66, 66, 70)])
    shares = np.array([pale, *[(1 - pale) / 4] * 4])
    table = kinds[rng.choice(5, (bays, 6), p=shares)] * rng.uniform(0.8, 1.1, (bays, 6, 1))
    laden = (along > -0.66) & (along < 0.86) & (np.abs(across) < 0.9)
    colours[laden] = _looked_up(table, along, across)[laden]
    phase = (along + 1) / 2 * bays
    colours[laden & (np.abs(phase % 1 - 0.5) > 0.4)] *= np.float32(rng.uniform(0.3, 0.8))


def _build_up(
    rng: np.random.Generator,
    hull: Hull,
    colours: Picture,
    along: NDArray[np.float64],
    across: NDArray[np.float64],
) -> None:
    """The bridge near the stern (rarely near the bow), its shadow on the deck, and a funnel."""
    long = rng.uniform(14, 26) / hull.length_m * 2
    start = rng.uniform(-0.95, -0.84) if rng.random() < 0.9 else rng.uniform(0.4, 0.6)
    house = (along > start) & (along < start + long) & (np.abs(across) < rng.uniform(0.7, 0.95))
    white = np.array([248, 243, 232]) * rng.uniform(0.85, 1.02)
    colours[house] = (white * _looked_up(rng.normal(1, 0.1, (60, 7)), along, across)[..., None])[house]
    if rng.random() < 0.65:
        gap = (along >= start + long) & (along < start + long + rng.uniform(5, 12) / hull.length_m * 2)
        colours[gap] *= np.float32(rng.uniform(0.15, 0.6))
    funnel = np.hypot((along - start - long * 0.3) * hull.length_m, across * hull.beam_m) < rng.uniform(5, 10)
    colours[funnel] = np.array(rng.choice(_REDS + _BLUES + ((60, 60, 60),)), dtype=np.float32)
    colours[(along > 0.86) & house.any()] += np.float32(rng.uniform(-30, 30))
