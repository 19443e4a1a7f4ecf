"""What land and things built in the water are drawn on: a canvas in metres. Colours are 0 .. 255 as displayed.

Places are metres from the scene's upper left corner, x to the right and y down. All is drawn finer than the scene's
pixels and averaged, so that a thing smaller than a pixel covers the share of it that it should.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.synthetic.noise import Field

Canvas: TypeAlias = NDArray[np.uint8]
"""(h, w, 3) RGB, or (h, w) cover of 0 .. 255."""
Places: TypeAlias = NDArray[np.float32]
"""(n,) metres along one of the axes of a pattern."""
Pattern: TypeAlias = Callable[[np.random.Generator, Places, Places], tuple[NDArray[np.float32], NDArray[np.bool_]]]
"""Of places (n,) along and out: colours (n, 3), and which of the places are drawn."""

CONCRETE = (200, 190, 174)
ROCK = (150, 136, 118)

_SHIFT = 4  # bits of a pixel that corners are given in
_COARSE_M = 1.7  # from pixels of this size on the canvas is twice as fine


@dataclass(frozen=True)
class Axes:
    """Axes turned with a coast or a quay: `along` it, and `out` to the sea. Unit vectors x, y; the origin in metres."""

    origin: NDArray[np.float64]
    along: NDArray[np.float64]
    out: NDArray[np.float64]

    def at(self, along: float, out: float) -> NDArray[np.float64]:
        """(2,) metres x, y of a place in these axes."""
        return np.asarray(self.origin + along * self.along + out * self.out)

    def rectangle(self, along: tuple[float, float], out: tuple[float, float]) -> NDArray[np.float64]:
        """(4, 2) corners."""
        (a0, a1), (b0, b1) = along, out
        return np.array([self.at(a0, b0), self.at(a1, b0), self.at(a1, b1), self.at(a0, b1)])

    def moved(self, along: float, out: float, turned_rad: float = 0.0) -> Axes:
        """Axes of the same kind elsewhere, turned."""
        angle = math.atan2(self.out[1], self.out[0]) + turned_rad
        place = self.at(along, out)
        return axes_of((float(place[0]), float(place[1])), angle)


def axes_of(origin: tuple[float, float], out_rad: float) -> Axes:
    """Axes whose `out` points in the direction `out_rad`, from x towards y."""
    out = np.array([math.cos(out_rad), math.sin(out_rad)])
    return Axes(np.array(origin), np.array([-out[1], out[0]]), out)


@dataclass(frozen=True)
class Berth:
    """A straight edge to moor at: (x, y) of its ends in metres, and the unit vector from it to the water.

    Attributes:
        lie: what lies there: anything, tankers, or rows of small vessels with their sterns to the edge.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    out: NDArray[np.float64]
    lie: Literal["any", "tankers", "rows"] = "any"


@dataclass
class Ground:
    """Land and what is built in the water; what reaches out above vessels is on another canvas.

    Attributes:
        cover: (h, w) 0 .. 255, how much of a pixel of the canvas is not water.
        colours: (h, w, 3) of what covers.
        above: the same for the arms of cranes, RGB and cover: (h, w, 4).
        gsd_m: a pixel of the canvas.
        fine: pixels of the canvas in one of the scene, along a side.
        shade_m: (2,) by how far something 10 m high throws its shadow, x and y.
        berths: where vessels may lie.
    """

    cover: Canvas
    colours: Canvas
    above: Canvas
    gsd_m: float
    fine: int
    shade_m: NDArray[np.float64]
    berths: list[Berth] = field(default_factory=list)

    @property
    def extent_m(self) -> tuple[float, float]:
        """Width and height."""
        height, width = self.cover.shape
        return width * self.gsd_m, height * self.gsd_m

    def fill(self, corners: NDArray[np.float64], colour: tuple[float, ...]) -> None:
        """Paint a polygon of (n, 2) corners in metres; water stays water."""
        _fill(self.colours, corners / self.gsd_m, colour)

    def build(self, corners: NDArray[np.float64], colour: tuple[float, ...]) -> None:
        """Paint a polygon that stands in the water or on land."""
        self.fill(corners, colour)
        _fill(self.cover, corners / self.gsd_m, 255)

    def reach_over(self, corners: NDArray[np.float64], colour: tuple[float, ...]) -> None:
        """Paint a polygon above vessels."""
        _fill(self.above, corners / self.gsd_m, (*colour, 255))

    def is_water(self, place: NDArray[np.float64]) -> bool:
        """Whether a place in metres is in the scene, and water."""
        x, y = (place / self.gsd_m).astype(int)
        height, width = self.cover.shape
        return bool(0 <= x < width and 0 <= y < height and self.cover[y, x] < 128)

    def spread(self, values: Field) -> Field:
        """A field of the scene's pixels on the canvas."""
        import cv2

        height, width = self.cover.shape
        return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)

    @property
    def scene_shape(self) -> tuple[int, int]:
        """(h, w) of the scene."""
        height, width = self.cover.shape
        return height // self.fine, width // self.fine


