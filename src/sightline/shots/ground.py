"""Which ground a picture shows: pixels to longitudes and latitudes, on flat ground at the height of take-off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.shots.metadata import Shot

Floats = NDArray[np.float64]

_EQUATOR_M, _FLATTENING = 6378137.0, 1 / 298.257223563  # WGS 84
_FARTHEST = 10.0  # heights: beyond, a line of sight is too flat to say where it ends


@dataclass(frozen=True)
class Ground:
    """From the pixels of one picture to the ground below.

    Attributes:
        lon, lat: where the camera was.
        height_m: of the camera above the ground.
        axes: (3, 3), rows are right, down and forward of the picture as vectors east, north, up.
        focal_px: focal length.
        middle_px: the middle of the picture.
    """

    lon: float
    lat: float
    height_m: float
    axes: Floats
    focal_px: float
    middle_px: tuple[float, float]

    def offsets_m(self, pixels: ArrayLike) -> Floats:
        """Metres (n, 2) east and north of the camera, of pixels (n, 2); NaN where a pixel shows no ground near."""
        points = np.asarray(pixels, dtype=np.float64).reshape(-1, 2) - self.middle_px
        rays = np.column_stack([points, np.full(len(points), self.focal_px)]) @ self.axes
        with np.errstate(divide="ignore", invalid="ignore"):
            found = rays[:, :2] * (self.height_m / -rays[:, 2:])
        seen = (rays[:, 2] < 0) & (np.hypot(*found.T) <= _FARTHEST * self.height_m)
        return np.asarray(np.where(seen[:, None], found, np.nan))

    def lonlat(self, pixels: ArrayLike) -> Floats:
        """(n, 2) longitudes and latitudes of pixels (n, 2); NaN where a pixel shows no ground near."""
        offsets_m: Floats = self.offsets_m(pixels)
        return self.at(offsets_m)

    def at(self, offsets_m: Floats) -> Floats:
        """(n, 2) longitudes and latitudes of metres (n, 2) east and north of the camera."""
        return np.asarray(np.array([self.lon, self.lat]) + offsets_m / metres_per_degree(self.lat))

    def pixel_m(self) -> float:
        """Metres that a pixel in the middle spans on the ground, straight down."""
        return self.height_m / self.focal_px


def metres_per_degree(lat: float) -> Floats:
    """(2,) of longitude and of latitude, on the WGS 84 ellipsoid."""
    squared = _FLATTENING * (2 - _FLATTENING)
    under = 1 - squared * np.sin(np.radians(lat)) ** 2
    across = _EQUATOR_M / np.sqrt(under) * np.cos(np.radians(lat))
    along = _EQUATOR_M * (1 - squared) / under**1.5
    return np.asarray(np.radians(1) * np.array([max(across, 1e-6), along]))


def offsets_of(places: ArrayLike, origin: ArrayLike, lat: float) -> Floats:
    """Metres (n, 2) east and north of an origin, of longitudes and latitudes (n, 2), by the scale at a latitude.

    By the short way: places on both sides of the antimeridian are neighbours.
    """
    apart = np.asarray(places, dtype=np.float64).reshape(-1, 2) - np.asarray(origin, dtype=np.float64)
    return np.asarray(np.column_stack([within_half_turn(apart[:, 0]), apart[:, 1]]) * metres_per_degree(lat))


def within_half_turn(degrees: ArrayLike) -> Floats:
    """Degrees of longitude as -180 .. 180."""
    return np.asarray((np.asarray(degrees, dtype=np.float64) + 180) % 360 - 180)


def ground_of(shot: Shot, width: int, height: int) -> Ground | None:
    """The ground that a picture of this size shows; None where height, lens or attitude are not known.

    A picture that is shown turned is left out: its camera's axes are not those of the picture.
    """
    if shot.lon is None or shot.lat is None or shot.height_m is None or shot.focal_share is None or shot.turned:
        return None
    if shot.yaw_deg is None or shot.pitch_deg is None:
        return None
    focal_px = shot.focal_share * max(width, height)
    axes = _axes(shot.yaw_deg, shot.pitch_deg, shot.roll_deg or 0.0)
    return Ground(shot.lon, shot.lat, shot.height_m, axes, focal_px, (width / 2, height / 2))


def _axes(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Floats:
    """Right, down and forward of a picture, as vectors east, north, up."""
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    forward = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
    level = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
    below = np.cross(forward, level)
    right = np.cos(roll) * level + np.sin(roll) * below
    return np.stack([right, np.cross(forward, right), forward])


def footprint_of(shot: Shot, width: int, height: int) -> Floats | None:
    """(4, 2) longitudes and latitudes of a picture's corners on the ground; None where it cannot be told."""
    ground = ground_of(shot, width, height)
    if ground is None:
        return None
    corners = ground.lonlat([(0, 0), (width, 0), (width, height), (0, height)])
    return corners if bool(np.isfinite(corners).all()) else None
