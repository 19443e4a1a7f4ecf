"""Pictures of any size through an enlargement of bounded windows, without a seam.

A window shows `context_px` more on each side than what is kept of it, and neighbours share `overlap_px`, over which one
passes into the other linearly. Windows start at (0, 0) and every `stride_px` from there, whatever the picture is stored
by; beyond the borders they show the picture reflected at its last pixels. Where the enlargement looks no farther than
`context_px`, the answer is that of the whole picture at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Read = Callable[[int, int], Pixels]
"""(top, rows) inside the picture -> (3, rows, width)."""
Enlarge = Callable[[Pixels], Pixels]
"""(3, h, w) -> (3, factor h, factor w)."""
Position = tuple[int, int]
"""Number of a row of windows, and of a window in it."""


@dataclass(frozen=True)
class Windows:
    """How a picture is cut, in its own pixels.

    Attributes:
        stride_px: from one window to the next.
        overlap_px: what neighbours share and blend.
        context_px: what a window sees beyond that on each side.
    """

    stride_px: int
    overlap_px: int
    context_px: int

    def __post_init__(self) -> None:
        if not (0 <= self.overlap_px <= self.stride_px and self.stride_px >= 1 and self.context_px >= 0):
            raise ValueError(f"windows cannot be cut so: {self}")

    def starts(self, size_px: int) -> list[int]:
        """Where windows start along an axis: as many as cover it."""
        return list(range(0, max(size_px - self.overlap_px, 1), self.stride_px))

    def kept_px(self, size_px: int) -> int:
        """Side of what is kept of a window, along an axis of this size."""
        return min(self.stride_px + self.overlap_px, size_px)

    def count(self, height_px: int, width_px: int) -> int:
        """How many windows a picture has."""
        return len(self.starts(height_px)) * len(self.starts(width_px))


@dataclass(frozen=True)
class Piece:
    """A finished part of the answer.

    Attributes:
        top: its first row in the answer.
        left: its first column in the answer.
        pixels: (3, h, w).
    """

    top: int
    left: int
    pixels: Pixels


def enlarge_pieces(
    read: Read,
    enlarge: Callable[[Position, Pixels], Pixels],
    size: tuple[int, int],
    factor: int,
    plan: Windows,
) -> Iterator[Piece]:
    """Enlarge a picture window by window; the pieces cover the answer without gaps, row by row.

    What is held at any time: the rows that a row of windows shows, one window's answer, and the strip of the answer
    that two rows of windows share.

    Args:
        read: gives rows of the picture.
        enlarge: answers one window, told its place: the same size for each place of a picture.
        size: (height, width) of the picture.
        factor: of the enlargement.
        plan: how it is cut.
    """
    height, width = size
    shared = factor * plan.overlap_px
    above = np.zeros((3, shared, factor * width), dtype=np.float32)
    tops, lefts = plan.starts(height), plan.starts(width)
    for row, top in enumerate(tops):
        strip = _rows(read, top - plan.context_px, plan.kept_px(height) + 2 * plan.context_px, height)
        down = _ramps(row, len(tops), factor * min(plan.kept_px(height), height - top), shared)
        below = np.zeros_like(above)
        beside = np.zeros((3, len(down), shared), dtype=np.float32)
        for column, left in enumerate(lefts):
            window = _reflected(strip, left - plan.context_px, plan.kept_px(width) + 2 * plan.context_px)
            along = _ramps(column, len(lefts), factor * min(plan.kept_px(width), width - left), shared)
            answer = _cut(enlarge((row, column), window), factor * plan.context_px, (len(down), len(along)))
            weighted = answer * (down[:, None] * along)
            last = (row + 1 == len(tops), column + 1 == len(lefts))
            rows, columns = (len(ramp) - (0 if end else shared) for ramp, end in zip((down, along), last, strict=True))
            at = factor * left
            below[:, : len(down) - rows, at : at + len(along)] += weighted[:, rows:]
            right = weighted[:, :, columns:].copy()
            if column:
                weighted[:, :, :shared] += beside
            beside = right
            finished = weighted[:, :rows, :columns]
            if row:
                finished[:, :shared] += above[:, :, at : at + columns]
            yield Piece(factor * top, at, np.rint(finished).astype(np.uint8))
        above = below


def _ramps(number: int, count: int, length: int, shared: int) -> Floats:
    """Weights along a window's answer: those of two neighbours sum to one over what they share."""
    weights = np.ones(length, dtype=np.float32)
    rise = ((np.arange(shared) + 0.5) / max(shared, 1)).astype(np.float32)
    if number:
        weights[:shared] *= rise
    if number + 1 < count:
        weights[length - shared :] *= 1 - rise
    return weights


def _cut(answer: Pixels, margin: int, size: tuple[int, int]) -> Floats:
    height, width = size
    return answer[:, margin : margin + height, margin : margin + width].astype(np.float32)


def _rows(read: Read, top: int, rows: int, height: int) -> Pixels:
    """Rows top .. top + rows - 1 of a picture, reflected beyond its ends."""
    wanted = _indices(top, rows, height)
    first, end = int(wanted.min()), int(wanted.max()) + 1
    return read(first, end - first)[:, wanted - first]


def _reflected(strip: Pixels, left: int, columns: int) -> Pixels:
    return np.ascontiguousarray(strip[:, :, _indices(left, columns, strip.shape[2])])


def _indices(start: int, length: int, size: int) -> NDArray[np.intp]:
    """Indices start .. start + length - 1 of an axis of `size`, turned back at its ends as often as it takes."""
    if size == 1:
        return np.zeros(length, dtype=np.intp)
    beyond = np.arange(start, start + length) % (2 * (size - 1))
    return np.minimum(beyond, 2 * (size - 1) - beyond)
