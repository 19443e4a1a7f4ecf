"""How a camera sees a pack: a plane row of equal cells, fitted to the edges of a frame of temperatures.

Where wall, floor and things in the way have temperatures of their own, a pack is told by its shape. Its front is a row
of equal rectangles, so a pinhole's view of it has few unknowns: where it is, how large, how it is turned, and its own
proportions. Their best values are those whose lines lie on the edges of the frame. They are searched for by the
cross-entropy method (Rubinstein, 1999): views are drawn around the best so far, and the best of them tell where and how
wide the next ones are drawn. It begins at the best of a coarse grid, or where the frame before leads to.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EDGE_K = 0.25
"""Kelvin a pixel across a line at which it counts as wholly on an edge."""

_SAMPLES, _FEW_SAMPLES = 12, 5  # on each line, of a view that is refined and of one of the grid
_LEAST_SEEN = 0.035  # of the frame, that the front of a pack takes up
_LEAST = 0.4  # of the lines that must lie on edges, else there is no pack
_OF_LAST, _OF_CLEAR = 0.8, 0.66  # of the score of the last and of clear views: less is another thing
_LEAST_KNOWN = 0.4  # score of a pack that was seen before
_SURE = 0.72  # of the score of clear views: below, four in ten views lie beside the pack
_CLEARLY = 0.05  # azimuth from which on one end is nearer
_NARROWEST = 1.31  # of the azimuth: beyond, nearly nothing is seen of the cells
_CLEAR, _OPEN = 0.7, 0.9  # score and azimuth of views that tell a pack's proportions
_SHAPES = 8  # of such views, whose mean counts
_MOST_TURN = 0.6  # from frame to frame
_FORGOTTEN = 12  # frames without the pack, after which it is looked for as if it were another one
_AZIMUTHS = np.radians(np.arange(-75, 76, 15))
_ELEVATIONS = np.radians([-15.0, 0.0, 18.0, 36.0, 55.0])
_WIDTHS = (0.5, 0.62, 0.74, 0.86)  # of the frame, seen from the front
_HEIGHTS = (0.42, 0.52)  # of a pack, over its width
_SHIFTS = (-0.08, 0.0, 0.08)  # from the middle of the frame, over its width
_NARROW = 1.25  # of the azimuth: beyond, the camera looks along the row
_DISTANCE, _GAP = 1.7, 0.025  # over the width of a pack
_FIRST_SPREAD = np.array([6.0, 6.0, 0.05, 0.1, 0.1, 0.02, 0.1, 0.03, 0.01])
_NEXT_SPREAD = np.array([4.0, 4.0, 0.04, 0.1, 0.05, 0.012, 0.05, 0.012, 0.004])
_REGAIN_SPREAD = np.array([6.0, 6.0, 0.05, 0.08, 0.06, 0.015, 0.06, 0.012, 0.004])
_KNOWN_SPREAD = (0.004, 0.001)  # of proportions that are known
_POPULATION, _ELITE, _ROUNDS = 48, 8, 8


@dataclass(frozen=True)
class Pose:
    """A view of a pack; lengths are in widths of the pack, angles in radians.

    Attributes:
        values: x and y of its middle in pixels; logarithm of its width in pixels as seen from the front; azimuth,
            elevation and roll of the camera; distance; height; gap between cells.
        score: 0 .. 1, how much of its lines lies on edges.
        sure: whether that is about as much as in clear views of the same pack; else it may lie beside it.
    """

    values: Floats
    score: float
    sure: bool = True

    def outline(self, number: int, count: int) -> Floats:
        """Corners (4, 2) of a cell in pixels: left below, right below, right above, left above."""
        low, high = _sides(self.values[None], count)
        half = self.values[7] / 2
        x = np.array([low[0, number - 1], high[0, number - 1], high[0, number - 1], low[0, number - 1]])
        y = np.array([-half, -half, half, half])
        corners: Floats = np.stack(_project(self.values[None], x[None], y[None]), axis=-1)[0]
        return corners

    @property
    def azimuth(self) -> float:
        """Of the camera: 0 before the front, positive where the right end is nearer; at most a quarter turn."""
        return float(self.values[3])

    @property
    def nearer(self) -> int:
        """1 where the right end is nearer to the camera, -1 where the left one is, 0 where neither is clearly."""
        return 0 if abs(self.azimuth) < _CLEARLY else 1 if self.azimuth > 0 else -1


class PoseTracker:
    """Follows the view of one pack through the frames of one camera.

    A view is looked for where the camera's motion leads to. A pack's proportions do not change, so after some clear
    views they are taken as known; at its narrow side, where nearly nothing is seen of it, that keeps the search from
    taking something else for the pack.

    Args:
        count: cells of the pack.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._shapes: deque[Floats] = deque(maxlen=_SHAPES)
        self._clear: deque[float] = deque(maxlen=_SHAPES)
        self._forget()

    def _forget(self) -> None:
        self._last: Floats | None = None
        self._score, self._turn, self._lost = 0.0, 0.0, 0
        self._shapes.clear()
        self._clear.clear()

    def push(self, kelvin: NDArray[np.float32]) -> Pose | None:
        """The view in the next frame (h, w); None where its edges show none."""
        if self._lost > _FORGOTTEN:
            self._forget()
        found = None
        if self._last is not None:
            edges = _Edges.of(kelvin)
            found = self._followed(edges, self._last)
            if found is None and self._shapes:
                found = self._regained(kelvin, edges, self._last)
        if found is None and not self._shapes:
            found = fit_pose(kelvin, self._count)
        if found is None:
            self._lost += 1
        else:
            self._keep(found)
        return found

    def _followed(self, edges: _Edges, last: Floats) -> Pose | None:
        """Where the camera's turn leads to; at the pack's end, on either side of it."""
        start, spread = last.copy(), _NEXT_SPREAD.copy()
        start[3] += self._turn * (self._lost + 1)
        spread[3] = max(float(spread[3]), 0.6 * abs(self._turn)) * (1 + 0.5 * self._lost)
        spread[:2] *= 1 + self._lost
        start[3] = _from_the_other_side(float(start[3]))
        starts = [start]
        if abs(start[3]) > _NARROW:
            other = start.copy()
            start[3], other[3] = _NARROW * np.sign(start[3]), -_NARROW * np.sign(start[3])
            starts.append(other)
        return self._best(edges, starts, spread)

    def _regained(self, kelvin: NDArray[np.float32], edges: _Edges, last: Floats) -> Pose | None:
        """The same pack from anywhere."""
        coarse = _Edges.of(kelvin, 3)
        starts = _grid_around(last, kelvin.shape[1])
        scores = coarse.score(starts, self._count, _FEW_SAMPLES)
        return self._best(edges, [starts[k] for k in np.argsort(-scores)[:2]], _REGAIN_SPREAD.copy())

    def _best(self, edges: _Edges, starts: list[Floats], spread: Floats) -> Pose | None:
        if self._shapes:
            known = np.mean(self._shapes, axis=0)
            spread[7:] = _KNOWN_SPREAD
            for start in starts:
                start[7:] = known
        found = max((_searched(edges, start, spread, self._count) for start in starts), key=lambda one: one.score)
        if found.score < self._least or abs(found.azimuth) >= _NARROWEST:
            return None
        return replace(found, sure=not self._clear or found.score >= _SURE * float(np.mean(self._clear)))

    @property
    def _least(self) -> float:
        """Score of a view that goes on from others: seen obliquely, borders between cells show no edges."""
        clear = float(np.mean(self._clear)) if self._clear else 1.0
        return max(min(_OF_LAST * self._score, _OF_CLEAR * clear), _LEAST_KNOWN)

    def _keep(self, found: Pose) -> None:
        if self._last is not None:
            turn = _from_the_other_side(float(found.values[3] - self._last[3]))
            self._turn = float(np.clip(turn / (self._lost + 1), -_MOST_TURN, _MOST_TURN))
        self._last, self._score, self._lost = found.values, found.score, 0
        if found.score >= _CLEAR and abs(found.azimuth) < _OPEN:
            self._shapes.append(found.values[7:])
            self._clear.append(found.score)


