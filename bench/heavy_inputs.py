"""Small uploads that ask for much work or memory, and large ones that are ordinary, at the endpoint of their task.

    .venv/bin/python -m bench.heavy_inputs [--model panel_defects=FOLDER]

Prints for each the status, the seconds until the answer, the most memory of the endpoint's process above what it took
before, and how long a probe of the same endpoint waited meanwhile. Each task is answered by the tiny network of its
tests, so that reading, refusing and bounding are measured and not the network; `--model` gives a real one. Linux only.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# Tests are not typed for others.
_process: Any = importlib.import_module("tests.services.endpoint_process")
_bad_images: Any = importlib.import_module("tests.unit.bad_images")

MOST_S = 100.0
SERVICES = {
    "ships": ("tests.unit.tasks.ships.networks", "network_model", {}),
    "ships, blobs": ("tests.unit.tasks.ships.networks", "blob_model", {}),
    "panel_defects": ("tests.unit.tasks.panel_defects.networks", "tiny_model", {}),
    "solar_farms": ("tests.unit.tasks.panel_defects.networks", "tiny_model", {"task": "solar_farms"}),
    "land_cover": ("tests.unit.tasks.land_cover.networks", "network_model", {}),
    "pv_hotspots": ("tests.unit.tasks.pv_hotspots.networks", "tiny_model", {}),
}


@dataclass(frozen=True)
class Upload:
    """What is sent, so many times side by side."""

    what: str
    body: Callable[[], bytes]
    kind: str
    query: str = ""
    times: int = 1


@dataclass(frozen=True)
class Outcome:
    """What came back."""

    statuses: list[int]
    seconds: float
    more_mb: float
    probe_s: float
    said: str


def coarse_geotiff(metres: float = 100_000.0, side: int = 100) -> bytes:
    """Few pixels that cover much ground."""
    from rasterio.io import MemoryFile
    from rasterio.transform import Affine

    profile: dict[str, Any] = {"driver": "GTiff", "height": side, "width": side, "count": 3, "dtype": "uint8"}
    place = Affine(metres, 0, 0, 0, -metres, 0)
    pixels = np.random.default_rng(0).integers(20, 24, (3, side, side), dtype=np.uint8)
    with MemoryFile() as file:
        with file.open(**profile, crs="EPSG:3857", transform=place, compress="deflate") as out:
            out.write(pixels)
        return bytes(file.read())


def flat_png(side: int) -> bytes:
    """A picture of one colour."""
    return _encoded(np.full((side, side), 90, np.uint8), "PNG")


def photograph(width: int = 8000, height: int = 6000) -> bytes:
    """As large as a telephone's, with some texture."""
    small = np.random.default_rng(0).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    enlarged = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return _encoded(np.asarray(enlarged), "JPEG")


def scene(bands: int = 8, side: int = 2896) -> bytes:
    """A scene of reflectances in counts."""
    from rasterio.io import MemoryFile

    pixels = np.random.default_rng(0).integers(100, 3000, (side, side), dtype=np.uint16)
    profile: dict[str, Any] = {"driver": "GTiff", "height": side, "width": side, "count": bands, "dtype": "uint16"}
    with MemoryFile() as file:
        with file.open(**profile) as out:
            for band in range(bands):
                out.write(pixels, band + 1)
        return bytes(file.read())


