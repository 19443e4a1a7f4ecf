"""Scanning for vessels: the pyramid, and ConvNeXt in a dense scan against a loop over windows with the same weights.

    .venv/bin/python -m bench.ship_scan [--sahi build/bench/sahi/bin/python]

The reference project enlarges a scene of 3 m a pixel 2.8 times, so that 240 m fill its window of 224 pixels, and asks
the network about each window, every 112 or 32 pixels of the enlarged scene. The dense scan asks about the same windows
at once (`dense, 1.07 m`), or about smaller ones on the scene as it is (`dense, 3 m`), which is how the task's own
recipe does it. Weights are random: what they cost does not depend on them. A loop is timed on a part of its windows,
and reckoned up; its batches have 16 windows. `--sahi` adds SAHI with YOLOv8n, in an environment of its own
(`bench/sahi_slices.py` says how to make it). The contenders take turns. Memory is the peak of a process of its own that
scans a GeoTIFF on disk, over what it had before.

Prints the medians; writes build/bench/ship_scan.json.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.files import write_json
from sightline.settings import load_settings
from sightline.tasks.ships.network import CELL_PX, NetworkName, build_network, export_network
from sightline.tasks.ships.raster import read_raster
from sightline.tasks.ships.scaled import Scaled
from sightline.tasks.ships.scan import Scanner, Tiles, normalised
from sightline.vision.graphs import open_session

GSD_M = 3.0
WINDOW_PX = 224
REFERENCE_GSD_M = 240 / WINDOW_PX
BATCH = 16

PYRAMID: NetworkName = "efficientnet_lite0"
DENSE = {
    "pyramid, 3 m, step 4 px": (3.0, Tiles(704, 48, CELL_PX, CELL_PX)),
    "dense, 3 m, step 8 px": (3.0, Tiles(704, 48, 32, 8)),
    "dense, 3 m, step 16 px": (3.0, Tiles(704, 48, 32, 16)),
    "dense, 1.07 m, step 32 px": (REFERENCE_GSD_M, Tiles(896, 64, 224, 32)),
    "dense, 1.07 m, step 16 px": (REFERENCE_GSD_M, Tiles(896, 64, 224, 16)),
}
LOOPS = {"windows, 1.07 m, step 112 px": 112, "windows, 1.07 m, step 32 px": 32}


def graph_of(size: NetworkName, pooled_px: int, stride_px: int) -> bytes:
    """The dense network, with random weights."""
    import torch

    torch.manual_seed(0)
    pyramid = pooled_px == CELL_PX
    network = build_network(PYRAMID if pyramid else size, pooled_px, stride_px)
    return export_network(network.eval(), tells_lengths=pyramid)


def window_graph(size: NetworkName) -> bytes:
    """The classifier of single windows, as timm has it."""
    import warnings

    import timm
    import torch

    torch.manual_seed(0)
    network = timm.create_model(size, pretrained=False, num_classes=2).eval()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="sightline-bench-") as folder:
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, WINDOW_PX, WINDOW_PX),),
            str(Path(folder) / "graph.onnx"),
            input_names=["image"],
            dynamic_axes={"image": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
        return (Path(folder) / "graph.onnx").read_bytes()


def scene_of(side_px: int) -> NDArray[np.uint8]:
    """Noise: what is scanned does not matter either."""
    return np.random.default_rng(0).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)


def raster_at(scene: NDArray[np.uint8], gsd_m: float) -> Scaled:
    """A scene of 3 m a pixel at another scale."""

    def read(top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        return scene[top : top + height, left : left + width]

    return Scaled.to(read, (scene.shape[0], scene.shape[1]), GSD_M / gsd_m)


def loop_seconds(session: Any, raster: Scaled, stride_px: int, most_windows: int) -> tuple[float, int]:
    """Seconds that a loop over all windows takes, by the share of it that was timed; and how many there are."""
    starts = [
        (top, left)
        for top in range(0, raster.size[0] - WINDOW_PX + 1, stride_px)
        for left in range(0, raster.size[1] - WINDOW_PX + 1, stride_px)
    ]
    some = starts[:: max(len(starts) // most_windows, 1)][:most_windows]
    started = time.perf_counter()
    for at in range(0, len(some), BATCH):
        parts = [raster.part(top, left, WINDOW_PX, WINDOW_PX) for top, left in some[at : at + BATCH]]
        session.run(None, {"image": np.stack([normalised(part) for part in parts])})
    return (time.perf_counter() - started) * len(starts) / len(some), len(starts)


def contenders(size: NetworkName, threads: int, most_windows: int) -> dict[str, Callable[[NDArray[np.uint8]], float]]:
    """Name -> seconds for a scene."""
    made: dict[str, Callable[[NDArray[np.uint8]], float]] = {}
    for name, (gsd_m, tiles) in DENSE.items():
        scanner = Scanner(graph_of(size, tiles.pooled_px, tiles.stride_px), tiles, threads)

        def dense(scene: NDArray[np.uint8], scanner: Scanner = scanner, gsd_m: float = gsd_m) -> float:
            started = time.perf_counter()
            scanner(raster_at(scene, gsd_m))
            return time.perf_counter() - started

        made[name] = dense
    session = open_session(window_graph(size), threads)
    for name, stride_px in LOOPS.items():

        def loop(scene: NDArray[np.uint8], stride_px: int = stride_px) -> float:
            return loop_seconds(session, raster_at(scene, REFERENCE_GSD_M), stride_px, most_windows)[0]

        made[name] = loop
    return made


def sahi(python: Path, threads: int) -> Callable[[NDArray[np.uint8]], float]:
    """Seconds for a scene by SAHI, in another environment; loading its libraries is not counted."""

    def seconds(scene: NDArray[np.uint8]) -> float:
        with tempfile.TemporaryDirectory(prefix="sightline-bench-") as folder:
            path = Path(folder) / "scene.npy"
            np.save(path, scene)
            command = [str(python), str(Path(__file__).with_name("sahi_slices.py")), str(path), str(threads)]
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "YOLO_OFFLINE": "1"}
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return float(done.stdout.split()[-1])

    return seconds


def memory_mb(side_px: int, size: NetworkName, threads: int) -> float:
    """The peak of a process that scans a GeoTIFF of so many pixels on a side at 3 m, over what it had before."""
    import rasterio

    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as folder:
        graph, path = Path(folder) / "graph.onnx", Path(folder) / "scene.tif"
        graph.write_bytes(graph_of(size, 32, 8))
        profile = {"driver": "GTiff", "count": 3, "height": side_px, "width": side_px, "dtype": "uint8"}
        tiled = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1}
        with rasterio.open(path, "w", **profile, **tiled) as dataset:
            block = np.moveaxis(scene_of(512), -1, 0)
            for _, window in dataset.block_windows(1):
                dataset.write(block[:, : window.height, : window.width], window=window)
        command = [
            sys.executable,
            "-m",
            "bench.ship_scan",
            "--measure",
            str(graph),
            str(path),
            "--threads",
            str(threads),
        ]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(graph: Path, path: Path, threads: int) -> None:
    """Print the memory of one scan, in a process of its own."""
    from sightline.limits import Limits

    scanner = Scanner(graph.read_bytes(), DENSE["dense, 3 m, step 8 px"][1], threads)
    scanner(raster_at(scene_of(1024), GSD_M))  # libraries and the session
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    raster = read_raster(path, Limits(pixels=1000))
    with raster.opened() as opened:
        scanner(Scaled.to(opened.read, raster.size, 1.0))
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="convnext_atto", help="a ConvNeXt of timm's")
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 4096], help="of the scenes, in pixels")
    parser.add_argument(
        "--memory", type=int, nargs="*", default=[1024, 4096], help="of the scenes whose memory is told"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", type=int, default=320, help="most windows that a loop is timed on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sahi", type=Path, help="the Python of an environment with SAHI and ultralytics")
    parser.add_argument("--measure", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        graph, path = given.measure
        measure(graph, path, given.threads)
        return
    report: dict[str, Any] = {"size": given.size, "threads": given.threads, "scenes": {}, "memory_mb": {}}
    ways = contenders(given.size, given.threads, given.windows)
    if given.sahi:
        ways["SAHI, YOLOv8n"] = sahi(given.sahi, given.threads)
    for side_px in given.sides:
        scene = scene_of(side_px)
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(given.rounds + 1):
            for name, way in ways.items():
                spent = way(scene)
                if number or given.rounds == 1:  # the first round warms up
                    seconds[name].append(spent)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        report["scenes"][side_px] = {name: side_px**2 / 1e6 / value for name, value in medians.items()}
        slowest = medians["windows, 1.07 m, step 32 px"]
        print(f"{given.size}, {side_px} x {side_px} px at 3 m, {given.threads} threads")
        for name, value in medians.items():
            print(f"    {name:<32}{side_px**2 / 1e6 / value:9.3f} MP/s{value:10.2f} s{slowest / value:8.1f}x")
    for side_px in given.memory:
        report["memory_mb"][side_px] = memory_mb(side_px, given.size, given.threads)
        print(f"memory of a scan of {side_px} x {side_px} px from disk: {report['memory_mb'][side_px]:.0f} MB more")
    write_json(load_settings().build / "bench" / "ship_scan.json", report)


if __name__ == "__main__":
    main()
