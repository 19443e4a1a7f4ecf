"""Downloading an area's tiles: many at a time but politely, and never the same one twice.

One pace is kept for each host, whoever in this process asks it: so many requests a second, and silence for all while
the server asks for it (Retry-After). A failed request is tried again after a pause that doubles and varies by chance,
so that many do not come back at once. What arrives is decoded whole before it is kept. A run that was killed goes on
with what its cache holds.
"""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mercantile import Tile

from sightline import __version__
from sightline.errors import BackendError, DataMissing, DataRejected
from sightline.maps.pace import pace_of
from sightline.maps.providers import Provider
from sightline.maps.store import MOST_TILE_BYTES, TileStore, decode_tile
from sightline.maps.tiles import AreaPlan
from sightline.task import Progress

if TYPE_CHECKING:
    import httpx

USER_AGENT = f"sightline/{__version__} (map tiles of small areas, cached)"

_CHANCE = random.SystemRandom()


@dataclass(frozen=True)
class Patience:
    """How patient a download is.

    Attributes:
        attempts: how often a tile is asked for before it counts as missing.
        first_s: pause after the first failure; it doubles with each one.
        longest_s: longest pause; a server that asks for a longer one ends the run.
        timeout_s: longest silence of the server.
        tile_s: longest time for one answer, however slowly it drips.
        failures: so many tiles in a row that could not be had, for whatever reason but that there are none, end the
            run: the server is down, or does not want us.
    """

    attempts: int = 5
    first_s: float = 0.5
    longest_s: float = 120.0
    timeout_s: float = 20.0
    tile_s: float = 60.0
    failures: int = 20


@dataclass(frozen=True)
class Missing:
    """A tile that is not there, and why."""

    tile: Tile
    why: str

    def __str__(self) -> str:
        return f"{self.tile.z}/{self.tile.x}/{self.tile.y}: {self.why}"


@dataclass(frozen=True)
class Fetched:
    """What a download left.

    Attributes:
        present: tiles that are there now.
        asked: of them, how many were asked for in this run; the others were in the cache.
        missing: the others, in the order of the plan.
    """

    present: int
    asked: int
    missing: tuple[Missing, ...]


def fetch(plan: AreaPlan, cache: Path, progress: Progress, patience: Patience | None = None) -> Fetched:
    """Bring the tiles of a plan into the cache. Nothing is checked against limits: see `tiles.refuse`.

    A tile that the cache holds is not asked for again before it is `keep_days` old; if it then cannot be had, the old
    one stays. Tiles of a folder are only looked for.

    Raises:
        BackendError: the server is down, refuses everything or asks to come back much later; or the disk is full, or
            not one tile could be had. What has come is kept: another run goes on from there.
        DataMissing: a folder has none of the tiles.
    """
    store = plan.provider.store(cache)
    found = _Found(plan.tile_count, progress, f"tiles of {plan.provider.name}")
    if store.owned:
        patience = patience or Patience()
        _download(TileSource(plan.provider, store, patience), found.absent(plan.tiles(), store, plan.provider), found)
    else:
        for tile in found.absent(plan.tiles(), store, plan.provider):
            found.add(Missing(tile, "there is no such file"))
    if not found.present:
        _none(plan, found.missing)
    order = {tile: number for number, tile in enumerate(plan.tiles())} if found.missing else {}
    missing = sorted({one.tile: one for one in found.missing}.values(), key=lambda one: order[one.tile])
    return Fetched(found.present, found.asked, tuple(missing))


def _none(plan: AreaPlan, missing: list[Missing]) -> None:
    """Not one tile: that is no mosaic with holes but a failure."""
    provider, first = plan.provider, missing[0]
    if provider.folder is not None:
        raise DataMissing(
            f"the folder has none of the {len(missing):,} tiles at zoom {plan.zoom}",
            where=provider.folder,
            way_out=f"It has the zooms {provider.min_zoom} to {provider.max_zoom}; check the area.",
        )
    raise BackendError(
        f"not one of {len(missing):,} tiles could be downloaded (the first: {first.why})",
        where=provider.host,
        way_out="Try another zoom level or another provider, or try again later.",
    )


class _Found:
    """Counts what is there and what is not, and tells of it."""

    def __init__(self, total: int, progress: Progress, what: str) -> None:
        self.present, self.asked, self.missing = 0, 0, list[Missing]()
        self._total, self._progress, self._what = total, progress, what

    def absent(self, tiles: Iterable[Tile], store: TileStore, provider: Provider) -> Iterator[Tile]:
        """The tiles that have to be asked for; the others are counted as present."""
        for tile in tiles:
            age_days = store.age_days(tile)
            if age_days is None or (store.owned and age_days > provider.keep_days):
                yield tile
            else:
                self.present += 1
                self._tell()

    def add(self, missing: Missing | None) -> None:
        """Count a tile that was asked for."""
        self.asked += 1
        if missing is None:
            self.present += 1
        else:
            self.missing.append(missing)
        self._tell()

    def _tell(self) -> None:
        done = self.present + len(self.missing)
        lacking = f" ({len(self.missing)} missing)" if self.missing else ""
        self._progress.advance(done, max(self._total, done), self._what + lacking)


# ---------------------------------------------------------------------------------------------------- many at a time


