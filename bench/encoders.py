"""The networks of panel_defects side by side: what each is worth, takes and weighs.

    .venv/bin/sightline run panel_defects
    .venv/bin/python -m bench.encoders --images data/panel_defects/real/images

Reads what the run left in build/ (models and evaluations), times all models in turn on the same photographs, and prints
a table; writes build/bench/encoders.json and encoders.png. Compare candidates that were trained for the same number of
steps: the table says how many.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.evaluation import read_metrics
from sightline.files import write_json
from sightline.limits import Limits
from sightline.settings import Settings, load_settings
from sightline.task import Model
from sightline.tasks import restore_model
from sightline.tasks.panel_defects.params import TrainParams

METRICS = ("iou_mean", "iou_mean_foreground", "f1_mean", "pixel_accuracy")


def evaluated(settings: Settings, task: str, candidate: str) -> dict[str, Any]:
    """Figures of one candidate as its evaluation has them: metric -> value and interval."""
    metrics = read_metrics(settings.build / "evaluations" / task / candidate)
    found = {name: metrics.headline(name) for name in METRICS}
    return {name: {"value": one.value, "low": one.low, "high": one.high, "n": one.n} for name, one in found.items()}


def described(model: Model) -> dict[str, Any]:
    """Encoder, steps and size of a trained network."""
    start = model.card.provenance["start"]
    recipe = TrainParams.model_validate(model.card.provenance["parameters"]).networks[model.card.candidate]
    schedule = recipe.scratch if start is None else recipe.continued
    return {
        "encoder": recipe.encoder,
        "steps": schedule.steps,
        "graph_mb": len(model.files["model.onnx"]) / 1e6,  # type: ignore[attr-defined]
    }


def time_all(models: Mapping[str, Any], paths: list[Path], rounds: int) -> dict[str, float]:
    """Candidate -> median milliseconds from a decoded photograph to its mask; the models take turns."""
    pictures = {name: [model.read(path, Limits()) for path in paths] for name, model in models.items()}
    spent: dict[str, list[float]] = {name: [] for name in models}
    for name, model in models.items():
        model.segment(pictures[name][0])  # opens the session
    for number in range(rounds):
        for name, model in models.items():
            started = time.perf_counter()
            model.segment(pictures[name][number % len(paths)])
            spent[name].append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(values) for name, values in spent.items()}


def draw(report: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """One panel a figure, a bar a candidate; the mean IoU with its interval."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(13, 3.2), layout="constrained")
    FigureCanvasAgg(canvas)
    names = list(report)
    titles = {"iou_mean": "mean IoU", "f1_mean": "mean F1", "pixel_accuracy": "pixel accuracy"}
    panels = canvas.subplots(1, len(titles) + 2)
    for axes, (metric, title) in zip(panels, titles.items(), strict=False):
        found = [report[name]["metrics"][metric] for name in names]
        values = [one["value"] for one in found]
        spread = [[one["value"] - one["low"] for one in found], [one["high"] - one["value"] for one in found]]
        axes.bar(names, values, yerr=spread, capsize=4)
        axes.set(title=title, ylim=(0, 1))
    for axes, key, title in ((panels[-2], "ms", "ms an image"), (panels[-1], "graph_mb", "size in MB")):
        axes.bar(names, [report[name][key] for name in names])
        axes.set(title=title)
    for axes in panels:
        axes.tick_params(axis="x", labelrotation=30)
        axes.grid(axis="y", alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=120, metadata={"Software": None})


def show(report: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the table."""
    print(f"{'':<14}{'steps':>7}{'mean IoU':>22}{'F1':>8}{'accuracy':>10}{'ms':>9}{'MB':>8}")
    for name, one in report.items():
        iou, f1, accuracy = (one["metrics"][metric] for metric in ("iou_mean", "f1_mean", "pixel_accuracy"))
        interval = f"{iou['value']:.3f} ({iou['low']:.2f}..{iou['high']:.2f})"
        print(
            f"{name:<14}{one['steps']:>7}{interval:>22}{f1['value']:>8.3f}{accuracy['value']:>10.3f}"
            f"{one['ms']:>9.1f}{one['graph_mb']:>8.1f}"
        )


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="panel_defects")
    parser.add_argument("--candidates", nargs="+", default=["fpn", "resnet34", "vgg16", "inceptionv3"])
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs to time on")
    parser.add_argument("--rounds", type=int, default=40, help="images each model answers")
    parser.add_argument("--threads", type=int, default=1, help="of each session")
    given = parser.parse_args()
    settings = load_settings()
    paths = sorted(path for path in given.images.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    models = {
        name: restore_model(given.task, settings.build / "models" / given.task / name / "final")
        for name in given.candidates
    }
    for model in models.values():
        model.threads = given.threads  # type: ignore[attr-defined]
    spent = time_all(models, paths[: given.rounds], given.rounds)
    report = {
        name: {**described(model), "ms": spent[name], "metrics": evaluated(settings, given.task, name)}
        for name, model in models.items()
    }
    show(report)
    folder = settings.build / "bench"
    draw(report, folder / "encoders.png")
    write_json(folder / "encoders.json", {"threads": given.threads, "candidates": report})


if __name__ == "__main__":
    main()
