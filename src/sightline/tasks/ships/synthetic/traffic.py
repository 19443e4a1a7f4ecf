"""Where vessels lie: in open water under way or at anchor, at quays and piers, and side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.synthetic.ground import Berth
from sightline.tasks.ships.synthetic.hulls import VESSEL_M, Hull, draw_hull, draw_speed_kn
from sightline.tasks.ships.synthetic.noise import Field
from sightline.tasks.ships.synthetic.wakes import LONGEST_WAKE

FROM_LAND_M = 30.0
"""What is in open water keeps as far from land, from what is built and from what is moored."""

_APART_M = 12.0  # vessels in open water from each other
_TRIES = 40  # to find a free place for a vessel; in a narrow scene there may be none
_HIDDEN = 0.35  # a vessel under a thicker cloud is not to be seen


@dataclass(frozen=True)
class Lengths:
    """Of vessels: log-normal, between bounds in metres."""

    median_m: float
    spread: float
    bounds_m: tuple[float, float]

    def draw(self, rng: np.random.Generator, factor: float = 1.0) -> float:
        """One, of a median that is `factor` times as long."""
        return float(np.clip(self.median_m * factor * math.exp(rng.normal(0, self.spread)), *self.bounds_m))


class Roads:
    """The free water of a scene: whatever is placed takes some of it.

    Args:
        cover: (h, w), True where there is land, or something stands in the water.
        clouds: (h, w) 0 .. 1.
        gsd_m: of the scene.
    """

    def __init__(self, cover: NDArray[np.bool_], clouds: Field, gsd_m: float) -> None:
        import cv2

        water = np.pad(~cover, 1, constant_values=True).astype(np.uint8)
        free_px = np.minimum(
            cv2.distanceTransform(water, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32(1e6)
        )  # no land at all
        self._free_m = free_px * np.float32(gsd_m)
        self._cover, self._clouds, self.gsd_m = cover, clouds, gsd_m
        self.hulls: list[Hull] = []

    @property
    def water_share(self) -> float:
        """0 .. 1 of the scene."""
        return float(1 - self._cover.mean())

    @property
    def size(self) -> tuple[int, int]:
        """(w, h) in pixels."""
        return self._cover.shape[1], self._cover.shape[0]

    def take(self, hull: Hull) -> bool:
        """Put a vessel where it says, if there is room; whether there was."""
        fits = self._in_open_water(hull) if hull.where == "open_water" else self._at_berth(hull)
        if fits:
            self.hulls.append(hull)
        return fits

    def _visible(self, outline: NDArray[np.float64]) -> bool:
        """Whether a vessel is whole in the frame, and no cloud hides it."""
        width, height = self.size
        if outline.min() < 2 or (outline >= (width - 2, height - 2)).any():
            return False
        columns, rows = outline.astype(int).T
        return bool(self._clouds[rows, columns].max() <= _HIDDEN)

    def _in_open_water(self, hull: Hull) -> bool:
        outline = hull.outline()
        if not self._visible(outline):
            return False
        (x0, y0), (x1, y1) = outline.min(axis=0).astype(int), outline.max(axis=0).astype(int) + 1
        if self._free_m[y0:y1, x0:x1].min() < FROM_LAND_M + 1.5 * self.gsd_m:
            return False
        if hull.speed_kn and not self._is_clear_behind(hull):
            return False
        return all(gap_m(hull, one) > (_APART_M if one.where == "open_water" else FROM_LAND_M) for one in self.hulls)

    def _is_clear_behind(self, hull: Hull) -> bool:
        """Whether a vessel under way came over water, as far as its wake may reach."""
        away = np.arange(hull.length_m / 2, hull.length_m + LONGEST_WAKE * hull.length_m, 10.0) / self.gsd_m
        track = np.array([hull.x, hull.y]) - away[:, None] * hull.ahead
        columns, rows = track[((track >= 0) & (track < self.size)).all(axis=1)].astype(int).T
        return bool((self._free_m[rows, columns] > hull.beam_m).all())

    def _at_berth(self, hull: Hull) -> bool:
        outline = hull.outline()
        if not self._visible(outline):
            return False
        middle = np.array([hull.x, hull.y])
        shares = np.array([0.0, 0.3, 0.65, 0.9])[:, None, None]
        columns, rows = (middle + (outline - middle)[None] * shares).reshape(-1, 2).astype(int).T
        covered = float(self._cover[rows, columns].mean())
        return covered <= min(0.35 * self.gsd_m / hull.beam_m, 0.35) and all(gap_m(hull, one) > 0 for one in self.hulls)


def gap_m(one: Hull, other: Hull) -> float:
    """Metres of water between two hulls, 0 where they touch."""
    from shapely.geometry import Polygon

    apart = math.hypot(one.x - other.x, one.y - other.y) * one.gsd_m - (one.length_m + other.length_m) / 2
    if apart > FROM_LAND_M:
        return apart
    return float(Polygon(one.outline()).distance(Polygon(other.outline()))) * one.gsd_m


# --------------------------------------------------------------------------------------------------- open water


def put_afloat(rng: np.random.Generator, roads: Roads, count: int, lengths: Lengths, moving_share: float) -> None:
    """Up to `count` vessels in open water; those at anchor lie as the current wants."""
    current = rng.uniform(0, 360)
    for _ in range(count):
        length_m = lengths.draw(rng)
        under_way = rng.random() < min(moving_share * (2 if length_m < 50 else 1), 1)
        heading = rng.uniform(0, 360) if under_way else rng.normal(current, 15)
        hull = draw_hull(rng, length_m, (0.0, 0.0), float(heading), roads.gsd_m)
        if under_way:
            hull = replace(hull, speed_kn=draw_speed_kn(rng, hull))
        put = _put_anywhere(rng, roads, hull)
        if put and not under_way and length_m > 2 * VESSEL_M and rng.random() < 0.12:
            _lay_beside(rng, roads, put, Lengths(0.5 * length_m, 0.25, (VESSEL_M, 0.9 * length_m)))


def _put_anywhere(rng: np.random.Generator, roads: Roads, hull: Hull) -> Hull | None:
    for _ in range(_TRIES):
        x, y = rng.uniform(0, roads.size)
        placed = replace(hull, x=float(x), y=float(y))
        if roads.take(placed):
            return placed
    return None


# ---------------------------------------------------------------------------------------------------- alongside


def moor(rng: np.random.Generator, roads: Roads, berths: Sequence[Berth], share: float, lengths: Lengths) -> None:
    """Vessels along the edges to moor at, one after the other; some rafted, some with the stern to the quay."""
    for berth in berths:
        length_m = float(np.linalg.norm(berth.end - berth.start))
        style = rng.random()
        if berth.lie == "rows" or (berth.lie == "any" and style < 0.12 and length_m > 60):
            _moor_in_row(rng, roads, berth, share)
            continue
        factor = 2.2 if style > 0.4 or berth.lie == "tankers" else 0.7
        at = rng.uniform(0, 30)
        while True:
            long_m = min(lengths.draw(rng, factor), 0.9 * length_m + 20)
            if long_m < VESSEL_M or at + long_m > length_m + 25:
                break
            if rng.random() < share:
                _moor_alongside(rng, roads, berth, at + long_m / 2, long_m)
            at += long_m + rng.uniform(8, 60)


def _moor_alongside(rng: np.random.Generator, roads: Roads, berth: Berth, at_m: float, length_m: float) -> None:
    """A vessel whose middle lies `at_m` along the berth, and perhaps others outside of it."""
    along = (berth.end - berth.start) / np.linalg.norm(berth.end - berth.start)
    heading = math.degrees(math.atan2(along[0], -along[1])) + 180 * int(rng.integers(2))
    hull = replace(draw_hull(rng, length_m, (0.0, 0.0), heading, roads.gsd_m), where="alongside")
    x, y = (berth.start + along * at_m + berth.out * (hull.beam_m / 2 + rng.uniform(0.8, 2.5))) / roads.gsd_m
    hull = replace(hull, x=float(x), y=float(y), build="tanker" if berth.lie == "tankers" else hull.build)
    if not roads.take(hull):
        return
    rafted = (0.7, 0.18, 0.08, 0.04) if length_m < 100 else (0.9, 0.1, 0.0, 0.0)
    for _ in range(rng.choice(4, p=rafted)):
        outer = _lay_beside(
            rng, roads, hull, Lengths(length_m, 0.2, (max(0.4 * length_m, VESSEL_M), 1.1 * length_m)), berth.out
        )
        if outer is None:
            return
        hull = outer


def _lay_beside(
    rng: np.random.Generator, roads: Roads, inner: Hull, lengths: Lengths, out: NDArray[np.float64] | None = None
) -> Hull | None:
    """A vessel moored at another one's side; at the one that points `out` where that is told."""
    length_m = lengths.draw(rng)
    hull = draw_hull(rng, length_m, (0.0, 0.0), inner.heading_deg + 180 * int(rng.integers(2)), inner.gsd_m)
    right = np.array([-inner.ahead[1], inner.ahead[0]])
    side = float(rng.choice((-1, 1))) if out is None else math.copysign(1.0, float(right @ out))
    apart = (inner.beam_m + hull.beam_m) / 2 + rng.uniform(0.6, 2.0)
    slid = rng.uniform(-0.5, 0.5) * max(inner.length_m - length_m, 0)
    x, y = np.array([inner.x, inner.y]) + (right * side * apart + inner.ahead * slid) / inner.gsd_m
    hull = replace(hull, x=float(x), y=float(y), where="alongside")
    return hull if roads.take(hull) else None