def bare_ground(shape: tuple[int, int], gsd_m: float, shade_m: NDArray[np.float64]) -> Ground:
    """Water everywhere; for a scene of `shape` (h, w) with pixels of `gsd_m`."""
    fine = 2 if gsd_m >= _COARSE_M else 1
    height, width = shape[0] * fine, shape[1] * fine
    colours = np.full((height, width, 3), 150, np.uint8)  # shows through at the edges of what is built
    cover, above = np.zeros((height, width), np.uint8), np.zeros((height, width, 4), np.uint8)
    return Ground(cover, colours, above, gsd_m / fine, fine, shade_m)


def _fill(canvas: Canvas, corners_px: NDArray[np.float64], colour: tuple[float, ...] | float) -> None:
    """A filled polygon whose edges cover pixels partly."""
    import cv2

    fixed = np.rint((corners_px - 0.5) * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], colour, cv2.LINE_AA, _SHIFT)


def disc(place: NDArray[np.float64], radius_m: float, corners: int = 20) -> NDArray[np.float64]:
    """(n, 2) corners of a polygon that is nearly a circle."""
    angle = np.linspace(0, 2 * math.pi, corners, endpoint=False)
    return np.asarray(place + radius_m * np.stack([np.cos(angle), np.sin(angle)], 1))


def lane(points: NDArray[np.float64], width_m: float) -> list[NDArray[np.float64]]:
    """A line of some width along (n, 2) points: one (4, 2) polygon a piece, a little longer so that corners close."""
    pieces = []
    for start, end in pairwise(points):
        ahead = (end - start) / max(float(np.linalg.norm(end - start)), 1e-9)
        side, more = np.array([-ahead[1], ahead[0]]) * width_m / 2, ahead * width_m / 2
        pieces.append(np.array([start - more - side, end + more - side, end + more + side, start - more + side]))
    return pieces


def tinted(rng: np.random.Generator, colour: tuple[int, int, int], spread: float = 10) -> tuple[float, ...]:
    """A colour a little off."""
    return tuple(
        float(value) for value in np.clip(np.array(colour) + rng.normal(0, spread) + rng.normal(0, 3, 3), 0, 255)
    )


def paint_pattern(
    rng: np.random.Generator,
    ground: Ground,
    axes: Axes,
    area: NDArray[np.float64] | NDArray[np.bool_],
    pattern: Pattern,
    *,
    built: bool = False,
) -> None:
    """Paint a pattern inside a polygon of corners in metres, or where a mask of the canvas is True.

    Args:
        rng: its random stream.
        ground: painted on.
        axes: of the pattern.
        area: (n, 2) corners, or (h, w).
        pattern: what is painted.
        built: whether what is drawn stands in the water.
    """
    rows, columns = _inside(ground, area)
    x, y = (
        (values.astype(np.float32) + 0.5) * np.float32(ground.gsd_m) - np.float32(start)
        for values, start in zip((columns, rows), axes.origin, strict=True)
    )
    along, out = (x * np.float32(axis[0]) + y * np.float32(axis[1]) for axis in (axes.along, axes.out))
    colours, drawn = pattern(rng, along, out)
    rows, columns = rows[drawn], columns[drawn]
    ground.colours[rows, columns] = np.clip(colours[drawn], 0, 255)
    if built:
        ground.cover[rows, columns] = 255


def _inside(
    ground: Ground, area: NDArray[np.float64] | NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the pixels in an area."""
    import cv2

    if area.dtype == np.bool_:
        rows, columns = np.nonzero(area)
        return rows, columns
    height, width = ground.cover.shape
    pixels = area / ground.gsd_m
    low = np.clip(np.floor(pixels.min(axis=0)).astype(int), 0, (width, height))
    high = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + 1, 0, (width, height))
    mask = np.zeros((max(high[1] - low[1], 0), max(high[0] - low[0], 0)), np.uint8)
    if mask.size:
        cv2.fillPoly(mask, [np.rint(pixels - low - 0.5).astype(np.int32)], 1)
    rows, columns = np.nonzero(mask)
    return rows + low[1], columns + low[0]
