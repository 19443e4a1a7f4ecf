"""Evaluating: each sample by a model that has not seen it, metrics with intervals, plots and pictures."""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import DataMissing, DataRejected
from sightline.evaluation import METRICS, REFERENCE, ROWS, TRAINING, VALIDATION, Measured, Metrics, by_set, main_rows
from sightline.files import replacing_folder, write_json
from sightline.pipeline.fit import check_candidate, plan_fits
from sightline.pipeline.project import Project
from sightline.pipeline.reference import refer
from sightline.resampling import figures, resampling_unit
from sightline.task import Json, Manifest, Model, Plot, Progress, Row, Rows, save_rows


def evaluate(project: Project, candidate: str, progress: Progress) -> Metrics:
    """Evaluate a candidate that was trained, into `build/evaluations/<task>/<candidate>/`; its metrics.json.

    rows.jsonl holds the test rows of all sets (out of fold where there are folds), validation.jsonl those that the
    winner is chosen on, reference.jsonl what inputs are compared with when the version is in use.

    Raises:
        ModelMissing: it was not trained yet.
    """
    check_candidate(project, candidate)
    plan = plan_fits(project)
    models = project.models(candidate)
    out = project.evaluation(candidate)
    way_out = "Free some space on the disk and run the command again."
    with replacing_folder(out, "the evaluation", way_out) as partial:
        rows: list[Row] = []
        for name, data in plan.test.items():
            rows += project.task.evaluate(project.task.restore(models / name), data, progress)
        final = project.task.restore(models / "final")
        validation = project.task.evaluate(final, plan.validation, progress)
        metrics = Metrics(
            protocol=plan.protocol,
            main=plan.main,
            sets={name: _measure(project, of_set) for name, of_set in by_set(rows).items()},
            validation=_measure(project, validation),
        )
        save_rows(rows, partial / ROWS)
        save_rows(validation, partial / VALIDATION)
        save_rows(refer(project, final, project.load(), plan.main, progress), partial / REFERENCE)
        write_json(partial / METRICS, metrics.document())
        _write_plots(project, rows, plan.main, partial)
        _draw(project, models, plan.test, partial / "pictures")
        shutil.copy(models / TRAINING, partial / TRAINING)
    return metrics


def _measure(project: Project, rows: Rows) -> Measured:
    how = project.params.evaluate
    found = figures(rows, project.task.score, how.resamples, how.confidence, project.params.seed)
    return Measured(n=len(rows), unit=resampling_unit(rows) if rows else "sample", metrics=found)


