"""Where a made-up scene lies on Earth: its transform, the truth as GeoJSON, and its map tiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.task import Json
from sightline.tasks.ships.synthetic.hulls import Hull

if TYPE_CHECKING:
    import mercantile

TILE_PX = 256
EQUATOR_M = 156543.03392804097
"""A pixel of a tile of zoom 0 at the equator."""

MOST_ZOOM = 22


@dataclass(frozen=True)
class Georeference:
    """A north-up raster in the UTM zone on whose middle meridian it lies, so that the grid's north is true north.

    Attributes:
        zone: 1 .. 60; the scene's middle is on its middle meridian.
        latitude: of the middle, -80 .. 80 degrees.
        width, height: in pixels.
        gsd_m: a pixel.
    """

    zone: int
    latitude: float
    width: int
    height: int
    gsd_m: float

    @property
    def crs(self) -> str:
        """As `EPSG:<code>`."""
        return f"EPSG:{(32600 if self.latitude >= 0 else 32700) + self.zone}"

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """(a, b, c, d, e, f): x = a column + b row + c, y = d column + e row + f."""
        from rasterio.warp import transform

        (x,), (y,) = transform("EPSG:4326", self.crs, [6 * self.zone - 183], [self.latitude])
        left, top = round(x) - self.width / 2 * self.gsd_m, round(y) + self.height / 2 * self.gsd_m
        return self.gsd_m, 0.0, left, 0.0, -self.gsd_m, top

    def lon_lat(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) longitudes and latitudes of (n, 2) pixels x, y."""
        from rasterio.warp import transform

        a, _, c, _, e, f = self.transform
        lon, lat = transform(self.crs, "EPSG:4326", points[:, 0] * a + c, points[:, 1] * e + f)
        return np.stack([np.asarray(lon), np.asarray(lat)], axis=1)

    def zoom(self) -> int:
        """The first zoom whose pixel is no larger on the ground than the scene's."""
        ground_m = EQUATOR_M * math.cos(math.radians(self.latitude))
        return min(max(math.ceil(math.log2(ground_m / self.gsd_m)), 0), MOST_ZOOM)


def truth(vessels: Sequence[Hull], place: Georeference) -> dict[str, Json]:
    """A GeoJSON FeatureCollection of the hulls; `raster` is a foreign member that says how pixels lie on the map."""
    raster: dict[str, Json] = {
        "width": place.width,
        "height": place.height,
        "crs": place.crs,
        "transform": list(place.transform),
        "gsd_m": place.gsd_m,
    }
    return {"type": "FeatureCollection", "features": [_feature(hull, place) for hull in vessels], "raster": raster}


def _feature(hull: Hull, place: Georeference) -> dict[str, Json]:
    outline = hull.outline()[::-1]  # rows go down and latitudes up: turned round, the ring is counter-clockwise
    ring = np.round(place.lon_lat(np.concatenate([outline, outline[:1]])), 8)
    if (np.diff(ring[:, 0]) * (ring[1:, 1] + ring[:-1, 1])).sum() > 0:
        ring = ring[::-1]
    properties: dict[str, Json] = {
        "kind": hull.kind,
        "where": hull.where,
        "vessel": hull.build,
        "bbox": [round(value, 3) for value in hull.bbox],
        "length_m": round(hull.length_m, 2),
        "beam_m": round(hull.beam_m, 2),
        "heading_deg": round(hull.heading_deg, 2),
        "speed_kn": round(hull.speed_kn, 1),
    }
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring.tolist()]},
        "properties": properties,
    }


# -------------------------------------------------------------------------------------------------------- tiles


def tiles(pixels: NDArray[np.uint8], place: Georeference) -> Iterator[tuple[int, int, int, NDArray[np.uint8]]]:
    """(z, x, y, (256, 256, 4) RGBA) of each web-mercator tile that the scene touches; transparent beside the scene.

    The scene is resampled by cubic convolution, each pixel where it lies; one tile is held at a time.
    """
    import mercantile

    corners = np.array([[0, 0], [place.width, 0], [0, place.height], [place.width, place.height]], dtype=np.float64)
    west_south, east_north = (bound(place.lon_lat(corners), axis=0) for bound in (np.min, np.max))
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    for tile in mercantile.tiles(*west_south, *east_north, [place.zoom()]):
        picture = _tile(planes, place, mercantile.xy_bounds(tile))
        if picture[..., 3].any():
            yield tile.z, tile.x, tile.y, picture


def _tile(planes: NDArray[np.uint8], place: Georeference, bounds: mercantile.Bbox) -> NDArray[np.uint8]:
    from rasterio.transform import Affine
    from rasterio.warp import Resampling, reproject

    side_m = (bounds.right - bounds.left) / TILE_PX
    picture = np.zeros((4, TILE_PX, TILE_PX), dtype=np.uint8)
    opaque = np.full((1, *planes.shape[1:]), 255, dtype=np.uint8)
    for source, target, how in ((planes, picture[:3], Resampling.cubic), (opaque, picture[3:], Resampling.nearest)):
        reproject(
            source,
            target,
            src_transform=Affine(*place.transform),
            src_crs=place.crs,
            dst_transform=Affine(side_m, 0, bounds.left, 0, -side_m, bounds.top),
            dst_crs="EPSG:3857",
            resampling=how,
            tolerance=0,  # no approximation of the transform between a few points
        )
    picture[:3] *= picture[3:] > 0
    return np.ascontiguousarray(np.moveaxis(picture, 0, -1))
