"""A real tile server on this machine, slow, failing and lying on demand; its tiles tell where each pixel belongs."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from mercantile import Tile
from numpy.typing import NDArray
from PIL import Image

from sightline.maps.providers import Provider

SIDE_PX = 64
"""Of the test's tiles: small ones are as good, and faster."""


def drawn(tile: Tile, side_px: int = SIDE_PX) -> NDArray[np.uint8]:
    """(side, side, 3): red and green are the low bytes of a pixel's column and row on the whole map, blue the tile."""
    columns = tile.x * side_px + np.arange(side_px)
    rows = tile.y * side_px + np.arange(side_px)
    return colours_of(columns[None, :], rows[:, None], side_px)


def colours_of(columns: NDArray[np.int64], rows: NDArray[np.int64], side_px: int = SIDE_PX) -> NDArray[np.uint8]:
    """(.., 3) what the tiles show at pixels of the whole map."""
    columns, rows = np.broadcast_arrays(columns, rows)
    blue = 7 * (columns // side_px) + 13 * (rows // side_px)
    return np.stack([columns % 256, rows % 256, blue % 256], axis=-1).astype(np.uint8)


def encoded(pixels: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write_tile(root: Path, tile: Tile, side_px: int = SIDE_PX) -> None:
    path = root / str(tile.z) / str(tile.x) / f"{tile.y}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(drawn(tile, side_px)))


@dataclass
class Answer:
    """What the server does with one request; without a body it is the tile. `send`: bytes before it hangs up."""

    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    send: int | None = None
    drip_s: float = 0.0


@dataclass(frozen=True)
class Asked:
    """One request."""

    tile: Tile
    at_s: float
    agent: str


class TileServer:
    """Serves `drawn` tiles; `behave(tile, n)` says what to do with the n-th request (from 0) for a tile."""

    def __init__(self, behave: Callable[[Tile, int], Answer] | None = None) -> None:
        self.behave = behave or (lambda tile, n: Answer())
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                with contextlib.suppress(OSError), outer._counted():
                    outer._answer(self)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{{z}}/{{x}}/{{y}}.png"

    @property
    def requests(self) -> Counter[Tile]:
        return Counter(one.tile for one in self.asked)

    def __enter__(self) -> TileServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            yield
        finally:
            with self._lock:
                self._at_once -= 1

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        z, x, y = (int(part) for part in request.path.removesuffix(".png").strip("/").split("/"))
        tile = Tile(x, y, z)
        with self._lock:
            number = self.requests[tile]
            self.asked.append(Asked(tile, time.monotonic(), request.headers.get("User-Agent", "")))
        answer = self.behave(tile, number)
        time.sleep(answer.wait_s)
        body = encoded(drawn(tile)) if answer.body is None else answer.body
        request.send_response(answer.status)
        for name, value in ({"Content-Length": str(len(body))} | answer.headers).items():
            request.send_header(name, value)
        request.end_headers()
        for piece in [body[: answer.send]] if not answer.drip_s else [body[i : i + 1] for i in range(len(body))]:
            request.wfile.write(piece)
            time.sleep(answer.drip_s)
        if answer.send is not None:
            request.close_connection = True


def provider_of(server: TileServer, **changes: object) -> Provider:
    """A record for the server: as fast as one likes, unless told otherwise."""
    fields = {
        "name": "test",
        "attribution": "the tests",
        "terms": "none",
        "terms_url": "",
        "url": server.url,
        "tile_px": SIDE_PX,
        "allow_bulk": True,
        "requests_per_s": 1000.0,
    }
    return Provider(**{**fields, **changes})  # type: ignore[arg-type]


class Silent:
    """A `Progress` that remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, str]] = []

    def advance(self, done: int, total: int, what: str) -> None:
        self.steps.append((done, total, what))

    def metrics(self, step: int, values: object) -> None: ...
