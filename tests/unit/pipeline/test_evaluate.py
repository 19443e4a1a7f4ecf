from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import DataMissing, DataRejected, ModelRejected
from sightline.evaluation import main_rows, read_metrics, seen_inputs
from sightline.pipeline.evaluate import (
    evaluate,
    evaluate_folder,
    measure_latency,
)
from sightline.pipeline.fit import fit
from sightline.pipeline.project import Project
from sightline.progress import Bars
from sightline.task import load_rows
from tests.toy import Silent, toy_project, write_set


@pytest.fixture
def evaluated(tmp_path: Path) -> Project:
    project = toy_project(tmp_path, "sample", "real")
    for candidate in project.params.candidates:
        with Bars("train") as bars:
            fit(project, candidate, bars, lambda _step, _values: None)
        evaluate(project, candidate, Silent())
    return project


def test_every_real_sample_is_evaluated_once_and_out_of_fold(evaluated: Project) -> None:
    rows = load_rows(evaluated.evaluation("threshold") / "rows.jsonl")
    real = main_rows(rows, ("real",))
    assert sorted(r.key for r in real) == sorted(s.key for s in evaluated.load().samples if s.set == "real")
    assert any(r.key.startswith("sample/") for r in rows)


def test_metrics_are_kept_apart_by_set_with_intervals(evaluated: Project) -> None:
    metrics = read_metrics(evaluated.evaluation("threshold"))
    assert set(metrics.sets) == {"real", "sample"}
    assert metrics.main == ("real",)
    figure = metrics.headline("accuracy")
    assert figure.value == 1.0
    assert figure.n == 24
    baseline = read_metrics(evaluated.evaluation("constant")).headline("accuracy")
    assert baseline.low < 0.5 < baseline.high


def test_evaluating_again_gives_the_same_bytes(evaluated: Project) -> None:
    folder = evaluated.evaluation("threshold")
    before = {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    evaluate(evaluated, "threshold", Silent())
    assert {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_pictures_and_plots_are_there(evaluated: Project) -> None:
    folder = evaluated.evaluation("threshold")
    assert list((folder / "pictures").glob("*.jpg"))
    assert {p.name for p in (folder / "plots").iterdir()} == {"confusion.json", "curve.csv"}
    assert {p.name for p in (folder / "charts").iterdir()} == {"confusion.png", "curve.png"}


def test_own_labels_are_evaluated_without_what_was_trained_on(evaluated: Project, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_set(folder, groups=2, frames=4, seed=77)
    known = evaluated.load().where(lambda s: s.set == "real").samples[0]
    for file in known.files.values():
        (folder / f"again-{file}").write_bytes((evaluated.data / "real" / file).read_bytes())
    model = evaluated.task.restore(evaluated.models("threshold") / "final")
    seen = seen_inputs(evaluated.evaluation("threshold"))
    found = evaluate_folder(evaluated, model, folder, seen, Silent())
    assert found.left_out == 1
    assert found.measured.metrics["accuracy"].n == 8


def test_labels_that_were_all_trained_on_cannot_evaluate(evaluated: Project) -> None:
    model = evaluated.task.restore(evaluated.models("threshold") / "final")
    seen = seen_inputs(evaluated.evaluation("threshold"))
    with pytest.raises(DataMissing, match="trained on"):
        evaluate_folder(evaluated, model, evaluated.data / "real", seen, Silent())


def test_bad_files_of_own_labels_are_all_named(evaluated: Project, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_set(folder, groups=1, frames=4, seed=77)
    (folder / "g77x0-0.txt").unlink()
    (folder / "g77x0-2.txt").unlink()
    model = evaluated.task.restore(evaluated.models("threshold") / "final")
    with pytest.raises(DataRejected, match=r"g77x0-0\.png.*g77x0-2\.png"):
        evaluate_folder(evaluated, model, folder, frozenset(), Silent())


def test_latency_is_given_for_each_model(evaluated: Project) -> None:
    manifest = evaluated.load()
    models = {name: evaluated.task.restore(evaluated.models(name) / "final") for name in evaluated.params.candidates}
    spent = measure_latency(models, [manifest.path(s) for s in manifest.samples[:3]], evaluated)
    assert set(spent) == {"threshold", "constant"}
    assert all(value > 0 for value in spent.values())


def test_evaluating_before_training_names_the_way_out(tmp_path: Path) -> None:
    project = toy_project(tmp_path, "sample")
    with pytest.raises(DataMissing, match="sightline run"):
        read_metrics(project.evaluation("threshold"))


def test_figures_of_no_set_are_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"main": [], "sets": {}}')
    with pytest.raises(ModelRejected, match=r"metrics\.json: main"):
        read_metrics(tmp_path)
