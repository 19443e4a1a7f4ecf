"""Who serves map tiles, and on what terms. A provider is a record; the list below is all that is fetched from.

What the records allow is more cautious than what the servers would let pass: terms that forbid bulk downloads still
allow what a person looking at a map would load, and `most_tiles` is that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mercantile import Tile

from sightline.errors import DataMissing, DataRejected, RequestError
from sightline.maps.store import TILE_SUFFIXES, TileStore, square_side
from sightline.maps.zoom import gsd_m

_LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Provider:
    """A source of square web-mercator tiles.

    Attributes:
        name: as users call it.
        attribution: what must be shown with its pictures.
        terms: what its terms say, one sentence.
        terms_url: where they are.
        url: https address with {z}, {x} and {y}; empty where `folder` is set.
        folder: `z/x/y.png` (or .jpg) on this machine; where `url` is empty.
        min_zoom: first level there is.
        max_zoom: last level there is.
        tile_px: side of a tile.
        native_gsd_m: metres a pixel of the pictures it is made of, where they are best; deeper zooms show no more.
        detects: whether there is anything to detect; a drawn map has nothing.
        allow_bulk: whether its terms allow to download whole areas.
        most_tiles: of one area.
        requests_per_s: to its host, at most.
        concurrency: requests at a time, at most.
        keep_days: how long a tile is kept before it is asked for again.
        tile_bytes: of a tile, in the mean; for estimates.
    """

    name: str
    attribution: str
    terms: str
    terms_url: str
    url: str = ""
    folder: Path | None = None
    min_zoom: int = 0
    max_zoom: int = 19
    tile_px: int = 256
    native_gsd_m: float = 0.0
    detects: bool = True
    allow_bulk: bool = False
    most_tiles: int = 1_000
    requests_per_s: float = 10.0
    concurrency: int = 4
    keep_days: float = 30.0
    tile_bytes: int = 20_000

    def __post_init__(self) -> None:
        if bool(self.url) == (self.folder is not None):
            raise ValueError(f"{self.name}: either an address or a folder")
        parts = urlsplit(self.url)
        local = parts.scheme == "http" and parts.hostname in _LOCAL
        if self.url and not ((parts.scheme == "https" or local) and all(f"{{{key}}}" in self.url for key in "zxy")):
            raise ValueError(f"{self.name}: {self.url} is not an https address with {{z}}, {{x}} and {{y}}")

    @property
    def host(self) -> str:
        """Whom the requests go to; empty for a folder."""
        return urlsplit(self.url).netloc

    def address(self, tile: Tile) -> str:
        """Where a tile is asked for."""
        return self.url.replace("{z}", str(tile.z)).replace("{x}", str(tile.x)).replace("{y}", str(tile.y))

    def store(self, cache: Path) -> TileStore:
        """Where its tiles are: its own folder, or its part of the cache. Another address gets another part."""
        if self.folder is not None:
            return TileStore(self.folder, owned=False)
        return TileStore(cache / f"{self.name}-{hashlib.sha256(self.url.encode()).hexdigest()[:8]}", owned=True)


ESRI = Provider(
    name="esri",
    attribution="Sources: Esri, Maxar, Earthstar Geographics, and the GIS User Community",
    terms="viewing with attribution; scraping, bulk downloads and storing are not allowed without a licence",
    terms_url="https://www.esri.com/en-us/legal/terms/full-master-agreement",
    # Without blankTile=false a picture that says "not available" comes in place of an error.
    url="https://services.arcgisonline.com/ArcGIS/rest/services/World_Imagery/MapServer/tile/{z}/{y}/{x}?blankTile=false",
    max_zoom=19,
    native_gsd_m=0.3,
    most_tiles=1_024,
    requests_per_s=20.0,
    concurrency=8,
)

EOX = Provider(
    name="eox",
    attribution=(
        "EOxCloudless https://cloudless.eox.at by EOX IT Services GmbH "
        "(Contains modified Copernicus Sentinel data 2020)"
    ),
    terms="CC BY-NC-SA 4.0: free for non-commercial use with attribution; commercial use needs a licence",
    terms_url="https://cloudless.eox.at/documentation/license",
    url="https://tiles.maps.eox.at/wmts/1.0.0/s2cloudless-2020_3857/default/g/{z}/{y}/{x}.jpg",
    max_zoom=15,
    native_gsd_m=10.0,
    allow_bulk=True,
    most_tiles=7_000,
    requests_per_s=10.0,
    concurrency=8,
)

OSM = Provider(
    name="osm",
    attribution="© OpenStreetMap contributors",
    terms="for viewing only, with attribution and at least 7 days of caching; bulk downloads are prohibited",
    terms_url="https://operations.osmfoundation.org/policies/tiles/",
    url="https://tile.openstreetmap.org/{z}/{x}/{y}.png",
    max_zoom=19,
    detects=False,
    most_tiles=64,
    requests_per_s=2.0,
    concurrency=2,
)

PROVIDERS = {provider.name: provider for provider in (ESRI, EOX, OSM)}
"""Those that are asked over the network."""

FOLDERS = ("folder", "synthetic")
"""Providers of tiles on this machine: the user's own, and those that the sample generator drew."""


