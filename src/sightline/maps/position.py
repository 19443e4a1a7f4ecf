"""Where pixels of a raster lie on Earth, and how many metres they measure there.

Pixel coordinates: x to the right, y down; the first pixel covers [0, 1] x [0, 1] and its centre is (0.5, 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.errors import DataRejected
from sightline.maps.area import wrapped
from sightline.maps.zoom import EARTH_RADIUS_M, WORLD_M

Floats = NDArray[np.float64]
Transform = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f of x' = a x + b y + c, y' = d x + e y + f, from pixels to the reference system."""

WEB_MERCATOR = "EPSG:3857"
_LONGITUDE_LATITUDE = "EPSG:4326"
_ECCENTRICITY_2 = 0.00669437999014
"""Square of WGS 84's first eccentricity."""

_WAY_OUT = "Write the correct georeference into the file, or remove it (gdal_edit.py -unsetgt)."


@dataclass(frozen=True)
class Georeference:
    """A raster's place on Earth.

    Attributes:
        crs: its reference system, `EPSG:...` or well-known text.
        transform: from pixels to `crs`.
        width_px: of the raster.
        height_px: of the raster.
    """

    crs: str
    transform: Transform
    width_px: int
    height_px: int

    def lonlat(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Longitude (-180 .. 180) and latitude in degrees of points in pixels.

        Raises:
            DataRejected: the reference system has no answer there.
        """
        a, b, c, d, e, f = self.transform
        columns, rows = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        longitudes, latitudes = self._reproject(
            self.crs, _LONGITUDE_LATITUDE, a * columns + b * rows + c, d * columns + e * rows + f
        )
        return wrapped(longitudes), latitudes

    def pixels(self, longitudes: ArrayLike, latitudes: ArrayLike) -> tuple[Floats, Floats]:
        """The x and y in pixels of points on Earth: on the turn round the Earth that is nearest to the raster.

        Raises:
            DataRejected: the reference system has no answer there.
        """
        a, b, c, d, e, f = self.transform
        east, north = self._reproject(_LONGITUDE_LATITUDE, self.crs, longitudes, latitudes)
        turn = self._turn
        if turn:
            middle = a * self.width_px / 2 + b * self.height_px / 2 + c
            east = east + turn * np.round((middle - east) / turn)
        determinant = a * e - b * d
        east, north = east - c, north - f
        return (e * east - b * north) / determinant, (a * north - d * east) / determinant

    def length_m(self, first: tuple[float, float], second: tuple[float, float]) -> float:
        """Metres between two points in pixels, on the ellipsoid of WGS 84; exact to 1e-4 up to some 10 km.

        The raster's own units will not do: EPSG:3857 stretches by 1 / cos(latitude).
        """
        longitudes, latitudes = self.lonlat([first[0], second[0]], [first[1], second[1]])
        return float(np.hypot(*_metres(longitudes, latitudes)))

    def gsd_m(self, x: float, y: float) -> tuple[float, float]:
        """Metres that a pixel measures along x and along y at a point, on the ellipsoid of WGS 84."""
        return self.length_m((x - 0.5, y), (x + 0.5, y)), self.length_m((x, y - 0.5), (x, y + 0.5))

    @property
    def _turn(self) -> float:
        """Once round the Earth, in units of the reference system; 0 where it does not repeat."""
        from rasterio.crs import CRS

        system = CRS.from_user_input(self.crs)
        if system.is_geographic:
            return 360.0
        return WORLD_M if system == CRS.from_user_input(WEB_MERCATOR) else 0.0

    def _reproject(self, source: str, target: str, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        from rasterio._err import CPLE_BaseError  # GDAL's own words, which are no RasterioError
        from rasterio.errors import RasterioError
        from rasterio.warp import transform

        across, down = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
        try:
            moved = transform(source, target, across.ravel(), down.ravel())
        except (RasterioError, CPLE_BaseError) as error:
            raise DataRejected(
                f"its positions cannot be computed ({error})", where=self.crs[:60], way_out=_WAY_OUT
            ) from error
        moved_x, moved_y = (np.array(values, dtype=np.float64).reshape(across.shape) for values in moved[:2])
        if not (np.isfinite(moved_x).all() and np.isfinite(moved_y).all()):
            raise DataRejected(
                "a position lies outside the area of the reference system", where=self.crs[:60], way_out=_WAY_OUT
            )
        return moved_x, moved_y


def _metres(longitudes: Floats, latitudes: Floats) -> tuple[float, float]:
    """Metres east and north between two points, by the ellipsoid's radii of curvature at the middle latitude."""
    middle = math.radians(float(latitudes.mean()))
    bulge = 1 - _ECCENTRICITY_2 * math.sin(middle) ** 2
    along_parallel = EARTH_RADIUS_M / math.sqrt(bulge) * math.cos(middle)
    along_meridian = EARTH_RADIUS_M * (1 - _ECCENTRICITY_2) / bulge**1.5
    east = math.radians(float(wrapped(longitudes[1] - longitudes[0])))
    return along_parallel * east, along_meridian * math.radians(float(latitudes[1] - latitudes[0]))
