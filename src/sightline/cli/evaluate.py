"""`sightline evaluate`."""

from __future__ import annotations

from pathlib import Path

from sightline.cli.open import open_folder, open_version
from sightline.cli.show import echo, figure_rows, print_json, table
from sightline.errors import ParamsError
from sightline.evaluation import Metrics, read_metrics, seen_inputs
from sightline.pipeline.evaluate import evaluate, evaluate_folder
from sightline.pipeline.project import Project
from sightline.progress import Bars


def evaluate_stage(project: Project, candidate: str, as_json: bool) -> None:
    """Evaluate what `train` left in build/."""
    with Bars(f"evaluate {candidate}") as bars:
        metrics = evaluate(project, candidate, bars)
    if as_json:
        print_json(metrics.document())
    else:
        _show(f"{project.name} {candidate}", metrics)


def evaluate_here(ref: str, data: Path | None, folder: Path | None, as_json: bool) -> None:
    """Figures of a version as it was evaluated, or of a model on the user's own labels."""
    if folder is not None and data is None:
        raise ParamsError(
            "--model needs --data",
            where="evaluate",
            way_out="Add --data FOLDER: a saved model does not hold its evaluation.",
        )
    if data is not None:
        _evaluate_data(ref, data, folder, as_json)
        return
    _, tracking, version = open_version(ref)
    metrics = read_metrics(tracking.evaluation(version))
    document = {
        "task": version.task,
        "model": str(version),
        "data": version.tags.get("data_version", ""),
        "protocol": metrics.protocol,
        "set": metrics.main_set,
        "unit": metrics.main_measured.unit,
        "metrics": metrics.main_measured.model_dump()["metrics"],
        "sets": metrics.document()["sets"],
    }
    if as_json:
        print_json(document)
    else:
        _show(str(version), metrics)


def _evaluate_data(ref: str, data: Path, folder: Path | None, as_json: bool) -> None:
    if folder is not None:
        project, model = open_folder(ref, folder)
        name, seen = str(folder), _seen_beside(folder)
    else:
        project, tracking, version = open_version(ref)
        model = project.task.restore(tracking.directory(version))
        name, seen = str(version), seen_inputs(tracking.evaluation(version))
    with Bars(f"evaluate {name}") as bars:
        found = evaluate_folder(project, model, data, seen, bars)
    if as_json:
        print_json({"model": name, **found.document()})
        return
    measured = found.measured
    left_out = f"; {found.left_out} samples that the model was trained on are left out" if found.left_out else ""
    table(f"{name} on {data} (resampled by {measured.unit}{left_out})", figure_rows(measured.metrics))


def _seen_beside(folder: Path) -> frozenset[str]:
    """The training list beside a saved model; without one nothing can be left out, and that is said."""
    if (folder.parent / "training.csv").is_file():
        return seen_inputs(folder.parent)
    echo(
        "There is no training.csv beside this folder, so samples that the model was trained on cannot be left out.",
        err=True,
    )
    return frozenset()


def _show(title: str, metrics: Metrics) -> None:
    for name, measured in metrics.sets.items():
        heading = f"{title} on {name} (n={measured.n}, {metrics.protocol}, resampled by {measured.unit})"
        table(heading, figure_rows(measured.metrics))