def find_provider(name: str, folder: Path | None = None) -> Provider:
    """The provider of a name; `folder` and `synthetic` need the folder their tiles lie in.

    Raises:
        RequestError: the name is not on the list (an address never is), or a folder is missing or not needed.
        DataMissing, DataRejected: as `open_folder`.
    """
    if name in FOLDERS:
        if folder is None:
            raise RequestError(
                f"{name} needs the folder of its tiles", where="provider", way_out="Give the folder with the tiles."
            )
        return open_folder(folder, name)
    if name not in PROVIDERS:
        what = (
            "an address cannot be used as a provider, because its terms are not known"
            if "/" in name
            else f"unknown provider {name!r}"
        )
        raise RequestError(what, where="provider", way_out=f"Choose one of: {', '.join([*PROVIDERS, *FOLDERS])}.")
    if folder is not None:
        raise RequestError(f"{name} has no folder", where="provider", way_out="Use the provider `folder`.")
    return PROVIDERS[name]


def _zooms_in(folder: Path) -> list[int]:
    """The levels that a folder of tiles has folders for, the coarsest first."""
    named = [int(one.name) for one in folder.glob("*") if one.name.isdecimal()] if folder.is_dir() else []
    return sorted(zoom for zoom in named if zoom <= 24)


def open_folder(folder: Path, name: str = "folder") -> Provider:
    """A provider of the tiles `z/x/y.png` (or .jpg) that lie in a folder; their side is that of the first found.

    Raises:
        DataMissing: there is no such folder, or no tile in it.
        DataRejected: the tile looked at is broken.
    """
    zooms = _zooms_in(folder)
    first = next((path for zoom in zooms for path in folder.glob(f"{zoom}/*/*") if path.suffix in TILE_SUFFIXES), None)
    if first is None:
        raise DataMissing(
            "there are no tiles z/x/y.png or .jpg", where=folder, way_out="Give the folder that holds the folders z."
        )
    try:
        tile_px = square_side(first)
    except DataRejected as error:
        raise DataRejected(error.what, where=first, way_out="Copy or download the tile again.") from error
    drawn = name == "synthetic"
    return Provider(
        name=name,
        attribution="Drawn by Sightline's sample generator" if drawn else f"Tiles of {folder.name}",
        terms="drawn on this machine" if drawn else "the user's own tiles",
        terms_url="",
        folder=folder,
        min_zoom=zooms[0],
        max_zoom=zooms[-1],
        tile_px=tile_px,
        native_gsd_m=gsd_m(0, zooms[-1], tile_px),
        allow_bulk=True,
        most_tiles=1_000_000,
        requests_per_s=1_000.0,
    )
