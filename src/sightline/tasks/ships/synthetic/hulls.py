"""Vessels: what there is of each length, and their shape from above."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from sightline.geometry import Polygon
from sightline.tasks.ships.labels import Kind

Build = Literal["tanker", "bulk", "container", "cargo", "ferry", "barge", "tug", "supply", "fishing", "yacht", "boat"]
BUILDS: tuple[Build, ...] = get_args(Build)
Where: TypeAlias = Literal["open_water", "alongside"]

SHIP_M, SMALL_M = 160.0, 45.0
"""A ship is at least, a small vessel at most this long."""

VESSEL_M = 20.0
"""What is shorter is a boat, and not asked for."""

_SHARES: tuple[tuple[float, dict[Build, float]], ...] = (
    (VESSEL_M, {"boat": 0.7, "yacht": 0.3}),
    (50.0, {"tug": 0.26, "fishing": 0.2, "barge": 0.18, "ferry": 0.12, "yacht": 0.16, "supply": 0.08}),
    (SHIP_M, {"cargo": 0.24, "barge": 0.16, "tanker": 0.18, "ferry": 0.14, "bulk": 0.08, "container": 0.08,
              "supply": 0.08, "fishing": 0.04}),
    (math.inf, {"tanker": 0.3, "bulk": 0.26, "container": 0.24, "cargo": 0.1, "ferry": 0.1}),
)  # fmt: skip
"""Up to a length in metres: how often each build."""

_SLENDER: dict[Build, tuple[float, float]] = {
    "tanker": (5.3, 6.6),
    "bulk": (5.6, 7.0),
    "container": (5.8, 7.8),
    "cargo": (5.2, 7.0),
    "ferry": (4.2, 6.8),
    "barge": (2.8, 5.5),
    "tug": (2.6, 3.4),
    "supply": (3.7, 4.6),
    "fishing": (3.0, 4.4),
    "yacht": (3.6, 5.2),
    "boat": (2.6, 3.8),
}
"""Length over beam."""

_SPEED_KN: dict[Build, tuple[float, float]] = {
    "ferry": (12, 30),
    "barge": (4, 8),
    "tug": (5, 12),
    "fishing": (5, 11),
    "yacht": (8, 22),
    "boat": (8, 30),
}
"""Of a vessel under way; others make 4 to 16."""


@dataclass(frozen=True)
class Hull:
    """One vessel in a scene.

    Attributes:
        x, y: its middle, in pixels of the scene.
        length_m, beam_m: overall.
        heading_deg: of its bow, clockwise from the top of the scene.
        build: what it looks like.
        gsd_m: of the scene.
        bow, stern: exponents of the superellipse; the larger, the blunter.
        where: in open water, or at a quay, a pier or another vessel.
        speed_kn: 0 at anchor and alongside; one under way has a wake behind it.
    """

    x: float
    y: float
    length_m: float
    beam_m: float
    heading_deg: float
    build: Build
    gsd_m: float
    bow: float = 2.6
    stern: float = 7.0
    where: Where = "open_water"
    speed_kn: float = 0.0

    @property
    def kind(self) -> Kind:
        """How it is labelled."""
        if self.where == "alongside":
            return "berth"
        if self.length_m >= SHIP_M:
            return "ship"
        return "small" if self.length_m <= SMALL_M else "other"

    @property
    def ahead(self) -> NDArray[np.float64]:
        """(2,) unit vector x, y from stern to bow."""
        angle = math.radians(self.heading_deg)
        return np.array([math.sin(angle), -math.cos(angle)])

    def half_beam(self, along: NDArray[np.floating]) -> NDArray[np.float64]:
        """Half of the width at `along` (-1 stern .. 1 bow), as a share of half of the beam."""
        power = np.where(along > 0, self.bow, self.stern)
        return np.asarray(np.maximum(0.0, 1 - np.abs(along) ** power) ** np.where(along > 0, 0.65, 0.5))

    def outline(self) -> Polygon:
        """(n, 2) corners in pixels of the scene."""
        along = np.cos(np.linspace(0, math.pi, 25))
        width = self.half_beam(along)
        side = np.concatenate([np.stack([along, width], 1), np.stack([along[::-1], -width[::-1]], 1)[1:-1]])
        forward = self.ahead * self.length_m / 2 / self.gsd_m
        right = np.array([-self.ahead[1], self.ahead[0]]) * self.beam_m / 2 / self.gsd_m
        return np.asarray([self.x, self.y] + side[:, :1] * forward + side[:, 1:] * right, dtype=np.float64)

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) of the outline, in pixels."""
        low, high = self.outline().min(axis=0), self.outline().max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def draw_hull(
    rng: np.random.Generator, length_m: float, at: tuple[float, float], heading_deg: float, gsd_m: float
) -> Hull:
    """A vessel of that length, at anchor in open water at `at` pixels; of a likely build and beam."""
    shares = next(shares for longest, shares in _SHARES if length_m < longest)
    build = list(shares)[int(rng.choice(len(shares), p=np.array(list(shares.values())) / sum(shares.values())))]
    bow, stern = rng.uniform(3.0, 8.0), rng.uniform(5, 10)
    if build == "barge":
        bow, stern = rng.uniform(8, 14), 14.0
    elif build in ("yacht", "boat", "fishing", "tug"):
        bow = rng.uniform(2.2, 3.6)
    beam_m = length_m / rng.uniform(*_SLENDER[build])
    return Hull(*at, length_m, min(beam_m, 60.0), heading_deg % 360, build, gsd_m, bow, stern)


def draw_speed_kn(rng: np.random.Generator, hull: Hull) -> float:
    """At which such a vessel goes when it is under way."""
    return float(rng.uniform(*_SPEED_KN.get(hull.build, (4, 16))))
