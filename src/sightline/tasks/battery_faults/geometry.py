"""Where the pack is in a frame, and which of its pixels belong to which cell.

Equal cells in a row: seen obliquely, their borders lie at the projective thirds (quarters ...) between the pack's left
and right outline, which its heights at both ends tell. From there each border is looked for row by row: the gap where
one can look through, else the edge of the nearer cell, which hides part of the farther one. A straight line through
what the rows say is the border, also through busbars.

A renderer draws the pack alone in the colours of the scale. A camera tells temperatures of all that is in sight: there
the whole view is fitted to the edges of the frame (`pose`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.pose import Pose, PoseTracker
from sightline.tasks.battery_faults.thermal import Thermal

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

CELLS = 3
"""Of a pack, where nobody tells another number."""

_RELIEF_K = 4.0  # of a shade of 1
_NARROW = 0.16  # of a pack's width over its height, a cell: the camera looks along the row
_LEAST_PX = 24  # of a side of the pack
_PART = 0.04  # of the largest piece: smaller ones are no cells
_BAND = (0.2, 0.92)  # of the pack's height, where its outline is that of the cells: tabs are above
_ENDS = (0.03, 0.14)  # of its width, where heights are compared
_WINDOW = 0.3  # of a cell's width, around where its border should be
_NEARER = 1.02  # by so much the nearer end is higher
_STEP = 10.0 / 255  # of shading, from a cell to the edge of the next
_EDGE_PX = 2  # of an edge's own width
_END = 1.25  # of a cell's width: the most that its side is taken to be
_MOST_ROWS = 60  # that are looked at: a line needs no more
_MOST_DRAWN = 0.6  # of a frame: a renderer's pack is smaller
_AGREEING = 0.35  # of the rows, that must tell a border


@dataclass(frozen=True)
class Line:
    """A line x = at + slope * y."""

    at: float
    slope: float

    def x(self, y: NDArray[Any]) -> Floats:
        """(n,) of rows (n,)."""
        return np.asarray(self.at + self.slope * y, dtype=np.float64)


@dataclass(frozen=True)
class Border:
    """Between two neighbours: what lies left of `left` is the one, what lies from `right` on the other."""

    left: Line
    right: Line


@dataclass(frozen=True)
class Cells:
    """A frame's pixels, cell by cell.

    Attributes:
        labels: (h, w) of the whole frame; 0 beside the cells, else 1 .. from the left of the picture.
        box: x0, y0, x1, y1 of the pack in pixels, the last two exclusive.
        borders: between neighbours, from the left.
        told: how many of these were seen, not only reckoned.
        nearer: 1 where the right end is nearer to the camera, -1 where the left one is, 0 where neither is clearly.
        pose: of the camera, where it was fitted.
    """

    labels: NDArray[np.uint8]
    box: tuple[int, int, int, int]
    borders: tuple[Border, ...]
    told: int
    nearer: int = 0
    pose: Pose | None = None

    def mask(self, cell: int) -> Mask:
        """(h, w) of one cell."""
        return np.asarray(self.labels == cell)

    def corners(self, cell: int) -> Floats | None:
        """(4, 2) pixels of one cell: left and right above, right and left below; None where it is not in sight."""
        if self.pose is not None:
            return self.pose.outline(cell, len(self.borders) + 1)[[3, 2, 1, 0]]
        mask = self.mask(cell)
        rows = np.flatnonzero(mask.any(axis=1))
        if len(rows) < _LEAST_PX:
            return None
        band = rows[int(_BAND[0] * len(rows)) : int(_BAND[1] * len(rows))]
        left = _fitted(band, mask[band].argmax(axis=1))
        right = _fitted(band, mask.shape[1] - mask[band, ::-1].argmax(axis=1))
        ends = np.array([rows[0], rows[-1] + 1.0])
        (above_left, below_left), (above_right, below_right) = left.x(ends), right.x(ends)
        return np.array([[above_left, ends[0]], [above_right, ends[0]], [below_right, ends[1]], [below_left, ends[1]]])


# --------------------------------------------------------------------------------------------------------- the pack


def find_pack(thermal: Thermal) -> tuple[int, int, int, int] | None:
    """x0, y0, x1, y1 of the pack in pixels, the last two exclusive; None where there is none in sight."""
    return CellFinder().find_pack(thermal)


def find_cells(thermal: Thermal, count: int = CELLS) -> Cells | None:
    """The cells of the pack in a frame; None where the pack is not in sight."""
    return CellFinder(count).find(thermal)


class CellFinder:
    """Finds a pack's cells in the frames of one camera, each from where they were in the one before.

    Args:
        count: cells of the pack.
    """

    def __init__(self, count: int = CELLS) -> None:
        self._count = count
        self._tracker = PoseTracker(count)

    def find(self, thermal: Thermal) -> Cells | None:
        """The cells in the next frame; None where the pack is not in sight."""
        if is_drawn(thermal):
            return self._drawn(thermal)
        pose = self._tracker.push(thermal.kelvin) if thermal.valid.any() else None
        return None if pose is None else _posed_cells(thermal, self._count, pose)

    def _drawn(self, thermal: Thermal) -> Cells | None:
        """By the gaps and edges between cells; seen from high above they are slanted, and a view is fitted to them."""
        cells = _drawn_cells(thermal, self._count)
        if cells is None or cells.told >= self._count - 1:
            return cells
        pose = self._tracker.push(_relief(thermal))
        posed = None if pose is None else _posed_cells(thermal, self._count, pose)
        if posed is None:
            return cells
        labels = np.where(thermal.valid, posed.labels, 0).astype(np.uint8)
        return replace(posed, labels=labels, box=cells.box, nearer=cells.nearer)

    def find_pack(self, thermal: Thermal) -> tuple[int, int, int, int] | None:
        """The box of the pack in the next frame, as of `find_pack`."""
        if is_drawn(thermal):
            mask = _drawn_pack(thermal)
            return None if mask is None else _box(mask)
        cells = self.find(thermal)
        return None if cells is None else cells.box


def is_drawn(thermal: Thermal) -> bool:
    """Whether a renderer drew the frame: only the pack has colours of the scale. A camera tells all temperatures."""
    return bool(thermal.shading.any()) and float(thermal.valid.mean()) < _MOST_DRAWN


def _relief(thermal: Thermal) -> NDArray[np.float32]:
    """A drawn frame (h, w) as if its shades were kelvin: the pack stands out of what is beside it."""
    return np.where(thermal.valid, _RELIEF_K * (1 + thermal.shading), np.float32(0)).astype(np.float32)


def _drawn_pack(thermal: Thermal) -> Mask | None:
    """(h, w) where the pack is; None where it is not in sight, or no temperature can be told."""
    mask = _largest(thermal.valid) if thermal.valid.any() else None
    if mask is None:
        return None
    x0, y0, x1, y1 = _box(mask)
    return mask if min(x1 - x0, y1 - y0) >= _LEAST_PX else None


def _largest(mask: Mask) -> Mask | None:
    """The largest piece, and those beside it that are no specks: a gap may divide the cells."""
    import cv2

    count, labels, parts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    areas = parts[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    main = int(areas.argmax())
    kept = [main]
    x, y, width, height = (int(value) for value in parts[main, :4])
    for k in range(1, count):
        top, bottom = int(parts[k, 1]), int(parts[k, 1] + parts[k, 3])
        overlap = min(bottom, y + height) - max(top, y)
        away = max(int(parts[k, 0]) - (x + width), x - int(parts[k, 0] + parts[k, 2]))
        if k != main and areas[k] >= _PART * areas[main] and overlap >= 0.5 * height and away <= 2 * width:
            kept.append(k)
    return np.isin(labels, kept)


def _box(mask: Mask) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


# -------------------------------------------------------------------------------------------------------- the cells


def _drawn_cells(thermal: Thermal, count: int) -> Cells | None:
    """The cells of a pack that a renderer drew."""
    pack = _drawn_pack(thermal)
    if pack is None:
        return None
    box = x0, y0, x1, y1 = _box(pack)
    view = _View.of(thermal, pack, box, count)
    narrow = (x1 - x0) / (y1 - y0) < _NARROW * count
    found = [view.border(k, count) for k in range(1, count)]
    borders = tuple(border for border, _ in found)
    labels = np.zeros(pack.shape, dtype=np.uint8)
    labels[y0:y1, x0:x1] = _labelled(view, borders)
    told = 0 if narrow else sum(told for _, told in found)
    return Cells(_with_rim(labels), box, borders, told, view.nearer)


def _posed_cells(thermal: Thermal, count: int, pose: Pose) -> Cells | None:
    """The cells by a view that was fitted to the edges of the frame."""
    import cv2

    labels = np.zeros(thermal.size, dtype=np.uint8)
    outlines = [pose.outline(number, count) for number in range(1, count + 1)]
    for number, outline in enumerate(outlines, start=1):
        cv2.fillPoly(labels, [np.rint(outline - 0.5).astype(np.int32)], number)
    if not labels.any():
        return None
    borders = tuple(Border(_through(one[1], one[2]), _through(other[0], other[3])) for one, other in pairwise(outlines))
    return Cells(labels, _box(labels > 0), borders, count - 1 if pose.sure else 0, pose.nearer, pose)


def _through(below: Floats, above: Floats) -> Line:
    """The line through two points (x, y)."""
    slope = float(below[0] - above[0]) / (float(below[1] - above[1]) or 1.0)
    return Line(float(above[0]) - slope * float(above[1]), slope)


def _labelled(view: _View, borders: tuple[Border, ...]) -> NDArray[np.uint8]:
    rows, columns = np.arange(view.pack.shape[0])[:, None] + view.y0, np.arange(view.pack.shape[1])[None, :] + view.x0
    labels = np.ones(view.pack.shape, dtype=np.uint8)
    for number, border in enumerate(borders, start=1):
        between = (columns > border.left.x(rows)) & (columns < border.right.x(rows))
        labels[columns >= border.right.x(rows)] = number + 1
        labels[between] = 0
    return np.where(view.pack, labels, 0).astype(np.uint8)


def _with_rim(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """With the pixels around that a cell covers in part: their colours are mixed, and no temperature can be told."""
    import cv2

    wider = cv2.dilate(labels, np.ones((3, 3), np.uint8))
    return np.where(labels > 0, labels, wider).astype(np.uint8)


@dataclass(frozen=True)
class _View:
    """The pack's own part of a frame.

    Attributes:
        pack: (h, w) where it is.
        shade: (h, w) what its edges are seen in, 0 .. 1.
        x0, y0: of its upper left corner in the frame.
        rows: of the frame, in which its outline is that of the cells.
        left, right: its outline.
        nearer: 1 where the right end is nearer to the camera, -1 where the left one is, 0 where neither is.
        heights: of its left and right end.
    """

    pack: Mask
    shade: NDArray[np.float32]
    x0: int
    y0: int
    rows: NDArray[np.intp]
    left: Line
    right: Line
    nearer: int
    heights: tuple[float, float]

    @classmethod
    def of(cls, thermal: Thermal, mask: Mask, box: tuple[int, int, int, int], count: int) -> _View:
        x0, y0, x1, y1 = box
        pack = mask[y0:y1, x0:x1]
        rows = np.arange(int(_BAND[0] * (y1 - y0)), max(int(_BAND[1] * (y1 - y0)), int(_BAND[0] * (y1 - y0)) + 2))
        rows = rows[pack[rows].any(axis=1)][:: max(len(rows) // _MOST_ROWS, 1)]
        first = pack[rows].argmax(axis=1) + x0
        last = x1 - 1 - pack[rows, ::-1].argmax(axis=1)
        left, right = _fitted(rows + y0, first), _fitted(rows + y0, last)
        heights = _heights(pack)
        higher = heights[1] / heights[0]
        nearer = 1 if higher > _NEARER else -1 if higher < 1 / _NEARER else 0
        view = cls(pack, _shade(thermal, box), x0, y0, rows + y0, left, right, nearer, heights)
        return view._without_end(count)

    def _without_end(self, count: int) -> _View:
        """Without the narrow side of the nearer end cell: seen very obliquely it is as wide as the fronts."""
        if not self.nearer:
            return self
        outer = self.right if self.nearer > 0 else self.left
        width = float((self.right.x(self.rows) - self.left.x(self.rows)).mean())
        edges = [self._end(y, x, 0.5 * width) for y, x in zip(self.rows, outer.x(self.rows), strict=True)]
        seen = [(y, edge) for y, edge in zip(self.rows, edges, strict=True) if edge is not None]
        if len(seen) < _AGREEING * len(self.rows):
            return self
        line = _fitted(*np.array(seen).T)
        deep = float(np.abs(outer.x(self.rows) - line.x(self.rows)).mean())
        if deep > _END * (width - deep) / count:
            return self  # that is the cell's other edge
        return replace(self, right=line) if self.nearer > 0 else replace(self, left=line)

    def _end(self, y: int, x: float, reach: float) -> float | None:
        """Where the surface at the nearer outline ends, coming from outside."""
        at = round(x) - self.x0
        row = self.shade[y - self.y0]
        row = row[max(at - round(reach), 0) : at][::-1] if self.nearer > 0 else row[at + 1 : at + 1 + round(reach)]
        row = row[_EDGE_PX + 1 :]  # of the outline itself
        if len(row) < 6:
            return None
        off = np.flatnonzero(np.abs(row - float(np.median(row[:4]))) > _STEP)
        if not len(off):
            return None
        deep = int(off[0]) + _EDGE_PX + 2
        return float(x - deep if self.nearer > 0 else x + deep)

    def border(self, number: int, count: int) -> tuple[Border, bool]:
        """The border right of a cell, and whether it was seen."""
        expected = self._expected(number, count)
        reach = _WINDOW * (self.right.x(self.rows) - self.left.x(self.rows)).mean() / count
        gaps = [self._gap(y, x, reach) for y, x in zip(self.rows, expected.x(self.rows), strict=True)]
        open_ = [(y, *gap) for y, gap in zip(self.rows, gaps, strict=True) if gap is not None]
        if len(open_) >= _AGREEING * len(self.rows):
            y, left, right = np.array(open_).T
            return Border(_fitted(y, left), _fitted(y, right)), True
        edges = [self._edge(y, x, reach) for y, x in zip(self.rows, expected.x(self.rows), strict=True)]
        seen = [(y, edge) for y, edge in zip(self.rows, edges, strict=True) if edge is not None]
        if len(seen) >= _AGREEING * len(self.rows):
            y, x = np.array(seen).T
            line = _fitted(y, x)
            return Border(line, line), True
        return Border(expected, expected), False

    def _expected(self, number: int, count: int) -> Line:
        """Where the border is by perspective alone."""
        t, (a, b) = number / count, self.heights
        share = t * a / ((1 - t) * b + t * a)
        return Line(
            self.left.at + share * (self.right.at - self.left.at),
            self.left.slope + share * (self.right.slope - self.left.slope),
        )

    def _span(self, x: float, reach: float) -> tuple[int, int]:
        """Columns of the pack's part around a place."""
        low = max(round(x - reach) - self.x0, 0)
        return low, min(round(x + reach) + 1 - self.x0, self.pack.shape[1])

    def _gap(self, y: int, x: float, reach: float) -> tuple[float, float] | None:
        """Last pixel of the left cell and first one of the right cell, where one looks through between them."""
        low, high = self._span(x, reach)
        row = self.pack[y - self.y0, low:high]
        if len(row) < 4 or row.all() or not (row[0] and row[-1]):
            return None
        edges = np.flatnonzero(np.diff(row.astype(np.int8)))
        runs = edges.reshape(-1, 2)
        start, end = runs[(runs[:, 1] - runs[:, 0]).argmax()]
        return float(low + start + self.x0), float(low + end + 1 + self.x0)

    def _edge(self, y: int, x: float, reach: float) -> float | None:
        """Where the nearer cell ends, coming from it."""
        low, high = self._span(x, reach)
        row = self.shade[y - self.y0, low:high]
        if len(row) < 8:
            return None
        row = row[::-1] if self.nearer > 0 else row
        level = float(np.median(row[: max(len(row) // 4, 3)]))
        off = np.flatnonzero(np.abs(row - level) > _STEP)
        if not len(off) or off[0] < 2:
            return None
        at = int(off[0]) + _EDGE_PX
        return float(high - at + self.x0) if self.nearer > 0 else float(low + at + self.x0)


def _shade(thermal: Thermal, box: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """What edges are seen in: how bright surfaces are drawn."""
    x0, y0, x1, y1 = box
    return thermal.shading[y0:y1, x0:x1]


def _heights(pack: Mask) -> tuple[float, float]:
    """Of the left and the right end."""
    columns = pack.sum(axis=0)
    width = len(columns)
    low, high = int(_ENDS[0] * width), max(int(_ENDS[1] * width), int(_ENDS[0] * width) + 1)
    return max(float(np.median(columns[low:high])), 1.0), max(float(np.median(columns[::-1][low:high])), 1.0)


def _fitted(y: NDArray[Any], x: NDArray[Any]) -> Line:
    """A line through most of the points: what lies off it counts no more, twice."""
    y, x = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)
    kept = np.abs(x - np.median(x)) <= max(4 * float(np.median(np.abs(x - np.median(x)))), 3.0)
    line = Line(float(np.median(x)), 0.0)
    for _ in range(3):
        if kept.sum() < 2 or np.ptp(y[kept]) == 0:
            break
        slope, at = np.polyfit(y[kept], x[kept], 1)
        line = Line(float(at), float(slope))
        off = np.abs(x - line.x(y))
        kept = off <= max(2.5 * float(np.median(off)), 1.0)
    return line
