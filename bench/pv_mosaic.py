"""Mosaic on and off with paired seeds, on the real thermograms of pv_hotspots.

    .venv/bin/python -m bench.pv_mosaic --start build/models/pv_hotspots/fused/pretrain

From one pre-trained model a short fit a seed and setting, each trained on all time blocks but those of fold 0 and
evaluated on these. Prints AP50 of each, the paired differences, and writes build/bench/pv_mosaic.json.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sightline.files import write_json
from sightline.params import TaskParams, load_section
from sightline.settings import load_settings
from sightline.splits import apply_splits, assign
from sightline.task import Manifest, Model, TrainingData
from sightline.tasks import open_task, params_model, restore_model

TASK = "pv_hotspots"
METRICS = ("ap50_defected", "ap50_module", "ap50_95_module")
SETTINGS = (0.0, 1.0)


class Quiet:
    """Progress that shows the phase on one line."""

    def advance(self, done: int, total: int, what: str) -> None:
        """Overwrite the line."""
        print(f"\r{what} ({done}/{total})   ", end="", flush=True)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing is kept of the losses."""


def variant(params: TaskParams, seed: int, mosaic: float, epochs: int) -> TaskParams:
    """The section with another seed, mosaic and length."""
    values = params.model_dump()
    values["seed"] = seed
    values["train"]["augment"]["mosaic"] = mosaic
    values["train"]["continued"]["epochs"] = epochs
    return type(params).model_validate(values)


def measure(params: TaskParams, data: Manifest, start: Model, candidate: str) -> dict[str, float]:
    """Fit without fold 0, evaluate on fold 0."""
    task = open_task(TASK, params)
    train, test = data.where(lambda s: s.fold != 0), data.where(lambda s: s.fold == 0)
    with tempfile.TemporaryDirectory(prefix="pv-mosaic-") as work:
        fit = TrainingData(train, data.where(lambda _: False), start)
        model = task.train(candidate, fit, Path(work), Quiet())
    rows = task.evaluate(model, test, Quiet())
    scores = task.score(rows, np.ones(len(rows)))
    return {name: scores[name] for name in METRICS}


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, required=True, help="a saved, pre-trained model")
    parser.add_argument("--data", type=Path, help="the set of real thermograms; data/pv_hotspots/real by default")
    parser.add_argument("--candidate", default="feature", help="whose scores are evaluated")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    given = parser.parse_args()
    settings = load_settings()
    params = load_section(settings.root / "params.yaml", TASK, params_model(TASK))
    root = (given.data or settings.data / TASK / "real").resolve()
    manifest = open_task(TASK, params).load(root)
    data = apply_splits(manifest, assign(manifest.samples, params.data), params.data.folds)
    start = restore_model(TASK, given.start)
    results: dict[str, dict[float, list[float]]] = {name: {s: [] for s in SETTINGS} for name in METRICS}
    for seed in range(given.seeds):
        for mosaic in SETTINGS:
            scores = measure(variant(params, seed, mosaic, given.epochs), data, start, given.candidate)
            for name, value in scores.items():
                results[name][mosaic].append(value)
            figures = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
            print(f"\rseed {seed}  mosaic {'on ' if mosaic else 'off'}  {figures}")
    report = {name: {"off": by[0.0], "on": by[1.0]} for name, by in results.items()}
    for name, by in results.items():
        difference = np.subtract(by[1.0], by[0.0])
        print(f"{name}: on minus off {difference.mean():+.3f} (each: {np.round(difference, 3).tolist()})")
    frames = len(data.where(lambda s: s.fold == 0))
    write_json(settings.build / "bench" / "pv_mosaic.json", {"frames": frames, "epochs": given.epochs, **report})


if __name__ == "__main__":
    main()