def _moor_in_row(rng: np.random.Generator, roads: Roads, berth: Berth, share: float) -> None:
    """Vessels of one size side by side with their sterns to the edge: a raft of fishing boats, tugs or yachts."""
    along = (berth.end - berth.start) / np.linalg.norm(berth.end - berth.start)
    usual = Lengths(rng.uniform(20, 34), 0.12, (VESSEL_M, 60.0))
    whole = float(np.linalg.norm(berth.end - berth.start))
    at = rng.uniform(3, max(0.5 * whole, 4))
    end = min(at + rng.uniform(30, 160), whole)
    while at < end - 5:
        length_m = usual.draw(rng)
        heading = math.degrees(math.atan2(berth.out[0], -berth.out[1])) + rng.normal(0, 1.5)
        hull = replace(draw_hull(rng, length_m, (0.0, 0.0), heading, roads.gsd_m), where="alongside")
        place = berth.start + along * (at + hull.beam_m / 2) + berth.out * (length_m / 2 + rng.uniform(1.0, 3.0))
        if rng.random() < max(share, 0.6):
            roads.take(replace(hull, x=float(place[0] / roads.gsd_m), y=float(place[1] / roads.gsd_m)))
        at += hull.beam_m + rng.uniform(0.8, 2.5) + (rng.uniform(5, 40) if rng.random() < 0.15 else 0)