def _download(source: TileSource, tiles: Iterator[Tile], found: _Found) -> None:
    """Ask for tiles, `concurrency` at a time; a few wait in line, never all."""
    in_a_row = 0
    pool = ThreadPoolExecutor(source.provider.concurrency, thread_name_prefix="tiles")
    try:
        running = {pool.submit(source.bring, tile) for tile in islice(tiles, 2 * source.provider.concurrency)}
        while running:
            done: set[Future[Outcome]]
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for outcome in (future.result() for future in done):
                in_a_row = in_a_row + 1 if outcome.failed else 0
                found.add(outcome.missing)
            if in_a_row >= source.patience.failures:
                raise BackendError(
                    f"{in_a_row} tiles in a row could not be downloaded (the last: {found.missing[-1].why})",
                    where=source.provider.host,
                    way_out="Run the command again later: it keeps the tiles that are there.",
                )
            running |= {pool.submit(source.bring, tile) for tile in islice(tiles, len(done))}
    finally:
        source.stop.set()  # wakes those that wait for their turn
        pool.shutdown(cancel_futures=True)
        source.close()


@dataclass(frozen=True)
class Outcome:
    """Of asking for one tile.

    Attributes:
        missing: the tile that is not there, and why; None where it is.
        failed: it may exist, but could not be had.
    """

    missing: Missing | None = None
    failed: bool = False


class _Again(Exception):
    """Trying again may help."""


class _Absent(Exception):
    """The server says that there is no such tile."""


class _Refused(Exception):
    """The server does not give it, and asking again would only be rude."""


class _Stopped(Exception):
    """The run ends."""


class TileSource:
    """One provider over HTTP, for several threads. Setting `stop` wakes those that wait for their turn.

    Args:
        provider: who is asked.
        store: where the tiles are kept.
        patience: how patiently.
    """

    def __init__(self, provider: Provider, store: TileStore, patience: Patience) -> None:
        import httpx

        self.provider, self.store, self.patience = provider, store, patience
        self.stop = threading.Event()
        self._pace = pace_of(provider)
        self._client = httpx.Client(
            headers={"User-Agent": USER_AGENT, "Accept": "image/png,image/jpeg"},
            timeout=httpx.Timeout(patience.timeout_s, connect=min(10.0, patience.timeout_s)),
            limits=httpx.Limits(max_connections=provider.concurrency, max_keepalive_connections=provider.concurrency),
            follow_redirects=False,  # a provider is an address on the list, not where it leads to
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def bring(self, tile: Tile) -> Outcome:
        """Ask for a tile until it is there, or is known not to be.

        Raises:
            BackendError: the server asks to come back much later, or the disk is full.
        """
        import httpx

        why = ""
        for attempt in range(self.patience.attempts):
            try:
                if attempt:
                    self._pause(self.patience.first_s * 2 ** (attempt - 1) * _CHANCE.uniform(0.5, 1.5))
                if not self._pace.wait(self.stop):
                    raise _Stopped
                self.store.write(tile, self._ask(tile))
                return Outcome()
            except _Absent as error:
                return Outcome(Missing(tile, str(error)))
            except _Refused as error:
                return Outcome(Missing(tile, str(error)), failed=True)
            except (_Again, httpx.TransportError, httpx.DecodingError, DataRejected) as error:
                why = _reason(error)
            except _Stopped:
                return Outcome(Missing(tile, "the run ended before"), failed=True)
        if self.store.age_days(tile) is not None:
            return Outcome()  # an old one is there, better than none
        return Outcome(Missing(tile, f"{why} ({self.patience.attempts} attempts)"), failed=True)

    def _pause(self, seconds: float) -> None:
        if self.stop.wait(min(seconds, self.patience.longest_s)):
            raise _Stopped

    def _ask(self, tile: Tile) -> bytes:
        """One request; the bytes of a tile that decodes."""
        ends = time.monotonic() + self.patience.tile_s
        with self._client.stream("GET", self.provider.address(tile)) as response:
            self._check_status(response)
            content = bytearray()
            for piece in response.iter_bytes():
                content += piece
                if len(content) > MOST_TILE_BYTES:
                    raise _Again(f"it has more than {MOST_TILE_BYTES:,} bytes")
                if self.stop.is_set():
                    raise _Stopped
                if time.monotonic() > ends:
                    raise _Again(f"it took longer than {self.patience.tile_s:g} s")
        decode_tile(bytes(content), self.provider.tile_px)
        return bytes(content)

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        if status in (204, 404, 410):
            raise _Absent(f"the server has no such tile ({status})")
        if status in (429, 503):
            self._hold(_seconds_asked(response.headers.get("Retry-After", "")))
        if status in (408, 425, 429) or status >= 500:
            raise _Again(f"the server answered {status}")
        raise _Refused(f"the server refused it ({status})")

    def _hold(self, seconds: float) -> None:
        """All requests to this host wait as long as the server asks; or the run ends, where that is too long."""
        if seconds > self.patience.longest_s:
            raise BackendError(
                f"the server allows the next request in {seconds:,.0f} s",
                where=self.provider.host,
                way_out="Run the command again after that time: it keeps the tiles that are there.",
            )
        self._pace.hold(seconds)


def _reason(error: Exception) -> str:
    """Why an attempt failed, without a way out: the next attempt is one."""
    if isinstance(error, DataRejected):
        return error.what
    return str(error) or type(error).__name__


def _seconds_asked(text: str) -> float:
    """Retry-After: seconds, or a date; 0 where it is neither."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except ValueError:
        return 0.0