def inflating_record(inflated_bytes: int = 16_000_000) -> bytes:
    """A record of nothing but empty fields, which gzip packs a thousand times smaller."""
    from sightline.tasks.panel_defects.tfrecord import frame

    return gzip.compress(frame(b"\x0a\x00" * (inflated_bytes // 2)))


def _encoded(pixels: np.ndarray[Any, Any], kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def _scans() -> bytes:
    return bytes(_bad_images.many_scans(12_000, 128))


_TIFF, _PNG, _JPEG = "image/tiff", "image/png", "image/jpeg"
_COARSE = Upload("GeoTIFF of 100 km pixels", coarse_geotiff, _TIFF)
_BLOWN_UP = Upload("PNG with gsd_m=30", lambda: flat_png(1200), _PNG, "?gsd_m=30")
_SCANNED = Upload("progressive JPEG of 12,000 scans", _scans, _JPEG)
UPLOADS = {
    "ships": (_COARSE, _BLOWN_UP),
    "ships, blobs": (_COARSE, _BLOWN_UP),
    "panel_defects": (
        _SCANNED,
        Upload("photograph of 48 megapixels", photograph, _JPEG),
        Upload("two of them side by side", photograph, _JPEG, times=2),
    ),
    "solar_farms": (Upload("gzip record of 16 MB of fields", inflating_record, "application/octet-stream"),),
    "land_cover": (
        Upload("8 x 2,896 x 2,896", scene, _TIFF),
        Upload("two of them side by side", scene, _TIFF, times=2),
    ),
    "pv_hotspots": (_SCANNED, Upload("24 flat PNGs of 8,192 px", lambda: flat_png(8192), _PNG, times=24)),
}


def main() -> None:
    """Send all, or those of the tasks that are named."""
    parser = argparse.ArgumentParser(description="Uploads that ask for much.")
    parser.add_argument("tasks", nargs="*", default=list(UPLOADS))
    parser.add_argument("--model", action="append", default=[], metavar="TASK=FOLDER", help="a saved model to ask")
    options = parser.parse_args()
    given = dict(one.split("=", 1) for one in options.model)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    print("| task | upload | bytes | status | seconds | more memory, MB | slowest probe, s | said |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for task in options.tasks:
        with _endpoint(task, given) as running:
            for upload in UPLOADS[task]:
                body = upload.body()
                outcome = _send(running, upload, body)
                statuses = ", ".join(f"{outcome.statuses.count(one)} x {one}" for one in sorted(set(outcome.statuses)))
                figures = f"{outcome.seconds:.1f} | {outcome.more_mb:,.0f} | {outcome.probe_s:.2f} | {outcome.said}"
                print(f"| {task} | {upload.what} | {len(body):,} | {statuses} | {figures} |", flush=True)
    if "solar_farms" in options.tasks:
        print(_read_record(), flush=True)


@contextmanager
def _endpoint(task: str, given: Mapping[str, str]) -> Iterator[Any]:
    networks, make, arguments = SERVICES[task]
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(given.get(task, Path(folder, "saved")))
        if task not in given:
            saved.mkdir()
            getattr(importlib.import_module(networks), make)(**arguments).save(saved)
        service = f"services.endpoint:{task.partition(',')[0]}"
        with _process.serve(service, Path(folder), model_dir=str(saved.resolve())) as running:
            running.wait_until_ready()
            yield running


def _send(running: Any, upload: Upload, body: bytes) -> Outcome:
    worker = _largest(running.process.pid)
    Path(f"/proc/{worker}/clear_refs").write_text("5")  # the most memory is counted from here
    before_mb = _memory_mb(worker, "VmRSS:")
    answers: list[tuple[int, str]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(_ask(running, upload, body))) for _ in range(upload.times)
    ]
    start_s, slowest_s = time.monotonic(), 0.0
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        probed_s = time.monotonic()
        running.ask("GET", "/v1/live")
        slowest_s = max(slowest_s, time.monotonic() - probed_s)
        time.sleep(0.1)
    seconds = time.monotonic() - start_s
    said = next((text for status, text in answers if status != 200), "")
    more_mb = _memory_mb(worker, "VmHWM:") - before_mb
    return Outcome([status for status, _ in answers], seconds, more_mb, slowest_s, said)


def _largest(process: int) -> int:
    """Of the processes below one, the one that takes most memory: BentoML's worker."""
    found = [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return max(found, key=lambda one: _memory_mb(one, "VmRSS:"))


def _memory_mb(process: int, name: str) -> float:
    status = Path(f"/proc/{process}/status").read_text().split()
    return int(status[status.index(name) + 1]) / 2**10


def _ask(running: Any, upload: Upload, body: bytes) -> tuple[int, str]:
    """Status and what was said; status 0 where there was no answer in time."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=MOST_S)
    try:
        connection.request("POST", f"/v1/predict{upload.query}", body, {"Content-Type": upload.kind})
        response = connection.getresponse()
        reply = json.loads(response.read())
        return response.status, str(reply.get("error", ""))
    except OSError as error:
        return 0, type(error).__name__
    finally:
        connection.close()


def _read_record() -> str:
    """The reader of records by itself, which `data add` and training use; an endpoint takes no records."""
    code = (
        "import resource, time; from bench.heavy_inputs import inflating_record as make\n"
        "from sightline.errors import SightlineError\n"
        "from sightline.tasks.panel_defects.tfrecord import read_example, read_records\n"
        "data = make(); peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before, start = peak(), time.process_time(); said = 'read'\n"
        "try: [read_example(one, 'record') for one in read_records(data, 'record')]\n"
        "except SightlineError as error: said = str(error)\n"
        "print(f'reader of records: {len(data):,} bytes, {time.process_time() - start:.1f} s, "
        "{peak() - before:,.0f} MB more: {said}')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout or done.stderr


if __name__ == "__main__":
    main()
