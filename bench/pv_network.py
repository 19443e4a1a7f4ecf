"""What one image costs pv_hotspots' network: eager PyTorch, ONNX Runtime in float32 and in int8, on 1 and 2 threads.

    .venv/bin/python -m bench.pv_network --model build/models/pv_hotspots/fused/final --data data/pv_hotspots/real

Prints the median milliseconds at batch 1 and the AP50 of both graphs on the labelled frames of --data (which the
model may have seen: only their difference says something); writes build/bench/pv_network.json. The contenders are
timed in turn, a round after another, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.pv_mosaic import TASK, Quiet
from sightline.files import write_json
from sightline.params import load_section
from sightline.settings import load_settings
from sightline.tasks import open_task, params_model, restore_model

ROUNDS = 12
PRECISIONS = ("float32", "int8")


def eager(model: Any, threads: int) -> Callable[[Any], object]:
    """The network in PyTorch, batch norms folded, as `ultralytics` predicts with it."""
    import torch

    from sightline.tasks.pv_hotspots.yolo import read_network

    network = read_network(model.files["detector.safetensors"])

    def call(image: Any) -> object:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return network(torch.from_numpy(image))

    return call


def session(model: Any, precision: str, threads: int) -> Callable[[Any], object]:
    """The graph in an ONNX Runtime session."""
    from sightline.tasks.pv_hotspots.model import GRAPHS
    from sightline.vision.graphs import open_session

    opened = open_session(model.files[GRAPHS[precision]], threads)
    return lambda image: opened.run(None, {"image": image})


def time_all(model: Any) -> dict[str, float]:
    """Contender -> median milliseconds."""
    size = model.recipe.input
    image = np.random.default_rng(0).random((1, 3, size.height_px, size.width_px), dtype=np.float32)
    contenders: dict[str, Callable[[Any], object]] = {}
    for threads in (1, 2):
        contenders[f"eager PyTorch, {threads} threads"] = eager(model, threads)
        for precision in PRECISIONS:
            contenders[f"ONNX Runtime {precision}, {threads} threads"] = session(model, precision, threads)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            call(image)
            started = time.perf_counter()
            call(image)
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) * 1000 for name, values in seconds.items()}


def evaluate_both(model: Any, root: Path) -> dict[str, dict[str, float]]:
    """Precision -> metrics on the labelled frames below `root`."""
    settings = load_settings()
    task = open_task(TASK, load_section(settings.root / "params.yaml", TASK, params_model(TASK)))
    manifest = task.load(root.resolve()).where(lambda s: not s.problem)
    scores = {}
    for precision in PRECISIONS:
        again = type(model)(model.card, model.files, precision=precision)
        rows = task.evaluate(again, manifest, Quiet())
        scores[precision] = task.score(rows, np.ones(len(rows)))
    return scores


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a saved model")
    parser.add_argument("--data", type=Path, help="labelled frames, in the upstream layout")
    given = parser.parse_args()
    model = restore_model(TASK, given.model)
    report: dict[str, Any] = {"milliseconds": time_all(model)}
    for name, value in report["milliseconds"].items():
        print(f"{name:<34}{value:8.1f} ms")
    if given.data:
        report["metrics"] = evaluate_both(model, given.data)
        print("\r" + " " * 40)
        for name in ("ap50_defected", "ap50_module", "ap50_95_module"):
            values = [report["metrics"][precision][name] for precision in PRECISIONS]
            print(f"{name:<20} float32 {values[0]:.4f}  int8 {values[1]:.4f}  difference {values[1] - values[0]:+.4f}")
    write_json(load_settings().build / "bench" / "pv_network.json", report)


if __name__ == "__main__":
    main()