def _from_the_other_side(azimuth: float) -> float:
    """Within a quarter turn from the front: a row of equal cells looks the same from behind."""
    return (azimuth + np.pi / 2) % np.pi - np.pi / 2


def fit_pose(kelvin: NDArray[np.float32], count: int) -> Pose | None:
    """The view of a pack of `count` cells in a frame (h, w); None where its edges show none."""
    coarse = _Edges.of(kelvin, 3)
    starts = _grid(kelvin.shape[0], kelvin.shape[1])
    scores = coarse.score(starts, count, _FEW_SAMPLES)
    best = [_searched(coarse, starts[k], _FIRST_SPREAD, count) for k in np.argsort(-scores)[:3]]
    found = _searched(_Edges.of(kelvin), max(best, key=lambda one: one.score).values, _NEXT_SPREAD, count)
    return found if found.score >= _LEAST else None


def _grid(height: int, width: int) -> Floats:
    axes = np.meshgrid(_SHIFTS, _SHIFTS, _WIDTHS, _AZIMUTHS, _ELEVATIONS, _HEIGHTS, indexing="ij")
    x, y, share, azimuth, elevation, tall = (axis.ravel() for axis in axes)
    ones = np.ones_like(x)
    return np.stack(
        [
            width * (0.5 + x),
            height / 2 + width * y,
            np.log(share * width),
            azimuth,
            elevation,
            0 * ones,
            _DISTANCE * ones,
            tall,
            _GAP * ones,
        ],
        axis=1,
    )


