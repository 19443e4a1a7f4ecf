"""Single tiles, for a map that somebody looks at: out of the same cache, at the same pace, with the same checks."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from mercantile import Tile

from sightline.errors import BackendError
from sightline.maps.fetch import Patience, TileSource
from sightline.maps.providers import Provider
from sightline.maps.store import MOST_TILE_BYTES

PATIENCE = Patience(attempts=1, longest_s=5.0, timeout_s=5.0, tile_s=10.0, failures=4)
"""Of somebody who waits: a tile is asked for once; after `failures` in a row nothing is for a while."""

SILENCE_S = 30.0


class Viewing:
    """The tiles of one provider, one at a time; safe for many threads.

    Args:
        provider: whose.
        cache: folder of the tiles, shared with `fetch`.
        patience: see `PATIENCE`.
    """

    def __init__(self, provider: Provider, cache: Path, patience: Patience = PATIENCE) -> None:
        self.provider = provider
        self._store = provider.store(cache)
        self._patience = patience
        self._source = TileSource(provider, self._store, patience) if self._store.owned else None
        self._lock = threading.Lock()
        self._failures = 0
        self._silent_until_s = 0.0

    def content(self, tile: Tile) -> bytes | None:
        """The bytes of a tile, a PNG or JPEG; None where it cannot be had."""
        age_days = self._store.age_days(tile)
        if self._source is not None and (age_days is None or age_days > self.provider.keep_days):
            self._ask(self._source, tile)
        try:
            with self._store.path(tile).open("rb") as file:
                content = file.read(MOST_TILE_BYTES + 1)
        except OSError:
            return None
        return content if 0 < len(content) <= MOST_TILE_BYTES else None

    def close(self) -> None:
        """Ask for nothing any more."""
        if self._source is not None:
            self._source.stop.set()
            self._source.close()

    def _ask(self, source: TileSource, tile: Tile) -> None:
        """Bring a tile into the cache, unless the server did not answer a moment ago."""
        if time.monotonic() < self._silent_until_s:
            return
        try:
            failed = source.bring(tile).failed
        except BackendError:  # it asks to be left alone for longer, or the disk is full
            failed = True
        with self._lock:
            self._failures = self._failures + 1 if failed else 0
            if self._failures >= self._patience.failures:
                self._failures = 0
                self._silent_until_s = time.monotonic() + SILENCE_S