def _write_plots(project: Project, rows: Rows, main: tuple[str, ...], folder: Path) -> None:
    """Below plots/, curves as CSV (DVC draws them) and matrices as JSON; below charts/, all of them as PNG."""
    data, charts = folder / "plots", folder / "charts"
    data.mkdir(parents=True)
    charts.mkdir()
    for name, plot in project.task.plots(main_rows(rows, main)).items():
        if "matrix" in plot:
            write_json(data / f"{name}.json", {"matrix": plot["matrix"], "labels": plot["labels"]})
        elif "rows" in plot:
            _write_csv(data / f"{name}.csv", plot["columns"], plot["rows"])
        else:
            _write_csv(data / f"{name}.csv", [plot["xlabel"], plot["ylabel"]], zip(plot["x"], plot["y"], strict=True))
        _draw_plot(name, plot, charts / f"{name}.png")


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[float | str | None]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _draw_plot(name: str, plot: Plot, path: Path) -> None:
    import matplotlib.figure
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = matplotlib.figure.Figure(figsize=(5, 4), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot(title=name.replace("_", " "))
    if "matrix" in plot:
        axes.imshow(plot["matrix"], cmap="Blues")
        labels = plot["labels"]
        axes.set_xticks(range(len(labels)), labels)
        axes.set_yticks(range(len(labels)), labels)
        axes.set(xlabel="answer", ylabel="label")
        for i, line in enumerate(plot["matrix"]):
            for j, count in enumerate(line):
                axes.text(j, i, f"{count:g}", ha="center", va="center", bbox={"facecolor": "white", "lw": 0})
    elif "rows" in plot:
        axes.axis("off")
        cells = [["" if value is None else str(value) for value in row] for row in plot["rows"]]
        axes.table(cellText=cells, colLabels=plot["columns"], loc="center").auto_set_font_size(True)
    else:
        axes.plot(plot["x"], plot["y"])
        axes.set(xlabel=plot["xlabel"], ylabel=plot["ylabel"])
        axes.grid(alpha=0.3)
    canvas.savefig(path, metadata={"Software": None})


def _draw(project: Project, models: Path, test: Mapping[str, Manifest], folder: Path) -> None:
    """Pictures of samples from all over each part, drawn by the model that evaluated them."""
    from PIL import Image

    folder.mkdir(parents=True)
    share = -(-project.params.evaluate.pictures // max(len(test), 1))
    for name, data in test.items():
        model = project.task.restore(models / name)
        step = max(len(data) / share, 1)  # names begin with the class as a rule: the first ones show one class
        for number in range(min(share, len(data))):
            sample = data.samples[int(number * step)]
            drawn = project.task.picture(model, data, sample)
            Image.fromarray(drawn).save(folder / f"{sample.set}-{sample.id}.jpg", quality=90)


@dataclass(frozen=True)
class FolderEvaluation:
    """How a model does on a user's own samples.

    Attributes:
        task: its name.
        data: the folder.
        left_out: how many samples were, because the model was trained on them.
        measured: the figures.
        rows: of the samples.
    """

    task: str
    data: str
    left_out: int
    measured: Measured
    rows: Rows

    def document(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "task": self.task,
            "data": self.data,
            "protocol": "unseen",
            "left_out": self.left_out,
            "unit": self.measured.unit,
            "metrics": self.measured.model_dump()["metrics"],
            "rows": [{"key": row.key, **row.statistics} for row in self.rows],
        }


def evaluate_folder(
    project: Project, model: Model, folder: Path, seen: frozenset[str], progress: Progress
) -> FolderEvaluation:
    """Evaluate a model on a user's own labelled folder in the upstream layout.

    Samples the model was trained on (`seen`, SHA-256 of inputs) are left out and counted.

    Raises:
        DataMissing: nothing is left to evaluate on.
        DataRejected: files of the folder cannot be used; all are named.
    """
    root = folder.resolve()
    manifest = project.task.load(root, project.settings.limits)
    bad = [f"{s.input_file}: {s.problem}" for s in manifest.samples if s.problem]
    if bad:
        raise DataRejected("; ".join(bad[:20]), where=folder, way_out=f"Correct or remove these {len(bad)} files.")
    fresh = manifest.where(lambda s: s.sha256 not in seen)
    if not len(fresh):
        raise DataMissing(
            f"the model was trained on all {len(manifest)} samples",
            where=folder,
            way_out="Evaluate on samples that the model was not trained on.",
        )
    rows = project.task.evaluate(model, fresh, progress)
    left_out = len(manifest) - len(fresh)
    return FolderEvaluation(project.name, str(folder), left_out, _measure(project, rows), rows)


def measure_latency(models: Mapping[str, Model], sources: list[Path | bytes], project: Project) -> dict[str, float]:
    """Median time of one input, in milliseconds; models take turns, so that noise of the machine hits all alike."""
    limits = project.settings.limits
    inputs = {name: [model.read(source, limits) for source in sources] for name, model in models.items()}
    spent: dict[str, list[float]] = {name: [] for name in models}
    for name, model in models.items():
        model.predict(inputs[name][:1])  # warm-up
    for number in range(len(sources)):
        for name, model in models.items():
            started = time.perf_counter()
            model.predict([inputs[name][number]])
            spent[name].append((time.perf_counter() - started) * 1000)
    return {name: sorted(values)[len(values) // 2] for name, values in spent.items()}
