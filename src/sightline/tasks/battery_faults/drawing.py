"""What an operator looks at: the marked frame, the temperatures of the cells over time, the pack with its fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.runs import Mask

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

FAULTY, HEALTHY, UNKNOWN = (230, 60, 40), (70, 150, 90), (120, 120, 130)
_INK, _PAPER, _GRID = (40, 44, 52), (250, 250, 250), (222, 224, 228)
_CURVES = ((31, 119, 180), (255, 127, 14), (44, 160, 44), (148, 103, 189), (140, 86, 75), (23, 190, 207))
_FONT_PX, _BANNER_PX, _MARGIN_PX = 14, 26, 44
_CELL = (1.0, 1.32, 0.3)  # width, height and drawn thickness of a cell, as shares of its width
_GAP = 0.12
_EYE = (-0.62, 0.38)  # radians to the side and above, from which the pack is seen
_DISTANCE = 7.0  # cell widths from the eye to the pack's middle
_WARM_K = 10.0  # a rise from which on a cell is drawn in the warmest colour


def mark(picture: Picture, masks: Mapping[int, Mask], banner: str, colour: tuple[int, int, int]) -> Picture:
    """A frame (h, w, 3) with the outlines of faulty cells, and above it what is said of it: (h + 26, w, 3)."""
    import cv2

    drawn = picture.copy()
    for cell, mask in masks.items():
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outlines, -1, (255, 255, 255), 3)
        cv2.drawContours(drawn, outlines, -1, FAULTY, 1)
        if len(outlines):
            x, y, _, _ = cv2.boundingRect(max(outlines, key=len))
            _write(drawn, f"cell {cell}", (x, max(y - 5, 12)), FAULTY)
    head = np.empty((_BANNER_PX, drawn.shape[1], 3), np.uint8)
    head[:] = colour
    _write(head, banner, (8, 18), (255, 255, 255))
    return np.concatenate([head, drawn])


def chart(curves: Floats, times: Floats, unit: str, onset: float | None, size: tuple[int, int]) -> Picture:
    """The warmest place of each cell over time.

    Args:
        curves: (t, cells) kelvin; NaN where a cell was not seen.
        times: (t,) of the frames.
        unit: of the times: "s" or "frame".
        onset: the time at which the fault was first seen; None: none was.
        size: (h, w) of the picture.
    """
    import cv2

    height, width = size
    paper = np.full((height, width, 3), _PAPER, np.uint8)
    x0, y0, x1, y1 = _MARGIN_PX + 8, 24, width - 12, height - _MARGIN_PX
    _write(paper, "warmest place of each cell [K]", (x0, 16), _INK)
    _write(paper, f"time [{unit}]", (x1 - 80, height - 8), _INK)
    seen = curves[np.isfinite(curves)]
    if not len(seen):
        _write(paper, "no temperature could be told", (x0 + 10, (y0 + y1) // 2), _INK)
        return paper
    low, high = float(np.floor(seen.min() - 0.5)), float(np.ceil(seen.max() + 0.5))
    first, last = float(times[0]), max(float(times[-1]), float(times[0]) + 1e-9)

    def place(t: float, kelvin: float) -> tuple[int, int]:
        return round(x0 + (t - first) / (last - first) * (x1 - x0)), round(
            y1 - (kelvin - low) / (high - low) * (y1 - y0)
        )

    for kelvin in np.linspace(low, high, 5):
        _, y = place(first, float(kelvin))
        cv2.line(paper, (x0, y), (x1, y), _GRID, 1)
        _write(paper, f"{kelvin:.1f}", (4, y + 5), _INK)
    for t in ticks(first, last, whole=unit == "frame"):
        x, _ = place(float(t), low)
        _write(paper, f"{t:.4g}", (x - 10, y1 + 18), _INK)
    for cell in range(curves.shape[1]):
        colour = _CURVES[cell % len(_CURVES)]
        points = [place(float(t), float(k)) for t, k in zip(times, curves[:, cell], strict=True) if np.isfinite(k)]
        if points:
            cv2.polylines(paper, [np.array(points, np.int32)], False, colour, 2, cv2.LINE_AA)
        _write(paper, f"cell {cell + 1}", (x0 + 8 + 70 * cell, y0 + 14), colour)
    if onset is not None:
        x, _ = place(onset, low)
        cv2.line(paper, (x, y0), (x, y1), FAULTY, 1)
        _write(paper, "onset", (min(x + 4, x1 - 44), y1 - 6), FAULTY)
    return paper


def ticks(first: float, last: float, whole: bool) -> Floats:
    """Up to five places of an axis, evenly spread; `whole`: at whole numbers alone, as frames have."""
    spread = np.linspace(first, last, 5)
    return np.unique(spread.round()) if whole else spread


def pack_view(rises_k: Sequence[float], faulty: frozenset[int], size: tuple[int, int]) -> Picture:
    """The pack from the front, the right and above, each cell in the colour of its rise; faulty ones are outlined.

    Args:
        rises_k: of each cell over the pack's median, from the left; NaN where it was not seen.
        faulty: numbers of the cells that are.
        size: (h, w) of the picture.
    """
    import cv2

    paper = np.full((*size, 3), _PAPER, np.uint8)
    corners = _projected(len(rises_k), size)
    for cell in range(1, len(rises_k) + 1):  # the farthest first
        colour, points = _warmth(rises_k[cell - 1]), corners[cell - 1]
        for face, light in (((4, 5, 6, 7), 0.8), ((0, 4, 7, 3), 0.65), ((3, 2, 6, 7), 0.9), ((0, 1, 2, 3), 1.0)):
            shape = points[list(face)].astype(np.int32)
            cv2.fillConvexPoly(paper, shape, tuple(int(light * value) for value in colour), cv2.LINE_AA)
            edge = FAULTY if cell in faulty else _INK
            cv2.polylines(paper, [shape], True, edge, 3 if cell in faulty else 1, cv2.LINE_AA)
    for cell, (rise_k, points) in enumerate(zip(rises_k, corners, strict=True), start=1):
        x, y = points[[0, 1]].mean(axis=0).astype(int)
        said = f"{rise_k:+.1f} K" if np.isfinite(rise_k) else "not seen"
        _write(paper, f"{cell}: {said}", (x - 34, min(y + 20, size[0] - 6)), FAULTY if cell in faulty else _INK)
    return paper


def _projected(cells: int, size: tuple[int, int]) -> Floats:
    """(cells, 8, 2) pixels of the corners: the front from its lower left one against the clock, then the back."""
    width, height, thickness = _CELL
    lefts = (np.arange(cells) - (cells - 1) / 2) * (width + _GAP) - width / 2
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - [0, height / 2]
    one = np.concatenate([np.c_[flat, np.full(4, thickness / 2)], np.c_[flat, np.full(4, -thickness / 2)]])
    points = np.stack([one + np.array([left, 0, 0]) for left in lefts])
    side, above = _EYE
    turned = points @ np.array(
        [[np.cos(side), 0, -np.sin(side)], [0, 1, 0], [np.sin(side), 0, np.cos(side)]], np.float64
    )
    x = turned[..., 0]
    y = np.cos(above) * turned[..., 1] - np.sin(above) * turned[..., 2]
    depth = _DISTANCE * max(cells / 3, 1) - np.cos(above) * turned[..., 2] - np.sin(above) * turned[..., 1]
    seen = np.stack([x / depth, -y / depth], axis=-1)
    low, high = seen.min(axis=(0, 1)), seen.max(axis=(0, 1))
    room = np.array([size[1] - 40, size[0] - 70])
    scale = (room / (high - low)).min()
    return np.asarray((seen - (low + high) / 2) * scale + [size[1] / 2, size[0] / 2 - 8])


def _warmth(rise_k: float) -> tuple[int, int, int]:
    """Grey where a cell was not seen, else from blue to red."""
    if not np.isfinite(rise_k):
        return 190, 190, 195
    share = float(np.clip(rise_k / _WARM_K, 0, 1))
    return round(70 + 180 * share), round(110 - 30 * share), round(200 - 150 * share)


def _write(picture: Picture, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    import cv2

    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, _FONT_PX / 32, colour, 1, cv2.LINE_AA)
