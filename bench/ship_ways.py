"""Counting ships: the task's way against the reference project's, with the same model on the same scenes.

    .venv/bin/python -m bench.ship_ways MODEL... --data data/ships/real

Each model evaluates the labelled scenes of the grounds that are named after it: `build/models/ships/atto/fold-0:lb_1`.
The reference project asks about windows of 240 m every 120 m (224 and 112 pixels at its scale), takes each with a
probability above 0.5 for a ship, and draws it in the window's middle. So a ship counts as often as windows show it.
Here the network is asked about the same places. Prints precision, recall, F1 at 30 m and the error of the count;
writes build/bench/ship_ways.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from sightline.files import write_json
from sightline.limits import Limits
from sightline.settings import load_settings
from sightline.task import Json, Manifest
from sightline.tasks.ships.data import gsd_of, load_manifest, read_boxes
from sightline.tasks.ships.detections import Detection, rectangle
from sightline.tasks.ships.finder import NetworkFinder
from sightline.tasks.ships.metrics import Pool, scene_statistics
from sightline.tasks.ships.model import ShipModel
from sightline.tasks.ships.raster import Raster
from sightline.tasks.ships.scaled import Scaled
from sightline.tasks.ships.scan import logit_near

WINDOW_M, STEP_M = 240.0, 120.0
TAKEN = 0.5
FIGURES = ("ships", "precision", "recall", "f1", "count_error_mean")


def every_window(model: ShipModel, raster: Raster) -> list[Detection]:
    """The reference project's way: each window with a probability above a half, in its middle."""
    finder = model.finder
    assert isinstance(finder, NetworkFinder)
    gsd_m = finder.input.gsd_m
    with raster.opened() as opened:
        scaled = Scaled.to(opened.read, raster.size, raster.gsd_m / gsd_m)
        logits = finder.scanner(scaled).logits
    down, across = scaled.factors
    found = []
    for y in np.arange(WINDOW_M / 2, scaled.size[0] * gsd_m - WINDOW_M / 2 + 1, STEP_M) / gsd_m:
        for x in np.arange(WINDOW_M / 2, scaled.size[1] * gsd_m - WINDOW_M / 2 + 1, STEP_M) / gsd_m:
            probability = 1 / (1 + np.exp(-logit_near(logits, finder.params.stride_px, (float(x), float(y)), 0.0)))
            if probability > TAKEN:
                side_px = WINDOW_M / raster.gsd_m
                corners = rectangle(x / across, y / down, side_px, side_px, 0.0)
                found.append(Detection(x / across, y / down, float(probability), corners))
    return found


def evaluate(model: ShipModel, data: Manifest) -> dict[str, list[dict[str, Json]]]:
    """Way -> the counts of each scene."""
    made: dict[str, list[dict[str, Json]]] = {"this task": [], "every positive window": []}
    for sample in data.samples:
        raster = model.under(model.read(data.path(sample), Limits()), {"gsd_m": gsd_of(sample)})
        boxes = read_boxes(data, sample)
        ways = {"this task": (model.find(raster).detections, model.thresholds)}
        ways["every positive window"] = (every_window(model, raster), (TAKEN, TAKEN))
        for way, (found, thresholds) in ways.items():
            made[way].append({"scene": sample.id, **scene_statistics(found, boxes, raster.gsd_m, thresholds)})
    return made


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL:GROUND", help="a saved model, and whom it has not seen")
    parser.add_argument("--data", type=Path, required=True, help="the set's folder")
    given = parser.parse_args()
    manifest = load_manifest(given.data.resolve())
    pooled: dict[str, list[dict[str, Json]]] = {}
    for pair in given.models:
        folder, _, ground = pair.rpartition(":")
        data = manifest.where(lambda s, g=ground: s.stratum == "scene" and s.group == g)  # type: ignore[misc]
        for way, scenes in evaluate(ShipModel.restore(Path(folder)), data).items():
            pooled.setdefault(way, []).extend(scenes)
    report: dict[str, Any] = {}
    for way, scenes in pooled.items():
        print(way)
        lines = [(str(one["scene"]), [one]) for one in scenes] + [("all", scenes)]
        for name, rows in lines:
            figures = Pool(rows).score(np.ones(len(rows)))
            report.setdefault(way, {})[name] = {key: figures[key] for key in FIGURES}
            print(f"    {name:<20}" + "".join(f"{key} {figures[key]:7.3f}   " for key in FIGURES))
    write_json(load_settings().build / "bench" / "ship_ways.json", report)


if __name__ == "__main__":
    main()
