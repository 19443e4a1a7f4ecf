"""Chips out of a made-up scene, as the published set has them: a ship in the middle, or one of three kinds without.

ship     a vessel in the middle
empty    water, or land and what stands on it
part     a vessel that is cut off by the chip's edge, its middle far from the chip's
clutter  bright or strongly lined things that are no vessel: piers, wakes, roofs, clouds
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sightline.tasks.ships.chips import CHIP_PX
from sightline.tasks.ships.synthetic.hulls import SMALL_M, Hull
from sightline.tasks.ships.synthetic.scene import Scene

ChipKind = Literal["ship", "empty", "part", "clutter"]
KINDS: tuple[ChipKind, ...] = ("ship", "empty", "part", "clutter")

_TRIES = 400
_LEAST_M = 75.0  # 25 px; what is shorter is hardly told from a boat
_STEP_PX = 8  # grid on which places of clutter are looked for
_OFF_PX = 26  # a chip whose middle is as far from a vessel's does not show it in the middle


@dataclass(frozen=True)
class Cut:
    """The place of a chip: the pixel (x, y) of its middle, and what it shows."""

    kind: ChipKind
    x: int
    y: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the scene."""
        half = CHIP_PX // 2
        return slice(self.y - half, self.y + half), slice(self.x - half, self.x + half)


def cut_chips(rng: np.random.Generator, scene: Scene, counts: dict[ChipKind, int]) -> list[Cut]:
    """Up to as many chips of each kind as asked for, no two at one place; fewer where the scene has no room."""
    found: dict[tuple[int, int], Cut] = {}
    for kind, count in counts.items():
        places = _PLACES[kind](rng, scene)
        wanted = len(found) + count
        for _, (x, y) in zip(range(_TRIES), places, strict=False):
            if len(found) >= wanted:
                break
            if _in_frame(scene, x, y) and (x, y) not in found and _fits(kind, scene, x, y):
                found[x, y] = Cut(kind, x, y)
    return list(found.values())


def _in_frame(scene: Scene, x: int, y: int) -> bool:
    height, width = scene.pixels.shape[:2]
    half = CHIP_PX // 2
    return bool(half <= x <= width - half and half <= y <= height - half)


def _fits(kind: ChipKind, scene: Scene, x: int, y: int) -> bool:
    """No vessel beside what the kind shows; small ones do not count, nor what is moored far from the middle."""
    half = CHIP_PX / 2
    for hull in scene.vessels:
        apart = math.hypot(hull.x - x, hull.y - y)
        if kind in ("part", "clutter") and apart < _OFF_PX:
            return False
        if kind == "ship" or (kind == "part" and apart >= _OFF_PX):
            continue
        if _overlaps(hull.bbox, x, y, half) and (kind == "empty" or hull.kind in ("ship", "other")):
            return False
    return True


def _overlaps(bbox: tuple[float, float, float, float], x: float, y: float, half: float) -> bool:
    """Whether a box reaches into the square around a place."""
    x0, y0, x1, y1 = bbox
    return x0 < x + half and x1 > x - half and y0 < y + half and y1 > y - half


# ------------------------------------------------------------------------------------------------------- places


def _of_ships(rng: np.random.Generator, scene: Scene) -> Iterator[tuple[int, int]]:
    """Middles of the longer vessels in open water, each once, then again a little off."""
    vessels = [hull for hull in _large(scene) if hull.length_m >= _LEAST_M]
    while vessels:
        for number in rng.permutation(len(vessels)):
            off = rng.normal(0, 2.5, 2)
            yield round(vessels[number].x + off[0]), round(vessels[number].y + off[1])


def _large(scene: Scene) -> list[Hull]:
    return [hull for hull in scene.vessels if hull.kind in ("ship", "other") and hull.length_m > SMALL_M]


def _of_parts(rng: np.random.Generator, scene: Scene) -> Iterator[tuple[int, int]]:
    """Beside a vessel, so that the edge of the chip cuts it."""
    vessels = _large(scene)
    while vessels:
        hull = vessels[int(rng.integers(len(vessels)))]
        outline = hull.outline()
        corner = outline[int(rng.integers(len(outline)))]
        off = rng.uniform(-CHIP_PX / 2 + 3, CHIP_PX / 2 - 3, 2)
        x, y = round(corner[0] + off[0]), round(corner[1] + off[1])
        reach = np.abs(outline - (x, y)).max(axis=1)
        if (reach < CHIP_PX / 2).any() and (reach > CHIP_PX / 2).any():
            yield x, y


def _anywhere(rng: np.random.Generator, scene: Scene) -> Iterator[tuple[int, int]]:
    height, width = scene.pixels.shape[:2]
    while True:
        yield int(rng.integers(width)), int(rng.integers(height))


def _of_clutter(rng: np.random.Generator, scene: Scene) -> Iterator[tuple[int, int]]:
    """Where the picture has its strongest edges beside vessels, the strongest more often."""
    import cv2

    grey = scene.pixels.mean(axis=2).astype(np.float32)
    edges = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    busy = cv2.blur(np.minimum(edges, 200), (25, 25))[::_STEP_PX, ::_STEP_PX]
    weights = np.asarray(busy, dtype=np.float64).ravel() ** 1.5
    order = rng.choice(weights.size, min(weights.size, _TRIES), replace=False, p=weights / weights.sum())
    for number in order:
        yield int(number % busy.shape[1]) * _STEP_PX, int(number // busy.shape[1]) * _STEP_PX


_PLACES = {"ship": _of_ships, "empty": _anywhere, "part": _of_parts, "clutter": _of_clutter}
