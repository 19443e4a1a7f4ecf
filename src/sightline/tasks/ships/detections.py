"""What was found in a raster, in its own pixels; and that one ship is one detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.geometry import box_iou, polygon_box
from sightline.stopping import check
from sightline.tasks.ships.labels import Where

Corners = NDArray[np.float64]
"""(4, 2) of a rectangle, x then y, the first side along the ship."""

_SLACK_PX = 1.0
"""More than rounding moves an edge by."""


@dataclass(frozen=True)
class Detection:
    """One ship.

    Attributes:
        x, y: where it is found.
        score: probability of a ship there.
        corners: the oriented rectangle of its extent.
        where: whether it lies in open water, or alongside a quay or another vessel.
    """

    x: float
    y: float
    score: float
    corners: Corners
    where: Where = "open_water"

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
        return Detection(self.x * across, self.y * down, self.score, corners, self.where)


def rectangle(x: float, y: float, length: float, beam: float, angle_rad: float) -> Corners:
    """The corners of a rectangle around (x, y), its length along the angle."""
    along = np.array([np.cos(angle_rad), np.sin(angle_rad)]) * length / 2
    aside = np.array([-np.sin(angle_rad), np.cos(angle_rad)]) * beam / 2
    return np.array([x, y]) + np.stack([-along - aside, along - aside, along + aside, -along + aside])


def suppress(found: Sequence[Detection], separation_px: float, overlap: float) -> list[Detection]:
    """The best ones: none is nearer to a better one than that, lies on it, or shares more of its box with it.

    Only detections whose surroundings meet are compared, so that the time grows with their number, not its square.

    Raises:
        Stopped: see `sightline.stopping`.
    """
    import shapely

    ranked = sorted(found, key=lambda one: (-one.score, one.y, one.x))
    lengths = np.array([one.length_px for one in ranked])
    middles = np.array([(one.x, one.y) for one in ranked]).reshape(-1, 2)
    surroundings = shapely.box(*_surroundings(ranked, lengths, separation_px).T)
    tree = shapely.STRtree(surroundings)
    is_kept = np.zeros(len(ranked), dtype=bool)
    for rank, one in enumerate(ranked):
        check()
        near = tree.query(surroundings[rank])
        near = near[is_kept[near]]
        reach = np.maximum(separation_px, lengths[rank] + lengths[near])
        near = near[(np.abs(middles[near] - middles[rank]) <= reach[:, None]).all(axis=1)]
        is_kept[rank] = not any(_doubles(one, ranked[better], separation_px, overlap) for better in near)
    return [one for one, kept in zip(ranked, is_kept, strict=True) if kept]


def _surroundings(
    found: Sequence[Detection], lengths: NDArray[np.float64], separation_px: float
) -> NDArray[np.float64]:
    """(n, 4) x0, y0, x1, y1 around each: those of two, one of which `_doubles` the other, meet."""
    corners = np.array([one.corners for one in found]).reshape(-1, 4, 2)
    middles = np.array([(one.x, one.y) for one in found]).reshape(-1, 2)
    beams = np.array([one.beam_px for one in found])
    # A rectangle without a width has no direction across: what lies abreast of it counts as within, however far.
    is_line = np.minimum(lengths, beams) < _SLACK_PX
    half_px = np.where(is_line, np.maximum(separation_px, lengths + lengths.max(initial=0)), separation_px / 2)
    low = np.minimum(corners.min(axis=1), middles - half_px[:, None]) - _SLACK_PX
    high = np.maximum(corners.max(axis=1), middles + half_px[:, None]) + _SLACK_PX
    return np.concatenate([low, high], axis=1)


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