def _grid_around(last: Floats, width: int) -> Floats:
    """Views of the same pack from anywhere, about as far away."""
    axes = np.meshgrid(
        _SHIFTS, _SHIFTS, (-0.1, 0.0, 0.1), np.radians(np.arange(-75, 76, 7.5)), (-0.14, 0.0, 0.14), indexing="ij"
    )
    x, y, size, azimuth, elevation = (axis.ravel() for axis in axes)
    views = np.repeat(last[None], len(x), axis=0)
    views[:, 0] += width * x
    views[:, 1] += width * y
    views[:, 2] += size
    views[:, 3] = azimuth
    views[:, 4] += elevation
    return views


def _searched(edges: _Edges, start: Floats, spread: Floats, count: int) -> Pose:
    """The best view around one, by the cross-entropy method (Rubinstein, 1999)."""
    middle, best = start, Pose(start, -np.inf)
    for drawn in _draws():
        views = middle + spread * drawn
        views[0] = middle
        scores = edges.score(views, count)
        order = np.argsort(-scores)
        elite = views[order[:_ELITE]]
        if scores[order[0]] > best.score:
            best = Pose(views[order[0]].copy(), float(scores[order[0]]))
        middle = elite.mean(axis=0)
        spread = np.maximum(elite.std(axis=0), 0.5 * spread)
    return best


@cache
def _draws() -> Floats:
    """(rounds, population, 9) standard normal numbers, always the same."""
    return np.random.Generator(np.random.PCG64(1)).standard_normal((_ROUNDS, _POPULATION, 9))


def _sides(values: Floats, count: int) -> tuple[Floats, Floats]:
    """Left and right side (n, count) of each cell, from the middle of the pack."""
    gap = values[:, 8:9]
    wide = (1 - (count - 1) * gap) / count
    low = -0.5 + np.arange(count) * (wide + gap)
    return low, low + wide


