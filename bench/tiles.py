"""Map tiles: a concurrent download against serial loops at the same limit per host, and a large mosaic's memory.

    .venv/bin/python -m bench.tiles [--rounds 3] [--side 20000]

A server of its own process gives tiles 50 ms after they were asked for. All contenders keep the same pace, which the
table tells, so that it can be seen that not the pace but the waiting is what a serial loop loses its time with. Each
starts with an empty cache; they take turns. The mosaic is stitched in a process of its own, whose peak is told.
Prints tables; writes build/bench/tiles.json.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from sightline.files import write_json
from sightline.maps.area import read_area
from sightline.maps.fetch import fetch
from sightline.maps.mosaic import write_mosaic
from sightline.maps.providers import Provider, open_folder
from sightline.maps.store import decode_tile
from sightline.maps.tiles import AreaPlan, plan_area
from sightline.settings import load_settings

LATENCY_S = 0.05
REQUESTS_PER_S = 1000.0
CONCURRENCY = 8
ZOOM = 17
PORT_AREA = "-5.47,36.11,-5.40,36.15"


class Silent:
    """Progress that nobody reads."""

    def advance(self, done: int, total: int, what: str) -> None:
        """Nothing is told."""

    def metrics(self, step: int, values: object) -> None:
        """Nothing is told."""


def picture(seed: int, side_px: int = 256) -> bytes:
    """A JPEG that weighs about what a tile of a satellite picture does."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(90, 25, (side_px // 4, side_px // 4, 3)).clip(0, 255).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((side_px, side_px), Image.Resampling.BICUBIC))
    noisy = (smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def serve(connection: Connection, latency_s: float) -> None:
    """A tile server, until its process is ended; sends its port first."""
    tile = picture(0)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            time.sleep(latency_s)
            self.send_response(200)
            self.send_header("Content-Length", str(len(tile)))
            self.end_headers()
            self.wfile.write(tile)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing is told."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    connection.send(server.server_port)
    server.serve_forever()


class Loop:
    """One request after the other, as a plain script does it, at the same pace; tiles are checked and written."""

    def __init__(self, keep_alive: bool) -> None:
        self._keep_alive = keep_alive

    def __call__(self, plan: AreaPlan, cache: Path) -> None:
        """Download all tiles of a plan."""
        store = plan.provider.store(cache)
        next_s = 0.0
        with httpx.Client() as client:
            for tile in plan.tiles():
                time.sleep(max(next_s - time.monotonic(), 0.0))
                next_s = time.monotonic() + 1 / plan.provider.requests_per_s
                headers = {} if self._keep_alive else {"Connection": "close"}
                content = client.get(plan.provider.address(tile), headers=headers).raise_for_status().content
                decode_tile(content, plan.provider.tile_px)
                store.write(tile, content)


def concurrent(plan: AreaPlan, cache: Path) -> None:
    """The download of this project."""
    fetched = fetch(plan, cache, Silent())
    if fetched.missing:
        raise RuntimeError(f"{len(fetched.missing)} tiles lack")


def one_at_a_time(plan: AreaPlan, cache: Path) -> None:
    """The same with one request at a time."""
    concurrent(replace(plan, provider=replace(plan.provider, concurrency=1)), cache)


CONTENDERS: dict[str, Callable[[AreaPlan, Path], None]] = {
    "loop, a connection a tile": Loop(keep_alive=False),
    "loop, one connection": Loop(keep_alive=True),
    "sightline, 1 at a time": one_at_a_time,
    f"sightline, {CONCURRENCY} at a time": concurrent,
}


def time_downloads(latency_s: float, rounds: int) -> dict[str, Any]:
    """Contender -> tiles a second, the median of some rounds."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, args=(theirs, latency_s), daemon=True)
    server.start()
    provider = Provider(
        "bench", "none", "none", "", url=f"http://127.0.0.1:{ours.recv()}/{{z}}/{{x}}/{{y}}.jpg",
        allow_bulk=True, requests_per_s=REQUESTS_PER_S, concurrency=CONCURRENCY,
    )  # fmt: skip
    plan = plan_area(read_area(bbox=PORT_AREA), ZOOM, provider)
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    try:
        for _ in range(rounds):
            for name, download in CONTENDERS.items():
                with tempfile.TemporaryDirectory() as cache:
                    started = time.perf_counter()
                    download(plan, Path(cache))
                    rates[name].append(plan.tile_count / (time.perf_counter() - started))
    finally:
        server.terminate()
        server.join()
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {"tiles": plan.tile_count, "tiles_per_s": medians, "rounds": rates}


def draw_folder(root: Path, side_px: int) -> AreaPlan:
    """A folder with the tiles of a square of so many pixels: 32 pictures over and over."""
    pictures = [picture(seed) for seed in range(32)]
    first = root / str(ZOOM) / "60000" / "50000.jpg"
    first.parent.mkdir(parents=True)
    first.write_bytes(pictures[0])
    plan = replace(plan_area(read_area(bbox=PORT_AREA), ZOOM, open_folder(root)), width_px=side_px, height_px=side_px)
    for number, tile in enumerate(plan.tiles()):
        path = root / str(tile.z) / str(tile.x) / f"{tile.y}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures[number % len(pictures)])
    return plan


def stitch(root: Path, side_px: int) -> dict[str, float]:
    """Stitch the folder in this process; its peak of memory, the time, and the size of the file."""
    plan = replace(plan_area(read_area(bbox=PORT_AREA), ZOOM, open_folder(root)), width_px=side_px, height_px=side_px)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    mosaic = write_mosaic(plan, root, root / "mosaic.tif", Silent())
    seconds = time.perf_counter() - started
    if mosaic.missing:
        raise RuntimeError(f"{len(mosaic.missing)} tiles lack")
    return {
        "side_px": side_px,
        "tiles": plan.tile_count,
        "before_mb": before_mb,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "seconds": seconds,
        "file_mb": mosaic.path.stat().st_size / 2**20,
        "threads": threading.active_count(),
    }


def stitch_apart(side_px: int) -> dict[str, float]:
    """`stitch` in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        draw_folder(Path(name), side_px)
        command = [sys.executable, "-m", "bench.tiles", "--stitch", name, "--side", str(side_px)]
        answer: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return answer


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=20_000, help="of the large mosaic, in pixels")
    parser.add_argument("--latency", type=float, default=LATENCY_S, help="of the server, in seconds")
    parser.add_argument("--stitch", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stitch:
        print(json.dumps(stitch(options.stitch, options.side)))
        return
    downloads = time_downloads(options.latency, options.rounds)
    rates = downloads["tiles_per_s"]
    print(f"{downloads['tiles']} tiles, {options.latency * 1000:.0f} ms each, at most {REQUESTS_PER_S:g} a second\n")
    ours = rates[f"sightline, {CONCURRENCY} at a time"]
    for name, rate in rates.items():
        print(f"{name:28} {rate:7.1f} tiles/s   {ours / rate:5.1f} x")
    mosaics = [stitch_apart(side) for side in (options.side // 5, options.side)]
    print(f"\n{'mosaic':>16} {'tiles':>7} {'peak MB':>8} {'of them before':>15} {'seconds':>8} {'file MB':>8}")
    for one in mosaics:
        size = f"{one['side_px']:,} x {one['side_px']:,}"
        print(
            f"{size:>16} {one['tiles']:7,} {one['peak_mb']:8.0f} {one['before_mb']:15.0f} "
            f"{one['seconds']:8.1f} {one['file_mb']:8.0f}"
        )
    write_json(load_settings().build / "bench" / "tiles.json", {"downloads": downloads, "mosaics": mosaics})


if __name__ == "__main__":
    main()
