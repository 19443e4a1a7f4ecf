"""How vessels look from above: paint, hatches, pipes, containers, houses. Levels are 0 .. 255 as displayed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.synthetic.hulls import Build, Hull
from sightline.tasks.ships.synthetic.noise import Field
from sightline.tasks.ships.synthetic.sea import Picture

Colour = tuple[int, int, int]

_FINEST_M = 0.7  # vessels are drawn on a grid of about this pixel, 2 to 14 times finer than the picture's
_REDS: tuple[Colour, ...] = ((200, 105, 85), (178, 92, 78), (160, 88, 80), (214, 120, 98), (206, 84, 56))
_GREENS: tuple[Colour, ...] = ((104, 134, 110), (84, 128, 92), (120, 122, 84), (92, 120, 112))
_GREYS: tuple[Colour, ...] = ((166, 156, 146), (182, 162, 136), (140, 138, 136), (206, 196, 180), (84, 86, 88))
_BLUES: tuple[Colour, ...] = ((82, 102, 128), (98, 116, 132), (56, 84, 128))
_WHITES: tuple[Colour, ...] = ((250, 250, 240), (238, 232, 216))
_DARKS: tuple[Colour, ...] = ((58, 56, 54), (76, 70, 64), (44, 50, 60), (96, 82, 68))
_PALETTES: dict[Build, tuple[tuple[Colour, ...], ...]] = {
    "tanker": (_REDS, _GREENS, _REDS, _GREYS),
    "bulk": (_REDS, _GREYS, _GREENS, _BLUES),
    "container": (_GREYS, _REDS, _BLUES),
    "cargo": (_WHITES, _GREYS, _REDS, _GREENS, _DARKS),
    "ferry": (_WHITES, _WHITES, _GREYS, _BLUES),
    "barge": (_GREYS, _REDS, _DARKS, _DARKS),
    "tug": (_REDS, _DARKS, _GREYS, _BLUES),
    "supply": (_REDS, _GREENS, _BLUES, _GREYS),
    "fishing": (_WHITES, _BLUES, _GREYS, _REDS, _GREENS),
    "yacht": (_WHITES, _WHITES, _WHITES, _BLUES),
    "boat": (_WHITES, _WHITES, _GREYS, _DARKS),
}


@dataclass(frozen=True)
class _Deck:
    """What is painted: colours (h, w, 3) at places along (-1 stern .. 1 bow) and across (-1 .. 1) the vessel."""

    hull: Hull
    colours: Picture
    along: Field
    across: Field

    def looked_up(self, cells: NDArray[np.float64]) -> Picture:
        """Each place's cell of a table (n, m[, 3]) that is laid over the vessel."""
        rows = np.clip(((self.along + 1) / 2 * len(cells)).astype(np.int64), 0, len(cells) - 1)
        columns = np.clip(((self.across + 1) / 2 * cells.shape[1]).astype(np.int64), 0, cells.shape[1] - 1)
        return np.asarray(cells[rows, columns], dtype=np.float32)

    def share_of(self, metres: float) -> float:
        """A length as `along` counts it."""
        return 2 * metres / self.hull.length_m

    def apart_m(self, along: float, across: float = 0.0) -> Field:
        """Metres from a place on the vessel."""
        right = (self.across - np.float32(across)) * np.float32(self.hull.beam_m / 2)
        return np.asarray(np.hypot((self.along - np.float32(along)) * np.float32(self.hull.length_m / 2), right))


def paint_hull(rng: np.random.Generator, picture: Picture, hull: Hull, sun: NDArray[np.float64]) -> None:
    """Draw a vessel and its shadow into a picture; what lies outside the picture is left out.

    Args:
        rng: its random stream.
        picture: drawn into.
        hull: which one.
        sun: (2,) pixels by which something 10 m high throws its shadow, x and y.
    """
    fine = int(np.clip(math.ceil(hull.gsd_m / _FINEST_M), 2, 14))
    thrown = sun * min(0.3 + hull.length_m / 400, 1.0)
    left, top, wide, high = _frame(hull, thrown)
    y, x = (np.indices((high * fine, wide * fine), dtype=np.float32) + 0.5) / np.float32(fine)
    x, y = x + np.float32(left), y + np.float32(top)
    along, across = _own_axes(hull, x, y)
    solid = _solid(hull, along, across, hull.gsd_m / fine)
    inside, shaded = _coarse(solid, fine), _coarse(_shadow(hull, x, y, thrown) * (1 - solid), fine)
    colours = _coarse(_painted(rng, hull, along, across) * solid[..., None], fine)
    rows, columns = _window(picture.shape, (left, top, wide, high))
    inner = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    view = picture[rows, columns]
    view *= 1 - (inside + np.float32(rng.uniform(0.15, 0.55)) * shaded)[inner][..., None]
    view += colours[inner]


