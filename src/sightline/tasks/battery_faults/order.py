"""Which cell is which while the camera goes round the pack: from behind, the first one is on the right.

Cells are numbered from the left of the pack as it is first seen. Their order in the picture turns round where the
camera passes an end of the pack: it is narrow then, and the end that is nearer changes sides. Where the camera passes
the front, the nearer end changes too, but the pack is wide; and where it turns back at an end, the nearer end stays.
A renderer lights the front of a pack: where the first view is dark, it is one from behind.
"""

from __future__ import annotations

import numpy as np

from sightline.tasks.battery_faults.geometry import CellFinder, Cells, is_drawn
from sightline.tasks.battery_faults.pose import Pose
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.tasks.battery_faults.verdict import Reason

NARROW = 0.9
"""Width of a pack over its height, per cell over one: below this the camera looks along the row."""

_DARK = 0.4
"""Shading of what has ambient light only: 0.33 in the published pictures, and 0.6 and more of lit fronts."""


class CellsInSight:
    """The cells of one camera's pack, found in each frame from where they were in the one before.

    Args:
        count: cells of the pack.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._order = Order()
        self._finder = CellFinder(count)

    def push(self, thermal: Thermal) -> Cells | Reason:
        """The cells of the next frame, or why they are not in sight."""
        if not thermal.scaled:
            return "no_scale"
        cells = self._finder.find(thermal)
        if cells is None:
            return "pack_out_of_view"
        self._order.push(cells, self._count, thermal)
        return cells

    def number(self, label: int) -> int:
        """The cell that a label of the newest frame stands for."""
        return self._order.number(label, self._count)

    @property
    def from_behind(self) -> bool:
        """Whether the newest frame shows the side that was not seen at first."""
        return self._order.turned


class Order:
    """Follows the order of a pack's cells through the frames of one camera."""

    def __init__(self) -> None:
        self._nearer = 0  # side of the nearer end, when it was last clear
        self._narrowest = float("inf")  # since then
        self._azimuth = 0.0  # of the newest view that was fitted
        self._turned = False
        self._begun = False

    @property
    def turned(self) -> bool:
        """Whether the first cell is on the right."""
        return self._turned

    def number(self, label: int, count: int) -> int:
        """The cell that a label of the newest frame, from the left of the picture, stands for."""
        return count + 1 - label if self._turned else label

    def push(self, cells: Cells, count: int, thermal: Thermal | None = None) -> None:
        """Look at the next frame; `thermal` tells how it is lit."""
        if not self._begun and thermal is not None and thermal.shading.any():
            self._turned = bool(np.median(thermal.shading[cells.labels > 0]) < _DARK)
        self._begun = True
        if cells.pose is None or (thermal is not None and is_drawn(thermal)):
            self._follow_outline(cells, count)  # a pose is fitted to some drawn frames only
        else:
            self._follow_pose(cells.pose)

    def _follow_pose(self, pose: Pose) -> None:
        """From one azimuth to the next by the shorter way: over the end of the pack, or along its front."""
        if abs(pose.azimuth - self._azimuth) > np.pi / 2:
            self._turned = not self._turned
        self._azimuth = pose.azimuth

    def _follow_outline(self, cells: Cells, count: int) -> None:
        x0, y0, x1, y1 = cells.box
        narrow = (x1 - x0) / max(y1 - y0, 1) / count * 3
        self._narrowest = min(self._narrowest, narrow)
        if not cells.nearer:
            return
        if self._nearer and cells.nearer != self._nearer and self._narrowest < NARROW:
            self._turned = not self._turned
        self._nearer, self._narrowest = cells.nearer, narrow
