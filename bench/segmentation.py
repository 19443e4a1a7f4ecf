"""Segmentation networks: ONNX Runtime against eager PyTorch, and whole scenes against a plain loop over crops.

    .venv/bin/python -m bench.segmentation

Networks have random weights: what they cost does not depend on them. The contenders take turns, a round after another,
so that what else the machine does falls on all of them. Prints the medians; writes build/bench/segmentation.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.files import write_json
from sightline.settings import load_settings
from sightline.vision.fit import NetworkShape
from sightline.vision.graphs import open_session
from sightline.vision.networks import build_network, export_network
from sightline.vision.tiling import Tiling, blend

DECODER = (256, 128, 64, 32, 16)
NETWORKS = {
    "U-Net ResNet34, 3 bands, 256 px": NetworkShape("resnet34", 3, 6, DECODER, 256, "softmax"),
    "U-Net ResNet34, 12 channels, 160 px": NetworkShape("resnet34", 12, 10, DECODER, 160, "softmax"),
    "FPN EfficientNet-Lite0, 3 bands, 256 px": NetworkShape("efficientnet_lite0", 3, 6, DECODER, 256, "softmax", "fpn"),
}
Floats = NDArray[np.float32]


def contenders(shape: NetworkShape, threads: int) -> dict[str, Callable[[Floats], Floats]]:
    """The same network, run in two ways; both give the probabilities."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    network = build_network(shape.encoder, shape.bands, shape.classes, shape.decoder_channels, shape.decoder).eval()
    session = open_session(export_network(network, shape.bands, shape.window_px, "softmax"), threads)

    def eager(windows: Floats) -> Floats:
        with torch.inference_mode():
            logits, _ = network(torch.from_numpy(windows))
            return np.asarray(logits.softmax(dim=1).numpy())

    def onnx(windows: Floats) -> Floats:
        return np.asarray(session.run(["probabilities"], {"image": windows})[0])

    return {"eager PyTorch": eager, "ONNX Runtime": onnx}


def time_all(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Contender -> median seconds; one call of each before the clock starts."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def time_network(shape: NetworkShape, threads: int, rounds: int) -> dict[str, dict[str, float]]:
    """Contender -> milliseconds an image at batch 1 and 8, and how far the answers differ at most."""
    runs = contenders(shape, threads)
    found: dict[str, dict[str, float]] = {name: {} for name in runs}
    for batch in (1, 8):
        windows = np.random.default_rng(batch).standard_normal(
            (batch, shape.bands, shape.window_px, shape.window_px), dtype=np.float32
        )
        answers = [run(windows) for run in runs.values()]
        seconds = time_all({name: partial(run, windows) for name, run in runs.items()}, rounds)
        for name, value in seconds.items():
            found[name][f"batch_{batch}_ms"] = value * 1000 / batch
            found[name][f"batch_{batch}_difference"] = float(np.abs(answers[0] - answers[1]).max())
    return found


def crops(predict: Callable[[Floats], Floats], scene: Floats, plan: Tiling, classes: int) -> Floats:
    """The same windows one after the other, each written over the last: no weights, no reflection of what is read."""
    height, width = scene.shape[1:]
    answer = np.zeros((classes, height, width), dtype=np.float32)
    side = plan.window_px
    padded = np.pad(scene, ((0, 0), (0, side), (0, side)), mode="reflect")
    for top in plan.starts(height):
        for left in plan.starts(width):
            made = predict(padded[None, :, top : top + side, left : left + side])[0]
            answer[:, top : top + side, left : left + side] = made[:, : height - top, : width - left]
    return answer


def time_scene(shape: NetworkShape, side: int, threads: int, rounds: int) -> dict[str, float]:
    """Way -> megapixels of a scene a second, through ONNX Runtime."""
    predict, classes = contenders(shape, threads)["ONNX Runtime"], shape.classes
    scene = np.random.default_rng(0).standard_normal((shape.bands, side, side), dtype=np.float32)
    plan = Tiling(shape.window_px, shape.window_px // 4)

    def read(top: int, left: int, height: int, width: int) -> Floats:
        return scene[:, top : top + height, left : left + width]

    def blended() -> Any:
        answer = np.empty((classes, side, side), dtype=np.float32)
        for top, rows in blend(read, predict, side, side, classes, plan):
            answer[:, top : top + rows.shape[1]] = rows
        return answer

    seconds = time_all({"blended": blended, "plain crops": lambda: crops(predict, scene, plan, classes)}, rounds)
    return {name: side * side / 1e6 / value for name, value in seconds.items()}


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--scene", type=int, default=1024, help="side of the whole scene in pixels")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    report: dict[str, Any] = {"threads": given.threads, "scene_px": given.scene, "networks": {}, "scenes": {}}
    for name, shape in NETWORKS.items():
        report["networks"][name] = time_network(shape, given.threads, given.rounds)
        print(name)
        for way, one in report["networks"][name].items():
            print(f"    {way:<16}{one['batch_1_ms']:8.1f} ms at batch 1{one['batch_8_ms']:8.1f} ms an image at batch 8")
        report["scenes"][name] = time_scene(shape, given.scene, given.threads, max(given.rounds // 4, 1))
        for way, speed in report["scenes"][name].items():
            print(f"    {way:<16}{speed:8.3f} megapixels a second")
    write_json(load_settings().build / "bench" / "segmentation.json", report)


if __name__ == "__main__":
    main()