def _project(values: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Pixels of places (n, m) on the front of a pack."""
    middle_x, middle_y, size, azimuth, elevation, roll, distance = (values[:, k, None] for k in range(7))
    s, k, e, c = np.sin(azimuth), np.cos(azimuth), np.sin(elevation), np.cos(elevation)
    depth = np.maximum(distance - (x * s * c + y * e), 0.2)
    across, down = x * k / depth, (x * e * s - y * c) / depth
    focal = np.exp(size) * distance
    turned = np.cos(roll) * across - np.sin(roll) * down, np.sin(roll) * across + np.cos(roll) * down
    return middle_x + focal * turned[0], middle_y + focal * turned[1]


@dataclass(frozen=True)
class _Edges:
    """The steps of a frame along x and along y, (h, w), in shares of what counts as an edge."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]

    @classmethod
    def of(cls, kelvin: NDArray[np.float32], blur_px: float = 1.0) -> _Edges:
        import cv2

        known = np.where(np.isfinite(kelvin), kelvin, np.float32(np.nanmedian(kelvin))).astype(np.float32)
        smooth = cv2.GaussianBlur(cv2.medianBlur(known, 5), (0, 0), blur_px)
        scale = 1 / (8 * _EDGE_K) * max(blur_px / 1.5, 1.0)
        return cls(*(cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=scale) for dx in (1, 0)))

    def score(self, values: Floats, count: int, samples: int = _SAMPLES) -> Floats:
        """(n,) of views (n, 9): how far their upright and their level lines lie on edges across them."""
        low, high = _sides(values, count)
        half = values[:, 7:8] / 2
        share = np.linspace(0.04, 0.96, samples)
        upright = np.concatenate([low, high], axis=1)  # (n, 2 * count)
        x = np.repeat(upright, samples, axis=1)
        y = np.tile((2 * share - 1)[None, :], (1, 2 * count)) * half
        level_x = (low[..., None] + (high - low)[..., None] * share).reshape(len(values), -1)
        level_x = np.concatenate([level_x, level_x], axis=1)
        level_y = np.repeat(np.concatenate([-half, half], axis=1), count * samples, axis=1)
        both = self._across(values, x, y, samples), self._across(values, level_x, level_y, samples)
        # The product: one long edge, such as a horizon, is no pack.
        lying = both[0].mean(axis=1) ** 0.6 * both[1].mean(axis=1) ** 0.4
        return np.asarray(lying - _penalty(values, self.x.size))

    def _across(self, values: Floats, x: Floats, y: Floats, samples: int) -> Floats:
        """How much of an edge lies under places on lines, across the lines; 0 outside of the frame."""
        columns, rows = _project(values, x, y)
        shape = (len(values), -1, samples)
        along_x = np.gradient(columns.reshape(shape), axis=2).reshape(columns.shape)
        along_y = np.gradient(rows.reshape(shape), axis=2).reshape(rows.shape)
        length = np.maximum(np.hypot(along_x, along_y), 1e-6)
        height, width = self.x.shape
        i, j = np.rint(rows).astype(np.intp), np.rint(columns).astype(np.intp)
        inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
        i, j = i.clip(0, height - 1), j.clip(0, width - 1)
        step = np.abs(-self.x[i, j] * along_y + self.y[i, j] * along_x) / length
        return np.asarray(np.minimum(step, 1.0) * inside)


def _penalty(values: Floats, pixels: int) -> Floats:
    """(n,) for what a pack or a camera cannot be."""
    bounds = ((3, -1.36, 1.36), (4, -0.6, 1.25), (5, -0.1, 0.1), (6, 1.1, 3.5), (7, 0.33, 0.62), (8, 0.002, 0.07))
    off = sum(
        np.maximum(low - values[:, k], 0) / (high - low) + np.maximum(values[:, k] - high, 0) / (high - low)
        for k, low, high in bounds
    )
    seen = np.cos(values[:, 3]) * np.cos(values[:, 4]) * values[:, 7] * np.exp(2 * values[:, 2]) / pixels
    return np.asarray(3 * off + 10 * np.maximum(_LEAST_SEEN - seen, 0), dtype=np.float64)
