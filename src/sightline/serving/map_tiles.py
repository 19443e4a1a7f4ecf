"""The tiles of the map on the page: out of the cache of surveys, asked for at the same pace."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from mercantile import Tile, bounds
from starlette.responses import Response

from sightline.errors import BackendError, RequestError
from sightline.maps.providers import Provider
from sightline.maps.viewing import Viewing
from sightline.serving.orders import provider_of
from sightline.settings import Settings

_THREADS, _MOST_WAITING = 8, 64
_KEPT = {"Cache-Control": "private, max-age=86400"}


class MapTiles:
    """Hands out single tiles of the listed providers and of the operator's folder.

    Args:
        settings: the operator's folder, and where the cache is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._viewings: dict[str, Viewing] = {}
        self._lock = threading.Lock()
        self._waiting = 0
        # Of their own: a provider that is slow must not hold up what else threads are needed for.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="map")

    def close(self) -> None:
        """End the threads and close the connections."""
        for viewing in self._viewings.values():
            viewing.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def answer(self, provider: str, *place: str) -> Response:
        """A tile at zoom, column and row.

        Raises:
            RequestError: 404: there is none, or it cannot be had.
            BackendError: too many are asked for at once.
        """
        if self._waiting >= _MOST_WAITING:
            raise BackendError("too many tiles are asked for at once", way_out="Try again in a few seconds.")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            content = await loop.run_in_executor(self._threads, self._content, provider, place)
        finally:
            self._waiting -= 1
        kind = "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"
        return Response(content, media_type=kind, headers=_KEPT)

    def _content(self, provider: str, place: tuple[str, ...]) -> bytes:
        where = "/".join((provider, *place))[:100]
        if not all(one.isascii() and one.isdigit() and len(one) < 9 for one in place):
            raise _none(where)
        zoom, column, row = map(int, place)
        viewing = self._viewing(provider)
        low, high = viewing.provider.min_zoom, viewing.provider.max_zoom
        content = None
        if low <= zoom <= high and max(column, row) < 2**zoom:
            content = viewing.content(Tile(column, row, zoom))
        if content is None:
            raise _none(where)
        return content

    def _viewing(self, name: str) -> Viewing:
        with self._lock:
            if name not in self._viewings:
                try:
                    provider = provider_of(name, self._settings)
                except RequestError as error:
                    raise RequestError(error.what, where=error.where, way_out=error.way_out, status=404) from error
                self._viewings[name] = Viewing(provider, self._settings.tile_cache)
            return self._viewings[name]


def ground_of(provider: Provider) -> tuple[float, float, float, float] | None:
    """West, south, east, north of a folder's coarsest tiles, where a map begins; None for the whole Earth."""
    if provider.folder is None:
        return None
    names = (provider.folder / str(provider.min_zoom)).glob("*/*")
    places = [(int(one.parent.name), int(one.stem)) for one in names if (one.parent.name + one.stem).isdecimal()]
    if not places:
        return None
    (left, top), (right, bottom) = map(min, zip(*places, strict=True)), map(max, zip(*places, strict=True))
    first, last = bounds(left, top, provider.min_zoom), bounds(right, bottom, provider.min_zoom)
    return first.west, last.south, last.east, first.north


def _none(where: str) -> RequestError:
    return RequestError("there is no such tile", where=where, way_out="Try another level or provider.", status=404)