def _frame(hull: Hull, thrown: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """Left, top, width and height in pixels of what a vessel and its shadow touch."""
    outline = hull.outline()
    both = np.concatenate([outline, outline + thrown])
    left, top = (math.floor(value) - 1 for value in both.min(axis=0))
    right, bottom = (math.ceil(value) + 1 for value in both.max(axis=0))
    return left, top, right - left, bottom - top


def _window(shape: tuple[int, ...], frame: tuple[int, int, int, int]) -> tuple[slice, slice]:
    left, top, wide, high = frame
    rows, columns = shape[:2]
    return (
        slice(min(max(top, 0), rows), max(min(top + high, rows), 0)),
        slice(min(max(left, 0), columns), max(min(left + wide, columns), 0)),
    )


def _own_axes(hull: Hull, x: Field, y: Field) -> tuple[Field, Field]:
    """Pixels to (along, across): -1 .. 1 from stern to bow and from port to starboard."""
    right, down = x - np.float32(hull.x), y - np.float32(hull.y)
    ahead = hull.ahead.astype(np.float32)
    along = (right * ahead[0] + down * ahead[1]) * np.float32(2 * hull.gsd_m / hull.length_m)
    across = (down * ahead[0] - right * ahead[1]) * np.float32(2 * hull.gsd_m / hull.beam_m)
    return along, across


def _solid(hull: Hull, along: Field, across: Field, step_m: float) -> Field:
    """0 .. 1, how much of each place of a grid of `step_m` the hull covers."""
    steps = hull.beam_m / 2 / step_m
    half, aside = hull.half_beam(along) * steps, np.abs(across) * steps
    return np.asarray(np.clip(np.minimum(half, aside + 0.5) - np.maximum(-half, aside - 0.5), 0, 1), dtype=np.float32)


def _shadow(hull: Hull, x: Field, y: Field, thrown: NDArray[np.float64]) -> Field:
    """The hull's outline drawn out along the shadow."""
    shaded = np.zeros(x.shape, dtype=bool)
    for share in (0.25, 0.5, 0.75, 1.0):
        along, across = _own_axes(hull, x - np.float32(thrown[0] * share), y - np.float32(thrown[1] * share))
        shaded |= np.abs(across) <= hull.half_beam(along)
    return shaded.astype(np.float32)


def _coarse(values: Picture, fine: int) -> Picture:
    """Means of fine x fine cells."""
    rows, columns = values.shape[0] // fine, values.shape[1] // fine
    cells = values.reshape(rows, fine, columns, fine, *values.shape[2:])
    return np.asarray(cells.mean(axis=(1, 3)), dtype=np.float32)


def _painted(rng: np.random.Generator, hull: Hull, along: Field, across: Field) -> Picture:
    """(h, w, 3) colours of the deck and what stands on it."""
    palettes = _PALETTES[hull.build]
    palette = palettes[int(rng.integers(len(palettes)))]
    base = np.array(palette[int(rng.integers(len(palette)))]) * rng.uniform(0.8, 1.15) + rng.normal(0, 4, 3)
    base += rng.uniform(0.0, 0.4) * (base.mean() - base)  # haze takes from the paint's colour
    deck = _Deck(hull, np.empty((*along.shape, 3), dtype=np.float32), along, across)
    deck.colours[:] = base * deck.looked_up(rng.normal(1, 0.07, (60, 9)))[..., None]  # worn paint and gear
    rim = np.abs(across) > hull.half_beam(along) - 2.4 / max(hull.beam_m, 8)
    deck.colours[rim] += np.float32(rng.choice((-1, 1)) * rng.uniform(12, 36))
    for paint in _LAYERS[hull.build]:
        paint(rng, deck)
    return deck.colours


# ------------------------------------------------------------------------------------------------------- layers


def _lay_pipes(rng: np.random.Generator, deck: _Deck) -> None:
    """A tanker's pipes along the middle, its manifolds across, and a few bright things."""
    middle = (np.abs(deck.across) < 0.1) & (deck.along < 0.85)
    deck.colours[middle] += np.float32(rng.uniform(-30, 45))
    manifold = (np.abs(deck.along - rng.uniform(-0.15, 0.1)) < 0.03) & (np.abs(deck.across) < 0.85)
    deck.colours[manifold] += np.float32(rng.uniform(10, 70))
    for _ in range(rng.integers(0, 5)):
        spot = np.hypot((deck.along - rng.uniform(-0.6, 0.8)) * 5, deck.across - rng.uniform(-0.6, 0.6)) < 0.22
        deck.colours[spot] = np.float32(rng.uniform(200, 250))


def _lay_hatches(rng: np.random.Generator, deck: _Deck) -> None:
    """Hatch covers, paler or darker than the deck."""
    count = int(rng.integers(2, 5 if deck.hull.length_m < 120 else 10))
    phase = (deck.along + 0.66) / 1.52 * count
    on_hatch = (np.abs(phase % 1 - 0.5) < 0.33) & (phase > 0) & (phase < count) & (np.abs(deck.across) < 0.62)
    cover = np.array(_GREYS[int(rng.integers(len(_GREYS)))]) if rng.random() < 0.5 else np.full(3, 236.0)
    share = np.float32(rng.uniform(0.35, 0.95))
    deck.colours[on_hatch] += share * (cover.astype(np.float32) - deck.colours[on_hatch])
    if rng.random() < 0.5:
        gaps = (np.abs(phase % 1 - 0.5) > 0.42) & (phase > 0) & (phase < count) & (np.abs(deck.across) < 0.4)
        deck.colours[gaps] *= np.float32(0.35)


def _stack(rng: np.random.Generator, deck: _Deck) -> None:
    """Bays of containers, some of them empty."""
    bays = int(np.clip(deck.hull.length_m / 14, 4, 24))
    pale = rng.uniform(0.1, 0.8)
    kinds = np.array([(225, 222, 214), (188, 84, 62), (76, 104, 150), (206, 160, 110), (66, 66, 70)])
    shares = np.array([pale, *[(1 - pale) / 4] * 4])
    table = kinds[rng.choice(5, (bays, 7), p=shares)] * rng.uniform(0.75, 1.1, (bays, 7, 1))
    table[rng.random(bays) < rng.uniform(0, 0.4)] *= 0.4
    laden = (deck.along > -0.7) & (deck.along < 0.86) & (np.abs(deck.across) < 0.92)
    deck.colours[laden] = deck.looked_up(table)[laden]
    phase = (deck.along + 1) / 2 * bays
    deck.colours[laden & (np.abs(phase % 1 - 0.5) > 0.4)] *= np.float32(rng.uniform(0.3, 0.8))


def _build_up(rng: np.random.Generator, deck: _Deck) -> None:
    """The bridge near the stern (rarely near the bow), its shadow on the deck, and a funnel."""
    long = deck.share_of(min(rng.uniform(14, 26), 0.18 * deck.hull.length_m))
    start = rng.uniform(-0.95, -0.84) if rng.random() < 0.88 else rng.uniform(0.4, 0.6)
    _raise_house(rng, deck, (start, start + long), rng.uniform(0.7, 0.95))
    if rng.random() < 0.65:
        gap = (deck.along >= start + long) & (deck.along < start + long + deck.share_of(rng.uniform(5, 12)))
        deck.colours[gap] *= np.float32(rng.uniform(0.15, 0.6))
    funnel = deck.apart_m(start + long * 0.3) < min(rng.uniform(2.5, 5), 0.2 * deck.hull.beam_m)
    deck.colours[funnel] = np.array(rng.choice(_REDS + _BLUES + ((60, 60, 60),)), dtype=np.float32)
    deck.colours[deck.along > 0.86] += np.float32(rng.uniform(-30, 30))


def _raise_house(rng: np.random.Generator, deck: _Deck, along: tuple[float, float], across: float) -> None:
    """A white house over a part of the deck."""
    house = (deck.along > along[0]) & (deck.along < along[1]) & (np.abs(deck.across) < across)
    white = np.array([248, 243, 232]) * rng.uniform(0.8, 1.02)
    deck.colours[house] = (white * deck.looked_up(rng.normal(1, 0.1, (60, 7)))[..., None])[house]


def _house_over_all(rng: np.random.Generator, deck: _Deck) -> None:
    """A ferry or a cruise ship: decks of cabins from bow to stern, some open behind, and a funnel."""
    back = rng.uniform(-0.95, -0.4)
    _raise_house(rng, deck, (back, rng.uniform(0.55, 0.85)), rng.uniform(0.8, 1.0))
    if rng.random() < 0.5:
        stripe = (np.abs(deck.across) < 0.25) & (deck.along > back) & (deck.along < 0.5)
        deck.colours[stripe] *= np.array(rng.uniform(0.65, 1.0, 3), dtype=np.float32)
    funnel = deck.apart_m(rng.uniform(-0.5, 0.0)) < min(0.17 * deck.hull.beam_m, 5)
    deck.colours[funnel] = np.array(rng.choice(_REDS + _BLUES + ((60, 60, 60),)), dtype=np.float32)
    deck.colours[deck.along < back] *= np.float32(rng.uniform(0.4, 0.9))


def _load(rng: np.random.Generator, deck: _Deck) -> None:
    """A barge's hold: heaps of sand, ore or scrap, a flat load, or nothing but its dark floor."""
    hold = (np.abs(deck.along) < 0.86) & (np.abs(deck.across) < 0.8)
    choice = rng.random()
    if choice < 0.45:
        heaps = np.cos(deck.along * rng.uniform(6, 16)) * 0.3 + 0.7 - 0.35 * np.abs(deck.across)
        colour = np.array([(206, 184, 146), (96, 84, 76), (150, 106, 84), (60, 60, 62)][rng.integers(4)])
        deck.colours[hold] = (colour.astype(np.float32) * heaps[..., None])[hold]
    elif choice < 0.75:
        deck.colours[hold] *= np.float32(rng.uniform(0.35, 0.8))
    if rng.random() < 0.35:
        _raise_house(rng, deck, (-0.92, -0.92 + deck.share_of(min(8.0, 0.2 * deck.hull.length_m))), 0.7)


def _house_ahead(rng: np.random.Generator, deck: _Deck) -> None:
    """A tug or a supply vessel: the house ahead of the middle, a working deck behind it."""
    if deck.hull.build == "tug":
        _raise_house(rng, deck, (rng.uniform(-0.35, -0.1), rng.uniform(0.3, 0.5)), rng.uniform(0.5, 0.75))
        funnels = deck.apart_m(-0.25, 0.35) < 1.2
        deck.colours[funnels] = 60
    else:
        _raise_house(rng, deck, (rng.uniform(0.25, 0.4), rng.uniform(0.7, 0.85)), rng.uniform(0.75, 0.95))
    work = (deck.along < -0.3) & (np.abs(deck.across) < 0.8)
    deck.colours[work] *= np.float32(rng.uniform(0.5, 1.1))


def _house_somewhere(rng: np.random.Generator, deck: _Deck) -> None:
    """A boat, a yacht or a fishing vessel: one house, a darker cockpit or working deck."""
    start = rng.uniform(-0.6, 0.1)
    work = (np.abs(deck.along + rng.uniform(0.1, 0.6)) < rng.uniform(0.15, 0.35)) & (np.abs(deck.across) < 0.7)
    deck.colours[work] *= np.float32(rng.uniform(0.45, 1.0))
    _raise_house(rng, deck, (start, start + rng.uniform(0.2, 0.6)), rng.uniform(0.45, 0.75))


_LAYERS = {
    "tanker": (_lay_pipes, _build_up),
    "bulk": (_lay_hatches, _build_up),
    "container": (_stack, _build_up),
    "cargo": (_lay_hatches, _build_up),
    "ferry": (_house_over_all,),
    "barge": (_load,),
    "tug": (_house_ahead,),
    "supply": (_house_ahead,),
    "fishing": (_house_somewhere,),
    "yacht": (_house_somewhere,),
    "boat": (_house_somewhere,),
}
