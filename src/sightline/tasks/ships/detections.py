"""What was found in a raster, in its own pixels; and that one ship is one detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.geometry import box_iou, polygon_box

Corners = NDArray[np.float64]
"""(4, 2) of a rectangle, x then y, the first side along the ship."""


@dataclass(frozen=True)
class Detection:
    """One ship.

    Attributes:
        x, y: where it is found.
        score: probability of a ship there.
        corners: the oriented rectangle of its extent.
    """

    x: float
    y: float
    score: float
    corners: Corners

    @property
    def box(self) -> NDArray[np.float64]:
        """(4,) x0, y0, x1, y1: the upright rectangle around it."""
        return polygon_box(self.corners)

    @property
    def length_px(self) -> float:
        """Of the ship."""
        return float(np.linalg.norm(self.corners[1] - self.corners[0]))

    @property
    def beam_px(self) -> float:
        """Of the ship, across."""
        return float(np.linalg.norm(self.corners[2] - self.corners[1]))

    def scaled(self, down: float, across: float) -> Detection:
        """The same in pixels that are `across` and `down` times as many."""
        corners = self.corners * np.array([across, down])
        return Detection(self.x * across, self.y * down, self.score, corners)


def rectangle(x: float, y: float, length: float, beam: float, angle_rad: float) -> Corners:
    """The corners of a rectangle around (x, y), its length along the angle."""
    along = np.array([np.cos(angle_rad), np.sin(angle_rad)]) * length / 2
    aside = np.array([-np.sin(angle_rad), np.cos(angle_rad)]) * beam / 2
    return np.array([x, y]) + np.stack([-along - aside, along - aside, along + aside, -along + aside])


def suppress(found: Sequence[Detection], separation_px: float, overlap: float) -> list[Detection]:
    """The best ones: none is nearer to a better one than that, lies on it, or shares more of its box with it."""
    kept: list[Detection] = []
    for one in sorted(found, key=lambda one: (-one.score, one.y, one.x)):
        near = [other for other in kept if _reach(one, other, separation_px)]
        if not any(_doubles(one, other, separation_px, overlap) for other in near):
            kept.append(one)
    return kept


def _reach(one: Detection, other: Detection, separation_px: float) -> bool:
    """Whether two may have to do with each other at all."""
    reach = max(separation_px, one.length_px + other.length_px)
    return abs(one.x - other.x) <= reach and abs(one.y - other.y) <= reach


def _doubles(one: Detection, better: Detection, separation_px: float, overlap: float) -> bool:
    if np.hypot(one.x - better.x, one.y - better.y) < separation_px:
        return True
    return _within(one.x, one.y, better.corners) or bool(box_iou(one.box, better.box)[0, 0] > overlap)


def _within(x: float, y: float, corners: Corners) -> bool:
    """Whether a point lies in a rectangle."""
    point = np.array([x, y]) - corners[0]
    for side in (corners[1] - corners[0], corners[3] - corners[0]):
        along = point @ side
        if not 0 <= along <= side @ side:
            return False
    return True
